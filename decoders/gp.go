package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"neurostream/decoders/internal/dense"
)

// Kernels of a GaussianProcess.
const (
	KernelRBF = "rbf" // σ_f² exp(-|a-b|²/(2ℓ²)) (the default)
	KernelMK  = "mk"  // σ_f² times the mean over features of exp(-(a_i-b_i)²/(2ℓ²)): one wild feature of n changes it by at most σ_f²/n
)

// GaussianProcess is Gaussian-process regression without a mean function, one
// process per output (Rasmussen & Williams 2006, ch. 2 and 5; multiple kernel:
// Brandman et al. 2018). f(x) = k(x, X) α, α = (K + σ_n² I)⁻¹ z.
//
// Fit costs m³/3 per output, Predict 3mn operations and m exponentials per output
// whose hyper-parameters differ (m n exponentials for mk).
type GaussianProcess struct {
	Kernel   string // "rbf" (default) or "mk"
	Points   int    // training points used, evenly spread; 0 = 3000
	Inducing int    // > 0: sparse (DTC) mean over this many training points
	Octants  bool   // train on the mean of each of eight directions of a planar target
	// Hyper-parameters for all outputs; LengthScale 0 = maximise the evidence of
	// HyperPoints training points (0 = 500), per output.
	LengthScale, SignalVariance, NoiseVariance float64
	HyperPoints                                int

	like []gpOutput // take the hyper-parameters of these outputs

	n     int
	x     []float64 // m × n support points
	outs  []gpOutput
	at    *dense.Panels // x
	d2, w []float64     // m, padded to whole panels
	terms []float64     // 8 n, of the multiple kernel
}

type gpOutput struct {
	LengthScale    float64   `json:"length_scale"`
	SignalVariance float64   `json:"signal_variance"`
	NoiseVariance  float64   `json:"noise_variance"`
	Alpha          []float64 `json:"alpha"`
}

type gpFile struct {
	Kernel  string      `json:"kernel"`
	X       [][]float64 `json:"x"`
	Outputs []gpOutput  `json:"outputs"`
}

func (g *GaussianProcess) file() gpFile {
	return gpFile{g.kernel(), (&dense.M{R: len(g.x) / g.n, C: g.n, V: g.x}).Rows(), g.outs}
}

func (g *GaussianProcess) load(f *gpFile) error {
	if f.Kernel != KernelRBF && f.Kernel != KernelMK {
		return fmt.Errorf("process: kernel %q; known are %s and %s", f.Kernel, KernelRBF, KernelMK)
	}
	x, err := dense.From(f.X)
	if err != nil {
		return fmt.Errorf("process: points: %w", err)
	}
	if len(f.Outputs) == 0 {
		return errors.New("process: no outputs")
	}
	for i, o := range f.Outputs {
		if len(o.Alpha) != x.R || !(o.LengthScale > 0) || !(o.SignalVariance > 0) {
			return fmt.Errorf("process: output %d has %d weights for %d points, length %g, variance %g", i+1, len(o.Alpha), x.R, o.LengthScale, o.SignalVariance)
		}
		for _, v := range o.Alpha {
			if v-v != 0 {
				return fmt.Errorf("process: output %d has a weight that is not a number", i+1)
			}
		}
	}
	g.Kernel, g.n, g.x, g.outs = f.Kernel, x.C, x.V, f.Outputs
	g.at = dense.Pack(x)
	g.d2, g.w = make([]float64, g.at.Padded()), make([]float64, g.at.Padded())
	g.terms = make([]float64, 8*x.C)
	return nil
}

func (g *GaussianProcess) kernel() string {
	if g.Kernel == "" {
		return KernelRBF
	}
	return g.Kernel
}

// limit is the number of training points at most.
func (g *GaussianProcess) limit() int {
	if g.Points == 0 {
		return 3000
	}
	return g.Points
}

func (g *GaussianProcess) dims() (int, int) { return g.n, len(g.outs) }

