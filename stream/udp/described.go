package udp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"neurostream/stream"
)

// A packet of one's own, described in YAML:
//
//	name: my amplifier
//	rate: 250                  # Hz; 0 = irregular
//	order: little              # byte order of all fields: little or big
//	repeat: true               # a datagram may hold several packets
//	channels:
//	  - {label: C3, unit: uV, type: EEG, bit: 0.0223, offset: 0, low: -187500, high: 187500}
//	  - {label: C4, unit: uV, type: EEG, bit: 0.0223}
//	packet:                    # its fields, in order
//	  - {const: a0ff}          # these bytes, in hexadecimal
//	  - {skip: 2}              # any bytes
//	  - {counter: u16, modulus: 1000, step: 1}   # step 0: by one per packet
//	  - {stamp: u32, tick: 1e-6, clock: device}  # f64 s, i64 u64 ns, us64, ms64, u32 tick
//	  - {samples: i24, order: big, layout: columns, columns: 4}  # 0 = to fill the packet
//	  - {marker: u8}           # not 0 = a marker at the first column
//	  - {checksum: crc16}      # sum8 xor8 crc16 (CCITT, FFFF first) crc32, of all before
//
// Each field has one of const, skip, counter, stamp, samples, marker, checksum.
// Unknown keys are errors, with their line. Without repeat one samples field may
// fill the packet; then nothing of variable length stands behind it.
type described struct {
	scratch
	spec   describedPacket
	fields []describedStep
	matrix matrix
	head   int // bytes in front of and behind the samples
	tail   int
	column int // bytes of a column
	per    int // columns per packet; 0 = to fill it
	labels labels
}

type describedPacket struct {
	Name     string             `yaml:"name"`
	Rate     float64            `yaml:"rate"`
	Order    string             `yaml:"order"`
	Repeat   bool               `yaml:"repeat"`
	Channels []describedChannel `yaml:"channels"`
	Packet   []describedField   `yaml:"packet"`
}

type describedChannel struct {
	Label  string  `yaml:"label"`
	Unit   string  `yaml:"unit"`
	Type   string  `yaml:"type"`
	Bit    float64 `yaml:"bit"`
	Offset float64 `yaml:"offset"`
	Low    float64 `yaml:"low"`
	High   float64 `yaml:"high"`
}

type describedField struct {
	Const    string  `yaml:"const"`
	Skip     int     `yaml:"skip"`
	Counter  string  `yaml:"counter"`
	Modulus  uint64  `yaml:"modulus"`
	Step     uint64  `yaml:"step"`
	Stamp    string  `yaml:"stamp"`
	Tick     float64 `yaml:"tick"`
	Clock    string  `yaml:"clock"`
	Samples  string  `yaml:"samples"`
	Order    string  `yaml:"order"`
	Layout   string  `yaml:"layout"`
	Columns  int     `yaml:"columns"`
	Marker   string  `yaml:"marker"`
	Checksum string  `yaml:"checksum"`
}

// describedStep is a field that was understood.
type describedStep struct {
	kind  byte // c s n t d m k: const skip counter stamp samples marker checksum
	size  int  // bytes; of samples per column
	big   bool
	bytes []byte
	sum   string
	typ   string
	tick  float64
}

const describedText = 1 << 20

var describedParams = []Param{
	{Name: "file", Doc: "name of the file that describes the packet"},
	{Name: "text", Doc: "the description itself, instead of a file"},
}

// description reads the parameters file= or text=.
func description(p *Parameters) (*described, error) {
	name, text := p.Text("file", ""), p.Text("text", "")
	if (name == "") == (text == "") {
		p.Fail("a described packet needs file=NAME.yaml (or text=)")
		return nil, p.err
	}
	source := []byte(text)
	if name != "" {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("udp: cannot read the description of the packet: %w", err)
		}
		if info.Size() > describedText {
			return nil, fmt.Errorf("udp: %s holds %d bytes; a description has at most %d", name, info.Size(), describedText)
		}
		if source, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("udp: cannot read the description of the packet: %w", err)
		}
	} else {
		name = "the description"
	}
	d, err := describe(source)
	if err != nil {
		return nil, fmt.Errorf("udp: %s: %w", name, err)
	}
	return d, nil
}

