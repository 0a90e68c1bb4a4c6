package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Regressions that a DKF can use for f(x) = E[z|x].
const (
	DKFGP       = "gp"        // exact Gaussian process (the default)
	DKFSparseGP = "sparse-gp" // with Inducing points
	DKFMKGP     = "mk-gp"     // multiple kernel: one wild feature cannot do much harm
	DKFNW       = "nw"        // Nadaraya–Watson
	DKFMLP      = "mlp"       // one hidden layer of tanh units
	DKFLinear   = "linear"    // least squares
	DKFSNN      = "snn"       // spiking network, see SNN
)

// regression is a fitted f.
type regression interface {
	dims() (features, outputs int)
	Predict(dst, x []float64)
}

// recurrent is an f that remembers earlier columns.
type recurrent interface {
	regression
	reset()
	snapshot(w *stream.StateWriter)
	restore(r *stream.StateReader)
}

// DKF is the Discriminative Kalman Filter: kinematics from features through a
// learned f(x) = E[z|x] and Q(x) = Var[z|x] instead of a model of the features.
//
//	m = A μ, M = A Σ A' + Γ;  Σ⁺ = (Q⁻¹ + M⁻¹ - S⁻¹)⁻¹;  μ⁺ = Σ⁺ (Q⁻¹ f(x) + M⁻¹ m)
//
// The update takes every f(x) for new evidence, and f for the shrunk regression that
// E[z|x] is. A history makes columns overlap, and an f fitted to few rows is not shrunk:
// where such a filter overshoots, cross-validation shows it; use mode robust, less
// history, more l2, or [Kalman].
//
// Guards: eigenvalues of Q at least 1e-4 tr(S)/d; kernel Q shrunk to the constant
// one; |f| at most the 99.9 % quantile of the training |z|; a column with an unusable
// row is predicted only; improper steps fall back and are counted. Outputs as
// [Kalman]. Cost per column: f, and 10 d³ operations (3 d² for constant-q).
//
// Source: Burkhart et al., Neural Computation 32:969 (2020); Brandman et al., Neural
// Computation 30:2986 (2018).
type DKF struct {
	F        string // "gp" (default), "sparse-gp", "mk-gp", "nw", "mlp", "linear" or "snn"
	Mode     string // "constant-q" (default), "standard", "robust" or "unfiltered"
	Q        string // for standard and robust: "constant" (default) or "kernel"
	Fallback string // "paper" (default), "released" or "clip"
	History  int    // columns that f sees, this one included; 0 = 1

	Points    int     // gp: training points at most; 0 = 3000
	Inducing  int     // sparse-gp: inducing points; 0 = 200
	Octants   bool    // mk-gp: train on the means of eight directions
	Bandwidth float64 // nw: s²; 0 = leave-one-out
	Hidden    int     // mlp: units; 0 = 10. snn: 0 = 64
	L2        float64 // mlp: penalty; 0 = 1e-3
	Epochs    int     // snn: at most; 0 = 60
	Seed      uint64  // mlp, snn
	Shrink    float64 // share of the constant Q in a kernel Q; 0 = 0.05, negative = 0

	Residuals string // what Q is learned from: "holdout" (default: 3 of 10 blocks) or "leave-one-out" (nw, exact gp)

	Raw      bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Health   bool    // add rows "fallbacks" (per second) and "innovation"

	track
	model *dkfFile
}

var _ Fitter = (*DKF)(nil)

type dkfFile struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	conditioning
	History int `json:"history"`
	DKFModel
	Q       [][]float64     `json:"Q"`
	Cap     float64         `json:"cap"` // largest |f|
	Linear  [][]float64     `json:"linear,omitempty"`
	NW      *nwFile         `json:"nw,omitempty"`
	GP      *gpFile         `json:"gp,omitempty"`
	MLP     *mlpFile        `json:"mlp,omitempty"`
	SNN     json.RawMessage `json:"snn,omitempty"`
	KernelQ *nwFile         `json:"kernel_q,omitempty"`
}

