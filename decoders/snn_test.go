package decoders

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// runLayer steps a layer through inputs and returns outputs and one state vector.
func runLayer(t testing.TB, f LayerFile, x [][]float64, state int) (out, states [][]float64) {
	t.Helper()
	l, err := f.build()
	if err != nil {
		t.Fatal(err)
	}
	_, n := l.dims()
	for _, row := range x {
		y := make([]float64, n)
		l.step(y, row)
		out = append(out, y)
		if state >= 0 {
			states = append(states, append([]float64(nil), l.state()[state]...))
		}
	}
	return out, states
}

func times(x [][]float64, s float64) [][]float64 {
	out := make([][]float64, len(x))
	for t := range x {
		for _, v := range x[t] {
			out[t] = append(out[t], s*v)
		}
	}
	return out
}

// lif_forward.json: both reset conventions, parametric, two-state, adaptive,
// read-out, encoders.
func TestLIFGolden(t *testing.T) {
	g := readGolden(t, "lif_forward")
	var x, w, w2, rec, wo [][]float64
	var b, pw, ts, tm, sig []float64
	var beta, theta, dt, rho, gain, decay, step, level float64
	for name, dst := range map[string]any{
		"input_spikes": &x, "weights": &w, "bias": &b, "beta": &beta, "threshold": &theta, "plif_w": &pw,
		"two_state/input_weights": &w2, "two_state/recurrent_weights": &rec, "two_state/tau_syn": &ts, "two_state/tau_mem": &tm, "two_state/dt": &dt,
		"adaptive/rho": &rho, "adaptive/gain": &gain, "readout/weights": &wo, "readout/decay": &decay,
		"signal": &sig, "delta_threshold": &step, "level_step": &level,
	} {
		g.in(t, name, dst)
	}
	cur, _ := runLayer(t, LayerFile{Type: "linear", Weights: w, Bias: b}, x, -1)
	g.want(t, "input_current", cur)
	n := len(w)
	var subtract [][]float64
	for _, reset := range []string{"subtract", "zero", "none"} {
		s, u := runLayer(t, LayerFile{Type: "lif", Size: n, Order: ResetDelayed, Reset: reset, Beta: []float64{beta}, Threshold: theta}, cur, 0)
		g.want(t, "delayed_reset/"+reset+"/membrane", u)
		g.exact(t, "delayed_reset/"+reset+"/spikes", s)
		if reset == "subtract" {
			subtract = s
		}
		counts := make([]float64, n)
		for _, row := range s {
			for j, v := range row {
				counts[j] += v
			}
		}
		g.exact(t, "spike_counts/"+reset, counts)
	}
	for _, name := range []string{"hard_decay_input", "soft_decay_input", "hard_no_decay_input", "soft_no_decay_input"} {
		var tau, scale float64
		g.ex(t, "same_step_reset/"+name+"/tau", &tau)
		g.ex(t, "same_step_reset/"+name+"/gain_on_input", &scale)
		f := LayerFile{Type: "lif", Size: n, Order: ResetSameStep, Reset: name[:4], Tau: []float64{tau}, DecayInput: !strings.Contains(name, "_no_"), Threshold: theta}
		s, v := runLayer(t, f, times(cur, scale), 0)
		g.exact(t, "same_step_reset/"+name+"/spikes", s)
		g.want(t, "same_step_reset/"+name+"/after_reset", v)
	}
	s, _ := runLayer(t, LayerFile{Type: "lif", Size: n, Order: ResetSameStep, Reset: "hard", W: pw, DecayInput: true, Threshold: theta}, times(cur, 2), 0)
	g.exact(t, "parametric_lif/spikes", s)
	two := LayerFile{Type: "two-state-lif", Weights: w2, Recurrent: rec, TauSyn: ts, TauMem: tm, Dt: dt, Threshold: theta}
	s, u := runLayer(t, two, x, 1)
	g.exact(t, "two_state_recurrent/spikes", s)
	g.want(t, "two_state_recurrent/membrane", u)
	_, u = runLayer(t, two, x, 0)
	g.want(t, "two_state_recurrent/synapse", u)
	ad := LayerFile{Type: "adaptive-lif", Size: n, Beta: []float64{beta}, Rho: rho, Gain: gain, Threshold: theta}
	s, u = runLayer(t, ad, cur, 0)
	g.exact(t, "adaptive_threshold/spikes", s)
	g.want(t, "adaptive_threshold/membrane", u)
	_, a := runLayer(t, ad, cur, 1)
	for i := range a {
		for j := range a[i] {
			a[i][j] = theta + gain*a[i][j]
		}
	}
	g.want(t, "adaptive_threshold/threshold", a)
	ro, _ := runLayer(t, LayerFile{Type: "linear", Weights: wo}, subtract, -1)
	o, _ := runLayer(t, LayerFile{Type: "leaky", Size: len(wo), Beta: []float64{decay}}, ro, -1)
	g.want(t, "readout", o)

	code := func(kind string, step float64) (out, base []float64) {
		e, err := newEncoder(kind, step, 1)
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float64, 1)
		for _, v := range sig {
			e.encode(y, []float64{v})
			out, base = append(out, y[0]), append(base, e.base[0])
		}
		return out, base
	}
	delta, _ := code(EncodeDelta, step)
	g.exact(t, "delta_code", delta)
	lc, base := code(EncodeStep, level)
	g.exact(t, "level_crossing_code", lc)
	g.want(t, "level_crossing_reconstruction", base)
}

