// Package earlyexit measures, on real recordings, how much time a decoder saves by
// answering as soon as it is sure, and what that costs.
//
//	held-out runs of a group, in turn          a group: subjects who share a decoder
//	   └ all other runs ─► inner folds, blocks of trials in time
//	        ├ every configuration of the grid: train on the rest, read out the fold
//	        ├ choice: configuration and leak, by accuracy at full length
//	        ├ calibration on the chosen one's read-out: temperature, threshold, limits
//	        └ Trainer (as bci train) with what was chosen, on all other runs ─► model
//	held-out run ─► Engine, as live ─► read-out of every step ─► every rule, the oracle
//	                              └► stop stage ─► the answers, checked against the above
//
// Nothing is fitted, chosen or calibrated on the trials that are scored: the grid below is
// all there is to choose from, the same for every fold, and the report names the choices.
package earlyexit

import (
	"context"
	"embed"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/recordings"
	"neurostream/replay"
)

//go:embed *.yaml
var pipelines embed.FS

// Study is one paradigm: recordings in folds, and decoders to compare.
type Study struct {
	Name     string
	About    string
	Subjects int
	Max      float64   // s of a trial, at which the answer is forced
	Cue      []string  // markers that begin a trial; nil = those of the labels
	Taus     []float64 // s, time constants of the evidence to choose from; 0 = kept for the whole trial
	Decoders []Decoder
	// load returns the runs.
	load func(ctx context.Context, dir string) ([]run, error)
}

// Decoder is a pipeline file without its stopping rule, and what $names in it may become.
type Decoder struct {
	Name, File string
	Output     string // stage whose output is the evidence
	Grid       []Setting
	Spiking    bool
}

// Setting is one name of a grid with its values.
type Setting struct {
	Name   string
	Values []string
}

// run is one recording.
type run struct {
	name  string
	group string // runs of a group train and test one decoder
	rec   recordings.Recording
	fold  int // runs of a group with the same number are held out together
	// times holds, for a recording of one trial that was put together from pieces, the
	// seconds since its beginning at which the data of every step were there; nil = on the
	// recording's own clock.
	times []float64
}

// Tolerance is the share of right answers that the threshold may cost on the calibration
// trials: half of the point that is asked for. Goal is what is asked for.
const Tolerance = 0.005

// Goal of every study: time saved, and points of 100 lost at most.
const (
	GoalSaved = 0.40
	GoalLost  = 1.0
)

// Studies lists what can be measured.
var Studies = []Study{
	{
		Name: "ssvep", About: "SSVEP, 4 classes (13, 17, 21 Hz, rest), 8 channels (Kalunga2016)", Subjects: 9,
		Max: 5, Taus: []float64{0.5, 1, 0}, load: loadSSVEP,
		Decoders: []Decoder{
			{"SNN on canonical correlations", "ssvep-snn.yaml", "snn", []Setting{
				{"low", []string{"10"}}, {"high", []string{"70"}}, {"harmonics", []string{"2", "3"}}, {"loss", []string{"each"}}, {"dropout", []string{"0.3", "0.5"}},
			}, true},
			{"logistic regression on the same", "ssvep-logistic.yaml", "logistic", []Setting{{"low", []string{"10"}}, {"high", []string{"70"}}, {"harmonics", []string{"2", "3"}}, {"c", []string{"0.1", "1"}}}, false},
		},
	},
	{
		Name: "p300", About: "P300, is this item the attended one, 10 flashes of each (OpenBMI, BR41N, Muse)", Subjects: 4,
		Max: 8.8, Cue: []string{blockCue}, Taus: []float64{0}, load: loadP300,
		Decoders: []Decoder{{"SNN on the response so far", "p300-snn.yaml", "snn", []Setting{{"loss", []string{"steps", "mean"}}, {"decay", []string{"0.001", "0.01"}}}, true}},
	},
	{
		Name: "graz", About: "motor imagery, 2 classes, 3 channels (BCI Competition II, III)", Subjects: 1,
		Max: 4.5, Taus: []float64{0.5, 1, 2, 0}, load: loadGraz,
		Decoders: []Decoder{
			{"SNN on band power", "graz-snn.yaml", "snn", []Setting{{"length", []string{"0.5", "1"}}, {"loss", []string{"each", "steps"}}}, true},
			{"logistic regression on the same", "graz-logistic.yaml", "logistic", []Setting{{"length", []string{"0.5", "1"}}, {"c", []string{"0.1", "1"}}}, false},
		},
	},
	{
		Name: "imagery", About: "motor imagery, 2 classes, 21 of 64 channels (EEGMMIDB)", Subjects: 12,
		Max: 4, Taus: []float64{0.5, 1, 2, 0}, load: loadImagery,
		Decoders: []Decoder{
			{"SNN on tangent space", "imagery-snn.yaml", "snn", []Setting{{"length", []string{"1", "2"}}, {"loss", []string{"each"}}}, true},
			{"logistic regression on the same", "imagery-logistic.yaml", "logistic", []Setting{{"length", []string{"1", "2"}}, {"c", []string{"0.01"}}}, false},
		},
	},
}

