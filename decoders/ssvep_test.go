package decoders

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"neurostream/stream"
)

// sampleHeader is a stream of windows: channels × length samples, one window a second.
func sampleHeader(channels, length int, rate float64) stream.Header {
	h := stream.Header{Name: "windows", Rate: 1, MaxLen: 64}
	for c := range channels {
		for t := range length {
			h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("E%d @%v s", c+1, float64(t-length+1)/rate), Unit: "uV", Type: TypeSample})
		}
	}
	return h
}

// sosFilter runs second-order sections, direct form II transposed, from rest.
func sosFilter(sos [][]float64, x []float64) []float64 {
	y := slices.Clone(x)
	for _, s := range sos {
		z1, z2 := 0.0, 0.0
		for i, v := range y {
			o := s[0]*v + z1
			z1 = s[1]*v - s[4]*o + z2
			z2 = s[2]*v - s[5]*o
			y[i] = o
		}
	}
	return y
}

func TestSSVEPVectors(t *testing.T) {
	var v struct {
		Inputs struct {
			Train [][][][]float64 // class, trial, channel, sample
			Test  [][][]float64   // class, channel, sample
			Freqs []float64       `json:"freqs_hz"`
			FS    float64         `json:"fs"`
		}
		Cases []struct {
			ID     string
			Params struct {
				Harmonics int
				Bands     [][][]float64 `json:"sub_bands_sos"`
			}
			Expected struct {
				Rho, Score [][]float64
				W          [][]float64 `json:"w_unit_norm_sign_fixed"`
				Eigenvalue []float64
				Predicted  []int
			}
			Tolerance struct{ Abs float64 }
		}
	}
	vectors(t, "ssvep", &v)
	channels, length := len(v.Inputs.Test[0]), len(v.Inputs.Test[0][0])
	var bands [][][]float64
	for _, c := range v.Cases {
		if c.Params.Bands != nil {
			bands = c.Params.Bands
		}
	}
	window := func(x [][]float64, bank bool) (out []float64) {
		if !bank {
			return flat(x)
		}
		for _, sos := range bands {
			for _, ch := range x {
				out = append(out, sosFilter(sos, ch)...)
			}
		}
		return out
	}
	done := map[string]bool{}
	for _, c := range v.Cases {
		t.Run(c.ID, func(t *testing.T) {
			bank := strings.HasPrefix(c.ID, "fb")
			n := 1
			if bank {
				n = len(bands)
			}
			h := sampleHeader(n*channels, length, v.Inputs.FS)
			var test [][]float64
			for _, x := range v.Inputs.Test {
				test = append(test, window(x, bank))
			}
			switch c.ID {
			case "cca", "fbcca":
				harmonics := c.Params.Harmonics
				if harmonics == 0 {
					harmonics = 3
				}
				got := outputs(t, &CCA{Freqs: v.Inputs.Freqs, Harmonics: harmonics, Bands: n}, h, test)
				want := c.Expected.Rho
				if bank {
					want = c.Expected.Score
				}
				nearby(t, "score", flat(got), flat(want), c.Tolerance.Abs, 0)
				if !slices.Equal(winners(got), c.Expected.Predicted) {
					t.Errorf("predicted %v, want %v", winners(got), c.Expected.Predicted)
				}
			default:
				rows := labelled(h, nil, nil, len(v.Inputs.Train))
				for k, trials := range v.Inputs.Train {
					for _, x := range trials {
						rows.X, rows.Y = append(rows.X, window(x, bank)), append(rows.Y, k)
					}
				}
				s := learn(t, &TRCA{Bands: n, Ensemble: c.ID != "trca"}, rows)
				score := s.model.scores()
				got := make([][]float64, len(test))
				for i, x := range test {
					got[i] = make([]float64, len(v.Inputs.Train))
					score(got[i], x)
				}
				nearby(t, "score", flat(got), flat(c.Expected.Score), 1e-6, 0)
				if c.Expected.W != nil {
					nearby(t, "filters", flat(s.model.Filters[0]), flat(c.Expected.W), 1e-6, 0)
				}
				if p := outputs(t, s, h, test); !slices.Equal(winners(p), c.Expected.Predicted) {
					t.Errorf("predicted %v, want %v", winners(p), c.Expected.Predicted)
				}
			}
			done[c.ID] = true
		})
	}
	if len(done) != 5 {
		t.Errorf("%d of 5 cases checked", len(done))
	}
}