// The threshold encoder fires on upward crossings only.
func TestThresholdEncoder(t *testing.T) {
	e, _ := newEncoder(EncodeThreshold, 1, 1)
	y, got := make([]float64, 1), ""
	for _, v := range []float64{2, 0, 1, 3, 0.9, 1.1, -5, 2} {
		e.encode(y, []float64{v})
		got += itoa(int(y[0]))
	}
	if got != "00100101" {
		t.Errorf("got %s", got)
	}
}

// surrogate_bptt.json: gradients of a two-layer network for both surrogates, reset
// detached and attached, and with a smooth spike function.
func TestBPTTGolden(t *testing.T) {
	g := readGolden(t, "surrogate_bptt")
	var x [][][]float64
	var w1, w2 [][]float64
	var labels []int
	var probe []float64
	var beta, theta float64
	for name, dst := range map[string]any{"input_spikes": &x, "labels": &labels, "W1": &w1, "W2": &w2, "beta": &beta, "threshold": &theta, "surrogate_probe_u": &probe} {
		g.in(t, name, dst)
	}
	build := func() *spikingNet {
		n := newSpikingNet(len(w1[0]), []int{len(w1)}, len(w2), false)
		n.theta = theta
		l, o := n.layers[0], n.out
		for j, row := range w1 {
			copy(l.w[j*l.in:], row)
		}
		for j, row := range w2 {
			copy(o.w[j*o.in:], row)
		}
		raw := math.Log(beta / (1 - beta))
		for j := range l.raw {
			l.raw[j] = raw
		}
		for j := range o.raw {
			o.raw[j] = raw
		}
		return n
	}
	unflatten := func(v []float64, cols int, s float64) (out [][]float64) {
		for o := 0; o < len(v); o += cols {
			row := make([]float64, cols)
			for i := range row {
				row[i] = v[o+i] * s
			}
			out = append(out, row)
		}
		return out
	}
	for _, c := range []struct {
		name, kind string
		slope      float64
		attached   bool
	}{
		{"fast_sigmoid_reset_detached", SurrogateFastSigmoid, 10, false},
		{"fast_sigmoid_reset_attached", SurrogateFastSigmoid, 10, true},
		{"atan_reset_detached", SurrogateATan, 2, false},
		{"atan_reset_attached", SurrogateATan, 2, true},
	} {
		n := build()
		n.deriv, _ = surrogate(c.kind, c.slope)
		n.attached = c.attached
		var losses []float64
		var membranes, spikes, outputs [][][]float64
		for i := range x {
			n.forward(x[i])
			var dO [][]float64
			dO = sized(dO, len(x[i]), len(w2))
			losses = append(losses, n.loss(&sequence{class: labels[i]}, len(w2), LossMean, dO))
			n.backward(dO)
			clone := func(v [][]float64) (o [][]float64) {
				for _, row := range v[1 : len(x[i])+1] {
					o = append(o, append([]float64(nil), row...))
				}
				return o
			}
			membranes, spikes, outputs = append(membranes, clone(n.layers[0].u)), append(spikes, clone(n.layers[0].s)), append(outputs, clone(n.out.u))
		}
		g.want(t, "gradients/"+c.name+"/loss_per_sample", losses)
		g.want(t, "gradients/"+c.name+"/loss_mean", (losses[0]+losses[1])/2)
		g.want(t, "gradients/"+c.name+"/dW1", unflatten(n.layers[0].gw, n.layers[0].in, 0.5))
		g.want(t, "gradients/"+c.name+"/dW2", unflatten(n.out.gw, n.out.in, 0.5))
		g.want(t, "hidden_membrane", membranes)
		g.exact(t, "hidden_spikes", spikes)
		g.want(t, "output_membrane", outputs)
	}
	n := build()
	s := func(u float64) float64 { return 1 / (1 + math.Exp(-4*u)) }
	n.spike, n.attached = s, true
	n.deriv = func(u float64) float64 { return 4 * s(u) * (1 - s(u)) }
	n.forward(x[0])
	var dO [][]float64
	dO = sized(dO, len(x[0]), len(w2))
	n.loss(&sequence{class: labels[0]}, len(w2), LossMean, dO)
	n.backward(dO)
	g.want(t, "smooth_check/dW1", unflatten(n.layers[0].gw, n.layers[0].in, 1))
	g.want(t, "smooth_check/dW2", unflatten(n.out.gw, n.out.in, 1))
	for name, c := range map[string]struct {
		kind string
		k    float64
	}{"fast_sigmoid_10": {SurrogateFastSigmoid, 10}, "fast_sigmoid_25": {SurrogateFastSigmoid, 25}, "atan_2": {SurrogateATan, 2}} {
		d, _ := surrogate(c.kind, c.k)
		var got []float64
		for _, u := range probe {
			got = append(got, d(u))
		}
		g.want(t, "surrogate_probe/"+name, got)
	}
}

