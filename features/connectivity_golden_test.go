package features

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
)

// pairsByBin reshapes rows (bin, pair) into (pair, bin).
func pairsByBin(v []float64, bins int) []float64 {
	pairs := len(v) / bins
	out := make([]float64, len(v))
	for b := range bins {
		for p := range pairs {
			out[p*bins+b] = v[b*pairs+p]
		}
	}
	return out
}

// connect computes a measure at single bins.
func connect(t testing.TB, fs float64, x [][]float64, w Welch, measure string, bins []int, output string) ([]float64, []bool) {
	t.Helper()
	e := &rawConnectivity{Connectivity{Measure: measure, Welch: w, Output: output}, bins}
	_, v, bad := once(t, fs, x, e)
	return v, bad
}

// rawConnectivity is Connectivity at single bins, without the checks of bands.
type rawConnectivity struct {
	Connectivity
	bins []int
}

func (x *rawConnectivity) Open(p *Plan) ([]Row, error) {
	x.Bands = []Band{{"probe", p.In.Rate / 4, p.In.Rate / 2}}
	rows, err := x.Connectivity.Open(p)
	if err != nil {
		return nil, err
	}
	kind := x.r[0].kind
	x.x.consumers, x.r = nil, nil
	var out []Row
	for _, b := range x.bins {
		x.r = append(x.r, x.x.reduce(kind, b, b+1, false))
		for _, r := range rows {
			r.Label += fmt.Sprint(" bin ", b)
			out = append(out, r)
		}
	}
	return out, nil
}

