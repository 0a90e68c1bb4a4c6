package fir_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/filters/internal/fir"
	"neurostream/stream/kernel"
)

func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// check runs the same numbers through the definition and every level.
func check(t *testing.T, n int, x []fir.Column, h []float64) {
	t.Helper()
	want := make([]fir.Column, n)
	fir.Textbook(want, x, h)
	for _, level := range kernel.Supported() {
		// A guard column on either side shows writes past the ends.
		guard := fir.Column{1, 2, 3, 4, 5, 6, 7, 8}
		got := make([]fir.Column, n+2)
		got[0], got[n+1] = guard, guard
		fir.ConvolveAt(level, got[1:n+1], x, h)
		if got[0] != guard || got[n+1] != guard {
			t.Fatalf("%v writes outside its columns", level)
		}
		for i := range want {
			for l := range want[i] {
				if !same(got[i+1][l], want[i][l]) {
					t.Fatalf("%v, %d taps: column %d of %d, lane %d is %v, want %v", level, len(h), i, n, l, got[i+1][l], want[i][l])
				}
			}
		}
	}
}

func random(r *rand.Rand, n, taps int) ([]fir.Column, []float64) {
	x, h := make([]fir.Column, n+taps-1), make([]float64, taps)
	for i := range x {
		for l := range x[i] {
			x[i][l] = 100 * r.NormFloat64()
		}
	}
	for j := range h {
		h[j] = r.NormFloat64()
	}
	return x, h
}

func TestEveryLevelEqualsTheTextbookBitForBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, taps := range []int{1, 2, 3, 31, 101, 2000, 9000} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 31, 64} {
			x, h := random(r, n, taps)
			check(t, n, x, h)
			if len(x) == 0 {
				continue
			}
			for range 1 + len(x)/16 {
				odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 5e-324, -1e-310, 0, math.Copysign(0, -1), math.MaxFloat64}
				x[r.IntN(len(x))][r.IntN(8)] = odd[r.IntN(len(odd))]
			}
			check(t, n, x, h)
		}
	}
}

func FuzzLevels(f *testing.F) {
	x, h := random(rand.New(rand.NewPCG(3, 4)), 5, 3)
	var b []byte
	b, _ = binary.Append(b, binary.LittleEndian, h)
	b, _ = binary.Append(b, binary.LittleEndian, x)
	f.Add(uint8(3), b)
	f.Fuzz(func(t *testing.T, taps uint8, b []byte) {
		at := 0
		next := func() (v float64) {
			if at+8 <= len(b) {
				v = math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
			}
			at += 8
			return v
		}
		h := make([]float64, int(taps)%40+1)
		for j := range h {
			h[j] = next()
		}
		n := min(500, max(0, len(b)-at)/64)
		x := make([]fir.Column, n+len(h)-1)
		for i := range x {
			for l := range x[i] {
				x[i][l] = next()
			}
		}
		check(t, n, x, h)
	})
}

// BenchmarkConvolve: one tile, chunks of 32 columns.
func BenchmarkConvolve(b *testing.B) {
	for _, taps := range []int{32, 101, 413} {
		x, h := random(rand.New(rand.NewPCG(5, 6)), 32, taps)
		y := make([]fir.Column, 32)
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("taps=%d/%s", taps, name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.N)*8*32*float64(taps)/b.Elapsed().Seconds()/1e6, "Mtaps/s")
			})
		}
		run("textbook", func() { fir.Textbook(y, x, h) })
		for _, level := range kernel.Supported() {
			run(level.String(), func() { fir.ConvolveAt(level, y, x, h) })
		}
	}
}
