package lsl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// tcpFlows returns the payload of every direction of every TCP connection of a pcap
// file, in the order in which connections begin. Nothing was lost or reordered in
// these captures; what was sent twice is taken once.
func (a archive) tcpFlows(t testing.TB, name string) (out [][]byte) {
	t.Helper()
	type flow struct {
		next    uint32
		payload []byte
	}
	var order []string
	flows := map[string]*flow{}
	for b := a[name][24:]; len(b) >= 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		ip := frame[14:]
		if frame[12] != 0x08 || frame[13] != 0 || ip[9] != 6 {
			continue
		}
		ip = ip[:binary.BigEndian.Uint16(ip[2:])]
		head := int(ip[0]&15) * 4
		tcp := ip[head:]
		key := fmt.Sprintf("%x%x", ip[12:20], tcp[:4])
		seq, data := binary.BigEndian.Uint32(tcp[4:]), tcp[int(tcp[12]>>4)*4:]
		f := flows[key]
		if tcp[13]&2 != 0 { // SYN
			flows[key] = &flow{next: seq + 1}
			order = append(order, key)
			continue
		}
		if f == nil || len(data) == 0 {
			continue
		}
		if d := f.next - seq; d < uint32(len(data)) { // the new part
			f.payload = append(f.payload, data[d:]...)
			f.next = seq + uint32(len(data))
		}
	}
	for _, key := range order {
		out = append(out, flows[key].payload)
	}
	return out
}

// The captured recovery: two outlets of one source_id, the second two and a half
// seconds after the first. We decode from the wire what liblsl's inlet delivered.
func TestRecoveryCapture(t *testing.T) {
	a := captures(t)
	var j struct {
		Pulled []struct {
			Stamp float64 `json:"ts"`
			Value float64 `json:"v0"`
		}
	}
	a.load(t, "recovery.json", &j)
	got := map[float64]float64{}
	feeds := 0
	for _, b := range a.tcpFlows(t, "recovery.pcap") {
		if !bytes.HasPrefix(b, []byte("LSL/110 200")) {
			continue
		}
		end := bytes.Index(b, []byte("\r\n\r\n")) + 4
		resp, err := parseFeedResponse(b[:end])
		if err != nil {
			t.Fatal(err)
		}
		w := wire{format: Float32, channels: 4, version: resp.Data, big: resp.ByteOrder == orderBig}
		samples, rest, err := w.decodeAll(b[end:])
		if err != nil || len(rest) != 0 || len(samples) < 3 {
			t.Fatalf("%d samples, %d bytes left, %v", len(samples), len(rest), err)
		}
		feeds++
		d := deduction{rate: 10}
		for i, s := range samples {
			v := Numbers(nil, Float32, s.packed)
			stamp := d.resolve(s.stamp, s.deduced)
			if i < 2 { // the test samples
				d = deduction{rate: 10}
				continue
			}
			if v[1] != v[0]+0.25 || v[2] != v[0]+0.5 || v[3] != v[0]+0.75 {
				t.Errorf("sample %v", v)
			}
			got[stamp] = v[0]
		}
	}
	if feeds != 2 {
		t.Errorf("%d feeds, not one before and one after the restart", feeds)
	}
	for _, p := range j.Pulled {
		if v, ok := got[p.Stamp]; !ok || v != p.Value {
			t.Errorf("liblsl delivered %v at %v; on the wire it is %v (%v)", p.Value, p.Stamp, v, ok)
		}
	}
	if len(j.Pulled) != 64 || len(got) < 64 {
		t.Errorf("%d samples delivered, %d on the wire", len(j.Pulled), len(got))
	}
}
