package lsl

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
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
}

func (r *reception) init() {
	r.failed, r.epoch = make(chan error, 1), time.Now()
	r.left.Store(-int64(absence))
}

const (
	patience = 100 * time.Millisecond // longest wait for data; then the reader looks around
	absence  = 100 * time.Millisecond // how long readers may stay away before the inlet reads itself
)

// errIdle says that nothing arrived within patience.
var errIdle = errors.New("nothing has arrived")

// attend is the inlet's part for one connection. It returns why that ended.
func (in *Inlet) attend(f *connection) error {
	r := &in.reception
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
	stop := context.AfterFunc(in.ctx, func() { hangUp(f.conn) })
	defer stop()
	tick := time.NewTicker(absence)
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

// await returns when there may be news in the queue, or after patience. ctx may be
// nil.
func (in *Inlet) await(ctx context.Context) {
	r := &in.reception
	r.waiting.Add(1)
	defer func() {
		r.left.Store(int64(time.Since(r.epoch)))
		r.waiting.Add(-1)
	}()
	if !r.TryLock() {
		in.awaitSignal(ctx)
		return
	}
	f := r.f
	if f == nil {
		r.Unlock()
		in.awaitSignal(ctx)
		return
	}
	err := in.receive(f)
	if err != nil && !errors.Is(err, errIdle) {
		r.f = nil
		select {
		case r.failed <- err:
		default:
		}
	}
	r.Unlock()
}

func (in *Inlet) awaitSignal(ctx context.Context) {
	if ctx == nil {
		<-in.queue.wake
		return
	}
	select {
	case <-in.queue.wake:
	case <-ctx.Done():
	}
}

// receive reads once and decodes what it got. The reception is held.
func (in *Inlet) receive(f *connection) error {
	had := len(f.buf)
	if err := f.receive(); err != nil {
		return err
	}
	at := in.clock.Now()
	in.awake(at)
	in.mu.Lock()
	in.stats.Bytes += int64(len(f.buf) - had)
	in.lastSeen = at
	in.mu.Unlock()
	_, err := in.decode(f, at)
	return err
}

// detach makes the connection's reads block their thread, where the system can: that
// is cheaper than waiting with the runtime's poller, by about half of all the work
// of receiving a sample.
func (f *connection) detach() {
	t, ok := f.conn.(*net.TCPConn)
	if !ok || !canBlock {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	if err := raw.Control(func(fd uintptr) { ok = makeBlocking(fd, patience) == nil }); err != nil || !ok {
		return
	}
	f.raw = raw
	f.readFD = func(fd uintptr) bool {
		f.got, f.failed = readBlocking(fd, f.buf[len(f.buf):cap(f.buf)])
		return true
	}
}

// receive reads what arrives within patience, or returns errIdle.
func (f *connection) receive() error {
	if f.raw == nil {
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
	if err := f.raw.Read(f.readFD); err != nil {
		return err
	}
	f.buf = f.buf[:len(f.buf)+f.got]
	return f.failed
}

// hangUp closes a connection that somebody may be reading from.
func hangUp(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.CloseRead() // ends a blocking read
	}
	c.Close()
}

// blocking holds what a connection needs to read without the runtime's poller.
type blocking struct {
	raw    syscall.RawConn // nil: it reads with the poller
	readFD func(fd uintptr) bool
	got    int
	failed error
}
