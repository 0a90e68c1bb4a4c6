package features

import (
	"fmt"
	"math"
	"slices"
)

// VAR is a vector autoregressive model of n channels,
//
//	x[t] = sum over k = 1..p of A_k x[t-k] + e[t],  cov(e) = Sigma
//
// fitted to one window in memory that it keeps; one goroutine at a time.
//
//	A(f) = I - sum A_k exp(-2 pi i f k/fs),  H = A^-1,  S = H Sigma H^H/fs  (two-sided)
type VAR struct {
	Order int       // of the newest fit
	A     []float64 // Order x n x n: A[(k*n+i)*n+j] is what channel j at lag k+1 does to i
	Sigma []float64 // n x n

	n, most, samples int
	z                []float64 // design matrix and right-hand sides, column by column
	f, b             []float64 // forward and backward errors, n x samples
	back, old        []float64 // backward coefficients, and what a step replaces
	pf, pb           []float64 // prediction error covariances
	lf, lb           []float64 // their Cholesky factors
	m                [6][]float64
	eig              [2][]float64
}

// NewVAR prepares for windows of samples of n channels and orders up to most.
func NewVAR(n, most, samples int) *VAR {
	v := &VAR{n: n, most: most, samples: samples}
	v.A, v.Sigma = make([]float64, most*n*n), make([]float64, n*n)
	v.z = make([]float64, n*(most+1)*samples)
	v.f, v.b = make([]float64, n*samples), make([]float64, n*samples)
	v.back, v.old = make([]float64, most*n*n), make([]float64, 2*most*n*n)
	for _, m := range []*[]float64{&v.pf, &v.pb, &v.lf, &v.lb, &v.m[0], &v.m[1], &v.m[2], &v.m[3], &v.m[4], &v.m[5]} {
		*m = make([]float64, n*n)
	}
	v.eig[0], v.eig[1] = make([]float64, n), make([]float64, n)
	return v
}

// LeastSquares fits x (n rows of samples, mean removed) by Householder's QR of the
// lagged values; Sigma divides by samples - order. It reports whether the lagged values
// are independent enough (a channel without variance, or a copy of another, is not).
// Cost: O(samples (n order)^2).
func (v *VAR) LeastSquares(x [][]float64, order int) bool {
	n, rows, cols := v.n, len(x[0])-order, v.n*order
	if rows <= cols {
		return false
	}
	z := v.z[:rows*(cols+n)]
	for k := range order {
		for j := range n {
			copy(z[(k*n+j)*rows:(k*n+j+1)*rows], x[j][order-1-k:])
		}
	}
	for i := range n {
		copy(z[(cols+i)*rows:(cols+i+1)*rows], x[i][order:])
	}
	for c := range cols {
		u := z[c*rows+c : (c+1)*rows]
		var tail, whole float64
		for _, w := range u {
			tail += w * w
		}
		for _, w := range z[c*rows : c*rows+c] {
			whole += w * w
		}
		if !(tail > 1e-20*(whole+tail)) {
			return false
		}
		alpha := -math.Copysign(math.Sqrt(tail), u[0])
		u[0] -= alpha
		beta := -1 / (alpha * u[0])
		for k := c + 1; k < cols+n; k++ {
			w := z[k*rows+c : (k+1)*rows]
			var s float64
			for i, a := range u {
				s += a * w[i]
			}
			s *= beta
			for i, a := range u {
				w[i] -= s * a
			}
		}
		u[0] = alpha
	}
	v.Order = order
	for i := range n { // R A' = Q' Y
		y := z[(cols+i)*rows : (cols+i+1)*rows]
		for c := cols - 1; c >= 0; c-- {
			s := y[c]
			for k := c + 1; k < cols; k++ {
				s -= z[k*rows+c] * v.A[(k/n*n+i)*n+k%n]
			}
			v.A[(c/n*n+i)*n+c%n] = s / z[c*rows+c]
		}
		for j := 0; j <= i; j++ {
			var s float64
			for t := cols; t < rows; t++ {
				s += y[t] * z[(cols+j)*rows+t]
			}
			s /= float64(rows)
			v.Sigma[i*n+j], v.Sigma[j*n+i] = s, s
		}
	}
	return true
}

