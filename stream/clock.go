package stream

import (
	"context"
	"sync"
	"time"
)

// Clock tells the time on the engine's timeline and waits for it. Stages never
// see one; sources, sinks and the engine do.
type Clock interface {
	Now() Time
	// Timer returns something to wait with; one goroutine uses it. It fails when
	// ctx ends.
	Timer(ctx context.Context) Timer
}

// Timer waits for absolute times, so that lateness never accumulates.
type Timer interface {
	// Wait returns when the clock has reached t, at once when it has already. It
	// returns the context's error when that ends first.
	Wait(t Time) error
	Stop()
}

// Wall is the machine's clock: nanoseconds since 1970 at the start of the process,
// carried on by the monotonic clock, so that it never steps.
type Wall struct{}

var (
	started     = time.Now()
	startedUnix = started.UnixNano()
)

// Now returns the time.
func (Wall) Now() Time { return Time(startedUnix + int64(time.Since(started))) }

// Timer returns the most exact waiting this system has (see newTimer).
func (w Wall) Timer(ctx context.Context) Timer { return newTimer(ctx, w) }

// sleepTimer waits with the runtime's timers: about half a millisecond late.
type sleepTimer struct {
	ctx   context.Context
	clock Wall
	timer *time.Timer
}

func newSleepTimer(ctx context.Context, w Wall) *sleepTimer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &sleepTimer{ctx: ctx, clock: w, timer: t}
}

func (t *sleepTimer) Wait(until Time) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	d := time.Duration(until - t.clock.Now())
	if d <= 0 {
		return nil
	}
	t.timer.Reset(d)
	select {
	case <-t.timer.C:
		return nil
	case <-t.ctx.Done():
		t.timer.Stop()
		return t.ctx.Err()
	}
}

func (t *sleepTimer) Stop() { t.timer.Stop() }

// Manual is a clock that a test moves. The zero value stands at 0.
type Manual struct {
	mu      sync.Mutex
	now     Time
	changed chan struct{} // closed and replaced at every move
}

// Now returns the time.
func (m *Manual) Now() Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Set moves the clock to t; a clock never steps back, so an earlier t is ignored.
func (m *Manual) Set(t Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t <= m.now {
		return
	}
	m.now = t
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Advance moves the clock by d.
func (m *Manual) Advance(d time.Duration) { m.Set(m.Now() + Time(d)) }

// Timer returns a timer that waits until the clock has been moved far enough.
func (m *Manual) Timer(ctx context.Context) Timer { return manualTimer{ctx, m} }

type manualTimer struct {
	ctx context.Context
	m   *Manual
}

func (t manualTimer) Wait(until Time) error {
	for {
		t.m.mu.Lock()
		if t.m.now >= until {
			t.m.mu.Unlock()
			return t.ctx.Err()
		}
		if t.m.changed == nil {
			t.m.changed = make(chan struct{})
		}
		ch := t.m.changed
		t.m.mu.Unlock()
		select {
		case <-ch:
		case <-t.ctx.Done():
			return t.ctx.Err()
		}
	}
}

func (manualTimer) Stop() {}
