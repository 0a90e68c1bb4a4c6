package replay

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Options of [Score].
type Options struct {
	Window float64 // seconds of data behind one decision
	Rate   float64 // sampling rate of the data, Hz; 0 = unknown, then windows count as one sample longer
	// Rule makes the commands when the stream has none of its own; its Idle is ignored.
	// Confidence is also what a decoder without an idle class must reach, when the stream
	// has no gate, or it says idle. Dwell also names the part that dwelling has in the
	// latency: give the gate's own when the stream has one.
	Rule      Rule
	Tolerance float64 // seconds after a trial in which its command still counts; 0 = 1 s, negative = none
	Purity    float64 // windows with less of one class are left out of NMCCPure; 0 = 0.8
	Compute   float64 // seconds from a window's newest sample to the decision's hand-over: added to latencies
	Shifts    int     // circular shifts of the truth that measure chance; 0 = none
	Seed      uint64  // of the shifts
}

// Measure is a number that may be undefined: NaN, and null in JSON.
type Measure float64

// MarshalJSON writes null for what is not a number.
func (m Measure) MarshalJSON() ([]byte, error) {
	if v := float64(m); !math.IsNaN(v) && !math.IsInf(v, 0) {
		return json.Marshal(v)
	}
	return []byte("null"), nil
}

// Report is what a decision stream was worth.
type Report struct {
	// Once per trial: which class the windows lying wholly inside it speak for together.
	TrialAccuracy Measure `json:"trial_accuracy"`
	Trials        int     `json:"trials"`
	TrialsCorrect int     `json:"trials_correct"`
	TrialLow95    Measure `json:"trial_accuracy_low95"`     // Clopper-Pearson, two-sided
	TrialHigh95   Measure `json:"trial_accuracy_high95"`    //
	TrialChance   Measure `json:"trial_chance"`             // 1/number of task classes
	TrialChance95 Measure `json:"trial_chance_upper95"`     // a guesser's accuracy exceeds it in 5 % of sessions
	TrialP        Measure `json:"trial_p"`                  // P(a guesser gets at least as many right)
	TrialsSkipped int     `json:"trials_skipped,omitempty"` // without a whole window, or not observed from start to end

	// At every decision, idle included; the truth of a window is the state with most of it.
	Windows          int       `json:"windows"`
	NMCC             Measure   `json:"nmcc"`
	BalancedAccuracy Measure   `json:"balanced_accuracy"`
	Accuracy         Measure   `json:"accuracy"`
	Kappa            Measure   `json:"kappa"`
	NMCCLast         Measure   `json:"nmcc_last_sample"` // against the state at the newest sample
	NMCCPure         Measure   `json:"nmcc_pure"`        // without windows that straddle a transition
	WindowsPure      int       `json:"windows_pure"`
	IdleShare        Measure   `json:"idle_share"`  // of windows: the accuracy of always saying idle
	NMCCChance       Measure   `json:"nmcc_chance"` // mean over circular shifts of the truth; null when not asked for
	NMCCChance95     Measure   `json:"nmcc_chance_upper95"`
	NMCCP            Measure   `json:"nmcc_p"`
	LogLoss          Measure   `json:"log_loss"` // null when idle is not among the decoder's classes
	Brier            Measure   `json:"brier"`
	ECE              Measure   `json:"ece"`
	Classes          []string  `json:"classes"`
	Confusion        Confusion `json:"confusion"` // [true][decided]

	// As commands.
	EventTPR    Measure `json:"event_tpr"`
	Events      int     `json:"scored_trials"`
	Hits        int     `json:"hits"`
	Missed      int     `json:"missed"`
	Wrong       int     `json:"wrong_commands"`
	Repeats     int     `json:"repeat_commands"`
	False       int     `json:"false_activations"`
	FAPerMin    Measure `json:"fa_per_min"`
	FAUpper95   Measure `json:"fa_per_min_upper95"` // exact Poisson, one-sided
	IdleMinutes Measure `json:"idle_minutes"`       // observed outside all scoring intervals
	Precision   Measure `json:"event_precision"`
	F1          Measure `json:"event_f1"`
	Latency     Latency `json:"detection_latency_s"`

	Dwell      int     `json:"dwell,omitempty"` // of the rule applied here; absent when the stream commands itself
	Refractory float64 `json:"refractory_s,omitempty"`
	Confidence float64 `json:"confidence_min,omitempty"`
	Tolerance  float64 `json:"tolerance_s"`

	TrialDetail []TrialResult `json:"trial_detail"`
}

