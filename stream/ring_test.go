package stream

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// digest depends on the order of what it is fed: h ← (h ⊕ x)·prime (FNV-1a by words).
type digest uint64

func (d *digest) add(x uint64) { *d = (*d ^ digest(x)) * 1099511628211 }

func (d *digest) chunk(c *Chunk) {
	d.add(uint64(c.Seq))
	d.add(uint64(c.Len))
	for k := range c.Tiles() {
		for _, v := range c.Tile(k) {
			for _, x := range v {
				d.add(math.Float64bits(x))
			}
		}
	}
}

// TestRingHandsOverEverythingInOrder runs both sides as fast as they go, in batches of
// random size, with pauses that make one side wait for the other.
func TestRingHandsOverEverythingInOrder(t *testing.T) {
	chunks := int64(20_000)
	if testing.Short() {
		chunks = 4_000
	}
	for _, slots := range []int{1, 2, 3, 64} {
		h := header(9, 3)
		r := NewRing(h, slots)
		var sent, got digest
		done := make(chan error, 1)
		go func() {
			rnd := rand.New(rand.NewPCG(1, uint64(slots)))
			for seq := int64(0); seq < chunks; {
				c, err := r.ReserveWait(t.Context())
				if err != nil {
					done <- err
					return
				}
				n := min(r.Free(1+rnd.IntN(5)), 1+rnd.IntN(5), int(chunks-seq))
				for i := range n {
					if i > 0 {
						c = r.Slot(i)
					}
					c.Clear()
					c.Resize(int(seq % 4))
					c.Seq = seq
					for k := range c.Tiles() {
						for j := range c.Tile(k) {
							c.Tile(k)[j][0] = float64(seq*7 + int64(j))
						}
					}
					sent.chunk(c)
					seq++
				}
				r.Commit(n)
				if rnd.IntN(500) == 0 {
					runtime.Gosched()
				}
			}
			r.Close(nil)
			done <- nil
		}()
		rnd := rand.New(rand.NewPCG(2, uint64(slots)))
		next := int64(0)
		for {
			n, err := r.Wait(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n < 1 || n > r.Slots() {
				t.Fatalf("%d chunks ready in a ring of %d", n, r.Slots())
			}
			n = 1 + rnd.IntN(n)
			for i := range n {
				c := r.At(i)
				if c.Seq != next {
					t.Fatalf("ring of %d: chunk %d came when %d was due", slots, c.Seq, next)
				}
				next++
				got.chunk(c)
			}
			r.Release(n)
			if rnd.IntN(500) == 0 {
				runtime.Gosched()
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if next != chunks || got != sent {
			t.Errorf("ring of %d: %d of %d chunks, digest %x, sent %x", slots, next, chunks, got, sent)
		}
	}
}

// TestRingCloseLosesNothing closes right behind the last chunk, against a reader that
// is looking just then.
func TestRingCloseLosesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	rings := make(chan *Ring)
	got := make(chan int)
	go func() {
		for r := range rings {
			n := 0
			for {
				k, err := r.Wait(t.Context())
				if err != nil {
					break
				}
				n += k
				r.Release(k)
			}
			got <- n
		}
	}()
	defer close(rings)
	h := header(1, 1)
	for i := range 10_000 {
		r := NewRing(h, 1)
		rings <- r
		for range rnd.IntN(400) {
			r.Used() // shifts the two sides against each other
		}
		r.Commit(1)
		r.Close(nil)
		if n := <-got; n != 1 {
			t.Fatalf("ring %d gives %d chunks before its end", i, n)
		}
	}
}

func TestRingRoundsUpItsSlots(t *testing.T) {
	for slots, want := range map[int]int{1: 1, 2: 2, 3: 4, 64: 64, 65: 128} {
		if got := NewRing(header(1, 1), slots).Slots(); got != want {
			t.Errorf("%d slots become %d, want %d", slots, got, want)
		}
	}
	for _, slots := range []int{0, -1, 1<<20 + 1} {
		if got := panics(func() { NewRing(header(1, 1), slots) }); !strings.Contains(got, "ring of") {
			t.Errorf("%d slots: panic %q", slots, got)
		}
	}
}

// TestRingFull: a live writer is told at once, and what is unread stays untouched.
func TestRingFull(t *testing.T) {
	r := NewRing(header(1, 1), 4)
	for i := range int64(4) {
		c := r.Reserve()
		c.Resize(1)
		c.Seq = i
		r.Commit(1)
	}
	if r.Reserve() != nil || r.Free(1) != 0 || r.Used() != 4 {
		t.Fatalf("a full ring offers a slot; %d used", r.Used())
	}
	if n := r.Ready(); n != 4 || r.At(0).Seq != 0 || r.At(3).Seq != 3 {
		t.Fatalf("%d ready", n)
	}
	r.Release(3)
	if r.Free(1) < 1 || r.Used() != 1 || r.At(0).Seq != 3 {
		t.Errorf("after releasing three: %d used", r.Used())
	}
	if r.Free(2) != 3 {
		t.Errorf("%d slots are free, want 3", r.Free(2))
	}
}

// run calls f on a goroutine and gives its result when it comes back.
func run[T any](f func() T) (result <-chan T) {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

func TestRingParksAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(header(1, 1), 2)
		reader := run(func() int { n, _ := r.Wait(t.Context()); return n })
		synctest.Wait() // parked: nothing is there
		if len(reader) != 0 {
			t.Fatal("Wait returns from an empty ring")
		}
		r.Reserve()
		r.Commit(1)
		if n := <-reader; n != 1 {
			t.Errorf("woken with %d chunks", n)
		}
		r.Reserve()
		r.Commit(1)
		writer := run(func() error { _, err := r.ReserveWait(t.Context()); return err })
		synctest.Wait() // parked: full
		if len(writer) != 0 {
			t.Fatal("ReserveWait returns from a full ring")
		}
		if n, _ := r.Wait(t.Context()); n != 1 { // the copy of the writer's index is old, and good enough
			t.Errorf("%d known to be ready, want 1", n)
		}
		r.Release(1)
		if err := <-writer; err != nil {
			t.Error(err)
		}
		// A token left over from a wake-up that was not needed must not end a wait.
		wake(r.data)
		wake(r.space)
		r.Commit(1)
		r.Release(r.Ready())
		reader = run(func() int { n, _ := r.Wait(t.Context()); return n })
		synctest.Wait()
		if len(reader) != 0 {
			t.Fatal("an old token ends a wait")
		}
		r.Reserve()
		r.Commit(1)
		<-reader
	})
}

