package filters

import (
	"math"

	"neurostream/stream/fft"
	"neurostream/stream/taper"
)

// longestFlat is the longest run of successive differences of at most eps.
func longestFlat(x []float64, eps float64) int {
	run, longest := 0, 0
	for i := 1; i < len(x); i++ {
		if math.Abs(x[i]-x[i-1]) > eps {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

func extremes(x []float64) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, v := range x {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}

// atExtremes is the share of the samples that equal the smallest or the largest one:
// what a clipped signal does often.
func atExtremes(x []float64) float64 {
	least, most := extremes(x)
	n := 0
	for _, v := range x {
		if v == least || v == most {
			n++
		}
	}
	return float64(n) / float64(len(x))
}

// logDeviation is log of the standard deviation, at least that of 1e-20.
func logDeviation(x []float64) float64 {
	m, s := mean(x), 0.0
	for _, v := range x {
		s += (v - m) * (v - m)
	}
	return math.Log(max(math.Sqrt(s/float64(len(x))), 1e-20))
}

// robustZ replaces x by (x − median)/(1.4826 median |x − median|), or 0 without spread.
func robustZ(x, scratch []float64) {
	copy(scratch, x)
	m := median(scratch)
	for i, v := range x {
		scratch[i] = math.Abs(v - m)
	}
	spread := 1.4826 * median(scratch)
	for i := range x {
		if spread > 0 {
			x[i] = (x[i] - m) / spread
		} else {
			x[i] = 0
		}
	}
}

// maxCorrelation sets out[i] to the largest |correlation| of channel i with another; 0
// where nothing moves. c is a covariance.
func maxCorrelation(out, c []float64) {
	n := len(out)
	clear(out)
	for i := range n {
		for j := range i {
			if d := c[i*n+i] * c[j*n+j]; d > 0 {
				r := math.Abs(c[i*n+j]) / math.Sqrt(d)
				out[i], out[j] = max(out[i], r), max(out[j], r)
			}
		}
	}
}

// bandPowers sums densities over bands, for eight channels at once: segments of a
// second, Hann windows, half overlapping, their means taken out.
type bandPowers struct {
	plan   *fft.Plan
	window []float64
	bins   []fft.Vec
	top    int
	bands  [][2]int // bins, the last one included
}

func newBandPowers(rate float64, bands [][2]float64) *bandPowers {
	n := max(4, int(math.Round(rate)))
	p := &bandPowers{plan: fft.NewPlan(n), window: taper.Hann(n, taper.Periodic)}
	for _, b := range bands {
		lo, hi := int(math.Ceil(b[0]/rate*float64(n)-1e-9)), int(math.Floor(b[1]/rate*float64(n)+1e-9))
		lo, hi = min(lo, n/2), min(hi, n/2)
		p.bands = append(p.bands, [2]int{lo, hi})
		p.top = max(p.top, hi+1)
	}
	p.bins = make([]fft.Vec, 2*p.top)
	return p
}

// measure adds up, for every band, the power in its bins over all segments of x.
func (p *bandPowers) measure(out []fft.Vec, x []fft.Vec) {
	clear(out)
	n := p.plan.Len()
	var zero fft.Vec
	for at := 0; at+n <= len(x); at += n - n/2 {
		segment := x[at : at+n]
		var m fft.Vec
		for i := range segment {
			for l, v := range segment[i] {
				m[l] += v
			}
		}
		for l := range m {
			m[l] /= float64(n)
		}
		p.plan.Load(segment, p.window, &m, &zero)
		p.plan.Transform(p.bins, 0, p.top)
		for b, band := range p.bands {
			for k := band[0]; k <= band[1]; k++ {
				scale := 2.0
				if k == 0 || 2*k == n {
					scale = 1
				}
				re, im := &p.bins[2*k], &p.bins[2*k+1]
				for l := range re {
					out[b][l] += scale * (float64(re[l]*re[l]) + float64(im[l]*im[l]))
				}
			}
		}
	}
}

// over is a/b, or 0 where b is.
func over(a, b float64) float64 {
	if b > 0 {
		return a / b
	}
	return 0
}
