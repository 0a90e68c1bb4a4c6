package recordings

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// edfWant is what reference.json says about a file.
type edfWant struct {
	Reserved    string
	Duration    float64 `json:"record_duration"`
	InHeader    int64   `json:"n_records_header"`
	InFile      int64   `json:"n_records_in_file"`
	Annotations int     `json:"n_annotations"`
	First       [][]any `json:"annotations_first8"`
	Channels    []struct {
		Label     string
		Unit      string
		PerRecord int `json:"samples_per_record"`
		N         int64
		First     []int64 `json:"dig_first4"`
		Sum       int64   `json:"dig_sum"`
		Min       int64   `json:"dig_min"`
		Max       int64   `json:"dig_max"`
	}
}

func reference(t testing.TB, path string) map[string]edfWant {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]edfWant)
	for name, msg := range raw {
		if !strings.HasSuffix(name, ".edf") && !strings.HasSuffix(name, ".bdf") {
			continue
		}
		var w edfWant
		if err := json.Unmarshal(msg, &w); err != nil {
			t.Fatal(name, err)
		}
		out[name] = w
	}
	return out
}

func TestGolden(t *testing.T) {
	for name, want := range reference(t, "testdata/reference.json") {
		t.Run(name, func(t *testing.T) { checkGolden(t, filepath.Join("testdata", name), &want) })
	}
}

// All conformance files, of which the small ones are in testdata.
func TestGoldenAll(t *testing.T) {
	dir := "../../shared/data/formats"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("larger conformance files are not beside the repository; the small ones are tested by TestGolden")
	}
	for name, want := range reference(t, filepath.Join(dir, "reference.json")) {
		t.Run(name, func(t *testing.T) { checkGolden(t, filepath.Join(dir, name), &want) })
	}
}

func checkGolden(t *testing.T, path string, want *edfWant) {
	rec, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	r := rec.(*edf)
	h := r.head
	if h.records != want.InHeader || r.count != want.InFile || h.duration != want.Duration || h.reserved != want.Reserved {
		t.Errorf("records %d (%d there) of %v s, %q; want %d (%d) of %v, %q",
			h.records, r.count, h.duration, h.reserved, want.InHeader, want.InFile, want.Duration, want.Reserved)
	}
	if len(h.signals) != len(want.Channels) {
		t.Fatalf("%d signals, want %d", len(h.signals), len(want.Channels))
	}
	kept := 0
	c := new(stream.Chunk)
	c.Alloc(r.stream.Rows(), 177)
	for i := range h.signals {
		s, w := &h.signals[i], &want.Channels[i]
		if s.label != w.Label || s.perRecord != w.PerRecord || !h.annotation(s) && s.unit != validText(w.Unit) {
			t.Errorf("signal %d: %q [%s] %d per record, want %q [%s] %d", i, s.label, s.unit, s.perRecord, w.Label, w.Unit, w.PerRecord)
		}
		if h.annotation(s) || s.perRecord != r.perRecord || s.fault != nil {
			continue
		}
		checkCodes(t, r, c, kept, w.First, [4]int64{w.N, w.Sum, w.Min, w.Max})
		kept++
	}
	if kept != r.stream.Rows() {
		t.Errorf("%d rows, want %d", r.stream.Rows(), kept)
	}
	zero := 0.0
	if !r.start.IsZero() {
		zero = r.start.Sub(h.start).Seconds()
	}
	if h.bdf && !h.plus { // triggers, which the reference does not list
		return
	}
	if len(r.annotations) != want.Annotations {
		t.Errorf("%d annotations, want %d: %v", len(r.annotations), want.Annotations, r.annotations)
	}
	for i, w := range want.First {
		if i >= len(r.annotations) {
			break
		}
		a := r.annotations[i]
		duration, _ := w[1].(float64)
		if math.Abs(a.Onset+zero-w[0].(float64)) > 1e-6 || a.Duration != duration || a.Label != w[2].(string) {
			t.Errorf("annotation %d: %+v (+%v s), want %v", i, a, zero, w)
		}
	}
}

