package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sums writes the kernels of features.
func sums() {
	for _, w := range widths {
		w.sum()
		w.shift("subtract", "func(dst, x *float64, n int, m *float64)", "is dst = x - m over n columns.")
		w.squares()
		w.powers()
		w.addColumns()
		w.outer()
		w.crossProduct()
		w.crossMagnitude()
		w.normalise()
		w.units()
	}
	widths[0].lagSums()
}

// columns loads the parts of the column at base.
func (w width) columns(base reg.GPVirtual, disp int) (v [2]reg.VecVirtual) {
	for h := range w.parts {
		v[h] = w.load(Mem{Base: base, Disp: disp + h*w.bytes})
	}
	return v
}

// store puts them back.
func (w width) store(v [2]reg.VecVirtual, base reg.GPVirtual, disp int) {
	for h := range w.parts {
		VMOVUPD(v[h], Mem{Base: base, Disp: disp + h*w.bytes})
	}
}

func (w width) zeros() (v [2]reg.VecVirtual) {
	for h := range w.parts {
		v[h] = w.zero()
	}
	return v
}

func (w width) sum() {
	w.begin("sum", "func(dst, x *float64, n int)", "adds up n columns, oldest first.")
	dst, x, n := param("dst"), param("x"), param("n")
	s := w.zeros()
	repeat("loop", n, func() {
		for h := range w.parts {
			VADDPD(Mem{Base: x, Disp: h * w.bytes}, s[h], s[h])
		}
		ADDQ(Imm(column), x)
	})
	w.store(s, dst, 0)
	w.end()
}

func (w width) shift(name, signature, doc string) {
	w.begin(name, signature, doc)
	dst, x, n, m := param("dst"), param("x"), param("n"), param("m")
	o := w.columns(m, 0)
	repeat("loop", n, func() {
		v := w.columns(x, 0)
		for h := range w.parts {
			VSUBPD(o[h], v[h], v[h])
		}
		w.store(v, dst, 0)
		ADDQ(Imm(column), x)
		ADDQ(Imm(column), dst)
	})
	w.end()
}

func (w width) squares() {
	w.begin("squares", "func(dst, x *float64, n int, m *float64)", "adds up (x-m)^2 over n columns, oldest first.")
	dst, x, n, m := param("dst"), param("x"), param("n"), param("m")
	o, s := w.columns(m, 0), w.zeros()
	repeat("loop", n, func() {
		v := w.columns(x, 0)
		for h := range w.parts {
			VSUBPD(o[h], v[h], v[h])
			VMULPD(v[h], v[h], v[h])
			VADDPD(v[h], s[h], s[h])
		}
		ADDQ(Imm(column), x)
	})
	w.store(s, dst, 0)
	w.end()
}

func (w width) powers() {
	w.begin("powers", "func(dst, bins *float64, n int)", "is dst = |bin|^2 of n bins.")
	dst, bins, n := param("dst"), param("bins"), param("n")
	repeat("loop", n, func() {
		re, im := w.columns(bins, 0), w.columns(bins, column)
		for h := range w.parts {
			VMULPD(re[h], re[h], re[h])
			VMULPD(im[h], im[h], im[h])
			VADDPD(im[h], re[h], re[h])
		}
		w.store(re, dst, 0)
		SUBQ(I32(-complexColumn), bins)
		ADDQ(Imm(column), dst)
	})
	w.end()
}

func (w width) addColumns() {
	w.begin("addRows", "func(a, b *float64, n int)", "adds n columns of b to those of a.")
	a, b, n := param("a"), param("b"), param("n")
	repeat("loop", n, func() {
		v := w.columns(a, 0)
		for h := range w.parts {
			VADDPD(Mem{Base: b, Disp: h * w.bytes}, v[h], v[h])
		}
		w.store(v, a, 0)
		ADDQ(Imm(column), a)
		ADDQ(Imm(column), b)
	})
	w.end()
}

// outer keeps the sums of several rows in registers: four of eight with AVX2.
func (w width) outer() {
	w.begin("outer", "func(acc, a, b *float64, n int)", "adds the sum over n columns of a[i] b[l] to row i, lane l of acc.")
	acc, a, b, n := param("acc"), param("a"), param("b"), param("n")
	rows := 8 / w.parts
	for first := 0; first < 8; first += rows {
		x, y, left := GP64(), GP64(), GP64()
		MOVQ(a, x)
		MOVQ(b, y)
		MOVQ(n, left)
		s := make([][2]reg.VecVirtual, rows)
		for i := range s {
			s[i] = w.columns(acc, (first+i)*column)
		}
		repeat(fmt.Sprintf("rows%d", first), left, func() {
			v := w.columns(y, 0)
			for i := range s {
				f := w.spread(Mem{Base: x, Disp: 8 * (first + i)})
				for h := range w.parts {
					t := w.mul(f, v[h])
					VADDPD(t, s[i][h], s[i][h])
				}
			}
			ADDQ(Imm(column), x)
			ADDQ(Imm(column), y)
		})
		for i := range s {
			w.store(s[i], acc, (first+i)*column)
		}
	}
	w.end()
}

