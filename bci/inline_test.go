package bci

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"neurostream/stream"
)

// prompt is a sink whose Write never waits.
type prompt struct{ gather }

func (*prompt) Prompt() bool { return true }

// inlineRun runs a live engine whose source returns a chunk only when everything else
// waits, and counts after how many of them the sink had the decision before the source
// was asked again.
func inlineRun(t *testing.T, stage func() stream.Stage, clock stream.Clock, sink interface {
	stream.Sink
	count() int64
}, chunks int64,
) (at []int64) {
	t.Helper()
	src := newNoise(3, chunks*5, 5)
	src.hook = func(*stream.Chunk) error {
		at = append(at, sink.count())
		synctest.Wait()
		return nil
	}
	if _, err := runEngine(t, custom([]int{0}, stage), src, Options{Live: true, Clock: clock}, Output{Name: "out", Sink: sink}); err != nil {
		t.Fatal(err)
	}
	if n := sink.count(); n != chunks*5 {
		t.Errorf("%d columns came out of %d", n, chunks*5)
	}
	return at
}

type counted struct {
	prompt
	n atomic.Int64
}

func (c *counted) count() int64 { return c.n.Load() }
func (c *counted) Write(k *stream.Chunk) error {
	c.n.Add(int64(k.Len))
	return nil
}

// TestQuickChainRunsOnTheSourcesGoroutine: once chain and sink have shown that they are
// quick, a decision is delivered before the source is asked for more.
func TestQuickChainRunsOnTheSourcesGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks = 1000
		at := inlineRun(t, newRunning, new(stream.Manual), new(counted), chunks)
		for k := chunks / 2; k < chunks; k++ {
			if at[k] != int64(k)*5 {
				t.Fatalf("asked for chunk %d, the sink had %d columns of %d", k, at[k], k*5)
			}
		}
	})
}

// slow takes a millisecond of a clock and, at a column, all the time there is.
type slow struct {
	clock *stream.Manual
	at    int64
	until chan struct{}
}

func (s *slow) Open(h stream.Header) (stream.Header, error) { return h, nil }
func (s *slow) Reset()                                      {}
func (s *slow) Process(dst, src *stream.Chunk) {
	s.clock.Advance(1e6)
	if src.Seq == s.at {
		<-s.until
	}
	dst.CopyFrom(src)
}

// TestSlowChainNeverHoldsTheSource: a chain that is not quick runs beside the source,
// which goes on reading while the chain hangs.
func TestSlowChainNeverHoldsTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, until := new(stream.Manual), make(chan struct{})
		src := newNoise(3, 1000*5, 5)
		src.hook = func(c *stream.Chunk) error {
			if c.Seq == 905*5 {
				close(until) // five chunks later
			} else if c.Seq <= 900*5 {
				synctest.Wait()
			}
			return nil
		}
		sink := new(counted)
		stage := func() stream.Stage { return &slow{clock: clock, at: 900 * 5, until: until} }
		if _, err := runEngine(t, custom([]int{0}, stage), src, Options{Live: true, Clock: clock, Slots: 256}, Output{Name: "out", Sink: sink}); err != nil {
			t.Fatal(err)
		}
		if n := sink.count(); n != 5000 {
			t.Errorf("%d columns came out of 5000", n)
		}
	})
}

// TestInlineChangesNoBit compares the digest with that of a replay.
func TestInlineChangesNoBit(t *testing.T) {
	replayed, err := runEngine(t, custom([]int{0}, newRunning), newNoise(3, 3000, 5), Options{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		src := newNoise(3, 3000, 5)
		src.hook = func(*stream.Chunk) error { synctest.Wait(); return nil }
		live, err := runEngine(t, custom([]int{0}, newRunning), src, Options{Live: true, Clock: new(stream.Manual)}, Output{Name: "out", Sink: new(counted)})
		if err != nil {
			t.Fatal(err)
		}
		if live.Digest != replayed.Digest || live.Decisions != 3000 {
			t.Errorf("live %s of %d decisions, replayed %s", live.Digest, live.Decisions, replayed.Digest)
		}
	})
}

// TestInlinePanicNamesTheStage: what fails on the source's goroutine is told as if it had
// failed on its own, and once.
func TestInlinePanicNamesTheStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newNoise(3, 5000, 5)
		src.hook = func(*stream.Chunk) error { synctest.Wait(); return nil }
		sink := new(counted)
		_, err := runEngine(t, custom([]int{0}, func() stream.Stage { return &faulty{at: 4000} }), src, Options{Live: true, Clock: new(stream.Manual)}, Output{Name: "out", Sink: sink})
		if err == nil || strings.Count(err.Error(), "stage stage1 panicked: something is wrong") != 1 {
			t.Errorf("error is %v", err)
		}
		if n := sink.count(); n != 4000 {
			t.Errorf("the sink got %d columns, want 4000", n)
		}
	})
}

// TestInlineDoesNotAllocatePerChunk: neither does what is handed over without a wake-up.
func TestInlineDoesNotAllocatePerChunk(t *testing.T) {
	mallocs := func(n int64) float64 {
		return testing.AllocsPerRun(3, func() {
			src := newNoise(64, n, 10)
			src.fill = func(_ int64, dst []float64) { clear(dst) }
			src.hook = func(*stream.Chunk) error { runtime.Gosched(); return nil } // the others park
			if _, err := runEngine(t, custom([]int{0}, newRunning), src, Options{Live: true, Clock: new(stream.Manual)}, Output{Name: "out", Sink: new(counted)}); err != nil {
				t.Fatal(err)
			}
		})
	}
	short, long := mallocs(1000), mallocs(21000)
	if extra := long - short; extra > 200 { // 2000 more chunks
		t.Errorf("2000 more chunks cost %.0f more allocations", extra)
	}
}
