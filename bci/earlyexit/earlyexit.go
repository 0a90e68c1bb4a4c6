// Package earlyexit measures, on real recordings, how much time a decoder saves by
// answering as soon as it is sure, and what that costs.
//
//	other runs ─► Trainer (as bci train) ─► model: decoder + stopping rule
//	                  └ held-out trials ─► temperature, thresholds, conformal limits
//	held-out run ─► Engine, as live ─► read-out of every step ─► every rule, the oracle
//	                              └► stop stage ─► the answers, checked against the above
//
// Runs are held out in turn, subjects are pooled. Nothing is fitted, chosen or calibrated
// on the trials that are scored.
package earlyexit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/recordings/npz"
	"neurostream/replay"
	"neurostream/stream"
)

//go:embed *.yaml
var pipelines embed.FS

// Study is one paradigm: recordings in folds, and pipelines to compare.
type Study struct {
	Name     string
	About    string
	Decoders []Decoder
	// load returns the runs in folds: those of one fold are held out together.
	load func(dir string) ([]run, int, error)
}

// Decoder is a pipeline file whose last stage is a stopping rule.
type Decoder struct {
	Name, File string
	Output     string // stage whose output is the evidence
}

// run is one recording of one subject.
type run struct {
	name string
	rec  recordings.Recording
	fold int
}

// Studies lists what can be measured.
var Studies = []Study{
	{
		Name: "ssvep", About: "SSVEP, 4 classes (13, 17, 21 Hz, rest), 9 subjects, 8 channels (Kalunga2016)",
		Decoders: []Decoder{{"SNN on canonical correlations", "ssvep.yaml", "snn"}, {"logistic regression on the same", "ssvep-logistic.yaml", "logistic"}},
		load:     loadSSVEP,
	},
	{
		Name: "graz", About: "motor imagery, 2 classes, 1 subject, 3 channels (BCI Competition II, III)",
		Decoders: []Decoder{{"SNN on band power", "graz.yaml", "snn"}, {"logistic regression on the same", "graz-logistic.yaml", "logistic"}},
		load:     loadGraz,
	},
	{
		Name: "imagery", About: "motor imagery, 2 classes, 12 subjects, 21 of 64 channels (EEGMMIDB)",
		Decoders: []Decoder{{"SNN on tangent space", "imagery.yaml", "snn"}, {"logistic regression on the same", "imagery-logistic.yaml", "logistic"}},
		load:     loadImagery,
	},
}

// rules are what is compared; the first is the one in the pipelines.
var rules = []struct {
	Name string
	Set  decoders.StopSettings
}{
	{"Dynamic Confidence", decoders.StopSettings{Rule: decoders.StopConfidence}},
	{"Dynamic Confidence, slack 2 %", decoders.StopSettings{Rule: decoders.StopConfidence, Slack: 0.02}},
	{"entropy", decoders.StopSettings{Rule: decoders.StopEntropy}},
	{"margin", decoders.StopSettings{Rule: decoders.StopMargin}},
	{"patience (4 steps)", decoders.StopSettings{Rule: decoders.StopConfidence, Dwell: 4}},
	{"Bayes", decoders.StopSettings{Rule: decoders.StopBayes}},
	{"conformal 90 %", decoders.StopSettings{Rule: decoders.StopConformal, Coverage: 0.9, Checkpoints: 4}},
}

// Report holds the results of one study.
type Report struct {
	Study    string          `json:"study"`
	About    string          `json:"about"`
	Decoders []DecoderReport `json:"decoders"`
}

// DecoderReport is one decoder under every rule.
type DecoderReport struct {
	Decoder   string       `json:"decoder"`
	Pipeline  string       `json:"pipeline"`
	Decisions int          `json:"decisions"`       // held out
	Held      []int        `json:"calibrated_on"`   // trials per fold
	Chance    float64      `json:"chance"`          // of a guesser that always says the most frequent class
	Seconds   float64      `json:"fixed_length_s"`  // of a full trial
	Full      float64      `json:"fixed_accuracy"`  // answer at full length
	FullCI    [2]float64   `json:"fixed_ci95"`      // Clopper-Pearson
	Shortest  float64      `json:"shortest_s"`      // fixed length that loses at most 1 point, chosen on the calibration trials
	ShortAcc  float64      `json:"shortest_acc"`    // its accuracy on the held-out trials
	Oracle    float64      `json:"oracle_accuracy"` // right at some step
	OracleS   float64      `json:"oracle_s"`        // mean time to the first right step
	Curve     []CurvePoint `json:"curve"`
	Rules     []RuleReport `json:"rules"`
	Computed  int64        `json:"network_steps_computed,omitempty"`
	Saved     int64        `json:"network_steps_saved,omitempty"`
}

