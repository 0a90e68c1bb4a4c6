package decoders

import (
	"slices"
	"testing"
)

func TestMDMVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case  string
			Input struct {
				Train [][][]float64 `json:"C_train"`
				Y     []int         `json:"y_train"`
				Test  [][][]float64 `json:"C_test"`
			}
			Expected struct {
				Means       [][][]float64 `json:"class_means"`
				Distances   [][]float64   `json:"distances"`
				Predict     []int         `json:"predict"`
				Proba       [][]float64   `json:"predict_proba"`
				LogMeans    [][][]float64 `json:"logeuclid_means"`
				LogPredict  []int         `json:"logeuclid_mean_riemann_distance_predict"`
				LogDistance [][]float64   `json:"logeuclid_mean_riemann_distances"`
				FgPredict   []int         `json:"fgmdm_predict"`
				FgDistances [][]float64   `json:"fgmdm_distances"`
			}
		}
	}
	vectors(t, "mdm", &v)
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			n := len(c.Input.Train[0])
			h := covarianceHeader(n)
			rows := labelled(h, uppers(c.Input.Train), c.Input.Y, 1+slices.Max(c.Input.Y))
			test := uppers(c.Input.Test)
			e := &c.Expected
			for _, k := range []struct {
				stage     *MDM
				means     [][][]float64
				distances [][]float64
				predict   []int
				tol       float64
			}{
				{&MDM{}, e.Means, e.Distances, e.Predict, 1e-7},
				{&MDM{Metric: LogEuclid}, e.LogMeans, e.LogDistance, e.LogPredict, 1e-7},
				{&MDM{Filter: true}, nil, e.FgDistances, e.FgPredict, 1e-5},
			} {
				m := learn(t, k.stage, rows)
				if k.means != nil {
					nearby(t, "means", flat(m.model.Means), flat(uppers(k.means)), 0, 1e-7)
				}
				f, err := m.model.distances(n)
				if err != nil {
					t.Fatal(err)
				}
				for i, x := range test {
					d := make([]float64, len(m.model.Classes))
					if !f(d, x) {
						t.Fatalf("test %d has no distance", i)
					}
					nearby(t, "distances", d, k.distances[i], 0, k.tol)
				}
				p := outputs(t, m, h, test)
				if got := winners(p); !slices.Equal(got, k.predict) {
					t.Errorf("predicts %v, want %v", got, k.predict)
				}
				if k.means != nil && k.stage.Metric == "" {
					nearby(t, "probabilities", flat(p), flat(e.Proba), 1e-7, 0)
				}
			}
		})
	}
}
