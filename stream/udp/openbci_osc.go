package udp

import (
	"fmt"
	"strings"

	"neurostream/stream"
)

// OpenBCI GUI, networking widget, OSC: one message per channel and update, with the
// update's columns as its arguments (older versions: one).
//
//	/openbci/time-series-raw/ch0       ,ffff…   uV
//	/openbci/time-series-filtered/ch0  ,ffff…   uV
//	/openbci/accelerometer/x           ,f       g, one message per column
//	/openbci/analog/0 digital/0        ,ffff…
//	/openbci/emg/0 focus band-power/0 …         one column
//
// /openbci is what the GUI proposes; only what follows counts. Columns are whole
// when the message of the last channel has come; where one is missing, the columns
// are put out with that channel marked bad as soon as the next update begins.
//
// Source: OpenBCI_GUI, NetworkStreamOut.pde.
type openBCIOSC struct {
	scratch
	stated  stated
	data    string
	keys    []string // last part of each channel's address, in row order
	n       int      // columns per update
	ready   bool
	msg     oscMessage
	pending []float64 // row r is pending[r*per : r*per+n]
	have    []bool
	count   int
	stable  int // packets without a new channel while learning
	unit    string
	labels  labels
}

// perUpdate bounds the columns of one update.
const perUpdate = 1024

var openBCIOSCParams = append([]Param{
	{Name: "data", Doc: "middle of the address: time-series-raw, time-series-filtered, accelerometer, analog, digital, emg, band-power, …", Default: "time-series-raw"},
}, statedParams...)

func newOpenBCIOSC(p *Parameters) (Format, error) {
	f := &openBCIOSC{data: p.Text("data", "time-series-raw"), labels: labels{}}
	f.name = "openbci-osc"
	kind := "EEG"
	switch {
	case strings.HasPrefix(f.data, "time-series"):
		f.unit = "uV"
	case f.data == "accelerometer":
		f.unit, kind = "g", "ACC"
	default:
		kind = "feature"
	}
	f.stated = p.stated("OpenBCI "+f.data, f.unit, kind)
	return f, nil
}

// key returns the last part of an address of the wanted data, or nil.
func (f *openBCIOSC) key(address []byte) []byte {
	s := string(address)
	i := strings.LastIndexByte(s, '/')
	if i < 0 || !strings.HasSuffix(s[:i], f.data) {
		return nil
	}
	if j := i - len(f.data); j > 0 && s[j-1] != '/' {
		return nil
	}
	return address[i+1:]
}

func (f *openBCIOSC) row(key []byte) int {
	for i := range f.keys {
		if string(key) == f.keys[i] {
			return i
		}
	}
	return -1
}

// Learn waits until the first channel comes a second time: then all have come
// once. With lost messages it takes what two updates have shown.
func (f *openBCIOSC) Learn(pkt []byte) (bool, error) {
	if pkt == nil || f.ready {
		return f.ready, nil
	}
	w := oscWalk{pkt: pkt}
	seen := false
	for w.next(&f.msg) {
		key := f.key(f.msg.address)
		if key == nil {
			continue
		}
		seen = true
		n := f.msg.floats(0)
		if n == 0 || n > perUpdate {
			return false, f.faultOf(f.msg.at, "numbers in the message", int64(n), 1)
		}
		switch r := f.row(key); {
		case r < 0 && len(f.keys) < 1024:
			f.keys = append(f.keys, string(key))
			f.n = n
		case r == 0 && len(f.keys) > 0:
			if f.stable++; f.stable == 2 || len(f.keys) == 1 && f.stable > 2 {
				return f.learnt()
			}
		}
	}
	if w.bad != "" {
		return false, f.fault(w.badAt, w.bad)
	}
	if !seen {
		return false, ErrOther
	}
	return false, nil
}

func (f *openBCIOSC) learnt() (bool, error) {
	sortKeys(f.keys)
	channels, err := f.stated.channels(len(f.keys), "")
	if err != nil {
		return false, err
	}
	if f.stated.labels == nil {
		for i := range channels {
			channels[i].Label = f.keys[i]
		}
	}
	if f.stated.rate == 0 && (f.n > 1 || f.unit != "") {
		return false, fmt.Errorf("openbci-osc: the messages do not say the rate: add rate=HZ (updates of %d columns every 40 ms are %d Hz)", f.n, 25*f.n)
	}
	l := &f.layout
	l.Header = stream.Header{Name: f.stated.name, Rate: f.stated.rate, Channels: channels, MaxLen: 2*perUpdate + maxDatagram/(16+4*len(f.keys))}
	if f.stated.rate == 0 {
		l.Header.MaxLen = 1
	}
	l.Notes = append(l.Notes, "no stamp and no sequence: loss shows in missing channels and in the rate of arrival")
	if err := l.Header.Validate(); err != nil {
		return false, err
	}
	f.pending, f.have = make([]float64, len(f.keys)*perUpdate), make([]bool, len(f.keys))
	f.n, f.ready = 0, true
	return true, nil
}

