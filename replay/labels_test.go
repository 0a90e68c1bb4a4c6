package replay

import (
	"slices"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/recordings/samples"

	"pgregory.net/rapid"
)

var hands = Task{
	Classes: []string{"rest", "left", "right"}, Idle: "rest",
	Labels: map[string]string{"T0": "rest", "T1": "left", "T2": "right"},
}

func TestTruthOfARealRecording(t *testing.T) {
	r, err := samples.Open("S007R12")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := &Player{Recordings: []recordings.Recording{r}}
	h, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	truth, err := p.Truth(hands)
	if err != nil {
		t.Fatal(err)
	}
	if len(truth.Trials) != 15 {
		t.Fatalf("%d trials, want 15", len(truth.Trials))
	}
	count := [3]int{}
	for i, v := range truth.Trials {
		count[v.Class]++
		if d := v.End - v.Start; d < 4 || d > 4.3 {
			t.Errorf("trial %d lasts %v s", i, d)
		}
		if got := truth.WindowAt(v.End-1/h.Rate, 2); got.Class != v.Class || got.Purity != 1 || got.Last != v.Class {
			t.Errorf("the last 2 s of trial %d are %+v, want class %d", i, got, v.Class)
		}
		if i > 0 && truth.WindowAt(v.Start-0.1, 1).Class != truth.Idle {
			t.Errorf("before trial %d there is no rest", i)
		}
	}
	if count[1]+count[2] != 15 || count[1] < 7 || count[2] < 7 {
		t.Errorf("%d left and %d right trials", count[1], count[2])
	}
}

func TestTruthRules(t *testing.T) {
	for _, c := range []struct {
		name     string
		duration float64
		in       []recordings.Annotation
		want     []Change
		trials   []Trial
	}{
		{
			"idle where nothing is said", 0,
			[]recordings.Annotation{{Onset: 1, Duration: 1, Label: "T1"}, {Onset: 4, Duration: 1, Label: "T2"}, {Onset: 6, Duration: 1, Label: "blink"}},
			[]Change{{10, 1}, {20, 0}, {40, 2}, {50, 0}},
			[]Trial{{1, 2, 1}, {4, 5, 2}},
		},
		{
			"points last until the next one", 0,
			[]recordings.Annotation{{Onset: 1, Label: "T1"}, {Onset: 3, Label: "T0"}, {Onset: 8, Label: "T2"}},
			[]Change{{10, 1}, {30, 0}, {80, 2}},
			[]Trial{{1, 3, 1}, {8, 10, 2}},
		},
		{
			"points last as long as the task says", 1.5,
			[]recordings.Annotation{{Onset: 1, Label: "T1"}},
			[]Change{{10, 1}, {25, 0}},
			[]Trial{{1, 2.5, 1}},
		},
		{
			"the newest annotation holds, then the older one again", 0,
			[]recordings.Annotation{{Onset: 1, Duration: 6, Label: "T1"}, {Onset: 3, Duration: 2, Label: "T2"}},
			[]Change{{10, 1}, {30, 2}, {50, 1}, {70, 0}},
			[]Trial{{1, 7, 1}, {3, 5, 2}},
		},
		{
			"trials of one class that touch stay apart", 0,
			[]recordings.Annotation{{Onset: 3, Duration: 2, Label: "T1"}, {Onset: 1, Duration: 2, Label: "T1"}},
			[]Change{{10, 1}, {30, 1}, {50, 0}},
			[]Trial{{1, 3, 1}, {3, 5, 1}},
		},
		{
			"what began before the record, and what outlasts it", 0,
			[]recordings.Annotation{{Onset: -1, Duration: 2, Label: "T1"}, {Onset: 9, Duration: 5, Label: "T2"}, {Onset: 12, Duration: 1, Label: "T1"}},
			[]Change{{0, 1}, {10, 0}, {90, 2}},
			[]Trial{{-1, 1, 1}, {9, 14, 2}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			task := hands
			task.Duration = c.duration
			got, err := NewTruth(task, c.in, 10, 100)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Changes, c.want) || !slices.Equal(got.Trials, c.trials) {
				t.Errorf("changes %v, trials %v, want %v and %v", got.Changes, got.Trials, c.want, c.trials)
			}
		})
	}
}

func TestTruthRefuses(t *testing.T) {
	for _, c := range []struct {
		task Task
		rate float64
		want string
	}{
		{hands, 0, "at 0 Hz is impossible"},
		{Task{Classes: []string{"left", "right"}, Idle: "rest"}, 100, `idle class "rest" is not one of the classes (left, right)`},
		{Task{Classes: []string{"rest", "rest"}, Idle: "rest"}, 100, `class "rest" is listed twice`},
		{Task{Classes: []string{"rest"}, Idle: "rest", Labels: map[string]string{"T1": "lift"}}, 100, `annotation "T1" stands for "lift"`},
		{Task{Classes: []string{"rest"}, Idle: "rest", Duration: -1}, 100, "trial duration -1 s"},
	} {
		if _, err := NewTruth(c.task, nil, c.rate, 10); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// TestWindowLabelsAgainstCounting counts sample by sample.
func TestWindowLabelsAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		track := Track{Before: rapid.IntRange(0, 3).Draw(t, "before"), Len: 200}
		at := int64(0)
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			at += rapid.Int64Range(1, 20).Draw(t, "step")
			track.Changes = append(track.Changes, Change{at, rapid.IntRange(0, 3).Draw(t, "class")})
		}
		state := func(col int64) int {
			s := track.Before
			for _, c := range track.Changes {
				if c.Column <= col {
					s = c.Class
				}
			}
			return s
		}
		start, n := rapid.Int64Range(-10, 190).Draw(t, "start"), rapid.Int64Range(1, 60).Draw(t, "length")
		var counts, last [4]int64
		for i := start; i < start+n; i++ {
			counts[state(i)]++
			last[state(i)] = i + 100
		}
		best := 0
		for k := range counts {
			if counts[k] > counts[best] || counts[k] == counts[best] && last[k] > last[best] {
				best = k
			}
		}
		w := track.Window(start, n)
		if w.Start != start || w.Class != best || w.Purity != float64(counts[best])/float64(n) || w.Last != state(start+n-1) || w.Last != track.At(start+n-1) {
			t.Fatalf("%+v, want class %d with %v, last %d", w, best, counts, state(start+n-1))
		}
	})
}
