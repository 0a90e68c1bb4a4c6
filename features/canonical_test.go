package features

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"testing"

	"neurostream/stream"
)

// ssvep.json of the decoders' vectors: canonical correlations of every test window with
// every frequency, as scikit-learn-free QR and SVD give them.
func TestCanonicalGolden(t *testing.T) {
	f, err := os.Open("../decoders/testdata/ml/ssvep.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Inputs struct {
			Test  [][][]float64
			Freqs []float64 `json:"freqs_hz"`
			FS    float64
		}
		Cases []struct {
			ID       string
			Params   struct{ Harmonics int }
			Expected map[string]json.RawMessage
		}
	}
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	var want [][]float64
	harmonics := 0
	for _, c := range v.Cases {
		if c.ID == "cca" {
			harmonics = c.Params.Harmonics
			if err := json.Unmarshal(c.Expected["rho"], &want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(want) != len(v.Inputs.Test) {
		t.Fatalf("%d windows with %d expected rows", len(v.Inputs.Test), len(want))
	}
	for k, x := range v.Inputs.Test {
		h := header(len(x), v.Inputs.FS)
		h.MaxLen = len(x[0])
		half := float64(len(x[0])/2) / v.Inputs.FS
		s := &Windows{
			Length: float64(len(x[0])) / v.Inputs.FS, Hop: 0.1, KeepSettling: true,
			Extractors: []Extractor{&Canonical{Freqs: v.Inputs.Freqs, Harmonics: harmonics, Lengths: []float64{float64(len(x[0])) / v.Inputs.FS, half}}},
		}
		out, err := s.Open(h)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
		src.Resize(len(x[0]))
		for ch := range x {
			src.SetRow(ch, x[ch])
		}
		s.Process(dst, src)
		if dst.Len != 1 {
			t.Fatalf("%d windows", dst.Len)
		}
		nf := len(v.Inputs.Freqs)
		for f := range nf {
			if got := dst.At(f, 0); math.Abs(got-want[k][f]) > 1e-8 {
				t.Errorf("window %d, %v Hz: %.9f, want %.9f", k, v.Inputs.Freqs[f], got, want[k][f])
			}
			if got := dst.At(nf+f, 0); !(got > 0 && got <= 1) || got == dst.At(f, 0) {
				t.Errorf("window %d, %v Hz, newest half: %v", k, v.Inputs.Freqs[f], got)
			}
		}
	}
}

// A pure tone correlates fully at its own frequency, whatever its phase, also when
// channels repeat each other; silence is undefined.
func TestCanonicalAxioms(t *testing.T) {
	h := header(3, 100)
	h.MaxLen = 200
	s := &Windows{Length: 2, Hop: 2, Extractors: []Extractor{&Canonical{Freqs: []float64{10, 15}, Harmonics: 1}}}
	out, err := s.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(200)
	for i := range 200 {
		v := 50 + 3*math.Sin(2*math.Pi*10*float64(i)/100+0.7)
		src.SetColumn(i, []float64{v, v, -2 * v})
	}
	s.Process(dst, src)
	if a, b := dst.At(0, 0), dst.At(1, 0); math.Abs(a-1) > 1e-6 || b > 0.01 {
		t.Errorf("a tone of 10 Hz correlates %v with 10 Hz, %v with 15 Hz", a, b)
	}
	src.Seq = 200
	for i := range 200 {
		src.SetColumn(i, []float64{7, 7, 7})
	}
	s.Process(dst, src)
	if !dst.IsBad(0, 0) || dst.At(0, 0) != 0 {
		t.Errorf("silence gives %v, marked %v", dst.At(0, 0), dst.IsBad(0, 0))
	}
	for name, x := range map[string]*Canonical{
		"no frequency": {}, "above Nyquist": {Freqs: []float64{30}}, "harmonics": {Freqs: []float64{5}, Harmonics: 9},
		"too long": {Freqs: []float64{5}, Lengths: []float64{3}}, "too short": {Freqs: []float64{5}, Lengths: []float64{0.02}},
	} {
		if _, err := (&Windows{Length: 2, Hop: 2, Extractors: []Extractor{x}}).Open(h); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
