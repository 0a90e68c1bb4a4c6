package lsl

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"neurostream/stream"
)

// Outlet sends one stream to any number of consumers.
//
//	Push ─► encode once per wire form ─► log ─┬─► consumer: all that is new in one write
//	                                          └─► consumer ...
//
// Push never waits for a consumer. Each has its own place in the log; one that
// falls behind by more samples than it asked to be buffered, or than the log can
// hold, loses the oldest, and the loss is counted (Consumers). Every sample goes
// out with an absolute stamp. All methods may be called from any goroutine.
type Outlet struct {
	info      Info
	config    Config
	clock     stream.Clock
	maxBytes  int
	maxBuffer int

	answers   *answers
	full      []byte // fullinfo document
	responder *responder
	services  []*net.UDPConn
	listeners []*net.TCPListener
	warnings  []error
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
	pending   atomic.Int32 // connections that have not finished their handshake

	mu        sync.Mutex
	logs      []*sampleLog
	scratch   []byte
	pushed    int64
	joined    chan struct{} // closed and replaced when a consumer comes
	closed    bool
	consumers atomic.Pointer[[]*consumer] // replaced, never changed
}

// OutletOptions are the settings of an outlet. The zero value is ready to use.
type OutletOptions struct {
	Config   *Config      // nil = LoadConfig
	Clock    stream.Clock // nil = stream.Wall
	Buffer   float64      // seconds kept for a slow consumer (per 100 samples in irregular streams); 0 = 360
	MaxBytes int          // most memory for unsent samples, per wire form; 0 = 64 MiB
}

// maxPending bounds the connections that have not said what they want.
const (
	maxPending       = 64
	maxConsumers     = 1024
	handshakeTimeout = 10 * time.Second
)

// NewOutlet opens the ports of a stream and makes it visible. Of info it uses
// Name, Type, Channels, Format, Rate, SourceID and Desc; the rest is filled in.
func NewOutlet(info Info, o OutletOptions) (*Outlet, error) {
	switch {
	case strings.TrimSpace(info.Name) == "":
		return nil, errors.New("lsl: an outlet needs a name")
	case info.Channels < 1 || info.Channels > maxChannels:
		return nil, fmt.Errorf("lsl: outlet %q has %d channels; allowed are 1 to %d", info.Name, info.Channels, maxChannels)
	case info.Format == Undefined || int(info.Format) >= len(formatNames):
		return nil, fmt.Errorf("lsl: outlet %q has format %v; it is one of %s", info.Name, info.Format, strings.Join(formatNames[1:], " "))
	case !(info.Rate >= 0) || info.Rate > 1e9:
		return nil, fmt.Errorf("lsl: outlet %q has a rate of %v Hz; it is positive, or 0 for irregular", info.Name, info.Rate)
	case o.Buffer < 0 || o.MaxBytes < 0:
		return nil, fmt.Errorf("lsl: outlet %q: Buffer is %v s and MaxBytes %d; neither may be negative", info.Name, o.Buffer, o.MaxBytes)
	}
	c := o.Config
	if c == nil {
		loaded := LoadConfig()
		c = &loaded
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	out := &Outlet{info: info, config: *c, clock: o.Clock, maxBytes: o.MaxBytes, joined: make(chan struct{})}
	if out.clock == nil {
		out.clock = stream.Wall{}
	}
	if out.maxBytes == 0 {
		out.maxBytes = 64 << 20
	}
	seconds := o.Buffer
	if seconds == 0 {
		seconds = 360
	}
	perSecond := info.Rate
	if perSecond == 0 {
		perSecond = 100
	}
	out.maxBuffer = int(min(max(1, seconds*perSecond), 1<<30))
	none := []*consumer{}
	out.consumers.Store(&none)
	out.ctx, out.cancel = context.WithCancel(context.Background())
	if err := out.open(); err != nil {
		out.Close()
		return nil, fmt.Errorf("lsl: outlet %q: %w", info.Name, err)
	}
	return out, nil
}

func (o *Outlet) open() error {
	i := &o.info
	i.Version, i.CreatedAt = o.config.Protocol, o.now()
	i.UID, i.SessionID = newUID(), o.config.SessionID
	i.Hostname, _ = os.Hostname()
	i.V4Address, i.V6Address = "", ""
	i.Desc = i.Desc.Clone()
	for _, f := range o.config.families() {
		l, err := listenTCP(&o.config, f)
		if err != nil {
			o.warnings = append(o.warnings, fmt.Errorf("data over %s: %w", f.network("IPv"), err))
			continue
		}
		o.listeners = append(o.listeners, l)
		u, err := listenUDP(&o.config, f)
		if err != nil {
			o.warnings = append(o.warnings, fmt.Errorf("clock probes over %s: %w", f.network("IPv"), err))
			continue
		}
		o.services = append(o.services, u)
		data, service := uint16(l.Addr().(*net.TCPAddr).Port), uint16(u.LocalAddr().(*net.UDPAddr).Port)
		if f == v4 {
			i.V4Data, i.V4Service = data, service
		} else {
			i.V6Data, i.V6Service = data, service
		}
	}
	if len(o.services) == 0 {
		return errors.Join(o.warnings...)
	}
	o.full = i.AppendXML(nil, true)
	var err error
	if o.answers, err = newAnswers(i); err != nil {
		return err
	}
	for _, l := range o.listeners {
		o.running.Add(1)
		go o.accept(l)
	}
	for _, u := range o.services {
		o.running.Add(1)
		go o.serve(u)
	}
	if o.responder, err = joinResponder(&o.config, o); err != nil {
		return err
	}
	o.warnings = append(o.warnings, o.responder.warnings...)
	return nil
}

func newUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (o *Outlet) now() float64 { return ToStamp(o.clock.Now()) }

// Info returns the stream info with everything filled in.
func (o *Outlet) Info() Info {
	i := o.info
	i.Desc = i.Desc.Clone()
	return i
}

// Warnings says what keeps others from finding the stream, such as groups that
// could not be joined.
func (o *Outlet) Warnings() []error { return o.warnings }

// Pushed returns the number of samples pushed.
func (o *Outlet) Pushed() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pushed
}

