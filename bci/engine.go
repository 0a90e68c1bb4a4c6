package bci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"neurostream/stream"
)

// Output is a sink and the place it listens at.
type Output struct {
	Name string // for messages; usually the URL
	Sink stream.Sink
	// From is where it taps the chain: "source", the name of a stage, or "" for
	// what leaves the last stage.
	From string
	// Lossless outputs make the engine wait when they are slow, so they belong in
	// replay and benchmarks. Others lose chunks, are told how many by an
	// EventDrop and a Gap, and can never slow decoding.
	Lossless bool
	Slots    int // chunks in its ring; 0 = as Options.Slots
}

// Options set how an engine runs; none of them changes a bit of what it computes.
type Options struct {
	// Live: the source never waits. When the chain cannot keep up, chunks are
	// dropped before it and counted. Otherwise (replay) nothing is ever lost.
	Live    bool
	Slots   int          // chunks in the rings between goroutines; 0 = two seconds of data, see ringSlots
	Clock   stream.Clock // nil = stream.Wall
	OnEvent func(stream.Event)
	Source  string // URL, for Status
}

// Engine runs a source through a pipeline into sinks.
//
//	Source.Read ─► ring ─► lane 0: stages ─► ring ─► lane 1: stages ─┬► ring ─► sink
//	 goroutine              goroutine      │          goroutine      └► ring ─► sink
//	                                       └► ring ─► side lane: stages ─► ring ─► sink
//
// Every arrow between goroutines is a stream.Ring. A chunk in gives exactly one
// chunk out, possibly empty, at every stage.
type Engine struct {
	pipeline *Pipeline
	model    *Model
	cancel   context.CancelFunc // ends what Open's context started
	source   stream.Source
	options  Options
	clock    stream.Clock

	in      stream.Header
	out     stream.Header
	intake  *stream.Ring
	taken   []stream.Time // when the chunk in the same slot of intake was read
	spare   *stream.Chunk // what cannot be queued is read into it and dropped
	lanes   []*lane
	sides   []*side
	outputs []*output // of the main chain, side lanes among them
	digest  *digest

	inline    bool         // the source's goroutine may do the lane's work, see hand
	dropped   atomic.Int64 // columns
	chunks    atomic.Int64
	columns   atomic.Int64
	decisions atomic.Int64
	first     atomic.Int64 // clock at the first and at the newest chunk
	newest    atomic.Int64
	state     atomic.Value // string
	events    [32]atomic.Int64
	swaps     swapper

	statusMu  sync.Mutex
	sum       [sha256.Size]byte
	pacing    *pacingMeter
	baseAlloc runtime.MemStats
}

// lane is a goroutine and the stages that run on it.
type lane struct {
	first  int // index of its first stage in the pipeline
	chain  stream.Chain
	ring   *stream.Ring  // it reads from
	taken  []stream.Time // by slot of ring
	next   *lane
	meter  *meter // one histogram a stage; the last lane: then engine latency, then age
	dst    *stream.Chunk
	n      int         // chunks processed
	began  stream.Time // the newest
	cost   stream.Time // longest time a chunk took, halving in 177 chunks
	failed error       // what ended it on the source's goroutine
	taps   [][]*output // by stage
	fell   []*fallen   // by stage; nil where none is counted
	last   stream.Time
	bytes  []int64  // by stage: output chunk and state
	parts  [][]Part // by stage; measured behind everything else of meter
}

// parted is a stage that tells what it computes apart.
type parted interface {
	Parts() (names []string, rows []int)
	Part(i int) any
	Watch(probe func(part int))
}

// watch counts the memory of a lane's stages and measures their parts, with histograms
// from index n of its meter on. It returns how many it needs.
func (l *lane) watch(clock stream.Clock, n int) int {
	l.bytes, l.parts = nil, nil
	l.fell = make([]*fallen, len(l.chain.Links))
	for i := range l.chain.Links {
		if _, ok := l.chain.Links[i].Stage.(falls); ok {
			l.fell[i] = new(fallen)
		}
		h := l.chain.Header(i)
		l.bytes = append(l.bytes, chunkBytes(&h)+footprint(l.chain.Links[i].Stage))
		l.parts = append(l.parts, nil)
		s, ok := l.chain.Links[i].Stage.(parted)
		if !ok {
			continue
		}
		names, rows := s.Parts()
		for k := range names {
			l.parts[i] = append(l.parts[i], Part{Name: names[k], Rows: rows[k], Bytes: footprint(s.Part(k))})
		}
		first := n
		var last stream.Time
		s.Watch(func(part int) {
			now := clock.Now()
			if part >= 0 {
				l.meter.record(first+part, now-last)
			}
			last = now
		})
		n += len(names)
	}
	return n
}

