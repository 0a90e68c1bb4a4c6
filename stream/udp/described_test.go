package udp

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neurostream/stream"
)

const describedGolden = `
name: my amplifier
rate: 250
order: little
repeat: true
channels:
  - {label: C3, unit: uV, type: EEG, bit: 0.5, low: -10, high: 10}
  - {label: C4, unit: mV, type: EEG, bit: 2, offset: 1}
packet:
  - {const: a0ff}
  - {skip: 1}
  - {counter: u16, modulus: 1000, step: 1}
  - {stamp: u32, tick: 1e-6, clock: device}
  - {samples: i24, order: big, layout: columns, columns: 2}
  - {marker: u8}
  - {checksum: crc16}
`

// describedPacketBytes is a packet of that description, its checksum written by hand
// (CRC-16/CCITT-FALSE).
func describedPacketBytes(t testing.TB, counter, sum string) []byte {
	return unhex(t, "a0ff 77 "+counter+" 40420f00  000004 ffffff 000006 800000  2a "+sum)
}

func crc16(p []byte) string {
	c := uint32(0xffff)
	for _, b := range p {
		for i := 7; i >= 0; i-- {
			bit := uint32(b>>i&1) ^ c>>15
			c = c << 1 & 0xffff
			if bit == 1 {
				c ^= 0x1021
			}
		}
	}
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4&15], digits[c&15], digits[c>>12], digits[c>>8&15]})
}

func TestDescribedGolden(t *testing.T) {
	if got := crc16([]byte("123456789")); got != "b129" { // the standard check value 29B1
		t.Fatalf("crc16 %s", got)
	}
	one := func(counter string) []byte {
		p := describedPacketBytes(t, counter, "")
		return append(p, unhex(t, crc16(p))...)
	}
	file := filepath.Join(t.TempDir(), "amp.yaml")
	if err := os.WriteFile(file, []byte(describedGolden), 0o600); err != nil {
		t.Fatal(err)
	}
	address := "file=" + url.QueryEscape(file)
	p := cat(one("e703"), one("0000"))
	d := read(t, "yaml", address, p)
	same(t, "columns", d.columns, []float64{2, -1}, []float64{3, -16777215}, []float64{2, -1}, []float64{3, -16777215})
	has := EvidenceCounter | EvidenceStamp | EvidenceChecksum
	if d.records[0] != (Record{Columns: 2, Has: has, Counter: 999, Stamp: 1e9}) || d.records[1] != (Record{Column: 2, Columns: 2, Has: has, Stamp: 1e9}) {
		t.Errorf("records %+v", d.records)
	}
	if len(d.markers) != 2 || d.markers[1] != (stream.Marker{Column: 2, Label: "42"}) {
		t.Errorf("markers %+v", d.markers)
	}
	l := d.layout
	if l.Header.Name != "my amplifier" || l.Header.Rate != 250 || l.Header.Channels[1] != (stream.Channel{Label: "C4", Unit: "mV", Type: "EEG"}) || l.Scales[0] != (Scale{Bit: 0.5, Low: -10, High: 10}) || l.Counter != (Counter{1000, 1}) || l.Clock != ClockDevice {
		t.Errorf("layout %+v", l)
	}
	damaged := one("0000")
	damaged[10] ^= 1
	wrong := one("0000")
	wrong[1] = 0xfe
	refuse(t, "yaml", address, nil, cat(one("0000"), damaged), "checksum")
	refuse(t, "yaml", address, nil, wrong, "byte 0: the bytes differ from the const")
	refuse(t, "yaml", address, nil, p[:len(p)-1], "length (got 47, want 24)")
	refuse(t, "yaml", address, nil, nil, "length")
	refuse(t, "yaml", address, nil, one("e803"), "byte 3: the counter is not below its modulus (got 1000")
	f, _ := NewFormat("yaml", query(t, address))
	if n, err := f.(Framer).Frame(p); n != 24 || err != nil {
		t.Errorf("frame %d %v", n, err)
	}
	if _, err := f.(Framer).Frame([]byte{0xa1}); err == nil {
		t.Error("out of step, and framed")
	}
	for kind, want := range map[string]string{"sum8": "dd", "xor8": "31", "crc32": "2639f4cb"} {
		spec := "channels: [{label: a}]\nrate: 1\npacket: [{samples: u8, columns: 9}, {checksum: " + kind + "}]"
		d := read(t, "yaml", "text="+url.QueryEscape(spec), append([]byte("123456789"), unhex(t, want)...))
		if len(d.columns) != 9 || d.columns[8][0] != '9' {
			t.Errorf("%s: %v %v", kind, d.columns, d.faults)
		}
	}
	fill := "channels: [{label: a, unit: V}, {label: b}]\nrate: 10\norder: big\npacket: [{counter: u8}, {samples: f32, layout: rows}, {skip: 1}]"
	d = read(t, "yaml", "text="+url.QueryEscape(fill), unhex(t, "05 3f800000 40000000 40400000 40800000 00"))
	same(t, "to fill the packet", d.columns, []float64{1, 3}, []float64{2, 4})
	if d.layout.Counter != (Counter{Modulus: 256}) {
		t.Errorf("counter %+v", d.layout.Counter)
	}
}

