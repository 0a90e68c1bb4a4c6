package bci

import (
	"fmt"
	"math"
	"strings"
)

// ParamKind is the type of a setting.
type ParamKind uint8

// The kinds of settings a pipeline file knows.
const (
	Number  ParamKind = iota // a number
	Integer                  // a whole number
	Text                     // a word or sentence
	Truth                    // true or false
	Numbers                  // a list of numbers
	Texts                    // a list of words
	Bands                    // names with [low, high] in Hz
	Parts                    // a list of parts from a vocabulary of their own, as `features:` of window
)

var paramKindNames = [...]string{"number", "whole number", "text", "true or false", "list of numbers", "list of words", "bands", "list of parts"}

func (k ParamKind) String() string { return paramKindNames[k] }

// Param describes one setting of a stage: what `bci stages` prints and the parser
// checks. Ranges that depend on the stream (a cut-off below half the rate) are
// checked by the stage's Open.
type Param struct {
	Name     string
	Kind     ParamKind
	Unit     string // "Hz", "s", "uV", "%"; "" when dimensionless
	Doc      string // one line
	Required bool
	Default  any      // float64, string, bool, []float64, []string; nil = the zero value
	Min, Max float64  // allowed range of numbers; both 0 = any
	Choices  []string // allowed words; nil = any
	Parts    []PartType
}

// PartType is an entry of a vocabulary inside a stage, as the features of window:
// a name, its settings, and what makes it from them.
type PartType struct {
	Name   string
	Doc    string // one line
	Params []Param
	Part   func(*Settings) any
	// Example is the part as it stands in a list; `bci stages` prints it, and the
	// contract test runs it.
	Example string
}

// Settings are the values of one stage in a pipeline file, defaults filled in.
type Settings struct {
	Line   int // of the stage's name
	params []Param
	values map[string]any
	lines  map[string]int
}

func (s *Settings) value(name string) any {
	if v, ok := s.values[name]; ok {
		return v
	}
	for i := range s.params {
		if s.params[i].Name == name {
			return s.params[i].Default
		}
	}
	panic(fmt.Sprintf("bci: the vocabulary asks for a setting %q that it does not list", name))
}

// Float returns a Number.
func (s *Settings) Float(name string) float64 { v, _ := s.value(name).(float64); return v }

// Int returns an Integer.
func (s *Settings) Int(name string) int { v, _ := s.value(name).(float64); return int(v) }

// Text returns a Text.
func (s *Settings) Text(name string) string { v, _ := s.value(name).(string); return v }

// Bool returns a Truth.
func (s *Settings) Bool(name string) bool { v, _ := s.value(name).(bool); return v }

// Floats returns Numbers.
func (s *Settings) Floats(name string) []float64 { v, _ := s.value(name).([]float64); return v }

// Texts returns Texts.
func (s *Settings) Texts(name string) []string { v, _ := s.value(name).([]string); return v }

// Band is a named frequency range in Hz.
type Band struct {
	Name      string
	Low, High float64
}

// Bands returns Bands in the order of the file.
func (s *Settings) Bands(name string) []Band { v, _ := s.value(name).([]Band); return v }

// partUse is one entry of a list of parts: kept apart from what it makes, because
// every Build makes it anew.
type partUse struct {
	kind     *PartType
	settings *Settings
}

// Parts makes the parts of a list, new ones at every call.
func (s *Settings) Parts(name string) []any {
	uses, _ := s.value(name).([]partUse)
	out := make([]any, len(uses))
	for i, u := range uses {
		out[i] = u.kind.Part(u.settings)
	}
	return out
}

// PartNames returns the names of the parts of a list; of equal ones the second is
// called "name-2".
func (s *Settings) PartNames(name string) []string {
	uses, _ := s.value(name).([]partUse)
	out, seen := make([]string, len(uses)), map[string]int{}
	for i, u := range uses {
		out[i] = u.kind.Name
		if seen[u.kind.Name]++; seen[u.kind.Name] > 1 {
			out[i] = fmt.Sprintf("%s-%d", u.kind.Name, seen[u.kind.Name])
		}
	}
	return out
}

// Has reports whether the file gives the setting.
func (s *Settings) Has(name string) bool { _, ok := s.values[name]; return ok }

