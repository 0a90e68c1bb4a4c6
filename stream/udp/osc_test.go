package udp

import (
	"strings"
	"testing"

	"neurostream/stream"
)

// pad writes an OSC text by hand.
func pad(s string) []byte { return append([]byte(s), make([]byte, 4-len(s)%4)...) }

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func bundle(elements ...[]byte) []byte {
	p := cat([]byte("#bundle\x00"), []byte{0, 0, 0, 0, 0, 0, 0, 1})
	for _, e := range elements {
		n := len(e)
		p = append(append(p, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), e...)
	}
	return p
}

func museMessage(t testing.TB) []byte {
	return unhex(t, `
2f6d7573652f656567000000     # "/muse/eeg" padded to 12
2c66666666000000             # ",ffff" padded to 8
444d4000 44480000 7fc00000 c0200000  # 821 800 NaN -2.5
`)
}

func TestMuseGolden(t *testing.T) {
	p := museMessage(t)
	d := read(t, "muse-osc", "", p, bundle(p, bundle(p), nil), cat(pad("/muse/acc"), pad(",fff"), make([]byte, 12)))
	if len(d.columns) != 3 || d.other != 1 {
		t.Fatalf("%d columns, %d others", len(d.columns), d.other)
	}
	for i := range d.columns {
		same(t, "column", d.columns[i:i+1], []float64{821, 800, 0, -2.5})
		if !d.bad[i][2] || d.bad[i][3] {
			t.Errorf("bad %v", d.bad[i])
		}
	}
	h := d.layout.Header
	if h.Rate != 256 || strings.Join(h.Labels(), ",") != "TP9,AF7,AF8,TP10" || h.Channels[0].Unit != "uV" || h.Channels[0].Type != "EEG" || d.layout.Clock != ClockNone {
		t.Errorf("layout %+v", d.layout)
	}
	// Muse Direct: no slash in front.
	direct := cat(pad("Person0/eeg"), pad(",fffff"), unhex(t, "3f800000 40000000 40400000 40800000 40a00000"))
	d = read(t, "muse-osc", "", direct)
	same(t, "Muse Direct", d.columns, []float64{1, 2, 3, 4, 5})
	// MuseIO: seconds and microseconds behind the values, 220 Hz.
	old := cat(pad("/muse/eeg"), pad(",ffffii"), unhex(t, "3f800000 40000000 40400000 40800000 6553f100 0007a120"))
	d = read(t, "muse-osc", "rate=220", old)
	same(t, "MuseIO", d.columns, []float64{1, 2, 3, 4})
	if r := d.records[0]; r.Stamp != 1700000000500000000 || r.Has != EvidenceStamp || d.stamps[0] != 1700000000500000000 || d.layout.Header.Rate != 220 {
		t.Errorf("MuseIO: %+v", r)
	}
	// An old sender without type tags.
	d = read(t, "muse-osc", "", cat(pad("/muse/eeg"), unhex(t, "3f800000 40000000 40400000 40800000")))
	same(t, "no tags", d.columns, []float64{1, 2, 3, 4})
	// Markers: a blink is one, no blink is none.
	blink := func(n byte) []byte { return cat(pad("/muse/elements/blink"), pad(",i"), []byte{0, 0, 0, n}) }
	d = read(t, "muse-osc", "", p, blink(1), blink(0), cat(pad("/Marker/3"), pad(",")))
	if len(d.markers) != 2 || d.markers[0] != (stream.Marker{Column: 1, Label: "1"}) || d.markers[1].Label != "/Marker/3" || d.other != 1 {
		t.Errorf("markers %+v, %d others", d.markers, d.other)
	}
	d = read(t, "muse-osc", "data=acc&rate=52", cat(pad("/muse/acc"), pad(",fff"), unhex(t, "3f800000 00000000 bf000000")))
	same(t, "acc", d.columns, []float64{1, 0, -0.5})
	if h := d.layout.Header; h.Channels[0] != (stream.Channel{Label: "x", Unit: "g", Type: "ACC"}) || h.Rate != 52 {
		t.Errorf("acc %+v", h)
	}
}

