package udp

import (
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"

	"neurostream/stream"
)

// The native format has what the others lack: sequence, sample index, clock and
// checksum. All numbers little endian.
//
//	 0  u8[4]  magic "NSTR"
//	 4  u16    version 1
//	 6  u16    flags: 1 description, 2 markers follow the samples, 4 end of stream
//	 8  u32    stream id: which of several streams on one port
//	12  u32    sequence: +1 per packet that is no description
//	16  u64    index of the first sample
//	24  i64    sender's clock at the first sample, ns since 1970 (0 = none)
//	32  u16    channels C
//	34  u16    columns n
//	36  u8     type: 4 i16, 5 i24, 6 i32, 7 f32, 8 f64
//	37  u8     unit: 0 see description, 1 none, 2 uV, 3 mV, 4 V, 5 nV
//	38  u16    reserved, 0
//	40  u32    CRC-32C of the whole packet, this field taken as 0
//	44  u32    nominal rate in mHz (0 = irregular)
//	48  samples, channel-major: C × n
//	    markers: u16 count, then per marker u16 column, u16 bytes, f32 seconds, text
//
// A description has n = 0, the same sequence as the data packet that follows, and
// instead of samples UTF-8 text: one line with the stream's name, then C lines
//
//	label TAB unit TAB type TAB bit TAB offset
//
// where value = bit·count + offset (bit 0: the samples are values). Senders put one
// at the start and one every second. Without it, float samples are read with the
// labels ch1, ch2, … and the header's unit; integers have to wait for it.
const (
	nativeHeader  = 48
	nativeVersion = 1

	nativeDescription = 1 << 0
	nativeMarkers     = 1 << 1
	nativeEnd         = 1 << 2
)