// Fit learns f on seven of ten blocks of time (or of groups), Q from the residuals on
// the other three, and then f again on everything.
func (k *DKF) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	if err := k.check(); err != nil {
		return err
	}
	limit, err := saturation(k.Saturate)
	if err != nil {
		return err
	}
	c, err := learnConditioning(rows, k.Raw)
	if err != nil {
		return err
	}
	x, z := c.apply(rows, limit)
	m := &dkfFile{Format: 1, Kind: "dkf", conditioning: c, History: max(1, k.History)}
	dyn, err := FitDKFModel(z, rows.Group)
	if err != nil {
		return err
	}
	m.DKFModel = *dyn
	m.Cap = quantile(norms(z), 0.999)
	x = embed(x, rows.Group, m.History)

	var where []int // rows of the residuals
	var res [][]float64
	var f regression
	if k.Residuals == "leave-one-out" {
		res, f, err = k.leaveOneOut(ctx, x, z)
		for i := range res {
			where = append(where, i)
		}
	} else {
		res, where, f, err = k.holdOut(ctx, x, z, rows.Group, half(progress, 0))
	}
	if err != nil {
		return err
	}
	outer, constant := outerProducts(res)
	m.Q = constant.Rows()
	if k.Q == "kernel" {
		q := new(NadarayaWatson)
		if err := q.Fit(ctx, pick(x, where), outer, nil); err != nil {
			return fmt.Errorf("kernel Q: %w", err)
		}
		f := q.file()
		m.KernelQ = &f
	}
	f, err = k.regress(ctx, x, z, rows.Group, f, half(progress, 1))
	if err != nil {
		return err
	}
	if err := m.store(f); err != nil {
		return err
	}
	if _, err := m.build(k); err != nil {
		return err
	}
	k.model = m
	return ctx.Err()
}

func (k *DKF) check() error {
	oneOf := func(name, v string, allowed ...string) error {
		for _, a := range allowed {
			if v == a || v == "" {
				return nil
			}
		}
		return fmt.Errorf("%s %q: choose one of %v", name, v, allowed)
	}
	for _, err := range []error{
		oneOf("f", k.F, DKFGP, DKFSparseGP, DKFMKGP, DKFNW, DKFMLP, DKFLinear, DKFSNN),
		oneOf("mode", k.Mode, DKFConstantQ, DKFStandard, DKFRobust, DKFNone),
		oneOf("q", k.Q, "constant", "kernel"),
		oneOf("fallback", k.Fallback, FallbackPaper, FallbackReleased, FallbackClip),
		oneOf("residuals", k.Residuals, "holdout", "leave-one-out"),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case k.History < 0 || k.History > 256:
		return fmt.Errorf("history %d columns: give 1 to 256", k.History)
	case k.Shrink > 1 || k.Shrink != k.Shrink:
		return fmt.Errorf("shrink %v: give a share of 0 to 1", k.Shrink)
	case k.Q == "kernel" && (k.Mode == "" || k.Mode == DKFConstantQ):
		return errors.New("q kernel needs mode standard or robust: constant-q uses one Q")
	case k.Residuals == "leave-one-out" && k.F != DKFNW && k.F != DKFGP && k.F != "":
		return fmt.Errorf("residuals leave-one-out are known for nw and gp only, not for %s", k.F)
	}
	return nil
}

// embed appends to every row the rows before it in its group, newest first; where
// there are none, the oldest one is repeated.
func embed(x [][]float64, group []int, history int) [][]float64 {
	if history <= 1 {
		return x
	}
	out := make([][]float64, len(x))
	first := 0
	for t := range x {
		if t > 0 && group != nil && group[t] != group[t-1] {
			first = t
		}
		for l := range history {
			out[t] = append(out[t], x[max(first, t-l)]...)
		}
	}
	return out
}

func pick(x [][]float64, where []int) [][]float64 {
	out := make([][]float64, len(where))
	for i, t := range where {
		out[i] = x[t]
	}
	return out
}

// half maps the progress of one of two equal parts.
func half(progress func(done, total int), part int) func(done, total int) {
	if progress == nil {
		return nil
	}
	return func(done, total int) { progress(part*total+done, 2*total) }
}

// blocks cuts rows into stretches that follow each other in time: the groups when
// there are at least ten, otherwise twenty equal ones.
func blocks(n int, group []int) []int {
	out := make([]int, n)
	if group != nil {
		for t := 1; t < n; t++ {
			out[t] = out[t-1]
			if group[t] != group[t-1] {
				out[t]++
			}
		}
		if n > 0 && out[n-1] >= 9 {
			return out
		}
	}
	for t := range out {
		out[t] = t * 20 / n
	}
	return out
}

