// Package decoders turns rows of features into intent: classifiers, Kalman
// filters, spiking networks, and what decides when they are sure enough.
//
//	Rows + labels ─► Fitter.Fit ─► parameters (model file)
//	chunks        ─► Fitter.Process ─► probabilities or kinematics ─► gate ─► decisions
//
// A decoder is a stream.Stage that can be fitted. It sees windows as columns: row i
// of an example is row i of the stream it will be opened on.
package decoders

import (
	"context"
	"encoding/json"
	"errors"

	"neurostream/stream"
)

// Rows is what a decoder is fitted on: one example per window.
type Rows struct {
	Header  stream.Header // the stream the examples come from: labels, units, rate
	X       [][]float64   // examples × rows; owned by the caller
	Y       []int         // class of each example, an index into Classes; nil for regression
	Classes []string      // names of the classes, e.g. "rest", "left", "right"
	Group   []int         // trial or block of each example; examples of one group overlap and are never split
	Target  [][]float64   // examples × outputs, for regression; nil for classification
	Targets []stream.Channel
}

// ErrUntrained is returned by Open of a decoder that has neither been fitted nor loaded.
var ErrUntrained = errors.New("this stage has no model: train one with bci train, or give --model")

// Fitter is a stage that learns. New ─► Fit or LoadModel ─► Open ─► Process.
type Fitter interface {
	stream.Stage
	// Fit learns from rows. It is deterministic: the same rows and settings give
	// the same model. progress, which may be nil, is called now and then. A failed
	// Fit leaves the previous model.
	Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error
	// SaveModel returns the learned parameters as JSON; ErrUntrained when there are none.
	SaveModel() (json.RawMessage, error)
	// LoadModel sets them. Everything in it is checked: sizes, finiteness, names.
	LoadModel(json.RawMessage) error
}

// Types of channels that decoders put out.
const (
	TypeProbability = "probability" // probability of one class; Label is the class's name
	TypeDecision    = "decision"    // see Gate
	TypeKinematic   = "kinematic"   // a decoded velocity or position
)
