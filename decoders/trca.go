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

// TRCA is task-related component analysis for flicker and other responses that follow
// their stimulus in phase (Nakanishi et al. 2018). Per class k and band m it finds the
// spatial filter under which trials resemble each other most,
//
//	w = max eigenvector of S w = λ Q w    S = Σ_{a≠b} X_a X_b'    Q = Σ X X'
//
// and keeps the mean trial T as template; a window X scores
//
//	r_km = corr(w_km'X, w_km'T_km)              or, with Ensemble,
//	r_km = corr(W_m'X, W_m'T_km), W_m = all classes' filters, both sides strung together
//	score_k = Σ_m a_m r_km, a_m = m^-1.25 + 0.25 behind a filter bank, else 1
//
// Probabilities are softmax(κ score), κ fitted on trials that were left out of templates
// and filters. Windows must lie at the same time after their stimulus: train it with
// train: {at: …}, and read it where such a window ends. Its input is the samples of
// windows; it needs three trials of every class.
//
// Cost per column: bands × classes × channels × length; with Ensemble × classes.
type TRCA struct {
	Bands    int  // of the filter bank before the window; 0 = 1
	Ensemble bool // all filters instead of the class's own

	columnwise
	model *trcaFile
}

type trcaFile struct {
	modelHead
	sampleGrid
	Ensemble  bool          `json:"ensemble"`
	Kappa     float64       `json:"kappa"`
	Filters   [][][]float64 `json:"filters"`   // band × class × channel
	Templates [][][]float64 `json:"templates"` // band × class × (channel × sample)
}

var _ Fitter = (*TRCA)(nil)

// Fit learns filters, templates and κ.
func (t *TRCA) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	g, err := samplesOf(&rows.Header, t.Bands)
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	for k, n := range count {
		if n < 3 {
			return fmt.Errorf("class %q has %d trials; what repeats itself shows in three or more", rows.Classes[k], n)
		}
	}
	m := &trcaFile{modelHead: head("trca", rows), sampleGrid: g, Ensemble: t.Ensemble}
	all := make([]bool, len(rows.X))
	for i := range all {
		all[i] = true
	}
	if err := m.learn(ctx, rows, all); err != nil {
		return err
	}
	fold, folds, err := groupFolds(rows, count, 5)
	if err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	held := make([][]float64, len(rows.X)) // scores by models that have not seen the trial
	in := make([]bool, len(rows.X))
	for f := range folds {
		for i := range in {
			in[i] = fold[i] != f
		}
		part := &trcaFile{modelHead: m.modelHead, sampleGrid: g, Ensemble: t.Ensemble}
		if err := part.learn(ctx, rows, in); err != nil {
			return fmt.Errorf("calibration: %w", err)
		}
		score := part.scores()
		for i, x := range rows.X {
			if fold[i] == f {
				held[i] = make([]float64, len(count))
				if !score(held[i], x) {
					return fmt.Errorf("window %d has no variance; leave it out", i+1)
				}
			}
		}
		if progress != nil {
			progress(f+1, folds)
		}
	}
	m.Kappa = fitScale(held, rows.Y)
	t.model = m
	return nil
}

// fitScale finds the scale κ of softmax(κ s) with the least cross-entropy, by golden
// section over ln κ in [ln 0.01, ln 1000]; the loss is convex in κ.
func fitScale(score [][]float64, y []int) float64 {
	p := make([]float64, len(score[0]))
	loss := func(l float64) float64 {
		k, sum := math.Exp(l), 0.0
		for i, s := range score {
			for j, v := range s {
				p[j] = k * v
			}
			softmax(p)
			sum -= math.Log(max(p[y[i]], 1e-300))
		}
		return sum
	}
	const golden = 0.6180339887498949
	lo, hi := math.Log(0.01), math.Log(1000)
	a, b := hi-golden*(hi-lo), lo+golden*(hi-lo)
	fa, fb := loss(a), loss(b)
	for hi-lo > 1e-6 {
		if fa <= fb {
			hi, b, fb = b, a, fa
			a = hi - golden*(hi-lo)
			fa = loss(a)
		} else {
			lo, a, fa = a, b, fb
			b = lo + golden*(hi-lo)
			fb = loss(b)
		}
	}
	return math.Exp((lo + hi) / 2)
}