// CurvePoint is the accuracy at one time after the cue.
type CurvePoint struct {
	Seconds float64 `json:"s"`
	Fixed   float64 `json:"fixed"` // everybody stops here
	Ever    float64 `json:"oracle"`
}

// RuleReport is one rule on the held-out trials.
type RuleReport struct {
	Rule       string     `json:"rule"`
	Accuracy   float64    `json:"accuracy"`
	CI         [2]float64 `json:"ci95"`
	Lost       float64    `json:"points_lost"`      // against full length, in points of 100
	LostCI     [2]float64 `json:"points_lost_ci95"` // paired: trials that only one of the two gets right
	Mean       float64    `json:"mean_s"`
	Median     float64    `json:"median_s"`
	P90        float64    `json:"p90_s"`
	Saving     float64    `json:"saving"` // of the time at full length
	Forced     float64    `json:"forced"` // share that ran to the end
	Coverage   float64    `json:"coverage,omitempty"`
	CoverageCI [2]float64 `json:"coverage_ci95,omitzero"`
	SetSize    float64    `json:"mean_set,omitempty"`
}

// Run makes one study from the data in dir.
func (s *Study) Run(ctx context.Context, dir string, progress func(what string, done float64)) (*Report, error) {
	if progress == nil {
		progress = func(string, float64) {}
	}
	runs, folds, err := s.load(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, r := range runs {
			r.rec.Close()
		}
	}()
	out := &Report{Study: s.Name, About: s.About}
	for i, d := range s.Decoders {
		report, err := d.judge(ctx, runs, folds, func(what string, done float64) {
			progress(s.Name+": "+what, (float64(i)+done)/float64(len(s.Decoders)))
		})
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", s.Name, d.Name, err)
		}
		out.Decoders = append(out.Decoders, *report)
	}
	return out, nil
}

// trial is a trace with what the stop stage said of it, live.
type trial struct {
	decoders.Trace
	kept  bool    // for calibration
	class int     // answered; -1 = none
	taken float64 // s
}

func (d *Decoder) judge(ctx context.Context, runs []run, folds int, progress func(string, float64)) (*DecoderReport, error) {
	text, err := pipelines.ReadFile(d.File)
	if err != nil {
		return nil, err
	}
	p, err := bci.ParsePipeline(d.File, text)
	if err != nil {
		return nil, err
	}
	r := &DecoderReport{Decoder: d.Name, Pipeline: d.File}
	var test []decoders.Trace
	outcomes := make([][]outcome, len(rules))
	full := []bool{}
	var rate float64
	var model decoders.StopModel
	shortRight, shortSum := 0, 0.0
	for f := range folds {
		at := func(done float64) float64 { return (float64(f) + done) / float64(folds) }
		tr := bci.Trainer{Pipeline: p, Progress: func(what string, done float64) { progress(what, at(0.7*done)) }}
		for _, q := range runs {
			if q.fold != f {
				tr.Recordings = append(tr.Recordings, bci.TrainingRecording{Name: q.name, Recording: q.rec})
			}
		}
		m, err := tr.Train(ctx)
		if err != nil {
			return nil, err
		}
		progress("calibration", at(0.8))
		cal, _, err := d.stream(ctx, p, m, tr.Recordings, &tr)
		if err != nil {
			return nil, err
		}
		var kept []decoders.Trace
		for _, t := range cal {
			if t.kept {
				kept = append(kept, t.Trace)
			}
		}
		progress("held-out runs", at(0.9))
		var held []bci.TrainingRecording
		for _, q := range runs {
			if q.fold == f {
				held = append(held, bci.TrainingRecording{Name: q.name, Recording: q.rec})
			}
		}
		live, hz, err := d.stream(ctx, p, m, held, nil)
		if err != nil {
			return nil, err
		}
		rate = hz
		fitted, settings, err := fittedRule(p, m)
		if err != nil {
			return nil, err
		}
		model = *fitted
		traces := make([]decoders.Trace, len(live))
		for i := range live {
			traces[i] = live[i].Trace
		}
		if err := sameAnswers(live, traces, fitted, rate); err != nil {
			return nil, err
		}
		ends, err := decoders.Replay(traces, never(fitted))
		if err != nil {
			return nil, err
		}
		for i, e := range ends {
			full = append(full, e.Class == traces[i].Class)
		}
		steps, right := shortest(kept, traces, fitted)
		shortRight += right
		shortSum += float64(steps) / rate * float64(len(traces))
		for i, rule := range rules {
			set := rule.Set
			set.Leak, set.Steps, set.First = settings.Leak, fitted.Steps, fitted.First
			o, err := apply(kept, traces, set, fitted, i == 0)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rule.Name, err)
			}
			outcomes[i] = append(outcomes[i], o...)
		}
		test = append(test, traces...)
		r.Held = append(r.Held, len(kept))
	}
	n := len(test)
	r.Decisions, r.Seconds = n, float64(model.Steps)/rate
	counts := make([]int, model.Classes)
	for _, t := range test {
		counts[t.Class]++
	}
	r.Chance = float64(slices.Max(counts)) / float64(n)
	r.Full, r.FullCI = share(full)
	r.Shortest, r.ShortAcc = shortSum/float64(n), float64(shortRight)/float64(n)
	o := decoders.NewOracle(test, &model)
	r.Oracle, r.OracleS = o.Accuracy, o.Steps/rate
	for s := range o.Fixed {
		if (s+1)%max(1, len(o.Fixed)/8) == 0 {
			r.Curve = append(r.Curve, CurvePoint{float64(s+1) / rate, o.Fixed[s], o.Ever[s]})
		}
	}
	if d.Output == "snn" { // an exit inside the network computes these and no others
		for _, q := range outcomes[0] {
			r.Computed += int64(q.steps)
			r.Saved += int64(model.Steps - q.steps)
		}
	}
	for i, rule := range rules {
		r.Rules = append(r.Rules, summary(rule.Name, outcomes[i], full, rate, model.Steps))
	}
	return r, nil
}

