package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
)

// An Updater is a Fitter that can learn more without forgetting: it goes on from its
// model, and its answers where it learned before stay.
type Updater interface {
	Fitter
	// Protects reports whether Fit keeps what Update needs.
	Protects() bool
	// Update learns from rows on top of the model, which must be there. A failed Update
	// leaves it.
	Update(ctx context.Context, rows *Rows, progress func(done, total int)) error
}

// protection is the subspace in which a linear read-out must not change: that of the rows
// it has learned from, divided by the root mean square of all, with a one behind them for
// the intercept. Rows of different units need a scaler before them, as a penalty does. The
// Hebbian rule of [Projection] finds the same subspace, in the limit; here it is computed
// at once, from the eigenvectors of the second moment.
type protection struct {
	Scale      float64     `json:"scale"`      // root mean square of the rows
	Directions [][]float64 `json:"directions"` // orthonormal, directions × (rows + 1)
	Share      float64     `json:"share"`      // of the power of the rows that lies within
}

// protect finds the fewest directions that hold a share of the power of examples.
func protect(x [][]float64, share float64) (*protection, error) {
	s := 0.0
	for t := range x {
		s += dense.Dot(x[t], x[t]) / float64(len(x)*len(x[t]))
	}
	if s == 0 {
		return nil, errors.New("every training row is zero, so nothing of them can be protected")
	}
	p := &protection{Scale: math.Sqrt(s), Share: share}
	return p, p.extend(x)
}

// lift returns a row in the space of the directions.
func (p *protection) lift(x []float64) []float64 {
	out := make([]float64, len(x)+1)
	for i, v := range x {
		out[i] = v / p.Scale
	}
	out[len(x)] = 1
	return out
}

// outside returns the parts of examples that the directions do not hold.
func (p *protection) outside(x [][]float64) ([][]float64, error) {
	free := func(v []float64) []float64 { return v }
	if len(p.Directions) > 0 {
		q, err := NewProjection(p.Directions)
		if err != nil {
			return nil, err
		}
		free = q.Protect
	}
	out := make([][]float64, len(x))
	for t := range x {
		out[t] = free(p.lift(x[t]))
	}
	return out, nil
}

// extend adds the fewest directions with which a share of the power of examples lies
// within, and leaves at least one free.
func (p *protection) extend(x [][]float64) error {
	u, err := p.outside(x)
	if err != nil {
		return err
	}
	n := len(x[0]) + 1
	total, left := 0.0, 0.0
	m := dense.New(n, n)
	for t := range x {
		v := p.lift(x[t])
		total += dense.Dot(v, v)
		left += dense.Dot(u[t], u[t])
		for i, a := range u[t] {
			for j := range i + 1 {
				m.V[i*n+j] += float64(a * u[t][j])
			}
		}
	}
	for i := range n {
		for j := range i {
			m.V[j*n+i] = m.V[i*n+j]
		}
	}
	e := newSymEigen(n)
	if !e.decompose(m) {
		return errors.New("the second moment of the training rows cannot be decomposed")
	}
	for k := n - 1; k >= 0 && left > (1-p.Share)*total && len(p.Directions) < n-1; k-- {
		p.Directions = append(p.Directions, slices.Clone(e.vec.Row(k)))
		left -= e.val[k]
	}
	return nil
}

func (p *protection) check(rows int) error {
	if !(p.Scale > 0) || math.IsInf(p.Scale, 0) {
		return fmt.Errorf("the scale of the model's protection is %v", p.Scale)
	}
	if len(p.Directions) > rows {
		return fmt.Errorf("the model protects %d directions of %d", len(p.Directions), rows+1)
	}
	for k, d := range p.Directions {
		if err := checkNumbers("protected direction", d, rows+1); err != nil {
			return err
		}
		for j := range k + 1 {
			want := indicator(j, k)
			if math.Abs(dense.Dot(d, p.Directions[j])-want) > 1e-6 {
				return fmt.Errorf("the model's protected directions %d and %d are not orthonormal", j+1, k+1)
			}
		}
	}
	if !(p.Share > 0 && p.Share < 1) {
		return fmt.Errorf("the model protects a share of %v; it lies between 0 and 1", p.Share)
	}
	return nil
}

// Protects implements Updater.
func (l *Logistic) Protects() bool { return l.Protect > 0 }

