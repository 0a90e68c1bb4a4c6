package filters

import (
	"math"
	"math/cmplx"

	"neurostream/stream"
)

// line keeps, for every tile, the newest columns of a stream contiguous with the ones
// that come: what convolutions read. Columns move to the front once per room, so a
// column is moved at most once per memory columns.
//
// Every channel starts as if its first good sample had been there for ever. What is no
// measurement is replaced by the last good value.
type line struct {
	memory  int // columns kept from chunk to chunk
	rows    int
	tiles   [][][stream.Lanes]float64
	end     int // columns written; the newest memory of them are valid
	last    [][stream.Lanes]float64
	pending []uint8 // by tile: lanes that have not seen a good sample yet
	clean   *stream.Chunk
}

func (d *line) open(in *stream.Header, memory int) {
	*d = line{memory: memory, rows: in.Rows()}
	n := stream.TilesFor(d.rows)
	d.tiles, d.last, d.pending = make([][][stream.Lanes]float64, n), make([][stream.Lanes]float64, n), make([]uint8, n)
	for k := range d.tiles {
		d.tiles[k] = make([][stream.Lanes]float64, 2*memory+2*in.MaxLen)
	}
	d.clean = stream.NewChunk(in)
	d.reset()
}

func (d *line) reset() {
	clear(d.last)
	for ch := range d.rows {
		d.pending[ch/stream.Lanes] |= 1 << (ch % stream.Lanes)
	}
	for k := range d.tiles {
		clear(d.tiles[k][:d.memory])
	}
	d.end = d.memory
}

// load appends the columns of src. What was bad in them is in clean afterwards.
func (d *line) load(src *stream.Chunk) {
	if d.end+src.Len > len(d.tiles[0]) {
		for k := range d.tiles {
			copy(d.tiles[k], d.tiles[k][d.end-d.memory:d.end])
		}
		d.end = d.memory
	}
	d.clean.Follow(src)
	for k := range d.tiles {
		clean(d.clean, src, k, &d.last[k])
		copy(d.tiles[k][d.end:], d.clean.Tile(k))
	}
	d.end += src.Len
}

// segment returns the end of the columns that can be computed from column a of the
// loaded chunk on, because no lane of tile k starts among them; lanes that start at a
// get their past, which is reported.
func (d *line) segment(k, a int) (end int, started bool) {
	n := d.clean.Len
	if d.pending[k] == 0 {
		return n, false
	}
	bad, x := d.clean.Bad(k), d.tiles[k]
	first := d.end - n // place of column 0
	if now := d.pending[k] &^ bad[a]; now != 0 {
		for l := range stream.Lanes {
			if now&(1<<l) == 0 {
				continue
			}
			v := x[first+a][l]
			for i := max(0, first-d.memory); i < first+a; i++ {
				x[i][l] = v
			}
		}
		d.pending[k] &^= now
		started = true
	}
	for i := a + 1; i < n; i++ {
		if d.pending[k]&^bad[i] != 0 {
			return i, started
		}
	}
	return n, started
}

// upTo returns columns of tile k: count of them, ending with column i of the chunk.
func (d *line) upTo(k, i, count int) [][stream.Lanes]float64 {
	at := d.end - d.clean.Len + i + 1
	return d.tiles[k][at-count : at]
}

func (d *line) write(w *stream.StateWriter) {
	w.Bytes(d.pending)
	w.Tiles(d.last)
	for k := range d.tiles {
		w.Tiles(d.tiles[k][d.end-d.memory : d.end])
	}
}

func (d *line) read(r *stream.StateReader) {
	r.Bytes(d.pending)
	r.Tiles(d.last)
	for k := range d.tiles {
		r.Tiles(d.tiles[k][:d.memory])
	}
	d.end = d.memory
}

// firDelay is the group delay of taps at a frequency, in samples.
func firDelay(h []float64, freq, rate float64) float64 {
	var num, den complex128
	for n, v := range h {
		e := cmplx.Rect(v, -2*math.Pi*freq/rate*float64(n))
		num += complex(float64(n), 0) * e
		den += e
	}
	if cmplx.Abs(den) < 1e-12 {
		return float64(len(h)-1) / 2
	}
	return real(num / den)
}
