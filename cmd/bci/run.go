package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/features"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

func newRun() *cobra.Command {
	var r runner
	c := &cobra.Command{
		Use:   "run PIPELINE",
		Short: "Run a pipeline over a live stream or a recording",
		Long: `run reads a source, runs it through the stages of a pipeline file and hands what
comes out to any number of sinks. When the source is a recording with labelled
annotations and the pipeline says what they mean (labels:), the decisions are
scored at the end.

Sources (--from):
` + bci.ListSources() + `
Sinks (--to, may be given more than once; ?tap=STAGE listens behind a stage):
  ws://127.0.0.1:8080                a page that shows signals and decisions
` + bci.ListSinks(),
		Example: `  bci run mi.yaml --model mi.model --from sample:S007R12
  bci run mi.yaml --model mi.model --from 'file:s01.edf?speed=1' --to ws://127.0.0.1:8080 --to csv:decisions.csv
  bci run mi.yaml --model mi.model --reload --from 'lsl://?type=EEG'     a newer mi.model takes over between two chunks`,
		Args: exactly("a pipeline file"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := bci.ReadPipeline(args[0])
			if err != nil {
				return err
			}
			if r.from == "" {
				return usageError{fmt.Errorf("where do the data come from? give --from; see: bci run --help")}
			}
			if r.reload && r.model == "" {
				return usageError{fmt.Errorf("--reload watches the file of --model; give one")}
			}
			var m *bci.Model
			if r.model != "" {
				if m, err = bci.ReadModel(r.model); err != nil {
					return err
				}
			}
			r.out, r.errOut = c.OutOrStdout(), c.ErrOrStderr()
			report, err := r.run(c.Context(), p, m)
			if err != nil {
				return err
			}
			return r.print(report)
		},
	}
	f := c.Flags()
	f.StringVar(&r.from, "from", "", "source `address`")
	f.StringArrayVar(&r.to, "to", nil, "sink `address`")
	f.StringVar(&r.model, "model", "", "model `file` written by bci train")
	f.BoolVar(&r.reload, "reload", false, "watch the model file and swap it in between two chunks when it is replaced")
	f.DurationVar(&r.refit, "refit", 0, "learn the last stage anew every so often, from the windows of this run whose labels are known, e.g. 60s; 0 = never")
	f.DurationVar(&r.limit, "for", 0, "stop after this much time, e.g. 90s; 0 = at the end of the source")
	f.StringVar(&r.quarantine, "quarantine", "", "write datagrams that could not be used into this `file`, with the reason and their bytes")
	f.BoolVar(&r.asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&r.quiet, "quiet", "q", false, "no progress, no events on the screen")
	return c
}

// runner is one run of an engine: what `bci run` and `bci demo` share.
type runner struct {
	from, model string
	to          []string
	limit       time.Duration
	asJSON      bool
	quiet       bool
	reload      bool
	refit       time.Duration
	quarantine  string
	out, errOut io.Writer
	onPage      func(url string) // called when a page is being served
}

func (r *runner) print(report *runReport) error {
	if r.asJSON {
		return json.NewEncoder(r.out).Encode(report)
	}
	report.print(r.out)
	return nil
}

func (r *runner) run(ctx context.Context, p *bci.Pipeline, m *bci.Model) (*runReport, error) {
	in, err := bci.OpenSource(r.from)
	if err != nil {
		return nil, err
	}
	return r.runInput(ctx, p, m, in)
}

// runInput runs an opened source and scores it when it can.
func (r *runner) runInput(ctx context.Context, p *bci.Pipeline, m *bci.Model, in *bci.Input) (*runReport, error) {
	if in.Recording != nil && len(p.Targets) > 0 && p.Decides() && !in.Player.Loop {
		return r.runKinematics(ctx, p, m, in)
	}
	if in.Recording == nil || len(p.Labels) == 0 || !p.Decides() || in.Player.Loop {
		report, _, err := r.runWith(ctx, p, m, in)
		return report, err
	}
	judge := new(replay.Collector)
	report, engine, err := r.runWith(ctx, p, m, in, bci.Output{Name: "scores", Sink: judge, Lossless: true})
	if err != nil || judge.Decisions().Len() == 0 {
		return report, err
	}
	if p.Train.At > 0 {
		report.Locked, err = bci.JudgeLocked(p, in.Recording.Annotations(), judge.Decisions())
		return report, err
	}
	score, err := judged(p, in.Recording, engine, judge.Decisions())
	if err != nil {
		return nil, err
	}
	return newReport(report.Status, score), nil
}

// runKinematics runs a decoder of kinematics and compares it with the targets in the
// recording, when they are there.
func (r *runner) runKinematics(ctx context.Context, p *bci.Pipeline, m *bci.Model, in *bci.Input) (*runReport, error) {
	truth, err := p.ReadTargets(ctx, in.Recording)
	if err != nil { // a recording of features alone can be decoded, but not judged
		report, _, err := r.runWith(ctx, p, m, in)
		return report, err
	}
	judge := new(replay.KinematicCollector)
	report, _, err := r.runWith(ctx, p, m, in, bci.Output{Name: "scores", Sink: judge, Lossless: true})
	if err != nil || judge.Kinematics().Len() == 0 {
		return report, err
	}
	report.Kinematics, err = replay.ScoreKinematics(judge.Kinematics(), truth.At, replay.KinematicOptions{Seed: 1})
	return report, err
}

