package xdf

import (
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"neurostream/stream"
)

// Offset is a measurement of clocks: Value is to be added to stamps of the sender's
// clock around Time (also of the sender's clock) to get the recorder's time.
type Offset struct{ Time, Value float64 }

// Stream is one stream of a file. One goroutine at a time may read from the
// streams of a file.
type Stream struct {
	ID     uint32
	Info   Info
	Footer *Element // nil when there is none; its numbers are not to be trusted

	file      *File
	stamps    []float64
	offsets   []Offset
	chunks    []chunkRef
	announced int64 // the footer's sample_count, when closed
	closed    bool

	last    float64 // stamp of the newest sample; deduced ones continue it
	doubted bool    // samples may be missing after it
	pending int     // number of newest samples whose stamps are deduced all the same

	buf    []byte // the chunk called held
	offs   []int  // offset in buf of each of its samples
	held   int    // index into chunks
	loaded bool
}

// Len returns the number of samples.
func (s *Stream) Len() int64 { return int64(len(s.stamps)) }

// Stamps returns the stamps as recorded: seconds of the sender's clock, deduced ones
// filled in. The slice is the stream's own.
func (s *Stream) Stamps() []float64 { return s.stamps }

// Offsets returns the measurements of the sender's clock against the recorder's.
func (s *Stream) Offsets() []Offset { return s.offsets }

// Regular reports whether samples come at a fixed rate.
func (s *Stream) Regular() bool { return s.Info.Rate > 0 }

// push takes in the stamps of a chunk. It reports whether some are doubtful: deduced
// when it was not known whether they continue the one before.
func (s *Stream) push(stamps []float64, explicit []bool) (doubtful bool) {
	step := 0.0
	if s.Info.Rate > 0 {
		step = 1 / s.Info.Rate
	}
	for i, t := range stamps {
		if explicit[i] {
			s.resolve(t, step)
		} else {
			t = s.last + step
			if s.doubted {
				s.pending++
				doubtful = true
			}
		}
		s.stamps = append(s.stamps, t)
		s.last = t
	}
	return doubtful
}

// doubt says that samples may be missing from here on. Stamps that were deduced
// after earlier damage can no longer be placed and stay as they are.
func (s *Stream) doubt() { s.doubted, s.pending = true, 0 }

// resolve gives the deduced stamps after damage their place: when the next explicit
// stamp t is where it would be had nothing been lost, they stand; else they are
// counted back from t.
func (s *Stream) resolve(t, step float64) {
	n := len(s.stamps)
	if s.pending > 0 && math.Abs(s.last+step-t) > 0.5*step {
		for k := 1; k <= s.pending; k++ {
			s.stamps[n-k] = t - float64(float64(k)*step)
		}
	}
	s.pending, s.doubted = 0, false
}

