package udp

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Records that left the straight way: they are held back until what is missing before them
// has come or is given up, and then leave in order, behind a gap if there is one.
//
//	divert ─► sequence ─┬─ follows ─────────────────► release ─► ready ─► drain ─► chunk
//	                    ├─ ahead ─► held ─► giveUp ─┘
//	                    └─ double, late: counted

// parcel is a record that left the straight way: held back, or behind a gap.
type parcel struct {
	chunk  stream.Chunk
	rec    Record
	pos    position
	stamp  stream.Time
	hash   uint64
	serial int64 // of its datagram
	seq    int64
	t0     stream.Time
	flags  stream.Flags
	events []stream.Event
}

// divert copies records out of dst into parcels and puts these in order. dst keeps what
// came before them. marks is how many markers dst held before their datagram.
func (s *Source) divert(dst *stream.Chunk, marks int, records []Record, d *Datagram, hash uint64) {
	s.parcels = s.parcels[:0]
	for i := range records {
		p := s.parcel(dst, &records[i], d, hash)
		end := records[i].Column + records[i].Columns
		for _, m := range dst.Markers[marks:] {
			if m.Column >= records[i].Column && (m.Column < end || i == len(records)-1) {
				m.Column -= records[i].Column
				p.chunk.Markers = append(p.chunk.Markers, m)
			}
		}
		s.parcels = append(s.parcels, p)
	}
	truncate(dst, records[0].Column, marks)
	for _, p := range s.parcels {
		s.sequence(p)
	}
}

// parcel copies a record's columns.
func (s *Source) parcel(src *stream.Chunk, r *Record, d *Datagram, hash uint64) *parcel {
	var p *parcel
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	} else {
		p = new(parcel)
		p.chunk.Alloc(src.Rows(), s.maxLen)
	}
	p.chunk.Clear()
	p.rec, p.stamp, p.hash, p.serial, p.flags, p.events = *r, d.Stamp, hash, s.counts.Datagrams, 0, p.events[:0]
	appendColumns(&p.chunk, src, r.Column, r.Column+r.Columns)
	return p
}

// appendColumns appends columns from..to-1 of src, with their marks and stamps.
func appendColumns(dst, src *stream.Chunk, from, to int) {
	at := dst.Len
	dst.Extend(to - from)
	for k := range dst.Tiles() {
		copy(dst.Tile(k)[at:], src.Tile(k)[from:to])
		if src.Flags&stream.Bad != 0 {
			copy(dst.Bad(k)[at:], src.Bad(k)[from:to])
			for _, b := range dst.Bad(k)[at:] {
				if b != 0 {
					dst.Flags |= stream.Bad
				}
			}
		}
	}
	if len(src.Stamps) == src.Len && len(dst.Stamps) == at {
		dst.Stamps = append(dst.Stamps, src.Stamps[from:to]...)
	}
}

// truncate cuts dst back to n columns; of the markers behind the first keep, those on
// the columns cut off go too.
func truncate(dst *stream.Chunk, n, keep int) {
	dst.Len = n
	if len(dst.Stamps) > n {
		dst.Stamps = dst.Stamps[:n]
	}
	markers := dst.Markers[:keep]
	for _, m := range dst.Markers[keep:] {
		if m.Column < n {
			markers = append(markers, m)
		}
	}
	dst.Markers = markers
}

// sequence puts a parcel into its place.
func (s *Source) sequence(p *parcel) {
	p.pos = s.track.locate(&p.rec, p.stamp, p.hash)
	switch p.pos.verdict {
	case follows:
		found := len(s.held) > 0
		s.release(p)
		if found {
			s.overtaken(p)
		}
		s.follows()
	case ahead:
		for _, h := range s.held {
			if h.pos.at == p.pos.at && h.pos.length == p.pos.length {
				s.double(p)
				return
			}
		}
		if s.Reorder == 0 || !(s.header.Rate > 0) {
			s.release(p)
			return
		}
		i := len(s.held)
		s.held = append(s.held, nil)
		for ; i > 0 && s.held[i-1].pos.at > p.pos.at; i-- {
			s.held[i] = s.held[i-1]
		}
		s.held[i] = p
		if i < len(s.held)-1 {
			s.overtaken(p)
		}
		if s.datagramsHeld() > s.Reorder {
			s.giveUp(1)
		}
	case double:
		s.double(p)
	case late:
		if s.counted[pendingLate] != p.serial {
			s.counted[pendingLate] = p.serial
			s.counts.Late++
			s.tell(pendingLate, 1, "came when its place had been given up, discarded; the gap counts it")
		}
		s.recycle(p)
	case restarted:
		s.giveUp(len(s.held))
		s.restarted(p.stamp, "the sender has begun anew: "+s.track.why(&p.rec, &p.pos, s.track.counter, s.track.next))
		s.track.forget()
		p.pos = s.track.locate(&p.rec, p.stamp, p.hash)
		s.release(p)
	}
}

