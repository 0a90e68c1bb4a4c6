package decoders

import (
	"context"
	"math"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
)

type cspVectors struct {
	Data struct {
		Train [][][]float64 `json:"X_train"`
		Y     []int         `json:"y_train"`
		Test  [][][]float64 `json:"X_test"`
	}
	Cases []struct {
		Case   string
		Params struct {
			Components int    `json:"n_components"`
			Filters    int    `json:"nfilter"`
			Reg        any    `json:"reg"`
			CovEst     string `json:"cov_est"`
			NormTrace  bool   `json:"norm_trace"`
			Order      string `json:"component_order"`
			Estimator  string `json:"estimator"`
			Metric     string `json:"metric"`
		}
		Expected struct {
			Covs      [][][]float64 `json:"class_covariances"`
			Filters   [][]float64   `json:"filters_sign_normalised"`
			Values    []float64     `json:"generalised_eigenvalues_ascending"`
			Train     [][]float64   `json:"features_train_log_power"`
			Test      [][]float64   `json:"features_test_log_power"`
			TrainVar  [][]float64   `json:"features_train_log_var_first8"`
			TestVar   [][]float64   `json:"features_test_log_var"`
			Info      []float64     `json:"mutual_info_descending"`
			Converged [][]float64   `json:"fully_converged_ajd_filters_sign_normalised"`
			PerClass  []struct {
				Values  []float64   `json:"eigenvalues_ascending"`
				Filters [][]float64 `json:"filters_sign_normalised"`
				Test    [][]float64 `json:"features_test_log_power"`
			} `json:"per_class"`
		}
	}
}

// moments are the covariance rows of trials: "scm" uncentred with divisor n, "cov"
// centred with n-1, "oas" centred and shrunk, "oas uncentred".
func moments(trials [][][]float64, kind string) (out [][]float64) {
	for _, x := range trials {
		c, n := len(x), float64(len(x[0]))
		s := make([][]float64, c)
		for i := range c {
			s[i] = make([]float64, c)
			for j := range c {
				mi, mj := 0.0, 0.0
				if !strings.HasSuffix(kind, "uncentred") && kind != "scm" {
					for t := range x[i] {
						mi, mj = mi+x[i][t]/n, mj+x[j][t]/n
					}
				}
				for t := range x[i] {
					s[i][j] += (x[i][t] - mi) * (x[j][t] - mj) / n
				}
				if kind == "cov" {
					s[i][j] *= n / (n - 1)
				}
			}
		}
		if strings.HasPrefix(kind, "oas") {
			tr, sq, p := 0.0, 0.0, float64(c)
			for i := range c {
				tr += s[i][i]
				for j := range c {
					sq += s[i][j] * s[i][j]
				}
			}
			mu, alpha := tr/p, sq/p/p
			rho := min(1, (alpha+mu*mu)/((n+1)*(alpha-mu*mu/p)))
			for i := range c {
				for j := range c {
					s[i][j] *= 1 - rho
				}
				s[i][i] += rho * mu
			}
		}
		out = append(out, upper(s))
	}
	return out
}

// signed makes the largest entry of each row positive.
func signed(w [][]float64) (out [][]float64) {
	for _, r := range w {
		r = append([]float64(nil), r...)
		fixSign(r)
		out = append(out, r)
	}
	return out
}

func TestCSPVectors(t *testing.T)      { testCSP(t, "csp_2class") }
func TestJointCSPVectors(t *testing.T) { testCSP(t, "csp_4class") }

