//go:build !linux

package udp

import "context"

// MaxCapturePorts is how many ports one filter holds.
const MaxCapturePorts = 48

func (c *Capture) run(context.Context) error { return ErrNoCapture }

func watchAll(context.Context, *overheard) bool { return false }
