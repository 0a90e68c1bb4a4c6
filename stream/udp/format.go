package udp

import (
	"errors"
	"fmt"
	"strings"

	"neurostream/stream"
)

// Format turns packets into columns. One goroutine uses it.
//
// The source calls Learn(nil) first. While it answers "not ready", the source
// keeps the first packets, shows each to Learn, and decodes them all, in order,
// once the layout is known. Learn changes nothing that Decode sees but the layout.
//
//	Learn(nil) ─ not ready ─► Learn(pkt 1) ─ … ─► ready ─► Layout ─► Decode(pkt 1), Decode(pkt 2), …
type Format interface {
	// Learn looks at one of the first packets and reports whether the layout is
	// known. It fails when the packet is not of this format or contradicts the
	// URL; ErrOther says that the packet tells nothing. It does not keep pkt.
	Learn(pkt []byte) (ready bool, err error)
	// Layout describes the stream. It is valid once Learn has answered "ready",
	// and fixed from then on. Header.MaxLen is the most columns of one packet.
	Layout() *Layout
	// Decode appends the columns of one packet behind those in dst, whose rows are
	// the layout's and which has room for Header.MaxLen more columns, and sets
	// Records. Markers and, where the sender's time is known, Stamps are appended
	// likewise; a marker that belongs to the next column, not here yet, stands at
	// dst.Len. Seq, T0, Arrived and Gap belong to the source.
	//
	// After an error dst is as before. ErrOther is no fault: the packet is well
	// formed and of no concern to this stream (a heart beat, another sensor).
	// A *Fault is valid until the next call. Nothing allocates in steady state.
	Decode(dst *stream.Chunk, pkt []byte) error
	// Records returns the evidence of the last Decode, in the order of columns.
	// It is valid until the next call.
	Records() []Record
}

// Framer is a Format whose packets come in a byte stream (TCP).
type Framer interface {
	// Frame returns the length of the packet at the front of buf, or 0 while more
	// bytes are needed. An error says that the byte stream is out of step, which
	// cannot be mended: connect anew. No packet is longer than MaxFrame.
	Frame(buf []byte) (int, error)
	MaxFrame() int
}

// Starter is a Format whose device wants to be spoken to. The source sends Hello
// once it is connected (or bound, to the device's address), and Goodbye before it
// closes. Either may be empty.
type Starter interface {
	Hello() []byte
	Goodbye() []byte
}

// Answerer is a Starter whose peer has to be answered: what Answer returns for a
// packet is sent before the packet is used. It is mostly nothing.
type Answerer interface {
	Starter
	Answer(pkt []byte) []byte
}

// ErrOther says that a packet is well formed but tells nothing about this stream.
var ErrOther = errors.New("packet of another stream")

// ErrEnd says that the sender announced the end of the stream.
var ErrEnd = errors.New("the sender ended the stream")

// Evidence is what a format's packets carry about their place in the stream.
type Evidence uint8

const (
	// EvidenceCounter: a number that grows by a known step; see Layout.Counter.
	EvidenceCounter Evidence = 1 << iota
	// EvidenceIndex: the index of the sample since the sender began, 64 bits.
	EvidenceIndex
	// EvidenceStamp: the sender's clock; see Layout.Clock.
	EvidenceStamp
	// EvidenceChecksum: damage is found, and the packet refused.
	EvidenceChecksum
)

var evidenceNames = [...]string{"counter", "index", "stamp", "checksum"}

// String lists what there is, or says that loss can only be told from the rate.
func (e Evidence) String() string {
	var s []string
	for i, n := range evidenceNames {
		if e&(1<<i) != 0 {
			s = append(s, n)
		}
	}
	if len(s) == 0 {
		return "rate of arrival only"
	}
	return strings.Join(s, "+")
}

// Record is the evidence about a run of columns: one packet, or one of several
// that travel in a datagram.
type Record struct {
	Column  int      // first column of dst it is about
	Columns int      // how many; 0 for a packet that carries only markers
	Has     Evidence // which of the following are set
	Counter uint64   // of the first column, below the layout's modulus
	Index   int64    // of the first column, in samples
	Stamp   int64    // of the first column, nanoseconds of the sender's clock
}

