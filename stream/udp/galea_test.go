package udp

import (
	"math"
	"testing"

	"neurostream/stream"
)

func galeaPackage(t testing.TB, counter byte) []byte {
	p := unhex(t, `
00 0000003f           # counter, EDA 0.5
000001 ffffff 7fffff 800000 000000 000000 000000 000000 000000 000000 000000 000000
000000 000000 000000 000000 000000 000000 000000 000000 000000 000000 000000 000003
5a                    # battery 90
b80b                  # temperature 3000
e8030000 18fcffff     # red 1000, infra-red -1000
40420f0000000000      # 10^6 us
0100 ffff 0200 0000 0000 0000 0000 0000 0080   # motion 1 -1 2 … -32768
`)
	p[0] = counter
	return p
}

func TestGaleaGolden(t *testing.T) {
	p := cat(galeaPackage(t, 254), galeaPackage(t, 255), galeaPackage(t, 0))
	if len(p) != 3*galeaSize {
		t.Fatal(len(p))
	}
	d := read(t, "galea", "rows=all", p)
	v := d.columns[1]
	for ch, want := range map[int]float64{0: 1, 1: -1, 2: 8388607, 3: -8388608, 23: 3, 24: 0.5, 25: 90, 26: 3000, 27: 1000, 28: -1000, 29: 1, 30: -1, 31: 2, 37: -32768} {
		if v[ch] != want {
			t.Errorf("row %d (%s): %v, want %v", ch, d.layout.Header.Channels[ch].Label, v[ch], want)
		}
	}
	if !d.bad[0][25] || d.bad[1][25] || d.bad[2][37] || d.bad[0][24] {
		t.Errorf("before a counter that is a multiple of five, auxiliary rows are bad: %v", d.bad)
	}
	for i, want := range []uint64{254, 255, 0} {
		if r := d.records[i]; r != (Record{Column: i, Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: want, Stamp: 1e9}) {
			t.Errorf("record %+v", r)
		}
	}
	if l := d.layout; l.Header.Channels[0] != (stream.Channel{Label: "ch1", Unit: "count", Type: "EXG"}) || l.Counter != (Counter{256, 1}) || l.Clock != ClockDevice || l.Header.Rate != 250 {
		t.Errorf("layout %+v", l)
	}
	d = read(t, "galea", "gain=12", p)
	if h := d.layout.Header; len(h.Channels) != 24 || h.Channels[0].Unit != "uV" || math.Abs(d.columns[0][0]-4.5/8388607/12*1e6) > 1e-12 {
		t.Errorf("with a gain: %+v", h.Channels[0])
	}
	refuse(t, "galea", "", nil, p[:341], "no multiple of a package (got 341, want 114)")
	refuse(t, "galea", "", nil, nil, "no multiple")
	p[88+7] = 0xff
	refuse(t, "galea", "", nil, p, "byte 88: the device's clock")
	f, _ := NewFormat("galea", nil)
	if s := f.(Starter); string(s.Hello()) != "b" || string(s.Goodbye()) != "s" {
		t.Error("start and stop")
	}
}

