package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// CSP finds spatial filters w whose output power differs most between classes, and
// puts out one row "csp k" per filter: ln(w'Cw), the log-variance of the filtered
// window. Its input is covariance rows.
//
//	two classes    S₁ v = λ (S₁ + S₂) v, Koles 1991, Ramoser et al. 2000
//	more, joint    approximate joint diagonalisation of all S_k (Pham 2001), filters by
//	               mutual information with the class (Grosse-Wentrup & Buss 2008)
//	more, ovr      each class against the others; Components/classes filters each
//
// S_k is the mean covariance of the training windows of class k. Directions without
// variance (a common average removes one) are left out. Cost per column: Components ×
// n(n+1)/2 multiplications.
type CSP struct {
	Components int      // filters kept; 0 = 6, or as many as there are channels if fewer
	Classes    []string // classes to tell apart; examples of others are ignored; empty = all
	Reg        float64  // share of tr(S)/n I mixed into each S_k, 0 to 1
	Metric     string   // of the class means: "euclid" (default), "logeuclid" or "riemann"
	NormTrace  bool     // divide each S_k by its trace
	Order      string   // two classes: "info" (default; by |λ - ½|) or "alternate" (largest, smallest, …)
	Multi      string   // more than two: "joint" (default) or "ovr"
	Weighted   bool     // joint: weigh classes by their examples in the scale of the filters, too (as MNE)

	columnwise
	model *cspFile
}

type cspFile struct {
	modelHead
	Channels int         `json:"channels"`
	Filters  [][]float64 `json:"filters"` // one per row
	Values   []float64   `json:"values"`  // eigenvalue (two classes, ovr) or information (joint) of each
}

var _ Fitter = (*CSP)(nil)

func (c *CSP) settings() (metric string, err error) {
	if c.Components < 0 {
		return "", fmt.Errorf("components %d: give the number of filters, or 0 for 6", c.Components)
	}
	if !(c.Reg >= 0 && c.Reg <= 1) {
		return "", fmt.Errorf("reg %g: give a share from 0 to 1", c.Reg)
	}
	if c.Order != "" && c.Order != "info" && c.Order != "alternate" {
		return "", fmt.Errorf("order %q: choose info or alternate", c.Order)
	}
	if c.Multi != "" && c.Multi != "joint" && c.Multi != "ovr" {
		return "", fmt.Errorf("multi %q: choose joint or ovr", c.Multi)
	}
	return checkMetric(c.Metric, EuclidMean, LogEuclid, Riemann)
}

// Fit learns the filters.
func (c *CSP) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	metric, err := c.settings()
	if err != nil {
		return err
	}
	names, err := covarianceChannels(&rows.Header)
	if err != nil {
		return err
	}
	rows, err = rows.only(c.Classes)
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	n := len(names)
	s := newSPD(n)
	covs := make([]*dense.M, len(count))
	for k := range covs {
		var of [][]float64
		for i, y := range rows.Y {
			if y == k {
				of = append(of, rows.X[i])
			}
		}
		if covs[k], err = s.mean(ctx, matrices(of, n), nil, metric, 1e-10, nil); err != nil {
			return fmt.Errorf("class %q: %w", rows.Classes[k], err)
		}
		if err := c.regularise(covs[k], rows.Classes[k]); err != nil {
			return err
		}
	}
	m, err := c.filters(ctx, s, covs, count, metric)
	if err != nil {
		return err
	}
	m.modelHead, m.Channels = head("csp", rows), n
	if !allFinite(m.Values) {
		return errors.New("the filters are not finite; use a covariance estimator with shrinkage")
	}
	c.model = m
	return nil
}

func (c *CSP) regularise(m *dense.M, class string) error {
	t := m.Trace()
	if !(t > 0) {
		return fmt.Errorf("class %q: every channel is constant in all its windows", class)
	}
	if c.Reg > 0 {
		m.Scale(1 - c.Reg)
		for i := range m.R {
			m.V[i*m.R+i] += c.Reg * t / float64(m.R)
		}
	}
	if c.NormTrace {
		m.Scale(1 / m.Trace())
	}
	return nil
}