func TestRingCloses(t *testing.T) {
	boom := errors.New("device unplugged")
	for _, c := range []struct {
		give, want error
	}{{nil, io.EOF}, {boom, boom}} {
		synctest.Test(t, func(t *testing.T) {
			r := NewRing(header(1, 1), 4)
			waiting := run(func() error { _, err := r.Wait(t.Context()); return err })
			synctest.Wait()
			r.Close(c.give)
			if err := <-waiting; err != c.want {
				t.Errorf("a parked reader gets %v, want %v", err, c.want)
			}
			r = NewRing(header(1, 1), 4)
			r.Reserve()
			r.Commit(1)
			r.Close(c.give)
			r.Close(errors.New("too late"))
			if n, err := r.Wait(t.Context()); n != 1 || err != nil {
				t.Errorf("what was committed before Close is lost: %d, %v", n, err)
			}
			r.Release(1)
			for range 2 {
				if _, err := r.Wait(t.Context()); err != c.want {
					t.Errorf("after the last chunk: %v, want %v", err, c.want)
				}
			}
		})
	}
}

func TestRingStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(header(1, 1), 1)
		r.Reserve()
		r.Commit(1)
		waiting := run(func() error { _, err := r.ReserveWait(t.Context()); return err })
		synctest.Wait()
		if r.Stopped() {
			t.Error("stopped too early")
		}
		r.Stop()
		if err := <-waiting; err != ErrStopped || !r.Stopped() {
			t.Errorf("a parked writer gets %v", err)
		}
		if _, err := r.ReserveWait(t.Context()); err != ErrStopped {
			t.Errorf("after Stop: %v", err)
		}
	})
}

func TestRingWaitsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		empty, full := NewRing(header(1, 1), 1), NewRing(header(1, 1), 1)
		full.Reserve()
		full.Commit(1)
		reader := run(func() error { _, err := empty.Wait(ctx); return err })
		writer := run(func() error { _, err := full.ReserveWait(ctx); return err })
		synctest.Wait()
		cancel()
		if a, b := <-reader, <-writer; a != context.Canceled || b != context.Canceled {
			t.Errorf("reader %v, writer %v", a, b)
		}
		// Both sides go on afterwards.
		empty.Reserve()
		empty.Commit(1)
		full.Release(full.Ready())
		if n, err := empty.Wait(t.Context()); n != 1 || err != nil {
			t.Errorf("reader afterwards: %d, %v", n, err)
		}
		if _, err := full.ReserveWait(t.Context()); err != nil {
			t.Errorf("writer afterwards: %v", err)
		}
	})
}

func TestRingDoesNotAllocate(t *testing.T) {
	r := NewRing(header(8, 4), 4)
	var got digest
	n := testing.AllocsPerRun(1000, func() {
		c, err := r.ReserveWait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Resize(4)
		r.Commit(1)
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		got.chunk(r.At(0))
		r.Release(1)
	})
	if n != 0 {
		t.Errorf("%v allocations per hand-over", n)
	}
}

// TestReleasePoisons: in builds tagged "invariants" a chunk kept past Release holds NaN.
func TestReleasePoisons(t *testing.T) {
	r := NewRing(header(3, 2), 2)
	c := r.Reserve()
	c.Resize(2)
	c.Set(2, 1, 42)
	r.Commit(1)
	r.Ready()
	kept := r.At(0)
	r.Release(1)
	if got := kept.At(2, 1); math.IsNaN(got) != Invariants {
		t.Errorf("invariants %v: a released sample reads %v", Invariants, got)
	}
}

// TestRingLendsTheReadersSide has the writer read in the reader's place whenever it can:
// all is read once, in order, by one of the two, and no wake-up is lost.
func TestRingLendsTheReadersSide(t *testing.T) {
	chunks := int64(200_000)
	if testing.Short() {
		chunks = 20_000
	}
	for _, slots := range []int{1, 2, 64} {
		r := NewRing(header(1, 1), slots)
		next, byWriter, byReader := int64(0), 0, 0 // next is of whoever has the side
		read := func(n int) {
			for range n {
				if got := r.At(0).Seq; got != next {
					t.Errorf("%d slots: chunk %d came, %d was next", slots, got, next)
				}
				next++
				r.Release(1)
			}
		}
		done := make(chan error, 1)
		go func() {
			rnd := rand.New(rand.NewPCG(2, uint64(slots)))
			defer r.Close(nil)
			for seq := range chunks {
				c, err := r.ReserveWait(t.Context())
				if err != nil {
					done <- err
					return
				}
				c.Clear()
				c.Seq = seq
				if rnd.IntN(4) == 0 {
					runtime.Gosched() // so that the reader parks now and then
				}
				if rnd.IntN(3) > 0 && r.Borrow() {
					r.Commit(1)
					n := r.Ready()
					read(n)
					byWriter += n
					r.Return()
				} else {
					r.Commit(1)
				}
			}
			done <- nil
		}()
		for {
			n, err := r.Wait(t.Context())
			if err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				break
			}
			read(n)
			byReader += n
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if next != chunks || byWriter == 0 || byReader == 0 {
			t.Errorf("%d slots: %d of %d chunks, %d read by the writer, %d by the reader", slots, next, chunks, byWriter, byReader)
		}
	}
}

// TestRingReaderWaitsForWhatItLent ends the reader's wait while the writer has its side:
// it comes back when the writer has returned it, and not before.
func TestRingReaderWaitsForWhatItLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(header(1, 1), 4)
		ctx, cancel := context.WithCancel(t.Context())
		ended := false
		go func() {
			if _, err := r.Wait(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait returned %v", err)
			}
			ended = true
		}()
		synctest.Wait()
		if !r.Borrow() || r.Borrow() {
			t.Fatal("the side of a parked reader can be borrowed, once")
		}
		cancel()
		synctest.Wait()
		if ended {
			t.Error("the reader ran while its side was borrowed")
		}
		r.Return()
		synctest.Wait()
		if !ended {
			t.Error("the reader did not come back")
		}
		if r.Borrow() {
			t.Error("the side of a reader that runs was borrowed")
		}
	})
}
