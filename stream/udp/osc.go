package udp

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// Open Sound Control 1.0. Everything is big endian and padded to four bytes.
//
//	message   address "/muse/eeg\0…"  type tags ",ffff\0…"  arguments
//	bundle    "#bundle\0"  u64 NTP time  { i32 size, message or bundle } …
//
//	tags      i i32   f f32   s S text   b i32 size, bytes   h i64   d f64
//	          t u64   c r m 4 bytes   T F N I nothing   [ ] arrays
//
// Old senders leave the type tags out: what follows the address is then taken as
// f32. The time of a bundle is no evidence: nearly every sender writes
// "immediately" (1).
//
// Source: the Open Sound Control 1.0 specification.

// oscArg is one argument.
type oscArg struct {
	tag  byte
	num  float64 // i f h d c T F, and N and I as NaN
	int  int64   // i h c t
	text []byte  // s S b
}

// oscMessage is one message; args is reused.
type oscMessage struct {
	at      int // offset in the packet
	address []byte
	args    []oscArg
	untyped bool
}

// floats returns how many of the arguments from i on are numbers.
func (m *oscMessage) floats(i int) int {
	n := 0
	for ; i < len(m.args); i++ {
		switch m.args[i].tag {
		case 'f', 'd', 'i', 'h', 'T', 'F':
			n++
		default:
			return n
		}
	}
	return n
}

// oscWalk visits the messages of a packet, also those inside bundles.
type oscWalk struct {
	pkt   []byte
	at    int
	ends  [8]int // where the open bundles end
	depth int
	begun bool
	bad   string // what is wrong, and at which byte
	badAt int
}

func (w *oscWalk) fail(at int, why string) bool {
	w.bad, w.badAt = why, at
	return false
}

// padded reads a text padded to four bytes.
func padded(p []byte) (text []byte, size int) {
	i := bytes.IndexByte(p, 0)
	if i < 0 {
		return nil, 0
	}
	size = (i + 4) &^ 3
	if size > len(p) {
		return nil, 0
	}
	return p[:i], size
}

var oscBundle = []byte("#bundle\x00")

// next reads the next message into m. It returns false at the end, or with bad set.
func (w *oscWalk) next(m *oscMessage) bool {
	if !w.begun {
		w.begun = true
		if bytes.HasPrefix(w.pkt, oscBundle) {
			if len(w.pkt) < 16 {
				return w.fail(len(w.pkt), "packet ends inside a bundle's head")
			}
			w.ends[0], w.depth, w.at = len(w.pkt), 1, 16
		} else {
			w.at = len(w.pkt)
			return w.message(m, 0, len(w.pkt))
		}
	}
	for {
		for w.depth > 0 && w.at == w.ends[w.depth-1] {
			w.depth--
		}
		if w.depth == 0 {
			return false
		}
		end := w.ends[w.depth-1]
		if end-w.at < 4 {
			return w.fail(w.at, "bundle ends inside an element's size")
		}
		size := int(int32(be.Uint32(w.pkt[w.at:])))
		from := w.at + 4
		if size < 0 || size > end-from || size%4 != 0 {
			return w.fail(w.at, "an element's size is negative, not a multiple of 4, or more than the bundle holds")
		}
		if size == 0 { // an empty element tells nothing
			w.at = from
			continue
		}
		p := w.pkt[from : from+size]
		if bytes.HasPrefix(p, oscBundle) {
			if size < 16 {
				return w.fail(from, "element ends inside a bundle's head")
			}
			if w.depth == len(w.ends) {
				return w.fail(from, "bundles inside bundles, more than eight deep")
			}
			w.ends[w.depth] = from + size
			w.depth++
			w.at = from + 16
			continue
		}
		w.at = from + size
		return w.message(m, from, from+size)
	}
}

