package decoders

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"neurostream/decoders/internal/dense"
)

// libsvm keeps its kernel in single precision, so what it calls the optimum is that of
// a slightly different problem: with the kernel rounded the same way the numbers agree
// to the file's 1e-6; the exact optimum lies up to 5e-6 away, and its objective is no
// worse than the one in the file.
func TestSVMVectors(t *testing.T) {
	var v linearVectors
	vectors(t, "linear_svm", &v)
	for _, c := range v.Cases {
		for _, w := range c.Expected.Variants {
			t.Run(fmt.Sprint(c.Case, w.C), func(t *testing.T) {
				h := featureHeader(len(c.Input.X[0]))
				classes := 1 + slices.Max(c.Input.Y)
				rows := labelled(h, c.Input.X, c.Input.Y, classes)
				exact := learn(t, &SVM{C: w.C}, rows).model
				rounded := &svmFile{modelHead: exact.modelHead, Kernel: "linear"}
				objective := 0.0
				for a := range classes {
					for b := a + 1; b < classes; b++ {
						var of []int
						for i, y := range rows.Y {
							if y == a || y == b {
								of = append(of, i)
							}
						}
						in := make([]int, len(of))
						for i := range in {
							in[i] = i
						}
						p := newSVMProblem(rows, of, a, w.C, w.C, func(x, z []float64) float64 { return float64(float32(dense.Dot(x, z))) })
						alpha, bias, err := p.solve(context.Background(), in)
						if err != nil {
							t.Fatal(err)
						}
						pair := svmPair{Weights: make([]float64, h.Rows()), Bias: bias}
						for i, v := range alpha {
							for j, x := range rows.X[of[i]] {
								pair.Weights[j] += v * p.sign[i] * x
							}
						}
						rounded.Pairs = append(rounded.Pairs, pair)
						e := exact.Pairs[len(rounded.Pairs)-1]
						objective += dense.Dot(e.Weights, e.Weights) / 2
						for i, k := range of {
							objective += w.C * max(0, 1-p.sign[i]*(dense.Dot(e.Weights, rows.X[k])+e.Bias))
						}
					}
				}
				if classes == 2 && objective > w.Objective {
					t.Errorf("objective %.12g, the library reaches %.12g", objective, w.Objective)
				}
				compareSVM(t, rounded, c.Input.Test, w.Coef, w.Bias, w.OvO, w.OvR, w.Predict, 1e-6)
				compareSVM(t, exact, c.Input.Test, w.Coef, w.Bias, w.OvO, w.OvR, w.Predict, 6e-6)
			})
		}
	}
}

func compareSVM(t *testing.T, m *svmFile, test, coef [][]float64, bias []float64, ovo any, ovr [][]float64, predict []int, tol float64) {
	t.Helper()
	classes := len(m.Classes)
	sign := 1.0
	if classes == 2 { // the library's binary decision is positive for the second class
		sign = -1
	}
	f := make([]float64, len(m.Pairs))
	decide := m.decisions()
	for k, p := range m.Pairs {
		x := make([]float64, len(p.Weights))
		for j := range x {
			x[j] = sign * p.Weights[j]
		}
		nearby(t, "weights", x, coef[k], tol, 0)
		nearby(t, "bias", []float64{sign * p.Bias}, bias[k:k+1], tol, 0)
	}
	for i, x := range test {
		decide(f, x)
		votes, sums := make([]float64, classes), make([]float64, classes)
		at := 0
		for a := range classes {
			for b := a + 1; b < classes; b++ {
				if f[at] > 0 {
					votes[a]++
				} else {
					votes[b]++
				}
				sums[a] += f[at]
				sums[b] -= f[at]
				at++
			}
		}
		var want []float64
		switch d := ovo.([]any)[i].(type) {
		case float64:
			want = []float64{-d}
		case []any:
			for _, x := range d {
				want = append(want, x.(float64))
			}
		}
		nearby(t, fmt.Sprint("decisions of example ", i), f, want, tol, 0)
		if k := argmax(votes); k != predict[i] {
			t.Errorf("example %d: class %d, want %d", i, k, predict[i])
		}
		if ovr != nil {
			for k := range votes {
				votes[k] += sums[k] / (3 * (math.Abs(sums[k]) + 1))
			}
			nearby(t, fmt.Sprint("one-vs-rest shape of example ", i), votes, ovr[i], tol, 0)
		}
	}
}

