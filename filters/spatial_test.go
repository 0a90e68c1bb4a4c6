package filters

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"neurostream/stream"
	"neurostream/stream/montage"
)

var cap64 = []string{"Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"}

// smoothField is a potential of low spatial frequency: what a cap sees of deep sources.
func smoothField(label string, t float64) float64 {
	p, _ := montage.Position(label)
	x, y, z := p[0]/montage.Radius, p[1]/montage.Radius, p[2]/montage.Radius
	return 20*math.Sin(t)*x + 15*math.Cos(2*t)*y*z + 10*z
}

// TestSplineLeavesOut: the weights through the inverse of the whole system are those of
// the spline through the others, solved from scratch.
func TestSplineLeavesOut(t *testing.T) {
	in := header(cap64, 250)
	rows := brain(&in)
	s, p, err := openSpline(&in, rows, 4, 50, 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, bad := range [][]int{{3}, {0, 12, 13}, {1, 4, 7, 9, 20, 22, 26}} {
		if !s.prepare(rowMask(bad, in.Rows())) {
			t.Fatal("no spline")
		}
		var good []int
		for ch := range rows {
			if s.set[ch/8]>>(ch%8)&1 == 0 {
				good = append(good, ch)
			}
		}
		n := len(good)
		a, v := mat.NewDense(n+1, n+1, nil), mat.NewVecDense(n+1, nil)
		for i, g := range good {
			for j, h := range good {
				a.Set(i, j, legendreSum(dot(p[g], p[h]), 4, 50))
			}
			a.Set(i, i, a.At(i, i)+1e-5)
			a.Set(i, n, 1)
			a.Set(n, i, 1)
			v.SetVec(i, r.NormFloat64())
		}
		var c mat.VecDense
		if err := c.SolveVec(a, v); err != nil {
			t.Fatal(err)
		}
		for k, b := range s.bad {
			want, got := c.AtVec(n), 0.0
			for i, g := range good {
				want += c.AtVec(i) * legendreSum(dot(p[b], p[g]), 4, 50)
				got += s.weights[k*s.n+g] * v.AtVec(i)
			}
			if math.Abs(got-want) > 1e-8 {
				t.Errorf("bad %v: channel %d is %v, want %v", bad, b, got, want)
			}
		}
	}
}

// TestInterpolation: a smooth field is restored, marks are lifted, and what cannot be
// replaced stays marked.
func TestInterpolation(t *testing.T) {
	in := header(cap64, 250)
	f := &Interpolate{Channels: []string{"C3"}}
	if _, err := f.Open(in); err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&in)
	src.Resize(64)
	for i := range 64 {
		for ch, l := range cap64 {
			src.Set(ch, i, smoothField(l, float64(i)/10))
		}
		src.Set(in.Index("C3"), i, 5000) // always replaced
		if i >= 20 && i < 40 {
			src.Set(in.Index("P4"), i, math.NaN())
			src.Set(in.Index("Fz"), i, -1e4)
			src.MarkBad(in.Index("Fz"), i)
		}
		if i >= 60 { // too little is left
			for ch := range 25 {
				src.MarkBad(ch, i)
			}
		}
	}
	f.Process(dst, src)
	for i := range 60 {
		for ch, l := range cap64 {
			if d := dst.At(ch, i) - smoothField(l, float64(i)/10); math.Abs(d) > 0.5 || dst.IsBad(ch, i) {
				t.Fatalf("column %d: %s is off by %v uV, bad %v", i, l, d, dst.IsBad(ch, i))
			}
		}
	}
	for i := 60; i < 64; i++ {
		if !dst.IsBad(0, i) || !dst.IsBad(in.Index("C3"), i) || dst.IsBad(26, i) {
			t.Fatal("what cannot be replaced is not marked")
		}
	}
	if len(dst.Events) != 2 || dst.Events[0].Kind != stream.EventArtifact {
		t.Errorf("events %v", dst.Events)
	}
}

// TestSurfaceLaplacianWithoutBadChannels: where a channel is bad, the others are what
// the Laplacian of a spline through the good channels is; only its own row is marked.
func TestSurfaceLaplacianWithoutBadChannels(t *testing.T) {
	in := header(cap64, 250)
	run := func(wreck bool) *stream.Chunk {
		f := &CurrentSourceDensity{}
		out, err := f.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
		src.Resize(10)
		for i := range 10 {
			for ch, l := range cap64 {
				src.Set(ch, i, smoothField(l, float64(i)))
			}
			if wreck {
				src.Set(4, i, math.Inf(1))
			}
		}
		f.Process(dst, src)
		return dst
	}
	a, b := run(false), run(true)
	for i := range 10 {
		for ch := range cap64 {
			if d := math.Abs(a.At(ch, i) - b.At(ch, i)); d > 60 && ch != 4 { // of some thousand uV/m²
				t.Errorf("column %d: %s moves by %v of %v", i, cap64[ch], d, a.At(ch, i))
			}
			if b.IsBad(ch, i) != (ch == 4) {
				t.Errorf("column %d: %s is marked %v", i, cap64[ch], b.IsBad(ch, i))
			}
		}
	}
}

