package udp

import (
	"fmt"
	"math"
	"strings"

	"neurostream/stream"
)

// OpenBCI GUI, networking widget, UDP. One datagram is one line of ASCII that ends
// with CR LF. No stamp, no sequence, no rate, no labels.
//
//	{"type":"timeSeriesRaw","data":[[c0s0,c0s1,…],[c1s0,c1s1,…],…]}
//
//	type               data                 rows                       unit
//	timeSeriesRaw      [[…],[…]] by channel channels                   uV
//	timeSeriesFilt     [[…],[…]] by channel channels                   uV
//	accelerometer      [[…],[…],[…]]        x, y, z                    g
//	analog, digital    [[…],…] by pin       pins                       not said
//	fft                [[125 bins],…]       channel × 1-Hz bins        not said
//	bandPower          [[5],…]              channel × delta…gamma      not said
//	averageBandPower   [5]                  delta…gamma, normalised    none
//	emg                [C]                  channels, normalised       none
//	emgJoystick        [2]                  x, y                       none
//	pulse              [2]                  beats per minute, interval 1/min, ms
//	focus              0 or 1               one                        none
//	marker             [n]                  one; not 0 = a marker      none
//
// The GUI sends every 40 ms: 10 columns at 250 Hz, 8 at 200, 5 at 125. A marker
// datagram on the port of a time series marks the column that comes next, which is
// right to within one update.
//
// Source: OpenBCI_GUI, NetworkStreamOut.pde.
type openBCI struct {
	scratch
	stated stated
	want   string // type; "" = the time series that comes first
	kind   *openBCIKind
	inner  int // values per inner array of fft and bandPower
	rows   int
	ready  bool
	labels labels
	values []float64
}

type openBCIKind struct {
	name  string
	shape uint8
	rows  []string // labels, or nil when their number is the sender's
	units []string // one for all, or one each
	kind  string   // type of the channels
}

const (
	byChannel uint8 = iota // [[…],[…]]: channels of columns
	bins                   // [[…],[…]]: channels of bins, one column
	vector                 // [...]: one column
	scalar                 // 0
	series                 // [...]: one row of columns
)

var bandNames = []string{"delta", "theta", "alpha", "beta", "gamma"}

var openBCIKinds = []openBCIKind{
	{name: "timeSeriesRaw", shape: byChannel, units: []string{"uV"}, kind: "EEG"},
	{name: "timeSeriesFilt", shape: byChannel, units: []string{"uV"}, kind: "EEG"},
	{name: "accelerometer", shape: byChannel, rows: []string{"x", "y", "z"}, units: []string{"g"}, kind: "ACC"},
	{name: "analog", shape: byChannel, units: []string{""}, kind: "AUX"},
	{name: "digital", shape: byChannel, units: []string{""}, kind: "AUX"},
	{name: "fft", shape: bins, units: []string{""}, kind: "feature"},
	{name: "bandPower", shape: bins, units: []string{""}, kind: "feature"},
	{name: "averageBandPower", shape: vector, rows: bandNames, units: []string{""}, kind: "feature"},
	{name: "emg", shape: vector, units: []string{""}, kind: "feature"},
	{name: "emgJoystick", shape: vector, rows: []string{"x", "y"}, units: []string{""}, kind: "feature"},
	{name: "pulse", shape: vector, rows: []string{"rate", "interval"}, units: []string{"1/min", "ms"}, kind: "feature"},
	{name: "focus", shape: scalar, rows: []string{"focus"}, units: []string{""}, kind: "feature"},
	{name: "marker", shape: series, rows: []string{"marker"}, units: []string{""}, kind: "STIM"},
}

func openBCIKindOf(name []byte) *openBCIKind {
	for i := range openBCIKinds {
		if string(name) == openBCIKinds[i].name {
			return &openBCIKinds[i]
		}
	}
	return nil
}

var openBCIParams = []Param{
	{Name: "data", Doc: "which widget's datagrams: timeSeriesRaw, timeSeriesFilt, accelerometer, analog, digital, fft, bandPower, averageBandPower, emg, emgJoystick, pulse, focus, marker; without it the first time series"},
	{Name: "rate", Doc: "nominal rate in Hz; the datagrams do not say"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "name", Doc: "of the stream"},
}

func newOpenBCI(p *Parameters) (Format, error) {
	f := &openBCI{want: p.Text("data", ""), labels: labels{}}
	f.name = "openbci-json"
	f.stated = stated{name: p.Text("name", "OpenBCI"), rate: p.Rate(0), labels: p.List("channels")}
	if f.want != "" && openBCIKindOf([]byte(f.want)) == nil {
		p.Fail("data=%s is no type of the OpenBCI GUI; there are %s", f.want, strings.TrimSpace(openBCIParams[0].Doc[len("which widget's datagrams:"):]))
	}
	return f, nil
}