// Update adds to the weights W what rows teach, but only across what Fit has learned from
// (after the Hebbian orthogonal projection of Xiao et al., ICLR 2024, solved to the end
// instead of one gradient step after the other):
//
//	min over D: ½|D|² + C Σ cᵢ loss(W x̃ᵢ + D P x̃ᵢ),  P = I - V'V,  W ← W + D P
//
// with x̃ the rows over their root mean square and a one, and V the protected directions.
// A row that lies within V gets the scores it got before, to rounding. Afterwards V holds
// the share Protect of the new rows' power too, so that the next Update protects both.
func (l *Logistic) Update(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	c, idleC, err := l.settings()
	if err != nil {
		return err
	}
	if l.model == nil {
		return ErrUntrained
	}
	old := l.model
	if old.Protected == nil {
		return errors.New("the model was trained without protect, so it does not know what must stay: train it with that setting first")
	}
	if _, err := checkLabelled(rows); err != nil {
		return err
	}
	if err := old.fits(&rows.Header); err != nil {
		return err
	}
	if !slices.Equal(old.Classes, rows.Classes) {
		return fmt.Errorf("the model knows the classes %v, the new trials %v", old.Classes, rows.Classes)
	}
	if len(old.Protected.Directions) >= len(old.Rows) {
		return fmt.Errorf("all but one direction of the %d rows are protected, so nothing can be learned without forgetting: train with a smaller share", len(old.Rows))
	}
	u, err := old.Protected.outside(rows.X)
	if err != nil {
		return err
	}
	m := *old
	level := func(f *linearFile, x, u [][]float64, y []int, classes int, c float64) (*linearFile, error) {
		return l.across(ctx, f, old.Protected, x, u, y, classes, c)
	}
	if old.Link != linkTwo {
		f, err := level(&old.linearFile, rows.X, u, rows.Y, len(rows.Classes), c)
		if err != nil {
			return err
		}
		m.linearFile = *f
	} else {
		idle := slices.Index(old.Classes, old.Idle)
		active, ix, iu, iy := make([]int, len(rows.Y)), [][]float64(nil), [][]float64(nil), []int(nil)
		for i, k := range rows.Y {
			if k == idle {
				continue
			}
			active[i] = 1
			if k > idle {
				k--
			}
			ix, iu, iy = append(ix, rows.X[i]), append(iu, u[i]), append(iy, k)
		}
		gate := linearFile{Link: linkSigmoid, Weights: [][]float64{old.Gate}, Intercept: []float64{old.GateBias}}
		g, err := level(&gate, rows.X, u, active, 2, idleC)
		if err != nil {
			return err
		}
		if progress != nil {
			progress(1, 2)
		}
		m.Gate, m.GateBias = g.Weights[0], g.Intercept[0]
		if m.Inner, err = level(old.Inner, ix, iu, iy, len(old.Inner.Classes), c); err != nil {
			return err
		}
	}
	p := *old.Protected
	p.Directions = slices.Clone(p.Directions)
	if err := p.extend(rows.X); err != nil {
		return err
	}
	m.Protected = &p
	if err := m.validate(); err != nil {
		return err
	}
	l.model = &m
	return nil
}

// across fits what one level adds, on the parts u of examples x outside the protection.
func (l *Logistic) across(ctx context.Context, f *linearFile, p *protection, x, u [][]float64, y []int, classes int, c float64) (*linearFile, error) {
	out := *f
	out.Weights, out.Intercept = nil, nil
	add := func(y []int, classes int, scores ...int) error {
		q := newLogisticProblem(u, y, classes, c, false)
		if l.Balanced {
			q.balance()
		}
		q.offset = make([][]float64, len(x))
		for i := range x {
			for _, s := range scores {
				q.offset[i] = append(q.offset[i], dense.Dot(f.Weights[s], x[i])+f.Intercept[s])
			}
		}
		d, _, err := q.newton(ctx)
		if err != nil {
			return err
		}
		for i, s := range scores {
			// D was found on P x̃, of which it is a combination already; rounding is taken out.
			change := d[i]
			for _, dir := range p.Directions {
				a := dense.Dot(dir, change)
				for j := range change {
					change[j] -= float64(a * dir[j])
				}
			}
			w := slices.Clone(f.Weights[s])
			for j := range w {
				w[j] += change[j] / p.Scale
			}
			out.Weights, out.Intercept = append(out.Weights, w), append(out.Intercept, f.Intercept[s]+change[len(w)])
		}
		return nil
	}
	switch f.Link {
	case linkSigmoid:
		return &out, add(y, 2, 0)
	case linkSoftmax:
		all := make([]int, classes)
		for k := range all {
			all[k] = k
		}
		return &out, add(y, classes, all...)
	}
	for k := range classes { // one against the rest
		is := make([]int, len(y))
		for i, v := range y {
			if v == k {
				is[i] = 1
			}
		}
		if err := add(is, 2, k); err != nil {
			return nil, err
		}
	}
	return &out, nil
}