// With a smooth spike the gradient of every parameter, recurrent weights, decays and
// two layers included, equals differences, for all losses and neurons.
func TestBPTTDifferences(t *testing.T) {
	for _, kind := range Neurons {
		t.Run(kind, func(t *testing.T) { differences(t, kind) })
	}
}

func differences(t *testing.T, kind string) {
	r := rand.New(rand.NewPCG(4, 4))
	s := func(u float64) float64 { return 1 / (1 + math.Exp(-3*u)) }
	for _, loss := range []string{LossMean, LossSteps, LossEach, "regression"} {
		n := newSpikingNetOf(kind, 3, []int{4, 5}, 2, true)
		for _, l := range n.layers {
			l.rho, l.gain = 0.7, 0.8
			for j := range l.mask { // as under dropout
				l.mask[j] = []float64{1, 1.25, 0}[j%3]
			}
		}
		n.spike, n.attached = s, true
		n.deriv = func(u float64) float64 { return 3 * s(u) * (1 - s(u)) }
		for i := range n.p {
			n.p[i] = 0.7 * r.NormFloat64()
		}
		q := &sequence{class: 1}
		for range 9 {
			q.x, q.z = append(q.x, []float64{r.NormFloat64(), r.NormFloat64(), 0}), append(q.z, []float64{r.NormFloat64(), 1})
		}
		classes := 2
		if loss == "regression" {
			classes = 0
		}
		value := func() float64 {
			n.forward(q.x)
			return n.loss(q, classes, loss, nil)
		}
		n.forward(q.x)
		var dO [][]float64
		dO = sized(dO, len(q.x), 2)
		n.loss(q, classes, loss, dO)
		n.backward(dO)
		got := append([]float64(nil), n.g...)
		for i := range n.p {
			const h = 1e-6
			p := n.p[i]
			n.p[i] = p + h
			up := value()
			n.p[i] = p - h
			down := value()
			n.p[i] = p
			if num := (up - down) / (2 * h); math.Abs(num-got[i]) > 2e-8*(1+math.Abs(num))+1e-8 {
				t.Fatalf("%s: derivative %d of %d is %v, differences say %v", loss, i, len(n.p), got[i], num)
			}
		}
	}
}

