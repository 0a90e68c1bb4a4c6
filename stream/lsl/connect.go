package lsl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

const (
	dialTimeout = 3 * time.Second
	infoTimeout = 5 * time.Second
)

func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// endpoint is one place where a stream is served.
type endpoint struct {
	data, service netip.AddrPort
}

// endpoints lists where a stream can be reached: at an address that its info
// claims, then where its answers came from, this host first.
func (s *Stream) endpoints() []endpoint {
	var out []endpoint
	add := func(a netip.Addr) {
		d, p := s.V4Data, s.V4Service
		if a.Is6() {
			d, p = s.V6Data, s.V6Service
		}
		if d != 0 && a.IsValid() {
			out = append(out, endpoint{netip.AddrPortFrom(a, d), netip.AddrPortFrom(a, p)})
		}
	}
	for _, claimed := range []string{s.V4Address, s.V6Address} {
		if a, err := netip.ParseAddr(claimed); err == nil {
			add(a.Unmap())
		}
	}
	for _, a := range s.Paths {
		add(a)
	}
	return out
}

// dial connects to the first place of a stream that answers.
func (s *Stream) dial(ctx context.Context) (*net.TCPConn, endpoint, error) {
	all := s.endpoints()
	if len(all) == 0 {
		return nil, endpoint{}, fmt.Errorf("stream %s says no address and port that we can reach (IPv4 %q:%d, IPv6 %q:%d)", s.Describe(), s.V4Address, s.V4Data, s.V6Address, s.V6Data)
	}
	var errs []error
	for _, e := range all {
		d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
		conn, err := d.DialContext(ctx, "tcp", e.data.String())
		if err == nil {
			return conn.(*net.TCPConn), e, nil
		}
		errs = append(errs, err)
	}
	return nil, endpoint{}, errors.Join(errs...)
}

// fetchInfo sends a request to a data port and reads until the peer closes.
func fetchInfo(ctx context.Context, at netip.AddrPort, request string, limit int) ([]byte, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(infoTimeout))
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(conn, int64(limit)+1))
	if len(b) > limit {
		return nil, fmt.Errorf("a stream info of more than %d bytes", limit)
	}
	if len(b) > 0 && errors.Is(err, syscall.ECONNRESET) {
		err = nil
	}
	return b, err
}

// FullInfo asks the stream for its info with the description.
func (s *Stream) FullInfo(ctx context.Context) (Info, error) {
	err := errors.New("no address")
	for _, e := range s.endpoints() {
		var b []byte
		if b, err = fetchInfo(ctx, e.data, methodFull+"\r\n", maxInfo); err != nil {
			continue
		}
		var i Info
		if i, err = ParseInfo(b); err != nil {
			continue
		}
		if i.UID != s.UID {
			err = errors.New("another stream answers at its address")
			continue
		}
		return i, nil
	}
	return Info{}, fmt.Errorf("lsl: description of %q: %w", s.Name, err)
}

// connection is a feed whose opening has been read.
type connection struct {
	conn  net.Conn
	at    endpoint
	wire  wire
	clock deduction
	buf   []byte // read, not yet decoded
	blocking
}

var (
	errGone  = errors.New("the stream is gone")           // another one, or none, serves its port
	errPeer  = errors.New("the peer breaks the protocol") //
	errTests = fmt.Errorf("%w: wrong test samples", errPeer)
)

// connect opens a feed: when it returns, the peer has registered us (ours has; of
// liblsl it is true from 1.18 on).
func (s *Stream) connect(ctx context.Context, c *Config, maxBuffer, maxChunk int) (*connection, error) {
	conn, at, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	f, err := s.handshake(conn, c, maxBuffer, maxChunk)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("connection to %q at %s: %w", s.Name, at.data, err)
	}
	f.at = at
	return f, nil
}

