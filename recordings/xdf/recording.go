package xdf

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"neurostream/recordings"
	"neurostream/stream"
)

// RecordingOptions say which stream to take and how to treat its time.
type RecordingOptions struct {
	Stream string // number, name or type of the stream; "" = the EEG, or else the one with most values
	Raw    bool   // leave stamps as recorded: no clock correction, no dejitter
}

// rateTolerance: a stream whose real rate is further off its nominal one than this
// is given the real one.
const rateTolerance = 0.01

// recording is a regular numeric stream as a recordings.Recording.
type recording struct {
	s     *Stream
	head  stream.Header
	start time.Time
	notes []recordings.Annotation
	gaps  []recordings.Gap
	info  recordings.Info
	owned bool // closing it closes the file
}

// OpenRecording opens a file and one regular numeric stream of it. Closing the
// recording closes the file.
func OpenRecording(path string, o RecordingOptions) (recordings.Recording, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	r, err := f.Recording(o)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.(*recording).owned = true
	return r, nil
}

// Recording gives one regular numeric stream, with the file's marker streams as its
// annotations: streams of strings, and numeric ones of type Markers. Time is
// corrected (ClockCorrect), jitter is removed between gaps, and gaps are where at
// least three samples are missing; in files of this module (see Writer.WritePlace) they
// are those of the live run, to the column. Column 0 is the stream's first sample; markers
// before it have negative onsets. Start is when the file was begun, which is known
// to the second only.
func (f *File) Recording(o RecordingOptions) (recordings.Recording, error) {
	s, others, err := f.choose(o.Stream)
	if err != nil {
		return nil, err
	}
	timing := Timing{ClockSync: true, Dejitter: true, MinGap: minGap}
	if o.Raw {
		timing = Timing{}
	}
	places, why, err := f.places(s)
	if err != nil {
		return nil, err
	}
	if len(places) > 0 {
		timing.Dejitter = false // between places, below
	}
	t := s.Times(timing)
	var gaps []recordings.Gap
	if len(places) > 0 {
		t.Segments, gaps = breaks(places, s.Len(), s.Info.Rate)
		if !o.Raw && !s.Info.CanDropSamples() {
			t.Stamps, t.Rate = straighten(t.Stamps, t.Segments)
		}
	} else if len(t.Segments) == 1 && (o.Raw || s.Info.CanDropSamples()) {
		t.Segments = nil
		first := 0
		for _, i := range findGaps(t.Stamps, s.Info.Rate, minGap) {
			t.Segments = append(t.Segments, Range{first, i - 1})
			first = i
		}
		t.Segments = append(t.Segments, Range{first, len(t.Stamps) - 1})
	}
	r := &recording{s: s, start: f.Created()}
	r.info = recordings.Info{Format: "XDF", Path: f.path}
	r.note("Stream", fmt.Sprintf("%d %s (%s)", s.ID, s.Info.Name, s.Info.Type))
	r.describe(&t, len(places) > 0)
	if len(places) > 0 {
		r.gaps = gaps
		r.note("Columns", numbered(places, gaps, s.Info.Rate))
	} else {
		r.gaps = gapsOf(&t, r.head.Rate)
	}
	if why != "" {
		r.note("Note", "what the file says of missing columns cannot be used, they are inferred from stamps: "+why)
	}
	for _, m := range f.scan.order {
		if m != s && markers(m) {
			if err := r.mark(m, m.Times(Timing{ClockSync: timing.ClockSync}).Stamps, &t); err != nil {
				return nil, err
			}
			r.note("Markers", fmt.Sprintf("%d %s: %d", m.ID, m.Info.Name, m.Len()))
		}
	}
	sort.SliceStable(r.notes, func(i, j int) bool { return r.notes[i].Onset < r.notes[j].Onset })
	r.info.Skipped = others
	for _, d := range f.scan.damage {
		r.note("Damage", fmt.Sprintf("bytes %d to %d: %s", d.From, d.To-1, d.Why))
	}
	for _, n := range f.Notes() {
		r.note("Note", n)
	}
	if err := r.head.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return r, nil
}

func (r *recording) note(name, value string) {
	r.info.Fields = append(r.info.Fields, [2]string{name, value})
}

