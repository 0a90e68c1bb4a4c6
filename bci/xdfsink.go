package bci

import (
	"context"
	"encoding/json"
	"strconv"

	"neurostream/recordings/xdf"
	"neurostream/stream"
)

// xdfSink records a stream as XDF: its columns, with markers and events as streams of
// strings beside them. What a crash can take is at most half a second old. Stamps are
// seconds on the engine's timeline.
type xdfSink struct {
	path string

	w       *xdf.Writer
	data    uint32
	markers uint32
	events  uint32
	stamp   [1]float64
	text    [2]string
}

// Open creates the file; it fails when it exists.
func (s *xdfSink) Open(_ context.Context, h stream.Header) error {
	w, err := xdf.Create(s.path, xdf.WriterOptions{})
	if err != nil {
		return err
	}
	s.w = w
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
	return s.w.WriteChunk(s.data, c, nil)
}

// Close writes the footers.
func (s *xdfSink) Close() error {
	if s.w == nil {
		return nil
	}
	return s.w.Close()
}
