package server

import "sync"

// outbox is what one browser has yet to be sent. Frames queue up to a bound; then
// the oldest is lost and counted, and the browser is told before the next one. Of
// what only the latest counts (status, band power) one is kept. Putting never waits.
type outbox struct {
	mu      sync.Mutex
	past    []*frame // what happened before this browser came; not bounded, never added to
	queue   []*frame // ring of fixed size
	head, n int
	latest  [latestSlots]*frame
	lost    uint64 // frames lost so far
	told    uint64 // of them, those the browser knows of
	closed  bool
	wake    chan struct{}
}

// Slots for messages that replace their predecessor.
const (
	latestHello = iota
	latestStatus
	latestPower
	latestPong
	latestSlots
)

func newOutbox(room int) *outbox {
	return &outbox{queue: make([]*frame, room), wake: make(chan struct{}, 1)}
}

// put queues a frame, taking a hold of it.
func (o *outbox) put(f *frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if o.n == len(o.queue) {
		o.queue[o.head].release()
		o.head = (o.head + 1) % len(o.queue)
		o.n--
		o.lost++
	}
	o.queue[(o.head+o.n)%len(o.queue)] = f.hold()
	o.n++
	o.signal()
}

// replace puts a frame into a slot, taking a hold of it.
func (o *outbox) replace(slot int, f *frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if old := o.latest[slot]; old != nil {
		old.release()
	}
	o.latest[slot] = f.hold()
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// lostNotice tells a browser what it has not seen.
type lostNotice struct {
	Type   string `json:"type"`   // "lost"
	Frames uint64 `json:"frames"` // since the last notice
	Total  uint64 `json:"total"`
}

// take returns the next frame to send, or nil. The caller releases it.
func (o *outbox) take() *frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.latest[latestHello]; f != nil {
		o.latest[latestHello] = nil
		return f
	}
	if len(o.past) > 0 {
		f := o.past[0]
		o.past[0] = nil
		o.past = o.past[1:]
		return f
	}
	if o.lost > o.told {
		n := o.lost - o.told
		o.told = o.lost
		return textFrame(lostNotice{"lost", n, o.lost})
	}
	for i, f := range o.latest {
		if f != nil {
			o.latest[i] = nil
			return f
		}
	}
	if o.n == 0 {
		return nil
	}
	f := o.queue[o.head]
	o.queue[o.head] = nil
	o.head = (o.head + 1) % len(o.queue)
	o.n--
	return f
}

// close lets go of everything.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, f := range o.past {
		f.release()
	}
	for ; o.n > 0; o.n-- {
		o.queue[o.head].release()
		o.head = (o.head + 1) % len(o.queue)
	}
	for i, f := range o.latest {
		if f != nil {
			f.release()
			o.latest[i] = nil
		}
	}
	o.past = nil
}

func (o *outbox) lostFrames() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}
