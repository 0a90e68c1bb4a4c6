package decoders

import (
	"math"

	"neurostream/decoders/internal/dense"
)

// outerProducts returns r r' of every residual as a flat row and their mean, the
// constant Q.
func outerProducts(res [][]float64) (outer [][]float64, mean *dense.M) {
	d := len(res[0])
	mean = dense.New(d, d)
	for _, r := range res {
		row := make([]float64, 0, d*d)
		for _, a := range r {
			for _, b := range r {
				row = append(row, a*b)
			}
		}
		outer = append(outer, row)
		addOuter(mean, r)
	}
	mean.Scale(1 / float64(len(res)))
	return outer, mean
}

// shrink sets q = (1-ρ) q + ρ constant: a kernel average of few residuals is close to
// rank one without it.
func shrink(q, constant *dense.M, rho float64) {
	for i, v := range constant.V {
		q.V[i] = float64((1-rho)*q.V[i]) + float64(rho*v)
	}
}

// noise is the covariance Q(x) of a DKF.
type noise struct {
	constant *dense.M
	kernel   *NadarayaWatson // of outer products; nil = constant
	rho      float64
	floor    float64 // least eigenvalue
	q, e, v  *dense.M
}

func newNoise(constant *dense.M, kernel *NadarayaWatson, rho, traceS float64) *noise {
	d := constant.R
	n := &noise{constant: constant, kernel: kernel, rho: rho, floor: 1e-4 * traceS / float64(d)}
	n.q, n.e, n.v = dense.New(d, d), dense.New(d, d), dense.New(d, d)
	n.q.Copy(constant)
	n.raise()
	return n
}

// at returns Q(x), valid until the next call.
func (n *noise) at(x []float64) *dense.M {
	if n.kernel == nil {
		return n.q
	}
	n.kernel.Predict(n.q.V, x)
	shrink(n.q, n.constant, n.rho)
	n.raise()
	return n.q
}

// raise lifts eigenvalues below the floor, so that no direction is trusted without
// bound.
func (n *noise) raise() {
	q := n.q
	if q.R == 2 { // enough when the smaller eigenvalue is large already
		half, diff := 0.5*(q.V[0]+q.V[3]), 0.5*(q.V[0]-q.V[3])
		if half-math.Sqrt(float64(diff*diff)+float64(q.V[1]*q.V[1])) >= n.floor {
			return
		}
	}
	n.e.Copy(q)
	dense.Eigen(n.e, n.v)
	low := false
	for i := range q.R {
		if n.e.At(i, i) < n.floor {
			n.e.Set(i, i, n.floor)
			low = true
		}
	}
	if low {
		dense.Reassemble(q, n.v, n.e)
	}
}
