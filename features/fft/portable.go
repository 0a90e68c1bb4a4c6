package fft

// The kernels below are the reference: assembly gives the same bits. No product is
// fused with a sum.

// loadWindowPlain is dst[i] = (src[i] - offset) * window[i].
func loadWindowPlain(dst, src []Vec, window []float64, offset *Vec) {
	o := *offset
	src, window = src[:len(dst)], window[:len(dst)]
	for i := range dst {
		x, y, w := &src[i], &dst[i], window[i]
		y[0] = (x[0] - o[0]) * w
		y[1] = (x[1] - o[1]) * w
		y[2] = (x[2] - o[2]) * w
		y[3] = (x[3] - o[3]) * w
		y[4] = (x[4] - o[4]) * w
		y[5] = (x[5] - o[5]) * w
		y[6] = (x[6] - o[6]) * w
		y[7] = (x[7] - o[7]) * w
	}
}

// radix4Plain: with a, b, c, d a quarter block apart,
//
//	a+c+(b+d)   ((a-c) - i(b-d)) w1   (a+c-(b+d)) w2   ((a-c) + i(b-d)) w3
func radix4Plain(work []Vec, twiddle []float64, size int) {
	q := size / 4
	for base := 0; base+size <= len(work)/2; base += size {
		block := work[2*base : 2*(base+size)]
		a, b := block[:2*q], block[2*q:4*q]
		c, d := block[4*q:6*q], block[6*q:8*q]
		for j := range q {
			w := (*[6]float64)(twiddle[6*j:])
			w1r, w1i, w2r, w2i, w3r, w3i := w[0], w[1], w[2], w[3], w[4], w[5]
			ar, ai := &a[2*j], &a[2*j+1]
			br, bi := &b[2*j], &b[2*j+1]
			cr, ci := &c[2*j], &c[2*j+1]
			dr, di := &d[2*j], &d[2*j+1]
			for l := range ar {
				t0r, t1r := ar[l]+cr[l], ar[l]-cr[l]
				t0i, t1i := ai[l]+ci[l], ai[l]-ci[l]
				t2r, t3r := br[l]+dr[l], br[l]-dr[l]
				t2i, t3i := bi[l]+di[l], bi[l]-di[l]
				ar[l], ai[l] = t0r+t2r, t0i+t2i
				u1r, u1i := t1r+t3i, t1i-t3r
				u2r, u2i := t0r-t2r, t0i-t2i
				u3r, u3i := t1r-t3i, t1i+t3r
				br[l], bi[l] = float64(u1r*w1r)-float64(u1i*w1i), float64(u1r*w1i)+float64(u1i*w1r)
				cr[l], ci[l] = float64(u2r*w2r)-float64(u2i*w2i), float64(u2r*w2i)+float64(u2i*w2r)
				dr[l], di[l] = float64(u3r*w3r)-float64(u3i*w3i), float64(u3r*w3i)+float64(u3i*w3r)
			}
		}
	}
}

// radix4LastPlain is radix4 for blocks of four, whose twiddles are one.
func radix4LastPlain(work []Vec) {
	for len(work) >= 8 {
		x := (*[8]Vec)(work)
		for l := range x[0] {
			t0r, t1r := x[0][l]+x[4][l], x[0][l]-x[4][l]
			t0i, t1i := x[1][l]+x[5][l], x[1][l]-x[5][l]
			t2r, t3r := x[2][l]+x[6][l], x[2][l]-x[6][l]
			t2i, t3i := x[3][l]+x[7][l], x[3][l]-x[7][l]
			x[0][l], x[1][l] = t0r+t2r, t0i+t2i
			x[2][l], x[3][l] = t1r+t3i, t1i-t3r
			x[4][l], x[5][l] = t0r-t2r, t0i-t2i
			x[6][l], x[7][l] = t1r-t3i, t1i+t3r
		}
		work = work[8:]
	}
}

// radix2Plain: a+b, (a-b) w.
func radix2Plain(work []Vec, twiddle []float64, size int) {
	q := size / 2
	if q == 1 {
		for len(work) >= 4 {
			x := (*[4]Vec)(work)
			for l := range x[0] {
				x[0][l], x[2][l] = x[0][l]+x[2][l], x[0][l]-x[2][l]
				x[1][l], x[3][l] = x[1][l]+x[3][l], x[1][l]-x[3][l]
			}
			work = work[4:]
		}
		return
	}
	for base := 0; base+size <= len(work)/2; base += size {
		block := work[2*base : 2*(base+size)]
		a, b := block[:2*q], block[2*q:4*q]
		for j := range q {
			wr, wi := twiddle[2*j], twiddle[2*j+1]
			ar, ai, br, bi := &a[2*j], &a[2*j+1], &b[2*j], &b[2*j+1]
			for l := range ar {
				ur, ui := ar[l]-br[l], ai[l]-bi[l]
				ar[l], ai[l] = ar[l]+br[l], ai[l]+bi[l]
				br[l], bi[l] = float64(ur*wr)-float64(ui*wi), float64(ur*wi)+float64(ui*wr)
			}
		}
	}
}

// postPassPlain makes the spectrum of 2m real points from the transform Z of the m
// complex ones: X[k] = (Z[k] + Z*[m-k])/2 - i W^k (Z[k] - Z*[m-k])/2.
func postPassPlain(dst, work []Vec, rev []int32, post []float64, lo, hi int) {
	m := len(rev)
	for k := lo; k < hi; k++ {
		p, q := k, m-k
		if k == m {
			p = 0
		}
		if k == 0 {
			q = 0
		}
		zp, zq := rev[p], rev[q]
		pr, pi := &work[zp], &work[zp+1]
		qr, qi := &work[zq], &work[zq+1]
		c, s := post[2*k], post[2*k+1]
		re, im := &dst[2*(k-lo)], &dst[2*(k-lo)+1]
		for l := range re {
			er, ei := pr[l]+qr[l], pi[l]-qi[l]
			or, oi := pi[l]+qi[l], qr[l]-pr[l]
			re[l] = 0.5 * (er + (float64(or*c) - float64(oi*s)))
			im[l] = 0.5 * (ei + (float64(or*s) + float64(oi*c)))
		}
	}
}
