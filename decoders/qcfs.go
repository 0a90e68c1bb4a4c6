package decoders

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
)

// QCFS is the activation that an analogue network is trained with so that it converts
// to spikes: λ clip(⌊x L/λ + ½⌋/L, 0, 1) (Bu et al., ICLR 2022).
func QCFS(x, lambda float64, levels int) float64 {
	l := float64(levels)
	return lambda * max(0, min(1, math.Floor(x*l/lambda+0.5)/l))
}

// ConvertQCFS turns a fully connected network with QCFS activations between its
// layers into a spiking one: after T steps of a constant input the output of the last
// linear layer, averaged over steps, approaches that of the analogue network.
// weights[i] is out × in of layer i; lambda has one threshold per hidden layer.
// bits > 0 caps and corrects spike counts (QFFS).
func ConvertQCFS(weights [][][]float64, biases [][]float64, lambda []float64, bits int) (*NetworkFile, error) {
	if len(weights) == 0 || len(biases) != len(weights) || len(lambda) != len(weights)-1 {
		return nil, fmt.Errorf("%d layers with %d biases and %d thresholds: give a bias to each layer and a threshold to each but the last", len(weights), len(biases), len(lambda))
	}
	f := &NetworkFile{Format: networkFormat, Number: 1}
	for i, w := range weights {
		f.Layers = append(f.Layers, LayerFile{Type: "linear", Weights: w, Bias: biases[i]})
		if i < len(lambda) {
			f.Layers = append(f.Layers, LayerFile{Type: "if", Size: len(w), Threshold: lambda[i], Bits: bits})
		}
	}
	_, err := f.Build()
	return f, err
}

// quantised is an analogue network in training whose hidden units are QCFS, each layer
// with a λ of its own that is learned. The gradient passes straight through the rounding
// (Bu et al., ICLR 2022): with y = x/λ inside 0 to 1, dh/dx = 1 and dh/dλ = h/λ - y;
// outside, 0 and h/λ.
type quantised struct {
	dims   []int       // inputs, hidden units…, outputs
	p, g   []float64   // all parameters and their gradient
	w, gw  [][]float64 // views: weights of a layer, out × in
	b, gb  [][]float64
	la, gl [][]float64 // ln λ of a hidden layer, one number
	levels float64
	round  func(u float64) float64 // of y · levels
	a, h   [][]float64             // inputs of every layer, and its sums
	mask   [][]float64             // dropout, this row
	back   [][]float64
}

func newQuantised(dims []int, levels int) *quantised {
	n := &quantised{dims: dims, levels: float64(levels), round: func(u float64) float64 { return math.Floor(u + 0.5) }}
	total := 0
	for i := 1; i < len(dims); i++ {
		total += dims[i]*dims[i-1] + dims[i] + 1
	}
	n.p, n.g = make([]float64, total), make([]float64, total)
	at := 0
	view := func(k int) (p, g []float64) {
		at += k
		return n.p[at-k : at : at], n.g[at-k : at : at]
	}
	for i := 1; i < len(dims); i++ {
		for _, v := range []struct {
			k    int
			p, g *[][]float64
		}{{dims[i] * dims[i-1], &n.w, &n.gw}, {dims[i], &n.b, &n.gb}, {1, &n.la, &n.gl}} {
			p, g := view(v.k)
			*v.p, *v.g = append(*v.p, p), append(*v.g, g)
		}
		mask := make([]float64, dims[i])
		for j := range mask {
			mask[j] = 1
		}
		n.a, n.h = append(n.a, make([]float64, dims[i-1])), append(n.h, make([]float64, dims[i]))
		n.back, n.mask = append(n.back, make([]float64, dims[i])), append(n.mask, mask)
	}
	return n
}

// forward returns the outputs for one row, valid until the next call.
func (n *quantised) forward(x []float64) []float64 {
	last := len(n.w) - 1
	copy(n.a[0], x)
	for l := range n.w {
		in, h := n.a[l], n.h[l]
		for o := range h {
			s, row := n.b[l][o], n.w[l][o*len(in):(o+1)*len(in)]
			for i, v := range in {
				s += float64(row[i] * v)
			}
			h[o] = s
		}
		if l == last {
			break
		}
		lambda := math.Exp(n.la[l][0])
		for o, s := range h {
			n.a[l+1][o] = lambda * n.round(max(0, min(1, s/lambda))*n.levels) / n.levels * n.mask[l][o]
		}
	}
	return n.h[last]
}