// Fit learns hyper-parameters and weights. Duplicate points are harmless as long as
// the noise variance is positive.
func (g *GaussianProcess) Fit(ctx context.Context, x, z [][]float64, progress func(done, total int)) error {
	if err := checkExamples(x, z); err != nil {
		return err
	}
	if g.kernel() != KernelRBF && g.kernel() != KernelMK {
		return fmt.Errorf("kernel %q: choose %s or %s", g.Kernel, KernelRBF, KernelMK)
	}
	if g.Points < 0 || g.Inducing < 0 || g.HyperPoints < 0 {
		return fmt.Errorf("points %d, inducing %d, hyper points %d: none may be negative", g.Points, g.Inducing, g.HyperPoints)
	}
	if g.LengthScale < 0 || g.LengthScale > 0 && (!(g.SignalVariance > 0) || !(g.NoiseVariance > 0)) {
		return fmt.Errorf("length scale %g, signal variance %g, noise variance %g: give all three positive, or length scale 0 to fit them", g.LengthScale, g.SignalVariance, g.NoiseVariance)
	}
	x, z = spread(x, g.limit()), spread(z, g.limit())
	d := len(z[0])
	outs := make([]gpOutput, d)
	for j := range outs {
		outs[j] = gpOutput{LengthScale: g.LengthScale, SignalVariance: g.SignalVariance, NoiseVariance: g.NoiseVariance}
		if len(g.like) == d {
			outs[j] = g.like[j]
		} else if g.LengthScale == 0 {
			if err := g.maximiseEvidence(ctx, &outs[j], x, column(z, j)); err != nil {
				return fmt.Errorf("output %d: %w", j+1, err)
			}
		}
		if progress != nil {
			progress(j+1, 2*d)
		}
	}
	if g.Octants {
		if d != 2 {
			return fmt.Errorf("octants need a planar target, this one has %d values", d)
		}
		_, x, z = octants(x, z)
	}
	support := x
	if g.Inducing > 0 {
		support = spread(x, g.Inducing)
	}
	for j := range outs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var err error
		if g.Inducing > 0 {
			err = g.solveSparse(&outs[j], x, support, column(z, j))
		} else {
			err = g.solveExact(&outs[j], x, column(z, j))
		}
		if err != nil {
			return fmt.Errorf("output %d: %w", j+1, err)
		}
		if progress != nil {
			progress(d+j+1, 2*d)
		}
	}
	return g.load(&gpFile{g.kernel(), support, outs})
}

// spread returns at most limit rows, evenly spaced.
func spread(x [][]float64, limit int) [][]float64 {
	if len(x) <= limit {
		return x
	}
	out := make([][]float64, limit)
	for i := range out {
		out[i] = x[i*len(x)/limit]
	}
	return out
}

func column(z [][]float64, j int) []float64 {
	out := make([]float64, len(z))
	for t := range z {
		out[t] = z[t][j]
	}
	return out
}

// octants averages features and targets over the eight target directions k·45°
// ± 22.5° and returns the octant of each row and the means of those in use.
func octants(x, z [][]float64) (index []int, mx, mz [][]float64) {
	var sx, sz [8][]float64
	var count [8]int
	for t := range z {
		turn := (math.Atan2(z[t][1], z[t][0]) + math.Pi/8) / (2 * math.Pi)
		k := min(7, int((turn-math.Floor(turn))*8))
		index = append(index, k)
		if count[k]++; count[k] == 1 {
			sx[k], sz[k] = make([]float64, len(x[t])), make([]float64, 2)
		}
		for i, v := range x[t] {
			sx[k][i] += v
		}
		for i, v := range z[t] {
			sz[k][i] += v
		}
	}
	for k := range sx {
		if count[k] == 0 {
			continue
		}
		for i := range sx[k] {
			sx[k][i] /= float64(count[k])
		}
		for i := range sz[k] {
			sz[k][i] /= float64(count[k])
		}
		mx, mz = append(mx, sx[k]), append(mz, sz[k])
	}
	return index, mx, mz
}

// k evaluates the kernel and, with slope non-nil, its derivative by log ℓ.
func (o *gpOutput) k(kernel string, a, b []float64, slope *float64) float64 {
	l2 := o.LengthScale * o.LengthScale
	if kernel == KernelRBF {
		d2 := dense.Distance2(a, b) / l2
		v := o.SignalVariance * math.Exp(-0.5*d2)
		if slope != nil {
			*slope = v * d2
		}
		return v
	}
	s, ds := 0.0, 0.0
	for i, u := range a {
		d2 := (u - b[i]) * (u - b[i]) / l2
		e := math.Exp(-0.5 * d2)
		s += e
		ds += float64(e * d2)
	}
	if slope != nil {
		*slope = o.SignalVariance * ds / float64(len(a))
	}
	return o.SignalVariance * s / float64(len(a))
}

// gram fills K + σ_n² I.
func (g *GaussianProcess) gram(o *gpOutput, x [][]float64) *mat.SymDense {
	k := mat.NewSymDense(len(x), nil)
	for i := range x {
		for j := i; j < len(x); j++ {
			k.SetSym(i, j, o.k(g.kernel(), x[i], x[j], nil))
		}
		k.SetSym(i, i, k.At(i, i)+o.NoiseVariance)
	}
	return k
}

func factor(k *mat.SymDense) (*mat.Cholesky, error) {
	c := new(mat.Cholesky)
	if !c.Factorize(k) {
		return nil, errors.New("the kernel matrix is singular: raise the noise variance")
	}
	return c, nil
}

