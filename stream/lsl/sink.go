package lsl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"neurostream/stream"
)

// Sink sends a pipeline's chunks as an LSL stream: signals, features or decisions,
// and, if wanted, its markers and events as a second stream of strings.
type Sink struct {
	Name     string        // of the stream; "" = the header's
	Type     string        // "" = the type of the first channel, or "signal"
	SourceID string        // by which receivers find it again; "" = name@host
	Format   Format        // Undefined = Float32
	Markers  bool          // also send markers and events, as "<name> markers"
	Wait     time.Duration // how long Open waits for a first receiver; 0 = not at all
	Config   *Config       // nil = LoadConfig
	Buffer   float64       // see OutletOptions

	outlet  *Outlet
	markers *Outlet
	rate    float64
}

// Open makes the stream visible.
func (s *Sink) Open(ctx context.Context, in stream.Header) error {
	name, kind, id, format := s.Name, s.Type, s.SourceID, s.Format
	if name == "" {
		name = in.Name
	}
	if kind == "" && len(in.Channels) > 0 {
		kind = in.Channels[0].Type
	}
	if kind == "" {
		kind = "signal"
	}
	if id == "" {
		host, _ := os.Hostname()
		id = name + "@" + host
	}
	if format == Undefined {
		format = Float32
	}
	if format == String {
		return errors.New("lsl: format is string, but chunks hold numbers; use float32, double64 or an integer format")
	}
	s.rate = in.Rate
	o := OutletOptions{Config: s.Config, Buffer: s.Buffer}
	var err error
	s.outlet, err = NewOutlet(Info{Name: name, Type: kind, SourceID: id, Channels: len(in.Channels), Format: format, Rate: in.Rate, Desc: describe(&in)}, o)
	if err != nil {
		return err
	}
	if s.Markers {
		s.markers, err = NewOutlet(Info{Name: name + " markers", Type: "Markers", SourceID: id + " markers", Channels: 1, Format: String}, o)
		if err != nil {
			s.Close()
			return err
		}
	}
	if s.Wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, s.Wait)
		defer cancel()
		if err := s.outlet.WaitForConsumers(ctx, 1); err != nil {
			s.Close()
			return fmt.Errorf("no receiver has connected within %v: %w", s.Wait, err)
		}
	}
	return nil
}

// Outlet returns the outlet of an opened sink, for its figures.
func (s *Sink) Outlet() *Outlet { return s.outlet }

// Write sends one chunk. It never waits for a receiver.
func (s *Sink) Write(src *stream.Chunk) error {
	if src.Len > 0 {
		if err := s.outlet.PushChunk(src); err != nil {
			return err
		}
	}
	if s.markers == nil {
		return nil
	}
	for _, m := range src.Markers {
		t := m.Time
		if t == 0 {
			t = src.T0
			if s.rate > 0 {
				t += stream.Time(float64(m.Column) / s.rate * 1e9)
			}
		}
		if err := s.markers.PushStrings([]string{m.Label}, ToStamp(t)); err != nil {
			return err
		}
	}
	for _, e := range src.Events {
		t := e.Time
		if t == 0 {
			t = src.T0
		}
		if err := s.markers.PushStrings([]string{"event: " + e.String()}, ToStamp(t)); err != nil {
			return err
		}
	}
	return nil
}

// Prompt implements [stream.Prompter].
func (s *Sink) Prompt() bool { return true }

// Close ends the stream.
func (s *Sink) Close() error {
	for _, o := range []*Outlet{s.outlet, s.markers} {
		if o != nil {
			o.Close()
		}
	}
	return nil
}
