package decoders

import (
	"errors"
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// CCA finds out at which of several flickers a person looks: the canonical correlation
// of the window with sine and cosine of each frequency and its harmonics (Lin et al.
// 2006),
//
//	ρ_f = max over u, v of corr(u'X, v'Y_f)    score_f = ρ_f
//
// With Bands > 1, behind a filter-bank, it is FBCCA (Chen et al. 2015): score_f = Σ_m
// a_m ρ²_fm with a_m = m^-1.25 + 0.25. It learns nothing. Its input is the samples of
// windows; it puts out a row "cca 13 Hz" per frequency. Put softmax behind it, or a
// classifier when there is a class without flicker. A singular covariance of the channels
// (scaled to correlations) is bridged by a ridge of 1e-12; a window without variance is
// marked.
//
// Cost per column: bands × channels × length × (channels + 2 × harmonics × frequencies).
type CCA struct {
	Freqs     []float64 // Hz
	Harmonics int       // 0 = 3
	Bands     int       // of the filter bank before the window; 0 = 1

	columnwise
}

var _ stream.Stage = (*CCA)(nil)

// Open prepares the references.
func (c *CCA) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	g, err := samplesOf(&in, c.Bands)
	if err != nil {
		return stream.Header{}, err
	}
	h := c.Harmonics
	if h == 0 {
		h = 3
	}
	switch {
	case h < 1 || h > 16:
		return stream.Header{}, fmt.Errorf("harmonics %d: give 1 to 16, or 0 for 3", c.Harmonics)
	case len(c.Freqs) == 0:
		return stream.Header{}, errors.New("freqs: none given; name those of the flickers, in Hz")
	case g.Length < 4*h:
		return stream.Header{}, fmt.Errorf("windows of %d samples are too short for %d harmonics; %d are the least", g.Length, h, 4*h)
	}
	out := in
	out.Channels = nil
	refs := make([]*dense.M, len(c.Freqs))
	for k, f := range c.Freqs {
		if !(f > 0) || f*float64(h) >= g.rate/2 {
			return stream.Header{}, fmt.Errorf("freqs: %g Hz with %d harmonics; at %g samples a second all must lie between 0 and %g Hz", f, h, g.rate, g.rate/2)
		}
		refs[k] = flicker(f/g.rate, h, g.Length)
		out.Channels = append(out.Channels, stream.Channel{Label: fmt.Sprintf("cca %g Hz", f), Type: "feature"})
	}
	if err := out.Validate(); err != nil {
		return stream.Header{}, err
	}
	correlate := newCanonical(g.channels(), g.Length, 2*h)
	weight := bandWeights(g.Bands)
	x := make([][]float64, g.channels())
	c.openColumns(in.Rows(), make([]float64, len(refs)), func(y, row []float64) bool {
		clear(y)
		for b := range g.Bands {
			for ch := range x {
				x[ch] = g.channel(row, b, ch)
			}
			if !correlate.window(x) {
				return false
			}
			for k, r := range refs {
				rho2, ok := correlate.with(r)
				if !ok {
					return false
				}
				if g.Bands == 1 {
					y[k] = math.Sqrt(rho2)
				} else {
					y[k] += float64(weight[b] * rho2)
				}
			}
		}
		return true
	})
	return out, nil
}

// flicker returns an orthonormal basis (rows) of the centred sines and cosines of a
// frequency, in cycles per sample, and its harmonics.
func flicker(f float64, harmonics, length int) *dense.M {
	y := dense.New(2*harmonics, length)
	for h := range harmonics {
		for t := range length {
			s, c := math.Sincos(2 * math.Pi * f * float64(h+1) * float64(t))
			y.Set(2*h, t, s)
			y.Set(2*h+1, t, c)
		}
	}
	for i := range y.R { // Gram-Schmidt, twice for rounding
		row := y.Row(i)
		centre(row)
		for range 2 {
			for j := range i {
				d := dense.Dot(y.Row(j), row)
				for t, v := range y.Row(j) {
					row[t] -= float64(d * v)
				}
			}
		}
		f := 1 / math.Sqrt(dense.Dot(row, row))
		for t := range row {
			row[t] *= f
		}
	}
	return y
}

