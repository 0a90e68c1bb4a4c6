package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// EncodeRate makes spikes come as often as a row is far from its mean: one input of a
// liquid for values above it, one for values below, each an integrator that fires at 1.
const EncodeRate = "rate"

// Reservoir is a liquid state machine as a decoder: a random network of spiking neurons
// that only its astrocyte and its plasticity have shaped, and a linear read-out of how
// often each neuron has spiked lately (Maass et al. 2002; Ivanov & Michmizos, NeurIPS
// 2021; see [Liquid] for the equations).
//
//	row ─► two inputs, up and down ─► liquid, Steps steps a column ─► counts that fade ─► softmax or line
//
// Fit draws the liquid by Seed; finds the InputGain at which a twentieth of the neurons
// spike per step; lets the liquid live through the training rows with plasticity, Passes
// times; freezes it; and learns the read-out by penalised regression, with the penalty
// that answers best on a fifth of the trials. Labels reach the read-out only. The liquid
// stays frozen afterwards, so a decision depends on model and data alone, and two readers
// of one recording agree.
//
// Trained on classes it puts out one probability row per class; the counts are divided by
// their sum. Trained on target values it puts out kinematics. A column with an unusable
// row is one without input spikes, and its outputs are marked. State carries over from
// column to column; with Cue, markers of these labels clear it, as in training.
//
// Cost per column: Steps × synapses multiplications, about 0.1 neurons² each step for 200.
type Reservoir struct {
	Neurons  int     // 0 = 200
	Steps    int     // of the liquid per column; 0 = 10
	Encoder  string  // "rate" (default), "delta", "step-forward" or "threshold", on z-scores
	Step     float64 // of delta, step-forward and threshold, in standard deviations; 0 = 0.5
	Drive    float64 // of rate: spikes per step at one standard deviation; 0 = 0.2
	Gain     float64 // of the input; 0 = chosen
	Static   bool    // no plasticity: the liquid stays as drawn
	Passes   int     // over the training rows with plasticity; 0 = 1
	Memory   float64 // time constant of the counts, s; 0 = 1
	C        float64 // weight of the data against the penalty on the read-out; 0 = chosen
	Raw      bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Cue      []string
	Seed     uint64

	model *reservoirFile
	r     *reservoir
	c     conditioning
	limit float64
	cues  stopCore // only its labels
	raw   []float64
	x, y  []float64
}

var (
	_ Fitter = (*Reservoir)(nil)
	_ Cued   = (*Reservoir)(nil)
)

// Cues implements Cued.
func (k *Reservoir) Cues() []string { return k.Cue }

type reservoirFile struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	conditioning
	Classes []string    `json:"classes,omitempty"`
	Steps   int         `json:"steps"`
	Encoder string      `json:"encoder"`
	Step    float64     `json:"step"`
	Drive   float64     `json:"drive"`
	Fade    float64     `json:"fade"` // of the counts, per column
	Liquid  liquidFile  `json:"liquid"`
	Weights [][]float64 `json:"weights"` // of the read-out, outputs × neurons
	Bias    []float64   `json:"bias"`
	C       float64     `json:"c"`      // that was used
	Firing  float64     `json:"firing"` // spikes per neuron and step on the training rows
}

// liquidFile is a frozen liquid.
type liquidFile struct {
	Excitatory []bool  `json:"excitatory"`
	Inputs     int     `json:"inputs"`
	Recurrent  *Wiring `json:"recurrent"`
	Input      *Wiring `json:"input"`
	Gain       float64 `json:"gain"`
	TauV       float64 `json:"tau_v"` // steps
	Threshold  float64 `json:"threshold"`
	Refractory float64 `json:"refractory"` // steps
}

func (f *liquidFile) build() (*Liquid, error) {
	l := &Liquid{
		Neurons: len(f.Excitatory), Inputs: f.Inputs, Excitatory: f.Excitatory, Recurrent: f.Recurrent, Input: f.Input,
		InputGain: f.Gain, TauV: f.TauV, Threshold: f.Threshold, Refractory: f.Refractory, Frozen: true,
	}
	return l, l.start()
}

// reservoir is encoder, liquid and counts at work.
type reservoir struct {
	liquid *Liquid
	enc    *encoder // nil = rate
	drive  float64
	steps  int
	fade   float64
	shares bool      // counts are divided by their sum
	signed []float64 // what enc gave
	charge []float64 // of every input, up and down in turn
	in     []float64
	count  []float64
	f      []float64 // features of the read-out
	fired  float64   // spikes so far
}

