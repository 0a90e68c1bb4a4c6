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

// SNN is a spiking network as a decoder: each column is one time step (or Steps of
// them), state carries over from column to column, and a start, restart or Reset
// clears it. Trained on classes it puts out one probability row per class, the
// softmax of the read-out; trained on target values it puts out kinematics. With
// Logits the rows are the read-out itself, for a stopper that accumulates.
//
// A training sequence is a run of rows of the same group, in order of time, of target
// values at most 100 rows; rows without groups are one sequence per 50 rows. A column with an unusable row is taken
// as all zeros (the training mean), and its outputs are marked.
//
// With Cue, markers of these labels clear the state, as a trial's beginning did in
// training; name the cues of all classes alike. With Exit, a stopping rule ends each trial
// as soon as the read-out is sure, calibrated on trials that Fit keeps from the training;
// the output is that of [Stop], and the steps between the answer and the next cue (or the
// end of the refractory time) are not computed at all: see Work.
//
// With Method "qcfs" an analogue network is trained, row by row, and converted: every column
// is then presented for Steps steps (as many as Levels, if Steps is 0 or 1) to a network
// without memory of earlier columns, and the output is the mean over these. With one hidden
// layer and as many steps as levels that is the analogue network's answer, to rounding;
// with more layers, the closer the more steps.
//
// Cost per column: one addition per spike and target neuron, 64·n for the first layer
// on direct currents.
type SNN struct {
	Training
	Encoder  string  // "direct" (default), "delta", "step-forward" or "threshold", on z-scores
	Step     float64 // of the encoder, in standard deviations; 0 = 0.5
	Steps    int     // network steps per column; 0 = 1
	Logits   bool    // put out the read-out instead of probabilities
	Raw      bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Cue      []string
	Exit     *Stop   // nil = every step is computed; its Cue is that of the network
	File     string  // a network trained elsewhere (see ReadNetworkFile): Fit takes it as it is, so every trial can calibrate the exit; Training is ignored
	FileStep float64 // seconds per step that a NIR file was made for; 0 = 1e-4

	model *snnFile
	c     conditioning
	net   *Network
	enc   *encoder
	limit float64

	raw, x, cur, o, y []float64

	core              stopCore // the exit, or only the cues
	asleep            bool     // the last column was not computed
	computed, skipped int64    // network steps
}

var (
	_ Fitter = (*SNN)(nil)
	_ Cued   = (*SNN)(nil)
)

// Cues implements Cued.
func (k *SNN) Cues() []string { return k.Cue }

type snnFile struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	conditioning
	Classes []string        `json:"classes,omitempty"`
	Encoder string          `json:"encoder"`
	Step    float64         `json:"step"`
	Steps   int             `json:"steps"`
	Average bool            `json:"average,omitempty"` // every column begins anew, and the output is the mean over its steps
	Network json.RawMessage `json:"network"`
	Exit    *stopFile       `json:"exit,omitempty"`
}

// Fit trains the network; progress counts epochs.
func (k *SNN) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	if k.Exit == nil {
		return k.fit(ctx, rows, progress)
	}
	k.Exit.Cue = k.Cue
	set, err := k.Exit.settings(rows.Header.Rate)
	if err != nil {
		return err
	}
	if _, err := checkLabelled(rows); err != nil {
		return err
	}
	if rows.Group == nil {
		return errors.New("the training windows are not grouped into trials, so none can be kept to calibrate the exit on")
	}
	var first, classes []int // of every trial
	for i := range rows.X {
		if i == 0 || rows.Group[i] != rows.Group[i-1] {
			first, classes = append(first, i), append(classes, rows.Y[i])
		}
	}
	learn, kept := *rows, k.model
	learn.X, learn.Y, learn.Group = nil, nil, nil
	var held [][2]int
	for t, h := range HoldOut(classes, k.Exit.Holdout()) {
		from, to := first[t], len(rows.X)
		if t+1 < len(first) {
			to = first[t+1]
		}
		if h {
			held = append(held, [2]int{from, to})
			continue
		}
		learn.X, learn.Y, learn.Group = append(learn.X, rows.X[from:to]...), append(learn.Y, rows.Y[from:to]...), append(learn.Group, rows.Group[from:to]...)
	}
	if k.File != "" || k.Exit.Holdout() == 0 { // the network has seen none of the trials, or the exit learns nothing
		learn, held = *rows, nil
		for t := range first {
			to := len(rows.X)
			if t+1 < len(first) {
				to = first[t+1]
			}
			held = append(held, [2]int{first[t], to})
		}
	}
	if err := k.fit(ctx, &learn, progress); err != nil {
		return err
	}
	k.model.Exit, err = k.fitExit(rows, held, set)
	if err != nil {
		k.model = kept
	}
	return err
}

