//go:build !unix

package udp

import (
	"net/netip"
	"strconv"
	"syscall"
)

// groupBinding returns what a socket of a group binds to: here a group is no address
// to bind to, so the port of every interface.
func groupBinding(a netip.AddrPort) string { return ":" + strconv.Itoa(int(a.Port())) }

func shareAddress(_, _ string, c syscall.RawConn) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = setReuse(fd) }); err != nil {
		return err
	}
	return inner
}

func allowBroadcast(_, _ string, c syscall.RawConn) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = setBroadcast(fd) }); err != nil {
		return err
	}
	return inner
}

const receiveBufferAdvice = "the system's limit is %d bytes at least"

// setReceiveBuffer asks for n bytes of socket buffer; the system does not say what it
// gave.
func setReceiveBuffer(c syscall.RawConn, n int) (got int, err error) {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = setBuffer(fd, n) }); err != nil {
		return 0, err
	}
	return n, inner
}
