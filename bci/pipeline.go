package bci

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"neurostream/decoders"
	"neurostream/stream"
)

// Pipeline is a parsed pipeline file: the stages in order, and what its classes
// are called. It names neither a source nor a sink, so it cannot behave
// differently live and in replay.
type Pipeline struct {
	Path        string
	Name        string
	Description string
	// Labels maps a marker's label to the class it starts, e.g. "T1" to "left".
	// It serves training and scoring; no stage sees it.
	Labels []Label
	Idle   string // the class that means: do nothing
	// Targets are channels with what a decoder of kinematics is to learn, such as the
	// velocity of a hand; Aside are others that would give the answer away, such as its
	// position. No stage sees either.
	Targets, Aside []string
	Train          TrainSettings // which windows `bci train` learns from
	Steps          []Step
	Sides          []Side

	source []byte
}

// Side is a side lane: stages that see what a stage of the main chain puts out, on a
// goroutine of their own, and whose output sinks can listen to. It cannot change or delay
// a decision: for slow work, such as networks, envelope correlations or autoregressive
// models. In a replay it sees everything; live, what it is too slow for is dropped before
// it, counted and told.
type Side struct {
	Name  string
	Line  int
	After int // index of the step it listens to; -1 = the source
	Steps []Step
}

// Label maps a marker to a class.
type Label struct{ Marker, Class string }

// TrainSettings select the windows a decoder is fitted on.
type TrainSettings struct {
	Purity float64 // share of a window that must belong to the class of its newest sample, 0.5 to 1
	Every  int     // use each n-th window only; 1 = all
	At     float64 // s; learn from, and judge, the one window per marker that ends this long after it; 0 = all windows inside
	Intent Intent  // how targets are made in a closed loop
	// Newest takes the class of a window's newest sample, whatever else it covers, so that
	// trials begin at their cue: for decoders that start anew there.
	Newest bool
}

// Step is one stage of a pipeline.
type Step struct {
	Type     *StageType
	Settings *Settings
	Line     int
	Lane     int // goroutine it runs on: 0, 1, ... in order
}

// ReadPipeline reads and checks a pipeline file.
func ReadPipeline(path string) (*Pipeline, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	return ParsePipeline(path, src)
}

