package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Endpoint is where datagrams are received, or sent to.
//
//	:12345                 this computer only (127.0.0.1)
//	0.0.0.0:12345          every IPv4 interface; broadcasts too
//	192.168.1.5:12345      the interface with this address
//	225.1.1.1:6677         a multicast group: joined on Interface, or on every one
//	[ff02::1]:6677         the same of IPv6
type Endpoint struct {
	Addr      netip.AddrPort
	Interface string // name or address of the interface a group is joined on; "" = all that are up
}

// ParseEndpoint reads "host:port". The host is an address, "localhost", or nothing
// for this computer; a name is not looked up.
func ParseEndpoint(text string) (Endpoint, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is no address: write udp://HOST:PORT, e.g. udp://:12345", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is no port: it is a number from 1 to 65535", port)
	}
	switch host {
	case "", "localhost":
		host = "127.0.0.1"
	case "*":
		host = "0.0.0.0"
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is no numerical address: give one such as 127.0.0.1, 0.0.0.0 (every interface) or a group such as 225.1.1.1", host)
	}
	return Endpoint{Addr: netip.AddrPortFrom(a, uint16(n))}, nil
}

func (e Endpoint) String() string {
	if e.Interface != "" {
		return e.Addr.String() + " on " + e.Interface
	}
	return e.Addr.String()
}

func (e Endpoint) network() string {
	if e.Addr.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

// listen binds the socket, and joins the group on its interfaces. The port is shared
// when it is a group's, so that several programs can listen to one sender.
func (e Endpoint) listen(ctx context.Context) (*net.UDPConn, error) {
	group := e.Addr.Addr().IsMulticast()
	var lc net.ListenConfig
	at := e.Addr.String()
	if group {
		lc.Control = shareAddress
		at = groupBinding(e.Addr)
	}
	p, err := lc.ListenPacket(ctx, e.network(), at)
	if err != nil {
		return nil, e.bindProblem(err)
	}
	conn := p.(*net.UDPConn)
	if group {
		if err := e.join(conn); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

func (e Endpoint) bindProblem(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program (the device's own software?): close it, or let the device send to another port", e.Addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this computer: write 0.0.0.0:%d for every interface, or one of %s", e.Addr, e.Addr.Port(), strings.Join(ownAddresses(), ", "))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s needs rights: ports below 1024 are for the administrator; let the device send to another one", e.Addr)
	}
	return fmt.Errorf("%s cannot be listened to: %w", e.Addr, err)
}

// join joins the group on one interface, or on all that are up and can multicast.
func (e Endpoint) join(conn *net.UDPConn) error {
	list, err := e.interfaces()
	if err != nil {
		return err
	}
	joined := 0
	var last error
	for i := range list {
		if err := e.joinOn(conn, &list[i]); err != nil {
			last = err
		} else {
			joined++
		}
	}
	if joined > 0 {
		return nil
	}
	if last == nil {
		last = errors.New("no interface is up and can multicast")
	}
	return fmt.Errorf("group %s cannot be joined: %w; name the interface with interface=, one of %s", e.Addr.Addr(), last, strings.Join(interfaceNames(), ", "))
}

func (e Endpoint) joinOn(conn *net.UDPConn, ifi *net.Interface) error {
	g := &net.UDPAddr{IP: e.Addr.Addr().AsSlice()}
	if e.Addr.Addr().Is4() {
		return ipv4.NewPacketConn(conn).JoinGroup(ifi, g)
	}
	return ipv6.NewPacketConn(conn).JoinGroup(ifi, g)
}

// interfaces lists those on which the group is to be joined.
func (e Endpoint) interfaces() ([]net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("the interfaces cannot be listed: %w", err)
	}
	if e.Interface != "" {
		for _, i := range all {
			if i.Name == e.Interface || slices.Contains(addressesOf(&i), e.Interface) {
				return []net.Interface{i}, nil
			}
		}
		return nil, fmt.Errorf("there is no interface %q; there are %s", e.Interface, strings.Join(interfaceNames(), ", "))
	}
	var out []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&(net.FlagMulticast|net.FlagLoopback) != 0 {
			out = append(out, i)
		}
	}
	return out, nil
}

func addressesOf(i *net.Interface) []string {
	var out []string
	list, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			out = append(out, n.IP.String())
		}
	}
	return out
}

// interfaceNames lists the interfaces that are up, with their addresses.
func interfaceNames() []string {
	all, _ := net.Interfaces()
	var out []string
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 {
			out = append(out, i.Name+" ("+strings.Join(addressesOf(&i), " ")+")")
		}
	}
	return out
}

func ownAddresses() []string {
	all, _ := net.Interfaces()
	var out []string
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 {
			out = append(out, addressesOf(&i)...)
		}
	}
	return out
}

// dial opens a socket to send to the endpoint: a broadcast address is allowed, a
// group leaves by Interface with a time to live of one hop.
func (e Endpoint) dial(ctx context.Context) (*net.UDPConn, error) {
	a := e.Addr.Addr()
	if e.Addr.Port() == 0 {
		return nil, fmt.Errorf("%s: port 0 cannot be sent to", e.Addr)
	}
	d := net.Dialer{Control: allowBroadcast}
	c, err := d.DialContext(ctx, e.network(), e.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("%s cannot be sent to: %w", e.Addr, err)
	}
	conn := c.(*net.UDPConn)
	if !a.IsMulticast() {
		return conn, nil
	}
	if e.Interface != "" {
		list, err := e.interfaces()
		if err == nil && a.Is4() {
			err = ipv4.NewPacketConn(conn).SetMulticastInterface(&list[0])
		} else if err == nil {
			err = ipv6.NewPacketConn(conn).SetMulticastInterface(&list[0])
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s: %w", e, err)
		}
	}
	return conn, nil
}
