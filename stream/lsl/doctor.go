package lsl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Diagnosis says which way of asking reaches which stream, what of each stream can
// be connected to, and what to change.
type Diagnosis struct {
	Host       string            `json:"host"`
	Config     string            `json:"config"` // file, or "built-in defaults"
	Session    string            `json:"session"`
	Interfaces []InterfaceStatus `json:"interfaces"`
	Ways       []WayStatus       `json:"ways"`
	Streams    []StreamStatus    `json:"streams"`
	Advice     []string          `json:"advice"` // empty when nothing needs to change
}

// InterfaceStatus is a network interface of this host.
type InterfaceStatus struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Up        bool     `json:"up"`
	Multicast bool     `json:"multicast"`
	Loopback  bool     `json:"loopback"`
}

// WayStatus is one manner of asking: a group, an address or a host, through one
// interface.
type WayStatus struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"` // "multicast", "broadcast", "unicast", "tcp"
	Interface string   `json:"interface,omitempty"`
	Error     string   `json:"error,omitempty"` // why the question could not be sent
	Echo      bool     `json:"echo"`            // our own test outlet heard it
	Streams   []string `json:"streams"`         // uids of those that answered
	FirstMS   float64  `json:"first_ms"`        // until the first answer; 0 = none

	probe *way
	asked time.Time
}

// StreamStatus is one stream that answered.
type StreamStatus struct {
	Name      string       `json:"name"`
	Type      string       `json:"type"`
	Hostname  string       `json:"hostname"`
	SourceID  string       `json:"source_id"`
	SessionID string       `json:"session_id"`
	UID       string       `json:"uid"`
	Paths     []PathStatus `json:"paths"`

	stream Stream
}

// PathStatus is one address of a stream: its data port (TCP) and its service port
// (UDP, clock probes).
type PathStatus struct {
	Data      string  `json:"data"`
	DataError string  `json:"data_error,omitempty"`
	DataMS    float64 `json:"data_ms"` // until connected and the info read
	Service   string  `json:"service"`
	ProbeErr  string  `json:"service_error,omitempty"`
	ProbeMS   float64 `json:"service_ms"` // round trip of a clock probe
}

// DoctorOptions are the settings of Diagnose.
type DoctorOptions struct {
	Config *Config       // nil = LoadConfig
	Wait   time.Duration // how long each question may take to be answered; 0 = 2 s
	Quiet  bool          // make no test outlet of our own
	Step   func(string)  // told what is being done; may be nil
}

// testOutlet is the name of the outlet by which Diagnose tells whether a question
// comes back to this host at all.
const testOutlet = "lsl doctor"

