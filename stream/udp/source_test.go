package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// scripted is a carrier of datagrams made beforehand.
type scripted struct {
	list []kept
	at   int
	d    Datagram
}

func (s *scripted) Next(time.Duration) (*Datagram, error) {
	if s.at == len(s.list) {
		return nil, io.EOF
	}
	k := &s.list[s.at]
	s.at++
	s.d = Datagram{Data: k.data, Stamp: k.stamp, From: k.from, Kernel: true}
	return &s.d, nil
}
func (s *scripted) Buffered() bool { return true }
func (s *scripted) Close() error   { return nil }

var (
	deviceAt   = netip.MustParseAddrPort("127.0.0.1:40000")
	strangerAt = netip.MustParseAddrPort("127.0.0.1:40001")
)

// epoch is when scripted streams begin.
const epoch = stream.Time(1_700_000_000e9)

func values(t testing.TB, query string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// deviceSends returns the packets of a simulated device, stamped when they are due.
func deviceSends(t testing.TB, format string, seconds float64) []kept {
	t.Helper()
	f, err := FormatNamed(format)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := NewSimulator(format, values(t, f.SimulatorURL), nil, 7, epoch)
	if err != nil {
		t.Fatal(err)
	}
	var out []kept
	for {
		p, due, err := sim.Packet(nil)
		if err != nil {
			t.Fatal(err)
		}
		if due > epoch+stream.Time(seconds*1e9) {
			return out
		}
		out = append(out, kept{p, due, deviceAt})
	}
}

// scriptedSource reads datagrams made beforehand.
func scriptedSource(t testing.TB, query string, list []kept) *Source {
	t.Helper()
	s, _, err := newSource("test", values(t, query), UDP)
	if err != nil {
		t.Fatal(err)
	}
	s.open = func(context.Context, *Source) (carrier, error) { return &scripted{list: list}, nil }
	return s
}

// result is everything that a source delivered.
type result struct {
	header  stream.Header
	columns map[int64][]float64 // by Seq
	order   []int64
	times   []stream.Time
	flags   map[int64]stream.Flags
	events  map[stream.Kind]int64 // sums of Count
	list    []stream.Event
	markers map[int64]string
	counts  Counts
}

func readAll(t testing.TB, s *Source) *result {
	t.Helper()
	h, err := s.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &result{header: h, columns: map[int64][]float64{}, flags: map[int64]stream.Flags{}, events: map[stream.Kind]int64{}, markers: map[int64]string{}}
	c := stream.NewChunk(&h)
	next := int64(0)
	for {
		if err := s.Read(c); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if c.Len > 0 && c.Seq != next && !c.Flags.Broken() {
			t.Fatalf("chunk begins at %d, the last ended before %d, without a flag", c.Seq, next)
		}
		for i := range c.Len {
			seq := c.Seq + int64(i)
			if r.columns[seq] != nil {
				t.Fatalf("column %d came twice", seq)
			}
			r.columns[seq] = c.Column(nil, i)
			r.order = append(r.order, seq)
			r.times = append(r.times, c.T0+stream.Time(float64(i)/max(h.Rate, 1)*1e9))
		}
		if c.Len > 0 {
			next = c.Seq + int64(c.Len)
			if c.Flags.Broken() {
				r.flags[c.Seq] = c.Flags
			}
		}
		for _, m := range c.Markers {
			r.markers[c.Seq+int64(m.Column)] += m.Label
		}
		for _, e := range c.Events {
			r.events[e.Kind] += e.Count
			r.list = append(r.list, e)
		}
	}
	r.counts = s.Counts()
	return r
}

// damage is what was done to a list of datagrams.
type damage struct {
	dropped, doubled, reordered, corrupted int64 // datagrams
}

// impair drops, doubles, swaps and corrupts datagrams, never the first and last few, so
// that every loss has something on both sides.
func impair(list []kept, seed uint64, drop, double, reorder, corrupt float64, spoil func([]byte) []byte) ([]kept, damage) {
	r := rand.New(rand.NewPCG(seed, 1))
	var d damage
	var out []kept
	const margin = 20
	for i := 0; i < len(list); i++ {
		k := list[i]
		switch x := r.Float64(); {
		case i < margin || i >= len(list)-margin:
			out = append(out, k)
		case x < drop:
			d.dropped++
		case x < drop+double:
			d.doubled++
			copied := k
			copied.stamp += 20_000
			out = append(out, k, copied)
		case x < drop+double+reorder:
			d.reordered++
			a, b := k, list[i+1]
			i++
			a.stamp = b.stamp + 10_000
			out = append(out, b, a)
		case x < drop+double+reorder+corrupt:
			d.corrupted++
			k.data = spoil(bytes.Clone(k.data))
			out = append(out, k)
		default:
			out = append(out, k)
		}
	}
	return out, d
}

// flip damages one byte: a checksum finds it.
func flip(b []byte) []byte {
	b[len(b)/2] ^= 0x55
	return b
}

// cut shortens a packet: its length betrays it.
func cut(b []byte) []byte { return b[:len(b)-1] }

// Reported counts equal injected counts, exactly, for every format with evidence.
func TestLossIsCountedExactly(t *testing.T) {
	for _, c := range []struct {
		format, query string
		per           int64 // columns of a datagram; 0 = as the clean run says
		spoil         func([]byte) []byte
	}{
		{"native", "format=native", 10, flip},
		{"unicorn", "format=unicorn", 1, cut},
		{"brainflow", "format=brainflow&board=cyton", 3, cut},
		{"petal-osc", "format=petal-osc", 1, cut},
		{"neurosity-osc", "format=neurosity-osc&rate=256&stamp=ms", 1, cut},
		{"emotibit", "format=emotibit&data=AX,AY,AZ&rate=25", 5, func(b []byte) []byte { return b[:9] }},
	} {
		t.Run(c.format, func(t *testing.T) {
			clean := deviceSends(t, c.format, 40)
			clean = slices.DeleteFunc(clean, func(k kept) bool { // descriptions carry no columns
				return c.format == "native" && k.data[6]&nativeDescription != 0 && k.stamp > epoch
			})
			want := readAll(t, scriptedSource(t, c.query, clean))
			if n := want.counts; n.Missing+n.Doubles+n.Reordered+n.Late+n.Malformed+n.Restarts != 0 {
				t.Fatalf("a clean stream is reported as %+v", n)
			}
			seeds := uint64(5)
			if testing.Short() {
				seeds = 1
			}
			for seed := range seeds {
				list, d := impair(clean, seed, 0.05, 0.03, 0.03, 0.02, c.spoil)
				got := readAll(t, scriptedSource(t, c.query, list))
				n := got.counts
				missing := (d.dropped + d.corrupted) * c.per
				if n.Missing != missing || got.events[stream.EventGap] != missing {
					t.Errorf("seed %d: %d columns missing in counts, %d in events; %d datagrams dropped and %d corrupted are %d columns", seed, n.Missing, got.events[stream.EventGap], d.dropped, d.corrupted, missing)
				}
				if n.Doubles != d.doubled || got.events[stream.EventDouble] != d.doubled {
					t.Errorf("seed %d: %d doubles, %d in events, not %d", seed, n.Doubles, got.events[stream.EventDouble], d.doubled)
				}
				if n.Reordered != d.reordered || n.Late != 0 || got.events[stream.EventReorder] != d.reordered {
					t.Errorf("seed %d: %d re-ordered and %d late, not %d", seed, n.Reordered, n.Late, d.reordered)
				}
				if n.Malformed != d.corrupted || got.events[stream.EventMalformed] != d.corrupted {
					t.Errorf("seed %d: %d malformed, not %d", seed, n.Malformed, d.corrupted)
				}
				if n.Estimated != 0 || n.Restarts != 0 {
					t.Errorf("seed %d: %+v", seed, n)
				}
				// What did arrive stands where it stood.
				for seq, col := range got.columns {
					if fmt.Sprint(col) != fmt.Sprint(want.columns[seq]) {
						t.Fatalf("seed %d: column %d is %v, not %v", seed, seq, col, want.columns[seq])
					}
				}
				if int64(len(got.columns))+missing != int64(len(want.columns)) {
					t.Errorf("seed %d: %d columns and %d missing, of %d", seed, len(got.columns), missing, len(want.columns))
				}
			}
		})
	}
}

// jittered delays arrivals by an exponential time, as networks do, and keeps their
// order.
func jittered(list []kept, seed uint64, mean time.Duration) []kept {
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([]kept, len(list))
	newest := stream.Time(0)
	for i, k := range list {
		k.stamp += stream.Time(r.ExpFloat64() * float64(mean))
		newest = max(newest, k.stamp)
		k.stamp = newest
		out[i] = k
	}
	return out
}

// Without evidence the documented estimate holds within 1 % of what was lost.
func TestLossIsEstimatedFromArrivals(t *testing.T) {
	for _, c := range []struct {
		format, query string
		per           int64
		jitter        time.Duration
		drift         float64
	}{
		{"openbci-json", "format=openbci-json&rate=250", 10, 0, 0},
		{"openbci-json", "format=openbci-json&rate=250", 10, 3 * time.Millisecond, 1e-4},
		{"openbci-json", "format=openbci-json&rate=250", 10, 5 * time.Millisecond, -5e-3},
		{"muse-osc", "format=muse-osc", 1, 300 * time.Microsecond, 5e-5},
	} {
		if testing.Short() && c.drift < 0 {
			continue // ten minutes of data take their time under the race detector
		}
		t.Run(fmt.Sprintf("%s jitter %v drift %g", c.format, c.jitter, c.drift), func(t *testing.T) {
			clean := deviceSends(t, c.format, 600)
			for i := range clean {
				clean[i].stamp = epoch + stream.Time(float64(clean[i].stamp-epoch)*(1+c.drift))
			}
			if got := readAll(t, scriptedSource(t, c.query, jittered(clean, 9, c.jitter))); got.counts.Estimated != 0 {
				t.Errorf("nothing was lost, but %d columns are estimated", got.counts.Estimated)
			}
			for seed := range uint64(3) {
				list, d := impair(jittered(clean, seed, c.jitter), seed, 0.05, 0.02, 0, 0, nil)
				got := readAll(t, scriptedSource(t, c.query, list))
				lost := float64(d.dropped * c.per)
				if e := math.Abs(float64(got.counts.Estimated)-lost) / lost; e > 0.01 {
					t.Errorf("seed %d: %d columns estimated, %.0f lost: %.2f %% off", seed, got.counts.Estimated, lost, 100*e)
				}
				if got.events[stream.EventGap] != got.counts.Estimated {
					t.Errorf("seed %d: events say %d, counts %d", seed, got.events[stream.EventGap], got.counts.Estimated)
				}
				if c.per > 1 && got.counts.Doubles != d.doubled {
					t.Errorf("seed %d: %d doubles, not %d", seed, got.counts.Doubles, d.doubled)
				}
			}
		})
	}
}

// Chunks may be cut in any way, and late reading changes nothing.
func TestTimeIsALine(t *testing.T) {
	list := jittered(deviceSends(t, "unicorn", 60), 3, 2*time.Millisecond)
	r := readAll(t, scriptedSource(t, "format=unicorn", list))
	worst := 0.0
	for i := 1; i < len(r.times); i++ {
		d := (r.times[i] - r.times[i-1]).Seconds()
		if d < 0 {
			t.Fatalf("time steps back at column %d", i)
		}
		worst = math.Max(worst, math.Abs(d-1.0/250))
	}
	if worst > 0.0001 {
		t.Errorf("intervals differ by up to %.1f µs from 4 ms; jitter is 2 ms", worst*1e6)
	}
	// After a minute the earliest arrivals tell the time: exact but for the least delay.
	last := len(r.times) - 1
	truth := epoch + stream.Time(float64(last+1)/250*1e9)
	if off := math.Abs((r.times[last] - truth).Seconds()); off > 0.001 {
		t.Errorf("the last column is placed %.2f ms off", off*1e3)
	}
}

func TestRateChangeIsReported(t *testing.T) {
	list := deviceSends(t, "unicorn", 60)
	for i := range list { // the device's clock runs 2 % slow
		list[i].stamp = epoch + stream.Time(float64(list[i].stamp-epoch)*1.02)
	}
	r := readAll(t, scriptedSource(t, "format=unicorn", list))
	found := false
	for _, e := range r.list {
		if e.Kind == stream.EventRateChange {
			found = true
			if hz := float64(e.Count) / 1000; hz > 249 || hz < 244 {
				t.Errorf("measured %v Hz, true are 245.1", hz)
			}
		}
	}
	if !found || r.counts.Missing != 0 {
		t.Errorf("rate change reported: %v; %+v", found, r.counts)
	}
}

func TestCounterComesRound(t *testing.T) {
	// An 8-bit counter of packets, 250 a second: losses of less than half a turn, of
	// nearly a turn, and of more than one.
	l := &Layout{Header: stream.Header{Rate: 250}, Evidence: EvidenceCounter, Counter: Counter{Modulus: 256}}
	tr := tracker{layout: l, rate: 250}
	n := int64(0)
	send := func() position {
		r := Record{Columns: 1, Has: EvidenceCounter, Counter: uint64(n % 256)}
		at := epoch + stream.Time(float64(n)/250*1e9)
		p := tr.locate(&r, at, uint64(n))
		tr.advance(&r, &p, at, uint64(n))
		n++
		return p
	}
	for range 600 {
		if p := send(); p.verdict != follows {
			t.Fatalf("packet %d: %+v", n, p)
		}
	}
	for _, lost := range []int64{1, 2, 100, 127, 128, 200, 222, 255, 256, 257, 700, 2000} {
		if lost > 222 && lost < 250 {
			continue
		}
		before := tr.next
		n += lost
		if p := send(); p.verdict != ahead && lost%256 != 0 || p.at-before != lost {
			t.Errorf("%d packets lost: %+v, %d before", lost, p, before)
		}
		for range 10 {
			send()
		}
	}
}

func TestSenders(t *testing.T) {
	list := deviceSends(t, "unicorn", 4)
	var mixed []kept
	for i, k := range list {
		mixed = append(mixed, k)
		if i%10 == 5 {
			k.from, k.stamp = strangerAt, k.stamp+1000
			mixed = append(mixed, k)
		}
	}
	r := readAll(t, scriptedSource(t, "format=unicorn", mixed))
	if r.counts.Strangers != 100 || r.counts.Doubles != 0 || len(r.columns) != 1000 {
		t.Errorf("%+v", r.counts)
	}
	// The sender comes back from another port after a silence.
	again := append([]kept(nil), list...)
	for _, k := range list {
		k.from, k.stamp = strangerAt, k.stamp+stream.Time(10e9)
		again = append(again, k)
	}
	r = readAll(t, scriptedSource(t, "format=unicorn", again))
	if r.counts.Restarts != 1 || len(r.columns) != 2000 || r.flags[1000] != stream.Restart {
		t.Errorf("%+v, %d columns, flags %v", r.counts, len(r.columns), r.flags)
	}
	// One that begins anew from the same port.
	for i := range again {
		again[i].from = deviceAt
	}
	r = readAll(t, scriptedSource(t, "format=unicorn", again))
	if r.counts.Restarts != 1 || len(r.columns) < 1900 {
		t.Errorf("%+v, %d columns", r.counts, len(r.columns))
	}
}

func TestMarkersSurviveTrouble(t *testing.T) {
	clean := deviceSends(t, "native", 30)
	want := readAll(t, scriptedSource(t, "format=native", clean))
	if len(want.markers) < 10 {
		t.Fatalf("%d markers", len(want.markers))
	}
	list, _ := impair(clean, 4, 0, 0.2, 0.2, 0, nil)
	got := readAll(t, scriptedSource(t, "format=native", list))
	if fmt.Sprint(got.markers) != fmt.Sprint(want.markers) {
		t.Errorf("markers %v\nnot %v", got.markers, want.markers)
	}
}

// What a wrong format or a strange datagram does.
func TestWrongFormatIsRecognised(t *testing.T) {
	unicorn := deviceSends(t, "unicorn", 2)
	_, err := scriptedSource(t, "format=openbci-json&rate=250", unicorn).Open(context.Background())
	var f *FormatError
	if !errors.As(err, &f) || !bytes.Contains([]byte(err.Error()), []byte("write format=unicorn")) {
		t.Errorf("%v", err)
	}
	_, err = scriptedSource(t, "", deviceSends(t, "openbci-json", 2)).Open(context.Background())
	if !errors.As(err, &f) || !bytes.Contains([]byte(err.Error()), []byte("write format=openbci-json")) {
		t.Errorf("%v", err)
	}
}

func TestOddDatagramsAreQuarantined(t *testing.T) {
	list := deviceSends(t, "unicorn", 4)
	var mixed []kept
	for i, k := range list {
		mixed = append(mixed, k)
		switch i {
		case 100:
			mixed = append(mixed, kept{[]byte{7}, k.stamp, k.from})
		case 200:
			mixed = append(mixed, kept{make([]byte, 65507), k.stamp, k.from})
		case 300:
			mixed = append(mixed, kept{nil, k.stamp, k.from})
		}
	}
	s := scriptedSource(t, "format=unicorn", mixed)
	r := readAll(t, s)
	if r.counts.Malformed != 3 || r.counts.Missing != 0 || len(r.columns) != 1000 {
		t.Errorf("%+v, %d columns", r.counts, len(r.columns))
	}
	q := s.Quarantine()
	if len(q) != 3 || q[0].Size != 1 || q[1].Size != 65507 || q[0].Why == "" {
		t.Errorf("%+v", q)
	}
	var b strings.Builder
	if err := WriteQuarantine(&b, q); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"from 127.0.0.1:40000, 1 bytes: unicorn: byte 0: length (got 1, want 68)\n00000000  07 ", "65507 bytes: ", "63459 more bytes were not kept\n", ", 0 bytes: ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the quarantine as text lacks %q:\n%.300s", want, b.String())
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	for _, query := range []string{"format=native", "format=unicorn", "format=brainflow&board=cyton"} {
		name := values(t, query).Get("format")
		s := scriptedSource(t, query, deviceSends(t, name, 200))
		h, err := s.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		c := stream.NewChunk(&h)
		h.MaxLen = s.maxLen
		small := stream.NewChunk(&h) // so that every datagram is a chunk
		for range 400 {
			if err := s.Read(small); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(500, func() { _ = s.Read(small) }); n != 0 {
			t.Errorf("%s: %v allocations per chunk", name, n)
		}
		_ = c
	}
}

// Any cut into datagrams, any damage: never a panic, never a column twice.
func FuzzSource(f *testing.F) {
	for _, name := range []string{"native", "unicorn"} {
		var seed []byte
		for _, k := range deviceSends(f, name, 0.2) {
			seed = append(seed, byte(len(k.data)), byte(len(k.data)>>8))
			seed = append(seed, k.data...)
		}
		f.Add(seed, name == "native")
	}
	f.Fuzz(func(t *testing.T, data []byte, native bool) {
		name := "unicorn"
		if native {
			name = "native"
		}
		list := deviceSends(t, name, 0.2)
		at := list[len(list)-1].stamp
		for len(data) >= 2 {
			n := int(data[0]) | int(data[1])<<8
			data = data[2:]
			n = min(n, len(data))
			at += stream.Time(n) * 1e6
			list = append(list, kept{data[:n], at, deviceAt})
			data = data[n:]
		}
		readAll(t, scriptedSource(t, "format="+name, list))
	})
}
