package udp

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"

	"neurostream/stream"
)

// Simulator plays a device: columns in, packets out, each with the time at which a
// real one would send it. The same seed gives the same bytes.
type Simulator struct {
	Header stream.Header
	// Fill makes the next columns of the chunk, whose Len says how many and whose
	// Seq is the first; io.EOF ends. Nil: rhythms and noise from the seed.
	Fill func(*stream.Chunk) error

	enc   Encoder
	chunk *stream.Chunk
	at    int      // columns of chunk already used
	queue [][]byte // preamble
	ended bool
	noise *rand.Rand
	first stream.Time
}

// NewSimulator makes a device that sends the format. h nil: the format's usual
// device. start is the time of the first column.
func NewSimulator(format string, values url.Values, h *stream.Header, seed uint64, start stream.Time) (*Simulator, error) {
	t, err := FormatNamed(format)
	if err != nil {
		return nil, err
	}
	e, err := NewEncoder(format, values)
	if err != nil {
		return nil, err
	}
	s := &Simulator{enc: e, first: start, noise: rand.New(rand.NewPCG(seed, 0x6e737472))}
	if h != nil {
		s.Header = h.Clone()
	} else {
		s.Header = t.Device()
	}
	if s.Header.MaxLen < 1 {
		s.Header.MaxLen = 1
	}
	if err := s.Header.Validate(); err != nil {
		return nil, err
	}
	if err := e.Open(s.Header); err != nil {
		return nil, err
	}
	s.chunk = stream.NewChunk(&s.Header)
	bytes, lens := e.Preamble(nil)
	for _, n := range lens {
		s.queue = append(s.queue, bytes[:n:n])
		bytes = bytes[n:]
	}
	return s, nil
}

// Packet appends the next packet to dst and says when it is due: when its newest
// column has happened. It ends with io.EOF.
func (s *Simulator) Packet(dst []byte) ([]byte, stream.Time, error) {
	if len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		return append(dst, p...), s.time(s.at), nil
	}
	from := len(dst)
	for {
		if s.ended {
			return dst, 0, io.EOF
		}
		if s.at == s.chunk.Len {
			if err := s.fill(); err != nil {
				s.ended = true
				if dst = s.enc.Finish(dst); err == io.EOF && len(dst) > from {
					return dst, s.time(s.chunk.Len), nil
				}
				return dst, 0, err
			}
		}
		var n int
		dst, n = s.enc.Encode(dst, s.chunk, s.at, s.chunk.Len)
		s.at += n
		if len(dst) > from {
			return dst, s.time(s.at), nil
		}
	}
}

func (s *Simulator) time(col int) stream.Time {
	if s.Header.Rate <= 0 {
		return s.chunk.T0
	}
	return s.first + stream.Time(math.RoundToEven(float64(s.chunk.Seq+int64(col))/s.Header.Rate*1e9))
}

func (s *Simulator) fill() error {
	c := s.chunk
	next := c.Seq + int64(c.Len)
	c.Clear()
	c.Seq = next
	c.Resize(s.Header.MaxLen)
	c.T0 = s.time(0)
	s.at = 0
	if s.Fill != nil {
		if err := s.Fill(c); err != nil {
			c.Len = 0
			return err
		}
		return nil
	}
	return s.make(c)
}

// make fills a chunk whose Seq and Len say which columns are wanted.
func (s *Simulator) make(c *stream.Chunk) error {
	next := c.Seq
	// A rhythm of 10 Hz whose strength and phase differ by channel, noise, and a
	// marker every two seconds; whole 64ths of a unit, exact as float32 and as text.
	for ch := range c.Rows() {
		for col := range c.Len {
			t := float64(next+int64(col)) / max(s.Header.Rate, 1)
			v := 20*math.Sin(2*math.Pi*(10*t+float64(ch)/16)) + 5*s.noise.NormFloat64()
			c.Set(ch, col, math.RoundToEven(v*64)/64)
		}
	}
	if period := int64(2 * s.Header.Rate); period > 0 {
		for col := range c.Len {
			if n := next + int64(col); n > 0 && n%period == 0 {
				c.Markers = append(c.Markers, stream.Marker{Column: col, Label: fmt.Sprintf("T%d", 1+n/period%2)})
			}
		}
	}
	return nil
}
