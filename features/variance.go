package features

import (
	"math"

	"neurostream/stream"
)

// floorPower is the smallest power that a logarithm sees, in the unit squared.
const floorPower = 1e-20

// LogVariance is ln(max(v, 1e-20)), v the variance of each channel over the window
// (divided by the number of samples): the log power of a band-passed or spatially
// filtered signal.
//
// A channel without variance gives the floor's logarithm, marked. Cost: O(length).
type LogVariance struct {
	KeepMean bool // the mean square instead of the variance

	m *moments
}

// Open implements Extractor.
func (x *LogVariance) Open(p *Plan) ([]Row, error) {
	x.m = p.moments()
	unit := p.squared()
	if unit != "" {
		unit = "ln " + unit
	}
	return p.channelRows("log-variance", unit, ""), nil
}

// Extract implements Extractor.
func (x *LogVariance) Extract(out Out, e *Epoch) {
	x.m.of(e)
	for ch := range out.Values {
		k, l := ch/stream.Lanes, ch%stream.Lanes
		v := x.m.variance[k][l]
		if x.KeepMean {
			v += x.m.mean[k][l] * x.m.mean[k][l]
		}
		out.Set(ch, math.Log(max(v, floorPower)))
		if !(v > 0) {
			out.Bad[ch] = true
		}
	}
}
