package fft

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"

	"neurostream/stream"
	"neurostream/stream/kernel"
)

// Vec is one value of each of the eight lanes.
type Vec = [stream.Lanes]float64

// largestPrime is the largest prime factor that the lanes transform themselves.
const largestPrime = 13

// Plan holds the tables and the scratch of one transform size. It serves one
// goroutine at a time and allocates nothing after NewPlan.
//
// X[k] = sum over i of x[i] exp(-2 pi i k i / n), k = 0..n/2. Cost: about
// 2.5 n log2 n operations a lane.
type Plan struct {
	n      int // real points
	m      int // complex points: n/2 when n is even, else n
	packed bool
	level  kernel.Set
	work   []Vec   // 2m rows: real part, imaginary part
	stages []stage // outermost first
	rev    []int32 // place of frequency f in work
	post   []float64
	whole  int // stages that run over all of work; the others block by block
	spare  oddScratch
	ones   []float64 // the window that is none
	begun  int       // stages that Load has run

	odd *fourier.FFT // sizes with a large prime factor
	row []float64
	out []complex128
}

// nearby is the length of the blocks, in complex vectors, that go through all of
// their stages before the next ones, so that they stay in the first-level cache.
const nearby = 128

type stage struct {
	radix, size int       // size = length of the blocks that the stage splits
	twiddle     []float64 // (radix-1) complex values for each j < size/radix
	roots       []float64 // of an odd radix: cosines, then sines, of 2 pi a p/radix
}

// NewPlan returns a plan for n real points, n >= 1.
func NewPlan(n int) *Plan {
	if n < 1 || n > stream.MaxColumns {
		panic(fmt.Sprintf("fft: NewPlan(%d)", n))
	}
	p := &Plan{n: n, m: n, packed: n%2 == 0, level: kernel.Level()}
	if p.packed {
		p.m = n / 2
	}
	p.work, p.ones = make([]Vec, 2*p.m), make([]float64, n)
	for i := range p.ones {
		p.ones[i] = 1
	}
	radices, ok := factor(p.m)
	if !ok {
		p.odd, p.row, p.out = fourier.NewFFT(n), make([]float64, n), make([]complex128, n/2+1)
		return p
	}
	size := p.m
	for _, r := range radices {
		p.stages = append(p.stages, newStage(r, size))
		if size > nearby {
			p.whole++
		}
		size /= r
	}
	p.rev = make([]int32, p.m)
	for f := range p.m {
		base, size, k := 0, p.m, f
		for _, r := range radices {
			size /= r
			base += k % r * size
			k /= r
		}
		p.rev[f] = int32(2 * base)
	}
	if p.packed {
		p.post = make([]float64, 2*(n/2+1))
		for k := range n/2 + 1 {
			if 4*k <= n {
				p.post[2*k], p.post[2*k+1] = root(k, n)
			} else { // an exact mirror image, as the post-pass needs
				p.post[2*k], p.post[2*k+1] = -p.post[n-2*k], p.post[n-2*k+1]
			}
		}
	}
	return p
}

// factor splits m into radices: fours, then a two, then odd primes.
func factor(m int) ([]int, bool) {
	var r []int
	for m%4 == 0 {
		r, m = append(r, 4), m/4
	}
	for q := 2; q <= largestPrime; q++ {
		for m%q == 0 {
			r, m = append(r, q), m/q
		}
	}
	return r, m == 1
}

// root returns exp(-2 pi i k/n), exact on the axes.
func root(k, n int) (re, im float64) {
	k %= n
	switch {
	case k == 0:
		return 1, 0
	case 4*k == n:
		return 0, -1
	case 2*k == n:
		return -1, 0
	case 4*k == 3*n:
		return 0, 1
	}
	s, c := math.Sincos(2 * math.Pi * float64(k) / float64(n))
	return c, -s
}

