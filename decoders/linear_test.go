package decoders

import (
	"fmt"
	"slices"
	"testing"
)

type linearVectors struct {
	Cases []struct {
		Case  string
		Input struct {
			X    [][]float64 `json:"X_train"`
			Y    []int       `json:"y_train"`
			Test [][]float64 `json:"X_test"`
		}
		Expected struct {
			Variants []struct {
				Solver    string
				Shrinkage any
				C         float64
				Multi     string  `json:"multi_class"`
				Weight    *string `json:"class_weight"`
				Intercept bool    `json:"fit_intercept"`
				Coef      [][]float64
				Bias      []float64   `json:"intercept"`
				Proba     [][]float64 `json:"proba_test"`
				Predict   []int       `json:"predict_test"`
				Objective float64     `json:"primal_objective"`
				OvO       any         `json:"decision_ovo_test"`
				OvR       [][]float64 `json:"decision_ovr_shape_test"`
			}
		}
	}
}

func winners(p [][]float64) (out []int) {
	for _, r := range p {
		out = append(out, argmax(r))
	}
	return out
}

func TestLDAVectors(t *testing.T) {
	var v linearVectors
	vectors(t, "lda", &v)
	for _, c := range v.Cases {
		for _, w := range c.Expected.Variants {
			shrink := ""
			if w.Shrinkage != nil {
				shrink = fmt.Sprint(w.Shrinkage)
			}
			t.Run(fmt.Sprint(c.Case, w.Solver, shrink), func(t *testing.T) {
				h := featureHeader(len(c.Input.X[0]))
				l := learn(t, &LDA{Solver: w.Solver, Shrinkage: shrink}, labelled(h, c.Input.X, c.Input.Y, 1+slices.Max(c.Input.Y)))
				if w.Solver != "eigen" || len(w.Coef) == 1 { // eigen: up to a term common to all classes
					nearby(t, "weights", flat(l.model.Weights), flat(w.Coef), 0, 1e-7)
					nearby(t, "intercept", l.model.Intercept, w.Bias, 0, 1e-7)
				}
				p := outputs(t, l, h, c.Input.Test)
				nearby(t, "probabilities", flat(p), flat(w.Proba), 0, 1e-7)
				if got := winners(p); !slices.Equal(got, w.Predict) {
					t.Errorf("predicts %v, want %v", got, w.Predict)
				}
			})
		}
	}
}

func TestLogisticVectors(t *testing.T) {
	var v linearVectors
	vectors(t, "logreg", &v)
	for _, c := range v.Cases {
		for i, w := range c.Expected.Variants {
			t.Run(fmt.Sprint(c.Case, i), func(t *testing.T) {
				h := featureHeader(len(c.Input.X[0]))
				l := learn(t, &Logistic{C: w.C, OneVsAll: w.Multi == "ovr", Balanced: w.Weight != nil, NoBias: !w.Intercept},
					labelled(h, c.Input.X, c.Input.Y, 1+slices.Max(c.Input.Y)))
				nearby(t, "weights", flat(l.model.Weights), flat(w.Coef), 1e-6, 0)
				nearby(t, "intercept", l.model.Intercept, w.Bias, 1e-6, 0)
				p := outputs(t, l, h, c.Input.Test)
				nearby(t, "probabilities", flat(p), flat(w.Proba), 1e-6, 0)
				if got := winners(p); !slices.Equal(got, w.Predict) {
					t.Errorf("predicts %v, want %v", got, w.Predict)
				}
			})
		}
	}
}
