package xdf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Span is a stretch of the file that could not be read.
type Span struct {
	From int64  `json:"from"` // first byte
	To   int64  `json:"to"`   // first byte after it
	Why  string `json:"why"`
}

// chunkRef is the place of one Samples chunk of a stream.
type chunkRef struct {
	piece
	samples  int64 // offset in the file of the first sample
	first    int64 // index of the first sample
	n        int
	doubtful bool // some stamps are deduced over damage
}

// scanner goes through a file once, from front to end.
//
// The length of a chunk is believed only when the content agrees with it: the
// values of a Samples chunk end exactly where the chunk does, a ClockOffset has 22
// bytes, XML looks like XML. After a chunk that does not, the scanner looks byte
// by byte for the next one that does, so that damage costs the chunks it touches
// and no others.
type scanner struct {
	window
	streams map[uint32]*Stream
	order   []*Stream
	header  []byte
	counts  [tagStreamFooter + 1]int
	other   int            // chunks with an unknown tag
	orphans map[uint32]int // Samples and ClockOffset chunks of streams without a usable header
	damage  []Span         //
	notes   []string       //
	pieces  []piece        // all good chunks in order, when keep is set
	keep    bool           //
	work    int64          // bytes looked at in search of chunks
	stamps  []float64      // scratch: stamps of the chunk in hand
	flags   []bool         // scratch: which of them are explicit
}

const maxProblems = 1000 // kept in detail; hostile files could have one per byte

// errBad says that bytes are no chunk. The text says why.
type errBad string

func (e errBad) Error() string { return string(e) }

func (s *scanner) scan(from int64) error {
	s.streams = make(map[uint32]*Stream)
	s.orphans = make(map[uint32]int)
	pos := from
	for pos < s.size {
		p, err := s.read(pos)
		var bad errBad
		if errors.As(err, &bad) {
			next, err := s.resync(pos, s.size)
			if err != nil {
				return err
			}
			if err := s.saveHeader(p, next); err != nil {
				return err
			}
			why := string(bad)
			if next == s.size {
				why += "; no whole chunk follows"
			}
			s.spoil(Span{From: pos, To: next, Why: why})
			pos = next
			continue
		}
		if err != nil {
			return err
		}
		if s.keep {
			s.pieces = append(s.pieces, p)
		}
		pos = p.end
	}
	return nil
}

// spoil records damage. From here on no stream knows whether its next deduced
// stamp continues the one before.
func (s *scanner) spoil(span Span) {
	if len(s.damage) < maxProblems {
		s.damage = append(s.damage, span)
	} else {
		last := &s.damage[maxProblems-1]
		last.To, last.Why = span.To, "more damage than is listed"
	}
	s.doubt()
}

func (s *scanner) doubt() {
	for _, st := range s.order {
		st.doubt()
	}
}

func (s *scanner) note(format string, args ...any) {
	if len(s.notes) < maxProblems {
		s.notes = append(s.notes, fmt.Sprintf(format, args...))
	}
}

// saveHeader looks for a stream header in the damaged bytes from p to next: without
// it the whole stream would be lost.
func (s *scanner) saveHeader(p piece, next int64) error {
	if p.tag != tagStreamHeader || next-p.body < 4 || next-p.body > maxXML {
		return nil
	}
	content, err := s.slice(p.body, int(next-p.body))
	if err != nil {
		return err
	}
	if id := binary.LittleEndian.Uint32(content); s.streams[id] == nil {
		if _, _, err := parseInfo(content[4:]); err == nil {
			s.addStream(id, content[4:])
		}
	}
	return nil
}

// resync returns the position of the next chunk that proves itself, from pos+1 to
// end-1; end when there is none.
func (s *scanner) resync(pos, end int64) (int64, error) {
	for pos++; pos < end; pos++ {
		// Files made so that a long chunk begins at every byte must not cost n².
		if s.work++; s.work > 1<<28+16*s.size {
			return end, nil
		}
		b, err := s.slice(pos, 11)
		if err != nil {
			return 0, err
		}
		// The cheap test first: a length byte, and a tag that exists.
		if len(b) < 4 || b[0] != 1 && b[0] != 4 && b[0] != 8 {
			continue
		}
		t := 1 + int(b[0])
		if len(b) < t+2 || b[t+1] != 0 || b[t] < tagFileHeader || b[t] > tagStreamFooter {
			continue
		}
		p, ok, err := s.headAt(pos)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		s.work += p.end - p.pos
		content, err := s.content(p)
		if err != nil {
			return 0, err
		}
		if s.proves(p, content) {
			return pos, nil
		}
	}
	return end, nil
}

