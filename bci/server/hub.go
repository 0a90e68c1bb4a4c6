package server

import (
	"errors"
	"sync"
)

// hub hands frames to the connected browsers and remembers enough of the past for
// one that connects, or reloads, in the middle.
type hub struct {
	mu      sync.Mutex
	max     int
	clients map[*client]struct{}
	lost    uint64 // by clients that have left

	hello   *frame // the session's description; nil before the first sink opens
	session uint32
	origin  float64 // time of the first column of this session, seconds; valid when begun
	begun   bool
	streams streams
	past    [pastKinds]backlog
	status  *frame
	power   *frame
}

// Kinds of history, each with a bound of its own so that the fast one does not push
// out the slow ones.
const (
	pastSignals = iota
	pastDecisions
	pastNotes // marks, outcomes, events
	pastKinds
)

var errFull = errors.New("too many pages are connected")

func newHub(maxClients int) *hub {
	h := &hub{max: maxClients, clients: map[*client]struct{}{}}
	h.past[pastSignals] = backlog{seconds: 30, bytes: 8 << 20}
	h.past[pastDecisions] = backlog{seconds: 180, bytes: 2 << 20}
	h.past[pastNotes] = backlog{seconds: 180, bytes: 1 << 20}
	h.hello = textFrame(hello{Type: "hello", Version: frameVersion})
	return h
}

// join adds a client and fills its outbox with the present and the recent past.
func (h *hub) join(c *client) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= h.max {
		return errFull
	}
	h.clients[c] = struct{}{}
	c.out.replace(latestHello, h.hello)
	var past []*frame
	for _, kind := range [...]int{pastSignals, pastNotes, pastDecisions} {
		for _, e := range h.past[kind].entries {
			past = append(past, e.frame.hold())
		}
	}
	c.out.mu.Lock()
	c.out.past = past
	c.out.mu.Unlock()
	if h.status != nil {
		c.out.replace(latestStatus, h.status)
	}
	if h.power != nil {
		c.out.replace(latestPower, h.power)
	}
	return nil
}

func (h *hub) leave(c *client) {
	h.mu.Lock()
	if _, in := h.clients[c]; in {
		delete(h.clients, c)
		h.lost += c.out.lostFrames()
	}
	h.mu.Unlock()
	c.out.close()
}

// publish queues f for everyone who wants its kind, keeps it in the given history,
// and lets go of it. at is the time of its data in seconds.
func (h *hub) publish(f *frame, history int, at float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.kind != kindText {
		h.started(at)
	}
	if len(h.clients) >= manyClients {
		f.prepare()
	}
	for c := range h.clients {
		if c.wants(f.kind) {
			c.out.put(f)
		}
	}
	h.past[history].add(f, at)
}

// replace gives everyone f in place of what they have not yet been sent of its slot,
// and lets go of it.
func (h *hub) replace(slot int, f *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replaceLocked(slot, f)
}

func (h *hub) replaceLocked(slot int, f *frame) {
	if len(h.clients) >= manyClients {
		f.prepare()
	}
	for c := range h.clients {
		if c.wants(f.kind) {
			c.out.replace(slot, f)
		}
	}
	var kept **frame
	switch slot {
	case latestHello:
		kept = &h.hello
	case latestStatus:
		kept = &h.status
	case latestPower:
		kept = &h.power
	default:
		f.release()
		return
	}
	if *kept != nil {
		(*kept).release()
	}
	*kept = f
}

// started notes when the session's data begin.
func (h *hub) started(at float64) {
	if !h.begun {
		h.origin, h.begun = at, true
	}
}

func (h *hub) sessionStart() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.origin
}

// open records that a sink was opened and starts a new session: everyone gets a new
// hello, and the past, which was about something else, is dropped.
func (h *hub) open(change func(*streams)) (session uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.streams)
	h.session++
	h.begun = false
	for i := range h.past {
		h.past[i].clear()
	}
	if h.power != nil {
		h.power.release()
		h.power = nil
	}
	h.replaceLocked(latestHello, textFrame(h.streams.hello(h.session)))
	return h.session
}

// sessionNow returns the number that frames of this moment carry. All sinks share
// it: the last one to open names the session for all.
func (h *hub) sessionNow() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.session
}

// counts returns how many are connected and how many frames they lost in total.
func (h *hub) counts() (clients int, lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost = h.lost
	for c := range h.clients {
		lost += c.out.lostFrames()
	}
	return len(h.clients), lost
}

// backlog is recent history, bounded in time and memory.
type backlog struct {
	seconds float64
	bytes   int

	entries []entry
	held    int
}

type entry struct {
	frame *frame
	at    float64
}

// add takes over the caller's hold of f.
func (b *backlog) add(f *frame, at float64) {
	b.entries = append(b.entries, entry{f, at})
	b.held += len(f.buf)
	drop := 0
	for drop < len(b.entries)-1 && (b.held > b.bytes || b.entries[drop].at < at-b.seconds) {
		b.held -= len(b.entries[drop].frame.buf)
		b.entries[drop].frame.release()
		drop++
	}
	b.entries = append(b.entries[:0], b.entries[drop:]...)
}

func (b *backlog) clear() {
	for _, e := range b.entries {
		e.frame.release()
	}
	b.entries, b.held = b.entries[:0], 0
}
