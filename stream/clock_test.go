package stream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestManualClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(Manual)
		if m.Now() != 0 {
			t.Errorf("the zero clock stands at %d", m.Now())
		}
		timer := m.Timer(t.Context())
		defer timer.Stop()
		if err := timer.Wait(0); err != nil {
			t.Error(err)
		}
		early := run(func() error { return timer.Wait(100) })
		late := run(func() error { return m.Timer(t.Context()).Wait(200) })
		synctest.Wait()
		m.Advance(99)
		synctest.Wait()
		if len(early)+len(late) != 0 {
			t.Fatal("a wait ended before its time")
		}
		m.Set(100)
		synctest.Wait()
		if len(early) != 1 || len(late) != 0 {
			t.Fatal("at 100 the wait for 100 ends, and no other")
		}
		m.Set(50) // never back
		if m.Now() != 100 {
			t.Errorf("the clock went back to %d", m.Now())
		}
		m.Advance(time.Hour)
		if a, b := <-early, <-late; a != nil || b != nil {
			t.Error(a, b)
		}
	})
}

func TestManualWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := new(Manual)
		waiting := run(func() error { return m.Timer(ctx).Wait(1) })
		synctest.Wait()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := m.Timer(ctx).Wait(0); !errors.Is(err, context.Canceled) {
			t.Errorf("a time that has come, after the end: %v", err)
		}
	})
}

func TestWallNeverStepsBack(t *testing.T) {
	var w Wall
	if d := time.Since(time.Unix(0, int64(w.Now()))); d < -time.Minute || d > time.Minute {
		t.Errorf("the wall clock is %v off", d)
	}
	last := w.Now()
	for range 10_000 {
		now := w.Now()
		if now < last {
			t.Fatalf("from %d back to %d", last, now)
		}
		last = now
	}
}

// TestTimersAreNeverEarly also logs how late they are; that depends on the machine and
// decides nothing.
func TestTimersAreNeverEarly(t *testing.T) {
	var w Wall
	for name, timer := range map[string]Timer{"best": w.Timer(t.Context()), "runtime": newSleepTimer(t.Context(), w)} {
		var late []time.Duration
		at := w.Now()
		for range 40 {
			at += 2e6
			if err := timer.Wait(at); err != nil {
				t.Fatal(err)
			}
			d := time.Duration(w.Now() - at)
			if d < 0 {
				t.Errorf("%s timer: %v early", name, -d)
			}
			late = append(late, d)
		}
		if err := timer.Wait(w.Now() - 1); err != nil {
			t.Errorf("%s timer, a time that has passed: %v", name, err)
		}
		timer.Stop()
		slices.Sort(late)
		t.Logf("%s timer: late by %v at the median, %v at most", name, late[len(late)/2], late[len(late)-1])
	}
}

func TestTimersEndWithTheirContext(t *testing.T) {
	var w Wall
	for name, make := range map[string]func(context.Context) Timer{
		"best":    func(ctx context.Context) Timer { return w.Timer(ctx) },
		"runtime": func(ctx context.Context) Timer { return newSleepTimer(ctx, w) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		timer := make(ctx)
		waiting := run(func() error { return timer.Wait(w.Now() + Time(5*time.Second)) })
		pause := w.Timer(t.Context())
		_ = pause.Wait(w.Now() + 2e6) // most likely it waits by now
		pause.Stop()
		cancel()
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("%s timer: %v", name, err)
		}
		if err := timer.Wait(w.Now()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s timer afterwards: %v", name, err)
		}
		timer.Stop()
	}
}

func TestWaitingDoesNotAllocate(t *testing.T) {
	var w Wall
	timer := w.Timer(t.Context())
	defer timer.Stop()
	if n := testing.AllocsPerRun(50, func() { _ = timer.Wait(w.Now() + 100_000) }); n != 0 {
		t.Errorf("%v allocations per Wait", n)
	}
}
