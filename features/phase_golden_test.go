package features

import (
	"encoding/json"
	"math"
	"testing"
)

// flip turns the order of conjugation of the vectors, z_i conj(z_j), into ours; of the
// imaginary part of the locking they have the magnitude.
func flip(measure string, v []float64) []float64 {
	switch measure {
	case "phase":
		return apply(v, func(x float64) float64 { return -x })
	case "iplv":
		return apply(v, math.Abs)
	}
	return v
}

func TestGoldenPhaseOverTime(t *testing.T) {
	g := load(t, "phase_over_time")
	names := map[string]string{"plv": "plv", "mean_phase_diff": "phase", "pli": "pli", "wpli": "wpli", "imag_plv": "iplv", "coherency_abs": "coherence"}
	for i := range g.Cases {
		c := &g.Cases[i]
		fs, x, w := number(t, c.Params["fs"]), g.signal(t, c.Input), flat(t, c.Params["window"])
		checked := 0
		for key, measure := range names {
			if c.Expected[key] == nil {
				continue
			}
			checked++
			want := flat(t, c.Expected[key])
			e := &PhaseConnectivity{Measure: measure}
			var got []float64
			if c.Params["sos"] != nil {
				y := filtered(rowsOf(t, c.Params["sos"]), x)
				e.Margin, e.NewMargin = w[0]/fs, (1000-w[1])/fs
				if e.NewMargin == 0 {
					e.NewMargin = -1
				}
				_, got, _ = once(t, fs, y, e)
			} else {
				e.Method, e.Freq, e.Cutoff = "demodulation", number(t, c.Params["f0_hz"]), 2
				_, v, bad := columnsOf(t, fs, x, &Windows{Length: (w[1] - w[0]) / fs, Hop: 0.1, Extractors: []Extractor{e}})
				got = v[len(v)-1]
				if !bad[0][0] || bad[len(bad)-1][0] {
					t.Errorf("marks: %v in the first window, %v in the last", bad[0][0], bad[len(bad)-1][0])
				}
			}
			g.check(t, c, key, flip(measure, got), want)
		}
		if c.Params["sos"] == nil {
			var z complexes
			_ = json.Unmarshal(c.Expected["z_ch0_every_100"], &z)
			re, im := flat(t, z.Re), flat(t, z.Im)
			_, v, _ := columnsOf(t, fs, x, &Windows{Length: 1 / fs, Hop: 1 / fs, Extractors: []Extractor{&Demodulation{Freq: 10, Cutoff: 2, Output: "complex"}}})
			for k := range re {
				g.check(t, c, "z", []float64{v[100*k][0], v[100*k][len(x)]}, []float64{re[k], im[k]})
			}
		}
		if checked < 2 {
			t.Errorf("%s: %d measures checked", c.ID, checked)
		}
	}
}

func TestGoldenEnvelopeCorrelation(t *testing.T) {
	g := load(t, "aec")
	for i := range g.Cases {
		c := &g.Cases[i]
		fs, w := number(t, c.Params["fs"]), flat(t, c.Params["window"])
		y := filtered(rowsOf(t, c.Params["sos"]), g.signal(t, c.Input))
		e := &EnvelopeCorrelation{
			Plain: string(c.Params["orthogonalise"]) == "false", Log: string(c.Params["log"]) == "true", Signed: string(c.Params["absolute"]) == "false",
			Margin: w[0] / fs, NewMargin: (1000 - w[1]) / fs,
		}
		if e.NewMargin == 0 {
			e.NewMargin = -1
		}
		_, v, _ := once(t, fs, y, e)
		m := rowsOf(t, c.Expected["matrix"])
		var want []float64
		for a := range m {
			want = append(want, m[a][a+1:]...)
		}
		g.check(t, c, "matrix", v, want)
	}
}

// TestAnalytic: for a sine the second part is the cosine, for any length.
func TestAnalytic(t *testing.T) {
	for _, n := range []int{50, 64, 75, 101, 250} {
		x := make([]float64, n)
		for i := range x {
			x[i] = math.Cos(2*math.Pi*5*float64(i)/float64(n)) + 3
		}
		e := &EnvelopeCorrelation{Plain: true}
		w := &Windows{Length: float64(n) / 100, Hop: 0.01, Extractors: []Extractor{e}}
		columnsOf(t, 100, [][]float64{x, x}, w)
		z := e.a.tile(0, 0, n)
		for i := range n {
			if want := math.Sin(2 * math.Pi * 5 * float64(i) / float64(n)); math.Abs(z[2*i+1][1]-want) > 1e-12 || z[2*i][1] != x[i] {
				t.Fatalf("n=%d: z[%d] = %v%+vi, want %v%+vi", n, i, z[2*i][1], z[2*i+1][1], x[i], want)
			}
		}
	}
}

// TestDemodulationOfASine reads its amplitude and its phase.
func TestDemodulationOfASine(t *testing.T) {
	x := make([]float64, 2000)
	for i := range x {
		x[i] = 3 * math.Cos(2*math.Pi*10*float64(i)/250+0.7)
	}
	for output, want := range map[string]float64{"amplitude": 3, "phase": 0.7} {
		_, v, bad := columnsOf(t, 250, [][]float64{x}, &Windows{Length: 0.1, Hop: 0.1, Extractors: []Extractor{&Demodulation{Freq: 10, Cutoff: 1, Output: output}}})
		last := len(v) - 1
		if math.Abs(v[last][0]-want) > 0.02 || bad[last][0] || !bad[0][0] {
			t.Errorf("%s %v, want %v (marked %v)", output, v[last][0], want, bad[last][0])
		}
	}
}
