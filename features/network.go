package features

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Graph holds the metrics of one symmetric matrix of non-negative weights without self
// loops, in memory that it keeps: one goroutine at a time.
//
// Distances are 1/weight; a weight of 0 is no edge. An isolated node has clustering 0
// and contributes 0 to the efficiency. A degree counts the weights above Threshold.
//
// Sources: Onnela et al. 2005, Latora and Marchiori 2001, Fiedler 1973, Rubinov and
// Sporns 2010.
type Graph struct {
	Threshold float64

	n        int
	w        []float64 // n x n
	scratch  []float64 // n x n
	d, e     []float64 // of the tridiagonal form
	vector   []float64
	next     []float64
	strength []float64
}

// NewGraph returns a graph of n nodes.
func NewGraph(n int) *Graph {
	return &Graph{
		n: n, w: make([]float64, n*n), scratch: make([]float64, n*n), d: make([]float64, n), e: make([]float64, n),
		vector: make([]float64, n), next: make([]float64, n), strength: make([]float64, n),
	}
}

// Nodes returns the number of nodes.
func (g *Graph) Nodes() int { return g.n }

// Set sets the weight between two nodes to |w|; a node's own weight stays 0.
func (g *Graph) Set(i, j int, w float64) {
	if i != j {
		g.w[i*g.n+j], g.w[j*g.n+i] = math.Abs(w), math.Abs(w)
	}
}

// Keep sets Threshold so that this share of all pairs, those with the greatest weights,
// lies above it: for comparing degrees over time. Ties at the edge are left out.
func (g *Graph) Keep(density float64) {
	pairs := g.scratch[:0]
	for i := range g.n {
		pairs = append(pairs, g.w[i*g.n+i+1:(i+1)*g.n]...)
	}
	slices.Sort(pairs)
	kept := int(math.Round(density * float64(len(pairs))))
	switch {
	case kept <= 0:
		g.Threshold = pairs[len(pairs)-1]
	case kept >= len(pairs):
		g.Threshold = 0
	default:
		g.Threshold = pairs[len(pairs)-kept-1]
	}
}

// Strength is the sum of a node's weights.
func (g *Graph) Strength(dst []float64) {
	for i := range g.n {
		dst[i] = 0
		for _, w := range g.w[i*g.n : (i+1)*g.n] {
			dst[i] += w
		}
	}
}

// Degree is the number of a node's weights above Threshold.
func (g *Graph) Degree(dst []float64) {
	for i := range g.n {
		dst[i] = 0
		for _, w := range g.w[i*g.n : (i+1)*g.n] {
			if w > g.Threshold {
				dst[i]++
			}
		}
	}
}

// Density is the share of pairs above Threshold.
func (g *Graph) Density() float64 {
	g.Degree(g.vector)
	var s float64
	for _, v := range g.vector {
		s += v
	}
	return s / float64(g.n*(g.n-1))
}

// Clustering is the share of a node's pairs of neighbours (above Threshold) that are
// neighbours themselves.
func (g *Graph) Clustering(dst []float64) {
	n := g.n
	for i := range n {
		var k, closed float64
		for j := range n {
			if g.w[i*n+j] <= g.Threshold {
				continue
			}
			k++
			for h := range j {
				if g.w[i*n+h] > g.Threshold && g.w[j*n+h] > g.Threshold {
					closed++
				}
			}
		}
		dst[i] = 0
		if k > 1 {
			dst[i] = 2 * closed / (k * (k - 1))
		}
	}
}

// WeightedClustering is sum over j, h of (w_ij w_jh w_hi)^(1/3)/(k (k-1)), weights
// divided by the greatest one, k the number of a node's edges of any weight.
func (g *Graph) WeightedClustering(dst []float64) {
	n, most := g.n, 0.0
	for _, w := range g.w {
		most = max(most, w)
	}
	root := g.scratch
	for i, w := range g.w {
		root[i] = 0
		if most > 0 {
			root[i] = math.Cbrt(w / most)
		}
	}
	for i := range n {
		var k, s float64
		for j := range n {
			if root[i*n+j] == 0 {
				continue
			}
			k++
			for h := range j {
				s += root[i*n+j] * root[j*n+h] * root[h*n+i]
			}
		}
		dst[i] = 0
		if k > 1 {
			dst[i] = 2 * s / (k * (k - 1))
		}
	}
}

