package decoders

import "math"

// inputAt is what reaches hidden layer i at step t, -1 for before the first.
func (n *spikingNet) inputAt(i, t int) []float64 {
	if i > 0 {
		return n.layers[i-1].s[t+1]
	}
	if t < 0 {
		return nil // zeros
	}
	return n.x[t]
}

// forwardOther takes layer i, whose neurons are not lif, through step t. With S̄ a spike
// before dropout and σ = n.spike:
//
//	plif       H = V + (I - V)/τ; S̄ = σ(H - θ); V = H (1 - S̄)
//	adaptive   A = ρ A + (1-ρ) S̄_{t-1}; V = β V (1 - S̄_{t-1}) + I; S̄ = σ(V - θ - g A)
//	two-state  S̄ = σ(M_{t-1} - θ); M = (m M + (1-m) Y)(1 - S̄); Y = a Y + W x_{t-1} + R S_{t-1}
//
// The tape u holds H, V or M, the tape aux A or Y. A plif membrane exactly at the threshold
// spikes when it runs and not while it learns; drawn weights do not meet it.
func (n *spikingNet) forwardOther(i, t int) {
	l, in := n.layers[i], n.inputAt(i, t)
	if l.kind == NeuronTwoState {
		in = n.inputAt(i, t-1)
	}
	for j := range l.n {
		switch c := l.current(j, in, l.s[t]); l.kind {
		case NeuronPLIF:
			v := l.u[t][j] * (1 - n.spike(l.u[t][j]-n.theta))
			l.u[t+1][j] = v + float64((c-v)*l.beta[0])
			l.s[t+1][j] = n.spike(l.u[t+1][j]-n.theta) * l.mask[j]
		case NeuronAdaptive:
			s := n.adaptiveSpike(l, t, j)
			l.aux[t+1][j] = float64(l.rho*l.aux[t][j]) + float64((1-l.rho)*s)
			l.u[t+1][j] = float64(float64(l.beta[j]*l.u[t][j])*(1-s)) + c
			l.s[t+1][j] = n.adaptiveSpike(l, t+1, j) * l.mask[j]
		case NeuronTwoState:
			a, m := l.beta[j], l.beta[l.n+j]
			s := n.spike(l.u[t][j] - n.theta)
			l.u[t+1][j] = (float64(m*l.u[t][j]) + float64((1-m)*l.aux[t][j])) * (1 - s)
			l.aux[t+1][j] = float64(a*l.aux[t][j]) + c
			l.s[t+1][j] = s * l.mask[j]
		}
	}
}

// adaptiveSpike is the spike before dropout at tape position t; nothing has spiked at 0.
func (n *spikingNet) adaptiveSpike(l *hidden, t, j int) float64 {
	if t == 0 {
		return 0
	}
	return n.spike(l.u[t][j] - n.theta - float64(l.gain*l.aux[t][j]))
}