// NuttallStrand fits x (n rows of samples, mean removed) by the multichannel form of
// Burg's recursion, whose models are stable by construction. With Rff, Rbb, Rfb the
// products of forward and backward errors, every order solves
//
//	Rff Pf^-1 D + D Pb^-1 Rbb = 2 Rfb,  A_m = D Pb^-1,  B_m = D^T Pf^-1
//
// (Strand 1977; Marple and Nuttall 1983) by the eigenvectors of both sides. It reports
// whether the error covariances stayed positive. Cost: O(order (samples n^2 + n^3)).
func (v *VAR) NuttallStrand(x [][]float64, order int) bool {
	n, size := v.n, len(x[0])
	for i := range n {
		copy(v.f[i*v.samples:], x[i])
		copy(v.b[i*v.samples:], x[i])
	}
	v.products(v.pf, v.f, v.f, 0, size, 0, 0)
	for i := range v.pf {
		v.pf[i] /= float64(size)
	}
	copy(v.pb, v.pf)
	for m := 1; m <= order; m++ {
		if !lowerFactor(v.lf, v.pf, n) || !lowerFactor(v.lb, v.pb, n) {
			return false
		}
		rff, rbb, rfb, u, w, t := v.m[0], v.m[1], v.m[2], v.m[3], v.m[4], v.m[5]
		v.products(rff, v.f, v.f, m, size, 0, 0)
		v.products(rbb, v.b, v.b, m, size, -1, -1)
		v.products(rfb, v.f, v.b, m, size, 0, -1)
		whiten(rff, v.lf, v.lf, n)
		whiten(rbb, v.lb, v.lb, n)
		whiten(rfb, v.lf, v.lb, n)
		symmetricEigen(rff, u, v.eig[0], n)
		symmetricEigen(rbb, w, v.eig[1], n)
		multiply(t, u, rfb, n, true, false)
		multiply(rfb, t, w, n, false, false)
		for i := range n {
			for j := range n {
				rfb[i*n+j] *= 2 / (v.eig[0][i] + v.eig[1][j])
			}
		}
		multiply(t, u, rfb, n, false, false)
		multiply(rfb, t, w, n, false, true) // X: D = Lf X Lb^T
		d, am, bm := v.m[3], v.m[0], v.m[1]
		multiply(t, v.lf, rfb, n, false, false)
		multiply(d, t, v.lb, n, false, true)
		divide(am, t, v.lb, n) // A_m = Lf X Lb^-1
		transpose(rfb, n)
		multiply(t, v.lb, rfb, n, false, false)
		divide(bm, t, v.lf, n) // B_m = Lb X^T Lf^-1
		v.step(am, bm, m)
		multiply(t, am, d, n, false, true) // A_m D^T
		for i := range t {
			v.pf[i] -= t[i]
		}
		multiply(t, bm, d, n, false, false) // B_m D
		for i := range t {
			v.pb[i] -= t[i]
		}
		v.errors(am, bm, m, size)
	}
	v.Order = order
	for i := range n {
		for j := range n {
			v.Sigma[i*n+j] = (v.pf[i*n+j] + v.pf[j*n+i]) / 2
		}
	}
	return true
}

// products is dst[i][j] = sum over t = from..size-1 of a_i[t+sa] b_j[t+sb].
func (v *VAR) products(dst, a, b []float64, from, size, sa, sb int) {
	n := v.n
	for i := range n {
		p := a[i*v.samples+from+sa : i*v.samples+size+sa]
		for j := range n {
			q := b[j*v.samples+from+sb : j*v.samples+size+sb]
			var s float64
			for t, x := range p {
				s += x * q[t]
			}
			dst[i*n+j] = s
		}
	}
}

// step extends the coefficients by order m: A_k -= A_m B_(m-k), B_k -= B_m A_(m-k).
func (v *VAR) step(am, bm []float64, m int) {
	n := v.n
	nn := n * n
	copy(v.old, v.A[:(m-1)*nn])
	copy(v.old[v.most*nn:], v.back[:(m-1)*nn])
	for k := 1; k < m; k++ {
		a, b := v.A[(k-1)*nn:k*nn], v.back[(k-1)*nn:k*nn]
		oldA, oldB := v.old[(m-k-1)*nn:(m-k)*nn], v.old[(v.most+m-k-1)*nn:(v.most+m-k)*nn]
		for i := range n {
			for j := range n {
				var s, r float64
				for h := range n {
					s += am[i*n+h] * oldB[h*n+j]
					r += bm[i*n+h] * oldA[h*n+j]
				}
				a[i*n+j] -= s
				b[i*n+j] -= r
			}
		}
	}
	copy(v.A[(m-1)*nn:], am)
	copy(v.back[(m-1)*nn:], bm)
}

// errors makes the errors of order m: f[t] -= A_m b[t-1], b[t] = b[t-1] - B_m f[t].
func (v *VAR) errors(am, bm []float64, m, size int) {
	n, s := v.n, v.samples
	oldF, oldB := v.eig[0], v.eig[1]
	for t := size - 1; t >= m; t-- {
		for i := range n {
			oldF[i], oldB[i] = v.f[i*s+t], v.b[i*s+t-1]
		}
		for i := range n {
			f, b := oldF[i], oldB[i]
			for j := range n {
				f -= am[i*n+j] * oldB[j]
				b -= bm[i*n+j] * oldF[j]
			}
			v.f[i*s+t], v.b[i*s+t] = f, b
		}
	}
}

