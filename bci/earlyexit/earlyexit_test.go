package earlyexit

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/recordings"
)

// synthetic makes trials of 4.5 s in two folds: the side imagined loses power on the other
// hemisphere, in some trials much, in some hardly.
func synthetic(context.Context, string) ([]run, error) {
	r := rand.New(rand.NewPCG(8, 8))
	var out []run
	for k := range 236 {
		ease, quiet := 0.6*r.Float64(), 2*(k/2%2)
		var columns [][]float64
		for range 576 {
			x := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
			x[quiet] *= 1 - ease
			columns = append(columns, x)
		}
		rec := memory("synthetic", 128, []string{"C3", "Cz", "C4"}, "a.u.", columns)
		rec.Notes = []recordings.Annotation{{Onset: 0, Duration: 4.5, Label: []string{"right", "left"}[k/2%2]}}
		out = append(out, run{name: "synthetic", group: "all", rec: rec, fold: k % 2})
	}
	return out, nil
}

// The whole study on synthetic trials: what streams is what is scored (Run compares every
// answer), the same data give the same report, also from kept folds, early answers save
// time, sets cover.
func TestStudyOnSyntheticTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("trains many times")
	}
	s := Study{
		Name: "synthetic", Max: 4.5, Taus: []float64{0.5, 0}, load: synthetic,
		Decoders: []Decoder{{"logistic", "graz-logistic.yaml", "logistic", []Setting{{"length", []string{"0.5"}}, {"c", []string{"0.1", "1"}}}, false}},
	}
	keep := t.TempDir()
	text := func(dir string) (string, *Report) {
		r, err := s.Run(context.Background(), "", Options{Seed: 1, Keep: dir})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if err := WriteSummary(&b, []*Report{r}); err != nil {
			t.Fatal(err)
		}
		return b.String(), r
	}
	a, r := text(keep)
	for what, dir := range map[string]string{"the same data": "", "kept folds": keep} {
		if b, _ := text(dir); a != b {
			t.Errorf("%s give another report:\n%s\n%s", what, a, b)
		}
	}
	d := r.Decoders[0]
	if d.Decisions != 236 || d.Full < 0.7 || d.Oracle < d.Full || d.FullCI[0] >= d.Full || d.FullCI[1] <= d.Full {
		t.Errorf("%d decisions, %.3f %v, oracle %.3f", d.Decisions, d.Full, d.FullCI, d.Oracle)
	}
	for _, f := range d.Folds {
		if f.Trials != 118 || f.Decisions != 118 || len(f.Tried) != 2 {
			t.Errorf("%+v", f)
		}
	}
	for _, q := range d.Rules {
		if q.Mean > d.Seconds || q.Mean < 0.49 || q.Saving < 0 || q.LostCI[0] > q.Lost || q.P90 < q.Median {
			t.Errorf("%+v", q)
		}
		if q.SetSize > 0 && q.CoverageCI[1] < 0.9 {
			t.Errorf("promised 0.9, held %.3f %v", q.Coverage, q.CoverageCI)
		}
	}
	if d.Rules[0].Saving == 0 {
		t.Error("nothing was answered early")
	}
}