func TestDescribedFaults(t *testing.T) {
	head := "rate: 10\nchannels: [{label: a}]\npacket: "
	for spec, want := range map[string]string{
		"":                              "0 channels",
		"colour: red":                   "unknown field",
		"channels: [{label: a}]":        "0 fields",
		head + "[{skip: 1}]":            "no field holds the samples",
		head + "[{}]":                   "has 0 of const",
		head + "[{skip: 1, const: aa}]": "has 2 of const",
		head + "[{samples: q7}]":        `samples: "q7"`,
		head + "[{const: xyz}]":         "not hexadecimal",
		head + "[{skip: -1}]":           "skip: -1 bytes",
		head + "[{counter: u12}]":       "u8 u16 u32 u64",
		head + "[{counter: u8, modulus: 999}, {samples: u8}]":                     "more than u8 holds",
		head + "[{stamp: u32}]":                                                   "needs tick",
		head + "[{stamp: noon}]":                                                  "none of f64",
		head + "[{stamp: f64, clock: x}]":                                         "neither device nor unix",
		head + "[{checksum: crc16}]":                                              "a checksum of nothing",
		head + "[{samples: u8}, {checksum: md5}]":                                 "none of sum8",
		head + "[{samples: u8}, {samples: u8}]":                                   "samples are there twice",
		head + "[{samples: u8, order: middle}]":                                   "neither little nor big",
		head + "[{samples: u8, layout: x}]":                                       "neither columns nor rows",
		head + "[{samples: u8, columns: 70000}]":                                  "columns",
		"repeat: true\n" + head + "[{samples: u8}]":                               "repeat needs columns",
		"channels: [{label: a}]\npacket: [{samples: u8, columns: 2}]":             "need a rate",
		"rate: 1\nchannels: [{label: a}, {label: a}]\npacket: [{samples: u8}]":    "both called",
		"rate: 1\nchannels: &x [{label: a}]\npacket: [{samples: u8}]":             "anchors",
		"rate: 1\nchannels: [{label: a}]\npacket: [{skip: 65507}, {samples: u8}]": "does not fit a datagram",
	} {
		if _, err := NewFormat("yaml", url.Values{"text": {spec}}); err == nil || spec != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n  %v, want %q", spec, err, want)
		}
	}
	if _, err := NewFormat("yaml", nil); err == nil || !strings.Contains(err.Error(), "file=NAME.yaml") {
		t.Errorf("%v", err)
	}
	if _, err := NewFormat("yaml", url.Values{"file": {filepath.Join(t.TempDir(), "none.yaml")}}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("%v", err)
	}
}

func FuzzDescribed(f *testing.F) { fuzzFormat(f, "yaml") }

func FuzzDescription(f *testing.F) {
	f.Add(describedGolden, []byte{0xa0, 0xff})
	f.Add("channels: [{label: a}]\nrate: 1\npacket: [{samples: u8}]", []byte("123"))
	f.Fuzz(func(t *testing.T, text string, pkt []byte) {
		d, err := describe([]byte(text))
		if err != nil || len(pkt) > maxDatagram {
			return
		}
		if err := d.layout.Header.Validate(); err != nil {
			t.Fatal(err)
		}
		if len(d.layout.Header.Channels)*d.layout.Header.MaxLen > 1<<22 {
			return
		}
		if _, err := d.Learn(pkt); err == nil {
			_ = d.Decode(stream.NewChunk(&d.layout.Header), pkt)
		}
	})
}
