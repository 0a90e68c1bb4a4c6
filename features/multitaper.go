package features

import (
	"fmt"
	"math"

	"neurostream/stream"
	"neurostream/stream/fft"
	"neurostream/stream/taper"
)

// tapers are the Slepian tapers of a multitaper estimate and their concentrations.
type tapers struct {
	rows  [][]float64
	share []float64
}

// slepian returns the tapers of n samples for a bandwidth in Hz (0 = 8/T): half of
// bandwidth times length is the time-half-bandwidth W; floor(2W) tapers at most, of
// which lowBias keeps those with more than 0.9 of their energy inside.
func slepian(n int, rate, bandwidth float64, lowBias bool) (tapers, error) {
	half := 4.0
	if bandwidth != 0 {
		half = bandwidth * float64(n) / (2 * rate)
	}
	count := int(2 * half)
	if !(bandwidth >= 0) || count < 1 || half >= float64(n)/2 {
		return tapers{}, fmt.Errorf("bandwidth: %v Hz; a window of %.4g s allows %.4g to %.4g Hz (0 = %.4g Hz)", bandwidth, float64(n)/rate, rate/float64(n), rate, 8*rate/float64(n))
	}
	rows, share, err := taper.DPSS(n, half, min(count, n), taper.Periodic)
	if err != nil {
		return tapers{}, fmt.Errorf("bandwidth: %w", err)
	}
	t := tapers{rows, share}
	if lowBias {
		kept := 0
		for i, v := range share {
			if v > 0.9 {
				t.rows[kept], t.share[kept] = rows[i], v
				kept++
			}
		}
		t.rows, t.share = rows[:kept], share[:kept]
		if kept == 0 {
			return tapers{}, fmt.Errorf("bandwidth: %v Hz leaves no taper with more than 0.9 of its energy inside; widen it to %.4g Hz or more", bandwidth, 2*rate/float64(n))
		}
	}
	return t, nil
}

// Multitaper is the density of the whole window, averaged over Slepian tapers (Thomson
// 1982), a row per channel and bin, labelled "psd C3 10 Hz":
//
//	P = 2 sum_k l_k |Y_k|^2 / sum_k l_k   (not doubled at 0 and Nyquist), divided by fs
//
// with l_k the concentrations. The mean of the window is removed once. Windows share
// nothing, so the cost is tapers times a transform; Adaptive adds iterations and is
// meant for spectra of single trials.
type Multitaper struct {
	Bandwidth float64 // Hz, full width of the main lobe; 0 = 8/length
	Low, High float64 // Hz, both included; zero High = Nyquist
	Scale     string  // "linear" (default), "log" or "db"
	AllTapers bool    // also tapers with less than 0.9 of their energy inside
	Adaptive  bool    // Thomson's weights, iterated
	PerLength bool    // leave the division by fs out (MNE's normalization "length")
	Every     int     // windows from one computation to the next; 0 = 1

	t      tapers
	plan   *fft.Plan
	lo, hi int
	n      int
	rate   float64
	bins   []vec       // tapers x 2 x bins
	y      [][]float64 // adaptive: |Y_k|^2 of one channel, taper x bin
	d, old [][]float64
	s      []float64
}

// Interval implements Slow.
func (x *Multitaper) Interval() int { return interval(x.Every) }

// Open implements Extractor.
func (x *Multitaper) Open(p *Plan) ([]Row, error) {
	var err error
	x.n, x.rate = p.Length, p.In.Rate
	if x.t, err = slepian(p.Length, p.In.Rate, x.Bandwidth, !x.AllTapers); err != nil {
		return nil, err
	}
	if x.Adaptive && len(x.t.rows) < 3 {
		return nil, fmt.Errorf("adaptive: %d tapers; Thomson's weights need at least 3: widen the bandwidth", len(x.t.rows))
	}
	s := &spectra{rate: p.In.Rate, points: p.Length}
	if x.lo, x.hi, err = binRange(s, x.Low, x.High); err != nil {
		return nil, err
	}
	unit := p.squared()
	if !x.PerLength {
		unit += "/Hz"
	}
	if unit, err = scaledUnit(x.Scale, unit); err != nil {
		return nil, err
	}
	x.plan = fft.NewPlan(p.Length)
	all := x.plan.Bins()
	x.bins = make([]vec, len(x.t.rows)*2*all)
	if x.Adaptive {
		for range x.t.rows {
			x.y, x.d, x.old = append(x.y, make([]float64, all)), append(x.d, make([]float64, all)), append(x.old, make([]float64, all))
		}
		x.s = make([]float64, all)
	}
	return p.binRows("psd", unit, s, x.lo, x.hi), nil
}

