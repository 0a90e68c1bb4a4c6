package xdf

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"neurostream/stream"
)

// made writes a file of all formats and returns its path. Stamps of the regular
// streams are such that readers deduce most of them.
func made(t testing.TB, samples int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.xdf")
	w, err := Create(path, WriterOptions{Created: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[Format]uint32)
	for f := Float32; f <= Int64; f++ {
		info := Info{Name: "made <" + f.String() + "> & co", Type: "EEG", Format: f, Rate: 128, SourceID: "id " + f.String(), Channels: []Channel{{Label: "Fc5.", Unit: "microvolts"}, {Label: "b \"2\""}, {}}}
		if f == String {
			info.Rate, info.Type = 0, "Markers"
		}
		if ids[f], err = w.AddStream(info); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < samples; from += 10 {
		var stamps []float64
		for i := from; i < from+10; i++ {
			stamps = append(stamps, 1000+float64(i)/128)
		}
		for f, id := range ids {
			switch f {
			case String:
				err = w.WriteStrings(id, stamps[:1], madeStrings(from))
			case Int8, Int16, Int32, Int64:
				err = w.WriteInts(id, stamps, madeInts(f, from))
			default:
				err = w.Write(id, stamps, madeFloats(f, from))
			}
			if err == nil && from%200 == 0 {
				err = w.ClockOffset(id, Offset{Time: stamps[0], Value: -990 + 1e-5*float64(from%7)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if from%100 == 90 {
			if err := w.Boundary(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func madeStrings(from int) []string {
	return []string{fmt.Sprintf("marker %d µ", from), "", strings.Repeat("m", from%300)}
}

func madeInts(f Format, from int) []int64 {
	lo, hi := f.limits()
	out := make([]int64, 30)
	for i := range out {
		out[i] = [3]int64{lo, hi, int64(i+from) % 100}[i%3]
	}
	return out
}

func madeFloats(f Format, from int) []float64 {
	out := make([]float64, 30)
	for i := range out {
		out[i] = float64(i+from) + 0.5
	}
	if f == Double64 {
		out[0], out[1] = math.Pi, math.Inf(-1)
	}
	return out
}

// What was written is read, to the last bit, in all formats.
func TestRoundTrip(t *testing.T) {
	const samples = 1000
	f, err := Open(made(t, samples))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if len(f.Damage()) != 0 || len(f.Notes()) != 0 || !f.Created().Equal(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("damage %v, notes %v, created %v", f.Damage(), f.Notes(), f.Created())
	}
	if len(f.Streams()) != 7 {
		t.Fatalf("%d streams", len(f.Streams()))
	}
	for _, s := range f.Streams() {
		format := s.Info.Format
		if s.Info.Name != "made <"+format.String()+"> & co" || s.Info.SourceID != "id "+format.String() ||
			!slices.Equal(s.Info.Channels, []Channel{{Label: "Fc5.", Unit: "microvolts"}, {Label: "b \"2\""}, {}}) {
			t.Errorf("header %+v", s.Info)
		}
		if len(s.Offsets()) != 5 || s.Offsets()[1] != (Offset{1000 + 200.0/128, -990 + 4*1e-5}) {
			t.Errorf("offsets %v", s.Offsets())
		}
		if got, want := s.Footer.Value("sample_count"), fmt.Sprint(s.Len()); got != want {
			t.Errorf("footer says %s samples, there are %s", got, want)
		}
		step, per := int64(1), int64(10)
		if format == String {
			step, per = 10, 1
		}
		if s.Len() != samples/step {
			t.Fatalf("%v: %d samples", format, s.Len())
		}
		for i, v := range s.Stamps() {
			if want := 1000 + float64(int64(i)*step)/128; v != want {
				t.Fatalf("%v: stamp %d is %v, want %v", format, i, v, want)
			}
		}
		for i := int64(0); i < s.Len(); i += per {
			from := int(i * step)
			switch format {
			case String:
				got := make([]string, 3)
				if err := s.ReadStrings(got, i); err != nil || !slices.Equal(got, madeStrings(from)) {
					t.Fatalf("%v: sample %d: %q, %v", format, i, got, err)
				}
			case Int8, Int16, Int32, Int64:
				got := make([]int64, 30)
				if err := s.ReadInts(got, i); err != nil || !slices.Equal(got, madeInts(format, from)) {
					t.Fatalf("%v: sample %d: %v, %v", format, i, got, err)
				}
			default:
				got := make([]float64, 30)
				if err := s.ReadFloats(got, i); err != nil {
					t.Fatal(err)
				}
				for k, want := range madeFloats(format, from) {
					if format == Float32 {
						want = float64(float32(want))
					}
					if got[k] != want {
						t.Fatalf("%v: sample %d: %v, want %v", format, i, got[k], want)
					}
				}
			}
		}
	}
}

// A sample is in the file half a second after it was written, without Close and
// without another call.
func TestDataAtRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "risk.xdf")
		w, err := Create(path, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id, err := w.AddStream(Info{Name: "a", Format: Float32, Rate: 1000, Channels: make([]Channel, 4)})
		if err != nil {
			t.Fatal(err)
		}
		count := func() (samples int64, boundaries int) {
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			return f.Stream(id).Len(), f.scan.counts[tagBoundary]
		}
		for k := range 50 { // five seconds, ten samples every 100 ms
			stamps := make([]float64, 10)
			for i := range stamps {
				stamps[i] = float64(10*k+i) / 1000
			}
			if err := w.Write(id, stamps, make([]float64, 40)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if got, _ := count(); got < int64(10*(k-4)) {
				t.Fatalf("after %d samples, %d are in the file", 10*(k+1), got)
			}
		}
		time.Sleep(501 * time.Millisecond)
		synctest.Wait()
		if samples, boundaries := count(); samples != 500 || boundaries != 2 {
			t.Errorf("%d samples and %d boundaries without Close", samples, boundaries)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWriterRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.xdf")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, WriterOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	if _, err := Create(filepath.Join(dir, "b"), WriterOptions{FlushEvery: 2 * time.Second}); err == nil || err.Error() != "xdf: FlushEvery is 2s; allowed are 0 (0.5 s) to 1 s" {
		t.Errorf("error %v", err)
	}
	good := Info{Name: "a", Format: Int16, Rate: 10, Channels: make([]Channel, 2)}
	id, err := w.AddStream(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range []func(*Info){
		func(i *Info) { i.Name = " " },
		func(i *Info) { i.Format = 0 },
		func(i *Info) { i.Channels = nil },
		func(i *Info) { i.Rate = math.NaN() },
		func(i *Info) { i.XML = "<info><channel_count>3</channel_count></info>" },
		func(i *Info) {
			i.XML = "<info><name>a</name><channel_count>3</channel_count><channel_format>int16</channel_format><nominal_srate>10</nominal_srate></info>"
		},
	} {
		bad := good
		mod(&bad)
		if _, err := w.AddStream(bad); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
	for name, err := range map[string]error{
		"unknown stream": w.Write(99, []float64{1}, []float64{1, 2}),
		"too few values": w.Write(id, []float64{1}, []float64{1}),
		"strings":        w.WriteStrings(id, []float64{1}, []string{"a", "b"}),
		"no stamp":       w.Write(id, []float64{math.NaN()}, []float64{1, 2}),
		"no offset":      w.ClockOffset(id, Offset{math.NaN(), 1}),
		"offset, stream": w.ClockOffset(99, Offset{1, 1}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := w.Write(id, []float64{1}, []float64{1e9, math.NaN()}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(id, nil, nil); err != errClosed {
		t.Errorf("write after Close: %v", err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]int64, 2)
	if err := f.Stream(id).ReadInts(got, 0); err != nil || got[0] != math.MaxInt16 || got[1] != 0 {
		t.Errorf("out of range: %v, %v", got, err)
	}
}

// A failed write is remembered, and what is in the file stays whole.
func TestWriterFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xdf")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.AddStream(Info{Name: "a", Format: Int8, Rate: 10, Channels: make([]Channel, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close() // the disk is gone
	if err := w.Write(id, []float64{1}, []float64{1}); err != nil {
		t.Fatal(err)
	}
	first := w.Flush()
	if first == nil || !strings.Contains(first.Error(), "a.xdf: recording stopped after") {
		t.Errorf("flush: %v", first)
	}
	if err := w.Write(id, []float64{1}, []float64{1}); err != first {
		t.Errorf("write after failure: %v", err)
	}
	if err := w.Close(); err != first {
		t.Errorf("close after failure: %v", err)
	}
	if r, err := Check(path); err != nil || len(r.Damage) != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}

func chunkOf(t testing.TB, rows, columns int) *stream.Chunk {
	t.Helper()
	c := new(stream.Chunk)
	c.Alloc(rows, columns)
	c.Resize(columns)
	for ch := range rows {
		for i := range columns {
			c.Set(ch, i, float64(ch*1000+i))
		}
	}
	return c
}

func TestWriteChunkDoesNotAllocate(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "a.xdf"), WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	id, err := w.AddStream(Info{Name: "a", Format: Float32, Rate: 1000, Channels: make([]Channel, 20)})
	if err != nil {
		t.Fatal(err)
	}
	c := chunkOf(t, 20, 25)
	write := func() {
		if err := w.WriteChunk(id, c, nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		c.T0 += 25e6
	}
	write()
	if n := testing.AllocsPerRun(50, write); n != 0 {
		t.Errorf("%v allocations per chunk", n)
	}
}

// Columns come back through ReadAt, from any place, in blocks of any size.
func TestStreamReadAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xdf")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.AddStream(Info{Name: "a", Format: Double64, Rate: 1000, Channels: make([]Channel, 11)})
	if err != nil {
		t.Fatal(err)
	}
	c := chunkOf(t, 11, 500)
	for _, n := range []int{1, 7, 250, 500, 92, 150} {
		part := new(stream.Chunk)
		part.Alloc(11, n)
		part.Resize(n)
		for k := range part.Tiles() {
			copy(part.Tile(k), c.Tile(k))
		}
		if err := w.WriteChunk(id, part, nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Stream(id)
	flat := make([]float64, s.Len()*11)
	if err := s.ReadFloats(flat, 0); err != nil {
		t.Fatal(err)
	}
	dst := new(stream.Chunk)
	dst.Alloc(11, 64)
	from := int64(0)
	check := func() {
		if err := s.ReadAt(dst, from); err != nil {
			t.Fatal(err)
		}
		for i := range dst.Len {
			for ch := range 11 {
				if dst.At(ch, i) != flat[(int(from)+i)*11+ch] {
					t.Fatalf("column %d channel %d differs", int(from)+i, ch)
				}
			}
		}
	}
	for from = 0; from < s.Len(); from += 17 {
		check()
	}
	if n := testing.AllocsPerRun(20, func() { from = (from*7 + 13) % s.Len(); check() }); n != 0 {
		t.Errorf("%v allocations per read", n)
	}
}

func BenchmarkWriteChunk(b *testing.B) {
	w, err := Create(filepath.Join(b.TempDir(), "a.xdf"), WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	id, err := w.AddStream(Info{Name: "a", Format: Float32, Rate: 1000, Channels: make([]Channel, 64)})
	if err != nil {
		b.Fatal(err)
	}
	c := chunkOf(b, 64, 25)
	b.SetBytes(64 * 25 * 4)
	for b.Loop() {
		if err := w.WriteChunk(id, c, nil); err != nil {
			b.Fatal(err)
		}
		c.T0 += 25e6
	}
}

func BenchmarkOpen(b *testing.B) {
	path := made(b, 20000)
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(st.Size())
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
