package features

import (
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
	"neurostream/stream/fft"
	"neurostream/stream/taper"
)

// Welch are the settings of averaged segment spectra (Welch 1967), shared by every
// extractor that names the same ones:
//
//	P(f) = c/K sum_k |sum_n w[n] (x_k[n] - mean_k) exp(-2 pi i f n/fs)|^2 / (fs sum w^2)
//
// with c = 2 between 0 and Nyquist and 1 at both; the unit is the input's squared per
// hertz. Segments are anchored at the newest sample of the window; what does not fit
// at its old end is left out. When Step is a multiple or a divisor of the hop, every
// segment is transformed once and reused by later windows.
type Welch struct {
	Segment float64 // s; 0 = 1 s, or the window when that is shorter
	Step    float64 // s from one segment to the next; 0 = about half a segment, so that segments are reused
	Window  string  // "hann" (default) or any other name that taper.Names lists
	Shape   float64 // parameter of the windows tukey, kaiser and gaussian; 0 = their usual one
	Detrend string  // "constant" (default), "linear" or "none", per segment
	Average string  // "mean" (default) or "median" (robust, bias corrected)
	Pad     int     // points of the transform; 0 = the segment's
}

// spectra is the product of segment spectra and powers.
type spectra struct {
	segment, step, points int
	count                 int     // segments of a window
	first                 int     // column of the oldest segment in the window
	rate, seconds         float64 // of the samples; length of the window
	detrend               string
	taperName             string
	shape                 float64
	window                []float64
	scale                 float64 // 1/(fs sum w^2)
	cLo, cHi              int     // bins whose complex values are wanted
	pLo, pHi              int     // bins whose powers are wanted
	wantUnit              bool

	tiles int
	grid  int // segments start at first + multiples of grid, counted in columns of the stream
	reuse bool
	tags  []int64 // start column of the segment a slot holds, -1 = none
	slots []int   // slot of each segment of the current window, oldest first
	cross []vec   // slots x tiles x 2 (cHi-cLo)
	unit  []vec   // like cross: spectra divided by their magnitude, when wanted
	power []vec   // slots x tiles x (pHi-pLo)
	plan  *fft.Plan
	bins  []vec
	done  bool
	index int64
}

// spectra returns the product for w, or what is wrong with the settings.
func (p *Plan) spectra(w Welch) (*spectra, error) {
	s := &spectra{rate: p.In.Rate, seconds: p.Seconds(p.Length), detrend: w.Detrend, taperName: w.Window, shape: w.Shape}
	s.segment = min(p.Length, int(math.Round(p.In.Rate)))
	var err error
	if w.Segment != 0 {
		if s.segment, err = columns("segment", w.Segment, p.In.Rate); err != nil {
			return nil, err
		}
	}
	if s.segment > p.Length {
		return nil, fmt.Errorf("segment: %v s is longer than the window (%v s)", w.Segment, p.Seconds(p.Length))
	}
	if s.segment < 2 {
		return nil, fmt.Errorf("segment: a spectrum needs at least 2 samples (%v s)", 2/p.In.Rate)
	}
	s.step = halfStep(s.segment, p.Hop)
	if w.Step != 0 {
		if s.step, err = columns("step", w.Step, p.In.Rate); err != nil {
			return nil, err
		}
	}
	s.points = s.segment
	if w.Pad != 0 {
		if w.Pad < s.segment || w.Pad > stream.MaxColumns {
			return nil, fmt.Errorf("pad: %d points; allowed are %d (the segment) to %d", w.Pad, s.segment, stream.MaxColumns)
		}
		s.points = w.Pad
	}
	if s.taperName == "" {
		s.taperName = "hann"
	}
	switch s.detrend {
	case "":
		s.detrend = "constant"
	case "constant", "linear", "none":
	default:
		return nil, fmt.Errorf("detrend: %q; known are constant, linear and none", w.Detrend)
	}
	switch w.Average {
	case "", "mean", "median":
	default:
		return nil, fmt.Errorf("average: %q; known are mean and median", w.Average)
	}
	var shape []float64
	if w.Shape != 0 {
		shape = []float64{w.Shape}
	}
	if s.window, err = taper.ByName(s.taperName, s.segment, taper.Periodic, shape...); err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	var energy float64
	for _, v := range s.window {
		energy += v * v
	}
	s.scale = 1 / (p.In.Rate * energy)
	s.count = (p.Length-s.segment)/s.step + 1
	s.first = p.Length - s.segment - (s.count-1)*s.step
	s.cLo, s.pLo = math.MaxInt, math.MaxInt
	return share(p, func(q *spectra) bool {
		return q.segment == s.segment && q.step == s.step && q.points == s.points && q.taperName == s.taperName && q.shape == s.shape && q.detrend == s.detrend
	}, func() *spectra { return s }), nil
}

