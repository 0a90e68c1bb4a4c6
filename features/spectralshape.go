package features

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
)

var shapes = []string{"entropy", "edge", "median", "peak", "centre", "flatness"}

// SpectralShape are numbers of Welch's density P between Low and High (both included),
// for every channel:
//
//	entropy   -sum q log2 q / log2(bins), q = P/sum P: 0 (a line) to 1 (white)
//	edge      first frequency at which the cumulative share reaches Edge
//	median    the same for a half
//	peak      frequency of the largest bin, refined by a parabola with Refine
//	centre    sum f P / sum P
//	flatness  geometric mean over arithmetic mean
//
// Without power all are 0, marked. Cost: O(bins).
type SpectralShape struct {
	Welch     Welch
	Low, High float64  // Hz; zero = 1 to 45 Hz
	Which     []string // any of the above; empty = all
	Edge      float64  // share of the power below the edge; 0 = 0.95
	Bits      bool     // entropy in bits instead of normalised
	Refine    bool     // peak between the bins

	d      *density
	which  []int
	lo, hi int
	edge   float64
}

// Open implements Extractor.
func (x *SpectralShape) Open(p *Plan) ([]Row, error) {
	var err error
	if x.d, err = p.density(x.Welch); err != nil {
		return nil, err
	}
	low, high := x.Low, x.High
	if low == 0 && high == 0 {
		low, high = 1, min(45, p.In.Rate/2)
	}
	if x.lo, x.hi, err = binRange(x.d.s, low, high); err != nil {
		return nil, err
	}
	if x.hi-x.lo < 2 {
		return nil, fmt.Errorf("range: %v to %v Hz holds one bin; a shape needs at least two (%.4g Hz apart)", low, high, x.d.s.width())
	}
	x.d.want(x.lo, x.hi)
	if x.edge = x.Edge; x.edge == 0 {
		x.edge = 0.95
	}
	if !(x.edge > 0 && x.edge < 1) {
		return nil, fmt.Errorf("edge: %v; allowed is a share between 0 and 1, such as 0.95", x.Edge)
	}
	names := x.Which
	if len(names) == 0 {
		names = shapes
	}
	x.which = x.which[:0]
	var rows []Row
	for _, name := range names {
		i := slices.Index(shapes, name)
		if i < 0 {
			return nil, fmt.Errorf("which: %q; known are %s", name, strings.Join(shapes, ", "))
		}
		x.which = append(x.which, i)
		unit := "Hz"
		switch {
		case i == 0 && x.Bits:
			unit = "bit"
		case i == 0 || i == 5:
			unit = ""
		}
		rows = append(rows, p.channelRows("spectral-"+name, unit, "")...)
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *SpectralShape) Extract(out Out, e *Epoch) {
	x.d.of(e)
	c := e.Rows()
	for ch := range c {
		p, l := x.d.tile(ch / stream.Lanes)[x.lo-x.d.lo:x.hi-x.d.lo], ch%stream.Lanes
		var total float64
		for b := range p {
			total += p[b][l]
		}
		for i, what := range x.which {
			if !(total > 0) {
				out.Undefined(i*c + ch)
				continue
			}
			out.Set(i*c+ch, x.shape(what, p, l, total))
		}
	}
}

func (x *SpectralShape) shape(what int, p []vec, l int, total float64) float64 {
	switch what {
	case 0:
		var h float64
		for b := range p {
			if q := p[b][l] / total; q > 0 {
				h -= q * math.Log2(q)
			}
		}
		if !x.Bits {
			h /= math.Log2(float64(len(p)))
		}
		return h
	case 1, 2:
		share := 0.5
		if what == 1 {
			share = x.edge
		}
		var sum float64
		for b := range p {
			if sum += p[b][l]; sum >= share*total {
				return x.d.s.hz(x.lo + b)
			}
		}
		return x.d.s.hz(x.hi - 1)
	case 3:
		best := 0
		for b := range p {
			if p[b][l] > p[best][l] {
				best = b
			}
		}
		f := x.d.s.hz(x.lo + best)
		if x.Refine && best > 0 && best < len(p)-1 {
			a, b, c := p[best-1][l], p[best][l], p[best+1][l]
			if den := a - 2*b + c; den < 0 {
				f += 0.5 * (a - c) / den * x.d.s.width()
			}
		}
		return f
	case 4:
		var sum float64
		for b := range p {
			sum += p[b][l] * x.d.s.hz(x.lo+b)
		}
		return sum / total
	}
	var logs float64
	for b := range p {
		logs += math.Log(max(p[b][l], math.SmallestNonzeroFloat64))
	}
	n := float64(len(p))
	return math.Exp(logs/n) / (total / n)
}
