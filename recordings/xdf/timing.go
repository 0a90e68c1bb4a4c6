package xdf

import "slices"

// Timing says which repairs of stamps to make. The zero value makes none.
type Timing struct {
	ClockSync bool    // bring stamps to the recorder's clock: ClockCorrect
	Dejitter  bool    // straighten the stamps of regular streams: Dejitter
	MinGap    float64 // with Dejitter: stretches end where this many samples are missing; 0 = as pyxdf does

	// TrimPhantom leaves out samples beyond the footer's number when the last clock
	// offset is odd too, and that offset, as pyxdf does whenever it synchronises. It repairs files of old
	// recorders, and costs good samples where offsets hardly differ and a footer is
	// wrong, so it is a choice here.
	TrimPhantom bool
}

// Times are a stream's stamps after repair.
type Times struct {
	Stamps        []float64 // seconds; one per sample, fewer only with TrimPhantom
	ClockSegments []Range   // stretches of samples with one clock line each; empty without offsets
	Segments      []Range   // stretches without a break
	Rate          float64   // samples per second the stream really had; 0 when irregular or unknown
}

// Times returns the stamps after the repairs asked for, the raw ones untouched.
func (s *Stream) Times(o Timing) Times {
	t := Times{Stamps: s.stamps}
	offsets := s.offsets
	if o.TrimPhantom {
		if n, yes := s.phantom(); yes {
			t.Stamps, offsets = t.Stamps[:n], offsets[:len(offsets)-1]
		}
	}
	if o.ClockSync {
		t.Stamps, t.ClockSegments = ClockCorrect(t.Stamps, offsets)
	}
	n := len(t.Stamps)
	switch {
	case n == 0:
		return t
	case !o.Dejitter:
		t.Stamps = slices.Clone(t.Stamps)
	case s.Regular() && s.Info.CanDropSamples():
		if d := t.Stamps[n-1] - t.Stamps[0]; d > 0 {
			t.Rate = float64(n-1) / d
		}
	case s.Regular() && o.MinGap > 0:
		t.Stamps, t.Segments, t.Rate = DejitterGaps(t.Stamps, s.Info.Rate, o.MinGap)
		return t
	case s.Regular():
		t.Stamps, t.Segments, t.Rate = Dejitter(t.Stamps, s.Info.Rate)
		return t
	}
	t.Segments = []Range{{0, n - 1}}
	return t
}
