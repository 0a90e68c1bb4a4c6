package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"neurostream/stream"
)

// SourceParams are the parameters of a source's URL that are not the format's.
var SourceParams = []Param{
	{Name: "format", Doc: "of the packets; without it the first packets are looked at and a format is proposed"},
	{Name: "interface", Doc: "on which a multicast group is joined: name or address; default all"},
	{Name: "from", Doc: "address or address:port of the only sender listened to; default the first"},
	{Name: "buffer", Doc: "socket buffer to ask for in bytes", Default: "16777216"},
	{Name: "reorder", Doc: "datagrams that one may be overtaken by and still be put in order", Default: "1"},
	{Name: "doubles", Doc: "drop or keep copies of datagrams that carry no counter", Default: "drop"},
	{Name: "stale", Doc: "silence that is reported: never, or e.g. 2s", Default: "2s"},
	{Name: "timeout", Doc: "how long to wait for the first datagrams: never, or e.g. 10s", Default: "10s"},
	{Name: "reconnect", Doc: "how long to try to connect again by TCP when the peer has gone: never (then the stream ends), or e.g. 60s; default until it works"},
	{Name: "busy", Doc: "never wait in the kernel: takes a whole core, spares the wake-up", Default: "false"},
	{Name: "speed", Doc: "of a capture: 1 = as captured, 0 = as fast as it goes, nothing lost", Default: "0"},
	{Name: "port", Doc: "of a capture: destination port; needed when there are several"},
}

// settings are what SourceParams say.
type settings struct {
	iface   string
	buffer  int
	busy    bool
	speed   float64
	port    int
	carrier Carrier

	reconnect time.Duration // 0 = for ever, -1 = not at all
}

// newSource reads the parameters that all carriers share.
func newSource(address string, values url.Values, carrier Carrier) (*Source, *settings, error) {
	own, rest := url.Values{}, url.Values{}
	for key, v := range values {
		mine := false
		for i := range SourceParams {
			mine = mine || SourceParams[i].Name == key
		}
		if mine {
			own[key] = v
		} else {
			rest[key] = v
		}
	}
	p := NewParameters(own)
	s := &Source{Address: address, FormatName: p.Text("format", "")}
	o := &settings{
		iface: p.Text("interface", ""), buffer: p.Int("buffer", DefaultReceiveBuffer, 1<<12, 1<<30),
		busy: p.Truth("busy", false), speed: p.Float("speed", 0, 0, 1e6), port: p.Int("port", 0, 1, 65535), carrier: carrier,
	}
	if s.Reorder = p.Int("reorder", 1, 0, 64); s.Reorder == 0 {
		s.Reorder = -1
	}
	s.Keep = p.Choice("doubles", "drop", "keep") == "keep"
	s.Stale = duration(p, "stale", defaultStale)
	s.Timeout = duration(p, "timeout", defaultTimeout)
	o.reconnect = duration(p, "reconnect", 0)
	if from := p.Text("from", ""); from != "" {
		a, err := netip.ParseAddrPort(from)
		if err != nil {
			var host netip.Addr
			if host, err = netip.ParseAddr(from); err != nil {
				p.Fail("from=%s in the URL is no address, such as 192.168.1.5 or 192.168.1.5:4000", from)
			}
			a = netip.AddrPortFrom(host, 0)
		}
		s.From = a
	}
	if err := p.Finish(); err != nil {
		return nil, nil, err
	}
	if s.FormatName == "" {
		return s, o, nil
	}
	t, err := FormatNamed(s.FormatName)
	if err != nil {
		return nil, nil, err
	}
	if t.Carrier&carrier == 0 {
		if t.Carrier == TCP {
			return nil, nil, fmt.Errorf("%s travels in TCP: write tcp://HOST:PORT?format=%s", t.Name, t.Name)
		}
		return nil, nil, fmt.Errorf("%s travels in datagrams: write udp://:PORT?format=%s", t.Name, t.Name)
	}
	s.make = func() (Format, error) { return NewFormat(t.Name, rest) }
	if _, err := s.make(); err != nil { // a mistake in the URL shows before anything is opened
		return nil, nil, err
	}
	return s, o, nil
}

func duration(p *Parameters, key string, preset time.Duration) time.Duration {
	switch s := p.Text(key, ""); s {
	case "":
		return preset
	case "never":
		return -1
	default:
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 || d > 1000*time.Hour {
			p.Fail("%s=%s in the URL is neither never nor a time such as 10s", key, s)
		}
		return d
	}
}

// Open returns the unopened source that receives datagrams: place is the endpoint (see
// ParseEndpoint), values are SourceParams and the format's own.
func Open(place string, values url.Values) (*Source, error) {
	s, o, err := newSource("udp://"+place, values, UDP)
	if err != nil {
		return nil, err
	}
	e, err := ParseEndpoint(place)
	if err != nil {
		return nil, err
	}
	if e.Addr.Port() == 0 {
		return nil, fmt.Errorf("%s: which port? write udp://:PORT", s.Address)
	}
	e.Interface = o.iface
	if e.Interface != "" && !e.Addr.Addr().IsMulticast() {
		return nil, fmt.Errorf("%s: interface= is for multicast groups; to listen on one interface write its address, e.g. udp://192.168.1.5:%d", s.Address, e.Addr.Port())
	}
	s.live = true
	s.open = func(ctx context.Context, s *Source) (carrier, error) {
		r, err := Listen(ctx, e, o.buffer, s.Clock)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Address, err)
		}
		r.Busy = o.busy
		if text := r.capped(); text != "" {
			s.note(text)
		}
		s.around = func() func() (string, string) { return listenAround(ctx, e) }
		return r, nil
	}
	return s, nil
}

// Sinks and sources over TCP wait this long for a connection.
const dialTimeout = 5 * time.Second

// OpenTCP returns the unopened source that connects to a server which sends packets as
// a byte stream.
func OpenTCP(place string, values url.Values) (*Source, error) {
	s, o, err := newSource("tcp://"+place, values, TCP)
	if err != nil {
		return nil, err
	}
	if s.make == nil {
		return nil, fmt.Errorf("%s: which format? write format=, one of %s", s.Address, strings.Join(tcpFormats(), " "))
	}
	host, port, err := net.SplitHostPort(place)
	if err != nil {
		t, _ := FormatNamed(s.FormatName)
		if t.Port == 0 || strings.Contains(place, ":") {
			return nil, fmt.Errorf("%q is no address: write tcp://HOST:PORT", place)
		}
		host, port = place, fmt.Sprint(t.Port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	s.live = true
	s.open = func(ctx context.Context, s *Source) (carrier, error) {
		dial := func(f Format) (*packets, error) { return dialPackets(ctx, s, f, net.JoinHostPort(host, port)) }
		p, err := dial(s.Format)
		if err != nil || o.reconnect < 0 {
			return p, err
		}
		return &line{packets: p, ctx: ctx, dial: dial, make: s.make, patient: o.reconnect}, nil
	}
	return s, nil
}

func tcpFormats() []string {
	var out []string
	for _, t := range Formats() {
		if t.Carrier&TCP != 0 {
			out = append(out, t.Name)
		}
	}
	return out
}

var _ stream.Source = (*Source)(nil)
