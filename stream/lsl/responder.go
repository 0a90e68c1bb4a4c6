package lsl

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// responder answers discovery queries on the shared port for all outlets of this
// process: one socket per protocol, joined to every group on every interface.
//
//	broadcast ─┐                       ┌─► outlet A: does the query match? ─► one reply
//	multicast ─┼─► port 16571 ─► query ┤
//	unicast   ─┘                       └─► outlet B: ...
type responder struct {
	key      string
	conns    []*net.UDPConn
	warnings []error
	done     sync.WaitGroup

	mu      sync.RWMutex
	outlets []*Outlet
}

var responders struct {
	sync.Mutex
	open []*responder
}

// joinResponder registers an outlet with the process's responder for its
// configuration.
func joinResponder(c *Config, o *Outlet) (*responder, error) {
	key := fmt.Sprint(c.MulticastPort, c.IPv6, c.ListenAddress, c.Interfaces, strings.Join(c.Override, ","), c.Scope, c.Group, c.Machine, c.Link, c.Site, c.Organization, c.Global)
	responders.Lock()
	defer responders.Unlock()
	for _, r := range responders.open {
		if r.key == key {
			r.mu.Lock()
			r.outlets = append(r.outlets, o)
			r.mu.Unlock()
			return r, nil
		}
	}
	r := &responder{key: key, outlets: []*Outlet{o}}
	for _, f := range c.families() {
		conn, warnings, err := listenShared(c, f)
		r.warnings = append(r.warnings, warnings...)
		if err != nil {
			r.warnings = append(r.warnings, fmt.Errorf("port %d over %s cannot be opened: %w", c.MulticastPort, f.network("IPv"), err))
			continue
		}
		r.conns = append(r.conns, conn)
		r.done.Add(1)
		go r.serve(conn)
	}
	responders.open = append(responders.open, r)
	return r, nil
}

// leave removes an outlet and closes the sockets with the last one.
func (r *responder) leave(o *Outlet) {
	responders.Lock()
	defer responders.Unlock()
	r.mu.Lock()
	r.outlets = slices.DeleteFunc(r.outlets, func(x *Outlet) bool { return x == o })
	empty := len(r.outlets) == 0
	r.mu.Unlock()
	if !empty {
		return
	}
	responders.open = slices.DeleteFunc(responders.open, func(x *responder) bool { return x == r })
	for _, c := range r.conns {
		c.Close()
	}
	r.done.Wait()
}

func (r *responder) serve(conn *net.UDPConn) {
	defer r.done.Done()
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue // an ICMP error of an earlier reply
		}
		q, err := ParseQuery(buf[:n])
		if err != nil {
			continue
		}
		r.mu.RLock()
		for _, o := range r.outlets {
			o.answers.reply(conn, &q, from.Addr())
		}
		r.mu.RUnlock()
	}
}

// answers decides about queries to one outlet and replies: at most once per query,
// although a query arrives by several ways.
type answers struct {
	mu       sync.Mutex
	short    []byte // shortinfo document, final
	doc      *document
	verdicts map[string]bool // by expression
	recent   map[asked]time.Time
	sent     int64
}

type asked struct {
	from netip.Addr
	port uint16
	id   string
}

const (
	maxVerdicts = 100                    // as many as liblsl remembers
	sameQuery   = 200 * time.Millisecond // less than the time between two waves of queries
)

func newAnswers(i *Info) (*answers, error) {
	root, err := parseXML(i.AppendXML(nil, true))
	if err != nil {
		return nil, err
	}
	return &answers{short: i.AppendXML(nil, false), doc: newDocument(root), verdicts: map[string]bool{}, recent: map[asked]time.Time{}}, nil
}

// match reports whether the outlet is meant by an expression; one that cannot be
// evaluated means no one.
func (a *answers) match(expression string) bool {
	if strings.TrimSpace(expression) == "" {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.verdicts[expression]; ok {
		return v
	}
	ok := false
	if e, err := compileXPath(expression); err == nil {
		ok, _ = a.doc.matches(e)
	}
	if len(a.verdicts) >= maxVerdicts {
		clear(a.verdicts)
	}
	a.verdicts[expression] = ok
	return ok
}

// first reports whether a query has not just been answered.
func (a *answers) first(q asked) bool {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if t, ok := a.recent[q]; ok && now.Sub(t) < sameQuery {
		return false
	}
	if len(a.recent) >= 1024 {
		for k, t := range a.recent {
			if now.Sub(t) >= sameQuery {
				delete(a.recent, k)
			}
		}
		if len(a.recent) >= 1024 { // a flood: forget
			clear(a.recent)
		}
	}
	a.recent[q] = now
	a.sent++
	return true
}

func (a *answers) reply(conn *net.UDPConn, q *Query, from netip.Addr) {
	if len(q.ID) > 256 || !a.match(q.Expression) || !a.first(asked{from, q.ReturnPort, q.ID}) {
		return
	}
	b := AppendReply(make([]byte, 0, len(a.short)+len(q.ID)+2), q.ID, a.short)
	_, _ = conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(from, q.ReturnPort)) // who is gone is gone
}
