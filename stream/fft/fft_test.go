package fft

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"

	"neurostream/stream/kernel"
)

func noise(n int, seed uint64) []Vec {
	r := rand.New(rand.NewPCG(seed, 7))
	x := make([]Vec, n)
	for i := range x {
		for l := range x[i] {
			x[i][l] = r.NormFloat64()
		}
	}
	return x
}

// TestAgainstGonum compares every lane with a plan of gonum, for powers of two,
// products of small primes, odd sizes and primes.
func TestAgainstGonum(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 9, 10, 13, 15, 16, 17, 25, 26, 32, 34, 50, 64, 100, 121, 125, 126, 127, 128, 160, 243, 250, 254, 256, 300, 500, 512, 640, 1000, 1024, 2048} {
		p := NewPlan(n)
		x := noise(n, uint64(n))
		dst := make([]Vec, 2*p.Bins())
		p.Load(x, nil, &Vec{}, &Vec{})
		p.Transform(dst, 0, p.Bins())
		oracle := fourier.NewFFT(n)
		row := make([]float64, n)
		for l := range x[0] {
			for i := range row {
				row[i] = x[i][l]
			}
			want := oracle.Coefficients(nil, row)
			for k, w := range want {
				re, im := dst[2*k][l], dst[2*k+1][l]
				if math.Abs(re-real(w)) > 1e-12*float64(n) || math.Abs(im-imag(w)) > 1e-12*float64(n) {
					t.Fatalf("n=%d lane %d bin %d: %v%+vi, want %v", n, l, k, re, im, w)
				}
			}
		}
		lo, hi := p.Bins()/3, p.Bins()/2+1 // some bins only
		part := make([]Vec, 2*(hi-lo))
		p.Load(x, nil, &Vec{}, &Vec{})
		p.Transform(part, lo, hi)
		for i := range part {
			if part[i] != dst[2*lo+i] {
				t.Fatalf("n=%d: bins %d to %d alone differ from the same bins of the whole", n, lo, hi)
			}
		}
	}
}

// TestLoad checks detrending, window and zero padding.
func TestLoad(t *testing.T) {
	for _, n := range []int{7, 8} {
		x := noise(5, 3)
		w := []float64{0.1, 0.5, 1, 0.5, 0.1}
		off, slope := Vec{1, 2, 3}, Vec{0, 0.5, -1}
		for _, s := range []Vec{{}, slope} {
			p := NewPlan(n)
			y := make([]Vec, n)
			for i := range x {
				for l := range x[i] {
					y[i][l] = (x[i][l] - off[l] - s[l]*float64(i)) * w[i]
				}
			}
			got, want := make([]Vec, 2*p.Bins()), make([]Vec, 2*p.Bins())
			p.Load(noise(n, 9), nil, &Vec{}, &Vec{}) // rubbish that must not remain
			p.Load(x, w, &off, &s)
			p.Transform(got, 0, p.Bins())
			p.Load(y, nil, &Vec{}, &Vec{})
			p.Transform(want, 0, p.Bins())
			for i := range got {
				for l := range got[i] {
					if math.Abs(got[i][l]-want[i][l]) > 1e-14 {
						t.Fatalf("n=%d slope %v: row %d lane %d: %v, want %v", n, s, i, l, got[i][l], want[i][l])
					}
				}
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	for _, n := range []int{256, 250, 125, 127} {
		p := NewPlan(n)
		x, dst := noise(n, 1), make([]Vec, 2*p.Bins())
		w := make([]float64, n)
		if a := testing.AllocsPerRun(20, func() {
			p.Load(x, w, &Vec{}, &Vec{})
			p.Transform(dst, 0, p.Bins())
		}); a != 0 {
			t.Errorf("n=%d: %v allocations", n, a)
		}
	}
}

// BenchmarkRows transforms 64 rows, the batch of the peer comparison.
func BenchmarkRows(b *testing.B) {
	for _, n := range []int{250, 256, 512, 1024} {
		x := noise(n, 1)
		for _, level := range kernel.Supported() {
			p := NewPlan(n)
			p.level = level
			src, dst := make([][]Vec, 8), make([][]Vec, 8)
			for k := range src {
				src[k], dst[k] = slices.Clone(x), make([]Vec, 2*p.Bins())
			}
			b.Run(fmt.Sprintf("%v/n=%d", level, n), func(b *testing.B) {
				for b.Loop() {
					for k := range src {
						p.Load(src[k], nil, &Vec{}, &Vec{})
						p.Transform(dst[k], 0, p.Bins())
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/row")
			})
		}
		g := fourier.NewFFT(n)
		row, out := make([]float64, n), make([]complex128, n/2+1)
		b.Run(fmt.Sprintf("gonum/n=%d", n), func(b *testing.B) {
			for b.Loop() {
				for range 8 {
					for l := range 8 {
						for i := range row {
							row[i] = x[i][l]
						}
						g.Coefficients(out, row)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/row")
		})
	}
}
