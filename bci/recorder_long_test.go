package bci_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/recordings/xdf"
	"neurostream/stream"
	"neurostream/stream/lsl"
)

// TestRecordForLong records ten streams in real time while one of them is decoded, for as
// long as NEUROSTREAM_RECORD_FOR says (make record-long: 10 minutes), and again half as
// long decodes without recording. Senders, recorder and decoder are processes of their
// own; senders and decoder are the same and at work all the time. While the recorder is
// away, a receiver that does next to nothing takes the ten streams in its place, as a far
// computer would, because a sender without a receiver sends nothing:
//
//	senders    ────────────────────────────────────────────
//	decoder    ────────────────────────────────────────────
//	recorder          ─────────────       ─────────────
//	discarder  ──────               ─────               ───
//	measured    [A]    [B]    [B]    [A]   [B]    [B]   [A] …    what is between is warm-up
//
// Every B is compared with the As around it, so that what else the machine does, and
// drift, meet both alike. A p99 is of the age of data: from reading the newest byte of a
// sample to handing over what was decided with it, over all decisions of a block, 50 a
// second.
func TestRecordForLong(t *testing.T) {
	switch role, path, _ := strings.Cut(os.Getenv("NEUROSTREAM_RECORD_ROLE"), " "); role {
	case "send":
		sendUntilEOF(t)
		return
	case "record":
		recordUntilEOF(t, path)
		return
	case "discard":
		discardUntilEOF(t)
		return
	}
	limit, err := time.ParseDuration(os.Getenv("NEUROSTREAM_RECORD_FOR"))
	if err != nil {
		t.Skip("NEUROSTREAM_RECORD_FOR is not set (make record-long sets it)")
	}
	privateNetwork(t)
	sender := startRole(t, "send")
	start, err := strconv.ParseFloat(strings.TrimPrefix(sender.line(t, "start "), "start "), 64)
	if err != nil {
		t.Fatal(err)
	}
	all := kinds()
	for _, d := range all {
		d.start = start
	}
	often := strings.Replace(decoding, "hop: 0.1", "hop: 0.02", 1) // a p99 needs hundreds of decisions a block
	pipeline, err := bci.ParsePipeline("power.yaml", []byte(often))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := bci.NewEngine(pipeline, nil, &lsl.Source{Match: lsl.Match{Name: "amp"}, Recover: -1}, nil, bci.Options{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	run, end := context.WithCancel(t.Context())
	defer end()
	if err := engine.Open(run); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(run) }()

	rounds := max(3, min(int(limit/(20*time.Second)), 10))
	block := limit / time.Duration(2*rounds)
	t.Logf("%d recordings of %v, blocks of %v: this takes %v", rounds, 2*block, block, (time.Duration(3*rounds+1) * block).Round(time.Second))
	const settle = 2 * time.Second // not measured, after the recorder has come or gone
	measure := func(what string) float64 {
		time.Sleep(settle)
		engine.RestartMeters()
		time.Sleep(50 * time.Millisecond)
		engine.RestartMeters()
		time.Sleep(max(block-settle, time.Second))
		engine.Status()
		time.Sleep(50 * time.Millisecond)
		s := engine.Status()
		t.Logf("%-10s age p50 %4.0f µs, p99 %4.0f µs, p99.9 %5.0f µs; engine p99 %4.0f µs; %d decisions", what, s.Age.P50, s.Age.P99, s.Age.P999, s.Engine.P99, s.Age.N)
		return s.Age.P99
	}
	type stretch struct {
		path     string
		from, to float64
	}
	var files []stretch
	alone := func() float64 {
		others := startRole(t, "discard")
		others.line(t, "discarding")
		p99 := measure("alone")
		others.end(t)
		return p99
	}
	without := []float64{alone()}
	var with [][2]float64
	for k := range rounds {
		f := stretch{path: filepath.Join(t.TempDir(), fmt.Sprintf("long%d.xdf", k))}
		recorder := startRole(t, "record "+f.path)
		recorder.line(t, "recording")
		f.from = lsl.LocalClock()
		with = append(with, [2]float64{measure("recording"), measure("recording")})
		f.to = lsl.LocalClock() - 0.25 // what is younger may not have been sent yet
		recorder.end(t)
		files = append(files, f)
		without = append(without, alone())
	}
	state := engine.Status()
	end()
	<-ended // by its context
	sender.end(t)
	if state.State != "running" || len(state.Events) > 0 && state.Rings[0].Dropped > 0 {
		t.Errorf("the decoder: %+v", state)
	}
	sent, recorded := int64(0), int64(0)
	for _, f := range files {
		s, r := checkStretch(t, f.path, all, f.from, f.to)
		sent, recorded = sent+s, recorded+r
	}
	var ratios, flat []float64
	for k, b := range with {
		ratios = append(ratios, (b[0]+b[1])/(without[k]+without[k+1]))
		flat = append(flat, b[:]...)
	}
	a, b := middle(without), middle(flat)
	slices.Sort(ratios)
	same := "files equal to what was sent"
	if t.Failed() {
		same = "FILES DIFFER"
	}
	fmt.Printf("record-long: %d samples sent, %d recorded in %v, %s; decoding p99 %.0f µs with, %.0f µs without recording, ratio of medians %.2f, each round against its neighbours %.2f (%.2f to %.2f)\n",
		sent, recorded, (time.Duration(2*rounds) * block).Round(time.Second), same, b, a, b/a, middle(ratios), ratios[0], ratios[len(ratios)-1])
	if r := b / a; !(r <= 1.1) {
		t.Errorf("recording changes the decoder's p99 by %+.0f %%, allowed are +10 %%", 100*(r-1))
	}
}

// middle is the median.
func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// checkStretch compares a recording with what was sent: it holds every sample of every
// device between the times from and to, and nothing else but what came right before and
// after, in order. It returns how many samples it should hold, and does.
func checkStretch(t *testing.T, path string, all []*device, from, to float64) (sent, recorded int64) {
	t.Helper()
	f, err := xdf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, d := range all {
		d.pushed = math.MaxInt
		first, last := int(math.Ceil((from-d.start)/d.step)), int(math.Floor((to-d.start)/d.step))
		for _, s := range f.Streams() {
			if s.Info.Name != d.Name {
				continue
			}
			recorded += s.Len()
			if s.Len() > 0 {
				first = min(first, int(math.Round((s.Stamps()[0]-d.start)/d.step)))
				last = max(last, int(math.Round((s.Stamps()[s.Len()-1]-d.start)/d.step)))
			}
			if n := int64(last - first + 1); s.Len() != n {
				t.Errorf("%s: %s has %d samples, %d were sent", filepath.Base(path), d.Name, s.Len(), n)
			}
		}
		sent += int64(last - first + 1)
	}
	checkRecorded(t, path, all, false)
	return sent, recorded
}

// role is a child process of TestRecordForLong.
type role struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

func startRole(t *testing.T, what string) *role {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRecordForLong$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "NEUROSTREAM_RECORD_ROLE="+what)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &role{cmd, in, bufio.NewScanner(out)}
}