// spreadParts returns the parts of stage i with what the meter, whose first ones are at
// index n, says of them.
func (l *lane) spreadParts(i, n int) []Part {
	for _, p := range l.parts[:i] {
		n += len(p)
	}
	var out []Part
	for k, p := range l.parts[i] {
		p.Work = l.meter.spread(n + k)
		out = append(out, p)
	}
	return out
}

// spreads is the number of a lane's histograms before those of parts.
func (l *lane) spreads() int {
	n := len(l.chain.Links)
	if l.next == nil {
		n += 2
	}
	return n
}

type output struct {
	Output
	header stream.Header
	ring   *stream.Ring
	lost   int64 // columns since the last delivered chunk; the writing lane's
	total  atomic.Int64
	failed atomic.Bool
	// Owned by whoever has the reader's side of ring:
	err    error
	prompt stream.Prompter // nil: only its own goroutine may write
	cost   stream.Time     // as a lane's
}

// ringSlots returns how many chunks a ring holds by default: two seconds even when
// every chunk is a single column, since disks and schedulers stall for that long;
// but at least 64 chunks, and no more than 64 MiB.
func ringSlots(h *stream.Header) int {
	slots := 64
	for float64(slots) < 2*h.Rate && int64(2*slots)*chunkBytes(h) <= 64<<20 {
		slots *= 2
	}
	return slots
}

// NewEngine puts an engine together. Nothing is opened yet.
func NewEngine(p *Pipeline, m *Model, src stream.Source, outs []Output, opt Options) (*Engine, error) {
	if opt.Clock == nil {
		opt.Clock = stream.Wall{}
	}
	if len(p.Targets) > 0 {
		src = &withoutTargets{source: src, path: p.Path, names: p.hidden()}
	}
	e := &Engine{pipeline: p, model: m, source: src, options: opt, clock: opt.Clock, pacing: newPacingMeter()}
	e.state.Store("opening")
	e.swaps.ended = make(chan struct{})
	links := p.Build()
	if err := m.install(p, links); err != nil {
		return nil, err
	}
	for i := range p.Steps {
		if n := p.Steps[i].Lane; n == len(e.lanes) {
			e.lanes = append(e.lanes, &lane{first: i})
		}
		l := e.lanes[len(e.lanes)-1]
		l.chain.Links = append(l.chain.Links, links[i])
	}
	e.addSides(links)
	for _, o := range outs {
		if s := e.sideOf(o.From); s != nil {
			s.outputs = append(s.outputs, &output{Output: o})
			continue
		}
		if o.From != "" && o.From != "source" && e.find(o.From) < 0 {
			names := []string{"source"}
			for _, l := range links {
				names = append(names, l.Name)
			}
			for _, s := range e.sides {
				names = append(names, s.name)
			}
			return nil, fmt.Errorf("%s wants the output of stage %q%s", o.Name, o.From, didYouMean(o.From, names))
		}
		e.outputs = append(e.outputs, &output{Output: o})
	}
	return e, nil
}

// find returns the index of a stage by name, or -1.
func (e *Engine) find(name string) int {
	for _, l := range e.lanes {
		for i := range l.chain.Links {
			if l.chain.Links[i].Name == name {
				return l.first + i
			}
		}
	}
	return -1
}

