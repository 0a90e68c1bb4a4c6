package udp

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"neurostream/stream"
)

// The interoperability tests run when NEUROSTREAM_INTEROP_PYTHON names a Python with
// testdata/interop/requirements.txt installed. BrainFlow knows only multicast, which
// its own streamer sends with the time to live that the system sets (1); all else
// stays on loopback.

// udpPeer is a Python process with somebody else's software.
type udpPeer struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
}

type udpAnswer struct {
	Ready     bool
	Port      int
	EEG       [][]float64
	Number    []float64
	Stamp     []float64
	Sent, Got [][]float64
	Data      [][]float64
	Marks     []any
	Rate      float64
	Labels    []string
	Events    [][]any
}

func startUDPPeer(t *testing.T, role string, args ...int) *udpPeer {
	t.Helper()
	python := os.Getenv("NEUROSTREAM_INTEROP_PYTHON")
	if python == "" {
		t.Skip("NEUROSTREAM_INTEROP_PYTHON is not set: no other software to talk to (make test-interop sets it)")
	}
	argv := []string{"testdata/interop/peer.py", role}
	for _, a := range args {
		argv = append(argv, strconv.Itoa(a))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, python, argv...)
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cancel(); _ = cmd.Wait() })
	p := &udpPeer{t: t, in: in, lines: bufio.NewScanner(out)}
	p.lines.Buffer(nil, 64<<20)
	return p
}

func (p *udpPeer) answer() (a udpAnswer) {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatal("the other software ended without an answer")
	}
	if err := json.Unmarshal(p.lines.Bytes(), &a); err != nil {
		p.t.Fatalf("%v: %.200s", err, p.lines.Bytes())
	}
	return a
}

func (p *udpPeer) run() {
	if _, err := io.WriteString(p.in, "go\n"); err != nil {
		p.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// heard is what one of our sources read.
type heard struct {
	header  stream.Header
	columns [][]float64
	stamps  []stream.Time
	markers []string
	events  []stream.Event
	err     error
}

// hear reads a URL until quiet; started is closed when it listens.
func hear(t *testing.T, address string) <-chan heard {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	open := Open
	if u.Scheme == "tcp" {
		open = OpenTCP
	}
	src, err := open(u.Host, u.Query())
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan heard, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var h heard
		if h.header, h.err = src.Open(ctx); h.err == nil {
			// Once data come, half a second without any is the end.
			quiet := time.AfterFunc(20*time.Second, cancel)
			c := stream.NewChunk(&h.header)
			for {
				if err := src.Read(c); err != nil {
					break
				}
				for i := range c.Len {
					h.columns = append(h.columns, c.Column(nil, i))
				}
				h.stamps = append(h.stamps, c.Stamps...)
				for _, e := range c.Events {
					if e.Kind != stream.EventNote {
						h.events = append(h.events, e)
					}
				}
				for _, m := range c.Markers {
					h.markers = append(h.markers, m.Label)
				}
				if c.Len > 0 {
					quiet.Reset(500 * time.Millisecond)
				}
			}
		}
		src.Close()
		out <- h
	}()
	return out
}

// sameColumns compares what was sent with what came.
func sameColumns(t *testing.T, what string, got, want [][]float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%s: %d columns, %d were sent", what, len(got), len(want))
	}
	for i := range got {
		if !slices.Equal(got[i], want[i]) {
			t.Fatalf("%s: column %d: %v, sent %v", what, i, got[i], want[i])
		}
	}
	t.Logf("%s: %d columns of %d channels are equal", what, len(got), len(got[0]))
}

func TestInteropBrainFlowStreamer(t *testing.T) {
	port := freePort(t)
	p := startUDPPeer(t, "brainflow_send", port)
	p.answer()
	h := hear(t, "udp://225.1.1.1:"+strconv.Itoa(port)+"?format=brainflow&board=synthetic&stale=never&timeout=15s")
	p.run()
	a, got := p.answer(), <-h
	if got.err != nil {
		t.Fatal(got.err)
	}
	n := len(a.EEG) / 3 * 3 // the streamer keeps what does not fill a batch of three
	if len(got.columns) != n {
		t.Fatalf("%d columns came, %d were sent; events %v", len(got.columns), n, got.events)
	}
	sameColumns(t, "BrainFlow's streamer to our source", got.columns, a.EEG[:n])
	for i, s := range got.stamps {
		if math.Abs(s.Seconds()-a.Stamp[i]) > 1e-6 {
			t.Fatalf("stamp %d: %v, sent %v", i, s.Seconds(), a.Stamp[i])
		}
	}
	if len(got.stamps) != n || len(got.events) != 0 {
		t.Errorf("%d stamps, events %v", len(got.stamps), got.events)
	}
}

