package filters

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"neurostream/stream"
)

// goldenFile is a file of testdata; see the README there.
type goldenFile struct {
	Default map[string]float64         `json:"default_tolerance"`
	Inputs  map[string]json.RawMessage `json:"inputs"`
	Cases   []goldenCase               `json:"cases"`
}

type goldenCase struct {
	ID        string                     `json:"id"`
	Params    map[string]json.RawMessage `json:"params"`
	Input     string                     `json:"input"`
	SOS       [][6]float64               `json:"sos"`
	H         []float64                  `json:"h"`
	Zi0       json.RawMessage            `json:"zi0"`
	SameAs    string                     `json:"filter_same_as"`
	Expected  map[string]json.RawMessage `json:"expected"`
	Tolerance map[string]any             `json:"tolerance"`
}

// complexes is {"re": [...], "im": [...]}.
type complexes struct{ Re, Im []float64 }

func golden(t testing.TB, name string) *goldenFile {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	g := new(goldenFile)
	if err := json.Unmarshal(b, g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return g
}

func (g *goldenFile) find(t testing.TB, id string) *goldenCase {
	t.Helper()
	for i := range g.Cases {
		if g.Cases[i].ID == id {
			return &g.Cases[i]
		}
	}
	t.Fatalf("no case %q", id)
	return nil
}

// decode reads a value; a missing one fails the test.
func decode[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	if len(raw) == 0 {
		t.Fatal("the value is missing")
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %.80s", err, raw)
	}
	return v
}

// or returns a value, or other when it is missing or null.
func or[T any](t testing.TB, raw json.RawMessage, other T) T {
	t.Helper()
	if len(raw) == 0 || string(raw) == "null" {
		return other
	}
	return decode[T](t, raw)
}

// tolerance is one entry of the case's tolerances, or 0.
func (c *goldenCase) tolerance(name string) float64 {
	v, _ := c.Tolerance[name].(float64)
	return v
}

// near compares at the case's tolerance: |got-want| <= abs + rel max(|got|, |want|).
func (c *goldenCase) near(t testing.TB, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %s has %d values, want %d", c.ID, what, len(got), len(want))
		return
	}
	abs, rel := c.tolerance("abs"), c.tolerance("rel")
	if abs == 0 && rel == 0 {
		t.Fatalf("%s states no tolerance", c.ID)
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= abs+rel*max(math.Abs(got[i]), math.Abs(want[i]))) {
			t.Errorf("%s: %s[%d] is %v, want %v (off by %.3g)", c.ID, what, i, got[i], want[i], got[i]-want[i])
			return
		}
	}
}

// header is a stream of EEG channels.
func header(labels []string, rate float64) stream.Header {
	h := stream.Header{Name: "eeg", Rate: rate, MaxLen: 64}
	for _, l := range labels {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	return h
}

// names are a, b, c, ...
func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = string(rune('a'+i%26)) + string(rune('0'+i/26))
	}
	return out
}

// through feeds x [channel][sample] to an unopened stage in chunks of these lengths,
// again and again, the first column having index seq, and returns what comes out.
func through(t testing.TB, s stream.Stage, in stream.Header, x [][]float64, seq int64, chunks []int) (out stream.Header, y [][]float64, first int64) {
	t.Helper()
	longest := 1
	for _, n := range chunks {
		longest = max(longest, n)
	}
	in.MaxLen = longest
	out, err := s.Open(in)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	y = make([][]float64, out.Rows())
	started := false
	for at, k := 0, 0; at < len(x[0]); k++ {
		n := min(chunks[k%len(chunks)], len(x[0])-at)
		src.Clear()
		src.Resize(n)
		src.Seq = seq + int64(at)
		src.T0 = stream.Time(math.Round(float64(src.Seq) / in.Rate * 1e9))
		for ch := range x {
			src.SetRow(ch, x[ch][at:at+n])
		}
		s.Process(dst, src)
		if dst.Len > 0 {
			if !started {
				first, started = dst.Seq, true
			} else if dst.Seq != first+int64(len(y[0])) {
				t.Fatalf("output has Seq %d, want %d", dst.Seq, first+int64(len(y[0])))
			}
		}
		for ch := range y {
			y[ch] = append(y[ch], dst.Row(nil, ch)...)
		}
		at += n
	}
	return out, y, first
}