// Open opens the source, the stages and the sinks, in this order.
func (e *Engine) Open(ctx context.Context) (err error) {
	ctx, e.cancel = context.WithCancel(ctx)
	opened := []io.Closer{}
	defer func() {
		if err != nil {
			e.cancel()
			for _, o := range opened {
				o.Close()
			}
		}
	}()
	h, err := e.source.Open(ctx)
	if err != nil {
		return err
	}
	opened = append(opened, e.source)
	if err := h.Validate(); err != nil {
		return fmt.Errorf("the source cannot be used: %w", err)
	}
	if err := e.model.checkInput(&h); err != nil {
		return err
	}
	e.in = h
	e.intake = e.newRing(&h, e.options.Slots)
	e.spare = stream.NewChunk(&h)
	ring := e.intake
	for i, l := range e.lanes {
		l.ring, l.taken, l.cost = ring, make([]stream.Time, ring.Slots()), 2*inlineLimit
		out, err := l.chain.Open(h)
		if err != nil {
			return e.stageError(l, err)
		}
		l.taps = make([][]*output, len(l.chain.Links))
		if i == len(e.lanes)-1 {
			l.dst = stream.NewChunk(&out)
		} else {
			ring = e.newRing(&out, e.options.Slots)
			l.next = e.lanes[i+1]
		}
		l.meter = newMeter(l.watch(e.clock, l.spreads()))
		l.chain.Probe = func(i int) { e.probe(l, i) }
		h = out
	}
	e.out = h
	e.taken = e.lanes[0].taken
	e.inline = e.mayInline()
	e.digest = newDigest(h.Rows())
	for _, o := range e.outputs {
		switch at := e.find(o.From); {
		case o.From == "":
			o.header = e.out
		case o.From == "source":
			o.header = e.in
		default:
			l := e.laneOf(at)
			o.header = l.chain.Header(at - l.first)
			l.taps[at-l.first] = append(l.taps[at-l.first], o)
		}
		if err := o.Sink.Open(ctx, o.header.Clone()); err != nil {
			return fmt.Errorf("%s: %w", o.Name, err)
		}
		opened = append(opened, o.Sink)
		if e.options.Live {
			o.prompt, _ = o.Sink.(stream.Prompter)
			o.cost = 2 * inlineLimit
		}
		o.ring = e.newRing(&o.header, o.Slots)
	}
	return nil
}

func (e *Engine) newRing(h *stream.Header, slots int) *stream.Ring {
	if slots == 0 {
		slots = ringSlots(h)
	}
	return stream.NewRing(h, slots)
}

// stageError puts the place in the pipeline file before a stage's complaint.
func (e *Engine) stageError(l *lane, err error) error {
	line := 0
	for i := range l.chain.Links {
		if l.chain.Links[i].Name == l.chain.Failed() {
			line = e.pipeline.Steps[l.first+i].Line
		}
	}
	return &FileError{Path: e.pipeline.Path, Line: line, Msg: err.Error()}
}

func (e *Engine) laneOf(stage int) *lane {
	for i := len(e.lanes) - 1; i >= 0; i-- {
		if stage >= e.lanes[i].first {
			return e.lanes[i]
		}
	}
	return nil
}

// In returns the header of the source; Out that of the last stage. After Open.
func (e *Engine) In() stream.Header { return e.in }

// Out returns the header of what leaves the chain. After Open.
func (e *Engine) Out() stream.Header { return e.out }

// Run moves data until the source ends (nil), ctx ends (its error), or something
// fails. It closes the source and every sink before it returns, and delivers what
// is under way unless something failed.
func (e *Engine) Run(ctx context.Context) error {
	e.state.Store("running")
	runtime.ReadMemStats(&e.baseAlloc)
	work, stop := context.WithCancel(ctx)
	defer stop()
	defer e.cancel()
	// Sinks outlive ctx: what was decided before the end is still delivered.
	var sinks, lanes sync.WaitGroup
	for _, o := range e.outputs {
		sinks.Go(func() { e.deliver(o) })
	}
	for _, s := range e.sides {
		s.start()
	}
	var failure error
	var mu sync.Mutex
	fail := func(err error) {
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		// A neighbour that finds its ring abandoned reports a symptom.
		if failure == nil || errors.Is(failure, stream.ErrStopped) {
			failure = err
		}
		e.cancel()
	}
	for _, l := range e.lanes {
		lanes.Go(func() { fail(e.guard(l.chain.Current, func() error { return e.work(work, l) })) })
	}
	fail(e.guard(func() string { return "the source" }, func() error { return e.read(work) })) // lanes drain, then end
	lanes.Wait()
	close(e.swaps.ended)
	for _, o := range e.outputs {
		o.settle()
		o.ring.Close(nil)
	}
	sinks.Wait()
	errs := []error{failure}
	if err := e.source.Close(); err != nil {
		errs = append(errs, fmt.Errorf("closing the source: %w", err))
	}
	for _, o := range e.outputs {
		if err := o.Sink.Close(); err != nil && o.err == nil {
			o.err = err
		}
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.Name, o.err))
		}
	}
	e.statusMu.Lock() // Status reads what is merged here, also while a run ends
	defer e.statusMu.Unlock()
	for _, l := range e.lanes {
		l.meter.finish()
	}
	e.pacing.finish()
	e.digest.sum(&e.sum)
	if failure == nil || errors.Is(failure, context.Canceled) {
		e.state.Store("ended")
	} else {
		e.state.Store("failed")
	}
	return errors.Join(errs...)
}

