package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
)

// TypeLogit marks rows of evidence that are no probabilities: a read-out to accumulate.
const TypeLogit = "logit"

// A Calibrator is a Fitter that learns how far its predecessors are to be trusted, so
// it must be fitted on trials that they did not learn from.
type Calibrator interface {
	Fitter
	// Holdout is the share of the trials of every class to keep for it, 0 to 1.
	Holdout() float64
}

// Cued is a stage that starts anew at a marker, so that it must be fitted on trials from
// the marker on, also on windows that reach back beyond it.
type Cued interface{ Cues() []string }

// HoldOut chooses which trials are kept for calibration: of the trials of every class, in
// their order, an evenly spread share. classes holds the class of each trial.
func HoldOut(classes []int, share float64) []bool {
	held, seen := make([]bool, len(classes)), map[int]int{}
	for i, c := range classes {
		n := float64(seen[c])
		held[i] = math.Floor((n+1)*share+1e-9) > math.Floor(n*share+1e-9)
		seen[c]++
	}
	return held
}

// Stop ends trials when a decoder is sure enough: the stage around a [Stopper]. Its input
// is rows of class probabilities, whose logarithms are accumulated, or of type "logit",
// which are accumulated as they are.
//
// With Cue, a trial begins at every marker of these labels: evidence of earlier columns is
// forgotten, the answer comes when the rule is met or at the end of Max seconds, and holds
// until the next cue. Name the cues of all classes, or of none: the stage does not look at
// which of them it was. Without Cue it runs on: Tau lets old evidence fade, after an answer
// nothing is accumulated for Refractory seconds, and at Max seconds without an answer the
// evidence is dropped.
//
// Output: a row of probability per class, softmax(a/κ), then "decision" (the class answered
// while the answer holds, else Idle, or -1) and "command" (the class at the column of the
// answer, else -1; never Idle), "elapsed" (s since the cue or the start) and "forced" (1
// when Max ended the trial). A column that is marked or not a number is a step without
// evidence.
//
// It is a Calibrator: κ, threshold, conformal limits and boundaries are fitted on trials
// the decoder before it has not seen. See FitStop for the method. With both κ and threshold
// given nothing is fitted, and no trial is kept from the decoder.
type Stop struct {
	Rule        string   // "confidence" (default), "entropy", "margin", "conformal", "bayes"
	Cue         []string // markers that begin a trial; nil = none
	Kappa       float64  // temperature; 0 = fitted
	Threshold   float64  // 0 = fitted
	Slack       float64  // accuracy that speed may cost, 0 to 1
	Tau         float64  // s, time constant of the evidence; 0 = kept for ever
	Dwell       int      // steps in a row with the same answer; 0 = 1
	Min, Max    float64  // s: evidence before Min is not used; at Max the answer is forced (0 = the length of the training trials)
	Coverage    float64  // conformal; 0 = 0.9
	Checkpoints int      // conformal; 0 = 5
	SetSize     int      // conformal; 0 = 1
	Cost        float64  // bayes: false alarm against miss; 0 = 1
	Discount    float64  // of every step's evidence, hop/window for overlapping windows; 0 = 1
	Refractory  float64  // s after an answer, without Cue
	Idle        string   // class that never commands; "" = none
	Share       float64  // of the trials kept for calibration; 0 = 0.25

	model *stopFile
	core  stopCore
	rows  []int // evidence
	logit bool
	x, o  []float64
	y     []float64
}

var (
	_ Calibrator = (*Stop)(nil)
	_ Cued       = (*Stop)(nil)
)

type stopFile struct {
	modelHead
	Rate   float64     `json:"rate_hz"`
	Stop   StopModel   `json:"stop"`
	Trials int         `json:"calibration_trials"`
	Full   float64     `json:"calibration_accuracy_full_length"`
	Front  []StopPoint `json:"pareto_front,omitempty"`
}

// Holdout implements Calibrator: 0 when temperature and threshold are given, so that nothing
// is left to calibrate.
func (k *Stop) Holdout() float64 {
	if k.given() {
		return 0
	}
	if k.Share == 0 {
		return 0.25
	}
	return k.Share
}

// given reports whether nothing is fitted.
func (k *Stop) given() bool {
	return k.Kappa > 0 && k.Threshold > 0 && k.Rule != StopConformal && k.Rule != StopBayes
}

