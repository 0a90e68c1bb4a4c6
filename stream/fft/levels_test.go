package fft

import (
	"encoding/binary"
	"math"
	"testing"

	"neurostream/stream/kernel"
)

// same reports equality of bits, any two values that are not numbers being equal.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// compareLevels transforms x with every level and compares bins lo to hi-1.
func compareLevels(t *testing.T, x []Vec, window []float64, offset, slope *Vec, n, lo, hi int) {
	t.Helper()
	var want []Vec
	for _, level := range kernel.Supported() {
		p := NewPlan(n)
		p.level = level
		guarded := make([]Vec, 2*(hi-lo)+2) // a guard on either side shows writes past the ends
		guard := Vec{1, 2, 3, 4, 5, 6, 7, 8}
		guarded[0], guarded[len(guarded)-1] = guard, guard
		got := guarded[1 : len(guarded)-1]
		p.Load(x, window, offset, slope)
		p.Transform(got, lo, hi)
		if guarded[0] != guard || guarded[len(guarded)-1] != guard {
			t.Fatalf("%v, n=%d, bins %d to %d: writes outside its bins", level, n, lo, hi)
		}
		if level == kernel.Portable {
			want = got
			continue
		}
		for i := range got {
			for l := range got[i] {
				if !same(got[i][l], want[i][l]) {
					t.Fatalf("%v, n=%d, bin %d lane %d: %v, want %v", level, n, lo+i/2, l, got[i][l], want[i][l])
				}
			}
		}
	}
}

func TestEveryLevelEqualsPortableBitForBit(t *testing.T) {
	odd := []float64{math.NaN(), math.Inf(1), 5e-324, -1e-310, 0, math.Copysign(0, -1), math.MaxFloat64}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 24, 26, 31, 32, 48, 64, 100, 128, 192, 250, 256, 500, 512, 1000, 1024} {
		x, w := noise(n, uint64(n)), make([]float64, n)
		for i := range w {
			w[i] = math.Sin(float64(i + 1))
		}
		offset := Vec{1, 2, 3, 4, 5, 6, 7, 8}
		b := n/2 + 1
		for _, r := range [][2]int{{0, b}, {b / 3, b/2 + 1}, {b / 3, b}, {0, b / 2}, {b - 1, b}, {0, 1}, {b / 2, b / 2}} {
			if r[0] <= r[1] {
				compareLevels(t, x, w, &offset, &Vec{}, n, r[0], r[1])
			}
		}
		compareLevels(t, x[:n/2+1], w[:n/2+1], &offset, &Vec{2: 0.5}, n, 0, b)
		for i := range min(n, 5) {
			x[(7*i)%n][i] = odd[i]
		}
		compareLevels(t, x, w, &offset, &Vec{}, n, 0, b)
		for i := range x { // denormals throughout
			for l := range x[i] {
				x[i][l] = 1e-310 * float64(i-l)
			}
		}
		compareLevels(t, x, nil, &Vec{}, &Vec{}, n, 0, b)
	}
}

func FuzzLevels(f *testing.F) {
	for _, n := range []int{5, 8, 48, 64} {
		var b []byte
		for _, v := range noise(n, 1) {
			b, _ = binary.Append(b, binary.LittleEndian, v)
		}
		f.Add(uint16(n), uint16(0), uint16(n), b)
	}
	f.Add(uint16(16), uint16(3), uint16(7), []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, size, from, to uint16, b []byte) {
		n := int(size)%600 + 1
		x, w := make([]Vec, n), make([]float64, n)
		at := 0
		next := func() (v float64) {
			if at+8 <= len(b) {
				v = math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
			}
			at += 8
			return v
		}
		for i := range x {
			w[i] = 1 / float64(i+1)
			for l := range x[i] {
				x[i][l] = next()
			}
		}
		lo := int(from) % (n/2 + 2)
		hi := lo + int(to)%(n/2+2-lo)
		compareLevels(t, x, w, &Vec{}, &Vec{}, n, lo, hi)
	})
}
