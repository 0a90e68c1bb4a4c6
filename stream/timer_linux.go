package stream

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// fdTimer waits on a timerfd through the runtime's poller: tens of microseconds
// late, where the runtime's own timers are half a millisecond late because its
// poller waits in whole milliseconds.
type fdTimer struct {
	ctx   context.Context
	clock Wall
	file  *os.File
	fd    uintptr
	stop  func() bool
	buf   [8]byte
	spec  itimerspec
}

type itimerspec struct{ interval, value syscall.Timespec }

func newTimer(ctx context.Context, w Wall) Timer {
	const clockMonotonic, nonblock, cloexec = 1, syscall.O_NONBLOCK, syscall.O_CLOEXEC
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, nonblock|cloexec, 0)
	if errno != 0 {
		return newSleepTimer(ctx, w)
	}
	t := &fdTimer{ctx: ctx, clock: w, fd: fd, file: os.NewFile(fd, "timerfd")}
	past := time.Unix(1, 0)
	t.stop = context.AfterFunc(ctx, func() { _ = t.file.SetReadDeadline(past) })
	return t
}

func (t *fdTimer) Wait(until Time) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	d := int64(until - t.clock.Now())
	if d <= 0 {
		return nil
	}
	t.spec.value = syscall.NsecToTimespec(d)
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, t.fd, 0, uintptr(unsafe.Pointer(&t.spec)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	if _, err := t.file.Read(t.buf[:]); err != nil {
		if e := t.ctx.Err(); e != nil {
			return e
		}
		return err
	}
	return nil
}

func (t *fdTimer) Stop() {
	t.stop()
	t.file.Close()
}
