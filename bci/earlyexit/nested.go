package earlyexit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// inner is the number of folds that a choice is made with.
const inner = 3

// job is one outer fold of one decoder.
type job struct {
	study       *Study
	decoder     *Decoder
	train, test []run
	seed        uint64
	streamed    *bci.Streamed
	progress    func(what string, done float64)
}

// trial is the read-out of one trial.
type trial struct {
	decoders.Trace
	times []float64 // s after the cue at which the data of a step were there
	class int       // answered live; -1 = none
	step  float64   // live: s on the recording's clock
}

// rule is one way to stop, calibrated on the inner folds.
type rule struct {
	name  string
	model decoders.StopModel
}

// decision is everything the report needs of one held-out trial.
type decision struct {
	Class int       `json:"class"`
	Times []float64 `json:"times_s"`
	Fixed []bool    `json:"right"` // at every step, if all stop there
	Rules []outcome `json:"rules"` // in the order of the fold's rules
}

// outcome is one trial under one rule.
type outcome struct {
	Right   bool    `json:"right"`
	Forced  bool    `json:"forced"`
	Seconds float64 `json:"s"`
	Steps   int     `json:"steps"`
	Covered bool    `json:"covered,omitempty"`
	Set     int     `json:"set,omitempty"`
}

// fold is the outcome of one outer fold.
type fold struct {
	Name      string     `json:"name"`
	Choice    string     `json:"choice"`
	Inner     float64    `json:"inner_accuracy"` // at full length, on the calibration trials
	Trials    int        `json:"calibration_trials"`
	Tau       float64    `json:"tau_s"`         // chosen; 0 = evidence is kept
	Kappa     float64    `json:"kappa"`         // fitted
	Threshold float64    `json:"threshold"`     // chosen
	Short     int        `json:"shortest_step"` // fixed length within the tolerance, on the calibration trials
	Names     []string   `json:"rules"`
	Tried     []tried    `json:"tried"` // the grid
	Decisions []decision `json:"decisions"`
	Steps     int        `json:"steps"`               // of a full trial
	Hash      string     `json:"pipeline_and_models"` // of what was run
}

// tried is one configuration with its best leak.
type tried struct {
	Choice   string  `json:"choice"`
	Tau      float64 `json:"tau_s"`
	Accuracy float64 `json:"accuracy"`
}

