package udp

import (
	"math"
	"strings"
	"testing"

	"neurostream/stream"
)

// cytonPacket is a packet whose channels are 1, −1, 2^23−1, −2^23, 0, 0, 0, first.
func cytonPacket(t testing.TB, seq, last byte) []byte {
	p := unhex(t, `
a0 00
000001 ffffff 7fffff 800000 000000 000000 000000 000000
1f40 e0c0 0001   # acceleration 8000 -8000 1
c0`)
	p[1], p[25] = seq, last
	return p
}

func TestCytonGolden(t *testing.T) {
	p := cat(cytonPacket(t, 255, 2), cytonPacket(t, 0, 3))
	d := read(t, "cyton", "rate=1000&rows=all&gain=24", p)
	bit := 4.5 / 8388607 / 24 * 1e6
	for i, last := range []float64{2, 3} {
		for ch, want := range []float64{bit, -bit, 8388607 * bit, -8388608 * bit, 0, 0, 0, last * bit, 1, -1, 0.000125} {
			if math.Abs(d.columns[i][ch]-want) > 1e-9 {
				t.Errorf("column %d channel %d: %v, want %v", i, ch, d.columns[i][ch], want)
			}
		}
		if r := d.records[i]; r != (Record{Column: i, Columns: 1, Has: EvidenceCounter, Counter: uint64(255 * (1 - i))}) {
			t.Errorf("record %+v", r)
		}
	}
	if l := d.layout; math.Abs(l.Scales[0].Bit-0.0223517) > 1e-6 || math.Abs(l.Scales[0].High-187500) > 1e-6 || l.Counter != (Counter{256, 1}) || l.Header.Channels[8] != (stream.Channel{Label: "acc x", Unit: "g", Type: "ACC"}) || l.Header.Channels[0].Unit != "uV" {
		t.Errorf("layout %+v", l)
	}
	// The same with other gains, and end byte C1, which is no acceleration.
	q := cytonPacket(t, 7, 1)
	q[32] = 0xc1
	d = read(t, "cyton", "rate=1000&rows=all&gain=1,2,4,6,8,12,24,24", q)
	if math.Abs(d.columns[0][0]-4.5/8388607*1e6) > 1e-9 || !d.bad[0][8] {
		t.Errorf("gain 1: %v, bad %v", d.columns[0], d.bad[0])
	}
	url := "rate=1000"
	refuse(t, "cyton", url, nil, p[:65], "no multiple of a packet (got 65, want 33)")
	refuse(t, "cyton", url, nil, nil, "no multiple")
	q[32] = 0xc7
	refuse(t, "cyton", url, nil, cat(p, q), "byte 98: end byte (got 199, want 192)")
	q[0] = 0
	refuse(t, "cyton", url, nil, q, "byte 0: start byte (got 0, want 160)")
	for url, want := range map[string]string{"": "rate=HZ", "rate=1&gain=1,2": "2 values for 8", "rate=1&gain=x": "no gain", "rate=1&daisy=x": "odd-first"} {
		if _, err := NewFormat("cyton", query(t, url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Every datagram three times, a lost half, a number that wraps.
func TestCytonDaisy(t *testing.T) {
	odd := func(pair byte) []byte { return cytonPacket(t, 2*pair-1, pair) }
	even := func(pair byte) []byte { return cytonPacket(t, 2*pair, pair+100) }
	d := read(
		t, "cyton", "rate=125&daisy=odd-first",
		cat(odd(1), even(1)), odd(2), odd(2), even(2), even(2), even(2),
		odd(3), odd(4), even(4), // even 3 lost
		even(5), // odd 5 lost
		odd(127), even(127), odd(128), even(128), odd(1), even(1),
	)
	bit := d.layout.Scales[0].Bit
	var counters []uint64
	for _, r := range d.records {
		counters = append(counters, r.Counter)
	}
	want := []uint64{1, 2, 3, 4, 5, 127, 0, 1}
	if len(counters) != len(want) {
		t.Fatalf("pairs %v, want %v", counters, want)
	}
	for i := range want {
		lostEven, lostOdd := i == 2, i == 4
		if counters[i] != want[i] || d.bad[i][0] != lostOdd || d.bad[i][7] != lostOdd || d.bad[i][8] != lostEven || d.bad[i][15] != lostEven {
			t.Errorf("pair %d: number %d, want %d, bad %v", i, counters[i], want[i], d.bad[i])
		}
	}
	if v := d.columns[1]; math.Abs(v[7]-2*bit) > 1e-9 || math.Abs(v[15]-102*bit) > 1e-9 {
		t.Errorf("halves %v", v)
	}
	if d.layout.Counter != (Counter{128, 1}) {
		t.Errorf("counter %+v", d.layout.Counter)
	}
}

func FuzzCyton(f *testing.F) { fuzzFormat(f, "cyton") }
