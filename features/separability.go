package features

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Separability is how well each cell of a map (a channel at a frequency, say) tells two
// classes apart, from running sums: a trial costs one addition per cell, memory does not
// grow with the trials, and the map can be read at any time. It needs labels, so it is
// for maps over trials, not a stage of the sample path.
//
//	G  = (S1 + S2)^2/(n1 + n2)
//	r2 = (S1^2/n1 + S2^2/n2 - G)/(Q1 + Q2 - G)
//
// with S the sums and Q the sums of squares of a class, is the squared correlation of
// the cell with the class. Sums are kept about the first trial's value, which changes
// nothing but spares the digits that an offset would cost. Rank statistics need the
// values themselves: see Ranks.
type Separability struct {
	first []float64
	sum   [2][]float64
	sq    [2][]float64
	n     [2]float64
}

// NewSeparability prepares for trials of this many cells.
func NewSeparability(cells int) *Separability {
	s := &Separability{first: make([]float64, cells)}
	for k := range s.sum {
		s.sum[k], s.sq[k] = make([]float64, cells), make([]float64, cells)
	}
	return s
}

// Add takes one trial of class 0 or 1.
func (s *Separability) Add(class int, cells []float64) error {
	if class != 0 && class != 1 {
		return fmt.Errorf("class %d; a map compares the classes 0 and 1", class)
	}
	if err := checkCells(cells, len(s.first)); err != nil {
		return err
	}
	if s.n[0]+s.n[1] == 0 {
		copy(s.first, cells)
	}
	s.n[class]++
	for i, v := range cells {
		v -= s.first[i]
		s.sum[class][i] += v
		s.sq[class][i] += float64(v * v)
	}
	return nil
}

func checkCells(cells []float64, want int) error {
	if len(cells) != want {
		return fmt.Errorf("a trial of %d cells; %d were announced", len(cells), want)
	}
	for i, v := range cells {
		if v-v != 0 {
			return fmt.Errorf("cell %d of a trial is %v", i, v)
		}
	}
	return nil
}

// Trials returns how many trials of each class were added.
func (s *Separability) Trials() (n0, n1 int) { return int(s.n[0]), int(s.n[1]) }

// R2 fills dst with r2, and with signed the sign of mean 1 - mean 0. A cell without
// variance has none: NaN, to be shown as missing, never as the greatest. It needs a
// trial of each class.
func (s *Separability) R2(dst []float64, signed bool) error {
	if s.n[0] < 1 || s.n[1] < 1 {
		return fmt.Errorf("%v and %v trials; a map needs at least one of each class", s.n[0], s.n[1])
	}
	for i := range s.first {
		a, b, n, m := s.sum[0][i], s.sum[1][i], s.n[0], s.n[1]
		g := (a + b) * (a + b) / (n + m)
		all := s.sq[0][i] + s.sq[1][i] - g
		if !(all > 1e-12*(s.sq[0][i]+s.sq[1][i])) {
			dst[i] = math.NaN()
			continue
		}
		dst[i] = max(0, (float64(a*a)/n+float64(b*b)/m-g)/all)
		if signed && b/m < a/n {
			dst[i] = -dst[i]
		}
	}
	return nil
}

// WelchT fills dst with Welch's t of class 0 against class 1; NaN without variance. It
// needs two trials of each class.
func (s *Separability) WelchT(dst []float64) error {
	n, m := s.n[0], s.n[1]
	if n < 2 || m < 2 {
		return fmt.Errorf("%v and %v trials; a t needs at least two of each class", n, m)
	}
	for i := range s.first {
		a, b := s.sum[0][i]/n, s.sum[1][i]/m
		va := max(0, s.sq[0][i]-n*a*a) / (n - 1)
		vb := max(0, s.sq[1][i]-m*b*b) / (m - 1)
		if va+vb > 1e-12*(s.sq[0][i]+s.sq[1][i]) {
			dst[i] = (a - b) / math.Sqrt(va/n+vb/m)
		} else {
			dst[i] = math.NaN()
		}
	}
	return nil
}

// Ranks keeps every value, for statistics of ranks: memory is trials times cells.
type Ranks struct {
	cells  int
	values [2][]float64 // trial after trial
}

// NewRanks prepares for trials of this many cells.
func NewRanks(cells int) *Ranks { return &Ranks{cells: cells} }

