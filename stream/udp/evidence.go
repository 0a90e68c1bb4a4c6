package udp

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// tracker finds the place of every record in the stream, from the best evidence its
// format carries:
//
//	index    the place itself
//	counter  the distance from the record before, modulo the counter's range; when more
//	         than half a turn of it and a second have passed, whole turns are told by the
//	         time of arrival
//	stamp    the distance in the device's time, times the nominal rate
//	none     the next place: loss is estimated elsewhere (arrivals)
//
// Places are counted in units: columns, or records for a counter that counts those.
type tracker struct {
	layout *Layout
	rate   float64 // columns per second; 0 = irregular

	begun   bool
	next    int64 // place that would follow
	columns int64 // of the last record that had any: what a missing record is taken to hold

	counter uint64 // that would follow
	stamp   int64  // device's time at refAt, ns
	refAt   int64  // place of stamp
	arrived stream.Time

	recent [256]seen // records placed, by order
	placed int64

	back    int   // records in a row that went on where an earlier one ended, but further back
	backEnd int64 // where the newest of them ended
}

type seen struct {
	at, length int64
	counter    uint64
	hash       uint64
}

// verdict says how a record stands to those before it.
type verdict uint8

const (
	follows   verdict = iota // it goes on where the last ended
	ahead                    // something is missing before it
	double                   // it was here before
	late                     // its place was passed over
	restarted                // the sender has begun anew
)

// place is a record's place in the stream.
type position struct {
	verdict verdict
	at      int64 // first unit
	length  int64 // units
	turns   int64 // of the counter, told by the time of arrival
}

// Limits on what is believed.
const (
	longestGap  = 600  // s: a longer one, not borne out by the time of arrival, is a restart
	reorderSpan = 1024 // units: what is further back than this is a restart
	// restartSeries is how many records in a row, each going on where the last ended, may
	// lie in the past.
	restartSeries = 16
	// A narrow counter cannot tell a datagram that is late by k from one that comes after
	// a loss of all but k of a turn: up to this many units back are late.
	narrowReorder = 32
	longestStall  = 1.0 // s that networks hold datagrams back without losing them
)

// perRecord reports whether places count records.
func (t *tracker) perRecord(r *Record) bool {
	return r.Has&EvidenceIndex == 0 && r.Has&EvidenceCounter != 0 && t.layout.Counter.Step == 0
}

// locate finds the place of a record; hash is of its datagram.
func (t *tracker) locate(r *Record, at stream.Time, hash uint64) position {
	p := position{length: int64(r.Columns)}
	if t.perRecord(r) {
		p.length = 1
	}
	if !t.begun {
		t.next = 0
		if r.Has&EvidenceIndex != 0 {
			t.next = r.Index
		}
		t.begun, t.arrived = true, at
		t.counter, t.stamp, t.refAt = r.Counter, r.Stamp, t.next
		t.columns = int64(r.Columns)
	}
	d := int64(0)
	switch {
	case r.Has&EvidenceIndex != 0:
		d = r.Index - t.next
	case r.Has&EvidenceCounter != 0:
		d, p.turns = t.distance(r, at)
	case r.Has&EvidenceStamp != 0 && t.rate > 0:
		p.at = t.refAt + int64(math.Round(float64(r.Stamp-t.stamp)*t.rate*1e-9))
		d = p.at - t.next
	}
	p.at = t.next + d
	switch {
	case d == 0 && p.length == 0 && t.knows(&p, r, hash):
		p.verdict = double
	case d == 0:
		p.verdict = follows
	case d > 0:
		p.verdict = ahead
		if t.tooFar(r, d, at) {
			p.verdict = restarted
		}
	case t.knows(&p, r, hash):
		p.verdict = double
	case -d <= reorderSpan:
		p.verdict = late
	default:
		p.verdict = restarted
	}
	if p.verdict != double && p.verdict != late || p.length == 0 {
		if p.verdict == follows || p.verdict == ahead {
			t.back = 0
		}
		return p
	}
	// Copies and late-comers stand alone; a whole series of them is a sender that has
	// begun anew.
	if p.at != t.backEnd {
		t.back = 0
	}
	t.back++
	t.backEnd = p.at + p.length
	if t.back > restartSeries {
		p.verdict = restarted
	}
	return p
}

