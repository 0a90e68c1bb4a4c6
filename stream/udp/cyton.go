package udp

import (
	"fmt"

	"neurostream/stream"
)

// OpenBCI WiFi shield, Cyton and Cyton with Daisy. A datagram (or the byte stream
// of TCP) holds 1 to 42 packets of 33 bytes, big endian:
//
//	 0  u8      A0
//	 1  u8      sample number
//	 2  i24[8]  channels: uV = count · 4.5/(2^23−1)/gain · 10^6
//	26  6 B     auxiliary: at end byte C0 i16[3] acceleration, g = count · 0.002/16
//	32  u8      end: C0 … C6
//
// With redundancy every datagram comes three times: the sample number tells. With
// a Daisy, packets with an odd number hold channels 1–8 and those with an even one
// 9–16; two of them make a column, whose number is that of the even one halved: a
// counter modulo 128. When one of a pair is lost its half of the column is marked
// bad. Which half of the shield's firmware sends first at every rate is not
// verified with a device: daisy=even-first turns it round.
//
// The acceleration comes slower than the channels; rows=all repeats the last one
// that came, marked bad before the first.
//
// The shield is started by HTTP (/udp or /tcp, /stream/start), which is not done
// here. Source: brainflow, cyton_wifi.cpp.
type cyton struct {
	scratch
	daisy     bool
	oddFirst  bool
	acc       bool
	scales    []Scale
	gravity   [3]float64
	known     bool
	half      []float64 // the first half of a column
	halfOf    int       // its pair, or −1
	halfSeq   uint8
	doubledOf int // pair that was put out last, to drop doubles of its halves
}

const (
	cytonSize = 33
	cytonMost = maxDatagram / cytonSize
	accBit    = 0.002 / 16
)

var cytonParams = []Param{
	{Name: "daisy", Doc: "no, odd-first (odd sample numbers are channels 1-8) or even-first", Default: "no"},
	{Name: "gain", Doc: "of all channels, or one per channel, separated by commas: 1 2 4 6 8 12 24", Default: "24"},
	{Name: "rate", Doc: "nominal rate in Hz as set in the shield"},
	{Name: "rows", Doc: "eeg, or all: also acceleration", Default: "eeg"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "name", Doc: "of the stream"},
}

// gains reads one gain for all channels or one each.
func (p *Parameters) gains(n int, preset float64) []float64 {
	out := make([]float64, n)
	list := p.List("gain")
	if len(list) > 1 && len(list) != n {
		p.Fail("gain= has %d values for %d channels", len(list), n)
		list = nil
	}
	for i := range out {
		out[i] = preset
		if list != nil {
			s := list[min(i, len(list)-1)]
			v, used := parseNumber([]byte(s))
			if used != len(s) || !(v > 0 && v <= 1000) {
				p.Fail("gain=%s is no gain", s)
				break
			}
			out[i] = v
		}
	}
	return out
}

// ads1299 is the scale of the converter of OpenBCI's boards, in uV.
func ads1299(gain float64) Scale {
	const full = 1<<23 - 1
	range_ := 4.5 / gain * 1e6
	return Scale{Bit: 4.5 / full / gain * 1e6, Low: -range_, High: range_}
}

func (f *cyton) setUp(p *Parameters) {
	f.name = "cyton"
	f.halfOf, f.doubledOf = -1, -1
	d := p.Choice("daisy", "no", "odd-first", "even-first")
	f.daisy, f.oddFirst = d != "no", d == "odd-first"
	n := 8
	if f.daisy {
		n = 16
		f.half = make([]float64, 16)
	}
	for _, g := range p.gains(n, 24) {
		f.scales = append(f.scales, ads1299(g))
	}
}

func newCyton(p *Parameters) (Format, error) {
	f := new(cyton)
	f.setUp(p)
	f.acc = p.Choice("rows", "eeg", "all") == "all"
	st := stated{name: p.Text("name", "OpenBCI"), rate: p.Rate(0), labels: p.List("channels"), unit: "uV", kind: "EEG"}
	if st.rate == 0 {
		p.Fail("the packets do not say the rate: add rate=HZ as set in the shield")
	}
	if p.err != nil {
		return nil, p.err
	}
	channels, err := st.channels(len(f.scales), "ch")
	if err != nil {
		return nil, err
	}
	l := &f.layout
	l.Scales = append([]Scale(nil), f.scales...)
	if f.acc {
		for _, a := range []string{"acc x", "acc y", "acc z"} {
			channels = append(channels, stream.Channel{Label: a, Unit: "g", Type: "ACC"})
			l.Scales = append(l.Scales, Scale{Bit: accBit})
		}
	}
	l.Header = stream.Header{Name: st.name, Rate: st.rate, Channels: channels, MaxLen: cytonMost + 1}
	l.Evidence, l.Counter = EvidenceCounter, Counter{Modulus: 256, Step: 1}
	if f.daisy {
		l.Counter.Modulus = 128
		l.Notes = append(l.Notes, "which sample numbers are the Daisy's is not verified with a device")
	}
	return f, l.Header.Validate()
}

// check verifies every packet of a datagram.
func (f *cyton) check(pkt []byte) error {
	if len(pkt) == 0 || len(pkt)%cytonSize != 0 {
		return f.faultOf(0, "length is no multiple of a packet", int64(len(pkt)), cytonSize)
	}
	for at := 0; at < len(pkt); at += cytonSize {
		if pkt[at] != 0xa0 {
			return f.faultOf(at, "start byte", int64(pkt[at]), 0xa0)
		}
		if end := pkt[at+32]; end < 0xc0 || end > 0xc6 {
			return f.faultOf(at+32, "end byte", int64(end), 0xc0)
		}
	}
	return nil
}

