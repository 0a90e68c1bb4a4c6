package xdf

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// want is what pyxdf_reference.json says about a stream.
type want struct {
	Name, Type string
	Channels   int     `json:"channel_count"`
	Rate       float64 `json:"nominal_srate"`
	Format     string  `json:"channel_format"`
	Samples    int64
	Offsets    int                `json:"clock_offsets"`
	Footer     bool               `json:"has_footer"`
	First      []any              `json:"first_values"`
	Last       []any              `json:"last_values"`
	Sums       []float64          `json:"channel_sums_float64"`
	ClockFirst []float64          `json:"clock_first"`
	ClockLast  []float64          `json:"clock_last"`
	Raw        map[string]float64 `json:"timestamps_raw"`
	Sync       map[string]float64 `json:"timestamps_sync"`
	Full       map[string]float64 `json:"timestamps_sync_dejitter"`
	ClockSegs  [][2]int           `json:"clock_segments"`
	Segments   [][2]int
	Effective  float64 `json:"effective_srate"`
}

func reference(t testing.TB) map[string]map[string]want {
	t.Helper()
	data, err := os.ReadFile("testdata/pyxdf_reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Files map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]map[string]want)
	for file, streams := range raw.Files {
		out[file] = make(map[string]want)
		for id, msg := range streams {
			if id[0] == '_' {
				continue
			}
			var w want
			if err := json.Unmarshal(msg, &w); err != nil {
				t.Fatal(file, id, err)
			}
			out[file][id] = w
		}
	}
	return out
}

// vector returns the bytes of a vector file; the damaged ones are made.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	switch name {
	case "labrecorder_cli_truncated.xdf":
		return read("labrecorder_cli.xdf")[:70485]
	case "labrecorder_cli_corrupted.xdf":
		data := read("labrecorder_cli.xdf")
		copy(data[39599:39663], bytes.Repeat([]byte{0xff}, 64))
		return data
	case "clock_resets.xdf":
		return read("clock_resets_thin.xdfz")
	}
	return read(name)
}

