package udp

import (
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// Lines of text, as people's own scripts send them: one column per line, one or
// more lines per packet, ended by LF or CR LF; the last may lack its end.
//
//	csv     1.5,-2,0.25        separator , ; TAB or spaces; a first line of labels
//	        C3,C4,Cz           is read as such
//	jsonl   {"data":[1.5,-2,0.25],"n":17,"t":1700000000.25,"marker":"T1"}
//	        [1.5,-2,0.25]
//	        {"C3":1.5,"C4":-2}
//
// counter= and stamp= say which field counts and which is the time: an index from 0
// for csv, a key for jsonl. Other fields are channels: all of them, or those that
// channels= names. Comments (#) and empty lines are skipped. Decimal commas are
// refused unless the separator is another.
type lines struct {
	scratch
	json     bool
	sep      byte // 0 = learnt from the first line
	stated   stated
	counter  string
	stamp    string
	marker   string
	data     string
	unitTime float64 // seconds per unit of the stamp
	keys     []string
	rows     int
	fields   int
	counterI int
	stampI   int
	ready    bool
	values   []float64
	have     []bool
	labels   labels
}

var csvParams = append([]Param{
	{Name: "sep", Doc: "separator: comma, semicolon, tab or space", Default: "as in the first line"},
	{Name: "counter", Doc: "index of the field that counts, from 0", Default: "none"},
	{Name: "modulus", Doc: "where the counter starts again at 0", Default: "never"},
	{Name: "step", Doc: "by how much the counter grows per line", Default: "1"},
	{Name: "stamp", Doc: "index of the field that is the time, from 0", Default: "none"},
	{Name: "time", Doc: "unit of the stamp: s, ms, us or ns", Default: "s"},
	{Name: "clock", Doc: "of the stamp: device or unix", Default: "device"},
}, statedParams...)

var jsonlParams = append([]Param{
	{Name: "data", Doc: "key of the array of channels", Default: "data"},
	{Name: "counter", Doc: "key of the number that counts", Default: "none"},
	{Name: "modulus", Doc: "where the counter starts again at 0", Default: "never"},
	{Name: "step", Doc: "by how much the counter grows per line", Default: "1"},
	{Name: "stamp", Doc: "key of the time", Default: "none"},
	{Name: "time", Doc: "unit of the stamp: s, ms, us or ns", Default: "s"},
	{Name: "clock", Doc: "of the stamp: device or unix", Default: "device"},
	{Name: "marker", Doc: "key of the marker's text", Default: "marker"},
}, statedParams...)

func newLines(p *Parameters, name string, asJSON bool) *lines {
	f := &lines{json: asJSON, counterI: -1, stampI: -1, labels: labels{}}
	f.name = name
	f.stated = p.stated(name, "", "EEG")
	f.layout.Counter = Counter{Modulus: uint64(p.Int("modulus", 0, 0, 1<<53)), Step: uint64(p.Int("step", 1, 1, 1<<30))}
	f.unitTime = map[string]float64{"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[p.Choice("time", "s", "ms", "us", "ns")]
	clock := ClockDevice
	if p.Choice("clock", "device", "unix") == "unix" {
		clock = ClockUnix
	}
	f.counter, f.stamp = p.Text("counter", ""), p.Text("stamp", "")
	if f.counter == "none" {
		f.counter = ""
	}
	if f.stamp == "none" {
		f.stamp = ""
	}
	if f.counter != "" {
		f.layout.Evidence |= EvidenceCounter
	} else {
		f.layout.Counter = Counter{}
	}
	if f.stamp != "" {
		f.layout.Evidence |= EvidenceStamp
		f.layout.Clock = clock
	}
	return f
}

func newCSV(p *Parameters) (Format, error) {
	f := newLines(p, "csv", false)
	f.sep = map[string]byte{"": 0, "comma": ',', "semicolon": ';', "tab": '\t', "space": ' '}[p.Choice("sep", "", "comma", "semicolon", "tab", "space")]
	if f.counter != "" {
		f.counterI = p.Int("counter", -1, 0, stream.MaxChannels)
	}
	if f.stamp != "" {
		f.stampI = p.Int("stamp", -1, 0, stream.MaxChannels)
	}
	return f, nil
}

func newJSONLines(p *Parameters) (Format, error) {
	f := newLines(p, "jsonl", true)
	f.data, f.marker = p.Text("data", "data"), p.Text("marker", "marker")
	return f, nil
}

// cutLine returns the first line without its end, and where the next begins.
func cutLine(p []byte, at int) (line []byte, next int) {
	next = at
	for next < len(p) && p[next] != '\n' {
		next++
	}
	end := next
	for end > at && (p[end-1] == '\r' || p[end-1] == ' ') {
		end--
	}
	for at < end && p[at] == ' ' {
		at++
	}
	return p[at:end], min(next+1, len(p))
}

func skipped(line []byte) bool { return len(line) == 0 || line[0] == '#' }

// MaxFrame is the longest line over TCP.
func (f *lines) MaxFrame() int { return 1 << 20 }

// Frame cuts a byte stream at line ends.
func (f *lines) Frame(buf []byte) (int, error) {
	for i, c := range buf {
		if i == f.MaxFrame() {
			break
		}
		if c == '\n' {
			return i + 1, nil
		}
	}
	if len(buf) >= f.MaxFrame() {
		return 0, f.fault(f.MaxFrame(), "a line of more than a mebibyte")
	}
	return 0, nil
}

func (f *lines) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if skipped(line) {
			continue
		}
		if f.json {
			return f.learnJSON(line, from)
		}
		if ready, err := f.learnCSV(line, from); ready || err != nil {
			return ready, err
		}
	}
	return false, nil
}

