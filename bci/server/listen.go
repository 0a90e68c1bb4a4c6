package server

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// ListenError says why a server cannot have its address, and what to do.
type ListenError struct {
	Addr  string
	InUse bool // somebody else listens there
	Err   error
}

// Error returns one line with a way on.
func (e *ListenError) Error() string {
	if e.InUse {
		return fmt.Sprintf("address %s is already in use, perhaps by another bci; choose another port, e.g. %s, or port 0 for any free one", e.Addr, nextPort(e.Addr))
	}
	switch {
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("address %s needs privileges this process does not have; choose a port above 1023, e.g. %s", e.Addr, DefaultAddr)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("address %s does not belong to this machine; use %s, or 0.0.0.0 for every interface", e.Addr, DefaultAddr)
	}
	return fmt.Sprintf("address %s: %v; an address is host:port, e.g. %s", e.Addr, e.Err, DefaultAddr)
}

// Unwrap returns the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

func listenError(addr string, err error) error {
	e := &ListenError{Addr: addr, InUse: errors.Is(err, syscall.EADDRINUSE), Err: err}
	var op *net.OpError
	if errors.As(err, &op) {
		e.Err = op.Err // without "listen tcp" and the address, which Error repeats
	}
	var wrong *net.AddrError
	if errors.As(err, &wrong) {
		e.Err = errors.New(wrong.Err)
	}
	return e
}

func nextPort(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	n, errPort := strconv.Atoi(port)
	if err != nil || errPort != nil || n >= 65535 {
		return "127.0.0.1:8081"
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}
