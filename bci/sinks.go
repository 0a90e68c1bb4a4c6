package bci

import (
	"fmt"
	"os"
	"strings"

	"neurostream/stream"
)

// SinkType is a scheme of --to.
type SinkType struct {
	Scheme, Doc, Example string
	Params               []Param
	// Lossless sinks make a replay wait for them.
	Lossless bool
	Open     func(Address, *Settings) (stream.Sink, error)
}

// Sinks is the table of schemes of --to. The page (ws:) is above this package and
// stands in the command.
func Sinks() []SinkType {
	rows := func(json bool) func(Address, *Settings) (stream.Sink, error) {
		return func(a Address, _ *Settings) (stream.Sink, error) {
			if a.Place == "" {
				return nil, fmt.Errorf("%s: which file? write %s:NAME, or %s:- for standard output", a.Text, a.Scheme, a.Scheme)
			}
			return &rowFile{path: a.Place, json: json, stdout: os.Stdout}, nil
		}
	}
	return []SinkType{
		{Scheme: "csv", Doc: "one line a decision, units in the header", Example: "csv:decisions.csv", Lossless: true, Params: tapParams, Open: rows(false)},
		{
			Scheme: "xdf", Doc: "record as XDF, with markers and events; survives a crash", Example: "xdf:today.xdf?tap=source", Lossless: true, Params: tapParams,
			Open: func(a Address, _ *Settings) (stream.Sink, error) {
				if a.Place == "" {
					return nil, fmt.Errorf("%s: which file? write xdf:NAME", a.Text)
				}
				return &xdfSink{path: a.Place}, nil
			},
		},
		{
			Scheme: "lsl", Doc: "send as a Lab Streaming Layer outlet", Example: "lsl://decisions",
			Params: append([]Param{
				{Name: "type", Kind: Text, Doc: "content type; empty = the channels' own"},
				{Name: "source_id", Kind: Text, Doc: "by which receivers find it again; empty = name@host"},
				{Name: "format", Kind: Text, Default: "float32", Choices: []string{"float32", "double64", "int8", "int16", "int32", "int64"}, Doc: "of the values on the wire"},
				{Name: "markers", Kind: Truth, Default: false, Doc: "also send markers and events, as NAME markers"},
				{Name: "wait", Kind: Text, Doc: "how long to wait for a first receiver, e.g. 10s"},
			}, tapParams...),
			Open: openLSLSink,
		},
		udpSink(),
		fieldTripSink(),
		{Scheme: "jsonl", Doc: "one JSON object a line", Example: "jsonl:decisions.jsonl", Lossless: true, Params: tapParams, Open: rows(true)},
	}
}

var tapParams = []Param{
	{Name: "tap", Kind: Text, Default: "", Doc: "what to write: source, the name of a stage or of a side lane, or nothing for the decisions"},
}

// OpenSink finds the scheme of an address and makes its output.
func OpenSink(text string, more ...string) (Output, error) {
	a := ParseAddress(text)
	schemes := more
	for _, t := range Sinks() {
		if t.Scheme != a.Scheme {
			schemes = append(schemes, t.Scheme)
			continue
		}
		s, err := a.settings(t.Params)
		if err != nil {
			return Output{}, err
		}
		sink, err := t.Open(a, s)
		if err != nil {
			return Output{}, err
		}
		return Output{Name: text, Sink: sink, Lossless: t.Lossless, From: s.Text("tap")}, nil
	}
	return Output{}, fmt.Errorf("%s: there is no sink %q%s", text, a.Scheme+":", didYouMean(a.Scheme, schemes))
}

// ListSinks is the table of schemes as text, for --help.
func ListSinks() string {
	var b strings.Builder
	for _, t := range Sinks() {
		fmt.Fprintf(&b, "  %-34s %s\n", t.Example, t.Doc)
	}
	return b.String()
}
