package decoders

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func nirFile(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/nir/" + name + ".nir.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Files of nir.write run as a simulation of NIR's equations by another program does.
func TestNIR(t *testing.T) {
	text, err := os.ReadFile("testdata/nir/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct {
		Dt            float64
		Input, Output [][]float64
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 4 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for name, c := range cases {
		f, err := ParseNIR(nirFile(t, name), c.Dt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n, err := f.Build()
		if err != nil {
			t.Fatal(err)
		}
		_, out := n.Dims()
		got := make([]float64, out)
		count := n.Count()
		for i, x := range c.Input {
			n.Step(got, x)
			nearby(t, name, got, c.Output[i], 1e-9, 1e-9)
		}
		if count.Spikes == 0 || count.Spikes == count.Neurons {
			t.Errorf("%s: %d of %d neurons spiked: little was compared", name, count.Spikes, count.Neurons)
		}
	}
}

// A NIR file goes through the stage and its model file like any network.
func TestNIRStage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "net.nir")
	if err := os.WriteFile(path, nirFile(t, "feedforward"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := trials(1, 30, 2, 4)
	k := learn(t, &SNN{File: path}, rows)
	raw, err := k.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	again := new(SNN)
	if err := again.LoadModel(raw); err != nil {
		t.Fatal(err)
	}
	a, b := decode(t, k, rows), decode(t, again, rows)
	for i := range a {
		nearby(t, "after loading", b[i], a[i], 0, 0)
	}
}

func TestNIRRefusals(t *testing.T) {
	good := nirFile(t, "feedforward")
	for name, c := range map[string]struct {
		b    []byte
		dt   float64
		want string
	}{
		"branch": {nirFile(t, "branch"), 1e-4, "read are chains"}, "cuba": {nirFile(t, "cuba"), 1e-4, "CubaLIF"},
		"step": {good, 1, "shorter than a step"}, "no step": {good, 0, "positive"}, "cut": {good[:3000], 1e-4, "byte"},
		"other": {bytes.ReplaceAll(good, []byte("NIRGraph"), []byte("NIRgraph")), 1e-4, "not a graph"},
		"edge":  {bytes.Replace(good, []byte("affine_1"), []byte("affine_9"), 1), 1e-4, "no node"},
	} {
		if _, err := ParseNIR(c.b, c.dt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNIR(f *testing.F) {
	for _, name := range []string{"plain", "recurrent", "nested", "cuba"} {
		f.Add(nirFile(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNIR(b, 1e-4)
		if err != nil {
			return
		}
		net, err := n.Build()
		if err != nil {
			t.Fatalf("read once, refused the second time: %v", err)
		}
		in, out := net.Dims()
		net.Step(make([]float64, out), make([]float64, in))
	})
}