// describe makes the header and the notes about time. The rate of a live run (placed)
// stands as it was announced: the live pipeline was built for it.
func (r *recording) describe(t *Times, placed bool) {
	i := &r.s.Info
	rate := i.Rate
	if !placed && t.Rate > 0 && len(t.Stamps) >= int(10*rate) && math.Abs(t.Rate/rate-1) > rateTolerance {
		rate = t.Rate
		r.note("Rate", fmt.Sprintf("announced as %g Hz, found to be %.6g Hz, which is used", i.Rate, t.Rate))
	} else if t.Rate > 0 {
		r.note("Rate", fmt.Sprintf("%g Hz, found %.6g Hz", i.Rate, t.Rate))
	}
	r.head = stream.Header{Name: i.Name, Rate: rate, MaxLen: min(max(int(rate), 64), 1024)}
	if r.head.Name == "" {
		r.head.Name = strings.TrimSuffix(filepath.Base(r.s.file.path), filepath.Ext(r.s.file.path))
	}
	for k, c := range i.Channels {
		label, kind := c.Label, c.Type
		if label == "" {
			label = "ch " + strconv.Itoa(k+1)
		}
		if kind == "" {
			kind = i.Type
		}
		r.head.Channels = append(r.head.Channels, recordings.DescribeChannel(label, c.Unit, kind))
	}
	recordings.UniqueLabels(r.head.Channels)
	if i.SourceID != "" {
		r.note("Source", i.SourceID)
	}
	if i.Hostname != "" {
		r.note("Host", i.Hostname)
	}
	r.note("Clock offsets", strconv.Itoa(len(r.s.offsets)))
}

// gapsOf returns what lies between the segments of a stream. A step back in time
// is a gap of no length.
func gapsOf(t *Times, rate float64) []recordings.Gap {
	var gaps []recordings.Gap
	for i := 1; i < len(t.Segments); i++ {
		at := t.Segments[i].First
		gaps = append(gaps, recordings.Gap{Column: int64(at), Seconds: max(0, t.Stamps[at]-t.Stamps[at-1]-1/rate)})
	}
	return gaps
}

// choose finds the stream that was asked for, or the most likely one, and says why
// the others are not in the recording.
func (f *File) choose(want string) (*Stream, []string, error) {
	var best *Stream
	var names []string
	score := func(s *Stream) float64 {
		v := float64(s.Len()) * float64(len(s.Info.Channels))
		if strings.EqualFold(s.Info.Type, "EEG") {
			v += 1e18
		}
		return v
	}
	for _, s := range f.scan.order {
		names = append(names, fmt.Sprintf("%d %s (%s)", s.ID, s.Info.Name, s.Info.Type))
		if want != "" && !s.Called(want) || want == "" && (unfit(s) != "" || s.Len() == 0) {
			continue
		}
		if best == nil || score(s) > score(best) {
			best = s
		}
	}
	switch {
	case len(names) == 0:
		return nil, nil, fmt.Errorf("%s: holds no stream", f.path)
	case best == nil && want != "":
		return nil, nil, fmt.Errorf("%s: no stream is called %q; there are %s", f.path, want, strings.Join(names, ", "))
	case best == nil:
		return nil, nil, fmt.Errorf("%s: no stream is numeric and of a fixed rate; there are %s", f.path, strings.Join(names, ", "))
	}
	if why := unfit(best); why != "" {
		return nil, nil, fmt.Errorf("%s: stream %q %s; a recording needs numbers at a fixed rate", f.path, best.Info.Name, why)
	}
	if best.Len() == 0 {
		return nil, nil, fmt.Errorf("%s: stream %q has no samples", f.path, best.Info.Name)
	}
	var others []string
	for i, s := range f.scan.order {
		if s == best || markers(s) {
			continue
		}
		why := unfit(s)
		if why == "" {
			why = "is another stream; choose it by name"
		}
		others = append(others, "stream "+names[i]+" "+why)
	}
	return best, others, nil
}

// Called reports whether s has this number, name, type or source id.
func (s *Stream) Called(want string) bool {
	return want == strconv.FormatUint(uint64(s.ID), 10) || strings.EqualFold(want, s.Info.Name) ||
		strings.EqualFold(want, s.Info.Type) || want == s.Info.SourceID
}

// unfit says why a stream is no recording; "" when it is one.
func unfit(s *Stream) string {
	switch {
	case s.Info.Format == String && !markers(s):
		return "holds events of the recording"
	case s.Info.Format == String:
		return "holds strings"
	case !s.Regular():
		return "has no fixed rate"
	}
	return ""
}

