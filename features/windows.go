package features

import (
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Windows cuts the stream into windows of Length seconds, one every Hop seconds, and
// puts out one column per window: the rows of its extractors, one after the other.
//
// Window w covers columns w*hop to w*hop+length-1, counted from the start of the
// stream; its column has Seq w and the time of its newest sample. Nothing comes out
// before a window is full of samples that follow the last start or break and its
// settling time (Header.Settle). Delay grows by Length/2.
//
// A row is marked bad when a sample that it was computed from is marked, is not a
// number, or when its value is undefined. Markers go to the first column whose window
// reaches them.
type Windows struct {
	Length       float64 // s, a whole number of samples
	Hop          float64 // s, a whole number of samples
	Extractors   []Extractor
	KeepSettling bool // also use samples from the settling time of the filters upstream

	// Names are what the extractors go by in measurements, in their order; optional.
	Names []string

	probe   func(part int)
	plan    *Plan
	parts   []part
	rows    []Row
	history *stream.History
	clean   *stream.Chunk
	epoch   Epoch
	values  []float64
	bad     []bool
	badHere []bool // per input row: a bad sample in the current window
	anyBad  bool   // any of badHere
	settle  int64  // columns not to be used after a start

	started bool
	first   int64     // column of the last start
	next    int64     // column that continues the stream
	last    []float64 // newest good value of each input row
	badEnd  int64     // no column from here on is marked
	pending []stream.Marker
}

// part is an extractor and the rows that are its own.
type part struct {
	extractor Extractor
	from, to  int
	interval  int64
	fresh     bool // computed since the last start
}

// Open implements stream.Stage.
func (s *Windows) Open(in stream.Header) (stream.Header, error) {
	var out stream.Header
	if err := in.Validate(); err != nil {
		return out, err
	}
	if in.Rate == 0 {
		return out, errors.New("windows need a regular rate; this stream is irregular")
	}
	if len(s.Extractors) == 0 {
		return out, errors.New("windows without an extractor put nothing out; name at least one")
	}
	length, err := columns("length", s.Length, in.Rate)
	if err != nil {
		return out, err
	}
	hop, err := columns("hop", s.Hop, in.Rate)
	if err != nil {
		return out, err
	}
	if in.Rows()*length > 1<<27 {
		return out, fmt.Errorf("length: %v s of %d channels are %d samples; the limit is %d", s.Length, in.Rows(), in.Rows()*length, 1<<27)
	}
	s.plan = &Plan{In: in.Clone(), Length: length, Hop: hop}
	s.parts, s.rows = s.parts[:0], s.rows[:0]
	for _, x := range s.Extractors {
		rows, err := x.Open(s.plan)
		if err != nil {
			return out, err
		}
		p := part{extractor: x, from: len(s.rows), to: len(s.rows) + len(rows), interval: 1}
		if slow, ok := x.(Slow); ok {
			if p.interval = int64(slow.Interval()); p.interval < 1 {
				return out, fmt.Errorf("every: %d windows; allowed are 1 and more", p.interval)
			}
		}
		s.parts = append(s.parts, p)
		s.rows = append(s.rows, rows...)
	}
	out = in.Clone()
	out.Channels = nil
	for i := range s.rows {
		out.Channels = append(out.Channels, s.rows[i].Channel)
	}
	out.Rate = in.Rate / float64(hop)
	out.MaxLen = (in.MaxLen-1)/hop + 1
	out.Delay = in.Delay + s.Length/2
	out.Settle = 0
	s.settle = int64(math.Ceil(in.Settle * in.Rate))
	if s.KeepSettling {
		out.Settle = in.Settle + s.Length
		s.settle = 0
	}
	if err := out.Validate(); err != nil {
		return out, err
	}
	s.plan.alloc()
	s.history = stream.NewHistory(in.Rows(), length)
	s.clean = stream.NewChunk(&in)
	s.epoch = Epoch{Rate: in.Rate}
	s.values, s.bad = make([]float64, len(s.rows)), make([]bool, len(s.rows))
	s.badHere = make([]bool, in.Rows())
	s.last = make([]float64, in.Rows())
	s.pending = make([]stream.Marker, 0, 16)
	s.Reset()
	return out, nil
}

// Parts returns the name and the number of rows of every extractor. After Open.
func (s *Windows) Parts() (names []string, rows []int) {
	for i, p := range s.parts {
		name := fmt.Sprintf("feature %d", i+1)
		if i < len(s.Names) {
			name = s.Names[i]
		}
		names, rows = append(names, name), append(rows, p.to-p.from)
	}
	return names, rows
}

// Part returns an extractor, for measuring its memory.
func (s *Windows) Part(i int) any { return s.parts[i].extractor }

// Watch sets what is called with -1 before the first extractor of every window and with
// i after extractor i, when it was computed: the place to measure. What extractors
// share is computed by the first that needs it.
func (s *Windows) Watch(probe func(part int)) { s.probe = probe }

// Reset implements stream.Stage.
func (s *Windows) Reset() {
	s.restart()
	s.started, s.next = false, 0
	s.pending = s.pending[:0]
	clear(s.last)
}

// restart forgets the samples and what was computed from them.
func (s *Windows) restart() {
	s.started = false
	s.history.Reset()
	s.plan.forget()
	s.badEnd = 0
	for i := range s.parts {
		s.parts[i].fresh = false
		if k, ok := s.parts[i].extractor.(Keeper); ok {
			k.Reset()
		}
	}
}

// Process implements stream.Stage.
func (s *Windows) Process(dst, src *stream.Chunk) {
	dst.Clear()
	dst.T0, dst.Arrived = src.T0, src.Arrived
	dst.Flags = src.Flags & (stream.Gap | stream.Restart)
	dst.Events = append(dst.Events, src.Events...)
	if src.Len > 0 && s.started && src.Seq != s.next {
		dst.Flags |= stream.Gap
	}
	if dst.Flags.Broken() {
		s.restart()
	}
	if src.Len > 0 && !s.started {
		s.started, s.first = true, src.Seq
	}
	s.pending = append(s.pending, src.Markers...)

	length, hop := int64(s.plan.Length), int64(s.plan.Hop)
	end := src.Seq + int64(src.Len) // one past the newest column
	w := max(0, ceilDiv(src.Seq-length+1, hop), ceilDiv(s.first+s.settle, hop))
	count := 0
	if over := end - length - w*hop; src.Len > 0 && over >= 0 {
		count = int(over/hop) + 1
	}
	dst.Resize(count)
	dst.Seq = w
	if count > 0 {
		dst.T0 = src.T0 + stream.Time(math.Round(float64(w*hop+length-1-src.Seq)/s.plan.In.Rate*1e9))
	}
	from := 0
	in := s.sanitize(src)
	for col := range count {
		to := int(w*hop + length - src.Seq)
		s.history.Push(in, from, to)
		from = to
		s.extract(w)
		dst.SetColumn(col, s.values)
		s.mark(dst, col)
		s.place(dst, col, to)
		w++
	}
	s.history.Push(in, from, src.Len)
	if src.Len > 0 {
		s.next = end
	}
	for i := range s.pending {
		s.pending[i].Column = -1 // before whatever comes next
	}
}

// mark carries the marks of the rows over, eight at a time.
func (s *Windows) mark(dst *stream.Chunk, col int) {
	for row := 0; row < len(s.bad); row += stream.Lanes {
		var m uint8
		for l, b := range s.bad[row:min(row+stream.Lanes, len(s.bad))] {
			if b {
				m |= 1 << l
			}
		}
		if m != 0 {
			dst.Bad(row / stream.Lanes)[col] |= m
			dst.Flags |= stream.Bad
		}
	}
}

// place moves the markers that lie before column to of src into column col of dst.
func (s *Windows) place(dst *stream.Chunk, col, to int) {
	take := 0
	for take < len(s.pending) && s.pending[take].Column < to {
		s.pending[take].Column = col
		take++
	}
	dst.Markers = append(dst.Markers, s.pending[:take]...)
	s.pending = s.pending[:copy(s.pending, s.pending[take:])]
}

// sanitize notes which columns are bad and returns src, or a copy in which values
// that are not numbers are replaced by the channel's last good one and marked.
func (s *Windows) sanitize(src *stream.Chunk) *stream.Chunk {
	if src.Len == 0 {
		return src
	}
	in := src
	for k := range src.Tiles() {
		if finite(src.Tile(k)) {
			continue
		}
		if in == src {
			s.clean.CopyFrom(src)
			in = s.clean
		}
		tile, lanes := in.Tile(k), min(stream.Lanes, in.Rows()-k*stream.Lanes)
		for l := range lanes {
			good := s.last[k*stream.Lanes+l]
			for i := range tile {
				if v := tile[i][l]; v-v != 0 {
					tile[i][l] = good
					in.MarkBad(k*stream.Lanes+l, i)
				} else {
					good = v
				}
			}
		}
	}
	for ch := range s.last {
		s.last[ch] = in.Tile(ch / stream.Lanes)[in.Len-1][ch%stream.Lanes]
	}
	if in.Flags&stream.Bad != 0 {
		s.badEnd = src.Seq + int64(src.Len)
	}
	return in
}

// finite reports whether all values are numbers.
func finite(x [][stream.Lanes]float64) bool {
	var t float64
	for i := range x {
		v := &x[i]
		t += (v[0] - v[0]) + (v[1] - v[1]) + (v[2] - v[2]) + (v[3] - v[3]) +
			(v[4] - v[4]) + (v[5] - v[5]) + (v[6] - v[6]) + (v[7] - v[7])
	}
	return t == 0
}

// extract computes the rows of window w, whose samples end the history.
func (s *Windows) extract(w int64) {
	s.epoch.Window = s.history.Last(s.plan.Length)
	s.epoch.Index = w
	s.findBad()
	if s.probe != nil {
		s.probe(-1)
	}
	for i := range s.parts {
		p := &s.parts[i]
		if p.fresh && w%p.interval != 0 {
			continue
		}
		p.fresh = true
		out := Out{Values: s.values[p.from:p.to], Bad: s.bad[p.from:p.to]}
		if !s.anyBad {
			clear(out.Bad)
		} else {
			for r := range out.Bad {
				out.Bad[r] = s.tainted(&s.rows[p.from+r])
			}
		}
		p.extractor.Extract(out, &s.epoch)
		if s.probe != nil {
			s.probe(i)
		}
	}
}

func (s *Windows) tainted(r *Row) bool {
	if r.From == nil {
		for _, b := range s.badHere {
			if b {
				return true
			}
		}
		return false
	}
	for _, ch := range r.From {
		if s.badHere[ch] {
			return true
		}
	}
	return false
}

// findBad notes which input rows have a marked sample in the window.
func (s *Windows) findBad() {
	clear(s.badHere)
	s.anyBad = s.badEnd > s.epoch.Seq
	if !s.anyBad {
		return
	}
	for k := range s.epoch.Tiles() {
		var seen uint8
		for _, m := range s.epoch.Bad(k) {
			seen |= m
		}
		for l := range min(stream.Lanes, len(s.badHere)-k*stream.Lanes) {
			s.badHere[k*stream.Lanes+l] = seen>>l&1 != 0
		}
	}
}

func ceilDiv(a, b int64) int64 {
	if a > 0 {
		return (a + b - 1) / b
	}
	return -(-a / b)
}

// Snapshot implements stream.Snapshotter.
func (s *Windows) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(s.started)
	w.Int(s.first)
	w.Int(s.next)
	w.Floats(s.last)
	w.Floats(s.values)
	w.Int(int64(len(s.bad)))
	for _, b := range s.bad {
		w.Bool(b)
	}
	w.Int(int64(len(s.pending)))
	for _, m := range s.pending {
		w.Int(int64(len(m.Label)))
		w.Bytes([]byte(m.Label))
		w.Int(int64(m.Time))
		w.Float(m.Duration)
	}
	for i := range s.parts {
		w.Bool(s.parts[i].fresh)
		if k, ok := s.parts[i].extractor.(Keeper); ok {
			k.Save(&w)
		}
	}
	return s.history.Snapshot(w.Buf)
}

// Restore implements stream.Snapshotter.
func (s *Windows) Restore(state []byte) error {
	s.Reset()
	r := stream.StateReader{Buf: state}
	s.started, s.first, s.next = r.Bool(), r.Int(), r.Int()
	r.Floats(s.last)
	r.Floats(s.values)
	if r.Int() != int64(len(s.bad)) {
		return stream.ErrState
	}
	for i := range s.bad {
		s.bad[i] = r.Bool()
	}
	n := r.Int()
	if n < 0 || n > int64(len(r.Buf))/32 {
		return stream.ErrState
	}
	for range n {
		size := r.Int()
		if size < 0 || size > int64(len(r.Buf)) {
			return stream.ErrState
		}
		label := make([]byte, size)
		r.Bytes(label)
		s.pending = append(s.pending, stream.Marker{Column: -1, Label: string(label), Time: stream.Time(r.Int()), Duration: r.Float()})
	}
	for i := range s.parts {
		s.parts[i].fresh = r.Bool()
		if k, ok := s.parts[i].extractor.(Keeper); ok {
			k.Load(&r)
		}
	}
	s.history.Restore(&r)
	s.badEnd = s.next
	return r.Err()
}
