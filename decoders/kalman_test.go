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

// kalman_filter.json: training, filtering, gaps, likelihood and the steady state.
func TestKalmanGolden(t *testing.T) {
	g := readGolden(t, "kalman_filter")
	var z, x, tx, tz [][]float64
	var missing []int
	g.in(t, "train_z", &z)
	g.in(t, "train_x", &x)
	g.in(t, "test_x", &tx)
	g.in(t, "test_z", &tz)
	g.in(t, "missing_steps", &missing)
	m, err := FitKalman(z, x, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][][]float64{"A": m.A, "W": m.W, "H": m.H, "R": m.R, "S": m.S} {
		g.want(t, "fit/"+name, v)
	}
	for _, form := range []string{KalmanJoseph, KalmanInformation} {
		tr, err := m.Filter(tx, form, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, "filter/mean", tr.Mean)
		g.want(t, "filter/cov", tr.Cov)
		g.want(t, "filter/nrmse", NRMSE(tr.Mean, tz))
		g.want(t, "filter/r2", R2(tr.Mean, tz))
		g.want(t, "filter/corr", Correlation(tr.Mean, tz))
		if form == KalmanJoseph {
			g.want(t, "filter/log_likelihood_per_step", tr.LogLikelihood)
		}
		first, err := m.Filter(tx, form, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, "filter_predict_first/mean", first.Mean)
		g.want(t, "filter_predict_first/cov_last", first.Cov[len(tx)-1])
		if form == KalmanJoseph {
			s := 0.0
			for _, v := range first.LogLikelihood {
				s += v
			}
			g.want(t, "filter_predict_first/log_likelihood_sum", s)
		}
		gaps, err := m.Filter(tx, form, false, missing)
		if err != nil {
			t.Fatal(err)
		}
		g.want(t, "filter_with_missing/mean", gaps.Mean)
		g.want(t, "filter_with_missing/cov", gaps.Cov)
	}
	p, gain, err := m.Steady()
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "steady_state/predicted_cov", p)
	g.want(t, "steady_state/gain", gain)
	st, err := m.Filter(tx, KalmanSteady, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "steady_state/mean", st.Mean)
	var gap []float64
	k, _ := newKalman(m, KalmanJoseph)
	for _, row := range tx {
		k.update(row)
		num, den := 0.0, 0.0
		for i := range gain {
			for j := range gain[i] {
				d := k.jk.At(i, j) - gain[i][j]
				num += d * d
				den += gain[i][j] * gain[i][j]
			}
		}
		gap = append(gap, math.Sqrt(num/den))
	}
	g.want(t, "steady_state/relative_gain_gap_per_step", gap)
}

// reach simulates n features that see a planar velocity.
func reach(seed uint64, samples, n int) *Rows {
	r := rand.New(rand.NewPCG(seed, 7))
	h := make([][2]float64, n)
	for i := range h {
		h[i] = [2]float64{r.NormFloat64(), r.NormFloat64()}
	}
	rows := &Rows{Header: stream.Header{Name: "counts", Rate: 50, MaxLen: 64}}
	for i := range n {
		rows.Header.Channels = append(rows.Header.Channels, stream.Channel{Label: "unit " + itoa(i+1), Unit: "1", Type: "feature"})
	}
	rows.Targets = []stream.Channel{{Label: "vx", Unit: "cm/s"}, {Label: "vy", Unit: "cm/s"}}
	var v [2]float64
	for range samples {
		for j := range v {
			v[j] = 0.95*v[j] + r.NormFloat64()
		}
		x := make([]float64, n)
		for i := range x {
			x[i] = 20 + h[i][0]*v[0] + h[i][1]*v[1] + 4*r.NormFloat64() + 0.5*math.Tanh(v[0])
		}
		rows.X = append(rows.X, x)
		rows.Target = append(rows.Target, []float64{v[0] + 1, v[1] - 2})
	}
	return rows
}