// elm_neuron.json: both versions of the cell.
func TestELMGolden(t *testing.T) {
	g := readGolden(t, "elm_neuron")
	e := elmFile{}
	var x [][]float64
	for name, dst := range map[string]any{
		"x": &x, "synapse_weights": &e.Synapses, "tau_synapse": &e.TauSyn, "tau_memory": &e.TauMemory, "lambda": &e.Lambda,
		"mlp_W1": &e.W1, "mlp_b1": &e.B1, "mlp_W2": &e.W2, "mlp_b2": &e.B2, "out_W": &e.Wy, "out_b": &e.By, "branches": &e.Branches,
	} {
		g.in(t, name, dst)
	}
	for v, name := range map[int]string{1: "v1", 2: "v2"} {
		c := e
		c.Version = v
		y, m := runLayer(t, LayerFile{Type: "elm", ELM: &c}, x, 1)
		g.want(t, name+"/output", y)
		g.want(t, name+"/memory", m)
		// operations by hand: every weight meets every input, but for silent hidden units
		n, err := (&NetworkFile{Format: networkFormat, Number: 1, Layers: []LayerFile{{Type: "elm", ELM: &c}}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		count, ones := n.Count(), make([]float64, len(e.Synapses))
		for i := range ones {
			ones[i] = 0.5
		}
		n.Step(make([]float64, len(e.Wy)), ones)
		weights := len(e.Synapses) + len(e.W1)*len(e.W1[0]) + len(e.W2)*len(e.W2[0]) + len(e.Wy)*len(e.Wy[0])
		if count.Synapses != int64(weights) || count.Dense != int64(weights) || count.ACs != 0 || count.MACs <= int64(len(e.Synapses))/2 || count.MACs >= int64(weights) || count.Neurons != 0 {
			t.Errorf("%s: operations %+v of %d weights", name, *count, weights)
		}
	}
}

// dcls_delays.json: training kernels, their convolution, and the discrete delays of
// inference.
func TestDCLSGolden(t *testing.T) {
	g := readGolden(t, "dcls_delays")
	var w, p, x [][]float64
	var sigma, wide float64
	var k, left, right int
	for name, dst := range map[string]any{"weights": &w, "positions": &p, "sigma": &sigma, "sigma_wide": &wide, "kernel_length": &k, "x": &x, "left_padding": &left, "right_padding": &right} {
		g.in(t, name, dst)
	}
	kernels := func(sigma float64) (out [][][]float64) {
		for o := range w {
			var row [][]float64
			for i := range w[o] {
				row = append(row, dclsKernel(w[o][i], p[o][i], sigma, k))
			}
			out = append(out, row)
		}
		return out
	}
	ker := kernels(sigma)
	g.want(t, "kernel", ker)
	g.want(t, "kernel_wide", kernels(wide))
	var conv [][]float64
	for t := 0; t < len(x)+left+right-k+1; t++ {
		row := make([]float64, len(w))
		for o := range w {
			for i := range w[o] {
				for j := range k {
					if at := t + j - left; at >= 0 && at < len(x) {
						row[o] += ker[o][i][j] * x[at][i]
					}
				}
			}
		}
		conv = append(conv, row)
	}
	g.want(t, "convolution", conv)
	var delays [][]int
	for o := range p {
		var row []int
		for i := range p[o] {
			row = append(row, dclsDelay(p[o][i], k))
		}
		delays = append(delays, row)
	}
	g.exact(t, "discrete_delay_steps", delays)
	y, _ := runLayer(t, LayerFile{Type: "dcls", Weights: w, Positions: p, Kernel: k}, x, -1)
	g.want(t, "discrete_output", y)
}

// hlop.json: the learned subspace and protected updates.
func TestProjectionGolden(t *testing.T) {
	g := readGolden(t, "hlop")
	var x, w0, nx, e [][]float64
	var passes int
	p0 := Projection{}
	for name, dst := range map[string]any{
		"traces": &x, "initial_lateral_weights": &w0, "new_inputs": &nx, "error_signal": &e, "passes": &passes,
		"learning_rate": &p0.LearningRate, "momentum": &p0.Momentum, "iterations_per_batch": &p0.Iterations,
	} {
		g.in(t, name, dst)
	}
	p, err := NewProjection(w0)
	if err != nil {
		t.Fatal(err)
	}
	p.LearningRate, p.Momentum, p.Iterations = p0.LearningRate, p0.Momentum, p0.Iterations
	for i := range passes {
		if err := p.Learn(x); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			g.want(t, "lateral_weights_after_first_pass", p.Weights())
		}
	}
	g.want(t, "lateral_weights_final", p.Weights())
	var outside [][]float64
	plain, protected := make([][]float64, 2), make([][]float64, 2)
	for o := range plain {
		plain[o], protected[o] = make([]float64, len(nx[0])), make([]float64, len(nx[0]))
	}
	for s := range nx {
		out := p.Protect(nx[s])
		outside = append(outside, out)
		for o := range plain {
			for i := range out {
				plain[o][i] += e[s][o] * nx[s][i]
				protected[o][i] += e[s][o] * out[i]
			}
		}
	}
	g.want(t, "orthogonal_part", outside)
	g.want(t, "weight_update_plain", plain)
	g.want(t, "weight_update_projected", protected)
	most := func(w [][]float64) (m float64) {
		for _, row := range x {
			for o := range w {
				s := 0.0
				for i := range row {
					s += row[i] * w[o][i]
				}
				m = max(m, math.Abs(s))
			}
		}
		return m
	}
	g.want(t, "interference_plain_max", most(plain))
	g.want(t, "interference_projected_max", most(protected))
}

// nalsm_step.json: a small liquid, step by step, with its astrocyte and plasticity.
func TestLiquidGolden(t *testing.T) {
	g := readGolden(t, "nalsm_step")
	var mask, rec, in, tr, ti, drive [][]float64
	var exc []float64
	l := &Liquid{Bump: 0}
	for name, dst := range map[string]any{
		"recurrent_mask": &mask, "excitatory": &exc, "recurrent_weights": &rec, "input_weights": &in, "tau_u_recurrent": &tr, "tau_u_input": &ti, "drive": &drive,
		"tau_v": &l.TauV, "threshold": &l.Threshold, "refractory": &l.Refractory, "input_gain": &l.InputGain, "potentiation_rate": &l.Rate,
		"trace_decay": &l.Decay, "trace_increment": &l.Bump, "weight_limit": &l.Limit,
		"astro/initial": &l.Astro.Initial, "astro/tau": &l.Astro.Tau, "astro/weight": &l.Astro.Weight, "astro/bias": &l.Astro.Bias,
	} {
		g.in(t, name, dst)
	}
	l.Neurons, l.Inputs = len(rec), len(in[0])
	for i := range mask {
		for j, v := range mask[i] {
			if (rec[i][j] != 0) != (v != 0) {
				t.Fatal("a masked synapse is not the one with a weight")
			}
		}
	}
	var err error
	if l.Recurrent, err = Wire(rec, tr); err != nil {
		t.Fatal(err)
	}
	if l.Input, err = Wire(in, ti); err != nil {
		t.Fatal(err)
	}
	for _, e := range exc {
		l.Excitatory = append(l.Excitatory, e != 0)
	}
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	var v, s [][]float64
	var a []float64
	for _, d := range drive {
		s = append(s, append([]float64(nil), l.Step(d)...))
		v, a = append(v, append([]float64(nil), l.v...)), append(a, l.a)
	}
	g.want(t, "membrane", v)
	g.exact(t, "spikes", s)
	g.want(t, "astrocyte", a)
	g.want(t, "final_recurrent_weights", l.Recurrent.Matrix(l.Neurons))
	g.want(t, "final_input_weights", l.Input.Matrix(l.Inputs))
}

// A random liquid keeps its signs and stays active but not saturated.
func TestLiquid(t *testing.T) {
	l, err := NewLiquid(120, 10, 3)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	counts, in := make([]float64, 120), make([]float64, 10)
	for range 300 {
		for i := range in {
			in[i] = indicator(r.IntN(3), 0)
		}
		for i, s := range l.Step(in) {
			counts[i] += s
		}
	}
	sum := 0.0
	LiquidReadout(counts)
	for _, v := range counts {
		sum += v
	}
	if math.Abs(sum-1) > 1e-12 {
		t.Errorf("the read-out sums to %v", sum)
	}
	for k, w := range l.Recurrent.Weight {
		if l.Excitatory[l.Recurrent.Pre[k]] != (w >= 0) && w != 0 {
			t.Fatalf("synapse %d changed sign: %v", k, w)
		}
	}
	if _, err := NewLiquid(1, 0, 1); err == nil {
		t.Error("a liquid of one neuron is accepted")
	}
}

// trials makes trials of 20 columns whose classes differ in which rows oscillate.
func trials(seed uint64, count, classes, rows int) *Rows {
	r := rand.New(rand.NewPCG(seed, 9))
	out := &Rows{Header: stream.Header{Name: "power", Rate: 20, MaxLen: 32}}
	for i := range rows {
		out.Header.Channels = append(out.Header.Channels, stream.Channel{Label: "band " + itoa(i+1), Unit: "uV^2", Type: "feature"})
	}
	for c := range classes {
		out.Classes = append(out.Classes, "class "+itoa(c+1))
	}
	for g := range count {
		c := g % classes
		for range 20 {
			x := make([]float64, rows)
			for i := range x {
				x[i] = 5 + r.NormFloat64()
				if i%classes == c {
					x[i] += 0.8
				}
			}
			out.X, out.Y, out.Group = append(out.X, x), append(out.Y, c), append(out.Group, g)
		}
	}
	return out
}

func with(s Training, neuron string) Training {
	s.Neuron = neuron
	return s
}

func TestSNNContract(t *testing.T) {
	rows := trials(1, 30, 3, 6)
	small := Training{Sizes: []int{12}, Epochs: 4, Seed: 1}
	recurrent := small
	recurrent.Recurrent = true
	for name, k := range map[string]SNN{
		"direct": {Training: small}, "delta": {Training: small, Encoder: EncodeDelta}, "step-forward": {Training: recurrent, Encoder: EncodeStep, Logits: true},
		"exit": {Training: small, Exit: &Stop{Refractory: 0.5, Max: 1}}, "exit at cues": {Training: recurrent, Cue: []string{"go"}, Exit: &Stop{Rule: StopMargin, Tau: 1}},
		"plif": {Training: with(recurrent, NeuronPLIF)}, "adaptive": {Training: with(recurrent, NeuronAdaptive)}, "two-state": {Training: with(recurrent, NeuronTwoState)},
		"threshold, two steps": {Training: small, Encoder: EncodeThreshold, Steps: 2},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func() Fitter {
				c := k
				if k.Exit != nil {
					e := *k.Exit
					c.Exit = &e
				}
				return &c
			}
			streamtest.Contract(t, streamtest.Case{
				New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows),
			})
		})
	}
	t.Run("regression", func(t *testing.T) {
		rows := reach(1, 300, 6)
		fresh := func() Fitter { return &SNN{Training: small} }
		streamtest.Contract(t, streamtest.Case{
			New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows),
		})
	})
	t.Run("dkf", func(t *testing.T) {
		rows := reach(1, 1500, 8)
		fresh := func() Fitter { return &DKF{F: DKFSNN, Hidden: 24, Epochs: 25, Seed: 2} }
		stage := fitted(t, fresh(), rows, fresh)
		streamtest.Contract(t, streamtest.Case{
			New: stage, In: rows.Header, Columns: 480, Signal: signalOf(rows),
		})
		if c := Correlation(decode(t, stage(), rows), rows.Target); c[0] < 0.8 || c[1] < 0.8 {
			t.Errorf("correlation %v", c)
		}
	})
}

