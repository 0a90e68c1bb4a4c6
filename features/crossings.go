package features

import (
	"math"

	"neurostream/stream"
)

// crossings is the product of all-pairs sums over the segments of a window: for every
// two channels i < j and every bin
//
//	S = sum conj(X_i) X_j              coherence and its kin (SciPy's order)
//	U = sum conj(u_i) u_j, u = X/|X|   phase locking
//	sum Im, sum |Im|, sum Im^2, sum sign Im of the terms of S   lag indices
//
// Every measure is a function of these sums, so one pass serves all that are asked for.
// Sums are made for eight by eight channels and one bin at a time, in registers, from
// the segments of the window (rank K), reduced to the measures at once and never
// stored: nothing drifts, and 256 channels need no more memory than their spectra.
type crossings struct {
	s         *spectra
	lo, hi    int
	consumers []*reduction
	wantU     bool
	wantScale bool
	wantPlain bool
	tiles     int
	segments  int
	panel     []vec // bins x tiles x segments x (re, im): X, when wanted
	scaled    []vec // the same for X/sqrt(sum |X|^2): products of these are coherencies
	phase     []vec // the same for u
	power     []vec // bins x tiles: sum |X|^2
	pooled    pairSums
	done      bool
	index     int64
}

// pairSums are the sums of eight by eight channels: row i of the first tile, lane j of
// the second.
type pairSums struct {
	s, u [16]vec // real parts, imaginary parts
	lag  [32]vec // Im, |Im|, Im^2, sign Im
	n    float64 // terms
}

// reduction is one measure over one band.
type reduction struct {
	kind   measureKind
	lo, hi int
	pooled bool
	value  [][8]vec // tile pairs on and above the diagonal
	dead   []vec    // 1 where a channel has no power in the band
}

type measureKind int

const (
	coherence measureKind = iota
	squaredCoherence
	imaginaryCoherence
	laggedCoherence
	phaseLocking
	correctedPhaseLocking
	pairwisePhaseConsistency
	imaginaryPhaseLocking
	phaseDifference
	phaseLag
	squaredPhaseLag
	directedPhaseLag
	weightedPhaseLag
	debiasedPhaseLag
)

var measureNames = []string{
	"coherence", "msc", "imaginary", "lagged", "plv", "ciplv",
	"ppc", "iplv", "phase", "pli", "pli2", "dpli", "wpli", "wpli2",
}

func (k measureKind) needsU() bool { return k >= phaseLocking && k <= phaseDifference }

func (k measureKind) needsLag() bool { return k >= phaseLag }

// crossings returns the product over the segments of s.
func (p *Plan) crossings(s *spectra) *crossings {
	return share(p, func(c *crossings) bool { return c.s == s },
		func() *crossings { return &crossings{s: s, lo: math.MaxInt} })
}

// reduce asks for a measure over bins lo to hi-1.
func (c *crossings) reduce(kind measureKind, lo, hi int, pooled bool) *reduction {
	for _, r := range c.consumers {
		if r.kind == kind && r.lo == lo && r.hi == hi && r.pooled == pooled {
			return r
		}
	}
	r := &reduction{kind: kind, lo: lo, hi: hi, pooled: pooled}
	c.consumers = append(c.consumers, r)
	c.lo, c.hi = min(c.lo, lo), max(c.hi, hi)
	c.s.wantCross(c.lo, c.hi)
	switch {
	case kind.needsU():
		c.wantU = true
		c.s.wantUnit = true
	case kind == coherence && !pooled:
		c.wantScale = true
	default:
		c.wantPlain = true
	}
	return r
}

func (c *crossings) alloc(p *Plan) {
	c.tiles, c.segments = stream.TilesFor(p.In.Rows()), c.s.count
	n := (c.hi - c.lo) * c.tiles
	c.wantPlain = c.wantPlain || !c.wantScale // the power comes from either
	for _, p := range []struct {
		panel  *[]vec
		wanted bool
	}{{&c.panel, c.wantPlain}, {&c.scaled, c.wantScale}, {&c.phase, c.wantU}} {
		if *p.panel = nil; p.wanted {
			*p.panel = make([]vec, n*c.segments*2)
		}
	}
	c.power = make([]vec, n)
	for _, r := range c.consumers {
		r.value = make([][8]vec, c.tiles*(c.tiles+1)/2)
		r.dead = make([]vec, c.tiles)
	}
	c.done = false
}

func (c *crossings) forget() { c.done = false }

