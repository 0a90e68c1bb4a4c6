package lsl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"neurostream/stream"
)

// Source is an LSL stream as a [stream.Source], with marker streams joined to it.
// All sources of a process share one timeline: a column's time is the sender's
// stamp, moved to our clock by the measured offset and smoothed.
//
//	data stream    ─► Inlet ─► stamps: Offset ─► Dejitter ─► Monotone ─► T0
//	marker streams ─► Inlet ─► stamps: Offset ───────────────────────────► Markers
//
// The zero value finds the only stream there is.
type Source struct {
	Match    Match         // which stream; it must be the only one that matches
	Markers  []Match       // streams of strings whose samples become markers
	Timeout  time.Duration // how long to look for each; 0 = 10 s
	Newest   bool          // discard what the reader is late for, instead of keeping up to Buffer
	Buffer   float64       // seconds kept for a slow reader; 0 = 360
	MaxLen   int           // columns of the longest chunk; 0 = an eighth of a second, at least 8
	Repair   string        // stamps: "" or "all" = clock,dejitter,monotone; any of them with commas; "none"
	Recover  time.Duration // see InletOptions
	Stale    time.Duration // see InletOptions
	Config   *Config       // nil = LoadConfig
	Clock    stream.Clock  // nil = stream.Wall
	HalfTime float64       // of the dejitter in seconds; 0 = the configuration's, 90

	inlet    *Inlet
	header   stream.Header
	offset   *stream.Offset
	dejitter *stream.Dejitter
	repairs  stream.Repairs
	markers  []*markerInlet
	pending  []stream.Marker
	opening  []stream.Event // found out at Open; reported by the first Read
	next     int64          // column index that would follow what was read
	begun    bool
	end      stream.Time // time of the column after the last one read
	raw      float64     // stamp of the newest column read
	newest   stream.Time // its corrected time
	kept     struct {    // corrected time of a sample that had to wait for the next chunk
		at   int64 // position in the queue
		time stream.Time
		ok   bool
	}
	jumps   int     // steps of the clocks that the offset includes
	step    float64 // seconds by which they moved corrected stamps; not yet followed
	labels  map[string]string
	stop    func() bool
	strings [][]byte
}

type markerInlet struct {
	*Inlet
	name string
}

const (
	defaultTimeout = 10 * time.Second
	settleTime     = 150 * time.Millisecond // to hear of a second stream that matches
	lookAround     = 500 * time.Millisecond // of a search in vain: to hear what else there is
)

// NotFoundError says that no stream matched, and what was heard instead.
type NotFoundError struct {
	Match    Match
	Waited   time.Duration
	Visible  []string // other streams that answered
	Network  string   // what this host's network lacks; "" = nothing
	Problems []string // ways of asking that failed
}

func (e *NotFoundError) Error() string {
	s := fmt.Sprintf("no LSL stream with %s answered within %v", e.Match, e.Waited)
	switch {
	case len(e.Visible) > 0:
		s += "; there are " + strings.Join(e.Visible, ", ")
	case e.Network != "":
		s += " and no other stream either; " + e.Network
	default:
		s += " and no other stream either: is the sender started and linked, and do the firewalls let UDP 16571-16604 and TCP 16572-16604 pass?"
	}
	if n := len(e.Problems); n > 0 {
		s += "; asking failed by " + strings.Join(e.Problems[:min(n, 3)], "; ")
		if n > 3 {
			s += fmt.Sprintf("; and %d more", n-3)
		}
		s += "; name the sender's host in KnownPeers, [lab] section of lsl_api.cfg, to find it without"
	}
	return s + " (bci lsl doctor shows which way reaches which stream)"
}

// surroundings says what this host's network lacks.
func surroundings() string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	loop := false
	for i := range all {
		addrs, _ := all[i].Addrs()
		if all[i].Flags&net.FlagUp == 0 || len(addrs) == 0 {
			continue
		}
		if all[i].Flags&net.FlagLoopback == 0 {
			return ""
		}
		loop = true
	}
	if loop {
		return "this host has no network but its loopback, so only streams of its own programs can be found"
	}
	return "no network interface of this host is up, not even the loopback: bring one up"
}

// AmbiguousError says that several streams match.
type AmbiguousError struct {
	Match   Match
	Streams []Stream
}

