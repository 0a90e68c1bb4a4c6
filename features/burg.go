package features

import (
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Burg is the density of an autoregressive model of every channel (Burg 1975), at the
// frequencies Low, Low+Step, ... High, a row each, labelled "psd C3 10 Hz":
//
//	k_m = -2 sum f[n] b[n-1] / sum (f[n]^2 + b[n-1]^2),  E <- E (1 - k^2)
//	P(f) = c E / (fs |1 + sum a_k exp(-2 pi i f k/fs)|^2),  c = 2 (1 at 0 and Nyquist)
//
// The level is kept: other tools publish 1/|A|^2, blind to amplitude; Shape does so for
// comparison. With Segment the window is cut into pieces, each modelled about its own
// mean, and their spectra are averaged. The denominator is summed anew for every order
// (the shortcut cancels); the recursion stops where E falls below 1e-12 of its start.
// A channel without variance gives 0, marked. Cost: O(length order + frequencies order).
type Burg struct {
	Order     int     // of the model; 0 = from Seconds
	Seconds   float64 // length of the model, order = floor(Seconds fs); 0 = 0.04 s
	Criterion string  // "" (the order given), or the best order up to it by "aic" or "mdl"
	Low, High float64 // Hz; zero High = Nyquist
	Step      float64 // Hz; 0 = 1
	Segment   float64 // s; 0 = the whole window
	Hop       float64 // s from one segment to the next; 0 = Segment
	Scale     string  // "linear" (default), "log" or "db"
	Shape     bool    // 1/|A|^2 without level
	KeepMean  bool    // do not subtract each segment's mean
	Every     int     // windows from one computation to the next; 0 = 1

	freqs  []float64
	cosine []float64 // per frequency and lag: cos, -sin
	order  int
	rate   float64
	n      int
	starts []int
	f, b   []vec
	model  arModel
	p      []vec // densities, per frequency
}

// Interval implements Slow.
func (x *Burg) Interval() int { return interval(x.Every) }

// arModel is x[n] = -a1 x[n-1] - ... + e for eight channels.
type arModel struct {
	a, spare []vec // a[0] = 1
	k        []vec // reflection coefficients
	e        []vec // error power of each order, E[0] = mean square
	orderOf  [stream.Lanes]int
}

// Open implements Extractor.
func (x *Burg) Open(p *Plan) ([]Row, error) {
	x.rate, x.n = p.In.Rate, p.Length
	var err error
	hop := 0.0
	if x.Segment != 0 {
		if x.n, err = columns("segment", x.Segment, x.rate); err != nil {
			return nil, err
		}
		if x.n > p.Length {
			return nil, fmt.Errorf("segment: %v s is longer than the window (%v s)", x.Segment, p.Seconds(p.Length))
		}
		if hop = x.Hop; hop == 0 {
			hop = x.Segment
		}
		if !(hop*x.rate >= 1) {
			return nil, fmt.Errorf("hop: %v s; segments are at least one sample apart (%v s)", x.Hop, 1/x.rate)
		}
	} else if x.Hop != 0 {
		return nil, errors.New("hop: without segment there is nothing to step; give both")
	}
	x.starts = x.starts[:0]
	for k := 0; ; k++ {
		at := int(math.RoundToEven(float64(k) * hop * x.rate))
		if at+x.n > p.Length || hop == 0 && k > 0 {
			break
		}
		x.starts = append(x.starts, at)
	}
	x.order = x.Order
	if x.order == 0 {
		seconds := x.Seconds
		if seconds == 0 {
			seconds = 0.04
		}
		x.order = int(math.Floor(seconds*x.rate + 1e-9))
	}
	if x.order < 1 || 2*x.order >= x.n {
		return nil, fmt.Errorf("order: %d; a segment of %d samples allows 1 to %d (a third of it, %d, is wise)", x.order, x.n, (x.n-1)/2, x.n/3)
	}
	switch x.Criterion {
	case "", "aic", "mdl":
	default:
		return nil, fmt.Errorf("criterion: %q; known are aic and mdl", x.Criterion)
	}
	step, high := x.Step, x.High
	if step == 0 {
		step = 1
	}
	if high == 0 {
		high = x.rate / 2
	}
	if !(step > 0) || !(x.Low >= 0) || high < x.Low || high > x.rate/2 || (high-x.Low)/step > 1e5 {
		return nil, fmt.Errorf("range: %v to %v Hz by %v Hz; at %v Hz it lies between 0 and %v Hz", x.Low, high, step, x.rate, x.rate/2)
	}
	unit := p.squared() + "/Hz"
	if x.Shape {
		unit = ""
	}
	if unit, err = scaledUnit(x.Scale, unit); err != nil {
		return nil, err
	}
	x.freqs, x.cosine = x.freqs[:0], x.cosine[:0]
	for i := 0; x.Low+float64(i)*step <= high*(1+1e-12); i++ {
		f := x.Low + float64(i)*step
		x.freqs = append(x.freqs, f)
		for lag := range x.order + 1 {
			u := complexUnit(f, int64(lag), x.rate)
			x.cosine = append(x.cosine, u[:]...)
		}
	}
	x.f, x.b = make([]vec, x.n), make([]vec, x.n)
	x.model.alloc(x.order)
	x.p = make([]vec, len(x.freqs))
	var rows []Row
	for i, c := range p.In.Channels {
		for _, f := range x.freqs {
			rows = append(rows, Row{Channel: stream.Channel{Label: fmt.Sprintf("psd %s %.6g Hz", c.Label, f), Unit: unit, Type: "feature", Position: c.Position, Placed: c.Placed}, From: []int{i}})
		}
	}
	return rows, nil
}

func (m *arModel) alloc(order int) {
	m.a, m.spare = make([]vec, order+1), make([]vec, order+1)
	m.k, m.e = make([]vec, order), make([]vec, order+1)
}

// Extract implements Extractor.
func (x *Burg) Extract(out Out, e *Epoch) {
	for k := range e.Tiles() {
		clear(x.p)
		for _, at := range x.starts {
			t := e.Tile(k)[at : at+x.n]
			var mean vec
			if !x.KeepMean {
				mean = meanOf(t)
			}
			subtract(x.f, t, &mean)
			x.model.fit(x.f, x.b, x.Criterion)
			x.addDensity()
		}
		for l := range min(stream.Lanes, e.Rows()-k*stream.Lanes) {
			row := (k*stream.Lanes + l) * len(x.freqs)
			for i := range x.freqs {
				v := x.p[i][l] / float64(len(x.starts))
				out.Set(row+i, scaled(x.Scale, v))
				if !(v > 0) {
					out.Bad[row+i] = true
				}
			}
		}
	}
}

// addDensity adds the model's density at every frequency.
func (x *Burg) addDensity() {
	m := &x.model
	for i, f := range x.freqs {
		basis := x.cosine[2*i*(x.order+1) : 2*(i+1)*(x.order+1)]
		re, im := project(m.a, basis)
		gain := 2 / x.rate
		if f == 0 || 2*f == x.rate {
			gain = 1 / x.rate
		}
		for l := range re {
			level := gain * m.e[m.orderOf[l]][l]
			if x.Shape {
				level = 1
			}
			if d := float64(re[l]*re[l]) + float64(im[l]*im[l]); d > 0 {
				x.p[i][l] += level / d
			}
		}
	}
}

// fit runs Burg's recursion on the forward errors f (destroyed) with scratch b.
func (m *arModel) fit(f, b []vec, criterion string) {
	copy(b, f)
	order := len(m.k)
	clear(m.a)
	clear(m.k)
	clear(m.e)
	for i := range f {
		for l := range f[i] {
			m.e[0][l] += float64(f[i][l] * f[i][l])
		}
	}
	n := len(f)
	for l := range m.a[0] {
		m.a[0][l] = 1
		m.e[0][l] /= float64(n)
		m.orderOf[l] = order
	}
	for step := 1; step <= order; step++ {
		var num, den vec
		for t := step; t < n; t++ {
			p, q := &f[t], &b[t-1]
			for l := range num {
				num[l] += float64(p[l] * q[l])
				den[l] += float64(p[l]*p[l]) + float64(q[l]*q[l])
			}
		}
		var k vec
		for l := range k {
			if den[l] > 0 && m.e[step-1][l] > 1e-12*m.e[0][l] {
				k[l] = max(-1+1e-12, min(1-1e-12, -2*num[l]/den[l]))
			}
		}
		m.k[step-1] = k
		for l := range k {
			m.e[step][l] = m.e[step-1][l] * (1 - k[l]*k[l])
		}
		copy(m.spare, m.a)
		for i := 1; i <= step; i++ {
			for l := range k {
				m.a[i][l] = m.spare[i][l] + float64(k[l]*m.spare[step-i][l])
			}
		}
		for t := n - 1; t >= step; t-- {
			p, q := &f[t], &b[t-1]
			r := &b[t]
			for l := range k {
				u, v := p[l], q[l]
				p[l] = u + float64(k[l]*v)
				r[l] = v + float64(k[l]*u)
			}
		}
	}
	if criterion != "" {
		m.choose(n, criterion)
	}
}

// choose finds the order of each lane by N ln E + 2m (aic) or N ln E + m ln N (mdl) and
// rebuilds its coefficients from the reflections.
func (m *arModel) choose(n int, criterion string) {
	penalty := 2.0
	if criterion == "mdl" {
		penalty = math.Log(float64(n))
	}
	for l := range stream.Lanes {
		best, value := len(m.k), math.Inf(1)
		for order := 1; order <= len(m.k); order++ {
			e := m.e[order][l]
			if !(e > 0) {
				break
			}
			if v := float64(n)*math.Log(e) + penalty*float64(order); v < value {
				best, value = order, v
			}
		}
		m.orderOf[l] = best
		for i := range m.a {
			m.a[i][l] = 0
		}
		m.a[0][l] = 1
		for step := 1; step <= best; step++ {
			k := m.k[step-1][l]
			for i, j := 0, step; i <= j; i, j = i+1, j-1 {
				p, q := m.a[i][l], m.a[j][l]
				m.a[i][l] = p + float64(k*q)
				m.a[j][l] = q + float64(k*p)
			}
			m.a[0][l] = 1
		}
	}
}
