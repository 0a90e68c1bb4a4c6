package udp

import (
	"strings"
	"testing"

	"neurostream/stream"
)

// One datagram: heart beat, spike of channel 7 unit 2, two columns of group 5 with
// three channels (and padding), digital input 151.
var blackrockGolden = map[string]string{
	"3.11": `
e8030000 0080 00 01 00000000
e9030000 0700 02 01 aabbccdd
ffffffff 0000 05 02 0100 ffff 0080 0000
97000000 9700 01 01 2a000000
00000000 0000 05 02 0200 fdff ff7f 0000
`,
	"4.0": `
e803000000000000 0080 00 0100 00 0000 00000000
e903000000000000 0700 02 0100 00 0000 aabbccdd
ffffffff00000000 0000 05 0200 00 0000 0100 ffff 0080 0000
9700000000000000 9700 01 0100 00 0000 2a000000
0000000001000000 0000 05 0200 00 0000 0200 fdff ff7f 0000
`,
	"4.1": `
e803000000000000 0080 0000 0100 00 00 00000000
e903000000000000 0700 0200 0100 00 00 aabbccdd
ffffffff00000000 0000 0500 0200 00 00 0100 ffff 0080 0000
9700000000000000 9700 0100 0100 00 00 2a000000
0000000001000000 0000 0500 0200 00 00 0200 fdff ff7f 0000
`,
}

func TestBlackrockGolden(t *testing.T) {
	for version, text := range blackrockGolden {
		p := unhex(t, text)
		d := read(t, "blackrock", "group=5&channels=a,b,c&spikes=true&digital=151", p)
		same(t, version, d.columns, []float64{0.25, -0.25, -8192}, []float64{0.5, -0.75, 8191.75})
		want := []uint64{1<<32 - 1, 1 << 32}
		if version == "3.11" {
			want[1] = 0
		}
		for i, w := range want {
			r := d.records[i]
			if r.Column != i || r.Columns != 1 || r.Has != EvidenceCounter|EvidenceStamp || r.Counter != w || r.Stamp != int64(w/30000)*1e9+int64(w%30000*1e9/30000) || int64(d.stamps[i]) != r.Stamp {
				t.Errorf("%s: record %+v", version, r)
			}
		}
		if len(d.markers) != 2 || d.markers[0] != (stream.Marker{Column: 0, Label: "spike 7/2"}) || d.markers[1] != (stream.Marker{Column: 1, Label: "digital 151 42"}) {
			t.Errorf("%s: markers %+v", version, d.markers)
		}
		l := d.layout
		if l.Header.Rate != 30000 || l.Header.Channels[2] != (stream.Channel{Label: "c", Unit: "uV", Type: "LFP"}) || l.Counter.Step != 1 || l.Counter.Modulus != map[bool]uint64{true: 1 << 32}[version == "3.11"] || l.Scales[0] != (Scale{Bit: 0.25, Low: -8192, High: 8191.75}) {
			t.Errorf("%s: layout %+v", version, l)
		}
		if !strings.Contains(l.Notes[0], version) {
			t.Errorf("%s: notes %v", version, l.Notes)
		}
		url := "group=5&count=3&clock=ticks&version=" + version
		refuse(t, "blackrock", url, [][]byte{p}, p[:len(p)-1], "longer than its datagram")
		refuse(t, "blackrock", url, [][]byte{p}, nil, "empty")
		refuse(t, "blackrock", url, [][]byte{p}, []byte{1}, "longer than its datagram")
		refuse(t, "blackrock", "group=5&count=4&clock=ticks&version="+version, [][]byte{fourChannels(t, version)}, cutGroup(t, version), "numbers in a packet of the group; channels (got 2, want 4)")
		if d := read(t, "blackrock", "group=5&count=3", p, p[:len(unhex(t, firstLines(text, 2)))]); d.other != 1 {
			t.Errorf("%s: a datagram without the group: %d others", version, d.other)
		}
	}
	// Gemini: nanoseconds, 33 333 apart.
	p := unhex(t, `
00e40b5402000000 0000 0500 0100 00 00 0100 0200
35660c5402000000 0000 0500 0100 00 00 0300 0400
`)
	d := read(t, "blackrock", "", p)
	if d.layout.Evidence != EvidenceStamp || d.records[0].Stamp != 1e10 || d.records[1].Stamp != 1e10+33333 || len(d.columns) != 2 || d.layout.Header.Rate != 30000 {
		t.Errorf("ns: %+v %+v", d.layout, d.records)
	}
	d = read(t, "blackrock", "instrument=1&clock=ns", append(p, unhex(t, "00e40b5402000000 0000 0500 0100 01 00 0500 0600")...))
	same(t, "instrument", d.columns, []float64{1.25, 1.5})
	f, _ := NewFormat("blackrock", nil)
	if _, err := f.Learn([]byte("hello, world")); err == nil || !strings.Contains(err.Error(), "no known version") {
		t.Errorf("%v", err)
	}
}

func firstLines(text string, n int) string {
	return strings.Join(strings.SplitN(strings.TrimSpace(text), "\n", n+1)[:n], "\n")
}

func fourChannels(t *testing.T, version string) []byte {
	return unhex(t, map[string]string{
		"3.11": "01000000 0000 05 02 0100 ffff 0080 0000",
		"4.0":  "0100000000000000 0000 05 0200 00 0000 0100 ffff 0080 0000",
		"4.1":  "0100000000000000 0000 0500 0200 00 00 0100 ffff 0080 0000",
	}[version])
}

func cutGroup(t *testing.T, version string) []byte {
	return unhex(t, map[string]string{
		"3.11": "01000000 0000 05 01 0100 ffff",
		"4.0":  "0100000000000000 0000 05 0100 00 0000 0100 ffff",
		"4.1":  "0100000000000000 0000 0500 0100 00 00 0100 ffff",
	}[version])
}

func TestBlackrockVersions(t *testing.T) {
	ft, _ := FormatNamed("blackrock")
	h := device("Blackrock", 30000, 33, "ch", "uV", "LFP")
	for _, c := range []struct{ sim, url string }{
		{"version=3.11&group=5", "count=33"}, {"version=4.0&group=5", "count=33"}, {"version=4.1&group=6&clock=ns&datagram=1400", "count=33"},
	} {
		pkts, sent, _ := simulated(t, ft, c.sim, &h, 0.05, nil)
		d := read(t, "blackrock", c.url, pkts...)
		if len(d.columns) != len(sent) || len(d.faults) != 0 {
			t.Errorf("%s: %d of %d columns, faults %v", c.sim, len(d.columns), len(sent), d.faults)
		}
	}
}

func FuzzBlackrock(f *testing.F) { fuzzFormat(f, "blackrock") }

// 58 080-byte datagrams of 256 channels at 30 kHz: the time per datagram, and what
// part of a core real time takes.
func BenchmarkBlackrock256(b *testing.B) {
	h := device("Blackrock", 30000, 256, "ch", "uV", "LFP")
	h.MaxLen = 110
	s, err := NewSimulator("blackrock", query(b, "group=5"), &h, 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	p, _, err := s.Packet(nil)
	if err != nil {
		b.Fatal(err)
	}
	f, _ := NewFormat("blackrock", query(b, "clock=ticks"))
	if _, err := f.Learn(p); err != nil {
		b.Fatal(err)
	}
	c := stream.NewChunk(&f.Layout().Header)
	c.Stamps = make([]stream.Time, 0, c.Cap())
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		c.Clear()
		if err := f.Decode(c, p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/(float64(c.Len)/30000), "%core")
}