func (e *AmbiguousError) Error() string {
	var list []string
	for _, s := range e.Streams[:min(len(e.Streams), 8)] {
		list = append(list, fmt.Sprintf("%s source_id %q uid %s", s.Describe(), s.SourceID, s.UID))
	}
	return fmt.Sprintf("%d LSL streams match %s: %s; choose one by source_id, hostname or uid", len(e.Streams), e.Match, strings.Join(list, "; "))
}

// FindOne resolves exactly one stream: what Source.Open uses. It returns when the
// timeout has passed at the latest, with a NotFoundError that says what else there
// is, or an AmbiguousError.
func FindOne(ctx context.Context, m Match, o ResolveOptions) (Stream, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Settle == 0 {
		o.Settle = settleTime
	}
	r, err := NewResolver(m, o)
	if err != nil {
		return Stream{}, err
	}
	defer r.Close()
	rest := min(lookAround, o.Timeout/4)
	r.wait(ctx, 1, o.Timeout-rest)
	var others []Stream
	if len(r.Streams()) == 0 && ctx.Err() == nil { // meanwhile, what is there instead?
		all, err := NewResolver(Match{SessionID: AnySession}, o)
		if err != nil {
			return Stream{}, err
		}
		defer all.Close()
		r.wait(ctx, 1, rest)
		others = all.Streams()
	}
	found := r.Streams()
	if len(found) > 0 {
		sleep(ctx, o.Settle)
		found = r.Streams()
	}
	if err := ctx.Err(); err != nil && len(found) == 0 {
		return Stream{}, err
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		e := &NotFoundError{Match: m, Waited: o.Timeout, Network: surroundings(), Problems: r.Problems()}
		for _, s := range others {
			if len(e.Visible) == 8 {
				e.Visible = append(e.Visible, "...")
				break
			}
			e.Visible = append(e.Visible, fmt.Sprintf("%s in session %q", s.Describe(), s.SessionID))
		}
		return Stream{}, e
	}
	// The same device twice: an outlet that has just been restarted and its dying
	// predecessor.
	newest := slices.MaxFunc(found, func(a, b Stream) int { return int(math.Copysign(1, a.CreatedAt-b.CreatedAt)) })
	for _, s := range found {
		if s.SourceID == "" || s.SourceID != newest.SourceID || s.Hostname != newest.Hostname || s.Name != newest.Name {
			return Stream{}, &AmbiguousError{Match: m, Streams: found}
		}
	}
	for _, s := range found {
		if s.UID != newest.UID && reachable(ctx, &s) {
			return Stream{}, &AmbiguousError{Match: m, Streams: found}
		}
	}
	return newest, nil
}

func reachable(ctx context.Context, s *Stream) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := s.FullInfo(ctx)
	return err == nil
}

// Open finds the streams and connects to them.
func (s *Source) Open(ctx context.Context) (stream.Header, error) {
	if err := s.parseRepair(); err != nil {
		return stream.Header{}, err
	}
	if s.MaxLen < 0 || s.MaxLen > stream.MaxColumns {
		return stream.Header{}, fmt.Errorf("lsl: MaxLen is %d; it is 1 to %d, or 0 for an eighth of a second", s.MaxLen, stream.MaxColumns)
	}
	c := Config{}
	if s.Config != nil {
		c = *s.Config
	} else {
		c = LoadConfig()
	}
	open := func(m Match) (*Inlet, Info, error) {
		found, err := FindOne(ctx, m, ResolveOptions{Config: &c, Timeout: s.Timeout})
		if err != nil {
			return nil, Info{}, err
		}
		in, err := OpenInlet(ctx, found, InletOptions{Config: &c, Clock: s.Clock, Buffer: s.Buffer, Recover: s.Recover, Stale: s.Stale})
		if err != nil {
			return nil, Info{}, err
		}
		info, err := in.FullInfo(ctx)
		if err != nil {
			s.note(found.Name, "its description cannot be read, so channels are numbered: "+err.Error())
			info = found.Info
		}
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := in.WaitClock(wait); err != nil && s.offset != nil {
			s.note(found.Name, "its clock cannot be measured (is UDP to its service port blocked?): stamps are taken to be of our clock")
		}
		return in, info, nil
	}
	in, info, err := open(s.Match)
	if err != nil {
		return stream.Header{}, err
	}
	s.attach(in, &info)
	if err := s.header.Validate(); err != nil {
		s.Close()
		return stream.Header{}, fmt.Errorf("lsl: %w", err)
	}
	if s.dejitter != nil && s.HalfTime == 0 {
		s.dejitter.HalfTime = c.HalfTime.Seconds()
	}
	for _, m := range s.Markers {
		mi, _, err := open(m)
		if err != nil {
			s.Close()
			return stream.Header{}, fmt.Errorf("marker stream: %w", err)
		}
		s.markers = append(s.markers, &markerInlet{mi, mi.info.Name})
	}
	s.stop = context.AfterFunc(ctx, func() { in.queue.end(ctx.Err()) })
	return s.header.Clone(), nil
}