func testCSP(t *testing.T, file string) {
	var v cspVectors
	vectors(t, file, &v)
	n, classes := len(v.Data.Train[0]), 0
	for _, y := range v.Data.Y {
		classes = max(classes, y+1)
	}
	if v.Data.Y[0] > 0 && classes == 3 { // labels 1 and 2
		t.Fatal("labels do not start at 0")
	}
	h := covarianceHeader(n)
	power := func(x [][][]float64) [][]float64 { return moments(x, "scm") }
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			e := &c.Expected
			if strings.HasPrefix(c.Case, "pyriemann") {
				csp := learn(t, &CSP{Components: c.Params.Filters, Metric: c.Params.Metric}, labelled(h, moments(v.Data.Train, c.Params.Estimator), v.Data.Y, classes))
				nearby(t, "filters", flat(signed(csp.model.Filters)), flat(e.Filters), 0, 1e-6)
				nearby(t, "train", flat(outputs(t, csp, h, moments(v.Data.Train[:8], c.Params.Estimator))), flat(e.TrainVar), 1e-7, 0)
				nearby(t, "test", flat(outputs(t, csp, h, moments(v.Data.Test, c.Params.Estimator))), flat(e.TestVar), 1e-7, 0)
				return
			}
			if strings.HasPrefix(c.Case, "one_vs_rest") {
				csp := learn(t, &CSP{Components: 2 * classes, Multi: "ovr"}, labelled(h, power(v.Data.Train), v.Data.Y, classes))
				got := outputs(t, csp, h, power(v.Data.Test))
				for k, w := range e.PerClass {
					nearbyFilters(t, csp.model.Filters[2*k:2*k+2], w.Filters, 60)
					for i := range got {
						nearby(t, "test", got[i][2*k:2*k+2], w.Test[i], math.Log(60.0/59)+1e-8, 0)
					}
				}
				return
			}
			// MNE: decompose the class covariances in the file, then filter the trials.
			csp := &CSP{Components: n, Weighted: true, Order: strings.Replace(c.Params.Order, "mutual_info", "info", 1)}
			var covs []*dense.M
			count := make([]int, classes)
			for k, m := range e.Covs {
				covs = append(covs, matrix(t, m))
				count[k] = 1 // concat weights classes equally
			}
			if c.Params.CovEst == "epoch" {
				clear(count)
				for _, y := range v.Data.Y {
					count[y]++
				}
			}
			m, err := csp.filters(context.Background(), newSPD(n), covs, count, EuclidMean)
			if err != nil {
				t.Fatal(err)
			}
			want := e.Filters
			tol := 1e-7
			if classes > 2 {
				tol = 1e-6
			}
			if e.Converged != nil {
				nearby(t, "information", m.Values, e.Info, 1e-6, 0)
			}
			nearby(t, "filters", flat(signed(m.Filters)), flat(want), 0, tol)
			if e.Values != nil {
				got := append([]float64(nil), m.Values...)
				nearby(t, "eigenvalues", sorted(got), e.Values, 1e-9, 0)
			}
			csp.model = m
			m.modelHead, m.Channels = head("csp", labelled(h, nil, nil, classes)), n
			first := func(f [][]float64) (out [][]float64) {
				for _, r := range f {
					out = append(out, r[:c.Params.Components])
				}
				return out
			}
			nearby(t, "train", flat(first(outputs(t, csp, h, power(v.Data.Train[:8])))), flat(e.Train), tol/10, 0)
			nearby(t, "test", flat(first(outputs(t, csp, h, power(v.Data.Test)))), flat(e.Test), tol/10, 0)

			// The class covariances themselves, from the trials, where they are means.
			if reg, ok := c.Params.Reg.(float64); (ok || c.Params.Reg == nil) && !c.Params.NormTrace {
				s := newSPD(n)
				one := &CSP{Reg: reg}
				for k := range covs {
					var of [][]float64
					for i, x := range power(v.Data.Train) {
						if v.Data.Y[i] == k {
							of = append(of, x)
						}
					}
					got, err := s.mean(context.Background(), matrices(of, n), nil, EuclidMean, 0, nil)
					if err == nil {
						err = one.regularise(got, "")
					}
					if err != nil {
						t.Fatal(err)
					}
					samples := 60.0
					if c.Params.CovEst == "concat" {
						samples *= float64(len(of))
					}
					got.Scale(samples / (samples - 1))
					nearby(t, "class covariance", got.V, covs[k].V, 0, 1e-10)
				}
			}
		})
	}
}

