//go:build linux

package lsl

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"neurostream/stream"
)

// network is a network that this host might have, and what must happen in it.
type network struct {
	name  string
	setup []string // ip commands
	test  func(*testing.T)
}

var networks = []network{
	{"no network at all", nil, func(t *testing.T) {
		within(t, time.Second, "the search", func() {
			_, err := FindOne(deadline(t, 30*time.Second), Match{Name: "amp"}, ResolveOptions{Timeout: time.Second})
			says(t, err, "no LSL stream with name='amp' answered within 1s", "no network interface of this host is up")
		})
		d := diagnose(t)
		if !hasAdvice(d, "no network but the loopback") {
			t.Errorf("%q", d.Advice)
		}
	}},
	{"loopback only", []string{"link set lo up"}, func(t *testing.T) {
		_, err := FindOne(deadline(t, 30*time.Second), Match{Name: "amp"}, ResolveOptions{Timeout: time.Second})
		says(t, err, "no network but its loopback", "bci lsl doctor")
		passes(t, "127.0.0.1:")
		d := diagnose(t)
		if !hasAdvice(d, "no network but the loopback", "ResolveScope = machine") || len(d.Streams) != 0 {
			t.Errorf("%q", d.Advice)
		}
	}},
	{"IPv6 only", []string{
		"link set lo up", "addr del 127.0.0.1/8 dev lo", "link add lab type veth peer name end", "link set end up", "addr add fd00::5/64 dev lab nodad", "link set lab up",
	}, func(t *testing.T) {
		passes(t, "[")
		_, err := FindOne(deadline(t, 30*time.Second), Match{Name: "amp"}, ResolveOptions{Timeout: time.Second})
		says(t, err, "no LSL stream with name='amp' answered within 1s", "no other stream either")
		d := diagnose(t)
		heard := 0
		for _, w := range d.Ways {
			if w.Kind == "multicast" && w.Interface == "lab" && w.Echo {
				heard++
			}
		}
		if heard < 1 {
			t.Errorf("no multicast over IPv6: %+v", d.Ways)
		}
	}},
	{"no multicast permission", []string{
		// The kernel asks no rule about multicast over IPv4, so this host has IPv6.
		"link set lo up", "link add lab type veth peer name end", "link set end up", "addr add fd00::5/64 dev lab nodad", "link set lab up",
		"-6 rule add to ff00::/8 prohibit pref 0", "-6 rule del pref 0 lookup local", "-6 rule add lookup local pref 1",
	}, func(t *testing.T) {
		passes(t, "") // by the ports of this host
		within(t, time.Second, "the search", func() {
			_, err := FindOne(deadline(t, 30*time.Second), Match{Name: "amp"}, ResolveOptions{Timeout: time.Second})
			says(t, err, "asking failed by", "permission denied", "KnownPeers")
		})
		d := diagnose(t)
		if !hasAdvice(d, "Neither multicast nor broadcast can be sent", "not permitted", "KnownPeers = {host, ...}") {
			t.Errorf("%q\n%+v", d.Advice, d.Ways)
		}
		// The way on: the host's name among the known peers.
		c := DefaultConfig()
		c.KnownPeers = []string{"fd00::5"}
		o := newOutlet(t, &c, Info{Name: "named", Channels: 1, Format: Float32, SourceID: "n"})
		d, err := Diagnose(deadline(t, 30*time.Second), Match{Name: "named"}, DoctorOptions{Config: &c, Wait: 300 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range d.Ways {
			if strings.HasPrefix(w.Name, "KnownPeers fd00::5") && (len(w.Streams) != 1 || w.Streams[0] != o.Info().UID) {
				t.Errorf("%+v", w)
			}
		}
	}},
}

func diagnose(t *testing.T) *Diagnosis {
	t.Helper()
	d, err := Diagnose(deadline(t, 30*time.Second), Match{Name: "amp"}, DoctorOptions{Wait: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// passes sends samples from an outlet to a source with the default configuration.
func passes(t *testing.T, peer string) {
	t.Helper()
	c := DefaultConfig()
	o, err := NewOutlet(Info{Name: "here", Type: "EEG", Channels: 2, Format: Float32, Rate: 100, SourceID: "h"}, OutletOptions{Config: &c})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	s := &Source{Match: Match{Name: "here"}, Config: &c, Timeout: 5 * time.Second}
	h, err := s.Open(deadline(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for k := range 10 {
		if err := o.Push([]float64{float64(k), 0}, 0); err != nil {
			t.Fatal(err)
		}
	}
	dst := stream.NewChunk(&h)
	for n := 0; n < 10; n += dst.Len {
		if err := s.Read(dst); err != nil {
			t.Fatal(err)
		}
	}
	if at := s.Inlet().Stats().Peer; !strings.HasPrefix(at, peer) {
		t.Errorf("connected to %s, not to %s...", at, peer)
	}
	if e := s.Inlet().Clock(); e.Probes == 0 {
		t.Error("the clock was not measured")
	}
}

const networkVariable = "NEUROSTREAM_TEST_NETWORK"

// TestNetworks runs every case in a network of its own: a namespace of the kernel,
// in a child process.
func TestNetworks(t *testing.T) {
	if name := os.Getenv(networkVariable); name != "" {
		for _, n := range networks {
			if n.name == name {
				n.run(t)
			}
		}
		return
	}
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the ip command sets up networks, and is not there")
	}
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestNetworks$", "-test.v", "-test.timeout=90s")
			cmd.Env = append(os.Environ(), networkVariable+"="+n.name, "HOME="+t.TempDir())
			cmd.Dir = t.TempDir()
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			if uid := os.Getuid(); uid != 0 {
				cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
			}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Skipf("this system makes no network for us: %v", err)
			}
			switch text := out.String(); {
			case err != nil:
				t.Error(text)
			case strings.Contains(text, "--- SKIP"):
				t.Skip(text)
			case !strings.Contains(text, "--- PASS"):
				t.Errorf("the child tested nothing: %s", text)
			}
		})
	}
}

func (n *network) run(t *testing.T) {
	for _, s := range n.setup {
		if out, err := exec.Command("ip", strings.Fields(s)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v %s", s, err, out)
		}
	}
	n.test(t)
}