// fitExit calibrates the exit on held-out trials, rows from to to-1 each.
func (k *SNN) fitExit(rows *Rows, held [][2]int, set StopSettings) (*stopFile, error) {
	m := k.model
	net, err := ReadNetwork(m.Network)
	if err != nil {
		return nil, err
	}
	enc, err := newEncoder(m.Encoder, m.Step, len(m.Rows))
	if err != nil {
		return nil, err
	}
	limit, err := saturation(k.Saturate)
	if err != nil {
		return nil, err
	}
	x, cur := make([]float64, len(m.Rows)), make([]float64, len(m.Rows))
	var traces []Trace
	for _, h := range held {
		net.Reset()
		enc.reset()
		t := Trace{Class: rows.Y[h[0]]}
		for i := h[0]; i < h[1]; i++ {
			m.features(x, rows.X[i], limit)
			enc.encode(cur, x)
			o := make([]float64, len(m.Output))
			m.present(net, o, cur)
			t.Out = append(t.Out, o)
		}
		traces = append(traces, t)
	}
	return k.Exit.calibrate(traces, set, rows)
}

// present takes the network through the steps of one column.
func (m *snnFile) present(net *Network, out, in []float64) {
	if !m.Average {
		for range m.Steps {
			net.Step(out, in)
		}
		return
	}
	net.Reset()
	clear(net.mean)
	for range m.Steps {
		net.Step(out, in)
		for i, v := range out {
			net.mean[i] += v
		}
	}
	for i, v := range net.mean {
		out[i] = v / float64(m.Steps)
	}
}

func (k *SNN) fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	limit, err := saturation(k.Saturate)
	if err != nil {
		return err
	}
	enc, err := newEncoder(k.Encoder, k.Step, rows.Header.Rows())
	if err != nil {
		return err
	}
	if k.Steps < 0 || k.Steps > 64 {
		return fmt.Errorf("steps %d per column: give 1 to 64", k.Steps)
	}
	labelled := *rows
	classes := 0
	if rows.Target == nil {
		if classes = len(rows.Classes); classes < 2 {
			return fmt.Errorf("%d classes: a classifier needs at least two", classes)
		}
		if len(rows.Y) != len(rows.X) {
			return fmt.Errorf("%d labels for %d rows", len(rows.Y), len(rows.X))
		}
		labelled.Target, labelled.Targets = make([][]float64, len(rows.X)), make([]stream.Channel, classes)
		for t, y := range rows.Y {
			if y < 0 || y >= classes {
				return fmt.Errorf("row %d has class %d of %d", t+1, y, classes)
			}
			labelled.Target[t] = make([]float64, classes)
		}
		for i, name := range rows.Classes {
			labelled.Targets[i] = stream.Channel{Label: name}
		}
	}
	c, err := learnConditioning(&labelled, k.Raw)
	if err != nil {
		return err
	}
	if classes > 0 {
		c.Offset = nil
		for i := range c.Output {
			c.Output[i].Type = TypeProbability
		}
	}
	var f *NetworkFile
	steps, convert := max(1, k.Steps), k.Method == TrainQCFS && k.File == ""
	if k.File != "" {
		f, err = ReadNetworkFile(k.File, k.FileStep)
	} else {
		method, shown := train, steps
		if convert {
			if enc.kind != EncodeDirect {
				return fmt.Errorf("encoder %q: a converted network takes the rows themselves; leave the encoder away", enc.kind)
			}
			if method, shown = trainQCFS, 1; steps == 1 {
				if steps = k.Levels; steps == 0 {
					steps = 8
				}
			}
		}
		x, z := c.apply(&labelled, limit)
		scale := 1.0
		if classes == 0 {
			scale = targetScale(z)
			for t := range z {
				for i := range z[t] {
					z[t][i] /= scale
				}
			}
		}
		var seqs []sequence
		if seqs, err = sequences(x, z, rows.Y, rows.Group, classes, shown, enc); err != nil {
			return err
		}
		set := k.Training
		if rows.Header.Rate > 0 {
			set.Dt = 1 / (rows.Header.Rate * float64(shown))
		}
		if f, err = method(ctx, set, seqs, len(x[0]), classes, len(c.Output), progress); err == nil && scale != 1 {
			f.scaleOutput(scale)
		}
	}
	if err != nil {
		return err
	}
	net, err := f.Build()
	if err != nil {
		return err
	}
	if in, out := net.Dims(); in != len(c.Rows) || out != len(c.Output) {
		return fmt.Errorf("the network in %s has %d inputs and %d outputs; the stream has %d rows, and there are %d classes or targets", k.File, in, out, len(c.Rows), len(c.Output))
	}
	raw, err := net.Save()
	if err != nil {
		return err
	}
	k.model = &snnFile{
		Format: 1, Kind: "snn", conditioning: c, Classes: slices.Clone(rows.Classes),
		Encoder: enc.kind, Step: enc.step, Steps: steps, Average: convert, Network: raw,
	}
	if classes == 0 {
		k.model.Classes = nil
	}
	return nil
}