// Datagrams are counted, however many records they hold.

func (s *Source) overtaken(p *parcel) {
	if s.counted[pendingReorder] == p.serial {
		return
	}
	s.counted[pendingReorder] = p.serial
	s.counts.Reordered++
	s.tell(pendingReorder, 1, "overtaken by a later datagram, put in order")
}

func (s *Source) double(p *parcel) {
	if s.counted[pendingDouble] != p.serial {
		s.counted[pendingDouble] = p.serial
		s.counts.Doubles++
		s.tell(pendingDouble, 1, s.doubled)
	}
	s.recycle(p)
}

// datagramsHeld counts the datagrams that parcels held back are of.
func (s *Source) datagramsHeld() int {
	n := 0
	for i, h := range s.held {
		if i == 0 || h.serial != s.held[i-1].serial {
			n++
		}
	}
	return n
}

// follows releases held parcels as long as they go on where the last ended.
func (s *Source) follows() {
	for len(s.held) > 0 {
		p := s.held[0]
		switch {
		case p.pos.at > s.track.next:
			return
		case p.pos.at == s.track.next:
			s.unhold()
			s.release(p)
		default: // told by other pieces meanwhile
			s.unhold()
			s.double(p)
		}
	}
}

func (s *Source) unhold() {
	copy(s.held, s.held[1:])
	s.held = s.held[:len(s.held)-1]
}

// giveUp releases the first n held parcels, with gaps before them, and what follows.
func (s *Source) giveUp(n int) {
	for ; n > 0 && len(s.held) > 0; n-- {
		p := s.held[0]
		s.unhold()
		s.release(p)
		s.follows()
	}
}

// release gives a parcel its place in the stream, behind a gap when there is one.
func (s *Source) release(p *parcel) {
	expected, next := s.track.counter, s.track.next
	missing := s.track.advance(&p.rec, &p.pos, p.stamp, p.hash)
	if p.rec.Has&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0 && s.kernel > 0 {
		n := s.kernel * int64(max(1, p.rec.Columns))
		s.gap(p, n, stream.EventDrop, fmt.Sprintf("the kernel dropped %d datagrams: the socket buffer was full", s.kernel))
	} else if missing > 0 {
		why := s.track.why(&p.rec, &p.pos, expected, next)
		if s.kernel > 0 {
			why += fmt.Sprintf("; the kernel dropped %d datagrams, the socket buffer was full", s.kernel)
		}
		s.gap(p, missing, stream.EventGap, why)
	}
	s.kernel = 0
	p.t0 = s.time(&p.rec, p.stamp)
	p.seq = s.seq
	if p.rec.Columns > 0 {
		p.flags |= s.broken
		s.broken = 0
	}
	s.seq += int64(p.rec.Columns)
	s.counts.Columns += int64(p.rec.Columns)
	s.ready = append(s.ready, p)
}

func (s *Source) gap(p *parcel, missing int64, kind stream.Kind, why string) {
	s.seq += missing
	s.counts.Missing += missing
	s.counts.Gaps++
	p.flags |= stream.Gap
	p.events = append(p.events, stream.Event{Kind: kind, Seq: s.seq, Time: p.stamp, Count: missing, Origin: s.Address, Detail: why})
}

func (s *Source) recycle(p *parcel) {
	s.free = append(s.free, p)
}

// drain moves ready parcels into dst, and reports whether dst is done.
func (s *Source) drain(dst *stream.Chunk) bool {
	for len(s.ready) > 0 {
		p := s.ready[0]
		if p.flags.Broken() && dst.Len > 0 || dst.Cap()-dst.Len < p.rec.Columns {
			return true
		}
		if dst.Len == 0 {
			dst.Seq, dst.T0 = p.seq, p.t0
		}
		dst.Flags |= p.flags
		dst.Events = append(dst.Events, p.events...)
		for _, m := range p.chunk.Markers {
			m.Column += dst.Len
			dst.Markers = append(dst.Markers, m)
		}
		appendColumns(dst, &p.chunk, 0, p.rec.Columns)
		dst.Arrived = max(dst.Arrived, p.stamp)
		copy(s.ready, s.ready[1:])
		s.ready = s.ready[:len(s.ready)-1]
		s.recycle(p)
	}
	return false
}

// holdTime is how long a datagram is held back at most: two datagrams' time, between 2
// and 50 ms.
func (s *Source) holdTime() stream.Time {
	if !(s.header.Rate > 0) {
		return 0
	}
	t := 2 * float64(max(1, s.track.columns)) / s.header.Rate
	return stream.Time(math.Min(math.Max(t, 0.002), 0.05) * 1e9)
}
