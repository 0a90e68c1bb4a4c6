package decoders

import (
	"fmt"
	"math"
)

// Surrogates are derivatives that stand in for that of the spike, a step, during
// training; u is the membrane minus the threshold.
const (
	SurrogateFastSigmoid = "fast-sigmoid" // 1/(1+k|u|)², peak 1 (Zenke & Ganguli 2018); slope k
	SurrogateATan        = "atan"         // (α/2)/(1+(π α u/2)²), peak α/2; slope α
)

func surrogate(kind string, slope float64) (func(u float64) float64, error) {
	if slope == 0 {
		slope = 10
		if kind == SurrogateATan {
			slope = 2
		}
	}
	if !(slope > 0) || math.IsInf(slope, 0) {
		return nil, fmt.Errorf("surrogate slope %v: give a positive number", slope)
	}
	switch kind {
	case SurrogateFastSigmoid, "":
		return func(u float64) float64 {
			d := 1 + slope*math.Abs(u)
			return 1 / (d * d)
		}, nil
	case SurrogateATan:
		return func(u float64) float64 {
			d := math.Pi / 2 * slope * u
			return slope / 2 / (1 + d*d)
		}, nil
	}
	return nil, fmt.Errorf("surrogate %q: choose %s or %s", kind, SurrogateFastSigmoid, SurrogateATan)
}

// Neurons that can be trained; lif.go holds their equations.
const (
	NeuronLIF      = "lif"       // delayed reset by subtraction, a learned decay per neuron (the default)
	NeuronPLIF     = "plif"      // same-step hard reset, input divided by τ, one learned τ per layer (Fang et al. 2021)
	NeuronAdaptive = "adaptive"  // the threshold rises with the neuron's own activity (Bellec et al. 2018)
	NeuronTwoState = "two-state" // synaptic and membrane state with learned time constants per neuron
)

// hidden is a trainable layer; that of lif neurons: I = W x + b (+ R S_{t-1});
// U = β U + I - θ S_{t-1}; S = [U > θ], with one learned β per neuron,
// β = 1/(1+exp(-raw)). The others stand in surrogate_neurons.go.
type hidden struct {
	kind                string
	in, n               int
	w, b, r, raw        []float64    // views into the parameters; r may be empty
	gw, gb, gr, graw    []float64    // and into the gradient
	beta                []float64    // of raw: decays, or 1/τ
	rho, gain           float64      // adaptive
	u, s                [][]float64  // tape: step × n, with a zero step in front
	aux                 [][]float64  // tape of a (adaptive) or of the synaptic state
	carry               [3][]float64 // gradients that go back in time, by kind
	mask                []float64    // dropout of spikes, this sequence
	gu, gs, back, gnext []float64
}

// spikingNet is a network in training: hidden layers and a leaky read-out
// O = β O + W S + b.
type spikingNet struct {
	layers   []*hidden
	out      *hidden
	p, g     []float64
	theta    float64
	dt       float64 // s per step, for time constants in seconds
	deriv    func(u float64) float64
	attached bool // the reset carries gradient
	spike    func(u float64) float64
	x        [][]float64 // inputs of the taped sequence
	steps    int
	go1, gO  []float64
}

// newSpikingNet lays out the parameters of in → sizes… → out of lif neurons, with
// recurrent connections in every hidden layer when asked.
func newSpikingNet(in int, sizes []int, out int, recurrent bool) *spikingNet {
	return newSpikingNetOf(NeuronLIF, in, sizes, out, recurrent)
}