func TestEmotiBitGolden(t *testing.T) {
	d := read(t, "emotibit", "data=PG&rate=25&unit=count", []byte("126543,65535,4,PG,1,100,30112,30145,30177,-1.5\n126600,0,1,EA,1,100,0.25\n"), []byte("126700,1,1,PG,1,100,7\r\n"))
	same(t, "PG", d.columns, []float64{30112}, []float64{30145}, []float64{30177}, []float64{-1.5}, []float64{7})
	for i, want := range []Record{{Columns: 4, Has: EvidenceStamp, Stamp: 126543e6}, {Column: 4, Columns: 1, Has: EvidenceStamp, Stamp: 126700e6}} {
		if d.records[i] != want {
			t.Errorf("record %d: %+v, want %+v", i, d.records[i], want)
		}
	}
	if l := d.layout; l.Header.Channels[0] != (stream.Channel{Label: "PG", Unit: "count", Type: "AUX"}) || l.Counter != (Counter{}) || l.Clock != ClockDevice {
		t.Errorf("layout %+v", l)
	}
	// AY of the second round is lost.
	d = read(t, "emotibit", "data=AX,AY&rate=25", []byte("1,1,1,AX,1,100,1\n1,2,1,AY,1,100,2\n2,3,1,AX,1,100,3\n3,5,1,AX,1,100,5\n3,6,1,AY,1,100,6\n"))
	same(t, "AX AY", d.columns, []float64{1, 2}, []float64{3, 0}, []float64{5, 6})
	if !d.bad[1][1] || d.bad[1][0] || d.bad[2][1] {
		t.Errorf("bad %v", d.bad)
	}
	good := [][]byte{[]byte("1,1,1,PG,1,100,1\n")}
	for line, want := range map[string]string{
		"":                                "no line",
		"1,2,3":                           "fields in the line, at least (got 3, want 6)",
		"x,2,1,PG,1,100,1":                "no whole number",
		"1,2,2,PG,1,100,1":                "less data than the length says",
		"1,2,1,PG,1,100,1,2":              "more data than the length says",
		"1,2,1,PG,1,100,y":                "a datum is no number",
		"1,2,1025,PG,1,100,1":             "data in the line (got 1025, want 1024)",
		"1,2,0,PG,1,100,":                 "data in the line (got 0",
		"1,2,1,PG,1,100,1\n1,3,1,PG,1,x,": "byte 30", // in the second line
	} {
		refuse(t, "emotibit", "data=PG&rate=25", good, []byte(line), want)
	}
}

func TestBCI2000Golden(t *testing.T) {
	d := read(t, "bci2000", "states=CursorPosX,Signal(1,2)&rate=30", []byte("CursorPosX 2048\r\nOther 1\r\nSignal(1,2) -0.5\r\n"), []byte("Running 1\r\n"), []byte("CursorPosX 1\r\n"), []byte("CursorPosX 2\r\n"), []byte("Signal(1,2) 1e-3\r\n"))
	same(t, "columns", d.columns, []float64{2048, -0.5}, []float64{1, -0.5}, []float64{2, 1e-3})
	if d.other != 1 || !d.bad[1][1] || d.bad[2][1] {
		t.Errorf("%d others, bad %v", d.other, d.bad)
	}
	if h := d.layout.Header; h.Channels[1].Label != "Signal(1,2)" || h.Rate != 30 {
		t.Errorf("header %+v", h)
	}
	d = read(t, "bci2000", "", []byte("A 1\r\n"), []byte("B 2\r\n"), []byte("A 3\r\n"), []byte("B 4\r\n"))
	same(t, "learnt", d.columns, []float64{1, 2}, []float64{3, 4})
	good := [][]byte{[]byte("A 1\r\n"), []byte("A 2\r\n")}
	for line, want := range map[string]string{
		"":             "no line",
		"A":            "not NAME VALUE",
		"A x":          "not NAME VALUE",
		"A 1 2":        "not NAME VALUE",
		" 1":           "not NAME VALUE",
		"A 1\nB\x01 2": "byte 5: a name holds what is not plain text",
	} {
		refuse(t, "bci2000", "states=A&rate=10", good, []byte(line), want)
	}
	refuse(t, "bci2000", "states=A", good, []byte("A 1\nA 2\n"), "irregular")

	e, err := NewEncoder("bci2000", query(t, "states=CursorPosX,Signal(1,1)"))
	if err != nil {
		t.Fatal(err)
	}
	h := device("", 10, 2, "ch", "", "")
	if err := e.Open(h); err != nil {
		t.Fatal(err)
	}
	c := stream.NewChunk(&h)
	c.Resize(1)
	c.Set(0, 0, 2048)
	c.Set(1, 0, -0.25)
	one, n := e.Encode(nil, c, 0, 1)
	two, m := e.Encode(nil, c, 0, 1)
	if string(one) != "CursorPosX 2048\r\n" || n != 0 || string(two) != "Signal(1,1) -0.25\r\n" || m != 1 {
		t.Errorf("%q %d, %q %d", one, n, two, m)
	}
}

func FuzzGalea(f *testing.F)    { fuzzFormat(f, "galea") }
func FuzzEmotiBit(f *testing.F) { fuzzFormat(f, "emotibit") }
func FuzzBCI2000(f *testing.F)  { fuzzFormat(f, "bci2000") }
