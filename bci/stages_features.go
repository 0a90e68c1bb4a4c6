package bci

import (
	"strings"

	"neurostream/features"
	"neurostream/stream"
)

var featureStages = []StageType{
	{
		Name: "window", Doc: "sliding windows and what is computed from them", Example: "window: {length: 2, hop: 0.1, features: [covariance]}",
		Params: []Param{
			{Name: "length", Kind: Number, Unit: "s", Required: true, Doc: "length of a window"},
			{Name: "hop", Kind: Number, Unit: "s", Required: true, Doc: "from one window to the next"},
			{Name: "features", Kind: Parts, Required: true, Doc: "what to compute", Parts: extractors},
			{Name: "smooth", Kind: Number, Unit: "s", Default: 0.0, Max: 1e6, Doc: "time constant of an exponential average over the windows of every feature; 0 = none"},
			{Name: "keep-settling", Kind: Truth, Default: false, Doc: "also use samples from the settling time of the filters before"},
		},
		New: func(s *Settings) stream.Stage {
			w := &features.Windows{Length: s.Float("length"), Hop: s.Float("hop"), KeepSettling: s.Bool("keep-settling"), Names: s.PartNames("features")}
			for _, p := range s.Parts("features") {
				x := p.(features.Extractor)
				if tau := s.Float("smooth"); tau > 0 {
					x = &features.Smooth{Of: x, Tau: tau}
				}
				w.Extractors = append(w.Extractors, x)
			}
			return w
		},
	},
}

// welch are the settings of segment spectra, which many features share: those with
// equal ones transform every channel once.
var welch = []Param{
	{Name: "segment", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "length of a segment; 0 = 1 s, or the window when that is shorter"},
	{Name: "step", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "from one segment to the next; 0 = about half a segment, such that windows share segments"},
	{Name: "taper", Kind: Text, Default: "hann", Doc: "window function: hann, hamming, blackman, boxcar, tukey, kaiser, ..."},
	{Name: "taper-shape", Kind: Number, Default: 0.0, Doc: "parameter of tukey, kaiser and gaussian; 0 = the usual one"},
	{Name: "detrend", Kind: Text, Default: "constant", Choices: []string{"constant", "linear", "none"}, Doc: "what is taken off every segment"},
	{Name: "average", Kind: Text, Default: "mean", Choices: []string{"mean", "median"}, Doc: "over the segments; the median is robust, and corrected for its bias"},
	{Name: "pad", Kind: Integer, Default: 0.0, Max: 1 << 22, Doc: "points of the transform; 0 = the segment's"},
}

func welchOf(s *Settings) features.Welch {
	return features.Welch{
		Segment: s.Float("segment"), Step: s.Float("step"), Window: s.Text("taper"), Shape: s.Float("taper-shape"),
		Detrend: s.Text("detrend"), Average: s.Text("average"), Pad: s.Int("pad"),
	}
}

func bandsOf(s *Settings, name string) (out []features.Band) {
	for _, b := range s.Bands(name) {
		out = append(out, features.Band(b))
	}
	return out
}

// with returns the settings of a feature followed by those of the spectra.
func with(shared []Param, own ...Param) []Param { return append(own[:len(own):len(own)], shared...) }

var (
	every = Param{Name: "every", Kind: Integer, Default: 1.0, Min: 1, Max: 1e6, Doc: "windows from one computation to the next; in between, the values are held"}
	bands = Param{Name: "bands", Kind: Bands, Required: true, Doc: "names with [low, high] in Hz, low <= f < high"}
	low   = Param{Name: "low", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "first frequency"}
	high  = Param{Name: "high", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "last frequency, included; 0 = half the rate"}
	scale = Param{Name: "scale", Kind: Text, Default: "linear", Choices: []string{"linear", "log", "db"}, Doc: "of the values: as they are, natural logarithm, or 10 log10"}
)