// of computes every measure of a window.
func (c *crossings) of(e *Epoch) {
	if c.done && c.index == e.Index {
		return
	}
	c.done, c.index = true, e.Index
	c.s.of(e)
	c.gather()
	for _, r := range c.consumers {
		c.markDead(r)
		clear(r.value)
	}
	pair := 0
	for i := range c.tiles {
		for j := i; j < c.tiles; j++ {
			for _, r := range c.consumers {
				c.reducePair(r, pair, i, j)
			}
			pair++
		}
	}
}

// gather lays the segments of a bin and tile side by side.
func (c *crossings) gather() {
	if c.wantPlain {
		c.lay(c.panel, c.s.spectrum)
	}
	if c.wantU {
		c.lay(c.phase, c.s.unitSpectrum)
	}
	if c.wantScale {
		c.lay(c.scaled, c.s.spectrum)
		normalise(c.power, c.scaled, c.segments)
		return
	}
	for i := range c.power {
		var p vec
		cell := c.panel[i*c.segments*2 : (i+1)*c.segments*2]
		for k := 0; k < len(cell); k += 2 {
			re, im := &cell[k], &cell[k+1]
			for l := range p {
				p[l] += float64(re[l]*re[l]) + float64(im[l]*im[l])
			}
		}
		c.power[i] = p
	}
}

// lay copies a panel from the segments, oldest first.
func (c *crossings) lay(panel []vec, spectrum func(slot, tile int) []vec) {
	bins := c.hi - c.lo
	for k := range c.tiles {
		for i, slot := range c.s.slots {
			from := spectrum(slot, k)[2*(c.lo-c.s.cLo):][:2*bins]
			at := 2 * (k*c.segments + i)
			for b := 0; b < len(from); b += 2 {
				panel[at], panel[at+1] = from[b], from[b+1]
				at += 2 * c.tiles * c.segments
			}
		}
	}
}

func (c *crossings) markDead(r *reduction) {
	for k := range r.dead {
		for l := range r.dead[k] {
			r.dead[k][l] = 1
			for b := r.lo; b < r.hi; b++ {
				if c.power[(b-c.lo)*c.tiles+k][l] > 0 {
					r.dead[k][l] = 0
					break
				}
			}
		}
	}
}

// from returns a panel from the segments of tile k at bin b on.
func (c *crossings) from(panel []vec, b, k int) []vec {
	return panel[((b-c.lo)*c.tiles+k)*c.segments*2:]
}

// rows returns the segments of tile k at bin b.
func (c *crossings) rows(panel []vec, b, k int) []vec {
	at := ((b-c.lo)*c.tiles + k) * c.segments * 2
	return panel[at : at+c.segments*2]
}

// reducePair computes one measure for the channels of tiles i and j.
func (c *crossings) reducePair(r *reduction, pair, i, j int) {
	out := &r.value[pair]
	if bins := r.hi - r.lo; !r.pooled && (r.kind == coherence || r.kind == phaseLocking) {
		panel, terms := c.scaled, 1
		if r.kind == phaseLocking {
			panel, terms = c.phase, c.segments
		}
		crossMagnitude(out, c.from(panel, r.lo, i), c.from(panel, r.lo, j), c.segments, bins, c.tiles*c.segments*2)
		scaleBlock(out, 1/float64(bins*terms))
		return
	}
	var pi, pj vec
	p := &c.pooled
	*p = pairSums{}
	for b := r.lo; b < r.hi; b++ {
		at := (b - c.lo) * c.tiles
		if !r.pooled {
			*p = pairSums{}
			pi, pj = vec{}, vec{}
		}
		p.n += float64(c.segments)
		switch {
		case r.kind.needsU():
			crossProduct(&p.u, c.rows(c.phase, b, i), c.rows(c.phase, b, j))
		case r.kind.needsLag():
			lagSums(&p.lag, c.rows(c.panel, b, i), c.rows(c.panel, b, j))
		default:
			crossProduct(&p.s, c.rows(c.panel, b, i), c.rows(c.panel, b, j))
			for l := range pi {
				pi[l] += c.power[at+i][l]
				pj[l] += c.power[at+j][l]
			}
		}
		if !r.pooled {
			p.reduce(r.kind, out, &pi, &pj)
		}
	}
	if r.pooled {
		p.reduce(r.kind, out, &pi, &pj)
	} else {
		scaleBlock(out, 1/float64(r.hi-r.lo))
	}
}

func scaleBlock(out *[8]vec, f float64) {
	if f == 1 {
		return
	}
	for r := range out {
		for l := range out[r] {
			out[r][l] *= f
		}
	}
}

