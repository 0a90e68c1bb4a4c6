package features

import (
	"encoding/json"
	"strings"
	"testing"
)

// sosFilter runs a cascade of second-order sections, direct form II transposed.
func sosFilter(sos [][]float64, x []float64) []float64 {
	y := append([]float64(nil), x...)
	for _, s := range sos {
		var z1, z2 float64
		for i, v := range y {
			o := s[0]*v + z1
			z1 = s[1]*v - s[4]*o + z2
			z2 = s[2]*v - s[5]*o
			y[i] = o
		}
	}
	return y
}

func filtered(sos [][]float64, x [][]float64) [][]float64 {
	out := make([][]float64, len(x))
	for i := range x {
		out[i] = sosFilter(sos, x[i])
	}
	return out
}

func TestGoldenScalarFeatures(t *testing.T) {
	g := load(t, "scalar_features")
	for i := range g.Cases {
		c := &g.Cases[i]
		x := g.signal(t, c.Input)
		fs := number(t, c.Params["fs"])
		want := func(key string) []float64 { return flat(t, c.Expected[key]) }
		switch {
		case strings.HasPrefix(c.ID, "time_"):
			_, v, bad := once(t, fs, x, &Hjorth{})
			for k, name := range []string{"hjorth_activity", "hjorth_mobility", "hjorth_complexity"} {
				g.check(t, c, name, v[k:k+1], want(name))
			}
			if v[0] == 0 && (!bad[1] || !bad[2]) {
				t.Errorf("%s: mobility without variance is not marked", c.ID)
			}
			_, v, _ = once(t, fs, x, &TimeStats{Which: []string{"line-length", "zero-crossings", "rms", "peak-to-peak", "skewness", "kurtosis"}})
			for k, name := range []string{"line_length", "zero_crossings_about_mean", "rms", "ptp", "skew", "kurtosis_excess"} {
				g.check(t, c, name, v[k:k+1], want(name))
			}
			_, v, bad = once(t, fs, x, &LogVariance{})
			g.check(t, c, "log_var", v, want("log_var"))
			if want("log_var")[0] != want("log_var")[0] && !bad[0] {
				t.Errorf("%s: the logarithm of no variance is not marked", c.ID)
			}
		case strings.HasPrefix(c.ID, "bandpower_"):
			var bands map[string][2]float64
			var results map[string]map[string]float64
			_ = json.Unmarshal(c.Params["bands_hz"], &bands)
			results = map[string]map[string]float64{}
			for _, kind := range []string{"absolute", "relative", "db"} {
				m := map[string]float64{}
				_ = json.Unmarshal(c.Expected[kind], &m)
				results[kind] = m
			}
			total := flat(t, c.Params["total_hz"])
			for name, b := range bands {
				for kind, scale := range map[string]string{"absolute": "linear", "relative": "linear", "db": "db"} {
					e := &BandPower{Bands: []Band{{name, b[0], b[1]}}, Method: text(c.Params["method"]), Scale: scale, Relative: kind == "relative", Total: Band{"total", total[0], total[1]}, Welch: Welch{Segment: 1, Step: 0.5}}
					_, v, _ := once(t, fs, first(x, 125+125*((len(x[0])-125)/125)), e)
					g.check(t, c, kind+" "+name, v, []float64{results[kind][name]})
				}
			}
			e := &BandPower{Bands: []Band{{"total", total[0], total[1]}}, Method: text(c.Params["method"]), Scale: "linear", Welch: Welch{Segment: 1, Step: 0.5}}
			_, v, _ := once(t, fs, first(x, 125+125*((len(x[0])-125)/125)), e)
			g.check(t, c, "total", v, want("total"))
		case strings.HasPrefix(c.ID, "spectral_"):
			x = first(x, 125+125*((len(x[0])-125)/125))
			w := Welch{Segment: 1, Step: 0.5}
			r := flat(t, c.Params["range_hz"])
			_, v, _ := once(t, fs, x, &SpectralShape{Welch: w, Low: r[0], High: r[1], Bits: true, Which: []string{"entropy", "flatness"}})
			g.check(t, c, "entropy_bits", v[:1], want("entropy_bits"))
			g.check(t, c, "flatness", v[1:], want("flatness"))
			_, v, _ = once(t, fs, x, &SpectralShape{Welch: w, Low: r[0], High: r[1], Which: []string{"entropy"}})
			g.check(t, c, "entropy_normalised", v, want("entropy_normalised"))
			var edges map[string]float64
			_ = json.Unmarshal(c.Expected["edge_frequency_hz"], &edges)
			for share, f := range map[float64]float64{0.5: edges["0.5"], 0.9: edges["0.9"], 0.95: edges["0.95"]} {
				_, v, _ := once(t, fs, x, &SpectralShape{Welch: w, Low: r[0], High: r[1], Edge: share, Which: []string{"edge"}})
				g.check(t, c, "edge", v, []float64{f})
			}
			// the alpha range of the vectors: 8 to 13 Hz, both included
			_, v, _ = once(t, fs, x, &SpectralShape{Welch: w, Low: 8, High: 13, Which: []string{"peak", "centre"}})
			g.check(t, c, "alpha_peak_hz", v[:1], want("alpha_peak_hz"))
			g.check(t, c, "alpha_centre_of_gravity_hz", v[1:], want("alpha_centre_of_gravity_hz"))
			fit, ex := flat(t, c.Params["fit_range_hz"]), flat(t, c.Params["fit_exclude_hz"])
			_, v, _ = once(t, fs, x, &Aperiodic{Welch: w, Low: fit[0], High: fit[1], Exclude: []Band{{Low: ex[0], High: ex[1]}}, Method: "line"})
			g.check(t, c, "aperiodic_offset", v[:1], want("aperiodic_offset"))
			g.check(t, c, "aperiodic_exponent", v[1:], want("aperiodic_exponent"))
		case strings.HasPrefix(c.ID, "fb_logvar"):
			y := filtered(rowsOf(t, c.Params["sos"]), x)
			n, hop := number(t, c.Params["window"])/fs, number(t, c.Params["hop"])/fs
			run := func(length float64, e Extractor) []float64 {
				_, v, _ := columnsOf(t, fs, y, &Windows{Length: length, Hop: hop, Extractors: []Extractor{e}})
				var out []float64
				for _, col := range v {
					out = append(out, col[0])
				}
				return out
			}
			g.check(t, c, "log_var", run(n, &LogVariance{}), want("log_var"))
			g.check(t, c, "log_power", run(n, &LogVariance{KeepMean: true}), want("log_power"))
			g.check(t, c, "ewma_power", run(hop, &Power{Tau: number(t, c.Params["ewma_tau_s"]), Scale: "linear"}), want("ewma_power_every_hop"))
		default:
			t.Errorf("case %s is not checked", c.ID)
		}
	}
}

