package features

import (
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Tones is the discrete Fourier transform of the window at a few frequencies of any
// value, not only bins: the sliding transform's job.
//
//	X(f) = sum over n of x[n] exp(-2 pi i f n/fs), n = 0 at the oldest sample
//
// It is kept as block sums: each block of a hop is transformed once, and a window adds
// its blocks with a rotation each. Unlike the recursion X <- (X + new - old) e^(...)
// nothing drifts, a bad sample leaves with its block and no bin grid is needed. Cost per
// frequency: O(hop + length/hop), against O(length) of Goertzel's algorithm; above
// about 25 frequencies PSD is cheaper. No detrending: an offset leaks unless f is a
// multiple of fs/length.
type Tones struct {
	Freqs  []float64 // Hz, 0 to Nyquist
	Output string    // "power" |X|^2 (default), "amplitude" 2|X|/length, "phase" or "complex"

	c, block, blocks int
	basis            []float64 // per frequency: cos, -sin of each column of a block
	turn             []float64 // per frequency: rotation of each block, oldest first
	sums             []vec     // slots x tiles x frequencies x (re, im)
	tags             []int64
	tiles            int
}

// Open implements Extractor.
func (x *Tones) Open(p *Plan) ([]Row, error) {
	if len(x.Freqs) == 0 {
		return nil, errors.New("freqs: none given; name at least one, in Hz")
	}
	x.c, x.tiles = p.In.Rows(), stream.TilesFor(p.In.Rows())
	x.block, x.blocks = p.Length, 1
	if p.Length%p.Hop == 0 {
		x.block, x.blocks = p.Hop, p.Length/p.Hop
	}
	x.basis, x.turn = nil, nil
	var rows []Row
	for _, f := range x.Freqs {
		if !(f >= 0) || f > p.In.Rate/2 {
			return nil, fmt.Errorf("freqs: %v Hz; at %v Hz they lie between 0 and %v Hz", f, p.In.Rate, p.In.Rate/2)
		}
		for n := range x.block {
			u := complexUnit(f, int64(n), p.In.Rate)
			x.basis = append(x.basis, u[:]...)
		}
		for b := range x.blocks {
			u := complexUnit(f, int64(b*x.block), p.In.Rate)
			x.turn = append(x.turn, u[:]...)
		}
		name := fmt.Sprintf("%g Hz", f)
		switch x.Output {
		case "", "power":
			rows = append(rows, p.channelRows("tone-power", p.squared(), name)...)
		case "amplitude":
			rows = append(rows, p.channelRows("tone-amplitude", p.unit(), name)...)
		case "phase":
			rows = append(rows, p.channelRows("tone-phase", "rad", name)...)
		case "complex":
			rows = append(rows, p.channelRows("tone-real", p.unit(), name)...)
			rows = append(rows, p.channelRows("tone-imaginary", p.unit(), name)...)
		default:
			return nil, fmt.Errorf("output: %q; known are power, amplitude, phase and complex", x.Output)
		}
	}
	x.sums = make([]vec, x.blocks*x.tiles*len(x.Freqs)*2)
	x.tags = make([]int64, x.blocks)
	x.Reset()
	return rows, nil
}

// complexUnit returns exp(-2 pi i f n/rate) with the phase reduced first.
func complexUnit(f float64, n int64, rate float64) [2]float64 {
	turns := math.Mod(f*float64(n)/rate, 1)
	s, c := math.Sincos(2 * math.Pi * turns)
	return [2]float64{c, -s}
}

// Reset implements Keeper: what is kept is only a cache.
func (x *Tones) Reset() {
	for i := range x.tags {
		x.tags[i] = -1
	}
}

// Save implements Keeper.
func (*Tones) Save(*stream.StateWriter) {}

// Load implements Keeper.
func (*Tones) Load(*stream.StateReader) {}

// Extract implements Extractor.
func (x *Tones) Extract(out Out, e *Epoch) {
	nf := len(x.Freqs)
	for b := range x.blocks {
		start := e.Seq + int64(b*x.block)
		slot := int(start / int64(x.block) % int64(x.blocks))
		if x.tags[slot] == start {
			continue
		}
		x.tags[slot] = start
		for k := range x.tiles {
			t := e.Tile(k)[b*x.block : (b+1)*x.block]
			for f := range nf {
				at := ((slot*x.tiles+k)*nf + f) * 2
				x.sums[at], x.sums[at+1] = project(t, x.basis[2*f*x.block:2*(f+1)*x.block])
			}
		}
	}
	oldest := int(e.Seq / int64(x.block) % int64(x.blocks))
	for k := range x.tiles {
		for f := range nf {
			var re, im vec
			for b := range x.blocks {
				slot := (oldest + b) % x.blocks
				at := ((slot*x.tiles+k)*nf + f) * 2
				c, s := x.turn[2*(f*x.blocks+b)], x.turn[2*(f*x.blocks+b)+1]
				p, q := &x.sums[at], &x.sums[at+1]
				for l := range re {
					re[l] += float64(p[l]*c) - float64(q[l]*s)
					im[l] += float64(p[l]*s) + float64(q[l]*c)
				}
			}
			for l := range min(stream.Lanes, x.c-k*stream.Lanes) {
				row := f*x.c + k*stream.Lanes + l
				switch x.Output {
				case "amplitude":
					out.Set(row, 2*math.Hypot(re[l], im[l])/float64(e.Len))
				case "phase":
					out.Set(row, math.Atan2(im[l], re[l]))
				case "complex":
					row += f * x.c
					out.Set(row, re[l])
					out.Set(row+x.c, im[l])
				default:
					out.Set(row, re[l]*re[l]+im[l]*im[l])
				}
			}
		}
	}
}

// project returns sum over n of t[n] times a complex basis.
func project(t []vec, basis []float64) (re, im vec) {
	for n := range t {
		c, s, v := basis[2*n], basis[2*n+1], &t[n]
		for l := range v {
			re[l] += float64(v[l] * c)
			im[l] += float64(v[l] * s)
		}
	}
	return
}
