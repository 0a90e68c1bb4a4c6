package decoders

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Trace is what a decoder put out in one trial, steps × classes, and the right class.
// A trace for calibration comes from a trial that the decoder did not learn from.
type Trace struct {
	Out   [][]float64
	Class int
}

// StopSettings say how a stopping rule is calibrated.
type StopSettings struct {
	Rule        string  // see StopRules; "" = confidence
	Kappa       float64 // 0 = fitted: the temperature of least negative log-likelihood over all steps
	Threshold   float64 // 0 = by Pareto front
	Slack       float64 // share of right answers that speed may cost, 0 to 1
	Leak        float64 // 0 = 1
	Discount    float64 // 0 = 1
	Dwell       int     // 0 = 1
	First       int     // steps without evidence at the start
	Steps       int     // 0 = as long as the longest trace
	Coverage    float64 // conformal: promised probability that the set holds the true class; 0 = 0.9
	Checkpoints int     // conformal: how many, evenly spaced up to the last step; 0 = 5
	SetSize     int     // conformal; 0 = 1
	Cost        float64 // bayes: cost of a false alarm against that of a miss; 0 = 1
}

// StopPoint is one threshold of a calibration.
type StopPoint struct {
	Threshold float64 `json:"threshold"`
	Accuracy  float64 `json:"accuracy"`
	Steps     float64 `json:"mean_steps"`
	Pareto    bool    `json:"pareto"`
}

// StopFit is the outcome of a calibration.
type StopFit struct {
	Model  StopModel
	Trials int
	Full   float64     // share right at the last step
	Points []StopPoint // the sweep; nil when the rule has no threshold to choose
}

// FitStop calibrates a stopping rule on held-out traces: the temperature, then the
// threshold (Pareto front: of those that lose at most Slack against the full length
// the one that answers soonest, of equals the smaller), the conformal limits, or the
// Bayesian boundaries.
func FitStop(traces []Trace, set StopSettings) (*StopFit, error) {
	if len(traces) == 0 || len(traces[0].Out) == 0 {
		return nil, errors.New("no held-out trials to calibrate a stopping rule on")
	}
	k, longest := len(traces[0].Out[0]), 0
	seen := make([]int, k)
	for i, t := range traces {
		if t.Class < 0 || t.Class >= k || len(t.Out) == 0 {
			return nil, fmt.Errorf("calibration trial %d has %d steps and class %d of %d", i+1, len(t.Out), t.Class+1, k)
		}
		seen[t.Class]++
		longest = max(longest, len(t.Out))
		for s, o := range t.Out {
			if len(o) != k {
				return nil, fmt.Errorf("calibration trial %d has %d values at step %d, %d classes", i+1, len(o), s+1, k)
			}
			if !allFinite(o) {
				return nil, fmt.Errorf("calibration trial %d, step %d: %v is not all numbers", i+1, s+1, o)
			}
		}
	}
	for c, n := range seen {
		if n == 0 {
			return nil, fmt.Errorf("no held-out trial of class %d of %d: confidence must be calibrated on every class", c+1, k)
		}
	}
	one := func(v float64) float64 {
		if v == 0 {
			return 1
		}
		return v
	}
	m := StopModel{
		Rule: set.Rule, Classes: k, Kappa: one(set.Kappa), Threshold: set.Threshold, Leak: one(set.Leak), Discount: one(set.Discount),
		Dwell: max(1, set.Dwell), First: set.First, Steps: set.Steps,
	}
	if m.Rule == "" {
		m.Rule = StopConfidence
	}
	if m.Steps == 0 {
		m.Steps = longest
	}
	if !(set.Slack >= 0 && set.Slack <= 1) {
		return nil, fmt.Errorf("slack %v: give the share of right answers that speed may cost, 0 to 1", set.Slack)
	}
	probe := m
	probe.Rule = StopConfidence
	if err := probe.Check(); err != nil {
		return nil, err
	}
	if set.Kappa == 0 {
		m.Kappa = FitKappa(traces, &m)
	}
	fit := &StopFit{Trials: len(traces), Full: fullLength(traces, &m)}
	var err error
	switch m.Rule {
	case StopConfidence, StopEntropy, StopMargin:
		if set.Threshold == 0 {
			fit.Points, err = sweep(traces, &m, StopGrid(m.Rule, k))
			if err == nil {
				m.Threshold = Choose(fit.Points, fit.Full-set.Slack)
			}
		}
	case StopConformal:
		err = fitConformal(traces, &m, set)
	case StopBayes:
		err = fitBayes(traces, &m, one(set.Cost))
	}
	if err == nil {
		err = m.Check()
	}
	fit.Model = m
	return fit, err
}