// attach makes an open inlet the data stream.
func (s *Source) attach(in *Inlet, info *Info) {
	s.inlet = in
	s.header = headerOf(info, s.MaxLen)
	if s.dejitter != nil {
		s.dejitter.Rate, s.dejitter.HalfTime = info.Rate, s.HalfTime
	}
	s.labels = make(map[string]string)
}

func (s *Source) note(origin, what string) {
	s.opening = append(s.opening, stream.Event{Kind: stream.EventNote, Origin: origin, Detail: what})
}

func (s *Source) parseRepair() error {
	steps := strings.Split(s.Repair, ",")
	switch s.Repair {
	case "", "all":
		steps = []string{"clock", "dejitter", "monotone"}
	case "none":
		steps = nil
	}
	s.repairs, s.offset, s.dejitter = nil, nil, nil
	var monotone *stream.Monotone
	for _, x := range steps {
		switch strings.TrimSpace(x) {
		case "clock":
			s.offset = new(stream.Offset)
		case "dejitter":
			s.dejitter = new(stream.Dejitter)
		case "monotone":
			monotone = new(stream.Monotone)
		default:
			return fmt.Errorf("lsl: repair is %q; it is none, all, or some of clock,dejitter,monotone", s.Repair)
		}
	}
	if s.offset != nil {
		s.repairs = append(s.repairs, s.offset)
	}
	if s.dejitter != nil {
		s.repairs = append(s.repairs, s.dejitter)
	}
	if monotone != nil {
		s.repairs = append(s.repairs, monotone)
	}
	return nil
}

// Inlet returns the connection of an opened source, for its figures and clock.
func (s *Source) Inlet() *Inlet { return s.inlet }

// Read fills dst with what has arrived. It returns early, with no columns, when
// there is only an event to report.
func (s *Source) Read(dst *stream.Chunk) error {
	dst.Clear()
	dst.Events = append(dst.Events, s.opening...)
	s.opening = s.opening[:0]
	q := s.inlet.queue
	for {
		s.follow()
		q.mu.Lock()
		if late := q.head - q.tail - int64(dst.Cap()); s.Newest && late > 0 {
			q.discard(late)
		}
		run, events, hold := q.next(dst.Cap(), dst.Events)
		dst.Events = events
		dst.Flags |= run.flags
		if run.n > 0 {
			run.n = s.fill(dst, q, run)
		}
		q.read(run.n)
		ended := q.ended
		q.mu.Unlock()
		if hold && run.n == 0 {
			s.awaitClock()
			continue
		}
		if run.n > 0 || len(dst.Events) > 0 {
			if run.n == 0 {
				dst.Seq, dst.T0, dst.Arrived = run.seq, s.end, s.inlet.clock.Now()
			}
			for i := range dst.Events {
				if dst.Events[i].Origin == "" {
					dst.Events[i].Origin = s.header.Name
				}
			}
			s.joinMarkers(dst)
			return nil
		}
		if ended != nil {
			if errors.Is(ended, context.Canceled) || errors.Is(ended, context.DeadlineExceeded) {
				return ended
			}
			return fmt.Errorf("lsl: %w", ended)
		}
		s.inlet.await(context.Background())
	}
}

// measure sets the offset to the latest estimate.
func (s *Source) measure(o *stream.Offset, in *Inlet) {
	if o == nil {
		return
	}
	if e := in.Clock(); e.Probes > 0 { // else the old one is the best guess
		o.Seconds, o.Slope, o.At = e.Offset, e.Slope, e.At
	}
}

