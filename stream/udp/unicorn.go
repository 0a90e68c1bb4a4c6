package udp

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// g.tec Unicorn Hybrid Black, UDP interface. One datagram per column at 250 Hz,
// little endian, no header:
//
//	 0  f32[8]  EEG 1–8, uV
//	32  f32[3]  accelerometer x y z, g
//	44  f32[3]  gyroscope x y z, deg/s
//	56  f32     battery, %
//	60  f32     counter, +1 per column
//	64  f32     validation indicator
//	68
//
// The counter is a float32: it cannot count past 2^24, where successive numbers
// become equal. It is taken modulo 2^24.
//
// Source: Unicorn-Network-Interfaces-Hybrid-Black, unicorn-udp-interface.md.
type unicorn struct {
	scratch
	matrix matrix
}

const (
	unicornSize    = 68
	unicornModulus = 1 << 24
)

var unicornParams = []Param{
	{Name: "rows", Doc: "eeg, or all: also motion, battery and validation", Default: "eeg"},
	{Name: "channels", Doc: "labels of the eight EEG channels", Default: "Fz,C3,Cz,C4,Pz,PO7,Oz,PO8"},
	{Name: "name", Doc: "of the stream"},
}

func unicornChannels(all bool, labels []string) []stream.Channel {
	var out []stream.Channel
	for _, l := range labels {
		out = append(out, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	if all {
		for i, l := range []string{"acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z"} {
			out = append(out, stream.Channel{Label: l, Unit: []string{"g", "deg/s"}[i/3], Type: []string{"ACC", "GYRO"}[i/3]})
		}
		out = append(out, stream.Channel{Label: "battery", Unit: "%", Type: "AUX"})
	}
	return out
}

var unicornLabels = []string{"Fz", "C3", "Cz", "C4", "Pz", "PO7", "Oz", "PO8"}

func newUnicorn(p *Parameters) (Format, error) {
	f := new(unicorn)
	f.name = "unicorn"
	all := p.Choice("rows", "eeg", "all") == "all"
	labels := p.List("channels")
	if labels == nil {
		labels = unicornLabels
	}
	if len(labels) != 8 {
		p.Fail("channels= names %d channels; the Unicorn has 8", len(labels))
	}
	f.matrix.typ = F32
	f.layout = Layout{
		Header:   stream.Header{Name: p.Text("name", "Unicorn"), Rate: 250, Channels: unicornChannels(all, labels), MaxLen: 1},
		Evidence: EvidenceCounter, Counter: Counter{Modulus: unicornModulus, Step: 1},
	}
	return f, f.layout.Header.Validate()
}

func likeUnicorn(pkt []byte) float64 {
	if len(pkt) != unicornSize {
		return 0
	}
	for i := range 17 {
		v := float64(math.Float32frombits(le.Uint32(pkt[4*i:])))
		if !finite(v) || math.Abs(v) > 1e9 {
			return 0
		}
	}
	c, battery := math.Float32frombits(le.Uint32(pkt[60:])), math.Float32frombits(le.Uint32(pkt[56:]))
	if c < 0 || c != float32(math.Trunc(float64(c))) || battery < 0 || battery > 100 {
		return 0.2
	}
	return 0.9
}

func (f *unicorn) Learn(pkt []byte) (bool, error) {
	if pkt != nil && len(pkt) != unicornSize {
		return false, f.faultOf(0, "length", int64(len(pkt)), unicornSize)
	}
	return true, nil
}

func (f *unicorn) Decode(dst *stream.Chunk, pkt []byte) error {
	f.records = f.records[:0]
	if len(pkt) != unicornSize {
		return f.faultOf(0, "length", int64(len(pkt)), unicornSize)
	}
	c := float64(math.Float32frombits(le.Uint32(pkt[60:])))
	if !(c >= 0 && c <= unicornModulus) || c != math.Trunc(c) {
		return f.fault(60, "the counter is no whole number from 0 to 2^24")
	}
	at := dst.Len
	f.matrix.decode(dst, pkt, 1)
	f.records = append(f.records, Record{Column: at, Columns: 1, Has: EvidenceCounter, Counter: uint64(c) % unicornModulus})
	return nil
}

// unicornEncoder plays the device: eight channels of EEG; what else the datagram
// holds is a head at rest.
type unicornEncoder struct{ n uint64 }

func newUnicornEncoder(*Parameters) (Encoder, error) { return new(unicornEncoder), nil }

func (e *unicornEncoder) Open(in stream.Header) error {
	if len(in.Channels) != 8 && len(in.Channels) != 15 {
		return fmt.Errorf("unicorn: the device has 8 channels of EEG (15 with motion and battery), not %d", len(in.Channels))
	}
	if in.Rate != 250 {
		return fmt.Errorf("unicorn: the device runs at 250 Hz, not %g", in.Rate)
	}
	return nil
}

func (e *unicornEncoder) Preamble(dst []byte) ([]byte, []int) { return dst, nil }
func (e *unicornEncoder) Finish(dst []byte) []byte            { return dst }

func (e *unicornEncoder) Encode(dst []byte, src *stream.Chunk, from, _ int) ([]byte, int) {
	rest := [15]float64{10: 1, 14: 100}
	for i := range rest {
		v := rest[i]
		if i < src.Rows() {
			v = src.At(i, from)
		}
		dst = F32.append(dst, v, false)
	}
	dst = F32.append(dst, float64(e.n%unicornModulus), false)
	e.n++
	return F32.append(dst, 1, false), 1
}
