package filters

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// IIR is a causal recursive filter of any family. Either Kind, Order and the edges
// are given, or Pass and Stop, from which the lowest order that does it follows.
// Output: as the input. Cost: 5 multiplications a sample and pole pair.
//
// What an edge is depends on the family: -3 dB for butterworth, the end of the pass
// band for chebyshev1 and elliptic, the start of the stop band for chebyshev2, half
// the phase for bessel: as in SciPy's iirfilter.
type IIR struct {
	Family      Family  // "" = butterworth
	Kind        Kind    //
	Low, High   float64 // Hz; low-pass takes High, high-pass Low, the others both
	Order       int     // per edge, 1 to 16; 0 = 4
	Ripple      float64 // dB in the pass band; 0 = 1
	Attenuation float64 // dB in the stop band; 0 = 40

	// Pass and Stop are edges in Hz, one each or two each; see Order.
	Pass, Stop []float64

	iir
}

// Open designs the filter for the stream's rate.
func (f *IIR) Open(in stream.Header) (stream.Header, error) {
	family, kind, order, cutoff := f.Family, f.Kind, f.Order, []float64{f.Low, f.High}
	ripple, attenuation := f.Ripple, f.Attenuation
	if family == "" {
		family = ButterworthFamily
	}
	if order == 0 {
		order = 4
	}
	if ripple == 0 {
		ripple = 1
	}
	if attenuation == 0 {
		attenuation = 40
	}
	switch {
	case len(f.Pass) > 0 || len(f.Stop) > 0:
		if f.Low != 0 || f.High != 0 || f.Order != 0 {
			return stream.Header{}, fmt.Errorf("pass and stop choose the order and the edges; leave out order, low and high")
		}
		var err error
		if order, kind, cutoff, err = Order(family, f.Pass, f.Stop, ripple, attenuation, in.Rate); err != nil {
			return stream.Header{}, err
		}
		if order > maxOrder {
			return stream.Header{}, fmt.Errorf("a %s filter for pass %v Hz and stop %v Hz needs order %d; the most is %d: widen the transition, ask for less attenuation, or take the family elliptic", family, f.Pass, f.Stop, order, maxOrder)
		}
	case kind == LowPass:
		if f.Low != 0 {
			return stream.Header{}, fmt.Errorf("a low-pass has the edge high alone, not low")
		}
		cutoff = cutoff[1:]
	case kind == HighPass:
		if f.High != 0 {
			return stream.Header{}, fmt.Errorf("a high-pass has the edge low alone, not high")
		}
		cutoff = cutoff[:1]
	}
	p, err := Design(family, kind, order, ripple, attenuation, in.Rate, cutoff...)
	if err != nil {
		return stream.Header{}, err
	}
	return f.open(in, p.Sections(), p, centre(kind, cutoff, in.Rate))
}

// Design designs a filter of any family. Ripple (dB) matters to chebyshev1 and
// elliptic, attenuation (dB) to chebyshev2 and elliptic.
func Design(family Family, kind Kind, order int, ripple, attenuation, rate float64, cutoff ...float64) (ZPK, error) {
	switch family {
	case ButterworthFamily:
		return Butterworth(kind, order, rate, cutoff...)
	case Chebyshev1Family:
		return Chebyshev1(kind, order, ripple, rate, cutoff...)
	case Chebyshev2Family:
		return Chebyshev2(kind, order, attenuation, rate, cutoff...)
	case EllipticFamily:
		return Elliptic(kind, order, ripple, attenuation, rate, cutoff...)
	case BesselFamily:
		return Bessel(kind, order, rate, cutoff...)
	}
	return ZPK{}, fmt.Errorf("there is no family %q; known are %s, %s, %s, %s and %s", family, ButterworthFamily, Chebyshev1Family, Chebyshev2Family, EllipticFamily, BesselFamily)
}

// centre is the frequency whose group delay is announced: the middle of what passes.
func centre(kind Kind, cutoff []float64, rate float64) float64 {
	switch kind {
	case LowPass, BandStop:
		return cutoff[0] / 2
	case HighPass:
		return math.Sqrt(cutoff[0] * rate / 2)
	}
	return math.Sqrt(cutoff[0] * cutoff[1])
}

// iir is what all recursive filters share: everything but the design.
type iir struct {
	run  cascade
	note string // what a person should know about this filter, or ""
	told bool
}

func (f *iir) butterworth(in stream.Header, kind Kind, order int, cutoff ...float64) (stream.Header, error) {
	if order == 0 {
		order = 4
	}
	p, err := Butterworth(kind, order, in.Rate, cutoff...)
	if err != nil {
		return stream.Header{}, err
	}
	return f.open(in, p.Sections(), p, centre(kind, cutoff, in.Rate))
}

// slow is the pole radius above which a person is told how long the filter rings.
const slow = 0.9995

// unstable is the pole radius above which rounding makes a float64 filter useless.
const unstable = 1 - 1e-9

// open starts the sections; at is the frequency whose group delay is announced.
func (f *iir) open(in stream.Header, sections []Section, p ZPK, at float64) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	if r := p.Radius(); !(r < unstable) {
		return stream.Header{}, fmt.Errorf("this filter would take %.3g s to settle at %v Hz and is not usable in floating point; use a wider band, a lower order, or resample first", p.Settling()/in.Rate, in.Rate)
	}
	f.run.open(in.Rows(), sections)
	f.note, f.told = "", false
	if p.Radius() > slow {
		f.note = fmt.Sprintf("this filter takes %.3g s to settle after every start and gap", p.Settling()/in.Rate)
	}
	in.Delay += max(0, Delay(sections, at, in.Rate)) / in.Rate
	in.Settle += p.Settling() / in.Rate
	return in, nil
}

var errNoChannels = fmt.Errorf("the stream has no channels to filter")

// Process filters a chunk.
func (f *iir) Process(dst, src *stream.Chunk) {
	f.run.process(dst, src)
	if f.note != "" && !f.told && src.Len > 0 {
		f.told = true
		dst.Events = append(dst.Events, stream.Event{Kind: stream.EventNote, Seq: src.Seq, Time: src.T0, Origin: "filter", Detail: f.note})
	}
}

// Reset forgets the past.
func (f *iir) Reset() { f.run.reset() }

// Snapshot appends the filter's state.
func (f *iir) Snapshot(dst []byte) []byte { return f.run.snapshot(dst) }

// Restore sets it.
func (f *iir) Restore(b []byte) error { return f.run.restore(b) }
