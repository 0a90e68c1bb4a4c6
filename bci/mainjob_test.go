package bci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"neurostream/recordings"
	"neurostream/recordings/samples"
	"neurostream/replay"
	"neurostream/stream"
)

// The main job: the pipeline of `bci demo` on the recordings that come with it.

func mainPipeline(t testing.TB) *Pipeline {
	t.Helper()
	p, err := ReadPipeline("../cmd/bci/pipelines/motor-imagery.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sample(t testing.TB, name string) recordings.Recording {
	t.Helper()
	r, err := samples.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func trainOn(t testing.TB, p *Pipeline, recs ...recordings.Recording) *Model {
	t.Helper()
	tr := Trainer{Pipeline: p}
	for i, r := range recs {
		tr.Recordings = append(tr.Recordings, TrainingRecording{Name: fmt.Sprint(i + 1), Recording: r})
	}
	m, err := tr.Train(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var mainModel = sync.OnceValues(func() (*Model, error) {
	src, err := os.ReadFile("../cmd/bci/pipelines/motor-imagery.yaml")
	if err != nil {
		return nil, err
	}
	p, err := ParsePipeline("motor-imagery.yaml", src)
	if err != nil {
		return nil, err
	}
	tr := Trainer{Pipeline: p}
	names, to := []string{"S007R04", "S007R08"}, 0.0
	if testing.Short() { // the race detector makes arithmetic twenty times slower
		names, to = names[:1], 40
	}
	for _, n := range names {
		r, err := samples.Open(n)
		if err != nil {
			return nil, err
		}
		tr.Recordings = append(tr.Recordings, TrainingRecording{Name: n, Recording: r, To: to})
	}
	return tr.Train(context.Background())
})

func trained(t testing.TB) *Model {
	t.Helper()
	m, err := mainModel()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func decode(t testing.TB, p *Pipeline, m *Model, player *replay.Player) (Status, *replay.Decisions) {
	t.Helper()
	judge := new(replay.Collector)
	e, err := NewEngine(p, m, player, []Output{{Name: "judge", Sink: judge, Lossless: true}}, Options{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Status(), judge.Decisions()
}

func score(t testing.TB, p *Pipeline, r recordings.Recording, d *replay.Decisions) *replay.Report {
	t.Helper()
	task, err := p.Task()
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	truth, err := replay.NewTruth(task, r.Annotations(), h.Rate, r.Len())
	if err != nil {
		t.Fatal(err)
	}
	s, err := replay.Score(d, truth, replay.Options{Window: 2, Rate: h.Rate})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMainJobTellsLeftFromRight(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the whole training")
	}
	p, r := mainPipeline(t), sample(t, "S007R12")
	s, d := decode(t, p, trained(t), &replay.Player{Recordings: []recordings.Recording{r}})
	got := score(t, p, r, d)
	t.Logf("trials %d of %d, nMCC %.3f, event TPR %.3f, digest %.12s…", got.TrialsCorrect, got.Trials, got.NMCC, got.EventTPR, s.Digest)
	if got.Trials != 15 || got.TrialsCorrect < 14 {
		t.Errorf("%d of %d trials right, want at least 14 of 15", got.TrialsCorrect, got.Trials)
	}
	if got.NMCC < 0.6 {
		t.Errorf("nMCC is %.3f with rest as a class, want more than 0.6", got.NMCC)
	}
}

// Same recording, same model: same digest, whatever the blocks, the speed, the lanes.
func TestDigestEquality(t *testing.T) {
	m := trained(t)
	cut := func(p *Pipeline, lanes ...int) *Pipeline { // stage indices before which a lane begins
		q := *p
		q.Steps = append([]Step(nil), p.Steps...)
		for i := range q.Steps {
			for _, l := range lanes {
				if i >= l {
					q.Steps[i].Lane++
				}
			}
		}
		return &q
	}
	p := mainPipeline(t)
	three := cut(p, 3, 6)
	if three.Lanes() != 3 {
		t.Fatalf("%d lanes", three.Lanes())
	}
	for _, part := range []struct {
		name     string
		from, to float64
		runs     map[string]replay.Player
		lanes    *Pipeline
	}{
		{"whole recording", 0, 0, map[string]replay.Player{
			"blocks of 1": {Block: 1}, "blocks of 7": {Block: 7}, "blocks of 25": {Block: 25}, "blocks of 64": {Block: 64},
			"blocks of 250": {Block: 250}, "blocks of 479": {Block: 479}, "again": {}, "speed 50": {Speed: 50},
		}, three},
		{"six seconds", 20, 26, map[string]replay.Player{
			"unpaced": {}, "blocks of 1": {Block: 1}, "blocks of 479": {Block: 479}, "speed 1": {Speed: 1}, "speed 50": {Speed: 50},
		}, three},
	} {
		want := ""
		check := func(name string, p *Pipeline, player replay.Player) {
			player.Recordings = []recordings.Recording{sample(t, "S007R12")}
			player.From, player.To = part.from, part.to
			s, _ := decode(t, p, m, &player)
			if want == "" {
				want = s.Digest
			}
			if s.Digest != want || s.Decisions == 0 {
				t.Errorf("%s, %s: digest %.12s… after %d decisions, others have %.12s…", part.name, name, s.Digest, s.Decisions, want)
			}
		}
		for name, player := range part.runs {
			if testing.Short() && (player.Speed > 0 || part.to == 0) {
				continue // pacing is the player's, and its tests use a manual clock
			}
			check(name, p, player)
		}
		if part.to > 0 || !testing.Short() {
			check("three lanes", part.lanes, replay.Player{Block: 25})
		}
	}
}

// altered is a recording whose samples change after a column.
type altered struct {
	recordings.Recording
	after int64
	notes []recordings.Annotation
}

func (a *altered) ReadAt(dst *stream.Chunk, from int64) error {
	err := a.Recording.ReadAt(dst, from)
	for i := range dst.Len {
		if a.after > 0 && from+int64(i) > a.after {
			for ch := range dst.Rows() {
				dst.Set(ch, i, 40-2*dst.At(ch, i))
			}
		}
	}
	return err
}

func (a *altered) Annotations() []recordings.Annotation {
	if a.notes != nil {
		return a.notes
	}
	return a.Recording.Annotations()
}

func TestNoFutureSampleReachesADecision(t *testing.T) {
	p, m := mainPipeline(t), trained(t)
	after, to, least := int64(8000), 0.0, 400 // column 8000 is at 50 s
	if testing.Short() {
		after, to, least = 1600, 20, 60
	}
	_, a := decode(t, p, m, &replay.Player{To: to, Recordings: []recordings.Recording{sample(t, "S007R12")}})
	_, b := decode(t, p, m, &replay.Player{To: to, Recordings: []recordings.Recording{&altered{Recording: sample(t, "S007R12"), after: after}}})
	checked, moved := 0, 0
	for i := range a.Time {
		same := a.Command[i] == b.Command[i]
		for k := range a.Classes {
			same = same && a.Row(i)[k] == b.Row(i)[k]
		}
		if a.Time[i] <= float64(after)/160 {
			checked++
			if !same {
				t.Fatalf("the decision at %.2f s changed with samples after %.2f s", a.Time[i], float64(after)/160)
			}
		} else if !same {
			moved++
		}
	}
	if checked < least || moved < least {
		t.Errorf("%d decisions before, %d moved after: the test saw too little", checked, moved)
	}
}

// The truth of the test recording must not reach the decisions, and labels that mean
// nothing must teach nothing.
func TestLabelsDoNotLeak(t *testing.T) {
	p, m := mainPipeline(t), trained(t)
	r := sample(t, "S007R12")
	swapped := &altered{Recording: r, notes: permuted(r.Annotations(), 1)}
	to := 0.0
	if testing.Short() {
		to = 20
	}
	a, _ := decode(t, p, m, &replay.Player{To: to, Recordings: []recordings.Recording{r}})
	b, _ := decode(t, p, m, &replay.Player{To: to, Recordings: []recordings.Recording{swapped}})
	if a.Digest != b.Digest {
		t.Error("other annotations in the test recording give other decisions")
	}
	if testing.Short() {
		return // what follows trains six times
	}
	correct, trials := 0, 0
	for seed := range uint64(6) {
		x, y := sample(t, "S007R04"), sample(t, "S007R08")
		m := trainOn(t, p, &altered{Recording: x, notes: permuted(x.Annotations(), 2*seed)}, &altered{Recording: y, notes: permuted(y.Annotations(), 2*seed+1)})
		_, d := decode(t, p, m, &replay.Player{Recordings: []recordings.Recording{r}})
		s := score(t, p, r, d)
		correct, trials = correct+s.TrialsCorrect, trials+s.Trials
	}
	// 90 decisions, but of one recording: their spread is wider than binomial.
	if got := float64(correct) / float64(trials); got < 0.2 || got > 0.8 {
		t.Errorf("trained on permuted labels, %.2f of trials are right; that must be near one half", got)
	}
}

// permuted shuffles which of the tasks each trial was; rest stays rest.
func permuted(in []recordings.Annotation, seed uint64) []recordings.Annotation {
	out := append([]recordings.Annotation(nil), in...)
	var tasks []int
	for i := range out {
		if out[i].Label != "T0" {
			tasks = append(tasks, i)
		}
	}
	r := rand.New(rand.NewPCG(seed, 99))
	r.Shuffle(len(tasks), func(i, j int) {
		out[tasks[i]].Label, out[tasks[j]].Label = out[tasks[j]].Label, out[tasks[i]].Label
	})
	return out
}

func TestTrainingIsDeterministic(t *testing.T) {
	if testing.Short() {
		t.Skip("trains twice")
	}
	dir := t.TempDir()
	var files [2][]byte
	for i := range files {
		name := fmt.Sprintf("%s/%d.model", dir, i)
		if err := trainOn(t, mainPipeline(t), sample(t, "S007R04")).Write(name); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two trainings on the same recording give different files")
	}
}

func TestModelThatDoesNotFit(t *testing.T) {
	m := trained(t)
	yaml := func(old, new string) *Pipeline {
		t.Helper()
		src, err := os.ReadFile("../cmd/bci/pipelines/motor-imagery.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(src), old) {
			t.Fatalf("the pipeline does not contain %q", old)
		}
		p, err := ParsePipeline("mi.yaml", []byte(strings.Replace(string(src), old, new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ old, new, want string }{
		{"low: 8, high: 30", "low: 7, high: 30", "mi.yaml:19: the model does not fit: it was trained with stage 4 as [bandpass low=8 high=30 order=4], the pipeline says [bandpass low=7 high=30 order=4]; train again or restore the setting"},
		{"  - tangent-space\n", "", "mi.yaml:26: the model holds nothing for stage 7 (logistic); it was trained with: gap-repair, car, select, bandpass, window, recentre, tangent-space, logistic, gate"},
	} {
		_, err := NewEngine(yaml(c.old, c.new), m, nil, nil, Options{})
		if err == nil || err.Error() != c.want {
			t.Errorf("says %v\nwant %s", err, c.want)
		}
	}
	if _, err := NewEngine(yaml("threshold: 0.7", "threshold: 0.9"), m, nil, nil, Options{}); err != nil {
		t.Errorf("a gate behind everything learned may be changed: %v", err)
	}
	for _, c := range []struct {
		change func(h *stream.Header)
		want   string
	}{
		{func(h *stream.Header) { h.Rate = 250 }, "the model does not fit: it was trained at 160 Hz, the source runs at 250 Hz; train on recordings of this device, or resample"},
		{func(h *stream.Header) { h.Channels = h.Channels[:8] }, "the model does not fit: it was trained on 64 channels, the source has 8; pick the same channels with a select stage and train again"},
		{func(h *stream.Header) { h.Channels[3].Label = "X1" }, `the model does not fit: channel 4 was "FCz" in training and is "X1" in the source; train again, or reorder with a select stage`},
		{func(h *stream.Header) { h.Channels[0].Unit = "V" }, `the model does not fit: channel "FC5" was in "uV" in training and is in "V" in the source; convert the units first`},
	} {
		h := sample(t, "S007R12").Header()
		h = h.Clone()
		c.change(&h)
		if err := m.checkInput(&h); err == nil || err.Error() != c.want {
			t.Errorf("says %v\nwant %s", err, c.want)
		}
	}
}

// From source to decision, nothing is allocated once the first windows are full.
func TestSourceToDecisionAllocatesNothing(t *testing.T) {
	p, m := mainPipeline(t), trained(t)
	player := &replay.Player{Recordings: []recordings.Recording{sample(t, "S007R12")}, Loop: true}
	links := p.Build()
	if err := m.install(p, links); err != nil {
		t.Fatal(err)
	}
	in, err := player.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chain := stream.Chain{Links: links}
	out, err := chain.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	decided := 0
	step := func() {
		if err := player.Read(src); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		chain.Process(dst, src)
		decided += dst.Len
	}
	for range 3400 { // once around, so that every annotation and the restart were seen
		step()
	}
	if a := testing.AllocsPerRun(500, step); a != 0 {
		t.Errorf("%v allocations per chunk", a)
	}
	if decided < 1000 {
		t.Errorf("only %d decisions", decided)
	}
}