// TrialResult is what became of one trial.
type TrialResult struct {
	Start    float64  `json:"start_s"`
	End      float64  `json:"end_s"`
	Class    string   `json:"class"`
	Decided  string   `json:"decided"`  // "" when no window lies wholly inside
	Windows  int      `json:"windows"`  // that do
	Evidence Measures `json:"evidence"` // mean log-probability of each task class
	Latency  Measure  `json:"latency_s"`
}

// Measures is a list of them.
type Measures []Measure

// Latency is the time from the start of a trial to its first right command, seconds.
type Latency struct {
	N             int          `json:"n"`
	Median        Measure      `json:"median"`
	IQR           Measure      `json:"iqr"`
	Q1            Measure      `json:"q1"`
	Q3            Measure      `json:"q3"`
	P95           Measure      `json:"p95"`
	PenalisedMean Measure      `json:"penalised_mean"` // a miss is charged its scoring interval
	Parts         LatencyParts `json:"parts"`
}

// LatencyParts says what the median is made of. Rest is what remains: how long the
// subject took to respond, and the decoder to be sure.
type LatencyParts struct {
	Filter  Measure `json:"filter"`  // group delay before the windows
	Window  Measure `json:"window"`  // half a window, until a change fills most of it
	Dwell   Measure `json:"dwell"`   // (dwell − 1) steps
	Compute Measure `json:"compute"` //
	Rest    Measure `json:"rest"`
}

// Score judges decisions against the truth, in two ways that belong together: once per
// trial (synchronous: when it is known that there was one), and as a stream (idle is a
// class, and commands count). Decisions in the stream's settling time are left out.
func Score(d *Decisions, truth *Truth, o Options) (*Report, error) {
	if o.Tolerance == 0 {
		o.Tolerance = 1
	}
	o.Tolerance = max(o.Tolerance, 0)
	if o.Purity == 0 {
		o.Purity = 0.8
	}
	if !(o.Window >= 0) || math.IsInf(o.Window, 0) {
		return nil, fmt.Errorf("window %v s is impossible: give the seconds of data behind one decision", o.Window)
	}
	s := scoring{d: d, truth: truth, o: o}
	if err := s.match(); err != nil {
		return nil, err
	}
	s.settle()
	if len(s.keep) == 0 {
		return nil, fmt.Errorf("no decision can be judged: %d came, all within the %.3g s of settling; play a longer recording", d.Len(), d.Settle)
	}
	r := &Report{Classes: truth.Classes, Tolerance: o.Tolerance}
	s.trials(r)
	if err := s.windows(r); err != nil {
		return nil, err
	}
	s.events(r)
	return r, nil
}

type scoring struct {
	d     *Decisions
	truth *Truth
	o     Options

	class    []int      // truth's class of each of the decoder's
	task     []int      // decoder's classes that are not idle
	idle     bool       // whether the decoder has the idle class
	keep     []int      // decisions that count
	observed []Interval // when they were made
	judged   []bool     // trials observed from start to end
}

func (s *scoring) match() error {
	names := strings.Join(s.truth.Classes, ", ")
	found := make([]bool, len(s.truth.Classes))
	for k, name := range s.d.Classes {
		c := slices.Index(s.truth.Classes, name)
		if c < 0 {
			return fmt.Errorf("the decoder knows a class %q, which is not in the truth (%s): map an annotation to it", name, names)
		}
		s.class = append(s.class, c)
		found[c] = true
		if c == s.truth.Idle {
			s.idle = true
		} else {
			s.task = append(s.task, k)
		}
	}
	for c, ok := range found {
		if !ok && c != s.truth.Idle {
			return fmt.Errorf("the decoder does not know the class %q: it knows %s", s.truth.Classes[c], strings.Join(s.d.Classes, ", "))
		}
	}
	return nil
}

// span returns the time from which and until which a decision's window reaches.
func (s *scoring) span(i int) (from, to float64) {
	to = s.d.Time[i]
	from = to - s.o.Window
	if s.o.Rate > 0 {
		from += 1 / s.o.Rate
	}
	return from, to
}

// settle picks the decisions that count, and the stretches of time they cover.
func (s *scoring) settle() {
	const slack = 1e-6
	step := s.d.Step
	begin, next := 0.0, 0
	fresh := true
	for i := range s.d.Time {
		if next < len(s.d.Breaks) && s.d.Breaks[next] == i {
			next++
			fresh = true
		}
		if i > 0 && step > 0 && math.Abs(s.d.Time[i]-s.d.Time[i-1]-step) > step/2 {
			fresh = true
		}
		if fresh {
			begin, _ = s.span(i)
		}
		if s.d.Time[i]-begin < s.d.Settle-slack {
			fresh = false
			continue
		}
		n := len(s.observed) - 1
		if fresh || n < 0 || s.keep[len(s.keep)-1] != i-1 {
			s.observed = append(s.observed, Interval{From: s.d.Time[i]})
			n++
		}
		s.observed[n].To = s.d.Time[i] + step
		s.keep = append(s.keep, i)
		fresh = false
	}
	s.judged = make([]bool, len(s.truth.Trials))
	for i, t := range s.truth.Trials {
		for _, v := range s.observed {
			s.judged[i] = s.judged[i] || t.Start >= v.From-slack && t.End <= v.To+slack
		}
	}
}

