package bci

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"neurostream/stream"
)

// side is a side lane of a running engine. To the main chain it is one more output: a
// sink behind a ring, on a goroutine of its own. What the ring cannot take when the
// source is live is dropped before the lane, counted, and told by a Gap, after which its
// stages start anew; in a replay the chain waits, so that the lane sees everything and
// its digest does not depend on how fast it is.
type side struct {
	name    string
	engine  *Engine
	steps   []Step
	before  float64 // delay of what it listens to
	lane    *lane   // its stages and meter; its ring is the output's
	header  stream.Header
	digest  *digest
	sum     [32]byte
	columns atomic.Int64
	outputs []*output
	sinks   sync.WaitGroup
}

// addSides puts the side lanes of the pipeline behind the stages they listen to.
func (e *Engine) addSides(links []stream.Link) {
	for _, p := range e.pipeline.Sides {
		s := &side{name: p.Name, engine: e, steps: p.Steps, lane: new(lane)}
		s.lane.chain.Links = build(p.Steps)
		from := "source"
		if p.After >= 0 {
			from = links[p.After].Name
		}
		e.sides = append(e.sides, s)
		e.outputs = append(e.outputs, &output{Output: Output{Name: "side " + p.Name, Sink: s, From: from, Lossless: !e.options.Live}})
	}
}

// sideOf returns the side lane with this name, or nil.
func (e *Engine) sideOf(name string) *side {
	for _, s := range e.sides {
		if s.name == name {
			return s
		}
	}
	return nil
}

// Open implements stream.Sink.
func (s *side) Open(ctx context.Context, in stream.Header) (err error) {
	l := s.lane
	s.before = in.Delay
	if s.header, err = l.chain.Open(in); err != nil {
		line := 0
		for i := range l.chain.Links {
			if l.chain.Links[i].Name == l.chain.Failed() {
				line = s.steps[i].Line
			}
		}
		return &FileError{Path: s.engine.pipeline.Path, Line: line, Msg: err.Error()}
	}
	l.dst = stream.NewChunk(&s.header)
	l.taps = make([][]*output, len(l.chain.Links))
	l.meter = newMeter(l.watch(s.engine.clock, l.spreads()))
	l.chain.Probe = func(i int) { s.engine.probe(l, i) }
	s.digest = newDigest(s.header.Rows())
	for i, o := range s.outputs {
		o.header = s.header
		if err := o.Sink.Open(ctx, s.header.Clone()); err != nil {
			for _, opened := range s.outputs[:i] {
				opened.Sink.Close()
			}
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		o.ring = s.engine.newRing(&o.header, o.Slots)
	}
	return nil
}

// start begins to deliver.
func (s *side) start() {
	for _, o := range s.outputs {
		s.sinks.Go(func() { s.engine.deliver(o) })
	}
}

// Write implements stream.Sink.
func (s *side) Write(src *stream.Chunk) error {
	l := s.lane
	for _, ev := range src.Events { // the others are counted where they leave the main chain
		if ev.Kind == stream.EventDrop && ev.Origin == "side "+s.name {
			s.engine.events[int(ev.Kind)%len(s.engine.events)].Add(1)
		}
	}
	l.chain.Process(l.dst, src)
	for _, o := range s.outputs {
		s.engine.offer(context.Background(), o, l.dst)
	}
	if l.dst.Len > 0 {
		s.digest.add(l.dst)
		s.columns.Add(int64(l.dst.Len))
		l.meter.record(len(l.chain.Links)+1, s.engine.clock.Now()-l.dst.Arrived)
	}
	l.meter.poll(s.digest)
	return nil
}

// Close implements stream.Sink: it delivers what is under way.
func (s *side) Close() error {
	var errs []error
	for _, o := range s.outputs {
		o.settle()
		o.ring.Close(nil)
	}
	s.sinks.Wait()
	for _, o := range s.outputs {
		if err := o.Sink.Close(); err != nil && o.err == nil {
			o.err = err
		}
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Name, o.err))
		}
	}
	s.engine.statusMu.Lock()
	defer s.engine.statusMu.Unlock()
	s.lane.meter.finish()
	s.digest.sum(&s.sum)
	return errors.Join(errs...)
}

// status adds what the lane has done.
func (s *side) status(all *Status, number int, ended bool) {
	l := s.lane
	if !ended {
		if d, ok := l.meter.collect(); ok {
			s.sum = d
		}
	}
	before := s.before
	for i := range l.chain.Links {
		h := l.chain.Header(i)
		all.Stages = append(all.Stages, Stage{
			Name: s.name + "/" + l.chain.Links[i].Name, Work: l.meter.spread(i), DelayS: h.Delay - before,
			Rows: h.Rows(), RateHz: h.Rate, Lane: number, Bytes: l.bytes[i], Parts: l.spreadParts(i, l.spreads()),
		})
		before = h.Delay
	}
	b := Beside{Name: s.name, Columns: s.columns.Load(), Age: l.meter.spread(len(l.chain.Links) + 1)}
	if b.Columns > 0 {
		b.Digest = hex.EncodeToString(s.sum[:])
	}
	all.Sides = append(all.Sides, b)
}
