package bci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

const cursorText = `name: cursor
targets: [vx, vy]
aside: [x, y, goal x, goal y]
stages:
  - kalman: {health: true}
`

func cursorPipeline(t testing.TB, text string) *Pipeline {
	t.Helper()
	p, err := ParsePipeline("cursor.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reachRecording(t testing.TB, seed uint64, seconds float64) *recordings.Memory {
	t.Helper()
	r, err := Reach{Seconds: seconds, Units: 24, Seed: seed, Brain: 1}.Recording()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runKinematics decodes a recording and returns what came out and its digest.
func runKinematics(t testing.TB, p *Pipeline, m *Model, rec recordings.Recording, block int) (*replay.Kinematics, Status) {
	t.Helper()
	judge := new(replay.KinematicCollector)
	e, err := NewEngine(p, m, &replay.Player{Recordings: []recordings.Recording{rec}, Block: block}, []Output{{Name: "judge", Sink: judge, Lossless: true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return judge.Kinematics(), e.Status()
}

// Stages that learn classes or targets learn targets where the file names some, and the
// decisions do not depend on how the stream is cut.
func TestNetworksLearnTargets(t *testing.T) {
	for _, stage := range []string{"snn: {sizes: [24], recurrent: true, beta: 0.7, read-beta: 0.5, epochs: 12}", "reservoir: {neurons: 80, steps: 5, memory: 0.1}", "snn: {method: qcfs, sizes: [24], epochs: 12}"} {
		p := cursorPipeline(t, strings.Replace(cursorText, "kalman: {health: true}", stage, 1))
		m := trainOn(t, p, reachRecording(t, 1, 120))
		if len(m.Targets) != 2 || m.Targets[0].Label != "vx" {
			t.Errorf("%s: targets %v", stage, m.Targets)
		}
		if s := m.Stages[0].Seed; s == nil || *s != 1 {
			t.Errorf("%s: the model does not say its seed", stage)
		}
		test := reachRecording(t, 2, 60)
		k, s := runKinematics(t, p, m, test, 7)
		truth, err := p.ReadTargets(t.Context(), test)
		if err != nil {
			t.Fatal(err)
		}
		score, err := replay.ScoreKinematics(k, truth.At, replay.KinematicOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !(score.Outputs[0].RLow95 > score.Outputs[0].RChance) || !(score.Outputs[1].RLow95 > score.Outputs[1].RChance) {
			t.Errorf("%s: decoded no better than chance: %+v", stage, score)
		}
		if _, again := runKinematics(t, p, m, test, 64); again.Digest != s.Digest {
			t.Errorf("%s: the digest depends on the cut", stage)
		}
	}
}

// without returns the recording without the channels named.
func without(r *recordings.Memory, names ...string) *recordings.Memory {
	out := &recordings.Memory{Stream: r.Stream.Clone(), Data: new(stream.Chunk)}
	out.Stream.Channels = nil
	var keep []int
	for i, c := range r.Stream.Channels {
		if indexOf(names, c.Label) < 0 {
			keep = append(keep, i)
			out.Stream.Channels = append(out.Stream.Channels, c)
		}
	}
	out.Data.Alloc(len(keep), r.Data.Len)
	out.Data.Resize(r.Data.Len)
	for to, from := range keep {
		out.Data.SetRow(to, r.Data.Row(nil, from))
	}
	return out
}

// A decoder of kinematics is trained on channels of a recording, never sees them, and
// decodes a stream that has them not as one that has them.
func TestTargetsEndToEnd(t *testing.T) {
	p := cursorPipeline(t, cursorText)
	m := trainOn(t, p, reachRecording(t, 1, 120))
	if len(m.Channels) != 24 || m.DescribeTargets() != "vx (cm/s), vy (cm/s)" || m.Columns != 2400 || len(m.Classes) != 0 {
		t.Fatalf("model of %d channels, targets %s, %d columns, classes %v", len(m.Channels), m.DescribeTargets(), m.Columns, m.Classes)
	}
	test := reachRecording(t, 2, 120)
	got, whole := runKinematics(t, p, m, test, 3)
	truth, err := p.ReadTargets(t.Context(), test)
	if err != nil {
		t.Fatal(err)
	}
	s, err := replay.ScoreKinematics(got, truth.At, replay.KinematicOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if s.Columns != 2400 || !(s.NRMSEHigh95 < 1) || !(s.Outputs[0].RLow95 > s.Outputs[0].RChance) || !(s.Outputs[1].RLow95 > s.Outputs[1].RChance) {
		t.Errorf("decoded no better than chance: %+v", s)
	}
	_, live := runKinematics(t, p, m, without(test, "vx", "vy", "x", "y", "goal x", "goal y"), 64)
	if whole.Digest != live.Digest {
		t.Error("a stream without the targets is decoded otherwise, or the block size matters")
	}
	// changing the targets of the recording under test changes nothing
	for _, ch := range []string{"vx", "goal x"} {
		i := test.Stream.Index(ch)
		v := test.Data.Row(nil, i)
		for k := range v {
			v[k] = 1e3
		}
		test.Data.SetRow(i, v)
	}
	if _, other := runKinematics(t, p, m, test, 7); other.Digest != whole.Digest {
		t.Error("the decoder sees the targets")
	}
	b1, b2 := new(bytes.Buffer), new(bytes.Buffer)
	json.NewEncoder(b1).Encode(m)
	json.NewEncoder(b2).Encode(trainOn(t, p, reachRecording(t, 1, 120)))
	if !bytes.Equal(b1.Bytes(), b2.Bytes()) {
		t.Error("the same recording gives another model")
	}
	if other := trainOn(t, p, reachRecording(t, 3, 120)); other.Recordings[0].SHA256 == m.Recordings[0].SHA256 {
		t.Error("other recordings have the same hash")
	}
}

// Columns that cannot be used are left out, and what lies across them is no movement.
func TestTargetsWithHoles(t *testing.T) {
	p := cursorPipeline(t, cursorText)
	r := reachRecording(t, 1, 60)
	v := r.Data.Row(nil, r.Stream.Index("vx"))
	for i := 100; i < 120; i++ {
		v[i] = math.NaN()
	}
	r.Data.SetRow(r.Stream.Index("vx"), v)
	u := r.Data.Row(nil, 3)
	u[500] = math.NaN()
	r.Data.SetRow(3, u)
	r.Breaks = []recordings.Gap{{Column: 800, Seconds: 2}}
	tr := Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "holes", Recording: r}}, Progress: func(string, float64) {}}
	_, err := tr.collectTargets(t.Context(), nil, new(Model), false)
	if err == nil || !strings.Contains(err.Error(), "alike") { // an empty model describes no recordings
		t.Fatalf("recordings that are not alike: %v", err)
	}
	m := new(Model)
	rows, err := tr.collectTargets(t.Context(), nil, m, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows.X) != 1200-20-1 {
		t.Errorf("%d rows", len(rows.X))
	}
	var starts []int
	for i := 1; i < len(rows.Group); i++ {
		if rows.Group[i] != rows.Group[i-1] {
			starts = append(starts, i)
		}
	}
	if len(starts) != 3 || starts[0] != 100 || starts[1] != 480 || starts[2] != 779 {
		t.Errorf("groups start at %v", starts)
	}
	truth, _ := p.ReadTargets(t.Context(), r)
	z := make([]float64, 2)
	if truth.At(z, 105.0/20) || !truth.At(z, 99.0/20) || truth.At(z, 1e9) {
		t.Error("unknown targets are known")
	}
	if truth.At(z, 42); z[0] != r.Data.At(r.Stream.Index("vx"), 800) {
		t.Error("targets after a gap are not those of their time")
	}
}

// ReFIT: the velocity keeps its length and points to the goal, and is zero on it.
func TestTargetsOfIntent(t *testing.T) {
	r := reachRecording(t, 1, 60)
	for _, intent := range []string{IntentRefit, IntentDirection} {
		p := cursorPipeline(t, strings.Replace(cursorText, "aside: [x, y, goal x, goal y]", "train: {intent: "+intent+", cursor: [x, y], goal: [goal x, goal y], radius: 1}", 1))
		truth, err := p.ReadTargets(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		zero, z := 0, make([]float64, 2)
		for i := range r.Data.Len {
			if !truth.At(z, float64(i)/20) {
				t.Fatal("no target")
			}
			c := func(name string) float64 { return r.Data.At(r.Stream.Index(name), i) }
			dx, dy := c("goal x")-c("x"), c("goal y")-c("y")
			far, length := math.Hypot(dx, dy), 1.0
			if intent == IntentRefit {
				length = math.Hypot(c("vx"), c("vy"))
			}
			if far <= 1 {
				zero++
				length = 0
			}
			if math.Abs(z[0]-dx/far*length) > 1e-9 || math.Abs(z[1]-dy/far*length) > 1e-9 {
				t.Fatalf("%s, column %d: %v", intent, i, z)
			}
		}
		if zero == 0 {
			t.Error("the cursor never reached a goal")
		}
		if m := trainOn(t, p, r); intent == IntentDirection && m.Targets[0].Unit != "1" {
			t.Errorf("a direction is in %q", m.Targets[0].Unit)
		}
	}
}

func TestTargetsRefusals(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no targets":   {"stages:\n  - kalman:\n", "cursor.yaml:2: kalman learns target values"},
		"no learner":   {"targets: [vx]\nstages:\n  - car:\n", "no stage learns target values"},
		"every":        {"targets: [vx]\ntrain: {every: 2}\nstages:\n  - kalman:\n", "every is 2"},
		"aside alone":  {"aside: [x]\nstages:\n  - kalman:\n", "kalman learns target values"},
		"cursor alone": {"targets: [vx, vy]\ntrain: {cursor: [x, y]}\nstages:\n  - kalman:\n", "intent is none"},
		"cursor short": {"targets: [vx, vy]\ntrain: {intent: refit, cursor: [x], goal: [x, y]}\nstages:\n  - kalman:\n", "it has 1 and 2"},
		"unknown":      {"targets: [vz, vy]\nstages:\n  - kalman:\n", `no channel "vz"`},
	} {
		p := cursorPipeline(t, c.text)
		r := reachRecording(t, 1, 10)
		_, err := (&Trainer{Pipeline: p, Recordings: []TrainingRecording{{Name: "r", Recording: r}}}).Train(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"no list": "targets: vx\nstages: [car]\n", "twice": "targets: [vx, vx]\nstages: [car]\n", "nothing": "targets: []\nstages: [car]\n", "mapping": "aside: [{a: b}]\nstages: [car]\n",
	} {
		if _, err := ParsePipeline("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "c.yaml:1:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// nothing but targets, and only some of them
	var units []string
	for i := range 24 {
		units = append(units, fmt.Sprintf("unit %d", i+1))
	}
	only := without(reachRecording(t, 1, 10), units...)
	for name, c := range map[string]struct {
		rec  *recordings.Memory
		want string
	}{
		"some": {without(reachRecording(t, 1, 10), "vy"), `no channel "vy"`},
		"only": {only, "all channels of the source are targets"},
	} {
		s := &withoutTargets{source: &replay.Player{Recordings: []recordings.Recording{c.rec}}, path: "c.yaml", names: cursorPipeline(t, cursorText).hidden()}
		if _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The simulation is the same for the same seed, and one brain's spikes follow its
// velocity whatever the movement.
func TestReach(t *testing.T) {
	a, b, c := reachRecording(t, 1, 30), reachRecording(t, 1, 30), reachRecording(t, 2, 30)
	same := true
	for ch := range a.Stream.Channels {
		for i := range a.Data.Len {
			if a.Data.At(ch, i) != b.Data.At(ch, i) {
				t.Fatal("the same seed gives another recording")
			}
			same = same && a.Data.At(ch, i) == c.Data.At(ch, i)
		}
	}
	if same {
		t.Error("another seed gives the same recording")
	}
	for _, bad := range []Reach{{Seconds: 10}, {Units: 5}, {Units: 1000, Seconds: 1e9}, {Units: 3, Seconds: math.NaN()}} {
		if _, err := bad.Recording(); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	in, err := OpenSource("reach:?seed=2&units=24&seconds=30")
	if err != nil {
		t.Fatal(err)
	}
	if in.Recording.Len() != 600 || in.Recording.Header().Channels[24].Unit != "cm/s" {
		t.Errorf("%d columns, %+v", in.Recording.Len(), in.Recording.Header().Channels[24])
	}
}
