package decoders

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"neurostream/stream"
)

// Liquid is a reservoir of spiking neurons whose plasticity an astrocyte steers
// toward the edge of chaos (Ivanov & Michmizos, NeurIPS 2021), in the reduced form of
// our test vector. Depression grows when the liquid spikes more than its input.
//
//	v ← v - v/τ_v + Σ w exp(-c/τ_u)/τ_u + gain · input;  spike at θ unless refractory
//	e ← d (e + 0.1 s);  A ← A + (w_a (Σ s - Σ input) + b - A)/τ
//	excitatory and input synapses: + rate s_post e_pre - A s_pre e_post; inhibitory: swapped
//
// c counts steps since the presynaptic spike. [Reservoir] is the stage around it. Cost
// of a step: one multiplication per synapse, as many again while plastic.
type Liquid struct {
	Neurons, Inputs int
	Excitatory      []bool
	Recurrent       *Wiring
	Input           *Wiring
	InputGain       float64 // 6 in the vector
	TauV, Threshold float64 // 64 steps, 20
	Refractory      float64 // steps, 2
	Astro           Astrocyte
	Rate            float64 // potentiation, 0.15
	Decay, Bump     float64 // of the traces: exp(-1/10), 0.1
	Limit           float64 // of the weights, 3
	Frozen          bool    // no plasticity

	v, ref, s      []float64
	clock, clockIn []float64 // steps since the last spike, at most silent
	push, pushIn   []float64 // exp(-c/τ)/τ of every presynaptic neuron, for τ = 1 and 2
	trace, traceIn []float64
	a              float64
	kernel         [2][silent + 1]float64
}

// silent is the age of a spike, in steps, from which on it gets no older.
const silent = 100

// Astrocyte integrates the difference between liquid and input activity.
type Astrocyte struct {
	Initial, Tau, Weight, Bias float64 // 0.15, 100 steps, 0.015, 0.15
}

// Wiring is the synapses onto a population, sorted by postsynaptic neuron.
type Wiring struct {
	Start  []int     `json:"start"`  // synapses of neuron i are Start[i] to Start[i+1]-1
	Pre    []int     `json:"pre"`    // presynaptic neuron
	Tau    []int     `json:"tau"`    // time constant of the synapse, steps: 1 or 2
	Weight []float64 `json:"weight"` // negative from inhibitory neurons
	key    []int32   // 2 pre + τ-1
}

// Wire takes the synapses of a matrix (post × pre) that are not zero.
func Wire(weight, tau [][]float64) (*Wiring, error) {
	w := &Wiring{Start: []int{0}}
	if len(weight) != len(tau) {
		return nil, fmt.Errorf("liquid: weights of %d neurons, time constants of %d", len(weight), len(tau))
	}
	for i, row := range weight {
		if len(row) != len(tau[i]) {
			return nil, fmt.Errorf("liquid: neuron %d has %d weights and %d time constants", i+1, len(row), len(tau[i]))
		}
		for j, v := range row {
			if v != 0 {
				w.Pre, w.Tau, w.Weight = append(w.Pre, j), append(w.Tau, int(tau[i][j])), append(w.Weight, v)
			}
		}
		w.Start = append(w.Start, len(w.Pre))
	}
	return w, nil
}

// check refuses what does not join pre neurons to post.
func (w *Wiring) check(post, pre int) error {
	switch {
	case w == nil || len(w.Start) != post+1 || w.Start[0] != 0 || w.Start[post] != len(w.Pre):
		return fmt.Errorf("the synapses do not belong to %d neurons", post)
	case len(w.Tau) != len(w.Pre) || len(w.Weight) != len(w.Pre):
		return fmt.Errorf("%d synapses have %d time constants and %d weights", len(w.Pre), len(w.Tau), len(w.Weight))
	}
	for i := range post {
		if w.Start[i+1] < w.Start[i] {
			return fmt.Errorf("neuron %d has a negative number of synapses", i+1)
		}
	}
	for k, j := range w.Pre {
		switch v := w.Weight[k]; {
		case j < 0 || j >= pre:
			return fmt.Errorf("synapse %d comes from neuron %d of %d", k+1, j+1, pre)
		case w.Tau[k] != 1 && w.Tau[k] != 2:
			return fmt.Errorf("synapse %d has a time constant of %d steps; known are 1 and 2", k+1, w.Tau[k])
		case v-v != 0:
			return fmt.Errorf("the weight of synapse %d is %v", k+1, v)
		}
	}
	w.key = make([]int32, len(w.Pre))
	for k, j := range w.Pre {
		w.key[k] = int32(2*j + w.Tau[k] - 1)
	}
	return nil
}