func sequence(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestGoldenCoherence(t *testing.T) {
	g := load(t, "csd_coherence")
	x := g.signal(t, "x4")
	for i := range g.Cases {
		c := &g.Cases[i]
		w, segment, step := welchOf(t, c.Params)
		fs := number(t, c.Params["fs"])
		if c.ID == "single_segment_is_one" {
			_, err := (&Windows{Length: float64(segment) / fs, Hop: 0.1, Extractors: []Extractor{&Connectivity{Bands: []Band{{Low: 8, High: 30}}, Welch: Welch{Segment: float64(segment) / fs}}}}).Open(header(2, fs))
			if err == nil || !strings.Contains(err.Error(), "makes every coherence 1") {
				t.Errorf("one segment: %v", err)
			}
			continue
		}
		k := (len(x[0])-segment)/step + 1
		part := first(x, segment+(k-1)*step)
		bins := segment/2 + 1
		if strings.HasPrefix(c.ID, "node_strength") {
			for output, key := range map[string]string{"strength": "strength_coherence_sum", "mean-strength": "strength_coherence_mean_n_minus_1"} {
				v, _ := connect(t, fs, part, w, "coherence", sequence(bins), output)
				g.check(t, c, key, pairsByBin(v, bins), flat(t, c.Expected[key]))
			}
			for measure, key := range map[string]string{"coherence": "strength_coherence_mean_n_openvibe", "imaginary": "strength_absimag_mean_n_openvibe"} {
				v, _ := connect(t, fs, part, w, measure, sequence(bins), "strength")
				v = pairsByBin(v, bins)
				self := 0.0 // OpenVIBE divides by C and counts the diagonal where it is 1
				want := flat(t, c.Expected[key])
				if measure == "coherence" {
					self = math.Round(4*want[5] - v[5])
				}
				for i := range v {
					v[i] = (v[i] + self) / 4
				}
				g.check(t, c, key, v, want)
			}
			continue
		}
		_, psd, _ := once(t, fs, part, &PSD{Welch: w})
		g.check(t, c, "psd", psd, flat(t, c.Expected["psd"]))
		for measure, key := range map[string]string{"msc": "msc", "coherence": "coherence", "imaginary": "imag_coherence_scipy_sign", "lagged": "lagged_coherence"} {
			v, _ := connect(t, fs, part, w, measure, sequence(bins), "")
			v = pairsByBin(v, bins)
			want := flat(t, c.Expected[key])
			if measure == "imaginary" {
				near(t, c.ID+" "+key, v, want, 1e-8, 1e-8)
				mne := flat(t, c.Expected["imag_coherence_mne_sign"])
				for i := range v {
					v[i] = -v[i]
				}
				near(t, c.ID+" mne", v, mne, 1e-8, 1e-8)
				continue
			}
			g.check(t, c, key, v, want)
		}
		// cross-spectral densities, from which the measures are made
		e := &rawConnectivity{Connectivity{Measure: "imaginary", Welch: w}, sequence(bins)}
		once(t, fs, part, e)
		var csd complexes
		_ = json.Unmarshal(c.Expected["csd"], &csd)
		var re, im []float64
		for i := range 4 {
			for j := i + 1; j < 4; j++ {
				for b := range bins {
					var sums pairSums
					crossProduct(&sums.s, e.x.rows(e.x.panel, b, 0), e.x.rows(e.x.panel, b, 0))
					f := e.x.s.factor(b) / float64(k)
					re, im = append(re, sums.s[i][j]*f), append(im, sums.s[8+i][j]*f)
				}
			}
		}
		g.check(t, c, "csd re", re, flat(t, csd.Re))
		g.check(t, c, "csd im", im, flat(t, csd.Im))
	}
}

// TestGoldenCoherenceStream keeps ten segments in a ring.
func TestGoldenCoherenceStream(t *testing.T) {
	g := load(t, "csd_stream")
	x := g.signal(t, "x4")
	c := &g.Cases[0]
	w, segment, step := welchOf(t, c.Params)
	fs := number(t, c.Params["fs"])
	var at map[string]struct {
		N         float64         `json:"n_avg"`
		Bins      []int           `json:"bins"`
		Coherence json.RawMessage `json:"coherence_pairs"`
		Imag      json.RawMessage `json:"imag_pairs"`
	}
	if err := json.Unmarshal(c.Expected["at_segment"], &at); err != nil {
		t.Fatal(err)
	}
	for key, want := range at {
		k := int(want.N)
		if k < 2 {
			continue // refused; see TestGoldenCoherence
		}
		var seg int
		_, _ = fmt.Sscan(key, &seg)
		for measure, raw := range map[string]json.RawMessage{"coherence": want.Coherence, "imaginary": want.Imag} {
			e := &rawConnectivity{Connectivity{Measure: measure, Welch: w}, want.Bins}
			_, v, _ := columnsOf(t, fs, x, &Windows{Length: float64(segment+(k-1)*step) / fs, Hop: float64(step) / fs, Extractors: []Extractor{e}})
			g.check(t, c, measure+" at "+key, pairsByBin(v[seg-k+1], len(want.Bins)), flat(t, raw))
		}
	}
}

// signs turns MNE's order of conjugation into ours: imaginary parts change sign.
func signs(measure string, v []float64) []float64 {
	out := append([]float64(nil), v...)
	for i := range out {
		switch measure {
		case "imaginary":
			out[i] = -out[i]
		case "dpli":
			out[i] = 1 - out[i]
		}
	}
	return out
}

var mneNames = map[string]string{
	"coherence": "coh", "imaginary": "imcoh", "plv": "plv", "ciplv": "ciplv", "ppc": "ppc",
	"pli": "pli", "pli2": "pli2_unbiased", "dpli": "dpli", "wpli": "wpli", "wpli2": "wpli2_debiased",
}

func TestGoldenPhaseConnectivity(t *testing.T) {
	g := load(t, "phase_connectivity")
	epochs := trials(t, g.Inputs["epochs3x125"])
	for i := range g.Cases {
		c := &g.Cases[i]
		if c.ID == "zero_lag_degenerate" {
			var p pairTerms
			for range 5 {
				p.add(2, 0)
			}
			for measure, key := range mneNames {
				kind := indexOf(measure)
				g.check(t, c, measure, []float64{p.value(kind, 100)}, flat(t, c.Expected[key]))
			}
			continue
		}
		spectrum := c
		if id := text(c.Params["same_spectra_as"]); id != "" {
			spectrum = g.find(t, id)
		}
		bandwidth := 0.0
		if text(spectrum.Params["mode"]) == "fourier" {
			bandwidth = -1
		} else if string(spectrum.Params["bandwidth_hz"]) != "null" {
			bandwidth = number(t, spectrum.Params["bandwidth_hz"])
		}
		df, lo, n := number(t, spectrum.Expected["df"]), number(t, spectrum.Expected["first_bin"]), number(t, spectrum.Expected["n_bins"])
		low, high := lo*df, (lo+n-1)*df
		if c != spectrum {
			b := flat(t, c.Params["band_hz"])
			low, high = b[0], b[1]
		}
		x, err := NewEpochConnectivity(3, 125, number(t, spectrum.Params["fs"]), bandwidth, low, high)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range epochs {
			if err := x.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		for measure, key := range mneNames {
			values, err := x.Values(measure)
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for _, row := range values {
				if c == spectrum {
					got = append(got, signs(measure, row)...)
					continue
				}
				var sum float64
				for _, v := range signs(measure, row) {
					sum += v
				}
				got = append(got, sum/float64(len(row)))
			}
			g.check(t, c, measure, got, flat(t, c.Expected[key]))
		}
	}
}

func indexOf(measure string) measureKind {
	for k, name := range measureNames {
		if name == measure {
			return measureKind(k)
		}
	}
	return -1
}

// TestConnectivityMeasures compares every measure, pooled and not, with the sums that
// EpochConnectivity makes of the same segments.
func TestConnectivityMeasures(t *testing.T) {
	g := load(t, "csd_coherence")
	x := g.signal(t, "x4")
	x = append(append([][]float64{}, x...), x[1][:], x[0], x[2], x[3], x[0], x[1]) // ten channels: two tiles
	for i := 4; i < len(x); i++ {                                                  // not copies: mixtures
		row := append([]float64(nil), x[i]...)
		for n := range row {
			row[n] += 0.3*float64(i)*x[(i+1)%4][(n+i)%len(row)] + float64((n*7919*i)%101)/10
		}
		x[i] = row
	}
	const segment, step, k = 125, 25, 12
	ec, err := NewEpochConnectivity(len(x), segment, 250, -1, 8, 28)
	if err != nil {
		t.Fatal(err)
	}
	for s := range k {
		var epoch [][]float64
		for ch := range x {
			epoch = append(epoch, x[ch][s*step:s*step+segment])
		}
		if err := ec.Add(epoch); err != nil {
			t.Fatal(err)
		}
	}
	for _, measure := range measureNames {
		want, err := ec.Values(measure)
		if err != nil {
			t.Fatal(err)
		}
		var mean []float64
		for _, row := range want {
			var s float64
			for _, v := range row {
				s += v / float64(len(row))
			}
			mean = append(mean, s)
		}
		if measure != "phase" { // an angle has no mean over bins
			_, got, _ := once(t, 250, first(x, segment+(k-1)*step), &Connectivity{Measure: measure, Bands: []Band{{Low: 8, High: 29}}, Welch: Welch{Segment: 0.5, Step: 0.1}})
			near(t, measure, got, mean, 1e-9, 1e-9)
		}

		// pooled: the same sums over bins and segments
		kind, n := indexOf(measure), ec.hi-ec.lo
		var pooled []float64
		pair := 0
		for i := range x {
			for j := i + 1; j < len(x); j++ {
				var p pairTerms
				var pi, pj float64
				for b := range n {
					q := ec.terms[pair*n+b]
					p.re, p.im, p.ure, p.uim = p.re+q.re, p.im+q.im, p.ure+q.ure, p.uim+q.uim
					p.lag, p.abs, p.squares, p.sign, p.n = p.lag+q.lag, p.abs+q.abs, p.squares+q.squares, p.sign+q.sign, p.n+q.n
					pi, pj = pi+ec.power[i*n+b], pj+ec.power[j*n+b]
				}
				pooled = append(pooled, p.value(kind, pi*pj))
				pair++
			}
		}
		_, got, _ := once(t, 250, first(x, segment+(k-1)*step), &Connectivity{Measure: measure, Pooled: true, Bands: []Band{{Low: 8, High: 29}}, Welch: Welch{Segment: 0.5, Step: 0.1}})
		near(t, measure+" pooled", got, pooled, 1e-9, 1e-9)
	}
}
