package udp

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"neurostream/stream"
)

// EmotiBit, UDP. Lines of ASCII, one or more per datagram, each with the samples of
// one sensor:
//
//	stamp,packet,length,type,version,reliability,data…
//	126543,7,4,PG,1,100,30112,30145,30177,30201
//
//	stamp        ms since the device started
//	packet       grows by one per line, whatever its type
//	length       number of data
//	type         PI PR PG light, EA skin, TH temperature, AX AY AZ motion, …
//
// data=AX,AY,AZ reads several types as rows of one stream: they must come in lines
// of the same length. A column is whole when the last type has come; where one is
// missing when the next round begins, it is marked bad. Units are not on the wire:
// unit= says them. The packet number counts lines of all sensors, so it cannot say
// how many columns of this stream a lost line held: with rate= the stamp does.
type emotiBit struct {
	scratch
	stated  stated
	types   []string
	n       int // columns of the pending round
	count   int
	have    []bool
	pending []float64
	fields  [6][]byte
}

const emotiBitMost = 1024 // data in a line

var emotiBitParams = append([]Param{
	{Name: "data", Doc: "types that become rows, separated by commas, such as PG or AX,AY,AZ"},
}, statedParams...)

func newEmotiBit(p *Parameters) (Format, error) {
	f := &emotiBit{types: p.List("data")}
	f.name = "emotibit"
	f.stated = p.stated("EmotiBit "+strings.Join(f.types, " "), "", "AUX")
	if len(f.types) == 0 {
		p.Fail("which sensor? add data=PG (or EA, TH, AX,AY,AZ, …)")
	}
	if p.err != nil {
		return nil, p.err
	}
	labels := f.stated.labels
	if labels == nil {
		f.stated.labels = f.types
	}
	channels, err := f.stated.channels(len(f.types), "")
	if err != nil {
		return nil, err
	}
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: 2*emotiBitMost + maxDatagram/2}
	if f.stated.rate == 0 {
		l.Header.MaxLen = 1
	}
	l.Clock = ClockDevice
	if f.stated.rate > 0 {
		l.Evidence = EvidenceStamp
	}
	if f.stated.unit == "" {
		l.Notes = append(l.Notes, "the unit is not known: neither the packets nor the URL say it")
	}
	f.have, f.pending = make([]bool, len(f.types)), make([]float64, len(f.types)*emotiBitMost)
	return f, l.Header.Validate()
}

// line reads a line's head; s stands at its data.
func (f *emotiBit) line(s *scanner) (stamp, packet, n int, kind []byte, err error) {
	for i := range f.fields {
		from := s.at
		for s.at < len(s.p) && s.p[s.at] != ',' {
			s.at++
		}
		if s.at == len(s.p) && i < len(f.fields)-1 {
			return 0, 0, 0, nil, f.faultOf(from, "fields in the line, at least", int64(i+1), 6)
		}
		f.fields[i] = s.p[from:s.at]
		if s.at < len(s.p) {
			s.at++
		}
	}
	whole := func(i int) (int, bool) {
		v, used := parseNumber(f.fields[i])
		return int(v), used == len(f.fields[i]) && used > 0 && v >= 0 && v < 1<<40 && v == math.Trunc(v)
	}
	var ok [3]bool
	stamp, ok[0] = whole(0)
	packet, ok[1] = whole(1)
	n, ok[2] = whole(2)
	if !ok[0] || !ok[1] || !ok[2] {
		return 0, 0, 0, nil, f.fault(0, "stamp, packet number or length is no whole number")
	}
	return stamp, packet, n, f.fields[3], nil
}

func (f *emotiBit) row(kind []byte) int {
	for i := range f.types {
		if string(kind) == f.types[i] {
			return i
		}
	}
	return -1
}

func (f *emotiBit) Learn(pkt []byte) (bool, error) {
	if pkt != nil {
		line, _ := cutLine(pkt, 0)
		if _, _, _, _, err := f.line(&scanner{p: line}); err != nil {
			return false, err
		}
	}
	return true, nil
}

func likeEmotiBit(pkt []byte) float64 {
	var f emotiBit
	line, _ := cutLine(pkt, 0)
	s := scanner{p: line}
	_, _, n, kind, err := f.line(&s)
	if err != nil || len(kind) != 2 || kind[0] < 'A' || kind[0] > 'Z' || n < 0 {
		return 0
	}
	return 1
}