func centre(x []float64) {
	mean := 0.0
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for i := range x {
		x[i] -= mean
	}
}

// canonical computes canonical correlations of a window with orthonormal references:
// ρ² is the largest eigenvalue of Q'X'(XX')⁻¹XQ. It owns memory.
type canonical struct {
	x      *dense.M // centred window
	cov, l *dense.M
	w      []float64 // L⁻¹ X q, one reference after the other
	m      *dense.M
	eig    *symEigen
}

func newCanonical(channels, length, refs int) *canonical {
	return &canonical{
		x: dense.New(channels, length), cov: dense.New(channels, channels), l: dense.New(channels, channels),
		w: make([]float64, refs*channels), m: dense.New(refs, refs), eig: newSymEigen(refs),
	}
}

// window takes the channels of a window.
func (c *canonical) window(x [][]float64) bool {
	n := c.x.R
	for i := range x {
		row := c.x.Row(i)
		copy(row, x[i])
		centre(row)
		if size := math.Sqrt(dense.Dot(row, row)); size > 0 { // units must not matter to the ridge
			for t := range row {
				row[t] /= size
			}
		}
		for j := range i + 1 {
			v := dense.Dot(row, c.x.Row(j))
			c.cov.V[i*n+j], c.cov.V[j*n+i] = v, v
		}
	}
	trace := c.cov.Trace()
	if !(trace > 0) || math.IsInf(trace, 0) {
		return false
	}
	for i := range n {
		c.cov.V[i*n+i] += 1e-12 * trace / float64(n)
	}
	return dense.Cholesky(c.l, c.cov)
}

// with returns ρ² of the window and references (orthonormal rows).
func (c *canonical) with(q *dense.M) (float64, bool) {
	n := c.x.R
	for r := range q.R {
		w := c.w[r*n : (r+1)*n]
		dense.MulVec(w, c.x, q.Row(r))
		dense.Forward(c.l, w)
		for s := range r + 1 {
			v := dense.Dot(w, c.w[s*n:(s+1)*n])
			c.m.V[r*q.R+s], c.m.V[s*q.R+r] = v, v
		}
	}
	if !c.eig.decompose(c.m) {
		return 0, false
	}
	return max(0, min(1, c.eig.val[q.R-1])), true
}

// Softmax makes class probabilities of scores: p = exp(Scale s) / Σ exp(Scale s). It
// learns nothing: what the probabilities are worth depends on Scale. Every row is a class,
// called as in Classes, or as the row.
type Softmax struct {
	Scale   float64  // 0 = 1
	Classes []string // names; nil = those of the rows

	columnwise
}

var _ stream.Stage = (*Softmax)(nil)

// Open names the classes.
func (s *Softmax) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	scale := s.Scale
	if scale == 0 {
		scale = 1
	}
	names := s.Classes
	if len(names) == 0 {
		names = in.Labels()
	}
	switch {
	case !(scale > 0) || math.IsInf(scale, 0):
		return stream.Header{}, fmt.Errorf("scale %g: give a positive number, or 0 for 1", s.Scale)
	case len(names) != in.Rows():
		return stream.Header{}, fmt.Errorf("%d classes for %d rows (%s …); name one per row, in their order", len(names), in.Rows(), in.Channels[0].Label)
	case len(names) < 2:
		return stream.Header{}, errors.New("one row is no choice; softmax needs a score for every class")
	}
	m := modelHead{Rows: in.Labels(), Classes: names}
	if err := m.validate(2); err != nil {
		return stream.Header{}, err
	}
	return s.openClasses(in, &m, func(p, x []float64) bool {
		for i, v := range x {
			p[i] = scale * v
		}
		softmax(p)
		return true
	})
}