func (s *Stream) handshake(conn *net.TCPConn, c *Config, maxBuffer, maxChunk int) (*connection, error) {
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	if c.ReceiveBuffer > 0 {
		_ = conn.SetReadBuffer(c.ReceiveBuffer)
	}
	r := feedRequest{
		Version: min(c.Protocol, s.Version, Protocol), UID: s.UID, ByteOrder: orderLittle, Swaps: 1e9, IEEE: true,
		Subnormals: s.Format.Float(), ValueSize: s.Format.Size(),
		MaxBuffer: max(2, maxBuffer), MaxChunk: maxChunk, // 1 stops debug builds of liblsl
		Hostname: oneLine(s.Hostname), SourceID: oneLine(s.SourceID), SessionID: oneLine(s.SessionID),
	}
	if s.Format == String {
		r.ValueSize = -1 // old outlets fall back to 1.00 when it is not the size of their string object
	}
	if _, err := conn.Write(r.append(nil)); err != nil {
		return nil, err
	}
	f := &connection{conn: conn, clock: deduction{rate: s.Rate}, wire: wire{format: s.Format, channels: s.Channels, version: 100}}
	f.buf = make([]byte, 0, 1<<16)
	if r.Version >= 110 {
		head, rest, err := readUntil(conn, nil, "\r\n\r\n")
		if err != nil && len(head) == 0 {
			return nil, fmt.Errorf("%w: no answer to the request (%w)", errGone, err)
		}
		resp, err := parseFeedResponse(head)
		switch {
		case err != nil:
			return nil, err
		case resp.Status != 200:
			return nil, fmt.Errorf("%w: it says %d %s", errGone, resp.Status, resp.Reason)
		case resp.UID != strings.ToLower(s.UID):
			return nil, fmt.Errorf("%w: %q answers", errGone, resp.UID)
		case resp.Data > Protocol || resp.Data < 100:
			return nil, fmt.Errorf("%w: data protocol %d", errPeer, resp.Data)
		case resp.ByteOrder != 0 && resp.ByteOrder != orderLittle && resp.ByteOrder != orderBig && s.Format.Size() != 1:
			return nil, fmt.Errorf("%w: byte order %d", errPeer, resp.ByteOrder)
		}
		f.wire.version, f.wire.big, f.wire.noDenormal = resp.Data, resp.ByteOrder == orderBig, resp.NoDenormal
		f.buf = append(f.buf, rest...)
	}
	if f.wire.version < 110 {
		var doc []byte
		n := 0
		err := f.need(maxInfo+maxHeader, func() (err error) {
			doc, n, err = parseArchiveHeader(f.buf)
			return err
		})
		if err != nil {
			return nil, err
		}
		i, err := ParseInfo(doc)
		if err != nil {
			return nil, err
		}
		if i.UID != s.UID {
			return nil, fmt.Errorf("%w: %q answers", errGone, i.UID)
		}
		f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	}
	for _, offset := range []int64{4, 2} {
		var packed []byte
		var stamp float64
		n := 0
		err := f.need(maxSample, func() (err error) {
			packed, stamp, _, n, err = f.wire.decode(nil, f.buf)
			return err
		})
		if err != nil {
			return nil, err
		}
		if stamp != testStamp || string(packed) != string(f.wire.testPattern(nil, offset)) {
			return nil, errTests
		}
		f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	}
	_ = conn.SetDeadline(time.Time{})
	return f, nil
}

func oneLine(s string) string { return strings.NewReplacer("\r", " ", "\n", " ", ";", ",").Replace(s) }

// need reads until parse has enough.
func (f *connection) need(limit int, parse func() error) error {
	for {
		err := parse()
		if !errors.Is(err, errShort) {
			return err
		}
		if len(f.buf) > limit {
			return fmt.Errorf("%w: an opening of more than %d bytes", errPeer, limit)
		}
		if err := f.read(); err != nil {
			return err
		}
	}
}

// room enlarges the buffer when it is full: a sample does not fit.
func (f *connection) room() error {
	if len(f.buf) == cap(f.buf) {
		if cap(f.buf) >= 2*maxSample {
			return fmt.Errorf("%w: a sample of more than %d bytes", errPeer, maxSample)
		}
		f.buf = append(make([]byte, 0, 2*cap(f.buf)), f.buf...)
	}
	return nil
}

// read appends what has arrived to the buffer.
func (f *connection) read() error {
	if err := f.room(); err != nil {
		return err
	}
	n, err := f.conn.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}
