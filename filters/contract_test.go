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
	labels := []string{"Fz", "C3", "C1", "Cz", "C2", "C4", "FCz", "CPz", "M1", "M2", "EOG1", "FC3", "CP3", "C5", "Pz", "Oz"}
	for i := range channels {
		c := stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"}
		if i < len(labels) {
			c.Label = labels[i]
		}
		if c.Label == "M1" || c.Label == "M2" { // no part of the 10-05 table
			c.Position, c.Placed = [3]float64{0.06 - 0.12*float64(i%2), -0.02, -0.07}, true
		}
		if c.Label == "EOG1" {
			c.Type = "EOG"
		}
		h.Channels = append(h.Channels, c)
	}
	return h
}

func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("no goroutines in these stages, so the race detector learns nothing; the vocabulary's contract test runs all of them")
	}
	for name, c := range map[string]streamtest.Case{
		"bandpass": {New: func() stream.Stage { return &filters.Bandpass{Low: 8, High: 30} }, Memory: 400},
		"bandstop": {New: func() stream.Stage { return &filters.Bandstop{Low: 40, High: 60, Order: 2} }, Memory: 400},
		"lowpass":  {New: func() stream.Stage { return &filters.Lowpass{High: 30} }, Memory: 400},
		"highpass": {New: func() stream.Stage { return &filters.Highpass{Low: 1, Order: 2} }, Memory: 1000, Columns: 2000},
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
		"car":          {New: func() stream.Stage { return &filters.CommonAverage{Exclude: []string{"C1"}} }, Memory: 1},
		"select":       {New: func() stream.Stage { return &filters.Select{Channels: []string{"C2", "Fz"}} }, Memory: 1},
		"gap-repair":   {New: func() stream.Stage { return &filters.GapRepair{} }, Memory: 1},
		"car implicit": {New: func() stream.Stage { return &filters.CommonAverage{Implicit: true} }, Memory: 1},
		"median":       {New: func() stream.Stage { return &filters.CommonMedian{} }, Memory: 1},
		"linked":       {New: func() stream.Stage { return &filters.Linked{Channels: []string{"M1", "M2"}} }, Memory: 1},
		"bipolar":      {New: func() stream.Stage { return &filters.Bipolar{Pairs: []string{"C3-C4", "Cz-EOG1"}, Keep: true} }, Memory: 1},
		"matrix": {New: func() stream.Stage {
			return &filters.Matrix{Inputs: []string{"C3", "Cz"}, Outputs: []string{"a", "b"}, Weights: []float64{1, -0.5, 0.5, 0.5}}
		}, Memory: 1},
		"laplacian": {New: func() stream.Stage {
			return &filters.Laplacian{Channels: []string{"Cz", "C3"}, Neighbours: []string{"C3 = C1 Fz"}, ByDistance: true}
		}, Memory: 1},
		"csd":         {New: func() stream.Stage { return &filters.CurrentSourceDensity{} }, Memory: 1},
		"interpolate": {New: func() stream.Stage { return &filters.Interpolate{Channels: []string{"Fz"}} }, Memory: 1},
	} {
		c.In = eeg(11, 250)
		if c.Columns == 0 {
			c.Columns = 1500
		}
		t.Run(name, func(t *testing.T) { streamtest.Contract(t, c) })
	}
}
