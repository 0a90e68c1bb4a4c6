package features

import "neurostream/stream"

// vec is one value of each of the eight channels of a tile.
type vec = [stream.Lanes]float64

// moments is the product of a window's means and variances, eight channels at a time.
type moments struct {
	mean, variance []vec // per tile; variance divides by n
	done           bool
	at             int64
}

func (p *Plan) moments() *moments {
	return share(p, func(*moments) bool { return true }, func() *moments { return new(moments) })
}

func (m *moments) alloc(p *Plan) {
	tiles := stream.TilesFor(p.In.Rows())
	m.mean, m.variance = make([]vec, tiles), make([]vec, tiles)
	m.done = false
}

func (m *moments) forget() { m.done = false }

// of computes the moments of a window: two passes, so that an offset costs no digits.
func (m *moments) of(e *Epoch) {
	if m.done && m.at == e.Index {
		return
	}
	m.done, m.at = true, e.Index
	for k := range e.Tiles() {
		x := e.Tile(k)
		mean := meanOf(x)
		m.mean[k] = mean
		s := squaresOf(x, &mean)
		for l := range s {
			s[l] /= float64(len(x))
		}
		m.variance[k] = s
	}
}

// meanOf returns the mean of every lane.
func meanOf(x []vec) vec {
	s := sumOf(x)
	n := float64(len(x))
	for l := range s {
		s[l] /= n
	}
	return s
}