var (
	nativeMagic = [4]byte{'N', 'S', 'T', 'R'}
	nativeUnits = [...]string{"", "", "uV", "mV", "V", "nV"}
	nativeNoCRC = make([]byte, 4)
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

func nativeCRC(pkt []byte) uint32 {
	c := crc32.Update(0, castagnoli, pkt[:40])
	c = crc32.Update(c, castagnoli, nativeNoCRC)
	return crc32.Update(c, castagnoli, pkt[44:])
}

// native decodes the native format.
type native struct {
	scratch
	stated  stated
	wanted  int64 // stream id; -1 = that of the first packet
	id      uint32
	matrix  matrix
	unit    uint8
	mhz     uint32
	ready   bool
	waiting int // data packets seen without a description
	labels  labels
}

// nativePatience is after how many packets a float stream is read without its
// description.
const nativePatience = 8

func newNative(p *Parameters) (Format, error) {
	f := &native{stated: p.stated("native", "", "EEG"), wanted: int64(p.Int("stream", -1, 0, math.MaxUint32)), labels: labels{}}
	f.name = "native"
	return f, nil
}

var nativeParams = append([]Param{{Name: "stream", Doc: "stream id; without it that of the first packet"}}, statedParams...)

func likeNative(pkt []byte) float64 {
	if len(pkt) < nativeHeader || [4]byte(pkt[:4]) != nativeMagic {
		return 0
	}
	if le.Uint32(pkt[40:]) != nativeCRC(pkt) {
		return 0.5
	}
	return 1
}

// check verifies everything but the layout.
func (f *native) check(pkt []byte) error {
	switch {
	case len(pkt) < nativeHeader:
		return f.faultOf(len(pkt), "packet ends inside the header", int64(len(pkt)), nativeHeader)
	case [4]byte(pkt[:4]) != nativeMagic:
		return f.fault(0, "does not begin with NSTR")
	case le.Uint16(pkt[4:]) != nativeVersion:
		return f.faultOf(4, "version", int64(le.Uint16(pkt[4:])), nativeVersion)
	case le.Uint32(pkt[40:]) != nativeCRC(pkt):
		return f.fault(40, "checksum is wrong: the packet is damaged")
	case f.wanted >= 0 && le.Uint32(pkt[8:]) != uint32(f.wanted):
		return ErrOther
	}
	return nil
}

// samples returns where the samples end.
func (f *native) samples(pkt []byte) (c, n int, t SampleType, end int, err error) {
	c, n, t = int(le.Uint16(pkt[32:])), int(le.Uint16(pkt[34:])), SampleType(pkt[36])
	switch t {
	case I16, I24, I32, F32, F64:
	default:
		return 0, 0, 0, 0, f.faultOf(36, "sample type is not known", int64(t), int64(F32))
	}
	if int(pkt[37]) >= len(nativeUnits) {
		return 0, 0, 0, 0, f.faultOf(37, "unit is not known", int64(pkt[37]), 0)
	}
	end = nativeHeader + c*n*t.Size()
	flags := le.Uint16(pkt[6:])
	switch {
	case c == 0:
		return 0, 0, 0, 0, f.fault(32, "no channels")
	case flags&nativeDescription != 0 && n != 0:
		return 0, 0, 0, 0, f.fault(34, "a description with samples")
	case flags&(nativeDescription|nativeMarkers) == 0 && len(pkt) != end:
		return 0, 0, 0, 0, f.faultOf(34, "packet's length does not fit channels × columns", int64(len(pkt)), int64(end))
	case len(pkt) < end:
		return 0, 0, 0, 0, f.faultOf(34, "packet's length does not fit channels × columns", int64(len(pkt)), int64(end))
	}
	return c, n, t, end, nil
}

func (f *native) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	if err := f.check(pkt); err != nil {
		return false, err
	}
	c, n, t, end, err := f.samples(pkt)
	if err != nil {
		return false, err
	}
	flags, described := le.Uint16(pkt[6:]), false
	name, unit := f.stated.name, nativeUnits[pkt[37]]
	if f.stated.unit != "" {
		unit = f.stated.unit
	}
	st := f.stated
	st.unit = unit
	channels, err := st.channels(c, "ch")
	if err != nil {
		return false, err
	}
	scales := make([]Scale, c)
	switch {
	case flags&nativeDescription != 0:
		if err := f.describe(string(pkt[end:]), &name, channels, scales); err != nil {
			return false, err
		}
		described = true
	case n == 0:
		return false, nil // markers or the end: the description comes
	default:
		f.waiting++
		if !t.Float() || f.waiting < nativePatience {
			return false, nil
		}
	}
	rate := float64(le.Uint32(pkt[44:])) / 1000
	if f.stated.rate != 0 {
		if rate != 0 && math.Abs(rate-f.stated.rate) > 0.001 {
			return false, fmt.Errorf("native: the URL says rate=%g, the packets %g Hz", f.stated.rate, rate)
		}
		rate = f.stated.rate
	}
	f.mhz = le.Uint32(pkt[44:])
	f.wanted, f.id, f.unit = int64(le.Uint32(pkt[8:])), le.Uint32(pkt[8:]), pkt[37]
	f.matrix = matrix{typ: t, byRow: true}
	counts := false
	for i := range scales {
		counts = counts || scales[i].Bit != 0
	}
	l := &f.layout
	if counts {
		f.matrix.scales = scales
		l.Scales = scales
	}
	l.Header = stream.Header{Name: name, Rate: rate, Channels: channels, MaxLen: max(1, (maxDatagram-nativeHeader)/(c*t.Size()))}
	if rate == 0 {
		l.Header.MaxLen = 1
	}
	l.Evidence = EvidenceCounter | EvidenceIndex | EvidenceStamp | EvidenceChecksum
	l.Counter = Counter{Modulus: 1 << 32}
	l.Clock = ClockUnix
	if !described {
		l.Notes = append(l.Notes, "no description has come: labels are numbers")
	}
	if err := l.Header.Validate(); err != nil {
		return false, err
	}
	f.ready = true
	return true, nil
}

func (f *native) describe(text string, name *string, channels []stream.Channel, scales []Scale) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != len(channels)+1 {
		return fmt.Errorf("native: a description of %d channels has %d lines, not %d", len(channels), len(lines), len(channels)+1)
	}
	if f.stated.name == "native" && lines[0] != "" {
		*name = lines[0]
	}
	for i, line := range lines[1:] {
		field := strings.Split(line, "\t")
		if len(field) != 5 {
			return fmt.Errorf("native: line %d of the description has %d fields, not 5", i+2, len(field))
		}
		ch := &channels[i]
		if f.stated.labels == nil {
			ch.Label = field[0]
		}
		if f.stated.unit == "" && field[1] != "" {
			ch.Unit = field[1]
		}
		ch.Type = field[2]
		bit, err1 := strconv.ParseFloat(field[3], 64)
		offset, err2 := strconv.ParseFloat(field[4], 64)
		if err1 != nil || err2 != nil || !finite(bit) || !finite(offset) {
			return fmt.Errorf("native: line %d of the description: scale %q, offset %q", i+2, field[3], field[4])
		}
		scales[i] = Scale{Bit: bit, Offset: offset}
	}
	return nil
}

