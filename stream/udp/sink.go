package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"neurostream/stream"
)

// SinkParams are the parameters of a sink's URL that are not the format's.
var SinkParams = []Param{
	{Name: "format", Doc: "of the packets", Default: "native"},
	{Name: "interface", Doc: "by which a multicast group is sent to: name or address"},
	{Name: "limit", Doc: "datagrams a second, at most; 0 = no limit", Default: "20000"},
}

// Sink sends a stream as datagrams: a [stream.Sink]. It sends as fast as chunks come,
// but never more than its limit; what waits for that stays in the ring before it, which
// counts what it has to drop. UDP does not say whether anybody listens.
type Sink struct {
	Endpoint Endpoint
	Encoder  Encoder
	Limit    float64      // datagrams per second; 0 = none
	Clock    stream.Clock // nil = stream.Wall

	conn    *net.UDPConn
	timer   stream.Timer
	due     stream.Time // of the next datagram, under the limit
	longest int         // columns of a chunk, so at most as many datagrams
	buf     []byte
	counts  SinkCounts
}

// SinkCounts say what a sink has sent.
type SinkCounts struct {
	Datagrams int64 `json:"datagrams"`
	Bytes     int64 `json:"bytes"`
	Refused   int64 `json:"refused"` // answers that nobody listens there
}

// OpenSink returns the unopened sink that sends to place; values are SinkParams and the
// encoder's own.
func OpenSink(place string, values url.Values) (*Sink, error) {
	own, rest := url.Values{}, url.Values{}
	for key, v := range values {
		mine := false
		for i := range SinkParams {
			mine = mine || SinkParams[i].Name == key
		}
		if mine {
			own[key] = v
		} else {
			rest[key] = v
		}
	}
	p := NewParameters(own)
	name, iface, limit := p.Text("format", "native"), p.Text("interface", ""), p.Float("limit", 20000, 0, 1e9)
	if err := p.Finish(); err != nil {
		return nil, err
	}
	t, err := FormatNamed(name)
	if err != nil {
		return nil, err
	}
	if !t.Sink || t.Carrier&UDP == 0 {
		return nil, fmt.Errorf("udp: format %s cannot carry any stream; a sink sends %s", name, strings.Join(SinkFormats(), ", "))
	}
	e, err := ParseEndpoint(place)
	if err != nil {
		return nil, err
	}
	e.Interface = iface
	enc, err := NewEncoder(name, rest)
	if err != nil {
		return nil, err
	}
	return &Sink{Endpoint: e, Encoder: enc, Limit: limit}, nil
}

// SinkFormats lists the formats that a sink can send.
func SinkFormats() []string {
	var out []string
	for _, t := range Formats() {
		if t.Sink && t.Carrier&UDP != 0 {
			out = append(out, t.Name)
		}
	}
	return out
}

// burst is how many datagrams may leave at once under a limit.
const burst = 32

// Open opens the socket.
func (s *Sink) Open(ctx context.Context, in stream.Header) error {
	if s.Clock == nil {
		s.Clock = stream.Wall{}
	}
	if err := s.Encoder.Open(in); err != nil {
		return err
	}
	conn, err := s.Endpoint.dial(ctx)
	if err != nil {
		return err
	}
	s.conn, s.due, s.longest = conn, s.Clock.Now(), max(1, in.MaxLen)
	if s.Limit > 0 {
		s.timer = s.Clock.Timer(ctx)
	}
	out, lens := s.Encoder.Preamble(nil)
	for _, n := range lens {
		if err := s.send(out[:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// Write sends a chunk.
func (s *Sink) Write(src *stream.Chunk) error {
	for from := 0; from < src.Len || src.Len == 0 && len(src.Markers) > 0; {
		out, used := s.Encoder.Encode(s.buf[:0], src, from, src.Len)
		s.buf = out[:0]
		if len(out) > 0 {
			if err := s.send(out); err != nil {
				return err
			}
		} else if used == 0 {
			return nil
		}
		if from += used; src.Len == 0 && used == 0 {
			return nil
		}
	}
	return nil
}

// Prompt reports whether the limit lets the longest chunk pass at once. It implements
// [stream.Prompter].
func (s *Sink) Prompt() bool {
	if !(s.Limit > 0) {
		return true
	}
	return s.longest <= burst && s.Clock.Now()-s.due >= stream.Time(float64(s.longest)*1e9/s.Limit)
}

func (s *Sink) send(packet []byte) error {
	if s.Limit > 0 {
		now := s.Clock.Now()
		step := stream.Time(1e9 / s.Limit)
		s.due = max(s.due, now-burst*step)
		if s.due > now {
			if err := s.timer.Wait(s.due); err != nil {
				return err
			}
		}
		s.due += step
	}
	_, err := s.conn.Write(packet)
	switch {
	case err == nil:
	case refused(err): // an answer to an earlier one
		s.counts.Refused++
		if _, err = s.conn.Write(packet); err != nil && !refused(err) {
			return s.problem(err, packet)
		}
	default:
		return s.problem(err, packet)
	}
	s.counts.Datagrams++
	s.counts.Bytes += int64(len(packet))
	return nil
}

func (s *Sink) problem(err error, packet []byte) error {
	if errors.Is(err, syscall.EMSGSIZE) {
		return fmt.Errorf("a datagram of %d bytes is too long for the way to %s; send fewer columns or channels at a time", len(packet), s.Endpoint)
	}
	return fmt.Errorf("sending to %s: %w", s.Endpoint, err)
}

// Counts returns what has been sent; after Close, or by the goroutine that writes.
func (s *Sink) Counts() SinkCounts { return s.counts }

// Close sends what the encoder holds and ends the stream.
func (s *Sink) Close() error {
	if s.conn == nil {
		return nil
	}
	var err error
	if last := s.Encoder.Finish(s.buf[:0]); len(last) > 0 {
		if s.timer != nil { // its context may have ended: what is left still goes
			s.Limit = 0
		}
		err = s.send(last)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	return errors.Join(err, s.conn.Close())
}
