package stream

import "fmt"

// Kind says what an Event is about.
type Kind uint8

// The kinds of events. Their numbers are written into recordings: append only.
const (
	EventNone        Kind = iota
	EventGap              // Count columns are missing
	EventDouble           // Count datagrams or columns arrived twice and were used once
	EventReorder          // Count datagrams or columns arrived late and were put in order or discarded
	EventClockJump        // the sender's clock stepped; Count is the step in nanoseconds
	EventDrop             // Count columns were discarded here because a consumer was too slow
	EventRestart          // the sender went away and came back
	EventRateChange       // the measured rate left the nominal one; Count is the rate in millihertz
	EventMalformed        // Count messages could not be parsed
	EventStale            // nothing arrived for Count nanoseconds
	EventBadSamples       // Count samples are not numbers, railed or flat
	EventBridge           // Count missing columns were interpolated
	EventModelSwap        // a decoder's model was replaced
	EventNote             // something a person should see; Detail says what
	EventChannelBad       // a channel cannot be used from here on; Detail says which and why, Count how long it looked so (columns)
	EventChannelGood      // a channel is used again; Count columns of it were marked
	EventArtifact         // Count channels or directions of the data are rebuilt from the others from here on
	EventFallback         // a decoder used a simpler update at Count columns of the last 10 s
)

var kindNames = [...]string{
	"none", "gap", "double", "reorder", "clock-jump", "drop", "restart", "rate-change",
	"malformed", "stale", "bad-samples", "bridge", "model-swap", "note",
	"channel-bad", "channel-good", "artifact", "fallback",
}

// String returns the name used in logs, JSON and recordings.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// KindOf returns the kind with this name.
func KindOf(name string) (Kind, bool) {
	for i, n := range kindNames {
		if n == name {
			return Kind(i), true
		}
	}
	return EventNone, false
}

// Event is one thing that went wrong, or changed, at a place in the data. It
// travels in Chunk.Events to every sink and is written into recordings.
type Event struct {
	Kind   Kind
	Seq    int64  // column it belongs to, in the numbering of the stream that reports it
	Time   Time   // when, on the engine's timeline
	Count  int64  // how many or how much; see Kind
	Origin string // who says so: a source's or stage's name
	Detail string // the evidence, for a person; may be empty
}

// String returns one line for a log.
func (e Event) String() string {
	s := fmt.Sprintf("%s %s at column %d: %d", e.Origin, e.Kind, e.Seq, e.Count)
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}
