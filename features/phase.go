package features

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"neurostream/stream"
)

// PhaseConnectivity is how constant the phase relation of every two channels is within
// one window, sample by sample (Connectivity: from segment to segment; EpochConnectivity:
// from trial to trial; three different questions). The measures are Connectivity's, with
// the analytic signals z in the place of X, so S = <conj(z_i) z_j> over the samples.
//
// "hilbert": z of the finished window by transform, of a stream that is band-passed;
// Margin seconds at either end, where it is off, are left out (two periods are wise).
// "demodulation": z = lowpass(x exp(-2 pi i Freq n/fs)), see Demodulation; no margin is
// needed, and the rows are marked until the low-pass has settled over the whole window.
//
// The samples of a band B Hz wide are not independent: a window of T seconds counts for
// about 2 B T of them, not for T fs; the bias of ppc, pli2 and wpli2 is removed only as
// far as that. Rows: "plv C3-C4" for every i < j. Cost: O(length C^2).
type PhaseConnectivity struct {
	Measure   string  // "plv" (default) or any other of Connectivity's
	Method    string  // "hilbert" (default) or "demodulation"
	Margin    float64 // s left out at the old end of the window (hilbert)
	NewMargin float64 // s left out at its new end; 0 = Margin, negative = none
	Freq      float64 // Hz (demodulation)
	Cutoff    float64 // Hz (demodulation); 0 = Freq/5
	Every     int     // windows from one computation to the next; 0 = 1

	kind     measureKind
	from, to int
	a        *analytic
	d        demodulator
	u        []vec // tiles x samples x (re, im)
	power    []vec // per tile
	sums     pairSums
}

// Interval implements Slow. Demodulation needs every sample, so it is never slow.
func (x *PhaseConnectivity) Interval() int {
	if x.Method == "demodulation" {
		return 1
	}
	return interval(x.Every)
}

// Open implements Extractor.
func (x *PhaseConnectivity) Open(p *Plan) ([]Row, error) {
	name := x.Measure
	if name == "" {
		name = "plv"
	}
	kind := slices.Index(measureNames, name)
	if kind < 0 {
		return nil, fmt.Errorf("measure: %q; known are %s", x.Measure, strings.Join(measureNames, ", "))
	}
	x.kind = measureKind(kind)
	if p.In.Rows() < 2 {
		return nil, errors.New("connectivity needs at least two channels; this stream has one")
	}
	x.from, x.to = 0, p.Length
	switch x.Method {
	case "", "hilbert":
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
		x.a = p.analytic()
	case "demodulation":
		if x.Every > 1 {
			return nil, fmt.Errorf("every: %d; a demodulation needs every sample, so it is computed for every window", x.Every)
		}
		x.a = nil
		if err := x.d.open(p, x.Freq, x.Cutoff); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("method: %q; known are hilbert and demodulation", x.Method)
	}
	tiles := stream.TilesFor(p.In.Rows())
	x.power = make([]vec, tiles)
	x.u = nil
	if x.kind.needsU() {
		x.u = make([]vec, tiles*2*(x.to-x.from))
	}
	unit := ""
	if x.kind == phaseDifference {
		unit = "rad"
	}
	return p.pairRows(name, unit, ""), nil
}

// pairRows names a row per pair of channels i < j.
func (p *Plan) pairRows(kind, unit, detail string) (rows []Row) {
	c := p.In.Channels
	for i := range c {
		for j := i + 1; j < len(c); j++ {
			label := kind + " " + c[i].Label + "-" + c[j].Label
			if detail != "" {
				label += " " + detail
			}
			rows = append(rows, Row{Channel: stream.Channel{Label: label, Unit: unit, Type: "connectivity"}, From: []int{i, j}})
		}
	}
	return rows
}

// z returns the terms of a tile.
func (x *PhaseConnectivity) z(k int) []vec {
	if x.a != nil {
		return x.a.tile(k, x.from, x.to)
	}
	return x.d.tile(k, x.from)
}

// Extract implements Extractor.
func (x *PhaseConnectivity) Extract(out Out, e *Epoch) {
	if x.a != nil {
		x.a.of(e)
	} else {
		x.d.feed(e)
	}
	n := 2 * (x.to - x.from)
	for k := range x.power {
		z := x.z(k)
		var p vec
		for i := 0; i < n; i += 2 {
			re, im := &z[i], &z[i+1]
			for l := range p {
				p[l] += float64(re[l]*re[l]) + float64(im[l]*im[l])
			}
		}
		x.power[k] = p
		if x.u != nil {
			units(x.u[k*n:(k+1)*n], z)
		}
	}
	c := e.Rows()
	for a := range x.power {
		for b := a; b < len(x.power); b++ {
			x.sums = pairSums{n: float64(x.to - x.from)}
			switch {
			case x.kind.needsU():
				crossProduct(&x.sums.u, x.u[a*n:(a+1)*n], x.u[b*n:(b+1)*n])
			case x.kind.needsLag():
				lagSums(&x.sums.lag, x.z(a), x.z(b))
			default:
				crossProduct(&x.sums.s, x.z(a), x.z(b))
			}
			for r := range min(stream.Lanes, c-a*stream.Lanes) {
				i := a*stream.Lanes + r
				for l := range min(stream.Lanes, c-b*stream.Lanes) {
					j := b*stream.Lanes + l
					if i >= j {
						continue
					}
					row := i*c - i*(i+1)/2 + j - i - 1
					if !(x.power[a][r] > 0) || !(x.power[b][l] > 0) {
						out.Undefined(row)
						continue
					}
					out.Set(row, x.sums.value(x.kind, r, l, x.power[a][r], x.power[b][l]))
				}
			}
		}
	}
	if x.a == nil && !x.d.settled(0) {
		for i := range out.Bad {
			out.Bad[i] = true
		}
	}
}

// Reset implements Keeper.
func (x *PhaseConnectivity) Reset() { x.d.reset() }

// Save implements Keeper.
func (x *PhaseConnectivity) Save(w *stream.StateWriter) { x.d.save(w) }

// Load implements Keeper.
func (x *PhaseConnectivity) Load(r *stream.StateReader) { x.d.load(r) }