// TestReferencesAreFree: a common signal is gone behind every reference-free derivation.
func TestReferencesAreFree(t *testing.T) {
	in := header(cap64, 250)
	x := make([][]float64, len(cap64))
	for ch, l := range cap64 {
		for i := range 50 {
			x[ch] = append(x[ch], smoothField(l, float64(i)))
		}
	}
	shifted := make([][]float64, len(x))
	for ch := range x {
		for i, v := range x[ch] {
			shifted[ch] = append(shifted[ch], v+40*math.Sin(float64(i)))
		}
	}
	for name, fresh := range map[string]func() stream.Stage{
		"average": func() stream.Stage { return &CommonAverage{} }, "median": func() stream.Stage { return &CommonMedian{} },
		"linked": func() stream.Stage { return &Linked{Channels: []string{"T7", "T8"}} }, "bipolar": func() stream.Stage { return &Bipolar{Pairs: []string{"C3-C4"}} },
		"laplacian": func() stream.Stage { return &Laplacian{Large: true} }, "csd": func() stream.Stage { return &CurrentSourceDensity{} },
	} {
		_, a, _ := through(t, fresh(), in, x, 0, []int{50})
		_, b, _ := through(t, fresh(), in, shifted, 0, []int{50})
		for ch := range a {
			for i := range a[ch] {
				if d := math.Abs(a[ch][i] - b[ch][i]); d > 1e-9*(1+math.Abs(a[ch][i])) {
					t.Fatalf("%s: a common signal moves row %d by %v", name, ch, d)
				}
			}
		}
	}
}

// TestBadReferences: bad members leave the mean, renormalised weights, strict marks.
func TestBadReferences(t *testing.T) {
	in := header([]string{"Cz", "FCz", "CPz", "C1", "C2", "M1", "M2"}, 250)
	for i, l := range []string{"M1", "M2"} {
		in.Channels[in.Index(l)].Position, in.Channels[in.Index(l)].Placed = [3]float64{0.06 * float64(2*i-1), 0, -0.07}, true
	}
	src := stream.NewChunk(&in)
	src.Resize(3)
	for ch := range in.Channels {
		for i := range 3 {
			src.Set(ch, i, float64(ch*ch))
		}
	}
	for i := 1; i < 3; i++ {
		src.MarkBad(in.Index("M1"), i)
		src.MarkBad(in.Index("FCz"), i)
	}
	src.MarkBad(in.Index("M2"), 2)
	at := func(s stream.Stage, ch, i int) (float64, bool) {
		out, err := s.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		dst := stream.NewChunk(&out)
		s.Process(dst, src)
		return dst.At(ch, i), dst.IsBad(ch, i)
	}
	for _, c := range []struct {
		name  string
		stage stream.Stage
		col   int
		want  float64
		bad   bool
	}{
		{"linked, both", &Linked{Channels: []string{"M1", "M2"}}, 0, 0 - (25+36)/2.0, false},
		{"linked, one", &Linked{Channels: []string{"M1", "M2"}}, 1, 0 - 36, false},
		{"linked, none", &Linked{Channels: []string{"M1", "M2"}}, 2, 0, true},
		{"laplacian", &Laplacian{Channels: []string{"Cz"}}, 0, 0 - (1+4+9+16)/4.0, false},
		{"laplacian, three", &Laplacian{Channels: []string{"Cz"}}, 1, 0 - (4+9+16)/3.0, false},
		{"bipolar", &Bipolar{Pairs: []string{"Cz-FCz"}}, 1, -1, true},
		{"median", &CommonMedian{}, 0, -9, false},
		{"median, five", &CommonMedian{}, 1, -9, false},
		{"average", &CommonAverage{}, 1, -(0 + 4 + 9 + 16 + 36) / 5.0, false},
	} {
		if v, bad := at(c.stage, 0, c.col); math.Abs(v-c.want) > 1e-9 || bad != c.bad {
			t.Errorf("%s: %v (bad %v), want %v (%v)", c.name, v, bad, c.want, c.bad)
		}
	}
}
