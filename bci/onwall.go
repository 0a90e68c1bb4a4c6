package bci

import (
	"context"

	"neurostream/stream"
)

// onWall moves a stream whose timeline is a recording's to the wall clock, by one
// shift fixed at the first chunk: peers on a network compare stamps with their own
// clock. A stream that already runs within a minute of the wall clock is left alone.
type onWall struct {
	stream.Sink
	clock stream.Clock

	fixed   bool
	shift   stream.Time
	chunk   stream.Chunk // shares its samples with the source's
	markers []stream.Marker
	events  []stream.Event
}

const nearWall = stream.Time(60e9)

func (s *onWall) Open(ctx context.Context, h stream.Header) error {
	s.fixed, s.shift = false, 0
	return s.Sink.Open(ctx, h)
}

func (s *onWall) Write(c *stream.Chunk) error {
	if !s.fixed {
		if c.Len == 0 && len(c.Markers) == 0 && len(c.Events) == 0 {
			return nil
		}
		now := s.clock.Now()
		if d := now - c.T0; d > nearWall || d < -nearWall {
			s.shift = d
		}
		s.fixed = true
	}
	if s.shift == 0 {
		return s.Sink.Write(c)
	}
	s.chunk = *c
	s.chunk.T0 += s.shift
	s.markers = append(s.markers[:0], c.Markers...)
	for i := range s.markers {
		s.markers[i].Time += s.shift
	}
	s.events = append(s.events[:0], c.Events...)
	for i := range s.events {
		s.events[i].Time += s.shift
	}
	s.chunk.Markers, s.chunk.Events = s.markers, s.events
	return s.Sink.Write(&s.chunk)
}

// Prompt implements [stream.Prompter].
func (s *onWall) Prompt() bool {
	p, ok := s.Sink.(stream.Prompter)
	return ok && p.Prompt()
}
