package filters

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

func everyCheck() []Check {
	return []Check{&FlatLine{Seconds: 2}, &Saturation{}, &Amplitude{Max: 300}, &LineNoise{}, &HighFrequency{}, &Deviation{Z: 8}, &Correlation{Min: 0.3}, &Pop{Max: 150}}
}

// brainlike is noise that all channels share in part, with a spectrum that falls.
func brainlike(n, columns int, seed uint64) [][]float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([][]float64, n)
	for ch := range x {
		x[ch] = make([]float64, columns)
	}
	low := make([]float64, n+1)
	for i := range columns {
		for ch := range low {
			low[ch] = 0.9*low[ch] + 6*r.NormFloat64()
		}
		for ch := range x {
			x[ch][i] = low[n] + 0.7*low[ch] + 0.3*r.NormFloat64() + float64(200*ch)
		}
	}
	return x
}

type verdictOf struct {
	kind   stream.Kind
	detail string
	at     int // second
}

// TestQuality: every check finds what was put in, in its channel, at the right second,
// marks it with hysteresis, and leaves all others alone.
func TestQuality(t *testing.T) {
	const n, seconds = 6, 40
	in := header([]string{"C3", "C4", "Cz", "Pz", "O1", "O2"}, 250)
	in.MaxLen = 50
	for name, c := range map[string]struct {
		change func(x []float64, i int) // of channel Cz, from second 10 to 16
		want   string
		from   int // second from which on it is marked; about
	}{
		"flat":           {func(x []float64, i int) { x[i] = 400 }, "flat line", 12},
		"saturation":     {func(x []float64, i int) { x[i] = max(395, min(405, x[i])) }, "saturated", 11},
		"line":           {func(x []float64, i int) { x[i] += 90 * math.Sin(2*math.Pi*50*float64(i)/250) }, "line noise", 13},
		"high-frequency": {func(x []float64, i int) { x[i] += 50 * math.Sin(2*math.Pi*90*float64(i)/250) }, "high frequencies", 13},
		"large":          {func(x []float64, i int) { x[i] += 400 * math.Sin(2*math.Pi*2*float64(i)/250) }, "amplitude too large", 13},
		"alone":          {func(x []float64, i int) { x[i] = 400 + 10*math.Sin(float64(i)*float64(i%17)) }, "correlated with no other", 13},
		"pop": {func(x []float64, i int) {
			if i == 2600 {
				x[i] += 400
			}
		}, "popped", 10},
	} {
		x := brainlike(n, seconds*250, 1)
		for i := 2500; i < 4000; i++ {
			c.change(x[2], i)
		}
		f := &Quality{Checks: everyCheck()}
		if _, err := f.Open(in); err != nil {
			t.Fatal(err)
		}
		src, dst := stream.NewChunk(&in), stream.NewChunk(&in)
		var events []verdictOf
		marked := make([]int, seconds)
		for at := 0; at < seconds*250; at += 50 {
			src.Clear()
			src.Resize(50)
			src.Seq = int64(at)
			for ch := range x {
				src.SetRow(ch, x[ch][at:at+50])
			}
			f.Process(dst, src)
			for _, e := range dst.Events {
				events = append(events, verdictOf{e.Kind, e.Detail, int(e.Seq / 250)})
			}
			for ch := range x {
				for i := range 50 {
					if dst.At(ch, i) != x[ch][at+i] {
						t.Fatalf("%s: a sample is changed", name)
					}
					if dst.IsBad(ch, i) {
						if ch != 2 {
							t.Fatalf("%s: channel %d is marked in second %d", name, ch, at/250)
						}
						marked[(at+i)/250]++
					}
				}
			}
		}
		if len(events) == 0 || !strings.HasPrefix(events[0].detail, "Cz: "+c.want) || events[0].at != c.from {
			t.Errorf("%s: events %v, want %q in second %d", name, events, c.want, c.from)
			continue
		}
		if name == "pop" {
			if marked[10] != 26 || len(events) != 1 || events[0].kind != stream.EventBadSamples { // there and back
				t.Errorf("pop: %d columns are marked, events %v", marked[10], events)
			}
			continue
		}
		last := events[len(events)-1]
		if events[0].kind != stream.EventChannelBad || last.kind != stream.EventChannelGood || last.at != 26 {
			t.Errorf("%s: events %v", name, events)
		}
		if marked[c.from-1] > 0 && name != "flat" || marked[20] != 250 || marked[25] != 250 || marked[27] != 0 {
			t.Errorf("%s: columns marked by second %v", name, marked)
		}
	}
}

func TestQualityContract(t *testing.T) {
	in := header([]string{"C3", "C4", "Cz", "Pz", "O1", "O2", "F3", "F4", "Fz"}, 250)
	x := brainlike(9, 3000, 1)
	signal := func(col int64, dst []float64) {
		for ch := range dst {
			dst[ch] = x[ch][col%3000]
		}
	}
	streamtest.Contract(t, streamtest.Case{In: in, Columns: 2000, Signal: signal, Memory: 1, New: func() stream.Stage { return &Quality{Checks: everyCheck()} }})
}

func TestQualityRefuses(t *testing.T) {
	in := header(names(4), 100)
	for _, c := range []struct {
		checks []Check
		want   string
	}{
		{nil, "empty"},
		{[]Check{&LineNoise{}}, "cannot be seen at 100 Hz"},
		{[]Check{&HighFrequency{}}, "110 Hz cannot be seen"},
		{[]Check{&Amplitude{Max: -1}}, "impossible"},
		{[]Check{&Amplitude{}, &Amplitude{Max: 3}}, "twice"},
	} {
		_, err := (&Quality{Checks: c.checks}).Open(in)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", c.checks, err)
		}
	}
}
