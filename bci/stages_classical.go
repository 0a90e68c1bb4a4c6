package bci

import (
	"neurostream/decoders"
	"neurostream/stream"
)

// classicalStages: linear and Riemannian classifiers, adaptation, what smooths and gates.
var classicalStages = []StageType{
	{
		Name: "recentre", Doc: "move covariances so that their running Riemannian mean is the identity", Example: "recentre: {every: 1, memory: 60}", Input: "covariance",
		Params: []Param{
			{Name: "every", Kind: Number, Unit: "s", Default: 1.0, Min: 0.001, Max: 3600, Doc: "between updates of the mean"},
			{Name: "memory", Kind: Number, Unit: "s", Default: 60.0, Min: 0.001, Max: 1e6, Doc: "how much of the past counts"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Recentre{Every: s.Float("every"), Memory: s.Float("memory")}
		},
	},
	{
		Name: "tangent-space", Doc: "covariances as vectors in the tangent space at their mean (learned)", Example: "tangent-space: {metric: riemann}", Input: "covariance",
		Params: []Param{{Name: "metric", Kind: Text, Default: "riemann", Choices: []string{"riemann", "logeuclid"}, Doc: "of the mean and of the map"}},
		New:    func(s *Settings) stream.Stage { return &decoders.TangentSpace{Metric: s.Text("metric")} },
	},
	{
		Name: "logistic", Doc: "logistic regression: a probability per class (learned)", Example: "logistic: {c: 1}", Input: "features",
		Params: []Param{
			{Name: "c", Kind: Number, Default: 1.0, Min: 1e-9, Max: 1e9, Doc: "weight of the data against the penalty"},
			{Name: "penalty", Kind: Text, Default: "l2", Choices: []string{"l2", "elasticnet"}, Doc: "what keeps the weights small"},
			{Name: "l1-ratio", Kind: Number, Default: 0.0, Max: 1, Doc: "share of the absolute values in the elastic net"},
			{Name: "idle", Kind: Text, Default: "", Doc: "class that is told from all others first; empty = all classes at one level"},
			{Name: "idle-c", Kind: Number, Default: 0.0, Max: 1e9, Doc: "c of idle against the rest; 0 = c"},
			{Name: "balanced", Kind: Truth, Default: false, Doc: "every class weighs the same, however many examples it has"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Logistic{
				C: s.Float("c"), Penalty: s.Text("penalty"), L1Ratio: s.Float("l1-ratio"),
				Idle: s.Text("idle"), IdleC: s.Float("idle-c"), Balanced: s.Bool("balanced"),
			}
		},
	},
	{
		Name: "lda", Doc: "linear discriminant analysis: a probability per class (learned)", Example: "lda: {shrinkage: auto}", Input: "features",
		Params: []Param{
			{Name: "solver", Kind: Text, Default: "lsqr", Choices: []string{"lsqr", "eigen", "svd"}, Doc: "how the discriminant is found"},
			{Name: "shrinkage", Kind: Text, Default: "none", Doc: "none, auto (Ledoit-Wolf), or a number from 0 to 1"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.LDA{Solver: s.Text("solver"), Shrinkage: s.Text("shrinkage")}
		},
	},
	{
		Name: "scaler", Doc: "every row to mean 0 and variance 1 (learned)", Example: "scaler:", Input: "features",
		New: func(*Settings) stream.Stage { return &decoders.Scaler{} },
	},
	{
		Name: "smooth", Doc: "leaky average of the log-probabilities", Example: "smooth: {seconds: 1}", Input: "probabilities",
		Params: []Param{{Name: "seconds", Kind: Number, Unit: "s", Default: 1.0, Min: 1e-3, Max: 1e4, Doc: "time constant"}},
		New:    func(s *Settings) stream.Stage { return &decoders.Smooth{Seconds: s.Float("seconds")} },
	},
	{
		Name: "gate", Doc: "decisions and commands from probabilities: confidence, dwell, refractory time", Example: "gate: {threshold: 0.6, dwell: 3, refractory: 1, idle: rest}", Input: "probabilities",
		Params: []Param{
			{Name: "threshold", Kind: Number, Default: 0.0, Max: 1, Doc: "least probability of a decision other than idle"},
			{Name: "dwell", Kind: Integer, Default: 1.0, Min: 1, Max: 10000, Doc: "equal decisions in a row that fire a command"},
			{Name: "refractory", Kind: Number, Unit: "s", Default: 0.0, Max: 3600, Doc: "after a command, nothing fires for this long"},
			{Name: "idle", Kind: Text, Default: "", Doc: "class that never commands; empty = none"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Gate{Threshold: s.Float("threshold"), Dwell: s.Int("dwell"), Refractory: s.Float("refractory"), Idle: s.Text("idle")}
		},
	},
}
