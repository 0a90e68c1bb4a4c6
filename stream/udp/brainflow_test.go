package udp

import (
	"math"
	"strings"
	"testing"

	"neurostream/stream"
)

// doubles writes little endian f64 by hand.
func doubles(v ...float64) []byte {
	var p []byte
	for _, x := range v {
		b := math.Float64bits(x)
		for i := range 8 {
			p = append(p, byte(b>>(8*i)))
		}
	}
	return p
}

func TestBrainflowGolden(t *testing.T) {
	// Two packages of five rows: number, two of EEG, time, marker.
	p := doubles(255, 10.5, -3, 1700000000.25, 0 /**/, 0, 11.5, math.NaN(), 1700000000.254, 7)
	d := read(t, "brainflow", "rows=5&eeg=1-2&counter=0&modulus=256&stamp=3&marker=4&rate=250&unit=uV&channels=C3,C4", p)
	same(t, "columns", d.columns, []float64{10.5, -3}, []float64{11.5, 0})
	if !d.bad[1][1] || d.bad[1][0] {
		t.Errorf("bad %v", d.bad)
	}
	has := EvidenceCounter | EvidenceStamp
	if r := d.records[0]; r != (Record{Column: 0, Columns: 1, Has: has, Counter: 255, Stamp: 1700000000250000000}) {
		t.Errorf("record %+v", r)
	}
	if r := d.records[1]; r.Counter != 0 || r.Column != 1 || max(r.Stamp-1700000000254000000, 1700000000254000000-r.Stamp) > 240 {
		t.Errorf("record %+v", r)
	}
	if len(d.markers) != 1 || d.markers[0] != (stream.Marker{Column: 1, Label: "7"}) {
		t.Errorf("markers %+v", d.markers)
	}
	if h := d.layout.Header; h.Rate != 250 || h.Channels[1] != (stream.Channel{Label: "C4", Unit: "uV", Type: "EEG"}) || d.layout.Counter != (Counter{256, 1}) || d.layout.Clock != ClockUnix {
		t.Errorf("layout %+v", d.layout)
	}
	url := "rows=5&eeg=1-2&counter=0&modulus=256&stamp=3&rate=250"
	refuse(t, "brainflow", url, nil, p[:79], "no multiple of the board's package (got 79, want 40)")
	refuse(t, "brainflow", url, nil, nil, "no multiple")
	refuse(t, "brainflow", url, nil, doubles(256, 0, 0, 0, 0), "package number")
	refuse(t, "brainflow", url, nil, doubles(1, 0, 0, 0, 0, 0.5, 0, 0, 0, 0), "byte 40: the package number")
	refuse(t, "brainflow", url, nil, doubles(1, 0, 0, -1, 0), "byte 24: the stamp")
	for url, want := range map[string]string{
		"":                          "board=NAME",
		"board=toaster":             "not in the table",
		"rows=5&rate=250":           "which rows",
		"rows=5&eeg=1-5&rate=250":   "no list of rows from 0 to 4",
		"rows=5&eeg=1-2":            "rate",
		"board=cyton&channels=a,b":  "names 2 channels",
		"board=cyton&counter=24":    "whole number from 0 to 23",
		"board=cyton&rows=99999999": "whole number",
	} {
		if _, err := NewFormat("brainflow", query(t, url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// The table's rows lie inside the board, and do not overlap.
func TestBrainflowBoards(t *testing.T) {
	for _, b := range boards {
		used := make([]bool, b.rows)
		rows := []int{b.counter, b.stamp, b.marker}
		for i := range b.eeg[1] {
			rows = append(rows, b.eeg[0]+i)
		}
		for _, r := range rows {
			if r < 0 || r >= b.rows || used[r] {
				t.Errorf("%s: row %d of %d twice or outside", b.name, r, b.rows)
				continue
			}
			used[r] = true
		}
		if n := strings.Count(b.labels, ",") + 1; b.labels != "" && n != b.eeg[1] {
			t.Errorf("%s: %d labels for %d channels", b.name, n, b.eeg[1])
		}
		f, err := NewFormat("brainflow", query(t, "board="+b.name))
		if err != nil || f.Layout().Header.Rate != b.rate {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}

func FuzzBrainflow(f *testing.F) { fuzzFormat(f, "brainflow") }
