package udp

import (
	"net"
	"strings"
	"testing"
)

func TestHintsWhereNothingIsHeard(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	up := ""
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 {
			up = i.Name
		}
	}
	for _, c := range []struct {
		place, iface string
		want         []string
	}{
		{":6677", "", []string{"udp://0.0.0.0:6677"}},
		{"225.1.1.1:6677", "", []string{"interface=", up + " ("}},
		{"[ff02::1]:6677", "", []string{"interface=", up + " ("}},
		{"225.1.1.1:6677", "eth7", []string{"is the device started", "firewall"}},
		{"0.0.0.0:6677", "", []string{"is the device started", "firewall"}},
	} {
		e, err := ParseEndpoint(c.place)
		if err != nil {
			t.Fatal(err)
		}
		e.Interface = c.iface
		for _, want := range c.want {
			if hint := e.quietHint(); !strings.Contains(hint, want) {
				t.Errorf("%s on %q: %q lacks %q", c.place, c.iface, hint, want)
			}
		}
	}
}
