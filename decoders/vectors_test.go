package decoders

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// vectors reads one file of testdata/ml; see the README there.
func vectors(t testing.TB, name string, dst any) {
	t.Helper()
	readJSON(t, filepath.Join("testdata", "ml", name+".json.gz"), dst)
}

func readJSON(t testing.TB, path string, dst any) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if err := json.NewDecoder(r).Decode(dst); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// nearby compares numbers: |got - want| ≤ abs + rel × the largest |want|.
func nearby(t testing.TB, what string, got, want []float64, abs, rel float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	top := 0.0
	for _, v := range want {
		top = max(top, math.Abs(v))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= abs+rel*top) {
			t.Errorf("%s[%d]: %.17g, want %.17g", what, i, got[i], want[i])
			return
		}
	}
}

func flat(m [][]float64) (out []float64) {
	for _, r := range m {
		out = append(out, r...)
	}
	return out
}

func matrix(t testing.TB, m [][]float64) *dense.M {
	t.Helper()
	d, err := dense.From(m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// upper returns the covariance rows of a matrix.
func upper(m [][]float64) (out []float64) {
	for i := range m {
		out = append(out, m[i][i:]...)
	}
	return out
}

func uppers(c [][][]float64) (out [][]float64) {
	for _, m := range c {
		out = append(out, upper(m))
	}
	return out
}

// covarianceHeader describes the covariance of n channels, ten columns a second.
func covarianceHeader(n int) stream.Header {
	h := stream.Header{Name: "covariance", Rate: 10, MaxLen: 64}
	for i := range n {
		for j := i; j < n; j++ {
			h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("cov E%d E%d", i+1, j+1), Unit: "uV^2", Type: TypeCovariance})
		}
	}
	return h
}

func featureHeader(n int) stream.Header {
	h := stream.Header{Name: "features", Rate: 10, MaxLen: 64}
	for i := range n {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("f%d", i+1), Type: "feature"})
	}
	return h
}

// labelled makes rows of examples.
func labelled(h stream.Header, x [][]float64, y []int, classes int) *Rows {
	r := &Rows{Header: h, X: x, Y: y}
	for k := range classes {
		r.Classes = append(r.Classes, fmt.Sprintf("class %d", k))
	}
	return r
}

// learn fits f and returns it.
func learn[F Fitter](t testing.TB, f F, rows *Rows) F {
	t.Helper()
	if err := f.Fit(context.Background(), rows, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

// outputs streams examples through a stage.
func outputs(t testing.TB, s stream.Stage, h stream.Header, x [][]float64) [][]float64 {
	t.Helper()
	return decode(t, s, &Rows{Header: h, X: x})
}