// LogDet is the logarithm of Sigma's determinant, minus infinity when it is not positive.
func (v *VAR) LogDet() float64 {
	if !lowerFactor(v.m[0], v.Sigma, v.n) {
		return math.Inf(-1)
	}
	var s float64
	for i := range v.n {
		s += 2 * math.Log(v.m[0][i*v.n+i])
	}
	return s
}

// Radius estimates the spectral radius of the companion matrix, which is below 1 for a
// stable model, as |C^k|^(1/k), k = 2^16. scratch holds 2 (n order)^2 numbers.
func (v *VAR) Radius(scratch []float64) float64 {
	n := v.n
	size := n * v.Order
	c, next := scratch[:size*size], scratch[size*size:2*size*size]
	clear(c)
	for k := range v.Order {
		for i := range n {
			copy(c[i*size+k*n:], v.A[(k*n+i)*n:(k*n+i)*n+n])
		}
	}
	for i := n; i < size; i++ {
		c[i*size+i-n] = 1
	}
	var log float64 // of the factor taken out of c, for the power reached
	power := 1.0
	for round := 0; ; round++ {
		var norm float64
		for _, x := range c {
			norm += x * x
		}
		if !(norm > 0) {
			return 0
		}
		norm = math.Sqrt(norm)
		log += math.Log(norm)
		for i := range c {
			c[i] /= norm
		}
		if round == 16 {
			return math.Exp(log / power)
		}
		multiply(next, c, c, size, false, false)
		c, next = next, c
		log, power = 2*log, 2*power
	}
}

// varSpectrum are the spectral quantities of a model at one frequency.
type varSpectrum struct {
	n            int
	a, h, s      []complex128 // n x n
	inverseSigma []float64    // of the whole model
	inverseS     []complex128
	work         []complex128
}

func newVARSpectrum(n int) *varSpectrum {
	s := &varSpectrum{n: n, inverseSigma: make([]float64, n*n)}
	for _, m := range []*[]complex128{&s.a, &s.h, &s.s, &s.inverseS, &s.work} {
		*m = make([]complex128, n*n)
	}
	return s
}

// at computes them for f in Hz; inverseS only when wanted. It reports whether A(f) can
// be inverted.
func (s *varSpectrum) at(v *VAR, f, rate float64, partial bool) bool {
	n := s.n
	clear(s.a)
	for i := range n {
		s.a[i*n+i] = 1
	}
	for k := range v.Order {
		u := complexUnit(f, int64(k+1), rate)
		for i, x := range v.A[k*n*n : (k+1)*n*n] {
			s.a[i] -= complex(x*u[0], x*u[1])
		}
	}
	copy(s.work, s.a)
	if !invert(s.h, s.work, n) {
		return false
	}
	for i := range n {
		for j := range n {
			var z complex128
			for k := range n {
				z += s.h[i*n+k] * complex(v.Sigma[k*n+j], 0)
			}
			s.work[i*n+j] = z
		}
	}
	for i := range n {
		for j := range n {
			var z complex128
			for k := range n {
				h := s.h[j*n+k]
				z += s.work[i*n+k] * complex(real(h), -imag(h))
			}
			s.s[i*n+j] = z / complex(rate, 0)
		}
	}
	if !partial {
		return true
	}
	for i := range n { // S^-1 = fs A^H Sigma^-1 A
		for j := range n {
			var z complex128
			for k := range n {
				z += complex(s.inverseSigma[i*n+k], 0) * s.a[k*n+j]
			}
			s.work[i*n+j] = z
		}
	}
	for i := range n {
		for j := range n {
			var z complex128
			for k := range n {
				a := s.a[k*n+i]
				z += complex(real(a), -imag(a)) * s.work[k*n+j]
			}
			s.inverseS[i*n+j] = z
		}
	}
	return true
}

// abs2 returns |z|^2.
func abs2(z complex128) float64 { return real(z)*real(z) + imag(z)*imag(z) }

// invert makes dst the inverse of a (destroyed) by Gauss and Jordan with pivots.
func invert(dst, a []complex128, n int) bool {
	clear(dst)
	for i := range n {
		dst[i*n+i] = 1
	}
	for c := range n {
		p := c
		for i := c + 1; i < n; i++ {
			if abs2(a[i*n+c]) > abs2(a[p*n+c]) {
				p = i
			}
		}
		if !(abs2(a[p*n+c]) > 1e-200) {
			return false
		}
		if p != c {
			for j := range n {
				a[p*n+j], a[c*n+j] = a[c*n+j], a[p*n+j]
				dst[p*n+j], dst[c*n+j] = dst[c*n+j], dst[p*n+j]
			}
		}
		d := 1 / a[c*n+c]
		for j := range n {
			a[c*n+j] *= d
			dst[c*n+j] *= d
		}
		for i := range n {
			if f := a[i*n+c]; i != c && f != 0 {
				for j := range n {
					a[i*n+j] -= f * a[c*n+j]
					dst[i*n+j] -= f * dst[c*n+j]
				}
			}
		}
	}
	return true
}

