package udp

import (
	"strings"
	"testing"

	"neurostream/stream"
)

func TestRawGolden(t *testing.T) {
	for _, c := range []struct {
		url, hex string
		want     [][]float64
	}{
		{"sample=f32&count=2", "0000803f000000c0", [][]float64{{1, -2}}},
		{"sample=f64&count=1&order=big", "c000000000000000", [][]float64{{-2}}},
		{"sample=i16&count=2&rate=100", "0100ffff02000080", [][]float64{{1, -1}, {2, -32768}}},
		{"sample=i16&count=2&rate=100&layout=rows&order=big", "000100020003fffc", [][]float64{{1, 3}, {2, -4}}},
		{"sample=u16&count=1", "ffff", [][]float64{{65535}}},
		{"sample=i24&count=2", "ffffff 000080", [][]float64{{-1, -8388608}}},
		{"sample=i24&count=2&order=big", "ffffff 7fffff", [][]float64{{-1, 8388607}}},
		{"sample=u24&count=1&order=big", "800001", [][]float64{{8388609}}},
		{"sample=i32&count=1", "feffffff", [][]float64{{-2}}},
		{"sample=u32&count=1&order=big", "fffffffe", [][]float64{{4294967294}}},
		{"sample=u8&count=2", "ff01", [][]float64{{255, 1}}},
		{"sample=i8&count=2", "ff01", [][]float64{{-1, 1}}},
		{"sample=int16&count=1&bit=0.5&offset=-10", "0400", [][]float64{{-8}}},
		{"sample=float32&channels=C3,C4&skip=2&trailing=1", "aabb 0000803f000000c0 cc", [][]float64{{1, -2}}},
	} {
		d := read(t, "raw", c.url, unhex(t, c.hex))
		same(t, c.url, d.columns, c.want...)
	}
	url := "sample=i16&count=2&rate=100&counter=u16&stamp=u32&tick=0.001&modulus=1000&step=2&order=big&unit=mV&bit=2&low=-4&high=4"
	p := unhex(t, "03e6 000007d0 0001 0002")
	d := read(t, "raw", url, p)
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: 998, Stamp: 2e9}) {
		t.Errorf("record %+v", r)
	}
	if l := d.layout; l.Counter != (Counter{1000, 2}) || l.Clock != ClockDevice || l.Scales[1] != (Scale{Bit: 2, Low: -4, High: 4}) || l.Header.Channels[0].Unit != "mV" {
		t.Errorf("layout %+v", l)
	}
	refuse(t, "raw", url, nil, p[:9], "no whole columns (got 3, want 4)")
	refuse(t, "raw", url, nil, p[:6], "no whole columns (got 0, want 4)")
	refuse(t, "raw", url, nil, unhex(t, "03e8 000007d0 0001 0002"), "not below its modulus (got 1000, want 1000)")
	for _, c := range []struct {
		stamp, hex string
		want       int64
	}{
		{"f64", "000000000000f83f", 1.5e9},
		{"i64", "0500000000000000", 5},
		{"u64", "0500000000000000", 5},
		{"us64", "0500000000000000", 5e3},
		{"ms64", "0500000000000000", 5e6},
	} {
		if d := read(t, "raw", "sample=u8&count=1&stamp="+c.stamp, unhex(t, c.hex+"07")); d.records[0].Stamp != c.want || d.columns[0][0] != 7 {
			t.Errorf("stamp %s: %+v", c.stamp, d.records[0])
		}
		refuse(t, "raw", "sample=u8&count=1&stamp="+c.stamp, nil, unhex(t, "ffffffffffffffff 07"), "no time")
	}
	d = read(t, "raw", "sample=f32&count=2&rate=10", unhex(t, "0000c07f 0000803f 000080ff 00000040"))
	if !d.bad[0][0] || d.bad[0][1] || !d.bad[1][0] || d.columns[0][0] != 0 {
		t.Errorf("not finite: %v %v", d.columns, d.bad)
	}
	for url, want := range map[string]string{
		"":                              "sample=",
		"sample=f32":                    "how many channels",
		"sample=q8&count=1":             "sample=",
		"sample=f32&count=2&channels=a": "names 1 channels",
		"sample=f64&count=9000":         "does not fit",
		"sample=u8&count=1&stamp=u32":   "tick=",
		"sample=u8&count=1&columns=5":   "rate=",
		"sample=u8&count=1&counter=u8&modulus=257": "modulus",
		"sample=u8&count=x":                        "whole number",
		"sample=u8&count=1&order=middle":           "little, big",
	} {
		if _, err := NewFormat("raw", query(t, url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	f, _ := NewFormat("raw", query(t, "sample=i16&count=2&columns=3&rate=10"))
	if n, err := f.(Framer).Frame(make([]byte, 100)); n != 12 || err != nil {
		t.Errorf("frame %d %v", n, err)
	}
	if n, err := f.(Framer).Frame(make([]byte, 11)); n != 0 || err != nil {
		t.Errorf("frame %d %v", n, err)
	}
	f, _ = NewFormat("raw", query(t, "sample=i16&count=2&rate=10"))
	if _, err := f.(Framer).Frame(make([]byte, 100)); err == nil {
		t.Error("frames without an end")
	}
}

func TestLinesGolden(t *testing.T) {
	d := read(t, "csv", "rate=10&unit=uV", []byte("# a comment\r\nC3,C4\r\n1.5,-2\r\n\r\n3e2,nan"), []byte("C3,C4\n5,6\n"))
	same(t, "csv", d.columns, []float64{1.5, -2}, []float64{300, 0}, []float64{5, 6})
	if h := d.layout.Header; strings.Join(h.Labels(), ",") != "C3,C4" || h.Channels[0].Unit != "uV" || !d.bad[1][1] {
		t.Errorf("header %+v bad %v", h, d.bad)
	}
	for url, line := range map[string]string{"sep=semicolon": "1;2", "sep=tab": "1\t2", "sep=space": "1   2", "": "1 , 2"} {
		d := read(t, "csv", url, []byte(line))
		same(t, url, d.columns, []float64{1, 2})
	}
	d = read(t, "csv", "counter=0&stamp=1&modulus=256&clock=unix&time=ms", []byte("255,1700000000250,7\n"))
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: 255, Stamp: 1700000000250000000}) || d.columns[0][0] != 7 || d.stamps[0] != 1700000000250000000 {
		t.Errorf("record %+v", r)
	}
	good := [][]byte{[]byte("1,2,3\n")}
	for line, want := range map[string]string{
		"1,2\n":        "fields in the line (got 2, want 3)",
		"1,2,3,4":      "fields in the line, or more",
		"1,2,x":        "byte 4: a field is no number",
		"1;2;3":        "no separator",
		"1,2,3\n4,5\n": "byte 6: fields in the line",
		"1,05,2,5,3,5": "no number", // a decimal comma leaves a leading zero
		",,":           "byte 0: a field is no number",
		"1,2,3\x00":    "no separator",
	} {
		refuse(t, "csv", "rate=10", good, []byte(line), want)
	}
	refuse(t, "csv", "", good, []byte("1,2,3\n4,5,6\n"), "irregular")
	refuse(t, "csv", "counter=0", good, []byte("1.5,2,3\n"), "counter is no whole number")
	refuse(t, "csv", "stamp=0", good, []byte("-1,2,3\n"), "stamp is no time")

	d = read(t, "jsonl", "rate=10&counter=n&stamp=t", []byte(`{"data":[1.5,-2],"n":17,"t":2.5,"marker":"T1","more":{"x":[1]}}`+"\n"))
	same(t, "jsonl", d.columns, []float64{1.5, -2})
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter | EvidenceStamp, Counter: 17, Stamp: 2.5e9}) || d.markers[0] != (stream.Marker{Label: "T1"}) {
		t.Errorf("record %+v markers %v", r, d.markers)
	}
	d = read(t, "jsonl", "rate=10", []byte("[1,2]\n[3,null]\n"))
	same(t, "arrays", d.columns, []float64{1, 2}, []float64{3, 0})
	d = read(t, "jsonl", "", []byte(`{"C3":1,"who":"me","C4":2}`), []byte(`{"C4":4,"C3":3}`))
	same(t, "keys", d.columns, []float64{1, 2}, []float64{3, 4})
	if strings.Join(d.layout.Header.Labels(), ",") != "C3,C4" {
		t.Errorf("labels %v", d.layout.Header.Labels())
	}
	good = [][]byte{[]byte(`{"data":[1,2],"n":1}`)}
	for line, want := range map[string]string{
		`{"data":[1,2]}`:         "no counter or no stamp",
		`{"data":[1],"n":1}`:     "number of channels has changed (got 1, want 2)",
		`{"n":1}`:                "channels in the line (got 0, want 2)",
		`{"data":[1,2],"n":"x"}`: "counter or stamp is no number",
		`{"data":[1,2],"n":1`:    "does not end",
		`{"data":[1,2],"n":1} 5`: "does not end",
		`{"data":[1,"2"],"n":1}`: "no number in the array",
		`{"data":[1,2,"n":1}`:    "no number in the array",
		`hello`:                  "neither a JSON object nor an array",
		`[1,2]`:                  "an array where an object",
	} {
		refuse(t, "jsonl", "counter=n", good, []byte(line), want)
	}
	f, _ := NewFormat("csv", nil)
	if n, err := f.(Framer).Frame([]byte("1,2\n3")); n != 4 || err != nil {
		t.Errorf("frame %d %v", n, err)
	}
	if _, err := f.(Framer).Frame(make([]byte, 1<<20)); err == nil {
		t.Error("a line without an end")
	}
}

func FuzzRaw(f *testing.F)       { fuzzFormat(f, "raw") }
func FuzzCSV(f *testing.F)       { fuzzFormat(f, "csv") }
func FuzzJSONLines(f *testing.F) { fuzzFormat(f, "jsonl") }
