package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/recordings/xdf"
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
		t.Skip("records for three seconds")
	}
	onThisMachine(t)
	s := newShell(t)
	sent := make(chan int, 1)
	go func() {
		code, _, _ := s.run("play", "sample:S007R12?from=3&to=15", "--name", "amp", "--quiet")
		sent <- code
	}()
	time.Sleep(300 * time.Millisecond)
	code, out, errs := s.run("record", "a.xdf", "--predicate", "starts-with(name,'amp')", "--at-least", "2", "--wait", "2s", "--for", "3s", "--json")
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