// Counter says how Record.Counter counts. The zero value: there is none.
type Counter struct {
	// Modulus: the counter runs from 0 to Modulus−1 and starts again; 0 = 2^64.
	Modulus uint64
	// Step is by how much it grows per column. 0: by one per record, whatever its
	// number of columns.
	Step uint64
}

// StampClock says which clock Record.Stamp and Chunk.Stamps are of.
type StampClock uint8

const (
	ClockNone   StampClock = iota // no stamps
	ClockDevice                   // nanoseconds since the device started, or since no known time
	ClockUnix                     // nanoseconds since 1970, by the sender's clock
)

// String returns the word used in reports.
func (c StampClock) String() string {
	return [...]string{"none", "device", "unix"}[min(c, ClockUnix)]
}

// Scale is how a row's numbers on the wire become values of its unit:
//
//	value = Bit·count + Offset
//
// Bit 0 says that the wire carries values, not counts.
type Scale struct {
	Bit, Offset float64 // units per count, units
	Low, High   float64 // the range that the sender can express, in units; both 0: not known
}

// Layout is what is known about a stream.
type Layout struct {
	Header   stream.Header
	Scales   []Scale // per row; nil: the wire carries values and no range is known
	Evidence Evidence
	Counter  Counter
	Clock    StampClock
	Notes    []string // for a person: what the URL said, what is not verified
}

// Fault says why a packet cannot be used. The format that returns it reuses it:
// it is valid until the format's next call.
type Fault struct {
	Format string
	Byte   int // offset in the packet
	Why    string
	number bool
	got    int64
	want   int64
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%s: byte %d: %s", f.Format, f.Byte, f.Why)
	if f.number {
		s += fmt.Sprintf(" (got %d, want %d)", f.got, f.want)
	}
	return s
}

// scratch is what every decoder keeps: its layout, the records of the last packet
// and the last fault.
type scratch struct {
	name    string
	layout  Layout
	records []Record
	bad     Fault
}

func (s *scratch) Layout() *Layout   { return &s.layout }
func (s *scratch) Records() []Record { return s.records }

func (s *scratch) fault(at int, why string) error {
	s.bad = Fault{Format: s.name, Byte: at, Why: why}
	return &s.bad
}

func (s *scratch) faultOf(at int, why string, got, want int64) error {
	s.bad = Fault{Format: s.name, Byte: at, Why: why, number: true, got: got, want: want}
	return &s.bad
}

// place is how full a chunk was before a packet, to go back to after a fault.
type place struct{ columns, markers, events, stamps int }

func placeOf(c *stream.Chunk) place {
	return place{c.Len, len(c.Markers), len(c.Events), len(c.Stamps)}
}

func (p place) restore(c *stream.Chunk) {
	c.Len, c.Markers, c.Events, c.Stamps = p.columns, c.Markers[:p.markers], c.Events[:p.events], c.Stamps[:p.stamps]
}

// room reports whether n more columns fit.
func room(c *stream.Chunk, n int) bool { return n >= 0 && n <= c.Cap()-c.Len }

// Encoder writes packets of a format: for sinks and simulators.
type Encoder interface {
	// Open fails when the format cannot carry such a stream, and says why.
	Open(in stream.Header) error
	// Preamble appends what has to come before the first packet (a header, a
	// description), as whole packets; lens are their lengths. Senders by UDP may
	// repeat it so that late listeners hear it.
	Preamble(dst []byte) (out []byte, lens []int)
	// Encode appends the next packet to dst and returns how many columns of
	// src[from:to) it used up. A format with packets of a fixed number of columns
	// keeps columns until a packet is full: then nothing is appended. A format
	// that needs several packets for a column returns 0 columns until the last.
	// Call again while columns are left. Markers of the columns go along where
	// the format can carry them.
	Encode(dst []byte, src *stream.Chunk, from, to int) (out []byte, used int)
	// Finish appends what ends the stream: what is kept, a farewell. It may be
	// nothing.
	Finish(dst []byte) []byte
}

// maxDatagram is the longest payload of a UDP datagram over IPv4.
const maxDatagram = 65507
