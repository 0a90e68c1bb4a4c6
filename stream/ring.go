package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync/atomic"
)

// ErrStopped is what a writer gets from a ring whose reader has gone.
var ErrStopped = errors.New("the reader of this ring has stopped")

const cacheLine = 128 // two lines: the prefetcher of amd64 fetches pairs

// Ring hands chunks from one goroutine (the writer) to one other (the reader)
// without copying and without a lock. It owns the chunks; a slot belongs to the
// writer between Reserve and Commit and to the reader between Wait and Release.
//
//	        tail                 head
//	  free   │  committed, unread  │  free
//	─────────┴─────────────────────┴──────────
//	         reader ►              writer ►
//
// Both indices only grow; their low bits select the slot. Each side keeps a copy
// of the other's index and looks at the shared one only when the copy says that
// the ring is full or empty, so in steady state no cache line is fought over.
//
// An idle side parks: it sets its parked flag, looks once more, and waits for a
// token in a channel of one. The other side sends a token, without blocking, only
// when it sees the flag. It is lock-free while both sides run; parking and waking
// use the runtime's channel.
//
// While the reader is parked the writer may [Ring.Borrow] its side, and read what it has
// written itself: waking a goroutine takes longer than most of what it would do.
type Ring struct {
	slots []*Chunk
	mask  uint64

	_          [cacheLine]byte
	head       atomic.Uint64 // written by the writer, read by both
	cachedTail uint64        // writer's copy of tail
	_          [cacheLine]byte
	tail       atomic.Uint64 // written by the reader, read by both
	cachedHead uint64        // reader's copy of head
	_          [cacheLine]byte

	reader       atomic.Uint32 // readerRuns, …
	writerParked atomic.Bool
	data         chan struct{} // token for the reader: there are data, or the writer has closed
	space        chan struct{} // token for the writer: there is room, or the reader has stopped
	closed       atomic.Pointer[error]
	stopped      atomic.Bool
}

// Who has the reader's side.
const (
	readerRuns     uint32 = iota // the reader
	readerParked                 // nobody: the reader waits for a token
	readerBorrowed               // the writer, while the reader waits
	readerWanted                 // the writer; the reader waits to have it back
)

// NewRing returns a ring of at least slots chunks for a stream with header h;
// the number is rounded up to a power of two.
func NewRing(h *Header, slots int) *Ring {
	if slots < 1 || slots > 1<<20 {
		panic(fmt.Sprintf("stream: ring of %d slots", slots))
	}
	n := 1 << bits.Len(uint(slots-1))
	r := &Ring{
		slots: make([]*Chunk, n), mask: uint64(n - 1),
		data: make(chan struct{}, 1), space: make(chan struct{}, 1),
	}
	for i := range r.slots {
		r.slots[i] = NewChunk(h)
	}
	return r
}

// Slots returns the capacity in chunks.
func (r *Ring) Slots() int { return len(r.slots) }

// Used returns the number of committed, unreleased chunks: the queue's depth.
// Any goroutine may call it; the answer may be old when it arrives.
func (r *Ring) Used() int { return int(r.head.Load() - r.tail.Load()) }

// Writer's side.

// Free returns how many slots the writer may fill, looking at the reader's
// progress only when fewer than want are known to be free.
func (r *Ring) Free(want int) int {
	free := len(r.slots) - int(r.head.Load()-r.cachedTail)
	if free < want {
		r.cachedTail = r.tail.Load()
		free = len(r.slots) - int(r.head.Load()-r.cachedTail)
	}
	return free
}

// Slot returns the i-th free slot, 0 ≤ i < Free.
func (r *Ring) Slot(i int) *Chunk { return r.slots[(r.head.Load()+uint64(i))&r.mask] }

// Commit hands the first n free slots to the reader.
func (r *Ring) Commit(n int) {
	r.head.Store(r.head.Load() + uint64(n))
	if r.reader.Load() == readerParked {
		wake(r.data)
	}
}

// Borrow gives the writer the reader's side, if the reader is parked: the writer may then
// call Ready, At and Release, and has to call Return. Meanwhile Commit wakes nobody.
func (r *Ring) Borrow() bool { return r.reader.CompareAndSwap(readerParked, readerBorrowed) }

