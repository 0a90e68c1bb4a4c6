package filters

import (
	"fmt"
	"math"

	"neurostream/filters/internal/fir"
	"neurostream/stream"
)

// FIR is a causal filter with a finite impulse response. A linear-phase one delays
// every frequency by (taps−1)/2 samples, a minimum-phase one by far less, but not
// evenly. Output: as the input; its first value is the steady state of the first good
// sample. A bad sample is forgotten after as many columns as there are taps.
//
// Low and High are where the gain is 1/2 (-6 dB). Cost: a multiplication a tap and
// sample; long filters run in parts by fast transforms (see partition), which changes
// the last bits, but not with the cut of the chunks.
type FIR struct {
	Kind        Kind    //
	Low, High   float64 // Hz; low-pass takes High, high-pass Low, the others both
	Taps        int     // length; 0 = from Transition
	Transition  float64 // Hz from pass to stop band; 0 = a quarter of the edge, 2 Hz and more, as MNE
	Window      string  // of the window method; "" = hamming
	Attenuation float64 // dB, for window kaiser; 0 = 60
	Method      string  // "window" (or "") or "least-squares"
	Minimum     bool    // minimum phase in place of linear phase
	// Coefficients, when given, are the impulse response itself.
	Coefficients []float64

	h    []float64
	line line
	tail *partition // of long filters
}

// lengthFactor times rate/transition is how many taps a window needs.
var lengthFactor = map[string]float64{"boxcar": 0.9, "hann": 3.1, "hamming": 3.3, "blackman": 5.0}

// Design returns the impulse response for a rate.
func (f *FIR) Design(rate float64) ([]float64, error) {
	if len(f.Coefficients) > 0 {
		if err := checkTaps(len(f.Coefficients)); err != nil {
			return nil, err
		}
		sum := 0.0
		for i, v := range f.Coefficients {
			if !(math.Abs(v) <= 1e100) {
				return nil, fmt.Errorf("coefficient %d is %v; give finite numbers", i+1, v)
			}
			sum += math.Abs(v)
		}
		if sum == 0 {
			return nil, fmt.Errorf("all coefficients are 0: nothing would come out")
		}
		return append([]float64(nil), f.Coefficients...), nil
	}
	cutoff := []float64{f.Low, f.High}
	switch f.Kind {
	case LowPass:
		if f.Low != 0 {
			return nil, fmt.Errorf("a low-pass has the edge high alone, not low")
		}
		cutoff = cutoff[1:]
	case HighPass:
		if f.High != 0 {
			return nil, fmt.Errorf("a high-pass has the edge low alone, not high")
		}
		cutoff = cutoff[:1]
	}
	if err := checkCutoff(f.Kind, rate, cutoff); err != nil {
		return nil, err
	}
	width := f.Transition
	if width == 0 {
		width = math.Inf(1)
		for _, c := range cutoff { // as wide as fits on both sides of every edge
			width = min(width, max(2, c/4), 2*c, rate-2*c)
		}
		if len(cutoff) == 2 {
			width = min(width, cutoff[1]-cutoff[0])
		}
	}
	if !(width > 0 && width < rate/2) {
		return nil, fmt.Errorf("a transition of %v Hz is impossible at %v Hz; allowed is above 0 and below %v Hz", width, rate, rate/2)
	}
	taps, beta, window := f.Taps, 0.0, f.Window
	if window == "" {
		window = "hamming"
	}
	attenuation := f.Attenuation
	if attenuation == 0 {
		attenuation = 60
	}
	needed, beta, err := KaiserOrder(attenuation, width, rate)
	if err != nil {
		return nil, err
	}
	if window != "kaiser" {
		factor := lengthFactor[window]
		if factor == 0 {
			factor = 5
		}
		needed = int(math.Ceil(factor * rate / width))
	}
	if taps == 0 {
		taps = needed | 1
	}
	if err := checkTaps(taps); err != nil {
		return nil, err
	}
	var h []float64
	switch f.Method {
	case "", "window":
		w, e := windowFor(window, taps, beta)
		if e != nil {
			return nil, e
		}
		h, err = WindowMethod(w, f.Kind == LowPass || f.Kind == BandStop, rate, cutoff...)
	case "least-squares":
		h, err = LeastSquares(taps, f.bands(cutoff, width, rate), f.gains(), rate)
	default:
		return nil, fmt.Errorf("there is no method %q; known are window and least-squares", f.Method)
	}
	if err == nil && f.Minimum {
		h = MinimumPhase(h)
	}
	return h, err
}

// bands are pass and stop bands with a transition around each edge.
func (f *FIR) bands(cutoff []float64, width, rate float64) []float64 {
	out := []float64{0}
	for _, c := range cutoff {
		out = append(out, c-width/2, c+width/2)
	}
	return append(out, rate/2)
}

func (f *FIR) gains() []float64 {
	return map[Kind][]float64{LowPass: {1, 1, 0, 0}, HighPass: {0, 0, 1, 1}, BandPass: {0, 0, 1, 1, 0, 0}, BandStop: {1, 1, 0, 0, 1, 1}}[f.Kind]
}

// Open designs the filter for the stream's rate.
func (f *FIR) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	h, err := f.Design(in.Rate)
	if err != nil {
		return stream.Header{}, err
	}
	if cells := stream.TilesFor(in.Rows()) * (len(h) + in.MaxLen); cells > 1<<24 {
		return stream.Header{}, fmt.Errorf("%d taps over %d channels need too much memory; take a wider transition, or resample first", len(h), in.Rows())
	}
	f.h = h
	f.tail = newPartition(h, &in)
	f.line.open(&in, f.tail.memory(len(h)))
	delay := float64(len(h)-1) / 2
	if f.Minimum || len(f.Coefficients) > 0 {
		at := in.Rate / 8
		if len(f.Coefficients) == 0 {
			cutoff := []float64{max(f.Low, f.High)}
			if f.Kind == BandPass || f.Kind == BandStop {
				cutoff = []float64{f.Low, f.High}
			}
			at = centre(f.Kind, cutoff, in.Rate)
		}
		delay = max(0, firDelay(h, at, in.Rate))
	}
	if in.Rate > 0 {
		in.Delay += delay / in.Rate
		in.Settle += float64(len(h)-1) / in.Rate
	}
	return in, nil
}

// Process filters a chunk.
func (f *FIR) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() {
		f.Reset()
	}
	if src.Len == 0 {
		return
	}
	f.line.load(src)
	for k := range src.Tiles() {
		y := dst.Tile(k)
		for a := 0; a < src.Len; {
			b, started := f.line.segment(k, a)
			if f.tail == nil {
				fir.Convolve(y[a:b], f.line.upTo(k, b-1, b-a+len(f.h)-1), f.h)
			} else {
				if started {
					f.tail.started(k)
				}
				f.tail.run(k, src.Seq, y, &f.line, a, b)
			}
			a = b
		}
		copy(dst.Bad(k), f.line.clean.Bad(k))
	}
	dst.Flags |= f.line.clean.Flags & stream.Bad
}

// Reset forgets the past.
func (f *FIR) Reset() {
	f.line.reset()
	f.tail.reset()
}

// Snapshot appends the state.
func (f *FIR) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	f.line.write(&w)
	return w.Buf
}

// Restore sets it.
func (f *FIR) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	f.line.read(&r)
	f.tail.reset() // the running block is computed anew, from the same columns
	return r.Err()
}
