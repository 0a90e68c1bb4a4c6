package filters

import (
	"fmt"
	"math"
	"math/cmplx"
	"sort"
)

// ZPK is a filter as zeros, poles and gain: the form that designs work in from start
// to end, because polynomial coefficients of a band-pass lose all accuracy above
// order 4. Roots off the real axis come in conjugate pairs.
type ZPK struct {
	Zeros, Poles []complex128
	Gain         float64
}

// Kind is what a filter lets through.
type Kind uint8

// The kinds of filters.
const (
	LowPass Kind = iota
	HighPass
	BandPass
	BandStop
)

var kindNames = [...]string{"low-pass", "high-pass", "band-pass", "band-stop"}

// String returns the usual name.
func (k Kind) String() string { return kindNames[k] }

const maxOrder = 16

// Butterworth designs a digital filter that is maximally flat, of this order per edge,
// with -3 dB at the cut-off frequencies (Hz; two for band kinds) at a sampling rate in
// Hz, by the bilinear transform with pre-warping.
func Butterworth(kind Kind, order int, rate float64, cutoff ...float64) (ZPK, error) {
	if err := checkOrder(order); err != nil {
		return ZPK{}, err
	}
	var p ZPK
	p.Gain = 1
	for m := 1 - order; m < order; m += 2 {
		p.Poles = append(p.Poles, -cmplx.Exp(complex(0, math.Pi*float64(m)/float64(2*order))))
	}
	return digital(p, kind, rate, cutoff)
}

func checkOrder(order int) error {
	if order < 1 || order > maxOrder {
		return fmt.Errorf("order %d is impossible; allowed are 1 to %d", order, maxOrder)
	}
	return nil
}

// checkCutoff says what is wrong with the edges of a filter.
func checkCutoff(kind Kind, rate float64, cutoff []float64) error {
	want := 1
	if kind == BandPass || kind == BandStop {
		want = 2
	}
	if len(cutoff) != want {
		return fmt.Errorf("a %s has %d cut-off frequencies, not %d", kind, want, len(cutoff))
	}
	if !(rate > 0) || math.IsInf(rate, 0) {
		return fmt.Errorf("a %s needs a regular sampling rate, not %v Hz", kind, rate)
	}
	for _, f := range cutoff {
		if !(f > 0 && f < rate/2) {
			return fmt.Errorf("cut-off %v Hz is impossible at %v Hz; allowed is above 0 and below %v Hz (half the rate)", f, rate, rate/2)
		}
	}
	if want == 2 && !(cutoff[0] < cutoff[1]) {
		return fmt.Errorf("band %v to %v Hz is impossible: the lower edge must be below the upper one", cutoff[0], cutoff[1])
	}
	return nil
}

// digital maps an analogue prototype with cut-off 1 rad/s to the wanted kind and then
// to discrete time, in the normalisation with rate 2.
func digital(p ZPK, kind Kind, rate float64, cutoff []float64) (ZPK, error) {
	if err := checkCutoff(kind, rate, cutoff); err != nil {
		return ZPK{}, err
	}
	warp := func(f float64) float64 { return 4 * math.Tan(math.Pi*f/rate) }
	switch kind {
	case LowPass:
		p = p.scale(warp(cutoff[0]))
	case HighPass:
		p = p.invert(warp(cutoff[0]))
	case BandPass:
		lo, hi := warp(cutoff[0]), warp(cutoff[1])
		p = p.band(math.Sqrt(lo*hi), hi-lo)
	case BandStop:
		lo, hi := warp(cutoff[0]), warp(cutoff[1])
		p = p.stop(math.Sqrt(lo*hi), hi-lo)
	}
	return p.bilinear(), nil
}

// scale maps s to s/w.
func (p ZPK) scale(w float64) ZPK {
	q := ZPK{Gain: p.Gain * math.Pow(w, float64(len(p.Poles)-len(p.Zeros)))}
	q.Zeros = each(p.Zeros, func(r complex128) complex128 { return r * complex(w, 0) })
	q.Poles = each(p.Poles, func(r complex128) complex128 { return r * complex(w, 0) })
	return q
}

// invert maps s to w/s.
func (p ZPK) invert(w float64) ZPK {
	q := ZPK{Gain: p.Gain * real(negated(p.Zeros)/negated(p.Poles))}
	f := func(r complex128) complex128 { return complex(w, 0) / r }
	q.Zeros, q.Poles = each(p.Zeros, f), each(p.Poles, f)
	for len(q.Zeros) < len(q.Poles) {
		q.Zeros = append(q.Zeros, 0)
	}
	return q
}

// band maps s to (s²+w0²)/(s bw).
func (p ZPK) band(w0, bw float64) ZPK {
	degree := len(p.Poles) - len(p.Zeros)
	q := ZPK{Gain: p.Gain * math.Pow(bw, float64(degree))}
	f := func(r complex128) complex128 { return r * complex(bw/2, 0) }
	q.Zeros, q.Poles = split(each(p.Zeros, f), w0), split(each(p.Poles, f), w0)
	for range degree {
		q.Zeros = append(q.Zeros, 0)
	}
	return q
}

// stop maps s to s bw/(s²+w0²).
func (p ZPK) stop(w0, bw float64) ZPK {
	degree := len(p.Poles) - len(p.Zeros)
	q := ZPK{Gain: p.Gain * real(negated(p.Zeros)/negated(p.Poles))}
	f := func(r complex128) complex128 { return complex(bw/2, 0) / r }
	q.Zeros, q.Poles = split(each(p.Zeros, f), w0), split(each(p.Poles, f), w0)
	for range degree {
		q.Zeros = append(q.Zeros, complex(0, w0), complex(0, -w0))
	}
	return q
}

