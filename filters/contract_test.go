package filters_test

import (
	"fmt"
	"testing"

	"neurostream/filters"
	"neurostream/stream"
	"neurostream/stream/streamtest"
)

func eeg(channels int, rate float64) stream.Header {
	h := stream.Header{Name: "eeg", Rate: rate, MaxLen: 64}
	for i := range channels {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	return h
}

func TestContract(t *testing.T) {
	for name, c := range map[string]streamtest.Case{
		"bandpass": {New: func() stream.Stage { return &filters.Bandpass{Low: 8, High: 30} }, Memory: 400},
		"bandstop": {New: func() stream.Stage { return &filters.Bandstop{Low: 40, High: 60, Order: 2} }, Memory: 400},
		"lowpass":  {New: func() stream.Stage { return &filters.Lowpass{High: 30} }, Memory: 400},
		"highpass": {New: func() stream.Stage { return &filters.Highpass{Low: 1, Order: 2} }, Memory: 1000},
		"notch":    {New: func() stream.Stage { return &filters.Notch{Freq: 50, Harmonics: 2} }, Memory: 600},
		"peak":     {New: func() stream.Stage { return &filters.Peak{Freq: 12, Q: 5} }, Memory: 400},
		"elliptic": {New: func() stream.Stage {
			return &filters.IIR{Family: filters.EllipticFamily, Pass: []float64{8, 30}, Stop: []float64{5, 35}}
		}, Memory: 600},
		"bessel": {New: func() stream.Stage {
			return &filters.IIR{Family: filters.BesselFamily, Kind: filters.LowPass, High: 30}
		}, Memory: 200},
		"bank": {New: func() stream.Stage {
			return &filters.FilterBank{Family: filters.Chebyshev2Family, Bands: []filters.Band{{"a", 4, 8}, {"b", 8, 12}, {"", 12, 30}}}
		}, Memory: 700},
		"fir":      {New: func() stream.Stage { return &filters.FIR{Kind: filters.BandPass, Low: 8, High: 30} }, Memory: 420},
		"fir long": {New: func() stream.Stage { return &filters.FIR{Kind: filters.HighPass, Low: 1, Transition: 0.9} }, Memory: 1000, Columns: 2500},
		"fir minimum": {New: func() stream.Stage {
			return &filters.FIR{Kind: filters.LowPass, High: 30, Method: "least-squares", Minimum: true}
		}, Memory: 200},
		"decimate":     {New: func() stream.Stage { return &filters.Decimate{Factor: 5, Phase: 3} }, Memory: 400},
		"decimate fir": {New: func() stream.Stage { return &filters.Decimate{Factor: 4, Phase: 1, Filter: "fir"} }, Memory: 100},
		"resample up":  {New: func() stream.Stage { return &filters.Resample{Rate: 256} }, Memory: 100},
		"resample":     {New: func() stream.Stage { return &filters.Resample{Up: 3, Down: 7} }, Memory: 100},
		"car":          {New: func() stream.Stage { return &filters.CommonAverage{Exclude: []string{"ch3"}} }, Memory: 1},
		"select":       {New: func() stream.Stage { return &filters.Select{Channels: []string{"ch5", "ch1"}} }, Memory: 1},
		"gap-repair":   {New: func() stream.Stage { return &filters.GapRepair{} }, Memory: 1},
	} {
		c.In = eeg(11, 250)
		t.Run(name, func(t *testing.T) { streamtest.Contract(t, c) })
	}
}
