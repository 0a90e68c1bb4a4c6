package udp

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// OpenBCI Galea, UDP port 2390. A datagram holds several packages of 114 bytes;
// the device sends after it was told "b" and stops after "s":
//
//	 0  u8        counter
//	 1  f32 LE    electrodermal activity
//	 5  i24[24]   channels, big endian: uV = count · 4.5/(2^23−1)/gain · 10^6
//	77  u8        battery, %
//	78  u16 LE    temperature
//	80  i32 LE    photoplethysmogram red     84 infra-red
//	88  u64 LE    device's clock, us
//	96  18 B      motion: taken as nine i16 LE
//
// What lies from 77 to 87 and from 96 on is fresh when the counter is a multiple of
// five; rows=all repeats it in between, marked bad before it first came. Gains
// differ between the boards inside: without gain= the channels are in counts.
// Units of temperature and motion, and that motion is nine i16, are not verified;
// those rows have no unit.
//
// Source: brainflow, galea.cpp.
type galea struct {
	scratch
	all    bool
	scales []Scale
	aux    [13]float64
	known  bool
}

const galeaSize = 114

var galeaParams = []Param{
	{Name: "gain", Doc: "of all channels, or one each, separated by commas; without it counts"},
	{Name: "rate", Doc: "nominal rate in Hz", Default: "250"},
	{Name: "rows", Doc: "exg, or all: also skin, light, temperature, motion", Default: "exg"},
	{Name: "channels", Doc: "labels of the 24 channels"},
	{Name: "name", Doc: "of the stream"},
}

func newGalea(p *Parameters) (Format, error) {
	f := new(galea)
	f.name = "galea"
	st := stated{name: p.Text("name", "Galea"), rate: p.Rate(250), labels: p.List("channels"), unit: "count", kind: "EXG"}
	if p.Given("gain") {
		st.unit = "uV"
	}
	for _, g := range p.gains(24, 1) {
		s := Scale{Bit: 1, Low: -1 << 23, High: 1<<23 - 1}
		if st.unit == "uV" {
			s = ads1299(g)
		}
		f.scales = append(f.scales, s)
	}
	f.all = p.Choice("rows", "exg", "all") == "all"
	if p.err != nil {
		return nil, p.err
	}
	channels, err := st.channels(24, "ch")
	if err != nil {
		return nil, err
	}
	l := &f.layout
	l.Scales = append([]Scale(nil), f.scales...)
	if f.all {
		for _, a := range []string{"eda", "battery", "temperature", "ppg red", "ppg infra-red", "motion 1", "motion 2", "motion 3", "motion 4", "motion 5", "motion 6", "motion 7", "motion 8", "motion 9"} {
			ch := stream.Channel{Label: a, Type: "AUX"}
			if a == "battery" {
				ch.Unit = "%"
			}
			channels = append(channels, ch)
			l.Scales = append(l.Scales, Scale{})
		}
	}
	l.Header = stream.Header{Name: st.name, Rate: st.rate, Channels: channels, MaxLen: maxDatagram / galeaSize}
	l.Evidence, l.Counter, l.Clock = EvidenceCounter|EvidenceStamp, Counter{Modulus: 256, Step: 1}, ClockDevice
	if st.unit == "count" {
		l.Notes = append(l.Notes, "no gain was given: the channels are in counts of the converter")
	}
	return f, l.Header.Validate()
}

// Hello starts the device, Goodbye stops it.
func (f *galea) Hello() []byte   { return []byte("b") }
func (f *galea) Goodbye() []byte { return []byte("s") }

func (f *galea) Learn(pkt []byte) (bool, error) {
	if pkt != nil && (len(pkt) == 0 || len(pkt)%galeaSize != 0) {
		return false, f.faultOf(0, "length is no multiple of a package", int64(len(pkt)), galeaSize)
	}
	return true, nil
}

