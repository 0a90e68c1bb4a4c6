package udp

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// BrainProducts Remote Data Access, TCP, little endian. We connect and read.
//
//	every message   0 u8[16] GUID 8E455843-96C9864C-AF4A98BB-F6C91450
//	               16 u32 size, header included   20 u32 type
//	type 1 start   24 u32 C   28 f64 interval, us   36 f64[C] resolution, uV per count
//	               then C labels, each ended by a zero
//	type 2, 4      24 u32 block   28 u32 points   32 u32 markers
//	data           36 samples, column after column: i16 (type 2) or f32 (type 4)
//	               then per marker: u32 size, u32 position, u32 points, i32 channel,
//	               kind and description, each ended by a zero: the label KIND/DESCRIPTION
//	type 3 stop
//
// The type says what the samples are, never the port: the maker's recorder offers
// float at 51244 and integers at 51234, other servers do it otherwise. Integers are
// multiplied by the resolution; floats are taken as microvolts, which is not
// verified with a recorder: scaled=false multiplies them too. The block counter is
// the evidence of loss.
//
// Source: FieldTrip, rdadefs.h.
type rda struct {
	scratch
	stated  stated
	longest float64
	scaled  bool
	typ     uint32 // 2 or 4; 0 until the first data
	start   []byte // the message that the layout is of
	begun   bool   // its copy has passed Decode
	matrix  matrix
	scales  []Scale
	ready   bool
	labels  labels
	text    []byte
}

var rdaGUID = []byte{0x8e, 0x45, 0x58, 0x43, 0x96, 0xc9, 0x86, 0x4c, 0xaf, 0x4a, 0x98, 0xbb, 0xf6, 0xc9, 0x14, 0x50}

const (
	rdaStart  = 1
	rdaInt16  = 2
	rdaStop   = 3
	rdaFloat  = 4
	rdaFrame  = 1 << 24
	mostCells = 1 << 24 // channels × columns of a TCP packet
)

var rdaParams = []Param{
	{Name: "channels", Doc: "labels, separated by commas", Default: "those of the recorder"},
	{Name: "scaled", Doc: "floats are microvolts already", Default: "true"},
	{Name: "longest", Doc: "seconds of the longest block to expect", Default: "1"},
	{Name: "name", Doc: "of the stream"},
}

func newRDA(p *Parameters) (Format, error) {
	f := &rda{longest: p.Float("longest", 1, 0.001, 60), scaled: p.Truth("scaled", true), labels: labels{}}
	f.name = "rda"
	f.stated = stated{name: p.Text("name", "RDA"), labels: p.List("channels"), unit: "uV", kind: "EEG"}
	return f, nil
}

func likeRDA(pkt []byte) float64 {
	if len(pkt) < 24 || !bytes.Equal(pkt[:16], rdaGUID) {
		return 0
	}
	return 1
}

func (f *rda) MaxFrame() int { return rdaFrame }

func (f *rda) Frame(buf []byte) (int, error) {
	n := min(len(buf), 16)
	if !bytes.Equal(buf[:n], rdaGUID[:n]) {
		return 0, f.fault(0, "no message of RDA begins here")
	}
	if len(buf) < 24 {
		return 0, nil
	}
	size := le.Uint32(buf[16:])
	if size < 24 || size > rdaFrame {
		return 0, f.faultOf(16, "size of the message", int64(size), rdaFrame)
	}
	if len(buf) < int(size) {
		return 0, nil
	}
	return int(size), nil
}

// message verifies the header and returns the type.
func (f *rda) message(pkt []byte) (uint32, error) {
	switch {
	case len(pkt) < 24:
		return 0, f.faultOf(len(pkt), "message ends inside its header", int64(len(pkt)), 24)
	case !bytes.Equal(pkt[:16], rdaGUID):
		return 0, f.fault(0, "no message of RDA")
	case le.Uint32(pkt[16:]) != uint32(len(pkt)):
		return 0, f.faultOf(16, "size of the message", int64(le.Uint32(pkt[16:])), int64(len(pkt)))
	}
	return le.Uint32(pkt[20:]), nil
}

func (f *rda) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	typ, err := f.message(pkt)
	if err != nil {
		return false, err
	}
	switch typ {
	case rdaStart:
		return false, f.learnStart(pkt)
	case rdaInt16, rdaFloat:
		if f.start == nil {
			return false, f.fault(20, "data before a start message: connect anew")
		}
		f.typ = typ
		f.matrix = matrix{typ: F32, scales: f.scales}
		if typ == rdaInt16 {
			f.matrix.typ = I16
			f.layout.Scales = f.scales
		} else if f.scaled {
			f.matrix.scales = nil
		} else {
			f.layout.Scales = f.scales
		}
		f.ready = true
		return true, nil
	}
	return false, ErrOther
}

