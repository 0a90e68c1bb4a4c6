package features

import (
	"fmt"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// header is a stream of c channels of EEG.
func header(c int, rate float64) stream.Header {
	h := stream.Header{Name: "test", Rate: rate, MaxLen: 64}
	for i := range c {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("E%d", i+1), Unit: "uV", Type: "EEG"})
	}
	return h
}

// contract lists every extractor with settings under which it runs on 11 channels of
// 100 Hz in windows of 1.2 s every 0.1 s.
var contract = map[string]func() Extractor{
	"Covariance":         func() Extractor { return &Covariance{} },
	"Covariance/lwf":     func() Extractor { return &Covariance{Estimator: "lwf"} },
	"Covariance/oas":     func() Extractor { return &Covariance{Estimator: "oas", KeepMean: true} },
	"Canonical":          func() Extractor { return &Canonical{Freqs: []float64{8, 12}, Lengths: []float64{1.2, 0.5}} },
	"BandCovariance/oas": func() Extractor { return &BandCovariance{Bands: 1, Estimator: "oas"} },
	"Samples":            func() Extractor { return &Samples{Every: 4} },
	"LogVariance":        func() Extractor { return &LogVariance{} },
	"BandPower":          func() Extractor { return &BandPower{Bands: []Band{{Low: 4, High: 8}, {"alpha", 8, 13}}} },
	"BandPower/trapz": func() Extractor {
		return &BandPower{Bands: []Band{{Low: 8, High: 30}}, Method: "trapz", Scale: "db", Relative: true, Total: Band{Low: 2, High: 45}, Welch: Welch{Segment: 0.64, Step: 0.1, Average: "median", Detrend: "linear"}}
	},
}

func TestContract(t *testing.T) {
	for name, make := range contract {
		t.Run(name, func(t *testing.T) {
			streamtest.Contract(t, streamtest.Case{
				New:     func() stream.Stage { return &Windows{Length: 1.2, Hop: 0.1, Extractors: []Extractor{make()}} },
				In:      header(11, 100),
				Columns: 900,
				Memory:  130,
			})
		})
	}
}