// fittedRule reads the rule out of the model: what the stop stage runs with.
func fittedRule(p *bci.Pipeline, m *bci.Model) (*decoders.StopModel, decoders.StopSettings, error) {
	links := p.Build()
	k, ok := links[len(links)-1].Stage.(*decoders.Stop)
	if !ok {
		return nil, decoders.StopSettings{}, errors.New("the last stage of the pipeline is no stop stage")
	}
	if err := k.LoadModel(m.Stages[len(m.Stages)-1].Params); err != nil {
		return nil, decoders.StopSettings{}, err
	}
	f := k.Fitted()
	return f, decoders.StopSettings{Leak: f.Leak}, nil
}

// never is the rule that runs every trial to its end.
func never(m *decoders.StopModel) *decoders.StopModel {
	c := *m
	c.Rule, c.Threshold, c.Dwell = decoders.StopConfidence, 2, 1
	return &c
}

// sameAnswers checks that the stop stage, streaming, answered what the rule says of the
// read-out: class and time of every trial.
func sameAnswers(live []trial, traces []decoders.Trace, m *decoders.StopModel, rate float64) error {
	answers, err := decoders.Replay(traces, m)
	if err != nil {
		return err
	}
	for i, a := range answers {
		if len(traces[i].Out) < m.Steps && a.Forced {
			continue // the recording ended first: nothing was answered live
		}
		if live[i].class != a.Class || math.Abs(live[i].taken-float64(a.Step)/rate) > 1e-9 {
			return fmt.Errorf("trial %d: the stream answered class %d after %.3f s, the rule says %d after %.3f s", i+1, live[i].class, live[i].taken, a.Class, float64(a.Step)/rate)
		}
	}
	return nil
}

// shortest chooses on the calibration trials the shortest fixed length that loses at most
// one point, and counts how often it is right on the others.
func shortest(cal, test []decoders.Trace, m *decoders.StopModel) (steps, right int) {
	fixed := decoders.NewOracle(cal, m).Fixed
	steps = slices.IndexFunc(fixed, func(a float64) bool { return a >= fixed[len(fixed)-1]-0.01-1e-12 }) + 1
	c := *never(m)
	c.Steps = steps
	if a, err := decoders.Replay(test, &c); err == nil {
		for i := range a {
			if a[i].Class == test[i].Class {
				right++
			}
		}
	}
	return steps, right
}

// outcome is one trial under one rule.
type outcome struct {
	right, forced, covered bool
	steps, set             int
}

// apply calibrates a rule on cal, or takes the fitted one, and runs it on test.
func apply(cal, test []decoders.Trace, set decoders.StopSettings, fitted *decoders.StopModel, given bool) ([]outcome, error) {
	m := *fitted
	if !given {
		f, err := decoders.FitStop(cal, set)
		if err != nil {
			return nil, err
		}
		m = f.Model
	}
	var out []outcome
	if m.Rule == decoders.StopConformal {
		c, err := decoders.ReplayConformal(test, &m)
		for i, a := range c {
			out = append(out, outcome{a.Class == test[i].Class, a.Forced, a.Covered, a.Step, len(a.Set)})
		}
		return out, err
	}
	a, err := decoders.Replay(test, &m)
	for i, a := range a {
		out = append(out, outcome{right: a.Class == test[i].Class, forced: a.Forced, steps: a.Step})
	}
	return out, err
}

