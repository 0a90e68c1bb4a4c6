package features

// The kernels in this file are the reference: assembly gives the same bits. No
// product is fused with a sum, and every sum has one order.

// sumPlain adds up every lane, oldest first.
func sumPlain(x []vec) vec {
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
	return s
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