func (g *GaussianProcess) solveExact(o *gpOutput, x [][]float64, z []float64) error {
	c, err := factor(g.gram(o, x))
	if err != nil {
		return err
	}
	a := mat.NewVecDense(len(z), nil)
	if err := c.SolveVecTo(a, mat.NewVecDense(len(z), z)); err != nil {
		return fmt.Errorf("the kernel matrix is close to singular: raise the noise variance (%w)", err)
	}
	o.Alpha = a.RawVector().Data
	return nil
}

// solveSparse is the projected process: α = (σ_n² K_UU + K_UX K_XU)⁻¹ K_UX z.
func (g *GaussianProcess) solveSparse(o *gpOutput, x, u [][]float64, z []float64) error {
	m := len(u)
	kux := mat.NewDense(m, len(x), nil)
	for i := range u {
		for t := range x {
			kux.Set(i, t, o.k(g.kernel(), u[i], x[t], nil))
		}
	}
	b := mat.NewSymDense(m, nil)
	b.SymOuterK(1, kux)
	for i := range u {
		for j := i; j < m; j++ {
			b.SetSym(i, j, b.At(i, j)+o.NoiseVariance*o.k(g.kernel(), u[i], u[j], nil))
		}
	}
	for i := range u { // rounding only: U may hold near-duplicates
		b.SetSym(i, i, b.At(i, i)*(1+1e-12))
	}
	c, err := factor(b)
	if err != nil {
		return err
	}
	r, a := mat.NewVecDense(m, nil), mat.NewVecDense(m, nil)
	r.MulVec(kux, mat.NewVecDense(len(z), z))
	if err := c.SolveVecTo(a, r); err != nil {
		var cond mat.Condition
		if !errors.As(err, &cond) {
			return err
		}
	}
	o.Alpha = a.RawVector().Data
	return nil
}

// LeaveOneOut returns, for one output with its hyper-parameters, the residual and
// the predictive variance of every training point when it is left out, in closed
// form: r_i = [K̃⁻¹z]_i/[K̃⁻¹]_ii, v_i = 1/[K̃⁻¹]_ii.
func (g *GaussianProcess) LeaveOneOut(output int, x, z [][]float64) (residual, variance []float64, err error) {
	o := &g.outs[output]
	c, err := factor(g.gram(o, x))
	if err != nil {
		return nil, nil, err
	}
	var inv mat.SymDense
	if err := c.InverseTo(&inv); err != nil {
		return nil, nil, err
	}
	a := mat.NewVecDense(len(x), nil)
	a.MulVec(&inv, mat.NewVecDense(len(x), column(z, output)))
	residual, variance = make([]float64, len(x)), make([]float64, len(x))
	for i := range x {
		variance[i] = 1 / inv.At(i, i)
		residual[i] = a.AtVec(i) * variance[i]
	}
	return residual, variance, nil
}

// Variance returns the posterior variance of the latent function at xs.
func (g *GaussianProcess) Variance(output int, x, xs [][]float64) ([]float64, error) {
	o := &g.outs[output]
	c, err := factor(g.gram(o, x))
	if err != nil {
		return nil, err
	}
	out, k, a := make([]float64, len(xs)), mat.NewVecDense(len(x), nil), mat.NewVecDense(len(x), nil)
	for t := range xs {
		for i := range x {
			k.SetVec(i, o.k(g.kernel(), xs[t], x[i], nil))
		}
		if err := c.SolveVecTo(a, k); err != nil {
			return nil, err
		}
		out[t] = o.k(g.kernel(), xs[t], xs[t], nil) - mat.Dot(k, a)
	}
	return out, nil
}

// pairs returns the squared distances of all pairs i ≤ j, for the RBF kernel.
func (g *GaussianProcess) pairs(x [][]float64) []float64 {
	if g.kernel() != KernelRBF {
		return nil
	}
	var out []float64
	for i := range x {
		for j := i; j < len(x); j++ {
			out = append(out, dense.Distance2(x[i], x[j]))
		}
	}
	return out
}

