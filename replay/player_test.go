package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"neurostream/recordings"
	"neurostream/recordings/samples"
	"neurostream/stream"

	"pgregory.net/rapid"
)

// memory is a recording whose sample of channel ch at column i is 1000·ch + i + base.
type memory struct {
	rate        float64
	labels      []string
	n           int64
	base        float64
	gaps        []recordings.Gap
	annotations []recordings.Annotation
	bad         int64 // column marked bad on the first channel; -1 = none
	short       int64 // ReadAt says io.EOF from here on; 0 = never
	closed      int
}

func newMemory(rate float64, n int64) *memory {
	return &memory{rate: rate, n: n, labels: []string{"C3", "Cz", "C4"}, bad: -1}
}

func (m *memory) Header() stream.Header {
	h := stream.Header{Name: "memory", Rate: m.rate, MaxLen: 32}
	for _, l := range m.labels {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	return h
}
func (m *memory) Len() int64             { return m.n }
func (m *memory) Start() time.Time       { return time.Time{} }
func (m *memory) Gaps() []recordings.Gap { return m.gaps }
func (m *memory) Annotations() []recordings.Annotation {
	return m.annotations
}
func (m *memory) Info() recordings.Info { return recordings.Info{} }
func (m *memory) Close() error          { m.closed++; return nil }
func (m *memory) value(ch int, col int64) float64 {
	return 1000*float64(ch) + float64(col) + m.base
}

func (m *memory) ReadAt(dst *stream.Chunk, from int64) error {
	if from >= m.n || m.short > 0 && from >= m.short {
		return io.EOF
	}
	dst.Resize(int(min(int64(dst.Cap()), m.n-from)))
	for i := range dst.Len {
		for ch := range m.labels {
			dst.Set(ch, i, m.value(ch, from+int64(i)))
		}
		if from+int64(i) == m.bad {
			dst.MarkBad(0, i)
		}
	}
	return nil
}

// played is a stream, column by column.
type played struct {
	header  stream.Header
	seq     []int64
	t0      []stream.Time
	first   []float64 // first channel
	bad     []bool
	broken  map[int64]stream.Flags // by Seq
	markers map[int64]string
	at      map[string]stream.Time
	events  []stream.Event
	lengths []int
}

// play reads at most limit columns.
func play(t *testing.T, p *Player, limit int) *played {
	t.Helper()
	h, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out := &played{header: h, broken: map[int64]stream.Flags{}, markers: map[int64]string{}, at: map[string]stream.Time{}}
	c := stream.NewChunk(&h)
	for len(out.seq) < limit {
		err := p.Read(c)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Len {
			out.seq = append(out.seq, c.Seq+int64(i))
			out.t0 = append(out.t0, c.T0+nanoseconds(float64(i)/h.Rate))
			out.first = append(out.first, c.At(0, i))
			out.bad = append(out.bad, c.IsBad(0, i))
		}
		if c.Flags&stream.Bad != 0 != slices.Contains(out.bad[len(out.bad)-c.Len:], true) {
			t.Errorf("chunk at %d: Bad flag does not say what its marks say", c.Seq)
		}
		if f := c.Flags &^ stream.Bad; f != 0 {
			out.broken[c.Seq] = f
		}
		for _, m := range c.Markers {
			if m.Column < 0 || m.Column >= c.Len {
				t.Fatalf("marker %v outside its chunk of %d columns", m, c.Len)
			}
			out.markers[c.Seq+int64(m.Column)] += m.Label
			out.at[m.Label] = m.Time
		}
		out.events = append(out.events, c.Events...)
		out.lengths = append(out.lengths, c.Len)
	}
	return out
}

func TestPlayerIsLosslessForEveryBlock(t *testing.T) {
	m := newMemory(160, 1000)
	m.bad = 400
	m.annotations = []recordings.Annotation{{Onset: 0, Label: "a"}, {Onset: 2.5, Duration: 4.1, Label: "b"}, {Onset: 999.0 / 160, Label: "c"}, {Onset: 7, Label: "late"}}
	for _, block := range []int{0, 1, 7, 25, 64, 250, 479, 5000} {
		got := play(t, &Player{Recordings: []recordings.Recording{m}, Block: block}, math.MaxInt)
		if want := map[int]int{0: 6}[block]; want != 0 && got.header.MaxLen != want {
			t.Errorf("default block %d, want %d", got.header.MaxLen, want)
		}
		if len(got.seq) != 1000 {
			t.Fatalf("blocks of %d: %d columns", block, len(got.seq))
		}
		for i := range got.seq {
			if got.seq[i] != int64(i) || got.first[i] != float64(i) || got.bad[i] != (i == 400) || got.t0[i]-nanoseconds(float64(i)/160) > 1 {
				t.Fatalf("blocks of %d, column %d: Seq %d, T0 %d, value %v, bad %v", block, i, got.seq[i], got.t0[i], got.first[i], got.bad[i])
			}
		}
		if want := (map[int64]string{0: "a", 400: "b", 999: "c"}); !mapsEqual(got.markers, want) {
			t.Errorf("blocks of %d: markers %v, want %v", block, got.markers, want)
		}
		if len(got.broken) != 0 || len(got.events) != 0 {
			t.Errorf("blocks of %d: flags %v, events %v in an unbroken recording", block, got.broken, got.events)
		}
	}
}

func mapsEqual[K, V comparable](a, b map[K]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

func TestPlayerGaps(t *testing.T) {
	m := newMemory(100, 300)
	m.gaps = []recordings.Gap{{Column: 100, Seconds: 0.504}, {Column: 200, Seconds: 0.504}}
	m.annotations = []recordings.Annotation{{Onset: 1.2, Label: "lost"}, {Onset: 1.7, Label: "found"}}
	for _, block := range []int{1, 7, 64, 479} {
		p := &Player{Recordings: []recordings.Recording{m}, Block: block}
		got := play(t, p, math.MaxInt)
		// 50.4 columns are missing twice: 50 the first time, 51 the second.
		for i := range got.seq {
			want, when := int64(i), float64(i)/100
			if i >= 100 {
				want, when = want+50, when+0.504
			}
			if i >= 200 {
				want, when = want+51, when+0.504
			}
			if got.seq[i] != want || got.t0[i] != nanoseconds(when) || got.first[i] != float64(i) {
				t.Fatalf("blocks of %d, column %d: Seq %d, want %d; T0 %d, want %d", block, i, got.seq[i], want, got.t0[i], nanoseconds(when))
			}
		}
		if want := (map[int64]stream.Flags{150: stream.Gap, 301: stream.Gap}); !mapsEqual(got.broken, want) {
			t.Errorf("blocks of %d: flags %v, want %v", block, got.broken, want)
		}
		if len(got.events) != 2 || got.events[0].Kind != stream.EventGap || got.events[0].Count != 50 || got.events[0].Seq != 150 || got.events[1].Count != 51 || got.events[1].Seq != 301 {
			t.Errorf("blocks of %d: events %v", block, got.events)
		}
		if want := (map[int64]string{150: "lost", 169: "found"}); !mapsEqual(got.markers, want) {
			t.Errorf("blocks of %d: markers %v, want %v", block, got.markers, want)
		}
		if got.at["lost"] != nanoseconds(1.2) {
			t.Errorf("a marker inside a gap happened at %v, want its own time", got.at["lost"])
		}
		if p.Columns() != 401 {
			t.Errorf("one round takes %d columns, want 401", p.Columns())
		}
	}
}

func TestPlayerFromTo(t *testing.T) {
	m := newMemory(100, 1000)
	m.gaps = []recordings.Gap{{Column: 150, Seconds: 1}} // before From: counts in time, not in Seq
	m.annotations = []recordings.Annotation{{Onset: 2, Duration: 2, Label: "before"}, {Onset: 3.5, Duration: 9, Label: "in"}, {Onset: 5, Label: "after"}}
	p := &Player{Recordings: []recordings.Recording{m}, From: 3, To: 5, Block: 30}
	got := play(t, p, math.MaxInt)
	if len(got.seq) != 200 || got.seq[0] != 0 || got.first[0] != 200 || got.t0[0] != 3e9 || got.t0[199] != 4.99e9 {
		t.Errorf("%d columns, first Seq %d, value %v, from %v to %v", len(got.seq), got.seq[0], got.first[0], got.t0[0], got.t0[len(got.t0)-1])
	}
	if want := (map[int64]string{50: "in"}); !mapsEqual(got.markers, want) {
		t.Errorf("markers %v, want %v", got.markers, want)
	}
	if from, to := p.Span(); from != 3 || to != 5 {
		t.Errorf("spans %v to %v s, want 3 to 5", from, to)
	}
	want := []recordings.Annotation{{Onset: 2, Duration: 2, Label: "before"}, {Onset: 3.5, Duration: 1.5, Label: "in"}}
	if a := p.Annotations(); !slices.Equal(a, want) {
		t.Errorf("annotations %v, want %v", a, want)
	}
}

func TestPlayerSequenceAndLoop(t *testing.T) {
	a, b := newMemory(100, 130), newMemory(100, 70)
	b.base = 1e6
	a.annotations = []recordings.Annotation{{Onset: 0.2, Label: "a"}}
	b.annotations = []recordings.Annotation{{Onset: 0.3, Duration: 0.1, Label: "b"}}
	p := &Player{Recordings: []recordings.Recording{a, b}, From: 0.1, Block: 25, Loop: true}
	got := play(t, p, 500) // and the rest of its chunk
	round := int64(120 + 60)
	for i := range got.seq {
		k := int64(i) % round
		value := float64(k + 10)
		if k >= 120 {
			value = 1e6 + float64(k-120+10)
		}
		if got.seq[i] != int64(i) || got.first[i] != value || got.t0[i] != nanoseconds(0.1)+nanoseconds(float64(i)/100) {
			t.Fatalf("column %d: Seq %d, value %v (want %v), T0 %d", i, got.seq[i], got.first[i], value, got.t0[i])
		}
	}
	if want := (map[int64]stream.Flags{120: stream.Restart, 180: stream.Restart, 300: stream.Restart, 360: stream.Restart, 480: stream.Restart}); !mapsEqual(got.broken, want) {
		t.Errorf("flags %v, want %v", got.broken, want)
	}
	var rounds []string
	for _, e := range got.events {
		rounds = append(rounds, fmt.Sprint(e.Kind, " ", e.Count, " ", e.Detail))
	}
	if want := []string{"restart 1 next recording", "restart 2 next round", "restart 2 next recording", "restart 3 next round", "restart 3 next recording"}; !slices.Equal(rounds, want) {
		t.Errorf("events %v, want %v", rounds, want)
	}
	if want := (map[int64]string{10: "a", 140: "b", 190: "a", 320: "b", 370: "a", 500: "b"}); !mapsEqual(got.markers, want) {
		t.Errorf("markers %v, want %v", got.markers, want)
	}
	annotations := p.Annotations()
	if len(annotations) != 2 || annotations[1].Label != "b" || math.Abs(annotations[1].Onset-1.5) > 1e-9 {
		t.Errorf("annotations on the timeline: %v, want b at 1.5 s", annotations)
	}
	if from, to := p.Span(); from != 0.1 || math.Abs(to-1.9) > 1e-9 || p.Columns() != round {
		t.Errorf("one round spans %v to %v s and %d columns", from, to, p.Columns())
	}
	once := play(t, &Player{Recordings: []recordings.Recording{a, b}, From: 0.1}, math.MaxInt)
	if len(once.seq) != int(round) {
		t.Errorf("without Loop %d columns, want %d", len(once.seq), round)
	}
}

// TestPlayerPacing moves a manual clock: chunk k of 10 columns at 100 Hz is due when
// its last column happens, at 0.09 + 0.1 k s of data, whatever happened before.
func TestPlayerPacing(t *testing.T) {
	for _, speed := range []float64{1, 50} {
		synctest.Test(t, func(t *testing.T) {
			clock := new(stream.Manual)
			clock.Set(5e9)
			var late []time.Duration
			p := &Player{Recordings: []recordings.Recording{newMemory(100, 100)}, Block: 10, Speed: speed, Clock: clock, OnTick: func(d time.Duration) { late = append(late, d) }}
			h, err := p.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			arrived := make(chan stream.Time, 100)
			go func() {
				c := stream.NewChunk(&h)
				for p.Read(c) == nil {
					arrived <- c.Arrived
				}
				close(arrived)
			}()
			due := func(k int) stream.Time { return 5e9 + stream.Time(math.Round((0.09+0.1*float64(k))*1e9/speed)) }
			for k := range 4 {
				synctest.Wait()
				if len(arrived) != 0 {
					t.Fatalf("speed %v: chunk %d came early", speed, k)
				}
				clock.Set(due(k) - 1)
				synctest.Wait()
				if len(arrived) != 0 {
					t.Fatalf("speed %v: chunk %d came a nanosecond early", speed, k)
				}
				clock.Set(due(k) + 5)
				synctest.Wait()
				if len(arrived) != 1 || <-arrived != due(k)+5 {
					t.Fatalf("speed %v: chunk %d did not come when it was due", speed, k)
				}
			}
			clock.Set(due(6) + 1) // two more fall due at once: lateness does not add up
			synctest.Wait()
			if len(arrived) != 3 {
				t.Fatalf("speed %v: %d chunks came after a stall, want 3", speed, len(arrived))
			}
			clock.Set(due(9))
			for range arrived {
			}
			want := []time.Duration{5, 5, 5, 5, time.Duration(due(6)-due(4)) + 1, time.Duration(due(6)-due(5)) + 1, 1, time.Duration(due(9) - due(7)), time.Duration(due(9) - due(8)), 0}
			if !slices.Equal(late, want) {
				t.Errorf("speed %v: lateness %v, want %v", speed, late, want)
			}
		})
	}
}

func TestPlayerStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &Player{Recordings: []recordings.Recording{newMemory(100, 100)}, Speed: 1, Clock: new(stream.Manual)}
		h, err := p.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		done := make(chan error, 1)
		go func() { done <- p.Read(stream.NewChunk(&h)) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("paced: %v", err)
		}
		q := &Player{Recordings: []recordings.Recording{newMemory(100, 100)}}
		if h, err = q.Open(ctx); err != nil {
			t.Fatal(err)
		}
		if err := q.Read(stream.NewChunk(&h)); !errors.Is(err, context.Canceled) {
			t.Errorf("unpaced: %v", err)
		}
	})
}

