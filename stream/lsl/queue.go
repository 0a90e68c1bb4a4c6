package lsl

import (
	"sync"

	"neurostream/stream"
)

// queue holds received samples in packed form until they are read.
//
//	     tail                      head          positions, only growing
//	──────┴──┬───────────┬──────────┴──────
//	 unread  │           │                       columns before a mark and behind it
//	       mark        mark                      never share a chunk
//
// It is bounded in samples and bytes. When it is full the oldest sample goes and
// is counted: that is the keep-all mode's last resort. A reader in newest mode
// discards what it is late for itself.
type queue struct {
	stride   int // bytes of a sample; 0 = strings
	limit    int // samples
	maxBytes int

	mu      sync.Mutex
	values  []byte   // ring of samples, stride bytes each
	text    [][]byte // ring of string samples
	stamps  []float64
	arrived []stream.Time
	head    int64
	tail    int64
	held    int   // bytes of text held
	shift   int64 // column index of a position: position + shift
	marks   []mark
	lost    int64 // columns discarded since the last read
	dropped int64 // columns discarded ever

	delivered float64 // stamp of the newest sample read
	ended     error   // nothing more will come

	wake chan struct{} // token for the reader
}

// mark is something that happened before the sample at a position.
type mark struct {
	at    int64
	skip  int64 // columns that are missing there
	flags stream.Flags
	event stream.Event // Kind EventNone: none
	hold  bool         // a clock may have stepped: read on when it has been measured
	burst uint64       // with hold: how many bursts of probes were evaluated then
}

func newQueue(format Format, channels, limit, maxBytes int) *queue {
	q := &queue{stride: format.Size() * channels, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
	q.limit = max(2, limit)
	if q.stride > 0 {
		q.limit = max(2, min(q.limit, maxBytes/q.stride))
	}
	q.grow(min(256, q.limit))
	return q
}

// grow makes room for n samples.
func (q *queue) grow(n int) {
	stamps, arrived := make([]float64, n), make([]stream.Time, n)
	var values []byte
	var text [][]byte
	if q.stride > 0 {
		values = make([]byte, n*q.stride)
	} else {
		text = make([][]byte, n)
	}
	for p := q.tail; p < q.head; p++ {
		i, j := int(p%int64(max(1, len(q.stamps)))), int(p%int64(n))
		stamps[j], arrived[j] = q.stamps[i], q.arrived[i]
		if q.stride > 0 {
			copy(values[j*q.stride:(j+1)*q.stride], q.values[i*q.stride:])
		} else {
			text[j] = q.text[i]
		}
	}
	q.stamps, q.arrived, q.values, q.text = stamps, arrived, values, text
}

func (q *queue) slot(p int64) int { return int(p % int64(len(q.stamps))) }

// sample returns the packed sample at a position; valid until it is discarded.
func (q *queue) sample(p int64) []byte {
	i := q.slot(p)
	if q.stride > 0 {
		return q.values[i*q.stride : (i+1)*q.stride]
	}
	return q.text[i]
}

// put appends a sample. The mutex is held by the caller, who wakes the reader when
// all that has arrived is in.
func (q *queue) put(packed []byte, stamp float64, arrived stream.Time) {
	n := int(q.head - q.tail)
	if n == len(q.stamps) && n < q.limit {
		q.grow(min(2*n, q.limit))
	}
	for n >= q.limit || q.stride == 0 && n > 0 && q.held+len(packed) > q.maxBytes {
		q.discard(1)
		n--
	}
	i := q.slot(q.head)
	if q.stride > 0 {
		copy(q.values[i*q.stride:(i+1)*q.stride], packed)
	} else {
		q.text[i] = append(q.text[i][:0], packed...)
		q.held += len(packed)
	}
	q.stamps[i], q.arrived[i] = stamp, arrived
	q.head++
}

// read releases n samples that were read.
func (q *queue) read(n int) {
	if n > 0 {
		q.delivered = q.stamps[q.slot(q.tail+int64(n)-1)]
		q.release(int64(n))
	}
}

// discard drops the oldest n samples and remembers that they were lost.
func (q *queue) discard(n int64) {
	q.release(n)
	q.lost += n
	q.dropped += n
}

// release moves the tail past n samples.
func (q *queue) release(n int64) {
	if q.stride == 0 {
		for range n {
			i := q.slot(q.tail)
			q.held -= len(q.text[i])
			if cap(q.text[i]) > 1<<16 { // do not keep what one huge string needed
				q.text[i] = nil
			} else {
				q.text[i] = q.text[i][:0]
			}
			q.tail++
		}
		return
	}
	q.tail += n
}

const maxMarks = 1024

// mark notes something before the next sample to come. The mutex is held.
func (q *queue) mark(m mark) {
	if len(q.marks) >= maxMarks { // a peer that only restarts: the last ones are kept
		q.shift += q.marks[0].skip
		q.marks = append(q.marks[:0], q.marks[1:]...)
	}
	m.at = q.head
	q.marks = append(q.marks, m)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// note is mark for other goroutines, with a wake-up.
func (q *queue) note(m mark) {
	q.mu.Lock()
	q.mark(m)
	q.mu.Unlock()
	q.signal()
}

// end says that nothing more will come; what is held can still be read.
func (q *queue) end(err error) {
	q.mu.Lock()
	if q.ended == nil {
		q.ended = err
	}
	q.mu.Unlock()
	q.signal()
}

// span is a run of samples that belong to one chunk.
type span struct {
	from  int64 // position
	n     int
	seq   int64
	flags stream.Flags
}

// next takes what happened before the oldest sample, appending its events, and
// returns how many samples, at most most, can be read as one run. The mutex is held;
// the caller releases the samples. hold is set when a clock step must be measured
// before reading on; the mark then stays.
func (q *queue) next(most int, events []stream.Event) (s span, out []stream.Event, hold bool) {
	out = events
	if q.lost > 0 {
		out = append(out, stream.Event{Kind: stream.EventDrop, Seq: q.tail + q.shift, Count: q.lost})
		s.flags |= stream.Gap
		q.lost = 0
	}
	taken := 0
	for _, m := range q.marks {
		if m.at > q.tail {
			break
		}
		if m.hold {
			hold = true
			break
		}
		taken++
		q.shift += m.skip
		s.flags |= m.flags
		if m.event.Kind != stream.EventNone {
			m.event.Seq = q.tail + q.shift
			out = append(out, m.event)
		}
	}
	q.marks = q.marks[:copy(q.marks, q.marks[taken:])]
	s.from, s.seq = q.tail, q.tail+q.shift
	s.n = int(min(q.head-q.tail, int64(most)))
	if len(q.marks) > 0 {
		s.n = int(min(int64(s.n), q.marks[0].at-q.tail))
	}
	return s, out, hold
}

// unhold removes the hold that next reported.
func (q *queue) unhold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.marks) > 0 && q.marks[0].hold {
		q.marks = q.marks[:copy(q.marks, q.marks[1:])]
	}
}
