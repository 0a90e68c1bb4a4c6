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

// SVM is a support vector machine: for every pair of classes the widest margin
//
//	min ½|w|² + C Σ cᵢ max(0, 1 - sᵢ (w·φ(xᵢ) + b))     s = +1 for the first class of the pair
//
// in the space of the rows ("linear") or of the Gaussian kernel exp(-γ|x - z|²) ("rbf"),
// found by sequential minimal optimisation (Fan, Chen & Lin 2005). Decisions of a pair
// become probabilities by Platt's sigmoid, fitted on decisions of cross-validation
// inside the training examples: whole groups (trials) are left out, never windows of a
// trial that is also learned from. More than two classes are coupled (Wu, Lin & Weng
// 2004, second method). Put a scaler before it: kernels know no units.
//
// Cost per column: pairs × rows for "linear", support vectors × rows for "rbf".
// Training keeps the kernel of all examples of a pair: 8 n² bytes, at most 6000 examples.
type SVM struct {
	Kernel   string  // "linear" (default) or "rbf"
	C        float64 // weight of the data against the margin; 0 = 1
	Gamma    float64 // of rbf; 0 = 1/(rows × variance of all values)
	Folds    int     // of the calibration; 0 = 5, fewer when a class has fewer groups
	Balanced bool    // cᵢ = examples/(classes × examples of the class) instead of 1

	columnwise
	model *svmFile
}

// svmFile is the model: pairs in the order (0,1), (0,2), …, (1,2), …
type svmFile struct {
	modelHead
	Kernel  string      `json:"kernel"`
	Gamma   float64     `json:"gamma,omitempty"`
	Vectors [][]float64 `json:"vectors,omitempty"` // rbf: support vectors of all pairs
	Pairs   []svmPair   `json:"pairs"`
}

type svmPair struct {
	Weights []float64 `json:"weights"`        // linear: w; rbf: of the vectors named by Of
	Of      []int     `json:"of,omitempty"`   // rbf: index into Vectors of each weight
	Bias    float64   `json:"bias"`           //
	Slope   float64   `json:"sigmoid_slope"`  // p(first class) = 1/(1 + exp(Slope f + Offset))
	Offset  float64   `json:"sigmoid_offset"` //
}

var _ Fitter = (*SVM)(nil)

const maxSVM = 6000 // examples of a pair: 288 MB of kernel

func (s *SVM) settings() (kernel string, c float64, folds int, err error) {
	kernel, c, folds = s.Kernel, s.C, s.Folds
	if kernel == "" {
		kernel = "linear"
	}
	if c == 0 {
		c = 1
	}
	if folds == 0 {
		folds = 5
	}
	switch {
	case kernel != "linear" && kernel != "rbf":
		return "", 0, 0, fmt.Errorf("kernel %q: choose linear or rbf", s.Kernel)
	case !(c > 0) || math.IsInf(c, 0):
		return "", 0, 0, fmt.Errorf("c %g: give a positive number, or 0 for 1", s.C)
	case !(s.Gamma >= 0) || math.IsInf(s.Gamma, 0):
		return "", 0, 0, fmt.Errorf("gamma %g: give a positive number, or 0 for 1/(rows × variance)", s.Gamma)
	case folds < 2:
		return "", 0, 0, fmt.Errorf("folds %d: calibration needs at least 2, or 0 for 5", s.Folds)
	}
	return kernel, c, folds, nil
}

// Fit learns margins and sigmoids.
func (s *SVM) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	kernel, c, folds, err := s.settings()
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	m := &svmFile{modelHead: head("svm", rows), Kernel: kernel}
	if kernel == "rbf" {
		if m.Gamma = s.Gamma; m.Gamma == 0 {
			v := totalVariance(rows.X)
			if !(v > 0) {
				return errors.New("all rows are constant, so there is nothing to learn")
			}
			m.Gamma = 1 / (float64(rows.Header.Rows()) * v)
		}
	}
	k := len(count)
	cost := make([]float64, k)
	for i, n := range count {
		cost[i] = c
		if s.Balanced {
			cost[i] *= float64(len(rows.X)) / float64(k*n)
		}
	}
	fold, folds, err := groupFolds(rows, count, folds)
	if err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	index := map[int]int{} // example to support vector
	pairs := k * (k - 1) / 2
	for a := range k {
		for b := a + 1; b < k; b++ {
			p, err := s.fitPair(ctx, m, rows, a, b, cost, fold, folds, index)
			if err != nil {
				return fmt.Errorf("%s against %s: %w", rows.Classes[a], rows.Classes[b], err)
			}
			m.Pairs = append(m.Pairs, p)
			if progress != nil {
				progress(len(m.Pairs), pairs)
			}
		}
	}
	if err := m.check(); err != nil { // a model we write must be one we read
		return err
	}
	s.model = m
	return nil
}

