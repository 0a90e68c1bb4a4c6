package decoders

import (
	"fmt"
	"math"
	"math/rand/v2"

	"neurostream/decoders/internal/dense"
)

// Liquid is a reservoir of spiking neurons whose plasticity an astrocyte steers
// toward the edge of chaos (Ivanov & Michmizos, NeurIPS 2021), in the reduced form of
// our test vector. Depression grows when the liquid spikes more than its input.
//
//	v ← v - v/τ_v + Σ w exp(-c/τ_u)/τ_u + gain · input;  spike at θ unless refractory
//	e ← d (e + 0.1 s);  A ← A + (w_a (Σ s - Σ input) + b - A)/τ
//	excitatory and input synapses: + rate s_post e_pre - A s_pre e_post; inhibitory: swapped
//
// It is an experiment, not a decoder to rely on: see [LiquidReadout] for spike counts.
type Liquid struct {
	Neurons, Inputs int
	Excitatory      []bool
	Recurrent       *dense.M // post × pre
	Input           *dense.M
	TauRecurrent    *dense.M // τ_u of each synapse, steps
	TauInput        *dense.M
	InputGain       float64 // 6 in the vector
	TauV, Threshold float64 // 64, 20
	Refractory      float64 // steps, 2
	Astro           Astrocyte
	Rate            float64 // potentiation, 0.15
	Decay, Bump     float64 // of the traces: exp(-1/10), 0.1
	Limit           float64 // of the weights, 3
	Frozen          bool    // no plasticity

	mask, maskIn   []bool
	v, ref, s      []float64
	clock, clockIn *dense.M
	trace, traceIn []float64
	a              float64
}

// Astrocyte integrates the difference between liquid and input activity.
type Astrocyte struct {
	Initial, Tau, Weight, Bias float64 // 0.15, 100 steps, 0.015, 0.15
}

// NewLiquid draws a random liquid on a grid: connection probability
// C exp(-(D/λ)²) with C = 0.2, 0.1, 0.3, 0.05 for EE, EI, IE, II and λ = 3, 80 %
// excitatory, input density 0.15.
func NewLiquid(neurons, inputs int, seed uint64) (*Liquid, error) {
	if neurons < 2 || neurons > 4096 || inputs < 1 || inputs > 4096 {
		return nil, fmt.Errorf("liquid of %d neurons and %d inputs; allowed are 2 to 4096 and 1 to 4096", neurons, inputs)
	}
	r := rand.New(rand.NewPCG(seed, 0x6c6971))
	l := &Liquid{
		Neurons: neurons, Inputs: inputs, Excitatory: make([]bool, neurons),
		Recurrent: dense.New(neurons, neurons), Input: dense.New(neurons, inputs),
		TauRecurrent: dense.New(neurons, neurons), TauInput: dense.New(neurons, inputs),
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
			d2 := (x-u)*(x-u) + (y-v)*(y-v) + (z-w)*(z-w)
			l.TauRecurrent.Set(post, pre, float64(1+r.IntN(2)))
			if post != pre && r.Float64() < c*math.Exp(-d2/9) {
				l.Recurrent.Set(post, pre, 1)
				if !l.Excitatory[pre] {
					l.Recurrent.Set(post, pre, -1)
				}
			}
		}
		for pre := range inputs {
			l.TauInput.Set(post, pre, float64(1+r.IntN(2)))
			if r.Float64() < 0.15 {
				l.Input.Set(post, pre, float64(1-2*r.IntN(2)))
			}
		}
	}
	l.start(nil, nil)
	return l, nil
}

// start allocates and resets; nil masks take every weight that is not zero.
func (l *Liquid) start(mask, maskIn []bool) {
	n, m := l.Neurons, l.Inputs
	l.mask, l.maskIn = mask, maskIn
	if mask == nil {
		l.mask, l.maskIn = make([]bool, n*n), make([]bool, n*m)
		for i, v := range l.Recurrent.V {
			l.mask[i] = v != 0
		}
		for i, v := range l.Input.V {
			l.maskIn[i] = v != 0
		}
	}
	l.v, l.ref, l.s, l.trace, l.traceIn = make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, m)
	l.clock, l.clockIn = dense.New(n, n), dense.New(n, m)
	l.Reset()
}

