package decoders

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/decoders/internal/dense"
)

func randomSPD(r *rand.Rand, n int) *dense.M {
	x, m := dense.New(n, 2*n), dense.New(n, n)
	for i := range x.V {
		x.V[i] = r.NormFloat64()
	}
	dense.MulT(m, x, x)
	return m
}

// a = V λ V', V orthonormal, λ ascending: for many sizes, and for matrices that give
// QL trouble (diagonal, equal eigenvalues, huge range, blocks).
func TestEigen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(name string, a *dense.M) {
		n := a.R
		e := newSymEigen(n)
		kept := a.Clone()
		if !e.decompose(a) {
			t.Fatalf("%s: not decomposed", name)
		}
		for i := range a.V {
			if a.V[i] != kept.V[i] {
				t.Fatalf("%s: the argument changed", name)
			}
		}
		top := max(math.Abs(e.val[0]), math.Abs(e.val[n-1]), 1e-300)
		back, gram := dense.New(n, n), dense.New(n, n)
		for k := range n {
			if k > 0 && e.val[k] < e.val[k-1] {
				t.Fatalf("%s: eigenvalues not ascending", name)
			}
			for i, x := range e.vec.Row(k) {
				for j, y := range e.vec.Row(k) {
					back.V[i*n+j] += e.val[k] * x * y
				}
			}
		}
		dense.MulT(gram, e.vec, e.vec)
		for i := range n {
			for j := range n {
				want := 0.0
				if i == j {
					want = 1
				}
				if math.Abs(gram.At(i, j)-want) > 1e-13*float64(n) {
					t.Fatalf("%s: vectors %d and %d have product %v", name, i, j, gram.At(i, j))
				}
				if math.Abs(back.At(i, j)-a.At(i, j)) > 1e-14*float64(n)*top {
					t.Fatalf("%s: entry %d,%d comes back as %v, was %v", name, i, j, back.At(i, j), a.At(i, j))
				}
			}
		}
	}
	for _, n := range []int{1, 2, 3, 4, 5, 8, 21, 64} {
		check("random", randomSPD(r, n))
		check("identity", dense.Identity(n))
		check("zero", dense.New(n, n))
		indefinite := randomSPD(r, n)
		dense.Add(indefinite, indefinite, -float64(2*n), dense.Identity(n))
		check("indefinite", indefinite)
		graded := dense.New(n, n)
		for i := range n {
			graded.Set(i, i, math.Pow(10, float64(3*(i%7)-9)))
		}
		check("graded", graded)
		ones := dense.New(n, n)
		for i := range ones.V {
			ones.V[i] = 1e-160
		}
		check("rank one, tiny", ones)
		for i := range ones.V {
			ones.V[i] = 1e150
		}
		check("rank one, huge", ones)
	}
	bad := dense.Identity(3)
	bad.Set(1, 2, math.NaN())
	if newSymEigen(3).decompose(bad) {
		t.Error("a matrix with NaN is decomposed")
	}
	e, a := newSymEigen(21), randomSPD(r, 21)
	if n := testing.AllocsPerRun(10, func() { e.decompose(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSPDGeometryVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case  string
			Input struct {
				C [][][]float64 `json:"C"`
				W []float64     `json:"sample_weight"`
			}
			Expected struct {
				Riemann    [][]float64   `json:"mean_riemann"`
				RiemannW   [][]float64   `json:"mean_riemann_weighted"`
				Log        [][]float64   `json:"mean_logeuclid"`
				LogW       [][]float64   `json:"mean_logeuclid_weighted"`
				Euclid     [][]float64   `json:"mean_euclid"`
				ToMean     []float64     `json:"distance_to_mean_riemann"`
				PairR      []float64     `json:"pairwise_first_riemann"`
				PairL      []float64     `json:"pairwise_first_logeuclid"`
				PairE      []float64     `json:"pairwise_first_euclid"`
				Sqrt       [][]float64   `json:"sqrtm_first"`
				InvSqrt    [][]float64   `json:"invsqrtm_first"`
				Log1       [][]float64   `json:"logm_first"`
				ExpLog     [][]float64   `json:"expm_of_logm_first"`
				Pow        [][]float64   `json:"powm_0p3_first"`
				Geodesic   [][]float64   `json:"geodesic_first_second_t0p25"`
				Recentered [][][]float64 `json:"recentered_riemann"`
			}
		}
	}
	vectors(t, "spd_geometry", &v)
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			n := len(c.Input.C[0])
			s, d := newSPD(n), dense.New(n, n)
			var ms []*dense.M
			for _, m := range c.Input.C {
				ms = append(ms, matrix(t, m))
			}
			mean := func(w []float64, metric string) []float64 {
				m, err := s.mean(context.Background(), ms, w, metric, 1e-12, nil)
				if err != nil {
					t.Fatal(err)
				}
				return m.V
			}
			e := &c.Expected
			nearby(t, "mean", mean(nil, Riemann), flat(e.Riemann), 0, 1e-8)
			nearby(t, "weighted mean", mean(c.Input.W, Riemann), flat(e.RiemannW), 0, 1e-8)
			nearby(t, "log mean", mean(nil, LogEuclid), flat(e.Log), 0, 1e-8)
			nearby(t, "weighted log mean", mean(c.Input.W, LogEuclid), flat(e.LogW), 0, 1e-8)
			nearby(t, "euclid mean", mean(nil, EuclidMean), flat(e.Euclid), 0, 1e-8)
			m := matrix(t, e.Riemann)
			var toMean, r, l, u []float64
			for _, a := range ms {
				toMean, r = append(toMean, s.distance(m, a)), append(r, s.distance(ms[0], a))
				l = append(l, s.distanceLogEuclid(ms[0], a))
				u = append(u, math.Sqrt(dense.Distance2(ms[0].V, a.V)))
			}
			nearby(t, "distance to mean", toMean, e.ToMean, 1e-12, 1e-9)
			nearby(t, "distance", r, e.PairR, 1e-12, 1e-9)
			nearby(t, "log distance", l, e.PairL, 1e-12, 1e-9)
			nearby(t, "euclid distance", u, e.PairE, 1e-12, 1e-9)
			ok := s.sqrt(d, ms[0])
			nearby(t, "sqrt", d.V, flat(e.Sqrt), 0, 1e-10)
			ok = s.invSqrt(d, ms[0]) && ok
			nearby(t, "inverse sqrt", d.V, flat(e.InvSqrt), 0, 1e-10)
			ok = s.log(d, ms[0]) && ok
			nearby(t, "log", d.V, flat(e.Log1), 0, 1e-10)
			ok = s.exp(d, d) && ok
			nearby(t, "exp log", d.V, flat(e.ExpLog), 0, 1e-10)
			ok = s.pow(d, ms[0], 0.3) && ok
			nearby(t, "pow", d.V, flat(e.Pow), 0, 1e-10)
			ok = s.geodesic(d, ms[0], ms[1], 0.25) && ok
			nearby(t, "geodesic", d.V, flat(e.Geodesic), 0, 1e-10)
			w := dense.New(n, n)
			ok = s.invSqrt(w, m) && ok
			for i, a := range ms {
				s.congruence(d, w, a)
				nearby(t, "recentred", d.V, flat(e.Recentered[i]), 0, 1e-8)
			}
			if !ok {
				t.Error("a function of a positive definite matrix failed")
			}
		})
	}
}

func TestTangentSpaceVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case  string
			Input struct {
				Fit [][][]float64 `json:"C_fit"`
				New [][][]float64 `json:"C_new"`
			}
			Expected struct {
				Reference [][]float64   `json:"reference"`
				Fit       [][]float64   `json:"vectors_fit"`
				New       [][]float64   `json:"vectors_new"`
				Inverse   [][][]float64 `json:"inverse_of_vectors_new"`
				LogRef    [][]float64   `json:"logeuclid_reference"`
				LogNew    [][]float64   `json:"logeuclid_vectors_new"`
				Norm      []float64     `json:"norm_equals_riemann_distance_new"`
			}
		}
	}
	vectors(t, "tangent_space", &v)
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			n := len(c.Input.Fit[0])
			h := covarianceHeader(n)
			ts := learn(t, &TangentSpace{}, &Rows{Header: h, X: uppers(c.Input.Fit)})
			nearby(t, "reference", ts.model.Reference, upper(c.Expected.Reference), 1e-9, 1e-8)
			got := outputs(t, ts, h, uppers(c.Input.New))
			nearby(t, "fit", flat(outputs(t, ts, h, uppers(c.Input.Fit))), flat(c.Expected.Fit), 1e-9, 1e-8)
			nearby(t, "new", flat(got), flat(c.Expected.New), 1e-9, 1e-8)
			s, ref, m := newSPD(n), matrix(t, c.Expected.Reference), dense.New(n, n)
			root := dense.New(n, n)
			s.sqrt(root, ref)
			for i := range got {
				nearby(t, "norm", []float64{math.Sqrt(dense.Dot(got[i], got[i]))}, c.Expected.Norm[i:i+1], 0, 1e-8)
				fromTangentVector(m, got[i])
				s.exp(m, m)
				s.congruence(m, root, m)
				nearby(t, "inverse", m.V, flat(c.Expected.Inverse[i]), 1e-9, 1e-8)
			}
			le := learn(t, &TangentSpace{Metric: LogEuclid}, &Rows{Header: h, X: uppers(c.Input.Fit)})
			nearby(t, "log-euclid reference", le.model.Reference, upper(c.Expected.LogRef), 1e-9, 1e-8)
			nearby(t, "log-euclid new", flat(outputs(t, le, h, uppers(c.Input.New))), flat(c.Expected.LogNew), 1e-9, 1e-8)
		})
	}
}
