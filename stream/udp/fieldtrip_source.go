package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"time"

	"neurostream/stream"
)

// FieldTripSource reads a FieldTrip buffer: it waits for samples, gets them, and
// turns events into markers. It starts with what comes next. Samples that the
// buffer has thrown away before they were read are a gap, counted exactly. When the
// connection breaks it is made anew; a buffer that has gone on counting meanwhile is read
// on, one that has begun anew is a restart.
type FieldTripSource struct {
	Address string // "" = 127.0.0.1:1972
	Unit    string // of all channels: the buffer does not say
	Type    string // of all channels; "" = EEG
	Name    string
	MaxLen  int          // columns of the longest chunk; 0 = an eighth of a second, at least 8
	Clock   stream.Clock // nil = stream.Wall
	// Reconnect is how long to try when the buffer has gone; 0 = until it works, -1 = not
	// at all: the stream then ends.
	Reconnect time.Duration

	gone    time.Time // since when there is no connection
	heard   stream.Time
	ctx     context.Context
	conn    net.Conn
	stop    func() bool
	header  stream.Header
	matrix  matrix
	size    int
	next    uint32 // sample that is read next
	events  uint32 // events already read
	seq     int64
	have    uint32 // samples in the buffer
	pending []ftEvent
	buf     []byte
	out     []byte
	flags   stream.Flags
	report  []stream.Event
}

// FieldTripParams are the parameters of a URL fieldtrip://HOST:PORT?…
var FieldTripParams = []Param{
	{Name: "unit", Doc: "of all channels: the buffer does not say"},
	{Name: "type", Doc: "of all channels", Default: "EEG"},
	{Name: "name", Doc: "of the stream"},
	{Name: "chunk", Doc: "columns of the longest chunk; 0 = an eighth of a second", Default: "0"},
	{Name: "reconnect", Doc: "how long to try to connect again when the buffer has gone: never (then the stream ends), or e.g. 60s; default until it works"},
}

// NewFieldTripSource makes a source from an address and the parameters of a URL.
func NewFieldTripSource(address string, values url.Values) (*FieldTripSource, error) {
	p := NewParameters(values)
	s := &FieldTripSource{Address: address, Unit: p.Text("unit", ""), Type: p.Text("type", "EEG"), Name: p.Text("name", ""), MaxLen: p.Int("chunk", 0, 0, 1<<20), Reconnect: duration(p, "reconnect", 0)}
	return s, p.Finish()
}

// Open connects and reads the header.
func (s *FieldTripSource) Open(ctx context.Context) (stream.Header, error) {
	if s.Address == "" {
		s.Address = "127.0.0.1:1972"
	}
	if s.Clock == nil {
		s.Clock = stream.Wall{}
	}
	s.ctx = ctx
	h, err := s.connect()
	if err != nil {
		return stream.Header{}, err
	}
	s.next, s.have, s.events, s.heard = h.samples, h.samples, h.events, s.Clock.Now()
	return s.header, nil
}

// connect makes a connection and reads the header.
func (s *FieldTripSource) connect() (*ftHeader, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(s.ctx, "tcp", s.Address)
	if err != nil {
		return nil, fmt.Errorf("fieldtrip: no buffer at %s: %w", s.Address, err)
	}
	s.conn = c
	s.stop = context.AfterFunc(s.ctx, func() { hangUp(c) })
	h, err := s.describe()
	if err != nil {
		s.Close()
	}
	return h, err
}

// otherStream is a buffer that came back with something else in it.
type otherStream struct{ error }

