package bci

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"neurostream/recordings"
	"neurostream/recordings/samples"
	"neurostream/recordings/xdf"
	"neurostream/replay"
	"neurostream/stream"
	"neurostream/stream/udp"
)

// Input is an opened address: a source, and what is known about it beforehand.
type Input struct {
	Source stream.Source
	// Live sources go on whether or not we keep up; others wait.
	Live bool
	// Recording is set when the source replays one: its annotations are the truth
	// that scores are made from.
	Recording recordings.Recording
	// Player is set when the source replays a recording.
	Player *replay.Player
	Name   string
}

// SourceType is a scheme of --from.
type SourceType struct {
	Scheme, Doc, Example string
	Params               []Param
	Open                 func(Address, *Settings) (*Input, error)
}

// Sources is the table of schemes of --from.
func Sources() []SourceType {
	return append([]SourceType{
		{
			Scheme: "file", Doc: "replay a recording (EDF, BDF, GDF, BrainVision, EEGLAB, XDF, CSV)", Example: "file:s01.edf?speed=1",
			Params: append([]Param{
				{Name: "partial", Kind: Truth, Default: false, Doc: "read what is whole of a file that was cut off"},
				{Name: "stream", Kind: Text, Doc: "of an XDF file: number, name or type; empty = the EEG, or else the one with most values"},
			}, playerParams...),
			Open: openFile,
		},
		{
			Scheme: "sample", Doc: "replay a recording that comes with this program", Example: "sample:S007R12",
			Params: playerParams, Open: openSample,
		},
		{
			Scheme: "reach", Doc: "simulated reaching movements and the spikes that go with them", Example: "reach:?seed=2",
			Params: reachParams, Open: openReach,
		},
		{
			Scheme: "lsl", Doc: "receive a Lab Streaming Layer stream", Example: "lsl://?type=EEG",
			Params: lslParams, Open: openLSL,
		},
		fieldTripSource(),
	}, udpSources()...)
}

var playerParams = []Param{
	{Name: "speed", Kind: Number, Default: 0.0, Max: 1e6, Doc: "1 = real time, 50 = fifty times faster, 0 = as fast as it goes"},
	{Name: "block", Kind: Integer, Default: 0.0, Max: 1e6, Doc: "columns per chunk; 0 = 1/25 s"},
	{Name: "from", Kind: Number, Unit: "s", Default: 0.0, Max: 1e9, Doc: "where to start"},
	{Name: "to", Kind: Number, Unit: "s", Default: 0.0, Max: 1e9, Doc: "where to stop; 0 = at the end"},
	{Name: "loop", Kind: Truth, Default: false, Doc: "start again at the end"},
}

// OpenSource finds the scheme of an address and opens it.
func OpenSource(text string) (*Input, error) {
	a := ParseAddress(text)
	var schemes []string
	for _, t := range Sources() {
		if t.Scheme != a.Scheme {
			schemes = append(schemes, t.Scheme)
			continue
		}
		s, err := a.settings(t.Params)
		if err != nil {
			return nil, err
		}
		return t.Open(a, s)
	}
	if slices.Contains([]string{"csv", "xdf", "edf", "bdf", "gdf", "vhdr", "set", "mat"}, a.Scheme) {
		return nil, fmt.Errorf("%s: there is no source %q; a recording of any format is file:%s", text, a.Scheme+":", a.Place)
	}
	return nil, fmt.Errorf("%s: there is no source %q%s", text, a.Scheme+":", didYouMean(a.Scheme, schemes))
}

func openFile(a Address, s *Settings) (*Input, error) {
	if a.Place == "" {
		return nil, fmt.Errorf("%s: which file? write file:NAME", a.Text)
	}
	var r recordings.Recording
	kind, err := recordings.Detect(a.Place)
	switch {
	case err != nil:
	case s.Bool("partial"):
		r, err = recordings.OpenPartial(a.Place)
	case kind == recordings.FormatXDF || kind == "" && strings.HasSuffix(strings.TrimSuffix(strings.ToLower(a.Place), ".gz"), ".csv"):
		r, err = xdf.OpenAny(a.Place, s.Text("stream"))
	default:
		r, err = recordings.Open(a.Place)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, fileProblem(a.Place, err)
	}
	if err != nil {
		return nil, err
	}
	return played(r, a.Place, s), nil
}

func openSample(a Address, s *Settings) (*Input, error) {
	r, err := samples.Open(a.Place)
	if err != nil {
		return nil, fmt.Errorf("%s: there is no such sample%s", a.Text, didYouMean(a.Place, samples.Names()))
	}
	return played(r, a.Place, s), nil
}

func played(r recordings.Recording, name string, s *Settings) *Input {
	p := &replay.Player{
		Recordings: []recordings.Recording{r}, Own: true,
		Speed: s.Float("speed"), Block: s.Int("block"), From: s.Float("from"), To: s.Float("to"), Loop: s.Bool("loop"),
	}
	return &Input{Source: p, Recording: r, Player: p, Name: name}
}

// AttachPacing makes a replayed input report its lateness to the engine.
func (in *Input) AttachPacing(e *Engine) {
	if in.Player != nil {
		in.Player.OnTick = func(late time.Duration) { e.Tick(stream.Time(late)) }
	}
	if c, ok := in.Source.(*udp.Source); ok {
		c.OnTick = func(late time.Duration) { e.Tick(stream.Time(late)) }
	}
}

// ListSources is the table of schemes as text, for --help.
func ListSources() string {
	var b strings.Builder
	for _, t := range Sources() {
		fmt.Fprintf(&b, "  %-34s %s\n", t.Example, t.Doc)
	}
	return b.String()
}
