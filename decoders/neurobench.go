package decoders

// Operations counts what a network does, by the definitions of NeuroBench (Yik et
// al., Nature Communications 16:1545, 2025): a synaptic operation happens where an
// input and a weight are both different from zero. It is an accumulate (AC) when the
// input is a spike (-1, 0 or 1) and a multiply-accumulate (MAC) otherwise; biases and
// neuron updates are not counted.
type Operations struct {
	Steps      int64
	MACs, ACs  int64 // effective synaptic operations
	Dense      int64 // operations if nothing were zero
	Spikes     int64 // non-zero outputs of spiking neurons
	Neurons    int64 // outputs of spiking neurons
	Footprint  int64 // bytes of parameters and state, as float32 like the published figures
	Synapses   int64 // weights
	ZeroWeight int64 // weights that are zero
}

// Count starts counting from now on and returns the counters. Counting slows Step
// down.
func (n *Network) Count() *Operations {
	c := new(Operations)
	for _, l := range n.layers {
		for _, s := range l.state() {
			c.Footprint += 4 * int64(len(s))
		}
		f := l.file()
		all := [][][]float64{f.Weights, f.Recurrent}
		if e, ok := l.(*elm); ok {
			all = append(all, [][]float64{e.w}, e.e.W1, e.e.W2, e.e.Wy)
			c.Footprint += 4 * int64(len(e.e.TauMemory)+len(e.e.B1)+len(e.e.B2)+len(e.e.By))
		}
		for _, w := range all {
			for _, row := range w {
				c.Synapses += int64(len(row))
				for _, v := range row {
					if v == 0 {
						c.ZeroWeight++
					}
				}
			}
		}
		c.Footprint += 4 * int64(len(f.Bias)+len(f.Beta)+len(f.Tau)+len(f.W)+len(f.TauSyn)+len(f.TauMem))
	}
	c.Footprint += 4 * c.Synapses
	n.count = c
	return c
}

// StopCounting ends it.
func (n *Network) StopCounting() { n.count = nil }

// ActivationSparsity is the share of neuron outputs that were zero.
func (c *Operations) ActivationSparsity() float64 {
	if c.Neurons == 0 {
		return 0
	}
	return 1 - float64(c.Spikes)/float64(c.Neurons)
}

// ConnectionSparsity is the share of weights that are zero.
func (c *Operations) ConnectionSparsity() float64 {
	if c.Synapses == 0 {
		return 0
	}
	return float64(c.ZeroWeight) / float64(c.Synapses)
}

// PerStep returns effective MACs, effective ACs and dense operations per time step.
func (c *Operations) PerStep() (macs, acs, dense float64) {
	if c.Steps == 0 {
		return 0, 0, 0
	}
	s := float64(c.Steps)
	return float64(c.MACs) / s, float64(c.ACs) / s, float64(c.Dense) / s
}

func (c *Operations) layer(l layer, in []float64) {
	switch l := l.(type) {
	case *synapses:
		c.synapses(l, in)
	case *dcls:
		c.weights(l.f.Weights, in)
	case *elm:
		c.weights([][]float64{l.w}, in)
	case *lif:
		if l.rec != nil {
			c.synapses(l.rec, l.s)
		}
	case *adaptive:
		if l.rec != nil {
			c.synapses(l.rec, l.s)
		}
	case *twoState:
		c.synapses(l.w, l.x) // what it reads now arrived one step earlier
		if l.rec != nil {
			c.synapses(l.rec, l.s)
		}
	}
}

func (c *Operations) synapses(s *synapses, in []float64) { c.weights(s.f.Weights, in) }

func (c *Operations) weights(w [][]float64, in []float64) {
	for _, row := range w {
		c.Dense += int64(len(row))
		for i, v := range row {
			switch x := in[i]; {
			case v == 0 || x == 0:
			case x == 1 || x == -1:
				c.ACs++
			default:
				c.MACs++
			}
		}
	}
}

func (c *Operations) activation(l layer, out []float64) {
	switch l := l.(type) {
	case *elm: // its network within, which has just run; it does not spike
		c.weights(l.e.W1, l.in)
		c.weights(l.e.W2, l.hid)
		c.weights(l.e.Wy, l.m)
		return
	case *lif, *adaptive, *twoState, *ifNeuron:
	default:
		return
	}
	c.Neurons += int64(len(out))
	for _, v := range out {
		if v != 0 {
			c.Spikes++
		}
	}
}
