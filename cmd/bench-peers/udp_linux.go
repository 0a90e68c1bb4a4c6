package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"neurostream/bci"
	"neurostream/stream"
	"neurostream/stream/udp"
)

// The section "udp": ingest of datagrams beside a bare receive loop (B3), the load of a
// 256-channel system, and the time from the sender's clock to a decision beside a bare
// echo, all on the loopback. The sender is a process of its own; this one receives, in
// turn with a [udp.Source] and with system calls or package net alone.

func measureUDP(ctx context.Context, b *bench) (string, error) {
	old := debug.SetGCPercent(-1) // as bci runs
	defer debug.SetGCPercent(old)
	from, err := startSender(ctx)
	if err != nil {
		return "", err
	}
	defer from.close()
	var out strings.Builder
	fmt.Fprintf(&out, "## UDP (B3)\n%s, %d cores, %s, loopback, sender in a process of its own. Command: `make bench-peers SECTIONS=udp", processor(), runtime.NumCPU(), runtime.Version())
	if b.full {
		fmt.Fprint(&out, " FULL=1`.\n\n")
	} else {
		fmt.Fprint(&out, "` (FULL=1 takes 60 s where this took 10).\n\n")
	}
	for _, part := range []func(context.Context, *bench, *peer, io.Writer) error{udpIngest, udpBlackrock, udpLatency} {
		if err := part(ctx, b, from, &out); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// Datagrams of 1400 bytes: 48 of header, two columns of 169 float32.
const (
	floodSize     = 1400
	floodChannels = 169
	floodColumns  = 2
	floodAsked    = 200e3 // datagrams per second
)

// trial is what a receiver made of a flood.
type trial struct {
	sent, received int64
	rate           float64 // that the sender reached, per second
	bytes          uint64  // allocated by the receiver
	cpu            float64 // of the receiver, seconds
}

func (t *trial) lost() int64 { return t.sent - t.received }

// flooding receives n datagrams that come at a rate.
type flooding func(ctx context.Context, from *peer, rate float64, n int64) (trial, error)

func flooded(from *peer, port int, rate float64, n int64) (answer func() (float64, error)) {
	done := make(chan error, 1)
	var a sent
	go func() {
		done <- from.call(sending{Do: "flood", Port: port, Channels: floodChannels, Columns: floodColumns, Rate: rate, N: n}, &a)
	}()
	return func() (float64, error) {
		err := <-done
		return float64(n) / a.Seconds, err
	}
}

func freeUDPPort() (int, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

// floodOurs receives with a Source: frames, checksum, decoding, evidence, clock.
func floodOurs(ctx context.Context, from *peer, rate float64, n int64) (trial, error) {
	t := trial{sent: n}
	port, err := freeUDPPort()
	if err != nil {
		return t, err
	}
	s, err := udp.Open(fmt.Sprintf("127.0.0.1:%d", port), url.Values{"format": {"native"}})
	if err != nil {
		return t, err
	}
	var answer func() (float64, error)
	s.OnListening = func() { answer = flooded(from, port, rate, n) }
	h, err := s.Open(ctx)
	if err != nil {
		return t, err
	}
	c := stream.NewChunk(&h)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, cpu := m.TotalAlloc, cpuSeconds()
	for err == nil {
		err = s.Read(c)
	}
	t.cpu = cpuSeconds() - cpu
	runtime.ReadMemStats(&m)
	t.bytes = m.TotalAlloc - before
	if err == io.EOF {
		err = nil
	}
	t.received = s.Counts().Columns / floodColumns
	err = errors.Join(err, s.Close())
	rate, failed := answer()
	t.rate = rate
	return t, errors.Join(err, failed)
}

// floodBare receives with recvmmsg and counts.
func floodBare(_ context.Context, from *peer, rate float64, n int64) (trial, error) {
	t := trial{sent: n}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return t, err
	}
	closed := false
	defer func() {
		if !closed {
			unix.Close(fd)
		}
	}()
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udp.DefaultReceiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, udp.DefaultReceiveBuffer)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return t, err
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return t, err
	}
	answer := flooded(from, at.(*unix.SockaddrInet4).Port, rate, n)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const batch, slot = 64, 1 << 16
	memory := make([]byte, batch*slot)
	vectors := make([]unix.Iovec, batch)
	messages := make([]mmsg, batch)
	for i := range batch {
		vectors[i].Base = &memory[i*slot]
		vectors[i].SetLen(slot)
		messages[i].header.Iov = &vectors[i]
		messages[i].header.SetIovlen(1)
	}
	cpu := cpuSeconds()
	for ended := false; !ended; {
		m, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return t, errno
		}
		for i := range int(m) {
			switch flags := memory[i*slot+6]; {
			case flags&4 != 0:
				ended = true
			case flags&1 == 0:
				t.received++
			}
		}
	}
	t.cpu = cpuSeconds() - cpu
	closed = true
	unix.Close(fd)
	t.rate, err = answer()
	return t, err
}

