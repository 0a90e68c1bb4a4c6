package filters

import (
	"fmt"
	"math"
	"math/cmplx"
)

// Chebyshev1 designs a digital filter with equal ripple (dB, above 0) in the pass
// band, which ends at the cut-off frequencies, and a monotone stop band.
func Chebyshev1(kind Kind, order int, ripple, rate float64, cutoff ...float64) (ZPK, error) {
	if err := checkOrder(order); err != nil {
		return ZPK{}, err
	}
	if err := checkDecibels("ripple", ripple, 0, 20); err != nil {
		return ZPK{}, err
	}
	eps := math.Sqrt(excess(ripple))
	mu := math.Asinh(1/eps) / float64(order)
	p := ZPK{}
	for m := 1 - order; m < order; m += 2 {
		p.Poles = append(p.Poles, -cmplx.Sinh(complex(mu, math.Pi*float64(m)/float64(2*order))))
	}
	p.Gain = real(negated(p.Poles))
	if order%2 == 0 {
		p.Gain /= math.Sqrt(1 + eps*eps)
	}
	return digital(p, kind, rate, cutoff)
}

// Chebyshev2 designs a digital filter with a monotone pass band and a stop band that
// begins at the cut-off frequencies and never rises above -attenuation (dB, above 0).
func Chebyshev2(kind Kind, order int, attenuation, rate float64, cutoff ...float64) (ZPK, error) {
	if err := checkOrder(order); err != nil {
		return ZPK{}, err
	}
	if err := checkDecibels("attenuation", attenuation, 0, 300); err != nil {
		return ZPK{}, err
	}
	mu := math.Asinh(math.Sqrt(excess(attenuation))) / float64(order)
	p := ZPK{}
	for m := 1 - order; m < order; m += 2 {
		x := math.Pi * float64(m) / float64(2*order)
		if m != 0 {
			p.Zeros = append(p.Zeros, complex(0, 1/math.Sin(x)))
		}
		q := -cmplx.Exp(complex(0, x))
		p.Poles = append(p.Poles, 1/complex(math.Sinh(mu)*real(q), math.Cosh(mu)*imag(q)))
	}
	p.Gain = real(negated(p.Poles) / negated(p.Zeros))
	return digital(p, kind, rate, cutoff)
}

// excess is 10^(db/10) − 1, without loss for small db.
func excess(db float64) float64 { return math.Expm1(db * math.Ln10 / 10) }

func checkDecibels(name string, db, above, most float64) error {
	if !(db > above && db <= most) {
		return fmt.Errorf("%s %v dB is impossible; allowed is above %v and up to %v dB", name, db, above, most)
	}
	return nil
}
