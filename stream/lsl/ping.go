package lsl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"neurostream/stream"
)

// Ping exchanges single clock probes with the service port of one stream's sender:
// how far away it is, how steadily, and how its clock stands to ours. One goroutine
// uses it.
type Ping struct {
	clock stream.Clock
	conn  *net.UDPConn
	at    netip.AddrPort
	wave  int64
	sent  int
	seen  []Pong
	sync  clockSync
}

// Pong is one answered probe. Times are seconds.
type Pong struct {
	At     float64 // our LSL clock when it was sent
	RTT    float64 // on the network: without the time the sender took to answer
	Offset float64 // our clock minus the sender's; wrong by at most RTT/2
}

// PingSummary sums up the probes of a Ping. Times are seconds; they are NaN when
// nothing was answered.
type PingSummary struct {
	Sent, Answered      int
	Least, Median, Most float64 // round trips
	Jitter              float64 // mean difference between successive round trips
	Offset              float64 // our clock minus the sender's, at its time now
	Uncertainty         float64 // of Offset, at most: half the least round trip and the spread of the fit
	Drift               float64 // seconds per second by which our clock is faster; 0 below 10 s of probes
}

// ErrNoAnswer says that a probe was not answered in time.
var ErrNoAnswer = errors.New("no answer")

// NewPing prepares to probe a stream that was found by Resolve, over the first of
// its addresses. clock may be nil.
func NewPing(s Stream, clock stream.Clock) (*Ping, error) {
	if clock == nil {
		clock = stream.Wall{}
	}
	err := fmt.Errorf("stream %s names no service port that we can reach", s.Describe())
	for _, e := range s.endpoints() {
		if e.service.Port() == 0 {
			continue
		}
		var conn *net.UDPConn
		if conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(e.service)); err == nil {
			return &Ping{clock: clock, conn: conn, at: e.service, wave: rand.Int64N(1 << 30)}, nil
		}
	}
	return nil, fmt.Errorf("lsl: %w", err)
}

// Addr returns the service port that is probed.
func (p *Ping) Addr() netip.AddrPort { return p.at }

// Probe sends one probe and waits for its answer until ctx ends: ErrNoAnswer then.
func (p *Ping) Probe(ctx context.Context) (Pong, error) {
	p.wave++
	p.sent++
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(time.Second)
	}
	_ = p.conn.SetReadDeadline(end)
	defer context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	q := probe{wave: p.wave, t0: ToStamp(p.clock.Now())}
	var buf [512]byte
	if _, err := p.conn.Write(q.appendRequest(buf[:0])); err != nil && !isRefused(err) {
		return Pong{}, fmt.Errorf("lsl: probe to %s: %w", p.at, err)
	}
	for {
		n, err := p.conn.Read(buf[:])
		t3 := ToStamp(p.clock.Now())
		switch {
		case err == nil:
		case isRefused(err):
			return Pong{}, fmt.Errorf("%w from %s: nothing listens there any more", ErrNoAnswer, p.at)
		default:
			return Pong{}, fmt.Errorf("%w from %s", ErrNoAnswer, p.at)
		}
		r, err := parseProbeReply(buf[:n])
		if err != nil || r.wave != p.wave { // a late one, or nonsense
			continue
		}
		pong := Pong{At: q.t0, RTT: max(0, (t3-q.t0)-(r.t2-r.t1)), Offset: ((q.t0 + t3) - (r.t1 + r.t2)) / 2}
		p.seen = append(p.seen, pong)
		p.sync.observe(q.t0, r.t1, r.t2, t3)
		_, _, _ = p.sync.finish()
		return pong, nil
	}
}

// Summary sums up what was probed so far.
func (p *Ping) Summary() PingSummary {
	nan := math.NaN()
	s := PingSummary{Sent: p.sent, Answered: len(p.seen), Least: nan, Median: nan, Most: nan, Jitter: nan, Offset: nan, Uncertainty: nan}
	if len(p.seen) == 0 {
		return s
	}
	rtts := make([]float64, len(p.seen))
	for i := range p.seen {
		rtts[i] = p.seen[i].RTT
	}
	if n := len(rtts); n > 1 {
		s.Jitter = 0
		for i := 1; i < n; i++ {
			s.Jitter += math.Abs(rtts[i]-rtts[i-1]) / float64(n-1)
		}
	}
	slices.Sort(rtts)
	s.Least, s.Median, s.Most = rtts[0], rtts[len(rtts)/2], rtts[len(rtts)-1]
	e := p.sync.est
	s.Offset, s.Uncertainty = e.Offset, e.RTT/2+e.Uncertainty
	if p.seen[len(p.seen)-1].At-p.seen[0].At > 10 {
		s.Drift = e.Slope
	}
	return s
}

// Close ends the probing.
func (p *Ping) Close() error { return p.conn.Close() }