// flickerRows are windows of two flickers in noise, with the same phase in every window.
func flickerRows(seed uint64, examples, channels, length int) *Rows {
	r := rand.New(rand.NewPCG(seed, 4))
	rows := &Rows{Header: sampleHeader(channels, length, 100), Classes: []string{"8 Hz", "13 Hz"}}
	for i := range examples {
		y := i % 2
		f := []float64{8, 13}[y]
		x := make([]float64, channels*length)
		for j := range x {
			x[j] = 3*r.NormFloat64() + float64(1+j/length)*math.Sin(2*math.Pi*f*float64(j%length)/100)
		}
		rows.X, rows.Y, rows.Group = append(rows.X, x), append(rows.Y, y), append(rows.Group, i)
	}
	return rows
}

// The correlation does not change with the mixing of the channels, nor with their
// offset or unit.
func TestCCAIsInvariant(t *testing.T) {
	rows := flickerRows(3, 6, 3, 100)
	cca := &CCA{Freqs: []float64{8, 13}, Harmonics: 2}
	want := outputs(t, cca, rows.Header, rows.X)
	mix := [][]float64{{1, 0.5, -2}, {0, 3, 1}, {-1e-3, 0, 1e-3}}
	var mixed [][]float64
	for _, x := range rows.X {
		y := make([]float64, len(x))
		for a := range mix {
			for b, f := range mix[a] {
				for t := range 100 {
					y[a*100+t] += f*x[b*100+t] + 7
				}
			}
		}
		mixed = append(mixed, y)
	}
	nearby(t, "mixed", flat(outputs(t, cca, rows.Header, mixed)), flat(want), 1e-6, 0)
	for i, k := range winners(want) {
		if k != rows.Y[i] {
			t.Errorf("window %d: %v", i, want[i])
		}
	}
}

func TestSSVEPRefusals(t *testing.T) {
	h := sampleHeader(3, 100, 100)
	two := flickerRows(1, 12, 3, 100)
	few := &Rows{Header: two.Header, Classes: two.Classes, X: two.X[:5], Y: two.Y[:5]}
	flat := &Rows{Header: two.Header, Classes: two.Classes, Y: two.Y}
	for range two.X {
		flat.X = append(flat.X, make([]float64, 300))
	}
	odd := h.Clone()
	odd.Channels[120].Label = "E2 @0.5 s"
	for name, c := range map[string]struct {
		err  func() error
		want string
	}{
		"no freqs":  {func() error { _, err := (&CCA{}).Open(h); return err }, "none given"},
		"nyquist":   {func() error { _, err := (&CCA{Freqs: []float64{20}}).Open(h); return err }, "between 0 and 50 Hz"},
		"harmonics": {func() error { _, err := (&CCA{Freqs: []float64{8}, Harmonics: 99}).Open(h); return err }, "1 to 16"},
		"bands":     {func() error { _, err := (&CCA{Freqs: []float64{8}, Bands: 2}).Open(h); return err }, "do not divide"},
		"features":  {func() error { _, err := (&CCA{Freqs: []float64{8}}).Open(featureHeader(3)); return err }, "features: [samples]"},
		"order":     {func() error { _, err := (&CCA{Freqs: []float64{8}}).Open(odd); return err }, "channel by channel"},
		"short":     {func() error { _, err := (&CCA{Freqs: []float64{8}}).Open(sampleHeader(3, 11, 100)); return err }, "too short"},
		"few":       {func() error { return (&TRCA{}).Fit(context.Background(), few, nil) }, "three or more"},
		"flat":      {func() error { return (&TRCA{}).Fit(context.Background(), flat, nil) }, "no variance"},
		"names":     {func() error { _, err := (&Softmax{Classes: []string{"a"}}).Open(featureHeader(2)); return err }, "one per row"},
		"twice":     {func() error { _, err := (&Softmax{Classes: []string{"a", "a"}}).Open(featureHeader(2)); return err }, "used twice"},
		"scale":     {func() error { _, err := (&Softmax{Scale: -1}).Open(featureHeader(2)); return err }, "positive"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: want %q: %v", name, c.want, err)
		}
	}
	// A window without variance keeps the last scores and is marked.
	cca := &CCA{Freqs: []float64{8, 13}, Harmonics: 1}
	out, err := cca.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(2)
	src.SetColumn(0, two.X[0])
	src.SetColumn(1, make([]float64, 300))
	cca.Process(dst, src)
	if dst.IsBad(0, 0) || !dst.IsBad(0, 1) || dst.At(0, 1) != dst.At(0, 0) {
		t.Errorf("marks %v %v, scores %v %v", dst.IsBad(0, 0), dst.IsBad(0, 1), dst.At(0, 0), dst.At(0, 1))
	}
	// Two channels that are one: the ridge bridges it.
	twin := slices.Clone(two.X[0])
	copy(twin[100:200], twin[:100])
	if y := outputs(t, cca, h, [][]float64{twin})[0]; !allFinite(y) || y[0] <= y[1] {
		t.Errorf("a singular covariance gives %v", y)
	}
}
