package udp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"neurostream/stream"
)

const batchSize = 64

// batch reads up to 64 messages with one system call (recvmmsg), of a UDP or of a
// packet socket.
type batch struct {
	messages []message
	names    []unix.RawSockaddrAny
	controls [][controlSize]byte
	slots    []byte // batchSize slots of slotBytes
	vectors  []unix.Iovec
	slot     int // bytes of a slot

	n, at   int // messages read, next to hand out
	errno   syscall.Errno
	read    func(fd uintptr) bool // made once, so that reading allocates nothing
	wait    bool
	shift   stream.Time // engine's timeline less the kernel's clock at the last reading
	now     stream.Time
	dropped uint32
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32
}

// controlSize holds a stamp, the drop counter and the auxiliary data of packet
// sockets.
const controlSize = 128

func (b *batch) open(r *Receiver) error {
	b.alloc(slotSize)
	return control(r.raw, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	})
}

func (b *batch) alloc(slot int) {
	b.slot = slot
	b.slots = make([]byte, batchSize*slot)
	b.messages = make([]message, batchSize)
	b.names = make([]unix.RawSockaddrAny, batchSize)
	b.controls = make([][controlSize]byte, batchSize)
	b.vectors = make([]unix.Iovec, batchSize)
	for i := range b.messages {
		b.vectors[i].Base = &b.slots[i*slot]
		b.vectors[i].SetLen(slot)
		h := &b.messages[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.controls[i][0]
	}
	b.rearm(batchSize)
	b.read = func(fd uintptr) bool {
		for {
			n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.messages[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				b.n, b.errno = 0, 0
				return !b.wait
			}
			b.errno = errno
			if errno != 0 {
				n = 0
			}
			b.n = int(n)
			return true
		}
	}
}

// rearm restores what the kernel overwrote in the first n headers.
func (b *batch) rearm(n int) {
	for i := range n {
		h := &b.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(b.names[i]))
		h.SetControllen(controlSize)
		h.Flags = 0
	}
}

func (b *batch) left() int { return b.n - b.at }

// fill waits for at least one message; b.n says how many came.
func (b *batch) fill(r *Receiver) error {
	for {
		if err := b.take(r.raw, !r.Busy); err != nil {
			return err
		}
		if b.n > 0 || !r.Busy {
			break
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if !r.deadline.IsZero() && time.Until(r.deadline) < 0 {
			return os.ErrDeadlineExceeded
		}
		runtime.Gosched()
	}
	b.now = r.clock.Now()
	b.shift = b.now - stream.Time(time.Now().UnixNano())
	return nil
}

func (b *batch) take(raw syscall.RawConn, wait bool) error {
	b.rearm(b.n)
	b.n, b.at, b.wait = 0, 0, wait
	if err := raw.Read(b.read); err != nil {
		return err
	}
	if b.errno != 0 {
		return b.errno
	}
	return nil
}

// next takes the next message of the batch apart.
func (b *batch) next(_ *Receiver, d *Datagram) bool {
	if b.at >= b.n {
		return false
	}
	m := &b.messages[b.at]
	o := b.at * b.slot
	d.Data = b.slots[o : o+int(m.n) : o+b.slot]
	d.From = addressOf(&b.names[b.at])
	d.Stamp, d.Kernel = b.now, false
	c := b.controls[b.at][:min(int(m.header.Controllen), controlSize)]
	if ns, ok := kernelStamp(c); ok {
		d.Stamp, d.Kernel = min(stream.Time(ns)+b.shift, b.now), true
	}
	if n, ok := droppedOf(c); ok {
		b.dropped = n
	}
	d.Dropped = b.dropped
	b.at++
	return true
}

// kernelStamp finds the kernel's receive stamp: nanoseconds since 1970.
func kernelStamp(c []byte) (int64, bool) {
	for len(c) >= unix.SizeofCmsghdr {
		h, body, rest := controlMessage(c)
		if h == nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS {
			switch len(body) {
			case 16:
				return int64(binary.NativeEndian.Uint64(body))*1e9 + int64(binary.NativeEndian.Uint64(body[8:])), true
			case 8:
				return int64(binary.NativeEndian.Uint32(body))*1e9 + int64(binary.NativeEndian.Uint32(body[4:])), true
			}
		}
		c = rest
	}
	return 0, false
}

// droppedOf finds the socket's drop counter. The kernel tells it only when it is not
// zero.
func droppedOf(c []byte) (uint32, bool) {
	for len(c) >= unix.SizeofCmsghdr {
		h, body, rest := controlMessage(c)
		if h == nil {
			break
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(body) >= 4 {
			return binary.NativeEndian.Uint32(body), true
		}
		c = rest
	}
	return 0, false
}

// controlMessage splits the first control message off; nil when there is none.
func controlMessage(c []byte) (h *unix.Cmsghdr, body, rest []byte) {
	h = (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
	n := int(h.Len)
	if n < unix.SizeofCmsghdr || n > len(c) {
		return nil, nil, nil
	}
	body = c[unix.CmsgLen(0):n]
	if next := unix.CmsgSpace(n - unix.CmsgLen(0)); next < len(c) {
		rest = c[next:]
	}
	return h, body, rest
}

func addressOf(name *unix.RawSockaddrAny) netip.AddrPort {
	switch name.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), bigPort(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), bigPort(a.Port))
	}
	return netip.AddrPort{}
}

// bigPort turns a port as it stands in memory, big-endian, into a number.
func bigPort(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

// transient errors of a socket tell of earlier sends and leave it usable.
func transient(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH)
}