// Paths fills dst (n x n) with the shortest distances, infinite where there is no way
// (Floyd and Warshall): of edges 1/weight, or of length 1 above Threshold when binary.
func (g *Graph) Paths(dst []float64, binary bool) {
	n := g.n
	for i, w := range g.w {
		switch {
		case i/n == i%n:
			dst[i] = 0
		case binary && w > g.Threshold:
			dst[i] = 1
		case !binary && w > 0:
			dst[i] = 1 / w
		default:
			dst[i] = math.Inf(1)
		}
	}
	for k := range n {
		through := dst[k*n : (k+1)*n]
		for i := range n {
			to := dst[i*n+k]
			if math.IsInf(to, 1) {
				continue
			}
			row := dst[i*n : (i+1)*n]
			for j, d := range through {
				if v := to + d; v < row[j] {
					row[j] = v
				}
			}
		}
	}
}

// Efficiency is the mean of 1/distance over all pairs of nodes.
func (g *Graph) Efficiency(binary bool) float64 {
	g.Paths(g.scratch, binary)
	var s float64
	for i, d := range g.scratch {
		if i/g.n != i%g.n {
			s += 1 / d // 1/infinity = 0
		}
	}
	return s / float64(g.n*(g.n-1))
}

// Laplacian fills dst (n values) with the eigenvalues of D - W, ascending: the second
// one is the algebraic connectivity. Normalised, they are those of I - D^-1/2 W D^-1/2,
// where an isolated node's row is 0.
func (g *Graph) Laplacian(dst []float64, normalised bool) {
	n, m := g.n, g.scratch
	g.Strength(g.strength)
	for i := range n {
		for j := range n {
			w := -g.w[i*n+j]
			if i == j {
				w = g.strength[i]
			}
			if normalised {
				if d := g.strength[i] * g.strength[j]; d > 0 {
					w /= math.Sqrt(d)
				} else {
					w = 0
				}
			}
			m[i*n+j] = w
		}
	}
	symmetricEigenvalues(m, n, g.d, g.e)
	copy(dst, g.d)
	slices.Sort(dst[:n])
}

// Centrality is the eigenvector of the greatest eigenvalue of W, non-negative and of
// length 1: power iteration on W + I max(strength)/4 until it moves by less than 1e-13,
// or 10000 times. Without edges it is 0.
func (g *Graph) Centrality(dst []float64) {
	n := g.n
	g.Strength(g.strength)
	shift := slices.Max(g.strength) / 4
	if !(shift > 0) {
		clear(dst[:n])
		return
	}
	v := g.vector
	for i := range v {
		v[i] = 1 / math.Sqrt(float64(n))
	}
	for range 10000 {
		var norm, moved float64
		for i := range n {
			s := shift * v[i]
			for j, w := range g.w[i*n : (i+1)*n] {
				s += w * v[j]
			}
			g.next[i] = s
			norm += s * s
		}
		norm = math.Sqrt(norm)
		for i := range v {
			x := g.next[i] / norm
			moved = max(moved, math.Abs(x-v[i]))
			v[i] = x
		}
		if moved < 1e-13 {
			break
		}
	}
	copy(dst, v)
}

