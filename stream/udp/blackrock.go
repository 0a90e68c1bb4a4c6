package udp

import (
	"fmt"
	"math"
	"strconv"

	"neurostream/stream"
)

// Blackrock Cerebus and Gemini. One datagram of up to 58 080 bytes holds many
// packets of up to 1024, each a multiple of four; little endian, packed:
//
//	3.11       0 u32 time   4 u16 chid   6 u8  type   7 u8  dlen
//	4.0        0 u64 time   8 u16 chid  10 u8  type  11 u16 dlen  13 u8 instrument  14 u16 reserved
//	4.1, 4.2   0 u64 time   8 u16 chid  10 u16 type  12 u16 dlen  14 u8 instrument  15 u8  reserved
//
//	then       dlen × 4 bytes
//	chid 0     group type (1–6): i16 per channel, in the group's order, one column
//	chid 1 …   spike (type = unit) or digital input (first word = value)
//	chid 8000h configuration, heart beat
//
// time counts 30 kHz ticks (legacy NSP) or nanoseconds (Gemini): clock= says it, else
// two successive columns tell. The version is found from the first datagram: the
// packets of only one version end where the datagram does. The order of the
// channels and their scale come in configuration packets, which a listener may
// never see: channels= says them; 0.25 uV a count is the default of the maker.
// Which chid is digital input depends on the instrument: digital= says it.
//
// Not verified with a device: rates of the groups 1 (500), 2 (1k), 3 (2k) and 6 (30k
// raw); 4 is 10k and 5 is 30k.
//
// Source: CereLink, cbproto/types.h and packet_translator.h.
type blackrock struct {
	scratch
	version int // index of blackrockVersions; −1 = not known
	group   int // 0 = the first that comes
	count   int
	nanos   int // 0 ticks, 1 nanoseconds, −1 not known
	spikes  bool
	digital []int
	stated  stated
	bit     float64
	matrix  matrix
	ready   bool
	last    uint64 // time of the last column while learning
	seen    int
	labels  labels
}

// blackrockVersion is where the fields of a header lie.
type blackrockVersion struct {
	name                                  string
	size, time, chid, typ, typeSize, dlen int
	dlenSize                              int
}

var blackrockVersions = []blackrockVersion{
	{"3.11", 8, 4, 4, 6, 1, 7, 1},
	{"4.0", 16, 8, 8, 10, 1, 11, 2},
	{"4.1", 16, 8, 8, 10, 2, 12, 2},
}

var blackrockRates = [...]float64{0, 500, 1000, 2000, 10000, 30000, 30000}

const (
	blackrockTicks  = 30000
	blackrockPacket = 1024
	blackrockMost   = 58080
)

var blackrockParams = []Param{
	{Name: "version", Doc: "3.11, 4.0 or 4.1 (also 4.2)", Default: "as found in the first datagram"},
	{Name: "group", Doc: "1 (500 Hz) 2 (1 kHz) 3 (2 kHz) 4 (10 kHz) 5 (30 kHz) 6 (30 kHz raw)", Default: "the first that comes"},
	{Name: "count", Doc: "number of channels in the group", Default: "as many as a packet holds"},
	{Name: "channels", Doc: "labels in the group's order, separated by commas"},
	{Name: "bit", Doc: "uV per count", Default: "0.25"},
	{Name: "clock", Doc: "of the time stamps: ticks (30 kHz) or ns", Default: "as two successive columns tell"},
	{Name: "spikes", Doc: "make markers of spike packets: spike CHANNEL/UNIT", Default: "false"},
	{Name: "digital", Doc: "chids that are digital inputs, whose packets become markers: digital CHID VALUE"},
	{Name: "instrument", Doc: "read packets of this instrument only, from 0 (not in 3.11)", Default: "all"},
	{Name: "name", Doc: "of the stream"},
}