// reconnect tries until there is a connection to a buffer with the same header.
func (s *FieldTripSource) reconnect(why error) error {
	before := s.header.Clone()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if s.Reconnect > 0 && time.Since(s.gone) > s.Reconnect {
			return fmt.Errorf("fieldtrip: %s has been gone for %v: %w", s.Address, s.Reconnect, why)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return s.ctx.Err()
		}
		h, err := s.connect()
		if err != nil {
			why, s.header = err, before
			continue
		}
		if what := differs(&before, &s.header); what != "" {
			s.Close()
			return otherStream{fmt.Errorf("fieldtrip: %s came back with another stream: %s; start again with it", s.Address, what)}
		}
		s.header = before // its MaxLen is what chunks were made for
		s.gone, s.have, s.events = time.Time{}, h.samples, min(s.events, h.events)
		away := (s.Clock.Now() - s.heard).Seconds()
		if h.samples >= s.next {
			s.note(stream.EventNote, 1, fmt.Sprintf("connected again, %.1f s after the last samples; the buffer has gone on counting", away))
			return nil
		}
		s.note(stream.EventRestart, 1, fmt.Sprintf("connected again, %.1f s after the last samples, to a buffer that has begun anew", away))
		if n := int64(math.Round(away*s.header.Rate)) - int64(h.samples); n > 0 {
			s.note(stream.EventGap, n, "estimated from the time that passed: the sample number has begun anew")
		}
		s.flags |= stream.Restart | stream.Gap
		s.next, s.events, s.pending = 0, 0, s.pending[:0]
		return nil
	}
}

