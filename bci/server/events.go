package server

import (
	"sync"

	"neurostream/stream"
)

// eventLine is an event as the page lists it.
type eventLine struct {
	Kind   string  `json:"kind"`
	Column int64   `json:"column"`
	TimeS  float64 `json:"time_s"`
	Count  int64   `json:"count"`
	Origin string  `json:"origin"`
	Detail string  `json:"detail,omitempty"`
}

// eventsPerChunk bounds what a broken link that reports itself can cost.
const eventsPerChunk = 64

// recentEvents remembers what has been listed: the same event travels to every sink.
type recentEvents struct {
	mu   sync.Mutex
	ring [256]stream.Event
	n    int
}

// fresh reports whether e has not been seen lately, and remembers it.
func (r *recentEvents) fresh(e stream.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range min(r.n, len(r.ring)) {
		if r.ring[i] == e {
			return false
		}
	}
	r.ring[r.n%len(r.ring)] = e
	r.n++
	return true
}

// note lists the chunk's events on the pages.
func (s *Server) note(src *stream.Chunk) {
	if len(src.Events) == 0 {
		return
	}
	message := struct {
		Type   string      `json:"type"` // "events"
		Events []eventLine `json:"events"`
	}{Type: "events"}
	for _, e := range src.Events[:min(len(src.Events), eventsPerChunk)] {
		if s.recent.fresh(e) {
			message.Events = append(message.Events, eventLine{e.Kind.String(), e.Seq, finite(e.Time.Seconds()), e.Count, e.Origin, e.Detail})
		}
	}
	if len(message.Events) > 0 {
		s.hub.publish(textFrame(message), pastNotes, src.T0.Seconds())
	}
}
