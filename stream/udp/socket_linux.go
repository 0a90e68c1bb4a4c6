package udp

import "golang.org/x/sys/unix"

// receiveBufferUnit: Linux reports twice what was asked for, its own overhead
// included.
const receiveBufferUnit = 2

func forceReceiveBuffer(fd, n int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, n)
}

// receiveBufferAdvice says how to lift the cap.
const receiveBufferAdvice = "raise it with: sysctl -w net.core.rmem_max=%d"