// trials reads [trial][channel][sample].
func trials(t testing.TB, raw json.RawMessage) [][][]float64 {
	t.Helper()
	var r []json.RawMessage
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	var out [][][]float64
	for _, x := range r {
		out = append(out, rowsOf(t, x))
	}
	return out
}

// square makes a full matrix of the rows of Covariance.
func square(v []float64, c int) []float64 {
	out := make([]float64, c*c)
	k := 0
	for i := range c {
		for j := i; j < c; j++ {
			out[i*c+j], out[j*c+i] = v[k], v[k]
			k++
		}
	}
	return out
}

func TestGoldenCovariance(t *testing.T) {
	g := load(t, "covariance_csp_riemann")
	class1, class2 := trials(t, g.Inputs["class1"]), trials(t, g.Inputs["class2"])
	c := len(class1[0])
	var stream [][]float64 // all trials of class 1, one after the other
	for ch := range c {
		var row []float64
		for _, trial := range class1 {
			row = append(row, trial[ch]...)
		}
		stream = append(stream, row)
	}
	for i := range g.Cases {
		k := &g.Cases[i]
		want := func(key string) []float64 { return flat(t, k.Expected[key]) }
		switch k.ID {
		case "sample_covariance":
			_, v, _ := once(t, 250, class1[0], &Covariance{})
			got := square(v, c)
			g.check(t, k, "class1_trial0", got, want("class1_trial0"))
			for key, class := range map[string][][][]float64{"mean_class1": class1, "mean_class2": class2} {
				mean := make([]float64, c*c)
				for _, trial := range class {
					_, v, _ := once(t, 250, trial, &Covariance{})
					for i, x := range square(v, c) {
						mean[i] += x / float64(len(class))
					}
				}
				g.check(t, k, key, mean, want(key))
			}
			_, v, _ = once(t, 250, class1[0], &Covariance{KeepMean: true}) // CSP's: about zero
			got = square(v, c)
			var trace float64
			for i := range c {
				trace += got[i*c+i]
			}
			for i := range got {
				got[i] /= trace
			}
			g.check(t, k, "trace_normalised", got, want("trace_normalised_class1_trial0"))
			// block sums of any hop give the same matrix
			for _, hop := range []int{1, 8, 25, 40, 200} {
				x := [][]float64{}
				for ch := range c { // an offset that would cost digits without means
					row := make([]float64, 200)
					for n := range row {
						row[n] = class1[0][ch][n] + 20000
					}
					x = append(x, row)
				}
				_, v, _ := columnsOf(t, 250, x, &Windows{Length: 0.8, Hop: float64(hop) / 250, Extractors: []Extractor{&Covariance{}}})
				near(t, "blocks", square(v[0], c), want("class1_trial0"), 1e-9, 1e-9)
			}
		case "ledoit_wolf", "oas":
			estimator := map[string]string{"ledoit_wolf": "lwf", "oas": "oas"}[k.ID]
			_, v, _ := once(t, 250, class1[0], &Covariance{Estimator: estimator})
			g.check(t, k, "class1_trial0", square(v, c), want("class1_trial0"))
		case "ewma_covariance":
			e := &ForgettingCovariance{Alpha: number(t, k.Params["alpha"])}
			_, v, _ := columnsOf(t, 250, stream, &Windows{Length: 0.8, Hop: 0.4, Extractors: []Extractor{e}})
			g.check(t, k, "cov", square(v[len(v)-1], c), want("cov"))
			var mean []float64
			for ch := range c {
				mean = append(mean, e.mean[ch/8][ch%8])
			}
			g.check(t, k, "mean", mean, want("mean"))
		case "welford_covariance":
			var w RunningCovariance
			x := make([]float64, c)
			for n := range stream[0] {
				for ch := range c {
					x[ch] = stream[ch][n]
				}
				w.Add(x)
			}
			g.check(t, k, "mean", w.Mean(), want("mean"))
			g.check(t, k, "cov", w.Covariance(), want("cov"))
		case "cholesky_rank1_update":
			l, u := want("L"), make([]float64, c)
			for ch := range c {
				u[ch] = class1[0][ch][0]
			}
			CholeskyUpdate(l, u)
			g.check(t, k, "L_updated", l, want("L_updated"))
		case "csp", "riemann": // decoders
		default:
			t.Errorf("case %s is not checked", k.ID)
		}
	}
}