// only returns the rows of some classes, in that order; all when there are none.
func (r *Rows) only(classes []string) (*Rows, error) {
	if len(classes) == 0 {
		return r, nil
	}
	if len(r.Y) != len(r.X) {
		return nil, fmt.Errorf("%d training examples but %d labels", len(r.X), len(r.Y))
	}
	o := &Rows{Header: r.Header, Classes: classes}
	to := make([]int, len(r.Classes))
	for k, name := range r.Classes {
		to[k] = slices.Index(classes, name)
	}
	for i, name := range classes {
		if !slices.Contains(r.Classes, name) || slices.Index(classes, name) != i {
			return nil, fmt.Errorf("class %q is listed twice or is not one of the classes %v", name, r.Classes)
		}
	}
	for i, y := range r.Y {
		if y < 0 || y >= len(to) {
			return nil, fmt.Errorf("example %d has label %d: labels are 0 to %d", i, y, len(to)-1)
		}
		if to[y] < 0 {
			continue
		}
		o.X, o.Y = append(o.X, r.X[i]), append(o.Y, to[y])
		if r.Group != nil {
			o.Group = append(o.Group, r.Group[i])
		}
	}
	return o, nil
}

// filters finds and orders the filters of class covariances.
func (c *CSP) filters(ctx context.Context, s *spd, covs []*dense.M, count []int, metric string) (*cspFile, error) {
	want := c.Components
	if want == 0 {
		want = min(6, s.n)
	}
	m := new(cspFile)
	var err error
	switch {
	case len(covs) == 2:
		m.Filters, m.Values, err = cspPair(s, covs[0], covs[1])
		if err != nil {
			return nil, err
		}
		m.order(cspOrder(m.Values, c.Order == "alternate"))
	case c.Multi == "ovr":
		if want%len(covs) != 0 {
			return nil, fmt.Errorf("components %d: one against the rest shares them among %d classes; give a multiple", want, len(covs))
		}
		for k := range covs {
			rest, total := dense.New(s.n, s.n), 0
			for j := range covs {
				if j != k {
					dense.Add(rest, rest, float64(count[j]), covs[j])
					total += count[j]
				}
			}
			rest.Scale(1 / float64(total))
			var one cspFile
			if one.Filters, one.Values, err = cspPair(s, covs[k], rest); err != nil {
				return nil, err
			}
			one.order(cspOrder(one.Values, c.Order == "alternate"))
			each := want / len(covs)
			if each > len(one.Filters) {
				return nil, tooManyFilters(want, len(covs)*len(one.Filters))
			}
			m.Filters, m.Values = append(m.Filters, one.Filters[:each]...), append(m.Values, one.Values[:each]...)
		}
	default:
		var weight []float64
		if c.Weighted {
			for _, n := range count {
				weight = append(weight, float64(n))
			}
		}
		centre, err := s.mean(ctx, covs, weight, metric, 1e-10, nil)
		if err != nil {
			return nil, fmt.Errorf("class covariances: %w", err)
		}
		if m.Filters, m.Values, err = cspJoint(covs, centre, count); err != nil {
			return nil, err
		}
		m.order(descending(m.Values))
	}
	if want > len(m.Filters) {
		return nil, tooManyFilters(want, len(m.Filters))
	}
	m.Filters, m.Values = m.Filters[:want], m.Values[:want]
	return m, nil
}

func tooManyFilters(want, have int) error {
	return fmt.Errorf("components %d: the covariances have only %d directions with variance; ask for fewer", want, have)
}

func (m *cspFile) order(by []int) {
	f, v := slices.Clone(m.Filters), slices.Clone(m.Values)
	for i, j := range by {
		m.Filters[i], m.Values[i] = f[j], v[j]
	}
}

