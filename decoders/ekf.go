package decoders

import (
	"errors"
	"fmt"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// nonlinear is z_t = g(z_{t-1}) + N(0,W), x_t = h(z_t) + N(0,R), z_0 ~ N(0,S), with
// Jacobians (d × d and n × d).
type nonlinear struct {
	d, n    int
	g, h    func(dst, z []float64)
	jg, jh  func(j *dense.M, z []float64)
	w, r, s *dense.M
}

func (m *nonlinear) check() error {
	if err := checkNoise(m.w, m.s); err != nil {
		return err
	}
	if !dense.Cholesky(m.r.Clone(), m.r) {
		return errors.New("noise covariance R is not positive definite: remove features that are constant or copies of each other")
	}
	return nil
}

// ekf linearises at the predicted mean and adds precisions, which is the gain form
// K = M H'(H M H' + R)⁻¹ rewritten for few states and many features. With iterations
// above 1 it relinearises at the estimate: Gauss–Newton steps to the posterior mode
// (Bell & Cathey 1993).
type ekf struct {
	nonlinear
	iterations int

	m, pm, nu, gv, b []float64
	p, pp, mi, prec  *dense.M
	f, fd, l         *dense.M
	hj, lj           *dense.M // ∂h/∂z and R⁻½ ∂h/∂z, n × d
	lr               *dense.M
	e, hv            []float64
	failed           bool
	innov            float64
	ins              innovation
}

func newEKF(m nonlinear, iterations int) (*ekf, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	d, n := m.d, m.n
	k := &ekf{nonlinear: m, iterations: max(1, iterations)}
	for _, v := range []*[]float64{&k.m, &k.pm, &k.nu, &k.gv, &k.b} {
		*v = make([]float64, d)
	}
	for _, v := range []**dense.M{&k.p, &k.pp, &k.mi, &k.prec, &k.f, &k.fd, &k.l} {
		*v = dense.New(d, d)
	}
	k.hj, k.lj, k.lr = dense.New(n, d), dense.New(d, n), dense.New(n, n)
	k.e, k.hv = make([]float64, n), make([]float64, n)
	dense.Cholesky(k.lr, m.r)
	k.ins.alloc(d)
	k.reset()
	return k, nil
}

func (k *ekf) dims() (int, int)        { return k.n, k.d }
func (k *ekf) estimate() []float64     { return k.m }
func (k *ekf) health() (bool, float64) { return k.failed, k.innov }

func (k *ekf) reset() {
	clear(k.m)
	k.p.Copy(k.s)
	k.failed, k.innov = false, 0
}

func (k *ekf) predict() {
	k.jg(k.f, k.m)
	k.nonlinear.g(k.pm, k.m)
	dense.Sandwich(k.pp, k.f, k.p, k.w, k.fd)
}

func (k *ekf) skip() {
	k.predict()
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
	k.failed, k.innov = false, 0
}

func (k *ekf) update(x []float64) {
	k.predict()
	k.failed = false
	copy(k.nu, k.pm)
	if !dense.SPDInverse(k.mi, k.l, k.pp) {
		k.giveUp()
		return
	}
	for range k.iterations {
		k.jh(k.hj, k.nu)
		k.h(k.hv, k.nu)
		for i := range k.d { // rows of lj = whitened columns of the Jacobian
			row := k.lj.Row(i)
			for j := range k.n {
				row[j] = k.hj.At(j, i)
			}
			dense.Forward(k.lr, row)
		}
		// x - h(ν) - H(m - ν), whitened
		for i := range k.b {
			k.b[i] = k.pm[i] - k.nu[i]
		}
		dense.MulVec(k.e, k.hj, k.b)
		for j := range k.e {
			k.e[j] = x[j] - k.hv[j] - k.e[j]
		}
		dense.Forward(k.lr, k.e)
		dense.MulT(k.prec, k.lj, k.lj)
		dense.Add(k.prec, k.prec, 1, k.mi)
		if !dense.SPDInverse(k.p, k.l, k.prec) {
			k.giveUp()
			return
		}
		dense.MulVec(k.b, k.lj, k.e)
		dense.MulVec(k.gv, k.p, k.b)
		for i := range k.nu {
			k.nu[i] = k.pm[i] + k.gv[i]
		}
	}
	copy(k.m, k.nu)
	k.innov = k.ins.of(k.m, k.pm, k.pp, k.p)
}

func (k *ekf) giveUp() {
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
	k.failed, k.innov = true, 0
}

func (k *ekf) snapshot(w *stream.StateWriter) { w.Floats(k.m); w.Floats(k.p.V) }
func (k *ekf) restore(r *stream.StateReader)  { r.Floats(k.m); r.Floats(k.p.V) }

// fromNetwork is the model of the EKF and UKF stages: linear dynamics, a network
// from kinematics to features, whose residual covariance is R.
func fromNetwork(m *tuningFile) (nonlinear, error) {
	dyn, err := m.filter(DKFRobust, "")
	if err != nil {
		return nonlinear{}, err
	}
	net := new(MLP)
	if err := net.load(&m.H); err != nil {
		return nonlinear{}, err
	}
	r, err := dense.From(m.R)
	if err != nil {
		return nonlinear{}, fmt.Errorf("model: R: %w", err)
	}
	d, n := net.dims()
	if dyn.d != d || r.R != n || r.C != n {
		return nonlinear{}, fmt.Errorf("model: the network maps %d to %d values, the state has %d and R is %d × %d", d, n, dyn.d, r.R, r.C)
	}
	a := dyn.a
	return nonlinear{
		d: d, n: n, w: dyn.g, r: r, s: dyn.s,
		g: func(dst, z []float64) { dense.MulVec(dst, a, z) }, jg: func(j *dense.M, _ []float64) { j.Copy(a) },
		h: net.Predict, jh: net.jacobian,
	}, nil
}
