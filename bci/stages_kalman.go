package bci

import (
	"neurostream/decoders"
	"neurostream/stream"
)

// kalmanStages: decoders of kinematics. They learn the channels that the pipeline
// file names under targets.
var kalmanStages = []StageType{
	{
		Name: "kalman", Doc: "Kalman filter: kinematics from features or spike counts (learned)", Example: "kalman: {form: information}", Input: "features", Regression: true,
		Params: kinematicParams(
			Param{Name: "form", Kind: Text, Default: decoders.KalmanInformation, Choices: []string{decoders.KalmanInformation, decoders.KalmanJoseph, decoders.KalmanSteady}, Doc: "how it is computed: exact and fast, the reference, or with a constant gain"},
		),
		New: func(s *Settings) stream.Stage {
			return &decoders.Kalman{Form: s.Text("form"), Raw: s.Bool("raw"), Saturate: orNever(s.Float("saturate")), Health: s.Bool("health")}
		},
	},
	{
		Name: "ekf", Doc: "extended Kalman filter: a network predicts the features from the kinematics (learned)", Example: "ekf: {hidden: 10}", Input: "features", Regression: true,
		Params: kinematicParams(
			Param{Name: "hidden", Kind: Integer, Default: 10.0, Min: 1, Max: 4096, Doc: "tanh units of the network"},
			Param{Name: "iterations", Kind: Integer, Default: 1.0, Min: 1, Max: 20, Doc: "linearisations a column; more than 1 = iterated filter"},
			seedParam,
		),
		New: func(s *Settings) stream.Stage {
			return &decoders.EKF{
				Hidden: s.Int("hidden"), Iterations: s.Int("iterations"), Seed: uint64(s.Int("seed")),
				Raw: s.Bool("raw"), Saturate: orNever(s.Float("saturate")), Health: s.Bool("health"),
			}
		},
	},
	{
		Name: "ukf", Doc: "unscented Kalman filter on the network of ekf (learned)", Example: "ukf: {hidden: 10, alpha: 0.5}", Input: "features", Regression: true,
		Params: kinematicParams(
			Param{Name: "hidden", Kind: Integer, Default: 10.0, Min: 1, Max: 4096, Doc: "tanh units of the network"},
			Param{Name: "alpha", Kind: Number, Default: 1e-3, Min: 1e-6, Max: 1, Doc: "spread of the sigma points"},
			Param{Name: "kappa", Kind: Number, Default: 0.0, Max: 100, Doc: "secondary spread of the sigma points"},
			Param{Name: "cubature", Kind: Truth, Default: false, Doc: "equal weights and none in the centre, instead of alpha and kappa"},
			seedParam,
		),
		New: func(s *Settings) stream.Stage {
			return &decoders.UKF{
				Hidden: s.Int("hidden"), Alpha: s.Float("alpha"), Kappa: s.Float("kappa"), Cubature: s.Bool("cubature"), Seed: uint64(s.Int("seed")),
				Raw: s.Bool("raw"), Saturate: orNever(s.Float("saturate")), Health: s.Bool("health"),
			}
		},
	},
	{
		Name: "dkf", Doc: "Discriminative Kalman Filter: kinematics through a learned regression f and its covariance Q (learned)", Example: "dkf: {f: gp, points: 1000}", Input: "features", Regression: true,
		Params: kinematicParams(
			Param{
				Name: "f", Kind: Text, Default: decoders.DKFGP, Doc: "regression: Gaussian process (exact, sparse, multiple kernel), Nadaraya-Watson, network, linear, spiking network",
				Choices: []string{decoders.DKFGP, decoders.DKFSparseGP, decoders.DKFMKGP, decoders.DKFNW, decoders.DKFMLP, decoders.DKFLinear, decoders.DKFSNN},
			},
			Param{Name: "mode", Kind: Text, Default: decoders.DKFConstantQ, Choices: []string{decoders.DKFConstantQ, decoders.DKFStandard, decoders.DKFRobust, decoders.DKFNone}, Doc: "steady state of a constant Q; the update of the paper; without dividing by the prior; f alone"},
			Param{Name: "q", Kind: Text, Default: "constant", Choices: []string{"constant", "kernel"}, Doc: "covariance of standard and robust: one, or a kernel average that depends on the features"},
			Param{Name: "fallback", Kind: Text, Default: decoders.FallbackPaper, Choices: []string{decoders.FallbackPaper, decoders.FallbackReleased, decoders.FallbackClip}, Doc: "where the inverses of Q and prior do not differ by a covariance: robust step, the authors' programs, clipped eigenvalues"},
			Param{Name: "history", Kind: Integer, Default: 1.0, Min: 1, Max: 256, Doc: "columns that f sees, the newest included"},
			Param{Name: "points", Kind: Integer, Default: 0.0, Max: 20000, Doc: "training points of a Gaussian process, evenly spread; 0 = at most 3000 (gp), 20000 (sparse-gp), 1000 (mk-gp)"},
			Param{Name: "inducing", Kind: Integer, Default: 200.0, Min: 1, Max: 5000, Doc: "points that a sparse-gp keeps"},
			Param{Name: "octants", Kind: Truth, Default: false, Doc: "mk-gp: learn from the means of eight directions only"},
			Param{Name: "bandwidth", Kind: Number, Default: 0.0, Max: 1e9, Doc: "nw: squared width of the kernel in squared units of the features; 0 = least leave-one-out error"},
			Param{Name: "hidden", Kind: Integer, Default: 0.0, Max: 4096, Doc: "units of mlp or snn; 0 = 10 and 64"},
			Param{Name: "l2", Kind: Number, Default: 1e-3, Min: 1e-12, Max: 1e6, Doc: "mlp: penalty on the weights"},
			Param{Name: "epochs", Kind: Integer, Default: 60.0, Min: 1, Max: 100000, Doc: "snn: rounds of training at most"},
			Param{Name: "shrink", Kind: Number, Default: 0.05, Max: 1, Doc: "share of the constant Q in a kernel Q"},
			Param{Name: "residuals", Kind: Text, Default: "holdout", Choices: []string{"holdout", "leave-one-out"}, Doc: "what Q is learned from: 3 of 10 stretches of time, or each row left out in turn (nw and gp)"},
			seedParam,
		),
		New: func(s *Settings) stream.Stage {
			return &decoders.DKF{
				F: s.Text("f"), Mode: s.Text("mode"), Q: s.Text("q"), Fallback: s.Text("fallback"), History: s.Int("history"),
				Points: s.Int("points"), Inducing: s.Int("inducing"), Octants: s.Bool("octants"), Bandwidth: s.Float("bandwidth"),
				Hidden: s.Int("hidden"), L2: s.Float("l2"), Epochs: s.Int("epochs"), Seed: uint64(s.Int("seed")),
				Shrink: orNever(s.Float("shrink")), Residuals: s.Text("residuals"),
				Raw: s.Bool("raw"), Saturate: orNever(s.Float("saturate")), Health: s.Bool("health"),
			}
		},
	},
}

var seedParam = Param{Name: "seed", Kind: Integer, Default: 1.0, Max: 1e15, Doc: "of the first weights"}

// kinematicParams adds what all decoders of kinematics share.
func kinematicParams(own ...Param) []Param {
	return append(
		own,
		Param{Name: "saturate", Kind: Number, Unit: "standard deviations", Default: 3.0, Max: 1000, Doc: "features are clipped there; 0 = never"},
		Param{Name: "raw", Kind: Truth, Default: false, Doc: "features are centred and scaled already: neither is learned"},
		Param{Name: "health", Kind: Truth, Default: false, Doc: "two more rows: fallbacks per second, and innovation (1 on average while the model fits)"},
	)
}

// orNever maps a setting of 0, which means never, to what a decoder takes for it.
func orNever(v float64) float64 {
	if v == 0 {
		return -1
	}
	return v
}
