package filters

import (
	"fmt"
	"math"
)

// Family is a family of recursive filters.
type Family string

// The families.
const (
	ButterworthFamily Family = "butterworth" // maximally flat
	Chebyshev1Family  Family = "chebyshev1"  // ripple in the pass band
	Chebyshev2Family  Family = "chebyshev2"  // ripple in the stop band
	EllipticFamily    Family = "elliptic"    // ripple in both
	BesselFamily      Family = "bessel"      // flat group delay
)

// Order returns the lowest order of a filter that loses at most ripple dB in the pass
// band and at least attenuation dB in the stop band, and the cut-off frequencies to
// design it with. pass and stop are one edge each (Hz) for low-pass and high-pass, two
// each for band-pass (stop outside pass) and band-stop (pass outside stop).
//
// As SciPy's buttord, cheb1ord, cheb2ord and ellipord: the pass band is met exactly
// and the stop band exceeded, except for Chebyshev II, where it is the other way round.
func Order(family Family, pass, stop []float64, ripple, attenuation, rate float64) (order int, kind Kind, cutoff []float64, err error) {
	if kind, err = kindOfEdges(pass, stop); err != nil {
		return 0, 0, nil, err
	}
	for _, edges := range [][]float64{pass, stop} {
		if err = checkCutoff(kind, rate, edges); err != nil {
			return 0, 0, nil, err
		}
	}
	if err = checkDecibels("ripple", ripple, 0, 20); err != nil {
		return 0, 0, nil, err
	}
	if err = checkDecibels("attenuation", attenuation, ripple, 300); err != nil {
		return 0, 0, nil, err
	}
	needed, ok := orderLaws[family]
	if !ok {
		return 0, 0, nil, fmt.Errorf("there is no order estimate for the family %q; known are %s, %s, %s and %s", family, ButterworthFamily, Chebyshev1Family, Chebyshev2Family, EllipticFamily)
	}
	warp := func(f []float64) []float64 {
		w := make([]float64, len(f))
		for i := range f {
			w[i] = math.Tan(math.Pi * f[i] / rate)
		}
		return w
	}
	p, s := warp(pass), warp(stop)
	gp, gs := excess(ripple), excess(attenuation)
	exact := func() float64 { return needed(gp, gs, selectivity(kind, p, s)) }
	if kind == BandStop { // the pass edges may move inwards where that lowers the order
		p[0] = minimise(func(x float64) float64 { p[0] = x; return exact() }, p[0], s[0]-1e-12)
		p[1] = minimise(func(x float64) float64 { p[1] = x; return exact() }, s[1]+1e-12, p[1])
	}
	n := math.Ceil(exact())
	if !(n >= 1 && n <= 1e6) {
		return 0, 0, nil, fmt.Errorf("no order separates these edges; move pass %v Hz and stop %v Hz apart", pass, stop)
	}
	switch family {
	case ButterworthFamily:
		p = move(kind, p, math.Pow(gp, -1/(2*n)))
	case Chebyshev2Family:
		p = move(kind, p, math.Cosh(math.Acosh(math.Sqrt(gs/gp))/n))
	}
	for _, w := range p {
		cutoff = append(cutoff, rate/math.Pi*math.Atan(w))
	}
	return int(n), kind, cutoff, nil
}

// orderLaws give the order, not rounded, from the powers lost beyond 1 at the pass and
// stop edge and the ratio of these edges in the low-pass prototype.
var orderLaws = map[Family]func(gp, gs, ratio float64) float64{
	ButterworthFamily: func(gp, gs, ratio float64) float64 { return math.Log(gs/gp) / (2 * math.Log(ratio)) },
	Chebyshev1Family:  chebyshevOrder,
	Chebyshev2Family:  chebyshevOrder,
	EllipticFamily: func(gp, gs, ratio float64) float64 {
		m0, m1 := 1/(ratio*ratio), gp/gs
		return completeK(m0) * completeK(1-m1) / (completeK(1-m0) * completeK(m1))
	},
}

func chebyshevOrder(gp, gs, ratio float64) float64 {
	return math.Acosh(math.Sqrt(gs/gp)) / math.Acosh(ratio)
}

// kindOfEdges tells the kind from where the stop band lies.
func kindOfEdges(pass, stop []float64) (Kind, error) {
	switch {
	case len(pass) != len(stop) || len(pass) < 1 || len(pass) > 2:
		return 0, fmt.Errorf("give one pass and one stop edge, or two of each; not %d and %d", len(pass), len(stop))
	case len(pass) == 1 && pass[0] < stop[0]:
		return LowPass, nil
	case len(pass) == 1 && pass[0] > stop[0]:
		return HighPass, nil
	case len(pass) == 2 && stop[0] < pass[0] && pass[1] < stop[1]:
		return BandPass, nil
	case len(pass) == 2 && pass[0] < stop[0] && stop[1] < pass[1]:
		return BandStop, nil
	}
	return 0, fmt.Errorf("pass %v Hz and stop %v Hz overlap; one band must lie outside the other", pass, stop)
}

// selectivity maps the stop edges to the low-pass prototype and returns the nearer.
func selectivity(kind Kind, p, s []float64) float64 {
	switch kind {
	case LowPass:
		return s[0] / p[0]
	case HighPass:
		return p[0] / s[0]
	}
	nearest := math.Inf(1)
	for _, x := range s {
		ratio := math.Abs((x*x - p[0]*p[1]) / (x * (p[1] - p[0])))
		if kind == BandStop {
			ratio = 1 / ratio
		}
		nearest = min(nearest, ratio)
	}
	return nearest
}

// move maps the prototype frequency w back to edges: the inverse of the band mapping.
func move(kind Kind, p []float64, w float64) []float64 {
	switch kind {
	case LowPass:
		return []float64{p[0] * w}
	case HighPass:
		return []float64{p[0] / w}
	case BandStop:
		w = 1 / w
	}
	half := w * (p[1] - p[0]) / 2
	root := math.Sqrt(half*half + p[0]*p[1])
	return []float64{root - half, root + half}
}

// minimise finds the minimum of f between a and b by golden sections.
func minimise(f func(float64) float64, a, b float64) float64 {
	const golden = 0.6180339887498949
	c, d := b-golden*(b-a), a+golden*(b-a)
	fc, fd := f(c), f(d)
	for range 80 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - golden*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + golden*(b-a)
			fd = f(d)
		}
	}
	return (a + b) / 2
}
