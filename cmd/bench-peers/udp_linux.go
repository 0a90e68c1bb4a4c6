package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
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
// echo. Sender and receiver are goroutines of this process on the loopback; the bare
// sides use system calls or package net alone.

func measureUDP(ctx context.Context, b *bench) (string, error) {
	old := debug.SetGCPercent(-1) // as bci runs
	defer debug.SetGCPercent(old)
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d cores, Go %s, loopback. `make bench-peers SECTIONS=udp`\n\n", processor(), runtime.NumCPU(), strings.TrimPrefix(runtime.Version(), "go"))
	for _, part := range []func(context.Context, *bench, io.Writer) error{udpIngest, udpBlackrock, udpLatency} {
		if err := part(ctx, b, &out); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// flood is a set of native datagrams of one length, numbered anew as they are sent.
type flood struct {
	packets [][]byte
	columns int // of each
	size    int
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func newFlood(channels, columns int) (*flood, stream.Header, error) {
	h := stream.Header{Name: "flood", Rate: 500_000, MaxLen: columns}
	for i := range channels {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	sim, err := udp.NewSimulator("native", url.Values{"payload": {fmt.Sprint(max(64, channels*columns*4))}}, &h, 1, 0)
	if err != nil {
		return nil, h, err
	}
	f := &flood{columns: columns}
	for len(f.packets) < 256 {
		p, _, err := sim.Packet(nil)
		if err != nil {
			return nil, h, err
		}
		if binary.LittleEndian.Uint16(p[6:])&1 == 0 || len(f.packets) == 0 {
			f.packets = append(f.packets, p) // the first is the description
		}
	}
	f.size = len(f.packets[1])
	return f, h, nil
}

func (f *flood) number(p []byte, n int64) {
	binary.LittleEndian.PutUint32(p[12:], uint32(n))
	binary.LittleEndian.PutUint64(p[16:], uint64(n)*uint64(f.columns))
	f.seal(p)
}

func (f *flood) seal(p []byte) {
	clear(p[40:44])
	binary.LittleEndian.PutUint32(p[40:], crc32.Checksum(p, crcTable))
}

type mmsg struct {
	header unix.Msghdr
	n      uint32
}

const sendBatch = 16

// send sends n datagrams at a rate per second, then says that the stream has ended.
func (f *flood) send(fd int, rate float64, n int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	list := f.packets[1:]
	vectors := make([]unix.Iovec, sendBatch)
	messages := make([]mmsg, sendBatch)
	if _, err := unix.Write(fd, f.packets[0]); err != nil {
		return err
	}
	begun := time.Now()
	for sent := int64(0); sent < n; sent += sendBatch {
		for i := range sendBatch {
			p := list[(sent+int64(i))%int64(len(list))]
			f.number(p, sent+int64(i))
			vectors[i].Base = &p[0]
			vectors[i].SetLen(len(p))
			messages[i].header.Iov = &vectors[i]
			messages[i].header.SetIovlen(1)
		}
		due := time.Duration(float64(sent) / rate * 1e9)
		for time.Since(begun) < due { // a rate is kept by spinning: the sender has a core
		}
		for at := 0; at < sendBatch; {
			m, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[at])), uintptr(sendBatch-at), 0, 0, 0)
			if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
				return errno
			}
			if errno == 0 {
				at += int(m)
			}
		}
	}
	end := append([]byte(nil), f.packets[0][:48]...)
	binary.LittleEndian.PutUint16(end[6:], 4)
	binary.LittleEndian.PutUint16(end[34:], 0)
	f.number(end, n/sendBatch*sendBatch+sendBatch*min(1, n%sendBatch))
	for range 20 { // should the buffer be full
		time.Sleep(50 * time.Millisecond)
		if _, err := unix.Write(fd, end); errors.Is(err, unix.ECONNREFUSED) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// trial is what a receiver made of a flood.
type trial struct {
	received, lost int64
	bytes          uint64 // allocated
}

func freeUDPPort() (int, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port, nil
}

func rawSocket(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}

// floodOurs receives with a Source: frames, checksum, decoding, evidence, clock.
func floodOurs(ctx context.Context, f *flood, rate float64, n int64) (t trial, err error) {
	port, err := freeUDPPort()
	if err != nil {
		return t, err
	}
	s, err := udp.Open(fmt.Sprintf("127.0.0.1:%d", port), url.Values{"format": {"native"}})
	if err != nil {
		return t, err
	}
	listening, sent := make(chan struct{}), make(chan error, 1)
	s.OnListening = func() { close(listening) }
	go func() {
		<-listening
		fd, err := rawSocket(port)
		if err == nil {
			err = f.send(fd, rate, n)
			unix.Close(fd)
		}
		sent <- err
	}()
	h, err := s.Open(ctx)
	if err != nil {
		return t, err
	}
	c := stream.NewChunk(&h)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.TotalAlloc
	for err == nil {
		err = s.Read(c)
	}
	runtime.ReadMemStats(&m)
	t.bytes = m.TotalAlloc - before
	if err == io.EOF {
		err = nil
	}
	k := s.Counts()
	t.received = k.Columns / int64(f.columns)
	n = (n + sendBatch - 1) / sendBatch * sendBatch
	t.lost = n - t.received
	return t, errors.Join(err, s.Close(), <-sent)
}

// floodBare receives with recvmmsg and counts.
func floodBare(_ context.Context, f *flood, rate float64, n int64) (t trial, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return t, err
	}
	defer unix.Close(fd)
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
	port := at.(*unix.SockaddrInet4).Port
	sent := make(chan error, 1)
	go func() {
		out, err := rawSocket(port)
		if err == nil {
			err = f.send(out, rate, n)
			unix.Close(out)
		}
		sent <- err
	}()
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
	n = (n + sendBatch - 1) / sendBatch * sendBatch
	t.lost = n - t.received
	unix.Close(fd)
	return t, <-sent
}

type flooding func(context.Context, *flood, float64, int64) (trial, error)

// highest finds the highest rate at which nothing is lost for some seconds, by
// bisection to 12 %.
func highest(ctx context.Context, f *flood, side flooding, seconds float64) (rate float64, err error) {
	low, high := 0.0, 1.2e6
	for try := 150e3; ; {
		t, err := side(ctx, f, try, int64(try*seconds))
		if err != nil {
			return 0, err
		}
		if t.lost == 0 {
			low = try
		} else {
			high = try
		}
		if low > 0 && high < 1.12*low || high < 10e3 || low > 1.1e6 {
			return low, ctx.Err()
		}
		if low == 0 {
			try = high / 2
		} else {
			try = min((low+high)/2, 1.6*low)
		}
	}
}

func udpIngest(ctx context.Context, b *bench, out io.Writer) error {
	fmt.Fprintf(out, "Ingest (B3), socket buffer %d MB. Ours: kernel stamps, checksum, decoding into tiles, evidence of loss, clock. Bare: recvmmsg, counting only.\n\n", udp.DefaultReceiveBuffer>>20)
	fmt.Fprintln(out, "| datagrams of | highest rate without loss in 1 s: ours | bare | ours/bare (quartiles) | sustained | lost: ours | bare | allocated per datagram |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	rounds, long := 3, 10.0
	if b.full {
		rounds, long = 5, 60
	}
	for _, c := range []struct{ channels, columns int }{{5, 1}, {169, 2}, {1024, 2}} {
		f, _, err := newFlood(c.channels, c.columns)
		if err != nil {
			return err
		}
		side := func(s flooding) func() (float64, error) {
			return func() (float64, error) { return highest(ctx, f, s, 1) }
		}
		b.say("udp: highest rate of %d-byte datagrams, %d rounds", f.size, rounds)
		p, err := measure(rounds, side(floodOurs), side(floodBare))
		if err != nil {
			return err
		}
		q := pairs{ours: p.theirs, theirs: p.ours} // the ratio of rates, above one we are faster
		median, low, high := q.ratio()
		line := fmt.Sprintf("| %d B | %.0f k/s | %.0f k/s | %.2f (%.2f to %.2f) |", f.size, quantile(p.ours, 0.5)/1e3, quantile(p.theirs, 0.5)/1e3, median, low, high)
		if f.size == 1400 {
			rate := 200e3
			b.say("udp: %.0f k/s for %.0f s", rate/1e3, long)
			ours, err := floodOurs(ctx, f, rate, int64(rate*long))
			if err != nil {
				return err
			}
			bare, err := floodBare(ctx, f, rate, int64(rate*long))
			if err != nil {
				return err
			}
			n := rate * long
			line += fmt.Sprintf(" %.0f k/s for %.0f s | %d of %.0f M (%.4f %%) | %d (%.4f %%) | %.3f B |", rate/1e3, long, ours.lost, n/1e6, 100*float64(ours.lost)/n, bare.lost, 100*float64(bare.lost)/n, float64(ours.bytes)/n)
		} else {
			line += " | | | |"
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	return nil
}

func cpuOf(who int) float64 {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) * 1e-9
}

// udpBlackrock receives 256 channels of 30 kHz in datagrams of 58 080 bytes in real
// time.
func udpBlackrock(ctx context.Context, b *bench, out io.Writer) error {
	h := stream.Header{Name: "Blackrock", Rate: 30_000, MaxLen: 300}
	for i := range 256 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "raw"})
	}
	port, err := freeUDPPort()
	if err != nil {
		return err
	}
	sim, err := udp.NewSimulator("blackrock", url.Values{"group": {"5"}}, &h, 1, udp.SimulatorStart())
	if err != nil {
		return err
	}
	sim.Fill = func(c *stream.Chunk) error {
		for k := range c.Tiles() {
			for i := range c.Tile(k) {
				v := &c.Tile(k)[i]
				for l := range v {
					v[l] = float64((int(c.Seq)+i)%4000-2000) * 0.25
				}
			}
		}
		return nil
	}
	length := 10.0
	b.say("udp: 256 channels of 30 kHz for %.0f s", length)
	s, err := udp.Open(fmt.Sprintf("127.0.0.1:%d", port), url.Values{"format": {"blackrock"}, "group": {"5"}, "count": {"256"}})
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	listening := make(chan struct{})
	s.OnListening = func() { close(listening) }
	player := &udp.Player{Simulator: sim, Speed: 1, For: length}
	sender := 0.0
	sent := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		<-listening
		conn, err := udp.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), "")
		before := cpuOf(unix.RUSAGE_THREAD)
		if err == nil {
			err = player.Play(ctx, conn)
			conn.Close()
		}
		sender = cpuOf(unix.RUSAGE_THREAD) - before
		time.Sleep(200 * time.Millisecond)
		sent <- err
		stop()
	}()
	hs, err := s.Open(work)
	if err != nil {
		return err
	}
	c := stream.NewChunk(&hs)
	before := cpuOf(unix.RUSAGE_SELF)
	begun := time.Now()
	for err == nil {
		err = s.Read(c)
	}
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if err := <-sent; err != nil {
		return err
	}
	core := (cpuOf(unix.RUSAGE_SELF) - before - sender) / time.Since(begun).Seconds()
	k := s.Counts()
	fmt.Fprintf(out, "256 channels × 30 kHz as Blackrock datagrams of up to %d bytes, real time for %.0f s: **%.1f %% of a core**, %d datagrams, %d columns, %d missing (asked: below 15 %%, none missing).\n\n",
		58080, length, 100*core, k.Datagrams, k.Columns, k.Missing+k.KernelDrops)
	return s.Close()
}