func (k *DKF) holdOut(ctx context.Context, x, z [][]float64, group []int, progress func(done, total int)) (res [][]float64, where []int, f regression, err error) {
	var train []int
	var trainGroup []int
	for t, b := range blocks(len(x), group) {
		if r := b % 10; r == 3 || r == 6 || r == 9 {
			where = append(where, t)
		} else {
			train, trainGroup = append(train, t), append(trainGroup, b)
		}
	}
	if len(where) < 10*len(z[0]) {
		return nil, nil, nil, fmt.Errorf("only %d rows to learn Q from: record more, or set residuals to leave-one-out", len(where))
	}
	f, err = k.regress(ctx, pick(x, train), pick(z, train), trainGroup, nil, progress)
	if err != nil {
		return nil, nil, nil, err
	}
	r, _ := f.(recurrent)
	held := make(map[int]bool, len(where))
	for _, t := range where {
		held[t] = true
	}
	for t := range x { // a recurrent f needs the rows before
		if r != nil && (t == 0 || group != nil && group[t] != group[t-1]) {
			r.reset()
		}
		if r == nil && !held[t] {
			continue
		}
		e := make([]float64, len(z[t]))
		f.Predict(e, x[t])
		if !held[t] {
			continue
		}
		for i := range e {
			e[i] = z[t][i] - e[i]
		}
		res = append(res, e)
	}
	return res, where, f, nil
}

