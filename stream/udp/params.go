package udp

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"neurostream/stream"
)

// Param describes one parameter of a format in a URL.
type Param struct {
	Name, Doc string
	Default   string // "" = none: the format does without it, or says that it is missing
}

// Parameters reads a URL's query; every key may come once. The first fault is kept
// for Finish.
type Parameters struct {
	values url.Values
	known  []string
	err    error
}

// NewParameters reads values.
func NewParameters(values url.Values) *Parameters { return &Parameters{values: values} }

// Text returns a parameter, or its default.
func (p *Parameters) Text(key, preset string) string {
	if !slices.Contains(p.known, key) {
		p.known = append(p.known, key)
	}
	v := p.values[key]
	if len(v) > 1 {
		p.Fail("%s is given %d times in the URL", key, len(v))
	}
	if len(v) == 0 || v[0] == "" {
		return preset
	}
	return v[0]
}

// Given reports whether the URL has the key.
func (p *Parameters) Given(key string) bool { return p.values.Get(key) != "" }

// Fail keeps the first fault.
func (p *Parameters) Fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("udp: "+format, args...)
	}
}

// Int returns a whole number from low to high.
func (p *Parameters) Int(key string, preset, low, high int) int {
	s := p.Text(key, "")
	if s == "" {
		return preset
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		p.Fail("%s=%s in the URL is not a whole number from %d to %d", key, s, low, high)
		return preset
	}
	return n
}

// Float returns a number from low to high.
func (p *Parameters) Float(key string, preset, low, high float64) float64 {
	s := p.Text(key, "")
	if s == "" {
		return preset
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= low && v <= high) {
		p.Fail("%s=%s in the URL is not a number from %g to %g", key, s, low, high)
		return preset
	}
	return v
}

// Choice returns one of the options; the first is the default.
func (p *Parameters) Choice(key string, options ...string) string {
	s := p.Text(key, options[0])
	if !slices.Contains(options, s) {
		p.Fail("%s=%s in the URL is not one of %s", key, s, strings.Join(options, ", "))
		return options[0]
	}
	return s
}

// Truth returns yes or no.
func (p *Parameters) Truth(key string, preset bool) bool {
	s := p.Text(key, "")
	switch s {
	case "":
		return preset
	case "true", "yes", "1":
		return true
	case "false", "no", "0":
		return false
	}
	p.Fail("%s=%s in the URL is neither true nor false", key, s)
	return preset
}

// List returns a parameter cut at commas, or nil.
func (p *Parameters) List(key string) []string {
	s := p.Text(key, "")
	if s == "" {
		return nil
	}
	out := strings.Split(s, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// Rate returns the nominal rate in Hz, at most 1 MHz; 0 when the URL has none.
func (p *Parameters) Rate(preset float64) float64 { return p.Float("rate", preset, 0, 1e6) }

// Finish reports the first fault, or a key that nobody asked for.
func (p *Parameters) Finish() error {
	if p.err != nil {
		return p.err
	}
	for key := range p.values {
		if !slices.Contains(p.known, key) {
			slices.Sort(p.known)
			return fmt.Errorf("udp: unknown parameter %q in the URL; this format has %s", key, strings.Join(p.known, " "))
		}
	}
	return nil
}

// stated is what a URL may say about any stream.
type stated struct {
	name   string
	rate   float64 // 0: not said
	labels []string
	unit   string
	kind   string
}

var statedParams = []Param{
	{Name: "rate", Doc: "nominal rate in Hz"},
	{Name: "channels", Doc: "labels, separated by commas"},
	{Name: "unit", Doc: "of all channels, where the format does not say"},
	{Name: "type", Doc: "of all channels, where the format does not say", Default: "EEG"},
	{Name: "name", Doc: "of the stream"},
}

func (p *Parameters) stated(name, unit, kind string) stated {
	return stated{
		name: p.Text("name", name), rate: p.Rate(0), labels: p.List("channels"),
		unit: p.Text("unit", unit), kind: p.Text("type", kind),
	}
}

// channels makes n channels, labelled as the URL says, else prefix1, prefix2, …
func (s *stated) channels(n int, prefix string) ([]stream.Channel, error) {
	if s.labels != nil && len(s.labels) != n {
		return nil, fmt.Errorf("udp: the URL names %d channels, but the packets hold %d", len(s.labels), n)
	}
	out := make([]stream.Channel, n)
	for i := range out {
		out[i] = stream.Channel{Label: prefix + strconv.Itoa(i+1), Unit: s.unit, Type: s.kind}
		if s.labels != nil {
			out[i].Label = s.labels[i]
		}
	}
	return out, nil
}

// labels hands out strings for bytes, allocating each only once.
type labels map[string]string

const maxLabels = 4096

func (l labels) of(b []byte) string {
	if s, ok := l[string(b)]; ok {
		return s
	}
	s := strings.ToValidUTF8(string(b), "?")
	if len(l) < maxLabels {
		l[s] = s
	}
	return s
}

func finite(v float64) bool { return v-v == 0 }

// roundTo returns v as an integer from low to high: half to even, saturated, 0 for
// NaN.
func roundTo(v, low, high float64) int64 {
	switch {
	case math.IsNaN(v):
		return 0
	case v <= low:
		return int64(low)
	case v >= high:
		return int64(high)
	}
	return int64(math.RoundToEven(v))
}