// trials judges every trial once. The evidence for a class is the mean over the
// windows that lie wholly inside the trial of its log-probability among the classes
// other than idle.
func (s *scoring) trials(r *Report) {
	const slack = 1e-6
	const floor = 1e-12 // a certain decoder must not outvote all others for good
	at := 0
	for n, t := range s.truth.Trials {
		x := TrialResult{Start: t.Start, End: t.End, Class: s.truth.Classes[t.Class], Latency: Measure(math.NaN())}
		sum := make([]float64, len(s.task))
		for at < len(s.keep) {
			if from, _ := s.span(s.keep[at]); from >= t.Start-slack {
				break
			}
			at++
		}
		for _, i := range s.keep[at:] {
			if s.d.Time[i] > t.End+slack {
				break
			}
			p := s.d.Row(i)
			var all float64
			for _, k := range s.task {
				all += p[k]
			}
			if s.d.Bad[i] || !(all > 0) {
				continue
			}
			for j, k := range s.task {
				sum[j] += math.Log(max(p[k]/all, floor))
			}
			x.Windows++
		}
		switch {
		case x.Windows == 0 || !s.judged[n]:
			r.TrialsSkipped++
		default:
			r.Trials++
		}
		if x.Windows > 0 {
			best := argmax(sum)
			x.Decided = s.d.Classes[s.task[best]]
			for _, v := range sum {
				x.Evidence = append(x.Evidence, Measure(v/float64(x.Windows)))
			}
			if s.judged[n] && s.class[s.task[best]] == t.Class {
				r.TrialsCorrect++
			}
		}
		r.TrialDetail = append(r.TrialDetail, x)
	}
	chance := 1 / float64(len(s.task))
	r.TrialAccuracy = Measure(float64(r.TrialsCorrect) / float64(r.Trials))
	r.TrialChance = Measure(chance)
	r.TrialChance95 = Measure(ChanceBound(r.Trials, chance, 0.05))
	r.TrialP = Measure(Binomial(r.TrialsCorrect, r.Trials, chance))
	lo, hi := ClopperPearson(r.TrialsCorrect, r.Trials, 0.05)
	r.TrialLow95, r.TrialHigh95 = Measure(lo), Measure(hi)
}

// decided returns the truth's class a decision stands for, and how sure it is: the most
// probable one. A gate's threshold serves its commands, so it counts here only for a
// decoder that has no other way of saying idle.
func (s *scoring) decided(i int) (class int, confidence float64) {
	p := s.d.Row(i)
	k := argmax(p)
	if !s.idle && s.d.Decided != nil {
		if k = s.d.Decided[i]; k < 0 {
			return s.truth.Idle, 0
		}
		return s.class[k], p[k]
	}
	if s.d.Bad[i] || !(p[k] > 0) || !s.idle && p[k] < s.o.Rule.Confidence {
		return s.truth.Idle, 0
	}
	return s.class[k], p[k]
}

// windows judges every decision, transitions included.
func (s *scoring) windows(r *Report) error {
	n := len(s.truth.Classes)
	r.Confusion = NewConfusion(n)
	last, pure := NewConfusion(n), NewConfusion(n)
	truth, decided := make([]int, 0, len(s.keep)), make([]int, 0, len(s.keep))
	var probable [][]float64
	for _, i := range s.keep {
		w := s.truth.WindowAt(s.d.Time[i], s.o.Window)
		k, _ := s.decided(i)
		truth, decided = append(truth, w.Class), append(decided, k)
		r.Confusion[w.Class][k]++
		last[w.Last][k]++
		if w.Purity >= s.o.Purity {
			pure[w.Class][k]++
		}
		if s.idle {
			q := make([]float64, n)
			for j, c := range s.class {
				q[c] = s.d.Row(i)[j]
			}
			probable = append(probable, q)
		}
	}
	t, _ := r.Confusion.margins()
	r.Windows, r.WindowsPure = len(s.keep), int(pure.Total())
	r.NMCC, r.NMCCLast, r.NMCCPure = Measure(r.Confusion.NMCC()), Measure(last.NMCC()), Measure(pure.NMCC())
	r.BalancedAccuracy, r.Accuracy = Measure(r.Confusion.BalancedAccuracy()), Measure(r.Confusion.Accuracy())
	r.Kappa, r.IdleShare = Measure(r.Confusion.Kappa()), Measure(t[s.truth.Idle]/float64(len(s.keep)))
	undefined := Measure(math.NaN())
	r.NMCCChance, r.NMCCChance95, r.NMCCP = undefined, undefined, undefined
	r.LogLoss, r.Brier, r.ECE = undefined, undefined, undefined
	if s.idle {
		r.LogLoss, r.Brier = Measure(LogLoss(truth, probable)), Measure(Brier(truth, probable))
		r.ECE = Measure(ECE(truth, probable, 10))
	}
	if s.o.Shifts == 0 {
		return nil
	}
	least := 1
	if s.d.Step > 0 {
		least = 1 + int(math.Ceil(s.o.Window/s.d.Step))
	}
	c, err := CircularShift(truth, decided, func(a, b []int) float64 { return Count(n, a, b).NMCC() }, least, s.o.Shifts, s.o.Seed)
	if err != nil {
		return err
	}
	r.NMCCChance, r.NMCCChance95, r.NMCCP = Measure(c.Mean), Measure(c.Bound95), Measure(c.P)
	return nil
}

