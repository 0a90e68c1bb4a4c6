package bci

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream"
)

func writeRows(t *testing.T, r *rowFile) {
	t.Helper()
	h := stream.Header{Name: "x", Rate: 10, MaxLen: 4, Channels: []stream.Channel{{Label: `a, "b"`, Unit: "uV"}, {Label: "p"}}}
	if err := r.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	c := stream.NewChunk(&h)
	c.Resize(2)
	c.Seq, c.T0 = 5, 500e6
	c.SetColumn(0, []float64{1.5, -2e-9})
	c.SetColumn(1, []float64{0.1, 3})
	c.Markers = append(c.Markers, stream.Marker{Column: 1, Label: "T1", Time: 600e6})
	c.Events = append(c.Events, stream.Event{Kind: stream.EventGap, Seq: 5, Time: 500e6, Count: 7, Origin: "test"})
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRowsAsCSV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.csv")
	writeRows(t, &rowFile{path: path})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	got, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"column", "time (s)", `a, "b" (uV)`, "p"}, {"5", "0.500000", "1.5", "-2e-09"}, {"6", "0.600000", "0.1", "3"}}
	for i := range want {
		if strings.Join(got[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func TestRowsAsJSON(t *testing.T) {
	var out bytes.Buffer
	writeRows(t, &rowFile{path: "-", json: true, stdout: &out})
	var keys []string
	for s := bufio.NewScanner(&out); s.Scan(); {
		var v map[string]any
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		switch {
		case v["event"] != nil:
			keys = append(keys, "event "+v["event"].(string))
		case v["marker"] != nil:
			keys = append(keys, "marker "+v["marker"].(string))
		default:
			if _, ok := v[`a, "b"`].(float64); !ok {
				t.Errorf("the row's label is lost: %v", v)
			}
			keys = append(keys, "row")
		}
	}
	if got := strings.Join(keys, ","); got != "event gap,row,marker T1,row" {
		t.Errorf("lines %s", got)
	}
}