// envelope finds type and data; s stands at the value of data afterwards.
func (f *openBCI) envelope(s *scanner) (kind *openBCIKind, err error) {
	if !s.eat('{') {
		return nil, f.fault(s.at, "no JSON object")
	}
	data, name := -1, []byte(nil)
	for {
		key, ok := s.text()
		if !ok || !s.eat(':') {
			return nil, f.fault(s.at, "no key of a JSON object")
		}
		switch string(key) {
		case "type":
			if name, ok = s.text(); !ok {
				return nil, f.fault(s.at, "the type is no text")
			}
		case "data":
			s.space()
			data = s.at
			if name == nil && !s.skip() {
				return nil, f.fault(s.at, "the data end too early")
			}
		default:
			if !s.skip() {
				return nil, f.fault(s.at, "a value ends too early")
			}
		}
		if data >= 0 && name != nil {
			break
		}
		if !s.eat(',') {
			return nil, f.fault(s.at, "the object has no type, or no data")
		}
	}
	s.at = data
	if kind = openBCIKindOf(name); kind == nil {
		return nil, ErrOther
	}
	return kind, nil
}

func likeOpenBCI(pkt []byte) float64 {
	f := openBCI{}
	_, err := f.envelope(&scanner{p: pkt})
	if err != nil {
		return 0
	}
	return 1
}

// read takes the numbers of an array, or of an array of arrays: outer arrays of
// inner numbers each. A lone number is one array of one.
func (f *openBCI) read(s *scanner) (outer, inner int, err error) {
	f.values = f.values[:0]
	if s.peek() != '[' {
		v, ok := s.number()
		if !ok {
			return 0, 0, f.fault(s.at, "the data are neither array nor number")
		}
		f.values = append(f.values, v)
		return 1, 1, nil
	}
	s.at++
	nested := s.peek() == '['
	for {
		if nested && !s.eat('[') {
			return 0, 0, f.fault(s.at, "no array where one is expected")
		}
		n := 0
		for s.peek() != ']' {
			v, ok := s.number()
			if !ok {
				return 0, 0, f.fault(s.at, "no number (a decimal comma of the sender's language?)")
			}
			f.values = append(f.values, v)
			n++
			if !s.eat(',') {
				break
			}
		}
		if !s.eat(']') {
			return 0, 0, f.fault(s.at, "an array ends too early")
		}
		if outer > 0 && n != inner {
			return 0, 0, f.faultOf(s.at, "arrays of different lengths", int64(n), int64(inner))
		}
		outer, inner = outer+1, n
		if !nested {
			break
		}
		if s.eat(',') {
			continue
		}
		if !s.eat(']') {
			return 0, 0, f.fault(s.at, "the data end too early")
		}
		break
	}
	if !s.eat('}') && !s.eat(',') {
		return 0, 0, f.fault(s.at, "the object does not end")
	}
	if inner == 0 {
		return 0, 0, f.fault(s.at, "no numbers")
	}
	return outer, inner, nil
}

func (f *openBCI) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	s := scanner{p: pkt}
	kind, err := f.envelope(&s)
	if err != nil {
		return false, err
	}
	if f.want == "" && kind.name != "timeSeriesRaw" && kind.name != "timeSeriesFilt" || f.want != "" && kind.name != f.want {
		return false, ErrOther
	}
	outer, inner, err := f.read(&s)
	if err != nil {
		return false, err
	}
	rows, columns := outer, inner
	switch kind.shape {
	case bins:
		rows, columns = outer*inner, 1
	case vector:
		rows, columns = inner, 1
	case series:
		rows, columns = 1, inner
	}
	if kind.rows != nil && rows != len(kind.rows) {
		return false, f.faultOf(0, "rows of "+kind.name, int64(rows), int64(len(kind.rows)))
	}
	h := &f.layout.Header
	switch {
	case f.stated.rate > 0:
		h.Rate = f.stated.rate
	case kind.shape == byChannel || kind.shape == series:
		hint := ""
		for _, r := range []int{250, 200, 125} {
			if int(math.Round(0.04*float64(r))) == columns {
				hint = fmt.Sprintf("; datagrams of %d columns are what the GUI sends at %d Hz", columns, r)
			}
		}
		return false, fmt.Errorf("openbci-json: the datagrams do not say the rate: add rate=HZ%s", hint)
	}
	h.Name = f.stated.name + " " + kind.name
	st := f.stated
	st.kind, st.unit = kind.kind, kind.units[0]
	prefix := "ch"
	if kind.kind == "AUX" {
		prefix = "pin"
	}
	names := st.labels
	if kind.shape == bins {
		st.labels = nil
	}
	if h.Channels, err = st.channels(rows, prefix); err != nil {
		return false, err
	}
	if kind.shape == bins && names != nil && len(names) != outer {
		return false, fmt.Errorf("openbci-json: the URL names %d channels, but the packets hold %d", len(names), outer)
	}
	for i := range h.Channels {
		ch := &h.Channels[i]
		switch {
		case kind.shape == bins:
			of := fmt.Sprintf("ch%d", i/inner+1)
			if names != nil {
				of = names[i/inner]
			}
			if kind.name == "bandPower" && inner == len(bandNames) {
				ch.Label = of + " " + bandNames[i%inner]
			} else {
				ch.Label = fmt.Sprintf("%s %d Hz", of, i%inner)
			}
		case kind.rows != nil && st.labels == nil:
			ch.Label = kind.rows[i]
		}
		if len(kind.units) > 1 {
			ch.Unit = kind.units[i]
		}
	}
	h.MaxLen = 1
	if kind.shape == byChannel || kind.shape == series {
		h.MaxLen = max(1, maxDatagram/(2*rows))
	}
	f.layout.Notes = append(f.layout.Notes, "no stamp and no sequence: loss shows only in the rate of arrival")
	if err := h.Validate(); err != nil {
		return false, err
	}
	f.kind, f.rows, f.inner, f.ready = kind, rows, inner, true
	f.values = make([]float64, 0, maxDatagram/2)
	return true, nil
}