func (f *lines) learnCSV(line []byte, at int) (bool, error) {
	sep := f.sep
	if sep == 0 {
		for _, c := range []byte{'\t', ';', ',', ' '} {
			if strings.IndexByte(string(line), c) >= 0 {
				sep = c
				break
			}
		}
		if sep == 0 {
			sep = ','
		}
	}
	fields := splitFields(string(line), sep)
	if n := len(fields); f.counterI >= n || f.stampI >= n {
		return false, f.faultOf(at, "fields in the line; counter= or stamp= name one that is not there", int64(n), int64(max(f.counterI, f.stampI)+1))
	}
	numbers := 0
	for _, s := range fields {
		sc := scanner{p: []byte(s)}
		if _, ok := sc.number(); ok && sc.at == len(sc.p) {
			numbers++
		}
	}
	if numbers == 0 && f.keys == nil { // a line of labels
		f.sep, f.keys = sep, fields
		return false, nil
	}
	if numbers < len(fields) {
		return false, f.fault(at, "a field is no number, and the line is no line of labels")
	}
	if f.keys != nil && len(f.keys) != len(fields) {
		return false, f.faultOf(at, "fields behind a line of labels", int64(len(fields)), int64(len(f.keys)))
	}
	f.sep, f.fields = sep, len(fields)
	f.rows = f.fields
	var names []string
	for i := range fields {
		if i == f.counterI || i == f.stampI {
			f.rows--
		} else if f.keys != nil {
			names = append(names, f.keys[i])
		}
	}
	if f.stated.labels == nil {
		f.stated.labels = names
	}
	return f.learnt(at)
}

