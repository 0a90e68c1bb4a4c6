package stream

import (
	"fmt"
	"math"
	"strings"
)

// Channel describes one row of a stream.
type Channel struct {
	Label    string     // unique within the stream, e.g. "C3" or "power C3 8-13 Hz"
	Unit     string     // e.g. "uV", "uV^2/Hz", "probability"; "" when dimensionless
	Type     string     // e.g. "EEG", "EOG", "feature", "decision"
	Position [3]float64 // head coordinates in metres (x right, y front, z up); see Placed
	Placed   bool       // whether Position is known
}

// Header describes a stream. It is fixed from Open to Close.
type Header struct {
	Name     string
	Rate     float64   // columns per second; 0 = irregular, then every chunk holds at most one column
	Channels []Channel // one per row
	MaxLen   int       // longest chunk this stream carries, in columns; at least 1
	Delay    float64   // seconds of algorithmic delay accumulated so far (group delays, half windows)
	Settle   float64   // seconds after a start or restart during which outputs are not yet trustworthy
}

// Rows returns the number of channels.
func (h *Header) Rows() int { return len(h.Channels) }

// Index returns the row of the channel with this label, or -1.
func (h *Header) Index(label string) int {
	for i := range h.Channels {
		if h.Channels[i].Label == label {
			return i
		}
	}
	return -1
}

// Labels returns the channel labels in row order.
func (h *Header) Labels() []string {
	out := make([]string, len(h.Channels))
	for i := range h.Channels {
		out[i] = h.Channels[i].Label
	}
	return out
}

// Clone returns a header that shares no memory with h.
func (h *Header) Clone() Header {
	c := *h
	c.Channels = append([]Channel(nil), h.Channels...)
	return c
}

// Limits on what a header may announce. They bound the memory that a hostile
// file or peer can make us allocate.
const (
	MaxChannels = 1 << 16
	MaxColumns  = 1 << 22
	maxCells    = 1 << 28 // 2 GiB of float64
)

// Validate reports the first thing that makes h unusable.
func (h *Header) Validate() error {
	switch n := len(h.Channels); {
	case n == 0:
		return fmt.Errorf("stream %q has no channels", h.Name)
	case n > MaxChannels:
		return fmt.Errorf("stream %q announces %d channels; the limit is %d", h.Name, n, MaxChannels)
	case h.MaxLen < 1 || h.MaxLen > MaxColumns:
		return fmt.Errorf("stream %q announces chunks of up to %d columns; allowed are 1 to %d", h.Name, h.MaxLen, MaxColumns)
	case n*h.MaxLen > maxCells:
		return fmt.Errorf("stream %q announces chunks of %d x %d cells; the limit is %d cells", h.Name, n, h.MaxLen, maxCells)
	case math.IsNaN(h.Rate) || math.IsInf(h.Rate, 0) || h.Rate < 0:
		return fmt.Errorf("stream %q announces a rate of %v Hz; a rate is positive, or 0 for irregular", h.Name, h.Rate)
	case h.Rate == 0 && h.MaxLen != 1:
		return fmt.Errorf("stream %q is irregular, so its chunks hold one column, not %d", h.Name, h.MaxLen)
	case !(h.Delay >= 0) || math.IsInf(h.Delay, 0):
		return fmt.Errorf("stream %q announces a delay of %v s", h.Name, h.Delay)
	case !(h.Settle >= 0) || math.IsInf(h.Settle, 0):
		return fmt.Errorf("stream %q announces a settling time of %v s", h.Name, h.Settle)
	}
	seen := make(map[string]int, len(h.Channels))
	for i := range h.Channels {
		l := h.Channels[i].Label
		if strings.TrimSpace(l) == "" {
			return fmt.Errorf("stream %q: channel %d has no label", h.Name, i+1)
		}
		if j, dup := seen[l]; dup {
			return fmt.Errorf("stream %q: channels %d and %d are both called %q", h.Name, j+1, i+1, l)
		}
		seen[l] = i
	}
	return nil
}