// Reset returns membranes, traces and the astrocyte to rest; weights stay.
func (l *Liquid) Reset() {
	clear(l.v)
	clear(l.ref)
	clear(l.s)
	clear(l.trace)
	clear(l.traceIn)
	for i := range l.clock.V {
		l.clock.V[i] = 100
	}
	for i := range l.clockIn.V {
		l.clockIn.V[i] = 100
	}
	l.a = l.Astro.Initial
}

// Step advances 1 ms with input spikes (0 or 1) and returns the liquid's spikes, valid
// until the next call.
func (l *Liquid) Step(in []float64) []float64 {
	n, m := l.Neurons, l.Inputs
	for i := range n {
		v := l.v[i] - l.v[i]/l.TauV
		for j := range n {
			if w := l.Recurrent.V[i*n+j]; w != 0 {
				v += w * math.Exp(-l.clock.V[i*n+j]/l.TauRecurrent.V[i*n+j]) / l.TauRecurrent.V[i*n+j]
			}
		}
		drive := 0.0
		for j := range m {
			if w := l.Input.V[i*m+j]; w != 0 {
				drive += w * math.Exp(-l.clockIn.V[i*m+j]/l.TauInput.V[i*m+j]) / l.TauInput.V[i*m+j]
			}
		}
		l.v[i] = v + drive*l.InputGain
	}
	spikes, drive := 0.0, 0.0
	for i := range n {
		l.s[i] = 0
		if l.v[i] >= l.Threshold && l.ref[i] <= 0 {
			l.s[i], l.v[i], l.ref[i] = 1, 0, l.Refractory
		} else {
			l.ref[i]--
		}
		spikes += l.s[i]
	}
	tick := func(c []float64, pre []float64) {
		for k := range c {
			c[k] = min(100, c[k]+1) * (1 - pre[k%len(pre)])
		}
	}
	tick(l.clock.V, l.s)
	tick(l.clockIn.V, in)
	for i := range n {
		l.trace[i] = l.Decay * (l.trace[i] + l.Bump*l.s[i])
	}
	for j := range m {
		l.traceIn[j] = l.Decay * (l.traceIn[j] + l.Bump*in[j])
		drive += in[j]
	}
	l.a += (l.Astro.Weight*(spikes-drive) + l.Astro.Bias - l.a) / l.Astro.Tau
	if !l.Frozen {
		l.learn(in)
	}
	return l.s
}

func (l *Liquid) learn(in []float64) {
	n, m := l.Neurons, l.Inputs
	for i := range n {
		for j := range n {
			k := i*n + j
			if !l.mask[k] {
				continue
			}
			pot, dep, lo, hi := l.Rate, -l.a, 0.0, l.Limit
			if !l.Excitatory[j] {
				pot, dep, lo, hi = -l.a, l.Rate, -l.Limit, 0
			}
			w := l.Recurrent.V[k] + pot*l.s[i]*l.trace[j] + dep*l.trace[i]*l.s[j]
			l.Recurrent.V[k] = max(lo, min(hi, w))
		}
		for j := range m {
			k := i*m + j
			if l.maskIn[k] {
				w := l.Input.V[k] + l.Rate*l.s[i]*l.traceIn[j] - l.a*l.trace[i]*in[j]
				l.Input.V[k] = max(-l.Limit, min(l.Limit, w))
			}
		}
	}
}

// LiquidReadout turns spike counts of a trial into features that sum to one.
func LiquidReadout(counts []float64) []float64 {
	sum := 0.0
	for _, c := range counts {
		sum += c
	}
	out := make([]float64, len(counts))
	if sum > 0 {
		for i, c := range counts {
			out[i] = c / sum
		}
	}
	return out
}
