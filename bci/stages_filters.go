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
		Params: []Param{{Name: "exclude", Kind: Texts, Doc: "labels that do not enter the mean"}},
		New:    func(s *Settings) stream.Stage { return &filters.CommonAverage{Exclude: s.Texts("exclude")} },
	},
}
