// Package streamtest holds the contract that every stage passes, so that a new
// stage inherits its tests.
//
//	stage ─► block sizes · allocations · untouched input · reset · header
//	         causality · quarantine · snapshot          (one subtest each)
package streamtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/stream"
)

// Case is a stage and the stream it is tried on.
type Case struct {
	New     func() stream.Stage // a fresh, unopened stage; models already loaded
	In      stream.Header       // MaxLen is raised to 479 when it is smaller
	Columns int                 // columns to feed; 0 = 4 s or 2000, whichever is more
	Memory  int                 // columns after which a bad sample must be forgotten; 0 = only finiteness is checked
	// Signal fills a column; nil = noise of 10 units with a 10 Hz and a 50 Hz sine
	// and a channel-dependent offset of up to 1000 units.
	Signal func(col int64, dst []float64)
	// Tolerance is how near to the undisturbed output the output must be, relative
	// to its largest value, Memory columns after a bad sample; 0 = 1e-3.
	Tolerance float64
}

// blocks are the sizes that inputs are cut into. 479 is prime, so it never lines
// up with anything.
var blocks = []int{1, 7, 25, 64, 250, 479}

// Contract runs the whole contract as subtests.
func Contract(t *testing.T, c Case) {
	t.Helper()
	if c.In.MaxLen < 479 && c.In.Rate != 0 {
		c.In.MaxLen = 479
	}
	if c.In.Rate == 0 {
		c.In.MaxLen = 1
	}
	if c.Columns == 0 {
		c.Columns = max(2000, int(4*c.In.Rate))
	}
	if c.Signal == nil {
		c.Signal = Noise(&c.In, 1)
	}
	if c.Tolerance == 0 {
		c.Tolerance = 1e-3
	}
	t.Run("header", c.header)
	t.Run("blocks", c.blocks)
	t.Run("allocations", c.allocations)
	t.Run("input untouched", c.untouched)
	t.Run("reset", c.reset)
	t.Run("causal", c.causal)
	t.Run("markers ignored", c.markers)
	t.Run("events carried", c.events)
	t.Run("quarantine", c.quarantine)
	t.Run("gap", c.gap)
	t.Run("snapshot", c.snapshot)
}

// Noise returns a seeded test signal for a stream.
func Noise(h *stream.Header, seed uint64) func(col int64, dst []float64) {
	rate := h.Rate
	if rate == 0 {
		rate = 100
	}
	return func(col int64, dst []float64) {
		r := rand.New(rand.NewPCG(seed, uint64(col)))
		t := float64(col) / rate
		common := 5 * math.Sin(2*math.Pi*10*t)
		mains := 3 * math.Sin(2*math.Pi*50*t)
		for ch := range dst {
			dst[ch] = 10*r.NormFloat64() + common*math.Cos(float64(ch)) + mains + 1000*math.Sin(float64(3*ch))
		}
	}
}

// Run is everything a stage put out, by column.
type Run struct {
	Header stream.Header
	Seq    []int64
	T0     []stream.Time
	Fed    []int64 // number of input columns that had been fed when the column came out
	Values [][]float64
}

type edit struct {
	value   func(col int64, dst []float64) // changes a column before it is fed
	gapAt   int64                          // a gap of gapLen columns before this column; 0 = none
	gapLen  int64
	marker  bool
	restart bool
}

func (c Case) open(t testing.TB) (stream.Stage, stream.Header) {
	t.Helper()
	s := c.New()
	out, err := s.Open(c.In.Clone())
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := out.Validate(); err != nil {
		t.Fatalf("output header: %v", err)
	}
	return s, out
}

