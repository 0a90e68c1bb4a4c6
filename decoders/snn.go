package decoders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Network is a spiking network: layers that each step once per time step.
//
//	input ─► linear ─► lif ─► linear ─► lif ─► linear ─► leaky ─► output
//
// Step does not allocate. A Network belongs to one goroutine.
type Network struct {
	layers []layer
	buf    [][]float64 // outputs of each layer
	mean   []float64   // of outputs, for who presents one input several times
	count  *Operations // nil = not counting
}

// NetworkFile is the documented layout of a network, as JSON: layers in order, each
// with its conventions by name, and a probe: an input and the output it must give,
// which is checked when the file is read. Export it from any library that can write
// JSON; see LayerFile for the fields and lif.go for the equations.
type NetworkFile struct {
	Format string      `json:"format"` // "neurostream-snn"
	Number int         `json:"version"`
	Layers []LayerFile `json:"layers"`
	Probe  *Probe      `json:"probe,omitempty"`
}

// Probe is a check of a network: steps × inputs, and steps × outputs expected from the
// initial state within Tolerance (0 = 1e-6).
type Probe struct {
	Input     [][]float64 `json:"input"`
	Output    [][]float64 `json:"output"`
	Tolerance float64     `json:"tolerance,omitempty"`
}

const networkFormat = "neurostream-snn"

// ReadNetwork builds a network from its JSON file and runs its probe.
func ReadNetwork(raw []byte) (*Network, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var f NetworkFile
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return f.Build()
}

