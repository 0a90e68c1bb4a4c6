package xdf

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"neurostream/recordings"
	"neurostream/stream"
)

// place is a line of an events stream that says which column of the live run a sample
// was. A file has one at the first sample, before every break, about once a second, and
// one past the last sample when it is closed:
//
//	{"kind":"place","stream":1,"n":2,"sample":730,"column":731,"break":"gap"}
//
// From stamps alone a gap of one or two columns cannot be told from jitter. Places say
// it exactly, so that columns have the numbers they had live. Those without a break, and
// n, are there to notice what was lost of the file. WriteRecording writes them, too, when
// there are gaps.
type place struct {
	Kind   string `json:"kind"`   // placeKind
	Stream uint32 `json:"stream"` // number of the stream in the file
	N      int64  `json:"n"`      // place of the stream, from 0
	Sample int64  `json:"sample"` // index in the file
	Column int64  `json:"column"` // stream.Chunk.Seq of the live run
	Break  string `json:"break,omitempty"`

	// Length of the gap, when it is no whole number of columns; 0 = that of the columns.
	Seconds float64 `json:"seconds,omitempty"`

	stamp float64 // of the line, which is that of the sample
}

const (
	placeKind    = "place"
	placePrefix  = `{"kind":"` + placeKind + `",`
	breakGap     = "gap"
	breakRestart = "restart"
)

// Bounds on what a file may claim: beyond them times on the engine's timeline overflow.
const (
	maxColumn       = 1 << 52
	maxPlaceSeconds = 1e9
)

// WritePlace says in the stream events (strings, one channel called EventChannel) that
// the next sample of stream id, with stamp t, is this column of the live run, and whether
// it continues the one before. Before the samples it is about; again after the last.
func (w *Writer) WritePlace(events, id uint32, t float64, column int64, flags stream.Flags) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, e, err := w.placing(events, id)
	if err != nil {
		return err
	}
	p := place{Sample: s.count, Column: column, stamp: t}
	switch {
	case flags&stream.Restart != 0:
		p.Break = breakRestart
	case flags&stream.Gap != 0:
		p.Break = breakGap
	}
	return w.place(e, id, s, p)
}

// writePlace is WritePlace with everything said by the caller, of samples that are
// written next.
func (w *Writer) writePlace(events, id uint32, p place) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, e, err := w.placing(events, id)
	if err != nil {
		return err
	}
	return w.place(e, id, s, p)
}

// placing returns the stream that places are about, and the one they are written in.
func (w *Writer) placing(events, id uint32) (s, e *writing, err error) {
	if s, err = w.stream(id, 0, 0, notStrings); err == nil {
		e, err = w.stream(events, 1, 1, onlyStrings)
	}
	return s, e, err
}

// place writes a line about stream id, which is s, into the stream e.
func (w *Writer) place(e *writing, id uint32, s *writing, p place) error {
	p.Kind, p.Stream, p.N = placeKind, id, s.places
	line, err := json.Marshal(&p)
	if err != nil {
		return err
	}
	if err := w.begin(e, p.stamp); err != nil {
		return err
	}
	e.samples = append(appendVarlen(e.samples, len(line)), line...)
	s.places++
	return w.arm()
}

// places returns the places of a stream; none when the file has none, or when they
// contradict the samples or themselves: why says so.
func (f *File) places(s *Stream) (list []place, why string, err error) {
	for _, m := range f.scan.order {
		if m.Info.Format != String || len(m.Info.Channels) != 1 || m.Info.Channels[0].Label != EventChannel {
			continue
		}
		lines := make([]string, m.Len())
		if err := m.ReadStrings(lines, 0); err != nil {
			return nil, "", err
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, placePrefix) {
				continue
			}
			p := place{stamp: m.stamps[i]}
			if err := json.Unmarshal([]byte(line), &p); err != nil {
				return nil, fmt.Sprintf("line %d of stream %d: %v", i+1, m.ID, err), nil
			}
			if p.Stream == s.ID {
				list = append(list, p)
			}
		}
	}
	if why := s.contradicts(list); why != "" {
		return nil, why, nil
	}
	return list, "", nil
}

// contradicts says what is wrong with the places of a stream; "" when nothing is.
func (s *Stream) contradicts(list []place) string {
	n := s.Len()
	for i, p := range list {
		say := func(format string, a ...any) string {
			return fmt.Sprintf("place %d (sample %d, column %d) ", i, p.Sample, p.Column) + fmt.Sprintf(format, a...)
		}
		switch {
		case p.N != int64(i):
			return say("is numbered %d: one is missing", p.N)
		case p.Column < 0 || p.Column > maxColumn || float64(p.Column) > maxPlaceSeconds*s.Info.Rate:
			return say("is out of range")
		case p.Break != "" && p.Break != breakGap && p.Break != breakRestart:
			return say("has the unknown break %q", p.Break)
		case p.Sample < n && p.Sample >= 0 && s.stamps[p.Sample] != p.stamp:
			return say("is not where its stamp is: samples are missing in the file")
		case p.Sample > n && p.stamp-s.stamps[n-1] < 0.5*float64(p.Sample-n+1)/s.Info.Rate:
			return say("is beyond the last sample, but not in time")
		case i == 0:
			if p.Sample != 0 {
				return say("is the first, but not of the first sample")
			}
			continue
		}
		before := &list[i-1]
		lost := p.Column - p.Sample - (before.Column - before.Sample)
		switch {
		case p.Sample <= before.Sample:
			return say("does not follow the one before")
		case lost < 0:
			return say("counts back")
		case lost > 0 && p.Break == "":
			return say("jumps without a break")
		case p.Seconds != 0 && (p.Break == "" || !(math.Abs(p.Seconds*s.Info.Rate-float64(lost)) <= 0.5*(1+1e-9))):
			return say("lasts %g s, which are not its %d columns", p.Seconds, lost)
		}
	}
	if k := len(list); k > 0 && s.closed && list[k-1].Sample != n {
		return fmt.Sprintf("the last place is at sample %d, not at the end (%d)", list[k-1].Sample, n)
	}
	return ""
}

// breaks returns the stretches of a stream of n samples between the breaks that its
// places tell of, and the gaps between them. Gaps last what their columns do, whatever
// the stamps say.
func breaks(list []place, n int64, rate float64) (segments []Range, gaps []recordings.Gap) {
	first, offset := int64(0), list[0].Column
	for _, p := range list[1:] {
		if p.Break == "" || p.Sample >= n {
			continue
		}
		lost := p.Column - p.Sample - offset
		seconds := float64(lost) / rate
		if p.Seconds > 0 {
			seconds = p.Seconds
		}
		gaps = append(gaps, recordings.Gap{Column: p.Sample, Seconds: seconds, Restart: p.Break == breakRestart})
		segments = append(segments, Range{int(first), int(p.Sample - 1)})
		first, offset = p.Sample, p.Column-p.Sample
	}
	return append(segments, Range{int(first), int(n - 1)}), gaps
}

// numbered says in words what places tell of a stream.
func numbered(list []place, gaps []recordings.Gap, rate float64) string {
	lost, restarts := 0.0, 0
	for _, g := range gaps {
		lost += g.Seconds
		if g.Restart {
			restarts++
		}
	}
	text := fmt.Sprintf("numbered as in the live run, or the recording this was made of: %.0f missing at %d breaks, %d of them restarts", lost*rate, len(gaps), restarts)
	if c := list[0].Column; c > 0 {
		text += fmt.Sprintf("; the file begins at column %d of that run, which counts as 0 here", c)
	}
	return text
}
