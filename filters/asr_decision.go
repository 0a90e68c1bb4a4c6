package filters

import (
	"math"
)

// asrJob decides, on its own goroutine, what of a covariance is an artifact. One is
// under way at a time; nothing is allocated.
type asrJob struct {
	n, most int // channels, and directions that may be rebuilt
	u       []float64
	t       []float64 // limits, row by row: T
	tt      []float64 // TᵀT

	c, means []float64 // the question
	r        []float64 // the answer
	same     bool      // r is the identity
	removed  int

	values, vectors, work, uv, vuv []float64

	run    func()
	signal chan struct{}
	busy   bool // a decision was asked for and not used yet
	done   bool // its signal was taken
}

func (j *asrJob) open(m *asrModel, cutoff, remove float64) {
	n := len(m.Channels)
	*j = asrJob{n: n, most: int(math.Round(remove * float64(n))), signal: make(chan struct{}, 1)}
	j.u, j.t, j.tt = make([]float64, n*n), make([]float64, n*n), make([]float64, n*n)
	for i := range n {
		copy(j.u[i*n:], m.Covariance[i])
		limit := m.Means[i] + cutoff*m.Spreads[i]
		for k := range n {
			j.t[i*n+k] = limit * m.Directions[i][k]
		}
	}
	j.alloc()
	j.run = func() {
		j.decide()
		j.signal <- struct{}{}
	}
}

// alloc makes room for decisions with the limits t.
func (j *asrJob) alloc() {
	n := j.n
	for a := range n {
		for b := range n {
			for i := range n {
				j.tt[a*n+b] += j.t[i*n+a] * j.t[i*n+b]
			}
		}
	}
	j.c, j.means, j.r = make([]float64, n*n), make([]float64, n), make([]float64, n*n)
	j.values, j.vectors, j.work = make([]float64, n), make([]float64, n*n), make([]float64, n*n)
	j.uv, j.vuv = make([]float64, n*n), make([]float64, n*n)
}

// start asks for a decision on c.
func (j *asrJob) start() {
	j.busy, j.done = true, false
	go j.run()
}

// wait returns when the decision is there.
func (j *asrJob) wait() {
	if !j.done {
		<-j.signal
		j.done = true
	}
}

// decide answers c.
func (j *asrJob) decide() {
	n := j.n
	j.same, j.removed = true, 0
	for i := range j.work {
		j.work[i] = j.tt[i] - j.c[i]
	}
	if cholesky(j.work, n) { // no direction can be beyond its limit
		return
	}
	copy(j.work, j.c)
	eigen(j.work, j.vectors, j.values)
	kept := 0
	for i := range n {
		v := j.vectors[i*n : (i+1)*n]
		if i < n-j.most || j.values[i] < j.limit(v) {
			copy(j.vectors[kept*n:(kept+1)*n], v)
			kept++
		}
	}
	if kept == n {
		return
	}
	if kept == 0 {
		j.same, j.removed = false, n
		clear(j.r)
		return
	}
	// R = U V (Vᵀ U V)⁻¹ Vᵀ; the rows of vectors are the columns of V.
	for a := range kept {
		for i := range n {
			j.uv[a*n+i] = product(j.u[i*n:(i+1)*n], j.vectors[a*n:(a+1)*n])
		}
	}
	for a := range kept {
		for b := range kept {
			j.vuv[a*kept+b] = product(j.uv[a*n:(a+1)*n], j.vectors[b*n:(b+1)*n])
		}
	}
	if !cholesky(j.vuv, kept) {
		return // U is not what a model may hold; nothing is better than noise
	}
	copy(j.work, j.vectors) // becomes (Vᵀ U V)⁻¹ Vᵀ
	for a := range kept {
		for b := range a {
			axpy(j.work[a*n:(a+1)*n], j.work[b*n:(b+1)*n], -j.vuv[a*kept+b])
		}
		scale(j.work[a*n:(a+1)*n], 1/j.vuv[a*kept+a])
	}
	for a := kept - 1; a >= 0; a-- {
		for b := a + 1; b < kept; b++ {
			axpy(j.work[a*n:(a+1)*n], j.work[b*n:(b+1)*n], -j.vuv[b*kept+a])
		}
		scale(j.work[a*n:(a+1)*n], 1/j.vuv[a*kept+a])
	}
	clear(j.r)
	for i := range n {
		for a := range kept {
			axpy(j.r[i*n:(i+1)*n], j.work[a*n:(a+1)*n], j.uv[a*n+i])
		}
	}
	j.same, j.removed = false, n-kept
}