func newReservoir(l *Liquid, m *reservoirFile) (*reservoir, error) {
	n := len(m.Rows)
	r := &reservoir{
		liquid: l, drive: m.Drive, steps: m.Steps, fade: m.Fade, shares: m.Classes != nil,
		signed: make([]float64, n), charge: make([]float64, 2*n), in: make([]float64, 2*n), count: make([]float64, l.Neurons), f: make([]float64, l.Neurons),
	}
	if m.Encoder == EncodeRate {
		return r, nil
	}
	var err error
	r.enc, err = newEncoder(m.Encoder, m.Step, n)
	return r, err
}

func (r *reservoir) reset() {
	r.liquid.Reset()
	clear(r.charge)
	clear(r.count)
	if r.enc != nil {
		r.enc.reset()
	}
}

// column lives through one column, conditioned rows x or nil, and leaves features in f.
func (r *reservoir) column(x []float64) {
	for i := range r.count {
		r.count[i] *= r.fade
	}
	if x != nil && r.enc != nil {
		r.enc.encode(r.signed, x)
	}
	for step := range r.steps {
		clear(r.in)
		switch {
		case x == nil:
		case r.enc == nil:
			for i, v := range x {
				r.fill(2*i, v)
				r.fill(2*i+1, -v)
			}
		case step == 0:
			for i, v := range r.signed {
				if v > 0 {
					r.in[2*i] = 1
				} else if v < 0 {
					r.in[2*i+1] = 1
				}
			}
		}
		for i, s := range r.liquid.Step(r.in) {
			r.count[i] += s
			r.fired += s
		}
	}
	copy(r.f, r.count)
	if r.shares {
		LiquidReadout(r.f)
	}
}

// fill charges one input, which fires at 1; v below 0 leaves it.
func (r *reservoir) fill(j int, v float64) {
	if v <= 0 {
		return
	}
	r.charge[j] += min(1, float64(r.drive*v))
	if r.charge[j] >= 1 {
		r.charge[j]--
		r.in[j] = 1
	}
}

func (k *Reservoir) settings(rate float64) (*reservoirFile, error) {
	m := &reservoirFile{Format: 1, Kind: "reservoir", Steps: k.Steps, Encoder: k.Encoder, Step: k.Step, Drive: k.Drive}
	if m.Steps == 0 {
		m.Steps = 10
	}
	if m.Encoder == "" {
		m.Encoder = EncodeRate
	}
	if m.Step == 0 {
		m.Step = 0.5
	}
	if m.Drive == 0 {
		m.Drive = 0.2
	}
	memory := k.Memory
	if memory == 0 {
		memory = 1
	}
	switch {
	case !(rate > 0):
		return nil, errors.New("the rows come at no regular rate, so counts cannot fade in time")
	case m.Steps < 1 || m.Steps > 1000:
		return nil, fmt.Errorf("steps %d per column: give 1 to 1000", k.Steps)
	case !(memory > 0) || math.IsInf(memory, 0):
		return nil, fmt.Errorf("memory %v s: give a positive time, 0 for 1 s", k.Memory)
	case !(k.Gain >= 0) || math.IsInf(k.Gain, 0):
		return nil, fmt.Errorf("gain %v: give a positive number, 0 to have it chosen", k.Gain)
	case !(k.C >= 0) || math.IsInf(k.C, 0):
		return nil, fmt.Errorf("c %v: give a positive number, 0 to have it chosen", k.C)
	case k.Passes < 0 || k.Passes > 1000:
		return nil, fmt.Errorf("passes %d: give 1 to 1000", k.Passes)
	case m.Encoder == EncodeDirect:
		return nil, fmt.Errorf("encoder %q gives no spikes: choose %s, %s, %s or %s", m.Encoder, EncodeRate, EncodeDelta, EncodeStep, EncodeThreshold)
	}
	m.Fade = math.Exp(-1 / (memory * rate))
	return m, m.checkCode()
}

func (m *reservoirFile) checkCode() error {
	if !(m.Drive > 0) || math.IsInf(m.Drive, 0) {
		return fmt.Errorf("drive %v: give a positive number, 0 for 0.2 spikes per step", m.Drive)
	}
	if m.Encoder == EncodeRate {
		return nil
	}
	_, err := newEncoder(m.Encoder, m.Step, 1)
	return err
}

