package taper

import (
	"fmt"
	"math"
)

// DPSS returns the first k discrete prolate spheroidal sequences (Slepian tapers) of
// n samples and time-half-bandwidth nw, each of unit energy, and the share of its
// energy within ±nw/n cycles per sample. They are the eigenvectors of a symmetric
// tridiagonal matrix (Slepian 1978) with
//
//	d[i] = ((n−1−2i)/2)² cos(2π nw/n),   e[i] = i(n−i)/2,
//
// found by bisection on Sturm counts and inverse iteration: O(k n). Even tapers have
// a positive sum; odd ones start with a positive lobe. In the periodic form tapers
// of n+1 samples lose their last one.
func DPSS(n int, nw float64, k int, f Form) (tapers [][]float64, concentration []float64, err error) {
	m := n
	if f == Periodic {
		m++
	}
	if n < 2 || !(nw > 0) || nw >= float64(m)/2 || k < 1 || k > n {
		return nil, nil, fmt.Errorf("%d tapers of %d samples with a time-half-bandwidth of %v are impossible: it lies between 0 and half the length, and there are at most as many tapers as samples", k, n, nw)
	}
	d, e := make([]float64, m), make([]float64, m)
	w := math.Cos(2 * math.Pi * nw / float64(m))
	for i := range d {
		x := float64(m-1-2*i) / 2
		d[i] = x * x * w
		e[i] = float64(i) * float64(m-i) / 2 // couples i-1 and i; e[0] = 0
	}
	for j := range k {
		v := eigenvector(d, e, eigenvalue(d, e, m-1-j), j)
		fixSign(v, j)
		tapers = append(tapers, v[:n:n])
		concentration = append(concentration, inBand(v, nw/float64(m)))
	}
	return tapers, concentration, nil
}

// eigenvalue returns the i-th smallest eigenvalue by bisection, to the last bit that
// Sturm counts can tell apart.
func eigenvalue(d, e []float64, i int) float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	for j := range d { // Gershgorin
		r := e[j]
		if j+1 < len(d) {
			r += e[j+1]
		}
		lo, hi = min(lo, d[j]-r), max(hi, d[j]+r)
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			break
		}
		below, q := 0, 1.0
		for j := range d {
			if j == 0 {
				q = d[0] - mid
			} else {
				q = d[j] - mid - e[j]*e[j]/q
			}
			if q == 0 {
				q = 1e-300
			}
			if q < 0 {
				below++
			}
		}
		if below > i {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo + (hi-lo)/2
}

// eigenvector solves (T − λ) v = b twice by Gaussian elimination with partial
// pivoting, starting from a vector with the symmetry of taper j.
func eigenvector(d, e []float64, lambda float64, j int) []float64 {
	n := len(d)
	a, b, c := make([]float64, n), make([]float64, n), make([]float64, n) // pivot rows
	v := make([]float64, n)
	for i := range v { // even or odd about the middle, with j sign changes
		v[i] = math.Cos(math.Pi * float64(j) * (float64(i) + 0.5) / float64(n))
	}
	for range 3 {
		// Row i holds a[i] v[i] + b[i] v[i+1] + c[i] v[i+2].
		diag, up := d[0]-lambda, 0.0
		if n > 1 {
			up = e[1]
		}
		for i := range n - 1 {
			low, next, far := e[i+1], d[i+1]-lambda, 0.0
			if i+2 < n {
				far = e[i+2]
			}
			if math.Abs(low) > math.Abs(diag) {
				a[i], b[i], c[i] = low, next, far
				f := diag / low
				diag, up = up-f*next, -f*far
				v[i], v[i+1] = v[i+1], v[i]-f*v[i+1]
			} else {
				a[i], b[i], c[i] = diag, up, 0
				f := low / diag
				diag, up = next-f*up, far
				v[i+1] -= f * v[i]
			}
		}
		if math.Abs(diag) < 1e-300 {
			diag = 1e-18 * (math.Abs(lambda) + 1)
		}
		a[n-1] = diag
		for i := n - 1; i >= 0; i-- {
			s := v[i]
			if i+1 < n {
				s -= b[i] * v[i+1]
			}
			if i+2 < n {
				s -= c[i] * v[i+2]
			}
			v[i] = s / a[i]
		}
		normalise(v)
	}
	return v
}

func normalise(v []float64) {
	top := 0.0
	for _, x := range v {
		top = max(top, math.Abs(x))
	}
	sum := 0.0
	for i := range v {
		v[i] /= top
		sum += v[i] * v[i]
	}
	sum = math.Sqrt(sum)
	for i := range v {
		v[i] /= sum
	}
}

func fixSign(v []float64, j int) {
	s := 0.0
	if j%2 == 0 {
		for _, x := range v {
			s += x
		}
	} else { // the first lobe: the antisymmetric sum over the first half
		for i := range v {
			s += float64(len(v)-1-2*i) * v[i]
		}
	}
	if s < 0 {
		for i := range v {
			v[i] = -v[i]
		}
	}
}

// inBand is the share of v's energy within ±w cycles per sample: the quadratic form
// with the sinc kernel, through v's autocorrelation.
func inBand(v []float64, w float64) float64 {
	share := 0.0
	for lag := range v {
		r := 0.0
		for i := range len(v) - lag {
			r += v[i] * v[i+lag]
		}
		if lag == 0 {
			share += 2 * w * r
			continue
		}
		x := float64(lag)
		share += 2 * r * math.Sin(2*math.Pi*w*x) / (math.Pi * x)
	}
	return share
}