// distance returns how many units a counter is ahead of the one expected (negative:
// behind), and how many whole turns that includes.
func (t *tracker) distance(r *Record, at stream.Time) (d, turns int64) {
	c := t.layout.Counter
	step := int64(max(1, c.Step))
	if c.Modulus == 0 {
		return int64(r.Counter-t.counter) / step, 0
	}
	m := int64(c.Modulus)
	d = (int64(r.Counter%c.Modulus) - int64(t.counter%c.Modulus)) % m
	if d < 0 {
		d += m
	}
	elapsed, ok := t.elapsed(r, at)
	long := ok && elapsed*float64(step) > float64(m)/2
	if long && (at-t.arrived).Seconds() > longestStall {
		turns = max(0, int64(math.Round((elapsed*float64(step)-float64(d))/float64(m))))
		return (d + turns*m) / step, turns
	}
	if back := m - d; d > 0 && !long && back <= min(m/4, narrowReorder*step) {
		return -(back / step), 0
	}
	return d / step, 0
}

// elapsed returns how many units should have passed since the newest record placed,
// less the one that has just come, by the time of arrival.
func (t *tracker) elapsed(r *Record, at stream.Time) (float64, bool) {
	if !(t.rate > 0) || at < t.arrived {
		return 0, false
	}
	u := (at - t.arrived).Seconds() * t.rate
	if t.perRecord(r) {
		u /= float64(max(1, t.columns))
		return u - 1, true
	}
	return u - float64(r.Columns), true
}

// tooFar reports whether a gap of d units cannot be: the sender has set its counter
// anew.
func (t *tracker) tooFar(r *Record, d int64, at stream.Time) bool {
	if !(t.rate > 0) {
		return d > 1<<40
	}
	columns := float64(d)
	if t.perRecord(r) {
		columns *= float64(max(1, t.columns))
	}
	seconds := columns / t.rate
	return seconds > longestGap && seconds > 2*(at-t.arrived).Seconds()
}

// knows reports whether a record was placed before. A counter that comes round soon is
// not enough: then the datagram has to be the same, too.
func (t *tracker) knows(p *position, r *Record, hash uint64) bool {
	narrow := r.Has&EvidenceIndex == 0 && r.Has&EvidenceCounter != 0 && t.layout.Counter.Modulus != 0 && t.layout.Counter.Modulus <= 1<<16
	n := min(t.placed, int64(len(t.recent)))
	for i := t.placed - 1; i >= t.placed-n; i-- {
		s := &t.recent[i%int64(len(t.recent))]
		switch {
		case p.length == 0:
			if s.length == 0 && s.at == p.at && s.counter == r.Counter && s.hash == hash {
				return true
			}
		case s.at <= p.at && p.at+p.length <= s.at+s.length:
			return !narrow || s.hash == hash
		}
	}
	return false
}

// advance takes a record as placed; missing is how many columns were given up before
// it.
func (t *tracker) advance(r *Record, p *position, at stream.Time, hash uint64) (missing int64) {
	if p.at > t.next {
		missing = p.at - t.next
		if t.perRecord(r) {
			missing *= max(1, t.columns)
		}
	}
	t.next = p.at + p.length
	t.arrived = max(t.arrived, at)
	if r.Columns > 0 {
		t.columns = int64(r.Columns)
	}
	if r.Has&EvidenceCounter != 0 {
		step := t.layout.Counter.Step
		t.counter = r.Counter + 1
		if step > 0 {
			t.counter = r.Counter + step*uint64(r.Columns)
		}
		if m := t.layout.Counter.Modulus; m != 0 {
			t.counter %= m
		}
	}
	if r.Has&EvidenceStamp != 0 {
		t.stamp, t.refAt = r.Stamp, p.at
	}
	t.recent[t.placed%int64(len(t.recent))] = seen{p.at, p.length, r.Counter, hash}
	t.placed++
	return missing
}

// forget makes the next record the first of a new stream.
func (t *tracker) forget() { t.begun, t.placed, t.back = false, 0, 0 }

// why names the evidence of a gap before a record, for a person.
func (t *tracker) why(r *Record, p *position, expected uint64, next int64) string {
	c := t.layout.Counter
	switch {
	case r.Has&EvidenceIndex != 0:
		return fmt.Sprintf("index %d came, %d was expected", p.at, next)
	case r.Has&EvidenceCounter != 0 && p.turns > 0:
		return fmt.Sprintf("counter %d came, %d was expected, of %d; %d turns by the time of arrival", r.Counter, expected, c.Modulus, p.turns)
	case r.Has&EvidenceCounter != 0:
		return fmt.Sprintf("counter %d came, %d was expected", r.Counter, expected)
	case r.Has&EvidenceStamp != 0:
		return "the device's stamp is ahead"
	}
	return "no evidence"
}