// serve answers clock probes, and queries sent to this port.
func (o *Outlet) serve(conn *net.UDPConn) {
	defer o.running.Done()
	buf := make([]byte, maxDatagram)
	out := make([]byte, 0, 128)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		t1 := o.now()
		if p, err := parseProbeRequest(buf[:n]); err == nil {
			p.t1, p.t2 = t1, o.now()
			_, _ = conn.WriteToUDPAddrPort(p.appendReply(out[:0]), from)
		} else if q, err := ParseQuery(buf[:n]); err == nil {
			o.answers.reply(conn, &q, from.Addr())
		}
	}
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

func (o *Outlet) accept(l *net.TCPListener) {
	defer o.running.Done()
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			if isClosed(err) || o.ctx.Err() != nil {
				return
			}
			select { // out of file descriptors, perhaps
			case <-time.After(10 * time.Millisecond):
			case <-o.ctx.Done():
				return
			}
			continue
		}
		if o.pending.Add(1) > maxPending {
			o.pending.Add(-1)
			conn.Close()
			continue
		}
		o.running.Add(1)
		go func() {
			defer o.running.Done()
			stop := context.AfterFunc(o.ctx, func() { conn.Close() })
			defer stop()
			o.handle(conn)
			conn.Close()
		}()
	}
}

// readUntil reads up to and including the first end; rest is what arrived with it.
// When the peer closes before, head is what it said.
func readUntil(conn io.Reader, buf []byte, end string) (head, rest []byte, err error) {
	for {
		if i := bytes.Index(buf, []byte(end)); i >= 0 {
			return buf[:i+len(end)], buf[i+len(end):], nil
		}
		if len(buf) > maxHeader {
			return nil, nil, fmt.Errorf("%w: no end within %d bytes", errHandshake, maxHeader)
		}
		n := len(buf)
		buf = slices.Grow(buf, 1024)
		k, err := conn.Read(buf[n : n+1024])
		buf = buf[:n+k]
		if k == 0 && err != nil {
			return buf, nil, err
		}
	}
}

