package server

import (
	"encoding/binary"
	"math"
)

// The WebSocket protocol. Text messages are JSON objects with a "type"; what flows
// fast is binary. All numbers are little-endian. The page's half is web/src/wire.ts.
//
//	byte 0     1     2        3      4         8                16               24
//	┌─────────┬────────┬──────┬─────────┬────────────────┬────────────────┬──────────┬───────┬────────┬───────┐
//	│ "NS"    │version │ kind │ session │ first          │ time           │ columns  │ rows  │ planes │ flags │
//	│ 2 bytes │ uint8  │ uint8│ uint32  │ float64        │ float64        │ uint32   │ uint16│ uint8  │ uint8 │
//	└─────────┴────────┴──────┴─────────┴────────────────┴────────────────┴──────────┴───────┴────────┴───────┘
//	32: bad rows, one bit each (row r is bit r%8 of byte r/8), padded with zeros to a multiple of 4 bytes
//	then float32[planes][rows][columns]
//
// session counts the hellos: a frame whose session is not that of the last hello is
// to be ignored. first is the index of the first column; columns of one kind are
// consecutive except where the gap flag says that some are missing before it. time
// is seconds on the engine's timeline at the first column. Signals whose rate
// exceeds what a screen can show have two planes, the least and the greatest sample
// of every column's stretch; otherwise one.
const (
	frameVersion = 1
	headerBytes  = 32
	subprotocol  = "neurostream.v1"
)

// Kinds of binary frames, and of text frames, which carry their type in the text.
const (
	kindText      = 0
	kindSignals   = 1
	kindDecisions = 2 // rows as the decoder puts them out, then the true class
	kindPower     = 3
)

// Flags of a binary frame.
const (
	flagGap     = 1 << 0 // columns are missing before this frame: the data have a hole
	flagRestart = 1 << 1 // what follows is no continuation
	flagSkipped = 1 << 2 // columns were left out because the replay is faster than any screen
)

// block gathers columns until a frame's worth is there. Its memory is allocated
// once; values of row r in plane p start at (p*rows+r)*room.
type block struct {
	kind               byte
	rows, planes, room int

	n      int // columns held
	first  int64
	time   float64
	flags  uint8
	bad    []byte
	values []float32
}

func newBlock(kind byte, rows, planes, room int) *block {
	return &block{
		kind: kind, rows: rows, planes: planes, room: room,
		bad: make([]byte, (rows+31)/32*4), values: make([]float32, planes*rows*room),
	}
}

// add makes room for one column and returns its place, the index into row(...). A
// block that is full before it could be sent starts over: what it held is skipped.
func (b *block) add(index int64, seconds float64) int {
	if b.n == b.room {
		b.reset()
		b.flags = flagSkipped
	}
	if b.n == 0 {
		b.first, b.time = index, seconds
	}
	b.n++
	return b.n - 1
}

// row returns plane p of row r.
func (b *block) row(p, r int) []float32 { return b.values[(p*b.rows+r)*b.room:][:b.room] }

func (b *block) markBad(r int) { b.bad[r/8] |= 1 << (r % 8) }

func (b *block) reset() {
	b.n, b.flags = 0, 0
	clear(b.bad)
}

// size returns the length of the encoded frame.
func (b *block) size() int { return headerBytes + len(b.bad) + 4*b.planes*b.rows*b.n }

// encode writes the frame to dst, which has size bytes.
func (b *block) encode(dst []byte, session uint32) {
	le := binary.LittleEndian
	dst[0], dst[1], dst[2], dst[3] = 'N', 'S', frameVersion, b.kind
	le.PutUint32(dst[4:], session)
	le.PutUint64(dst[8:], math.Float64bits(float64(b.first)))
	le.PutUint64(dst[16:], math.Float64bits(b.time))
	le.PutUint32(dst[24:], uint32(b.n))
	le.PutUint16(dst[28:], uint16(b.rows))
	dst[30], dst[31] = byte(b.planes), b.flags
	at := headerBytes + copy(dst[headerBytes:], b.bad)
	for i := range b.planes * b.rows {
		for _, v := range b.values[i*b.room:][:b.n] {
			le.PutUint32(dst[at:], math.Float32bits(v))
			at += 4
		}
	}
}

// display turns a sample into what the page gets: finite whatever came.
func display(v float64) float32 {
	if !(math.Abs(v) <= math.MaxFloat32) {
		return 0
	}
	return float32(v)
}
