package filters

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// run filters x with second-order sections, direct form II transposed, starting as if
// x0 had been there for ever.
func run(sections []Section, x []float64, x0 float64) []float64 {
	y := slices.Clone(x)
	for _, s := range sections {
		gain := (s.B0 + s.B1 + s.B2) / (1 + s.A1 + s.A2)
		z2 := s.B2*x0 - s.A2*gain*x0
		z1 := gain*x0 - s.B0*x0
		for i, v := range y {
			o := s.B0*v + z1
			z1 = s.B1*v - s.A1*o + z2
			z2 = s.B2*v - s.A2*o
			y[i] = o
		}
		x0 *= gain
	}
	return y
}

// What MOABB filters with, and one causal pass of the same sections: the numbers that a
// comparison with it rests on.
func TestMOABBBandpassVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case  string
			Input struct {
				FS   float64 `json:"fs"`
				Low  float64 `json:"l_freq"`
				High float64 `json:"h_freq"`
				X    []float64
			}
			Expected struct {
				SOS       [][]float64 `json:"sos"`
				Pad       int         `json:"padlen"`
				ZeroPhase []float64   `json:"zero_phase_output"`
				Causal    []float64   `json:"causal_output_zero_state"`
				Freqs     []float64
				Gain      []float64 `json:"single_pass_gain_db"`
				Delay     []float64 `json:"single_pass_group_delay_ms"`
			}
		}
	}
	f, err := os.Open("testdata/moabb_bandpass.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Cases) != 3 {
		t.Fatalf("%d cases", len(v.Cases))
	}
	near := func(t *testing.T, what string, got, want []float64, tol float64) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
		}
		for i := range want {
			if !(math.Abs(got[i]-want[i]) <= tol) {
				t.Errorf("%s[%d]: %.15g, want %.15g", what, i, got[i], want[i])
				return
			}
		}
	}
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			p, err := Butterworth(BandPass, 4, c.Input.FS, c.Input.Low, c.Input.High)
			if err != nil {
				t.Fatal(err)
			}
			s := p.Sections()
			var theirs []Section
			for _, q := range c.Expected.SOS {
				theirs = append(theirs, Section{q[0], q[1], q[2], q[4], q[5]})
			}
			for i, hz := range c.Expected.Freqs {
				// The order of sections is free: the responses are compared, not the rows.
				// The file's delay is a numerical derivative of the phase, right to 1e-5;
				// the analytic one is that of the file's own sections.
				ours := Delay(s, hz, c.Input.FS) / c.Input.FS * 1e3
				near(t, "group delay in ms", []float64{ours}, c.Expected.Delay[i:i+1], 1e-5*c.Expected.Delay[i])
				near(t, "group delay in ms", []float64{ours}, []float64{Delay(theirs, hz, c.Input.FS) / c.Input.FS * 1e3}, 1e-8)
				near(t, "gain in dB", []float64{decibels(s, hz, c.Input.FS)}, c.Expected.Gain[i:i+1], 1e-6)
			}
			x, n := c.Input.X, c.Expected.Pad
			near(t, "causal", run(s, x, 0), c.Expected.Causal, 1e-8)
			var padded []float64 // odd reflection at both ends
			last := len(x) - 1
			for i := n; i > 0; i-- {
				padded = append(padded, 2*x[0]-x[i])
			}
			padded = append(padded, x...)
			for i := 1; i <= n; i++ {
				padded = append(padded, 2*x[last]-x[last-i])
			}
			y := run(s, padded, padded[0])
			slices.Reverse(y)
			y = run(s, y, y[0])
			slices.Reverse(y)
			near(t, "zero phase", y[n:n+len(x)], c.Expected.ZeroPhase, 1e-8)
		})
	}
}

func decibels(sections []Section, hz, rate float64) float64 {
	w := 2 * math.Pi * hz / rate
	db := 0.0
	for _, s := range sections {
		square := func(b0, b1, b2 float64) float64 {
			re := b0 + b1*math.Cos(w) + b2*math.Cos(2*w)
			im := b1*math.Sin(w) + b2*math.Sin(2*w)
			return re*re + im*im
		}
		db += 10 * math.Log10(square(s.B0, s.B1, s.B2)/square(1, s.A1, s.A2))
	}
	return db
}