// highest finds the highest rate at which nothing is lost for a second, to 10 %: a step
// up by half until something is lost, then bisection of the logarithm. A loss counts when
// it happens twice: other programs stop a receiver for longer than a socket buffer lasts.
func highest(ctx context.Context, from *peer, side flooding) (rate float64, err error) {
	low, high := 0.0, math.Inf(1)
	for try := floodAsked; high > 1.1*low; {
		t, err := side(ctx, from, try, batches(try))
		if err == nil && t.lost() > 0 {
			t, err = side(ctx, from, try, batches(try))
		}
		if err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if t.lost() > 0 {
			high = try
		} else if low = t.rate; t.rate < 0.95*try { // faster than the sender can send
			return low, nil
		}
		switch {
		case math.IsInf(high, 1):
			try = 1.5 * low
		case low > 0:
			try = math.Sqrt(low * high)
		case high < 10e3:
			return 0, errors.New("datagrams are lost even at 10 000 a second")
		default:
			try = high / 1.5
		}
	}
	return low, nil
}

// batches is how many datagrams take that many seconds, in whole batches.
func batches(rate float64) int64 { return int64(rate) / sendBatch * sendBatch }

func udpIngest(ctx context.Context, b *bench, from *peer, out io.Writer) error {
	rounds, long := 3, 10.0
	if b.full {
		rounds, long = 5, 60
	}
	side := func(s flooding) func() (float64, error) {
		return func() (float64, error) { return highest(ctx, from, s) }
	}
	b.say("udp: highest rate of %d-byte datagrams without loss, %d rounds", floodSize, rounds)
	p, err := measure(rounds, side(floodOurs), side(floodBare))
	if err != nil {
		return err
	}
	rates := pairs{ours: p.theirs, theirs: p.ours} // above one we are faster
	median, low, high := rates.ratio()
	limit := quantile(p.theirs, 0.5)
	rate := min(floodAsked, 0.9*limit)
	b.say("udp: %.0f thousand a second for %.0f s", rate/1e3, long)
	n := batches(rate * long)
	ours, err := floodOurs(ctx, from, rate, n)
	if err != nil {
		return err
	}
	bare, err := floodBare(ctx, from, rate, n)
	if err != nil {
		return err
	}
	asked := "missed"
	if ours.lost() == 0 && rate >= floodAsked || median >= 0.9 {
		asked = "met"
	}
	fmt.Fprintf(out, "Ingest of datagrams of %d bytes, socket buffer %d MB. Ours: kernel stamps, checksum, decoding into tiles, evidence of loss, clock. Bare: recvmmsg in a loop that counts. Asked: %.0f k/s without loss, or 0.9 of the bare loop: **%s**.\n\n", floodSize, udp.DefaultReceiveBuffer>>20, floodAsked/1e3, asked)
	fmt.Fprintf(out, "| | highest rate without loss in 1 s, median of %d | lost at %.0f k/s for %.0f s | processor time a datagram | allocated a datagram |\n", rounds, rate/1e3, long)
	fmt.Fprintln(out, "|---|---|---|---|---|")
	row := func(name string, rate float64, t *trial) {
		each := float64(max(t.received, 1))
		fmt.Fprintf(out, "| %s | %.0f k/s | %d of %.1f M | %s | %.3f B |\n", name, rate/1e3, t.lost(), float64(t.sent)/1e6, seconds(t.cpu/each), float64(t.bytes)/each)
	}
	row("ours", quantile(p.ours, 0.5), &ours)
	row("bare", limit, &bare)
	fmt.Fprintf(out, "\nRatio of the rates, ours to bare: %.2f (%.2f to %.2f).\n\n", median, low, high)
	return nil
}

