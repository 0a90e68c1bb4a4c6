package bci

import (
	"context"

	"neurostream/stream"
)

// Through is a sink that runs stages of its own before it hands on: a view of the
// stream that costs the decoding path nothing but a copy.
type Through struct {
	Links []stream.Link
	Sink  stream.Sink

	chain stream.Chain
	dst   *stream.Chunk
}

// Open opens the stages and the sink behind them.
func (t *Through) Open(ctx context.Context, in stream.Header) error {
	t.chain = stream.Chain{Links: t.Links}
	out, err := t.chain.Open(in)
	if err != nil {
		return err
	}
	t.dst = stream.NewChunk(&out)
	return t.Sink.Open(ctx, out)
}

// Write runs one chunk through.
func (t *Through) Write(src *stream.Chunk) error {
	t.chain.Process(t.dst, src)
	return t.Sink.Write(t.dst)
}

// Close closes the sink.
func (t *Through) Close() error { return t.Sink.Close() }
