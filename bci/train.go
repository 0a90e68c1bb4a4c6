package bci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"neurostream/decoders"
	"neurostream/features"
	"neurostream/filters"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// Trainer fits the stages of a pipeline that learn, in order, each on what the
// stages before it make of the training recordings, streamed causally as in a live
// run. It sees the recordings it is given and nothing else.
type Trainer struct {
	Pipeline   *Pipeline
	Recordings []TrainingRecording
	// Folds > 1: the model's Scores come from cross-validation on the training recordings.
	Folds int
	// Base, when set, is a model of this pipeline to learn on top of: the stage that
	// protects what it knows (see decoders.Updater) is updated, calibrations are done anew,
	// and everything else stays as it is there.
	Base *Model
	// Progress, when set, is told what is going on and how far it is, 0 to 1.
	Progress func(what string, done float64)
	// Streamed, when set, keeps what stages that learn nothing make of the recordings; see there.
	Streamed *Streamed
	// LeaveOut, when set, says which trials are neither learned from nor calibrated on:
	// recording counts from 0, stretch as in Kept.
	LeaveOut func(recording, stretch int) bool

	purged map[int]bool // stretches left out altogether, by group; nil = none
	held   map[int]bool // trials kept for calibration, by group; nil = none
}

// TrainingRecording is a recording to learn from.
type TrainingRecording struct {
	Name      string
	Recording recordings.Recording
	From, To  float64 // seconds; To 0 = to the end
}

// Task returns what the labels of the pipeline mean, for truth and scores.
func (p *Pipeline) Task() (replay.Task, error) {
	if len(p.Labels) == 0 {
		return replay.Task{}, &FileError{Path: p.Path, Msg: "no labels are given; add labels: {MARKER: CLASS, ...} so that markers mean classes"}
	}
	t := replay.Task{Classes: p.Classes(), Idle: p.Idle, Labels: p.ClassOf()}
	if t.Idle == "" { // time outside of every label belongs to a class of its own, which nobody learns
		t.Idle = noClass
		t.Classes = append(t.Classes, noClass)
	}
	return t, nil
}

const noClass = "(unlabelled)"

// Train fits every stage that learns and returns the model.
func (t *Trainer) Train(ctx context.Context) (*Model, error) {
	p := t.Pipeline
	if err := p.checkTargets(); err != nil {
		return nil, err
	}
	links := p.Build()
	var task replay.Task
	if len(p.Targets) == 0 && slices.ContainsFunc(links, func(l stream.Link) bool { _, ok := l.Stage.(decoders.Fitter); return ok }) {
		var err error
		if task, err = p.Task(); err != nil {
			return nil, err
		}
	}
	if len(t.Recordings) == 0 {
		return nil, errors.New("training needs at least one recording: give --from")
	}
	if t.Progress == nil {
		t.Progress = func(string, float64) {}
	}
	m := &Model{
		Format: ModelFormat, Version: ModelVersion, Pipeline: p.Name, Hash: p.Hash(), Idle: p.Idle,
		Examples: map[string]int{},
	}
	for i := range p.Steps {
		m.Steps = append(m.Steps, p.Steps[i].canonical())
	}
	if err := t.holdOut(links, task); err != nil {
		return nil, err
	}
	if err := t.begin(links, m); err != nil {
		return nil, err
	}
	learned := false
	for i, l := range links {
		if t.keeps(l.Stage) {
			m.Stages = append(m.Stages, *t.Base.stage(i, l.Name))
			continue
		}
		if f, ok := l.Stage.(filters.Learner); ok {
			t.Progress("learning "+l.Name, 0)
			if err := t.learn(ctx, f, links[:i], task, m, !learned); err != nil {
				return nil, &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("%s cannot be trained: %v", l.Name, err)}
			}
			params, err := f.SaveModel()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.Name, err)
			}
			m.Stages = append(m.Stages, ModelStage{Name: l.Name, Index: i, Seed: p.Steps[i].seed(), Params: params})
			learned = true
			continue
		}
		f, ok := l.Stage.(decoders.Fitter)
		if !ok {
			continue
		}
		_, calibrates := l.Stage.(decoders.Calibrator)
		if c, ok := l.Stage.(decoders.Cued); ok && len(c.Cues()) > 0 && !p.Train.Newest {
			return nil, &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("%s begins at a cue, so it must learn from windows that begin there: add train: {windows: newest}", l.Name)}
		}
		rows, err := t.collect(ctx, links[:i], task, m, !learned, calibrates)
		if err != nil {
			return nil, err
		}
		t.Progress("fitting "+l.Name, 0)
		fit := f.Fit
		if u, ok := f.(decoders.Updater); ok && t.Base != nil && !calibrates {
			fit = u.Update
		}
		err = fit(ctx, rows, func(done, total int) { t.Progress("fitting "+l.Name, float64(done)/float64(max(1, total))) })
		if err != nil {
			return nil, &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("%s cannot be trained: %v", l.Name, err)}
		}
		params, err := f.SaveModel()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		stage := ModelStage{Name: l.Name, Index: i, Rows: rows.Header.Labels(), Seed: p.Steps[i].seed(), Params: params}
		for _, c := range rows.Header.Channels {
			stage.Units = append(stage.Units, c.Unit)
		}
		m.Stages = append(m.Stages, stage)
		m.Classes, m.Columns, m.Targets = rows.Classes, len(rows.X), nil
		for _, c := range rows.Targets {
			m.Targets = append(m.Targets, ModelChannel{c.Label, c.Unit})
		}
		learned = true
		if calibrates {
			continue // examples are those of the decoders
		}
		for k, c := range rows.Classes {
			m.Examples[c] = 0
			for _, y := range rows.Y {
				if y == k {
					m.Examples[c]++
				}
			}
		}
	}
	if !learned {
		return nil, &FileError{Path: p.Path, Msg: "no stage of this pipeline learns, so there is nothing to train; bci run needs no model for it"}
	}
	if t.Folds > 1 {
		scores, err := t.crossValidate(ctx, task, m)
		if err != nil {
			return nil, fmt.Errorf("cross-validation: %w", err)
		}
		m.Scores = scores
	}
	return m, nil
}

