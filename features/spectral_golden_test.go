package features

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"neurostream/stream"
)

// columnsOf runs samples (channel by channel) through windows and returns the header,
// the columns and their marks.
func columnsOf(t testing.TB, rate float64, x [][]float64, w *Windows) (stream.Header, [][]float64, [][]bool) {
	t.Helper()
	h := header(len(x), rate)
	out, err := w.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	var values [][]float64
	var marks [][]bool
	for at := 0; at < len(x[0]); at += h.MaxLen {
		src.Resize(min(h.MaxLen, len(x[0])-at))
		src.Seq = int64(at)
		for ch := range x {
			src.SetRow(ch, x[ch][at:at+src.Len])
		}
		w.Process(dst, src)
		for i := range dst.Len {
			values = append(values, dst.Column(nil, i))
			m := make([]bool, dst.Rows())
			for r := range m {
				m[r] = dst.IsBad(r, i)
			}
			marks = append(marks, m)
		}
	}
	return out, values, marks
}

// once computes the rows of one window that is all of x.
func once(t testing.TB, rate float64, x [][]float64, e Extractor) (stream.Header, []float64, []bool) {
	t.Helper()
	n := float64(len(x[0]))
	h, v, m := columnsOf(t, rate, x, &Windows{Length: n / rate, Hop: 1 / rate, Extractors: []Extractor{e}})
	if len(v) != 1 {
		t.Fatalf("%d windows, want 1", len(v))
	}
	return h, v[0], m[0]
}

func first(x [][]float64, n int) [][]float64 {
	out := make([][]float64, len(x))
	for i := range x {
		out[i] = x[i][:n]
	}
	return out
}

// windowOf reads "hann" or ["tukey", 0.25].
func windowOf(t testing.TB, raw json.RawMessage) (string, float64) {
	t.Helper()
	if s := text(raw); s != "" {
		return s, 0
	}
	var v []any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v[0].(string), v[1].(float64)
}

func welchOf(t testing.TB, p map[string]json.RawMessage) (w Welch, segment, step int) {
	t.Helper()
	fs := number(t, p["fs"])
	segment = int(number(t, p["nperseg"]))
	step = segment
	if p["noverlap"] != nil {
		step -= int(number(t, p["noverlap"]))
	}
	if p["segment_hop"] != nil {
		step = int(number(t, p["segment_hop"]))
	}
	w = Welch{Segment: float64(segment) / fs, Step: float64(step) / fs, Detrend: text(p["detrend"]), Average: text(p["average"])}
	w.Window, w.Shape = windowOf(t, p["window"])
	if p["nfft"] != nil {
		w.Pad = int(number(t, p["nfft"]))
	}
	return w, segment, step
}

func TestGoldenWelch(t *testing.T) {
	g := load(t, "welch")
	for i := range g.Cases {
		c := &g.Cases[i]
		w, segment, step := welchOf(t, c.Params)
		x := g.signal(t, c.Input)
		k := int(number(t, c.Params["n_segments"]))
		e := &PSD{Welch: w, Spectrum: text(c.Params["scaling"]) == "spectrum", TwoSided: c.Params["sides"] != nil}
		_, v, _ := once(t, number(t, c.Params["fs"]), first(x, segment+(k-1)*step), e)
		want := flat(t, c.Expected["psd"])
		if e.TwoSided {
			want = want[:len(v)]
		}
		g.check(t, c, "psd", v, want)
	}
}

// TestGoldenWelchStream runs segments every 32 samples: from a ring of eight, and with
// exponential forgetting.
func TestGoldenWelchStream(t *testing.T) {
	g := load(t, "welch_stream")
	x := g.signal(t, "eeg1000")
	fs := 250.0
	c := g.find(t, "rolling_mean_last8")
	w, segment, step := welchOf(t, c.Params)
	var want map[string]json.RawMessage
	_ = json.Unmarshal(c.Expected["psd_at_segment"], &want)
	ends := flat(t, c.Expected["segment_end_sample"])
	for key, raw := range want {
		var seg int
		_, _ = fmt.Sscan(key, &seg)
		k := min(seg+1, 8)
		_, v, _ := columnsOf(t, fs, x, &Windows{Length: float64(segment+(k-1)*step) / fs, Hop: float64(step) / fs, Extractors: []Extractor{&PSD{Welch: w}}})
		at := seg - k + 1
		g.check(t, c, "segment "+key, v[at], flat(t, raw))
		if end := float64(segment + (k-1)*step + at*step); end != ends[seg] && end-1 != ends[seg] {
			t.Errorf("segment %d ends at %v, want %v", seg, end, ends[seg])
		}
	}
	c = g.find(t, "exponential_lambda0.2")
	_ = json.Unmarshal(c.Expected["psd_at_segment"], &want)
	_, v, _ := columnsOf(t, fs, x, &Windows{Length: float64(segment) / fs, Hop: float64(step) / fs, Extractors: []Extractor{&Smooth{Of: &PSD{Welch: w}, Alpha: 0.2}}})
	clear(want)
	_ = json.Unmarshal(c.Expected["psd_at_segment"], &want)
	for key, raw := range want {
		var seg int
		_, _ = fmt.Sscan(key, &seg)
		g.check(t, c, "segment "+key, v[seg], flat(t, raw))
	}
}