// evidence returns the log marginal likelihood and, with grad non-nil, its gradient
// by log ℓ, log σ_f² and log σ_n². d2 is what pairs(x) returned.
func (g *GaussianProcess) evidence(o *gpOutput, x [][]float64, d2, z, grad []float64) (float64, error) {
	m := len(x)
	k, slopes := mat.NewSymDense(m, nil), make([]float64, 0, m*(m+1)/2)
	inv2 := 1 / (o.LengthScale * o.LengthScale)
	for i := range m {
		for j := i; j < m; j++ {
			var v, slope float64
			if d2 != nil {
				e := d2[len(slopes)] * inv2
				v = o.SignalVariance * math.Exp(-0.5*e)
				slope = v * e
			} else {
				v = o.k(KernelMK, x[i], x[j], &slope)
			}
			slopes = append(slopes, slope)
			k.SetSym(i, j, v)
		}
		k.SetSym(i, i, k.At(i, i)+o.NoiseVariance)
	}
	c, err := factor(k)
	if err != nil {
		return math.Inf(-1), err
	}
	a := mat.NewVecDense(m, nil)
	if err := c.SolveVecTo(a, mat.NewVecDense(m, z)); err != nil {
		return math.Inf(-1), err
	}
	l := -0.5*mat.Dot(a, mat.NewVecDense(m, z)) - 0.5*c.LogDet() - 0.5*float64(m)*math.Log(2*math.Pi)
	if grad == nil {
		return l, nil
	}
	var inv mat.SymDense
	if err := c.InverseTo(&inv); err != nil {
		return math.Inf(-1), err
	}
	clear(grad)
	at := 0
	for i := range m {
		for j := i; j < m; j++ {
			v := k.At(i, j)
			q := a.AtVec(i)*a.AtVec(j) - inv.At(i, j) // each pair counts twice, times ½
			if i == j {
				q *= 0.5
				v -= o.NoiseVariance
				grad[2] += q * o.NoiseVariance
			}
			grad[0] += q * slopes[at]
			grad[1] += q * v
			at++
		}
	}
	return l, nil
}

func (g *GaussianProcess) maximiseEvidence(ctx context.Context, o *gpOutput, x [][]float64, z []float64) error {
	limit := g.HyperPoints
	if limit == 0 {
		limit = 500
	}
	zz := make([][]float64, len(z))
	for i, v := range z {
		zz[i] = []float64{v}
	}
	x, z = spread(x, limit), column(spread(zz, limit), 0)
	power, far := dense.Dot(z, z)/float64(len(z)), 0.0
	for i := range x {
		far += dense.Distance2(x[i], x[(i*7919+1)%len(x)])
	}
	far /= float64(len(x))
	if !(power > 0) || !(far > 0) {
		return errors.New("the training points or their targets are all the same")
	}
	if g.kernel() == KernelMK {
		far /= float64(len(x[0]))
	}
	start := []float64{0.5 * math.Log(far), math.Log(power), math.Log(0.3 * power)}
	d2 := g.pairs(x)
	try := gpOutput{}
	set := func(p []float64) bool {
		for i, v := range p {
			if math.Abs(v-start[i]) > 14 {
				return false
			}
		}
		try = gpOutput{LengthScale: math.Exp(p[0]), SignalVariance: math.Exp(p[1]), NoiseVariance: math.Exp(p[2])}
		return true
	}
	res, err := optimize.Minimize(optimize.Problem{
		Func: func(p []float64) float64 {
			if !set(p) {
				return math.Inf(1)
			}
			l, _ := g.evidence(&try, x, d2, z, nil)
			return -l / float64(len(x))
		},
		Grad: func(grad, p []float64) {
			set(p)
			g.evidence(&try, x, d2, z, grad)
			for i := range grad {
				grad[i] /= -float64(len(x))
			}
		},
	}, append([]float64(nil), start...), &optimize.Settings{
		MajorIterations: 30, Converger: &optimize.FunctionConverge{Absolute: 1e-4, Iterations: 2},
		Recorder: stepRecorder{ctx: ctx},
	}, &optimize.LBFGS{})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if res == nil || res.F-res.F != 0 {
		return fmt.Errorf("the evidence could not be maximised: %w", err)
	}
	set(res.X)
	o.LengthScale, o.SignalVariance, o.NoiseVariance = try.LengthScale, try.SignalVariance, try.NoiseVariance
	return nil
}

// Predict sets dst to f(x).
func (g *GaussianProcess) Predict(dst, x []float64) {
	if g.Kernel != KernelMK {
		g.at.Distances(g.d2, x)
	}
	for j := range g.outs {
		o := &g.outs[j]
		if j == 0 || o.LengthScale != g.outs[j-1].LengthScale {
			g.similarities(x, o.LengthScale)
		}
		dst[j] = o.SignalVariance * dense.Dot(o.Alpha, g.w[:len(o.Alpha)])
	}
}

// similarities fills w with the kernel of unit variance.
func (g *GaussianProcess) similarities(x []float64, length float64) {
	s := -0.5 / (length * length)
	if g.Kernel != KernelMK {
		dense.Exp(g.w, g.d2, s)
		return
	}
	for k := range len(g.w) / 8 {
		g.at.MeanExp((*dense.Vec)(g.w[8*k:]), k, x, s, g.terms)
	}
}
