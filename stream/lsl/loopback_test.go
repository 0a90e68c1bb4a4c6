package lsl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"neurostream/stream"
)

var sessions atomic.Int32

// loopback is a configuration whose sockets and queries stay on 127.0.0.1, on ports
// and in a session of its own.
func loopback(t testing.TB) *Config {
	t.Helper()
	c := DefaultConfig()
	c.ListenAddress = "127.0.0.1"
	c.Override = []string{"127.0.0.1"}
	c.SessionID = fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), sessions.Add(1))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c.PortRange = 8
	c.BasePort = min(port, 65000)
	c.MulticastPort = c.BasePort + c.PortRange
	c.MulticastMinRTT = 50 * time.Millisecond
	c.TimeUpdateInterval = 100 * time.Millisecond
	c.TimeProbeInterval = 2 * time.Millisecond
	c.TimeProbeMaxRTT = 10 * time.Millisecond
	return &c
}

func deadline(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func newOutlet(t testing.TB, c *Config, i Info) *Outlet {
	t.Helper()
	o, err := NewOutlet(i, OutletOptions{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func openInlet(t testing.TB, c *Config, m Match, o InletOptions) *Inlet {
	t.Helper()
	ctx := deadline(t, 5*time.Second)
	s, err := FindOne(ctx, m, ResolveOptions{Config: c, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	o.Config = c
	in, err := OpenInlet(ctx, s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// pullN collects n samples and all events before them.
func pullN(t testing.TB, in *Inlet, n int) (all Batch) {
	t.Helper()
	ctx := deadline(t, 10*time.Second)
	var b Batch
	for all.Len() < n {
		if err := in.Pull(ctx, &b, n-all.Len()); err != nil {
			t.Fatalf("after %d of %d samples: %v", all.Len(), n, err)
		}
		if all.Len() == 0 {
			all.Seq = b.Seq
		}
		all.Stamps = append(all.Stamps, b.Stamps...)
		for i := range b.Len() {
			all.Values = append(all.Values, b.Sample(i)...)
			all.Ends = append(all.Ends, len(all.Values))
		}
		all.Events = append(all.Events, b.Events...)
		all.Flags |= b.Flags
	}
	return all
}

// TestRoundTrip sends every format over both protocols and compares bits.
func TestRoundTrip(t *testing.T) {
	for _, version := range []int{100, 110} {
		for _, f := range []Format{Float32, Double64, Int8, Int16, Int32, Int64, String} {
			for _, rate := range []float64{0, 250} {
				t.Run(fmt.Sprintf("%d %v %v Hz", version, f, rate), func(t *testing.T) {
					t.Parallel()
					c := loopback(t)
					c.Protocol = version
					o := newOutlet(t, c, Info{Name: "trip", Type: "EEG", Channels: 11, Format: f, Rate: rate, SourceID: "s"})
					in := openInlet(t, c, Match{Name: "trip"}, InletOptions{})
					const n = 300
					var want []byte
					for k := range n {
						stamp := 1000 + float64(k)/250
						if f == String {
							v := make([]string, 11)
							for ch := range v {
								v[ch] = strings.Repeat("µ\x00", (k*ch)%300)
								want = appendString(want, v[ch])
							}
							if err := o.PushStrings(v, stamp); err != nil {
								t.Fatal(err)
							}
							continue
						}
						v := make([]int64, 11)
						for ch := range v {
							v[ch] = int64(k-150)*int64(ch+1)*1_000_003 + 1
							want = appendInt(want, f, v[ch])
						}
						if err := o.PushInts(v, stamp); err != nil {
							t.Fatal(err)
						}
					}
					got := pullN(t, in, n)
					if string(got.Values) != string(want) {
						t.Error("values differ")
					}
					for k, s := range got.Stamps {
						if s != 1000+float64(k)/250 {
							t.Fatalf("stamp %d is %v", k, s)
						}
					}
					if len(got.Events) != 0 || got.Flags != 0 {
						t.Errorf("events %v, flags %v", got.Events, got.Flags)
					}
					st := in.Stats()
					if st.Received != n || st.Delivered != n || st.Dropped+st.Queued+st.Missing != 0 {
						t.Errorf("%+v", st)
					}
					if cs := o.Consumers(); len(cs) != 1 || cs[0].Sent != n || cs[0].Dropped != 0 || cs[0].Protocol != version {
						t.Errorf("%+v", cs)
					}
				})
			}
		}
	}
}

// TestReady: the first sample pushed after Open returned arrives, and a late
// joiner gets what comes after it joined.
func TestReady(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "ready", Channels: 1, Format: Int32, Rate: 100})
	for k := range 20 {
		if err := o.Push([]float64{-1}, 0); err != nil { // nobody listens: lost, as it should be
			t.Fatal(err)
		}
		in := openInlet(t, c, Match{Name: "ready"}, InletOptions{NoClock: true})
		if err := o.Push([]float64{float64(k)}, 0); err != nil {
			t.Fatal(err)
		}
		if v := Ints(nil, Int32, pullN(t, in, 1).Values); v[0] != int64(k) {
			t.Fatalf("inlet %d begins with %d", k, v[0])
		}
		in.Close()
	}
}

// TestManyConsumers: every consumer gets everything in order; the counts agree.
func TestManyConsumers(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "many", Channels: 3, Format: Float32, Rate: 1000})
	var inlets []*Inlet
	for range 12 {
		inlets = append(inlets, openInlet(t, c, Match{Name: "many"}, InletOptions{NoClock: true}))
	}
	const n = 5000
	var chunk stream.Chunk
	chunk.Alloc(3, 10)
	for k := 0; k < n; k += 10 {
		chunk.Resize(10)
		for i := range 10 {
			for ch := range 3 {
				chunk.Set(ch, i, float64((k+i)*3+ch))
			}
		}
		chunk.T0 = FromStamp(100 + float64(k)/1000)
		if err := o.PushChunk(&chunk); err != nil {
			t.Fatal(err)
		}
	}
	for i, in := range inlets {
		got := pullN(t, in, n)
		for k, v := range Numbers(nil, Float32, got.Values) {
			if v != float64(k) {
				t.Fatalf("inlet %d: value %d is %v", i, k, v)
			}
		}
		for k, s := range got.Stamps {
			if math.Abs(s-100-float64(k)/1000) > 1e-6 {
				t.Fatalf("inlet %d: stamp %d is %v", i, k, s)
			}
		}
	}
}

// slowClient connects and never reads.
func slowClient(t *testing.T, o *Outlet, buffer int) net.Conn {
	t.Helper()
	i := o.Info()
	conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", i.V4Data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(1 << 17)
	r := feedRequest{Version: 110, UID: i.UID, ByteOrder: orderLittle, IEEE: true, Subnormals: true, ValueSize: -1, MaxBuffer: buffer}
	if _, err := conn.Write(r.append(nil)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowConsumer: a consumer that reads nothing never delays a push or another
// consumer, loses the oldest samples, is told so, and what it then reads carries
// the right stamps.
func TestSlowConsumer(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "slow", Channels: 100, Format: Double64, Rate: 1000})
	slow := slowClient(t, o, 500)
	if err := o.WaitForConsumers(deadline(t, 5*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	in := openInlet(t, c, Match{Name: "slow"}, InletOptions{NoClock: true})
	const n = 20000
	v := make([]float64, 100)
	worst := time.Duration(0)
	for k := range n {
		for ch := range v {
			v[ch] = float64(k)
		}
		begun := time.Now()
		if err := o.Push(v, 1000+float64(k)/1000); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(begun))
		if k%500 == 499 { // the fast one keeps up
			got := pullN(t, in, 500)
			for i, s := range got.Stamps {
				if s != 1000+float64(k-499+i)/1000 {
					t.Fatalf("stamp %v", s)
				}
			}
		}
	}
	if worst > 10*time.Second { // a busy machine is no fault; one that does not read waits for ever
		t.Errorf("a push took %v", worst)
	}
	var dropped int64
	for _, x := range o.Consumers() {
		if x.MaxBuffer == 500 {
			dropped = x.Dropped
			if x.Queued > 500 || x.Sent+x.Dropped+x.Queued != n {
				t.Errorf("%+v", x)
			}
		} else if x.Dropped != 0 {
			t.Errorf("the fast consumer lost samples: %+v", x)
		}
	}
	if dropped < n/2 {
		t.Fatalf("only %d samples dropped", dropped)
	}
	// Now it reads: every sample it gets has the stamp that belongs to its value.
	w := wire{format: Double64, channels: 100, version: 110}
	head, rest, err := readUntil(slow, nil, "\r\n\r\n")
	if err != nil || !strings.Contains(string(head), "200 OK") {
		t.Fatalf("%q %v", head, err)
	}
	jumps, seen, last := 0, 0, -1.0
	_ = slow.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		got, left, err := w.decodeAll(rest)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			v := Numbers(nil, Double64, g.packed)
			if g.deduced {
				t.Fatal("a stamp is left out")
			}
			if seen++; seen <= 2 {
				continue
			}
			if math.Abs(g.stamp-1000-v[0]/1000) > 1e-9 {
				t.Fatalf("sample %v is stamped %v", v[0], g.stamp)
			}
			if v[0] != last+1 {
				jumps++
			}
			last = v[0]
		}
		if last == n-1 {
			break
		}
		rest = append(make([]byte, 0, 1<<16), left...)
		k := len(rest)
		m, err := slow.Read(rest[k:cap(rest)])
		rest = rest[:k+m]
		if err != nil {
			t.Fatalf("after value %v: %v", last, err)
		}
	}
	if jumps == 0 {
		t.Error("nothing was skipped")
	}
}

// TestReaderTooSlow: an inlet that is not read keeps what fits and reports what it
// dropped.
func TestReaderTooSlow(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "late", Channels: 1, Format: Int32, Rate: 1000})
	in := openInlet(t, c, Match{Name: "late"}, InletOptions{NoClock: true, Buffer: 0.1})
	for k := range 1000 {
		_ = o.Push([]float64{float64(k)}, 50+float64(k)/1000)
		if k%20 == 0 { // no faster than the outlet's own limit of 100 samples
			waitFor(t, func() bool { return in.Stats().Received == int64(k+1) })
		}
	}
	waitFor(t, func() bool { return in.Stats().Received == 1000 })
	var b Batch
	if err := in.Pull(deadline(t, time.Second), &b, 0); err != nil {
		t.Fatal(err)
	}
	if b.Len() != 100 || b.Seq != 900 || b.Flags&stream.Gap == 0 || b.Stamps[0] != 50.9 {
		t.Errorf("%d samples from %d, flags %v, stamp %v", b.Len(), b.Seq, b.Flags, b.Stamps[0])
	}
	if len(b.Events) != 1 || b.Events[0].Kind != stream.EventDrop || b.Events[0].Count != 900 {
		t.Errorf("events %v", b.Events)
	}
	if st := in.Stats(); st.Dropped != 900 || st.Delivered != 100 || st.Received != 1000 {
		t.Errorf("%+v", st)
	}
}

func waitFor(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited a minute in vain")
		}
	}
}