// followed reports whether the end of the file or the head of a chunk is at pos.
func (s *scanner) followed(pos int64) (bool, error) {
	if pos == s.size {
		return true, nil
	}
	p, ok, err := s.headAt(pos)
	return ok && p.tag >= tagFileHeader && p.tag <= tagStreamFooter, err
}

// proves reports whether a chunk can hardly be chance: its content has to agree in
// at least six bytes.
func (s *scanner) proves(p piece, content []byte) bool {
	switch p.tag {
	case tagBoundary:
		return bytes.Equal(content, boundary[:])
	case tagFileHeader:
		return looksXML(content)
	case tagStreamHeader, tagStreamFooter:
		return len(content) > 4 && looksXML(content[4:])
	case tagClockOffset:
		if len(content) != 20 || s.streams[binary.LittleEndian.Uint32(content)] == nil {
			return false
		}
		return plausible(number(content[4:])) && plausible(number(content[12:]))
	case tagSamples:
		if len(content) < 6 {
			return false
		}
		st := s.streams[binary.LittleEndian.Uint32(content)]
		if st == nil {
			return false
		}
		_, err := s.walk(st, content)
		return err == nil
	}
	return false
}

func looksXML(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 8 && b[0] == '<' && b[len(b)-1] == '>' && (bytes.HasPrefix(b, []byte("<?xml")) || bytes.HasPrefix(b, []byte("<info")))
}

// plausible reports whether a stamp or offset can be seconds of some clock.
func plausible(t float64) bool { return math.Abs(t) < 1e15 }