// Fit draws and shapes the liquid and learns the read-out; progress counts passes.
func (k *Reservoir) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	m, err := k.settings(rows.Header.Rate)
	if err != nil {
		return err
	}
	limit, err := saturation(k.Saturate)
	if err != nil {
		return err
	}
	labelled := *rows
	if rows.Target == nil {
		if _, err := checkLabelled(rows); err != nil {
			return err
		}
		m.Classes = slices.Clone(rows.Classes)
		labelled.Target, labelled.Targets = make([][]float64, len(rows.X)), make([]stream.Channel, len(rows.Classes))
		for t := range rows.X {
			labelled.Target[t] = make([]float64, len(rows.Classes))
		}
		for i, name := range rows.Classes {
			labelled.Targets[i] = stream.Channel{Label: name}
		}
	}
	if m.conditioning, err = learnConditioning(&labelled, k.Raw); err != nil {
		return err
	}
	if m.Classes != nil {
		m.Offset = nil
		for i := range m.Output {
			m.Output[i].Type = TypeProbability
		}
	}
	x, z := m.apply(&labelled, limit)
	neurons := k.Neurons
	if neurons == 0 {
		neurons = 200
	}
	l, err := NewLiquid(neurons, 2*len(m.Rows), k.Seed)
	if err != nil {
		return err
	}
	r, err := newReservoir(l, m)
	if err != nil {
		return err
	}
	passes := max(1, k.Passes)
	if k.Static {
		passes = 0
	}
	done := 0
	live := func(plastic bool, each func(t int)) error {
		l.Frozen = !plastic
		r.reset()
		for t := range x {
			if t%256 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if t > 0 && len(k.Cue) > 0 && rows.Group != nil && rows.Group[t] != rows.Group[t-1] {
				r.reset()
			}
			r.column(x[t])
			if each != nil {
				each(t)
			}
		}
		if done++; progress != nil {
			progress(done, passes+2)
		}
		return nil
	}
	if l.InputGain = k.Gain; k.Gain == 0 {
		l.InputGain = r.findGain(x)
	}
	for range passes {
		if err := live(true, nil); err != nil {
			return err
		}
	}
	f := make([][]float64, len(x))
	r.fired = 0
	if err := live(false, func(t int) { f[t] = slices.Clone(r.f) }); err != nil {
		return err
	}
	m.Firing = r.fired / float64(len(x)*m.Steps*neurons)
	if r.fired == 0 {
		return errors.New("no neuron of the liquid spikes: give a larger gain, or another seed")
	}
	if err := k.readOut(ctx, m, rows, f, z); err != nil {
		return err
	}
	m.Liquid = liquidFile{
		Excitatory: l.Excitatory, Inputs: l.Inputs, Recurrent: l.Recurrent, Input: l.Input,
		Gain: l.InputGain, TauV: l.TauV, Threshold: l.Threshold, Refractory: l.Refractory,
	}
	if err := m.check(); err != nil {
		return err
	}
	k.model = m
	if progress != nil {
		progress(passes+2, passes+2)
	}
	return nil
}

// findGain returns the power of two, or half way between two, at which nearest to a
// twentieth of the neurons spike per step, on at most 500 rows.
func (r *reservoir) findGain(x [][]float64) float64 {
	best, nearest := 1.0, math.Inf(1)
	r.liquid.Frozen = true
	some := x[:min(500, len(x))]
	for e := 0; e <= 24; e++ {
		r.liquid.InputGain = math.Exp2(float64(e) / 2)
		r.reset()
		r.fired = 0
		for _, row := range some {
			r.column(row)
		}
		rate := r.fired / float64(len(some)*r.steps*r.liquid.Neurons)
		if d := math.Abs(math.Log(max(rate, 1e-9) / 0.05)); d < nearest {
			best, nearest = r.liquid.InputGain, d
		}
		if rate > 0.2 {
			break
		}
	}
	return best
}

