package bci

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"neurostream/stream"
	"neurostream/stream/udp"
)

// udpSources are the rows of [Sources] that stream/udp serves: datagrams, captures, byte
// streams, and one scheme for each format that travels in TCP only.
func udpSources() []SourceType {
	rows := []SourceType{
		{
			Scheme: "udp", Doc: "receive a device's datagrams; bci simulate --list names the formats", Example: "udp://:12345?format=openbci-json&rate=250",
			Params: udpParams(udp.UDP), Open: openUDP(udp.Open),
		},
		{
			Scheme: "pcap", Doc: "replay the datagrams of a capture (pcap, pcapng) as if they came now", Example: "pcap:trace.pcapng?format=unicorn",
			Params: udpParams(udp.UDP), Open: openUDP(udp.OpenCapture),
		},
	}
	rows = append(rows, SourceType{
		Scheme: "tcp", Doc: "connect to a server that sends packets as a byte stream", Example: "tcp://127.0.0.1:9001?format=jsonl&rate=250",
		Params: udpParams(udp.TCP), Open: openUDP(udp.OpenTCP),
	})
	for _, t := range udp.Formats() {
		if t.Carrier != udp.TCP {
			continue
		}
		rows = append(rows, SourceType{
			Scheme: t.Name, Doc: "connect to " + t.Doc, Example: fmt.Sprintf("%s://127.0.0.1:%d", t.Name, t.Port),
			Params: udpParams(udp.TCP),
			Open: openUDP(func(place string, values url.Values) (*udp.Source, error) {
				values.Set("format", t.Name)
				return udp.OpenTCP(place, values)
			}),
		})
	}
	return rows
}

// udpParams lists what may stand in a URL: the source's own, and those of the formats.
// The package reads their values.
func udpParams(carrier udp.Carrier) []Param {
	lists := [][]udp.Param{udp.SourceParams}
	for _, t := range udp.Formats() {
		if t.Carrier&carrier != 0 {
			lists = append(lists, t.Params)
		}
	}
	return textParams(lists)
}

func textParams(lists [][]udp.Param) []Param {
	var out []Param
	for _, list := range lists {
		for _, p := range list {
			if !slices.ContainsFunc(out, func(q Param) bool { return q.Name == p.Name }) {
				out = append(out, Param{Name: p.Name, Kind: Text, Doc: p.Doc})
			}
		}
	}
	return out
}

func openUDP(open func(string, url.Values) (*udp.Source, error)) func(Address, *Settings) (*Input, error) {
	return func(a Address, _ *Settings) (*Input, error) {
		values, err := url.ParseQuery(a.Query)
		if err != nil {
			return nil, fmt.Errorf("%s: the part behind ? cannot be read (%v)", a.Text, err)
		}
		s, err := open(a.Place, values)
		if err != nil {
			return nil, err
		}
		return &Input{Source: s, Live: a.Scheme != "pcap", Name: a.Text}, nil
	}
}

// udpSink is the row of [Sinks] that sends datagrams.
func udpSink() SinkType {
	lists := [][]udp.Param{udp.SinkParams}
	for _, t := range udp.Formats() {
		if t.Sink {
			lists = append(lists, t.EncoderParams)
		}
	}
	return SinkType{
		Scheme: "udp", Doc: "send as datagrams: " + strings.Join(udp.SinkFormats(), ", "), Example: "udp://127.0.0.1:9000?format=osc",
		Params: append(textParams(lists), tapParams...), Open: openUDPSink,
	}
}

func openUDPSink(a Address, _ *Settings) (stream.Sink, error) {
	values, err := url.ParseQuery(a.Query)
	if err != nil {
		return nil, fmt.Errorf("%s: the part behind ? cannot be read (%v)", a.Text, err)
	}
	values.Del("tap")
	s, err := udp.OpenSink(a.Place, values)
	if err != nil {
		return nil, err
	}
	return &onWall{Sink: s, clock: stream.Wall{}}, nil
}
