package lsl

import (
	"net"
	"sync"
	"syscall"
	"time"

	"neurostream/stream"
)

// sampleLog holds the newest samples in one wire form: a ring of bytes and a ring
// of the places where samples end. The outlet's mutex guards it.
//
//	bytes   ··│s17 s18 s19│s20 ···      tail = 17, head = 20
//	            ▲      ▲    ▲
//	       consumer  consumer
//
// It grows while a consumer needs the oldest sample, up to its limit; then the
// oldest goes.
type sampleLog struct {
	wire      wire
	maxBytes  int
	buf       []byte   // length is a power of two
	ends      []uint64 // ends[i mod len]: byte count up to and including sample i
	head      int64    // number of samples appended
	tail      int64    // oldest sample held
	start     uint64   // byte count before the tail
	end       uint64   // byte count of all
	scratch   []byte
	consumers []*consumer
}

func newSampleLog(w wire, maxBytes int) *sampleLog {
	return &sampleLog{wire: w, maxBytes: maxBytes, buf: make([]byte, 1<<14), ends: make([]uint64, 1<<8)}
}

func (l *sampleLog) append(stamp float64, packed []byte) {
	l.scratch = l.wire.append(l.scratch[:0], stamp, false, packed)
	l.room(len(l.scratch))
	if len(l.scratch) > len(l.buf) {
		// Larger than the log may be: it takes the place of everything.
		l.resize(len(l.scratch))
	}
	l.put(l.end, l.scratch)
	l.end += uint64(len(l.scratch))
	l.ends[l.head&int64(len(l.ends)-1)] = l.end
	l.head++
}

func (l *sampleLog) put(at uint64, b []byte) {
	o := int(at & uint64(len(l.buf)-1))
	n := copy(l.buf[o:], b)
	copy(l.buf, b[n:])
}

// room makes space for n bytes and one sample: first by forgetting what every
// consumer has, then by growing, then by forgetting the oldest.
func (l *sampleLog) room(n int) {
	full := func() bool {
		return l.head-l.tail >= int64(len(l.ends)) || l.end-l.start+uint64(n) > uint64(len(l.buf))
	}
	if !full() {
		return
	}
	needed := l.head
	for _, c := range l.consumers {
		needed = min(needed, max(c.next, l.head-int64(c.limit)))
	}
	for l.tail < needed && full() {
		l.forget()
	}
	if !full() {
		return
	}
	if l.head-l.tail >= int64(len(l.ends)) && len(l.ends)*8 < l.maxBytes {
		ends := make([]uint64, 2*len(l.ends))
		for i := l.tail; i < l.head; i++ {
			ends[i&int64(len(ends)-1)] = l.ends[i&int64(len(l.ends)-1)]
		}
		l.ends = ends
	}
	for l.end-l.start+uint64(n) > uint64(len(l.buf)) && 2*len(l.buf) <= l.maxBytes {
		l.resize(2 * len(l.buf))
	}
	for l.tail < l.head && full() {
		l.forget()
	}
}

func (l *sampleLog) forget() {
	l.start = l.ends[l.tail&int64(len(l.ends)-1)]
	l.tail++
}

// resize makes the ring at least n bytes long.
func (l *sampleLog) resize(n int) {
	size := len(l.buf)
	for size < n {
		size *= 2
	}
	old := l.buf
	l.buf = make([]byte, size)
	for at := l.start; at < l.end; {
		o := int(at & uint64(len(old)-1))
		k := int(min(uint64(len(old)-o), l.end-at))
		l.put(at, old[o:o+k])
		at += uint64(k)
	}
}

// before returns the byte count before sample i.
func (l *sampleLog) before(i int64) uint64 {
	if i == l.tail {
		return l.start
	}
	return l.ends[(i-1)&int64(len(l.ends)-1)]
}

// writeSize is how many bytes a write takes at most, unless one sample is larger.
const writeSize = 1 << 18

// take moves the samples that c has not got to the end of dst.
func (l *sampleLog) take(c *consumer, dst []byte) []byte {
	if oldest := max(l.tail, l.head-int64(c.limit)); c.next < oldest {
		c.dropped += oldest - c.next
		c.next = oldest
	}
	if c.next == l.head {
		return dst
	}
	from, to, last := l.before(c.next), l.end, l.head
	for low := c.next + 1; to-from > writeSize && low < last; { // halve until it fits
		last = low + (last-low)/2
		to = l.before(last)
	}
	for at := from; at < to; {
		o := int(at & uint64(len(l.buf)-1))
		k := int(min(uint64(len(l.buf)-o), to-at))
		dst = append(dst, l.buf[o:o+k]...)
		at += uint64(k)
	}
	c.sent += last - c.next
	c.next = last
	return dst
}

