package decoders

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// golden is one file of testdata/decoders: inputs, expected outputs, tolerance.
type golden struct {
	Inputs    map[string]any
	Expected  map[string]any
	Tolerance map[string]any
	name      string
}

func readGolden(t testing.TB, name string) *golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "decoders", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{name: name}
	if err := json.Unmarshal(b, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func lookup(t testing.TB, m map[string]any, path string) any {
	t.Helper()
	var v any = m
	for _, k := range strings.Split(path, "/") {
		o, ok := v.(map[string]any)
		if !ok || o[k] == nil {
			t.Fatalf("no %q in the vector", path)
		}
		v = o[k]
	}
	return v
}

// in reads one input into dst.
func (g *golden) in(t testing.TB, path string, dst any) {
	t.Helper()
	recode(t, lookup(t, g.Inputs, path), dst)
}

// ex reads one expected value into dst.
func (g *golden) ex(t testing.TB, path string, dst any) {
	t.Helper()
	recode(t, lookup(t, g.Expected, path), dst)
}

func recode(t testing.TB, v, dst any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, dst)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// want compares got, numbers in nested slices, with an expected value within the
// file's tolerance.
func (g *golden) want(t testing.TB, path string, got any) {
	t.Helper()
	g.within(t, path, got, g.Tolerance["abs"].(float64), g.Tolerance["rel"].(float64))
}

// exact compares integers and spikes.
func (g *golden) exact(t testing.TB, path string, got any) { t.Helper(); g.within(t, path, got, 0, 0) }

func (g *golden) within(t testing.TB, path string, got any, abs, rel float64) {
	t.Helper()
	if d := differ(reflect.ValueOf(got), lookup(t, g.Expected, path), abs, rel); d != "" {
		t.Errorf("%s.json, %s%s", g.name, path, d)
	}
}

func differ(got reflect.Value, want any, abs, rel float64) string {
	if got.Kind() == reflect.Slice {
		w, ok := want.([]any)
		if !ok || len(w) != got.Len() {
			return ": lengths differ"
		}
		for i := range w {
			if d := differ(got.Index(i), w[i], abs, rel); d != "" {
				return "[" + itoa(i) + "]" + d
			}
		}
		return ""
	}
	var x float64
	switch got.Kind() {
	case reflect.Int, reflect.Int64:
		x = float64(got.Int())
	case reflect.Bool:
		if got.Bool() {
			x = 1
		}
	default:
		x = got.Float()
	}
	y, ok := want.(float64)
	if !ok || !(math.Abs(x-y) <= abs+rel*math.Abs(y)) {
		b, _ := json.Marshal([]any{x, want})
		return ": got, want " + string(b)
	}
	return ""
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }
