package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// loopback opens a receiver on a free port of this computer, and a socket that sends
// to it.
func loopback(t testing.TB, buffer int) (*Receiver, *net.UDPConn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	r, err := Listen(ctx, Endpoint{Addr: netip.MustParseAddrPort("127.0.0.1:0")}, buffer, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	conn, err := Dial(ctx, r.LocalAddr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return r, conn
}

func send(t testing.TB, conn *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestDatagramsOfEveryLength(t *testing.T) {
	r, conn := loopback(t, 0)
	before := stream.Wall{}.Now()
	var sent [][]byte
	for _, n := range []int{0, 1, 68, 1400, 9000, 58080, 65507} {
		b := bytes.Repeat([]byte{byte(n), byte(n >> 8), 3}, n/3+1)[:n]
		send(t, conn, b)
		sent = append(sent, b)
	}
	last := before
	for i, want := range sent {
		d, err := r.Next(0)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(d.Data, want) || d.From != conn.LocalAddr().(*net.UDPAddr).AddrPort() {
			t.Errorf("datagram %d: %d bytes from %v", i, len(d.Data), d.From)
		}
		now := stream.Wall{}.Now()
		if runtime.GOOS == "linux" && !d.Kernel {
			t.Error("no kernel stamp")
		}
		if d.Stamp < before-1e6 || d.Stamp > now || d.Stamp < last-1e6 {
			t.Errorf("datagram %d: stamped %v after it was sent, %v before it was read", i, d.Stamp-before, now-d.Stamp)
		}
		last = d.Stamp
	}
	if _, err := r.Next(time.Millisecond); !errors.Is(err, ErrQuiet) {
		t.Errorf("%v", err)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	r, conn := loopback(t, 0)
	b := make([]byte, 1400)
	for range 100 {
		send(t, conn, b)
		if _, err := r.Next(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(200, func() {
		_, _ = conn.Write(b)
		_, _ = r.Next(time.Second)
	}); n != 0 && runtime.GOOS == "linux" {
		t.Errorf("%v allocations per datagram", n)
	}
}

// When the socket buffer overflows the kernel's counter says by how much: nothing is
// lost in silence.
func TestKernelDropsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the drop counter is Linux's")
	}
	r, conn := loopback(t, 1<<16)
	const n = 2000
	for range n {
		send(t, conn, make([]byte, 1400))
	}
	got, dropped := 0, uint32(0)
	for {
		d, err := r.Next(20 * time.Millisecond)
		if errors.Is(err, ErrQuiet) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got++
		dropped = d.Dropped
	}
	// The counter comes with a datagram; one more shows the newest.
	send(t, conn, []byte("x"))
	d, err := r.Next(0)
	if err != nil {
		t.Fatal(err)
	}
	dropped = max(dropped, d.Dropped)
	if got == n || got+int(dropped) != n {
		t.Errorf("%d read and %d dropped, of %d", got, dropped, n)
	}
	if r.capped() != "" {
		t.Errorf("64 KiB are refused: %s", r.capped())
	}
}

func TestSmallBuffersWarn(t *testing.T) {
	r := &Receiver{got: 1 << 20, wanted: 16 << 20}
	if s := r.capped(); !strings.Contains(s, "1.0 MB instead of 16.0 MB") {
		t.Errorf("%q", s)
	}
}

func TestGroupsReachUs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	loop := "127.0.0.1"
	port := 0
	{
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = c.LocalAddr().(*net.UDPAddr).Port
		c.Close()
	}
	group := fmt.Sprintf("225.1.1.1:%d", port)
	e, err := ParseEndpoint(group)
	if err != nil {
		t.Fatal(err)
	}
	e.Interface = loop
	one, err := Listen(ctx, e, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := Listen(ctx, e, 0, nil) // several programs share a group
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	conn, err := Dial(ctx, group, loop)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, []byte("to all"))
	for _, r := range []*Receiver{one, two} {
		d, err := r.Next(5 * time.Second)
		if err != nil || string(d.Data) != "to all" {
			t.Errorf("%v %v", d, err)
		}
	}
	e.Interface = "no-such-interface"
	if _, err := Listen(ctx, e, 0, nil); err == nil || !strings.Contains(err.Error(), `no interface "no-such-interface"; there are lo`) {
		t.Errorf("%v", err)
	}
}

func TestSocketProblems(t *testing.T) {
	ctx := context.Background()
	r, _ := loopback(t, 0)
	for _, c := range []struct{ at, want string }{
		{r.LocalAddr().String(), "is in use by another program"},
		{"192.0.2.7:4000", "is no address of this computer"},
	} {
		e, err := ParseEndpoint(c.at)
		if err == nil {
			_, err = Listen(ctx, e, 0, nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.at, err)
		}
	}
}

// The end of the context ends a wait.
func TestWaitingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := Listen(ctx, Endpoint{Addr: netip.MustParseAddrPort("127.0.0.1:0")}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := make(chan error)
	go func() { _, err := r.Next(0); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Nothing on the port: the message says what is heard elsewhere.
func TestWrongPortTellsWhatIsHeard(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a timeout")
	}
	quiet, _ := loopback(t, 0)
	at := quiet.LocalAddr()
	quiet.Close()
	r, conn := loopback(t, 0)
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		list := deviceSends(t, "unicorn", 4)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			_, _ = conn.Write(list[i%len(list)].data)
			_, _ = r.Next(time.Millisecond)
		}
	}()
	s, err := Open(at.String(), values(t, "format=unicorn&timeout=400ms"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(context.Background())
	close(done)
	<-stopped
	var q *QuietError
	if !errors.As(err, &q) {
		t.Fatalf("%v", err)
	}
	if watched, e := canCapture(); !watched {
		t.Skip("what is heard elsewhere needs the right to capture: ", e)
	}
	if want := fmt.Sprintf("on port %d (unicorn?)", r.LocalAddr().Port()); !strings.Contains(err.Error(), want) {
		t.Errorf("%v, without %q", err, want)
	}
}

func canCapture() (bool, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Capture{Path: "never-written.pcapng", OnReady: cancel, Interface: "127.0.0.1"}
	err := c.Run(ctx)
	return err == nil, err
}

func TestCaptureWithoutRights(t *testing.T) {
	err := withoutRights(func() error { return (&Capture{Path: t.TempDir() + "/x.pcapng"}).Run(context.Background()) })
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("rights cannot be put down here")
	}
	if !errors.Is(err, ErrNoRights) && !errors.Is(err, ErrNoCapture) {
		t.Errorf("%v", err)
	}
}

// A sink's datagrams come back as the chunks that were written.
func TestSinkSendsWhatSourceReads(t *testing.T) {
	for _, c := range []struct{ sink, source string }{
		{"format=native&sample=f64", "format=native"},
		{"format=openbci-json", "format=openbci-json&rate=250"},
		{"format=osc&address=/x", "format=osc&address=/x&rate=250"},
	} {
		t.Run(c.sink, func(t *testing.T) {
			r, conn := loopback(t, 0)
			at := conn.RemoteAddr().String()
			r.Close()
			src, err := Open(at, values(t, c.source))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			out, err := OpenSink(at, values(t, c.sink))
			if err != nil {
				t.Fatal(err)
			}
			h := device("sent", 250, 5, "c", "uV", "EEG")
			listening, done := make(chan struct{}), make(chan error, 1)
			src.OnListening = func() { close(listening) }
			value := func(ch, seq int) float64 { return float64(ch*100) + float64(seq%64)/4 }
			go func() {
				<-listening
				err := out.Open(ctx, h)
				k := stream.NewChunk(&h)
				for n := 0; n < 500 && err == nil; n += 10 {
					k.Clear()
					k.Resize(10)
					k.Seq, k.T0 = int64(n), stream.Wall{}.Now()
					for ch := range 5 {
						for i := range 10 {
							k.Set(ch, i, value(ch, n+i))
						}
					}
					err = out.Write(k)
				}
				done <- errors.Join(err, out.Close())
			}()
			got, err := src.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			k := stream.NewChunk(&got)
			for n := 0; n < 500; {
				if err := src.Read(k); err != nil {
					t.Fatal(err)
				}
				for i := range k.Len {
					for ch := range 5 {
						if v := k.At(ch, i); v != value(ch, n+i) {
							t.Fatalf("channel %d of column %d is %v, not %v", ch, n+i, v, value(ch, n+i))
						}
					}
				}
				n += k.Len
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A limit spreads datagrams: with a clock that a test moves, a burst and then one per
// step.
func TestSinkKeepsItsLimit(t *testing.T) {
	r, conn := loopback(t, 0)
	_ = r
	enc, err := NewEncoder("native", values(t, "payload=64"))
	if err != nil {
		t.Fatal(err)
	}
	e, _ := ParseEndpoint(conn.RemoteAddr().String())
	clock := new(stepping)
	clock.Set(1e9)
	s := &Sink{Endpoint: e, Encoder: enc, Limit: 100, Clock: clock}
	h := device("x", 250, 8, "c", "uV", "EEG")
	if err := s.Open(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	k := stream.NewChunk(&h)
	k.Resize(10)
	for range 10 {
		if err := s.Write(k); err != nil {
			t.Fatal(err)
		}
	}
	sent := s.Counts().Datagrams
	if passed := (clock.Now() - 1e9).Seconds(); sent < 50 || passed < float64(sent-burst-2)/100 {
		t.Errorf("%d datagrams in %v s", sent, passed)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
