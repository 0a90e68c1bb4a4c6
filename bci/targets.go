package bci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/stream"
)

// Intent says how a trainer makes the targets out of what was recorded in a closed
// loop, where nobody knows what the person wanted (train: in a pipeline file).
type Intent struct {
	Kind   string   // "none": the targets as recorded; "direction", "refit": see decoders.DirectionLabels, RefitLabels
	Cursor []string // channels with the position of the cursor
	Goal   []string // channels with the position of its target
	Radius float64  // of the target, in the unit of the positions
}

// What intent may be.
const (
	IntentNone      = "none"
	IntentDirection = "direction"
	IntentRefit     = "refit"
)

// hidden lists the channels that no stage sees: targets, what they are made of, and
// what is set aside. ReadTargets reads the first ones.
func (p *Pipeline) hidden() []string {
	var out []string
	for _, names := range [][]string{p.Targets, p.Train.Intent.Cursor, p.Train.Intent.Goal, p.Aside} {
		for _, n := range names {
			if indexOf(out, n) < 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

// checkTargets reports what does not go together in the pipeline file.
func (p *Pipeline) checkTargets() error {
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: p.Path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	learns := -1
	for i := range p.Steps {
		if t := p.Steps[i].Type; t.Regression || t.Either && len(p.Targets) > 0 {
			learns = i
		}
	}
	in := p.Train.Intent
	switch {
	case learns >= 0 && len(p.Targets) == 0:
		return fail(p.Steps[learns].Line, "%s learns target values: name the channels that hold them, as in targets: [vx, vy]", p.Steps[learns].Type.Name)
	case learns < 0 && len(p.Targets) > 0:
		return fail(0, "targets are given, but no stage learns target values (kalman, ekf, ukf, dkf, snn and reservoir do)")
	case len(p.Targets) == 0 && len(p.Aside) > 0:
		return fail(0, "aside is given, but no targets; name the channels to learn, as in targets: [vx, vy]")
	case len(p.Targets) > 0 && p.Train.Every != 1:
		return fail(0, "train: every is %d, but a decoder of kinematics learns how the targets move from column to column: leave every out, or give the window a longer hop", p.Train.Every)
	case in.Kind == IntentNone && (len(in.Cursor) > 0 || len(in.Goal) > 0):
		return fail(0, "train: cursor and goal are given, but intent is none: give intent: refit or intent: direction")
	case in.Kind == IntentNone:
		return nil
	case len(p.Targets) == 0:
		return fail(0, "train: intent is %s, but no targets are given", in.Kind)
	case len(in.Cursor) != len(p.Targets) || len(in.Goal) != len(p.Targets):
		return fail(0, "train: intent %s needs as many cursor and goal channels as targets (%d); it has %d and %d", in.Kind, len(p.Targets), len(in.Cursor), len(in.Goal))
	}
	return nil
}

// withoutTargets hands on what a source reads without the channels set aside. A
// source that has none of them, as an amplifier, is handed on whole; one that has
// only some is refused, because the others were surely meant.
type withoutTargets struct {
	source stream.Source
	path   string
	names  []string

	whole *stream.Chunk
	keep  []int // nil = everything
}

// Open finds the channels.
func (s *withoutTargets) Open(ctx context.Context) (stream.Header, error) {
	h, err := s.source.Open(ctx)
	if err != nil {
		return h, err
	}
	s.keep = nil
	var lost []string
	for _, n := range s.names {
		if h.Index(n) < 0 {
			lost = append(lost, n)
		}
	}
	if len(lost) == len(s.names) {
		return h, nil
	}
	out := h
	out.Channels = nil
	for i, c := range h.Channels {
		if indexOf(s.names, c.Label) < 0 {
			s.keep = append(s.keep, i)
			out.Channels = append(out.Channels, c)
		}
	}
	if len(lost) > 0 {
		err = missingTargets(s.path, lost, &h)
	} else if len(out.Channels) == 0 {
		err = &FileError{Path: s.path, Msg: "all channels of the source are targets, so there is nothing to decode them from"}
	}
	if err != nil {
		s.source.Close()
		return stream.Header{}, err
	}
	s.whole = stream.NewChunk(&h)
	return out, nil
}

func missingTargets(path string, lost []string, h *stream.Header) error {
	return &FileError{Path: path, Msg: fmt.Sprintf("the source has no channel %q, which targets:, aside: or train: names%s", lost[0], didYouMean(lost[0], h.Labels()))}
}

// Read reads the next chunk.
func (s *withoutTargets) Read(dst *stream.Chunk) error {
	if s.keep == nil {
		return s.source.Read(dst)
	}
	if err := s.source.Read(s.whole); err != nil {
		return err
	}
	dst.Follow(s.whole)
	for to, from := range s.keep {
		a, b := s.whole.Tile(from/stream.Lanes), dst.Tile(to/stream.Lanes)
		la, lb := from%stream.Lanes, to%stream.Lanes
		for i := range a {
			b[i][lb] = a[i][la]
		}
	}
	if s.whole.Flags&stream.Bad != 0 {
		for to, from := range s.keep {
			for i := range s.whole.Len {
				if s.whole.IsBad(from, i) {
					dst.MarkBad(to, i)
				}
			}
		}
	}
	return nil
}

// Close closes the source.
func (s *withoutTargets) Close() error { return s.source.Close() }

// TargetSeries holds the target values of a recording, one row for every column.
type TargetSeries struct {
	Targets []stream.Channel

	rec recordings.Recording
	z   [][]float64 // nil rows: not known
}

// ReadTargets reads the targets of a recording, relabelled when the pipeline says so.
func (p *Pipeline) ReadTargets(ctx context.Context, rec recordings.Recording) (*TargetSeries, error) {
	h := rec.Header()
	var at []int
	var lost []string
	for _, n := range p.hidden() {
		i := h.Index(n)
		if i < 0 {
			lost = append(lost, n)
		}
		at = append(at, i)
	}
	if len(lost) > 0 {
		return nil, missingTargets(p.Path, lost, &h)
	}
	t := &TargetSeries{rec: rec}
	for _, n := range p.Targets {
		c := h.Channels[h.Index(n)]
		t.Targets = append(t.Targets, stream.Channel{Label: c.Label, Unit: c.Unit, Type: decoders.TypeKinematic})
	}
	values := make([][]float64, 0, rec.Len())
	c := new(stream.Chunk)
	c.Alloc(h.Rows(), max(1, h.MaxLen))
	for from := int64(0); from < rec.Len(); from += int64(c.Len) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := rec.ReadAt(c, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if c.Len == 0 {
			break
		}
		for i := range c.Len {
			row := make([]float64, len(at))
			for k, ch := range at {
				row[k] = c.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
				if row[k]-row[k] != 0 || c.IsBad(ch, i) {
					row = nil
					break
				}
			}
			values = append(values, row)
		}
	}
	d := len(p.Targets)
	t.z = make([][]float64, len(values))
	for i, row := range values {
		if row == nil {
			continue
		}
		if p.Train.Intent.Kind == IntentNone {
			t.z[i] = row
			continue
		}
		pick := func(names []string) [][]float64 {
			v := make([]float64, d)
			for k, n := range names {
				v[k] = row[indexOf(p.hidden(), n)]
			}
			return [][]float64{v}
		}
		cursor, goal := pick(p.Train.Intent.Cursor), pick(p.Train.Intent.Goal)
		var z [][]float64
		var err error
		if p.Train.Intent.Kind == IntentRefit {
			z, err = decoders.RefitLabels(cursor, goal, pick(p.Targets), p.Train.Intent.Radius)
		} else {
			z, err = decoders.DirectionLabels(cursor, goal, p.Train.Intent.Radius)
		}
		if err != nil {
			return nil, err
		}
		t.z[i] = z[0]
	}
	if p.Train.Intent.Kind == IntentDirection {
		for i := range t.Targets {
			t.Targets[i].Unit = "1" // a unit vector
		}
	}
	return t, nil
}

// At fills dst with the targets at a time in seconds since column 0 and reports
// whether they are known.
func (t *TargetSeries) At(dst []float64, seconds float64) bool {
	i := recordings.ColumnAt(t.rec, seconds)
	if i < 0 || i >= int64(len(t.z)) || t.z[i] == nil {
		return false
	}
	copy(dst, t.z[i])
	return true
}

// DescribeTargets names the targets with their units.
func (m *Model) DescribeTargets() string {
	var names []string
	for _, c := range m.Targets {
		n := c.Label
		if c.Unit != "" {
			n += " (" + c.Unit + ")"
		}
		names = append(names, n)
	}
	return strings.Join(names, ", ")
}