// conjugateProduct adds conj(x) y to re and im: re += a c + b d, im += a d - b c,
// with a, b at x and the columns c, d at y.
func (w width) conjugateProduct(x, y reg.GPVirtual, row Mem, re, im [2]reg.VecVirtual) {
	row.Base = x
	a := w.spread(row)
	row.Disp += column
	b := w.spread(row)
	for h := range w.parts {
		c, d := w.load(Mem{Base: y, Disp: h * w.bytes}), w.load(Mem{Base: y, Disp: column + h*w.bytes})
		t := w.mul(a, c)
		u := w.mul(b, d)
		VADDPD(u, t, t)
		VADDPD(t, re[h], re[h])
		VMULPD(a, d, d)
		VMULPD(b, c, c)
		VSUBPD(c, d, d)
		VADDPD(d, im[h], im[h])
	}
}

// eachRow emits body for the rows 0 to 7 of x, moving the pointers in row on.
func eachRow(body func(row reg.GPVirtual)) {
	row := GP64()
	XORQ(row, row)
	Label("row")
	body(row)
	INCQ(row)
	CMPQ(row, Imm(8))
	JNE(LabelRef("row"))
}

// terms emits body for every term (a real and an imaginary column) at x and y.
func terms(x, y, n reg.GPVirtual, body func(at, of reg.GPVirtual)) {
	at, of, left := GP64(), GP64(), GP64()
	MOVQ(x, at)
	MOVQ(y, of)
	MOVQ(n, left)
	repeat("term", left, func() {
		body(at, of)
		SUBQ(I32(-complexColumn), at)
		SUBQ(I32(-complexColumn), of)
	})
}

func (w width) crossProduct() {
	w.begin("crossProduct", "func(dst, x, y *float64, n int)", "adds the sum over n terms of conj(x_i) y_l to rows i (real) and 8+i (imaginary) of dst.")
	dst, x, y, n := param("dst"), param("x"), param("y"), param("n")
	eachRow(func(row reg.GPVirtual) {
		re, im := w.columns(dst, 0), w.columns(dst, 8*column)
		terms(x, y, n, func(at, of reg.GPVirtual) {
			w.conjugateProduct(at, of, Mem{Index: row, Scale: 8}, re, im)
		})
		w.store(re, dst, 0)
		w.store(im, dst, 8*column)
		ADDQ(Imm(column), dst)
	})
	w.end()
}