// checkCodes reads one row through ReadAt and compares its codes: they must come
// back exactly.
func checkCodes(t *testing.T, r *edf, c *stream.Chunk, row int, first []int64, want [4]int64) {
	t.Helper()
	got := [4]int64{0, 0, math.MaxInt64, math.MinInt64}
	s := r.rows[row]
	for from := int64(0); ; from += int64(c.Len) {
		err := r.ReadAt(c, from)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for col := range c.Len {
			code := int64(math.Round((c.At(row, col) - s.offset) / s.gain))
			if got[0] < int64(len(first)) && code != first[got[0]] {
				t.Errorf("row %d column %d: code %d, want %d", row, got[0], code, first[got[0]])
			}
			got[0]++
			got[1] += code
			got[2], got[3] = min(got[2], code), max(got[3], code)
		}
	}
	if got != want {
		t.Errorf("row %d: number, sum, min, max of codes %v, want %v", row, got, want)
	}
}

// BioSemi's triggers become annotations. Expected: a reading of the words by hand.
func TestStatus(t *testing.T) {
	r := mustOpen(t, "testdata/test_bdf_stim_channel.bdf")
	var got []string
	for _, a := range r.Annotations() {
		if math.Abs(a.Duration-1.0/500) > 1e-12 {
			t.Errorf("%+v", a)
		}
		got = append(got, fmt.Sprintf("%d:%s", ColumnAt(r, a.Onset), a.Label))
	}
	if want := "242:4 310:2 952:1 1606:1 2249:1 2900:1 3537:1 4162:1 4790:1"; strings.Join(got, " ") != want {
		t.Errorf("triggers %s, want %s", strings.Join(got, " "), want)
	}
}

// Blocks of any size at any column give the same samples.
func TestReadAt(t *testing.T) {
	r := mustOpen(t, "testdata/duplicate_channel_labels.edf")
	whole := readAll(t, r)
	for _, n := range []int{1, 7, 249, 250, 251, 999} {
		c := new(stream.Chunk)
		c.Alloc(whole.Rows(), n)
		for _, from := range []int64{0, 1, 249, 250, 1234, r.Len() - 1} {
			if err := r.ReadAt(c, from); err != nil {
				t.Fatal(err)
			}
			if want := min(int64(n), r.Len()-from); int64(c.Len) != want {
				t.Fatalf("%d columns at %d, want %d", c.Len, from, want)
			}
			for col := range c.Len {
				for ch := range c.Rows() {
					if c.At(ch, col) != whole.At(ch, int(from)+col) {
						t.Fatalf("block %d from %d: sample %d,%d differs", n, from, ch, col)
					}
				}
			}
		}
		if err := r.ReadAt(c, r.Len()); err != io.EOF || c.Len != 0 {
			t.Errorf("past the end: %v, %d columns", err, c.Len)
		}
		if err := r.ReadAt(c, -1); err == nil {
			t.Error("column -1 was read")
		}
	}
}

func TestReadAtDoesNotAllocate(t *testing.T) {
	r := mustOpen(t, "testdata/chtypes_edf.edf")
	c := new(stream.Chunk)
	h := r.Header()
	c.Alloc(h.Rows(), 37)
	from := int64(0)
	read := func() {
		if err := r.ReadAt(c, from); err != nil {
			t.Fatal(err)
		}
		from = (from + 37) % (r.Len() - 37)
	}
	read()
	if n := testing.AllocsPerRun(100, read); n != 0 {
		t.Errorf("%v allocations per read", n)
	}
}

func TestGzip(t *testing.T) {
	plain, err := os.ReadFile("testdata/subsecond_starttime.edf")
	if err != nil {
		t.Fatal(err)
	}
	packed := pack(t, plain)
	path := filepath.Join(t.TempDir(), "rec.edf.gz")
	if err := os.WriteFile(path, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	a, b := readAll(t, mustOpen(t, "testdata/subsecond_starttime.edf")), readAll(t, mustOpen(t, path))
	for ch := range a.Rows() {
		for col := range a.Len {
			if a.At(ch, col) != b.At(ch, col) {
				t.Fatal("gzipped file reads differently")
			}
		}
	}
	if f, err := Detect(path); f != FormatEDF || err != nil {
		t.Errorf("Detect: %q, %v", f, err)
	}
	if _, err := unpack("bomb", bytes.NewReader(packed), 1000); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("limit: %v", err)
	}
}

