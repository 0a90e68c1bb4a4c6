package filters

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"neurostream/stream"
)

// spline is the spherical spline through the channels of a montage (Perrin, Pernier,
// Bertrand and Echallier 1989, with the correction of 1990):
//
//	v(e) = c0 + Σ_j c_j g(cos(e, e_j)),  Σ c_j = 0
//	g(x) = 1/4π Σ_n (2n+1)/(n(n+1))^m P_n(x)
//
// It keeps the inverse P of the system [[G + λI, 1], [1ᵀ, 0]]. What the spline through
// the other channels says about a set B of them is −(P_BB)⁻¹ P_B· x, so that any set of
// bad channels costs a system of their number only.
type spline struct {
	rows    []int // of the stream
	inverse []float64
	n       int

	// The set that weights was made for, and the scratch.
	set     []uint8
	bad     []int
	weights []float64 // a row for every bad channel
	system  []float64
	x       []float64
}

// openSpline is for the channels of rows.
func openSpline(in *stream.Header, rows []int, stiffness, terms int, lambda float64) (*spline, [][3]float64, error) {
	p, err := unitPositions(in, rows)
	if err != nil {
		return nil, nil, err
	}
	n := len(rows)
	if n > 1024 {
		return nil, nil, fmt.Errorf("splines over %d channels are too large; the most is 1024", n)
	}
	a := mat.NewDense(n+1, n+1, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, legendreSum(dot(p[i], p[j]), stiffness, terms))
		}
		a.Set(i, i, a.At(i, i)+lambda)
		a.Set(i, n, 1)
		a.Set(n, i, 1)
	}
	var inv mat.Dense
	if inv.Inverse(a) != nil && mat.Cond(a, 1) > 1e15 {
		return nil, nil, fmt.Errorf("the positions of the channels do not define a spline; raise lambda")
	}
	s := &spline{rows: rows, n: n, set: make([]uint8, stream.TilesFor(in.Rows())), bad: make([]int, 0, n)}
	s.inverse = inv.RawMatrix().Data
	s.weights, s.system, s.x = make([]float64, n*n), make([]float64, n*n), make([]float64, n)
	return s, p, nil
}

// legendreSum is 1/4π Σ_{n=1..terms} (2n+1)/(n(n+1))^m P_n(x).
func legendreSum(x float64, m, terms int) float64 {
	x = max(-1, min(1, x))
	before, now, sum := 1.0, x, 0.0
	for n := 1; n <= terms; n++ {
		k := float64(n)
		sum += (2*k + 1) / math.Pow(k*(k+1), float64(m)) * now
		before, now = now, ((2*k+1)*x*now-k*before)/(k+1)
	}
	return sum / (4 * math.Pi)
}

// prepare finds the weights for the channels of rows that are in the set, and reports
// whether the others define a spline. It does not allocate.
func (s *spline) prepare(set []uint8) bool {
	same := len(s.bad) > 0
	for k, b := range set {
		same = same && b == s.set[k]
	}
	if same {
		return s.n-len(s.bad) >= 3
	}
	copy(s.set, set)
	s.bad = s.bad[:0]
	for i, ch := range s.rows {
		if set[ch/stream.Lanes]>>(ch%stream.Lanes)&1 != 0 {
			s.bad = append(s.bad, i)
		}
	}
	if s.n-len(s.bad) < 3 {
		return false
	}
	b, w := len(s.bad), s.n+1
	// Gaussian elimination of P_BB with pivots; the right sides are -P_B·.
	for r, i := range s.bad {
		for c, j := range s.bad {
			s.system[r*b+c] = s.inverse[i*w+j]
		}
		for j := range s.n {
			s.weights[r*s.n+j] = -s.inverse[i*w+j]
		}
	}
	for c := range b {
		p := c
		for r := c + 1; r < b; r++ {
			if math.Abs(s.system[r*b+c]) > math.Abs(s.system[p*b+c]) {
				p = r
			}
		}
		if s.system[p*b+c] == 0 {
			s.bad = s.bad[:0]
			return false
		}
		if p != c {
			for k := range b {
				s.system[p*b+k], s.system[c*b+k] = s.system[c*b+k], s.system[p*b+k]
			}
			for k := range s.n {
				s.weights[p*s.n+k], s.weights[c*s.n+k] = s.weights[c*s.n+k], s.weights[p*s.n+k]
			}
		}
		for r := range b {
			if r == c {
				continue
			}
			f := s.system[r*b+c] / s.system[c*b+c]
			if f == 0 {
				continue
			}
			for k := c; k < b; k++ {
				s.system[r*b+k] -= float64(f * s.system[c*b+k])
			}
			for k := range s.n {
				s.weights[r*s.n+k] -= float64(f * s.weights[c*s.n+k])
			}
		}
	}
	for r := range b {
		d := s.system[r*b+r]
		for k := range s.n {
			s.weights[r*s.n+k] /= d
		}
		for _, j := range s.bad { // bad channels do not enter
			s.weights[r*s.n+j] = 0
		}
	}
	return true
}

