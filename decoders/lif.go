package decoders

import (
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Conventions of a leaky integrate-and-fire neuron. They differ between libraries
// and decide every spike, so a model names its own.
const (
	// ResetDelayed: a spike at t lowers the membrane at t+1, and spikes are strictly
	// above threshold: R = [U_{t-1} > θ]; U = β U + I - R θ; S = [U > θ] (snnTorch).
	ResetDelayed = "delayed"
	// ResetSameStep: charge, fire at or above threshold, reset at once:
	// H = V + (X - (V - V_r))/τ or H = V - (V - V_r)/τ + X; S = [H ≥ θ] (SpikingJelly).
	ResetSameStep = "same-step"
)

// layer is one stage of a spiking network: it turns an input vector into an output
// vector, once per time step. Spikes are 0 or 1.
type layer interface {
	dims() (in, out int)
	step(out, in []float64)
	reset()
	state() [][]float64 // everything it remembers
	file() LayerFile
}

// LayerFile is the stored form of a layer. Vectors of length 1 hold for all neurons.
type LayerFile struct {
	Type string `json:"type"` // "linear", "lif", "adaptive-lif", "two-state-lif", "leaky", "if", "dcls" or "elm"
	Size int    `json:"size,omitempty"`

	Weights   [][]float64 `json:"weights,omitempty"`   // out × in: linear, two-state-lif, dcls
	Bias      []float64   `json:"bias,omitempty"`      // out: linear
	Recurrent [][]float64 `json:"recurrent,omitempty"` // size × size: lif, adaptive-lif, two-state-lif

	Order      string    `json:"order,omitempty"`       // lif: "delayed" or "same-step"
	Reset      string    `json:"reset,omitempty"`       // lif: "subtract", "zero", "none"; same-step: "soft" or "hard"
	Beta       []float64 `json:"beta,omitempty"`        // decay per step: lif (delayed), adaptive-lif, leaky
	Tau        []float64 `json:"tau,omitempty"`         // steps: lif (same-step)
	W          []float64 `json:"w,omitempty"`           // lif (same-step), parametric: 1/τ = 1/(1+exp(-w))
	DecayInput bool      `json:"decay_input,omitempty"` // lif (same-step): divide the input by τ too
	VReset     float64   `json:"v_reset,omitempty"`     // lif (same-step, hard)
	Threshold  float64   `json:"threshold,omitempty"`   // all spiking types; 0 = 1
	Rho        float64   `json:"rho,omitempty"`         // adaptive-lif: a = ρ a + (1-ρ) S
	Gain       float64   `json:"gain,omitempty"`        // adaptive-lif: θ + gain a
	TauSyn     []float64 `json:"tau_syn,omitempty"`     // two-state-lif: seconds
	TauMem     []float64 `json:"tau_mem,omitempty"`     // two-state-lif: seconds
	Dt         float64   `json:"dt,omitempty"`          // two-state-lif: seconds per step
	Bits       int       `json:"bits,omitempty"`        // if: cap of 2^bits-1 spikes, with negative spikes; 0 = neither

	Positions [][]float64 `json:"positions,omitempty"` // dcls: out × in, in steps around the kernel's middle
	Kernel    int         `json:"kernel,omitempty"`    // dcls: odd length

	ELM *elmFile `json:"elm,omitempty"`
}

// maxNeurons bounds what a model file can make us allocate.
const maxNeurons = 1 << 16

func (f *LayerFile) build() (layer, error) {
	for _, v := range [][]float64{f.Bias, f.Beta, f.Tau, f.W, f.TauSyn, f.TauMem, {f.VReset, f.Threshold, f.Rho, f.Gain, f.Dt}} {
		for _, x := range v {
			if x-x != 0 {
				return nil, fmt.Errorf("%s layer: a parameter is %v", f.Type, x)
			}
		}
	}
	if f.Size < 0 || f.Size > maxNeurons {
		return nil, fmt.Errorf("%s layer: size %d; allowed are 1 to %d", f.Type, f.Size, maxNeurons)
	}
	switch f.Type {
	case "linear":
		return newSynapses(f)
	case "lif":
		return newLIF(f)
	case "adaptive-lif":
		return newAdaptive(f)
	case "two-state-lif":
		return newTwoState(f)
	case "leaky":
		return newLeaky(f)
	case "if":
		return newIF(f)
	case "dcls":
		return newDCLS(f)
	case "elm":
		return newELM(f)
	}
	return nil, fmt.Errorf("layer type %q: known are linear, lif, adaptive-lif, two-state-lif, leaky, if, dcls and elm", f.Type)
}

// fill spreads a vector of length 1 or n over n neurons.
func fill(name string, v []float64, n int, ok func(float64) bool) ([]float64, error) {
	if len(v) != 1 && len(v) != n {
		return nil, fmt.Errorf("%s has %d values for %d neurons; give one, or one each", name, len(v), n)
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = v[min(i, len(v)-1)]
		if !ok(out[i]) {
			return nil, fmt.Errorf("%s of neuron %d is %v", name, i+1, out[i])
		}
	}
	return out, nil
}

func threshold(f *LayerFile) (float64, error) {
	if f.Threshold == 0 {
		return 1, nil
	}
	if f.Threshold < 0 {
		return 0, fmt.Errorf("%s layer: threshold %v; it is positive", f.Type, f.Threshold)
	}
	return f.Threshold, nil
}

func unit(b float64) bool     { return b >= 0 && b <= 1 }
func positive(b float64) bool { return b > 0 }

// synapses is a dense layer stored in tiles of eight outputs. Inputs that are zero
// cost nothing: with spikes, a step costs one addition per spike and output.
type synapses struct {
	in, out int
	whole   *dense.Panels
	bias    []float64 // padded to whole panels
	active  []int32   // inputs that are not zero, and room for three more
	sums    []float64 // padded
	f       LayerFile
}

func newSynapses(f *LayerFile) (*synapses, error) {
	if len(f.Weights) == 0 || len(f.Weights[0]) == 0 {
		return nil, errors.New("linear layer: no weights")
	}
	s := &synapses{out: len(f.Weights), in: len(f.Weights[0]), f: *f}
	if s.in > maxNeurons || s.out > maxNeurons {
		return nil, fmt.Errorf("linear layer: %d × %d weights; at most %d each way", s.out, s.in, maxNeurons)
	}
	if f.Bias != nil && len(f.Bias) != s.out {
		return nil, fmt.Errorf("linear layer: %d biases for %d outputs", len(f.Bias), s.out)
	}
	tiles := stream.TilesFor(s.out)
	w := make([]dense.Vec, tiles*s.in) // tile k, input i at k*in+i
	s.bias, s.sums = make([]float64, tiles*stream.Lanes), make([]float64, tiles*stream.Lanes)
	s.active = make([]int32, s.in+3)
	for o, row := range f.Weights {
		if len(row) != s.in {
			return nil, fmt.Errorf("linear layer: output %d has %d weights, output 1 has %d", o+1, len(row), s.in)
		}
		for i, v := range row {
			if v-v != 0 {
				return nil, fmt.Errorf("linear layer: weight %d of output %d is %v", i+1, o+1, v)
			}
			w[o/stream.Lanes*s.in+i][o%stream.Lanes] = v
		}
		if f.Bias != nil {
			s.bias[o] = f.Bias[o]
		}
	}
	s.whole = dense.Share(s.out, s.in, w)
	return s, nil
}

func (s *synapses) dims() (int, int)   { return s.in, s.out }
func (s *synapses) reset()             {}
func (s *synapses) state() [][]float64 { return nil }
func (s *synapses) file() LayerFile    { return s.f }

func (s *synapses) step(out, in []float64) {
	s.apply(out, in, true)
}

// apply sets out = W in + bias, or adds to out when set is false. Sums run in the order
// of the inputs; where most inputs are not zero, in that of [dense.Dot].
func (s *synapses) apply(out, in []float64, set bool) {
	n := dense.Nonzero(s.active, in[:s.in])
	out = out[:s.out]
	if 2*n > s.in { // an analog input, not spikes
		s.whole.Products(s.sums, in)
		sums, bias := s.sums[:len(out)], s.bias[:len(out)]
		if set {
			for o := range out {
				out[o] = 0 + (bias[o] + sums[o])
			}
			return
		}
		for o := range out {
			out[o] += bias[o] + sums[o]
		}
		return
	}
	copy(s.sums, s.bias)
	s.whole.AddSelected(s.sums, in, s.active[:n])
	sums := s.sums[:len(out)]
	if set {
		copy(out, sums)
		return
	}
	for o := range out {
		out[o] += sums[o]
	}
}

// square builds recurrent weights.
func square(w [][]float64, n int) (*synapses, error) {
	if w == nil {
		return nil, nil
	}
	s, err := newSynapses(&LayerFile{Type: "linear", Weights: w})
	if err != nil {
		return nil, fmt.Errorf("recurrent weights: %w", err)
	}
	if s.in != n || s.out != n {
		return nil, fmt.Errorf("recurrent weights are %d × %d for %d neurons", s.out, s.in, n)
	}
	return s, nil
}

// lif is a layer of leaky integrate-and-fire neurons in either convention.
type lif struct {
	n         int
	f         LayerFile
	sameStep  bool
	decay     []float64 // β, or 1/τ
	theta, vr float64
	rec       *synapses
	u, s, cur []float64
	soft      bool          // reset of the same-step convention
	neurons   dense.Neurons // of the delayed convention
}

func newLIF(f *LayerFile) (*lif, error) {
	n := f.Size
	if n < 1 {
		return nil, errors.New("lif layer: no size")
	}
	l := &lif{n: n, f: *f, u: make([]float64, n), s: make([]float64, n), cur: make([]float64, n)}
	var err error
	if l.theta, err = threshold(f); err != nil {
		return nil, err
	}
	switch f.Order {
	case ResetDelayed:
		if l.decay, err = fill("beta", f.Beta, n, unit); err != nil {
			return nil, fmt.Errorf("lif layer: %w", err)
		}
		if f.Reset != "subtract" && f.Reset != "zero" && f.Reset != "none" {
			return nil, fmt.Errorf("lif layer: reset %q; delayed neurons know subtract, zero and none", f.Reset)
		}
		l.neurons = dense.Neurons{Decay: l.decay, Threshold: l.theta, Clear: f.Reset == "zero"}
		if f.Reset == "subtract" {
			l.neurons.Off = l.theta
		}
	case ResetSameStep:
		l.sameStep = true
		if f.W != nil {
			if l.decay, err = fill("w", f.W, n, func(float64) bool { return true }); err != nil {
				return nil, fmt.Errorf("lif layer: %w", err)
			}
			for i, w := range l.decay {
				l.decay[i] = 1 / (1 + math.Exp(-w))
			}
		} else {
			if l.decay, err = fill("tau", f.Tau, n, func(t float64) bool { return t >= 1 }); err != nil {
				return nil, fmt.Errorf("lif layer: %w", err)
			}
			for i, t := range l.decay {
				l.decay[i] = 1 / t
			}
		}
		if f.Reset != "soft" && f.Reset != "hard" {
			return nil, fmt.Errorf("lif layer: reset %q; same-step neurons know soft and hard", f.Reset)
		}
		if l.soft = f.Reset == "soft"; !l.soft {
			l.vr = f.VReset
		}
	default:
		return nil, fmt.Errorf("lif layer: order %q; known are %s and %s", f.Order, ResetDelayed, ResetSameStep)
	}
	if l.rec, err = square(f.Recurrent, n); err != nil {
		return nil, fmt.Errorf("lif layer: %w", err)
	}
	l.reset()
	return l, nil
}

func (l *lif) dims() (int, int)   { return l.n, l.n }
func (l *lif) state() [][]float64 { return [][]float64{l.u, l.s} }
func (l *lif) file() LayerFile    { return l.f }

func (l *lif) reset() {
	clear(l.s)
	for i := range l.u {
		l.u[i] = l.vr
	}
}

func (l *lif) step(out, in []float64) {
	if l.rec != nil {
		copy(l.cur, in[:l.n])
		l.rec.apply(l.cur, l.s, false)
		in = l.cur
	}
	if l.sameStep {
		l.chargeFireReset(out, in)
	} else {
		l.neurons.Step(l.u, out, in)
	}
	copy(l.s, out[:l.n])
}

func (l *lif) chargeFireReset(out, in []float64) {
	u, decay := l.u, l.decay[:len(l.u)]
	out, in = out[:len(u)], in[:len(u)]
	for i, v := range u {
		if l.f.DecayInput {
			v += float64((in[i] - (v - l.vr)) * decay[i])
		} else {
			v = v - float64((v-l.vr)*decay[i]) + in[i]
		}
		out[i] = 0
		if v >= l.theta {
			out[i] = 1
			if l.soft {
				v -= l.theta
			} else {
				v = l.vr
			}
		}
		u[i] = v
	}
}

// adaptive raises its threshold with its own activity: a = ρ a + (1-ρ) S_{t-1},
// V = β V (1-S_{t-1}) + I (+ R S_{t-1}), S = [V > θ + g a] (Bellec et al. 2018).
type adaptive struct {
	n       int
	f       LayerFile
	beta    []float64
	theta   float64
	rec     *synapses
	v, a, s []float64
	cur     []float64
	limit   []float64 // of the last step
}

func newAdaptive(f *LayerFile) (*adaptive, error) {
	n := f.Size
	if n < 1 {
		return nil, errors.New("adaptive-lif layer: no size")
	}
	l := &adaptive{n: n, f: *f, v: make([]float64, n), a: make([]float64, n), s: make([]float64, n), limit: make([]float64, n)}
	var err error
	if l.beta, err = fill("beta", f.Beta, n, unit); err != nil {
		return nil, fmt.Errorf("adaptive-lif layer: %w", err)
	}
	if !unit(f.Rho) {
		return nil, fmt.Errorf("adaptive-lif layer: rho %v; it lies between 0 and 1", f.Rho)
	}
	if l.rec, err = square(f.Recurrent, n); err != nil {
		return nil, fmt.Errorf("adaptive-lif layer: %w", err)
	}
	l.cur = make([]float64, n)
	l.theta, err = threshold(f)
	return l, err
}

func (l *adaptive) dims() (int, int)   { return l.n, l.n }
func (l *adaptive) state() [][]float64 { return [][]float64{l.v, l.a, l.s} }
func (l *adaptive) file() LayerFile    { return l.f }
func (l *adaptive) reset()             { clear(l.v); clear(l.a); clear(l.s) }

func (l *adaptive) step(out, in []float64) {
	if l.rec != nil {
		copy(l.cur, in[:l.n])
		l.rec.apply(l.cur, l.s, false)
		in = l.cur
	}
	rho, rest := l.f.Rho, 1-l.f.Rho
	for i := range l.v {
		l.a[i] = float64(rho*l.a[i]) + float64(rest*l.s[i])
		l.limit[i] = l.theta + float64(l.f.Gain*l.a[i])
		l.v[i] = float64(float64(l.beta[i]*l.v[i])*(1-l.s[i])) + in[i]
		l.s[i] = 0
		if l.v[i] > l.limit[i] {
			l.s[i] = 1
		}
		out[i] = l.s[i]
	}
}

// twoState is the recurrent layer with synaptic and membrane state. All updates use
// the previous step's values: syn' = a syn + W x_{t-1} + R s_{t-1};
// mem' = (m mem + (1-m) syn)(1 - [mem > θ]); s' = [mem > θ].
type twoState struct {
	n              int
	f              LayerFile
	w, rec         *synapses
	a, m           []float64
	theta          float64
	syn, mem, s, x []float64
	cur            []float64
}

func newTwoState(f *LayerFile) (*twoState, error) {
	w, err := newSynapses(&LayerFile{Type: "linear", Weights: f.Weights})
	if err != nil {
		return nil, fmt.Errorf("two-state-lif layer: %w", err)
	}
	n := w.out
	l := &twoState{n: n, f: *f, w: w, syn: make([]float64, n), mem: make([]float64, n), s: make([]float64, n), cur: make([]float64, n), x: make([]float64, w.in)}
	if l.rec, err = square(f.Recurrent, n); err != nil {
		return nil, fmt.Errorf("two-state-lif layer: %w", err)
	}
	if !(f.Dt > 0) {
		return nil, fmt.Errorf("two-state-lif layer: dt %v; it is positive seconds", f.Dt)
	}
	if l.a, err = fill("tau_syn", f.TauSyn, n, positive); err != nil {
		return nil, fmt.Errorf("two-state-lif layer: %w", err)
	}
	if l.m, err = fill("tau_mem", f.TauMem, n, positive); err != nil {
		return nil, fmt.Errorf("two-state-lif layer: %w", err)
	}
	for i := range n {
		l.a[i], l.m[i] = math.Exp(-f.Dt/l.a[i]), math.Exp(-f.Dt/l.m[i])
	}
	l.theta, err = threshold(f)
	return l, err
}

func (l *twoState) dims() (int, int)   { return l.w.in, l.n }
func (l *twoState) state() [][]float64 { return [][]float64{l.syn, l.mem, l.s, l.x} }
func (l *twoState) file() LayerFile    { return l.f }
func (l *twoState) reset()             { clear(l.syn); clear(l.mem); clear(l.s); clear(l.x) }

func (l *twoState) step(out, in []float64) {
	l.w.apply(l.cur, l.x, true)
	if l.rec != nil {
		l.rec.apply(l.cur, l.s, false)
	}
	for i, mem := range l.mem {
		m, spike := l.m[i], 0.0
		next := float64(m*mem) + float64((1-m)*l.syn[i])
		if mem > l.theta {
			next, spike = 0, 1
		}
		l.mem[i], l.s[i], out[i] = next, spike, spike
		l.syn[i] = float64(l.a[i]*l.syn[i]) + l.cur[i]
	}
	copy(l.x, in[:len(l.x)])
}

// leaky integrates without spiking: O = β O + I. It is the read-out.
type leaky struct {
	n    int
	f    LayerFile
	beta []float64
	o    []float64
}

func newLeaky(f *LayerFile) (*leaky, error) {
	if f.Size < 1 {
		return nil, errors.New("leaky layer: no size")
	}
	beta, err := fill("beta", f.Beta, f.Size, unit)
	if err != nil {
		return nil, fmt.Errorf("leaky layer: %w", err)
	}
	return &leaky{n: f.Size, f: *f, beta: beta, o: make([]float64, f.Size)}, nil
}

func (l *leaky) dims() (int, int)   { return l.n, l.n }
func (l *leaky) state() [][]float64 { return [][]float64{l.o} }
func (l *leaky) file() LayerFile    { return l.f }
func (l *leaky) reset()             { clear(l.o) }

func (l *leaky) step(out, in []float64) {
	for i := range l.o {
		l.o[i] = float64(l.beta[i]*l.o[i]) + in[i]
		out[i] = l.o[i]
	}
}
