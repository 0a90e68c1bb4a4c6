package features

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
)

// Hjorth are the descriptors of Hjorth (1970), three rows a channel, from population
// variances and plain first differences:
//
//	activity var x   mobility sqrt(var dx / var x)   complexity mobility(dx)/mobility(x)
//
// Without variance mobility and complexity are 0, marked. Cost: O(length).
type Hjorth struct{ m *moments }

// Open implements Extractor.
func (x *Hjorth) Open(p *Plan) ([]Row, error) {
	if p.Length < 3 {
		return nil, fmt.Errorf("length: Hjorth's complexity needs at least 3 samples (%v s)", 3/p.In.Rate)
	}
	x.m = p.moments()
	rows := p.channelRows("activity", p.squared(), "")
	rows = append(rows, p.channelRows("mobility", "", "")...)
	return append(rows, p.channelRows("complexity", "", "")...), nil
}

// Extract implements Extractor.
func (x *Hjorth) Extract(out Out, e *Epoch) {
	x.m.of(e)
	c := e.Rows()
	n1, n2 := float64(e.Len-1), float64(e.Len-2)
	for k := range e.Tiles() {
		t := e.Tile(k)
		var mean1, mean2, var1, var2 vec
		for l := range mean1 { // differences telescope
			mean1[l] = (t[len(t)-1][l] - t[0][l]) / n1
			mean2[l] = (t[len(t)-1][l] - t[len(t)-2][l] - t[1][l] + t[0][l]) / n2
		}
		differences(t, &mean1, &mean2, &var1, &var2)
		for l := range min(stream.Lanes, c-k*stream.Lanes) {
			ch := k*stream.Lanes + l
			v0, v1, v2 := x.m.variance[k][l], var1[l]/n1, var2[l]/n2
			out.Set(ch, v0)
			if !(v0 > 0) {
				out.Undefined(c + ch)
				out.Undefined(2*c + ch)
				continue
			}
			mobility := math.Sqrt(v1 / v0)
			out.Set(c+ch, mobility)
			if !(v1 > 0) {
				out.Undefined(2*c + ch)
				continue
			}
			out.Set(2*c+ch, math.Sqrt(v2/v1)/mobility)
		}
	}
}

// differences sums the squared deviations of first and second differences.
func differences(t []vec, mean1, mean2, var1, var2 *vec) {
	for l := range var1 {
		m1, m2 := mean1[l], mean2[l]
		a := t[1][l]
		d := a - t[0][l]
		s1, s2 := float64((d-m1)*(d-m1)), 0.0
		for i := 2; i < len(t); i++ {
			b := t[i][l]
			next := b - a
			u, w := next-m1, next-d-m2
			s1 += float64(u * u)
			s2 += float64(w * w)
			a, d = b, next
		}
		var1[l], var2[l] = s1, s2
	}
}

// statistics are what TimeStats knows, in the order of its rows.
var statistics = []string{"mean", "variance", "rms", "peak-to-peak", "line-length", "zero-crossings", "skewness", "kurtosis"}

// TimeStats are simple numbers of the window of every channel:
//
//	mean, variance (divided by n), rms, peak-to-peak
//	line-length     sum |x[n] - x[n-1]|
//	zero-crossings  sign changes of x - mean
//	skewness, kurtosis (excess)  from central moments, divided by n
//
// Without variance the last two are 0, marked. Cost: O(length).
type TimeStats struct {
	Which []string // any of the above; empty = all

	m     *moments
	which []int
}

// Open implements Extractor.
func (x *TimeStats) Open(p *Plan) ([]Row, error) {
	x.m, x.which = p.moments(), nil
	names := x.Which
	if len(names) == 0 {
		names = statistics
	}
	units := map[string]string{"mean": p.unit(), "rms": p.unit(), "peak-to-peak": p.unit(), "line-length": p.unit(), "variance": p.squared(), "zero-crossings": "count"}
	var rows []Row
	for _, name := range names {
		i := slices.Index(statistics, name)
		if i < 0 {
			return nil, fmt.Errorf("which: %q; known are %s", name, strings.Join(statistics, ", "))
		}
		x.which = append(x.which, i)
		rows = append(rows, p.channelRows(name, units[name], "")...)
	}
	if len(rows) == 0 {
		return nil, errors.New("which: nothing to compute")
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *TimeStats) Extract(out Out, e *Epoch) {
	x.m.of(e)
	c := e.Rows()
	for k := range e.Tiles() {
		s := measure(e.Tile(k), &x.m.mean[k])
		for l := range min(stream.Lanes, c-k*stream.Lanes) {
			ch := k*stream.Lanes + l
			mean, variance := x.m.mean[k][l], x.m.variance[k][l]
			for i, what := range x.which {
				row := i*c + ch
				switch what {
				case 0:
					out.Set(row, mean)
				case 1:
					out.Set(row, variance)
				case 2:
					out.Set(row, math.Sqrt(variance+mean*mean))
				case 3:
					out.Set(row, s.high[l]-s.low[l])
				case 4:
					out.Set(row, s.line[l])
				case 5:
					out.Set(row, s.crossings[l])
				default:
					if !(variance > 0) {
						out.Undefined(row)
						continue
					}
					n := float64(e.Len)
					if what == 6 {
						out.Set(row, s.cubes[l]/n/(variance*math.Sqrt(variance)))
					} else {
						out.Set(row, s.fourths[l]/n/(variance*variance)-3)
					}
				}
			}
		}
	}
}

type laneStats struct{ low, high, line, crossings, cubes, fourths vec }

// measure makes one pass over eight channels.
func measure(t []vec, mean *vec) (s laneStats) {
	for l := range mean {
		m, prev := mean[l], t[0][l]
		low, high := prev, prev
		var line, crossings, cubes, fourths float64
		negative := prev-m < 0
		for i := range t {
			v := t[i][l]
			low, high = min(low, v), max(high, v)
			line += math.Abs(v - prev)
			d := v - m
			if neg := d < 0; neg != negative {
				crossings++
				negative = neg
			}
			d2 := float64(d * d)
			cubes += float64(d2 * d)
			fourths += float64(d2 * d2)
			prev = v
		}
		s.low[l], s.high[l], s.line[l], s.crossings[l], s.cubes[l], s.fourths[l] = low, high, line, crossings, cubes, fourths
	}
	return s
}
