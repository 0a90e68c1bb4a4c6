package udp

import (
	"fmt"
	"math"
	"strconv"

	"neurostream/stream"
)

// Open Ephys ZMQ interface (a publisher, usually at TCP 5556), spoken without a
// library: ZMTP 3.0, mechanism NULL.
//
//	greeting   64 B: FF 0×8 7F, version 3 0, "NULL" padded to 20, 0, 0×31
//	frame      u8 flags (1 more, 2 long, 4 command)  u8 or u64 BE size  body
//	command    READY with our socket's type; after theirs the message 01: subscribe to all
//	message    "DATA\0" | JSON | f32 LE × n       one message per channel and block
//
//	{"message_num":7,"type":"data","content":{"stream":"…","channel_num":0,
//	 "channel_name":"CH1","num_samples":n,"sample_num":s,"sample_rate":30000},
//	 "data_size":4n,"timestamp":ms}
//
// Columns are whole when the messages of all channels of a block have come; when
// another block begins before that, the missing channels are marked bad. The
// sample number tells of lost blocks; the message number is not needed. Events and spikes are passed over. The unit is not in the messages. This
// was written from the published layout and tried with the ZeroMQ library, not with
// the acquisition program.
//
// Source: open-ephys-plugins, zmq-interface; ZMTP 3.0 (rfc.zeromq.org/spec/23).
type openEphys struct {
	scratch
	stated  stated
	stream  string
	numbers []int // channel numbers, in row order
	names   []string
	most    int // columns of a block, at most
	ready   bool
	msg     ephysMessage
	block   int64
	n       int
	count   int
	have    []bool
	pending []float64
}

const (
	zmtpMore, zmtpLong, zmtpCommand = 1, 2, 4

	zmtpGreeting = 64
	zmtpFrame    = 1 << 24
)

// ephysMessage is one data message.
type ephysMessage struct {
	number, sample   int64
	stream, name     []byte
	channel, samples int
	rate             float64
	data             []byte
	isData           bool
}

var openEphysParams = append([]Param{
	{Name: "stream", Doc: "name of the stream to read", Default: "the first that comes"},
}, statedParams...)

func newOpenEphys(p *Parameters) (Format, error) {
	f := &openEphys{stated: p.stated("Open Ephys", "", "EEG"), stream: p.Text("stream", "")}
	f.name = "openephys"
	return f, nil
}

// zmtpHello is what either side sends first; kind is SUB or PUB.
func zmtpHello(dst []byte, kind string) []byte {
	dst = append(dst, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0)
	dst = append(dst, "NULL"...)
	dst = append(dst, make([]byte, zmtpGreeting-16)...)
	const property = "Socket-Type"
	size := 1 + len("READY") + 1 + len(property) + 4 + len(kind)
	dst = append(dst, zmtpCommand, byte(size), byte(len("READY")))
	dst = append(append(dst, "READY"...), byte(len(property)))
	dst = append(append(dst, property...), 0, 0, 0, byte(len(kind)))
	return append(dst, kind...)
}

// Hello greets the publisher.
func (f *openEphys) Hello() []byte   { return zmtpHello(nil, "SUB") }
func (f *openEphys) Goodbye() []byte { return nil }

// zmtpSubscribe asks for all messages.
var zmtpSubscribe = []byte{0, 1, 1}

// Answer subscribes once the publisher is ready: the library loses what comes
// together with the greeting.
func (f *openEphys) Answer(pkt []byte) []byte {
	if len(pkt) > 7 && pkt[0] == zmtpCommand && string(pkt[2:8]) == "\x05READY" {
		return zmtpSubscribe
	}
	return nil
}

func (f *openEphys) MaxFrame() int { return zmtpFrame }

// zmtpPart reads the head of a frame; size 0 and head 0 say that more is needed.
func zmtpPart(p []byte) (flags byte, head int, size uint64) {
	if len(p) < 2 {
		return 0, 0, 0
	}
	flags = p[0]
	if flags&zmtpLong == 0 {
		return flags, 2, uint64(p[1])
	}
	if len(p) < 9 {
		return 0, 0, 0
	}
	return flags, 9, be.Uint64(p[1:])
}