// Cues implements Cued.
func (k *Stop) Cues() []string { return k.Cue }

// settings converts seconds to steps of rate.
func (k *Stop) settings(rate float64) (StopSettings, error) {
	s := StopSettings{
		Rule: k.Rule, Kappa: k.Kappa, Threshold: k.Threshold, Slack: k.Slack, Discount: k.Discount, Dwell: k.Dwell,
		Coverage: k.Coverage, Checkpoints: k.Checkpoints, SetSize: k.SetSize, Cost: k.Cost,
	}
	if !(k.Min >= 0) || !(k.Max >= 0) || k.Max > 0 && k.Min >= k.Max || math.IsInf(k.Max, 0) {
		return s, fmt.Errorf("min %g s and max %g s: give 0 ≤ min < max", k.Min, k.Max)
	}
	if !(k.Tau >= 0) || math.IsInf(k.Tau, 0) || !(k.Refractory >= 0) || math.IsInf(k.Refractory, 0) {
		return s, fmt.Errorf("tau %g s and refractory %g s: give seconds, 0 or more", k.Tau, k.Refractory)
	}
	if h := k.Holdout(); !(h > 0 && h < 1) && !k.given() {
		return s, fmt.Errorf("holdout %g: give the share of trials kept for calibration, between 0 and 1", h)
	}
	s.First, s.Steps = int(math.Round(k.Min*rate)), int(math.Round(k.Max*rate))
	if k.Max > 0 && s.Steps == 0 {
		s.Steps = 1
	}
	if k.Tau > 0 {
		s.Leak = math.Exp(-1 / (k.Tau * rate))
	}
	return s, nil
}

// evidence finds the rows to accumulate.
func evidenceRows(h *stream.Header) (rows []int, logit bool, err error) {
	for i, c := range h.Channels {
		if c.Type == TypeProbability || c.Type == TypeLogit {
			if len(rows) > 0 && logit != (c.Type == TypeLogit) {
				return nil, false, errors.New("some rows are probabilities and some are logits; a stopping rule accumulates one kind")
			}
			rows, logit = append(rows, i), c.Type == TypeLogit
		}
	}
	if len(rows) < 2 {
		return nil, false, fmt.Errorf("%d rows of probabilities; a stopping rule stands behind a classifier of at least two classes", len(rows))
	}
	return rows, logit, nil
}

// evidence returns what one column adds: ln p, floored so that one sure column does not
// rule for ever, or the logit.
func evidence(v float64, logit bool) float64 {
	if logit {
		return v
	}
	return math.Log(max(v, 1e-12))
}

// Fit calibrates on held-out trials, one per group, in order of time.
func (k *Stop) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	set, err := k.settings(rows.Header.Rate)
	if err != nil {
		return err
	}
	use, logit, err := evidenceRows(&rows.Header)
	if err != nil {
		return err
	}
	if _, err := checkLabelled(rows); err != nil {
		return err
	}
	if len(use) != len(rows.Classes) {
		return fmt.Errorf("%d rows of evidence for %d classes", len(use), len(rows.Classes))
	}
	if rows.Group == nil {
		return errors.New("the calibration windows are not grouped into trials")
	}
	var traces []Trace
	for i, x := range rows.X {
		if i == 0 || rows.Group[i] != rows.Group[i-1] {
			traces = append(traces, Trace{Class: rows.Y[i]})
		}
		t := &traces[len(traces)-1]
		if t.Class != rows.Y[i] {
			return fmt.Errorf("window %d has class %q within a trial of %q", i+1, rows.Classes[rows.Y[i]], rows.Classes[t.Class])
		}
		o := make([]float64, len(use))
		for j, r := range use {
			o[j] = evidence(x[r], logit)
		}
		t.Out = append(t.Out, o)
	}
	m, err := k.calibrate(traces, set, rows)
	if err != nil {
		return err
	}
	k.model = m
	return nil
}

func (k *Stop) calibrate(traces []Trace, set StopSettings, rows *Rows) (*stopFile, error) {
	if set.Steps == 0 { // a tenth of the trials may be shorter
		lengths := make([]int, len(traces))
		for i, t := range traces {
			lengths[i] = len(t.Out)
		}
		slices.Sort(lengths)
		set.Steps = lengths[len(lengths)/10]
	}
	fit, err := FitStop(traces, set)
	if err != nil {
		return nil, err
	}
	m := &stopFile{modelHead: head("stop", rows), Rate: rows.Header.Rate, Stop: fit.Model, Trials: fit.Trials, Full: fit.Full}
	if k.given() { // the decoder has learned from these trials: their score says nothing
		m.Trials, m.Full = 0, 0
	}
	for _, p := range fit.Points {
		if p.Pareto {
			m.Front = append(m.Front, p)
		}
	}
	return m, nil
}

