package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const complexColumn = 2 * column // a real and an imaginary column

// transforms writes the kernels of stream/fft.
func transforms() {
	for _, w := range widths {
		w.loadWindow()
		w.loadRadix4()
		w.radix4()
		w.radix4Last()
		w.radix2()
		w.radix2Last()
		w.radixOdd(3)
		w.radixOdd(5)
		w.postPairs()
		w.postSingles()
	}
}

func (w width) loadWindow() {
	w.begin("load", "func(dst, src *float64, n int, window, offset *float64)", "is dst = (src - offset) window over n columns.")
	dst, src, n, window, offset := param("dst"), param("src"), param("n"), param("window"), param("offset")
	var o [2]reg.VecVirtual
	for h := range w.parts {
		o[h] = w.load(Mem{Base: offset, Disp: h * w.bytes})
	}
	repeat("loop", n, func() {
		f := w.spread(Mem{Base: window})
		for h := range w.parts {
			v := w.sub(w.load(Mem{Base: src, Disp: h * w.bytes}), o[h])
			VMULPD(f, v, v)
			VMOVUPD(v, Mem{Base: dst, Disp: h * w.bytes})
		}
		ADDQ(Imm(8), window)
		ADDQ(Imm(column), src)
		ADDQ(Imm(column), dst)
	})
	w.end()
}

// loadRadix4 is loadWindow and then radix4 of one block: what is loaded is not stored
// before it is split.
func (w width) loadRadix4() {
	w.begin("loadRadix4", "func(work, src *float64, q int, window, offset, twiddle *float64)", "splits the 4q complex columns (src - offset) window, q > 0.")
	work, src, q, window, tw := param("work"), param("src"), param("q"), param("window"), param("twiddle")
	o := w.columns(param("offset"), 0)
	// The second quarter of each begins a stride after the first.
	quarters := func(base, second, stride reg.GPVirtual, shift uint64) func(k, disp int) Mem {
		MOVQ(q, stride)
		SHLQ(Imm(shift), stride)
		LEAQ(Mem{Base: base, Index: stride, Scale: 1}, second)
		return func(k, disp int) Mem {
			m := Mem{Base: base, Disp: disp}
			if k%2 == 1 {
				m.Base = second
			}
			if k > 1 {
				m.Index, m.Scale = stride, 2
			}
			return m
		}
	}
	work1, src1, window1, stride, less := GP64(), GP64(), GP64(), GP64(), GP64()
	to := quarters(work, work1, stride, 7)
	from := quarters(src, src1, stride, 7)
	weight := quarters(window, window1, less, 4)
	Label("loop")
	for h := range w.parts {
		w.butterfly4(func(k, half int) reg.VecVirtual {
			v := w.sub(w.load(from(k, half*column+h*w.bytes)), o[h])
			VMULPD(w.spread(weight(k, 8*half)), v, v)
			return v
		}, func(k int, re, im reg.VecVirtual) {
			if k > 0 {
				re, im = w.times(re, im, w.spread(Mem{Base: tw, Disp: 16*k - 16}), w.spread(Mem{Base: tw, Disp: 16*k - 8}))
			}
			VMOVUPD(re, to(k, h*w.bytes))
			VMOVUPD(im, to(k, column+h*w.bytes))
		})
	}
	for _, p := range []reg.GPVirtual{work, work1, src, src1} {
		SUBQ(I32(-complexColumn), p)
	}
	ADDQ(Imm(16), window)
	ADDQ(Imm(16), window1)
	ADDQ(Imm(48), tw)
	DECQ(q)
	JNZ(LabelRef("loop"))
	w.end()
}

// butterfly4 splits four complex columns: a+c+(b+d), (a-c)-i(b-d), a+c-(b+d),
// (a-c)+i(b-d).
func (w width) butterfly4(get func(k, half int) reg.VecVirtual, store func(k int, re, im reg.VecVirtual)) {
	ar, ai, cr, ci := get(0, 0), get(0, 1), get(2, 0), get(2, 1)
	t0r, t0i := w.add(ar, cr), w.add(ai, ci)
	VSUBPD(cr, ar, ar)
	VSUBPD(ci, ai, ai)
	br, bi, dr, di := get(1, 0), get(1, 1), get(3, 0), get(3, 1)
	t2r, t2i := w.add(br, dr), w.add(bi, di)
	VSUBPD(dr, br, br)
	VSUBPD(di, bi, bi)
	store(0, w.add(t0r, t2r), w.add(t0i, t2i))
	VSUBPD(t2r, t0r, t0r)
	VSUBPD(t2i, t0i, t0i)
	store(2, t0r, t0i)
	store(1, w.add(ar, bi), w.sub(ai, br))
	VSUBPD(bi, ar, ar)
	VADDPD(br, ai, ai)
	store(3, ar, ai)
}