// newSpikingNetOf is newSpikingNet with another kind of hidden neurons.
func newSpikingNetOf(kind string, in int, sizes []int, out int, recurrent bool) *spikingNet {
	n := &spikingNet{theta: 1, dt: 1}
	total := 0
	dims := append(append([]int{in}, sizes...), out)
	constants := func(i int) int { // learned time constants of a layer
		switch {
		case i == len(dims)-1:
			return out
		case kind == NeuronPLIF:
			return 1
		case kind == NeuronTwoState:
			return 2 * dims[i]
		}
		return dims[i]
	}
	biases := func(i int) int { // two-state neurons have none
		if kind == NeuronTwoState && i < len(dims)-1 {
			return 0
		}
		return dims[i]
	}
	for i := 1; i < len(dims); i++ {
		h := dims[i]
		total += h*dims[i-1] + biases(i) + constants(i)
		if recurrent && i < len(dims)-1 {
			total += h * h
		}
	}
	n.p, n.g = make([]float64, total), make([]float64, total)
	at := 0
	view := func(k int) (p, g []float64) {
		at += k
		return n.p[at-k : at : at], n.g[at-k : at : at]
	}
	for i := 1; i < len(dims); i++ {
		l := &hidden{kind: kind, in: dims[i-1], n: dims[i]}
		if i == len(dims)-1 {
			l.kind = "leaky"
		}
		l.w, l.gw = view(l.n * l.in)
		l.b, l.gb = view(biases(i))
		l.raw, l.graw = view(constants(i))
		if recurrent && i < len(dims)-1 {
			l.r, l.gr = view(l.n * l.n)
		}
		l.beta, l.mask = make([]float64, len(l.raw)), make([]float64, l.n)
		for k := range l.carry {
			l.carry[k] = make([]float64, l.n)
		}
		l.gu, l.gs, l.back, l.gnext = make([]float64, l.n), make([]float64, l.n), make([]float64, l.in), make([]float64, l.n)
		for j := range l.mask {
			l.mask[j] = 1
		}
		if i < len(dims)-1 {
			n.layers = append(n.layers, l)
		} else {
			n.out = l
		}
	}
	n.go1, n.gO = make([]float64, out), make([]float64, out)
	n.spike = func(u float64) float64 {
		if u > 0 {
			return 1
		}
		return 0
	}
	return n
}

func (l *hidden) tape(steps int) {
	for len(l.u) < steps+1 {
		l.u, l.s, l.aux = append(l.u, make([]float64, l.n)), append(l.s, make([]float64, l.n)), append(l.aux, make([]float64, l.n))
	}
	for j, v := range l.raw {
		l.beta[j] = 1 / (1 + math.Exp(-v))
	}
}

// current returns W x + b (+ R s) of neuron j.
func (l *hidden) current(j int, x, s []float64) float64 {
	c, row := 0.0, l.w[j*l.in:(j+1)*l.in]
	if len(l.b) > 0 {
		c = l.b[j]
	}
	for i, v := range x {
		if v != 0 {
			c += float64(row[i] * v)
		}
	}
	if len(l.r) > 0 {
		row = l.r[j*l.n : (j+1)*l.n]
		for i, v := range s {
			if v != 0 {
				c += float64(row[i] * v)
			}
		}
	}
	return c
}

// forward runs a sequence (steps × inputs) and keeps the tape. Output t is
// n.out.u[t+1].
func (n *spikingNet) forward(x [][]float64) {
	n.x, n.steps = x, len(x)
	for _, l := range n.layers {
		l.tape(len(x))
	}
	n.out.tape(len(x))
	for t := range x {
		in := x[t]
		for i, l := range n.layers {
			if l.kind != NeuronLIF {
				n.forwardOther(i, t)
				in = l.s[t+1]
				continue
			}
			for j := range l.n {
				u := float64(l.beta[j]*l.u[t][j]) + l.current(j, in, l.s[t]) - float64(n.theta*n.spikeAt(l, t, j))
				l.u[t+1][j] = u
				l.s[t+1][j] = n.spike(u-n.theta) * l.mask[j]
			}
			in = l.s[t+1]
		}
		o := n.out
		for j := range o.n {
			o.u[t+1][j] = float64(o.beta[j]*o.u[t][j]) + o.current(j, in, nil)
		}
	}
}

// spikeAt is the spike before dropout at tape position t.
func (n *spikingNet) spikeAt(l *hidden, t, j int) float64 {
	if t == 0 {
		return 0
	}
	return n.spike(l.u[t][j] - n.theta)
}