// Diagnose asks in every single way, each with a question of its own, and tries
// every address of every stream that answers. It takes about Wait plus five seconds
// when ports are blocked, and never more.
func Diagnose(ctx context.Context, m Match, o DoctorOptions) (*Diagnosis, error) {
	c := Config{}
	if o.Config != nil {
		c = *o.Config
	} else {
		c = LoadConfig()
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("lsl: %w", err)
	}
	if _, err := compileXPath(m.Predicate); err != nil && m.Predicate != "" {
		return nil, fmt.Errorf("lsl: predicate %q: %w", m.Predicate, err)
	}
	if o.Wait <= 0 {
		o.Wait = 2 * time.Second
	}
	step := o.Step
	if step == nil {
		step = func(string) {}
	}
	d := &Diagnosis{Config: cmp.Or(c.File, "built-in defaults"), Session: c.SessionID}
	d.Host, _ = os.Hostname()
	d.Interfaces = interfaceStatus()
	e := &examination{Diagnosis: d, config: &c, match: m, wait: o.Wait, named: m != Match{}}
	if !o.Quiet {
		step("opening a test outlet")
		e.open()
	}
	if e.echo != nil {
		defer e.echo.Close()
	}
	step("asking in every way")
	if err := e.ask(ctx); err != nil {
		return nil, err
	}
	step(fmt.Sprintf("connecting to %d streams", len(d.Streams)))
	e.connect(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.Advice = e.advise()
	return d, nil
}

// examination is a Diagnosis in the making.
type examination struct {
	*Diagnosis
	config  *Config
	match   Match
	wait    time.Duration
	named   bool
	echo    *Outlet
	echoErr error
	mu      sync.Mutex
}

func interfaceStatus() []InterfaceStatus {
	var out []InterfaceStatus
	all, _ := net.Interfaces()
	for i := range all {
		f := all[i].Flags
		s := InterfaceStatus{Name: all[i].Name, Up: f&net.FlagUp != 0, Multicast: f&net.FlagMulticast != 0, Loopback: f&net.FlagLoopback != 0, Addresses: []string{}}
		addrs, _ := all[i].Addrs()
		for _, a := range addrs {
			s.Addresses = append(s.Addresses, a.String())
		}
		out = append(out, s)
	}
	return out
}

// open makes the test outlet. Its session is its own, so that nobody records it.
func (e *examination) open() {
	c := *e.config
	c.SessionID = testOutlet
	e.echo, e.echoErr = NewOutlet(Info{Name: testOutlet, Type: "Test", Channels: 1, Format: Int8}, OutletOptions{Config: &c})
}

// ask sends every question and collects answers for the waiting time. Each way's
// questions carry an id of their own, which the answers repeat.
func (e *examination) ask(ctx context.Context) error {
	s, err := newSearch(e.config)
	if err != nil {
		return fmt.Errorf("lsl: %w", err)
	}
	defer s.close()
	s.knownPeers(ctx)
	m := e.match
	m.SessionID = ""
	expression := m.Expression()
	if e.echo != nil && expression != "" {
		expression = "uid=" + quote(e.echo.Info().UID) + " or (" + expression + ")"
	}
	byID := map[string]*WayStatus{}
	for _, w := range s.ways() {
		st := WayStatus{Name: w.name, Kind: w.kind, Streams: []string{}, probe: &w}
		if w.iface.Interface != nil {
			st.Interface = w.iface.Name
		}
		if s.conns[w.family] == nil {
			st.Error = "no socket of this protocol could be opened"
		}
		e.Ways = append(e.Ways, st)
	}
	ids := make([]string, len(e.Ways))
	for i := range e.Ways {
		ids[i] = newID()
		byID[ids[i]] = &e.Ways[i]
	}
	found := map[string]*Stream{}
	s.listen(func(id string, i Info, from netip.Addr) {
		e.mu.Lock()
		defer e.mu.Unlock()
		w := byID[id]
		if w == nil {
			return
		}
		if w.FirstMS == 0 {
			w.FirstMS = float64(time.Since(w.asked)) / 1e6
		}
		if e.echo != nil && i.UID == e.echo.info.UID {
			w.Echo = true
			return
		}
		if i.SessionID == testOutlet || len(found) >= maxFound && found[i.UID] == nil {
			return // another doctor's, or a flood
		}
		if !slices.Contains(w.Streams, i.UID) {
			w.Streams = append(w.Streams, i.UID)
		}
		x := found[i.UID]
		if x == nil {
			x = &Stream{Info: i}
			found[i.UID] = x
		}
		if !slices.Contains(x.Paths, from) && len(x.Paths) < 16 {
			x.Paths = append(x.Paths, from)
		}
	})
	for range 2 { // a datagram may get lost
		for i := range e.Ways {
			w := &e.Ways[i]
			if w.probe.family == v6 && s.conns[v6] == nil || w.probe.family == v4 && s.conns[v4] == nil {
				continue
			}
			e.mu.Lock()
			if w.asked.IsZero() {
				w.asked = time.Now()
			}
			e.mu.Unlock()
			if err := s.send(w.probe, expression, ids[i]); err != nil {
				e.mu.Lock()
				w.Error = plainError(err)
				e.mu.Unlock()
			}
		}
		sleep(ctx, e.wait/2)
	}
	e.askOverTCP(ctx, s, expression, found)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(found)) {
		x := found[uid]
		slices.SortStableFunc(x.Paths, func(a, b netip.Addr) int { return rank(a) - rank(b) })
		e.Streams = append(e.Streams, StreamStatus{Name: x.Name, Type: x.Type, Hostname: x.Hostname, SourceID: x.SourceID, SessionID: x.SessionID, UID: uid, stream: *x})
	}
	slices.SortStableFunc(e.Streams, func(a, b StreamStatus) int {
		return strings.Compare(a.Name+"\x00"+a.Hostname, b.Name+"\x00"+b.Hostname)
	})
	return ctx.Err()
}

