package filters

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// rhythms are sources mixed onto channels, as a cap sees them.
func rhythms(n, columns int, seed uint64) [][]float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	mix := rand.New(rand.NewPCG(99, 1)) // the same head every time
	x := make([][]float64, n)
	for ch := range x {
		x[ch] = make([]float64, columns)
	}
	for s := range n {
		weights := make([]float64, n)
		for ch := range weights {
			weights[ch] = mix.NormFloat64()
		}
		phase, low := 0.0, 0.0
		for i := range columns {
			phase += 2 * math.Pi * (6 + float64(2*s) + 0.5*r.NormFloat64()) / 250
			low += 0.1 * (r.NormFloat64() - low)
			v := 3*math.Sin(phase) + 2*low + r.NormFloat64()
			for ch := range x {
				x[ch][i] += v * weights[ch]
			}
		}
	}
	return x
}

func trained(t testing.TB, in stream.Header, x [][]float64, f *ASR) *ASR {
	t.Helper()
	if err := f.Learn(t.Context(), in, feed(in, x)); err != nil {
		t.Fatal(err)
	}
	model, err := f.SaveModel()
	if err != nil {
		t.Fatal(err)
	}
	loaded := &ASR{Cutoff: f.Cutoff, Window: f.Window, Step: f.Step, Delay: f.Delay, Remove: f.Remove}
	if err := loaded.LoadModel(model); err != nil {
		t.Fatal(err)
	}
	return loaded
}

// TestASR: clean data pass bit for bit, Delay later; bursts lose most of what they add;
// an event says so. Tried on data that nothing was learned from.
func TestASR(t *testing.T) {
	const n, columns = 8, 5000
	in := header(names(n), 250)
	for _, delay := range []float64{0.25, 0} {
		f := trained(t, in, rhythms(n, 60*250, 1), &ASR{Cutoff: 10, Delay: delay})
		clean := rhythms(n, columns, 2)
		dirty := make([][]float64, n)
		r := rand.New(rand.NewPCG(3, 3))
		weights := make([]float64, n)
		for ch := range dirty {
			dirty[ch] = append([]float64(nil), clean[ch]...)
			weights[ch] = 60 * r.NormFloat64()
		}
		for i := 2000; i < 2750; i++ { // a cable swings for 3 s
			for ch := range dirty {
				dirty[ch][i] += weights[ch] * math.Sin(2*math.Pi*3*float64(i-2000)/250)
			}
		}
		hold := int(math.Round(delay * 250))
		out, y, first := through(t, f, in, clean, 0, []int{25})
		if first != int64(hold) || math.Abs(out.Delay-delay) > 0.0021 {
			t.Errorf("output starts at %d, delay %v s", first, out.Delay)
		}
		for ch := range y {
			for i, v := range y[ch] {
				if v != clean[ch][i] {
					t.Fatalf("clean data are changed: channel %d, column %d", ch, i)
				}
			}
		}
		_, y, _ = through(t, f, in, dirty, 0, []int{25})
		before, after, untouched := 0.0, 0.0, 0.0
		for ch := range y {
			for i, v := range y[ch] {
				switch d := v - clean[ch][i]; {
				case i >= 2000+f.step*3 && i < 2750:
					before += math.Pow(dirty[ch][i]-clean[ch][i], 2)
					after += d * d
				case i < 2000-hold-1 || i > 2750+250+hold:
					untouched += math.Abs(d)
				}
			}
		}
		if untouched != 0 || !(after < before/10) {
			t.Errorf("delay %v: the burst keeps %.3g of its power; clean stretches change by %g", delay, after/before, untouched)
		}
		t.Logf("delay %v s: the burst keeps %.2g of its power", delay, after/before)
	}
}

func TestASREvents(t *testing.T) {
	in := header(names(4), 250)
	f := trained(t, in, rhythms(4, 60*250, 1), &ASR{})
	x := rhythms(4, 1000, 2)
	for i := 500; i < 600; i++ {
		x[1][i] += 2000 * math.Sin(float64(i))
	}
	in.MaxLen = 1000
	out, err := f.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	src.Resize(1000)
	for ch := range x {
		src.SetRow(ch, x[ch])
	}
	f.Process(dst, src)
	if len(dst.Events) != 1 || dst.Events[0].Kind != stream.EventArtifact || dst.Events[0].Count < 1 || dst.Events[0].Seq < 500 || dst.Events[0].Seq > 650 {
		t.Errorf("events %v", dst.Events)
	}
}

