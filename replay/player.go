package replay

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"neurostream/recordings"
	"neurostream/stream"
)

// Player turns recordings into a live stream: a [stream.Source] that releases
// chunks when their last column would have happened, or as fast as they are read.
//
// Its timeline starts at column 0 of the first recording: T0 is column/rate plus
// the gaps passed, and goes on without a jump into the next recording and the next
// round, so it never steps back. Seq counts from 0 at From and includes the columns
// that gaps swallowed. Annotations become markers on the column that was current; those that fall into
// a gap come with the first column after it.
//
// A gap sets the Gap flag and reports EventGap; one that was a restart live sets the
// Restart flag too. The start of another recording or
// round sets the Restart flag and reports EventRestart with the number of the round.
//
// Pacing uses absolute deadlines: lateness never adds up, and a reader that fell
// behind gets what is due at once.
type Player struct {
	// Recordings are played one after the other. They must agree in rate and channels.
	Recordings []recordings.Recording
	From, To   float64      // seconds of each recording to play; To 0 = to its end
	Block      int          // columns per chunk; 0 = as many as fill 1/25 s
	Speed      float64      // seconds of data per second; 1 = real time, 0 = unpaced and lossless
	Loop       bool         // start again after the last recording; Read then never returns io.EOF
	Clock      stream.Clock // paces and stamps Arrived; nil = stream.Wall
	// OnTick, when set, is called by Read after every paced wait with how late it returned.
	OnTick func(late time.Duration)
	Own    bool // Close closes the recordings too

	ctx     context.Context
	timer   stream.Timer
	header  stream.Header
	parts   []part
	origin  stream.Time // clock time at which the timeline's first column was released
	started bool

	part     int
	round    int64
	col      int64 // next column of the current recording
	gap      int   // next gap
	mark     int   // next marker
	seq      int64 // Seq of the column numbered part.first, without gaps
	at       stream.Time
	restart  bool
	finished bool
}

// part is what is played of one recording.
type part struct {
	rec         recordings.Recording
	first, last int64 // columns first..last-1
	gaps        []pause
	marks       []mark
	columns     int64       // Seq it takes, gaps included
	length      stream.Time // time it takes, gaps included
	begin       stream.Time // its own time of column first
}

// pause is a gap: what has been swallowed up to and including it.
type pause struct {
	column  int64 // first column after it
	missing int64 // columns swallowed since part.first
	lost    int64 // columns swallowed by this one
	time    stream.Time
	restart bool // the Restart flag as well
}

type mark struct {
	column int64
	onset  stream.Time
	a      recordings.Annotation
}

// Open checks the settings and the recordings. Time starts with the first Read.
func (p *Player) Open(ctx context.Context) (stream.Header, error) {
	if len(p.Recordings) == 0 {
		return stream.Header{}, fmt.Errorf("the player has no recording: give at least one")
	}
	if p.Speed < 0 || math.IsNaN(p.Speed) || math.IsInf(p.Speed, 0) {
		return stream.Header{}, fmt.Errorf("speed %v is impossible: 1 is real time, 50 is fifty times faster, 0 is unpaced", p.Speed)
	}
	if !(p.From >= 0) || math.IsInf(p.From, 0) {
		return stream.Header{}, fmt.Errorf("from %v s is impossible: give 0 or more seconds", p.From)
	}
	if math.IsNaN(p.To) || p.To != 0 && p.To <= p.From {
		return stream.Header{}, fmt.Errorf("to %v s does not come after from %v s: give a later time, or 0 for the end", p.To, p.From)
	}
	h := p.Recordings[0].Header()
	h = h.Clone()
	if !(h.Rate > 0) {
		return stream.Header{}, fmt.Errorf("recording %q has a rate of %v Hz: only regularly sampled recordings can be played", h.Name, h.Rate)
	}
	switch {
	case p.Block < 0 || p.Block > stream.MaxColumns:
		return stream.Header{}, fmt.Errorf("block %d is impossible: allowed are 1 to %d columns, or 0 for 1/25 s", p.Block, stream.MaxColumns)
	case p.Block == 0:
		h.MaxLen = max(1, int(math.Round(h.Rate/25)))
	default:
		h.MaxLen = p.Block
	}
	if err := h.Validate(); err != nil {
		return stream.Header{}, err
	}
	p.parts = p.parts[:0]
	for i, r := range p.Recordings {
		if err := sameStream(&h, r.Header()); err != nil {
			return stream.Header{}, fmt.Errorf("recording %d does not continue the first: %w", i+1, err)
		}
		q, err := p.cut(r)
		if err != nil {
			return stream.Header{}, err
		}
		p.parts = append(p.parts, q)
	}
	if p.Clock == nil {
		p.Clock = stream.Wall{}
	}
	p.ctx, p.header = ctx, h
	if p.Speed > 0 {
		p.timer = p.Clock.Timer(ctx)
	}
	p.part, p.round, p.seq, p.started, p.restart, p.finished = 0, 1, 0, false, false, false
	p.at = p.parts[0].begin
	p.col, p.gap, p.mark = p.parts[0].first, 0, 0
	return h.Clone(), nil
}