// decisions is a sink that measures from the sender's clock.
type decisions struct {
	late []float64
	skip int
}

func (*decisions) Open(context.Context, stream.Header) error { return nil }
func (*decisions) Close() error                              { return nil }
func (d *decisions) Write(c *stream.Chunk) error {
	now := stream.Wall{}.Now()
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

// paced sends n native datagrams of one column of 64 channels, a thousand a second,
// each with the sender's time.
func paced(ctx context.Context, port, n int) error {
	h := stream.Header{Name: "latency", Rate: 1000, MaxLen: 1}
	for i := range 64 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	enc, err := udp.NewEncoder("native", url.Values{})
	if err != nil {
		return err
	}
	if err := enc.Open(h); err != nil {
		return err
	}
	conn, err := udp.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), "")
	if err != nil {
		return err
	}
	defer conn.Close()
	clock := stream.Wall{}
	timer := clock.Timer(ctx)
	defer timer.Stop()
	c := stream.NewChunk(&h)
	buf, _ := enc.Preamble(nil)
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	begun := clock.Now()
	for i := 0; i < n; {
		if err := timer.Wait(begun + stream.Time(i)*1e6); err != nil {
			return err
		}
		c.Clear()
		c.Resize(1)
		c.Seq = int64(i)
		for ch := range 64 {
			c.Set(ch, 0, float64((i*(ch+1))%100))
		}
		c.T0 = clock.Now()
		p, used := enc.Encode(buf[:0], c, 0, 1)
		if _, err := conn.Write(p); err != nil {
			return err
		}
		i += used
	}
	last := enc.Finish(nil)
	time.Sleep(20 * time.Millisecond)
	_, err = conn.Write(last)
	return err
}