// Build makes the network and runs the probe.
func (f *NetworkFile) Build() (*Network, error) {
	if f.Format != networkFormat || f.Number != 1 {
		return nil, fmt.Errorf("network format %q version %d; this version reads %q version 1", f.Format, f.Number, networkFormat)
	}
	if len(f.Layers) == 0 || len(f.Layers) > 64 {
		return nil, fmt.Errorf("network of %d layers; allowed are 1 to 64", len(f.Layers))
	}
	n := new(Network)
	for i := range f.Layers {
		l, err := f.Layers[i].build()
		if err != nil {
			return nil, fmt.Errorf("network: layer %d: %w", i+1, err)
		}
		in, out := l.dims()
		if i > 0 {
			if _, before := n.layers[i-1].dims(); before != in {
				return nil, fmt.Errorf("network: layer %d (%s) takes %d values, the layer before gives %d", i+1, f.Layers[i].Type, in, before)
			}
		}
		n.layers, n.buf = append(n.layers, l), append(n.buf, make([]float64, out))
	}
	n.mean = make([]float64, len(n.buf[len(n.buf)-1]))
	if f.Probe != nil {
		if err := n.check(f.Probe); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Network) check(p *Probe) error {
	in, out := n.Dims()
	if len(p.Input) != len(p.Output) || len(p.Input) == 0 {
		return fmt.Errorf("network: the probe has %d inputs and %d outputs", len(p.Input), len(p.Output))
	}
	tol := p.Tolerance
	if tol == 0 {
		tol = 1e-6
	}
	got := make([]float64, out)
	for t := range p.Input {
		if len(p.Input[t]) != in || len(p.Output[t]) != out {
			return fmt.Errorf("network: probe step %d has %d inputs and %d outputs, the network %d and %d", t+1, len(p.Input[t]), len(p.Output[t]), in, out)
		}
		n.Step(got, p.Input[t])
		for i, v := range got {
			if !(math.Abs(v-p.Output[t][i]) <= tol*(1+math.Abs(p.Output[t][i]))) {
				return fmt.Errorf("network: the probe gives %.9g at step %d, output %d, but the file says %.9g: a convention (order, reset, bias) differs from the exporting library", v, t+1, i+1, p.Output[t][i])
			}
		}
	}
	n.Reset()
	return nil
}

// Dims returns the numbers of inputs and outputs.
func (n *Network) Dims() (in, out int) {
	in, _ = n.layers[0].dims()
	_, out = n.layers[len(n.layers)-1].dims()
	return in, out
}

// Step advances one time step: out = network(in).
func (n *Network) Step(out, in []float64) {
	for i, l := range n.layers {
		if n.count != nil {
			n.count.layer(l, in)
		}
		dst := n.buf[i]
		if i == len(n.layers)-1 {
			dst = out
		}
		l.step(dst, in)
		if n.count != nil {
			n.count.activation(l, dst)
		}
		in = dst
	}
	if n.count != nil {
		n.count.Steps++
	}
}

// Reset returns every layer to its initial state.
func (n *Network) Reset() {
	for _, l := range n.layers {
		l.reset()
	}
}

// File returns the network's description, without a probe.
func (n *Network) File() *NetworkFile {
	f := &NetworkFile{Format: networkFormat, Number: 1}
	for _, l := range n.layers {
		f.Layers = append(f.Layers, l.file())
	}
	return f
}

// Save returns the network as JSON with a probe of 16 steps.
func (n *Network) Save() (json.RawMessage, error) {
	f := n.File()
	fresh, err := f.Build() // leaves the state of n alone
	if err != nil {
		return nil, err
	}
	in, out := fresh.Dims()
	p := &Probe{Tolerance: 1e-9}
	for t := range 16 {
		x, y := make([]float64, in), make([]float64, out)
		for i := range x {
			x[i] = float64((t*31+i*17)%23)/8 - 1
		}
		fresh.Step(y, x)
		p.Input, p.Output = append(p.Input, x), append(p.Output, y)
	}
	f.Probe = p
	return json.Marshal(f)
}

func (n *Network) snapshot(w *stream.StateWriter) {
	for _, l := range n.layers {
		for _, s := range l.state() {
			w.Floats(s)
		}
	}
}

func (n *Network) restore(r *stream.StateReader) {
	for _, l := range n.layers {
		for _, s := range l.state() {
			r.Floats(s)
		}
		if d, ok := l.(*dcls); ok && !(d.head[0] >= 0 && d.head[0] < float64(d.k)) {
			d.head[0] = 0
		}
	}
}

// ifNeuron is the integrate-and-fire neuron of a converted network: no leak, soft
// reset, membrane starts at half the threshold. With bits, noise of the conversion
// is cancelled: a neuron that has spiked may spike negatively below zero, and fires
// at most 2^bits-1 times net (QFFS; Li et al., Frontiers in Neuroscience 2022). Its
// spikes are worth the threshold.
type ifNeuron struct {
	n     int
	f     LayerFile
	theta []float64
	cap   float64
	v, k  []float64 // membrane, net spike count
}

func newIF(f *LayerFile) (*ifNeuron, error) {
	if f.Size < 1 {
		return nil, errors.New("if layer: no size")
	}
	if f.Bits < 0 || f.Bits > 16 {
		return nil, fmt.Errorf("if layer: %d bits; allowed are 1 to 16, or 0 for no cap", f.Bits)
	}
	theta, err := threshold(f)
	if err != nil {
		return nil, err
	}
	l := &ifNeuron{n: f.Size, f: *f, v: make([]float64, f.Size), k: make([]float64, f.Size)}
	l.theta, _ = fill("threshold", []float64{theta}, f.Size, positive)
	l.cap = math.Inf(1)
	if f.Bits > 0 {
		l.cap = float64(int(1)<<f.Bits - 1)
	}
	l.reset()
	return l, nil
}

func (l *ifNeuron) dims() (int, int)   { return l.n, l.n }
func (l *ifNeuron) state() [][]float64 { return [][]float64{l.v, l.k} }
func (l *ifNeuron) file() LayerFile    { return l.f }

func (l *ifNeuron) reset() {
	for i := range l.v {
		l.v[i], l.k[i] = l.theta[i]/2, 0
	}
}

func (l *ifNeuron) step(out, in []float64) {
	for i, th := range l.theta {
		v := l.v[i] + in[i]
		out[i] = 0
		switch {
		case v >= th && l.k[i] < l.cap:
			v -= th
			l.k[i]++
			out[i] = th
		case v < 0 && l.k[i] > 0 && l.f.Bits > 0:
			v += th
			l.k[i]--
			out[i] = -th
		}
		l.v[i] = v
	}
}
