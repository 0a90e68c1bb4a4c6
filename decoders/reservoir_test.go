package decoders

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

func TestReservoirContract(t *testing.T) {
	small := Reservoir{Neurons: 40, Steps: 4, Seed: 1}
	for name, change := range map[string]func(*Reservoir){
		"rate": func(*Reservoir) {}, "static": func(k *Reservoir) { k.Static = true }, "delta": func(k *Reservoir) { k.Encoder = EncodeDelta },
		"step-forward, cue": func(k *Reservoir) { k.Encoder, k.Cue = EncodeStep, []string{"go"} }, "threshold": func(k *Reservoir) { k.Encoder = EncodeThreshold },
	} {
		t.Run(name, func(t *testing.T) {
			rows := trials(1, 30, 3, 6)
			fresh := func() Fitter { k := small; change(&k); return &k }
			streamtest.Contract(t, streamtest.Case{New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows)})
		})
	}
	t.Run("regression", func(t *testing.T) {
		rows := reach(1, 1500, 8)
		fresh := func() Fitter { return &Reservoir{Neurons: 80, Steps: 5, Memory: 0.1, Seed: 2} }
		stage := fitted(t, fresh(), rows, fresh)
		streamtest.Contract(t, streamtest.Case{New: stage, In: rows.Header, Columns: 480, Signal: signalOf(rows)})
		if c := Correlation(decode(t, stage(), rows), rows.Target); c[0] < 0.7 || c[1] < 0.7 {
			t.Errorf("correlation %v", c)
		}
	})
}

// A reservoir tells trials apart that it has not seen; the same seed gives the same model;
// labels reach the read-out only; plasticity is what changes the liquid.
func TestReservoirLearns(t *testing.T) {
	rows, test := trials(2, 60, 3, 6), trials(3, 60, 3, 6)
	fit := func(change func(*Reservoir), rows *Rows) (*Reservoir, string) {
		k := &Reservoir{Neurons: 80, Steps: 5, Seed: 1}
		change(k)
		calls := 0
		if err := k.Fit(context.Background(), rows, func(done, total int) { calls++ }); err != nil {
			t.Fatal(err)
		}
		if calls < 2 {
			t.Errorf("progress was reported %d times", calls)
		}
		raw, err := k.SaveModel()
		if err != nil {
			t.Fatal(err)
		}
		return k, string(raw)
	}
	same := func(*Reservoir) {}
	k, a := fit(same, rows)
	if _, b := fit(same, rows); a != b {
		t.Error("the same seed gives another model")
	}
	if _, b := fit(func(k *Reservoir) { k.Seed = 2 }, rows); a == b {
		t.Error("another seed gives the same model")
	}
	turned := *rows
	turned.Y = nil
	for _, y := range rows.Y {
		turned.Y = append(turned.Y, (y+1)%3)
	}
	other, _ := fit(same, &turned)
	if !reflect.DeepEqual(k.model.Liquid, other.model.Liquid) || reflect.DeepEqual(k.model.Weights, other.model.Weights) {
		t.Error("labels change the liquid, or not the read-out")
	}
	still, _ := fit(func(k *Reservoir) { k.Static = true }, rows)
	for _, w := range still.model.Liquid.Recurrent.Weight {
		if w != 1 && w != -1 {
			t.Fatalf("a static liquid has a weight of %v", w)
		}
	}
	if reflect.DeepEqual(still.model.Liquid.Recurrent.Weight, k.model.Liquid.Recurrent.Weight) {
		t.Error("plasticity changed nothing")
	}
	if r := k.model.Firing; !(r > 0.005 && r < 0.3) {
		t.Errorf("%v spikes per neuron and step", r)
	}
	out, err := k.Open(test.Header)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&test.Header), stream.NewChunk(&out)
	right, sum := 0, make([]float64, 3)
	for i, x := range test.X {
		if i%20 == 0 {
			clear(sum)
		}
		src.Clear()
		src.Resize(1)
		src.SetColumn(0, x)
		k.Process(dst, src)
		for j, p := range dst.Column(nil, 0) {
			sum[j] += math.Log(p)
		}
		if i%20 == 19 && argmax(sum) == test.Y[i] {
			right++
		}
	}
	if right < 48 { // chance is 20 of 60
		t.Errorf("%d of 60 trials right", right)
	}
}

// What the astrocyte is for: a liquid that amplifies its input depresses synapses more
// and ends less active than one whose depression is constant.
func TestAstrocyteCalms(t *testing.T) {
	rate := func(weight float64) float64 {
		l, err := NewLiquid(150, 8, 4)
		if err != nil {
			t.Fatal(err)
		}
		l.InputGain, l.Astro.Weight = 40, weight
		in, fired := make([]float64, 8), 0.0
		for step := range 1500 {
			for j := range in {
				in[j] = indicator((step+3*j)%5, 0)
			}
			for _, s := range l.Step(in) {
				if step >= 500 {
					fired += s
				}
			}
		}
		return fired / (1000 * 150)
	}
	if with, without := rate(0.015), rate(0); !(with < 0.8*without) || with == 0 {
		t.Errorf("%v spikes per neuron and step with an astrocyte, %v without", with, without)
	}
}

func TestReservoirRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		k    Reservoir
		rows func(r *Rows)
		want string
	}{
		"one class":   {Reservoir{}, func(r *Rows) { r.Classes = r.Classes[:1] }, "at least two"},
		"empty class": {Reservoir{}, func(r *Rows) { clear(r.Y) }, "no training example"},
		"constant":    {Reservoir{}, func(r *Rows) { each(r, func(x []float64) { x[1] = 3 }) }, "constant"},
		"nan":         {Reservoir{}, func(r *Rows) { r.X[2][1] = math.NaN() }, "NaN"},
		"direct":      {Reservoir{Encoder: EncodeDirect}, nil, "no spikes"},
		"encoder":     {Reservoir{Encoder: "morse"}, nil, "choose"},
		"neurons":     {Reservoir{Neurons: 1}, nil, "liquid of 1"},
		"steps":       {Reservoir{Steps: -1}, nil, "1 to 1000"},
		"memory":      {Reservoir{Memory: -1}, nil, "positive"},
		"gain":        {Reservoir{Gain: 1e-9, Neurons: 10}, nil, "no neuron"},
		"rate":        {Reservoir{}, func(r *Rows) { r.Header.Rate = 0 }, "regular rate"},
	} {
		r := trials(1, 12, 2, 3)
		if c.rows != nil {
			c.rows(r)
		}
		if err := c.k.Fit(context.Background(), r, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := new(Reservoir).Fit(ctx, trials(1, 12, 2, 3), nil); err != context.Canceled {
		t.Errorf("cancelled training: %v", err)
	}
	// damaged models
	k := learn(t, &Reservoir{Neurons: 10, Steps: 2, Gain: 60}, trials(1, 12, 2, 3))
	raw, err := k.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	for old, now := range map[string]string{
		`"steps":2`: `"steps":2000000`, `"inputs":6`: `"inputs":7`, `"start":[0,`: `"start":[5,`, `"tau":[`: `"tau":[9,`, `"excitatory":[`: `"excitatory":[true,`, `"fade":0`: `"fade":10`, `"kind":"reservoir"`: `"kind":"snn"`,
	} {
		bad := strings.Replace(string(raw), old, now, 1)
		if bad == string(raw) {
			t.Fatalf("%s is not in the model", old)
		}
		if err := new(Reservoir).LoadModel([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", now)
		}
	}
}
