package udp

import (
	"testing"

	"neurostream/stream"
)

const unicornGolden = `
0000803f 00000040 00004040 00008040 0000a040 0000c040 0000e040 00000041  # EEG 1 2 3 4 5 6 7 8
0000003f 000080be 0000803f  # acc 0.5 -0.25 1
00002041 00000000 0000a0c1  # gyro 10 0 -20
0000b442                    # battery 90
feff7f4b                    # counter 2^24 - 2
0000803f                    # valid
`

func TestUnicornGolden(t *testing.T) {
	p := unhex(t, unicornGolden)
	d := read(t, "unicorn", "rows=all", p)
	same(t, "columns", d.columns, []float64{1, 2, 3, 4, 5, 6, 7, 8, 0.5, -0.25, 1, 10, 0, -20, 90})
	h := d.layout.Header
	if h.Rate != 250 || h.Channels[0] != (stream.Channel{Label: "Fz", Unit: "uV", Type: "EEG"}) || h.Channels[8].Unit != "g" || h.Channels[11].Unit != "deg/s" || h.Channels[14].Unit != "%" {
		t.Errorf("header %+v", h)
	}
	if r := d.records[0]; r != (Record{Columns: 1, Has: EvidenceCounter, Counter: 1<<24 - 2}) {
		t.Errorf("record %+v", r)
	}
	if d := read(t, "unicorn", "", p); len(d.columns[0]) != 8 {
		t.Errorf("%d rows of EEG", len(d.columns[0]))
	}
	at := append([]byte(nil), p...)
	copy(at[60:], unhex(t, "0000804b")) // 2^24: a float32 goes no further
	if d := read(t, "unicorn", "", at); d.records[0].Counter != 0 {
		t.Errorf("counter 2^24 is %d", d.records[0].Counter)
	}
	refuse(t, "unicorn", "", nil, p[:67], "length (got 67, want 68)")
	refuse(t, "unicorn", "", nil, append(at, 0), "length (got 69, want 68)")
	for _, counter := range []string{"0000c07f", "0000003f", "000080bf", "0000804c"} { // NaN, 0.5, −1, 2^26
		copy(at[60:], unhex(t, counter))
		refuse(t, "unicorn", "", nil, at, "byte 60: the counter is no whole number")
	}
}

func FuzzUnicorn(f *testing.F) { fuzzFormat(f, "unicorn") }
