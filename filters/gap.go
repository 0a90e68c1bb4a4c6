package filters

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// GapRepair bridges short gaps by a straight line from the last sample before to the
// first one after, and turns longer ones into a restart of everything behind it. A
// bridge is reported as EventBridge with the number of columns made up, a restart as
// EventRestart with the number missing. Samples that are not numbers become the last
// good value, marked bad.
type GapRepair struct {
	Max float64 // longest gap to bridge, seconds, 0 to 1; 0 = 0.02, negative = bridge nothing

	limit   int
	rate    float64
	last    [][stream.Lanes]float64
	next    int64 // Seq that would continue
	started bool
}

// Open takes the limit in columns.
func (g *GapRepair) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	longest := g.Max
	if longest == 0 {
		longest = 0.02
	}
	if !(longest <= 1) {
		return stream.Header{}, fmt.Errorf("max %v s is impossible; allowed are up to 1 s: a longer bridge would be invention", g.Max)
	}
	g.rate, g.limit = in.Rate, int(max(0, longest)*in.Rate+1e-9)
	if in.MaxLen+g.limit > stream.MaxColumns {
		g.limit = 0
	}
	g.last = make([][stream.Lanes]float64, stream.TilesFor(in.Rows()))
	g.Reset()
	if in.Rate > 0 {
		in.MaxLen += g.limit
	}
	return in, nil
}

// Reset forgets the past.
func (g *GapRepair) Reset() {
	g.started, g.next = false, 0
	clear(g.last)
}

// Process copies a chunk, with a bridge in front of it where columns are missing.
func (g *GapRepair) Process(dst, src *stream.Chunk) {
	if src.Len == 0 { // whether a gap is bridged is decided when the next column is there
		dst.Follow(src)
		if src.Flags&stream.Restart != 0 {
			g.Reset()
		} else {
			dst.Flags &^= stream.Gap
		}
		return
	}
	missing := src.Seq - g.next
	bridge := 0
	restart := src.Flags&stream.Restart != 0
	if g.started && !restart && missing != 0 {
		if missing > 0 && missing <= int64(g.limit) {
			bridge = int(missing)
		} else {
			restart = true
		}
	}
	if g.started && missing == 0 && src.Flags&stream.Gap != 0 { // of unknown length
		restart = true
	}
	dst.Follow(src)
	dst.Resize(bridge + src.Len)
	dst.Flags = src.Flags &^ (stream.Gap | stream.Bad)
	if restart {
		dst.Flags |= stream.Restart
		if g.started && src.Flags&stream.Restart == 0 {
			dst.Events = append(dst.Events, stream.Event{Kind: stream.EventRestart, Seq: src.Seq, Time: src.T0, Count: missing, Origin: "gap-repair", Detail: "the gap is too long to bridge"})
		}
		clear(g.last)
	}
	if bridge > 0 {
		dst.Seq -= missing
		dst.T0 -= stream.Time(math.Round(float64(bridge) / g.rate * 1e9))
		for i := range dst.Markers {
			dst.Markers[i].Column += bridge
		}
		dst.Stamps = dst.Stamps[:0] // nobody stamped what was never there
		dst.Events = append(dst.Events, stream.Event{Kind: stream.EventBridge, Seq: dst.Seq, Time: dst.T0, Count: missing, Origin: "gap-repair"})
	}
	for k := range g.last {
		to := dst.Tile(k)
		g.clean(dst, src, k, bridge, to[bridge:])
		before, after := g.last[k], to[bridge]
		for i := range bridge {
			x := float64(i+1) / float64(bridge+1)
			for l := range before {
				to[i][l] = before[l] + float64(x*(after[l]-before[l]))
			}
		}
		g.last[k] = to[len(to)-1]
	}
	g.next, g.started = src.Seq+int64(src.Len), true
}

func (g *GapRepair) clean(dst, src *stream.Chunk, k, shift int, to [][stream.Lanes]float64) {
	last := g.last[k]
	bad := dst.Bad(k)[shift:]
	marks := src.Bad(k)
	for i, v := range src.Tile(k) {
		b := marks[i]
		for l := range v {
			if v[l]-v[l] != 0 {
				v[l] = last[l]
				b |= 1 << l
			}
		}
		if b != 0 {
			bad[i] = b
			dst.Flags |= stream.Bad
		}
		to[i], last = v, v
	}
}

// Snapshot appends the state.
func (g *GapRepair) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(g.started)
	w.Int(g.next)
	w.Tiles(g.last)
	return w.Buf
}

// Restore sets it.
func (g *GapRepair) Restore(b []byte) error {
	r := stream.StateReader{Buf: b}
	g.started, g.next = r.Bool(), r.Int()
	r.Tiles(g.last)
	return r.Err()
}
