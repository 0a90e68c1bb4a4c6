package decoders

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// bandRows are covariances of n channels in bands: only in the second band is channel k
// loud in class k.
func bandRows(seed uint64, examples, bands, n int) *Rows {
	r := rand.New(rand.NewPCG(seed, 3))
	rows := &Rows{Header: stream.Header{Name: "bands", Rate: 10, MaxLen: 64}, Classes: []string{"rest", "left", "right"}}
	for b := range bands {
		h := covarianceHeader(n)
		for _, c := range h.Channels {
			for i := 1; i <= n; i++ {
				c.Label = strings.ReplaceAll(c.Label, fmt.Sprint("E", i), fmt.Sprintf("E%d b%d", i, b+1))
			}
			rows.Header.Channels = append(rows.Header.Channels, c)
		}
	}
	for i := range examples {
		y := i % 3
		var row []float64
		for b := range bands {
			x, c := dense.New(n, 20), dense.New(n, n)
			for ch := range n {
				gain := 1.0
				if ch == y && b == 1 {
					gain = 3
				}
				for t := range 20 {
					x.Set(ch, t, gain*r.NormFloat64())
				}
			}
			dense.MulT(c, x, x)
			u := make([]float64, n*(n+1)/2)
			upperTriangle(u, c)
			row = append(row, u...)
		}
		rows.X, rows.Y, rows.Group = append(rows.X, row), append(rows.Y, y), append(rows.Group, i)
	}
	return rows
}

// The band that holds the class is found, and what it says is worth its bits.
func TestFBCSPSelects(t *testing.T) {
	rows := bandRows(5, 120, 4, 3)
	f := learn(t, &FBCSP{Components: 3, Select: 3}, rows)
	for i, at := range f.model.From {
		if at != 6 {
			t.Errorf("feature %d comes from row %d, not from the second band", i, at)
		}
	}
	if !(f.model.Info[0] > 0.3) || !slices.IsSortedFunc(f.model.Info, func(a, b float64) int {
		if a > b {
			return -1
		}
		return 1
	}) {
		t.Errorf("information %v bits", f.model.Info)
	}
	for want, c := range map[string]*FBCSP{
		"only 12 features": {Components: 3, Select: 13},
		"positive":         {Select: -1},
		"not one of":       {Classes: []string{"feet", "left"}},
	} {
		if err := c.Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if err := (&FBCSP{}).Fit(context.Background(), featureRows(1, 30, 4, 2), nil); err == nil || !strings.Contains(err.Error(), "band-covariance") {
		t.Errorf("features: %v", err)
	}
}

// Information of a feature that is the class is the entropy of the class, and that of
// noise is none.
func TestMutualInformation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var same, noise []float64
	var y []int
	for i := range 400 {
		y = append(y, i%4)
		same, noise = append(same, float64(100*(i%4))+r.NormFloat64()), append(noise, r.NormFloat64())
	}
	if i := mutualInformation(same, y, 4); i < 1.7 || i > 2 { // the kernels blur a little
		t.Errorf("a feature that is one of four classes holds %.3f bits, want nearly 2", i)
	}
	if i := mutualInformation(noise, y, 4); i > 0.1 {
		t.Errorf("noise holds %.3f bits", i)
	}
	if i := mutualInformation(make([]float64, 400), y, 4); i != 0 {
		t.Errorf("a constant holds %v bits", i)
	}
}

// evokedRows hold a response of known topography in class "target", in noise that is
// louder in other directions.
func evokedRows(seed uint64, examples int) (*Rows, []float64) {
	r := rand.New(rand.NewPCG(seed, 6))
	const c, n = 4, 40
	rows := &Rows{Header: sampleHeader(c, n, 50), Classes: []string{"other", "target"}}
	map1, loud := []float64{1, 0.5, 0, -0.5}, []float64{1, -1, 2, 3}
	for i := range examples {
		x := make([]float64, c*n)
		y := 0
		if i%5 == 0 {
			y = 1
		}
		for t := range n {
			common := 3 * r.NormFloat64()
			p := 0.0
			if y == 1 {
				p = 2 * math.Exp(-float64((t-20)*(t-20))/20)
			}
			for ch := range c {
				x[ch*n+t] = float64(map1[ch]*p) + float64(loud[ch]*common) + r.NormFloat64()
			}
		}
		rows.X, rows.Y, rows.Group = append(rows.X, x), append(rows.Y, y), append(rows.Group, i)
	}
	return rows, loud
}