func (w width) radix4() {
	w.begin("radix4", "func(work *float64, blocks, q int, twiddle *float64)", "splits blocks of 4q complex columns, q > 0.")
	work, blocks, q, twiddle := param("work"), param("blocks"), param("q"), param("twiddle")
	stride, second, left, tw := GP64(), GP64(), GP64(), GP64()
	MOVQ(q, stride)
	SHLQ(Imm(7), stride) // bytes of a quarter block
	repeat("block", blocks, func() {
		LEAQ(Mem{Base: work, Index: stride, Scale: 1}, second)
		MOVQ(q, left)
		MOVQ(twiddle, tw)
		Label("loop")
		var c [6]reg.VecVirtual
		for i := range c {
			c[i] = w.spread(Mem{Base: tw, Disp: 8 * i})
		}
		for h := range w.parts {
			at := func(k, half int) Mem {
				disp := half*column + h*w.bytes
				switch k {
				case 0:
					return Mem{Base: work, Disp: disp}
				case 1:
					return Mem{Base: second, Disp: disp}
				case 2:
					return Mem{Base: work, Index: stride, Scale: 2, Disp: disp}
				}
				return Mem{Base: second, Index: stride, Scale: 2, Disp: disp}
			}
			w.butterfly4(func(k, half int) reg.VecVirtual { return w.load(at(k, half)) }, func(k int, re, im reg.VecVirtual) {
				if k > 0 {
					re, im = w.times(re, im, c[2*k-2], c[2*k-1])
				}
				VMOVUPD(re, at(k, 0))
				VMOVUPD(im, at(k, 1))
			})
		}
		SUBQ(I32(-complexColumn), work)
		SUBQ(I32(-complexColumn), second)
		ADDQ(Imm(48), tw)
		DECQ(left)
		JNZ(LabelRef("loop"))
		LEAQ(Mem{Base: second, Index: stride, Scale: 2}, work)
	})
	w.end()
}

func (w width) radix4Last() {
	w.begin("radix4Last", "func(work *float64, blocks int)", "splits blocks of four complex columns, whose twiddles are one.")
	work, blocks := param("work"), param("blocks")
	repeat("loop", blocks, func() {
		for h := range w.parts {
			at := func(k, half int) Mem { return Mem{Base: work, Disp: k*complexColumn + half*column + h*w.bytes} }
			w.butterfly4(func(k, half int) reg.VecVirtual { return w.load(at(k, half)) }, func(k int, re, im reg.VecVirtual) {
				VMOVUPD(re, at(k, 0))
				VMOVUPD(im, at(k, 1))
			})
		}
		ADDQ(I32(4*complexColumn), work)
	})
	w.end()
}

func (w width) radix2() {
	w.begin("radix2", "func(work *float64, blocks, q int, twiddle *float64)", "splits blocks of 2q complex columns, q > 0: a+b, (a-b) w.")
	work, blocks, q, twiddle := param("work"), param("blocks"), param("q"), param("twiddle")
	stride, left, tw := GP64(), GP64(), GP64()
	MOVQ(q, stride)
	SHLQ(Imm(7), stride)
	repeat("block", blocks, func() {
		MOVQ(q, left)
		MOVQ(twiddle, tw)
		Label("loop")
		cr, ci := w.spread(Mem{Base: tw}), w.spread(Mem{Base: tw, Disp: 8})
		for h := range w.parts {
			at := func(k, half int) Mem {
				m := Mem{Base: work, Disp: half*column + h*w.bytes}
				if k == 1 {
					m.Index, m.Scale = stride, 1
				}
				return m
			}
			ar, ai, br, bi := w.load(at(0, 0)), w.load(at(0, 1)), w.load(at(1, 0)), w.load(at(1, 1))
			VMOVUPD(w.add(ar, br), at(0, 0))
			VMOVUPD(w.add(ai, bi), at(0, 1))
			re, im := w.times(w.sub(ar, br), w.sub(ai, bi), cr, ci)
			VMOVUPD(re, at(1, 0))
			VMOVUPD(im, at(1, 1))
		}
		SUBQ(I32(-complexColumn), work)
		ADDQ(Imm(16), tw)
		DECQ(left)
		JNZ(LabelRef("loop"))
		ADDQ(stride, work)
	})
	w.end()
}