// readOut learns weights from features f; z are targets of kinematics.
func (k *Reservoir) readOut(ctx context.Context, m *reservoirFile, rows *Rows, f, z [][]float64) error {
	n := len(f[0])
	mean, scale := columnMeans(f), make([]float64, n)
	for i := range scale {
		s := 0.0
		for t := range f {
			e := f[t][i] - mean[i]
			s += float64(e * e)
		}
		scale[i] = math.Sqrt(s / float64(len(f)))
	}
	g := make([][]float64, len(f))
	for t := range f {
		g[t] = make([]float64, n)
		for i := range g[t] {
			if scale[i] > 0 { // a neuron that never spikes says nothing
				g[t][i] = (f[t][i] - mean[i]) / scale[i]
			}
		}
	}
	all := make([]int, len(f))
	for t := range all {
		all[t] = t
	}
	c := k.C
	if held, used := k.holdOut(rows); c == 0 {
		best := math.Inf(1)
		c = 1e-2
		for _, try := range []float64{1e-4, 1e-3, 1e-2, 1e-1} {
			if len(held) == 0 { // too few trials to choose by
				break
			}
			w, b, err := m.regress(ctx, g, rows, z, used, try)
			if errors.Is(err, errNoConvergence) {
				continue
			}
			if err != nil {
				return err
			}
			if loss := m.loss(w, b, g, rows, z, held); loss < best {
				best, c = loss, try
			}
		}
	}
	w, b, err := m.regress(ctx, g, rows, z, all, c)
	if err != nil {
		return err
	}
	for o := range w { // features come unscaled
		for i := range w[o] {
			if scale[i] > 0 {
				w[o][i] /= scale[i]
			} else {
				w[o][i] = 0
			}
			b[o] -= float64(w[o][i] * mean[i])
		}
	}
	m.Weights, m.Bias, m.C = w, b, c
	return nil
}

// holdOut draws a fifth of the trials, of every class alike; stretches of 50 rows where
// there are no trials.
func (k *Reservoir) holdOut(rows *Rows) (held, used []int) {
	var trials [][]int
	byClass := make([][]int, max(1, len(rows.Classes)))
	for t := range rows.X {
		first := t == 0 || rows.Group == nil && t%50 == 0 || rows.Group != nil && rows.Group[t] != rows.Group[t-1] || rows.Y != nil && rows.Y[t] != rows.Y[t-1]
		if first {
			c := 0
			if rows.Y != nil {
				c = rows.Y[t]
			}
			byClass[c] = append(byClass[c], len(trials))
			trials = append(trials, nil)
		}
		trials[len(trials)-1] = append(trials[len(trials)-1], t)
	}
	r := rand.New(rand.NewPCG(k.Seed, 0x726573))
	for _, list := range byClass {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for i, at := range list {
			if i < len(list)/5 {
				held = append(held, trials[at]...)
			} else {
				used = append(used, trials[at]...)
			}
		}
	}
	slices.Sort(used)
	return held, used
}

// regress fits the read-out on some rows.
func (m *reservoirFile) regress(ctx context.Context, g [][]float64, rows *Rows, z [][]float64, at []int, c float64) (w [][]float64, b []float64, err error) {
	x := make([][]float64, len(at))
	for i, t := range at {
		x[i] = g[t]
	}
	if m.Classes != nil {
		y := make([]int, len(at))
		for i, t := range at {
			y[i] = rows.Y[t]
		}
		w, b, err = newLogisticProblem(x, y, len(m.Classes), c, true).newton(ctx)
		if len(w) == 1 { // one score of two classes
			w, b = [][]float64{make([]float64, len(w[0])), w[0]}, []float64{0, b[0]}
		}
		return w, b, err
	}
	n, d := len(x[0]), len(z[0])
	a, l, v := dense.New(n, n), dense.New(n, n), make([]float64, n)
	mean := make([]float64, n)
	for _, row := range x {
		for i := range row {
			mean[i] += row[i] / float64(len(x))
		}
	}
	for _, row := range x {
		for i := range row {
			e := float64(c * (row[i] - mean[i]))
			for j := range i + 1 {
				a.V[i*n+j] += float64(e * (row[j] - mean[j]))
			}
		}
	}
	for i := range n {
		a.V[i*n+i]++
		for j := range i {
			a.V[j*n+i] = a.V[i*n+j]
		}
	}
	if !dense.Cholesky(l, a) {
		return nil, nil, errNoConvergence
	}
	for o := range d {
		top := 0.0
		for _, t := range at {
			top += z[t][o] / float64(len(at))
		}
		clear(v)
		for i, t := range at {
			e := float64(c * (z[t][o] - top))
			for j := range v {
				v[j] += float64(e * (x[i][j] - mean[j]))
			}
		}
		dense.Solve(l, v)
		w, b = append(w, slices.Clone(v)), append(b, top-dense.Dot(v, mean))
	}
	return w, b, ctx.Err()
}