// sequences cuts conditioned rows into encoded training sequences.
func sequences(x, z [][]float64, y, group []int, classes, steps int, enc *encoder) ([]sequence, error) {
	var out []sequence
	seen := make([]bool, classes)
	for t := range x {
		first := t == 0
		if !first && group != nil {
			first = group[t] != group[t-1]
		} else if !first {
			first = t%50 == 0
		}
		if !first && (classes > 0 && y[t] != y[t-1] || classes == 0 && len(out[len(out)-1].x) >= 100*steps) {
			first = true
		}
		if first {
			out = append(out, sequence{})
			enc.reset()
		}
		q := &out[len(out)-1]
		if classes > 0 {
			q.class = y[t]
			seen[y[t]] = true
		}
		e := make([]float64, len(x[t]))
		enc.encode(e, x[t])
		for range steps {
			q.x, q.z = append(q.x, e), append(q.z, z[t])
		}
	}
	for i, s := range seen {
		if !s {
			return nil, fmt.Errorf("class %d of %d has no training rows: a classifier needs examples of every class", i+1, classes)
		}
	}
	return out, nil
}

// SaveModel returns network and conditioning.
func (k *SNN) SaveModel() (json.RawMessage, error) {
	if k.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(k.model)
}

// LoadModel sets them after checking; the network's probe is run.
func (k *SNN) LoadModel(raw json.RawMessage) error {
	m := new(snnFile)
	if err := decodeModel(raw, "snn", m); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	k.model = m
	return nil
}

func (m *snnFile) check() error {
	if err := m.validate(); err != nil {
		return err
	}
	net, err := ReadNetwork(m.Network)
	if err != nil {
		return err
	}
	if in, out := net.Dims(); in != len(m.Rows) || out != len(m.Output) {
		return fmt.Errorf("the network maps %d inputs to %d outputs, the model names %d rows and %d outputs", in, out, len(m.Rows), len(m.Output))
	}
	if m.Steps < 1 || m.Steps > 64 {
		return fmt.Errorf("the model takes %d steps per column; allowed are 1 to 64", m.Steps)
	}
	if len(m.Classes) > 0 && len(m.Classes) != len(m.Output) {
		return errors.New("the model's classes and outputs differ")
	}
	if m.Exit != nil {
		if err := m.Exit.check(); err != nil {
			return fmt.Errorf("exit: %w", err)
		}
		if !slices.Equal(m.Exit.Classes, m.Classes) {
			return errors.New("the model's exit knows other classes than its network")
		}
	}
	_, err = newEncoder(m.Encoder, m.Step, len(m.Rows))
	return err
}

