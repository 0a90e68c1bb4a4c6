package udp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"neurostream/stream"
)

// BrainFlow's streamer ("streaming_board://225.1.1.1:6677"), by multicast. One
// datagram is a batch of packages, little endian f64, package after package, no
// header:
//
//	package 0: row 0, row 1, …, row R−1 | package 1: row 0, … | … batch in all
//
// What the rows are depends on the master board: give board=, or rows= and the
// numbers of the rows. The batch is BRAINFLOW_BATCH_SIZE of the sender's
// environment, 3 unless set; it is taken from the length of the datagrams. A board
// whose package number wraps at a place that we do not know (modulus 0 in the
// table) gives no counter; modulus= says it.
//
// Source: brainflow, multicast_streamer.cpp, streaming_board.cpp; the rows are what
// BoardShim.get_board_descr of BrainFlow 5.23 says.
type brainflow struct {
	scratch
	board  board
	first  []int // rows of the wire that become rows of the stream
	labels labels
}

// board says what the rows of a BrainFlow board are.
type board struct {
	name    string
	id      int
	rows    int
	rate    float64
	eeg     [2]int // first row, number
	labels  string
	counter int    // row of the package number; −1 = none
	modulus uint64 // of the package number; 0 = not known
	stamp   int    // row of the time in seconds; −1 = none
	marker  int    // row of the marker; −1 = none
}

var boards = []board{
	{"synthetic", -1, 32, 250, [2]int{1, 16}, "Fz,C3,Cz,C4,Pz,PO7,Oz,PO8,F5,F7,F3,F1,F2,F4,F6,F8", 0, 256, 30, 31},
	{"cyton", 0, 24, 250, [2]int{1, 8}, "Fp1,Fp2,C3,C4,P7,P8,O1,O2", 0, 256, 22, 23},
	{"cyton-daisy", 2, 32, 125, [2]int{1, 16}, "Fp1,Fp2,C3,C4,P7,P8,O1,O2,F7,F8,F3,F4,T7,T8,P3,P4", 0, 0, 30, 31},
	{"cyton-wifi", 5, 24, 1000, [2]int{1, 8}, "", 0, 256, 22, 23},
	{"cyton-daisy-wifi", 6, 32, 1000, [2]int{1, 16}, "", 0, 0, 30, 31},
	{"ganglion", 1, 15, 200, [2]int{1, 4}, "", 0, 0, 13, 14},
	{"ganglion-wifi", 4, 25, 1600, [2]int{1, 4}, "", 0, 0, 23, 24},
	{"unicorn", 8, 19, 250, [2]int{0, 8}, "Fz,C3,Cz,C4,Pz,PO7,Oz,PO8", 15, 0, 17, 18},
	{"muse-2", 38, 8, 256, [2]int{1, 4}, "TP9,AF7,AF8,TP10", 0, 0, 6, 7},
	{"muse-s", 39, 8, 256, [2]int{1, 4}, "TP9,AF7,AF8,TP10", 0, 0, 6, 7},
	{"muse-2016", 41, 7, 256, [2]int{1, 4}, "TP9,AF7,AF8,TP10", 0, 0, 5, 6},
	{"galea", 3, 29, 250, [2]int{9, 16}, "F1,F2,C3,C4,P3,P4,O1,O2,Cz,Pz,X1,X2,X3,X4,X5,X6", 0, 256, 27, 28},
	{"crown", 23, 12, 256, [2]int{1, 8}, "CP3,C3,F5,PO3,PO4,F6,C4,CP4", 0, 0, 10, 11},
	{"notion-2", 14, 12, 250, [2]int{1, 8}, "CP5,F5,C3,CP3,CP6,F6,C4,CP4", 0, 0, 10, 11},
	{"freeeeg32", 17, 35, 512, [2]int{1, 32}, "", 0, 0, 33, 34},
	{"enophone", 37, 7, 250, [2]int{1, 4}, "A2,A1,C4,C3", 0, 0, 5, 6},
	{"brainbit", 7, 12, 250, [2]int{1, 4}, "T3,T4,O1,O2", 0, 0, 10, 11},
	{"pieeg", 56, 11, 250, [2]int{1, 8}, "Fp1,Fp2,C3,C4,P7,P8,O1,O2", 0, 0, 9, 10},
	{"explore-4", 44, 8, 250, [2]int{1, 4}, "", 0, 0, 6, 7},
	{"explore-8", 45, 12, 250, [2]int{1, 8}, "", 0, 0, 10, 11},
	{"ntl-wifi", 50, 25, 250, [2]int{1, 8}, "Fp1,Fp2,C3,C4,P7,P8,O1,O2", 0, 0, 23, 24},
	{"aavaa-v3", 53, 17, 500, [2]int{1, 8}, "L1,L2,L3,L4,R1,R2,R3,R4", 0, 0, 15, 16},
}

