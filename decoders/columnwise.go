package decoders

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/stream"
)

// columnwise runs a map from rows to rows on every column. A column with a value
// that is not a number, or that the map refuses, repeats the last good output; its
// outputs, and those of columns that came in marked, are marked. Before the first
// good column the output is neutral.
type columnwise struct {
	f       func(y, x []float64) bool
	x, y    []float64
	held    []float64 // last good output
	neutral []float64
}

func (c *columnwise) openColumns(rows int, neutral []float64, f func(y, x []float64) bool) {
	c.f, c.neutral = f, neutral
	c.x, c.y, c.held = make([]float64, rows), make([]float64, len(neutral)), slices.Clone(neutral)
}

// Process maps every column of src.
func (c *columnwise) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		c.Reset()
	}
	for i := range src.Len {
		src.Column(c.x, i)
		good := allFinite(c.x) && c.f(c.y, c.x) && allFinite(c.y)
		if good {
			copy(c.held, c.y)
		}
		dst.SetColumn(i, c.held)
		if !good || columnMarked(src, i) {
			markColumn(dst, i)
		}
	}
}

// Reset returns to the state after Open.
func (c *columnwise) Reset() { copy(c.held, c.neutral) }

// Snapshot appends the last good output.
func (c *columnwise) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Floats(c.held)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (c *columnwise) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	r.Floats(c.held)
	if err := r.Err(); err != nil {
		c.Reset()
		return err
	}
	return nil
}

// unmark clears the marks that Follow copied: a decoder marks by its own rule.
func unmark(c *stream.Chunk) {
	c.Flags &^= stream.Bad
	for k := range c.Tiles() {
		clear(c.Bad(k))
	}
}

// columnMarked reports whether any row of a column is marked unusable.
func columnMarked(c *stream.Chunk, i int) bool {
	if c.Flags&stream.Bad == 0 {
		return false
	}
	for k := range c.Tiles() {
		if c.Bad(k)[i] != 0 {
			return true
		}
	}
	return false
}

func markColumn(c *stream.Chunk, i int) {
	for ch := range c.Rows() {
		c.MarkBad(ch, i)
	}
}

func allFinite(v []float64) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}

// modelHead opens every model of a stage that maps columns.
type modelHead struct {
	Format  int      `json:"format"`
	Kind    string   `json:"kind"`
	Rows    []string `json:"rows"`              // labels of the input
	Classes []string `json:"classes,omitempty"` // of a classifier, in the order of its outputs
}

// head describes rows for a model of one kind.
func head(kind string, rows *Rows) modelHead {
	return modelHead{Format: 1, Kind: kind, Rows: rows.Header.Labels(), Classes: slices.Clone(rows.Classes)}
}

// validate checks names; a classifier has at least two classes.
func (m *modelHead) validate(classes int) error {
	if len(m.Rows) == 0 {
		return errors.New("the model names no input rows")
	}
	if len(m.Classes) < classes {
		return fmt.Errorf("the model knows %d classes; it needs %d", len(m.Classes), classes)
	}
	for i, c := range m.Classes {
		if c == "" || slices.Index(m.Classes, c) != i {
			return fmt.Errorf("class %d of the model is called %q, which is empty or used twice", i+1, c)
		}
	}
	return nil
}

// fits says why the model cannot run on a stream with header h.
func (m *modelHead) fits(h *stream.Header) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if len(h.Channels) != len(m.Rows) {
		return fmt.Errorf("the model was trained on %d rows (%s …), this stream has %d; train on this pipeline", len(m.Rows), m.Rows[0], len(h.Channels))
	}
	for i, ch := range h.Channels {
		if ch.Label != m.Rows[i] {
			return fmt.Errorf("row %d is %q, the model was trained with %q there; train on this pipeline", i+1, ch.Label, m.Rows[i])
		}
	}
	return nil
}

// openClasses opens a classifier: one row of probability per class, uniform until
// the first good column.
func (c *columnwise) openClasses(in stream.Header, m *modelHead, f func(p, x []float64) bool) (stream.Header, error) {
	if err := m.fits(&in); err != nil {
		return stream.Header{}, err
	}
	out := in
	out.Channels = nil
	uniform := make([]float64, len(m.Classes))
	for i, name := range m.Classes {
		out.Channels = append(out.Channels, stream.Channel{Label: name, Unit: "probability", Type: TypeProbability})
		uniform[i] = 1 / float64(len(m.Classes))
	}
	c.openColumns(len(in.Channels), uniform, f)
	return out, nil
}

// checkLabelled reports the first thing that makes rows useless for a classifier,
// and counts the examples of each class.
func checkLabelled(rows *Rows) (count []int, err error) {
	if len(rows.X) == 0 {
		return nil, errors.New("no training examples")
	}
	if len(rows.Y) != len(rows.X) {
		return nil, fmt.Errorf("%d training examples but %d labels", len(rows.X), len(rows.Y))
	}
	if len(rows.Classes) < 2 {
		return nil, fmt.Errorf("%d classes; telling apart needs at least two", len(rows.Classes))
	}
	if err := checkFinite(rows); err != nil {
		return nil, err
	}
	count = make([]int, len(rows.Classes))
	for i, y := range rows.Y {
		if y < 0 || y >= len(count) {
			return nil, fmt.Errorf("example %d has class %d; classes are 0 to %d", i+1, y, len(count)-1)
		}
		count[y]++
	}
	for k, n := range count {
		if n == 0 {
			return nil, fmt.Errorf("no training example of class %q; record some, or take the class out", rows.Classes[k])
		}
	}
	return count, nil
}

// checkFinite checks the shape and the values of the examples.
func checkFinite(rows *Rows) error {
	if len(rows.X) == 0 {
		return errors.New("no training examples")
	}
	d := rows.Header.Rows()
	if d == 0 {
		return errors.New("the training examples have no rows")
	}
	for i, x := range rows.X {
		if len(x) != d {
			return fmt.Errorf("example %d has %d rows, the stream has %d", i+1, len(x), d)
		}
		for j, v := range x {
			if v-v != 0 {
				return fmt.Errorf("example %d, row %q is %v; leave such windows out of training", i+1, rows.Header.Channels[j].Label, v)
			}
		}
	}
	return nil
}

// checkNumbers reports the first value of a model that is not a number, and a wrong
// length.
func checkNumbers(what string, v []float64, n int) error {
	if len(v) != n {
		return fmt.Errorf("the model's %s has %d values; expected %d", what, len(v), n)
	}
	for i, x := range v {
		if x-x != 0 {
			return fmt.Errorf("value %d of the model's %s is %v", i+1, what, x)
		}
	}
	return nil
}

// loadModel decodes and validates; on failure the old model stays.
func loadModel[M any](raw json.RawMessage, kind string, into **M, validate func(*M) error) error {
	m := new(M)
	if err := decodeModel(raw, kind, m); err != nil {
		return err
	}
	if err := validate(m); err != nil {
		return err
	}
	*into = m
	return nil
}

// saveModel encodes what was learned.
func saveModel[M any](m *M) (json.RawMessage, error) {
	if m == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(m)
}

// softmax replaces scores by exp(s)/sum exp(s).
func softmax(s []float64) {
	top := slices.Max(s)
	sum := 0.0
	for i, v := range s {
		s[i] = math.Exp(v - top)
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
}

// sigmoid returns 1/(1 + exp(-x)) without overflow.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}
