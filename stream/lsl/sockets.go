package lsl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// family is one of the two Internet protocols.
type family bool

const (
	v4 family = false
	v6 family = true
)

func (f family) network(base string) string {
	if f == v6 {
		return base + "6"
	}
	return base + "4"
}

// address returns what to bind to: the configured address if it is of this
// family, else any.
func (f family) address(c *Config, port int) string {
	host := ""
	if a := c.listen(); a.IsValid() && a.Is6() == bool(f) {
		host = a.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// families lists the protocols that the configuration allows.
func (c *Config) families() []family {
	var out []family
	if c.v4() {
		out = append(out, v4)
	}
	if c.v6() {
		out = append(out, v6)
	}
	return out
}

// inRange calls bind with the ports of the range until one is free, and then with
// 0 if any port will do.
func inRange[T any](c *Config, bind func(port int) (T, error)) (T, error) {
	var first error
	for p := c.BasePort; p < c.BasePort+c.PortRange; p++ {
		s, err := bind(p)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	if c.RandomPorts {
		return bind(0)
	}
	var none T
	return none, fmt.Errorf("no free port from %d to %d: %w (raise ports.PortRange or set ports.AllowRandomPorts = 1)", c.BasePort, c.BasePort+c.PortRange-1, first)
}

// listenUDP opens a socket of our own on a port of the range.
func listenUDP(c *Config, f family) (*net.UDPConn, error) {
	return inRange(c, func(port int) (*net.UDPConn, error) {
		var lc net.ListenConfig
		p, err := lc.ListenPacket(context.Background(), f.network("udp"), f.address(c, port))
		if err != nil {
			return nil, err
		}
		return p.(*net.UDPConn), nil
	})
}

// listenTCP opens a listener on a port of the range.
func listenTCP(c *Config, f family) (*net.TCPListener, error) {
	return inRange(c, func(port int) (*net.TCPListener, error) {
		var lc net.ListenConfig
		l, err := lc.Listen(context.Background(), f.network("tcp"), f.address(c, port))
		if err != nil {
			return nil, err
		}
		return l.(*net.TCPListener), nil
	})
}

// listenShared opens the discovery port, which all outlets of a host share, and
// joins the groups on every interface. Groups that cannot be joined are returned
// as warnings: unicast and broadcast still work.
func listenShared(c *Config, f family) (conn *net.UDPConn, warnings []error, err error) {
	lc := net.ListenConfig{Control: shareAddress}
	at := net.JoinHostPort("", strconv.Itoa(c.MulticastPort))
	if a := c.listen(); a.IsLoopback() { // a socket bound to another address would get no multicast
		at = f.address(c, c.MulticastPort)
	}
	p, err := lc.ListenPacket(context.Background(), f.network("udp"), at)
	if err != nil {
		return nil, nil, err
	}
	conn = p.(*net.UDPConn)
	targets, err := c.targets()
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	for _, t := range targets {
		if !t.IsMulticast() || t.Is6() != bool(f) {
			continue
		}
		joined, last := 0, error(nil)
		for _, ifi := range interfaces(c, f) {
			if err := join(conn, f, ifi.Interface, t); err != nil {
				last = err
			} else {
				joined++
			}
		}
		if joined == 0 {
			if last == nil {
				last = errors.New("no interface can multicast")
			}
			warnings = append(warnings, fmt.Errorf("queries to %s will not be heard: %w", t, last))
		}
	}
	return conn, warnings, nil
}

func join(conn *net.UDPConn, f family, ifi *net.Interface, group netip.Addr) error {
	g := &net.UDPAddr{IP: group.AsSlice()}
	if f == v6 {
		return ipv6.NewPacketConn(conn).JoinGroup(ifi, g)
	}
	return ipv4.NewPacketConn(conn).JoinGroup(ifi, g)
}

// iface is an interface and its first address of a family.
type iface struct {
	*net.Interface
	addr netip.Addr
}

// interfaces lists the interfaces that are up and have an address of the family:
// one entry per interface, the loopback last. Configured interfaces or a listening
// address restrict the list.
func interfaces(c *Config, f family) []iface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	wanted := map[netip.Addr]bool{}
	for _, s := range c.Interfaces {
		if a, err := netip.ParseAddr(s); err == nil {
			wanted[a.WithZone("").Unmap()] = true
		}
	}
	if a := c.listen(); a.IsValid() {
		wanted[a.WithZone("")] = true
	}
	var out, loop []iface
	for i := range all {
		ifi := &all[i]
		if ifi.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, ok := netip.AddrFromSlice(n.IP)
			ip = ip.Unmap()
			if !ok || ip.Is6() != bool(f) || len(wanted) > 0 && !wanted[ip] && !(ip.IsLoopback() && c.listen().IsLoopback()) {
				continue
			}
			if ifi.Flags&net.FlagLoopback != 0 {
				loop = append(loop, iface{ifi, ip})
			} else {
				out = append(out, iface{ifi, ip})
			}
			break
		}
	}
	return append(out, loop...)
}
