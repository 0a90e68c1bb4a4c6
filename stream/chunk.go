package stream

import (
	"fmt"
	"math"
)

// Lanes is the number of channels that lie side by side in a tile: eight
// float64 are one cache line, one AVX-512 register, two of AVX2, four of NEON.
const Lanes = 8

// Time is nanoseconds on the engine's timeline. It never steps back.
type Time int64

// Seconds returns t in seconds.
func (t Time) Seconds() float64 { return float64(t) * 1e-9 }

// Flags say what happened right before column 0 of a chunk, or anywhere in it.
type Flags uint8

const (
	// Gap: columns are missing between the previous chunk and this one. Seq has
	// jumped by their number when it is known.
	Gap Flags = 1 << iota
	// Restart: what comes is not a continuation. Stages forget their state.
	Restart
	// Bad: at least one sample of the chunk is marked unusable (see Chunk.Bad).
	Bad
)

// Broken reports whether the chunk does not continue its predecessor, so that
// stages with memory must start anew.
func (f Flags) Broken() bool { return f&(Gap|Restart) != 0 }

// A Marker is something that happened at a column: a cue, a key, a trigger.
type Marker struct {
	Column   int     // column of the chunk it belongs to
	Label    string  // as the recording or the marker stream spells it, e.g. "T1"
	Time     Time    // exact time on the engine's timeline
	Duration float64 // seconds; 0 when it is a point or unknown
}

// Chunk is a grid of float64: rows are channels, columns are time. It is stored
// as tiles of eight channels; one column of a tile is [8]float64.
//
// A chunk belongs to the ring slot or chain that allocated it. Copies of the
// struct share the samples; use CopyFrom.
type Chunk struct {
	Seq     int64    // index of column 0 since Open: the pipeline's clock
	T0      Time     // when column 0 happened; column i happened at T0 + i/Rate
	Arrived Time     // when the newest byte behind this chunk was read: age and latency count from here
	Len     int      // columns in use; set by Resize
	Flags   Flags    //
	Markers []Marker // by column; the backing array is reused
	Events  []Event  // what went wrong since the previous chunk; the backing array is reused
	Stamps  []Time   // raw sender's time per column, before any repair; empty when there is none

	rows, capacity int
	data           [][Lanes]float64 // tile k is data[k*capacity : (k+1)*capacity]; unused lanes stay zero
	bad            []uint8          // like data, one bit per lane
}

// NewChunk allocates a chunk for the longest data that h announces.
func NewChunk(h *Header) *Chunk {
	c := new(Chunk)
	c.Alloc(len(h.Channels), h.MaxLen)
	return c
}

// Alloc gives c room for rows × columns samples and empties it.
func (c *Chunk) Alloc(rows, columns int) {
	if rows < 0 || columns < 0 {
		panic(fmt.Sprintf("stream: Alloc(%d, %d)", rows, columns))
	}
	tiles := TilesFor(rows)
	*c = Chunk{rows: rows, capacity: columns}
	c.data = make([][Lanes]float64, tiles*columns)
	c.bad = make([]uint8, tiles*columns)
	c.Markers = make([]Marker, 0, 8)
	c.Events = make([]Event, 0, 8)
}

// TilesFor returns the number of tiles that hold this many channels.
func TilesFor(rows int) int { return (rows + Lanes - 1) / Lanes }

// Rows returns the number of channels.
func (c *Chunk) Rows() int { return c.rows }

// Cap returns the number of columns there is room for.
func (c *Chunk) Cap() int { return c.capacity }

// Tiles returns the number of tiles.
func (c *Chunk) Tiles() int { return TilesFor(c.rows) }

// Tile returns channels 8k..8k+7: Len columns, each [8]float64. Lanes past the
// last channel are zero and must stay zero.
func (c *Chunk) Tile(k int) [][Lanes]float64 {
	o := k * c.capacity
	return c.data[o : o+c.Len : o+c.Len]
}

// Bad returns one byte per column for tile k; bit l set means that channel 8k+l
// is unusable there (missing, not a number, railed). Whoever sets a bit also
// sets the Bad flag.
func (c *Chunk) Bad(k int) []uint8 {
	o := k * c.capacity
	return c.bad[o : o+c.Len : o+c.Len]
}

// MarkBad marks one sample unusable.
func (c *Chunk) MarkBad(ch, col int) {
	c.check(ch)
	c.Bad(ch / Lanes)[col] |= 1 << (ch % Lanes)
	c.Flags |= Bad
}

// IsBad reports whether one sample is marked unusable.
func (c *Chunk) IsBad(ch, col int) bool {
	c.check(ch)
	return c.Bad(ch / Lanes)[col]&(1<<(ch%Lanes)) != 0
}

// Resize sets Len to n columns and clears the marks of all of them. The samples
// are whatever the memory held.
func (c *Chunk) Resize(n int) {
	if n < 0 || n > c.capacity {
		panic(fmt.Sprintf("stream: Resize(%d) of a chunk with room for %d columns", n, c.capacity))
	}
	c.Len = n
	c.Flags &^= Bad
	for k := range c.Tiles() {
		clear(c.Bad(k))
	}
}

