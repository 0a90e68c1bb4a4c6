package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/bci"
	"neurostream/recordings/xdf"
	"neurostream/stream/lsl"
)

// onThisMachine keeps discovery on the loopback interface.
func onThisMachine(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lsl_api.cfg")
	if err := os.WriteFile(path, []byte("[multicast]\nResolveScope = machine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LSLAPICFG", path)
}

// Sent through an outlet and received by an inlet, a recording gives the same
// decisions as its replay, bit for bit.
func TestDecisionsOverLSLAreThoseOfTheReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("plays a recording in six seconds")
	}
	onThisMachine(t)
	digest := func(args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := execute(append([]string{"demo", "--headless", "--json"}, args...), &out, &errs); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		var r struct {
			Digest        string
			TrialAccuracy float64 `json:"trial_accuracy"`
			Columns       int64
			Dropped       int64 `json:"dropped_columns"`
			Events        map[string]int64
		}
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Dropped > 0 {
			t.Errorf("%d columns were dropped", r.Dropped)
		}
		return r.Digest, fmt.Sprintf("%.3f of trials right, %d columns, events %v", r.TrialAccuracy, r.Columns, r.Events)
	}
	want, whole := digest()
	got, over := digest("--lsl", "--speed", "20")
	if got != want || over != whole {
		t.Errorf("over LSL the digest is %.12s… (%s), in replay %.12s… (%s)", got, over, want, whole)
	}
}

// What play sends, record receives: samples, markers, clock offsets, and a file that
// is whole.
func TestPlayAndRecord(t *testing.T) {
	if testing.Short() {
		t.Skip("records for six seconds")
	}
	onThisMachine(t)
	s := newShell(t)
	sent := make(chan int, 1)
	go func() {
		code, _, _ := s.run("play", "sample:S007R12?from=3&to=15", "--name", "amp", "--quiet", "--wait", "30s", "--speed", "4")
		sent <- code
	}()
	// Whether the streams are there already or appear while it records, they are in the file.
	code, out, errs := s.run("record", "a.xdf", "--predicate", "starts-with(name,'amp')", "--at-least", "0", "--wait", "100ms", "--for", "6s", "--json")
	if code != 0 {
		t.Fatalf("record: %s", errs)
	}
	var r recordReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	byName := map[string]bci.RecordedStream{}
	for _, st := range r.Streams {
		byName[st.Name] = st
	}
	if eeg := byName["amp"]; eeg.Samples < 400 || eeg.Missing != 0 || eeg.Dropped != 0 || eeg.Channels != 64 {
		t.Errorf("the signals: %+v", eeg)
	}
	report, err := xdf.Check("a.xdf")
	if err != nil {
		t.Fatal(err)
	}
	if !report.Whole() || len(report.Streams) != 3 {
		t.Errorf("the file: %+v", report)
	}
	for _, st := range report.Streams {
		if st.Name == "amp" && (st.Samples != byName["amp"].Samples || st.Offsets == 0 || st.Gaps != 0) {
			t.Errorf("the file's signals: %+v", st)
		}
	}
	if code, _, errs := s.run("record", "a.xdf", "--wait", "1s", "--for", "1s"); code == 0 || errs == "" {
		t.Error("an existing file is overwritten")
	}
	<-sent
}

// ping and doctor find what play sends; what is not there fails with a way on.
func TestPingAndDoctor(t *testing.T) {
	onThisMachine(t)
	s := newShell(t)
	o, err := lsl.NewOutlet(lsl.Info{Name: "near", Type: "EEG", Channels: 2, Format: lsl.Float32, Rate: 100, SourceID: "near"}, lsl.OutletOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	code, out, errs := s.run("lsl", "ping", "near", "-n", "3", "--interval", "5ms", "--json")
	var p pingReport
	if err := json.Unmarshal([]byte(out), &p); code != 0 || err != nil {
		t.Fatalf("ping: %d %v %s%s", code, err, out, errs)
	}
	if p.Sent != 3 || p.Answered != 3 || p.LeastMS == nil || *p.LeastMS > *p.MostMS || p.OffsetMS == nil {
		t.Errorf("ping: %s", out)
	}
	code, out, errs = s.run("lsl", "ping", "near", "-n", "2", "--interval", "5ms")
	if code != 0 || !strings.Contains(out, "2 answered (0 % lost)") || !strings.Contains(out, "clock offset") {
		t.Errorf("ping: %d %s%s", code, out, errs)
	}
	code, out, errs = s.run("lsl", "doctor", "--name", "near", "--wait", "100ms")
	if code != 0 || !strings.Contains(out, "near") || !strings.Contains(out, "which way reaches what") {
		t.Errorf("doctor: %d %s%s", code, out, errs)
	}
	code, out, errs = s.run("lsl", "doctor", "--name", "far", "--wait", "100ms", "--json")
	if code != 1 || !strings.Contains(errs, "no stream with name='far'") || !json.Valid([]byte(out)) {
		t.Errorf("doctor of nothing: %d %s%s", code, out, errs)
	}
	code, _, errs = s.run("lsl", "ping", "far", "--timeout", "200ms")
	if code != 1 || !strings.Contains(errs, "no LSL stream with name='far'") || !strings.Contains(errs, `"near" (EEG`) || !strings.Contains(errs, "bci lsl doctor") {
		t.Errorf("ping of nothing: %d %s", code, errs)
	}
	for _, bad := range [][]string{{"lsl", "pong"}, {"lsl", "ping", "near", "-n", "0"}, {"lsl", "doctor", "--wait", "1h"}} {
		if code, _, errs := s.run(bad...); code != 2 || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d %q", bad, code, errs)
		}
	}
}