func TestStartAndRates(t *testing.T) {
	r := mustOpen(t, "testdata/subsecond_starttime.edf")
	if want := time.Date(2020, 1, 24, 4, 5, 56, 394531200, time.UTC); !r.Start().Equal(want) {
		t.Errorf("start %v, want %v", r.Start(), want)
	}
	r = mustOpen(t, "testdata/test_uneven_samp.edf")
	h := r.Header()
	if h.Rate != 100 || h.Rows() != 1 || len(r.Info().Skipped) != 1 || !strings.Contains(r.Info().Skipped[0], "its rate is 12.8 Hz, the stream's 100 Hz") {
		t.Errorf("%v Hz, %d rows, skipped %q", h.Rate, h.Rows(), r.Info().Skipped)
	}
	if h := mustOpen(t, "testdata/test_edf_stim_channel.edf").Header(); h.Rate != 128 || h.Channels[24].Type != TypeStim || h.Channels[22].Type != TypeECG {
		t.Errorf("%v Hz, %+v", h.Rate, h.Channels[22:])
	}
	if h := mustOpen(t, "testdata/duplicate_channel_labels.edf").Header(); strings.Join(h.Labels(), " ") != "F1 F2 F1 (2)" {
		t.Errorf("labels %q", h.Labels())
	}
}

// field overwrites a header field of an EDF file.
func field(data []byte, at int, width int, value string) []byte {
	out := bytes.Clone(data)
	copy(out[at:at+width], fmt.Sprintf("%-*s", width, value))
	return out
}

// The messages a person sees: one line, with file, byte, and a way on.
func TestDamaged(t *testing.T) {
	good, err := os.ReadFile("testdata/subsecond_starttime.edf") // 5 records of 1 s, 4 signals, 1280 + 5·3110 bytes
	if err != nil {
		t.Fatal(err)
	}
	perSignal := func(offset, width, signal int) int { return 256 + 4*offset + width*signal }
	for _, c := range []struct {
		name string
		data []byte
		want string // "" = opens
	}{
		{"empty", nil, "x.edf: is empty; expected an EDF, BDF, GDF, BrainVision, EEGLAB or XDF recording"},
		{"text", []byte("Hello world, this is not EEG"), `x.edf: is not a recording: byte 0 starts "Hello wo"; the formats read are EDF, BDF, GDF, BrainVision (.vhdr), EEGLAB (.set) and XDF`},
		{"xdf", []byte("XDF:...."), "x.edf: is an XDF file, which holds several streams: open it with the xdf package"},
		{"gzip of nothing", []byte{0x1f, 0x8b, 8, 0}, "x.edf: starts like gzip but does not unpack (unexpected EOF); copy or download it again"},
		{"short header", good[:200], "x.edf: cut off at byte 200, inside the fixed header of 256 bytes: nothing to read; copy the file again"},
		{"short signal header", good[:1000], "x.edf: cut off at byte 1000, inside the header of 1280 bytes (4 signals): nothing to read; copy the file again"},
		{"no whole record", good[:2000], "x.edf: cut off at byte 2000: not one of 5 records of 3110 bytes is whole: nothing to read; copy the file again"},
		{"truncated", good[:8000], "x.edf: cut off at byte 8000: the header announces 5 records of 1 s, 2 are whole (2 s); copy the file again, or read these with partial=1"},
		{"header size lies", field(good, 184, 8, "1024"), "x.edf: byte 184: the header says it is 1024 bytes long, but 4 signals make 1280: it is damaged or not EDF"},
		{"more than announced", field(good, 236, 8, "3"), "x.edf: the header announces 3 records of 1 s, which end at byte 10610, but 5 are there: it was not updated, or is damaged; read all with partial=1"},
		{"fewer than announced", field(good, 236, 8, "99999999"), "x.edf: cut off at byte 16830: the header announces 99999999 records of 1 s, 5 are whole (5 s); copy the file again, or read these with partial=1"},
		{"negative records", field(good, 236, 8, "-7"), "x.edf: byte 236: -7 records; a number from 0, or -1 for an unfinished recording: the header is damaged"},
		{"unfinished", field(good, 236, 8, "-1"), ""},
		{"no signals", field(good, 252, 4, "0"), "x.edf: byte 252: 0 signals; allowed are 1 to 9999: the header is damaged"},
		{"signals not a number", field(good, 252, 4, "four"), `x.edf: byte 252: number of signals is "four"; expected a whole number: the header is damaged or not EDF`},
		{"duration not a number", field(good, 244, 8, "NaN"), `x.edf: byte 244: seconds per record is "NaN"; expected a number: the header is damaged or not EDF`},
		{"negative duration", field(good, 244, 8, "-1"), "x.edf: byte 244: records of -1 s; a duration is not negative: the header is damaged"},
		{"no duration", field(good, 244, 8, "0"), "x.edf: byte 244: 4 signals in records of 0 s; their rate cannot be told: the header is damaged"},
		{"negative samples", field(good, perSignal(216, 8, 1), 8, "-512"), `x.edf: byte 1128: -512 samples per record in signal 2 ("F7"); a number from 0: the header is damaged`},
		{"huge record", field(good, perSignal(216, 8, 0), 8, "99999999"), "x.edf: cut off at byte 16830: not one of 5 records of 200002084 bytes is whole: nothing to read; copy the file again"},
		{"huge records", field(field(good, perSignal(216, 8, 0), 8, "99999999"), perSignal(216, 8, 1), 8, "99999999"), `x.edf: byte 1128: records of more than 256 MiB by signal 2 ("F7"); the header is damaged`},
		{"no range", field(good, perSignal(128, 8, 0), 8, "-32768"), ""},
		{"range not a number", field(good, perSignal(104, 8, 2), 8, "1e999"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := OpenBytes("x.edf", c.data)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
				readAll(t, r)
			case err == nil || err.Error() != c.want:
				t.Errorf("error\n%v\nwant\n%v", err, c.want)
			}
		})
	}
	r, err := OpenBytes("x.edf", field(good, perSignal(128, 8, 0), 8, "-32768"))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Info().Skipped; len(s) != 1 || s[0] != `signal 1 ("Fp1"): its digital minimum equals its maximum (-32768), so its unit cannot be told` {
		t.Errorf("skipped %q", s)
	}
}