var brainflowParams = []Param{
	{Name: "board", Doc: "the master board: a name (" + boardNames() + ") or BrainFlow's number"},
	{Name: "rows", Doc: "rows of the master board that the table does not have"},
	{Name: "eeg", Doc: "its rows to read: FIRST-LAST or numbers with +, from 0"},
	{Name: "counter", Doc: "its row of the package number", Default: "none"},
	{Name: "modulus", Doc: "where the package number starts again at 0"},
	{Name: "stamp", Doc: "its row of the time in seconds", Default: "none"},
	{Name: "marker", Doc: "its row of the marker", Default: "none"},
	{Name: "rate", Doc: "nominal rate in Hz"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "unit", Doc: "of the rows", Default: "uV for a board of the table"},
	{Name: "name", Doc: "of the stream"},
}

func boardNames() string {
	var s []string
	for i := range boards {
		s = append(s, boards[i].name)
	}
	return strings.Join(s, " ")
}

// boardOf reads the parameters that say what the rows are.
func boardOf(p *Parameters) (board, []int) {
	b := board{counter: -1, stamp: -1, marker: -1}
	name := p.Text("board", "")
	found := name == ""
	for i := range boards {
		if boards[i].name == name || name != "" && strconv.Itoa(boards[i].id) == name {
			b, found = boards[i], true
		}
	}
	if !found {
		p.Fail("board=%s is not in the table (%s); give rows=, eeg= and rate= instead", name, boardNames())
	}
	b.rows = p.Int("rows", b.rows, 1, maxDatagram/8)
	if b.rows == 0 {
		p.Fail("BrainFlow's datagrams do not say what they hold: add board=NAME (%s), or rows=, eeg= and rate=", boardNames())
		b.rows = 1
	}
	b.counter = p.Int("counter", b.counter, 0, b.rows-1)
	b.stamp = p.Int("stamp", b.stamp, 0, b.rows-1)
	b.marker = p.Int("marker", b.marker, 0, b.rows-1)
	b.modulus = uint64(p.Int("modulus", int(b.modulus), 0, 1<<53))
	b.rate = p.Rate(b.rate)
	if b.rate == 0 {
		p.Fail("BrainFlow's datagrams do not say the rate: add rate=HZ")
	}
	var rows []int
	for i := range b.eeg[1] {
		rows = append(rows, b.eeg[0]+i)
	}
	if s := p.Text("eeg", ""); s != "" {
		rows = rows[:0]
		for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == '+' || r == ' ' || r == ',' }) {
			lo, hi, ranged := strings.Cut(part, "-")
			if !ranged {
				hi = lo
			}
			a, err1 := strconv.Atoi(lo)
			z, err2 := strconv.Atoi(hi)
			if err1 != nil || err2 != nil || a < 0 || z < a || z >= b.rows {
				p.Fail("eeg=%s is no list of rows from 0 to %d, such as 1-8 or 1+3+5", s, b.rows-1)
				break
			}
			for ; a <= z; a++ {
				rows = append(rows, a)
			}
		}
	}
	if len(rows) == 0 {
		p.Fail("which rows are the signal? add eeg=FIRST-LAST")
	}
	return b, rows
}

func newBrainflow(p *Parameters) (Format, error) {
	f := &brainflow{labels: labels{}}
	f.name = "brainflow"
	f.board, f.first = boardOf(p)
	unit := ""
	if f.board.name != "" {
		unit = "uV"
	}
	st := stated{labels: p.List("channels"), unit: p.Text("unit", unit), kind: "EEG"}
	if st.labels == nil && f.board.labels != "" && p.Text("eeg", "") == "" {
		st.labels = strings.Split(f.board.labels, ",")
	}
	name := p.Text("name", "BrainFlow "+f.board.name)
	if p.err != nil {
		return nil, p.err
	}
	channels, err := st.channels(len(f.first), "ch")
	if err != nil {
		return nil, err
	}
	l := &f.layout
	l.Header = stream.Header{Name: name, Rate: f.board.rate, Channels: channels, MaxLen: maxDatagram / (8 * f.board.rows)}
	if f.board.counter >= 0 && f.board.modulus > 0 {
		l.Evidence |= EvidenceCounter
		l.Counter = Counter{Modulus: f.board.modulus, Step: 1}
	}
	if f.board.stamp >= 0 {
		l.Evidence |= EvidenceStamp
		l.Clock = ClockUnix
		l.Notes = append(l.Notes, "the stamps are those of the host that runs BrainFlow, not of the device")
	}
	return f, l.Header.Validate()
}

