package stream

import "fmt"

// History keeps the newest columns of a stream so that any window of them is
// contiguous: it writes forward into a buffer of twice the size and moves the
// kept part to the front when it reaches the end, so a column is moved at most
// once per Keep columns.
type History struct {
	rows, keep, capacity int
	data                 [][Lanes]float64
	bad                  []uint8
	end                  int   // columns written into the buffer
	held                 int   // columns that are valid, at most keep
	next                 int64 // Seq of the column that would come next
}

// NewHistory returns a history of the newest keep columns of rows channels.
func NewHistory(rows, keep int) *History {
	if rows < 1 || keep < 1 {
		panic(fmt.Sprintf("stream: NewHistory(%d, %d)", rows, keep))
	}
	h := &History{rows: rows, keep: keep, capacity: 2*keep + 64}
	h.data = make([][Lanes]float64, TilesFor(rows)*h.capacity)
	h.bad = make([]uint8, TilesFor(rows)*h.capacity)
	return h
}

// Keep returns the number of columns the history holds when full.
func (h *History) Keep() int { return h.keep }

// Len returns the number of columns it holds now.
func (h *History) Len() int { return h.held }

// Next returns the Seq of the column that follows the newest one.
func (h *History) Next() int64 { return h.next }

// Reset forgets everything.
func (h *History) Reset() { h.end, h.held, h.next = 0, 0, 0 }

// Push appends columns from to to-1 of src. When they do not continue what it
// holds (src.Flags.Broken at column 0, or a jump of Seq), it forgets first.
func (h *History) Push(src *Chunk, from, to int) {
	if src.rows != h.rows {
		panic(fmt.Sprintf("stream: history of %d rows given %d", h.rows, src.rows))
	}
	if from >= to {
		return
	}
	if seq := src.Seq + int64(from); h.held > 0 && (seq != h.next || from == 0 && src.Flags.Broken()) {
		h.end, h.held = 0, 0
	}
	h.next = src.Seq + int64(to)
	for from < to {
		if h.end == h.capacity {
			h.compact()
		}
		n := min(to-from, h.capacity-h.end)
		for k := range TilesFor(h.rows) {
			o := k*h.capacity + h.end
			copy(h.data[o:o+n], src.Tile(k)[from:from+n])
			copy(h.bad[o:o+n], src.Bad(k)[from:from+n])
		}
		h.end += n
		h.held = min(h.held+n, h.keep)
		from += n
	}
}

func (h *History) compact() {
	for k := range TilesFor(h.rows) {
		o := k * h.capacity
		copy(h.data[o:o+h.held], h.data[o+h.end-h.held:o+h.end])
		copy(h.bad[o:o+h.held], h.bad[o+h.end-h.held:o+h.end])
	}
	h.end = h.held
}

// Last returns the newest n columns, valid until the next Push. It panics when
// fewer are held.
func (h *History) Last(n int) Window {
	if n > h.held {
		panic(fmt.Sprintf("stream: window of %d columns from a history that holds %d", n, h.held))
	}
	return Window{h: h, from: h.end - n, Len: n, Seq: h.next - int64(n)}
}

// Snapshot appends what the history holds.
func (h *History) Snapshot(dst []byte) []byte {
	w := StateWriter{Buf: dst}
	w.Int(int64(h.held))
	w.Int(h.next)
	for k := range TilesFor(h.rows) {
		o := k*h.capacity + h.end
		w.Tiles(h.data[o-h.held : o])
		w.Bytes(h.bad[o-h.held : o])
	}
	return w.Buf
}

// Restore fills the history from r.
func (h *History) Restore(r *StateReader) {
	held, next := r.Int(), r.Int()
	if held < 0 || held > int64(h.keep) {
		r.failed, r.Buf = true, nil
		return
	}
	h.held, h.end, h.next = int(held), int(held), next
	for k := range TilesFor(h.rows) {
		o := k * h.capacity
		r.Tiles(h.data[o : o+h.held])
		r.Bytes(h.bad[o : o+h.held])
	}
}

// Window is a view of successive columns in a History. It never wraps.
type Window struct {
	Len int   // columns
	Seq int64 // index of its first column

	h    *History
	from int
}

// Rows returns the number of channels.
func (w Window) Rows() int { return w.h.rows }

// Tiles returns the number of tiles.
func (w Window) Tiles() int { return TilesFor(w.h.rows) }

// Tile returns channels 8k..8k+7 of the window. It must not be modified.
func (w Window) Tile(k int) [][Lanes]float64 {
	o := k*w.h.capacity + w.from
	return w.h.data[o : o+w.Len : o+w.Len]
}

// Bad returns the marks of tile k; see Chunk.Bad.
func (w Window) Bad(k int) []uint8 {
	o := k*w.h.capacity + w.from
	return w.h.bad[o : o+w.Len : o+w.Len]
}

// Row copies one channel into dst (allocated when nil) and returns it.
func (w Window) Row(dst []float64, ch int) []float64 {
	if dst == nil {
		dst = make([]float64, w.Len)
	}
	dst = dst[:w.Len]
	l := ch % Lanes
	for i, v := range w.Tile(ch / Lanes) {
		dst[i] = v[l]
	}
	return dst
}
