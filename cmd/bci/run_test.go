package main

import (
	"strings"
	"testing"
)

// A run too short to measure chance by shifting the truth still has its scores, and
// says what it lacks.
func TestShortRunIsScored(t *testing.T) {
	s := newShell(t)
	s.write("mi.yaml", string(motorImagery))
	if code, _, err := s.run("train", "mi.yaml", "--from", "sample:S007R04", "--out", "mi.model"); code != 0 {
		t.Fatal(err)
	}
	code, out, err := s.run("run", "mi.yaml", "--model", "mi.model", "--from", "sample:S007R12?to=6")
	if code != 0 || !strings.Contains(out, "too short a run") || !strings.Contains(out, "nMCC") {
		t.Errorf("exit code %d\n%s%s", code, out, err)
	}
}
