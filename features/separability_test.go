package features

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"
)

// cellsOf reads [trial][channel][bin] as cells per trial.
func cellsOf(t *testing.T, raw json.RawMessage) [][]float64 {
	t.Helper()
	var out [][]float64
	for _, trial := range trials(t, raw) {
		out = append(out, slices.Concat(trial...))
	}
	return out
}

// undefined checks that what the vectors have as null is NaN here, and only that.
func undefined(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range got {
		if math.IsNaN(want[i]) != math.IsNaN(got[i]) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestGoldenSeparability(t *testing.T) {
	g := load(t, "r2map")
	classes := [2][][]float64{cellsOf(t, g.Inputs["class1"]), cellsOf(t, g.Inputs["class2"])}
	freqs := flat(t, g.Inputs["freq_hz"])
	var channels []string
	_ = json.Unmarshal(g.Inputs["channels"], &channels)
	cells := len(classes[0][0])
	of := func(limit int, change func(float64) float64) *Separability {
		s := NewSeparability(cells)
		for class, trials := range classes {
			for _, trial := range trials[:min(limit, len(trials))] {
				if err := s.Add(class, apply(trial, change)); err != nil {
					t.Fatal(err)
				}
			}
		}
		return s
	}
	r2 := func(s *Separability, signed bool) []float64 {
		out := make([]float64, cells)
		if err := s.R2(out, signed); err != nil {
			t.Fatal(err)
		}
		return out
	}
	same := func(v float64) float64 { return v }
	all, short := of(1000, same), of(17, same)
	for i := range g.Cases {
		c := &g.Cases[i]
		check := func(key string, got []float64) {
			t.Helper()
			want := flat(t, c.Expected[key])
			g.check(t, c, key, got, want)
			undefined(t, key, got, want)
		}
		switch c.ID {
		case "r2_all_trials":
			check("r2", r2(all, false))
			check("signed_r2", r2(all, true))
			check("r2_of_log_power", r2(of(1000, math.Log), false))
		case "r2_happyfeat_truncated":
			check("r2", r2(short, false))
			got := r2(short, false) // the sign is that of all trials
			for i, v := range r2(all, true) {
				got[i] = math.Copysign(got[i], v)
			}
			check("signed_r2", got)
		case "rank_tests":
			r := NewRanks(cells)
			for class, trials := range classes {
				for _, trial := range trials {
					if err := r.Add(class, trial); err != nil {
						t.Fatal(err)
					}
				}
			}
			m, err := r.Map()
			if err != nil {
				t.Fatal(err)
			}
			check("auc", m.AUC)
			check("ranksum_z", m.Z)
			check("ranksum_p", m.P)
			check("mannwhitney_p_asymptotic", m.PTies)
			check("ranksum_q_benjamini_hochberg", FalseDiscovery(m.P))
			w := make([]float64, cells)
			if err := all.WelchT(w); err != nil {
				t.Fatal(err)
			}
			check("welch_t", w)
		default: // automatic picks
			values := r2(map[string]*Separability{"r2_all_trials": all, "r2_happyfeat_truncated": short}[text(c.Params["on"])], false)
			var names []string
			_ = json.Unmarshal(c.Params["channels"], &names)
			var some []int
			for _, n := range names {
				some = append(some, slices.Index(channels, n))
			}
			lo := slices.Index(freqs, number(t, c.Params["fmin"]))
			hi := slices.Index(freqs, number(t, c.Params["fmax"])) + 1
			var want [][]any
			_ = json.Unmarshal(c.Expected["features"], &want)
			got := BestPerChannel(values, len(freqs), lo, hi, int(number(t, c.Params["nb"])), some)
			if len(got) != len(want) {
				t.Fatalf("%s: %v, want %v", c.ID, got, want)
			}
			for i, p := range got {
				if fmt.Sprint(channels[p.Channel], freqs[p.Bin]) != fmt.Sprint(want[i][0], want[i][1]) || math.Abs(p.Value-want[i][2].(float64)) > 1e-9 {
					t.Errorf("%s: pick %d is %s at %v Hz (%v), want %v", c.ID, i, channels[p.Channel], freqs[p.Bin], p.Value, want[i])
				}
			}
		}
	}
}

func apply(x []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = f(v)
	}
	return out
}

// TestSeparabilityRefuses what is not a trial.
func TestSeparabilityRefuses(t *testing.T) {
	s, r := NewSeparability(2), NewRanks(2)
	for _, c := range []struct {
		class int
		cells []float64
	}{{2, []float64{1, 2}}, {0, []float64{1}}, {1, []float64{1, math.NaN()}}} {
		if s.Add(c.class, c.cells) == nil || r.Add(c.class, c.cells) == nil {
			t.Errorf("%v is taken", c)
		}
	}
	if s.R2(make([]float64, 2), false) == nil || s.WelchT(make([]float64, 2)) == nil {
		t.Error("a map without trials")
	}
	if _, err := r.Map(); err == nil {
		t.Error("ranks without trials")
	}
}