func (c Case) fill(src *stream.Chunk, col int64, n int, e edit, buf []float64) {
	src.Clear()
	src.Resize(n)
	src.Seq = col
	if c.In.Rate > 0 {
		src.T0 = stream.Time(math.Round(float64(col) / c.In.Rate * 1e9))
	} else {
		src.T0 = stream.Time(col) * 1e7
	}
	src.Arrived = src.T0
	for i := range n {
		c.Signal(col+int64(i), buf)
		if e.value != nil {
			e.value(col+int64(i), buf)
		}
		src.SetColumn(i, buf)
		if e.marker && (col+int64(i))%37 == 0 {
			src.Markers = append(src.Markers, stream.Marker{Column: i, Label: "T1"})
		}
	}
	if e.gapAt > 0 && col == e.gapAt+e.gapLen {
		src.Flags |= stream.Gap
		if e.restart {
			src.Flags |= stream.Restart
		}
	}
}

// feed pushes columns from to to-1 through s in blocks and collects the output.
func (c Case) feed(t testing.TB, s stream.Stage, out *stream.Header, from, to int64, block int, e edit, r *Run) {
	t.Helper()
	src, dst := stream.NewChunk(&c.In), stream.NewChunk(out)
	buf := make([]float64, c.In.Rows())
	empty := stream.NewChunk(&c.In)
	r.Header = *out
	for col := from; col < to; {
		if e.gapAt > 0 && col >= e.gapAt && col < e.gapAt+e.gapLen {
			col = e.gapAt + e.gapLen
		}
		n := min(int64(block), to-col)
		if e.gapAt > 0 && col < e.gapAt {
			n = min(n, e.gapAt-col)
		}
		if c.In.Rate == 0 {
			n = 1
		}
		c.fill(src, col, int(n), e, buf)
		dst.Poison()
		s.Process(dst, src)
		col += n
		r.collect(t, dst, col)
		src.Poison()
		if col%5 == 0 { // an empty chunk passes without effect
			empty.Clear()
			empty.Resize(0)
			empty.Seq, empty.T0 = col, src.T0
			if c.In.Rate > 0 {
				empty.T0 = stream.Time(math.Round(float64(col) / c.In.Rate * 1e9))
			}
			if !(e.gapAt > 0 && col == e.gapAt) {
				s.Process(dst, empty)
				r.collect(t, dst, col)
			}
		}
	}
}

func (r *Run) collect(t testing.TB, dst *stream.Chunk, fed int64) {
	t.Helper()
	if r.Header.Rate > 0 && dst.Len > r.Header.MaxLen {
		t.Fatalf("chunk of %d columns, header says at most %d", dst.Len, r.Header.MaxLen)
	}
	for i := range dst.Len {
		r.Seq = append(r.Seq, dst.Seq+int64(i))
		at := dst.T0
		if i > 0 {
			at += stream.Time(math.Round(float64(i) / r.Header.Rate * 1e9))
		}
		r.T0 = append(r.T0, at)
		r.Fed = append(r.Fed, fed)
		r.Values = append(r.Values, dst.Column(nil, i))
	}
	for k := range dst.Tiles() { // unused lanes stay zero
		lanes := min(stream.Lanes, dst.Rows()-k*stream.Lanes)
		for i, v := range dst.Tile(k) {
			for l := lanes; l < stream.Lanes; l++ {
				if v[l] != 0 {
					t.Fatalf("unused lane %d of tile %d, column %d holds %v", l, k, i, v[l])
				}
			}
		}
	}
}

func (c Case) run(t testing.TB, block int, e edit) *Run {
	t.Helper()
	s, out := c.open(t)
	r := new(Run)
	c.feed(t, s, &out, 0, int64(c.Columns), block, e, r)
	return r
}

// Equal reports the first difference between two runs, bit for bit, or "".
func Equal(a, b *Run) string {
	if len(a.Seq) != len(b.Seq) {
		return fmt.Sprintf("%d columns against %d", len(a.Seq), len(b.Seq))
	}
	for i := range a.Seq {
		if a.Seq[i] != b.Seq[i] {
			return fmt.Sprintf("column %d: Seq %d against %d", i, a.Seq[i], b.Seq[i])
		}
		if d := a.T0[i] - b.T0[i]; d < -1000 || d > 1000 {
			return fmt.Sprintf("column %d (Seq %d): time %d against %d ns", i, a.Seq[i], a.T0[i], b.T0[i])
		}
		for ch := range a.Values[i] {
			if math.Float64bits(a.Values[i][ch]) != math.Float64bits(b.Values[i][ch]) {
				return fmt.Sprintf("column Seq %d, row %d (%s): %v against %v", a.Seq[i], ch, a.Header.Channels[ch].Label, a.Values[i][ch], b.Values[i][ch])
			}
		}
	}
	return ""
}