// run makes the fold.
func (j *job) run(ctx context.Context) (*fold, error) {
	where, err := j.innerFolds()
	if err != nil {
		return nil, err
	}
	choices := j.decoder.choices(j.seed)
	traces, rate, err := j.readOut(ctx, choices, where)
	if err != nil {
		return nil, err
	}
	steps := int(math.Round(j.study.Max * rate))
	f := &fold{Steps: steps, Inner: -1}
	at, second := 0, 0.0
	for i, c := range choices {
		best := tried{Choice: c.String(), Accuracy: -1}
		for _, tau := range j.study.Taus {
			m := decoders.StopModel{Rule: decoders.StopConfidence, Classes: len(traces[i][0].Out[0]), Kappa: 1, Threshold: 2, Leak: leak(tau, rate), Discount: 1, Dwell: 1, Steps: steps}
			fixed := decoders.NewOracle(traces[i], &m).Fixed
			full, mean := fixed[len(fixed)-1], 0.0
			for _, v := range fixed {
				mean += v / float64(len(fixed))
			}
			if full > best.Accuracy {
				best.Accuracy, best.Tau = full, tau
			}
			if full > f.Inner+1e-12 || math.Abs(full-f.Inner) < 1e-12 && mean > second+1e-12 {
				f.Inner, second, f.Tau, at = full, mean, tau, i
			}
		}
		f.Tried = append(f.Tried, best)
	}
	f.Choice, f.Trials = choices[at].String(), len(traces[at])
	rules, err := j.calibrate(traces[at], f, rate)
	if err != nil {
		return nil, err
	}
	main := &rules[0].model
	f.Kappa, f.Threshold = main.Kappa, main.Threshold
	for _, r := range rules {
		f.Names = append(f.Names, r.name)
	}
	fixed := decoders.NewOracle(traces[at], main).Fixed
	f.Short = slices.IndexFunc(fixed, func(a float64) bool { return a >= fixed[len(fixed)-1]-Tolerance-1e-12 }) + 1

	text := fmt.Sprintf("  - stop: {rule: confidence, kappa: %s, threshold: %s, max: %g", number(main.Kappa), number(main.Threshold), j.study.Max)
	if f.Tau > 0 {
		text += fmt.Sprintf(", tau: %g", f.Tau)
	}
	p, err := j.decoder.pipeline(choices[at], text+", cue: ["+strings.Join(j.cues(nil), ", ")+"]}\n")
	if err != nil {
		return nil, err
	}
	if len(j.study.Cue) == 0 {
		if p, err = j.decoder.pipeline(choices[at], text+", cue: ["+strings.Join(j.cues(p), ", ")+"]}\n"); err != nil {
			return nil, err
		}
	}
	tr := bci.Trainer{Pipeline: p, Recordings: training(j.train), Streamed: j.streamed, Progress: func(what string, done float64) { j.progress("final decoder: "+what, 0.7+0.15*done) }}
	m, err := tr.Train(ctx)
	if err != nil {
		return nil, err
	}
	var live []trial
	for i := range j.test {
		j.progress("held-out runs, as live", 0.85+0.15*float64(i)/float64(len(j.test)))
		t, err := j.live(ctx, p, m, &j.test[i])
		if err != nil {
			return nil, err
		}
		live = append(live, t...)
	}
	if err := sameAnswers(live, p, m, rate); err != nil {
		return nil, err
	}
	f.Hash = m.Hash
	return f, j.judge(f, live, rules)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func leak(tau, rate float64) float64 {
	if tau == 0 {
		return 1
	}
	return math.Exp(-1 / (tau * rate))
}

// cues are the markers that begin a trial.
func (j *job) cues(p *bci.Pipeline) []string {
	if len(j.study.Cue) > 0 || p == nil {
		return j.study.Cue
	}
	var out []string
	for label := range p.ClassOf() {
		out = append(out, label)
	}
	slices.Sort(out)
	return out
}

func training(runs []run) []bci.TrainingRecording {
	var out []bci.TrainingRecording
	for _, r := range runs {
		out = append(out, bci.TrainingRecording{Name: r.name, Recording: r.rec})
	}
	return out
}

// innerFolds divides the training trials: those of one class in one recording into successive
// blocks (runs may go through the classes one after the other), and recordings of a single
// trial likewise. It returns the fold of every change of state, by recording; index 0 is
// unused.
func (j *job) innerFolds() ([][]int, error) {
	p, err := j.decoder.pipeline(j.decoder.choices(j.seed)[0], "")
	if err != nil {
		return nil, err
	}
	task, err := p.Task()
	if err != nil {
		return nil, err
	}
	type key struct{ recording, class int }
	total, seen := map[key]int{}, map[key]int{}
	truths := make([]*replay.Truth, len(j.train))
	unit := func(r, class int) key { // trials of a class that are divided together
		if len(truths[r].Changes) <= 2 || j.train[r].times != nil {
			r = -1
		}
		return key{r, class}
	}
	each := func(f func(r, change int, k key)) {
		for r, t := range truths {
			for i, c := range t.Changes {
				if c.Class < len(p.Classes()) {
					f(r, i, unit(r, c.Class))
					if j.train[r].times != nil {
						break // one trial in several stretches
					}
				}
			}
		}
	}
	for r, q := range j.train {
		if truths[r], err = replay.NewTruth(task, q.rec.Annotations(), q.rec.Header().Rate, q.rec.Len()); err != nil {
			return nil, err
		}
	}
	each(func(_, _ int, k key) { total[k]++ })
	out := make([][]int, len(j.train))
	each(func(r, change int, k key) {
		for len(out[r]) <= change+1 { // what lies between trials goes with the one before
			last := 0
			if n := len(out[r]); n > 0 {
				last = out[r][n-1]
			}
			out[r] = append(out[r], last)
		}
		out[r][change+1] = seen[k] * inner / total[k]
		seen[k]++
	})
	for r, t := range truths {
		for len(out[r]) <= len(t.Changes) && len(out[r]) > 0 {
			out[r] = append(out[r], out[r][len(out[r])-1])
		}
	}
	return out, nil
}

// readOut trains every configuration on all inner folds but one and streams that one
// through it: read-outs of trials that the decoder has not seen.
func (j *job) readOut(ctx context.Context, choices []choice, where [][]int) ([][]decoders.Trace, float64, error) {
	type task struct{ choice, fold int }
	var tasks []task
	for c := range choices {
		for k := range inner {
			tasks = append(tasks, task{c, k})
		}
	}
	results := make([][]trial, len(tasks))
	rates := make([]float64, len(tasks))
	errs := make([]error, len(tasks))
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next, done := 0, 0
	for range min(len(tasks), max(1, runtime.GOMAXPROCS(0))) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(tasks) {
					return
				}
				results[i], rates[i], errs[i] = j.innerFold(ctx, choices[tasks[i].choice], tasks[i].fold, where)
				if errs[i] != nil {
					cancel()
				}
				mu.Lock()
				done++
				j.progress(fmt.Sprintf("choosing among %d", len(choices)), 0.7*float64(done)/float64(len(tasks)))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, 0, err
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, 0, err
	}
	out := make([][]decoders.Trace, len(choices))
	for i, t := range tasks {
		for _, q := range results[i] {
			out[t.choice] = append(out[t.choice], q.Trace)
		}
	}
	return out, rates[0], nil
}

