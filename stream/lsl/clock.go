package lsl

import (
	"math"

	"neurostream/stream"
)

// LSL stamps are seconds of the C++ steady clock: on Linux CLOCK_MONOTONIC, which
// counts from boot. The engine's timeline is the wall clock at the start of the
// process carried on by the same monotonic clock, so the two differ by a constant.
var clockShift = measureShift()

func measureShift() stream.Time {
	best, shift := stream.Time(math.MaxInt64), stream.Time(0)
	for range 5 { // the tightest of five readings
		a := stream.Wall{}.Now()
		m := monotonic()
		b := stream.Wall{}.Now()
		if b-a < best {
			best, shift = b-a, a+(b-a)/2-stream.Time(m)
		}
	}
	return shift
}

// ToStamp converts a time on the engine's timeline to seconds of this host's LSL clock.
func ToStamp(t stream.Time) float64 { return float64(t-clockShift) / 1e9 }

// FromStamp converts seconds of this host's LSL clock to the engine's timeline.
func FromStamp(s float64) stream.Time { return nanoseconds(s) + clockShift }

// nanoseconds converts seconds; what is not finite or beyond 200 years becomes 0.
func nanoseconds(s float64) stream.Time {
	if !(math.Abs(s) < 6e9) {
		return 0
	}
	return stream.Time(math.Round(s * 1e9))
}

// LocalClock returns this host's LSL clock in seconds, the same as liblsl's
// lsl_local_clock in any other process on it.
func LocalClock() float64 { return ToStamp(stream.Wall{}.Now()) }
