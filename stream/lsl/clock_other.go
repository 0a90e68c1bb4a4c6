//go:build !unix

package lsl

import "time"

var processStart = time.Now()

// monotonic counts from the start of the process: stamps then need the measured
// clock offset even between two programs on one host.
func monotonic() int64 { return int64(time.Since(processStart)) }
