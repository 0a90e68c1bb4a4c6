//go:build !unix

package lsl

import "syscall"

func shareAddress(_, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = setReuse(fd) })
	if err != nil {
		return err
	}
	return inner
}

func writeNow(uintptr, []byte) (int, error) { return 0, nil }

const canWriteNow = false
