package decoders

import (
	"context"
	"encoding/json"
	"fmt"

	"neurostream/stream"
)

// tuning is what EKF and UKF share: linear dynamics of the kinematics and a network
// that predicts the features from them.
type tuning struct {
	track
	model *tuningFile
}

type tuningFile struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	conditioning
	DKFModel
	H mlpFile     `json:"h"`
	R [][]float64 `json:"R"`
}

func (k *tuning) fit(ctx context.Context, rows *Rows, hidden int, seed uint64, raw bool, saturate float64, progress func(done, total int)) error {
	limit, err := saturation(saturate)
	if err != nil {
		return err
	}
	c, err := learnConditioning(rows, raw)
	if err != nil {
		return err
	}
	x, z := c.apply(rows, limit)
	dyn, err := FitDKFModel(z, rows.Group)
	if err != nil {
		return err
	}
	var train, held []int
	for t, b := range blocks(len(x), rows.Group) {
		if r := b % 10; r == 3 || r == 6 || r == 9 {
			held = append(held, t)
		} else {
			train = append(train, t)
		}
	}
	n := len(x[0])
	if len(held) <= n {
		return fmt.Errorf("%d held-out rows for the residual covariance of %d features: record more or use fewer features", len(held), n)
	}
	net := &MLP{Hidden: hidden, Seed: seed}
	if err := net.Fit(ctx, pick(z, train), pick(x, train), half(progress, 0)); err != nil {
		return err
	}
	var res [][]float64
	for _, t := range held {
		e := make([]float64, n)
		net.Predict(e, z[t])
		for i := range e {
			e[i] = x[t][i] - e[i]
		}
		res = append(res, e)
	}
	_, r := outerProducts(res)
	if err := net.Fit(ctx, z, x, half(progress, 1)); err != nil {
		return err
	}
	m := &tuningFile{Format: 1, Kind: "tuning", conditioning: c, DKFModel: *dyn, H: net.file(), R: r.Rows()}
	nl, err := fromNetwork(m)
	if err == nil {
		err = nl.check()
	}
	if err != nil {
		return err
	}
	k.model = m
	return nil
}

// SaveModel returns everything that was learned. EKF and UKF share their models.
func (k *tuning) SaveModel() (json.RawMessage, error) {
	if k.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(k.model)
}

// LoadModel sets it after checking.
func (k *tuning) LoadModel(raw json.RawMessage) error {
	m := new(tuningFile)
	if err := decodeModel(raw, "tuning", m); err != nil {
		return err
	}
	if err := m.validate(); err != nil {
		return err
	}
	nl, err := fromNetwork(m)
	if err == nil {
		err = nl.check()
	}
	if err != nil {
		return err
	}
	k.model = m
	return nil
}

func (k *tuning) start(in stream.Header, saturate float64, health bool, build func(nonlinear) (tracker, error)) (stream.Header, error) {
	if k.model == nil {
		return stream.Header{}, ErrUntrained
	}
	limit, err := saturation(saturate)
	if err != nil {
		return stream.Header{}, err
	}
	nl, err := fromNetwork(k.model)
	if err != nil {
		return stream.Header{}, err
	}
	t, err := build(nl)
	if err != nil {
		return stream.Header{}, err
	}
	return k.open(in, k.model.conditioning, t, limit, health)
}

// EKF is the extended Kalman filter: linear kinematics seen through a network with
// Hidden tanh units, linearised at the prediction. It can only work when the mean of
// the features depends on the kinematics. Outputs as [Kalman]. Cost per column about
// n² d operations.
type EKF struct {
	Hidden     int     // tanh units of the network; 0 = 10
	Iterations int     // relinearisations, 1 to 20; 0 = 1, the plain EKF
	Seed       uint64  // initial weights of the network
	Raw        bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate   float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Health     bool    // add rows "fallbacks" (per second) and "innovation"

	tuning
}

// Fit learns dynamics, network and residual covariance from rows in order of time.
func (k *EKF) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	return k.fit(ctx, rows, k.Hidden, k.Seed, k.Raw, k.Saturate, progress)
}

// Open builds the filter for the stream.
func (k *EKF) Open(in stream.Header) (stream.Header, error) {
	if k.Iterations < 0 || k.Iterations > 20 {
		return stream.Header{}, fmt.Errorf("iterations %d: give 1 to 20", k.Iterations)
	}
	return k.start(in, k.Saturate, k.Health, func(m nonlinear) (tracker, error) { return newEKF(m, k.Iterations) })
}

// UKF is the unscented Kalman filter on the model of [EKF]. Cost per column about
// n³/3 operations.
type UKF struct {
	Hidden   int     // tanh units of the network; 0 = 10
	Seed     uint64  // initial weights of the network
	Alpha    float64 // spread of the sigma points, above 0 to 1; 0 = 1e-3
	Kappa    float64 // secondary spread; 0
	Cubature bool    // α = 1, β = 0, κ = 0 instead: equal weights and none in the centre
	Raw      bool    // rows are centred and scaled already; default: z-score with the training rows
	Saturate float64 // clip z-scores at ± this; 0 = 3, negative = never; ignored when Raw
	Health   bool    // add rows "fallbacks" (per second) and "innovation"

	tuning
}

// Fit learns dynamics, network and residual covariance from rows in order of time.
func (k *UKF) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	return k.fit(ctx, rows, k.Hidden, k.Seed, k.Raw, k.Saturate, progress)
}

// Open builds the filter for the stream.
func (k *UKF) Open(in stream.Header) (stream.Header, error) {
	alpha, beta, kappa := k.Alpha, 2.0, k.Kappa
	if alpha == 0 {
		alpha = 1e-3
	}
	if k.Cubature {
		alpha, beta, kappa = 1, 0, 0
	}
	if !(alpha > 0) || alpha > 1 || kappa < 0 || kappa-kappa != 0 {
		return stream.Header{}, fmt.Errorf("alpha %v, kappa %v: alpha is above 0 and at most 1, kappa not negative", k.Alpha, k.Kappa)
	}
	return k.start(in, k.Saturate, k.Health, func(m nonlinear) (tracker, error) { return newUKF(m, alpha, beta, kappa) })
}