func sameStream(h *stream.Header, other stream.Header) error {
	if other.Rate != h.Rate {
		return fmt.Errorf("%q has %v Hz, not %v Hz", other.Name, other.Rate, h.Rate)
	}
	if len(other.Channels) != len(h.Channels) {
		return fmt.Errorf("%q has %d channels, not %d", other.Name, len(other.Channels), len(h.Channels))
	}
	for i, c := range other.Channels {
		if c.Label != h.Channels[i].Label {
			return fmt.Errorf("channel %d of %q is %q, not %q", i+1, other.Name, c.Label, h.Channels[i].Label)
		}
		if c.Unit != h.Channels[i].Unit {
			return fmt.Errorf("channel %q of %q is in %q, not in %q", c.Label, other.Name, c.Unit, h.Channels[i].Unit)
		}
	}
	return nil
}

// cut selects what lies between From and To of a recording. Both are times of the
// file, in which gaps count.
func (p *Player) cut(r recordings.Recording) (part, error) {
	h := r.Header()
	q := part{rec: r, first: min(recordings.ColumnAt(r, p.From), r.Len()), last: r.Len()}
	if p.To > 0 {
		q.last = min(q.last, recordings.ColumnAt(r, p.To))
	}
	if q.first >= q.last {
		to := ""
		if p.To > 0 {
			to = fmt.Sprintf(" to %v s", p.To)
		}
		return part{}, fmt.Errorf("recording %q has no data from %v s%s: it is %.3f s long, gaps included", h.Name, p.From, to, recordings.TimeAt(r, r.Len()))
	}
	q.begin = nanoseconds(recordings.TimeAt(r, q.first))
	var before float64 // seconds of gaps so far
	for _, g := range r.Gaps() {
		if g.Column <= q.first || g.Column >= q.last {
			continue
		}
		seen := int64(math.Round(before * h.Rate)) // rounding the sum keeps Seq within half a column of time
		before += g.Seconds
		all := int64(math.Round(before * h.Rate))
		q.gaps = append(q.gaps, pause{column: g.Column, missing: all, lost: all - seen, time: nanoseconds(before), restart: g.Restart})
	}
	q.columns = q.last - q.first
	if k := len(q.gaps); k > 0 {
		q.columns += q.gaps[k-1].missing
	}
	q.length = nanoseconds(recordings.TimeAt(r, q.last-1)+1/h.Rate) - q.begin
	for _, a := range r.Annotations() {
		c := recordings.ColumnAt(r, a.Onset)
		if c >= q.first && c < q.last {
			q.marks = append(q.marks, mark{column: c, onset: nanoseconds(a.Onset), a: a})
		}
	}
	slices.SortStableFunc(q.marks, func(a, b mark) int { return cmp.Compare(a.column, b.column) })
	return q, nil
}

func nanoseconds(s float64) stream.Time { return stream.Time(math.Round(s * 1e9)) }