// crossMagnitude makes two rows at a time, so that every column of y is loaded once for
// both, and goes through the bins of a band. The roots of two rows are taken one by one
// between the terms of the next two: the divider works meanwhile, and no root holds up
// the instructions behind it.
func (w width) crossMagnitude() {
	w.begin("crossMagnitude", "func(dst, x, y *float64, n, bins, stride int)",
		"adds |sum over n > 0 terms of conj(x_i) y_l| to row i of dst for every bin; from one to the next x and y are stride bytes apart.")
	const (
		unrolled = 8 // terms
		first    = 3 // of them, before which the first root is taken
	)
	dst, x, y, n, bins := param("dst"), param("x"), param("y"), param("n"), param("bins")
	pending := GP64() // squares of two rows, then their roots
	LEAQ(AllocLocal(3*column), pending)
	ADDQ(Imm(column-1), pending)
	ANDQ(I8(-column), pending)
	cell := func(i int) Mem { return Mem{Base: pending, Disp: i * w.bytes} }
	root := func(i int) {
		if i >= 0 && i < 2*w.parts {
			t := w.vec()
			VSQRTPD(cell(i), t)
			VMOVUPD(t, cell(i))
		}
	}
	to, before, row := GP64(), GP64(), GP64() // rows being made; rows pending, 0 = none
	finish := func() {
		for i := range 2 * w.parts {
			t := w.load(cell(i))
			VADDPD(Mem{Base: before, Disp: i * w.bytes}, t, t)
			VMOVUPD(t, Mem{Base: before, Disp: i * w.bytes})
		}
	}
	var re, im [2][2]reg.VecVirtual
	for r := range 2 {
		for h := range w.parts {
			re[r][h], im[r][h] = w.vec(), w.vec()
		}
	}
	MOVQ(dst, to)
	XORQ(row, row)
	XORQ(before, before)
	Label("rows")
	for r := range 2 {
		for h := range w.parts {
			for _, v := range []reg.VecVirtual{re[r][h], im[r][h]} {
				VXORPD(v.AsX(), v.AsX(), v.AsX())
			}
		}
	}
	at, of, left := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: x, Index: row, Scale: 8}, at)
	MOVQ(y, of)
	term := func(k int) {
		var a, b [2]reg.VecVirtual
		for r := range a {
			a[r] = w.spread(Mem{Base: at, Disp: k*complexColumn + 8*r})
			b[r] = w.spread(Mem{Base: at, Disp: k*complexColumn + 8*r + column})
		}
		for h := range w.parts {
			c := w.load(Mem{Base: of, Disp: k*complexColumn + h*w.bytes})
			d := w.load(Mem{Base: of, Disp: k*complexColumn + column + h*w.bytes})
			for r := range a {
				t := w.mul(a[r], c)
				u := w.mul(b[r], d)
				VADDPD(u, t, t)
				VADDPD(t, re[r][h], re[r][h])
				VMULPD(a[r], d, t)
				VMULPD(b[r], c, u)
				VSUBPD(u, t, t)
				VADDPD(t, im[r][h], im[r][h])
			}
		}
	}
	MOVQ(n, left)
	SUBQ(Imm(unrolled), left)
	JLE(LabelRef("few"))
	Label("many")
	term(0)
	SUBQ(I32(-complexColumn), at)
	SUBQ(I32(-complexColumn), of)
	DECQ(left)
	JNZ(LabelRef("many"))
	Label("few")
	SHLQ(Imm(7), left) // minus the bytes of the terms that are missing
	ADDQ(left, at)
	ADDQ(left, of)
	TESTQ(left, left)
	JZ(LabelRef("term0"))
	for k := 1; k < unrolled; k++ {
		root(k - first - 1) // jumped over otherwise
		CMPQ(left, I32(-complexColumn*k))
		JE(LabelRef(fmt.Sprintf("term%d", k)))
	}
	for k := range unrolled {
		Label(fmt.Sprintf("term%d", k))
		root(k - first)
		term(k)
	}
	TESTQ(before, before)
	JZ(LabelRef("none"))
	finish()
	Label("none")
	for r := range re {
		for h := range w.parts {
			VMULPD(re[r][h], re[r][h], re[r][h])
			VMULPD(im[r][h], im[r][h], im[r][h])
			VADDPD(im[r][h], re[r][h], re[r][h])
			VMOVUPD(re[r][h], cell(r*w.parts+h))
		}
	}
	MOVQ(to, before)
	ADDQ(I32(2*column), to)
	ADDQ(Imm(2), row)
	CMPQ(row, Imm(8))
	JNE(LabelRef("rows"))
	MOVQ(dst, to)
	XORQ(row, row)
	stride := param("stride")
	ADDQ(stride, x)
	ADDQ(stride, y)
	DECQ(bins)
	JNZ(LabelRef("rows"))
	for i := range 2 * w.parts {
		root(i)
	}
	finish()
	w.end()
}

// normalise goes through the terms of a cell twice: for their power, and to divide.
func (w width) normalise() {
	w.begin("normalise", "func(power, x *float64, cells, n int)", "sets power to sum |x|^2 over the n > 0 terms of every cell and divides them by its root; no power gives 0.")
	power, x, cells, n := param("power"), param("x"), param("cells"), param("n")
	one, word := w.vec(), GP64()
	MOVQ(U64(0x3ff0000000000000), word)
	MOVQ(word, one.AsX())
	VBROADCASTSD(one.AsX(), one)
	none := w.zero()
	repeat("cell", cells, func() {
		at, left := GP64(), GP64()
		MOVQ(x, at)
		MOVQ(n, left)
		p := w.zeros()
		Label("power")
		for h := range w.parts {
			re, im := w.load(Mem{Base: at, Disp: h * w.bytes}), w.load(Mem{Base: at, Disp: column + h*w.bytes})
			VMULPD(re, re, re)
			VMULPD(im, im, im)
			VADDPD(im, re, re)
			VADDPD(re, p[h], p[h])
		}
		SUBQ(I32(-complexColumn), at)
		DECQ(left)
		JNZ(LabelRef("power"))
		w.store(p, power, 0)
		for h := range w.parts {
			f := w.vec()
			VSQRTPD(p[h], f)
			VDIVPD(f, one, f)
			if w.parts == 2 {
				VCMPPD(Imm(0x1e), none, p[h], p[h]) // p > 0, false for NaN
				VANDPD(p[h], f, p[h])
			} else {
				some := K()
				VCMPPD(Imm(0x1e), none, p[h], some)
				VMOVAPD_Z(f, some, p[h])
			}
		}
		MOVQ(n, left)
		Label("divide")
		for h := range w.parts {
			for half := range 2 {
				m := Mem{Base: x, Disp: half*column + h*w.bytes}
				VMOVUPD(w.mul(p[h], m), m)
			}
		}
		SUBQ(I32(-complexColumn), x)
		DECQ(left)
		JNZ(LabelRef("divide"))
		ADDQ(Imm(column), power)
	})
	w.end()
}