func TestGoldenSpectrogram(t *testing.T) {
	g := load(t, "spectrogram")
	for i := range g.Cases {
		c := &g.Cases[i]
		w, segment, step := welchOf(t, c.Params)
		fs := number(t, c.Params["fs"])
		x := first(g.signal(t, c.Input), int(number(t, c.Params["take_first"])))
		scaling := map[string]string{"spectrum": "amplitude"}[text(c.Params["scaling"])]
		var e Extractor
		mode := text(c.Params["mode"])
		if mode == "psd" {
			e = &PSD{Welch: w, Spectrum: scaling != ""}
		} else {
			e = &Spectrum{Mode: mode, Scaling: scaling, Window: w.Window, Detrend: w.Detrend}
		}
		h, v, _ := columnsOf(t, fs, x, &Windows{Length: float64(segment) / fs, Hop: float64(step) / fs, Extractors: []Extractor{e}})
		var got []float64
		for _, col := range v {
			got = append(got, col...)
		}
		want := c.Expected["S_time_major"]
		if mode == "complex" {
			var z complexes
			if err := json.Unmarshal(want, &z); err != nil {
				t.Fatal(err)
			}
			re, im := rowsOf(t, z.Re), rowsOf(t, z.Im)
			var both []float64
			for k := range re {
				both = append(append(both, re[k]...), im[k]...)
			}
			g.check(t, c, "S", got[:len(both)], both)
		} else {
			w := flat(t, want)
			g.check(t, c, "S", got[:len(w)], w)
		}
		times := flat(t, c.Expected["times_s"])
		if d := times[1] - times[0]; math.Abs(d-1/h.Rate) > 1e-9 {
			t.Errorf("%s: columns %v s apart, want %v", c.ID, 1/h.Rate, d)
		}
	}
}

func TestGoldenMultitaper(t *testing.T) {
	g := load(t, "multitaper")
	for i := range g.Cases {
		c := &g.Cases[i]
		p := c.Params
		e := &Multitaper{AllTapers: string(p["low_bias"]) != "true", Adaptive: string(p["adaptive"]) == "true", PerLength: text(p["normalization"]) == "length"}
		if string(p["bandwidth_hz"]) != "null" {
			e.Bandwidth = number(t, p["bandwidth_hz"])
		}
		_, v, _ := once(t, number(t, p["fs"]), g.signal(t, c.Input), e)
		if n := int(number(t, p["n_tapers"])); n != len(e.t.rows) {
			t.Errorf("%s: %d tapers, want %d", c.ID, len(e.t.rows), n)
		}
		g.check(t, c, "concentrations", e.t.share, flat(t, c.Expected["eigvals"]))
		g.check(t, c, "psd", v, flat(t, c.Expected["psd"]))
	}
}

