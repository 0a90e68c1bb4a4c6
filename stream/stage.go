package stream

import "context"

// Source produces chunks: a device, a network stream, a recording.
type Source interface {
	// Open connects and returns what will come. It is called once.
	Open(ctx context.Context) (Header, error)
	// Read fills dst, which was allocated for Open's header, with the next 0 to
	// MaxLen columns and sets every public field of it (start with dst.Clear). It
	// blocks until there are data, the context given to Open ends, or the stream
	// ends, which is io.EOF. In steady state it does not allocate.
	Read(dst *Chunk) error
	Close() error
}

// Stage turns a stream into another: a filter, a feature, a decoder.
type Stage interface {
	// Open checks the input, allocates everything and returns the output's header.
	// It may be called again after it failed, and starts from an initial state.
	Open(in Header) (out Header, err error)
	// Process makes dst from src. dst was allocated for Open's output header; all
	// its public fields are set (see Chunk.Follow). It does not fail, allocate,
	// block, read a clock, modify src, look at markers to compute samples (a cue that
	// the pipeline file names may reset it), or keep either chunk. It accepts empty chunks. When src.Flags.Broken() it starts anew.
	Process(dst, src *Chunk)
	// Reset returns to the state after Open.
	Reset()
}

// Snapshotter is a stage whose state can be saved and restored: processing goes
// on with the same bits. Stages without memory need not implement it.
type Snapshotter interface {
	// Snapshot appends the state to dst.
	Snapshot(dst []byte) []byte
	// Restore sets the state of an opened stage from what Snapshot returned.
	Restore(state []byte) error
}

// Sink consumes chunks: a file, a network stream, a page.
type Sink interface {
	Open(ctx context.Context, in Header) error
	// Write takes one chunk, which it must not keep or modify.
	Write(src *Chunk) error
	Close() error
}

// Prompter is a sink that knows whether its next Write returns without waiting for
// anything. The engine then may call Write on the goroutine that decides, which spares
// waking another; it never calls Write from two goroutines at once.
type Prompter interface {
	Prompt() bool
}