func newStage(radix, size int) stage {
	s := stage{radix: radix, size: size}
	for j := range size / radix {
		for q := 1; q < radix; q++ {
			re, im := root(j*q, size)
			s.twiddle = append(s.twiddle, re, im)
		}
	}
	if radix%2 == 1 {
		h := (radix - 1) / 2
		s.roots = make([]float64, 2*h*h)
		for a := range h {
			for p := range h {
				re, im := root((a+1)*(p+1), radix)
				s.roots[a*h+p], s.roots[h*h+a*h+p] = re, -im
			}
		}
	}
	return s
}

// Len returns the number of real points.
func (p *Plan) Len() int { return p.n }

// Bins returns the number of bins, n/2+1.
func (p *Plan) Bins() int { return p.n/2 + 1 }

// Load puts (src[i] - offset - slope*i) * window[i] into the plan's scratch and
// zeros behind it. src must not be longer than the plan; window as long as src, or
// nil for none.
func (p *Plan) Load(src []Vec, window []float64, offset, slope *Vec) {
	if len(src) > p.n {
		panic(fmt.Sprintf("fft: %d points in a plan of %d", len(src), p.n))
	}
	dst := p.work
	if !p.packed {
		dst = dst[p.m:] // real parts wait in the upper half until spread reads them
	}
	dst = dst[:len(src)]
	if window == nil {
		window = p.ones
	}
	p.begun = 0
	if p.level != kernel.Portable && *slope == (Vec{}) && p.packed && len(src) == p.n && len(p.stages) > 1 && p.stages[0].radix == 4 {
		loadSplit4Assembly(p.level, dst, src, window, offset, p.stages[0].twiddle)
		p.begun = 1
		return
	}
	if *slope == (Vec{}) {
		loadWindow(p.level, dst, src, window, offset)
	} else {
		for i := range dst {
			x, y, w := &src[i], &dst[i], window[i]
			t := float64(i)
			for l := range y {
				y[l] = (x[l] - offset[l] - float64(slope[l]*t)) * w
			}
		}
	}
	if p.packed {
		clear(p.work[len(src):])
	} else {
		clear(p.work[p.m+len(src):])
	}
}

// Transform computes bins lo to hi-1 of what Load left: dst[2*(k-lo)] is the real
// and dst[2*(k-lo)+1] the imaginary part of bin k. It consumes the loaded data.
func (p *Plan) Transform(dst []Vec, lo, hi int) {
	if lo < 0 || hi > p.Bins() || lo > hi {
		panic(fmt.Sprintf("fft: bins %d to %d of %d", lo, hi, p.Bins()))
	}
	dst = dst[:2*(hi-lo)]
	if p.odd != nil {
		p.transformOdd(dst, lo, hi)
		return
	}
	if !p.packed {
		p.spread()
	}
	whole := max(p.whole, p.begun)
	for i := p.begun; i < whole; i++ {
		p.stages[i].run(p.level, p.work, &p.spare)
	}
	p.begun = 0
	if rest := p.stages[whole:]; len(rest) > 0 {
		for block := p.work; len(block) > 0; block = block[2*rest[0].size:] {
			for i := range rest {
				rest[i].run(p.level, block[:2*rest[0].size], &p.spare)
			}
		}
	}
	if p.packed {
		postPass(p.level, dst, p.work, p.rev, p.post, lo, hi)
		return
	}
	for k := lo; k < hi; k++ {
		at := p.rev[k]
		dst[2*(k-lo)], dst[2*(k-lo)+1] = p.work[at], p.work[at+1]
	}
}

// spread makes complex vectors with zero imaginary part of the real ones that lie
// in the upper half of work.
func (p *Plan) spread() {
	for i := range p.m {
		p.work[2*i] = p.work[p.m+i]
		if 2*i+1 < p.m+i+1 {
			p.work[2*i+1] = Vec{}
		}
	}
}

func (p *Plan) transformOdd(dst []Vec, lo, hi int) {
	src := p.work
	if !p.packed {
		src = src[p.m:]
	}
	for l := range stream.Lanes {
		for i := range p.row {
			p.row[i] = src[i][l]
		}
		p.odd.Coefficients(p.out, p.row)
		for k := lo; k < hi; k++ {
			dst[2*(k-lo)][l], dst[2*(k-lo)+1][l] = real(p.out[k]), imag(p.out[k])
		}
	}
}
