package decoders

import (
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
)

// checkExamples wants as many rows of x as of z, rectangular and finite.
func checkExamples(x, z [][]float64) error {
	switch {
	case len(x) == 0:
		return errors.New("no training rows")
	case len(z) != len(x):
		return fmt.Errorf("%d rows of features but %d rows of targets", len(x), len(z))
	case len(x[0]) == 0 || len(z[0]) == 0:
		return errors.New("training rows without features or without targets")
	}
	for i := range x {
		if len(x[i]) != len(x[0]) || len(z[i]) != len(z[0]) {
			return fmt.Errorf("training row %d has %d features and %d targets, row 1 has %d and %d", i+1, len(x[i]), len(z[i]), len(x[0]), len(z[0]))
		}
		for j, v := range x[i] {
			if v-v != 0 {
				return fmt.Errorf("training row %d, feature %d is %v; leave out rows with unusable samples", i+1, j+1, v)
			}
		}
		for j, v := range z[i] {
			if v-v != 0 {
				return fmt.Errorf("training row %d, target %d is %v; leave out rows with unusable samples", i+1, j+1, v)
			}
		}
	}
	return nil
}

// fitDynamics returns A = argmin Σ|z_t - A z_{t-1}|² over successive rows of the
// same group and the residual covariance, divided by the number of rows.
func fitDynamics(z [][]float64, group []int) (a, w *dense.M, err error) {
	var before, after [][]float64
	for t := 1; t < len(z); t++ {
		if group == nil || group[t] == group[t-1] {
			before, after = append(before, z[t-1]), append(after, z[t])
		}
	}
	if len(before) < 2*len(z[0]) {
		return nil, nil, fmt.Errorf("only %d pairs of successive rows: too few to learn how the targets move", len(before))
	}
	a, err = leastSquares(before, after)
	if err != nil {
		return nil, nil, fmt.Errorf("the targets cannot be predicted from their own past: %w", err)
	}
	w = residualCovariance(before, after, a)
	w.Scale(float64(len(before)) / float64(len(z)))
	return a, w, nil
}

// leastSquares returns B (outputs × inputs) that minimises Σ|y - B x|², by normal
// equations with columns scaled to unit length. Collinear inputs are an error.
func leastSquares(x, y [][]float64) (*dense.M, error) {
	n, d := len(x[0]), len(y[0])
	if len(x) < n {
		return nil, fmt.Errorf("%d rows for %d unknowns", len(x), n)
	}
	g, c := dense.New(n, n), dense.New(d, n)
	for t := range x {
		for i, v := range x[t] {
			row := g.Row(i)
			for j := 0; j <= i; j++ {
				row[j] += float64(v * x[t][j])
			}
			for k, u := range y[t] {
				c.V[k*n+i] += float64(u * v)
			}
		}
	}
	scale := make([]float64, n)
	for i := range n {
		if !(g.At(i, i) > 0) {
			return nil, fmt.Errorf("input %d is zero everywhere", i+1)
		}
		scale[i] = 1 / math.Sqrt(g.At(i, i))
	}
	for i := range n {
		for j := 0; j <= i; j++ {
			v := g.At(i, j) * scale[i] * scale[j]
			g.Set(i, j, v)
			g.Set(j, i, v)
		}
	}
	l := dense.New(n, n)
	if !dense.Cholesky(l, g) {
		return nil, errors.New("inputs are linear combinations of each other")
	}
	for i := range n {
		if l.At(i, i) < 1e-7 { // the squared pivot is the share not explained by earlier columns
			return nil, fmt.Errorf("input %d is a linear combination of the inputs before it", i+1)
		}
	}
	for k := range d {
		row := c.Row(k)
		for i := range row {
			row[i] *= scale[i]
		}
		dense.Solve(l, row)
		for i := range row {
			row[i] *= scale[i]
		}
	}
	return c, nil
}

// residualCovariance returns Σ (y - B x)(y - B x)' divided by the number of rows.
func residualCovariance(x, y [][]float64, b *dense.M) *dense.M {
	d := len(y[0])
	q, e := dense.New(d, d), make([]float64, d)
	for t := range x {
		dense.MulVec(e, b, x[t])
		for i := range e {
			e[i] = y[t][i] - e[i]
		}
		addOuter(q, e)
	}
	q.Scale(1 / float64(len(x)))
	return q
}

func addOuter(q *dense.M, e []float64) {
	for i, v := range e {
		row := q.Row(i)
		for j, u := range e {
			row[j] += float64(v * u)
		}
	}
}

// covariance returns the sample covariance, mean removed, divisor N-1.
func covariance(z [][]float64) *dense.M {
	d := len(z[0])
	mean, e, s := columnMeans(z), make([]float64, d), dense.New(d, d)
	for t := range z {
		for i := range e {
			e[i] = z[t][i] - mean[i]
		}
		addOuter(s, e)
	}
	s.Scale(1 / float64(max(1, len(z)-1)))
	return s
}

func columnMeans(z [][]float64) []float64 {
	mean := make([]float64, len(z[0]))
	for t := range z {
		for i, v := range z[t] {
			mean[i] += v
		}
	}
	for i := range mean {
		mean[i] /= float64(len(z))
	}
	return mean
}

// checkNoise wants a process noise without negative directions and a proper prior.
func checkNoise(w, s *dense.M) error {
	if !dense.Cholesky(s.Clone(), s) {
		return errors.New("prior covariance S is not positive definite: a target is constant, or a combination of others")
	}
	e := w.Clone()
	dense.Symmetrize(e)
	dense.Eigen(e, dense.New(w.R, w.R))
	for i := range w.R {
		if e.At(i, i) < -1e-12*math.Abs(w.Trace()) {
			return fmt.Errorf("the process noise has a negative variance (%.3g)", e.At(i, i))
		}
	}
	return nil
}