// Labels of the held-out runs are looked at for scores alone: with other labels there, the
// choices stay.
func TestHeldOutLabelsDecideNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("trains many times")
	}
	choose := func(turn bool) FoldReport {
		s := Study{
			Name: "synthetic", Max: 4.5, Taus: []float64{0.5, 0},
			Decoders: []Decoder{{"logistic", "graz-logistic.yaml", "logistic", []Setting{{"length", []string{"0.5"}}, {"c", []string{"0.1", "1"}}}, false}},
			load: func(ctx context.Context, dir string) ([]run, error) {
				runs, err := synthetic(ctx, dir)
				var out []run
				for _, r := range runs {
					if r.fold == 0 && turn { // held out by the first fold
						n := &r.rec.(*recordings.Memory).Notes[0]
						n.Label = map[string]string{"left": "right", "right": "left"}[n.Label]
					}
					out = append(out, r)
				}
				return out, err
			},
		}
		r, err := s.Run(context.Background(), "", Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		return r.Decoders[0].Folds[0]
	}
	a, b := choose(false), choose(true)
	if a.Choice != b.Choice || a.Tau != b.Tau || a.Threshold != b.Threshold || a.Kappa != b.Kappa || a.Inner != b.Inner {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// Ten flashes of the attended item are the targets in their order, ten of the ignored one
// non-targets of the same letter; the clock is that of the recording.
func TestItemBlocks(t *testing.T) {
	var columns [][]float64
	for i := range 6000 {
		x := make([]float64, 20) // what a window holds: means of four columns, the oldest first
		for j := range x {
			x[j] = float64(i - 4*(19-j))
		}
		columns = append(columns, x)
	}
	var flashes []flash
	for i := range 60 {
		flashes = append(flashes, flash{100 + 18*i, 1 + 0.18*float64(i), i%6 == 2})
	}
	lags := make([]string, 20)
	for i := range lags {
		lags[i] = fmt.Sprintf("Cz %d", i)
	}
	b := letterBlocks(flashes, columns, lags, "uV", rand.New(rand.NewPCG(1, 1)))
	if len(b) != 2 {
		t.Fatalf("%d decisions", len(b))
	}
	for k, label := range []string{"target", "nontarget"} {
		notes, n := b[k].rec.Annotations(), b[k].rec.Len()
		if len(notes) != 11 || notes[0].Label != blockCue || n != 110 || len(b[k].times) != 110 {
			t.Fatalf("%s: %d notes, %d windows, %d steps", label, len(notes), n, len(b[k].times))
		}
		data := b[k].rec.(*recordings.Memory).Data
		first := data.At(0, 0) - 3
		for i, a := range notes[1:] {
			if a.Label != label || math.Abs(a.Onset-0.88*float64(i)) > 1e-9 || math.Abs(a.Duration-0.8) > 1e-9 {
				t.Errorf("note %d: %+v", i, a)
			}
			at := data.At(0, 11*i) - 3 // the first 40 ms after the flash
			for s := range 10 {        // nothing from the future
				for j := range 20 {
					if v := data.At(j, 11*i+s); v != 0 && (v > at+float64(8*s+7) || v != at+float64(4*j+3)) {
						t.Errorf("flash %d, step %d, lag %d holds column %g, the flash is at %g", i, s, j, v, at)
					} else if v == 0 && j < 2*s+2 {
						t.Errorf("flash %d, step %d, lag %d is empty", i, s, j)
					}
				}
			}
			which := (int(at) - 100) / 18
			if (which%6 == 2) != (label == "target") {
				t.Errorf("flash %d of the %s item is flash %d of the letter", i, label, which)
			}
			if want := (at - first) / 100; math.Abs(b[k].times[11*i+9]-(want+0.8)) > 1e-9 {
				t.Errorf("flash %d ends at %.3f s, want %.3f", i, b[k].times[11*i+9], want+0.8)
			}
		}
	}
}

// 10 discordant trials of 100 either way, from the formula of Agresti and Min by hand.
func TestPairedInterval(t *testing.T) {
	ci := pairedInterval(8, 2, 100)
	half := 1.959963984540054 * math.Sqrt(11-36.0/102) / 102
	if math.Abs(ci[0]-(6.0/102-half)) > 1e-12 || math.Abs(ci[1]-(6.0/102+half)) > 1e-12 {
		t.Error(ci)
	}
	if ci = pairedInterval(0, 0, 50); ci[0] >= 0 || ci[1] <= 0 {
		t.Error("no difference seen is not none:", ci)
	}
}

// Every pipeline of the studies parses at every point of its grid, and a missing data set
// is named with its source.
func TestMissingData(t *testing.T) {
	for _, s := range Studies {
		_, err := s.Run(context.Background(), t.TempDir(), Options{})
		if err == nil || !strings.Contains(err.Error(), "come") && !strings.Contains(err.Error(), "it is") {
			t.Errorf("%s: %v", s.Name, err)
		}
		for _, d := range s.Decoders {
			for _, c := range d.choices(1) {
				if p, err := d.pipeline(c, ""); err != nil || p.Steps[len(p.Steps)-1].Type.Name != d.Output {
					t.Errorf("%s, %s: %v", d.File, c, err)
				}
			}
		}
	}
}