// loss is cross-entropy, or the sum of squares, over some rows.
func (m *reservoirFile) loss(w [][]float64, b []float64, g [][]float64, rows *Rows, z [][]float64, at []int) float64 {
	sum, y := 0.0, make([]float64, len(w))
	for _, t := range at {
		for o := range w {
			y[o] = dense.Dot(w[o], g[t]) + b[o]
		}
		if m.Classes != nil {
			softmax(y)
			sum -= math.Log(max(y[rows.Y[t]], 1e-300))
			continue
		}
		for o, v := range y {
			sum += (v - z[t][o]) * (v - z[t][o])
		}
	}
	return sum
}

// SaveModel returns liquid, read-out and conditioning.
func (k *Reservoir) SaveModel() (json.RawMessage, error) { return saveModel(k.model) }

// LoadModel sets them after checking.
func (k *Reservoir) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "reservoir", &k.model, (*reservoirFile).check)
}

func (m *reservoirFile) check() error {
	if err := m.validate(); err != nil {
		return err
	}
	if err := m.checkCode(); err != nil {
		return err
	}
	l, err := m.Liquid.build()
	if err != nil {
		return err
	}
	switch {
	case l.Inputs != 2*len(m.Rows):
		return fmt.Errorf("the liquid has %d inputs; %d rows need two each", l.Inputs, len(m.Rows))
	case m.Steps < 1 || m.Steps > 1000:
		return fmt.Errorf("the model takes %d steps per column; allowed are 1 to 1000", m.Steps)
	case !(m.Fade >= 0 && m.Fade < 1):
		return fmt.Errorf("the model's counts fade by %v per column; allowed are 0 to 1", m.Fade)
	case len(m.Classes) > 0 && len(m.Classes) != len(m.Output) || len(m.Weights) != len(m.Output) || len(m.Bias) != len(m.Output):
		return fmt.Errorf("the model has %d outputs, %d classes, %d weight vectors and %d biases", len(m.Output), len(m.Classes), len(m.Weights), len(m.Bias))
	}
	for _, w := range m.Weights {
		if err := checkNumbers("read-out", w, l.Neurons); err != nil {
			return err
		}
	}
	return checkNumbers("bias", m.Bias, len(m.Output))
}

// Open builds the liquid for the stream.
func (k *Reservoir) Open(in stream.Header) (stream.Header, error) {
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
	l, err := k.model.Liquid.build()
	if err != nil {
		return stream.Header{}, err
	}
	if k.r, err = newReservoir(l, k.model); err != nil {
		return stream.Header{}, err
	}
	k.cues = stopCore{labels: k.Cue}
	k.raw, k.x, k.y = make([]float64, len(k.c.Rows)), make([]float64, len(k.c.Rows)), make([]float64, len(k.c.Output))
	out := in
	out.Channels = slices.Clone(k.c.Output)
	return out, nil
}

// Reset returns to the state after Open.
func (k *Reservoir) Reset() {
	if k.r != nil {
		k.r.reset()
	}
}

// Process lives through Steps steps per column.
func (k *Reservoir) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		k.Reset()
	}
	m, mark := k.model, 0
	for i := range src.Len {
		for ; mark < len(src.Markers) && src.Markers[mark].Column <= i; mark++ {
			if k.cues.isCue(src.Markers[mark].Label) {
				k.r.reset()
			}
		}
		src.Column(k.raw, i)
		x := k.x
		if !k.c.features(x, k.raw, k.limit) || columnMarked(src, i) {
			x = nil
			markColumn(dst, i)
		}
		k.r.column(x)
		for o, w := range m.Weights {
			k.y[o] = dense.Dot(w, k.r.f) + m.Bias[o]
		}
		if m.Classes != nil {
			softmax(k.y)
		}
		for o, v := range k.y {
			if k.c.Offset != nil {
				v += k.c.Offset[o]
			}
			dst.Set(o, i, v)
		}
	}
}

// Snapshot appends the state.
func (k *Reservoir) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	k.r.liquid.snapshot(&w)
	w.Floats(k.r.charge)
	w.Floats(k.r.count)
	if k.r.enc != nil {
		k.r.enc.snapshot(&w)
	}
	return w.Buf
}

// Restore sets the state of an opened stage.
func (k *Reservoir) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	k.r.liquid.restore(&r)
	r.Floats(k.r.charge)
	r.Floats(k.r.count)
	if k.r.enc != nil {
		k.r.enc.restore(&r)
	}
	if err := r.Err(); err != nil {
		k.Reset()
		return err
	}
	return nil
}