// holdOut chooses the trials that are kept from every stage but those that calibrate.
func (t *Trainer) holdOut(links []stream.Link, task replay.Task) error {
	share := 0.0
	for _, l := range links {
		if c, ok := l.Stage.(decoders.Calibrator); ok {
			share = max(share, c.Holdout())
		}
	}
	t.held = nil
	if share == 0 || len(t.Pipeline.Targets) > 0 {
		return nil
	}
	if t.Pipeline.Train.At > 0 {
		return &FileError{Path: t.Pipeline.Path, Msg: "train: {at: …} learns from one window per marker, and a stage that ends trials needs all windows of a trial; leave one of them out"}
	}
	var groups, classes []int
	for r, rec := range t.Recordings {
		truth, err := replay.NewTruth(task, rec.Recording.Annotations(), rec.Recording.Header().Rate, rec.Recording.Len())
		if err != nil {
			return fmt.Errorf("%s: %w", rec.Name, err)
		}
		for i, c := range truth.Changes {
			if !t.leftOut(r, i+1) {
				groups, classes = append(groups, r<<20+i+1), append(classes, c.Class)
			}
		}
	}
	t.held = map[int]bool{}
	for i, h := range decoders.HoldOut(classes, share) {
		t.held[groups[i]] = h
	}
	return nil
}

// Kept reports whether a trial was kept for calibration by the last Train: stretch is the
// number of the change of state in the truth of the recording with which it begins, from 1.
func (t *Trainer) Kept(recording, stretch int) bool { return t.held[recording<<20+stretch] }

func (t *Trainer) leftOut(recording, stretch int) bool {
	return t.LeaveOut != nil && t.LeaveOut(recording, stretch)
}

// collect streams every recording through the stages and gathers labelled rows.
func (t *Trainer) collect(ctx context.Context, links []stream.Link, task replay.Task, m *Model, first, held bool) (*decoders.Rows, error) {
	p := t.Pipeline
	if len(p.Targets) > 0 {
		return t.collectTargets(ctx, links, m, first)
	}
	seconds := 0.0
	for _, l := range links {
		if w, ok := l.Stage.(*features.Windows); ok {
			seconds = w.Length
		}
	}
	if seconds == 0 {
		return nil, &FileError{p.Path, p.Steps[len(links)].Line, fmt.Sprintf("%s learns from windows; put a window stage before it", p.Steps[len(links)].Type.Name)}
	}
	rows := &decoders.Rows{Classes: slices.DeleteFunc(slices.Clone(task.Classes), func(c string) bool { return c == noClass })}
	for r, rec := range t.Recordings {
		if err := t.play(ctx, links, task, m, first, held, r, rec, seconds, rows); err != nil {
			return nil, err
		}
	}
	if len(rows.X) == 0 {
		if p.Train.At > 0 {
			return nil, fmt.Errorf("no window ends within half a hop of %g s after a labelled marker; check at:, the hop, and labels: in %s against the annotations (bci inspect lists them)", p.Train.At, p.Path)
		}
		return nil, fmt.Errorf("no window of %g s lies within one labelled stretch (purity %g) of the recordings; check labels: in %s against the annotations (bci inspect lists them)", seconds, p.Train.Purity, p.Path)
	}
	return rows, nil
}