// parseSettings checks n, the value behind a stage's or part's name, against the
// parameters and returns the settings. n may be nil or nothing.
func parseSettings(path, owner string, line int, params []Param, n *node) (*Settings, error) {
	s := &Settings{Line: line, params: params, values: map[string]any{}, lines: map[string]int{}}
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	if n != nil && n.kind != "nothing" {
		if n.kind != "mapping" {
			return nil, fail(n.line, "%s takes settings in the form {name: value}, not a %s", owner, n.kind)
		}
		names := make([]string, len(params))
		for i := range params {
			names[i] = params[i].Name
		}
		for _, k := range n.keys {
			i := indexOf(names, k.name)
			if i < 0 {
				if len(names) == 0 {
					return nil, fail(k.line, "%s takes no settings, so %q does not belong here", owner, k.name)
				}
				return nil, fail(k.line, "%s has no setting %q%s", owner, k.name, didYouMean(k.name, names))
			}
			v, err := parseValue(path, &params[i], k.value)
			if err != nil {
				return nil, err
			}
			s.values[k.name], s.lines[k.name] = v, k.line
		}
	}
	for i := range params {
		if p := &params[i]; p.Required && !s.Has(p.Name) {
			return nil, fail(line, "%s needs the setting %q (%s)", owner, p.Name, p.describe())
		}
	}
	return s, nil
}

func (p *Param) describe() string {
	d := p.Kind.String()
	if p.Unit != "" {
		d += " in " + p.Unit
	}
	return d + ": " + p.Doc
}

func parseValue(path string, p *Param, n *node) (any, error) {
	fail := func(format string, args ...any) error {
		return &FileError{Path: path, Line: n.line, Msg: fmt.Sprintf(format, args...)}
	}
	wrong := func() error {
		what := n.kind
		if n.text != "" {
			what = fmt.Sprintf("%q", n.text)
		}
		return fail("%s is a %s, not %s", p.Name, p.describe(), what)
	}
	inRange := func(v float64) error {
		if (p.Min != 0 || p.Max != 0) && !(v >= p.Min && v <= p.Max) {
			unit := ""
			if p.Unit != "" {
				unit = " " + p.Unit
			}
			return fail("%s is %v; allowed are %v to %v%s", p.Name, v, p.Min, p.Max, unit)
		}
		return nil
	}
	switch p.Kind {
	case Number, Integer:
		if n.kind != "number" || p.Kind == Integer && n.number != math.Trunc(n.number) {
			return nil, wrong()
		}
		return n.number, inRange(n.number)
	case Text:
		if n.kind != "text" && n.kind != "number" && n.kind != "truth value" {
			return nil, wrong()
		}
		if p.Choices != nil && indexOf(p.Choices, n.text) < 0 {
			return nil, fail("%s is %q%s", p.Name, n.text, didYouMean(n.text, p.Choices))
		}
		return n.text, nil
	case Truth:
		if n.kind != "truth value" {
			return nil, wrong()
		}
		return n.truth, nil
	case Numbers:
		if n.kind != "list" {
			return nil, wrong()
		}
		out := make([]float64, 0, len(n.entries))
		for _, e := range n.entries {
			if e.kind != "number" {
				return nil, wrong()
			}
			if err := inRange(e.number); err != nil {
				return nil, err
			}
			out = append(out, e.number)
		}
		return out, nil
	case Texts:
		if n.kind != "list" {
			return nil, wrong()
		}
		out := make([]string, 0, len(n.entries))
		for _, e := range n.entries {
			if e.kind == "list" || e.kind == "mapping" || e.kind == "nothing" {
				return nil, wrong()
			}
			out = append(out, e.text)
		}
		return out, nil
	case Bands:
		if n.kind != "mapping" {
			return nil, wrong()
		}
		var out []Band
		for _, k := range n.keys {
			v := k.value
			if v.kind != "list" || len(v.entries) != 2 || v.entries[0].kind != "number" || v.entries[1].kind != "number" {
				return nil, &FileError{path, k.line, fmt.Sprintf("band %q needs [low, high] in Hz, as in %s: [8, 13]", k.name, k.name)}
			}
			b := Band{k.name, v.entries[0].number, v.entries[1].number}
			if !(b.Low >= 0 && b.Low < b.High) {
				return nil, &FileError{path, k.line, fmt.Sprintf("band %q is [%v, %v] Hz; the low edge must be below the high one and not negative", k.name, b.Low, b.High)}
			}
			out = append(out, b)
		}
		return out, nil
	case Parts:
		if n.kind != "list" {
			return nil, wrong()
		}
		var out []partUse
		for _, e := range n.entries {
			name, line, value, err := single(path, e, p.Name)
			if err != nil {
				return nil, err
			}
			names := make([]string, len(p.Parts))
			for i := range p.Parts {
				names[i] = p.Parts[i].Name
			}
			i := indexOf(names, name)
			if i < 0 {
				return nil, &FileError{path, line, fmt.Sprintf("there is no %q among the %s%s", name, p.Name, didYouMean(name, names))}
			}
			s, err := parseSettings(path, name, line, p.Parts[i].Params, value)
			if err != nil {
				return nil, err
			}
			out = append(out, partUse{&p.Parts[i], s})
		}
		if len(out) == 0 {
			return nil, fail("%s lists nothing", p.Name)
		}
		return out, nil
	}
	panic("bci: unknown kind of setting")
}

