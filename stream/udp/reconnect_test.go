package udp

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"neurostream/stream"
)

// listenAt listens, at an address that may have been listened at before.
func listenAt(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sendAll accepts a client and sends it packets; what the client says is read and
// ignored. done is called when all is sent, before the client is told that this was all.
func sendAll(l net.Listener, pkts [][]byte, done func()) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}()
	for _, b := range pkts {
		if _, err := c.Write(b); err != nil {
			break // a client that does not like it
		}
	}
	done()
	_ = c.(*net.TCPConn).CloseWrite()
}

// killedAndStarted reads from a peer that is killed after some packets and started again
// with other ones.
func killedAndStarted(t *testing.T, url string, first, second [][]byte) (columns [][]float64, events []stream.Event, broken []stream.Flags, err error) {
	t.Helper()
	l := listenAt(t, "127.0.0.1:0")
	address := l.Addr().String()
	go sendAll(l, first, func() { l.Close() })
	s, err := OpenTCP(address, query(t, url))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h, err := s.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := stream.NewChunk(&h)
	again := make(chan struct{})
	for {
		if err := s.Read(c); err != nil {
			return columns, events, broken, err
		}
		for i := range c.Len {
			columns = append(columns, c.Column(nil, i))
		}
		if c.Flags.Broken() {
			broken = append(broken, c.Flags)
		}
		for _, e := range c.Events {
			events = append(events, e)
			if e.Kind != stream.EventNote || !strings.Contains(e.Detail, "trying to connect again") {
				continue
			}
			select {
			case <-again: // the second connection has ended, too
				cancel()
			default:
				l := listenAt(t, address)
				defer l.Close()
				go sendAll(l, second, func() { close(again) })
			}
		}
	}
}

// TestTCPSourcesConnectAgain: a peer that is killed and started again is read on, with
// every column of both its lives, a gap and a restart between them, and both told.
func TestTCPSourcesConnectAgain(t *testing.T) {
	for _, name := range []string{"rda", "ephys-socket", "openephys", "jsonl", "raw"} {
		t.Run(name, func(t *testing.T) {
			ft, err := FormatNamed(name)
			if err != nil {
				t.Fatal(err)
			}
			pkts, sent, _ := simulated(t, ft, ft.SimulatorURL, nil, 2, nil)
			whole := pkts[:len(pkts)-1]
			if name != "rda" { // whose last packet says that the recorder has stopped
				whole = pkts
			}
			columns, events, broken, err := killedAndStarted(t, "format="+name+"&"+ft.URL, whole, pkts)
			if name == "rda" && err != io.EOF || name != "rda" && !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			if len(columns) != 2*len(sent) {
				t.Fatalf("%d columns came, twice %d were sent", len(columns), len(sent))
			}
			for i, x := range columns {
				for ch, v := range x {
					// What was sent is rounded to counts by some formats; both lives alike.
					if want := sent[i%len(sent)][ch]; math.Abs(v-want) > 0.25 || v != columns[i%len(sent)][ch] {
						t.Fatalf("column %d, channel %d is %g, want %g", i, ch+1, v, want)
					}
				}
			}
			var lost, restarts int
			for _, e := range events {
				switch {
				case e.Kind == stream.EventRestart && strings.Contains(e.Detail, "connected again"):
					restarts++
				case e.Kind == stream.EventNote && strings.Contains(e.Detail, "closed the connection"), e.Kind == stream.EventNote && strings.Contains(e.Detail, "the connection is lost"):
					lost++
				}
			}
			if lost < 1 || restarts != 1 || len(broken) != 1 || broken[0]&(stream.Gap|stream.Restart) != stream.Gap|stream.Restart {
				t.Errorf("%d losses and %d restarts told, flags %v: %v", lost, restarts, broken, events)
			}
		})
	}
}

// TestTCPPeerComesBackAsAnother: other channels or another rate cannot be read on.
func TestTCPPeerComesBackAsAnother(t *testing.T) {
	rda, err := FormatNamed("rda")
	if err != nil {
		t.Fatal(err)
	}
	before := device("amp", 500, 4, "E", "uV", "EEG")
	for _, c := range []struct {
		name string
		h    stream.Header
		want string
	}{
		{"fewer channels", device("amp", 500, 3, "E", "uV", "EEG"), "another stream: 3 channels instead of 4"},
		{"another rate", device("amp", 1000, 4, "E", "uV", "EEG"), "another stream: 1000 Hz instead of 500 Hz"},
		{"other labels", device("amp", 500, 4, "F", "uV", "EEG"), `channel 1 is "F1" instead of "E1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, _, _ := simulated(t, rda, rda.SimulatorURL, &before, 1, nil)
			second, _, _ := simulated(t, rda, rda.SimulatorURL, &c.h, 1, nil)
			_, _, _, err := killedAndStarted(t, "format=rda", first[:len(first)-1], second)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "start again") {
				t.Errorf("it ended with %v, want %q", err, c.want)
			}
		})
	}
}

// TestTCPStreamEndsWithItsPeer when it is told so.
func TestTCPStreamEndsWithItsPeer(t *testing.T) {
	ft, err := FormatNamed("jsonl")
	if err != nil {
		t.Fatal(err)
	}
	pkts, sent, _ := simulated(t, ft, ft.SimulatorURL, nil, 1, nil)
	columns, _, _, err := killedAndStarted(t, "format=jsonl&reconnect=never&"+ft.URL, pkts, nil)
	if !errors.Is(err, io.EOF) || len(columns) != len(sent) {
		t.Errorf("%d columns of %d, then %v", len(columns), len(sent), err)
	}
	err = killedForGood(t, "format=jsonl&reconnect=100ms&"+ft.URL, pkts)
	if err == nil || !strings.Contains(err.Error(), "has been gone for 100ms") {
		t.Errorf("it ended with %v", err)
	}
}

// killedForGood reads from a peer that is killed and stays away.
func killedForGood(t *testing.T, url string, pkts [][]byte) error {
	t.Helper()
	l := listenAt(t, "127.0.0.1:0")
	go sendAll(l, pkts, func() { l.Close() })
	s, err := OpenTCP(l.Addr().String(), query(t, url))
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for c := stream.NewChunk(&h); err == nil; {
		err = s.Read(c)
	}
	return err
}