func (w *oscWalk) message(m *oscMessage, from, to int) bool {
	m.at, m.args, m.untyped = from, m.args[:0], false
	p := w.pkt[from:to]
	address, n := padded(p)
	if n == 0 || len(address) == 0 {
		return w.fail(from, "no address, or it is not ended and padded with zeros")
	}
	for _, c := range address {
		if c < ' ' || c > '~' {
			return w.fail(from, "the address is not plain text")
		}
	}
	m.address = address
	at := n
	if at == len(p) {
		return true
	}
	if p[at] != ',' { // an old sender
		m.untyped = true
		if (len(p)-at)%4 != 0 {
			return w.fail(from+at, "no type tags, and what follows are no f32")
		}
		for ; at < len(p); at += 4 {
			m.args = append(m.args, oscArg{tag: 'f', num: float64(math.Float32frombits(be.Uint32(p[at:])))})
		}
		return true
	}
	tags, n := padded(p[at:])
	if n == 0 {
		return w.fail(from+at, "the type tags are not ended and padded with zeros")
	}
	at += n
	for _, tag := range tags[1:] {
		a := oscArg{tag: tag}
		size := 0
		switch tag {
		case 'i', 'f', 'c', 'r', 'm':
			size = 4
		case 'h', 'd', 't':
			size = 8
		case 's', 'S':
			if a.text, size = padded(p[at:]); size == 0 {
				return w.fail(from+at, "a text is not ended and padded with zeros")
			}
		case 'b':
			if len(p)-at < 4 {
				return w.fail(from+at, "message ends inside a blob's size")
			}
			b := int(int32(be.Uint32(p[at:])))
			if b < 0 || b > len(p)-at-4 {
				return w.fail(from+at, "a blob is longer than its message")
			}
			a.text, size = p[at+4:at+4+b], 4+(b+3)&^3
		case 'T':
			a.num = 1
		case 'F':
		case 'N', 'I':
			a.num = math.NaN()
		case '[', ']':
			continue
		default:
			return w.fail(from+at, "a type tag is not known")
		}
		if size > len(p)-at {
			return w.fail(from+at, "message ends inside its arguments")
		}
		switch tag {
		case 'i', 'c':
			a.int = int64(int32(be.Uint32(p[at:])))
			a.num = float64(a.int)
		case 'f':
			a.num = float64(math.Float32frombits(be.Uint32(p[at:])))
		case 'h', 't':
			a.int = int64(be.Uint64(p[at:]))
			a.num = float64(a.int)
		case 'd':
			a.num = math.Float64frombits(be.Uint64(p[at:]))
		}
		m.args = append(m.args, a)
		at += size
	}
	if at != len(p) {
		return w.fail(from+at, "bytes behind the last argument")
	}
	return true
}

// oscStream reads one stream out of the messages of a sender: a column per
// message. What differs between senders is in its fields.
type oscStream struct {
	scratch
	stated  stated
	rest    string // the address is this, or ends in "/" + this
	whole   bool   // the address is exactly rest
	prefix  string // of the labels
	usual   []string
	skip    int  // arguments in front of the numbers
	least   int  // numbers, at least; 0 = one
	most    int  // numbers, at most; 0 = any
	pairs   bool // two integers behind the numbers are seconds and microseconds
	counter int  // argument that counts, or −1
	clock   func(m *oscMessage) (int64, bool)
	markers []string
	rows    int
	args    int
	ready   bool
	msg     oscMessage
	labels  labels
}

func (f *oscStream) matches(address []byte) bool {
	if f.whole {
		return string(address) == f.rest
	}
	n := len(address) - len(f.rest)
	return n >= 0 && string(address[n:]) == f.rest && (n == 0 || address[n-1] == '/')
}

func (f *oscStream) marks(address []byte) bool {
	for _, m := range f.markers {
		if bytes.HasPrefix(address, []byte(m)) && (len(address) == len(m) || address[len(m)] == '/') {
			return true
		}
	}
	return false
}

// numbers returns how many of a message's arguments are rows.
func (f *oscStream) numbers(m *oscMessage) int {
	n := m.floats(f.skip)
	if f.pairs && f.stamped(m) {
		n -= 2
	}
	if f.most > 0 {
		n = min(n, f.most)
	}
	return n
}

// stamped reports whether a message ends in two integers behind floats.
func (f *oscStream) stamped(m *oscMessage) bool {
	n := len(m.args)
	return n > 2 && m.args[n-1].tag == 'i' && m.args[n-2].tag == 'i' && m.args[n-3].tag == 'f'
}

func (f *oscStream) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	w := oscWalk{pkt: pkt}
	for w.next(&f.msg) {
		if !f.matches(f.msg.address) {
			continue
		}
		if f.skip > len(f.msg.args) {
			return false, f.faultOf(f.msg.at, "arguments of the message", int64(len(f.msg.args)), int64(f.skip+max(1, f.least)))
		}
		n := f.numbers(&f.msg)
		if n < max(1, f.least) {
			return false, f.faultOf(f.msg.at, "numbers in the message", int64(n), int64(max(1, f.least)))
		}
		if f.stated.labels == nil && len(f.usual) >= n {
			f.stated.labels = f.usual[:n]
		}
		channels, err := f.stated.channels(n, f.prefix)
		if err != nil {
			return false, err
		}
		l := &f.layout
		l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: maxDatagram/(12+4*n) + 1}
		if l.Header.Rate == 0 {
			l.Header.MaxLen = 1
		}
		if f.pairs && f.stamped(&f.msg) {
			f.clock = trailingStamp
		}
		if f.clock != nil {
			l.Evidence |= EvidenceStamp
			l.Clock = ClockUnix
		}
		if f.counter >= 0 {
			l.Evidence |= EvidenceCounter
			if l.Counter == (Counter{}) {
				l.Counter = Counter{Modulus: 1 << 32, Step: 1}
			}
		}
		if l.Evidence == 0 {
			l.Notes = append(l.Notes, "no stamp and no sequence: loss shows only in the rate of arrival")
		}
		if err := l.Header.Validate(); err != nil {
			return false, err
		}
		f.rows, f.args, f.ready = n, len(f.msg.args), true
		return true, nil
	}
	if w.bad != "" {
		return false, f.fault(w.badAt, w.bad)
	}
	return false, ErrOther
}

