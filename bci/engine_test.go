package bci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// noise is a source of seeded noise: columns 0..n-1 in blocks of block.
type noise struct {
	header stream.Header
	n      int64
	block  int
	at     int64
	fill   func(int64, []float64)
	buf    []float64
	hook   func(*stream.Chunk) error
	ctx    context.Context
}

func newNoise(rows int, n int64, block int) *noise {
	h := stream.Header{Name: "noise", Rate: 250, MaxLen: block}
	for i := range rows {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	return &noise{header: h, n: n, block: block, fill: streamtest.Noise(&h, 7), buf: make([]float64, rows)}
}

func (s *noise) Open(ctx context.Context) (stream.Header, error) { s.ctx = ctx; return s.header, nil }
func (s *noise) Close() error                                    { return nil }
func (s *noise) Read(dst *stream.Chunk) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.at >= s.n {
		return io.EOF
	}
	k := int(min(int64(s.block), s.n-s.at))
	dst.Clear()
	dst.Resize(k)
	dst.Seq, dst.T0 = s.at, stream.Time(s.at*4e6)
	dst.Arrived = stream.Wall{}.Now()
	for i := range k {
		s.fill(s.at+int64(i), s.buf)
		dst.SetColumn(i, s.buf)
	}
	s.at += int64(k)
	if s.hook != nil {
		return s.hook(dst)
	}
	return nil
}

// gather is a sink that counts and may be slow or fail.
type gather struct {
	columns, lost, gaps int64
	write               func(*stream.Chunk) error
	closed              bool
}

func (g *gather) Open(context.Context, stream.Header) error { return nil }
func (g *gather) Close() error                              { g.closed = true; return nil }
func (g *gather) Write(c *stream.Chunk) error {
	g.columns += int64(c.Len)
	for _, e := range c.Events {
		if e.Kind == stream.EventDrop {
			g.lost += e.Count
			g.gaps++
			if c.Flags&stream.Gap == 0 {
				return errors.New("a drop without the Gap flag")
			}
		}
	}
	if g.write != nil {
		return g.write(c)
	}
	return nil
}

// running is y[n] = 0.9 y[n-1] + x[n]: memory in two lines.
type running struct{ y [][stream.Lanes]float64 }

func (r *running) Open(h stream.Header) (stream.Header, error) {
	r.y = make([][stream.Lanes]float64, stream.TilesFor(h.Rows()))
	return h, nil
}
func (r *running) Reset() { clear(r.y) }
func (r *running) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	for k := range src.Tiles() {
		to := dst.Tile(k)
		for i, x := range src.Tile(k) {
			for l := range x {
				r.y[k][l] = float64(0.9*r.y[k][l]) + x[l]
			}
			to[i] = r.y[k]
		}
	}
}

// faulty panics at a column.
type faulty struct{ at int64 }

func (f *faulty) Open(h stream.Header) (stream.Header, error) { return h, nil }
func (f *faulty) Reset()                                      {}
func (f *faulty) Process(dst, src *stream.Chunk) {
	if src.Seq >= f.at {
		panic("something is wrong")
	}
	dst.CopyFrom(src)
}

func custom(lanes []int, stages ...func() stream.Stage) *Pipeline {
	p := &Pipeline{Path: "test.yaml", Name: "test"}
	for i, s := range stages {
		p.Steps = append(p.Steps, Step{
			Type:     &StageType{Name: fmt.Sprintf("stage%d", i+1), New: func(*Settings) stream.Stage { return s() }},
			Settings: &Settings{}, Line: i + 2, Lane: lanes[i],
		})
	}
	return p
}