func TestInteropBrainFlowBoard(t *testing.T) {
	port := freePort(t)
	ft, _ := FormatNamed("brainflow")
	pkts, sent, _ := simulated(t, ft, "board=cyton", nil, 3, nil)
	p := startUDPPeer(t, "brainflow_receive", port, len(pkts)*3)
	p.answer()
	c, err := net.Dial("udp4", "225.1.1.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = ipv4.NewPacketConn(c.(*net.UDPConn)).SetMulticastTTL(0) // not past this computer
	for i, pkt := range pkts {
		if _, err := c.Write(pkt); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	a := p.answer()
	sameColumns(t, "our simulator to BrainFlow's streaming board", a.EEG, sent[:len(pkts)*3])
	for i, n := range a.Number {
		if n != float64(i%256) {
			t.Fatalf("package %d has the number %v", i, n)
		}
	}
}

func TestInteropPythonOSC(t *testing.T) {
	port := freePort(t)
	p := startUDPPeer(t, "osc_send", port)
	p.answer()
	h := hear(t, "udp://127.0.0.1:"+strconv.Itoa(port)+"?format=muse-osc&stale=never&doubles=keep")
	time.Sleep(200 * time.Millisecond) // until it listens
	p.run()
	a, got := p.answer(), <-h
	if got.err != nil {
		t.Fatal(got.err)
	}
	sameColumns(t, "python-osc to our source", got.columns, a.Sent)
	if !slices.Equal(got.markers, []string{"1"}) {
		t.Errorf("markers %v", got.markers)
	}
}

func TestInteropToPythonOSC(t *testing.T) {
	ft, _ := FormatNamed("osc")
	pkts, sent, marks := simulated(t, ft, "", nil, 3, nil)
	p := startUDPPeer(t, "osc_receive", len(sent))
	c, err := net.Dial("udp4", "127.0.0.1:"+strconv.Itoa(p.answer().Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	columns := 0
	for _, pkt := range pkts {
		if _, err := c.Write(pkt); err != nil {
			t.Fatal(err)
		}
		// Its socket holds few datagrams: it says when it has read fifty.
		if strings.HasPrefix(string(pkt), "/bci") {
			if columns++; columns%50 == 0 {
				p.answer()
			}
		}
	}
	a := p.answer()
	sameColumns(t, "our encoder to python-osc", a.Got, sent)
	if len(a.Marks) != len(marks) || len(marks) == 0 || a.Marks[0] != marks[0].Label {
		t.Errorf("markers %v, sent %v", a.Marks, marks)
	}
}

func TestInteropOpenBCI(t *testing.T) {
	port := freePort(t)
	p := startUDPPeer(t, "openbci_send", port)
	p.answer()
	h := hear(t, "udp://127.0.0.1:"+strconv.Itoa(port)+"?format=openbci-json&rate=250&stale=never")
	time.Sleep(200 * time.Millisecond)
	p.run()
	a, got := p.answer(), <-h
	if got.err != nil {
		t.Fatal(got.err)
	}
	// The decimal text of a float32 is read as float64.
	for _, col := range got.columns {
		for i := range col {
			col[i] = float64(float32(col[i]))
		}
	}
	sameColumns(t, "OpenBCI's text to our source", got.columns, a.Sent)
}

func TestInteropFieldTripPut(t *testing.T) {
	server := &FieldTripServer{Address: "127.0.0.1:0"}
	if os.Getenv("NEUROSTREAM_INTEROP_PYTHON") != "" {
		if err := server.Open(context.Background(), stream.Header{}); err != nil {
			t.Fatal(err)
		}
		defer server.Close()
	} else {
		startUDPPeer(t, "") // skips
	}
	p := startUDPPeer(t, "fieldtrip_put", server.Addr().(*net.TCPAddr).Port)
	p.answer()
	src := &FieldTripSource{Address: server.Addr().String(), Unit: "uV"}
	h, err := src.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if h.Rate != 256 || strings.Join(h.Labels(), ",") != "Fp1,Fp2,C3,C4,Oz" {
		t.Errorf("header %+v", h)
	}
	p.run()
	a := p.answer()
	var got [][]float64
	var markers []string
	c := stream.NewChunk(&h)
	for len(got) < len(a.Sent) {
		if err := src.Read(c); err != nil {
			t.Fatal(err)
		}
		for i := range c.Len {
			got = append(got, c.Column(nil, i))
		}
		for _, m := range c.Markers {
			markers = append(markers, m.Label)
		}
	}
	sameColumns(t, "FieldTrip's client to our buffer to our source", got, a.Sent)
	if !slices.Equal(markers, []string{"Stimulus/S  1"}) {
		t.Errorf("markers %v", markers)
	}
}

func TestInteropFieldTripGet(t *testing.T) {
	if os.Getenv("NEUROSTREAM_INTEROP_PYTHON") == "" {
		startUDPPeer(t, "")
	}
	server := &FieldTripServer{Address: "127.0.0.1:0", Double: true}
	h := device("", 100, 6, "E", "uV", "EEG")
	if err := server.Open(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p := startUDPPeer(t, "fieldtrip_get", server.Addr().(*net.TCPAddr).Port, 100)
	p.answer()
	c := stream.NewChunk(&stream.Header{Rate: 100, Channels: h.Channels, MaxLen: 10})
	var sent [][]float64
	for k := range 10 {
		c.Clear()
		c.Resize(10)
		for i := range 10 {
			for ch := range 6 {
				c.Set(ch, i, math.Sin(float64(10*k+i))*float64(ch+1))
			}
			sent = append(sent, c.Column(nil, i))
		}
		if k == 4 {
			c.Markers = append(c.Markers, stream.Marker{Column: 2, Label: "Stimulus/S  1"})
		}
		if err := server.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	a := p.answer()
	sameColumns(t, "our buffer to FieldTrip's client", a.Data, sent)
	if a.Rate != 100 || strings.Join(a.Labels, ",") != "E1,E2,E3,E4,E5,E6" || len(a.Events) != 1 || a.Events[0][0] != "Stimulus" || a.Events[0][1] != "S  1" || a.Events[0][2] != 42.0 {
		t.Errorf("rate %v labels %v events %v", a.Rate, a.Labels, a.Events)
	}
}

func TestInteropZeroMQPublisher(t *testing.T) {
	p := startUDPPeer(t, "zmq_publish")
	h := hear(t, "tcp://127.0.0.1:"+strconv.Itoa(p.answer().Port)+"?format=openephys&unit=uV&stale=never")
	a, got := p.answer(), <-h
	if got.err != nil {
		t.Fatal(got.err)
	}
	if len(got.columns) != len(a.Sent) {
		t.Log(got.events)
	}
	sameColumns(t, "ZeroMQ's publisher to our source", got.columns, a.Sent)
	// It sends faster than its rate, which the source says.
	lost := slices.ContainsFunc(got.events, func(e stream.Event) bool {
		return e.Kind != stream.EventClockJump && e.Kind != stream.EventRateChange
	})
	if lost || got.header.Rate != 1000 {
		t.Errorf("%g Hz, events %v", got.header.Rate, got.events)
	}
}

func TestInteropZeroMQSubscriber(t *testing.T) {
	ft, _ := FormatNamed("openephys")
	pkts, sent, _ := simulated(t, ft, "", nil, 3, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := startUDPPeer(t, "zmq_subscribe", l.Addr().(*net.TCPAddr).Port, len(pkts)-2)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Greeting and READY of both sides, their subscription, then the messages.
	for _, pkt := range pkts[:2] {
		if _, err := c.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(c, make([]byte, len(zmtpHello(nil, "SUB"))+3)); err != nil {
		t.Fatal(err)
	}
	for _, pkt := range pkts[2:] {
		if _, err := c.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
	sameColumns(t, "our simulator to ZeroMQ's subscriber", p.answer().Got, sent)
}
