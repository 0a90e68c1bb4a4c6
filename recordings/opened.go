package recordings

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"neurostream/stream"
)

// opened is an open file of any format whose samples lie in records.
type opened struct {
	records
	closer      io.Closer
	stream      stream.Header
	start       time.Time
	annotations []Annotation
	gaps        []Gap
	info        Info
}

func (r *opened) Header() stream.Header     { return r.stream.Clone() }
func (r *opened) Start() time.Time          { return r.start }
func (r *opened) Annotations() []Annotation { return r.annotations }
func (r *opened) Gaps() []Gap               { return r.gaps }
func (r *opened) Info() Info                { return r.info }
func (r *opened) Close() error              { return r.closer.Close() }

func (r *opened) note(name, value string) {
	r.info.Fields = append(r.info.Fields, [2]string{name, value})
}

func (r *opened) skip(i int, label, why string) {
	r.info.Skipped = append(r.info.Skipped, fmt.Sprintf("signal %s (%q): %s", strconv.Itoa(i+1), label, why))
}

// finish sets what follows from rate and channels, and checks the stream.
func (r *opened) finish(rate float64) error {
	UniqueLabels(r.stream.Channels)
	r.stream.Rate = rate
	r.stream.MaxLen = int(min(max(rate, 64), 1024))
	if err := r.stream.Validate(); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return nil
}