// trailingStamp reads the seconds and microseconds at a message's end.
func trailingStamp(m *oscMessage) (int64, bool) {
	n := len(m.args)
	if n < 2 || m.args[n-1].tag != 'i' || m.args[n-2].tag != 'i' {
		return 0, false
	}
	return m.args[n-2].int*1e9 + m.args[n-1].int*1e3, true
}

func (f *oscStream) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	at := placeOf(dst)
	used := false
	w := oscWalk{pkt: pkt}
	for w.next(&f.msg) {
		m := &f.msg
		switch {
		case f.matches(m.address):
			if err := f.column(dst, m); err != nil {
				at.restore(dst)
				f.records = f.records[:0]
				return err
			}
			used = true
		case f.marks(m.address):
			if f.mark(dst, m) {
				used = true
			}
		}
	}
	if w.bad != "" {
		at.restore(dst)
		f.records = f.records[:0]
		return f.fault(w.badAt, w.bad)
	}
	if !used {
		return ErrOther
	}
	return nil
}

func (f *oscStream) column(dst *stream.Chunk, m *oscMessage) error {
	if f.skip > len(m.args) {
		return f.faultOf(m.at, "arguments of the message", int64(len(m.args)), int64(f.args))
	}
	if n := f.numbers(m); n != f.rows {
		return f.faultOf(m.at, "numbers in the message", int64(n), int64(f.rows))
	}
	if !room(dst, 1) {
		return f.fault(m.at, "more columns than an irregular stream may have in a packet; say rate=HZ")
	}
	r := Record{Column: dst.Len, Columns: 1}
	if f.counter >= 0 {
		if f.counter >= len(m.args) {
			return f.faultOf(m.at, "arguments of the message", int64(len(m.args)), int64(f.args))
		}
		a := &m.args[f.counter]
		if a.tag != 'i' && a.tag != 'h' {
			return f.fault(m.at, "the counter is no integer")
		}
		r.Counter, r.Has = uint64(a.int), EvidenceCounter
		if mod := f.layout.Counter.Modulus; mod != 0 {
			r.Counter %= mod
		}
	}
	if f.clock != nil {
		s, ok := f.clock(m)
		if !ok {
			return f.fault(m.at, "the message has no stamp")
		}
		r.Stamp = s
		r.Has |= EvidenceStamp
		dst.Stamps = append(dst.Stamps, stream.Time(s))
	}
	col := dst.Len
	dst.Extend(1)
	for ch := range f.rows {
		put(dst, ch, col, m.args[f.skip+ch].num)
	}
	f.records = append(f.records, r)
	if f.name == "neurosity-osc" && len(m.args) > f.skip+f.rows+2 {
		if a := &m.args[f.skip+f.rows+2]; a.tag == 's' && len(a.text) > 0 {
			dst.Markers = append(dst.Markers, stream.Marker{Column: col, Label: f.labels.of(a.text)})
		}
	}
	return nil
}

// mark turns a message into a marker of the column that comes next: its text, its
// number unless 0, or its address.
func (f *oscStream) mark(dst *stream.Chunk, m *oscMessage) bool {
	label := m.address
	var digits [32]byte
	if len(m.args) > 0 {
		switch a := &m.args[0]; {
		case a.tag == 's' || a.tag == 'S':
			label = a.text
		case a.num == 0 || !finite(a.num):
			return false
		default:
			label = appendFloat(digits[:0], a.num, 64)
		}
	}
	if len(label) == 0 {
		return false
	}
	dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len, Label: f.labels.of(label)})
	return true
}

// likeOSC says whether a packet is OSC whose address ends in one of these.
func likeOSC(pkt []byte, endings ...string) float64 {
	var m oscMessage
	w := oscWalk{pkt: pkt}
	any := false
	for w.next(&m) {
		for _, e := range endings {
			if e == "" && m.address[0] == '/' || e != "" && strings.HasPrefix(string(m.address), e) {
				any = true
			}
		}
	}
	if w.bad != "" || !any {
		return 0
	}
	return 1
}

// The generic format: one address, one column per message.

