package features

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// Directed is who drives whom: measures of a vector autoregressive model (see VAR) that
// is fitted to the window, averaged over the frequencies of a band (one every Step Hz).
//
//	coherence |S_ij|^2/(S_ii S_jj)       partial  the same of S^-1
//	pdc    |A_ij|/sqrt(sum_i |A_ij|^2)   gpdc     with |A_ij|/sigma_i in the place of |A_ij|
//	dtf    |H_ij|/sqrt(sum_j |H_ij|^2)   ffdtf    the sum also over the frequencies of all bands
//	ddtf   ffdtf sqrt(partial)           granger  ln(S_ii/(S_ii - (Sigma_jj - Sigma_ij^2/Sigma_ii)|H_ij|^2/fs))
//
// [i][j] is what j does to i: the row "pdc C3>C4 8-13 Hz" is C3 driving C4. Granger
// (Geweke 1982) fits a model of its own to every pair. pdc and dtf are amplitudes.
//
// A model of C channels and order p has C^2 p coefficients from C times as many samples:
// a window below Ratio C p samples is refused. Above about 12 channels, choose some.
// An unstable fit, and one of channels without variance or of which one is a mixture of
// others (after a common average, for instance), gives 0, marked. Cost: O(length (C p)^2)
// and O(frequencies C^3), at every Every-th window.
//
// Sources: Baccala and Sameshima 2001, Kaminski and Blinowska 1991, Korzeniewska et al.
// 2003, Geweke 1982.
type Directed struct {
	Measure   string // "pdc" (default) or any of the above
	Bands     []Band
	Order     int      // of the model
	Method    string   // "ls" (least squares, default) or "nuttall-strand"
	Criterion string   // "" (the order given), or the best order up to it by "mdl"
	Channels  []string // labels; empty = all
	Step      float64  // Hz from one frequency to the next; 0 = 1
	Ratio     float64  // samples per C p that a window must have; 0 = 10
	Every     int      // windows from one computation to the next; 0 = 1

	kind   int
	use    []int // rows of the input
	rate   float64
	rows   [][]float64
	model  *VAR
	best   *VAR // with a criterion
	freqs  []float64
	bandOf []int // of each frequency
	count  []float64
	s      *varSpectrum
	radius []float64
	values []float64 // frequencies x C x C
	total  []float64 // of ffdtf, per row
	pair   [2][]float64
}

// Interval implements Slow.
func (x *Directed) Interval() int { return interval(x.Every) }