// fullLength is the share of traces whose answer at the last step is right.
func fullLength(traces []Trace, m *StopModel) float64 {
	right := 0
	a := make([]float64, m.Classes)
	for _, t := range traces {
		clear(a)
		for s, o := range t.Out[:min(m.Steps, len(t.Out))] {
			accumulate(a, o, m, s+1)
		}
		if argmax(a) == t.Class {
			right++
		}
	}
	return float64(right) / float64(len(traces))
}

func accumulate(a, o []float64, m *StopModel, step int) {
	if step > m.First {
		for k := range a {
			a[k] = float64(m.Leak*a[k]) + float64(m.Discount*o[k])
		}
	}
}

// FitKappa returns the temperature that makes the accumulated evidence most likely,
// all steps of all traces counting alike. The negative log-likelihood is convex in
// 1/κ; the search ends within 1e-6 of its logarithm.
func FitKappa(traces []Trace, m *StopModel) float64 {
	type point struct {
		a     []float64
		class int
	}
	var all []point
	spread := 0.0
	for _, t := range traces {
		a := make([]float64, m.Classes)
		for s, o := range t.Out[:min(m.Steps, len(t.Out))] {
			accumulate(a, o, m, s+1)
			if s+1 > m.First {
				all = append(all, point{slices.Clone(a), t.Class})
				spread = max(spread, slices.Max(a)-slices.Min(a))
			}
		}
	}
	if spread == 0 {
		return 1 // evidence that says nothing: any temperature gives uniform probabilities
	}
	p := make([]float64, m.Classes)
	loss := func(lnKappa float64) float64 {
		kappa, sum := math.Exp(lnKappa), 0.0
		for _, q := range all {
			temper(p, q.a, kappa)
			sum -= math.Log(max(p[q.class], 1e-300))
		}
		return sum
	}
	lo, hi := math.Log(spread)-14, math.Log(spread)+5
	const g = 0.6180339887498949
	x1, x2 := hi-g*(hi-lo), lo+g*(hi-lo)
	f1, f2 := loss(x1), loss(x2)
	for hi-lo > 1e-6 {
		if f1 <= f2 {
			hi, x2, f2 = x2, x1, f1
			x1 = hi - g*(hi-lo)
			f1 = loss(x1)
		} else {
			lo, x1, f1 = x1, x2, f2
			x2 = lo + g*(hi-lo)
			f2 = loss(x2)
		}
	}
	return math.Exp((lo + hi) / 2)
}

// StopGrid lists thresholds to try, from answering at once to never: even steps of
// log-odds, denser near certainty.
func StopGrid(rule string, classes int) []float64 {
	var grid []float64
	low := 1 / float64(classes)
	if rule == StopMargin {
		low = 0
	}
	for i := range 200 {
		u := float64(i) / 199
		grid = append(grid, low+(1-low)*(1-math.Exp(-9*u))/(1-math.Exp(-9)))
	}
	grid[199] = 1
	if rule == StopEntropy { // low entropy stops: from 1 down to 0
		for i, g := range grid {
			grid[i] = 1 - (g-low)/(1-low)
		}
		slices.Reverse(grid)
	}
	return grid
}

// sweep runs every threshold over the traces.
func sweep(traces []Trace, m *StopModel, grid []float64) ([]StopPoint, error) {
	points := make([]StopPoint, 0, len(grid))
	c := *m
	for _, th := range grid {
		c.Threshold = th
		out, err := Replay(traces, &c)
		if err != nil {
			return nil, err
		}
		p := StopPoint{Threshold: th}
		for i, a := range out {
			if a.Class == traces[i].Class {
				p.Accuracy++
			}
			p.Steps += float64(a.Step)
		}
		p.Accuracy /= float64(len(traces))
		p.Steps /= float64(len(traces))
		points = append(points, p)
	}
	Pareto(points)
	return points, nil
}

// Replay runs a rule over traces and returns the answer of each; traces shorter than
// the rule's last step are answered at their end.
func Replay(traces []Trace, m *StopModel) ([]Answer, error) {
	s, err := m.stopper()
	if err != nil {
		return nil, err
	}
	out := make([]Answer, len(traces))
	for i, t := range traces {
		out[i] = s.trial(t.Out)
	}
	return out, nil
}

