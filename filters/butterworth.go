package filters

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Bandpass is a causal Butterworth band-pass with -3 dB at both edges.
// Output: as the input. Cost: 5·Order multiplications a sample.
type Bandpass struct {
	Low, High float64 // Hz, 0 < Low < High < half the rate
	Order     int     // per edge, 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (b *Bandpass) Open(in stream.Header) (stream.Header, error) {
	return b.butterworth(in, BandPass, b.Order, math.Sqrt(b.Low*b.High), b.Low, b.High)
}

// Bandstop is a causal Butterworth band-stop with -3 dB at both edges.
type Bandstop struct {
	Low, High float64 // Hz, 0 < Low < High < half the rate
	Order     int     // per edge, 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (b *Bandstop) Open(in stream.Header) (stream.Header, error) {
	return b.butterworth(in, BandStop, b.Order, b.Low/2, b.Low, b.High)
}

// Lowpass is a causal Butterworth low-pass with -3 dB at High.
type Lowpass struct {
	High  float64 // Hz, below half the rate
	Order int     // 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (f *Lowpass) Open(in stream.Header) (stream.Header, error) {
	return f.butterworth(in, LowPass, f.Order, f.High/2, f.High)
}

// Highpass is a causal Butterworth high-pass with -3 dB at Low.
type Highpass struct {
	Low   float64 // Hz, below half the rate
	Order int     // 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (f *Highpass) Open(in stream.Header) (stream.Header, error) {
	return f.butterworth(in, HighPass, f.Order, math.Sqrt(f.Low*in.Rate/2), f.Low)
}

// iir is what all recursive filters share: everything but the design.
type iir struct{ run cascade }

func (f *iir) butterworth(in stream.Header, kind Kind, order int, at float64, cutoff ...float64) (stream.Header, error) {
	if order == 0 {
		order = 4
	}
	p, err := Butterworth(kind, order, in.Rate, cutoff...)
	if err != nil {
		return stream.Header{}, err
	}
	return f.open(in, p.Sections(), p, at)
}

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
	in.Delay += max(0, Delay(sections, at, in.Rate)) / in.Rate
	in.Settle += p.Settling() / in.Rate
	return in, nil
}

var errNoChannels = fmt.Errorf("the stream has no channels to filter")

// Process filters a chunk.
func (f *iir) Process(dst, src *stream.Chunk) { f.run.process(dst, src) }

// Reset forgets the past.
func (f *iir) Reset() { f.run.reset() }

// Snapshot appends the filter's state.
func (f *iir) Snapshot(dst []byte) []byte { return f.run.snapshot(dst) }

// Restore sets it.
func (f *iir) Restore(b []byte) error { return f.run.restore(b) }
