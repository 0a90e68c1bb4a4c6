package recordings

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream"
)

// formatWant is what another reader finds in a file, in volts.
type formatWant struct {
	Rate     float64 `json:"fs"`
	N        int64
	Channels []struct {
		Label     string
		First     []float64 `json:"first4"`
		Mean, Std float64
	}
	Annotations int     `json:"n_annotations"`
	First       [][]any `json:"annotations_first8"`
	MNEError    string  `json:"mne_error"`
	Shape       []int
}

// Conformance files of GDF, BrainVision and EEGLAB: what is found is what MNE-Python
// 1.3.0 finds.
func TestFormats(t *testing.T) {
	checkFormats(t, "testdata", "testdata/formats.json")
}

func TestFormatsAll(t *testing.T) {
	dir := "../../shared/data/formats"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("larger conformance files are not beside the repository; the small ones are tested by TestFormats")
	}
	checkFormats(t, dir, filepath.Join(dir, "reference.json"))
}

func checkFormats(t *testing.T, dir, list string) {
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for name, msg := range all {
		switch filepath.Ext(name) {
		case ".gdf", ".vhdr", ".ahdr", ".set":
		default:
			continue
		}
		var w formatWant
		if err := json.Unmarshal(msg, &w); err != nil {
			t.Fatal(name, err)
		}
		n++
		t.Run(filepath.Base(name), func(t *testing.T) { checkFormat(t, filepath.Join(dir, name), &w) })
	}
	if n == 0 {
		t.Error("nothing was tested")
	}
}