// fitted returns a constructor of a decoder loaded from what f learned.
func fitted(t testing.TB, f Fitter, rows *Rows, fresh func() Fitter) func() stream.Stage {
	t.Helper()
	if _, err := f.SaveModel(); err != ErrUntrained {
		t.Fatalf("SaveModel before Fit: %v", err)
	}
	if _, err := f.Open(rows.Header); err != ErrUntrained {
		t.Fatalf("Open before Fit: %v", err)
	}
	if err := f.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	raw, err := f.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	return func() stream.Stage {
		s := fresh()
		if err := s.LoadModel(raw); err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// decode streams rows through a stage, one column per row, and returns output rows.
func decode(t testing.TB, s stream.Stage, rows *Rows) [][]float64 {
	t.Helper()
	out, err := s.Open(rows.Header.Clone())
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	var got [][]float64
	for i, x := range rows.X {
		src.Clear()
		src.Resize(1)
		src.Seq = int64(i)
		src.SetColumn(0, x)
		s.Process(dst, src)
		for c := range dst.Len {
			got = append(got, dst.Column(nil, c))
		}
	}
	return got
}

// features like those of rows, for the contract.
func signalOf(rows *Rows) func(col int64, dst []float64) {
	return func(col int64, dst []float64) { copy(dst, rows.X[int(col)%len(rows.X)]) }
}

func TestKalmanContract(t *testing.T) {
	rows := reach(1, 1500, 9)
	for _, form := range []string{KalmanInformation, KalmanJoseph, KalmanSteady} {
		t.Run(form, func(t *testing.T) {
			fresh := func() Fitter { return &Kalman{Form: form, Health: true} }
			streamtest.Contract(t, streamtest.Case{
				New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 1500, Memory: 300, Signal: signalOf(rows), Tolerance: 1e-2,
			})
		})
	}
}

// The stage decodes what the batch filter decodes, centres and restores targets,
// and all three forms agree once the gain has settled.
func TestKalmanStage(t *testing.T) {
	rows := reach(2, 2000, 12)
	var last [][]float64
	for _, form := range []string{KalmanInformation, KalmanJoseph, KalmanSteady} {
		k := &Kalman{Form: form}
		if err := k.Fit(context.Background(), rows, nil); err != nil {
			t.Fatal(err)
		}
		got := decode(t, k, rows)
		if c := Correlation(got, rows.Target); c[0] < 0.9 || c[1] < 0.9 {
			t.Errorf("%s: correlation %v", form, c)
		}
		for i := 200; last != nil && i < len(got); i++ {
			for j := range got[i] {
				if math.Abs(got[i][j]-last[i][j]) > 1e-8 {
					t.Fatalf("%s differs from the form before at column %d: %v, %v", form, i, got[i], last[i])
				}
			}
		}
		last = got
	}
}

func TestKalmanRefusals(t *testing.T) {
	spoil := func(f func(r *Rows)) *Rows {
		r := reach(3, 300, 5)
		f(r)
		return r
	}
	for name, c := range map[string]struct {
		rows *Rows
		want string
	}{
		"constant row":   {spoil(func(r *Rows) { each(r, func(x []float64) { x[2] = 7 }) }), `"unit 3" is constant`},
		"copied row":     {spoil(func(r *Rows) { each(r, func(x []float64) { x[2] = x[1] }) }), "singular"},
		"constant state": {spoil(func(r *Rows) { eachTarget(r, func(z []float64) { z[1] = 3 }) }), "targets"},
		"copied state":   {spoil(func(r *Rows) { eachTarget(r, func(z []float64) { z[1] = z[0] }) }), "linear combination"},
		"nan":            {spoil(func(r *Rows) { r.X[17][1] = math.NaN() }), "row 18, feature 2 is NaN"},
		"too few":        {spoil(func(r *Rows) { r.X, r.Target = r.X[:6], r.Target[:6] }), "more rows"},
		"none":           {spoil(func(r *Rows) { r.X, r.Target = nil, [][]float64{} }), "no training rows"},
		"no targets":     {spoil(func(r *Rows) { r.Target = nil }), "target values"},
	} {
		k := new(Kalman)
		err := k.Fit(context.Background(), c.rows, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	rows := reach(3, 300, 5)
	k := new(Kalman)
	if err := k.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	raw, _ := k.SaveModel()
	for name, c := range map[string]struct{ old, new, want string }{
		"kind":   {`"kalman"`, `"other"`, "needs"},
		"format": {`"format":1`, `"format":9`, "format 9"},
		"rows":   {`"rows":["unit 1",`, `"rows":[`, "units"},
	} {
		s := strings.Replace(string(raw), c.old, c.new, 1)
		if err := new(Kalman).LoadModel(json.RawMessage(s)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]func(h *stream.Header){
		"label": func(h *stream.Header) { h.Channels[1].Label = "x" },
		"unit":  func(h *stream.Header) { h.Channels[1].Unit = "x" },
		"rate":  func(h *stream.Header) { h.Rate = 100 },
		"rows":  func(h *stream.Header) { h.Channels = h.Channels[1:] },
	} {
		h := rows.Header.Clone()
		f(&h)
		if _, err := k.Open(h); err == nil {
			t.Errorf("stream with another %s is accepted", name)
		}
	}
	if _, err := (&Kalman{Form: "best", model: k.model}).Open(rows.Header); err == nil {
		t.Error("unknown form is accepted")
	}
	bad := k.model.Kalman
	bad.R = [][]float64{{1, 0}, {0, 1}}
	if bad.Validate() == nil {
		t.Error("R of the wrong size is accepted")
	}
}

func each(r *Rows, f func(x []float64)) {
	for _, x := range r.X {
		f(x)
	}
}

func eachTarget(r *Rows, f func(z []float64)) {
	for _, z := range r.Target {
		f(z)
	}
}

// A model whose covariance has no limit is refused by the steady form with a reason.
func TestKalmanUnstable(t *testing.T) {
	m := &KalmanModel{
		A: [][]float64{{1.1, 0}, {0, 0.9}}, W: [][]float64{{1, 0}, {0, 1}}, H: [][]float64{{0, 1}},
		R: [][]float64{{1}}, S: [][]float64{{1, 0}, {0, 1}},
	}
	if _, _, err := m.Steady(); err == nil || !strings.Contains(err.Error(), "unstable") && !strings.Contains(err.Error(), "positive definite") {
		t.Errorf("error %v", err)
	}
}
