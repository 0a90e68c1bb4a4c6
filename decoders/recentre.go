package decoders

import (
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Recentre whitens covariance matrices with a running mean of those seen so far, so
// that they scatter around the identity whatever the session's impedances and
// reference (Riemannian recentring, Zanini et al. 2018, made causal):
//
//	M ← M #_{1/k} C  every Every seconds, k = 1, 2, … up to Memory/Every
//	C ← M^-½ C M^-½
//
// where A #_t B is the point at t on the geodesic from A to B. It uses no labels and
// only the past, in training as in a live run. A marked column is whitened but does
// not move the mean. Rows keep their labels and lose their unit. Cost per column:
// 2n³ operations, and 30n³ at an update.
type Recentre struct {
	Every  float64 // seconds between updates of the mean; 0 = 1
	Memory float64 // seconds of the past that count; 0 = 60

	n, step, most int
	s             *spd
	m, w, c, next *dense.M
	x, held       []float64
	count         int64 // columns since the start
	k             int64 // updates so far
}

// Open checks that the stream carries covariances.
func (r *Recentre) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	every, memory := r.Every, r.Memory
	if every == 0 {
		every = 1
	}
	if memory == 0 {
		memory = 60
	}
	switch {
	case !(every > 0) || math.IsInf(every, 0):
		return stream.Header{}, fmt.Errorf("every %g s: give a positive time, or 0 for 1 s", r.Every)
	case !(memory >= every) || math.IsInf(memory, 0):
		return stream.Header{}, fmt.Errorf("memory %g s: give at least every (%g s), or 0 for 60 s", r.Memory, every)
	}
	names, err := covarianceChannels(&in)
	if err != nil {
		return stream.Header{}, err
	}
	r.n = len(names)
	r.step = 1
	if in.Rate > 0 {
		r.step = max(1, int(math.Round(every*min(in.Rate, 1e6))))
	}
	r.most = max(1, int(math.Round(memory/every)))
	r.s = newSPD(r.n)
	r.m, r.w, r.c, r.next = dense.New(r.n, r.n), dense.New(r.n, r.n), dense.New(r.n, r.n), dense.New(r.n, r.n)
	r.x, r.held = make([]float64, in.Rows()), make([]float64, in.Rows())
	r.Reset()
	out := in.Clone()
	for i := range out.Channels {
		out.Channels[i].Unit = ""
	}
	out.Settle += every
	return out, nil
}

// Reset forgets the mean.
func (r *Recentre) Reset() {
	r.count, r.k = 0, 0
	if r.s == nil {
		return
	}
	clear(r.m.V)
	clear(r.w.V)
	for i := range r.n {
		r.m.V[i*r.n+i], r.w.V[i*r.n+i] = 1, 1
	}
	upperTriangle(r.held, r.m)
}

// Process whitens every column.
func (r *Recentre) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		r.Reset()
	}
	for i := range src.Len {
		src.Column(r.x, i)
		marked := columnMarked(src, i)
		good := allFinite(r.x)
		if good {
			symmetric(r.c, r.x)
			if !marked && r.due() {
				good = r.update()
			}
		}
		r.count++
		if good && r.k > 0 {
			r.s.congruence(r.next, r.w, r.c)
			if good = r.next.Finite(); good {
				upperTriangle(r.held, r.next)
			}
		}
		dst.SetColumn(i, r.held)
		if !good || marked || r.k == 0 {
			markColumn(dst, i)
		}
	}
}

// due says whether the mean moves at this column: at the first usable one, then at
// every step-th.
func (r *Recentre) due() bool { return r.k == 0 || r.count%int64(r.step) == 0 }

// update moves the mean towards c; it leaves it alone when c is not positive definite.
func (r *Recentre) update() bool {
	if r.k == 0 {
		if !r.s.invSqrt(r.next, r.c) {
			return false
		}
		r.m.Copy(r.c)
		r.w.Copy(r.next)
		r.k = 1
		return true
	}
	k := min(r.k+1, int64(r.most))
	if !r.s.geodesic(r.next, r.m, r.c, 1/float64(k)) || !r.s.invSqrt(r.s.t2, r.next) {
		return false
	}
	r.m.Copy(r.next)
	r.w.Copy(r.s.t2)
	r.k = k
	return true
}

// Snapshot appends the mean and its age.
func (r *Recentre) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Int(r.count)
	w.Int(r.k)
	w.Floats(r.m.V)
	w.Floats(r.w.V)
	w.Floats(r.held)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (r *Recentre) Restore(state []byte) error {
	b := stream.StateReader{Buf: state}
	r.count, r.k = b.Int(), b.Int()
	b.Floats(r.m.V)
	b.Floats(r.w.V)
	b.Floats(r.held)
	if err := b.Err(); err != nil {
		r.Reset()
		return err
	}
	return nil
}