// guard turns a panic, which is a bug, into an error with the stage's name.
func (e *Engine) guard(where func() string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("stage %s panicked: %v (this is a bug; please report it with the pipeline file)\n%s", where(), p, debug.Stack())
		}
	}()
	return f()
}

// read is the source's goroutine.
func (e *Engine) read(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			e.intake.Close(err)
		} else {
			e.intake.Close(nil)
		}
	}()
	mask := len(e.taken) - 1
	var lost int64
	defer func() { // what was lost last is told, too
		if lost == 0 {
			return
		}
		if slot, wait := e.intake.ReserveWait(ctx); wait == nil {
			slot.Clear()
			slot.Resize(0)
			slot.Seq, slot.T0, slot.Arrived = e.spare.Seq+int64(e.spare.Len), e.spare.T0, e.spare.Arrived
			slot.Flags, slot.Events = stream.Gap, append(slot.Events, dropEvent(slot, lost, "engine", tooSlowPipeline))
			e.intake.Commit(1)
		}
	}()
	for n := 0; ; {
		slot := e.intake.Reserve()
		if slot == nil && !e.options.Live {
			if slot, err = e.intake.ReserveWait(ctx); err != nil {
				return err
			}
		}
		if slot == nil { // live and full: never wait, never forget
			if err := e.source.Read(e.spare); err != nil {
				return endOfStream(err)
			}
			lost += int64(e.spare.Len)
			e.dropped.Add(int64(e.spare.Len))
			continue
		}
		if err := e.source.Read(slot); err != nil {
			return endOfStream(err)
		}
		if lost > 0 {
			slot.Flags |= stream.Gap
			slot.Events = append(slot.Events, dropEvent(slot, lost, "engine", tooSlowPipeline))
			lost = 0
		}
		now := e.clock.Now()
		e.taken[n&mask] = now
		if n == 0 {
			e.first.Store(int64(now))
		}
		n++
		if err := e.hand(ctx); err != nil {
			return err
		}
	}
}

