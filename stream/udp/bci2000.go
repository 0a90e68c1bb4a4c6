package udp

import (
	"fmt"
	"strings"

	"neurostream/stream"
)

// BCI2000's AppConnector, in and out. Lines of ASCII by UDP, one or more per
// datagram, sent once per block:
//
//	CursorPosX 2048 CR LF
//	Signal(1,1) -0.5 CR LF
//
// Each name is a row. Without states= the rows are the names that come before the
// first comes again. A column is whole when all rows have come; when a name comes
// again before that, the missing rows repeat what they were, marked bad. Rows are
// held per block, so the rate is that of the blocks: rate= says it, else the stream
// is irregular.
//
// To drive BCI2000, states must be named as there and hold whole numbers.
type bci2000 struct {
	scratch
	stated stated
	names  []string
	ready  bool
	values []float64
	have   []bool
	count  int
}

const bci2000Most = 1024 // names

var bci2000Params = append([]Param{
	{Name: "states", Doc: "names to read, separated by commas", Default: "all that come"},
}, statedParams...)

// states reads a list of names; the comma of "Signal(1,1)" cuts nothing.
func (p *Parameters) states() (names []string) {
	for _, s := range p.List("states") {
		if n := len(names); n > 0 && strings.Contains(names[n-1], "(") && !strings.Contains(names[n-1], ")") {
			names[n-1] += "," + s
		} else {
			names = append(names, s)
		}
	}
	return names
}

func newBCI2000(p *Parameters) (Format, error) {
	f := new(bci2000)
	f.name = "bci2000"
	f.stated = p.stated("BCI2000", "", "state")
	f.names = p.states()
	if f.names != nil && p.err == nil {
		return f, f.learnt()
	}
	return f, nil
}

func (f *bci2000) learnt() error {
	if f.stated.labels == nil {
		f.stated.labels = f.names
	}
	channels, err := f.stated.channels(len(f.names), "")
	if err != nil {
		return err
	}
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: maxDatagram/4 + 1}
	if f.stated.rate == 0 {
		l.Header.MaxLen = 1
	}
	l.Notes = append(l.Notes, "no stamp and no sequence: loss shows in missing rows and in the rate of arrival")
	if err := l.Header.Validate(); err != nil {
		return err
	}
	f.values, f.have, f.ready = make([]float64, len(f.names)), make([]bool, len(f.names)), true
	return nil
}

// line splits NAME VALUE.
func (f *bci2000) line(line []byte, at int) (name []byte, v float64, err error) {
	i := 0
	for i < len(line) && line[i] != ' ' && line[i] != '\t' {
		if c := line[i]; c < '!' || c > '~' {
			return nil, 0, f.fault(at+i, "a name holds what is not plain text")
		}
		i++
	}
	s := scanner{p: line, at: i}
	v, ok := s.number()
	s.space()
	if i == 0 || i == len(line) || !ok || s.at != len(line) {
		return nil, 0, f.fault(at, "the line is not NAME VALUE")
	}
	return line[:i], v, nil
}

func (f *bci2000) row(name []byte) int {
	for i := range f.names {
		if string(name) == f.names[i] {
			return i
		}
	}
	return -1
}

func (f *bci2000) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if len(line) == 0 {
			continue
		}
		name, _, err := f.line(line, from)
		switch {
		case err != nil:
			return false, err
		case f.row(name) >= 0:
			return true, f.learnt()
		case len(f.names) == bci2000Most:
			return false, f.faultOf(from, "different names", bci2000Most+1, bci2000Most)
		}
		f.names = append(f.names, string(name))
	}
	return false, nil
}

func likeBCI2000(pkt []byte) float64 {
	var f bci2000
	n := 0
	for at := 0; at < len(pkt); {
		var line []byte
		line, at = cutLine(pkt, at)
		if len(line) == 0 {
			continue
		}
		if name, _, err := f.line(line, 0); err != nil || (name[0]|0x20) < 'a' || (name[0]|0x20) > 'z' {
			return 0
		}
		n++
	}
	if n == 0 {
		return 0
	}
	return 0.9
}

func (f *bci2000) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	// A first pass finds faults, so that the second cannot fail half-way.
	used, lines := false, 0
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if len(line) == 0 {
			continue
		}
		lines++
		name, _, err := f.line(line, from)
		if err != nil {
			return err
		}
		if f.row(name) >= 0 {
			used = true
		}
	}
	switch {
	case lines == 0:
		return f.fault(0, "no line")
	case !used:
		return ErrOther
	case f.stated.rate > 0 && !room(dst, lines):
		return f.faultOf(0, "columns in the packet", int64(lines), int64(dst.Cap()-dst.Len))
	}
	before, have := placeOf(dst), f.count
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if len(line) == 0 {
			continue
		}
		name, v, _ := f.line(line, from)
		row := f.row(name)
		if row < 0 {
			continue
		}
		full := f.have[row]
		if (full || f.count == len(f.names)-1) && !room(dst, 1) {
			before.restore(dst)
			f.records = f.records[:0]
			if have != f.count {
				clear(f.have)
				f.count = 0
			}
			return f.fault(from, "more blocks than a packet of an irregular stream may have; say rate=HZ")
		}
		if full {
			f.flush(dst)
		}
		f.values[row], f.have[row] = v, true
		if f.count++; f.count == len(f.names) {
			f.flush(dst)
		}
	}
	return nil
}

func (f *bci2000) flush(dst *stream.Chunk) {
	col := dst.Len
	dst.Extend(1)
	for row, v := range f.values {
		put(dst, row, col, v)
		if !f.have[row] {
			dst.MarkBad(row, col)
		}
		f.have[row] = false
	}
	f.records = append(f.records, Record{Column: col, Columns: 1})
	f.count = 0
}

// bci2000Encoder writes a line per channel.
type bci2000Encoder struct {
	names []string
	block bool
	next  int
}

var bci2000EncoderParams = []Param{
	{Name: "per", Doc: "what a datagram holds: line or block", Default: "line"},
	{Name: "states", Doc: "names to send the channels as, separated by commas", Default: "the labels"},
}

func newBCI2000Encoder(p *Parameters) (Encoder, error) {
	return &bci2000Encoder{block: p.Choice("per", "line", "block") == "block", names: p.states()}, nil
}

func (e *bci2000Encoder) Open(in stream.Header) error {
	if e.names != nil && len(e.names) != len(in.Channels) {
		return fmt.Errorf("bci2000: states= names %d states for %d channels", len(e.names), len(in.Channels))
	}
	if e.names == nil {
		for _, l := range in.Labels() {
			e.names = append(e.names, strings.Map(func(r rune) rune {
				if r <= ' ' || r > '~' {
					return '_'
				}
				return r
			}, l))
		}
	}
	size := 0
	for _, n := range e.names {
		if n == "" || strings.ContainsAny(n, " \t\r\n") {
			return fmt.Errorf("bci2000: %q is no name of a state", n)
		}
		size += len(n) + 30
	}
	if size > maxDatagram {
		return fmt.Errorf("bci2000: %d states do not fit a datagram", len(e.names))
	}
	return nil
}

func (e *bci2000Encoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *bci2000Encoder) Finish(dst []byte) []byte            { return dst }

func (e *bci2000Encoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	if from == to {
		return dst, 0
	}
	for e.next < len(e.names) {
		dst = append(append(dst, e.names[e.next]...), ' ')
		dst = append(appendFloat(dst, src.At(e.next, from), 64), "\r\n"...)
		if e.next++; !e.block && e.next < len(e.names) {
			return dst, 0
		}
	}
	e.next = 0
	return dst, 1
}
