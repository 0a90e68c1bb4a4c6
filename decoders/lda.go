package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// LDA is linear discriminant analysis with a covariance shared by the classes: class
// means μ, priors π from the counts, and
//
//	s_k(x) = μ_k' Σ⁻¹ x - ½ μ_k' Σ⁻¹ μ_k + ln π_k
//
// Probabilities are the softmax of the scores. The solvers differ where Σ is
// singular: "lsqr" takes the pseudo-inverse, "eigen" needs a regular Σ, "svd" drops
// directions without variance and cannot shrink. Shrinkage pulls Σ towards a multiple
// of the identity: "auto" is Ledoit & Wolf 2004 on standardised rows within each
// class (as scikit-learn), a number 0 to 1 is fixed.
type LDA struct {
	Solver    string // "lsqr" (default), "eigen" or "svd"
	Shrinkage string // "" or "none" (default), "auto", or a number from 0 to 1

	columnwise
	model *linearFile
}

var _ Fitter = (*LDA)(nil)

// settings returns the shrinkage: -1 = auto.
func (l *LDA) settings() (solver string, shrink float64, err error) {
	solver = l.Solver
	switch solver {
	case "":
		solver = "lsqr"
	case "lsqr", "eigen", "svd":
	default:
		return "", 0, fmt.Errorf("solver %q: choose lsqr, eigen or svd", l.Solver)
	}
	switch l.Shrinkage {
	case "", "none":
	case "auto":
		shrink = -1
	default:
		if shrink, err = strconv.ParseFloat(l.Shrinkage, 64); err != nil || !(shrink >= 0 && shrink <= 1) {
			return "", 0, fmt.Errorf("shrinkage %q: choose none, auto, or a number from 0 to 1", l.Shrinkage)
		}
	}
	if solver == "svd" && shrink != 0 {
		return "", 0, errors.New("solver svd cannot shrink; choose lsqr or eigen, or drop shrinkage")
	}
	return solver, shrink, nil
}

// Fit learns the scores.
func (l *LDA) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	solver, shrink, err := l.settings()
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	m := &linearFile{modelHead: head("lda", rows)}
	if err := fitLDA(m, rows.X, rows.Y, count, solver, shrink); err != nil {
		return err
	}
	l.model = m
	return nil
}

// fitLDA sets weights, intercepts and link of m.
func fitLDA(m *linearFile, x [][]float64, y, count []int, solver string, shrink float64) error {
	means := classMeans(x, y, count)
	prior := make([]float64, len(count))
	for k, n := range count {
		prior[k] = float64(n) / float64(len(x))
	}
	var w *dense.M
	var b []float64
	var err error
	if solver == "svd" {
		w, b, err = ldaSVD(x, y, means, prior)
	} else {
		w, b, err = ldaCovariance(x, y, count, means, prior, solver, shrink)
	}
	if err != nil {
		return err
	}
	if !w.Finite() || !allFinite(b) {
		return errors.New("the discriminant is not finite: the rows differ too much in scale; put a scaler before it")
	}
	if len(count) == 2 {
		diff := dense.New(1, w.C)
		for j := range w.C {
			diff.V[j] = w.At(1, j) - w.At(0, j)
		}
		w, b = diff, []float64{b[1] - b[0]}
		m.Link = linkSigmoid
	} else {
		m.Link = linkSoftmax
	}
	m.Weights, m.Intercept = w.Rows(), b
	return nil
}

// classMeans returns one row per class.
func classMeans(x [][]float64, y, count []int) *dense.M {
	m := dense.New(len(count), len(x[0]))
	for i, v := range x {
		row := m.Row(y[i])
		for j, a := range v {
			row[j] += a
		}
	}
	for k, n := range count {
		row := m.Row(k)
		for j := range row {
			row[j] /= float64(n)
		}
	}
	return m
}