// Matrix returns the weights, post × pre.
func (w *Wiring) Matrix(pre int) [][]float64 {
	out := make([][]float64, len(w.Start)-1)
	for i := range out {
		out[i] = make([]float64, pre)
		for k := w.Start[i]; k < w.Start[i+1]; k++ {
			out[i][w.Pre[k]] = w.Weight[k]
		}
	}
	return out
}

// NewLiquid draws a random liquid on a grid: connection probability
// C exp(-(D/λ)²) with C = 0.2, 0.1, 0.3, 0.05 for EE, EI, IE, II and λ = 3, 80 %
// excitatory, input density 0.15.
func NewLiquid(neurons, inputs int, seed uint64) (*Liquid, error) {
	if neurons < 2 || neurons > maxLiquid || inputs < 1 || inputs > maxLiquid {
		return nil, fmt.Errorf("liquid of %d neurons and %d inputs; allowed are 2 to %d and 1 to %d", neurons, inputs, maxLiquid, maxLiquid)
	}
	r := rand.New(rand.NewPCG(seed, 0x6c6971))
	l := &Liquid{
		Neurons: neurons, Inputs: inputs, Excitatory: make([]bool, neurons), Recurrent: &Wiring{Start: []int{0}}, Input: &Wiring{Start: []int{0}},
		InputGain: 6, TauV: 64, Threshold: 20, Refractory: 2, Astro: Astrocyte{0.15, 100, 0.015, 0.15},
		Rate: 0.15, Decay: math.Exp(-0.1), Bump: 0.1, Limit: 3,
	}
	side := int(math.Ceil(math.Cbrt(float64(neurons))))
	at := func(i int) (x, y, z float64) {
		return float64(i % side), float64(i / side % side), float64(i / side / side)
	}
	for i := range l.Excitatory {
		l.Excitatory[i] = r.Float64() < 0.8
	}
	add := func(w *Wiring, pre int, weight float64) {
		w.Pre, w.Tau, w.Weight = append(w.Pre, pre), append(w.Tau, 1+r.IntN(2)), append(w.Weight, weight)
	}
	for post := range neurons {
		for pre := range neurons {
			x, y, z := at(post)
			u, v, w := at(pre)
			c := 0.05
			switch {
			case l.Excitatory[pre] && l.Excitatory[post]:
				c = 0.2
			case l.Excitatory[pre]:
				c = 0.1
			case l.Excitatory[post]:
				c = 0.3
			}
			d2 := float64((x-u)*(x-u)) + float64((y-v)*(y-v)) + float64((z-w)*(z-w))
			if post == pre || r.Float64() >= c*math.Exp(-d2/9) {
				continue
			}
			if l.Excitatory[pre] {
				add(l.Recurrent, pre, 1)
			} else {
				add(l.Recurrent, pre, -1)
			}
		}
		for pre := range inputs {
			if r.Float64() < 0.15 {
				add(l.Input, pre, float64(1-2*r.IntN(2)))
			}
		}
		l.Recurrent.Start, l.Input.Start = append(l.Recurrent.Start, len(l.Recurrent.Pre)), append(l.Input.Start, len(l.Input.Pre))
	}
	return l, l.start()
}

// maxLiquid bounds neurons and inputs.
const maxLiquid = 4096

// start checks the liquid, allocates and resets.
func (l *Liquid) start() error {
	n, m := l.Neurons, l.Inputs
	if n < 1 || n > maxLiquid || m < 1 || m > maxLiquid || len(l.Excitatory) != n {
		return fmt.Errorf("liquid of %d neurons (%d with a kind) and %d inputs; allowed are 1 to %d", n, len(l.Excitatory), m, maxLiquid)
	}
	if err := l.Recurrent.check(n, n); err != nil {
		return fmt.Errorf("liquid: %w", err)
	}
	if err := l.Input.check(n, m); err != nil {
		return fmt.Errorf("liquid: input: %w", err)
	}
	for _, v := range []float64{l.InputGain, l.TauV, l.Threshold, l.Refractory} {
		if !(v > 0) || math.IsInf(v, 0) {
			return errors.New("liquid: gain, time constant, threshold and refractory time are positive numbers")
		}
	}
	l.v, l.ref, l.s, l.trace, l.traceIn = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, m)
	l.clock, l.clockIn = make([]float64, n), make([]float64, m)
	l.push, l.pushIn = make([]float64, 2*n), make([]float64, 2*m)
	for i := range l.kernel {
		tau := float64(i + 1)
		for c := range l.kernel[i] {
			l.kernel[i][c] = math.Exp(-float64(c)/tau) / tau
		}
	}
	l.Reset()
	return nil
}

