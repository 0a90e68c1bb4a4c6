//go:build !linux && !darwin

package lsl

import "time"

const canBlock = false

func duplicate(uintptr, time.Duration) (int, error) { return 0, errIdle }

func readBlocking(int, []byte) (int, error) { return 0, errIdle }

func shutDown(int) {}

func closeBlocking(int) {}
