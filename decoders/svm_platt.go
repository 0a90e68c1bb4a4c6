package decoders

import (
	"errors"
	"math"
)

// plattSigmoid fits p(+1 | f) = 1/(1 + exp(A f + B)) to decisions f of examples with
// signs s by regularised maximum likelihood (Platt 2000; Newton's method of Lin, Lin &
// Weng 2007): targets (n₊+1)/(n₊+2) and 1/(n₋+2) instead of 1 and 0, so that separable
// decisions do not make sure.
func plattSigmoid(f, s []float64) (a, b float64, err error) {
	plus, minus := 0.0, 0.0
	for _, v := range s {
		if v > 0 {
			plus++
		} else {
			minus++
		}
	}
	high, low := (plus+1)/(plus+2), 1/(minus+2)
	target := func(i int) float64 {
		if s[i] > 0 {
			return high
		}
		return low
	}
	loss := func(a, b float64) float64 {
		sum := 0.0
		for i, x := range f {
			z := float64(a*x) + b
			// -t ln p - (1-t) ln (1-p) without overflow
			if z >= 0 {
				sum += float64(target(i)*z) + math.Log1p(math.Exp(-z))
			} else {
				sum += float64((target(i)-1)*z) + math.Log1p(math.Exp(z))
			}
		}
		return sum
	}
	b = math.Log((minus + 1) / (plus + 1))
	value := loss(a, b)
	for range 200 {
		h11, h22, h21 := 1e-12, 1e-12, 0.0
		g1, g2 := 0.0, 0.0
		for i, x := range f {
			p := sigmoid(-(float64(a*x) + b))
			d2, d1 := p*(1-p), target(i)-p
			h11 += float64(x * x * d2)
			h22 += d2
			h21 += float64(x * d2)
			g1 += float64(x * d1)
			g2 += d1
		}
		if math.Abs(g1) < 1e-9*float64(len(f)) && math.Abs(g2) < 1e-9*float64(len(f)) {
			break
		}
		det := float64(h11*h22) - float64(h21*h21)
		if !(det > 0) { // all decisions equal: only B matters
			break
		}
		da := -(float64(h22*g1) - float64(h21*g2)) / det
		db := -(float64(h11*g2) - float64(h21*g1)) / det
		slope := float64(g1*da) + float64(g2*db)
		step := 1.0
		for ; step >= 1e-10; step /= 2 {
			na, nb := a+float64(step*da), b+float64(step*db)
			if v := loss(na, nb); v < value+float64(1e-4*step*slope) {
				a, b, value = na, nb, v
				break
			}
		}
		if step < 1e-10 {
			break
		}
	}
	if a-a != 0 || b-b != 0 {
		return 0, 0, errors.New("the decisions cannot be calibrated; scale the rows, or lower c")
	}
	return a, b, nil
}

// coupling turns the probabilities r of pairs, p(a | a or b), into those of classes: it
// minimises Σ_{i≠j} (r_ji p_i - r_ij p_j)² with Σ p = 1 (Wu, Lin & Weng 2004, second
// method) by their iteration.
type coupling struct {
	k     int
	r, q  [][]float64
	qp, p []float64
}

func newCoupling(k int) *coupling {
	c := &coupling{k: k, qp: make([]float64, k), p: make([]float64, k)}
	for range k {
		c.r, c.q = append(c.r, make([]float64, k)), append(c.q, make([]float64, k))
	}
	return c
}

func (c *coupling) probabilities(p, pairs []float64) {
	if c.k == 2 {
		p[0], p[1] = pairs[0], 1-pairs[0]
		return
	}
	at := 0
	for i := range c.k {
		for j := i + 1; j < c.k; j++ {
			v := max(1e-7, min(1-1e-7, pairs[at])) // certainty would leave no solution
			c.r[i][j], c.r[j][i] = v, 1-v
			at++
		}
	}
	for i := range c.k {
		sum := 0.0
		for j := range c.k {
			if j != i {
				sum += float64(c.r[j][i] * c.r[j][i])
				c.q[i][j] = -c.r[j][i] * c.r[i][j]
			}
		}
		c.q[i][i] = sum
		c.p[i] = 1 / float64(c.k)
	}
	for range 100 {
		all := 0.0
		for i := range c.k {
			c.qp[i] = 0
			for j := range c.k {
				c.qp[i] += float64(c.q[i][j] * c.p[j])
			}
			all += float64(c.p[i] * c.qp[i])
		}
		worst := 0.0
		for i := range c.k {
			worst = max(worst, math.Abs(c.qp[i]-all))
		}
		if worst < 1e-12 {
			break
		}
		for i := range c.k {
			d := (all - c.qp[i]) / c.q[i][i]
			c.p[i] += d
			all = (all + float64(d*(float64(d*c.q[i][i])+float64(2*c.qp[i])))) / (1 + d) / (1 + d)
			for j := range c.k {
				c.qp[j] = (c.qp[j] + float64(d*c.q[i][j])) / (1 + d)
				c.p[j] /= 1 + d
			}
		}
	}
	sum := 0.0
	for _, v := range c.p {
		sum += v
	}
	for i := range p {
		p[i] = c.p[i] / sum
	}
}
