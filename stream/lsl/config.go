package lsl

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is what lsl_api.cfg says, with liblsl's names and defaults. The comment
// behind a field is its key in the file.
type Config struct {
	MulticastPort int    // ports.MulticastPort: UDP port of discovery
	BasePort      int    // ports.BasePort: first port for data and service
	PortRange     int    // ports.PortRange: how many ports from BasePort on
	RandomPorts   bool   // ports.AllowRandomPorts: take any port when the range is full
	IPv6          string // ports.IPv6: "disable", "allow" or "force"

	Scope         string   // multicast.ResolveScope: machine, link, site, organization, global
	ListenAddress string   // multicast.ListenAddress: local address of all our sockets; "" = every one
	Group         string   // multicast.IPv6MulticastGroup: the part behind FF0x:
	Machine       []string // multicast.MachineAddresses
	Link          []string // multicast.LinkAddresses
	Site          []string // multicast.SiteAddresses
	Organization  []string // multicast.OrganizationAddresses
	Global        []string // multicast.GlobalAddresses
	TTL           int      // multicast.TTLOverride: -1 = as the scope says
	Override      []string // multicast.AddressesOverride: replaces all addresses above
	Interfaces    []string // multicast.Interfaces: local addresses to send from; empty = all

	KnownPeers     []string // lab.KnownPeers: hosts asked by unicast
	SessionID      string   // lab.SessionID
	ResolveOverTCP bool     // lab.ResolveOverTCP: also ask KnownPeers over TCP, where UDP is blocked

	Protocol           int           // tuning.UseProtocolVersion: 100 or 110
	MulticastMinRTT    time.Duration // tuning.MulticastMinRTT: between two waves of queries
	TimeUpdateInterval time.Duration // tuning.TimeUpdateInterval: between two bursts of clock probes
	TimeMinProbes      int           // tuning.TimeUpdateMinProbes: replies of a burst that liblsl asks for; we use every reply
	TimeProbes         int           // tuning.TimeProbeCount: probes of a burst
	TimeProbeInterval  time.Duration // tuning.TimeProbeInterval
	TimeProbeMaxRTT    time.Duration // tuning.TimeProbeMaxRTT: how long a late reply counts
	HalfTime           time.Duration // tuning.SmoothingHalftime: of the dejitter
	SendBuffer         int           // tuning.SendSocketBufferSize in bytes; 0 = the system's
	ReceiveBuffer      int           // tuning.ReceiveSocketBufferSize in bytes; 0 = the system's
	ForceStamps        bool          // tuning.ForceDefaultTimestamps: an outlet stamps everything with now

	File     string   // where it was read; "" = built-in defaults
	Warnings []string // what in the file is not as it was probably meant
}

// DefaultConfig returns liblsl's built-in configuration.
func DefaultConfig() Config {
	return Config{
		MulticastPort: 16571, BasePort: 16572, PortRange: 32, RandomPorts: true, IPv6: "allow",
		Scope: "site", Group: "113D:6FDD:2C17:A643:FFE2:1BD1:3CD2",
		Machine: []string{"127.0.0.1"},
		Link:    []string{"255.255.255.255", "224.0.0.1", "224.0.0.183"},
		Site:    []string{"239.255.172.215"},
		TTL:     -1, SessionID: "default", Protocol: Protocol,
		MulticastMinRTT:    500 * time.Millisecond,
		TimeUpdateInterval: 2 * time.Second, TimeMinProbes: 6, TimeProbes: 8,
		TimeProbeInterval: 64 * time.Millisecond, TimeProbeMaxRTT: 128 * time.Millisecond,
		HalfTime: 90 * time.Second,
	}
}

// LoadConfig reads the configuration from where liblsl looks for it: the file that
// the environment variable LSLAPICFG names, lsl_api.cfg in the working directory,
// in ~/lsl_api and in /etc/lsl_api. The first that can be read wins; without any
// the defaults hold. A file that is there but cannot be understood is passed over
// with a warning, as in liblsl.
func LoadConfig() Config {
	var warnings []string
	for _, path := range configPaths() {
		text, err := os.ReadFile(path)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) || path == os.Getenv("LSLAPICFG") {
				warnings = append(warnings, fmt.Sprintf("configuration not read: %v", err))
			}
			continue
		}
		c, err := ParseConfig(string(text))
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s is ignored: %v", path, err))
			continue
		}
		c.File = path
		c.Warnings = append(warnings, c.Warnings...)
		return c
	}
	c := DefaultConfig()
	c.Warnings = warnings
	return c
}

func configPaths() []string {
	var out []string
	if p := os.Getenv("LSLAPICFG"); p != "" {
		out = append(out, p)
	}
	out = append(out, "lsl_api.cfg")
	if home, err := os.UserHomeDir(); err == nil {
		out = append(out, filepath.Join(home, "lsl_api", "lsl_api.cfg"))
	}
	return append(out, "/etc/lsl_api/lsl_api.cfg")
}