// fitPair learns one margin and its sigmoid.
func (s *SVM) fitPair(ctx context.Context, m *svmFile, rows *Rows, a, b int, cost []float64, fold []int, folds int, index map[int]int) (svmPair, error) {
	var of []int
	for i, y := range rows.Y {
		if y == a || y == b {
			of = append(of, i)
		}
	}
	if len(of) > maxSVM {
		return svmPair{}, fmt.Errorf("%d examples; the limit is %d: learn from fewer windows (train: {every: %d})", len(of), maxSVM, len(of)/maxSVM+1)
	}
	p := newSVMProblem(rows, of, a, cost[a], cost[b], m.kernelOf)
	all := make([]int, len(of))
	for i := range all {
		all[i] = i
	}
	alpha, bias, err := p.solve(ctx, all)
	if err != nil {
		return svmPair{}, err
	}
	out := svmPair{Bias: bias}
	if m.Kernel == "linear" {
		out.Weights = make([]float64, rows.Header.Rows())
		for i, v := range alpha {
			if v != 0 {
				f := v * p.sign[i]
				for j, x := range rows.X[of[i]] {
					out.Weights[j] += float64(f * x)
				}
			}
		}
	} else {
		for i, v := range alpha {
			if v == 0 {
				continue
			}
			at, ok := index[of[i]]
			if !ok {
				at = len(m.Vectors)
				index[of[i]] = at
				m.Vectors = append(m.Vectors, rows.X[of[i]])
			}
			out.Weights, out.Of = append(out.Weights, v*p.sign[i]), append(out.Of, at)
		}
	}
	held := make([]float64, len(of)) // decisions by machines that have not seen the group
	for f := range folds {
		var in []int
		for i := range of {
			if fold[of[i]] != f {
				in = append(in, i)
			}
		}
		alpha, bias, err := p.solve(ctx, in)
		if err != nil {
			return svmPair{}, err
		}
		for i := range of {
			if fold[of[i]] == f {
				held[i] = p.decide(in, alpha, bias, i)
			}
		}
	}
	out.Slope, out.Offset, err = plattSigmoid(held, p.sign)
	return out, err
}

// totalVariance is the variance of all values of all rows taken together.
func totalVariance(x [][]float64) float64 {
	n, mean := 0.0, 0.0
	for _, v := range x {
		for _, a := range v {
			mean += a
			n++
		}
	}
	mean /= n
	sum := 0.0
	for _, v := range x {
		for _, a := range v {
			sum += float64((a - mean) * (a - mean))
		}
	}
	return sum / n
}

// kernelOf is k(x, z).
func (m *svmFile) kernelOf(x, z []float64) float64 {
	if m.Kernel == "linear" {
		return dense.Dot(x, z)
	}
	return math.Exp(-m.Gamma * dense.Distance2(x, z))
}

// decisions returns the map from rows to the decision of every pair.
func (m *svmFile) decisions() func(f, x []float64) {
	if m.Kernel == "linear" {
		return func(f, x []float64) {
			for i := range m.Pairs {
				f[i] = dense.Dot(m.Pairs[i].Weights, x) + m.Pairs[i].Bias
			}
		}
	}
	k := make([]float64, len(m.Vectors))
	return func(f, x []float64) {
		for i, v := range m.Vectors {
			k[i] = math.Exp(-m.Gamma * dense.Distance2(v, x))
		}
		for i := range m.Pairs {
			p := &m.Pairs[i]
			sum := p.Bias
			for j, at := range p.Of {
				sum += float64(p.Weights[j] * k[at])
			}
			f[i] = sum
		}
	}
}

func (m *svmFile) check() error {
	if err := m.validate(2); err != nil {
		return err
	}
	k := len(m.Classes)
	switch {
	case m.Kernel != "linear" && m.Kernel != "rbf":
		return fmt.Errorf("the model's kernel %q is unknown", m.Kernel)
	case m.Kernel == "rbf" && !(m.Gamma > 0 && !math.IsInf(m.Gamma, 0)):
		return fmt.Errorf("the model's gamma is %v", m.Gamma)
	case len(m.Pairs) != k*(k-1)/2:
		return fmt.Errorf("the model has %d pairs for %d classes", len(m.Pairs), k)
	}
	for i := range m.Vectors {
		if err := checkNumbers(fmt.Sprintf("support vector %d", i+1), m.Vectors[i], len(m.Rows)); err != nil {
			return err
		}
	}
	for i := range m.Pairs {
		p := &m.Pairs[i]
		want := len(m.Rows)
		if m.Kernel == "rbf" {
			want = len(p.Of)
			for _, at := range p.Of {
				if at < 0 || at >= len(m.Vectors) {
					return fmt.Errorf("pair %d of the model names support vector %d of %d", i+1, at+1, len(m.Vectors))
				}
			}
		}
		if err := checkNumbers(fmt.Sprintf("weights of pair %d", i+1), p.Weights, want); err != nil {
			return err
		}
		if err := checkNumbers(fmt.Sprintf("pair %d", i+1), []float64{p.Bias, p.Slope, p.Offset}, 3); err != nil {
			return err
		}
	}
	return nil
}

// SaveModel returns the margins.
func (s *SVM) SaveModel() (json.RawMessage, error) { return saveModel(s.model) }

// LoadModel sets them after checking.
func (s *SVM) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "svm", &s.model, (*svmFile).check)
}

// Open prepares the classifier for a stream.
func (s *SVM) Open(in stream.Header) (stream.Header, error) {
	kernel, _, _, err := s.settings()
	if err != nil {
		return stream.Header{}, err
	}
	m := s.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if kernel != m.Kernel {
		return stream.Header{}, fmt.Errorf("kernel %q: the model was trained with %q; train again or restore the setting", kernel, m.Kernel)
	}
	decide := m.decisions()
	f, couple := make([]float64, len(m.Pairs)), newCoupling(len(m.Classes))
	return s.openClasses(in, &m.modelHead, func(p, x []float64) bool {
		decide(f, x)
		if !allFinite(f) {
			return false
		}
		for i := range f {
			f[i] = sigmoid(-(m.Pairs[i].Slope*f[i] + m.Pairs[i].Offset))
		}
		couple.probabilities(p, f)
		return true
	})
}