func (w width) radix2Last() {
	w.begin("radix2Last", "func(work *float64, blocks int)", "splits blocks of two complex columns, whose twiddle is one.")
	work, blocks := param("work"), param("blocks")
	repeat("loop", blocks, func() {
		for h := range 2 * w.parts { // real and imaginary columns alike
			at := func(k int) Mem { return Mem{Base: work, Disp: k*complexColumn + h*w.bytes} }
			a, b := w.load(at(0)), w.load(at(1))
			VMOVUPD(w.add(a, b), at(0))
			VMOVUPD(w.sub(a, b), at(1))
		}
		ADDQ(I32(2*complexColumn), work)
	})
	w.end()
}

// radixOdd splits blocks of r quarters, r odd. With t = x[p]+x[r-p], d = x[p]-x[r-p]
// for p = 1 to h = (r-1)/2, m = x[0] + sum cos(2 pi a p/r) t, s = sum sin(2 pi a p/r) d,
// outputs a and r-a are m - i s and m + i s, times their twiddles.
func (w width) radixOdd(r int) {
	h := (r - 1) / 2
	w.begin(fmt.Sprintf("radix%d", r), "func(work *float64, blocks, q int, twiddle, roots *float64)", fmt.Sprintf("splits blocks of %dq complex columns, q > 0.", r))
	work, blocks, q, twiddle, roots := param("work"), param("blocks"), param("q"), param("twiddle"), param("roots")
	stride, left, tw := GP64(), GP64(), GP64()
	MOVQ(q, stride)
	SHLQ(Imm(7), stride)
	base := make([]reg.GPVirtual, r) // of every r-th part
	base[0] = work
	for k := 1; k < r; k++ {
		base[k] = GP64()
	}
	repeat("block", blocks, func() {
		for k := 1; k < r; k++ {
			LEAQ(Mem{Base: base[k-1], Index: stride, Scale: 1}, base[k])
		}
		MOVQ(q, left)
		MOVQ(twiddle, tw)
		Label("loop")
		for part := range w.parts {
			at := func(k, half int) Mem { return Mem{Base: base[k], Disp: half*column + part*w.bytes} }
			var x0, t, d [2][]reg.VecVirtual // real, imaginary
			for half := range 2 {
				for p := 1; p <= h; p++ {
					a, b := w.load(at(p, half)), w.load(at(r-p, half))
					t[half] = append(t[half], w.add(a, b))
					VSUBPD(b, a, a)
					d[half] = append(d[half], a)
				}
			}
			var m, s [2][]reg.VecVirtual
			for half := range 2 {
				x := w.load(at(0, half))
				x0[half] = append(x0[half], x)
				y := w.add(x, t[half][0])
				for p := 1; p < h; p++ {
					VADDPD(t[half][p], y, y)
				}
				VMOVUPD(y, at(0, half))
				m[half] = w.combine(x, t[half], roots, 0)
			}
			for half := range 2 {
				s[half] = w.combine(nil, d[half], roots, h*h)
			}
			for a := 1; a <= h; a++ {
				mr, mi, sr, si := m[0][a-1], m[1][a-1], s[0][a-1], s[1][a-1]
				w.turn(w.add(mr, si), w.sub(mi, sr), tw, a, at(a, 0), at(a, 1))
				VSUBPD(si, mr, mr)
				VADDPD(sr, mi, mi)
				w.turn(mr, mi, tw, r-a, at(r-a, 0), at(r-a, 1))
			}
		}
		for k := range r {
			SUBQ(I32(-complexColumn), base[k])
		}
		ADDQ(Imm(uint64(16*(r-1))), tw)
		DECQ(left)
		JNZ(LabelRef("loop"))
		MOVQ(base[r-1], work)
	})
	w.end()
}

// combine returns x + sum over p of f[a,p] v[p] for every a, with f from row first on;
// without x the first product begins the sum.
func (w width) combine(x reg.Register, v []reg.VecVirtual, roots reg.GPVirtual, first int) (out []reg.VecVirtual) {
	for a := range v {
		var sum reg.VecVirtual
		for p := range v {
			t := w.spread(Mem{Base: roots, Disp: 8 * (first + a*len(v) + p)})
			VMULPD(v[p], t, t)
			switch {
			case p > 0:
				VADDPD(t, sum, sum)
			case x != nil:
				VADDPD(x, t, t)
				sum = t
			default:
				sum = t
			}
		}
		out = append(out, sum)
	}
	return out
}

