package bci

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"neurostream/decoders"
	"neurostream/features"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// A Refitter learns the last stage that learns anew while the engine runs, from the
// windows of this session whose class its markers have told, and swaps the result in. It
// is a sink: it listens to what the stage it learns gets (Output says where).
//
// Every Every seconds of data it takes the labelled windows of the last Keep seconds, and
// what it learns decides from Lag seconds of data later on. Windows are chosen as in
// training (train: {purity, every, at}), by markers that have come before. So no decision
// depends on a label that follows it, and scores of the run stay honest: each window is
// judged before it can be learned from.
//
// A stage that protects what it learned (see decoders.Updater) is updated on top of Model;
// any other learns from this session alone.
//
// In Background the fit runs on a goroutine of its own, and decoding never waits; a fit
// that takes longer than Lag takes over late, and says so. Otherwise the engine waits for
// it, and the same recording gives the same digest every time.
type Refitter struct {
	Pipeline   *Pipeline
	Model      *Model  // what the engine started with
	Every      float64 // s; 0 = 60
	Lag        float64 // s; 0 = 5
	Keep       float64 // s; 0 = 600
	Least      int     // labelled stretches of every class before the first fit; 0 = 5
	Background bool
	Told       func(string, error) // what happened, in one line; may be nil

	engine  *Engine
	stage   int // of the pipeline
	header  stream.Header
	rate    float64 // of the source
	window  float64 // s
	task    replay.Task
	notes   []recordings.Annotation
	times   []float64
	rows    [][]float64
	next    float64
	busy    atomic.Bool
	work    sync.WaitGroup
	fits    atomic.Int64
	skipped atomic.Int64
	ctx     context.Context
	stop    context.CancelFunc
}

