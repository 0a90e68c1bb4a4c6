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
		w.exponentials()
	}
}

// panel adds up terms in four interleaved sums; what is left over goes to the first.
func (w width) panel(name, doc string, term func(v [2]reg.VecVirtual, x reg.VecVirtual)) {
	w.begin(name, "func(dst, w, x *float64, n int)", doc)
	dst, m, x, n := param("dst"), param("w"), param("x"), param("n")
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