var oscParams = append([]Param{
	{Name: "address", Doc: "of the messages to read, such as /eeg"},
	{Name: "skip", Doc: "arguments in front of the numbers", Default: "0"},
	{Name: "counter", Doc: "index of the argument that grows by one per column, from 0", Default: "none"},
	{Name: "modulus", Doc: "where the counter starts again at 0", Default: "2^32"},
	{Name: "stamp", Doc: "index of the argument that is the time in seconds, from 0", Default: "none"},
	{Name: "markers", Doc: "addresses whose messages are markers, separated by commas", Default: "/marker"},
}, statedParams...)

func newOSC(p *Parameters) (Format, error) {
	f := &oscStream{stated: p.stated("OSC", "", "EEG"), prefix: "ch", whole: true, labels: labels{}}
	f.name = "osc"
	f.rest = p.Text("address", "")
	if f.rest == "" {
		p.Fail("which messages? add address=/…")
	}
	f.skip = p.Int("skip", 0, 0, 64)
	f.counter = p.Int("counter", -1, 0, 64)
	f.layout.Counter = Counter{Modulus: uint64(p.Int("modulus", 1<<32, 1, 1<<53)), Step: 1}
	if f.counter < 0 {
		f.layout.Counter = Counter{}
	}
	if i := p.Int("stamp", -1, 0, 64); i >= 0 {
		f.clock = func(m *oscMessage) (int64, bool) {
			if i >= len(m.args) || !(m.args[i].num >= 0 && m.args[i].num < 9e9) {
				return 0, false
			}
			return nanoseconds(m.args[i].num), true
		}
	}
	f.least = max(1, f.counter-f.skip+1)
	f.markers = p.List("markers")
	if f.markers == nil {
		f.markers = []string{"/marker"}
	}
	return f, nil
}

func likeAnyOSC(pkt []byte) float64 { return 0.5 * likeOSC(pkt, "") }

// appendOSCText appends a padded text.
func appendOSCText(dst []byte, s string) []byte {
	dst = append(dst, s...)
	for n := 4 - len(s)%4; n > 0; n-- {
		dst = append(dst, 0)
	}
	return dst
}

// oscEncoder writes one message per column, and one per marker in front of it.
type oscEncoder struct {
	address, tags, marker string
	head                  func(e *oscEncoder, dst []byte, at stream.Time) []byte // arguments in front
	tail                  func(e *oscEncoder, dst []byte, at stream.Time, marker string) []byte
	before, after         string // tags in front and behind
	open                  func(in *stream.Header) error
	rate                  float64
	rows                  int
	n                     uint32
	sentMarkers           int // of the column that is due
}

var oscEncoderParams = []Param{
	{Name: "address", Doc: "of the messages", Default: "/bci"},
	{Name: "markers", Doc: "address of the markers' messages", Default: "/marker"},
}

func newOSCEncoder(p *Parameters) (Encoder, error) {
	e := &oscEncoder{address: p.Text("address", "/bci"), marker: p.Text("markers", "/marker")}
	if !strings.HasPrefix(e.address, "/") || !strings.HasPrefix(e.marker, "/") {
		p.Fail("an OSC address begins with /")
	}
	return e, nil
}

func (e *oscEncoder) Open(in stream.Header) error {
	e.rows, e.rate = len(in.Channels), in.Rate
	if e.rows > maxDatagram/6 {
		return fmt.Errorf("osc: a column of %d channels does not fit a datagram", e.rows)
	}
	if e.open != nil {
		if err := e.open(&in); err != nil {
			return err
		}
	}
	e.tags = "," + e.before + strings.Repeat("f", e.rows) + e.after
	return nil
}

func (e *oscEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *oscEncoder) Finish(dst []byte) []byte            { return dst }

func (e *oscEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	skip, label := e.sentMarkers, ""
	for i := range src.Markers {
		m := &src.Markers[i]
		if m.Column != from && !(from == to && m.Column >= to) {
			continue
		}
		if e.tail != nil {
			label = m.Label
			continue
		}
		if e.marker == "" {
			continue
		}
		if skip--; skip >= 0 {
			continue
		}
		e.sentMarkers++
		dst = appendOSCText(appendOSCText(dst, e.marker), ",s")
		return appendOSCText(dst, m.Label), 0
	}
	e.sentMarkers = 0
	if from == to {
		return dst, 0
	}
	at := src.T0
	if e.rate > 0 {
		at += stream.Time(math.RoundToEven(float64(from) / e.rate * 1e9))
	}
	dst = appendOSCText(appendOSCText(dst, e.address), e.tags)
	if e.head != nil {
		dst = e.head(e, dst, at)
	}
	for ch := range e.rows {
		v := src.At(ch, from)
		if src.Flags&stream.Bad != 0 && src.IsBad(ch, from) {
			v = math.NaN()
		}
		dst = F32.append(dst, v, true)
	}
	if e.tail != nil {
		dst = e.tail(e, dst, at, label)
	}
	e.n++
	return dst, 1
}
