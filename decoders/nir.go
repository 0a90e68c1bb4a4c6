package decoders

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"neurostream/recordings/hdf5"
)

// ParseNIR reads a graph of the Neuromorphic Intermediate Representation (Pedersen et al.,
// Nature Communications 15:8122, 2024; nir.write) as a network whose steps last dt seconds.
//
// NIR describes neurons in continuous time and leaves steps to who runs them. Ours are those
// of most simulators that write NIR: forward Euler, spike at or above threshold, reset in the
// same step, recurrent spikes one step later:
//
//	LIF   v ← v + dt/τ (v_leak - v + R I); z = [v ≥ θ]; v = v_reset where z
//	LI    v ← v + dt/τ (v_leak - v + R I)
//
// dt must be the step that the exporter turned its decays into time constants with (snnTorch
// and others: 1e-4 s, whatever the data's rate was), or the decays come out wrong.
//
// Read are Linear, Affine, Scale, LIF, LI, Flatten and nested graphs, in a chain from one Input to
// one Output; a Linear or Affine from a LIF back to itself is its recurrent connection.
// Branches, convolutions and other neurons are refused by name (CubaLIF too: the two-state
// neuron of this package takes its states in another order). A NIR file carries no probe, so that
// nothing but these equations says that the network is understood.
func ParseNIR(b []byte, dt float64) (*NetworkFile, error) {
	if !(dt > 0) || dt > 1e6 {
		return nil, fmt.Errorf("nir: a step of %v s; give a positive time", dt)
	}
	sets, err := hdf5.Parse(b)
	if err != nil {
		return nil, err
	}
	g := &nirGraph{sets: sets, kinds: map[string]string{}}
	if err := g.read("node", 0); err != nil {
		return nil, fmt.Errorf("nir: %w", err)
	}
	chain, rec, err := g.chain()
	if err != nil {
		return nil, fmt.Errorf("nir: %w", err)
	}
	f := &NetworkFile{Format: networkFormat, Number: 1}
	for _, path := range chain {
		if err := g.layer(f, path, rec[path], dt); err != nil {
			return nil, fmt.Errorf("nir: node %q (%s): %w", g.name(path), g.kinds[path], err)
		}
	}
	if len(f.Layers) == 0 {
		return nil, errors.New("nir: the graph holds nothing between input and output")
	}
	if _, err := f.Build(); err != nil {
		return nil, err
	}
	return f, nil
}

// nirGraph is a graph with nested ones resolved; nodes go by their path in the file.
type nirGraph struct {
	sets  map[string]*hdf5.Dataset
	kinds map[string]string // of nodes
	edges [][2]string
}

const maxNIR = 4096 // nodes, edges

func (g *nirGraph) name(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "node/nodes/"), "/nodes/", "/")
}

func (g *nirGraph) text(path string) string {
	if d := g.sets[path]; d != nil && len(d.Strings) == 1 {
		return d.Strings[0]
	}
	return ""
}

