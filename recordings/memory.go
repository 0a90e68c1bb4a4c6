package recordings

import (
	"fmt"
	"io"
	"time"

	"neurostream/stream"
)

// Memory is a recording held in memory: what a converter made, or a test.
type Memory struct {
	Stream stream.Header
	Data   *stream.Chunk // all columns
	Began  time.Time
	Notes  []Annotation // in order of onset
	Breaks []Gap        // in order
	About  Info
}

func (m *Memory) Header() stream.Header     { return m.Stream.Clone() }
func (m *Memory) Len() int64                { return int64(m.Data.Len) }
func (m *Memory) Start() time.Time          { return m.Began }
func (m *Memory) Annotations() []Annotation { return m.Notes }
func (m *Memory) Gaps() []Gap               { return m.Breaks }
func (m *Memory) Info() Info                { return m.About }
func (m *Memory) Close() error              { return nil }

func (m *Memory) ReadAt(dst *stream.Chunk, from int64) error {
	if from < 0 {
		return fmt.Errorf("column %d asked for; columns count from 0", from)
	}
	dst.Resize(0)
	left := m.Len() - from
	if left <= 0 {
		return io.EOF
	}
	dst.Resize(int(min(left, int64(dst.Cap()))))
	for k := range dst.Tiles() {
		copy(dst.Tile(k), m.Data.Tile(k)[from:])
	}
	return nil
}