func (k *DKF) leaveOneOut(ctx context.Context, x, z [][]float64) ([][]float64, regression, error) {
	fitted, err := k.regress(ctx, x, z, nil, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	res := make([][]float64, len(x))
	for t := range res {
		res[t] = make([]float64, len(z[t]))
	}
	switch f := fitted.(type) {
	case *NadarayaWatson:
		for t := range x {
			f.predict(res[t], x[t], f.s2, t)
			for j := range res[t] {
				res[t][j] = z[t][j] - res[t][j]
			}
		}
	case *GaussianProcess:
		if len(x) > f.limit() {
			return nil, nil, fmt.Errorf("leave-one-out of %d rows, but the process keeps %d; use holdout residuals or more points", len(x), f.limit())
		}
		for j := range z[0] {
			r, _, err := f.LeaveOneOut(j, x, z)
			if err != nil {
				return nil, nil, err
			}
			for t := range r {
				res[t][j] = r[t]
			}
		}
	}
	return res, fitted, nil
}

// regress fits f, with the hyper-parameters of an earlier fit when there is one.
func (k *DKF) regress(ctx context.Context, x, z [][]float64, group []int, like regression, progress func(done, total int)) (regression, error) {
	switch k.F {
	case DKFNW:
		f := &NadarayaWatson{Bandwidth: k.Bandwidth}
		if l, ok := like.(*NadarayaWatson); ok {
			f.Bandwidth = l.s2
		}
		return f, f.Fit(ctx, x, z, progress)
	case DKFMLP:
		f := &MLP{Hidden: k.Hidden, L2: k.L2, Seed: k.Seed}
		return f, f.Fit(ctx, x, z, progress)
	case DKFLinear:
		b, err := leastSquares(x, z)
		if err != nil {
			return nil, err
		}
		return linear{b}, nil
	case DKFSNN:
		return fitSpikingRegression(ctx, k, x, z, group, progress)
	}
	f := &GaussianProcess{Points: k.Points}
	if l, ok := like.(*GaussianProcess); ok {
		f.like = l.outs
	}
	switch k.F {
	case DKFSparseGP:
		if f.Inducing = k.Inducing; f.Inducing == 0 {
			f.Inducing = 200
		}
		if f.Points == 0 {
			f.Points = 20000
		}
	case DKFMKGP:
		f.Kernel, f.Octants = KernelMK, k.Octants
		if f.Points == 0 {
			f.Points = 1000
		}
	}
	return f, f.Fit(ctx, x, z, progress)
}

// linear is f(x) = B x.
type linear struct{ b *dense.M }

func (l linear) dims() (int, int)         { return l.b.C, l.b.R }
func (l linear) Predict(dst, x []float64) { dense.MulVec(dst, l.b, x) }

// store puts f into the file.
func (m *dkfFile) store(f regression) error {
	m.Linear, m.NW, m.GP, m.MLP, m.SNN = nil, nil, nil, nil, nil
	switch f := f.(type) {
	case *NadarayaWatson:
		v := f.file()
		m.NW = &v
	case *GaussianProcess:
		v := f.file()
		m.GP = &v
	case *MLP:
		v := f.file()
		m.MLP = &v
	case linear:
		m.Linear = f.b.Rows()
	case *spikingRegression:
		raw, err := f.net.Save()
		m.SNN = raw
		return err
	default:
		return fmt.Errorf("DKF model: no way to store %T", f)
	}
	return nil
}

// regression builds f from the file.
func (m *dkfFile) regression() (f regression, err error) {
	found := 0
	if m.Linear != nil {
		found++
		b, err := dense.From(m.Linear)
		if err != nil {
			return nil, fmt.Errorf("DKF model: linear: %w", err)
		}
		f = linear{b}
	}
	if m.NW != nil {
		found++
		v := new(NadarayaWatson)
		f, err = v, v.load(m.NW)
	}
	if m.GP != nil {
		found++
		v := new(GaussianProcess)
		f, err = v, v.load(m.GP)
	}
	if m.MLP != nil {
		found++
		v := new(MLP)
		f, err = v, v.load(m.MLP)
	}
	if m.SNN != nil {
		found++
		f, err = loadSpikingRegression(m.SNN)
	}
	if err == nil && found != 1 {
		err = fmt.Errorf("DKF model: %d regressions; a model has exactly one", found)
	}
	return f, err
}

// build makes the running filter with the settings of k.
func (m *dkfFile) build(k *DKF) (*dkfTracker, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	f, err := m.regression()
	if err != nil {
		return nil, err
	}
	if m.History < 1 || m.History > 256 {
		return nil, fmt.Errorf("DKF model: history of %d columns; allowed are 1 to 256", m.History)
	}
	n, d := len(m.Rows)*m.History, len(m.Output)
	if fn, fd := f.dims(); fn != n || fd != d {
		return nil, fmt.Errorf("DKF model: f maps %d features to %d outputs; %d rows with a history of %d and %d outputs are named", fn, fd, len(m.Rows), m.History, d)
	}
	if !(m.Cap > 0) {
		return nil, fmt.Errorf("DKF model: cap %v; it is positive", m.Cap)
	}
	q, err := dense.From(m.Q)
	if err != nil {
		return nil, fmt.Errorf("DKF model: Q: %w", err)
	}
	mode := k.Mode
	if mode == "" {
		mode = DKFConstantQ
	}
	u, err := m.filter(mode, k.Fallback)
	if err != nil {
		return nil, err
	}
	if u.d != d || q.R != d || q.C != d {
		return nil, fmt.Errorf("DKF model: %d outputs, a state of %d and a %d × %d Q", d, u.d, q.R, q.C)
	}
	if !dense.Cholesky(dense.New(d, d), q) {
		return nil, errors.New("DKF model: Q is not positive definite: too few residuals, or f repeats its training targets")
	}
	rho := k.Shrink
	if rho == 0 {
		rho = 0.05
	}
	t := &dkfTracker{dkf: u, f: f, n: len(m.Rows), history: m.History, cap: m.Cap, hist: make([]float64, n), fx: make([]float64, d), step: make([]float64, d)}
	t.memory, _ = f.(recurrent)
	var kernel *NadarayaWatson
	if k.Q == "kernel" {
		if m.KernelQ == nil {
			return nil, errors.New("this model was trained without a kernel Q: train with q kernel, or run with q constant")
		}
		kernel = new(NadarayaWatson)
		if err := kernel.load(m.KernelQ); err != nil {
			return nil, err
		}
		if kn, kd := kernel.dims(); kn != n || kd != d*d {
			return nil, fmt.Errorf("DKF model: kernel Q maps %d features to %d values, expected %d and %d", kn, kd, n, d*d)
		}
	}
	t.noise = newNoise(q, kernel, max(0, rho), u.s.Trace())
	if mode == DKFConstantQ {
		if t.gf, t.gm, err = u.steady(t.noise.q); err != nil {
			return nil, err
		}
		t.constantFallback = !u.weigh(t.noise.q)
	}
	t.reset()
	return t, nil
}

// SaveModel returns everything that was learned.
func (k *DKF) SaveModel() (json.RawMessage, error) {
	if k.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(k.model)
}

// LoadModel sets it after checking. F follows the model.
func (k *DKF) LoadModel(raw json.RawMessage) error {
	m := new(dkfFile)
	if err := decodeModel(raw, "dkf", m); err != nil {
		return err
	}
	if _, err := m.build(k); err != nil {
		return err
	}
	k.model = m
	return nil
}

// Open builds the filter for the stream.
func (k *DKF) Open(in stream.Header) (stream.Header, error) {
	if k.model == nil {
		return stream.Header{}, ErrUntrained
	}
	limit, err := saturation(k.Saturate)
	if err != nil {
		return stream.Header{}, err
	}
	t, err := k.model.build(k)
	if err != nil {
		return stream.Header{}, err
	}
	return k.open(in, k.model.conditioning, t, limit, k.Health)
}

// dkfTracker is a running DKF with its f and Q.
type dkfTracker struct {
	*dkf
	f                regression
	memory           recurrent // f when it has memory
	noise            *noise
	n, history       int
	hist             []float64 // newest first
	filled           bool
	cap              float64
	fx, step         []float64
	gf, gm           *dense.M
	constantFallback bool // the constant Q is improper itself
}

func (k *dkfTracker) dims() (int, int)        { return k.n, k.d }
func (k *dkfTracker) estimate() []float64     { return k.m }
func (k *dkfTracker) health() (bool, float64) { return k.fallback, k.innov }

func (k *dkfTracker) reset() {
	k.dkf.reset()
	k.filled = false
	clear(k.hist)
	if k.memory != nil {
		k.memory.reset()
	}
}

func (k *dkfTracker) push(x []float64) {
	if !k.filled {
		for o := 0; o < len(k.hist); o += k.n {
			copy(k.hist[o:], x)
		}
		k.filled = true
		return
	}
	copy(k.hist[k.n:], k.hist)
	copy(k.hist, x)
}

func (k *dkfTracker) update(x []float64) {
	k.push(x)
	k.f.Predict(k.fx, k.hist)
	if s := dense.Dot(k.fx, k.fx); s > k.cap*k.cap {
		s = k.cap / math.Sqrt(s)
		for i := range k.fx {
			k.fx[i] *= s
		}
	}
	switch {
	case k.mode == DKFNone:
		copy(k.m, k.fx)
	case k.mode == DKFConstantQ:
		k.steadyStep()
	case !k.started:
		k.begin(k.fx, k.noise.at(k.hist))
	default:
		k.dkf.update(k.fx, k.noise.at(k.hist))
	}
}

func (k *dkfTracker) steadyStep() {
	if !k.started {
		copy(k.m, k.fx)
		k.started = true
		return
	}
	dense.MulVec(k.b, k.gf, k.fx)
	dense.MulVec(k.bm, k.gm, k.m)
	s := 0.0
	for i := range k.m {
		v := k.b[i] + k.bm[i]
		e := v - k.m[i]
		s += float64(e * e)
		k.m[i] = v
	}
	k.fallback = k.constantFallback
	k.innov = s / (k.g.Trace() / float64(k.d)) / float64(k.d) // squared step over the step that Γ allows
}

func (k *dkfTracker) skip() {
	if k.filled && k.history > 1 {
		k.push(k.hist[:k.n]) // time passed: the last usable column stands in
	}
	if k.mode == DKFNone {
		return
	}
	if k.mode == DKFConstantQ {
		dense.MulVec(k.b, k.a, k.m)
		copy(k.m, k.b)
		k.fallback, k.innov = false, 0
		return
	}
	k.dkf.skip()
}

func (k *dkfTracker) snapshot(w *stream.StateWriter) {
	k.dkf.snapshot(w)
	w.Bool(k.filled)
	w.Floats(k.hist)
	if k.memory != nil {
		k.memory.snapshot(w)
	}
}

func (k *dkfTracker) restore(r *stream.StateReader) {
	k.dkf.restore(r)
	k.filled = r.Bool()
	r.Floats(k.hist)
	if k.memory != nil {
		k.memory.restore(r)
	}
}
