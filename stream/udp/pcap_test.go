package udp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"neurostream/stream"
)

// wire builds frames with gopacket's layers, which share no code with the dissector.
type wire struct {
	six   bool
	vlans int
	src   int // port
	dst   int
}

func (w *wire) frame(t testing.TB, payload []byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	udp := &layers.UDP{SrcPort: layers.UDPPort(w.src), DstPort: layers.UDPPort(w.dst)}
	var list []gopacket.SerializableLayer
	var network gopacket.SerializableLayer
	ether := layers.EthernetTypeIPv4
	if w.six {
		ip := &layers.IPv6{Version: 6, HopLimit: 9, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("fe80::1"), DstIP: net.ParseIP("fe80::2")}
		_ = udp.SetNetworkLayerForChecksum(ip)
		network, ether = ip, layers.EthernetTypeIPv6
	} else {
		ip := &layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}, Options: []layers.IPv4Option{{OptionType: 1}}}
		_ = udp.SetNetworkLayerForChecksum(ip)
		network = ip
	}
	eth.EthernetType = ether
	list = append(list, eth)
	for i := range w.vlans {
		tag := &layers.Dot1Q{VLANIdentifier: uint16(i + 1), Type: ether}
		if i < w.vlans-1 {
			tag.Type = layers.EthernetTypeDot1Q
		}
		eth.EthernetType = layers.EthernetTypeDot1Q
		list = append(list, tag)
	}
	list = append(list, network, udp, gopacket.Payload(payload))
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// fragmented cuts an Ethernet frame of IPv4 or IPv6 into pieces of at most mtu bytes.
func fragmented(frame []byte, mtu int, id uint32) [][]byte {
	var out [][]byte
	eth, ip := frame[:14], frame[14:]
	if ip[0]>>4 == 4 {
		head := int(ip[0]&15) * 4
		body := ip[head:]
		step := (mtu - head) &^ 7
		for at := 0; at < len(body); at += step {
			piece := body[at:min(at+step, len(body))]
			h := bytes.Clone(ip[:head])
			binary.BigEndian.PutUint16(h[2:], uint16(head+len(piece)))
			binary.BigEndian.PutUint16(h[4:], uint16(id))
			flags := uint16(at / 8)
			if at+step < len(body) {
				flags |= 0x2000
			}
			binary.BigEndian.PutUint16(h[6:], flags)
			out = append(out, bytes.Join([][]byte{eth, h, piece}, nil))
		}
		return out
	}
	body := ip[40:]
	step := (mtu - 48) &^ 7
	for at := 0; at < len(body); at += step {
		piece := body[at:min(at+step, len(body))]
		h := bytes.Clone(ip[:40])
		binary.BigEndian.PutUint16(h[4:], uint16(8+len(piece)))
		h[6] = 44
		ext := make([]byte, 8)
		ext[0] = protoUDP
		flags := uint16(at)
		if at+step < len(body) {
			flags |= 1
		}
		binary.BigEndian.PutUint16(ext[2:], flags)
		binary.BigEndian.PutUint32(ext[4:], id)
		out = append(out, bytes.Join([][]byte{eth, h, ext, piece}, nil))
	}
	return out
}

func TestFramesAreFound(t *testing.T) {
	payload := bytes.Repeat([]byte("brain waves "), 3000)[:30011]
	for _, c := range []struct {
		name string
		w    wire
		link int
		cut  int // bytes of Ethernet header to replace
		head []byte
	}{
		{"ethernet", wire{src: 5, dst: 7}, linkEthernet, 0, nil},
		{"vlan", wire{src: 5, dst: 7, vlans: 1}, linkEthernet, 0, nil},
		{"vlan in vlan", wire{src: 5, dst: 7, vlans: 2}, linkEthernet, 0, nil},
		{"ipv6", wire{src: 5, dst: 7, six: true}, linkEthernet, 0, nil},
		{"raw", wire{src: 5, dst: 7}, linkRaw, 14, nil},
		{"raw ipv6", wire{src: 5, dst: 7, six: true}, linkRaw, 14, nil},
		{"null", wire{src: 5, dst: 7}, linkNull, 14, []byte{2, 0, 0, 0}},
		{"cooked", wire{src: 5, dst: 7}, linkCooked, 14, append(make([]byte, 14), 8, 0)},
		{"cooked 2", wire{src: 5, dst: 7}, linkCooked2, 14, append([]byte{8, 0}, make([]byte, 18)...)},
	} {
		frame := c.w.frame(t, payload)
		frame = append(bytes.Clone(c.head), frame[c.cut:]...)
		var d dissector
		var p packet
		if f := d.find(c.link, frame, 0, &p); f != foundUDP || !bytes.Equal(p.data, payload) || p.src.Port() != 5 || p.dst.Port() != 7 {
			t.Errorf("%s: found %d, %d bytes, %v to %v", c.name, f, len(p.data), p.src, p.dst)
		}
		for n := range len(frame) { // any cut is noticed
			if f := d.find(c.link, frame[:n:n], 0, &p); f == foundUDP {
				t.Fatalf("%s: cut to %d of %d bytes it is still a datagram", c.name, n, len(frame))
			}
		}
		if n := testing.AllocsPerRun(100, func() { d.find(c.link, frame, 0, &p) }); n != 0 {
			t.Errorf("%s: %v allocations per frame", c.name, n)
		}
	}
}

