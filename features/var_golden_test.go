package features

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// modelOf reads a model whose coefficients are known.
func modelOf(t *testing.T, a, sigma json.RawMessage) *VAR {
	t.Helper()
	s := flat(t, sigma)
	n := int(math.Sqrt(float64(len(s))))
	coefficients := flat(t, a)
	v := NewVAR(n, len(coefficients)/n/n, 1)
	v.Order = v.most
	copy(v.A, coefficients)
	copy(v.Sigma, s)
	return v
}

// spectra computes what the vectors list, at every frequency.
func (v *VAR) spectra(t *testing.T, freqs []float64, fs float64) map[string][]float64 {
	t.Helper()
	got := map[string][]float64{}
	s := newVARSpectrum(v.n)
	if !v.invertSigma(s.inverseSigma) {
		t.Fatal("sigma is singular")
	}
	nn := v.n * v.n
	total := make([]float64, v.n)
	m := make([]float64, nn)
	for _, f := range freqs {
		if !s.at(v, f, fs, true) {
			t.Fatal("A(f) is singular")
		}
		for name, z := range map[string][]complex128{"A_f": s.a, "H": s.h, "S": s.s} {
			for _, z := range z {
				got[name+" re"], got[name+" im"] = append(got[name+" re"], real(z)), append(got[name+" im"], imag(z))
			}
		}
		for name, key := range map[string]string{"coherence": "msc", "partial": "partial_msc", "pdc": "pdc", "gpdc": "gpdc", "dtf": "dtf", "ffdtf": "ffdtf", "ddtf": "ddtf"} {
			s.measures(name, v, m)
			got[key] = append(got[key], m...)
		}
		for i := range total {
			for j := range v.n {
				total[i] += abs2(s.h[i*v.n+j])
			}
		}
	}
	for _, key := range []string{"ffdtf", "ddtf"} {
		for i := range got[key] {
			got[key][i] /= math.Sqrt(total[i%nn/v.n])
		}
	}
	return got
}

func TestGoldenMVAR(t *testing.T) {
	g := load(t, "mvar")
	for i := range g.Cases {
		c := &g.Cases[i]
		fs := number(t, c.Params["fs"])
		compare := func(got map[string][]float64, keys ...string) {
			for _, key := range keys {
				if got[key+" re"] != nil {
					var z complexes
					_ = json.Unmarshal(c.Expected[key], &z)
					g.check(t, c, key+" re", got[key+" re"], flat(t, z.Re))
					g.check(t, c, key+" im", got[key+" im"], flat(t, z.Im))
					continue
				}
				g.check(t, c, key, got[key], flat(t, c.Expected[key]))
			}
		}
		switch c.ID {
		case "known_model_3ch":
			m := modelOf(t, c.Params["A"], c.Params["sigma"])
			compare(m.spectra(t, flat(t, c.Params["freq_hz"]), fs), "A_f", "H", "S", "msc", "partial_msc", "pdc", "gpdc", "dtf", "ffdtf", "ddtf")
			if r := m.Radius(make([]float64, 2*36)); math.Abs(r-math.Sqrt(0.9025)) > 1e-4 {
				t.Errorf("spectral radius %v", r)
			}
			m.A[0] = 2.1
			if r := m.Radius(make([]float64, 2*36)); r < 1 {
				t.Errorf("an unstable model has the radius %v", r)
			}
		case "least_squares_3ch_p2", "nuttall_strand_3ch_p2":
			x := g.signal(t, c.Input)
			for _, row := range x {
				var mean float64
				for _, v := range row {
					mean += v / float64(len(row))
				}
				for n := range row {
					row[n] -= mean
				}
			}
			m := NewVAR(3, 4, 600)
			fit := m.LeastSquares
			if c.ID == "nuttall_strand_3ch_p2" {
				fit = m.NuttallStrand
			}
			if !fit(x, 2) {
				t.Fatal("no fit")
			}
			g.check(t, c, "A", m.A[:18], flat(t, c.Expected["A"]))
			g.check(t, c, "sigma", m.Sigma, flat(t, c.Expected["sigma"]))
			if c.Params["freq_hz"] != nil {
				compare(m.spectra(t, flat(t, c.Params["freq_hz"]), fs), "pdc", "dtf", "msc")
			}
		case "granger_2ch_known":
			m := modelOf(t, c.Params["A"], c.Params["sigma"])
			s := newVARSpectrum(2)
			var into1, into2 []float64
			for _, f := range flat(t, c.Params["freq_hz"]) {
				s.at(m, f, fs, false)
				into1, into2 = append(into1, m.granger(s, 0, 1, fs)), append(into2, m.granger(s, 1, 0, fs))
			}
			compare(map[string][]float64{"granger_2_to_1": into1, "granger_1_to_2": into2}, "granger_2_to_1", "granger_1_to_2")
		default:
			t.Errorf("case %s is not checked", c.ID)
		}
	}
}

// driven makes n samples of channels where each drives the next with a lag of 2.
func driven(c, n int) [][]float64 {
	r := rand.New(rand.NewPCG(4, 4))
	x := make([][]float64, c)
	for i := range x {
		x[i] = make([]float64, n)
		for t := range x[i] {
			x[i][t] = r.NormFloat64()
			if t >= 2 {
				x[i][t] += 0.5*x[i][t-1] - 0.6*x[i][t-2]
				if i > 0 {
					x[i][t] += 0.6 * x[i-1][t-2]
				}
			}
		}
	}
	return x
}

// TestDirectedFindsTheDriver: both estimators, every directed measure, three channels in
// a row of which the first drives the second and that the third.
func TestDirectedFindsTheDriver(t *testing.T) {
	x := driven(3, 4000)
	for _, method := range []string{"ls", "nuttall-strand"} {
		for _, measure := range []string{"pdc", "gpdc", "dtf", "ffdtf", "ddtf", "granger"} {
			h, v, bad := once(t, 100, x, &Directed{Measure: measure, Method: method, Order: 6, Criterion: "mdl", Bands: []Band{{Low: 5, High: 40}}})
			at := func(label string) float64 {
				i := h.Index("mvar-" + measure + " " + label + " 5-40 Hz")
				if i < 0 || bad[i] {
					t.Fatalf("%s %s: no value %q in %v", method, measure, label, h.Labels())
				}
				return v[i]
			}
			for _, pair := range [][2]string{{"E1>E2", "E2>E1"}, {"E2>E3", "E3>E2"}} {
				if there, back := at(pair[0]), at(pair[1]); there < 4*back || there <= 0 {
					t.Errorf("%s %s: %s %v, %s %v", method, measure, pair[0], there, pair[1], back)
				}
			}
		}
	}
}
