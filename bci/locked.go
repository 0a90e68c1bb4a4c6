package bci

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"

	"neurostream/recordings"
	"neurostream/replay"
)

// Responses to events, such as a P300, are judged where they are expected: in the one
// window per marker that ends At seconds after it (train: {at: …}). The stages see a
// stream of windows as ever, and no marker.

// lockedWindows finds the windows of a recording that belong to markers.
type lockedWindows struct {
	events []lockedEvent // in order of onset
	half   float64       // s; half the distance of windows
	start  float64       // of the current group
	last   float64       // onset of the last event grouped
	number int
	any    bool
}

type lockedEvent struct {
	onset, end float64 // s: the marker; the window's newest sample
	class      string
}

func newLockedWindows(p *Pipeline, notes []recordings.Annotation, rate float64) (*lockedWindows, error) {
	if !(rate > 0) {
		return nil, &FileError{Path: p.Path, Msg: "train: {at: …} needs windows at a regular rate"}
	}
	l := &lockedWindows{half: 0.5 / rate}
	of := p.ClassOf()
	for _, a := range notes {
		if class, ok := of[a.Label]; ok && !math.IsNaN(a.Onset) {
			l.events = append(l.events, lockedEvent{a.Onset, a.Onset + p.Train.At, class})
		}
	}
	sort.SliceStable(l.events, func(i, j int) bool { return l.events[i].onset < l.events[j].onset })
	return l, nil
}

// at yields the events whose window is the one that ends at this time: the nearest one,
// of two equally near the later.
func (l *lockedWindows) at(end float64) iter.Seq[lockedEvent] {
	const tick = 1e-9 // stamps are whole nanoseconds
	first := sort.Search(len(l.events), func(i int) bool { return l.events[i].end > end-l.half+tick })
	return func(yield func(lockedEvent) bool) {
		for _, e := range l.events[first:] {
			if e.end > end+l.half+tick || !yield(e) {
				return
			}
		}
	}
}

// group numbers stretches of events whose windows may share samples: a new one begins
// where windows do not overlap, and at the latest after the length of ten windows. Where
// one cuts overlapping windows apart, a neighbour across the cut shares samples.
func (l *lockedWindows) group(e lockedEvent, seconds float64) int {
	if !l.any || e.onset-l.last >= seconds || e.onset-l.start >= 10*seconds {
		l.start = e.onset
		if l.any {
			l.number++
		}
		l.any = true
	}
	l.last = e.onset
	return l.number
}

// Locked is how well the windows that belong to markers are told apart.
type Locked struct {
	At        float64        `json:"at_s"`
	Events    int            `json:"events"`   // judged
	Unjudged  int            `json:"unjudged"` // without a usable window: at the ends, in gaps
	Classes   []string       `json:"classes"`  //
	Count     map[string]int `json:"events_by_class"`
	Correct   int            `json:"correct"`  // the most probable class is right
	Accuracy  float64        `json:"accuracy"` //
	Low95     float64        `json:"accuracy_low95"`
	High95    float64        `json:"accuracy_high95"`
	Majority  float64        `json:"majority"` // accuracy of always saying the commonest class
	Balanced  float64        `json:"balanced_accuracy"`
	AUC       float64        `json:"auc"`        // of two classes, for the rarer one; -1 otherwise
	AUCLow95  float64        `json:"auc_low95"`  // Hanley & McNeil 1982
	AUCHigh95 float64        `json:"auc_high95"` //
}

// JudgeLocked compares decisions with the markers of a recording.
func JudgeLocked(p *Pipeline, notes []recordings.Annotation, d *replay.Decisions) (*Locked, error) {
	if !(d.Step > 0) {
		return nil, errors.New("the decisions come at no regular rate, so none belongs to a marker")
	}
	l, err := newLockedWindows(p, notes, 1/d.Step)
	if err != nil {
		return nil, err
	}
	classes := p.Classes()
	index := make([]int, len(classes)) // of each class in a decision's row
	for k, c := range classes {
		if index[k] = slices.Index(d.Classes, c); index[k] < 0 {
			return nil, fmt.Errorf("class %q is not among the probabilities (%v)", c, d.Classes)
		}
	}
	s := &Locked{At: p.Train.At, Classes: classes, Count: map[string]int{}, AUC: -1, AUCLow95: -1, AUCHigh95: -1}
	total, right := make([]int, len(classes)), make([]int, len(classes))
	var rows [][]float64
	var truth []int
	for i, end := range d.Time {
		if d.Bad != nil && d.Bad[i] {
			continue
		}
		for e := range l.at(end) {
			k := slices.Index(classes, e.class)
			p := make([]float64, len(classes))
			best := 0
			for j := range p {
				if p[j] = d.Row(i)[index[j]]; p[j] > p[best] {
					best = j
				}
			}
			rows, truth = append(rows, p), append(truth, k)
			total[k]++
			s.Count[e.class]++
			if best == k {
				right[k]++
				s.Correct++
			}
			s.Events++
		}
	}
	s.Unjudged = len(l.events) - s.Events
	if s.Events == 0 {
		return nil, fmt.Errorf("no decision belongs to a labelled marker (at: %g s); check labels: against the annotations", p.Train.At)
	}
	seen, most := 0, 0
	for k, n := range total {
		most = max(most, n)
		if n > 0 {
			seen++
			s.Balanced += float64(right[k]) / float64(n)
		}
	}
	s.Balanced /= float64(seen)
	s.Accuracy, s.Majority = float64(s.Correct)/float64(s.Events), float64(most)/float64(s.Events)
	s.Low95, s.High95 = replay.ClopperPearson(s.Correct, s.Events, 0.05)
	if len(classes) == 2 && total[0] > 0 && total[1] > 0 {
		rare := 1
		if total[0] < total[1] {
			rare = 0
		}
		score, positive := make([]float64, len(rows)), make([]bool, len(rows))
		for i := range rows {
			score[i], positive[i] = rows[i][rare], truth[i] == rare
		}
		s.AUC = replay.AUC(score, positive)
		a, n1, n2 := s.AUC, float64(total[rare]), float64(total[1-rare])
		q1, q2 := a/(2-a), 2*a*a/(1+a)
		se := math.Sqrt((a*(1-a) + (n1-1)*(q1-a*a) + (n2-1)*(q2-a*a)) / (n1 * n2))
		s.AUCLow95, s.AUCHigh95 = max(0, a-1.96*se), min(1, a+1.96*se)
	}
	return s, nil
}
