package features

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
)

// Canonical is the largest canonical correlation between the channels and a sine of
// each frequency with its harmonics (Lin et al., IEEE Trans. Biomed. Eng. 53:2610,
// 2006): how much of a steady-state response to a flicker there is, from 0 to 1.
//
//	Y = [sin 2πft, cos 2πft, sin 4πft, …];  ρ = max over w, v of corr(Xw, Yv)
//
// It is computed over the newest seconds of the window for each of Lengths, so that
// one stage offers quick and sure evidence side by side. Rows: all frequencies of the
// first length, then of the next. Means are removed; a singular covariance of the
// channels is bridged by a ridge of 1e-11 of its mean eigenvalue. A window without
// variance is undefined. Cost per length: O(length · channels · (channels + 2 ·
// harmonics · frequencies)), nested lengths share it.
type Canonical struct {
	Freqs     []float64 // Hz
	Harmonics int       // 0 = 2
	Lengths   []float64 // s, up to the window's; nil = the window's

	c, h, tiles     int
	lengths         []int // columns, rising
	order           []int // position of each in Lengths
	basis           []float64
	sx, sy          []float64 // sums of channels; of the basis
	xx, xy, yy      []float64
	l, ly, w, m, ev []float64
}

// Open implements Extractor.
func (x *Canonical) Open(p *Plan) ([]Row, error) {
	if x.h = x.Harmonics; x.h == 0 {
		x.h = 2
	}
	if x.h < 1 || x.h > 8 {
		return nil, fmt.Errorf("harmonics: %d; allowed are 1 to 8", x.h)
	}
	if len(x.Freqs) == 0 {
		return nil, errors.New("freqs: none given; name at least one, in Hz")
	}
	for _, f := range x.Freqs {
		if !(f > 0) || f*float64(x.h) >= p.In.Rate/2 {
			return nil, fmt.Errorf("freqs: %v Hz with %d harmonics; at %v Hz all must lie between 0 and %v Hz", f, x.h, p.In.Rate, p.In.Rate/2)
		}
	}
	if x.c, x.tiles = p.In.Rows(), stream.TilesFor(p.In.Rows()); x.c > 256 {
		return nil, fmt.Errorf("canonical correlations of %d channels; the limit is 256: select some first", x.c)
	}
	seconds := x.Lengths
	if seconds == nil {
		seconds = []float64{p.Seconds(p.Length)}
	}
	var all []int
	for _, s := range seconds {
		n, err := columns("lengths", s, p.In.Rate)
		if err != nil {
			return nil, err
		}
		if n > p.Length {
			return nil, fmt.Errorf("lengths: %v s is longer than the window of %v s", s, p.Seconds(p.Length))
		}
		if n < 4*x.h {
			return nil, fmt.Errorf("lengths: %v s are %d samples; %d harmonics need at least %d", s, n, x.h, 4*x.h)
		}
		all = append(all, n)
	}
	x.order = make([]int, len(all))
	for i := range x.order {
		x.order[i] = i
	}
	slices.SortStableFunc(x.order, func(a, b int) int { return all[a] - all[b] })
	x.lengths = x.lengths[:0]
	for _, i := range x.order {
		x.lengths = append(x.lengths, all[i])
	}
	d := 2 * x.h
	x.basis = make([]float64, len(x.Freqs)*p.Length*d)
	for f, hz := range x.Freqs {
		for n := range p.Length { // n columns before the newest
			for h := range x.h {
				u := complexUnit(hz*float64(h+1), int64(n), p.In.Rate)
				copy(x.basis[(f*p.Length+n)*d+2*h:], u[:])
			}
		}
	}
	nf := len(x.Freqs)
	padded := x.tiles * stream.Lanes
	x.sx, x.sy = make([]float64, padded), make([]float64, nf*d)
	x.xx, x.xy, x.yy = make([]float64, padded*padded), make([]float64, nf*d*padded), make([]float64, nf*d*d)
	x.l, x.ly, x.w, x.m, x.ev = make([]float64, x.c*x.c), make([]float64, d*d), make([]float64, d*x.c), make([]float64, d*d), make([]float64, d)
	var rows []Row
	for _, s := range seconds {
		for _, f := range x.Freqs {
			rows = append(rows, Row{Channel: stream.Channel{Label: fmt.Sprintf("canonical %g Hz %g s", f, s), Type: "feature"}})
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Canonical) Extract(out Out, e *Epoch) {
	clear(x.sx)
	clear(x.sy)
	clear(x.xx)
	clear(x.xy)
	clear(x.yy)
	from := 0
	for i, n := range x.lengths {
		x.add(e, from, n)
		from = n
		for f := range x.Freqs {
			row := x.order[i]*len(x.Freqs) + f
			if rho, ok := x.correlation(f, float64(n)); ok {
				out.Set(row, rho)
			} else {
				out.Undefined(row)
			}
		}
	}
}

// add sums columns from to to-1 before the newest.
func (x *Canonical) add(e *Epoch, from, to int) {
	d, padded, last := 2*x.h, x.tiles*stream.Lanes, e.Len-1
	for k := range x.tiles {
		t := e.Tile(k)
		for n := from; n < to; n++ {
			v := &t[last-n]
			for l, s := range v {
				x.sx[k*stream.Lanes+l] += s
			}
			for j := 0; j <= k; j++ {
				u := &e.Tile(j)[last-n]
				for l, s := range v {
					row := (*[stream.Lanes]float64)(x.xx[(k*stream.Lanes+l)*padded+j*stream.Lanes:])
					for q := range row {
						row[q] += float64(s * u[q])
					}
				}
			}
			for f := range x.Freqs {
				b := x.basis[(f*e.Len+n)*d : (f*e.Len+n+1)*d]
				for i, y := range b {
					row := (*[stream.Lanes]float64)(x.xy[(f*d+i)*padded+k*stream.Lanes:])
					for q := range row {
						row[q] += float64(y * v[q])
					}
				}
			}
		}
	}
	for f := range x.Freqs {
		for n := from; n < to; n++ {
			b := x.basis[(f*e.Len+n)*d : (f*e.Len+n+1)*d]
			for i, y := range b {
				x.sy[f*d+i] += y
				for j := range i + 1 {
					x.yy[(f*d+i)*d+j] += float64(y * b[j])
				}
			}
		}
	}
}

// correlation solves for frequency f over n columns: ρ² is the largest eigenvalue of
// Ly⁻¹ Cyx Cxx⁻¹ Cxy Ly⁻ᵀ.
func (x *Canonical) correlation(f int, n float64) (float64, bool) {
	c, d, padded := x.c, 2*x.h, x.tiles*stream.Lanes
	trace := 0.0
	for i := range c {
		for j := range i + 1 {
			x.l[i*c+j] = x.xx[i*padded+j] - x.sx[i]*x.sx[j]/n
		}
		trace += x.l[i*c+i]
	}
	if !(trace > 0) || trace-trace != 0 {
		return 0, false
	}
	for i := range c {
		x.l[i*c+i] += 1e-11 * trace / float64(c)
	}
	for i := range d {
		for j := range i + 1 {
			x.ly[i*d+j] = x.yy[(f*d+i)*d+j] - x.sy[f*d+i]*x.sy[f*d+j]/n
		}
	}
	if !cholesky(x.l, c) || !cholesky(x.ly, d) {
		return 0, false
	}
	// w = (Lx⁻¹ Cxy)ᵀ, one row per basis function
	for i := range d {
		row := x.w[i*c : (i+1)*c]
		for j := range row {
			row[j] = x.xy[(f*d+i)*padded+j] - x.sx[j]*x.sy[f*d+i]/n
		}
		forward(x.l, c, row)
	}
	// rows of w combined by Ly⁻¹
	for i := range d {
		row := x.w[i*c : (i+1)*c]
		for j := range i {
			s := x.ly[i*d+j]
			for q, v := range x.w[j*c : (j+1)*c] {
				row[q] -= float64(s * v)
			}
		}
		for q := range row {
			row[q] /= x.ly[i*d+i]
		}
	}
	for i := range d {
		for j := range d {
			s := 0.0
			for q, v := range x.w[i*c : (i+1)*c] {
				s += float64(v * x.w[j*c+q])
			}
			x.m[i*d+j] = s
		}
	}
	return math.Sqrt(min(1, max(0, largestEigenvalue(x.m, d)))), true
}

// cholesky replaces the lower triangle of a by its factor.
func cholesky(a []float64, n int) bool {
	for i := range n {
		for j := range i + 1 {
			s := a[i*n+j]
			for k := range j {
				s -= float64(a[i*n+k] * a[j*n+k])
			}
			if i == j {
				if !(s > 0) {
					return false
				}
				a[i*n+i] = math.Sqrt(s)
			} else {
				a[i*n+j] = s / a[j*n+j]
			}
		}
	}
	return true
}

// forward solves L y = b in place.
func forward(l []float64, n int, b []float64) {
	for i := range n {
		s := b[i]
		for k := range i {
			s -= float64(l[i*n+k] * b[k])
		}
		b[i] = s / l[i*n+i]
	}
}

// largestEigenvalue of a symmetric matrix, by Jacobi rotations; a is destroyed.
func largestEigenvalue(a []float64, n int) float64 {
	for range 30 {
		off, diag := 0.0, 0.0
		for i := range n {
			diag += a[i*n+i] * a[i*n+i]
			for j := range i {
				off += a[i*n+j] * a[i*n+j]
			}
		}
		if off <= 1e-30*diag {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				g := a[p*n+q]
				if g == 0 {
					continue
				}
				theta := (a[q*n+q] - a[p*n+p]) / (2 * g)
				t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
				if theta < 0 {
					t = -t
				}
				c := 1 / math.Sqrt(t*t+1)
				s := t * c
				for k := range n {
					u, v := a[k*n+p], a[k*n+q]
					a[k*n+p], a[k*n+q] = float64(c*u)-float64(s*v), float64(s*u)+float64(c*v)
				}
				for k := range n {
					u, v := a[p*n+k], a[q*n+k]
					a[p*n+k], a[q*n+k] = float64(c*u)-float64(s*v), float64(s*u)+float64(c*v)
				}
			}
		}
	}
	top := a[0]
	for i := 1; i < n; i++ {
		top = max(top, a[i*n+i])
	}
	return top
}