// events judges the commands.
func (s *scoring) events(r *Report) {
	var commands []Command
	if s.d.Command == nil {
		rule := s.o.Rule
		rule.Idle, rule.Dwell = s.truth.Idle, max(rule.Dwell, 1)
		r.Dwell, r.Refractory, r.Confidence = rule.Dwell, rule.Refractory, rule.Confidence
		all := make([]Decision, len(s.keep))
		for n, i := range s.keep {
			k, p := s.decided(i)
			all[n] = Decision{s.d.Time[i], k, p}
		}
		commands = rule.Commands(all)
	} else {
		for _, i := range s.keep {
			if k := s.d.Command[i]; k >= 0 && k < len(s.class) && s.class[k] != s.truth.Idle {
				commands = append(commands, Command{s.d.Time[i], s.class[k]})
			}
		}
	}
	// A trial that was not observed from start to end is taken out of the record.
	observed := s.observed
	var trials []Trial
	var index []int
	for i, t := range s.truth.Trials {
		if s.judged[i] {
			trials, index = append(trials, t), append(index, i)
		} else {
			observed = without(observed, Interval{t.Start, t.End + s.o.Tolerance})
		}
	}
	commands = slices.DeleteFunc(commands, func(c Command) bool {
		for _, v := range observed {
			if c.Time >= v.From && c.Time < v.To {
				return false
			}
		}
		return true
	})
	if len(observed) == 0 {
		observed = []Interval{{}}
	}
	// Compute time shifts when commands arrive, not what they were about.
	e := ScoreEvents(commands, trials, s.o.Tolerance, observed...)
	for n, i := range index {
		e.Latencies[n] += s.o.Compute
		r.TrialDetail[i].Latency = Measure(e.Latencies[n])
	}
	r.EventTPR, r.Events = Measure(e.TPR()), e.Trials
	r.Hits, r.Missed, r.Wrong, r.Repeats, r.False = e.Hits, e.Trials-e.Hits, e.Wrong, e.Repeats, e.False
	r.FAPerMin, r.FAUpper95, r.IdleMinutes = Measure(e.FalsePerMinute()), Measure(e.FalseUpper95()), Measure(e.Idle/60)
	r.Precision, r.F1 = Measure(e.Precision()), Measure(e.F1())
	l := e.Detected()
	median := Quantile(l, 0.5)
	dwell := float64(max(s.o.Rule.Dwell, 1)-1) * s.d.Step
	filter := max(0, s.d.Delay-s.o.Window/2)
	r.Latency = Latency{
		N: len(l), Median: Measure(median), Q1: Measure(Quantile(l, 0.25)), Q3: Measure(Quantile(l, 0.75)),
		P95: Measure(Quantile(l, 0.95)), PenalisedMean: Measure(e.PenalisedMean()),
		Parts: LatencyParts{
			Filter: Measure(filter), Window: Measure(s.o.Window / 2), Dwell: Measure(dwell), Compute: Measure(s.o.Compute),
			Rest: Measure(median - filter - s.o.Window/2 - dwell - s.o.Compute),
		},
	}
	r.Latency.IQR = r.Latency.Q3 - r.Latency.Q1
}

// without takes an interval out of a list of them.
func without(list []Interval, cut Interval) []Interval {
	var out []Interval
	for _, v := range list {
		if a := (Interval{v.From, min(v.To, cut.From)}); a.To > a.From {
			out = append(out, a)
		}
		if b := (Interval{max(v.From, cut.To), v.To}); b.To > b.From {
			out = append(out, b)
		}
	}
	return out
}
