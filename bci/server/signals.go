package server

import (
	"context"
	"math"
	"time"

	"neurostream/stream"
)

// Columns per second that a screen needs at most: sweeps are a few seconds wide and
// a screen a few thousand pixels.
const screenRate = 256

// frameInterval keeps frames at the rate of screens, whatever the data's.
const frameInterval = 16 * time.Millisecond

// Signals returns a sink for the samples to be drawn: raw, or behind any filter.
func (s *Server) Signals() stream.Sink { return &signals{s: s} }

// signals reduces samples to columns a screen can show. Column i stands for the
// samples i*bucket .. i*bucket+bucket-1, whatever the blocks they came in.
type signals struct {
	s      *Server
	header stream.Header
	bucket int64
	block  *block
	pace   pace

	next   int64 // sample expected
	filled int64 // samples in the current bucket
	index  int64 // of the current bucket
	start  float64
	lo, hi [][stream.Lanes]float64
}

// Open describes the stream to the pages.
func (g *signals) Open(_ context.Context, in stream.Header) error {
	if in.Rows() > math.MaxUint16 {
		return tooManyRows(in)
	}
	g.header, g.bucket = in.Clone(), 1
	planes := 1
	if in.Rate > screenRate {
		g.bucket = int64(math.Ceil(in.Rate / screenRate))
		planes = 2
	}
	// A second of columns, but at least one chunk's.
	g.block = newBlock(kindSignals, in.Rows(), planes, max(screenRate, in.MaxLen/int(g.bucket)+2))
	g.pace = pace{now: g.s.opts.now}
	tiles := stream.TilesFor(in.Rows())
	g.lo, g.hi = make([][stream.Lanes]float64, tiles), make([][stream.Lanes]float64, tiles)
	g.next, g.filled = 0, 0

	h := &helloSignals{Name: in.Name, RateHz: in.Rate, ColumnHz: in.Rate / float64(g.bucket), Planes: planes, DelayS: in.Delay}
	for _, c := range in.Channels {
		h.Channels = append(h.Channels, describe(c))
	}
	g.s.hub.open(func(st *streams) { st.signals, st.idle = h, g.s.opts.Idle })
	return nil
}

// Write adds a chunk and sends what has gathered when it is time.
func (g *signals) Write(src *stream.Chunk) error {
	g.s.note(src)
	g.marks(src)
	if src.Len == 0 {
		return nil
	}
	if src.Flags.Broken() || src.Seq != g.next {
		g.flush()
		g.filled = 0
		g.block.flags |= flagGap
		if src.Flags&stream.Restart != 0 {
			g.block.flags |= flagRestart
		}
	}
	g.next = src.Seq + int64(src.Len)
	step := 0.0
	if g.header.Rate > 0 {
		step = 1 / g.header.Rate
	}
	t0 := src.T0.Seconds()
	if g.bucket == 1 {
		for i := range src.Len {
			g.copyColumn(src, i, g.block.add(src.Seq+int64(i), t0+float64(i)*step))
		}
	} else {
		g.decimate(src, t0, step)
	}
	if src.Flags&stream.Bad != 0 {
		for k := range src.Tiles() {
			var any uint8
			for _, b := range src.Bad(k) {
				any |= b
			}
			for l := range stream.Lanes {
				if any&(1<<l) != 0 && k*stream.Lanes+l < g.block.rows {
					g.block.markBad(k*stream.Lanes + l)
				}
			}
		}
	}
	if g.pace.due() {
		g.flush()
	}
	return nil
}

func (g *signals) copyColumn(src *stream.Chunk, from, to int) {
	for k := range src.Tiles() {
		column := &src.Tile(k)[from]
		for l := range min(stream.Lanes, g.block.rows-k*stream.Lanes) {
			g.block.row(0, k*stream.Lanes+l)[to] = display(column[l])
		}
	}
}

// decimate keeps the least and the greatest sample of every bucket.
func (g *signals) decimate(src *stream.Chunk, t0, step float64) {
	for i := 0; i < src.Len; {
		seq := src.Seq + int64(i)
		if g.filled == 0 {
			g.index, g.start = seq/g.bucket, t0+float64(i)*step
		}
		n := min(int((g.index+1)*g.bucket-seq), src.Len-i)
		for k := range src.Tiles() {
			lo, hi := &g.lo[k], &g.hi[k]
			columns := src.Tile(k)[i : i+n]
			if g.filled == 0 {
				*lo, *hi = columns[0], columns[0]
			}
			for c := range columns {
				for l, v := range &columns[c] {
					if v < lo[l] {
						lo[l] = v
					}
					if v > hi[l] {
						hi[l] = v
					}
				}
			}
		}
		i += n
		g.filled += int64(n)
		if seq+int64(n) == (g.index+1)*g.bucket {
			to := g.block.add(g.index, g.start)
			for r := range g.block.rows {
				g.block.row(0, r)[to] = display(g.lo[r/stream.Lanes][r%stream.Lanes])
				g.block.row(1, r)[to] = display(g.hi[r/stream.Lanes][r%stream.Lanes])
			}
			g.filled = 0
		}
	}
}

func (g *signals) flush() { g.s.send(g.block, pastSignals) }

// Close sends what is left.
func (g *signals) Close() error {
	if g.block != nil {
		g.flush()
	}
	return nil
}

// mark is a marker as the page draws it.
type mark struct {
	Column    float64 `json:"column"` // in columns of the signals' frames
	TimeS     float64 `json:"time_s"`
	Label     string  `json:"label"`
	Class     string  `json:"class,omitempty"`
	DurationS float64 `json:"duration_s,omitempty"`
}

// marksPerChunk bounds what a stream of nothing but markers can cost.
const marksPerChunk = 256

func (g *signals) marks(src *stream.Chunk) {
	if len(src.Markers) == 0 {
		return
	}
	message := struct {
		Type    string `json:"type"` // "marks"
		Session uint32 `json:"session"`
		Marks   []mark `json:"marks"`
	}{Type: "marks", Session: g.s.hub.sessionNow()}
	for _, m := range src.Markers[:min(len(src.Markers), marksPerChunk)] {
		message.Marks = append(message.Marks, mark{
			Column: float64(src.Seq+int64(m.Column)) / float64(g.bucket), TimeS: finite(m.Time.Seconds()),
			Label: m.Label, Class: g.s.opts.Truth[m.Label], DurationS: finite(m.Duration),
		})
	}
	g.s.hub.publish(textFrame(message), pastNotes, src.T0.Seconds())
}

// pace says when the next frame may go.
type pace struct {
	now  func() time.Time
	last time.Time
}

func (p *pace) due() bool {
	now := p.now()
	if now.Sub(p.last) < frameInterval {
		return false
	}
	p.last = now
	return true
}

// send publishes what a block holds and empties it.
func (s *Server) send(b *block, history int) {
	if b.n == 0 {
		return
	}
	f := newFrame(b.kind, b.size())
	b.encode(f.buf, s.hub.sessionNow())
	at := b.time
	b.reset()
	if b.kind == kindPower {
		s.hub.replace(latestPower, f)
		return
	}
	s.hub.publish(f, history, at)
}
