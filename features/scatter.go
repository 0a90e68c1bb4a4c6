package features

import "neurostream/stream"

// scatter is the product sum (x-m)(x-m)^T of a window, kept as sums of blocks of one
// hop each about its own mean.
//
//	merged: M = sum_b M_b + h sum_b (m_b - m)(m_b - m)^T
//
// Only tiles on and above the diagonal are stored: pair (I, J), I <= J, holds
// [8][8]float64 at index pair(I, J).
type scatter struct {
	tiles, block, blocks int
	sums                 [][8]vec // blocks x pairs
	blockMeans           []vec    // blocks x tiles
	tags                 []int64  // first column of the block a slot holds, -1 = none
	total                [][8]vec
	means                []vec     // of the window, per tile
	shifted              []vec     // tiles x max(block, blocks)
	energy               []float64 // scratch of ledoitWolf
	done                 bool
	index                int64
}

func (p *Plan) scatter() *scatter {
	return share(p, func(*scatter) bool { return true }, func() *scatter { return new(scatter) })
}

func (s *scatter) alloc(p *Plan) {
	s.tiles = stream.TilesFor(p.In.Rows())
	s.block, s.blocks = p.Length, 1
	if p.Length%p.Hop == 0 {
		s.block, s.blocks = p.Hop, p.Length/p.Hop
	}
	pairs := s.tiles * (s.tiles + 1) / 2
	if s.blocks*pairs > 1<<18 || s.block < 2 { // 128 MiB of sums: recompute instead
		s.block, s.blocks = p.Length, 1
	}
	s.sums = make([][8]vec, s.blocks*pairs)
	s.blockMeans = make([]vec, s.blocks*s.tiles)
	s.tags = make([]int64, s.blocks)
	s.total = make([][8]vec, pairs)
	s.means = make([]vec, s.tiles)
	s.shifted = make([]vec, s.tiles*max(s.block, s.blocks))
	s.energy = make([]float64, p.Length)
	s.forget()
}

func (s *scatter) forget() {
	s.done = false
	for i := range s.tags {
		s.tags[i] = -1
	}
}

// mean returns the mean of channel i over the window.
func (s *scatter) mean(i int) float64 { return s.means[i/stream.Lanes][i%stream.Lanes] }

// at returns the scatter of channels i <= j.
func (s *scatter) at(i, j int) float64 {
	a, b := i/stream.Lanes, j/stream.Lanes
	return s.total[a*s.tiles-a*(a-1)/2+b-a][i%stream.Lanes][j%stream.Lanes]
}

func (s *scatter) of(e *Epoch) {
	if s.done && s.index == e.Index {
		return
	}
	s.done, s.index = true, e.Index
	pairs := len(s.total)
	for b := range s.blocks {
		start := e.Seq + int64(b*s.block)
		slot := s.slot(start)
		if s.tags[slot] != start {
			s.tags[slot] = start
			s.sum(slot, e, b*s.block)
		}
	}
	oldest := s.slot(e.Seq)
	clear(s.means)
	for b := range s.blocks {
		slot := (oldest + b) % s.blocks
		for k := range s.means {
			m, x := &s.means[k], &s.blockMeans[slot*s.tiles+k]
			for l := range m {
				m[l] += x[l]
			}
		}
	}
	for k := range s.means {
		for l := range s.means[k] {
			s.means[k][l] /= float64(s.blocks)
		}
	}
	clear(s.total)
	if s.blocks > 1 { // between the blocks
		for k := range s.tiles {
			d := s.shifted[k*s.blocks : (k+1)*s.blocks]
			for b := range d {
				x := &s.blockMeans[(oldest+b)%s.blocks*s.tiles+k]
				for l := range x {
					d[b][l] = x[l] - s.means[k][l]
				}
			}
		}
		s.rank(s.total, s.blocks)
		for i := range s.total {
			for r := range s.total[i] {
				for l := range s.total[i][r] {
					s.total[i][r][l] *= float64(s.block)
				}
			}
		}
	}
	for b := range s.blocks {
		slot := (oldest + b) % s.blocks
		addMatrices(s.total, s.sums[slot*pairs:(slot+1)*pairs])
	}
}

func (s *scatter) slot(start int64) int { return int(start / int64(s.block) % int64(s.blocks)) }

// sum computes the block that begins at column from of the window.
func (s *scatter) sum(slot int, e *Epoch, from int) {
	for k := range s.tiles {
		x := e.Tile(k)[from : from+s.block]
		m := meanOf(x)
		s.blockMeans[slot*s.tiles+k] = m
		subtract(s.shifted[k*s.block:(k+1)*s.block], x, &m)
	}
	sums := s.sums[slot*len(s.total) : (slot+1)*len(s.total)]
	clear(sums)
	s.rank(sums, s.block)
}

// rank adds the products of n rows of shifted to acc.
func (s *scatter) rank(acc [][8]vec, n int) {
	pair := 0
	for i := range s.tiles {
		a := s.shifted[i*n : (i+1)*n]
		for j := i; j < s.tiles; j++ {
			outer(&acc[pair], a, s.shifted[j*n:(j+1)*n])
			pair++
		}
	}
}

// addMatrices adds b to a.
func addMatrices(a, b [][8]vec) {
	b = b[:len(a)]
	for i := range a {
		p, q := &a[i], &b[i]
		for r := range p {
			x, y := &p[r], &q[r]
			for l := range x {
				x[l] += y[l]
			}
		}
	}
}
