package udp

import (
	"testing"

	"neurostream/stream"
)

// fuzzFormat feeds two packets to a format: learn, decode, decode again.
func fuzzFormat(f *testing.F, name string) {
	ft, err := FormatNamed(name)
	if err != nil {
		f.Fatal(err)
	}
	pkts, _, _ := simulated(f, ft, ft.SimulatorURL, nil, 1, nil)
	for i := range pkts[:min(6, len(pkts))] {
		f.Add(pkts[i], pkts[(i+1)%len(pkts)])
	}
	values := query(f, ft.URL)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > maxDatagram || len(b) > maxDatagram {
			return
		}
		format, err := NewFormat(name, values)
		if err != nil {
			t.Fatal(err)
		}
		if framer, ok := format.(Framer); ok {
			if n, err := framer.Frame(a); err == nil && (n < 0 || n > framer.MaxFrame()) {
				t.Fatalf("Frame says %d", n)
			}
		}
		ready, _ := format.Learn(nil)
		for i := 0; !ready && i < 20; i++ {
			var err error
			if ready, err = format.Learn(a); err != nil {
				break
			}
		}
		if !ready {
			return
		}
		l := format.Layout()
		if err := l.Header.Validate(); err != nil {
			t.Fatalf("the layout is not valid: %v", err)
		}
		if len(l.Header.Channels)*l.Header.MaxLen > 1<<24 {
			t.Fatalf("%d channels × %d columns for packets of %d bytes", len(l.Header.Channels), l.Header.MaxLen, maxDatagram)
		}
		c := stream.NewChunk(&l.Header)
		for _, p := range [][]byte{a, b, a} {
			c.Clear()
			at := placeOf(c)
			err := format.Decode(c, p)
			if err != nil && err != ErrOther && err != ErrEnd && placeOf(c) != at {
				t.Fatalf("a fault left something behind: %v", err)
			}
			for _, m := range c.Markers {
				if m.Column < 0 || m.Column > c.Len {
					t.Fatalf("marker at column %d of %d", m.Column, c.Len)
				}
			}
			for col := range c.Len {
				for _, v := range c.Column(nil, col) {
					if !finite(v) {
						t.Fatal("a value that is not finite")
					}
				}
			}
			for _, r := range format.Records() {
				if err == nil && (r.Column < 0 || r.Column+r.Columns > c.Len) {
					t.Fatalf("record %+v of %d columns", r, c.Len)
				}
			}
		}
	})
}
