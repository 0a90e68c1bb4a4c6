package udp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"neurostream/stream"
)

// packets cuts a byte stream into the packets of a format that is a Framer.
type packets struct {
	conn   net.Conn
	framer Framer
	format Format
	clock  stream.Clock
	ctx    context.Context
	stop   func() bool
	from   netip.AddrPort

	buf      []byte
	at, end  int // bytes of buf not used yet
	size     int // of the packet handed out last, still at buf[at:]
	stamp    stream.Time
	packet   Datagram
	deadline time.Time
}

// dialPackets connects to a server and says hello for a format.
func dialPackets(ctx context.Context, s *Source, f Format, address string) (*packets, error) {
	framer, ok := f.(Framer)
	if !ok {
		return nil, fmt.Errorf("%s: %s cannot be cut out of a byte stream", s.Address, s.FormatName)
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%s: nobody listens there: is the server started, and is this its port?", s.Address)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%s: no answer within %v: is the address right, and does the firewall let TCP pass?", s.Address, dialTimeout)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	}
	p := &packets{conn: conn, framer: framer, format: f, clock: s.Clock, ctx: ctx, buf: make([]byte, 1<<16)}
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		p.from = a.AddrPort()
	}
	p.stop = context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	if h, ok := f.(Starter); ok && len(h.Hello()) > 0 {
		if _, err := conn.Write(h.Hello()); err != nil {
			p.Close()
			return nil, fmt.Errorf("%s: %w", s.Address, err)
		}
	}
	return p, nil
}

// Next returns the next whole packet.
func (p *packets) Next(wait time.Duration) (*Datagram, error) {
	p.at += p.size
	p.size = 0
	for {
		n, err := p.whole()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			p.size = n
			p.packet = Datagram{Data: p.buf[p.at : p.at+n : p.at+n], From: p.from, Stamp: p.stamp}
			if a, ok := p.format.(Answerer); ok {
				if reply := a.Answer(p.packet.Data); len(reply) > 0 {
					if _, err := p.conn.Write(reply); err != nil {
						return nil, fmt.Errorf("connection to %s: %w", p.from, err)
					}
				}
			}
			return &p.packet, nil
		}
		if err := p.more(wait); err != nil {
			return nil, err
		}
	}
}

// whole returns the length of the packet at the front, 0 when it is not all here.
func (p *packets) whole() (int, error) {
	if p.at == p.end {
		return 0, nil
	}
	n, err := p.framer.Frame(p.buf[p.at:p.end])
	switch {
	case err != nil:
		return 0, fmt.Errorf("the byte stream of %s is out of step: %w", p.from, err)
	case n < 0 || n > p.framer.MaxFrame():
		return 0, fmt.Errorf("the byte stream of %s announces a packet of %d bytes; the limit is %d", p.from, n, p.framer.MaxFrame())
	case n > p.end-p.at:
		return 0, nil
	}
	return n, nil
}

// more reads what has come.
func (p *packets) more(wait time.Duration) error {
	if p.at > 0 {
		p.end = copy(p.buf, p.buf[p.at:p.end])
		p.at = 0
	}
	if p.end == len(p.buf) { // a packet longer than any before
		longer := min(len(p.buf), p.framer.MaxFrame()-len(p.buf))
		if longer <= 0 {
			return fmt.Errorf("the byte stream of %s holds no end of a packet in %d bytes", p.from, p.end)
		}
		p.buf = append(p.buf, make([]byte, longer)...)
	}
	if err := p.limit(wait); err != nil {
		return err
	}
	n, err := p.conn.Read(p.buf[p.end:])
	p.end += n
	p.stamp = p.clock.Now()
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		if e := p.ctx.Err(); e != nil {
			return e
		}
		return ErrQuiet
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s closed the connection: %w", p.from, io.EOF)
	case err != nil:
		if e := p.ctx.Err(); e != nil {
			return e
		}
		return fmt.Errorf("connection to %s: %w", p.from, err)
	}
	return nil
}

func (p *packets) limit(wait time.Duration) error {
	if wait <= 0 {
		if p.deadline.IsZero() {
			return p.ctx.Err()
		}
		p.deadline = time.Time{}
	} else {
		left := time.Until(p.deadline)
		if left >= wait && left <= wait+wait/2 {
			return p.ctx.Err()
		}
		p.deadline = time.Now().Add(wait + wait/2)
	}
	if err := p.conn.SetReadDeadline(p.deadline); err != nil {
		return err
	}
	return p.ctx.Err()
}

// Buffered reports whether a whole packet is at hand.
func (p *packets) Buffered() bool {
	if p.at+p.size >= p.end {
		return false
	}
	n, err := p.framer.Frame(p.buf[p.at+p.size : p.end])
	return err != nil || n > 0 && n <= p.end-p.at-p.size
}

// Close says goodbye.
func (p *packets) Close() error {
	p.stop()
	if h, ok := p.format.(Starter); ok && len(h.Goodbye()) > 0 {
		_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = p.conn.Write(h.Goodbye()) // it may be gone already
	}
	return p.conn.Close()
}
