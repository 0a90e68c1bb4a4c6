package stream

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func header(rows, maxLen int) *Header {
	h := &Header{Name: "test", Rate: 250, MaxLen: maxLen}
	for i := range rows {
		h.Channels = append(h.Channels, Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	return h
}

// filled returns a chunk of n columns whose sample of channel ch at column i is
// 1000·ch + seq + i.
func filled(rows, n int, seq int64) *Chunk {
	c := NewChunk(header(rows, n))
	c.Resize(n)
	c.Seq = seq
	for ch := range rows {
		for i := range n {
			c.Set(ch, i, value(ch, seq+int64(i)))
		}
	}
	return c
}

func value(ch int, col int64) float64 { return 1000*float64(ch) + float64(col) }

// panics runs f and returns what it panicked with, as text; "" when it did not.
func panics(f func()) (what string) {
	defer func() {
		if p := recover(); p != nil {
			what = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

// TestTilesAreCacheLines: every column of every tile begins on a 64-byte border, so
// that a tile column never straddles two cache lines and aligned loads are legal.
func TestTilesAreCacheLines(t *testing.T) {
	for _, rows := range []int{1, 3, 8, 9, 64, 129, 1024} {
		for _, columns := range []int{1, 2, 3, 5, 7, 10, 13, 40, 64, 77, 250, 479, 1000} {
			c := new(Chunk)
			c.Alloc(rows, columns)
			c.Resize(columns)
			h := NewHistory(rows, columns)
			h.Push(c, 0, columns)
			w := h.Last(columns)
			for k := range c.Tiles() {
				if p := uintptr(unsafe.Pointer(&c.Tile(k)[0])); p%64 != 0 {
					t.Fatalf("%d x %d: tile %d of a chunk lies at %#x", rows, columns, k, p)
				}
				if p := uintptr(unsafe.Pointer(&w.Tile(k)[0])); p%64 != 0 {
					t.Fatalf("%d x %d: tile %d of a window lies at %#x", rows, columns, k, p)
				}
			}
		}
	}
}

func TestChunkHoldsWhatWasSet(t *testing.T) {
	for _, rows := range []int{1, 7, 8, 9, 64} {
		const n = 13
		c := filled(rows, n, 100)
		if c.Rows() != rows || c.Cap() != n || c.Len != n || c.Tiles() != (rows+7)/8 {
			t.Fatalf("%d rows: Rows %d, Cap %d, Len %d, Tiles %d", rows, c.Rows(), c.Cap(), c.Len, c.Tiles())
		}
		for ch := range rows {
			row := c.Row(nil, ch)
			for i := range n {
				want := value(ch, 100+int64(i))
				if c.At(ch, i) != want || row[i] != want || c.Column(nil, i)[ch] != want || c.Tile(ch / 8)[i][ch%8] != want {
					t.Fatalf("%d rows: channel %d, column %d is not %v everywhere", rows, ch, i, want)
				}
			}
		}
		for k := range c.Tiles() {
			for i, v := range c.Tile(k) {
				for l := range Lanes {
					if 8*k+l >= rows && v[l] != 0 {
						t.Fatalf("%d rows: unused lane %d of column %d is %v", rows, l, i, v[l])
					}
				}
			}
		}
		d := NewChunk(header(rows, n))
		d.Resize(n)
		for i := range n {
			d.SetColumn(i, c.Column(nil, i))
		}
		e := NewChunk(header(rows, n))
		e.Resize(n)
		for ch := range rows {
			e.SetRow(ch, c.Row(make([]float64, 0, n), ch))
		}
		for ch := range rows {
			if !slices.Equal(d.Row(nil, ch), c.Row(nil, ch)) || !slices.Equal(e.Row(nil, ch), c.Row(nil, ch)) {
				t.Fatalf("%d rows: channel %d came back changed", rows, ch)
			}
		}
	}
}

func TestChunkTilesCannotGrowIntoEachOther(t *testing.T) {
	c := NewChunk(header(16, 10))
	c.Resize(4)
	_ = append(c.Tile(0), [Lanes]float64{1, 1, 1, 1, 1, 1, 1, 1})
	_ = append(c.Bad(0), 0xff)
	c.Resize(10)
	if c.Tile(0)[4] != ([Lanes]float64{}) || c.Bad(0)[4] != 0 {
		t.Error("appending to a tile wrote into the chunk")
	}
}

func TestBadMarks(t *testing.T) {
	c := filled(11, 6, 0)
	c.MarkBad(0, 2)
	c.MarkBad(10, 5)
	if c.Flags&Bad == 0 || !c.IsBad(0, 2) || !c.IsBad(10, 5) || c.IsBad(1, 2) || c.Bad(0)[2] != 1 || c.Bad(1)[5] != 1<<2 {
		t.Errorf("flags %v, marks %v %v", c.Flags, c.Bad(0), c.Bad(1))
	}
	same, other := NewChunk(header(11, 6)), NewChunk(header(3, 6))
	same.Resize(6)
	same.MarkBad(5, 5) // from an earlier chunk
	same.Follow(c)
	other.Follow(c)
	if !same.IsBad(0, 2) || same.IsBad(5, 5) || same.Flags&Bad == 0 {
		t.Error("Follow does not carry the marks to the same number of rows")
	}
	if other.Flags&Bad != 0 || other.IsBad(0, 2) {
		t.Error("Follow carries marks to another number of rows")
	}
	c.Resize(6)
	if c.Flags&Bad != 0 || c.IsBad(0, 2) || c.IsBad(10, 5) {
		t.Error("Resize leaves marks")
	}
	same.Follow(c)
	if same.IsBad(0, 2) || same.Flags&Bad != 0 {
		t.Error("Follow of a clean chunk leaves marks")
	}
}

func TestFollowCopyAndClear(t *testing.T) {
	src := filled(9, 5, 70)
	src.T0, src.Arrived, src.Flags = 5, 6, Gap
	src.Markers = append(src.Markers, Marker{Column: 3, Label: "T1", Time: 8, Duration: 4.1})
	src.Events = append(src.Events, Event{Kind: EventGap, Seq: 70, Count: 9, Origin: "test"})
	src.Stamps = append(src.Stamps, 1, 2, 3, 4, 5)
	src.MarkBad(8, 4)
	dst := NewChunk(header(9, 7))
	dst.CopyFrom(src)
	if dst.Len != 5 || dst.Seq != 70 || dst.T0 != 5 || dst.Arrived != 6 || dst.Flags != Gap|Bad || !slices.Equal(dst.Markers, src.Markers) || !slices.Equal(dst.Events, src.Events) || !slices.Equal(dst.Stamps, src.Stamps) || !dst.IsBad(8, 4) {
		t.Errorf("the copy differs: %+v", dst)
	}
	for ch := range 9 {
		if !slices.Equal(dst.Row(nil, ch), src.Row(nil, ch)) {
			t.Errorf("channel %d of the copy differs", ch)
		}
	}
	src.Markers[0].Label, src.Events[0].Count, src.Stamps[0] = "changed", 0, 99
	src.Set(0, 0, -1)
	if dst.Markers[0].Label != "T1" || dst.Events[0].Count != 9 || dst.Stamps[0] != 1 || dst.At(0, 0) != 70 {
		t.Error("the copy shares memory with the original")
	}
	if n := testing.AllocsPerRun(100, func() { dst.CopyFrom(src) }); n != 0 {
		t.Errorf("%v allocations per CopyFrom", n)
	}
	dst.Clear()
	if dst.Len != 0 || dst.Seq != 0 || dst.T0 != 0 || dst.Arrived != 0 || dst.Flags != 0 || len(dst.Markers)+len(dst.Events)+len(dst.Stamps) != 0 || len(dst.Tile(1)) != 0 {
		t.Errorf("after Clear: %+v", dst)
	}
	if cap(dst.Markers) == 0 || cap(dst.Events) == 0 {
		t.Error("Clear gives the backing arrays away")
	}
}

func TestPoisonLeavesUnusedLanes(t *testing.T) {
	c := filled(9, 4, 0)
	c.Resize(2)
	c.Poison()
	c.Resize(4)
	for ch := range 9 {
		for i := range 4 {
			if !math.IsNaN(c.At(ch, i)) {
				t.Fatalf("channel %d, column %d survives Poison", ch, i)
			}
		}
	}
	for l := 1; l < Lanes; l++ {
		if c.Tile(1)[0][l] != 0 {
			t.Fatal("Poison fills an unused lane")
		}
	}
}

func TestChunkPanicsOnMisuse(t *testing.T) {
	c := filled(9, 4, 0)
	for _, x := range []struct {
		want string
		f    func()
	}{
		{"channel 9 of 9", func() { c.At(9, 0) }},
		{"channel -1 of 9", func() { c.Set(-1, 0, 1) }},
		{"channel 9 of 9", func() { c.MarkBad(9, 0) }},
		{"channel 12 of 9", func() { c.IsBad(12, 0) }},
		{"channel 10 of 9", func() { c.Row(nil, 10) }},
		{"channel 10 of 9", func() { c.SetRow(10, make([]float64, 4)) }},
		{"out of range", func() { c.At(0, 4) }},
		{"out of range", func() { c.SetRow(0, make([]float64, 3)[:3:3]) }},
		{"Resize(5) of a chunk with room for 4", func() { c.Resize(5) }},
		{"Resize(-1)", func() { c.Resize(-1) }},
		{"copy of 9 rows into 3", func() { NewChunk(header(3, 4)).CopyFrom(c) }},
		{"Resize(4)", func() { NewChunk(header(9, 3)).CopyFrom(c) }},
		{"Alloc(-1, 2)", func() { new(Chunk).Alloc(-1, 2) }},
	} {
		if got := panics(x.f); !strings.Contains(got, x.want) {
			t.Errorf("panic %q, want one with %q", got, x.want)
		}
	}
}

func TestFlagsBroken(t *testing.T) {
	for f, want := range map[Flags]bool{0: false, Bad: false, Gap: true, Restart: true, Gap | Bad: true} {
		if f.Broken() != want {
			t.Errorf("flags %v: Broken is %v", f, !want)
		}
	}
}

func TestTime(t *testing.T) {
	if s := Time(1_500_000_000).Seconds(); s != 1.5 {
		t.Errorf("1.5e9 ns are %v s", s)
	}
}

func TestExtendKeepsWhatIsThere(t *testing.T) {
	c := new(Chunk)
	c.Alloc(9, 4)
	c.Resize(4)
	c.MarkBad(8, 1)
	c.MarkBad(8, 2)
	c.Set(8, 1, 7)
	c.Len = 2 // the mark of column 2 stays in memory
	c.Extend(2)
	if c.Len != 4 || c.At(8, 1) != 7 || !c.IsBad(8, 1) || c.IsBad(8, 2) {
		t.Errorf("after Extend: %d columns, value %v, marks %v %v", c.Len, c.At(8, 1), c.IsBad(8, 1), c.IsBad(8, 2))
	}
	defer func() {
		if recover() == nil {
			t.Error("a chunk was extended past its room")
		}
	}()
	c.Extend(1)
}
