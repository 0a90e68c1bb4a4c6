package decoders

import (
	"context"
	"encoding/json"

	"neurostream/stream"
)

// Kalman decodes kinematics, usually velocity, from features or spike counts: one
// estimate per column, from that column and all before it. With targets relabelled
// by [RefitLabels] it is the ReFIT decoder of Gilja et al. 2012.
//
//	z_t = A z_{t-1} + noise    x_t = H z_t + noise    (Wu et al. 2006)
//
// Output rows are the targets in their units, then with Health two rows: fallbacks
// per second and innovation (1 on average while the model fits the data). A column
// with an unusable row is predicted only. Cost per column: see the forms; 2d(n+d)
// operations when steady.
type Kalman struct {
	Form     string  // "information" (default), "joseph" or "steady"; see KalmanInformation
	Raw      bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Health   bool    // add the two health rows

	track
	model *kalmanFile
}

var _ Fitter = (*Kalman)(nil)

// Fit learns the model from rows in order of time; see FitKalman.
func (k *Kalman) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	limit, err := saturation(k.Saturate)
	if err != nil {
		return err
	}
	c, err := learnConditioning(rows, k.Raw)
	if err != nil {
		return err
	}
	x, z := c.apply(rows, limit)
	m, err := FitKalman(z, x, rows.Group)
	if err != nil {
		return err
	}
	k.model = &kalmanFile{Format: 1, Kind: "kalman", conditioning: c, Kalman: *m}
	if progress != nil {
		progress(1, 1)
	}
	return ctx.Err()
}

// SaveModel returns the learned matrices and conditioning.
func (k *Kalman) SaveModel() (json.RawMessage, error) {
	if k.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(k.model)
}

// LoadModel sets them after checking.
func (k *Kalman) LoadModel(raw json.RawMessage) error {
	m := new(kalmanFile)
	if err := decodeModel(raw, "kalman", m); err != nil {
		return err
	}
	if err := m.validate(); err != nil {
		return err
	}
	if err := m.Kalman.Validate(); err != nil {
		return err
	}
	k.model = m
	return nil
}

// Open builds the filter for the stream.
func (k *Kalman) Open(in stream.Header) (stream.Header, error) {
	if k.model == nil {
		return stream.Header{}, ErrUntrained
	}
	limit, err := saturation(k.Saturate)
	if err != nil {
		return stream.Header{}, err
	}
	t, err := newKalman(&k.model.Kalman, k.Form)
	if err != nil {
		return stream.Header{}, err
	}
	return k.open(in, k.model.conditioning, t, limit, k.Health)
}
