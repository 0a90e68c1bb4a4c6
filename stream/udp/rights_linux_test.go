package udp

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"
)

// withoutRights runs f on a thread that has put its rights down, and throws the thread
// away.
func withoutRights(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&head, &none[0]); err != nil {
			done <- errors.ErrUnsupported
			return
		}
		done <- f()
	}()
	return <-done
}