func TestASRContract(t *testing.T) {
	in := header(names(9), 250)
	in.MaxLen = 64
	signal := streamtest.Noise(&in, 1)
	x := make([][]float64, 9)
	col := make([]float64, 9)
	for i := range 30 * 250 {
		signal(int64(i)+1e6, col)
		for ch := range x {
			x[ch] = append(x[ch], col[ch])
		}
	}
	f := trained(t, in, x, &ASR{Cutoff: 3, Delay: 0.1})
	model, _ := f.SaveModel()
	for name, k := range map[string]float64{"cleaning": 1, "quiet": 20} {
		c := streamtest.Case{In: in, Columns: 2000, Memory: 450, Tolerance: 1e-9, New: func() stream.Stage {
			f := &ASR{Cutoff: k, Delay: 0.1}
			if err := f.LoadModel(model); err != nil {
				t.Fatal(err)
			}
			return f
		}}
		if name == "cleaning" { // it says so, which the clause about events of clean data does not expect
			t.Run(name, func(t *testing.T) { cleaningIsDeterministic(t, c) })
			continue
		}
		t.Run(name, func(t *testing.T) { streamtest.Contract(t, c) })
	}
}

// cleaningIsDeterministic runs data that are cleaned all the time in two cuts, and
// saves and restores in between.
func cleaningIsDeterministic(t *testing.T, c streamtest.Case) {
	x := make([][]float64, 9)
	col := make([]float64, 9)
	for i := range 1500 {
		streamtest.Noise(&c.In, 5)(int64(i), col)
		for ch := range x {
			x[ch] = append(x[ch], 5*col[ch])
		}
	}
	_, a, _ := through(t, c.New(), c.In, x, 0, []int{1, 7, 64})
	_, b, _ := through(t, c.New(), c.In, x, 0, []int{250})
	changed := 0
	for ch := range a {
		for i := range a[ch] {
			if a[ch][i] != b[ch][i] {
				t.Fatalf("channel %d, column %d depends on the cut", ch, i)
			}
			if a[ch][i] != x[ch][i] {
				changed++
			}
		}
	}
	if changed < 1000 {
		t.Errorf("only %d samples were cleaned", changed)
	}
	f, g := c.New().(*ASR), c.New().(*ASR)
	in := c.In
	in.MaxLen = 100
	out, err := f.Open(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Open(in); err != nil {
		t.Fatal(err)
	}
	src, p, q := stream.NewChunk(&in), stream.NewChunk(&out), stream.NewChunk(&out)
	step := func(at int) {
		src.Clear()
		src.Resize(100)
		src.Seq = int64(at)
		for ch := range x {
			src.SetRow(ch, x[ch][at:at+100])
		}
	}
	for at := 0; at < 1500; at += 100 {
		step(at)
		f.Process(p, src)
		if at == 700 {
			if err := g.Restore(f.Snapshot(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if at > 700 {
			g.Process(q, src)
			for ch := range x {
				for i := range p.Len {
					if p.At(ch, i) != q.At(ch, i) {
						t.Fatalf("column %d differs after Restore", at+i)
					}
				}
			}
		}
	}
	if n := testing.AllocsPerRun(50, func() { f.Process(p, src) }); n != 0 {
		t.Errorf("%v allocations per Process while cleaning", n)
	}
}

func TestASRRefusesWhatItCannotLearn(t *testing.T) {
	in := header(names(4), 250)
	x := rhythms(4, 60*250, 1)
	clear(x[2])
	err := new(ASR).Learn(t.Context(), in, feed(in, x))
	if err == nil || !strings.Contains(err.Error(), `"c0"`) {
		t.Errorf("a flat channel: %v", err)
	}
	short := rhythms(4, 1000, 1)
	if err := new(ASR).Learn(t.Context(), in, feed(in, short)); err == nil || !strings.Contains(err.Error(), "too few") {
		t.Errorf("4 s: %v", err)
	}
	for _, b := range []string{`{`, `{}`, `{"channels":["a","b"],"rate_hz":250,"covariance":[[1,0],[0]],"directions":[[1,0],[0,1]],"means":[1,1],"spreads":[1,1]}`, `{"channels":["a","b"],"rate_hz":250,"covariance":[[1,0],[0,-1]],"directions":[[1,0],[0,1]],"means":[1,1],"spreads":[1,1]}`} {
		if err := new(ASR).LoadModel([]byte(b)); err == nil {
			t.Errorf("%s is accepted", b)
		}
	}
}

func BenchmarkASRDecision(b *testing.B) {
	const n = 64
	in := header(names(n), 250)
	f := trained(b, in, rhythms(n, 60*250, 1), &ASR{})
	if _, err := f.Open(in); err != nil {
		b.Fatal(err)
	}
	p := newPart(n)
	x := rhythms(n, 250, 2)
	for _, dirty := range []string{"clean", "burst"} {
		p.clear()
		for i := range 125 {
			for ch := range n {
				f.x[ch] = x[ch][i]
				if dirty == "burst" {
					f.x[ch] += 5000 * math.Sin(float64(i)) * float64(ch%3)
				}
			}
			for j, v := range f.x {
				for k := j; k < n; k++ {
					p.products[j*n+k] += v * f.x[k]
				}
			}
			p.n++
		}
		covariance(f.job.c, f.job.means, []asrPart{p})
		b.Run(dirty, func(b *testing.B) {
			for b.Loop() {
				f.job.decide()
			}
		})
	}
}