func TestGoldenBurg(t *testing.T) {
	g := load(t, "burg")
	for i := range g.Cases {
		c := &g.Cases[i]
		order := int(number(t, c.Params["order"]))
		e := &Burg{Order: order}
		if text(c.Params["kind"]) == "theory" { // evaluation of a known model
			x := &Burg{Order: order, KeepMean: true}
			once(t, 250, [][]float64{make([]float64, 100)}, x)
			for i, v := range flat(t, c.Expected["a_true"]) {
				x.model.a[i] = vec{v}
			}
			x.model.e[order] = vec{1}
			x.model.orderOf = [8]int{order}
			clear(x.p)
			x.addDensity()
			var got []float64
			for _, p := range x.p {
				got = append(got, p[0])
			}
			g.check(t, c, "psd_true", got, flat(t, c.Expected["psd_true"]))
			continue
		}
		e.KeepMean = string(c.Params["remove_mean"]) == "false"
		x := g.signal(t, c.Input)
		_, v, bad := once(t, number(t, c.Params["fs"]), x, e)
		var a, k, power []float64
		for i := range e.model.a {
			a = append(a, e.model.a[i][0])
			power = append(power, e.model.e[i][0])
			if i < order {
				k = append(k, e.model.k[i][0])
			}
		}
		g.check(t, c, "a", a, flat(t, c.Expected["a"]))
		g.check(t, c, "reflection", k, flat(t, c.Expected["reflection"]))
		g.check(t, c, "error power", power, flat(t, c.Expected["error_power_by_order"]))
		g.check(t, c, "sigma2", power[order:], flat(t, c.Expected["sigma2"]))
		g.check(t, c, "psd", v, flat(t, c.Expected["psd"]))
		if power[0] == 0 && !bad[0] {
			t.Errorf("%s: a constant window is not marked", c.ID)
		}
		_, v, _ = once(t, number(t, c.Params["fs"]), x, &Burg{Order: order, KeepMean: e.KeepMean, Shape: true})
		g.check(t, c, "psd_shape_sigma1", v, flat(t, c.Expected["psd_shape_sigma1"]))
	}
}

func TestGoldenBurgEpoch(t *testing.T) {
	g := load(t, "burg_epoch")
	c := &g.Cases[0]
	x := g.signal(t, c.Input)
	e := &Burg{Seconds: 0.038, Segment: 0.25, Hop: 0.161}
	_, v, _ := once(t, 500, x, e)
	var starts []float64
	for _, s := range e.starts {
		starts = append(starts, float64(s))
	}
	g.check(t, c, "starts", starts, flat(t, c.Expected["window_start_sample"]))
	g.check(t, c, "psd_mean", v, flat(t, c.Expected["psd_mean"]))
	_, v, _ = once(t, 500, first(x, 125), &Burg{Seconds: 0.038})
	g.check(t, c, "psd_window0", v, flat(t, c.Expected["psd_window0"]))
	last := [][]float64{x[0][e.starts[17] : e.starts[17]+125]}
	_, v, _ = once(t, 500, last, &Burg{Seconds: 0.038})
	g.check(t, c, "psd_window17_ch0", v, flat(t, c.Expected["psd_window17_ch0"]))
}

func TestGoldenSlidingDFT(t *testing.T) {
	g := load(t, "sliding_dft")
	x := g.signal(t, "eeg1000")
	for i := range g.Cases {
		c := &g.Cases[i]
		fs, f, n := number(t, c.Params["fs"]), number(t, c.Params["freq_hz"]), int(number(t, c.Params["n"]))
		if text(c.Params["op"]) == "goertzel" {
			start := int(number(t, c.Params["start"]))
			part := [][]float64{x[0][start : start+n]}
			_, v, _ := once(t, fs, part, &Tones{Freqs: []float64{f}, Output: "complex"})
			var z struct{ Re, Im float64 }
			_ = json.Unmarshal(c.Expected["X"], &z)
			g.check(t, c, "X", v, []float64{z.Re, z.Im})
			_, v, _ = once(t, fs, part, &Tones{Freqs: []float64{f}})
			near(t, c.ID+" power", v, flat(t, c.Expected["power"]), 1e-12, 1e-7)
			continue
		}
		for _, hop := range []int{1, 5, 25} { // blocks of any length give the same
			_, v, _ := columnsOf(t, fs, x, &Windows{Length: float64(n) / fs, Hop: float64(hop) / fs, Extractors: []Extractor{&Tones{Freqs: []float64{f}, Output: "complex"}}})
			var z complexes
			_ = json.Unmarshal(c.Expected["X_every_50"], &z)
			re, im := flat(t, z.Re), flat(t, z.Im)
			for k := range re {
				if at := 50 * k / hop; 50*k%hop == 0 {
					g.check(t, c, fmt.Sprintf("X[%d]", k), v[at], []float64{re[k], im[k]})
				}
			}
			var last struct{ Re, Im float64 }
			_ = json.Unmarshal(c.Expected["X_last"], &last)
			if (len(x[0])-n)%hop == 0 {
				g.check(t, c, "X_last", v[len(v)-1], []float64{last.Re, last.Im})
			}
		}
	}
}
