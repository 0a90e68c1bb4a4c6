package bci

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

const swapPipeline = `name: swap
labels: {L: left, R: right}
stages:
  - window: {length: 0.2, hop: 0.04, features: [log-variance]}
  - scaler
%s  - logistic
  - smooth: {seconds: 0.5}
`

// twoClasses is a recording in which channel loud, or the next one, is louder: two
// classes in turn, 2 s each.
func twoClasses(seed uint64, loud, seconds int) *recordings.Memory {
	const rate = 250
	h := stream.Header{Name: "two", Rate: rate, MaxLen: 250}
	for i := range 4 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("E%d", i+1), Unit: "uV", Type: "EEG"})
	}
	m := &recordings.Memory{Stream: h, Data: new(stream.Chunk)}
	m.Data.Alloc(4, seconds*rate)
	m.Data.Resize(seconds * rate)
	r := rand.New(rand.NewPCG(seed, 9))
	for i := range seconds * rate {
		class := i / (2 * rate) % 2
		for ch := range 4 {
			x := 10 * r.NormFloat64()
			if ch == (loud+class)%4 {
				x *= 1.6
			}
			m.Data.Set(ch, i, x)
		}
		if i%(2*rate) == 0 {
			m.Notes = append(m.Notes, recordings.Annotation{Onset: float64(i) / rate, Duration: 2, Label: []string{"L", "R"}[class]})
		}
	}
	return m
}

func swapParts(t testing.TB, lane string) (p *Pipeline, a, b *Model) {
	t.Helper()
	p, err := ParsePipeline("swap.yaml", fmt.Appendf(nil, swapPipeline, lane))
	if err != nil {
		t.Fatal(err)
	}
	return p, trainOn(t, p, twoClasses(1, 0, 40)), trainOn(t, p, twoClasses(2, 2, 40))
}

// decisionsOf is what leaves the stage, column by column, and the events.
type decisionsOf struct {
	seq    []int64
	p      [][]float64
	events []stream.Event
}

func (d *decisionsOf) Open(context.Context, stream.Header) error { return nil }
func (d *decisionsOf) Close() error                              { return nil }
func (d *decisionsOf) Write(c *stream.Chunk) error {
	d.events = append(d.events, c.Events...)
	for i := range c.Len {
		d.seq = append(d.seq, c.Seq+int64(i))
		d.p = append(d.p, c.Column(nil, i))
	}
	return nil
}

