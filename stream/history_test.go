package stream

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// naive is a history that keeps every column ever pushed.
type naive struct {
	columns [][]float64
	bad     [][]bool
	next    int64
}

func (n *naive) push(c *Chunk, from, to int) {
	if from >= to {
		return
	}
	if len(n.columns) > 0 && (c.Seq+int64(from) != n.next || from == 0 && c.Flags.Broken()) {
		n.columns, n.bad = nil, nil
	}
	for i := from; i < to; i++ {
		n.columns = append(n.columns, c.Column(nil, i))
		b := make([]bool, c.Rows())
		for ch := range b {
			b[ch] = c.IsBad(ch, i)
		}
		n.bad = append(n.bad, b)
	}
	n.next = c.Seq + int64(to)
}

func (n *naive) held(keep int) int { return min(len(n.columns), keep) }

// compare checks every window length that is held, or a few of them.
func (n *naive) compare(t *testing.T, h *History) {
	t.Helper()
	if h.Len() != n.held(h.Keep()) || len(n.columns) > 0 && h.Next() != n.next {
		t.Fatalf("holds %d columns up to %d, want %d up to %d", h.Len(), h.Next(), n.held(h.Keep()), n.next)
	}
	for _, length := range []int{0, 1, h.Len() / 2, h.Len()} {
		if length > h.Len() {
			continue
		}
		w := h.Last(length)
		if w.Len != length || w.Rows() != h.rows || w.Tiles() != TilesFor(h.rows) || w.Seq != h.Next()-int64(length) {
			t.Fatalf("window %+v of %d columns", w, length)
		}
		for ch := range h.rows {
			row := w.Row(nil, ch)
			for i := range length {
				at := len(n.columns) - length + i
				bad := w.Bad(ch / Lanes)[i]>>(ch%Lanes)&1 == 1
				if row[i] != n.columns[at][ch] || w.Tile(ch / Lanes)[i][ch%Lanes] != row[i] || bad != n.bad[at][ch] {
					t.Fatalf("window of %d columns: channel %d, column %d is %v (bad %v), want %v (bad %v)", length, ch, i, row[i], bad, n.columns[at][ch], n.bad[at][ch])
				}
			}
		}
	}
}

// TestHistoryAgainstKeepingAll pushes random pieces of random chunks, with gaps and
// restarts, and compares every window with a history that never forgets; now and then
// it goes on from a snapshot.
func TestHistoryAgainstKeepingAll(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows, keep := 1+r.IntN(18), 1+r.IntN(90)
		h, n := NewHistory(rows, keep), new(naive)
		c := NewChunk(header(rows, 300))
		seq := int64(r.IntN(1000))
		for range 60 {
			c.Clear()
			c.Resize(r.IntN(1 + []int{3, 40, 300}[r.IntN(3)]))
			switch r.IntN(12) {
			case 0:
				seq += int64(1 + r.IntN(50))
				c.Flags = Gap
			case 1:
				c.Flags = Restart
			case 2:
				seq += 5 // a jump that nobody flagged
			case 3:
				h.Reset()
				*n = naive{}
			case 4:
				state := h.Snapshot([]byte("before"))
				other := NewHistory(rows, keep)
				other.Push(filled(rows, 7, 3), 0, 7)
				reader := StateReader{Buf: state[6:]}
				other.Restore(&reader)
				if err := reader.Err(); err != nil {
					t.Fatal(err)
				}
				h = other
			}
			c.Seq = seq
			for i := range c.Len {
				for ch := range rows {
					c.Set(ch, i, r.Float64())
				}
				if r.IntN(9) == 0 {
					c.MarkBad(r.IntN(rows), i)
				}
			}
			seq += int64(c.Len)
			cut := r.IntN(c.Len + 1)
			for _, piece := range [][2]int{{0, cut}, {cut, c.Len}} {
				h.Push(c, piece[0], piece[1])
				n.push(c, piece[0], piece[1])
				n.compare(t, h)
			}
		}
	}
}

func TestHistoryDoesNotAllocate(t *testing.T) {
	h := NewHistory(64, 320)
	c := filled(64, 40, 0)
	var sum float64
	step := func() {
		h.Push(c, 0, c.Len)
		c.Seq += int64(c.Len)
		if h.Len() == h.Keep() {
			w := h.Last(320)
			sum += w.Tile(7)[319][7]
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("%v allocations per Push and Last", n)
	}
	if sum == 0 {
		t.Error("nothing was read")
	}
}

func TestHistoryPanicsOnMisuse(t *testing.T) {
	h := NewHistory(3, 10)
	h.Push(filled(3, 4, 0), 0, 4)
	for want, f := range map[string]func(){
		"NewHistory(0, 10)": func() { NewHistory(0, 10) },
		"NewHistory(3, 0)":  func() { NewHistory(3, 0) },
		"history of 3 rows given 4": func() {
			h.Push(filled(4, 4, 4), 0, 4)
		},
		"window of 5 columns from a history that holds 4": func() { h.Last(5) },
	} {
		if got := panics(f); !strings.Contains(got, want) {
			t.Errorf("panic %q, want one with %q", got, want)
		}
	}
}

func TestHistoryRestoreRefuses(t *testing.T) {
	h := NewHistory(9, 20)
	h.Push(filled(9, 15, 30), 0, 15)
	state := h.Snapshot(nil)
	for cut := range state {
		r := StateReader{Buf: state[:cut]}
		if NewHistory(9, 20).Restore(&r); r.Err() != ErrState {
			t.Fatalf("%d of %d bytes are accepted", cut, len(state))
		}
	}
	for name, other := range map[string]*History{"fewer columns": NewHistory(9, 14), "more tiles": NewHistory(17, 20), "fewer tiles": NewHistory(8, 20)} {
		r := StateReader{Buf: state}
		if other.Restore(&r); r.Err() != ErrState {
			t.Errorf("a history of %s accepts the state", name)
		}
	}
}

// FuzzHistoryRestore: a state file is foreign bytes; it is refused or restored, never a
// panic, and what is restored can be used.
func FuzzHistoryRestore(f *testing.F) {
	h := NewHistory(9, 20)
	f.Add(h.Snapshot(nil))
	h.Push(filled(9, 15, 30), 0, 15)
	f.Add(h.Snapshot(nil))
	f.Add(h.Snapshot(nil)[:100])
	f.Fuzz(func(t *testing.T, state []byte) {
		h := NewHistory(9, 20)
		r := StateReader{Buf: state}
		h.Restore(&r)
		if r.Err() != nil {
			return
		}
		if h.Len() > h.Keep() {
			t.Fatalf("holds %d of %d columns", h.Len(), h.Keep())
		}
		h.Last(h.Len())
		if !bytes.Equal(h.Snapshot(nil), state) {
			t.Fatal("what was restored is not what was given")
		}
		h.Push(filled(9, 30, h.Next()), 0, 30)
	})
}