func (f *native) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	if err := f.check(pkt); err != nil {
		return err
	}
	c, n, t, end, err := f.samples(pkt)
	if err != nil {
		return err
	}
	flags := le.Uint16(pkt[6:])
	switch {
	case c != dst.Rows():
		return f.faultOf(32, "the number of channels has changed", int64(c), int64(dst.Rows()))
	case flags&nativeDescription != 0:
		return ErrOther
	case n > 0 && t != f.matrix.typ:
		return f.faultOf(36, "the sample type has changed", int64(t), int64(f.matrix.typ))
	case n > 0 && (pkt[37] != f.unit || le.Uint32(pkt[44:]) != f.mhz):
		return f.fault(37, "unit or rate have changed")
	case !room(dst, n):
		return f.faultOf(34, "more columns than an irregular stream may have", int64(n), int64(dst.Cap()-dst.Len))
	}
	at := placeOf(dst)
	if flags&nativeMarkers != 0 {
		if err := f.markers(dst, pkt, end, n); err != nil {
			at.restore(dst)
			return err
		}
	}
	f.matrix.decode(dst, pkt[nativeHeader:end], n)
	r := Record{Column: at.columns, Columns: n, Has: EvidenceCounter | EvidenceIndex | EvidenceChecksum, Counter: uint64(le.Uint32(pkt[12:])), Index: int64(le.Uint64(pkt[16:]) & math.MaxInt64)}
	if s := int64(le.Uint64(pkt[24:])); s != 0 {
		r.Stamp = s
		r.Has |= EvidenceStamp
	}
	f.records = append(f.records, r)
	if flags&nativeEnd != 0 && n == 0 {
		return ErrEnd
	}
	return nil
}

func (f *native) markers(dst *stream.Chunk, pkt []byte, at, n int) error {
	if len(pkt) < at+2 {
		return f.fault(at, "packet ends before its markers")
	}
	count := int(le.Uint16(pkt[at:]))
	at += 2
	for range count {
		if len(pkt) < at+8 {
			return f.fault(at, "packet ends inside a marker")
		}
		col, size, sec := int(le.Uint16(pkt[at:])), int(le.Uint16(pkt[at+2:])), float64(math.Float32frombits(le.Uint32(pkt[at+4:])))
		if col > n {
			return f.faultOf(at, "marker behind the packet's last column", int64(col), int64(n))
		}
		if len(pkt) < at+8+size {
			return f.faultOf(at+2, "marker is longer than the packet", int64(size), int64(len(pkt)-at-8))
		}
		if !(sec >= 0) || !finite(sec) {
			sec = 0
		}
		dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len + col, Label: f.labels.of(pkt[at+8 : at+8+size]), Duration: sec})
		at += 8 + size
	}
	if at != len(pkt) {
		return f.faultOf(at, "bytes behind the last marker", int64(len(pkt)), int64(at))
	}
	return nil
}

// nativeEncoder writes the native format.
type nativeEncoder struct {
	id     uint32
	matrix matrix
	size   int // bytes of samples per packet, at most
	head   []byte
	desc   []byte
	rate   float64
	seq    uint32
	index  int64
	begun  bool
	next   int64 // Seq of the column that would follow
	sinceD int   // columns since the last description
	rows   int
}

func newNativeEncoder(p *Parameters) (Encoder, error) {
	e := &nativeEncoder{id: uint32(p.Int("stream", 1, 0, math.MaxUint32)), size: p.Int("payload", 1400, 64, maxDatagram-nativeHeader)}
	switch p.Choice("sample", "f32", "f64", "i16", "i32") {
	case "f32":
		e.matrix.typ = F32
	case "f64":
		e.matrix.typ = F64
	case "i16":
		e.matrix.typ = I16
	case "i32":
		e.matrix.typ = I32
	}
	e.matrix.byRow = true
	if bit := p.Float("bit", 0, 1e-12, 1e12); e.matrix.typ.Float() && bit != 0 {
		p.Fail("bit= is the unit per count of an integer sample type")
	} else if !e.matrix.typ.Float() {
		if bit == 0 {
			p.Fail("integer samples need bit=: units per count")
		}
		e.matrix.scales = []Scale{{Bit: bit}}
	}
	return e, nil
}

var nativeEncoderParams = []Param{
	{Name: "stream", Doc: "stream id", Default: "1"},
	{Name: "sample", Doc: "f32, f64, i16 or i32", Default: "f32"},
	{Name: "bit", Doc: "units per count of integer samples"},
	{Name: "payload", Doc: "bytes of samples per packet, at most", Default: "1400"},
}