// Frame cuts a greeting, a command or a whole message of several frames.
func (f *openEphys) Frame(buf []byte) (int, error) {
	if len(buf) > 0 && buf[0] == 0xff {
		if len(buf) < zmtpGreeting {
			return 0, nil
		}
		return zmtpGreeting, nil
	}
	for at := 0; ; {
		flags, head, size := zmtpPart(buf[at:])
		if head == 0 {
			if at < len(buf) && buf[at]&^7 != 0 {
				return 0, f.fault(at, "no frame of ZMTP begins here")
			}
			return 0, nil
		}
		switch {
		case flags&^7 != 0:
			return 0, f.fault(at, "no frame of ZMTP begins here")
		case size > zmtpFrame-9 || at+head+int(size) > zmtpFrame:
			return 0, f.fault(at, "a message of more than 16 MiB")
		case at+head+int(size) > len(buf):
			return 0, nil
		}
		at += head + int(size)
		if flags&zmtpMore == 0 || flags&zmtpCommand != 0 {
			return at, nil
		}
	}
}

// parse reads a packet into f.msg; ErrOther for what is no data message.
func (f *openEphys) parse(pkt []byte) error {
	if len(pkt) == zmtpGreeting && pkt[0] == 0xff {
		if pkt[9] != 0x7f || pkt[10] < 3 {
			return f.faultOf(10, "version of ZMTP", int64(pkt[10]), 3)
		}
		return ErrOther
	}
	var parts [3][]byte
	n := 0
	for at := 0; at < len(pkt); n++ {
		flags, head, size := zmtpPart(pkt[at:])
		if head == 0 || flags&^7 != 0 || size > uint64(len(pkt)-at-head) {
			return f.fault(at, "a frame of ZMTP is longer than its message")
		}
		if flags&zmtpCommand != 0 {
			return ErrOther
		}
		if n < len(parts) {
			parts[n] = pkt[at+head : at+head+int(size)]
		}
		at += head + int(size)
	}
	if n < 2 {
		return f.faultOf(0, "frames of the message", int64(n), 3)
	}
	f.msg = ephysMessage{number: -1, sample: -1, channel: -1}
	s := scanner{p: parts[1]}
	if err := f.object(&s, 0); err != nil {
		return err
	}
	m := &f.msg
	if !m.isData {
		return ErrOther
	}
	m.data = parts[2]
	switch {
	case m.number < 0 || m.sample < 0 || m.channel < 0:
		return f.fault(0, "the message has no message_num, sample_num or channel_num")
	case m.samples < 1 || len(m.data) != 4*m.samples:
		return f.faultOf(0, "bytes of samples", int64(len(m.data)), int64(4*m.samples))
	case !(m.rate > 0 && m.rate <= 1e6):
		return f.fault(0, "the sample_rate is no rate")
	}
	return nil
}

// object reads the JSON part, and its content one deeper.
func (f *openEphys) object(s *scanner, depth int) error {
	if !s.eat('{') {
		return f.fault(s.at, "no JSON object")
	}
	for s.peek() == '"' {
		key, ok := s.text()
		if !ok || !s.eat(':') {
			return f.fault(s.at, "a key without a value")
		}
		var number float64
		numeric := false
		m := &f.msg
		switch string(key) {
		case "message_num", "channel_num", "num_samples", "sample_num", "sample_rate":
			if number, numeric = s.number(); !numeric || !(number >= 0 && number < 1<<53) {
				return f.fault(s.at, "a number is none, or out of range")
			}
		}
		switch string(key) {
		case "message_num":
			m.number = int64(number)
		case "channel_num":
			m.channel = int(min(number, math.MaxInt32))
		case "num_samples":
			m.samples = int(min(number, math.MaxInt32))
		case "sample_num":
			m.sample = int64(number)
		case "sample_rate":
			m.rate = number
		case "type":
			text, ok := s.text()
			if !ok {
				return f.fault(s.at, "the type is no text")
			}
			if depth == 0 {
				m.isData = string(text) == "data"
			}
		case "stream", "channel_name":
			text, ok := s.text()
			if !ok {
				return f.fault(s.at, "a name is no text")
			}
			if string(key) == "stream" {
				m.stream = text
			} else {
				m.name = text
			}
		case "content":
			if depth == 0 && s.peek() == '{' {
				if err := f.object(s, 1); err != nil {
					return err
				}
				break
			}
			fallthrough
		default:
			if !s.skip() {
				return f.fault(s.at, "a value ends too early")
			}
		}
		if !s.eat(',') {
			break
		}
	}
	if !s.eat('}') {
		return f.fault(s.at, "the JSON object does not end")
	}
	return nil
}

