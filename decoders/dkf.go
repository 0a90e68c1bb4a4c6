package decoders

import (
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Modes of a DKF.
const (
	DKFConstantQ = "constant-q" // constant Q, steady state: μ ← G_f f(x) + G_m μ (the default)
	DKFStandard  = "standard"   // subtract S⁻¹, with a fallback where that is impossible
	DKFRobust    = "robust"     // never subtract S⁻¹
	DKFNone      = "unfiltered" // f(x) alone, for comparison
)

// Fallbacks of a DKF at a step where Q⁻¹ - S⁻¹ is not positive definite.
const (
	FallbackPaper    = "paper"    // precision Q⁻¹+M⁻¹, f weighted by Q⁻¹: the robust step (the default)
	FallbackReleased = "released" // Q ← (Q⁻¹+S⁻¹)⁻¹ everywhere, as the authors' programs do
	FallbackClip     = "clip"     // generalised eigenvalues of (Q, S) clipped at 1
)

// dkf is the measurement update of the Discriminative Kalman Filter (Burkhart et
// al., Neural Computation 32:969, 2020) and the state between updates:
//
//	predict  m = A μ                     M = A Σ A' + Γ
//	update   Σ⁺ = (Q⁻¹ + M⁻¹ - S⁻¹)⁻¹    μ⁺ = Σ⁺ (Q⁻¹ f + M⁻¹ m)
type dkf struct {
	d          int
	mode, rule string
	a, g, s    *dense.M
	si, ls     *dense.M // S⁻¹ and its factor's l with S = l l'

	m, pm    []float64
	p, pp    *dense.M
	started  bool
	fallback bool
	innov    float64

	qi, mi, w, prec, l, dd, u, v *dense.M
	b, bm                        []float64
	ins                          innovation
}

func newDKF(a, g, s *dense.M, mode, rule string) (*dkf, error) {
	if rule == "" {
		rule = FallbackPaper
	}
	if rule != FallbackPaper && rule != FallbackReleased && rule != FallbackClip {
		return nil, fmt.Errorf("fallback %q: choose %s, %s or %s", rule, FallbackPaper, FallbackReleased, FallbackClip)
	}
	d := a.R
	if a.C != d || g.R != d || g.C != d || s.R != d || s.C != d {
		return nil, fmt.Errorf("DKF model: A, gamma and S must be square and of one size, they are %d × %d, %d × %d and %d × %d", a.R, a.C, g.R, g.C, s.R, s.C)
	}
	if err := checkNoise(g, s); err != nil {
		return nil, fmt.Errorf("DKF model: %w", err)
	}
	k := &dkf{d: d, mode: mode, rule: rule, a: a, g: g, s: s}
	for _, m := range []**dense.M{&k.si, &k.ls, &k.p, &k.pp, &k.qi, &k.mi, &k.w, &k.prec, &k.l, &k.dd, &k.u, &k.v} {
		*m = dense.New(d, d)
	}
	k.m, k.pm, k.b, k.bm = make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	k.ins.alloc(d)
	dense.Cholesky(k.ls, s)
	dense.Inverse(k.si, k.ls)
	k.reset()
	return k, nil
}

// reset goes back to the stationary state.
func (k *dkf) reset() {
	clear(k.m)
	k.p.Copy(k.s)
	k.started, k.fallback, k.innov = false, false, 0
}

// begin starts at N(f, Q), as the published programs do.
func (k *dkf) begin(f []float64, q *dense.M) {
	copy(k.m, f)
	k.p.Copy(q)
	k.started, k.fallback, k.innov = true, false, 0
}

func (k *dkf) predict() {
	dense.MulVec(k.pm, k.a, k.m)
	dense.Sandwich(k.pp, k.a, k.p, k.g, k.dd)
	k.started = true
}

func (k *dkf) skip() {
	k.predict()
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
	k.fallback, k.innov = false, 0
}

// update predicts and then corrects with f and Q of the new observation. A Q that is
// not positive definite, or rounding that leaves no precision, keeps the prediction
// and counts as a fallback.
func (k *dkf) update(f []float64, q *dense.M) {
	k.predict()
	k.correct(f, q)
}

func (k *dkf) correct(f []float64, q *dense.M) {
	k.fallback = !k.weigh(q)
	if !dense.SPDInverse(k.mi, k.l, k.pp) {
		k.keepPrediction()
		return
	}
	dense.Add(k.prec, k.prec, 1, k.mi)
	if !dense.SPDInverse(k.p, k.l, k.prec) {
		k.keepPrediction()
		return
	}
	dense.MulVec(k.b, k.w, f)
	dense.MulVec(k.bm, k.mi, k.pm)
	for i := range k.b {
		k.b[i] += k.bm[i]
	}
	dense.MulVec(k.m, k.p, k.b)
	k.innov = k.ins.of(k.m, k.pm, k.pp, k.p)
}

func (k *dkf) keepPrediction() {
	copy(k.m, k.pm)
	k.p.Copy(k.pp)
	k.fallback, k.innov = true, 0
}

// weigh sets w, the weight of f, and prec, the precision that the observation adds,
// and reports whether the standard rule could be used.
func (k *dkf) weigh(q *dense.M) bool {
	if !dense.SPDInverse(k.qi, k.l, q) {
		clear(k.w.V)
		clear(k.prec.V)
		return false
	}
	k.w.Copy(k.qi)
	if k.mode == DKFRobust {
		k.prec.Copy(k.qi)
		return true
	}
	dense.Add(k.prec, k.qi, -1, k.si)
	// Where an observation tells nothing, Q is S and rounding decides the sign: such a
	// step is proper.
	edge := 1e-10 * k.qi.Trace() / float64(k.d)
	if d := k.prec; k.d == 2 {
		x, y := d.V[0]+edge, d.V[3]+edge
		if x > 0 && float64(x*y) > float64(d.V[1]*d.V[2]) {
			return true
		}
	}
	k.dd.Copy(k.prec)
	for i := range k.d {
		k.dd.V[i*k.d+i] += edge
	}
	proper := dense.Cholesky(k.l, k.dd)
	switch {
	case proper: // no generalised eigenvalue of (Q, S) is above 1, so there is nothing to clip
	case k.rule == FallbackClip:
		k.clip(q)
	case k.rule == FallbackReleased:
		dense.Add(k.w, k.qi, 1, k.si)
		k.prec.Copy(k.qi)
	default:
		k.prec.Copy(k.qi)
	}
	return proper
}

// clip replaces Q by l U min(Λ,1) U' l', where l⁻¹ Q l⁻ᵀ = U Λ U' and S = l l'.
func (k *dkf) clip(q *dense.M) {
	for i := range k.d { // rows of u = rows of Q l⁻ᵀ, then columns by symmetry
		copy(k.u.Row(i), q.Row(i))
		dense.Forward(k.ls, k.u.Row(i))
	}
	for j := range k.d {
		for i := range k.d {
			k.b[i] = k.u.At(i, j)
		}
		dense.Forward(k.ls, k.b)
		for i := range k.d {
			k.u.Set(i, j, k.b[i])
		}
	}
	dense.Symmetrize(k.u)
	dense.Eigen(k.u, k.v)
	for i := range k.d {
		k.u.Set(i, i, 1/min(1, k.u.At(i, i))) // invert: the weight is (l U min(Λ,1) U' l')⁻¹
	}
	dense.Reassemble(k.dd, k.v, k.u)
	for i := range k.d { // w = l⁻ᵀ dd l⁻¹
		dense.Backward(k.ls, k.dd.Row(i))
	}
	for j := range k.d {
		for i := range k.d {
			k.b[i] = k.dd.At(i, j)
		}
		dense.Backward(k.ls, k.b)
		for i := range k.d {
			k.w.Set(i, j, k.b[i])
		}
	}
	dense.Symmetrize(k.w)
	dense.Add(k.prec, k.w, -1, k.si)
}

// steady iterates the covariance for constant q to its limit and returns
// G_f = Σ∞ Q⁻¹ and G_m = Σ∞ M∞⁻¹ A.
func (k *dkf) steady(q *dense.M) (gf, gm *dense.M, err error) {
	zero := make([]float64, k.d)
	last := dense.New(k.d, k.d)
	defer k.reset()
	for i := 0; ; i++ {
		last.Copy(k.p)
		k.update(zero, q)
		diff, size := 0.0, 0.0
		for j, v := range k.p.V {
			diff, size = max(diff, math.Abs(v-last.V[j])), max(size, math.Abs(v))
		}
		if size-size != 0 || i == 100000 {
			return nil, nil, errors.New("DKF model: the covariance does not converge: A is unstable for this Q and S; check that the targets were centred")
		}
		if diff <= 1e-15*size {
			break
		}
	}
	gf, gm = dense.New(k.d, k.d), dense.New(k.d, k.d)
	dense.Mul(gf, k.p, k.w)
	dense.Mul(k.dd, k.p, k.mi)
	dense.Mul(gm, k.dd, k.a)
	return gf, gm, nil
}

func (k *dkf) snapshot(w *stream.StateWriter) {
	w.Bool(k.started)
	w.Floats(k.m)
	w.Floats(k.p.V)
}

func (k *dkf) restore(r *stream.StateReader) {
	k.started = r.Bool()
	r.Floats(k.m)
	r.Floats(k.p.V)
}

// DKFModel is a fitted filter without the stage around it, for analysis of finished
// recordings: dynamics and prior of the state.
type DKFModel struct {
	A     [][]float64 `json:"A"`
	Gamma [][]float64 `json:"gamma"`
	S     [][]float64 `json:"S"`
}

// FitDKFModel learns dynamics and prior from centred states; see FitKalman.
func FitDKFModel(z [][]float64, group []int) (*DKFModel, error) {
	if err := checkExamples(z, z); err != nil {
		return nil, err
	}
	a, g, err := fitDynamics(z, group)
	if err != nil {
		return nil, err
	}
	s := covariance(z)
	if err := checkNoise(g, s); err != nil {
		return nil, err
	}
	return &DKFModel{a.Rows(), g.Rows(), s.Rows()}, nil
}

func (m *DKFModel) filter(mode, rule string) (*dkf, error) {
	a, err := dense.From(m.A)
	if err != nil {
		return nil, fmt.Errorf("DKF model: A: %w", err)
	}
	g, err := dense.From(m.Gamma)
	if err != nil {
		return nil, fmt.Errorf("DKF model: gamma: %w", err)
	}
	s, err := dense.From(m.S)
	if err != nil {
		return nil, fmt.Errorf("DKF model: S: %w", err)
	}
	return newDKF(a, g, s, mode, rule)
}

// DKFTrace is what a filter says about a whole recording.
type DKFTrace struct {
	Mean     [][]float64
	Cov      [][][]float64
	Fallback []bool
}

// Filter runs the update over f (samples × d) and q (one d × d matrix per sample, or
// one for all). It starts at N(f_1, Q_1), or with fromPrior at N(0, S) one step
// before the first sample.
func (m *DKFModel) Filter(f [][]float64, q [][][]float64, mode, rule string, fromPrior bool) (*DKFTrace, error) {
	if mode != DKFStandard && mode != DKFRobust {
		return nil, fmt.Errorf("mode %q: choose %s or %s", mode, DKFStandard, DKFRobust)
	}
	k, err := m.filter(mode, rule)
	if err != nil {
		return nil, err
	}
	if len(q) != 1 && len(q) != len(f) {
		return nil, fmt.Errorf("%d covariances for %d samples: give one, or one per sample", len(q), len(f))
	}
	tr := new(DKFTrace)
	for t := range f {
		qt, err := dense.From(q[min(t, len(q)-1)])
		if err != nil {
			return nil, fmt.Errorf("covariance of sample %d: %w", t+1, err)
		}
		if qt.R != k.d || qt.C != k.d || len(f[t]) != k.d {
			return nil, fmt.Errorf("sample %d does not have %d values and a %d × %d covariance", t+1, k.d, k.d, k.d)
		}
		if t == 0 && !fromPrior {
			k.begin(f[t], qt)
		} else {
			k.update(f[t], qt)
		}
		tr.Mean = append(tr.Mean, append([]float64(nil), k.m...))
		tr.Cov = append(tr.Cov, k.p.Rows())
		tr.Fallback = append(tr.Fallback, k.fallback)
	}
	return tr, nil
}
