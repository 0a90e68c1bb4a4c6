package bci

import (
	"context"
	"strings"
	"testing"

	"neurostream/stream"
)

const sidePipeline = `
stages:
  - bandpass: {low: 4, high: 45}
  - side:
      name: slow
      stages:
        - window: {length: 1, hop: 0.2, features: [aperiodic: {low: 5}, network: {bands: {alpha: [8, 13]}, segment: 0.4}, directed: {order: 2, bands: {alpha: [8, 13]}, channels: [ch1, ch2, ch3]}, envelope-correlation]}
  - window: {length: 1, hop: 0.1, features: [log-variance]}
`

// slowAlone has the stages of the side lane in the main chain.
const slowAlone = `
stages:
  - bandpass: {low: 4, high: 45}
  - window: {length: 1, hop: 0.2, features: [aperiodic: {low: 5}, network: {bands: {alpha: [8, 13]}, segment: 0.4}, directed: {order: 2, bands: {alpha: [8, 13]}, channels: [ch1, ch2, ch3]}, envelope-correlation]}
`

func parsed(t *testing.T, text string) *Pipeline {
	t.Helper()
	p, err := ParsePipeline("side.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSideLaneChangesNoBit: the digest of the main chain is that of the same stages
// without a side lane, that of the lane is that of its stages in a chain of their own,
// for any block size and number of lanes; its sinks get everything.
func TestSideLaneChangesNoBit(t *testing.T) {
	run := func(text string, block int, outs ...Output) Status {
		t.Helper()
		s, err := runEngine(t, parsed(t, text), newNoise(4, 2500, block), Options{Slots: 2}, outs...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	head, rest, _ := strings.Cut(sidePipeline, "  - side:")
	_, tail, _ := strings.Cut(rest, "envelope-correlation]}\n")
	without, alone := run(head+tail, 64), run(slowAlone, 64)
	if without.Digest == alone.Digest || without.Decisions == 0 || alone.Decisions == 0 {
		t.Fatal("nothing to compare")
	}
	for _, block := range []int{1, 7, 64, 479} {
		for _, text := range []string{sidePipeline, strings.Replace(sidePipeline, "  - side:", "  - lane\n  - side:", 1)} {
			g := new(gather)
			s := run(text, block, Output{Name: "net", Sink: g, From: "slow", Lossless: true})
			if s.Digest != without.Digest || s.Decisions != without.Decisions {
				t.Errorf("blocks of %d: the side lane changes the decisions", block)
			}
			if len(s.Sides) != 1 || s.Sides[0].Digest != alone.Digest || s.Sides[0].Columns != alone.Decisions {
				t.Errorf("blocks of %d: the lane made %+v, its stages alone %d columns with the digest %s", block, s.Sides, alone.Decisions, alone.Digest)
			}
			if g.columns != alone.Decisions || g.lost != 0 || !g.closed {
				t.Errorf("blocks of %d: its sink got %d columns, lost %d", block, g.columns, g.lost)
			}
			last := s.Stages[len(s.Stages)-1]
			if last.Name != "slow/window" || last.Lane <= 1 || last.Work.N == 0 || len(last.Parts) != 4 || last.DelayS < 0.49 {
				t.Errorf("budget: %+v", last)
			}
		}
	}
}

// TestStatusWhileARunEnds: a page asks for the status at any moment, also while the
// engine and its side lanes add up what they measured; the last answer is whole.
func TestStatusWhileARunEnds(t *testing.T) {
	const light = "stages:\n  - car\n  - side: {name: slow, stages: [car]}\n"
	var want Status
	for k := range 60 {
		e, err := NewEngine(parsed(t, light), nil, newNoise(2, 300, 10), nil, Options{Slots: 2})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
					e.Status()
				}
			}
		}()
		err = e.Run(t.Context())
		close(stop)
		<-ended
		s := e.Status()
		if k == 0 {
			want = s
		}
		if err != nil || s.Engine.N != 30 || s.Digest != want.Digest || s.Sides[0].Digest != want.Sides[0].Digest || s.Sides[0].Age.N != 30 {
			t.Fatalf("run %d: %v, %d chunks measured, %d beside; digests %s and %s, first %s and %s", k, err, s.Engine.N, s.Sides[0].Age.N,
				s.Digest, s.Sides[0].Digest, want.Digest, want.Sides[0].Digest)
		}
	}
}

// stuck lets one chunk through only when told.
type stuck struct{ until chan struct{} }

func (s *stuck) Open(h stream.Header) (stream.Header, error) { return h, nil }
func (s *stuck) Reset()                                      {}
func (s *stuck) Process(dst, src *stream.Chunk)              { <-s.until; dst.CopyFrom(src) }

// TestSlowSideLaneDelaysNobody: live, a side lane that does not move at all leaves the
// main chain complete; what it misses is dropped before it, counted and told.
func TestSlowSideLaneDelaysNobody(t *testing.T) {
	p := custom([]int{0}, newRunning)
	hold := &stuck{make(chan struct{})}
	p.Sides = []Side{{Name: "slow", After: 0, Steps: custom([]int{0}, func() stream.Stage { return hold }).Steps}}
	src := newNoise(3, 2000, 25)
	all, told := new(gather), new(gather)
	got := make(chan struct{})
	all.write = func(*stream.Chunk) error {
		if all.columns == 2000 {
			close(got)
		}
		return nil
	}
	e, err := NewEngine(p, nil, src, []Output{{Name: "all", Sink: all, Lossless: true}, {Name: "told", Sink: told, From: "slow", Lossless: true}}, Options{Slots: 128, Live: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range e.outputs {
		if o.Sink == stream.Sink(e.sides[0]) {
			o.Slots = 4
		}
	}
	if err := e.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	<-got // every decision is there while the lane stands still
	close(hold.until)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := e.Status()
	if all.columns != 2000 || all.lost != 0 {
		t.Errorf("the main chain delivered %d columns, lost %d", all.columns, all.lost)
	}
	if told.lost == 0 || told.columns+told.lost != 2000 {
		t.Errorf("the side lane delivered %d columns and told of %d lost; 2000 were read", told.columns, told.lost)
	}
	for _, r := range s.Rings {
		if r.Name == "→ side slow" && r.Dropped != told.lost {
			t.Errorf("%d columns dropped before the lane, %d told", r.Dropped, told.lost)
		}
	}
	if len(s.Events) != 1 || s.Events[0].Kind != stream.EventDrop.String() {
		t.Errorf("events %+v", s.Events)
	}
}

func TestSideLaneMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"stages:\n  - side: {name: x, stages: [car]}\n":                                                      "at least one stage of the main chain",
		"stages:\n  - car\n  - side\n":                                                                       "a name and a list of stages",
		"stages:\n  - car\n  - side: {stages: [car]}\n":                                                      "needs a name",
		"stages:\n  - car\n  - side: {name: car, stages: [car]}\n":                                           `cannot be called "car"`,
		"stages:\n  - car\n  - side: {name: x, stages: [car]}\n  - side: {name: x, stages: [car]}\n":         `cannot be called "x"`,
		"stages:\n  - car\n  - side: {name: x, stages: []}\n":                                                "lists no stages",
		"stages:\n  - car\n  - side: {name: x, stages: [lane, car]}\n":                                       "lane does not belong",
		"stages:\n  - car\n  - side: {name: x, stages: [lda]}\n":                                             "lda learns from data",
		"stages:\n  - car\n  - side: {name: x, stages: [cra]}\n":                                             `did you mean "car"?`,
		"stages:\n  - car\n  - side: {name: x, every: 3, stages: [car]}\n":                                   `"every" does not belong`,
		"stages:\n  - car\n  - side: {name: x, stages: [window: {length: 1, hop: 0.1, features: [nope]}]}\n": "nope",
	} {
		_, err := ParsePipeline("p.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	// what only the stream can tell is an error at its line
	p := parsed(t, "stages:\n  - car\n  - side:\n      name: x\n      stages:\n        - window: {length: 0.1, hop: 0.1, features: [band-power: {bands: {delta: [1, 4]}}]}\n")
	e, err := NewEngine(p, nil, newNoise(3, 100, 25), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err = e.Open(context.Background()); err == nil || !strings.Contains(err.Error(), "side.yaml:6") {
		t.Errorf("a band that does not fit: %v", err)
	}
}
