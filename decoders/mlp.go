package decoders

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/optimize"

	"neurostream/decoders/internal/dense"
)

// MLP is a network with one hidden layer of tanh units and linear outputs:
// f(x) = W2 tanh(W1 x + b1) + b2, fitted by L-BFGS on the mean squared error plus
// L2 (Bishop 2006, ch. 5). Predict costs 2h(n+d) operations and h tanh.
type MLP struct {
	Hidden     int     // units; 0 = 10
	L2         float64 // weight penalty per training row, on targets of unit variance; 0 = 1e-3
	Iterations int     // at most; 0 = 300
	Seed       uint64  // initial weights

	w1, w2 *dense.M
	b1, b2 []float64
	at     *dense.Panels // w1
	a      []float64     // hidden activations, padded to whole panels
}

type mlpFile struct {
	W1 [][]float64 `json:"W1"` // h × n
	B1 []float64   `json:"b1"`
	W2 [][]float64 `json:"W2"` // d × h
	B2 []float64   `json:"b2"`
}

func (m *MLP) file() mlpFile { return mlpFile{m.w1.Rows(), m.b1, m.w2.Rows(), m.b2} }

func (m *MLP) load(f *mlpFile) error {
	w1, err := dense.From(f.W1)
	if err != nil {
		return fmt.Errorf("network: W1: %w", err)
	}
	w2, err := dense.From(f.W2)
	if err != nil {
		return fmt.Errorf("network: W2: %w", err)
	}
	if w2.C != w1.R || len(f.B1) != w1.R || len(f.B2) != w2.R {
		return fmt.Errorf("network: W1 is %d × %d, b1 %d, W2 %d × %d, b2 %d: they do not fit", w1.R, w1.C, len(f.B1), w2.R, w2.C, len(f.B2))
	}
	for _, v := range append(append([]float64(nil), f.B1...), f.B2...) {
		if v-v != 0 {
			return errors.New("network: a bias is not a number")
		}
	}
	m.w1, m.b1, m.w2, m.b2 = w1, f.B1, w2, f.B2
	m.prepare()
	return nil
}

func (m *MLP) dims() (int, int) { return m.w1.C, m.w2.R }

// Fit learns f from examples. It is deterministic for a given Seed.
func (m *MLP) Fit(ctx context.Context, x, z [][]float64, progress func(done, total int)) error {
	if err := checkExamples(x, z); err != nil {
		return err
	}
	h, l2, iters := m.Hidden, m.L2, m.Iterations
	if h == 0 {
		h = 10
	}
	if l2 == 0 {
		l2 = 1e-3
	}
	if iters == 0 {
		iters = 300
	}
	if h < 1 || h > 4096 || !(l2 > 0) || iters < 1 {
		return fmt.Errorf("network: hidden %d, l2 %g, iterations %d: give 1 to 4096 units, a positive penalty and at least one iteration", h, l2, iters)
	}
	n, d := len(x[0]), len(z[0])
	mean, sd := columnMeans(z), make([]float64, d)
	for i := range sd {
		for t := range z {
			sd[i] += (z[t][i] - mean[i]) * (z[t][i] - mean[i])
		}
		if sd[i] = math.Sqrt(sd[i] / float64(len(z))); sd[i] == 0 {
			return fmt.Errorf("target %d is constant", i+1)
		}
	}
	g := &mlpLoss{x: x, n: n, h: h, d: d, l2: l2, a: make([]float64, h), e: make([]float64, d), back: make([]float64, h)}
	for t := range z {
		row := make([]float64, d)
		for i := range row {
			row[i] = (z[t][i] - mean[i]) / sd[i]
		}
		g.z = append(g.z, row)
	}
	p := make([]float64, h*n+h+d*h+d)
	r := rand.New(rand.NewPCG(m.Seed, 0x6d6c70))
	for i := range h * n {
		p[i] = r.NormFloat64() / math.Sqrt(float64(n))
	}
	for i := range d * h {
		p[h*n+h+i] = r.NormFloat64() / math.Sqrt(float64(h))
	}
	res, err := optimize.Minimize(
		optimize.Problem{Func: func(p []float64) float64 { return g.loss(p, nil) }, Grad: func(grad, p []float64) { g.loss(p, grad) }},
		p, &optimize.Settings{
			MajorIterations: iters, Converger: &optimize.FunctionConverge{Relative: 1e-7, Absolute: 1e-12, Iterations: 5},
			Recorder: stepRecorder{ctx, iters, progress},
		}, &optimize.LBFGS{Store: 20},
	)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if res == nil || res.F-res.F != 0 {
		return fmt.Errorf("network: training did not converge: %w", err)
	}
	// A failed line search at the end of the road still leaves the best point so far.
	q := res.X
	m.w1 = &dense.M{R: h, C: n, V: append([]float64(nil), q[:h*n]...)}
	m.b1 = append([]float64(nil), q[h*n:h*n+h]...)
	m.w2 = &dense.M{R: d, C: h, V: append([]float64(nil), q[h*n+h:h*n+h+d*h]...)}
	m.b2 = append([]float64(nil), q[h*n+h+d*h:]...)
	for k := range d {
		row := m.w2.Row(k)
		for i := range row {
			row[i] *= sd[k]
		}
		m.b2[k] = m.b2[k]*sd[k] + mean[k]
	}
	m.prepare()
	return nil
}