// request sends a command with numbers and returns the body of the answer.
func (s *FieldTripSource) request(command uint16, numbers ...uint32) (uint16, []byte, error) {
	s.out = le.AppendUint16(s.out[:0], 1)
	s.out = le.AppendUint16(s.out, command)
	s.out = le.AppendUint32(s.out, uint32(4*len(numbers)))
	for _, n := range numbers {
		s.out = le.AppendUint32(s.out, n)
	}
	if _, err := s.conn.Write(s.out); err != nil {
		if s.ctx.Err() != nil {
			return 0, nil, s.ctx.Err()
		}
		return 0, nil, fmt.Errorf("fieldtrip: %s: %w", s.Address, err)
	}
	reply, body, big, err := readFT(s.conn, s.buf)
	s.buf = body
	if err != nil {
		if s.ctx.Err() != nil {
			return 0, nil, s.ctx.Err()
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return 0, nil, err
	}
	if big {
		return 0, nil, errors.New("fieldtrip: the answer is in another byte order than the question")
	}
	return reply, body, nil
}

func (s *FieldTripSource) describe() (*ftHeader, error) {
	reply, body, err := s.request(ftGetHeader)
	if err != nil {
		return nil, err
	}
	if reply != ftGetOK {
		return nil, fmt.Errorf("fieldtrip: the buffer at %s holds no header yet: start the acquisition first", s.Address)
	}
	h, err := parseFTHeader(body, le)
	if err != nil {
		return nil, err
	}
	if s.matrix, err = ftMatrix(h, false); err != nil {
		return nil, err
	}
	st := stated{name: s.Name, unit: s.Unit, kind: s.Type}
	if st.name == "" {
		st.name = "FieldTrip " + s.Address
	}
	channels, err := st.channels(int(h.channels), "ch")
	if err != nil {
		return nil, err
	}
	for i := range channels {
		if i < len(h.labels) && h.labels[i] != "" {
			channels[i].Label = h.labels[i]
		}
	}
	longest := s.MaxLen
	if longest == 0 {
		longest = max(8, int(math.Ceil(float64(h.rate)/8)))
	}
	longest = min(longest, max(1, mostCells/len(channels)))
	if h.rate == 0 {
		longest = 1
	}
	s.header = stream.Header{Name: st.name, Rate: float64(h.rate), Channels: channels, MaxLen: longest}
	s.size = len(channels) * ftSizes[h.typ]
	return h, s.header.Validate()
}

// Read waits for samples. A chunk without columns tells that the connection is lost.
func (s *FieldTripSource) Read(dst *stream.Chunk) error {
	dst.Clear()
	if !s.gone.IsZero() {
		if err := s.reconnect(io.EOF); err != nil {
			return err
		}
	}
	err := s.read(dst)
	var net net.Error
	if err == nil || s.Reconnect < 0 || s.ctx.Err() != nil || !errors.Is(err, io.EOF) && !errors.As(err, &net) {
		return err
	}
	s.Close()
	s.gone = time.Now()
	dst.Clear()
	dst.Seq, dst.Arrived = s.seq, s.Clock.Now()
	dst.T0 = dst.Arrived
	s.note(stream.EventNote, 1, fmt.Sprintf("the connection to %s is lost (%v); trying to connect again", s.Address, err))
	dst.Events = append(dst.Events, s.report...)
	s.report = s.report[:0]
	return nil
}

func (s *FieldTripSource) read(dst *stream.Chunk) error {
	for s.next == s.have {
		reply, body, err := s.request(ftWait, s.next, math.MaxUint32, 1000)
		if err != nil {
			return err
		}
		if reply != ftWaitOK || len(body) != 8 {
			return fmt.Errorf("fieldtrip: %s refuses to wait (answer %x)", s.Address, reply)
		}
		have, events := le.Uint32(body), le.Uint32(body[4:])
		if have < s.have { // flushed: a new recording
			s.note(stream.EventRestart, 1, "the buffer was emptied")
			s.flags |= stream.Restart
			s.next, s.events, s.pending = 0, 0, s.pending[:0]
		}
		s.have = have
		if events < s.events {
			s.events = 0
		}
		if events > s.events {
			if err := s.getEvents(events); err != nil {
				return err
			}
		}
	}
	n := min(s.have-s.next, uint32(s.header.MaxLen))
	reply, body, err := s.request(ftGetData, s.next, s.next+n-1)
	if err != nil {
		return err
	}
	if reply != ftGetOK { // thrown away meanwhile
		skip := s.have - s.next - n/2
		if n == 1 {
			skip = s.have - s.next
		}
		s.note(stream.EventGap, int64(skip), "the buffer has thrown samples away before they were read (sample number)")
		s.flags |= stream.Gap
		s.seq += int64(skip)
		s.next += skip
		return nil
	}
	if len(body) < 16 || le.Uint32(body) != uint32(dst.Rows()) || le.Uint32(body[4:]) != n || len(body) != 16+int(n)*s.size {
		return errors.New("fieldtrip: the answer holds other samples than were asked for")
	}
	dst.Seq, dst.Arrived = s.seq, s.Clock.Now()
	s.heard = dst.Arrived
	s.matrix.decode(dst, body[16:], int(n))
	dst.T0 = dst.Arrived
	if s.header.Rate > 0 {
		dst.T0 -= stream.Time(float64(n-1+s.have-s.next-n) / s.header.Rate * 1e9)
	}
	dst.Flags |= s.flags
	kept := s.pending[:0]
	late := int64(0)
	for _, e := range s.pending {
		col := int64(e.sample) - int64(s.next)
		if col < 0 {
			late++
		}
		if col >= int64(n) {
			kept = append(kept, e)
			continue
		}
		dst.Markers = append(dst.Markers, stream.Marker{Column: int(max(col, 0)), Label: e.label(), Duration: float64(max(e.duration, 0)) / max(s.header.Rate, 1)})
	}
	if late > 0 {
		s.note(stream.EventReorder, late, "events came when their samples had been read, and stand at the next one")
	}
	dst.Events = append(dst.Events, s.report...)
	s.pending, s.flags, s.report = kept, 0, s.report[:0]
	s.next += n
	s.seq += int64(n)
	return nil
}

func (s *FieldTripSource) note(kind stream.Kind, count int64, detail string) {
	s.report = append(s.report, stream.Event{Kind: kind, Seq: s.seq, Time: s.Clock.Now(), Count: count, Origin: s.header.Name, Detail: detail})
}

func (s *FieldTripSource) getEvents(events uint32) error {
	reply, body, err := s.request(ftGetEvents, s.events, events-1)
	if err != nil {
		return err
	}
	if reply == ftGetOK {
		list, err := parseFTEvents(body, le)
		if err != nil {
			return err
		}
		s.pending = append(s.pending, list[:min(len(list), ftKeepEvents)]...)
	} else {
		s.note(stream.EventDrop, int64(events-s.events), "events were thrown away before they were read")
	}
	s.events = events
	return nil
}

// Close disconnects.
func (s *FieldTripSource) Close() error {
	if s.stop != nil {
		s.stop()
	}
	hangUp(s.conn)
	return nil
}
