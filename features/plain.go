package features

import "math"

// The kernels in this file are the reference: assembly gives the same bits. No
// product is fused with a sum, and every sum has one order.

// sumPlain adds up every lane, oldest first.
func sumPlain(dst *vec, x []vec) {
	var s vec
	for i := range x {
		v := &x[i]
		s[0] += v[0]
		s[1] += v[1]
		s[2] += v[2]
		s[3] += v[3]
		s[4] += v[4]
		s[5] += v[5]
		s[6] += v[6]
		s[7] += v[7]
	}
	*dst = s
}

// squaresPlain adds up (x-m)^2 of every lane, oldest first.
func squaresPlain(dst *vec, x []vec, m *vec) {
	var s vec
	o := *m
	for i := range x {
		v := &x[i]
		for l := range s {
			d := v[l] - o[l]
			s[l] += float64(d * d)
		}
	}
	*dst = s
}

// subtractPlain is dst[t] = x[t] - m.
func subtractPlain(dst, x []vec, m *vec) {
	o := *m
	x = x[:len(dst)]
	for t := range dst {
		d, v := &dst[t], &x[t]
		for l := range d {
			d[l] = v[l] - o[l]
		}
	}
}

// outerPlain adds sum over t of a[t][i] b[t][l] to acc[i][l].
func outerPlain(acc *[8]vec, a, b []vec) {
	b = b[:len(a)]
	for i := 0; i < 8; i += 2 {
		for l := 0; l < 8; l += 4 {
			p, q := &acc[i], &acc[i+1]
			p0, p1, p2, p3 := p[l], p[l+1], p[l+2], p[l+3]
			q0, q1, q2, q3 := q[l], q[l+1], q[l+2], q[l+3]
			for t := range a {
				x, y := a[t][i], a[t][i+1]
				v := (*[4]float64)(b[t][l:])
				p0 += float64(x * v[0])
				p1 += float64(x * v[1])
				p2 += float64(x * v[2])
				p3 += float64(x * v[3])
				q0 += float64(y * v[0])
				q1 += float64(y * v[1])
				q2 += float64(y * v[2])
				q3 += float64(y * v[3])
			}
			p[l], p[l+1], p[l+2], p[l+3] = p0, p1, p2, p3
			q[l], q[l+1], q[l+2], q[l+3] = q0, q1, q2, q3
		}
	}
}

// powersPlain is dst[b] = |bin b|^2.
func powersPlain(dst, bins []vec) {
	bins = bins[:2*len(dst)]
	for b := range dst {
		d, re, im := &dst[b], &bins[2*b], &bins[2*b+1]
		for l := range d {
			d[l] = float64(re[l]*re[l]) + float64(im[l]*im[l])
		}
	}
}

// addRowsPlain adds b to a.
func addRowsPlain(a, b []vec) {
	b = b[:len(a)]
	for i := range a {
		x, y := &a[i], &b[i]
		x[0] += y[0]
		x[1] += y[1]
		x[2] += y[2]
		x[3] += y[3]
		x[4] += y[4]
		x[5] += y[5]
		x[6] += y[6]
		x[7] += y[7]
	}
}

// crossProductPlain adds sum_k conj(x_k) y_k of eight by eight channels: row i of x,
// lane j of y; x and y hold a real and an imaginary row per term.
func crossProductPlain(dst *[16]vec, x, y []vec) {
	y = y[:len(x)]
	for i := range 8 {
		re, im := &dst[i], &dst[8+i]
		for k := 0; k+1 < len(x); k += 2 {
			a, b := x[k][i], x[k+1][i]
			c, d := &y[k], &y[k+1]
			for l := range c {
				re[l] += float64(a*c[l]) + float64(b*d[l])
				im[l] += float64(a*d[l]) - float64(b*c[l])
			}
		}
	}
}

// crossMagnitudePlain adds |sum_k conj(x_k) y_k| for every bin of a band; from one to the
// next x and y are stride columns apart.
func crossMagnitudePlain(dst *[8]vec, x, y []vec, terms, bins, stride int) {
	for b := range bins {
		at := b * stride
		magnitudesPlain(dst, x[at:at+2*terms], y[at:at+2*terms])
	}
}

// magnitudesPlain is crossMagnitudePlain of one bin.
func magnitudesPlain(dst *[8]vec, x, y []vec) {
	y = y[:len(x)]
	for i := range 8 {
		var re, im vec
		for k := 0; k+1 < len(x); k += 2 {
			a, b := x[k][i], x[k+1][i]
			c, d := &y[k], &y[k+1]
			for l := 0; l < 8; l += 4 {
				c0, c1, c2, c3 := c[l], c[l+1], c[l+2], c[l+3]
				d0, d1, d2, d3 := d[l], d[l+1], d[l+2], d[l+3]
				re[l] += float64(a*c0) + float64(b*d0)
				re[l+1] += float64(a*c1) + float64(b*d1)
				re[l+2] += float64(a*c2) + float64(b*d2)
				re[l+3] += float64(a*c3) + float64(b*d3)
				im[l] += float64(a*d0) - float64(b*c0)
				im[l+1] += float64(a*d1) - float64(b*c1)
				im[l+2] += float64(a*d2) - float64(b*c2)
				im[l+3] += float64(a*d3) - float64(b*c3)
			}
		}
		out := &dst[i]
		for l := range out {
			out[l] += math.Sqrt(float64(re[l]*re[l]) + float64(im[l]*im[l]))
		}
	}
}

// normalisePlain sets power to sum |x|^2 over the terms of every cell (a real and an
// imaginary row each) and divides the terms by its root; without power they become 0.
func normalisePlain(power, x []vec, terms int) {
	for i := range power {
		cell := x[2*terms*i : 2*terms*(i+1)]
		var p, f vec
		for k := 0; k+1 < len(cell); k += 2 {
			re, im := &cell[k], &cell[k+1]
			for l := range p {
				p[l] += float64(re[l]*re[l]) + float64(im[l]*im[l])
			}
		}
		for l, v := range p {
			if v > 0 {
				f[l] = 1 / math.Sqrt(v)
			}
		}
		power[i] = p
		for k := range cell {
			v := &cell[k]
			for l := range v {
				v[l] *= f[l]
			}
		}
	}
}

// lagSumsPlain adds, over the terms of crossProduct, Im, |Im|, Im^2 and the sign of Im.
func lagSumsPlain(dst *[32]vec, x, y []vec) {
	y = y[:len(x)]
	for i := range 8 {
		sum, abs, squares, sign := &dst[i], &dst[8+i], &dst[16+i], &dst[24+i]
		for k := 0; k+1 < len(x); k += 2 {
			a, b := x[k][i], x[k+1][i]
			c, d := &y[k], &y[k+1]
			for l := range c {
				im := float64(a*d[l]) - float64(b*c[l])
				sum[l] += im
				abs[l] += math.Abs(im)
				squares[l] += float64(im * im)
				if im > 0 {
					sign[l]++
				} else if im < 0 {
					sign[l]--
				}
			}
		}
	}
}

// unitsPlain is dst = bin/|bin|, 0 for an empty bin.
func unitsPlain(dst, bins []vec) {
	bins = bins[:len(dst)]
	for b := 0; b+1 < len(dst); b += 2 {
		re, im := &bins[b], &bins[b+1]
		for l := range re {
			m := math.Sqrt(float64(re[l]*re[l]) + float64(im[l]*im[l]))
			if m > 0 {
				dst[b][l], dst[b+1][l] = re[l]/m, im[l]/m
			} else {
				dst[b][l], dst[b+1][l] = 0, 0
			}
		}
	}
}
