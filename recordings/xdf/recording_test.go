package xdf

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/recordings/samples"
	"neurostream/stream"
)

// The recorder's file as a recording: the EEG, with the markers where they were.
func TestRecording(t *testing.T) {
	f, err := OpenBytes("lab.xdf", vector(t, "labrecorder_cli.xdf"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Recording(RecordingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if h.Name != "XdfEEG" || h.Rate != 100 || h.Rows() != 4 || r.Len() != 2400 || len(r.Gaps()) != 0 {
		t.Errorf("%+v, %d columns, gaps %v", h, r.Len(), r.Gaps())
	}
	if got := r.Start().UTC().Format("2006-01-02 15:04:05"); got != "2026-11-23 10:28:13" {
		t.Errorf("start %s", got)
	}
	c := new(stream.Chunk)
	c.Alloc(4, 10)
	if err := r.ReadAt(c, 1230); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		k := float64(1230 + i)
		for ch, want := range []float64{k, k / 2, -k, math.Mod(k, 10)} {
			if c.At(ch, i) != want {
				t.Errorf("column %v channel %d: %v, want %v", k, ch, c.At(ch, i), want)
			}
		}
	}
	if len(r.Annotations()) != 16 {
		t.Fatalf("%d annotations", len(r.Annotations()))
	}
	for k, a := range r.Annotations() {
		want := fmt.Sprintf("marker-%d", k)
		if k%3 == 0 {
			want += " µ"
		}
		if k%5 == 4 {
			want = strings.Repeat("m", 300)
		}
		// The clock offsets of the two streams differ by their measurement noise.
		if math.Abs(a.Onset-1.5*float64(k)) > 1e-4 || a.Label != want {
			t.Errorf("annotation %d: %+v", k, a)
		}
		if col := recordings.ColumnAt(r, a.Onset+0.005); col != int64(150*k) {
			t.Errorf("annotation %d is at column %d", k, col)
		}
	}
	for _, c := range []struct{ stream, want string }{
		{"XdfAcc", ""},
		{"xdfacc", ""},
		{"6", ""},
		{"nothing", `lab.xdf: no stream is called "nothing"; there are`},
		{"XdfMarkers", `lab.xdf: stream "XdfMarkers" holds strings; a recording needs numbers at a fixed rate`},
		{"XdfGaze", `lab.xdf: stream "XdfGaze" has no fixed rate; a recording needs numbers at a fixed rate`},
		{"XdfI64", `lab.xdf: stream "XdfI64" has no samples`},
	} {
		_, err := f.Recording(RecordingOptions{Stream: c.stream})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %s", c.stream, err, c.want)
		}
	}
}

// jittered returns stamps of n samples at the given rate, sent in blocks that are up
// to late seconds late, with gaps before some samples.
func jittered(rng *rand.Rand, n int, rate, late float64, gaps map[int]float64) []float64 {
	out := make([]float64, n)
	t, delay := 500.0, 0.0
	for i := range out {
		t += gaps[i]
		if i%20 == 0 {
			delay = late * rng.Float64()
		}
		out[i] = t + delay
		t += 1 / rate
	}
	return out
}

// Gaps are found where samples are missing, and only there; block jitter, drift and
// a wrong nominal rate are none.
func TestGaps(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	for _, c := range []struct {
		name           string
		rate, nominal  float64
		late           float64
		gaps           map[int]float64
		want           []int
		dejitterWithin float64
	}{
		{"exact", 250, 250, 0, map[int]float64{1000: 0.5, 3000: 2}, []int{1000, 3000}, 1e-9},
		{"jitter", 250, 250, 0.004, map[int]float64{1500: 0.1}, []int{1500}, 0.005},
		{"strong jitter", 100, 100, 0.05, map[int]float64{2000: 2}, []int{2000}, 0.06},
		{"no gap", 100, 100, 0.05, nil, nil, 0.06},
		{"wrong rate", 92.9, 100, 0.002, map[int]float64{2000: 1}, []int{2000}, 0.005},
		{"three samples", 1000, 1000, 0, map[int]float64{700: 0.0031}, []int{700}, 1e-9},
		{"two samples", 1000, 1000, 0, map[int]float64{700: 0.002}, nil, 0.003},
	} {
		t.Run(c.name, func(t *testing.T) {
			stamps := jittered(rng, 5000, c.rate, c.late, c.gaps)
			got := findGaps(stamps, c.nominal, 3)
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Fatalf("gaps at %v, want %v", got, c.want)
			}
			truth := jittered(rng, 5000, c.rate, 0, c.gaps)
			out, _, effective := DejitterGaps(stamps, c.nominal, 3)
			mean := 0.0
			for i := range out {
				mean += (out[i] - truth[i]) / float64(len(out))
			}
			for i := range out {
				if math.Abs(out[i]-truth[i]-mean) > c.dejitterWithin {
					t.Fatalf("stamp %d is off by %v s", i, out[i]-truth[i])
				}
			}
			if math.Abs(effective/c.rate-1) > 0.005 {
				t.Errorf("rate %v, want %v", effective, c.rate)
			}
		})
	}
}

