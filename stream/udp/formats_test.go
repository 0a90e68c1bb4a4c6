package udp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"neurostream/stream"
)

// The tests of this file run over every line of the table.

func query(t testing.TB, s string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// decoded is everything that packets gave.
type decoded struct {
	layout  *Layout
	columns [][]float64
	bad     [][]bool
	markers []stream.Marker // Column counts from the first column of all
	stamps  []stream.Time
	records []Record // likewise
	other   int
	faults  []string
	ended   bool
}

// decodeAll does what a source does: learn, then decode.
func decodeAll(t testing.TB, f Format, pkts [][]byte) *decoded {
	t.Helper()
	d := new(decoded)
	ready, err := f.Learn(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; !ready; i++ {
		if i == len(pkts) {
			t.Fatalf("%d packets did not make the layout known", i)
		}
		if ready, err = f.Learn(pkts[i]); err != nil && !errors.Is(err, ErrOther) {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	d.layout = f.Layout()
	if err := d.layout.Header.Validate(); err != nil {
		t.Fatal(err)
	}
	c := stream.NewChunk(&d.layout.Header)
	for _, p := range pkts {
		d.add(f, c, p)
	}
	return d
}

func (d *decoded) add(f Format, c *stream.Chunk, p []byte) {
	c.Clear()
	switch err := f.Decode(c, p); {
	case errors.Is(err, ErrOther):
		d.other++
	case errors.Is(err, ErrEnd):
		d.ended = true
	case err != nil:
		d.faults = append(d.faults, err.Error())
		if c.Len != 0 || len(c.Markers) != 0 || len(c.Stamps) != 0 {
			panic("a fault left something behind: " + err.Error())
		}
		return
	}
	base := len(d.columns)
	for col := range c.Len {
		d.columns = append(d.columns, c.Column(nil, col))
		bad := make([]bool, c.Rows())
		for ch := range bad {
			bad[ch] = c.IsBad(ch, col)
		}
		d.bad = append(d.bad, bad)
	}
	for _, m := range c.Markers {
		m.Column += base
		d.markers = append(d.markers, m)
	}
	d.stamps = append(d.stamps, c.Stamps...)
	for _, r := range f.Records() {
		r.Column += base
		d.records = append(d.records, r)
	}
}

// simulated runs a simulator over some seconds.
func simulated(t testing.TB, ft *FormatType, encoder string, h *stream.Header, seconds float64, fill func(*stream.Chunk) error) (pkts [][]byte, sent [][]float64, markers []stream.Marker) {
	t.Helper()
	s, err := NewSimulator(ft.Name, query(t, encoder), h, 7, 1_600_000_000e9)
	if err != nil {
		t.Fatal(err)
	}
	columns := int64(seconds * max(s.Header.Rate, 10))
	plain := fill
	inner := *s
	s.Fill = func(c *stream.Chunk) error {
		if c.Seq >= columns {
			return io.EOF
		}
		var err error
		if plain != nil {
			err = plain(c)
		} else {
			inner.chunk, inner.Fill = c, nil
			err = inner.make(c)
		}
		if err != nil {
			return err
		}
		for col := range c.Len {
			sent = append(sent, c.Column(nil, col))
		}
		for _, m := range c.Markers {
			m.Column += int(c.Seq)
			markers = append(markers, m)
		}
		return nil
	}
	last := stream.Time(0)
	for {
		p, due, err := s.Packet(nil)
		if errors.Is(err, io.EOF) {
			return pkts, sent, markers
		}
		if err != nil {
			t.Fatal(err)
		}
		if due < last {
			t.Fatalf("packet %d is due before the one in front of it", len(pkts))
		}
		last = due
		pkts = append(pkts, p)
	}
}

func TestRoundTripOfEveryFormat(t *testing.T) {
	for _, ft := range Formats() {
		if ft.Encoder == nil {
			t.Errorf("%s has no simulator", ft.Name)
			continue
		}
		t.Run(ft.Name, func(t *testing.T) {
			pkts, sent, markers := simulated(t, &ft, ft.SimulatorURL, nil, 6, nil)
			again, _, _ := simulated(t, &ft, ft.SimulatorURL, nil, 6, nil)
			if !slices.EqualFunc(pkts, again, bytes.Equal) {
				t.Fatal("the same seed gives other bytes")
			}
			f, err := NewFormat(ft.Name, query(t, ft.URL))
			if err != nil {
				t.Fatal(err)
			}
			d := decodeAll(t, f, pkts)
			if len(d.faults) > 0 {
				t.Fatalf("%d faults, the first: %s", len(d.faults), d.faults[0])
			}
			if n := len(sent) - len(d.columns); n < 0 || n > ft.Kept {
				t.Fatalf("%d columns sent, %d decoded", len(sent), len(d.columns))
			}
			for i, col := range d.columns {
				for ch, v := range col {
					tolerance := 0.0
					if s := d.layout.Scales; s != nil && s[ch].Bit != 0 {
						tolerance = math.Abs(s[ch].Bit) * 0.5000001
					}
					if !(math.Abs(v-sent[i][ch]) <= tolerance) || d.bad[i][ch] {
						t.Fatalf("column %d channel %d: sent %v, decoded %v (bad %v)", i, ch, sent[i][ch], v, d.bad[i][ch])
					}
				}
			}
			if ft.Markers {
				if len(markers) == 0 || len(d.markers) != len(markers) {
					t.Fatalf("%d markers sent, %d decoded", len(markers), len(d.markers))
				}
				for i, m := range d.markers {
					if m.Label != markers[i].Label || m.Column != markers[i].Column {
						t.Errorf("marker %d: sent %+v, decoded %+v", i, markers[i], m)
					}
				}
			}
			checkRecords(t, d)
			// What was decoded, sent again, is decoded as the same bits.
			at := 0
			pkts2, _, _ := simulated(t, &ft, ft.SimulatorURL, nil, 6, func(c *stream.Chunk) error {
				if at == len(d.columns) {
					return io.EOF
				}
				c.Resize(min(c.Len, len(d.columns)-at))
				for col := range c.Len {
					c.SetColumn(col, d.columns[at])
					at++
				}
				return nil
			})
			f2, _ := NewFormat(ft.Name, query(t, ft.URL))
			d2 := decodeAll(t, f2, pkts2)
			if len(d2.columns) < len(d.columns)-ft.Kept {
				t.Fatalf("second time: %d columns of %d", len(d2.columns), len(d.columns))
			}
			for i := range d2.columns {
				if !slices.Equal(d2.columns[i], d.columns[i]) {
					t.Fatalf("second time, column %d: %v, not %v", i, d2.columns[i], d.columns[i])
				}
			}
		})
	}
}

// checkRecords verifies that a stream without faults shows none, and that the
// records cover all columns and carry what the layout promises.
func checkRecords(t *testing.T, d *decoded) {
	t.Helper()
	l := d.layout
	covered := 0
	var counter, index uint64
	counted, indexed := false, false
	var has Evidence
	for i, r := range d.records {
		has |= r.Has
		if r.Column != covered {
			t.Fatalf("record %d starts at column %d, not %d", i, r.Column, covered)
		}
		covered += r.Columns
		if r.Has&^l.Evidence != 0 {
			t.Fatalf("record %d has %v, the layout promises %v", i, r.Has, l.Evidence)
		}
		if r.Has&EvidenceCounter != 0 {
			if m := l.Counter.Modulus; m != 0 && r.Counter >= m {
				t.Fatalf("record %d: counter %d of modulus %d", i, r.Counter, m)
			}
			if counted && r.Counter != counter {
				t.Fatalf("record %d: counter %d, expected %d", i, r.Counter, counter)
			}
			counted = true
			if l.Counter.Step == 0 {
				counter = r.Counter + 1
			} else {
				counter = r.Counter + l.Counter.Step*uint64(r.Columns)
			}
			if l.Counter.Modulus != 0 {
				counter %= l.Counter.Modulus
			}
		}
		if r.Has&EvidenceIndex != 0 {
			if indexed && uint64(r.Index) != index {
				t.Fatalf("record %d: index %d, expected %d", i, r.Index, index)
			}
			indexed, index = true, uint64(r.Index)+uint64(r.Columns)
		}
	}
	if covered != len(d.columns) {
		t.Fatalf("records cover %d of %d columns", covered, len(d.columns))
	}
	if has != l.Evidence {
		t.Fatalf("records have %v, the layout promises %v", has, l.Evidence)
	}
	if len(d.stamps) != 0 && len(d.stamps) != len(d.columns) {
		t.Fatalf("%d stamps for %d columns", len(d.stamps), len(d.columns))
	}
	if (len(d.stamps) > 0 || has&EvidenceStamp != 0) != (l.Clock != ClockNone) {
		t.Fatalf("%d stamps, but the clock is %v", len(d.stamps), l.Clock)
	}
}

func TestNoFormatAllocates(t *testing.T) {
	for _, ft := range Formats() {
		t.Run(ft.Name, func(t *testing.T) {
			pkts, _, _ := simulated(t, &ft, ft.SimulatorURL, nil, 6, nil)
			f, err := NewFormat(ft.Name, query(t, ft.URL))
			if err != nil {
				t.Fatal(err)
			}
			d := decodeAll(t, f, pkts) // warm
			c := stream.NewChunk(&d.layout.Header)
			c.Stamps = make([]stream.Time, 0, c.Cap())
			c.Markers = make([]stream.Marker, 0, 1024)
			i := 0
			broken := slices.Clone(pkts[len(pkts)/2])
			broken = broken[:len(broken)/2]
			if n := testing.AllocsPerRun(2*len(pkts), func() {
				c.Clear()
				_ = f.Decode(c, pkts[i%len(pkts)])
				i++
				if i%7 == 0 {
					c.Clear()
					_ = f.Decode(c, broken)
				}
			}); n != 0 {
				t.Errorf("Decode allocates %v times per packet", n)
			}
			sim, err := NewSimulator(ft.Name, query(t, ft.SimulatorURL), nil, 1, 1e18)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 0, 1<<17)
			for range 2000 {
				if _, _, err := sim.Packet(buf[:0]); err != nil {
					t.Fatal(err)
				}
			}
			sim.Fill = func(c *stream.Chunk) error { return nil }
			if n := testing.AllocsPerRun(500, func() { _, _, _ = sim.Packet(buf[:0]) }); n != 0 {
				t.Errorf("Encode allocates %v times per packet", n)
			}
		})
	}
}

// Every packet cut at every length, and with every byte changed, is refused or
// decoded, without a panic and without leaving anything after a refusal.
func TestHostilePackets(t *testing.T) {
	for _, ft := range Formats() {
		t.Run(ft.Name, func(t *testing.T) {
			pkts, _, _ := simulated(t, &ft, ft.SimulatorURL, nil, 2.2, nil)
			f, err := NewFormat(ft.Name, query(t, ft.URL))
			if err != nil {
				t.Fatal(err)
			}
			d := decodeAll(t, f, pkts)
			c := stream.NewChunk(&d.layout.Header)
			try := func(p []byte) {
				d.columns, d.markers, d.records, d.bad, d.stamps = d.columns[:0], d.markers[:0], d.records[:0], d.bad[:0], d.stamps[:0]
				d.faults = d.faults[:0]
				d.add(f, c, p)
				fresh, _ := NewFormat(ft.Name, query(t, ft.URL))
				if ready, _ := fresh.Learn(nil); !ready {
					_, _ = fresh.Learn(p)
				}
				if framer, ok := f.(Framer); ok {
					if n, err := framer.Frame(p); err == nil && (n < 0 || n > framer.MaxFrame()) {
						t.Fatalf("Frame says %d", n)
					}
				}
			}
			for _, p := range append(pkts[:min(4, len(pkts)):min(4, len(pkts))], pkts[len(pkts)-1]) {
				step := max(1, len(p)/200)
				for n := 0; n < len(p); n += step {
					try(p[:n])
					q := slices.Clone(p)
					for _, x := range []byte{0x01, 0x80, 0xff} {
						q[n] = p[n] ^ x
						try(q)
					}
				}
				try(append(slices.Clone(p), 0))
				try(append(slices.Clone(p), p...))
				try(slices.Repeat(p, 8+maxDatagram/len(p))[:maxDatagram])
			}
			try(nil)
			try([]byte{0})
			try(make([]byte, maxDatagram))
			try(bytes.Repeat([]byte{0xff}, maxDatagram))
			try(bytes.Repeat([]byte("["), maxDatagram))
			try([]byte(strings.Repeat("9", maxDatagram)))
		})
	}
}

// The packets of every simulator are recognised as what they are.
func TestSniff(t *testing.T) {
	for _, ft := range Formats() {
		if ft.Like == nil {
			continue
		}
		pkts, _, _ := simulated(t, &ft, ft.SimulatorURL, nil, 1, nil)
		g := Sniff(pkts[:min(len(pkts), 8)])
		if len(g) == 0 || g[0].Name != ft.Name {
			t.Errorf("packets of %s look like %v", ft.Name, g)
		}
	}
}

func TestTableOfFormats(t *testing.T) {
	seen := map[string]bool{}
	for _, ft := range Formats() {
		if seen[ft.Name] || ft.Doc == "" || ft.Example == "" || ft.Carrier == 0 || ft.New == nil || ft.Device == nil {
			t.Errorf("%s: a line of the table is not complete, or there twice", ft.Name)
		}
		seen[ft.Name] = true
		p := NewParameters(query(t, ft.URL))
		f, err := ft.New(p)
		if err != nil || p.Finish() != nil {
			t.Errorf("%s: URL %q: %v %v", ft.Name, ft.URL, err, p.Finish())
			continue
		}
		listed := map[string]bool{}
		for _, x := range ft.Params {
			listed[x.Name] = true
		}
		for _, k := range p.known {
			if !listed[k] {
				t.Errorf("%s reads the parameter %s, which the table does not list", ft.Name, k)
			}
			delete(listed, k)
		}
		for k := range listed {
			t.Errorf("%s lists the parameter %s, which it does not read", ft.Name, k)
		}
		if _, framed := f.(Framer); framed != (ft.Carrier&TCP != 0) {
			t.Errorf("%s: carrier %d, but Framer is %v", ft.Name, ft.Carrier, framed)
		}
	}
	if _, err := NewFormat("native", query(t, "colour=red")); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown parameter: %v", err)
	}
	if _, err := NewFormat("nativ", nil); err == nil || !strings.Contains(err.Error(), "native") {
		t.Errorf("an unknown format: %v", err)
	}
}

// The README has a line for every format.
func TestReadmeNamesEveryFormat(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, ft := range Formats() {
		if !strings.Contains(string(text), "`"+ft.Name+"`") {
			t.Errorf("README.md says nothing about %s", ft.Name)
		}
	}
}
