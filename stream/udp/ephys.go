package udp

import (
	"fmt"

	"neurostream/stream"
)

// Open Ephys EphysSocket, TCP (usually 9001), little endian:
//
//	 0  i32  offset, 0
//	 4  i32  bytes of numbers
//	 8  u16  depth: 0 u8, 1 i8, 2 u16, 3 i16, 4 i32, 5 f32, 6 f64
//	10  i32  bytes per number
//	14  i32  channels C
//	18  i32  columns n
//	22  numbers, channel after channel: C × n
//
// No rate, no unit, no scale, no counter: the URL says the first three.
//
// Source: open-ephys-plugins, ephys-socket.
type ephys struct {
	scratch
	stated stated
	bit    Scale
	depth  uint16
	matrix matrix
	ready  bool
}

const (
	ephysHeader = 22
	ephysFrame  = 1 << 24
)

var ephysDepths = [...]SampleType{U8, I8, U16, I16, I32, F32, F64}

var ephysParams = append([]Param{
	{Name: "bit", Doc: "units per count: value = bit·count + offset"},
	{Name: "offset", Doc: "units", Default: "0"},
}, statedParams...)

func newEphys(p *Parameters) (Format, error) {
	f := &ephys{stated: p.stated("Open Ephys", "", "EEG")}
	f.name = "ephys-socket"
	f.bit = Scale{Bit: p.Float("bit", 0, -1e300, 1e300), Offset: p.Float("offset", 0, -1e300, 1e300)}
	if f.bit.Offset != 0 && f.bit.Bit == 0 {
		f.bit.Bit = 1
	}
	if f.stated.rate == 0 {
		p.Fail("the messages do not say the rate: add rate=HZ")
	}
	return f, nil
}

// head reads and verifies a header.
func (f *ephys) head(p []byte) (c, n, size int, typ SampleType, err error) {
	offset, bytes, depth := int32(le.Uint32(p)), int32(le.Uint32(p[4:])), le.Uint16(p[8:])
	element, ci, ni := int32(le.Uint32(p[10:])), int32(le.Uint32(p[14:])), int32(le.Uint32(p[18:]))
	if int(depth) >= len(ephysDepths) {
		return 0, 0, 0, 0, f.faultOf(8, "depth", int64(depth), 6)
	}
	typ = ephysDepths[depth]
	switch {
	case offset != 0:
		return 0, 0, 0, 0, f.faultOf(0, "offset", int64(offset), 0)
	case int(element) != typ.Size():
		return 0, 0, 0, 0, f.faultOf(10, "bytes per number", int64(element), int64(typ.Size()))
	case ci < 1 || ci > stream.MaxChannels || ni < 1 || int64(ci)*int64(ni) > mostCells:
		return 0, 0, 0, 0, f.faultOf(14, "channels × columns", int64(ci)*int64(ni), mostCells)
	case int64(bytes) != int64(ci)*int64(ni)*int64(element) || bytes > ephysFrame-ephysHeader:
		return 0, 0, 0, 0, f.faultOf(4, "bytes of numbers", int64(bytes), int64(ci)*int64(ni)*int64(element))
	}
	return int(ci), int(ni), ephysHeader + int(bytes), typ, nil
}

func (f *ephys) MaxFrame() int { return ephysFrame }

func (f *ephys) Frame(buf []byte) (int, error) {
	if len(buf) < ephysHeader {
		return 0, nil
	}
	_, _, size, _, err := f.head(buf)
	if err != nil || len(buf) < size {
		return 0, err
	}
	return size, nil
}

func likeEphys(pkt []byte) float64 {
	if len(pkt) < ephysHeader {
		return 0
	}
	if _, _, size, _, err := new(ephys).head(pkt); err != nil || size != len(pkt) {
		return 0
	}
	return 0.95
}

func (f *ephys) packet(pkt []byte) (c, n int, typ SampleType, err error) {
	if len(pkt) < ephysHeader {
		return 0, 0, 0, f.faultOf(len(pkt), "message ends inside its header", int64(len(pkt)), ephysHeader)
	}
	c, n, size, typ, err := f.head(pkt)
	if err == nil && size != len(pkt) {
		err = f.faultOf(4, "length of the message", int64(len(pkt)), int64(size))
	}
	return c, n, typ, err
}

