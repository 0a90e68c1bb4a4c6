package lsl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"neurostream/stream"
)

// Inlet receives one stream in the sender's own values and stamps: what a recorder
// needs. For a pipeline see Source.
//
//	TCP ─► decode ─► queue ─► Pull        (see reception for who does what)
//	UDP ─► clock probes ─► Clock, History
//
// When the sender goes away the inlet looks for a stream of the same source_id,
// name, type, format and size until it is found, and marks the gap. Pull and the
// reading of the queue belong to one goroutine; the other methods to any.
type Inlet struct {
	info   Info // as discovered; what recovery keeps
	config Config
	opt    InletOptions
	clock  stream.Clock
	queue  *queue
	prober *prober
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	stream   Stream // the one that is connected
	state    string
	peer     string
	stats    InletStats
	lastSeen stream.Time

	reception reception

	gathering *time.Timer // of Pull, with Batch
	brimful   atomic.Bool // the last read took all there was room for: there is more
	drained   bool        // Pull has read once more after its context's end

	// Owned by whoever holds the reception.
	packed    []byte
	odd       int64 // stamps that were none
	began     bool
	stamp     float64     // of the newest sample
	arrival   stream.Time // of the newest sample
	jitter    float64     // how far stamps strayed from the nominal rate, slowly forgotten
	least     float64     // arrival minus stamp: the band it kept, slowly forgotten
	most      float64     //
	kicked    stream.Time // when the clock was last asked about
	slept     int64       // what the wall clock is ahead of ours, in ns: it goes on when we sleep
	restarted bool        // the next sample is the first of a new connection
	pause     float64     // length of the interruption by our clock
	silence   time.Duration
}

// InletOptions are the settings of an inlet. The zero value is ready to use.
type InletOptions struct {
	Config   *Config       // nil = LoadConfig
	Clock    stream.Clock  // nil = stream.Wall
	Buffer   float64       // seconds of data kept for a slow reader (per 100 samples in irregular streams); 0 = 360
	MaxBytes int           // most memory for them; 0 = 256 MiB
	MaxChunk int           // samples per write asked of the sender; 0 = its choice
	Recover  time.Duration // how long to look for a stream that went away; 0 = for ever, negative = not at all
	NoClock  bool          // send no clock probes
	Batch    time.Duration // how long Pull may let samples wait in the socket, to be woken once for all of them; 0 = not at all, for a recorder 200 ms
	Stale    time.Duration // silence after which a regular stream is reported stale; 0 = 1 s or five samples, negative = never
}

// InletStats are the figures of an inlet. Received = Delivered + Queued + Dropped.
type InletStats struct {
	State     string      // "connected", "searching", "ended"
	Peer      string      // address
	Received  int64       // samples that arrived
	Delivered int64       // samples that were read
	Queued    int64       // samples waiting to be read
	Dropped   int64       // samples discarded here because the reader was too slow
	Missing   int64       // samples that the stamps say were never sent to us
	Restarts  int64       // times the sender went away and came back
	Bytes     int64       // bytes received
	Last      stream.Time // when the newest sample arrived; 0 = none yet
	Age       float64     // seconds since the newest delivered sample was taken, by its stamp; NaN = none yet
}

// ErrLost says that a stream went away and cannot be found again.
var ErrLost = errors.New("the stream is lost")

