package bci

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"neurostream/recordings"
)

// A model learned on top of another keeps what the other knew: stages before stay as they
// are, both recordings are named, and the new session is answered better than before.
func TestTrainOnTop(t *testing.T) {
	parse := func(logistic string) *Pipeline {
		p, err := ParsePipeline("swap.yaml", []byte(strings.Replace(fmt.Sprintf(swapPipeline, ""), "- logistic", logistic, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := parse("- logistic: {protect: 0.35}")
	base := trainOn(t, p, twoClasses(1, 0, 60))
	on := func(rec *recordings.Memory, b *Model, p *Pipeline, folds int) (*Model, error) {
		tr := Trainer{Pipeline: p, Base: b, Folds: folds, Recordings: []TrainingRecording{{Name: "second", Recording: rec}}}
		return tr.Train(t.Context())
	}
	m, err := on(twoClasses(2, 2, 60), base, p, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Recordings) != 2 || m.Recordings[1].Name != "second" || m.Recordings[0] != base.Recordings[0] {
		t.Errorf("recordings %v", m.Recordings)
	}
	if len(m.Stages) != len(base.Stages) || !bytes.Equal(m.Stages[0].Params, base.Stages[0].Params) || bytes.Equal(m.Stages[1].Params, base.Stages[1].Params) {
		t.Error("the scaler changed, or logistic did not")
	}
	right := func(m *Model, rec recordings.Recording) float64 {
		_, d, _, _ := refitWith(t, p, m, rec, 10, false)
		return rightShare(d, 0, 24) // before anything is learned while it runs
	}
	old, fresh := twoClasses(3, 0, 40), twoClasses(4, 2, 40)
	before, after := right(base, old), right(m, old)
	lost, gained := right(base, fresh), right(m, fresh)
	if gained < lost+0.1 || after < before-0.1 {
		t.Errorf("old session %.2f, after the update %.2f; new session %.2f, after it %.2f", before, after, lost, gained)
	}
	again, err := on(twoClasses(2, 2, 60), base, p, 0)
	if err != nil || !bytes.Equal(again.Stages[1].Params, m.Stages[1].Params) {
		t.Errorf("the same update gives another model (%v)", err)
	}
	plain := parse("- logistic")
	for want, f := range map[string]func() (*Model, error){
		"without forgetting": func() (*Model, error) { return on(fresh, trainOn(t, plain, old), plain, 0) },
		"does not fit":       func() (*Model, error) { return on(fresh, base, plain, 0) },
		"cross-validation":   func() (*Model, error) { return on(fresh, base, p, 5) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) && want != "does not fit" {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
