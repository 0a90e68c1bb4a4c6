package udp

import (
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
)

// What a source has to tell: events at once for what is rare, gathered for a second for what
// may come in floods.

// Kinds of news that are gathered for a second, because they may come in floods.
const (
	pendingDouble = iota
	pendingReorder
	pendingLate
	pendingMalformed
	pendingStranger
	pendingEstimate
	pendingKinds
)

type tally struct {
	n      int64
	detail string
}

var pendingEvents = [pendingKinds]stream.Kind{
	pendingDouble: stream.EventDouble, pendingReorder: stream.EventReorder, pendingLate: stream.EventReorder,
	pendingMalformed: stream.EventMalformed, pendingStranger: stream.EventNote, pendingEstimate: stream.EventGap,
}

// tell adds to news that are gathered.
func (s *Source) tell(kind int, n int64, detail string) {
	t := &s.pending[kind]
	t.n += n
	if t.detail == "" {
		t.detail = detail
	}
}

func (s *Source) pendingAny() bool {
	for i := range s.pending {
		if s.pending[i].n > 0 {
			return true
		}
	}
	return false
}

// news reports whether there is something to tell now: at once at the end, else once a
// second.
func (s *Source) news(atEnd bool) bool {
	if len(s.opening) > 0 {
		return true
	}
	return s.pendingAny() && (atEnd || s.now()-s.told >= newsPeriod)
}

// now is the time by which news are told: live, that of our clock.
func (s *Source) now() stream.Time {
	if s.live {
		return max(s.heard, s.Clock.Now())
	}
	return s.heard
}

// quiet deals with silence, on live carriers.
func (s *Source) quiet() {
	now := s.Clock.Now()
	if len(s.held) > 0 && now-s.held[0].stamp > s.holdTime() {
		s.giveUp(len(s.held))
	}
	if s.Stale > 0 && !s.stale && s.begun && now-s.heard >= stream.Time(s.Stale) {
		s.silence(now - s.heard)
	}
}

func (s *Source) silence(d stream.Time) {
	s.stale = true
	detail := "nothing arrives"
	if l, ok := s.carrier.(*line); ok && l.packets == nil {
		detail = "the peer is gone: " + l.why.Error()
	}
	s.opening = append(s.opening, stream.Event{Kind: stream.EventStale, Seq: s.seq, Time: s.heard, Count: int64(d), Origin: s.Address, Detail: detail})
}

// malformed counts a datagram that cannot be used, and keeps it.
func (s *Source) malformed(d *Datagram, err error) {
	s.counts.Malformed++
	detail := ""
	if s.pending[pendingMalformed].n == 0 {
		detail = fmt.Sprintf("%v; %d bytes: %s", err, len(d.Data), glimpse(d.Data))
	}
	s.tell(pendingMalformed, 1, detail)
	s.quar.put(d, err)
}

// note keeps something to tell with the first chunk.
func (s *Source) note(text string) {
	s.opening = append(s.opening, stream.Event{Kind: stream.EventNote, Origin: s.Address, Detail: text})
}

// finish completes a chunk: place, events, times of markers.
func (s *Source) finish(dst *stream.Chunk) error {
	if dst.Len == 0 {
		dst.Seq, dst.T0, dst.Arrived = s.seq, s.heard, s.heard
	}
	if s.news(s.ended) {
		dst.Events = append(dst.Events, s.opening...)
		s.opening = s.opening[:0]
		if now := s.now(); s.ended || now-s.told >= newsPeriod {
			s.told = now
			for i := range s.pending {
				if t := &s.pending[i]; t.n > 0 {
					dst.Events = append(dst.Events, stream.Event{Kind: pendingEvents[i], Seq: s.seq, Time: s.heard, Count: t.n, Origin: s.Address, Detail: t.detail})
					*t = tally{}
				}
			}
		}
	}
	s.mark(dst)
	if len(dst.Stamps) != dst.Len {
		dst.Stamps = dst.Stamps[:0]
	}
	if !s.live {
		dst.Arrived = s.Clock.Now()
	}
	return nil
}

// mark gives the markers of a chunk their times. Those of a column that has not come
// yet wait for it.
func (s *Source) mark(dst *stream.Chunk) {
	if len(s.carried) > 0 && dst.Len > 0 || s.ended {
		dst.Markers = slices.Insert(dst.Markers, 0, s.carried...)
		s.carried = s.carried[:0]
	}
	kept := dst.Markers[:0]
	for _, m := range dst.Markers {
		if m.Column >= dst.Len && !s.ended {
			m.Column = 0
			s.carried = append(s.carried, m)
			continue
		}
		m.Column = min(m.Column, max(0, dst.Len-1))
		if m.Time == 0 {
			m.Time = dst.T0
			if s.header.Rate > 0 {
				m.Time += stream.Time(math.Round(float64(m.Column) / s.header.Rate * 1e9))
			}
		}
		kept = append(kept, m)
	}
	dst.Markers = kept
}
