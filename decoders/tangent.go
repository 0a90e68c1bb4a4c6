package decoders

import (
	"context"
	"encoding/json"
	"fmt"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// TangentSpace maps covariance matrices to the plane that touches the space of
// covariance matrices at the mean of the training windows, where linear
// classifiers work (Barachant et al. 2013):
//
//	v = upper(ln(M^-½ C M^-½)), off-diagonals times √2    "riemann"
//	v = upper(ln C - ln M)                                "logeuclid"
//
// n channels give n(n+1)/2 rows "ts A B". Cost per column: one eigen-decomposition,
// about 9n³ operations (n = 21: 0.1 ms, n = 64: 3 ms).
type TangentSpace struct {
	Metric string // "riemann" (default) or "logeuclid"; both for the mean and the map

	columnwise
	model *tangentFile
}

type tangentFile struct {
	modelHead
	Metric    string    `json:"metric"`
	Reference []float64 `json:"reference"` // upper triangle of M
}

var _ Fitter = (*TangentSpace)(nil)

// Fit learns the mean covariance. Labels are not used.
func (t *TangentSpace) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	metric, err := checkMetric(t.Metric, Riemann, LogEuclid)
	if err != nil {
		return err
	}
	if err := checkFinite(rows); err != nil {
		return err
	}
	names, err := covarianceChannels(&rows.Header)
	if err != nil {
		return err
	}
	n := len(names)
	m, err := newSPD(n).mean(ctx, matrices(rows.X, n), nil, metric, 1e-10, func(i int) {
		if progress != nil {
			progress(min(i, 9), 10) // it takes about ten steps
		}
	})
	if err != nil {
		return err
	}
	f := &tangentFile{modelHead: head("tangent", rows), Metric: metric, Reference: make([]float64, len(rows.Header.Channels))}
	f.Classes = nil
	upperTriangle(f.Reference, m)
	t.model = f
	return nil
}

// SaveModel returns the mean.
func (t *TangentSpace) SaveModel() (json.RawMessage, error) { return saveModel(t.model) }

// LoadModel sets it after checking.
func (t *TangentSpace) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "tangent", &t.model, func(m *tangentFile) error {
		if err := m.validate(0); err != nil {
			return err
		}
		if _, err := checkMetric(m.Metric, Riemann, LogEuclid); err != nil {
			return err
		}
		return checkNumbers("reference", m.Reference, len(m.Rows))
	})
}

// Open prepares the map for a stream of covariance rows.
func (t *TangentSpace) Open(in stream.Header) (stream.Header, error) {
	if t.model == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := t.model.fits(&in); err != nil {
		return stream.Header{}, err
	}
	if t.Metric != "" && t.Metric != t.model.Metric {
		return stream.Header{}, fmt.Errorf("metric %q: the model was trained with %q; train again or drop the setting", t.Metric, t.model.Metric)
	}
	names, err := covarianceChannels(&in)
	if err != nil {
		return stream.Header{}, err
	}
	project, err := t.model.projection(len(names))
	if err != nil {
		return stream.Header{}, err
	}
	out := in
	out.Channels = nil
	for i := range names {
		for j := i; j < len(names); j++ {
			out.Channels = append(out.Channels, stream.Channel{Label: "ts " + names[i] + " " + names[j], Type: "feature"})
		}
	}
	t.openColumns(in.Rows(), make([]float64, in.Rows()), project)
	return out, nil
}

// projection returns the map from covariance rows to tangent rows. It owns memory.
func (m *tangentFile) projection(n int) (func(v, upper []float64) bool, error) {
	s, c, ref := newSPD(n), dense.New(n, n), dense.New(n, n)
	symmetric(ref, m.Reference)
	if m.Metric == LogEuclid {
		if !s.log(ref, ref) {
			return nil, fmt.Errorf("the model's mean covariance is %w", errNotSPD)
		}
		return func(v, upper []float64) bool {
			symmetric(c, upper)
			if !s.log(c, c) {
				return false
			}
			dense.Add(c, c, -1, ref)
			tangentVector(v, c)
			return true
		}, nil
	}
	if !s.invSqrt(ref, ref) {
		return nil, fmt.Errorf("the model's mean covariance is %w", errNotSPD)
	}
	return func(v, upper []float64) bool {
		symmetric(c, upper)
		s.congruence(c, ref, c)
		if !s.log(c, c) {
			return false
		}
		tangentVector(v, c)
		return true
	}, nil
}
