package stream

import (
	"math"
	"slices"
	"testing"
)

func TestStateRoundTrip(t *testing.T) {
	w := StateWriter{Buf: []byte{9}}
	tiles := [][Lanes]float64{{1, 2, 3}, {math.Inf(1), math.Copysign(0, -1)}}
	w.Int(-5)
	w.Float(math.Pi)
	w.Float(math.Float64frombits(0x7ff8_0000_0000_1234)) // a NaN with a payload
	w.Bool(true)
	w.Bool(false)
	w.Floats([]float64{1, -2})
	w.Floats(nil)
	w.Tiles(tiles)
	w.Bytes([]byte("abc"))
	if w.Buf[0] != 9 {
		t.Fatal("a writer overwrites what stood before")
	}
	// read takes everything back and reports whether all of it was right.
	read := func(buf []byte) (bool, error) {
		r := StateReader{Buf: buf}
		f, g, b := make([]float64, 2), make([][Lanes]float64, 2), make([]byte, 3)
		ok := r.Int() == -5
		ok = r.Float() == math.Pi && ok
		ok = math.Float64bits(r.Float()) == 0x7ff8_0000_0000_1234 && ok
		ok = r.Bool() && ok
		ok = !r.Bool() && ok
		r.Floats(f)
		r.Floats(nil)
		r.Tiles(g)
		r.Bytes(b)
		ok = slices.Equal(f, []float64{1, -2}) && slices.Equal(g, tiles) && math.Signbit(g[1][1]) && string(b) == "abc" && ok
		return ok, r.Err()
	}
	state := w.Buf[1:]
	if ok, err := read(state); !ok || err != nil {
		t.Errorf("round trip: %v, %v", ok, err)
	}
	for cut := range state {
		if _, err := read(state[:cut:cut]); err != ErrState {
			t.Errorf("%d of %d bytes: %v", cut, len(state), err)
		}
	}
	if _, err := read(append(slices.Clone(state), 0)); err != ErrState {
		t.Errorf("one byte too many: %v", err)
	}
}

func TestStateReaderRefusesOtherLengths(t *testing.T) {
	var w StateWriter
	w.Floats([]float64{1, 2, 3})
	for name, read := range map[string]func(*StateReader){
		"fewer floats": func(r *StateReader) { r.Floats(make([]float64, 2)) },
		"more floats":  func(r *StateReader) { r.Floats(make([]float64, 4)) },
		"tiles":        func(r *StateReader) { r.Tiles(make([][Lanes]float64, 1)) },
		"bytes":        func(r *StateReader) { r.Bytes(make([]byte, 4)) },
		"nothing":      func(*StateReader) {},
	} {
		r := StateReader{Buf: w.Buf}
		if read(&r); r.Err() != ErrState {
			t.Errorf("%s instead of three floats: %v", name, r.Err())
		}
		if r.Int() != 0 && name != "nothing" {
			t.Errorf("%s: a failed reader still reads", name)
		}
	}
	huge := StateWriter{}
	huge.Int(math.MaxInt64)
	r := StateReader{Buf: huge.Buf}
	if r.Bytes(nil); r.Err() != ErrState {
		t.Error("a length of 2^63-1 is accepted")
	}
}