// consumer is one connected inlet.
type consumer struct {
	outlet *Outlet
	conn   *net.TCPConn
	raw    syscall.RawConn
	log    *sampleLog
	host   string
	limit  int // most samples it may be behind
	since  stream.Time
	wake   chan struct{} // token for the flusher

	// Guarded by the outlet's mutex.
	next          int64 // next sample it gets
	sent, dropped int64
	gone          bool

	// Guarded by writing: whoever holds it may write to the connection.
	writing sync.Mutex
	out     []byte // taken from the log, not yet written
	last    stream.Time
	writeFD func(fd uintptr) bool
	wrote   int
	failed  error
}

const (
	// maxInline is the number of consumers that a push writes to by itself; with
	// more, each consumer's own goroutine does it in parallel.
	maxInline = 4
	// inlinePause is how soon after a write the next one is left to the consumer's
	// goroutine, which then sends everything that has come meanwhile in one go.
	inlinePause = stream.Time(100 * time.Microsecond)
)

func (c *consumer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// flush is called after every push. At a leisurely pace it writes at once, without
// waiting for room in the socket; otherwise it leaves the writing to the flusher.
func (c *consumer) flush(now stream.Time, inline bool) {
	if !canWriteNow || !inline || !c.writing.TryLock() {
		c.signal()
		return
	}
	if len(c.out) > 0 || now-c.last < inlinePause {
		c.writing.Unlock()
		c.signal()
		return
	}
	c.last = now
	c.fill()
	c.writeOnce()
	left := len(c.out)
	c.writing.Unlock()
	if left > 0 {
		c.signal()
	}
}

// fill takes what is new from the log.
func (c *consumer) fill() {
	c.outlet.mu.Lock()
	c.out = c.log.take(c, c.out)
	c.outlet.mu.Unlock()
}

func (c *consumer) tryWrite(fd uintptr) bool {
	c.wrote, c.failed = writeNow(fd, c.out)
	return true
}

// writeOnce writes what the socket takes without waiting.
func (c *consumer) writeOnce() {
	if len(c.out) == 0 || c.failed != nil {
		return
	}
	if err := c.raw.Write(c.writeFD); err != nil {
		c.failed = err
	}
	if c.failed != nil {
		c.conn.Close() // the reader of the connection unregisters it
		return
	}
	c.out = c.out[:copy(c.out, c.out[c.wrote:])]
}

// flusher writes whatever flush left, waiting for room as long as it takes.
func (c *consumer) flusher() {
	for range c.wake {
		c.outlet.mu.Lock()
		gone := c.gone
		c.outlet.mu.Unlock()
		if gone {
			return
		}
		c.writing.Lock()
		for c.failed == nil {
			c.fill()
			if len(c.out) == 0 {
				break
			}
			if _, err := c.conn.Write(c.out); err != nil {
				c.failed = err
				c.conn.Close()
			}
			c.out = c.out[:0]
		}
		c.last = c.outlet.clock.Now()
		c.writing.Unlock()
	}
}

// drain sends what is queued; the caller has set a deadline.
func (c *consumer) drain() {
	c.writing.Lock()
	defer c.writing.Unlock()
	for c.failed == nil {
		c.fill()
		if len(c.out) == 0 {
			return
		}
		_, c.failed = c.conn.Write(c.out)
		c.out = c.out[:0]
	}
}

// Consumer is what an outlet knows of a connected inlet.
type Consumer struct {
	Addr      string
	Host      string // as it says itself
	Protocol  int    // 100 or 110
	Since     stream.Time
	Sent      int64 // samples handed to the connection
	Queued    int64 // samples waiting
	Dropped   int64 // samples lost because it was too slow
	MaxBuffer int   // samples it may be behind
}

// Consumers returns the connected inlets.
func (o *Outlet) Consumers() []Consumer {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := []Consumer{}
	for _, c := range *o.consumers.Load() {
		queued := c.log.head - c.next
		late := max(0, queued-int64(c.limit)) // will be dropped when it is next served
		out = append(out, Consumer{
			Addr: c.conn.RemoteAddr().String(), Host: c.host, Protocol: c.log.wire.version, Since: c.since,
			Sent: c.sent, Queued: queued - late, Dropped: c.dropped + late, MaxBuffer: c.limit,
		})
	}
	return out
}
