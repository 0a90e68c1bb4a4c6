package bci

import (
	"neurostream/decoders"
	"neurostream/stream"
)

// spikingStages: spiking networks, confidence and stopping rules.
var spikingStages = []StageType{
	{
		Name: "snn", Doc: "spiking network, trained by surrogate gradients: probabilities, or values of targets (learned)", Input: "features", Either: true,
		Example: "snn: {sizes: [64], recurrent: true, epochs: 60, exit: confidence, refractory: 1, max: 4}",
		Params: append([]Param{
			{Name: "sizes", Kind: Numbers, Default: []float64{64}, Min: 1, Max: 4096, Doc: "neurons of each hidden layer"},
			{Name: "recurrent", Kind: Truth, Default: false, Doc: "hidden layers feed back on themselves"},
			{Name: "neuron", Kind: Text, Default: decoders.NeuronLIF, Choices: decoders.Neurons, Doc: "bptt: delayed reset and a learned decay each; same-step reset and one learned decay a layer; a threshold that rises with activity; synaptic and membrane state"},
			{Name: "rho", Kind: Number, Default: 0.95, Min: 0.001, Max: 0.9999, Doc: "adaptive: memory per step of a neuron's own activity"},
			{Name: "gain", Kind: Number, Default: 0.5, Min: 1e-9, Max: 1000, Doc: "adaptive: how far full activity lifts the threshold, in thresholds"},
			{Name: "method", Kind: Text, Default: decoders.TrainBPTT, Choices: []string{decoders.TrainBPTT, decoders.TrainQCFS}, Doc: "of training: surrogate gradients through time, or an analogue network, row by row, that is converted to spikes"},
			{Name: "levels", Kind: Integer, Default: 8.0, Min: 1, Max: 64, Doc: "qcfs: steps of the analogue network's activation"},
			{Name: "encoder", Kind: Text, Default: decoders.EncodeDirect, Choices: []string{decoders.EncodeDirect, decoders.EncodeDelta, decoders.EncodeStep, decoders.EncodeThreshold}, Doc: "how rows become currents or spikes"},
			{Name: "step", Kind: Number, Unit: "sd", Default: 0.5, Min: 1e-6, Max: 1e6, Doc: "of the encoder, in standard deviations of the row"},
			{Name: "steps", Kind: Integer, Default: 1.0, Min: 1, Max: 64, Doc: "network steps per column; qcfs: 1 = as many as levels"},
			{Name: "surrogate", Kind: Text, Default: decoders.SurrogateFastSigmoid, Choices: []string{decoders.SurrogateFastSigmoid, decoders.SurrogateATan}, Doc: "derivative that stands in for that of a spike"},
			{Name: "slope", Kind: Number, Default: 0.0, Max: 1e6, Doc: "of the surrogate; 0 = 10 for fast-sigmoid, 2 for atan"},
			{Name: "attached", Kind: Truth, Default: false, Doc: "gradient also flows through the reset"},
			{Name: "beta", Kind: Number, Default: 0.9, Min: 0.001, Max: 0.9999, Doc: "first decay per step of the neurons, which learn their own"},
			{Name: "read-beta", Kind: Number, Default: 0.9, Min: 0.001, Max: 0.9999, Doc: "first decay per step of the read-out"},
			{Name: "loss", Kind: Text, Default: decoders.LossSteps, Choices: []string{decoders.LossSteps, decoders.LossEach, decoders.LossMean}, Doc: "of classes: the running mean at every step, every step by itself, or the mean over the trial"},
			{Name: "epochs", Kind: Integer, Default: 60.0, Min: 1, Max: 100000, Doc: "at most"},
			{Name: "batch", Kind: Integer, Default: 16.0, Min: 1, Max: 10000, Doc: "trials per step of the optimiser; qcfs: windows"},
			{Name: "rate", Kind: Number, Default: 5e-3, Min: 1e-9, Max: 0.99, Doc: "learning rate at the start; falls like a cosine"},
			{Name: "decay", Kind: Number, Default: 1e-4, Min: 1e-12, Max: 1, Doc: "weight decay"},
			{Name: "dropout", Kind: Number, Default: 0.0, Max: 0.9, Doc: "share of hidden neurons silenced per trial while training"},
			{Name: "patience", Kind: Integer, Default: 12.0, Min: 1, Max: 100000, Doc: "epochs without improvement on a fifth of the trials, after which training ends"},
			{Name: "seed", Kind: Integer, Default: 1.0, Max: 1e9, Doc: "of weights, order and dropout"},
			{Name: "saturate", Kind: Number, Default: 3.0, Min: -1, Max: 1e6, Doc: "rows are clipped at this many standard deviations; negative = never"},
			{Name: "logits", Kind: Truth, Default: false, Doc: "put out the read-out itself, for a stop stage that accumulates"},
			{Name: "file", Kind: Text, Default: "", Doc: "network trained elsewhere, JSON or NPZ with a probe, or NIR, taken as it is; bci train puts it into the model"},
			{Name: "file-step", Kind: Number, Unit: "s", Default: 1e-4, Min: 1e-9, Max: 1000, Doc: "time per step that a NIR file was made for (exporters use 0.0001 whatever the data's rate)"},
			{Name: "raw", Kind: Truth, Default: false, Doc: "rows go in as they are, not centred and scaled by the training rows"},
			{Name: "exit", Kind: Text, Default: "none", Choices: append([]string{"none"}, decoders.StopRules...), Doc: "stopping rule that ends a trial early and saves the steps that are left; the settings below are its own"},
		}, stopParams...),
		New: func(s *Settings) stream.Stage {
			k := &decoders.SNN{
				Training: decoders.Training{
					Method: s.Text("method"), Levels: s.Int("levels"), Neuron: s.Text("neuron"), Rho: s.Float("rho"), Gain: s.Float("gain"), Recurrent: s.Bool("recurrent"), Surrogate: s.Text("surrogate"), Slope: s.Float("slope"), Attached: s.Bool("attached"),
					Beta: s.Float("beta"), ReadBeta: s.Float("read-beta"), Loss: s.Text("loss"), Epochs: s.Int("epochs"), Batch: s.Int("batch"),
					Rate: s.Float("rate"), Decay: s.Float("decay"), Dropout: s.Float("dropout"), Patience: s.Int("patience"), Seed: uint64(s.Int("seed")),
				},
				Encoder: s.Text("encoder"), Step: s.Float("step"), Steps: s.Int("steps"), Saturate: s.Float("saturate"), Logits: s.Bool("logits"), Cue: s.Texts("cue"),
				File: s.Text("file"), FileStep: s.Float("file-step"), Raw: s.Bool("raw"),
			}
			for _, n := range s.Floats("sizes") {
				k.Sizes = append(k.Sizes, int(n))
			}
			if s.Text("exit") != "none" {
				k.Exit = stopOf(s, "exit")
			}
			return k
		},
	},
	{
		Name: "reservoir", Doc: "random liquid of spiking neurons shaped by an astrocyte, and a linear read-out: probabilities, or values of targets (learned)", Input: "features", Either: true,
		Example: "reservoir: {neurons: 100, steps: 5, memory: 1}",
		Params: []Param{
			{Name: "neurons", Kind: Integer, Default: 200.0, Min: 8, Max: 2000, Doc: "of the liquid"},
			{Name: "steps", Kind: Integer, Default: 10.0, Min: 1, Max: 1000, Doc: "of the liquid per column, 1 ms each to its neurons"},
			{Name: "encoder", Kind: Text, Default: decoders.EncodeRate, Choices: []string{decoders.EncodeRate, decoders.EncodeDelta, decoders.EncodeStep, decoders.EncodeThreshold}, Doc: "how rows become spikes"},
			{Name: "step", Kind: Number, Unit: "sd", Default: 0.5, Min: 1e-6, Max: 1e6, Doc: "of the encoder, in standard deviations of the row"},
			{Name: "drive", Kind: Number, Default: 0.2, Min: 1e-6, Max: 1, Doc: "encoder rate: spikes per step of a row that is one standard deviation from its mean"},
			{Name: "gain", Kind: Number, Default: 0.0, Max: 1e9, Doc: "of the input; 0 = a twentieth of the neurons spike per step"},
			{Name: "static", Kind: Truth, Default: false, Doc: "no plasticity: the liquid stays as it was drawn"},
			{Name: "passes", Kind: Integer, Default: 1.0, Min: 1, Max: 1000, Doc: "over the training windows with plasticity, before the liquid is frozen"},
			{Name: "memory", Kind: Number, Unit: "s", Default: 1.0, Min: 1e-3, Max: 1e6, Doc: "time constant of the spike counts that are read"},
			{Name: "c", Kind: Number, Default: 0.0, Max: 1e9, Doc: "weight of the data against the penalty on the read-out; 0 = best on a fifth of the trials"},
			{Name: "seed", Kind: Integer, Default: 1.0, Max: 1e9, Doc: "of the liquid"},
			{Name: "saturate", Kind: Number, Default: 3.0, Min: -1, Max: 1e6, Doc: "rows are clipped at this many standard deviations; negative = never"},
			{Name: "raw", Kind: Truth, Default: false, Doc: "rows go in as they are, not centred and scaled by the training rows"},
			{Name: "cue", Kind: Texts, Doc: "markers that begin a trial, of all classes alike, and clear the liquid; none = it runs on"},
		},
		New: func(s *Settings) stream.Stage {
			return &decoders.Reservoir{
				Neurons: s.Int("neurons"), Steps: s.Int("steps"), Encoder: s.Text("encoder"), Step: s.Float("step"), Drive: s.Float("drive"), Gain: s.Float("gain"),
				Static: s.Bool("static"), Passes: s.Int("passes"), Memory: s.Float("memory"), C: s.Float("c"), Seed: uint64(s.Int("seed")),
				Saturate: s.Float("saturate"), Raw: s.Bool("raw"), Cue: s.Texts("cue"),
			}
		},
	},
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