func share(right []bool) (p float64, ci [2]float64) {
	k := 0
	for _, r := range right {
		if r {
			k++
		}
	}
	ci[0], ci[1] = replay.ClopperPearson(k, len(right), 0.05)
	return float64(k) / float64(len(right)), ci
}

func summary(name string, o []outcome, full []bool, rate float64, steps int) RuleReport {
	r := RuleReport{Rule: name}
	n := float64(len(o))
	var right, covered []bool
	var times []float64
	b, c := 0.0, 0.0 // only full length right, only the rule right
	conformal := false
	for i, q := range o {
		right, covered = append(right, q.right), append(covered, q.covered)
		times = append(times, float64(q.steps)/rate)
		r.Mean += float64(q.steps) / rate / n
		r.SetSize += float64(q.set) / n
		conformal = conformal || q.set > 0
		if q.forced {
			r.Forced += 1 / n
		}
		switch {
		case full[i] && !q.right:
			b++
		case q.right && !full[i]:
			c++
		}
	}
	r.Accuracy, r.CI = share(right)
	r.Lost = 100 * (b - c) / n
	half := 100 * 1.96 * math.Sqrt(max(0, b+c-(b-c)*(b-c)/n)) / n
	r.LostCI = [2]float64{r.Lost - half, r.Lost + half}
	sort.Float64s(times)
	r.Median, r.P90 = replay.Quantile(times, 0.5), replay.Quantile(times, 0.9)
	r.Saving = 1 - r.Mean/(float64(steps)/rate)
	if conformal {
		r.Coverage, r.CoverageCI = share(covered)
	}
	return r
}

// stream runs recordings through the pipeline as live, and cuts what comes out at the cues:
// the evidence of every step, and the answers of the stop stage.
func (d *Decoder) stream(ctx context.Context, p *bci.Pipeline, m *bci.Model, recs []bci.TrainingRecording, tr *bci.Trainer) ([]trial, float64, error) {
	classOf, classes := p.ClassOf(), p.Classes()
	var all []trial
	rate := 0.0
	task, err := p.Task()
	if err != nil {
		return nil, 0, err
	}
	for ri, rec := range recs {
		evidence, answers := &rows{cues: classOf}, &rows{cues: classOf}
		player := &replay.Player{Recordings: []recordings.Recording{rec.Recording}}
		e, err := bci.NewEngine(p, m, player, []bci.Output{
			{Name: "evidence", Sink: evidence, From: d.Output, Lossless: true}, {Name: "answers", Sink: answers, Lossless: true},
		}, bci.Options{Slots: 2})
		if err != nil {
			return nil, 0, err
		}
		if err := e.Open(ctx); err != nil {
			return nil, 0, err
		}
		if err := e.Run(ctx); err != nil {
			return nil, 0, err
		}
		rate = answers.rate
		truth, err := replay.NewTruth(task, rec.Recording.Annotations(), rec.Recording.Header().Rate, rec.Recording.Len())
		if err != nil {
			return nil, 0, err
		}
		for i, from := range evidence.begin {
			to := len(evidence.x)
			if i+1 < len(evidence.begin) {
				to = evidence.begin[i+1]
			}
			t := trial{class: -1}
			t.Class = slices.Index(classes, classOf[evidence.label[i]])
			for s := from; s < to; s++ {
				o := make([]float64, len(classes))
				for k := range o {
					o[k] = evidence.x[s][k]
					if evidence.probability {
						o[k] = math.Log(max(o[k], 1e-12))
					}
				}
				if evidence.bad[s] {
					return nil, 0, fmt.Errorf("%s: trial %d has a marked step", rec.Name, i+1)
				}
				t.Out = append(t.Out, o)
				if y := answers.x[s]; t.class < 0 && y[len(classes)+1] >= 0 {
					t.class, t.taken = int(y[len(classes)+1]), y[len(classes)+2]
				}
			}
			if tr != nil {
				if stretch := stretchAt(truth, evidence.onset[i]); stretch > 0 {
					t.kept = tr.Kept(ri, stretch)
				}
			}
			all = append(all, t)
		}
	}
	return all, rate, nil
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
	cues        map[string]string
	x           [][]float64
	bad         []bool
	begin       []int
	label       []string
	onset       []float64
	rate        float64
	probability bool
}

