package decoders

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Smooth averages the evidence of successive windows: a leaky mean of the logarithms
// of the class probabilities, turned back into probabilities.
//
//	l ← l + a (ln p - l)    a = 1 - exp(-1/(Seconds × rate))    out = softmax(l)
//
// Overlapping windows share evidence, so this averages rather than adds: confidence
// stays that of a window. All rows must be probabilities. A marked column changes
// nothing and is marked.
type Smooth struct {
	Seconds float64 // time constant; 0 = 1

	a       float64
	x, l, p []float64
	started bool
}

// Open checks that the stream carries probabilities.
func (s *Smooth) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	tau := s.Seconds
	if tau == 0 {
		tau = 1
	}
	if !(tau > 0) || math.IsInf(tau, 0) {
		return stream.Header{}, fmt.Errorf("seconds %g: give a positive time constant, or 0 for 1 s", s.Seconds)
	}
	if in.Rate == 0 {
		return stream.Header{}, fmt.Errorf("smoothing needs a regular stream; this one is irregular")
	}
	for _, ch := range in.Channels {
		if ch.Type != TypeProbability {
			return stream.Header{}, fmt.Errorf("row %q is of type %q, not %q; put smoothing right behind a classifier", ch.Label, ch.Type, TypeProbability)
		}
	}
	s.a = -math.Expm1(-1 / (tau * in.Rate))
	n := in.Rows()
	s.x, s.l, s.p = make([]float64, n), make([]float64, n), make([]float64, n)
	s.Reset()
	out := in
	out.Delay += tau // the mean age of exponentially weighted evidence
	return out, nil
}

// Reset forgets the evidence.
func (s *Smooth) Reset() {
	s.started = false
	clear(s.l)
}

// Process smooths every column.
func (s *Smooth) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		s.Reset()
	}
	for i := range src.Len {
		src.Column(s.x, i)
		good := allFinite(s.x) && !columnMarked(src, i)
		if good {
			for k, p := range s.x {
				e := math.Log(max(p, 1e-12)) // one sure window must not rule for ever
				if s.started {
					e = s.l[k] + float64(s.a*(e-s.l[k]))
				}
				s.l[k] = e
			}
			s.started = true
		}
		copy(s.p, s.l)
		softmax(s.p)
		dst.SetColumn(i, s.p)
		if !good {
			markColumn(dst, i)
		}
	}
}

// Snapshot appends the evidence.
func (s *Smooth) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(s.started)
	w.Floats(s.l)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (s *Smooth) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	s.started = r.Bool()
	r.Floats(s.l)
	if err := r.Err(); err != nil {
		s.Reset()
		return err
	}
	return nil
}
