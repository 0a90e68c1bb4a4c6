package decoders

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// sure makes trials of class probabilities, some of which are easy, some hard.
func sure(seed uint64, trials, steps int) *Rows {
	r := rand.New(rand.NewPCG(seed, 77))
	out := &Rows{Header: stream.Header{Name: "p", Rate: 10, MaxLen: 64}, Classes: []string{"rest", "left", "right"}}
	for _, c := range out.Classes {
		out.Header.Channels = append(out.Header.Channels, stream.Channel{Label: c, Unit: "probability", Type: TypeProbability})
	}
	for g := range trials {
		c, ease := g%3, r.ExpFloat64()
		for range steps {
			x := make([]float64, 3)
			for k := range x {
				x[k] = r.NormFloat64() + ease*indicator(k, c)
			}
			softmax(x)
			out.X, out.Y, out.Group = append(out.X, x), append(out.Y, c), append(out.Group, g)
		}
	}
	return out
}

func TestStopContract(t *testing.T) {
	rows := sure(1, 90, 20)
	for name, k := range map[string]Stop{
		"confidence": {Refractory: 1, Idle: "rest"}, "cued": {Cue: []string{"go"}}, "entropy, leaky": {Rule: StopEntropy, Tau: 1, Dwell: 2},
		"margin": {Rule: StopMargin, Min: 0.3, Max: 1.5}, "conformal": {Rule: StopConformal, Checkpoints: 2}, "bayes": {Rule: StopBayes, Discount: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			fresh := func() Fitter { c := k; return &c }
			streamtest.Contract(t, streamtest.Case{New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows)})
		})
	}
}

// step feeds one column with markers and returns the output row.
func step(k stream.Stage, src, dst *stream.Chunk, x []float64, labels ...string) []float64 {
	src.Clear()
	src.Resize(1)
	src.SetColumn(0, x)
	for _, l := range labels {
		src.Markers = append(src.Markers, stream.Marker{Label: l})
	}
	k.Process(dst, src)
	return dst.Column(nil, 0)
}

// With a cue the stage waits for it, answers once per trial and holds the answer, forgets
// what came before, and does not look at other markers.
func TestStopCued(t *testing.T) {
	rows := sure(2, 120, 20)
	k := learn(t, &Stop{Cue: []string{"T1", "T2"}, Threshold: 0.9, Kappa: 1, Max: 1}, rows)
	out, err := k.Open(rows.Header)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	left, right, vague := []float64{0.01, 0.98, 0.01}, []float64{0.01, 0.01, 0.98}, []float64{0.34, 0.33, 0.33}
	if y := step(k, src, dst, left, "noise"); y[3] != -1 || y[4] != -1 || y[0] != y[1] {
		t.Errorf("before the first cue: %v", y)
	}
	if y := step(k, src, dst, left, "T2"); y[3] != 1 || y[4] != 1 || y[5] != 0.1 || y[6] != 0 {
		t.Errorf("a sure column at a cue: %v", y)
	}
	if y := step(k, src, dst, right, "noise"); y[3] != 1 || y[4] != -1 || y[5] != 0.1 {
		t.Errorf("after the answer: %v", y)
	}
	if y := step(k, src, dst, right, "T1"); y[3] != 2 || y[4] != 2 || y[5] != 0.1 {
		t.Errorf("the next cue: %v", y)
	}
	step(k, src, dst, vague, "T1")
	for i := range 9 {
		y := step(k, src, dst, vague)
		if last := i == 8; last != (y[3] >= 0) || last != (y[6] == 1) || math.Abs(y[5]-float64(i+2)/10) > 1e-12 {
			t.Errorf("vague step %d: %v", i+2, y)
		}
	}
	y := step(k, src, dst, []float64{math.NaN(), 0, 1}, "T1")
	if !dst.IsBad(0, 0) || y[5] != 0.1 || y[0] != 1.0/3 {
		t.Errorf("a column that is no number: %v", y)
	}
}