func newBlackrock(p *Parameters) (Format, error) {
	f := &blackrock{version: -1, nanos: -1, labels: labels{}}
	f.name = "blackrock"
	if v := p.Choice("version", "", "3.11", "4.0", "4.1", "4.2"); v != "" {
		f.version = map[string]int{"3.11": 0, "4.0": 1, "4.1": 2, "4.2": 2}[v]
	}
	f.group = p.Int("group", 0, 1, 6)
	f.count = p.Int("count", 0, 1, blackrockPacket/2)
	f.bit = p.Float("bit", 0.25, 1e-6, 1e6)
	switch p.Choice("clock", "", "ticks", "ns") {
	case "ticks":
		f.nanos = 0
	case "ns":
		f.nanos = 1
	}
	if f.version == 0 {
		f.nanos = 0
	}
	f.spikes = p.Truth("spikes", false)
	for _, s := range p.List("digital") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n >= 0x8000 {
			p.Fail("digital=%s is no chid from 1 to 32767", s)
		}
		f.digital = append(f.digital, n)
	}
	f.seen = p.Int("instrument", -1, 0, 255) // kept until Learn
	f.stated = stated{name: p.Text("name", "Blackrock"), labels: p.List("channels"), unit: "uV", kind: "LFP"}
	if f.stated.labels != nil {
		if f.count != 0 && f.count != len(f.stated.labels) {
			p.Fail("count=%d, but channels= names %d", f.count, len(f.stated.labels))
		}
		f.count = len(f.stated.labels)
	}
	f.matrix.typ = I16
	f.records = make([]Record, 0, 256)
	return f, nil
}

// packet reads the header at the front of p and returns the packet's length, or 0.
func (v *blackrockVersion) packet(p []byte) (time uint64, chid, typ, size int) {
	if len(p) < v.size {
		return 0, 0, 0, 0
	}
	time = uint64(le.Uint32(p))
	if v.time == 8 {
		time = le.Uint64(p)
	}
	chid, typ = int(le.Uint16(p[v.chid:])), int(p[v.typ])
	if v.typeSize == 2 {
		typ = int(le.Uint16(p[v.typ:]))
	}
	words := int(p[v.dlen])
	if v.dlenSize == 2 {
		words = int(le.Uint16(p[v.dlen:]))
	}
	size = v.size + 4*words
	if size > len(p) || size > blackrockPacket {
		size = 0
	}
	return time, chid, typ, size
}

// walks reports whether packets of this version fill the datagram.
func (v *blackrockVersion) walks(pkt []byte) bool {
	for at := 0; at < len(pkt); {
		_, chid, typ, size := v.packet(pkt[at:])
		if size == 0 || chid == 0 && (typ == 0 || typ > 6) {
			return false
		}
		at += size
	}
	return len(pkt) > 0
}

func likeBlackrock(pkt []byte) float64 {
	n := 0
	for i := range blackrockVersions {
		if blackrockVersions[i].walks(pkt) {
			n++
		}
	}
	if n == 0 || len(pkt) < 8 {
		return 0
	}
	return 0.85
}

func (f *blackrock) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	if f.version < 0 {
		found := -1
		for i := range blackrockVersions {
			if blackrockVersions[i].walks(pkt) {
				if found >= 0 {
					return false, fmt.Errorf("blackrock: the datagram could be version %s or %s: add version=", blackrockVersions[found].name, blackrockVersions[i].name)
				}
				found = i
			}
		}
		if found < 0 {
			return false, f.fault(0, "packets of no known version end where the datagram does")
		}
		f.version = found
		if found == 0 {
			f.nanos = 0
		}
	}
	v := &blackrockVersions[f.version]
	for at := 0; at < len(pkt); {
		time, chid, typ, size := v.packet(pkt[at:])
		if size == 0 {
			return false, f.fault(at, "packet is longer than its datagram, or than 1024 bytes")
		}
		from := at
		at += size
		if chid != 0 || typ < 1 || typ > 6 || f.group != 0 && typ != f.group {
			continue
		}
		held := (size - v.size) / 2
		if held == 0 {
			return false, f.fault(from, "a group without channels")
		}
		if f.count == 0 {
			f.count = held
		}
		if f.count > held || f.count < held-1 {
			return false, f.faultOf(from, "numbers in a packet of the group; channels", int64(held), int64(f.count))
		}
		again := f.group != 0 && f.last != 0
		step, was := time-f.last, f.last
		f.group, f.last = typ, time
		if f.nanos < 0 {
			if !again || was == 0 || step == 0 {
				continue
			}
			// One column is 1 to 60 ticks, or 33 333 ns and more.
			switch ticks := uint64(blackrockTicks / blackrockRates[typ]); {
			case step%ticks == 0 && step/ticks <= 100:
				f.nanos = 0
			case float64(step) > 0.9e9/blackrockRates[typ]:
				f.nanos = 1
			default:
				return false, fmt.Errorf("blackrock: times of successive columns differ by %d, which is neither ticks nor ns: add clock=", step)
			}
		}
		return f.learnt()
	}
	return false, nil
}

