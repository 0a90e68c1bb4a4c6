// Package dense holds row-major matrices whose operations write into memory that
// the caller owns: the linear algebra of filters that may not allocate.
//
//	M{R, C, V}   V[i*C+j] is row i, column j
//	dst = a b    dst = a b'    dst = a p a' + q    a = l l'    eigen-decomposition
//
// Sums run in index order and products are rounded before they are added, so the
// result does not depend on the processor. Meant for a few to a few hundred rows.
package dense

import (
	"fmt"
	"math"
)

// M is a row-major matrix.
type M struct {
	R, C int
	V    []float64
}

// New returns a zero matrix.
func New(r, c int) *M { return &M{R: r, C: c, V: make([]float64, r*c)} }

// Identity returns the n × n identity.
func Identity(n int) *M {
	m := New(n, n)
	for i := range n {
		m.V[i*n+i] = 1
	}
	return m
}

// From copies nested rows, which must be rectangular and finite.
func From(rows [][]float64) (*M, error) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return nil, fmt.Errorf("empty matrix")
	}
	m := New(len(rows), len(rows[0]))
	for i, r := range rows {
		if len(r) != m.C {
			return nil, fmt.Errorf("row %d has %d values, row 1 has %d", i+1, len(r), m.C)
		}
		for j, v := range r {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("row %d, column %d is %v", i+1, j+1, v)
			}
			m.V[i*m.C+j] = v
		}
	}
	return m, nil
}

// Rows returns nested rows: the form of model files.
func (m *M) Rows() [][]float64 {
	out := make([][]float64, m.R)
	for i := range out {
		out[i] = append([]float64(nil), m.Row(i)...)
	}
	return out
}

// Row returns row i, shared.
func (m *M) Row(i int) []float64 { return m.V[i*m.C : (i+1)*m.C : (i+1)*m.C] }

// At returns one entry.
func (m *M) At(i, j int) float64 { return m.V[i*m.C+j] }

// Set stores one entry.
func (m *M) Set(i, j int, v float64) { m.V[i*m.C+j] = v }

// Clone returns a copy.
func (m *M) Clone() *M { return &M{m.R, m.C, append([]float64(nil), m.V...)} }

// Copy sets m to a, which has the same shape.
func (m *M) Copy(a *M) { copy(m.V, a.V) }

// Scale multiplies every entry.
func (m *M) Scale(s float64) {
	for i := range m.V {
		m.V[i] *= s
	}
}

// Trace returns the sum of the diagonal.
func (m *M) Trace() float64 {
	t := 0.0
	for i := range m.R {
		t += m.V[i*m.C+i]
	}
	return t
}