// lowerFactor makes l the lower factor of a; false when a is not positive definite.
func lowerFactor(l, a []float64, n int) bool {
	clear(l[:n*n])
	for i := range n {
		for j := 0; j <= i; j++ {
			s := a[i*n+j]
			for k := range j {
				s -= l[i*n+k] * l[j*n+k]
			}
			if i == j {
				if !(s > 1e-14*a[i*n+i]) || !(s > 0) {
					return false
				}
				l[i*n+i] = math.Sqrt(s)
			} else {
				l[i*n+j] = s / l[j*n+j]
			}
		}
	}
	return true
}

// whiten replaces m by L^-1 m R^-T, with lower factors l and r.
func whiten(m, l, r []float64, n int) {
	for j := range n {
		for i := range n {
			s := m[i*n+j]
			for k := range i {
				s -= l[i*n+k] * m[k*n+j]
			}
			m[i*n+j] = s / l[i*n+i]
		}
	}
	for i := range n {
		for j := range n {
			s := m[i*n+j]
			for k := range j {
				s -= m[i*n+k] * r[j*n+k]
			}
			m[i*n+j] = s / r[j*n+j]
		}
	}
}

// divide is dst = a L^-1 with a lower factor l.
func divide(dst, a, l []float64, n int) {
	for i := range n {
		for j := n - 1; j >= 0; j-- {
			s := a[i*n+j]
			for k := j + 1; k < n; k++ {
				s -= dst[i*n+k] * l[k*n+j]
			}
			dst[i*n+j] = s / l[j*n+j]
		}
	}
}

// multiply is dst = a b, either transposed on request.
func multiply(dst, a, b []float64, n int, ta, tb bool) {
	for i := range n {
		row := dst[i*n : (i+1)*n]
		clear(row)
		for k := range n {
			x := a[i*n+k]
			if ta {
				x = a[k*n+i]
			}
			if x == 0 {
				continue
			}
			if tb {
				for j := range row {
					row[j] += x * b[j*n+k]
				}
				continue
			}
			for j, y := range b[k*n : (k+1)*n] {
				row[j] += x * y
			}
		}
	}
}

func transpose(a []float64, n int) {
	for i := range n {
		for j := range i {
			a[i*n+j], a[j*n+i] = a[j*n+i], a[i*n+j]
		}
	}
}

// symmetricEigen returns eigenvalues in d and eigenvectors as the columns of v of the
// symmetric matrix a (destroyed), by Jacobi's rotations.
func symmetricEigen(a, v, d []float64, n int) {
	clear(v[:n*n])
	for i := range n {
		v[i*n+i] = 1
	}
	for range 60 {
		var off, all float64
		for i := range n {
			for j := range n {
				all += a[i*n+j] * a[i*n+j]
				if i != j {
					off += a[i*n+j] * a[i*n+j]
				}
			}
		}
		if !(off > 1e-30*all) {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				if a[p*n+q] == 0 {
					continue
				}
				theta := (a[q*n+q] - a[p*n+p]) / (2 * a[p*n+q])
				t := 1 / (math.Abs(theta) + math.Hypot(theta, 1))
				if theta < 0 {
					t = -t
				}
				c := 1 / math.Hypot(t, 1)
				s := t * c
				for k := range n {
					x, y := a[k*n+p], a[k*n+q]
					a[k*n+p], a[k*n+q] = c*x-s*y, s*x+c*y
				}
				for k := range n {
					x, y := a[p*n+k], a[q*n+k]
					a[p*n+k], a[q*n+k] = c*x-s*y, s*x+c*y
				}
				for k := range n {
					x, y := v[k*n+p], v[k*n+q]
					v[k*n+p], v[k*n+q] = c*x-s*y, s*x+c*y
				}
			}
		}
	}
	for i := range n {
		d[i] = a[i*n+i]
	}
}

// directedMeasures in the order of their names; the first two have no direction.
var directedMeasures = []string{"coherence", "partial", "pdc", "gpdc", "dtf", "ffdtf", "ddtf", "granger"}

// DirectedMeasures lists the names that Directed.Measure takes.
func DirectedMeasures() []string { return slices.Clone(directedMeasures) }

func directedKind(name string) (int, error) {
	if name == "" {
		name = "pdc"
	}
	if i := slices.Index(directedMeasures, name); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("measure: %q; known are coherence, partial, pdc, gpdc, dtf, ffdtf, ddtf and granger", name)
}
