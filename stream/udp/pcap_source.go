package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"sort"
	"strings"
	"time"

	"neurostream/stream"
)

// captured brings the datagrams of a capture, one destination port of it, at the pace
// they were captured with or another.
//
//	file ─► guard ─► frame ─► dissector ─► port ─► pace ─► Datagram, stamped as captured
type captured struct {
	reader *captureReader
	find   dissector
	port   uint16
	speed  float64
	clock  stream.Clock
	timer  stream.Timer
	ctx    context.Context
	onTick func(late time.Duration)

	at      Datagram
	have    bool // at holds a datagram that is not due yet
	begun   bool
	origin  stream.Time // our clock at the first datagram
	first   stream.Time // its stamp
	newest  stream.Time
	packet  packet
	skipped captureSkips
}

// captureSkips counts the frames that brought no datagram.
type captureSkips struct {
	other, truncated, malformed int64
}

// OpenCapture returns the unopened source that replays a pcap or pcapng file. Several
// destination ports in it need port=.
func OpenCapture(path string, values url.Values) (*Source, error) {
	s, o, err := newSource("pcap:"+path, values, UDP)
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, errors.New("pcap: which file? write pcap:NAME?format=FORMAT")
	}
	s.Speed = o.speed
	s.open = func(ctx context.Context, s *Source) (carrier, error) {
		port, err := choosePort(path, uint16(o.port), s.FormatName)
		if err != nil {
			return nil, err
		}
		r, err := openCapture(path)
		if err != nil {
			return nil, captureProblem(path, err)
		}
		c := &captured{reader: r, port: port, speed: s.Speed, clock: s.Clock, ctx: ctx, onTick: s.OnTick}
		if c.speed > 0 {
			c.timer = s.Clock.Timer(ctx)
		}
		return c, nil
	}
	return s, nil
}

func captureProblem(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: this file may not be read", path)
	}
	return err
}

// Limits of the look at a capture before it is replayed.
const (
	surveyFrames = 200_000
	surveyPorts  = 64
)

// survey is what the beginning of a capture holds.
type survey struct {
	ports  map[uint16]*traffic
	tcp    map[uint16]int
	frames int
}

func surveyCapture(path string) (*survey, error) {
	r, err := openCapture(path)
	if err != nil {
		return nil, captureProblem(path, err)
	}
	defer r.close()
	s := &survey{ports: map[uint16]*traffic{}, tcp: map[uint16]int{}}
	var d dissector
	var p packet
	for s.frames < surveyFrames {
		link, frame, at, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		s.frames++
		switch d.find(link, frame, at, &p) {
		case foundUDP:
			if s.ports[p.dst.Port()] != nil || len(s.ports) < surveyPorts {
				trafficList(s.ports).add(p.dst.Port(), p.data)
			}
		case foundTCP:
			if len(s.tcp) < surveyPorts {
				s.tcp[p.src.Port()]++
			}
		}
	}
	return s, nil
}

// choosePort finds the port to replay: the one asked for; the only one; or the only one
// whose packets look like the format.
func choosePort(path string, want uint16, format string) (uint16, error) {
	s, err := surveyCapture(path)
	if err != nil {
		return 0, err
	}
	heard := trafficListText(s.ports)
	switch {
	case s.frames == 0:
		return 0, fmt.Errorf("%s: the capture holds no frames", path)
	case want != 0:
		if s.ports[want] == nil && s.frames < surveyFrames {
			return 0, fmt.Errorf("%s: nothing was sent to UDP port %d; %s", path, want, heard)
		}
		return want, nil
	case len(s.ports) == 0:
		text := fmt.Sprintf("%s: no UDP datagram in %d frames", path, s.frames)
		if len(s.tcp) > 0 {
			text += "; what it holds of TCP cannot be replayed: connect to the server itself, or record with bci run --to xdf:"
		}
		return 0, errors.New(text)
	case len(s.ports) == 1:
		for p := range s.ports {
			return p, nil
		}
	}
	var like []uint16
	for p, t := range s.ports {
		if g := Sniff(t.samples); len(g) > 0 && g[0].Name == format && g[0].Like >= 0.5 {
			like = append(like, p)
		}
	}
	if len(like) == 1 {
		return like[0], nil
	}
	sort.Slice(like, func(i, j int) bool { return like[i] < like[j] })
	return 0, fmt.Errorf("%s: which port? write port=; %s", path, heard)
}

func trafficListText(l trafficList) string {
	if len(l) == 0 {
		return "it holds no UDP datagrams"
	}
	return "it holds " + l.String()
}

// Next returns the next datagram when it is due.
func (c *captured) Next(time.Duration) (*Datagram, error) {
	if !c.have {
		if err := c.read(); err != nil {
			return nil, err
		}
	}
	if c.timer != nil {
		if !c.begun {
			c.origin, c.first = c.clock.Now(), c.at.Stamp
		}
		due := c.origin + stream.Time(float64(c.at.Stamp-c.first)/c.speed)
		if c.clock.Now() < due {
			if err := c.timer.Wait(due); err != nil {
				return nil, err
			}
			if c.onTick != nil {
				c.onTick(time.Duration(c.clock.Now() - due))
			}
		}
	} else if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	c.begun, c.have = true, false
	return &c.at, nil
}

// read finds the next datagram to the port. Stamps of a capture do not step back: its
// frames may come from several interfaces.
func (c *captured) read() error {
	for {
		link, frame, at, err := c.reader.next()
		if err != nil {
			return err
		}
		switch c.find.find(link, frame, at, &c.packet) {
		case foundUDP:
			if c.packet.dst.Port() != c.port {
				continue
			}
			c.newest = max(c.newest, at)
			c.at = Datagram{Data: c.packet.data, From: c.packet.src, Stamp: c.newest, Kernel: true}
			c.have = true
			return nil
		case foundTruncated:
			c.skipped.truncated++
		case foundMalformed:
			c.skipped.malformed++
		default:
			c.skipped.other++
		}
	}
}

// Buffered reports whether the next datagram is due: unpaced, always.
func (c *captured) Buffered() bool {
	if !c.have && c.read() != nil {
		return true // the end, or the fault, is at hand
	}
	return c.timer == nil || c.begun && c.clock.Now() >= c.origin+stream.Time(float64(c.at.Stamp-c.first)/c.speed)
}

// notes says what the capture does not show.
func (c *captured) notes() []string {
	var out []string
	if n := c.skipped.truncated; n > 0 {
		out = append(out, fmt.Sprintf("%d frames were captured only in part (snap length); what was in them is missing", n))
	}
	if n := c.skipped.malformed + c.find.fragments.lost; n > 0 {
		out = append(out, fmt.Sprintf("%d frames are damaged or parts of datagrams that are not whole", n))
	}
	if c.reader.guard.cut {
		out = append(out, "the file was cut off inside a frame; everything before it was read")
	}
	return out
}

func (c *captured) Close() error {
	if c.timer != nil {
		c.timer.Stop()
	}
	return c.reader.close()
}

// Captured describes a capture for a person: its ports and what they look like.
func Captured(path string) (string, error) {
	s, err := surveyCapture(path)
	if err != nil {
		return "", err
	}
	text := trafficListText(s.ports)
	return fmt.Sprintf("%s: %d frames; %s", path, s.frames, strings.TrimPrefix(text, "it ")), nil
}
