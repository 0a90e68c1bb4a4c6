package bci

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// A trainer that finds its recordings streamed already learns the same to the bit, also
// beside others that share what was kept.
func TestStreamedTrainsTheSame(t *testing.T) {
	p, err := ParsePipeline("cued.yaml", []byte(cuedPipeline))
	if err != nil {
		t.Fatal(err)
	}
	recs := []TrainingRecording{{Name: "a", Recording: cuedRecording(t, 1, 20)}, {Name: "b", Recording: cuedRecording(t, 2, 20), From: 3, To: 70}}
	train := func(s *Streamed) string {
		tr := Trainer{Pipeline: p, Recordings: recs, Streamed: s}
		m, err := tr.Train(t.Context())
		if err != nil {
			t.Error(err)
			return ""
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	want := train(nil)
	shared := new(Streamed)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := train(shared); got != want {
				t.Errorf("another model:\n%s\n%s", got, want)
			}
		})
	}
	wg.Wait()
	if len(shared.kept) != 2 {
		t.Errorf("%d recordings kept", len(shared.kept))
	}
}

// Through puts out what the engine does.
func TestThroughIsTheEngine(t *testing.T) {
	p, err := ParsePipeline("cued.yaml", []byte(cuedPipeline))
	if err != nil {
		t.Fatal(err)
	}
	m := trainOn(t, p, cuedRecording(t, 1, 20))
	rec := cuedRecording(t, 5, 10)
	var got, want [][]float64
	err = new(Streamed).Through(t.Context(), p, m, TrainingRecording{Name: "c", Recording: rec}, "stop", func(_ *stream.Header, c *stream.Chunk) {
		for i := range c.Len {
			got = append(got, c.Column(nil, i))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	sink := &columnsSink{}
	e, err := NewEngine(p, m, &replay.Player{Recordings: []recordings.Recording{rec}}, []Output{{Name: "columns", Sink: sink, Lossless: true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = sink.x
	if len(got) == 0 || len(got) != len(want) {
		t.Fatalf("%d columns, the engine has %d", len(got), len(want))
	}
	for i := range got {
		for k := range got[i] {
			if got[i][k] != want[i][k] {
				t.Fatalf("column %d, row %d: %v, the engine has %v", i, k, got[i][k], want[i][k])
			}
		}
	}
	if err := new(Streamed).Through(t.Context(), p, m, TrainingRecording{Recording: rec}, "window", nil); err == nil || !strings.Contains(err.Error(), "window") {
		t.Errorf("a stage that learns nothing: %v", err)
	}
}

// Trials left out reach neither decoder nor calibration; a rule with temperature and
// threshold given keeps none, and claims no score.
func TestLeaveOutAndGivenRule(t *testing.T) {
	text := strings.Replace(cuedPipeline, "threshold: 0.9, holdout: 0.4", "kappa: 2, threshold: 0.9, max: 3", 1)
	p, err := ParsePipeline("cued.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tr := Trainer{
		Pipeline: p, Recordings: []TrainingRecording{{Name: "a", Recording: cuedRecording(t, 1, 40)}},
		LeaveOut: func(r, stretch int) bool { return r == 0 && stretch > 60 }, // changes of state: cue, end, cue, …
	}
	m, err := tr.Train(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Examples["left"] + m.Examples["right"]; n != 30*30 {
		t.Errorf("learned from %d windows, 30 trials of 30 were left", n)
	}
	var s struct {
		Trials int                `json:"calibration_trials"`
		Full   float64            `json:"calibration_accuracy_full_length"`
		Stop   decoders.StopModel `json:"stop"`
	}
	if err := json.Unmarshal(m.Stages[1].Params, &s); err != nil || s.Trials != 0 || s.Full != 0 || s.Stop.Kappa != 2 || s.Stop.Threshold != 0.9 || s.Stop.Steps != 30 {
		t.Errorf("%+v, %v", s, err)
	}
}

type columnsSink struct{ x [][]float64 }

func (s *columnsSink) Open(context.Context, stream.Header) error { return nil }
func (s *columnsSink) Close() error                              { return nil }

func (s *columnsSink) Write(c *stream.Chunk) error {
	for i := range c.Len {
		s.x = append(s.x, c.Column(nil, i))
	}
	return nil
}
