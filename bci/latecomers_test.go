package bci_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/recordings/xdf"
	"neurostream/stream/lsl"
)

// A stream that appears while others are recorded joins, one that goes and comes back with
// its source id stays the same stream of the file, and what does not match is left alone.
func TestRecordLatecomers(t *testing.T) {
	privateNetwork(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	outlet := func(name, id string, f lsl.Format) *lsl.Outlet {
		t.Helper()
		o, err := lsl.NewOutlet(lsl.Info{Name: name, Type: "T", Channels: 1, Format: f, Rate: 100, SourceID: id}, lsl.OutletOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Close() })
		return o
	}
	next := map[*lsl.Outlet]int{}
	push := func(o *lsl.Outlet, n int, from float64) {
		t.Helper()
		if err := o.WaitForConsumers(ctx, 1); err != nil {
			t.Fatal(err)
		}
		for range n {
			k := next[o]
			next[o]++
			if err := o.PushInts([]int64{int64(k)}, from+float64(k)/100); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "late.xdf")
	r, err := bci.NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	recording, stop := context.WithCancel(ctx)
	defer stop()
	first := outlet("rec first", "a", lsl.Int32)
	found, err := lsl.Resolve(ctx, lsl.Match{Name: "rec first"}, lsl.ResolveOptions{Min: 1, Timeout: 20 * time.Second})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := r.Add(ctx, found[0]); err != nil {
		t.Fatal(err)
	}
	r.Follow(lsl.Match{Predicate: "starts-with(name,'rec')"})
	other := outlet("another", "c", lsl.Int32)
	done := make(chan error, 1)
	go func() { done <- r.Run(recording) }()
	until := func(what string, ok func(rows []bci.RecordedStream) bool) {
		t.Helper()
		for !ok(r.Streams()) {
			if ctx.Err() != nil {
				t.Fatalf("%s: not within a minute: %+v", what, r.Streams())
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	push(first, 50, 1000)
	until("the first stream", func(rows []bci.RecordedStream) bool { return rows[0].Samples == 50 })
	late := outlet("rec late", "b", lsl.Int16)
	push(late, 30, 2000) // registered before the first push: nothing is missing
	until("the late stream", func(rows []bci.RecordedStream) bool { return len(rows) == 2 && rows[1].Samples == 30 })
	first.Close()
	until("the end of the first", func(rows []bci.RecordedStream) bool { return rows[0].State == "searching" })
	again := outlet("rec first", "a", lsl.Int32)
	push(again, 20, 1010)
	until("the return of the first", func(rows []bci.RecordedStream) bool { return rows[0].Samples == 70 })
	rows := r.Streams()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Restarts != 1 || rows[0].JoinedS != 0 || !(rows[1].JoinedS > 0) || rows[1].Dropped != 0 {
		t.Errorf("%+v", rows)
	}
	if c := other.Consumers(); len(c) > 0 {
		t.Errorf("a stream that does not match is recorded: %+v", c)
	}
	report, err := xdf.Check(path)
	if err != nil || !report.Whole() || len(report.Streams) != 3 {
		t.Fatalf("%v, %+v", err, report)
	}
	f, err := xdf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range f.Streams() {
		switch s.Info.Name {
		case "rec first":
			v := make([]int64, 70)
			if err := s.ReadInts(v, 0); err != nil || s.Len() != 70 || v[49] != 49 || v[50] != 0 || v[69] != 19 {
				t.Errorf("%v: %v", err, v)
			}
		case "rec late":
			if s.Len() != 30 || s.Stamps()[0] != 2000 || s.Info.Format != xdf.Int16 || len(s.Offsets()) == 0 {
				t.Errorf("%d samples, stamps %v, %d offsets", s.Len(), s.Stamps(), len(s.Offsets()))
			}
		default:
			lines := make([]string, s.Len())
			if err := s.ReadStrings(lines, 0); err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(lines)
			if !strings.Contains(text, "has appeared") || !strings.Contains(text, `"origin":"rec late"`) || !strings.Contains(text, `"kind":"restart"`) {
				t.Error(text)
			}
		}
	}
}