// Open builds the network for the stream.
func (k *SNN) Open(in stream.Header) (stream.Header, error) {
	if k.model == nil {
		return stream.Header{}, ErrUntrained
	}
	var err error
	if k.limit, err = saturation(k.Saturate); err != nil {
		return stream.Header{}, err
	}
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	k.c = k.model.conditioning
	if err := k.c.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if k.net, err = ReadNetwork(k.model.Network); err != nil {
		return stream.Header{}, err
	}
	n, d := len(k.c.Rows), len(k.c.Output)
	if k.enc, err = newEncoder(k.model.Encoder, k.model.Step, n); err != nil {
		return stream.Header{}, err
	}
	k.raw, k.x, k.cur, k.o, k.y = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, d), make([]float64, d)
	k.core, k.computed, k.skipped = stopCore{}, 0, 0
	out := in
	if k.Exit != nil {
		m := k.model.Exit
		if m == nil {
			return stream.Header{}, errors.New("the model was trained without an exit: train again")
		}
		if math.Abs(in.Rate-m.Rate) > 1e-6*m.Rate {
			return stream.Header{}, fmt.Errorf("the exit was calibrated at %g steps a second, this stream has %g: train on this pipeline", m.Rate, in.Rate)
		}
		k.Exit.Cue = k.Cue
		if err := k.core.open(k.Exit, &m.Stop, in.Rate, m.Classes); err != nil {
			return stream.Header{}, err
		}
		k.y = make([]float64, d+4)
		out.Channels = stopChannels(m.Classes)
		return out, nil
	}
	k.core.labels = k.Cue
	out.Channels = slices.Clone(k.c.Output)
	if k.Logits && k.model.Classes != nil {
		for i := range out.Channels {
			out.Channels[i].Type = TypeLogit
		}
	}
	return out, nil
}

// Network returns the running network, for counting operations; nil before Open.
func (k *SNN) Network() *Network { return k.net }

// Reset returns to the state after Open. Sessions call it at a cue when trials are
// decoded one by one.
func (k *SNN) Reset() {
	if k.net != nil {
		k.begin()
		if k.core.s != nil {
			k.core.reset()
		}
	}
}

// begin clears the network's state.
func (k *SNN) begin() {
	k.net.Reset()
	k.enc.reset()
	k.asleep = false
}

// Work returns how many network steps were computed and how many an exit has saved since
// Open.
func (k *SNN) Work() (computed, skipped int64) { return k.computed, k.skipped }

// Process steps the network once (or Steps times) per column.
func (k *SNN) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		k.Reset()
	}
	probability := k.model.Classes != nil && !k.Logits
	mark, steps := 0, int64(k.model.Steps)
	for i := range src.Len {
		for ; mark < len(src.Markers) && src.Markers[mark].Column <= i; mark++ {
			if k.core.isCue(src.Markers[mark].Label) {
				k.begin()
				if k.core.s != nil {
					k.core.reset()
					k.core.waiting = false
				}
			}
		}
		if k.core.s != nil && !k.core.wakes() { // answered, or no cue yet: nothing to compute
			k.core.step(k.y, nil)
			dst.SetColumn(i, k.y)
			k.skipped += steps
			k.asleep = true
			continue
		}
		if k.asleep {
			k.begin()
		}
		k.computed += steps
		src.Column(k.raw, i)
		ok := k.c.features(k.x, k.raw, k.limit) && !columnMarked(src, i)
		if ok {
			k.enc.encode(k.cur, k.x)
		} else {
			clear(k.cur)
		}
		k.model.present(k.net, k.o, k.cur)
		if k.core.s != nil {
			o := k.o
			if !ok {
				o = nil
				markColumn(dst, i)
			}
			k.core.step(k.y, o)
			dst.SetColumn(i, k.y)
			continue
		}
		y := k.o
		if probability {
			temper(k.y, k.o, 1)
			y = k.y
		}
		for j, v := range y {
			if k.c.Offset != nil {
				v += k.c.Offset[j]
			}
			dst.Set(j, i, v)
		}
		if !ok {
			markColumn(dst, i)
		}
	}
}

// Snapshot appends the state.
func (k *SNN) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	k.enc.snapshot(&w)
	k.net.snapshot(&w)
	if k.core.s != nil {
		k.core.snapshot(&w)
		w.Bool(k.asleep)
	}
	return w.Buf
}

// Restore sets the state of an opened stage.
func (k *SNN) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	k.enc.restore(&r)
	k.net.restore(&r)
	if k.core.s != nil {
		k.core.restore(&r)
		k.asleep = r.Bool()
	}
	if err := r.Err(); err != nil {
		k.Reset()
		return err
	}
	return nil
}
