package xdf

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/stream"
)

// goodPlaces are such as a live run leaves: a column missing before sample 333, and a new
// beginning at 600.
func goodPlaces() []place {
	return []place{
		{Stream: 1, Sample: 0, Column: 0},
		{Stream: 1, N: 1, Sample: 250, Column: 250},
		{Stream: 1, N: 2, Sample: 333, Column: 334, Break: breakGap},
		{Stream: 1, N: 3, Sample: 600, Column: 606, Break: breakRestart},
		{Stream: 1, N: 4, Sample: 1000, Column: 1006},
	}
}

// placed writes 1000 samples of 250 Hz with five missing before sample 600, told by the
// lines given: events stream, of a file whose stream is number 1.
func placed(t testing.TB, lines []place, raw ...string) recordings.Recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.xdf")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eeg, err := w.AddStream(Info{Name: "eeg", Type: "EEG", Format: Float32, Rate: 250, Channels: make([]Channel, 1)})
	if err != nil {
		t.Fatal(err)
	}
	events, err := w.AddStream(Info{Name: "events", Type: "Events", Format: String, Channels: []Channel{{Label: EventChannel}}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(i int64) float64 {
		if i >= 600 {
			i += 5
		}
		return 10 + float64(i)/250
	}
	for _, p := range lines {
		p.Kind = placeKind
		line, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		stamp := at(p.Sample)
		if p.stamp != 0 {
			stamp = p.stamp
		}
		if p.Sample < 0 || p.Sample > 1e6 {
			stamp = 10
		}
		raw = append(raw, string(line))
		if err := w.WriteStrings(events, []float64{stamp}, raw[len(raw)-1:]); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range raw[:len(raw)-len(lines)] {
		if err := w.WriteStrings(events, []float64{10}, []string{line}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(1000) {
		if err := w.Write(eeg, []float64{at(i)}, []float64{float64(i)}); err != nil {
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
	t.Cleanup(func() { r.Close() })
	return r
}

// Places that make sense are believed to the column; from those that do not, nothing is,
// and the recording says why.
func TestPlaces(t *testing.T) {
	good := goodPlaces()
	exact := []recordings.Gap{{Column: 333, Seconds: 0.004}, {Column: 600, Seconds: 0.02, Restart: true}}
	if r := placed(t, good); !reflect.DeepEqual(r.Gaps(), exact) {
		t.Errorf("gaps %v", r.Gaps())
	}
	other := append([]place{{Stream: 7, Sample: 5, Column: -1}}, good...) // of another stream
	if r := placed(t, other); !reflect.DeepEqual(r.Gaps(), exact) {
		t.Errorf("gaps %v", r.Gaps())
	}
	change := func(i int, f func(p *place)) []place {
		list := append([]place(nil), good...)
		f(&list[i])
		return list
	}
	for _, c := range []struct {
		why  string
		list []place
	}{
		{"is numbered 2: one is missing", append(append([]place(nil), good[:1]...), good[2:]...)},
		{"not of the first sample", change(0, func(p *place) { p.Sample = 3 })},
		{"out of range", change(0, func(p *place) { p.Column = -1 })},
		{"out of range", change(4, func(p *place) { p.Column = math.MaxInt64 })},
		{"out of range", change(3, func(p *place) { p.Column = 1 << 40 })},
		{"does not follow", change(2, func(p *place) { p.Sample = 250 })},
		{"does not follow", change(2, func(p *place) { p.Sample = math.MinInt64 })},
		{"not in time", change(4, func(p *place) { p.Sample = math.MaxInt64 })},
		{"counts back", change(3, func(p *place) { p.Column = 600 })},
		{"jumps without a break", change(2, func(p *place) { p.Break = "" })},
		{"which are not its 1 columns", change(2, func(p *place) { p.Seconds = 1 })},
		{"which are not its 1 columns", change(2, func(p *place) { p.Seconds = -0.004 })},
		{"which are not its 0 columns", change(1, func(p *place) { p.Seconds = 1e-3 })},
		{"unknown break", change(2, func(p *place) { p.Break = "lunch" })},
		{"not where its stamp is", change(2, func(p *place) { p.stamp = 12 })},
		{"not at the end", good[:4]},
		{"is the first, but not", good[:0:0]},
	} {
		var r recordings.Recording
		if len(c.list) == 0 { // a lone place of a sample that is not there
			r = placed(t, []place{{Stream: 1, Sample: 1000, Column: 1000}})
		} else {
			r = placed(t, c.list)
		}
		if g := r.Gaps(); len(g) != 1 || g[0].Column != 600 || math.Abs(g[0].Seconds-0.02) > 1e-6 || g[0].Restart {
			t.Errorf("%s: gaps %v, want the one that stamps show", c.why, g)
		}
		if notes := fmt.Sprint(r.Info().Fields); !strings.Contains(notes, c.why) || !strings.Contains(notes, "inferred from stamps") {
			t.Errorf("%s: %s", c.why, notes)
		}
	}
	if r := placed(t, nil, `{"kind":"place",]`); len(r.Gaps()) != 1 || !strings.Contains(fmt.Sprint(r.Info().Fields), "line 1 of stream 2") {
		t.Errorf("gaps %v, %v", r.Gaps(), r.Info().Fields)
	}
}

// WritePlace says no to streams that are not what it needs.
func TestWritePlaceRefuses(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "a.xdf"), WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	eeg, err := w.AddStream(Info{Name: "eeg", Format: Float32, Rate: 250, Channels: make([]Channel, 1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][2]uint32{{eeg, eeg}, {9, eeg}, {eeg, 9}} {
		if err := w.WritePlace(ids[0], ids[1], 1, 0, stream.Gap); err == nil {
			t.Errorf("%v: accepted", ids)
		}
	}
}

// gappy is a recording with other gaps.
type gappy struct {
	recordings.Recording
	gaps []recordings.Gap
}

func (g gappy) Gaps() []recordings.Gap { return g.gaps }

// What WriteRecording writes has the gaps of what it was made of: single columns, none,
// parts of one, new beginnings, to the last bit; so has what is made of that.
func TestWriteRecordingKeepsGaps(t *testing.T) {
	gaps := []recordings.Gap{
		{Column: 1, Seconds: 0.004},
		{Column: 2, Seconds: 0.008},
		{Column: 64, Seconds: 0},
		{Column: 65, Seconds: 0, Restart: true},
		{Column: 333, Seconds: 0.0013},
		{Column: 600, Seconds: 0.0207, Restart: true},
		{Column: 601, Seconds: 3},
		{Column: 999, Seconds: 1.0 / 3},
	}
	dir := t.TempDir()
	var r recordings.Recording = gappy{placed(t, goodPlaces()), gaps}
	for k := range 2 {
		path := filepath.Join(dir, fmt.Sprint(k, ".xdf"))
		if err := WriteRecording(path, r, WriterOptions{}); err != nil {
			t.Fatal(err)
		}
		again, err := OpenRecording(path, RecordingOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { again.Close() })
		if !reflect.DeepEqual(again.Gaps(), gaps) || again.Len() != r.Len() {
			t.Errorf("gaps %v of %d columns; %v", again.Gaps(), again.Len(), again.Info().Fields)
		}
		r = again
	}
	plain := filepath.Join(dir, "plain.xdf") // without gaps nothing is added
	if err := WriteRecording(plain, gappy{r, nil}, WriterOptions{}); err != nil {
		t.Fatal(err)
	}
	if report, err := Check(plain); err != nil || len(report.Streams) != 1 {
		t.Errorf("%v, %+v", err, report)
	}
}

// Whatever a file says of its columns, opening ends, and gaps are in order, inside, and
// of a finite length.
func FuzzPlaces(f *testing.F) {
	text := func(list []place) string {
		var lines []string
		for _, p := range list {
			p.Kind = placeKind
			line, err := json.Marshal(p)
			if err != nil {
				f.Fatal(err)
			}
			lines = append(lines, string(line))
		}
		return strings.Join(lines, "\n")
	}
	f.Add(text(goodPlaces()))
	bad := goodPlaces()
	bad[2].Seconds, bad[3].Column = 0.0045, 1<<52
	f.Add(text(bad))
	f.Add(text(bad[:3]))
	f.Add(`{"kind":"place","stream":1,"n":0,"sample":-1,"column":1e400,"seconds":1e308}`)
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > 1<<14 {
			return
		}
		stamped := make([]place, 0, 64)
		var raw []string
		for _, line := range strings.Split(lines, "\n") {
			var p place
			if json.Unmarshal([]byte(line), &p) == nil && len(stamped) < 64 { // at the time of its sample, so that more of it is looked at
				stamped = append(stamped, p)
			} else if len(raw) < 64 {
				raw = append(raw, line)
			}
		}
		r := placed(t, stamped, raw...)
		before := int64(0)
		for _, g := range r.Gaps() {
			if g.Column <= before || g.Column >= r.Len() || !(g.Seconds >= 0) || math.IsInf(g.Seconds, 0) {
				t.Fatalf("gaps %v", r.Gaps())
			}
			before = g.Column
		}
	})
}
