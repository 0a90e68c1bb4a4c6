package decoders

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/stream/streamtest"
)

// Without rounding, the gradient of every parameter, thresholds included, equals
// differences. (Its kinks are missed by drawing.)
func TestQCFSDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, classes := range []int{3, 0} {
		n := newQuantised([]int{4, 6, 5, 3}, 8)
		n.round = func(u float64) float64 { return u }
		for i := range n.p {
			n.p[i] = 0.6 * r.NormFloat64()
		}
		q := &sequence{class: 2}
		for range 7 {
			x, z := make([]float64, 4), make([]float64, 3)
			for i := range x {
				x[i] = r.NormFloat64()
			}
			for i := range z {
				z[i] = r.NormFloat64()
			}
			q.x, q.z = append(q.x, x), append(q.z, z)
		}
		n.loss(q, classes, true)
		for i := range n.p {
			const h = 1e-6
			p := n.p[i]
			n.p[i] = p + h
			up := n.loss(q, classes, false)
			n.p[i] = p - h
			down := n.loss(q, classes, false)
			n.p[i] = p
			if num := (up - down) / (2 * h); math.Abs(num-n.g[i]) > 2e-8*(1+math.Abs(num))+1e-8 {
				t.Fatalf("%d classes: derivative %d of %d is %v, differences say %v", classes, i, len(n.p), n.g[i], num)
			}
		}
	}
}

// Trained, converted and streamed: with one hidden layer and as many steps as levels, the
// spikes answer like the analogue network, to rounding; with two, the closer the more steps.
func TestQCFSStreamed(t *testing.T) {
	rows, test := trials(2, 90, 3, 6), trials(3, 60, 3, 6)
	for _, sizes := range [][]int{{24}, {24, 16}} {
		gap := func(steps int) float64 {
			k := learn(t, &SNN{Training: Training{Method: TrainQCFS, Levels: 8, Sizes: sizes, Epochs: 20, Seed: 1}, Steps: steps}, rows)
			out := decode(t, k, test)
			worst, right := 0.0, 0
			for i, x := range test.X {
				want := analogue(t, k, x, max(8, steps))
				for j, p := range want {
					worst = max(worst, math.Abs(p-out[i][j]))
				}
				if argmax(out[i]) == test.Y[i] {
					right++
				}
			}
			if right < len(test.X)/2 { // columns, not trials; chance is a third
				t.Errorf("%v: %d of %d columns right after %d steps", sizes, right, len(test.X), steps)
			}
			return worst
		}
		if len(sizes) == 1 {
			if g := gap(0); g > 1e-9 {
				t.Errorf("spikes differ from the analogue network by %v", g)
			}
			continue
		}
		few, many := gap(8), gap(64)
		if !(many < few/2) {
			t.Errorf("two layers: probabilities differ by up to %v after 8 steps, %v after 64", few, many)
		}
	}
}

// analogue runs the converted network's weights with an activation of as many levels as
// there were steps.
func analogue(t *testing.T, k *SNN, raw []float64, levels int) []float64 {
	t.Helper()
	var f NetworkFile
	if err := json.Unmarshal(k.model.Network, &f); err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(raw))
	k.model.features(x, raw, 3)
	for _, l := range f.Layers {
		if l.Type == "if" {
			for i, v := range x {
				x[i] = QCFS(v, l.Threshold, levels)
			}
			continue
		}
		y := append([]float64(nil), l.Bias...)
		for o, w := range l.Weights {
			for i, v := range w {
				y[o] += v * x[i]
			}
		}
		x = y
	}
	p := make([]float64, len(x))
	temper(p, x, 1)
	return p
}

func TestQCFSContract(t *testing.T) {
	small := Training{Method: TrainQCFS, Levels: 4, Sizes: []int{12}, Epochs: 4, Seed: 1}
	rows := trials(1, 30, 3, 6)
	for name, k := range map[string]SNN{
		"probabilities": {Training: small}, "exit": {Training: small, Exit: &Stop{Rule: StopMargin, Tau: 1}, Cue: []string{"go"}},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func() Fitter {
				c := k
				if k.Exit != nil {
					e := *k.Exit
					c.Exit = &e
				}
				return &c
			}
			streamtest.Contract(t, streamtest.Case{New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows)})
		})
	}
	t.Run("regression", func(t *testing.T) {
		rows := reach(1, 1500, 8)
		fresh := func() Fitter {
			return &SNN{Training: Training{Method: TrainQCFS, Sizes: []int{32}, Epochs: 25, Seed: 1}}
		}
		stage := fitted(t, fresh(), rows, fresh)
		streamtest.Contract(t, streamtest.Case{New: stage, In: rows.Header, Columns: 480, Signal: signalOf(rows)})
		if c := Correlation(decode(t, stage(), rows), rows.Target); c[0] < 0.6 || c[1] < 0.6 { // a single column, without memory
			t.Errorf("correlation %v", c)
		}
	})
	model := func(seed uint64) string {
		s := small
		s.Seed = seed
		raw, err := learn(t, &SNN{Training: s}, rows).SaveModel()
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	if a := model(1); a != model(1) || a == model(2) {
		t.Error("the seed does not decide the model")
	}
	for want, k := range map[string]SNN{
		"no recurrent":  {Training: Training{Method: TrainQCFS, Recurrent: true}},
		"leave the enc": {Training: Training{Method: TrainQCFS}, Encoder: EncodeDelta},
		"1 to 64":       {Training: Training{Method: TrainQCFS, Levels: 99}},
		"choose bptt":   {Training: Training{Method: "magic"}},
	} {
		if err := k.Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
