package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// convolutions writes the kernels of filters/internal/fir.
func convolutions() {
	widths[0].convolve(4, 1)
	widths[1].convolve(8, 4, 1)
}

// convolve: y[i] = Σ_j h[j] x[i+taps-1-j], j ascending, sizes columns at a time: their
// sums wait in registers while one tap after the other is spread to all lanes.
func (w width) convolve(sizes ...int) {
	w.begin("convolve", "func(y, x *float64, n int, h *float64, taps int)", "sets n columns of y to the sums of taps columns of x, newest first, times h.")
	y, x, n, h, taps := param("y"), param("x"), param("n"), param("h"), param("taps")
	last := GP64() // bytes from the oldest to the newest column of one sum
	MOVQ(taps, last)
	DECQ(last)
	SHLQ(Imm(6), last)
	ADDQ(last, x)
	for _, size := range sizes {
		loop := fmt.Sprintf("block%d", size)
		Label(loop)
		CMPQ(n, Imm(uint64(size)))
		JL(LabelRef(loop + "done"))
		var sums [8]([2]reg.VecVirtual)
		for u := range size {
			sums[u] = w.zeros()
		}
		at, c, left := GP64(), GP64(), GP64()
		MOVQ(x, at)
		MOVQ(h, c)
		MOVQ(taps, left)
		repeat(fmt.Sprintf("taps%d", size), left, func() {
			tap := w.spread(Mem{Base: c})
			for u := range size {
				for p := range w.parts {
					t := w.vec()
					VMULPD(Mem{Base: at, Disp: u*column + p*w.bytes}, tap, t)
					VADDPD(t, sums[u][p], sums[u][p])
				}
			}
			ADDQ(Imm(8), c)
			SUBQ(Imm(column), at)
		})
		for u := range size {
			w.store(sums[u], y, u*column)
		}
		ADDQ(U32(size*column), x)
		ADDQ(U32(size*column), y)
		SUBQ(Imm(uint64(size)), n)
		JMP(LabelRef(loop))
		Label(loop + "done")
	}
	w.end()
}