// backwardOther takes the gradient by the spikes of layer i at step t (l.gs, without what
// they do to later steps of the layer) back through its equations, adds that by the
// parameters, and leaves that by the layer's input at step t in l.back. What goes on to
// earlier steps stays in l.carry.
func (n *spikingNet) backwardOther(i, t int) {
	l := n.layers[i]
	// gradient by the currents of the next step, which the spikes of this one drive
	next, gi := l.gnext, l.gu
	for j, g := range next {
		if g != 0 && len(l.r) > 0 {
			for c, w := range l.r[j*l.n : (j+1)*l.n] {
				l.gs[c] += g * w
			}
		}
	}
	clear(l.back)
	attached := 0.0
	if n.attached {
		attached = 1
	}
	switch l.kind {
	case NeuronPLIF: // carry 0: by H of the next step
		k := l.beta[0]
		for j := range l.n {
			h, before := l.u[t+1][j], l.u[t][j]*(1-n.spike(l.u[t][j]-n.theta))
			s := n.spike(h - n.theta)
			gv := l.carry[0][j] * (1 - k)
			gh := (l.gs[j]*l.mask[j]-attached*gv*h)*n.deriv(h-n.theta) + gv*(1-s)
			l.carry[0][j] = gh
			gi[j] = gh * k
			l.graw[0] += gh * (h - before) * (1 - k) // (I - V)/τ' with 1/τ = k
		}
	case NeuronAdaptive: // carry 0: by V, 1: by A of the next step
		for j := range l.n {
			v, s := l.u[t+1][j], n.adaptiveSpike(l, t+1, j)
			gv, ga := l.carry[0][j], l.carry[1][j]
			gs := l.gs[j]*l.mask[j] + (1-l.rho)*ga - attached*gv*l.beta[j]*v
			gu := gs * n.deriv(v-n.theta-l.gain*l.aux[t+1][j])
			gv = gu + gv*l.beta[j]*(1-s)
			l.carry[0][j], l.carry[1][j] = gv, l.rho*ga-l.gain*gu
			gi[j] = gv
			l.graw[j] += gv * l.u[t][j] * (1 - n.adaptiveSpike(l, t, j)) * l.beta[j] * (1 - l.beta[j])
		}
	case NeuronTwoState:
		// Inputs and spikes of this step drive the synapses of the next one. carry 0: by M,
		// 1: by Y of this step; what next holds is by Y of the next.
		n.charge(l, next, n.inputAt(i, t), l.s[t+1])
		for j := range l.n {
			a, m := l.beta[j], l.beta[l.n+j]
			mem, syn := l.u[t][j], l.aux[t][j]
			s := n.spike(mem - n.theta)
			gm, gy := l.carry[0][j], l.carry[1][j]
			p := m*mem + (1-m)*syn
			l.graw[j] += gy * syn * a * (1 - a)
			l.graw[l.n+j] += gm * (mem - syn) * (1 - s) * m * (1 - m)
			l.carry[0][j] = gm*m*(1-s) + (l.gs[j]*l.mask[j]-attached*gm*p)*n.deriv(mem-n.theta)
			l.carry[1][j] = gm*(1-m)*(1-s) + a*gy
			next[j] = gy
		}
		return
	}
	n.charge(l, gi, n.inputAt(i, t), l.s[t])
	for j, g := range gi {
		l.gb[j] += g
	}
	copy(next, gi)
}

// charge adds the gradient g by a layer's currents to its weights and its input.
func (n *spikingNet) charge(l *hidden, g, in, s []float64) {
	for j, v := range g {
		if v == 0 {
			continue
		}
		l.spread(j, v, in)
		if len(l.r) > 0 {
			row := l.gr[j*l.n : (j+1)*l.n]
			for c, x := range s {
				row[c] += v * x
			}
		}
	}
}

// whitePower is how much power white input of unit power leaves on a membrane that does
// not spike: the sum of its squared response to one step of input.
func whitePower(kind string, beta float64) float64 {
	switch kind {
	case NeuronPLIF:
		return (1 - beta) * (1 - beta) / (1 - beta*beta)
	case NeuronTwoState:
		y, m, sum := 1.0, 0.0, 0.0
		for range 10000 {
			m = beta*m + (1-beta)*y
			y *= beta * beta
			sum += m * m
		}
		return sum
	}
	return 1 / (1 - beta*beta)
}

// constants draws the first time constants of a layer around a decay of beta.
func (l *hidden) constants(beta float64, noise func() float64) {
	logit := func(b float64) float64 { return math.Log(b / (1 - b)) }
	for i := range l.raw {
		switch {
		case l.kind == NeuronPLIF: // 1/τ = 1 - decay
			l.raw[i] = logit(1 - beta)
		case l.kind == NeuronTwoState && i < l.n: // synapses are twice as fast
			l.raw[i] = logit(beta*beta) + 0.5*noise()
		default:
			l.raw[i] = logit(beta) + 0.5*noise()
		}
	}
}