func ldaCovariance(x [][]float64, y, count []int, means *dense.M, prior []float64, solver string, shrink float64) (*dense.M, []float64, error) {
	d := means.C
	cov := dense.New(d, d)
	for k := range count {
		var of [][]float64
		for i, v := range x {
			if y[i] == k {
				of = append(of, v)
			}
		}
		dense.Add(cov, cov, prior[k], classCovariance(of, means.Row(k), shrink))
	}
	w := dense.New(means.R, d)
	l := dense.New(d, d)
	switch {
	case wellConditioned(l, cov):
		w.Copy(means)
		for k := range w.R {
			dense.Solve(l, w.Row(k))
		}
	case solver == "eigen":
		return nil, nil, errors.New("the covariance is singular (constant rows, or fewer examples than rows); set shrinkage auto, or solver lsqr or svd")
	default: // minimum-norm least squares
		e := newSymEigen(d)
		if !e.decompose(cov) {
			return nil, nil, errors.New("the covariance cannot be decomposed; put a scaler before this stage")
		}
		top := e.val[d-1]
		if !(top > 0) {
			return nil, nil, errors.New("every row is constant within the classes, so there is nothing to learn a covariance from")
		}
		for k := range w.R {
			for c, v := range e.val {
				if v <= 1e-12*top {
					continue
				}
				f := dense.Dot(e.vec.Row(c), means.Row(k)) / v
				row := w.Row(k)
				for j, z := range e.vec.Row(c) {
					row[j] += float64(f * z)
				}
			}
		}
	}
	b := make([]float64, w.R)
	for k := range b {
		b[k] = -0.5*dense.Dot(w.Row(k), means.Row(k)) + math.Log(prior[k])
	}
	return w, b, nil
}

// wellConditioned factors a and reports whether the factor can be trusted.
func wellConditioned(l, a *dense.M) bool {
	if !dense.Cholesky(l, a) {
		return false
	}
	for i := range a.R { // a pivot of rounding only: the row depends on those before
		if p := l.At(i, i); float64(p*p) <= 1e-12*a.At(i, i) {
			return false
		}
	}
	return true
}

// classCovariance is the covariance of the examples of a class (divisor n), shrunk:
// -1 = Ledoit-Wolf on standardised rows, otherwise (1-s)S + s tr(S)/d I.
func classCovariance(x [][]float64, mean []float64, shrink float64) *dense.M {
	d, n := len(mean), float64(len(x))
	scale := make([]float64, d)
	for j := range scale {
		scale[j] = 1
	}
	if shrink < 0 {
		scale = deviations(x, mean)
	}
	s := dense.New(d, d)
	z := make([]float64, d)
	quad := 0.0 // Σ_t (Σ_i z_i²)² = Σ_ij Σ_t z_i² z_j²
	for _, v := range x {
		r := 0.0
		for j := range z {
			z[j] = (v[j] - mean[j]) / scale[j]
			r += float64(z[j] * z[j])
		}
		quad += float64(r * r)
		for i, a := range z {
			row := s.Row(i)[i:]
			for j, b := range z[i:] {
				row[j] += float64(a * b)
			}
		}
	}
	for i := range d {
		for j := i; j < d; j++ {
			s.V[i*d+j] /= n
			s.V[j*d+i] = s.V[i*d+j]
		}
	}
	mu := s.Trace() / float64(d)
	if shrink < 0 {
		all := dense.Dot(s.V, s.V)
		delta := (all - float64(d)*mu*mu) / float64(d)
		beta := min((quad/n-all)/(n*float64(d)), delta)
		shrink = 0
		if beta > 0 && delta > 0 {
			shrink = beta / delta
		}
	}
	if shrink > 0 {
		s.Scale(1 - shrink)
		for i := range d {
			s.V[i*d+i] += shrink * mu
		}
	}
	for i := range d {
		for j := range d {
			s.V[i*d+j] *= scale[i] * scale[j]
		}
	}
	return s
}

