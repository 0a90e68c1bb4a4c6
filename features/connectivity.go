package features

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
)

// Connectivity is how strongly every two channels go together in every band, over the
// segments of the window (see Welch; K of them). With S = <conj(X_i) X_j> as SciPy has
// it, C = S/sqrt(S_ii S_jj), u = conj(X_i) X_j/|X_i X_j| and Im the imaginary part of
// each term:
//
//	coherence  |C|              msc     |C|^2
//	imaginary  Im C             lagged  Im C/sqrt(1 - (Re C)^2)
//	plv        |<u>|            ciplv   |Im <u>|/sqrt(1 - (Re <u>)^2)
//	iplv       Im <u>           phase   arg <u> in radians (only Pooled)
//	ppc        (|sum u|^2 - K)/(K(K-1))
//	pli        |<sign Im>|      pli2    (K pli^2 - 1)/(K-1)
//	dpli       <Heaviside(Im)>, 0.5 = no lead
//	wpli       |sum Im|/sum |Im|
//	wpli2      ((sum Im)^2 - sum Im^2)/((sum |Im|)^2 - sum Im^2), debiased
//
// ppc, pli2 and wpli2 may be negative: that is right. A band averages the values of its
// bins; with Pooled it sums the terms of its bins first and forms one value (more terms,
// hence less bias, but a lag that changes over the band cancels). MNE conjugates the
// other factor: its imaginary parts have the opposite sign. K segments of independent
// noise have an expected msc of 1/K, so K = 1, where coherence is 1 everywhere, is
// refused; a tail probability alpha is reached at msc = 1 - alpha^(1/(K-1)).
//
// A channel without power in the band gives 0, marked. Rows: "coherence C3-C4 8-13 Hz"
// for every i < j, or node strengths. Cost: O(bins K C^2).
//
// Sources: Nolte et al. 2004, Pascual-Marqui 2007, Lachaux et al. 1999, Bruna et al. 2018,
// Vinck et al. 2010 and 2011, Stam et al. 2007, Stam and van Straaten 2012.
type Connectivity struct {
	Measure string // "coherence" (default) or any of the above
	Bands   []Band
	Welch   Welch // Step 0 is half a segment
	Pooled  bool
	Output  string   // "pairs" (default), "strength" (sum of |values| of a channel's pairs) or "mean-strength" (over C-1)
	Seeds   []string // labels: only pairs with one of these; empty = all
	Every   int      // windows from one computation to the next; 0 = 1

	x    *crossings
	r    []*reduction
	seed []bool
	all  bool // no seeds
}

// Measures lists the names that Connectivity.Measure takes.
func Measures() []string { return slices.Clone(measureNames) }

// Interval implements Slow.
func (x *Connectivity) Interval() int { return interval(x.Every) }

// Open implements Extractor.
func (x *Connectivity) Open(p *Plan) ([]Row, error) {
	kind, err := x.prepare(p)
	if err != nil {
		return nil, err
	}
	c := p.In.Rows()
	x.seed, x.all = make([]bool, c), len(x.Seeds) == 0
	for i := range x.seed {
		x.seed[i] = len(x.Seeds) == 0
	}
	for _, label := range x.Seeds {
		i := p.In.Index(label)
		if i < 0 {
			return nil, fmt.Errorf("seeds: there is no channel %q; there are %s", label, strings.Join(p.In.Labels(), ", "))
		}
		x.seed[i] = true
	}
	var rows []Row
	name := measureNames[kind]
	for _, b := range x.Bands {
		switch x.Output {
		case "", "pairs":
			for i := range c {
				for j := i + 1; j < c; j++ {
					if x.seed[i] || x.seed[j] {
						label := fmt.Sprintf("%s %s-%s %s", name, p.In.Channels[i].Label, p.In.Channels[j].Label, b.label())
						rows = append(rows, Row{Channel: stream.Channel{Label: label, Type: "connectivity"}, From: []int{i, j}})
					}
				}
			}
		case "strength", "mean-strength":
			if len(x.Seeds) != 0 {
				return nil, errors.New("seeds: strengths sum over all pairs; leave the seeds out")
			}
			of := p.channelRows(name+"-"+x.Output, "", b.label())
			for i := range of {
				of[i].From = nil // every channel enters
			}
			rows = append(rows, of...)
		default:
			return nil, fmt.Errorf("output: %q; known are pairs, strength and mean-strength", x.Output)
		}
	}
	return rows, nil
}

// prepare checks the settings and asks for the measures.
func (x *Connectivity) prepare(p *Plan) (measureKind, error) {
	name := x.Measure
	if name == "" {
		name = "coherence"
	}
	kind := slices.Index(measureNames, name)
	if kind < 0 {
		return 0, fmt.Errorf("measure: %q; known are %s", x.Measure, strings.Join(measureNames, ", "))
	}
	if p.In.Rows() < 2 {
		return 0, errors.New("connectivity needs at least two channels; this stream has one")
	}
	if measureKind(kind) == phaseDifference && !x.Pooled {
		return 0, errors.New("measure: an angle has no mean over the bins of a band; pool them (pooled: true)")
	}
	if len(x.Bands) == 0 {
		return 0, errors.New("bands: none given; name at least one, such as 8 to 30 Hz")
	}
	s, err := p.spectra(x.Welch)
	if err != nil {
		return 0, err
	}
	if s.count < 2 {
		return 0, fmt.Errorf("segment: a window of %.4g s holds one segment of %.4g s, and one makes every coherence 1; shorten segment or step, or lengthen the window", s.seconds, float64(s.segment)/s.rate)
	}
	x.x, x.r = p.crossings(s), nil
	for _, b := range x.Bands {
		lo, hi, err := b.bins(s, false)
		if err != nil {
			return 0, err
		}
		x.r = append(x.r, x.x.reduce(measureKind(kind), lo, hi, x.Pooled))
	}
	return measureKind(kind), nil
}

// Extract implements Extractor.
func (x *Connectivity) Extract(out Out, e *Epoch) {
	x.x.of(e)
	c, tiles, row := e.Rows(), x.x.tiles, 0
	for _, r := range x.r {
		if (x.Output == "" || x.Output == "pairs") && x.all && !r.anyDead(c) {
			n := c * (c - 1) / 2
			r.pairs(out, row, c, tiles)
			row += n
			continue
		}
		if x.Output == "" || x.Output == "pairs" {
			for i := range c {
				for j := i + 1; j < c; j++ {
					if !x.seed[i] && !x.seed[j] {
						continue
					}
					if r.isDead(i) || r.isDead(j) {
						out.Undefined(row)
					} else {
						out.Set(row, r.at(tiles, i, j))
					}
					row++
				}
			}
			continue
		}
		values := out.Values[row : row+c]
		clear(values)
		for i := range c {
			for j := i + 1; j < c; j++ {
				if r.isDead(i) || r.isDead(j) {
					continue
				}
				v := math.Abs(r.at(tiles, i, j))
				values[i] += v
				values[j] += v
			}
		}
		for i := range c {
			v := values[i]
			if x.Output == "mean-strength" {
				v /= float64(c - 1)
			}
			out.Set(row+i, v)
			if r.isDead(i) {
				out.Bad[row+i] = true
			}
		}
		row += c
	}
}
