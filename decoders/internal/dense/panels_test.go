package dense

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/stream/kernel"
)

func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// Panels give the bits of Dot and Distance2, at every level and for every size.
func TestPanels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	defer func(l kernel.Set) { level = l }(level)
	for _, level = range kernel.Supported() {
		for _, size := range [][2]int{{1, 1}, {2, 96}, {8, 4}, {9, 7}, {64, 96}, {17, 10}, {3, 5}} {
			m := New(size[0], size[1])
			x := make([]float64, size[1])
			for i := range m.V {
				m.V[i] = r.NormFloat64()
			}
			for i := range x {
				x[i] = r.NormFloat64()
			}
			p := Pack(m)
			y, d := make([]float64, p.Padded()), make([]float64, p.Padded())
			p.Products(y, x)
			p.Distances(d, x)
			for i := range m.R {
				if y[i] != Dot(m.Row(i), x) || d[i] != Distance2(m.Row(i), x) {
					t.Fatalf("%v, %v: row %d: %v, %v; Dot and Distance2 say %v, %v", level, size, i, y[i], d[i], Dot(m.Row(i), x), Distance2(m.Row(i), x))
				}
			}
			for i := m.R; i < len(y); i++ {
				if y[i] != 0 {
					t.Fatalf("%v: row %d is none, and %v", level, i, y[i])
				}
			}
		}
	}
}

func TestExp(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float64, 1<<14)
	for i := range x {
		x[i] = -800 * r.Float64() * r.Float64() * r.Float64()
	}
	copy(x, []float64{0, math.Copysign(0, -1), -708, -707.999999, -1e300, math.Inf(-1), math.NaN(), 1, 700, -1e-320, -0.34657359027997264, 0.34657359027997264})
	worst := 0.0
	got := make([]float64, len(x))
	Exp(got, x, 1)
	for i, v := range x {
		want := math.Exp(v)
		if !(v > -708) {
			want = 0
		}
		if want == got[i] {
			continue
		}
		ulp := math.Nextafter(want, math.Inf(1)) - want
		worst = max(worst, math.Abs(got[i]-want)/ulp)
	}
	if !(worst <= 2) {
		t.Errorf("off by %v units in the last place", worst)
	}
	Exp(got, x, 0.25)
	for i, v := range x {
		if want := math.Exp(0.25 * v); v > -2832 && math.Abs(got[i]-want) > 1e-15*want {
			t.Fatalf("exp(%v/4) = %v, want %v", v, got[i], want)
		}
	}
}

// compare runs every level on arbitrary bits.
func compare(t *testing.T, x []float64) {
	t.Helper()
	n := len(x) / 8 * 8
	if n == 0 {
		return
	}
	x = x[:n]
	w := make([]Vec, n/8)
	for i := range w {
		copy(w[i][:], x[8*i:])
	}
	run := func(level kernel.Set) (out [3][]float64) {
		var a, b Vec
		v := x[:len(w)]
		productsAt(level, &a, w, v)
		distancesAt(level, &b, w, v)
		e := make([]float64, n)
		c := expConstants
		c[0] = -0.5
		expAt(level, e, x, &c)
		for i, v := range x { // out of the range that is promised
			if !(-0.5*v <= 700) && v == v {
				e[i] = 0
			}
		}
		return [3][]float64{a[:], b[:], e}
	}
	want := run(kernel.Portable)
	for _, level := range kernel.Supported()[1:] {
		got := run(level)
		for k := range want {
			for i := range want[k] {
				if !same(got[k][i], want[k][i]) {
					t.Fatalf("%v, kernel %d, value %d: %v, plain code says %v", level, k, i, got[k][i], want[k][i])
				}
			}
		}
	}
}

func TestLevelsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 40 {
		x := make([]float64, 8*n)
		for i := range x {
			switch x[i] = r.NormFloat64() * math.Exp(10*r.NormFloat64()); r.IntN(40) {
			case 0:
				x[i] = math.NaN()
			case 1:
				x[i] = math.Inf(1 - 2*r.IntN(2))
			}
		}
		compare(t, x)
	}
}

func FuzzLevelsAgree(f *testing.F) {
	f.Add(make([]byte, 64))
	f.Add([]byte("eight rows of a column, 64 bytes of arbitrary bits, whatever it is worth"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x := make([]float64, min(len(b)/8, 512))
		for i := range x {
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		compare(t, x)
	})
}

func BenchmarkPanels(b *testing.B) {
	m := New(1000, 96)
	for i := range m.V {
		m.V[i] = float64(i % 17)
	}
	x, d := m.Row(3), make([]float64, 1000)
	p := Pack(m)
	b.Run("distances", func(b *testing.B) {
		for b.Loop() {
			p.Distances(d, x)
		}
	})
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			for i := range m.R {
				d[i] = Distance2(m.Row(i), x)
			}
		}
	})
	b.Run("exp", func(b *testing.B) {
		for b.Loop() {
			Exp(d, m.V[:1000], -0.01)
		}
	})
	b.Run("math.Exp", func(b *testing.B) {
		for b.Loop() {
			for i := range d {
				d[i] = math.Exp(-0.01 * m.V[i])
			}
		}
	})
}