// ldaSVD whitens within the classes and then keeps the directions between them
// (Hastie, Tibshirani & Friedman §4.3). The singular values come from the Gram
// matrices, which is exact enough: directions below 1e-4 are dropped.
func ldaSVD(x [][]float64, y []int, means *dense.M, prior []float64) (*dense.M, []float64, error) {
	const tol = 1e-4
	d, classes, n := means.C, means.R, len(x)
	if n <= classes {
		return nil, nil, fmt.Errorf("solver svd needs more examples than classes; there are %d and %d", n, classes)
	}
	within := make([][]float64, n)
	for i, v := range x {
		within[i] = make([]float64, d)
		for j, a := range v {
			within[i][j] = a - means.At(y[i], j)
		}
	}
	std := deviations(within, make([]float64, d))
	gram := dense.New(d, d)
	for _, v := range within {
		for i := range d {
			a := v[i] / std[i]
			row := gram.Row(i)
			for j := range row {
				row[j] += float64(a * (v[j] / std[j]))
			}
		}
	}
	gram.Scale(1 / float64(n-classes))
	e := newSymEigen(d)
	if !e.decompose(gram) {
		return nil, nil, errors.New("the covariance cannot be decomposed; put a scaler before this stage")
	}
	var first [][]float64 // rows: whitened directions, in units of the input
	for k := d - 1; k >= 0; k-- {
		if !(e.val[k] > tol*tol) {
			break
		}
		r := make([]float64, d)
		for j, v := range e.vec.Row(k) {
			r[j] = v / std[j] / math.Sqrt(e.val[k])
		}
		first = append(first, r)
	}
	if len(first) == 0 {
		return nil, nil, errors.New("every row is constant within the classes, so there is nothing to learn a covariance from")
	}
	centre := make([]float64, d)
	for k, p := range prior {
		for j, v := range means.Row(k) {
			centre[j] += float64(p * v)
		}
	}
	between := dense.New(len(first), len(first))
	proj := dense.New(classes, len(first))
	diff := make([]float64, d)
	for k, p := range prior {
		for j, v := range means.Row(k) {
			diff[j] = v - centre[j]
		}
		row := proj.Row(k)
		for r := range first {
			row[r] = dense.Dot(first[r], diff)
		}
		f := float64(n) * p / float64(classes-1)
		for i, a := range row {
			for j, b := range row {
				between.V[i*len(first)+j] += f * a * b
			}
		}
	}
	e2 := newSymEigen(len(first))
	if !e2.decompose(between) {
		return nil, nil, errors.New("the class means cannot be decomposed; put a scaler before this stage")
	}
	w, b := dense.New(classes, d), make([]float64, classes)
	top := e2.val[len(first)-1]
	for c := len(first) - 1; c >= 0 && e2.val[c] > tol*tol*top && top > 0; c-- {
		dir := make([]float64, d)
		for r, f := range e2.vec.Row(c) {
			for j, v := range first[r] {
				dir[j] += float64(f * v)
			}
		}
		for k := range classes {
			a := dense.Dot(e2.vec.Row(c), proj.Row(k))
			b[k] -= 0.5 * a * a
			row := w.Row(k)
			for j, v := range dir {
				row[j] += float64(a * v)
			}
		}
	}
	for k := range b {
		b[k] += math.Log(prior[k]) - dense.Dot(w.Row(k), centre)
	}
	return w, b, nil
}

// SaveModel returns weights and intercepts.
func (l *LDA) SaveModel() (json.RawMessage, error) { return saveModel(l.model) }

// LoadModel sets them after checking.
func (l *LDA) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "lda", &l.model, (*linearFile).validate)
}

// Open prepares the classifier for a stream.
func (l *LDA) Open(in stream.Header) (stream.Header, error) {
	if _, _, err := l.settings(); err != nil {
		return stream.Header{}, err
	}
	return l.openLinear(in, l.model)
}