func (c Case) header(t *testing.T) {
	_, out := c.open(t)
	if out.Delay < c.In.Delay {
		t.Errorf("Delay %v s is less than the input's %v s", out.Delay, c.In.Delay)
	}
	if out.Rate > 0 { // the rate is what Seq and T0 say
		r := c.run(t, 64, edit{})
		for i := 1; i < len(r.Seq); i++ {
			step := float64(r.Seq[i]-r.Seq[i-1]) / out.Rate
			if d := (r.T0[i] - r.T0[i-1]).Seconds() - step; math.Abs(d) > 2e-6 {
				t.Errorf("columns Seq %d and %d lie %.6f s apart, not %.6f s as the rate of %g Hz says", r.Seq[i-1], r.Seq[i], step+d, step, out.Rate)
				break
			}
		}
	}
	for _, bad := range []stream.Header{
		{Name: "no channels", Rate: 250, MaxLen: 64},
		{Name: "absurd rate", Rate: 1e-9, MaxLen: 64, Channels: c.In.Channels},
	} {
		s := c.New()
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("Open(%s) panics: %v", bad.Name, p)
				}
			}()
			out, err := s.Open(bad)
			if err == nil && len(bad.Channels) == 0 && len(out.Channels) != 0 {
				t.Errorf("Open(%s) succeeds", bad.Name)
			}
		}()
	}
}

func (c Case) blocks(t *testing.T) {
	var want *Run
	for _, b := range blocks {
		got := c.run(t, b, edit{})
		if want == nil {
			want = got
			if len(want.Seq) == 0 {
				t.Fatalf("no output after %d columns", c.Columns)
			}
			continue
		}
		if d := Equal(want, got); d != "" {
			t.Errorf("blocks of %d against blocks of %d: %s", blocks[0], b, d)
		}
	}
}

func (c Case) allocations(t *testing.T) {
	s, out := c.open(t)
	src, dst := stream.NewChunk(&c.In), stream.NewChunk(&out)
	buf := make([]float64, c.In.Rows())
	n := min(c.In.MaxLen, 64)
	var col int64
	step := func() {
		src.Seq = col
		if c.In.Rate > 0 {
			src.T0 = stream.Time(float64(col) / c.In.Rate * 1e9)
		} else {
			src.T0 = stream.Time(col) * 1e7
		}
		col += int64(n)
		s.Process(dst, src)
	}
	c.fill(src, 0, n, edit{}, buf)
	for col < int64(c.Columns) { // warm up: buffers reach their size
		step()
	}
	if a := testing.AllocsPerRun(100, step); a != 0 {
		t.Errorf("%v allocations per Process", a)
	}
}

func (c Case) untouched(t *testing.T) {
	s, out := c.open(t)
	src, dst := stream.NewChunk(&c.In), stream.NewChunk(&out)
	kept := stream.NewChunk(&c.In)
	buf := make([]float64, c.In.Rows())
	n := min(c.In.MaxLen, 250)
	for col := int64(0); col < int64(c.Columns); col += int64(n) {
		c.fill(src, col, n, edit{marker: true}, buf)
		kept.CopyFrom(src)
		s.Process(dst, src)
		if src.Seq != kept.Seq || src.T0 != kept.T0 || src.Len != kept.Len || src.Flags != kept.Flags || len(src.Markers) != len(kept.Markers) {
			t.Fatal("Process changed the header fields of src")
		}
		for ch := range c.In.Rows() {
			for i := range n {
				if math.Float64bits(src.At(ch, i)) != math.Float64bits(kept.At(ch, i)) || src.IsBad(ch, i) != kept.IsBad(ch, i) {
					t.Fatalf("Process changed channel %d, column %d of src", ch, i)
				}
			}
		}
	}
}