func likeCyton(pkt []byte) float64 {
	if new(cyton).check(pkt) != nil {
		return 0
	}
	return 1
}

func (f *cyton) Learn(pkt []byte) (bool, error) {
	if pkt != nil {
		if err := f.check(pkt); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Frame cuts single packets out of a byte stream.
func (f *cyton) Frame(buf []byte) (int, error) {
	if len(buf) > 0 && buf[0] != 0xa0 {
		return 0, f.faultOf(0, "start byte", int64(buf[0]), 0xa0)
	}
	if len(buf) < cytonSize {
		return 0, nil
	}
	return cytonSize, nil
}

func (f *cyton) MaxFrame() int { return cytonSize }

func (f *cyton) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	if err := f.check(pkt); err != nil {
		return err
	}
	if !room(dst, len(pkt)/cytonSize+1) {
		return f.faultOf(0, "packets in a datagram", int64(len(pkt)/cytonSize), int64(dst.Cap()-dst.Len))
	}
	for at := 0; at < len(pkt); at += cytonSize {
		p := pkt[at : at+cytonSize]
		if p[32] == 0xc0 && (p[26]|p[27]|p[28]|p[29]|p[30]|p[31]) != 0 {
			for i := range f.gravity {
				f.gravity[i] = float64(int16(be.Uint16(p[26+2*i:]))) * accBit
			}
			f.known = true
		}
		if f.daisy {
			f.pair(dst, p)
			continue
		}
		col := f.open(dst, uint64(p[1]))
		for ch := range 8 {
			dst.Set(ch, col, float64(I24.number(p[2+3*ch:], true)*f.scales[ch].Bit))
		}
	}
	return nil
}

// open appends a column and its record.
func (f *cyton) open(dst *stream.Chunk, counter uint64) int {
	col := dst.Len
	dst.Extend(1)
	if f.acc {
		for i, v := range f.gravity {
			dst.Set(len(f.scales)+i, col, v)
			if !f.known {
				dst.MarkBad(len(f.scales)+i, col)
			}
		}
	}
	f.records = append(f.records, Record{Column: col, Columns: 1, Has: EvidenceCounter, Counter: counter})
	return col
}

// pair joins the packets of a Cyton and its Daisy: an odd sample number and the
// even one behind it.
func (f *cyton) pair(dst *stream.Chunk, p []byte) {
	seq := p[1]
	of := int((seq + 1) / 2 % 128) // 1,2 → 1; 3,4 → 2; 255,0 → 0
	first := seq%2 == 1
	if of == f.doubledOf && f.halfOf != of {
		if !first {
			return // the same even packet again
		}
		f.doubledOf = -1
	}
	if f.halfOf >= 0 && (first && seq != f.halfSeq || !first && f.halfOf != of) {
		f.put(dst, f.halfOf, true, false) // its partner is lost
	}
	low := first == f.oddFirst
	for ch := range 8 {
		row := ch
		if !low {
			row += 8
		}
		f.half[row] = float64(I24.number(p[2+3*ch:], true) * f.scales[row].Bit)
	}
	if first {
		f.halfOf, f.halfSeq = of, seq
		return
	}
	f.put(dst, of, f.halfOf == of, true)
	f.doubledOf = of
}

func (f *cyton) put(dst *stream.Chunk, of int, odd, even bool) {
	if !room(dst, 1) {
		return
	}
	col := f.open(dst, uint64(of))
	for row := range 16 {
		dst.Set(row, col, f.half[row])
		fromOdd := (row < 8) == f.oddFirst
		if fromOdd && !odd || !fromOdd && !even {
			dst.Set(row, col, 0)
			dst.MarkBad(row, col)
		}
	}
	f.halfOf = -1
}

// cytonEncoder plays a shield.
type cytonEncoder struct {
	cyton
	per int
	n   uint64
}

var cytonEncoderParams = []Param{
	{Name: "daisy", Doc: "no, odd-first or even-first", Default: "no"},
	{Name: "gain", Doc: "as in the source", Default: "24"},
	{Name: "packets", Doc: "columns per datagram", Default: "3"},
}

func newCytonEncoder(p *Parameters) (Encoder, error) {
	e := &cytonEncoder{per: p.Int("packets", 3, 1, 21)}
	e.setUp(p)
	return e, nil
}

func (e *cytonEncoder) Open(in stream.Header) error {
	if len(in.Channels) != len(e.scales) {
		return fmt.Errorf("cyton: the board has %d channels, not %d", len(e.scales), len(in.Channels))
	}
	return nil
}

func (e *cytonEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *cytonEncoder) Finish(dst []byte) []byte            { return dst }

func (e *cytonEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := min(to-from, e.per)
	for col := from; col < from+n; col++ {
		if !e.daisy {
			dst = e.packet(dst, src, col, 0, byte(e.n))
			e.n++
			continue
		}
		first, second := 0, 8
		if !e.oddFirst {
			first, second = 8, 0
		}
		dst = e.packet(dst, src, col, first, byte(2*e.n+1))
		dst = e.packet(dst, src, col, second, byte(2*e.n+2))
		e.n++
	}
	return dst, n
}

func (e *cytonEncoder) packet(dst []byte, src *stream.Chunk, col, row int, seq byte) []byte {
	dst = append(dst, 0xa0, seq)
	for ch := row; ch < row+8; ch++ {
		dst = I24.append(dst, src.At(ch, col)/e.scales[ch].Bit, true)
	}
	return append(dst, 0, 0, 0, 0, 0x1f, 0x40, 0xc0) // 8000 counts = 1 g
}
