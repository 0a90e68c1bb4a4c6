package decoders

import (
	"context"
	"math"
	"strings"
	"testing"
)

// gp_regression.json: exact, multiple-kernel, sparse and octant means, variance,
// evidence and closed-form leave-one-out.
func TestGPGolden(t *testing.T) {
	g := readGolden(t, "gp_regression")
	var x, z, xs [][]float64
	var sf2, ell, sn2, offset float64
	var inducing, dim int
	g.in(t, "train_x", &x)
	g.in(t, "train_y", &z)
	g.in(t, "test_x", &xs)
	g.in(t, "signal_variance", &sf2)
	g.in(t, "length_scale", &ell)
	g.in(t, "noise_variance", &sn2)
	g.in(t, "inducing_points", &inducing)
	g.in(t, "offset_dimension", &dim)
	g.in(t, "offset", &offset)
	fit := func(p GaussianProcess, x, z [][]float64) *GaussianProcess {
		p.LengthScale, p.SignalVariance, p.NoiseVariance = ell, sf2, sn2
		if err := p.Fit(context.Background(), x, z, nil); err != nil {
			t.Fatal(err)
		}
		return &p
	}
	means := func(p *GaussianProcess, xs [][]float64) [][]float64 {
		out := make([][]float64, len(xs))
		for i := range xs {
			out[i] = make([]float64, 2)
			p.Predict(out[i], xs[i])
		}
		return out
	}
	alpha := func(p *GaussianProcess) [][]float64 {
		out := make([][]float64, len(p.outs[0].Alpha))
		for i := range out {
			out[i] = []float64{p.outs[0].Alpha[i], p.outs[1].Alpha[i]}
		}
		return out
	}
	rbf := fit(GaussianProcess{}, x, z)
	g.want(t, "rbf/mean", means(rbf, xs))
	g.want(t, "rbf/alpha", alpha(rbf))
	v, err := rbf.Variance(0, x, xs)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "rbf/variance_of_latent_f", v)
	var lml []float64
	res := make([][]float64, len(x))
	for j := range 2 {
		l, err := rbf.evidence(&rbf.outs[j], x, rbf.pairs(x), column(z, j), nil)
		if err != nil {
			t.Fatal(err)
		}
		lml = append(lml, l)
		r, variance, err := rbf.LeaveOneOut(j, x, z)
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, "rbf/loo_variance", variance)
		for i := range r {
			res[i] = append(res[i], r[i])
		}
	}
	g.want(t, "rbf/log_marginal_likelihood", lml)
	g.want(t, "rbf/loo_residual", res)

	mk := fit(GaussianProcess{Kernel: KernelMK}, x, z)
	g.want(t, "mk/mean", means(mk, xs))
	g.want(t, "mk/alpha", alpha(mk))
	g.want(t, "mk/kernel_test0_train0", mk.outs[0].k(KernelMK, xs[0], x[0], nil))
	moved := make([][]float64, len(xs))
	for i := range xs {
		moved[i] = append([]float64(nil), xs[i]...)
		moved[i][dim] += offset
	}
	g.want(t, "one_dimension_offset/rbf_mean", means(rbf, moved))
	g.want(t, "one_dimension_offset/mk_mean", means(mk, moved))
	g.want(t, "one_dimension_offset/mk_kernel_of_x_with_offset_x", mk.outs[0].k(KernelMK, xs[0], moved[0], nil))

	// the vector takes the first points as inducing ones
	sparse := fit(GaussianProcess{}, x, z)
	for j := range sparse.outs {
		if err := sparse.solveSparse(&sparse.outs[j], x, x[:inducing], column(z, j)); err != nil {
			t.Fatal(err)
		}
	}
	if err := sparse.load(&gpFile{KernelRBF, x[:inducing], sparse.outs}); err != nil {
		t.Fatal(err)
	}
	g.want(t, "sparse_dtc_mean", means(sparse, xs))

	oct := fit(GaussianProcess{Kernel: KernelMK, Octants: true}, x, z)
	index, mx, mz := octants(x, z)
	g.exact(t, "octants/index_per_sample", index)
	g.want(t, "octants/mean_x", mx)
	g.want(t, "octants/mean_y", mz)
	g.want(t, "octants/mk_alpha", alpha(oct))
	g.want(t, "octants/mk_mean", means(oct, xs))
}

// The gradient of the evidence agrees with differences, and maximising it finds
// parameters no worse than those the data were made with.
func TestGPEvidence(t *testing.T) {
	rows := reach(5, 160, 3)
	var c conditioning
	c, err := learnConditioning(rows, false)
	if err != nil {
		t.Fatal(err)
	}
	x, z := c.apply(rows, 3)
	y := column(z, 0)
	for _, kernel := range []string{KernelRBF, KernelMK} {
		g := &GaussianProcess{Kernel: kernel}
		p := []float64{0.3, 1.1, -0.4}
		at := func(p []float64) *gpOutput {
			return &gpOutput{LengthScale: math.Exp(p[0]), SignalVariance: math.Exp(p[1]), NoiseVariance: math.Exp(p[2])}
		}
		grad := make([]float64, 3)
		start, err := g.evidence(at(p), x, g.pairs(x), y, grad)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			const h = 1e-5
			q := append([]float64(nil), p...)
			q[i] += h
			up, _ := g.evidence(at(q), x, g.pairs(x), y, nil)
			q[i] -= 2 * h
			down, _ := g.evidence(at(q), x, g.pairs(x), y, nil)
			if num := (up - down) / (2 * h); math.Abs(num-grad[i]) > 1e-5*(1+math.Abs(num)) {
				t.Errorf("%s: derivative %d is %v, differences say %v", kernel, i, grad[i], num)
			}
		}
		o := new(gpOutput)
		if err := g.maximiseEvidence(context.Background(), o, x, y); err != nil {
			t.Fatal(err)
		}
		if best, _ := g.evidence(o, x, g.pairs(x), y, nil); best <= start {
			t.Errorf("%s: maximised evidence %v is no better than %v", kernel, best, start)
		}
	}
}

func TestGPRefusals(t *testing.T) {
	x, z := [][]float64{{1}, {1}, {1}}, [][]float64{{1}, {2}, {3}}
	for name, c := range map[string]struct {
		g    GaussianProcess
		want string
	}{
		"kernel":   {GaussianProcess{Kernel: "best"}, "choose"},
		"same":     {GaussianProcess{}, "all the same"},
		"noise":    {GaussianProcess{LengthScale: 1, SignalVariance: 1}, "all three"},
		"plane":    {GaussianProcess{Octants: true, LengthScale: 1, SignalVariance: 1, NoiseVariance: 1}, "planar"},
		"singular": {GaussianProcess{LengthScale: 1, SignalVariance: 1, NoiseVariance: 1e-300}, "singular"},
	} {
		if err := c.g.Fit(context.Background(), x, z, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