// askOverTCP asks the data ports of the known peers, one way per host.
func (e *examination) askOverTCP(ctx context.Context, s *search, expression string, found map[string]*Stream) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	s.mu.Lock()
	peers := slices.Clone(s.peers)
	s.mu.Unlock()
	for _, p := range peers {
		w := WayStatus{Name: "KnownPeers " + p.String() + " over TCP", Kind: "tcp", Streams: []string{}}
		begun := time.Now()
		one := search{config: e.config, peers: []netip.Addr{p}}
		one.askOverTCP(ctx, expression, func(i Info, from netip.Addr) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if w.FirstMS == 0 {
				w.FirstMS = float64(time.Since(begun)) / 1e6
			}
			if e.echo != nil && i.UID == e.echo.info.UID {
				w.Echo = true
				return
			}
			if i.SessionID == testOutlet || len(found) >= maxFound {
				return
			}
			if !slices.Contains(w.Streams, i.UID) {
				w.Streams = append(w.Streams, i.UID)
			}
			if found[i.UID] == nil {
				found[i.UID] = &Stream{Info: i, Paths: []netip.Addr{from}}
			}
		})
		e.Ways = append(e.Ways, w)
	}
}

// plainError says what a socket error means here.
func plainError(err error) string {
	for _, x := range []struct {
		is   error
		what string
	}{
		{syscall.EPERM, "not permitted (a firewall of this host, or the system's privacy settings)"},
		{syscall.EACCES, "not permitted (a firewall of this host, or the system's privacy settings)"},
		{syscall.ENETUNREACH, "no route: this host has no network for it"},
		{syscall.EHOSTUNREACH, "no route to it, or the system's privacy settings forbid it"},
		{syscall.EADDRNOTAVAIL, "the interface has no address for it"},
	} {
		if errors.Is(err, x.is) {
			return x.what
		}
	}
	return err.Error()
}

const maxConnections = 16 // tried at a time

// connect tries the data and the service port at every address of every stream.
func (e *examination) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	var all sync.WaitGroup
	slots := make(chan struct{}, maxConnections)
	for i := range e.Streams {
		s := &e.Streams[i]
		for _, at := range s.stream.endpoints() {
			s.Paths = append(s.Paths, PathStatus{Data: at.data.String(), Service: at.service.String()})
		}
		for k, at := range s.stream.endpoints() {
			p := &s.Paths[k]
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				begun := time.Now()
				b, err := fetchInfo(ctx, at.data, methodFull+"\r\n", maxInfo)
				switch info, bad := ParseInfo(b); {
				case ctx.Err() != nil:
					p.DataError = fmt.Sprintf("no answer within %v", infoTimeout)
				case err != nil:
					p.DataError = plainError(err)
				case len(b) == 0:
					p.DataError = "the connection is closed without an answer"
				case bad != nil:
					p.DataError = bad.Error()
				case info.UID != s.UID:
					p.DataError = fmt.Sprintf("another stream (%q) answers there", info.Name)
				default:
					p.DataMS = float64(time.Since(begun)) / 1e6
				}
			})
			all.Go(func() { p.ProbeMS, p.ProbeErr = e.probe(ctx, s.stream, at) })
		}
	}
	all.Wait()
}

