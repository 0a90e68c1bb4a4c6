package udp

import "neurostream/stream"

// gather collects columns until a packet of a fixed number of them is full.
type gather struct {
	c    *stream.Chunk
	want int
}

func (g *gather) open(h *stream.Header, want int) {
	g.c, g.want = new(stream.Chunk), want
	g.c.Alloc(len(h.Channels), want)
	g.c.Clear()
}

// take copies columns and their markers and returns how many it took.
func (g *gather) take(src *stream.Chunk, from, to int) int {
	n := min(to-from, g.want-g.c.Len)
	at := g.c.Len
	if at == 0 {
		g.c.Seq, g.c.T0, g.c.Flags, g.c.Markers = src.Seq+int64(from), src.T0, 0, g.c.Markers[:0]
	}
	g.c.Extend(n)
	for k := range src.Tiles() {
		copy(g.c.Tile(k)[at:], src.Tile(k)[from:from+n])
		if src.Flags&stream.Bad != 0 {
			copy(g.c.Bad(k)[at:], src.Bad(k)[from:from+n])
			g.c.Flags |= stream.Bad
		}
	}
	for _, m := range src.Markers {
		if m.Column >= from && m.Column < from+n {
			m.Column += at - from
			g.c.Markers = append(g.c.Markers, m)
		}
	}
	return n
}

func (g *gather) full() bool { return g.c.Len == g.want }
