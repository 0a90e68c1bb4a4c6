package earlyexit

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"neurostream/recordings"
	"neurostream/stream"
)

// synthetic makes trials of 4.5 s in two folds: the side imagined loses power on the other
// hemisphere, in some trials much, in some hardly.
func synthetic(string) ([]run, int, error) {
	r := rand.New(rand.NewPCG(8, 8))
	var out []run
	for k := range 236 {
		h := stream.Header{Name: "synthetic", Rate: 128, MaxLen: 64}
		for _, n := range []string{"C3", "Cz", "C4"} {
			h.Channels = append(h.Channels, stream.Channel{Label: n, Unit: "a.u.", Type: "EEG"})
		}
		c := new(stream.Chunk)
		c.Alloc(3, 576)
		c.Resize(576)
		ease, quiet := 0.6*r.Float64(), 2*(k/2%2)
		for i := range 576 {
			x := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
			x[quiet] *= 1 - ease
			c.SetColumn(i, x)
		}
		label := []string{"right", "left"}[k/2%2]
		out = append(out, run{"synthetic", &recordings.Memory{Stream: h, Data: c, Notes: []recordings.Annotation{{Onset: 0, Duration: 4.5, Label: label}}}, k % 2})
	}
	return out, 2, nil
}

// The whole study on synthetic trials: what streams is what is scored (Run compares every
// answer), the same data give the same report, early answers save time, sets cover.
func TestStudyOnSyntheticTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("trains twice")
	}
	s := Study{Name: "synthetic", Decoders: []Decoder{{"logistic", "graz-logistic.yaml", "logistic"}}, load: synthetic}
	text := func() (string, *Report) {
		r, err := s.Run(context.Background(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String(), r
	}
	a, r := text()
	if b, _ := text(); a != b {
		t.Error("the same data give another report")
	}
	d := r.Decoders[0]
	if d.Decisions != 236 || d.Full < 0.7 || d.Oracle < d.Full || d.FullCI[0] >= d.Full || d.FullCI[1] <= d.Full {
		t.Errorf("%d decisions, %.3f %v, oracle %.3f", d.Decisions, d.Full, d.FullCI, d.Oracle)
	}
	for _, q := range d.Rules {
		if q.Mean > d.Seconds || q.Mean < 0.1249 || q.Saving < 0 || q.LostCI[0] > q.Lost || q.P90 < q.Median {
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

// Every pipeline of the studies parses, and a missing data set is named with its source.
func TestMissingData(t *testing.T) {
	for _, s := range Studies {
		_, err := s.Run(context.Background(), t.TempDir(), nil)
		if err == nil || !strings.Contains(err.Error(), "come") && !strings.Contains(err.Error(), "it is") {
			t.Errorf("%s: %v", s.Name, err)
		}
		for _, d := range s.Decoders {
			if _, err := pipelines.ReadFile(d.File); err != nil {
				t.Error(err)
			}
		}
	}
}
