package bci

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// blinks is a recording in which every channel picks up a known share of the eyes.
func blinks(seed uint64, seconds int) *recordings.Memory {
	h := stream.Header{Name: "blinks", Rate: 250, MaxLen: 64}
	for _, l := range []string{"Fp1", "C3", "C4", "Oz", "EOG1"} {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	h.Channels[4].Type = "EOG"
	share := []float64{0.6, 0.2, 0.15, 0.05, 1}
	r := rand.New(rand.NewPCG(seed, 1))
	m := &recordings.Memory{Stream: h, Data: new(stream.Chunk)}
	m.Data.Alloc(5, seconds*250)
	m.Data.Resize(seconds * 250)
	for i := range seconds * 250 {
		eye := r.NormFloat64()
		if i%750 < 60 {
			eye += 150 * math.Sin(math.Pi*float64(i%750)/60)
		}
		for ch, s := range share {
			m.Data.Set(ch, i, s*eye+5*r.NormFloat64()*(1-s))
		}
	}
	return m
}

// TestLearnersAreTrained: a pipeline whose stages learn without labels is trained,
// written, read and run, and does on another recording what it is for. Training is
// deterministic; without its model the pipeline says what to do.
func TestLearnersAreTrained(t *testing.T) {
	p, err := ParsePipeline("clean.yaml", []byte("stages:\n  - highpass: {low: 1, order: 2}\n  - eog-regression:\n  - select: {channels: [Fp1, C3, C4, Oz]}\n  - asr: {cutoff: 30, delay: 0}\n"))
	if err != nil {
		t.Fatal(err)
	}
	train := func() *Model {
		m, err := (&Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "one", Recording: blinks(1, 40)}, {Name: "two", Recording: blinks(2, 40)}}}).Train(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := train()
	path := filepath.Join(t.TempDir(), "clean.model")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := ReadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Stages) != 2 || len(again.Recordings) != 2 || again.Recordings[1].Seconds != 40 {
		t.Errorf("model of %d stages, recordings %v", len(again.Stages), again.Recordings)
	}
	for i, s := range train().Stages {
		if string(s.Params) != string(m.Stages[i].Params) {
			t.Errorf("%s is not trained the same twice", s.Name)
		}
	}
	links := p.Build()
	if err := (*Model)(nil).install(p, links); err == nil || !strings.Contains(err.Error(), "bci train") {
		t.Errorf("without a model: %v", err)
	}
	if err := again.install(p, links); err != nil {
		t.Fatal(err)
	}
	chain := stream.Chain{Links: links}
	player := &replay.Player{Recordings: []recordings.Recording{blinks(3, 20)}}
	in, err := player.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out, err := chain.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	raw, cleaned := 0.0, 0.0
	for player.Read(src) == nil {
		chain.Process(dst, src)
		for i := range dst.Len {
			if dst.Seq < 1000 {
				continue
			}
			raw += src.At(0, i) * src.At(0, i)
			cleaned += dst.At(0, i) * dst.At(0, i)
		}
	}
	if !(cleaned < raw/20) {
		t.Errorf("blinks at Fp1 keep %.3g of their power", cleaned/raw)
	}
}