// sortKeys orders keys by length, then by text: ch2 before ch10.
func sortKeys(k []string) {
	for i := 1; i < len(k); i++ {
		for j := i; j > 0 && (len(k[j]) < len(k[j-1]) || len(k[j]) == len(k[j-1]) && k[j] < k[j-1]); j-- {
			k[j], k[j-1] = k[j-1], k[j]
		}
	}
}

func (f *openBCIOSC) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	// A first pass finds faults, so that the second cannot fail half-way.
	w := oscWalk{pkt: pkt}
	used, columns := false, 0
	for w.next(&f.msg) {
		m := &f.msg
		if strings.HasSuffix(string(m.address), "/marker") {
			used = true
			continue
		}
		if key := f.key(m.address); key != nil {
			used = true
			n := m.floats(0)
			if n == 0 || n > perUpdate || n != len(m.args) {
				return f.faultOf(m.at, "numbers in the message", int64(n), int64(max(f.n, 1)))
			}
			if f.row(key) < 0 {
				return f.fault(m.at, "a channel that was not there before")
			}
			columns += n
		}
	}
	if w.bad != "" {
		return f.fault(w.badAt, w.bad)
	}
	if !used {
		return ErrOther
	}
	if !room(dst, columns+f.n) {
		return f.faultOf(0, "columns in the packet", int64(columns+f.n), int64(dst.Cap()-dst.Len))
	}
	w = oscWalk{pkt: pkt}
	for w.next(&f.msg) {
		m := &f.msg
		if strings.HasSuffix(string(m.address), "/marker") {
			if len(m.args) > 0 && m.args[0].num != 0 && finite(m.args[0].num) {
				var text [32]byte
				dst.Markers = append(dst.Markers, stream.Marker{Column: dst.Len, Label: f.labels.of(appendFloat(text[:0], m.args[0].num, 32))})
			}
			continue
		}
		key := f.key(m.address)
		if key == nil {
			continue
		}
		r := f.row(key)
		n := m.floats(0)
		if f.count > 0 && (f.have[r] || n != f.n) {
			f.flush(dst)
		}
		f.n = n
		for i := range n {
			f.pending[r*perUpdate+i] = m.args[i].num
		}
		f.have[r] = true
		if f.count++; f.count == len(f.keys) {
			f.flush(dst)
		}
	}
	return nil
}

// flush puts the pending update out.
func (f *openBCIOSC) flush(dst *stream.Chunk) {
	at := dst.Len
	dst.Extend(f.n)
	for r := range f.keys {
		for i := range f.n {
			if f.have[r] {
				put(dst, r, at+i, f.pending[r*perUpdate+i])
			} else {
				dst.Set(r, at+i, 0)
				dst.MarkBad(r, at+i)
			}
		}
		f.have[r] = false
	}
	f.records = append(f.records, Record{Column: at, Columns: f.n})
	f.count, f.n = 0, 0
}

func likeOpenBCIOSC(pkt []byte) float64 { return likeOSC(pkt, "/openbci/") }

// openBCIOSCEncoder writes time series as the GUI does.
type openBCIOSCEncoder struct {
	per     int
	batch   gather
	next    int // channel whose message is due
	address []string
	tags    string
}

var openBCIOSCEncoderParams = []Param{{Name: "columns", Doc: "per message; 0 = 40 ms", Default: "0"}}

func newOpenBCIOSCEncoder(p *Parameters) (Encoder, error) {
	return &openBCIOSCEncoder{per: p.Int("columns", 0, 0, perUpdate)}, nil
}

func (e *openBCIOSCEncoder) Open(in stream.Header) error {
	if e.per == 0 {
		e.per = min(perUpdate, max(1, int(0.04*in.Rate+0.5)))
	}
	e.batch.open(&in, e.per)
	for i := range in.Channels {
		e.address = append(e.address, fmt.Sprintf("/openbci/time-series-raw/ch%d", i))
	}
	e.tags = "," + strings.Repeat("f", e.per)
	return nil
}

func (e *openBCIOSCEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *openBCIOSCEncoder) Finish(dst []byte) []byte            { return dst }

func (e *openBCIOSCEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	c := e.batch.c
	n := 0
	if e.next == 0 {
		// The column that fills the batch is used up with the last message.
		if left := e.batch.want - c.Len; to-from < left {
			return dst, e.batch.take(src, from, to)
		}
		if n = e.batch.want - c.Len - 1; n > 0 {
			return dst, e.batch.take(src, from, from+n)
		}
		e.batch.take(src, from, from+1)
	}
	dst = appendOSCText(appendOSCText(dst, e.address[e.next]), e.tags)
	for col := range c.Len {
		dst = F32.append(dst, c.At(e.next, col), true)
	}
	if e.next++; e.next < len(e.address) {
		return dst, 0
	}
	e.next = 0
	c.Clear()
	return dst, 1
}