// read adds the graph at a path.
func (g *nirGraph) read(path string, depth int) error {
	if depth > 8 {
		return errors.New("graphs are nested too deep")
	}
	if kind := g.text(path + "/type"); kind != "NIRGraph" {
		return fmt.Errorf("%q is %q, not a graph: the file was not written by nir.write", path, kind)
	}
	var names []string
	for p := range g.sets {
		if rest, ok := strings.CutPrefix(p, path+"/nodes/"); ok {
			if name, last, ok := strings.Cut(rest, "/"); ok && last == "type" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	nested := map[string]bool{}
	for _, name := range names {
		full := path + "/nodes/" + name
		if kind := g.text(full + "/type"); kind == "NIRGraph" {
			nested[name] = true
			if err := g.read(full, depth+1); err != nil {
				return err
			}
		} else {
			g.kinds[full] = kind
		}
	}
	if len(g.kinds) > maxNIR {
		return fmt.Errorf("more than %d nodes", maxNIR)
	}
	e := g.sets[path+"/edges"]
	if e == nil || len(e.Shape) != 2 || e.Shape[1] != 2 || e.Strings == nil {
		return fmt.Errorf("%q has no list of edges", path)
	}
	for i := 0; i < len(e.Strings); i += 2 {
		var ends [2]string
		for k, name := range e.Strings[i : i+2] {
			ends[k] = path + "/nodes/" + name
			if nested[name] { // it begins at its input and ends at its output
				ends[k] = g.end(ends[k], []string{"Output", "Input"}[k])
			}
			if g.kinds[ends[k]] == "" {
				return fmt.Errorf("edge %d of %q names %q, which is no node, or a graph without one input and one output", i/2+1, path, name)
			}
		}
		g.edges = append(g.edges, ends)
	}
	if len(g.edges) > maxNIR {
		return fmt.Errorf("more than %d edges", maxNIR)
	}
	return nil
}

// end finds the input or output of a nested graph, "" if there is not exactly one.
func (g *nirGraph) end(path, kind string) string {
	found := ""
	for p, k := range g.kinds {
		if name, ok := strings.CutPrefix(p, path+"/nodes/"); ok && k == kind && !strings.Contains(name, "/") {
			if found != "" {
				return ""
			}
			found = p
		}
	}
	return found
}

// through reports nodes that hand on what they get.
func (g *nirGraph) through(path string) bool {
	switch g.kinds[path] {
	case "Flatten":
		return true
	case "Input", "Output":
		return strings.Count(path, "/nodes/") > 1 // of a nested graph
	}
	return false
}

// chain orders the nodes from input to output, and finds the recurrent connection of each.
func (g *nirGraph) chain() (order []string, rec map[string]string, err error) {
	next, back := map[string][]string{}, map[string][]string{}
	var link func(from, to string, depth int) error
	out := map[string][]string{}
	for _, e := range g.edges {
		out[e[0]] = append(out[e[0]], e[1])
	}
	count := 0
	link = func(from, to string, depth int) error { // past nodes that hand on
		if count++; count > 4*maxNIR || depth > 64 {
			return errors.New("the edges go in circles, or are too many")
		}
		if !g.through(to) {
			next[from], back[to] = append(next[from], to), append(back[to], from)
			return nil
		}
		for _, t := range out[to] {
			if err := link(from, t, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	var begin, end []string
	rec = map[string]string{}
	paths := make([]string, 0, len(g.kinds))
	for p := range g.kinds {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	nodes := 0
	for _, p := range paths {
		if g.through(p) {
			continue
		}
		nodes++
		switch g.kinds[p] {
		case "Input":
			begin = append(begin, p)
		case "Output":
			end = append(end, p)
		}
		for _, t := range out[p] {
			if err := link(p, t, 0); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(begin) != 1 || len(end) != 1 {
		return nil, nil, fmt.Errorf("%d inputs and %d outputs; read are graphs with one of each", len(begin), len(end))
	}
	for _, p := range paths {
		if k := g.kinds[p]; k != "Linear" && k != "Affine" || len(next[p]) != 1 || len(back[p]) != 1 || next[p][0] != back[p][0] {
			continue
		}
		n := next[p][0]
		if rec[n] != "" || g.kinds[n] != "LIF" {
			return nil, nil, fmt.Errorf("node %q (%s) feeds back on itself in more than one way, or is no LIF", g.name(n), g.kinds[n])
		}
		rec[n] = p
		gone := func(s string) bool { return s == p }
		next[n], back[n] = slices.DeleteFunc(next[n], gone), slices.DeleteFunc(back[n], gone)
		nodes--
	}
	at, seen := begin[0], 1
	for at != end[0] {
		if len(next[at]) != 1 {
			return nil, nil, fmt.Errorf("node %q (%s) leads to %d nodes; read are chains", g.name(at), g.kinds[at], len(next[at]))
		}
		at = next[at][0]
		if len(back[at]) != 1 {
			return nil, nil, fmt.Errorf("node %q (%s) gets the sum of %d nodes; read are chains", g.name(at), g.kinds[at], len(back[at]))
		}
		if seen++; seen > nodes {
			return nil, nil, errors.New("the graph goes in a circle")
		}
		if at != end[0] {
			order = append(order, at)
		}
	}
	if seen != nodes {
		return nil, nil, fmt.Errorf("%d of %d nodes lie on the way from input to output; read are chains", seen, nodes)
	}
	return order, rec, nil
}

// values returns a parameter of a node, one for each of n (0 = as many as there are).
func (g *nirGraph) values(path, field string, n int) ([]float64, error) {
	d := g.sets[path+"/"+field]
	if d == nil || len(d.Numbers) == 0 {
		return nil, fmt.Errorf("no %s", field)
	}
	if n == 0 {
		n = len(d.Numbers)
	}
	if n > maxNeurons {
		return nil, fmt.Errorf("%s of %d neurons; at most %d", field, n, maxNeurons)
	}
	out := make([]float64, n)
	if len(d.Numbers) != n && len(d.Numbers) != 1 {
		return nil, fmt.Errorf("%s has %d values for %d neurons", field, len(d.Numbers), n)
	}
	for i := range out {
		if out[i] = d.Numbers[min(i, len(d.Numbers)-1)]; out[i]-out[i] != 0 {
			return nil, fmt.Errorf("%s of neuron %d is %v", field, i+1, out[i])
		}
	}
	return out, nil
}

// weights returns the matrix of a Linear or Affine, and its bias or zeros.
func (g *nirGraph) weights(path string) (w [][]float64, bias []float64, err error) {
	d := g.sets[path+"/weight"]
	if d == nil || len(d.Shape) != 2 || d.Numbers == nil || d.Shape[0] == 0 || d.Shape[1] == 0 {
		return nil, nil, errors.New("no weight that is a matrix")
	}
	for o := range d.Shape[0] {
		w = append(w, slices.Clone(d.Numbers[o*d.Shape[1]:(o+1)*d.Shape[1]]))
	}
	bias = make([]float64, len(w))
	if g.kinds[path] == "Affine" {
		bias, err = g.values(path, "bias", len(w))
	}
	return w, bias, err
}

// layer appends what a node is to the network.
func (g *nirGraph) layer(f *NetworkFile, path, rec string, dt float64) error {
	switch g.kinds[path] {
	case "Linear", "Affine":
		w, b, err := g.weights(path)
		f.Layers = append(f.Layers, LayerFile{Type: "linear", Weights: w, Bias: b})
		return err
	case "Scale":
		s, err := g.values(path, "scale", g.width(f))
		if err == nil {
			err = g.scaled(f, s, make([]float64, len(s)))
		}
		return err
	case "LIF", "LI":
	default:
		return errors.New("not read; known are Linear, Affine, Scale, LIF, LI and Flatten")
	}
	tau, err := g.values(path, "tau", g.width(f))
	if err != nil {
		return err
	}
	n := len(tau)
	r, err := g.values(path, "r", n)
	if err != nil {
		return err
	}
	leak, err := g.values(path, "v_leak", n)
	if err != nil {
		return err
	}
	for i, t := range tau {
		if !(t >= dt) {
			return fmt.Errorf("tau of neuron %d is %g s, shorter than a step of %g s: the exporter's step was another one", i+1, t, dt)
		}
	}
	if g.kinds[path] == "LI" {
		beta, shift := make([]float64, n), make([]float64, n)
		for i, t := range tau {
			beta[i], r[i], shift[i] = 1-dt/t, r[i]*dt/t, leak[i]*dt/t
		}
		if err := g.scaled(f, r, shift); err != nil {
			return err
		}
		f.Layers = append(f.Layers, LayerFile{Type: "leaky", Size: n, Beta: beta})
		return nil
	}
	theta, err := g.values(path, "v_threshold", n)
	if err != nil {
		return err
	}
	reset := make([]float64, n)
	if g.sets[path+"/v_reset"] != nil { // newer files have it
		if reset, err = g.values(path, "v_reset", n); err != nil {
			return err
		}
	}
	l := LayerFile{Type: "lif", Size: n, Order: ResetSameStep, Reset: "hard", DecayInput: true, Threshold: 1}
	shift := make([]float64, n)
	for i, th := range theta {
		if !(th > 0) {
			return fmt.Errorf("threshold of neuron %d is %g; it is positive", i+1, th)
		}
		// in units of the threshold; the membrane decays to the reset voltage, the rest is input
		r[i], shift[i] = r[i]/th, (leak[i]-reset[i])/th
		if reset[i] /= th; reset[i] != reset[0] {
			return errors.New("reset voltages that are not one share of the thresholds")
		}
		l.Tau = append(l.Tau, tau[i]/dt)
	}
	l.VReset = reset[0]
	if rec != "" {
		w, b, err := g.weights(rec)
		if err != nil {
			return fmt.Errorf("recurrent weights: %w", err)
		}
		if len(w) != n || len(w[0]) != n {
			return fmt.Errorf("recurrent weights are %d × %d for %d neurons", len(w), len(w[0]), n)
		}
		for o := range w {
			for i := range w[o] {
				w[o][i] *= r[o]
			}
			shift[o] += r[o] * b[o]
		}
		l.Recurrent = w
	}
	if err := g.scaled(f, r, shift); err != nil {
		return err
	}
	f.Layers = append(f.Layers, l)
	return nil
}

// width is how many values the last layer gives, 0 before the first.
func (g *nirGraph) width(f *NetworkFile) int {
	if len(f.Layers) == 0 {
		return 0
	}
	if l := &f.Layers[len(f.Layers)-1]; l.Type != "linear" {
		return l.Size
	} else {
		return len(l.Weights)
	}
}

// scaled multiplies what reaches the next layer by s and adds b, within the linear layer
// before it, or in one of its own.
func (g *nirGraph) scaled(f *NetworkFile, s, b []float64) error {
	if n := len(f.Layers); n > 0 && f.Layers[n-1].Type == "linear" {
		l := &f.Layers[n-1]
		for o := range l.Weights {
			for i := range l.Weights[o] {
				l.Weights[o][i] *= s[o]
			}
			l.Bias[o] = float64(l.Bias[o]*s[o]) + b[o]
		}
		return nil
	}
	if len(s) > 2048 {
		return fmt.Errorf("%d neurons without weights before them; at most 2048", len(s))
	}
	l := LayerFile{Type: "linear", Bias: b}
	for i := range s {
		row := make([]float64, len(s))
		row[i] = s[i]
		l.Weights = append(l.Weights, row)
	}
	f.Layers = append(f.Layers, l)
	return nil
}
