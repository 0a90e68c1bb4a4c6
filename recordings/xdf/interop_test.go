package xdf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"neurostream/recordings/samples"
)

// peer is what testdata/interop.py says about a stream.
type peer struct {
	Name, Type, Format string
	Channels           int
	Rate               float64
	Effective          string
	Segments           [][2]int
	ClockSegments      [][2]int `json:"clock_segments"`
	Stamps             []string
	ClockTimes         []string `json:"clock_times"`
	ClockValues        []string `json:"clock_values"`
	Footer             bool
	Values             [][]string
}

// pyxdf reads the files this package writes, repairs and is tested on just as this
// package does: streams, values and stamps, raw, synchronised and straightened.
//
// It needs a Python with testdata/requirements.txt installed, whose path the
// variable NEUROSTREAM_INTEROP_PYTHON names (make test-interop).
func TestInterop(t *testing.T) {
	python := os.Getenv("NEUROSTREAM_INTEROP_PYTHON")
	if python == "" {
		t.Skip("NEUROSTREAM_INTEROP_PYTHON is not set; make test-interop compares with pyxdf")
	}
	dir := t.TempDir()
	files := interopFiles(t, dir)
	cmd := exec.Command(python, append([]string{"testdata/interop.py"}, files...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("interop.py: %v\n%s", err, stderr.String())
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<30)
	n := 0
	for lines.Scan() {
		var r struct {
			Path            string
			Raw, Sync, Full map[string]peer
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		f, err := Open(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(r.Path)
		if len(f.Streams()) != len(r.Raw) {
			t.Errorf("%s: %d streams, pyxdf finds %d", name, len(f.Streams()), len(r.Raw))
		}
		for id, p := range r.Raw {
			k, _ := strconv.ParseUint(id, 10, 32)
			s := f.Stream(uint32(k))
			if s == nil {
				t.Errorf("%s: pyxdf finds a stream %s", name, id)
				continue
			}
			sync, full := r.Sync[id], r.Full[id]
			comparePeer(t, name, s, &p, &sync, &full)
		}
		f.Close()
		n++
	}
	if n != len(files) {
		t.Errorf("%d of %d files compared", n, len(files))
	}
}

func comparePeer(t *testing.T, file string, s *Stream, raw, sync, full *peer) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s stream %d: %s", file, s.ID, fmt.Sprintf(format, args...))
	}
	if s.Info.Name != raw.Name || s.Info.Type != raw.Type || s.Info.Format.String() != raw.Format ||
		len(s.Info.Channels) != raw.Channels || s.Info.Rate != raw.Rate || (s.Footer != nil) != raw.Footer {
		fail("header %+v, pyxdf reads %+v", s.Info, raw)
		return
	}
	numbers := func(text []string) []float64 {
		out := make([]float64, len(text))
		for i, v := range text {
			var err error
			if out[i], err = strconv.ParseFloat(v, 64); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	stamps := func(mode string, got []float64, text []string, tolerance float64) {
		t.Helper()
		want := numbers(text)
		if len(got) != len(want) {
			fail("%s: %d stamps, pyxdf has %d", mode, len(got), len(want))
			return
		}
		for i := range want {
			if !(math.Abs(got[i]-want[i]) <= tolerance) {
				fail("%s: stamp %d is %v, pyxdf says %v", mode, i, got[i], want[i])
				return
			}
		}
	}
	ranges := func(what string, got []Range, want [][2]int) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a Range, b [2]int) bool { return a == Range{b[0], b[1]} }) {
			fail("%s %v, pyxdf says %v", what, got, want)
		}
	}
	times, values := numbers(raw.ClockTimes), numbers(raw.ClockValues)
	if len(times) != len(s.offsets) {
		fail("%d clock offsets, pyxdf has %d", len(s.offsets), len(times))
		return
	}
	for i, o := range s.offsets {
		if o != (Offset{times[i], values[i]}) {
			fail("clock offset %d is %v", i, o)
		}
	}
	stamps("raw", s.Times(Timing{}).Stamps, raw.Stamps, 0)
	stamps("synchronised", s.Times(Timing{ClockSync: true, TrimPhantom: true}).Stamps, sync.Stamps, 1e-7)
	got := s.Times(Timing{ClockSync: true, Dejitter: true, TrimPhantom: true})
	stamps("straightened", got.Stamps, full.Stamps, 1e-7)
	ranges("clock segments", got.ClockSegments, full.ClockSegments)
	if s.Len() > 0 {
		ranges("segments", got.Segments, full.Segments)
		if e, err := strconv.ParseFloat(full.Effective, 64); err != nil || math.Abs(got.Rate-e) > 1e-6*max(1, e) {
			fail("rate %v, pyxdf says %s", got.Rate, full.Effective)
		}
	}
	compareValues(t, fail, s, raw.Values)
}

