package decoders

import (
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// KalmanModel is a linear Gaussian state space without intercepts:
//
//	z_t = A z_{t-1} + N(0, W)     x_t = H z_t + N(0, R)     z_0 ~ N(0, S)
//
// z has d entries (kinematics), x has n (features). Features and kinematics are
// centred before they come here.
type KalmanModel struct {
	A [][]float64 `json:"A"` // d × d
	W [][]float64 `json:"W"` // d × d
	H [][]float64 `json:"H"` // n × d
	R [][]float64 `json:"R"` // n × n
	S [][]float64 `json:"S"` // d × d
}

// FitKalman learns a model by least squares from states z (samples × d) and
// observations x (samples × n). A uses successive samples of the same group; nil
// group means that all samples follow each other. W and R are residual covariances
// divided by the number of samples, S is the sample covariance of z.
//
// It fails with fewer samples than unknowns, on values that are not numbers, and
// on a state or residual covariance that is singular.
func FitKalman(z, x [][]float64, group []int) (*KalmanModel, error) {
	if err := checkExamples(x, z); err != nil {
		return nil, err
	}
	d, n := len(z[0]), len(x[0])
	if len(z) <= n+d {
		return nil, fmt.Errorf("%d training rows for %d features: a Kalman filter needs more rows than features; use fewer features or longer training", len(z), n)
	}
	a, w, err := fitDynamics(z, group)
	if err != nil {
		return nil, err
	}
	h, err := leastSquares(z, x)
	if err != nil {
		return nil, fmt.Errorf("regression of features on targets: %w", err)
	}
	r := residualCovariance(z, x, h)
	if !dense.Cholesky(r.Clone(), r) {
		return nil, errors.New("the residual covariance of the features is singular: two rows carry the same signal, or one is constant; remove it")
	}
	m := &KalmanModel{A: a.Rows(), W: w.Rows(), H: h.Rows(), R: r.Rows(), S: covariance(z).Rows()}
	return m, m.Validate()
}

// Validate reports the first thing that keeps the model from being used.
func (m *KalmanModel) Validate() error {
	_, err := newKalman(m, "")
	return err
}

// KalmanForms are the ways to compute the same filter.
const (
	KalmanInformation = "information" // adds precisions: d³ + d n per step, exact (the default)
	KalmanJoseph      = "joseph"      // gain and (I-KH)M(I-KH)'+KRK': n³ per step; the reference
	KalmanSteady      = "steady"      // constant gain: d(d+n) per step; differs only right after a start
)

// KalmanTrace is what a filter says about a whole recording.
type KalmanTrace struct {
	Mean          [][]float64   // posterior means
	Cov           [][][]float64 // posterior covariances
	LogLikelihood []float64     // of each observation given the earlier ones; Joseph form only
}

// Filter runs the model over x (samples × n). predictFirst moves the prior N(0,S)
// one step before the first observation; missing samples are only predicted. It is
// for analysis: streams use the Kalman stage.
func (m *KalmanModel) Filter(x [][]float64, form string, predictFirst bool, missing []int) (*KalmanTrace, error) {
	k, err := newKalman(m, form)
	if err != nil {
		return nil, err
	}
	k.started = predictFirst
	skip := make(map[int]bool, len(missing))
	for _, i := range missing {
		skip[i] = true
	}
	t := new(KalmanTrace)
	for i, row := range x {
		if len(row) != k.n {
			return nil, fmt.Errorf("row %d has %d features, the model wants %d", i+1, len(row), k.n)
		}
		if skip[i] {
			k.skip()
		} else {
			k.update(row)
		}
		t.Mean = append(t.Mean, append([]float64(nil), k.m...))
		t.Cov = append(t.Cov, k.p.Rows())
		t.LogLikelihood = append(t.LogLikelihood, k.logLikelihood)
	}
	return t, nil
}

// Steady returns the limit of the predicted covariance and of the gain (d × n).
func (m *KalmanModel) Steady() (predicted, gain [][]float64, err error) {
	k, err := newKalman(m, KalmanSteady)
	if err != nil {
		return nil, nil, err
	}
	return k.mInf.Rows(), k.gain.Rows(), nil
}

// kalman is a running filter.
type kalman struct {
	d, n                   int
	form                   string
	a, w, h, r, s          *dense.M
	htri, htrih            *dense.M // H'R⁻¹ (d × n) and H'R⁻¹H
	gain, carry, mInf, own *dense.M // steady state: μ ← carry μ + gain x; own is P∞
	consistency            *dense.M // steady state: (M∞ - P∞)⁻¹ for the innovation

	m, pm         []float64 // posterior and predicted mean
	p, pp         *dense.M  // posterior and predicted covariance
	started       bool
	failed        bool
	innov         float64
	logLikelihood float64

	info, l, dd, dn *dense.M
	v, vx           []float64
	jv, jl, jk, jw  *dense.M // n × n and d × n, for the Joseph form
	je, js          []float64
	ikh             *dense.M
	ins             innovation
}

func newKalman(m *KalmanModel, form string) (*kalman, error) {
	k := new(kalman)
	if form == "" {
		form = KalmanInformation
	}
	if form != KalmanInformation && form != KalmanJoseph && form != KalmanSteady {
		return nil, fmt.Errorf("form %q: choose %s, %s or %s", form, KalmanInformation, KalmanJoseph, KalmanSteady)
	}
	k.form = form
	for _, e := range []struct {
		name string
		dst  **dense.M
		src  [][]float64
	}{{"A", &k.a, m.A}, {"W", &k.w, m.W}, {"H", &k.h, m.H}, {"R", &k.r, m.R}, {"S", &k.s, m.S}} {
		v, err := dense.From(e.src)
		if err != nil {
			return nil, fmt.Errorf("Kalman model: %s: %w", e.name, err)
		}
		*e.dst = v
	}
	k.d, k.n = k.a.R, k.h.R
	d, n := k.d, k.n
	for _, e := range []struct {
		name string
		m    *dense.M
		r, c int
	}{{"A", k.a, d, d}, {"W", k.w, d, d}, {"H", k.h, n, d}, {"R", k.r, n, n}, {"S", k.s, d, d}} {
		if e.m.R != e.r || e.m.C != e.c {
			return nil, fmt.Errorf("Kalman model: %s is %d × %d, expected %d × %d", e.name, e.m.R, e.m.C, e.r, e.c)
		}
	}
	if err := checkNoise(k.w, k.s); err != nil {
		return nil, fmt.Errorf("Kalman model: %w", err)
	}
	lr := dense.New(n, n)
	if !dense.Cholesky(lr, k.r) {
		return nil, errors.New("Kalman model: R is not positive definite: remove features that are constant or copies of each other")
	}
	k.htri, k.htrih = dense.New(d, n), dense.New(d, d)
	for i := range d {
		row := k.htri.Row(i)
		for j := range n {
			row[j] = k.h.At(j, i)
		}
		dense.Solve(lr, row)
	}
	dense.Mul(k.htrih, k.htri, k.h)
	dense.Symmetrize(k.htrih)

	k.m, k.pm, k.v, k.vx = make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	k.p, k.pp, k.info, k.l, k.dd, k.dn = dense.New(d, d), dense.New(d, d), dense.New(d, d), dense.New(d, d), dense.New(d, d), dense.New(d, d)
	k.ins.alloc(d)
	if form == KalmanJoseph {
		k.jv, k.jl, k.jk, k.jw = dense.New(n, n), dense.New(n, n), dense.New(d, n), dense.New(d, n)
		k.je, k.js, k.ikh = make([]float64, n), make([]float64, n), dense.New(d, d)
	}
	if form == KalmanSteady {
		if err := k.solveRiccati(); err != nil {
			return nil, err
		}
	}
	k.reset()
	return k, nil
}

// solveRiccati iterates the covariance to its limit and builds the constant gain.
func (k *kalman) solveRiccati() error {
	k.p.Copy(k.s)
	last := dense.New(k.d, k.d)
	for i := 0; ; i++ {
		if i == 100000 {
			return errors.New("Kalman model: the covariance does not converge: A is unstable in a direction that the features do not see")
		}
		last.Copy(k.p)
		dense.Sandwich(k.pp, k.a, k.p, k.w, k.dd)
		if !k.precision() {
			return errors.New("Kalman model: the covariance does not stay positive definite")
		}
		diff, size := 0.0, 0.0
		for j, v := range k.p.V {
			diff, size = max(diff, math.Abs(v-last.V[j])), max(size, math.Abs(v))
		}
		if diff <= 1e-15*size {
			break
		}
	}
	k.mInf, k.own = k.pp.Clone(), k.p.Clone()
	k.gain, k.carry, k.consistency = dense.New(k.d, k.n), dense.New(k.d, k.d), dense.New(k.d, k.d)
	dense.Mul(k.gain, k.p, k.htri) // K = P⁺H'R⁻¹
	ikh := dense.New(k.d, k.d)
	dense.Mul(ikh, k.gain, k.h)
	dense.Add(ikh, dense.Identity(k.d), -1, ikh)
	dense.Mul(k.carry, ikh, k.a)
	k.consistency = k.ins.inverse(k.mInf, k.own)
	return nil
}

func (k *kalman) dims() (int, int)    { return k.n, k.d }
func (k *kalman) estimate() []float64 { return k.m }
func (k *kalman) health() (bool, float64) {
	return k.failed, k.innov
}

func (k *kalman) reset() {
	clear(k.m)
	k.started, k.failed, k.innov, k.logLikelihood = false, false, 0, 0
	if k.form == KalmanSteady {
		k.p.Copy(k.own)
		k.started = true
		return
	}
	k.p.Copy(k.s)
}

func (k *kalman) predict() {
	if k.started {
		dense.MulVec(k.pm, k.a, k.m)
		dense.Sandwich(k.pp, k.a, k.p, k.w, k.dd)
	} else {
		copy(k.pm, k.m)
		k.pp.Copy(k.p)
	}
	k.started = true
}

func (k *kalman) skip() {
	k.failed, k.innov, k.logLikelihood = false, 0, 0
	if k.form == KalmanSteady {
		dense.MulVec(k.pm, k.a, k.m)
		copy(k.m, k.pm)
		return
	}
	k.predict()
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
}

// precision sets p = (pp⁻¹ + H'R⁻¹H)⁻¹ and leaves pp⁻¹ in info.
func (k *kalman) precision() bool {
	if !dense.SPDInverse(k.info, k.l, k.pp) {
		return false
	}
	dense.Add(k.dn, k.info, 1, k.htrih)
	return dense.SPDInverse(k.p, k.l, k.dn)
}

func (k *kalman) update(x []float64) {
	k.failed, k.innov, k.logLikelihood = false, 0, 0
	switch k.form {
	case KalmanSteady:
		dense.MulVec(k.pm, k.a, k.m)
		dense.MulVec(k.v, k.carry, k.m)
		dense.MulVec(k.vx, k.gain, x)
		for i := range k.m {
			k.m[i] = k.v[i] + k.vx[i]
		}
		k.innov = k.ins.with(k.consistency, k.m, k.pm)
	case KalmanJoseph:
		k.predict()
		k.joseph(x)
		k.innov = k.ins.of(k.m, k.pm, k.pp, k.p)
	default:
		k.predict()
		if !k.precision() { // a prior at the edge of rounding: believe the prediction
			copy(k.m, k.pm)
			k.p.Copy(k.pp)
			k.failed = true
			return
		}
		dense.MulVec(k.v, k.info, k.pm)
		dense.MulVec(k.vx, k.htri, x)
		for i := range k.v {
			k.v[i] += k.vx[i]
		}
		dense.MulVec(k.m, k.p, k.v)
		k.innov = k.ins.of(k.m, k.pm, k.pp, k.p)
	}
}

func (k *kalman) joseph(x []float64) {
	d, n := k.d, k.n
	dense.MulT(k.jw, k.pp, k.h) // M H'
	dense.Mul(k.jv, k.h, k.jw)
	dense.Add(k.jv, k.jv, 1, k.r)
	dense.Symmetrize(k.jv)
	if !dense.Cholesky(k.jl, k.jv) {
		copy(k.m, k.pm)
		k.p.Copy(k.pp)
		k.failed = true
		return
	}
	k.jk.Copy(k.jw)
	for i := range d {
		dense.Solve(k.jl, k.jk.Row(i))
	}
	dense.MulVec(k.je, k.h, k.pm)
	for i := range k.je {
		k.je[i] = x[i] - k.je[i]
	}
	dense.MulVec(k.vx, k.jk, k.je)
	for i := range k.m {
		k.m[i] = k.pm[i] + k.vx[i]
	}
	dense.Mul(k.ikh, k.jk, k.h)
	for i := range d {
		for j := range d {
			v := -k.ikh.At(i, j)
			if i == j {
				v++
			}
			k.ikh.Set(i, j, v)
		}
	}
	dense.Mul(k.jw, k.jk, k.r)
	dense.MulT(k.info, k.jw, k.jk)
	dense.Sandwich(k.p, k.ikh, k.pp, k.info, k.dd)
	copy(k.js, k.je)
	dense.Forward(k.jl, k.js)
	k.logLikelihood = -0.5 * (dense.Dot(k.js, k.js) + dense.LogDet(k.jl) + float64(n)*math.Log(2*math.Pi))
}

func (k *kalman) snapshot(w *stream.StateWriter) {
	w.Bool(k.started)
	w.Floats(k.m)
	w.Floats(k.p.V)
}

func (k *kalman) restore(r *stream.StateReader) {
	k.started = r.Bool()
	r.Floats(k.m)
	r.Floats(k.p.V)
}

// innovation measures how far an update moved the state against how far it should
// have: (μ⁺-m)'(M-Σ⁺)⁻¹(μ⁺-m)/d, which is 1 on average when the model is right.
type innovation struct {
	d       int
	l, q, i *dense.M
	e, f    []float64
}

func (s *innovation) alloc(d int) {
	s.d = d
	s.l, s.q, s.i = dense.New(d, d), dense.New(d, d), dense.New(d, d)
	s.e, s.f = make([]float64, d), make([]float64, d)
}

// inverse returns (m - p)⁻¹, or nil when the update brings nothing.
func (s *innovation) inverse(m, p *dense.M) *dense.M {
	dense.Add(s.q, m, -1, p)
	out := dense.New(s.d, s.d)
	if !dense.SPDInverse(out, s.l, s.q) {
		return nil
	}
	return out
}

func (s *innovation) with(inv *dense.M, mean, pred []float64) float64 {
	if inv == nil {
		return 0
	}
	for i := range s.e {
		s.e[i] = mean[i] - pred[i]
	}
	dense.MulVec(s.f, inv, s.e)
	return dense.Dot(s.e, s.f) / float64(s.d)
}

func (s *innovation) of(mean, pred []float64, m, p *dense.M) float64 {
	dense.Add(s.q, m, -1, p)
	if !dense.SPDInverse(s.i, s.l, s.q) {
		return 0
	}
	return s.with(s.i, mean, pred)
}
