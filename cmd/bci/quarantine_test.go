package main

import (
	"encoding/binary"
	"net/url"
	"os"
	"strings"
	"testing"

	"neurostream/stream/udp"
)

// capture returns a pcap file of raw IPv4 frames with these datagrams, to port 9000.
func capture(pkts [][]byte) string {
	le, be := binary.LittleEndian, binary.BigEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint32(b, 2|4<<16) // version 2.4
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(b, 1<<16)
	b = le.AppendUint32(b, 101) // IPv4 or IPv6
	for i, p := range pkts {
		n := 28 + len(p)
		b = le.AppendUint32(b, 1_700_000_000+uint32(i*4000/1e6))
		b = le.AppendUint32(b, uint32(i*4000%1e6))
		b = le.AppendUint32(b, uint32(n))
		b = le.AppendUint32(b, uint32(n))
		b = append(b, 0x45, 0)
		b = be.AppendUint16(b, uint16(n))
		b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1)
		b = be.AppendUint16(b, 40000)
		b = be.AppendUint16(b, 9000)
		b = be.AppendUint16(b, uint16(8+len(p)))
		b = be.AppendUint16(b, 0)
		b = append(b, p...)
	}
	return string(b)
}

// TestQuarantineIsShown: a run names the datagrams that it could not use, and writes
// their bytes where it is told to; a run without any says and writes nothing.
func TestQuarantineIsShown(t *testing.T) {
	s := newShell(t)
	sim, err := udp.NewSimulator("unicorn", url.Values{}, nil, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	var good, damaged [][]byte
	for i := range 100 {
		p, _, err := sim.Packet(nil)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, p)
		if i >= 50 && i < 55 {
			p = p[:len(p)-1]
		}
		damaged = append(damaged, p)
	}
	s.write("plain.yaml", plain)
	s.write("good.pcap", capture(good))
	s.write("damaged.pcap", capture(damaged))
	code, _, stderr := s.run("run", "plain.yaml", "--from", "pcap:damaged.pcap?format=unicorn", "--quarantine", "odd.txt")
	for _, want := range []string{
		"5 datagrams could not be used:\n", "2023-11-14 22:13:20.200000 from 127.0.0.1:40000, 67 bytes: unicorn: byte 0: length (got 67, want 68)\n", "5 of them are in odd.txt\n",
	} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("code %d, %q is missing:\n%s", code, want, stderr)
		}
	}
	text, err := os.ReadFile("odd.txt")
	if err != nil || strings.Count(string(text), "00000040  ") != 5 {
		t.Errorf("%v\n%s", err, text)
	}
	code, _, stderr = s.run("run", "plain.yaml", "--from", "pcap:damaged.pcap?format=unicorn")
	if code != 0 || !strings.Contains(stderr, "--quarantine FILE writes the bytes of 5 of them") {
		t.Errorf("code %d:\n%s", code, stderr)
	}
	code, _, stderr = s.run("run", "plain.yaml", "--from", "pcap:good.pcap?format=unicorn", "--quarantine", "none.txt")
	if _, err := os.Stat("none.txt"); code != 0 || strings.Contains(stderr, "could not be used") || err == nil {
		t.Errorf("code %d, %v:\n%s", code, err, stderr)
	}
}
