package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// XDAWN finds spatial filters that raise the response to a class of events out of what
// else the windows hold (Rivet et al. 2009): for the mean window P of a class
//
//	max over w of (w'PP'w)/(w'CxW)    Cx = covariance of all windows
//
// Its input is the samples of windows that begin at their event (train: {at: …}); P is
// the plain mean of the class's windows, so responses that overlap are not disentangled.
// It puts out
//
//	"covariance"  of the filtered mean windows and the filtered window together (Barachant
//	              & Congedo 2014), for mdm or tangent-space: how alike are they, and when
//	"samples"     the filtered window, for lda
//
// Cost per column: filters × channels × length, and filters² × length for the covariance.
type XDAWN struct {
	Filters   int      // per class; 0 = 4, or as many as there are channels if fewer
	Classes   []string // whose responses; nil = all
	Output    string   // "covariance" (default) or "samples"
	Estimator string   // of the covariance put out: "scm" (default), "lwf" or "oas"

	columnwise
	model *xdawnFile
}

type xdawnFile struct {
	modelHead
	sampleGrid
	Of        []string    `json:"of"`        // class of each filter
	Filters   [][]float64 `json:"filters"`   // one per row: w
	Templates [][]float64 `json:"templates"` // w'P of each
	Values    []float64   `json:"values"`    // share of evoked in all variance behind each
}

var _ Fitter = (*XDAWN)(nil)

func (x *XDAWN) settings() (output, estimator string, err error) {
	output, estimator = x.Output, x.Estimator
	if output == "" {
		output = "covariance"
	}
	if estimator == "" {
		estimator = "scm"
	}
	switch {
	case x.Filters < 0:
		return "", "", fmt.Errorf("filters %d: give the number per class, or 0 for 4", x.Filters)
	case output != "covariance" && output != "samples":
		return "", "", fmt.Errorf("output %q: choose covariance or samples", x.Output)
	case estimator != "scm" && estimator != "lwf" && estimator != "oas":
		return "", "", fmt.Errorf("estimator %q: choose scm, lwf or oas", x.Estimator)
	}
	return output, estimator, nil
}

// Fit learns filters and mean windows.
func (x *XDAWN) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	if _, _, err := x.settings(); err != nil {
		return err
	}
	g, err := samplesOf(&rows.Header, 1)
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	of := x.Classes
	if len(of) == 0 {
		of = rows.Classes
	}
	c, n := g.channels(), g.Length
	want := x.Filters
	if want == 0 {
		want = min(4, c)
	}
	if n < 2 {
		return errors.New("windows of one sample hold no response; use longer ones")
	}
	all, w := dense.New(c, c), dense.New(c, n)
	load := func(v []float64) {
		for ch := range c {
			copy(w.Row(ch), g.channel(v, 0, ch))
			centre(w.Row(ch))
		}
	}
	cov := dense.New(c, c)
	for i, v := range rows.X {
		if i%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		load(v)
		dense.MulT(cov, w, w)
		dense.Add(all, all, 1/float64(n*len(rows.X)), cov)
	}
	m := &xdawnFile{modelHead: head("xdawn", rows), sampleGrid: g}
	m.Classes = nil
	s := newSPD(c)
	for _, name := range of {
		k := slices.Index(rows.Classes, name)
		if k < 0 {
			return fmt.Errorf("class %q is not one of the classes %v", name, rows.Classes)
		}
		mean := make([]float64, len(rows.X[0]))
		for i, y := range rows.Y {
			if y == k {
				for j, v := range rows.X[i] {
					mean[j] += v / float64(count[k])
				}
			}
		}
		load(mean)
		dense.MulT(cov, w, w)
		cov.Scale(1 / float64(n))
		filters, values, err := generalised(s, cov, all)
		if err != nil {
			return fmt.Errorf("class %q: %w", name, err)
		}
		if want > len(filters) {
			return fmt.Errorf("filters %d: the windows have only %d directions with variance; ask for fewer", want, len(filters))
		}
		for f := range want {
			t := make([]float64, n)
			dense.TMulVec(t, w, filters[f])
			m.Of, m.Filters, m.Templates, m.Values = append(m.Of, name), append(m.Filters, filters[f]), append(m.Templates, t), append(m.Values, values[f])
		}
		if progress != nil {
			progress(len(m.Of)/want, len(of))
		}
	}
	if err := m.check(); err != nil {
		return err
	}
	x.model = m
	return nil
}

// generalised solves a v = λ b v: vectors with v'bv = 1, the largest λ first, the largest
// entry of each positive. Directions in which b has no variance are left out.
func generalised(s *spd, a, b *dense.M) ([][]float64, []float64, error) {
	n := s.n
	if !s.eig.decompose(b) || !(s.eig.val[n-1] > 0) {
		return nil, nil, errors.New("the windows hold no variance or are not finite")
	}
	first := 0
	for s.eig.val[first] <= 1e-12*s.eig.val[n-1] {
		first++
	}
	r := n - first
	white := dense.New(r, n)
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
		return nil, nil, errors.New("the windows cannot be decomposed")
	}
	w, val := make([][]float64, r), make([]float64, r)
	for k := range r {
		w[k], val[k] = make([]float64, n), e.val[r-1-k]
		dense.TMulVec(w[k], white, e.vec.Row(r-1-k))
		fixSign(w[k])
	}
	return w, val, nil
}