func (j *job) innerFold(ctx context.Context, c choice, fold int, where [][]int) ([]trial, float64, error) {
	p, err := j.decoder.pipeline(c, "")
	if err != nil {
		return nil, 0, err
	}
	tr := bci.Trainer{
		Pipeline: p, Recordings: training(j.train), Streamed: j.streamed,
		LeaveOut: func(r, stretch int) bool { return stretch < len(where[r]) && where[r][stretch] == fold },
	}
	m, err := tr.Train(ctx)
	if err != nil {
		return nil, 0, err
	}
	task, err := p.Task()
	if err != nil {
		return nil, 0, err
	}
	rate := 0.0
	var out []trial
	for r := range j.train {
		q := &j.train[r]
		if !slices.Contains(where[r][1:], fold) {
			continue
		}
		var e rows
		e.cues, e.labels = j.cues(p), p.ClassOf()
		err := j.streamed.Through(ctx, p, m, tr.Recordings[r], j.decoder.Output, func(h *stream.Header, c *stream.Chunk) {
			e.start(h)
			e.add(c)
		})
		if err != nil {
			return nil, 0, err
		}
		rate = e.rate
		truth, err := replay.NewTruth(task, q.rec.Annotations(), q.rec.Header().Rate, q.rec.Len())
		if err != nil {
			return nil, 0, err
		}
		trials, err := e.trials(p.Classes(), q)
		if err != nil {
			return nil, 0, err
		}
		for i, t := range trials {
			if s := stretchAt(truth, e.onset[i]); s > 0 && where[r][s] == fold {
				out = append(out, t)
			}
		}
	}
	return out, rate, nil
}