// bilinear maps s to 4(z-1)/(z+1); zeros at infinity go to -1.
func (p ZPK) bilinear() ZPK {
	f := func(r complex128) complex128 { return (4 + r) / (4 - r) }
	num, den := complex(1, 0), complex(1, 0)
	for _, z := range p.Zeros {
		num *= 4 - z
	}
	for _, r := range p.Poles {
		den *= 4 - r
	}
	q := ZPK{Zeros: each(p.Zeros, f), Poles: each(p.Poles, f), Gain: p.Gain * real(num/den)}
	for len(q.Zeros) < len(q.Poles) {
		q.Zeros = append(q.Zeros, -1)
	}
	return q
}

func each(r []complex128, f func(complex128) complex128) []complex128 {
	out := make([]complex128, len(r))
	for i := range r {
		out[i] = f(r[i])
	}
	return out
}

func split(r []complex128, w0 float64) []complex128 {
	out := make([]complex128, 0, 2*len(r))
	for _, h := range r {
		d := cmplx.Sqrt(h*h - complex(w0*w0, 0))
		out = append(out, h+d, h-d)
	}
	return out
}

func negated(r []complex128) complex128 {
	p := complex(1, 0)
	for _, x := range r {
		p *= -x
	}
	return p
}

// Response is the complex gain at a frequency in Hz.
func (p ZPK) Response(freq, rate float64) complex128 {
	z := cmplx.Exp(complex(0, 2*math.Pi*freq/rate))
	h := complex(p.Gain, 0)
	for i := range max(len(p.Zeros), len(p.Poles)) { // in turn, so that nothing overflows
		if i < len(p.Zeros) {
			h *= z - p.Zeros[i]
		}
		if i < len(p.Poles) {
			h /= z - p.Poles[i]
		}
	}
	return h
}

// Radius is the largest magnitude of a pole: below 1 in a stable filter.
func (p ZPK) Radius() float64 {
	r := 0.0
	for _, x := range p.Poles {
		r = max(r, cmplx.Abs(x))
	}
	return r
}

// Settling returns the samples after which a disturbance has decayed to 1e-3.
func (p ZPK) Settling() float64 {
	if r := p.Radius(); r > 0 {
		return math.Log(1e-3) / math.Log(r)
	}
	return 0
}

// Section is a second-order section: y = b0 x + b1 x' + b2 x” - a1 y' - a2 y”.
type Section struct{ B0, B1, B2, A1, A2 float64 }

// Sections pairs every pole pair with the nearest zeros; the pair closest to the unit
// circle comes last, and all gain is in the first section.
func (p ZPK) Sections() []Section {
	n := (max(len(p.Zeros), len(p.Poles)) + 1) / 2
	poles, zeros := pad(p.Poles, 2*n), pad(p.Zeros, 2*n)
	out := make([]Section, n)
	for i := n - 1; i >= 0; i-- {
		p1 := take(&poles, func(r complex128) float64 { return math.Abs(1 - cmplx.Abs(r)) })
		var p2 complex128
		if imag(p1) != 0 {
			p2 = take(&poles, func(r complex128) float64 { return cmplx.Abs(r - cmplx.Conj(p1)) })
		} else { // the nearest other real pole
			p2 = take(&poles, func(r complex128) float64 { return cmplx.Abs(r-p1) + 1e9*math.Abs(imag(r)) })
		}
		z1 := take(&zeros, func(r complex128) float64 { return cmplx.Abs(r - p1) })
		var z2 complex128
		if imag(z1) != 0 {
			z2 = take(&zeros, func(r complex128) float64 { return cmplx.Abs(r - cmplx.Conj(z1)) })
		} else {
			z2 = take(&zeros, func(r complex128) float64 { return cmplx.Abs(r-p2) + 1e9*math.Abs(imag(r)) })
		}
		out[i] = Section{1, -real(z1 + z2), real(z1 * z2), -real(p1 + p2), real(p1 * p2)}
	}
	out[0].B0 *= p.Gain
	out[0].B1 *= p.Gain
	out[0].B2 *= p.Gain
	return out
}

func pad(r []complex128, n int) []complex128 {
	out := append([]complex128(nil), r...)
	for i, x := range out { // rounding must not turn a real root into half a pair
		if math.Abs(imag(x)) < 1e-12*(1+cmplx.Abs(x)) {
			out[i] = complex(real(x), 0)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if real(out[i]) != real(out[j]) {
			return real(out[i]) < real(out[j])
		}
		return imag(out[i]) < imag(out[j])
	})
	for len(out) < n {
		out = append(out, 0)
	}
	return out
}

func take(list *[]complex128, cost func(complex128) float64) complex128 {
	best := 0
	for i, r := range *list {
		if cost(r) < cost((*list)[best]) {
			best = i
		}
	}
	r := (*list)[best]
	*list = append((*list)[:best], (*list)[best+1:]...)
	return r
}

// Delay returns the group delay of sections at a frequency, in samples.
func Delay(sections []Section, freq, rate float64) float64 {
	w := 2 * math.Pi * freq / rate
	part := func(c ...float64) float64 {
		var num, den complex128
		for k, v := range c {
			e := cmplx.Exp(complex(0, -w*float64(k)))
			num += complex(float64(k)*v, 0) * e
			den += complex(v, 0) * e
		}
		if cmplx.Abs(den) < 1e-14 {
			return 0
		}
		return real(num / den)
	}
	d := 0.0
	for _, s := range sections {
		d += part(s.B0, s.B1, s.B2) - part(1, s.A1, s.A2)
	}
	return d
}
