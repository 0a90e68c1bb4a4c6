package bci_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"neurostream/bci"
)

// All threads of a process that goes last are of low priority, and it has one processor.
// In a process of its own, because it cannot be undone.
func TestGoLast(t *testing.T) {
	if os.Getenv("NEUROSTREAM_GO_LAST") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestGoLast$", "-test.v")
		cmd.Env = append(os.Environ(), "NEUROSTREAM_GO_LAST=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	bci.GoLast()
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d processors", n)
	}
	if runtime.GOOS != "linux" {
		return
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range threads {
		stat, err := os.ReadFile("/proc/self/task/" + id.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if nice := fields[16]; nice != "10" { // field 19 of proc(5), two before the name's end
			t.Errorf("thread %s has the niceness %s", id.Name(), nice)
		}
	}
}