func (f *brainflow) Learn(pkt []byte) (bool, error) {
	if pkt != nil {
		if n := 8 * f.board.rows; len(pkt) == 0 || len(pkt)%n != 0 {
			return false, f.faultOf(0, "length is no multiple of the board's package", int64(len(pkt)), int64(n))
		}
	}
	return true, nil
}

func (f *brainflow) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	size := 8 * f.board.rows
	if len(pkt) == 0 || len(pkt)%size != 0 {
		return f.faultOf(0, "length is no multiple of the board's package", int64(len(pkt)), int64(size))
	}
	n := len(pkt) / size
	if !room(dst, n) {
		return f.faultOf(0, "packages in a datagram", int64(n), int64(dst.Cap()-dst.Len))
	}
	at, b := dst.Len, &f.board
	before := placeOf(dst)
	dst.Extend(n)
	for i := range n {
		p := pkt[i*size : (i+1)*size]
		for ch, row := range f.first {
			put(dst, ch, at+i, F64.number(p[8*row:], false))
		}
		r := Record{Column: at + i, Columns: 1}
		if f.layout.Evidence&EvidenceCounter != 0 {
			v := F64.number(p[8*b.counter:], false)
			if !(v >= 0 && v < float64(b.modulus)) || v != float64(uint64(v)) {
				before.restore(dst)
				return f.fault(i*size+8*b.counter, "the package number is no whole number below the modulus")
			}
			r.Counter = uint64(v)
			r.Has |= EvidenceCounter
		}
		if b.stamp >= 0 {
			v := F64.number(p[8*b.stamp:], false)
			if !(v >= 0 && v < 9e9) {
				before.restore(dst)
				return f.fault(i*size+8*b.stamp, "the stamp is no time in seconds")
			}
			r.Stamp = nanoseconds(v)
			r.Has |= EvidenceStamp
			dst.Stamps = append(dst.Stamps, stream.Time(r.Stamp))
		}
		if b.marker >= 0 {
			if v := F64.number(p[8*b.marker:], false); v != 0 && finite(v) {
				var text [24]byte
				dst.Markers = append(dst.Markers, stream.Marker{Column: at + i, Label: f.labels.of(appendFloat(text[:0], v, 64))})
			}
		}
		f.records = append(f.records, r)
	}
	return nil
}

// brainflowEncoder plays a board's streamer.
type brainflowEncoder struct {
	board board
	first []int
	batch gather
	per   int
	n     uint64
	rate  float64
}

var brainflowEncoderParams = append([]Param{{Name: "batch", Doc: "packages per datagram", Default: "3"}}, brainflowParams[:8]...)

func newBrainflowEncoder(p *Parameters) (Encoder, error) {
	e := &brainflowEncoder{per: p.Int("batch", 3, 1, 4096)}
	e.board, e.first = boardOf(p)
	return e, nil
}

func (e *brainflowEncoder) Open(in stream.Header) error {
	if len(in.Channels) != len(e.first) {
		return fmt.Errorf("brainflow: the board has %d rows of signal, the stream %d channels", len(e.first), len(in.Channels))
	}
	if e.per*e.board.rows*8 > maxDatagram {
		return fmt.Errorf("brainflow: a batch of %d packages of %d rows does not fit a datagram", e.per, e.board.rows)
	}
	e.rate = in.Rate
	e.batch.open(&in, e.per)
	return nil
}

func (e *brainflowEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *brainflowEncoder) Finish(dst []byte) []byte            { return dst }

func (e *brainflowEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := e.batch.take(src, from, to)
	if !e.batch.full() {
		return dst, n
	}
	c, b := e.batch.c, &e.board
	t0 := src.T0.Seconds() + float64(c.Seq-src.Seq)/e.rate
	for col := range c.Len {
		start := len(dst)
		dst = slices.Grow(dst, 8*b.rows)[:start+8*b.rows]
		clear(dst[start:])
		row := func(i int, v float64) {
			if i >= 0 {
				F64.append(dst[:start+8*i], v, false)
			}
		}
		for ch, r := range e.first {
			row(r, c.At(ch, col))
		}
		count := e.n
		if b.modulus > 0 {
			count %= b.modulus
		}
		row(b.counter, float64(count))
		row(b.stamp, t0+float64(col)/e.rate)
		for _, m := range c.Markers {
			if m.Column == col {
				v, used := parseNumber([]byte(strings.TrimLeft(m.Label, "Tt")))
				if used == 0 {
					v = 1
				}
				row(b.marker, v)
			}
		}
		e.n++
	}
	c.Clear()
	return dst, n
}
