package dense

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
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
		for _, size := range [][2]int{{1, 1}, {2, 96}, {8, 4}, {9, 7}, {64, 96}, {17, 10}, {3, 5}, {100, 3000}, {24, 9001}} {
			m := New(size[0], size[1])
			x := make([]float64, size[1])
			for i := range m.V {
				m.V[i] = r.NormFloat64()
			}
			for i := range x {
				x[i] = r.NormFloat64()
			}
			p := Pack(m)
			p.back = size[0] == 17
			y, d := make([]float64, p.Padded()), make([]float64, p.Padded())
			for range 2 { // forwards and backwards
				clear(y)
				clear(d)
				p.Products(y, x)
				p.Distances(d, x)
			}
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

func TestTanh(t *testing.T) {
	x, want := make([]float64, 0, 1<<12), []float64(nil)
	for i := range cap(x) {
		x = append(x, float64(i-2048)/64)
	}
	x[0], x[1] = -1e9, 1e9
	for _, v := range x {
		want = append(want, math.Tanh(v))
	}
	Tanh(x)
	for i, v := range x {
		if !(math.Abs(v-want[i]) <= 5e-16) {
			t.Fatalf("tanh is %v, want %v", v, want[i])
		}
	}
}

// What is no number is found wherever it stands; everything else ends within the limit.
func TestCondition(t *testing.T) {
	defer func(l kernel.Set) { level = l }(level)
	for _, level = range kernel.Supported() {
		x, mean, scale, dst := make([]float64, 21), make([]float64, 21), make([]float64, 21), make([]float64, 21)
		for i := range x {
			x[i], mean[i], scale[i] = float64(i), 10, 2
		}
		if !Condition(dst, x, mean, scale, 3) {
			t.Fatalf("%v: all are numbers", level)
		}
		for i, v := range dst {
			if want := max(-3, min(3, (float64(i)-10)/2)); v != want {
				t.Errorf("%v: value %d is %v, want %v", level, i, v, want)
			}
		}
		if Condition(dst, x, mean, scale, math.Inf(1)); dst[20] != 5 || dst[0] != -5 {
			t.Errorf("%v: without a limit %v and %v", level, dst[0], dst[20])
		}
		for i := range x {
			for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				keep := x[i]
				if x[i] = v; Condition(dst, x, mean, scale, 3) {
					t.Errorf("%v: %v at %d is not found", level, v, i)
				}
				x[i] = keep
			}
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
	run := func(level kernel.Set) (out [8][]float64) {
		a, b, s := Vec{}, Vec{}, Vec{1, -1, 0.5}
		columns := []int32{int32(len(w) / 2), 0, int32(len(w) - 1), 0}
		selectedAt(level, s[:], w, x[:len(w)], columns)
		tanh := make([]float64, n)
		for i, v := range x {
			if tanh[i] = v; v != v {
				tanh[i] = 0.5
			}
		}
		tanhAt(level, tanh)
		scaled, mean, scale := make([]float64, n-1), x[1:], make([]float64, n-1)
		for i := range scale {
			scale[i] = math.Abs(x[i])/3 + 0.5
		}
		if !conditionAt(level, scaled, x[:n-1], mean, scale, 3) {
			clear(scaled)
		}
		neurons := Neurons{Decay: x[1:], Threshold: 1, Off: 1}
		if len(w)%2 == 0 {
			neurons.Off, neurons.Clear = 0, true
		}
		u, spikes := slices.Clone(x[:n-1]), make([]float64, n-1)
		neurons.stepAt(level, u, spikes, scale)
		v := x[:len(w)]
		productsAt(level, a[:], w, v, false)
		distancesAt(level, b[:], w, v, len(w)%2 == 0)
		sparse := slices.Clone(x[:n-1])
		for i := range sparse {
			if i*i%3 == 1 {
				sparse[i] = math.Copysign(0, sparse[i])
			}
		}
		list, where := make([]int32, n+2), make([]float64, n)
		for i, k := range list[:nonzeroAt(level, list, sparse)] {
			where[i] = float64(k) + 1
		}
		e := make([]float64, n)
		c := expConstants
		c[0] = -0.5
		expAt(level, e, x, &c)
		for i, v := range x { // out of the range that is promised
			if !(-0.5*v <= 700) && v == v {
				e[i] = 0
			}
		}
		return [8][]float64{a[:], b[:], e, s[:], tanh, scaled, append(u, spikes...), where}
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
