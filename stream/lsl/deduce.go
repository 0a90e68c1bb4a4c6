package lsl

// deduction carries stamps on where the sender left them out: one period after
// the sample before, or the same stamp in an irregular stream. It starts at 0 for
// every connection.
type deduction struct {
	rate float64
	last float64
}

// resolve returns the stamp of the next sample of the connection.
func (d *deduction) resolve(stamp float64, deduced bool) float64 {
	if !deduced {
		d.last = stamp
	} else if d.rate > 0 {
		d.last += 1 / d.rate
	}
	return d.last
}
