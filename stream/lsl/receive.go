package lsl

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// reception decides who reads an inlet's connection: the goroutine that waits for
// its samples, as long as there is one, so that a sample wakes one thread and not
// two; and the inlet's own goroutine when nobody has come for a while, so that
// samples do not pile up in the sender, who would drop them unseen.
//
//	             there is a reader          nobody reads
//	connection ─► reader ─► queue       ─► attend ─► queue
type reception struct {
	sync.Mutex             // whoever holds it reads, decodes and follows stamps
	f          *connection // nil while there is none
	failed     chan error  // from the reader: the connection is no more
	waiting    atomic.Int32
	left       atomic.Int64 // when the last reader stopped waiting, by time.Since(began)
	epoch      time.Time
	yielded    time.Duration // the reader's
}

func (r *reception) init() {
	r.failed, r.epoch = make(chan error, 1), time.Now()
	r.left.Store(-int64(absence))
}

const (
	patience = 100 * time.Millisecond // longest wait for data; then the reader looks around
	absence  = 100 * time.Millisecond // how long readers may stay away before the inlet reads itself
	// The runtime takes the processor from a goroutine that has not been scheduled for
	// 10 ms at every blocking call, and gives it back at the price of two more threads
	// woken: as much work again as all of receiving a sample. A yield now and then
	// counts as scheduling.
	yieldEvery = 8 * time.Millisecond
)

// errIdle says that nothing arrived within patience.
var errIdle = errors.New("nothing has arrived")

// attend is the inlet's part for one connection, which it closes at the end. It
// returns why that ended.
func (in *Inlet) attend(f *connection) error {
	r := &in.reception
	defer func() {
		f.hangUp()
		r.Lock() // whoever reads has noticed
		r.f = nil
		f.close()
		r.Unlock()
	}()
	select {
	case <-r.failed: // of an earlier connection
	default:
	}
	r.Lock()
	r.f = f
	f.detach()
	_, err := in.decode(f, in.clock.Now()) // what came with the opening
	if err != nil {
		r.f = nil
	}
	r.Unlock()
	in.queue.signal()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(in.ctx, f.hangUp)
	defer stop()
	tick := time.NewTicker(max(absence, 10*in.opt.Batch))
	defer tick.Stop()
	for {
		if r.absent() && r.TryLock() {
			for r.f != nil && r.absent() {
				if err = in.receive(f); err != nil && !errors.Is(err, errIdle) {
					r.f = nil
					r.Unlock()
					return err
				}
				in.queue.signal()
			}
			r.Unlock()
			in.queue.signal() // somebody may have wanted to read meanwhile
		}
		select {
		case err := <-r.failed:
			return err
		case <-in.ctx.Done():
			return in.ctx.Err()
		case <-tick.C:
		}
	}
}

// absent reports whether no reader is there, nor was a moment ago.
func (r *reception) absent() bool {
	return r.waiting.Load() == 0 && time.Since(r.epoch)-time.Duration(r.left.Load()) > absence
}

// await returns when there may be news in the queue, or after patience, or when ctx
// ends while somebody else reads.
func (in *Inlet) await(ctx context.Context) {
	r := &in.reception
	r.waiting.Add(1)
	defer func() {
		now := time.Since(r.epoch)
		r.left.Store(int64(now))
		r.waiting.Add(-1)
		if now-r.yielded > yieldEvery {
			r.yielded = now
			runtime.Gosched()
		}
	}()
	if !r.TryLock() {
		in.awaitSignal(ctx)
		return
	}
	if r.f == nil {
		r.Unlock()
		in.awaitSignal(ctx)
		return
	}
	in.readOnce()
	r.Unlock()
}

// drain reads once more, within patience, whoever is reading now.
func (in *Inlet) drain() {
	r := &in.reception
	r.waiting.Add(1) // attend stops reading
	r.Lock()
	if r.f != nil {
		in.readOnce()
	}
	r.Unlock()
	r.waiting.Add(-1)
}

// readOnce receives for a reader, and tells attend when the connection is no more. The
// reception is held.
func (in *Inlet) readOnce() {
	r := &in.reception
	if err := in.receive(r.f); err != nil && !errors.Is(err, errIdle) {
		r.f = nil
		select {
		case r.failed <- err:
		default:
		}
	}
}

func (in *Inlet) awaitSignal(ctx context.Context) {
	select {
	case <-in.queue.wake:
	case <-ctx.Done():
	}
}

// receive reads once and decodes what it got. The reception is held.
func (in *Inlet) receive(f *connection) error {
	had := len(f.buf)
	in.brimful.Store(false)
	if err := f.receive(); err != nil {
		return err
	}
	in.brimful.Store(len(f.buf) == cap(f.buf))
	at := in.clock.Now()
	in.awake(at)
	in.mu.Lock()
	in.stats.Bytes += int64(len(f.buf) - had)
	in.lastSeen = at
	in.mu.Unlock()
	_, err := in.decode(f, at)
	return err
}

// detach makes the connection's reads block their thread, where the system can, and
// takes it from the runtime's poller, which would wake another thread at every
// arrival: half of all the work of receiving a sample.
func (f *connection) detach() {
	t, ok := f.conn.(*net.TCPConn)
	if !ok || !canBlock {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	if raw.Control(func(fd uintptr) { f.blocking.fd, err = duplicate(fd, patience) }) != nil || err != nil {
		return
	}
	f.blocking.open = true
	f.conn.Close()
}

// receive reads what arrives within patience, or returns errIdle.
func (f *connection) receive() error {
	if !f.blocking.open {
		_ = f.conn.SetReadDeadline(time.Now().Add(patience))
		err := f.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errIdle
		}
		return err
	}
	if err := f.room(); err != nil {
		return err
	}
	n, err := readBlocking(f.blocking.fd, f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	return err
}

// hangUp ends a connection that somebody may be reading from.
func (f *connection) hangUp() {
	b := &f.blocking
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		shutDown(b.fd)
	} else {
		f.conn.Close()
	}
}

// close frees a connection that nobody reads from any more.
func (f *connection) close() {
	f.hangUp()
	b := &f.blocking
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		closeBlocking(b.fd)
		b.open = false
	}
}

// blocking is a socket that the runtime's poller does not know. It is opened before
// anybody reads and closed when nobody does.
type blocking struct {
	mu   sync.Mutex
	fd   int
	open bool // false: the connection reads with the poller
}