// Read fills dst with the next columns, at most Block and never across a gap.
func (p *Player) Read(dst *stream.Chunk) error {
	dst.Clear()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.finished {
		return io.EOF
	}
	if !p.started {
		p.started, p.origin = true, p.Clock.Now()
	}
	q := &p.parts[p.part]
	if err := q.rec.ReadAt(dst, p.col); err != nil {
		return fmt.Errorf("recording %q, column %d: %w", q.rec.Header().Name, p.col, noEOF(err))
	}
	if dst.Len == 0 {
		return fmt.Errorf("recording %q, column %d: nothing read although %d columns follow", q.rec.Header().Name, p.col, q.last-p.col)
	}
	n := min(int64(dst.Len), q.last-p.col, int64(p.header.MaxLen))
	dst.Seq = p.seq + p.col - q.first
	dst.T0 = p.at + nanoseconds(float64(p.col)/p.header.Rate) - nanoseconds(float64(q.first)/p.header.Rate)
	if p.gap < len(q.gaps) && q.gaps[p.gap].column == p.col {
		p.gap++
		g := &q.gaps[p.gap-1]
		dst.Flags |= stream.Gap
		if g.restart {
			dst.Flags |= stream.Restart
		}
		dst.Events = append(dst.Events, stream.Event{
			Kind: stream.EventGap, Seq: dst.Seq + g.missing, Time: dst.T0 + g.time, Count: g.lost, Origin: "player", Detail: "gap in the recording",
		})
	}
	if p.gap > 0 {
		dst.Seq += q.gaps[p.gap-1].missing
		dst.T0 += q.gaps[p.gap-1].time
	}
	if p.gap < len(q.gaps) {
		n = min(n, q.gaps[p.gap].column-p.col)
	}
	shorten(dst, int(n))
	if p.restart {
		p.restart = false
		dst.Flags |= stream.Restart
		detail := "next recording"
		if p.part == 0 {
			detail = "next round"
		}
		dst.Events = append(dst.Events, stream.Event{
			Kind: stream.EventRestart, Seq: dst.Seq, Time: dst.T0, Count: p.round, Origin: "player", Detail: detail,
		})
	}
	for ; p.mark < len(q.marks) && q.marks[p.mark].column < p.col+n; p.mark++ {
		m := &q.marks[p.mark]
		dst.Markers = append(dst.Markers, stream.Marker{
			Column: int(m.column - p.col), Label: m.a.Label, Time: p.at + m.onset - q.begin, Duration: m.a.Duration,
		})
	}
	newest := dst.T0 + nanoseconds(float64(n-1)/p.header.Rate)
	if p.col += n; p.col == q.last {
		p.next()
	}
	if p.Speed > 0 {
		due := p.origin + stream.Time(math.Round(float64(newest-p.parts[0].begin)/p.Speed))
		if err := p.timer.Wait(due); err != nil {
			return err
		}
		dst.Arrived = p.Clock.Now()
		if p.OnTick != nil {
			p.OnTick(time.Duration(dst.Arrived - due))
		}
		return nil
	}
	dst.Arrived = p.Clock.Now()
	return nil
}

// next moves to the following recording or round.
func (p *Player) next() {
	q := &p.parts[p.part]
	p.seq += q.columns
	p.at += q.length
	p.gap, p.mark, p.restart = 0, 0, true
	if p.part++; p.part == len(p.parts) {
		p.part = 0
		p.round++
		p.finished = !p.Loop
	}
	p.col = p.parts[p.part].first
}

// shorten drops columns from n on, keeping the marks of those before.
func shorten(c *stream.Chunk, n int) {
	if n == c.Len {
		return
	}
	c.Len = n
	if c.Flags&stream.Bad == 0 {
		return
	}
	c.Flags &^= stream.Bad
	for k := range c.Tiles() {
		for _, b := range c.Bad(k) {
			if b != 0 {
				c.Flags |= stream.Bad
				return
			}
		}
	}
}

// noEOF keeps an early end of a file from looking like the end of the stream.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close releases the timer, and the recordings when Own is set.
func (p *Player) Close() error {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if !p.Own {
		return nil
	}
	var first error
	for _, r := range p.Recordings {
		if err := r.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Columns returns how many columns one round takes, gaps included. Valid after Open.
func (p *Player) Columns() int64 {
	var n int64
	for i := range p.parts {
		n += p.parts[i].columns
	}
	return n
}

// Span returns the time of the first round's first column and the time at which its
// last one ends, in seconds of the timeline. Valid after Open.
func (p *Player) Span() (from, to float64) {
	end := p.parts[0].begin
	for i := range p.parts {
		end += p.parts[i].length
	}
	return p.parts[0].begin.Seconds(), end.Seconds()
}

// Truth returns what the annotations ask for on the timeline of the first round: what
// decisions made from this player are compared with. Valid after Open.
func (p *Player) Truth(task Task) (*Truth, error) {
	_, end := p.Span()
	return NewTruth(task, p.Annotations(), p.header.Rate, int64(math.Round(end*p.header.Rate)))
}

// Annotations returns the annotations of all recordings on the timeline of the first
// round: what [NewTruth] needs. An annotation that began before From and reaches
// beyond it is among them. Valid after Open.
func (p *Player) Annotations() []recordings.Annotation {
	var out []recordings.Annotation
	at := p.parts[0].begin
	for i := range p.parts {
		q := &p.parts[i]
		shift := (at - q.begin).Seconds()
		from, to := q.begin.Seconds(), (q.begin + q.length).Seconds()
		for _, a := range q.rec.Annotations() {
			if a.Onset >= to || a.Onset < from && a.Onset+a.Duration <= from {
				continue
			}
			a.Duration = min(a.Duration, to-a.Onset)
			a.Onset += shift
			out = append(out, a)
		}
		at += q.length
	}
	return out
}