func TestPlayerRefuses(t *testing.T) {
	other := newMemory(100, 100)
	other.labels = []string{"C3", "Cz", "Pz"}
	fewer := newMemory(100, 100)
	fewer.labels = fewer.labels[:2]
	for _, c := range []struct {
		p    Player
		want string
	}{
		{Player{}, "no recording"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, Speed: -1}, "speed -1 is impossible"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, Speed: math.NaN()}, "speed NaN"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, From: -1}, "from -1 s is impossible"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, From: 2}, "no data from 2 s: it is 1.000 s long"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, From: 2, To: 3}, "no data from 2 s to 3 s"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, From: 0.5, To: 0.2}, "to 0.2 s does not come after from 0.5 s"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100)}, Block: -3}, "block -3 is impossible"},
		{Player{Recordings: []recordings.Recording{newMemory(0, 100)}}, "rate of 0 Hz"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 0)}}, "no data"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100), newMemory(160, 100)}}, "recording 2 does not continue the first: \"memory\" has 160 Hz, not 100 Hz"},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100), other}}, `channel 3 of "memory" is "Pz", not "C4"`},
		{Player{Recordings: []recordings.Recording{newMemory(100, 100), fewer}}, "2 channels, not 3"},
	} {
		if _, err := c.p.Open(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func TestPlayerOfADamagedRecording(t *testing.T) {
	m := newMemory(100, 100)
	m.short = 50
	p := &Player{Recordings: []recordings.Recording{m}, Block: 25, Own: true}
	h, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := stream.NewChunk(&h)
	for range 2 {
		if err := p.Read(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Read(c); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "column 50") {
		t.Errorf("a recording that ends early says %v", err)
	}
	if err := p.Close(); err != nil || m.closed != 1 {
		t.Errorf("Close: %v, recording closed %d times", err, m.closed)
	}
}

func TestPlayerDoesNotAllocate(t *testing.T) {
	m := newMemory(100, 500)
	m.gaps = []recordings.Gap{{Column: 200, Seconds: 0.5}}
	for i := range 20 {
		m.annotations = append(m.annotations, recordings.Annotation{Onset: float64(i) / 5, Label: "T1"})
	}
	for _, speed := range []float64{0, 1e12} {
		p := &Player{Recordings: []recordings.Recording{m, m}, Loop: true, Speed: speed, OnTick: func(time.Duration) {}}
		h, err := p.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := stream.NewChunk(&h)
		read := func() {
			if err := p.Read(c); err != nil {
				t.Fatal(err)
			}
		}
		for range 1000 {
			read()
		}
		if n := testing.AllocsPerRun(2000, read); n != 0 {
			t.Errorf("speed %v: %v allocations per Read", speed, n)
		}
		p.Close()
	}
}

// TestPlayerAgainstTheFile plays random recordings with random settings and checks each
// column against the file: nothing is lost, doubled or mistimed, whatever the blocks.
func TestPlayerAgainstTheFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.SampledFrom([]float64{100, 160, 250, 512}).Draw(rt, "rate")
		var list []recordings.Recording
		for r := range rapid.IntRange(1, 3).Draw(rt, "recordings") {
			m := newMemory(rate, rapid.Int64Range(50, 400).Draw(rt, "columns"))
			m.base = 1e6 * float64(r)
			at := int64(0)
			for range rapid.IntRange(0, 3).Draw(rt, "gaps") {
				if at += rapid.Int64Range(1, 100).Draw(rt, "gap at"); at < m.n {
					m.gaps = append(m.gaps, recordings.Gap{Column: at, Seconds: rapid.Float64Range(0.001, 2).Draw(rt, "gap")})
				}
			}
			list = append(list, m)
		}
		p := &Player{Recordings: list, Block: rapid.IntRange(1, 90).Draw(rt, "block"), From: rapid.Float64Range(0, 0.05).Draw(rt, "from")}
		if rapid.Bool().Draw(rt, "to the end") {
			p.To = rapid.Float64Range(0.1, 1).Draw(rt, "to")
		}
		for _, rec := range list {
			if p.To > 0 && recordings.ColumnAt(rec, p.From) >= recordings.ColumnAt(rec, p.To) {
				rt.Skip("all of it falls into a gap")
			}
		}
		got := play(t, p, math.MaxInt)
		at, shift := 0, 0.0 // next column, and the timeline's time of the file's time 0
		for r, rec := range list {
			first, last := recordings.ColumnAt(rec, p.From), rec.Len()
			if p.To > 0 {
				last = min(last, recordings.ColumnAt(rec, p.To))
			}
			if r > 0 {
				shift -= recordings.TimeAt(rec, first)
			}
			for col := first; col < last; col++ {
				when := recordings.TimeAt(rec, col) + shift
				if got.first[at] != rec.(*memory).value(0, col) || math.Abs(got.t0[at].Seconds()-when) > 1e-8 {
					rt.Fatalf("recording %d, column %d: value %v at %v s, want %v at %v s", r, col, got.first[at], got.t0[at].Seconds(), rec.(*memory).value(0, col), when)
				}
				if drift := float64(got.seq[at])/rate - (when - got.t0[0].Seconds()); math.Abs(drift) > (float64(r)+0.5)/rate+1e-6 {
					rt.Fatalf("recording %d, column %d: Seq %d lies %v s beside its time", r, col, got.seq[at], drift)
				}
				at++
			}
			shift += recordings.TimeAt(rec, last-1) + 1/rate
		}
		if at != len(got.seq) || p.Columns() != got.seq[at-1]+1 {
			rt.Fatalf("%d columns played, %d in the files; a round takes %d, the last Seq is %d", len(got.seq), at, p.Columns(), got.seq[at-1])
		}
	})
}

func BenchmarkPlayer(b *testing.B) {
	r, err := samples.Open("S007R12")
	if err != nil {
		b.Fatal(err)
	}
	p := &Player{Recordings: []recordings.Recording{r}, Loop: true, Own: true}
	h, err := p.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	c := stream.NewChunk(&h)
	var seconds float64
	for b.Loop() {
		if err := p.Read(c); err != nil {
			b.Fatal(err)
		}
		seconds += float64(c.Len) / h.Rate
	}
	b.ReportMetric(seconds/b.Elapsed().Seconds(), "x-real-time")
}
