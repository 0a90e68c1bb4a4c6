package decoders

import "math"

// Oracle is the bound that no stopping rule can beat on these traces: every trial is
// stopped at the first step with the right answer, those never right run to the end.
// It tells a weak classifier from a weak rule.
type Oracle struct {
	Step     []int   // of each trace, from 1
	Accuracy float64 // share of traces right at some step
	Steps    float64 // mean of Step
	// By step: share right when all stop there, and share right at that step or before.
	Fixed, Ever []float64
}

// NewOracle computes the bound for the accumulation of m.
func NewOracle(traces []Trace, m *StopModel) *Oracle {
	o := &Oracle{Fixed: make([]float64, m.Steps), Ever: make([]float64, m.Steps)}
	a := make([]float64, m.Classes)
	for _, t := range traces {
		clear(a)
		first, right := 0, false
		for s := range m.Steps {
			if s < len(t.Out) {
				accumulate(a, t.Out[s], m, s+1)
				right = s+1 > m.First && argmax(a) == t.Class
			}
			if right && first == 0 {
				first = s + 1
			}
			o.Fixed[s] += b2f(right)
			o.Ever[s] += b2f(first > 0)
		}
		if first == 0 {
			first = min(m.Steps, len(t.Out))
		} else {
			o.Accuracy++
		}
		o.Step = append(o.Step, first)
		o.Steps += float64(first)
	}
	n := float64(len(traces))
	for s := range o.Fixed {
		o.Fixed[s] /= n
		o.Ever[s] /= n
	}
	o.Accuracy /= n
	o.Steps /= n
	return o
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// CalibrationError is the expected calibration error of confidences: in bins
// (i/bins, (i+1)/bins] the difference between mean confidence and share right, by the
// share of answers in the bin.
func CalibrationError(confidence []float64, right []bool, bins int) float64 {
	n, sum, hits := make([]float64, bins), make([]float64, bins), make([]float64, bins)
	for i, c := range confidence {
		b := min(bins-1, max(0, int(math.Ceil(c*float64(bins)))-1))
		n[b]++
		sum[b] += c
		hits[b] += b2f(right[i])
	}
	e := 0.0
	for b := range n {
		if n[b] > 0 {
			e += math.Abs(sum[b]-hits[b]) / float64(len(confidence))
		}
	}
	return e
}