func (f *blackrock) learnt() (bool, error) {
	channels, err := f.stated.channels(f.count, "ch")
	if err != nil {
		return false, err
	}
	v := &blackrockVersions[f.version]
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name, Rate: blackrockRates[f.group], Channels: channels, MaxLen: maxDatagram/(v.size+4*((f.count+1)/2)) + 1}
	l.Scales = make([]Scale, f.count)
	for i := range l.Scales {
		l.Scales[i] = Scale{Bit: f.bit, Low: -32768 * f.bit, High: 32767 * f.bit}
	}
	f.matrix.scales = l.Scales
	l.Evidence, l.Clock = EvidenceStamp, ClockDevice
	if f.nanos == 0 {
		l.Evidence |= EvidenceCounter
		l.Counter = Counter{Step: uint64(blackrockTicks / l.Header.Rate)}
		if f.version == 0 {
			l.Counter.Modulus = 1 << 32
		}
	}
	l.Notes = append(l.Notes, "packets of version "+v.name+"; order and scale of the channels are what the URL says")
	f.ready = true
	return true, l.Header.Validate()
}

func (f *blackrock) isDigital(chid int) bool {
	for _, d := range f.digital {
		if d == chid {
			return true
		}
	}
	return false
}

func (f *blackrock) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	v := &blackrockVersions[f.version]
	before := placeOf(dst)
	fail := func(err error) error {
		before.restore(dst)
		f.records = f.records[:0]
		return err
	}
	if len(pkt) == 0 {
		return f.fault(0, "an empty datagram")
	}
	size := 0
	for at := 0; at < len(pkt); at += size {
		var time uint64
		var chid, typ int
		time, chid, typ, size = v.packet(pkt[at:])
		if size == 0 {
			return fail(f.fault(at, "packet is longer than its datagram, or than 1024 bytes"))
		}
		body := pkt[at+v.size : at+size]
		switch {
		case f.seen >= 0 && f.version > 0 && int(pkt[at+12+f.version]) != f.seen: // instrument
		case chid == 0 && typ == f.group:
			if held := len(body) / 2; held != f.count && held != f.count+1 {
				return fail(f.faultOf(at, "numbers in a packet of the group; channels", int64(held), int64(f.count)))
			}
			stamp := int64(time & math.MaxInt64)
			r := Record{Column: dst.Len, Columns: 1, Has: f.layout.Evidence}
			if f.nanos == 0 {
				r.Counter = time
				whole := time / blackrockTicks
				if whole > 9e9 {
					return fail(f.fault(at, "the time is no time"))
				}
				stamp = int64(whole)*1e9 + int64(time%blackrockTicks*1e9/blackrockTicks)
			}
			if !room(dst, 1) {
				return fail(f.fault(at, "more columns than a datagram can hold"))
			}
			r.Stamp = stamp
			f.matrix.decode(dst, body, 1)
			dst.Stamps = append(dst.Stamps, stream.Time(stamp))
			f.records = append(f.records, r)
		case chid > 0 && chid < 0x8000 && f.isDigital(chid):
			if len(body) < 4 {
				return fail(f.fault(at, "a digital packet without a value"))
			}
			var text [48]byte
			b := append(appendDecimal(append(text[:0], "digital "...), uint64(chid)), ' ')
			f.mark(dst, appendDecimal(b, uint64(le.Uint32(body))))
		case chid > 0 && chid < 0x8000 && f.spikes:
			var text [48]byte
			b := append(appendDecimal(append(text[:0], "spike "...), uint64(chid)), '/')
			f.mark(dst, appendDecimal(b, uint64(typ)))
		}
	}
	if placeOf(dst) == before {
		return ErrOther
	}
	return nil
}

