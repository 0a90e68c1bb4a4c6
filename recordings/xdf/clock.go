package xdf

import (
	"math"
	"slices"
)

// Range is a stretch of samples or offsets, both ends included.
type Range struct{ First, Last int }

// Parameters of the reference reader (pyxdf): what counts as a reset of the sender's
// clock, and the robust fit of its offsets.
const (
	resetTime       = 5.0  // seconds that an interval between offsets must exceed the median by
	resetTimeScore  = 5.0  // and deviations
	resetValue      = 1.0  // seconds that a change of the offset must exceed the median by
	resetValueScore = 10.0 // and deviations
	winsor          = 1e-4 // seconds: larger residuals count linearly
	fitRounds       = 1000
)

// ClockCorrect maps stamps of a sender's clock to the recorder's by the measured
// offsets, as pyxdf does: the offsets are cut where the sender's clock was reset,
// each part gets a line by a robust fit (Huber loss, ADMM), and each sample takes
// the line of the part it is nearest to. It returns new stamps and the stretches of
// samples that had one line each. Without offsets the stamps are returned as they
// are. Cost: 1000 passes over the offsets.
func ClockCorrect(stamps []float64, offsets []Offset) ([]float64, []Range) {
	if len(offsets) == 0 {
		return slices.Clone(stamps), nil
	}
	parts := clockParts(offsets)
	out := make([]float64, len(stamps))
	var segments []Range
	i := 0
	for k, p := range parts {
		end := len(stamps)
		if k+1 < len(parts) {
			here, next := offsets[p.Last].Time, offsets[parts[k+1].First].Time
			for end = i; end < len(stamps) && math.Abs(stamps[end]-here) < math.Abs(stamps[end]-next); {
				end++
			}
		}
		if end == i {
			continue
		}
		intercept, slope := fitOffsets(offsets[p.First : p.Last+1])
		for j := i; j < end; j++ {
			out[j] = stamps[j] + (intercept + float64(slope*stamps[j]))
		}
		segments = append(segments, Range{i, end - 1})
		i = end
	}
	return out, segments
}

// clockParts cuts the offsets where the clock went back, or where both time and
// value jump by more than they do elsewhere.
func clockParts(offsets []Offset) []Range {
	n := len(offsets)
	if n == 1 {
		return []Range{{0, 0}}
	}
	dt, dv := make([]float64, n-1), make([]float64, n-1)
	for i := range dt {
		dt[i] = offsets[i+1].Time - offsets[i].Time
		dv[i] = offsets[i+1].Value - offsets[i].Value
	}
	late := glitches(dt, resetTimeScore, resetTime)
	off := glitches(dv, resetValueScore, resetValue)
	var parts []Range
	first := 0
	for i := range dt {
		if dt[i] < 0 || late[i] && off[i] {
			parts = append(parts, Range{first, i})
			first = i + 1
		}
	}
	return append(parts, Range{first, n - 1})
}

// glitches marks values that are further from the median than limit, and than score
// times the median deviation.
func glitches(x []float64, score, limit float64) []bool {
	m := median(x)
	dev := make([]float64, len(x))
	for i, v := range x {
		dev[i] = math.Abs(v - m)
	}
	spread := median(dev) + 0x1p-52
	out := make([]bool, len(x))
	for i, d := range dev {
		out[i] = d/spread > score && d > limit
	}
	return out
}

func median(x []float64) float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// fitOffsets returns the line value = intercept + slope·time that minimises the
// Huber loss of the residuals, by ADMM (Boyd et al. 2011, §6.1.1) with step 1:
//
//	x ← (AᵀA)⁻¹Aᵀ(y + z − u)   z ← prox(Ax − y + u)   u ← u + Ax − y − z
//
// in units of winsor, with times counted from the earliest for conditioning.
func fitOffsets(offsets []Offset) (intercept, slope float64) {
	n := len(offsets)
	if n == 1 {
		return offsets[0].Value, 0
	}
	a, y := make([]float64, n), make([]float64, n)
	for i, o := range offsets {
		a[i], y[i] = o.Time/winsor, o.Value/winsor
	}
	least := slices.Min(a)
	sa, saa := 0.0, 0.0
	for i := range a {
		a[i] -= least
		sa += a[i]
		saa += float64(a[i] * a[i])
	}
	det := float64(float64(n)*saa) - float64(sa*sa)
	if !(det > 0) {
		return 0, 0 // all measured at one time: no line
	}
	z, u := make([]float64, n), make([]float64, n)
	x0, x1 := 0.0, 0.0
	for range fitRounds {
		b0, b1 := 0.0, 0.0
		for i := range a {
			r := y[i] + z[i] - u[i]
			b0 += r
			b1 += float64(a[i] * r)
		}
		x0 = (float64(saa*b0) - float64(sa*b1)) / det
		x1 = (float64(float64(n)*b1) - float64(sa*b0)) / det
		for i := range a {
			d := x0 + float64(x1*a[i]) - y[i] + u[i]
			shrink := 0.0
			if d != 0 {
				shrink = max(0, 1-2/math.Abs(d))
			}
			z[i] = float64(0.5*d) + float64(0.5*shrink*d)
			u[i] = d - z[i]
		}
	}
	x0 -= float64(x1 * least)
	return x0 * winsor, x1
}
