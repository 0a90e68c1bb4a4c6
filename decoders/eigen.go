package decoders

import (
	"math"

	"neurostream/decoders/internal/dense"
)

// symEigen decomposes symmetric matrices of one size without allocating:
// Householder reduction to tridiagonal form, then implicit QL with Wilkinson's
// shift (Golub & Van Loan, Matrix Computations, §8.3). About 9n³ operations. All
// inner loops run along rows, which is why vectors are the rows of vec.
type symEigen struct {
	val []float64 // eigenvalues, ascending
	vec *dense.M  // row k is the unit eigenvector of val[k]

	a       *dense.M
	e, v, p []float64
}

func newSymEigen(n int) *symEigen {
	return &symEigen{
		val: make([]float64, n), vec: dense.New(n, n), a: dense.New(n, n),
		e: make([]float64, n), v: make([]float64, n), p: make([]float64, n),
	}
}

// decompose decomposes a, of which it reads everything and changes nothing. It
// reports false when a holds something that is not a number or QL does not settle.
func (s *symEigen) decompose(a *dense.M) bool {
	if !a.Finite() {
		return false
	}
	s.a.Copy(a)
	s.tridiagonalise()
	if !s.ql() {
		return false
	}
	s.sort()
	return true
}

// tridiagonalise leaves Q'aQ = T in val (diagonal) and e (below it, from e[0]), and
// Q' in vec.
func (s *symEigen) tridiagonalise() {
	n := s.a.R
	for k := range n - 2 {
		// H = I - beta v v' maps the column below the diagonal onto its first entry.
		// The matrix is symmetric, so the column is the rest of row k.
		x := s.a.Row(k)[k+1:]
		s.val[k] = s.a.V[k*n+k]
		top := 0.0
		for _, v := range x[1:] {
			top = max(top, math.Abs(v))
		}
		if top == 0 { // nothing to annihilate: H = I
			s.e[k] = x[0]
			x[0] = 0 // marks it; v[0] is never zero otherwise
			continue
		}
		top = max(top, math.Abs(x[0]))
		norm := 0.0
		for _, v := range x {
			norm += float64((v / top) * (v / top))
		}
		norm = math.Sqrt(norm) * top
		if x[0] > 0 {
			norm = -norm
		}
		s.e[k] = norm
		v := s.v[:len(x)]
		copy(v, x)
		v[0] -= norm
		for i := range v { // scaled so that beta = 2/(v'v) cannot overflow
			v[i] /= top
		}
		beta := 2 / dense.Dot(v, v)
		p := s.p[:len(x)]
		for i := range p {
			p[i] = beta * dense.Dot(s.a.Row(k + 1 + i)[k+1:], v)
		}
		half := beta / 2 * dense.Dot(p, v)
		for i := range p {
			p[i] -= float64(half * v[i])
		}
		for i := range p { // a22 -= v p' + p v'
			row := s.a.Row(k + 1 + i)[k+1:]
			vi, pi := v[i], p[i]
			for j := range row {
				row[j] -= float64(vi*p[j]) + float64(pi*v[j])
			}
		}
		copy(x, v)
	}
	for k := max(0, n-2); k < n; k++ {
		s.val[k] = s.a.V[k*n+k]
	}
	if n > 1 {
		s.e[n-2] = s.a.V[(n-2)*n+n-1]
	}
	s.e[n-1] = 0

	clear(s.vec.V)
	for i := range n {
		s.vec.V[i*n+i] = 1
	}
	for k := n - 3; k >= 0; k-- { // Q' = ... H_1 H_0, built from the last
		v := s.a.Row(k)[k+1:]
		if v[0] == 0 {
			continue
		}
		beta := 2 / dense.Dot(v, v)
		for r := k + 1; r < n; r++ {
			row := s.vec.Row(r)[k+1:]
			f := beta * dense.Dot(row, v)
			for j := range row {
				row[j] -= float64(f * v[j])
			}
		}
	}
}

// ql diagonalises T and turns the rows of vec along.
func (s *symEigen) ql() bool {
	n := len(s.val)
	d, e := s.val, s.e
	for l := range n {
		for iter := 0; ; iter++ {
			m := l
			for ; m < n-1; m++ {
				dd := math.Abs(d[m]) + math.Abs(d[m+1])
				if math.Abs(e[m]) <= 0x1p-53*dd {
					break
				}
			}
			if m == l {
				break
			}
			if iter == 60 {
				return false
			}
			g := (d[l+1] - d[l]) / (2 * e[l])
			r := math.Hypot(g, 1)
			if g < 0 {
				r = -r
			}
			g = d[m] - d[l] + e[l]/(g+r)
			sn, cs, p := 1.0, 1.0, 0.0
			i := m - 1
			for ; i >= l; i-- {
				f, b := sn*e[i], cs*e[i]
				r = math.Hypot(f, g)
				e[i+1] = r
				if r == 0 { // T has split
					d[i+1] -= p
					e[m] = 0
					break
				}
				sn, cs = f/r, g/r
				g = d[i+1] - p
				r = float64((d[i]-g)*sn) + float64(2*cs*b)
				p = sn * r
				d[i+1] = g + p
				g = float64(cs*r) - b
				lo, hi := s.vec.Row(i), s.vec.Row(i+1)
				hi = hi[:len(lo)]
				for k, x := range lo {
					y := hi[k]
					hi[k] = float64(sn*x) + float64(cs*y)
					lo[k] = float64(cs*x) - float64(sn*y)
				}
			}
			if i >= l {
				continue
			}
			d[l] -= p
			e[l] = g
			e[m] = 0
		}
	}
	return true
}

func (s *symEigen) sort() {
	n := len(s.val)
	for i := range n - 1 {
		k := i
		for j := i + 1; j < n; j++ {
			if s.val[j] < s.val[k] {
				k = j
			}
		}
		if k == i {
			continue
		}
		s.val[i], s.val[k] = s.val[k], s.val[i]
		a, b := s.vec.Row(i), s.vec.Row(k)
		for j := range a {
			a[j], b[j] = b[j], a[j]
		}
	}
}
