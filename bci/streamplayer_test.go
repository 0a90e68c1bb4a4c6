package bci

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"neurostream/recordings/xdf"
	"neurostream/stream"
)

// askedClock tells that it was asked for a timer.
type askedClock struct {
	stream.Manual
	asked chan struct{}
}

func (c *askedClock) Timer(ctx context.Context) stream.Timer {
	close(c.asked)
	return c.Manual.Timer(ctx)
}

// Streams start as far apart as they were recorded, divided by the speed, and all
// streams of a loop start again together.
func TestStreamPlayerKeepsTime(t *testing.T) {
	dir := t.TempDir()
	cfg := filepath.Join(dir, "lsl_api.cfg")
	if err := os.WriteFile(cfg, []byte("[multicast]\nResolveScope = machine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LSLAPICFG", cfg)
	path := filepath.Join(dir, "two.xdf")
	w, err := xdf.Create(path, xdf.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	early, _ := w.AddStream(xdf.Info{Name: "early", Format: xdf.Int16, Rate: 100, Channels: make([]xdf.Channel, 1)})
	late, _ := w.AddStream(xdf.Info{Name: "late", Format: xdf.Double64, Channels: make([]xdf.Channel, 1)})
	for i := range 200 { // 0 s to 2 s
		if err := w.Write(early, []float64{50 + float64(i)/100}, []float64{float64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Write(late, []float64{51.3, 51.5}, []float64{1, 2}), w.Close()); err != nil {
		t.Fatal(err)
	}
	p, err := OpenStreamPlayer(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	clock := &askedClock{asked: make(chan struct{})}
	clock.Set(stream.Time(1e18))
	p.Clock, p.Speed, p.Loop = clock, 10, true
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	begin := stream.Time(1e18) + sendEvery
	limit := time.Now().Add(20 * time.Second)
	sent := func() [2]int64 { s := p.Streams(); return [2]int64{s[0].Sent, s[1].Sent} }
	<-clock.asked // the clock stands still until the round has its beginning
	for _, step := range []struct {
		seconds float64 // of this clock since the round began
		want    [2]int64
	}{
		{0.0001, [2]int64{1, 0}},
		{0.1201, [2]int64{121, 0}},
		{0.1299, [2]int64{130, 0}},
		{0.1351, [2]int64{136, 1}},
		{0.1999, [2]int64{200, 2}},
		{0.2051, [2]int64{206, 2}}, // the second round: both from the beginning
		{0.3251, [2]int64{326, 2}},
		{0.3351, [2]int64{336, 3}},
	} {
		clock.Set(begin + after(step.seconds))
		for sent() != step.want && time.Now().Before(limit) {
			runtime.Gosched()
		}
		if got := sent(); got != step.want {
			t.Fatalf("after %v s %v samples are sent, not %v", step.seconds, got, step.want)
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted, Run returns %v", err)
	}
}
