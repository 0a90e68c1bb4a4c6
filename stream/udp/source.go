package udp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"net/netip"
	"time"

	"neurostream/stream"
)

// carrier brings datagrams: a socket, a byte stream cut into packets, a capture.
type carrier interface {
	// Next returns the next datagram, valid until the following call; ErrQuiet when
	// nothing came within wait (0 = wait for ever), io.EOF at the end.
	Next(wait time.Duration) (*Datagram, error)
	// Buffered reports whether the next one is at hand.
	Buffered() bool
	Close() error
}

// Source is a device's stream as a [stream.Source]. The same code serves sockets, TCP
// streams and captures, so that what is found live is found in a replay.
//
//	carrier ─► sender ─► Format.Decode ─► tracker ─► order ─► sampleClock ─► chunk
//	 bytes,     one of     columns,        place by   held      T0
//	 stamp      several    records         evidence   back
//
// What is lost, doubled, out of order or damaged becomes events that name their
// evidence. With a counter, an index or device stamps the count is exact and Seq jumps
// over what is missing. Without, loss is estimated from the times of arrival
// (arrivals), reported up to a fifth of a second late, and Seq counts what came.
//
// A hole seen from its far side may only be a datagram overtaken by its successor: what
// follows it is held until Reorder later ones or HoldTime have passed. Every decision
// rests on the bytes and the receive stamps, none on when Read is called, so a replay
// with the same stamps decides the same.
type Source struct {
	FormatName string
	Format     Format // after Open
	Address    string // for messages and as origin of events
	// From is the only sender listened to; the zero value: the first whose datagrams
	// are of the format. A port of 0 means any.
	From    netip.AddrPort
	Reorder int           // datagrams that one may be overtaken by and still be put in order; 0 = 1, -1 = 0
	Stale   time.Duration // silence that is reported; 0 = 2 s, -1 = never
	Timeout time.Duration // to wait for the first datagrams; 0 = 10 s, -1 = for ever
	Keep    bool          // keep doubles of formats without counter
	Clock   stream.Clock  // nil = stream.Wall
	Speed   float64       // of a capture: seconds of it per second; 0 = unpaced and lossless
	// OnTick, when set, is called after every paced wait with how late it returned.
	OnTick func(late time.Duration)
	// OnListening, when set, is called by Open when the socket is bound, or the
	// connection made: before the first datagrams are waited for.
	OnListening func()

	make   func() (Format, error) // nil when no format was named: Open then says what it looks like
	open   func(context.Context, *Source) (carrier, error)
	live   bool                                      // the carrier's stamps are of our clock, and time goes on when nothing comes
	around func() (stop func() (heard, hint string)) // listens elsewhere while nothing comes; nil = cannot

	carrier  carrier
	header   stream.Header
	layout   *Layout
	maxLen   int // columns of one packet
	first    []kept
	firstAt  Datagram
	opening  []stream.Event
	learning *relearning // of a connection made anew; nil otherwise
	returned bool        // a connection was made anew, and no record of it has come yet
	away     stream.Time // between the last packet before and the first one then
	seed     maphash.Seed
	hashing  bool
	track    tracker
	clock    sampleClock
	arrivals arrivals
	byStamp  bool // the clock runs on device stamps
	quar     quarantine

	seq      int64           // of the next column
	extra    int64           // columns estimated as lost, which Seq does not count
	broken   stream.Flags    // of the next column: it does not go on where the last ended
	lastTime stream.Time     // when the newest column happened
	carried  []stream.Marker // of a column that has not come yet
	sender   netip.AddrPort
	heard    stream.Time // newest datagram of the sender
	begun    bool
	stale    bool
	ended    bool
	over     error
	dropped  uint32 // kernel's counter at the newest datagram
	kernel   int64  // datagrams dropped by the kernel since the last column
	held     []*parcel
	parcels  []*parcel // of the datagram at hand
	ready    []*parcel
	free     []*parcel
	prints   [4]print // newest datagrams of formats without evidence
	printed  int
	stamp0   int64 // device stamp that the clock counts from
	stampX   float64
	rate     float64 // measured rate last reported
	pending  [pendingKinds]tally
	counted  [pendingKinds]int64 // serial of the datagram counted last
	doubled  string              // how copies are told
	told     stream.Time
	counts   Counts
}

// Counts say what a source has seen so far.
type Counts struct {
	Datagrams   int64  `json:"datagrams"`         // of the sender, doubles and malformed ones included
	Bytes       int64  `json:"bytes"`             //
	Columns     int64  `json:"columns"`           // delivered
	Missing     int64  `json:"missing_columns"`   // by counter, index, stamp or the kernel's drop counter
	Gaps        int64  `json:"gaps"`              // stretches of missing columns
	Estimated   int64  `json:"estimated_columns"` // missing, by the times of arrival
	Doubles     int64  `json:"doubles"`           // datagrams or packets in them, used once
	Reordered   int64  `json:"reordered"`         // put in order
	Late        int64  `json:"late"`              // came when their place had been given up, discarded
	Malformed   int64  `json:"malformed"`         // not of the format, or damaged
	Other       int64  `json:"other"`             // of the format, but not of this stream
	Strangers   int64  `json:"strangers"`         // datagrams of other senders, ignored
	KernelDrops int64  `json:"kernel_drops"`      // datagrams
	Restarts    int64  `json:"restarts"`          //
	Evidence    string `json:"evidence"`          // what the counts rest on
}

type kept struct {
	data  []byte
	stamp stream.Time
	from  netip.AddrPort
}

