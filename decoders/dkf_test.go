package decoders

import (
	"context"
	"math"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
)

// dkf_reduces_to_kf.json: with exact linear f and constant Q the DKF is the Kalman
// filter, for any prior; with regressed f and Q it is close.
func TestDKFReducesToKalman(t *testing.T) {
	g := readGolden(t, "dkf_reduces_to_kf")
	var a, gamma, s, h, lambda, x, z [][]float64
	for name, dst := range map[string]*[][]float64{"A": &a, "Gamma": &gamma, "S": &s, "H": &h, "Lambda": &lambda, "x": &x, "z": &z} {
		g.in(t, name, dst)
	}
	km := &KalmanModel{A: a, W: gamma, H: h, R: lambda, S: s}
	ktr, err := km.Filter(x, KalmanJoseph, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "kalman_mean", ktr.Mean)
	g.want(t, "kalman_cov_last", ktr.Cov[len(x)-1])

	// Q = (S⁻¹ + H'Λ⁻¹H)⁻¹, f = Q H'Λ⁻¹ x
	exact := func(s [][]float64) ([][]float64, [][][]float64) {
		k, err := newKalman(&KalmanModel{A: a, W: gamma, H: h, R: lambda, S: s}, "")
		if err != nil {
			t.Fatal(err)
		}
		d := k.d
		q, l, si := dense.New(d, d), dense.New(d, d), dense.New(d, d)
		dense.SPDInverse(si, l, k.s)
		dense.Add(si, si, 1, k.htrih)
		dense.SPDInverse(q, l, si)
		b, f := make([]float64, d), make([][]float64, len(x))
		for t := range x {
			f[t] = make([]float64, d)
			dense.MulVec(b, k.htri, x[t])
			dense.MulVec(f[t], q, b)
		}
		return f, [][][]float64{q.Rows()}
	}
	f, q := exact(s)
	g.want(t, "f", f)
	g.want(t, "Q", q[0])
	run := func(s [][]float64, f [][]float64, q [][][]float64, mode string) *DKFTrace {
		tr, err := (&DKFModel{a, gamma, s}).Filter(f, q, mode, "", true)
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr := run(s, f, q, DKFStandard)
	g.want(t, "dkf_mean", tr.Mean)
	g.want(t, "dkf_cov_last", tr.Cov[len(x)-1])
	for i := range tr.Mean {
		for j := range tr.Mean[i] {
			if math.Abs(tr.Mean[i][j]-ktr.Mean[i][j]) > 1e-12 {
				t.Fatalf("sample %d: DKF %v, Kalman %v", i, tr.Mean[i], ktr.Mean[i])
			}
		}
	}
	rb := run(s, f, q, DKFRobust)
	g.want(t, "robust_dkf_mean", rb.Mean)
	g.want(t, "robust_dkf_cov_last", rb.Cov[len(x)-1])

	var times float64
	g.ex(t, "other_prior_S_times", &times)
	s2, _ := dense.From(s)
	s2.Scale(times)
	f2, q2 := exact(s2.Rows())
	k2, err := (&DKFModel{a, gamma, s2.Rows()}).filter(DKFStandard, "")
	if err != nil {
		t.Fatal(err)
	}
	s1, _ := dense.From(s)
	k2.p.Copy(s1) // another prior in f, Q and the update, the same start
	var other [][]float64
	for i := range f2 {
		qm, _ := dense.From(q2[0])
		k2.update(f2[i], qm)
		other = append(other, append([]float64(nil), k2.m...))
	}
	g.want(t, "dkf_mean_with_other_prior", other)

	b, err := leastSquares(x, z)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "regressed/F", b.Rows())
	ql := residualCovariance(x, z, b)
	g.want(t, "regressed/Q", ql.Rows())
	fl := make([][]float64, len(x))
	for i := range x {
		fl[i] = make([]float64, b.R)
		dense.MulVec(fl[i], b, x[i])
	}
	rt := run(s, fl, [][][]float64{ql.Rows()}, DKFStandard)
	g.want(t, "regressed/dkf_mean", rt.Mean)
	g.exact(t, "regressed/fallback_steps", steps(rt.Fallback))
	g.want(t, "regressed/rms_difference_to_kalman", RMSE(rt.Mean, ktr.Mean))
}

func steps(b []bool) (out []int) {
	for i, v := range b {
		if v {
			out = append(out, i)
		}
	}
	return out
}

