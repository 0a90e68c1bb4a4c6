package decoders

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
)

// session makes rows of 12 features in which 4 carry the power, from the first given on;
// the first ones of these tell the classes apart, the others hardly move.
func session(seed uint64, first, classes, count int) *Rows {
	r := rand.New(rand.NewPCG(seed, 0x70))
	rows := labelled(featureHeader(12), nil, nil, classes)
	for i := range count {
		x, y := make([]float64, 12), i%classes
		for j := range x {
			x[j] = 0.05 * r.NormFloat64()
		}
		for j := range 4 {
			x[(first+j)%12] = r.NormFloat64() + 2*indicator(j, y)
		}
		rows.X, rows.Y, rows.Group = append(rows.X, x), append(rows.Y, y), append(rows.Group, i)
	}
	return rows
}

// share of the rows that are decided right.
func share(t *testing.T, l *Logistic, rows *Rows) float64 {
	t.Helper()
	n := 0
	for i, p := range outputs(t, l, rows.Header, rows.X) {
		if argmax(p) == rows.Y[i] {
			n++
		}
	}
	return float64(n) / float64(len(rows.X))
}

// What lies in the protected subspace is answered after an update as before it, to
// rounding; another session is learned nonetheless, and a third one spares both.
func TestProtectedUpdate(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		k       Logistic
		classes int
	}{
		"two": {Logistic{Protect: 0.98}, 2}, "softmax": {Logistic{Protect: 0.98}, 3}, "one against all": {Logistic{Protect: 0.98, OneVsAll: true}, 3},
		"idle": {Logistic{Protect: 0.98, Idle: "class 1", Balanced: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := c.k
			old, fresh := session(1, 0, c.classes, 300), session(2, 4, c.classes, 300)
			learn(t, &l, old)
			v := l.model.Protected.Directions
			if len(v) < 4 || len(v) > 6 {
				t.Fatalf("%d directions are protected", len(v))
			}
			// rows within the subspace
			r := rand.New(rand.NewPCG(3, 3))
			var within [][]float64
			for len(within) < 50 {
				x := make([]float64, 12)
				for i := range x {
					x[i] = r.NormFloat64()
				}
				y := l.model.Protected.lift(x)
				in := make([]float64, len(y))
				for _, d := range v {
					a := dense.Dot(d, y)
					for j := range in {
						in[j] += a * d[j]
					}
				}
				for i := range x {
					x[i] = in[i] / in[12] * l.model.Protected.Scale
				}
				if math.Abs(in[12]) > 0.05 {
					within = append(within, x)
				}
			}
			before := outputs(t, &l, old.Header, within)
			was, lost := share(t, &l, old), share(t, &l, fresh)
			if err := l.Update(ctx, fresh, nil); err != nil {
				t.Fatal(err)
			}
			for i, p := range outputs(t, &l, old.Header, within) {
				nearby(t, "within the subspace", p, before[i], 1e-9, 0)
			}
			now, gained := share(t, &l, old), share(t, &l, fresh)
			if now < was-0.02 || gained < lost+0.15 {
				t.Errorf("old session %.3f, after the update %.3f; new one %.3f, after it %.3f", was, now, lost, gained)
			}
			anew := c.k
			learn(t, &anew, fresh)
			if f := share(t, &anew, old); f > was-0.15 {
				t.Errorf("refitting forgets nothing (%.3f of %.3f): the test shows nothing", f, was)
			}
			third := session(4, 8, c.classes, 300)
			raw, err := l.SaveModel()
			if err != nil {
				t.Fatal(err)
			}
			k := c.k
			if err := k.LoadModel(raw); err != nil {
				t.Fatal(err)
			}
			if err := k.Update(ctx, third, nil); err != nil {
				t.Fatal(err)
			}
			if a, b := share(t, &k, old), share(t, &k, fresh); a < now-0.02 || b < gained-0.02 {
				t.Errorf("after a third session %.3f of %.3f and %.3f of %.3f", a, now, b, gained)
			}
			again := c.k
			_ = again.LoadModel(raw)
			_ = again.Update(ctx, third, nil)
			a, _ := k.SaveModel()
			b, _ := again.SaveModel()
			if string(a) != string(b) {
				t.Error("the same update gives another model")
			}
		})
	}
}

// The directions are those that the Hebbian rule of hlop.json settles on.
func TestProtectionIsHebbian(t *testing.T) {
	rows := session(5, 2, 2, 400)
	p, err := protect(rows.X, 0.9)
	if err != nil {
		t.Fatal(err)
	}
	var lifted, start [][]float64
	for _, x := range rows.X {
		lifted = append(lifted, p.lift(x))
	}
	for k := range p.Directions {
		e := make([]float64, 13)
		e[(3*k+2)%13] = 1
		start = append(start, e)
	}
	h, err := NewProjection(start)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := h.Learn(lifted); err != nil {
			t.Fatal(err)
		}
	}
	for k, d := range p.Directions {
		rest := h.Protect(slices.Clone(d))
		if n := math.Sqrt(dense.Dot(rest, rest)); n > 1e-3 {
			t.Errorf("direction %d lies %v outside of what the rule learned", k+1, n)
		}
	}
}

func TestProtectRefusals(t *testing.T) {
	ctx := context.Background()
	rows := session(1, 0, 2, 100)
	plain := learn(t, &Logistic{}, rows)
	other := *rows
	other.Classes = []string{"a", "b"}
	full := learn(t, &Logistic{Protect: 0.9999}, rows)
	_ = full.Update(ctx, session(2, 4, 2, 100), nil)
	for want, f := range map[string]func() error{
		"without protect": func() error { return plain.Update(ctx, rows, nil) },
		"no model":        func() error { return new(Logistic).Update(ctx, rows, nil) },
		"below 1":         func() error { return (&Logistic{Protect: 1}).Fit(ctx, rows, nil) },
		"not sparse": func() error {
			return (&Logistic{Protect: 0.5, Penalty: "elasticnet", L1Ratio: 0.5}).Fit(ctx, rows, nil)
		},
		"the new trials": func() error { return learn(t, &Logistic{Protect: 0.9}, rows).Update(ctx, &other, nil) },
		"forgetting":     func() error { return full.Update(ctx, rows, nil) },
		"no training exam": func() error {
			return learn(t, &Logistic{Protect: 0.9}, rows).Update(ctx, labelled(rows.Header, nil, nil, 2), nil)
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	raw, err := learn(t, &Logistic{Protect: 0.9}, rows).SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	for old, now := range map[string]string{`"directions":[[`: `"directions":[[7,`, `"scale":`: `"scale":-`, `"share":0.9`: `"share":9`} {
		bad := strings.Replace(string(raw), old, now, 1)
		if err := new(Logistic).LoadModel([]byte(bad)); bad == string(raw) || err == nil {
			t.Errorf("%s is accepted", now)
		}
	}
}