func (s *stopper) trial(out [][]float64) (a Answer) {
	s.Reset()
	for _, o := range out {
		var done bool
		if a, done = s.Push(o, 1); done {
			return a
		}
	}
	a.Forced = true
	return a
}

// Pareto marks the points that no other point beats: none has at least the accuracy
// in at most the time, one of the two strictly.
func Pareto(points []StopPoint) {
	for i := range points {
		p := &points[i]
		p.Pareto = !slices.ContainsFunc(points, func(q StopPoint) bool {
			return q.Accuracy >= p.Accuracy && q.Steps <= p.Steps && (q.Accuracy > p.Accuracy || q.Steps < p.Steps)
		})
	}
}

// Choose returns the threshold of the soonest answers among the Pareto-optimal points
// with at least this accuracy, of equals the smaller; the most accurate point when
// none reaches it.
func Choose(points []StopPoint, accuracy float64) float64 {
	var best *StopPoint
	better := func(p, q *StopPoint) bool {
		const tiny = 1e-12
		pass, held := p.Accuracy >= accuracy-tiny, q.Accuracy >= accuracy-tiny
		switch {
		case pass != held:
			return pass
		case !pass && p.Accuracy != q.Accuracy:
			return p.Accuracy > q.Accuracy
		case p.Steps != q.Steps:
			return p.Steps < q.Steps
		}
		return p.Threshold < q.Threshold
	}
	for i := range points {
		if p := &points[i]; p.Pareto && (best == nil || better(p, best)) {
			best = p
		}
	}
	return best.Threshold
}

// fitBayes fits normal distributions to the accumulated scores of the right and the
// wrong classes at every step; the boundary is the score x at which
//
//	(K-1) c N(x; b₀, s₀) = N(x; b₁, s₁)
//
// and above which the right class is the likelier explanation.
func fitBayes(traces []Trace, m *StopModel, cost float64) error {
	if !(cost > 0) || math.IsInf(cost, 0) {
		return fmt.Errorf("cost ratio %v: give a positive number", cost)
	}
	a := make([][]float64, len(traces))
	for i := range a {
		a[i] = make([]float64, m.Classes)
	}
	for step := 1; step <= m.Steps; step++ {
		var n, sum, square [2]float64 // wrong, right
		for i, t := range traces {
			if step > len(t.Out) {
				continue
			}
			accumulate(a[i], t.Out[step-1], m, step)
			for k, v := range a[i] {
				side := int(indicator(k, t.Class))
				n[side]++
				sum[side] += v
			}
		}
		if n[1] < 2 {
			break
		}
		b0, b1 := sum[0]/n[0], sum[1]/n[1]
		for i, t := range traces {
			if step > len(t.Out) {
				continue
			}
			for k, v := range a[i] {
				side := int(indicator(k, t.Class))
				d := v - []float64{b0, b1}[side]
				square[side] += d * d
			}
		}
		m.Boundary = append(m.Boundary, boundary(b0, math.Sqrt(square[0]/n[0]), b1, math.Sqrt(square[1]/n[1]), float64(m.Classes-1)*cost))
	}
	if !slices.ContainsFunc(m.Boundary, func(b float64) bool { return b < never }) {
		return errors.New("bayesian stopping: at no step do the scores of right and wrong classes differ enough for a boundary")
	}
	return nil
}

// never is a score that nothing exceeds, as JSON can hold it.
const never = math.MaxFloat64

// boundary solves w N(x; b0, s0) = N(x; b1, s1) for the upward crossing.
func boundary(b0, s0, b1, s1, w float64) float64 {
	if !(s0 > 0) || !(s1 > 0) || !(b1 > b0) {
		return never
	}
	a := 1/(2*s0*s0) - 1/(2*s1*s1)
	b := b1/(s1*s1) - b0/(s0*s0)
	c := b0*b0/(2*s0*s0) - b1*b1/(2*s1*s1) + math.Log(s0/s1) - math.Log(w)
	x := -c / b
	if math.Abs(a) > 1e-12*(1/(s0*s0)+1/(s1*s1)) {
		d := b*b - 4*a*c
		if d < 0 {
			return never
		}
		x = (-b + math.Sqrt(d)) / (2 * a)
	}
	if x-x != 0 {
		return never
	}
	return x
}