func TestOSCFaults(t *testing.T) {
	good := museMessage(t)
	deep := good
	for range 9 {
		deep = bundle(deep)
	}
	long := bundle(good)
	long[19]++ // an element of one byte more
	negative := bundle(good)
	negative[16] = 0xff
	for _, c := range []struct {
		pkt  []byte
		want string
	}{
		{nil, "byte 0: no address"},
		{[]byte{0}, "no address"},
		{good[:4], "no address"},
		{good[:14], "byte 12: the type tags are not ended"},
		{good[:30], "byte 28: message ends inside its arguments"},
		{append(append([]byte(nil), good...), 0, 0, 0, 0), "behind the last argument"},
		{cat(pad("/muse/eeg"), pad(",fffq"), make([]byte, 16)), "type tag is not known"},
		{cat(pad("/muse/eeg"), pad(",fff"), make([]byte, 12)), "numbers in the message (got 3, want 4)"},
		{cat(pad("/muse/eeg"), pad(",b"), []byte{0x7f, 0xff, 0xff, 0xff}), "blob is longer"},
		{cat(pad("/muse/eeg"), pad(",b"), []byte{0xff, 0xff, 0xff, 0xff}), "blob is longer"},
		{cat(pad("/muse/eeg"), []byte{1, 2, 3}), "no type tags"},
		{cat([]byte{'/', 7, 0, 0}), "not plain text"},
		{[]byte("#bundle\x00"), "bundle's head"},
		{bundle(good)[:18], "element's size"},
		{long, "byte 16: an element's size"},
		{negative, "byte 16: an element's size"},
		{deep, "eight deep"},
	} {
		refuse(t, "muse-osc", "", [][]byte{good}, c.pkt, c.want)
	}
	// A good message in front of a broken one in a bundle is not used.
	refuse(t, "muse-osc", "", [][]byte{good}, bundle(good, good[:24]), "inside its arguments")
}

func TestPetalGolden(t *testing.T) {
	p := cat(pad("/PetalStream/eeg"), pad(",iififfffff"), unhex(t, `
000003e9            # 1001
6553f100 3f000000   # 1700000000 s and a half
00000064 3e800000   # LSL 100.25 s
3f800000 40000000 40400000 40800000 40a00000
`))
	d := read(t, "petal-osc", "", p)
	same(t, "columns", d.columns, []float64{1, 2, 3, 4, 5})
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: 1001, Stamp: 1700000000500000000}) {
		t.Errorf("record %+v", r)
	}
	if h := d.layout.Header; h.Rate != 256 || h.Channels[4].Label != "AUX" || d.layout.Clock != ClockUnix {
		t.Errorf("layout %+v", d.layout)
	}
	refuse(t, "petal-osc", "", [][]byte{p}, cat(pad("/PetalStream/eeg"), pad(",iif"), make([]byte, 12)), "arguments of the message (got 3")
	floats := cat(pad("/PetalStream/eeg"), pad(",ffififffff"), make([]byte, 40))
	refuse(t, "petal-osc", "", [][]byte{p}, floats, "counter is no integer")
}

func TestNeurosityGolden(t *testing.T) {
	p := cat(pad("/neurosity/notion/0123456789abcdef/raw"), pad(",[ffffffff]sis"),
		unhex(t, "3f800000 40000000 40400000 40800000 40a00000 40c00000 40e00000 41000000"),
		pad("1700000000500"), []byte{0, 0, 1, 0}, pad("go"))
	d := read(t, "neurosity-osc", "rate=256&stamp=ms&modulus=256", p)
	same(t, "columns", d.columns, []float64{1, 2, 3, 4, 5, 6, 7, 8})
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: 0, Stamp: 1700000000500000000}) {
		t.Errorf("record %+v", r)
	}
	if len(d.markers) != 1 || d.markers[0] != (stream.Marker{Label: "go"}) || d.layout.Header.Channels[0].Label != "CP3" {
		t.Errorf("markers %+v", d.markers)
	}
	if d := read(t, "neurosity-osc", "rate=256", p); d.layout.Clock != ClockNone || d.records[0].Has != EvidenceCounter || d.records[0].Counter != 256 {
		t.Errorf("without stamp=: %+v", d.records[0])
	}
	refuse(t, "neurosity-osc", "rate=256&stamp=ms", [][]byte{p}, cat(pad("/x/raw"), pad(",[ffffffff]sis"), make([]byte, 32), pad("noon"), []byte{0, 0, 1, 0}, pad("")), "no stamp")
	refuse(t, "neurosity-osc", "rate=256", [][]byte{p}, cat(pad("/x/raw"), pad(",[ffff]sis"), make([]byte, 16), pad("1"), []byte{0, 0, 1, 0}, pad("")), "numbers in the message (got 4, want 8)")
	if _, err := NewFormat("neurosity-osc", nil); err == nil || !strings.Contains(err.Error(), "rate=256 (Crown)") {
		t.Errorf("no rate: %v", err)
	}
}

