package bci

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// refitRun replays a recording with a refitter.
func refitRun(t *testing.T, lane string, rec recordings.Recording, block int, background bool) (Status, *decisionsOf, *Refitter, []string) {
	t.Helper()
	p, a, _ := swapParts(t, lane)
	return refitWith(t, p, a, rec, block, background)
}

func refitWith(t *testing.T, p *Pipeline, a *Model, rec recordings.Recording, block int, background bool) (Status, *decisionsOf, *Refitter, []string) {
	t.Helper()
	var mu sync.Mutex
	var said []string
	r := &Refitter{Pipeline: p, Model: a, Every: 20, Lag: 4, Background: background, Told: func(s string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			s = err.Error()
		}
		said = append(said, s)
	}}
	out, err := r.Output()
	if err != nil {
		t.Fatal(err)
	}
	d := new(decisionsOf)
	e, err := NewEngine(p, a, &replay.Player{Recordings: []recordings.Recording{rec}, Block: block}, []Output{out, {Name: "d", From: "logistic", Sink: d, Lossless: true}}, Options{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	r.Attach(e)
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Status(), d, r, said
}

// rightShare is the share of right windows of twoClasses between two times.
func rightShare(d *decisionsOf, from, to float64) float64 {
	right, n := 0, 0
	for i, seq := range d.seq {
		end := (float64(seq)*10 + 49) / 250
		if end < from || end >= to || math.Mod(end, 2) < 0.25 {
			continue
		}
		n++
		if class := int(end/2) % 2; d.p[i][class] > 0.5 {
			right++
		}
	}
	return float64(right) / float64(max(1, n))
}

// A stage that protects what it knows is updated instead of learned anew: a session that
// contradicts the training does not change its mind, and the run is the same every time.
func TestRefitProtects(t *testing.T) {
	p, err := ParsePipeline("swap.yaml", []byte(strings.Replace(fmt.Sprintf(swapPipeline, ""), "- logistic", "- logistic: {protect: 0.35}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m := trainOn(t, p, twoClasses(1, 0, 40))
	turned := twoClasses(5, 0, 60) // left and right have changed their names
	for i := range turned.Notes {
		turned.Notes[i].Label = []string{"R", "L"}[i%2]
	}
	var want string
	for range 2 {
		s, d, r, said := refitWith(t, p, m, turned, 10, false)
		if n, _ := r.Fits(); n != 2 || len(d.events) != 2 || len(said) != 2 {
			t.Errorf("%d fits, %d events, said %q", n, len(d.events), said)
		}
		if before, after := rightShare(d, 0, 24), rightShare(d, 30, 60); before < 0.8 || after < 0.8 {
			t.Errorf("as trained before the update %.2f, after it %.2f: protected answers changed", before, after)
		}
		if want == "" {
			want = s.Digest
		}
		if s.Digest != want {
			t.Error("the same update gives another digest")
		}
	}
	if _, d, _, _ := refitRun(t, "", turned, 10, false); rightShare(d, 30, 60) > 0.2 {
		t.Error("without protection the session is not learned either: the test shows nothing")
	}
}

// A session in which the classes look otherwise than in training is learned while it
// runs: wrong before, right after, at a column that is the same every time.
func TestRefitLearnsTheSession(t *testing.T) {
	rec := twoClasses(5, 1, 60) // left is now loud where right was
	share := rightShare
	var want string
	for _, lane := range []string{"", "", "  - lane\n"} {
		s, d, r, said := refitRun(t, lane, rec, 10, false)
		before, after := share(d, 0, 24), share(d, 30, 60)
		if before > 0.6 || after < 0.8 {
			t.Errorf("right before the refit %.2f, after it %.2f", before, after)
		}
		if n, skipped := r.Fits(); n != 2 || skipped != 0 || len(said) != 2 {
			t.Errorf("%d fits, %d skipped, said %q", n, skipped, said)
		}
		if len(d.events) != 2 || d.events[0].Kind != stream.EventModelSwap || !strings.Contains(d.events[0].Detail, "logistic learned from") {
			t.Errorf("events %v", d.events)
		}
		// The first window ends at 0.196 s; 20 s later it is time, 4 s on it decides.
		if at := d.events[0].Time.Seconds(); at < 24.196 || at > 24.3 {
			t.Errorf("swapped at %.3f s", at)
		}
		if want == "" {
			want = s.Digest
		}
		if s.Digest != want {
			t.Error("the same refit gives another digest")
		}
	}
	// Labels of later stretches change nothing that is decided before they could be learned.
	_, a, _, _ := refitRun(t, "", rec, 10, false)
	other := twoClasses(5, 1, 60)
	for i := range other.Notes {
		if other.Notes[i].Onset >= 21 {
			other.Notes[i].Label = []string{"R", "L"}[i%2]
		}
	}
	_, b, _, _ := refitRun(t, "", other, 10, false)
	for i, seq := range a.seq {
		if end := (float64(seq)*10 + 49) / 250; end < 44 && !slices.Equal(a.p[i], b.p[i]) {
			t.Fatalf("the decision at %.3f s depends on labels after 21 s", end)
		}
	}
	if slices.Equal(a.p[len(a.p)-1], b.p[len(b.p)-1]) {
		t.Error("labels after 21 s never mattered: nothing was tested")
	}
}

// In the background nothing waits and nothing is lost; whether a fit is in time is a
// matter of speed, but every decision comes out once.
func TestRefitInBackground(t *testing.T) {
	s, d, _, _ := refitRun(t, "", twoClasses(5, 1, 60), 10, true)
	for i, seq := range d.seq {
		if seq != int64(i) {
			t.Fatalf("decision %d has number %d", i, seq)
		}
	}
	if int64(len(d.seq)) != s.Decisions {
		t.Errorf("%d of %d decisions", len(d.seq), s.Decisions)
	}
}

func TestRefitRefusals(t *testing.T) {
	p, a, _ := swapParts(t, "")
	nothing, err := ParsePipeline("x.yaml", []byte("labels: {a: b, c: d}\nstages: [window: {length: 1, hop: 1, features: [log-variance]}]"))
	if err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]*Refitter{
		"nothing to refit": {Pipeline: nothing},
		"positive time":    {Pipeline: p, Model: a, Every: -1},
		"not longer than":  {Pipeline: p, Model: a, Every: 3, Lag: 5},
	} {
		if _, err := r.Output(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	// Too few trials of a class: it waits, and says nothing.
	rec := twoClasses(5, 1, 60)
	rec.Notes = rec.Notes[:6]
	_, d, r, said := refitRun(t, "", rec, 10, false)
	if n, _ := r.Fits(); n != 0 || len(said) != 0 || len(d.events) != 0 {
		t.Errorf("%d fits of three trials a class; said %q", n, said)
	}
}
