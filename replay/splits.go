package replay

import (
	"fmt"
	"math"
	"slices"
)

// Span is the columns [From, To) of a run that an example was computed from.
// Examples of different runs share nothing.
type Span struct {
	Run      int
	From, To int64
}

// Split divides examples, by index, into those to learn from and those to be judged
// on. What purge and embargo took is in neither.
type Split struct{ Train, Test []int }

// Chronological trains on the first fraction of the examples and tests on the rest,
// which must be in order of time. A training example is kept only when it ends at
// least purge columns before the first test example of its run begins: give the
// window's memory beyond its own columns (filter settling).
func Chronological(spans []Span, fraction float64, purge int64) (Split, error) {
	if !(fraction > 0 && fraction < 1) {
		return Split{}, fmt.Errorf("training fraction %v is impossible: it lies between 0 and 1", fraction)
	}
	n := int(math.RoundToEven(fraction * float64(len(spans))))
	if n == 0 || n == len(spans) {
		return Split{}, fmt.Errorf("%d examples cannot be split at %v: one side is empty", len(spans), fraction)
	}
	return around(spans, n, len(spans), purge, 0), nil
}

// LeaveRunOut returns one split per run, in order of the runs' numbers: the run is
// tested on, the others are learned from.
func LeaveRunOut(spans []Span) []Split {
	var runs []int
	for _, s := range spans {
		if !slices.Contains(runs, s.Run) {
			runs = append(runs, s.Run)
		}
	}
	slices.Sort(runs)
	out := make([]Split, len(runs))
	for i, s := range spans {
		for k, r := range runs {
			if s.Run == r {
				out[k].Test = append(out[k].Test, i)
			} else {
				out[k].Train = append(out[k].Train, i)
			}
		}
	}
	return out
}

// PurgedFolds cuts n examples, which must be in order of time, into k contiguous
// folds: fold i tests examples round(i·n/k) to round((i+1)·n/k)-1, halves to even. A
// training example [a, b) of the same run is kept only when b ≤ test start − purge or
// a ≥ test end + embargo (columns; López de Prado, Advances in Financial Machine
// Learning, 2018, ch. 7).
func PurgedFolds(spans []Span, k int, purge, embargo int64) ([]Split, error) {
	n := len(spans)
	if k < 2 || k > n {
		return nil, fmt.Errorf("%d folds of %d examples are impossible: give 2 to %d", k, n, n)
	}
	if purge < 0 || embargo < 0 {
		return nil, fmt.Errorf("purge %d and embargo %d are impossible: give 0 or more columns", purge, embargo)
	}
	out := make([]Split, k)
	for i := range k {
		from := int(math.RoundToEven(float64(i*n) / float64(k)))
		to := int(math.RoundToEven(float64((i+1)*n) / float64(k)))
		out[i] = around(spans, from, to, purge, embargo)
	}
	return out, nil
}

// around tests examples from to to-1 and trains on what is far enough from them.
func around(spans []Span, from, to int, purge, embargo int64) Split {
	type zone struct{ start, end int64 }
	zones := make(map[int]zone)
	for _, s := range spans[from:to] {
		z, ok := zones[s.Run]
		if !ok {
			z = zone{s.From, s.To}
		}
		zones[s.Run] = zone{min(z.start, s.From), max(z.end, s.To)}
	}
	var out Split
	for i, s := range spans {
		if i >= from && i < to {
			out.Test = append(out.Test, i)
			continue
		}
		z, same := zones[s.Run]
		if !same || s.To <= z.start-purge || s.From >= z.end+embargo {
			out.Train = append(out.Train, i)
		}
	}
	return out
}

// SharedColumns counts the columns that lie in a training and in a test example,
// after every example has been widened to the past by memory columns (what filters
// remember). Each column counts once.
func SharedColumns(spans []Span, s Split, memory int64) int64 {
	train, test := union(spans, s.Train, memory), union(spans, s.Test, memory)
	var n int64
	for i, j := 0, 0; i < len(train) && j < len(test); {
		a, b := train[i], test[j]
		if a.Run == b.Run {
			n += max(0, min(a.To, b.To)-max(a.From, b.From))
		}
		if a.Run < b.Run || a.Run == b.Run && a.To <= b.To {
			i++
		} else {
			j++
		}
	}
	return n
}

// union returns the examples' columns as disjoint spans in order.
func union(spans []Span, index []int, memory int64) []Span {
	all := make([]Span, 0, len(index))
	for _, i := range index {
		s := spans[i]
		s.From -= memory
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Span) int {
		switch {
		case a.Run != b.Run:
			return a.Run - b.Run
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	out := all[:0]
	for _, s := range all {
		if k := len(out) - 1; k >= 0 && out[k].Run == s.Run && s.From <= out[k].To {
			out[k].To = max(out[k].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// CheckSplit fails when training and test examples share a column; see SharedColumns.
func CheckSplit(spans []Span, s Split, memory int64) error {
	if n := SharedColumns(spans, s, memory); n > 0 {
		return fmt.Errorf("training and test share %d columns: give a purge of at least the window's memory, or split between runs", n)
	}
	return nil
}
