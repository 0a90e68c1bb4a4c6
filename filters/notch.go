package filters

import (
	"fmt"
	"math"
	"math/cmplx"

	"neurostream/stream"
)

// Notch takes a line out: mains hum and its harmonics. Each is a second-order section
// with zeros on the unit circle and a -3 dB width of Freq/Q (the bilinear design that
// SciPy calls iirnotch).
type Notch struct {
	Freq      float64 // Hz, below half the rate
	Q         float64 // Freq divided by the -3 dB width; 0 = 30
	Harmonics int     // multiples of Freq, the first included; 0 = 1; those above half the rate are left out
	iir
}

// NotchSection designs one notch.
func NotchSection(freq, q, rate float64) (Section, error) {
	if err := checkCutoff(LowPass, rate, []float64{freq}); err != nil {
		return Section{}, err
	}
	if !(q > 0) || math.IsInf(q, 0) {
		return Section{}, fmt.Errorf("q %v is impossible: give the centre divided by the width, e.g. 30", q)
	}
	w := 2 * math.Pi * freq / rate
	g := 1 / (1 + math.Tan(w/q/2))
	c := -2 * math.Cos(w)
	return Section{g, g * c, g, g * c, 2*g - 1}, nil
}

// Open designs the notches for the stream's rate.
func (n *Notch) Open(in stream.Header) (stream.Header, error) {
	q, count := n.Q, n.Harmonics
	if q == 0 {
		q = 30
	}
	if count == 0 {
		count = 1
	}
	if count < 0 {
		return stream.Header{}, fmt.Errorf("harmonics %d is impossible; 1 is the line itself", n.Harmonics)
	}
	var sections []Section
	var p ZPK
	for k := 1; k <= count; k++ {
		f := n.Freq * float64(k)
		if k > 1 && f >= in.Rate/2 {
			break
		}
		s, err := NotchSection(f, q*float64(k), in.Rate) // the same width in Hz at every harmonic
		if err != nil {
			return stream.Header{}, err
		}
		sections = append(sections, s)
		p.Poles = append(p.Poles, s.poles()...)
	}
	return n.open(in, sections, p, n.Freq/4)
}

// poles are the roots of z² + a1 z + a2.
func (s Section) poles() []complex128 {
	d := cmplx.Sqrt(complex(s.A1*s.A1-4*s.A2, 0))
	return []complex128{(complex(-s.A1, 0) + d) / 2, (complex(-s.A1, 0) - d) / 2}
}

// Peak lets one frequency through: a second-order resonator with gain 1 at Freq and
// a -3 dB width of Freq/Q (the bilinear design that SciPy calls iirpeak). Its group
// delay is announced at Freq.
type Peak struct {
	Freq float64 // Hz, below half the rate
	Q    float64 // Freq divided by the -3 dB width; 0 = 30
	iir
}

// PeakSection designs one resonator.
func PeakSection(freq, q, rate float64) (Section, error) {
	s, err := NotchSection(freq, q, rate)
	if err != nil {
		return Section{}, err
	}
	g := s.B0
	return Section{1 - g, 0, g - 1, s.A1, s.A2}, nil
}

// Open designs the resonator for the stream's rate.
func (f *Peak) Open(in stream.Header) (stream.Header, error) {
	q := f.Q
	if q == 0 {
		q = 30
	}
	s, err := PeakSection(f.Freq, q, in.Rate)
	if err != nil {
		return stream.Header{}, err
	}
	return f.open(in, []Section{s}, ZPK{Poles: s.poles()}, f.Freq)
}
