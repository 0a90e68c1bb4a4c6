package udp

import (
	"neurostream/stream"
)

// Formats without counter, index or stamp: copies are told by their bytes, loss by the
// times of arrival (see arrivals).

// print is the fingerprint of a datagram.
type print struct {
	hash  uint64
	stamp stream.Time
	n     int
}

// repeated reports whether a datagram of a format without evidence is a copy: the same
// bytes as one of the last four, much sooner than a new one can come. Bytes that say
// next to nothing (a flat line) prove nothing.
func (s *Source) repeated(c *stream.Chunk, from int, d *Datagram, hash uint64) bool {
	n := c.Len - from
	old := false
	if s.header.Rate > 0 && !s.Keep {
		soon := stream.Time(float64(n) / s.header.Rate / 2 * 1e9)
		for i := range s.prints {
			p := &s.prints[i]
			old = old || p.n == n && p.hash == hash && d.Stamp-p.stamp <= soon && d.Stamp >= p.stamp
		}
	}
	if old && distinct(c, from) >= 4 {
		return true
	}
	s.prints[s.printed%len(s.prints)] = print{hash, d.Stamp, n}
	s.printed++
	return false
}

// distinct returns how many different numbers stand in the columns from on, up to 4.
func distinct(c *stream.Chunk, from int) int {
	var seen [4]float64
	n := 0
	for k := range c.Tiles() {
		lanes := min(stream.Lanes, c.Rows()-k*stream.Lanes)
		for _, v := range c.Tile(k)[from:] {
		next:
			for _, x := range v[:lanes] {
				for _, y := range seen[:n] {
					if x == y {
						continue next
					}
				}
				seen[n] = x
				if n++; n == len(seen) {
					return n
				}
			}
		}
	}
	return n
}

// unnumbered estimates what is lost before a datagram of a format without evidence.
func (s *Source) unnumbered(c *stream.Chunk, from int, d *Datagram) {
	n := c.Len - from
	if s.kernel > 0 {
		s.arrivals.told(s.kernel * int64(n))
	}
	lost, silent := s.arrivals.add(d.Stamp, n)
	if lost > 0 {
		s.estimated(lost)
	}
	if silent {
		s.broken |= stream.Gap
	}
}

func (s *Source) estimated(n int64) {
	s.extra += n
	s.counts.Estimated += n
	s.tell(pendingEstimate, n, "estimated from the times of arrival: the format carries no counter")
}

// settle adds what can only be said at the end.
func (s *Source) settle() {
	if n := s.arrivals.finish(int(s.track.columns)); n > 0 {
		s.estimated(n)
	}
	s.arrivals = arrivals{}
}
