package bci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"neurostream/stream"
)

// Model is what `bci train` learned and everything needed to see whether it fits:
// the stages it was learned behind, the stream, the recordings, the scores. It
// holds no times, so the same training gives the same file.
type Model struct {
	Format     string             `json:"format"`        // ModelFormat
	Version    int                `json:"version"`       // ModelVersion
	Pipeline   string             `json:"pipeline"`      // its name
	Hash       string             `json:"pipeline_hash"` // Pipeline.Hash
	Steps      []string           `json:"steps"`         // every stage with all its settings
	RateHz     float64            `json:"rate_hz"`       // of the recordings
	Channels   []ModelChannel     `json:"channels"`      // of the recordings
	Classes    []string           `json:"classes"`       // in the order of the probabilities
	Idle       string             `json:"idle,omitempty"`
	Examples   map[string]int     `json:"examples"`          // windows learned from, by class
	Targets    []ModelChannel     `json:"targets,omitempty"` // what decoders of kinematics learned
	Columns    int                `json:"columns"`           // columns or windows that the last stage learned from
	Recordings []TrainedOn        `json:"recordings"`
	Scores     map[string]float64 `json:"scores,omitempty"` // of cross-validation on the training recordings
	Stages     []ModelStage       `json:"stages"`           // one per trained stage
}

// ModelChannel is a channel of the recordings a model was trained on.
type ModelChannel struct {
	Label string `json:"label"`
	Unit  string `json:"unit"`
}

// TrainedOn names a recording a model was trained on.
type TrainedOn struct {
	Name    string  `json:"name"`
	SHA256  string  `json:"sha256"`
	Seconds float64 `json:"seconds"`
}

// ModelStage is what one stage learned.
type ModelStage struct {
	Name   string          `json:"name"`           // as in Pipeline.Build
	Index  int             `json:"index"`          // in Steps
	Rows   []string        `json:"rows"`           // labels of its input
	Units  []string        `json:"units"`          // of its input
	Seed   *int            `json:"seed,omitempty"` // of everything drawn in training; nil = nothing was
	Params json.RawMessage `json:"params"`
}

// The format of model files.
const (
	ModelFormat  = "neurostream-model"
	ModelVersion = 1
	maxModel     = 256 << 20 // bytes
)

// ReadModel reads and checks a model file.
func ReadModel(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileProblem(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxModel+1))
	if err != nil {
		return nil, fileProblem(path, err)
	}
	if len(b) > maxModel {
		return nil, fmt.Errorf("%s: larger than %d MiB, so it is not a model", path, maxModel>>20)
	}
	m, err := ParseModel(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// ParseModel checks the text of a model file.
func ParseModel(b []byte) (*Model, error) {
	m := new(Model)
	if err := json.Unmarshal(b, m); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not a model file: byte %d: %v; models are written by bci train", syntax.Offset, err)
		}
		return nil, fmt.Errorf("not a model file: %v; models are written by bci train", err)
	}
	switch {
	case m.Format != ModelFormat:
		return nil, fmt.Errorf("not a model file (format is %q, expected %q); models are written by bci train", m.Format, ModelFormat)
	case m.Version != ModelVersion:
		return nil, fmt.Errorf("model file of version %d; this program reads version %d: train again", m.Version, ModelVersion)
	case math.IsNaN(m.RateHz) || m.RateHz < 0 || len(m.Channels) > stream.MaxChannels:
		return nil, errors.New("the model's description of its recordings is damaged; train again")
	}
	for i, s := range m.Stages {
		if s.Index < 0 || s.Index >= len(m.Steps) || len(s.Params) == 0 {
			return nil, fmt.Errorf("stage %d of the model is damaged; train again", i+1)
		}
	}
	return m, nil
}

// Write writes the model beside path and moves it there when it is complete.
func (m *Model) Write(path string) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return err
	}
	return writeWhole(path, buf.Bytes())
}

// writeWhole writes a file completely or not at all.
func writeWhole(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fileProblem(path, err)
	}
	defer os.Remove(f.Name()) // fails when it was renamed, as it should
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fileProblem(path, err)
	}
	return nil
}

// install gives the trained stages among links what they learned. A nil model is
// fine when no stage learns.
func (m *Model) install(p *Pipeline, links []stream.Link) error {
	last := -1
	for i, l := range links {
		f, ok := l.Stage.(learned)
		if !ok {
			continue
		}
		if m == nil {
			return &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("%s learns from data and has no model yet: run bci train %s, then give the file with --model", l.Name, p.Path)}
		}
		s := m.stage(i, l.Name)
		if s == nil {
			return &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("the model holds nothing for stage %d (%s); it was trained with: %s", i+1, l.Name, strings.Join(stepNames(m.Steps), ", "))}
		}
		if err := m.checkSteps(p, last+1, i); err != nil {
			return err
		}
		if err := f.LoadModel(s.Params); err != nil {
			return &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("the model's part for %s cannot be used: %v", l.Name, err)}
		}
		last = i
	}
	return nil
}

func (m *Model) stage(index int, name string) *ModelStage {
	for i := range m.Stages {
		if m.Stages[i].Index == index && m.Stages[i].Name == name {
			return &m.Stages[i]
		}
	}
	return nil
}

// checkSteps compares stages from to to (inclusive) with those the model was
// trained behind: a decoder is only valid behind the same features.
func (m *Model) checkSteps(p *Pipeline, from, to int) error {
	for i := from; i <= to; i++ {
		if i < len(m.Steps) && p.Steps[i].is(m.Steps[i]) {
			continue
		}
		was := "nothing"
		if i < len(m.Steps) {
			was = m.Steps[i]
		}
		return &FileError{p.Path, p.Steps[i].Line, fmt.Sprintf("the model does not fit: it was trained with stage %d as [%s], the pipeline says [%s]; train again or restore the setting", i+1, was, p.Steps[i].canonical())}
	}
	return nil
}

// checkInput compares the stream with the one the model was trained on.
func (m *Model) checkInput(h *stream.Header) error {
	if m == nil {
		return nil
	}
	if math.Abs(h.Rate-m.RateHz) > 0.002*m.RateHz {
		return fmt.Errorf("the model does not fit: it was trained at %g Hz, the source runs at %g Hz; train on recordings of this device, or resample", m.RateHz, h.Rate)
	}
	if len(h.Channels) != len(m.Channels) {
		return fmt.Errorf("the model does not fit: it was trained on %d channels, the source has %d; pick the same channels with a select stage and train again", len(m.Channels), len(h.Channels))
	}
	for i, c := range m.Channels {
		if h.Channels[i].Label != c.Label {
			return fmt.Errorf("the model does not fit: channel %d was %q in training and is %q in the source; train again, or reorder with a select stage", i+1, c.Label, h.Channels[i].Label)
		}
		if h.Channels[i].Unit != c.Unit {
			return fmt.Errorf("the model does not fit: channel %q was in %q in training and is in %q in the source; convert the units first", c.Label, c.Unit, h.Channels[i].Unit)
		}
	}
	return nil
}

func stepNames(steps []string) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i], _, _ = strings.Cut(s, " ")
	}
	return out
}
