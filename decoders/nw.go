package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
)

// NadarayaWatson is kernel regression: f(x) = Σ w_i z_i / Σ w_i over all training
// points, w_i = exp(-|x-x_i|²/(2 s²)). Weights are formed relative to the largest,
// so a far-away x answers with its nearest point instead of 0/0. Predict costs
// 3mn operations and m exponentials.
type NadarayaWatson struct {
	Bandwidth float64 // s², in squared units of x; 0 = least leave-one-out error

	m, n, d int
	x, z    []float64     // m × n and m × d
	at      *dense.Panels // x
	w       []float64     // m, padded to whole panels
	s2      float64
}

type nwFile struct {
	Bandwidth float64     `json:"bandwidth"`
	X         [][]float64 `json:"x"`
	Z         [][]float64 `json:"z"`
}

func (k *NadarayaWatson) file() nwFile {
	return nwFile{k.s2, (&dense.M{R: k.m, C: k.n, V: k.x}).Rows(), (&dense.M{R: k.m, C: k.d, V: k.z}).Rows()}
}

func (k *NadarayaWatson) load(f *nwFile) error {
	if err := checkExamples(f.X, f.Z); err != nil {
		return fmt.Errorf("kernel regression: %w", err)
	}
	if !(f.Bandwidth > 0) || math.IsInf(f.Bandwidth, 0) {
		return fmt.Errorf("kernel regression: bandwidth %v; it is positive", f.Bandwidth)
	}
	k.set(f.X, f.Z, f.Bandwidth)
	return nil
}

func (k *NadarayaWatson) set(x, z [][]float64, s2 float64) {
	*k = NadarayaWatson{Bandwidth: k.Bandwidth, m: len(x), n: len(x[0]), d: len(z[0]), s2: s2}
	for t := range x {
		k.x, k.z = append(k.x, x[t]...), append(k.z, z[t]...)
	}
	k.at = dense.PackRows(k.m, k.n, k.x)
	k.w = make([]float64, k.at.Padded())
}

func (k *NadarayaWatson) dims() (int, int) { return k.n, k.d }

// Fit keeps the points and chooses the bandwidth: a coarse search of log s² by
// factors of 2 and a golden section around its minimum.
func (k *NadarayaWatson) Fit(ctx context.Context, x, z [][]float64, progress func(done, total int)) error {
	if err := checkExamples(x, z); err != nil {
		return err
	}
	if len(x) < 2 {
		return errors.New("kernel regression needs at least two points")
	}
	s2 := k.Bandwidth
	if s2 < 0 || s2-s2 != 0 {
		return fmt.Errorf("bandwidth %v: give a positive value or 0 to choose it", s2)
	}
	k.set(x, z, s2)
	if s2 == 0 {
		var err error
		if k.s2, err = k.chooseBandwidth(ctx, progress); err != nil {
			return err
		}
	}
	return nil
}

func (k *NadarayaWatson) chooseBandwidth(ctx context.Context, progress func(done, total int)) (float64, error) {
	evals := 0
	loss := func(logS float64) float64 {
		if ctx.Err() != nil {
			return math.Inf(1)
		}
		evals++
		if progress != nil {
			progress(min(evals, 30), 30)
		}
		return k.LeaveOneOut(math.Exp(logS))
	}
	// the scale of distances between neighbours in time and of random pairs brackets it
	spread := 0.0
	for i := range k.m {
		j := (i*7919 + 1) % k.m
		spread += dense.Distance2(k.row(i), k.row(j))
	}
	spread /= float64(k.m)
	if !(spread > 0) {
		return 0, errors.New("kernel regression: all training points are the same")
	}
	best, at := math.Inf(1), 0.0
	for e := -9; e <= 2; e++ {
		l := math.Log(spread) + float64(e)*math.Ln2
		if v := loss(l); v < best {
			best, at = v, l
		}
	}
	lo, hi := at-math.Ln2, at+math.Ln2
	const phi = 0.6180339887498949
	a, b := hi-phi*(hi-lo), lo+phi*(hi-lo)
	fa, fb := loss(a), loss(b)
	for hi-lo > 0.02 {
		if fa <= fb {
			hi, b, fb = b, a, fa
			a = hi - phi*(hi-lo)
			fa = loss(a)
		} else {
			lo, a, fa = a, b, fb
			b = lo + phi*(hi-lo)
			fb = loss(b)
		}
	}
	return math.Exp((lo + hi) / 2), ctx.Err()
}

func (k *NadarayaWatson) row(i int) []float64 { return k.x[i*k.n : (i+1)*k.n : (i+1)*k.n] }

// LeaveOneOut returns the mean squared error over points and outputs when each
// point is predicted from all others with bandwidth s2.
func (k *NadarayaWatson) LeaveOneOut(s2 float64) float64 {
	sum := 0.0
	out := make([]float64, k.d)
	for i := range k.m {
		k.predict(out, k.row(i), s2, i)
		for j, v := range out {
			e := k.z[i*k.d+j] - v
			sum += float64(e * e)
		}
	}
	return sum / float64(k.m*k.d)
}

// Predict sets dst to f(x).
func (k *NadarayaWatson) Predict(dst, x []float64) { k.predict(dst, x, k.s2, -1) }

func (k *NadarayaWatson) predict(dst, x []float64, s2 float64, without int) {
	k.at.Distances(k.w, x)
	if without >= 0 {
		k.w[without] = math.Inf(1)
	}
	w := k.w[:k.m]
	least := slices.Min(w)
	for i := range w {
		w[i] -= least
	}
	dense.Exp(k.w, k.w, -0.5/s2)
	clear(dst[:k.d])
	sum := 0.0
	for i, w := range w {
		if w < 1e-22 { // of the largest weight
			continue
		}
		sum += w
		for j, z := range k.z[i*k.d : (i+1)*k.d] {
			dst[j] += float64(w * z)
		}
	}
	if !(sum > 0) { // not a number went in: answer with nothing
		clear(dst[:k.d])
		return
	}
	for j := range dst[:k.d] {
		dst[j] /= sum
	}
}