func (c Case) reset(t *testing.T) {
	s, out := c.open(t)
	a, b := new(Run), new(Run)
	c.feed(t, s, &out, 0, int64(c.Columns), 25, edit{}, a)
	s.Reset()
	c.feed(t, s, &out, 0, int64(c.Columns), 64, edit{}, b)
	if d := Equal(a, b); d != "" {
		t.Errorf("second run after Reset: %s", d)
	}
}

// causal changes everything after a column and checks that no output stamped up
// to it moves, and that outputs never carry a stamp newer than what was fed.
func (c Case) causal(t *testing.T) {
	split := int64(c.Columns * 2 / 3)
	a := c.run(t, 64, edit{})
	b := c.run(t, 64, edit{value: func(col int64, dst []float64) {
		if col > split {
			for i := range dst {
				dst[i] = -3*dst[i] + 17
			}
		}
	}})
	var limit stream.Time
	if c.In.Rate > 0 {
		limit = stream.Time(math.Round(float64(split) / c.In.Rate * 1e9))
	} else {
		limit = stream.Time(split) * 1e7
	}
	checked := 0
	for i := range a.Seq {
		if a.T0[i] > limit {
			continue
		}
		checked++
		if i >= len(b.Seq) {
			t.Fatalf("output %d, stamped before the change, is missing", i)
		}
		for ch := range a.Values[i] {
			if math.Float64bits(a.Values[i][ch]) != math.Float64bits(b.Values[i][ch]) {
				t.Fatalf("output stamped %.4f s changed with samples after %.4f s", a.T0[i].Seconds(), limit.Seconds())
			}
		}
	}
	if checked == 0 {
		t.Fatal("no output before the change: nothing was checked")
	}
	for i := range a.Seq {
		if c.In.Rate > 0 && a.T0[i] > stream.Time(math.Round(float64(a.Fed[i]-1)/c.In.Rate*1e9))+1000 {
			t.Fatalf("output %d is stamped %.6f s, later than the newest sample fed", i, a.T0[i].Seconds())
		}
	}
}

func (c Case) markers(t *testing.T) {
	if d := Equal(c.run(t, 64, edit{}), c.run(t, 64, edit{marker: true})); d != "" {
		t.Errorf("markers change the output: %s", d)
	}
}

// events checks that what is reported upstream reaches every sink: each event of
// src stands in dst of the same call, and no others are invented for clean data.
func (c Case) events(t *testing.T) {
	s, out := c.open(t)
	src, dst := stream.NewChunk(&c.In), stream.NewChunk(&out)
	buf := make([]float64, c.In.Rows())
	n := min(c.In.MaxLen, 25)
	for col := int64(0); col < int64(c.Columns); col += int64(n) {
		c.fill(src, col, n, edit{}, buf)
		want := stream.Event{Kind: stream.EventDouble, Seq: col, Count: col + 1, Origin: "contract"}
		src.Events = append(src.Events, want)
		s.Process(dst, src)
		found := 0
		for _, e := range dst.Events {
			if e == want {
				found++
			}
		}
		if found != 1 {
			t.Fatalf("an event of the input stands %d times in the output of the same call", found)
		}
		if len(dst.Events) != 1 {
			t.Fatalf("%d events in the output of clean data that carry one: %v", len(dst.Events), dst.Events)
		}
	}
}

