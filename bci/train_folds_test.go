package bci

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// Cross-validated scores find what is there, nothing where nothing is, and leave the
// model as it is without them.
func TestCrossValidation(t *testing.T) {
	p, plain, _ := swapParts(t, "")
	rec := twoClasses(1, 0, 80)
	one := func(shuffle bool) *Model {
		r := twoClasses(1, 0, 80)
		if shuffle {
			d := rand.New(rand.NewPCG(3, 3))
			d.Shuffle(len(r.Notes), func(i, j int) { r.Notes[i].Label, r.Notes[j].Label = r.Notes[j].Label, r.Notes[i].Label })
		}
		tr := Trainer{Pipeline: p, Folds: 5, Recordings: []TrainingRecording{{Name: "1", Recording: r}}}
		m, err := tr.Train(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := one(false)
	if s := m.Scores; s["folds"] != 5 || s["trials"] != 40 || s["trial_accuracy"] < 0.9 || s["trial_low95"] < 0.7 || s["balanced_accuracy"] < 0.7 || s["trial_chance"] != 0.5 {
		t.Errorf("scores %v", m.Scores)
	}
	whole := trainOn(t, p, rec)
	for i := range whole.Stages {
		if !bytes.Equal(whole.Stages[i].Params, m.Stages[i].Params) {
			t.Errorf("stage %d is another one with scores than without", i)
		}
	}
	if plain.Scores != nil {
		t.Errorf("scores without folds: %v", plain.Scores)
	}
	if s := one(true).Scores; s["trial_low95"] > 0.5 || s["balanced_accuracy"] > 0.6 {
		t.Errorf("shuffled labels: %v", s)
	}
	tr := Trainer{Pipeline: p, Folds: 30, Recordings: []TrainingRecording{{Name: "1", Recording: rec}}}
	if _, err := tr.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "do not make 30 folds") {
		t.Errorf("30 folds: %v", err)
	}
}
