package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// gain multiplies by By; with keep it also counts the columns it has seen, as state.
type gain struct {
	By     float64
	fail   error
	spoil  func(h *Header)
	seen   int64
	resets int
}

func (g *gain) Open(in Header) (Header, error) {
	if g.fail != nil {
		return Header{}, g.fail
	}
	g.seen = 0
	in.Channels[0].Label += "*" // its own copy: must not reach the caller's header
	if g.spoil != nil {
		g.spoil(&in)
	}
	return in, nil
}

func (g *gain) Process(dst, src *Chunk) {
	dst.Follow(src)
	g.seen += int64(src.Len)
	for k := range dst.Tiles() {
		out := dst.Tile(k)
		for i, v := range src.Tile(k) {
			for l := range v {
				out[i][l] = g.By * v[l]
			}
		}
	}
}

func (g *gain) Reset() { g.seen = 0; g.resets++ }

// counted is a gain whose state can be saved.
type counted struct{ gain }

func (c *counted) Snapshot(dst []byte) []byte {
	w := StateWriter{Buf: dst}
	w.Int(c.seen)
	return w.Buf
}

func (c *counted) Restore(state []byte) error {
	r := StateReader{Buf: state}
	c.seen = r.Int()
	return r.Err()
}

func TestChainIsItsStagesInARow(t *testing.T) {
	h := *header(9, 8)
	a, b := &counted{gain{By: 2}}, &gain{By: 5}
	var probed []int
	c := &Chain{Links: []Link{{"double", a}, {"half", &gain{By: 0.5}}, {"five", b}}, Probe: func(i int) { probed = append(probed, i) }}
	out, err := c.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	if h.Channels[0].Label != "ch1" || out.Channels[0].Label != "ch1***" || c.Header(0).Channels[0].Label != "ch1*" || c.Failed() != "" || c.Current() != "" {
		t.Errorf("headers: %q in, %q after one, %q out", h.Channels[0].Label, c.Header(0).Channels[0].Label, out.Channels[0].Label)
	}
	src, dst := filled(9, 8, 30), NewChunk(&out)
	c.Process(dst, src)
	for ch := range 9 {
		for i := range 8 {
			if dst.At(ch, i) != 5*src.At(ch, i) || c.Chunk(0).At(ch, i) != 2*src.At(ch, i) || c.Chunk(1).At(ch, i) != src.At(ch, i) {
				t.Fatalf("channel %d, column %d: %v", ch, i, dst.At(ch, i))
			}
		}
	}
	if !slices.Equal(probed, []int{-1, 0, 1, 2}) || c.Current() != "five" || dst.Seq != 30 {
		t.Errorf("probed %v, current %q, Seq %d", probed, c.Current(), dst.Seq)
	}
	c.Probe = nil
	if n := testing.AllocsPerRun(100, func() { c.Process(dst, src) }); n != 0 {
		t.Errorf("%v allocations per Process", n)
	}
	c.Reset()
	if a.resets != 1 || b.resets != 1 {
		t.Error("Reset does not reach every stage")
	}
}

func TestEmptyChainCopies(t *testing.T) {
	h := *header(3, 8)
	c := new(Chain)
	out, err := c.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := filled(3, 8, 4), NewChunk(&out)
	c.Process(dst, src)
	if dst.Seq != 4 || dst.At(2, 7) != src.At(2, 7) || len(c.Snapshot(nil)) != 0 || c.Restore(nil) != nil {
		t.Error("an empty chain is not a copy")
	}
}

func TestChainNamesWhatFails(t *testing.T) {
	boom := errors.New("low must be below high")
	for _, c := range []struct {
		second *gain
		in     *Header
		want   string
		failed string
	}{
		{&gain{fail: boom}, header(3, 8), "notch: low must be below high", "notch"},
		{&gain{spoil: func(h *Header) { h.Channels = nil }}, header(3, 8), `notch announces an impossible output: stream "test" has no channels`, "notch"},
		{&gain{}, header(0, 8), `stream "test" has no channels`, ""},
	} {
		chain := &Chain{Links: []Link{{"mean", &gain{}}, {"notch", c.second}, {"last", &gain{}}}}
		_, err := chain.Open(*c.in)
		if err == nil || err.Error() != c.want || chain.Failed() != c.failed {
			t.Errorf("error %v at %q, want %q at %q", err, chain.Failed(), c.want, c.failed)
		}
		if c.second.fail != nil && !errors.Is(err, boom) {
			t.Error("the stage's own error is not wrapped")
		}
		if c.failed == "" {
			continue
		}
		c.second.fail, c.second.spoil = nil, nil
		if _, err := chain.Open(*c.in); err != nil || chain.Failed() != "" {
			t.Errorf("opening again after the cause is gone: %v", err)
		}
	}
}

type faulty struct{ gain }

func (*faulty) Process(_, _ *Chunk) { panic("index out of range") }

func TestChainKnowsWhoPanicked(t *testing.T) {
	c := &Chain{Links: []Link{{"first", &gain{By: 1}}, {"bad one", &faulty{}}, {"last", &gain{By: 1}}}}
	out, err := c.Open(*header(3, 8))
	if err != nil {
		t.Fatal(err)
	}
	if panics(func() { c.Process(NewChunk(&out), filled(3, 8, 0)) }) == "" || c.Current() != "bad one" {
		t.Errorf("the stage that panicked is %q", c.Current())
	}
}

func TestChainSnapshot(t *testing.T) {
	build := func() (*Chain, *counted, *counted) {
		a, b := &counted{gain{By: 1}}, &counted{gain{By: 1}}
		c := &Chain{Links: []Link{{"a", a}, {"stateless", &gain{By: 1}}, {"b", b}}}
		if _, err := c.Open(*header(3, 8)); err != nil {
			t.Fatal(err)
		}
		return c, a, b
	}
	c, a, b := build()
	a.seen, b.seen = 17, 99
	state := c.Snapshot([]byte("kept"))[4:]
	d, a2, b2 := build()
	if err := d.Restore(state); err != nil || a2.seen != 17 || b2.seen != 99 {
		t.Errorf("restored %d and %d: %v", a2.seen, b2.seen, err)
	}
	for cut := range state {
		if err := d.Restore(state[:cut]); !errors.Is(err, ErrState) {
			t.Errorf("%d of %d bytes: %v", cut, len(state), err)
		}
	}
	if err := d.Restore(append(slices.Clone(state), 1)); !errors.Is(err, ErrState) {
		t.Errorf("one byte too many: %v", err)
	}
	if err := d.Restore(make([]byte, 12)); !errors.Is(err, ErrState) {
		t.Errorf("no state for stages that have one: %v", err)
	}
	foreign := slices.Clone(state)
	foreign = slices.Insert(foreign, 16, 1) // gives the stateless stage a byte
	foreign[12] = 1
	if err := d.Restore(foreign); !errors.Is(err, ErrState) || !strings.Contains(fmt.Sprint(err), "stateless has no state") {
		t.Errorf("state for a stage without any: %v", err)
	}
}
