package udp

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"net/netip"

	"neurostream/stream"
)

// One datagram on its way into a chunk: is it of the sender listened to, can it be decoded,
// and do its records simply follow those before? What does not is put in order elsewhere
// (order.go).

// take deals with one datagram; its columns go into dst or, when something is odd,
// into parcels.
func (s *Source) take(dst *stream.Chunk, d *Datagram) {
	if !s.ours(d) {
		return
	}
	s.counts.Datagrams++
	s.counts.Bytes += int64(len(d.Data))
	if n := d.Dropped - s.dropped; n != 0 {
		s.dropped = d.Dropped
		s.counts.KernelDrops += int64(n)
		s.kernel += int64(n)
	}
	if len(s.held) > 0 && d.Stamp-s.held[0].stamp > s.holdTime() {
		s.giveUp(len(s.held))
	}
	hash := uint64(0)
	if s.hashing {
		hash = maphash.Bytes(s.seed, d.Data)
	}
	before, marks := dst.Len, len(dst.Markers)
	err := s.Format.Decode(dst, d.Data)
	if err != nil && !errors.Is(err, ErrEnd) {
		if errors.Is(err, ErrOther) {
			s.counts.Other++
		} else {
			s.malformed(d, err)
		}
		return
	}
	records := s.Format.Records()
	if len(records) == 0 && dst.Len > before {
		records = []Record{{Column: before, Columns: dst.Len - before}}
	}
	s.stampColumns(dst, before, records)
	if s.returned && len(records) > 0 {
		s.resume(&records[0])
	}
	if s.hashing && s.track.layout.Evidence&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0 && dst.Len > before {
		if s.repeated(dst, before, d, hash) {
			s.counts.Doubles++
			s.tell(pendingDouble, 1, "the same bytes again within half a datagram's time")
			truncate(dst, before, marks)
			return
		}
		s.unnumbered(dst, before, d)
	}
	for i := range records {
		r := &records[i]
		p := s.track.locate(r, d.Stamp, hash)
		if p.verdict != follows || len(s.held) > 0 || len(s.ready) > 0 || s.broken != 0 || s.kernelGap(r) {
			s.divert(dst, marks, records[i:], d, hash)
			break
		}
		if dst.Len > 0 && r.Column == 0 { // the first columns of dst
			dst.Seq = s.seq
		}
		t0 := s.follow(r, &p, d.Stamp, hash)
		if r.Column == 0 && r.Columns > 0 {
			dst.T0 = t0
		}
	}
	if dst.Len > before {
		dst.Arrived = d.Stamp
	}
	if errors.Is(err, ErrEnd) {
		s.end(io.EOF)
	}
}

// stampColumns gives each column the sender's time, from the records of a format that
// leaves that to us.
func (s *Source) stampColumns(dst *stream.Chunk, before int, records []Record) {
	if len(dst.Stamps) != before || !(s.header.Rate > 0) {
		return
	}
	for i := range records {
		r := &records[i]
		if r.Has&EvidenceStamp == 0 || r.Column != len(dst.Stamps) {
			dst.Stamps = dst.Stamps[:before]
			return
		}
		for k := range r.Columns {
			dst.Stamps = append(dst.Stamps, stream.Time(r.Stamp)+stream.Time(math.Round(float64(k)/s.header.Rate*1e9)))
		}
	}
}

// kernelGap reports whether the kernel dropped datagrams right before a record of a
// format that cannot tell so itself.
func (s *Source) kernelGap(r *Record) bool {
	return s.kernel > 0 && r.Has&(EvidenceCounter|EvidenceIndex|EvidenceStamp) == 0
}

// follow takes a record that goes on where the last ended, and returns when its first
// column happened.
func (s *Source) follow(r *Record, p *position, at stream.Time, hash uint64) stream.Time {
	s.track.advance(r, p, at, hash)
	s.kernel = 0
	n := int64(r.Columns)
	t := s.time(r, at)
	s.seq += n
	s.counts.Columns += n
	return t
}

// ours reports whether a datagram is of the sender that is listened to.
func (s *Source) ours(d *Datagram) bool {
	if s.stale && s.live && d.From == s.sender {
		s.stale = false
	}
	if s.Stale > 0 && !s.live && s.begun && d.Stamp-s.heard >= stream.Time(s.Stale) {
		s.silence(d.Stamp - s.heard)
		s.stale = false
	}
	if d.From != s.sender {
		if !s.fixed(d.From) || s.begun && d.Stamp-s.heard < senderSilence {
			s.counts.Strangers++
			s.tell(pendingStranger, 1, fmt.Sprintf("%s also sends here and is ignored; choose the sender with from=ADDRESS", d.From))
			return false
		}
		if s.begun { // the sender was silent: another has taken its place
			s.giveUp(len(s.held))
			s.track.forget()
			s.restarted(d.Stamp, fmt.Sprintf("%s fell silent, %s sends now", s.sender, d.From))
		}
		s.sender = d.From
	}
	s.begun, s.heard, s.stale = true, max(s.heard, d.Stamp), false
	return true
}

// fixed reports whether the sender is one that may be listened to.
func (s *Source) fixed(a netip.AddrPort) bool {
	return !s.From.IsValid() && s.From.Addr() == netip.Addr{} ||
		s.From.Addr() == a.Addr() && (s.From.Port() == 0 || s.From.Port() == a.Port())
}

// restarted says that what comes is a new stream.
func (s *Source) restarted(at stream.Time, why string) {
	s.counts.Restarts++
	s.broken |= stream.Restart
	s.clock = sampleClock{}
	s.opening = append(s.opening, stream.Event{Kind: stream.EventRestart, Seq: s.seq, Time: at, Count: s.counts.Restarts, Origin: s.Address, Detail: why})
}
