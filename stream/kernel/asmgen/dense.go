package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// panels writes the kernels of decoders/internal/dense.
func panels() {
	for _, w := range widths {
		w.panel("products", "sets dst to the sums over j of w[j] x[j], w in n columns.", func(v [2]reg.VecVirtual, x reg.VecVirtual) {
			for h := range w.parts {
				VMULPD(x, v[h], v[h])
			}
		})
		w.panel("distances", "sets dst to the sums over j of (x[j] - w[j])^2, w in n columns.", func(v [2]reg.VecVirtual, x reg.VecVirtual) {
			for h := range w.parts {
				VSUBPD(v[h], x, v[h])
				VMULPD(v[h], v[h], v[h])
			}
		})
		w.selected()
		w.exponentials()
		w.squash()
	}
	nonzeroAVX2()
	conditionAVX2()
	fireAVX2()
}

// panel adds up terms in four interleaved sums; what is left over goes to the first.
func (w width) panel(name, doc string, term func(v [2]reg.VecVirtual, x reg.VecVirtual)) {
	w.begin(name, "func(dst, w, x *float64, n, panels, next int)", doc+" Goes through panels of n columns, next bytes from the end of one to the beginning of the next.")
	dst, m, panels := param("dst"), param("w"), param("panels")
	back := GP64() // from one column of dst to the next: up or down as the panels go
	Label("panel")
	x, n := param("x"), param("n")
	var s [4][2]reg.VecVirtual
	for i := range s {
		s[i] = w.zeros()
	}
	add := func(i, at int) {
		v := w.columns(m, at*column)
		term(v, w.spread(Mem{Base: x, Disp: at * 8}))
		for h := range w.parts {
			VADDPD(v[h], s[i][h], s[i][h])
		}
	}
	fours := GP64()
	MOVQ(n, fours)
	SHRQ(Imm(2), fours)
	ANDQ(Imm(3), n)
	repeat("loop", fours, func() {
		for i := range s {
			add(i, i)
		}
		ADDQ(I32(4*column), m)
		ADDQ(Imm(32), x)
	})
	repeat("rest", n, func() {
		add(0, 0)
		ADDQ(Imm(column), m)
		ADDQ(Imm(8), x)
	})
	for h := range w.parts {
		VADDPD(s[1][h], s[0][h], s[0][h])
		VADDPD(s[3][h], s[2][h], s[2][h])
		VADDPD(s[2][h], s[0][h], s[0][h])
	}
	w.store(s[0], dst, 0)
	next := param("next")
	ADDQ(next, m)
	// The sign of next tells the way of dst.
	MOVQ(next, back)
	SARQ(Imm(63), back)
	ORQ(Imm(1), back)
	SHLQ(Imm(6), back)
	ADDQ(back, dst)
	DECQ(panels)
	JNZ(LabelRef("panel"))
	w.end()
}

// exponentials is the arithmetic of expPlain. c holds its constants in the order in
// which they are used.
func (w width) exponentials() {
	w.begin("exp", "func(dst, x *float64, n int, c *float64)", "is dst = exp(c[0] x) over n columns; see expPlain.")
	dst, x, n, c := param("dst"), param("x"), param("n"), param("c")
	constant := func(i int) reg.VecVirtual { return w.spread(Mem{Base: c, Disp: 8 * i}) }
	scale, least, log2e, magic, hi, lo := constant(0), constant(1), constant(2), constant(3), constant(4), constant(5)
	const coefficients = 14
	repeat("loop", n, func() {
		t := w.columns(x, 0)
		var k, p [2]reg.VecVirtual
		var fits [2]reg.VecVirtual
		var mask [2]reg.OpmaskVirtual
		for h := range w.parts {
			VMULPD(scale, t[h], t[h])
			if w.parts == 2 {
				fits[h] = w.vec()
				VCMPPD(Imm(0x1e), least, t[h], fits[h]) // t > least, false for NaN
			} else {
				mask[h] = K()
				VCMPPD(Imm(0x1e), least, t[h], mask[h])
			}
			VMAXPD(least, t[h], t[h])
			k[h] = w.mul(log2e, t[h])
			VADDPD(magic, k[h], k[h])
			whole := w.sub(k[h], magic)
			part := w.mul(hi, whole)
			VSUBPD(part, t[h], t[h])
			VMULPD(lo, whole, whole)
			VSUBPD(whole, t[h], t[h])
		}
		p[0] = constant(6)
		if w.parts == 2 {
			p[1] = w.vec()
			VMOVAPD(p[0], p[1])
		}
		for i := 1; i < coefficients; i++ {
			a := constant(6 + i)
			for h := range w.parts {
				VMULPD(t[h], p[h], p[h])
				VADDPD(a, p[h], p[h])
			}
		}
		for h := range w.parts {
			VPSLLQ(Imm(52), k[h], k[h])
			VPADDQ(k[h], p[h], p[h])
			if w.parts == 2 {
				VANDPD(fits[h], p[h], p[h])
			} else {
				VMOVAPD_Z(p[h], mask[h], p[h])
			}
		}
		w.store(p, dst, 0)
		ADDQ(Imm(column), x)
		ADDQ(Imm(column), dst)
	})
	w.end()
}

