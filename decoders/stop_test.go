package decoders

import (
	"math"
	"testing"
)

type stopVector struct {
	g           *golden
	cal, test   []Trace
	calI, testI []int
	kappa       float64
}

func readStopVector(t *testing.T, name string) *stopVector {
	v := &stopVector{g: readGolden(t, name)}
	var out [][][]float64
	var y []int
	for n, dst := range map[string]any{"outputs": &out, "labels": &y, "calibration_index": &v.calI, "test_index": &v.testI, "softmax_scale": &v.kappa} {
		v.g.in(t, n, dst)
	}
	for _, i := range v.calI {
		v.cal = append(v.cal, Trace{out[i], y[i]})
	}
	for _, i := range v.testI {
		v.test = append(v.test, Trace{out[i], y[i]})
	}
	return v
}

func (v *stopVector) model(rule string) StopModel {
	return StopModel{Rule: rule, Classes: 4, Kappa: v.kappa, Leak: 1, Discount: 1, Dwell: 1, Steps: len(v.test[0].Out)}
}

func exits(t *testing.T, traces []Trace, m StopModel) (steps, class []int, accuracy, mean float64) {
	t.Helper()
	out, err := Replay(traces, &m)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range out {
		steps, class = append(steps, a.Step), append(class, a.Class)
		accuracy += b2f(a.Class == traces[i].Class) / float64(len(out))
		mean += float64(a.Step) / float64(len(out))
	}
	return steps, class, accuracy, mean
}

// dynamic_confidence.json: traces, sweep, Pareto front, choice, exits, oracle and the
// other rules.
func TestDynamicConfidenceGolden(t *testing.T) {
	v := readStopVector(t, "dynamic_confidence")
	g := v.g
	var grid []float64
	var slack, leak, entropy, margin, patience float64
	var dwell, bins int
	for n, dst := range map[string]any{
		"threshold_grid": &grid, "accuracy_slack": &slack, "leak": &leak, "entropy_threshold": &entropy, "margin_threshold": &margin,
		"patience/threshold": &patience, "patience/steps": &dwell, "ece_bins": &bins,
	} {
		g.in(t, n, dst)
	}
	m := v.model(StopConfidence)
	trace := func(m StopModel, traces []Trace) (conf [][]float64, pred [][]int) {
		m.Threshold = 2 // never
		s, err := m.New()
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range traces {
			s.Reset()
			var c []float64
			var p []int
			for _, o := range tr.Out {
				a, _ := s.Push(o, 1)
				c, p = append(c, a.Confidence), append(p, a.Class)
			}
			conf, pred = append(conf, c), append(pred, p)
		}
		return conf, pred
	}
	all := append(append([]Trace(nil), v.cal...), v.test...)
	conf, pred := trace(m, all)
	g.want(t, "confidence", conf)
	g.exact(t, "prediction", pred)
	g.want(t, "fixed_time_accuracy_calibration", NewOracle(v.cal, &m).Fixed)
	o := NewOracle(v.test, &m)
	g.want(t, "fixed_time_accuracy_test", o.Fixed)
	g.exact(t, "oracle_test/exit_step", o.Step)
	g.want(t, "oracle_test/accuracy", o.Accuracy)
	g.want(t, "oracle_test/mean_latency", o.Steps)

	points, err := sweep(v.cal, &m, grid)
	if err != nil {
		t.Fatal(err)
	}
	var acc, lat, front []float64
	for _, p := range points {
		acc, lat = append(acc, p.Accuracy), append(lat, p.Steps)
		if p.Pareto {
			front = append(front, p.Threshold)
		}
	}
	full := fullLength(v.cal, &m)
	g.want(t, "calibration/accuracy_per_threshold", acc)
	g.want(t, "calibration/mean_latency_per_threshold", lat)
	g.want(t, "calibration/pareto_thresholds", front)
	g.want(t, "calibration/full_length_accuracy", full)
	g.want(t, "calibration/chosen_threshold_no_loss", Choose(points, full))
	g.want(t, "calibration/chosen_threshold_with_slack", Choose(points, full-slack))

	m.Threshold = Choose(points, full)
	steps, class, a, l := exits(t, v.test, m)
	g.exact(t, "test/exit_step", steps)
	g.exact(t, "test/prediction", class)
	g.want(t, "test/accuracy", a)
	g.want(t, "test/mean_latency", l)
	g.want(t, "test/saving_versus_full_length", 1-l/float64(m.Steps))
	g.want(t, "test/full_length_accuracy", fullLength(v.test, &m))

	e, mar, pat, lk := v.model(StopEntropy), v.model(StopMargin), v.model(StopConfidence), m
	e.Threshold, mar.Threshold, pat.Threshold, pat.Dwell, lk.Leak = entropy, margin, patience, dwell, leak
	for name, m := range map[string]StopModel{"entropy": e, "margin": mar, "patience": pat, "leaky": lk} {
		steps, _, a, _ := exits(t, v.test, m)
		g.exact(t, "variants_test/"+name+"/exit_step", steps)
		g.want(t, "variants_test/"+name+"/accuracy", a)
	}
	conf, _ = trace(lk, v.test[:5])
	g.want(t, "variants_test/leaky/confidence", conf)

	var flatConf []float64
	var right []bool
	conf, pred = trace(m, v.test)
	for i := range conf {
		for s := range conf[i] {
			flatConf, right = append(flatConf, conf[i][s]), append(right, pred[i][s] == v.test[i].Class)
		}
	}
	g.want(t, "expected_calibration_error_test", CalibrationError(flatConf, right, bins))
}