// turn stores re + i im times twiddle a.
func (w width) turn(re, im reg.VecVirtual, tw reg.GPVirtual, a int, toRe, toIm Mem) {
	re, im = w.times(re, im, w.spread(Mem{Base: tw, Disp: 16 * (a - 1)}), w.spread(Mem{Base: tw, Disp: 16*(a-1) + 8}))
	VMOVUPD(re, toRe)
	VMOVUPD(im, toIm)
}

// half returns 0.5 in every lane.
func (w width) half() reg.VecVirtual {
	word, v := GP64(), w.vec()
	MOVQ(U64(0x3fe0000000000000), word)
	MOVQ(word, v.AsX())
	VBROADCASTSD(v.AsX(), v)
	return v
}

// place returns the address in work of the frequency whose place is at m.
func place(work reg.GPVirtual, m Mem) reg.GPVirtual {
	z := GP64()
	MOVLQSX(m, z)
	SHLQ(Imm(6), z)
	ADDQ(work, z)
	return z
}

// evenOdd computes 2E = Z[k] + Z*[m-k] and 2O W^k, O = -i(Z[k] - Z*[m-k]).
func (w width) evenOdd(zp, zq reg.GPVirtual, h int, c, s Op) (er, ei, or, oi reg.VecVirtual) {
	pr, pi := w.load(Mem{Base: zp, Disp: h * w.bytes}), w.load(Mem{Base: zp, Disp: column + h*w.bytes})
	qr, qi := w.load(Mem{Base: zq, Disp: h * w.bytes}), w.load(Mem{Base: zq, Disp: column + h*w.bytes})
	er, ei = w.add(pr, qr), w.sub(pi, qi)
	VADDPD(qi, pi, pi)
	VSUBPD(pr, qr, qr)
	or, oi = w.times(pi, qr, c, s)
	return er, ei, or, oi
}

func (w width) postPairs() {
	w.begin("postPairs", "func(low, high, work *float64, up, down *int32, post *float64, n int)",
		"makes n bins at low, upwards, and their mirror images at high, downwards.")
	low, high, work, up, down, post, n := param("low"), param("high"), param("work"), param("up"), param("down"), param("post"), param("n")
	half := w.half()
	repeat("loop", n, func() {
		zp, zq := place(work, Mem{Base: up}), place(work, Mem{Base: down})
		c, s := w.spread(Mem{Base: post}), w.spread(Mem{Base: post, Disp: 8})
		for h := range w.parts {
			er, ei, or, oi := w.evenOdd(zp, zq, h, c, s)
			put := func(v reg.VecVirtual, base reg.GPVirtual, disp int) {
				VMULPD(half, v, v)
				VMOVUPD(v, Mem{Base: base, Disp: disp + h*w.bytes})
			}
			put(w.add(er, or), low, 0)
			put(w.add(ei, oi), low, column)
			put(w.sub(er, or), high, 0)
			put(w.sub(oi, ei), high, column)
		}
		ADDQ(Imm(4), up)
		SUBQ(Imm(4), down)
		ADDQ(Imm(16), post)
		SUBQ(I32(-complexColumn), low)
		ADDQ(I32(-complexColumn), high)
	})
	w.end()
}

func (w width) postSingles() {
	w.begin("postSingles", "func(dst, work *float64, up, down *int32, post *float64, n int)", "makes n bins at dst.")
	dst, work, up, down, post, n := param("dst"), param("work"), param("up"), param("down"), param("post"), param("n")
	half := w.half()
	repeat("loop", n, func() {
		zp, zq := place(work, Mem{Base: up}), place(work, Mem{Base: down})
		c, s := w.spread(Mem{Base: post}), w.spread(Mem{Base: post, Disp: 8})
		for h := range w.parts {
			er, ei, or, oi := w.evenOdd(zp, zq, h, c, s)
			VADDPD(or, er, er)
			VADDPD(oi, ei, ei)
			VMULPD(half, er, er)
			VMULPD(half, ei, ei)
			VMOVUPD(er, Mem{Base: dst, Disp: h * w.bytes})
			VMOVUPD(ei, Mem{Base: dst, Disp: column + h*w.bytes})
		}
		ADDQ(Imm(4), up)
		SUBQ(Imm(4), down)
		ADDQ(Imm(16), post)
		SUBQ(I32(-complexColumn), dst)
	})
	w.end()
}
