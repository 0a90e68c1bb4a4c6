package udp

import (
	"math"

	"neurostream/stream"
)

// Petal by OSC (its newer versions send as Muse does):
//
//	/PetalStream/eeg  i  sample number
//	                  i  Unix time, s    f  its fraction
//	                  i  LSL time, s     f  its fraction
//	                  f × 4–5  uV: TP9 AF7 AF8 TP10 [auxiliary]
//
// The sample number is taken modulo 2^32: where it wraps is not published. The
// fraction is a float32: the stamp is good to 60 ns.
var petalParams = []Param{
	{Name: "rate", Doc: "nominal rate in Hz", Default: "256"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "unit", Doc: "of all channels", Default: "uV"},
	{Name: "type", Doc: "of all channels", Default: "EEG"},
	{Name: "name", Doc: "of the stream"},
}

func newPetal(p *Parameters) (Format, error) {
	f := &oscStream{prefix: "ch", counter: 0, skip: 5, least: 4, rest: "/PetalStream/eeg", whole: true, labels: labels{}}
	f.name = "petal-osc"
	f.usual = []string{"TP9", "AF7", "AF8", "TP10", "AUX"}
	f.stated = p.stated("Petal", "uV", "EEG")
	if f.stated.rate == 0 {
		f.stated.rate = 256
	}
	f.clock = func(m *oscMessage) (int64, bool) {
		s, r := &m.args[1], m.args[2].num
		if s.tag != 'i' || !(r >= 0 && r < 2) {
			return 0, false
		}
		return s.int*1e9 + int64(math.RoundToEven(r*1e9)), true
	}
	return f, nil
}

func likePetal(pkt []byte) float64 { return likeOSC(pkt, "/PetalStream/") }

func newPetalEncoder(*Parameters) (Encoder, error) {
	return &oscEncoder{address: "/PetalStream/eeg", before: "iifif", head: func(e *oscEncoder, dst []byte, at stream.Time) []byte {
		dst = appendUnsigned(dst, uint64(e.n), 4, true)
		for range 2 {
			dst = appendUnsigned(dst, uint64(at/1e9), 4, true)
			dst = F32.append(dst, float64(at%1e9)/1e9, true)
		}
		return dst
	}}, nil
}