// limit is |T v|².
func (j *asrJob) limit(v []float64) float64 {
	s := 0.0
	for i := range j.n {
		x := product(j.t[i*j.n:(i+1)*j.n], v)
		s += float64(x * x)
	}
	return s
}

func axpy(y, x []float64, a float64) {
	for i, v := range x[:len(y)] {
		y[i] += float64(a * v)
	}
}

func scale(x []float64, a float64) {
	for i := range x {
		x[i] *= a
	}
}

// cholesky replaces the lower triangle of a, n × n, by L with L Lᵀ = a; false when a is
// not positive definite.
func cholesky(a []float64, n int) bool {
	for i := range n {
		for k := range i + 1 {
			s := a[i*n+k]
			for m := range k {
				s -= float64(a[i*n+m] * a[k*n+m])
			}
			switch {
			case k < i:
				a[i*n+k] = s / a[k*n+k]
			case !(s > 0):
				return false
			default:
				a[i*n+i] = math.Sqrt(s)
			}
		}
	}
	return true
}

// eigen finds all eigenvalues d, ascending, and eigenvectors, the rows of v, of the
// symmetric a, which is destroyed: cyclic Jacobi rotations (Golub and Van Loan 8.5),
// which are accurate for small eigenvalues and need no memory.
func eigen(a, v, d []float64) {
	n := len(d)
	clear(v)
	for i := range n {
		v[i*n+i] = 1
	}
	for range 30 {
		off, all := 0.0, 0.0
		for i := range n {
			for k := range n {
				if all += a[i*n+k] * a[i*n+k]; k != i {
					off += a[i*n+k] * a[i*n+k]
				}
			}
		}
		if off <= 1e-30*all {
			break
		}
		for p := range n - 1 {
			for q := p + 1; q < n; q++ {
				rotate(a, v, n, p, q)
			}
		}
	}
	for i := range n {
		d[i] = a[i*n+i]
	}
	for i := range n { // selection sort: rows of v with their values
		least := i
		for k := i + 1; k < n; k++ {
			if d[k] < d[least] {
				least = k
			}
		}
		if least != i {
			d[i], d[least] = d[least], d[i]
			for k := range n {
				v[i*n+k], v[least*n+k] = v[least*n+k], v[i*n+k]
			}
		}
	}
}

// rotate makes a[p][q] zero.
func rotate(a, v []float64, n, p, q int) {
	apq := a[p*n+q]
	if apq == 0 {
		return
	}
	theta := (a[q*n+q] - a[p*n+p]) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(1+theta*theta))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(1+t*t)
	s := t * c
	rp, rq := a[p*n:(p+1)*n], a[q*n:(q+1)*n]
	app, aqq := rp[p]-float64(t*apq), rq[q]+float64(t*apq)
	for k := range n {
		x, y := rp[k], rq[k]
		rp[k], rq[k] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
	for k := range n { // a stays symmetric
		a[k*n+p], a[k*n+q] = rp[k], rq[k]
	}
	rp[p], rq[q], rp[q], rq[p] = app, aqq, 0, 0
	vp, vq := v[p*n:(p+1)*n], v[q*n:(q+1)*n]
	for k := range n {
		x, y := vp[k], vq[k]
		vp[k], vq[k] = float64(c*x)-float64(s*y), float64(s*x)+float64(c*y)
	}
}
