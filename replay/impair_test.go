package replay

import (
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/stream"
)

// received is what came through an impaired stream, by column.
type received struct {
	seq     []int64
	values  [][]float64
	t0      []stream.Time
	stamps  []stream.Time
	gaps    []int64 // Seq of columns with the Gap flag
	starts  []int64 // Seq of columns with the Restart flag
	events  map[stream.Kind]int64
	markers map[string]int64 // Seq by label
	counts  Impairments
}

func receive(t *testing.T, p *Impair) *received {
	t.Helper()
	h, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out := &received{events: map[stream.Kind]int64{}, markers: map[string]int64{}}
	c := stream.NewChunk(&h)
	for {
		err := p.Read(c)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		next := int64(0)
		if n := len(out.seq); n > 0 {
			next = out.seq[n-1] + 1
		}
		if c.Len > 0 && (c.Seq != next) != (c.Flags&stream.Gap != 0) {
			t.Fatalf("after column %d comes %d with flags %v", next-1, c.Seq, c.Flags)
		}
		if n := len(out.t0); n > 0 && c.T0 < out.t0[n-1] {
			t.Fatalf("time steps back from %d to %d", out.t0[n-1], c.T0)
		}
		if c.Len > 0 && c.Flags&stream.Gap != 0 {
			out.gaps = append(out.gaps, c.Seq)
		}
		if c.Len > 0 && c.Flags&stream.Restart != 0 {
			out.starts = append(out.starts, c.Seq)
		}
		for i := range c.Len {
			out.seq = append(out.seq, c.Seq+int64(i))
			out.values = append(out.values, c.Column(nil, i))
			out.t0 = append(out.t0, c.T0+nanoseconds(float64(i)/h.Rate))
		}
		if len(c.Stamps) != 0 && len(c.Stamps) != c.Len {
			t.Fatalf("%d stamps for %d columns", len(c.Stamps), c.Len)
		}
		out.stamps = append(out.stamps, c.Stamps...)
		for _, e := range c.Events {
			out.events[e.Kind] += e.Count
		}
		for _, m := range c.Markers {
			if m.Column < 0 || m.Column >= c.Len {
				t.Fatalf("marker %v outside its chunk", m)
			}
			out.markers[m.Label] = c.Seq + int64(m.Column)
		}
	}
	out.counts = p.Counts()
	return out
}

func source(block int) *Player {
	m := newMemory(100, 5000)
	m.gaps = []recordings.Gap{{Column: 2500, Seconds: 0.5}}
	for i := range 50 {
		m.annotations = append(m.annotations, recordings.Annotation{Onset: float64(i), Label: string(rune('a' + i))})
	}
	return &Player{Recordings: []recordings.Recording{m}, Block: block}
}

func TestImpairWithoutFaultsIsTransparent(t *testing.T) {
	want := receive(t, &Impair{Source: source(25)})
	if len(want.seq) != 5000 || len(want.gaps) != 1 || want.events[stream.EventGap] != 50 || len(want.markers) != 50 || want.counts != (Impairments{Delivered: 5000}) {
		t.Errorf("%d columns, gaps at %v, events %v, %d markers, %+v", len(want.seq), want.gaps, want.events, len(want.markers), want.counts)
	}
}

// TestImpairCounts: what the counts say is what the stream shows, for every block size
// of the source, and the damage is the same for all of them.
func TestImpairCounts(t *testing.T) {
	var first *received
	for _, block := range []int{1, 7, 25, 64, 479} {
		got := receive(t, &Impair{Source: source(block), Seed: 42, Drop: 0.03, Burst: 2, Double: 0.05, Reorder: 0.04, NaN: 0.002})
		c := got.counts
		if c.Delivered != int64(len(got.seq)) || c.Delivered+c.Dropped != 5000 || c.Dropped == 0 || c.Gaps == 0 {
			t.Fatalf("blocks of %d: %+v with %d columns", block, c, len(got.seq))
		}
		if got.events[stream.EventGap] != c.Dropped+50 || got.events[stream.EventDouble] != c.Doubled || got.events[stream.EventReorder] != c.Reordered || c.Doubled == 0 || c.Reordered == 0 {
			t.Errorf("blocks of %d: events %v, counts %+v", block, got.events, c)
		}
		var nan, jumps int64
		for i, v := range got.values {
			for ch, x := range v {
				if math.IsNaN(x) {
					nan++
					continue
				}
				col := got.seq[i]
				if col >= 2500 {
					col -= 50
				}
				if x != 1000*float64(ch)+float64(col) {
					t.Fatalf("blocks of %d: channel %d of column %d is %v", block, ch, got.seq[i], x)
				}
			}
			if i > 0 && got.seq[i] != got.seq[i-1]+1 {
				jumps++
			}
		}
		if nan != c.NaN || nan == 0 || jumps < c.Gaps || jumps > c.Gaps+1 {
			t.Errorf("blocks of %d: %d NaN, %d jumps, counts %+v", block, nan, jumps, c)
		}
		if first == nil {
			first = got
			continue
		}
		if !slices.Equal(got.seq, first.seq) || !slices.Equal(got.gaps, first.gaps) || c != first.counts || !mapsEqual(got.markers, first.markers) {
			t.Errorf("blocks of %d are damaged differently: %+v, not %+v", block, c, first.counts)
		}
	}
	if len(first.markers) < 49 { // only one at the very end may be lost with its column
		t.Errorf("%d of 50 markers arrive", len(first.markers))
	}
	other := receive(t, &Impair{Source: source(25), Seed: 43, Drop: 0.03, Burst: 2})
	if slices.Equal(other.seq, first.seq) {
		t.Error("another seed drops the same columns")
	}
}

