package features

import "neurostream/stream"

// An Extractor computes rows from a window. It belongs to one Windows stage.
type Extractor interface {
	// Open checks the settings against p, asks p for shared products and returns the
	// rows it will compute. It may be called again.
	Open(p *Plan) ([]Row, error)
	// Extract fills out from e. It does not allocate or fail; a value that is not
	// defined is 0 with its mark set.
	Extract(out Out, e *Epoch)
}

// Row describes a row that an extractor computes.
type Row struct {
	stream.Channel
	// From lists the input rows it is computed from; nil means all of them. A bad
	// sample in the window of any of them marks the row.
	From []int
}

// Out is where an extractor puts one value per row.
type Out struct {
	Values []float64
	Bad    []bool // preset from the marks of the samples; set for undefined values
}

// Set stores a value; NaN and infinities become 0 with a mark.
func (o Out) Set(i int, v float64) {
	if v-v != 0 {
		v = 0
		o.Bad[i] = true
	}
	o.Values[i] = v
}

// Undefined stores 0 with a mark.
func (o Out) Undefined(i int) { o.Values[i], o.Bad[i] = 0, true }

// Slow is an extractor that is computed for every Interval-th window only (those
// whose index is a multiple of it, and the first after a start); in between its
// values are held.
type Slow interface{ Interval() int }

// Keeper is an extractor whose values depend on more than the window: it has a state
// to reset and to save.
type Keeper interface {
	Reset()
	Save(w *stream.StateWriter)
	Load(r *stream.StateReader)
}