// OpenInlet connects to a stream found by Resolve. When it returns, the sender has
// registered us.
func OpenInlet(ctx context.Context, s Stream, o InletOptions) (*Inlet, error) {
	in := &Inlet{info: s.Info, stream: s, opt: o, clock: o.Clock, jitter: 0.25}
	if o.Config != nil {
		in.config = *o.Config
	} else {
		in.config = LoadConfig()
	}
	if in.clock == nil {
		in.clock = stream.Wall{}
	}
	if err := in.config.Validate(); err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	if s.Channels < 1 || s.Format == Undefined {
		return nil, fmt.Errorf("lsl: stream %q announces %d channels of format %v: nothing to receive", s.Name, s.Channels, s.Format)
	}
	seconds, perSecond, maxBytes := o.Buffer, s.Rate, o.MaxBytes
	if seconds <= 0 {
		seconds = 360
	}
	if perSecond == 0 {
		perSecond = 100
	}
	if maxBytes <= 0 {
		maxBytes = 256 << 20
	}
	in.queue = newQueue(s.Format, s.Channels, int(min(max(2, seconds*perSecond), 1<<30)), maxBytes)
	in.silence = o.Stale
	if in.silence == 0 && s.Rate > 0 {
		in.silence = max(time.Second, time.Duration(5/s.Rate*float64(time.Second)))
	}
	f, err := s.connect(ctx, &in.config, in.queue.limit, o.MaxChunk)
	if err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	in.reception.init()
	in.ctx, in.cancel = context.WithCancel(context.Background())
	in.lastSeen = in.clock.Now()
	in.state, in.peer = "connected", f.at.data.String()
	if !o.NoClock {
		in.prober = newProber(in.ctx, &in.config, in.clock, f.at.service, in.stepped, dialProbes)
	}
	in.done.Add(2)
	go in.run(f)
	go in.watch()
	return in, nil
}

// Info returns the stream's info as discovered; FullInfo asks for the description.
func (in *Inlet) Info() Info { return in.info }

// Stream returns the stream that is connected, with its addresses.
func (in *Inlet) Stream() Stream {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.stream
}

// FullInfo asks the sender for the info with the description.
func (in *Inlet) FullInfo(ctx context.Context) (Info, error) {
	s := in.Stream()
	return s.FullInfo(ctx)
}

// Clock returns how the sender's clock stands to ours.
func (in *Inlet) Clock() ClockEstimate {
	if in.prober == nil {
		return ClockEstimate{}
	}
	return in.prober.estimate()
}

// History returns every burst of clock probes since the inlet was opened, oldest
// first.
func (in *Inlet) History() []ClockPoint {
	if in.prober == nil {
		return nil
	}
	return in.prober.points()
}

// WaitClock waits for the first measurement of the sender's clock.
func (in *Inlet) WaitClock(ctx context.Context) (ClockEstimate, error) {
	if in.prober == nil {
		return ClockEstimate{}, errors.New("lsl: the inlet measures no clock (NoClock)")
	}
	select {
	case <-in.prober.first:
		return in.prober.estimate(), nil
	case <-in.ctx.Done():
		return ClockEstimate{}, ErrLost
	case <-ctx.Done():
		return ClockEstimate{}, fmt.Errorf("lsl: %q answers no clock probe: %w", in.info.Name, ctx.Err())
	}
}

// Stats returns the figures.
func (in *Inlet) Stats() InletStats {
	in.mu.Lock()
	s := in.stats
	s.State, s.Peer = in.state, in.peer
	in.mu.Unlock()
	q := in.queue
	q.mu.Lock()
	s.Queued, s.Dropped, s.Received = q.head-q.tail, q.dropped, q.head
	s.Delivered = q.tail - q.dropped
	s.Age = math.NaN()
	newest := q.delivered
	if q.head > 0 {
		s.Last = q.arrived[q.slot(q.head-1)]
	}
	q.mu.Unlock()
	if s.Delivered > 0 {
		e := in.Clock()
		s.Age = ToStamp(in.clock.Now()) - newest - e.Correction(newest)
	}
	return s
}

// Close ends the connection. A blocked Pull returns ErrLost.
func (in *Inlet) Close() error {
	in.cancel()
	in.queue.end(ErrLost)
	in.done.Wait()
	if in.prober != nil {
		in.prober.running.Wait()
	}
	return nil
}