// calibrate fits the rules to read-outs of the inner folds. Dynamic Confidence takes the
// lowest threshold such that it and all higher ones lose at most the tolerance: the lowest
// of all that pass would be picked by luck too often.
func (j *job) calibrate(traces []decoders.Trace, f *fold, rate float64) ([]rule, error) {
	set := decoders.StopSettings{Leak: leak(f.Tau, rate), Steps: f.Steps}
	fit, err := decoders.FitStop(traces, set)
	if err != nil {
		return nil, err
	}
	rules := []rule{{"Dynamic Confidence", fit.Model}}
	th := 1.0
	for i := len(fit.Points) - 1; i >= 0 && fit.Points[i].Accuracy >= fit.Full-Tolerance-1e-12; i-- {
		th = fit.Points[i].Threshold
	}
	rules[0].model.Threshold = th
	set.Kappa = fit.Model.Kappa
	for _, other := range []struct {
		name string
		set  func(*decoders.StopSettings)
	}{
		{"lowest threshold without loss (Pareto)", func(*decoders.StopSettings) {}},
		{"entropy", func(s *decoders.StopSettings) { s.Rule = decoders.StopEntropy }},
		{"margin", func(s *decoders.StopSettings) { s.Rule = decoders.StopMargin }},
		{"patience (4 steps)", func(s *decoders.StopSettings) { s.Dwell = 4 }},
		{"Bayes", func(s *decoders.StopSettings) { s.Rule = decoders.StopBayes }},
		{conformalRule, func(s *decoders.StopSettings) { // each checkpoint needs ten trials, less one in all
			s.Rule, s.Coverage, s.Checkpoints = decoders.StopConformal, 0.9, min(4, max(1, (len(traces)+1)/10))
		}},
	} {
		s := set
		other.set(&s)
		fit, err := decoders.FitStop(traces, s)
		if err != nil && s.Rule == decoders.StopBayes { // scores so unlike normal ones that there is no boundary: it never stops
			rules = append(rules, rule{other.name, *never(&rules[0].model)})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", other.name, err)
		}
		rules = append(rules, rule{other.name, fit.Model})
	}
	return rules, nil
}

const conformalRule = "conformal 90 %"

// judge applies the rules to the held-out trials.
func (j *job) judge(f *fold, live []trial, rules []rule) error {
	traces := make([]decoders.Trace, len(live))
	f.Decisions = make([]decision, len(live))
	for i := range live {
		traces[i] = live[i].Trace
		d := &f.Decisions[i]
		d.Class, d.Times = live[i].Class, live[i].times[:min(f.Steps, len(live[i].times))]
		for _, v := range decoders.NewOracle(traces[i:i+1], &rules[0].model).Fixed {
			d.Fixed = append(d.Fixed, v == 1)
		}
	}
	for _, r := range rules {
		m := r.model
		if m.Rule == decoders.StopConformal {
			c, err := decoders.ReplayConformal(traces, &m)
			if err != nil {
				return err
			}
			for i, a := range c {
				f.Decisions[i].Rules = append(f.Decisions[i].Rules, outcome{a.Class == traces[i].Class, a.Forced, live[i].times[a.Step-1], a.Step, a.Covered, len(a.Set)})
			}
			continue
		}
		c, err := decoders.Replay(traces, &m)
		if err != nil {
			return err
		}
		for i, a := range c {
			f.Decisions[i].Rules = append(f.Decisions[i].Rules, outcome{Right: a.Class == traces[i].Class, Forced: a.Forced, Seconds: live[i].times[a.Step-1], Steps: a.Step})
		}
	}
	return nil
}

// sameAnswers checks that the stop stage, streaming, answered what the rule says of the
// read-out: class and time of every trial.
func sameAnswers(live []trial, p *bci.Pipeline, m *bci.Model, rate float64) error {
	links := p.Build()
	k, ok := links[len(links)-1].Stage.(*decoders.Stop)
	if !ok {
		return errors.New("the last stage of the pipeline is no stop stage")
	}
	if err := k.LoadModel(m.Stages[len(m.Stages)-1].Params); err != nil {
		return err
	}
	traces := make([]decoders.Trace, len(live))
	for i := range live {
		traces[i] = live[i].Trace
	}
	fitted := k.Fitted()
	answers, err := decoders.Replay(traces, fitted)
	if err != nil {
		return err
	}
	for i, a := range answers {
		if len(traces[i].Out) < fitted.Steps && a.Forced {
			continue // the recording ended first: nothing was answered live
		}
		if live[i].class != a.Class || math.Abs(live[i].step-float64(a.Step)/rate) > 1e-9 {
			return fmt.Errorf("trial %d: the stream answered class %d after %.3f s, the rule says %d after %.3f s", i+1, live[i].class, live[i].step, a.Class, float64(a.Step)/rate)
		}
	}
	return nil
}

