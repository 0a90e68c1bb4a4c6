package replay

import (
	"fmt"
	"math"
	"sort"
)

// Decision is what a decoder says about one window.
type Decision struct {
	Time       float64 // seconds on the timeline at which it was available
	Class      int
	Confidence float64 // probability of Class
}

// Command is a decision that was acted upon.
type Command struct {
	Time  float64
	Class int
}

// Rule turns decisions into commands.
type Rule struct {
	Idle       int     // class that never commands
	Dwell      int     // successive equal decisions that fire a command; 0 = 1
	Refractory float64 // seconds after a command in which decisions are ignored and not counted
	Confidence float64 // decisions with less count as idle
}

// Commands applies the rule to decisions in order of time.
func (r Rule) Commands(decisions []Decision) []Command {
	dwell := max(r.Dwell, 1)
	var out []Command
	deaf := math.Inf(-1)
	run, class := 0, r.Idle
	for _, d := range decisions {
		if d.Time < deaf {
			continue
		}
		k := d.Class
		if d.Confidence < r.Confidence {
			k = r.Idle
		}
		if k == r.Idle {
			run = 0
			continue
		}
		if run == 0 || k != class {
			run, class = 0, k
		}
		if run++; run >= dwell {
			out = append(out, Command{d.Time, k})
			deaf, run = d.Time+r.Refractory, 0
		}
	}
	return out
}

// EventScore says how commands met trials. Trial i is scored on its interval
// [Start, min(End + tolerance, start of the next, end of the data)).
type EventScore struct {
	Trials    int       // trials scored
	Hits      int       // trials whose class was commanded in their interval
	Wrong     int       // commands of another class in an interval
	Repeats   int       // further commands of the right class in an interval
	False     int       // commands in no interval
	Latencies []float64 // per trial: first right command − Start; NaN when missed
	Intervals []float64 // per trial: length of its interval, the latency a miss is charged
	Idle      float64   // seconds observed outside all intervals
}

// ScoreEvents assigns commands, in order of time, to trials, in order of Start. Only
// observed, the stretches of time in which decisions were made, counts as idle; it is
// in order and does not overlap.
func ScoreEvents(commands []Command, trials []Trial, tolerance float64, observed ...Interval) EventScore {
	s := EventScore{Trials: len(trials)}
	if len(observed) == 0 {
		panic("replay: ScoreEvents without an observed interval")
	}
	end := observed[len(observed)-1].To
	scored := make([]Interval, len(trials))
	s.Latencies, s.Intervals = make([]float64, len(trials)), make([]float64, len(trials))
	for i, t := range trials {
		limit := end
		if i+1 < len(trials) {
			limit = min(limit, trials[i+1].Start)
		}
		scored[i] = Interval{t.Start, max(t.Start, min(t.End+tolerance, limit))}
		s.Intervals[i] = scored[i].To - scored[i].From
		s.Latencies[i] = math.NaN()
	}
	for _, o := range observed {
		s.Idle += o.To - o.From
		for _, q := range scored {
			s.Idle -= max(0, min(o.To, q.To)-max(o.From, q.From))
		}
	}
	s.Idle = max(0, s.Idle)
	for _, c := range commands {
		i := sort.Search(len(scored), func(i int) bool { return scored[i].From > c.Time }) - 1
		switch {
		case i < 0 || c.Time >= scored[i].To:
			s.False++
		case c.Class != trials[i].Class:
			s.Wrong++
		case math.IsNaN(s.Latencies[i]):
			s.Latencies[i] = c.Time - trials[i].Start
			s.Hits++
		default:
			s.Repeats++
		}
	}
	return s
}

// Interval is the time [From, To), in seconds.
type Interval struct{ From, To float64 }

// TPR is the share of trials that were hit; NaN without trials.
func (s *EventScore) TPR() float64 { return float64(s.Hits) / float64(s.Trials) }

// Precision is the share of commands, repeats aside, that were hits; NaN without any.
func (s *EventScore) Precision() float64 {
	return float64(s.Hits) / float64(s.Hits+s.Wrong+s.False)
}

// F1 is 2·hits/(2·hits + wrong + false + missed); NaN without trials and commands.
func (s *EventScore) F1() float64 {
	return float64(2*s.Hits) / float64(2*s.Hits+s.Wrong+s.False+s.Trials-s.Hits)
}

// FalsePerMinute is false activations per minute of observed idle time; NaN without
// idle time.
func (s *EventScore) FalsePerMinute() float64 { return 60 * float64(s.False) / s.Idle }

// FalseUpper95 is the exact one-sided 95 % upper bound on that rate, taking false
// activations as a Poisson process: 3.0 per T idle minutes when none was seen.
func (s *EventScore) FalseUpper95() float64 { return 60 * PoissonUpper(s.False, 0.05) / s.Idle }

// Detected returns the latencies of the hits in ascending order.
func (s *EventScore) Detected() []float64 {
	var out []float64
	for _, l := range s.Latencies {
		if !math.IsNaN(l) {
			out = append(out, l)
		}
	}
	sort.Float64s(out)
	return out
}

// PenalisedMean is the mean latency with every miss charged the length of its interval.
func (s *EventScore) PenalisedMean() float64 {
	var sum float64
	for i, l := range s.Latencies {
		if math.IsNaN(l) {
			l = s.Intervals[i]
		}
		sum += l
	}
	return sum / float64(len(s.Latencies))
}

// Quantile returns the q-th quantile of ascending values, interpolated linearly between
// order statistics (Hyndman and Fan's type 7); NaN when there are none.
func Quantile(sorted []float64, q float64) float64 {
	if !(q >= 0 && q <= 1) {
		panic(fmt.Sprintf("replay: quantile %v", q))
	}
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