func splitFields(s string, sep byte) []string {
	if sep == ' ' {
		return strings.Fields(s)
	}
	out := strings.Split(s, string(rune(sep)))
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

func (f *lines) learnJSON(line []byte, at int) (bool, error) {
	s := scanner{p: line}
	if s.peek() == '[' {
		s.at++
		for s.peek() != ']' {
			if _, ok := s.number(); !ok {
				return false, f.fault(at+s.at, "no number in the array")
			}
			f.rows++
			if !s.eat(',') {
				break
			}
		}
		return f.learnt(at)
	}
	if !s.eat('{') {
		return false, f.fault(at, "neither a JSON object nor an array")
	}
	array := 0
	var keys []string
	for s.peek() == '"' {
		key, _ := s.text()
		k := string(key)
		if !s.eat(':') {
			return false, f.fault(at+s.at, "a key without a value")
		}
		switch {
		case k == f.data && s.peek() == '[':
			inner := s
			inner.at++
			for inner.peek() != ']' {
				if _, ok := inner.number(); !ok {
					return false, f.fault(at+inner.at, "no number in the array")
				}
				array++
				if !inner.eat(',') {
					break
				}
			}
		case k == f.counter || k == f.stamp || k == f.marker:
		default:
			inner := s
			if _, ok := inner.number(); ok {
				keys = append(keys, k)
			}
		}
		if !s.skip() {
			return false, f.fault(at+s.at, "a value ends too early")
		}
		if !s.eat(',') {
			break
		}
	}
	switch {
	case array > 0:
		f.rows = array
	case f.stated.labels != nil:
		f.keys, f.rows = f.stated.labels, len(f.stated.labels)
	default:
		f.keys, f.rows, f.stated.labels = keys, len(keys), keys
	}
	return f.learnt(at)
}

func (f *lines) learnt(at int) (bool, error) {
	if f.rows <= 0 {
		return false, f.fault(at, "no channels in the line")
	}
	channels, err := f.stated.channels(f.rows, "ch")
	if err != nil {
		return false, err
	}
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: maxDatagram/(2*f.rows) + 1}
	if f.stated.rate == 0 {
		l.Header.MaxLen = 1
	}
	if f.stated.unit == "" {
		l.Notes = append(l.Notes, "the unit is not known: neither the packets nor the URL say it")
	}
	if l.Evidence == 0 {
		l.Notes = append(l.Notes, "no stamp and no sequence: loss shows only in the rate of arrival")
	}
	if err := l.Header.Validate(); err != nil {
		return false, err
	}
	f.values, f.have = make([]float64, f.rows), make([]bool, f.rows)
	f.ready = true
	return true, nil
}

func (f *lines) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	before := placeOf(dst)
	for at := 0; at < len(pkt); {
		var line []byte
		from := at
		line, at = cutLine(pkt, at)
		if skipped(line) {
			continue
		}
		var r Record
		var err error
		if f.json {
			r, err = f.jsonLine(dst, line, from)
		} else {
			r, err = f.csvLine(line, from)
		}
		if err == ErrOther { // a line of labels
			continue
		}
		if err == nil && !room(dst, 1) {
			err = f.fault(from, "more lines than a packet of an irregular stream may have; say rate=HZ")
		}
		if err != nil {
			before.restore(dst)
			f.records = f.records[:0]
			return err
		}
		r.Column, r.Columns = dst.Len, 1
		dst.Extend(1)
		for ch, v := range f.values {
			put(dst, ch, r.Column, v)
		}
		if r.Has&EvidenceStamp != 0 {
			dst.Stamps = append(dst.Stamps, stream.Time(r.Stamp))
		}
		f.records = append(f.records, r)
	}
	if dst.Len == before.columns {
		return ErrOther
	}
	return nil
}

// evidence stores a counter or a stamp.
func (f *lines) evidence(r *Record, v float64, counter bool, at int) error {
	if counter {
		m := f.layout.Counter.Modulus
		if !(v >= 0 && v < 1<<53) || v != math.Trunc(v) || m != 0 && uint64(v) >= m {
			return f.fault(at, "the counter is no whole number below its modulus")
		}
		r.Counter = uint64(v)
		r.Has |= EvidenceCounter
		return nil
	}
	if !(v >= 0 && v*f.unitTime < 9e9) {
		return f.fault(at, "the stamp is no time")
	}
	per := math.RoundToEven(1e9 * f.unitTime) // nanoseconds per unit
	whole := math.Floor(v)
	r.Stamp = int64(whole)*int64(per) + int64(math.RoundToEven((v-whole)*per))
	r.Has |= EvidenceStamp
	return nil
}

func (f *lines) csvLine(line []byte, at int) (r Record, err error) {
	s := scanner{p: line}
	ch, i := 0, 0
	for ; ; i++ {
		from := s.at
		v, ok := s.number()
		if !ok {
			if i == 0 && f.keys != nil && f.isHead(line) {
				return r, ErrOther
			}
			return r, f.fault(at+from, "a field is no number")
		}
		switch {
		case i >= f.fields:
			return r, f.faultOf(at+from, "fields in the line, or more", int64(i+1), int64(f.fields))
		case i == f.counterI:
			err = f.evidence(&r, v, true, at+from)
		case i == f.stampI:
			err = f.evidence(&r, v, false, at+from)
		default:
			f.values[ch] = v
			ch++
		}
		if err != nil {
			return r, err
		}
		for s.at < len(line) && line[s.at] == ' ' && f.sep != '\t' {
			s.at++
		}
		if s.at == len(line) {
			break
		}
		if f.sep != ' ' {
			if line[s.at] != f.sep {
				return r, f.fault(at+s.at, "no separator behind a number (a decimal comma?)")
			}
			s.at++
		}
	}
	if i+1 != f.fields {
		return r, f.faultOf(at, "fields in the line", int64(i+1), int64(f.fields))
	}
	return r, nil
}

