package udp

import (
	"strings"
	"testing"
)

// zmqMessage is a message as the interface sends it, frames written by hand.
func zmqMessage(json string, data []byte) []byte {
	p := []byte{1, 5, 'D', 'A', 'T', 'A', 0}
	n := len(json)
	p = append(p, 3, 0, 0, 0, 0, 0, 0, byte(n>>8), byte(n))
	p = append(p, json...)
	return append(append(p, 0, byte(len(data))), data...)
}

func ephysJSON(number, channel, sample string) string {
	return `{"message_num":` + number + `,"type":"data","content":{"stream":"probe A","channel_num":` + channel + `,"channel_name":"CH` + channel + `","num_samples":2,"sample_num":` + sample + `,"sample_rate":30000.0},"data_size":8,"timestamp":1700000000000}`
}

func TestOpenEphysGolden(t *testing.T) {
	a, b := unhex(t, "0000803f 000000c0"), unhex(t, "00004040 0000c07f")
	greeting := append(unhex(t, "ff0000000000000000 7f 0300 4e554c4c"), make([]byte, 48)...)
	ready := cat([]byte{4, 0x19, 5}, []byte("READY"), []byte{11}, []byte("Socket-Type"), []byte{0, 0, 0, 3}, []byte("PUB"))
	event := zmqMessage(`{"message_num":5,"type":"event","content":{"stream":"probe A"}}`, nil)
	pkts := [][]byte{
		greeting, ready,
		zmqMessage(ephysJSON("1", "7", "1000"), a), zmqMessage(ephysJSON("2", "9", "1000"), b),
		zmqMessage(ephysJSON("3", "7", "1002"), a), zmqMessage(ephysJSON("4", "9", "1002"), b),
		event,
		zmqMessage(ephysJSON("6", "7", "1004"), a), // channel 9 of this block is lost
		zmqMessage(ephysJSON("8", "7", "1006"), a), zmqMessage(ephysJSON("9", "9", "1006"), b),
	}
	d := read(t, "openephys", "unit=uV", pkts...)
	same(t, "columns", d.columns, []float64{1, 3}, []float64{-2, 0}, []float64{1, 3}, []float64{-2, 0}, []float64{1, 0}, []float64{-2, 0}, []float64{1, 3}, []float64{-2, 0})
	if !d.bad[1][1] || d.bad[0][1] || !d.bad[4][1] || d.bad[4][0] || d.bad[6][1] || d.other != 3 || len(d.faults) != 0 {
		t.Errorf("bad %v, %d others, faults %v", d.bad, d.other, d.faults)
	}
	for i, r := range d.records {
		if r != (Record{Column: 2 * i, Columns: 2, Has: EvidenceIndex, Index: 1000 + 2*int64(i)}) {
			t.Errorf("record %+v", r)
		}
	}
	if h := d.layout.Header; h.Rate != 30000 || strings.Join(h.Labels(), ",") != "CH7,CH9" || h.Channels[0].Unit != "uV" || h.Name != "Open Ephys probe A" {
		t.Errorf("header %+v", h)
	}
	good := pkts[2:5]
	for _, c := range []struct {
		pkt  []byte
		want string
	}{
		{[]byte{0, 9, 1}, "longer than its message"},
		{[]byte{0, 1, 1}, "frames of the message"},
		{zmqMessage("hello", a), "no JSON object"},
		{zmqMessage(`{"message_num":1`, a), "does not end"},
		{zmqMessage(ephysJSON("1", "7", "1008"), a[:4]), "bytes of samples (got 4, want 8)"},
		{zmqMessage(ephysJSON("1", "8", "1008"), a), "was not there before"},
		{zmqMessage(ephysJSON("-1", "7", "1008"), a), "out of range"},
		{zmqMessage(strings.Replace(ephysJSON("1", "7", "1008"), "30000.0", "0", 1), a), "no rate"},
		{zmqMessage(strings.Replace(ephysJSON("1", "7", "1008"), "30000.0", "1000", 1), a), "has changed"},
		{zmqMessage(strings.Replace(ephysJSON("1", "7", "1008"), `"sample_num":1008,`, "", 1), a), "no message_num, sample_num"},
		{zmqMessage(`{"message_num":1,"type":"data","content":{"num_samples":99999999999}}`, a), "no message_num, sample_num"},
	} {
		refuse(t, "openephys", "", good, c.pkt, c.want)
	}
	f, _ := NewFormat("openephys", nil)
	fr := f.(Framer)
	all := cat(pkts...)
	for i, p := range pkts {
		for _, n := range []int{1, len(p) / 2, len(p) - 1} {
			if got, err := fr.Frame(all[:n]); got != 0 || err != nil {
				t.Fatalf("packet %d, %d bytes: %d %v", i, n, got, err)
			}
		}
		if got, err := fr.Frame(all); got != len(p) || err != nil {
			t.Fatalf("packet %d of %d bytes: %d %v", i, len(p), got, err)
		}
		all = all[len(p):]
	}
	if _, err := fr.Frame([]byte("HTTP")); err == nil {
		t.Error("another protocol is framed")
	}
	if _, err := fr.Frame(unhex(t, "02 ffffffffffffffff")); err == nil {
		t.Error("a frame of 2^64 bytes is awaited")
	}
	if s := f.(Starter); string(s.Hello()) != string(cat(greeting, []byte{4, 0x19, 5}, []byte("READY"), []byte{11}, []byte("Socket-Type"), []byte{0, 0, 0, 3}, []byte("SUB"))) {
		t.Errorf("hello %x", s.Hello())
	}
	if a := f.(Answerer); string(a.Answer(ready)) != "\x00\x01\x01" || len(a.Answer(greeting)) != 0 || len(a.Answer(pkts[2])) != 0 {
		t.Error("the subscription comes after READY, once")
	}
}

func FuzzOpenEphys(f *testing.F) { fuzzFormat(f, "openephys") }