// runWith runs an engine with these outputs and those of --to.
func (r *runner) runWith(ctx context.Context, p *bci.Pipeline, m *bci.Model, in *bci.Input, outs ...bci.Output) (*runReport, *bci.Engine, error) {
	tuneMemory()
	var pages []*page
	for _, to := range r.to {
		if a := bci.ParseAddress(to); a.Scheme == "ws" {
			pg, err := newPage(a, p)
			if err != nil {
				return nil, nil, err
			}
			pages = append(pages, pg)
			outs = append(outs, pg.outputs(p)...)
			continue
		}
		o, err := bci.OpenSink(to, "ws")
		if err != nil {
			return nil, nil, err
		}
		if in.Live {
			o.Lossless = false
		}
		outs = append(outs, o)
	}
	var refit *bci.Refitter
	if r.refit != 0 {
		if m == nil {
			return nil, nil, usageError{fmt.Errorf("--refit starts from a model; give one with --model")}
		}
		refit = &bci.Refitter{Pipeline: p, Model: m, Every: r.refit.Seconds(), Background: in.Live || in.Player != nil && in.Player.Speed > 0, Told: func(said string, err error) {
			if err != nil {
				said = "bci: " + err.Error()
			}
			if err != nil || !r.quiet {
				fmt.Fprintln(r.errOut, said)
			}
		}}
		o, err := refit.Output()
		if err != nil {
			return nil, nil, err
		}
		outs = append(outs, o)
	}
	opt := bci.Options{Live: in.Live, Source: r.from}
	if in.Player != nil && in.Player.Speed == 0 {
		opt.Slots = 2 // unpaced: a deep queue would only add waiting to every latency
	}
	if !r.quiet && !r.asJSON {
		opt.OnEvent = func(e stream.Event) { fmt.Fprintln(r.errOut, e) }
	}
	engine, err := bci.NewEngine(p, m, in.Source, outs, opt)
	if err != nil {
		return nil, nil, err
	}
	in.AttachPacing(engine)
	if refit != nil {
		refit.Attach(engine)
	}
	if r.limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.limit)
		defer stop()
	}
	if err := engine.Open(ctx); err != nil {
		return nil, nil, err
	}
	for _, pg := range pages {
		stop, err := pg.serve(engine)
		if err != nil {
			return nil, nil, err
		}
		defer stop()
		if r.onPage != nil {
			r.onPage(pg.url())
		} else if !r.quiet {
			fmt.Fprintf(r.errOut, "the page is at %s\n", pg.url())
		}
	}
	ended := make(chan struct{})
	var watchers sync.WaitGroup
	watchers.Go(func() { r.watch(engine, in, ended) })
	if r.reload {
		watchers.Go(func() { r.watchModel(ctx, engine, ended) })
	}
	err = engine.Run(ctx)
	close(ended)
	watchers.Wait() // what they print comes before the report
	told := r.errOut
	if r.quiet {
		told = io.Discard
	}
	if err := showQuarantine(told, in, r.quarantine); err != nil {
		return nil, nil, err
	}
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && r.limit > 0) && !errors.Is(err, context.Canceled) {
		return nil, nil, err
	}
	return newReport(engine.Status(), nil), engine, nil
}

// judged compares the decisions with the annotations.
func judged(p *bci.Pipeline, rec recordings.Recording, e *bci.Engine, d *replay.Decisions) (*replay.Report, error) {
	task, err := p.Task()
	if err != nil {
		return nil, err
	}
	h := e.In()
	truth, err := replay.NewTruth(task, rec.Annotations(), h.Rate, rec.Len())
	if err != nil {
		return nil, err
	}
	o := replay.Options{Rate: h.Rate, Compute: e.Status().Engine.P50 * 1e-6, Shifts: 1000, Seed: 1}
	for _, l := range p.Build() {
		switch s := l.Stage.(type) {
		case *features.Windows:
			o.Window = s.Length
		case *decoders.Gate: // its commands are in the stream; its dwell explains the latency
			o.Rule = replay.Rule{Dwell: s.Dwell, Refractory: s.Refractory, Confidence: s.Threshold}
		}
	}
	report, err := replay.Score(d, truth, o)
	if errors.Is(err, replay.ErrFewShifts) { // a short run still has its scores
		o.Shifts = 0
		report, err = replay.Score(d, truth, o)
	}
	return report, err
}

// watch draws progress until the run ends.
func (r *runner) watch(e *bci.Engine, in *bci.Input, stop <-chan struct{}) {
	p := newProgress(r.quiet)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			p.done()
			return
		case <-tick.C:
		}
		s := e.Status()
		done := 0.0
		if in.Recording != nil && in.Recording.Len() > 0 && !in.Player.Loop {
			done = float64(s.Columns) / float64(in.Recording.Len())
		}
		p.show(fmt.Sprintf("%s  %.1f s of data, %.1f × real time, engine p99 %.0f µs", in.Name, s.DataS, s.Realtime, s.Engine.P99), done)
	}
}

// watchModel swaps the model file in when it was replaced.
func (r *runner) watchModel(ctx context.Context, e *bci.Engine, stop <-chan struct{}) {
	w := bci.ModelWatch{Engine: e, Path: r.model}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		said, err := w.Check(ctx)
		if err != nil {
			said = "bci: " + err.Error()
		}
		if said != "" && (err != nil || !r.quiet) {
			fmt.Fprintln(r.errOut, said)
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// tuneMemory keeps the collector out of the way: nothing is allocated per chunk, so
// it has little to do, and a running collection costs milliseconds in the tail.
// Environment variables win.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(-1)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(2 << 30)
	}
}
