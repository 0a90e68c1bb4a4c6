package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
)

// logisticProblem is penalised cross-entropy over fixed examples. Parameters are a
// flat vector: for each score its weights and then its intercept.
//
//	f(W, b) = ½|W|² + Σ weight(yᵢ) lossᵢ
type logisticProblem struct {
	x      [][]float64
	y      []int
	weight []float64 // of a class, with C in it
	scores int       // 1 for two classes, else the number of classes
	d      int
	bias   bool
	offset [][]float64 // added to the scores, examples × scores; nil = none
	p      [][]float64 // probabilities at the last point, examples × scores
}

func newLogisticProblem(x [][]float64, y []int, classes int, c float64, bias bool) *logisticProblem {
	p := &logisticProblem{x: x, y: y, weight: make([]float64, classes), scores: classes, d: len(x[0]), bias: bias}
	if classes == 2 {
		p.scores = 1
	}
	for k := range p.weight {
		p.weight[k] = c
	}
	p.p = make([][]float64, len(x))
	for i := range p.p {
		p.p[i] = make([]float64, p.scores)
	}
	return p
}

// balance weights every class as if all had equally many examples.
func (p *logisticProblem) balance() {
	n := make([]int, len(p.weight))
	for _, k := range p.y {
		n[k]++
	}
	for k := range p.weight {
		p.weight[k] *= float64(len(p.y)) / float64(len(n)*n[k])
	}
}

func (p *logisticProblem) size() int { return p.scores * (p.d + 1) }

// part returns weights and intercept index of one score within a flat vector.
func (p *logisticProblem) part(v []float64, k int) ([]float64, *float64) {
	o := k * (p.d + 1)
	return v[o : o+p.d], &v[o+p.d]
}

// score writes the linear scores of example i.
func (p *logisticProblem) score(s, v []float64, i int) {
	for k := range s {
		w, b := p.part(v, k)
		s[k] = dense.Dot(w, p.x[i]) + *b
	}
}

// value returns the loss without penalty at v and keeps the probabilities.
func (p *logisticProblem) value(v []float64) float64 {
	sum := 0.0
	for i := range p.x {
		s := p.p[i]
		p.score(s, v, i)
		if p.offset != nil {
			for k, o := range p.offset[i] {
				s[k] += o
			}
		}
		w := p.weight[p.y[i]]
		if p.scores == 1 {
			z := s[0]
			if p.y[i] == 1 {
				z = -z
			}
			// ln(1 + e^z) without overflow
			sum += w * (max(z, 0) + math.Log1p(math.Exp(-math.Abs(z))))
			s[0] = sigmoid(s[0])
			continue
		}
		top := s[0]
		for _, z := range s[1:] {
			top = max(top, z)
		}
		e := 0.0
		own := s[p.y[i]]
		for k := range s {
			s[k] = math.Exp(s[k] - top)
			e += s[k]
		}
		sum += w * (top + math.Log(e) - own)
		for k := range s {
			s[k] /= e
		}
	}
	return sum
}

// gradient writes that of the loss at the point of the last value.
func (p *logisticProblem) gradient(g []float64) {
	clear(g)
	for i, x := range p.x {
		w := p.weight[p.y[i]]
		for k, q := range p.p[i] {
			if p.scores == 1 && p.y[i] == 1 || p.scores > 1 && p.y[i] == k {
				q--
			}
			p.add(g, k, w*q, x)
		}
	}
}

// hessian writes that of the loss times v.
func (p *logisticProblem) hessian(h, v []float64) {
	clear(h)
	s := make([]float64, p.scores)
	for i, x := range p.x {
		p.score(s, v, i)
		w, q := p.weight[p.y[i]], p.p[i]
		if p.scores == 1 {
			p.add(h, 0, w*q[0]*(1-q[0])*s[0], x)
			continue
		}
		mean := 0.0
		for k := range s {
			mean += float64(q[k] * s[k])
		}
		for k := range s {
			p.add(h, k, w*q[k]*(s[k]-mean), x)
		}
	}
}

func (p *logisticProblem) add(g []float64, k int, f float64, x []float64) {
	w, b := p.part(g, k)
	for j, v := range x {
		w[j] += float64(f * v)
	}
	if p.bias {
		*b += f
	}
}

// penalty returns ½s|W|² and adds its gradient to g, which may be nil.
func (p *logisticProblem) penalty(g, v []float64, s float64) float64 {
	sum := 0.0
	for k := range p.scores {
		w, _ := p.part(v, k)
		sum += dense.Dot(w, w)
		if g == nil {
			continue
		}
		gw, _ := p.part(g, k)
		for j, x := range w {
			gw[j] += float64(s * x)
		}
	}
	return s / 2 * sum
}

func (p *logisticProblem) unpack(v []float64) (w [][]float64, b []float64) {
	for k := range p.scores {
		x, y := p.part(v, k)
		w, b = append(w, append([]float64(nil), x...)), append(b, *y)
	}
	return w, b
}

