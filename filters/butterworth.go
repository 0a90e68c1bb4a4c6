package filters

import "neurostream/stream"

// Bandpass is a causal Butterworth band-pass with -3 dB at both edges.
// Output: as the input. Cost: 5·Order multiplications a sample.
type Bandpass struct {
	Low, High float64 // Hz, 0 < Low < High < half the rate
	Order     int     // per edge, 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (b *Bandpass) Open(in stream.Header) (stream.Header, error) {
	return b.butterworth(in, BandPass, b.Order, b.Low, b.High)
}

// Bandstop is a causal Butterworth band-stop with -3 dB at both edges.
type Bandstop struct {
	Low, High float64 // Hz, 0 < Low < High < half the rate
	Order     int     // per edge, 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (b *Bandstop) Open(in stream.Header) (stream.Header, error) {
	return b.butterworth(in, BandStop, b.Order, b.Low, b.High)
}

// Lowpass is a causal Butterworth low-pass with -3 dB at High.
type Lowpass struct {
	High  float64 // Hz, below half the rate
	Order int     // 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (f *Lowpass) Open(in stream.Header) (stream.Header, error) {
	return f.butterworth(in, LowPass, f.Order, f.High)
}

// Highpass is a causal Butterworth high-pass with -3 dB at Low.
type Highpass struct {
	Low   float64 // Hz, below half the rate
	Order int     // 1 to 16; 0 = 4
	iir
}

// Open designs the filter for the stream's rate.
func (f *Highpass) Open(in stream.Header) (stream.Header, error) {
	return f.butterworth(in, HighPass, f.Order, f.Low)
}