// run receives, and recovers, until the inlet is closed.
func (in *Inlet) run(f *connection) {
	defer in.done.Done()
	for {
		err := in.attend(f)
		if in.ctx.Err() != nil {
			return
		}
		in.mu.Lock()
		in.state = "searching"
		in.mu.Unlock()
		if f, err = in.recover(err); err != nil {
			in.mu.Lock()
			in.state = "ended"
			in.mu.Unlock()
			in.queue.end(err)
			return
		}
		in.mu.Lock()
		in.state, in.peer = "connected", f.at.data.String()
		in.stats.Restarts++
		in.mu.Unlock()
	}
}

// decode moves all complete samples of the buffer into the queue.
func (in *Inlet) decode(f *connection, at stream.Time) (n int, err error) {
	q := in.queue
	src := f.buf
	q.mu.Lock()
	for len(src) > 0 {
		packed, stamp, deduced, size, e := f.wire.decode(in.packed[:0], src)
		if e != nil {
			if !errors.Is(e, errShort) {
				err = e
			}
			break
		}
		in.packed = packed
		src = src[size:]
		if !deduced && !(math.Abs(stamp) < maxStamp) {
			in.oddStamp(stamp, at)
			deduced = true
		}
		stamp = f.clock.resolve(stamp, deduced)
		in.follow(stamp, at)
		q.put(packed, stamp, at)
		n++
	}
	q.mu.Unlock()
	f.buf = f.buf[:copy(f.buf, src)]
	return n, err
}

// maxStamp is what no clock shows in seconds. Beyond it, and for what is no number, a
// stamp is taken to be missing, and continues the one before.
const maxStamp = 1e15

// oddStamp reports such a stamp, the first, second, fourth, eighth ... time. The queue's
// mutex is held.
func (in *Inlet) oddStamp(stamp float64, at stream.Time) {
	if in.odd++; in.odd&(in.odd-1) == 0 {
		in.queue.mark(mark{event: stream.Event{
			Kind: stream.EventNote, Time: at, Count: in.odd, Detail: fmt.Sprintf("a sample has the stamp %g; it is taken to follow the one before (%d so far)", stamp, in.odd),
		}})
	}
}

const (
	stepLag     = 0.1         // seconds by which arrival minus stamp leaves its band when a clock has stepped
	bandTime    = 10.0        // seconds in which the band shrinks
	kickPause   = 500 * 1e6   // ns between two questions about the clock
	jitterDecay = 1.0 / 20000 // the greatest jitter is forgotten over so many samples
)

// awake asks about the clock when this host has slept: ours stood still then.
func (in *Inlet) awake(at stream.Time) {
	ahead := time.Now().UnixNano() - int64(at)
	if in.slept != 0 && math.Abs(float64(ahead-in.slept)) > stepLag*1e9 {
		in.askClock(at)
	}
	in.slept = ahead
}

// askClock has the clocks compared, and the next sample wait for it.
func (in *Inlet) askClock(at stream.Time) {
	if in.prober == nil || in.kicked != 0 && at-in.kicked < kickPause {
		return
	}
	in.kicked = at
	in.queue.mu.Lock()
	in.queue.mark(mark{hold: true, burst: in.prober.kick()})
	in.queue.mu.Unlock()
}

// inBand reports whether a sample arrives as late after its stamp as those before it
// did, more or less, and moves the band. A chunk of samples arrives at once, so the
// band is as wide as a chunk is long; a stalled network widens it upwards.
func (in *Inlet) inBand(lag float64, at stream.Time) bool {
	if !in.began {
		in.least, in.most = lag, lag
		return true
	}
	slack := stepLag + in.opt.Batch.Seconds() // by so much samples wait for Pull
	ok := lag < in.most+slack && lag > in.least-slack
	if !ok {
		in.least, in.most = lag, lag
		return false
	}
	keep := max(0, 1-float64(at-in.arrival)/1e9/bandTime)
	in.least = min(lag, lag+(in.least-lag)*keep)
	in.most = max(lag, lag+(in.most-lag)*keep)
	return true
}

