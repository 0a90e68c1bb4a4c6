package bci

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

const lockedPipeline = `labels: {"1": target, "2": other}
train: {at: 0.6}
stages:
  - window: {length: 0.6, hop: 0.02, features: [samples: {every: 5}]}
  - xdawn: {filters: 2, classes: [target], output: samples}
  - lda: {shrinkage: auto}
`

// oddball is a recording of flashes every 0.2 s, one of six a target that is answered
// 0.3 s later; with shuffle the labels are dealt at random.
func oddball(seed uint64, flashes int, shuffle bool) *recordings.Memory {
	const rate = 100
	r := rand.New(rand.NewPCG(seed, 11))
	h := stream.Header{Name: "oddball", Rate: rate, MaxLen: 100}
	for _, l := range []string{"Cz", "Pz", "Oz"} {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	n := 100 + flashes*20 + 100
	m := &recordings.Memory{Stream: h, Data: new(stream.Chunk)}
	m.Data.Alloc(3, n)
	m.Data.Resize(n)
	for i := range n {
		for ch := range 3 {
			m.Data.Set(ch, i, 5*r.NormFloat64())
		}
	}
	for f := range flashes {
		at := 100 + 20*f
		label := "2"
		if r.IntN(6) == 0 {
			label = "1"
			for t := range 40 {
				p := 8 * math.Exp(-float64((t-30)*(t-30))/30)
				for ch, w := range []float64{1, 1.5, 0.3} {
					m.Data.Set(ch, at+t, m.Data.At(ch, at+t)+w*p)
				}
			}
		}
		if shuffle {
			label = []string{"1", "2", "2", "2", "2", "2"}[r.IntN(6)]
		}
		m.Notes = append(m.Notes, recordings.Annotation{Onset: float64(at) / rate, Label: label})
	}
	return m
}

func judgeLocked(t *testing.T, p *Pipeline, m *Model, rec recordings.Recording) *Locked {
	t.Helper()
	_, d := decode(t, p, m, &replay.Player{Recordings: []recordings.Recording{rec}})
	l, err := JudgeLocked(p, rec.Annotations(), d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// One window per marker is learned from and judged, the right one, and nothing is found
// where there is nothing.
func TestLockedToMarkers(t *testing.T) {
	p, err := ParsePipeline("p300.yaml", []byte(lockedPipeline))
	if err != nil {
		t.Fatal(err)
	}
	m := trainOn(t, p, oddball(1, 300, false))
	if n := m.Examples["target"] + m.Examples["other"]; n != 300 {
		t.Errorf("%d examples of 300 flashes", n)
	}
	got := judgeLocked(t, p, m, oddball(2, 300, false))
	if got.Events != 300 || got.Unjudged != 0 || got.AUCLow95 < 0.85 || got.AUC > got.AUCHigh95 || got.Count["target"]+got.Count["other"] != 300 {
		t.Errorf("held-out flashes: %+v", got)
	}
	t.Logf("AUC %.3f (%.3f to %.3f)", got.AUC, got.AUCLow95, got.AUCHigh95)
	nothing := judgeLocked(t, p, trainOn(t, p, oddball(3, 300, true)), oddball(4, 300, true))
	if nothing.AUCLow95 > 0.5 || nothing.AUCHigh95 < 0.5 {
		t.Errorf("labels dealt at random: AUC %.3f to %.3f", nothing.AUCLow95, nothing.AUCHigh95)
	}
	rec := oddball(5, 20, false)
	rec.Notes = rec.Notes[:0]
	tr := Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "x", Recording: rec}}}
	if _, err := tr.Train(t.Context()); err == nil || !strings.Contains(err.Error(), "half a hop") {
		t.Errorf("without markers: %v", err)
	}
}

func TestLockedWindows(t *testing.T) {
	p := &Pipeline{Labels: []Label{{"a", "x"}}, Train: TrainSettings{At: 1}}
	notes := []recordings.Annotation{{Onset: 1.97, Label: "a"}, {Onset: 0, Label: "a"}, {Onset: 0.05, Label: "a"}, {Onset: 0.5, Label: "b"}}
	l, err := newLockedWindows(p, notes, 10) // windows end at 0.9, 1.0, 1.1, …
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for w := range 40 {
		for e := range l.at(float64(w) / 10) {
			got = append(got, float64(w)/10, e.onset)
		}
	}
	if !slices.Equal(got, []float64{1, 0, 1, 0.05, 3, 1.97}) && !slices.Equal(got, []float64{1, 0, 1.1, 0.05, 3, 1.97}) {
		t.Errorf("window ends and onsets: %v", got)
	}
	var groups []int
	for _, onset := range []float64{0, 0.9, 1.8, 2.7, 3.6, 4.5, 5.4, 6.3, 7.2, 8.1, 9, 9.9, 10.8, 11.7, 20, 20.1} {
		groups = append(groups, l.group(lockedEvent{onset: onset}, 1))
	}
	if !slices.Equal(groups, []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2}) {
		t.Errorf("groups %v", groups)
	}
}