func TestFragmentsArePutTogether(t *testing.T) {
	for _, six := range []bool{false, true} {
		w := wire{src: 1, dst: 2, six: six}
		payload := make([]byte, 58080)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		pieces := fragmented(w.frame(t, payload), 1500, 77)
		if len(pieces) < 40 || len(pieces) > 41 {
			t.Fatalf("%d pieces", len(pieces))
		}
		other := fragmented(w.frame(t, payload[:9000]), 1500, 78)
		var d dissector
		var p packet
		orders := map[string]func(i int) int{
			"in order":  func(i int) int { return i },
			"backwards": func(i int) int { return len(pieces) - 1 - i },
			"mixed":     func(i int) int { return i * 7 % len(pieces) },
		}
		for name, order := range orders {
			whole := 0
			for i := range pieces {
				if i < len(other)-1 { // another datagram in between, never whole
					d.find(linkEthernet, other[i], 0, &p)
				}
				for range 1 + i%2 { // some come twice
					if d.find(linkEthernet, pieces[order(i)], 0, &p) == foundUDP {
						whole++
						if !bytes.Equal(p.data, payload) {
							t.Errorf("six %v, %s: %d bytes differ", six, name, len(p.data))
						}
					}
				}
			}
			if whole != 1 {
				t.Errorf("six %v, %s: found %d times", six, name, whole)
			}
		}
		if n := testing.AllocsPerRun(20, func() {
			for _, f := range pieces {
				d.find(linkEthernet, f, 0, &p)
			}
		}); n != 0 {
			t.Errorf("%v allocations per datagram of fragments", n)
		}
		lost := d.fragments.lost
		for id := range uint32(40) { // more than there is room for
			d.find(linkEthernet, fragmented(w.frame(t, payload), 1500, 100+id)[0], 0, &p)
		}
		if d.fragments.lost-lost < 40-16 {
			t.Errorf("%d given up", d.fragments.lost-lost)
		}
	}
}