const latencyWarm = 300

func latencyOurs(ctx context.Context, n int, busy bool) ([]float64, error) {
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
	listening, sent := make(chan struct{}), make(chan error, 1)
	s.OnListening = func() { close(listening) }
	go func() { <-listening; sent <- paced(ctx, port, n) }()
	if err := e.Open(ctx); err != nil {
		return nil, err
	}
	err = errors.Join(e.Run(ctx), <-sent)
	return d.late, err
}

// latencyBare receives with package net, takes the time and sends the datagram back.
func latencyBare(ctx context.Context, n int) ([]float64, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	sent := make(chan error, 1)
	go func() { sent <- paced(ctx, conn.LocalAddr().(*net.UDPAddr).Port, n) }()
	late := make([]float64, 0, n)
	b := make([]byte, 1<<16)
	skip := latencyWarm
	for {
		m, from, err := conn.ReadFromUDPAddrPort(b)
		now := stream.Wall{}.Now()
		if err != nil {
			return nil, err
		}
		if b[6]&4 != 0 {
			return late, <-sent
		}
		if stamp := binary.LittleEndian.Uint64(b[24:]); stamp != 0 && b[6]&1 == 0 {
			if skip--; skip < 0 {
				late = append(late, (now - stream.Time(stamp)).Seconds())
			}
		}
		_, _ = conn.WriteToUDPAddrPort(b[:m], from)
	}
}