const (
	firstPackets   = 64 // kept while the layout is being learnt
	wrongPackets   = 8  // after this many that are not of the format, it is the wrong one
	defaultTimeout = 10 * time.Second
	defaultStale   = 2 * time.Second
	newsPeriod     = stream.Time(1e9)
	senderSilence  = stream.Time(2e9) // after which another sender may take over
)

// Open opens the carrier and waits for the first datagrams: they tell the layout, and
// that something comes at all.
func (s *Source) Open(ctx context.Context) (stream.Header, error) {
	if s.Clock == nil {
		s.Clock = stream.Wall{}
	}
	if s.Stale == 0 {
		s.Stale = defaultStale
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	switch {
	case s.Reorder == 0:
		s.Reorder = 1
	case s.Reorder < 0:
		s.Reorder = 0
	}
	try, ready, err := s.prepare()
	if err != nil {
		return stream.Header{}, err
	}
	c, err := s.open(ctx, s)
	if err != nil {
		return stream.Header{}, err
	}
	s.carrier, s.seed = c, maphash.MakeSeed()
	if s.OnListening != nil {
		s.OnListening()
	}
	if err := s.learn(try, ready); err != nil {
		c.Close()
		return stream.Header{}, err
	}
	l := s.layout
	s.header = l.Header.Clone()
	s.maxLen = max(1, l.Header.MaxLen)
	if h := &s.header; h.Rate > 0 { // room for what has piled up in 10 ms
		more := min(int(math.Ceil(h.Rate/100)), 4096, (1<<25)/max(1, len(h.Channels)))
		h.MaxLen = min(s.maxLen+more, stream.MaxColumns)
	}
	if err := s.header.Validate(); err != nil {
		c.Close()
		return stream.Header{}, fmt.Errorf("%s: %w", s.Address, err)
	}
	places := l.Evidence & (EvidenceCounter | EvidenceIndex | EvidenceStamp)
	if places == EvidenceStamp && !(s.header.Rate > 0) {
		places = 0
	}
	s.track = tracker{layout: l, rate: s.header.Rate}
	narrow := places&EvidenceIndex == 0 && places&EvidenceCounter != 0 && l.Counter.Modulus != 0 && l.Counter.Modulus <= 1<<16
	s.hashing = places == 0 || narrow
	if places == 0 && s.header.Rate > 0 {
		s.arrivals = arrivals{period: 1 / s.header.Rate}
	}
	s.byStamp = places&EvidenceStamp != 0 && (l.Clock == ClockDevice || places == EvidenceStamp)
	s.doubled = "came before, by " + places.String()
	s.counts.Evidence = (l.Evidence &^ EvidenceChecksum).String()
	for _, n := range l.Notes {
		s.note(n)
	}
	return s.header.Clone(), nil
}

// Layout returns what is known about the stream; after Open.
func (s *Source) Layout() *Layout { return s.layout }

// Counts returns what has been seen; by the goroutine that reads, or after it.
func (s *Source) Counts() Counts { return s.counts }

// Quarantine returns malformed datagrams: the first fifteen, and one newer; by the
// goroutine that reads, or after it.
func (s *Source) Quarantine() []Quarantined { return s.quar.list() }

// Close closes the carrier.
func (s *Source) Close() error {
	if s.carrier == nil {
		return nil
	}
	return s.carrier.Close()
}

// Read delivers what has come.
func (s *Source) Read(dst *stream.Chunk) error {
	dst.Clear()
	for {
		if len(s.ready) > 0 && s.drain(dst) {
			return s.finish(dst)
		}
		if dst.Len > 0 && (!s.buffered() || dst.Cap()-dst.Len < s.maxLen) {
			return s.finish(dst)
		}
		if s.ended {
			if s.settle(); dst.Len > 0 || s.news(true) {
				return s.finish(dst)
			}
			return s.over
		}
		d, err := s.next()
		switch {
		case err == nil:
			s.take(dst, d)
		case errors.Is(err, ErrQuiet):
			s.quiet()
		case errors.Is(err, errBroken):
			s.lost(err)
		case errors.Is(err, io.EOF):
			if c, ok := s.carrier.(interface{ notes() []string }); ok {
				for _, text := range c.notes() {
					s.note(text)
				}
			}
			s.end(io.EOF)
		default:
			if dst.Len == 0 && len(s.held) == 0 {
				return err
			}
			s.end(err)
		}
		if dst.Len == 0 && len(s.ready) == 0 && s.news(false) {
			return s.finish(dst)
		}
	}
}

func (s *Source) buffered() bool { return len(s.first) > 0 || s.carrier.Buffered() }

// next returns the next datagram: first those that Open has read.
func (s *Source) next() (*Datagram, error) {
	if len(s.first) > 0 {
		k := &s.first[0]
		s.firstAt = Datagram{Data: k.data, Stamp: k.stamp, From: k.from}
		s.first = s.first[1:]
		return &s.firstAt, nil
	}
	wait := time.Duration(0)
	if s.live {
		if s.Stale > 0 && !s.stale {
			wait = s.Stale
		}
		if len(s.held) > 0 {
			wait = time.Duration(s.holdTime())
		} else if s.pendingAny() && (wait == 0 || wait > time.Second) {
			wait = time.Second
		}
	}
	for {
		d, err := s.carrier.Next(wait)
		if errors.Is(err, errConnected) {
			s.learning = &relearning{format: s.carrier.(*line).fresh}
			continue
		}
		if err != nil || s.learning == nil {
			return d, err
		}
		if done, err := s.relearn(d); done || err != nil {
			if err != nil {
				return nil, err
			}
			return s.next()
		}
	}
}

// end finishes the stream; err is what Read returns when all is delivered.
func (s *Source) end(err error) {
	s.giveUp(len(s.held))
	s.ended, s.over = true, err
}