// EventChannel is the label of the one channel of a stream that holds what happened
// to the recording itself (gaps, drops, reconnects), not to the person: such a
// stream makes no annotations.
const EventChannel = "event (JSON)"

// markers reports whether a stream holds annotations.
func markers(s *Stream) bool {
	if s.Info.Format == String {
		return s.Info.Channels[0].Label != EventChannel
	}
	kind := strings.ToLower(s.Info.Type)
	return !s.Regular() && (strings.HasPrefix(kind, "marker") || strings.HasPrefix(kind, "event") || strings.HasPrefix(kind, "stim") || strings.HasPrefix(kind, "trigger"))
}

// mark adds the samples of a marker stream as annotations. A stream with the
// channels "label" and "duration" (as WriteRecording makes it) has durations.
func (r *recording) mark(m *Stream, stamps []float64, t *Times) error {
	ch := len(m.Info.Channels)
	text := make([]string, int(m.Len())*ch)
	if m.Info.Format == String {
		if err := m.ReadStrings(text, 0); err != nil {
			return err
		}
	} else {
		values := make([]float64, len(text))
		if err := m.ReadFloats(values, 0); err != nil {
			return err
		}
		for i, v := range values {
			text[i] = strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	timed := ch == 2 && m.Info.Channels[0].Label == labelChannel && m.Info.Channels[1].Label == durationChannel
	at := newTimeline(t, r.head.Rate, r.gaps)
	for i, stamp := range stamps {
		parts := text[i*ch:][:ch]
		a := recordings.Annotation{Onset: at.onset(stamp)}
		if d, err := strconv.ParseFloat(parts[ch-1], 64); timed && err == nil && d >= 0 && !math.IsInf(d, 0) {
			a.Duration, parts = d, parts[:1]
		}
		a.Label = strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), " ")
		r.notes = append(r.notes, a)
	}
	return nil
}

// timeline maps stamps to seconds since column 0 as recordings count them: column
// divided by rate, plus the gaps before it. A stamp between two samples keeps its
// place between them.
type timeline struct {
	t     *Times
	rate  float64
	base  []float64 // seconds at which each segment begins
	steps []float64 // interval of the stamps of each segment
}

func newTimeline(t *Times, rate float64, gaps []recordings.Gap) *timeline {
	l := &timeline{t: t, rate: rate}
	lost := 0.0
	for i, s := range t.Segments {
		if i > 0 {
			lost += gaps[i-1].Seconds
		}
		l.base = append(l.base, float64(s.First)/rate+lost)
		step := 1 / rate
		if s.Last > s.First {
			if d := (t.Stamps[s.Last] - t.Stamps[s.First]) / float64(s.Last-s.First); d > 0 {
				step = d
			}
		}
		l.steps = append(l.steps, step)
	}
	return l
}

func (l *timeline) onset(stamp float64) float64 {
	k := sort.Search(len(l.t.Segments), func(i int) bool { return l.t.Stamps[l.t.Segments[i].First] > stamp }) - 1
	if k < 0 {
		return stamp - l.t.Stamps[0]
	}
	s := l.t.Segments[k]
	first, last := l.t.Stamps[s.First], l.t.Stamps[s.Last]
	if stamp > last {
		return l.base[k] + float64(s.Last-s.First)/l.rate + (stamp - last)
	}
	return l.base[k] + (stamp-first)/l.steps[k]/l.rate
}

func (r *recording) Header() stream.Header                { return r.head.Clone() }
func (r *recording) Len() int64                           { return r.s.Len() }
func (r *recording) Start() time.Time                     { return r.start }
func (r *recording) Annotations() []recordings.Annotation { return r.notes }
func (r *recording) Gaps() []recordings.Gap               { return r.gaps }
func (r *recording) Info() recordings.Info                { return r.info }

func (r *recording) ReadAt(dst *stream.Chunk, from int64) error { return r.s.ReadAt(dst, from) }

// Stream returns the stream behind a recording that this package opened, for its
// raw stamps and clock offsets.
func StreamOf(r recordings.Recording) (*Stream, error) {
	if x, ok := r.(*recording); ok {
		return x.s, nil
	}
	return nil, errors.New("xdf: the recording is not of an XDF file")
}

func (r *recording) Close() error {
	if r.owned {
		return r.s.file.Close()
	}
	return nil
}
