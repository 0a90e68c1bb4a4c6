package recordings

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Another reader (edfio) finds in the files that WriteEDF makes what this package
// finds: signals, values, annotations. It needs a Python with
// xdf/testdata/requirements.txt installed, whose path the variable
// NEUROSTREAM_INTEROP_PYTHON names (make test-interop).
func TestInterop(t *testing.T) {
	python := os.Getenv("NEUROSTREAM_INTEROP_PYTHON")
	if python == "" {
		t.Skip("NEUROSTREAM_INTEROP_PYTHON is not set; make test-interop compares with edfio")
	}
	dir := t.TempDir()
	args := []string{"testdata/interop.py"}
	for name, c := range map[string]struct {
		rate    float64
		columns int
		gaps    []Gap
		bits    int
	}{
		"whole.edf": {160, 1600, nil, 16},
		"whole.bdf": {160, 1600, nil, 24},
		"prime.edf": {100, 1009, nil, 16},
		"slow.bdf":  {0.1, 30, nil, 24},
		"gaps.edf":  {100, 1000, []Gap{{Column: 350, Seconds: 2.5}}, 16},
	} {
		var b bytes.Buffer
		if _, err := WriteEDF(&b, synthetic(c.rate, c.columns, []string{"uV", "uV", "V", "uV", "mV", ""}, c.gaps), EDFOptions{Bits: c.bits}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	cmd := exec.Command(python, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("interop.py: %v\n%s", err, stderr.String())
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<28)
	n := 0
	for ; lines.Scan(); n++ {
		var p edfPeer
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		comparePeer(t, &p)
	}
	if n != len(args)-1 {
		t.Errorf("%d of %d files compared", n, len(args)-1)
	}
}

// edfPeer is what interop.py says about a file.
type edfPeer struct {
	Path        string
	Records     int64
	Labels      []string
	Units       []string
	Rates       []float64
	Data        [][]string
	Annotations [][]any
}

func comparePeer(t *testing.T, p *edfPeer) {
	t.Helper()
	name := filepath.Base(p.Path)
	r := mustOpen(t, p.Path)
	h, c := r.Header(), readAll(t, r)
	if len(p.Labels) != h.Rows() {
		t.Fatalf("%s: %d signals, edfio finds %q", name, h.Rows(), p.Labels)
	}
	for ch := range h.Channels {
		label, _ := CleanLabel(p.Labels[ch])
		if label != h.Channels[ch].Label || p.Units[ch] != h.Channels[ch].Unit || math.Abs(p.Rates[ch]-h.Rate) > 1e-9 || len(p.Data[ch]) != c.Len {
			t.Errorf("%s: channel %+v, edfio finds %q [%s] at %v Hz, %d samples", name, h.Channels[ch], p.Labels[ch], p.Units[ch], p.Rates[ch], len(p.Data[ch]))
			continue
		}
		for i, text := range p.Data[ch] {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || math.Abs(v-c.At(ch, i)) > 1e-9*max(1, math.Abs(v)) {
				t.Errorf("%s: channel %s column %d is %v, edfio reads %s", name, label, i, c.At(ch, i), text)
				break
			}
		}
	}
	if len(p.Annotations) != len(r.Annotations()) {
		t.Fatalf("%s: %d annotations, edfio finds %d", name, len(r.Annotations()), len(p.Annotations))
	}
	for i, a := range r.Annotations() {
		w := p.Annotations[i]
		if math.Abs(a.Onset-w[0].(float64)) > 1e-6 || math.Abs(a.Duration-w[1].(float64)) > 1e-6 || a.Label != w[2].(string) {
			t.Errorf("%s: annotation %+v, edfio finds %v", name, a, w)
		}
	}
}