// halfStep returns the step nearest to half a segment that is a multiple of the hop,
// or a divisor of it when the hop is longer.
func halfStep(segment, hop int) int {
	half := max(1, segment/2)
	if hop <= half {
		return (half + hop/2) / hop * hop
	}
	for d := half; d > 1; d-- {
		if hop%d == 0 {
			return d
		}
	}
	return half
}

// wantPower asks for the powers of bins lo to hi-1.
func (s *spectra) wantPower(lo, hi int) { s.pLo, s.pHi = min(s.pLo, lo), max(s.pHi, hi) }

// wantCross asks for the complex values of bins lo to hi-1.
func (s *spectra) wantCross(lo, hi int) { s.cLo, s.cHi = min(s.cLo, lo), max(s.cHi, hi) }

// width returns the distance of two bins in Hz.
func (s *spectra) width() float64 { return s.rate / float64(s.points) }

// hz returns the frequency of a bin.
func (s *spectra) hz(bin int) float64 { return float64(bin) * s.rate / float64(s.points) }

// factor returns what turns the power of a bin into a one-sided density.
func (s *spectra) factor(bin int) float64 {
	if bin == 0 || 2*bin == s.points {
		return s.scale
	}
	return 2 * s.scale
}

func (s *spectra) alloc(p *Plan) {
	s.cLo, s.pLo = min(s.cLo, s.cHi), min(s.pLo, s.pHi)
	s.tiles = stream.TilesFor(p.In.Rows())
	s.grid, s.reuse = s.step, false
	slots := s.count
	switch {
	case s.count == 1 || s.step >= s.segment && p.Hop >= p.Length:
		s.grid = p.Hop
	case s.step%p.Hop == 0:
		s.grid, s.reuse = p.Hop, true
		slots = (s.count-1)*s.step/p.Hop + 1
	case p.Hop%s.step == 0:
		s.reuse = true
	}
	s.tags, s.slots = make([]int64, slots), make([]int, s.count)
	s.cross = make([]vec, slots*s.tiles*2*(s.cHi-s.cLo))
	if s.wantUnit {
		s.unit = make([]vec, len(s.cross))
	}
	s.power = make([]vec, slots*s.tiles*(s.pHi-s.pLo))
	s.plan = fft.NewPlan(s.points)
	s.bins = make([]vec, 2*s.plan.Bins())
	s.forget()
}

func (s *spectra) forget() {
	s.done = false
	for i := range s.tags {
		s.tags[i] = -1
	}
}

// of makes sure that every segment of the window has been transformed.
func (s *spectra) of(e *Epoch) {
	if s.done && s.index == e.Index {
		return
	}
	s.done, s.index = true, e.Index
	for k := range s.count {
		at := s.first + k*s.step
		start := e.Seq + int64(at)
		slot := k
		if s.reuse {
			slot = int((start - int64(s.first)) / int64(s.grid) % int64(len(s.tags)))
		}
		s.slots[k] = slot
		if s.tags[slot] == start {
			continue
		}
		s.tags[slot] = start
		for tile := range s.tiles {
			s.transform(slot, tile, e.Tile(tile)[at:at+s.segment])
		}
	}
}

// transform computes the spectrum of one segment of eight channels.
func (s *spectra) transform(slot, tile int, x []vec) {
	offset, slope := trend(x, s.detrend)
	s.plan.Load(x, s.window, &offset, &slope)
	lo, hi := min(s.cLo, s.pLo), max(s.cHi, s.pHi)
	if s.cLo == s.cHi {
		lo, hi = s.pLo, s.pHi
	} else if s.pLo == s.pHi {
		lo, hi = s.cLo, s.cHi
	}
	bins := s.bins[:2*(hi-lo)]
	s.plan.Transform(bins, lo, hi)
	copy(s.spectrum(slot, tile), bins[2*max(0, s.cLo-lo):])
	if s.wantUnit {
		units(s.unitSpectrum(slot, tile), s.spectrum(slot, tile))
	}
	if n := s.pHi - s.pLo; n > 0 {
		at := (slot*s.tiles + tile) * n
		powers(s.power[at:at+n], bins[2*(s.pLo-lo):])
	}
}

