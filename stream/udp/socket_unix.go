//go:build unix

package udp

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// groupBinding returns what a socket of a group binds to: the group itself, so that
// it hears nothing else that comes to the port.
func groupBinding(a netip.AddrPort) string { return a.String() }

// shareAddress lets several programs listen to one group.
func shareAddress(_, _ string, c syscall.RawConn) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
}

// allowBroadcast lets a socket send to a broadcast address.
func allowBroadcast(_, _ string, c syscall.RawConn) error {
	return control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) })
}

func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// setReceiveBuffer asks for n bytes of socket buffer and returns what the system
// gave. Beyond its cap only a privileged process gets more (Linux).
func setReceiveBuffer(c syscall.RawConn, n int) (got int, err error) {
	err = control(c, func(fd int) error {
		if forceReceiveBuffer(fd, n) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n); err != nil {
				for m := n / 2; m >= 1<<16 && err != nil; m /= 2 { // the BSDs refuse instead of capping
					err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, m)
				}
			}
		}
		var err error
		got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		got /= receiveBufferUnit
		return err
	})
	return got, err
}
