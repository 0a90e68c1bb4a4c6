package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"neurostream/stream"
)

// FieldTripServer is a FieldTrip buffer. As a [stream.Sink] it offers a pipeline's
// chunks to FieldTrip, MNE and whoever else reads such buffers; other programs may
// also put header, data and events into it. It keeps the newest samples and tells
// the rest as gone.
type FieldTripServer struct {
	Address string  // to listen at; "" = 127.0.0.1:1972
	Seconds float64 // how much to keep; 0 = 60
	Double  bool    // offer f64 instead of f32

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every put
	header  *ftHeader
	ring    []byte // newest samples, little endian, column after column
	keep    int    // samples that fit
	first   uint32 // oldest sample kept
	events  []ftEvent
	dropped uint32 // events no longer kept
	matrix  matrix
	column  []byte

	listener net.Listener
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

const (
	ftKeepBytes  = 1 << 28
	ftKeepEvents = 1 << 16
	ftClients    = 64
)

// Open listens. The header is that of the stream; an empty header (no channels)
// waits for another program to put one.
func (s *FieldTripServer) Open(ctx context.Context, in stream.Header) error {
	if s.Address == "" {
		s.Address = "127.0.0.1:1972"
	}
	s.changed, s.conns = make(chan struct{}), map[net.Conn]bool{}
	if len(in.Channels) > 0 {
		h := &ftHeader{channels: uint32(len(in.Channels)), rate: float32(in.Rate), typ: 9, labels: in.Labels()}
		s.matrix.typ = F32
		if s.Double {
			h.typ, s.matrix.typ = 10, F64
		}
		s.put(h)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("fieldtrip: cannot listen at %s: %w", s.Address, err)
	}
	s.listener = l
	s.wg.Add(1)
	go s.accept()
	return nil
}

// Addr returns where the server listens.
func (s *FieldTripServer) Addr() net.Addr { return s.listener.Addr() }

func (s *FieldTripServer) accept() {
	defer s.wg.Done()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil || len(s.conns) >= ftClients {
			s.mu.Unlock()
			c.Close()
			continue
		}
		s.conns[c] = true
		s.wg.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.wg.Done()
			s.serve(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			c.Close()
		}()
	}
}

// put begins a buffer; the caller holds no lock during Open, or mu.
func (s *FieldTripServer) put(h *ftHeader) {
	h.samples, h.events = 0, 0
	s.header = h
	seconds := s.Seconds
	if seconds <= 0 {
		seconds = 60
	}
	size := int(h.channels) * ftSizes[h.typ]
	s.keep = min(max(1024, int(seconds*float64(h.rate))), max(1, ftKeepBytes/size))
	s.ring, s.first, s.events, s.dropped = nil, 0, nil, 0
}

// add appends samples; mu is held.
func (s *FieldTripServer) add(samples []byte) {
	size := int(s.header.channels) * ftSizes[s.header.typ]
	n := len(samples) / size
	s.ring = append(s.ring, samples...)
	s.header.samples += uint32(n)
	if have := len(s.ring) / size; have > 2*s.keep { // move seldom
		gone := have - s.keep
		s.ring = s.ring[:copy(s.ring, s.ring[gone*size:])]
		s.first += uint32(gone)
	}
}

func (s *FieldTripServer) addEvent(e ftEvent) {
	s.events = append(s.events, e)
	s.header.events++
	if len(s.events) > 2*ftKeepEvents {
		gone := len(s.events) - ftKeepEvents
		s.events = s.events[:copy(s.events, s.events[gone:])]
		s.dropped += uint32(gone)
	}
}

func (s *FieldTripServer) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Write offers one chunk. Columns that are missing are not made up: the sample
// number goes on without them, and a marker "gap" says so.
func (s *FieldTripServer) Write(src *stream.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.header == nil {
		return errors.New("fieldtrip: the buffer was emptied by a client")
	}
	if int(s.header.channels) != src.Rows() {
		return fmt.Errorf("fieldtrip: a client has put a header of %d channels over ours of %d", s.header.channels, src.Rows())
	}
	at := s.header.samples
	if src.Flags&stream.Gap != 0 {
		s.addEvent(ftEvent{sample: int32(at), kind: "marker", value: "gap"})
	}
	s.column = s.matrix.encode(s.column[:0], src, 0, src.Len)
	s.add(s.column)
	for _, m := range src.Markers {
		kind, value, two := strings.Cut(m.Label, "/")
		if !two {
			kind, value = "marker", m.Label
		}
		s.addEvent(ftEvent{sample: int32(at) + int32(m.Column), kind: kind, value: value, duration: int32(m.Duration * float64(s.header.rate))})
	}
	s.tell()
	return nil
}