// describe understands a description.
func describe(source []byte) (*described, error) {
	f := &described{labels: labels{}}
	f.name = "yaml"
	if len(source) > describedText {
		return nil, fmt.Errorf("%d bytes; a description has at most %d", len(source), describedText)
	}
	if bytes.ContainsAny(source, "&*") { // anchors can make much of little
		return nil, fmt.Errorf("& and * (anchors) are not used here")
	}
	if err := yaml.UnmarshalWithOptions(source, &f.spec, yaml.DisallowUnknownField()); err != nil {
		return nil, err
	}
	s := &f.spec
	big, err := orderOf(s.Order, false)
	if err != nil {
		return nil, err
	}
	c := len(s.Channels)
	if c == 0 || c > 4096 {
		return nil, fmt.Errorf("%d channels; a packet has 1 to 4096", c)
	}
	l := &f.layout
	l.Header = stream.Header{Name: s.Name, Rate: s.Rate}
	scaled := false
	for _, ch := range s.Channels {
		l.Header.Channels = append(l.Header.Channels, stream.Channel{Label: ch.Label, Unit: ch.Unit, Type: ch.Type})
		sc := Scale{Bit: ch.Bit, Offset: ch.Offset, Low: ch.Low, High: ch.High}
		if !finite(ch.Bit) || !finite(ch.Offset) || !finite(ch.Low) || !finite(ch.High) {
			return nil, fmt.Errorf("channel %q: bit, offset, low and high are numbers", ch.Label)
		}
		if sc.Offset != 0 && sc.Bit == 0 {
			sc.Bit = 1
		}
		scaled = scaled || sc.Bit != 0
		l.Scales = append(l.Scales, sc)
	}
	if len(s.Packet) == 0 || len(s.Packet) > 256 {
		return nil, fmt.Errorf("packet: has %d fields; 1 to 256 are possible", len(s.Packet))
	}
	seen := false
	for i := range s.Packet {
		step, err := f.field(&s.Packet[i], big, i)
		if err != nil {
			return nil, fmt.Errorf("packet: field %d: %w", i+1, err)
		}
		if step.kind == 'd' {
			if seen {
				return nil, fmt.Errorf("packet: field %d: samples are there twice", i+1)
			}
			seen = true
		} else if seen {
			f.tail += step.size
		} else {
			f.head += step.size
		}
		f.fields = append(f.fields, step)
	}
	switch {
	case !seen:
		return nil, fmt.Errorf("packet: no field holds the samples")
	case f.head+max(1, f.per)*f.column+f.tail > maxDatagram:
		return nil, fmt.Errorf("a packet of %d bytes does not fit a datagram", f.head+max(1, f.per)*f.column+f.tail)
	case f.per == 0 && s.Repeat:
		return nil, fmt.Errorf("repeat needs columns: packets must have a length of their own")
	case s.Rate == 0 && f.per > 1:
		return nil, fmt.Errorf("packets of %d columns need a rate", f.per)
	}
	if scaled {
		f.matrix.scales = l.Scales
	}
	switch {
	case s.Rate == 0:
		l.Header.MaxLen = 1
	case f.per == 0:
		l.Header.MaxLen = (maxDatagram - f.head - f.tail) / f.column
	case s.Repeat:
		l.Header.MaxLen = maxDatagram / (f.head + f.per*f.column + f.tail) * f.per
	default:
		l.Header.MaxLen = f.per
	}
	return f, l.Header.Validate()
}

func orderOf(s string, preset bool) (bool, error) {
	switch s {
	case "":
		return preset, nil
	case "little":
		return false, nil
	case "big":
		return true, nil
	}
	return false, fmt.Errorf("order: %q is neither little nor big", s)
}