// captureOf writes datagrams into a file, as pcapng or as pcap.
func captureOf(t testing.TB, list []kept, port int, ng bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.pcapng")
	w := wire{src: int(deviceAt.Port()), dst: port}
	frames := make([][]byte, len(list))
	for i, k := range list {
		frames[i] = w.frame(t, k.data)
	}
	if ng {
		c, err := createCapture(path, "a comment", &captureInterface{name: "lab", comment: "eth", link: linkEthernet})
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range list {
			if err := c.write(0, time.Unix(0, int64(k.stamp)), frames[i], 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.stats(0, time.Unix(1, 0), time.Unix(2, 0), 5, 1); err != nil {
			t.Fatal(err)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := pcapgo.NewWriterNanos(f)
	if err := c.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, k := range list {
		if err := c.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(0, int64(k.stamp)), CaptureLength: len(frames[i]), Length: len(frames[i])}, frames[i]); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// A capture gives what its datagrams give, to the nanosecond.
func TestCaptureIsReplayedExactly(t *testing.T) {
	list, d := impair(deviceSends(t, "unicorn", 20), 3, 0.05, 0.03, 0.03, 0, nil)
	for i := range list { // the address that frames of wire come from
		list[i].from = netip.MustParseAddrPort("10.0.0.1:40000")
	}
	want := readAll(t, scriptedSource(t, "format=unicorn", list))
	for _, ng := range []bool{true, false} {
		path := captureOf(t, list, 9000, ng)
		s, err := OpenCapture(path, values(t, "format=unicorn"))
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s)
		if fmt.Sprint(got.order, got.times, got.counts) != fmt.Sprint(want.order, want.times, want.counts) {
			t.Errorf("ng %v: %+v\nnot %+v", ng, got.counts, want.counts)
		}
		if got.counts.Missing != d.dropped {
			t.Errorf("%d missing, not %d", got.counts.Missing, d.dropped)
		}
		for seq, col := range want.columns {
			if fmt.Sprint(col) != fmt.Sprint(got.columns[seq]) {
				t.Fatalf("column %d differs", seq)
			}
		}
	}
}

// Pacing uses absolute deadlines: with a clock that a test moves, nothing is early.
func TestCapturePaces(t *testing.T) {
	list := deviceSends(t, "unicorn", 1)
	path := captureOf(t, list, 9000, true)
	s, err := OpenCapture(path, values(t, "format=unicorn&speed=2"))
	if err != nil {
		t.Fatal(err)
	}
	clock := new(stepping)
	s.Clock = clock
	r := readAll(t, s)
	if len(r.columns) != 250 {
		t.Fatalf("%d columns", len(r.columns))
	}
	want := (list[len(list)-1].stamp - list[0].stamp) / 2
	if got := clock.Now(); got < want || got > want+2 {
		t.Errorf("replayed in %v, not %v", time.Duration(got), time.Duration(want))
	}
}

// stepping is a clock that jumps to whatever is waited for.
type stepping struct{ stream.Manual }

func (s *stepping) Timer(context.Context) stream.Timer { return steppingTimer{s} }

type steppingTimer struct{ s *stepping }

func (t steppingTimer) Wait(until stream.Time) error { t.s.Set(until); return nil }
func (steppingTimer) Stop()                          {}

func TestCaptureProblems(t *testing.T) {
	good, err := os.ReadFile(captureOf(t, deviceSends(t, "unicorn", 1), 9000, true))
	if err != nil {
		t.Fatal(err)
	}
	open := func(data []byte, query string) error {
		path := filepath.Join(t.TempDir(), "x.pcapng")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenCapture(path, values(t, query))
		if err != nil {
			return err
		}
		h, err := s.Open(context.Background())
		if err != nil {
			return err
		}
		defer s.Close()
		c := stream.NewChunk(&h)
		for err == nil {
			err = s.Read(c)
		}
		return err
	}
	patch := func(at int, b ...byte) []byte {
		d := bytes.Clone(good)
		copy(d[at:], b)
		return d
	}
	for _, c := range []struct {
		name  string
		data  []byte
		query string
		want  string
	}{
		{"empty", nil, "format=unicorn", "byte 0: the file is empty"},
		{"text", []byte("this is no capture"), "format=unicorn", "this is no capture file"},
		{"block length", patch(4, 0xff, 0xff, 0xff, 0x7f), "format=unicorn", "a block of"},
		{"wrong port", good, "format=unicorn&port=9001", "nothing was sent to UDP port 9001; it holds 250 on port 9000 (unicorn?)"},
		{"wrong format", good, "format=openbci-json&rate=250", "write format=unicorn"},
		{"unknown format", good, "format=unikorn", "there is no format"},
	} {
		if err := open(c.data, c.query); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := open(good[:len(good)-70], "format=unicorn"); err != io.EOF {
		t.Errorf("cut off: %v", err)
	}
	s, err := OpenCapture("no-such-file.pcapng", values(t, "format=unicorn"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Open(context.Background()); err == nil || err.Error() != "no-such-file.pcapng: there is no such file" {
		t.Errorf("%v", err)
	}
}

// Any bytes: an error or an end, bounded memory, no panic.
func FuzzCapture(f *testing.F) {
	for _, ng := range []bool{true, false} {
		b, err := os.ReadFile(captureOf(f, deviceSends(f, "unicorn", 0.05), 9000, ng))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := newCaptureReader("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		var d dissector
		var p packet
		for range 10_000 {
			link, frame, at, err := r.next()
			if err != nil {
				var c *CaptureError
				if err != io.EOF && !errors.As(err, &c) {
					t.Fatalf("%T %v", err, err)
				}
				return
			}
			d.find(link, frame, at, &p)
		}
	})
}

// FuzzFrame: any frame of any link type; lengths stay inside it.
func FuzzFrame(f *testing.F) {
	for _, six := range []bool{false, true} {
		w := wire{src: 1, dst: 2, six: six, vlans: 1}
		f.Add(1, w.frame(f, []byte("abc")))
		w.vlans = 0
		for _, piece := range fragmented(w.frame(f, make([]byte, 3000)), 1500, 3) {
			f.Add(1, piece)
		}
	}
	f.Fuzz(func(t *testing.T, link int, data []byte) {
		var d dissector
		var p packet
		for i := range 3 {
			if d.find(link, data, stream.Time(i), &p) == foundUDP && len(p.data) > len(data) {
				t.Fatalf("%d bytes out of %d", len(p.data), len(data))
			}
		}
	})
}

// The dissector finds what gopacket finds.
func TestDissectorAgreesWithGopacket(t *testing.T) {
	for _, w := range []wire{{src: 1, dst: 2}, {src: 3, dst: 4, six: true}, {src: 5, dst: 6, vlans: 2}} {
		frame := w.frame(t, []byte("0123456789"))
		pkt := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		u := pkt.Layer(layers.LayerTypeUDP).(*layers.UDP)
		var d dissector
		var p packet
		if d.find(linkEthernet, frame, 0, &p) != foundUDP || !bytes.Equal(u.Payload, p.data) || uint16(u.SrcPort) != p.src.Port() || uint16(u.DstPort) != p.dst.Port() {
			t.Errorf("%+v: %v", w, p)
		}
	}
}
