package recordings

import "sort"

// ColumnAt returns the column that was current at a time given in seconds since
// column 0, counting the gaps: inside a gap it is the first column after it. It
// may lie past the end.
func ColumnAt(r Recording, seconds float64) int64 {
	h := r.Header()
	lost := 0.0
	for _, g := range r.Gaps() {
		begin := float64(g.Column)/h.Rate + lost // when the gap begins
		if seconds < begin {
			break
		}
		if seconds < begin+g.Seconds {
			return g.Column
		}
		lost += g.Seconds
	}
	// A stamp that was rounded to 1e-7 s in the file must not slip a column back.
	return int64(max(0, (seconds-lost)*h.Rate+1e-4))
}

// TimeAt returns the time of a column in seconds since column 0, counting the gaps
// before it.
func TimeAt(r Recording, column int64) float64 {
	h, gaps := r.Header(), r.Gaps()
	n := sort.Search(len(gaps), func(i int) bool { return gaps[i].Column > column })
	t := float64(column) / h.Rate
	for _, g := range gaps[:n] {
		t += g.Seconds
	}
	return t
}
