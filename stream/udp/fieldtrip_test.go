package udp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"neurostream/stream"
)

// buffer is a server that some programs put into.
func ftBuffer(t testing.TB, h stream.Header) *FieldTripServer {
	t.Helper()
	s := &FieldTripServer{Address: "127.0.0.1:0"}
	if err := s.Open(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// ask sends a request written by hand and returns the whole answer.
func ask(t testing.TB, s *FieldTripServer, request []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	n := int(le.Uint32(head[4:]))
	if head[0] == 0 {
		n = int(be.Uint32(head[4:]))
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

func TestFieldTripGolden(t *testing.T) {
	s := ftBuffer(t, stream.Header{})
	for _, c := range []struct{ name, request, want string }{
		{"no header yet", "0100 0102 00000000", "0100 0502 00000000"},
		{"put header: 2 channels, 250 Hz, i16, labels, resolutions", `0100 0101 3e000000
			02000000 00000000 00000000 00007a43 06000000 26000000
			01000000 06000000 433300 433400
			03000000 10000000 000000000000e03f 000000000000d03f`, "0100 0401 00000000"},
		{"put data", "0100 0201 18000000  02000000 02000000 06000000 08000000  0100 0200 fdff 0400", "0100 0401 00000000"},
		{"put data of another type", "0100 0201 14000000  02000000 02000000 01000000 04000000  01020304", "0100 0501 00000000"},
		{"put an event", "0100 0301 27000000  00000000 03000000 06000000 02000000 01000000 00000000 00000000 07000000  637565 0700 0000", "0100 0401 00000000"},
		{"get header", "0100 0102 00000000", `0100 0402 3e000000
			02000000 02000000 01000000 00007a43 06000000 26000000
			01000000 06000000 433300 433400
			03000000 10000000 000000000000e03f 000000000000d03f`},
		{"get all data", "0100 0202 00000000", "0100 0402 18000000  02000000 02000000 06000000 08000000  0100 0200 fdff 0400"},
		{"get one sample", "0100 0202 08000000 01000000 01000000", "0100 0402 14000000  02000000 01000000 06000000 04000000  fdff 0400"},
		{"get what is not there", "0100 0202 08000000 01000000 02000000", "0100 0502 00000000"},
		{"big endian", "0001 0202 00000008 00000001 00000001", "0001 0204 00000014  00000002 00000001 00000006 00000004  fffd 0004"},
		{"get events: the number has become text", "0100 0302 00000000", "0100 0402 26000000  00000000 03000000 00000000 03000000 01000000 00000000 00000000 06000000  637565 372030"},
		{"wait, at once", "0100 0204 0c000000 01000000 00000000 00000000", "0100 0404 08000000 02000000 01000000"},
		{"wait, time over", "0100 0204 0c000000 02000000 01000000 01000000", "0100 0404 08000000 02000000 01000000"},
		{"unknown", "0100 9999 00000000", "0100 0502 00000000"},
		{"flush data", "0100 0203 00000000", "0100 0403 00000000"},
		{"flush header", "0100 0103 00000000", "0100 0403 00000000"},
		{"no header again", "0100 0202 00000000", "0100 0502 00000000"},
	} {
		if got, want := ask(t, s, unhex(t, c.request)), unhex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got, want)
		}
	}
}

func TestFieldTripRoundTrip(t *testing.T) {
	h := device("pipeline", 100, 9, "E", "uV", "EEG")
	server := ftBuffer(t, h)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	src, err := NewFieldTripSource(server.Addr().String(), query(t, "unit=uV&chunk=7"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := src.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if got.Rate != 100 || got.MaxLen != 7 || got.Channels[8] != (stream.Channel{Label: "E9", Unit: "uV", Type: "EEG"}) {
		t.Fatalf("header %+v", got)
	}
	c := stream.NewChunk(&stream.Header{Rate: 100, Channels: h.Channels, MaxLen: 50})
	value := func(i int64, ch int) float64 { return float64(i)*16 + float64(ch)/2 }
	for seq := int64(0); seq < 500; seq += 50 {
		c.Clear()
		c.Seq = seq
		c.Resize(50)
		for ch := range 9 {
			for i := range 50 {
				c.Set(ch, i, value(seq+int64(i), ch))
			}
		}
		c.Markers = append(c.Markers, stream.Marker{Column: 3, Label: "T1"}, stream.Marker{Column: 4, Label: "Stimulus/S  1", Duration: 0.5})
		if err := server.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	dst := stream.NewChunk(&got)
	markers, next := 0, int64(0)
	for next < 500 {
		if err := src.Read(dst); err != nil {
			t.Fatal(err)
		}
		if dst.Seq != next || dst.Flags != 0 {
			t.Fatalf("chunk at %d flags %v, expected %d", dst.Seq, dst.Flags, next)
		}
		for i := range dst.Len {
			for ch := range 9 {
				if v := dst.At(ch, i); v != value(next+int64(i), ch) {
					t.Fatalf("sample %d channel %d: %v", next+int64(i), ch, v)
				}
			}
		}
		for _, m := range dst.Markers {
			at := (dst.Seq + int64(m.Column)) % 50
			if !(at == 3 && m.Label == "T1") && !(at == 4 && m.Label == "Stimulus/S  1" && m.Duration == 0.5) {
				t.Errorf("marker %+v at %d", m, at)
			}
			markers++
		}
		next += int64(dst.Len)
	}
	if markers != 20 {
		t.Errorf("%d markers, 20 were sent", markers)
	}
	if testing.AllocsPerRun(50, func() {
		c.Markers = c.Markers[:0]
		server.Write(c)
		for i := 0; i < 50; {
			if src.Read(dst) != nil {
				t.Error("read")
			}
			i += dst.Len
		}
	}) > 40 { // the server's goroutine is counted too: timers and channels of its waits
		t.Error("reading allocates per sample")
	}
	// What the buffer threw away is a gap of known length.
	server.mu.Lock()
	server.keep = 20
	server.mu.Unlock()
	for range 3 {
		if err := server.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	before, gap := src.seq, int64(0)
	for src.next != src.have || gap == 0 {
		if err := src.Read(dst); err != nil {
			t.Fatal(err)
		}
		for _, e := range dst.Events {
			if e.Kind == stream.EventGap {
				gap += e.Count
			}
		}
		if dst.Len > 0 && gap > 0 {
			if dst.Flags&stream.Gap == 0 || dst.Seq != before+gap {
				t.Errorf("after a gap of %d: flags %v, at %d, not %d", gap, dst.Flags, dst.Seq, before+gap)
			}
			break
		}
	}
	if gap == 0 {
		t.Error("no gap was reported")
	}
	cancel()
	for i := 0; ; i++ {
		if err := src.Read(dst); err != nil {
			break
		} else if i > 100 {
			t.Fatal("reading goes on after the context has ended")
		}
	}
}

func TestFieldTripFaults(t *testing.T) {
	s := ftBuffer(t, stream.Header{})
	src, _ := NewFieldTripSource(s.Addr().String(), nil)
	if _, err := src.Open(context.Background()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("start the acquisition first")) {
		t.Errorf("an empty buffer: %v", err)
	}
	src, _ = NewFieldTripSource("127.0.0.1:1", nil)
	if _, err := src.Open(context.Background()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("no buffer at 127.0.0.1:1")) {
		t.Errorf("nobody there: %v", err)
	}
	// A message that announces 4 GB, another version: disconnected, nothing allocated.
	for _, hex := range []string{"0100 0202 ffffffff", "0200 0202 00000000"} {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(unhex(t, hex))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s was answered", hex)
		}
		c.Close()
	}
	if _, err := NewFieldTripSource("x", query(t, "colour=red")); err == nil {
		t.Error("an unknown parameter")
	}
}

func FuzzFieldTrip(f *testing.F) {
	f.Add(uint16(ftPutHeader), unhex(f, "02000000 00000000 00000000 00007a43 06000000 00000000"), false)
	f.Add(uint16(ftPutData), unhex(f, "02000000 02000000 06000000 08000000  0100 0200 fdff 0400"), false)
	f.Add(uint16(ftPutEvents), unhex(f, "00000000 03000000 06000000 02000000 01000000 00000000 00000000 07000000  637565 0700 0000"), true)
	f.Add(uint16(ftGetData), unhex(f, "00000000 01000000"), true)
	f.Add(uint16(ftWait), unhex(f, "00000000 00000000 00000000"), false)
	f.Fuzz(func(t *testing.T, command uint16, body []byte, big bool) {
		s := &FieldTripServer{changed: make(chan struct{}), conns: map[net.Conn]bool{}}
		s.put(&ftHeader{channels: 2, rate: 250, typ: 6})
		s.add([]byte{1, 0, 2, 0})
		var o order = le
		if big {
			o = be
		}
		if command == ftWait && len(body) == 12 {
			for i := 8; i < 12; i++ {
				body[i] = 0
			}
		}
		for range 2 {
			if _, out := s.answer(nil, nil, command, bytes.Clone(body), o, big); len(out) > ftMost+64 {
				t.Fatalf("an answer of %d bytes", len(out))
			}
		}
		if h, err := parseFTHeader(body, o); err == nil && (len(h.labels) > int(h.channels) || int(h.channels) > stream.MaxChannels) {
			t.Fatalf("header %+v", h)
		}
		_, _ = parseFTEvents(body, o)
		_, _, _, _ = readFT(bytes.NewReader(append([]byte{1, 0, byte(command), byte(command >> 8)}, body...)), nil)
	})
}

// TestFieldTripConnectsAgain kills the buffer and starts another one at its address: the
// loss, the restart and the estimated gap are told, and samples go on; a buffer with other
// channels is refused.
func TestFieldTripConnectsAgain(t *testing.T) {
	h := device("pipeline", 100, 3, "E", "uV", "EEG")
	server := ftBuffer(t, h)
	address := server.Addr().String()
	src, err := NewFieldTripSource(address, query(t, "unit=uV"))
	if err != nil {
		t.Fatal(err)
	}
	clock := new(stream.Manual)
	src.Clock = clock
	got, err := src.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	c := stream.NewChunk(&h)
	write := func(s *FieldTripServer, v float64) {
		c.Clear()
		c.Resize(1)
		c.Set(0, 0, v)
		if err := s.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	dst := stream.NewChunk(&got)
	read := func(event string) *stream.Chunk {
		t.Helper()
		if err := src.Read(dst); err != nil {
			t.Fatal(err)
		}
		for _, e := range dst.Events {
			event = strings.ReplaceAll(event, e.Kind.String(), "")
		}
		if strings.TrimSpace(event) != "" {
			t.Errorf("no event %q among %v", event, dst.Events)
		}
		return dst
	}
	write(server, 1)
	if x := read(""); x.Len != 1 || x.At(0, 0) != 1 {
		t.Fatalf("%d columns, first %g", x.Len, x.At(0, 0))
	}
	server.Close()
	if x := read("note"); x.Len != 0 || !strings.Contains(x.Events[0].Detail, "trying to connect again") {
		t.Errorf("%d columns, %v", x.Len, x.Events)
	}
	clock.Advance(3e9)
	again := &FieldTripServer{Address: address}
	if err := again.Open(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	write(again, 2)
	src.next = 5 // as if more had been read before
	x := read("restart gap")
	if x.Len != 1 || x.At(0, 0) != 2 || x.Flags&(stream.Gap|stream.Restart) != stream.Gap|stream.Restart {
		t.Errorf("%d columns, first %g, flags %v, %v", x.Len, x.At(0, 0), x.Flags, x.Events)
	}
	for _, e := range x.Events {
		if e.Kind == stream.EventGap && (e.Count < 299 || e.Count > 300) {
			t.Errorf("a gap of %d columns for 3 s at 100 Hz", e.Count)
		}
	}
	again.Close()
	read("note")
	other := &FieldTripServer{Address: address}
	if err := other.Open(t.Context(), device("pipeline", 100, 4, "E", "uV", "EEG")); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := src.Read(dst); err == nil || !strings.Contains(err.Error(), "another stream: 4 channels instead of 3") {
		t.Errorf("a buffer of other channels: %v", err)
	}
}

// TestFieldTripLateEventsAreTold: an event about samples that were read before it came
// stands at the next one, and is counted.
func TestFieldTripLateEventsAreTold(t *testing.T) {
	h := device("pipeline", 100, 3, "E", "uV", "EEG")
	server := ftBuffer(t, h)
	src, err := NewFieldTripSource(server.Addr().String(), query(t, "unit=uV"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := src.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	c, dst := stream.NewChunk(&h), stream.NewChunk(&got)
	read := func() {
		t.Helper()
		c.Clear()
		c.Resize(1)
		if err := server.Write(c); err != nil {
			t.Fatal(err)
		}
		if err := src.Read(dst); err != nil || dst.Len != 1 {
			t.Fatalf("%d columns, %v", dst.Len, err)
		}
	}
	read()
	src.pending = append(src.pending, ftEvent{sample: 0})
	read()
	if len(dst.Markers) != 1 || dst.Markers[0].Column != 0 || len(dst.Events) != 1 || dst.Events[0].Kind != stream.EventReorder || dst.Events[0].Count != 1 {
		t.Errorf("markers %v, events %v", dst.Markers, dst.Events)
	}
	read()
	if len(dst.Markers) != 0 || len(dst.Events) != 0 {
		t.Errorf("told again: %v, %v", dst.Markers, dst.Events)
	}
}