// ParseConfig reads the text of an lsl_api.cfg. It is a little kinder than liblsl,
// which drops the whole file at an empty value and takes every truth value but 1
// for false: an empty value keeps the default, true, yes and on are true, and both
// give a warning, because liblsl programs on the same host will do otherwise.
func ParseConfig(text string) (Config, error) {
	c := DefaultConfig()
	section, seen := "", map[string]bool{}
	s := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(text, "\uFEFF")))
	for n := 1; s.Scan(); n++ {
		raw := s.Text()
		line := strings.Trim(raw, " \t\r")
		if line == "" || strings.HasPrefix(raw, ";") {
			continue
		}
		if line[0] == '[' {
			end := strings.IndexByte(line, ']')
			if end < 0 {
				return Config{}, fmt.Errorf("line %d: the section %q has no ]", n, line)
			}
			section = line[1:end]
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
		switch {
		case !ok || key == "":
			return Config{}, fmt.Errorf("line %d: %q is not Key = Value (comments begin with a ; in the first column)", n, line)
		case seen[section+"."+key]:
			return Config{}, fmt.Errorf("line %d: %s.%s is given twice", n, section, key)
		case value == "":
			c.warn("line %d: %s.%s has no value: the default holds; liblsl ignores the whole file", n, section, key)
			continue
		}
		if section != "" {
			key = section + "." + key
		}
		seen[key] = true
		if err := c.set(n, key, value); err != nil {
			return Config{}, fmt.Errorf("line %d: %s: %w", n, key, err)
		}
	}
	if err := s.Err(); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

func (c *Config) warn(format string, a ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, a...))
}

func (c *Config) set(n int, key, value string) error {
	var err error
	integer := func(dst *int) { *dst, err = strconv.Atoi(value) }
	seconds := func(dst *time.Duration) {
		var v float64
		if v, err = parseNumber(value); err == nil {
			if v < 0 || v > 1e6 {
				err = fmt.Errorf("%v s is not from 0 to 1e6", v)
			}
			*dst = time.Duration(v * float64(time.Second))
		}
	}
	truth := func(dst *bool) {
		switch strings.ToLower(value) {
		case "1":
			*dst = true
		case "true", "yes", "on":
			*dst = true
			c.warn("line %d: %s = %s is taken as 1; liblsl takes everything but 1 for 0", n, key, value)
		default:
			*dst = false
		}
	}
	set := func(dst *[]string) {
		inner, ok := strings.CutPrefix(value, "{")
		if inner, ok2 := strings.CutSuffix(inner, "}"); ok && ok2 {
			*dst = nil
			for _, x := range strings.Split(inner, ",") {
				if x = strings.TrimSpace(x); x != "" {
					*dst = append(*dst, x)
				}
			}
			return
		}
		err = fmt.Errorf("%q is not a list like {a, b}", value)
	}
	switch key {
	case "ports.MulticastPort":
		integer(&c.MulticastPort)
	case "ports.BasePort":
		integer(&c.BasePort)
	case "ports.PortRange":
		integer(&c.PortRange)
	case "ports.AllowRandomPorts":
		truth(&c.RandomPorts)
	case "ports.IPv6":
		mode, ok := map[string]string{"disable": "disable", "disabled": "disable", "allow": "allow", "allowed": "allow", "force": "force", "forced": "force"}[value]
		if !ok {
			err = fmt.Errorf("%q is not disable, allow or force", value)
		}
		c.IPv6 = mode
	case "multicast.ResolveScope":
		c.Scope = value
	case "multicast.ListenAddress":
		c.ListenAddress = value
	case "multicast.IPv6MulticastGroup":
		c.Group = value
	case "multicast.MachineAddresses":
		set(&c.Machine)
	case "multicast.LinkAddresses":
		set(&c.Link)
	case "multicast.SiteAddresses":
		set(&c.Site)
	case "multicast.OrganizationAddresses":
		set(&c.Organization)
	case "multicast.GlobalAddresses":
		set(&c.Global)
	case "multicast.TTLOverride":
		integer(&c.TTL)
	case "multicast.AddressesOverride":
		set(&c.Override)
	case "multicast.Interfaces":
		set(&c.Interfaces)
	case "lab.KnownPeers":
		set(&c.KnownPeers)
	case "lab.SessionID":
		c.SessionID = value
	case "lab.ResolveOverTCP":
		truth(&c.ResolveOverTCP)
	case "tuning.UseProtocolVersion":
		integer(&c.Protocol)
		c.Protocol = min(c.Protocol, Protocol)
	case "tuning.MulticastMinRTT":
		seconds(&c.MulticastMinRTT)
	case "tuning.TimeUpdateInterval":
		seconds(&c.TimeUpdateInterval)
	case "tuning.TimeUpdateMinProbes":
		integer(&c.TimeMinProbes)
	case "tuning.TimeProbeCount":
		integer(&c.TimeProbes)
	case "tuning.TimeProbeInterval":
		seconds(&c.TimeProbeInterval)
	case "tuning.TimeProbeMaxRTT":
		seconds(&c.TimeProbeMaxRTT)
	case "tuning.SmoothingHalftime":
		seconds(&c.HalfTime)
	case "tuning.SendSocketBufferSize":
		integer(&c.SendBuffer)
	case "tuning.ReceiveSocketBufferSize":
		integer(&c.ReceiveBuffer)
	case "tuning.ForceDefaultTimestamps":
		truth(&c.ForceStamps)
	case "log.level", "log.file",
		"tuning.WatchdogCheckInterval", "tuning.WatchdogTimeThreshold", "tuning.MulticastMaxRTT",
		"tuning.UnicastMinRTT", "tuning.UnicastMaxRTT", "tuning.ContinuousResolveInterval",
		"tuning.TimerResolution", "tuning.MaxCachedQueries",
		"tuning.OutletBufferReserveMs", "tuning.OutletBufferReserveSamples",
		"tuning.InletBufferReserveMs", "tuning.InletBufferReserveSamples":
		// liblsl's inner workings; ours has no such part
	default:
		c.warn("line %d: unknown key %s (keys are case sensitive)", n, key)
	}
	return err
}

