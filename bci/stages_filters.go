package bci

import (
	"neurostream/filters"
	"neurostream/stream"
)

var filterStages = []StageType{
	{
		Name: "gap-repair", Doc: "bridge short gaps by interpolation, restart after long ones", Example: "gap-repair: {max: 0.02}",
		Params: []Param{{Name: "max", Kind: Number, Unit: "s", Default: 0.02, Max: 1, Doc: "longest gap to bridge"}},
		New:    func(s *Settings) stream.Stage { return &filters.GapRepair{Max: s.Float("max")} },
	},
	{
		Name: "select", Doc: "keep these channels, in this order", Example: "select: {channels: [C3, C4]}",
		Params: []Param{{Name: "channels", Kind: Texts, Required: true, Doc: "labels"}},
		New:    func(s *Settings) stream.Stage { return &filters.Select{Channels: s.Texts("channels")} },
	},
	{
		Name: "bandpass", Doc: "causal Butterworth band-pass", Example: "bandpass: {low: 8, high: 30}",
		Params: []Param{
			{Name: "low", Kind: Number, Unit: "Hz", Required: true, Doc: "lower cut-off (-3 dB)"},
			{Name: "high", Kind: Number, Unit: "Hz", Required: true, Doc: "upper cut-off (-3 dB)"},
			{Name: "order", Kind: Integer, Default: 4.0, Min: 1, Max: 16, Doc: "order per edge"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Bandpass{Low: s.Float("low"), High: s.Float("high"), Order: s.Int("order")}
		},
	},
	{
		Name: "bandstop", Doc: "causal Butterworth band-stop", Example: "bandstop: {low: 48, high: 52, order: 2}",
		Params: []Param{
			{Name: "low", Kind: Number, Unit: "Hz", Required: true, Doc: "lower cut-off (-3 dB)"},
			{Name: "high", Kind: Number, Unit: "Hz", Required: true, Doc: "upper cut-off (-3 dB)"},
			{Name: "order", Kind: Integer, Default: 4.0, Min: 1, Max: 16, Doc: "order per edge"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Bandstop{Low: s.Float("low"), High: s.Float("high"), Order: s.Int("order")}
		},
	},
	{
		Name: "lowpass", Doc: "causal Butterworth low-pass", Example: "lowpass: {high: 40}",
		Params: []Param{
			{Name: "high", Kind: Number, Unit: "Hz", Required: true, Doc: "cut-off (-3 dB)"},
			{Name: "order", Kind: Integer, Default: 4.0, Min: 1, Max: 16, Doc: "order"},
		},
		New: func(s *Settings) stream.Stage { return &filters.Lowpass{High: s.Float("high"), Order: s.Int("order")} },
	},
	{
		Name: "highpass", Doc: "causal Butterworth high-pass", Example: "highpass: {low: 1, order: 2}",
		Params: []Param{
			{Name: "low", Kind: Number, Unit: "Hz", Required: true, Doc: "cut-off (-3 dB)"},
			{Name: "order", Kind: Integer, Default: 4.0, Min: 1, Max: 16, Doc: "order"},
		},
		New: func(s *Settings) stream.Stage { return &filters.Highpass{Low: s.Float("low"), Order: s.Int("order")} },
	},
	{
		Name: "iir", Doc: "causal recursive filter of any family; order given, or chosen from pass and stop edges", Example: "iir: {family: elliptic, pass: [8, 30], stop: [5, 35], ripple: 0.5, attenuation: 40}",
		Params: []Param{
			{Name: "family", Kind: Text, Default: "butterworth", Choices: families, Doc: "butterworth: flat; chebyshev1: ripple where it passes; chebyshev2: ripple where it stops; elliptic: both, steepest; bessel: even delay"},
			{Name: "type", Kind: Text, Default: "bandpass", Choices: kindNames, Doc: "what it lets through (follows from pass and stop when they are given)"},
			{Name: "low", Kind: Number, Unit: "Hz", Doc: "lower edge; not for lowpass"},
			{Name: "high", Kind: Number, Unit: "Hz", Doc: "upper edge; not for highpass"},
			{Name: "order", Kind: Integer, Default: 0.0, Max: 16, Doc: "order per edge; 0 = 4, or the lowest that meets pass and stop"},
			{Name: "ripple", Kind: Number, Unit: "dB", Default: 1.0, Min: 1e-6, Max: 20, Doc: "most that is lost in the pass band (chebyshev1, elliptic, and with pass and stop)"},
			{Name: "attenuation", Kind: Number, Unit: "dB", Default: 40.0, Min: 1e-3, Max: 300, Doc: "least that is lost in the stop band (chebyshev2, elliptic, and with pass and stop)"},
			{Name: "pass", Kind: Numbers, Unit: "Hz", Doc: "one or two edges of what passes, in place of type, low, high and order"},
			{Name: "stop", Kind: Numbers, Unit: "Hz", Doc: "one or two edges of what is stopped"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.IIR{
				Family: filters.Family(s.Text("family")), Kind: kinds[s.Text("type")], Low: s.Float("low"), High: s.Float("high"), Order: s.Int("order"),
				Ripple: s.Float("ripple"), Attenuation: s.Float("attenuation"), Pass: s.Floats("pass"), Stop: s.Floats("stop"),
			}
		},
	},
	{
		Name: "filter-bank", Doc: "several band-passes side by side: a row for every band and channel", Example: "filter-bank: {bands: {theta: [4, 8], alpha: [8, 13]}}",
		Params: []Param{
			{Name: "bands", Kind: Bands, Unit: "Hz", Required: true, Doc: "names and edges"},
			{Name: "family", Kind: Text, Default: "butterworth", Choices: families, Doc: "as for iir"},
			{Name: "order", Kind: Integer, Default: 4.0, Min: 1, Max: 16, Doc: "order per edge"},
			{Name: "ripple", Kind: Number, Unit: "dB", Default: 1.0, Min: 1e-6, Max: 20, Doc: "of chebyshev1 and elliptic"},
			{Name: "attenuation", Kind: Number, Unit: "dB", Default: 40.0, Min: 1e-3, Max: 300, Doc: "of chebyshev2 and elliptic"},
		},
		New: func(s *Settings) stream.Stage {
			f := &filters.FilterBank{Family: filters.Family(s.Text("family")), Order: s.Int("order"), Ripple: s.Float("ripple"), Attenuation: s.Float("attenuation")}
			for _, b := range s.Bands("bands") {
				f.Bands = append(f.Bands, filters.Band(b))
			}
			return f
		},
	},
	{
		Name: "fir", Doc: "causal filter with a finite impulse response: linear phase, or minimum phase for little delay", Example: "fir: {type: bandpass, low: 8, high: 30, phase: minimum}",
		Params: []Param{
			{Name: "type", Kind: Text, Default: "bandpass", Choices: kindNames, Doc: "what it lets through"},
			{Name: "low", Kind: Number, Unit: "Hz", Doc: "lower cut-off (-6 dB); not for lowpass"},
			{Name: "high", Kind: Number, Unit: "Hz", Doc: "upper cut-off (-6 dB); not for highpass"},
			{Name: "transition", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e5, Doc: "from where it passes to where it stops; 0 = a quarter of the cut-off, 2 Hz and more"},
			{Name: "taps", Kind: Integer, Default: 0.0, Max: 65536, Doc: "length; 0 = as the transition needs"},
			{Name: "method", Kind: Text, Default: "window", Choices: []string{"window", "least-squares"}, Doc: "of the design"},
			{Name: "window", Kind: Text, Default: "hamming", Choices: []string{"boxcar", "hann", "hamming", "blackman", "kaiser"}, Doc: "of the window method"},
			{Name: "attenuation", Kind: Number, Unit: "dB", Default: 60.0, Min: 8, Max: 300, Doc: "of the window kaiser"},
			{Name: "phase", Kind: Text, Default: "linear", Choices: []string{"linear", "minimum"}, Doc: "linear delays all frequencies alike; minimum delays least"},
			{Name: "coefficients", Kind: Numbers, Doc: "the impulse response itself, in place of a design"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.FIR{
				Kind: kinds[s.Text("type")], Low: s.Float("low"), High: s.Float("high"), Transition: s.Float("transition"), Taps: s.Int("taps"),
				Method: s.Text("method"), Window: s.Text("window"), Attenuation: s.Float("attenuation"), Minimum: s.Text("phase") == "minimum", Coefficients: s.Floats("coefficients"),
			}
		},
	},
	{
		Name: "decimate", Doc: "every n-th sample, behind a low-pass", Example: "decimate: {factor: 4}",
		Params: []Param{
			{Name: "factor", Kind: Integer, Required: true, Min: 2, Max: 1000, Doc: "old rate divided by the new one"},
			{Name: "phase", Kind: Integer, Default: 0.0, Max: 999, Doc: "which samples: those whose index leaves this rest"},
			{Name: "filter", Kind: Text, Default: "iir", Choices: []string{"iir", "fir"}, Doc: "iir: short delay, factors up to 13; fir: linear phase"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Decimate{Factor: s.Int("factor"), Phase: s.Int("phase"), Filter: s.Text("filter")}
		},
	},
	{
		Name: "resample", Doc: "another rate, by a ratio of whole numbers", Example: "resample: {rate: 128}",
		Params: []Param{
			{Name: "rate", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "the new rate; 0 = up and down are given"},
			{Name: "up", Kind: Integer, Default: 0.0, Max: 4096, Doc: "the new rate is up/down of the old one"},
			{Name: "down", Kind: Integer, Default: 0.0, Max: 4096, Doc: "see up"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Resample{Rate: s.Float("rate"), Up: s.Int("up"), Down: s.Int("down")}
		},
	},
	{
		Name: "peak", Doc: "second-order resonator: lets one frequency through", Example: "peak: {freq: 12, q: 6}",
		Params: []Param{
			{Name: "freq", Kind: Number, Unit: "Hz", Required: true, Doc: "centre"},
			{Name: "q", Kind: Number, Default: 30.0, Min: 0.1, Max: 1000, Doc: "centre divided by the -3 dB width"},
		},
		New: func(s *Settings) stream.Stage { return &filters.Peak{Freq: s.Float("freq"), Q: s.Float("q")} },
	},
	{
		Name: "notch", Doc: "second-order notch, for mains", Example: "notch: {freq: 50}",
		Params: []Param{
			{Name: "freq", Kind: Number, Unit: "Hz", Required: true, Doc: "centre"},
			{Name: "q", Kind: Number, Default: 30.0, Min: 0.1, Max: 1000, Doc: "centre divided by the -3 dB width"},
			{Name: "harmonics", Kind: Integer, Default: 1.0, Min: 1, Max: 20, Doc: "how many multiples of freq, the first included"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Notch{Freq: s.Float("freq"), Q: s.Float("q"), Harmonics: s.Int("harmonics")}
		},
	},
	{
		Name: "car", Doc: "common average reference; bad samples leave the mean", Example: "car: {exclude: [Fp1]}",
		Params: []Param{
			{Name: "exclude", Kind: Texts, Doc: "labels that do not enter the mean"},
			{Name: "implicit", Kind: Truth, Default: false, Doc: "count the recording's own reference as a channel that is 0"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.CommonAverage{Exclude: s.Texts("exclude"), Implicit: s.Bool("implicit")}
		},
	},
	{
		Name: "median-reference", Doc: "common median reference: one railed channel does not move it", Example: "median-reference: {exclude: [Fp1]}",
		Params: []Param{{Name: "exclude", Kind: Texts, Doc: "labels that do not enter the median"}},
		New:    func(s *Settings) stream.Stage { return &filters.CommonMedian{Exclude: s.Texts("exclude")} },
	},
	{
		Name: "reference", Doc: "reference to the mean of some channels, such as linked mastoids", Example: "reference: {channels: [O1, O2]}",
		Params: []Param{{Name: "channels", Kind: Texts, Required: true, Doc: "labels of the reference channels"}},
		New:    func(s *Settings) stream.Stage { return &filters.Linked{Channels: s.Texts("channels")} },
	},
	{
		Name: "bipolar", Doc: "differences of channels", Example: "bipolar: {pairs: [C3-Cz, C4-Cz]}",
		Params: []Param{
			{Name: "pairs", Kind: Texts, Required: true, Doc: "A-B is A minus B"},
			{Name: "keep", Kind: Truth, Default: false, Doc: "keep all channels and put the differences behind them"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Bipolar{Pairs: s.Texts("pairs"), Keep: s.Bool("keep")}
		},
	},
	{
		Name: "laplacian", Doc: "channel minus the mean of its neighbours on the head", Example: `laplacian: {channels: [Cz], neighbours: ["Cz = C3 C4 Pz"]}`,
		Params: []Param{
			{Name: "size", Kind: Text, Default: "small", Choices: []string{"small", "large"}, Doc: "neighbours up to 3 cm or about 6 cm away"},
			{Name: "channels", Kind: Texts, Doc: "centres to put out; none = all with two neighbours"},
			{Name: "weights", Kind: Text, Default: "equal", Choices: []string{"equal", "distance"}, Doc: "of the neighbours: equal, or by inverse distance"},
			{Name: "neighbours", Kind: Texts, Doc: "in place of what the montage says, as in \"C3 = FC3 CP3 C1 C5\""},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Laplacian{
				Large: s.Text("size") == "large", Channels: s.Texts("channels"), ByDistance: s.Text("weights") == "distance", Neighbours: s.Texts("neighbours"),
			}
		},
	},
	{
		Name: "csd", Doc: "surface Laplacian by spherical splines over the whole cap (current source density)", Example: "csd: {lambda: 1e-5}",
		Params: []Param{
			{Name: "stiffness", Kind: Integer, Default: 4.0, Min: 2, Max: 6, Doc: "of the spline: higher is smoother"},
			{Name: "lambda", Kind: Number, Default: 1e-5, Min: 1e-12, Max: 0.999, Doc: "regularisation: higher is smoother"},
			{Name: "terms", Kind: Integer, Default: 50.0, Min: 7, Max: 200, Doc: "of the Legendre series"},
			{Name: "radius", Kind: Number, Unit: "m", Default: 0.095, Min: 0.01, Max: 10, Doc: "of the head"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.CurrentSourceDensity{Stiffness: s.Int("stiffness"), Lambda: s.Float("lambda"), Terms: s.Int("terms"), Radius: s.Float("radius")}
		},
	},
	{
		Name: "interpolate", Doc: "bad channels from the good ones, by spherical splines", Example: "interpolate: {channels: [C3]}",
		Params: []Param{{Name: "channels", Kind: Texts, Doc: "always replaced; others are while they are marked bad"}},
		New:    func(s *Settings) stream.Stage { return &filters.Interpolate{Channels: s.Texts("channels")} },
	},
	{
		Name: "matrix", Doc: "any spatial filter: outputs as weighted sums of channels", Example: "matrix: {inputs: [C3, C4], outputs: [sum, difference], weights: [1, 1, 1, -1]}",
		Params: []Param{
			{Name: "inputs", Kind: Texts, Doc: "labels of the channels that enter; none = all"},
			{Name: "outputs", Kind: Texts, Required: true, Doc: "names of the rows that come out"},
			{Name: "weights", Kind: Numbers, Required: true, Doc: "row by row: outputs times inputs numbers"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.Matrix{Inputs: s.Texts("inputs"), Outputs: s.Texts("outputs"), Weights: s.Floats("weights")}
		},
	},
	{
		Name: "quality", Doc: "marks channels that cannot be used, and says why", Example: "quality: {checks: [flat, saturation, amplitude: {max: 300}, line, pop], bad-after: 3, good-after: 10}",
		Params: []Param{
			{Name: "checks", Kind: Parts, Required: true, Doc: "what to look for, every second in every channel", Parts: qualityChecks},
			{Name: "bad-after", Kind: Integer, Unit: "s", Default: 3.0, Min: 1, Max: 3600, Doc: "bad seconds in a row that make a channel bad"},
			{Name: "good-after", Kind: Integer, Unit: "s", Default: 10.0, Min: 1, Max: 3600, Doc: "good seconds in a row that make it good again"},
		},
		New: func(s *Settings) stream.Stage {
			f := &filters.Quality{BadAfter: s.Int("bad-after"), GoodAfter: s.Int("good-after")}
			for _, c := range s.Parts("checks") {
				f.Checks = append(f.Checks, c.(filters.Check))
			}
			return f
		},
	},
	{
		Name: "eog-regression", Doc: "takes the eyes out of every channel, by weights learned from a recording (learned)", Example: "eog-regression: {channels: [EOG1]}",
		Params: []Param{{Name: "channels", Kind: Texts, Doc: "labels of the EOG channels; none = those of type EOG"}},
		New:    func(s *Settings) stream.Stage { return &filters.EOGRegression{Channels: s.Texts("channels")} },
	},
	{
		Name: "eog-adaptive", Doc: "takes the eyes out of every channel, by weights that it learns while it runs", Example: "eog-adaptive: {channels: [EOG1]}",
		Params: []Param{
			{Name: "channels", Kind: Texts, Doc: "labels of the EOG channels; none = those of type EOG"},
			{Name: "forgetting", Kind: Number, Default: 0.9995, Min: 0.9, Max: 1, Doc: "what is left of the past after a sample"},
			{Name: "threshold", Kind: Number, Default: 3.0, Min: -1, Max: 1000, Doc: "learn while an EOG channel is beyond this many times its median magnitude; negative = always"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.EOGAdaptive{Channels: s.Texts("channels"), Forgetting: s.Float("forgetting"), Threshold: s.Float("threshold")}
		},
	},
	{
		Name: "asr", Doc: "artifact subspace reconstruction: what is larger than in clean data is rebuilt from the rest (learned)", Example: "asr: {cutoff: 20, delay: 0.25}",
		Params: []Param{
			{Name: "cutoff", Kind: Number, Default: 20.0, Min: 1, Max: 1000, Doc: "spreads above the mean that are still clean; smaller cleans more"},
			{Name: "window", Kind: Number, Unit: "s", Default: 0.5, Min: 0.1, Max: 10, Doc: "what a decision looks at"},
			{Name: "step", Kind: Number, Unit: "s", Default: 0.1, Min: 0.01, Max: 10, Doc: "between decisions"},
			{Name: "delay", Kind: Number, Unit: "s", Default: 0.25, Max: 2, Doc: "that the data wait, so that an artifact is seen before it passes; 0 = none"},
			{Name: "remove", Kind: Number, Default: 0.66, Min: 0.01, Max: 1, Doc: "largest share of the directions to rebuild"},
		},
		New: func(s *Settings) stream.Stage {
			return &filters.ASR{Cutoff: s.Float("cutoff"), Window: s.Float("window"), Step: s.Float("step"), Delay: s.Float("delay"), Remove: s.Float("remove")}
		},
	},
}

var qualityChecks = []PartType{
	{
		Name: "flat", Doc: "nothing changes for too long",
		Params: []Param{
			{Name: "eps", Kind: Number, Default: 1e-6, Min: 0, Max: 1e6, Doc: "change that counts as none, in the channel's unit"},
			{Name: "seconds", Kind: Number, Unit: "s", Default: 5.0, Min: 0.01, Max: 3600, Doc: "how long is too long"},
		},
		Part: func(s *Settings) any { return &filters.FlatLine{Eps: s.Float("eps"), Seconds: s.Float("seconds")} },
	},
	{
		Name: "saturation", Doc: "clipped: too many samples at the limit; bad at once",
		Params: []Param{
			{Name: "limit", Kind: Number, Default: 0.0, Max: 1e12, Doc: "of the amplifier, in the channel's unit; 0 = the extremes of the second"},
			{Name: "share", Kind: Number, Default: 0.01, Min: 1e-6, Max: 1, Doc: "of the samples that may be there"},
		},
		Part: func(s *Settings) any { return &filters.Saturation{Limit: s.Float("limit"), Share: s.Float("share")} },
	},
	{
		Name: "amplitude", Doc: "peak-to-peak amplitude too large",
		Params: []Param{{Name: "max", Kind: Number, Default: 200.0, Min: 1e-12, Max: 1e12, Doc: "peak-to-peak, in the channel's unit"}},
		Part:   func(s *Settings) any { return &filters.Amplitude{Max: s.Float("max")} },
	},
	{
		Name: "line", Doc: "hum of the mains",
		Params: []Param{
			{Name: "freq", Kind: Number, Unit: "Hz", Default: 50.0, Min: 2, Max: 1e4, Doc: "of the mains"},
			{Name: "ratio", Kind: Number, Default: 4.0, Min: 1e-6, Max: 1e6, Doc: "most power within 1 Hz of it, against that from 1 to 40 Hz"},
		},
		Part: func(s *Settings) any { return &filters.LineNoise{Freq: s.Float("freq"), Ratio: s.Float("ratio")} },
	},
	{
		Name: "high-frequency", Doc: "muscle: power from 70 to 110 Hz",
		Params: []Param{{Name: "ratio", Kind: Number, Default: 1.0, Min: 1e-6, Max: 1e6, Doc: "most of it, against that from 1 to 40 Hz"}},
		Part:   func(s *Settings) any { return &filters.HighFrequency{Ratio: s.Float("ratio")} },
	},
	{
		Name: "deviation", Doc: "amplitude unlike that of the other channels",
		Params: []Param{{Name: "z", Kind: Number, Default: 5.0, Min: 0.1, Max: 1e6, Doc: "robust standard deviations of the log amplitude"}},
		Part:   func(s *Settings) any { return &filters.Deviation{Z: s.Float("z")} },
	},
	{
		Name: "correlation", Doc: "correlated with no other channel",
		Params: []Param{{Name: "min", Kind: Number, Default: 0.4, Min: 1e-6, Max: 1, Doc: "least correlation with at least one other"}},
		Part:   func(s *Settings) any { return &filters.Correlation{Min: s.Float("min")} },
	},
	{
		Name: "pop", Doc: "a jump from one sample to the next",
		Params: []Param{
			{Name: "max", Kind: Number, Default: 100.0, Min: 1e-12, Max: 1e12, Doc: "largest step, in the channel's unit"},
			{Name: "hold", Kind: Number, Unit: "s", Default: 0.1, Min: 1e-6, Max: 10, Doc: "how long a jump marks the channel"},
		},
		Part: func(s *Settings) any { return &filters.Pop{Max: s.Float("max"), Hold: s.Float("hold")} },
	},
}

var families = []string{"butterworth", "chebyshev1", "chebyshev2", "elliptic", "bessel"}

var kindNames = []string{"lowpass", "highpass", "bandpass", "bandstop"}

var kinds = map[string]filters.Kind{"lowpass": filters.LowPass, "highpass": filters.HighPass, "bandpass": filters.BandPass, "bandstop": filters.BandStop}