func likeGalea(pkt []byte) float64 {
	n := len(pkt) / galeaSize
	if n == 0 || len(pkt)%galeaSize != 0 {
		return 0
	}
	like := 0.6
	for i := range n {
		p := pkt[i*galeaSize:]
		if p[77] > 100 {
			return 0.1
		}
		if i > 0 && p[0] == pkt[(i-1)*galeaSize]+1 && le.Uint64(p[88:]) > le.Uint64(pkt[(i-1)*galeaSize+88:]) {
			like = 0.95
		}
	}
	return like
}

func (f *galea) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	if len(pkt) == 0 || len(pkt)%galeaSize != 0 {
		return f.faultOf(0, "length is no multiple of a package", int64(len(pkt)), galeaSize)
	}
	n := len(pkt) / galeaSize
	if !room(dst, n) {
		return f.faultOf(0, "packages in a datagram", int64(n), int64(dst.Cap()-dst.Len))
	}
	for i := range n {
		if us := le.Uint64(pkt[i*galeaSize+88:]); us > math.MaxInt64/1000 {
			return f.fault(i*galeaSize+88, "the device's clock is no time")
		}
	}
	at := dst.Len
	dst.Extend(n)
	for i := range n {
		p := pkt[i*galeaSize : (i+1)*galeaSize]
		for ch := range 24 {
			dst.Set(ch, at+i, float64(I24.number(p[5+3*ch:], true)*f.scales[ch].Bit))
		}
		if p[0]%5 == 0 {
			f.known = true
			f.aux = [13]float64{float64(p[77]), float64(le.Uint16(p[78:])), float64(int32(le.Uint32(p[80:]))), float64(int32(le.Uint32(p[84:])))}
			for k := range 9 {
				f.aux[4+k] = float64(int16(le.Uint16(p[96+2*k:])))
			}
		}
		if f.all {
			put(dst, 24, at+i, float64(math.Float32frombits(le.Uint32(p[1:]))))
			for k, v := range f.aux {
				dst.Set(25+k, at+i, v)
				if !f.known {
					dst.MarkBad(25+k, at+i)
				}
			}
		}
		stamp := int64(le.Uint64(p[88:])) * 1000
		dst.Stamps = append(dst.Stamps, stream.Time(stamp))
		f.records = append(f.records, Record{Column: at + i, Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: uint64(p[0]), Stamp: stamp})
	}
	return nil
}

// galeaEncoder plays the device.
type galeaEncoder struct {
	scales []Scale
	per    int
	n      uint64
	rate   float64
}

var galeaEncoderParams = []Param{
	{Name: "gain", Doc: "as in the source; without it counts"},
	{Name: "packages", Doc: "per datagram", Default: "5"},
}

func newGaleaEncoder(p *Parameters) (Encoder, error) {
	e := &galeaEncoder{per: p.Int("packages", 5, 1, maxDatagram/galeaSize)}
	given := p.Given("gain")
	for _, g := range p.gains(24, 1) {
		s := Scale{Bit: 1}
		if given {
			s = ads1299(g)
		}
		e.scales = append(e.scales, s)
	}
	return e, nil
}

func (e *galeaEncoder) Open(in stream.Header) error {
	if len(in.Channels) != 24 {
		return fmt.Errorf("galea: the device has 24 channels, not %d", len(in.Channels))
	}
	e.rate = in.Rate
	return nil
}

func (e *galeaEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *galeaEncoder) Finish(dst []byte) []byte            { return dst }

func (e *galeaEncoder) Encode(dst []byte, src *stream.Chunk, from, to int) ([]byte, int) {
	n := min(to-from, e.per)
	for col := from; col < from+n; col++ {
		dst = append(dst, byte(e.n))
		dst = F32.append(dst, 0.5, false)
		for ch := range 24 {
			dst = I24.append(dst, src.At(ch, col)/e.scales[ch].Bit, true)
		}
		dst = append(dst, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		us := int64(float64(e.n)/e.rate*1e6 + 0.5)
		dst = appendUnsigned(dst, uint64(us), 8, false)
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		e.n++
	}
	return dst, n
}
