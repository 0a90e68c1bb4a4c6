package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// TypeCovariance is the type of the rows of Covariance.
const TypeCovariance = "covariance"

// Covariance is the covariance matrix of the channels over the window: the upper
// triangle, row by row (i <= j), labelled "cov A B".
//
//	scm  S = sum (x-m)(x-m)^T / (n-1); with KeepMean sum x x^T / n
//	lwf  Ledoit and Wolf (2004): (1-s) S_n + s tr(S_n)/C I, s estimated
//	oas  Chen et al. (2010) as scikit-learn has it: the same form, s from tr(S^2)
//
// The shrinking estimators divide by n. Block sums: the window is cut into blocks of a
// hop, each summed about its own mean once and merged (Chan, Golub and LeVeque 1983),
// so nothing drifts, offsets cost no digits and the value is a pure function of the
// window's samples. The rows of a channel without variance are marked. Cost: O(hop C^2 + blocks C^2) when the length is a multiple of the
// hop, else O(length C^2).
type Covariance struct {
	Estimator string  // "scm" (default), "lwf" or "oas"
	Shrinkage float64 // with scm: fixed share of tr(S)/C I, 0 to 1
	KeepMean  bool    // do not subtract the window's mean

	scatter *scatter
	full    []float64 // C x C
	flat    []bool    // channels without variance
}

// Open implements Extractor.
func (x *Covariance) Open(p *Plan) ([]Row, error) {
	switch x.Estimator {
	case "", "scm":
		if !(x.Shrinkage >= 0 && x.Shrinkage <= 1) {
			return nil, fmt.Errorf("shrinkage: %v; allowed are 0 (none) to 1 (a multiple of the identity)", x.Shrinkage)
		}
	case "lwf", "oas":
		if x.Shrinkage != 0 {
			return nil, fmt.Errorf("shrinkage: %v; the estimator %q finds it by itself, so leave it out", x.Shrinkage, x.Estimator)
		}
	default:
		return nil, fmt.Errorf("estimator: %q; known are scm, lwf and oas", x.Estimator)
	}
	if p.Length < 2 {
		return nil, fmt.Errorf("length: a covariance needs at least 2 samples (%v s)", 2/p.In.Rate)
	}
	c := p.In.Rows()
	if c > 1024 {
		return nil, fmt.Errorf("covariance of %d channels has %d rows; the limit is 1024 channels: select some first", c, c*(c+1)/2)
	}
	x.scatter = p.scatter()
	x.full, x.flat = make([]float64, c*c), make([]bool, c)
	rows := make([]Row, 0, c*(c+1)/2)
	for i := range c {
		for j := i; j < c; j++ {
			from := []int{i, j}
			label := "cov " + p.In.Channels[i].Label + " " + p.In.Channels[j].Label
			rows = append(rows, Row{Channel: stream.Channel{Label: label, Unit: p.squared(), Type: TypeCovariance}, From: from})
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Covariance) Extract(out Out, e *Epoch) {
	s := x.scatter
	s.of(e)
	c, n := e.Rows(), float64(e.Len)
	divisor := n - 1
	if x.KeepMean || x.Estimator == "lwf" || x.Estimator == "oas" {
		divisor = n
	}
	for i := range c {
		for j := i; j < c; j++ {
			v := s.at(i, j)
			if x.KeepMean {
				v += n * s.mean(i) * s.mean(j)
			}
			v /= divisor
			x.full[i*c+j], x.full[j*c+i] = v, v
		}
	}
	share := x.Shrinkage
	switch x.Estimator {
	case "lwf":
		share = ledoitWolf(x.full, c, e, s, x.KeepMean)
	case "oas":
		share = oas(x.full, c, n)
	}
	for i := range c { // before shrinking, which gives a dead channel a variance
		x.flat[i] = !(x.full[i*c+i] > 0)
	}
	shrink(x.full, c, share)
	row := 0
	for i := range c {
		for j := i; j < c; j++ {
			out.Set(row, x.full[i*c+j])
			if x.flat[i] || x.flat[j] {
				out.Bad[row] = true
			}
			row++
		}
	}
}

// shrink replaces S by (1-share) S + share tr(S)/C I.
func shrink(full []float64, c int, share float64) {
	if share == 0 {
		return
	}
	var trace float64
	for i := range c {
		trace += full[i*c+i]
	}
	for i := range full {
		full[i] *= 1 - share
	}
	for i := range c {
		full[i*c+i] += share * trace / float64(c)
	}
}

// ledoitWolf returns the shrinkage of Ledoit and Wolf (2004) for the covariance full
// (divided by n) of the window: the mean squared distance of x x^T from it over n,
// relative to the distance of the covariance from its scaled identity.
func ledoitWolf(full []float64, c int, e *Epoch, s *scatter, keepMean bool) float64 {
	n, p := float64(e.Len), float64(c)
	var trace, squares, fourth float64
	for i := range c {
		trace += full[i*c+i]
	}
	for _, v := range full {
		squares += v * v
	}
	clear(s.energy)
	for k := range e.Tiles() {
		x := e.Tile(k)
		var mean vec
		if !keepMean {
			mean = s.means[k]
		}
		for t := range x {
			v := &x[t]
			sum := s.energy[t]
			for l := range v {
				d := v[l] - mean[l]
				sum += float64(d * d)
			}
			s.energy[t] = sum
		}
	}
	for _, q := range s.energy {
		fourth += float64(q * q)
	}
	mu := trace / p
	beta := (fourth/n - squares) / (n * p)
	delta := (squares - 2*mu*trace + p*mu*mu) / p
	beta = min(beta, delta)
	if !(beta > 0) {
		return 0
	}
	return beta / delta
}

// oas returns the shrinkage min(1, (a + mu^2) / ((n+1)(a - mu^2/p))), a the mean of
// the squared entries, mu = tr(S)/p.
func oas(full []float64, c int, n float64) float64 {
	p := float64(c)
	var a, mu float64
	for _, v := range full {
		a += v * v
	}
	a /= p * p
	for i := range c {
		mu += full[i*c+i]
	}
	mu /= p
	num, den := a+mu*mu, (n+1)*(a-mu*mu/p)
	if !(den > 0) {
		return 1
	}
	return math.Min(1, num/den)
}
