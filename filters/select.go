package filters

import (
	"fmt"
	"strings"

	"neurostream/stream"
)

// Select keeps some channels, in the order given.
type Select struct {
	Channels []string // labels

	from []int
}

// Open finds the channels.
func (s *Select) Open(in stream.Header) (stream.Header, error) {
	if len(s.Channels) == 0 {
		return stream.Header{}, fmt.Errorf("channels is empty; name the channels to keep, e.g. [C3, Cz, C4]")
	}
	out := in
	out.Channels = nil
	s.from = s.from[:0]
	for _, l := range s.Channels {
		ch := in.Index(l)
		if ch < 0 {
			return stream.Header{}, unknownChannel("channels", l, &in)
		}
		s.from = append(s.from, ch)
		out.Channels = append(out.Channels, in.Channels[ch])
	}
	return out, nil
}

// Process copies the channels.
func (s *Select) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	dst.Flags &^= stream.Bad
	for k := range dst.Tiles() {
		clear(dst.Bad(k))
	}
	for to, from := range s.from {
		a, b := src.Tile(from/stream.Lanes), dst.Tile(to/stream.Lanes)
		la, lb := from%stream.Lanes, to%stream.Lanes
		for i := range a {
			v := a[i][la]
			if v-v != 0 {
				v = 0
				dst.MarkBad(to, i)
			} else if src.IsBad(from, i) {
				dst.MarkBad(to, i)
			}
			b[i][lb] = v
		}
	}
}

// Reset does nothing: there is no memory.
func (s *Select) Reset() {}

// unknownChannel names the setting, the label, and the nearest there is.
func unknownChannel(setting, label string, in *stream.Header) error {
	for _, c := range in.Channels {
		if strings.EqualFold(strings.Trim(c.Label, ". "), strings.Trim(label, ". ")) {
			return fmt.Errorf("%s: there is no channel %q; did you mean %q?", setting, label, c.Label)
		}
	}
	shown := in.Labels()
	more := ""
	if len(shown) > 8 {
		more = fmt.Sprintf(", ... (%d in all)", len(shown))
		shown = shown[:8]
	}
	return fmt.Errorf("%s: there is no channel %q; the stream has %s%s", setting, label, strings.Join(shown, ", "), more)
}
