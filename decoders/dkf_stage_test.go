package decoders

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

func TestDKFContract(t *testing.T) {
	rows := reach(1, 300, 6)
	for name, k := range map[string]DKF{
		"linear constant-q": {F: DKFLinear, Health: true},
		"mlp history":       {F: DKFMLP, Hidden: 5, History: 3, Seed: 1},
		"nw kernel-q":       {F: DKFNW, Mode: DKFStandard, Q: "kernel", Health: true},
		"nw clip":           {F: DKFNW, Mode: DKFStandard, Q: "kernel", Fallback: FallbackClip, Residuals: "leave-one-out"},
		"gp robust":         {F: DKFGP, Points: 150, Mode: DKFRobust},
		"sparse gp":         {F: DKFSparseGP, Inducing: 30, Points: 200},
		"octants":           {F: DKFMKGP, Octants: true, Points: 120},
		"unfiltered":        {F: DKFLinear, Mode: DKFNone},
		"snn":               {F: DKFSNN, Hidden: 16, Epochs: 60, Seed: 1},
	} {
		rows := rows
		if k.F == DKFSNN {
			rows = reach(1, 1200, 6)
		}
		t.Run(name, func(t *testing.T) {
			fresh := func() Fitter { c := k; return &c }
			stage := fitted(t, fresh(), rows, fresh)
			streamtest.Contract(t, streamtest.Case{
				New: stage, In: rows.Header, Columns: 480, Memory: 150, Signal: signalOf(rows), Tolerance: 1e-2,
			})
			got := decode(t, stage(), rows)
			for i := range got {
				got[i] = got[i][:2]
			}
			least := 0.8
			if k.Octants || k.Mode == DKFNone {
				least = 0.6
			}
			if k.F == DKFSNN { // a small network and little data
				least = 0.4
			}
			if c := Correlation(got, rows.Target); c[0] < least || c[1] < least {
				t.Errorf("correlation %v", c)
			}
		})
	}
}

// The steady form ends where the general form with constant Q ends.
func TestDKFSteadyState(t *testing.T) {
	rows := reach(4, 1500, 8)
	std := &DKF{F: DKFLinear, Mode: DKFStandard}
	if err := std.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	raw, _ := std.SaveModel()
	fast := &DKF{F: DKFLinear}
	if err := fast.LoadModel(raw); err != nil {
		t.Fatal(err)
	}
	a, b := decode(t, std, rows), decode(t, fast, rows)
	for i := 300; i < len(a); i++ {
		for j := range a[i] {
			if math.Abs(a[i][j]-b[i][j]) > 1e-9 {
				t.Fatalf("column %d: %v and %v", i, a[i], b[i])
			}
		}
	}
}

// With kernel Q some steps are improper; the stage counts them.
func TestDKFCountsFallbacks(t *testing.T) {
	rows := reach(6, 400, 3)
	each(rows, func(x []float64) { x[0] *= 0.1 })
	for i := range rows.Target { // targets that the features hardly see
		rows.Target[i][0] = 5*math.Sin(float64(i)*1.3) + 0.1*rows.Target[i][0]
	}
	k := &DKF{F: DKFNW, Mode: DKFStandard, Q: "kernel", Health: true}
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	got := decode(t, k, rows)
	most := 0.0
	for i := range got {
		most = max(most, got[i][2])
	}
	if !(most > 0) || math.Abs(k.FallbackRate()-got[len(got)-1][2]) > 0 {
		t.Errorf("largest fallback rate %v, last %v", most, k.FallbackRate())
	}
}

func TestDKFRefusals(t *testing.T) {
	rows := reach(3, 400, 4)
	for name, c := range map[string]struct {
		k    DKF
		want string
	}{
		"f":         {DKF{F: "forest"}, "choose one of"},
		"mode":      {DKF{Mode: "fast"}, "choose one of"},
		"q":         {DKF{Q: "kernel"}, "needs mode"},
		"fallback":  {DKF{Fallback: "none"}, "choose one of"},
		"history":   {DKF{History: 999}, "1 to 256"},
		"shrink":    {DKF{Shrink: 2}, "share"},
		"saturate":  {DKF{Saturate: 0.1}, "at least 0.5"},
		"residuals": {DKF{F: DKFMLP, Residuals: "leave-one-out"}, "nw and gp"},
	} {
		if err := c.k.Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k := &DKF{F: DKFLinear}
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	raw, _ := k.SaveModel()
	for name, c := range map[string]struct{ cut, with, want string }{
		"two regressions": {`"linear":`, `"mlp":{"W1":[[1,1,1,1]],"b1":[0],"W2":[[1],[1]],"b2":[0,0]},"linear":`, "2 regressions"},
		"no regression":   {`"linear":`, `"other":`, "0 regressions"},
		"history":         {`"history":1`, `"history":2`, "history of 2"},
		"cap":             {`"cap":`, `"cap":-`, "cap"},
		"singular Q":      {`"Q":[[`, `"Q":[[0,0],[0,0]],"P":[[`, "not positive definite"},
	} {
		s := strings.Replace(string(raw), c.cut, c.with, 1)
		if err := new(DKF).LoadModel([]byte(s)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&DKF{Mode: DKFStandard, Q: "kernel"}).LoadModel(raw); err == nil || !strings.Contains(err.Error(), "without a kernel Q") {
		t.Errorf("kernel Q without one: %v", err)
	}
}

// A decoder that falls back too often says so, at the same column however the stream
// was cut, and its counts outlive a break.
func TestDKFTellsFallbacks(t *testing.T) {
	rows := reach(6, 1200, 3)
	for i := range rows.Target { // nothing to be learned: Q is not smaller than S
		rows.Target[i] = []float64{math.Sin(float64(i) * 0.05), math.Cos(float64(i) * 0.07)}
	}
	k := &DKF{F: DKFNW, Mode: DKFStandard, Q: "kernel"}
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	events := func(block int) (out []stream.Event, count Fallbacks) {
		h := rows.Header.Clone()
		header, err := k.Open(h)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := stream.NewChunk(&h), stream.NewChunk(&header)
		for from := 0; from < 1200; from += block {
			n := min(block, 1200-from)
			src.Clear()
			src.Resize(n)
			src.Seq, src.T0 = int64(from), stream.Time(from)*20e6
			for i := range n {
				src.SetColumn(i, rows.X[from+i])
			}
			k.Process(dst, src)
			out = append(out, dst.Events...)
		}
		return out, k.Fallbacks()
	}
	a, count := events(1)
	b, _ := events(64)
	if len(a) == 0 || !slices.Equal(a, b) {
		t.Fatalf("events %v and %v", a, b)
	}
	if e := a[0]; e.Kind != stream.EventFallback || (e.Seq+1)%500 != 0 || e.Time != stream.Time(e.Seq)*20e6 || e.Count <= 100 {
		t.Errorf("%v at %d ns", e, e.Time)
	}
	if count.Columns != 1200 || count.Fallbacks < a[0].Count || count.Unusable != 0 {
		t.Errorf("%+v", count)
	}
}
