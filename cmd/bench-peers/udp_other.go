//go:build !linux

package main

import (
	"context"
	"errors"
)

func udpRole() bool { return false }

func measureUDP(context.Context, *bench) (string, error) {
	return "", errors.New("this section sends with sendmmsg and needs Linux")
}
