//go:build linux || darwin

package lsl

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const canBlock = true

// duplicate returns another descriptor of a socket, whose reads block, but no longer
// than d.
func duplicate(fd uintptr, d time.Duration) (int, error) {
	n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	tv := unix.NsecToTimeval(int64(d))
	if err = unix.SetsockoptTimeval(n, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err == nil {
		err = unix.SetNonblock(n, false)
	}
	if err != nil {
		unix.Close(n)
	}
	return n, err
}

// readBlocking reads from such a socket; errIdle when nothing came in time.
func readBlocking(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, errIdle
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func shutDown(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }

func closeBlocking(fd int) { unix.Close(fd) }