// dkf_nadaraya_watson.json: bandwidths, residual covariance regression, shrinkage,
// and the filter under every treatment of improper steps.
func TestDKFNadarayaWatsonGolden(t *testing.T) {
	g := readGolden(t, "dkf_nadaraya_watson")
	var a, gamma, s, fx, fz, qx, qz, x, z [][]float64
	for name, dst := range map[string]*[][]float64{
		"A": &a, "Gamma": &gamma, "S": &s, "f_train_x": &fx, "f_train_z": &fz,
		"q_train_x": &qx, "q_train_z": &qz, "test_x": &x, "test_z": &z,
	} {
		g.in(t, name, dst)
	}
	var grid, gridQ []float64
	var rho float64
	g.in(t, "f_bandwidth_grid", &grid)
	g.in(t, "q_bandwidth_grid", &gridQ)
	g.in(t, "q_shrinkage_to_constant", &rho)
	choose := func(k *NadarayaWatson, grid []float64) ([]float64, float64) {
		var loss []float64
		best := 0
		for i, s2 := range grid {
			loss = append(loss, k.LeaveOneOut(s2))
			if loss[i] < loss[best] {
				best = i
			}
		}
		return loss, grid[best]
	}
	f := new(NadarayaWatson)
	f.set(fx, fz, 1)
	loss, s2 := choose(f, grid)
	g.want(t, "f_loo_mse", loss)
	g.want(t, "f_bandwidth", s2)
	f.s2 = s2
	res := make([][]float64, len(qx))
	for i := range qx {
		res[i] = make([]float64, 2)
		f.Predict(res[i], qx[i])
		for j := range res[i] {
			res[i][j] = qz[i][j] - res[i][j]
		}
	}
	g.want(t, "q_residuals", res)
	outer, constant := outerProducts(res)
	g.want(t, "constant_Q/Q", constant.Rows())
	kq := new(NadarayaWatson)
	kq.set(qx, outer, 1)
	loss, sq := choose(kq, gridQ)
	g.want(t, "q_loo_mse", loss)
	g.want(t, "q_bandwidth", sq)
	kq.s2 = sq
	fs, kernel, shrunk := make([][]float64, len(x)), make([][][]float64, len(x)), make([][][]float64, len(x))
	for i := range x {
		fs[i] = make([]float64, 2)
		f.Predict(fs[i], x[i])
		q := dense.New(2, 2)
		kq.Predict(q.V, x[i])
		kernel[i] = q.Rows()
		shrink(q, constant, rho)
		shrunk[i] = q.Rows()
	}
	g.want(t, "f", fs)
	g.want(t, "Q_kernel", kernel)
	g.want(t, "Q", shrunk)
	g.want(t, "unfiltered_nrmse", NRMSE(fs, z))
	m := &DKFModel{a, gamma, s}
	for _, rule := range []string{FallbackPaper, FallbackReleased, FallbackClip, DKFRobust} {
		mode := DKFStandard
		if rule == DKFRobust {
			mode = DKFRobust
		}
		r := rule
		if rule == DKFRobust {
			r = ""
		}
		tr, err := m.Filter(fs, shrunk, mode, r, false)
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, "filter/"+rule+"/mean", tr.Mean)
		g.want(t, "filter/"+rule+"/cov", tr.Cov)
		g.want(t, "filter/"+rule+"/nrmse", NRMSE(tr.Mean, z))
		if rule != DKFRobust {
			g.exact(t, "fallback_steps", steps(tr.Fallback))
		}
	}
	tr, err := m.Filter(fs, [][][]float64{constant.Rows()}, DKFStandard, "", false)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "constant_Q/mean", tr.Mean)
	g.want(t, "constant_Q/nrmse", NRMSE(tr.Mean, z))
	g.exact(t, "constant_Q/fallback_steps", steps(tr.Fallback))
}

// A covariance that is not positive definite leaves the prediction and is counted.
func TestDKFImproperQ(t *testing.T) {
	i2 := [][]float64{{1, 0}, {0, 1}}
	m := &DKFModel{A: [][]float64{{0.9, 0}, {0, 0.9}}, Gamma: [][]float64{{0.19, 0}, {0, 0.19}}, S: i2}
	for name, q := range map[string][][]float64{
		"indefinite": {{1, 2}, {2, 1}}, "zero": {{0, 0}, {0, 0}}, "rank one": {{1, 1}, {1, 1}}, "negative": {{-1, 0}, {0, -1}},
	} {
		for _, mode := range []string{DKFStandard, DKFRobust} {
			for _, rule := range []string{FallbackPaper, FallbackReleased, FallbackClip} {
				good := [][]float64{{0.1, 0}, {0, 0.1}}
				tr, err := m.Filter([][]float64{{1, 2}, {9, 9}}, [][][]float64{good, q}, mode, rule, false)
				if err != nil {
					t.Fatal(err)
				}
				if !tr.Fallback[1] || math.Abs(tr.Mean[1][0]-0.9) > 1e-12 || math.Abs(tr.Mean[1][1]-1.8) > 1e-12 {
					t.Errorf("%s, %s, %s: fallback %v, mean %v", name, mode, rule, tr.Fallback[1], tr.Mean[1])
				}
			}
		}
	}
	if _, err := (&DKFModel{A: i2, Gamma: i2, S: [][]float64{{1, 1}, {1, 1}}}).Filter(i2, [][][]float64{i2}, DKFStandard, "", false); err == nil {
		t.Error("a singular S is accepted")
	}
}

// What cannot settle is refused with a reason: dynamics that grow without bound, and
// training that was stopped.
func TestDKFThatDoesNotConverge(t *testing.T) {
	i2 := [][]float64{{1, 0}, {0, 1}}
	m := &DKFModel{A: [][]float64{{3, 0}, {0, 3}}, Gamma: i2, S: i2}
	k, err := m.filter(DKFStandard, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.steady(dense.Identity(2)); err == nil || !strings.Contains(err.Error(), "does not converge") { // Q is S: an observation tells nothing
		t.Errorf("growing dynamics: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rows := reach(1, 400, 4)
	for _, f := range []string{DKFMLP, DKFNW, DKFGP, DKFSNN} {
		d := &DKF{F: f}
		if err := d.Fit(ctx, rows, nil); err == nil {
			t.Errorf("%s: training that was stopped is done", f)
		}
		if _, err := d.SaveModel(); err != ErrUntrained {
			t.Errorf("%s: a model of a stopped training", f)
		}
	}
}
