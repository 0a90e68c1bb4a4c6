package lsl

import (
	"math"
)

// ClockEstimate is how a sender's clock stands to ours. A stamp t of the sender's
// is t + Offset + Slope·(t − At) on our clock.
type ClockEstimate struct {
	Offset      float64 // seconds: ours minus the sender's, at the sender's time At
	Slope       float64 // how much faster our clock runs, seconds per second
	At          float64 // seconds of the sender's clock
	Uncertainty float64 // seconds, one standard deviation, without the asymmetry of the path
	RTT         float64 // seconds, least round trip of the window; the path's asymmetry is at most half of it
	Probes      int     // answered probes in the window; 0 = nothing is known yet
	Jumps       int     // steps of either clock so far
}

// Correction returns the seconds to add to the sender's stamp t.
func (e *ClockEstimate) Correction(t float64) float64 {
	return e.Offset + float64(e.Slope*(t-e.At))
}

// ClockPoint is one burst of probes.
type ClockPoint struct {
	Local  float64 // our clock at the burst's best probe, seconds
	Remote float64 // the sender's clock then
	Offset float64 // ours minus the sender's as that probe says
	RTT    float64 // its round trip
}

// clockSync estimates the offset of two clocks from probes (probe.go). One probe
// with round trip r bounds the offset to c ± r/2, where
//
//	c = ((t0 + t3) − (t1 + t2)) / 2        r = (t3 − t0) − (t2 − t1)
//
// The least round trip r0 of a window is the path without queues; a probe with
// r > r0 can be wrong by (r − r0)/2, and uniformly so has variance (r − r0)²/12.
// The estimate is the line through all c of the window, weighted by
// 1/(σ² + (r − r0)²/12), with the slope held near 0 by a prior of 100 ppm. A burst
// whose every probe excludes the line's prediction is a step of one of the clocks:
// the window begins anew.
type clockSync struct {
	window []clockProbe // oldest first
	est    ClockEstimate
	burst  []clockProbe // of the burst that is running
}

type clockProbe struct{ local, remote, offset, rtt float64 }

const (
	clockWindow   = 120.0  // seconds
	clockMost     = 1024   // probes
	clockNoise    = 10e-6  // seconds: what is left without queues
	clockPrior    = 100e-6 // standard deviation of the difference of two quartz clocks
	clockMaxSlope = 1e-3
	clockMargin   = 200e-6 // seconds beyond its bounds that a probe is believed to differ
)

// observe takes one answered probe: t0, t3 on our clock, t1, t2 on theirs.
func (c *clockSync) observe(t0, t1, t2, t3 float64) {
	p := clockProbe{local: t0 + (t3-t0)/2, remote: t1 + (t2-t1)/2, rtt: (t3 - t0) - (t2 - t1)}
	p.offset = p.local - p.remote
	if !(p.rtt > -1e-3) || p.rtt > 10 || math.IsNaN(p.offset) || math.IsInf(p.offset, 0) {
		return // nonsense, or older than any use
	}
	p.rtt = max(p.rtt, 0)
	c.burst = append(c.burst, p)
	if c.est.Probes == 0 { // nothing is known: a single probe is a beginning
		c.fit(c.burst)
	}
}

// finish ends a burst: it returns the best probe and the step of the clocks in
// seconds, 0 when there was none.
func (c *clockSync) finish() (best ClockPoint, step float64, ok bool) {
	if len(c.burst) == 0 {
		return ClockPoint{}, 0, false
	}
	if len(c.window) > 0 {
		// The clocks may step in the middle of a burst: look at its last probes.
		from := len(c.burst)
		for from > 0 && c.excludes(&c.burst[from-1]) {
			from--
		}
		if n := len(c.burst) - from; n >= 3 || n > 0 && from == 0 {
			c.burst = c.burst[:copy(c.burst, c.burst[from:])]
			b := least(c.burst)
			step = b.offset - c.est.Correction(b.remote)
			c.window = c.window[:0]
			c.est.Slope = 0
			c.est.Jumps++
		}
	}
	b := least(c.burst)
	c.window = append(c.window, c.burst...)
	c.burst = c.burst[:0]
	old := 0
	for old < len(c.window) && (c.window[old].local < b.local-clockWindow || len(c.window)-old > clockMost) {
		old++
	}
	c.window = c.window[:copy(c.window, c.window[old:])]
	c.fit(c.window)
	return ClockPoint{b.local, b.remote, b.offset, b.rtt}, step, true
}

// excludes reports whether a probe cannot be on the line.
func (c *clockSync) excludes(p *clockProbe) bool {
	d := math.Abs(p.offset - c.est.Correction(p.remote))
	drift := math.Abs(p.remote-c.est.At) * 20e-6 // the slope's error
	return d > p.rtt/2+clockMargin+3*c.est.Uncertainty+drift
}

func least(probes []clockProbe) clockProbe {
	b := probes[0]
	for _, p := range probes {
		if p.rtt < b.rtt {
			b = p
		}
	}
	return b
}

func (c *clockSync) fit(probes []clockProbe) {
	shortest := least(probes).rtt
	weight := func(p *clockProbe) float64 {
		e := p.rtt - shortest
		return 1 / (clockNoise*clockNoise + e*e/12)
	}
	// Means first, so that the sums stay small.
	var sw, st, so float64
	first := probes[0]
	for i := range probes {
		w := weight(&probes[i])
		sw += w
		st += w * (probes[i].remote - first.remote)
		so += w * (probes[i].offset - first.offset)
	}
	mt, mo := st/sw, so/sw
	var stt, sto float64
	for i := range probes {
		w := weight(&probes[i])
		t, o := probes[i].remote-first.remote-mt, probes[i].offset-first.offset-mo
		stt += w * t * t
		sto += w * t * o
	}
	slope := sto / (stt + 1/(clockPrior*clockPrior))
	slope = max(-clockMaxSlope, min(clockMaxSlope, slope))
	last := probes[len(probes)-1].remote
	jumps := c.est.Jumps
	c.est = ClockEstimate{
		At: last, Slope: slope, Offset: first.offset + mo + slope*(last-first.remote-mt),
		Uncertainty: math.Sqrt(1/sw + (last-first.remote-mt)*(last-first.remote-mt)/(stt+1/(clockPrior*clockPrior))),
		RTT:         shortest, Probes: len(probes), Jumps: jumps,
	}
}

// restart forgets everything, for another sender.
func (c *clockSync) restart() {
	jumps := c.est.Jumps
	*c = clockSync{window: c.window[:0], burst: c.burst[:0]}
	c.est.Jumps = jumps
}
