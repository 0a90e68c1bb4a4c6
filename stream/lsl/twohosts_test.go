package lsl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"neurostream/stream"
)

// host is the clock of a simulated computer: readings in seconds as a function of
// true time in seconds. It drifts, its owner sets it, and it stands still while the
// computer sleeps.
type host struct {
	base, ppm float64
	steps     [][2]float64 // from when on, by how much
	sleeps    [][2]float64 // from, to
}

func (h *host) sleeping(t float64) (until float64, yes bool) {
	for _, s := range h.sleeps {
		if t >= s[0] && t < s[1] {
			return s[1], true
		}
	}
	return 0, false
}

func (h *host) reading(t float64) float64 {
	r := h.base
	for _, s := range h.steps {
		if t >= s[0] {
			r += s[1]
		}
	}
	awake := t
	for _, s := range h.sleeps {
		awake -= max(0, min(t, s[1])-s[0])
	}
	return r + awake*(1+h.ppm*1e-6)
}

// twoHosts is a sender, a receiver and a network between them, in a bubble of
// simulated time.
type twoHosts struct {
	begin           time.Time
	theirs, ours    host
	manual          stream.Manual
	network, stamps float64 // jitter in seconds: of the way, of the sender's stamps

	mu  sync.Mutex
	rng *rand.Rand
}

func (w *twoHosts) now() float64 { return time.Since(w.begin).Seconds() }

// Now makes the simulation the receiver's clock: a Manual one that true time moves.
func (w *twoHosts) Now() stream.Time {
	w.manual.Set(FromStamp(w.ours.reading(w.now())))
	return w.manual.Now()
}

func (w *twoHosts) Timer(ctx context.Context) stream.Timer { return w.manual.Timer(ctx) }

// delay is how long a packet is under way: half of them meet no queue, the others
// one of up to the jitter.
func (w *twoHosts) delay() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := 200e-6
	if w.rng.IntN(2) == 0 {
		d += w.rng.Float64() * w.network
	}
	return time.Duration(d * 1e9)
}

// probes is the receiver's end of the UDP path to the sender's service port.
type probes struct {
	net.Conn // nil: what is not below is not used
	w        *twoHosts
	mu       sync.Mutex
	replies  chan []byte
	closed   bool
}

func (p *probes) Write(b []byte) (int, error) {
	q, err := parseProbeRequest(b)
	if err != nil {
		return 0, err
	}
	asleep := func() bool {
		_, a := p.w.ours.sleeping(p.w.now())
		_, b := p.w.theirs.sleeping(p.w.now())
		return a || b
	}
	if asleep() {
		return len(b), nil
	}
	time.AfterFunc(p.w.delay(), func() {
		if asleep() {
			return
		}
		q.t1 = p.w.theirs.reading(p.w.now())
		q.t2 = q.t1 + 20e-6
		time.AfterFunc(p.w.delay()+20*time.Microsecond, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if !p.closed && !asleep() {
				p.replies <- q.appendReply(nil)
			}
		})
	})
	return len(b), nil
}

func (p *probes) Read(b []byte) (int, error) {
	r, ok := <-p.replies
	if !ok {
		return 0, net.ErrClosed
	}
	return copy(b, r), nil
}

func (p *probes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.replies)
	}
	return nil
}

// simulated is one column as it was made and as it came out.
type simulated struct {
	made   float64 // true time
	time   float64 // corrected, seconds of the receiver's LSL clock
	column int64
}

