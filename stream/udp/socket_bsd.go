//go:build unix && !linux

package udp

import "errors"

const receiveBufferUnit = 1

func forceReceiveBuffer(int, int) error { return errors.ErrUnsupported }

const receiveBufferAdvice = "raise it with: sysctl -w kern.ipc.maxsockbuf=%d"