// TestRestart: the sender goes away and comes back with the same source_id; the
// stream goes on with a gap and says so.
func TestRestart(t *testing.T) {
	c := loopback(t)
	info := Info{Name: "device", Type: "EEG", Channels: 2, Format: Float32, Rate: 100, SourceID: "serial-1"}
	first, err := NewOutlet(info, OutletOptions{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	in := openInlet(t, c, Match{Name: "device"}, InletOptions{})
	base := LocalClock()
	for k := range 10 {
		_ = first.Push([]float64{float64(k), 0}, base+float64(k)/100)
	}
	if got := pullN(t, in, 10); got.Seq != 0 {
		t.Fatalf("begins at %d", got.Seq)
	}
	first.Close()
	waitFor(t, func() bool { return in.Stats().State == "searching" })
	// One that is alike but of another rate must not be taken.
	other := info
	other.Rate = 200
	wrong := newOutlet(t, c, other)
	waitFor(t, func() bool { // the refusal is noted
		in.queue.mu.Lock()
		defer in.queue.mu.Unlock()
		return slices.ContainsFunc(in.queue.marks, func(m mark) bool { return m.event.Kind == stream.EventNote })
	})
	if in.Stats().State != "searching" {
		t.Fatal("a stream of another rate was taken")
	}
	wrong.Close()
	second := newOutlet(t, c, info)
	if err := second.WaitForConsumers(deadline(t, 5*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	gap := 0.5
	for k := range 10 {
		_ = second.Push([]float64{float64(k), 1}, base+0.09+gap+float64(k)/100)
	}
	ctx := deadline(t, 5*time.Second)
	var b Batch
	var kinds []stream.Kind
	for b.Len() == 0 {
		if err := in.Pull(ctx, &b, 0); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Events {
			kinds = append(kinds, e.Kind)
		}
	}
	if b.Flags != stream.Gap|stream.Restart || !slices.Contains(kinds, stream.EventRestart) || !slices.Contains(kinds, stream.EventNote) {
		t.Errorf("flags %v, events %v", b.Flags, kinds)
	}
	if v := Numbers(nil, Float32, b.Sample(0)); v[0] != 0 || v[1] != 1 {
		t.Errorf("the new sender's first sample is %v", v)
	}
	if want := int64(10 + 49); b.Seq < want-30 || b.Seq > want+400 {
		t.Errorf("goes on at %d, about %d expected", b.Seq, want)
	}
	if st := in.Stats(); st.Restarts != 1 || st.Missing != b.Seq-10 || st.State != "connected" {
		t.Errorf("%+v with first column %d", st, b.Seq)
	}
}

// TestLost: without a source_id the stream ends with a reason.
func TestLost(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "nameless", Channels: 1, Format: Float32, Rate: 100})
	in := openInlet(t, c, Match{Name: "nameless"}, InletOptions{Recover: -1})
	_ = o.Push([]float64{1}, 0)
	o.Close()
	pullN(t, in, 1)
	var b Batch
	if err := in.Pull(deadline(t, 5*time.Second), &b, 0); !errors.Is(err, ErrLost) {
		t.Errorf("%v", err)
	}
}

// TestGapByStamps: a hole in a smooth stream's stamps is a gap of the right length.
func TestGapByStamps(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "holes", Channels: 1, Format: Int32, Rate: 1000})
	in := openInlet(t, c, Match{Name: "holes"}, InletOptions{NoClock: true})
	in.queue.mu.Lock()
	in.jitter = 0.001
	in.queue.mu.Unlock()
	for k := range 200 {
		stamp := 10 + float64(k)/1000
		if k >= 100 {
			stamp += 0.05
		}
		_ = o.Push([]float64{float64(k)}, stamp)
	}
	var b Batch
	got, gaps := 0, []stream.Event{}
	for got < 200 {
		if err := in.Pull(deadline(t, 5*time.Second), &b, 0); err != nil {
			t.Fatal(err)
		}
		gaps = append(gaps, b.Events...)
		want := int64(got)
		if got >= 100 {
			want += 50
		}
		if b.Seq != want {
			t.Fatalf("sample %d is column %d", got, b.Seq)
		}
		if b.Flags.Broken() != (got == 100) {
			t.Errorf("flags %v at sample %d", b.Flags, got)
		}
		got += b.Len()
	}
	if len(gaps) != 1 || gaps[0].Kind != stream.EventGap || gaps[0].Count != 50 {
		t.Errorf("events %v", gaps)
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "lean", Channels: 16, Format: Float32, Rate: 1000})
	src := &Source{Match: Match{Name: "lean"}, Config: c, MaxLen: 8, Stale: -1}
	h, err := src.Open(deadline(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	v := make([]float64, 16)
	dst := stream.NewChunk(&h)
	step := func() {
		if err := o.Push(v, 0); err != nil {
			t.Fatal(err)
		}
		for dst.Clear(); dst.Len == 0; {
			if err := src.Read(dst); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n > 0.5 { // the clock's probes run beside it
		t.Errorf("%v allocations per sample", n)
	}
}

// With Batch nothing is lost or out of order, a reader that comes late takes over from
// the inlet, and what is in the socket when the context ends is still read.
func TestPullInBatches(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "batched", Channels: 1, Format: Int32, Rate: 1000, SourceID: "batched"})
	in := openInlet(t, c, Match{Name: "batched"}, InletOptions{Batch: 2 * time.Millisecond, Recover: -1})
	const n = 5000
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for k := range n {
			_ = o.PushInts([]int64{int64(k)}, 1+float64(k)/1000)
		}
	}()
	var b Batch
	got := int64(0)
	take := func() error {
		err := in.Pull(ctx, &b, 0)
		for i := range b.Len() {
			if v := Ints(nil, Int32, b.Sample(i))[0]; v != got {
				t.Fatalf("sample %d is %d", got, v)
			}
			got++
		}
		return err
	}
	for got < n {
		if err := take(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := o.PushInts([]int64{n}, 1+n/1000.0); err != nil {
		t.Fatal(err)
	}
	for take() == nil {
	}
	if got != n+1 {
		t.Errorf("%d samples, %d were sent before the end", got, n+1)
	}
}

// A stamp that no clock shows does not get through: it would end a recording, or make
// every later one unfit to find a gap.
func TestOddStamps(t *testing.T) {
	c := loopback(t)
	o := newOutlet(t, c, Info{Name: "odd", Channels: 1, Format: Float32, Rate: 100, SourceID: "odd"})
	in := openInlet(t, c, Match{Name: "odd"}, InletOptions{Recover: -1})
	for i, stamp := range []float64{1000, math.NaN(), math.Inf(1), 1000.03, -1e300, 1000.05} {
		if err := o.Push([]float64{float64(i)}, stamp); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	var stamps []float64
	for len(stamps) < 6 {
		var b Batch
		if err := in.Pull(deadline(t, 10*time.Second), &b, 0); err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Events {
			if e.Kind == stream.EventNote {
				told = append(told, e.Detail)
			}
		}
		stamps = append(stamps, b.Stamps...)
	}
	for i, got := range stamps {
		if want := 1000 + float64(i)/100; math.Abs(got-want) > 1e-9 {
			t.Errorf("stamp %d is %v, not %v", i, got, want)
		}
	}
	if len(told) != 2 || !strings.Contains(told[0], "the stamp NaN") || !strings.Contains(told[1], "(2 so far)") {
		t.Errorf("%q", told)
	}
}
