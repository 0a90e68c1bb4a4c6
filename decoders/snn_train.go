package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Losses of a spiking classifier.
const (
	LossMean  = "mean"  // cross-entropy of the softmax of the outputs' mean over the sequence
	LossEach  = "each"  // cross-entropy of the softmax of every step's output by itself, for a stopper that forgets
	LossSteps = "steps" // cross-entropy of the softmax of the running sum at every step, so that early answers count (the default)
)

// Ways to train a spiking network.
const (
	TrainBPTT = "bptt" // surrogate gradients through time
	TrainQCFS = "qcfs" // an analogue network with quantised activations, converted (Bu et al., ICLR 2022)
)

// Neurons lists the kinds of [Training].
var Neurons = []string{NeuronLIF, NeuronPLIF, NeuronAdaptive, NeuronTwoState}

// Training holds the settings of surrogate-gradient training (Neftci et al. 2019;
// Adam, Kingma & Ba 2015).
type Training struct {
	Method    string  // "bptt" (default): surrogate gradients through time; "qcfs": an analogue network, converted
	Levels    int     // qcfs: steps of the activation, 1 to 64; 0 = 8
	Sizes     []int   // hidden neurons per layer; nil = one layer of 64
	Neuron    string  // of bptt: "lif" (default), "plif", "adaptive" or "two-state"
	Rho, Gain float64 // adaptive: memory per step of a neuron's own activity, and how far it lifts the threshold; 0 = 0.95 and 0.5
	Dt        float64 // two-state: seconds per step, for the time constants in the file; 0 = 1
	Recurrent bool    // hidden layers feed back on themselves
	Surrogate string  // "fast-sigmoid" (default) or "atan"
	Slope     float64 // of the surrogate; 0 = 10 for fast-sigmoid, 2 for atan
	Attached  bool    // gradient flows through the reset
	Beta      float64 // initial decay of hidden neurons per step; 0 = 0.9
	ReadBeta  float64 // initial decay of the read-out; 0 = 0.9
	Loss      string  // classification: "steps" (default), "each" or "mean"
	Epochs    int     // at most; 0 = 60
	Batch     int     // sequences per step, qcfs: rows; 0 = 16
	Rate      float64 // learning rate, cosine-annealed; 0 = 5e-3
	Decay     float64 // weight decay; 0 = 1e-4
	Dropout   float64 // share of hidden neurons silenced per sequence, 0 to 0.9
	Patience  int     // epochs without improvement on the held-out fifth; 0 = 12
	Seed      uint64
}

// sequence is one training example: inputs, and either a class or target rows.
type sequence struct {
	x     [][]float64
	class int
	z     [][]float64
}

func (s Training) withDefaults() (Training, error) {
	if s.Sizes == nil {
		s.Sizes = []int{64}
	}
	for _, n := range s.Sizes {
		if n < 1 || n > 4096 {
			return s, fmt.Errorf("spiking network: a layer of %d neurons; give 1 to 4096", n)
		}
	}
	def := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	num := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&s.Beta, 0.9)
	def(&s.Rho, 0.95)
	def(&s.Gain, 0.5)
	def(&s.Dt, 1)
	if s.Neuron == "" {
		s.Neuron = NeuronLIF
	}
	def(&s.ReadBeta, 0.9)
	def(&s.Rate, 5e-3)
	def(&s.Decay, 1e-4)
	num(&s.Levels, 8)
	num(&s.Epochs, 60)
	num(&s.Batch, 16)
	num(&s.Patience, 12)
	if s.Loss == "" {
		s.Loss = LossSteps
	}
	if s.Method == "" {
		s.Method = TrainBPTT
	}
	switch {
	case s.Method != TrainBPTT && s.Method != TrainQCFS:
		return s, fmt.Errorf("spiking network: method %q; choose %s or %s", s.Method, TrainBPTT, TrainQCFS)
	case !slices.Contains(Neurons, s.Neuron):
		return s, fmt.Errorf("spiking network: neuron %q; choose one of %v", s.Neuron, Neurons)
	case !(s.Rho >= 0 && s.Rho < 1) || !(s.Gain >= 0) || !(s.Dt > 0) || math.IsInf(s.Gain+s.Dt, 0):
		return s, fmt.Errorf("spiking network: rho %v, gain %v, %v s per step; give a rho below 1, a gain of at least 0, a positive step", s.Rho, s.Gain, s.Dt)
	case s.Method == TrainQCFS && s.Neuron != NeuronLIF:
		return s, fmt.Errorf("spiking network: a converted network (qcfs) has a neuron of its own; leave neuron %q away", s.Neuron)
	case s.Method == TrainQCFS && s.Recurrent:
		return s, errors.New("spiking network: an analogue network that is converted (qcfs) has no recurrent connections")
	case s.Levels < 1 || s.Levels > 64:
		return s, fmt.Errorf("spiking network: %d levels; give 1 to 64", s.Levels)
	case !(s.Beta > 0 && s.Beta < 1) || !(s.ReadBeta > 0 && s.ReadBeta < 1):
		return s, fmt.Errorf("spiking network: decays %v and %v; they lie between 0 and 1", s.Beta, s.ReadBeta)
	case !(s.Rate > 0 && s.Rate < 1) || !(s.Decay >= 0) || !(s.Dropout >= 0 && s.Dropout <= 0.9):
		return s, fmt.Errorf("spiking network: rate %v, decay %v, dropout %v; give a rate above 0 and below 1, a decay of at least 0, a dropout of 0 to 0.9", s.Rate, s.Decay, s.Dropout)
	case s.Epochs < 1 || s.Batch < 1 || s.Patience < 1:
		return s, fmt.Errorf("spiking network: epochs %d, batch %d, patience %d; each at least 1", s.Epochs, s.Batch, s.Patience)
	case s.Loss != LossMean && s.Loss != LossSteps && s.Loss != LossEach:
		return s, fmt.Errorf("spiking network: loss %q; choose %s, %s or %s", s.Loss, LossSteps, LossEach, LossMean)
	}
	return s, nil
}