// Reset returns membranes, traces and the astrocyte to rest; weights stay.
func (l *Liquid) Reset() {
	clear(l.v)
	clear(l.ref)
	clear(l.s)
	clear(l.trace)
	clear(l.traceIn)
	for i := range l.clock {
		l.clock[i] = silent
	}
	for i := range l.clockIn {
		l.clockIn[i] = silent
	}
	l.a = l.Astro.Initial
}

// Step advances 1 ms with input spikes (0 or 1) and returns the liquid's spikes, valid
// until the next call.
func (l *Liquid) Step(in []float64) []float64 {
	l.age(l.push, l.clock)
	l.age(l.pushIn, l.clockIn)
	for i, v := range l.v {
		v -= v / l.TauV
		v = l.Recurrent.sum(v, i, l.push)
		l.v[i] = v + float64(l.Input.sum(0, i, l.pushIn)*l.InputGain)
	}
	spikes, drive := 0.0, 0.0
	for i := range l.v {
		l.s[i] = 0
		if l.v[i] >= l.Threshold && l.ref[i] <= 0 {
			l.s[i], l.v[i], l.ref[i] = 1, 0, l.Refractory
		} else {
			l.ref[i] = max(0, l.ref[i]-1)
		}
		spikes += l.s[i]
	}
	tick(l.clock, l.s)
	tick(l.clockIn, in)
	if l.Frozen {
		return l.s
	}
	for i := range l.trace {
		l.trace[i] = l.Decay * (l.trace[i] + float64(l.Bump*l.s[i]))
	}
	for j := range l.traceIn {
		l.traceIn[j] = l.Decay * (l.traceIn[j] + float64(l.Bump*in[j]))
		drive += in[j]
	}
	l.a += (float64(l.Astro.Weight*(spikes-drive)) + l.Astro.Bias - l.a) / l.Astro.Tau
	l.learn(in)
	return l.s
}

// age looks up what spikes of this age push.
func (l *Liquid) age(push, clock []float64) {
	for j, c := range clock {
		push[2*j], push[2*j+1] = l.kernel[0][int(c)], l.kernel[1][int(c)]
	}
}

// sum adds what the synapses of neuron i carry.
func (w *Wiring) sum(v float64, i int, push []float64) float64 {
	from, to := w.Start[i], w.Start[i+1]
	key, weight := w.key[from:to], w.Weight[from:to]
	for k, at := range key {
		v += float64(weight[k] * push[at])
	}
	return v
}

func tick(clock, spikes []float64) {
	for j, c := range clock {
		clock[j] = min(silent, c+1)
		if spikes[j] != 0 {
			clock[j] = 0
		}
	}
}

func (l *Liquid) learn(in []float64) {
	for i, s := range l.s {
		e := l.trace[i]
		w := l.Recurrent
		for k := w.Start[i]; k < w.Start[i+1]; k++ {
			j := w.Pre[k]
			pot, dep, lo, hi := l.Rate, -l.a, 0.0, l.Limit
			if !l.Excitatory[j] {
				pot, dep, lo, hi = -l.a, l.Rate, -l.Limit, 0
			}
			w.Weight[k] = max(lo, min(hi, w.Weight[k]+float64(float64(pot*s)*l.trace[j])+float64(float64(dep*e)*l.s[j])))
		}
		w = l.Input
		for k := w.Start[i]; k < w.Start[i+1]; k++ {
			j := w.Pre[k]
			w.Weight[k] = max(-l.Limit, min(l.Limit, w.Weight[k]+float64(float64(l.Rate*s)*l.traceIn[j])-float64(float64(l.a*e)*in[j])))
		}
	}
}

// snapshot holds what a frozen liquid remembers.
func (l *Liquid) snapshot(w *stream.StateWriter) {
	w.Floats(l.v)
	w.Floats(l.ref)
	w.Floats(l.clock)
	w.Floats(l.clockIn)
}

func (l *Liquid) restore(r *stream.StateReader) {
	r.Floats(l.v)
	r.Floats(l.ref)
	r.Floats(l.clock)
	r.Floats(l.clockIn)
	for _, clock := range [][]float64{l.clock, l.clockIn} { // they are indices
		for j, c := range clock {
			if !(c >= 0 && c <= silent && c == math.Floor(c)) {
				clock[j] = silent
			}
		}
	}
}

// LiquidReadout turns spike counts into features that sum to one, in place; all zero
// while nothing has spiked.
func LiquidReadout(counts []float64) {
	sum := 0.0
	for _, c := range counts {
		sum += c
	}
	if sum > 0 {
		for i := range counts {
			counts[i] /= sum
		}
	}
}