func endOfStream(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// work is a lane's goroutine.
func (e *Engine) work(ctx context.Context, l *lane) (err error) {
	defer func() {
		l.ring.Stop()
		if l.next != nil {
			l.next.ring.Close(err)
		}
	}()
	for {
		ready, err := l.ring.Wait(ctx)
		if err != nil {
			return endOfStream(err)
		}
		if l.failed != nil {
			return l.failed
		}
		if err := e.process(ctx, l, ready); err != nil {
			return err
		}
	}
}

// process takes chunks out of a lane's ring; by whoever has the reader's side of it.
func (e *Engine) process(ctx context.Context, l *lane, chunks int) (err error) {
	for range chunks {
		src, dst := l.ring.At(0), l.dst
		taken := l.taken[l.n&(len(l.taken)-1)]
		e.swapBefore(l, int64(l.n), src)
		if l.next != nil {
			if dst, err = l.next.ring.ReserveWait(ctx); err != nil {
				return err
			}
			l.dst = dst
		}
		if l.first == 0 {
			e.enter(ctx, src)
		}
		l.chain.Process(dst, src)
		if l.next != nil {
			l.next.taken[l.n&(len(l.next.taken)-1)] = taken
			l.next.ring.Commit(1)
		} else {
			e.leave(ctx, l, dst, taken)
		}
		l.n++
		l.ring.Release(1)
		l.meter.poll(e.digestOf(l))
	}
	return nil
}

func (e *Engine) digestOf(l *lane) *digest {
	if l.next == nil {
		return e.digest
	}
	return nil
}

// enter sees every chunk before the first stage.
func (e *Engine) enter(ctx context.Context, src *stream.Chunk) {
	e.chunks.Add(1)
	e.columns.Add(int64(src.Len))
	for _, o := range e.outputs {
		if o.From == "source" {
			e.offer(ctx, o, src)
		}
	}
}

// probe runs after every stage: it measures and serves the taps.
func (e *Engine) probe(l *lane, i int) {
	now := e.clock.Now()
	if i >= 0 {
		l.meter.record(i, now-l.last)
		if f := l.fell[i]; f != nil {
			f.store(l.chain.Links[i].Stage)
		}
		if len(l.taps[i]) > 0 {
			out := l.dst
			if i < len(l.chain.Links)-1 {
				out = l.chain.Chunk(i)
			}
			for _, o := range l.taps[i] {
				e.offer(context.Background(), o, out)
			}
			now = e.clock.Now()
		}
	} else {
		l.began = now
	}
	l.last = now
}

// leave sees every chunk after the last stage.
func (e *Engine) leave(ctx context.Context, l *lane, dst *stream.Chunk, taken stream.Time) {
	for i := range dst.Events {
		ev := dst.Events[i]
		e.events[int(ev.Kind)%len(e.events)].Add(1)
		if e.options.OnEvent != nil {
			e.options.OnEvent(ev)
		}
	}
	for _, o := range e.outputs {
		if o.From == "" {
			e.offer(ctx, o, dst)
		}
	}
	now := e.clock.Now()
	l.cost = max(now-l.began, l.cost-l.cost>>8)
	e.newest.Store(int64(now))
	if dst.Len == 0 {
		return
	}
	e.digest.add(dst)
	e.decisions.Add(int64(dst.Len))
	n := len(l.chain.Links)
	l.meter.record(n, now-taken)
	l.meter.record(n+1, now-dst.Arrived)
}

// offer copies a chunk into an output's ring, or counts it as lost.
func (e *Engine) offer(ctx context.Context, o *output, c *stream.Chunk) {
	if o.failed.Load() {
		return
	}
	slot := o.ring.Reserve()
	if slot == nil && o.Lossless {
		var err error
		if slot, err = o.ring.ReserveWait(ctx); err != nil {
			return
		}
	}
	if slot == nil {
		o.lost += int64(c.Len)
		o.total.Add(int64(c.Len))
		return
	}
	slot.CopyFrom(c)
	if o.lost > 0 {
		slot.Flags |= stream.Gap
		slot.Events = append(slot.Events, dropEvent(c, o.lost, o.Name, tooSlowOutput))
		o.lost = 0
	}
	if o.prompt != nil && o.ring.Borrow() {
		inline := o.cost <= inlineLimit && o.prompt.Prompt()
		if inline {
			o.ring.Commit(1)
			e.write(o, o.ring.Ready())
		}
		o.ring.Return()
		if inline {
			return
		}
	}
	o.ring.Commit(1)
}

const (
	tooSlowPipeline = "the pipeline was slower than the source"
	tooSlowOutput   = "this output was too slow"
)

func dropEvent(c *stream.Chunk, columns int64, origin, detail string) stream.Event {
	return stream.Event{Kind: stream.EventDrop, Seq: c.Seq, Time: c.T0, Count: columns, Origin: origin, Detail: detail}
}

// settle tells an output what it lost last; the lanes have ended.
func (o *output) settle() {
	if o.lost == 0 || o.failed.Load() {
		return
	}
	if slot, err := o.ring.ReserveWait(context.Background()); err == nil {
		slot.Clear()
		slot.Resize(0)
		slot.Flags, slot.Events = stream.Gap, append(slot.Events, dropEvent(slot, o.lost, o.Name, tooSlowOutput))
		o.ring.Commit(1)
	}
}

// state says how full the ring before an output is.
func (o *output) state() Ring {
	return Ring{Name: "→ " + o.Name, Used: o.ring.Used(), Slots: o.ring.Slots(), Dropped: o.total.Load()}
}

// deliver is a sink's goroutine.
func (e *Engine) deliver(o *output) {
	defer o.ring.Stop()
	for {
		n, err := o.ring.Wait(context.Background())
		if err != nil {
			return
		}
		e.write(o, n)
	}
}

// write takes chunks out of an output's ring; by whoever has the reader's side of it.
func (e *Engine) write(o *output, chunks int) {
	for range chunks {
		if !o.failed.Load() {
			begun := stream.Time(0)
			if o.prompt != nil {
				begun = e.clock.Now()
			}
			err := e.guard(func() string { return o.Name }, func() error { return o.Sink.Write(o.ring.At(0)) })
			if err != nil { // decoding goes on; Run reports it
				o.err = err
				o.failed.Store(true)
			}
			if o.prompt != nil {
				o.cost = max(e.clock.Now()-begun, o.cost-o.cost>>8)
			}
		}
		o.ring.Release(1)
	}
}

// Tick records the lateness of a paced source; give it to the player.
func (e *Engine) Tick(late stream.Time) { e.pacing.record(late) }

// Status returns what the engine has done so far. Any goroutine may call it.
func (e *Engine) Status() Status {
	e.statusMu.Lock()
	defer e.statusMu.Unlock()
	state := e.state.Load().(string)
	s := Status{
		State: state, Pipeline: e.pipeline.Name, Source: e.options.Source,
		Rate: e.in.Rate, Rows: e.in.Rows(), Chunks: e.chunks.Load(), Columns: e.columns.Load(),
		Decisions: e.decisions.Load(), DelayS: e.out.Delay,
	}
	if state == "opening" {
		return s
	}
	ended := state != "running"
	for _, l := range e.lanes {
		if !ended {
			if d, ok := l.meter.collect(); ok && l.next == nil {
				e.sum = d
			}
		}
		delay := 0.0
		for i := range l.chain.Links {
			h := l.chain.Header(i)
			before := e.in.Delay
			if g := l.first + i; g > 0 {
				p := e.laneOf(g - 1)
				before = p.chain.Header(g - 1 - p.first).Delay
			}
			delay = h.Delay - before
			s.Stages = append(s.Stages, Stage{
				Name: l.chain.Links[i].Name, Work: l.meter.spread(i), DelayS: delay,
				Rows: h.Rows(), RateHz: h.Rate, Lane: l.laneNumber(e), Bytes: l.bytes[i], Fallbacks: l.fell[i].load(), Parts: l.spreadParts(i, l.spreads()),
			})
		}
		if l.next == nil {
			n := len(l.chain.Links)
			s.Engine, s.Age = l.meter.spread(n), l.meter.spread(n+1)
		}
	}
	for k, side := range e.sides {
		side.status(&s, len(e.lanes)+k+1, ended)
	}
	if !ended {
		e.pacing.collect()
	}
	s.Pacing = e.pacing.spread()
	if e.columns.Load() > 0 {
		s.Digest = hex.EncodeToString(e.sum[:])
	}
	if f := e.first.Load(); f != 0 {
		s.ElapsedS = math.Max(0, float64(e.newest.Load()-f)*1e-9)
	}
	if e.in.Rate > 0 {
		s.DataS = float64(s.Columns) / e.in.Rate
	}
	if s.ElapsedS > 0 {
		s.Realtime = s.DataS / s.ElapsedS
	}
	for i, l := range e.lanes {
		name := "source → lane 1"
		if i > 0 {
			name = fmt.Sprintf("lane %d → lane %d", i, i+1)
		}
		r := Ring{Name: name, Used: l.ring.Used(), Slots: l.ring.Slots()}
		if i == 0 {
			r.Dropped = e.dropped.Load()
		}
		s.Rings = append(s.Rings, r)
	}
	for _, o := range e.outputs {
		s.Rings = append(s.Rings, o.state())
	}
	for _, side := range e.sides {
		for _, o := range side.outputs {
			s.Rings = append(s.Rings, o.state())
		}
	}
	for k := range e.events {
		if n := e.events[k].Load(); n > 0 {
			s.Events = append(s.Events, Count{Kind: stream.Kind(k).String(), N: n})
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.GCs, s.HeapBytes, s.AllocBytes = m.NumGC-e.baseAlloc.NumGC, m.HeapAlloc, m.TotalAlloc-e.baseAlloc.TotalAlloc
	return s
}

func (l *lane) laneNumber(e *Engine) int {
	for i := range e.lanes {
		if e.lanes[i] == l {
			return i + 1
		}
	}
	return 0
}

func chunkBytes(h *stream.Header) int64 {
	return int64(stream.TilesFor(h.Rows())*h.MaxLen) * (stream.Lanes*8 + 1)
}