// symmetricEigenvalues returns the eigenvalues of the symmetric matrix a (n x n,
// destroyed) in d, in no order: Householder's tridiagonal form, then the implicit QL
// algorithm (Golub and Van Loan 8.3). e is scratch.
func symmetricEigenvalues(a []float64, n int, d, e []float64) {
	for k := 0; k < n-2; k++ { // annihilate column k below the subdiagonal
		var scale float64
		for i := k + 1; i < n; i++ {
			scale = max(scale, math.Abs(a[i*n+k]))
		}
		d[k], e[k] = a[k*n+k], a[(k+1)*n+k]
		if scale == 0 {
			continue
		}
		var norm float64
		v := d[k+1 : n] // the reflection's vector, in the place of diagonal values to come
		for i := range v {
			v[i] = a[(k+1+i)*n+k] / scale
			norm += v[i] * v[i]
		}
		norm = math.Sqrt(norm)
		alpha := -math.Copysign(norm, v[0])
		e[k] = scale * alpha
		v[0] -= alpha
		beta := 1 / (norm*norm - alpha*(v[0]+alpha)) // 2/(v^T v)
		p := e[k+1 : n]                              // beta A v, then minus its part along v
		var along float64
		for i := range p {
			p[i] = 0
			for j := range v {
				p[i] += a[(k+1+i)*n+k+1+j] * v[j]
			}
			p[i] *= beta
			along += p[i] * v[i]
		}
		along *= beta / 2
		for i := range p {
			p[i] -= along * v[i]
		}
		for i := range p {
			for j := range v {
				a[(k+1+i)*n+k+1+j] -= v[i]*p[j] + p[i]*v[j]
			}
		}
	}
	if n > 1 {
		d[n-2], e[n-2] = a[(n-2)*n+n-2], a[(n-1)*n+n-2]
	}
	d[n-1], e[n-1] = a[n*n-1], 0
	for l := range n {
		for range 60 {
			m := l
			for ; m < n-1; m++ {
				if s := math.Abs(d[m]) + math.Abs(d[m+1]); math.Abs(e[m]) <= 0x1p-53*s {
					break
				}
			}
			if m == l {
				break
			}
			g := (d[l+1] - d[l]) / (2 * e[l])
			r := math.Hypot(g, 1)
			g = d[m] - d[l] + e[l]/(g+math.Copysign(r, g))
			s, c, p := 1.0, 1.0, 0.0
			i := m - 1
			for ; i >= l; i-- {
				f, b := s*e[i], c*e[i]
				r = math.Hypot(f, g)
				e[i+1] = r
				if r == 0 {
					d[i+1] -= p
					e[m] = 0
					break
				}
				s, c = f/r, g/r
				g = d[i+1] - p
				r = (d[i]-g)*s + 2*c*b
				p = s * r
				d[i+1] = g + p
				g = c*r - b
			}
			if r == 0 && i >= l {
				continue
			}
			d[l] -= p
			e[l], e[m] = g, 0
		}
	}
}

// networkMetrics in the order of their names: those of nodes, then those of the graph.
var networkMetrics = []string{
	"strength", "mean-strength", "degree", "clustering", "weighted-clustering", "centrality",
	"density", "efficiency", "binary-efficiency", "algebraic-connectivity",
}

const nodeMetrics = 6

// NetworkMetrics lists the names that Network.Metrics takes.
func NetworkMetrics() []string { return slices.Clone(networkMetrics) }

// Network are metrics of the graph whose weights are the absolute values of one
// connectivity (Of, its Output and Seeds left alone) in each of its bands; see Graph.
//
//	strength, mean-strength (over C-1), degree, clustering, weighted-clustering,
//	centrality                        a row per channel: "coherence-degree C3 8-13 Hz"
//	density, efficiency, binary-efficiency, algebraic-connectivity
//	                                  one row: "coherence-efficiency 8-13 Hz"
//
// Degrees, clustering, density and binary-efficiency count weights above Threshold, or
// the greatest Density of all. Cost: O(C^3); use Every, and a side lane when it is more
// than the fast path can wait for.
type Network struct {
	Of        Connectivity
	Metrics   []string // any of the above; empty = strength and efficiency
	Threshold float64  // of weights that count; 0 with Density 0 = 0.5
	Density   float64  // share of the pairs that count instead, 0 to 1

	which []int
	g     *Graph
	all   []float64
}