// Add takes one trial of class 0 or 1.
func (r *Ranks) Add(class int, cells []float64) error {
	if class != 0 && class != 1 {
		return fmt.Errorf("class %d; a map compares the classes 0 and 1", class)
	}
	if err := checkCells(cells, r.cells); err != nil {
		return err
	}
	r.values[class] = append(r.values[class], cells...)
	return nil
}

// RankMap holds the rank statistics of every cell.
type RankMap struct {
	AUC []float64 // P(class 0 > class 1) + P(equal)/2
	Z   []float64 // rank-sum statistic of class 0, normal approximation without correction for ties
	P   []float64 // two-sided, of Z
	// PTies is the two-sided p of the Mann-Whitney U with the corrections for ties and
	// continuity, NaN for a cell without variance.
	PTies []float64
}

// Map computes the statistics; it needs a trial of each class.
func (r *Ranks) Map() (*RankMap, error) {
	n, m := len(r.values[0])/max(1, r.cells), len(r.values[1])/max(1, r.cells)
	if n < 1 || m < 1 {
		return nil, fmt.Errorf("%d and %d trials; a map needs at least one of each class", n, m)
	}
	out := &RankMap{make([]float64, r.cells), make([]float64, r.cells), make([]float64, r.cells), make([]float64, r.cells)}
	type value struct {
		v     float64
		class int
	}
	all := make([]value, 0, n+m)
	a, b := float64(n), float64(m)
	for c := range r.cells {
		all = all[:0]
		for class, v := range r.values {
			for t := c; t < len(v); t += r.cells {
				all = append(all, value{v[t], class})
			}
		}
		slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.v, y.v) })
		var ranks, ties float64
		for i := 0; i < len(all); {
			j := i
			for j < len(all) && all[j].v == all[i].v {
				j++
			}
			for _, x := range all[i:j] {
				if x.class == 0 {
					ranks += float64(i+j+1) / 2 // mean of ranks i+1..j
				}
			}
			t := float64(j - i)
			ties += t*t*t - t
			i = j
		}
		u := ranks - a*(a+1)/2
		out.AUC[c] = u / (a * b)
		out.Z[c] = (ranks - a*(a+b+1)/2) / math.Sqrt(a*b*(a+b+1)/12)
		out.P[c] = math.Erfc(math.Abs(out.Z[c]) / math.Sqrt2)
		spread := math.Sqrt(a * b / 12 * (a + b + 1 - ties/((a+b)*(a+b-1))))
		if spread > 0 {
			z := (math.Max(u, a*b-u) - a*b/2 - 0.5) / spread
			out.PTies[c] = min(1, math.Erfc(z/math.Sqrt2))
		} else {
			out.PTies[c] = math.NaN()
		}
	}
	return out, nil
}

// FalseDiscovery returns the q values of p by Benjamini and Hochberg (1995): the least
// false discovery rate at which a cell is still found. NaN stays NaN and does not count.
func FalseDiscovery(p []float64) []float64 {
	q := make([]float64, len(p))
	order := make([]int, 0, len(p))
	for i, v := range p {
		q[i] = math.NaN()
		if v == v {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	least := 1.0
	for k := len(order) - 1; k >= 0; k-- {
		least = min(least, p[order[k]]*float64(len(order))/float64(k+1))
		q[order[k]] = least
	}
	return q
}

// Pick is a cell of a map.
type Pick struct {
	Channel, Bin int
	Value        float64
}

// BestPerChannel returns the greatest values of a map (channel by channel of bins), one
// per channel, the count best channels first; of equal ones the later channel. NaN is
// missing and never picked. Bins outside lo to hi-1 do not count; nil channels = all.
func BestPerChannel(values []float64, bins, lo, hi, count int, channels []int) []Pick {
	var picks []Pick
	for ch := range len(values) / bins {
		if channels != nil && !slices.Contains(channels, ch) {
			continue
		}
		best := Pick{Channel: ch, Bin: -1}
		for b := lo; b < hi; b++ {
			if v := values[ch*bins+b]; v == v && (best.Bin < 0 || v > best.Value) {
				best.Bin, best.Value = b, v
			}
		}
		if best.Bin >= 0 {
			picks = append(picks, best)
		}
	}
	slices.SortStableFunc(picks, func(a, b Pick) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(b.Channel, a.Channel))
	})
	return picks[:min(count, len(picks))]
}
