// Package biquad runs second-order sections over tiles of eight channels.
//
//	x ─► section 1 ─► section 2 ─► ... ─► x        states stay in registers
//
// Every section is direct form II transposed,
//
//	y = b0 x + s1;   s1 = (b1 x + s2) − a1 y;   s2 = b2 x − a2 y
//
// five multiplications and four additions a sample. The sum for s1 is taken in this
// order because a1 y is the last to be known. The portable code and the assembly make
// the same operations in the same order without fused multiply-add, so they agree bit
// for bit.
package biquad

//go:generate go run -C ../../../stream/kernel/asmgen . -kernels cascades -out ../../../filters/internal/biquad/cascade_amd64.s -stubs ../../../filters/internal/biquad/cascade_amd64.go -pkg biquad

import (
	"math"

	"neurostream/stream"
	"neurostream/stream/kernel"
)

// Coefficients are b0, b1, b2, a1, a2; a0 is 1.
type Coefficients [5]float64

// State is s1 and s2 of eight lanes.
type State [2][stream.Lanes]float64

// Column is one column of a tile.
type Column = [stream.Lanes]float64

// Limit is the largest magnitude that is taken for a measurement.
const Limit = 1e100

// piece is how many columns pass all sections before the next columns start: half the
// first-level cache, and a few microseconds, because assembly cannot be preempted.
const piece = 256

// Run passes the columns x in place through all sections.
func Run(x []Column, q []Coefficients, s []State) { RunAt(kernel.Level(), x, q, s) }

// RunAt is Run with the kernels of a level, which the processor must support.
func RunAt(level kernel.Set, x []Column, q []Coefficients, s []State) {
	for len(x) > 0 {
		n := min(len(x), piece)
		for k := 0; k < len(q); k += 4 {
			end := min(k+4, len(q))
			if level == kernel.Portable {
				portable(x[:n], q[k:end], s[k:end])
			} else {
				assembly(level, x[:n], q[k:end], s[k:end])
			}
		}
		x = x[n:]
	}
}

// Copy copies from to to and reports whether every value is a number within ±Limit.
func Copy(to, from []Column) bool { return CopyAt(kernel.Level(), to, from) }

// CopyAt is Copy with the kernels of a level.
func CopyAt(level kernel.Set, to, from []Column) bool {
	if level != kernel.Portable {
		return copyAssembly(to, from)
	}
	to = to[:len(from)]
	good := true
	for i := range from {
		v := &from[i]
		to[i] = *v
		if !(math.Abs(v[0]) <= Limit && math.Abs(v[1]) <= Limit && math.Abs(v[2]) <= Limit && math.Abs(v[3]) <= Limit &&
			math.Abs(v[4]) <= Limit && math.Abs(v[5]) <= Limit && math.Abs(v[6]) <= Limit && math.Abs(v[7]) <= Limit) {
			good = false
		}
	}
	return good
}

// tiny is where a decaying state is set to zero: below it processors take a hundred
// times longer, and nothing measurable is lost.
const tiny = 1e-30

// Flush sets states that have decayed below 1e-30 to zero. To be independent of how
// the stream is cut, call it at fixed columns.
func Flush(s []State) {
	for k := range s {
		for i := range s[k] {
			for l, v := range s[k][i] {
				if math.Abs(v) < tiny {
					s[k][i][l] = 0
				}
			}
		}
	}
}