// backward adds the gradient of a loss with derivative d by the outputs of the last
// forward.
func (n *quantised) backward(d []float64) {
	copy(n.back[len(n.w)-1], d)
	for l := len(n.w) - 1; l >= 0; l-- {
		in := n.a[l]
		if l > 0 {
			clear(n.back[l-1])
		}
		for o, g := range n.back[l] {
			if g == 0 {
				continue
			}
			n.gb[l][o] += g
			row, grow := n.w[l][o*len(in):(o+1)*len(in)], n.gw[l][o*len(in):(o+1)*len(in)]
			for i, v := range in {
				grow[i] += g * v
				if l > 0 {
					n.back[l-1][i] += g * row[i]
				}
			}
		}
		if l == 0 {
			return
		}
		lambda, gl := math.Exp(n.la[l-1][0]), 0.0
		for o, g := range n.back[l-1] {
			g *= n.mask[l-1][o]
			y := n.h[l-1][o] / lambda
			q := n.round(max(0, min(1, y))*n.levels) / n.levels
			if y > 0 && y < 1 {
				gl += g * (q - y)
			} else {
				gl += g * q
				g = 0
			}
			n.back[l-1][o] = g
		}
		n.gl[l-1][0] += gl * lambda
	}
}

// loss of a sequence: the mean over its rows of cross-entropy, or of the square error.
// With learn, its gradient is added.
func (n *quantised) loss(q *sequence, classes int, learn bool) float64 {
	outputs := n.dims[len(n.dims)-1]
	d, sum, inv := make([]float64, outputs), 0.0, 1/float64(len(q.x))
	for t, x := range q.x {
		o := n.forward(x)
		if classes > 0 {
			temper(d, o, 1)
			sum -= inv * math.Log(max(d[q.class], 1e-300))
			for j := range d {
				d[j] = inv * (d[j] - indicator(j, q.class))
			}
		} else {
			for j, v := range o {
				e := v - q.z[t][j]
				sum += inv * e * e / float64(outputs)
				d[j] = 2 * inv * e / float64(outputs)
			}
		}
		if learn {
			n.backward(d)
		}
	}
	return sum
}

// drop draws which hidden units are silent for a row; a nil r wakes all.
func (n *quantised) drop(r *rand.Rand, share float64) {
	for _, m := range n.mask[:len(n.mask)-1] {
		for j := range m {
			m[j] = 1
			if r != nil && share > 0 {
				m[j] = 0
				if r.Float64() >= share {
					m[j] = 1 / (1 - share)
				}
			}
		}
	}
}

// network converts: thresholds are moved into the weights, so that a spike is worth 1.
func (n *quantised) network() (*NetworkFile, error) {
	var weights [][][]float64
	var biases [][]float64
	var ones []float64
	before := 1.0
	for l := range n.w {
		after := 1.0
		if l < len(n.w)-1 {
			after = math.Exp(n.la[l][0])
			ones = append(ones, 1)
		}
		in := n.dims[l]
		w, b := make([][]float64, n.dims[l+1]), make([]float64, n.dims[l+1])
		for o := range w {
			for _, v := range n.w[l][o*in : (o+1)*in] {
				w[o] = append(w[o], v*before/after)
			}
			b[o] = n.b[l][o] / after
		}
		weights, biases, before = append(weights, w), append(biases, b), after
	}
	return ConvertQCFS(weights, biases, ones, 0)
}

// trainQCFS learns an analogue network row by row and converts it. A fifth of the
// sequences, drawn by the seed, decides when to stop and which epoch to keep, by the loss
// of the quantised network.
func trainQCFS(ctx context.Context, s Training, seqs []sequence, inputs, classes, outputs int, progress func(done, total int)) (*NetworkFile, error) {
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(seqs) < 5 {
		return nil, fmt.Errorf("spiking network: %d training sequences; at least 5 are needed, one in five is held out", len(seqs))
	}
	n := newQuantised(append(append([]int{inputs}, s.Sizes...), outputs), s.Levels)
	r := rand.New(rand.NewPCG(s.Seed, 0x71636673))
	for l := range n.w {
		sd := math.Sqrt(2 / float64(n.dims[l]))
		for i := range n.w[l] {
			n.w[l][i] = sd * r.NormFloat64()
		}
		n.la[l][0] = math.Ln2
	}
	held, whole := split(seqs, classes, r)
	var used []sequence // row by row: they have nothing to do with each other
	for _, q := range whole {
		for t := range q.x {
			used = append(used, sequence{x: q.x[t : t+1], class: q.class, z: q.z[t : t+1]})
		}
	}
	err = s.descend(ctx, r, n.p, n.g, used, func(q *sequence) {
		n.drop(r, s.Dropout)
		n.loss(q, classes, true)
	}, func() (loss float64) {
		n.drop(nil, 0)
		for i := range held {
			loss += n.loss(&held[i], classes, false)
		}
		return loss
	}, progress)
	if err != nil {
		return nil, err
	}
	return n.network()
}
