package features

import (
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
)

// Aperiodic fits a line to the log spectrum of every channel,
//
//	log10 P(f) = offset - exponent log10 f,  Low <= f <= High, outside Exclude,
//
// two rows a channel: "aperiodic-offset C3" (log10 of the density at 1 Hz) and
// "aperiodic-exponent C3". Method "line" is least squares over all bins; "robust" fits,
// flattens, keeps the bins that are not above the line (at most the 2.5th percentile of
// the flattened, clipped spectrum) and fits those again, the first two steps of
// Donoghue et al. (2020). With Peak, two more rows: frequency and height (log10) of the
// largest bin above the line.
//
// A spectrum with an empty bin is not fitted: 0, marked. Cost: O(bins) logarithms;
// Every spares them.
type Aperiodic struct {
	Welch     Welch
	Low, High float64 // Hz; zero = 2 to 40 Hz
	Exclude   []Band  // bins with Low <= f <= High are left out, such as mains
	Method    string  // "robust" (default) or "line"
	Peak      bool    // also the largest peak above the line
	Every     int     // windows from one computation to the next; 0 = 1

	d      *density
	lo, hi int
	x      []float64 // log10 f of bins lo..hi-1
	use    []bool
	y      []float64
	clip   []float64
	keep   []bool
}

// Interval implements Slow.
func (x *Aperiodic) Interval() int { return interval(x.Every) }

// interval returns the setting Every as a number of windows.
func interval(every int) int {
	if every == 0 {
		return 1
	}
	return every
}

// Open implements Extractor.
func (x *Aperiodic) Open(p *Plan) ([]Row, error) {
	var err error
	if x.d, err = p.density(x.Welch); err != nil {
		return nil, err
	}
	low, high := x.Low, x.High
	if low == 0 && high == 0 {
		low, high = 2, min(40, p.In.Rate/2)
	}
	if !(low > 0) {
		return nil, fmt.Errorf("range: from %v Hz; a line in log frequency begins above 0", low)
	}
	if x.lo, x.hi, err = binRange(x.d.s, low, high); err != nil {
		return nil, err
	}
	switch x.Method {
	case "", "robust", "line":
	default:
		return nil, fmt.Errorf("method: %q; known are robust and line", x.Method)
	}
	n, used := x.hi-x.lo, 0
	x.x, x.y, x.clip = make([]float64, n), make([]float64, n), make([]float64, n)
	x.use, x.keep = make([]bool, n), make([]bool, n)
	for b := range n {
		f := x.d.s.hz(x.lo + b)
		x.x[b], x.use[b] = math.Log10(f), true
		for _, ex := range x.Exclude {
			if f >= ex.Low && f <= ex.High {
				x.use[b] = false
			}
		}
		if x.use[b] {
			used++
		}
	}
	if used < 3 {
		return nil, fmt.Errorf("range: %v to %v Hz leaves %d bins for the fit; it needs at least 3 (bins are %.4g Hz apart)", low, high, used, x.d.s.width())
	}
	x.d.want(x.lo, x.hi)
	rows := p.channelRows("aperiodic-offset", "log10 "+p.squared()+"/Hz", "")
	rows = append(rows, p.channelRows("aperiodic-exponent", "", "")...)
	if x.Peak {
		rows = append(rows, p.channelRows("aperiodic-peak", "Hz", "")...)
		rows = append(rows, p.channelRows("aperiodic-peak-height", "log10", "")...)
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Aperiodic) Extract(out Out, e *Epoch) {
	x.d.of(e)
	c := e.Rows()
	for ch := range c {
		p, l := x.d.tile(ch / stream.Lanes)[x.lo-x.d.lo:], ch%stream.Lanes
		empty := false
		for b := range x.y {
			v := p[b][l]
			empty = empty || x.use[b] && !(v > 0)
			x.y[b] = math.Log10(max(v, floorPower))
		}
		if empty {
			for r := ch; r < len(out.Values); r += c {
				out.Undefined(r)
			}
			continue
		}
		offset, slope := fitLine(x.x, x.y, x.use)
		if x.Method != "line" {
			offset, slope = x.refit(offset, slope)
		}
		out.Set(ch, offset)
		out.Set(c+ch, -slope)
		if x.Peak {
			best, height := 0, math.Inf(-1)
			for b := range x.y {
				if h := x.y[b] - offset - slope*x.x[b]; x.use[b] && h > height {
					best, height = b, h
				}
			}
			out.Set(2*c+ch, x.d.s.hz(x.lo+best))
			out.Set(3*c+ch, height)
		}
	}
}

// refit fits the bins at or below the 2.5th percentile of the flattened spectrum whose
// negative values were clipped to zero: in practice those on or under the line.
func (x *Aperiodic) refit(offset, slope float64) (float64, float64) {
	clip := x.clip[:0]
	for b := range x.y {
		if x.use[b] {
			clip = append(clip, max(0, x.y[b]-offset-slope*x.x[b]))
		}
	}
	slices.Sort(clip)
	at := 0.025 * float64(len(clip)-1)
	i := int(at)
	limit := clip[i]
	if i+1 < len(clip) {
		limit += (at - float64(i)) * (clip[i+1] - clip[i])
	}
	kept := 0
	for b := range x.y {
		x.keep[b] = x.use[b] && max(0, x.y[b]-offset-slope*x.x[b]) <= limit
		if x.keep[b] {
			kept++
		}
	}
	if kept < 3 {
		return offset, slope
	}
	return fitLine(x.x, x.y, x.keep)
}

// fitLine returns offset and slope of the least-squares line through the used points.
func fitLine(x, y []float64, use []bool) (offset, slope float64) {
	var n, mx, my float64
	for i := range x {
		if use[i] {
			n, mx, my = n+1, mx+x[i], my+y[i]
		}
	}
	mx, my = mx/n, my/n
	var xx, xy float64
	for i := range x {
		if use[i] {
			xx += (x[i] - mx) * (x[i] - mx)
			xy += (x[i] - mx) * (y[i] - my)
		}
	}
	slope = xy / xx
	return my - slope*mx, slope
}
