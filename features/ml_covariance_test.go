package features

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"testing"

	"neurostream/stream"
)

// Covariance estimators against scikit-learn (file checked against pyRiemann): one window
// per case, through the stage; BandCovariance on two copies side by side.
func TestCovarianceVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case     string
			Input    struct{ X [][]float64 }
			Expected map[string]json.RawMessage
		}
	}
	f, err := os.Open("testdata/ml_covariance.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	estimators := map[string][]Extractor{
		"cov_unbiased_centered": {&Covariance{}, &BandCovariance{Bands: 2}},
		"cov_biased_centered":   {&Covariance{}},
		"fixed_shrinkage_0p1":   {&Covariance{Shrinkage: 0.1}, &BandCovariance{Bands: 2, Shrinkage: 0.1}},
		"scm_uncentered":        {&Covariance{KeepMean: true}},
		"oas":                   {&Covariance{Estimator: "oas"}, &BandCovariance{Bands: 2, Estimator: "oas"}},
		"lwf":                   {&Covariance{Estimator: "lwf"}, &BandCovariance{Bands: 2, Estimator: "lwf"}},
		"oas_assume_centered":   {&Covariance{Estimator: "oas", KeepMean: true}},
		"lwf_assume_centered":   {&Covariance{Estimator: "lwf", KeepMean: true}},
	}
	checked := 0
	for _, c := range v.Cases {
		if c.Case == "acm_time_delay_embedding" { // decoders: TestEmbedVectors
			continue
		}
		for name, extractors := range estimators {
			raw := c.Expected[name]
			var want struct{ Cov [][]float64 }
			if err := json.Unmarshal(raw, &want); err != nil {
				if err := json.Unmarshal(raw, &want.Cov); err != nil {
					t.Fatalf("%s, %s: %v", c.Case, name, err)
				}
			}
			for _, x := range extractors {
				copies := 1
				if _, ok := x.(*BandCovariance); ok {
					copies = 2
				}
				got := oneWindow(t, x, c.Input.X, copies)
				if name == "cov_biased_centered" || name == "fixed_shrinkage_0p1" { // ours divides by n-1
					n := float64(len(c.Input.X[0]))
					for i := range got {
						got[i] *= (n - 1) / n
					}
				}
				top := 0.0
				for _, r := range want.Cov {
					for _, v := range r {
						top = max(top, math.Abs(v))
					}
				}
				k := 0
				for range copies {
					for i, r := range want.Cov {
						for _, w := range r[i:] {
							if !(math.Abs(got[k]-w) <= 1e-10*top) {
								t.Errorf("%s, %s, %T: value %d is %.15g, want %.15g", c.Case, name, x, k, got[k], w)
							}
							k++
						}
					}
				}
				if k != len(got) || k == 0 {
					t.Errorf("%s, %s: %d values, want %d", c.Case, name, len(got), k)
				}
				checked++
			}
		}
	}
	if checked != 5*12 {
		t.Errorf("%d comparisons", checked)
	}
}

// oneWindow is what an extractor makes of one window of copies of x.
func oneWindow(t *testing.T, x Extractor, rows [][]float64, copies int) []float64 {
	t.Helper()
	c, n := len(rows), len(rows[0])
	h := header(c*copies, 100)
	h.MaxLen = n
	s := &Windows{Length: float64(n) / 100, Hop: float64(n) / 100, Extractors: []Extractor{x}}
	out, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(n)
	for i := range c * copies {
		src.SetRow(i, rows[i%c])
	}
	s.Process(dst, src)
	if dst.Len != 1 {
		t.Fatalf("%d windows", dst.Len)
	}
	return dst.Column(nil, 0)
}
