package replay

import (
	"context"
	"fmt"
	"io"
	"math"

	"neurostream/stream"
)

// Impair is a [stream.Source] that damages what another delivers, as networks, senders
// and amplifiers do, and reports it as a receiver would: the stream stays honest, only
// poorer. Columns travel in datagrams of Group; what befalls a datagram or a sample
// depends on Seed and on its place in the stream alone, so the damage is the same
// however the source cuts its chunks.
//
//	dropped     columns missing: Seq jumps, Gap flag, EventGap
//	doubled     used once: EventDouble
//	re-ordered  put in order: EventReorder
//	NaN         in place of single samples, unmarked: stages must cope
//	jitter, drift   in T0, with the raw stamp of each column in Stamps; T0 never steps back
//
// Markers on dropped columns come with the next column that arrives.
type Impair struct {
	Source  stream.Source
	Seed    uint64
	Group   int     // columns per datagram; 0 = 8
	Drop    float64 // probability that a burst of losses begins at a datagram
	Burst   int     // datagrams lost in a row; 0 = 1
	Double  float64 // probability that a datagram arrives twice
	Reorder float64 // probability that a datagram is overtaken by the next
	NaN     float64 // probability that a sample is not a number
	Jitter  float64 // seconds: stamps are off by up to this much, either way, evenly
	Drift   float64 // parts per million by which the sender's clock runs fast

	header  stream.Header
	src     *stream.Chunk
	at      int // next column of src
	started bool
	ended   bool
	base    stream.Time // first stamp: drift counts from there
	newest  stream.Time // of the columns delivered
	next    int64       // Seq that would come next
	lost    int64       // columns dropped since the last one delivered
	flags   stream.Flags
	events  []stream.Event
	markers []waiting
	counts  Impairments
}

// Impairments says exactly what was done, in columns except for NaN.
type Impairments struct {
	Delivered int64 `json:"delivered"`
	Dropped   int64 `json:"dropped"`
	Gaps      int64 `json:"gaps"` // stretches of dropped columns with something after them
	Doubled   int64 `json:"doubled"`
	Reordered int64 `json:"reordered"`
	NaN       int64 `json:"nan"` // samples
}

// Counts returns what was done so far.
func (p *Impair) Counts() Impairments { return p.counts }

// Open checks the settings and opens the source.
func (p *Impair) Open(ctx context.Context) (stream.Header, error) {
	if p.Source == nil {
		return stream.Header{}, fmt.Errorf("impairments have no source to damage")
	}
	for name, v := range map[string]float64{"drop": p.Drop, "double": p.Double, "reorder": p.Reorder, "nan": p.NaN} {
		if !(v >= 0 && v <= 1) {
			return stream.Header{}, fmt.Errorf("%s %v is impossible: give a probability, 0 to 1", name, v)
		}
	}
	switch {
	case p.Group < 0 || p.Burst < 0:
		return stream.Header{}, fmt.Errorf("group %d and burst %d are impossible: give 1 or more, or 0 for the default", p.Group, p.Burst)
	case !(p.Jitter >= 0) || math.IsInf(p.Jitter, 0):
		return stream.Header{}, fmt.Errorf("jitter %v s is impossible: give 0 or more seconds", p.Jitter)
	case !(math.Abs(p.Drift) <= 1e5):
		return stream.Header{}, fmt.Errorf("drift %v is impossible: give -100000 to 100000 parts per million", p.Drift)
	}
	h, err := p.Source.Open(ctx)
	if err != nil {
		return stream.Header{}, err
	}
	if p.Group == 0 {
		p.Group = 8
	}
	if p.Burst == 0 {
		p.Burst = 1
	}
	p.header, p.src = h.Clone(), stream.NewChunk(&h)
	p.at, p.started, p.ended, p.lost, p.next, p.newest, p.flags = 0, false, false, 0, 0, 0, 0
	p.events, p.markers, p.counts = p.events[:0], p.markers[:0], Impairments{}
	return h, nil
}

// Close closes the source.
func (p *Impair) Close() error { return p.Source.Close() }

// Kinds of chance, so that one does not follow from another.
const (
	chanceDrop = iota + 1
	chanceDouble
	chanceReorder
	chanceNaN
	chanceJitter
)