// Output finds the stage to learn and returns the output to give to the engine.
func (r *Refitter) Output() (Output, error) {
	p := r.Pipeline
	if len(p.Targets) > 0 {
		return Output{}, &FileError{Path: p.Path, Msg: "refitting needs classes; this pipeline decodes kinematics"}
	}
	var err error
	if r.task, err = p.Task(); err != nil {
		return Output{}, err
	}
	links := p.Build()
	r.stage = -1
	for i, l := range links {
		if w, ok := l.Stage.(*features.Windows); ok {
			r.window = w.Length
		}
		if _, ok := l.Stage.(decoders.Calibrator); ok {
			continue
		}
		if _, ok := l.Stage.(decoders.Fitter); ok {
			r.stage = i
		}
	}
	if r.stage < 1 || r.window == 0 {
		return Output{}, &FileError{Path: p.Path, Msg: "no stage behind a window learns, so there is nothing to refit"}
	}
	for _, v := range []struct {
		name     string
		v        *float64
		standard float64
	}{{"every", &r.Every, 60}, {"lag", &r.Lag, 5}, {"keep", &r.Keep, 600}} {
		if *v.v == 0 {
			*v.v = v.standard
		}
		if !(*v.v > 0) || math.IsInf(*v.v, 0) {
			return Output{}, fmt.Errorf("refit: %s is %v s; give a positive time", v.name, *v.v)
		}
	}
	if r.Least == 0 {
		r.Least = 5
	}
	if r.Every <= r.Lag {
		return Output{}, fmt.Errorf("refit: every %g s is not longer than the lag of %g s between a fit and its use", r.Every, r.Lag)
	}
	if r.Told == nil {
		r.Told = func(string, error) {}
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return Output{Name: "refit", From: links[r.stage-1].Name, Sink: r, Lossless: !r.Background}, nil
}

// Attach tells it which engine to swap in.
func (r *Refitter) Attach(e *Engine) { r.engine = e }

// Fits returns how many models were learned, and how often it was time but the previous
// fit still ran.
func (r *Refitter) Fits() (done, skipped int64) { return r.fits.Load(), r.skipped.Load() }

// Open implements stream.Sink.
func (r *Refitter) Open(_ context.Context, in stream.Header) error {
	if r.engine == nil {
		return errors.New("refit: no engine was attached")
	}
	if !(in.Rate > 0) {
		return errors.New("refit: windows come at no regular rate")
	}
	r.header, r.rate, r.next = in, r.engine.In().Rate, math.NaN()
	return nil
}

// Write implements stream.Sink.
func (r *Refitter) Write(c *stream.Chunk) error {
	for _, m := range c.Markers {
		r.notes = append(r.notes, recordings.Annotation{Onset: m.Time.Seconds(), Duration: m.Duration, Label: m.Label})
	}
	for i := range c.Len {
		end := c.T0.Seconds() + float64(i)/r.header.Rate
		if math.IsNaN(r.next) {
			r.next = end + r.Every
		}
		if end >= r.next {
			r.next += r.Every * math.Ceil((end-r.next+1e-9)/r.Every)
			r.due(end)
		}
		x := c.Column(nil, i)
		if c.IsBad(0, i) || slices.ContainsFunc(x, func(v float64) bool { return v-v != 0 }) {
			continue
		}
		r.times, r.rows = append(r.times, end), append(r.rows, x)
	}
	if old := len(r.times) - int(r.Keep*r.header.Rate); old > 1024 { // in larger steps
		r.times, r.rows = slices.Delete(r.times, 0, old), slices.Delete(r.rows, 0, old)
	}
	return nil
}

// Close implements stream.Sink.
func (r *Refitter) Close() error {
	r.stop()
	r.work.Wait()
	return nil
}

// due fits what is known at this time.
func (r *Refitter) due(now float64) {
	if !r.Background {
		r.work.Wait() // its swap was before now, so this takes no time
	}
	if !r.busy.CompareAndSwap(false, true) {
		r.skipped.Add(1)
		r.Told("", fmt.Errorf("refit: at %.1f s the previous fit still runs", now))
		return
	}
	rows, err := r.labelled(now)
	if err != nil || rows == nil {
		r.busy.Store(false)
		if err != nil {
			r.Told("", fmt.Errorf("refit at %.1f s: %w", now, err))
		}
		return
	}
	armed := make(chan struct{})
	arm := sync.OnceFunc(func() { close(armed) })
	r.work.Go(func() {
		defer r.busy.Store(false)
		defer arm()
		if err := r.fit(rows, now, arm); err != nil && r.ctx.Err() == nil {
			r.Told("", fmt.Errorf("refit at %.1f s: %w; the old model goes on", now, err))
		}
	})
	if !r.Background {
		<-armed
	}
}

// labelled returns the windows to learn from, or nil while there are too few.
func (r *Refitter) labelled(now float64) (*decoders.Rows, error) {
	rows := &decoders.Rows{Header: r.header, Classes: slices.DeleteFunc(slices.Clone(r.task.Classes), func(c string) bool { return c == noClass })}
	p := r.Pipeline
	truth, err := replay.NewTruth(r.task, r.notes, r.rate, int64(now*r.rate)+1)
	if err != nil {
		return nil, err
	}
	var locked *lockedWindows
	if p.Train.At > 0 {
		if locked, err = newLockedWindows(p, r.notes, r.header.Rate); err != nil {
			return nil, err
		}
	}
	seen := make([]map[int]bool, len(rows.Classes))
	add := func(i, class, group int) {
		rows.X, rows.Y, rows.Group = append(rows.X, r.rows[i]), append(rows.Y, class), append(rows.Group, group)
		if seen[class] == nil {
			seen[class] = map[int]bool{}
		}
		seen[class][group] = true
	}
	for i, end := range r.times {
		if end < now-r.Keep {
			continue
		}
		if locked != nil {
			for e := range locked.at(end) {
				add(i, slices.Index(rows.Classes, e.class), locked.group(e, r.window))
			}
			continue
		}
		w := truth.WindowAt(end, r.window)
		class := r.task.Classes[w.Class]
		if p.Train.Newest {
			class = r.task.Classes[w.Last]
		} else if w.Purity < p.Train.Purity || w.Last != w.Class {
			continue
		}
		if k := slices.Index(rows.Classes, class); k >= 0 && i%p.Train.Every == 0 {
			add(i, k, w.Stretch)
		}
	}
	for _, s := range seen {
		if len(s) < r.Least {
			return nil, nil
		}
	}
	return rows, nil
}

// fit learns and swaps; arm is called as soon as the engine knows of the swap.
func (r *Refitter) fit(rows *decoders.Rows, now float64, arm func()) error {
	link := r.Pipeline.Build()[r.stage]
	f := link.Stage.(decoders.Fitter)
	m := *r.Model
	m.Stages = slices.Clone(r.Model.Stages)
	s := m.stage(r.stage, link.Name)
	if s == nil {
		return fmt.Errorf("the model holds nothing for %s", link.Name)
	}
	if u, ok := f.(decoders.Updater); ok && u.Protects() { // on top of what the engine started with, always
		if err := u.LoadModel(s.Params); err != nil {
			return err
		}
		if err := u.Update(r.ctx, rows, nil); err != nil {
			return err
		}
	} else if err := f.Fit(r.ctx, rows, nil); err != nil {
		return err
	}
	params, err := f.SaveModel()
	if err != nil {
		return err
	}
	s.Params = params
	r.fits.Add(1)
	label := fmt.Sprintf("%s learned from %d windows up to %.3f s", link.Name, len(rows.X), now)
	at := now + r.Lag
	column, err := r.engine.swapWhen(r.ctx, &m, &swap{label: label, after: stream.Time(math.Round(at * 1e9))}, arm)
	if err != nil {
		if r.ctx.Err() != nil || r.engine.over() { // the end came first
			return nil
		}
		return err
	}
	r.Told(fmt.Sprintf("%s; it decides from column %d on", label, column), nil)
	return nil
}

// over reports whether no further chunk will come.
func (e *Engine) over() bool {
	select {
	case <-e.swaps.ended:
		return true
	default:
		return false
	}
}
