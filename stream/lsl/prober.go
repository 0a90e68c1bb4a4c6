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

const (
	maxHistory = 1 << 16              // bursts: a day and a half
	fastProbes = 5 * time.Millisecond // between the probes of the first burst, and of one after a kick
)

func newProber(ctx context.Context, c *Config, clock stream.Clock, at netip.AddrPort, onStep func(float64)) *prober {
	p := &prober{config: c, clock: clock, onStep: onStep, target: at, first: make(chan struct{}), kicks: make(chan struct{}, 1)}
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
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
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
// due; it reports whether that was a kick.
func (p *prober) runBurst(ctx context.Context, conn *net.UDPConn, fast bool) bool {
	begun := time.Now()
	p.mu.Lock()
	p.wave = 1 + rand.Int64N(1<<31-1)
	wave := p.wave
	p.mu.Unlock()
	pause := p.config.TimeProbeInterval
	if fast {
		pause = min(pause, fastProbes)
	}
	var buf [96]byte
	for range p.config.TimeProbes {
		q := probe{wave: wave, t0: p.now()}
		_, _ = conn.Write(q.appendRequest(buf[:0]))
		sleep(ctx, pause)
	}
	if !fast {
		sleep(ctx, p.config.TimeProbeMaxRTT)
	} else {
		sleep(ctx, min(20*time.Millisecond, p.config.TimeProbeMaxRTT))
	}
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
	t := time.NewTimer(max(0, p.config.TimeUpdateInterval-time.Since(begun)))
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

func (p *prober) receive(conn *net.UDPConn) {
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

// kick asks for a burst now.
func (p *prober) kick() {
	select {
	case p.kicks <- struct{}{}:
	default:
	}
}

// burst returns a channel that is closed when the burst after the running one is
// evaluated.
func (p *prober) burst() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := make(chan struct{})
	p.waiters = append(p.waiters, w)
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