// TestImpairRates: probabilities are met within four standard errors.
func TestImpairRates(t *testing.T) {
	c := receive(t, &Impair{Source: source(64), Seed: 1, Group: 1, Drop: 0.1, Double: 0.2, Reorder: 0.3, NaN: 0.05}).counts
	for name, x := range map[string][3]float64{
		"dropped":    {float64(c.Dropped), 0.1, 5000},
		"doubled":    {float64(c.Doubled), 0.2, float64(c.Delivered)},
		"re-ordered": {float64(c.Reordered), 0.3, float64(c.Delivered)},
		"NaN":        {float64(c.NaN), 0.05, 3 * float64(c.Delivered)},
	} {
		if d := x[0] - x[1]*x[2]; math.Abs(d) > 4*math.Sqrt(x[2]*x[1]*(1-x[1])) {
			t.Errorf("%s: %v of %v at a probability of %v", name, x[0], x[2], x[1])
		}
	}
	all := receive(t, &Impair{Source: source(64), Drop: 1})
	if all.counts.Delivered != 0 || all.counts.Dropped != 5000 || all.events[stream.EventGap] != 5050 {
		t.Errorf("everything dropped: %+v, events %v", all.counts, all.events)
	}
}

func TestImpairStamps(t *testing.T) {
	clean := receive(t, &Impair{Source: source(25)})
	got := receive(t, &Impair{Source: source(25), Seed: 3, Jitter: 0.004, Drift: 500})
	if len(got.stamps) != 5000 || !slices.Equal(got.seq, clean.seq) {
		t.Fatalf("%d stamps", len(got.stamps))
	}
	var worst, sum float64
	for i, s := range got.stamps {
		at := float64(clean.t0[i])
		off := float64(s) - at - 500e-6*(at-float64(clean.t0[0]))
		worst, sum = max(worst, math.Abs(off)), sum+off
	}
	if worst > 4e6+1 || worst < 3.9e6 || math.Abs(sum/5000) > 2e5 {
		t.Errorf("jitter of up to %.0f ns, %.0f on average, want 4e6 and 0", worst, sum/5000)
	}
	if end := got.t0[4999] - clean.t0[4999]; math.Abs(float64(end)-500e-6*50.49e9) > 5e6 {
		t.Errorf("after 50 s at 500 ppm the clock is %d ns off", end)
	}
}

func TestImpairKeepsFlagsOfDroppedColumns(t *testing.T) {
	p := source(25)
	p.Recordings = append(p.Recordings, p.Recordings[0])
	got := receive(t, &Impair{Source: p, Seed: 9, Group: 1, Drop: 0.5})
	if len(got.starts) != 1 || got.starts[0] < 5050 || got.starts[0] > 5070 {
		t.Errorf("restarts at %v, want one soon after 5050", got.starts)
	}
}

func TestImpairRefuses(t *testing.T) {
	for want, p := range map[string]*Impair{
		"no source":                   {},
		"drop 1.5 is impossible":      {Source: source(1), Drop: 1.5},
		"nan NaN is impossible":       {Source: source(1), NaN: math.NaN()},
		"group -1":                    {Source: source(1), Group: -1},
		"jitter -1 s is impossible":   {Source: source(1), Jitter: -1},
		"drift 200000 is impossible":  {Source: source(1), Drift: 2e5},
		"the player has no recording": {Source: new(Player)},
	} {
		if _, err := p.Open(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestImpairDoesNotAllocate(t *testing.T) {
	s := source(25)
	s.Loop = true
	p := &Impair{Source: s, Drop: 0.05, Double: 0.1, Reorder: 0.1, NaN: 0.01, Jitter: 0.001, Drift: 10}
	h, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := stream.NewChunk(&h)
	read := func() {
		if err := p.Read(c); err != nil {
			t.Fatal(err)
		}
	}
	for range 3000 {
		read()
	}
	if n := testing.AllocsPerRun(2000, read); n != 0 {
		t.Errorf("%v allocations per Read", n)
	}
}
