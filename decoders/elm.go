package decoders

import (
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
)

// elm is the expressive leaky memory cell (Spieler et al., ICLR 2024): leaky
// synapses or branches feed a small network that writes memory units with time
// constants of their own.
//
//	v1: s ← κ_s s + w x per synapse;  m ← κ_m m + λ(1-κ_m) Δ
//	v2: b ← κ_s b + Σ w x per branch; m ← κ_m m + (1-exp(-λ dt/τ_m)) Δ
//	Δ = 1.7159 tanh(⅔ W2 relu(W1 [branches, κ_m m] + b1) + b2);  y = W_y m + b_y
type elm struct {
	f             LayerFile
	e             *elmFile
	w             []float64
	ks            float64
	km, gain      []float64
	w1, w2, wy    *dense.M
	trace, m      []float64
	in, hid, push []float64
}

type elmFile struct {
	Version   int         `json:"version"` // 1 or 2
	Synapses  []float64   `json:"synapses"`
	Branches  int         `json:"branches"`
	TauSyn    float64     `json:"tau_syn"`    // steps
	TauMemory []float64   `json:"tau_memory"` // steps
	Lambda    float64     `json:"lambda"`
	W1        [][]float64 `json:"W1"`
	B1        []float64   `json:"b1"`
	W2        [][]float64 `json:"W2"`
	B2        []float64   `json:"b2"`
	Wy        [][]float64 `json:"Wy"`
	By        []float64   `json:"by"`
}

func newELM(f *LayerFile) (*elm, error) {
	e := f.ELM
	if e == nil {
		return nil, fmt.Errorf("elm layer: no parameters")
	}
	n, d := len(e.Synapses), len(e.TauMemory)
	if e.Version != 1 && e.Version != 2 {
		return nil, fmt.Errorf("elm layer: version %d; known are 1 and 2", e.Version)
	}
	if n == 0 || d == 0 || e.Branches < 1 || n%e.Branches != 0 || n > maxNeurons {
		return nil, fmt.Errorf("elm layer: %d synapses on %d branches with %d memory units", n, e.Branches, d)
	}
	if !(e.TauSyn > 0) || !(e.Lambda > 0) {
		return nil, fmt.Errorf("elm layer: tau_syn %v and lambda %v; both are positive", e.TauSyn, e.Lambda)
	}
	l := &elm{f: *f, e: e, ks: math.Exp(-1 / e.TauSyn), w: make([]float64, n), m: make([]float64, d), km: make([]float64, d), gain: make([]float64, d), push: make([]float64, d)}
	for i, w := range e.Synapses {
		if w-w != 0 {
			return nil, fmt.Errorf("elm layer: synapse %d is %v", i+1, w)
		}
		l.w[i] = max(0, w)
	}
	for i, t := range e.TauMemory {
		if !(t > 0) {
			return nil, fmt.Errorf("elm layer: tau_memory %d is %v", i+1, t)
		}
		l.km[i] = math.Exp(-1 / t)
		l.gain[i] = e.Lambda * (1 - l.km[i])
		if e.Version == 2 {
			l.gain[i] = 1 - math.Exp(-e.Lambda/t)
		}
	}
	var err error
	for _, m := range []struct {
		dst  **dense.M
		w    [][]float64
		b    []float64
		in   int
		name string
	}{{&l.w1, e.W1, e.B1, e.Branches + d, "W1"}, {&l.w2, e.W2, e.B2, len(e.W1), "W2"}, {&l.wy, e.Wy, e.By, d, "Wy"}} {
		if *m.dst, err = dense.From(m.w); err != nil {
			return nil, fmt.Errorf("elm layer: %s: %w", m.name, err)
		}
		if (*m.dst).C != m.in || len(m.b) != (*m.dst).R {
			return nil, fmt.Errorf("elm layer: %s is %d × %d with %d biases, expected %d columns", m.name, (*m.dst).R, (*m.dst).C, len(m.b), m.in)
		}
	}
	if l.w2.R != d {
		return nil, fmt.Errorf("elm layer: W2 has %d rows for %d memory units", l.w2.R, d)
	}
	l.trace = make([]float64, n)
	if e.Version == 2 {
		l.trace = make([]float64, e.Branches)
	}
	l.in, l.hid = make([]float64, e.Branches+d), make([]float64, l.w1.R)
	return l, nil
}

func (l *elm) dims() (int, int)   { return len(l.w), l.wy.R }
func (l *elm) state() [][]float64 { return [][]float64{l.trace, l.m} }
func (l *elm) file() LayerFile    { return l.f }
func (l *elm) reset()             { clear(l.trace); clear(l.m) }

func (l *elm) step(out, in []float64) {
	per := len(l.w) / l.e.Branches
	for b := range l.e.Branches {
		sum := 0.0
		for i := b * per; i < (b+1)*per; i++ {
			v := float64(l.w[i] * in[i])
			if l.e.Version == 1 {
				l.trace[i] = float64(l.ks*l.trace[i]) + v
				v = l.trace[i]
			}
			sum += v
		}
		if l.e.Version == 2 {
			l.trace[b] = float64(l.ks*l.trace[b]) + sum
			sum = l.trace[b]
		}
		l.in[b] = sum
	}
	for i, k := range l.km {
		l.in[l.e.Branches+i] = k * l.m[i]
	}
	for i := range l.hid {
		l.hid[i] = max(0, dense.Dot(l.w1.Row(i), l.in)+l.e.B1[i])
	}
	for i := range l.push {
		d := 1.7159 * math.Tanh(2.0/3*(dense.Dot(l.w2.Row(i), l.hid)+l.e.B2[i]))
		l.push[i] = float64(l.km[i]*l.m[i]) + float64(l.gain[i]*d)
	}
	copy(l.m, l.push)
	for o := range l.wy.R {
		out[o] = dense.Dot(l.wy.Row(o), l.m) + l.e.By[o]
	}
}