// SaveModel returns the rule and its calibration.
func (k *Stop) SaveModel() (json.RawMessage, error) { return saveModel(k.model) }

// LoadModel sets it.
func (k *Stop) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "stop", &k.model, (*stopFile).check)
}

func (m *stopFile) check() error {
	if err := m.validate(2); err != nil {
		return err
	}
	if m.Stop.Classes != len(m.Classes) {
		return fmt.Errorf("the model's rule is for %d classes, it names %d", m.Stop.Classes, len(m.Classes))
	}
	if !(m.Rate > 0) || math.IsInf(m.Rate, 0) {
		return fmt.Errorf("the model's rate is %v Hz", m.Rate)
	}
	return m.Stop.Check()
}

// Fitted returns the calibrated rule; nil before Fit or LoadModel.
func (k *Stop) Fitted() *StopModel {
	if k.model == nil {
		return nil
	}
	m := k.model.Stop
	return &m
}

// Open checks that the evidence is what the rule was calibrated on.
func (k *Stop) Open(in stream.Header) (stream.Header, error) {
	if k.model == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := k.model.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if math.Abs(in.Rate-k.model.Rate) > 1e-6*k.model.Rate {
		return stream.Header{}, fmt.Errorf("the stopping rule was calibrated at %g steps a second, this stream has %g: train on this pipeline", k.model.Rate, in.Rate)
	}
	var err error
	if k.rows, k.logit, err = evidenceRows(&in); err != nil {
		return stream.Header{}, err
	}
	if len(k.rows) != len(k.model.Classes) {
		return stream.Header{}, fmt.Errorf("%d rows of evidence, the rule knows %d classes", len(k.rows), len(k.model.Classes))
	}
	if err = k.core.open(k, &k.model.Stop, in.Rate, k.model.Classes); err != nil {
		return stream.Header{}, err
	}
	k.x, k.o, k.y = make([]float64, in.Rows()), make([]float64, len(k.rows)), make([]float64, len(k.rows)+4)
	out := in
	out.Channels = stopChannels(k.model.Classes)
	return out, nil
}

func stopChannels(classes []string) []stream.Channel {
	var out []stream.Channel
	for _, c := range classes {
		out = append(out, stream.Channel{Label: c, Unit: "probability", Type: TypeProbability})
	}
	return append(
		out,
		stream.Channel{Label: "decision", Unit: "class", Type: TypeDecision},
		stream.Channel{Label: "command", Unit: "class", Type: TypeDecision},
		stream.Channel{Label: "elapsed", Unit: "s", Type: "time"},
		stream.Channel{Label: "forced", Type: "flag"},
	)
}

// Reset forgets evidence and answers; with Cue it waits for the next one.
func (k *Stop) Reset() { k.core.reset() }

// Process takes one step per column.
func (k *Stop) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		k.Reset()
	}
	mark := 0
	for i := range src.Len {
		mark = k.core.cues(src.Markers, mark, i)
		src.Column(k.x, i)
		good := !columnMarked(src, i)
		for j, r := range k.rows {
			v := k.x[r]
			good = good && v-v == 0
			k.o[j] = evidence(v, k.logit)
		}
		if good {
			k.core.step(k.y, k.o)
		} else {
			k.core.step(k.y, nil)
		}
		dst.SetColumn(i, k.y)
		if !good {
			markColumn(dst, i)
		}
	}
}

// Snapshot appends the state.
func (k *Stop) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	k.core.snapshot(&w)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (k *Stop) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	k.core.restore(&r)
	if err := r.Err(); err != nil {
		k.Reset()
		return err
	}
	return nil
}

// stopCore runs trials one after the other; it is what Stop and SNN share.
type stopCore struct {
	s      *stopper
	labels []string // cues; none = runs on
	dt     float64  // s per step
	pause  int      // steps after an answer, without cues
	idle   int      // class, or -1

	waiting bool // for the first cue
	held    bool // an answer holds
	left    int  // steps of the pause
	answer  Answer
	p       []float64 // behind the answer that holds
}