// The filters are those of the definition: no other direction has a larger share of
// evoked power, they are uncorrelated over all windows, and they shut the loud noise out.
func TestXDAWN(t *testing.T) {
	rows, loud := evokedRows(1, 300)
	x := learn(t, &XDAWN{Filters: 3, Classes: []string{"target"}, Output: "samples"}, rows)
	const c, n = 4, 40
	all, evoked, mean := dense.New(c, c), dense.New(c, c), make([]float64, c*n)
	z, one := dense.New(c, n), dense.New(c, c)
	for i, v := range rows.X {
		copy(z.V, v)
		for ch := range c {
			centre(z.Row(ch))
		}
		dense.MulT(one, z, z)
		dense.Add(all, all, 1/float64(n*len(rows.X)), one)
		if rows.Y[i] == 1 {
			for j := range mean {
				mean[j] += z.V[j] / 60
			}
		}
	}
	copy(z.V, mean)
	dense.MulT(evoked, z, z)
	evoked.Scale(1.0 / n)
	quad := func(a *dense.M, u, v []float64) float64 {
		w := make([]float64, c)
		dense.MulVec(w, a, v)
		return dense.Dot(u, w)
	}
	w := x.model.Filters
	for i := range w {
		for j := range w {
			want := 0.0
			if i == j {
				want = 1
			}
			if got := quad(all, w[i], w[j]); math.Abs(got-want) > 1e-9 {
				t.Errorf("filters %d and %d: covariance %g, want %g", i, j, got, want)
			}
		}
		if got := quad(evoked, w[i], w[i]); math.Abs(got-x.model.Values[i]) > 1e-9 {
			t.Errorf("filter %d: evoked power %g, model says %g", i, got, x.model.Values[i])
		}
	}
	r := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		u := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		if q := quad(evoked, u, u) / quad(all, u, u); q > x.model.Values[0]+1e-12 {
			t.Fatalf("direction %v has a larger share of evoked power (%g) than the first filter (%g)", u, q, x.model.Values[0])
		}
	}
	if leak := dense.Dot(w[0], loud) / math.Sqrt(dense.Dot(w[0], w[0])*dense.Dot(loud, loud)); math.Abs(leak) > 0.05 {
		t.Errorf("the first filter looks at the loud noise: cosine %.3f", leak)
	}

	// Both ways into a classifier tell held-out targets from others.
	test, _ := evokedRows(9, 300)
	for name, stages := range map[string][2]Fitter{
		"covariance, mdm": {&XDAWN{Filters: 2, Classes: []string{"target"}, Estimator: "oas"}, &MDM{}},
		"samples, lda":    {&XDAWN{Filters: 1, Classes: []string{"target"}, Output: "samples"}, &LDA{Shrinkage: "auto"}},
	} {
		learn(t, stages[0], rows)
		between := outputs(t, stages[0], rows.Header, rows.X)
		out, err := stages[0].Open(rows.Header)
		if err != nil {
			t.Fatal(err)
		}
		learn(t, stages[1], &Rows{Header: out, X: between, Y: rows.Y, Classes: rows.Classes, Group: rows.Group})
		p := outputs(t, stages[1], out, outputs(t, stages[0], test.Header, test.X))
		better, pairs := 0, 0
		for i := range p {
			for j := range p {
				if test.Y[i] == 1 && test.Y[j] == 0 {
					pairs++
					if p[i][1] > p[j][1] {
						better++
					}
				}
			}
		}
		if auc := float64(better) / float64(pairs); auc < 0.9 {
			t.Errorf("%s: AUC %.3f on windows it has not seen", name, auc)
		}
	}
	for want, x := range map[string]*XDAWN{
		"covariance or samples": {Output: "x"}, "scm, lwf or oas": {Estimator: "x"}, "not one of": {Classes: []string{"x"}}, "only 4 directions": {Filters: 5}, "per class": {Filters: -1},
	} {
		if err := x.Fit(context.Background(), rows, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// The covariance of the embedded stream is that of MOABB's augmented trial.
func TestEmbedVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case     string
			Input    struct{ X [][]float64 }
			Expected struct {
				Embeddings []struct {
					Order, Lag int
					Embedded   [][]float64
					Cov        [][]float64
				}
			}
		}
	}
	vectors(t, "covariance", &v)
	checked := 0
	for _, c := range v.Cases {
		for _, w := range c.Expected.Embeddings {
			checked++
			n := len(c.Input.X[0])
			h := featureHeader(len(c.Input.X))
			h.Rate = 100
			x := make([][]float64, n) // by column
			for t := range x {
				for ch := range c.Input.X {
					x[t] = append(x[t], c.Input.X[ch][t])
				}
			}
			y := outputs(t, &Embed{Order: w.Order, Lag: float64(w.Lag) / 100}, h, x)
			length := len(w.Embedded[0])
			end := n // MOABB drops the last lag samples, except without delays
			if w.Order > 1 {
				end -= w.Lag
			}
			z := dense.New(len(w.Embedded), length)
			for i := range z.R {
				for t := range length {
					z.Set(i, t, y[end-length+t][i])
				}
				nearby(t, "embedded", z.Row(i), w.Embedded[i], 0, 0)
			}
			s := dense.New(z.R, z.R)
			if !windowCovariance(s, z, "scm") {
				t.Fatal("no covariance")
			}
			nearby(t, "covariance", s.V, flat(w.Cov), 0, 1e-10)
		}
	}
	if checked != 3 {
		t.Errorf("%d embeddings", checked)
	}
}

func TestWindowCovarianceVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case     string
			Input    struct{ X [][]float64 }
			Expected struct {
				SCM      [][]float64 `json:"cov_unbiased_centered"`
				OAS, LWF struct{ Cov [][]float64 }
			}
		}
	}
	vectors(t, "covariance", &v)
	for _, c := range v.Cases {
		for name, want := range map[string][][]float64{"scm": c.Expected.SCM, "oas": c.Expected.OAS.Cov, "lwf": c.Expected.LWF.Cov} {
			if want == nil {
				continue
			}
			z := matrix(t, c.Input.X)
			s := dense.New(z.R, z.R)
			windowCovariance(s, z, name)
			nearby(t, c.Case+" "+name, s.V, flat(want), 0, 1e-10)
		}
	}
}

// Normalise is the plain running mean and deviation while it is younger than its memory.
func TestNormalise(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	h := featureHeader(2)
	var x [][]float64
	for range 200 {
		x = append(x, []float64{1e6 + 3*r.NormFloat64(), 5})
	}
	y := outputs(t, &Normalise{Memory: 1e6}, h, x)
	for k := 2; k <= len(x); k++ {
		mean, sum := 0.0, 0.0
		for _, v := range x[:k] {
			mean += v[0] / float64(k)
		}
		for _, v := range x[:k] {
			sum += (v[0] - mean) * (v[0] - mean) / float64(k)
		}
		if want := (x[k-1][0] - mean) / math.Sqrt(sum); math.Abs(y[k-1][0]-want) > 1e-4 {
			t.Fatalf("column %d: %g, want %g", k, y[k-1][0], want)
		}
		if y[k-1][1] != 0 {
			t.Fatalf("a constant row gives %g", y[k-1][1])
		}
	}
	for want, s := range map[string]stream.Stage{"positive time": &Normalise{Memory: -1}, "whole number": &Embed{Lag: 0.123}, "1 to 64": &Embed{Order: 99, Lag: 0.1}} {
		if _, err := s.Open(h); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