// probe returns the round trip to a service port in milliseconds, or what is wrong.
func (e *examination) probe(ctx context.Context, s Stream, at endpoint) (float64, string) {
	if at.service.Port() == 0 {
		return 0, "it names no service port"
	}
	s.Paths, s.V4Address, s.V6Address = []netip.Addr{at.data.Addr()}, "", ""
	ping, err := NewPing(s, nil)
	if err != nil {
		return 0, plainError(err)
	}
	defer ping.Close()
	for range 3 {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		var r Pong
		r, err = ping.Probe(ctx)
		cancel()
		if err == nil {
			return r.RTT * 1e3, ""
		}
	}
	return 0, err.Error()
}

// heard reports whether a way reached anyone at all.
func (w *WayStatus) heard() bool { return w.Echo || len(w.Streams) > 0 }

// advise turns what was seen into what to do.
func (e *examination) advise() []string {
	var out []string
	say := func(format string, a ...any) {
		if s := fmt.Sprintf(format, a...); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, w := range e.config.Warnings {
		say("%s", w)
	}
	if e.echoErr != nil {
		say("No outlet can be opened on this host: %v", e.echoErr)
	} else if e.echo != nil {
		for _, w := range e.echo.Warnings() {
			say("An outlet on this host has a problem: %v", w)
		}
	}
	online := false
	for _, i := range e.Interfaces {
		online = online || i.Up && !i.Loopback && len(i.Addresses) > 0
	}
	if !online {
		say("This host has no network but the loopback: only streams of this host can be found. Connect it, or, when all programs run here, set ResolveScope = machine in the [multicast] section of %s.", e.configFile())
	}
	e.adviseWays(online, say)
	e.adviseStreams(say)
	return out
}

// configFile is where settings belong.
func (e *examination) configFile() string {
	if e.config.File != "" {
		return e.config.File
	}
	return "~/lsl_api/lsl_api.cfg"
}

func (e *examination) adviseWays(online bool, say func(string, ...any)) {
	var multi, sent, echoed, remote int
	for i := range e.Ways {
		w := &e.Ways[i]
		if w.Kind == "multicast" || w.Kind == "broadcast" {
			if w.probe.iface.Interface == nil || w.probe.iface.Flags&net.FlagLoopback != 0 {
				continue
			}
			multi++
			if w.Error == "" {
				sent++
			}
			if w.Echo {
				echoed++
			}
		}
		for _, uid := range w.Streams {
			if s := e.stream(uid); s != nil && s.Hostname != e.Host && w.Kind != "unicast" && w.Kind != "tcp" {
				remote++
			}
		}
		if w.Kind == "unicast" && strings.HasPrefix(w.Name, "KnownPeers") && !w.heard() && w.Error == "" {
			say("%s does not answer: is it on, is a stream served there, and does its firewall let UDP %d-%d through?", w.Name, e.config.BasePort, e.config.BasePort+e.config.PortRange-1)
		}
	}
	switch {
	case multi > 0 && sent == 0:
		say("Neither multicast nor broadcast can be sent from this host: %s. Streams of other hosts are found only when they are named: KnownPeers = {host, ...} in the [lab] section of %s.", e.firstError(), e.configFile())
	case online && e.echo != nil && sent > 0 && echoed == 0 && remote == 0:
		say("Questions by multicast and broadcast leave this host, but none comes back, not even to ourselves: a firewall here holds them back. %s", firewall(e.config))
	}
	if multi == 0 && online && e.config.Scope != "machine" && len(e.config.Override) == 0 {
		say("No interface is used for multicast: look at ListenAddress and Interfaces in the [multicast] section of %s.", e.configFile())
	}
	if e.config.Scope == "machine" && online {
		say("ResolveScope is machine (%s): streams of other hosts are not looked for.", cmp.Or(e.config.File, "built-in"))
	}
}

func (e *examination) firstError() string {
	for _, w := range e.Ways {
		if w.Error != "" && w.Kind != "unicast" {
			return w.Error
		}
	}
	return "no reason is given"
}

func (e *examination) stream(uid string) *StreamStatus {
	for i := range e.Streams {
		if e.Streams[i].UID == uid {
			return &e.Streams[i]
		}
	}
	return nil
}

func (e *examination) adviseStreams(say func(string, ...any)) {
	if len(e.Streams) == 0 {
		what := "No stream"
		if e.named {
			what = "No stream with " + e.match.String()
		}
		say("%s answered. Is the sender started and linked? If it runs on another host: do both firewalls let the ports through (here: %s), is it in the same network (guest networks and wireless access points often keep stations apart), and is its name in KnownPeers when it is not?", what, firewall(e.config))
	}
	same := map[string][]*StreamStatus{}
	for i := range e.Streams {
		s := &e.Streams[i]
		same[s.Name+"\x00"+s.SourceID] = append(same[s.Name+"\x00"+s.SourceID], s)
		if s.SessionID != e.config.SessionID {
			say("%q of host %s is in session %q, we are in %q: it is found with --session %q or session=%s in its address, or set SessionID in the [lab] section.", s.Name, s.Hostname, s.SessionID, e.config.SessionID, s.SessionID, s.SessionID)
		}
		if s.SourceID == "" {
			say("%q of host %s has no source_id: when it restarts, nobody can find it again. Its program should give one.", s.Name, s.Hostname)
		}
		e.advisePaths(s, say)
	}
	for _, key := range slices.Sorted(maps.Keys(same)) {
		if list := same[key]; len(list) > 1 {
			var hosts []string
			for _, s := range list {
				hosts = append(hosts, s.Hostname)
			}
			say("%d streams are called %q with source_id %q (hosts %s): choose one by hostname or uid, and give each device a source_id of its own.", len(list), list[0].Name, list[0].SourceID, strings.Join(hosts, ", "))
		}
	}
}

func (e *examination) advisePaths(s *StreamStatus, say func(string, ...any)) {
	data, clock := false, false
	for _, p := range s.Paths {
		data, clock = data || p.DataError == "", clock || p.ProbeErr == ""
	}
	switch {
	case len(s.Paths) == 0:
		say("%q of host %s answers, but names no port that this host can use (IPv6 is %q here).", s.Name, s.Hostname, e.config.IPv6)
	case !data:
		say("%q answers, but its data port cannot be reached (%s: %s): let TCP %d-%d through the firewall of host %s.", s.Name, s.Paths[0].Data, s.Paths[0].DataError, e.config.BasePort, e.config.BasePort+e.config.PortRange-1, s.Hostname)
	case !clock:
		say("%q can be received, but its clock cannot be measured (%s: %s): let UDP %d-%d through the firewall of host %s.", s.Name, s.Paths[0].Service, s.Paths[0].ProbeErr, e.config.BasePort, e.config.BasePort+e.config.PortRange-1, s.Hostname)
	}
	for _, claimed := range []string{s.stream.V4Address, s.stream.V6Address} {
		a, err := netip.ParseAddr(claimed)
		if err != nil {
			continue
		}
		for _, p := range s.Paths {
			if at, err := netip.ParseAddrPort(p.Data); err == nil && at.Addr() == a.Unmap() && p.DataError != "" {
				say("%q claims the address %s, which does not answer: whoever believes it waits in vain. Its program or network (container, NAT) announces a wrong one.", s.Name, claimed)
			}
		}
	}
}

// firewall returns the command or the place that opens this host for LSL.
func firewall(c *Config) string {
	last := c.BasePort + c.PortRange
	switch runtime.GOOS {
	case "windows":
		return fmt.Sprintf(`netsh advfirewall firewall add rule name="LSL" dir=in action=allow protocol=UDP localport=%d-%d, and the same with protocol=TCP`, c.MulticastPort, last)
	case "darwin":
		return "System Settings, Privacy & Security, Local Network: allow this program; Network, Firewall: allow incoming connections for it"
	}
	return fmt.Sprintf("sudo ufw allow %d:%d/udp && sudo ufw allow %d:%d/tcp, or the same with firewall-cmd --add-port", c.MulticastPort, last, c.BasePort, last)
}
