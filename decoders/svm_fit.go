package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
)

// svmProblem is one pair of classes: the kernel of its examples, once, for the whole
// set and every fold of it.
type svmProblem struct {
	k    *dense.M
	sign []float64 // +1 for the first class
	c    []float64 // bound of each example
}

func newSVMProblem(rows *Rows, of []int, first int, costFirst, costSecond float64, kernel func(x, z []float64) float64) *svmProblem {
	n := len(of)
	p := &svmProblem{k: dense.New(n, n), sign: make([]float64, n), c: make([]float64, n)}
	for i, e := range of {
		p.sign[i], p.c[i] = -1, costSecond
		if rows.Y[e] == first {
			p.sign[i], p.c[i] = 1, costFirst
		}
		for j := range i + 1 {
			v := kernel(rows.X[e], rows.X[of[j]])
			p.k.V[i*n+j], p.k.V[j*n+i] = v, v
		}
	}
	return p
}

// solve minimises ½ Σ αᵢαⱼ sᵢsⱼ kᵢⱼ - Σ αᵢ over 0 ≤ α ≤ c, Σ s α = 0 for the examples
// in, by sequential minimal optimisation: the most violating example and the partner
// that gains most by the second-order rule (Fan, Chen & Lin 2005, WSS 2). It stops when
// the optimality conditions hold to 1e-10. Where that takes longer than 10⁹ operations,
// 1e-3 (what libsvm stops at) is accepted, and more is an error.
func (p *svmProblem) solve(ctx context.Context, in []int) (alpha []float64, bias float64, err error) {
	const tol, tiny = 1e-10, 1e-12
	n := len(in)
	alpha = make([]float64, n)
	grad := make([]float64, n)
	diag := make([]float64, n)
	for i := range grad {
		grad[i], diag[i] = -1, p.k.At(in[i], in[i])
	}
	if !allFinite(p.k.V) {
		return nil, 0, errors.New("the kernel is not finite; put a scaler before this stage")
	}
	limit := max(100_000, 1_000_000_000/max(1, n))
	for iter := 0; ; iter++ {
		if iter%1024 == 0 && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		i, up, low := -1, math.Inf(-1), math.Inf(1)
		for t, e := range in {
			s := p.sign[e]
			v := -s * grad[t]
			if (s > 0 && alpha[t] < p.c[e] || s < 0 && alpha[t] > 0) && v > up {
				i, up = t, v
			}
			if (s > 0 && alpha[t] > 0 || s < 0 && alpha[t] < p.c[e]) && v < low {
				low = v
			}
		}
		gap := up - low
		if i < 0 || !(gap > tol) {
			break
		}
		if iter >= limit {
			if gap <= 1e-3 {
				break
			}
			return nil, 0, fmt.Errorf("the margin did not settle in %d steps (violation %.2g): scale the rows, or lower c", iter, gap)
		}
		ki := p.k.Row(in[i])
		j, best := -1, math.Inf(1)
		for t, e := range in {
			s := p.sign[e]
			if !(s > 0 && alpha[t] > 0 || s < 0 && alpha[t] < p.c[e]) {
				continue
			}
			v := -s * grad[t]
			if d := up - v; d > 0 {
				a := diag[i] + diag[t] - 2*ki[e]
				if a <= 0 {
					a = tiny
				}
				if g := -(d * d) / a; g < best {
					j, best = t, g
				}
			}
		}
		if j < 0 {
			break
		}
		ei, ej := in[i], in[j]
		si, sj := p.sign[ei], p.sign[ej]
		a := diag[i] + diag[j] - 2*ki[ej]
		if a <= 0 {
			a = tiny
		}
		// A step d along (sᵢ, -sⱼ), cut where it meets a bound.
		d := (up + float64(sj*grad[j])) / a
		room := func(alpha, c, s float64) float64 {
			if s > 0 {
				return c - alpha
			}
			return alpha
		}
		ri, rj := room(alpha[i], p.c[ei], si), room(alpha[j], p.c[ej], -sj)
		d = min(d, ri, rj)
		oi, oj := alpha[i], alpha[j]
		alpha[i] += si * d
		alpha[j] -= sj * d
		// On a bound exactly: rounding must not leave an example beside it.
		if d == ri {
			alpha[i] = bound(si, p.c[ei])
		}
		if d == rj {
			alpha[j] = bound(-sj, p.c[ej])
		}
		di, dj := (alpha[i]-oi)*si, (alpha[j]-oj)*sj
		if di == 0 && dj == 0 {
			break // steps below rounding: as exact as it gets
		}
		kj := p.k.Row(ej)
		for t, e := range in {
			grad[t] += p.sign[e] * (float64(di*ki[e]) + float64(dj*kj[e]))
		}
	}
	// At the optimum every free example has s (f - s) = 0; without one, the middle of
	// what the bounds allow.
	sum, free := 0.0, 0
	up, low := math.Inf(-1), math.Inf(1)
	for t, e := range in {
		s := p.sign[e]
		v := -s * grad[t]
		switch {
		case alpha[t] > 0 && alpha[t] < p.c[e]:
			sum += v
			free++
		case s > 0 && alpha[t] == 0 || s < 0 && alpha[t] > 0:
			up = max(up, v)
		default:
			low = min(low, v)
		}
	}
	switch {
	case free > 0:
		bias = sum / float64(free)
	case math.IsInf(up, 0) || math.IsInf(low, 0):
		return nil, 0, errors.New("one of the classes has no example")
	default:
		bias = (up + low) / 2
	}
	return alpha, bias, nil
}

func bound(s, c float64) float64 {
	if s > 0 {
		return c
	}
	return 0
}

// decide is the decision for example at by the machine learned from in.
func (p *svmProblem) decide(in []int, alpha []float64, bias float64, at int) float64 {
	row := p.k.Row(at)
	for t, e := range in {
		if alpha[t] != 0 {
			bias += float64(alpha[t] * p.sign[e] * row[e])
		}
	}
	return bias
}

// groupFolds deals the groups of every class to folds in turn, so that whole groups are
// left out and every class stays in every training part. Without groups every example
// is one. It returns the fold of each example and the number of folds, which is at most
// the number of groups of the rarest class.
func groupFolds(rows *Rows, count []int, folds int) ([]int, int, error) {
	type key struct{ class, group int }
	seen := map[key]int{}
	groups := make([]int, len(count))
	for i, y := range rows.Y {
		g := i
		if rows.Group != nil {
			g = rows.Group[i]
		}
		if _, ok := seen[key{y, g}]; !ok {
			seen[key{y, g}] = groups[y]
			groups[y]++
		}
	}
	for k, n := range groups {
		if n < 2 {
			return nil, 0, fmt.Errorf("class %q occurs in one trial only, and what is learned from a trial cannot be judged on it; record another", rows.Classes[k])
		}
		folds = min(folds, n)
	}
	fold := make([]int, len(rows.Y))
	for i, y := range rows.Y {
		g := i
		if rows.Group != nil {
			g = rows.Group[i]
		}
		fold[i] = seen[key{y, g}] % folds
	}
	return fold, folds, nil
}
