package bci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"neurostream/decoders"
	"neurostream/filters"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// Streamed keeps what the stages before the first one that learns make of recordings, so
// that trainers that share it stream every recording through these stages once. What is
// trained is the same to the bit. Recordings must not change meanwhile. It may be shared by
// goroutines; the zero value is ready. Memory: the rows of those stages, 8 bytes a value.
type Streamed struct {
	mu   sync.Mutex
	kept map[streamedKey]*streamedRecording
}

type streamedKey struct {
	rec      recordings.Recording
	from, to float64
	stages   string
}

type streamedRecording struct {
	once    sync.Once
	err     error
	in, out stream.Header
	chunks  []*stream.Chunk
	what    TrainedOn
}

// front returns how many stages at the beginning learn nothing.
func front(links []stream.Link) int {
	for i, l := range links {
		_, fits := l.Stage.(decoders.Fitter)
		_, learns := l.Stage.(filters.Learner)
		if fits || learns {
			return i
		}
	}
	return len(links)
}

// recording streams a recording through the first n stages of the pipeline, or returns what
// was kept of it.
func (s *Streamed) recording(ctx context.Context, p *Pipeline, n int, rec TrainingRecording) (*streamedRecording, error) {
	names := make([]string, n)
	for i := range names {
		names[i] = p.Steps[i].canonical()
	}
	key := streamedKey{rec.Recording, rec.From, rec.To, strings.Join(names, "\n")}
	s.mu.Lock()
	if s.kept == nil {
		s.kept = map[streamedKey]*streamedRecording{}
	}
	k := s.kept[key]
	if k == nil {
		k = new(streamedRecording)
		s.kept[key] = k
	}
	s.mu.Unlock()
	k.once.Do(func() { k.err = k.stream(ctx, p, n, rec) })
	if k.err != nil { // another attempt may have more time
		s.mu.Lock()
		delete(s.kept, key)
		s.mu.Unlock()
	}
	return k, k.err
}

func (k *streamedRecording) stream(ctx context.Context, p *Pipeline, n int, rec TrainingRecording) error {
	t := Trainer{Pipeline: p}
	player := &replay.Player{Recordings: []recordings.Recording{rec.Recording}, From: rec.From, To: rec.To}
	b, err := t.start(ctx, player, p.Build()[:n], new(Model), true, rec.Name)
	if err != nil {
		return err
	}
	k.in, k.out = b.in, b.out
	for {
		if err := b.read(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", rec.Name, err)
		}
		c := new(stream.Chunk)
		c.Alloc(b.dst.Rows(), max(1, b.dst.Len))
		c.CopyFrom(b.dst)
		k.chunks = append(k.chunks, c)
	}
	k.what = b.trainedOn(rec.Name)
	return nil
}

// play starts the remaining stages on what was kept.
func (k *streamedRecording) play(p *Pipeline, n int, links []stream.Link, m *Model, describe bool, name string) (*playback, error) {
	t := Trainer{Pipeline: p}
	b, err := t.startOn(&playback{in: k.in, source: &keptSource{chunks: k.chunks}}, &k.out, n, links, m, describe, name)
	if err == nil {
		b.what = &k.what
	}
	return b, err
}

// keptSource reads chunks again.
type keptSource struct {
	chunks []*stream.Chunk
	next   int
}

func (s *keptSource) Open(context.Context) (stream.Header, error) { return stream.Header{}, nil }
func (s *keptSource) Close() error                                { return nil }

func (s *keptSource) Read(dst *stream.Chunk) error {
	if s.next == len(s.chunks) {
		return io.EOF
	}
	dst.CopyFrom(s.chunks[s.next])
	s.next++
	return nil
}

// Through streams a recording through the pipeline with what a model learned, up to the
// stage of this name, and hands every chunk of its output to sink, which must not keep it.
func (s *Streamed) Through(ctx context.Context, p *Pipeline, m *Model, rec TrainingRecording, stage string, sink func(h *stream.Header, c *stream.Chunk)) error {
	links := p.Build()
	if err := m.install(p, links); err != nil {
		return err
	}
	last := -1
	for i, l := range links {
		if l.Name == stage {
			last = i
		}
	}
	n := front(links)
	if last < n {
		return fmt.Errorf("%s: stage %q is not among those that learn or come after", p.Path, stage)
	}
	k, err := s.recording(ctx, p, n, rec)
	if err != nil {
		return err
	}
	b, err := k.play(p, n, links[:last+1], m, false, rec.Name)
	if err != nil {
		return err
	}
	for {
		if err := b.read(ctx); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", rec.Name, err)
		}
		sink(&b.out, b.dst)
	}
}