var errNoConvergence = errors.New("logistic regression did not converge: the rows differ too much in scale or the penalty is too weak; put a scaler before it or lower C")

// newton minimises with the L2 penalty: truncated Newton steps (conjugate gradients
// for the step, halving for its length; Nocedal & Wright §7.1). Quadratic at the
// end, so the answer is exact to rounding.
func (p *logisticProblem) newton(ctx context.Context) ([][]float64, []float64, error) {
	n := p.size()
	v, g, step := make([]float64, n), make([]float64, n), make([]float64, n)
	trial := make([]float64, n)
	f := p.value(v)
	first := 0.0
	for iter := range 200 {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		p.gradient(g)
		p.penalty(g, v, 1)
		size := math.Sqrt(dense.Dot(g, g))
		if iter == 0 {
			first = size
		}
		if size-size != 0 {
			return nil, nil, errNoConvergence
		}
		if size <= 1e-11*max(first, 1) || size == 0 {
			w, b := p.unpack(v)
			return w, b, nil
		}
		p.conjugate(step, g, min(0.1, math.Sqrt(size/max(first, 1e-300))*0.1))
		slope := dense.Dot(g, step)
		moved := false
		for t := 1.0; t > 1e-12; t /= 2 {
			for i := range v {
				trial[i] = v[i] + float64(t*step[i])
			}
			fn := p.value(trial) + p.penalty(nil, trial, 1)
			if fn <= f+1e-4*t*slope || t == 1 && math.Abs(slope) < 1e-9*max(1, math.Abs(f)) {
				f = fn
				moved = true
				break
			}
		}
		if !moved { // rounding: no better point can be told apart
			if size > 1e-6*max(first, 1) {
				return nil, nil, errNoConvergence
			}
			w, b := p.unpack(v)
			return w, b, nil
		}
		v, trial = trial, v
	}
	return nil, nil, errNoConvergence
}

// conjugate solves (H + I) step = -g to a relative residual, H that of the loss and I
// on the weights only.
func (p *logisticProblem) conjugate(step, g []float64, rel float64) {
	n := len(g)
	r, d, h := make([]float64, n), make([]float64, n), make([]float64, n)
	clear(step)
	for i := range g {
		r[i] = -g[i]
	}
	copy(d, r)
	rr := dense.Dot(r, r)
	goal := rel * rel * rr
	for range 10 * n {
		p.hessian(h, d)
		p.penalty(h, d, 1)
		curve := dense.Dot(d, h)
		if !(curve > 0) {
			break
		}
		a := rr / curve
		for i := range step {
			step[i] += float64(a * d[i])
			r[i] -= float64(a * h[i])
		}
		next := dense.Dot(r, r)
		if next <= goal {
			return
		}
		b := next / rr
		rr = next
		for i := range d {
			d[i] = r[i] + float64(b*d[i])
		}
	}
}

// proximal minimises with the elastic net by accelerated proximal gradients with
// restarts (Beck & Teboulle 2009; O'Donoghue & Candès 2015).
func (p *logisticProblem) proximal(ctx context.Context, l1 float64) ([][]float64, []float64, error) {
	n := p.size()
	v, z, next, g := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	smooth := func(at []float64) float64 { return p.value(at) + p.penalty(nil, at, 1-l1) }
	lips, momentum := 1.0, 1.0
	for iter := range 200_000 {
		if iter%64 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		f := smooth(z)
		p.gradient(g)
		p.penalty(g, z, 1-l1)
		if !allFinite(g) {
			return nil, nil, errNoConvergence
		}
		for { // the step is safe when the quadratic model bounds the loss
			for k := range p.scores {
				w, b := p.part(next, k)
				zw, zb := p.part(z, k)
				gw, gb := p.part(g, k)
				for j := range w {
					x := zw[j] - gw[j]/lips
					w[j] = math.Copysign(max(0, math.Abs(x)-l1/lips), x)
				}
				*b = *zb - *gb/lips
			}
			bound := f
			for i := range next {
				d := next[i] - z[i]
				bound += float64(g[i]*d) + float64(lips/2*d*d)
			}
			if smooth(next) <= bound+1e-12*math.Abs(bound) {
				break
			}
			if lips *= 2; lips > 1e300 {
				return nil, nil, errNoConvergence
			}
		}
		move, size, turn := 0.0, 0.0, 0.0
		for i := range next {
			d := next[i] - v[i]
			move = max(move, math.Abs(next[i]-z[i]))
			size = max(size, math.Abs(next[i]))
			turn += float64((z[i] - next[i]) * d)
		}
		if turn > 0 { // the momentum points uphill: drop it
			momentum = 1
		}
		t := (1 + math.Sqrt(1+4*momentum*momentum)) / 2
		for i := range next {
			z[i] = next[i] + float64((momentum-1)/t*(next[i]-v[i]))
		}
		momentum = t
		copy(v, next)
		if move <= 1e-11*max(1, size) {
			w, b := p.unpack(v)
			return w, b, nil
		}
	}
	return nil, nil, fmt.Errorf("elastic net: %w", errNoConvergence)
}