// learn sets filters and templates from the examples in.
func (m *trcaFile) learn(ctx context.Context, rows *Rows, in []bool) error {
	c, n := m.channels(), m.Length
	classes := len(m.Classes)
	m.Filters, m.Templates = make([][][]float64, m.Bands), make([][][]float64, m.Bands)
	s := newSPD(c)
	x := dense.New(c, n)
	for b := range m.Bands {
		for k := range classes {
			if err := ctx.Err(); err != nil {
				return err
			}
			sum, raw := dense.New(c, n), make([]float64, c*n)
			within, total := dense.New(c, c), dense.New(c, c)
			means := make([]float64, c) // of the raw samples, over all trials
			count := 0
			for i, y := range rows.Y {
				if y != k || !in[i] {
					continue
				}
				count++
				for ch := range c {
					v := m.channel(rows.X[i], b, ch)
					copy(x.Row(ch), v)
					for j, a := range v {
						raw[ch*n+j] += a
						means[ch] += a
					}
					centre(x.Row(ch))
				}
				dense.Add(sum, sum, 1, x)
				for p := range c {
					for q := range c {
						within.V[p*c+q] += dense.Dot(x.Row(p), x.Row(q))
						total.V[p*c+q] += dense.Dot(m.channel(rows.X[i], b, p), m.channel(rows.X[i], b, q))
					}
				}
			}
			for ch := range means {
				means[ch] /= float64(count * n)
			}
			pairs := dense.New(c, c)
			dense.MulT(pairs, sum, sum)
			dense.Add(pairs, pairs, -1, within)
			for p := range c { // Q of the trials strung together, centred once
				for q := range c {
					total.V[p*c+q] -= float64(count*n) * means[p] * means[q]
				}
			}
			filters, _, err := generalised(s, pairs, total)
			if err != nil {
				return fmt.Errorf("class %q: %w", m.Classes[k], err)
			}
			w := filters[0]
			size := math.Sqrt(dense.Dot(w, w))
			for j := range w {
				w[j] /= size
			}
			for j := range raw {
				raw[j] /= float64(count)
			}
			m.Filters[b], m.Templates[b] = append(m.Filters[b], w), append(m.Templates[b], raw)
		}
	}
	return nil
}

// scores returns the map from windows to the score of every class. It owns memory.
func (m *trcaFile) scores() func(s, x []float64) bool {
	c, n, classes := m.channels(), m.Length, len(m.Classes)
	weight := []float64{1}
	if m.Bands > 1 {
		weight = bandWeights(m.Bands)
	}
	project := func(dst, w, x []float64) { // w'X
		clear(dst)
		for ch := range c {
			a := w[ch]
			for t, v := range x[ch*n : (ch+1)*n] {
				dst[t] += float64(a * v)
			}
		}
	}
	filters := 1
	if m.Ensemble {
		filters = classes
	}
	want := make([][][]float64, m.Bands) // templates behind the filters, centred
	for b := range m.Bands {
		for k := range classes {
			y := make([]float64, filters*n)
			if m.Ensemble {
				for j := range classes {
					project(y[j*n:(j+1)*n], m.Filters[b][j], m.Templates[b][k])
				}
			} else {
				project(y, m.Filters[b][k], m.Templates[b][k])
			}
			centre(y)
			want[b] = append(want[b], y)
		}
	}
	y := make([]float64, classes*n)
	return func(s, x []float64) bool {
		clear(s)
		for b := range m.Bands {
			window := x[b*c*n : (b+1)*c*n]
			for k := range classes {
				project(y[k*n:(k+1)*n], m.Filters[b][k], window)
				if !m.Ensemble {
					centre(y[k*n : (k+1)*n])
				}
			}
			if m.Ensemble {
				centre(y)
			}
			for k := range classes {
				got := y
				if !m.Ensemble {
					got = y[k*n : (k+1)*n]
				}
				den := math.Sqrt(dense.Dot(got, got) * dense.Dot(want[b][k], want[b][k]))
				if !(den > 0) {
					return false
				}
				s[k] += float64(weight[b] * (dense.Dot(got, want[b][k]) / den))
			}
		}
		return true
	}
}

// SaveModel returns filters and templates.
func (t *TRCA) SaveModel() (json.RawMessage, error) { return saveModel(t.model) }

// LoadModel sets them after checking.
func (t *TRCA) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "trca", &t.model, func(m *trcaFile) error {
		if err := m.modelHead.validate(2); err != nil {
			return err
		}
		if err := m.sampleGrid.validate(len(m.Rows)); err != nil {
			return err
		}
		if !(m.Kappa > 0) || math.IsInf(m.Kappa, 0) || len(m.Filters) != m.Bands || len(m.Templates) != m.Bands {
			return errors.New("the model's bands or its scale are damaged")
		}
		for b := range m.Bands {
			if len(m.Filters[b]) != len(m.Classes) || len(m.Templates[b]) != len(m.Classes) {
				return fmt.Errorf("band %d of the model has %d filters and %d templates for %d classes", b+1, len(m.Filters[b]), len(m.Templates[b]), len(m.Classes))
			}
			for k := range m.Classes {
				if err := checkNumbers("filter", m.Filters[b][k], m.channels()); err != nil {
					return err
				}
				if err := checkNumbers("template", m.Templates[b][k], m.channels()*m.Length); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Open prepares the classifier for a stream of windows.
func (t *TRCA) Open(in stream.Header) (stream.Header, error) {
	m := t.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if b := max(1, t.Bands); b != m.Bands || t.Ensemble != m.Ensemble {
		return stream.Header{}, fmt.Errorf("bands %d, ensemble %v: the model was trained with %d, %v; train again or restore the settings", b, t.Ensemble, m.Bands, m.Ensemble)
	}
	if _, err := samplesOf(&in, m.Bands); err != nil {
		return stream.Header{}, err
	}
	score := m.scores()
	return t.openClasses(in, &m.modelHead, func(p, x []float64) bool {
		if !score(p, x) {
			return false
		}
		for k := range p {
			p[k] *= m.Kappa
		}
		softmax(p)
		return true
	})
}
