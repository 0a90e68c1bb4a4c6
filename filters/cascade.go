package filters

import (
	"math"

	"neurostream/stream"
)

// cascade runs second-order sections in direct form II transposed over tiles, eight
// channels at a time:
//
//	y = b0 x + s1;   s1 = b1 x − a1 y + s2;   s2 = b2 x − a2 y
//
// It starts in the steady state for a constant input equal to the first sample, so
// that an electrode offset does not ring. 5 multiplications and 4 additions per
// sample and section.
type cascade struct {
	sections []Section
	rows     int
	state    [][]pair // by tile, by section
	last     [][stream.Lanes]float64
	fresh    bool // the next sample is the first
}

type pair struct{ s1, s2 [stream.Lanes]float64 }

func (c *cascade) open(rows int, sections []Section) {
	*c = cascade{sections: sections, rows: rows}
	n := stream.TilesFor(rows)
	c.state, c.last = make([][]pair, n), make([][stream.Lanes]float64, n)
	for k := range c.state {
		c.state[k] = make([]pair, len(sections))
	}
	c.reset()
}

func (c *cascade) reset() {
	c.fresh = true
	clear(c.last)
	for k := range c.state {
		clear(c.state[k])
	}
}

// denormal is where a decaying state is set to zero: below it the processor would
// take a hundred times longer, and nothing above it is lost.
const denormal = 1e-30

func (c *cascade) process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Len == 0 {
		return
	}
	if src.Flags.Broken() {
		c.reset()
	}
	for k := range src.Tiles() {
		from, to := src.Tile(k), dst.Tile(k)
		c.clean(dst, k, from, to)
		if c.fresh {
			c.start(k, &to[0])
		}
		for s := range c.sections {
			run(&c.sections[s], &c.state[k][s], to)
		}
		for s := range c.state[k] {
			flush(&c.state[k][s])
		}
	}
	c.fresh = false
}

// clean copies a tile and puts the last good value where a sample is not a number.
func (c *cascade) clean(dst *stream.Chunk, k int, from, to [][stream.Lanes]float64) {
	last := &c.last[k]
	for i := range from {
		v := from[i]
		for l := range v {
			if d := v[l] - v[l]; d != 0 { // NaN or infinite
				v[l] = last[l]
				if ch := k*stream.Lanes + l; ch < c.rows {
					dst.MarkBad(ch, i)
				}
			}
		}
		to[i] = v
		*last = v
	}
}

// start sets the steady state for a constant input x.
func (c *cascade) start(k int, x *[stream.Lanes]float64) {
	for l, v := range x {
		for s := range c.sections {
			q := &c.sections[s]
			g := 0.0
			if den := 1 + q.A1 + q.A2; den != 0 {
				g = (q.B0 + q.B1 + q.B2) / den
			}
			y := g * v
			c.state[k][s].s1[l] = y - float64(q.B0*v)
			c.state[k][s].s2[l] = float64(q.B2*v) - float64(q.A2*y)
			v = y
		}
	}
}

// run passes a tile through one section in place. The conversions keep the compiler
// from fusing multiplications and additions.
func run(q *Section, p *pair, x [][stream.Lanes]float64) {
	b0, b1, b2, a1, a2 := q.B0, q.B1, q.B2, q.A1, q.A2
	for l := range stream.Lanes { // one lane at a time keeps its state in registers
		s1, s2 := p.s1[l], p.s2[l]
		for i := range x {
			v := x[i][l]
			y := float64(b0*v) + s1
			s1 = float64(float64(b1*v)-float64(a1*y)) + s2
			s2 = float64(b2*v) - float64(a2*y)
			x[i][l] = y
		}
		p.s1[l], p.s2[l] = s1, s2
	}
}

func flush(p *pair) {
	for l := range p.s1 {
		if math.Abs(p.s1[l]) < denormal {
			p.s1[l] = 0
		}
		if math.Abs(p.s2[l]) < denormal {
			p.s2[l] = 0
		}
	}
}

func (c *cascade) snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(c.fresh)
	w.Tiles(c.last)
	for k := range c.state {
		for s := range c.state[k] {
			w.Tiles([][stream.Lanes]float64{c.state[k][s].s1, c.state[k][s].s2})
		}
	}
	return w.Buf
}

func (c *cascade) restore(b []byte) error {
	r := stream.StateReader{Buf: b}
	c.fresh = r.Bool()
	r.Tiles(c.last)
	for k := range c.state {
		for s := range c.state[k] {
			var two [2][stream.Lanes]float64
			r.Tiles(two[:])
			c.state[k][s] = pair{two[0], two[1]}
		}
	}
	return r.Err()
}
