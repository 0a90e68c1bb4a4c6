package xdf

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is one sample as encoded, with its stamp.
type sample struct {
	stamp  float64
	values string
}

func samplesOf(t *testing.T, s *Stream) []sample {
	t.Helper()
	out := make([]sample, 0, s.Len())
	err := s.each(0, s.Len(), func(i int64, b []byte) {
		n := s.Info.Format.Size() * len(s.Info.Channels)
		if n == 0 {
			for range s.Info.Channels {
				v, k := varlen(b[n:])
				n += k + int(v)
			}
		}
		out = append(out, sample{s.stamps[i], string(b[:n])})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hurt damages a copy of data at random and returns the stretches of the original
// that are touched.
func hurt(rng *rand.Rand, data []byte) ([]byte, []Span) {
	out := bytes.Clone(data)
	var touched []Span
	size := int64(len(data))
	for range 1 + rng.Intn(3) {
		at := rng.Int63n(size)
		n := min(1+rng.Int63n(200), size-at)
		for i := at; i < at+n; i++ {
			switch rng.Intn(3) {
			case 0:
				out[i] = 0xff
			case 1:
				out[i] = 0
			case 2:
				out[i] = byte(rng.Intn(256))
			}
		}
		touched = append(touched, Span{From: at, To: at + n})
	}
	// Cutting or pushing apart moves what follows, so at most one of these.
	switch at := rng.Int63n(size); rng.Intn(4) {
	case 0: // the end is missing
		touched = append(touched, Span{From: at, To: size})
		out = out[:at]
	case 1: // a piece is missing
		n := min(1+rng.Int63n(500), size-at)
		touched = append(touched, Span{From: at, To: at + n})
		out = slices.Delete(out, int(at), int(at+n))
	case 2: // something is in between
		junk := make([]byte, 1+rng.Intn(500))
		rng.Read(junk)
		touched = append(touched, Span{From: at, To: at})
		out = slices.Insert(out, int(at), junk...)
	}
	return out, touched
}

func hit(touched []Span, p piece) bool {
	for _, s := range touched {
		if s.From < p.end && s.To > p.pos || s.From == s.To && s.From > p.pos && s.From < p.end {
			return true
		}
	}
	return false
}

// 200 files damaged at random places: every chunk that was not touched is in the
// repaired file, with its stamps, and the repaired file is whole.
func TestRepair(t *testing.T) {
	dir := t.TempDir()
	ours, err := os.ReadFile(made(t, 400))
	if err != nil {
		t.Fatal(err)
	}
	bases := [][]byte{vector(t, "labrecorder_cli.xdf"), ours}
	chunks, headless := 0, 0
	for seed := range 200 {
		base := bases[seed%len(bases)]
		path := filepath.Join(dir, fmt.Sprintf("base%d.xdf", seed%len(bases)))
		if seed < len(bases) {
			if err := os.WriteFile(path, base, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		whole, err := openFile(path, true)
		if err != nil {
			t.Fatal(err)
		}
		data, touched := hurt(rand.New(rand.NewSource(int64(seed))), base)
		in, out := filepath.Join(dir, fmt.Sprintf("in%d.xdf", seed)), filepath.Join(dir, fmt.Sprintf("out%d.xdf", seed))
		if err := os.WriteFile(in, data, 0o600); err != nil {
			t.Fatal(err)
		}
		report, written, err := Repair(in, out)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !written { // only values were touched, which nothing can tell
			if len(report.Damage) > 0 {
				t.Errorf("seed %d: damaged but not written", seed)
			}
			out = in
		}
		fixed, err := Open(out)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if written {
			if r, err := Check(out); err != nil || !r.Whole() {
				t.Errorf("seed %d: the repaired file is not whole: %v, %+v", seed, err, r)
			}
		}
		n, lost := survivors(t, seed, whole, fixed, touched)
		chunks += n
		headless += lost
		whole.Close()
		fixed.Close()
	}
	t.Logf("%d chunks untouched and found; %d streams with a touched header left out", chunks, headless)
	if chunks < 200*100 || headless > 200 {
		t.Errorf("%d chunks, %d streams without header: the damage is not what was meant", chunks, headless)
	}
}

// survivors checks that all untouched Samples chunks and clock offsets of whole are
// in fixed, in order. Streams whose header was touched are counted, not checked.
func survivors(t *testing.T, seed int, whole, fixed *File, touched []Span) (chunks, headless int) {
	t.Helper()
	for _, p := range whole.scan.pieces {
		if p.tag != tagStreamHeader {
			continue
		}
		content, err := whole.scan.content(p)
		if err != nil {
			t.Fatal(err)
		}
		s := whole.Stream(uint32(content[0])) // ids are small here
		if hit(touched, p) {
			headless++
			continue
		}
		got := fixed.Stream(s.ID)
		if got == nil {
			t.Errorf("seed %d: stream %d is gone", seed, s.ID)
			continue
		}
		want, have := samplesOf(t, s), samplesOf(t, got)
		same := func(a, b sample) bool { return a.values == b.values && math.Abs(a.stamp-b.stamp) < 1e-9 }
		at := 0
		for _, c := range s.chunks {
			if hit(touched, c.piece) {
				continue
			}
			part := want[c.first : c.first+int64(c.n)]
			for at+len(part) <= len(have) && !slices.EqualFunc(have[at:at+len(part)], part, same) {
				at++
			}
			if at+len(part) > len(have) {
				t.Errorf("seed %d: stream %d: chunk at byte %d (%d samples) is not in the repaired file", seed, s.ID, c.pos, c.n)
				break
			}
			at += len(part)
			chunks++
		}
	}
	return chunks, headless
}

// The damaged vectors give what their description says, and pyxdf's way of going on
// at the next boundary is bettered.
func TestRepairVectors(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string][7]int64{
		"labrecorder_cli_corrupted.xdf": {1190, 2350, 16, 65, 240, 480, 0},
		"labrecorder_cli_truncated.xdf": {1000, 2000, 14, 55, 200, 400, 0},
	} {
		in, out := filepath.Join(dir, name), filepath.Join(dir, "fixed "+name)
		if err := os.WriteFile(in, vector(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
		report, written, err := Repair(in, out)
		if err != nil || !written {
			t.Fatalf("%v, %v", written, err)
		}
		if report.Whole() || len(report.Damage) != 1 {
			t.Errorf("report %+v", report)
		}
		f, err := Open(out)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range want {
			s := f.Stream(uint32(i + 1))
			if s.Len() != n || s.Footer == nil {
				t.Errorf("%s: stream %d has %d samples, footer %v; want %d", name, i+1, s.Len(), s.Footer, n)
			}
		}
		f.Close()
		if _, _, err := Repair(in, out); !errors.Is(err, fs.ErrExist) {
			t.Errorf("existing file: %v", err)
		}
		if _, again, err := Repair(out, filepath.Join(dir, "again")); err != nil || again {
			t.Errorf("a whole file is repaired: %v, %v", again, err)
		}
	}
	bad := filepath.Join(dir, "text")
	if err := os.WriteFile(bad, []byte("no brain here"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(bad); err == nil || !strings.Contains(err.Error(), "holds no XDF chunk at all") {
		t.Errorf("text: %v", err)
	}
	if _, err := Open(bad); err == nil || !strings.Contains(err.Error(), `is not an XDF file: byte 0 starts "no b"`) {
		t.Errorf("text: %v", err)
	}
}

// Stamps after a loss are counted back from the next explicit one; when nothing was
// lost they stay as deduced.
func TestStampsOverDamage(t *testing.T) {
	build := func(lost bool) []byte {
		b := append([]byte(nil), magic...)
		header := `<?xml version="1.0"?><info><name>a</name><channel_count>1</channel_count><nominal_srate>10</nominal_srate><channel_format>int8</channel_format></info>`
		b = appendChunk(b, tagStreamHeader, 7, true, []byte(header))
		one := func(first float64, n int) {
			content := []byte{1, byte(n)}
			for i := range n {
				if i == 0 && first > 0 {
					content = append(append(content, 8), le(first)...)
				} else {
					content = append(content, 0)
				}
				content = append(content, byte(i))
			}
			b = appendChunk(b, tagSamples, 7, true, content)
		}
		one(100, 5) // 100.0 … 100.4
		if lost {
			b = append(b, 0xff, 0xff, 0xff) // where 100.5 … 100.9 was
			one(0, 3)
			one(101.3, 2)
		} else {
			b = append(b, 0xff, 0xff, 0xff)
			one(0, 3)
			one(100.8, 2)
		}
		return b
	}
	for lost, want := range map[bool][]float64{
		true:  {100, 100.1, 100.2, 100.3, 100.4, 101, 101.1, 101.2, 101.3, 101.4},
		false: {100, 100.1, 100.2, 100.3, 100.4, 100.5, 100.6, 100.7, 100.8, 100.9},
	} {
		f, err := OpenBytes("x", build(lost))
		if err != nil {
			t.Fatal(err)
		}
		got := f.Stream(7).Stamps()
		if !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }) {
			t.Errorf("lost %v: stamps %v, want %v", lost, got, want)
		}
	}
}

func le(v float64) []byte { return Double64.appendFloats(nil, []float64{v}) }

// A header whose XML is damaged outside its main fields still decodes its stream.
func TestDamagedHeader(t *testing.T) {
	data := vector(t, "labrecorder_cli.xdf")
	i := bytes.Index(data, []byte("<manufacturer>"))
	copy(data[i:], "<<\x00\xff&;>>>>")
	f, err := OpenBytes("x", data)
	if err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, s := range f.Streams() {
		if s.Len() > 0 {
			whole++
		}
	}
	if whole != 6 || len(f.Notes()) != 1 || !strings.Contains(f.Notes()[0], "its main fields were saved") {
		t.Errorf("%d streams with samples, notes %q", whole, f.Notes())
	}
}

func TestReportText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xdf")
	if err := os.WriteFile(path, vector(t, "labrecorder_cli_corrupted.xdf"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a.xdf: 87405 bytes, recorded 2026-11-23 10:28:13 +0000\n",
		"2       XdfEEG      EEG",
		"damaged: bytes 39599 to 40672 (1074): no chunk begins here\n",
		"damaged: 1074 bytes, in stretches: 1; every other chunk is readable, and repair writes them to a new file\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	eeg := r.Streams[slices.IndexFunc(r.Streams, func(s StreamReport) bool { return s.Name == "XdfEEG" })]
	if eeg.Gaps != 1 || eeg.Missing != 50 || eeg.Footer != "says 2400 samples" {
		t.Errorf("%+v", eeg)
	}
}

// A file in which every chunk holds all that follow, and none ends well, is given up
// on in time.
func TestNested(t *testing.T) {
	header := `<?xml version="1.0"?><info><name>a</name><channel_count>1</channel_count><nominal_srate>0</nominal_srate><channel_format>string</channel_format></info>`
	b := appendChunk(bytes.Clone(magic), tagStreamHeader, 7, true, []byte(header))
	const heads, each = 50_000, 4 + 1 + 2 + 4 + 2 + 1 + 5
	for i := range heads {
		inner := (heads - 1 - i) * each
		b = append(b, 4)
		b = Int32.appendInteger(b, int64(each-5+inner))
		b = append(b, tagSamples, 0, 7, 0, 0, 0, 1, 1, 0, 4)
		b = Int32.appendInteger(b, int64(inner))
	}
	b = append(b, 0xff) // so that no chunk is followed by anything
	began := time.Now()
	f, err := OpenBytes("nested", b)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %v, %d units of work, damage %v", len(b), time.Since(began), f.scan.work, f.Damage())
	if limit := int64(1<<28 + 17*len(b)); f.scan.work > limit {
		t.Errorf("%d units of work; the limit is %d", f.scan.work, limit)
	}
}