func (m *xdawnFile) check() error {
	if err := m.modelHead.validate(0); err != nil {
		return err
	}
	if err := m.sampleGrid.validate(len(m.Rows)); err != nil {
		return err
	}
	if m.Bands != 1 || len(m.Filters) == 0 || len(m.Of) != len(m.Filters) || len(m.Templates) != len(m.Filters) {
		return fmt.Errorf("the model has %d filters, %d mean windows and %d names", len(m.Filters), len(m.Templates), len(m.Of))
	}
	for i := range m.Filters {
		if err := checkNumbers("filter", m.Filters[i], m.channels()); err != nil {
			return err
		}
		if err := checkNumbers("mean window", m.Templates[i], m.Length); err != nil {
			return err
		}
	}
	return checkNumbers("values", m.Values, len(m.Filters))
}

// SaveModel returns filters and mean windows.
func (x *XDAWN) SaveModel() (json.RawMessage, error) { return saveModel(x.model) }

// LoadModel sets them after checking.
func (x *XDAWN) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "xdawn", &x.model, (*xdawnFile).check)
}

// Open prepares the filters for a stream of windows.
func (x *XDAWN) Open(in stream.Header) (stream.Header, error) {
	output, estimator, err := x.settings()
	if err != nil {
		return stream.Header{}, err
	}
	m := x.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if _, err := samplesOf(&in, 1); err != nil {
		return stream.Header{}, err
	}
	out := in
	out.Channels = nil
	names, seen := make([]string, len(m.Of)), map[string]int{}
	for i, c := range m.Of {
		seen[c]++
		names[i] = fmt.Sprintf("%s %d", c, seen[c])
	}
	c, n, f := m.channels(), m.Length, len(m.Filters)
	filtered := func(dst *dense.M, first int, row []float64) {
		for k, w := range m.Filters {
			y := dst.Row(first + k)
			clear(y)
			for ch := range c {
				a := w[ch]
				for t, v := range row[ch*n : (ch+1)*n] {
					y[t] += float64(a * v)
				}
			}
		}
	}
	if output == "samples" {
		for _, name := range names {
			for t := range n {
				out.Channels = append(out.Channels, stream.Channel{Label: "xdawn " + name + in.Channels[t].Label[len(m.Names[0]):], Type: TypeSample})
			}
		}
		y := dense.New(f, n)
		x.openColumns(in.Rows(), make([]float64, f*n), func(to, row []float64) bool {
			filtered(y, 0, row)
			copy(to, y.V)
			return true
		})
		return out, nil
	}
	all := make([]string, 0, 2*f)
	for _, name := range names {
		all = append(all, "mean "+name)
	}
	for _, name := range names {
		all = append(all, "xdawn "+name)
	}
	for i := range all {
		for j := i; j < len(all); j++ {
			out.Channels = append(out.Channels, stream.Channel{Label: "cov " + all[i] + " " + all[j], Type: TypeCovariance})
		}
	}
	z, s := dense.New(2*f, n), dense.New(2*f, 2*f)
	identity := make([]float64, len(out.Channels))
	upperTriangle(identity, dense.Identity(2*f))
	x.openColumns(in.Rows(), identity, func(to, row []float64) bool {
		for k, t := range m.Templates { // centred in place below, so written anew
			copy(z.Row(k), t)
		}
		filtered(z, f, row)
		if !windowCovariance(s, z, estimator) {
			return false
		}
		upperTriangle(to, s)
		return true
	})
	return out, nil
}

// windowCovariance sets s to the covariance of the rows of z, which it centres:
//
//	scm  Z Z' / (n-1)
//	lwf, oas  (1-a) S + a tr(S)/p I with S = Z Z' / n and a of Ledoit & Wolf 2004, or of
//	          Chen et al. 2010 as scikit-learn has it
func windowCovariance(s, z *dense.M, estimator string) bool {
	p, n := z.R, float64(z.C)
	for i := range p {
		centre(z.Row(i))
	}
	div := n
	if estimator == "scm" {
		div--
	}
	for i := range p {
		for j := range i + 1 {
			v := dense.Dot(z.Row(i), z.Row(j)) / div
			s.V[i*p+j], s.V[j*p+i] = v, v
		}
	}
	trace := s.Trace()
	if !(trace > 0) || math.IsInf(trace, 0) {
		return false
	}
	if estimator == "scm" {
		return true
	}
	all := dense.Dot(s.V, s.V)
	mu, share := trace/float64(p), 1.0
	if estimator == "lwf" {
		quad := 0.0
		for t := range z.C {
			r := 0.0
			for i := range p {
				v := z.V[i*z.C+t]
				r += float64(v * v)
			}
			quad += float64(r * r)
		}
		delta := (all - float64(p)*mu*mu) / float64(p)
		beta := min((quad/n-all)/(n*float64(p)), delta)
		share = 0
		if beta > 0 {
			share = beta / delta
		}
	} else {
		alpha := all / float64(p*p)
		if den := (n + 1) * (alpha - mu*mu/float64(p)); den > 0 {
			share = min(1, (alpha+mu*mu)/den)
		}
	}
	s.Scale(1 - share)
	for i := range p {
		s.V[i*p+i] += share * mu
	}
	return true
}
