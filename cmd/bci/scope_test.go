package main

import (
	"math"
	"os"
	"strings"
	"testing"

	"neurostream/stream"
)

// scoped feeds a scope 80 columns at 40 Hz (two a cell): a ramp, a constant, a channel that
// goes bad, and 10 columns missing in the middle.
func scoped(t *testing.T) *scope {
	t.Helper()
	h := stream.Header{Name: "amp\x1b[2J", Rate: 40, MaxLen: 8, Channels: []stream.Channel{
		{Label: "Cz", Unit: "uV"}, {Label: "Pz", Unit: "mV"}, {Label: "a long name\nof two lines", Unit: ""}, {Label: "off", Unit: "V"},
	}}
	s := &scope{cells: scopeCells}
	if err := s.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	c := stream.NewChunk(&h)
	seq := int64(0)
	for k := range 10 {
		c.Clear()
		if k == 5 {
			seq += 10
			c.Flags = stream.Gap
			c.Events = append(c.Events, stream.Event{Kind: stream.EventGap, Seq: seq, Count: 10, Origin: "amp", Detail: "10 samples are missing"})
		}
		c.Resize(8)
		c.Seq, c.Arrived = seq, stream.Time(seq+8)*25e6
		for i := range 8 {
			at := float64(seq) + float64(i)
			c.Set(0, i, 1e4+20*math.Sin(2*math.Pi*at/32))
			c.Set(1, i, 2.5)
			c.Set(2, i, at*1e-5)
			c.Set(3, i, math.NaN())
			if k >= 7 {
				c.MarkBad(2, i)
			}
		}
		if k == 8 {
			c.Markers = append(c.Markers, stream.Marker{Label: "left"})
		}
		if err := s.Write(c); err != nil {
			t.Fatal(err)
		}
		seq += 8
	}
	return s
}

// The picture of fixed data is the one that was looked at and kept.
func TestScope(t *testing.T) {
	s := scoped(t)
	now := stream.Time(90*25e6) + 42e6
	got := strings.Join(s.draw(now, 100, 100), "\n") + "\n"
	if os.Getenv("NEUROSTREAM_UPDATE") != "" {
		if err := os.WriteFile("testdata/scope.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/scope.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if !s.full() {
		t.Error("eighty columns do not fill two seconds")
	}
	if lines := s.draw(now+3e9, 30, 6); len(lines) != 6 || !strings.Contains(s.draw(now+3e9, 100, 9)[0], "QUIET for 3 s") || lines[5] != "and 3 channels more, for whic…" {
		t.Errorf("a small window shows %q", lines)
	}
	if lines := s.draw(now, 5, 0); len(lines) != 0 {
		t.Errorf("a window without lines shows %q", lines)
	}
}

// A stream without a rate has a glyph a sample; one that has sent nothing says so.
func TestScopeOfIrregularStreams(t *testing.T) {
	s := &scope{cells: 4}
	if s.draw(0, 80, 24) != nil {
		t.Error("something is drawn before the source is open")
	}
	h := stream.Header{Name: "keys", MaxLen: 8, Channels: []stream.Channel{{Label: "key"}}}
	if err := s.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if lines := s.draw(0, 80, 24); !strings.Contains(lines[0], "irregular, measured -, nothing has come yet") || !strings.HasSuffix(lines[3], "....") {
		t.Errorf("%q", lines)
	}
	c := stream.NewChunk(&h)
	c.Resize(6)
	for i := range 6 {
		c.Set(0, i, float64(i))
	}
	if err := s.Write(c); err != nil {
		t.Fatal(err)
	}
	if lines := s.draw(0, 80, 24); !strings.HasSuffix(lines[3], "▁▃▆█") || !strings.Contains(lines[3], "3.500") {
		t.Errorf("%q", lines)
	}
}

// A name that is no file is that of an LSL stream.
func TestViewed(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("here", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		"My Amp": "lsl://?name=My+Amp", "here": "here", "a.edf": "a.edf", "lsl://?type=EEG": "lsl://?type=EEG", "file:x": "file:x", "dir/x": "dir/x",
	} {
		if got := viewed(arg); got != want {
			t.Errorf("%q is %q, not %q", arg, got, want)
		}
	}
}

// Into a pipe the picture comes once, without control characters.
func TestViewPrintsOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("plays two seconds of a recording")
	}
	s := newShell(t)
	code, out, errs := s.run("view", "--terminal", "sample:S007R12?speed=20")
	if code != 0 || errs != "" || strings.Contains(out, "\x1b") || strings.Count(out, "64 channels, 160 Hz") != 1 || strings.Count(out, "\n") < 67 {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	if code, _, errs := s.run("view", "-t", "--addr", "127.0.0.1:1", "sample:S007R12"); code != 2 || !strings.Contains(errs, "--terminal has none") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}