// mark puts a marker at the column that comes next on the wire.
func (f *blackrock) mark(dst *stream.Chunk, label []byte) {
	dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len, Label: f.labels.of(label)})
}

// blackrockEncoder plays an instrument that sends one group.
type blackrockEncoder struct {
	version int
	group   int
	nanos   bool
	size    int
	bit     float64
	rows    int
	n       uint64
	matrix  matrix
}

var blackrockEncoderParams = []Param{
	{Name: "version", Doc: "3.11, 4.0 or 4.1", Default: "4.1"},
	{Name: "group", Doc: "1 to 6", Default: "2"},
	{Name: "clock", Doc: "ticks or ns", Default: "ticks"},
	{Name: "bit", Doc: "uV per count", Default: "0.25"},
	{Name: "datagram", Doc: "bytes of a datagram, at most", Default: "58080"},
}

func newBlackrockEncoder(p *Parameters) (Encoder, error) {
	e := &blackrockEncoder{group: p.Int("group", 2, 1, 6), bit: p.Float("bit", 0.25, 1e-6, 1e6), size: p.Int("datagram", blackrockMost, 64, maxDatagram)}
	e.version = map[string]int{"3.11": 0, "4.0": 1, "4.1": 2}[p.Choice("version", "4.1", "4.0", "3.11")]
	e.nanos = p.Choice("clock", "ticks", "ns") == "ns"
	if e.nanos && e.version == 0 {
		p.Fail("version=3.11 counts ticks")
	}
	return e, nil
}

func (e *blackrockEncoder) Open(in stream.Header) error {
	e.rows = len(in.Channels)
	v := &blackrockVersions[e.version]
	most := (blackrockPacket - v.size) / 2
	if v.dlenSize == 1 {
		most = min(most, 510)
	}
	if e.rows > most {
		return fmt.Errorf("blackrock: a packet of version %s holds %d channels, not %d", v.name, most, e.rows)
	}
	if in.Rate != blackrockRates[e.group] {
		return fmt.Errorf("blackrock: group %d runs at %g Hz, not %g", e.group, blackrockRates[e.group], in.Rate)
	}
	e.matrix.typ = I16
	e.matrix.scales = make([]Scale, e.rows)
	for i := range e.matrix.scales {
		e.matrix.scales[i].Bit = e.bit
	}
	return nil
}

func (e *blackrockEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *blackrockEncoder) Finish(dst []byte) []byte            { return dst }

func (e *blackrockEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	v := &blackrockVersions[e.version]
	words := (e.rows + 1) / 2
	n := min(to-from, max(1, e.size/(v.size+4*words)))
	for col := from; col < from+n; col++ {
		time := e.n * uint64(blackrockTicks/blackrockRates[e.group])
		if e.nanos {
			time = uint64(float64(e.n) / blackrockRates[e.group] * 1e9)
		}
		dst = appendUnsigned(dst, time, v.time, false)
		dst = append(dst, 0, 0)
		dst = appendUnsigned(dst, uint64(e.group), v.typeSize, false)
		dst = appendUnsigned(dst, uint64(words), v.dlenSize, false)
		for range v.size - v.dlen - v.dlenSize {
			dst = append(dst, 0)
		}
		dst = e.matrix.encode(dst, src, col, col+1)
		if e.rows%2 == 1 {
			dst = append(dst, 0, 0)
		}
		e.n++
	}
	return dst, n
}
