package lsl

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"neurostream/stream"
)

// prober measures the clock of one sender from the moment it is made: bursts of
// probes, every TimeUpdateInterval and when asked (kick).
type prober struct {
	config *Config
	clock  stream.Clock
	onStep func(step float64)
	dial   func(at netip.AddrPort) (net.Conn, error)

	mu      sync.Mutex
	sync    clockSync
	history []ClockPoint
	target  netip.AddrPort
	wave    int64
	first   chan struct{} // closed at the first answer
	done    uint64        // bursts finished
	waiters []chan struct{}
	kicks   chan struct{}
	running sync.WaitGroup
}

// The first burst, and one after a kick, is hasty: twice as many probes, close
// together, so that it is over before anybody has waited long.
const (
	maxHistory = 1 << 16              // bursts: a day and a half
	fastProbes = 5 * time.Millisecond // between two probes of a hasty burst
	fastWait   = 50 * time.Millisecond
)

// dialProbes opens the socket of a sender's probes.
func dialProbes(at netip.AddrPort) (net.Conn, error) {
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
}

func newProber(ctx context.Context, c *Config, clock stream.Clock, at netip.AddrPort, onStep func(float64), dial func(netip.AddrPort) (net.Conn, error)) *prober {
	p := &prober{config: c, clock: clock, onStep: onStep, dial: dial, target: at, first: make(chan struct{}), kicks: make(chan struct{}, 1)}
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		p.run(ctx)
	}()
	return p
}

func (p *prober) now() float64 { return ToStamp(p.clock.Now()) }

// run keeps one socket per sender's address.
func (p *prober) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		at := p.target
		p.mu.Unlock()
		if at.Port() == 0 {
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		conn, err := p.dial(at)
		if err != nil {
			sleep(ctx, 500*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		p.running.Add(1)
		go p.receive(conn)
		for fast := true; ctx.Err() == nil; {
			p.mu.Lock()
			same := p.target == at
			p.mu.Unlock()
			if !same {
				break
			}
			fast = p.runBurst(ctx, conn, fast)
		}
		stop()
		conn.Close()
	}
}

// runBurst sends one burst, waits for late answers and then until the next burst is
// due; it reports whether a kick came first. A kick cuts a leisurely burst short:
// what it has is from before and after a step, so it is thrown away.
func (p *prober) runBurst(ctx context.Context, conn net.Conn, fast bool) (kicked bool) {
	begun := time.Now()
	p.mu.Lock()
	p.wave = 1 + rand.Int64N(1<<31-1)
	wave := p.wave
	p.mu.Unlock()
	n, pause, late := p.config.TimeProbes, p.config.TimeProbeInterval, p.config.TimeProbeMaxRTT
	if fast {
		n, pause, late = 2*n, min(pause, fastProbes), min(late, fastWait)
	}
	wait := func(d time.Duration) (kicked bool) {
		t := time.NewTimer(max(0, d))
		defer t.Stop()
		select {
		case <-t.C:
			return false
		case <-p.kicks:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var buf [96]byte
	for i := range n {
		q := probe{wave: wave, t0: p.now()}
		_, _ = conn.Write(q.appendRequest(buf[:0]))
		d := pause
		if i == n-1 {
			d += late
		}
		if wait(d) && !fast {
			p.mu.Lock()
			p.wave = 0
			p.sync.burst = p.sync.burst[:0]
			p.mu.Unlock()
			return true
		}
	}
	p.finish()
	return wait(p.config.TimeUpdateInterval - time.Since(begun))
}

// finish evaluates the burst that has run and tells who waits for it.
func (p *prober) finish() {
	p.mu.Lock()
	point, step, ok := p.sync.finish()
	if ok {
		if len(p.history) >= maxHistory {
			p.history = p.history[:copy(p.history, p.history[1:])]
		}
		p.history = append(p.history, point)
	}
	p.done++
	for _, w := range p.waiters {
		close(w)
	}
	p.waiters = p.waiters[:0]
	p.mu.Unlock()
	if step != 0 && p.onStep != nil {
		p.onStep(step)
	}
}

func (p *prober) receive(conn net.Conn) {
	defer p.running.Done()
	buf := make([]byte, 512)
	for {
		n, err := conn.Read(buf)
		t3 := p.now()
		if err != nil {
			if isClosed(err) {
				return
			}
			time.Sleep(time.Millisecond) // refused: the sender is gone for now
			continue
		}
		q, err := parseProbeReply(buf[:n])
		if err != nil {
			continue
		}
		p.mu.Lock()
		if q.wave == p.wave {
			p.sync.observe(q.t0, q.t1, q.t2, t3)
			select {
			case <-p.first:
			default:
				if p.sync.est.Probes > 0 {
					close(p.first)
				}
			}
		}
		p.mu.Unlock()
	}
}

// move turns to another sender and forgets the old one's clock.
func (p *prober) move(at netip.AddrPort) {
	p.mu.Lock()
	p.target = at
	p.wave = 0
	p.sync.restart()
	p.mu.Unlock()
	p.kick()
}

// kick asks for a burst now and returns the number of those evaluated so far.
func (p *prober) kick() uint64 {
	select {
	case p.kicks <- struct{}{}:
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// after returns a channel that is closed when more than n bursts are evaluated.
func (p *prober) after(n uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := make(chan struct{})
	if p.done > n {
		close(w)
	} else {
		p.waiters = append(p.waiters, w)
	}
	return w
}

func (p *prober) estimate() ClockEstimate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sync.est
}

func (p *prober) points() []ClockPoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.history)
}
