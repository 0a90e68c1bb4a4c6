//go:build !linux && !darwin

package lsl

import "time"

const canBlock = false

func makeBlocking(uintptr, time.Duration) error { return nil }

func readBlocking(uintptr, []byte) (int, error) { return 0, errIdle }
