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
func placed(t *testing.T, lines []place, raw ...string) recordings.Recording {
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
