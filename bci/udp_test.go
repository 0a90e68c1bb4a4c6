package bci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/udp"
)

const udpPipeline = `
stages:
  - car
  - bandpass: {low: 60, high: 120}
  - window: {length: 0.1, hop: 0.05, features: [covariance]}
`

// freePort returns a UDP port of the loopback that nobody has.
func freePort(t testing.TB) int {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// runSource runs the pipeline over an address and returns the engine after its end.
func runSource(t testing.TB, pipeline, from string, listening func(), outs ...Output) *Engine {
	t.Helper()
	in, err := OpenSource(from)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := in.Source.(*udp.Source); ok {
		s.OnListening = listening
	}
	return runPipeline(t, pipeline, in.Source, in.Live, outs...)
}

func runPipeline(t testing.TB, pipeline string, in stream.Source, live bool, outs ...Output) *Engine {
	t.Helper()
	p, err := ParsePipeline("udp.yaml", []byte(pipeline))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEngine(p, nil, in, outs, Options{Live: live})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if err := e.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return e
}

// counts returns the source's counts of an address that is replayed to its end.
func udpCounts(t testing.TB, from string) udp.Counts {
	t.Helper()
	in, err := OpenSource(from)
	if err != nil {
		t.Fatal(err)
	}
	h, err := in.Source.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Source.Close()
	c := stream.NewChunk(&h)
	for {
		if err := in.Source.Read(c); errors.Is(err, io.EOF) {
			return in.Source.(*udp.Source).Counts()
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A live run over a damaged network, its capture replayed at two speeds, and its XDF
// recording give the same decisions; and what was done to the datagrams is what is
// reported.
func TestLiveCaptureAndRecordingDecideAlike(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of a live stream")
	}
	// Seeds that hit neither descriptions, which carry no column, nor the last datagram,
	// whose loss nobody can see.
	t.Run("ten columns a datagram", func(t *testing.T) { liveCaptureAndRecording(t, 10, 3, udpPipeline) })
	// One lost column is bridged, two in a row are not.
	t.Run("one column a datagram", func(t *testing.T) {
		liveCaptureAndRecording(t, 1, 13, strings.Replace(udpPipeline, "stages:", "stages:\n  - gap-repair: {max: 0.002}", 1))
	})
}

func liveCaptureAndRecording(t *testing.T, each int, seed uint64, pipeline string) {
	t.Helper()
	port := freePort(t)
	dir := t.TempDir()
	capture := udp.Capture{Path: filepath.Join(dir, "live.pcapng"), Ports: []uint16{uint16(port)}, Interface: "127.0.0.1", Comment: "test"}
	ready := make(chan struct{})
	capture.OnReady = func() { close(ready) }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	captured := make(chan error, 1)
	go func() { captured <- capture.Run(ctx) }()
	select {
	case <-ready:
	case err := <-captured:
		if errors.Is(err, udp.ErrNoRights) || errors.Is(err, udp.ErrNoCapture) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	h := stream.Header{Name: "test", Rate: 500, MaxLen: each}
	for i := range 8 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	sim, err := udp.NewSimulator("native", url.Values{"payload": {fmt.Sprint(64 * each)}, "sample": {"f64"}}, &h, 5, udp.SimulatorStart())
	if err != nil {
		t.Fatal(err)
	}
	columns, limit := int64(0), int64(1500)
	sim.Fill = func(c *stream.Chunk) error { // three seconds, then the end of the stream
		if columns >= limit {
			return io.EOF
		}
		columns += int64(c.Len)
		for ch := range c.Rows() {
			for i := range c.Len {
				c.Set(ch, i, float64((int(c.Seq)+i)*(ch+3)%97)-float64(ch*i%13))
			}
		}
		return nil
	}
	player := &udp.Player{Simulator: sim, Speed: 1, Impair: udp.Impairments{Drop: 0.02, Double: 0.03, Reorder: 0.03, Seed: seed}}
	conn, err := udp.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make(chan error, 1)
	in := fmt.Sprintf("udp://127.0.0.1:%d?format=native", port)
	recording, err := OpenSink("xdf:" + filepath.Join(dir, "live.xdf") + "?tap=source")
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go func() { <-listening; sent <- player.Play(ctx, conn) }()
	live := runSource(t, pipeline, in, func() { close(listening) }, recording)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-captured; err != nil {
		t.Fatal(err)
	}
	if n := capture.Counts(); n.Dropped > 0 {
		t.Skipf("the kernel dropped %d frames of the capture: this machine is too busy", n.Dropped)
	}
	status := live.Status()
	if status.Rings[0].Dropped > 0 || status.Decisions < 10 {
		t.Fatalf("%d columns dropped, %d decisions of %d columns, events %v, sent %+v", status.Rings[0].Dropped, status.Decisions, status.Columns, status.Events, player.Sent())
	}
	for _, from := range []string{
		"pcap:" + filepath.Join(dir, "live.pcapng") + "?format=native",
		"pcap:" + filepath.Join(dir, "live.pcapng") + "?format=native&speed=20",
		"file:" + filepath.Join(dir, "live.xdf"),
	} {
		s := runSource(t, pipeline, from, nil).Status()
		if s.Digest != status.Digest || s.Decisions != status.Decisions {
			t.Errorf("%s: digest %s, %d decisions, %d columns; live %s, %d, %d", from[:5], s.Digest, s.Decisions, s.Columns, status.Digest, status.Decisions, status.Columns)
		}
	}
	n, was := udpCounts(t, "pcap:"+filepath.Join(dir, "live.pcapng")+"?format=native"), player.Sent()
	if was.Dropped == 0 || was.Doubled == 0 || was.Reordered == 0 {
		t.Fatalf("nothing was damaged: %+v", was)
	}
	if each == 1 && n.Gaps == n.Missing {
		t.Errorf("no two columns in a row were lost: %+v", n)
	}
	if n.Missing != int64(each)*was.Dropped || n.Doubles != was.Doubled || n.Reordered != was.Reordered || n.Late != 0 || n.Malformed != 0 {
		t.Errorf("reported %+v\nbut done was %+v", n, was)
	}
}

// Mistakes in addresses are said in one line, before anything is opened.
func TestUDPAddressesExplainThemselves(t *testing.T) {
	for _, c := range []struct{ from, want string }{
		{"udp://?format=native", "is no address"},
		{"udp://:0?format=native", "which port"},
		{"udp://:99999?format=native", "is no port"},
		{"udp://lab-pc:12345?format=native", "no numerical address"},
		{"udp://:12345?format=unikorn", "there is no format \"unikorn\""},
		{"udp://:12345?format=native&interface=eth0", "interface= is for multicast groups"},
		{"udp://:12345?format=native&reorder=-1", "not a whole number from 0 to 64"},
		{"udp://:12345?format=native&from=lab", "is no address"},
		{"udp://:12345?format=native&stale=soon", "neither never nor a time"},
		{"udp://:12345?fromat=native", "format"},
		{"pcap:?format=native", "which file"},
	} {
		in, err := OpenSource(c.from)
		if err == nil {
			_, err = in.Source.Open(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.from, err)
		}
	}
	for _, c := range []struct{ to, want string }{
		{"udp://127.0.0.1:9?format=unicorn", "cannot carry any stream"},
		{"udp://lab:9", "no numerical address"},
		{"udp://127.0.0.1:9?limit=-1", "limit"},
	} {
		if _, err := OpenSink(c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}
