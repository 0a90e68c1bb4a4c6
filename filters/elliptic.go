package filters

import (
	"math"
)

// Elliptic designs a digital filter with equal ripple (dB, above 0) in the pass band,
// which ends at the cut-off frequencies, and equal attenuation (dB, above the ripple)
// in the stop band: the narrowest transition of all for its order.
func Elliptic(kind Kind, order int, ripple, attenuation, rate float64, cutoff ...float64) (ZPK, error) {
	if err := checkOrder(order); err != nil {
		return ZPK{}, err
	}
	if err := checkDecibels("ripple", ripple, 0, 20); err != nil {
		return ZPK{}, err
	}
	if err := checkDecibels("attenuation", attenuation, ripple, 300); err != nil {
		return ZPK{}, err
	}
	return digital(ellipticPrototype(order, ripple, attenuation), kind, rate, cutoff)
}

// ellipticPrototype has its pass band end at 1 rad/s (Orfanidis, Lecture notes on
// elliptic filter design; Cauer). Parameters m are squares of moduli.
func ellipticPrototype(order int, ripple, attenuation float64) ZPK {
	e2 := excess(ripple)
	if order == 1 {
		p := -math.Sqrt(1 / e2)
		return ZPK{Poles: []complex128{complex(p, 0)}, Gain: -p}
	}
	k1 := e2 / excess(attenuation)
	m := degreeEquation(order, k1)
	quarter := completeK(m)

	eps := math.Sqrt(e2)
	r := inverseSC(1/eps, k1)
	v0 := quarter * r / (float64(order) * completeK(k1))
	sv, cv, dv := jacobi(v0, 1-m)

	var p ZPK
	for j := 1 - order%2; j < order; j += 2 {
		sn, cn, dn := jacobi(float64(j)*quarter/float64(order), m)
		if j > 0 { // sn is 0 for j = 0: a real pole and no zero
			z := 1 / (math.Sqrt(m) * sn)
			p.Zeros = append(p.Zeros, complex(0, z), complex(0, -z))
		}
		den := 1 - (dn*sv)*(dn*sv)
		re, im := -cn*dn*sv*cv/den, -sn*dv/den
		if j == 0 {
			p.Poles = append(p.Poles, complex(re, 0))
			continue
		}
		p.Poles = append(p.Poles, complex(re, im), complex(re, -im))
	}
	p.Gain = real(negated(p.Poles) / negated(p.Zeros))
	if order%2 == 0 {
		p.Gain /= math.Sqrt(1 + e2)
	}
	return p
}

// degreeEquation returns the parameter m for which K(1-m)/K(m) = K(1-k1)/(order K(k1)),
// through the nome: m = 16 q (Σ q^(n(n+1)) / (1 + 2 Σ q^(n²)))⁴.
func degreeEquation(order int, k1 float64) float64 {
	q := math.Exp(-math.Pi * completeK(1-k1) / completeK(k1) / float64(order))
	num, den := 0.0, 1.0
	for n := 0.0; n < 8; n++ {
		num += math.Pow(q, n*(n+1))
		den += 2 * math.Pow(q, (n+1)*(n+1))
	}
	return 16 * q * math.Pow(num/den, 4)
}

// completeK is the complete elliptic integral of the first kind of parameter m, by the
// arithmetic-geometric mean.
func completeK(m float64) float64 {
	a, b := 1.0, math.Sqrt(1-m)
	for range 20 { // the means can stay one ulp apart
		if a == b {
			break
		}
		a, b = (a+b)/2, math.Sqrt(a*b)
	}
	return math.Pi / (a + b)
}

// jacobi returns sn, cn and dn of u for parameter m (Abramowitz and Stegun 16.4).
func jacobi(u, m float64) (sn, cn, dn float64) {
	var a, c [20]float64
	a[0], c[0] = 1, math.Sqrt(m)
	b, n := math.Sqrt(1-m), 0
	for math.Abs(c[n]/a[n]) > 1e-16 && n < len(a)-1 {
		a[n+1], c[n+1] = (a[n]+b)/2, (a[n]-b)/2
		b = math.Sqrt(a[n] * b)
		n++
	}
	phi := math.Ldexp(a[n]*u, n)
	previous := phi
	for ; n > 0; n-- {
		previous = phi
		phi = (math.Asin(c[n]*math.Sin(phi)/a[n]) + phi) / 2
	}
	sn, cn = math.Sincos(phi)
	dn = math.Sqrt(1 - m*sn*sn)
	if d := math.Cos(previous - phi); d > 0.1 {
		dn = cn / d
	}
	return sn, cn, dn
}

// inverseSC returns the u for which sn(u)/cn(u) = x at the complementary parameter 1-m:
// the incomplete integral of the first kind, s RF(c², 1-(1-m)s², 1).
func inverseSC(x, m float64) float64 {
	s, c := math.Sincos(math.Atan(x))
	return s * carlsonRF(c*c, 1-(1-m)*s*s, 1)
}

// carlsonRF is Carlson's symmetric integral of the first kind, by duplication
// (Carlson 1995).
func carlsonRF(x, y, z float64) float64 {
	for range 60 {
		mean := (x + y + z) / 3
		if max(math.Abs(x-mean), math.Abs(y-mean), math.Abs(z-mean)) < 1e-4*mean {
			break
		}
		l := math.Sqrt(x*y) + math.Sqrt(y*z) + math.Sqrt(z*x)
		x, y, z = (x+l)/4, (y+l)/4, (z+l)/4
	}
	mean := (x + y + z) / 3
	dx, dy := 1-x/mean, 1-y/mean
	dz := -dx - dy
	e2, e3 := dx*dy-dz*dz, dx*dy*dz
	return (1 - e2/10 + e3/14 + e2*e2/24 - 3*e2*e3/44) / math.Sqrt(mean)
}