// follow looks at a new sample's stamp: is something missing before it?
//
// The protocol has no sequence numbers, so the evidence is the stamp. A regular
// stream's next stamp is due 1/rate later; it strays by the sender's jitter, whose
// recent maximum is known. What exceeds that twice is a gap. When the stamp jumps
// but the arrival does not, a clock has stepped.
func (in *Inlet) follow(stamp float64, at stream.Time) {
	inBand := in.inBand(ToStamp(at)-stamp, at)
	defer func() { in.stamp, in.arrival, in.began = stamp, at, true }()
	q := in.queue
	rate := in.info.Rate
	if in.restarted {
		in.restarted = false
		if in.prober != nil {
			q.mark(mark{hold: true, burst: in.prober.kick()})
		}
		m := mark{flags: stream.Gap | stream.Restart, event: stream.Event{
			Kind: stream.EventRestart, Time: at, Count: 1, Detail: fmt.Sprintf("gone for %.1f s, found again at %s", in.pause, in.peerName()),
		}}
		if rate > 0 && in.began {
			m.skip = int64(math.Round(max(0, float64(at-in.arrival)/1e9*rate-1)))
			if d := (stamp - in.stamp) * rate; d > 0 && math.Abs(d-float64(m.skip)-1) < rate { // the same clock
				m.skip = int64(math.Round(d)) - 1
			}
			q.mark(m)
			in.missing(m.skip, at, "while the sender was away")
			return
		}
		q.mark(m)
		return
	}
	if !in.began {
		return
	}
	if !inBand && in.prober != nil && (in.kicked == 0 || at-in.kicked >= kickPause) {
		in.kicked = at
		q.mark(mark{hold: true, burst: in.prober.kick()})
	}
	if rate == 0 {
		return
	}
	stray := stamp - in.stamp - 1/rate
	if stray > 1.5/rate+2*in.jitter {
		if n := int64(math.Round((stamp-in.stamp)*rate)) - 1; n > 0 && float64(n)/rate < 0.5+2*float64(at-in.arrival)/1e9 {
			q.mark(mark{flags: stream.Gap, skip: n})
			in.missing(n, at, "by the stamps")
		}
		return // a step of the clock otherwise: the prober reports it
	}
	in.jitter = max(math.Abs(stray), in.jitter*(1-jitterDecay))
}

// missing reports columns that will not come; the mark before has skipped them.
func (in *Inlet) missing(n int64, at stream.Time, why string) {
	if n <= 0 {
		return
	}
	in.queue.mark(mark{event: stream.Event{Kind: stream.EventGap, Time: at, Count: n, Detail: fmt.Sprintf("%d samples are missing %s", n, why)}})
	in.mu.Lock()
	in.stats.Missing += n
	in.mu.Unlock()
}

func (in *Inlet) peerName() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.peer
}

// stepped is called by the prober.
func (in *Inlet) stepped(step float64) {
	in.queue.note(mark{event: stream.Event{
		Kind: stream.EventClockJump, Time: in.clock.Now(), Count: int64(math.Round(-step * 1e9)),
		Detail: fmt.Sprintf("the sender's clock moved by %+.6f s against ours", -step),
	}})
}

// watch reports silence.
func (in *Inlet) watch() {
	defer in.done.Done()
	if in.silence <= 0 {
		return
	}
	t := time.NewTicker(max(in.silence/4, 50*time.Millisecond))
	defer t.Stop()
	var reported stream.Time
	for {
		select {
		case <-t.C:
		case <-in.ctx.Done():
			return
		}
		now := in.clock.Now()
		in.mu.Lock()
		last, state := in.lastSeen, in.state
		in.mu.Unlock()
		quiet := now - last
		if quiet < stream.Time(in.silence) {
			reported = 0
			continue
		}
		if reported != 0 && quiet < 2*reported { // at 1, 2, 4, 8 ... times the limit
			continue
		}
		reported = quiet
		why := "connected, but it sends nothing"
		if state != "connected" {
			why = "the sender is away; looking for it"
		}
		in.queue.note(mark{event: stream.Event{Kind: stream.EventStale, Time: now, Count: int64(quiet), Detail: why}})
	}
}