func (f *rda) learnStart(pkt []byte) error {
	if len(pkt) < 36 {
		return f.faultOf(len(pkt), "start message ends too early", int64(len(pkt)), 36)
	}
	c := int(le.Uint32(pkt[24:]))
	interval := math.Float64frombits(le.Uint64(pkt[28:]))
	switch {
	case c < 1 || c > stream.MaxChannels || len(pkt) < 36+9*c:
		return f.faultOf(24, "channels do not fit the message", int64(uint32(c)), int64((len(pkt)-36)/9))
	case !(interval >= 1 && interval <= 1e9):
		return f.fault(28, "the sampling interval is no time")
	}
	f.scales = make([]Scale, c)
	for i := range f.scales {
		bit := math.Float64frombits(le.Uint64(pkt[36+8*i:]))
		if !finite(bit) || bit == 0 {
			return f.fault(36+8*i, "a resolution is no number, or zero")
		}
		f.scales[i] = Scale{Bit: bit, Low: -32768 * bit, High: 32767 * bit}
	}
	channels, err := f.stated.channels(c, "ch")
	if err != nil {
		return err
	}
	names := pkt[36+8*c:]
	for i := range channels {
		n := bytes.IndexByte(names, 0)
		if n < 0 {
			return f.fault(len(pkt), "a label is not ended by a zero")
		}
		if f.stated.labels == nil && n > 0 {
			channels[i].Label = f.labels.of(names[:n])
		}
		names = names[n+1:]
	}
	rate := 1e6 / interval
	f.layout = Layout{
		Header:   stream.Header{Name: f.stated.name, Rate: rate, Channels: channels, MaxLen: max(1, min(int(math.Ceil(rate*f.longest)), mostCells/c))},
		Evidence: EvidenceCounter, Counter: Counter{Modulus: 1 << 32},
	}
	f.start = bytes.Clone(pkt)
	return f.layout.Header.Validate()
}

func (f *rda) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	typ, err := f.message(pkt)
	if err != nil {
		return err
	}
	switch typ {
	case rdaStart:
		if !bytes.Equal(pkt, f.start) {
			return f.fault(24, "the recorder has begun anew with other channels or another rate: open the source anew")
		}
		if f.begun {
			dst.Events = append(dst.Events, stream.Event{Kind: stream.EventRestart, Count: 1, Detail: "the recorder sent a start message"})
			return nil
		}
		f.begun = true
		return ErrOther
	case rdaStop:
		return ErrEnd
	case rdaInt16, rdaFloat:
	default:
		return ErrOther
	}
	if typ != f.typ {
		return f.faultOf(20, "the sample type has changed", int64(typ), int64(f.typ))
	}
	if len(pkt) < 36 {
		return f.faultOf(len(pkt), "data message ends too early", int64(len(pkt)), 36)
	}
	points, marks := le.Uint32(pkt[28:]), le.Uint32(pkt[32:])
	column := dst.Rows() * f.matrix.typ.Size()
	if uint64(points)*uint64(column) > uint64(len(pkt)-36) {
		return f.faultOf(28, "points do not fit the message", int64(points), int64((len(pkt)-36)/column))
	}
	n := int(points)
	if !room(dst, n) {
		return f.faultOf(28, "a block longer than expected, in points; say longest=SECONDS", int64(n), int64(dst.Cap()-dst.Len))
	}
	before := placeOf(dst)
	at := 36 + n*column
	for range marks {
		if len(pkt)-at < 16 {
			before.restore(dst)
			return f.fault(at, "message ends inside a marker")
		}
		size, pos, long := le.Uint32(pkt[at:]), le.Uint32(pkt[at+4:]), le.Uint32(pkt[at+8:])
		if size < 18 || uint64(size) > uint64(len(pkt)-at) {
			before.restore(dst)
			return f.faultOf(at, "size of a marker", int64(size), int64(len(pkt)-at))
		}
		text := pkt[at+16 : at+int(size)]
		kind, rest, ok := bytes.Cut(text, []byte{0})
		label, _, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 || int64(pos) >= int64(max(n, 1)) {
			before.restore(dst)
			return f.fault(at, "a marker's texts are not ended by zeros, or it lies outside its block")
		}
		f.text = f.text[:0]
		if len(kind) > 0 {
			f.text = append(append(f.text, kind...), '/')
		}
		f.text = append(f.text, label...)
		m := stream.Marker{Column: dst.Len + int(pos), Label: f.labels.of(f.text)}
		if long > 1 {
			m.Duration = float64(long) / f.layout.Header.Rate
		}
		dst.Markers = append(dst.Markers, m)
		at += int(size)
	}
	if at != len(pkt) {
		before.restore(dst)
		return f.faultOf(at, "bytes behind the last marker", int64(len(pkt)), int64(at))
	}
	f.records = append(f.records, Record{Column: dst.Len, Columns: n, Has: EvidenceCounter, Counter: uint64(le.Uint32(pkt[24:]))})
	f.matrix.decode(dst, pkt[36:], n)
	return nil
}