func likeOpenEphys(pkt []byte) float64 {
	f := new(openEphys)
	f.name = "openephys"
	if len(pkt) == zmtpGreeting && pkt[0] == 0xff && pkt[9] == 0x7f {
		return 1
	}
	if err := f.parse(pkt); err == nil || err == ErrOther && len(pkt) > 2 && (pkt[0] == zmtpCommand || f.msg.number >= 0) {
		return 1
	}
	return 0
}

func (f *openEphys) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	if err := f.parse(pkt); err != nil {
		return false, err
	}
	m := &f.msg
	if f.stream == "" {
		f.stream = string(m.stream)
	}
	if string(m.stream) != f.stream {
		return false, ErrOther
	}
	for _, c := range f.numbers {
		if c == m.channel {
			return f.learnt(m.rate)
		}
	}
	if len(f.numbers) == 4096 {
		return false, f.fault(0, "more than 4096 channels")
	}
	f.most = max(f.most, 2*m.samples, 1024)
	at := len(f.numbers)
	for at > 0 && f.numbers[at-1] > m.channel {
		at--
	}
	f.numbers = append(f.numbers[:at], append([]int{m.channel}, f.numbers[at:]...)...)
	f.names = append(f.names[:at], append([]string{string(m.name)}, f.names[at:]...)...)
	return false, nil
}

func (f *openEphys) learnt(rate float64) (bool, error) {
	if f.stated.rate != 0 && f.stated.rate != rate {
		return false, fmt.Errorf("openephys: the URL says rate=%g, the messages %g Hz", f.stated.rate, rate)
	}
	rows := len(f.numbers)
	channels, err := f.stated.channels(rows, "CH")
	if err != nil {
		return false, err
	}
	for i, n := range f.names {
		if f.stated.labels == nil && n != "" {
			channels[i].Label = n
		}
	}
	f.most = min(f.most, mostCells/rows/2)
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name + " " + f.stream, Rate: rate, Channels: channels, MaxLen: 2 * f.most}
	l.Evidence = EvidenceIndex
	if f.stated.unit == "" {
		l.Notes = append(l.Notes, "the unit is not known: neither the messages nor the URL say it")
	}
	f.pending, f.have = make([]float64, rows*f.most), make([]bool, rows)
	f.ready = true
	return true, l.Header.Validate()
}

func (f *openEphys) row(channel int) int {
	for i, c := range f.numbers {
		if c == channel {
			return i
		}
	}
	return -1
}

func (f *openEphys) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	if err := f.parse(pkt); err != nil {
		return err
	}
	m := &f.msg
	if string(m.stream) != f.stream {
		return ErrOther
	}
	row := f.row(m.channel)
	switch {
	case row < 0:
		return f.faultOf(0, "a channel that was not there before; channels", int64(m.channel), int64(len(f.numbers)))
	case m.samples > f.most:
		return f.faultOf(0, "samples in a block", int64(m.samples), int64(f.most))
	case m.rate != f.layout.Header.Rate:
		return f.fault(0, "the sample_rate has changed")
	case !room(dst, f.n+m.samples):
		return f.faultOf(0, "columns in the message", int64(f.n+m.samples), int64(dst.Cap()-dst.Len))
	}
	if f.count > 0 && (f.block != m.sample || f.n != m.samples || f.have[row]) {
		f.flush(dst)
	}
	f.block, f.n = m.sample, m.samples
	values := f.pending[row*f.most:][:m.samples]
	for i := range values {
		values[i] = F32.number(m.data[4*i:], false)
	}
	f.have[row] = true
	if f.count++; f.count == len(f.numbers) {
		f.flush(dst)
	}
	return nil
}

