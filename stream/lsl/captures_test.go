package lsl

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
)

// testdata/captures.zip holds exchanges of liblsl 1.17.7, 1.16.2 and 1.13.1 on
// isolated virtual networks: reassembled feeds (streams/*.bin), what they contain
// (*.json) and UDP traffic (*.pcap).

type archive map[string][]byte

func captures(t testing.TB) archive {
	t.Helper()
	r, err := zip.OpenReader("testdata/captures.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := archive{}
	for _, f := range r.File {
		if f.FileInfo().IsDir() {
			continue
		}
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if out[f.Name], err = io.ReadAll(rc); err != nil {
			t.Fatal(err)
		}
		rc.Close()
	}
	return out
}

func (a archive) load(t testing.TB, name string, v any) {
	t.Helper()
	b, ok := a[name]
	if !ok {
		t.Fatalf("%s is not in the archive", name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// datagrams returns the UDP payloads of a pcap file (Ethernet, microseconds).
func (a archive) datagrams(t testing.TB, name string) [][]byte {
	t.Helper()
	b := a[name]
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(b[20:]) != 1 {
		t.Fatalf("%s: not a pcap file of Ethernet frames", name)
	}
	var out [][]byte
	for b = b[24:]; len(b) >= 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		ip := frame[14:]
		switch {
		case frame[12] == 0x08 && frame[13] == 0x00 && ip[9] == 17:
			ip = ip[int(ip[0]&15)*4 : binary.BigEndian.Uint16(ip[2:])]
		case frame[12] == 0x86 && frame[13] == 0xdd && ip[6] == 17:
			ip = ip[40 : 40+binary.BigEndian.Uint16(ip[4:])]
		default:
			continue
		}
		out = append(out, ip[8:])
	}
	return out
}

// feed is the JSON beside a captured feed.
type feed struct {
	Name    string
	Request string
	Status  string
	Stream  struct {
		Name     string
		Channels int     `json:"channel_count"`
		Format   string  `json:"channel_format"`
		Rate     float64 `json:"nominal_srate"`
	}
	Headers map[string]string `json:"response_headers"`

	Protocol     int
	Payload      int          `json:"payload_offset"`
	Tests        []feedSample `json:"test_samples"`
	Samples      []feedSample
	Deduced      []float64 `json:"timestamps_after_deduction"`
	ShortinfoLen int       `json:"shortinfo_len"`
}

type feedSample struct {
	Offset  int
	Tag     int
	Stamp   float64  `json:"timestamp"`
	Bits    string   `json:"timestamp_bits"`
	Values  []string `json:"values_le_hex"`
	Strings []struct {
		Width  int `json:"length_width"`
		Len    int
		Hex    string
		SHA    string `json:"sha256"`
		Repeat string `json:"byte_repeated"`
	}
}

func (a archive) feeds(t testing.TB) []string {
	t.Helper()
	var out []string
	for name := range a {
		if strings.HasPrefix(name, "feed") {
			if base, ok := strings.CutSuffix(name, ".json"); ok {
				out = append(out, base)
			}
		}
	}
	if len(out) != 40 {
		t.Fatalf("%d feeds in the archive, not 40", len(out))
	}
	return out
}

func (a archive) stream(name, direction string) []byte {
	return a[path.Join("streams", name+"."+direction+".bin")]
}

// decodeAll decodes a byte stream until it is used up.
func (w *wire) decodeAll(src []byte) (samples []decoded, rest []byte, err error) {
	for len(src) > 0 {
		packed, stamp, deduced, n, err := w.decode(nil, src)
		if errors.Is(err, errShort) {
			return samples, src, nil
		}
		if err != nil {
			return samples, src, err
		}
		samples = append(samples, decoded{packed, stamp, deduced, src[:n]})
		src = src[n:]
	}
	return samples, nil, nil
}

type decoded struct {
	packed  []byte
	stamp   float64
	deduced bool
	raw     []byte
}

func mustEqual(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s\n got %q\nwant %q", what, clip(got), clip(want))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 400)] }