func runEngine(t testing.TB, p *Pipeline, src stream.Source, opt Options, outs ...Output) (Status, error) {
	t.Helper()
	e, err := NewEngine(p, nil, src, outs, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	err = e.Run(context.Background())
	return e.Status(), err
}

func newRunning() stream.Stage { return new(running) }

func TestDigestDoesNotDependOnBlocksOrLanes(t *testing.T) {
	var want string
	for _, lanes := range [][]int{{0, 0, 0}, {0, 1, 1}, {0, 1, 2}} {
		for _, block := range []int{1, 7, 25, 64, 250, 479} {
			p := custom(lanes, newRunning, newRunning, newRunning)
			g := new(gather)
			s, err := runEngine(t, p, newNoise(9, 5000, block), Options{}, Output{Name: "all", Sink: g, Lossless: true})
			if err != nil {
				t.Fatal(err)
			}
			if want == "" {
				want = s.Digest
			}
			if s.Digest != want || s.Columns != 5000 || g.columns != 5000 || !g.closed {
				t.Errorf("lanes %v, blocks of %d: digest %.8s… (want %.8s…), %d columns in, %d out", lanes, block, s.Digest, want, s.Columns, g.columns)
			}
		}
	}
	other := newNoise(9, 5000, 25)
	other.fill = streamtest.Noise(&other.header, 8)
	if s, _ := runEngine(t, custom([]int{0, 0, 0}, newRunning, newRunning, newRunning), other, Options{}); s.Digest == want {
		t.Error("other data give the same digest")
	}
}

func TestSlowSinksLoseAndAreTold(t *testing.T) {
	release := make(chan struct{})
	slow, fast := new(gather), new(gather)
	first := true
	slow.write = func(*stream.Chunk) error {
		if first {
			first = false
			<-release
		}
		return nil
	}
	src := newNoise(4, 4000, 10)
	src.hook = func(c *stream.Chunk) error {
		if c.Seq == 3000 {
			close(release)
		}
		return nil
	}
	s, err := runEngine(t, custom([]int{0}, newRunning), src, Options{},
		Output{Name: "slow", Sink: slow, Slots: 4}, Output{Name: "fast", Sink: fast, Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	if fast.columns != 4000 || fast.lost != 0 {
		t.Errorf("the lossless sink got %d of 4000 columns", fast.columns)
	}
	total := int64(0)
	for _, r := range s.Rings {
		if strings.Contains(r.Name, "slow") {
			total = r.Dropped
		}
	}
	if slow.columns+total != 4000 || total == 0 || slow.lost != total {
		t.Errorf("the slow sink got %d columns and was told of %d lost, status says %d: together they must be 4000", slow.columns, slow.lost, total)
	}
}

// blocked stops the chain until it is released.
type blocked struct{ wait chan struct{} }

func (b *blocked) Open(h stream.Header) (stream.Header, error) { return h, nil }
func (b *blocked) Reset()                                      {}
func (b *blocked) Process(dst, src *stream.Chunk)              { <-b.wait; dst.CopyFrom(src) }

func TestLiveSourceNeverWaits(t *testing.T) {
	gate := make(chan struct{})
	src := newNoise(2, 2000, 10)
	src.hook = func(c *stream.Chunk) error {
		if c.Seq == 1500 {
			close(gate)
		}
		return nil
	}
	var told atomic.Int64
	g := new(gather)
	s, err := runEngine(t, custom([]int{0}, func() stream.Stage { return &blocked{gate} }), src,
		Options{Live: true, Slots: 8, OnEvent: func(e stream.Event) {
			if e.Kind == stream.EventDrop {
				told.Add(e.Count)
			}
		}}, Output{Name: "all", Sink: g, Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	dropped := s.Rings[0].Dropped
	if dropped == 0 || g.columns+dropped != 2000 || told.Load() != dropped {
		t.Errorf("%d columns arrived, %d dropped, %d told: of 2000 none may be lost in silence", g.columns, dropped, told.Load())
	}
}

func TestPanicNamesTheStage(t *testing.T) {
	g := new(gather)
	_, err := runEngine(t, custom([]int{0, 1, 2}, newRunning, func() stream.Stage { return &faulty{at: 500} }, newRunning),
		newNoise(3, 1e9, 25), Options{}, Output{Name: "all", Sink: g, Lossless: true})
	if err == nil || !strings.Contains(err.Error(), "stage stage2 panicked: something is wrong") {
		t.Errorf("error is %v", err)
	}
	if !g.closed || g.columns < 400 {
		t.Errorf("the sink got %d columns, closed %v: what was decided before the panic is delivered", g.columns, g.closed)
	}
}

func TestFailingSinkDoesNotStopDecoding(t *testing.T) {
	bad, good := &gather{write: func(*stream.Chunk) error { return errors.New("disk full") }}, new(gather)
	_, err := runEngine(t, custom([]int{0}, newRunning), newNoise(3, 3000, 25), Options{},
		Output{Name: "csv:x", Sink: bad, Lossless: true}, Output{Name: "good", Sink: good, Lossless: true})
	if err == nil || !strings.Contains(err.Error(), "csv:x: disk full") {
		t.Errorf("error is %v", err)
	}
	if good.columns != 3000 {
		t.Errorf("the other sink got %d of 3000 columns", good.columns)
	}
}

func TestFailingSourceDeliversWhatItGave(t *testing.T) {
	src := newNoise(3, 1e9, 25)
	src.hook = func(c *stream.Chunk) error {
		if c.Seq == 1000 {
			return errors.New("cable pulled")
		}
		return nil
	}
	g := new(gather)
	_, err := runEngine(t, custom([]int{0, 1}, newRunning, newRunning), src, Options{}, Output{Name: "all", Sink: g, Lossless: true})
	if err == nil || !strings.Contains(err.Error(), "cable pulled") || g.columns != 1000 {
		t.Errorf("error %v after %d columns, want 1000", err, g.columns)
	}
}

func TestTapsSeeTheirStage(t *testing.T) {
	var sums [3]float64
	sink := func(i int) *gather {
		return &gather{write: func(c *stream.Chunk) error {
			for col := range c.Len {
				sums[i] += math.Abs(c.At(0, col))
			}
			return nil
		}}
	}
	a, b, z := sink(0), sink(1), sink(2)
	_, err := runEngine(t, custom([]int{0, 1}, newRunning, newRunning), newNoise(3, 1000, 25), Options{},
		Output{Name: "a", From: "source", Sink: a, Lossless: true}, Output{Name: "b", From: "stage1", Sink: b, Lossless: true}, Output{Name: "z", Sink: z, Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	if a.columns != 1000 || b.columns != 1000 || z.columns != 1000 {
		t.Errorf("taps got %d, %d and %d columns of 1000", a.columns, b.columns, z.columns)
	}
	if !(sums[0] < sums[1] && sums[1] < sums[2]) {
		t.Errorf("sums of magnitudes %v: each running sum must be larger than its input", sums)
	}
	if _, err := NewEngine(custom([]int{0}, newRunning), nil, newNoise(1, 1, 1), []Output{{Name: "x", From: "stage3", Sink: new(gather)}}, Options{}); err == nil || !strings.Contains(err.Error(), `did you mean "stage1"?`) {
		t.Errorf("unknown tap: %v", err)
	}
}

func TestStatusWhileRunning(t *testing.T) {
	src := newNoise(3, 20000, 20)
	var e *Engine
	var seen Status
	src.hook = func(c *stream.Chunk) error {
		if c.Seq%2000 == 0 {
			seen = e.Status()
		}
		return nil
	}
	e, err := NewEngine(custom([]int{0, 1}, newRunning, newRunning), nil, src, nil, Options{Source: "noise:"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen.State != "running" || seen.Engine.N == 0 || len(seen.Stages) != 2 || seen.Stages[1].Lane != 2 {
		t.Errorf("status while running: %+v", seen)
	}
	end := e.Status()
	if end.State != "ended" || end.Engine.N != 1000 || end.Decisions != 20000 || end.Stages[0].Work.N != 1000 {
		t.Errorf("status at the end: %+v", end)
	}
}

// The engine's own path allocates nothing per chunk: 20 times the chunks may not
// cost more memory than starting and ending does.
func TestEngineDoesNotAllocatePerChunk(t *testing.T) {
	mallocs := func(n int64) float64 {
		return testing.AllocsPerRun(3, func() {
			src := newNoise(64, n, 10)
			src.fill = func(_ int64, dst []float64) { clear(dst) }
			if _, err := runEngine(t, custom([]int{0, 1}, newRunning, newRunning), src, Options{}, Output{Name: "all", Sink: new(gather), Lossless: true}); err != nil {
				t.Fatal(err)
			}
		})
	}
	short, long := mallocs(1000), mallocs(21000)
	if extra := long - short; extra > 200 { // 2000 more chunks through three hand-overs
		t.Errorf("2000 more chunks cost %.0f more allocations", extra)
	}
}
