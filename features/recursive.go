package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// ForgettingCovariance is the covariance with exponential forgetting, sample by sample,
//
//	d = x - m;  m <- m + a d;  C <- (1-a) (C + a d d^T),  a = 1 - exp(-1/(Tau fs)),
//
// starting at zero, read at the end of each window: rows as Covariance's. Rounding
// errors are forgotten with the samples. Cost: O(hop C^2).
type ForgettingCovariance struct {
	Tau   float64 // s, the time constant
	Alpha float64 // the weight a itself, instead of Tau

	a    float64
	mean []vec
	c    [][8]vec // tile pairs on and above the diagonal
	d    []vec
	next int64
}

// Open implements Extractor.
func (x *ForgettingCovariance) Open(p *Plan) ([]Row, error) {
	if x.a = x.Alpha; x.Alpha == 0 {
		x.a = -math.Expm1(-1 / (x.Tau * p.In.Rate))
	}
	if x.Alpha != 0 && x.Tau != 0 || !(x.a > 0 && x.a < 1) {
		return nil, fmt.Errorf("tau: %v s, alpha %v; give a positive tau, or an alpha between 0 and 1", x.Tau, x.Alpha)
	}
	if p.Hop > p.Length {
		return nil, fmt.Errorf("hop: %v s is longer than the window (%v s); forgetting needs every sample", p.Seconds(p.Hop), p.Seconds(p.Length))
	}
	rows, err := new(Covariance).Open(&Plan{In: p.In, Length: max(2, p.Length), Hop: p.Hop})
	if err != nil {
		return nil, err
	}
	tiles := stream.TilesFor(p.In.Rows())
	x.mean, x.d = make([]vec, tiles), make([]vec, tiles)
	x.c = make([][8]vec, tiles*(tiles+1)/2)
	x.Reset()
	return rows, nil
}

// Extract implements Extractor.
func (x *ForgettingCovariance) Extract(out Out, e *Epoch) {
	from := 0
	if x.next >= 0 {
		from = int(x.next - e.Seq)
	}
	x.next = e.Seq + int64(e.Len)
	keep := 1 - x.a
	for t := from; t < e.Len; t++ {
		for k := range x.d {
			v, m, d := &e.Tile(k)[t], &x.mean[k], &x.d[k]
			for l := range d {
				d[l] = v[l] - m[l]
				m[l] += float64(x.a * d[l])
			}
		}
		pair := 0
		for i := range x.d {
			for j := i; j < len(x.d); j++ {
				c, q := &x.c[pair], &x.d[j]
				for r := range c {
					w := x.a * x.d[i][r]
					for l := range q {
						c[r][l] = keep * (c[r][l] + float64(w*q[l]))
					}
				}
				pair++
			}
		}
	}
	rows, n := e.Rows(), len(x.d)
	row := 0
	for i := range rows {
		for j := i; j < rows; j++ {
			a, b := i/stream.Lanes, j/stream.Lanes
			out.Set(row, x.c[a*n-a*(a-1)/2+b-a][i%stream.Lanes][j%stream.Lanes])
			row++
		}
	}
}

// Reset implements Keeper.
func (x *ForgettingCovariance) Reset() {
	x.next = -1
	clear(x.mean)
	clear(x.c)
}

// Save implements Keeper.
func (x *ForgettingCovariance) Save(w *stream.StateWriter) {
	w.Int(x.next)
	w.Tiles(x.mean)
	for i := range x.c {
		w.Tiles(x.c[i][:])
	}
}

// Load implements Keeper.
func (x *ForgettingCovariance) Load(r *stream.StateReader) {
	x.next = r.Int()
	r.Tiles(x.mean)
	for i := range x.c {
		r.Tiles(x.c[i][:])
	}
}

// RunningCovariance is the covariance of all samples so far (Welford 1962): for
// calibration, where no window ends. The zero value with Add is ready to use.
type RunningCovariance struct {
	n    float64
	mean []float64
	m2   []float64
}

// Add takes one sample of every channel.
func (x *RunningCovariance) Add(sample []float64) {
	c := len(sample)
	if x.mean == nil {
		x.mean, x.m2 = make([]float64, c), make([]float64, c*c)
	}
	x.n++
	for i, v := range sample {
		d := v - x.mean[i]
		w := d * (x.n - 1) / x.n
		for j := 0; j < i; j++ { // channels before i already moved: their deviation is from the new mean
			x.m2[i*c+j] += d * (sample[j] - x.mean[j])
		}
		x.m2[i*c+i] += d * w
		x.mean[i] += d / x.n
	}
}

// Mean returns the mean of every channel.
func (x *RunningCovariance) Mean() []float64 { return x.mean }

// Covariance returns the matrix, row by row, divided by n-1; all zero before two samples.
func (x *RunningCovariance) Covariance() []float64 {
	c := len(x.mean)
	out := make([]float64, c*c)
	for i := range c {
		for j := 0; j <= i && x.n > 1; j++ {
			v := x.m2[i*c+j] / (x.n - 1)
			out[i*c+j], out[j*c+i] = v, v
		}
	}
	return out
}

// CholeskyUpdate turns the lower Cholesky factor L of A (n x n, row by row) into that of
// A + x x^T by n rotations, O(n^2), and destroys x (Golub and Van Loan 4.2, 6.5).
func CholeskyUpdate(l, x []float64) {
	n := len(x)
	for k := range n {
		r := math.Hypot(l[k*n+k], x[k])
		c, s := r/l[k*n+k], x[k]/l[k*n+k]
		l[k*n+k] = r
		for i := k + 1; i < n; i++ {
			l[i*n+k] = (l[i*n+k] + s*x[i]) / c
			x[i] = c*x[i] - s*l[i*n+k]
		}
	}
}
