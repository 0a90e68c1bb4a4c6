package hdf5

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

func typesFile(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open("testdata/types.h5.gz")
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

// Every dataset that h5py wrote is read with its shape and values.
func TestFileOfH5py(t *testing.T) {
	got, err := Parse(typesFile(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/types.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]Dataset
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(want) < 60 {
		t.Errorf("%d datasets, want %d", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if g == nil || !slices.Equal(g.Shape, w.Shape) || !slices.Equal(g.Numbers, w.Numbers) || !slices.Equal(g.Strings, w.Strings) {
			t.Errorf("%s: %+v, want %+v", name, g, w)
		}
	}
}

// What is not read is refused in words that say where and what.
func TestRefusals(t *testing.T) {
	whole := typesFile(t)
	latest, err := os.ReadFile("testdata/latest.h5")
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, v byte) []byte {
		b := bytes.Clone(whole)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty": {nil, "signature"}, "text": {[]byte("hello"), "signature"}, "latest": {latest, "version"}, "offsets": {change(13, 4), "byte 13"},
		"cut": {whole[:5000], "byte"}, "short": {whole[:50], "byte 0"}, "root": {change(70, 0xff), "byte"},
	} {
		if _, err := Parse(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A group that holds itself ends in an error, not in a loop.
func TestCircle(t *testing.T) {
	b := typesFile(t)
	entry := bytes.Index(b, []byte("SNOD")) + 8
	copy(b[entry+8:entry+16], b[64:72]) // the first entry is the root
	if _, err := Parse(b); err == nil || !strings.Contains(err.Error(), "levels") {
		t.Errorf("a circle: %v", err)
	}
}

// Bytes turned at random end in an error or in values, never in a panic.
func TestDamaged(t *testing.T) {
	whole, r := typesFile(t), rand.New(rand.NewPCG(1, 1))
	for i := range 400 {
		b := bytes.Clone(whole)
		for range 1 + i%8 {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		_, _ = Parse(b)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(typesFile(f))
	b, err := os.ReadFile("testdata/latest.h5")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		for name, d := range d {
			n := 1
			for _, v := range d.Shape {
				n *= v
			}
			if len(d.Numbers)+len(d.Strings) != n {
				t.Fatalf("%s: %d values of shape %v", name, len(d.Numbers)+len(d.Strings), d.Shape)
			}
		}
	})
}
