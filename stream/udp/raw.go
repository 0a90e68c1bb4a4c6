package udp

import (
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// Numbers without a description, as people's own scripts send them. The URL says
// what lies where; nothing is guessed.
//
//	[skip bytes] [counter] [stamp] numbers: C × n   [trailing bytes]
//
//	sample=f32     u8 i8 u16 i16 u24 i24 u32 i32 f32 f64
//	order=little   little or big
//	layout=columns columns: all channels of a column side by side; rows: all columns
//	               of a channel side by side
//	counter=u32    u8 u16 u32 u64 in front, +step per column (step 0: per packet)
//	stamp=f64      f64: seconds; u64, i64: nanoseconds; us64: microseconds; ms64:
//	               milliseconds; u32: units of tick=
//
// The number of columns follows from the length of the packet. Over TCP columns=
// must say it, as nothing else ends a packet.
//
// Simulink's UDP Send and many vendors' tools write packed little endian numbers:
// that raw reads them is likely, but not verified with a capture.
type raw struct {
	scratch
	matrix  matrix
	rows    int
	skip    int
	trail   int
	counter int    // bytes
	stamp   string //
	tick    float64
	columns int // 0 = any
}

var rawParams = append([]Param{
	{Name: "count", Doc: "number of channels; or name them with channels="},
	{Name: "sample", Doc: "type of the numbers: " + strings.Join(typeNames(), " ")},
	{Name: "order", Doc: "byte order: little or big", Default: "little"},
	{Name: "layout", Doc: "columns (channels side by side) or rows (columns side by side)", Default: "columns"},
	{Name: "columns", Doc: "per packet; 0 = as many as it holds", Default: "0"},
	{Name: "skip", Doc: "bytes in front", Default: "0"},
	{Name: "trailing", Doc: "bytes behind the numbers", Default: "0"},
	{Name: "counter", Doc: "in front of the numbers: none, u8, u16, u32 or u64", Default: "none"},
	{Name: "step", Doc: "by how much the counter grows per column; 0 = by one per packet", Default: "0"},
	{Name: "modulus", Doc: "where the counter starts again at 0", Default: "2^bits"},
	{Name: "stamp", Doc: "behind the counter: none, f64 (s), i64 or u64 (ns), us64, ms64, u32 (tick=)", Default: "none"},
	{Name: "tick", Doc: "seconds per unit of a u32 stamp"},
	{Name: "clock", Doc: "of the stamp: device or unix", Default: "device"},
	{Name: "bit", Doc: "units per count: value = bit·count + offset"},
	{Name: "offset", Doc: "units", Default: "0"},
	{Name: "low", Doc: "lowest value that the sender can express, in units"},
	{Name: "high", Doc: "highest value that the sender can express, in units"},
}, statedParams...)

func counterSize(p *Parameters) int {
	return map[string]int{"none": 0, "u8": 1, "u16": 2, "u32": 4, "u64": 8}[p.Choice("counter", "none", "u8", "u16", "u32", "u64")]
}

func (f *raw) read(p *Parameters) {
	f.name = "raw"
	f.matrix.typ = parseType(p.Text("sample", ""))
	if f.matrix.typ == NoType {
		p.Fail("raw packets do not say what they hold: add sample= one of %s", strings.Join(typeNames(), " "))
		f.matrix.typ = F32
	}
	f.matrix.big = p.Choice("order", "little", "big") == "big"
	f.matrix.byRow = p.Choice("layout", "columns", "rows") == "rows"
	f.skip = p.Int("skip", 0, 0, maxDatagram)
	f.trail = p.Int("trailing", 0, 0, maxDatagram)
	f.counter = counterSize(p)
	f.stamp = p.Choice("stamp", "none", "f64", "i64", "u64", "us64", "ms64", "u32")
	f.tick = p.Float("tick", 0, 1e-12, 1e6)
	if f.stamp == "u32" && f.tick == 0 {
		p.Fail("stamp=u32 needs tick=: seconds per unit")
	}
	f.columns = p.Int("columns", 0, 0, maxDatagram)
}

func newRaw(p *Parameters) (Format, error) {
	f := new(raw)
	f.read(p)
	st := p.stated("raw", "", "EEG")
	count := p.Int("count", len(st.labels), 1, stream.MaxChannels)
	if count == 0 {
		p.Fail("how many channels? add count= or channels=")
	}
	step := p.Int("step", 0, 0, math.MaxInt32)
	modulus := uint64(p.Int("modulus", 0, 0, 1<<62))
	unixed := p.Choice("clock", "device", "unix") == "unix"
	bit, offset := p.Float("bit", 0, -1e300, 1e300), p.Float("offset", 0, -1e300, 1e300)
	low, high := p.Float("low", 0, -1e300, 1e300), p.Float("high", 0, -1e300, 1e300)
	if offset != 0 && bit == 0 {
		bit = 1
	}
	if p.err != nil {
		return nil, p.err
	}
	channels, err := st.channels(count, "ch")
	if err != nil {
		return nil, err
	}
	f.rows = count
	l := &f.layout
	size := count * f.matrix.typ.Size()
	l.Header = stream.Header{Name: st.name, Rate: st.rate, Channels: channels, MaxLen: (maxDatagram - f.head() - f.trail) / size}
	if f.columns > 0 {
		l.Header.MaxLen = f.columns
	}
	if l.Header.MaxLen < 1 {
		return nil, fmt.Errorf("udp: raw: a column of %d bytes with %d bytes around it does not fit a datagram", size, f.head()+f.trail)
	}
	if st.rate == 0 {
		if f.columns > 1 {
			return nil, fmt.Errorf("udp: raw: packets of %d columns need rate=HZ", f.columns)
		}
		l.Header.MaxLen = 1
	}
	if bit != 0 || low != high {
		l.Scales = make([]Scale, count)
		for i := range l.Scales {
			l.Scales[i] = Scale{Bit: bit, Offset: offset, Low: low, High: high}
		}
		if bit != 0 {
			f.matrix.scales = l.Scales
		}
	}
	if f.counter > 0 {
		if modulus == 0 && f.counter < 8 {
			modulus = 1 << (8 * f.counter)
		}
		if bits := 8 * f.counter; bits < 64 && modulus > 1<<bits {
			return nil, fmt.Errorf("udp: raw: modulus=%d is more than a counter of %d bits holds", modulus, bits)
		}
		l.Evidence |= EvidenceCounter
		l.Counter = Counter{Modulus: modulus, Step: uint64(step)}
	}
	if f.stamp != "none" {
		l.Evidence |= EvidenceStamp
		l.Clock = ClockDevice
		if unixed {
			l.Clock = ClockUnix
		}
	}
	if st.unit == "" {
		l.Notes = append(l.Notes, "the unit is not known: neither the packets nor the URL say it")
	}
	return f, l.Header.Validate()
}

func (f *raw) stampSize() int {
	switch f.stamp {
	case "none":
		return 0
	case "u32":
		return 4
	}
	return 8
}

func (f *raw) head() int { return f.skip + f.counter + f.stampSize() }

// fit returns how many columns a packet of this length holds.
func (f *raw) fit(pkt []byte) (int, error) {
	size, body := f.rows*f.matrix.typ.Size(), len(pkt)-f.head()-f.trail
	switch {
	case body <= 0 || body%size != 0:
		return 0, f.faultOf(min(len(pkt), f.head()), "bytes of numbers are no whole columns", int64(body), int64(size))
	case f.columns > 0 && body != f.columns*size:
		return 0, f.faultOf(f.head(), "columns in the packet", int64(body/size), int64(f.columns))
	}
	return body / size, nil
}

func (f *raw) Learn(pkt []byte) (bool, error) {
	if pkt != nil {
		if _, err := f.fit(pkt); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Frame cuts packets of a fixed length out of a byte stream.
func (f *raw) Frame(buf []byte) (int, error) {
	n := f.MaxFrame()
	if n == 0 {
		return 0, f.fault(0, "nothing ends a packet in a byte stream: add columns=")
	}
	if len(buf) < n {
		return 0, nil
	}
	return n, nil
}

func (f *raw) MaxFrame() int {
	if f.columns == 0 {
		return 0
	}
	return f.head() + f.trail + f.columns*f.rows*f.matrix.typ.Size()
}

func (f *raw) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	n, err := f.fit(pkt)
	if err != nil {
		return err
	}
	if !room(dst, n) {
		return f.faultOf(f.head(), "more columns than an irregular stream may have", int64(n), int64(dst.Cap()-dst.Len))
	}
	r := Record{Column: dst.Len, Columns: n}
	at := f.skip
	if f.counter > 0 {
		r.Counter, r.Has = unsigned(pkt[at:at+f.counter], f.matrix.big), EvidenceCounter
		if m := f.layout.Counter.Modulus; m != 0 && r.Counter >= m {
			return f.faultOf(at, "the counter is not below its modulus", int64(r.Counter), int64(m))
		}
		at += f.counter
	}
	if f.stamp != "none" {
		u := unsigned(pkt[at:at+f.stampSize()], f.matrix.big)
		s, ok := stampOf(f.stamp, u, f.tick)
		if !ok {
			return f.fault(at, "the stamp is no time")
		}
		r.Stamp = s
		r.Has |= EvidenceStamp
	}
	f.matrix.decode(dst, pkt[f.head():], n)
	f.records = append(f.records, r)
	return nil
}

// stampOf converts a stamp as it lies on the wire into nanoseconds.
func stampOf(kind string, u uint64, tick float64) (int64, bool) {
	limit := uint64(math.MaxInt64)
	switch kind {
	case "f64":
		v := math.Float64frombits(u)
		if !(v >= 0 && v < 9e9) {
			return 0, false
		}
		return nanoseconds(v), true
	case "us64":
		limit /= 1e3
		return int64(u) * 1e3, u <= limit
	case "ms64":
		limit /= 1e6
		return int64(u) * 1e6, u <= limit
	case "u32":
		v := float64(u) * tick
		if !(v < 9e9) {
			return 0, false
		}
		return nanoseconds(v), true
	}
	return int64(u), u <= limit
}

// rawEncoder writes what raw reads with the same parameters.
type rawEncoder struct {
	raw
	bit    Scale
	max    int
	batch  gather // when packets have a fixed number of columns
	step   int
	rate   float64
	n      uint64
	modulo uint64
}

var rawEncoderParams = append(append([]Param{}, rawParams[1:13]...), rawParams[13:15]...)

func newRawEncoder(p *Parameters) (Encoder, error) {
	e := new(rawEncoder)
	if p.Text("sample", "") == "" {
		e.matrix.typ = F32
	}
	e.read(p)
	e.step = p.Int("step", 0, 0, math.MaxInt32)
	e.modulo = uint64(p.Int("modulus", 0, 0, 1<<62))
	p.Choice("clock", "device", "unix")
	e.bit = Scale{Bit: p.Float("bit", 0, -1e300, 1e300), Offset: p.Float("offset", 0, -1e300, 1e300)}
	if e.bit.Offset != 0 && e.bit.Bit == 0 {
		e.bit.Bit = 1
	}
	return e, nil
}

func (e *rawEncoder) Open(in stream.Header) error {
	e.rows, e.rate = len(in.Channels), in.Rate
	size := e.rows * e.matrix.typ.Size()
	e.max = e.columns
	if e.max == 0 {
		e.max = max(1, 1400/size)
	}
	if e.head()+e.trail+e.max*size > maxDatagram {
		return fmt.Errorf("raw: %d columns of %d bytes do not fit a datagram", e.max, size)
	}
	if e.columns > 0 {
		e.batch.open(&in, e.columns)
	}
	if e.bit.Bit != 0 {
		e.matrix.scales = make([]Scale, e.rows)
		for i := range e.matrix.scales {
			e.matrix.scales[i] = e.bit
		}
	}
	return nil
}

func (e *rawEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *rawEncoder) Finish(dst []byte) []byte            { return dst }

func (e *rawEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	if e.columns == 0 {
		n := min(to-from, e.max)
		return e.write(dst, src, from, n), n
	}
	n := e.batch.take(src, from, to)
	if c := e.batch.c; e.batch.full() {
		c.T0 = src.T0
		if e.rate > 0 {
			c.T0 += stream.Time(math.RoundToEven(float64(c.Seq-src.Seq) / e.rate * 1e9))
		}
		dst = e.write(dst, c, 0, c.Len)
		c.Clear()
	}
	return dst, n
}

func (e *rawEncoder) write(dst []byte, src *stream.Chunk, from, n int) []byte {
	if n == 0 {
		return dst
	}
	for range e.skip {
		dst = append(dst, 0)
	}
	if e.counter > 0 {
		c := e.n
		if e.modulo > 0 {
			c %= e.modulo
		}
		dst = appendUnsigned(dst, c, e.counter, e.matrix.big)
		if e.step == 0 {
			e.n++
		} else {
			e.n += uint64(e.step * n)
		}
	}
	if e.stamp != "none" {
		t := int64(src.T0)
		if e.rate > 0 {
			t += int64(math.RoundToEven(float64(from) / e.rate * 1e9))
		}
		var u uint64
		switch e.stamp {
		case "f64":
			u = math.Float64bits(float64(t) / 1e9)
		case "us64":
			u = uint64(t / 1e3)
		case "ms64":
			u = uint64(t / 1e6)
		case "u32":
			u = uint64(float64(t) / 1e9 / e.tick)
		default:
			u = uint64(t)
		}
		dst = appendUnsigned(dst, u, e.stampSize(), e.matrix.big)
	}
	dst = e.matrix.encode(dst, src, from, from+n)
	for range e.trail {
		dst = append(dst, 0)
	}
	return dst
}