func udpLatency(ctx context.Context, b *bench, out io.Writer) error {
	blocks, n := 4, 3000
	if b.full {
		blocks, n = 10, 10_000
	}
	var ours, busy, bare []float64
	for i := range blocks {
		b.say("udp: latency, block %d of %d", i+1, blocks)
		o, err := latencyOurs(ctx, n, false)
		if err != nil {
			return err
		}
		e, err := latencyBare(ctx, n)
		if err != nil {
			return err
		}
		y, err := latencyOurs(ctx, n, true)
		if err != nil {
			return err
		}
		ours, bare, busy = append(ours, o...), append(bare, e...), append(busy, y...)
	}
	us := func(x []float64, q float64) float64 { return 1e6 * quantile(x, q) }
	fmt.Fprintf(out, "One-way latency, 64 channels, a datagram each millisecond, from the sender's clock right before it sends; %d datagrams a row, alternating blocks. Ours: to the sink that gets the decision, behind common average and band-pass. Bare: to the return of package net's read in an echo loop.\n\n", len(ours))
	fmt.Fprintln(out, "| | p50 (µs) | p99 (µs) | p99.9 (µs) | asked |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	fmt.Fprintf(out, "| ours | %.0f | %.0f | %.0f | p50 ≤ 50, p99 ≤ 250 |\n", us(ours, 0.5), us(ours, 0.99), us(ours, 0.999))
	fmt.Fprintf(out, "| ours, busy=true | %.0f | %.0f | %.0f | |\n", us(busy, 0.5), us(busy, 0.99), us(busy, 0.999))
	fmt.Fprintf(out, "| bare echo | %.0f | %.0f | %.0f | |\n", us(bare, 0.5), us(bare, 0.99), us(bare, 0.999))
	return nil
}