// A trained network classifies trials it has not seen, the same seed gives the same
// model, another seed another one, and the streamed network is the trained one.
func TestSNNLearns(t *testing.T) {
	rows, test := trials(2, 90, 3, 6), trials(3, 60, 3, 6)
	fit := func(seed uint64) (*SNN, string) {
		k := &SNN{Training: Training{Sizes: []int{24}, Epochs: 25, Seed: seed, Dropout: 0.2}}
		calls := 0
		if err := k.Fit(context.Background(), rows, func(done, total int) { calls++ }); err != nil {
			t.Fatal(err)
		}
		if calls == 0 {
			t.Error("no progress was reported")
		}
		raw, err := k.SaveModel()
		if err != nil {
			t.Fatal(err)
		}
		return k, string(raw)
	}
	k, a := fit(1)
	if _, b := fit(1); a != b {
		t.Error("the same seed gives another model")
	}
	if _, c := fit(2); a == c {
		t.Error("another seed gives the same model")
	}
	out, err := k.Open(test.Header)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&test.Header), stream.NewChunk(&out)
	right := 0
	sum := make([]float64, 3)
	for i, x := range test.X {
		if i%20 == 0 {
			k.Reset()
			clear(sum)
		}
		src.Clear()
		src.Resize(1)
		src.SetColumn(0, x)
		k.Process(dst, src)
		p := dst.Column(nil, 0)
		for j := range p {
			sum[j] += math.Log(p[j])
		}
		if i%20 == 19 && argmax(sum) == test.Y[i] {
			right++
		}
	}
	if right < 54 {
		t.Errorf("%d of 60 trials right", right)
	}
	c := k.Network().Count()
	for i := range 20 {
		src.SetColumn(0, test.X[i])
		k.Process(dst, src)
	}
	k.Network().StopCounting()
	macs, acs, dense := c.PerStep()
	if c.Steps != 20 || macs != 6*24 || !(acs > 0 && acs < 24*3) || dense != 6*24+24*3 {
		t.Errorf("%d steps, %v MACs, %v ACs, %v dense operations", c.Steps, macs, acs, dense)
	}
	if s := c.ActivationSparsity(); !(s > 0 && s < 1) || math.Abs(acs-24*(1-s)*3) > 1e-9 {
		t.Errorf("activation sparsity %v with %v accumulates", s, acs)
	}
}

