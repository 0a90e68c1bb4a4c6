package decoders

import (
	"math"
	"strings"
	"testing"
)

// closed_loop_and_metrics.json: labels, assistance and scores. Difficulty and bit
// rates in it are checked by TestCursorVectors of package replay.
func TestClosedLoopVectors(t *testing.T) {
	g := readGolden(t, "closed_loop_and_metrics")
	var cursor, target, velocity, decoded, truth [][]float64
	var radius float64
	g.in(t, "cursor", &cursor)
	g.in(t, "target", &target)
	g.in(t, "decoded_velocity", &velocity)
	g.in(t, "target_radius", &radius)
	g.in(t, "decoded", &decoded)
	g.in(t, "truth", &truth)
	direction, err := DirectionLabels(cursor, target, radius)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "label_unit_vector", direction)
	refit, err := RefitLabels(cursor, target, velocity, radius)
	if err != nil {
		t.Fatal(err)
	}
	g.want(t, "label_refit_rotation", refit)
	var inside []int
	var angles []float64
	for i, u := range direction {
		in := 0
		if u[0] == 0 && u[1] == 0 {
			in = 1
		}
		inside = append(inside, in)
		angles = append(angles, AngularError(velocity[i], []float64{target[i][0] - cursor[i][0], target[i][1] - cursor[i][1]}))
	}
	g.exact(t, "inside_target", inside)
	g.want(t, "angular_error", angles)
	for name, a := range map[string]float64{"0.8": 0.8, "0.5": 0.5, "0.2": 0.2} {
		var out [][]float64
		for i := range velocity {
			v := make([]float64, 2)
			Assist(v, velocity[i], cursor[i], target[i], a)
			out = append(out, v)
		}
		var want [][]float64
		recode(t, g.Expected["assisted_velocity"].(map[string]any)[name], &want)
		for i := range want {
			nearby(t, "assisted velocity "+name, out[i], want[i], 1e-9, 1e-9)
		}
	}
	g.want(t, "scores/rmse", RMSE(decoded, truth))
	g.want(t, "scores/nrmse", NRMSE(decoded, truth))
	g.want(t, "scores/maae", MAAE(decoded, truth))
	r2 := R2(decoded, truth)
	g.want(t, "scores/r2_per_dim", r2)
	g.want(t, "scores/r2_mean", (r2[0]+r2[1])/2)
	g.want(t, "scores/corr_per_dim", Correlation(decoded, truth))
}

func TestLabelRefusals(t *testing.T) {
	one, two := [][]float64{{1, 2}}, [][]float64{{1, 2}, {3, 4}}
	for name, c := range map[string]struct {
		cursor, target, velocity [][]float64
		radius                   float64
		want                     string
	}{
		"lengths":    {one, two, one, 1, "2 targets for 1"},
		"velocities": {one, one, two, 1, "2 velocities"},
		"dimensions": {one, [][]float64{{1}}, one, 1, "dimensions"},
		"radius":     {one, one, one, math.NaN(), "radius"},
	} {
		if _, err := RefitLabels(c.cursor, c.target, c.velocity, c.radius); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	at, v := []float64{1, 2}, []float64{3, 4}
	if Assist(v, v, at, at, 0.8); v[0] != 3 || v[1] != 4 {
		t.Errorf("on the target: %v", v)
	}
	if l, err := DirectionLabels(one, one, 0); err != nil || l[0][0] != 0 || l[0][1] != 0 {
		t.Errorf("on the target the label is %v, %v", l, err)
	}
}