// udpBlackrock receives 256 channels of 30 kHz in datagrams of 58 080 bytes in real
// time.
func udpBlackrock(ctx context.Context, b *bench, from *peer, out io.Writer) error {
	const length = 10.0
	b.say("udp: 256 channels of 30 kHz for %.0f s", length)
	port, err := freeUDPPort()
	if err != nil {
		return err
	}
	s, err := udp.Open(fmt.Sprintf("127.0.0.1:%d", port), url.Values{"format": {"blackrock"}, "group": {"5"}, "count": {"256"}})
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	s.OnListening = func() {
		go func() {
			var a sent
			err := from.call(sending{Do: "blackrock", Port: port, Seconds: length}, &a)
			time.Sleep(200 * time.Millisecond)
			done <- err
			stop()
		}()
	}
	h, err := s.Open(work)
	if err != nil {
		return err
	}
	c := stream.NewChunk(&h)
	cpu, begun := cpuSeconds(), time.Now()
	for err == nil {
		err = s.Read(c)
	}
	core := (cpuSeconds() - cpu) / (time.Since(begun).Seconds() - 0.2)
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	k := s.Counts()
	asked := "met"
	if missing := k.Missing + k.KernelDrops; core >= 0.15 || missing > 0 {
		asked = "missed"
	}
	fmt.Fprintf(out, "256 channels × 30 kHz as Blackrock datagrams of up to 58 080 bytes, real time for %.0f s: **%.1f %% of a core**, %d datagrams, %d columns, %d missing, %d dropped by the kernel (asked: below 15 %%, none missing: %s).\n\n",
		length, 100*core, k.Datagrams, k.Columns, k.Missing, k.KernelDrops, asked)
	return s.Close()
}

// decisions is a sink that measures from the sender's clock. It never waits, as those that
// send by UDP or LSL.
type decisions struct {
	late []float64 // seconds
	skip int
}

func (*decisions) Open(context.Context, stream.Header) error { return nil }
func (*decisions) Close() error                              { return nil }
func (*decisions) Prompt() bool                              { return true }
func (d *decisions) Write(c *stream.Chunk) error {
	now := wallClock()
	for _, t := range c.Stamps {
		if d.skip--; d.skip < 0 {
			d.late = append(d.late, (now - t).Seconds())
		}
	}
	return nil
}

const latencyPipeline = `
stages:
  - car
  - bandpass: {low: 8, high: 30}
`

const (
	latencyChannels = 64
	latencyWarm     = 300 // datagrams not counted
)

func paced(from *peer, port, n int) <-chan error {
	done := make(chan error, 1)
	go func() {
		done <- from.call(sending{Do: "paced", Port: port, Channels: latencyChannels, N: int64(n)}, new(sent))
	}()
	return done
}

func latencyOurs(ctx context.Context, from *peer, n int, busy bool) ([]float64, error) {
	port, err := freeUDPPort()
	if err != nil {
		return nil, err
	}
	p, err := bci.ParsePipeline("latency.yaml", []byte(latencyPipeline))
	if err != nil {
		return nil, err
	}
	v := url.Values{"format": {"native"}}
	if busy {
		v.Set("busy", "true")
	}
	s, err := udp.Open(fmt.Sprintf("127.0.0.1:%d", port), v)
	if err != nil {
		return nil, err
	}
	d := &decisions{late: make([]float64, 0, n), skip: latencyWarm}
	e, err := bci.NewEngine(p, nil, s, []bci.Output{{Name: "latency", Sink: d}}, bci.Options{Live: true})
	if err != nil {
		return nil, err
	}
	var done <-chan error
	s.OnListening = func() { done = paced(from, port, n) }
	if err := e.Open(ctx); err != nil {
		return nil, err
	}
	err = errors.Join(e.Run(ctx), <-done)
	return d.late, err
}