// cspPair solves a v = λ (a + b) v: filters as rows with v'(a+b)v = 1, eigenvalues
// ascending. Directions in which a + b has no variance are left out.
func cspPair(s *spd, a, b *dense.M) ([][]float64, []float64, error) {
	n := s.n
	sum := dense.New(n, n)
	dense.Add(sum, a, 1, b)
	if !s.eig.decompose(sum) || !(s.eig.val[n-1] > 0) {
		return nil, nil, errors.New("the class covariances hold no variance or are not finite")
	}
	first := 0
	for s.eig.val[first] <= 1e-12*s.eig.val[n-1] {
		first++
	}
	r := n - first
	white := dense.New(r, n) // rows scaled to unit variance
	for k := range r {
		f := 1 / math.Sqrt(s.eig.val[first+k])
		for j, v := range s.eig.vec.Row(first + k) {
			white.V[k*n+j] = f * v
		}
	}
	inner, tmp := dense.New(r, r), dense.New(r, n)
	dense.Sandwich(inner, white, a, nil, tmp)
	e := newSymEigen(r)
	if !e.decompose(inner) {
		return nil, nil, errors.New("the class covariances cannot be decomposed")
	}
	w := dense.New(r, n)
	dense.Mul(w, e.vec, white)
	for k := range r {
		fixSign(w.Row(k))
	}
	return w.Rows(), slices.Clone(e.val), nil
}

// fixSign makes the entry of largest magnitude positive: signs are arbitrary.
func fixSign(w []float64) {
	best := 0
	for i, v := range w {
		if math.Abs(v) > math.Abs(w[best]) {
			best = i
		}
	}
	if w[best] < 0 {
		for i := range w {
			w[i] = -w[i]
		}
	}
}

// cspOrder orders ascending eigenvalues by distance from ½, or from both ends in turn.
func cspOrder(val []float64, alternate bool) []int {
	if !alternate {
		score := make([]float64, len(val))
		for i, v := range val {
			score[i] = math.Abs(v - 0.5)
		}
		return descending(score)
	}
	var by []int
	for lo, hi := 0, len(val)-1; lo <= hi; lo, hi = lo+1, hi-1 {
		by = append(by, hi)
		if lo < hi {
			by = append(by, lo)
		}
	}
	return by
}

// descending returns the indices that sort v from the largest, stable.
func descending(v []float64) []int {
	by := make([]int, len(v))
	for i := range by {
		by[i] = i
	}
	sort.SliceStable(by, func(i, j int) bool { return v[by[i]] > v[by[j]] })
	return by
}

// SaveModel returns the filters.
func (c *CSP) SaveModel() (json.RawMessage, error) { return saveModel(c.model) }

// LoadModel sets them after checking.
func (c *CSP) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "csp", &c.model, func(m *cspFile) error {
		if err := m.validate(0); err != nil {
			return err
		}
		if m.Channels < 1 || m.Channels > 1<<12 || m.Channels*(m.Channels+1)/2 != len(m.Rows) {
			return fmt.Errorf("the model filters %d channels but has %d covariance rows", m.Channels, len(m.Rows))
		}
		if len(m.Filters) == 0 {
			return errors.New("the model has no filters")
		}
		for i := range m.Filters {
			if err := checkNumbers(fmt.Sprintf("filter %d", i+1), m.Filters[i], m.Channels); err != nil {
				return err
			}
		}
		return checkNumbers("values", m.Values, len(m.Filters))
	})
}

// Open prepares the filters for a stream of covariance rows.
func (c *CSP) Open(in stream.Header) (stream.Header, error) {
	m := c.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if _, err := c.settings(); err != nil {
		return stream.Header{}, err
	}
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if _, err := covarianceChannels(&in); err != nil {
		return stream.Header{}, err
	}
	out := in
	out.Channels = nil
	for i := range m.Filters {
		out.Channels = append(out.Channels, stream.Channel{Label: fmt.Sprintf("csp %d", i+1), Unit: "ln power", Type: "feature"})
	}
	f := m.quadratics()
	c.openColumns(in.Rows(), make([]float64, len(m.Filters)), func(y, x []float64) bool {
		for i := range f {
			p := dense.Dot(f[i], x)
			if !(p > 0) {
				return false
			}
			y[i] = math.Log(p)
		}
		return true
	})
	return out, nil
}

// quadratics returns, for each filter, the vector q with q·upper(C) = w'Cw.
func (m *cspFile) quadratics() [][]float64 {
	out := make([][]float64, len(m.Filters))
	for k, w := range m.Filters {
		for i := range w {
			out[k] = append(out[k], w[i]*w[i])
			for j := i + 1; j < len(w); j++ {
				out[k] = append(out[k], 2*w[i]*w[j])
			}
		}
	}
	return out
}