var extractors = []PartType{
	{
		Name: "covariance", Doc: "covariance of all channels, upper triangle", Example: "covariance: {estimator: lwf}",
		Params: []Param{
			{Name: "estimator", Kind: Text, Default: "scm", Choices: []string{"scm", "lwf", "oas"}, Doc: "sample covariance, Ledoit-Wolf, or oracle approximating shrinkage"},
			{Name: "shrinkage", Kind: Number, Default: 0.0, Max: 1, Doc: "fixed shrinkage towards the scaled identity (scm only)"},
			{Name: "keep-mean", Kind: Truth, Default: false, Doc: "do not subtract the mean of the window"},
		},
		Part: func(s *Settings) any {
			return &features.Covariance{Estimator: s.Text("estimator"), Shrinkage: s.Float("shrinkage"), KeepMean: s.Bool("keep-mean")}
		},
	},
	{
		Name: "forgetting-covariance", Doc: "covariance with exponential forgetting, sample by sample", Example: "forgetting-covariance: {tau: 2}",
		Params: []Param{{Name: "tau", Kind: Number, Unit: "s", Required: true, Min: 1e-6, Max: 1e6, Doc: "time constant"}},
		Part:   func(s *Settings) any { return &features.ForgettingCovariance{Tau: s.Float("tau")} },
	},
	{
		Name: "log-variance", Doc: "logarithm of each channel's variance", Example: "log-variance",
		Params: []Param{{Name: "keep-mean", Kind: Truth, Default: false, Doc: "the mean square instead of the variance"}},
		Part:   func(s *Settings) any { return &features.LogVariance{KeepMean: s.Bool("keep-mean")} },
	},
	{
		Name: "power", Doc: "exponentially forgotten power of every channel, sample by sample", Example: "power: {tau: 0.5}",
		Params: []Param{
			{Name: "tau", Kind: Number, Unit: "s", Required: true, Min: 1e-6, Max: 1e6, Doc: "time constant"},
			{Name: "scale", Kind: Text, Default: "log", Choices: []string{"log", "db", "linear"}, Doc: "of the values: natural logarithm, 10 log10, or as they are"},
		},
		Part: func(s *Settings) any { return &features.Power{Tau: s.Float("tau"), Scale: s.Text("scale")} },
	},
	{
		Name: "band-power", Doc: "power of every channel in bands, from averaged segment spectra", Example: "band-power: {bands: {alpha: [8, 13], beta: [13, 30]}}",
		Params: with(welch, bands,
			Param{Name: "method", Kind: Text, Default: "sum", Choices: []string{"sum", "trapz", "simpson"}, Doc: "sum of the bins low <= f < high, or an integral from low to high"},
			Param{Name: "scale", Kind: Text, Default: "log", Choices: []string{"log", "db", "linear"}, Doc: "of the values: natural logarithm, 10 log10, or as they are"},
			Param{Name: "relative", Kind: Truth, Default: false, Doc: "divided by the power in total"},
			Param{Name: "total", Kind: Numbers, Unit: "Hz", Doc: "with relative: [low, high]; none = from the lowest to the highest edge of the bands"}),
		Part: func(s *Settings) any {
			x := &features.BandPower{Bands: bandsOf(s, "bands"), Welch: welchOf(s), Method: s.Text("method"), Scale: s.Text("scale"), Relative: s.Bool("relative")}
			if t := s.Floats("total"); len(t) > 0 {
				x.Total = features.Band{Name: "total", Low: t[0], High: t[len(t)-1]}
			}
			return x
		},
	},
	{
		Name: "erd", Doc: "event-related (de)synchronisation: band power in per cent of a reference", Example: "erd: {bands: {mu: [8, 13]}, baseline: 2}",
		Params: with(welch, bands,
			Param{Name: "method", Kind: Text, Default: "sum", Choices: []string{"sum", "trapz", "simpson"}, Doc: "sum of the bins low <= f < high, or an integral from low to high"},
			Param{Name: "baseline", Kind: Number, Unit: "s", Default: 10.0, Max: 1e6, Doc: "length of the reference, or its time constant"},
			Param{Name: "reference", Kind: Text, Default: "start", Choices: []string{"start", "slow"}, Doc: "mean over the first baseline seconds, or a slow exponential average"}),
		Part: func(s *Settings) any {
			return &features.Change{Bands: bandsOf(s, "bands"), Welch: welchOf(s), Method: s.Text("method"), Baseline: s.Float("baseline"), Reference: s.Text("reference")}
		},
	},
	{
		Name: "psd", Doc: "power spectral density of every channel (Welch), a row per bin", Example: "psd: {low: 1, high: 40}",
		Params: with(welch, low, high, scale,
			Param{Name: "spectrum", Kind: Truth, Default: false, Doc: "power of a sine reads its value (unit squared) instead of a density"}),
		Part: func(s *Settings) any {
			return &features.PSD{Welch: welchOf(s), Low: s.Float("low"), High: s.Float("high"), Scale: s.Text("scale"), Spectrum: s.Bool("spectrum")}
		},
	},
	{
		Name: "spectrum", Doc: "transform of the whole window, a row per bin: a spectrogram's columns", Example: "spectrum: {low: 5, high: 30, mode: phase}",
		Params: []Param{
			low, high,
			{Name: "mode", Kind: Text, Default: "magnitude", Choices: []string{"magnitude", "phase", "complex"}, Doc: "what of the transform"},
			{Name: "scaling", Kind: Text, Default: "density", Choices: []string{"density", "amplitude"}, Doc: "unit per sqrt(Hz), or a sine reads its amplitude"},
			welch[2], welch[4],
		},
		Part: func(s *Settings) any {
			return &features.Spectrum{Low: s.Float("low"), High: s.Float("high"), Mode: s.Text("mode"), Scaling: s.Text("scaling"), Window: s.Text("taper"), Detrend: s.Text("detrend")}
		},
	},
	{
		Name: "multitaper", Doc: "power spectral density of the whole window over Slepian tapers", Example: "multitaper: {bandwidth: 4, low: 2, high: 40}",
		Params: []Param{
			{Name: "bandwidth", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "full width of the main lobe; 0 = 8 divided by the window's length"},
			low, high, scale,
			{Name: "adaptive", Kind: Truth, Default: false, Doc: "Thomson's weights, iterated"},
			{Name: "all-tapers", Kind: Truth, Default: false, Doc: "also tapers with less than 0.9 of their energy inside the bandwidth"},
			every,
		},
		Part: func(s *Settings) any {
			return &features.Multitaper{Bandwidth: s.Float("bandwidth"), Low: s.Float("low"), High: s.Float("high"), Scale: s.Text("scale"), Adaptive: s.Bool("adaptive"), AllTapers: s.Bool("all-tapers"), Every: s.Int("every")}
		},
	},
	{
		Name: "burg", Doc: "power spectral density of an autoregressive model (Burg), with its level", Example: "burg: {order: 8, low: 1, high: 40}",
		Params: []Param{
			{Name: "order", Kind: Integer, Default: 0.0, Max: 1024, Doc: "of the model; 0 = from seconds"},
			{Name: "seconds", Kind: Number, Unit: "s", Default: 0.0, Max: 100, Doc: "length of the model; 0 = 0.04 s"},
			{Name: "criterion", Kind: Text, Default: "none", Choices: []string{"none", "aic", "mdl"}, Doc: "take the best order up to the given one"},
			low, high,
			{Name: "bin", Kind: Number, Unit: "Hz", Default: 1.0, Min: 1e-3, Max: 1e6, Doc: "from one frequency to the next"},
			{Name: "segment", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "pieces that are modelled on their own and averaged; 0 = the window"},
			{Name: "segment-hop", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "from one piece to the next; 0 = segment"},
			scale,
			{Name: "shape", Kind: Truth, Default: false, Doc: "without the level, as some tools have it"},
			every,
		},
		Part: func(s *Settings) any {
			x := &features.Burg{Order: s.Int("order"), Seconds: s.Float("seconds"), Low: s.Float("low"), High: s.Float("high"), Step: s.Float("bin"), Segment: s.Float("segment"), Hop: s.Float("segment-hop"), Scale: s.Text("scale"), Shape: s.Bool("shape"), Every: s.Int("every")}
			if c := s.Text("criterion"); c != "none" {
				x.Criterion = c
			}
			return x
		},
	},
	{
		Name: "tones", Doc: "transform at a few frequencies of any value (sliding)", Example: "tones: {freqs: [8, 10.5, 13]}",
		Params: []Param{
			{Name: "freqs", Kind: Numbers, Unit: "Hz", Required: true, Doc: "frequencies"},
			{Name: "output", Kind: Text, Default: "power", Choices: []string{"power", "amplitude", "phase", "complex"}, Doc: "what of the transform"},
		},
		Part: func(s *Settings) any { return &features.Tones{Freqs: s.Floats("freqs"), Output: s.Text("output")} },
	},
	{
		Name: "spectral-shape", Doc: "entropy, edge, median, peak, centre and flatness of the spectrum", Example: "spectral-shape: {which: [entropy, edge, peak]}",
		Params: with(welch, low, high,
			Param{Name: "which", Kind: Texts, Doc: "entropy, edge, median, peak, centre, flatness; none = all"},
			Param{Name: "edge", Kind: Number, Default: 0.95, Min: 1e-6, Max: 1, Doc: "share of the power below the edge"},
			Param{Name: "bits", Kind: Truth, Default: false, Doc: "entropy in bits instead of 0 to 1"},
			Param{Name: "refine", Kind: Truth, Default: false, Doc: "peak between the bins, by a parabola"}),
		Part: func(s *Settings) any {
			return &features.SpectralShape{Welch: welchOf(s), Low: s.Float("low"), High: s.Float("high"), Which: s.Texts("which"), Edge: s.Float("edge"), Bits: s.Bool("bits"), Refine: s.Bool("refine")}
		},
	},
	{
		Name: "aperiodic", Doc: "line through the log spectrum: offset and exponent, on request the largest peak above it", Example: "aperiodic: {low: 2, high: 40, peak: true, every: 5}",
		Params: with(welch, low, high,
			Param{Name: "exclude", Kind: Bands, Doc: "ranges that are left out, such as mains"},
			Param{Name: "method", Kind: Text, Default: "robust", Choices: []string{"robust", "line"}, Doc: "fit again what lies under the first line, or one least-squares line"},
			Param{Name: "peak", Kind: Truth, Default: false, Doc: "two more rows: frequency and height of the largest peak"},
			every),
		Part: func(s *Settings) any {
			return &features.Aperiodic{Welch: welchOf(s), Low: s.Float("low"), High: s.Float("high"), Exclude: bandsOf(s, "exclude"), Method: s.Text("method"), Peak: s.Bool("peak"), Every: s.Int("every")}
		},
	},
	{Name: "hjorth", Doc: "activity, mobility and complexity of every channel", Example: "hjorth", Part: func(*Settings) any { return &features.Hjorth{} }},
	{
		Name: "time-stats", Doc: "mean, variance, rms, peak-to-peak, line length, zero crossings, skewness, kurtosis", Example: "time-stats: {which: [line-length, kurtosis]}",
		Params: []Param{{Name: "which", Kind: Texts, Doc: "mean, variance, rms, peak-to-peak, line-length, zero-crossings, skewness, kurtosis; none = all"}},
		Part:   func(s *Settings) any { return &features.TimeStats{Which: s.Texts("which")} },
	},
	{
		Name: "connectivity", Doc: "how strongly every two channels go together in bands, over the segments of the window", Example: "connectivity: {measure: wpli, bands: {alpha: [8, 13]}, segment: 0.5}",
		Params: with(welch[:len(welch)-2], connectivityParams...),
		Part: func(s *Settings) any {
			x := connectivityOf(s)
			x.Output, x.Seeds = s.Text("output"), s.Texts("seeds")
			return x
		},
	},
	{
		Name: "network", Doc: "metrics of the graph whose weights are a connectivity", Example: "network: {measure: wpli, bands: {alpha: [8, 13]}, segment: 0.5, metrics: [strength, efficiency]}",
		Params: with(welch[:len(welch)-2],
			connectivityParams[0], bands, connectivityParams[2],
			Param{Name: "metrics", Kind: Texts, Default: []string{"strength", "efficiency"}, Doc: strings.Join(features.NetworkMetrics(), ", ")},
			Param{Name: "threshold", Kind: Number, Default: 0.0, Max: 1e6, Doc: "weights above it count in degree, clustering, density and binary-efficiency; 0 without density = 0.5"},
			Param{Name: "density", Kind: Number, Default: 0.0, Max: 1, Doc: "the greatest weights, this share of the pairs, count instead"},
			every),
		Part: func(s *Settings) any {
			return &features.Network{Of: *connectivityOf(s), Metrics: s.Texts("metrics"), Threshold: s.Float("threshold"), Density: s.Float("density")}
		},
	},
	{
		Name: "phase-connectivity", Doc: "how constant the phase relation of every two channels is within the window, sample by sample", Example: "phase-connectivity: {measure: wpli, method: demodulation, freq: 10, cutoff: 2}",
		Params: []Param{
			{Name: "measure", Kind: Text, Default: "plv", Choices: features.Measures(), Doc: "see the documentation of features.Connectivity for the definitions"},
			{Name: "method", Kind: Text, Default: "hilbert", Choices: []string{"hilbert", "demodulation"}, Doc: "analytic signal of the finished window of a band-passed stream, or complex demodulation"},
			{Name: "margin", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "left out at either end (hilbert); two periods are wise"},
			{Name: "freq", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "centre of the band (demodulation)"},
			{Name: "cutoff", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "half the width of the band (demodulation); 0 = a fifth of freq"},
			every,
		},
		Part: func(s *Settings) any {
			return &features.PhaseConnectivity{Measure: s.Text("measure"), Method: s.Text("method"), Margin: s.Float("margin"), Freq: s.Float("freq"), Cutoff: s.Float("cutoff"), Every: s.Int("every")}
		},
	},
	{
		Name: "demodulation", Doc: "amplitude or phase of every channel around one frequency, by complex demodulation", Example: "demodulation: {freq: 10, output: phase}",
		Params: []Param{
			{Name: "freq", Kind: Number, Unit: "Hz", Required: true, Min: 1e-3, Max: 1e6, Doc: "centre of the band"},
			{Name: "cutoff", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "half the width of the band; 0 = a fifth of freq"},
			{Name: "output", Kind: Text, Default: "amplitude", Choices: []string{"amplitude", "phase", "complex"}, Doc: "of the demodulated signal"},
		},
		Part: func(s *Settings) any {
			return &features.Demodulation{Freq: s.Float("freq"), Cutoff: s.Float("cutoff"), Output: s.Text("output")}
		},
	},
	{
		Name: "envelope-correlation", Doc: "amplitude envelope correlation of every two channels (AEC) of a band-passed stream", Example: "envelope-correlation: {margin: 0.1, rate: 25, every: 5}",
		Params: []Param{
			{Name: "plain", Kind: Truth, Default: false, Doc: "without orthogonalisation, which takes out what goes together without lag"},
			{Name: "log", Kind: Truth, Default: false, Doc: "of the logarithm of the power"},
			{Name: "signed", Kind: Truth, Default: false, Doc: "keep the signs of the two directions of orthogonalisation"},
			{Name: "margin", Kind: Number, Unit: "s", Default: 0.0, Max: 1e4, Doc: "left out at either end of the window; two periods are wise"},
			{Name: "rate", Kind: Number, Unit: "Hz", Default: 0.0, Max: 1e6, Doc: "of the envelopes that are used; 0 = every sample"},
			every,
		},
		Part: func(s *Settings) any {
			return &features.EnvelopeCorrelation{Plain: s.Bool("plain"), Log: s.Bool("log"), Signed: s.Bool("signed"), Margin: s.Float("margin"), Rate: s.Float("rate"), Every: s.Int("every")}
		},
	},
	{
		Name: "directed", Doc: "who drives whom, from a vector autoregressive model: PDC, DTF, Granger and kin", Example: "directed: {measure: pdc, order: 3, bands: {alpha: [8, 13]}, channels: [C3, Cz], every: 5}",
		Params: []Param{
			{Name: "measure", Kind: Text, Default: "pdc", Choices: features.DirectedMeasures(), Doc: "see the documentation of features.Directed for the definitions"},
			bands,
			{Name: "order", Kind: Integer, Required: true, Min: 1, Max: 64, Doc: "of the model"},
			{Name: "method", Kind: Text, Default: "ls", Choices: []string{"ls", "nuttall-strand"}, Doc: "least squares, or the multichannel form of Burg's method (always stable)"},
			{Name: "criterion", Kind: Text, Default: "none", Choices: []string{"none", "mdl"}, Doc: "take the best order up to the given one"},
			{Name: "channels", Kind: Texts, Doc: "of the model; none = all. Twelve are many"},
			{Name: "bin", Kind: Number, Unit: "Hz", Default: 1.0, Min: 1e-3, Max: 1e6, Doc: "from one frequency to the next"},
			{Name: "ratio", Kind: Number, Default: 10.0, Min: 1, Max: 1e6, Doc: "samples per channel and order that the window must have"},
			every,
		},
		Part: func(s *Settings) any {
			x := &features.Directed{Measure: s.Text("measure"), Bands: bandsOf(s, "bands"), Order: s.Int("order"), Method: s.Text("method"), Channels: s.Texts("channels"), Step: s.Float("bin"), Ratio: s.Float("ratio"), Every: s.Int("every")}
			if c := s.Text("criterion"); c != "none" {
				x.Criterion = c
			}
			return x
		},
	},
	{
		Name: "band-covariance", Doc: "covariance of the channels within every band of a filter-bank: what fbcsp takes", Example: "band-covariance: {bands: 1}",
		Params: []Param{
			{Name: "bands", Kind: Integer, Required: true, Min: 1, Max: 1000, Doc: "of the filter-bank"},
			{Name: "estimator", Kind: Text, Default: "scm", Choices: []string{"scm", "lwf", "oas"}, Doc: "as for covariance"},
			{Name: "shrinkage", Kind: Number, Default: 0.0, Max: 1, Doc: "fixed shrinkage towards the scaled identity (scm only)"},
		},
		Part: func(s *Settings) any {
			return &features.BandCovariance{Bands: s.Int("bands"), Estimator: s.Text("estimator"), Shrinkage: s.Float("shrinkage")}
		},
	},
	{
		Name: "samples", Doc: "the window itself, channel by channel: what xdawn, cca and trca take", Example: "samples: {every: 10}",
		Params: []Param{{Name: "every", Kind: Integer, Default: 1.0, Min: 1, Max: 1e6, Doc: "samples averaged into one value"}},
		Part:   func(s *Settings) any { return &features.Samples{Every: s.Int("every")} },
	},
	{
		Name: "canonical", Doc: "canonical correlation of all channels with a flicker at each frequency (SSVEP)", Example: "canonical: {freqs: [13, 17, 21]}",
		Params: []Param{
			{Name: "freqs", Kind: Numbers, Unit: "Hz", Required: true, Min: 0.1, Max: 1000, Doc: "of the flicker"},
			{Name: "harmonics", Kind: Integer, Default: 2.0, Min: 1, Max: 8, Doc: "multiples of the frequency to use, itself included"},
			{Name: "lengths", Kind: Numbers, Unit: "s", Min: 0.01, Max: 3600, Doc: "newest parts of the window to look at, each giving a row per frequency; none = the whole window"},
		},
		Part: func(s *Settings) any {
			return &features.Canonical{Freqs: s.Floats("freqs"), Harmonics: s.Int("harmonics"), Lengths: s.Floats("lengths")}
		},
	},
}

var connectivityParams = []Param{
	{Name: "measure", Kind: Text, Default: "coherence", Choices: features.Measures(), Doc: "see the documentation of features.Connectivity for the definitions"},
	bands,
	{Name: "pooled", Kind: Truth, Default: false, Doc: "sum over the bins of a band first instead of averaging their values"},
	{Name: "output", Kind: Text, Default: "pairs", Choices: []string{"pairs", "strength", "mean-strength"}, Doc: "every pair, or the sum or mean over the pairs of a channel"},
	{Name: "seeds", Kind: Texts, Doc: "only pairs with one of these channels; none = all"},
	every,
}

func connectivityOf(s *Settings) *features.Connectivity {
	return &features.Connectivity{
		Measure: s.Text("measure"), Bands: bandsOf(s, "bands"), Pooled: s.Bool("pooled"), Every: s.Int("every"),
		Welch: features.Welch{Segment: s.Float("segment"), Step: s.Float("step"), Window: s.Text("taper"), Shape: s.Float("taper-shape"), Detrend: s.Text("detrend")},
	}
}
