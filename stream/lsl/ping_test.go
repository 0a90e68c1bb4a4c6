package lsl

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

// A ping of an outlet on this host: the clocks are the same, and what the summary
// says follows from the single probes.
func TestPing(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "near", Channels: 1, Format: Float32, Rate: 10})
	s, err := FindOne(deadline(t, 5*time.Second), Match{Name: "near"}, ResolveOptions{Config: c, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPing(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.Addr().Port() != o.Info().V4Service {
		t.Errorf("probes %v, the service port is %d", p.Addr(), o.Info().V4Service)
	}
	var least, most, steps, last float64
	for i := range 20 {
		r, err := p.Probe(deadline(t, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Offset) > r.RTT/2+1e-9 {
			t.Errorf("offset %v with a round trip of %v on one clock", r.Offset, r.RTT)
		}
		if i == 0 {
			least, most = r.RTT, r.RTT
		} else {
			steps += math.Abs(r.RTT-last) / 19
		}
		least, most, last = min(least, r.RTT), max(most, r.RTT), r.RTT
	}
	sum := p.Summary()
	if sum.Sent != 20 || sum.Answered != 20 || sum.Least != least || sum.Most != most || !(sum.Median >= least && sum.Median <= most) || math.Abs(sum.Jitter-steps) > 1e-12 {
		t.Errorf("%+v; least %v, most %v, jitter %v", sum, least, most, steps)
	}
	if !(math.Abs(sum.Offset) <= sum.Uncertainty+1e-6) || sum.Drift != 0 {
		t.Errorf("offset %v ± %v, drift %v", sum.Offset, sum.Uncertainty, sum.Drift)
	}
	// A sender that is gone, and one that says nothing.
	o.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Probe(ctx); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v", err)
	}
	if got := p.Summary(); got.Sent != 21 || got.Answered != 20 {
		t.Errorf("%+v", got)
	}
	if _, err := NewPing(Stream{Info: Info{Name: "x"}}, nil); err == nil {
		t.Error("a stream without ports is probed")
	}
}