// field understands one field.
func (f *described) field(d *describedField, big bool, at int) (step describedStep, err error) {
	kinds := 0
	for _, given := range []bool{d.Const != "", d.Skip != 0, d.Counter != "", d.Stamp != "", d.Samples != "", d.Marker != "", d.Checksum != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return step, fmt.Errorf("has %d of const, skip, counter, stamp, samples, marker, checksum; one is needed", kinds)
	}
	if step.big, err = orderOf(d.Order, big); err != nil {
		return step, err
	}
	unsignedSize := func(s string) (int, error) {
		i := slices.Index([]string{"u8", "u16", "u32", "u64"}, s)
		if i < 0 {
			return 0, fmt.Errorf("type %q is none of u8 u16 u32 u64", s)
		}
		return 1 << i, nil
	}
	l := &f.layout
	switch {
	case d.Const != "":
		step.kind = 'c'
		if step.bytes, err = hex.DecodeString(strings.ReplaceAll(d.Const, " ", "")); err != nil {
			return step, fmt.Errorf("const: %q is not hexadecimal", d.Const)
		}
		step.size = len(step.bytes)
	case d.Skip != 0:
		if step.kind, step.size = 's', d.Skip; d.Skip < 1 || d.Skip > maxDatagram {
			return step, fmt.Errorf("skip: %d bytes", d.Skip)
		}
	case d.Counter != "":
		step.kind = 'n'
		if step.size, err = unsignedSize(d.Counter); err != nil {
			return step, fmt.Errorf("counter: %w", err)
		}
		if l.Evidence&EvidenceCounter != 0 {
			return step, fmt.Errorf("a counter is there twice")
		}
		l.Evidence |= EvidenceCounter
		l.Counter = Counter{Modulus: d.Modulus, Step: d.Step}
		if bits := 8 * step.size; bits < 64 {
			if d.Modulus > 1<<bits {
				return step, fmt.Errorf("modulus: %d is more than %s holds", d.Modulus, d.Counter)
			}
			if d.Modulus == 0 {
				l.Counter.Modulus = 1 << bits
			}
		}
	case d.Stamp != "":
		step.kind, step.typ, step.tick = 't', d.Stamp, d.Tick
		switch d.Stamp {
		case "u32":
			step.size = 4
			if !(d.Tick >= 1e-12 && d.Tick <= 1e6) {
				return step, fmt.Errorf("stamp: u32 needs tick, seconds per unit")
			}
		case "f64", "i64", "u64", "us64", "ms64":
			step.size = 8
		default:
			return step, fmt.Errorf("stamp: %q is none of f64 i64 u64 us64 ms64 u32", d.Stamp)
		}
		if l.Evidence&EvidenceStamp != 0 {
			return step, fmt.Errorf("a stamp is there twice")
		}
		l.Evidence |= EvidenceStamp
		switch d.Clock {
		case "", "device":
			l.Clock = ClockDevice
		case "unix":
			l.Clock = ClockUnix
		default:
			return step, fmt.Errorf("clock: %q is neither device nor unix", d.Clock)
		}
	case d.Samples != "":
		step.kind = 'd'
		f.matrix = matrix{typ: parseType(d.Samples), big: step.big}
		if f.matrix.typ == NoType {
			return step, fmt.Errorf("samples: %q is none of %s", d.Samples, strings.Join(typeNames(), " "))
		}
		switch d.Layout {
		case "", "columns":
		case "rows":
			f.matrix.byRow = true
		default:
			return step, fmt.Errorf("layout: %q is neither columns nor rows", d.Layout)
		}
		if f.per = d.Columns; f.per < 0 || f.per > maxDatagram {
			return step, fmt.Errorf("columns: %d", d.Columns)
		}
		f.column = len(l.Header.Channels) * f.matrix.typ.Size()
		step.size = f.column
	case d.Marker != "":
		step.kind = 'm'
		if step.size, err = unsignedSize(d.Marker); err != nil {
			return step, fmt.Errorf("marker: %w", err)
		}
	case d.Checksum != "":
		step.kind, step.sum = 'k', d.Checksum
		switch d.Checksum {
		case "sum8", "xor8":
			step.size = 1
		case "crc16":
			step.size = 2
		case "crc32":
			step.size = 4
		default:
			return step, fmt.Errorf("checksum: %q is none of sum8 xor8 crc16 crc32", d.Checksum)
		}
		if at == 0 {
			return step, fmt.Errorf("a checksum of nothing")
		}
		l.Evidence |= EvidenceChecksum
	}
	return step, nil
}

