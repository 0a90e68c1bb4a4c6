package decoders

import (
	"fmt"
	"math"
	"slices"
)

// fitConformal sets checkpoints and limits so that, for trials exchangeable with the
// calibration trials, the set at the stop holds the true class with the promised
// probability, whatever the decoder: α = (1-coverage)/checkpoints (Bonferroni), limit =
// the ⌈(1-α)(n+1)⌉-th smallest -ln p of the true class.
func fitConformal(traces []Trace, m *StopModel, set StopSettings) error {
	coverage, count := set.Coverage, set.Checkpoints
	if coverage == 0 {
		coverage = 0.9
	}
	if count == 0 {
		count = 5
	}
	if m.SetSize = set.SetSize; m.SetSize == 0 {
		m.SetSize = 1
	}
	if !(coverage > 0 && coverage < 1) || count < 1 || count > m.Steps {
		return fmt.Errorf("conformal stopping with coverage %v at %d checkpoints; coverage lies between 0 and 1, checkpoints are 1 to %d", coverage, count, m.Steps)
	}
	for i := range count {
		m.Checkpoints = append(m.Checkpoints, m.First+((i+1)*(m.Steps-m.First))/count)
	}
	return conformalLimits(traces, m, coverage)
}

func conformalLimits(traces []Trace, m *StopModel, coverage float64) error {
	alpha := (1 - coverage) / float64(len(m.Checkpoints))
	n := len(traces)
	rank := int(math.Ceil((1-alpha)*float64(n+1) - 1e-9))
	if rank > n {
		return fmt.Errorf("conformal stopping with coverage %g at %d checkpoints needs at least %.0f calibration trials, there are %d: take fewer checkpoints, less coverage or more trials", coverage, len(m.Checkpoints), math.Ceil(1/alpha-1-1e-9), n)
	}
	m.Limits = make([]float64, len(m.Checkpoints))
	for j, at := range m.Checkpoints {
		scores := make([]float64, 0, n)
		s := stopper{m: *m, a: make([]float64, m.Classes), p: make([]float64, m.Classes)}
		for _, t := range traces {
			clear(s.a)
			for i, o := range t.Out[:min(at, len(t.Out))] {
				accumulate(s.a, o, m, i+1)
			}
			scores = append(scores, s.nonconformity(t.Class))
		}
		slices.Sort(scores)
		m.Limits[j] = scores[rank-1]
	}
	return nil
}

// Conformal is what a conformal rule says of one trial.
type Conformal struct {
	Answer
	Set     []int // classes in the set at the stop
	Covered bool  // the true class is among them
}

// ReplayConformal runs a conformal rule over traces. At a forced end the set is that
// of the last checkpoint.
func ReplayConformal(traces []Trace, m *StopModel) ([]Conformal, error) {
	s, err := m.stopper()
	if err != nil {
		return nil, err
	}
	if m.Rule != StopConformal {
		return nil, fmt.Errorf("a %s rule makes no sets", m.Rule)
	}
	out := make([]Conformal, len(traces))
	for i, t := range traces {
		out[i].Answer = s.trial(t.Out)
		at := max(0, s.next-1) // the checkpoint just passed
		for k := range m.Classes {
			if s.inSet(at, k) {
				out[i].Set = append(out[i].Set, k)
				out[i].Covered = out[i].Covered || k == t.Class
			}
		}
	}
	return out, nil
}
