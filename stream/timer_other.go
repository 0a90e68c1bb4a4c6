//go:build !linux

package stream

import "context"

func newTimer(ctx context.Context, w Wall) Timer { return newSleepTimer(ctx, w) }
