package xdf

import "math"

// Parameters of the reference reader (pyxdf): how odd the last clock offset has to
// be to count as garbage.
const (
	phantomInterval = 10.0 // times the median interval
	phantomValue    = 10.0 // standard deviations, estimated from the median deviation
)

// phantom reports whether a stream ends in what old recorders wrote when an outlet
// went away: samples beyond the number in the footer, and a last clock offset that
// was never measured. Both have to be there. n is the number of samples to keep.
func (s *Stream) phantom() (n int, yes bool) {
	last := len(s.offsets) - 1
	if !s.closed || s.announced < 0 || s.Len() <= s.announced || last < 2 {
		return 0, false
	}
	var intervals, values []float64
	for i, o := range s.offsets[:last] {
		values = append(values, o.Value)
		if i > 0 {
			intervals = append(intervals, o.Time-s.offsets[i-1].Time)
		}
	}
	step := math.Abs(s.offsets[last].Time - s.offsets[last-1].Time)
	if usual := median(intervals); usual > 0 {
		yes = step/usual > phantomInterval
	} else {
		yes = step > 0
	}
	m := median(values)
	for i, v := range values {
		values[i] = math.Abs(v - m)
	}
	// 1.4826 median deviations are a standard deviation of normal values.
	if spread := median(values); spread > 0x1p-52 {
		yes = yes || math.Abs(s.offsets[last].Value-m)/(1.4826*spread) > phantomValue
	}
	return int(s.announced), yes
}
