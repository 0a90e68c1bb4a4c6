package udp

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// When columns happened: see sampleClock.

// time runs the sample clock over a record whose first column is s.seq.
func (s *Source) time(r *Record, at stream.Time) stream.Time {
	n := r.Columns
	switch {
	case n == 0:
		return s.lastTime
	case !(s.header.Rate > 0):
		s.lastTime = max(s.lastTime, at)
		return s.lastTime
	}
	var x float64
	if s.byStamp {
		if r.Has&EvidenceStamp != 0 {
			if !s.clock.begun {
				s.stamp0 = r.Stamp
			}
			s.stampX = float64(r.Stamp-s.stamp0) * 1e-9
		}
		x = s.stampX + float64(n-1)/s.header.Rate
		s.stampX += float64(n) / s.header.Rate
	} else {
		x = float64(s.seq+s.extra+int64(n-1)) / s.header.Rate
	}
	t, jumped := s.clock.place(x, at)
	if jumped != 0 && s.broken == 0 {
		s.opening = append(s.opening, stream.Event{Kind: stream.EventClockJump, Seq: s.seq, Time: t, Count: int64(jumped), Origin: s.Address, Detail: "columns and times of arrival have parted by more than a second"})
	}
	if hz, ok := s.clock.rate(s.header.Rate); ok {
		s.measured(hz, t)
	}
	begin := max(s.lastTime, t-stream.Time(math.Round(float64(n-1)/s.header.Rate*s.clock.slope*1e9)))
	s.lastTime = max(begin, t)
	return begin
}

// rateTolerance: a measured rate this far off the nominal one, or off the one last
// reported, is news.
const rateTolerance = 0.005

func (s *Source) measured(hz float64, t stream.Time) {
	if s.rate == 0 {
		s.rate = s.header.Rate
	}
	if math.Abs(hz/s.rate-1) <= rateTolerance {
		return
	}
	s.rate = hz
	s.opening = append(s.opening, stream.Event{
		Kind: stream.EventRateChange, Seq: s.seq, Time: t, Count: int64(math.Round(hz * 1000)), Origin: s.Address,
		Detail: fmt.Sprintf("measured %.2f Hz over a minute of arrivals, nominal %g Hz", hz, s.header.Rate),
	})
}
