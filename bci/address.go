package bci

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Address is a source or sink on the command line: scheme, place, settings.
//
//	file:data/s01.edf?speed=1      scheme file, place data/s01.edf
//	lsl://?type=EEG                scheme lsl,  place ""
//	udp://:12345?format=osc        scheme udp,  place :12345
//	s01.edf                        scheme file, place s01.edf
type Address struct {
	Text   string
	Scheme string
	Place  string
	Query  string
}

// ParseAddress takes an address apart. A text without a scheme is a file.
func ParseAddress(text string) Address {
	a := Address{Text: text, Scheme: "file"}
	rest := text
	if i := strings.IndexByte(text, ':'); i > 1 && isScheme(text[:i]) {
		a.Scheme, rest = strings.ToLower(text[:i]), text[i+1:]
	}
	if i := strings.LastIndexByte(rest, '?'); i >= 0 && (a.Scheme != "file" || strings.Contains(rest[i:], "=")) {
		rest, a.Query = rest[:i], rest[i+1:]
	}
	if a.Scheme != "file" || strings.HasPrefix(rest, "///") {
		rest = strings.TrimPrefix(rest, "//")
	}
	a.Place = rest
	return a
}

func isScheme(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || !(r >= '0' && r <= '9' || r == '+' || r == '-')) {
			return false
		}
	}
	return true
}

// settings checks the query against the parameters of a scheme.
func (a Address) settings(params []Param) (*Settings, error) {
	values, err := url.ParseQuery(a.Query)
	if err != nil {
		return nil, fmt.Errorf("%s: the part behind ? cannot be read (%v); write name=value&name=value", a.Text, err)
	}
	n := &node{kind: "mapping"}
	for name, vs := range values {
		if len(vs) != 1 {
			return nil, fmt.Errorf("%s: %q is given %d times", a.Text, name, len(vs))
		}
		n.keys = append(n.keys, key{name: name, value: scalarNode(vs[0], kindOf(params, name))})
	}
	s, err := parseSettings(a.Text, a.Scheme+":", 0, params, n)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func kindOf(params []Param, name string) ParamKind {
	for i := range params {
		if params[i].Name == name {
			return params[i].Kind
		}
	}
	return Text
}

// scalarNode reads a text from a URL the way the parameter wants it.
func scalarNode(text string, kind ParamKind) *node {
	n := &node{kind: "text", text: text}
	switch kind {
	case Number, Integer:
		if v, err := strconv.ParseFloat(text, 64); err == nil && v-v == 0 {
			n.kind, n.number = "number", v
		}
	case Truth:
		if v, err := strconv.ParseBool(text); err == nil {
			n.kind, n.truth = "truth value", v
		}
	case Texts, Numbers:
		n.kind = "list"
		inner := Text
		if kind == Numbers {
			inner = Number
		}
		for _, t := range strings.Split(text, ",") {
			n.entries = append(n.entries, scalarNode(t, inner))
		}
	}
	return n
}
