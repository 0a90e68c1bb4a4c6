package server

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"neurostream/decoders"
	"neurostream/stream"
)

// quiet is a server whose pages' clock the test moves: a frame goes with every tick.
func quiet(o Options) (s *Server, tick func()) {
	now := time.Unix(1000, 0)
	o.now = func() time.Time { return now }
	return New(o), func() { now = now.Add(time.Second) }
}

// sent returns the binary frames of a kind that the server remembers.
func sent(t *testing.T, s *Server, history int) []decoded {
	t.Helper()
	var out []decoded
	for _, e := range s.hub.past[history].entries {
		out = append(out, decode(t, e.frame.buf))
	}
	return out
}

func open(t *testing.T, sink stream.Sink, h stream.Header) *stream.Chunk {
	t.Helper()
	if err := sink.Open(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	return stream.NewChunk(&h)
}

func header(rate float64, rows, length int) stream.Header {
	h := stream.Header{Name: "test", Rate: rate, MaxLen: length}
	for r := range rows {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", r), Unit: "uV"})
	}
	return h
}

// TestDecimation compares with the plain way: least and greatest of every stretch of
// samples, wherever the chunks begin and end.
func TestDecimation(t *testing.T) {
	const rows, total = 11, 4000
	sample := func(r int, i int64) float64 { return math.Sin(float64(i)*0.13+float64(r)) * float64(r+1) }
	for _, block := range []int{1, 7, 25, 479} {
		s, tick := quiet(Options{})
		g := s.Signals()
		c := open(t, g, header(1000, rows, 479))
		for at := int64(0); at < total; at += int64(block) {
			c.Clear()
			c.Resize(min(block, int(total-at)))
			c.Seq, c.T0 = at, stream.Time(at*1e6)
			for i := range c.Len {
				for r := range rows {
					c.Set(r, i, sample(r, at+int64(i)))
				}
			}
			tick()
			if err := g.Write(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		column := int64(0)
		for _, f := range sent(t, s, pastSignals) {
			if f.Planes != 2 || int64(f.First) != column || f.Flags != 0 || math.Abs(f.Time-float64(column)*0.004) > 1e-9 {
				t.Fatalf("block %d: frame %+v where column %d is due", block, f, column)
			}
			for i := range f.Columns {
				for r := range rows {
					lo, hi := math.Inf(1), math.Inf(-1)
					for k := range int64(4) { // 1000 Hz, at most 256 columns a second
						v := sample(r, (column+int64(i))*4+k)
						lo, hi = min(lo, v), max(hi, v)
					}
					if got := f.Values[r*f.Columns+i]; got != float32(lo) {
						t.Fatalf("block %d row %d column %d: least %v, not %v", block, r, i, got, lo)
					}
					if got := f.Values[(rows+r)*f.Columns+i]; got != float32(hi) {
						t.Fatalf("block %d row %d column %d: greatest %v, not %v", block, r, i, got, hi)
					}
				}
			}
			column += int64(f.Columns)
		}
		if column != total/4 {
			t.Errorf("block %d: %d columns, not %d", block, column, total/4)
		}
	}
}

func TestSignalsShowGapsBadSamplesAndSpeed(t *testing.T) {
	s, tick := quiet(Options{})
	g := s.Signals()
	c := open(t, g, header(100, 10, 50))
	write := func(seq int64, n int, flags stream.Flags, change func()) {
		c.Clear()
		c.Resize(n)
		c.Seq, c.Flags = seq, flags
		for i := range n {
			for r := range 10 {
				c.Set(r, i, float64(r))
			}
		}
		if change != nil {
			change()
		}
		if err := g.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 10, 0, nil)                           // the first goes at once
	write(10, 5, 0, func() { c.Set(1, 0, nan()) }) // waits
	write(20, 5, stream.Gap, func() { c.MarkBad(9, 2) })
	tick()
	write(25, 1, 0, nil)
	tick()
	write(0, 2, stream.Restart, nil)
	for range 40 { // faster than any screen: more than there is room for
		write(2, 50, 0, nil)
		c.Seq += 50
	}
	got := sent(t, s, pastSignals)
	want := []struct{ first, columns, flags int }{{0, 10, 0}, {10, 5, 0}, {20, 6, flagGap}, {0, 2, flagGap | flagRestart}}
	if len(got) < len(want) {
		t.Fatalf("%d frames", len(got))
	}
	for i, w := range want {
		if f := got[i]; int(f.First) != w.first || f.Columns != w.columns || f.Flags != w.flags {
			t.Errorf("frame %d: first %v, %d columns, flags %b, not %+v", i, f.First, f.Columns, f.Flags, w)
		}
	}
	if got[1].Values[5] != 0 {
		t.Errorf("a sample that is not a number is shown as %v", got[1].Values[5])
	}
	if b := got[2].Bad; len(b) != 1 || b[0] != 9 {
		t.Errorf("bad rows %v, not 9", b)
	}
	b := newBlock(kindSignals, 1, 1, 4)
	for i := range int64(6) {
		b.add(i, float64(i))
	}
	if b.n != 2 || b.first != 4 || b.flags != flagSkipped {
		t.Errorf("a block that overflows holds %d columns from %d, flags %b", b.n, b.first, b.flags)
	}
}

func gate(classes ...string) stream.Header {
	h := stream.Header{Name: "gate", Rate: 10, MaxLen: 8}
	for _, c := range classes {
		h.Channels = append(h.Channels, stream.Channel{Label: c, Type: decoders.TypeProbability})
	}
	h.Channels = append(h.Channels, stream.Channel{Label: "decision", Type: decoders.TypeDecision}, stream.Channel{Label: "command", Type: decoders.TypeDecision})
	return h
}

// TestTruthAndOutcomes plays a small session column by column: markers above, true
// class and command below, and the verdicts they lead to.
func TestTruthAndOutcomes(t *testing.T) {
	s, tick := quiet(Options{Truth: testTruth, Idle: "rest"})
	d := s.Decisions()
	c := open(t, d, gate("left", "right"))
	const left, right, rest, unknown = 0, 1, 2, -1
	columns := []struct {
		marker   string
		duration float64
		truth    float32
		command  float64
	}{
		{"", 0, unknown, left}, // unscored
		{"T0", 0.25, rest, -1},
		{"", 0, rest, right}, // false activation
		{"other", 1, rest, -1},
		{"", 0, unknown, -1}, // the rest is over after 0.25 s
		{"T1", 0, left, -1},
		{"", 0, left, left},  // hit
		{"", 0, left, right}, // the trial is decided: unscored
		{"T2", 0, right, -1},
		{"", 0, right, left}, // wrong
		{"T1", 0, left, -1},
		{"T0", 0, rest, -1}, // missed
		{"", 0, rest, rest}, // a command to do nothing is none
	}
	var truths []float32
	for block := range 2 { // one by one, then all at once from a fresh start
		if block == 1 {
			d = s.Decisions()
			c = open(t, d, gate("left", "right"))
			truths = nil
		}
		size := []int{1, 8}[block]
		for at := 0; at < len(columns); at += size {
			c.Clear()
			c.Resize(min(size, len(columns)-at))
			c.Seq, c.T0 = int64(at), stream.Time(at)*1e8+1e9
			for i := range c.Len {
				col := columns[at+i]
				if col.marker != "" {
					c.Markers = append(c.Markers, stream.Marker{Column: i, Label: col.marker, Time: c.T0 + stream.Time(i)*1e8, Duration: col.duration})
				}
				c.SetColumn(i, []float64{0.5, 0.5, -1, col.command})
			}
			tick()
			if err := d.Write(c); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range sent(t, s, pastDecisions) {
			if f.Rows != 5 {
				t.Fatalf("%d rows, not four and the truth", f.Rows)
			}
			truths = append(truths, f.Values[4*f.Columns:]...)
		}
		if len(truths) != len(columns) {
			t.Fatalf("%d columns of truth, not %d", len(truths), len(columns))
		}
		for i, col := range columns {
			if truths[i] != col.truth {
				t.Errorf("blocks of %d, column %d: truth %v, not %v", size, i, truths[i], col.truth)
			}
		}
		want := Tally{Trials: 3, Hits: 1, Wrong: 1, Missed: 1, False: 1, LastTruth: "left", LastResult: "missed"}
		got := s.report().Tally
		if math.Abs(got.IdleS-0.5) > 1e-9 {
			t.Errorf("idle for %v s, not 0.5", got.IdleS)
		}
		got.IdleS = 0
		if got != want {
			t.Errorf("blocks of %d: tally %+v, not %+v", size, got, want)
		}
	}
}

func TestClassNumbers(t *testing.T) {
	for in, want := range map[float64]int{0: 0, 1.2: 1, -1: -1, -0.2: 0, 1e9: -1, math.Inf(1): -1} {
		if got := classNumber(in); got != want {
			t.Errorf("classNumber(%v) = %d, not %d", in, got, want)
		}
	}
	if classNumber(nan()) != -1 {
		t.Error("not a number is a class")
	}
	h := gate("left", "right")
	if got := fmt.Sprint(classNames(&h, map[string]string{"a": "rest", "b": "left", "c": "feet"})); got != "[left right feet rest]" {
		t.Errorf("classes %s", got)
	}
}

// TestEventsOnce sees that an event that travels to three sinks is listed once.
func TestEventsOnce(t *testing.T) {
	s, _ := quiet(Options{})
	y := newSynthetic(t, s, 160, 16)
	e := stream.Event{Kind: stream.EventGap, Seq: 5, Count: 3, Origin: "udp"}
	for _, c := range []struct {
		sink  stream.Sink
		chunk *stream.Chunk
	}{{y.signals, y.raw}, {y.decisions, y.rows}, {y.power, y.features}} {
		c.chunk.Clear()
		c.chunk.Events = append(c.chunk.Events, e)
		if err := c.sink.Write(c.chunk); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.hub.past[pastNotes].entries); n != 1 {
		t.Errorf("one event is listed %d times", n)
	}
}

// TestLatecomer connects after the data came: the page gets the session's
// description, what lies in the past, and then the present.
func TestLatecomer(t *testing.T) {
	s := serving(t, Options{Addr: "127.0.0.1:0", Truth: testTruth})
	now := time.Now()
	s.opts.now = func() time.Time { now = now.Add(frameInterval); return now }
	y := newSynthetic(t, s, 160, 16)
	for range 600 { // a minute, of which half is kept
		y.step(t)
	}
	c := dial(t, s)
	if m := next(t, c); m.kind != "hello" {
		t.Fatalf("the first message is %s", m.kind)
	}
	var first, last float64 = -1, -1
	powers, marks := 0, 0
	wait(t, c, func(m heard) bool {
		switch {
		case m.kind == "marks":
			marks++
		case m.Kind == kindPower:
			powers++
		case m.Kind == kindSignals:
			if first < 0 {
				first = m.First
			} else if m.First != last {
				t.Errorf("column %v follows %v", m.First, last)
			}
			last = m.First + float64(m.Columns)
		}
		return last == 600*16 && powers > 0 && marks > 10
	})
	if held := last - first; held < 29*160 || held > 32*160 {
		t.Errorf("%v columns of the past, not about thirty seconds", held)
	}
}

// TestManyPages sees that frames prepared once for many reach them all.
func TestManyPages(t *testing.T) {
	s := serving(t, Options{Addr: "127.0.0.1:0"})
	y := newSynthetic(t, s, 160, 16)
	var pages []*websocket.Conn
	for range manyClients + 2 {
		pages = append(pages, dial(t, s))
		next(t, pages[len(pages)-1])
	}
	y.step(t)
	want := sent(t, s, pastSignals)[0]
	for i, c := range pages {
		m := wait(t, c, func(m heard) bool { return m.Kind == kindSignals })
		if m.First != want.First || len(m.Values) != len(want.Values) || m.Values[77] != want.Values[77] {
			t.Errorf("page %d got another frame", i)
		}
	}
}

func TestSinksRefuse(t *testing.T) {
	h := header(10, math.MaxUint16+1, 1)
	s := New(Options{})
	for _, sink := range []stream.Sink{s.Signals(), s.Decisions(), s.BandPower()} {
		if err := sink.Open(context.Background(), h); err == nil || err.Error() != `stream "test" has 65536 rows; the page takes up to 65535: select some before it` {
			t.Errorf("%T: %v", sink, err)
		}
		if err := sink.Close(); err != nil {
			t.Errorf("%T: closing what never opened: %v", sink, err)
		}
	}
}

// BenchmarkSignals is the cost of a chunk to the goroutine of the sink, with nobody
// watching: 64 channels, 16 columns.
func BenchmarkSignals(b *testing.B) {
	for _, rate := range []float64{160, 1000, 30000} {
		b.Run(fmt.Sprintf("%v Hz", rate), func(b *testing.B) {
			s := New(Options{})
			g := s.Signals()
			h := header(rate, 64, 16)
			if err := g.Open(context.Background(), h); err != nil {
				b.Fatal(err)
			}
			c := stream.NewChunk(&h)
			c.Resize(16)
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Write(c); err != nil {
					b.Fatal(err)
				}
				c.Seq += 16
				c.T0 += stream.Time(16e9 / rate)
			}
		})
	}
}
