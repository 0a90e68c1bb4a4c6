package lsl

import (
	"context"
	"fmt"
	"time"

	"neurostream/stream"
)

// Batch is a run of samples as the sender made them.
type Batch struct {
	Seq     int64         // index of the first sample since the inlet was opened; missing samples count
	Stamps  []float64     // seconds of the sender's clock, never repaired
	Arrived []stream.Time // when they were read from the network
	Values  []byte        // packed samples, one behind the other; see Numbers, Ints and Strings
	Ends    []int         // sample i is Values[Ends[i-1]:Ends[i]]
	Flags   stream.Flags  // Gap and Restart: what happened before the first sample
	Events  []stream.Event
}

// Len returns the number of samples.
func (b *Batch) Len() int { return len(b.Stamps) }

// Sample returns the packed values of sample i.
func (b *Batch) Sample(i int) []byte {
	from := 0
	if i > 0 {
		from = b.Ends[i-1]
	}
	return b.Values[from:b.Ends[i]]
}

// Pull waits for samples or events and moves at most most samples into b (0 =
// 4096). A batch never spans a gap. It does not allocate in steady state. When the
// stream has ended and all is read, it returns the reason.
func (in *Inlet) Pull(ctx context.Context, b *Batch, most int) error {
	if most <= 0 {
		most = 4096
	}
	b.Stamps, b.Arrived, b.Values, b.Ends, b.Events, b.Flags = b.Stamps[:0], b.Arrived[:0], b.Values[:0], b.Ends[:0], b.Events[:0], 0
	q := in.queue
	for {
		q.mu.Lock()
		s, events, hold := q.next(most, b.Events)
		b.Events, b.Flags, b.Seq = events, b.Flags|s.flags, s.seq
		for p := s.from; p < s.from+int64(s.n); p++ {
			i := q.slot(p)
			b.Stamps = append(b.Stamps, q.stamps[i])
			b.Arrived = append(b.Arrived, q.arrived[i])
			b.Values = append(b.Values, q.sample(p)...)
			b.Ends = append(b.Ends, len(b.Values))
		}
		q.read(s.n)
		ended := q.ended
		q.mu.Unlock()
		for i := range b.Events {
			b.Events[i].Origin = in.info.Name
		}
		if hold && s.n == 0 {
			q.unhold() // raw stamps need no clock
			continue
		}
		if s.n > 0 || len(b.Events) > 0 {
			return nil
		}
		if ended != nil {
			return fmt.Errorf("lsl: %w", ended)
		}
		switch err := ctx.Err(); {
		case err != nil && (in.opt.Batch <= 0 || in.drained):
			return err
		case err != nil: // what waits in the socket has arrived, too
			in.drained = true
			in.drain()
			continue
		case in.opt.Batch > 0:
			in.gather(ctx)
		}
		in.await(ctx)
	}
}

// gather waits for the next multiple of Batch, the same moment for all inlets of this
// process, so that one wake-up serves them all and the processors are left alone between.
// It does not wait when the socket holds more than the last read took.
func (in *Inlet) gather(ctx context.Context) {
	if in.brimful.Load() {
		return
	}
	d := in.opt.Batch - time.Since(batches)%in.opt.Batch
	if in.gathering == nil {
		in.gathering = time.NewTimer(d)
	} else {
		in.gathering.Reset(d)
	}
	select {
	case <-in.gathering.C:
	case <-ctx.Done():
		in.gathering.Stop()
	case <-in.ctx.Done():
		in.gathering.Stop()
	}
}

// batches is where the grid of gather begins.
var batches = time.Now()
