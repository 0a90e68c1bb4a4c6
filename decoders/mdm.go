package decoders

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// MDM is the minimum-distance-to-mean classifier: a covariance belongs to the class
// whose mean covariance is nearest (Barachant et al. 2012). Probabilities are the
// softmax of minus the squared distances. With Filter it is FgMDM (Barachant et al.
// 2010): matrices are first projected, in the tangent space of the common mean, on
// the directions a shrinkage LDA finds.
//
// Distances are affine invariant; Metric chooses how the means are taken. Cost per
// column: 9n³ operations per class; with Filter 20n³ more and n⁴/4 for the projection.
type MDM struct {
	Metric string // of the class means: "riemann" (default), "logeuclid" or "euclid"
	Filter bool   // FgMDM

	columnwise
	model *mdmFile
}

type mdmFile struct {
	modelHead
	Means     [][]float64 `json:"means"`               // upper triangles, one per class
	Reference []float64   `json:"reference,omitempty"` // FgMDM: upper triangle of the common mean
	Basis     [][]float64 `json:"basis,omitempty"`     // FgMDM: orthonormal directions of the tangent space
}

var _ Fitter = (*MDM)(nil)

// Fit learns the means.
func (m *MDM) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	metric, err := checkMetric(m.Metric, Riemann, LogEuclid, EuclidMean)
	if err != nil {
		return err
	}
	names, err := covarianceChannels(&rows.Header)
	if err != nil {
		return err
	}
	count, err := checkLabelled(rows)
	if err != nil {
		return err
	}
	n := len(names)
	f := &mdmFile{modelHead: head("mdm", rows)}
	x := rows.X
	s := newSPD(n)
	if m.Filter {
		if err := f.learnFilter(ctx, s, rows, count); err != nil {
			return err
		}
		project, err := f.filter(n)
		if err != nil {
			return err
		}
		x = make([][]float64, len(rows.X))
		for i := range x {
			x[i] = make([]float64, len(rows.X[i]))
			if !project(x[i], rows.X[i]) {
				return fmt.Errorf("covariance %d is %w", i+1, errNotSPD)
			}
		}
	}
	for k := range count {
		var of [][]float64
		for i, y := range rows.Y {
			if y == k {
				of = append(of, x[i])
			}
		}
		mean, err := s.mean(ctx, matrices(of, n), nil, metric, 1e-10, nil)
		if err != nil {
			return fmt.Errorf("class %q: %w", rows.Classes[k], err)
		}
		u := make([]float64, len(rows.Header.Channels))
		upperTriangle(u, mean)
		f.Means = append(f.Means, u)
		if progress != nil {
			progress(k+1, len(count))
		}
	}
	m.model = f
	return nil
}

// learnFilter sets the reference and an orthonormal basis of the span of the LDA
// weights: the projection W'(WW')⁺W is that onto this span.
func (f *mdmFile) learnFilter(ctx context.Context, s *spd, rows *Rows, count []int) error {
	ref, err := s.mean(ctx, matrices(rows.X, s.n), nil, Riemann, 1e-10, nil)
	if err != nil {
		return err
	}
	f.Reference = make([]float64, len(rows.Header.Channels))
	upperTriangle(f.Reference, ref)
	t := tangentFile{modelHead: f.modelHead, Metric: Riemann, Reference: f.Reference}
	tangent, err := t.projection(s.n)
	if err != nil {
		return err
	}
	v := make([][]float64, len(rows.X))
	for i := range v {
		v[i] = make([]float64, len(rows.X[i]))
		if !tangent(v[i], rows.X[i]) {
			return fmt.Errorf("covariance %d is %w", i+1, errNotSPD)
		}
	}
	var lda linearFile
	if err := fitLDA(&lda, v, rows.Y, count, "lsqr", -1); err != nil {
		return err
	}
	for _, w := range lda.Weights { // Gram-Schmidt, twice for rounding
		size := math.Sqrt(dense.Dot(w, w))
		for range 2 {
			for _, b := range f.Basis {
				d := dense.Dot(b, w)
				for j := range w {
					w[j] -= float64(d * b[j])
				}
			}
		}
		left := math.Sqrt(dense.Dot(w, w))
		// Around their own mean the class means sum to zero, so one direction is
		// rounding only.
		if !(left > 1e-6*size) {
			continue
		}
		for j := range w {
			w[j] /= left
		}
		f.Basis = append(f.Basis, w)
	}
	return nil
}

