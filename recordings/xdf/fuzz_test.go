package xdf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream"
)

// Whatever the bytes are, opening ends, and what is offered can be read.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"minimal.xdf", "empty_streams.xdf", "twochannel_string_marker.xdf"} {
		f.Add(vector(f, name))
	}
	long := vector(f, "labrecorder_cli.xdf")
	f.Add(long[:9000])
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := OpenBytes("fuzz", data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		read(t, file)
		if r, err := file.report(); err == nil && r.BytesLost > file.scan.size {
			t.Errorf("%d of %d bytes lost", r.BytesLost, file.scan.size)
		}
	})
}

// Repair makes a whole file of anything that holds a chunk.
func FuzzRepair(f *testing.F) {
	f.Add(vector(f, "minimal.xdf")[:1700])
	f.Add(append([]byte("junk"), vector(f, "minimal.xdf")[9:]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
		if err := os.WriteFile(in, data, 0o600); err != nil {
			t.Fatal(err)
		}
		before, written, err := Repair(in, out)
		if err != nil || !written {
			if _, err := os.Stat(out); err == nil {
				t.Error("a file was left behind")
			}
			return
		}
		after, err := Check(out)
		if err != nil || len(after.Damage) > 0 || after.Unclosed {
			t.Errorf("%v, %+v, was %+v", err, after, before)
		}
		samples := make(map[uint32]int64)
		for _, s := range after.Streams {
			samples[s.ID] = s.Samples
		}
		for _, s := range before.Streams {
			if n, ok := samples[s.ID]; !ok || n != s.Samples {
				t.Errorf("stream %d had %d samples: %+v", s.ID, s.Samples, after.Streams)
			}
		}
	})
}

// read reads everything there is.
func read(t *testing.T, f *File) {
	t.Helper()
	for _, s := range f.Streams() {
		if int64(len(s.Stamps())) != s.Len() {
			t.Fatal("stamps and samples differ in number")
		}
		if len(s.offsets) < 100 { // the fit takes its time
			if got := s.Times(Timing{ClockSync: true, Dejitter: true, MinGap: 3}); len(got.Stamps) != len(s.stamps) {
				t.Fatal("corrected stamps and samples differ in number")
			}
		}
		n := min(s.Len(), 50)
		if s.Info.Format == String {
			if n*int64(len(s.Info.Channels)) > 1<<16 {
				continue
			}
			if err := s.ReadStrings(make([]string, int(n)*len(s.Info.Channels)), s.Len()-n); err != nil {
				t.Fatal(err)
			}
			continue
		}
		c := new(stream.Chunk)
		c.Alloc(len(s.Info.Channels), int(n))
		if err := s.ReadAt(c, s.Len()-n); err != nil && s.Len() > 0 {
			t.Fatal(err)
		}
	}
	if r, err := f.Recording(RecordingOptions{}); err == nil {
		h := r.Header()
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
	}
}