func (c Case) quarantine(t *testing.T) {
	from := int64(c.Columns / 3)
	clean := c.run(t, 25, edit{})
	for _, poison := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		got := c.run(t, 25, edit{value: func(col int64, dst []float64) {
			if col >= from && col < from+5 {
				dst[0] = poison
			}
		}})
		scale := make([]float64, got.Header.Rows())
		for i := range clean.Values {
			for ch, v := range clean.Values[i] {
				scale[ch] = max(scale[ch], math.Abs(v))
			}
		}
		for i := range got.Values {
			for ch, v := range got.Values[i] {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("%v in channel 0 makes output %d, row %d (%s) %v", poison, i, ch, got.Header.Channels[ch].Label, v)
				}
			}
		}
		if c.Memory == 0 {
			continue
		}
		bySeq := make(map[int64]int, len(clean.Seq))
		for i, s := range clean.Seq {
			bySeq[s] = i
		}
		checked := 0
		for i := range got.Values {
			if got.Fed[i] < from+5+int64(c.Memory)+25 {
				continue
			}
			j, ok := bySeq[got.Seq[i]]
			if !ok {
				continue
			}
			checked++
			for ch, v := range got.Values[i] {
				if d := math.Abs(v - clean.Values[j][ch]); d > c.Tolerance*scale[ch] {
					t.Fatalf("%v in channel 0 still moves row %d (%s) by %g, %d columns later", poison, ch, got.Header.Channels[ch].Label, d, got.Fed[i]-from-5)
				}
			}
		}
		if checked == 0 {
			t.Fatalf("Memory of %d columns leaves nothing to check in %d", c.Memory, c.Columns)
		}
	}
}

// gap loses columns in the middle: outputs stay finite and equal for every block
// size, and everything after the gap depends only on what came after it.
func (c Case) gap(t *testing.T) {
	at := int64(c.Columns / 3)
	e := edit{gapAt: at, gapLen: 100, restart: true}
	var want *Run
	for _, b := range blocks {
		got := c.run(t, b, e)
		if want == nil {
			want = got
		} else if d := Equal(want, got); d != "" {
			t.Errorf("with a gap, blocks of %d against %d: %s", blocks[0], b, d)
		}
	}
	other := e
	other.value = func(col int64, dst []float64) {
		if col < at {
			for i := range dst {
				dst[i] = 2*dst[i] - 5
			}
		}
	}
	b := c.run(t, 64, other)
	after := func(r *Run) *Run {
		o := &Run{Header: r.Header}
		for i := range r.Seq {
			if r.Fed[i] > at+100 {
				o.Seq, o.T0 = append(o.Seq, r.Seq[i]), append(o.T0, r.T0[i])
				o.Values = append(o.Values, r.Values[i])
			}
		}
		return o
	}
	a64 := c.run(t, 64, e)
	if d := Equal(after(a64), after(b)); d != "" {
		t.Errorf("data before a restart reach the output after it: %s", d)
	}
}

func (c Case) snapshot(t *testing.T) {
	half := int64(c.Columns/2) + 3
	s, out := c.open(t)
	whole, first := new(Run), new(Run)
	c.feed(t, s, &out, 0, half, 25, edit{}, first)
	snap, ok := s.(stream.Snapshotter)
	var state []byte
	if ok {
		state = snap.Snapshot(nil)
	}
	c.feed(t, s, &out, half, int64(c.Columns), 25, edit{}, whole)

	s2, out2 := c.open(t)
	if ok {
		if err := s2.(stream.Snapshotter).Restore(state); err != nil {
			t.Fatalf("Restore: %v", err)
		}
		for _, cut := range []int{0, 1, len(state) / 2, len(state) - 1} {
			s3, _ := c.open(t)
			if cut < len(state) && cut >= 0 && len(state) > 0 {
				if err := s3.(stream.Snapshotter).Restore(state[:cut]); err == nil {
					t.Errorf("Restore accepts %d of %d bytes", cut, len(state))
				}
			}
		}
	}
	resumed := new(Run)
	c.feed(t, s2, &out2, half, int64(c.Columns), 25, edit{}, resumed)
	if d := Equal(whole, resumed); d != "" {
		if !ok {
			t.Errorf("the stage has memory but no Snapshot: %s", d)
		} else {
			t.Errorf("after Restore: %s", d)
		}
	}
}
