package lsl

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// within runs f and checks that it ends in time.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	begun := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(limit + 20*time.Second):
		t.Fatalf("%s hangs", what)
	}
	if d := time.Since(begun); d > limit+10*time.Second { // a slow machine is no fault
		t.Errorf("%s took %v; its deadline was %v", what, d, limit)
	}
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in %q", w, err)
		}
	}
}

// Nobody is there: the message says what to look at, and comes with the deadline,
// that of the search or that of the context.
func TestNobodyThere(t *testing.T) {
	c := loopback(t)
	within(t, 300*time.Millisecond, "the search", func() {
		_, err := (&Source{Match: Match{Type: "EEG"}, Config: c, Timeout: 300 * time.Millisecond}).Open(context.Background())
		var none *NotFoundError
		if !errors.As(err, &none) {
			t.Errorf("%v", err)
		}
		says(t, err, "no LSL stream with type='EEG' answered within 300ms", "no other stream", "bci lsl doctor")
	})
	within(t, 200*time.Millisecond, "the search", func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_, err := (&Source{Match: Match{Type: "EEG"}, Config: c, Timeout: time.Hour}).Open(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	// Something else is there, in another session: that is said.
	other := *c
	other.SessionID = "next door"
	newOutlet(t, &other, Info{Name: "amp", Type: "EEG", Channels: 1, Format: Float32, Rate: 10})
	_, err := FindOne(deadline(t, 10*time.Second), Match{Name: "amp"}, ResolveOptions{Config: c, Timeout: time.Second})
	says(t, err, `there are "amp"`, `session "next door"`)
	if found, err := Resolve(deadline(t, 10*time.Second), Match{}, ResolveOptions{Config: c, Timeout: 100 * time.Millisecond}); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// Two streams of one name: both are described, and what tells them apart is named.
func TestTwoOfOneName(t *testing.T) {
	c := loopback(t)
	a := newOutlet(t, c, Info{Name: "amp", Type: "EEG", Channels: 1, Format: Float32, Rate: 10, SourceID: "left"})
	newOutlet(t, c, Info{Name: "amp", Type: "EEG", Channels: 1, Format: Float32, Rate: 10, SourceID: "right"})
	_, err := (&Source{Match: Match{Name: "amp"}, Config: c, Timeout: 5 * time.Second}).Open(deadline(t, 20*time.Second))
	var two *AmbiguousError
	if !errors.As(err, &two) || len(two.Streams) != 2 {
		t.Fatalf("%v", err)
	}
	says(t, err, "2 LSL streams match name='amp'", `"left"`, `"right"`, "choose one by source_id, hostname or uid")
	s := &Source{Match: Match{Name: "amp", SourceID: "left"}, Config: c, Timeout: 5 * time.Second}
	if _, err := s.Open(deadline(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Inlet().Stream().UID; got != a.Info().UID {
		t.Errorf("connected to %s, not %s", got, a.Info().UID)
	}
}

// A stream that is there and never sends: Open succeeds, silence is an event, and
// Read ends with the context.
func TestNeverSends(t *testing.T) {
	c := loopback(t)
	newOutlet(t, c, Info{Name: "mute", Type: "EEG", Channels: 1, Format: Float32, Rate: 100})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &Source{Match: Match{Name: "mute"}, Config: c, Stale: 200 * time.Millisecond}
	h, err := s.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dst := stream.NewChunk(&h)
	within(t, time.Second, "the first read", func() {
		for !slices.ContainsFunc(dst.Events, func(e stream.Event) bool { return e.Kind == stream.EventStale }) {
			if err := s.Read(dst); err != nil {
				t.Error(err)
				return
			}
			if dst.Len > 0 {
				t.Errorf("%d columns of a silent stream", dst.Len)
			}
		}
		e := dst.Events[len(dst.Events)-1]
		if e.Count < 200e6 || !strings.Contains(e.Detail, "connected, but it sends nothing") || e.Origin != "mute" {
			t.Errorf("%v", e)
		}
	})
	time.AfterFunc(50*time.Millisecond, cancel)
	within(t, time.Second, "the last read", func() {
		for err = nil; err == nil; {
			err = s.Read(dst)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
