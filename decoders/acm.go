package decoders

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Embed puts delayed copies of every channel beside it, so that the covariance of a
// window behind it is the augmented covariance (ACM; Carrara & Papadopoulo 2024): it holds
// how the signal goes on, not just how strong it is:
//
//	z(t) = [x(t-(m-1)τ), …, x(t-τ), x(t)]    m = Order, τ = Lag
//
// Row p·channels + c is channel c delayed by (m-1-p)τ, called "C3 t-20" for 20 samples,
// "C3" for the newest. Before the first sample the past is taken to be equal to it.
// MOABB's AugmentedDataset of a trial of T samples is the covariance of the T - mτ columns
// that end τ samples before the trial's last. Cost: one copy per value.
type Embed struct {
	Order int     // copies, the newest included; 0 = 2
	Lag   float64 // seconds between copies, a whole number of samples

	order, lag, rows int
	past             [][]float64 // ring of the newest (order-1)·lag columns
	bad              []bool      // by column of the ring: any row marked
	next             int         // slot of the ring that is oldest
	started          bool
	x, z             []float64
}

var _ stream.Snapshotter = (*Embed)(nil)

// Open implements stream.Stage.
func (e *Embed) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	e.order = e.Order
	if e.order == 0 {
		e.order = 2
	}
	lag := e.Lag * in.Rate
	e.lag = int(math.Round(min(lag, 1e9)))
	switch {
	case in.Rate == 0:
		return stream.Header{}, fmt.Errorf("delays need a regular rate; this stream is irregular")
	case e.order < 1 || e.order > 64:
		return stream.Header{}, fmt.Errorf("order %d: give 1 to 64 copies, or 0 for 2", e.Order)
	case !(e.Lag > 0) || e.lag < 1 || math.Abs(lag-float64(e.lag)) > 1e-6*max(1, lag):
		return stream.Header{}, fmt.Errorf("lag %g s is %g samples at %g Hz; give a whole number of samples, e.g. %g s", e.Lag, lag, in.Rate, float64(max(1, e.lag))/in.Rate)
	case (e.order-1)*e.lag > 1<<20 || e.order*in.Rows() > stream.MaxChannels:
		return stream.Header{}, fmt.Errorf("order %d of %d channels, %g s apart, is too much to keep; take fewer", e.order, in.Rows(), e.Lag)
	}
	e.rows = in.Rows()
	e.past = make([][]float64, (e.order-1)*e.lag)
	for i := range e.past {
		e.past[i] = make([]float64, e.rows)
	}
	e.bad = make([]bool, len(e.past))
	e.x, e.z = make([]float64, e.rows), make([]float64, e.rows*e.order)
	e.Reset()
	out := in.Clone()
	out.Channels = nil
	for p := range e.order {
		for _, c := range in.Channels {
			if d := (e.order - 1 - p) * e.lag; d > 0 {
				c.Label = fmt.Sprintf("%s t-%d", c.Label, d)
			}
			out.Channels = append(out.Channels, c)
		}
	}
	out.Delay += e.Lag * float64(e.order-1) / 2 // the mean age of the copies
	out.Settle += e.Lag * float64(e.order-1)
	return out, out.Validate()
}

// Reset forgets the past.
func (e *Embed) Reset() {
	e.next, e.started = 0, false
	for i := range e.past {
		clear(e.past[i])
	}
	clear(e.bad)
}

// Process implements stream.Stage. A value that is no number is replaced by the last of
// its channel and marked; marks age with their samples.
func (e *Embed) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		e.Reset()
	}
	n := len(e.past)
	for i := range src.Len {
		src.Column(e.x, i)
		marked := columnMarked(src, i)
		last := e.next - 1
		if last < 0 {
			last = n - 1
		}
		for ch, v := range e.x {
			if v-v != 0 {
				marked, e.x[ch] = true, 0
				if n > 0 && e.started {
					e.x[ch] = e.past[last][ch]
				}
			}
		}
		if !e.started {
			for k := range e.past {
				copy(e.past[k], e.x)
			}
			e.started = true
		}
		dirty := marked
		for p := range e.order - 1 {
			at := (e.next + p*e.lag) % n
			copy(e.z[p*e.rows:], e.past[at])
			dirty = dirty || e.bad[at]
		}
		copy(e.z[(e.order-1)*e.rows:], e.x)
		dst.SetColumn(i, e.z)
		if dirty {
			markColumn(dst, i)
		}
		if n > 0 {
			copy(e.past[e.next], e.x)
			e.bad[e.next] = marked
			e.next = (e.next + 1) % n
		}
	}
}

// Snapshot appends the past.
func (e *Embed) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(e.started)
	w.Int(int64(e.next))
	w.Int(int64(len(e.past)))
	for i, x := range e.past {
		w.Floats(x)
		w.Bool(e.bad[i])
	}
	return w.Buf
}

// Restore sets the state of an opened stage.
func (e *Embed) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	e.started = r.Bool()
	e.next = int(r.Int())
	n := r.Int()
	if n != int64(len(e.past)) || e.next < 0 || e.next >= max(1, len(e.past)) {
		e.Reset()
		return stream.ErrState
	}
	for i := range e.past {
		r.Floats(e.past[i])
		e.bad[i] = r.Bool()
	}
	if err := r.Err(); err != nil {
		e.Reset()
		return err
	}
	return nil
}