// Every kind of neuron learns, and runs as it was trained: the network that is written
// gives what the one in training gave, spike by spike.
func TestTrainedNeurons(t *testing.T) {
	rows, test := trials(2, 90, 3, 6), trials(3, 60, 3, 6)
	for _, kind := range Neurons {
		for _, recurrent := range []bool{false, true} {
			n := newSpikingNetOf(kind, 6, []int{10, 8}, 3, recurrent)
			n.dt = 0.05
			set, err := Training{Neuron: kind}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range n.layers {
				l.rho, l.gain = set.Rho, set.Gain
			}
			n.deriv, _ = surrogate("", 0)
			n.initialise(rand.New(rand.NewPCG(9, 9)), set)
			for i := range n.layers[1].w { // so that it spikes, untrained
				n.layers[1].w[i] *= 4
			}
			x := make([][]float64, 60)
			r := rand.New(rand.NewPCG(7, 7))
			for i := range x {
				x[i] = make([]float64, 6)
				for j := range x[i] {
					x[i][j] = r.NormFloat64()
				}
			}
			n.forward(x)
			net, err := n.network().Build()
			if err != nil {
				t.Fatal(err)
			}
			y, spikes := make([]float64, 3), 0.0
			for i := range x {
				net.Step(y, x[i])
				nearby(t, kind+" read-out", y, n.out.u[i+1], 1e-9, 1e-9)
				for _, s := range n.layers[1].s[i+1] {
					spikes += s
				}
			}
			if spikes == 0 {
				t.Errorf("%s: the second layer never spikes: nothing was compared", kind)
			}
		}
		k := learn(t, &SNN{Training: Training{Neuron: kind, Recurrent: true, Sizes: []int{24}, Epochs: 25, Seed: 1, Dropout: 0.2}}, rows)
		out, err := k.Open(test.Header)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := stream.NewChunk(&test.Header), stream.NewChunk(&out)
		right, sum := 0, make([]float64, 3)
		for i, x := range test.X {
			if i%20 == 0 { // as in training
				k.Reset()
				clear(sum)
			}
			for j, p := range step(k, src, dst, x) {
				sum[j] += math.Log(p)
			}
			if i%20 == 19 && argmax(sum) == test.Y[i] {
				right++
			}
		}
		if right < 50 { // chance is 20
			t.Errorf("%s: %d of 60 trials right", kind, right)
		}
	}
}