func checkFormat(t *testing.T, path string, w *formatWant) {
	r, err := Open(path)
	if w.MNEError != "" {
		if err == nil || !strings.Contains(err.Error(), "MATLAB 7.3") {
			t.Errorf("error %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	if len(w.Shape) == 3 { // epochs: another test looks at them
		if h.Rate != w.Rate || r.Len() != int64(w.Shape[0]*w.Shape[2]) || h.Rows() != w.Shape[1] {
			t.Errorf("%v Hz, %d columns of %d channels; want %v and %v", h.Rate, r.Len(), h.Rows(), w.Rate, w.Shape)
		}
		return
	}
	if math.Abs(h.Rate-w.Rate) > 1e-9*w.Rate || r.Len() != w.N || h.Rows() != len(w.Channels) {
		t.Fatalf("%v Hz, %d columns of %d channels; want %v Hz, %d of %d", h.Rate, r.Len(), h.Rows(), w.Rate, w.N, len(w.Channels))
	}
	c := readAll(t, r)
	for ch, want := range w.Channels {
		label, _ := CleanLabel(want.Label)
		if h.Channels[ch].Label != label {
			t.Errorf("channel %d is %q, want %q", ch, h.Channels[ch].Label, label)
		}
		scale := map[string]float64{"uV": 1e-6, "mV": 1e-3, "nV": 1e-9, "uS": 1e-6, "µS": 1e-6}[h.Channels[ch].Unit]
		if scale == 0 || filepath.Base(path) == "sample_mi.gdf" { // whose "\xb5V" MNE does not take for microvolts
			scale = 1
		}
		sum, sq := 0.0, 0.0
		x := c.Row(nil, ch)
		for i, v := range x {
			x[i] = v * scale
			sum += x[i]
		}
		mean := sum / float64(len(x))
		for _, v := range x {
			sq += (v - mean) * (v - mean)
		}
		// The reference was computed in single precision.
		near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-7*max(math.Abs(a), math.Abs(b), want.Std) }
		for i, v := range want.First {
			if !near(x[i], v) {
				t.Errorf("channel %s [%s] column %d: %v, want %v", label, h.Channels[ch].Unit, i, x[i], v)
			}
		}
		if std := math.Sqrt(sq / float64(len(x))); !near(mean, want.Mean) || !near(std, want.Std) {
			t.Errorf("channel %s [%s]: mean %v, deviation %v; want %v, %v", label, h.Channels[ch].Unit, mean, std, want.Mean, want.Std)
		}
	}
	// MNE leaves out what lies behind the end.
	var notes []Annotation
	for _, a := range r.Annotations() {
		if a.Onset < float64(r.Len())/h.Rate {
			notes = append(notes, a)
		}
	}
	if len(notes) != w.Annotations {
		t.Errorf("%d annotations, want %d: %v", len(notes), w.Annotations, notes)
	}
	for _, want := range w.First {
		found := false
		for _, a := range notes {
			// One sample, MNE's least, is a point in time.
			duration := a.Duration == 0 && want[1].(float64)*h.Rate < 1.1 || math.Abs(a.Duration-want[1].(float64)) < 1e-6
			found = found || math.Abs(a.Onset-want[0].(float64)) < 1e-6 && duration && a.Label == want[2].(string)
		}
		if !found {
			t.Errorf("no annotation %v: %v", want, notes)
		}
	}
}

// writeFiles puts files into a folder of the test's.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const vhdr = `Brain Vision Data Exchange Header File Version 1.0
; comment
[Common Infos]
DataFile=C:\lab\$b.eeg
MarkerFile=rec.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=2
SamplingInterval=4000
[Binary Infos]
BinaryFormat=INT_16
[Channel Infos]
Ch1=FPZ,,0.5,µV
Ch2=a\1b,,,mV
[Comment]
NumberOfChannels=99
`

const vmrk = `Brain Vision Data Exchange Marker File, Version 1.0
[Marker Infos]
Mk1=New Segment,,1,1,0,20261124100000000000
Mk2=Stimulus,S  7\1,3,1,0
Mk3=New Segment,,4,1,0,20261124100002012000
Mk4=Response,R  1,,1,0
Mk5=Comment,x,5,250,0
`

func TestBrainVision(t *testing.T) {
	samples := "\x02\x00\x01\x00\x04\x00\x02\x00\xfe\xff\x03\x00\x00\x80\x04\x00\x0a\x00\x05\x00\x06"
	dir := writeFiles(t, map[string]string{"rec.vhdr": vhdr, "rec.eeg": samples, "rec.vmrk": vmrk})
	for name, text := range map[string]string{"rec.vhdr": vhdr, "vec.vhdr": strings.Replace(strings.Replace(vhdr, "$b", "vec", 1), "MULTI", "VECTOR", 1)} {
		text = strings.Replace(text, "VECTORPLEXED", "VECTORIZED", 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "vec.eeg"), []byte("\x02\x00\x04\x00\xfe\xff\x00\x80\x0a\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rec.vhdr", "vec.vhdr"} {
		r := mustOpen(t, filepath.Join(dir, name))
		h := r.Header()
		if h.Rate != 250 || r.Len() != 5 || h.Channels[0].Label != "Fpz" || h.Channels[0].Unit != "uV" || h.Channels[1].Label != "a,b" || h.Channels[1].Unit != "mV" {
			t.Errorf("%s: %+v, %d columns", name, h, r.Len())
		}
		c := readAll(t, r)
		for i, want := range []float64{1, 2, -1, -16384, 5} {
			if c.At(0, i) != want || c.At(1, i) != float64(i+1) {
				t.Errorf("%s: column %d is %v, %v", name, i, c.At(0, i), c.At(1, i))
			}
		}
		if got, want := fmt.Sprint(r.Annotations()), "[{0 0 New Segment/} {0.008 0 Stimulus/S  7,} {0.012 0 New Segment/} {0.016 1 Comment/x}]"; got != want {
			t.Errorf("%s: annotations %s, want %s", name, got, want)
		}
		if g := r.Gaps(); len(g) != 1 || g[0].Column != 3 || math.Abs(g[0].Seconds-2) > 1e-9 {
			t.Errorf("%s: gaps %v", name, g)
		}
		if got := r.Start().Format("2006-01-02 15:04:05"); got != "2026-11-24 10:00:00" {
			t.Errorf("%s: start %s", name, got)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{"NumberOfChannels=2", "NumberOfChannels=two", `bad.vhdr: line 8: NumberOfChannels is "two"; expected 1 to 9999`},
		{"NumberOfChannels=2", "NumberOfChannels=3", "bad.vhdr: has no entry Ch3 in [Channel Infos], but 3 channels"},
		{"SamplingInterval=4000", "SamplingInterval=0", `bad.vhdr: line 9: SamplingInterval is "0"; expected microseconds`},
		{"BINARY", "ASCII", "bad.vhdr: line 6: DataFormat ASCII is not read; export the recording as BINARY"},
		{"INT_16", "INT_12", `bad.vhdr: line 11: BinaryFormat is "INT_12"; expected INT_16, UINT_16, INT_32 or IEEE_FLOAT_32`},
		{"MULTIPLEXED", "SIDEWAYS", `bad.vhdr: line 7: DataOrientation is "SIDEWAYS"; expected MULTIPLEXED or VECTORIZED`},
		{"Ch1=FPZ,,0.5", "Ch1=FPZ,,half", `bad.vhdr: line 13: the resolution of Ch1 is "half"; expected a number`},
		{"$b.eeg", "../../gone.eeg", "gone.eeg: the samples of bad.vhdr: "},
		{"Header File", "Marker File", "bad.vhdr: is a BrainVision file but not the header; open the .vhdr (or .ahdr) file"},
	} {
		path := filepath.Join(dir, "bad.vhdr")
		if err := os.WriteFile(path, []byte(strings.Replace(vhdr, c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.want[0] == 'b' && !strings.Contains(c.new, "eeg") {
			if err := os.WriteFile(filepath.Join(dir, "bad.eeg"), []byte(samples), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			os.Remove(filepath.Join(dir, "bad.eeg"))
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error\n%v\nwant\n%s", err, c.want)
		}
	}
}

// tinyGDF builds a version 1 file: two int16 channels and one of another rate, three
// records of two samples, two events.
func tinyGDF() []byte {
	le := binary.LittleEndian
	b := make([]byte, 256+3*256)
	copy(b, "GDF 1.25X X")
	copy(b[168:], "2026112410000000")
	le.PutUint64(b[184:], uint64(len(b)))
	le.PutUint64(b[236:], 3)
	le.PutUint32(b[244:], 1)
	le.PutUint32(b[248:], 50)
	le.PutUint32(b[252:], 3)
	at := 256
	each := func(width int, put func(b []byte, i int)) {
		for i := range 3 {
			put(b[at+width*i:], i)
		}
		at += 3 * width
	}
	float := func(v float64) func([]byte, int) {
		return func(b []byte, _ int) { le.PutUint64(b, math.Float64bits(v)) }
	}
	whole := func(v int64) func([]byte, int) { return func(b []byte, _ int) { le.PutUint64(b, uint64(v)) } }
	each(16, func(b []byte, i int) { copy(b, []string{"c3", "EOG", "Temp"}[i]) })
	each(80, func([]byte, int) {})
	each(8, func(b []byte, _ int) { copy(b, "uV") })
	each(8, float(-100))
	each(8, float(100))
	each(8, whole(-1000))
	each(8, whole(1000))
	each(80, func([]byte, int) {})
	each(4, func(b []byte, i int) { le.PutUint32(b, []uint32{2, 2, 1}[i]) })
	each(4, func(b []byte, _ int) { le.PutUint32(b, 3) })
	for r := range 3 {
		for _, v := range []int16{int16(20 * r), int16(20*r + 10), -1000, 1000, 7} {
			b = le.AppendUint16(b, uint16(v))
		}
	}
	b = append(b, 3, 0, 0, 0) // mode, rate 0 = that of the signals
	b = le.AppendUint32(b, 2)
	b = le.AppendUint32(le.AppendUint32(b, 5), 2)
	b = le.AppendUint16(le.AppendUint16(b, 770), 769)
	b = le.AppendUint16(le.AppendUint16(b, 0), 0)
	return le.AppendUint32(le.AppendUint32(b, 0), 100)
}

func TestGDF(t *testing.T) {
	good := tinyGDF()
	r, err := OpenBytes("x.gdf", good)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if h.Rate != 100 || r.Len() != 6 || strings.Join(h.Labels(), " ") != "C3 EOG" || h.Channels[1].Type != TypeEOG || len(r.Info().Skipped) != 1 {
		t.Errorf("%+v, %d columns, skipped %q", h, r.Len(), r.Info().Skipped)
	}
	c := readAll(t, r)
	for i := range 6 {
		if math.Abs(c.At(0, i)-float64(i)) > 1e-12 || math.Abs(math.Abs(c.At(1, i))-100) > 1e-12 {
			t.Errorf("column %d: %v, %v", i, c.At(0, i), c.At(1, i))
		}
	}
	if got := fmt.Sprint(r.Annotations()); got != "[{0.01 1 769} {0.04 0 770}]" {
		t.Errorf("annotations %s", got)
	}
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"version":  {change(4, '9'), `x.gdf: byte 4: GDF version "9.25"; versions 1 and 2 are read`},
		"short":    {good[:200], "x.gdf: cut off at byte 200"},
		"header":   {good[:900], "x.gdf: byte 184: the header says it is 1024 bytes long; 3 signals need 1024, and the file has 900"},
		"cut":      {good[:1040], "x.gdf: cut off at byte 1040: the header announces 3 records of 0.02 s, 1 are whole"},
		"signals":  {change(252, 0), "x.gdf: byte 252: 0 signals"},
		"duration": {change(248, 0), "x.gdf: byte 244: records of 1/0 s"},
		"records":  {change(236, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "x.gdf: byte 236: -16 records"},
		"type":     {change(1024-3*32-12, 99), `x.gdf: signal 1 ("c3") has values of type 99, which GDF does not define`},
		"samples":  {change(1024-3*32-24+3, 0x7f), "x.gdf: records of more than 256 MiB by signal 1"},
	} {
		if _, err := OpenBytes("x.gdf", c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error\n%v\nwant\n%s", name, err, c.want)
		}
	}
	if r, err := OpenBytes("x.gdf", change(len(good)-28, 9)); err != nil || len(r.Annotations()) != 0 || !strings.Contains(fmt.Sprint(r.Info().Fields), "the table at byte 1054 is damaged") {
		t.Errorf("damaged events: %v, %v", err, r.Info().Fields)
	}
}

func FuzzGDF(f *testing.F) {
	f.Add(tinyGDF())
	if data, err := os.ReadFile("testdata/test_1ch.gdf"); err != nil {
		f.Fatal(err)
	} else {
		f.Add(data[:600])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openGDF("fuzz", bytes.NewReader(data), int64(len(data)), nopCloser{}, true)
		if err != nil {
			return
		}
		probe(t, r)
	})
}

// probe reads here and there.
func probe(t *testing.T, r Recording) {
	t.Helper()
	h := r.Header()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	c := new(stream.Chunk)
	c.Alloc(h.Rows(), min(h.MaxLen, 64))
	for _, from := range []int64{0, r.Len() / 2, max(0, r.Len()-1)} {
		if err := r.ReadAt(c, from); err != nil && r.Len() > 0 {
			t.Fatal(err)
		}
	}
}
