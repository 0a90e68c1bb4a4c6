package features

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/stream/kernel"
)

// same reports equality of bits, any two values that are not numbers being equal.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// runKernels runs every kernel at one level over x, columns of arbitrary content, and
// returns all that they make.
func runKernels(level kernel.Set, x []vec) map[string][]vec {
	out := map[string][]vec{}
	n := len(x) / 2
	a, b := x[:n], x[n:2*n]
	var m vec
	for l := range m {
		m[l] = float64(l) - 3.5
	}
	// dst of a size, beginning with numbers and followed by a guard.
	dst := func(name string, size int) []vec {
		d := make([]vec, size+1)
		for i := range d {
			for l := range d[i] {
				d[i][l] = float64(8*i+l) + 0.5
			}
		}
		out[name] = d
		return d[:size]
	}
	var s vec
	sumAt(level, &s, x)
	out["sum"] = []vec{s}
	squaresAt(level, &s, x, &m)
	out["squares"] = []vec{s}
	subtractAt(level, dst("subtract", len(x)), x, &m)
	outerAt(level, (*[8]vec)(dst("outer", 8)), a, b)
	powersAt(level, dst("powers", n), x)
	addRowsAt(level, dst("addRows", n), a)
	even := n &^ 1
	crossProductAt(level, (*[16]vec)(dst("crossProduct", 16)), a[:even], b)
	crossMagnitudeAt(level, (*[8]vec)(dst("crossMagnitude", 8)), a, b, even/2, 1, 0)
	crossMagnitudeAt(level, (*[8]vec)(dst("crossMagnitudeBins", 8)), x, x, 1, even/2, 4)
	crossMagnitudeAt(level, (*[8]vec)(dst("crossMagnitudeTerms", 8)), x, a, 2, n/4, 4)
	for _, terms := range []int{1, 2, 5} {
		cells := len(x) / (2 * terms)
		normaliseAt(level, dst(fmt.Sprint("power of ", terms), cells), append(dst(fmt.Sprint("normalise ", terms), 2*terms*cells)[:0], x[:2*terms*cells]...), terms)
	}
	lagSumsAt(level, (*[32]vec)(dst("lagSums", 32)), a[:even], b)
	unitsAt(level, dst("units", 2*n), x)
	return out
}

func compareKernels(t *testing.T, x []vec) {
	t.Helper()
	want := runKernels(kernel.Portable, x)
	for _, level := range kernel.Supported()[1:] {
		for name, got := range runKernels(level, x) {
			for i := range got {
				for l := range got[i] {
					if !same(got[i][l], want[name][i][l]) {
						t.Fatalf("%s at %v, %d columns: row %d lane %d is %v, want %v", name, level, len(x), i, l, got[i][l], want[name][i][l])
					}
				}
			}
		}
	}
}

func TestEveryLevelEqualsPortableBitForBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 5e-324, -1e-310, 0, math.Copysign(0, -1), math.MaxFloat64}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 36, 40, 100, 257} {
		x := make([]vec, n)
		for i := range x {
			for l := range x[i] {
				x[i][l] = r.NormFloat64()
			}
		}
		compareKernels(t, x)
		for range n {
			x[r.IntN(n)][r.IntN(8)] = odd[r.IntN(len(odd))]
		}
		compareKernels(t, x)
		for i := range x {
			for l := range x[i] {
				x[i][l] = 1e-310 * r.NormFloat64()
			}
		}
		compareKernels(t, x)
	}
}

func FuzzKernels(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 4, 10} {
		var b []byte
		for range n * 8 {
			b, _ = binary.Append(b, binary.LittleEndian, r.NormFloat64())
		}
		f.Add(b)
	}
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		x := make([]vec, min(500, len(b)/64+1))
		for i := range x {
			for l := range x[i] {
				if at := 8 * (8*i + l); at+8 <= len(b) {
					x[i][l] = math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
				}
			}
		}
		compareKernels(t, x)
	})
}

// BenchmarkKernels pairs the portable loops with the assembly.
func BenchmarkKernels(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	x := make([]vec, 32)
	for i := range x {
		for l := range x[i] {
			x[i][l] = r.NormFloat64()
		}
	}
	var block [8]vec
	var lags [32]vec
	for _, c := range []struct {
		name string
		f    func(level kernel.Set)
	}{
		{"outer", func(level kernel.Set) { outerAt(level, &block, x, x) }},
		{"crossMagnitude", func(level kernel.Set) { crossMagnitudeAt(level, &block, x, x, 16, 1, 0) }},
		{"lagSums", func(level kernel.Set) { lagSumsAt(level, &lags, x, x) }},
	} {
		for _, level := range kernel.Supported() {
			b.Run(fmt.Sprintf("%s/%v", c.name, level), func(b *testing.B) {
				for b.Loop() {
					c.f(level)
				}
			})
		}
	}
}
