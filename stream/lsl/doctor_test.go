package lsl

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// replace closes a socket and returns its address, for another one.
func replace(s interface {
	Close() error
},
) string {
	var at net.Addr
	switch x := s.(type) {
	case *net.TCPListener:
		at = x.Addr()
	case *net.UDPConn:
		at = x.LocalAddr()
	}
	s.Close()
	return at.String()
}

func hasAdvice(d *Diagnosis, words ...string) bool {
	return slices.ContainsFunc(d.Advice, func(a string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(a, w) })
	})
}

// The doctor finds every stream by the ways that reach it, tries its ports, and says
// what is wrong with each: another session, no source_id, a name twice, closed ports.
func TestDiagnose(t *testing.T) {
	c := loopback(t)
	newOutlet(t, c, Info{Name: "well", Type: "EEG", Channels: 1, Format: Float32, Rate: 10, SourceID: "w"})
	other := *c
	other.SessionID = "elsewhere"
	newOutlet(t, &other, Info{Name: "apart", Type: "EEG", Channels: 1, Format: Float32, Rate: 10, SourceID: "a"})
	newOutlet(t, c, Info{Name: "twin", Channels: 1, Format: Float32, SourceID: "t"})
	newOutlet(t, c, Info{Name: "twin", Channels: 1, Format: Float32, SourceID: "t"})
	newOutlet(t, c, Info{Name: "nameless", Channels: 1, Format: Float32})
	deaf := newOutlet(t, c, Info{Name: "deaf", Channels: 1, Format: Float32, SourceID: "d"})
	shut, err := net.Listen("tcp4", replace(deaf.listeners[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer shut.Close()
	go func() { // everybody is turned away
		for {
			x, err := shut.Accept()
			if err != nil {
				return
			}
			x.Close()
		}
	}()
	timeless := newOutlet(t, c, Info{Name: "timeless", Channels: 1, Format: Float32, SourceID: "x"})
	mute, err := net.ListenPacket("udp4", replace(timeless.services[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	var steps []string
	d, err := Diagnose(deadline(t, 20*time.Second), Match{}, DoctorOptions{Config: c, Wait: 200 * time.Millisecond, Step: func(s string) { steps = append(steps, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 3 || len(d.Streams) != 7 || d.Session != c.SessionID {
		t.Fatalf("%d steps, %+v", len(steps), d)
	}
	for _, s := range d.Streams {
		if len(s.Paths) != 1 || (s.Paths[0].DataError == "") != (s.Name != "deaf") || (s.Paths[0].ProbeErr == "") != (s.Name != "timeless") {
			t.Errorf("%s: %+v", s.Name, s.Paths)
		}
	}
	reached := 0
	for _, w := range d.Ways {
		if len(w.Streams) == 7 && w.Echo && w.FirstMS > 0 && w.Error == "" {
			reached++
		}
	}
	if reached < 1 {
		t.Errorf("no way reaches all: %+v", d.Ways)
	}
	for _, want := range [][]string{
		{`"apart"`, `session "elsewhere"`, "--session"},
		{"2 streams are called", `"twin"`, "choose one"},
		{`"nameless"`, "no source_id"},
		{`"deaf"`, "data port cannot be reached", "TCP", "firewall"},
		{`"timeless"`, "clock cannot be measured", "UDP", "firewall"},
	} {
		if !hasAdvice(d, want...) {
			t.Errorf("no advice has %q among\n%s", want, strings.Join(d.Advice, "\n"))
		}
	}
	if slices.ContainsFunc(d.Advice, func(a string) bool { return strings.Contains(a, `"well"`) }) {
		t.Errorf("the stream that is well gets advice: %q", d.Advice)
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
}

// Without any stream, and without an answer from a known peer, the doctor says so.
func TestDiagnoseSilence(t *testing.T) {
	c := loopback(t)
	c.KnownPeers = []string{"127.0.0.2"}
	d, err := Diagnose(deadline(t, 20*time.Second), Match{Name: "amp"}, DoctorOptions{Config: c, Wait: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Streams) != 0 || !hasAdvice(d, "No stream with name='amp' answered") || !hasAdvice(d, "KnownPeers 127.0.0.2 does not answer") {
		t.Errorf("%+v", d)
	}
	if i := slices.IndexFunc(d.Ways, func(w WayStatus) bool { return w.Kind == "tcp" }); i < 0 {
		t.Errorf("no way over TCP: %+v", d.Ways)
	}
	if _, err := Diagnose(deadline(t, time.Second), Match{Predicate: "name=="}, DoctorOptions{Config: c}); err == nil || !strings.Contains(err.Error(), "name==") {
		t.Errorf("%v", err)
	}
}
