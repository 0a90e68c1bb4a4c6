package decoders

import (
	"context"
	"math"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
	"neurostream/stream/streamtest"
)

// ekf_ukf.json: the extended and the unscented filter on a small nonlinear model.
func TestEKFAndUKFGolden(t *testing.T) {
	g := readGolden(t, "ekf_ukf")
	var a, w, r, p0, x [][]float64
	for name, dst := range map[string]*[][]float64{"A": &a, "W": &w, "R": &r, "initial_cov": &p0, "x": &x} {
		g.in(t, name, dst)
	}
	m := nonlinear{
		d: 2, n: 3,
		g: func(dst, z []float64) {
			dst[0] = a[0][0]*z[0] + a[0][1]*z[1] + 0.1*math.Sin(z[1])
			dst[1] = a[1][0]*z[0] + a[1][1]*z[1] + 0.1*math.Sin(z[0])
		},
		jg: func(j *dense.M, z []float64) {
			j.V[0], j.V[1] = a[0][0], a[0][1]+0.1*math.Cos(z[1])
			j.V[2], j.V[3] = a[1][0]+0.1*math.Cos(z[0]), a[1][1]
		},
		h: func(dst, z []float64) {
			dst[0], dst[1], dst[2] = math.Sin(z[0]), 0.5*z[0]*z[1]+z[1], math.Tanh(z[1])
		},
		jh: func(j *dense.M, z []float64) {
			th := math.Tanh(z[1])
			copy(j.V, []float64{math.Cos(z[0]), 0, 0.5 * z[1], 0.5*z[0] + 1, 0, 1 - th*th})
		},
	}
	m.w, _ = dense.From(w)
	m.r, _ = dense.From(r)
	m.s, _ = dense.From(p0)
	run := func(k tracker, p *dense.M) (means [][]float64, covs [][][]float64) {
		for _, row := range x {
			k.update(row)
			if bad, _ := k.health(); bad {
				t.Fatal("the filter gave up")
			}
			means, covs = append(means, append([]float64(nil), k.estimate()...)), append(covs, p.Rows())
		}
		return means, covs
	}
	e, err := newEKF(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	means, covs := run(e, e.p)
	g.want(t, "ekf/mean", means)
	g.want(t, "ekf/cov", covs)
	var z [][]float64
	g.in(t, "z_true", &z)
	g.want(t, "rmse/ekf", RMSE(means, z))
	for name, p := range map[string][3]float64{"ukf_alpha0.5_beta2_kappa1": {0.5, 2, 1}, "ukf_alpha1_beta0_kappa0": {1, 0, 0}} {
		u, err := newUKF(m, p[0], p[1], p[2])
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, name+"/weights_mean", u.wm)
		g.want(t, name+"/weights_cov", u.wc)
		means, covs := run(u, u.p)
		g.want(t, name+"/mean", means)
		g.want(t, name+"/cov", covs)
		if p[0] == 0.5 {
			g.want(t, "rmse/ukf", RMSE(means, z))
		}
	}
}

// The Jacobian of the network agrees with differences, and more iterations of the
// EKF never raise the posterior's negative log density.
func TestEKFIterates(t *testing.T) {
	rows := reach(8, 800, 4)
	k := &EKF{Hidden: 6, Seed: 3}
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	m, err := fromNetwork(k.model)
	if err != nil {
		t.Fatal(err)
	}
	j, z := dense.New(4, 2), []float64{0.7, -1.2}
	m.jh(j, z)
	up, down := make([]float64, 4), make([]float64, 4)
	for i := range z {
		const h = 1e-6
		z[i] += h
		m.h(up, z)
		z[i] -= 2 * h
		m.h(down, z)
		z[i] += h
		for o := range up {
			if num := (up[o] - down[o]) / (2 * h); math.Abs(num-j.At(o, i)) > 1e-7 {
				t.Errorf("∂h%d/∂z%d is %v, differences say %v", o, i, j.At(o, i), num)
			}
		}
	}
	cost := func(iter int) float64 {
		f, _ := newEKF(m, iter)
		x := []float64{2.5, -2.5, 2, 1}
		f.predict()
		mi := dense.New(2, 2)
		dense.SPDInverse(mi, dense.New(2, 2), f.pp)
		f.update(x)
		hx, e, b := make([]float64, 4), make([]float64, 2), make([]float64, 2)
		m.h(hx, f.m)
		for i := range hx {
			hx[i] = x[i] - hx[i]
		}
		dense.Forward(f.lr, hx)
		for i := range e {
			e[i] = f.m[i] - f.pm[i]
		}
		dense.MulVec(b, mi, e)
		return dense.Dot(hx, hx) + dense.Dot(e, b)
	}
	if one, ten := cost(1), cost(10); ten > one+1e-9 {
		t.Errorf("cost %v after one iteration, %v after ten", one, ten)
	}
}

func TestEKFAndUKFContract(t *testing.T) {
	rows := reach(1, 600, 5)
	for name, fresh := range map[string]func() Fitter{
		"ekf":      func() Fitter { return &EKF{Hidden: 4, Health: true} },
		"iterated": func() Fitter { return &EKF{Hidden: 4, Iterations: 3} },
		"ukf":      func() Fitter { return &UKF{Hidden: 4, Health: true} },
		"cubature": func() Fitter { return &UKF{Hidden: 4, Cubature: true} },
	} {
		t.Run(name, func(t *testing.T) {
			streamtest.Contract(t, streamtest.Case{
				New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Memory: 250, Signal: signalOf(rows), Tolerance: 1e-2,
			})
			got := decode(t, fitted(t, fresh(), rows, fresh)(), rows)
			for i := range got {
				got[i] = got[i][:2]
			}
			if c := Correlation(got, rows.Target); c[0] < 0.8 || c[1] < 0.8 {
				t.Errorf("correlation %v", c)
			}
		})
	}
}

func TestEKFRefusals(t *testing.T) {
	rows := reach(3, 100, 40)
	if err := new(EKF).Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), "held-out") {
		t.Errorf("too few rows: %v", err)
	}
	rows = reach(3, 600, 4)
	k := &EKF{Hidden: 4, Iterations: 99}
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(rows.Header); err == nil {
		t.Error("99 iterations are accepted")
	}
	u := &UKF{Alpha: 7, tuning: k.tuning}
	if _, err := u.Open(rows.Header); err == nil {
		t.Error("alpha 7 is accepted")
	}
}