// train learns a network on sequences; a fifth of them, drawn by the seed, decides
// when to stop and which epoch to keep. classes 0 means regression on z.
func train(ctx context.Context, s Training, seqs []sequence, inputs, classes, outputs int, progress func(done, total int)) (*NetworkFile, error) {
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(seqs) < 5 {
		return nil, fmt.Errorf("spiking network: %d training sequences; at least 5 are needed, one in five is held out", len(seqs))
	}
	n := newSpikingNetOf(s.Neuron, inputs, s.Sizes, outputs, s.Recurrent)
	n.attached, n.dt = s.Attached, s.Dt
	for _, l := range n.layers {
		l.rho, l.gain = s.Rho, s.Gain
	}
	if n.deriv, err = surrogate(s.Surrogate, s.Slope); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(s.Seed, 0x736e6e))
	n.initialise(r, s)

	held, used := split(seqs, classes, r)
	dO := make([][]float64, 0, 256)
	err = s.descend(ctx, r, n.p, n.g, used, func(q *sequence) {
		n.drop(r, s.Dropout)
		n.forward(q.x)
		dO = sized(dO, len(q.x), outputs)
		n.loss(q, classes, s.Loss, dO)
		n.backward(dO)
	}, func() (loss float64) {
		n.drop(nil, 0)
		for i := range held {
			n.forward(held[i].x)
			loss += n.loss(&held[i], classes, s.Loss, nil)
		}
		return loss
	}, progress)
	if err != nil {
		return nil, err
	}
	return n.network(), nil
}

// descend moves the parameters p down the gradient g of batches of sequences, at a rate
// that falls as half a cosine, until the epochs are over or s.Patience of them made
// nothing better, and leaves p as in the best epoch. learn adds one sequence's gradient to
// g; judge is the loss on what is held out.
func (s *Training) descend(ctx context.Context, r *rand.Rand, p, g []float64, used []sequence, learn func(*sequence), judge func() float64, progress func(done, total int)) error {
	best, bestAt := math.Inf(1), 0
	kept := append([]float64(nil), p...)
	opt := newAdam(len(p))
	for e := range s.Epochs {
		r.Shuffle(len(used), func(i, j int) { used[i], used[j] = used[j], used[i] })
		rate := s.Rate * 0.5 * (1 + math.Cos(math.Pi*float64(e)/float64(s.Epochs)))
		for at := 0; at < len(used); at += s.Batch {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			batch := used[at:min(len(used), at+s.Batch)]
			clear(g)
			for i := range batch {
				learn(&batch[i])
			}
			opt.step(p, g, rate, 1/float64(len(batch)), s.Decay)
		}
		loss := judge()
		if loss-loss != 0 {
			return errors.New("spiking network: training diverged: lower the rate")
		}
		if loss < best {
			best, bestAt = loss, e
			copy(kept, p)
		}
		if progress != nil {
			progress(e+1, s.Epochs)
		}
		if e-bestAt >= s.Patience {
			break
		}
	}
	copy(p, kept)
	if progress != nil {
		progress(s.Epochs, s.Epochs)
	}
	return nil
}

// split draws a fifth of the sequences, of every class alike.
func split(seqs []sequence, classes int, r *rand.Rand) (held, used []sequence) {
	byClass := make([][]int, max(1, classes))
	for i := range seqs {
		c := 0
		if classes > 0 {
			c = seqs[i].class
		}
		byClass[c] = append(byClass[c], i)
	}
	for _, list := range byClass {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		k := (len(list) + 4) / 5
		for i, at := range list {
			if i < k && len(list) > 1 {
				held = append(held, seqs[at])
			} else {
				used = append(used, seqs[at])
			}
		}
	}
	return held, used
}

func sized(d [][]float64, steps, n int) [][]float64 {
	for len(d) < steps {
		d = append(d, nil)
	}
	for t := range steps {
		if len(d[t]) != n {
			d[t] = make([]float64, n)
		}
		clear(d[t])
	}
	return d
}

