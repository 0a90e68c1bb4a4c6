package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"neurostream/stream"
)

// A Datagram is what the wire brought. Its bytes are valid until the next one of the
// same carrier is asked for.
type Datagram struct {
	Data  []byte
	From  netip.AddrPort
	Stamp stream.Time // when it arrived, on the engine's timeline
	// Kernel: Stamp is the kernel's, made when the datagram came in. Otherwise it is
	// when we read it, later by what the process was late.
	Kernel bool
	// Dropped is how many datagrams the kernel has thrown away on this socket so far,
	// because its buffer was full; 0 where the system does not say.
	Dropped uint32
}

// slotSize has room for the longest datagram.
const slotSize = 1 << 16

// DefaultReceiveBuffer is the socket buffer that is asked for: a second of the fastest
// device (256 channels of 30 kHz).
const DefaultReceiveBuffer = 16 << 20

// ErrQuiet says that nothing arrived until the deadline.
var ErrQuiet = errors.New("udp: nothing arrived")

// Receiver reads datagrams from a socket: in batches where the system can (Linux:
// recvmmsg), with the kernel's receive stamp and drop counter. One goroutine uses it.
//
//	kernel socket buffer ─► batch of up to 64 slots of 64 KiB ─► Next, one at a time
//
// In steady state it does not allocate.
type Receiver struct {
	Endpoint Endpoint
	// Busy never waits in the kernel: it takes a whole core and spares the wake-up.
	Busy bool

	conn   *net.UDPConn
	raw    syscall.RawConn
	clock  stream.Clock
	ctx    context.Context
	stop   func() bool
	wanted int // bytes of socket buffer
	got    int
	batch  batch
	at     Datagram

	deadline time.Time // what the socket is set to
}

// Listen opens a receiver. buffer is the socket buffer to ask for in bytes, 0 =
// DefaultReceiveBuffer; clock nil = stream.Wall. It ends when ctx does.
func Listen(ctx context.Context, e Endpoint, buffer int, clock stream.Clock) (*Receiver, error) {
	if buffer == 0 {
		buffer = DefaultReceiveBuffer
	}
	if clock == nil {
		clock = stream.Wall{}
	}
	conn, err := e.listen(ctx)
	if err != nil {
		return nil, err
	}
	r := &Receiver{Endpoint: e, conn: conn, clock: clock, ctx: ctx, wanted: buffer}
	if r.raw, err = conn.SyscallConn(); err == nil {
		if r.got, err = setReceiveBuffer(r.raw, buffer); err == nil {
			err = r.batch.open(r)
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("socket of %s: %w", e, err)
	}
	past := time.Unix(1, 0)
	r.stop = context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(past) })
	return r, nil
}

// Next returns the next datagram, valid until the following call. It waits until wait
// from now on and then returns ErrQuiet; wait 0 = for ever. The wait is coarse: it may
// take half as long again.
func (r *Receiver) Next(wait time.Duration) (*Datagram, error) {
	if r.batch.next(r, &r.at) {
		return &r.at, nil
	}
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.limit(wait); err != nil {
		return nil, err
	}
	for {
		err := r.batch.fill(r)
		switch {
		case err == nil:
			if r.batch.next(r, &r.at) {
				return &r.at, nil
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if e := r.ctx.Err(); e != nil {
				return nil, e
			}
			return nil, ErrQuiet
		case transient(err): // a reply to something sent from here was refused
		default:
			if e := r.ctx.Err(); e != nil {
				return nil, e
			}
			return nil, fmt.Errorf("receiving on %s: %w", r.Endpoint, err)
		}
	}
}

// limit makes the socket's deadline lie between wait and 1.5·wait from now. Moving it
// costs more than a datagram, so it is moved rarely.
func (r *Receiver) limit(wait time.Duration) error {
	if wait <= 0 {
		if r.deadline.IsZero() {
			return nil
		}
		r.deadline = time.Time{}
	} else {
		left := time.Until(r.deadline)
		if left >= wait && left <= wait+wait/2 {
			return nil
		}
		r.deadline = time.Now().Add(wait + wait/2)
	}
	if err := r.conn.SetReadDeadline(r.deadline); err != nil {
		return err
	}
	return r.ctx.Err() // whose end may have been overwritten
}

// Buffered reports whether the next datagram is at hand without a system call.
func (r *Receiver) Buffered() bool { return r.batch.left() > 0 }

// Buffer returns the socket buffer in bytes: what the system gave, and what was asked
// for.
func (r *Receiver) Buffer() (got, wanted int) { return r.got, r.wanted }

// capped says what to do when the system gave less buffer than asked for; "" if not.
func (r *Receiver) capped() string {
	if r.got >= r.wanted {
		return ""
	}
	return fmt.Sprintf("the socket buffer is %.1f MB instead of %.1f MB, bursts may be lost (and are counted): "+receiveBufferAdvice,
		float64(r.got)/(1<<20), float64(r.wanted)/(1<<20), r.wanted)
}

// LocalAddr returns the address the socket is bound to.
func (r *Receiver) LocalAddr() netip.AddrPort {
	return r.conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// Close closes the socket.
func (r *Receiver) Close() error {
	r.stop()
	return r.conn.Close()
}

// refused reports whether an error says that nobody listens where something was sent.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