// follow sets the offset to the latest estimate of the sender's clock, and keeps in
// mind by how much stamps jump when one of the clocks has stepped.
func (s *Source) follow() {
	if s.offset == nil {
		return
	}
	before := *s.offset
	s.measure(s.offset, s.inlet)
	if e := s.inlet.Clock(); e.Jumps != s.jumps && e.Probes > 0 {
		s.jumps = e.Jumps
		if s.begun {
			s.step += s.offset.Repair(s.raw) - before.Repair(s.raw)
		}
	}
}

// awaitClock waits, when a clock may have stepped, until it has been measured again:
// about a tenth of a second, at most a quarter. When the sender's clock has stood
// still, it has slept: then its stamps show no gap, but there is one.
func (s *Source) awaitClock() {
	q := s.inlet.queue
	q.mu.Lock()
	var m mark
	if len(q.marks) > 0 && q.marks[0].hold {
		m = q.marks[0]
		q.marks[0] = mark{at: m.at}
	}
	q.mu.Unlock()
	if s.offset == nil || s.inlet.prober == nil {
		return
	}
	t := time.NewTimer(250 * time.Millisecond)
	defer t.Stop()
	for p, done := s.inlet.prober, false; !done; {
		select {
		case <-p.after(m.burst):
			m.burst++
			done = p.estimate().Probes > 0 // else it was of a sender that is gone
		case <-t.C:
			done = true
		}
	}
	s.follow()
	rate := s.header.Rate
	n := int64(math.Round(s.step * rate))
	q.mu.Lock()
	defer q.mu.Unlock()
	if n < 1 || q.head == q.tail || len(q.marks) == 0 || q.marks[0].at != m.at {
		return
	}
	if d := q.stamps[q.slot(q.tail)] - s.raw - 1/rate; math.Abs(d) < s.step/2 { // no gap by the stamps
		if s.dejitter != nil { // by so much the line moves on
			s.step -= float64(n) * s.dejitter.Interval()
		}
		q.marks[0] = mark{at: m.at, skip: n, flags: stream.Gap, event: stream.Event{
			Kind: stream.EventGap, Time: s.inlet.clock.Now(), Count: n, Detail: fmt.Sprintf("%d samples are missing: the sender has slept", n),
		}}
	}
}

// ease lets the smoothing follow a step of the clocks. When stamps have jumped with
// the clock, the corrected stamp is where it is expected, and nothing is to be done;
// else the line moves with it.
func (s *Source) ease(raw float64) {
	if s.step == 0 {
		return
	}
	if expected, ok := s.dejitter.Next(); ok {
		if d := s.offset.Repair(raw) - expected; math.Abs(d-s.step) < math.Abs(d) {
			s.dejitter.Shift(s.step)
		}
	}
	s.step = 0
}

// fill decodes a run of samples into dst and returns how many. The queue's mutex is
// held.
func (s *Source) fill(dst *stream.Chunk, q *queue, run span) int {
	info := &s.inlet.info
	dst.Resize(run.n)
	dst.Seq = run.seq
	if s.begun && run.flags&stream.Restart != 0 && s.dejitter != nil {
		s.dejitter.Reset()
	} else if s.begun && run.seq > s.next {
		s.repairs.Skip(run.seq - s.next)
	}
	step := 0.0 // ns
	if s.header.Rate > 0 {
		step = 1e9 / s.header.Rate
	}
	still := false // the first column has the time of the one before
	for i := range run.n {
		p := run.from + int64(i)
		slot := q.slot(p)
		raw := q.stamps[slot]
		if i == 0 && s.dejitter != nil && s.offset != nil {
			s.ease(raw)
		}
		s.raw = raw
		t := s.kept.time
		if s.kept.at != p || !s.kept.ok {
			t = FromStamp(s.repairs.Repair(raw))
		}
		s.kept.ok = false
		if i == 0 {
			dst.T0, still = t, s.begun && t <= s.newest
		} else if off := math.Abs(float64(dst.T0 + stream.Time(float64(i)*step) - t)); still && off > stillNS || t <= s.newest && off > step/2 {
			// Time stands still (this host has slept and catches up), but the columns of a
			// chunk move it on: it ends here.
			s.kept.at, s.kept.time, s.kept.ok = p, t, true
			dst.Len, run.n = i, i
			break
		}
		s.newest = t
		dst.Stamps = append(dst.Stamps, nanoseconds(raw))
		dst.Arrived = q.arrived[slot]
		if info.Format == String {
			s.textColumn(dst, i, q.sample(p), t)
		} else {
			unpackColumn(dst, i, info.Format, q.sample(p))
		}
	}
	s.begun, s.next = true, run.seq+int64(run.n)
	s.end = dst.T0
	if s.header.Rate > 0 {
		s.end += stream.Time(float64(run.n) / s.header.Rate * 1e9)
	}
	return run.n
}