var scopes = []string{"machine", "link", "site", "organization", "global"}

// Validate reports the first setting that cannot be used.
func (c *Config) Validate() error {
	port := func(key string, v int) error {
		if v < 1 || v > 65535 {
			return fmt.Errorf("%s is %d; ports are 1 to 65535", key, v)
		}
		return nil
	}
	if err := errors.Join(port("ports.MulticastPort", c.MulticastPort), port("ports.BasePort", c.BasePort)); err != nil {
		return err
	}
	switch {
	case c.PortRange < 1 || c.BasePort+c.PortRange > 65536:
		return fmt.Errorf("ports.PortRange is %d; from port %d on there are 1 to %d", c.PortRange, c.BasePort, 65536-c.BasePort)
	case c.IPv6 != "disable" && c.IPv6 != "allow" && c.IPv6 != "force":
		return fmt.Errorf("ports.IPv6 is %q; it is disable, allow or force", c.IPv6)
	case !slices.Contains(scopes, c.Scope):
		return fmt.Errorf("multicast.ResolveScope is %q; it is one of %s", c.Scope, strings.Join(scopes, " "))
	case c.Protocol != 100 && c.Protocol != 110:
		return fmt.Errorf("tuning.UseProtocolVersion is %d; it is 100 or 110", c.Protocol)
	case c.TTL < -1 || c.TTL > 255:
		return fmt.Errorf("multicast.TTLOverride is %d; it is -1 to 255", c.TTL)
	case c.TimeProbes < 1 || c.TimeProbes > 1000:
		return fmt.Errorf("tuning.TimeProbeCount is %d; it is 1 to 1000", c.TimeProbes)
	}
	if a := c.ListenAddress; a != "" {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("multicast.ListenAddress is %q, not an IP address", a)
		}
	}
	_, err := c.targets()
	return err
}

// hops is the multicast TTL.
func (c *Config) hops() int {
	if c.TTL >= 0 {
		return c.TTL
	}
	switch c.Scope {
	case "machine":
		return 0
	case "link":
		return 1
	case "site":
		return 24
	case "organization":
		return 32
	}
	return 255
}

func (c *Config) v4() bool { return c.IPv6 != "force" && !c.listen().Is6() }
func (c *Config) v6() bool { return c.IPv6 != "disable" && !c.listen().Is4() }

// listen returns the address that our sockets bind to; the zero Addr for any.
func (c *Config) listen() netip.Addr {
	a, _ := netip.ParseAddr(c.ListenAddress)
	return a.Unmap()
}

// targets lists where discovery queries go, nearest first.
func (c *Config) targets() ([]netip.Addr, error) {
	list := c.Override
	if len(list) == 0 {
		for i, more := range [][]string{c.Machine, c.Link, c.Site, c.Organization, c.Global} {
			list = append(list[:len(list):len(list)], more...)
			if g := []string{"", "FF02:", "FF05:", "FF08:", "FF0E:"}[i]; g != "" {
				list = append(list, g+c.Group)
			}
			if scopes[i] == c.Scope {
				break
			}
		}
	}
	var out []netip.Addr
	for _, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q among the multicast addresses is no IP address", s)
		}
		a = a.Unmap()
		if a.Is4() && c.v4() || a.Is6() && c.v6() {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out, nil
}