// latencyBare receives with package net, takes the time and sends the datagram back.
func latencyBare(_ context.Context, from *peer, n int) ([]float64, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	done := paced(from, conn.LocalAddr().(*net.UDPAddr).Port, n)
	late := make([]float64, 0, n)
	b := make([]byte, 1<<16)
	skip := latencyWarm
	for {
		m, sender, err := conn.ReadFromUDPAddrPort(b)
		now := wallClock()
		if err != nil {
			return nil, err
		}
		if b[6]&4 != 0 {
			return late, <-done
		}
		if stamp := binary.LittleEndian.Uint64(b[24:]); stamp != 0 && b[6]&1 == 0 {
			if skip--; skip < 0 {
				late = append(late, (now - stream.Time(stamp)).Seconds())
			}
		}
		_, _ = conn.WriteToUDPAddrPort(b[:m], sender)
	}
}

func udpLatency(ctx context.Context, b *bench, from *peer, out io.Writer) error {
	blocks, n := 6, 3000
	if b.full {
		blocks, n = 10, 10_000
	}
	// Medians over blocks of each block's quantiles: a block in which another program
	// took the processor says nothing about us.
	var ours, busy, bare [3][]float64
	add := func(to *[3][]float64, x []float64, err error) error {
		for i, q := range []float64{0.5, 0.99, 0.999} {
			if len(x) == 0 {
				return errors.Join(err, errors.New("no datagram arrived"))
			}
			to[i] = append(to[i], quantile(x, q))
		}
		return err
	}
	for i := range blocks {
		b.say("udp: latency, block %d of %d", i+1, blocks)
		x, err := latencyOurs(ctx, from, n, false)
		if err := add(&ours, x, err); err != nil {
			return err
		}
		x, err = latencyBare(ctx, from, n)
		if err := add(&bare, x, err); err != nil {
			return err
		}
		x, err = latencyOurs(ctx, from, n, true)
		if err := add(&busy, x, err); err != nil {
			return err
		}
	}
	us := func(x []float64) float64 { return 1e6 * quantile(x, 0.5) }
	verdict := func(x [3][]float64) string {
		if us(x[0]) > 50 || us(x[1]) > 250 {
			return "missed"
		}
		return "met"
	}
	fmt.Fprintf(out, "One-way latency, %d channels, a datagram each millisecond, from the sender's clock right before it encodes and sends; %d alternating blocks of %d datagrams, medians over blocks. Ours: to the sink that gets the decision, behind common average and band-pass. Bare: to the return of package net's read in an echo loop.\n\n", latencyChannels, blocks, n)
	fmt.Fprintln(out, "| | p50 (µs) | p99 (µs) | p99.9 (µs) | asked |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	fmt.Fprintf(out, "| ours | %.0f | %.0f | %.0f | p50 ≤ 50, p99 ≤ 250: %s |\n", us(ours[0]), us(ours[1]), us(ours[2]), verdict(ours))
	fmt.Fprintf(out, "| ours, `busy=true` | %.0f | %.0f | %.0f | the same: %s |\n", us(busy[0]), us(busy[1]), us(busy[2]), verdict(busy))
	fmt.Fprintf(out, "| bare echo | %.0f | %.0f | %.0f | |\n\n", us(bare[0]), us(bare[1]), us(bare[2]))
	fmt.Fprintf(out, "Waking a sleeping thread, and perhaps a sleeping processor, is in the first and the last row alike; above the bare echo ours takes %.0f µs. `udp:…&busy=true` never sleeps, which spares the wake-up and takes a whole core.\n", us(ours[0])-us(bare[0]))
	return nil
}