func (f *openBCI) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	s := scanner{p: pkt}
	kind, err := f.envelope(&s)
	if err != nil {
		return err
	}
	marks := kind.name == "marker"
	if kind != f.kind && !marks {
		return ErrOther
	}
	outer, inner, err := f.read(&s)
	if err != nil {
		return err
	}
	if marks && kind != f.kind {
		f.mark(dst, 0)
		return nil
	}
	rows, columns := outer, inner
	switch kind.shape {
	case bins:
		rows, columns = outer*inner, 1
	case vector:
		rows, columns = inner, 1
	case series:
		rows, columns = 1, inner
	}
	if rows != f.rows || kind.shape == bins && inner != f.inner {
		return f.faultOf(0, "the number of channels has changed", int64(rows), int64(f.rows))
	}
	if !room(dst, columns) {
		return f.faultOf(0, "more columns than a datagram can hold", int64(columns), int64(dst.Cap()-dst.Len))
	}
	at := dst.Len
	if marks {
		f.mark(dst, 1)
	}
	dst.Extend(columns)
	for ch := range rows {
		for i, v := range f.values[ch*columns:][:columns] {
			put(dst, ch, at+i, v)
		}
	}
	f.records = append(f.records, Record{Column: at, Columns: columns})
	return nil
}

// mark turns values that are not zero into markers, step columns apart.
func (f *openBCI) mark(dst *stream.Chunk, step int) {
	var text [24]byte
	for i, v := range f.values {
		if v != 0 && finite(v) {
			dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len + step*i, Label: f.labels.of(appendFloat(text[:0], v, 32))})
		}
	}
}

// openBCIEncoder writes time series as the GUI does.
type openBCIEncoder struct {
	kind  string
	per   int
	batch gather
}

var openBCIEncoderParams = []Param{
	{Name: "data", Doc: "timeSeriesRaw or timeSeriesFilt", Default: "timeSeriesRaw"},
	{Name: "columns", Doc: "per datagram; 0 = 40 ms", Default: "0"},
}

func newOpenBCIEncoder(p *Parameters) (Encoder, error) {
	return &openBCIEncoder{kind: p.Choice("data", "timeSeriesRaw", "timeSeriesFilt"), per: p.Int("columns", 0, 0, 1000)}, nil
}

func (e *openBCIEncoder) Open(in stream.Header) error {
	per := e.per
	if per == 0 {
		per = max(1, int(math.Round(0.04*in.Rate)))
	}
	if n := 64 + len(in.Channels)*(2+per*14); n > maxDatagram {
		return fmt.Errorf("openbci-json: %d channels × %d columns need up to %d bytes, a datagram holds %d; set columns= lower", len(in.Channels), per, n, maxDatagram)
	}
	e.batch.open(&in, per)
	return nil
}

func (e *openBCIEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }

func (e *openBCIEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := e.batch.take(src, from, to)
	if e.batch.full() {
		dst = e.write(dst)
	}
	return dst, n
}

func (e *openBCIEncoder) Finish(dst []byte) []byte {
	if e.batch.c.Len > 0 {
		dst = e.write(dst)
	}
	return dst
}

func (e *openBCIEncoder) write(dst []byte) []byte {
	c := e.batch.c
	dst = append(append(append(dst, `{"type":"`...), e.kind...), `","data":[`...)
	for ch := range c.Rows() {
		if ch > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		for col := range c.Len {
			if col > 0 {
				dst = append(dst, ',')
			}
			v := c.At(ch, col)
			if c.Flags&stream.Bad != 0 && c.IsBad(ch, col) {
				v = math.NaN()
			}
			from := len(dst)
			dst = appendFloat(dst, v, 32)
			if finite(v) && !strings.ContainsAny(string(dst[from:]), ".e") {
				dst = append(dst, '.', '0')
			}
		}
		dst = append(dst, ']')
	}
	c.Clear()
	return append(dst, "]}\r\n"...)
}