// isHead reports whether a line repeats the labels.
func (f *lines) isHead(line []byte) bool {
	return len(line) >= len(f.keys[0]) && string(line[:len(f.keys[0])]) == f.keys[0]
}

func (f *lines) jsonLine(dst *stream.Chunk, line []byte, at int) (r Record, err error) {
	s := scanner{p: line}
	array := func() error {
		s.at++
		n := 0
		for s.peek() != ']' {
			v, ok := s.number()
			if !ok {
				return f.fault(at+s.at, "no number in the array")
			}
			if n < f.rows {
				f.values[n] = v
			}
			n++
			if !s.eat(',') {
				break
			}
		}
		if !s.eat(']') {
			return f.fault(at+s.at, "the array does not end")
		}
		if n != f.rows {
			return f.faultOf(at, "the number of channels has changed", int64(n), int64(f.rows))
		}
		return nil
	}
	if s.peek() == '[' {
		if f.keys != nil || f.layout.Evidence != 0 {
			return r, f.fault(at, "an array where an object is expected")
		}
		if err := array(); err != nil {
			return r, err
		}
		if s.peek() != 0 {
			return r, f.fault(at+s.at, "text behind the array")
		}
		return r, nil
	}
	if !s.eat('{') {
		return r, f.fault(at, "neither a JSON object nor an array")
	}
	clear(f.have)
	found := 0
	for s.peek() == '"' {
		key, ok := s.text()
		if !ok || !s.eat(':') {
			return r, f.fault(at+s.at, "a key without a value")
		}
		from := at + s.at
		switch {
		case f.keys == nil && string(key) == f.data && s.peek() == '[':
			if err := array(); err != nil {
				return r, err
			}
			found = f.rows
		case string(key) == f.counter || string(key) == f.stamp:
			v, ok := s.number()
			if !ok {
				return r, f.fault(from, "counter or stamp is no number")
			}
			if err := f.evidence(&r, v, string(key) == f.counter, from); err != nil {
				return r, err
			}
		case string(key) == f.marker && s.peek() == '"':
			text, ok := s.text()
			if !ok {
				return r, f.fault(from, "the marker does not end")
			}
			if len(text) > 0 {
				dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len, Label: f.labels.of(text)})
			}
		default:
			row := -1
			for i := range f.keys {
				if string(key) == f.keys[i] {
					row = i
				}
			}
			if row < 0 {
				if !s.skip() {
					return r, f.fault(at+s.at, "a value ends too early")
				}
				break
			}
			v, ok := s.number()
			if !ok {
				return r, f.fault(from, "a channel's value is no number")
			}
			if !f.have[row] {
				found++
			}
			f.values[row], f.have[row] = v, true
		}
		if !s.eat(',') {
			break
		}
	}
	if !s.eat('}') || s.peek() != 0 {
		return r, f.fault(at+s.at, "the object does not end where the line does")
	}
	if found != f.rows {
		return r, f.faultOf(at, "channels in the line", int64(found), int64(f.rows))
	}
	if r.Has != f.layout.Evidence {
		return r, f.fault(at, "the line has no counter or no stamp")
	}
	return r, nil
}

func likeCSV(pkt []byte) float64 {
	line, _ := cutLine(pkt, 0)
	if len(line) == 0 || line[0] == '{' || line[0] == '[' {
		return 0
	}
	f := lines{counterI: -1, stampI: -1, stated: stated{rate: 1}}
	f.name = "csv"
	for _, c := range line {
		if c < ' ' && c != '\t' || c > '~' {
			return 0
		}
	}
	if ready, err := f.learnCSV(line, 0); err != nil || !ready && len(f.keys) < 2 || len(f.keys) == 0 && f.fields < 2 {
		return 0
	}
	return 0.8
}

func likeJSONLines(pkt []byte) float64 {
	line, _ := cutLine(pkt, 0)
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return 0
	}
	f := lines{json: true, data: "data", marker: "marker"}
	f.name = "jsonl"
	if _, err := f.learnJSON(line, 0); err != nil {
		return 0
	}
	return 0.7
}