func (f *emotiBit) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	before, count, have := placeOf(dst), f.count, f.n
	err := f.decode(dst, pkt)
	if err != nil && err != ErrOther {
		before.restore(dst)
		f.records = f.records[:0]
		if f.count != count || f.n != have { // what the packet began is not trusted
			clear(f.have)
			f.count, f.n = 0, 0
		}
	}
	return err
}

func (f *emotiBit) decode(dst *stream.Chunk, pkt []byte) error {
	any := false
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if len(line) == 0 {
			continue
		}
		any = true
		s := scanner{p: line}
		stamp, _, n, kind, err := f.line(&s)
		if err != nil {
			f.bad.Byte += from
			return err
		}
		r := Record{Column: dst.Len, Has: f.layout.Evidence, Stamp: int64(stamp) * 1e6}
		if row := f.row(kind); row >= 0 {
			if n == 0 || n > emotiBitMost {
				return f.faultOf(from, "data in the line", int64(n), emotiBitMost)
			}
			if f.count > 0 && (f.have[row] || n != f.n) { // the round before is not whole
				if !room(dst, f.n) {
					return f.faultOf(from, "columns in the packet; say rate=HZ", int64(f.n), int64(dst.Cap()-dst.Len))
				}
				f.flush(dst)
				f.records = append(f.records, Record{Column: dst.Len - f.n, Columns: f.n})
				r.Column = dst.Len
				f.n = 0
			}
			values := f.pending[row*emotiBitMost:][:n]
			for i := range values {
				v, ok := s.number()
				if !ok {
					return f.fault(from+s.at, "a datum is no number, or there are less than the length says")
				}
				values[i] = v
				if i < n-1 && !s.eat(',') {
					return f.fault(from+s.at, "there are less data than the length says")
				}
			}
			if s.at != len(line) {
				return f.fault(from+s.at, "there are more data than the length says")
			}
			f.n, f.have[row] = n, true
			if f.count++; f.count == len(f.types) {
				if !room(dst, n) {
					return f.faultOf(from, "columns in the packet; say rate=HZ", int64(n), int64(dst.Cap()-dst.Len))
				}
				f.flush(dst)
				r.Columns = n
				f.n = 0
				f.records = append(f.records, r)
			}
		}
	}
	if !any {
		return f.fault(0, "no line")
	}
	return nil
}

// flush puts the pending round out; the caller clears n.
func (f *emotiBit) flush(dst *stream.Chunk) {
	at := dst.Len
	dst.Extend(f.n)
	for row := range f.types {
		for i := range f.n {
			if f.have[row] {
				put(dst, row, at+i, f.pending[row*emotiBitMost+i])
			} else {
				dst.Set(row, at+i, 0)
				dst.MarkBad(row, at+i)
			}
		}
		f.have[row] = false
	}
	f.count = 0
}

// emotiBitEncoder plays the device: a line per channel.
type emotiBitEncoder struct {
	names []string
	per   int
	n     uint64
	rate  float64
}

var emotiBitEncoderParams = []Param{{Name: "columns", Doc: "data per line", Default: "5"}}

func newEmotiBitEncoder(p *Parameters) (Encoder, error) {
	return &emotiBitEncoder{per: p.Int("columns", 5, 1, emotiBitMost)}, nil
}

func (e *emotiBitEncoder) Open(in stream.Header) error {
	for _, l := range in.Labels() {
		if strings.ContainsAny(l, ",\r\n ") {
			return fmt.Errorf("emotibit: %q is no type: a type has no comma and no space", l)
		}
		e.names = append(e.names, l)
	}
	e.rate = in.Rate
	if n := len(e.names) * (40 + 25*e.per); n > maxDatagram {
		return fmt.Errorf("emotibit: %d channels × %d data do not fit a datagram", len(e.names), e.per)
	}
	return nil
}

func (e *emotiBitEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *emotiBitEncoder) Finish(dst []byte) []byte            { return dst }

func (e *emotiBitEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := min(to-from, e.per)
	ms := int64(0)
	if e.rate > 0 {
		ms = int64(float64(src.Seq+int64(from)) / e.rate * 1e3)
	}
	for ch, name := range e.names {
		dst = append(strconv.AppendInt(dst, ms, 10), ',')
		dst = append(appendDecimal(dst, e.n%(1<<16)), ',')
		dst = append(strconv.AppendInt(dst, int64(n), 10), ',')
		dst = append(append(dst, name...), ",1,100"...)
		for col := from; col < from+n; col++ {
			dst = appendFloat(append(dst, ','), src.At(ch, col), 64)
		}
		dst = append(dst, '\n')
		e.n++
	}
	return dst, n
}