// spectrum returns bins cLo to cHi-1 of a slot: a row of real, a row of imaginary
// parts each.
func (s *spectra) spectrum(slot, tile int) []vec {
	n := 2 * (s.cHi - s.cLo)
	at := (slot*s.tiles + tile) * n
	return s.cross[at : at+n]
}

// unitSpectrum is spectrum with every bin divided by its magnitude.
func (s *spectra) unitSpectrum(slot, tile int) []vec {
	n := 2 * (s.cHi - s.cLo)
	at := (slot*s.tiles + tile) * n
	return s.unit[at : at+n]
}

// trend returns the line offset + slope*i that detrending subtracts.
func trend(x []vec, detrend string) (offset, slope vec) {
	if detrend == "none" {
		return
	}
	offset = meanOf(x)
	if detrend == "constant" || len(x) < 2 {
		return
	}
	n := float64(len(x))
	centre := (n - 1) / 2
	for i := range x {
		t := float64(i) - centre
		for l := range slope {
			slope[l] += float64(t * (x[i][l] - offset[l]))
		}
	}
	for l := range slope {
		slope[l] /= n * (n*n - 1) / 12
		offset[l] -= slope[l] * centre
	}
	return
}

// density is the product of averaged, scaled powers.
type density struct {
	s      *spectra
	median bool
	lo, hi int
	p      []vec // tiles x (hi-lo)
	sorted []float64
	done   bool
	index  int64
}

// density returns the product for w.
func (p *Plan) density(w Welch) (*density, error) {
	s, err := p.spectra(w)
	if err != nil {
		return nil, err
	}
	median := w.Average == "median"
	return share(p, func(d *density) bool { return d.s == s && d.median == median },
		func() *density { return &density{s: s, median: median, lo: math.MaxInt} }), nil
}

// want asks for bins lo to hi-1.
func (d *density) want(lo, hi int) {
	d.lo, d.hi = min(d.lo, lo), max(d.hi, hi)
	d.s.wantPower(d.lo, d.hi)
}

func (d *density) alloc(p *Plan) {
	d.p = make([]vec, stream.TilesFor(p.In.Rows())*(d.hi-d.lo))
	d.sorted = make([]float64, d.s.count)
	d.done = false
}

func (d *density) forget() { d.done = false }

// tile returns bins lo to hi-1 of eight channels.
func (d *density) tile(k int) []vec {
	n := d.hi - d.lo
	return d.p[k*n : (k+1)*n]
}

// of computes the averages of a window.
func (d *density) of(e *Epoch) {
	if d.done && d.index == e.Index {
		return
	}
	d.done, d.index = true, e.Index
	s := d.s
	s.of(e)
	n := s.pHi - s.pLo
	for k := range s.tiles {
		p := d.tile(k)
		if d.median {
			d.medians(k, p)
		} else {
			for i, slot := range s.slots {
				at := (slot*s.tiles+k)*n + d.lo - s.pLo
				from := s.power[at : at+len(p)]
				if i == 0 {
					copy(p, from)
				} else {
					addRows(p, from)
				}
			}
		}
		for b := range p {
			f := s.factor(d.lo + b)
			if !d.median {
				f /= float64(s.count)
			}
			v := &p[b]
			for l := range v {
				v[l] *= f
			}
		}
	}
}

// medians stores the medians over the segments, divided by their bias
// 1 + sum over i <= (K-1)/2 of 1/(2i+1) - 1/(2i).
func (d *density) medians(k int, p []vec) {
	s := d.s
	n := s.pHi - s.pLo
	bias := medianBias(s.count)
	for b := range p {
		for l := range p[b] {
			for i, slot := range s.slots {
				d.sorted[i] = s.power[(slot*s.tiles+k)*n+d.lo-s.pLo+b][l]
			}
			slices.Sort(d.sorted)
			h := s.count / 2
			m := d.sorted[h]
			if s.count%2 == 0 {
				m = (d.sorted[h-1] + m) / 2
			}
			p[b][l] = m / bias
		}
	}
}

func medianBias(n int) float64 {
	bias := 1.0
	for i := 1; i <= (n-1)/2; i++ {
		bias += 1/float64(2*i+1) - 1/float64(2*i)
	}
	return bias
}
