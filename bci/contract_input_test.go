package bci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/decoders"
	"neurostream/filters"
	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// contractInput is the stream that a kind of stage is tried on.
func contractInput(kind string) stream.Header {
	h := stream.Header{Name: "contract", Rate: 250, MaxLen: 64}
	add := func(label, unit, typ string) {
		h.Channels = append(h.Channels, stream.Channel{Label: label, Unit: unit, Type: typ})
	}
	switch kind {
	case "covariance":
		h.Rate = 10
		for i := range contractRank {
			for j := i; j < contractRank; j++ {
				add(fmt.Sprintf("cov ch%d ch%d", i+1, j+1), "uV^2", "covariance")
			}
		}
	case "samples":
		h.Rate = 10
		for i := range contractRank {
			for t := range contractSamples {
				add(fmt.Sprintf("ch%d @%v s", i+1, float64(t+1-contractSamples)/100), "uV", decoders.TypeSample)
			}
		}
	case "features":
		h.Rate = 10
		for i := range 6 {
			add(fmt.Sprintf("feature %d", i+1), "", "feature")
		}
	case "probabilities":
		h.Rate = 10
		for _, c := range contractClasses {
			add(c, "probability", decoders.TypeProbability)
		}
	default:
		names := []string{"Fp1", "Fp2", "C3", "Cz", "C4", "Pz", "O1", "O2", "EOG1"}
		for i, n := range names {
			typ := "EEG"
			if n == "EOG1" {
				typ = "EOG"
			}
			add(n, "uV", typ)
			a := 2 * math.Pi * float64(i) / float64(len(names))
			h.Channels[i].Position, h.Channels[i].Placed = [3]float64{0.09 * math.Cos(a) * 0.8, 0.09 * math.Sin(a) * 0.8, 0.054}, true
		}
	}
	return h
}

const (
	contractRank    = 4
	contractSamples = 30
)

var contractClasses = []string{"rest", "left", "right"}

func contractColumns(kind string) int {
	if kind == "" {
		return 0
	}
	return 600
}

// contractSignal fills columns that make sense for a kind; nil = noise.
func contractSignal(kind string) func(int64, []float64) {
	switch kind {
	case "covariance":
		return func(col int64, dst []float64) {
			r := rand.New(rand.NewPCG(5, uint64(col)))
			var x [contractRank][40]float64
			for i := range x {
				for t := range x[i] {
					x[i][t] = r.NormFloat64()*(1+0.3*float64(i)) + 0.5*x[0][t]
				}
			}
			k := 0
			for i := range x {
				for j := i; j < len(x); j++ {
					dst[k] = 0
					for t := range x[i] {
						dst[k] += x[i][t] * x[j][t] / 40
					}
					k++
				}
			}
		}
	case "samples":
		return func(col int64, dst []float64) {
			r := rand.New(rand.NewPCG(8, uint64(col)))
			for i := range dst {
				dst[i] = r.NormFloat64() + math.Sin(float64(i%contractSamples)*(0.3+0.2*float64(col/10%3)))
			}
		}
	case "features":
		return func(col int64, dst []float64) {
			r := rand.New(rand.NewPCG(6, uint64(col)))
			for i := range dst {
				dst[i] = r.NormFloat64() + math.Sin(float64(col)/20+float64(i))
			}
		}
	case "probabilities":
		return func(col int64, dst []float64) {
			r := rand.New(rand.NewPCG(7, uint64(col)))
			sum := 0.0
			for i := range dst {
				dst[i] = math.Exp(2 * (r.NormFloat64() + 2*math.Sin(float64(col)/15+2*float64(i))))
				sum += dst[i]
			}
			for i := range dst {
				dst[i] /= sum
			}
		}
	}
	return nil
}

// contractStage makes fresh stages of a pipeline's only step; one that learns is
// fitted once on synthetic rows, and every fresh one is given that model.
func contractStage(t *testing.T, p *Pipeline) func() stream.Stage {
	t.Helper()
	fresh := func() stream.Stage { return p.Build()[0].Stage }
	if f, ok := fresh().(filters.Learner); ok {
		return contractLearner(t, f, fresh)
	}
	f, ok := fresh().(decoders.Fitter)
	if !ok {
		return fresh
	}
	kind := p.Steps[0].Type.Input
	rows := &decoders.Rows{Header: contractInput(kind), Classes: contractClasses}
	rows.Targets = []stream.Channel{{Label: "vx", Unit: "m/s", Type: decoders.TypeKinematic}, {Label: "vy", Unit: "m/s", Type: decoders.TypeKinematic}}
	fill := contractSignal(kind)
	for i := range 240 {
		x := make([]float64, rows.Header.Rows())
		fill(int64(i)+1e6, x)
		y := i / 10 % 3
		if kind == "features" {
			x[y] += 2
		}
		rows.X, rows.Y, rows.Group = append(rows.X, x), append(rows.Y, y), append(rows.Group, i/10)
		rows.Target = append(rows.Target, []float64{x[0] - x[1], x[2] + 0.5*x[min(3, len(x)-1)]})
	}
	if p.Steps[0].Type.Regression {
		rows.Y, rows.Classes = nil, nil
	} else {
		rows.Target, rows.Targets = nil, nil
	}
	if err := f.Fit(context.Background(), rows, nil); err != nil {
		t.Fatalf("Fit: %v", err)
	}
	model, err := f.SaveModel()
	if err != nil {
		t.Fatalf("SaveModel: %v", err)
	}
	return func() stream.Stage {
		g := fresh().(decoders.Fitter)
		if err := g.LoadModel(json.RawMessage(append([]byte(nil), model...))); err != nil {
			t.Fatalf("LoadModel: %v", err)
		}
		return g
	}
}

// contractLearner lets a stage learn from a minute of the contract's own signal.
func contractLearner(t *testing.T, f filters.Learner, fresh func() stream.Stage) func() stream.Stage {
	t.Helper()
	in := contractInput("")
	fill := streamtest.Noise(&in, 1)
	c, x, at := stream.NewChunk(&in), make([]float64, in.Rows()), int64(0)
	next := func() (*stream.Chunk, error) {
		if at > int64(60*in.Rate) {
			return nil, io.EOF
		}
		c.Clear()
		c.Resize(in.MaxLen)
		c.Seq = at
		for i := range c.Len {
			fill(at+int64(i)+1e6, x)
			c.SetColumn(i, x)
		}
		at += int64(c.Len)
		return c, nil
	}
	if err := f.Learn(context.Background(), in, next); err != nil {
		t.Fatalf("Learn: %v", err)
	}
	model, err := f.SaveModel()
	if err != nil {
		t.Fatalf("SaveModel: %v", err)
	}
	return func() stream.Stage {
		g := fresh().(filters.Learner)
		if err := g.LoadModel(model); err != nil {
			t.Fatalf("LoadModel: %v", err)
		}
		return g
	}
}