// handle serves one connection. It returns when the connection is done with.
func (o *Outlet) handle(conn *net.TCPConn) {
	settled := false
	settle := func() {
		if !settled {
			settled = true
			o.pending.Add(-1)
		}
	}
	defer settle()
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	head, rest, err := readUntil(conn, nil, "\r\n")
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(head), "\n")
	line = strings.TrimSpace(line)
	switch {
	case line == methodFull:
		_, _ = conn.Write(o.full)
		return
	case line == methodShort:
		q, _, err := readUntil(conn, rest, "\r\n")
		if err == nil && o.answers.match(strings.TrimSpace(string(q))) {
			_, _ = conn.Write(o.answers.short)
		}
		return
	case !strings.HasPrefix(line, methodFeed):
		return
	}
	end := "\r\n"
	if strings.HasPrefix(line, methodFeed+"/") {
		end = "\r\n\r\n"
		if bytes.HasPrefix(rest, []byte("\r\n")) {
			end = "\r\n" // no headers at all
		}
	}
	block, _, err := readUntil(conn, rest, end)
	if err != nil {
		return
	}
	r, err := parseFeedRequest(line, block)
	if err != nil {
		return
	}
	opening, w, ok := o.opening(&r)
	if !ok || r.MaxBuffer <= 0 {
		_, _ = conn.Write(opening)
		return
	}
	if o.config.SendBuffer > 0 {
		_ = conn.SetWriteBuffer(o.config.SendBuffer)
	}
	c := &consumer{conn: conn, wake: make(chan struct{}, 1), limit: min(r.MaxBuffer, o.maxBuffer), host: r.Hostname, out: opening}
	_ = conn.SetKeepAliveConfig(keepAlive)
	_ = conn.SetDeadline(time.Time{})
	if !o.register(c, w) {
		return
	}
	settle()
	defer o.unregister(c)
	c.signal() // the opening waits to be written
	go c.flusher()
	_, _ = io.Copy(io.Discard, conn) // a consumer says no more; its going away is noticed here
}

// keepAlive finds out within half a minute that a host has vanished.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}

// opening returns what is sent before the first sample, and how samples will look.
func (o *Outlet) opening(r *feedRequest) ([]byte, wire, bool) {
	w := wire{format: o.info.Format, channels: o.info.Channels}
	var out []byte
	if r.Version >= 110 {
		resp := negotiate(r, &o.info, o.config.Protocol)
		out = resp.append(nil)
		if resp.Status != 200 {
			return out, w, false
		}
		w.version, w.big = resp.Data, resp.ByteOrder == orderBig
	} else {
		w.version = 100
	}
	if w.version < 110 {
		out = appendArchiveHeader(out, o.answers.short)
	}
	for _, offset := range []int64{4, 2} {
		out = w.append(out, testStamp, false, w.testPattern(nil, offset))
	}
	return out, w, true
}

// register gives a consumer its place in the log. From here on it misses nothing,
// and only then it is told that it is connected.
func (o *Outlet) register(c *consumer, w wire) bool {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return false
	}
	c.raw, c.outlet = raw, o
	c.writeFD = c.tryWrite
	o.mu.Lock()
	defer o.mu.Unlock()
	all := *o.consumers.Load()
	if o.closed || len(all) >= maxConsumers {
		return false
	}
	for _, l := range o.logs {
		if l.wire == w {
			c.log = l
		}
	}
	if c.log == nil {
		c.log = newSampleLog(w, o.maxBytes)
		o.logs = append(o.logs, c.log)
	}
	c.log.consumers = append(c.log.consumers, c)
	c.next = c.log.head
	c.since = o.clock.Now()
	all = append(slices.Clone(all), c)
	o.consumers.Store(&all)
	close(o.joined)
	o.joined = make(chan struct{})
	return true
}

func (o *Outlet) unregister(c *consumer) {
	c.conn.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*o.consumers.Load()), func(x *consumer) bool { return x == c })
	o.consumers.Store(&all)
	c.log.consumers = slices.DeleteFunc(c.log.consumers, func(x *consumer) bool { return x == c })
	if len(c.log.consumers) == 0 {
		o.logs = slices.DeleteFunc(o.logs, func(x *sampleLog) bool { return x == c.log })
	}
	c.gone = true
	c.signal()
}

// WaitForConsumers waits until at least n consumers are registered.
func (o *Outlet) WaitForConsumers(ctx context.Context, n int) error {
	for {
		o.mu.Lock()
		joined, have := o.joined, len(*o.consumers.Load())
		o.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-joined:
		case <-ctx.Done():
			return fmt.Errorf("lsl: outlet %q has %d consumers, not %d: %w", o.info.Name, have, n, ctx.Err())
		case <-o.ctx.Done():
			return net.ErrClosed
		}
	}
}

// Close makes the stream invisible, sends what is still queued as far as consumers
// take it at once, and disconnects them.
func (o *Outlet) Close() error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	o.mu.Unlock()
	if o.responder != nil {
		o.responder.leave(o)
	}
	for _, c := range *o.consumers.Load() {
		_ = c.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	}
	for _, c := range *o.consumers.Load() {
		c.drain()
	}
	o.cancel()
	for _, l := range o.listeners {
		l.Close()
	}
	for _, u := range o.services {
		u.Close()
	}
	o.running.Wait()
	return nil
}
