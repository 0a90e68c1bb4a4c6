package filters

import (
	"math"

	"neurostream/filters/internal/biquad"
	"neurostream/stream"
)

// cascade runs second-order sections over the tiles of chunks. Every channel starts in
// the steady state for a constant input equal to its first good sample, so that an
// electrode offset does not ring. What is no measurement (not a number, or beyond
// ±1e100) stays out of the states: the last good value stands in, marked bad.
type cascade struct {
	coefs   []biquad.Coefficients
	rows    int
	state   [][]biquad.State // by tile, by section
	last    [][stream.Lanes]float64
	pending []uint8 // by tile: lanes that have not seen a good sample yet
}

func (c *cascade) open(rows int, sections []Section) {
	*c = cascade{rows: rows}
	for _, s := range sections {
		c.coefs = append(c.coefs, biquad.Coefficients{s.B0, s.B1, s.B2, s.A1, s.A2})
	}
	n := stream.TilesFor(rows)
	c.state, c.last, c.pending = make([][]biquad.State, n), make([][stream.Lanes]float64, n), make([]uint8, n)
	for k := range c.state {
		c.state[k] = make([]biquad.State, len(sections))
	}
	c.reset()
}

func (c *cascade) reset() {
	clear(c.last)
	for ch := range c.rows {
		c.pending[ch/stream.Lanes] |= 1 << (ch % stream.Lanes)
	}
	for k := range c.state {
		clear(c.state[k])
	}
}

// flushEvery is the distance in columns, counted from the start of the stream and not
// of the chunk, at which decayed states are set to zero.
const flushEvery = 64

func (c *cascade) process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() {
		c.reset()
	}
	if src.Len == 0 {
		return
	}
	for k := range src.Tiles() {
		clean(dst, src, k, &c.last[k])
		c.run(k, src.Seq, dst.Tile(k), dst.Bad(k))
	}
}

// run filters the columns x of tile k in place; seq is the index of the first.
func (c *cascade) run(k int, seq int64, x [][stream.Lanes]float64, bad []uint8) {
	for len(x) > 0 {
		n := min(len(x), flushEvery-int(uint64(seq)%flushEvery))
		if c.pending[k] != 0 {
			n = c.begin(k, x[:n], bad)
		}
		biquad.Run(x[:n], c.coefs, c.state[k])
		if seq += int64(n); seq%flushEvery == 0 {
			biquad.Flush(c.state[k])
		}
		x, bad = x[n:], bad[n:]
	}
}

// begin starts the pending lanes whose first sample is good and returns the number of
// columns until the next lane starts.
func (c *cascade) begin(k int, x [][stream.Lanes]float64, bad []uint8) int {
	if now := c.pending[k] &^ bad[0]; now != 0 {
		c.start(k, &x[0], now)
		c.pending[k] &^= now
	}
	for i := 1; i < len(x); i++ {
		if c.pending[k]&^bad[i] != 0 {
			return i
		}
	}
	return len(x)
}

// clean copies tile k and puts the last good value, marked bad, where a sample is no
// measurement. It leaves the newest value in last.
func clean(dst, src *stream.Chunk, k int, last *[stream.Lanes]float64) {
	from, to := src.Tile(k), dst.Tile(k)
	if !biquad.Copy(to, from) {
		for i := range to {
			for l, v := range to[i] {
				if math.Abs(v) <= biquad.Limit {
					last[l] = v
					continue
				}
				to[i][l] = last[l]
				dst.MarkBad(k*stream.Lanes+l, i)
			}
		}
	}
	if len(to) > 0 {
		*last = to[len(to)-1]
	}
}

// start sets the steady state for a constant input x in some lanes.
func (c *cascade) start(k int, x *[stream.Lanes]float64, lanes uint8) {
	for l, v := range x {
		if lanes&(1<<l) == 0 {
			continue
		}
		for s := range c.coefs {
			q := &c.state[k][s]
			q[0][l], q[1][l], v = steady(&c.coefs[s], v)
		}
	}
}

// steady returns the state and the output of a section in which a constant v has
// been for ever: y = v (b0+b1+b2)/(1+a1+a2).
func steady(q *biquad.Coefficients, v float64) (s1, s2, y float64) {
	if den := 1 + q[3] + q[4]; den != 0 {
		y = (q[0] + q[1] + q[2]) / den * v
	}
	return y - float64(q[0]*v), float64(q[2]*v) - float64(q[4]*y), y
}

func (c *cascade) snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bytes(c.pending)
	w.Tiles(c.last)
	for k := range c.state {
		for s := range c.state[k] {
			w.Tiles(c.state[k][s][:])
		}
	}
	return w.Buf
}

func (c *cascade) restore(b []byte) error {
	r := stream.StateReader{Buf: b}
	c.read(&r)
	return r.Err()
}

func (c *cascade) read(r *stream.StateReader) {
	r.Bytes(c.pending)
	r.Tiles(c.last)
	for k := range c.state {
		for s := range c.state[k] {
			r.Tiles(c.state[k][s][:])
		}
	}
}