// Finite reports whether every entry is a number.
func (m *M) Finite() bool {
	for _, v := range m.V {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// Add sets dst = a + s b; dst may be a or b.
func Add(dst, a *M, s float64, b *M) {
	for i := range dst.V {
		dst.V[i] = a.V[i] + float64(s*b.V[i])
	}
}

// Mul sets dst = a b. dst is neither a nor b.
func Mul(dst, a, b *M) {
	clear(dst.V)
	for i := range a.R {
		o := dst.Row(i)
		for k, x := range a.Row(i) {
			for j, y := range b.Row(k) {
				o[j] += float64(x * y)
			}
		}
	}
}

// MulT sets dst = a b'. dst is neither a nor b.
func MulT(dst, a, b *M) {
	for i := range a.R {
		o, x := dst.Row(i), a.Row(i)
		for j := range b.R {
			o[j] = Dot(x, b.Row(j))
		}
	}
}

// TMul sets dst = a' b. dst is neither a nor b.
func TMul(dst, a, b *M) {
	clear(dst.V)
	for k := range a.R {
		y := b.Row(k)
		for i, x := range a.Row(k) {
			o := dst.Row(i)
			for j := range o {
				o[j] += float64(x * y[j])
			}
		}
	}
}

// MulVec sets dst = a x. dst is not x.
func MulVec(dst []float64, a *M, x []float64) {
	for i := range a.R {
		dst[i] = Dot(a.Row(i), x)
	}
}

// TMulVec sets dst = a' x. dst is not x.
func TMulVec(dst []float64, a *M, x []float64) {
	clear(dst[:a.C])
	for k := range a.R {
		s := x[k]
		for j, v := range a.Row(k) {
			dst[j] += float64(s * v)
		}
	}
}

// Dot returns the sum of products in four interleaved partial sums.
func Dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += float64(x[0] * y[0])
		s1 += float64(x[1] * y[1])
		s2 += float64(x[2] * y[2])
		s3 += float64(x[3] * y[3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}

// Distance2 returns the squared Euclidean distance.
func Distance2(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		d0, d1, d2, d3 := x[0]-y[0], x[1]-y[1], x[2]-y[2], x[3]-y[3]
		s0 += float64(d0 * d0)
		s1 += float64(d1 * d1)
		s2 += float64(d2 * d2)
		s3 += float64(d3 * d3)
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += float64(d * d)
	}
	return (s0 + s1) + (s2 + s3)
}

// Sandwich sets dst = a p a' + q, with tmp of a's shape; q may be nil, dst may be p.
func Sandwich(dst, a, p, q, tmp *M) {
	Mul(tmp, a, p)
	MulT(dst, tmp, a)
	if q != nil {
		Add(dst, dst, 1, q)
	}
	Symmetrize(dst)
}

// Symmetrize replaces a by (a + a')/2.
func Symmetrize(a *M) {
	n := a.R
	for i := range n {
		for j := i + 1; j < n; j++ {
			v := 0.5 * (a.V[i*n+j] + a.V[j*n+i])
			a.V[i*n+j], a.V[j*n+i] = v, v
		}
	}
}

// Cholesky sets l to the lower triangle with a = l l' (zeros above) and reports
// whether a is positive definite; l may be a. Only a's lower triangle is read.
func Cholesky(l, a *M) bool {
	n := a.R
	for i := range n {
		for j := 0; j <= i; j++ {
			s := a.V[i*n+j] - Dot(l.V[i*n:i*n+j], l.V[j*n:j*n+j])
			if i > j {
				l.V[i*n+j] = s / l.V[j*n+j]
				continue
			}
			if !(s > 0) || math.IsInf(s, 0) {
				return false
			}
			l.V[i*n+i] = math.Sqrt(s)
		}
	}
	for i := range n {
		clear(l.V[i*n+i+1 : (i+1)*n])
	}
	return true
}

// Forward solves l y = b in place.
func Forward(l *M, b []float64) {
	n := l.R
	for i := range n {
		b[i] = (b[i] - Dot(l.V[i*n:i*n+i], b[:i])) / l.V[i*n+i]
	}
}

// Backward solves l' x = y in place.
func Backward(l *M, b []float64) {
	n := l.R
	for i := n - 1; i >= 0; i-- {
		b[i] /= l.V[i*n+i]
		s := b[i]
		for j, v := range l.V[i*n : i*n+i] {
			b[j] -= float64(s * v)
		}
	}
}

// Solve solves l l' x = b in place.
func Solve(l *M, b []float64) {
	Forward(l, b)
	Backward(l, b)
}

// Inverse sets dst = (l l')⁻¹. dst is not l.
func Inverse(dst, l *M) {
	n := l.R
	clear(dst.V)
	for j := range n { // the inverse is symmetric: solve for its rows
		row := dst.Row(j)
		row[j] = 1
		Solve(l, row)
	}
	Symmetrize(dst)
}

// SPDInverse sets dst = a⁻¹ with l as workspace for the factor, and reports whether
// a is positive definite; dst is untouched when it is not.
func SPDInverse(dst, l, a *M) bool {
	if a.R == 2 { // closed form: the size of a planar velocity
		x, y, z := a.V[0], a.V[2], a.V[3]
		det := float64(x*z) - float64(y*y)
		if !(x > 0) || !(det > 0) || math.IsInf(det, 0) || !(1/det <= math.MaxFloat64) {
			return false
		}
		r := 1 / det
		dst.V[0], dst.V[1], dst.V[2], dst.V[3] = z*r, -y*r, -y*r, x*r
		return true
	}
	if !Cholesky(l, a) {
		return false
	}
	Inverse(dst, l)
	return true
}

// LogDet returns log det(l l').
func LogDet(l *M) float64 {
	s := 0.0
	for i := range l.R {
		s += math.Log(l.V[i*l.C+i])
	}
	return 2 * s
}

// Eigen overwrites the symmetric matrix a with a diagonal of eigenvalues and sets
// the columns of v to the eigenvectors (cyclic Jacobi rotations; order is arbitrary).
func Eigen(a, v *M) {
	n := a.R
	clear(v.V)
	for i := range n {
		v.V[i*n+i] = 1
	}
	for range 64 {
		off, diag := 0.0, 0.0
		for i := range n {
			diag += float64(a.V[i*n+i] * a.V[i*n+i])
			for j := range i {
				off += float64(a.V[i*n+j] * a.V[i*n+j])
			}
		}
		if off <= 1e-34*diag || off == 0 {
			return
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, v, p, q)
			}
		}
	}
}

func rotate(a, v *M, p, q int) {
	n := a.R
	apq := a.V[p*n+q]
	if apq == 0 {
		return
	}
	theta := (a.V[q*n+q] - a.V[p*n+p]) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(float64(theta*theta)+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(float64(t*t)+1)
	s := t * c
	for k := range n {
		x, y := a.V[k*n+p], a.V[k*n+q]
		a.V[k*n+p], a.V[k*n+q] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
	for k := range n {
		x, y := a.V[p*n+k], a.V[q*n+k]
		a.V[p*n+k], a.V[q*n+k] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
		x, y = v.V[k*n+p], v.V[k*n+q]
		v.V[k*n+p], v.V[k*n+q] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
	a.V[p*n+q], a.V[q*n+p] = 0, 0
}

// Reassemble sets dst = v diag(w) v', where w is the diagonal of lambda.
func Reassemble(dst, v, lambda *M) {
	n := v.R
	for i := range n {
		for j := 0; j <= i; j++ {
			s := 0.0
			for k := range n {
				s += float64(float64(v.V[i*n+k]*lambda.V[k*n+k]) * v.V[j*n+k])
			}
			dst.V[i*n+j], dst.V[j*n+i] = s, s
		}
	}
}