// Open implements Extractor.
func (x *Directed) Open(p *Plan) ([]Row, error) {
	var err error
	if x.kind, err = directedKind(x.Measure); err != nil {
		return nil, err
	}
	x.use, x.rate = x.use[:0], p.In.Rate
	for _, label := range x.Channels {
		i := p.In.Index(label)
		if i < 0 {
			return nil, fmt.Errorf("channels: there is no channel %q; there are %s", label, strings.Join(p.In.Labels(), ", "))
		}
		x.use = append(x.use, i)
	}
	if len(x.Channels) == 0 {
		for i := range p.In.Rows() {
			x.use = append(x.use, i)
		}
	}
	c := len(x.use)
	if c < 2 {
		return nil, errors.New("channels: a directed measure needs at least two")
	}
	if c > 32 {
		return nil, fmt.Errorf("channels: a model of %d channels has %d coefficients an order, which no window of an EEG determines; name up to 32, better 12", c, c*c)
	}
	if x.Order < 1 || x.Order > 64 {
		return nil, fmt.Errorf("order: %d; allowed are 1 to 64, such as 5 at 128 Hz", x.Order)
	}
	ratio := x.Ratio
	if ratio == 0 {
		ratio = 10
	}
	together := c
	if directedMeasures[x.kind] == "granger" {
		together = 2 // pair by pair
	}
	if need := ratio * float64(together*x.Order); float64(p.Length) < need || p.Length <= (together+1)*x.Order {
		return nil, fmt.Errorf("order: a model of %d channels and order %d wants %.0f samples (%.4g s), the window has %d: lengthen it, or take fewer channels or a lower order", together, x.Order, need, need/p.In.Rate, p.Length)
	}
	switch x.Method {
	case "", "ls", "nuttall-strand":
	default:
		return nil, fmt.Errorf("method: %q; known are ls and nuttall-strand", x.Method)
	}
	if x.Criterion != "" && x.Criterion != "mdl" {
		return nil, fmt.Errorf("criterion: %q; known is mdl", x.Criterion)
	}
	if len(x.Bands) == 0 {
		return nil, errors.New("bands: none given; name at least one, such as 8 to 13 Hz")
	}
	step := x.Step
	if step == 0 {
		step = 1
	}
	if !(step > 0) {
		return nil, fmt.Errorf("step: %v Hz; frequencies lie a positive distance apart", x.Step)
	}
	x.freqs, x.bandOf, x.count = x.freqs[:0], x.bandOf[:0], make([]float64, len(x.Bands))
	for b, band := range x.Bands {
		if !(band.Low >= 0) || !(band.High > band.Low) || band.High > p.In.Rate/2*1.0000001 || (band.High-band.Low)/step > 1e4 {
			return nil, fmt.Errorf("band %s: %v to %v Hz; at %v Hz it lies between 0 and %v Hz", band.label(), band.Low, band.High, p.In.Rate, p.In.Rate/2)
		}
		if s := p.Seconds(p.Length); band.Low > 0 && s*band.Low < 2-1e-9 {
			return nil, fmt.Errorf("band %s: a window of %.4g s holds less than two periods of %v Hz; it needs at least %.4g s", band.label(), s, band.Low, 2/band.Low)
		}
		for i := 0; band.Low+float64(i)*step < band.High-1e-9; i++ {
			x.freqs, x.bandOf = append(x.freqs, band.Low+float64(i)*step), append(x.bandOf, b)
			x.count[b]++
		}
	}
	x.rows = make([][]float64, c)
	for i := range x.rows {
		x.rows[i] = make([]float64, p.Length)
	}
	x.model, x.best = NewVAR(together, x.Order, p.Length), nil
	if x.Criterion != "" {
		x.best = NewVAR(together, x.Order, p.Length)
	}
	x.s = newVARSpectrum(together)
	x.radius = make([]float64, 2*together*x.Order*together*x.Order)
	x.values, x.total = make([]float64, len(x.freqs)*c*c), make([]float64, c)
	var rows []Row
	name := directedMeasures[x.kind]
	for _, band := range x.Bands {
		for _, i := range x.use {
			for _, j := range x.use {
				arrow := ">"
				if x.kind < 2 {
					arrow = "-"
					if j <= i {
						continue
					}
				}
				if i == j {
					continue
				}
				label := fmt.Sprintf("mvar-%s %s%s%s %s", name, p.In.Channels[i].Label, arrow, p.In.Channels[j].Label, band.label())
				rows = append(rows, Row{Channel: stream.Channel{Label: label, Type: "connectivity"}, From: x.use})
			}
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Directed) Extract(out Out, e *Epoch) {
	for i, ch := range x.use {
		t, l := e.Tile(ch/stream.Lanes), ch%stream.Lanes
		var mean float64
		for n := range t {
			mean += t[n][l]
		}
		mean /= float64(len(t))
		for n := range t {
			x.rows[i][n] = t[n][l] - mean
		}
	}
	c := len(x.use)
	ok := true
	if directedMeasures[x.kind] == "granger" {
		clear(x.values)
		for i := range c {
			for j := i + 1; j < c && ok; j++ {
				x.pair = [2][]float64{x.rows[i], x.rows[j]}
				m := x.fit(x.pair[:])
				if ok = m != nil; ok {
					ok = x.granger(m, i, j)
				}
			}
		}
	} else {
		m := x.fit(x.rows)
		ok = m != nil && x.measure(m)
	}
	if !ok {
		for i := range out.Values {
			out.Undefined(i)
		}
		return
	}
	row := 0
	for b := range x.Bands {
		for i := range c {
			for j := range c {
				if i == j || x.kind < 2 && j < i {
					continue
				}
				var sum float64
				for f := range x.freqs {
					if x.bandOf[f] == b {
						sum += x.values[(f*c+j)*c+i] // i drives j
					}
				}
				out.Set(row, sum/x.count[b])
				row++
			}
		}
	}
}

// fit returns the model of some channels, or nil.
func (x *Directed) fit(rows [][]float64) *VAR {
	fit := (*VAR).LeastSquares
	if x.Method == "nuttall-strand" {
		fit = (*VAR).NuttallStrand
	}
	m := x.model
	if x.Criterion == "" {
		if !fit(m, rows, x.Order) {
			return nil
		}
	} else {
		size, c := float64(len(rows[0])), float64(len(rows))
		best := math.Inf(1)
		for order := 1; order <= x.Order; order++ { // N ln det Sigma + p C^2 ln N
			if !fit(m, rows, order) {
				return nil
			}
			if v := size*m.LogDet() + float64(order)*c*c*math.Log(size); v < best {
				best = v
				x.model, x.best = x.best, x.model
				m = x.model
			}
		}
		m = x.best
	}
	if x.Method != "nuttall-strand" && m.Radius(x.radius) >= 1 {
		return nil
	}
	return m
}

// granger fills in both directions of a pair.
func (x *Directed) granger(m *VAR, i, j int) bool {
	c := len(x.use)
	for f, hz := range x.freqs {
		if !x.s.at(m, hz, x.rate, false) {
			return false
		}
		x.values[(f*c+i)*c+j] = m.granger(x.s, 0, 1, x.rate)
		x.values[(f*c+j)*c+i] = m.granger(x.s, 1, 0, x.rate)
	}
	return true
}

// granger is Geweke's measure of what j does to i.
func (v *VAR) granger(s *varSpectrum, i, j int, rate float64) float64 {
	n := v.n
	own := real(s.s[i*n+i])
	noise := v.Sigma[j*n+j] - v.Sigma[i*n+j]*v.Sigma[i*n+j]/v.Sigma[i*n+i]
	rest := own - noise*abs2(s.h[i*n+j])/rate
	if !(rest > 0) || !(own > 0) {
		return 0
	}
	return max(0, math.Log(own/rest)) // rounding alone goes below
}

// measure fills values[f][i][j].
func (x *Directed) measure(m *VAR) bool {
	c, name := len(x.use), directedMeasures[x.kind]
	partial := name == "partial" || name == "ddtf"
	if partial && !m.invertSigma(x.s.inverseSigma) {
		return false
	}
	clear(x.total)
	for f, hz := range x.freqs {
		if !x.s.at(m, hz, x.rate, partial) {
			return false
		}
		x.s.measures(name, m, x.values[f*c*c:(f+1)*c*c])
		for i := range c {
			for j := range c {
				x.total[i] += abs2(x.s.h[i*c+j])
			}
		}
	}
	if name == "ffdtf" || name == "ddtf" {
		for f := range x.freqs {
			for i := range c {
				for j := range c {
					x.values[(f*c+i)*c+j] /= math.Sqrt(x.total[i])
				}
			}
		}
	}
	return true
}

// invertSigma fills dst with Sigma^-1.
func (v *VAR) invertSigma(dst []float64) bool {
	n, l := v.n, v.m[0]
	if !lowerFactor(l, v.Sigma, n) {
		return false
	}
	for j := range n {
		for i := range n { // L y = unit j
			s := 0.0
			if i == j {
				s = 1
			}
			for k := range i {
				s -= l[i*n+k] * dst[k*n+j]
			}
			dst[i*n+j] = s / l[i*n+i]
		}
		for i := n - 1; i >= 0; i-- { // L^T x = y
			s := dst[i*n+j]
			for k := i + 1; k < n; k++ {
				s -= l[k*n+i] * dst[k*n+j]
			}
			dst[i*n+j] = s / l[i*n+i]
		}
	}
	return true
}

// measures fills dst[i][j] at the newest frequency; ffdtf and ddtf lack the division by
// the sum over frequencies.
func (s *varSpectrum) measures(name string, m *VAR, dst []float64) {
	n := s.n
	for i := range n {
		for j := range n {
			var v float64
			switch name {
			case "coherence":
				v = coherencyMeasure(squaredCoherence, real(s.s[i*n+j]), imag(s.s[i*n+j]), real(s.s[i*n+i])*real(s.s[j*n+j]))
			case "partial":
				v = s.partial(i, j)
			case "pdc":
				v = math.Sqrt(abs2(s.a[i*n+j]))
			case "gpdc":
				v = math.Sqrt(abs2(s.a[i*n+j]) / m.Sigma[i*n+i])
			case "ddtf":
				v = math.Sqrt(abs2(s.h[i*n+j]) * s.partial(i, j))
			default:
				v = math.Sqrt(abs2(s.h[i*n+j]))
			}
			dst[i*n+j] = v
		}
	}
	for k := range n { // columns of pdc, rows of dtf
		var sum float64
		switch name {
		case "pdc", "gpdc":
			for i := range n {
				sum += dst[i*n+k] * dst[i*n+k]
			}
			for i := range n {
				dst[i*n+k] /= math.Sqrt(sum)
			}
		case "dtf":
			for j := range n {
				sum += dst[k*n+j] * dst[k*n+j]
			}
			for j := range n {
				dst[k*n+j] /= math.Sqrt(sum)
			}
		}
	}
}

// partial is the squared partial coherence.
func (s *varSpectrum) partial(i, j int) float64 {
	n := s.n
	z := s.inverseS[i*n+j]
	return coherencyMeasure(squaredCoherence, real(z), imag(z), real(s.inverseS[i*n+i])*real(s.inverseS[j*n+j]))
}