// choice is one point of a grid.
type choice map[string]string

func (c choice) String() string {
	var parts []string
	for k, v := range c {
		if k != "seed" {
			parts = append(parts, k+" "+v)
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// choices lists the grid, the first setting varying slowest.
func (d *Decoder) choices(seed uint64) []choice {
	out := []choice{{"seed": strconv.FormatUint(seed, 10)}}
	for _, s := range d.Grid {
		var next []choice
		for _, c := range out {
			for _, v := range s.Values {
				n := choice{s.Name: v}
				for k, w := range c {
					n[k] = w
				}
				next = append(next, n)
			}
		}
		out = next
	}
	return out
}

// pipeline fills in a choice, and appends a stage when it is not "".
func (d *Decoder) pipeline(c choice, stage string) (*bci.Pipeline, error) {
	text, err := pipelines.ReadFile(d.File)
	if err != nil {
		return nil, err
	}
	s := string(text)
	names := make([]string, 0, len(c))
	for k := range c {
		names = append(names, k)
	}
	sort.Slice(names, func(i, j int) bool {
		return len(names[i]) > len(names[j]) || len(names[i]) == len(names[j]) && names[i] < names[j]
	})
	for _, k := range names {
		s = strings.ReplaceAll(s, "$"+k, c[k])
	}
	return bci.ParsePipeline(d.File, []byte(s+stage))
}

// Options of a study.
type Options struct {
	Seed     uint64
	Keep     string // folder in which finished folds are kept, so that an interrupted study goes on; "" = none
	Progress func(what string, done float64)
}

// Run makes one study from the data in dir.
func (s *Study) Run(ctx context.Context, dir string, opt Options) (*Report, error) {
	if opt.Progress == nil {
		opt.Progress = func(string, float64) {}
	}
	opt.Progress(s.Name+": reading", 0)
	runs, err := s.load(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, r := range runs {
			r.rec.Close()
		}
	}()
	type part struct {
		group string
		fold  int
	}
	var parts []part
	for _, r := range runs {
		if p := (part{r.group, r.fold}); !slices.Contains(parts, p) {
			parts = append(parts, p)
		}
	}
	out := &Report{Study: s.Name, About: s.About, Subjects: s.Subjects}
	done, total := 0, len(parts)*len(s.Decoders)
	streamed := new(bci.Streamed)
	for i := range s.Decoders {
		d := &s.Decoders[i]
		var folds []*fold
		for _, p := range parts {
			var train, test []run
			for _, r := range runs {
				switch {
				case r.group != p.group:
				case r.fold == p.fold:
					test = append(test, r)
				default:
					train = append(train, r)
				}
			}
			name := fmt.Sprintf("%s fold %d", p.group, p.fold+1)
			j := job{study: s, decoder: d, train: train, test: test, seed: opt.Seed, streamed: streamed}
			j.progress = func(what string, part float64) {
				opt.Progress(fmt.Sprintf("%s, %s, %s: %s", s.Name, d.Name, name, what), (float64(done)+part)/float64(total))
			}
			f, err := j.kept(ctx, opt.Keep)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, %s: %w", s.Name, d.Name, name, err)
			}
			f.Name = name
			folds = append(folds, f)
			done++
		}
		out.Decoders = append(out.Decoders, *d.report(folds))
	}
	return out, nil
}

// never is the rule that runs every trial to its end.
func never(m *decoders.StopModel) *decoders.StopModel {
	c := *m
	c.Rule, c.Threshold, c.Dwell = decoders.StopConfidence, 2, 1
	return &c
}

func share(right []bool) (p float64, ci [2]float64) {
	k := 0
	for _, r := range right {
		if r {
			k++
		}
	}
	ci[0], ci[1] = replay.ClopperPearson(k, len(right), 0.05)
	return float64(k) / float64(len(right)), ci
}

// pairedInterval is the 95 % interval of the difference of two shares on the same n trials,
// b of which only the first and c only the second gets right (Agresti & Min 2005: Wald's
// interval with half a trial added to each cell, which holds its promise for few trials).
func pairedInterval(b, c, n float64) [2]float64 {
	b, c, n = b+0.5, c+0.5, n+2
	half := 1.959963984540054 * math.Sqrt(max(0, b+c-(b-c)*(b-c)/n)) / n
	return [2]float64{(b-c)/n - half, (b-c)/n + half}
}
