package bci

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/stream"
)

// cuedRecording is 3 channels at 100 Hz with a cue every 4 s: for 3 s after it, channel 1
// (left) or 2 (right) is loud.
func cuedRecording(t *testing.T, seed uint64, trials int) recordings.Recording {
	t.Helper()
	h := stream.Header{Name: "cued", Rate: 100, MaxLen: 64}
	for _, n := range []string{"C3", "C4", "Cz"} {
		h.Channels = append(h.Channels, stream.Channel{Label: n, Unit: "uV", Type: "EEG"})
	}
	r := rand.New(rand.NewPCG(seed, 3))
	data := make([][]float64, 3)
	var notes []recordings.Annotation
	for k := range trials {
		c := k % 2
		notes = append(notes, recordings.Annotation{Onset: float64(4*k + 1), Duration: 3, Label: []string{"T1", "T2"}[c]})
		ease := 0.15 + r.Float64()
		for i := range 400 {
			for ch := range data {
				v := r.NormFloat64()
				if ch == c && i >= 100 {
					v *= 1 + ease
				}
				data[ch] = append(data[ch], v)
			}
		}
	}
	c := new(stream.Chunk)
	c.Alloc(3, len(data[0]))
	c.Resize(len(data[0]))
	for ch := range data {
		c.SetRow(ch, data[ch])
	}
	return &recordings.Memory{Stream: h, Data: c, Notes: notes}
}

const cuedPipeline = `
labels: {T1: left, T2: right}
train: {windows: newest}
stages:
  - window: {length: 1, hop: 0.1, features: [log-variance]}
  - logistic
  - stop: {cue: [T1, T2], threshold: 0.9, holdout: 0.4}
`

// Trials for the calibration are kept from every stage before, and the other way round.
func TestTrainerHoldsTrialsOut(t *testing.T) {
	p, err := ParsePipeline("cued.yaml", []byte(cuedPipeline))
	if err != nil {
		t.Fatal(err)
	}
	tr := Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "a", Recording: cuedRecording(t, 1, 40)}, {Name: "b", Recording: cuedRecording(t, 2, 40)}}}
	m, err := tr.Train(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// 30 windows a trial: 60 % of 80 trials for the decoder
	if m.Examples["left"] != 24*30 || m.Examples["right"] != 24*30 {
		t.Errorf("the decoder learned from %v windows", m.Examples)
	}
	var s struct {
		Trials int `json:"calibration_trials"`
	}
	if err := json.Unmarshal(m.Stages[1].Params, &s); err != nil || s.Trials != 32 {
		t.Errorf("calibrated on %d trials (%v), want 32", s.Trials, err)
	}
	// what is held out does not reach the decoder: without a rule, half the trials give
	// another model
	q, err := ParsePipeline("cued.yaml", []byte(cuedPipeline[:strings.Index(cuedPipeline, "  - stop")]))
	if err != nil {
		t.Fatal(err)
	}
	all := tr
	all.Pipeline = q
	m2, err := all.Train(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if string(m2.Stages[0].Params) == string(m.Stages[0].Params) || m2.Examples["left"] != 40*30 {
		t.Errorf("the decoder is the same with and without held-out trials, from %v windows", m2.Examples)
	}
	if _, ok := q.Build()[1].Stage.(decoders.Calibrator); ok {
		t.Error("logistic is a calibrator")
	}
}

func TestCueNeedsNewestWindows(t *testing.T) {
	p, err := ParsePipeline("cued.yaml", []byte(strings.Replace(cuedPipeline, "train: {windows: newest}", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	tr := Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "a", Recording: cuedRecording(t, 1, 40)}}}
	_, err = tr.Train(context.Background())
	var f *FileError
	if !errors.As(err, &f) || !strings.Contains(err.Error(), "windows: newest") {
		t.Errorf("%v", err)
	}
}
