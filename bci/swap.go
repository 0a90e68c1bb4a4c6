package bci

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"neurostream/stream"
)

// A swap replaces what the learning stages of a running engine know, between two
// chunks: chunk n-1 has gone through the old model, chunk n goes through the new one,
// in every lane. No chunk waits for it, is lost, or is decoded twice. The first lane
// chooses n; the others see it when chunk n reaches them, because every chunk in gives
// exactly one chunk out. A typed event (stream.EventModelSwap) travels with chunk n
// into every sink and recording, so the digest is that of the data, the models and the
// columns they took over at.
type swap struct {
	from   int64          // not before this column of the source
	after  stream.Time    // and not before this time
	label  string         // for the event
	stages []stream.Stage // by stage of the pipeline; nil = stays
	at     atomic.Int64   // chunk it happens at; -1 = not yet chosen, -2 = called off
	column atomic.Int64   // first column of that chunk
	done   chan struct{}  // closed when the last lane has swapped
}

// swapper is the part of an engine that replaces models.
type swapper struct {
	one     sync.Mutex // one swap at a time
	pending atomic.Pointer[swap]
	count   atomic.Int64
	ended   chan struct{} // closed when no further chunk will come
}

// Swap replaces the model at the next chunk and returns the column of the source from
// which on the new one decides. It checks m against pipeline and stream first; a model
// that does not fit is an error and the old one goes on. The new stages take over the
// state of the old ones where it fits (see stream.Snapshotter). It may be called from
// any goroutine while the engine runs, and waits until the swap has happened, ctx ends,
// or the stream does. label, e.g. the file's name, is written into the event.
func (e *Engine) Swap(ctx context.Context, m *Model, label string) (column int64, err error) {
	return e.SwapAt(ctx, m, label, 0)
}

// SwapAt is Swap at the first chunk that starts at column or later. When the stream is
// there already it happens at the next chunk.
func (e *Engine) SwapAt(ctx context.Context, m *Model, label string, column int64) (int64, error) {
	return e.swapWhen(ctx, m, &swap{from: column, label: label}, func() {})
}

// swapWhen waits for a swap, which the lanes see before it calls armed.
func (e *Engine) swapWhen(ctx context.Context, m *Model, s *swap, armed func()) (int64, error) {
	if e.intake == nil {
		return 0, errors.New("the engine is not open yet; a model can be replaced while it runs")
	}
	var err error
	if s.stages, err = e.replacements(m); err != nil {
		return 0, err
	}
	e.swaps.one.Lock()
	defer e.swaps.one.Unlock()
	s.done = make(chan struct{})
	s.at.Store(-1)
	e.swaps.pending.Store(s)
	armed()
	select {
	case <-s.done:
		return s.column.Load(), nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-e.swaps.ended:
		err = errors.New("the stream ended before the model could be replaced")
	}
	if s.at.CompareAndSwap(-1, -2) { // now no lane will begin it
		e.swaps.pending.Store(nil)
		return 0, err
	}
	select { // it was under way
	case <-s.done:
		return s.column.Load(), nil
	case <-e.swaps.ended:
		return 0, err
	}
}

// replacements makes and opens a stage for every stage that learns.
func (e *Engine) replacements(m *Model) ([]stream.Stage, error) {
	if m == nil {
		return nil, errors.New("there is no model to swap in")
	}
	if err := m.checkInput(&e.in); err != nil {
		return nil, err
	}
	links := e.pipeline.Build()
	if err := m.install(e.pipeline, links); err != nil {
		return nil, err
	}
	stages, learns := make([]stream.Stage, len(links)), false
	for i, l := range links {
		if _, ok := l.Stage.(learned); !ok {
			continue
		}
		learns = true
		before, now := e.in, e.header(i)
		if i > 0 {
			before = e.header(i - 1)
		}
		out, err := l.Stage.Open(before.Clone())
		if err != nil {
			return nil, &FileError{e.pipeline.Path, e.pipeline.Steps[i].Line, fmt.Sprintf("the new model does not fit %s: %v", l.Name, err)}
		}
		if out.Rate != now.Rate || out.MaxLen != now.MaxLen || !slices.Equal(out.Channels, now.Channels) {
			return nil, &FileError{e.pipeline.Path, e.pipeline.Steps[i].Line, fmt.Sprintf("the new model makes %s put out other rows (%d of them, %q first) than the running one (%d, %q): stop and start again with it", l.Name, out.Rows(), out.Channels[0].Label, now.Rows(), now.Channels[0].Label)}
		}
		stages[i] = l.Stage
	}
	if !learns {
		return nil, &FileError{Path: e.pipeline.Path, Msg: "no stage of this pipeline learns, so there is no model to replace"}
	}
	return stages, nil
}

// header is what stage i puts out.
func (e *Engine) header(i int) stream.Header {
	l := e.laneOf(i)
	return l.chain.Header(i - l.first)
}

// swapBefore is called by every lane before it processes chunk n. The usual case is one
// load of a pointer that does not change.
func (e *Engine) swapBefore(l *lane, n int64, src *stream.Chunk) {
	s := e.swaps.pending.Load()
	if s == nil {
		return
	}
	if l.first == 0 {
		if src.Seq < s.from || src.T0 < s.after || !s.at.CompareAndSwap(-1, n) {
			return
		}
		s.column.Store(src.Seq)
		// The slot is the lane's own until it is released; stages carry the event on.
		src.Events = append(src.Events, stream.Event{
			Kind: stream.EventModelSwap, Seq: src.Seq, Time: src.T0, Count: e.swaps.count.Add(1), Origin: "engine", Detail: s.label,
		})
	} else if s.at.Load() != n {
		return
	}
	for i := range l.chain.Links {
		fresh := s.stages[l.first+i]
		if fresh == nil {
			continue
		}
		old, a := l.chain.Links[i].Stage.(stream.Snapshotter)
		next, b := fresh.(stream.Snapshotter)
		if a && b && next.Restore(old.Snapshot(nil)) != nil {
			fresh.Reset()
		}
		l.chain.Links[i].Stage = fresh
	}
	if l.next == nil {
		e.swaps.pending.Store(nil)
		close(s.done)
	}
}