// find returns the index of the chunk that holds sample i.
func (s *Stream) find(i int64) int {
	lo, hi := 0, len(s.chunks)
	if s.loaded { // reading goes forward most of the time
		for c := s.held; c < min(s.held+2, hi); c++ {
			if r := &s.chunks[c]; i >= r.first && i < r.first+int64(r.n) {
				return c
			}
		}
	}
	for lo < hi {
		mid := (lo + hi) / 2
		if r := &s.chunks[mid]; i >= r.first+int64(r.n) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// load makes chunk c the one in memory.
func (s *Stream) load(c int) error {
	if s.loaded && s.held == c {
		return nil
	}
	r := &s.chunks[c]
	n := int(r.end - r.samples)
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf, s.loaded = s.buf[:n], false
	if got, err := s.file.r.ReadAt(s.buf, r.samples); got < n {
		return fmt.Errorf("%s: byte %d: %w", s.file.path, r.samples, err)
	}
	s.offs = s.offs[:0]
	at := 0
	for range r.n {
		size, _, explicit, ok := nextSample(s.buf[at:], &s.Info)
		if !ok {
			return fmt.Errorf("%s: byte %d: the file changed while it was open", s.file.path, r.samples+int64(at))
		}
		values := at + 1
		if explicit {
			values += 8
		}
		s.offs = append(s.offs, values)
		at += size
	}
	s.held, s.loaded = c, true
	return nil
}

// each calls visit with the encoded values of samples from to to-1.
func (s *Stream) each(from, to int64, visit func(i int64, values []byte)) error {
	if from < 0 || to > s.Len() || from > to {
		return fmt.Errorf("%s: samples %d to %d of stream %q asked for; it has %d", s.file.path, from, to, s.Info.Name, s.Len())
	}
	for i := from; i < to; {
		c := s.find(i)
		if err := s.load(c); err != nil {
			return err
		}
		r := &s.chunks[c]
		for ; i < to && i < r.first+int64(r.n); i++ {
			visit(i, s.buf[s.offs[i-r.first]:])
		}
	}
	return nil
}

// ReadFloats decodes samples from to from+n-1 of a numeric stream, n being
// len(dst) divided by the number of channels: sample by sample, channel by channel.
func (s *Stream) ReadFloats(dst []float64, from int64) error {
	if s.Info.Format == String {
		return fmt.Errorf("%s: stream %q holds strings, not numbers; use ReadStrings", s.file.path, s.Info.Name)
	}
	ch := len(s.Info.Channels)
	return s.each(from, from+int64(len(dst)/ch), func(i int64, b []byte) {
		s.Info.Format.floats(dst[int(i-from)*ch:][:ch], b)
	})
}

// ReadInts is ReadFloats for integer formats, exact also for int64.
func (s *Stream) ReadInts(dst []int64, from int64) error {
	switch s.Info.Format {
	case String, Float32, Double64:
		return fmt.Errorf("%s: stream %q holds %v values, not integers", s.file.path, s.Info.Name, s.Info.Format)
	}
	ch, w := len(s.Info.Channels), s.Info.Format.Size()
	return s.each(from, from+int64(len(dst)/ch), func(i int64, b []byte) {
		row := dst[int(i-from)*ch:][:ch]
		for k := range row {
			row[k] = s.Info.Format.integer(b[k*w:])
		}
	})
}

// ReadStrings is ReadFloats for string streams. Bytes that are not UTF-8 become
// U+FFFD, one for each longest beginning of a character.
func (s *Stream) ReadStrings(dst []string, from int64) error {
	if s.Info.Format != String {
		return fmt.Errorf("%s: stream %q holds %v values, not strings; use ReadFloats", s.file.path, s.Info.Name, s.Info.Format)
	}
	ch := len(s.Info.Channels)
	return s.each(from, from+int64(len(dst)/ch), func(i int64, b []byte) {
		row := dst[int(i-from)*ch:][:ch]
		for k := range row {
			n, w := varlen(b)
			row[k] = validText(b[w : w+int(n)])
			b = b[w+int(n):]
		}
	})
}

// ReadAt fills dst with the samples of a numeric stream from column from on, at most
// dst.Cap of them, as recordings.Recording does. It does not allocate in steady
// state.
func (s *Stream) ReadAt(dst *stream.Chunk, from int64) error {
	if s.Info.Format == String {
		return fmt.Errorf("%s: stream %q holds strings, not numbers", s.file.path, s.Info.Name)
	}
	if from < 0 {
		return fmt.Errorf("%s: column %d asked for; columns count from 0", s.file.path, from)
	}
	dst.Resize(0)
	left := s.Len() - from
	if left <= 0 {
		return io.EOF
	}
	n := int(min(left, int64(dst.Cap())))
	dst.Resize(n)
	w, ch := s.Info.Format.Size(), len(s.Info.Channels)
	for col := 0; col < n; {
		i := from + int64(col)
		c := s.find(i)
		if err := s.load(c); err != nil {
			dst.Resize(0)
			return err
		}
		r := &s.chunks[c]
		k := int(i - r.first)
		part := min(n-col, r.n-k)
		for t := range dst.Tiles() {
			tile := dst.Tile(t)[col : col+part]
			lanes := min(stream.Lanes, ch-t*stream.Lanes)
			for j := range tile {
				s.Info.Format.floats(tile[j][:lanes], s.buf[s.offs[k+j]+t*stream.Lanes*w:])
			}
		}
		col += part
	}
	return nil
}

// validText returns b as UTF-8. What is none is replaced by maximal subparts (Unicode
// 16, §3.9), as Python does and Go's own conversions do not.
func validText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			// b[:n] is the beginning of a character as long as more bytes can follow.
			for n < len(b) && n < 3 && beginning(b[:n+1]) {
				n++
			}
		}
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return string(out)
}

// beginning reports whether b, two or three bytes, begins a longer character.
func beginning(b []byte) bool {
	for _, last := range [...]byte{0x80, 0xbf} {
		full := append(append(make([]byte, 0, 4), b...), last, last)
		for n := len(b) + 1; n <= 4; n++ {
			if utf8.Valid(full[:n]) {
				return true
			}
		}
	}
	return false
}
