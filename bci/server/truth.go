package server

import (
	"slices"

	"neurostream/stream"
)

// truth follows the markers of a recording: which class is the true one at a column.
type truth struct {
	classOf map[string]int // by marker label
	class   int            // in force; -1 unknown
	until   stream.Time    // when it ends; 0 = with the next marker
	markers []stream.Marker
	applied int
}

func newTruth(labels map[string]string, classes []string) truth {
	t := truth{classOf: make(map[string]int, len(labels)), class: -1}
	for label, class := range labels {
		t.classOf[label] = slices.Index(classes, class)
	}
	return t
}

func (t *truth) reset() { t.class, t.until = -1, 0 }

// take remembers the markers of a chunk; they are used up before done.
func (t *truth) take(markers []stream.Marker) { t.markers, t.applied = markers, 0 }

// at returns the class in force at a column of the chunk, which happened at the given
// time. Columns are asked for in order.
func (t *truth) at(column int, now stream.Time) int {
	for ; t.applied < len(t.markers) && t.markers[t.applied].Column <= column; t.applied++ {
		t.apply(&t.markers[t.applied], now)
	}
	if t.until != 0 && now >= t.until {
		t.reset()
	}
	return t.class
}

// done applies what stands behind the last column: an empty chunk may carry markers.
func (t *truth) done() {
	for ; t.applied < len(t.markers); t.applied++ {
		t.apply(&t.markers[t.applied], t.markers[t.applied].Time)
	}
	t.markers = nil
}

func (t *truth) apply(m *stream.Marker, now stream.Time) {
	class, known := t.classOf[m.Label]
	if !known {
		return
	}
	t.class, t.until = class, 0
	if m.Duration > 0 {
		start := m.Time
		if start == 0 {
			start = now
		}
		t.until = start + stream.Time(m.Duration*1e9)
	}
}
