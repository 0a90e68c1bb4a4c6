package udp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"net/netip"
	"slices"
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

// parcel is a record that left the straight way: held back, or behind a gap.
type parcel struct {
	chunk  stream.Chunk
	rec    Record
	pos    position
	stamp  stream.Time
	hash   uint64
	serial int64 // of its datagram
	seq    int64
	t0     stream.Time
	flags  stream.Flags
	events []stream.Event
}

// print is the fingerprint of a datagram.
type print struct {
	hash  uint64
	stamp stream.Time
	n     int
}

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

// note keeps something to tell with the first chunk.
func (s *Source) note(text string) {
	s.opening = append(s.opening, stream.Event{Kind: stream.EventNote, Origin: s.Address, Detail: text})
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

// holdTime is how long a datagram is held back at most: two datagrams' time, between 2
// and 50 ms.
func (s *Source) holdTime() stream.Time {
	if !(s.header.Rate > 0) {
		return 0
	}
	t := 2 * float64(max(1, s.track.columns)) / s.header.Rate
	return stream.Time(math.Min(math.Max(t, 0.002), 0.05) * 1e9)
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

// end finishes the stream; err is what Read returns when all is delivered.
func (s *Source) end(err error) {
	s.giveUp(len(s.held))
	s.ended, s.over = true, err
}

// settle adds what can only be said at the end.
func (s *Source) settle() {
	if n := s.arrivals.finish(int(s.track.columns)); n > 0 {
		s.estimated(n)
	}
	s.arrivals = arrivals{}
}

// take deals with one datagram; its columns go into dst or, when something is odd,
// into parcels.
func (s *Source) take(dst *stream.Chunk, d *Datagram) {
	if !s.ours(d) {
		return
	}
	s.counts.Datagrams++
	s.counts.Bytes += int64(len(d.Data))
	if n := d.Dropped - s.dropped; n != 0 {
		s.dropped = d.Dropped
		s.counts.KernelDrops += int64(n)
		s.kernel += int64(n)
	}
	if len(s.held) > 0 && d.Stamp-s.held[0].stamp > s.holdTime() {
		s.giveUp(len(s.held))
	}
	hash := uint64(0)
	if s.hashing {
		hash = maphash.Bytes(s.seed, d.Data)
	}
	before, marks := dst.Len, len(dst.Markers)
	err := s.Format.Decode(dst, d.Data)
	if err != nil && !errors.Is(err, ErrEnd) {
		if errors.Is(err, ErrOther) {
			s.counts.Other++
		} else {
			s.malformed(d, err)
		}
		return
	}
	records := s.Format.Records()
	if len(records) == 0 && dst.Len > before {
		records = []Record{{Column: before, Columns: dst.Len - before}}
	}
	s.stampColumns(dst, before, records)
	if s.returned && len(records) > 0 {
		s.resume(&records[0])
	}
	if s.hashing && s.track.layout.Evidence&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0 && dst.Len > before {
		if s.repeated(dst, before, d, hash) {
			s.counts.Doubles++
			s.tell(pendingDouble, 1, "the same bytes again within half a datagram's time")
			truncate(dst, before, marks)
			return
		}
		s.unnumbered(dst, before, d)
	}
	for i := range records {
		r := &records[i]
		p := s.track.locate(r, d.Stamp, hash)
		if p.verdict != follows || len(s.held) > 0 || len(s.ready) > 0 || s.broken != 0 || s.kernelGap(r) {
			s.divert(dst, marks, records[i:], d, hash)
			break
		}
		if dst.Len > 0 && r.Column == 0 { // the first columns of dst
			dst.Seq = s.seq
		}
		t0 := s.follow(r, &p, d.Stamp, hash)
		if r.Column == 0 && r.Columns > 0 {
			dst.T0 = t0
		}
	}
	if dst.Len > before {
		dst.Arrived = d.Stamp
	}
	if errors.Is(err, ErrEnd) {
		s.end(io.EOF)
	}
}

// stampColumns gives each column the sender's time, from the records of a format that
// leaves that to us.
func (s *Source) stampColumns(dst *stream.Chunk, before int, records []Record) {
	if len(dst.Stamps) != before || !(s.header.Rate > 0) {
		return
	}
	for i := range records {
		r := &records[i]
		if r.Has&EvidenceStamp == 0 || r.Column != len(dst.Stamps) {
			dst.Stamps = dst.Stamps[:before]
			return
		}
		for k := range r.Columns {
			dst.Stamps = append(dst.Stamps, stream.Time(r.Stamp)+stream.Time(math.Round(float64(k)/s.header.Rate*1e9)))
		}
	}
}

// kernelGap reports whether the kernel dropped datagrams right before a record of a
// format that cannot tell so itself.
func (s *Source) kernelGap(r *Record) bool {
	return s.kernel > 0 && r.Has&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0
}

// follow takes a record that goes on where the last ended, and returns when its first
// column happened.
func (s *Source) follow(r *Record, p *position, at stream.Time, hash uint64) stream.Time {
	s.track.advance(r, p, at, hash)
	s.kernel = 0
	n := int64(r.Columns)
	t := s.time(r, at)
	s.seq += n
	s.counts.Columns += n
	return t
}

// time runs the sample clock over a record whose first column is s.seq.
func (s *Source) time(r *Record, at stream.Time) stream.Time {
	n := r.Columns
	switch {
	case n == 0:
		return s.lastTime
	case !(s.header.Rate > 0):
		s.lastTime = max(s.lastTime, at)
		return s.lastTime
	}
	var x float64
	if s.byStamp {
		if r.Has&EvidenceStamp != 0 {
			if !s.clock.begun {
				s.stamp0 = r.Stamp
			}
			s.stampX = float64(r.Stamp-s.stamp0) * 1e-9
		}
		x = s.stampX + float64(n-1)/s.header.Rate
		s.stampX += float64(n) / s.header.Rate
	} else {
		x = float64(s.seq+s.extra+int64(n-1)) / s.header.Rate
	}
	t, jumped := s.clock.place(x, at)
	if jumped != 0 && s.broken == 0 {
		s.opening = append(s.opening, stream.Event{Kind: stream.EventClockJump, Seq: s.seq, Time: t, Count: int64(jumped), Origin: s.Address, Detail: "columns and times of arrival have parted by more than a second"})
	}
	if hz, ok := s.clock.rate(s.header.Rate); ok {
		s.measured(hz, t)
	}
	begin := max(s.lastTime, t-stream.Time(math.Round(float64(n-1)/s.header.Rate*s.clock.slope*1e9)))
	s.lastTime = max(begin, t)
	return begin
}

// rateTolerance: a measured rate this far off the nominal one, or off the one last
// reported, is news.
const rateTolerance = 0.005

func (s *Source) measured(hz float64, t stream.Time) {
	if s.rate == 0 {
		s.rate = s.header.Rate
	}
	if math.Abs(hz/s.rate-1) <= rateTolerance {
		return
	}
	s.rate = hz
	s.opening = append(s.opening, stream.Event{
		Kind: stream.EventRateChange, Seq: s.seq, Time: t, Count: int64(math.Round(hz * 1000)), Origin: s.Address,
		Detail: fmt.Sprintf("measured %.2f Hz over a minute of arrivals, nominal %g Hz", hz, s.header.Rate),
	})
}

// ours reports whether a datagram is of the sender that is listened to.
func (s *Source) ours(d *Datagram) bool {
	if s.stale && s.live && d.From == s.sender {
		s.stale = false
	}
	if s.Stale > 0 && !s.live && s.begun && d.Stamp-s.heard >= stream.Time(s.Stale) {
		s.silence(d.Stamp - s.heard)
		s.stale = false
	}
	if d.From != s.sender {
		if !s.fixed(d.From) || s.begun && d.Stamp-s.heard < senderSilence {
			s.counts.Strangers++
			s.tell(pendingStranger, 1, fmt.Sprintf("%s also sends here and is ignored; choose the sender with from=ADDRESS", d.From))
			return false
		}
		if s.begun { // the sender was silent: another has taken its place
			s.giveUp(len(s.held))
			s.track.forget()
			s.restarted(d.Stamp, fmt.Sprintf("%s fell silent, %s sends now", s.sender, d.From))
		}
		s.sender = d.From
	}
	s.begun, s.heard, s.stale = true, max(s.heard, d.Stamp), false
	return true
}

// restarted says that what comes is a new stream.
func (s *Source) restarted(at stream.Time, why string) {
	s.counts.Restarts++
	s.broken |= stream.Restart
	s.clock = sampleClock{}
	s.opening = append(s.opening, stream.Event{Kind: stream.EventRestart, Seq: s.seq, Time: at, Count: s.counts.Restarts, Origin: s.Address, Detail: why})
}

// fixed reports whether the sender is one that may be listened to.
func (s *Source) fixed(a netip.AddrPort) bool {
	return !s.From.IsValid() && s.From.Addr() == netip.Addr{} ||
		s.From.Addr() == a.Addr() && (s.From.Port() == 0 || s.From.Port() == a.Port())
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

// repeated reports whether a datagram of a format without evidence is a copy: the same
// bytes as one of the last four, much sooner than a new one can come. Bytes that say
// next to nothing (a flat line) prove nothing.
func (s *Source) repeated(c *stream.Chunk, from int, d *Datagram, hash uint64) bool {
	n := c.Len - from
	old := false
	if s.header.Rate > 0 && !s.Keep {
		soon := stream.Time(float64(n) / s.header.Rate / 2 * 1e9)
		for i := range s.prints {
			p := &s.prints[i]
			old = old || p.n == n && p.hash == hash && d.Stamp-p.stamp <= soon && d.Stamp >= p.stamp
		}
	}
	if old && distinct(c, from) >= 4 {
		return true
	}
	s.prints[s.printed%len(s.prints)] = print{hash, d.Stamp, n}
	s.printed++
	return false
}

// distinct returns how many different numbers stand in the columns from on, up to 4.
func distinct(c *stream.Chunk, from int) int {
	var seen [4]float64
	n := 0
	for k := range c.Tiles() {
		lanes := min(stream.Lanes, c.Rows()-k*stream.Lanes)
		for _, v := range c.Tile(k)[from:] {
		next:
			for _, x := range v[:lanes] {
				for _, y := range seen[:n] {
					if x == y {
						continue next
					}
				}
				seen[n] = x
				if n++; n == len(seen) {
					return n
				}
			}
		}
	}
	return n
}

// unnumbered estimates what is lost before a datagram of a format without evidence.
func (s *Source) unnumbered(c *stream.Chunk, from int, d *Datagram) {
	n := c.Len - from
	if s.kernel > 0 {
		s.arrivals.told(s.kernel * int64(n))
	}
	lost, silent := s.arrivals.add(d.Stamp, n)
	if lost > 0 {
		s.estimated(lost)
	}
	if silent {
		s.broken |= stream.Gap
	}
}

func (s *Source) estimated(n int64) {
	s.extra += n
	s.counts.Estimated += n
	s.tell(pendingEstimate, n, "estimated from the times of arrival: the format carries no counter")
}

// divert copies records out of dst into parcels and puts these in order. dst keeps what
// came before them. marks is how many markers dst held before their datagram.
func (s *Source) divert(dst *stream.Chunk, marks int, records []Record, d *Datagram, hash uint64) {
	s.parcels = s.parcels[:0]
	for i := range records {
		p := s.parcel(dst, &records[i], d, hash)
		end := records[i].Column + records[i].Columns
		for _, m := range dst.Markers[marks:] {
			if m.Column >= records[i].Column && (m.Column < end || i == len(records)-1) {
				m.Column -= records[i].Column
				p.chunk.Markers = append(p.chunk.Markers, m)
			}
		}
		s.parcels = append(s.parcels, p)
	}
	truncate(dst, records[0].Column, marks)
	for _, p := range s.parcels {
		s.sequence(p)
	}
}

// parcel copies a record's columns.
func (s *Source) parcel(src *stream.Chunk, r *Record, d *Datagram, hash uint64) *parcel {
	var p *parcel
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	} else {
		p = new(parcel)
		p.chunk.Alloc(src.Rows(), s.maxLen)
	}
	p.chunk.Clear()
	p.rec, p.stamp, p.hash, p.serial, p.flags, p.events = *r, d.Stamp, hash, s.counts.Datagrams, 0, p.events[:0]
	appendColumns(&p.chunk, src, r.Column, r.Column+r.Columns)
	return p
}

// appendColumns appends columns from..to-1 of src, with their marks and stamps.
func appendColumns(dst, src *stream.Chunk, from, to int) {
	at := dst.Len
	dst.Extend(to - from)
	for k := range dst.Tiles() {
		copy(dst.Tile(k)[at:], src.Tile(k)[from:to])
		if src.Flags&stream.Bad != 0 {
			copy(dst.Bad(k)[at:], src.Bad(k)[from:to])
			for _, b := range dst.Bad(k)[at:] {
				if b != 0 {
					dst.Flags |= stream.Bad
				}
			}
		}
	}
	if len(src.Stamps) == src.Len && len(dst.Stamps) == at {
		dst.Stamps = append(dst.Stamps, src.Stamps[from:to]...)
	}
}

// truncate cuts dst back to n columns; of the markers behind the first keep, those on
// the columns cut off go too.
func truncate(dst *stream.Chunk, n, keep int) {
	dst.Len = n
	if len(dst.Stamps) > n {
		dst.Stamps = dst.Stamps[:n]
	}
	markers := dst.Markers[:keep]
	for _, m := range dst.Markers[keep:] {
		if m.Column < n {
			markers = append(markers, m)
		}
	}
	dst.Markers = markers
}

// sequence puts a parcel into its place.
func (s *Source) sequence(p *parcel) {
	p.pos = s.track.locate(&p.rec, p.stamp, p.hash)
	switch p.pos.verdict {
	case follows:
		found := len(s.held) > 0
		s.release(p)
		if found {
			s.overtaken(p)
		}
		s.follows()
	case ahead:
		for _, h := range s.held {
			if h.pos.at == p.pos.at && h.pos.length == p.pos.length {
				s.double(p)
				return
			}
		}
		if s.Reorder == 0 || !(s.header.Rate > 0) {
			s.release(p)
			return
		}
		i := len(s.held)
		s.held = append(s.held, nil)
		for ; i > 0 && s.held[i-1].pos.at > p.pos.at; i-- {
			s.held[i] = s.held[i-1]
		}
		s.held[i] = p
		if i < len(s.held)-1 {
			s.overtaken(p)
		}
		if s.datagramsHeld() > s.Reorder {
			s.giveUp(1)
		}
	case double:
		s.double(p)
	case late:
		if s.counted[pendingLate] != p.serial {
			s.counted[pendingLate] = p.serial
			s.counts.Late++
			s.tell(pendingLate, 1, "came when its place had been given up, discarded; the gap counts it")
		}
		s.recycle(p)
	case restarted:
		s.giveUp(len(s.held))
		s.restarted(p.stamp, "the sender has begun anew: "+s.track.why(&p.rec, &p.pos, s.track.counter, s.track.next))
		s.track.forget()
		p.pos = s.track.locate(&p.rec, p.stamp, p.hash)
		s.release(p)
	}
}

// Datagrams are counted, however many records they hold.

func (s *Source) overtaken(p *parcel) {
	if s.counted[pendingReorder] == p.serial {
		return
	}
	s.counted[pendingReorder] = p.serial
	s.counts.Reordered++
	s.tell(pendingReorder, 1, "overtaken by a later datagram, put in order")
}

func (s *Source) double(p *parcel) {
	if s.counted[pendingDouble] != p.serial {
		s.counted[pendingDouble] = p.serial
		s.counts.Doubles++
		s.tell(pendingDouble, 1, s.doubled)
	}
	s.recycle(p)
}

// datagramsHeld counts the datagrams that parcels held back are of.
func (s *Source) datagramsHeld() int {
	n := 0
	for i, h := range s.held {
		if i == 0 || h.serial != s.held[i-1].serial {
			n++
		}
	}
	return n
}

// follows releases held parcels as long as they go on where the last ended.
func (s *Source) follows() {
	for len(s.held) > 0 {
		p := s.held[0]
		switch {
		case p.pos.at > s.track.next:
			return
		case p.pos.at == s.track.next:
			s.unhold()
			s.release(p)
		default: // told by other pieces meanwhile
			s.unhold()
			s.double(p)
		}
	}
}

func (s *Source) unhold() {
	copy(s.held, s.held[1:])
	s.held = s.held[:len(s.held)-1]
}

// giveUp releases the first n held parcels, with gaps before them, and what follows.
func (s *Source) giveUp(n int) {
	for ; n > 0 && len(s.held) > 0; n-- {
		p := s.held[0]
		s.unhold()
		s.release(p)
		s.follows()
	}
}

// release gives a parcel its place in the stream, behind a gap when there is one.
func (s *Source) release(p *parcel) {
	expected, next := s.track.counter, s.track.next
	missing := s.track.advance(&p.rec, &p.pos, p.stamp, p.hash)
	if p.rec.Has&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0 && s.kernel > 0 {
		n := s.kernel * int64(max(1, p.rec.Columns))
		s.gap(p, n, stream.EventDrop, fmt.Sprintf("the kernel dropped %d datagrams: the socket buffer was full", s.kernel))
	} else if missing > 0 {
		why := s.track.why(&p.rec, &p.pos, expected, next)
		if s.kernel > 0 {
			why += fmt.Sprintf("; the kernel dropped %d datagrams, the socket buffer was full", s.kernel)
		}
		s.gap(p, missing, stream.EventGap, why)
	}
	s.kernel = 0
	p.t0 = s.time(&p.rec, p.stamp)
	p.seq = s.seq
	if p.rec.Columns > 0 {
		p.flags |= s.broken
		s.broken = 0
	}
	s.seq += int64(p.rec.Columns)
	s.counts.Columns += int64(p.rec.Columns)
	s.ready = append(s.ready, p)
}

func (s *Source) gap(p *parcel, missing int64, kind stream.Kind, why string) {
	s.seq += missing
	s.counts.Missing += missing
	s.counts.Gaps++
	p.flags |= stream.Gap
	p.events = append(p.events, stream.Event{Kind: kind, Seq: s.seq, Time: p.stamp, Count: missing, Origin: s.Address, Detail: why})
}

func (s *Source) recycle(p *parcel) {
	s.free = append(s.free, p)
}

// drain moves ready parcels into dst, and reports whether dst is done.
func (s *Source) drain(dst *stream.Chunk) bool {
	for len(s.ready) > 0 {
		p := s.ready[0]
		if p.flags.Broken() && dst.Len > 0 || dst.Cap()-dst.Len < p.rec.Columns {
			return true
		}
		if dst.Len == 0 {
			dst.Seq, dst.T0 = p.seq, p.t0
		}
		dst.Flags |= p.flags
		dst.Events = append(dst.Events, p.events...)
		for _, m := range p.chunk.Markers {
			m.Column += dst.Len
			dst.Markers = append(dst.Markers, m)
		}
		appendColumns(dst, &p.chunk, 0, p.rec.Columns)
		dst.Arrived = max(dst.Arrived, p.stamp)
		copy(s.ready, s.ready[1:])
		s.ready = s.ready[:len(s.ready)-1]
		s.recycle(p)
	}
	return false
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

var pendingEvents = [pendingKinds]stream.Kind{
	pendingDouble: stream.EventDouble, pendingReorder: stream.EventReorder, pendingLate: stream.EventReorder,
	pendingMalformed: stream.EventMalformed, pendingStranger: stream.EventNote, pendingEstimate: stream.EventGap,
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