// A cut file tells how to get at what is whole, and that works.
func TestPartial(t *testing.T) {
	good, err := os.ReadFile("testdata/subsecond_starttime.edf")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.edf")
	if err := os.WriteFile(path, good[:8000], 0o600); err != nil {
		t.Fatal(err)
	}
	var length *LengthError
	if _, err := Open(path); !errors.As(err, &length) || length.Whole != 2 || length.Announced != 5 {
		t.Fatalf("error %v", err)
	}
	r, err := OpenPartial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if c := readAll(t, r); c.Len != 2*512 || !strings.Contains(fmt.Sprint(r.Info().Fields), "header announces 5 records, 2 are whole and read") {
		t.Errorf("%d columns, info %q", c.Len, r.Info().Fields)
	}
	_, err = Open(filepath.Join(t.TempDir(), "none.edf"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err = Open(filepath.Join(filepath.Dir(path), "CUT.bdf")); err == nil || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("near name: %v", err)
	}
	if _, err = Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("folder: %v", err)
	}
}

// tinyEDF builds an EDF+D file of one signal, 4 samples per 1 s record, one
// record per onset.
func tinyEDF(onsets []float64, text string) []byte {
	var b bytes.Buffer
	put := func(width int, s string) { fmt.Fprintf(&b, "%-*s", width, s) }
	put(8, "0")
	put(80, "X X X X")
	put(80, "Startdate 24-NOV-2026 X X X")
	put(8, "24.11.26")
	put(8, "12.00.00")
	put(8, "768")
	put(44, "EDF+D")
	put(8, strconv.Itoa(len(onsets)))
	put(8, "1")
	put(4, "2")
	for _, f := range []struct {
		width int
		a, b  string
	}{{16, "Cz", "EDF Annotations"}, {80, "", ""}, {8, "µV", ""}, {8, "-100", "-1"}, {8, "100", "1"}, {8, "-1000", "-32768"}, {8, "1000", "32767"}, {80, "", ""}, {8, "4", "30"}, {32, "", ""}} {
		for _, s := range []string{f.a, f.b} {
			s = strings.ReplaceAll(s, "µ", "\xb5")
			b.WriteString(s + strings.Repeat(" ", f.width-len(s)))
		}
	}
	for i, on := range onsets {
		for k := range 4 {
			b.Write([]byte{byte(4*i + k), 0})
		}
		tal := make([]byte, 60)
		copy(tal, fmt.Sprintf("+%v\x14\x14\x00%s", on, text))
		b.Write(tal)
	}
	return b.Bytes()
}

