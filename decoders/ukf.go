package decoders

import (
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// ukf moves 2d+1 sigma points instead of linearising (Julier & Uhlmann 1997; Wan &
// van der Merwe 2000): m, m ± columns of √c chol(P), c = d+λ, λ = α²(d+κ)-d, redrawn
// after the prediction. A covariance that loses its definiteness keeps the
// prediction and counts as a fallback.
type ukf struct {
	nonlinear
	c       float64
	wm, wc  []float64
	m, pm   []float64
	p, pp   *dense.M
	l, pts  *dense.M // pts: (2d+1) × d
	moved   *dense.M
	seen    *dense.M // (2d+1) × n
	y, e    []float64
	v, lv   *dense.M
	cross   *dense.M // d × n
	gain    *dense.M
	dx      []float64
	failed  bool
	innov   float64
	ins     innovation
	kv, kvk *dense.M
}

func newUKF(m nonlinear, alpha, beta, kappa float64) (*ukf, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	d, n := m.d, m.n
	lambda := alpha*alpha*(float64(d)+kappa) - float64(d)
	k := &ukf{nonlinear: m, c: float64(d) + lambda}
	k.wm, k.wc = make([]float64, 2*d+1), make([]float64, 2*d+1)
	for i := range k.wm {
		k.wm[i], k.wc[i] = 1/(2*k.c), 1/(2*k.c)
	}
	k.wm[0], k.wc[0] = lambda/k.c, lambda/k.c+1-alpha*alpha+beta
	k.m, k.pm, k.dx = make([]float64, d), make([]float64, d), make([]float64, d)
	k.p, k.pp, k.l, k.kvk = dense.New(d, d), dense.New(d, d), dense.New(d, d), dense.New(d, d)
	k.pts, k.moved, k.seen = dense.New(2*d+1, d), dense.New(2*d+1, d), dense.New(2*d+1, n)
	k.y, k.e = make([]float64, n), make([]float64, n)
	k.v, k.lv, k.cross, k.gain, k.kv = dense.New(n, n), dense.New(n, n), dense.New(d, n), dense.New(d, n), dense.New(d, n)
	k.ins.alloc(d)
	k.reset()
	return k, nil
}

func (k *ukf) dims() (int, int)        { return k.n, k.d }
func (k *ukf) estimate() []float64     { return k.m }
func (k *ukf) health() (bool, float64) { return k.failed, k.innov }

func (k *ukf) reset() {
	clear(k.m)
	k.p.Copy(k.s)
	k.failed, k.innov = false, 0
}

// draw fills pts from a mean and covariance.
func (k *ukf) draw(m []float64, p *dense.M) bool {
	if !dense.Cholesky(k.l, p) {
		return false
	}
	s := math.Sqrt(k.c)
	copy(k.pts.Row(0), m)
	for j := range k.d {
		up, down := k.pts.Row(1+j), k.pts.Row(1+k.d+j)
		for i := range k.d {
			o := s * k.l.At(i, j)
			up[i], down[i] = m[i]+o, m[i]-o
		}
	}
	return true
}

// moments sets mean to the weighted mean of rows and cov to noise plus their spread.
func (k *ukf) moments(mean []float64, cov, rows, noise *dense.M) {
	clear(mean)
	for i, w := range k.wm {
		for j, v := range rows.Row(i) {
			mean[j] += float64(w * v)
		}
	}
	cov.Copy(noise)
	for i, w := range k.wc {
		r := rows.Row(i)
		for a := range mean {
			s := w * (r[a] - mean[a])
			row := cov.Row(a)
			for b := range mean {
				row[b] += float64(s * (r[b] - mean[b]))
			}
		}
	}
	dense.Symmetrize(cov)
}

func (k *ukf) predict() bool {
	if !k.draw(k.m, k.p) {
		return false
	}
	for i := range k.wm {
		k.g(k.moved.Row(i), k.pts.Row(i))
	}
	k.moments(k.pm, k.pp, k.moved, k.w)
	return true
}

func (k *ukf) skip() {
	k.failed, k.innov = !k.predict(), 0
	k.giveUp()
}

func (k *ukf) update(x []float64) {
	k.failed, k.innov = true, 0
	if !k.predict() {
		k.giveUp()
		return
	}
	if !k.draw(k.pm, k.pp) {
		k.giveUp()
		return
	}
	for i := range k.wm {
		k.h(k.seen.Row(i), k.pts.Row(i))
	}
	k.moments(k.y, k.v, k.seen, k.r)
	clear(k.cross.V)
	for i, w := range k.wc {
		z, y := k.pts.Row(i), k.seen.Row(i)
		for a := range k.d {
			s := w * (z[a] - k.pm[a])
			row := k.cross.Row(a)
			for b := range row {
				row[b] += float64(s * (y[b] - k.y[b]))
			}
		}
	}
	if !dense.Cholesky(k.lv, k.v) {
		k.giveUp()
		return
	}
	k.gain.Copy(k.cross)
	for a := range k.d {
		dense.Solve(k.lv, k.gain.Row(a))
	}
	for b := range k.e {
		k.e[b] = x[b] - k.y[b]
	}
	dense.MulVec(k.dx, k.gain, k.e)
	for i := range k.m {
		k.m[i] = k.pm[i] + k.dx[i]
	}
	dense.Mul(k.kv, k.gain, k.v)
	dense.MulT(k.kvk, k.kv, k.gain)
	dense.Add(k.p, k.pp, -1, k.kvk)
	dense.Symmetrize(k.p)
	k.failed = false
	k.innov = k.ins.of(k.m, k.pm, k.pp, k.p)
}

// giveUp keeps the prediction, or goes back to the prior when even that is gone.
func (k *ukf) giveUp() {
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
	if !dense.Cholesky(k.l, k.p) {
		k.p.Copy(k.s)
	}
}

func (k *ukf) snapshot(w *stream.StateWriter) { w.Floats(k.m); w.Floats(k.p.V) }
func (k *ukf) restore(r *stream.StateReader)  { r.Floats(k.m); r.Floats(k.p.V) }
