package main

import (
	"fmt"
	"sort"
)

// pairs holds the figures of two sides measured in turn: ours[i] and theirs[i]
// were taken one right after the other.
type pairs struct{ ours, theirs []float64 }

// measure takes the two figures n times, alternately, and changes who goes first
// every time.
func measure(n int, ours, theirs func() (float64, error)) (pairs, error) {
	p := pairs{make([]float64, n), make([]float64, n)}
	for i := range n {
		first, second := func() (err error) { p.ours[i], err = ours(); return }, func() (err error) { p.theirs[i], err = theirs(); return }
		if i%2 == 1 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return p, err
		}
		if err := second(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// ratio is the median over pairs of theirs/ours, with the quartiles: above one we
// are faster where the figures are times.
func (p pairs) ratio() (median, low, high float64) {
	r := make([]float64, len(p.ours))
	for i := range r {
		r[i] = p.theirs[i] / p.ours[i]
	}
	return quantile(r, 0.5), quantile(r, 0.25), quantile(r, 0.75)
}

// quantile by linear interpolation (type 7), of a copy.
func quantile(x []float64, q float64) float64 {
	s := append([]float64(nil), x...)
	sort.Float64s(s)
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

// seconds prints a time with three digits and its unit.
func seconds(s float64) string {
	switch {
	case s < 1e-6:
		return fmt.Sprintf("%.3g ns", s*1e9)
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

// verdict says whether a ratio reaches what is asked of it.
func verdict(got, asked float64) string {
	if got >= asked {
		return "met"
	}
	return fmt.Sprintf("missed by %.0f %%", 100*(1-got/asked))
}
