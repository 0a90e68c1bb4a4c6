package udp

import (
	"fmt"
	"net/url"
	"sort"
	"strings"

	"neurostream/stream"
)

// Carrier says how a format's packets travel.
type Carrier uint8

const (
	UDP Carrier = 1 << iota // one datagram holds one packet
	TCP                     // packets in a byte stream; the Format is a Framer
)

// FormatType is a line of the table of formats.
type FormatType struct {
	Name    string
	Doc     string  // one line
	Example string  // the parameters of a URL
	Carrier Carrier //
	Port    int     // where it is usually found; 0 = anywhere
	Group   string  // multicast group, where that is usual
	Params  []Param // of New
	New     func(*Parameters) (Format, error)
	// Like says how much a packet looks like this format, 0 to 1, without any
	// knowledge of the URL. Nil: the format cannot be recognised.
	Like func(pkt []byte) float64
	// Encoder, for simulators and sinks; EncoderParams are its parameters.
	Encoder       func(*Parameters) (Encoder, error)
	EncoderParams []Param
	// Device is the header of the device that the simulator plays when nobody says
	// otherwise, SimulatorURL the parameters of its encoder, and URL those with
	// which the source then reads it.
	Device            func() stream.Header
	SimulatorURL, URL string
	Kept              int  // columns that the encoder may hold back at the end
	Markers           bool // whether the format carries markers at columns
	Sink              bool // the encoder takes any stream, so that it serves as a sink
}