// Return gives the reader's side back after Borrow. What is committed must have been
// released.
func (r *Ring) Return() {
	if !r.reader.CompareAndSwap(readerBorrowed, readerParked) { // the reader has woken up meanwhile
		r.reader.Store(readerParked)
		wake(r.data)
	}
}

// Reserve returns the next slot to fill, or nil when the ring is full: for a
// live producer, who never waits. Call Commit(1) when it is filled.
func (r *Ring) Reserve() *Chunk {
	if r.Free(1) < 1 {
		return nil
	}
	return r.Slot(0)
}

// ReserveWait waits for a free slot: for lossless replay. It fails when ctx ends
// or the reader has stopped.
func (r *Ring) ReserveWait(ctx context.Context) (*Chunk, error) {
	for {
		if r.stopped.Load() {
			return nil, ErrStopped
		}
		if c := r.Reserve(); c != nil {
			return c, nil
		}
		meanwhile("writer parks")
		r.writerParked.Store(true)
		if r.Free(1) == 0 && !r.stopped.Load() {
			select {
			case <-r.space:
			case <-ctx.Done():
				r.writerParked.Store(false)
				return nil, ctx.Err()
			}
		}
		r.writerParked.Store(false)
	}
}

// Close says that nothing more will come. The reader gets what is committed and
// then err, or io.EOF when err is nil.
func (r *Ring) Close(err error) {
	if err == nil {
		err = io.EOF
	}
	r.closed.CompareAndSwap(nil, &err)
	wake(r.data)
}

// Stopped reports whether the reader has gone.
func (r *Ring) Stopped() bool { return r.stopped.Load() }

// Reader's side.

// Ready returns how many chunks can be read, looking at the writer's progress
// only when none is known.
func (r *Ring) Ready() int {
	n := int(r.cachedHead - r.tail.Load())
	if n == 0 {
		r.cachedHead = r.head.Load()
		n = int(r.cachedHead - r.tail.Load())
	}
	return n
}

// At returns the i-th unread chunk, 0 ≤ i < Ready, valid until it is released.
func (r *Ring) At(i int) *Chunk { return r.slots[(r.tail.Load()+uint64(i))&r.mask] }

// Wait waits until there is something to read and returns how many chunks. After
// the writer's Close, and when everything is read, it returns Close's error.
func (r *Ring) Wait(ctx context.Context) (int, error) {
	for {
		if n := r.Ready(); n > 0 {
			return n, nil
		}
		meanwhile("reader looked")
		if e := r.closed.Load(); e != nil {
			if n := r.Ready(); n > 0 { // committed between the two looks
				return n, nil
			}
			return 0, *e
		}
		meanwhile("reader parks")
		r.reader.Store(readerParked)
		var err error
		// From here on the writer may borrow this side: cachedHead is not ours.
		if r.Used() == 0 && r.closed.Load() == nil {
			select {
			case <-r.data:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		r.takeBack()
		if err != nil {
			return 0, err
		}
	}
}

// takeBack makes the reader run again, when the writer has returned what it borrowed.
func (r *Ring) takeBack() {
	for !r.reader.CompareAndSwap(readerParked, readerRuns) {
		meanwhile("reader wants its side")
		if r.reader.CompareAndSwap(readerBorrowed, readerWanted) || r.reader.Load() == readerWanted {
			<-r.data // sent by Return, or left over from a Commit
		}
	}
}

// Release gives the first n unread slots back to the writer.
func (r *Ring) Release(n int) {
	if Invariants {
		for i := range n {
			r.At(i).Poison()
		}
	}
	r.tail.Store(r.tail.Load() + uint64(n))
	if r.writerParked.Load() {
		wake(r.space)
	}
}

// Stop says that the reader is gone; a waiting writer gets ErrStopped.
func (r *Ring) Stop() {
	r.stopped.Store(true)
	wake(r.space)
}

// interleave, set by a test in a build with invariants, is called at the places where
// the other side acting just then could go unnoticed.
var interleave func(place string)

func meanwhile(place string) {
	if Invariants && interleave != nil {
		interleave(place)
	}
}

func wake(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}
