package decoders

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Normalise moves every row to mean 0 and variance 1 by what it has been so far, without
// labels and without the future, in training as in a live run:
//
//	a = max(1/k, 1 - exp(-1/(Memory·rate)))    k = columns so far
//	d = x - μ;  μ ← μ + a d;  v ← (1-a)(v + a d²);  y = (x - μ)/√v
//
// (West 1979): a plain running mean first, which then forgets. Marked columns are put out
// but change nothing. A row that has not varied yet puts out 0. For features; covariances
// have Recentre.
type Normalise struct {
	Memory float64 // seconds of the past that count; 0 = 60

	a          float64
	k          int64
	x, held    []float64
	mean, vari []float64
}

var _ stream.Snapshotter = (*Normalise)(nil)

// Open implements stream.Stage.
func (s *Normalise) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	tau := s.Memory
	if tau == 0 {
		tau = 60
	}
	if !(tau > 0) || math.IsInf(tau, 0) {
		return stream.Header{}, fmt.Errorf("memory %g s: give a positive time, or 0 for 60 s", s.Memory)
	}
	if in.Rate == 0 {
		return stream.Header{}, fmt.Errorf("normalising needs a regular stream; this one is irregular")
	}
	s.a = -math.Expm1(-1 / (tau * in.Rate))
	n := in.Rows()
	s.x, s.held, s.mean, s.vari = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	s.Reset()
	out := in.Clone()
	for i := range out.Channels {
		out.Channels[i].Unit = ""
	}
	return out, nil
}

// Reset forgets mean and variance.
func (s *Normalise) Reset() {
	s.k = 0
	clear(s.mean)
	clear(s.vari)
	clear(s.held)
}

// Process implements stream.Stage.
func (s *Normalise) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		s.Reset()
	}
	for i := range src.Len {
		src.Column(s.x, i)
		good, marked := allFinite(s.x), columnMarked(src, i)
		if good && !marked {
			s.k++
			a := max(1/float64(s.k), s.a)
			for ch, v := range s.x {
				d := v - s.mean[ch]
				s.mean[ch] += float64(a * d)
				s.vari[ch] = (1 - a) * (s.vari[ch] + float64(a*d*d))
			}
			good = allFinite(s.vari)
		}
		if good {
			for ch, v := range s.x {
				s.held[ch] = 0
				if sd := math.Sqrt(s.vari[ch]); sd > 1e-14*math.Abs(s.mean[ch]) {
					s.held[ch] = (v - s.mean[ch]) / sd
				}
			}
		} else if !allFinite(s.vari) { // numbers beyond squaring: start anew
			s.Reset()
		}
		dst.SetColumn(i, s.held)
		if !good || marked || s.k < 2 {
			markColumn(dst, i)
		}
	}
}

// Snapshot appends mean and variance.
func (s *Normalise) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Int(s.k)
	for _, v := range s.state() {
		w.Floats(v)
	}
	return w.Buf
}

// Restore sets the state of an opened stage.
func (s *Normalise) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	s.k = r.Int()
	for _, v := range s.state() {
		r.Floats(v)
	}
	if err := r.Err(); err != nil {
		s.Reset()
		return err
	}
	return nil
}

func (s *Normalise) state() [3][]float64 { return [3][]float64{s.mean, s.vari, s.held} }