func TestGaps(t *testing.T) {
	r, err := OpenBytes("d.edf", tinyEDF([]float64{0.25, 1.25, 4.75, 5.75, 10.25}, "+5.25\x150.5\x14cue\x14other\x14\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(r.Gaps()), "[{8 2.5 false} {16 3.5 false}]"; got != want {
		t.Errorf("gaps %v, want %v", got, want)
	}
	if a := r.Annotations()[0]; a.Onset != 5 || a.Duration != 0.5 || a.Label != "cue" || r.Annotations()[1].Label != "other" || len(r.Annotations()) != 10 {
		t.Errorf("annotations %v", r.Annotations())
	}
	if h := r.Header(); h.Channels[0].Unit != "uV" {
		t.Errorf("unit %q", h.Channels[0].Unit)
	}
	for _, c := range []struct {
		seconds float64
		column  int64
	}{{0, 0}, {0.25, 1}, {1.99, 7}, {2, 8}, {3, 8}, {4.5, 8}, {4.75, 9}, {6.5, 16}, {9.99, 16}, {10, 16}, {10.5, 18}, {12, 24}} {
		if got := ColumnAt(r, c.seconds); got != c.column {
			t.Errorf("column at %v s: %d, want %d", c.seconds, got, c.column)
		}
	}
	for column, want := range map[int64]float64{0: 0, 7: 1.75, 8: 4.5, 15: 6.25, 16: 10, 19: 10.75} {
		if got := TimeAt(r, column); got != want {
			t.Errorf("time of column %d: %v, want %v", column, got, want)
		}
	}
	for _, c := range []struct {
		onsets []float64
		text   string
		want   string
	}{
		{[]float64{0, 0.5}, "", "d.edf: byte 836: record 2 starts at 0.5 s, before record 1 ends (1 s): records overlap or are out of order"},
		{[]float64{3, 0}, "", "d.edf: byte 836: record 2 starts at 0 s, before record 1 ends (4 s): records overlap or are out of order"},
	} {
		if _, err := OpenBytes("d.edf", tinyEDF(c.onsets, c.text)); err == nil || err.Error() != c.want {
			t.Errorf("error\n%v\nwant\n%v", err, c.want)
		}
	}
	r, err = OpenBytes("d.edf", tinyEDF([]float64{0, 1}, "x5\x14bad\x14\x00"))
	if err != nil || !strings.Contains(fmt.Sprint(r.Info().Fields), "2 could not be read, the first at byte 781") {
		t.Errorf("%v, %q", err, r.Info().Fields)
	}
}

// 64 channels of 16 bits at 160 Hz, read in blocks of 40 ms.
func BenchmarkReadAt(b *testing.B) {
	r := mustOpen(b, "samples/S007R04.edf.gz")
	h := r.Header()
	c := new(stream.Chunk)
	c.Alloc(h.Rows(), 7)
	from := int64(0)
	b.SetBytes(64 * 7 * 2)
	for b.Loop() {
		if err := r.ReadAt(c, from); err != nil {
			b.Fatal(err)
		}
		if from += 7; from >= r.Len() {
			from = 0
		}
	}
}

func FuzzEDF(f *testing.F) {
	for _, name := range []string{"SC4001EC-Hypnogram.edf", "subsecond_starttime.edf", "test_bdf_stim_channel.bdf"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4700)])
	}
	f.Add(tinyEDF([]float64{0, 1, 5}, "+1\x152\x14cue\x14\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, partial := range []bool{false, true} {
			r, err := openContent("fuzz", bytes.NewReader(data), int64(len(data)), nopCloser{}, partial)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("more than one line: %q", err)
				}
				continue
			}
			h := r.Header()
			if h.Rows() == 0 {
				continue
			}
			if err := h.Validate(); err != nil {
				t.Fatal(err)
			}
			c := new(stream.Chunk)
			c.Alloc(h.Rows(), min(h.MaxLen, 64))
			for _, from := range []int64{0, r.Len() / 2, r.Len() - 1, r.Len()} {
				if err := r.ReadAt(c, max(0, from)); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
		}
	})
}

// mustOpen opens a recording for the length of the test.
func mustOpen(t testing.TB, path string) Recording {
	t.Helper()
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// readAll reads a whole recording into one chunk.
func readAll(t testing.TB, r Recording) *stream.Chunk {
	t.Helper()
	c := new(stream.Chunk)
	h := r.Header()
	c.Alloc(h.Rows(), int(r.Len()))
	if err := r.ReadAt(c, 0); err != nil {
		t.Fatal(err)
	}
	return c
}

func pack(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