// Formats is the table of all formats, by name.
func Formats() []FormatType {
	return []FormatType{
		{
			Name: "native", Doc: "ours: sequence, index, clock and checksum", Example: "format=native", Carrier: UDP,
			Params: nativeParams, New: newNative, Like: likeNative,
			Encoder: newNativeEncoder, EncoderParams: nativeEncoderParams, Sink: true, Markers: true,
			Device: func() stream.Header { return device("native", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "openbci-json", Doc: "OpenBCI GUI, networking widget by UDP: all widgets", Example: "format=openbci-json&rate=250", Carrier: UDP, Port: 12345,
			Params: openBCIParams, New: newOpenBCI, Like: likeOpenBCI, URL: "rate=250",
			Encoder: newOpenBCIEncoder, EncoderParams: openBCIEncoderParams, Sink: true,
			Device: func() stream.Header { return device("OpenBCI", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "brainflow", Doc: "BrainFlow's streaming board, by multicast", Example: "format=brainflow&board=cyton", Carrier: UDP, Port: 6677, Group: "225.1.1.1",
			Params: brainflowParams, New: newBrainflow, URL: "board=cyton", SimulatorURL: "board=cyton", Kept: 2,
			Encoder: newBrainflowEncoder, EncoderParams: brainflowEncoderParams,
			Device: func() stream.Header { return device("BrainFlow", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "muse-osc", Doc: "Muse head-bands by OSC: Mind Monitor, Muse Direct, MuseIO, Petal", Example: "format=muse-osc", Carrier: UDP, Port: 5000,
			Params: museParams, New: newMuse, Like: likeMuse, Markers: true,
			Encoder: newMuseEncoder, EncoderParams: museEncoderParams, Device: museDevice,
		},
		{
			Name: "petal-osc", Doc: "Petal (older versions) by OSC, with sample number and stamp", Example: "format=petal-osc", Carrier: UDP,
			Params: petalParams, New: newPetal, Like: likePetal,
			Encoder: newPetalEncoder, Device: museDevice,
		},
		{
			Name: "neurosity-osc", Doc: "Neurosity Crown and Notion by OSC", Example: "format=neurosity-osc&rate=256", Carrier: UDP, Port: 9000,
			Params: neurosityParams, New: newNeurosity, Like: likeNeurosity, URL: "rate=256&stamp=ms", Markers: true,
			Encoder: newNeurosityEncoder, Device: func() stream.Header { return device("Crown", 256, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "openbci-osc", Doc: "OpenBCI GUI, networking widget by OSC", Example: "format=openbci-osc&rate=250", Carrier: UDP, Port: 12345,
			Params: openBCIOSCParams, New: newOpenBCIOSC, Like: likeOpenBCIOSC, URL: "rate=250",
			Encoder: newOpenBCIOSCEncoder, EncoderParams: openBCIOSCEncoderParams, Kept: 9,
			Device: func() stream.Header { return device("OpenBCI", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "osc", Doc: "any OSC 1.0 address whose messages are columns of numbers", Example: "format=osc&address=/eeg&rate=250&unit=uV", Carrier: UDP,
			Params: oscParams, New: newOSC, Like: likeAnyOSC, URL: "address=/bci&rate=250", Markers: true,
			Encoder: newOSCEncoder, EncoderParams: oscEncoderParams, Sink: true,
			Device: func() stream.Header { return device("OSC", 250, 8, "ch", "", "EEG") },
		},
		{
			Name: "unicorn", Doc: "g.tec Unicorn Hybrid Black, UDP interface", Example: "format=unicorn", Carrier: UDP,
			Params: unicornParams, New: newUnicorn, Like: likeUnicorn,
			Encoder: newUnicornEncoder, Device: func() stream.Header {
				return stream.Header{Name: "Unicorn", Rate: 250, Channels: unicornChannels(false, unicornLabels), MaxLen: 10}
			},
		},
		{
			Name: "cyton", Doc: "OpenBCI WiFi shield: Cyton, and Cyton with Daisy", Example: "format=cyton&rate=1000", Carrier: UDP | TCP,
			Params: cytonParams, New: newCyton, Like: likeCyton, URL: "rate=125&daisy=odd-first", SimulatorURL: "daisy=odd-first",
			Encoder: newCytonEncoder, EncoderParams: cytonEncoderParams,
			Device: func() stream.Header { return device("OpenBCI", 125, 16, "ch", "uV", "EEG") },
		},
		{
			Name: "galea", Doc: "OpenBCI Galea", Example: "format=galea&gain=24", Carrier: UDP, Port: 2390,
			Params: galeaParams, New: newGalea, Like: likeGalea, URL: "gain=12", SimulatorURL: "gain=12",
			Encoder: newGaleaEncoder, EncoderParams: galeaEncoderParams,
			Device: func() stream.Header { return device("Galea", 250, 24, "ch", "uV", "EXG") },
		},
		{
			Name: "emotibit", Doc: "EmotiBit: lines of one sensor each", Example: "format=emotibit&data=PG&rate=25", Carrier: UDP,
			Params: emotiBitParams, New: newEmotiBit, Like: likeEmotiBit, URL: "data=AX,AY,AZ&rate=25",
			Encoder: newEmotiBitEncoder, EncoderParams: emotiBitEncoderParams,
			Device: func() stream.Header {
				h := device("EmotiBit", 25, 3, "", "", "AUX")
				h.MaxLen = 5
				for i, l := range []string{"AX", "AY", "AZ"} {
					h.Channels[i].Label = l
				}
				return h
			},
		},
		{
			Name: "bci2000", Doc: "BCI2000's AppConnector: lines of states and signals", Example: "format=bci2000&states=CursorPosX,CursorPosY", Carrier: UDP,
			Params: bci2000Params, New: newBCI2000, Like: likeBCI2000, URL: "rate=25",
			Encoder: newBCI2000Encoder, EncoderParams: bci2000EncoderParams, Sink: true,
			Device: func() stream.Header { return device("BCI2000", 25, 4, "State", "", "state") },
		},
		{
			Name: "blackrock", Doc: "Blackrock Cerebus and Gemini, 3.11, 4.0, 4.1: one group, spikes, digital input", Example: "format=blackrock&group=5&count=96", Carrier: UDP, Port: 51002,
			Params: blackrockParams, New: newBlackrock, Like: likeBlackrock, URL: "count=16",
			Encoder: newBlackrockEncoder, EncoderParams: blackrockEncoderParams,
			Device: func() stream.Header { return device("Blackrock", 1000, 16, "ch", "uV", "LFP") },
		},
		{
			Name: "raw", Doc: "bare numbers; the URL says type, byte order, layout, counter, stamp, scale", Example: "format=raw&sample=f32&count=8&rate=250&unit=uV", Carrier: UDP | TCP,
			Params: rawParams, New: newRaw, URL: "sample=i16&order=big&layout=rows&count=8&rate=250&counter=u32&stamp=us64&clock=unix&columns=10&skip=3&trailing=2&bit=0.5&unit=uV",
			Encoder: newRawEncoder, EncoderParams: rawEncoderParams, Sink: true,
			SimulatorURL: "sample=i16&order=big&layout=rows&counter=u32&stamp=us64&columns=10&skip=3&trailing=2&bit=0.5",
			Device:       func() stream.Header { return device("raw", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "csv", Doc: "lines of numbers: one column per line", Example: "format=csv&rate=250&unit=uV", Carrier: UDP | TCP,
			Params: csvParams, New: newCSV, Like: likeCSV, URL: "rate=250&unit=uV&counter=0&stamp=1&clock=unix",
			Encoder: newCSVEncoder, EncoderParams: linesEncoderParams, Sink: true, SimulatorURL: "counter=true&stamp=true&lines=3",
			Device: func() stream.Header { return device("csv", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "jsonl", Doc: "lines of JSON: one column per line", Example: "format=jsonl&rate=250&unit=uV", Carrier: UDP | TCP,
			Params: jsonlParams, New: newJSONLines, Like: likeJSONLines, URL: "rate=250&unit=uV&counter=n&stamp=t&clock=unix", Markers: true,
			Encoder: newJSONLinesEncoder, EncoderParams: linesEncoderParams, Sink: true, SimulatorURL: "counter=true&stamp=true",
			Device: func() stream.Header { return device("jsonl", 250, 8, "ch", "uV", "EEG") },
		},
		{
			Name: "yaml", Doc: "a packet of one's own, described in a YAML file", Example: "format=yaml&file=amplifier.yaml", Carrier: UDP | TCP,
			Params: describedParams, New: newDescribed, URL: "text=" + url.QueryEscape(describedExample), SimulatorURL: "text=" + url.QueryEscape(describedExample), Kept: 1,
			Encoder: newDescribedEncoder, EncoderParams: describedParams,
			Device: func() stream.Header { return device("described", 250, 2, "ch", "uV", "EEG") },
		},
		{
			Name: "rda", Doc: "BrainProducts Remote Data Access", Example: "format=rda", Carrier: TCP, Port: 51244,
			Params: rdaParams, New: newRDA, Like: likeRDA, SimulatorURL: "sample=i16&bit=0.25", Markers: true,
			Encoder: newRDAEncoder, EncoderParams: rdaEncoderParams, Sink: true,
			Device: func() stream.Header { return device("RDA", 500, 32, "ch", "uV", "EEG") },
		},
		{
			Name: "ephys-socket", Doc: "Open Ephys, EphysSocket", Example: "format=ephys-socket&rate=30000&unit=uV", Carrier: TCP, Port: 9001,
			Params: ephysParams, New: newEphys, Like: likeEphys, URL: "rate=1000&unit=uV",
			Encoder: newEphysEncoder, EncoderParams: ephysEncoderParams, Sink: true,
			Device: func() stream.Header { return device("Open Ephys", 1000, 16, "ch", "uV", "EEG") },
		},
		{
			Name: "openephys", Doc: "Open Ephys, ZMQ interface", Example: "format=openephys&unit=uV", Carrier: TCP, Port: 5556,
			Params: openEphysParams, New: newOpenEphys, Like: likeOpenEphys, URL: "unit=uV",
			Encoder: newOpenEphysEncoder, EncoderParams: openEphysEncoderParams,
			Device: func() stream.Header { return device("Open Ephys", 1000, 16, "CH", "uV", "EEG") },
		},
	}
}

// describedExample is the packet that the simulator of described packets sends.
const describedExample = `rate: 250
channels: [{label: ch1, unit: uV, bit: 0.25}, {label: ch2, unit: uV, bit: 0.25}]
packet: [{const: a0}, {counter: u8, step: 1}, {stamp: us64, clock: unix}, {samples: i16, columns: 2}, {checksum: crc16}]`

// device makes the header of a simulated device.
func device(name string, rate float64, channels int, prefix, unit, kind string) stream.Header {
	h := stream.Header{Name: name, Rate: rate, MaxLen: max(1, int(rate/25))}
	for i := range channels {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("%s%d", prefix, i+1), Unit: unit, Type: kind})
	}
	return h
}

// FormatNamed finds a format.
func FormatNamed(name string) (*FormatType, error) {
	all := Formats()
	var names []string
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
		names = append(names, all[i].Name)
	}
	return nil, fmt.Errorf("udp: there is no format %q; there are %s", name, strings.Join(names, " "))
}

// NewFormat makes the decoder of a format from the parameters of a URL that
// concern it; others are an error.
func NewFormat(name string, values url.Values) (Format, error) {
	t, err := FormatNamed(name)
	if err != nil {
		return nil, err
	}
	p := NewParameters(values)
	f, err := t.New(p)
	if err == nil {
		err = p.Finish()
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// NewEncoder makes the encoder of a format.
func NewEncoder(name string, values url.Values) (Encoder, error) {
	t, err := FormatNamed(name)
	if err != nil {
		return nil, err
	}
	if t.Encoder == nil {
		return nil, fmt.Errorf("udp: format %s can only be read", name)
	}
	p := NewParameters(values)
	e, err := t.Encoder(p)
	if err == nil {
		err = p.Finish()
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Guess is a format that packets look like.
type Guess struct {
	Name string
	Like float64 // mean over the packets, 0 to 1
}

// Sniff says which formats some packets look like, the likeliest first: for "wrong
// format" messages and for captures of unknown origin.
func Sniff(pkts [][]byte) []Guess {
	var out []Guess
	for _, t := range Formats() {
		if t.Like == nil || len(pkts) == 0 {
			continue
		}
		var sum float64
		for _, p := range pkts {
			sum += t.Like(p)
		}
		if sum > 0 {
			out = append(out, Guess{t.Name, sum / float64(len(pkts))})
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Like > out[j].Like })
	return out
}