// filter returns the map from covariance rows to projected covariance rows.
func (f *mdmFile) filter(n int) (func(out, upper []float64) bool, error) {
	t := tangentFile{modelHead: f.modelHead, Metric: Riemann, Reference: f.Reference}
	tangent, err := t.projection(n)
	if err != nil {
		return nil, err
	}
	s, c, root := newSPD(n), dense.New(n, n), dense.New(n, n)
	symmetric(root, f.Reference)
	s.sqrt(root, root)
	v, p := make([]float64, len(f.Reference)), make([]float64, len(f.Reference))
	return func(out, upper []float64) bool {
		if !tangent(v, upper) {
			return false
		}
		clear(p)
		for _, b := range f.Basis {
			d := dense.Dot(b, v)
			for j, z := range b {
				p[j] += float64(d * z)
			}
		}
		fromTangentVector(c, p)
		if !s.exp(c, c) {
			return false
		}
		s.congruence(c, root, c)
		upperTriangle(out, c)
		return true
	}, nil
}

// distances returns the map from covariance rows to the distances to the means.
func (f *mdmFile) distances(n int) (func(d, upper []float64) bool, error) {
	s, c := newSPD(n), dense.New(n, n)
	white := make([]*dense.M, len(f.Means))
	for k := range white {
		white[k] = dense.New(n, n)
		symmetric(white[k], f.Means[k])
		if !s.invSqrt(white[k], white[k]) {
			return nil, fmt.Errorf("the model's mean of class %q is %w", f.Classes[k], errNotSPD)
		}
	}
	var project func(out, upper []float64) bool
	if f.Reference != nil {
		var err error
		if project, err = f.filter(n); err != nil {
			return nil, err
		}
	}
	u := make([]float64, len(f.Rows))
	return func(d, upper []float64) bool {
		if project != nil {
			if !project(u, upper) {
				return false
			}
			upper = u
		}
		symmetric(c, upper)
		for k := range d {
			d[k] = s.distanceWhitened(white[k], c)
		}
		return allFinite(d)
	}, nil
}

// SaveModel returns the means.
func (m *MDM) SaveModel() (json.RawMessage, error) { return saveModel(m.model) }

// LoadModel sets them after checking.
func (m *MDM) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "mdm", &m.model, func(f *mdmFile) error {
		if err := f.validate(2); err != nil {
			return err
		}
		if len(f.Means) != len(f.Classes) {
			return fmt.Errorf("the model has %d means for %d classes", len(f.Means), len(f.Classes))
		}
		for _, u := range f.Means {
			if err := checkNumbers("mean", u, len(f.Rows)); err != nil {
				return err
			}
		}
		if (f.Reference == nil) != (f.Basis == nil) {
			return fmt.Errorf("the model's filter lacks its reference or its directions")
		}
		if f.Reference == nil {
			return nil
		}
		for _, b := range f.Basis {
			if err := checkNumbers("filter direction", b, len(f.Rows)); err != nil {
				return err
			}
		}
		return checkNumbers("reference", f.Reference, len(f.Rows))
	})
}

// Open prepares the classifier for a stream of covariance rows.
func (m *MDM) Open(in stream.Header) (stream.Header, error) {
	f := m.model
	if f == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := f.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if m.Filter != (f.Reference != nil) {
		return stream.Header{}, fmt.Errorf("filter %v: the model was trained with %v; train again", m.Filter, f.Reference != nil)
	}
	names, err := covarianceChannels(&in)
	if err != nil {
		return stream.Header{}, err
	}
	distances, err := f.distances(len(names))
	if err != nil {
		return stream.Header{}, err
	}
	return m.openClasses(in, &f.modelHead, func(p, x []float64) bool {
		if !distances(p, x) {
			return false
		}
		for k, d := range p {
			p[k] = -d * d
		}
		softmax(p)
		return true
	})
}