func TestSNNRefusals(t *testing.T) {
	ok := func() *Rows { return trials(1, 12, 2, 3) }
	for name, c := range map[string]struct {
		k    SNN
		rows func(r *Rows)
		want string
	}{
		"one class":   {SNN{}, func(r *Rows) { r.Classes = r.Classes[:1] }, "at least two"},
		"empty class": {SNN{}, func(r *Rows) { clear(r.Y) }, "no training rows"},
		"labels":      {SNN{}, func(r *Rows) { r.Y = r.Y[1:] }, "labels"},
		"label":       {SNN{}, func(r *Rows) { r.Y[3] = 7 }, "class 7"},
		"constant":    {SNN{}, func(r *Rows) { each(r, func(x []float64) { x[1] = 3 }) }, "constant"},
		"nan":         {SNN{}, func(r *Rows) { r.X[2][1] = math.NaN() }, "NaN"},
		"few":         {SNN{}, func(r *Rows) { clear(r.Group); r.X, r.Y, r.Group = r.X[:40], r.Y[:40], r.Group[:40] }, "at least 5"},
		"encoder":     {SNN{Encoder: "morse"}, nil, "choose"},
		"step":        {SNN{Step: -1}, nil, "positive"},
		"steps":       {SNN{Steps: 99}, nil, "1 to 64"},
		"size":        {SNN{Training: Training{Sizes: []int{0}}}, nil, "1 to 4096"},
		"surrogate":   {SNN{Training: Training{Surrogate: "x"}}, nil, "choose"},
		"loss":        {SNN{Training: Training{Loss: "x"}}, nil, "choose"},
		"neuron":      {SNN{Training: Training{Neuron: "x"}}, nil, "choose"},
		"rho":         {SNN{Training: Training{Neuron: NeuronAdaptive, Rho: 2}}, nil, "below 1"},
		"qcfs neuron": {SNN{Training: Training{Method: TrainQCFS, Neuron: NeuronPLIF}}, nil, "of its own"},
		"diverges":    {SNN{Training: Training{Rate: 0.99, Slope: 1e300, Epochs: 1, Beta: 2}}, nil, "between 0 and 1"},
	} {
		r := ok()
		if c.rows != nil {
			c.rows(r)
		}
		if err := c.k.Fit(context.Background(), r, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := new(SNN).Fit(ctx, ok(), nil); err != context.Canceled {
		t.Errorf("cancelled training: %v", err)
	}
}

// A converted network answers, on average over many steps, like the analogue one.
func TestQCFSConversion(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	draw := func(n, m int) [][]float64 {
		w := make([][]float64, n)
		for i := range w {
			for range m {
				w[i] = append(w[i], 0.6*r.NormFloat64())
			}
		}
		return w
	}
	w1, w2, b1, b2 := draw(12, 5), draw(3, 12), draw(1, 12)[0], draw(1, 3)[0]
	const lambda, levels = 1.5, 8
	f, err := ConvertQCFS([][][]float64{w1, w2}, [][]float64{b1, b2}, []float64{lambda}, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Build()
	if err != nil {
		t.Fatal(err)
	}
	gap := func(steps int) float64 {
		worst := 0.0
		for range 20 {
			x := draw(1, 5)[0]
			want, h := append([]float64(nil), b2...), make([]float64, 12)
			for j := range h {
				h[j] = b1[j]
				for i := range x {
					h[j] += w1[j][i] * x[i]
				}
				h[j] = QCFS(h[j], lambda, levels)
			}
			for o := range want {
				for j := range h {
					want[o] += w2[o][j] * h[j]
				}
			}
			n.Reset()
			got, y := make([]float64, 3), make([]float64, 3)
			for range steps {
				n.Step(y, x)
				for o := range y {
					got[o] += y[o] / float64(steps)
				}
			}
			for o := range got {
				worst = max(worst, math.Abs(got[o]-want[o]))
			}
		}
		return worst
	}
	if g := gap(levels); g > 1e-9 { // with T = L the conversion is exact for one layer
		t.Errorf("after %d steps the answers differ by %v", levels, g)
	}
	if _, err := ConvertQCFS([][][]float64{w1, w2}, [][]float64{b1, b2}, nil, 0); err == nil {
		t.Error("a missing threshold is accepted")
	}
}

// A network with an exit answers as the same network's read-out behind a stop stage would,
// and computes no step between the answer and the next cue.
func TestSNNExitSavesSteps(t *testing.T) {
	rows, test := trials(2, 90, 3, 6), trials(3, 30, 3, 6)
	cue := []string{"go"}
	k := learn(t, &SNN{Training: Training{Sizes: []int{24}, Epochs: 15, Seed: 1}, Cue: cue, Exit: &Stop{Share: 0.3}}, rows)
	plain := &SNN{Logits: true, Cue: cue, model: k.model}
	stop := &Stop{Cue: cue, model: &stopFile{modelHead: modelHead{Format: 1, Kind: "stop", Rows: rows.Classes, Classes: rows.Classes}, Rate: k.model.Exit.Rate, Stop: k.model.Exit.Stop}}
	chain := &stream.Chain{Links: []stream.Link{{Name: "snn", Stage: plain}, {Name: "stop", Stage: stop}}}
	out, err := k.Open(test.Header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Open(test.Header); err != nil {
		t.Fatal(err)
	}
	src, a, b := stream.NewChunk(&test.Header), stream.NewChunk(&out), stream.NewChunk(&out)
	taken, right, steps := 0.0, 0, int64(0)
	for i, x := range test.X {
		var marks []string
		if i%20 == 0 {
			marks = cue
		}
		got, want := step(k, src, a, x, marks...), step(chain, src, b, x, marks...)
		for j := range want {
			if math.Float64bits(got[j]) != math.Float64bits(want[j]) {
				t.Fatalf("column %d, row %d: %v behind one stage, %v behind two", i, j, got[j], want[j])
			}
		}
		if got[4] >= 0 {
			taken += got[5]
			steps += int64(math.Round(got[5] * test.Header.Rate))
			if int(got[4]) == test.Y[i] {
				right++
			}
		}
	}
	computed, skipped := k.Work()
	if computed != steps || computed+skipped != int64(len(test.X)) || skipped == 0 {
		t.Errorf("%d steps computed and %d saved of %d; answers took %d", computed, skipped, len(test.X), steps)
	}
	if c, s := plain.Work(); c != int64(len(test.X)) || s != 0 {
		t.Errorf("without exit %d steps are computed, %d saved", c, s)
	}
	if right < 20 {
		t.Errorf("%d of 30 trials right", right)
	}
}
