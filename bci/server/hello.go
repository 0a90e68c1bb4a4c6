package server

import (
	"slices"
	"sort"
	"strings"

	"neurostream/decoders"
	"neurostream/stream"
)

// hello describes a session to the page: the first message, and again whenever a
// sink is opened.
type hello struct {
	Type      string         `json:"type"` // "hello"
	Version   int            `json:"version"`
	Session   uint32         `json:"session"`
	Idle      string         `json:"idle,omitempty"`
	Signals   *helloSignals  `json:"signals,omitempty"`
	Decisions *helloDecision `json:"decisions,omitempty"`
	Power     *helloPower    `json:"power,omitempty"`
}

type helloSignals struct {
	Name     string         `json:"name"`
	RateHz   float64        `json:"rate_hz"`   // of the data
	ColumnHz float64        `json:"column_hz"` // of what is sent
	Planes   int            `json:"planes"`
	DelayS   float64        `json:"delay_s"`
	Channels []helloChannel `json:"channels"`
}

type helloChannel struct {
	Label    string      `json:"label"`
	Unit     string      `json:"unit"`
	Type     string      `json:"type"`
	Position *[3]float64 `json:"position,omitempty"` // metres: x right, y front, z up
}

type helloDecision struct {
	RateHz  float64        `json:"rate_hz"`
	DelayS  float64        `json:"delay_s"`
	Rows    []helloChannel `json:"rows"`
	Classes []string       `json:"classes"` // names by number: the probability rows first
	Truth   bool           `json:"truth"`   // the last row of a frame is the true class's number, -1 unknown
}

type helloPower struct {
	RateHz float64         `json:"rate_hz"`
	DelayS float64         `json:"delay_s"`
	Rows   []helloPowerRow `json:"rows"`
}

type helloPowerRow struct {
	helloChannel
	Channel string `json:"channel"` // the electrode the row is about
	Band    string `json:"band"`    // the rest of the label, e.g. "8-13 Hz"
}

// streams are the headers of the sinks opened so far.
type streams struct {
	idle      string
	signals   *helloSignals
	decisions *helloDecision
	power     *stream.Header
}

func (s *streams) hello(session uint32) hello {
	h := hello{Type: "hello", Version: frameVersion, Session: session, Idle: s.idle, Signals: s.signals, Decisions: s.decisions}
	if s.power != nil {
		p := &helloPower{RateHz: s.power.Rate, DelayS: s.power.Delay}
		var electrodes []string
		if s.signals != nil {
			for _, c := range s.signals.Channels {
				electrodes = append(electrodes, c.Label)
			}
		}
		for _, c := range s.power.Channels {
			electrode, band := splitLabel(c.Label, electrodes)
			p.Rows = append(p.Rows, helloPowerRow{describe(c), electrode, band})
		}
		h.Power = p
	}
	return h
}

func describe(c stream.Channel) helloChannel {
	h := helloChannel{Label: c.Label, Unit: c.Unit, Type: c.Type}
	if c.Placed {
		h.Position = &c.Position
	}
	return h
}

// splitLabel finds the electrode in the label of a feature row, e.g. "C3" and
// "8-13 Hz" in "power C3 8-13 Hz". The longest electrode that stands in the label as
// whole words wins; without one the whole label is the electrode.
func splitLabel(label string, electrodes []string) (electrode, band string) {
	words := strings.Fields(label)
	at, size := -1, 0
	for _, e := range electrodes {
		parts := strings.Fields(e)
		for i := 0; i+len(parts) <= len(words); i++ {
			if len(parts) > size && slices.Equal(words[i:i+len(parts)], parts) {
				electrode, at, size = e, i, len(parts)
			}
		}
	}
	if at < 0 {
		return label, ""
	}
	return electrode, strings.Join(words[at+size:], " ")
}

// classNames numbers the classes: those with a probability in row order, so that a
// decision's number is its row, then the others that the truth knows.
func classNames(h *stream.Header, truth map[string]string) []string {
	var names []string
	for _, c := range h.Channels {
		if c.Type == decoders.TypeProbability {
			names = append(names, c.Label)
		}
	}
	var more []string
	for _, class := range truth {
		if !slices.Contains(names, class) && !slices.Contains(more, class) {
			more = append(more, class)
		}
	}
	sort.Strings(more)
	return append(names, more...)
}
