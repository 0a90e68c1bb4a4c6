package bci

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"neurostream/recordings/xdf"
	"neurostream/stream"
)

// xdfSink records a stream as XDF: its columns, with markers and events as streams of
// strings beside them. What a crash can take is at most half a second old. Stamps are
// seconds on the engine's timeline. Which column each sample was is told at every break
// and once a second (xdf.Writer.WritePlace): what is replayed from the file has the
// numbers of the live run, and gives its decisions.
type xdfSink struct {
	path string

	w       *xdf.Writer
	data    uint32
	markers uint32
	events  uint32
	stamp   [1]float64
	text    [2]string

	rows    int64        // columns written
	next    int64        // Seq of the column that would continue them
	end     stream.Time  // and its time
	due     int64        // rows from which a place is told again
	every   int64        // rows between places
	restart stream.Flags // Restart of chunks without columns, for the next one
	rate    float64
}

// Open creates the file; it fails when it exists.
func (s *xdfSink) Open(_ context.Context, h stream.Header) error {
	w, err := xdf.Create(s.path, xdf.WriterOptions{})
	if err != nil {
		return err
	}
	s.w = w
	s.rate, s.every = h.Rate, max(1, int64(h.Rate))
	kind := "signal"
	if len(h.Channels) > 0 && h.Channels[0].Type != "" {
		kind = h.Channels[0].Type
	}
	s.data, err = w.AddStream(xdf.Info{Name: h.Name, Type: kind, Format: xdf.Double64, Rate: h.Rate, Channels: xdf.Channels(&h), SourceID: h.Name})
	if err == nil {
		s.markers, err = w.AddStream(xdf.Info{Name: h.Name + " markers", Type: "Markers", Format: xdf.String, Channels: []xdf.Channel{{Label: "label"}, {Label: "duration", Unit: "s"}}, SourceID: h.Name + " markers"})
	}
	if err == nil {
		s.events, err = w.AddStream(xdf.Info{Name: h.Name + " events", Type: "Events", Format: xdf.String, Channels: []xdf.Channel{{Label: xdf.EventChannel}}, SourceID: h.Name + " events"})
	}
	return err
}

// Write appends a chunk.
func (s *xdfSink) Write(c *stream.Chunk) error {
	for i := range c.Markers {
		m := &c.Markers[i]
		s.stamp[0], s.text = m.Time.Seconds(), [2]string{m.Label, strconv.FormatFloat(m.Duration, 'g', -1, 64)}
		if err := s.w.WriteStrings(s.markers, s.stamp[:], s.text[:]); err != nil {
			return err
		}
	}
	for i := range c.Events {
		e := &c.Events[i]
		b, err := json.Marshal(map[string]any{"kind": e.Kind.String(), "column": e.Seq, "count": e.Count, "origin": e.Origin, "detail": e.Detail})
		if err != nil {
			return err
		}
		s.stamp[0], s.text[0] = e.Time.Seconds(), string(b)
		if err := s.w.WriteStrings(s.events, s.stamp[:], s.text[:1]); err != nil {
			return err
		}
	}
	if err := s.place(c); err != nil {
		return err
	}
	return s.w.WriteChunk(s.data, c, nil)
}

// place tells which column comes next, when it does not continue the one before or has
// not been told for a second.
func (s *xdfSink) place(c *stream.Chunk) error {
	if !(s.rate > 0) { // without a rate nothing is missing
		return nil
	}
	flags := c.Flags&(stream.Gap|stream.Restart) | s.restart
	if c.Len == 0 { // a gap without columns shows in the next Seq
		s.restart = flags & stream.Restart
		return nil
	}
	s.restart = 0
	if s.rows > 0 && c.Seq != s.next {
		flags |= stream.Gap
	}
	if flags != 0 || s.rows >= s.due {
		if err := s.w.WritePlace(s.events, s.data, c.T0.Seconds(), c.Seq, flags); err != nil {
			return err
		}
		s.due = s.rows + s.every
	}
	s.rows += int64(c.Len)
	s.next = c.Seq + int64(c.Len)
	s.end = c.T0 + stream.Time(float64(c.Len)/s.rate*1e9)
	return nil
}

// Close writes the footers.
func (s *xdfSink) Close() error {
	if s.w == nil {
		return nil
	}
	var err error
	if s.rows > 0 {
		err = s.w.WritePlace(s.events, s.data, s.end.Seconds(), s.next, 0)
	}
	return errors.Join(err, s.w.Close())
}
