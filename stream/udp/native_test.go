package udp

import (
	"encoding/hex"
	"strings"
	"testing"

	"neurostream/stream"
)

// unhex reads bytes written by hand; spaces, line ends and #-comments are skipped.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		b.WriteString(strings.Join(strings.Fields(line), ""))
	}
	out, err := hex.DecodeString(b.String())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// crc32c is the checksum in its simplest form, bit by bit.
func crc32c(p []byte) uint32 {
	c := ^uint32(0)
	for _, b := range p {
		c ^= uint32(b)
		for range 8 {
			c = c>>1 ^ 0x82f63b78*(c&1)
		}
	}
	return ^c
}

const nativeGolden = `
4e535452            # NSTR
0100 0200           # version 1, markers
07000000            # stream 7
feffffff            # sequence 2^32 - 2
8813000000000000    # index 5000
00e40b5402000000    # 10^10 ns
0300 0200           # 3 channels, 2 columns
07 02 0000          # f32, uV
00000000            # checksum
90d00300            # 250000 mHz
0000803f 00000040   # channel 1: 1 2
000000c0 0000c07f   # channel 2: -2 NaN
0000003f 0000807f   # channel 3: 0.5 Inf
0100                # one marker
0100 0200 0000003f 5431  # column 1, 2 bytes, 0.5 s, "T1"
`

func nativeGoldenPacket(t testing.TB) []byte {
	p := unhex(t, nativeGolden)
	le.PutUint32(p[40:], crc32c(p))
	return p
}

func TestNativeGolden(t *testing.T) {
	p := nativeGoldenPacket(t)
	f, err := NewFormat("native", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := decodeAll(t, f, [][]byte{p, p, p, p, p, p, p, p})
	h := d.layout.Header
	if h.Rate != 250 || len(h.Channels) != 3 || h.Channels[2] != (stream.Channel{Label: "ch3", Unit: "uV", Type: "EEG"}) || h.MaxLen != (maxDatagram-48)/12 {
		t.Errorf("header %+v", h)
	}
	if len(d.columns) != 16 || len(d.faults) != 0 {
		t.Fatalf("%d columns, faults %v", len(d.columns), d.faults)
	}
	if got := d.columns[0]; got[0] != 1 || got[1] != -2 || got[2] != 0.5 {
		t.Errorf("column 0: %v", got)
	}
	if got := d.columns[1]; got[0] != 2 || got[1] != 0 || got[2] != 0 || d.bad[1][0] || !d.bad[1][1] || !d.bad[1][2] {
		t.Errorf("column 1: %v %v", got, d.bad[1])
	}
	if m := d.markers[0]; m != (stream.Marker{Column: 1, Label: "T1", Duration: 0.5}) {
		t.Errorf("marker %+v", m)
	}
	want := Record{Columns: 2, Has: EvidenceCounter | EvidenceIndex | EvidenceStamp | EvidenceChecksum, Counter: 1<<32 - 2, Index: 5000, Stamp: 1e10}
	if r := d.records[0]; r != want {
		t.Errorf("record %+v, want %+v", r, want)
	}
	if l := d.layout; l.Counter != (Counter{Modulus: 1 << 32}) || l.Clock != ClockUnix {
		t.Errorf("layout %+v", l)
	}
}

func TestNativeFaults(t *testing.T) {
	good := nativeGoldenPacket(t)
	for _, c := range []struct {
		name, want string
		change     func(p []byte) []byte
		keepCRC    bool
	}{
		{"one byte", "ends inside the header", func(p []byte) []byte { return p[:1] }, true},
		{"magic", "byte 0: does not begin", func(p []byte) []byte { p[0] = 'X'; return p }, false},
		{"version", "version (got 2, want 1)", func(p []byte) []byte { p[4] = 2; return p }, false},
		{"damage", "checksum", func(p []byte) []byte { p[50] ^= 1; return p }, true},
		{"type", "sample type", func(p []byte) []byte { p[36] = 99; return p }, false},
		{"unit", "unit is not known", func(p []byte) []byte { p[37] = 99; return p }, false},
		{"unit changed", "unit or rate", func(p []byte) []byte { p[37] = 3; return p }, false},
		{"channels", "number of channels", func(p []byte) []byte { p[32] = 2; return p }, false},
		{"none", "no channels", func(p []byte) []byte { p[32] = 0; return p }, false},
		{"many columns", "does not fit", func(p []byte) []byte { p[34], p[35] = 255, 255; return p }, false},
		{"marker length", "longer than the packet", func(p []byte) []byte { p[77] = 255; return p }, false},
		{"marker column", "last column", func(p []byte) []byte { p[74] = 3; return p }, false},
		{"marker count", "inside a marker", func(p []byte) []byte { p[72] = 2; return p }, false},
		{"trailing", "behind the last marker", func(p []byte) []byte { return append(p, 0) }, false},
	} {
		f, _ := NewFormat("native", nil)
		d := decodeAll(t, f, [][]byte{good, good, good, good, good, good, good, good})
		p := c.change(append([]byte(nil), good...))
		if !c.keepCRC {
			le.PutUint32(p[40:], 0)
			le.PutUint32(p[40:], crc32c(p))
		}
		ch := stream.NewChunk(&d.layout.Header)
		d.faults = nil
		d.add(f, ch, p)
		if len(d.faults) != 1 || !strings.Contains(d.faults[0], c.want) {
			t.Errorf("%s: %v, want %q", c.name, d.faults, c.want)
		}
	}
}

func TestNativeDescription(t *testing.T) {
	h := device("scalp", 1000, 2, "E", "uV", "EEG")
	h.Channels[1] = stream.Channel{Label: "Trigger", Unit: "", Type: "STIM"}
	h.MaxLen = 10
	ft, _ := FormatNamed("native")
	pkts, sent, _ := simulated(t, ft, "sample=i32&bit=0.015625", &h, 2.5, nil)
	f, _ := NewFormat("native", nil)
	d := decodeAll(t, f, pkts)
	if got := d.layout.Header; got.Name != "scalp" || got.Channels[0] != h.Channels[0] || got.Channels[1] != h.Channels[1] || got.Rate != 1000 {
		t.Errorf("header %+v", got)
	}
	if len(d.columns) != len(sent) || d.columns[77][1] != sent[77][1] || !d.ended || d.other != 3 || len(d.faults) != 0 {
		t.Errorf("%d of %d columns, %d descriptions, ended %v, faults %v", len(d.columns), len(sent), d.other, d.ended, d.faults)
	}
}

func FuzzNative(f *testing.F) { fuzzFormat(f, "native") }