func (c *stopCore) open(k *Stop, m *StopModel, rate float64, classes []string) error {
	s, err := m.stopper()
	if err != nil {
		return err
	}
	*c = stopCore{s: s, labels: k.Cue, dt: 1 / rate, pause: int(math.Round(k.Refractory * rate)), idle: slices.Index(classes, k.Idle), p: make([]float64, len(classes))}
	if k.Idle != "" && c.idle < 0 {
		return fmt.Errorf("idle class %q is not among the classes %v", k.Idle, classes)
	}
	c.reset()
	return nil
}

func (c *stopCore) reset() {
	c.s.Reset()
	copy(c.p, c.s.p)
	c.waiting, c.held, c.left, c.answer = len(c.labels) > 0, false, 0, Answer{Class: -1}
}

// cues begins a trial when a marker at column col is a cue; mark is where to go on in the
// markers, which lie in order of column.
func (c *stopCore) cues(markers []stream.Marker, mark, col int) int {
	for ; mark < len(markers) && markers[mark].Column <= col; mark++ {
		if c.isCue(markers[mark].Label) {
			c.reset()
			c.waiting = false
		}
	}
	return mark
}

func (c *stopCore) isCue(label string) bool {
	for _, l := range c.labels {
		if l == label {
			return true
		}
	}
	return false
}

// active reports whether the next step's evidence will be used.
func (c *stopCore) active() bool { return !c.waiting && !c.held }

// wakes reports whether the coming step will use evidence: also when a pause ends with it.
func (c *stopCore) wakes() bool {
	return c.active() || c.held && len(c.labels) == 0 && c.left <= 1
}

// step advances one column and writes its row: probabilities, decision, command,
// elapsed, forced. o is nil when there is no evidence.
func (c *stopCore) step(y, o []float64) {
	n := len(c.p)
	command, ended := -1, false
	switch {
	case c.waiting:
	case c.held:
		if len(c.labels) == 0 {
			if c.left--; c.left <= 0 {
				c.reset()
			}
		}
	}
	if c.active() {
		a, stop := c.s.Push(o, c.dt)
		c.answer = a
		copy(c.p, c.s.p)
		switch {
		case !stop:
		case len(c.labels) > 0:
			c.held = true
			if a.Class != c.idle {
				command = a.Class
			}
		case a.Forced:
			ended = true
		default:
			c.held, c.left = true, c.pause+1
			if a.Class != c.idle {
				command = a.Class
			}
		}
	}
	copy(y, c.p)
	y[n], y[n+1], y[n+2], y[n+3] = float64(c.idle), float64(command), c.answer.Elapsed, 0
	if c.held {
		y[n] = float64(c.answer.Class)
		y[n+3] = b2f(c.answer.Forced)
	}
	if ended {
		c.s.Reset()
		c.answer = Answer{Class: -1}
	}
}

func (c *stopCore) snapshot(w *stream.StateWriter) {
	s := c.s
	w.Floats(s.a)
	w.Floats(s.p)
	w.Floats(c.p)
	for _, v := range []int{s.step, s.run, s.last, s.next, s.set, c.left, c.answer.Class, c.answer.Step} {
		w.Int(int64(v))
	}
	for _, v := range []float64{s.elapsed, c.answer.Confidence, c.answer.Elapsed} {
		w.Float(v)
	}
	w.Bool(c.waiting)
	w.Bool(c.held)
	w.Bool(c.answer.Forced)
}

func (c *stopCore) restore(r *stream.StateReader) {
	s := c.s
	r.Floats(s.a)
	r.Floats(s.p)
	r.Floats(c.p)
	for _, v := range []*int{&s.step, &s.run, &s.last, &s.next, &s.set, &c.left, &c.answer.Class, &c.answer.Step} {
		*v = int(r.Int())
	}
	for _, v := range []*float64{&s.elapsed, &c.answer.Confidence, &c.answer.Elapsed} {
		*v = r.Float()
	}
	c.waiting, c.held, c.answer.Forced = r.Bool(), r.Bool(), r.Bool()
	if s.step < 0 || s.next < 0 || s.next > len(s.m.Checkpoints) || c.answer.Class < -1 || c.answer.Class >= len(c.p) {
		c.reset()
	}
}