// prepare makes the workspace of Predict.
func (m *MLP) prepare() {
	m.at = dense.Pack(m.w1)
	m.a = make([]float64, m.at.Padded())
}

// Predict sets dst to f(x).
func (m *MLP) Predict(dst, x []float64) {
	m.at.Products(m.a, x)
	for i, b := range m.b1 {
		m.a[i] += b
	}
	dense.Tanh(m.a)
	for k := range m.w2.R {
		dst[k] = dense.Dot(m.w2.Row(k), m.a[:len(m.b1)]) + m.b2[k]
	}
}

// jacobian sets j (d × n) to ∂f/∂x at x.
func (m *MLP) jacobian(j *dense.M, x []float64) {
	clear(j.V)
	for i := range m.b1 {
		a := math.Tanh(dense.Dot(m.w1.Row(i), x) + m.b1[i])
		slope := 1 - a*a
		for k := range m.w2.R {
			s, row := m.w2.At(k, i)*slope, j.Row(k)
			for c, v := range m.w1.Row(i) {
				row[c] += float64(s * v)
			}
		}
	}
}

// mlpLoss is the objective over the flat parameters W1, b1, W2, b2.
type mlpLoss struct {
	x, z       [][]float64
	n, h, d    int
	l2         float64
	a, e, back []float64
}

// loss returns mean squared error / 2 plus the penalty; grad may be nil.
func (g *mlpLoss) loss(p, grad []float64) float64 {
	n, h, d := g.n, g.h, g.d
	w1, b1, w2, b2 := p[:h*n], p[h*n:h*n+h], p[h*n+h:h*n+h+d*h], p[h*n+h+d*h:]
	clear(grad)
	sum, inv := 0.0, 1/float64(len(g.x))
	for t, x := range g.x {
		for i := range h {
			g.a[i] = math.Tanh(dense.Dot(w1[i*n:(i+1)*n], x) + b1[i])
		}
		for k := range d {
			g.e[k] = dense.Dot(w2[k*h:(k+1)*h], g.a) + b2[k] - g.z[t][k]
			sum += g.e[k] * g.e[k]
		}
		if grad == nil {
			continue
		}
		g1, gb1, g2, gb2 := grad[:h*n], grad[h*n:h*n+h], grad[h*n+h:h*n+h+d*h], grad[h*n+h+d*h:]
		clear(g.back)
		for k := range d {
			s := g.e[k] * inv
			gb2[k] += s
			for i := range h {
				g2[k*h+i] += s * g.a[i]
				g.back[i] += s * w2[k*h+i]
			}
		}
		for i := range h {
			s := g.back[i] * (1 - g.a[i]*g.a[i])
			gb1[i] += s
			row := g1[i*n : (i+1)*n]
			for j, v := range x {
				row[j] += s * v
			}
		}
	}
	f := 0.5 * sum * inv
	for _, w := range [][2]int{{0, h * n}, {h*n + h, h*n + h + d*h}} {
		for i := w[0]; i < w[1]; i++ {
			f += 0.5 * g.l2 * p[i] * p[i]
			if grad != nil {
				grad[i] += g.l2 * p[i]
			}
		}
	}
	return f
}

// stepRecorder reports iterations and stops when the context ends.
type stepRecorder struct {
	ctx      context.Context
	total    int
	progress func(done, total int)
}

func (stepRecorder) Init() error { return nil }

func (r stepRecorder) Record(_ *optimize.Location, op optimize.Operation, s *optimize.Stats) error {
	if op == optimize.MajorIteration && r.progress != nil {
		r.progress(min(s.MajorIterations, r.total), r.total)
	}
	return r.ctx.Err()
}
