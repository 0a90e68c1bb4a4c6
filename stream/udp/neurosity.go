package udp

import (
	"fmt"
	"strconv"

	"neurostream/stream"
)

// Neurosity Crown and Notion by OSC, UDP port 9000, broadcast:
//
//	…/raw  [ffffffff]  uV: eight channels
//	       s           time as text, in the unit that the URL says
//	       i           sample number
//	       s           marker, may be empty
//
// BrainFlow passes the time on as it comes, so its unit is not verified: stamp=s or
// stamp=ms says it, and without that the stamp is not used. Where the sample number
// wraps is not published: modulus= says it, without it the number counts to 2^32.
//
// Source: brainflow, notion_osc.cpp.
var neurosityParams = []Param{
	{Name: "rate", Doc: "nominal rate in Hz (Crown 256, Notion 250)"},
	{Name: "stamp", Doc: "unit of the time: none, s or ms", Default: "none"},
	{Name: "modulus", Doc: "where the sample number starts again at 0", Default: "2^32"},
	{Name: "channels", Doc: "labels", Default: "CP3,C3,F5,PO3,PO4,F6,C4,CP4"},
	{Name: "unit", Doc: "of all channels", Default: "uV"},
	{Name: "type", Doc: "of all channels", Default: "EEG"},
	{Name: "name", Doc: "of the stream"},
}

var crownLabels = []string{"CP3", "C3", "F5", "PO3", "PO4", "F6", "C4", "CP4"}

func newNeurosity(p *Parameters) (Format, error) {
	f := &oscStream{prefix: "ch", rest: "raw", least: 8, most: 8, counter: 9, labels: labels{}, usual: crownLabels}
	f.name = "neurosity-osc"
	f.stated = p.stated("Neurosity", "uV", "EEG")
	f.layout.Counter = Counter{Modulus: uint64(p.Int("modulus", 1<<32, 1, 1<<32)), Step: 1}
	if f.stated.rate == 0 {
		p.Fail("the messages do not say the rate: add rate=256 (Crown) or rate=250 (Notion)")
	}
	if unit := p.Choice("stamp", "none", "s", "ms"); unit != "none" {
		f.clock = func(m *oscMessage) (int64, bool) {
			if len(m.args) < 9 || m.args[8].tag != 's' {
				return 0, false
			}
			v, n := parseNumber(m.args[8].text)
			if unit == "ms" {
				v /= 1000
			}
			if n == 0 || !(v >= 0 && v < 9e9) {
				return 0, false
			}
			return nanoseconds(v), true
		}
	}
	return f, nil
}

func likeNeurosity(pkt []byte) float64 {
	var m oscMessage
	w := oscWalk{pkt: pkt}
	f := oscStream{rest: "raw"}
	for w.next(&m) {
		if f.matches(m.address) && m.floats(0) == 8 && len(m.args) == 11 && m.args[8].tag == 's' {
			return 1
		}
	}
	return 0
}

func newNeurosityEncoder(*Parameters) (Encoder, error) {
	return &oscEncoder{
		address: "/neurosity/notion/simulated/raw", before: "[", after: "]sis",
		open: func(in *stream.Header) error {
			if len(in.Channels) != 8 {
				return fmt.Errorf("neurosity-osc: the device has 8 channels, not %d", len(in.Channels))
			}
			return nil
		},
		tail: func(e *oscEncoder, dst []byte, at stream.Time, marker string) []byte {
			from := len(dst)
			dst = strconv.AppendInt(dst, int64(at/1e6), 10)
			for n := 4 - (len(dst)-from)%4; n > 0; n-- {
				dst = append(dst, 0)
			}
			dst = appendUnsigned(dst, uint64(e.n), 4, true)
			return appendOSCText(dst, marker)
		},
	}, nil
}