// rdaEncoder plays a recorder.
type rdaEncoder struct {
	matrix matrix
	bit    float64
	start  []byte
	block  uint32
}

var rdaEncoderParams = []Param{
	{Name: "sample", Doc: "f32 or i16", Default: "f32"},
	{Name: "bit", Doc: "resolution, uV per count", Default: "0.1"},
}

func newRDAEncoder(p *Parameters) (Encoder, error) {
	e := &rdaEncoder{bit: p.Float("bit", 0.1, 1e-9, 1e9)}
	e.matrix.typ = parseType(p.Choice("sample", "f32", "i16"))
	return e, nil
}

func rdaHead(dst []byte, typ uint32) []byte {
	dst = append(append(dst, rdaGUID...), 0, 0, 0, 0)
	return le.AppendUint32(dst, typ)
}

func (e *rdaEncoder) Open(in stream.Header) error {
	if in.Rate <= 0 || in.Rate > 1e6 {
		return fmt.Errorf("rda: a stream at %g Hz has no sampling interval in microseconds", in.Rate)
	}
	if in.MaxLen*len(in.Channels)*e.matrix.typ.Size() > rdaFrame/2 {
		return fmt.Errorf("rda: chunks of %d × %d are too long for a message", len(in.Channels), in.MaxLen)
	}
	b := le.AppendUint32(rdaHead(nil, rdaStart), uint32(len(in.Channels)))
	b = le.AppendUint64(b, math.Float64bits(1e6/in.Rate))
	if e.matrix.typ == I16 {
		e.matrix.scales = make([]Scale, len(in.Channels))
	}
	for i := range in.Channels {
		b = le.AppendUint64(b, math.Float64bits(e.bit))
		if e.matrix.scales != nil {
			e.matrix.scales[i].Bit = e.bit
		}
	}
	for _, l := range in.Labels() {
		b = append(append(b, l...), 0)
	}
	le.PutUint32(b[16:], uint32(len(b)))
	e.start = b
	return nil
}

func (e *rdaEncoder) Preamble(dst []byte) ([]byte, []int) {
	return append(dst, e.start...), []int{len(e.start)}
}

func (e *rdaEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	if from == to {
		return dst, 0
	}
	typ := uint32(rdaFloat)
	if e.matrix.typ == I16 {
		typ = rdaInt16
	}
	start := len(dst)
	dst = le.AppendUint32(rdaHead(dst, typ), e.block)
	e.block++
	dst = le.AppendUint32(dst, uint32(to-from))
	dst = le.AppendUint32(dst, 0)
	dst = e.matrix.encode(dst, src, from, to)
	marks := uint32(0)
	for i := range src.Markers {
		m := &src.Markers[i]
		if m.Column < from || m.Column >= to {
			continue
		}
		marks++
		kind, label, two := strings.Cut(m.Label, "/")
		if !two {
			kind, label = "", m.Label
		}
		dst = le.AppendUint32(dst, uint32(16+len(kind)+1+len(label)+1))
		dst = le.AppendUint32(dst, uint32(m.Column-from))
		dst = le.AppendUint32(dst, 1)
		dst = le.AppendUint32(dst, math.MaxUint32) // all channels
		dst = append(append(append(append(dst, kind...), 0), label...), 0)
	}
	le.PutUint32(dst[start+32:], marks)
	le.PutUint32(dst[start+16:], uint32(len(dst)-start))
	return dst, to - from
}

func (e *rdaEncoder) Finish(dst []byte) []byte {
	start := len(dst)
	dst = rdaHead(dst, rdaStop)
	le.PutUint32(dst[start+16:], 24)
	return dst
}
