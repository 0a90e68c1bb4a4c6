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

// oddScratch holds sums and differences of a butterfly: real, imaginary.
type oddScratch struct{ t, d [2][largestPrime / 2]Vec }

// radixOddPlain: with t = x[p]+x[r-p], d = x[p]-x[r-p] for p = 1 to h = (r-1)/2,
//
//	m = x[0] + sum cos(2 pi a p/r) t,   s = sum sin(2 pi a p/r) d
//
// outputs a and r-a are (m - i s) and (m + i s) times their twiddles. roots holds the
// h x h cosines, then the sines.
func radixOddPlain(work []Vec, twiddle, roots []float64, size, r int, scratch *oddScratch) {
	q, h := size/r, (r-1)/2
	t, d := &scratch.t, &scratch.d
	for base := 0; base+size <= len(work)/2; base += size {
		for j := range q {
			at := func(k int) int { return 2 * (base + j + k*q) }
			tw := twiddle[2*(r-1)*j:]
			for half := range 2 {
				x0 := &work[at(0)+half]
				y0 := *x0
				for p := 1; p <= h; p++ {
					a, b, u, v := &work[at(p)+half], &work[at(r-p)+half], &t[half][p-1], &d[half][p-1]
					for l := range u {
						u[l], v[l] = a[l]+b[l], a[l]-b[l]
						y0[l] += u[l]
					}
				}
				for a := 1; a <= h; a++ { // m_a and s_a take the places of x[a] and x[r-a]
					c, s := roots[(a-1)*h:a*h], roots[h*h+(a-1)*h:h*h+a*h]
					m, n := &work[at(a)+half], &work[at(r-a)+half]
					for l := range m {
						u, v := x0[l]+float64(c[0]*t[half][0][l]), float64(s[0]*d[half][0][l])
						for p := 1; p < len(c); p++ {
							u += float64(c[p] * t[half][p][l])
							v += float64(s[p] * d[half][p][l])
						}
						m[l], n[l] = u, v
					}
				}
				*x0 = y0
			}
			for a := 1; a <= h; a++ {
				mr, mi := &work[at(a)], &work[at(a)+1]
				sr, si := &work[at(r-a)], &work[at(r-a)+1]
				ar, ai, br, bi := tw[2*a-2], tw[2*a-1], tw[2*(r-a)-2], tw[2*(r-a)-1]
				for l := range mr {
					ur, ui := mr[l]+si[l], mi[l]-sr[l]
					vr, vi := mr[l]-si[l], mi[l]+sr[l]
					mr[l], mi[l] = float64(ur*ar)-float64(ui*ai), float64(ur*ai)+float64(ui*ar)
					sr[l], si[l] = float64(vr*br)-float64(vi*bi), float64(vr*bi)+float64(vi*br)
				}
			}
		}
	}
}

// postBin makes bin k from places zp of Z[k] and zq of Z[m-k]; post begins with W^k.
func postBin(re, im *Vec, work []Vec, zp, zq int32, post []float64) {
	pr, pi := &work[zp], &work[zp+1]
	qr, qi := &work[zq], &work[zq+1]
	c, s := post[0], post[1]
	for l := range re {
		er, ei := pr[l]+qr[l], pi[l]-qi[l]
		or, oi := pi[l]+qi[l], qr[l]-pr[l]
		re[l] = 0.5 * (er + (float64(or*c) - float64(oi*s)))
		im[l] = 0.5 * (ei + (float64(or*s) + float64(oi*c)))
	}
}

// postPairPlain makes bins k (low) and m-k (high), whose W is the mirror image.
func postPairPlain(low, high *[2]Vec, work []Vec, zp, zq int32, post []float64) {
	pr, pi := &work[zp], &work[zp+1]
	qr, qi := &work[zq], &work[zq+1]
	c, s := post[0], post[1]
	for l := range pr {
		er, ei := pr[l]+qr[l], pi[l]-qi[l]
		or, oi := pi[l]+qi[l], qr[l]-pr[l]
		ur, ui := float64(or*c)-float64(oi*s), float64(or*s)+float64(oi*c)
		low[0][l], low[1][l] = 0.5*(er+ur), 0.5*(ei+ui)
		high[0][l], high[1][l] = 0.5*(er-ur), 0.5*(ui-ei)
	}
}
