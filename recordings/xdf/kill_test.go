package xdf

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A killed process loses a second at most, and the file opens. The child writes and
// says how far it is; times are its own, so that a slow machine does not matter.
func TestKill(t *testing.T) {
	if path := os.Getenv("NEUROSTREAM_KILLED_WRITER"); path != "" {
		killed(t, path)
		return
	}
	if testing.Short() {
		t.Skip("takes two seconds")
	}
	path := filepath.Join(t.TempDir(), "killed.xdf")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "NEUROSTREAM_KILLED_WRITER="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	type progress struct {
		samples int64
		ms      int64
	}
	var seen []progress
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var p progress
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &p.samples, &p.ms); err != nil {
			continue
		}
		if seen = append(seen, p); p.ms > 1800 {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if len(seen) == 0 {
		t.Fatal("the writer said nothing")
	}
	report, err := Check(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Damage) > 1 || !report.Unclosed {
		t.Errorf("report %+v", report)
	}
	last := seen[len(seen)-1]
	safe := int64(0)
	for _, p := range seen {
		if p.ms <= last.ms-1000 {
			safe = p.samples
		}
	}
	if got := report.Streams[0].Samples; got < safe || safe == 0 {
		t.Errorf("%d samples survived; %d were written more than a second before the kill", got, safe)
	}
}

// killed writes until it is killed.
func killed(t *testing.T, path string) {
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.AddStream(Info{Name: "a", Format: Float32, Rate: 1000, Channels: make([]Channel, 8)})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for n := range 600_000 {
		if err := w.Write(id, []float64{float64(n) / 1000}, make([]float64, 8)); err != nil {
			t.Fatal(err)
		}
		if n%10 == 9 {
			fmt.Println(n+1, time.Since(began).Milliseconds())
			time.Sleep(10 * time.Millisecond)
		}
	}
}