// textColumn makes a sample of strings a column: numbers where they are numbers,
// and a marker for each that is not empty.
func (s *Source) textColumn(dst *stream.Chunk, col int, packed []byte, t stream.Time) {
	s.strings = Strings(s.strings[:0], packed)
	for k := range dst.Tiles() {
		dst.Tile(k)[col] = [stream.Lanes]float64{}
	}
	for ch, b := range s.strings {
		if ch >= dst.Rows() || len(b) == 0 {
			continue
		}
		label := s.label(b)
		if v, err := parseNumber(label); err == nil {
			dst.Set(ch, col, v)
		}
		dst.Markers = append(dst.Markers, stream.Marker{Column: col, Label: label, Time: t})
	}
}

// label returns the bytes as a string, from memory when they have come before.
func (s *Source) label(b []byte) string {
	if l, ok := s.labels[string(b)]; ok {
		return l
	}
	l := string(b)
	if len(s.labels) < 4096 && len(l) < 256 {
		s.labels[l] = l
	}
	return l
}

// joinMarkers puts the markers of the joined streams on the columns nearest to
// them. Those of later chunks wait; late ones are put on column 0 with their true
// time.
func (s *Source) joinMarkers(dst *stream.Chunk) {
	for _, m := range s.markers {
		s.collect(m, dst)
	}
	if dst.Len == 0 || len(s.pending) == 0 {
		return
	}
	rate := s.header.Rate
	kept := s.pending[:0]
	for _, m := range s.pending {
		if rate > 0 {
			col := math.Round(float64(m.Time-dst.T0) * 1e-9 * rate) // the nearest
			if col >= float64(dst.Len) {
				kept = append(kept, m)
				continue
			}
			m.Column = int(max(0, col))
		}
		dst.Markers = append(dst.Markers, m)
	}
	s.pending = kept
}

// stillNS is by how many nanoseconds the columns of a chunk may leave their stamps
// when its first one was held back.
const stillNS = 100e3

const maxPendingMarkers = 1 << 16

// collect takes what a marker stream has sent.
func (s *Source) collect(m *markerInlet, dst *stream.Chunk) {
	q := m.queue
	var o stream.Offset
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head == q.tail && len(q.marks) == 0 && q.lost == 0 {
		return
	}
	if s.offset != nil {
		s.measure(&o, m.Inlet)
	}
	for {
		n := len(dst.Events)
		run, events, hold := q.next(1<<10, dst.Events)
		dst.Events = events
		for i := n; i < len(events); i++ {
			events[i].Origin = m.name
		}
		if hold && run.n == 0 { // the offset is as good as it is
			q.marks = q.marks[:copy(q.marks, q.marks[1:])]
			continue
		}
		if run.n == 0 {
			return
		}
		for p := run.from; p < run.from+int64(run.n); p++ {
			t := FromStamp(o.Repair(q.stamps[q.slot(p)]))
			if m.info.Format != String {
				v := Numbers(nil, m.info.Format, q.sample(p))
				s.append(strconv.FormatFloat(v[0], 'g', -1, 64), t)
				continue
			}
			s.strings = Strings(s.strings[:0], q.sample(p))
			for _, b := range s.strings {
				if len(b) > 0 {
					s.append(s.label(b), t)
				}
			}
		}
		q.read(run.n)
	}
}

func (s *Source) append(label string, t stream.Time) {
	if len(s.pending) < maxPendingMarkers {
		s.pending = append(s.pending, stream.Marker{Label: label, Time: t})
	}
}

// Close disconnects.
func (s *Source) Close() error {
	if s.stop != nil {
		s.stop()
	}
	if s.inlet != nil {
		s.inlet.Close()
	}
	for _, m := range s.markers {
		m.Close()
	}
	return nil
}