// fileProblem says in one line why a file cannot be read and what to do.
func fileProblem(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		abs, _ := filepath.Abs(filepath.Dir(path))
		return fmt.Errorf("%s: no such file (looked in %s); check the name and the folder", path, abs)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied; check who may read it", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

var topKeys = []string{"name", "description", "labels", "idle", "targets", "aside", "train", "stages"}

// ParsePipeline checks the text of a pipeline file; path is used in messages.
func ParsePipeline(path string, src []byte) (*Pipeline, error) {
	root, err := parseYAML(path, src)
	if err != nil {
		return nil, err
	}
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	if root.kind != "mapping" {
		return nil, fail(root.line, "a pipeline file starts with keys such as name: and stages:, not with a %s", root.kind)
	}
	p := &Pipeline{Path: path, Train: TrainSettings{Purity: 1, Every: 1, Intent: Intent{Kind: IntentNone}}, source: src}
	var stages *node
	for _, k := range root.keys {
		v := k.value
		switch k.name {
		case "name", "description", "idle":
			if v.kind != "text" && v.kind != "number" {
				return nil, fail(v.line, "%s is a word, not a %s", k.name, v.kind)
			}
			switch k.name {
			case "name":
				p.Name = v.text
			case "description":
				p.Description = v.text
			default:
				p.Idle = v.text
			}
		case "labels":
			if v.kind != "mapping" {
				return nil, fail(v.line, "labels map markers to classes, as in {T1: left, T2: right}")
			}
			for _, l := range v.keys {
				if l.value.text == "" {
					return nil, fail(l.line, "label %q needs the name of a class", l.name)
				}
				p.Labels = append(p.Labels, Label{l.name, l.value.text})
			}
		case "train":
			s, err := parseSettings(path, "train", k.line, trainParams, v)
			if err != nil {
				return nil, err
			}
			p.Train = TrainSettings{
				Purity: s.Float("purity"), Every: s.Int("every"), At: s.Float("at"), Newest: s.Text("windows") == "newest",
				Intent: Intent{s.Text("intent"), s.Texts("cursor"), s.Texts("goal"), s.Float("radius")},
			}
		case "targets", "aside":
			if v.kind != "list" || len(v.entries) == 0 {
				return nil, fail(v.line, "%s is a list of channels, as in [vx, vy]", k.name)
			}
			names := make([]string, 0, len(v.entries))
			for _, e := range v.entries {
				if e.kind != "text" && e.kind != "number" || e.text == "" || indexOf(names, e.text) >= 0 {
					return nil, fail(e.line, "each entry of %s is the name of another channel", k.name)
				}
				names = append(names, e.text)
			}
			if k.name == "aside" {
				p.Aside = names
			} else {
				p.Targets = names
			}
		case "stages":
			if v.kind != "list" {
				return nil, fail(v.line, "stages is a list: one line a stage, each starting with a dash")
			}
			stages = v
		default:
			return nil, fail(k.line, "there is no key %q%s", k.name, didYouMean(k.name, topKeys))
		}
	}
	if stages == nil || len(stages.entries) == 0 {
		return nil, fail(0, "no stages are listed; add a stages: list (see: bci stages)")
	}
	if p.Idle != "" && len(p.Labels) > 0 && indexOf(p.Classes(), p.Idle) < 0 {
		return nil, fail(0, "idle is %q, which no label maps to; the classes are %v", p.Idle, p.Classes())
	}
	if p.Steps, err = p.parseStages(stages, false); err != nil {
		return nil, err
	}
	if len(p.Steps) == 0 {
		return nil, fail(stages.line, "there is nothing beside the side lanes; list at least one stage of the main chain")
	}
	return p, nil
}

// parseStages reads a list of stages: the main one, or that of a side lane.
func (p *Pipeline) parseStages(list *node, beside bool) (steps []Step, err error) {
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: p.Path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	lane := 0
	for i, e := range list.entries {
		name, line, value, err := single(p.Path, e, "stages")
		if err != nil {
			return nil, err
		}
		switch {
		case (name == "lane" || name == "side") && beside:
			return nil, fail(line, "a side lane is one goroutine, so %s does not belong into it", name)
		case name == "lane":
			if value != nil && value.kind != "nothing" {
				return nil, fail(line, "lane takes no settings: it cuts the chain, and what follows runs on its own goroutine")
			}
			if i == 0 || i == len(list.entries)-1 {
				return nil, fail(line, "lane stands between two stages")
			}
			lane++
			continue
		case name == "side":
			if err := p.parseSide(line, value, len(steps)-1); err != nil {
				return nil, err
			}
			continue
		}
		t := FindStage(name)
		if t == nil {
			return nil, fail(line, "there is no stage %q%s", name, didYouMean(name, StageNames()))
		}
		s, err := parseSettings(p.Path, name, line, t.Params, value)
		if err != nil {
			return nil, err
		}
		step := Step{Type: t, Settings: s, Line: line, Lane: lane}
		if _, ok := t.New(s).(decoders.Fitter); ok && beside {
			return nil, fail(line, "%s learns from data, which only the main chain does; move it there", name)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// parseSide reads a side lane that stands behind step after of the main chain.
func (p *Pipeline) parseSide(line int, v *node, after int) error {
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: p.Path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	s := Side{Line: line, After: after}
	if v == nil || v.kind != "mapping" {
		return fail(line, "side takes a name and a list of stages, as in side: {name: network, stages: [...]}")
	}
	for _, k := range v.keys {
		var err error
		switch {
		case k.name == "name" && k.value.kind == "text":
			s.Name = k.value.text
		case k.name == "stages" && k.value.kind == "list":
			if s.Steps, err = p.parseStages(k.value, true); err != nil {
				return err
			}
		default:
			return fail(k.line, "side takes a name (a word) and stages (a list), so %q does not belong here", k.name)
		}
	}
	taken := StageNames()
	for _, other := range p.Sides {
		taken = append(taken, other.Name)
	}
	switch {
	case s.Name == "":
		return fail(line, "the side lane needs a name, by which sinks listen to it (?tap=NAME)")
	case s.Name == "source" || indexOf(taken, s.Name) >= 0:
		return fail(line, "the side lane cannot be called %q, which is the name of something else", s.Name)
	case len(s.Steps) == 0:
		return fail(line, "the side lane %s lists no stages", s.Name)
	}
	p.Sides = append(p.Sides, s)
	return nil
}

var trainParams = []Param{
	{Name: "purity", Kind: Number, Default: 1.0, Min: 0.5, Max: 1, Doc: "learn from windows of which at least this share belongs to the class of their newest sample"},
	{Name: "every", Kind: Integer, Default: 1.0, Min: 1, Max: 1000, Doc: "learn from each n-th window only"},
	{Name: "at", Kind: Number, Unit: "s", Default: 0.0, Max: 3600, Doc: "learn from, and judge, the one window per marker that ends this long after it, for responses to events; 0 = all windows inside a labelled stretch"},
	{Name: "intent", Kind: Text, Default: IntentNone, Choices: []string{IntentNone, IntentDirection, IntentRefit}, Doc: "targets of a closed loop: as recorded, the direction from cursor to goal, or the recorded velocity turned towards the goal"},
	{Name: "cursor", Kind: Texts, Doc: "intent: channels with the position of the cursor"},
	{Name: "goal", Kind: Texts, Doc: "intent: channels with the position of its target"},
	{Name: "radius", Kind: Number, Default: 0.0, Max: 1e9, Doc: "intent: within this distance of the goal, in the unit of the positions, the person wants to rest"},
	{Name: "windows", Kind: Text, Default: "pure", Choices: []string{"pure", "newest"}, Doc: "which windows belong to a class: those within one stretch (see purity), or all whose newest sample does, from the cue on"},
}

// Classes returns the names of the classes in the order of the labels.
func (p *Pipeline) Classes() []string {
	var out []string
	for _, l := range p.Labels {
		if indexOf(out, l.Class) < 0 {
			out = append(out, l.Class)
		}
	}
	return out
}

// ClassOf returns the map from marker label to class.
func (p *Pipeline) ClassOf() map[string]string {
	m := make(map[string]string, len(p.Labels))
	for _, l := range p.Labels {
		m[l.Marker] = l.Class
	}
	return m
}

// Lanes returns the number of goroutines the chain runs on.
func (p *Pipeline) Lanes() int { return p.Steps[len(p.Steps)-1].Lane + 1 }

// Hash identifies the stages and their settings: SHA-256 of their canonical text.
// Comments, order of settings, defaults spelled out, names, lanes and side lanes do not
// matter.
func (p *Pipeline) Hash() string {
	h := sha256.New()
	for i := range p.Steps {
		h.Write([]byte(p.Steps[i].canonical()))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// canonical is a stage and all its settings, defaults included, in one line.
func (s *Step) canonical() string { return s.Type.Name + s.Settings.canonical() }

// seed returns the setting seed of a stage that draws something.
func (s *Step) seed() *int {
	for _, p := range s.Type.Params {
		if p.Name == "seed" {
			v := s.Settings.Int("seed")
			return &v
		}
	}
	return nil
}

// is tells whether a canonical line, perhaps written before some settings existed, is
// this stage.
func (s *Step) is(line string) bool {
	line, ok := strings.CutPrefix(line, s.Type.Name)
	if ok {
		line, ok = s.Settings.match(line)
	}
	return ok && line == ""
}

// Build makes the stages. They are neither trained nor opened.
func (p *Pipeline) Build() []stream.Link { return build(p.Steps) }

func build(steps []Step) []stream.Link {
	links := make([]stream.Link, len(steps))
	seen := map[string]int{}
	for i := range steps {
		name := steps[i].Type.Name
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name])
		}
		links[i] = stream.Link{Name: name, Stage: steps[i].Type.New(steps[i].Settings)}
	}
	return links
}

// Passthrough is the pipeline that changes nothing: for playing and viewing.
func Passthrough() *Pipeline {
	copies := &StageType{Name: "copy", Doc: "nothing is changed", New: func(*Settings) stream.Stage { return new(stream.Chain) }}
	return &Pipeline{Path: "(none)", Name: "passthrough", Steps: []Step{{Type: copies, Settings: new(Settings)}}}
}

// Learns reports whether a stage needs a model.
func (p *Pipeline) Learns() bool {
	for _, l := range p.Build() {
		if _, ok := l.Stage.(decoders.Fitter); ok {
			return true
		}
	}
	return false
}

// Decides reports whether a decoder is among the stages, so that what leaves the
// chain can be scored.
func (p *Pipeline) Decides() bool {
	for i, l := range p.Build() {
		if _, ok := l.Stage.(decoders.Fitter); ok || p.Steps[i].Type.Decides {
			return true
		}
	}
	return false
}