// Interval implements Slow.
func (x *Network) Interval() int { return x.Of.Interval() }

// Open implements Extractor.
func (x *Network) Open(p *Plan) ([]Row, error) {
	if x.Of.Output != "" && x.Of.Output != "pairs" || len(x.Of.Seeds) > 0 {
		return nil, fmt.Errorf("output: %q; a network is made of all pairs, so leave output and seeds out", x.Of.Output)
	}
	if p.In.Rows() < 3 {
		return nil, fmt.Errorf("a network needs at least three channels; this stream has %d", p.In.Rows())
	}
	kind, err := x.Of.prepare(p)
	if err != nil {
		return nil, err
	}
	name := measureNames[kind]
	if !(x.Density >= 0 && x.Density <= 1) || !(x.Threshold >= 0) {
		return nil, fmt.Errorf("density: %v, threshold: %v; a density lies between 0 and 1, a threshold is not negative", x.Density, x.Threshold)
	}
	if x.Density != 0 && x.Threshold != 0 {
		return nil, fmt.Errorf("density: %v and threshold: %v; give one of them", x.Density, x.Threshold)
	}
	x.g = NewGraph(p.In.Rows())
	if x.g.Threshold = x.Threshold; x.Threshold == 0 {
		x.g.Threshold = 0.5
	}
	x.all = make([]float64, p.In.Rows())
	names := x.Metrics
	if len(names) == 0 {
		names = []string{"strength", "efficiency"}
	}
	x.which = x.which[:0]
	for _, name := range names {
		i := slices.Index(networkMetrics, name)
		if i < 0 {
			return nil, fmt.Errorf("metrics: %q; known are %s", name, strings.Join(networkMetrics, ", "))
		}
		x.which = append(x.which, i)
	}
	var rows []Row
	for _, b := range x.Of.Bands {
		for _, i := range x.which {
			if i >= nodeMetrics {
				r := Row{}
				r.Label, r.Type = name+"-"+networkMetrics[i]+" "+b.label(), "feature"
				rows = append(rows, r)
				continue
			}
			of := p.channelRows(name+"-"+networkMetrics[i], "", b.label())
			for k := range of {
				of[k].From = nil // every channel enters
			}
			rows = append(rows, of...)
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Network) Extract(out Out, e *Epoch) {
	x.Of.x.of(e)
	c, row := e.Rows(), 0
	for _, r := range x.Of.r {
		for i := range c {
			for j := i + 1; j < c; j++ {
				w := 0.0
				if !r.isDead(i) && !r.isDead(j) {
					w = r.at(x.Of.x.tiles, i, j)
				}
				x.g.Set(i, j, w)
			}
		}
		if x.Density > 0 {
			x.g.Keep(x.Density)
		}
		for _, what := range x.which {
			if what < nodeMetrics {
				x.nodes(what, out.Values[row:row+c])
				for i := range c {
					out.Set(row+i, out.Values[row+i])
					if r.isDead(i) {
						out.Bad[row+i] = true
					}
				}
				row += c
				continue
			}
			switch networkMetrics[what] {
			case "density":
				out.Set(row, x.g.Density())
			case "efficiency":
				out.Set(row, x.g.Efficiency(false))
			case "binary-efficiency":
				out.Set(row, x.g.Efficiency(true))
			default:
				x.g.Laplacian(x.all, false)
				out.Set(row, x.all[1])
			}
			row++
		}
	}
}

func (x *Network) nodes(what int, dst []float64) {
	switch networkMetrics[what] {
	case "strength":
		x.g.Strength(dst)
	case "mean-strength":
		x.g.Strength(dst)
		for i := range dst {
			dst[i] /= float64(len(dst) - 1)
		}
	case "degree":
		x.g.Degree(dst)
	case "clustering":
		x.g.Clustering(dst)
	case "weighted-clustering":
		x.g.WeightedClustering(dst)
	default:
		x.g.Centrality(dst)
	}
}