func (f *openEphys) flush(dst *stream.Chunk) {
	at := dst.Len
	dst.Extend(f.n)
	for row := range f.numbers {
		for i := range f.n {
			if f.have[row] {
				put(dst, row, at+i, f.pending[row*f.most+i])
			} else {
				dst.Set(row, at+i, 0)
				dst.MarkBad(row, at+i)
			}
		}
		f.have[row] = false
	}
	f.records = append(f.records, Record{Column: at, Columns: f.n, Has: EvidenceIndex, Index: f.block})
	f.count, f.n = 0, 0
}

// openEphysEncoder plays the publisher.
type openEphysEncoder struct {
	names  []string
	stream string
	rate   float64
	next   int
	n      uint64
	json   []byte
}

func newOpenEphysEncoder(p *Parameters) (Encoder, error) {
	return &openEphysEncoder{stream: p.Text("stream", "simulated")}, nil
}

var openEphysEncoderParams = []Param{{Name: "stream", Doc: "name of the stream", Default: "simulated"}}

func (e *openEphysEncoder) Open(in stream.Header) error {
	e.rate = in.Rate
	if in.Rate <= 0 {
		return fmt.Errorf("openephys: an irregular stream has no sample_rate")
	}
	for _, l := range append(in.Labels(), e.stream) {
		for _, c := range []byte(l) {
			if c < ' ' || c == '"' || c == '\\' {
				return fmt.Errorf("openephys: the name %q has quotes or control characters", l)
			}
		}
	}
	e.names = in.Labels()
	return nil
}

func (e *openEphysEncoder) Preamble(dst []byte) ([]byte, []int) {
	from := len(dst)
	dst = zmtpHello(dst, "PUB")
	return dst, []int{zmtpGreeting, len(dst) - from - zmtpGreeting}
}

func (e *openEphysEncoder) Finish(dst []byte) []byte { return dst }

func (e *openEphysEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := to - from
	if n == 0 {
		return dst, 0
	}
	ms := (int64(src.T0) + int64(float64(from)/e.rate*1e9)) / 1e6
	j := append(e.json[:0], `{"message_num":`...)
	j = append(appendDecimal(j, e.n), `,"type":"data","content":{"stream":"`...)
	j = append(append(j, e.stream...), `","channel_num":`...)
	j = append(appendDecimal(j, uint64(e.next)), `,"channel_name":"`...)
	j = append(append(j, e.names[e.next]...), `","num_samples":`...)
	j = append(appendDecimal(j, uint64(n)), `,"sample_num":`...)
	j = append(appendDecimal(j, uint64(src.Seq+int64(from))), `,"sample_rate":`...)
	j = append(appendFloat(j, e.rate, 64), `},"data_size":`...)
	j = append(appendDecimal(j, uint64(4*n)), `,"timestamp":`...)
	j = append(strconv.AppendInt(j, ms, 10), '}')
	e.json = j
	dst = append(append(dst, zmtpMore, 5), "DATA\x00"...)
	dst = append(be.AppendUint64(append(dst, zmtpMore|zmtpLong), uint64(len(j))), j...)
	dst = be.AppendUint64(append(dst, zmtpLong), uint64(4*n))
	for col := from; col < to; col++ {
		dst = F32.append(dst, src.At(e.next, col), false)
	}
	e.n++
	if e.next++; e.next < len(e.names) {
		return dst, 0
	}
	e.next = 0
	return dst, n
}