// Extend adds n columns behind those in use. They are unmarked; their samples are
// whatever the memory held. The columns before keep theirs.
func (c *Chunk) Extend(n int) {
	if n < 0 || n > c.capacity-c.Len {
		panic(fmt.Sprintf("stream: Extend(%d) of a chunk with %d of %d columns in use", n, c.Len, c.capacity))
	}
	from := c.Len
	c.Len += n
	for k := range c.Tiles() {
		clear(c.Bad(k)[from:])
	}
}

// Clear makes c an empty chunk: no columns, flags, markers, events or stamps.
func (c *Chunk) Clear() {
	c.Seq, c.T0, c.Arrived, c.Len, c.Flags = 0, 0, 0, 0, 0
	c.Markers, c.Events, c.Stamps = c.Markers[:0], c.Events[:0], c.Stamps[:0]
}

// Follow gives c the length, position, time, flags, markers, events and stamps
// of src: the first line of every stage that makes one column from one column.
// The marks of bad samples are copied when both have the same number of rows and
// cleared otherwise. The samples are left alone.
func (c *Chunk) Follow(src *Chunk) {
	c.Resize(src.Len)
	c.carry(src)
	c.Stamps = append(c.Stamps[:0], src.Stamps...)
	c.Flags = src.Flags
	if c.rows != src.rows {
		c.Flags &^= Bad
		return
	}
	if src.Flags&Bad != 0 {
		for k := range c.Tiles() {
			copy(c.Bad(k), src.Bad(k))
		}
	}
}

func (c *Chunk) carry(src *Chunk) {
	c.Seq, c.T0, c.Arrived = src.Seq, src.T0, src.Arrived
	c.Markers = append(c.Markers[:0], src.Markers...)
	c.Events = append(c.Events[:0], src.Events...)
}

// CopyFrom makes c equal to src. Both must have the same number of rows, and c
// room for src's columns.
func (c *Chunk) CopyFrom(src *Chunk) {
	if c.rows != src.rows {
		panic(fmt.Sprintf("stream: copy of %d rows into %d", src.rows, c.rows))
	}
	c.Follow(src)
	for k := range c.Tiles() {
		copy(c.Tile(k), src.Tile(k))
	}
}

// At returns one sample. For the edges and for tests; loops use Tile.
func (c *Chunk) At(ch, col int) float64 {
	c.check(ch)
	return c.Tile(ch / Lanes)[col][ch%Lanes]
}

// Set stores one sample.
func (c *Chunk) Set(ch, col int, v float64) {
	c.check(ch)
	c.Tile(ch / Lanes)[col][ch%Lanes] = v
}

func (c *Chunk) check(ch int) {
	if ch < 0 || ch >= c.rows {
		panic(fmt.Sprintf("stream: channel %d of %d", ch, c.rows))
	}
}

// Row copies one channel into dst (allocated when nil) and returns it.
func (c *Chunk) Row(dst []float64, ch int) []float64 {
	c.check(ch)
	if dst == nil {
		dst = make([]float64, c.Len)
	}
	dst = dst[:c.Len]
	l := ch % Lanes
	for i, v := range c.Tile(ch / Lanes) {
		dst[i] = v[l]
	}
	return dst
}

// SetRow stores one channel; src must hold Len values.
func (c *Chunk) SetRow(ch int, src []float64) {
	c.check(ch)
	tile, l := c.Tile(ch/Lanes), ch%Lanes
	src = src[:len(tile)]
	for i := range tile {
		tile[i][l] = src[i]
	}
}

// Column copies one column into dst (allocated when nil) and returns it.
func (c *Chunk) Column(dst []float64, col int) []float64 {
	if dst == nil {
		dst = make([]float64, c.rows)
	}
	dst = dst[:c.rows]
	whole := c.rows / Lanes
	for k := range whole {
		*(*[Lanes]float64)(dst[k*Lanes:]) = c.Tile(k)[col]
	}
	if whole < c.Tiles() {
		copy(dst[whole*Lanes:], c.Tile(whole)[col][:])
	}
	return dst
}

// SetColumn stores one column; src must hold Rows values.
func (c *Chunk) SetColumn(col int, src []float64) {
	src = src[:c.rows]
	whole := c.rows / Lanes
	for k := range whole {
		c.Tile(k)[col] = [Lanes]float64(src[k*Lanes:])
	}
	if whole < c.Tiles() {
		copy(c.Tile(whole)[col][:], src[whole*Lanes:])
	}
}

// Poison overwrites every sample with NaN, so that a kept reference shows.
func (c *Chunk) Poison() {
	for k := range c.Tiles() {
		lanes := min(Lanes, c.rows-k*Lanes)
		tile := c.data[k*c.capacity : (k+1)*c.capacity]
		for i := range tile {
			for l := range lanes {
				tile[i][l] = math.NaN()
			}
		}
	}
}
