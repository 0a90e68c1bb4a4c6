package bci

import (
	"neurostream/decoders"
	"neurostream/stream"
)

// spikingStages: spiking networks, confidence and stopping rules.
var spikingStages = []StageType{
	{
		Name: "stop", Doc: "ends a trial when the decoder is sure enough (learned on held-out trials)", Input: "probabilities",
		Example: "stop: {rule: confidence, tau: 1, refractory: 1, max: 4}",
		Params: append([]Param{
			{Name: "rule", Kind: Text, Default: decoders.StopConfidence, Choices: decoders.StopRules, Doc: "what ends a trial"},
		}, stopParams...),
		New: func(s *Settings) stream.Stage { return stopOf(s, "rule") },
	},
}

// stopParams are the settings of stopping rules, of stop and of a spiking network that
// exits early.
var stopParams = []Param{
	{Name: "cue", Kind: Texts, Doc: "markers that begin a trial, of all classes alike; none = runs on without trials"},
	{Name: "kappa", Kind: Number, Default: 0.0, Max: 1e9, Doc: "temperature of the accumulated evidence; 0 = fitted"},
	{Name: "threshold", Kind: Number, Default: 0.0, Max: 1, Doc: "of confidence, entropy or margin; 0 = fitted by Pareto front"},
	{Name: "slack", Kind: Number, Default: 0.0, Max: 1, Doc: "share of right answers that speed may cost"},
	{Name: "tau", Kind: Number, Unit: "s", Default: 0.0, Max: 1e6, Doc: "time constant of the evidence; 0 = kept for the whole trial"},
	{Name: "dwell", Kind: Integer, Default: 1.0, Min: 1, Max: 10000, Doc: "steps in a row with the same answer"},
	{Name: "min", Kind: Number, Unit: "s", Default: 0.0, Max: 3600, Doc: "evidence before is not used"},
	{Name: "max", Kind: Number, Unit: "s", Default: 0.0, Max: 3600, Doc: "the answer is forced here; 0 = at the length of the training trials"},
	{Name: "coverage", Kind: Number, Default: 0.9, Min: 0.01, Max: 0.999, Doc: "conformal: promised probability that the set holds the true class"},
	{Name: "checkpoints", Kind: Integer, Default: 5.0, Min: 1, Max: 1000, Doc: "conformal: times at which a trial may end, evenly spaced"},
	{Name: "set-size", Kind: Integer, Default: 1.0, Min: 1, Max: 1000, Doc: "conformal: classes left over that end the trial"},
	{Name: "cost", Kind: Number, Default: 1.0, Min: 1e-6, Max: 1e6, Doc: "bayes: cost of a false alarm against that of a miss"},
	{Name: "discount", Kind: Number, Default: 1.0, Min: 1e-6, Max: 1, Doc: "of every step's evidence: hop/window for overlapping windows (a fitted kappa finds it by itself)"},
	{Name: "refractory", Kind: Number, Unit: "s", Default: 0.0, Max: 3600, Doc: "without cue: after an answer, nothing is accumulated for this long"},
	{Name: "idle", Kind: Text, Default: "", Doc: "class that never commands; empty = none"},
	{Name: "holdout", Kind: Number, Default: 0.25, Min: 0.01, Max: 0.9, Doc: "share of the training trials kept from the stages before, for the calibration"},
}

// stopOf makes the rule from settings; rule names the setting that holds its name.
func stopOf(s *Settings, rule string) *decoders.Stop {
	return &decoders.Stop{
		Rule: s.Text(rule), Cue: s.Texts("cue"), Kappa: s.Float("kappa"), Threshold: s.Float("threshold"), Slack: s.Float("slack"),
		Tau: s.Float("tau"), Dwell: s.Int("dwell"), Min: s.Float("min"), Max: s.Float("max"), Coverage: s.Float("coverage"),
		Checkpoints: s.Int("checkpoints"), SetSize: s.Int("set-size"), Cost: s.Float("cost"), Discount: s.Float("discount"),
		Refractory: s.Float("refractory"), Idle: s.Text("idle"), Share: s.Float("holdout"),
	}
}
