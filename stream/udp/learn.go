package udp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sort"
	"strings"
	"time"

	"neurostream/stream"
)

// QuietError says that nothing was heard.
type QuietError struct {
	Address string
	Waited  time.Duration
	Heard   string // what is heard elsewhere; "" when nothing is, or when nobody may look
	Hint    string
}

func (e *QuietError) Error() string {
	s := fmt.Sprintf("nothing arrived on %s within %v", e.Address, e.Waited)
	if e.Heard != "" {
		s += "; " + e.Heard
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// FormatError says that what arrives is not of the format asked for.
type FormatError struct {
	Address, Format string
	Why             string  // what the format says about a packet
	Shown           string  // the beginning of that packet
	Packets         int     // that were looked at
	Guesses         []Guess // what they look like
}

func (e *FormatError) Error() string {
	var s string
	if e.Format == "" {
		s = fmt.Sprintf("%s: which format? write format=NAME", e.Address)
	} else {
		s = fmt.Sprintf("%s: %d packets came, none can be used as %s (%s); they begin with %s", e.Address, e.Packets, e.Format, e.Why, e.Shown)
	}
	switch likely := e.likely(); {
	case len(likely) > 0:
		s += "; they look like " + strings.Join(likely, " or ") + ": write format=" + likely[0]
	case e.Packets == 0:
	case e.Format == "":
		s += fmt.Sprintf("; what comes, %s, looks like none that is known: describe it with format=raw or with a YAML file (bci simulate --list names the formats)", e.Shown)
	default:
		s += "; they look like no other format that is known"
	}
	return s
}

// likely lists the formats that the packets look like, but for the one asked for.
func (e *FormatError) likely() []string {
	var out []string
	for _, g := range e.Guesses {
		if g.Name != e.Format && g.Like >= 0.5 && (len(out) == 0 || g.Like >= 0.9*e.Guesses[0].Like) && len(out) < 3 {
			out = append(out, g.Name)
		}
	}
	return out
}

// prepare makes the format; a second instance tries the first packets, so that the
// first one decodes each of them once.
func (s *Source) prepare() (try Format, ready bool, err error) {
	if s.make == nil {
		return nil, false, nil
	}
	if s.Format, err = s.make(); err == nil {
		if try, err = s.make(); err == nil {
			if ready, err = s.Format.Learn(nil); err == nil {
				_, err = try.Learn(nil)
			}
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", s.Address, err)
	}
	return try, ready, nil
}

// learn reads the first packets until the layout is known and one of them could be
// decoded; all of them are kept for Read.
func (s *Source) learn(try Format, ready bool) error {
	var trial *stream.Chunk
	var samples [][]byte
	var why, shown string
	good, bad := 0, 0
	limit := time.Time{}
	if s.Timeout > 0 && s.live {
		limit = time.Now().Add(s.Timeout)
	}
	var around func() (heard, hint string)
	defer func() {
		if around != nil {
			around()
		}
	}()
	for {
		wait := time.Duration(0)
		if !limit.IsZero() {
			if wait = time.Until(limit); wait <= 0 {
				stop := around
				around = nil
				return s.unheard(samples, why, shown, stop)
			}
			if len(samples) == 0 && around == nil && wait < s.Timeout*2/3 && s.around != nil {
				around = s.around()
			}
			wait = max(wait/4, time.Millisecond) // waits are coarse
		}
		d, err := s.carrier.Next(wait)
		switch {
		case errors.Is(err, ErrQuiet):
			continue
		case errors.Is(err, io.EOF):
			return s.unheard(samples, why, shown, nil)
		case err != nil:
			return err
		}
		if !s.fixed(d.From) || good > 0 && d.From != s.sender {
			s.counts.Strangers++
			continue
		}
		if len(samples) < 16 {
			samples = append(samples, bytes.Clone(d.Data))
		}
		if s.Format == nil {
			if len(samples) >= 4 || time.Until(limit) < s.Timeout/2 {
				return s.unheard(samples, "", glimpse(samples[0]), nil)
			}
			continue
		}
		if !ready {
			if ready, err = s.Format.Learn(d.Data); err == nil || errors.Is(err, ErrOther) {
				_, err = try.Learn(d.Data)
			}
		}
		if ready && err == nil {
			if trial == nil {
				s.layout = s.Format.Layout()
				trial = stream.NewChunk(&s.layout.Header)
			}
			trial.Clear()
			if err = try.Decode(trial, d.Data); errors.Is(err, ErrEnd) {
				err = nil
			}
		}
		switch {
		case err == nil:
			if good++; good == 1 {
				s.sender = d.From
				s.first = s.from(d.From)
			}
		case errors.Is(err, ErrOther):
		default:
			bad++
			why, shown = err.Error(), glimpse(d.Data)
			if good == 0 && bad >= wrongPackets {
				return s.unheard(samples, why, shown, nil)
			}
		}
		if len(s.first) == firstPackets {
			return fmt.Errorf("%s: the layout is not known after %d packets as %s: %s", s.Address, firstPackets, s.FormatName, orNothing(why))
		}
		s.first = append(s.first, kept{bytes.Clone(d.Data), d.Stamp, d.From})
		if ready && good > 0 && (trial.Len > 0 || len(trial.Markers) > 0 || len(s.first) >= wrongPackets) {
			return nil
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "the packets do not say enough (see bci simulate --list for what has to stand in the URL)"
	}
	return s
}

// from returns the kept packets of one sender.
func (s *Source) from(sender netip.AddrPort) []kept {
	var out []kept
	for _, k := range s.first {
		if k.from == sender {
			out = append(out, k)
		}
	}
	return out
}

// unheard says why a stream did not begin.
func (s *Source) unheard(samples [][]byte, why, shown string, around func() (heard, hint string)) error {
	if len(samples) > 0 {
		e := &FormatError{Address: s.Address, Format: s.FormatName, Why: why, Shown: shown, Packets: len(samples), Guesses: Sniff(samples)}
		if e.Why == "" {
			e.Why = "they do not tell the layout"
		}
		return e
	}
	e := &QuietError{Address: s.Address, Waited: s.Timeout}
	if around != nil {
		e.Heard, e.Hint = around()
	}
	if !s.live {
		return fmt.Errorf("%s: the capture holds no datagram of this stream", s.Address)
	}
	return e
}

// traffic is what was heard on one port.
type traffic struct {
	port    uint16
	packets int
	samples [][]byte
}

// trafficList gathers what is heard, by destination port.
type trafficList map[uint16]*traffic

const trafficPorts = 32 // that are kept apart

func (l trafficList) add(port uint16, data []byte) {
	t := l[port]
	if t == nil {
		if len(l) >= trafficPorts {
			return
		}
		t = &traffic{port: port}
		l[port] = t
	}
	t.packets++
	if len(t.samples) < 8 {
		t.samples = append(t.samples, bytes.Clone(data))
	}
}

// String describes the busiest ports, with the format that their packets look like.
func (l trafficList) String() string {
	var list []*traffic
	for _, t := range l {
		list = append(list, t)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.packets > b.packets || a.packets == b.packets && a.port < b.port
	})
	var out []string
	for _, t := range list[:min(len(list), 4)] {
		s := fmt.Sprintf("%d on port %d", t.packets, t.port)
		if g := Sniff(t.samples); len(g) > 0 && g[0].Like >= 0.5 {
			s += " (" + g[0].Name + "?)"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}
