package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Metrics of the space of covariance matrices.
const (
	Riemann    = "riemann"   // affine invariant: sqrt(sum ln² eig(A⁻¹B)), Pennec, Fillard & Ayache 2006
	LogEuclid  = "logeuclid" // |ln A - ln B|, Arsigny et al. 2007
	EuclidMean = "euclid"    // |A - B|
)

func checkMetric(m string, allowed ...string) (string, error) {
	if m == "" {
		return allowed[0], nil
	}
	for _, a := range allowed {
		if a == m {
			return m, nil
		}
	}
	return "", fmt.Errorf("metric %q: choose %s", m, strings.Join(allowed, ", "))
}

// spd computes with symmetric positive definite n × n matrices in memory of its
// own. Methods report false for a matrix that is not positive definite (or not a
// number); dst is undefined then. dst may be the argument.
type spd struct {
	n          int
	eig        *symEigen
	t1, t2, t3 *dense.M
}

func newSPD(n int) *spd {
	return &spd{n, newSymEigen(n), dense.New(n, n), dense.New(n, n), dense.New(n, n)}
}

// function sets dst = V f(λ) V' for a = V λ V'.
func (s *spd) function(dst, a *dense.M, f func(float64) float64) bool {
	if !s.eig.decompose(a) {
		return false
	}
	return s.reassemble(dst, f)
}

// reassemble sets dst = V f(λ) V' from the last decomposition.
func (s *spd) reassemble(dst *dense.M, f func(float64) float64) bool {
	n := s.n
	clear(dst.V)
	for k, v := range s.eig.val {
		y := f(v)
		if y-y != 0 {
			return false
		}
		row := s.eig.vec.Row(k)
		for i, x := range row {
			x *= y
			out := dst.V[i*n+i : (i+1)*n]
			for j, z := range row[i:] {
				out[j] += float64(x * z)
			}
		}
	}
	for i := range n {
		for j := range i {
			dst.V[i*n+j] = dst.V[j*n+i]
		}
	}
	return true
}

// Matrix functions need positive eigenvalues: ln and 1/sqrt of anything else are
// not numbers, and reassemble refuses those.
func fLog(x float64) float64 { return math.Log(x) }
func fExp(x float64) float64 { return math.Exp(x) }
func fSqrt(x float64) float64 {
	if x <= 0 {
		return math.NaN()
	}
	return math.Sqrt(x)
}
func fInvSqrt(x float64) float64 { return 1 / fSqrt(x) }

// log, exp, sqrt, invSqrt set dst to the function of a.
func (s *spd) log(dst, a *dense.M) bool     { return s.function(dst, a, fLog) }
func (s *spd) exp(dst, a *dense.M) bool     { return s.function(dst, a, fExp) }
func (s *spd) sqrt(dst, a *dense.M) bool    { return s.function(dst, a, fSqrt) }
func (s *spd) invSqrt(dst, a *dense.M) bool { return s.function(dst, a, fInvSqrt) }

// pow sets dst = a^t.
func (s *spd) pow(dst, a *dense.M, t float64) bool {
	return s.function(dst, a, func(x float64) float64 { return math.Pow(fSqrt(x), 2*t) })
}

// congruence sets dst = b a b' for a square b.
func (s *spd) congruence(dst, b, a *dense.M) { dense.Sandwich(dst, b, a, nil, s.t1) }

// geodesic sets dst to the point at t on the affine-invariant geodesic from a (0) to
// b (1): A^½ (A^-½ B A^-½)^t A^½. dst is neither a nor b.
func (s *spd) geodesic(dst, a, b *dense.M, t float64) bool {
	if !s.invSqrt(s.t2, a) || !s.reassemble(s.t3, fSqrt) {
		return false
	}
	s.congruence(dst, s.t2, b)
	if !s.pow(dst, dst, t) {
		return false
	}
	s.congruence(dst, s.t3, dst)
	return true
}

// distance is the affine-invariant distance; NaN when a matrix is not positive
// definite.
func (s *spd) distance(a, b *dense.M) float64 {
	if !s.invSqrt(s.t2, a) {
		return math.NaN()
	}
	return s.distanceWhitened(s.t2, b)
}

