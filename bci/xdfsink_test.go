package bci

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/recordings/xdf"
	"neurostream/stream"
)

// broken is a source of 250 Hz whose columns go missing at known places, in chunks of
// uneven lengths whose times jitter by more than a column.
type broken struct {
	header stream.Header
	breaks map[int64]stream.Event // by column sent: its Count is what is missing before it
	limit  int64
	sent   int64
	seq    int64
}

func (b *broken) Open(context.Context) (stream.Header, error) { return b.header, nil }
func (b *broken) Close() error                                { return nil }

func (b *broken) Read(dst *stream.Chunk) error {
	dst.Clear()
	if b.sent == b.limit {
		return io.EOF
	}
	if e, ok := b.breaks[b.sent]; ok {
		b.seq += e.Count
		dst.Flags = stream.Gap
		if e.Kind == stream.EventRestart {
			dst.Flags = stream.Restart
		}
		e.Seq = b.seq
		dst.Events = append(dst.Events, e)
	}
	n := min(1+b.sent*7%5, b.limit-b.sent)
	for k := int64(1); k < n; k++ {
		if _, ok := b.breaks[b.sent+k]; ok {
			n = k
		}
	}
	dst.Resize(int(n))
	jitter := stream.Time(b.sent * 7919 % 11000 * 1000) // up to 11 ms
	dst.Seq, dst.T0 = b.seq, stream.Time(b.seq)*4e6+jitter
	dst.Arrived = dst.T0
	for i := range dst.Len {
		for ch := range dst.Rows() {
			dst.Set(ch, i, math.Sin(float64((b.sent+int64(i))*int64(ch+3)))*20)
		}
	}
	b.sent += n
	b.seq += n
	return nil
}

// copying is a sink that keeps the file as it was at a column: what a crash leaves.
type copying struct {
	xdfSink
	at int64
	to string
}

func (s *copying) Write(c *stream.Chunk) error {
	err := s.xdfSink.Write(c)
	if err != nil || s.at == 0 || s.rows < s.at {
		return err
	}
	s.at = 0
	if err := s.w.Flush(); err != nil {
		return err
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	return os.WriteFile(s.to, data, 0o600)
}

// What is missing, were it a single column, and what was a new beginning, is the same in
// the replay of a recording as it was live, and so are the decisions.
func TestXDFSinkKeepsEveryGap(t *testing.T) {
	h := stream.Header{Name: "broken", Rate: 250, MaxLen: 8}
	for i := range 4 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	gap := func(n int64) stream.Event { return stream.Event{Kind: stream.EventGap, Count: n} }
	breaks := map[int64]stream.Event{
		301: gap(1), 302: gap(1), 460: gap(2), 700: gap(0), 900: gap(5), 1200: {Kind: stream.EventRestart}, 1450: {Kind: stream.EventRestart, Count: 2}, 1700: gap(400), 1999: gap(1),
	}
	source := func(limit int64) *broken { return &broken{header: h, breaks: breaks, limit: limit} }
	const plain = "stages:\n  - car\n  - bandpass: {low: 8, high: 30}\n  - window: {length: 0.2, hop: 0.02, features: [covariance]}\n"
	for name, pipeline := range map[string]string{
		"plain":    plain,
		"repaired": strings.Replace(plain, "stages:", "stages:\n  - gap-repair: {max: 0.012}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			whole, crashed := filepath.Join(dir, "whole.xdf"), filepath.Join(dir, "crashed.xdf")
			sink := &copying{xdfSink: xdfSink{path: whole}, at: 1500, to: crashed}
			live := runPipeline(t, pipeline, source(2000), false, Output{Name: "xdf", Sink: sink, Lossless: true, From: "source"}).Status()
			if s := runSource(t, pipeline, "file:"+whole, nil).Status(); s.Digest != live.Digest || s.Decisions != live.Decisions || s.Decisions < 90 {
				t.Errorf("digest %s, %d decisions; live %s, %d", s.Digest, s.Decisions, live.Digest, live.Decisions)
			}
			r, err := xdf.OpenAny(crashed, "")
			if err != nil {
				t.Fatal(err)
			}
			n := r.Len()
			r.Close()
			short := runPipeline(t, pipeline, source(n), false).Status()
			if s := runSource(t, pipeline, "file:"+crashed, nil).Status(); n < 1500 || n > 1510 || s.Digest != short.Digest || s.Decisions != short.Decisions {
				t.Errorf("after a crash: %d columns, digest %s, %d decisions; live %s, %d", n, s.Digest, s.Decisions, short.Digest, short.Decisions)
			}
		})
	}
}