func number(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// read takes in the chunk at pos. It changes nothing when it fails.
func (s *scanner) read(pos int64) (piece, error) {
	p, ok, err := s.headAt(pos)
	if err != nil {
		return p, err
	}
	if !ok {
		if b, err := s.slice(pos, 11); err == nil {
			if v, n := varlen(b); n > 0 && int64(v) > s.size-pos-int64(n) && v <= maxChunk {
				return p, errBad(fmt.Sprintf("a chunk of %d bytes ends past the end of the file", v))
			}
		}
		return p, errBad("no chunk begins here")
	}
	// Where nothing follows, either the next chunk is damaged, or this one has lost
	// bytes and runs into it. Then the next one begins inside.
	if ok, err := s.followed(p.end); err != nil {
		return p, err
	} else if !ok {
		inside, err := s.resync(pos, p.end)
		if err != nil {
			return p, err
		}
		if inside < p.end {
			return p, errBad(fmt.Sprintf("chunk of %d bytes runs into the next one", p.end-pos))
		}
	}
	content, err := s.content(p)
	if err != nil {
		return p, err
	}
	if p.tag == tagFileHeader || p.tag == tagBoundary || p.tag < tagFileHeader || p.tag > tagStreamFooter {
		return p, s.readUnowned(p, content)
	}
	if len(content) < 4 {
		return p, errBad("chunk too short for a stream number")
	}
	id := binary.LittleEndian.Uint32(content)
	st := s.streams[id]
	switch p.tag {
	case tagStreamHeader:
		err = s.readHeader(id, content[4:])
	case tagSamples:
		if st == nil {
			err = s.orphan(p, id)
			break
		}
		err = s.readSamples(st, p, content)
	case tagClockOffset:
		if len(content) != 20 {
			return p, errBad("clock offset of the wrong size")
		}
		if st == nil {
			err = s.orphan(p, id)
			break
		}
		o := Offset{Time: number(content[4:]), Value: number(content[12:])}
		if !plausible(o.Time) || !plausible(o.Value) {
			return p, errBad(fmt.Sprintf("clock offset of stream %d is no number", id))
		}
		st.offsets = append(st.offsets, o)
	case tagStreamFooter:
		if !looksXML(content[4:]) {
			return p, errBad("footer is no XML")
		}
		if st != nil {
			s.readFooter(st, content[4:])
		}
	}
	if err == nil {
		s.counts[p.tag]++
	}
	return p, err
}

// readUnowned takes in a chunk that belongs to no stream.
func (s *scanner) readUnowned(p piece, content []byte) error {
	switch p.tag {
	case tagFileHeader:
		if !looksXML(content) {
			return errBad("file header is no XML")
		}
		if s.header == nil {
			s.header = bytes.Clone(content)
		}
	case tagBoundary:
		if !bytes.Equal(content, boundary[:]) {
			return errBad("boundary chunk is damaged")
		}
	default:
		ok, err := s.succeeded(p)
		if err != nil {
			return err
		}
		if !ok {
			return errBad(fmt.Sprintf("chunk with the unknown tag %d", p.tag))
		}
		s.other++
		s.doubt() // it may have been samples once
		return nil
	}
	s.counts[p.tag]++
	return nil
}

// succeeded reports whether a chunk whose content cannot be checked is followed by
// one that can, or by the end.
func (s *scanner) succeeded(p piece) (bool, error) {
	if p.end == s.size {
		return true, nil
	}
	next, ok, err := s.headAt(p.end)
	if err != nil || !ok {
		return false, err
	}
	content, err := s.content(next)
	if err != nil {
		return false, err
	}
	if next.tag == tagSamples || next.tag == tagClockOffset {
		if len(content) >= 4 && s.streams[binary.LittleEndian.Uint32(content)] == nil {
			return true, nil // of a stream without header: no better proof to be had
		}
	}
	return s.proves(next, content), nil
}

// orphan counts a chunk of a stream that has no usable header.
func (s *scanner) orphan(p piece, id uint32) error {
	ok, err := s.succeeded(p)
	if err != nil {
		return err
	}
	if !ok {
		return errBad(fmt.Sprintf("chunk of stream %d, which has no header", id))
	}
	if len(s.orphans) < maxProblems {
		s.orphans[id]++
	}
	s.doubt()
	return nil
}

func (s *scanner) readHeader(id uint32, xml []byte) error {
	if !looksXML(xml) {
		return errBad("stream header is no XML")
	}
	if s.streams[id] != nil {
		s.note("stream %d has a second header, which is ignored", id)
		return nil
	}
	s.addStream(id, xml)
	return nil
}

func (s *scanner) addStream(id uint32, xml []byte) {
	info, note, err := parseInfo(xml)
	if err != nil {
		s.note("stream %d cannot be read: %v", id, err)
		return
	}
	if note != "" {
		s.note("stream %d (%s): %s; its main fields were saved", id, info.Name, note)
	}
	st := &Stream{ID: id, Info: info}
	s.streams[id] = st
	s.order = append(s.order, st)
}

func (s *scanner) readSamples(st *Stream, p piece, content []byte) error {
	at, err := s.walk(st, content)
	if err != nil {
		return err
	}
	r := chunkRef{piece: p, samples: p.body + int64(at), first: int64(len(st.stamps)), n: len(s.stamps)}
	r.doubtful = st.push(s.stamps, s.flags)
	st.chunks = append(st.chunks, r)
	return nil
}

// walk goes through the samples of a chunk, fills s.stamps and s.flags, and returns
// the offset of the first sample in content. It fails unless the samples end
// exactly with the content.
func (s *scanner) walk(st *Stream, content []byte) (int, error) {
	s.stamps, s.flags = s.stamps[:0], s.flags[:0]
	n, k := varlen(content[4:])
	if k == 0 {
		return 0, errBad(fmt.Sprintf("samples of stream %d without a count", st.ID))
	}
	first := 4 + k
	b := content[first:]
	least := 1 + len(st.Info.Channels)*max(st.Info.Format.Size(), 2)
	if st.Info.Format == Int8 {
		least = 1 + len(st.Info.Channels)
	}
	if n > uint64(len(b)/least) {
		return 0, errBad(fmt.Sprintf("%d samples of stream %d announced in %d bytes", n, st.ID, len(b)))
	}
	for i := range int(n) {
		size, stamp, explicit, ok := nextSample(b, &st.Info)
		if !ok || !plausible(stamp) {
			return 0, errBad(fmt.Sprintf("sample %d of a chunk of stream %d is damaged", i+1, st.ID))
		}
		s.stamps, s.flags = append(s.stamps, stamp), append(s.flags, explicit)
		b = b[size:]
	}
	if len(b) != 0 {
		return 0, errBad(fmt.Sprintf("%d bytes too many in a chunk of %d samples of stream %d", len(b), n, st.ID))
	}
	return first, nil
}

// nextSample measures the sample at the start of b.
func nextSample(b []byte, info *Info) (size int, stamp float64, explicit, ok bool) {
	if len(b) == 0 {
		return 0, 0, false, false
	}
	size = 1
	switch b[0] {
	case 0:
	case 8:
		if len(b) < 9 {
			return 0, 0, false, false
		}
		stamp, explicit = number(b[1:]), true
		size = 9
	default:
		return 0, 0, false, false
	}
	if w := info.Format.Size(); w > 0 {
		size += w * len(info.Channels)
		return size, stamp, explicit, size <= len(b)
	}
	for range info.Channels {
		v, k := varlen(b[size:])
		if k == 0 || v > uint64(len(b)-size-k) {
			return 0, 0, false, false
		}
		size += k + int(v)
	}
	return size, stamp, explicit, true
}

func (s *scanner) readFooter(st *Stream, xml []byte) {
	tree, err := parseXML(xml)
	if err != nil {
		s.note("stream %d (%s): footer is damaged (%v) and ignored", st.ID, st.Info.Name, err)
		return
	}
	st.Footer = tree
	if n, err := strconv.ParseInt(tree.Value("sample_count"), 10, 64); err == nil {
		st.announced, st.closed = n, true
	}
}
