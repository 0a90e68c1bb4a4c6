package bci

import (
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
		},
		New: func(s *Settings) stream.Stage {
			w := &features.Windows{Length: s.Float("length"), Hop: s.Float("hop")}
			for _, p := range s.Parts("features") {
				w.Extractors = append(w.Extractors, p.(features.Extractor))
			}
			return w
		},
	},
}

var extractors = []PartType{
	{
		Name: "covariance", Doc: "covariance of all channels, upper triangle",
		Params: []Param{
			{Name: "estimator", Kind: Text, Default: "scm", Choices: []string{"scm", "lwf", "oas"}, Doc: "sample covariance, Ledoit-Wolf, or oracle approximating shrinkage"},
			{Name: "shrinkage", Kind: Number, Default: 0.0, Max: 1, Doc: "fixed shrinkage towards the scaled identity (scm only)"},
		},
		Part: func(s *Settings) any {
			return &features.Covariance{Estimator: s.Text("estimator"), Shrinkage: s.Float("shrinkage")}
		},
	},
	{Name: "log-variance", Doc: "logarithm of each channel's variance", Part: func(*Settings) any { return &features.LogVariance{} }},
}