// chance returns a number in [0, 1) that depends on the seed, the kind and the place:
// SplitMix64 (Steele, Lea and Flood 2014) of all three.
func (p *Impair) chance(kind, place uint64) float64 {
	x := p.Seed
	for _, v := range [2]uint64{kind, place} {
		x += v*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}

// dropped reports whether the datagram of a column is lost.
func (p *Impair) dropped(seq int64) bool {
	if p.Drop == 0 {
		return false
	}
	d := seq / int64(p.Group)
	for b := range int64(p.Burst) {
		if d >= b && p.chance(chanceDrop, uint64(d-b)) < p.Drop {
			return true
		}
	}
	return false
}

// Read delivers the next columns that survive, never across a gap.
func (p *Impair) Read(dst *stream.Chunk) error {
	dst.Clear()
	if p.ended {
		return io.EOF
	}
	for {
		for ; p.at < p.src.Len && p.dropped(p.src.Seq+int64(p.at)); p.at++ {
			p.lost++
			p.counts.Dropped++
		}
		if p.at < p.src.Len {
			p.deliver(dst)
			return nil
		}
		if err := p.Source.Read(p.src); err == io.EOF {
			p.ended = true
			if p.lost == 0 && len(p.events) == 0 {
				return io.EOF
			}
			p.tell(dst, p.next+p.lost, p.newest) // what is still to be told goes with an empty chunk
			return nil
		} else if err != nil {
			return err
		}
		p.at = 0
		p.flags |= p.src.Flags & (stream.Gap | stream.Restart)
		p.events = append(p.events, p.src.Events...)
		for _, m := range p.src.Markers {
			p.markers = append(p.markers, waiting{p.src.Seq + int64(m.Column), m})
		}
		if p.src.Len == 0 {
			p.tell(dst, p.src.Seq, max(p.newest, p.src.T0))
			return nil
		}
	}
}

// deliver moves the surviving columns from at on into dst.
func (p *Impair) deliver(dst *stream.Chunk) {
	a, b := p.at, p.at+1
	for b < p.src.Len && b-a < dst.Cap() && !p.dropped(p.src.Seq+int64(b)) {
		b++
	}
	p.at = b
	seq := p.src.Seq + int64(a)
	dst.Resize(b - a)
	for k := range dst.Tiles() {
		copy(dst.Tile(k), p.src.Tile(k)[a:b])
		copy(dst.Bad(k), p.src.Bad(k)[a:b])
		for _, bits := range dst.Bad(k) {
			if bits != 0 {
				dst.Flags |= stream.Bad
			}
		}
	}
	p.stamp(dst, a, seq)
	for i := range dst.Len {
		p.befall(seq+int64(i), dst.T0)
	}
	p.tell(dst, seq, dst.T0)
	kept := p.markers[:0]
	for _, w := range p.markers {
		if w.seq < seq+int64(dst.Len) {
			w.m.Column = int(max(0, w.seq-seq))
			dst.Markers = append(dst.Markers, w.m)
		} else {
			kept = append(kept, w)
		}
	}
	p.markers = kept
	if p.NaN > 0 {
		p.spoil(dst)
	}
	p.next = seq + int64(dst.Len)
	p.counts.Delivered += int64(dst.Len)
}

// waiting is a marker whose column has not come yet.
type waiting struct {
	seq int64
	m   stream.Marker
}

// stamp sets T0 and the raw stamps of columns that begin at column a of the source's
// chunk.
func (p *Impair) stamp(dst *stream.Chunk, a int, seq int64) {
	dst.T0, dst.Arrived = p.src.T0+p.after(a), p.src.Arrived
	if p.Jitter == 0 && p.Drift == 0 {
		if len(p.src.Stamps) == p.src.Len {
			dst.Stamps = append(dst.Stamps, p.src.Stamps[a:a+dst.Len]...)
		}
		p.newest = dst.T0 + p.after(dst.Len-1)
		return
	}
	if !p.started {
		p.started, p.base = true, dst.T0
	}
	for i := range dst.Len {
		t := dst.T0 + p.after(i)
		off := float64(t-p.base)*p.Drift*1e-6 + (2*p.chance(chanceJitter, uint64(seq+int64(i)))-1)*p.Jitter*1e9
		dst.Stamps = append(dst.Stamps, t+stream.Time(math.Round(off)))
	}
	dst.T0 = max(dst.Stamps[0], p.newest)
	p.newest = dst.T0 + p.after(dst.Len-1)
}

// after returns how long i columns take.
func (p *Impair) after(i int) stream.Time {
	if p.header.Rate == 0 {
		return 0
	}
	return nanoseconds(float64(i) / p.header.Rate)
}

// befall reports what happened to the datagram that begins at a column.
func (p *Impair) befall(seq int64, at stream.Time) {
	if seq%int64(p.Group) != 0 {
		return
	}
	d := uint64(seq / int64(p.Group))
	n := int64(p.Group)
	if p.Double > 0 && p.chance(chanceDouble, d) < p.Double {
		p.counts.Doubled += n
		p.events = append(p.events, stream.Event{Kind: stream.EventDouble, Seq: seq, Time: at, Count: n, Origin: "impair", Detail: "doubled on purpose"})
	}
	if p.Reorder > 0 && p.chance(chanceReorder, d) < p.Reorder {
		p.counts.Reordered += n
		p.events = append(p.events, stream.Event{Kind: stream.EventReorder, Seq: seq, Time: at, Count: n, Origin: "impair", Detail: "re-ordered on purpose"})
	}
}

// tell gives dst its place, and the flags and events that have gathered.
func (p *Impair) tell(dst *stream.Chunk, seq int64, at stream.Time) {
	dst.Seq, dst.T0, dst.Arrived = seq, at, p.src.Arrived
	dst.Events = append(dst.Events, p.events...)
	p.events = p.events[:0]
	if p.lost > 0 && (dst.Len > 0 || p.ended) {
		dst.Events = append(dst.Events, stream.Event{Kind: stream.EventGap, Seq: seq, Time: at, Count: p.lost, Origin: "impair", Detail: "dropped on purpose"})
		if dst.Len > 0 {
			p.flags |= stream.Gap
			p.counts.Gaps++
		}
		p.lost = 0
	}
	if dst.Len > 0 {
		dst.Flags |= p.flags
		p.flags = 0
	}
}

// spoil replaces samples by NaN.
func (p *Impair) spoil(dst *stream.Chunk) {
	rows := dst.Rows()
	for i := range dst.Len {
		for ch := range rows {
			if p.chance(chanceNaN, uint64(dst.Seq+int64(i))*uint64(rows)+uint64(ch)) < p.NaN {
				dst.Set(ch, i, math.NaN())
				p.counts.NaN++
			}
		}
	}
}
