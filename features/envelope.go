package features

import (
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// EnvelopeCorrelation is the amplitude envelope correlation of every two channels over
// the window, from the analytic signals z of a band-passed stream (see analytic).
//
//	plain           corr(|z_i|, |z_j|)
//	orthogonalised  the mean of corr(|Im(z_i conj(z_j)/|z_j|)|, |z_j|) and the same with
//	                i and j exchanged (Hipp et al. 2012): what goes together without lag,
//	                as volume conduction does, does not count
//
// With Log the logarithms of the squares are correlated. Orthogonalised values are made
// positive before the two directions are averaged, unless Signed. Margin seconds are
// left out at either end; windows below about 5 s are noise. Rate decimates the
// envelopes, which are slow, after the transform. An envelope that does not vary gives
// 0, marked. Rows: "aec C3-C4" for every i < j. Cost: O(length log length C) and
// O(length Rate C^2/fs); use Every.
type EnvelopeCorrelation struct {
	Plain     bool    // without orthogonalisation
	Log       bool    // of the power's logarithm
	Signed    bool    // keep the sign of the two directions
	Margin    float64 // s left out at the old end of the window
	NewMargin float64 // s left out at its new end; 0 = Margin, negative = none
	Rate      float64 // Hz of the envelopes that are used; 0 = every sample
	Every     int     // windows from one computation to the next; 0 = 1

	a              *analytic
	from, to, skip int
	n              int     // samples of an envelope
	z, unit        []vec   // tiles x n x (re, im); unit = conj(z)/|z|
	envelope       []vec   // tiles x n, centred
	norm           []vec   // per tile: 1/sqrt(sum of squares), 0 when flat
	row            []vec   // n: one channel against eight
	table          [][]vec // channel x tile: correlations
}

// Interval implements Slow.
func (x *EnvelopeCorrelation) Interval() int { return interval(x.Every) }

// Open implements Extractor.
func (x *EnvelopeCorrelation) Open(p *Plan) ([]Row, error) {
	if p.In.Rows() < 2 {
		return nil, errors.New("envelope correlation needs at least two channels; this stream has one")
	}
	newest := x.NewMargin
	switch {
	case newest == 0:
		newest = x.Margin
	case newest < 0:
		newest = 0
	}
	var err error
	if x.from, x.to, err = p.margins(x.Margin, newest); err != nil {
		return nil, err
	}
	x.skip = 1
	if x.Rate != 0 {
		if !(x.Rate > 0) || x.Rate > p.In.Rate {
			return nil, fmt.Errorf("rate: %v Hz; the envelopes have %v Hz", x.Rate, p.In.Rate)
		}
		x.skip = int(p.In.Rate / x.Rate)
	}
	if x.n = (x.to - x.from + x.skip - 1) / x.skip; x.n < 3 {
		return nil, fmt.Errorf("rate: %v Hz leaves %d values of an envelope; a correlation needs at least 3: lengthen the window", x.Rate, x.n)
	}
	x.a = p.analytic()
	tiles := stream.TilesFor(p.In.Rows())
	x.z, x.unit = make([]vec, tiles*x.n*2), make([]vec, tiles*x.n*2)
	x.envelope, x.norm, x.row = make([]vec, tiles*x.n), make([]vec, tiles), make([]vec, x.n)
	x.table = make([][]vec, p.In.Rows())
	for i := range x.table {
		x.table[i] = make([]vec, tiles)
	}
	return p.pairRows("aec", "", ""), nil
}

// Extract implements Extractor.
func (x *EnvelopeCorrelation) Extract(out Out, e *Epoch) {
	x.a.of(e)
	c := e.Rows()
	for k := range x.norm {
		from := x.a.tile(k, x.from, x.to)
		z := x.z[k*x.n*2 : (k+1)*x.n*2]
		for i := range x.n {
			z[2*i], z[2*i+1] = from[2*i*x.skip], from[2*i*x.skip+1]
		}
		units(x.unit[k*x.n*2:(k+1)*x.n*2], z)
		env := x.envelope[k*x.n : (k+1)*x.n]
		for i := range env {
			re, im := &z[2*i], &z[2*i+1]
			for l := range re {
				env[i][l] = x.amplitude(math.Sqrt(float64(re[l]*re[l]) + float64(im[l]*im[l])))
			}
		}
		x.norm[k] = centre(env)
	}
	for i := range c {
		for k := range x.norm {
			x.table[i][k] = x.correlate(i, k)
		}
	}
	row := 0
	for i := range c {
		for j := i + 1; j < c; j++ {
			ki, li, kj, lj := i/stream.Lanes, i%stream.Lanes, j/stream.Lanes, j%stream.Lanes
			if x.norm[ki][li] == 0 || x.norm[kj][lj] == 0 {
				out.Undefined(row)
				row++
				continue
			}
			a, b := x.table[i][kj][lj], x.table[j][ki][li]
			if !x.Plain && !x.Signed {
				a, b = math.Abs(a), math.Abs(b)
			}
			out.Set(row, (a+b)/2)
			row++
		}
	}
}

// amplitude is what of an envelope is correlated.
func (x *EnvelopeCorrelation) amplitude(v float64) float64 {
	if x.Log {
		return math.Log(max(v*v, floorPower))
	}
	return v
}

// centre subtracts the means and returns 1/sqrt(sum of squares), 0 where that is no
// more than what rounding leaves of a constant.
func centre(v []vec) vec {
	mean := meanOf(v)
	subtract(v, v, &mean)
	s := squaresOf(v, &vec{})
	for l := range s {
		if s[l] > 1e-24*float64(len(v))*mean[l]*mean[l] && s[l] > 0 {
			s[l] = 1 / math.Sqrt(s[l])
		} else {
			s[l] = 0
		}
	}
	return s
}

// correlate returns the correlations of channel i, orthogonalised to the channels of
// tile k, with their envelopes.
func (x *EnvelopeCorrelation) correlate(i, k int) vec {
	env := x.envelope[k*x.n : (k+1)*x.n]
	ti, li := i/stream.Lanes, i%stream.Lanes
	var norm vec
	if x.Plain {
		own := x.envelope[ti*x.n : (ti+1)*x.n]
		for t := range x.row {
			v := own[t][li]
			x.row[t] = vec{v, v, v, v, v, v, v, v}
		}
		for l := range norm {
			norm[l] = x.norm[ti][li]
		}
	} else {
		z := x.z[ti*x.n*2 : (ti+1)*x.n*2]
		u := x.unit[k*x.n*2 : (k+1)*x.n*2]
		for t := range x.row {
			re, im := z[2*t][li], z[2*t+1][li]
			ur, ui := &u[2*t], &u[2*t+1]
			for l := range ur { // Im(z_i conj(u_j))
				x.row[t][l] = x.amplitude(math.Abs(float64(im*ur[l]) - float64(re*ui[l])))
			}
		}
		norm = centre(x.row)
	}
	var s vec
	for t := range x.row {
		for l := range s {
			s[l] += float64(x.row[t][l] * env[t][l])
		}
	}
	for l := range s {
		s[l] *= norm[l] * x.norm[k][l]
	}
	return s
}