// At the optimum the conditions of Karush, Kuhn and Tucker hold for every example; with
// the Gaussian kernel there is no table to compare with, but this is the definition.
func TestSVMOptimal(t *testing.T) {
	rows := featureRows(31, 80, 4, 2)
	for _, c := range []float64{0.1, 1, 30} {
		s := learn(t, &SVM{Kernel: "rbf", C: c}, rows)
		f := make([]float64, 1)
		decide := s.model.decisions()
		alpha := map[int]float64{}
		p := s.model.Pairs[0]
		sum := 0.0
		for j, at := range p.Of {
			for i := range rows.X {
				if &rows.X[i][0] == &s.model.Vectors[at][0] {
					alpha[i] = math.Abs(p.Weights[j])
				}
			}
			sum += p.Weights[j]
		}
		if math.Abs(sum) > 1e-9 {
			t.Errorf("c %g: the multipliers do not balance: %g", c, sum)
		}
		for i, x := range rows.X {
			decide(f, x)
			m := f[0]
			if rows.Y[i] == 1 {
				m = -m
			}
			switch a := alpha[i]; {
			case a == 0 && m < 1-1e-8, a == c && m > 1+1e-8, a > 0 && a < c && math.Abs(m-1) > 1e-8, a > c:
				t.Errorf("c %g: example %d has margin %g and multiplier %g", c, i, m, a)
			}
		}
	}
}

// What a straight line cannot part, the Gaussian kernel does; the probabilities come
// from trials that were left out, so on pure noise they stay near the priors.
func TestSVMCalibration(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	ring := &Rows{Header: featureHeader(2), Classes: []string{"in", "out"}}
	noise := &Rows{Header: featureHeader(8), Classes: []string{"a", "b"}}
	for i := range 200 {
		angle, y := 2*math.Pi*r.Float64(), i/10%2
		radius := 1 + 2*float64(y) + 0.3*r.NormFloat64()
		ring.X, ring.Y, ring.Group = append(ring.X, []float64{radius * math.Cos(angle), radius * math.Sin(angle)}), append(ring.Y, y), append(ring.Group, i/10)
		x := make([]float64, 8)
		for j := range x {
			// Windows of a trial resemble each other: what a machine remembers of one
			// tells the others, unless they are left out together.
			x[j] = math.Sin(float64(i/10*7+j*i/10)) + 0.05*r.NormFloat64()
		}
		noise.X, noise.Y, noise.Group = append(noise.X, x), append(noise.Y, y), append(noise.Group, i/10)
	}
	s := learn(t, &SVM{Kernel: "rbf"}, ring)
	right := 0
	for i, k := range winners(outputs(t, s, ring.Header, ring.X)) {
		if k == ring.Y[i] {
			right++
		}
	}
	if right < 190 {
		t.Errorf("ring: %d of 200", right)
	}
	s = learn(t, &SVM{Kernel: "rbf", C: 100}, noise)
	sure := 0.0
	for _, p := range outputs(t, s, noise.Header, noise.X) {
		sure += max(p[0], p[1]) / 200
	}
	if sure > 0.75 {
		t.Errorf("noise: mean confidence %.2f, although trials left out are guessed", sure)
	}
	for name, c := range map[string]struct {
		s    *SVM
		rows *Rows
		want string
	}{
		"one trial": {&SVM{}, &Rows{Header: ring.Header, Classes: ring.Classes, X: ring.X, Y: ring.Y, Group: ring.Y}, "one trial only"},
		"constant":  {&SVM{Kernel: "rbf"}, labelled(featureHeader(2), [][]float64{{1, 1}, {1, 1}, {1, 1}, {1, 1}}, []int{0, 0, 1, 1}, 2), "constant"},
		"kernel":    {&SVM{Kernel: "poly"}, ring, "linear or rbf"},
		"c":         {&SVM{C: -1}, ring, "positive"},
		"gamma":     {&SVM{Gamma: math.NaN()}, ring, "gamma"},
		"folds":     {&SVM{Folds: 1}, ring, "at least 2"},
	} {
		if err := c.s.Fit(context.Background(), c.rows, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Nanosecond)
	defer stop()
	<-ctx.Done()
	if err := (&SVM{}).Fit(ctx, ring, nil); err != context.DeadlineExceeded && (err == nil || !strings.Contains(err.Error(), "deadline")) {
		t.Errorf("a stopped fit: %v", err)
	}
}

// A margin that cannot settle (rows of absurd scale) is an error, not a wrong machine.
func TestSVMDoesNotSettle(t *testing.T) {
	rows := featureRows(3, 40, 3, 2)
	for _, x := range rows.X {
		x[0] *= 1e160
	}
	if err := (&SVM{}).Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), "scale") {
		t.Errorf("%v", err)
	}
}

// Coupled probabilities of consistent pairs are those the pairs were made from.
func TestCoupling(t *testing.T) {
	want := []float64{0.1, 0.6, 0.05, 0.25}
	var pairs []float64
	for i := range want {
		for j := i + 1; j < len(want); j++ {
			pairs = append(pairs, want[i]/(want[i]+want[j]))
		}
	}
	p := make([]float64, 4)
	newCoupling(4).probabilities(p, pairs)
	nearby(t, "coupled", p, want, 1e-9, 0)
}