// nearbyFilters compares filters whose class covariances differ by n/(n-1) in scale.
func nearbyFilters(t *testing.T, got, want [][]float64, n float64) {
	t.Helper()
	f := math.Sqrt((n - 1) / n)
	for i := range got {
		g := append([]float64(nil), got[i]...)
		for j := range g {
			g[j] *= f
		}
		nearby(t, "filter", signed([][]float64{g})[0], want[i], 0, 1e-7)
	}
}

func sorted(v []float64) []float64 {
	for i := range v {
		for j := i + 1; j < len(v); j++ {
			if v[j] < v[i] {
				v[i], v[j] = v[j], v[i]
			}
		}
	}
	return v
}

// The independent signal-processing vectors: covariance, CSP and geometry of one small
// two-class set.
func TestSignalCSPVectors(t *testing.T) {
	var v struct {
		Inputs struct{ Class1, Class2 [][][]float64 }
		Cases  []struct {
			ID       string
			Expected struct {
				Mean1   [][]float64 `json:"mean_class1"`
				Mean2   [][]float64 `json:"mean_class2"`
				Values  []float64   `json:"eigenvalues_ascending"`
				Columns [][]float64 `json:"filters_columns"`
				Order   []int       `json:"order_by_distance_from_half"`
				LogVar  [][]float64 `json:"log_var_features"`
				Mean    any         `json:"mean"`
				ToMean  []float64   `json:"distance_to_mean"`
				Tangent [][]float64 `json:"tangent_vectors"`
				Log     [][]float64 `json:"log_euclidean_mean"`
			}
		}
	}
	vectors(t, "covariance_csp_riemann", &v)
	n := len(v.Inputs.Class1[0])
	h := covarianceHeader(n)
	x := append(moments(v.Inputs.Class1, "cov"), moments(v.Inputs.Class2, "cov")...)
	y := []int{0, 0, 0, 0, 1, 1, 1, 1}
	s := newSPD(n)
	mean := func(of [][]float64, metric string) *dense.M {
		m, err := s.mean(context.Background(), matrices(of, n), nil, metric, 1e-13, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	seen := 0
	for _, c := range v.Cases {
		e := &c.Expected
		switch c.ID {
		case "sample_covariance":
			nearby(t, "class 1", mean(x[:4], EuclidMean).V, flat(e.Mean1), 1e-12, 1e-10)
			nearby(t, "class 2", mean(x[4:], EuclidMean).V, flat(e.Mean2), 1e-12, 1e-10)
		case "csp":
			csp := learn(t, &CSP{Components: n}, labelled(h, x, y, 2))
			var columns [][]float64
			for j := range n {
				var w []float64
				for i := range n {
					w = append(w, e.Columns[i][j])
				}
				columns = append(columns, w)
			}
			for i, j := range e.Order {
				nearby(t, "filter", signed(csp.model.Filters)[i], columns[j], 1e-8, 0)
				nearby(t, "eigenvalue", csp.model.Values[i:i+1], e.Values[j:j+1], 1e-8, 0)
			}
		case "riemann":
			var want [][]float64
			recode(t, e.Mean, &want)
			m := mean(x, Riemann)
			nearby(t, "mean", m.V, flat(want), 1e-7, 0)
			nearby(t, "log-euclidean mean", mean(x, LogEuclid).V, flat(e.Log), 1e-7, 0)
			ts := learn(t, &TangentSpace{}, &Rows{Header: h, X: x})
			nearby(t, "tangent vectors", flat(outputs(t, ts, h, x)), flat(e.Tangent), 1e-7, 0)
			for i, a := range matrices(x, n) {
				nearby(t, "distance", []float64{s.distance(m, a)}, e.ToMean[i:i+1], 1e-7, 0)
			}
		default: // estimators of covariance: features
			continue
		}
		seen++
	}
	if seen != 3 {
		t.Errorf("%d cases checked, want 3", seen)
	}
}