// distanceWhitened is distance with w = a^-½ known.
func (s *spd) distanceWhitened(w, b *dense.M) float64 {
	s.congruence(s.t3, w, b)
	if !s.eig.decompose(s.t3) {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range s.eig.val {
		l := math.Log(v)
		sum += float64(l * l)
	}
	return math.Sqrt(sum)
}

// distanceLogEuclid is |ln A - ln B|.
func (s *spd) distanceLogEuclid(a, b *dense.M) float64 {
	if !s.log(s.t2, a) || !s.log(s.t3, b) {
		return math.NaN()
	}
	return math.Sqrt(dense.Distance2(s.t2.V, s.t3.V))
}

var errNotSPD = errors.New("not positive definite; use a covariance estimator with shrinkage (oas or lwf), a longer window, or fewer channels")

// mean returns the mean of matrices c under a metric, with weights that are
// normalised here (nil = equal). The affine-invariant mean is the fixed point of
// M ← M^½ exp(Σ w ln(M^-½ C M^-½)) M^½ (Moakher 2005), run until the step is below
// tol or no longer shrinks.
func (s *spd) mean(ctx context.Context, c []*dense.M, w []float64, metric string, tol float64, progress func(int)) (*dense.M, error) {
	if len(c) == 0 {
		return nil, errors.New("the mean of no matrices")
	}
	total := 0.0
	weight := func(i int) float64 { return 1 }
	if w != nil {
		weight = func(i int) float64 { return w[i] }
	}
	for i := range c {
		total += weight(i)
	}
	n := s.n
	one := dense.New(n, n)
	average := func(f func(dst, a *dense.M) bool) (*dense.M, error) {
		sum := dense.New(n, n)
		for i, a := range c {
			if i%64 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if !f(one, a) {
				return nil, fmt.Errorf("covariance %d is %w", i+1, errNotSPD)
			}
			dense.Add(sum, sum, weight(i)/total, one)
		}
		return sum, nil
	}
	var m *dense.M
	var err error
	switch metric {
	case LogEuclid:
		if m, err = average(s.log); err != nil {
			return nil, err
		}
		s.exp(m, m)
		return m, nil
	default:
		if m, err = average(func(dst, a *dense.M) bool { dst.Copy(a); return true }); err != nil {
			return nil, err
		}
		if metric == EuclidMean {
			return m, nil
		}
	}
	root, inv := dense.New(n, n), dense.New(n, n)
	last := math.Inf(1)
	for iter := range 200 {
		if progress != nil {
			progress(iter)
		}
		if !s.sqrt(root, m) || !s.reassemble(inv, fInvSqrt) {
			return nil, fmt.Errorf("the mean covariance is %w", errNotSPD)
		}
		step, err := average(func(dst, a *dense.M) bool {
			s.congruence(dst, inv, a)
			return s.log(dst, dst)
		})
		if err != nil {
			return nil, err
		}
		size := math.Sqrt(dense.Dot(step.V, step.V))
		if size < tol || iter > 20 && size >= last {
			return m, nil
		}
		last = size
		s.exp(step, step)
		s.congruence(m, root, step)
	}
	return nil, fmt.Errorf("the mean of %d covariances did not settle (last step %.2g); look for windows with artifacts", len(c), last)
}

// symmetric fills a from the upper triangle, row by row: the order of covariance rows.
func symmetric(a *dense.M, upper []float64) {
	n, k := a.R, 0
	for i := range n {
		for j := i; j < n; j++ {
			a.V[i*n+j], a.V[j*n+i] = upper[k], upper[k]
			k++
		}
	}
}

// upperTriangle is the inverse of symmetric.
func upperTriangle(dst []float64, a *dense.M) {
	n, k := a.R, 0
	for i := range n {
		k += copy(dst[k:], a.V[i*n+i:(i+1)*n])
	}
}

// tangentVector is upperTriangle with off-diagonals times sqrt 2, so that the
// Euclidean norm of the vector is the Frobenius norm of the matrix.
func tangentVector(dst []float64, a *dense.M) {
	n, k := a.R, 0
	for i := range n {
		dst[k] = a.V[i*n+i]
		k++
		for _, v := range a.V[i*n+i+1 : (i+1)*n] {
			dst[k] = math.Sqrt2 * v
			k++
		}
	}
}

// fromTangentVector is the inverse of tangentVector.
func fromTangentVector(a *dense.M, v []float64) {
	n, k := a.R, 0
	for i := range n {
		for j := i; j < n; j++ {
			x := v[k]
			if i != j {
				x /= math.Sqrt2
			}
			a.V[i*n+j], a.V[j*n+i] = x, x
			k++
		}
	}
}

// TypeCovariance is the type of the rows of covariance matrices: the upper triangle
// row by row, labelled "cov A B".
const TypeCovariance = "covariance"

// covarianceChannels returns the names of the channels whose covariance a stream
// carries.
func covarianceChannels(h *stream.Header) ([]string, error) {
	n := 0
	for n*(n+1)/2 < len(h.Channels) {
		n++
	}
	if n == 0 || n*(n+1)/2 != len(h.Channels) {
		return nil, fmt.Errorf("%d rows are not the upper triangle of a covariance matrix (1, 3, 6, 10, … rows); put a covariance before this stage", len(h.Channels))
	}
	names := make([]string, n)
	for j := range n {
		l := h.Channels[j]
		if l.Type != TypeCovariance {
			return nil, fmt.Errorf("row %d (%s) is of type %q, not %q; put a covariance before this stage", j+1, l.Label, l.Type, TypeCovariance)
		}
	}
	// Row i starts with the diagonal "cov A A", whose two names are equal.
	k := 0
	for i := range n {
		l := strings.TrimPrefix(h.Channels[k].Label, "cov ")
		if half := (len(l) - 1) / 2; len(l) >= 3 && l[half] == ' ' && l[:half] == l[half+1:] {
			names[i] = l[:half]
		} else {
			return nil, fmt.Errorf("row %d is %q where the variance of a channel (\"cov A A\") is expected: the rows are not in the order of the upper triangle", k+1, h.Channels[k].Label)
		}
		k += n - i
	}
	return names, nil
}

// matrices turns examples of covariance rows into matrices.
func matrices(x [][]float64, n int) []*dense.M {
	out := make([]*dense.M, len(x))
	for i := range x {
		out[i] = dense.New(n, n)
		symmetric(out[i], x[i])
	}
	return out
}
