package bci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"neurostream/filters"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// learned is a stage whose model stands in a model file: a decoder that is fitted, or
// a filter that learns from samples.
type learned interface {
	stream.Stage
	SaveModel() (json.RawMessage, error)
	LoadModel(json.RawMessage) error
}

// learn streams every recording through the stages and lets l learn from what comes
// out. Labels play no part, but trials that are kept for calibrating a decoder are kept
// from it, too: their samples are marked bad.
func (t *Trainer) learn(ctx context.Context, l filters.Learner, links []stream.Link, task replay.Task, m *Model, first bool) error {
	var b *playback
	var truth *replay.Truth
	r := -1
	end := func() {
		if b != nil && first {
			m.Recordings = append(m.Recordings, b.trainedOn(t.Recordings[r].Name))
		}
	}
	open := func() error {
		end()
		if r++; r == len(t.Recordings) {
			return io.EOF
		}
		rec := t.Recordings[r]
		player := &replay.Player{Recordings: []recordings.Recording{rec.Recording}, From: rec.From, To: rec.To}
		var err error
		if b, err = t.start(ctx, player, links, m, first && r == 0, rec.Name); err != nil {
			return err
		}
		truth = nil
		if t.held != nil {
			if truth, err = replay.NewTruth(task, rec.Recording.Annotations(), b.in.Rate, rec.Recording.Len()); err != nil {
				return fmt.Errorf("%s: %w", rec.Name, err)
			}
		}
		return nil
	}
	if err := open(); err != nil {
		return err
	}
	header := b.out.Clone()
	fresh := true
	next := func() (*stream.Chunk, error) {
		for {
			err := b.read(ctx)
			if errors.Is(err, io.EOF) {
				if err = open(); err == nil {
					fresh = true
					continue
				}
			}
			if err != nil {
				return nil, err
			}
			dst := b.dst
			if fresh && dst.Len > 0 { // another recording does not continue the one before
				dst.Flags |= stream.Restart
				fresh = false
			}
			for i := range dst.Len {
				if truth == nil || !t.held[r<<20+truth.WindowAt(dst.T0.Seconds()+float64(i)/b.out.Rate, 1/b.out.Rate).Stretch] {
					continue
				}
				for ch := range dst.Rows() {
					dst.MarkBad(ch, i)
				}
			}
			return dst, nil
		}
	}
	return l.Learn(ctx, header, next)
}