// recover looks for the stream until it is found.
func (in *Inlet) recover(cause error) (*connection, error) {
	s := in.Stream()
	if errors.Is(cause, io.EOF) {
		cause = errors.New("the sender closed the connection")
	}
	if in.opt.Recover < 0 {
		return nil, fmt.Errorf("%w: %q: %w", ErrLost, s.Name, cause)
	}
	begun := in.clock.Now()
	started := time.Now()
	ctx := in.ctx
	limit := in.opt.Recover
	if s.SourceID == "" && (limit == 0 || limit > anonymous) {
		limit = anonymous
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	told := ""
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		next, why := in.find(ctx, &s)
		if next != nil {
			if f, err := next.connect(ctx, &in.config, in.queue.limit, in.opt.MaxChunk); err == nil {
				in.mu.Lock()
				in.stream = *next
				in.mu.Unlock()
				in.reception.Lock()
				in.pause = time.Since(started).Seconds()
				if in.clock != (stream.Wall{}) {
					in.pause = float64(in.clock.Now()-begun) / 1e9
				}
				in.restarted = true
				in.reception.Unlock()
				if in.prober != nil {
					if next.UID != s.UID {
						in.prober.move(f.at.service)
					} else {
						in.prober.kick()
					}
				}
				return f, nil
			}
		}
		if why != "" && why != told {
			told = why
			in.queue.note(mark{event: stream.Event{Kind: stream.EventNote, Time: in.clock.Now(), Detail: why}})
		}
		if ctx.Err() != nil {
			if s.SourceID == "" {
				return nil, fmt.Errorf("%w: %q has no source_id, so another instance of it cannot be recognised (give the outlet one): %w", ErrLost, s.Name, cause)
			}
			return nil, fmt.Errorf("%w: %q has not come back within %v: %w", ErrLost, s.Name, limit, cause)
		}
		sleep(ctx, pause)
	}
}

// anonymous is how long a stream without source_id may be away: only the very same
// outlet counts, after a fault of the network.
const anonymous = 5 * time.Second

// find asks for the stream once; why says what it found instead.
func (in *Inlet) find(ctx context.Context, s *Stream) (next *Stream, why string) {
	r, err := newResolver(&in.config, recoveryExpression(&s.Info), 0)
	if err != nil {
		return nil, err.Error()
	}
	defer r.Close()
	r.wait(ctx, 1, time.Second)
	sleep(ctx, 100*time.Millisecond) // a second one of the same name would be heard by now
	var fit []Stream
	for _, x := range r.Streams() {
		switch {
		case x.UID == s.UID:
			return &x, ""
		case s.SourceID == "":
		case x.SessionID != s.SessionID:
			why = fmt.Sprintf("a stream like %q is in session %q, not %q: not taken", s.Name, x.SessionID, s.SessionID)
		case x.Rate != s.Rate:
			why = fmt.Sprintf("%q came back with %g Hz instead of %g Hz: not taken", s.Name, x.Rate, s.Rate)
		default:
			fit = append(fit, x)
		}
	}
	if len(fit) > 1 {
		if same := slices.DeleteFunc(slices.Clone(fit), func(x Stream) bool { return x.Hostname != s.Hostname }); len(same) == 1 {
			fit = same
		}
	}
	switch len(fit) {
	case 0:
		return nil, why
	case 1:
		return &fit[0], ""
	}
	var hosts []string
	for _, x := range fit {
		hosts = append(hosts, x.Hostname)
	}
	return nil, fmt.Sprintf("%d streams with source_id %q came back (%s): waiting until one is left", len(fit), s.SourceID, strings.Join(hosts, ", "))
}