// linesEncoder writes a line per column.
type linesEncoder struct {
	json    bool
	counted bool
	stamped bool
	per     int
	n       uint64
	rate    float64
	names   string
	most    int // bytes of a line, roughly
}

var linesEncoderParams = []Param{
	{Name: "counter", Doc: "put a counter first: true or false", Default: "false"},
	{Name: "stamp", Doc: "put the time in seconds next: true or false", Default: "false"},
	{Name: "lines", Doc: "per packet", Default: "1"},
}

func newLinesEncoder(p *Parameters) *linesEncoder {
	return &linesEncoder{counted: p.Truth("counter", false), stamped: p.Truth("stamp", false), per: p.Int("lines", 1, 1, 1000)}
}

func newCSVEncoder(p *Parameters) (Encoder, error) { return newLinesEncoder(p), nil }

func newJSONLinesEncoder(p *Parameters) (Encoder, error) {
	e := newLinesEncoder(p)
	e.json = true
	return e, nil
}

func (e *linesEncoder) Open(in stream.Header) error {
	e.rate = in.Rate
	if e.most = 64 + 25*len(in.Channels); e.most*e.per > maxDatagram {
		return fmt.Errorf("lines of %d channels: %d of them do not fit a datagram", len(in.Channels), e.per)
	}
	var head []string
	if e.counted {
		head = append(head, "n")
	}
	if e.stamped {
		head = append(head, "t")
	}
	clean := strings.NewReplacer(",", " ", "\n", " ", "\r", " ", "#", " ")
	for i, ch := range in.Channels {
		l := strings.TrimSpace(clean.Replace(ch.Label))
		s := scanner{p: []byte(l)}
		if _, number := s.number(); number || l == "" {
			l = fmt.Sprintf("ch%d", i+1)
		}
		head = append(head, l)
	}
	e.names = strings.Join(head, ",") + "\n"
	return nil
}

func (e *linesEncoder) Preamble(dst []byte) ([]byte, []int) {
	if e.json || len(e.names) > maxDatagram {
		return dst, nil
	}
	return append(dst, e.names...), []int{len(e.names)}
}

func (e *linesEncoder) Finish(dst []byte) []byte { return dst }

func (e *linesEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := min(to-from, e.per)
	for col := from; col < from+n; col++ {
		dst = e.line(dst, src, col)
	}
	return dst, n
}

func (e *linesEncoder) line(dst []byte, src *stream.Chunk, col int) []byte {
	t := int64(src.T0)
	if e.rate > 0 {
		t += int64(math.RoundToEven(float64(col) / e.rate * 1e9))
	}
	key := func(k string) {
		if e.json {
			dst = append(append(append(dst, '"'), k...), '"', ':')
		}
	}
	if e.json {
		dst = append(dst, '{')
	}
	if e.counted {
		key("n")
		dst = append(appendDecimal(dst, e.n), ',')
	}
	if e.stamped {
		key("t")
		dst = append(appendDecimal(dst, uint64(t/1e9)), '.')
		frac := uint64(t % 1e9)
		for d := uint64(1e8); d > 0; d /= 10 {
			dst = append(dst, '0'+byte(frac/d%10))
		}
		dst = append(dst, ',')
	}
	key("data")
	if e.json {
		dst = append(dst, '[')
	}
	for ch := range src.Rows() {
		if ch > 0 {
			dst = append(dst, ',')
		}
		v := src.At(ch, col)
		if src.Flags&stream.Bad != 0 && src.IsBad(ch, col) {
			v = math.NaN()
		}
		dst = appendFloat(dst, v, 64)
	}
	if e.json {
		dst = append(dst, ']')
		for i := range src.Markers {
			if m := &src.Markers[i]; m.Column == col {
				dst = append(dst, ',')
				key("marker")
				dst = append(dst, '"')
				for _, c := range []byte(m.Label) {
					if c >= ' ' && c != '"' && c != '\\' {
						dst = append(dst, c)
					}
				}
				dst = append(dst, '"')
			}
		}
		dst = append(dst, '}')
	}
	e.n++
	return append(dst, '\n')
}

func appendDecimal(dst []byte, v uint64) []byte {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = '0' + byte(v%10)
		if v /= 10; v == 0 {
			return append(dst, b[i:]...)
		}
	}
}
