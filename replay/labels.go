package replay

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"

	"neurostream/recordings"
)

// Task says which annotations mean which class.
type Task struct {
	Classes []string          // names in order, e.g. "rest", "left", "right"
	Idle    string            // the class that holds wherever no annotation says otherwise, e.g. "rest"
	Labels  map[string]string // annotation label to class, e.g. "T1" to "left"; annotations not listed are ignored
	// Duration, in seconds, is used for annotations without one; 0 = until the next
	// listed annotation.
	Duration float64
}

// Truth is what the subject was asked to do, sample by sample.
type Truth struct {
	Track
	Classes []string
	Idle    int     // index of the idle class
	Rate    float64 // columns per second
	Trials  []Trial // stretches of the other classes, in order of Start
}

// A Trial is a stretch in which a class other than idle was asked for: [Start, End).
type Trial struct {
	Start, End float64 // seconds on the timeline
	Class      int
}

// Track is a state that changes at columns: before the first change it is Before.
type Track struct {
	Changes []Change // in order of Column
	Before  int      // state before the first change
	Len     int64    // columns the track covers
}

// A Change says that from Column on the state is Class.
type Change struct {
	Column int64
	Class  int
}

// WindowLabel is the truth about one window.
type WindowLabel struct {
	Start   int64   // first column
	Class   int     // state with most columns; of tied states the one that occurs last
	Purity  float64 // its share of the columns
	Last    int     // state at the last column: the truth when the decision is made
	Stretch int     // number of the stretch the last column lies in: windows of one belong together
}

// NewTruth makes the state track of the timeline's first columns columns. The state
// at a column is that of the listed annotation with the latest onset that covers it,
// idle where there is none. Onsets and ends are taken to the nearest column.
// Annotations of one label that follow each other stay separate trials.
func NewTruth(task Task, annotations []recordings.Annotation, rate float64, columns int64) (*Truth, error) {
	t := &Truth{Classes: slices.Clone(task.Classes), Rate: rate, Idle: slices.Index(task.Classes, task.Idle)}
	if !(rate > 0) || math.IsInf(rate, 0) || columns < 0 {
		return nil, fmt.Errorf("a label track of %d columns at %v Hz is impossible", columns, rate)
	}
	if t.Idle < 0 {
		return nil, fmt.Errorf("the idle class %q is not one of the classes (%s)", task.Idle, strings.Join(task.Classes, ", "))
	}
	if !(task.Duration >= 0) {
		return nil, fmt.Errorf("trial duration %v s is impossible: give seconds, or 0 for until the next annotation", task.Duration)
	}
	for i, c := range task.Classes {
		if slices.Index(task.Classes, c) != i {
			return nil, fmt.Errorf("class %q is listed twice", c)
		}
	}
	for _, label := range slices.Sorted(maps.Keys(task.Labels)) {
		if !slices.Contains(task.Classes, task.Labels[label]) {
			return nil, fmt.Errorf("annotation %q stands for %q, which is not one of the classes (%s)", label, task.Labels[label], strings.Join(task.Classes, ", "))
		}
	}
	type stretch struct {
		from, to int64
		class    int
	}
	var all []stretch
	var seconds []Trial
	for _, a := range annotations {
		name, listed := task.Labels[a.Label]
		if !listed || math.IsNaN(a.Onset) {
			continue
		}
		d := a.Duration
		if !(d > 0) {
			d = task.Duration
		}
		if d == 0 {
			d = math.Inf(1)
		}
		seconds = append(seconds, Trial{a.Onset, a.Onset + d, slices.Index(task.Classes, name)})
	}
	sort.SliceStable(seconds, func(i, j int) bool { return seconds[i].Start < seconds[j].Start })
	for i := range seconds {
		s := &seconds[i]
		if math.IsInf(s.End, 1) {
			s.End = float64(columns) / rate
			if i+1 < len(seconds) {
				s.End = seconds[i+1].Start
			}
		}
		from := max(0, int64(math.Round(s.Start*rate)))
		to := min(columns, int64(math.Round(min(s.End, float64(columns)/rate)*rate)))
		if from >= to {
			continue
		}
		all = append(all, stretch{from, to, s.Class})
		if s.Class != t.Idle {
			t.Trials = append(t.Trials, *s)
		}
	}
	t.Track = Track{Before: t.Idle, Len: columns}
	// Sweep: at every border the newest annotation that still covers it holds.
	borders := make([]int64, 0, 2*len(all))
	for _, s := range all {
		borders = append(borders, s.from, s.to)
	}
	slices.Sort(borders)
	owner := -1
	for _, b := range slices.Compact(borders) {
		holds := -1
		for i, s := range all {
			if s.from <= b && b < s.to {
				holds = i
			}
		}
		if holds == owner || b >= columns {
			continue
		}
		owner = holds
		c := Change{Column: b, Class: t.Idle}
		if holds >= 0 {
			c.Class = all[holds].class
		}
		t.Changes = append(t.Changes, c)
	}
	return t, nil
}

// stretch returns the number of changes at or before a column: 0 is before the first.
func (t *Track) stretch(col int64) int {
	return sort.Search(len(t.Changes), func(i int) bool { return t.Changes[i].Column > col })
}

// At returns the state at a column.
func (t *Track) At(col int64) int {
	if i := t.stretch(col); i > 0 {
		return t.Changes[i-1].Class
	}
	return t.Before
}

// Window returns the truth about columns start to start+length-1.
func (t *Track) Window(start, length int64) WindowLabel {
	if length < 1 {
		panic(fmt.Sprintf("replay: window of %d columns", length))
	}
	end := start + length
	last := t.stretch(end - 1)
	w := WindowLabel{Start: start, Last: t.At(end - 1), Stretch: last}
	// From the last stretch backwards, so that of equals the later one is met first.
	var room [16]int64
	counts := room[:0]
	seen := make([]int, 0, 16)
	to := end
	for i := last; to > start; i-- {
		from, class := start, t.Before
		if i > 0 {
			from, class = max(start, t.Changes[i-1].Column), t.Changes[i-1].Class
		}
		k := slices.Index(seen, class)
		if k < 0 {
			k = len(seen)
			seen, counts = append(seen, class), append(counts, 0)
		}
		counts[k] += to - from
		to = from
	}
	best := 0
	for k, n := range counts {
		if n > counts[best] {
			best = k
		}
	}
	w.Class, w.Purity = seen[best], float64(counts[best])/float64(length)
	return w
}

// Windows returns the truth about every window of length columns that begins at
// first, first+step, ... and ends within the track.
func (t *Track) Windows(first, length, step int64) []WindowLabel {
	if step < 1 {
		panic(fmt.Sprintf("replay: windows every %d columns", step))
	}
	var out []WindowLabel
	for a := first; a+length <= t.Len; a += step {
		out = append(out, t.Window(a, length))
	}
	return out
}

// WindowAt returns the truth about the window of this many seconds whose newest
// column has the stamp end: what a feature stream's T0 says.
func (t *Truth) WindowAt(end, seconds float64) WindowLabel {
	n := max(1, int64(math.Round(seconds*t.Rate)))
	return t.Window(int64(math.Round(end*t.Rate))-n+1, n)
}