func (r *rows) Open(_ context.Context, in stream.Header) error {
	r.rate = in.Rate
	r.probability = in.Channels[0].Type == decoders.TypeProbability
	return nil
}

func (r *rows) Write(src *stream.Chunk) error {
	for i := range src.Len {
		for _, m := range src.Markers {
			if _, cue := r.cues[m.Label]; cue && m.Column == i {
				r.begin, r.label, r.onset = append(r.begin, len(r.x)), append(r.label, m.Label), append(r.onset, m.Time.Seconds())
			}
		}
		r.x, r.bad = append(r.x, src.Column(nil, i)), append(r.bad, src.IsBad(0, i))
	}
	return nil
}

func (r *rows) Close() error { return nil }

// missing says where data are to be had.
func missing(pattern, dir, where string) error {
	return fmt.Errorf("no %s in %s; %s", pattern, dir, where)
}

func files(dir, pattern, where string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing(pattern, dir, where)
	}
	sort.Strings(found)
	return found, nil
}

// loadSSVEP takes every second run of a subject as one fold. One run stands in the set
// under two subjects; it is used once.
func loadSSVEP(dir string) ([]run, int, error) {
	paths, err := files(dir, "ssvep_exo/S*.edf.gz", "they come from github.com/sylvchev/dataset-ssvep-exoskeleton (CC0), as EDF+")
	if err != nil {
		return nil, 0, err
	}
	var out []run
	count := map[string]int{}
	for _, p := range paths {
		name := strings.TrimSuffix(filepath.Base(p), ".edf.gz")
		if name == "S07_2012.07.11-15.33.08" { // identical to a run of S03
			continue
		}
		r, err := recordings.Open(p)
		if err != nil {
			return out, 0, err
		}
		subject := name[:3]
		out = append(out, run{name, r, count[subject] % 2})
		count[subject]++
	}
	return out, 2, nil
}

// loadImagery takes the three runs of imagined left and right fist as folds.
func loadImagery(dir string) ([]run, int, error) {
	var out []run
	for f, r := range []string{"R04", "R08", "R12"} {
		paths, err := files(dir, "eegmmidb/S*/S*"+r+".edf.gz", "they come from physionet.org/content/eegmmidb (ODC-By 1.0)")
		if err != nil {
			return out, 0, err
		}
		for _, p := range paths {
			rec, err := recordings.Open(p)
			if err != nil {
				return out, 0, err
			}
			out = append(out, run{strings.TrimSuffix(filepath.Base(p), ".edf.gz"), rec, f})
		}
	}
	return out, 3, nil
}

// loadGraz makes a recording of every trial: the two halves of the competition are folds.
func loadGraz(dir string) ([]run, int, error) {
	path := filepath.Join(dir, "bci2003_iii", "bci2003_iii.npz")
	if _, err := os.Stat(path); err != nil {
		return nil, 0, missing("bci2003_iii/bci2003_iii.npz", dir, "it is data set III of BCI Competition II (bbci.de/competition/ii)")
	}
	a, err := npz.Open(path)
	if err != nil {
		return nil, 0, err
	}
	var out []run
	for f, part := range []string{"train", "test"} {
		x, y := a[part+"_x"], a[part+"_y"]
		if len(x.Shape) != 3 || x.Shape[2] != 3 || len(y.Data) != x.Shape[0] {
			return nil, 0, fmt.Errorf("%s: %s_x is %v, expected trials × samples × 3", path, part, x.Shape)
		}
		for k := range x.Shape[0] {
			h := stream.Header{Name: fmt.Sprintf("%s %d", part, k+1), Rate: 128, MaxLen: 64}
			for _, n := range []string{"C3", "Cz", "C4"} {
				h.Channels = append(h.Channels, stream.Channel{Label: n, Unit: "a.u.", Type: "EEG"})
			}
			n := x.Shape[1]
			c := new(stream.Chunk)
			c.Alloc(3, n)
			c.Resize(n)
			for i := range n {
				at := (k*n + i) * 3
				c.SetColumn(i, []float64{x.Data[at] / 2048, x.Data[at+1] / 2048, x.Data[at+2] / 2048})
			}
			label := []string{"left", "right"}[int(y.Data[k])&1]
			out = append(out, run{h.Name, &recordings.Memory{Stream: h, Data: c, Notes: []recordings.Annotation{{Onset: 0, Duration: float64(n) / 128, Label: label}}}, f})
		}
	}
	return out, 2, nil
}