// fromZero returns x with one column of zeros in front, so that a stage that starts
// in the steady state of its first column starts from zero.
func fromZero(x [][]float64) [][]float64 {
	out := make([][]float64, len(x))
	for i := range x {
		out[i] = append([]float64{0}, x[i]...)
	}
	return out
}

func channels(t testing.TB, raw json.RawMessage) [][]float64 {
	t.Helper()
	var many [][]float64
	if json.Unmarshal(raw, &many) == nil {
		return many
	}
	return [][]float64{decode[[]float64](t, raw)}
}

var kindOf = map[string]Kind{"lowpass": LowPass, "highpass": HighPass, "bandpass": BandPass, "bandstop": BandStop}

var familyOf = map[string]Family{
	"butter": ButterworthFamily, "cheby1": Chebyshev1Family, "cheby2": Chebyshev2Family, "ellip": EllipticFamily, "bessel": BesselFamily,
}

// paired returns the largest distance between two sets of roots after greedy matching.
func paired(got []complex128, want complexes) float64 {
	if len(got) != len(want.Re) {
		return math.Inf(1)
	}
	left := append([]complex128(nil), got...)
	worst := 0.0
	for i := range want.Re {
		w, best := complex(want.Re[i], want.Im[i]), 0
		for j := range left {
			if cmplx.Abs(left[j]-w) < cmplx.Abs(left[best]-w) {
				best = j
			}
		}
		worst = max(worst, cmplx.Abs(left[best]-w))
		left = append(left[:best], left[best+1:]...)
	}
	return worst
}

// respond is the complex gain of sections.
func respond(s []Section, freq, rate float64) complex128 {
	z := cmplx.Exp(complex(0, -2*math.Pi*freq/rate))
	h := complex(1, 0)
	for _, q := range s {
		num := complex(q.B0, 0) + complex(q.B1, 0)*z + complex(q.B2, 0)*z*z
		den := 1 + complex(q.A1, 0)*z + complex(q.A2, 0)*z*z
		h *= num / den
	}
	return h
}