// checksum is that of p.
func checksum(kind string, p []byte) (v uint64) {
	switch kind {
	case "sum8":
		for _, b := range p {
			v += uint64(b)
		}
		return v & 0xff
	case "xor8":
		for _, b := range p {
			v ^= uint64(b)
		}
		return v
	case "crc16":
		c := uint16(0xffff)
		for _, b := range p {
			c ^= uint16(b) << 8
			for range 8 {
				carry := c & 0x8000
				c <<= 1
				if carry != 0 {
					c ^= 0x1021
				}
			}
		}
		return uint64(c)
	}
	return uint64(crc32.ChecksumIEEE(p))
}

func newDescribed(p *Parameters) (Format, error) {
	f, err := description(p)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// fit returns the columns per packet and the length of a packet in a datagram.
func (f *described) fit(pkt []byte) (columns, size int, err error) {
	if f.per == 0 {
		body := len(pkt) - f.head - f.tail
		if body <= 0 || body%f.column != 0 {
			return 0, 0, f.faultOf(min(f.head, len(pkt)), "bytes of numbers are no whole columns", int64(body), int64(f.column))
		}
		return body / f.column, len(pkt), nil
	}
	size = f.head + f.per*f.column + f.tail
	if len(pkt) == 0 || f.spec.Repeat && len(pkt)%size != 0 || !f.spec.Repeat && len(pkt) != size {
		return 0, 0, f.faultOf(0, "length", int64(len(pkt)), int64(size))
	}
	return f.per, size, nil
}

func (f *described) Learn(pkt []byte) (bool, error) {
	if pkt != nil {
		if _, _, err := f.fit(pkt); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Frame cuts packets of a fixed length out of a byte stream.
func (f *described) Frame(buf []byte) (int, error) {
	n := f.MaxFrame()
	if n == 0 {
		return 0, f.fault(0, "nothing ends a packet in a byte stream: give the samples columns")
	}
	if first := &f.fields[0]; first.kind == 'c' {
		if k := min(len(buf), first.size); !bytes.Equal(buf[:k], first.bytes[:k]) {
			return 0, f.fault(0, "a packet does not begin with its const")
		}
	}
	if len(buf) < n {
		return 0, nil
	}
	return n, nil
}

func (f *described) MaxFrame() int {
	if f.per == 0 {
		return 0
	}
	return f.head + f.per*f.column + f.tail
}

func (f *described) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	n, size, err := f.fit(pkt)
	if err != nil {
		return err
	}
	if !room(dst, n*(len(pkt)/size)) {
		return f.faultOf(0, "more columns than an irregular stream may have", int64(n*(len(pkt)/size)), int64(dst.Cap()-dst.Len))
	}
	before := placeOf(dst)
	for from := 0; from < len(pkt); from += size {
		if err := f.one(dst, pkt[from:from+size], from, n); err != nil {
			before.restore(dst)
			f.records = f.records[:0]
			return err
		}
	}
	return nil
}

func (f *described) one(dst *stream.Chunk, p []byte, from, n int) error {
	r := Record{Column: dst.Len, Columns: n, Has: f.layout.Evidence & EvidenceChecksum}
	at := 0
	for i := range f.fields {
		s := &f.fields[i]
		if s.kind == 'd' {
			f.matrix.decode(dst, p[at:], n)
			at += n * f.column
			continue
		}
		b := p[at : at+s.size]
		switch s.kind {
		case 'c':
			if !bytes.Equal(b, s.bytes) {
				return f.fault(from+at, "the bytes differ from the const")
			}
		case 'n':
			r.Counter = unsigned(b, s.big)
			r.Has |= EvidenceCounter
			if m := f.layout.Counter.Modulus; m != 0 && r.Counter >= m {
				return f.faultOf(from+at, "the counter is not below its modulus", int64(r.Counter), int64(m))
			}
		case 't':
			v, ok := stampOf(s.typ, unsigned(b, s.big), s.tick)
			if !ok {
				return f.fault(from+at, "the stamp is no time")
			}
			r.Stamp = v
			r.Has |= EvidenceStamp
		case 'm':
			if v := unsigned(b, s.big); v != 0 {
				var text [24]byte
				dst.Markers = append(dst.Markers, stream.Marker{Column: r.Column, Label: f.labels.of(appendDecimal(text[:0], v))})
			}
		case 'k':
			if want := checksum(s.sum, p[:at]); unsigned(b, s.big) != want {
				return f.faultOf(from+at, "checksum", int64(unsigned(b, s.big)), int64(want))
			}
		}
		at += s.size
	}
	f.records = append(f.records, r)
	return nil
}

// describedEncoder writes packets of a description.
type describedEncoder struct {
	*described
	batch gather
	n     uint64
}

func newDescribedEncoder(p *Parameters) (Encoder, error) {
	f, err := description(p)
	if err != nil {
		return nil, err
	}
	return &describedEncoder{described: f}, nil
}

func (e *describedEncoder) Open(in stream.Header) error {
	if len(in.Channels) != len(e.spec.Channels) {
		return fmt.Errorf("yaml: the description has %d channels, the stream %d", len(e.spec.Channels), len(in.Channels))
	}
	per := e.per
	if per == 0 {
		per = max(1, min(1400/e.column, e.layout.Header.MaxLen))
	}
	e.batch.open(&in, per)
	return nil
}

func (e *describedEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }

func (e *describedEncoder) Finish(dst []byte) []byte {
	if e.per == 0 && e.batch.c.Len > 0 {
		dst = e.write(dst)
	}
	return dst
}

func (e *describedEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := e.batch.take(src, from, to)
	if e.batch.full() {
		c := e.batch.c
		c.T0 = src.T0
		if e.spec.Rate > 0 {
			c.T0 += stream.Time(math.RoundToEven(float64(c.Seq-src.Seq) / e.spec.Rate * 1e9))
		}
		dst = e.write(dst)
	}
	return dst, n
}

func (e *describedEncoder) write(dst []byte) []byte {
	c := e.batch.c
	start := len(dst)
	for i := range e.fields {
		s := &e.fields[i]
		switch s.kind {
		case 'c':
			dst = append(dst, s.bytes...)
		case 's':
			for range s.size {
				dst = append(dst, 0)
			}
		case 'n':
			v := e.n
			if m := e.layout.Counter.Modulus; m != 0 {
				v %= m
			}
			dst = appendUnsigned(dst, v, s.size, s.big)
		case 't':
			v := uint64(c.T0)
			switch s.typ {
			case "f64":
				v = math.Float64bits(c.T0.Seconds())
			case "us64":
				v /= 1e3
			case "ms64":
				v /= 1e6
			case "u32":
				v = uint64(math.RoundToEven(c.T0.Seconds()/s.tick)) & math.MaxUint32
			}
			dst = appendUnsigned(dst, v, s.size, s.big)
		case 'd':
			dst = e.matrix.encode(dst, c, 0, c.Len)
		case 'm':
			v := uint64(0)
			for _, m := range c.Markers {
				if x, used := parseNumber([]byte(strings.TrimLeft(m.Label, "Tt"))); used > 0 && x > 0 {
					v = uint64(x)
				}
			}
			dst = appendUnsigned(dst, v, s.size, s.big)
		case 'k':
			dst = appendUnsigned(dst, checksum(s.sum, dst[start:]), s.size, s.big)
		}
	}
	if step := e.layout.Counter.Step; step > 0 {
		e.n += step * uint64(c.Len)
	} else {
		e.n++
	}
	c.Clear()
	return dst
}
