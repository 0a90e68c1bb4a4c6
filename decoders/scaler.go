package decoders

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"neurostream/stream"
)

// Scaler standardises rows with mean and standard deviation of the training
// examples (divisor n): y = (x - mean)/std. A row that was constant in training is
// centred only.
type Scaler struct {
	columnwise
	model *scalerFile
}

type scalerFile struct {
	modelHead
	Mean  []float64 `json:"mean"`
	Scale []float64 `json:"scale"` // divisor, 1 for a constant row
}

var _ Fitter = (*Scaler)(nil)

// Fit learns mean and deviation. Labels are not used.
func (s *Scaler) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	if err := checkFinite(rows); err != nil {
		return err
	}
	m := &scalerFile{modelHead: head("scaler", rows), Mean: columnMeans(rows.X)}
	m.Classes = nil
	m.Scale = deviations(rows.X, m.Mean)
	s.model = m
	return nil
}

// deviations returns the standard deviation of every row (divisor n), 1 where the
// row is constant to rounding.
func deviations(x [][]float64, mean []float64) []float64 {
	out := make([]float64, len(mean))
	for j := range out {
		sum := 0.0
		for i := range x {
			d := x[i][j] - mean[j]
			sum += float64(d * d)
		}
		out[j] = math.Sqrt(sum / float64(len(x)))
		if !(out[j] > 1e-14*math.Abs(mean[j])) {
			out[j] = 1
		}
	}
	return out
}

// SaveModel returns means and scales.
func (s *Scaler) SaveModel() (json.RawMessage, error) { return saveModel(s.model) }

// LoadModel sets them after checking.
func (s *Scaler) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "scaler", &s.model, func(m *scalerFile) error {
		if err := m.validate(0); err != nil {
			return err
		}
		if err := checkNumbers("mean", m.Mean, len(m.Rows)); err != nil {
			return err
		}
		if err := checkNumbers("scale", m.Scale, len(m.Rows)); err != nil {
			return err
		}
		for i, v := range m.Scale {
			if !(v > 0) {
				return fmt.Errorf("the model divides row %q by %v", m.Rows[i], v)
			}
		}
		return nil
	})
}

// Open prepares the stage for a stream with the rows of the training.
func (s *Scaler) Open(in stream.Header) (stream.Header, error) {
	m := s.model
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	out := in.Clone()
	for i := range out.Channels {
		out.Channels[i].Unit = ""
	}
	s.openColumns(in.Rows(), make([]float64, in.Rows()), func(y, x []float64) bool {
		for i, v := range x {
			y[i] = (v - m.Mean[i]) / m.Scale[i]
		}
		return true
	})
	return out, nil
}
