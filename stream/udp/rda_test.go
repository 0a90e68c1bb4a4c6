package udp

import (
	"math"
	"strings"
	"testing"

	"neurostream/stream"
)

func rdaMessage(t testing.TB, typ string, body string) []byte {
	p := unhex(t, "8e455843 96c9864c af4a98bb f6c91450 00000000"+typ+body)
	p[16], p[17] = byte(len(p)), byte(len(p)>>8)
	return p
}

func TestRDAGolden(t *testing.T) {
	start := rdaMessage(t, "01000000", `
02000000            # 2 channels
000000000000a940    # 3200 us
000000000000e03f    # 0.5 uV
000000000000d03f    # 0.25 uV
467000              # "Fp"
4f3200              # "O2"
`)
	ints := rdaMessage(t, "02000000", `
ffffffff 02000000 01000000
0100 ffff 0200 0080
1e000000 01000000 03000000 ffffffff 5374696d756c757300 53202031 00
`)
	stop := rdaMessage(t, "03000000", "")
	other := rdaMessage(t, "10270000", "00")
	d := read(t, "rda", "", start, ints, other, start, stop)
	same(t, "i16", d.columns, []float64{0.5, -0.25}, []float64{1, -8192})
	if r := d.records[0]; r != (Record{Columns: 2, Has: EvidenceCounter, Counter: 1<<32 - 1}) || !d.ended || len(d.faults) != 0 || d.other != 2 {
		t.Errorf("record %+v ended %v faults %v other %d", r, d.ended, d.faults, d.other)
	}
	if len(d.markers) != 1 || d.markers[0].Label != "Stimulus/S  1" || d.markers[0].Column != 1 || math.Abs(d.markers[0].Duration-3*0.0032) > 1e-12 {
		t.Errorf("markers %+v", d.markers)
	}
	if l := d.layout; l.Header.Rate != 312.5 || l.Header.Channels[1] != (stream.Channel{Label: "O2", Unit: "uV", Type: "EEG"}) || l.Scales[0].Bit != 0.5 || l.Counter != (Counter{Modulus: 1 << 32}) || l.Header.MaxLen != 313 {
		t.Errorf("layout %+v", l)
	}
	floats := rdaMessage(t, "04000000", "07000000 01000000 00000000 0000803f 000000c0")
	d = read(t, "rda", "", start, floats)
	same(t, "f32", d.columns, []float64{1, -2})
	d = read(t, "rda", "scaled=false", start, floats)
	same(t, "f32 by resolution", d.columns, []float64{0.5, -0.5})

	good := [][]byte{start, floats}
	changed := append([]byte(nil), start...)
	changed[len(changed)-2] = '3'
	for _, c := range []struct {
		pkt  []byte
		want string
	}{
		{start[:20], "inside its header"},
		{floats[:40], "size of the message (got 44, want 40)"},
		{ints, "sample type has changed (got 2, want 4)"},
		{changed, "begun anew"},
		{rdaMessage(t, "04000000", "07000000 ffffffff 00000000"), "points do not fit"},
		{rdaMessage(t, "04000000", "07000000 02000000 00000000 0000803f 000000c0"), "points do not fit the message (got 2, want 1)"},
		{rdaMessage(t, "04000000", "07000000 01000000 ffffffff 0000803f 000000c0"), "inside a marker"},
		{rdaMessage(t, "04000000", "07000000 01000000 01000000 0000803f 000000c0 ffffffff 00000000 01000000 ffffffff 00 00"), "size of a marker"},
		{rdaMessage(t, "04000000", "07000000 01000000 01000000 0000803f 000000c0 12000000 01000000 01000000 ffffffff 00 00"), "outside its block"},
		{rdaMessage(t, "04000000", "07000000 01000000 00000000 0000803f 000000c0 00"), "behind the last marker"},
	} {
		refuse(t, "rda", "", good, c.pkt, c.want)
	}
	f, _ := NewFormat("rda", nil)
	if _, err := f.Learn(floats); err == nil || !strings.Contains(err.Error(), "before a start message") {
		t.Errorf("%v", err)
	}
	for body, want := range map[string]string{
		"ffffff7f 000000000000a940":                       "channels do not fit",
		"01000000 0000000000000000 000000000000e03f 4100": "interval",
		"01000000 000000000000a940 000000000000f07f 4100": "resolution",
		"01000000 000000000000a940 000000000000e03f 41":   "not ended",
		"00000000 000000000000a940":                       "channels do not fit",
	} {
		f, _ := NewFormat("rda", nil)
		if _, err := f.Learn(rdaMessage(t, "01000000", body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	stream := cat(start, floats)
	f, _ = NewFormat("rda", nil)
	fr := f.(Framer)
	for n := range len(start) {
		if got, err := fr.Frame(stream[:n]); got != 0 || err != nil {
			t.Fatalf("%d bytes: %d %v", n, got, err)
		}
	}
	if got, err := fr.Frame(stream); got != len(start) || err != nil {
		t.Errorf("frame %d %v", got, err)
	}
	if _, err := fr.Frame([]byte("HTTP/1.1")); err == nil {
		t.Error("another protocol is framed")
	}
	stream[19] = 0xff
	if _, err := fr.Frame(stream); err == nil {
		t.Error("a message of 4 GB is awaited")
	}
}

func TestEphysGolden(t *testing.T) {
	p := unhex(t, "00000000 08000000 0300 02000000 02000000 02000000  0100 0200 fdff 0080")
	d := read(t, "ephys-socket", "rate=30000&bit=0.5&offset=1&unit=uV", p)
	same(t, "i16", d.columns, []float64{1.5, -0.5}, []float64{2, -16383})
	if l := d.layout; l.Header.Rate != 30000 || l.Scales[1] != (Scale{Bit: 0.5, Offset: 1}) || l.Header.Channels[0].Unit != "uV" || d.records[0] != (Record{Columns: 2}) {
		t.Errorf("layout %+v", l)
	}
	for hex, want := range map[string]float64{
		"00000000 01000000 0000 01000000 01000000 01000000 ff":               255,
		"00000000 01000000 0100 01000000 01000000 01000000 ff":               -1,
		"00000000 02000000 0200 02000000 01000000 01000000 ffff":             65535,
		"00000000 04000000 0400 04000000 01000000 01000000 feffffff":         -2,
		"00000000 04000000 0500 04000000 01000000 01000000 000000c0":         -2,
		"00000000 08000000 0600 08000000 01000000 01000000 00000000000000c0": -2,
	} {
		d := read(t, "ephys-socket", "rate=1", unhex(t, hex))
		same(t, hex, d.columns, []float64{want})
	}
	change := func(at int, v byte) []byte {
		q := append([]byte(nil), p...)
		q[at] = v
		return q
	}
	for _, c := range []struct {
		pkt  []byte
		want string
	}{
		{p[:21], "inside its header"},
		{p[:29], "length of the message (got 29, want 30)"},
		{change(0, 1), "offset (got 1"},
		{change(8, 7), "depth (got 7"},
		{change(10, 4), "bytes per number (got 4, want 2)"},
		{change(14, 0), "channels × columns"},
		{change(21, 0x80), "channels × columns"},
		{change(7, 0x7f), "bytes of numbers"},
		{unhex(t, "00000000 02000000 0300 02000000 01000000 01000000 0000"), "number of channels has changed"},
		{unhex(t, "00000000 04000000 0200 02000000 02000000 01000000 00000000"), "depth has changed"},
	} {
		refuse(t, "ephys-socket", "rate=30000", [][]byte{p}, c.pkt, c.want)
	}
}

func FuzzRDA(f *testing.F)   { fuzzFormat(f, "rda") }
func FuzzEphys(f *testing.F) { fuzzFormat(f, "ephys-socket") }
