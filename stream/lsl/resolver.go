package lsl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Stream is a stream that answered.
type Stream struct {
	Info
	Paths []netip.Addr // where its answers came from, this host first
	Seen  time.Time    // last answer
}

// ResolveOptions are the settings of a search.
type ResolveOptions struct {
	Config  *Config       // nil = LoadConfig
	Min     int           // return as soon as so many streams are known; 0 = listen until Timeout
	Timeout time.Duration // 0 = 2 s
	Settle  time.Duration // how long to listen for more once Min are known; 0 = not at all
	Every   time.Duration // time between two questions; 0 = the configuration's MulticastMinRTT, 0.5 s
}

func (o *ResolveOptions) config() Config {
	if o.Config != nil {
		return *o.Config
	}
	return LoadConfig()
}

// AnySession in Match.SessionID finds streams of all sessions.
const AnySession = "*"

// Resolve finds the streams that match. Without a session in m only streams of the
// configured session count. It returns what was found when Timeout passes, sorted
// by name, which may be nothing; an error means that it could not ask.
func Resolve(ctx context.Context, m Match, o ResolveOptions) ([]Stream, error) {
	r, err := NewResolver(m, o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	timeout := o.Timeout
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	if o.Min > 0 {
		r.wait(ctx, o.Min, timeout)
		if o.Settle > 0 && len(r.Streams()) >= o.Min {
			sleep(ctx, o.Settle)
		}
	} else {
		sleep(ctx, timeout)
	}
	found := r.Streams()
	if len(found) == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return found, nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Resolver asks again and again until it is closed: the streams on the network as
// they come and go. All methods may be called from any goroutine.
type Resolver struct {
	search *search
	expr   string
	id     string
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	found map[string]*Stream
	more  chan struct{} // closed and replaced at every new stream
}

// forgetAfter is how long a stream that answers no more stays known.
const forgetAfter = 5 * time.Second

// NewResolver begins to ask.
func NewResolver(m Match, o ResolveOptions) (*Resolver, error) {
	c := o.config()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	switch m.SessionID {
	case "":
		m.SessionID = c.SessionID
	case AnySession:
		m.SessionID = ""
	}
	if _, err := compileXPath(m.Expression()); err != nil && m.Expression() != "" {
		return nil, fmt.Errorf("lsl: predicate %q: %w", m.Predicate, err)
	}
	return newResolver(&c, m.Expression(), o.Every)
}

func newResolver(c *Config, expression string, every time.Duration) (*Resolver, error) {
	s, err := newSearch(c)
	if err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	if every <= 0 {
		every = max(c.MulticastMinRTT, 50*time.Millisecond)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Resolver{search: s, expr: expression, id: newID(), stop: stop, found: map[string]*Stream{}, more: make(chan struct{})}
	s.listen(func(_ string, i Info, from netip.Addr) { r.add(i, from) })
	r.done.Add(1)
	go func() {
		defer r.done.Done()
		s.knownPeers(ctx)
		for ctx.Err() == nil {
			s.wave(r.expr, r.id)
			if c.ResolveOverTCP {
				s.askOverTCP(ctx, r.expr, r.add)
			}
			sleep(ctx, every)
		}
	}()
	return r, nil
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprint(le.Uint64(b[:]))
}

const maxFound = 4096 // streams; more is a flood

func (r *Resolver) add(i Info, from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.found[i.UID]
	if s == nil {
		if len(r.found) >= maxFound {
			return
		}
		s = &Stream{Info: i}
		r.found[i.UID] = s
		close(r.more)
		r.more = make(chan struct{})
	}
	s.Seen = time.Now()
	if !slices.Contains(s.Paths, from) && len(s.Paths) < 16 {
		s.Paths = append(s.Paths, from)
		slices.SortStableFunc(s.Paths, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	}
}

// rank prefers this host, then IPv4, then IPv6.
func rank(a netip.Addr) int {
	switch {
	case a.IsLoopback() && a.Is4():
		return 0
	case a.IsLoopback():
		return 1
	case a.Is4():
		return 2
	}
	return 3
}

func (r *Resolver) wait(ctx context.Context, n int, timeout time.Duration) {
	t := time.NewTimer(timeout)
	defer t.Stop()
	for {
		r.mu.Lock()
		more, have := r.more, len(r.found)
		r.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-more:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Streams returns the streams that answered within the last five seconds, sorted
// by name and host.
func (r *Resolver) Streams() []Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.found, func(_ string, s *Stream) bool { return time.Since(s.Seen) > forgetAfter })
	out := make([]Stream, 0, len(r.found))
	for _, s := range r.found {
		c := *s
		c.Paths = slices.Clone(s.Paths)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Stream) int {
		return strings.Compare(a.Name+"\x00"+a.Hostname+a.UID, b.Name+"\x00"+b.Hostname+b.UID)
	})
	return out
}

// Problems says which ways of asking failed.
func (r *Resolver) Problems() []string { return r.search.problems() }

// Close stops asking.
func (r *Resolver) Close() {
	r.stop()
	r.search.close()
	r.done.Wait()
}

// search holds the sockets that queries leave from and replies come to: one per
// protocol, so that a firewall sees replies to what was asked.
type search struct {
	config  *Config
	targets []netip.Addr
	conns   map[family]*net.UDPConn
	done    sync.WaitGroup

	mu     sync.Mutex
	peers  []netip.Addr
	failed map[string]error // by way of asking
}

func newSearch(c *Config) (*search, error) {
	targets, err := c.targets()
	if err != nil {
		return nil, err
	}
	s := &search{config: c, targets: targets, conns: map[family]*net.UDPConn{}, failed: map[string]error{}}
	var errs []error
	for _, f := range c.families() {
		conn, err := listenUDP(c, f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.conns[f] = conn
		if f == v4 {
			_ = ipv4.NewPacketConn(conn).SetMulticastTTL(c.hops())
		} else {
			_ = ipv6.NewPacketConn(conn).SetMulticastHopLimit(c.hops())
		}
	}
	if len(s.conns) == 0 {
		return nil, fmt.Errorf("no socket to ask from: %w", errors.Join(errs...))
	}
	return s, nil
}

// listen hands every reply to f, from one goroutine per protocol.
func (s *search) listen(f func(id string, i Info, from netip.Addr)) {
	for _, conn := range s.conns {
		s.done.Add(1)
		go func() {
			defer s.done.Done()
			buf := make([]byte, maxDatagram)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err != nil {
					if isClosed(err) {
						return
					}
					continue
				}
				if id, i, err := ParseReply(buf[:n]); err == nil {
					f(id, i, from.Addr().Unmap())
				}
			}
		}()
	}
}

// knownPeers looks up the configured hosts, once.
func (s *search) knownPeers(ctx context.Context) {
	for _, name := range s.config.KnownPeers {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		cancel()
		if err != nil {
			s.fail("KnownPeers: "+name, err)
		}
		s.mu.Lock()
		for _, a := range addrs {
			s.peers = append(s.peers, a.Unmap())
		}
		s.mu.Unlock()
	}
}

func (s *search) fail(way string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[way] = err
}

func (s *search) problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, way := range slices.Sorted(maps.Keys(s.failed)) {
		out = append(out, fmt.Sprintf("%s: %v", way, s.failed[way]))
	}
	return out
}

// way is one manner of asking: a target, and the interface to leave through.
type way struct {
	family family
	target netip.Addr
	ports  []uint16
	iface  iface  // of broadcast and multicast
	name   string // "multicast 239.255.172.215 on eth0"
	kind   string // "unicast", "broadcast", "multicast"
}

// ways lists how the configuration says to ask.
func (s *search) ways() []way {
	var out []way
	discovery := []uint16{uint16(s.config.MulticastPort)}
	service := make([]uint16, s.config.PortRange)
	for i := range service {
		service[i] = uint16(s.config.BasePort + i)
	}
	unicast := func(t netip.Addr, ports []uint16, what string) {
		out = append(out, way{family: family(t.Is6()), target: t, ports: ports, kind: "unicast", name: what + " " + t.String()})
	}
	for _, t := range s.targets {
		kind := "multicast"
		if t.Is4() && t.As4() == [4]byte{255, 255, 255, 255} {
			kind = "broadcast"
		} else if !t.IsMulticast() {
			unicast(t, discovery, "unicast")
			continue
		}
		for _, ifi := range interfaces(s.config, family(t.Is6())) {
			out = append(out, way{family(t.Is6()), t, discovery, ifi, kind + " " + t.String() + " on " + ifi.Name, kind})
		}
	}
	// The discovery port of this host reaches one of its programs only; their own
	// ports reach them all.
	unicast(netip.AddrFrom4([4]byte{127, 0, 0, 1}), service, "this host")
	unicast(netip.IPv6Loopback(), service, "this host")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		unicast(p, service, "KnownPeers")
	}
	return out
}

// wave asks once in every way.
func (s *search) wave(expression, id string) {
	for _, w := range s.ways() {
		s.ask(&w, expression, id)
	}
}

// ask sends one query in one way. What fails is remembered, so that a message can
// say why nobody answered.
func (s *search) ask(w *way, expression, id string) {
	err := s.send(w, expression, id)
	if err == nil || isClosed(err) {
		return
	}
	if w.kind == "unicast" && !w.target.IsLoopback() || w.iface.Interface != nil && w.iface.Flags&net.FlagLoopback == 0 {
		s.fail(w.name, err)
	}
}

// send sends one query in one way.
func (s *search) send(w *way, expression, id string) (err error) {
	conn := s.conns[w.family]
	if conn == nil {
		return nil
	}
	q := Query{Expression: expression, ReturnPort: uint16(conn.LocalAddr().(*net.UDPAddr).Port), ID: id}
	b := q.Append(nil)
	for _, port := range w.ports {
		to := netip.AddrPortFrom(w.target, port)
		if w.kind == "unicast" {
			_, e := conn.WriteToUDPAddrPort(b, to)
			if e != nil && !isRefused(e) { // nobody at a port is an answer to an earlier query
				err = e
			}
			continue
		}
		err = sendThrough(conn, w, b, net.UDPAddrFromAddrPort(to))
	}
	return err
}

// sendThrough sends out of one interface.
func sendThrough(conn *net.UDPConn, w *way, b []byte, to *net.UDPAddr) error {
	if w.family == v6 {
		p := ipv6.NewPacketConn(conn)
		if err := p.SetMulticastInterface(w.iface.Interface); err != nil {
			return err
		}
		_, err := p.WriteTo(b, nil, to)
		return err
	}
	p := ipv4.NewPacketConn(conn)
	if w.kind == "multicast" {
		if err := p.SetMulticastInterface(w.iface.Interface); err != nil {
			return err
		}
		_, err := p.WriteTo(b, nil, to)
		return err
	}
	if _, err := p.WriteTo(b, &ipv4.ControlMessage{IfIndex: w.iface.Index}, to); err == nil {
		return nil
	}
	_, err := p.WriteTo(b, nil, to) // systems that cannot choose the interface of a broadcast
	return err
}

// askOverTCP asks every port of the known peers: where UDP is blocked.
func (s *search) askOverTCP(ctx context.Context, expression string, f func(Info, netip.Addr)) {
	s.mu.Lock()
	peers := slices.Clone(s.peers)
	s.mu.Unlock()
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, p := range peers {
		for port := s.config.BasePort; port < s.config.BasePort+s.config.PortRange; port++ {
			slots <- struct{}{}
			all.Add(1)
			go func() {
				defer all.Done()
				defer func() { <-slots }()
				if i, err := shortinfoOverTCP(ctx, netip.AddrPortFrom(p, uint16(port)), expression); err == nil {
					f(i, p)
				}
			}()
		}
	}
	all.Wait()
}

// shortinfoOverTCP asks one data port.
func shortinfoOverTCP(ctx context.Context, at netip.AddrPort, expression string) (Info, error) {
	b, err := fetchInfo(ctx, at, methodShort+"\r\n"+expression+"\r\n", maxDatagram)
	if err != nil {
		return Info{}, err
	}
	return ParseInfo(b)
}

func (s *search) close() {
	for _, c := range s.conns {
		c.Close()
	}
	s.done.Wait()
}
