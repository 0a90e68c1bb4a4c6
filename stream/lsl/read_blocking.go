//go:build linux || darwin

package lsl

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const canBlock = true

// makeBlocking lets reads of a socket block, but no longer than d.
func makeBlocking(fd uintptr, d time.Duration) error {
	tv := unix.NsecToTimeval(int64(d))
	if err := unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return err
	}
	return unix.SetNonblock(int(fd), false)
}

// readBlocking reads from such a socket; errIdle when nothing came in time.
func readBlocking(fd uintptr, b []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), b)
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
