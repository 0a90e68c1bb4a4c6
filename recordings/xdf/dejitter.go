package xdf

import (
	"math"
	"slices"
)

// Parameters of the reference reader (pyxdf): a break in the data is an interval
// longer than both.
const (
	breakSeconds = 1.0
	breakSamples = 500
)

// Dejitter replaces the stamps of a regular stream by straight lines, as pyxdf does:
// one least-squares line through (index, stamp) per stretch without a break, a
// break being an interval of more than a second and more than 500 samples. It
// returns new stamps, the stretches, and the rate they really had (0 when that
// cannot be told). A gap shorter than a break is smeared over its whole stretch;
// DejitterGaps does not do that.
func Dejitter(stamps []float64, rate float64) (out []float64, segments []Range, effective float64) {
	limit := max(breakSeconds, breakSamples/rate)
	first := 0
	for i := 1; i < len(stamps); i++ {
		if math.Abs(stamps[i]-stamps[i-1]) > limit {
			segments = append(segments, Range{first, i - 1})
			first = i
		}
	}
	if len(stamps) > 0 {
		segments = append(segments, Range{first, len(stamps) - 1})
	}
	out, effective = straighten(stamps, segments)
	return out, segments, effective
}

// DejitterGaps is Dejitter with stretches that end at every gap of at least missing
// samples (see findGaps), so that no stamp is moved by more than its own jitter.
func DejitterGaps(stamps []float64, rate float64, missing float64) (out []float64, segments []Range, effective float64) {
	if len(stamps) == 0 {
		return nil, nil, 0
	}
	first := 0
	for _, i := range findGaps(stamps, rate, missing) {
		segments = append(segments, Range{first, i - 1})
		first = i
	}
	segments = append(segments, Range{first, len(stamps) - 1})
	out, effective = straighten(stamps, segments)
	return out, segments, effective
}

// straighten puts the stamps of each stretch on its least-squares line and returns
// the mean rate over all.
func straighten(stamps []float64, segments []Range) (out []float64, effective float64) {
	out = slices.Clone(stamps)
	count, seconds := 0, 0.0
	for _, s := range segments {
		fitLine(out[s.First : s.Last+1])
		count += s.Last - s.First
		seconds += out[s.Last] - out[s.First]
	}
	if seconds > 0 {
		effective = float64(count) / seconds
	}
	return out, effective
}

// fitLine replaces t by its least-squares line over the index.
func fitLine(t []float64) {
	n := float64(len(t))
	if n < 2 {
		return
	}
	base, sum := t[0], 0.0
	for _, v := range t {
		sum += v - base
	}
	mid, mean := (n-1)/2, sum/n
	sxy := 0.0
	for i, v := range t {
		sxy += float64((float64(i) - mid) * (v - base - mean))
	}
	slope := sxy / (n * (float64(n*n) - 1) / 12)
	for i := range t {
		t[i] = base + (mean + float64(slope*(float64(i)-mid)))
	}
}

// findGaps returns the samples before which at least missing samples are lacking,
// and those where time goes back by as much.
//
// Stamps arrive with jitter: a block that is late by a second is followed by samples
// that are in time again. Where samples are lacking, all that follow are later. So
// lateness (stamp − index·interval) is compared by its minimum over a second (at
// least ten samples) before and after, and has to change by more than jitter does.
// Cost: O(n log n).
func findGaps(stamps []float64, rate, missing float64) []int {
	n := len(stamps)
	if n < 2 || !(rate > 0) {
		return nil
	}
	span := int(min(max(10, rate), float64(n)))
	step := interval(stamps, rate, span)
	limit := missing * step
	late := make([]float64, n)
	for i, t := range stamps {
		late[i] = t - float64(float64(i)*step)
	}
	after := leastAhead(late, span)
	// A change no larger than the jitter itself proves nothing. Jitter is measured
	// forwards, where gaps do not add to it.
	jitter := make([]float64, n)
	for i := range jitter {
		jitter[i] = late[i] - after[i]
	}
	slices.Sort(jitter)
	least := max(limit, jitter[n*95/100])
	var gaps []int
	window := make([]int, 0, span) // indices of the minima of lateness over the last span samples
	for i := 1; i < n; i++ {
		for len(window) > 0 && late[window[len(window)-1]] >= late[i-1] {
			window = window[:len(window)-1]
		}
		window = append(window, i-1)
		if window[0] < i-span {
			window = window[1:]
		}
		jump, change := stamps[i]-stamps[i-1], after[i]-late[window[0]]
		if jump-step > limit && change >= least || jump < -limit && change <= -least {
			gaps = append(gaps, i)
			window = window[:0] // nothing before the gap counts
		}
	}
	return gaps
}

// interval returns the time between samples: the median over stretches of a second,
// which neither jitter nor a few gaps move; the nominal one when there are too few.
func interval(stamps []float64, rate float64, span int) float64 {
	var steps []float64
	for i := 0; i+span < len(stamps); i += span {
		steps = append(steps, (stamps[i+span]-stamps[i])/float64(span))
	}
	if len(steps) >= 5 {
		if m := median(steps); math.Abs(m*rate-1) < 0.5 {
			return m
		}
	}
	return 1 / rate
}

// leastAhead returns for each i the minimum of x[i : i+span].
func leastAhead(x []float64, span int) []float64 {
	out := make([]float64, len(x))
	var window []int
	for i := len(x) - 1; i >= 0; i-- {
		for len(window) > 0 && x[window[len(window)-1]] >= x[i] {
			window = window[:len(window)-1]
		}
		window = append(window, i)
		if window[0] >= i+span {
			window = window[1:]
		}
		out[i] = x[window[0]]
	}
	return out
}