// runSwapped runs the recording with model a and swaps b in at a column; -1 = never.
func runSwapped(t *testing.T, p *Pipeline, a, b *Model, rec recordings.Recording, block int, column int64) (Status, *decisionsOf, *decisionsOf, int64) {
	t.Helper()
	logistic, end := new(decisionsOf), new(decisionsOf)
	src := &replay.Player{Recordings: []recordings.Recording{rec}, Block: block}
	e, err := NewEngine(p, a, src, []Output{{Name: "logistic", From: "logistic", Sink: logistic, Lossless: true}, {Name: "end", Sink: end, Lossless: true}}, Options{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan int64, 1)
	if column >= 0 {
		ready := make(chan struct{})
		go func() {
			close(ready)
			at, err := e.SwapAt(context.Background(), b, "b.model", column)
			if err != nil {
				t.Error(err)
			}
			done <- at
		}()
		<-ready
		for e.swaps.pending.Load() == nil { // it is waiting: from here on everything is decided by columns
			ctx := t.Context()
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
		}
	} else {
		done <- -1
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Status(), logistic, end, <-done
}

// A model is replaced mid-stream: every chunk comes out once, what was decided before
// the column is what the old model decides, and what comes after is what the new one
// does, bit for bit, in one lane or three.
func TestSwapLosesAndRepeatsNothing(t *testing.T) {
	rec := twoClasses(3, 0, 20)
	var digests []string
	for _, lane := range []string{"", "  - lane\n"} {
		p, a, b := swapParts(t, lane)
		for _, block := range []int{1, 10, 64} {
			const column = 2503
			_, old, _, _ := runSwapped(t, p, a, nil, rec, block, -1)
			_, next, _, _ := runSwapped(t, p, b, nil, rec, block, -1)
			s, got, end, at := runSwapped(t, p, a, b, rec, block, column)
			want := int64((column + block - 1) / block * block)
			if at != want {
				t.Fatalf("blocks of %d: swapped at column %d, want %d", block, at, want)
			}
			if !slices.Equal(got.seq, old.seq) || int64(len(got.seq)) != s.Decisions || len(got.seq) == 0 {
				t.Fatalf("blocks of %d: %d decisions with a swap, %d without", block, len(got.seq), len(old.seq))
			}
			differ := 0
			for i, seq := range got.seq {
				// Window w ends at column 10w+49 and is decided in the chunk of that column.
				w := old.p[i]
				if end := seq*10 + 49; end/int64(block)*int64(block) >= at {
					w = next.p[i]
				}
				if !slices.Equal(got.p[i], w) {
					t.Fatalf("blocks of %d: decision %d is %v, want %v", block, seq, got.p[i], w)
				}
				if !slices.Equal(old.p[i], next.p[i]) {
					differ++
				}
			}
			if differ < len(got.seq)/2 {
				t.Fatalf("the two models agree in all but %d decisions: the test shows nothing", differ)
			}
			for _, d := range []*decisionsOf{got, end} {
				if len(d.events) != 1 || d.events[0].Kind != stream.EventModelSwap || d.events[0].Seq != at || d.events[0].Count != 1 || d.events[0].Detail != "b.model" {
					t.Errorf("blocks of %d: events %v", block, d.events)
				}
			}
			if len(s.Events) != 1 || s.Events[0].Kind != "model-swap" || s.Events[0].N != 1 {
				t.Errorf("status counts %v", s.Events)
			}
			again, _, _, _ := runSwapped(t, p, a, b, rec, block, column)
			if again.Digest != s.Digest {
				t.Error("the same swap at the same column gives another digest")
			}
			digests = append(digests, s.Digest)
		}
	}
	if !slices.Equal(digests[:3], digests[3:]) {
		t.Errorf("one lane and two give other digests: %v", digests)
	}
}

// Swaps from another goroutine while data run, many of them: nothing lost, all counted.
func TestSwapOftenWhileRunning(t *testing.T) {
	p, a, b := swapParts(t, "  - lane\n")
	src := newNoise(4, 20000, 5)
	for i := range src.header.Channels {
		src.header.Channels[i].Label = fmt.Sprintf("E%d", i+1)
	}
	d := new(decisionsOf)
	e, err := NewEngine(p, a, src, []Output{{Name: "d", Sink: d, Lossless: true}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var swapped atomic.Int64
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for i := 0; ; i++ {
			if _, err := e.Swap(context.Background(), []*Model{a, b}[i%2], "x"); err != nil {
				if !strings.Contains(err.Error(), "ended") {
					t.Error(err)
				}
				return
			}
			swapped.Add(1)
		}
	}()
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-stop
	for i, seq := range d.seq {
		if seq != int64(i) {
			t.Fatalf("decision %d has number %d", i, seq)
		}
	}
	if len(d.seq) != (20000-50)/10+1 || int64(len(d.events)) != swapped.Load() || swapped.Load() < 2 {
		t.Errorf("%d decisions, %d events of %d swaps", len(d.seq), len(d.events), swapped.Load())
	}
}

// What does not fit is refused in one line, and the old model goes on.
func TestSwapRefusals(t *testing.T) {
	p, a, b := swapParts(t, "")
	src := newNoise(4, 2000, 10)
	for i := range src.header.Channels {
		src.header.Channels[i].Label = fmt.Sprintf("E%d", i+1)
	}
	e, err := NewEngine(p, a, src, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Swap(t.Context(), b, ""); err == nil || !strings.Contains(err.Error(), "not open") {
		t.Errorf("before Open: %v", err)
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit := func(f func(*Model)) *Model {
		m := *b
		m.Steps, m.Stages, m.Channels = slices.Clone(b.Steps), slices.Clone(b.Stages), slices.Clone(b.Channels)
		f(&m)
		return &m
	}
	for want, m := range map[string]*Model{
		"no model":             nil,
		"trained at 500 Hz":    edit(func(m *Model) { m.RateHz = 500 }),
		`channel 2 was "X"`:    edit(func(m *Model) { m.Channels[1].Label = "X" }),
		"trained with stage 1": edit(func(m *Model) { m.Steps[0] = "window {length: 9}" }),
		"holds nothing":        edit(func(m *Model) { m.Stages = m.Stages[:1] }),
		"put out other rows": edit(func(m *Model) {
			m.Stages[1].Params = []byte(strings.NewReplacer(`["left","right"]`, `["up","down"]`).Replace(string(m.Stages[1].Params)))
		}),
		"does not fit": edit(func(m *Model) {
			m.Stages[1].Params = []byte(strings.ReplaceAll(string(m.Stages[1].Params), "E2", "E7"))
		}),
	} {
		if _, err := e.Swap(t.Context(), m, ""); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", want, err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := e.Swap(ctx, b, ""); err != context.Canceled {
		t.Errorf("given up before a chunk came: %v", err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(e.Status().Events); n != 0 {
		t.Errorf("refused swaps left %d kinds of events", n)
	}
	if _, err := e.Swap(t.Context(), b, ""); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("after the end: %v", err)
	}
}

// The file is swapped in when it was replaced, and only then.
func TestModelWatch(t *testing.T) {
	p, a, b := swapParts(t, "")
	path := filepath.Join(t.TempDir(), "m.model")
	if err := a.Write(path); err != nil {
		t.Fatal(err)
	}
	src := newNoise(4, 1e9, 10)
	for i := range src.header.Channels {
		src.header.Channels[i].Label = fmt.Sprintf("E%d", i+1)
	}
	d := new(decisionsOf)
	e, err := NewEngine(p, a, src, []Output{{Name: "d", Sink: d, Lossless: true}}, Options{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	w := &ModelWatch{Engine: e, Path: path}
	check := func() (string, error) {
		said, err := make(chan string, 1), make(chan error, 1)
		go func() {
			s, e := w.Check(t.Context())
			said <- s
			err <- e
		}()
		return <-said, <-err
	}
	var what []string
	swappedIn := make(chan struct{})
	replaced := false
	src.hook = func(c *stream.Chunk) error { // on the source's goroutine, while the lane goes on
		note := func() {
			s, err := check()
			what = append(what, fmt.Sprint(s, err != nil))
		}
		switch {
		case c.Seq < 500:
		case !replaced:
			replaced = true
			note()
			if err := b.Write(path); err != nil {
				return err
			}
			// Swap waits for a chunk, so it must not keep the source from bringing one.
			go func() {
				if s, err := w.Check(context.Background()); err != nil || !strings.Contains(s, "replaced the model") {
					t.Errorf("after replacing: %q, %v", s, err)
				}
				close(swappedIn)
			}()
		default:
			select {
			case <-swappedIn:
			default:
				return nil
			}
			if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
				return err
			}
			note()
			note()
			src.n = src.at // the end
		}
		return nil
	}
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(what, []string{"false", "true", "false"}) || len(d.events) != 1 {
		t.Errorf("checks said %q, events %v", what, d.events)
	}
}