func (w width) units() {
	w.begin("units", "func(dst, bins *float64, n int)", "is dst = bin/|bin| of n bins, 0 for an empty one.")
	dst, bins, n := param("dst"), param("bins"), param("n")
	none := w.zero()
	repeat("loop", n, func() {
		for h := range w.parts {
			re, im := w.load(Mem{Base: bins, Disp: h * w.bytes}), w.load(Mem{Base: bins, Disp: column + h*w.bytes})
			m, t := w.mul(re, re), w.mul(im, im)
			VADDPD(t, m, m)
			VSQRTPD(m, m)
			VDIVPD(m, re, re)
			VDIVPD(m, im, im)
			if w.parts == 2 {
				some := w.vec()
				VCMPPD(Imm(0x1e), none, m, some) // m > 0, false for NaN
				VANDPD(some, re, re)
				VANDPD(some, im, im)
			} else {
				some := K()
				VCMPPD(Imm(0x1e), none, m, some)
				VMOVAPD_Z(re, some, re)
				VMOVAPD_Z(im, some, im)
			}
			VMOVUPD(re, Mem{Base: dst, Disp: h * w.bytes})
			VMOVUPD(im, Mem{Base: dst, Disp: column + h*w.bytes})
		}
		SUBQ(I32(-complexColumn), bins)
		SUBQ(I32(-complexColumn), dst)
	})
	w.end()
}

// lagSums keeps the four sums of half a row in registers. The sign is added as ±1.
func (w width) lagSums() {
	w.begin("lagSums", "func(dst, x, y *float64, n int)", "adds Im, |Im|, Im^2 and the sign of Im of n terms conj(x_i) y_l to rows i, 8+i, 16+i and 24+i of dst.")
	dst, x, y, n := param("dst"), param("x"), param("y"), param("n")
	abs, none, one := w.vec(), w.zero(), w.vec()
	VPCMPEQQ(abs, abs, abs)
	VPSRLQ(Imm(1), abs, abs)
	word := GP64()
	MOVQ(U64(0x3ff0000000000000), word)
	MOVQ(word, one.AsX())
	VBROADCASTSD(one.AsX(), one)
	eachRow(func(row reg.GPVirtual) {
		var s [4][2]reg.VecVirtual
		for i := range s {
			s[i] = w.columns(dst, 8*i*column)
		}
		terms(x, y, n, func(at, of reg.GPVirtual) {
			for h := range w.parts {
				im := w.spread(Mem{Base: at, Index: row, Scale: 8})
				VMULPD(Mem{Base: of, Disp: column + h*w.bytes}, im, im)
				t := w.spread(Mem{Base: at, Index: row, Scale: 8, Disp: column})
				VMULPD(Mem{Base: of, Disp: h * w.bytes}, t, t)
				VSUBPD(t, im, im)
				VADDPD(im, s[0][h], s[0][h])
				VANDPD(abs, im, t)
				VADDPD(t, s[1][h], s[1][h])
				VMULPD(im, im, t)
				VADDPD(t, s[2][h], s[2][h])
				VCMPPD(Imm(0x1e), none, im, t) // im > 0
				VANDPD(one, t, t)
				VADDPD(t, s[3][h], s[3][h])
				VCMPPD(Imm(0x11), none, im, t) // im < 0
				VANDPD(one, t, t)
				VSUBPD(t, s[3][h], s[3][h])
			}
		})
		for i := range s {
			w.store(s[i], dst, 8*i*column)
		}
		ADDQ(Imm(column), dst)
	})
	w.end()
}
