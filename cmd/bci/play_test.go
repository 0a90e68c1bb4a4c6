package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"neurostream/recordings/xdf"
	"neurostream/stream/lsl"
)

// threeStreams writes an XDF file of two regular streams and one of markers: eeg from
// 100 s on for 3 s at 250 Hz, counts 1.3 s later for 1.5 s at 100 Hz, cues at 0.5 s and
// 2 s.
func threeStreams(t *testing.T, path string) {
	t.Helper()
	w, err := xdf.Create(path, xdf.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(i xdf.Info) uint32 {
		id, err := w.AddStream(i)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	eeg := add(xdf.Info{
		Name: "Amp One", Type: "EEG", Format: xdf.Float32, Rate: 250, SourceID: "play-eeg",
		Channels: []xdf.Channel{{Label: "Cz", Unit: "microvolts", Type: "EEG"}, {Label: "Pz", Unit: "microvolts", Type: "EEG"}},
	})
	counts := add(xdf.Info{Name: "Counts", Type: "Misc", Format: xdf.Int64, Rate: 100, SourceID: "play-counts", Channels: []xdf.Channel{{Label: "n"}}})
	cues := add(xdf.Info{Name: "Cues", Type: "Markers", Format: xdf.String, SourceID: "play-cues", Channels: []xdf.Channel{{Label: "cue"}}})
	own := add(xdf.Info{Name: "log", Type: "Events", Format: xdf.String, SourceID: "play-log", Channels: []xdf.Channel{{Label: xdf.EventChannel}}})
	for i := range 750 {
		check(w.Write(eeg, []float64{100 + float64(i)/250}, []float64{float64(i), -float64(i) / 2}))
	}
	for i := range 150 {
		check(w.WriteInts(counts, []float64{101.3 + float64(i)/100}, []int64{1<<60 + int64(i)})) // no float64 holds these
	}
	check(w.WriteStrings(cues, []float64{100.5, 102}, []string{"left", "right hand"}))
	check(w.WriteStrings(own, []float64{101}, []string{"{}"}))
	check(w.Close())
}

type heard struct {
	info   lsl.Info
	stamps []float64
	values []string
	stats  lsl.InletStats
	err    error
}

// listen receives a stream until it ends, or until it has so many samples.
func listen(ctx context.Context, s lsl.Stream, most int) heard {
	in, err := lsl.OpenInlet(ctx, s, lsl.InletOptions{Recover: -1})
	if err != nil {
		return heard{err: err}
	}
	defer in.Close()
	h := heard{}
	h.info, h.err = in.FullInfo(ctx)
	for h.err == nil && len(h.stamps) < most {
		var b lsl.Batch
		if err := in.Pull(ctx, &b, 0); err != nil {
			break
		}
		for i := range b.Len() {
			h.stamps = append(h.stamps, b.Stamps[i])
			switch h.info.Format {
			case lsl.String:
				h.values = append(h.values, string(bytes.Join(lsl.Strings(nil, b.Sample(i)), []byte("|"))))
			case lsl.Int64:
				h.values = append(h.values, fmt.Sprint(lsl.Ints(nil, h.info.Format, b.Sample(i))))
			default:
				h.values = append(h.values, fmt.Sprint(lsl.Numbers(nil, h.info.Format, b.Sample(i))))
			}
		}
	}
	h.stats = in.Stats()
	return h
}

// hear runs bci play and receives every stream whose source id begins with play-.
func hear(t *testing.T, s *shell, streams, most int, args ...string) (map[string]heard, string) {
	t.Helper()
	type end struct {
		code int
		errs string
	}
	ended := make(chan end, 1)
	go func() {
		code, _, errs := s.run(append([]string{"play"}, args...)...)
		ended <- end{code, errs}
	}()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	found, err := lsl.Resolve(ctx, lsl.Match{Predicate: "starts-with(source_id,'play-')"}, lsl.ResolveOptions{Min: streams, Timeout: 10 * time.Second, Settle: 50 * time.Millisecond})
	if err != nil || len(found) != streams {
		e := <-ended
		t.Fatalf("%d streams found, not %d (%v): %s", len(found), streams, err, e.errs)
	}
	all := make(chan heard, len(found))
	for _, f := range found {
		go func() { all <- listen(ctx, f, most) }()
	}
	out := map[string]heard{}
	for range found {
		h := <-all
		if h.err != nil {
			t.Fatal(h.err)
		}
		out[h.info.SourceID] = h
	}
	e := <-ended
	if e.code != 0 {
		t.Fatalf("play: exit code %d: %s", e.code, e.errs)
	}
	return out, e.errs
}

// Every stream of a file arrives as it was recorded, and the streams lie to each other
// as they did.
func TestPlaySendsEveryStream(t *testing.T) {
	onThisMachine(t)
	s := newShell(t)
	threeStreams(t, "three.xdf")
	got, said := hear(t, s, 3, math.MaxInt, "three.xdf", "--speed", "10", "--wait", "20s")
	for _, part := range []string{"3 LSL streams", "Amp One", "1.300 s", "log (Events) tells what happened", "902 samples sent by 3 streams"} {
		if !strings.Contains(said, part) {
			t.Errorf("the screen does not show %q:\n%s", part, said)
		}
	}
	eeg, counts, cues := got["play-eeg"], got["play-counts"], got["play-cues"]
	if len(eeg.stamps) != 750 || len(counts.stamps) != 150 || len(cues.stamps) != 2 {
		t.Fatalf("%d, %d and %d samples arrived, not 750, 150 and 2", len(eeg.stamps), len(counts.stamps), len(cues.stamps))
	}
	if i := eeg.info; i.Name != "Amp One" || i.Type != "EEG" || i.Rate != 250 || i.Format != lsl.Float32 || i.Channels != 2 {
		t.Errorf("the EEG is announced as %s", i.Describe())
	}
	if i := cues.info; i.Name != "Cues" || i.Type != "Markers" || i.Rate != 0 || i.Format != lsl.String {
		t.Errorf("the markers are announced as %s", i.Describe())
	}
	second := eeg.info.Desc.Child("channels").Children[1]
	if second.Child("label").Value() != "Pz" || second.Child("unit").Value() != "microvolts" {
		t.Errorf("channel 2 is %q in %q", second.Child("label").Value(), second.Child("unit").Value())
	}
	const close = 2e-6 // stamps are seconds since boot or 1970, in float64
	began := eeg.stamps[0]
	at := func(what string, h heard, i int, seconds float64, value string) {
		if d := h.stamps[i] - began - seconds; math.Abs(d) > close {
			t.Errorf("%s, sample %d: %.6f s too late", what, i, d)
		}
		if h.values[i] != value {
			t.Errorf("%s, sample %d is %s, not %s", what, i, h.values[i], value)
		}
	}
	for i := range eeg.stamps {
		at("EEG", eeg, i, float64(i)/250, fmt.Sprint([]float64{float64(i), -float64(i) / 2}))
	}
	for i := range counts.stamps {
		at("counts", counts, i, 1.3+float64(i)/100, fmt.Sprint([]int64{1<<60 + int64(i)}))
	}
	at("cues", cues, 0, 0.5, "left")
	at("cues", cues, 1, 2, "right hand")
	for id, h := range got {
		if h.stats.Missing != 0 || h.stats.Dropped != 0 {
			t.Errorf("%s: %d missing, %d dropped", id, h.stats.Missing, h.stats.Dropped)
		}
	}
}

func TestPlayChoosesStreams(t *testing.T) {
	onThisMachine(t)
	s := newShell(t)
	threeStreams(t, "three.xdf")
	got, said := hear(t, s, 2, math.MaxInt, "three.xdf", "--speed", "50", "--wait", "20s", "--stream", "counts", "--stream", "Markers")
	counts, cues := got["play-counts"], got["play-cues"]
	if len(counts.stamps) != 150 || len(cues.stamps) != 2 {
		t.Fatalf("%d and %d samples arrived, not 150 and 2", len(counts.stamps), len(cues.stamps))
	}
	if d := counts.stamps[0] - cues.stamps[0]; math.Abs(d-0.8) > 2e-6 {
		t.Errorf("the counts begin %.6f s after the first cue, not 0.8 s", d)
	}
	if !strings.Contains(said, "Amp One (EEG) was not chosen") {
		t.Errorf("what is left out is not said:\n%s", said)
	}
	for want, args := range map[string][]string{
		`no stream is called "nose"; there are 1 Amp One (EEG), 2 Counts (Misc)`: {"three.xdf", "--stream", "nose"},
		"--stream chooses streams of an XDF file":                                {"sample:S007R12", "--stream", "EEG"},
		"with --to one stream is sent":                                           {"three.xdf", "--stream", "EEG", "--stream", "counts", "--to", "lsl://x"},
		"--stream does not go with settings":                                     {"file:three.xdf?from=1", "--stream", "EEG"},
		"nobody has connected to \"Amp One\" within 1ms":                         {"three.xdf", "--wait", "1ms", "--quiet"},
		"the streams of an XDF file keep their names":                            {"three.xdf", "--name", "x"},
	} {
		code, _, errs := s.run(append([]string{"play"}, args...)...)
		if code == 0 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, want) {
			t.Errorf("play %v: exit code %d, %q, not %q", args, code, errs, want)
		}
	}
}

// Ctrl-C in the middle: receivers see the end, the figures are told, and the exit code is
// that of an interruption, unless only Ctrl-C can end it.
func TestPlayInterrupted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send itself Ctrl-C there")
	}
	onThisMachine(t)
	s := newShell(t)
	threeStreams(t, "three.xdf")
	for _, loop := range []bool{false, true} {
		args := []string{"play", "three.xdf", "--wait", "20s"}
		want := 130
		if loop {
			args, want = append(args, "--loop"), 0
		}
		type end struct {
			code int
			errs string
		}
		ended := make(chan end, 1)
		go func() {
			code, _, errs := s.run(args...)
			ended <- end{code, errs}
		}()
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		found, err := lsl.Resolve(ctx, lsl.Match{Predicate: "starts-with(source_id,'play-')"}, lsl.ResolveOptions{Min: 3, Timeout: 10 * time.Second})
		if err != nil || len(found) != 3 {
			t.Fatal(found, err)
		}
		var inlets []*lsl.Inlet
		for _, f := range found {
			in, err := lsl.OpenInlet(ctx, f, lsl.InletOptions{Recover: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			inlets = append(inlets, in)
		}
		interrupted := false
		for _, in := range inlets {
			got := 0
			for {
				var b lsl.Batch
				if err := in.Pull(ctx, &b, 0); err != nil {
					if !errors.Is(err, lsl.ErrLost) {
						t.Errorf("a receiver ends with: %v", err)
					}
					break
				}
				if got += b.Len(); got > 0 && !interrupted {
					interrupted = true
					self, err := os.FindProcess(os.Getpid())
					if err == nil {
						err = self.Signal(os.Interrupt)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if in.Info().Name == "Amp One" && (got == 0 || got >= 750 && !loop) {
				t.Errorf("%d samples of 750 came before the end", got)
			}
		}
		stop()
		e := <-ended
		if e.code != want || !strings.Contains(e.errs, "samples sent by 3 streams") || strings.Contains(e.errs, "bci: interrupted") != !loop {
			t.Errorf("loop %v: exit code %d:\n%s", loop, e.code, e.errs)
		}
	}
}
