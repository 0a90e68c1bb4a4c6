package decoders

import (
	"fmt"

	"neurostream/decoders/internal/dense"
)

// Projection protects what a linear read-out learned: it learns the principal
// subspace of earlier features by a Hebbian rule and removes it from later updates,
// so that a new session does not overwrite the old mapping (after Xiao et al., ICLR
// 2024). Off unless used: drift often should overwrite.
//
//	y = W x;  x̂ = W'y;  ΔW = clip(mean y (x - x̂)', ±10);  V = m V + (1-m) ΔW;  W += lr V
//	protected update: error · (x - W'W x)'
type Projection struct {
	LearningRate float64 // 0 = 0.05
	Momentum     float64 // 0 = 0.9
	Iterations   int     // per batch; 0 = 5

	w, v *dense.M // directions × features
}

// NewProjection starts from k orthonormal rows.
func NewProjection(w [][]float64) (*Projection, error) {
	m, err := dense.From(w)
	if err != nil {
		return nil, fmt.Errorf("projection: %w", err)
	}
	if m.R > m.C {
		return nil, fmt.Errorf("projection: %d directions of %d features; at most as many directions as features", m.R, m.C)
	}
	return &Projection{LearningRate: 0.05, Momentum: 0.9, Iterations: 5, w: m, v: dense.New(m.R, m.C)}, nil
}

// Weights returns the learned directions (k × features).
func (p *Projection) Weights() [][]float64 { return p.w.Rows() }

// Learn takes one batch of features (samples × features).
func (p *Projection) Learn(x [][]float64) error {
	if err := checkExamples(x, x); err != nil {
		return err
	}
	if len(x[0]) != p.w.C {
		return fmt.Errorf("projection: %d features, expected %d", len(x[0]), p.w.C)
	}
	k, n := p.w.R, p.w.C
	y, back, dw := make([]float64, k), make([]float64, n), dense.New(k, n)
	for range p.Iterations {
		clear(dw.V)
		for _, row := range x {
			dense.MulVec(y, p.w, row)
			dense.TMulVec(back, p.w, y)
			for i := range k {
				for j := range n {
					dw.V[i*n+j] += y[i] * (row[j] - back[j])
				}
			}
		}
		for i, d := range dw.V {
			d = max(-10, min(10, d/float64(len(x))))
			p.v.V[i] = p.Momentum*p.v.V[i] + (1-p.Momentum)*d
			p.w.V[i] += p.LearningRate * p.v.V[i]
		}
	}
	return nil
}

// Protect returns the part of x outside the learned subspace, x - W'W x.
func (p *Projection) Protect(x []float64) []float64 {
	y, out := make([]float64, p.w.R), make([]float64, p.w.C)
	dense.MulVec(y, p.w, x)
	dense.TMulVec(out, p.w, y)
	for i := range out {
		out[i] = x[i] - out[i]
	}
	return out
}