func compareValues(t *testing.T, fail func(string, ...any), s *Stream, want [][]string) {
	t.Helper()
	ch := len(s.Info.Channels)
	text := make([]string, int(s.Len())*ch)
	switch s.Info.Format {
	case String:
		if err := s.ReadStrings(text, 0); err != nil {
			t.Fatal(err)
		}
	case Float32, Double64:
		x := make([]float64, len(text))
		if err := s.ReadFloats(x, 0); err != nil {
			t.Fatal(err)
		}
		for i := range want {
			for k, v := range want[i] {
				if w, err := strconv.ParseFloat(v, 64); err != nil || x[i*ch+k] != w && !(math.IsNaN(w) && math.IsNaN(x[i*ch+k])) {
					fail("sample %d channel %d is %v, pyxdf reads %s", i, k, x[i*ch+k], v)
					return
				}
			}
		}
		return
	default:
		x := make([]int64, len(text))
		if err := s.ReadInts(x, 0); err != nil {
			t.Fatal(err)
		}
		for i, v := range x {
			text[i] = strconv.FormatInt(v, 10)
		}
	}
	if flat := slices.Concat(want...); !slices.Equal(text, flat) {
		fail("values differ from pyxdf's")
	}
}

// interopFiles makes the files to compare on: the vectors, what the Writer makes,
// what Repair makes, and clocks that drift, jump and jitter at random.
func interopFiles(t *testing.T, dir string) []string {
	t.Helper()
	files := []string{made(t, 500), placed(t, goodPlaces()).Info().Path}
	add := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"minimal.xdf", "empty_streams.xdf", "twochannel_string_marker.xdf", "labrecorder_cli.xdf", "labrecorder_cli_truncated.xdf"} {
		files = append(files, add(name, vector(t, name)))
	}
	for _, dir := range []string{"../../../shared/vectors/xdf", "../../../shared/data/formats/xdf"} { // when they are there
		found, err := filepath.Glob(filepath.Join(dir, "*.xdf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if filepath.Base(f) != "labrecorder_cli_corrupted.xdf" { // of which we read more
				files = append(files, f)
			}
		}
	}
	src, err := samples.Open("S007R08")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "S007R08.xdf")
	if err := WriteRecording(path, src, WriterOptions{}); err != nil {
		t.Fatal(err)
	}
	files = append(files, path)
	base := vector(t, "labrecorder_cli.xdf")
	for seed := range 20 {
		data, _ := hurt(rand.New(rand.NewSource(int64(1000+seed))), base)
		out := filepath.Join(dir, fmt.Sprintf("repaired%d.xdf", seed))
		if _, written, err := Repair(add(fmt.Sprintf("hurt%d.xdf", seed), data), out); err != nil {
			t.Fatal(err)
		} else if written {
			files = append(files, out)
		}
	}
	for seed, o := range []Offset{{0, 0}, {1e7, 5}, {100, 1e-3}, {500, -3e5}} {
		files = append(files, add(fmt.Sprintf("phantom%d.xdf", seed), phantomFile(t, o)))
	}
	for seed := range 12 {
		files = append(files, clocks(t, filepath.Join(dir, fmt.Sprintf("clocks%d.xdf", seed)), int64(seed)))
	}
	return append(files, lateFile(t, filepath.Join(dir, "late.xdf")))
}

