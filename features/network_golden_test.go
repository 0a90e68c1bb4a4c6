package features

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func graphOf(w [][]float64) *Graph {
	g := NewGraph(len(w))
	for i := range w {
		for j := range i {
			g.Set(i, j, w[i][j])
		}
	}
	return g
}

func TestGoldenNetwork(t *testing.T) {
	v := load(t, "network")
	for i := range v.Cases {
		c := &v.Cases[i]
		x := graphOf(v.signal(t, c.Input))
		x.Threshold = number(t, c.Params["threshold"])
		n := x.Nodes()
		nodes := func(f func([]float64)) []float64 { out := make([]float64, n); f(out); return out }
		got := map[string][]float64{
			"strength": nodes(x.Strength), "degree": nodes(x.Degree), "density": {x.Density()},
			"clustering_binary": nodes(x.Clustering), "clustering_weighted_onnela": nodes(x.WeightedClustering),
			"global_efficiency_weighted": {x.Efficiency(false)}, "global_efficiency_binary": {x.Efficiency(true)},
			"laplacian_eigenvalues":            nodes(func(d []float64) { x.Laplacian(d, false) }),
			"normalised_laplacian_eigenvalues": nodes(func(d []float64) { x.Laplacian(d, true) }),
			"eigenvector_centrality_l2":        nodes(x.Centrality),
		}
		got["algebraic_connectivity"] = got["laplacian_eigenvalues"][1:2]
		for _, s := range got["strength"] {
			got["strength_mean_n_minus_1"] = append(got["strength_mean_n_minus_1"], s/float64(n-1))
		}
		paths := make([]float64, n*n)
		x.Paths(paths, false)
		got["path_length_weighted"] = paths
		for key := range c.Expected {
			if got[key] == nil {
				t.Errorf("%s is not checked", key)
				continue
			}
			want := flat(t, c.Expected[key])
			v.check(t, c, key, got[key], want)
			for i, w := range want { // null: unreachable
				if math.IsNaN(w) && !math.IsInf(got[key][i], 1) {
					t.Errorf("%s[%d] = %v, want infinity", key, i, got[key][i])
				}
			}
		}
	}
}

// TestEigenvalues compares with gonum for several sizes, zeros and repeated values.
func TestEigenvalues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := 1; n <= 40; n++ {
		for _, sparse := range []float64{0, 0.7, 1} {
			a := mat.NewSymDense(n, nil)
			for i := range n {
				for j := range i + 1 {
					if r.Float64() >= sparse {
						a.SetSym(i, j, math.Round(8*r.NormFloat64())/4)
					}
				}
			}
			var e mat.EigenSym
			e.Factorize(a, false)
			want := e.Values(nil)
			full := make([]float64, n*n)
			for i := range full {
				full[i] = a.At(i/n, i%n)
			}
			d, scratch := make([]float64, n), make([]float64, n)
			symmetricEigenvalues(slices.Clone(full), n, d, scratch)
			slices.Sort(d)
			near(t, "tridiagonal", d, want, 1e-11, 1e-11)
			v := make([]float64, n*n)
			symmetricEigen(full, v, d, n)
			for k := range n { // A v = d v
				for i := range n {
					s := -d[k] * v[i*n+k]
					for j := range n {
						s += a.At(i, j) * v[j*n+k]
					}
					if math.Abs(s) > 1e-10*float64(n) {
						t.Fatalf("n=%d: vector %d is off by %g", n, k, s)
					}
				}
			}
		}
	}
}

// TestKeepDensity keeps the share of edges that is asked for.
func TestKeepDensity(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	g := NewGraph(12)
	for i := range 12 {
		for j := range i {
			g.Set(i, j, -r.Float64())
		}
	}
	for _, d := range []float64{0, 0.25, 0.5, 1} {
		g.Keep(d)
		if got := g.Density(); math.Abs(got-d) > 0.5/66 {
			t.Errorf("density %v, want %v", got, d)
		}
	}
}
