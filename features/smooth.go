package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Smooth is an exponential average over the windows of another extractor's rows,
//
//	v <- v + a (x - v), a = 1 - exp(-hop/Tau), starting at the first window,
//
// counted in hops of the extractor (its Every); marked values are left out. It needs no ring of past windows
// and counts for (2-a)/a of them. Smooth PSD with windows of one segment is Welch's
// method with exponential forgetting.
type Smooth struct {
	Of    Extractor
	Tau   float64 // s, the time constant
	Alpha float64 // the weight a itself, instead of Tau

	weight float64
	values []float64
	filled []bool
}

// Interval implements Slow: that of what is smoothed.
func (x *Smooth) Interval() int {
	if s, ok := x.Of.(Slow); ok {
		return s.Interval()
	}
	return 1
}

// Open implements Extractor.
func (x *Smooth) Open(p *Plan) ([]Row, error) {
	switch {
	case x.Of == nil:
		return nil, fmt.Errorf("smooth: nothing to smooth; give an extractor")
	case x.Alpha != 0 && x.Tau != 0:
		return nil, fmt.Errorf("smooth: tau %v s and alpha %v; give one of them", x.Tau, x.Alpha)
	case x.Alpha != 0:
		x.weight = x.Alpha
	default:
		x.weight = -math.Expm1(-p.Seconds(p.Hop) * float64(max(1, x.Interval())) / x.Tau)
	}
	if !(x.weight > 0 && x.weight <= 1) {
		return nil, fmt.Errorf("smooth: tau %v s, alpha %v; tau is positive, alpha between 0 and 1", x.Tau, x.Alpha)
	}
	rows, err := x.Of.Open(p)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Label = "smooth " + rows[i].Label
	}
	x.values, x.filled = make([]float64, len(rows)), make([]bool, len(rows))
	return rows, nil
}

// Extract implements Extractor.
func (x *Smooth) Extract(out Out, e *Epoch) {
	x.Of.Extract(out, e)
	for i, v := range out.Values {
		switch {
		case out.Bad[i]:
		case !x.filled[i]:
			x.values[i], x.filled[i] = v, true
		default:
			x.values[i] += x.weight * (v - x.values[i])
		}
		out.Values[i] = x.values[i]
	}
}

// Reset implements Keeper.
func (x *Smooth) Reset() {
	clear(x.values)
	clear(x.filled)
	if k, ok := x.Of.(Keeper); ok {
		k.Reset()
	}
}

// Save implements Keeper.
func (x *Smooth) Save(w *stream.StateWriter) {
	w.Floats(x.values)
	for _, b := range x.filled {
		w.Bool(b)
	}
	if k, ok := x.Of.(Keeper); ok {
		k.Save(w)
	}
}

// Load implements Keeper.
func (x *Smooth) Load(r *stream.StateReader) {
	r.Floats(x.values)
	for i := range x.filled {
		x.filled[i] = r.Bool()
	}
	if k, ok := x.Of.(Keeper); ok {
		k.Load(r)
	}
}