func (t *Trainer) play(ctx context.Context, links []stream.Link, task replay.Task, m *Model, first, held bool, r int, rec TrainingRecording, seconds float64, rows *decoders.Rows) error {
	p := t.Pipeline
	player := &replay.Player{Recordings: []recordings.Recording{rec.Recording}, From: rec.From, To: rec.To}
	var b *playback
	var err error
	if n := front(links); t.Streamed != nil && n > 0 {
		var k *streamedRecording
		if k, err = t.Streamed.recording(ctx, p, n, rec); err == nil {
			b, err = k.play(p, n, links, m, first && r == 0, rec.Name)
		}
	} else {
		b, err = t.start(ctx, player, links, m, first && r == 0, rec.Name)
	}
	if err != nil {
		return err
	}
	truth, err := replay.NewTruth(task, rec.Recording.Annotations(), b.in.Rate, rec.Recording.Len())
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Name, err)
	}
	rows.Header = b.out
	var locked *lockedWindows
	if p.Train.At > 0 {
		if locked, err = newLockedWindows(p, rec.Recording.Annotations(), b.out.Rate); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		if err := b.read(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", rec.Name, err)
		}
		dst := b.dst
		for i := range dst.Len {
			end := dst.T0.Seconds()
			if i > 0 {
				end += float64(i) / b.out.Rate
			}
			if locked != nil {
				for e := range locked.at(end) {
					rows.X = append(rows.X, dst.Column(nil, i))
					rows.Y = append(rows.Y, slices.Index(rows.Classes, e.class))
					rows.Group = append(rows.Group, r<<20+locked.group(e, seconds))
				}
				continue
			}
			w := truth.WindowAt(end, seconds)
			class := task.Classes[w.Class]
			if p.Train.Newest {
				class = task.Classes[w.Last]
			} else if w.Purity < p.Train.Purity || w.Last != w.Class {
				continue
			}
			if class == noClass || t.purged[r<<20+w.Stretch] || t.leftOut(r, w.Stretch) || t.held != nil && t.held[r<<20+w.Stretch] != held || (dst.Seq+int64(i))%int64(p.Train.Every) != 0 {
				continue
			}
			rows.X = append(rows.X, dst.Column(nil, i))
			rows.Y = append(rows.Y, slices.Index(rows.Classes, class))
			rows.Group = append(rows.Group, r<<20+w.Stretch)
		}
		if n%64 == 0 {
			part := float64(b.columns) / float64(max(1, rec.Recording.Len()))
			t.Progress("streaming "+rec.Name, (float64(r)+part)/float64(len(t.Recordings)))
		}
	}
	if first {
		m.Recordings = append(m.Recordings, b.trainedOn(rec.Name))
	}
	return nil
}

// playback streams one recording through the stages before the one that learns.
type playback struct {
	source   stream.Source
	chain    stream.Chain
	in, out  stream.Header
	src, dst *stream.Chunk
	columns  int64
	sum      *digest
	summed   *stream.Chunk // what is summed: everything that was read
	what     *TrainedOn    // known beforehand; nothing is summed
}

// start opens a recording and the stages; the first one describes the recordings of
// the model, and the others must be like it.
func (t *Trainer) start(ctx context.Context, source stream.Source, links []stream.Link, m *Model, describe bool, name string) (*playback, error) {
	b := &playback{source: source}
	var err error
	if b.in, err = source.Open(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t.startOn(b, &b.in, 0, links, m, describe, name)
}

// startOn opens the stages from the skip-th on, on a stream of header in.
func (t *Trainer) startOn(b *playback, in *stream.Header, skip int, links []stream.Link, m *Model, describe bool, name string) (*playback, error) {
	p, err := t.Pipeline, error(nil)
	b.chain.Links = links[skip:]
	if describe {
		m.RateHz = b.in.Rate
		for _, c := range b.in.Channels {
			m.Channels = append(m.Channels, ModelChannel{Label: c.Label, Unit: c.Unit})
		}
	}
	if err := t.Base.checkInput(&b.in); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := m.checkInput(&b.in); err != nil {
		return nil, fmt.Errorf("%s: all training recordings must be alike: %w", name, err)
	}
	if b.out, err = b.chain.Open(in.Clone()); err != nil {
		for i := range links {
			if links[i].Name == b.chain.Failed() {
				return nil, &FileError{p.Path, p.Steps[i].Line, err.Error()}
			}
		}
		return nil, err
	}
	b.src, b.dst = stream.NewChunk(in), stream.NewChunk(&b.out)
	b.summed = b.src
	if w, ok := b.source.(*withoutTargets); ok && w.whole != nil {
		b.summed = w.whole
	}
	b.sum = newDigest(b.summed.Rows())
	return b, nil
}

// read processes the next chunk; io.EOF at the end.
func (b *playback) read(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.source.Read(b.src); err != nil {
		return err
	}
	b.columns += int64(b.src.Len)
	if b.what == nil {
		b.sum.add(b.summed)
	}
	b.chain.Process(b.dst, b.src)
	return nil
}

// trainedOn identifies the recording by all that was read of it.
func (b *playback) trainedOn(name string) TrainedOn {
	if b.what != nil {
		return *b.what
	}
	var d [sha256.Size]byte
	b.sum.sum(&d)
	return TrainedOn{Name: name, SHA256: hex.EncodeToString(d[:]), Seconds: float64(b.columns) / b.in.Rate}
}