// Every vector reads to the streams, samples and stamps that pyxdf reads, with and
// without its corrections; but more is read of the corrupted file.
func TestGolden(t *testing.T) {
	for name, streams := range reference(t) {
		t.Run(name, func(t *testing.T) {
			f, err := OpenBytes(name, vector(t, name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if name == "labrecorder_cli_corrupted.xdf" {
				checkCorrupted(t, f)
				return
			}
			checkFile(t, f, streams, name != "clock_resets.xdf")
		})
	}
}

// The whole of the files that are too big to ship.
func TestGoldenWhole(t *testing.T) {
	dir := "../../../shared/vectors/xdf"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the full vectors are not beside the repository; TestGolden reads the small ones")
	}
	for name, streams := range reference(t) {
		f, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if name == "labrecorder_cli_corrupted.xdf" {
			checkCorrupted(t, f)
			continue
		}
		checkFile(t, f, streams, true)
	}
	checkEEGLAB(t, "../../../shared/data/formats")
}

func checkFile(t *testing.T, f *File, streams map[string]want, values bool) {
	t.Helper()
	if len(f.Streams()) != len(streams) {
		t.Errorf("%d streams, want %d", len(f.Streams()), len(streams))
	}
	for id, w := range streams {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		s := f.Stream(uint32(n))
		if s == nil {
			t.Errorf("no stream %s", id)
			continue
		}
		if s.Info.Name != w.Name || s.Info.Type != w.Type || s.Info.Rate != w.Rate || s.Len() != w.Samples || len(s.Offsets()) != w.Offsets || (s.Footer != nil) != w.Footer {
			t.Errorf("stream %s: %q %q %v Hz, %d samples, %d offsets, footer %v; want %+v", id, s.Info.Name, s.Info.Type, s.Info.Rate, s.Len(), len(s.Offsets()), s.Footer != nil, w)
		}
		if n := len(w.ClockFirst); n > 0 {
			first, last := s.Offsets()[0], s.Offsets()[len(s.Offsets())-1]
			if first != (Offset{w.ClockFirst[0], w.ClockFirst[1]}) || last != (Offset{w.ClockLast[0], w.ClockLast[1]}) {
				t.Errorf("stream %s: offsets %v … %v, want %v … %v", id, first, last, w.ClockFirst, w.ClockLast)
			}
		}
		checkTimes(t, s, &w)
		if values {
			if s.Info.Format.String() != w.Format || len(s.Info.Channels) != w.Channels {
				t.Errorf("stream %s: %d x %v, want %d x %s", id, len(s.Info.Channels), s.Info.Format, w.Channels, w.Format)
			}
			checkValues(t, s, &w)
		}
	}
}

func checkTimes(t *testing.T, s *Stream, w *want) {
	t.Helper()
	stamps := func(mode string, got []float64, want map[string]float64, tolerance float64) {
		for i, v := range want {
			k, _ := strconv.Atoi(i)
			if k >= len(got) || math.Abs(got[k]-v) > tolerance {
				t.Errorf("stream %d: %s stamp %d is %v, want %v", s.ID, mode, k, got[k], v)
			}
		}
	}
	ranges := func(what string, got []Range, want [][2]int) {
		same := len(got) == len(want)
		for i := 0; same && i < len(got); i++ {
			same = got[i] == Range{want[i][0], want[i][1]}
		}
		if !same {
			t.Errorf("stream %d: %s %v, want %v", s.ID, what, got, want)
		}
	}
	stamps("raw", s.Times(Timing{}).Stamps, w.Raw, 0)
	stamps("synchronised", s.Times(Timing{ClockSync: true}).Stamps, w.Sync, 1e-7)
	full := s.Times(Timing{ClockSync: true, Dejitter: true})
	stamps("straightened", full.Stamps, w.Full, 1e-7)
	ranges("clock segments", full.ClockSegments, w.ClockSegs)
	ranges("segments", full.Segments, w.Segments)
	if math.Abs(full.Rate-w.Effective) > 1e-6 {
		t.Errorf("stream %d: effective rate %v, want %v", s.ID, full.Rate, w.Effective)
	}
}

func checkValues(t *testing.T, s *Stream, w *want) {
	t.Helper()
	if s.Len() == 0 {
		return
	}
	ch := len(s.Info.Channels)
	var first, last []any
	if s.Info.Format == String {
		text := make([]string, int(s.Len())*ch)
		if err := s.ReadStrings(text, 0); err != nil {
			t.Fatal(err)
		}
		for k := range ch {
			first, last = append(first, text[k]), append(last, text[len(text)-ch+k])
		}
	} else {
		x := make([]float64, int(s.Len())*ch)
		if err := s.ReadFloats(x, 0); err != nil {
			t.Fatal(err)
		}
		for k := range ch {
			sum := 0.0
			for i := k; i < len(x); i += ch {
				sum += x[i]
			}
			if math.Abs(sum-w.Sums[k]) > 1e-9*max(1, math.Abs(sum)) {
				t.Errorf("stream %d: channel %d sums to %v, want %v", s.ID, k, sum, w.Sums[k])
			}
			first, last = append(first, x[k]), append(last, x[len(x)-ch+k])
		}
	}
	for k := range ch {
		if first[k] != w.First[k] || last[k] != w.Last[k] {
			t.Errorf("stream %d: channel %d runs from %v to %v, want %v to %v", s.ID, k, first[k], last[k], w.First[k], w.Last[k])
		}
	}
}

// pyxdf reads 1550 of 2400 samples here, because it goes on after the next boundary.
func checkCorrupted(t *testing.T, f *File) {
	t.Helper()
	for id, n := range map[uint32]int64{1: 1190, 2: 2350, 3: 16, 4: 65, 5: 240, 6: 480, 7: 0} {
		if got := f.Stream(id).Len(); got != n {
			t.Errorf("stream %d: %d samples, want %d", id, got, n)
		}
	}
	if d := f.Damage(); len(d) != 1 || d[0].From != 39599 || d[0].To != 40673 {
		t.Errorf("damage %+v", d)
	}
}

func checkEEGLAB(t *testing.T, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	type streamWant struct {
		N     int64
		First []float64   `json:"time_first3"`
		Last  []float64   `json:"time_last"`
		Two   [][]float64 `json:"first2"`
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	var w struct {
		Full []streamWant `json:"synchronized_dejittered"`
		Raw  []streamWant
	}
	if err := json.Unmarshal(all["xdf/eeglab_test.xdf"], &w); err != nil {
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(dir, "xdf/eeglab_test.xdf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Streams()[0]
	for _, c := range []struct {
		got       []float64
		want      streamWant
		tolerance float64
	}{{s.Stamps(), w.Raw[0], 1e-9}, {s.Times(Timing{ClockSync: true, Dejitter: true}).Stamps, w.Full[0], 1e-7}} {
		if s.Len() != c.want.N || math.Abs(c.got[s.Len()-1]-c.want.Last[0]) > c.tolerance {
			t.Errorf("%d samples to %v, want %d to %v", s.Len(), c.got[s.Len()-1], c.want.N, c.want.Last[0])
		}
		for i, v := range c.want.First {
			if math.Abs(c.got[i]-v) > c.tolerance {
				t.Errorf("stamp %d is %v, want %v", i, c.got[i], v)
			}
		}
	}
	x := make([]float64, 16)
	if err := s.ReadFloats(x, 0); err != nil {
		t.Fatal(err)
	}
	for i := range x {
		if x[i] != w.Raw[0].Two[i/8][i%8] {
			t.Errorf("value %d is %v", i, x[i])
		}
	}
}