// Markers keep their place over a gap and in a stream whose rate is not the nominal
// one.
func TestMarkersOverGaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xdf")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eeg, err := w.AddStream(Info{Name: "eeg", Type: "EEG", Format: Float32, Rate: 100, Channels: []Channel{{Label: "C3..", Unit: "microvolts"}, {Label: "A9", Type: "EOG"}}})
	if err != nil {
		t.Fatal(err)
	}
	marks, err := w.AddStream(Info{Name: "codes", Type: "Markers", Format: Int32, Channels: make([]Channel, 1)})
	if err != nil {
		t.Fatal(err)
	}
	events, err := w.AddStream(Info{Name: "events", Type: "Events", Format: String, Channels: []Channel{{Label: EventChannel}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteStrings(events, []float64{71}, []string{`{"kind":"gap"}`}); err != nil { // makes no annotation
		t.Fatal(err)
	}
	const rate = 93.0 // what the device really does
	at := func(i int) float64 {
		t := 70 + float64(i)/rate
		if i >= 1500 {
			t += 2.5
		}
		return t
	}
	for i := range 4000 {
		if err := w.Write(eeg, []float64{at(i)}, []float64{float64(i), 0}); err != nil {
			t.Fatal(err)
		}
		if i%400 == 399 {
			if err := w.Write(marks, []float64{at(i)}, []float64{float64(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Write(marks, []float64{at(1499) + 1}, []float64{7}); err != nil { // inside the gap
		t.Fatal(err)
	}
	// The marker's sender has another clock, which was started 1000 s earlier.
	for _, o := range []Offset{{60, 0}, {80, 0}, {110, 0}} {
		if err := w.ClockOffset(eeg, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRecording(path, RecordingOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	if math.Abs(h.Rate-rate) > 1e-3 || h.Channels[0].Label != "C3" || h.Channels[0].Unit != "uV" || !h.Channels[0].Placed || h.Channels[1].Type != "EOG" {
		t.Errorf("header %+v", h)
	}
	if g := r.Gaps(); len(g) != 1 || g[0].Column != 1500 || math.Abs(g[0].Seconds-2.5) > 1e-3 {
		t.Errorf("gaps %v", g)
	}
	if len(r.Annotations()) != 11 {
		t.Fatalf("annotations %v", r.Annotations())
	}
	for _, a := range r.Annotations() {
		col := recordings.ColumnAt(r, a.Onset+0.002)
		want := a.Label
		if want == "7" {
			want = "1500" // the first column after the gap
		}
		if fmt.Sprint(col) != want {
			t.Errorf("%+v is at column %d", a, col)
		}
	}
	s, err := StreamOf(r)
	if err != nil || s.Info.Name != "eeg" {
		t.Errorf("%v, %v", s, err)
	}
}

// A sample recording goes round by all formats and keeps samples and annotations.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	src, err := samples.Open("S007R04")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := WriteRecording(at("a.xdf"), src, WriterOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, step := range [][2]string{{"a.xdf", "b.bdf"}, {"b.bdf", "c.xdf"}, {"c.xdf", "d.edf"}, {"d.edf", "e.csv"}, {"e.csv", "f.xdf"}, {"f.xdf", "g.bdf"}} {
		if i == 3 && testing.Short() {
			t.Skip("CSV is slow")
		}
		report, err := Convert(at(step[0]), at(step[1]), ConvertOptions{})
		if err != nil {
			t.Fatal(step, err)
		}
		if report.Channels != 64 || report.Columns != 20000 || report.Annotations != 30 || report.Gaps != 0 {
			t.Errorf("%v: %+v", step, report)
		}
		r, err := OpenAny(at(step[1]), "")
		if err != nil {
			t.Fatal(err)
		}
		equal(t, r, src)
		r.Close()
	}
	for _, c := range [][2]string{
		{"a.xdf", "x.txt"}, {"a.xdf", "b.bdf"}, {"none.xdf", "y.edf"},
	} {
		if _, err := Convert(at(c[0]), at(c[1]), ConvertOptions{}); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: error %v", c, err)
		}
	}
	if left, _ := filepath.Glob(at(".convert-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(at("y.edf")); err == nil {
		t.Error("a failed conversion left a file")
	}
}

// equal compares two recordings whose values are whole numbers.
func equal(t *testing.T, got, want recordings.Recording) {
	t.Helper()
	h, w := got.Header(), want.Header()
	if h.Rate != w.Rate || got.Len() != want.Len() || fmt.Sprint(h.Labels()) != fmt.Sprint(w.Labels()) {
		t.Fatalf("%v Hz, %d columns, %v", h.Rate, got.Len(), h.Labels())
	}
	for i := range h.Channels {
		if h.Channels[i] != w.Channels[i] {
			t.Errorf("channel %+v, want %+v", h.Channels[i], w.Channels[i])
		}
	}
	a, b := new(stream.Chunk), new(stream.Chunk)
	a.Alloc(h.Rows(), 1000)
	b.Alloc(h.Rows(), 1000)
	for from := int64(0); from < want.Len(); from += 1000 {
		if err := got.ReadAt(a, from); err != nil {
			t.Fatal(err)
		}
		if err := want.ReadAt(b, from); err != nil {
			t.Fatal(err)
		}
		for ch := range h.Rows() {
			for i := range b.Len {
				if a.At(ch, i) != b.At(ch, i) {
					t.Fatalf("column %d channel %d: %v, want %v", from+int64(i), ch, a.At(ch, i), b.At(ch, i))
				}
			}
		}
	}
	for i, w := range want.Annotations() {
		a := got.Annotations()[i]
		if math.Abs(a.Onset-w.Onset) > 1e-6 || math.Abs(a.Duration-w.Duration) > 1e-9 || a.Label != w.Label {
			t.Errorf("annotation %d: %+v, want %+v", i, a, w)
		}
		if x, y := recordings.ColumnAt(got, a.Onset), recordings.ColumnAt(want, w.Onset); x != y {
			t.Errorf("annotation %d at column %d, want %d", i, x, y)
		}
	}
}

func TestCompressed(t *testing.T) {
	plain, err := OpenBytes("a", vector(t, "labrecorder_cli.xdf"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := Open("testdata/labrecorder_cli.xdfz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	for i, s := range plain.Streams() {
		z := packed.Streams()[i]
		if z.ID != s.ID || z.Len() != s.Len() {
			t.Errorf("stream %d differs", s.ID)
		}
	}
	if _, err := OpenBytes("cut.xdfz", vector(t, "labrecorder_cli.xdfz")[:5]); err == nil {
		t.Error("a gzip header alone was read")
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write(vector(t, "minimal.xdf"))
	w.Close()
	path := filepath.Join(t.TempDir(), "recorder.xdfz")
	if err := os.WriteFile(path, z.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := OpenAny(path, ""); err != nil || r.Len() != 9 {
		t.Errorf("packed by zlib: %v", err)
	}
	half, err := OpenBytes("cut.xdfz", vector(t, "labrecorder_cli.xdfz")[:20000])
	if err != nil || half.Stream(2).Len() < 500 || len(half.Damage()) != 1 {
		t.Errorf("half a compressed file: %v", err)
	}
	if !bytes.Equal(plain.scan.header, packed.scan.header) {
		t.Error("file headers differ")
	}
}

func TestValidText(t *testing.T) {
	// As b"…".decode("utf-8", "replace") gives.
	for in, want := range map[string]string{
		"µ ok":             "µ ok",
		"a\xffb":           "a\uFFFDb",
		"\xff\xff":         "\uFFFD\uFFFD",
		"\xe2\x82x":        "\uFFFDx",
		"\xe2\x82":         "\uFFFD",
		"\xf0\x9f\x98z":    "\uFFFDz",
		"\xc0\x80":         "\uFFFD\uFFFD",
		"\xed\xa0\x80":     "\uFFFD\uFFFD\uFFFD",
		"\xf4\x90\x80\x80": "\uFFFD\uFFFD\uFFFD\uFFFD",
		"\x80\xe2\x82\xac": "\uFFFD€",
	} {
		if got := validText([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A phantom sample is trimmed only when asked for, and only beside a clock offset
// that cannot be.
func TestTrimPhantom(t *testing.T) {
	for _, c := range []struct {
		name    string
		offsets []Offset
		trimmed bool
	}{
		{"late offset", []Offset{{0, 1}, {5, 1.00001}, {10, 1.00002}, {1e6, 1.00001}}, true},
		{"odd value", []Offset{{0, 1}, {5, 1.00001}, {10, 1.00002}, {15, 3}}, true},
		{"good", []Offset{{0, 1}, {5, 1.00001}, {10, 1.00002}, {15, 1.00001}}, false},
		{"too few", []Offset{{0, 1}, {1e6, 5}}, false},
	} {
		s := &Stream{stamps: []float64{1, 2, 3, 4}, offsets: c.offsets, announced: 3, closed: true}
		want := 4
		if c.trimmed {
			want = 3
		}
		if got := len(s.Times(Timing{ClockSync: true, TrimPhantom: true}).Stamps); got != want {
			t.Errorf("%s: %d stamps, want %d", c.name, got, want)
		}
		if got := len(s.Times(Timing{ClockSync: true}).Stamps); got != 4 {
			t.Errorf("%s: trimmed without being asked", c.name)
		}
		s.announced = 4
		if got := len(s.Times(Timing{TrimPhantom: true}).Stamps); got != 4 {
			t.Errorf("%s: trimmed what the footer counts", c.name)
		}
	}
}