// Without a cue commands keep their refractory distance, idle never commands, and Max
// drops evidence that leads nowhere.
func TestStopAsynchronous(t *testing.T) {
	rows := sure(3, 120, 20)
	k := learn(t, &Stop{Threshold: 0.9, Kappa: 1, Refractory: 0.5, Idle: "rest", Max: 2}, rows)
	out, err := k.Open(rows.Header)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	var at []int
	for i := range 20 {
		if y := step(k, src, dst, []float64{0.01, 0.98, 0.01}); y[4] == 1 {
			at = append(at, i)
		}
	}
	if len(at) != 4 || at[0] != 0 || at[1] != 6 || at[2] != 12 {
		t.Errorf("commands at steps %v; want every sixth", at)
	}
	k.Reset()
	for range 20 {
		if y := step(k, src, dst, []float64{0.98, 0.01, 0.01}); y[4] != -1 || y[3] != 0 {
			t.Fatalf("idle: %v", y)
		}
	}
	k.Reset()
	for i := range 45 {
		y := step(k, src, dst, []float64{1.0 / 3, 1.0 / 3, 1.0 / 3})
		if want := float64(i%20+1) / 10; y[4] != -1 || math.Abs(y[5]-want) > 1e-9 {
			t.Fatalf("step %d: %v, want %v s", i, y, want)
		}
	}
}

// Conformal sets hold the true class as often as promised, on trials drawn alike, whatever
// the decoder: here one whose confidence is far too high.
func TestConformalCoverage(t *testing.T) {
	traces := func(seed uint64, n int) (out []Trace) {
		rows := sure(seed, n, 20)
		for i := range rows.X {
			if i%20 == 0 {
				out = append(out, Trace{Class: rows.Y[i]})
			}
			o := make([]float64, 3)
			for j, p := range rows.X[i] {
				o[j] = 50 * math.Log(p)
			}
			out[len(out)-1].Out = append(out[len(out)-1].Out, o)
		}
		return out
	}
	for _, coverage := range []float64{0.8, 0.95} {
		f, err := FitStop(traces(4, 300), StopSettings{Rule: StopConformal, Coverage: coverage, Checkpoints: 4, Kappa: 1})
		if err != nil {
			t.Fatal(err)
		}
		out, err := ReplayConformal(traces(5, 3000), &f.Model)
		if err != nil {
			t.Fatal(err)
		}
		held, early := 0.0, 0
		for _, c := range out {
			held += b2f(c.Covered) / float64(len(out))
			if !c.Forced {
				early++
			}
		}
		if held < coverage-0.02 { // three standard errors
			t.Errorf("promised %v, held %v", coverage, held)
		}
		if early == 0 {
			t.Error("nothing ends early, so nothing was tested")
		}
	}
}

// Evidence counted several times, as overlapping windows do, is undone by the discount.
func TestStopDiscount(t *testing.T) {
	m := StopModel{Rule: StopConfidence, Classes: 2, Kappa: 1, Leak: 1, Discount: 1, Dwell: 1, Threshold: 2}
	d := m
	d.Discount = 0.25
	a, _ := m.New()
	b, _ := d.New()
	x, _ := a.Push([]float64{0.4, 1.2}, 1)
	var y Answer
	for range 4 {
		y, _ = b.Push([]float64{0.4, 1.2}, 0.25)
	}
	if math.Abs(x.Confidence-y.Confidence) > 1e-15 || x.Elapsed != y.Elapsed {
		t.Errorf("%+v against %+v", x, y)
	}
}

func TestHoldOut(t *testing.T) {
	held := HoldOut([]int{0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0}, 0.25)
	count := map[bool]int{}
	for _, h := range held {
		count[h]++
	}
	if count[true] != 2 || !held[6] || !held[8] {
		t.Errorf("%v", held)
	}
}

func TestStopRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		k    Stop
		rows func(r *Rows)
		want string
	}{
		"one class":       {Stop{}, func(r *Rows) { r.Classes = r.Classes[:1] }, "class"},
		"empty class":     {Stop{}, func(r *Rows) { clear(r.Y) }, "no training example"},
		"nan":             {Stop{}, func(r *Rows) { r.X[3][1] = math.NaN() }, "NaN"},
		"no trials":       {Stop{}, func(r *Rows) { r.Group = nil }, "trials"},
		"not classes":     {Stop{}, func(r *Rows) { each2(r) }, "behind a classifier"},
		"few, conformal":  {Stop{Rule: StopConformal, Coverage: 0.99, Checkpoints: 5}, nil, "at least 499"},
		"checkpoints":     {Stop{Rule: StopConformal, Checkpoints: 50}, nil, "checkpoints"},
		"set":             {Stop{Rule: StopConformal, SetSize: 3, Coverage: 0.5}, nil, "smaller"},
		"constant, bayes": {Stop{Rule: StopBayes}, func(r *Rows) { each(r, func(x []float64) { x[0], x[1], x[2] = 1.0/3, 1.0/3, 1.0/3 }) }, "differ"},
		"rule":            {Stop{Rule: "gut"}, nil, "choose"},
		"slack":           {Stop{Slack: 2}, nil, "slack"},
		"min":             {Stop{Min: 2, Max: 1}, nil, "min"},
		"holdout":         {Stop{Share: 1}, nil, "holdout"},
		"cost":            {Stop{Rule: StopBayes, Cost: -1}, nil, "cost"},
		"tau":             {Stop{Tau: math.Inf(1)}, nil, "tau"},
	} {
		r := sure(1, 30, 8)
		if c.rows != nil {
			c.rows(r)
		}
		if err := c.k.Fit(context.Background(), r, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// evidence that never differs: every trial runs to the end, uniform, no error
	r := sure(1, 30, 8)
	each(r, func(x []float64) { x[0], x[1], x[2] = 1.0/3, 1.0/3, 1.0/3 })
	k := learn(t, &Stop{}, r)
	if k.Fitted().Kappa != 1 {
		t.Errorf("without evidence κ is %v", k.Fitted().Kappa)
	}
	raw, err := k.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`"kappa":0`, `"kappa":-1`, `"leak":3`, `"discount":0`, `"dwell":0`, `"classes":7`, `"steps":99999999999`} {
		field, _, _ := strings.Cut(bad, ":")
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		s := m["stop"].(map[string]any)
		var v any
		_ = json.Unmarshal([]byte(bad[len(field)+1:]), &v)
		s[strings.Trim(field, `"`)] = v
		b, _ := json.Marshal(m)
		if err := new(Stop).LoadModel(b); err == nil {
			t.Errorf("a model with %s is accepted", bad)
		}
	}
	if _, err := new(Stop).Open(r.Header); err != ErrUntrained {
		t.Errorf("untrained: %v", err)
	}
	h := r.Header.Clone()
	h.Rate = 20
	if _, err := k.Open(h); err == nil || !strings.Contains(err.Error(), "calibrated at") {
		t.Errorf("another rate: %v", err)
	}
	if _, err := (&Stop{Idle: "nobody", model: k.model}).Open(r.Header); err == nil {
		t.Error("an unknown idle class is accepted")
	}
}

func each2(r *Rows) {
	for i := range r.Header.Channels {
		r.Header.Channels[i].Type = "feature"
	}
}

func FuzzStopModel(f *testing.F) {
	k := learn(f, &Stop{Rule: StopConformal, Checkpoints: 2}, sure(1, 90, 8))
	raw, err := k.SaveModel()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(raw))
	b := learn(f, &Stop{Rule: StopBayes}, sure(1, 90, 8))
	raw, _ = b.SaveModel()
	f.Add([]byte(raw))
	h := sure(1, 3, 2).Header
	f.Fuzz(func(t *testing.T, raw []byte) {
		k := new(Stop)
		if k.LoadModel(raw) != nil {
			return
		}
		out, err := k.Open(h)
		if err != nil {
			return
		}
		src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
		for range 20 {
			for _, v := range step(k, src, dst, []float64{0.2, 0.5, 0.3}) {
				if v-v != 0 {
					t.Fatalf("%v in the output", v)
				}
			}
		}
	})
}
