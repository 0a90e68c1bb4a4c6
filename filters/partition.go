package filters

import (
	"math/bits"

	"neurostream/filters/internal/fir"
	"neurostream/stream"
	"neurostream/stream/fft"
)

// partition runs a long filter without adding delay (Gardner 1995): the first block
// taps are summed directly for every column; what the other taps make of the columns
// before a block comes from one fast convolution, by overlap-save, when the block
// begins:
//
//	y[n] = Σ_{j<block} h[j] x[n−j]  +  Σ_{j>=block} h[j] x[n−j]
//	        direct, per column          per block: reads nothing of the block itself
//
// Blocks begin at multiples of their length, counted from the start of the stream, so
// the bits do not depend on the cut of the chunks. When that pays (from about 500 taps
// with vector instructions, 130 without) it is used for all kernels alike, because
// they must agree bit for bit.
//
// The transform is of real numbers, forward only: with Y the wanted spectrum,
// y[n] = (Re F[n] − Im F[n])/M where F is the transform of Re Y[k] − Im Y[k]
// (Bracewell's Hartley transform, which is its own inverse).
type partition struct {
	taps, block int
	head        []float64
	plan        *fft.Plan
	gain        []float64 // re, im of the spectrum of the other taps, over M
	bins        []fft.Vec
	real        []fft.Vec
	tails       [][]fft.Vec // by tile: what the other taps add to the block
	at          []int64     // by tile: the block of tails, or none
}

// longest is the number of taps up to which filters run directly.
const longest = 512

const none = -1 << 63

// newPartition returns nil for filters that run directly.
func newPartition(h []float64, in *stream.Header) *partition {
	if len(h) <= longest {
		return nil
	}
	m := 1 << bits.Len(uint(len(h)-2)) // at least taps-1
	p := &partition{taps: len(h), block: m / 8, plan: fft.NewPlan(m)}
	p.head = h[:p.block]
	p.bins, p.real = make([]fft.Vec, 2*p.plan.Bins()), make([]fft.Vec, m)
	for j, v := range h[p.block:] {
		p.real[j][0] = v
	}
	p.plan.Load(p.real, nil, new(fft.Vec), new(fft.Vec))
	p.plan.Transform(p.bins, 0, p.plan.Bins())
	p.gain = make([]float64, len(p.bins))
	for i := range p.bins {
		p.gain[i] = p.bins[i][0] / float64(m)
	}
	p.tails, p.at = make([][]fft.Vec, stream.TilesFor(in.Rows())), make([]int64, stream.TilesFor(in.Rows()))
	for k := range p.tails {
		p.tails[k] = make([]fft.Vec, p.block)
	}
	p.reset()
	return p
}

// memory is how many columns a line must keep: the past of the block that is running.
func (p *partition) memory(taps int) int {
	if p == nil {
		return taps - 1
	}
	return taps - 1 + p.block
}

func (p *partition) reset() {
	if p == nil {
		return
	}
	for k := range p.at {
		p.at[k] = none
	}
}

// started says that lanes of tile k got a past, which the running block must know.
func (p *partition) started(k int) { p.at[k] = none }

// run computes columns a to b-1 of the chunk whose first column is seq.
func (p *partition) run(k int, seq int64, y [][stream.Lanes]float64, d *line, a, b int) {
	fir.Convolve(y[a:b], d.upTo(k, b-1, b-a+p.block-1), p.head)
	for a < b {
		now := seq + int64(a)
		begin := floorDiv(now, int64(p.block)) * int64(p.block)
		if p.at[k] != begin {
			p.transform(p.tails[k], d.upTo(k, int(begin-seq)-1, p.taps-1))
			p.at[k] = begin
		}
		n := min(b-a, p.block-int(now-begin))
		tail := p.tails[k][now-begin:]
		for i := range n {
			u, v := &y[a+i], &tail[i]
			for l := range u {
				u[l] += v[l]
			}
		}
		a += n
	}
}

// transform sets tail[i] = Σ_{j>=block} h[j] x[taps−1+i−j]: x ends before the block.
func (p *partition) transform(tail, x []fft.Vec) {
	m := p.plan.Len()
	half := p.plan.Bins()
	var zero fft.Vec
	p.plan.Load(x, nil, &zero, &zero)
	p.plan.Transform(p.bins, 0, half)
	for k := range half {
		gr, gi := p.gain[2*k], p.gain[2*k+1]
		re, im := &p.bins[2*k], &p.bins[2*k+1]
		lo, hi := &p.real[k], &p.real[(m-k)%m]
		for l := range re {
			yr := float64(re[l]*gr) - float64(im[l]*gi)
			yi := float64(re[l]*gi) + float64(im[l]*gr)
			hi[l] = yr + yi
			lo[l] = yr - yi
		}
	}
	p.plan.Load(p.real, nil, &zero, &zero)
	first := p.taps - 1 - p.block // place of tail[0] in the circular convolution
	from, to := half, 0
	for i := range tail {
		n := first + i
		n = min(n, m-n)
		from, to = min(from, n), max(to, n+1)
	}
	p.plan.Transform(p.bins, from, to)
	for i := range tail {
		n, sign := first+i, -1.0
		if n > m-n {
			n, sign = m-n, 1
		}
		re, im := &p.bins[2*(n-from)], &p.bins[2*(n-from)+1]
		for l := range tail[i] {
			tail[i][l] = re[l] + float64(sign*im[l])
		}
	}
}
