package decoders

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream/streamtest"
)

// exported is a network with every convention, as a Python program would write it: JSON,
// and NPZ with the arrays apart.
func exported(t testing.TB) (asJSON, asNPZ []byte) {
	t.Helper()
	f := &NetworkFile{Format: networkFormat, Number: 1, Layers: []LayerFile{
		{Type: "dcls", Weights: [][]float64{{1, -0.5}, {0.5, 1}, {0.3, 0.2}}, Positions: [][]float64{{-2, 1}, {0, 2}, {1, -1}}, Kernel: 5},
		{Type: "lif", Size: 3, Order: ResetSameStep, Reset: "soft", W: []float64{0.1}, DecayInput: true, Recurrent: [][]float64{{0, 0.1, 0}, {0, 0, 0.1}, {0.1, 0, 0}}},
		{Type: "two-state-lif", Weights: [][]float64{{1, 2, 0}, {0, 1, 2}}, TauSyn: []float64{0.01}, TauMem: []float64{0.02}, Dt: 0.004},
		{Type: "adaptive-lif", Size: 2, Beta: []float64{0.9}, Rho: 0.9, Gain: 0.5, Threshold: 0.5},
		{Type: "linear", Weights: [][]float64{{1, -1}, {0, 1}, {1, 1}}, Bias: []float64{0.1, 0, -0.1}},
		{Type: "leaky", Size: 3, Beta: []float64{0.8}},
	}}
	n, err := f.Build()
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Save()
	if err != nil {
		t.Fatal(err)
	}
	var full NetworkFile
	if err := json.Unmarshal(b, &full); err != nil {
		t.Fatal(err)
	}
	arrays := map[string][]byte{}
	add := func(name, shape string, v []float64) {
		h := fmt.Sprintf("{'descr': '<f8', 'fortran_order': False, 'shape': %s, }", shape)
		h += strings.Repeat(" ", 127-len(h)%128) + "\n"
		w := new(bytes.Buffer)
		w.WriteString("\x93NUMPY\x01\x00")
		_ = binary.Write(w, binary.LittleEndian, uint16(len(h)))
		w.WriteString(h)
		_ = binary.Write(w, binary.LittleEndian, v)
		arrays[name] = w.Bytes()
	}
	vector := func(name string, v *[]float64) {
		if len(*v) > 0 {
			add(name, fmt.Sprintf("(%d,)", len(*v)), *v)
			*v = nil
		}
	}
	matrix := func(name string, m *[][]float64) {
		if len(*m) > 0 {
			add(name, fmt.Sprintf("(%d, %d)", len(*m), len((*m)[0])), flat(*m))
			*m = nil
		}
	}
	for i := range full.Layers {
		l, at := &full.Layers[i], fmt.Sprint(i)
		matrix(at+".weights", &l.Weights)
		matrix(at+".recurrent", &l.Recurrent)
		matrix(at+".positions", &l.Positions)
		for name, v := range map[string]*[]float64{"bias": &l.Bias, "beta": &l.Beta, "w": &l.W, "tau_syn": &l.TauSyn, "tau_mem": &l.TauMem} {
			vector(at+"."+name, v)
		}
	}
	matrix("probe.input", &full.Probe.Input)
	matrix("probe.output", &full.Probe.Output)
	full.Probe = nil
	head, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var text []float64
	for _, c := range head {
		text = append(text, float64(c))
	}
	add("header", fmt.Sprintf("(%d,)", len(text)), text)
	w := new(bytes.Buffer)
	z := zip.NewWriter(w)
	for name, b := range arrays {
		m, _ := z.Create(name + ".npy")
		_, _ = m.Write(b)
	}
	z.Close()
	return b, w.Bytes()
}

// Both layouts give the same network, and the stage runs it under the contract.
func TestImportedNetwork(t *testing.T) {
	a, b := exported(t)
	x, err := ParseNetworkFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := ParseNetworkFile(b)
	if err != nil {
		t.Fatal(err)
	}
	y.Probe.Tolerance = x.Probe.Tolerance
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	if string(p) != string(q) {
		t.Errorf("JSON and NPZ give different networks:\n%s\n%s", p, q)
	}
	path := filepath.Join(t.TempDir(), "net.npz")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	rows := trials(1, 60, 3, 2)
	fresh := func() Fitter { return &SNN{File: path, Exit: &Stop{}, Cue: []string{"go"}} }
	streamtest.Contract(t, streamtest.Case{New: fitted(t, fresh(), rows, fresh), In: rows.Header, Columns: 600, Signal: signalOf(rows)})
	// every trial calibrates: the network has seen none
	k := learn(t, fresh(), rows).(*SNN)
	if k.model.Exit.Trials != 60 {
		t.Errorf("calibrated on %d of 60 trials", k.model.Exit.Trials)
	}
	if err := (&SNN{File: path}).Fit(t.Context(), trials(1, 60, 3, 5), nil); err == nil || !strings.Contains(err.Error(), "2 inputs") {
		t.Errorf("other rows: %v", err)
	}
	if err := (&SNN{File: path + "x"}).Fit(t.Context(), rows, nil); err == nil {
		t.Error("a missing file is accepted")
	}
}

func TestImportRefusals(t *testing.T) {
	a, _ := exported(t)
	change := func(old, now string) []byte {
		out := strings.Replace(string(a), old, now, 1)
		if out == string(a) {
			t.Fatalf("%q is not in the file", old)
		}
		return []byte(out)
	}
	noProbe := a[:bytes.LastIndex(a, []byte(`,"probe"`))]
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"no probe":     {append(bytes.Clone(noProbe), '}'), "probe"},
		"convention":   {change(`"beta":[0.8]`, `"beta":[0.7]`), "convention"},
		"order":        {change(`"order":"same-step"`, `"order":"other"`), "order"},
		"type":         {change(`"type":"leaky"`, `"type":"transformer"`), "known are"},
		"unknown":      {change(`"type":"leaky"`, `"kind":"leaky"`), "unknown field"},
		"sizes":        {change(`"leaky","size":3`, `"leaky","size":4`), "takes 4 values"},
		"huge":         {change(`"size":2`, `"size":999999999`), "allowed are"},
		"huge delays":  {change(`"kernel":5`, `"kernel":99999`), "kernel"},
		"cut":          {a[:len(a)/2], "byte"},
		"no numbers":   {[]byte("PK\x03\x04 nonsense"), "npz"},
		"empty":        {nil, "EOF"},
		"wrong format": {change(`"neurostream-snn"`, `"other"`), "format"},
	} {
		if _, err := ParseNetworkFile(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzNetworkFile(f *testing.F) {
	a, b := exported(f)
	f.Add(a)
	f.Add(b)
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := ParseNetworkFile(raw)
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