// lateFile is a file whose second stream began when the first had samples already, and
// that says which column each sample was.
func lateFile(t *testing.T, path string) string {
	t.Helper()
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	events, err := w.AddStream(Info{Name: "recorder events", Type: "Events", Format: String, Channels: []Channel{{Label: EventChannel}}})
	check(err)
	var ids []uint32
	for k := range 2 {
		id, err := w.AddStream(Info{Name: fmt.Sprint("amp ", k), Type: "EEG", Format: Int16, Rate: 100, Channels: make([]Channel, 2), SourceID: fmt.Sprint(k)})
		check(err)
		ids = append(ids, id)
		for i := range 500 {
			for _, id := range ids {
				if at := 100 + 5*float64(k) + float64(i)/100; i == 0 {
					check(w.WritePlace(events, id, at, int64(500*k+i), 0))
					check(w.ClockOffset(id, Offset{Time: at, Value: 0.5}))
				}
				check(w.WriteInts(id, []float64{100 + 5*float64(k) + float64(i)/100}, []int64{int64(i), int64(k)}))
			}
		}
		check(w.Boundary())
	}
	check(w.Close())
	return path
}

// phantomFile is a file that got a sample and a clock offset after its footers.
func phantomFile(t *testing.T, o Offset) []byte {
	t.Helper()
	path := clocks(t, filepath.Join(t.TempDir(), "a.xdf"), 99)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenBytes(path, data)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Streams()[0]
	last := s.offsets[len(s.offsets)-1].Time
	data = appendChunk(data, tagClockOffset, s.ID, true, Double64.appendFloats(nil, []float64{last + o.Time, o.Value}))
	sample := Double64.appendFloats([]byte{1, 1, 8}, []float64{s.last + 1})
	return appendChunk(data, tagSamples, s.ID, true, Float32.appendFloats(sample, []float64{1, 2}))
}

// clocks writes a file of two streams whose sender's clock drifts, is reset now and
// then, and is measured badly at times; samples jitter and are missing in places.
func clocks(t *testing.T, path string, seed int64) string {
	t.Helper()
	rng := rand.New(rand.NewSource(seed))
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rate := []float64{10, 50, 128}[rng.Intn(3)]
	eeg, err := w.AddStream(Info{Name: "eeg", Type: "EEG", Format: Float32, Rate: rate, Channels: make([]Channel, 2)})
	if err != nil {
		t.Fatal(err)
	}
	marks, err := w.AddStream(Info{Name: "marks", Type: "Markers", Format: String, Channels: make([]Channel, 1)})
	if err != nil {
		t.Fatal(err)
	}
	drift, shift := 1e-4*rng.NormFloat64(), 1e4*rng.Float64()
	next, now := 0.0, 0.0
	for now < 300 {
		local := now*(1+drift) + shift
		if now >= next {
			o := Offset{Time: local, Value: now - local + 2e-5*rng.NormFloat64()}
			if rng.Intn(15) == 0 {
				o.Value += 0.02 * rng.NormFloat64() // a bad measurement
			}
			for _, id := range []uint32{eeg, marks} {
				if err := w.ClockOffset(id, o); err != nil {
					t.Fatal(err)
				}
			}
			next += 5
		}
		if err := w.Write(eeg, []float64{local + 0.01*rng.Float64()}, []float64{now, rng.Float64()}); err != nil {
			t.Fatal(err)
		}
		if rng.Intn(int(rate)) == 0 {
			if err := w.WriteStrings(marks, []float64{local}, []string{fmt.Sprint(now)}); err != nil {
				t.Fatal(err)
			}
		}
		now += 1 / rate
		switch rng.Intn(int(100 * rate)) {
		case 0: // the sender starts anew
			shift = 1e4*rng.Float64() - now
			now += 10 * rng.Float64()
		case 1: // samples are lost
			now += 60 / rate * rng.Float64() * 20
		}
		next = max(next, now-5)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
