package udp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"neurostream/stream"
)

// line is a connection by TCP that is made anew when it breaks: at once, then after
// pauses that double up to longestPause.
//
//	Next ─► packets ── broken ──► errBroken     Next ─► dial … dial ──► errConnected ─► packets
//
// A new connection gets a new Format, because a Format may keep what the peer has said.
type line struct {
	*packets // nil while there is none

	ctx     context.Context
	dial    func(Format) (*packets, error)
	make    func() (Format, error)
	patient time.Duration // to give up after; 0 = never

	fresh Format // of a connection just made
	gone  time.Time
	due   time.Time // of the next attempt
	pause time.Duration
	why   error
}

const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

var (
	errBroken    = errors.New("the connection is lost")
	errConnected = errors.New("connected again")
)

// Next returns the next packet. errBroken (once) says that the connection is lost,
// errConnected that the packets that follow are of a new one.
func (l *line) Next(wait time.Duration) (*Datagram, error) {
	if l.packets == nil {
		return nil, l.connect(wait)
	}
	d, err := l.packets.Next(wait)
	if err == nil || errors.Is(err, ErrQuiet) {
		return d, err
	}
	if e := l.ctx.Err(); e != nil {
		return nil, e
	}
	l.packets.Close()
	l.packets = nil
	l.gone = time.Now()
	l.due, l.pause, l.why = l.gone, firstPause, err
	return nil, fmt.Errorf("%w: %w", errBroken, err)
}

func (l *line) connect(wait time.Duration) error {
	until := time.Time{}
	if wait > 0 {
		until = time.Now().Add(wait)
	}
	for {
		if l.patient > 0 && time.Since(l.gone) > l.patient {
			return fmt.Errorf("the peer has been gone for %v: %w", l.patient, l.why)
		}
		d := time.Until(l.due)
		if !until.IsZero() {
			d = min(d, time.Until(until))
		}
		if d > 0 {
			timer := time.NewTimer(d)
			select {
			case <-timer.C:
			case <-l.ctx.Done():
				timer.Stop()
			}
		}
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if time.Until(l.due) > 0 {
			return ErrQuiet
		}
		f, err := l.make()
		if err == nil {
			_, err = f.Learn(nil)
		}
		if err != nil {
			return err
		}
		if l.packets, err = l.dial(f); err == nil {
			l.fresh = f
			return errConnected
		}
		l.packets, l.why = nil, err
		l.due = time.Now().Add(l.pause)
		l.pause = min(2*l.pause, longestPause)
	}
}

// Buffered reports whether a whole packet is at hand.
func (l *line) Buffered() bool { return l.packets != nil && l.packets.Buffered() }

// Close says goodbye.
func (l *line) Close() error {
	if l.packets == nil {
		return nil
	}
	return l.packets.Close()
}

// relearning is what a source knows of a connection that was made anew.
type relearning struct {
	format Format
	kept   []kept
	bad    int
	why    string
}

// lost tells that the connection broke.
func (s *Source) lost(err error) {
	s.giveUp(len(s.held))
	s.learning = nil
	s.opening = append(s.opening, stream.Event{
		Kind: stream.EventNote, Seq: s.seq, Time: s.Clock.Now(), Origin: s.Address, Detail: err.Error() + "; trying to connect again",
	})
}

// relearn shows a packet of a new connection to its format, until that knows the
// layout: it has to be the one there was. done says that the packets kept can be used.
func (s *Source) relearn(d *Datagram) (done bool, err error) {
	r := s.learning
	ready, err := r.format.Learn(d.Data)
	if err != nil && !errors.Is(err, ErrOther) {
		r.bad++
		if r.why = err.Error(); r.bad >= wrongPackets {
			return false, fmt.Errorf("%s: the peer came back, and what it sends cannot be used as %s any more (%s)", s.Address, s.FormatName, r.why)
		}
	}
	if len(r.kept) == firstPackets {
		return false, fmt.Errorf("%s: the peer came back, and the layout is not known after %d packets: %s", s.Address, firstPackets, orNothing(r.why))
	}
	r.kept = append(r.kept, kept{slices.Clone(d.Data), d.Stamp, d.From})
	if !ready {
		return false, nil
	}
	l := r.format.Layout()
	if what := differs(&s.layout.Header, &l.Header); what != "" {
		return false, fmt.Errorf("%s: the peer came back with another stream: %s; start again with it", s.Address, what)
	}
	s.Format, s.layout, s.track.layout = r.format, l, l
	s.first, s.learning = r.kept, nil
	s.back(s.first[0].stamp)
	return true, nil
}

// back tells that the peer is back.
func (s *Source) back(at stream.Time) {
	s.away, s.returned = max(0, at-s.heard), true
	s.restarted(at, fmt.Sprintf("connected again, %.1f s after the last packet", s.away.Seconds()))
	s.broken |= stream.Gap
}

// resume looks at the first record of a connection made anew. An index that has gone on
// counting says exactly what is missing. Else the number of columns is estimated from the
// time that passed, and the column index does not count them.
func (s *Source) resume(r *Record) {
	s.returned = false
	if r.Has&EvidenceIndex != 0 && r.Index >= s.track.next {
		return
	}
	s.track.forget()
	s.arrivals = arrivals{period: s.arrivals.period, late: s.arrivals.late}
	if n := int64(math.Round(s.away.Seconds()*s.header.Rate)) - int64(r.Columns); n > 0 {
		s.counts.Gaps++
		s.estimated(n)
	}
}

// differs says how two streams differ for whoever reads them; "" if they do not.
func differs(old, now *stream.Header) string {
	if len(old.Channels) != len(now.Channels) {
		return fmt.Sprintf("%d channels instead of %d", len(now.Channels), len(old.Channels))
	}
	if old.Rate != now.Rate {
		return fmt.Sprintf("%g Hz instead of %g Hz", now.Rate, old.Rate)
	}
	for i := range old.Channels {
		a, b := &old.Channels[i], &now.Channels[i]
		switch {
		case a.Label != b.Label:
			return fmt.Sprintf("channel %d is %q instead of %q", i+1, b.Label, a.Label)
		case a.Unit != b.Unit:
			return fmt.Sprintf("channel %q is in %q instead of %q", a.Label, b.Unit, a.Unit)
		}
	}
	return ""
}
