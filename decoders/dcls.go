package decoders

import (
	"fmt"
	"math"
)

// dcls is a layer of synapses with learned delays, for inference: synapse (o,i) has
// weight w and position p in a kernel of odd length K, and acts
// K-1-round(p+⌊K/2⌋) steps late (Hammouamri et al., ICLR 2024). Each input keeps its
// last K values.
type dcls struct {
	in, out, k int
	f          LayerFile
	w          []float64 // out × in
	delay      []int32
	ring       []float64 // k × in, newest at head
	head       []float64 // length 1: index as a number, so that state is one kind
}

func newDCLS(f *LayerFile) (*dcls, error) {
	if f.Kernel < 1 || f.Kernel%2 == 0 || f.Kernel > 4096 {
		return nil, fmt.Errorf("dcls layer: kernel of %d steps; it is odd, 1 to 4095", f.Kernel)
	}
	if len(f.Weights) == 0 || len(f.Weights[0]) == 0 || len(f.Positions) != len(f.Weights) {
		return nil, fmt.Errorf("dcls layer: %d rows of weights and %d of positions", len(f.Weights), len(f.Positions))
	}
	l := &dcls{out: len(f.Weights), in: len(f.Weights[0]), k: f.Kernel, f: *f, head: make([]float64, 1)}
	for o, row := range f.Weights {
		if len(row) != l.in || len(f.Positions[o]) != l.in {
			return nil, fmt.Errorf("dcls layer: output %d has %d weights and %d positions, expected %d", o+1, len(row), len(f.Positions[o]), l.in)
		}
		for i, w := range row {
			p := f.Positions[o][i]
			if w-w != 0 || p-p != 0 {
				return nil, fmt.Errorf("dcls layer: synapse %d of output %d has weight %v at %v", i+1, o+1, w, p)
			}
			l.w, l.delay = append(l.w, w), append(l.delay, int32(dclsDelay(p, l.k)))
		}
	}
	if l.k*l.in > 1<<24 {
		return nil, fmt.Errorf("dcls layer: %d inputs with a memory of %d steps; at most %d values are kept", l.in, l.k, 1<<24)
	}
	l.ring = make([]float64, l.k*l.in)
	return l, nil
}

// dclsDelay is the discrete delay of a position, rounded to even like the training
// libraries do.
func dclsDelay(p float64, k int) int {
	at := int(math.RoundToEven(p + float64(k/2)))
	return k - 1 - max(0, min(k-1, at))
}

// dclsKernel is the training kernel of one synapse: a normalised Gaussian around its
// position; index k-1 is now.
func dclsKernel(w, p, sigma float64, k int) []float64 {
	g, sum := make([]float64, k), 0.0
	for j := range g {
		e := (float64(j) - (p + float64(k/2))) / (math.Abs(sigma) + 0.27)
		g[j] = math.Exp(-0.5 * e * e)
		sum += g[j]
	}
	for j := range g {
		g[j] *= w / (sum + 1e-7)
	}
	return g
}

func (l *dcls) dims() (int, int)   { return l.in, l.out }
func (l *dcls) state() [][]float64 { return [][]float64{l.ring, l.head} }
func (l *dcls) file() LayerFile    { return l.f }
func (l *dcls) reset()             { clear(l.ring); l.head[0] = 0 }

func (l *dcls) step(out, in []float64) {
	h := (int(l.head[0]) + 1) % l.k
	l.head[0] = float64(h)
	copy(l.ring[h*l.in:(h+1)*l.in], in)
	for o := range l.out {
		s := 0.0
		for i := range l.in {
			at := h - int(l.delay[o*l.in+i])
			if at < 0 {
				at += l.k
			}
			if v := l.ring[at*l.in+i]; v != 0 {
				s += float64(l.w[o*l.in+i] * v)
			}
		}
		out[o] = s
	}
}