// fill replaces, in column i of x, the channels of the set by what the others say.
// It reports whether it could.
func (s *spline) fill(x *stream.Chunk, i int, set []uint8) bool {
	if !s.prepare(set) {
		return false
	}
	for j, ch := range s.rows {
		s.x[j] = x.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
	}
	for r, b := range s.bad {
		sum := 0.0
		for j, w := range s.weights[r*s.n : (r+1)*s.n] {
			sum += float64(w * s.x[j])
		}
		ch := s.rows[b]
		x.Tile(ch / stream.Lanes)[i][ch%stream.Lanes] = sum
	}
	return true
}

// Interpolate replaces bad channels by what the spherical spline through the good ones
// says: always the channels that are named, and any other while it is marked bad. What
// was replaced is good again; while too few channels are good to replace the others,
// nothing is. Channels that are not of the brain stay as they are.
//
// The same spline as MNE's interpolate_bads (stiffness 4, λ = 1e-5). Cost: a
// multiplication a bad sample and channel; C·b² when the set of b bad channels changes.
type Interpolate struct {
	Channels []string // labels of channels that are always replaced

	rows   []uint8
	always []uint8
	now    []uint8
	spline *spline
	told   []int64 // by row: column from which on a replacement is news
	pause  int64
	labels []string
}

// Open computes the spline.
func (f *Interpolate) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	rows := brain(&in)
	always, err := find("channels", f.Channels, &in)
	if err != nil {
		return stream.Header{}, err
	}
	if len(rows)-len(always) < 4 {
		return stream.Header{}, fmt.Errorf("interpolation needs at least four good channels, %d are left", max(0, len(rows)-len(always)))
	}
	if f.spline, _, err = openSpline(&in, rows, 4, 50, 1e-5); err != nil {
		return stream.Header{}, err
	}
	f.rows, f.always, f.now = rowMask(rows, in.Rows()), rowMask(always, in.Rows()), make([]uint8, stream.TilesFor(in.Rows()))
	for _, ch := range always {
		if f.rows[ch/stream.Lanes]>>(ch%stream.Lanes)&1 == 0 {
			return stream.Header{}, fmt.Errorf("channel %q is of type %s and cannot be interpolated", in.Channels[ch].Label, in.Channels[ch].Type)
		}
	}
	f.told, f.pause = make([]int64, in.Rows()), max(1, int64(in.Rate))
	f.labels = make([]string, in.Rows())
	for ch, c := range in.Channels {
		f.labels[ch] = c.Label + " is interpolated"
	}
	f.Reset()
	return in, nil
}

// Process replaces bad channels.
func (f *Interpolate) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	quarantine(dst, src)
	if src.Flags.Broken() {
		f.Reset()
	}
	any := false
	for i := range dst.Len {
		busy := uint8(0)
		for k := range f.now {
			f.now[k] = f.always[k] | f.rows[k]&dst.Bad(k)[i]
			busy |= f.now[k]
		}
		if busy != 0 && f.spline.fill(dst, i, f.now) {
			f.report(dst, i)
			for k := range f.now {
				dst.Bad(k)[i] &^= f.now[k]
			}
		} else {
			for k := range f.always {
				dst.Bad(k)[i] |= f.always[k]
			}
		}
		for k := range f.now {
			any = any || dst.Bad(k)[i] != 0
		}
	}
	if dst.Flags &^= stream.Bad; any {
		dst.Flags |= stream.Bad
	}
}

// report says that a channel is replaced, once a second at most.
func (f *Interpolate) report(dst *stream.Chunk, i int) {
	seq := dst.Seq + int64(i)
	for k, b := range f.now {
		if b &^= f.always[k]; b == 0 {
			continue
		}
		for l := range stream.Lanes {
			ch := k*stream.Lanes + l
			if b>>l&1 != 0 {
				if seq >= f.told[ch] {
					dst.Events = append(dst.Events, stream.Event{Kind: stream.EventArtifact, Seq: seq, Time: dst.T0, Count: 1, Origin: "interpolate", Detail: f.labels[ch]})
				}
				f.told[ch] = seq + f.pause
			}
		}
	}
}

// Reset forgets what was reported.
func (f *Interpolate) Reset() {
	for ch := range f.told {
		f.told[ch] = math.MinInt64
	}
}

// CurrentSourceDensity is the surface Laplacian of the spherical spline through all
// channels of the brain: sharper maps, without a reference. Bad channels are left out
// of the spline; their own outputs are then what the others say, and marked. Channels
// that are not of the brain follow behind, unchanged.
//
// As MNE's compute_current_source_density: with Gi = (G + λI)⁻¹, c its row sums,
// y = H (Gi − c cᵀ/Σc) (x − mean)/r², H from exponent m−1. Unit of the output: that of
// the input per square metre. Fewer than 16 channels make it unreliable. Cost: C
// multiplications a sample and channel.
type CurrentSourceDensity struct {
	Stiffness int     // m, 2 to 6; 0 = 4
	Lambda    float64 // regularisation; 0 = 1e-5
	Terms     int     // of the Legendre series, 7 to 200; 0 = 50
	Radius    float64 // of the head in metres; 0 = 0.095

	mix
	spline *spline
	set    []uint8
	brain  []uint8
}

