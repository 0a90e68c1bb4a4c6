package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	column  = 64                 // bytes of one column of a tile: eight float64
	section = 5 * 8              // bytes of the coefficients of a section
	state   = 2 * column         // bytes of the state of a section
	largest = 0x54b249ad2594c37d // float64 bits of 1e100
)

// cascades writes the kernels of filters/internal/biquad.
func cascades() {
	for n := 1; n <= 4; n++ {
		cascadeAVX2(n)
		cascadeAVX512(n)
	}
	copyAVX2()
}

// signature of every cascade: n columns at x, the coefficients at q, the states at s.
const signature = "func(x *float64, n int, q *float64, s *float64)"

// step is one sample through one section, in place of x:
//
//	y = b0 x + s1;   s1 = (b1 x + s2) − a1 y;   s2 = b2 x − a2 y
//
// coef(k) is b0, b1, b2, a1, a2. It returns the register that holds y; the other two
// scratch registers are free again.
func step(coef func(k int) Op, s1, s2, x, y, t reg.Register) {
	VMULPD(coef(0), x, y)
	VADDPD(s1, y, y)
	VMULPD(coef(1), x, t)
	VADDPD(s2, t, s1)
	VMULPD(coef(2), x, s2)
	VMULPD(coef(3), y, t)
	VSUBPD(t, s1, s1)
	VMULPD(coef(4), y, t)
	VSUBPD(t, s2, s2)
}

// cascadeAVX2 keeps the states in registers and the coefficients, spread to four
// lanes, in an aligned table on the stack. Up to two sections both halves of a column
// go together, which hides the latency of the recursion; above that one half after
// the other, for want of registers.
func cascadeAVX2(sections int) {
	TEXT(fmt.Sprintf("cascade%dAVX2", sections), 0, signature)
	Doc(fmt.Sprintf("cascade%dAVX2 runs n columns at x in place through %d sections.", sections, sections))
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	q, s := Load(Param("q"), GP64()), Load(Param("s"), GP64())

	table := GP64()
	LEAQ(AllocLocal(sections*5*32+32), table)
	ADDQ(Imm(31), table)
	ANDQ(I8(-32), table)
	c := YMM()
	for k := range sections * 5 {
		VBROADCASTSD(Mem{Base: q, Disp: 8 * k}, c)
		VMOVUPD(c, Mem{Base: table, Disp: 32 * k})
	}

	together := 1
	if sections <= 2 {
		together = 2
	}
	for half := 0; half < 2; half += together {
		var s1, s2 [2][4]reg.VecVirtual
		for h := range together {
			for k := range sections {
				s1[h][k], s2[h][k] = YMM(), YMM()
				VMOVUPD(Mem{Base: s, Disp: k*state + 32*(half+h)}, s1[h][k])
				VMOVUPD(Mem{Base: s, Disp: k*state + column + 32*(half+h)}, s2[h][k])
			}
		}
		at, left := GP64(), GP64()
		MOVQ(x, at)
		MOVQ(n, left)
		loop, done := fmt.Sprintf("loop%d", half), fmt.Sprintf("done%d", half)
		Label(loop)
		TESTQ(left, left)
		JZ(LabelRef(done))
		for h := range together {
			v, y, t := reg.Register(YMM()), reg.Register(YMM()), YMM()
			cell := Mem{Base: at, Disp: 32 * (half + h)}
			VMOVUPD(cell, v)
			for k := range sections {
				coef := func(i int) Op { return Mem{Base: table, Disp: 32 * (5*k + i)} }
				step(coef, s1[h][k], s2[h][k], v, y, t)
				v, y = y, v
			}
			VMOVUPD(v, cell)
		}
		ADDQ(Imm(column), at)
		DECQ(left)
		JMP(LabelRef(loop))
		Label(done)
		for h := range together {
			for k := range sections {
				VMOVUPD(s1[h][k], Mem{Base: s, Disp: k*state + 32*(half+h)})
				VMOVUPD(s2[h][k], Mem{Base: s, Disp: k*state + column + 32*(half+h)})
			}
		}
	}
	VZEROUPPER()
	RET()
}

// cascadeAVX512 keeps the states and the coefficients of up to four sections in
// registers: 8 + 20 of 32, and three for the sample.
func cascadeAVX512(sections int) {
	TEXT(fmt.Sprintf("cascade%dAVX512", sections), NOSPLIT, signature)
	Doc(fmt.Sprintf("cascade%dAVX512 runs n columns at x in place through %d sections.", sections, sections))
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	q, s := Load(Param("q"), GP64()), Load(Param("s"), GP64())

	var coefs [4][5]reg.VecVirtual
	var s1, s2 [4]reg.VecVirtual
	for k := range sections {
		for i := range coefs[k] {
			coefs[k][i] = ZMM()
			VBROADCASTSD(Mem{Base: q, Disp: k*section + 8*i}, coefs[k][i])
		}
		s1[k], s2[k] = ZMM(), ZMM()
		VMOVUPD(Mem{Base: s, Disp: k * state}, s1[k])
		VMOVUPD(Mem{Base: s, Disp: k*state + column}, s2[k])
	}
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	v, y, t := reg.Register(ZMM()), reg.Register(ZMM()), ZMM()
	VMOVUPD(Mem{Base: x}, v)
	for k := range sections {
		step(func(i int) Op { return coefs[k][i] }, s1[k], s2[k], v, y, t)
		v, y = y, v
	}
	VMOVUPD(v, Mem{Base: x})
	ADDQ(Imm(column), x)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	for k := range sections {
		VMOVUPD(s1[k], Mem{Base: s, Disp: k * state})
		VMOVUPD(s2[k], Mem{Base: s, Disp: k*state + column})
	}
	VZEROUPPER()
	RET()
}

// copyAVX2 copies columns and says whether a value among them is beyond ±1e100 or not
// a number at all.
func copyAVX2() {
	TEXT("copyAVX2", NOSPLIT, "func(to, from *float64, n int) (bad uint64)")
	Doc("copyAVX2 copies n columns; bad is not 0 when one of them holds a value that is no measurement.")
	to, from, n := Load(Param("to"), GP64()), Load(Param("from"), GP64()), Load(Param("n"), GP64())
	word, limit, abs := GP64(), YMM(), YMM()
	MOVQ(U64(largest), word)
	t := XMM()
	MOVQ(word, t)
	VBROADCASTSD(t, limit)
	VPCMPEQQ(abs, abs, abs)
	VPSRLQ(Imm(1), abs, abs)
	bad0, bad1 := YMM(), YMM()
	VXORPD(bad0, bad0, bad0)
	VXORPD(bad1, bad1, bad1)
	Label("loop")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	for h, bad := range []reg.VecVirtual{bad0, bad1} {
		v := YMM()
		VMOVUPD(Mem{Base: from, Disp: 32 * h}, v)
		VMOVUPD(v, Mem{Base: to, Disp: 32 * h})
		VANDPD(abs, v, v)
		VCMPPD(Imm(6), limit, v, v) // not (|v| <= limit), true for NaN
		VORPD(v, bad, bad)
	}
	ADDQ(Imm(column), to)
	ADDQ(Imm(column), from)
	DECQ(n)
	JMP(LabelRef("loop"))
	Label("done")
	VORPD(bad1, bad0, bad0)
	mask := GP32()
	VMOVMSKPD(bad0, mask)
	out := mask.As64()
	Store(out, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