func TestOpenBCIOSCGolden(t *testing.T) {
	ch := func(k byte, v ...byte) []byte { // small whole numbers as f32: 1 = 3f800000 and 2 = 40000000
		p := cat(pad("/openbci/time-series-raw/ch"+string('0'+k)), pad(","+strings.Repeat("f", len(v))))
		for _, x := range v {
			p = append(p, map[byte][]byte{1: {0x3f, 0x80, 0, 0}, 2: {0x40, 0, 0, 0}, 3: {0x40, 0x40, 0, 0}, 4: {0x40, 0x80, 0, 0}}[x]...)
		}
		return p
	}
	d := read(
		t, "openbci-osc", "rate=250&channels=C3,C4",
		ch(0, 1, 2), ch(1, 3, 4), ch(0, 2, 2), ch(1, 4, 4),
		ch(0, 1, 1), /* channel 1 lost */
		ch(0, 2, 1), ch(1, 3, 3), ch(0, 1, 1), ch(1, 1, 1),
	)
	same(t, "columns", d.columns, []float64{1, 3}, []float64{2, 4}, []float64{2, 4}, []float64{2, 4}, []float64{1, 0}, []float64{1, 0}, []float64{2, 3}, []float64{1, 3}, []float64{1, 1}, []float64{1, 1})
	if !d.bad[4][1] || !d.bad[5][1] || d.bad[4][0] || d.bad[6][1] {
		t.Errorf("bad %v", d.bad)
	}
	if h := d.layout.Header; h.Channels[1].Label != "C4" || h.Channels[1].Unit != "uV" || h.Rate != 250 {
		t.Errorf("header %+v", h)
	}
	good := [][]byte{ch(0, 1), ch(1, 1), ch(0, 1), ch(1, 1), ch(0, 1), ch(1, 1)}
	refuse(t, "openbci-osc", "rate=250", good, ch(7, 1), "a channel that was not there before")
	refuse(t, "openbci-osc", "rate=250", good, ch(0), "numbers in the message (got 0")
	f, _ := NewFormat("openbci-osc", nil)
	var err error
	for i := 0; i < 6 && err == nil; i++ {
		_, err = f.Learn([][]byte{ch(0, 1, 2), ch(1, 3, 4)}[i%2])
	}
	if err == nil || !strings.Contains(err.Error(), "50 Hz") {
		t.Errorf("no rate: %v", err)
	}
}

func TestOSCGolden(t *testing.T) {
	p := cat(pad("/a/b"), pad(",ihdTFf"), unhex(t, "00000007 0000000000000009 3ff8000000000000 c0000000"))
	d := read(t, "osc", "address=/a/b&skip=1&counter=0&modulus=8&rate=10&unit=mV", p)
	same(t, "columns", d.columns, []float64{9, 1.5, 1, 0, -2})
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter, Counter: 7}) || d.layout.Header.Channels[0].Unit != "mV" {
		t.Errorf("record %+v", r)
	}
	d = read(t, "osc", "address=/a/b&stamp=2", p)
	if d.records[0].Stamp != 1.5e9 || d.layout.Header.Rate != 0 || d.layout.Header.MaxLen != 1 {
		t.Errorf("stamp: %+v", d.records[0])
	}
	refuse(t, "osc", "address=/a/b", [][]byte{p}, bundle(p, p), "irregular")
}

func FuzzMuse(f *testing.F) {
	f.Add(bundle(museMessage(f), bundle(museMessage(f))), museMessage(f))
	fuzzFormat(f, "muse-osc")
}
func FuzzPetal(f *testing.F)      { fuzzFormat(f, "petal-osc") }
func FuzzNeurosity(f *testing.F)  { fuzzFormat(f, "neurosity-osc") }
func FuzzOpenBCIOSC(f *testing.F) { fuzzFormat(f, "openbci-osc") }
func FuzzOSC(f *testing.F)        { fuzzFormat(f, "osc") }