// reduce adds a measure of the sums to out.
func (p *pairSums) reduce(kind measureKind, out *[8]vec, pi, pj *vec) {
	for r := range out {
		for l := range out[r] {
			out[r][l] += p.value(kind, r, l, pi[r], pj[l])
		}
	}
}

// value is the measure of one pair; 0 where it is 0/0.
func (p *pairSums) value(kind measureKind, r, l int, pi, pj float64) float64 {
	switch {
	case kind <= laggedCoherence:
		return coherencyMeasure(kind, p.s[r][l], p.s[8+r][l], pi*pj)
	case kind.needsU():
		return phaseMeasure(kind, p.u[r][l], p.u[8+r][l], p.n)
	}
	return lagMeasure(kind, p.lag[r][l], p.lag[8+r][l], p.lag[16+r][l], p.lag[24+r][l], p.n)
}

// coherencyMeasure: C = S/sqrt(power), power = S_ii S_jj.
func coherencyMeasure(kind measureKind, re, im, power float64) float64 {
	if !(power > 0) {
		return 0
	}
	switch kind {
	case squaredCoherence:
		return (re*re + im*im) / power
	case coherence:
		return math.Sqrt((re*re + im*im) / power)
	}
	norm := 1 / math.Sqrt(power)
	if kind == imaginaryCoherence {
		return im * norm
	}
	return lagged(re*norm, im*norm)
}

// lagged returns im/sqrt(1-re^2), 0 where that is 0/0.
func lagged(re, im float64) float64 {
	d := 1 - re*re
	if !(d > 1e-15) {
		return 0
	}
	return im / math.Sqrt(d)
}

// phaseMeasure takes the sum of n unit phasors.
func phaseMeasure(kind measureKind, re, im, n float64) float64 {
	switch kind {
	case phaseLocking:
		return math.Sqrt(re*re+im*im) / n
	case correctedPhaseLocking:
		return math.Abs(lagged(re/n, im/n))
	case imaginaryPhaseLocking:
		return im / n
	case phaseDifference:
		if re == 0 && im == 0 {
			return 0
		}
		return math.Atan2(im, re)
	}
	if n < 2 {
		return 0
	}
	return (re*re + im*im - n) / (n * (n - 1))
}

// lagMeasure takes the sums of Im, |Im|, Im^2 and sign Im over n terms.
func lagMeasure(kind measureKind, im, abs, squares, sign, n float64) float64 {
	switch kind {
	case phaseLag:
		return math.Abs(sign) / n
	case squaredPhaseLag:
		if n < 2 {
			return 0
		}
		pli := sign / n
		return (n*pli*pli - 1) / (n - 1)
	case directedPhaseLag:
		return (sign/n + 1) / 2
	case weightedPhaseLag:
		if !(abs > 0) {
			return 0
		}
		return math.Abs(im) / abs
	}
	d := abs*abs - squares
	if !(d > 0) {
		return 0
	}
	return (im*im - squares) / d
}

// at returns the value of channels i < j.
func (r *reduction) at(tiles, i, j int) float64 {
	a, b := i/stream.Lanes, j/stream.Lanes
	return r.value[a*tiles-a*(a-1)/2+b-a][i%stream.Lanes][j%stream.Lanes]
}

// anyDead reports whether one of c channels has no power in the band.
func (r *reduction) anyDead(c int) bool {
	for i := range c {
		if r.isDead(i) {
			return true
		}
	}
	return false
}

// pairs stores the values of all pairs i < j of c channels from row on.
func (r *reduction) pairs(out Out, row, c, tiles int) {
	for i := range c {
		a, k := i/stream.Lanes, i%stream.Lanes
		first := a*tiles - a*(a-1)/2
		var odd float64 // not 0 when one is no number
		to := out.Values[row : row+c-i-1]
		for b := a; b < tiles; b++ {
			from := &r.value[first+b-a][k]
			lo := max(b*stream.Lanes, i+1)
			for j := lo; j < min(c, (b+1)*stream.Lanes); j++ {
				v := from[j-b*stream.Lanes]
				to[j-i-1] = v
				odd += v - v
			}
		}
		for j := 0; odd != 0 && j < len(to); j++ {
			out.Set(row+j, to[j])
		}
		row += c - i - 1
	}
}

// isDead reports whether channel i has no power in the band.
func (r *reduction) isDead(i int) bool { return r.dead[i/stream.Lanes][i%stream.Lanes] != 0 }