// selected adds up whole columns, one after the other.
func (w width) selected() {
	w.begin("selected", "func(dst, w, x *float64, columns *int32, n, panels, stride int)", "adds the sum over the n > 0 columns j named of w[j] x[j] to dst, one after the other, for panels that are stride bytes apart.")
	dst, m, x, panels, stride := param("dst"), param("w"), param("x"), param("panels"), param("stride")
	Label("panel")
	s := w.columns(dst, 0)
	columns, n := param("columns"), param("n")
	at, j := GP64(), GP64()
	Label("loop")
	MOVLQSX(Mem{Base: columns}, j)
	f := w.spread(Mem{Base: x, Index: j, Scale: 8})
	MOVQ(j, at)
	SHLQ(Imm(6), at)
	for h := range w.parts {
		t := w.mul(f, Mem{Base: m, Index: at, Scale: 1, Disp: h * w.bytes})
		VADDPD(t, s[h], s[h])
	}
	ADDQ(Imm(4), columns)
	DECQ(n)
	JNZ(LabelRef("loop"))
	w.store(s, dst, 0)
	ADDQ(Imm(column), dst)
	ADDQ(stride, m)
	DECQ(panels)
	JNZ(LabelRef("panel"))
	w.end()
}

// nonzeroAVX2 serves both widths.
func nonzeroAVX2() {
	TEXT("nonzeroAVX2", NOSPLIT, "func(list *int32, x *float64, n int, table *int32) (count int)")
	Pragma("noescape")
	Doc("nonzeroAVX2 lists which of the first 4n values are not zero; table says which of four each mask means. It may write three beyond the last.")
	list, x, n, table := param("list"), param("x"), param("n"), param("table")
	count, mask, bits := GP64(), GP64(), GP64()
	XORQ(count, count)
	none, first, four := YMM(), XMM(), XMM()
	VXORPD(none, none, none)
	VPXOR(first, first, first)
	word := GP64()
	MOVQ(U64(4), word)
	MOVQ(word, four)
	VPBROADCASTD(four, four)
	repeat("loop", n, func() {
		v, which := YMM(), XMM()
		VCMPPD(Imm(4), Mem{Base: x}, none, v) // not equal, true for NaN
		VMOVMSKPD(v, mask.As32())
		POPCNTQ(mask, bits)
		SHLQ(Imm(4), mask)
		VPADDD(Mem{Base: table, Index: mask, Scale: 1}, first, which)
		VMOVDQU(which, Mem{Base: list, Index: count, Scale: 4})
		ADDQ(bits, count)
		VPADDD(four, first, first)
		ADDQ(Imm(32), x)
	})
	Store(count, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// constantAVX2 returns a register with the number of these bits in every lane.
func constantAVX2(bits uint64) reg.VecVirtual {
	word, v := GP64(), YMM()
	MOVQ(U64(bits), word)
	MOVQ(word, v.AsX())
	VBROADCASTSD(v.AsX(), v)
	return v
}

// squash follows exp(2a): tanh(a) = 1 - 2/(exp(2a) + 1).
func (w width) squash() {
	w.begin("squash", "func(x *float64, n int, c *float64)", "replaces x by c[0] - c[1]/(x + c[0]) over n columns.")
	x, n, c := param("x"), param("n"), param("c")
	one, two := w.spread(Mem{Base: c}), w.spread(Mem{Base: c, Disp: 8})
	repeat("loop", n, func() {
		v := w.columns(x, 0)
		for h := range w.parts {
			VADDPD(one, v[h], v[h])
			VDIVPD(v[h], two, v[h])
			VSUBPD(v[h], one, v[h])
		}
		w.store(v, x, 0)
		ADDQ(Imm(column), x)
	})
	w.end()
}

// conditionAVX2 serves both widths: it waits for the divider.
func conditionAVX2() {
	TEXT("conditionAVX2", NOSPLIT, "func(dst, x, mean, scale *float64, n int, limit float64) (bad uint64)")
	Pragma("noescape")
	Doc("conditionAVX2 is dst = (x - mean)/scale within ±limit over n columns; bad is not 0 when an x is no number.")
	dst, x, mean, scale, n := param("dst"), param("x"), param("mean"), param("scale"), param("n")
	top := YMM()
	limit := Load(Param("limit"), XMM())
	VBROADCASTSD(limit, top)
	low := constantAVX2(1 << 63)
	VXORPD(low, top, low)
	odd := YMM()
	VXORPD(odd, odd, odd)
	repeat("loop", n, func() {
		for h := range 2 {
			v, t := YMM(), YMM()
			VMOVUPD(Mem{Base: x, Disp: 32 * h}, v)
			VSUBPD(v, v, t) // NaN when v is no number
			VORPD(t, odd, odd)
			VSUBPD(Mem{Base: mean, Disp: 32 * h}, v, v)
			VDIVPD(Mem{Base: scale, Disp: 32 * h}, v, v)
			VMINPD(top, v, v)
			VMAXPD(low, v, v)
			VMOVUPD(v, Mem{Base: dst, Disp: 32 * h})
		}
		for _, p := range []reg.GPVirtual{dst, x, mean, scale} {
			ADDQ(Imm(column), p)
		}
	})
	bad, none := GP64(), YMM()
	VXORPD(none, none, none)
	VCMPPD(Imm(4), none, odd, odd) // not equal, true for NaN
	VMOVMSKPD(odd, bad.As32())
	Store(bad, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// fireAVX2 serves both widths; see lif.delayed.
func fireAVX2() {
	TEXT("fireAVX2", NOSPLIT, "func(u, out, in, decay *float64, n int, c *float64)")
	Pragma("noescape")
	Doc("fireAVX2 steps n columns of delayed neurons. c: threshold, what a spike takes off, 1, and all bits set where a spike clears.")
	u, out, in, decay, n, c := param("u"), param("out"), param("in"), param("decay"), param("n"), param("c")
	var k [4]reg.VecVirtual
	for i := range k {
		k[i] = YMM()
		VBROADCASTSD(Mem{Base: c, Disp: 8 * i}, k[i])
	}
	theta, off, one, clears := k[0], k[1], k[2], k[3]
	repeat("loop", n, func() {
		for h := range 2 {
			v, spiked, t := YMM(), YMM(), YMM()
			VMOVUPD(Mem{Base: u, Disp: 32 * h}, v)
			VCMPPD(Imm(0x1e), theta, v, spiked) // v > theta
			VMULPD(Mem{Base: decay, Disp: 32 * h}, v, v)
			VANDPD(clears, spiked, t)
			VANDNPD(v, t, v)
			VADDPD(Mem{Base: in, Disp: 32 * h}, v, v)
			VANDPD(off, spiked, spiked)
			VSUBPD(spiked, v, v)
			VMOVUPD(v, Mem{Base: u, Disp: 32 * h})
			VCMPPD(Imm(0x1e), theta, v, v)
			VANDPD(one, v, v)
			VMOVUPD(v, Mem{Base: out, Disp: 32 * h})
		}
		for _, p := range []reg.GPVirtual{u, out, in, decay} {
			ADDQ(Imm(column), p)
		}
	})
	VZEROUPPER()
	RET()
}
