//go:build !linux

package main

import (
	"context"
	"errors"
)

func lslRole() bool { return false }

func measureLSL(context.Context, *bench) (string, error) {
	return "", errors.New("this section paces with clock_nanosleep and needs Linux")
}