// run sends samples at a rate for so many seconds and returns what the source makes
// of them, and every event.
func (w *twoHosts) run(t *testing.T, rate, seconds float64) (all []simulated, events []stream.Event) {
	t.Helper()
	w.begin = time.Now()
	w.rng = rand.New(rand.NewPCG(1, 2))
	info := Info{Name: "remote", Type: "EEG", Channels: 1, Format: Double64, Rate: rate, SourceID: "r", UID: "u", Version: 110}
	c := DefaultConfig()
	ctx, stop := context.WithCancel(context.Background())
	in := &Inlet{
		info: info, stream: Stream{Info: info}, config: c, clock: w, jitter: 0.25, state: "connected", ctx: ctx, cancel: stop,
		queue: newQueue(info.Format, 1, 1<<20, 64<<20), silence: time.Second, lastSeen: w.Now(),
	}
	in.prober = newProber(ctx, &c, w, netip.MustParseAddrPort("192.0.2.9:16572"), in.stepped, func(netip.AddrPort) (net.Conn, error) {
		return &probes{w: w, replies: make(chan []byte, 64)}, nil
	})
	in.reception.init()
	ourEnd, theirEnd := net.Pipe()
	in.done.Add(2)
	go in.watch()
	go func() {
		defer in.done.Done()
		f := &connection{conn: ourEnd, wire: wire{format: Double64, channels: 1, version: 110}, clock: deduction{rate: rate}, buf: make([]byte, 0, 1<<16)}
		_ = in.attend(f)
		in.queue.end(ErrLost)
	}()
	if _, err := in.WaitClock(ctx); err != nil {
		t.Fatal(err)
	}
	src := new(Source)
	if err := src.parseRepair(); err != nil {
		t.Fatal(err)
	}
	src.attach(in, &info)
	src.dejitter.HalfTime = c.HalfTime.Seconds()

	type sample struct {
		at    float64 // true time of its arrival
		bytes []byte
	}
	way := make(chan sample, 1<<16)
	var made []float64
	var madeMu sync.Mutex
	go func() { // the sender
		defer close(way)
		arrival, start := 0.0, w.now()+0.5
		for k, at := 0, start; at < seconds; k++ {
			for _, z := range w.theirs.sleeps { // its sampling stands still as its clock does
				if at >= z[0] && at-1/rate < z[0] {
					at += z[1] - z[0]
				}
			}
			time.Sleep(time.Duration((at - w.now()) * 1e9))
			madeMu.Lock()
			made = append(made, at)
			madeMu.Unlock()
			w.mu.Lock()
			stamp := w.theirs.reading(at) + (2*w.rng.Float64()-1)*w.stamps
			w.mu.Unlock()
			arrival = max(arrival, at+w.delay().Seconds())
			wr := wire{format: Double64, channels: 1, version: 110}
			way <- sample{arrival, wr.append(nil, stamp, false, appendValue(nil, Double64, float64(k)))}
			at += 1 / rate / (1 + w.theirs.ppm*1e-6)
		}
	}()
	go func() { // the network
		for s := range way {
			at := s.at
			if until, asleep := w.ours.sleeping(at); asleep {
				at = until
			}
			time.Sleep(time.Duration((at - w.now()) * 1e9))
			if _, err := theirEnd.Write(s.bytes); err != nil {
				return
			}
		}
		theirEnd.Close()
	}()

	dst := stream.NewChunk(&src.header)
	for {
		err := src.Read(dst)
		if errors.Is(err, ErrLost) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, dst.Events...)
		madeMu.Lock()
		for i := range dst.Len {
			k := int(dst.At(0, i))
			all = append(all, simulated{made[k], ToStamp(dst.T0) + float64(i)/rate, dst.Seq + int64(i)})
			if k != len(all)-1 {
				t.Fatalf("sample %d comes as number %d", k, len(all)-1)
			}
		}
		madeMu.Unlock()
	}
	stop()
	in.done.Wait()
	in.prober.running.Wait()
	if len(all) != len(made) {
		t.Errorf("%d of %d samples arrived", len(all), len(made))
	}
	return all, events
}

