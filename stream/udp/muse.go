package udp

import (
	"fmt"

	"neurostream/stream"
)

// Muse head-bands by OSC: Mind Monitor, Muse Direct, MuseIO, newer Petal.
//
//	/muse/eeg   ,ffff[f…]     uV: TP9 AF7 AF8 TP10 [auxiliary], one column, 256 Hz
//	                          (MuseIO: 220 Hz; may end in ,ii seconds and microseconds)
//	/muse/acc   ,fff          g
//	/muse/gyro  ,fff          deg/s
//	/muse/ppg   ,fff
//	/muse/elements/…          band powers, blinks, contact
//	Person0/eeg ,ffff         Muse Direct: a name and no slash in front
//
// Only the last parts of the address count. Rates other than that of the EEG are
// not published: say them. Mind Monitor's blinks, clenches and marker buttons
// become markers; that its buttons are called /Marker is not verified.
var museParams = []Param{
	{Name: "data", Doc: "end of the address: eeg, acc, gyro, ppg, elements/alpha_absolute, …", Default: "eeg"},
	{Name: "rate", Doc: "nominal rate in Hz (MuseIO: 220)", Default: "256 for eeg, irregular for others"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "unit", Doc: "of all channels", Default: "uV for eeg, g for acc, deg/s for gyro"},
	{Name: "type", Doc: "of all channels", Default: "EEG for eeg"},
	{Name: "name", Doc: "of the stream"},
	{Name: "markers", Doc: "addresses whose messages are markers, separated by commas", Default: "/muse/elements/blink,/muse/elements/jaw_clench,/Marker"},
}

func newMuse(p *Parameters) (Format, error) {
	f := &oscStream{prefix: "ch", counter: -1, labels: labels{}, pairs: true}
	f.name = "muse-osc"
	f.rest = p.Text("data", "eeg")
	unit, kind := "", ""
	switch f.rest {
	case "eeg":
		unit, kind, f.least = "uV", "EEG", 4
		f.usual = []string{"TP9", "AF7", "AF8", "TP10", "AUX1", "AUX2", "AUX3", "AUX4"}
	case "acc":
		unit, kind, f.usual = "g", "ACC", []string{"x", "y", "z"}
	case "gyro":
		unit, kind, f.usual = "deg/s", "GYRO", []string{"x", "y", "z"}
	case "ppg":
		kind = "PPG"
	}
	f.stated = p.stated("Muse "+f.rest, unit, kind)
	if f.stated.rate == 0 && f.rest == "eeg" {
		f.stated.rate = 256
	}
	f.markers = p.List("markers")
	if f.markers == nil {
		f.markers = []string{"/muse/elements/blink", "/muse/elements/jaw_clench", "/Marker"}
	}
	return f, nil
}

func likeMuse(pkt []byte) float64 { return likeOSC(pkt, "/muse/", "Person") }

func newMuseEncoder(p *Parameters) (Encoder, error) {
	e := &oscEncoder{address: p.Text("address", "/muse/eeg"), marker: "/Marker"}
	e.open = func(in *stream.Header) error {
		if len(in.Channels) < 4 {
			return fmt.Errorf("muse-osc: a Muse has four channels or more, not %d", len(in.Channels))
		}
		return nil
	}
	if p.Truth("stamp", false) {
		e.after = "ii"
		e.marker = ""
		e.tail = func(_ *oscEncoder, dst []byte, at stream.Time, _ string) []byte {
			dst = appendUnsigned(dst, uint64(at/1e9), 4, true)
			return appendUnsigned(dst, uint64(at%1e9/1e3), 4, true)
		}
	}
	return e, nil
}

var museEncoderParams = []Param{
	{Name: "address", Doc: "of the messages", Default: "/muse/eeg"},
	{Name: "stamp", Doc: "end each message in seconds and microseconds, as MuseIO may", Default: "false"},
}

func museDevice() stream.Header {
	h := device("Muse", 256, 4, "", "uV", "EEG")
	for i, l := range []string{"TP9", "AF7", "AF8", "TP10"} {
		h.Channels[i].Label = l
	}
	return h
}