// Open computes the matrix.
func (f *CurrentSourceDensity) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	m, lambda, terms, radius := f.Stiffness, f.Lambda, f.Terms, f.Radius
	if m == 0 {
		m = 4
	}
	if lambda == 0 {
		lambda = 1e-5
	}
	if terms == 0 {
		terms = 50
	}
	if radius == 0 {
		radius = 0.095
	}
	switch {
	case m < 2 || m > 6:
		return stream.Header{}, fmt.Errorf("stiffness %d is impossible; allowed are 2 to 6", m)
	case !(lambda > 0 && lambda < 1):
		return stream.Header{}, fmt.Errorf("lambda %v is impossible; allowed is above 0 and below 1", lambda)
	case terms < 7 || terms > 200:
		return stream.Header{}, fmt.Errorf("%d terms are impossible; allowed are 7 to 200", terms)
	case !(radius > 0 && radius <= 10):
		return stream.Header{}, fmt.Errorf("a head of radius %v m is impossible; allowed is above 0 and up to 10 m", radius)
	}
	rows := brain(&in)
	if len(rows) < 4 {
		return stream.Header{}, fmt.Errorf("a surface Laplacian needs at least four channels, not %d", len(rows))
	}
	s, p, err := openSpline(&in, rows, m, terms, lambda)
	if err != nil {
		return stream.Header{}, err
	}
	f.spline = s
	matrix, err := currentSourceDensity(p, m, terms, lambda, radius)
	if err != nil {
		return stream.Header{}, err
	}
	out := in.Clone()
	out.Channels = nil
	var pass []int
	for _, ch := range rows {
		c := in.Channels[ch]
		if c.Unit != "" {
			c.Unit += "/m^2"
		}
		out.Channels = append(out.Channels, c)
	}
	f.brain = rowMask(rows, in.Rows())
	for ch := range in.Channels {
		if f.brain[ch/stream.Lanes]>>(ch%stream.Lanes)&1 == 0 {
			pass = append(pass, ch)
			out.Channels = append(out.Channels, in.Channels[ch])
		}
	}
	f.open(&in, rows, pass, matrix)
	f.set = make([]uint8, len(f.brain))
	return out, out.Validate()
}

// currentSourceDensity is the matrix by output and input channel.
func currentSourceDensity(p [][3]float64, m, terms int, lambda, radius float64) ([][]float64, error) {
	n := len(p)
	g, h := mat.NewDense(n, n, nil), mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			x := dot(p[i], p[j])
			g.Set(i, j, legendreSum(x, m, terms))
			h.Set(i, j, legendreSum(x, m-1, terms))
		}
		g.Set(i, i, g.At(i, i)+lambda)
	}
	var inv, product mat.Dense
	if inv.Inverse(g) != nil && mat.Cond(g, 1) > 1e15 {
		return nil, fmt.Errorf("the positions of the channels do not define a spline; raise lambda")
	}
	c, total := make([]float64, n), 0.0
	for i := range n {
		c[i] = sum(inv.RawRowView(i))
		total += c[i]
	}
	for i := range n {
		for j := range n {
			inv.Set(i, j, inv.At(i, j)-c[i]*c[j]/total)
		}
	}
	product.Mul(h, &inv)
	out := make([][]float64, n)
	for i := range n {
		row := product.RawRowView(i)
		centre := mean(row)
		for j := range row {
			row[j] = (row[j] - centre) / (radius * radius)
		}
		out[i] = row
	}
	return out, nil
}

// Process filters a chunk.
func (f *CurrentSourceDensity) Process(dst, src *stream.Chunk) {
	follow(dst, src)
	in := f.clean
	in.Follow(src)
	quarantine(in, src)
	flags := in.Flags
	if flags&stream.Bad != 0 {
		for i := range in.Len {
			busy := uint8(0)
			for k := range f.set {
				f.set[k] = f.brain[k] & in.Bad(k)[i]
				busy |= f.set[k]
			}
			if busy == 0 {
				continue
			}
			filled := f.spline.fill(in, i, f.set)
			for o, ch := range f.inputs {
				if !filled || in.IsBad(ch, i) {
					dst.MarkBad(o, i)
				}
			}
		}
		in.Flags &^= stream.Bad // marked above; the rows behind are marked below
	}
	f.mix.process(dst, in)
	if flags&stream.Bad != 0 {
		for p, ch := range f.pass {
			for i := range in.Len {
				if in.IsBad(ch, i) {
					dst.MarkBad(f.rows+p, i)
				}
			}
		}
	}
}
