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
		{Scheme: "jsonl", Doc: "one JSON object a line", Example: "jsonl:decisions.jsonl", Lossless: true, Params: tapParams, Open: rows(true)},
	}
}

var tapParams = []Param{
	{Name: "tap", Kind: Text, Default: "", Doc: "what to write: source, the name of a stage, or nothing for the decisions"},
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