// single takes a list entry of the form `name` or `name: {settings}` apart.
func single(path string, e *node, list string) (name string, line int, value *node, err error) {
	switch {
	case e.kind == "text":
		return e.text, e.line, nil, nil
	case e.kind == "mapping" && len(e.keys) == 1:
		return e.keys[0].name, e.keys[0].line, e.keys[0].value, nil
	case e.kind == "mapping" && len(e.keys) > 1:
		return "", 0, nil, &FileError{path, e.keys[1].line, fmt.Sprintf("%q stands beside %q; indent it further if it is a setting, or start a new entry with a dash", e.keys[1].name, e.keys[0].name)}
	}
	return "", 0, nil, &FileError{path, e.line, fmt.Sprintf("each entry of %s is a name, alone or with settings behind a colon", list)}
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// DefaultText prints the default for the vocabulary listing.
func (p *Param) DefaultText() string {
	if p.Required {
		return "required"
	}
	switch v := p.Default.(type) {
	case nil:
		if p.Kind == Parts {
			return "none"
		}
		return p.emptyText()
	case []float64:
		return strings.Join(strings.Fields(fmt.Sprint(v)), ", ")
	default:
		return fmt.Sprint(v)
	}
}

// canonical is all settings, defaults included, in the order of the vocabulary.
func (s *Settings) canonical() string {
	var b strings.Builder
	for i := range s.params {
		p := &s.params[i]
		fmt.Fprintf(&b, " %s=%s", p.Name, p.text(s.value(p.Name)))
	}
	return b.String()
}

// text is a value as it stands in a canonical line.
func (p *Param) text(value any) string {
	switch v := value.(type) {
	case nil:
		return p.emptyText()
	case []partUse:
		var b strings.Builder
		for _, u := range v {
			fmt.Fprintf(&b, "(%s%s)", u.kind.Name, u.settings.canonical())
		}
		return b.String()
	default:
		return fmt.Sprint(v)
	}
}

func (p *Param) emptyText() string {
	switch p.Kind {
	case Number, Integer:
		return "0"
	case Truth:
		return "false"
	case Parts:
		return ""
	}
	return "none"
}

// match consumes from a canonical line of an earlier day what these settings are. A
// setting that the line does not know, because it is younger, must have its default: what
// was trained before it came stays usable.
func (s *Settings) match(line string) (rest string, ok bool) {
	for i := range s.params {
		p := &s.params[i]
		value := s.value(p.Name)
		tail, known := strings.CutPrefix(line, " "+p.Name+"=")
		if !known {
			if p.text(value) != p.text(p.Default) {
				return line, false
			}
			continue
		}
		line = tail
		uses, parts := value.([]partUse)
		if !parts {
			if line, ok = strings.CutPrefix(line, p.text(value)); !ok {
				return line, false
			}
			continue
		}
		for _, u := range uses {
			if line, ok = strings.CutPrefix(line, "("+u.kind.Name); !ok {
				return line, false
			}
			if line, ok = u.settings.match(line); !ok {
				return line, false
			}
			if line, ok = strings.CutPrefix(line, ")"); !ok {
				return line, false
			}
		}
	}
	return line, true
}