// dynamic_stopping.json: conformal sets, Bayesian boundaries, posterior threshold.
func TestDynamicStoppingGolden(t *testing.T) {
	v := readStopVector(t, "dynamic_stopping")
	g := v.g
	var checks []int
	var target, cost, posterior float64
	var size int
	for n, dst := range map[string]any{"checkpoints_zero_based": &checks, "target_coverage": &target, "cost_ratio": &cost, "posterior_error": &posterior, "set_size_threshold": &size} {
		g.in(t, n, dst)
	}
	c := v.model(StopConformal)
	c.SetSize = size
	for _, k := range checks {
		c.Checkpoints = append(c.Checkpoints, k+1)
	}
	if err := conformalLimits(v.cal, &c, target); err != nil {
		t.Fatal(err)
	}
	g.want(t, "conformal/thresholds", c.Limits)
	var sizes [][]int
	for _, tr := range v.test {
		s, err := c.stopper()
		if err != nil {
			t.Fatal(err)
		}
		var row []int
		for i, o := range tr.Out {
			accumulate(s.a, o, &c, i+1)
			if s.next < len(checks) && i == checks[s.next] {
				row = append(row, s.conforms())
				s.next++
			}
		}
		sizes = append(sizes, row)
	}
	g.exact(t, "conformal/set_size_test", sizes)
	out, err := ReplayConformal(v.test, &c)
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	covered, mean := 0.0, 0.0
	for _, r := range out {
		for j, k := range checks {
			if r.Step == k+1 {
				at = append(at, j)
			}
		}
		covered += b2f(r.Covered) / float64(len(out))
		mean += float64(r.Step) / float64(len(out))
	}
	g.exact(t, "conformal/stop_checkpoint_index", at)
	g.want(t, "conformal/coverage_test", covered)
	g.want(t, "conformal/mean_latency_test", mean)
	fitted, err := FitStop(v.cal, StopSettings{Rule: StopConformal, Kappa: v.kappa, Coverage: target, Checkpoints: len(checks), SetSize: size})
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "conformal/thresholds", fitted.Model.Limits)

	b, err := FitStop(v.cal, StopSettings{Rule: StopBayes, Kappa: v.kappa, Cost: cost})
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "bayes/boundary", b.Model.Boundary)
	var m0, m1, s0, s1 []float64
	g.ex(t, "bayes/mean_nontarget", &m0)
	g.ex(t, "bayes/mean_target", &m1)
	g.ex(t, "bayes/std_nontarget", &s0)
	g.ex(t, "bayes/std_target", &s1)
	for i := range m0 { // the moments, through the equation they enter
		nearby(t, "boundary", []float64{b.Model.Boundary[i]}, []float64{boundary(m0[i], s0[i], m1[i], s1[i], 3*cost)}, 1e-8, 1e-8)
	}
	steps, class, a, l := exits(t, v.test, b.Model)
	g.exact(t, "bayes/exit_step", steps)
	g.exact(t, "bayes/prediction", class)
	g.want(t, "bayes/accuracy", a)
	g.want(t, "bayes/mean_latency", l)

	p := v.model(StopConfidence)
	p.Threshold = 1 - posterior
	steps, _, a, l = exits(t, v.test, p)
	g.exact(t, "posterior/exit_step", steps)
	g.want(t, "posterior/accuracy", a)
	g.want(t, "posterior/mean_latency", l)
}

// The fitted temperature is where the derivative of the likelihood vanishes.
func TestFitKappa(t *testing.T) {
	v := readStopVector(t, "dynamic_confidence")
	m := v.model(StopConfidence)
	k := FitKappa(v.cal, &m)
	loss := func(k float64) (sum float64) {
		p, a := make([]float64, 4), make([]float64, 4)
		for _, tr := range v.cal {
			clear(a)
			for s, o := range tr.Out {
				accumulate(a, o, &m, s+1)
				temper(p, a, k)
				sum -= math.Log(p[tr.Class])
			}
		}
		return sum
	}
	if d := (loss(k*1.001) - loss(k/1.001)) / loss(k); math.Abs(d) > 1e-6 {
		t.Errorf("at κ = %v the loss still changes by %v", k, d)
	}
	for i := range v.cal { // evidence twice as large needs twice the temperature
		for s := range v.cal[i].Out {
			for c := range v.cal[i].Out[s] {
				v.cal[i].Out[s][c] *= 2
			}
		}
	}
	if k2 := FitKappa(v.cal, &m); math.Abs(k2/k-2) > 1e-5 {
		t.Errorf("κ grows from %v to %v", k, k2)
	}
}