// backward adds the gradient of a loss with derivatives dO (steps × outputs) by the
// outputs to n.g: back-propagation through time over the whole tape.
func (n *spikingNet) backward(dO [][]float64) {
	o := n.out
	clear(n.gO)
	for _, l := range n.layers {
		clear(l.gnext)
		for k := range l.carry {
			clear(l.carry[k])
		}
	}
	for t := n.steps - 1; t >= 0; t-- {
		in := n.x[t]
		if k := len(n.layers); k > 0 {
			in = n.layers[k-1].s[t+1]
		}
		clear(o.back)
		for j := range o.n {
			g := dO[t][j] + o.beta[j]*n.gO[j]
			n.gO[j] = g
			o.gb[j] += g
			o.graw[j] += g * o.u[t][j] * o.beta[j] * (1 - o.beta[j])
			o.spread(j, g, in)
		}
		above := o.back
		for i := len(n.layers) - 1; i >= 0; i-- {
			l := n.layers[i]
			copy(l.gs, above)
			if l.kind != NeuronLIF {
				n.backwardOther(i, t)
				above = l.back
				continue
			}
			if len(l.r) > 0 { // spikes of this step drive the next one
				for j, g := range l.gnext {
					if g != 0 {
						for c, w := range l.r[j*l.n : (j+1)*l.n] {
							l.gs[c] += g * w
						}
					}
				}
			}
			in := n.x[t]
			if i > 0 {
				in = n.layers[i-1].s[t+1]
			}
			clear(l.back)
			for j := range l.n {
				gs := l.gs[j] * l.mask[j]
				if n.attached {
					gs -= n.theta * l.gnext[j]
				}
				l.gu[j] = gs*n.deriv(l.u[t+1][j]-n.theta) + l.beta[j]*l.gnext[j]
			}
			for j, g := range l.gu {
				l.gb[j] += g
				l.graw[j] += g * l.u[t][j] * l.beta[j] * (1 - l.beta[j])
				l.spread(j, g, in)
				if len(l.r) > 0 {
					row := l.gr[j*l.n : (j+1)*l.n]
					for c, s := range l.s[t] {
						if s != 0 {
							row[c] += g * s
						}
					}
				}
			}
			copy(l.gnext, l.gu)
			above = l.back
		}
	}
}

// spread adds g to the weights of neuron j and to its inputs.
func (l *hidden) spread(j int, g float64, in []float64) {
	w, gw := l.w[j*l.in:(j+1)*l.in], l.gw[j*l.in:(j+1)*l.in]
	for i, v := range in {
		if v != 0 {
			gw[i] += g * v
		}
		l.back[i] += g * w[i]
	}
}

// network returns the trained network for inference.
func (n *spikingNet) network() *NetworkFile {
	f := &NetworkFile{Format: networkFormat, Number: 1}
	matrix := func(w []float64, cols int) [][]float64 {
		var out [][]float64
		for o := 0; o < len(w); o += cols {
			out = append(out, append([]float64(nil), w[o:o+cols]...))
		}
		return out
	}
	for _, l := range n.layers {
		l.tape(0)
		bias := append([]float64(nil), l.b...)
		lf := LayerFile{Size: l.n, Threshold: n.theta}
		if len(l.r) > 0 {
			lf.Recurrent = matrix(l.r, l.n)
		}
		switch l.kind {
		case NeuronPLIF:
			lf.Type, lf.Order, lf.Reset, lf.DecayInput, lf.W = "lif", ResetSameStep, "hard", true, append([]float64(nil), l.raw...)
		case NeuronAdaptive:
			lf.Type, lf.Beta, lf.Rho, lf.Gain = "adaptive-lif", append([]float64(nil), l.beta...), l.rho, l.gain
		case NeuronTwoState:
			lf = LayerFile{Type: "two-state-lif", Weights: matrix(l.w, l.in), Recurrent: lf.Recurrent, Threshold: n.theta, Dt: n.dt}
			for j := range l.n {
				lf.TauSyn, lf.TauMem = append(lf.TauSyn, -n.dt/math.Log(l.beta[j])), append(lf.TauMem, -n.dt/math.Log(l.beta[l.n+j]))
			}
			f.Layers = append(f.Layers, lf) // its weights are within
			continue
		default:
			lf.Type, lf.Order, lf.Reset, lf.Beta = "lif", ResetDelayed, "subtract", append([]float64(nil), l.beta...)
		}
		f.Layers = append(f.Layers, LayerFile{Type: "linear", Weights: matrix(l.w, l.in), Bias: bias}, lf)
	}
	o := n.out
	o.tape(0)
	f.Layers = append(
		f.Layers,
		LayerFile{Type: "linear", Weights: matrix(o.w, o.in), Bias: append([]float64(nil), o.b...)},
		LayerFile{Type: "leaky", Size: o.n, Beta: append([]float64(nil), o.beta...)},
	)
	return f
}
