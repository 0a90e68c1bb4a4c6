package filters

import (
	"math"
	"math/cmplx"
)

// Bessel designs a digital filter from the prototype with maximally flat group delay.
// The cut-off is where the phase of the prototype is half its total, which is SciPy's
// norm "phase": the filter is then about as far down as a Butterworth of its order is
// at high frequencies.
func Bessel(kind Kind, order int, rate float64, cutoff ...float64) (ZPK, error) {
	if err := checkOrder(order); err != nil {
		return ZPK{}, err
	}
	return digital(besselPrototype(order), kind, rate, cutoff)
}

// besselPrototype scales the roots of the reverse Bessel polynomial, whose last
// coefficient is (2n)!/(2^n n!), so that their product is 1.
func besselPrototype(order int) ZPK {
	roots := besselRoots(order)
	logLast := 0.0
	for k := order + 1; k <= 2*order; k++ {
		logLast += math.Log(float64(k) / 2)
	}
	scale := complex(math.Exp(-logLast/float64(order)), 0)
	return ZPK{Poles: each(roots, func(r complex128) complex128 { return r * scale }), Gain: 1}
}

// besselRoots finds all roots of the reverse Bessel polynomial at once with Aberth's
// iteration; it and its derivative come from θ_k = (2k−1) θ_{k−1} + s² θ_{k−2}, which
// is stable where powers are not.
func besselRoots(n int) []complex128 {
	evaluate := func(s complex128) (value, slope complex128) {
		f0, f1 := complex(1, 0), s+1
		var d0, d1 complex128 = 0, 1
		for k := 2; k <= n; k++ {
			c := complex(float64(2*k-1), 0)
			f0, f1, d0, d1 = f1, c*f1+s*s*f0, d1, c*d1+2*s*f0+s*s*d0
		}
		return f1, d1
	}
	r := make([]complex128, n)
	for i := range r { // a half circle in the left half plane, conjugate pairs
		x := math.Pi * (float64(2*i+1)/float64(2*n) + 0.5)
		r[i] = cmplx.Rect(0.9*float64(n), x)
	}
	for range 200 {
		largest := 0.0
		next := make([]complex128, n)
		for i := range r {
			v, d := evaluate(r[i])
			w := v / d
			var repel complex128
			for j := range r {
				if j != i {
					repel += 1 / (r[i] - r[j])
				}
			}
			step := w / (1 - w*repel)
			next[i] = r[i] - step
			largest = max(largest, cmplx.Abs(step)/cmplx.Abs(r[i]))
		}
		copy(r, next)
		if largest < 1e-15 {
			break
		}
	}
	for i := range n / 2 { // exact conjugates
		j := n - 1 - i
		m := (r[i] + cmplx.Conj(r[j])) / 2
		r[i], r[j] = m, cmplx.Conj(m)
	}
	if n%2 == 1 {
		r[n/2] = complex(real(r[n/2]), 0)
	}
	return r
}