// Extract implements Extractor.
func (x *Multitaper) Extract(out Out, e *Epoch) {
	lo, hi := x.lo, x.hi
	if x.Adaptive {
		lo, hi = 0, x.plan.Bins() // the starting variance needs every bin
	}
	n := hi - lo
	var sum float64
	for _, v := range x.t.share {
		sum += v
	}
	for k := range e.Tiles() {
		mean := meanOf(e.Tile(k))
		for i, w := range x.t.rows {
			x.plan.Load(e.Tile(k), w, &mean, &vec{})
			x.plan.Transform(x.bins[i*2*n:(i+1)*2*n], lo, hi)
		}
		for l := range min(stream.Lanes, e.Rows()-k*stream.Lanes) {
			row := (k*stream.Lanes + l) * (x.hi - x.lo)
			if x.Adaptive {
				x.adapt(l, n)
			}
			for b := x.lo; b < x.hi; b++ {
				var v float64
				if x.Adaptive {
					v = 2 * x.s[b]
				} else {
					for i, share := range x.t.share {
						at := i*2*n + 2*(b-lo)
						re, im := x.bins[at][l], x.bins[at+1][l]
						v += share * (re*re + im*im)
					}
					v *= 2 / sum
				}
				if !x.Adaptive && (b == 0 || 2*b == x.n) {
					v /= 2
				}
				if !x.PerLength {
					v /= x.rate
				}
				out.Set(row+b-x.lo, scaled(x.Scale, v))
			}
		}
	}
}

// adapt iterates d_k = sqrt(l_k) S / (l_k S + (1-l_k) var), S = sum d_k^2 |Y_k|^2 /
// sum d_k^2, for lane l, from the first two tapers, until the mean squared change of d
// over the tapers is below 1e-10 at every bin (at most 150 rounds).
func (x *Multitaper) adapt(l, n int) {
	share := x.t.share
	for k := range share {
		for b := range n {
			re, im := x.bins[k*2*n+2*b][l], x.bins[k*2*n+2*b+1][l]
			x.y[k][b] = re*re + im*im
			if b == 0 || 2*b == x.n {
				x.y[k][b] /= 2
			}
		}
	}
	var v, previous, sum float64 // the variance, from the estimate with fixed weights
	for _, q := range share {
		sum += q
	}
	for b := range n {
		var s float64
		for k, q := range share {
			s += q * x.y[k][b]
		}
		s /= sum
		if b > 0 {
			v += (previous + s) / 2
		}
		previous = s
		x.s[b] = (share[0]*x.y[0][b] + share[1]*x.y[1][b]) / (share[0] + share[1])
	}
	v *= math.Pi / float64(n) / (2 * math.Pi)
	if !(v > 0) {
		return
	}
	for round := range 150 {
		worst := 0.0
		for b := range n {
			var change float64
			for k, q := range share {
				d := math.Sqrt(q) * x.s[b] / (q*x.s[b] + (1-q)*v)
				if round > 0 {
					change += (d - x.d[k][b]) * (d - x.d[k][b])
				} else {
					change += 1
				}
				x.d[k][b] = d
			}
			worst = max(worst, change/float64(len(share)))
		}
		for b := range n {
			var num, den float64
			for k := range share {
				w := x.d[k][b] * x.d[k][b]
				num += w * x.y[k][b]
				den += w
			}
			if den > 0 {
				x.s[b] = num / den
			}
		}
		if worst < 1e-10 {
			break
		}
	}
}
