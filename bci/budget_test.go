package bci

import (
	"context"
	"math"
	"testing"
)

// budgetPipeline is spectra, connectivity, a network's strength and an aperiodic fit of 64
// channels.
const budgetPipeline = `
stages:
  - car
  - bandpass: {low: 1, high: 45}
  - window:
      length: 2
      hop: 0.1
      features:
        - psd: {low: 1, high: 45, segment: 1, step: 0.1}
        - connectivity: {bands: {alpha: [8, 13]}, segment: 1, step: 0.1}
        - network: {measure: wpli, bands: {alpha: [8, 13]}, segment: 1, step: 0.1, metrics: [mean-strength]}
        - aperiodic: {segment: 1, step: 0.1, every: 10}
`

// TestLatencyBudget: the status lists time, delay and memory of every stage and of every
// feature of the window.
func TestLatencyBudget(t *testing.T) {
	p, err := ParsePipeline("budget.yaml", []byte(budgetPipeline))
	if err != nil {
		t.Fatal(err)
	}
	in, err := OpenSource("sample:S007R12?to=12")
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, nil, in.Source, nil, Options{Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := e.Status()
	if s.Rows != 64 || len(s.Stages) != 3 {
		t.Fatalf("%d channels, %d stages", s.Rows, len(s.Stages))
	}
	for _, g := range s.Stages {
		if g.Work.N == 0 || g.Work.P50 <= 0 || g.Bytes <= 0 || g.Rows == 0 {
			t.Errorf("%s: %+v", g.Name, g)
		}
	}
	w := s.Stages[2]
	if math.Abs(w.DelayS-1) > 1e-9 || s.Stages[1].DelayS <= 0 {
		t.Errorf("delays %v and %v s", s.Stages[1].DelayS, w.DelayS)
	}
	if len(w.Parts) != 4 {
		t.Fatalf("parts %+v", w.Parts)
	}
	var rows int
	var parts int64
	for i, want := range []string{"psd", "connectivity", "network", "aperiodic"} {
		g := w.Parts[i]
		if g.Name != want || g.Work.N == 0 || g.Work.P50 <= 0 || g.Bytes <= 0 {
			t.Errorf("part %d: %+v", i, g)
		}
		rows += g.Rows
		parts += g.Bytes
	}
	if rows != w.Rows {
		t.Errorf("the parts have %d rows, the window %d", rows, w.Rows)
	}
	if slow, fast := w.Parts[3].Work.N, w.Parts[0].Work.N; slow < fast/10 || slow > fast/10+1 {
		t.Errorf("aperiodic fit %d times in %d windows, every tenth was asked for", slow, fast)
	}
	if spectra := int64(64 * 160 * 8); w.Bytes < spectra {
		t.Errorf("the window holds %d bytes, its samples alone are %d", w.Bytes, 2*spectra)
	}
}

func TestFootprint(t *testing.T) {
	type inner struct{ b []byte }
	shared := make([]float64, 10, 20)
	type stage struct {
		a, again []float64
		p        *inner
		i        any
		f        func()
		self     *stage
	}
	s := &stage{a: shared, again: shared, p: &inner{make([]byte, 7)}, i: []int32{1, 2, 3}, f: func() {}}
	s.self = s
	want := footprint(&stage{}) + 160 + 24 + 7 + 12
	if got := footprint(s); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}
