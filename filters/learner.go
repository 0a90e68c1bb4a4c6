package filters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"neurostream/stream"
)

// Learner is a stage that learns from samples without labels: what clean data look
// like, how much of the eyes every channel picks up.
// New ─► Learn or LoadModel ─► Open ─► Process.
type Learner interface {
	stream.Stage
	// Learn learns from the stream that next hands over, chunk by chunk, until it
	// returns io.EOF; each chunk is valid until the next call. It is deterministic. A
	// failed Learn leaves the previous model.
	Learn(ctx context.Context, in stream.Header, next func() (*stream.Chunk, error)) error
	// SaveModel returns what was learned as JSON; ErrUntrained when there is nothing.
	SaveModel() (json.RawMessage, error)
	// LoadModel sets it. Everything in it is checked: sizes, finiteness, names.
	LoadModel(json.RawMessage) error
}

// ErrUntrained is returned by Open of a stage that has neither learned nor loaded a
// model.
var ErrUntrained = errors.New("this stage learns from data and has no model: train one with bci train, or give --model")

// eachChunk hands every chunk to f until the stream ends.
func eachChunk(ctx context.Context, next func() (*stream.Chunk, error), f func(*stream.Chunk)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f(c)
	}
}

// decodeModel reads a model strictly.
func decodeModel(b json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("the model is damaged: %w; train again", err)
	}
	return nil
}

// sameLabels says how the channels of a model differ from those of a stream.
func sameLabels(model []string, in *stream.Header, rows []int) error {
	if len(model) != len(rows) {
		return fmt.Errorf("the model was trained on %d channels, the stream has %d; train again", len(model), len(rows))
	}
	for i, ch := range rows {
		if in.Channels[ch].Label != model[i] {
			return fmt.Errorf("the model was trained with channel %d as %q, the stream has %q; train again, or reorder with select", i+1, model[i], in.Channels[ch].Label)
		}
	}
	return nil
}

func labelsOf(in *stream.Header, rows []int) []string {
	out := make([]string, len(rows))
	for i, ch := range rows {
		out[i] = in.Channels[ch].Label
	}
	return out
}