// line waits for a line that begins so.
func (r *role) line(t *testing.T, begin string) string {
	t.Helper()
	for r.out.Scan() {
		if l := r.out.Text(); strings.HasPrefix(l, begin) {
			return l
		}
	}
	t.Fatalf("a process has ended without saying %q", begin)
	return ""
}

func (r *role) end(t *testing.T) {
	t.Helper()
	r.in.Close()
	for r.out.Scan() {
		if strings.Contains(r.out.Text(), "FAIL") {
			t.Error(r.out.Text())
		}
	}
	if err := r.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// untilEOF returns a context that ends when the parent closes our input.
func untilEOF() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return ctx
}

func sendUntilEOF(t *testing.T) {
	all := devices(t)
	begun := lsl.LocalClock()
	fmt.Println("start", strconv.FormatFloat(begun, 'g', -1, 64))
	ctx := untilEOF()
	timer := stream.Wall{}.Timer(ctx)
	defer timer.Stop()
	for _, d := range all {
		d.start = begun
	}
	for at := lsl.FromStamp(begun); timer.Wait(at) == nil; at += 4e6 { // every 4 ms what is due
		due := lsl.LocalClock() - begun
		for _, d := range all {
			if err := d.pushUntil(due); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func recordUntilEOF(t *testing.T, path string) {
	bci.GoLast() // as bci record does
	r, done := recordAll(untilEOF(), t, path, kinds())
	fmt.Println("recording")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Streams() {
		if row.Dropped != 0 || row.Missing != 0 || row.Restarts != 0 || row.Error != "" {
			t.Errorf("%+v", row)
		}
	}
}

// discardUntilEOF receives all streams, wakes up for them twice a second, and keeps nothing.
func discardUntilEOF(t *testing.T) {
	bci.GoLast()
	ctx := untilEOF()
	n := len(kinds())
	found, err := lsl.Resolve(ctx, lsl.Match{}, lsl.ResolveOptions{Min: n, Timeout: 20 * time.Second})
	if err != nil || len(found) != n {
		t.Fatalf("%d streams found: %v", len(found), err)
	}
	var all sync.WaitGroup
	for _, s := range found {
		in, err := lsl.OpenInlet(ctx, s, lsl.InletOptions{Batch: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		all.Go(func() {
			var b lsl.Batch
			for in.Pull(ctx, &b, 0) == nil {
			}
		})
	}
	fmt.Println("discarding")
	all.Wait()
}
