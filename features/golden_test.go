package features

import (
	"archive/zip"
	"encoding/json"
	"io"
	"math"
	"testing"
)

// complexes is {"re": [...], "im": [...]}.
type complexes struct{ Re, Im json.RawMessage }

// golden is a vector file of testdata/signal.zip; see the README beside it.
type golden struct {
	DefaultTolerance map[string]any             `json:"default_tolerance"`
	Inputs           map[string]json.RawMessage `json:"inputs"`
	Cases            []goldenCase               `json:"cases"`
}

type goldenCase struct {
	ID        string                     `json:"id"`
	Params    map[string]json.RawMessage `json:"params"`
	Input     string                     `json:"input"`
	Expected  map[string]json.RawMessage `json:"expected"`
	Tolerance map[string]any             `json:"tolerance"`
}

var goldenFiles = map[string]*golden{}

func load(t testing.TB, name string) *golden {
	t.Helper()
	if g := goldenFiles[name]; g != nil {
		return g
	}
	z, err := zip.OpenReader("testdata/signal.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := z.Open(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	g := new(golden)
	if err := json.Unmarshal(raw, g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	goldenFiles[name] = g
	return g
}

func (g *golden) find(t testing.TB, id string) *goldenCase {
	t.Helper()
	for i := range g.Cases {
		if g.Cases[i].ID == id {
			return &g.Cases[i]
		}
	}
	t.Fatalf("no case %q", id)
	return nil
}

// missing stands for null: a value that must be reported as undefined.
var missing = math.NaN()

// flat reads numbers, arrays of numbers and arrays of arrays, row by row.
func flat(t testing.TB, raw json.RawMessage) []float64 {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %.60s", err, raw)
	}
	var out []float64
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case float64:
			out = append(out, v)
		case nil:
			out = append(out, missing)
		case []any:
			for _, x := range v {
				walk(x)
			}
		default:
			t.Fatalf("%T in an array of numbers", v)
		}
	}
	walk(v)
	return out
}

func number(t testing.TB, raw json.RawMessage) float64 {
	t.Helper()
	return flat(t, raw)[0]
}

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

// rowsOf reads an array of arrays.
func rowsOf(t testing.TB, raw json.RawMessage) [][]float64 {
	t.Helper()
	var r []json.RawMessage
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	out := make([][]float64, len(r))
	for i := range r {
		out[i] = flat(t, r[i])
	}
	return out
}

// signal returns an input of the file as channels of samples.
func (g *golden) signal(t testing.TB, name string) [][]float64 {
	t.Helper()
	raw, ok := g.Inputs[name]
	if !ok {
		t.Fatalf("no input %q", name)
	}
	rows := rowsOf(t, raw)
	if len(rows) > 0 && len(rows[0]) == 1 { // one channel
		return [][]float64{flat(t, raw)}
	}
	return rows
}

func (g *golden) tolerance(c *goldenCase) (rel, abs float64) {
	for _, m := range []map[string]any{g.DefaultTolerance, c.Tolerance} {
		if m == nil {
			continue
		}
		rel, abs = 0, 0
		if v, ok := m["rel"].(float64); ok {
			rel = v
		}
		if v, ok := m["abs"].(float64); ok {
			abs = v
		}
	}
	return
}

// check compares with what a case expects under key.
func (g *golden) check(t testing.TB, c *goldenCase, what string, got, want []float64) {
	t.Helper()
	rel, abs := g.tolerance(c)
	near(t, c.ID+" "+what, got, want, rel, abs)
}

func near(t testing.TB, what string, got, want []float64, rel, abs float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if math.IsNaN(w) {
			continue // undefined: the caller checks the mark
		}
		if !(math.Abs(g-w) <= abs+rel*math.Max(math.Abs(g), math.Abs(w))) {
			t.Fatalf("%s[%d] = %v, want %v (off by %g)", what, i, g, w, g-w)
		}
	}
}