// Close stops listening and disconnects everybody.
func (s *FieldTripServer) Close() error {
	if s.listener == nil {
		return nil
	}
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	if s.changed != nil {
		s.tell()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

func (s *FieldTripServer) serve(c net.Conn) {
	var buf, out []byte
	for {
		command, body, big, err := readFT(c, buf)
		buf = body
		if err != nil {
			return
		}
		var o order = le
		if big {
			o = be
		}
		out = append(out[:0], 0, 0, 0, 0, 0, 0, 0, 0)
		var reply uint16
		reply, out = s.answer(c, out, command, body, o, big)
		o.PutUint16(out, 1)
		o.PutUint16(out[2:], reply)
		o.PutUint32(out[4:], uint32(len(out)-8))
		if _, err := c.Write(out); err != nil {
			return
		}
		if cap(out) > 1<<22 {
			out = nil
		}
	}
}

// order is a byte order in both of its forms.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// answer carries a request out and appends the body of the response.
func (s *FieldTripServer) answer(c net.Conn, out []byte, command uint16, body []byte, o order, big bool) (uint16, []byte) {
	if command == ftWait {
		return s.wait(out, body, o)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch command {
	case ftPutHeader:
		h, err := parseFTHeader(body, o)
		if err != nil {
			return ftPutError, out
		}
		s.put(h)
		s.tell()
		return ftPutOK, out
	case ftPutData:
		if s.header == nil || len(body) < 16 {
			return ftPutError, out
		}
		ch, n, typ, size := o.Uint32(body), o.Uint32(body[4:]), o.Uint32(body[8:]), o.Uint32(body[12:])
		if ch != s.header.channels || typ != s.header.typ || int(size) != len(body)-16 || uint64(ch)*uint64(n)*uint64(ftSizes[typ]) != uint64(size) {
			return ftPutError, out
		}
		if big {
			swapBytes(body[16:], ftSizes[typ])
		}
		s.add(body[16:])
		s.tell()
		return ftPutOK, out
	case ftPutEvents:
		events, err := parseFTEvents(body, o)
		if err != nil || s.header == nil {
			return ftPutError, out
		}
		for _, e := range events {
			s.addEvent(e)
		}
		s.tell()
		return ftPutOK, out
	case ftGetHeader:
		if s.header == nil {
			return ftGetError, out
		}
		return ftGetOK, s.header.append(out, o)
	case ftGetData:
		if s.header == nil || s.header.samples == 0 {
			return ftGetError, out
		}
		first, last, ok := selection(body, o, s.first, s.header.samples)
		size := int(s.header.channels) * ftSizes[s.header.typ]
		n := int(last) - int(first) + 1
		if !ok || n*size > ftMost {
			return ftGetError, out
		}
		for _, v := range []uint32{s.header.channels, uint32(n), s.header.typ, uint32(n * size)} {
			out = o.AppendUint32(out, v)
		}
		at := len(out)
		out = append(out, s.ring[int(first-s.first)*size:][:n*size]...)
		if big {
			swapBytes(out[at:], ftSizes[s.header.typ])
		}
		return ftGetOK, out
	case ftGetEvents:
		if s.header == nil || s.header.events == 0 {
			return ftGetError, out
		}
		first, last, ok := selection(body, o, s.dropped, s.header.events)
		if !ok {
			return ftGetError, out
		}
		for i := first - s.dropped; i <= last-s.dropped; i++ {
			out = s.events[i].append(out, o)
		}
		return ftGetOK, out
	case ftFlushHeader:
		s.header, s.ring, s.events = nil, nil, nil
		return ftFlushOK, out
	case ftFlushData:
		if s.header == nil {
			return ftFlushError, out
		}
		s.ring, s.first, s.header.samples = s.ring[:0], 0, 0
		return ftFlushOK, out
	case ftFlushEvents:
		if s.header == nil {
			return ftFlushError, out
		}
		s.events, s.dropped, s.header.events = s.events[:0], 0, 0
		return ftFlushOK, out
	}
	return ftGetError, out
}

// selection reads first and last, or takes all there is.
func selection(p []byte, o order, oldest, end uint32) (first, last uint32, ok bool) {
	if len(p) == 0 {
		return oldest, end - 1, end > oldest
	}
	if len(p) != 8 {
		return 0, 0, false
	}
	first, last = o.Uint32(p), o.Uint32(p[4:])
	return first, last, first >= oldest && first <= last && last < end
}

// wait answers when there are more samples or events than the client has, or when
// its time is over.
func (s *FieldTripServer) wait(out, body []byte, o order) (uint16, []byte) {
	if len(body) != 12 {
		return ftWaitError, out
	}
	samples, events, ms := o.Uint32(body), o.Uint32(body[4:]), o.Uint32(body[8:])
	timer := time.NewTimer(time.Duration(min(ms, 60_000)) * time.Millisecond)
	defer timer.Stop()
	for over := false; ; {
		s.mu.Lock()
		h, changed, open := s.header, s.changed, s.conns != nil
		var have [2]uint32
		if h != nil {
			have = [2]uint32{h.samples, h.events}
		}
		s.mu.Unlock()
		if h == nil {
			return ftWaitError, out
		}
		if over || !open || have[0] > samples || have[1] > events {
			return ftWaitOK, o.AppendUint32(o.AppendUint32(out, have[0]), have[1])
		}
		select {
		case <-changed:
		case <-timer.C:
			over = true
		}
	}
}

// swapBytes turns the byte order of every number.
func swapBytes(p []byte, size int) {
	if size == 1 {
		return
	}
	for ; len(p) >= size; p = p[size:] {
		slices.Reverse(p[:size])
	}
}