// check compares corrected stamps with the truth on the receiver's clock. Samples
// that were made while the receiver slept have no time there; those that were under
// way when it fell asleep are known to be older than it, not by how much.
func (w *twoHosts) check(t *testing.T, all []simulated, from, tolerance float64) {
	t.Helper()
	worst, at, last := 0.0, 0.0, math.Inf(-1)
	for _, s := range all {
		if s.time < last-1e-9 {
			t.Fatalf("the time goes back by %v s at %.3f s", last-s.time, s.made)
		}
		last = s.time
		_, made := w.ours.sleeping(s.made)
		_, underWay := w.ours.sleeping(s.made + w.network + 1e-3)
		if made || underWay || s.made < from {
			continue
		}
		if d := math.Abs(s.time - w.ours.reading(s.made)); d > worst {
			worst, at = d, s.made
		}
	}
	t.Logf("%d samples; the worst corrected stamp is %.3f ms off, at %.3f s", len(all), worst*1e3, at)
	if worst > tolerance || len(all) == 0 {
		t.Errorf("a stamp is %.3f ms off at %.3f s; allowed are %.3f ms", worst*1e3, at, tolerance*1e3)
	}
}

func countKinds(events []stream.Event) string {
	n := map[stream.Kind]int{}
	for _, e := range events {
		n[e.Kind]++
	}
	return fmt.Sprint(n[stream.EventClockJump], " jumps ", n[stream.EventGap], " gaps ", n[stream.EventRestart]+n[stream.EventDrop], " others")
}

// Two hosts whose clocks drift by 50 ppm, a network with 20 ms of jitter, a sender's
// clock that is set forward and back, a receiver and a sender that sleep: corrected
// stamps stay within a millisecond, never go back, and every step is an event.
func TestTwoHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &twoHosts{
			theirs: host{base: 5000, ppm: 50, steps: [][2]float64{{150, 3.7}, {210, -1.2}}, sleeps: [][2]float64{{330, 362.123}}},
			ours:   host{base: 900, sleeps: [][2]float64{{270, 290}}},
		}
		w.network = 0.020
		all, events := w.run(t, 100, 420)
		w.check(t, all, 0, 1e-3)
		if got := countKinds(events); got != "4 jumps 1 gaps 0 others" {
			t.Errorf("%s: %v", got, events)
		}
		want := []float64{3.7, -1.2, 20, -32.123} // the sender's clock against ours
		k := 0
		for _, e := range events {
			switch e.Kind {
			case stream.EventClockJump:
				if k < len(want) && math.Abs(float64(e.Count)/1e9-want[k]) > 0.01 {
					t.Errorf("jump %d is %.4f s, not %v", k, float64(e.Count)/1e9, want[k])
				}
				k++
			case stream.EventGap:
				if d := e.Count - 3212; d < -1 || d > 1 {
					t.Errorf("%v; the sender slept for 32.123 s", e)
				}
			}
		}
		if missing := all[len(all)-1].column - int64(len(all)-1); missing < 3211 || missing > 3213 {
			t.Errorf("columns jump by %d", missing)
		}
	})
}

// The same with stamps that the sender itself takes with 20 ms of jitter: smoothing
// needs half a minute to know the line; then it holds over steps and sleep.
func TestTwoHostsJitteryStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &twoHosts{
			theirs: host{base: 5000, ppm: -50, steps: [][2]float64{{200, 3.7}}, sleeps: [][2]float64{{350, 362.1}}},
			ours:   host{base: 900, sleeps: [][2]float64{{270, 290}}},
		}
		w.network, w.stamps = 0.020, 0.010
		all, events := w.run(t, 250, 450)
		w.check(t, all, 60, 1e-3)
		if got := countKinds(events); got != "3 jumps 1 gaps 0 others" {
			t.Errorf("%s: %v", got, events)
		}
	})
}

// A network that stalls is no step of a clock, and a sender of chunks neither.
func TestTwoHostsNoFalseAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &twoHosts{theirs: host{base: 5000, ppm: 50}, ours: host{base: 900}}
		w.network = 0.400
		all, events := w.run(t, 100, 120)
		w.check(t, all, 0, 1e-3)
		if got := countKinds(events); got != "0 jumps 0 gaps 0 others" {
			t.Errorf("%s: %v", got, events)
		}
	})
}
