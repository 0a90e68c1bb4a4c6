package bci

import (
	"context"
	"errors"
	"fmt"
	"io"

	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// collectTargets streams every recording through the stages and gathers every usable
// column with the targets at its stamp, which is that of its newest sample. A group is
// a stretch without a break, so that no decoder learns a movement across one.
func (t *Trainer) collectTargets(ctx context.Context, links []stream.Link, m *Model, first bool) (*decoders.Rows, error) {
	rows := new(decoders.Rows)
	skipped := 0
	for r, rec := range t.Recordings {
		n, err := t.playTargets(ctx, links, m, first, r, rec, rows)
		if err != nil {
			return nil, err
		}
		skipped += n
	}
	if len(rows.X) == 0 {
		return nil, fmt.Errorf("none of %d columns of the recordings can be learned from: values are marked bad, or features or targets are not numbers", skipped)
	}
	return rows, nil
}

func (t *Trainer) playTargets(ctx context.Context, links []stream.Link, m *Model, first bool, r int, rec TrainingRecording, rows *decoders.Rows) (skipped int, err error) {
	p := t.Pipeline
	truth, err := p.ReadTargets(ctx, rec.Recording)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", rec.Name, err)
	}
	if rows.Targets == nil {
		rows.Targets = truth.Targets
	}
	for i, c := range truth.Targets {
		if c.Unit != rows.Targets[i].Unit {
			return 0, fmt.Errorf("%s: target %q is in %q, in the first recording it is in %q; convert the units first", rec.Name, c.Label, c.Unit, rows.Targets[i].Unit)
		}
	}
	src := &withoutTargets{source: &replay.Player{Recordings: []recordings.Recording{rec.Recording}, From: rec.From, To: rec.To}, path: p.Path, names: p.hidden()}
	s, err := t.start(ctx, src, links, m, first && r == 0, rec.Name)
	if err != nil {
		return 0, err
	}
	rows.Header = s.out
	group := r << 20
	broken := true // the next column does not continue the one before
	next := int64(0)
	for n := 0; ; n++ {
		if err := s.read(ctx); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, fmt.Errorf("%s: %w", rec.Name, err)
		}
		broken = broken || s.dst.Flags.Broken()
		for i := range s.dst.Len {
			seq := s.dst.Seq + int64(i)
			broken = broken || seq != next
			next = seq + 1
			end := s.dst.T0.Seconds()
			if i > 0 {
				end += float64(i) / s.out.Rate
			}
			x, z := s.dst.Column(nil, i), make([]float64, len(truth.Targets))
			if !usable(s.dst, x, i) || !truth.At(z, end) {
				skipped++
				broken = true
				continue
			}
			if broken && len(rows.X) > 0 && rows.Group[len(rows.X)-1] >= group {
				group = rows.Group[len(rows.X)-1] + 1
			}
			broken = false
			rows.X, rows.Target, rows.Group = append(rows.X, x), append(rows.Target, z), append(rows.Group, group)
		}
		if n%64 == 0 {
			part := float64(s.columns) / float64(max(1, rec.Recording.Len()))
			t.Progress("streaming "+rec.Name, (float64(r)+part)/float64(len(t.Recordings)))
		}
	}
	if first {
		m.Recordings = append(m.Recordings, s.trainedOn(rec.Name))
	}
	return skipped, nil
}

func usable(c *stream.Chunk, x []float64, i int) bool {
	for ch, v := range x {
		if v-v != 0 || c.IsBad(ch, i) {
			return false
		}
	}
	return true
}