func (f *ephys) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	c, n, typ, err := f.packet(pkt)
	if err != nil {
		return false, err
	}
	channels, err := f.stated.channels(c, "ch")
	if err != nil {
		return false, err
	}
	l := &f.layout
	// Messages are alike; a sender that varies them stays below a second.
	l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: min(max(n, int(f.stated.rate)), mostCells/c)}
	f.matrix = matrix{typ: typ, byRow: true}
	if f.bit.Bit != 0 {
		l.Scales = make([]Scale, c)
		for i := range l.Scales {
			l.Scales[i] = f.bit
		}
		f.matrix.scales = l.Scales
	}
	if f.stated.unit == "" {
		l.Notes = append(l.Notes, "the unit is not known: neither the messages nor the URL say it")
	}
	l.Notes = append(l.Notes, "no stamp and no sequence: loss shows only in the rate of arrival")
	if err := l.Header.Validate(); err != nil {
		return false, err
	}
	f.depth, f.ready = le.Uint16(pkt[8:]), true
	return true, nil
}

func (f *ephys) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	c, n, typ, err := f.packet(pkt)
	switch {
	case err != nil:
		return err
	case c != dst.Rows():
		return f.faultOf(14, "the number of channels has changed", int64(c), int64(dst.Rows()))
	case typ != f.matrix.typ:
		return f.faultOf(8, "depth has changed", int64(le.Uint16(pkt[8:])), int64(f.depth))
	case !room(dst, n):
		return f.faultOf(18, "columns in the message", int64(n), int64(dst.Cap()-dst.Len))
	}
	f.records = append(f.records, Record{Column: dst.Len, Columns: n})
	f.matrix.decode(dst, pkt[ephysHeader:], n)
	return nil
}

// ephysEncoder writes what the plugin reads.
type ephysEncoder struct {
	depth  int
	bit    Scale
	matrix matrix
	rows   int
}

var ephysEncoderParams = []Param{
	{Name: "sample", Doc: "f32 u8 i8 u16 i16 i32 f64", Default: "f32"},
	{Name: "bit", Doc: "units per count", Default: "1"},
	{Name: "offset", Doc: "units", Default: "0"},
}

func newEphysEncoder(p *Parameters) (Encoder, error) {
	e := &ephysEncoder{bit: Scale{Bit: p.Float("bit", 0, -1e300, 1e300), Offset: p.Float("offset", 0, -1e300, 1e300)}}
	typ := parseType(p.Choice("sample", "f32", "u8", "i8", "u16", "i16", "i32", "f64"))
	for i, t := range ephysDepths {
		if t == typ {
			e.depth = i
		}
	}
	e.matrix = matrix{typ: typ, byRow: true}
	return e, nil
}

func (e *ephysEncoder) Open(in stream.Header) error {
	e.rows = len(in.Channels)
	if e.rows*in.MaxLen*e.matrix.typ.Size() > ephysFrame-ephysHeader {
		return fmt.Errorf("ephys-socket: chunks of %d × %d are too long for a message", e.rows, in.MaxLen)
	}
	if e.bit.Bit != 0 {
		e.matrix.scales = make([]Scale, e.rows)
		for i := range e.matrix.scales {
			e.matrix.scales[i] = e.bit
		}
	}
	return nil
}

func (e *ephysEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *ephysEncoder) Finish(dst []byte) []byte            { return dst }

func (e *ephysEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n, size := to-from, e.matrix.typ.Size()
	if n == 0 {
		return dst, 0
	}
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, uint32(n*e.rows*size))
	dst = le.AppendUint16(dst, uint16(e.depth))
	dst = le.AppendUint32(dst, uint32(size))
	dst = le.AppendUint32(dst, uint32(e.rows))
	dst = le.AppendUint32(dst, uint32(n))
	return e.matrix.encode(dst, src, from, to), n
}
