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
			{Name: "protect", Kind: Number, Default: 0.0, Max: 0.9999, Doc: "share of the training rows' power in which bci run --refit and bci train --update must not change an answer; 0 = they forget"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Logistic{
				C: s.Float("c"), Penalty: s.Text("penalty"), L1Ratio: s.Float("l1-ratio"),
				Idle: s.Text("idle"), IdleC: s.Float("idle-c"), Balanced: s.Bool("balanced"), Protect: s.Float("protect"),
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
		Name: "csp", Doc: "log-power behind the spatial filters that tell classes apart best (learned)", Example: "csp: {components: 4}", Input: "covariance",
		Params: []Param{
			{Name: "components", Kind: Integer, Default: 0.0, Max: 4096, Doc: "filters to keep; 0 = 6, or one per channel if there are fewer"},
			{Name: "classes", Kind: Texts, Doc: "tell only these apart, e.g. [left, right]; none = all"},
			{Name: "reg", Kind: Number, Default: 0.0, Max: 1, Doc: "share of the scaled identity mixed into every class covariance"},
			{Name: "metric", Kind: Text, Default: "euclid", Choices: []string{"euclid", "logeuclid", "riemann"}, Doc: "of the class means"},
			{Name: "norm-trace", Kind: Truth, Default: false, Doc: "divide every class covariance by its trace"},
			{Name: "order", Kind: Text, Default: "info", Choices: []string{"info", "alternate"}, Doc: "two classes: by distance of the eigenvalue from 1/2, or from both ends in turn"},
			{Name: "multi", Kind: Text, Default: "joint", Choices: []string{"joint", "ovr"}, Doc: "more classes: joint diagonalisation, or each against the rest"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.CSP{
				Components: s.Int("components"), Classes: s.Texts("classes"), Reg: s.Float("reg"), Metric: s.Text("metric"),
				NormTrace: s.Bool("norm-trace"), Order: s.Text("order"), Multi: s.Text("multi"),
			}
		},
	},
	{
		Name: "mdm", Doc: "minimum distance to the mean covariance of a class (learned)", Example: "mdm: {metric: riemann}", Input: "covariance",
		Params: []Param{{Name: "metric", Kind: Text, Default: "riemann", Choices: []string{"riemann", "logeuclid", "euclid"}, Doc: "of the class means; distances are affine invariant"}},
		New:    func(s *Settings) stream.Stage { return &decoders.MDM{Metric: s.Text("metric")} },
	},
	{
		Name: "fgmdm", Doc: "mdm behind a geodesic filter that keeps what tells the classes apart (learned)", Example: "fgmdm:", Input: "covariance",
		Params: []Param{{Name: "metric", Kind: Text, Default: "riemann", Choices: []string{"riemann", "logeuclid", "euclid"}, Doc: "of the class means; distances are affine invariant"}},
		New:    func(s *Settings) stream.Stage { return &decoders.MDM{Metric: s.Text("metric"), Filter: true} },
	},
	{
		Name: "svm", Doc: "support vector machine with calibrated probabilities (learned)", Example: "svm: {kernel: rbf, c: 1}", Input: "features",
		Params: []Param{
			{Name: "kernel", Kind: Text, Default: "linear", Choices: []string{"linear", "rbf"}, Doc: "straight borders, or Gaussian bumps around the support vectors"},
			{Name: "c", Kind: Number, Default: 1.0, Min: 1e-9, Max: 1e9, Doc: "weight of the data against the width of the margin"},
			{Name: "gamma", Kind: Number, Default: 0.0, Max: 1e12, Doc: "of rbf: exp(-gamma |x-z|^2); 0 = 1/(rows x variance)"},
			{Name: "folds", Kind: Integer, Default: 5.0, Min: 2, Max: 1000, Doc: "of the cross-validation that calibrates; whole trials are left out"},
			{Name: "balanced", Kind: Truth, Default: false, Doc: "every class weighs the same, however many examples it has"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.SVM{Kernel: s.Text("kernel"), C: s.Float("c"), Gamma: s.Float("gamma"), Folds: s.Int("folds"), Balanced: s.Bool("balanced")}
		},
	},
	{
		Name: "cca", Doc: "canonical correlation with flickers; behind a filter bank FBCCA", Example: "cca: {freqs: [8, 13], harmonics: 2}", Input: "samples",
		Params: []Param{
			{Name: "freqs", Kind: Numbers, Unit: "Hz", Required: true, Min: 0.1, Max: 1000, Doc: "of the flickers"},
			{Name: "harmonics", Kind: Integer, Default: 3.0, Min: 1, Max: 16, Doc: "multiples of the frequency to use, itself included"},
			bankParam,
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.CCA{Freqs: s.Floats("freqs"), Harmonics: s.Int("harmonics"), Bands: s.Int("bands")}
		},
	},
	{
		Name: "trca", Doc: "filters and templates of what repeats itself from trial to trial (learned)", Example: "trca: {ensemble: true}", Input: "samples",
		Params: []Param{bankParam, {Name: "ensemble", Kind: Truth, Default: false, Doc: "compare behind the filters of all classes"}},
		New: func(s *Settings) stream.Stage {
			return &decoders.TRCA{Bands: s.Int("bands"), Ensemble: s.Bool("ensemble")}
		},
	},
	{
		Name: "softmax", Doc: "class probabilities from scores, not learned", Example: "softmax: {scale: 2}", Input: "features", Decides: true,
		Params: []Param{
			{Name: "scale", Kind: Number, Default: 1.0, Min: 1e-6, Max: 1e6, Doc: "the larger, the surer"},
			{Name: "classes", Kind: Texts, Doc: "names, one per row; none = those of the rows"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Softmax{Scale: s.Float("scale"), Classes: s.Texts("classes")}
		},
	},
	{
		Name: "fbcsp", Doc: "CSP in every band of a filter bank, and the features that say most about the class (learned)", Example: "fbcsp: {components: 4, select: 4}", Input: "covariance",
		Params: []Param{
			{Name: "components", Kind: Integer, Default: 0.0, Max: 4096, Doc: "filters per band; 0 = 4"},
			{Name: "select", Kind: Integer, Default: 0.0, Max: 65536, Doc: "features to keep, by mutual information; 0 = 10"},
			{Name: "classes", Kind: Texts, Doc: "tell only these apart, e.g. [left, right]; none = all"},
			{Name: "reg", Kind: Number, Default: 0.0, Max: 1, Doc: "share of the scaled identity mixed into every class covariance"},
			{Name: "multi", Kind: Text, Default: "joint", Choices: []string{"joint", "ovr"}, Doc: "more than two classes: joint diagonalisation, or each against the rest"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.FBCSP{Components: s.Int("components"), Select: s.Int("select"), Classes: s.Texts("classes"), Reg: s.Float("reg"), Multi: s.Text("multi")}
		},
	},
	{
		Name: "xdawn", Doc: "spatial filters for the response to events (learned)", Example: "xdawn: {filters: 2, estimator: oas}", Input: "samples",
		Params: []Param{
			{Name: "filters", Kind: Integer, Default: 0.0, Max: 4096, Doc: "per class; 0 = 4"},
			{Name: "classes", Kind: Texts, Doc: "whose responses, e.g. [target]; none = all"},
			{Name: "output", Kind: Text, Default: "covariance", Choices: []string{"covariance", "samples"}, Doc: "for mdm and tangent-space, or for lda"},
			{Name: "estimator", Kind: Text, Default: "scm", Choices: []string{"scm", "lwf", "oas"}, Doc: "of the covariance"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.XDAWN{Filters: s.Int("filters"), Classes: s.Texts("classes"), Output: s.Text("output"), Estimator: s.Text("estimator")}
		},
	},
	{
		Name: "embed", Doc: "delayed copies of every channel: the augmented covariance method, before a window", Example: "embed: {order: 3, lag: 0.02}",
		Params: []Param{
			{Name: "order", Kind: Integer, Default: 2.0, Min: 1, Max: 64, Doc: "copies, the newest included"},
			{Name: "lag", Kind: Number, Unit: "s", Required: true, Min: 1e-6, Max: 3600, Doc: "between copies, a whole number of samples"},
		},
		New: func(s *Settings) stream.Stage { return &decoders.Embed{Order: s.Int("order"), Lag: s.Float("lag")} },
	},
	{
		Name: "normalise", Doc: "every row to mean 0 and variance 1 by what it has been so far", Example: "normalise: {memory: 60}", Input: "features",
		Params: []Param{{Name: "memory", Kind: Number, Unit: "s", Default: 60.0, Min: 1e-3, Max: 1e6, Doc: "how much of the past counts"}},
		New:    func(s *Settings) stream.Stage { return &decoders.Normalise{Memory: s.Float("memory")} },
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

var bankParam = Param{Name: "bands", Kind: Integer, Default: 1.0, Min: 1, Max: 64, Doc: "of the filter-bank before the window"}
