package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"time"

	"neurostream/stream"
)

// Impairments are what a simulated network does to datagrams, by a seed: the same seed
// does the same.
type Impairments struct {
	Drop, Double, Reorder, Corrupt float64 // probabilities per datagram
	Jitter                         float64 // seconds, mean of an exponential delay
	Seed                           uint64
}

// Sent counts datagrams, and what was done to them.
type Sent struct {
	Datagrams int64 `json:"datagrams"`
	Bytes     int64 `json:"bytes"`
	Columns   int64 `json:"-"`
	Dropped   int64 `json:"dropped"`
	Doubled   int64 `json:"doubled"`
	Reordered int64 `json:"reordered"`
	Corrupted int64 `json:"corrupted"`
}

// Player sends what a Simulator makes, when it is due.
type Player struct {
	Simulator *Simulator
	Speed     float64 // seconds of data per second; 0 = as fast as it goes
	Impair    Impairments
	Clock     stream.Clock // nil = stream.Wall
	For       float64      // seconds of data; 0 = until the simulator ends

	random *rand.Rand
	held   []byte // a datagram that the next one overtakes
	sent   Sent
}

// Play sends until the simulator or ctx ends; the latter is no error.
func (p *Player) Play(ctx context.Context, to io.Writer) error {
	if p.Clock == nil {
		p.Clock = stream.Wall{}
	}
	if !(p.Speed >= 0) || math.IsInf(p.Speed, 0) {
		return fmt.Errorf("speed %v is impossible: 1 is real time, 0 as fast as it goes", p.Speed)
	}
	p.random = rand.New(rand.NewPCG(p.Impair.Seed, 0x756470))
	timer := p.Clock.Timer(ctx)
	defer timer.Stop()
	origin, first := p.Clock.Now(), stream.Time(0)
	var buf []byte
	newest := stream.Time(0)
	for n := 0; ; n++ {
		packet, due, err := p.Simulator.Packet(buf[:0])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n == 0 {
			first = due
		}
		if p.For > 0 && (due-first).Seconds() > p.For {
			break
		}
		if p.Speed > 0 {
			at := origin + stream.Time(float64(due-first)/p.Speed)
			if j := p.Impair.Jitter; j > 0 {
				at += stream.Time(p.random.ExpFloat64() * j * 1e9)
			}
			newest = max(newest, at)
			if err := timer.Wait(newest); err != nil {
				break
			}
		} else if ctx.Err() != nil {
			break
		}
		if err := p.pass(to, packet); err != nil {
			return err
		}
		buf = packet
	}
	if p.held != nil {
		return p.write(to, p.held)
	}
	return nil
}

// pass sends a packet through the simulated network.
func (p *Player) pass(to io.Writer, packet []byte) error {
	i := &p.Impair
	x := 1.0
	if i.Drop+i.Double+i.Reorder+i.Corrupt > 0 {
		x = p.random.Float64()
	}
	hold := false
	switch {
	case x < i.Drop:
		p.sent.Dropped++
		return nil
	case x < i.Drop+i.Double:
		p.sent.Doubled++
		if err := p.write(to, packet); err != nil {
			return err
		}
	case x < i.Drop+i.Double+i.Corrupt:
		p.sent.Corrupted++
		packet = packet[:len(packet)-1]
	case x < i.Drop+i.Double+i.Corrupt+i.Reorder:
		hold = p.held == nil
	}
	if hold {
		p.sent.Reordered++
		p.held = append([]byte(nil), packet...)
		return nil
	}
	if err := p.write(to, packet); err != nil {
		return err
	}
	if p.held != nil {
		packet, p.held = p.held, nil
		return p.write(to, packet)
	}
	return nil
}

func (p *Player) write(to io.Writer, packet []byte) error {
	_, err := to.Write(packet)
	if err != nil && refused(err) { // nobody listens yet
		_, err = to.Write(packet)
		if err != nil && refused(err) {
			err = nil
		}
	}
	p.sent.Datagrams++
	p.sent.Bytes += int64(len(packet))
	return err
}

// Sent returns what has been sent; after Play.
func (p *Player) Sent() Sent { return p.sent }

// Dial opens a socket that sends to an endpoint.
func Dial(ctx context.Context, place, iface string) (*net.UDPConn, error) {
	e, err := ParseEndpoint(place)
	if err != nil {
		return nil, err
	}
	e.Interface = iface
	return e.dial(ctx)
}

// SimulatorStart is when a simulated stream begins that is sent now.
func SimulatorStart() stream.Time { return stream.Time(time.Now().UnixNano()) }