func (e *nativeEncoder) Open(in stream.Header) error {
	e.rows, e.rate = len(in.Channels), in.Rate
	if e.rows*e.matrix.typ.Size() > maxDatagram-nativeHeader {
		return fmt.Errorf("native: a column of %d channels does not fit a datagram", e.rows)
	}
	if mhz := in.Rate * 1000; mhz > math.MaxUint32 {
		return fmt.Errorf("native: a rate of %g Hz is too high", in.Rate)
	}
	scale := Scale{}
	if e.matrix.scales != nil {
		scale = e.matrix.scales[0]
		e.matrix.scales = make([]Scale, e.rows)
		for i := range e.matrix.scales {
			e.matrix.scales[i] = scale
		}
	}
	unit := uint8(1)
	for i, ch := range in.Channels {
		u := uint8(0)
		for k, name := range nativeUnits {
			if k > 0 && ch.Unit == name {
				u = uint8(k)
			}
		}
		if i == 0 {
			unit = u
		} else if u != unit {
			unit = 0
		}
	}
	h := make([]byte, nativeHeader)
	copy(h, nativeMagic[:])
	le.PutUint16(h[4:], nativeVersion)
	le.PutUint32(h[8:], e.id)
	le.PutUint16(h[32:], uint16(e.rows))
	h[36], h[37] = byte(e.matrix.typ), unit
	le.PutUint32(h[44:], uint32(math.RoundToEven(in.Rate*1000)))
	e.head = h
	clean := strings.NewReplacer("\t", " ", "\n", " ")
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", clean.Replace(in.Name))
	for _, ch := range in.Channels {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%v\t%v\n", clean.Replace(ch.Label), clean.Replace(ch.Unit), clean.Replace(ch.Type), scale.Bit, scale.Offset)
	}
	if b.Len() > maxDatagram-nativeHeader {
		return fmt.Errorf("native: the description of %d channels does not fit a datagram", e.rows)
	}
	e.desc = []byte(b.String())
	return nil
}

func (e *nativeEncoder) seal(dst []byte, from int, flags, n int, stamp int64) {
	h := dst[from:]
	le.PutUint16(h[6:], uint16(flags))
	le.PutUint32(h[12:], e.seq)
	le.PutUint64(h[16:], uint64(e.index))
	le.PutUint64(h[24:], uint64(stamp))
	le.PutUint16(h[34:], uint16(n))
	le.PutUint32(h[40:], nativeCRC(h))
}

func (e *nativeEncoder) Preamble(dst []byte) ([]byte, []int) {
	from := len(dst)
	dst = e.describe(dst)
	return dst, []int{len(dst) - from}
}

func (e *nativeEncoder) describe(dst []byte) []byte {
	from := len(dst)
	dst = append(append(dst, e.head...), e.desc...)
	e.seal(dst, from, nativeDescription, 0, 0)
	e.sinceD = 0
	return dst
}

func (e *nativeEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	if e.begun && from == 0 && src.Seq > e.next {
		e.index += src.Seq - e.next // a gap stays one
	}
	if from == 0 {
		e.begun, e.next = true, src.Seq+int64(src.Len)
	}
	if e.rate > 0 && float64(e.sinceD) >= e.rate {
		return e.describe(dst), 0
	}
	n := min(to-from, max(1, e.size/(e.rows*e.matrix.typ.Size())), math.MaxUint16)
	start := len(dst)
	dst = append(dst, e.head...)
	dst = e.matrix.encode(dst, src, from, from+n)
	flags, count, room := 0, 0, maxDatagram-(len(dst)-start)-2
	counted := len(dst)
	for i := range src.Markers {
		m := &src.Markers[i]
		inside := m.Column >= from && m.Column < from+n || n == 0 && m.Column == from
		if room -= 8 + len(m.Label); !inside || room < 0 || len(m.Label) > math.MaxUint16 || count == math.MaxUint16 {
			continue
		}
		if count == 0 {
			dst = append(dst, 0, 0)
			flags = nativeMarkers
		}
		count++
		dst = le.AppendUint16(dst, uint16(m.Column-from))
		dst = le.AppendUint16(dst, uint16(len(m.Label)))
		dst = le.AppendUint32(dst, math.Float32bits(float32(m.Duration)))
		dst = append(dst, m.Label...)
	}
	if count > 0 {
		le.PutUint16(dst[counted:], uint16(count))
	}
	stamp := int64(src.T0)
	if stamp != 0 && e.rate > 0 {
		stamp += int64(math.RoundToEven(float64(from) / e.rate * float64(time.Second)))
	}
	e.seal(dst, start, flags, n, stamp)
	e.seq++
	e.index += int64(n)
	e.sinceD += n
	return dst, n
}

func (e *nativeEncoder) Finish(dst []byte) []byte {
	from := len(dst)
	dst = append(dst, e.head...)
	e.seal(dst, from, nativeEnd, 0, 0)
	e.seq++
	return dst
}