// TestIIRDesigns: iir_design.json, all 109 of SciPy's designs.
func TestIIRDesigns(t *testing.T) {
	g := golden(t, "iir_design")
	for i := range g.Cases {
		c := &g.Cases[i]
		fs := decode[float64](t, c.Params["fs"])
		freq, want := decode[[]float64](t, c.Expected["freq_hz"]), decode[complexes](t, c.Expected["h"])
		var sections []Section
		var radius float64
		switch family := decode[string](t, c.Params["family"]); family {
		case "iirnotch", "iirpeak":
			design := NotchSection
			if family == "iirpeak" {
				design = PeakSection
			}
			s, err := design(decode[float64](t, c.Params["f0_hz"]), decode[float64](t, c.Params["q"]), fs)
			if err != nil {
				t.Fatalf("%s: %v", c.ID, err)
			}
			b, a := decode[[]float64](t, c.Expected["b"]), decode[[]float64](t, c.Expected["a"])
			for k, got := range []float64{s.B0, s.B1, s.B2, 1, s.A1, s.A2} {
				if w := append(b, a...)[k]; math.Abs(got-w) > c.tolerance("sos_abs") {
					t.Errorf("%s: coefficient %d is %v, want %v", c.ID, k, got, w)
				}
			}
			sections, radius = []Section{s}, ZPK{Poles: s.poles()}.Radius()
		default:
			z, err := Design(familyOf[family], kindOf[decode[string](t, c.Params["btype"])], decode[int](t, c.Params["order"]),
				or(t, c.Params["ripple_db"], 0.0), or(t, c.Params["atten_db"], 0.0), fs, decode[[]float64](t, c.Params["cutoff_hz"])...)
			if err != nil {
				t.Fatalf("%s: %v", c.ID, err)
			}
			if d := paired(z.Zeros, decode[complexes](t, c.Expected["zeros"])); d > c.tolerance("zpk_abs") {
				t.Errorf("%s: zeros are off by %g", c.ID, d)
			}
			if d := paired(z.Poles, decode[complexes](t, c.Expected["poles"])); d > c.tolerance("zpk_abs") {
				t.Errorf("%s: poles are off by %g", c.ID, d)
			}
			if k := decode[float64](t, c.Expected["gain"]); math.Abs(z.Gain-k) > c.tolerance("zpk_abs") {
				t.Errorf("%s: gain %v, want %v", c.ID, z.Gain, k)
			}
			sections, radius = z.Sections(), z.Radius()
		}
		for k, f := range freq {
			if d := cmplx.Abs(respond(sections, f, fs) - complex(want.Re[k], want.Im[k])); d > c.tolerance("h_abs") {
				t.Errorf("%s: response at %v Hz is off by %g", c.ID, f, d)
			}
		}
		if r := decode[float64](t, c.Expected["max_pole_radius"]); math.Abs(radius-r) > 1e-8 || (radius < 1) != decode[bool](t, c.Expected["stable"]) {
			t.Errorf("%s: pole radius %v, want %v", c.ID, radius, r)
		}
	}
	if len(g.Cases) != 109 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestOrders: iir_order.json.
func TestOrders(t *testing.T) {
	g := golden(t, "iir_order")
	for i := range g.Cases {
		c := &g.Cases[i]
		n, _, wn, err := Order(familyOf[decode[string](t, c.Params["family"])], decode[[]float64](t, c.Params["wp_hz"]), decode[[]float64](t, c.Params["ws_hz"]),
			decode[float64](t, c.Params["gpass_db"]), decode[float64](t, c.Params["gstop_db"]), decode[float64](t, c.Params["fs"]))
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		if want := decode[int](t, c.Expected["order"]); n != want {
			t.Errorf("%s: order %d, want %d", c.ID, n, want)
		}
		for k, want := range decode[[]float64](t, c.Expected["wn_hz"]) {
			if !(math.Abs(wn[k]-want) <= c.tolerance("wn_abs")) {
				t.Errorf("%s: edge %d is %v Hz, want %v", c.ID, k, wn[k], want)
			}
		}
	}
	if len(g.Cases) != 28 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

func sectionsOf(sos [][6]float64) []Section {
	var out []Section
	for _, s := range sos {
		out = append(out, Section{s[0] / s[3], s[1] / s[3], s[2] / s[3], s[4] / s[3], s[5] / s[3]})
	}
	return out
}

// sections is a stage of given sections.
type sections struct {
	s []Section
	iir
}

func (f *sections) Open(in stream.Header) (stream.Header, error) {
	return f.open(in, f.s, ZPK{}, 1)
}

// TestStreamsOfSections: sosfilt_stream.json, outputs for every cut and the states of
// all channels at the end.
func TestStreamsOfSections(t *testing.T) {
	g := golden(t, "sosfilt_stream")
	for i := range g.Cases {
		c := &g.Cases[i]
		s := sectionsOf(c.SOS)
		f := &sections{s: s}
		if or(t, c.Params["op"], "") == "sosfilt_zi" {
			in := header(names(1), 250)
			through(t, f, in, [][]float64{{1}}, 0, []int{1})
			f.run.reset()
			f.run.start(0, &[stream.Lanes]float64{1}, 1)
			for k, z := range decode[[][]float64](t, c.Expected["zi"]) {
				c.near(t, "zi", []float64{f.run.state[0][k][0][0], f.run.state[0][k][1][0]}, z)
			}
			continue
		}
		x := channels(t, g.Inputs[c.Input])
		chunks := decode[[]int](t, c.Params["chunks"])
		skip := 0
		var seq int64
		if decode[string](t, c.Params["init"]) == "zero" {
			x, seq, skip = fromZero(x), -1, 1
			chunks = append([]int{1}, chunks...)
		}
		want := c.Expected["y"]
		if other := or(t, c.Expected["y_same_as"], ""); other != "" {
			want = g.find(t, other).Expected["y"]
		}
		_, y, _ := through(t, f, header(names(len(x)), 250), x, seq, chunks)
		for ch, w := range channels(t, want) {
			got := y[ch][skip:]
			c.near(t, "y", got[:len(w)], w)
		}
		if len(c.Expected["zf"]) > 0 && len(x) == 1 {
			for k, z := range decode[[][]float64](t, c.Expected["zf"]) {
				c.near(t, "zf", []float64{f.run.state[0][k][0][0], f.run.state[0][k][1][0]}, z)
			}
		}
		if len(c.Expected["zf"]) > 0 && len(x) > 1 {
			for k, z := range decode[[][][]float64](t, c.Expected["zf"]) {
				for ch := range z {
					c.near(t, "zf", []float64{f.run.state[0][k][0][ch], f.run.state[0][k][1][ch]}, z[ch])
				}
			}
		}
	}
	if len(g.Cases) != 40 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// gain of a FIR filter at a frequency.
func firResponse(h []float64, freq, rate float64) complex128 {
	var sum complex128
	for n, v := range h {
		sum += complex(v, 0) * cmplx.Rect(1, -2*math.Pi*freq/rate*float64(n))
	}
	return sum
}

// TestFIRDesigns: fir_design.json.
func TestFIRDesigns(t *testing.T) {
	g := golden(t, "fir_design")
	designed := map[string][]float64{}
	for i := range g.Cases {
		c := &g.Cases[i]
		fs := or(t, c.Params["fs"], 2.0)
		taps := or(t, c.Params["numtaps"], 0)
		var h []float64
		var err error
		switch design := decode[string](t, c.Params["design"]); design {
		case "kaiserord":
			n, beta, err := KaiserOrder(decode[float64](t, c.Params["ripple_db"]), decode[float64](t, c.Params["width_nyq"]), 2)
			if want := decode[int](t, c.Expected["numtaps"]); err != nil || n != want {
				t.Errorf("%s: %d taps, want %d (%v)", c.ID, n, want, err)
			}
			c.near(t, "beta", []float64{beta}, []float64{decode[float64](t, c.Expected["beta"])})
			continue
		case "firwin", "firwin2":
			name, beta := "", 0.0
			if json.Unmarshal(c.Params["window"], &name) != nil {
				pair := decode[[]any](t, c.Params["window"])
				name, beta = pair[0].(string), pair[1].(float64)
			}
			w, e := windowFor(name, taps, beta)
			if e != nil {
				t.Fatal(e)
			}
			if design == "firwin2" {
				h, err = FrequencySampling(w, decode[[]float64](t, c.Params["freq_hz"]), decode[[]float64](t, c.Params["gain"]), fs)
				break
			}
			pass := decode[string](t, c.Params["pass_zero"])
			h, err = WindowMethod(w, pass == "lowpass" || pass == "bandstop" || pass == "true", fs, decode[[]float64](t, c.Params["cutoff_hz"])...)
		case "firls":
			h, err = LeastSquares(taps, decode[[]float64](t, c.Params["bands_hz"]), decode[[]float64](t, c.Params["desired"]), fs)
		case "minimum_phase":
			from := designed[decode[string](t, c.Params["h_from"])]
			fs = 250
			h, err = HalfMinimumPhase(from, decode[string](t, c.Params["method"]))
			if err != nil {
				break
			}
			freq, want := decode[[]float64](t, c.Expected["freq_hz"]), decode[[]float64](t, c.Expected["H_abs"])
			for k := range freq {
				c.near(t, "|H|", []float64{cmplx.Abs(firResponse(h, freq[k], fs))}, want[k:k+1])
			}
			delays := decode[[]float64](t, c.Expected["group_delay_samples_at_10_15_20_25hz"])
			for k, f := range []float64{10, 15, 20, 25} {
				if d := firDelay(h, f, fs); math.Abs(d-delays[k]) > 1e-3 {
					t.Errorf("%s: delay at %v Hz is %v samples, want %v", c.ID, f, d, delays[k])
				}
			}
			full := MinimumPhase(from) // ours keeps the gain; its delay is still far below the linear 50
			for _, f := range []float64{5, 10, 20, 28, 40} {
				if d := cmplx.Abs(firResponse(full, f, fs)) - cmplx.Abs(firResponse(from, f, fs)); math.Abs(d) > 2e-3 {
					t.Errorf("minimum phase changes the gain at %v Hz by %g", f, d)
				}
			}
			if d := firDelay(full, 15, fs); !(d < 20) {
				t.Errorf("minimum phase delays 15 Hz by %v samples", d)
			}
		default:
			t.Fatalf("%s: design %q is not known", c.ID, design)
		}
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		designed[c.ID] = h
		c.near(t, "h", h, decode[[]float64](t, c.Expected["h"]))
		if len(c.Expected["H"]) > 0 {
			freq, want := decode[[]float64](t, c.Expected["freq_hz"]), decode[complexes](t, c.Expected["H"])
			for k, f := range freq {
				got := firResponse(h, f, fs)
				c.near(t, "H", []float64{real(got), imag(got)}, []float64{want.Re[k], want.Im[k]})
			}
		}
	}
	if len(g.Cases) != 23 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestStreamsOfFIR: fir_stream.json.
func TestStreamsOfFIR(t *testing.T) {
	g := golden(t, "fir_stream")
	for i := range g.Cases {
		c := &g.Cases[i]
		x := fromZero([][]float64{decode[[]float64](t, g.Inputs[c.Input])})
		want := c.Expected["y"]
		if other := or(t, c.Expected["y_same_as"], ""); other != "" {
			want = g.find(t, other).Expected["y"]
		}
		chunks := append([]int{1}, decode[[]int](t, c.Params["chunks"])...)
		out, y, _ := through(t, &FIR{Coefficients: c.H}, header(names(1), 250), x, -1, chunks)
		c.near(t, "y", y[0][1:], decode[[]float64](t, want))
		if d := decode[float64](t, c.Params["group_delay_samples"]); math.Abs(out.Delay*250-d) > 1e-9 {
			t.Errorf("%s: delay of %v samples, want %v", c.ID, out.Delay*250, d)
		}
	}
	if len(g.Cases) != 10 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestDecimation: decimate_causal.json.
func TestDecimation(t *testing.T) {
	g := golden(t, "decimate_causal")
	for i := range g.Cases {
		c := &g.Cases[i]
		sos := c.SOS
		if c.SameAs != "" {
			sos = g.find(t, c.SameAs).SOS
		}
		q, phase := decode[int](t, c.Params["q"]), decode[int](t, c.Params["phase"])
		f := &Decimate{Factor: q, Phase: phase, Filter: "fir"}
		switch decode[string](t, c.Params["filter"]) {
		case "iir_cheby1_8_0.05":
			f.Filter = "iir" // our own design, not the file's
		case "iir_butter_4":
			f.Filter, f.sections = "iir", sectionsOf(sos)
		}
		x := fromZero([][]float64{decode[[]float64](t, g.Inputs[c.Input])})
		out, y, first := through(t, f, header(names(1), decode[float64](t, c.Params["fs_in"])), x, -1, append([]int{1}, decode[[]int](t, c.Params["chunks"])...))
		got := y[0][-first:] // output 0 is the first of the file
		if n := decode[int](t, c.Expected["n_out"]); len(got) != n || out.Rate != decode[float64](t, c.Params["fs_out"]) {
			t.Errorf("%s: %d outputs at %v Hz, want %d", c.ID, len(got), out.Rate, n)
			continue
		}
		head, tail := decode[[]float64](t, c.Expected["y_first"]), decode[[]float64](t, c.Expected["y_last"])
		c.near(t, "y_first", got[:len(head)], head)
		c.near(t, "y_last", got[len(got)-len(tail):], tail)
		sum, square := 0.0, 0.0
		for _, v := range got {
			sum += v
			square += v * v
		}
		c.near(t, "sum", []float64{sum}, []float64{decode[float64](t, c.Expected["sum"])})
		c.near(t, "sum_sq", []float64{square}, []float64{decode[float64](t, c.Expected["sum_sq"])})
	}
	if len(g.Cases) != 24 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestResampling: resample_poly.json, the causal form; the zero-phase form is the same
// numbers, earlier by the delay.
func TestResampling(t *testing.T) {
	g := golden(t, "resample_poly")
	for i := range g.Cases {
		c := &g.Cases[i]
		up, down := decode[int](t, c.Params["up"]), decode[int](t, c.Params["down"])
		gc := gcd(up, down)
		h, err := resampler(up/gc, down/gc)
		if err != nil {
			t.Fatal(err)
		}
		if len(h) != decode[int](t, c.Expected["h_len"]) {
			t.Errorf("%s: %d taps", c.ID, len(h))
			continue
		}
		head := decode[[]float64](t, c.Expected["h_head"])
		c.near(t, "h", h[:len(head)], head)
		c.near(t, "h centre", []float64{h[len(h)/2]}, []float64{decode[float64](t, c.Expected["h_center"])})
		x := fromZero([][]float64{decode[[]float64](t, g.Inputs[c.Input])})
		out, y, first := through(t, &Resample{Up: up, Down: down}, header(names(1), 250), x, -1, []int{1, 7, 64, 250})
		got, want := y[0][-first:], decode[[]float64](t, c.Expected["y_causal"])
		most := (len(x[0])-2)*up/down + 1 // the file goes on with zeros behind the input
		if len(got) != most {
			t.Errorf("%s: %d outputs, want %d", c.ID, len(got), most)
		}
		n := min(len(got), len(want))
		c.near(t, "y", got[:n], want[:n])
		delay := decode[float64](t, c.Expected["group_delay_out_samples"])
		if math.Abs(out.Delay*out.Rate-delay) > 0.5 { // the file rounds to whole outputs where it can
			t.Errorf("%s: delay of %v outputs, want %v", c.ID, out.Delay*out.Rate, delay)
		}
		if zero := decode[[]float64](t, c.Expected["y_zero_phase"]); delay == math.Floor(delay) && (len(h)-1)/2%(down/gc) == 0 {
			n := min(len(zero), len(got)-int(delay))
			c.near(t, "y ahead of its delay", got[int(delay):int(delay)+n], zero[:n])
		}
	}
	if len(g.Cases) != 10 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestLongFilters: the partitioned form equals the direct one to rounding, at every
// place of a start within a block, and costs no delay.
func TestLongFilters(t *testing.T) {
	for _, taps := range []int{513, 600, 1025, 2100} {
		for _, seq := range []int64{0, 17, -200} {
			r := rand.New(rand.NewPCG(uint64(taps), 1))
			h, x := make([]float64, taps), [][]float64{make([]float64, 3000), make([]float64, 3000)}
			for j := range h {
				h[j] = r.NormFloat64() * math.Exp(-float64(j)/300)
			}
			for ch := range x {
				for i := range x[ch] {
					x[ch][i] = r.NormFloat64() + float64(100*ch)
				}
			}
			x[1][0], x[1][1], x[1][2] = math.NaN(), math.NaN(), math.Inf(1) // starts later
			_, y, _ := through(t, &FIR{Coefficients: h}, header(names(2), 1000), x, seq, []int{1, 100, 7, 512})
			for ch := range x {
				begin := 3 * ch
				for i := begin; i < len(x[ch]); i += 1 + i/20 {
					want, scale := 0.0, 0.0
					for j, c := range h {
						v := c * x[ch][max(begin, i-j)]
						want += v
						scale += math.Abs(v)
					}
					if math.Abs(y[ch][i]-want) > 1e-13*scale {
						t.Fatalf("%d taps from %d: channel %d, column %d is %v, want %v", taps, seq, ch, i, y[ch][i], want)
					}
				}
			}
		}
	}
}

// TestReferences: rereference.json.
func TestReferences(t *testing.T) {
	g := golden(t, "rereference")
	labels, x := decode[[]string](t, g.Inputs["names"]), decode[[][]float64](t, g.Inputs["x"])
	in := header(labels, 250)
	for i, p := range decode[[][3]float64](t, g.Inputs["unit_positions"]) {
		in.Channels[i].Position, in.Channels[i].Placed = p, true
	}
	run := func(s stream.Stage) (stream.Header, [][]float64) {
		out, y, _ := through(t, s, in, x, 0, []int{7, 1, 64})
		for ch := range y {
			y[ch] = y[ch][:5]
		}
		return out, y
	}
	all := func(c *goldenCase, got [][]float64) {
		want := decode[[][]float64](t, c.Expected["y_first5"])
		if len(want) != len(got) {
			t.Fatalf("%s: %d rows, want %d", c.ID, len(got), len(want))
		}
		for ch := range want {
			c.near(t, "y", got[ch], want[ch])
		}
	}
	for i := range g.Cases {
		c := &g.Cases[i]
		switch {
		case c.ID == "car_with_implicit_reference":
			_, y := run(&CommonAverage{Implicit: true})
			all(c, y)
		case c.ID == "car_all" || c.ID == "car_exclude_T7_O1":
			_, y := run(&CommonAverage{Exclude: decode[[]string](t, c.Params["exclude"])})
			all(c, y)
		case c.ID == "median_reference":
			_, y := run(&CommonMedian{})
			all(c, y)
		case c.ID == "linked_T7_T8":
			_, y := run(&Linked{Channels: decode[[]string](t, c.Params["channels"])})
			all(c, y)
		case c.ID == "bipolar":
			var pairs []string
			for _, p := range decode[[][2]string](t, c.Params["pairs"]) {
				pairs = append(pairs, p[0]+"-"+p[1])
			}
			out, y := run(&Bipolar{Pairs: pairs})
			all(c, y)
			if out.Channels[2].Label != "C3-C4" {
				t.Errorf("row 3 is called %q", out.Channels[2].Label)
			}
		case strings.HasPrefix(c.ID, "laplacian"):
			centre, around := decode[string](t, c.Params["centre"]), decode[[]string](t, c.Params["neighbours"])
			f := &Laplacian{Channels: []string{centre}, Neighbours: []string{centre + " = " + strings.Join(around, " ")}}
			_, y := run(f)
			c.near(t, "weights", f.weights[0], decode[[]float64](t, c.Expected["weights_equal"]))
			c.near(t, "y", y[0], decode[[]float64](t, c.Expected["y_equal_first5"]))
			f.ByDistance = true
			_, y = run(f)
			c.near(t, "weights by distance", f.weights[0], decode[[]float64](t, c.Expected["weights_inverse_distance"]))
			c.near(t, "y by distance", y[0], decode[[]float64](t, c.Expected["y_inverse_distance_first5"]))
			if len(around) == 4 { // the montage finds the same ones
				f := &Laplacian{Channels: []string{centre}, Large: strings.Contains(c.ID, "large")}
				run(f)
				for _, n := range f.around[0] {
					if !slices.Contains(around, labels[n]) || len(f.around[0]) != 4 {
						t.Errorf("%s: the montage gives %v", c.ID, f.around)
					}
				}
			}
		case strings.HasPrefix(c.ID, "spherical_spline"):
			f := &CurrentSourceDensity{
				Stiffness: decode[int](t, c.Params["stiffness"]), Lambda: decode[float64](t, c.Params["lambda2"]),
				Terms: decode[int](t, c.Params["n_legendre_terms"]), Radius: decode[float64](t, c.Params["radius"]),
			}
			_, y := run(f)
			all(c, y)
			for o, row := range decode[[][]float64](t, c.Expected["matrix"]) {
				got := make([]float64, len(row))
				for j := range got {
					got[j] = f.weights[o/stream.Lanes][j][o%stream.Lanes]
				}
				c.near(t, "matrix", got, row)
			}
		default:
			t.Errorf("%s is not tested", c.ID)
		}
	}
	if len(g.Cases) != 13 {
		t.Errorf("%d cases", len(g.Cases))
	}
}

// TestEyes: the EOG cases of artifacts.json.
func TestEyes(t *testing.T) {
	g := golden(t, "artifacts")
	eog, eeg := decode[[][]float64](t, g.Inputs["eog"]), decode[[][]float64](t, g.Inputs["eeg"])
	in := header([]string{"E1", "E2", "a", "b", "c"}, 250)
	in.Channels[0].Type, in.Channels[1].Type = "EOG", "EOG"
	x := append(append([][]float64(nil), eog...), eeg...)

	c := g.find(t, "eog_regression_batch")
	f := new(EOGRegression)
	if _, err := f.Open(in); !errors.Is(err, ErrUntrained) {
		t.Errorf("Open without a model: %v", err)
	}
	if err := f.Learn(t.Context(), in, feed(in, x)); err != nil {
		t.Fatal(err)
	}
	for ch, want := range decode[[][]float64](t, c.Expected["coef"]) {
		c.near(t, "coef", f.model.Coefficients[ch], want)
	}
	model, err := f.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	loaded := new(EOGRegression)
	if err := loaded.LoadModel(model); err != nil {
		t.Fatal(err)
	}
	_, y, _ := through(t, loaded, in, x, 0, []int{7, 100})
	c.near(t, "y", y[2][:20], decode[[]float64](t, c.Expected["y_ch0_first20"]))

	c = g.find(t, "eog_rls")
	a := &EOGAdaptive{Forgetting: decode[float64](t, c.Params["forgetting"]), Threshold: -1}
	for _, w := range decode[[]struct {
		K int
		W [][]float64
	}](t, c.Expected["trace"]) {
		cut := make([][]float64, len(x))
		for ch := range x {
			cut[ch] = x[ch][:w.K+1]
		}
		through(t, a, in, cut, 0, []int{64})
		for ch := range w.W {
			c.near(t, "W", a.w[2*ch:2*ch+2], w.W[ch])
		}
	}
}

// feed hands x [channel][sample] over in chunks, as a recording does.
func feed(in stream.Header, x [][]float64) func() (*stream.Chunk, error) {
	c, at := stream.NewChunk(&in), 0
	return func() (*stream.Chunk, error) {
		n := min(in.MaxLen, len(x[0])-at)
		if n == 0 {
			return nil, io.EOF
		}
		c.Clear()
		c.Resize(n)
		c.Seq = int64(at)
		for ch := range x {
			c.SetRow(ch, x[ch][at:at+n])
		}
		at += n
		return c, nil
	}
}

// TestASRDecisions: the ASR cases of artifacts.json.
func TestASRDecisions(t *testing.T) {
	g := golden(t, "artifacts")
	for _, id := range []string{"asr_step_clean", "asr_step_burst"} {
		c := g.find(t, id)
		m := decode[[][]float64](t, c.Expected["M"])
		n := len(m)
		j := asrJob{n: n, most: decode[int](t, c.Params["max_dims"]), t: make([]float64, n*n), tt: make([]float64, n*n), u: make([]float64, n*n)}
		for i, row := range decode[[][]float64](t, c.Expected["T"]) {
			copy(j.t[i*n:], row)
		}
		for i := range n {
			for k := range n {
				for l := range n {
					j.u[i*n+k] += m[i][l] * m[l][k]
				}
			}
		}
		j.alloc()
		for i, row := range decode[[][]float64](t, c.Expected["cov"]) {
			copy(j.c[i*n:], row)
		}
		values, vectors := make([]float64, n), make([]float64, n*n)
		eigen(slices.Clone(j.c), vectors, values)
		c.near(t, "eigenvalues", values, decode[[]float64](t, c.Expected["eigenvalues"]))
		limits := make([]float64, n)
		for i := range limits {
			limits[i] = j.limit(vectors[i*n : (i+1)*n])
		}
		c.near(t, "threshold", limits, decode[[]float64](t, c.Expected["threshold"]))
		j.decide()
		kept := 0
		for _, k := range decode[[]bool](t, c.Expected["keep"]) {
			if k {
				kept++
			}
		}
		if n-j.removed != kept || j.same != (kept == n) {
			t.Errorf("%s: %d directions stay, want %d", id, n-j.removed, kept)
		}
		for i, row := range decode[[][]float64](t, c.Expected["R"]) {
			got := j.r[i*n : (i+1)*n]
			if j.same {
				got = make([]float64, n)
				got[i] = 1
			}
			c.near(t, "R", got, row)
		}
	}
}

// TestChannelQuality: the measures of artifacts.json.
func TestChannelQuality(t *testing.T) {
	g := golden(t, "artifacts")
	c := g.find(t, "channel_quality")
	x := decode[[][]float64](t, g.Inputs["quality"])
	n, columns := len(x), len(x[0])
	tile := make([][stream.Lanes]float64, columns)
	flat, share, top, z, r := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	part := newPart(n)
	for i := range columns {
		for ch := range n {
			tile[i][ch] = x[ch][i]
			part.sums[ch] += x[ch][i]
			for k := range n {
				part.products[ch*n+k] += x[ch][i] * x[k][i]
			}
		}
	}
	part.n = columns
	for ch := range n {
		flat[ch] = float64(longestFlat(x[ch], decode[float64](t, c.Params["flat_eps"])))
		share[ch] = atExtremes(x[ch])
		least, most := extremes(x[ch])
		top[ch] = most - least
		z[ch] = logDeviation(x[ch])
	}
	robustZ(z, make([]float64, n))
	cov := make([]float64, n*n)
	covariance(cov, make([]float64, n), []asrPart{part})
	maxCorrelation(r, cov)
	band := func(name string) [2]float64 { return decode[[2]float64](t, c.Params[name]) }
	p := newBandPowers(250, [][2]float64{band("line_band_hz"), band("hf_band_hz"), band("base_band_hz")})
	powers := make([][stream.Lanes]float64, 3)
	p.measure(powers, tile)
	line, high := make([]float64, n), make([]float64, n)
	for ch := range n {
		line[ch], high[ch] = over(powers[0][ch], powers[2][ch]), over(powers[1][ch], powers[2][ch])
	}
	for name, got := range map[string][]float64{
		"longest_flat_run_diffs": flat, "fraction_at_extremes": share, "peak_to_peak": top, "robust_z_log_std": z,
		"max_abs_correlation": r, "line_ratio": line, "hf_ratio": high,
	} {
		c.near(t, name, got, decode[[]float64](t, c.Expected[name]))
	}
	if len(g.Cases) != 5 {
		t.Errorf("%d cases", len(g.Cases))
	}
}