// initialise draws weights so that neurons start near threshold: fluctuation-driven
// (Rossbroich et al. 2022).
func (n *spikingNet) initialise(r *rand.Rand, s Training) {
	logit := func(b float64) float64 { return math.Log(b / (1 - b)) }
	for _, l := range n.layers {
		// membrane variance of white input of unit power is σ_w² in/(1-β²), for lif
		sd := math.Sqrt(1 / (whitePower(l.kind, s.Beta) * float64(l.in)))
		for i := range l.w {
			l.w[i] = sd * r.NormFloat64()
		}
		for i := range l.r {
			l.r[i] = 0.3 * math.Sqrt(1/(whitePower(l.kind, s.Beta)*float64(l.n))) * r.NormFloat64()
		}
		l.constants(s.Beta, r.NormFloat64)
	}
	sd := math.Sqrt(1 / float64(n.out.in))
	for i := range n.out.w {
		n.out.w[i] = 0.3 * sd * r.NormFloat64()
	}
	for i := range n.out.raw {
		n.out.raw[i] = logit(s.ReadBeta)
	}
}

// drop draws which neurons are silent, and scales the rest; a nil r wakes all.
func (n *spikingNet) drop(r *rand.Rand, share float64) {
	for _, l := range n.layers {
		for j := range l.mask {
			l.mask[j] = 1
			if r != nil && share > 0 {
				l.mask[j] = 0
				if r.Float64() >= share {
					l.mask[j] = 1 / (1 - share)
				}
			}
		}
	}
}

// loss returns the loss of the taped sequence and, with dO non-nil, its derivative by
// every output.
func (n *spikingNet) loss(q *sequence, classes int, kind string, dO [][]float64) float64 {
	o, steps := n.out, n.steps
	if classes == 0 {
		sum, inv := 0.0, 1/float64(steps*o.n)
		for t := range steps {
			for j := range o.n {
				e := o.u[t+1][j] - q.z[t][j]
				sum += e * e * inv
				if dO != nil {
					dO[t][j] = 2 * e * inv
				}
			}
		}
		return sum
	}
	p := make([]float64, o.n)
	if kind == LossMean {
		mean := make([]float64, o.n)
		for t := range steps {
			for j := range mean {
				mean[j] += o.u[t+1][j] / float64(steps)
			}
		}
		temper(p, mean, 1)
		if dO != nil {
			for t := range steps {
				for j := range p {
					dO[t][j] = (p[j] - indicator(j, q.class)) / float64(steps)
				}
			}
		}
		return -math.Log(max(p[q.class], 1e-300))
	}
	if kind == LossEach {
		loss := 0.0
		for t := range steps {
			temper(p, o.u[t+1], 1)
			loss -= math.Log(max(p[q.class], 1e-300)) / float64(steps)
			if dO != nil {
				for j := range p {
					dO[t][j] = (p[j] - indicator(j, q.class)) / float64(steps)
				}
			}
		}
		return loss
	}
	// the running mean at every step: what an accumulating stopper sees
	sum, loss := make([]float64, o.n), 0.0
	scaled := make([]float64, o.n)
	for t := range steps {
		for j := range sum {
			sum[j] += o.u[t+1][j]
			scaled[j] = sum[j] / float64(t+1)
		}
		temper(p, scaled, 1)
		loss -= math.Log(max(p[q.class], 1e-300)) / float64(steps)
		if dO != nil {
			for j := range p {
				dO[t][j] = (p[j] - indicator(j, q.class)) / float64(steps) / float64(t+1)
			}
		}
	}
	if dO != nil { // output k is part of every running mean from k on
		for t := steps - 2; t >= 0; t-- {
			for j := range p {
				dO[t][j] += dO[t+1][j]
			}
		}
	}
	return loss
}

func indicator(a, b int) float64 {
	if a == b {
		return 1
	}
	return 0
}

// temper sets p = softmax(a/κ).
func temper(p, a []float64, kappa float64) {
	top := math.Inf(-1)
	for _, v := range a {
		top = max(top, v)
	}
	sum := 0.0
	for i, v := range a {
		p[i] = math.Exp((v - top) / kappa)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
}

// adam is the optimiser's memory.
type adam struct {
	m, v []float64
	t    int
}

func newAdam(n int) *adam { return &adam{m: make([]float64, n), v: make([]float64, n)} }

// step moves p against scale·g, clipping each entry to ±1 first.
func (a *adam) step(p, g []float64, rate, scale, decay float64) {
	a.t++
	c1, c2 := 1-math.Pow(0.9, float64(a.t)), 1-math.Pow(0.999, float64(a.t))
	for i := range p {
		d := max(-1, min(1, g[i]*scale))
		a.m[i] = 0.9*a.m[i] + 0.1*d
		a.v[i] = 0.999*a.v[i] + 0.001*d*d
		p[i] -= rate * (a.m[i]/c1/(math.Sqrt(a.v[i]/c2)+1e-8) + decay*p[i])
	}
}
