//go:build !linux

package udp

import (
	"errors"
	"net/netip"
	"syscall"

	"neurostream/stream"
)

// batch reads one datagram at a time, stamped when it is read: this system has no
// receive stamps or drop counters that we know of.
type batch struct {
	slot  []byte
	n     int
	full  bool
	from  netip.AddrPort
	stamp stream.Time
}

func (b *batch) open(*Receiver) error {
	b.slot = make([]byte, slotSize)
	return nil
}

func (b *batch) left() int {
	if b.full {
		return 1
	}
	return 0
}

func (b *batch) fill(r *Receiver) (err error) {
	b.n, b.from, err = r.conn.ReadFromUDPAddrPort(b.slot)
	b.full = err == nil
	b.stamp = r.clock.Now()
	return err
}

func (b *batch) next(_ *Receiver, d *Datagram) bool {
	if !b.full {
		return false
	}
	b.full = false
	*d = Datagram{Data: b.slot[:b.n:slotSize], From: netip.AddrPortFrom(b.from.Addr().Unmap(), b.from.Port()), Stamp: b.stamp}
	return true
}

// transient errors of a socket tell of earlier sends, or of one datagram, and leave it
// usable (Windows reports a refused reply and a datagram that is too long).
func transient(err error) bool {
	const wsaConnReset, wsaMsgSize = syscall.Errno(10054), syscall.Errno(10040)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaConnReset) || errors.Is(err, wsaMsgSize)
}