// live runs a recording through the engine, and cuts what comes out at the cues: the
// evidence of every step, and the answers of the stop stage.
func (j *job) live(ctx context.Context, p *bci.Pipeline, m *bci.Model, q *run) ([]trial, error) {
	evidence, answers := &rows{cues: j.cues(p), labels: p.ClassOf()}, &rows{cues: j.cues(p), labels: p.ClassOf()}
	e, err := bci.NewEngine(p, m, &replay.Player{Recordings: []recordings.Recording{q.rec}}, []bci.Output{
		{Name: "evidence", Sink: evidence, From: j.decoder.Output, Lossless: true}, {Name: "answers", Sink: answers, Lossless: true},
	}, bci.Options{Slots: 2})
	if err != nil {
		return nil, err
	}
	if err := e.Open(ctx); err != nil {
		return nil, err
	}
	if err := e.Run(ctx); err != nil {
		return nil, err
	}
	classes := p.Classes()
	trials, err := evidence.trials(classes, q)
	if err != nil {
		return nil, err
	}
	for i := range trials {
		t := &trials[i]
		for s := range t.Out {
			if y := answers.x[evidence.begin[i]+s]; y[len(classes)+1] >= 0 {
				t.class, t.step = int(y[len(classes)+1]), y[len(classes)+2]
				break
			}
		}
	}
	return trials, nil
}

// stretchAt returns the number of the change of state at a time.
func stretchAt(t *replay.Truth, seconds float64) int {
	col := int64(math.Round(seconds * t.Rate))
	for i, c := range t.Changes {
		if c.Column == col {
			return i + 1
		}
	}
	return 0
}

// rows is a sink that keeps columns, and where cues begin a trial.
type rows struct {
	cues   []string
	labels map[string]string // class of a marker

	x           [][]float64
	at          []float64 // s, of every column: its newest sample
	bad         []bool
	begin       []int // first column of every trial
	onset       []float64
	class       []string // "" until its marker comes
	header      stream.Header
	rate        float64
	probability bool
}

func (r *rows) Open(_ context.Context, in stream.Header) error {
	r.start(&in)
	return nil
}

func (r *rows) start(in *stream.Header) {
	r.header, r.rate, r.probability = in.Clone(), in.Rate, in.Channels[0].Type == decoders.TypeProbability
}

func (r *rows) Write(src *stream.Chunk) error {
	r.add(src)
	return nil
}

func (r *rows) add(src *stream.Chunk) {
	for i := range src.Len {
		for _, m := range src.Markers {
			if m.Column != i {
				continue
			}
			if slices.Contains(r.cues, m.Label) {
				r.begin, r.onset, r.class = append(r.begin, len(r.x)), append(r.onset, m.Time.Seconds()), append(r.class, "")
			}
		}
		for _, m := range src.Markers {
			if n := len(r.class); m.Column == i && n > 0 && r.class[n-1] == "" {
				r.class[n-1] = r.labels[m.Label]
			}
		}
		r.x, r.bad = append(r.x, src.Column(nil, i)), append(r.bad, src.IsBad(0, i))
		r.at = append(r.at, src.T0.Seconds()+float64(i)/r.rate)
	}
}

func (r *rows) Close() error { return nil }

// trials cuts the columns.
func (r *rows) trials(classes []string, q *run) ([]trial, error) {
	var out []trial
	for i, from := range r.begin {
		to := len(r.x)
		if i+1 < len(r.begin) {
			to = r.begin[i+1]
		}
		t := trial{class: -1, times: q.times}
		if t.Class = slices.Index(classes, r.class[i]); t.Class < 0 {
			return nil, fmt.Errorf("%s: the trial at %.3f s has no class", q.name, r.onset[i])
		}
		for s := from; s < to; s++ {
			if r.bad[s] {
				return nil, fmt.Errorf("%s: trial %d has a marked step", q.name, i+1)
			}
			o := make([]float64, len(classes))
			for k := range o {
				if o[k] = r.x[s][k]; r.probability {
					o[k] = math.Log(max(o[k], 1e-12))
				}
			}
			t.Out = append(t.Out, o)
			if q.times == nil {
				t.times = append(t.times, r.at[s]-r.onset[i])
			}
		}
		if len(t.Out) > len(t.times) {
			t.Out = t.Out[:len(t.times)]
		}
		out = append(out, t)
	}
	return out, nil
}
