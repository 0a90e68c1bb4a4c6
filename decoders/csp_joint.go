package decoders

import (
	"errors"
	"math"

	"neurostream/decoders/internal/dense"
)

// cspJoint diagonalises class covariances together and returns the filters as rows
// with w' centre w = 1, and the approximate mutual information between filtered power
// and class (Grosse-Wentrup & Buss 2008, eq. 12), classes weighted by their examples:
//
//	I = -(Σ P ln √q + 3/16 (Σ P (q² - 1))²)    q_k = w'S_k w
func cspJoint(covs []*dense.M, centre *dense.M, count []int) ([][]float64, []float64, error) {
	n := centre.R
	v := jointDiagonal(covs, 1e-6, 20)
	if v == nil {
		return nil, nil, errors.New("the class covariances cannot be diagonalised together: one of them is singular; set reg, or use a covariance estimator with shrinkage")
	}
	total := 0.0
	for _, c := range count {
		total += float64(c)
	}
	tmp := make([]float64, n)
	quad := func(w []float64, a *dense.M) float64 {
		dense.MulVec(tmp, a, w)
		return dense.Dot(w, tmp)
	}
	info := make([]float64, n)
	for i := range n {
		w := v.Row(i)
		f := 1 / math.Sqrt(quad(w, centre))
		for j := range w {
			w[j] *= f
		}
		fixSign(w)
		first, second := 0.0, 0.0
		for k, a := range covs {
			p, q := float64(count[k])/total, quad(w, a)
			first += p * math.Log(math.Sqrt(q))
			second += p * (q*q - 1)
		}
		info[i] = -(first + 3.0/16*second*second)
	}
	if !allFinite(info) || !v.Finite() {
		return nil, nil, errors.New("the class covariances cannot be diagonalised together: one of them is singular; set reg, or use a covariance estimator with shrinkage")
	}
	return v.Rows(), info, nil
}

// jointDiagonal returns V that makes all V C_k V' nearly diagonal (Pham 2001): sweeps
// of 2 × 2 transformations that lower Σ_k [ln det diag(V C_k V') - ln det V C_k V'],
// until a sweep gains less than n(n-1) eps. nil when a matrix is not positive
// definite.
func jointDiagonal(covs []*dense.M, eps float64, sweeps int) *dense.M {
	n, k := covs[0].R, float64(len(covs))
	c := make([]*dense.M, len(covs))
	for i := range covs {
		c[i] = covs[i].Clone()
		for j := range n {
			if !(c[i].At(j, j) > 0) {
				return nil
			}
		}
	}
	v := dense.Identity(n)
	for range sweeps {
		gain := 0.0
		for i := 1; i < n; i++ {
			for j := range i {
				var gij, gji, wij, wji float64
				for _, a := range c {
					x, y, z := a.At(i, i), a.At(j, j), a.At(i, j)
					gij += z / x
					gji += z / y
					wij += y / x
					wji += x / y
				}
				gij, gji, wij, wji = gij/k, gji/k, wij/k, wji/k
				omega := math.Sqrt(wij * wji)
				ratio := math.Sqrt(wji / wij)
				sum := (ratio*gij + gji) / (omega + 1)
				diff := (ratio*gij - gji) / max(omega-1, 1e-9)
				hij := sum + diff
				hji := (sum - diff) / ratio
				gain += k * (gij*hij + gji*hji) / 2
				den := 1 + math.Sqrt(max(0, 1-hij*hji))
				tij, tji := -hij/den, -hji/den
				for _, a := range c {
					mix(a.Row(i), a.Row(j), tij, tji)
					for r := range n { // and the columns
						x, y := a.At(r, i), a.At(r, j)
						a.Set(r, i, x+float64(tij*y))
						a.Set(r, j, y+float64(tji*x))
					}
					if !(a.At(i, i) > 0) || !(a.At(j, j) > 0) {
						return nil
					}
				}
				mix(v.Row(i), v.Row(j), tij, tji)
			}
		}
		if gain < float64(n*(n-1))*eps {
			break
		}
	}
	return v
}

// mix sets (a, b) to (a + s b, b + t a).
func mix(a, b []float64, s, t float64) {
	for k, x := range a {
		y := b[k]
		a[k] = x + float64(s*y)
		b[k] = y + float64(t*x)
	}
}
