// Package flint reproduces published decoding scores on one recording of a monkey
// reaching (Flint et al., J. Neural Eng. 9:046006, 2012; preparation by Burkhart et
// al.): Kalman and Discriminative Kalman filters, train rows 1-5000, test rows
// 5001-6000, 100 ms bins, ten principal components.
//
//	x.csv, z.csv ─► fit on 5000 rows ─► decode 1000 rows ─► table beside the published one
//	                └► cross-validation inside the 5000 rows chooses our own decoder
//
// The recording is not part of this repository.
package flint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"neurostream/decoders"
	"neurostream/stream"
)

const (
	trainRows = 5000
	testRows  = 1000
	folds     = 5

	published      = 0.765 // Kalman nRMSE and MAAE of this run (Burkhart, thesis, arXiv:1807.06173)
	publishedAngle = 0.889
)

// ErrNoData says where the recording can be had.
var ErrNoData = errors.New("the recording is not there: it is run 1 of the Flint 2012 data, files data/x.csv and data/z.csv of the public repository github.com/burkh4rt/DKF-implementations; put both in a folder and name it with --data (make flint FLINT=DIR)")

// Line is one decoder's scores on the test rows.
type Line struct {
	Decoder string  `json:"decoder"`
	NRMSE   float64 `json:"nrmse"`
	MAAE    float64 `json:"maae_rad"` // mean absolute angular error, radians
	RX      float64 `json:"r_x"`      // correlation with the true velocity
	RY      float64 `json:"r_y"`
	// Published and Angle stand in the authors' tables for this run, Reference is that of an
	// independent implementation on the same rows; 0 = there is none.
	Published float64 `json:"published_nrmse,omitempty"`
	Angle     float64 `json:"published_maae_rad,omitempty"`
	Reference float64 `json:"reference_nrmse,omitempty"`
	StepUS    float64 `json:"step_us"` // microseconds per row, least of three passes
}

// Candidate is a decoder that stood for choice.
type Candidate struct {
	Decoder string  `json:"decoder"`
	NRMSE   float64 `json:"cross_validated_nrmse"` // on the training rows
}

// Report is what Run found.
type Report struct {
	Rows       int         `json:"rows"`
	Features   int         `json:"features"`
	Train      [2]int      `json:"train_rows"` // first and last, counted from 1
	Test       [2]int      `json:"test_rows"`
	Lines      []Line      `json:"decoders"`
	Candidates []Candidate `json:"candidates"`
	Chosen     Line        `json:"chosen"` // the candidate with the least error, fitted on all training rows

	kalman, nw, gp Line
}

// Run fits and scores every decoder on the recording in dir. Our own decoder is
// chosen by cross-validation on the training rows, before a test row is decoded with
// it. Everything but StepUS is the same at every run. It takes two to three minutes.
func Run(ctx context.Context, dir string, progress func(what string, done float64)) (*Report, error) {
	d, err := load(dir)
	if err != nil {
		return nil, err
	}
	r := &Report{Rows: len(d.x), Features: len(d.x[0]), Train: [2]int{1, trainRows}, Test: [2]int{trainRows + 1, trainRows + testRows}}
	train := d.rows(0, trainRows, 0, 0)
	parts := float64(len(entries) + len(candidates))
	tell := func(what string, part float64) func(done, total int) {
		if progress == nil {
			return nil
		}
		progress(what, part/parts)
		return func(done, total int) { progress(what, (part+float64(done)/float64(max(1, total)))/parts) }
	}
	for i, e := range entries {
		f := e.fit()
		if err := f.Fit(ctx, train, tell(e.runs[0].name, float64(i))); err != nil {
			return nil, fmt.Errorf("%s: %w", e.runs[0].name, err)
		}
		model, err := f.SaveModel()
		if err != nil {
			return nil, err
		}
		for _, run := range e.runs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			f := run.stage()
			if err := f.LoadModel(model); err != nil {
				return nil, fmt.Errorf("%s: %w", run.name, err)
			}
			l, err := d.score(run.name, f)
			if err != nil {
				return nil, err
			}
			l.Published, l.Angle, l.Reference = run.published, run.angle, run.reference
			r.Lines = append(r.Lines, l)
			switch run.key {
			case "kalman":
				r.kalman = l
			case "nw":
				r.nw = l
			case "gp":
				r.gp = l
			}
		}
	}
	best := 0
	for i, c := range candidates {
		tell("cross-validating "+c.name, float64(len(entries)+i))
		v, err := d.crossValidate(ctx, c.stage)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		r.Candidates = append(r.Candidates, Candidate{c.name, v})
		if v < r.Candidates[best].NRMSE {
			best = i
		}
	}
	f := candidates[best].stage()
	if err := f.Fit(ctx, train, nil); err != nil {
		return nil, err
	}
	r.Chosen, err = d.score(candidates[best].name, f)
	return r, err
}

// WriteText writes the tables. The last line is "kalman_nrmse=… kalman_maae=…
// dkf_nw_nrmse=… dkf_gp_nrmse=… best_nrmse=… best=…".
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Macaque reaching, run 1: %d rows of %d features; trained on rows %d-%d, tested on rows %d-%d\n\n", r.Rows, r.Features, r.Train[0], r.Train[1], r.Test[0], r.Test[1])
	fmt.Fprintf(&b, "%-34s %7s %10s %7s %7s   %19s %9s %10s\n", "decoder", "nRMSE", "MAAE (rad)", "r x", "r y", "published nRMSE MAAE", "reference", "step (µs)")
	known := func(v float64) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.3f", v)
	}
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "%-34s %7.4f %10.4f %7.3f %7.3f   %13s %6s %9s %10.2f\n", l.Decoder, l.NRMSE, l.MAAE, l.RX, l.RY, known(l.Published), known(l.Angle), known(l.Reference), l.StepUS)
	}
	fmt.Fprintf(&b, "\nnRMSE: always answering zero scores 1. Published: the thesis tables for this run (arXiv:1807.06173), given there as a\n"+
		"change against the Kalman filter. Reference: nRMSE of an independent implementation on the same rows (f on rows i mod 10 < 7).\n\n")
	fmt.Fprintf(&b, "Our own choice, by 5-fold cross-validation on contiguous blocks of the training rows alone:\n\n%-34s %7s\n", "candidate", "nRMSE")
	for _, c := range r.Candidates {
		fmt.Fprintf(&b, "%-34s %7.4f\n", c.Decoder, c.NRMSE)
	}
	c := r.Chosen
	fmt.Fprintf(&b, "\nchosen: %s; on the test rows nRMSE %.4f, MAAE %.4f rad, r %.3f and %.3f, %.2f µs/step\n\n", c.Decoder, c.NRMSE, c.MAAE, c.RX, c.RY, c.StepUS)
	fmt.Fprintf(&b, "kalman_nrmse=%.4f kalman_maae=%.4f dkf_nw_nrmse=%.4f dkf_gp_nrmse=%.4f best_nrmse=%.4f best=%s\n",
		r.kalman.NRMSE, r.kalman.MAAE, r.nw.NRMSE, r.gp.NRMSE, c.NRMSE, strings.ReplaceAll(c.Decoder, " ", "-"))
	_, err := w.Write(b.Bytes())
	return err
}

// An entry is one model and the ways to run it: a model fitted with a kernel Q also
// runs with a constant one.
type entry struct {
	fit  func() decoders.Fitter
	runs []run
}

type run struct {
	name, key        string
	published, angle float64 // nRMSE and MAAE (radians), 0 = none
	reference        float64
	stage            func() decoders.Fitter // loads the model of the entry
}

// change and angle apply a published change in per cent to the published Kalman score.
func change(percent float64) float64 { return published * (1 + percent/100) }

func angle(percent float64) float64 { return publishedAngle * (1 + percent/100) }

func dkf(d decoders.DKF) func() decoders.Fitter {
	d.Raw, d.Seed = true, 1
	return func() decoders.Fitter { c := d; return &c }
}

// filter is a way to run a DKF: mode, Q, fallback; the kernel Q as published, without
// shrinkage.
func filter(mode, q, fallback string) func() decoders.Fitter {
	return dkf(decoders.DKF{Mode: mode, Q: q, Fallback: fallback, Shrink: -1})
}

func kalman(form string) func() decoders.Fitter {
	return func() decoders.Fitter { return &decoders.Kalman{Raw: true, Form: form} }
}

const (
	standard = decoders.DKFStandard
	kernel   = "kernel"
)

var (
	constantQ = filter(decoders.DKFConstantQ, "constant", "")
	alone     = filter(decoders.DKFNone, "constant", "")
)

var entries = []entry{
	{kalman(""), []run{
		{"Kalman", "kalman", published, publishedAngle, 0.7647, kalman("")},
		{"Kalman, steady state", "", 0, 0, 0, kalman(decoders.KalmanSteady)},
	}},
	{func() decoders.Fitter { return &decoders.EKF{Raw: true, Seed: 1} }, []run{
		{"EKF", "", change(2), angle(4), 0, func() decoders.Fitter { return &decoders.EKF{Raw: true} }},
		{"UKF", "", change(2), angle(0), 0, func() decoders.Fitter { return &decoders.UKF{Raw: true} }},
	}},
	{dkf(decoders.DKF{F: decoders.DKFNW, Mode: standard, Q: kernel}), []run{
		{"NW unfiltered", "", 0, angle(-9), 0.638, alone},
		{"DKF-NW kernel Q, released", "", change(-21), angle(-15), 0.625, filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-NW kernel Q, paper", "", 0, 0, 0.674, filter(standard, kernel, "")},
		{"DKF-NW kernel Q, clip", "", 0, 0, 0.648, filter(standard, kernel, decoders.FallbackClip)},
		{"DKF-NW kernel Q, robust", "", 0, 0, 0.718, filter(decoders.DKFRobust, kernel, "")},
		{"DKF-NW constant Q", "nw", 0, 0, 0.603, constantQ},
		{"DKF-NW constant Q, robust", "", 0, 0, 0.662, filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFGP, Points: 3500, Mode: standard, Q: kernel}), []run{
		{"GP unfiltered", "", 0, angle(-5), 0.588, alone},
		{"DKF-GP kernel Q, released", "", change(-21), angle(-11), 0.595, filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-GP kernel Q, paper", "", 0, 0, 0.614, filter(standard, kernel, "")},
		{"DKF-GP constant Q", "gp", 0, 0, 0.566, constantQ},
		{"DKF-GP constant Q, robust", "", 0, 0, 0.595, filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFGP, Points: 1000}), []run{{"DKF-GP constant Q, 1000 points", "", 0, 0, 0, constantQ}}},
	{dkf(decoders.DKF{F: decoders.DKFSparseGP}), []run{{"DKF-GP constant Q, sparse 200", "", 0, 0, 0, constantQ}}},
	{dkf(decoders.DKF{F: decoders.DKFMLP, Mode: standard, Q: kernel}), []run{
		{"NN unfiltered", "", 0, angle(-3), 0.615, alone},
		{"DKF-NN kernel Q, released", "", change(-19), angle(-7), 0, filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-NN constant Q", "", 0, 0, 0.584, constantQ},
		{"DKF-NN constant Q, robust", "", 0, 0, 0.610, filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFMKGP, Octants: true, Points: 300}), []run{{"DKF multiple kernel, octants", "", 0, 0, 0.864, constantQ}}},
}

var candidates = []struct {
	name  string
	stage func() decoders.Fitter
}{
	{"dkf mlp 10 units", dkf(decoders.DKF{F: decoders.DKFMLP})},
	{"dkf mlp 10 units 3 bins", dkf(decoders.DKF{F: decoders.DKFMLP, History: 3})},
	{"dkf mlp 20 units 5 bins", dkf(decoders.DKF{F: decoders.DKFMLP, Hidden: 20, History: 5, L2: 3e-3})},
	{"dkf mlp 20 units 8 bins", dkf(decoders.DKF{F: decoders.DKFMLP, Hidden: 20, History: 8, L2: 3e-3})},
	{"dkf gp 1000 points 3 bins", dkf(decoders.DKF{F: decoders.DKFGP, Points: 1000, History: 3})},
}

type data struct{ x, z [][]float64 }

func load(dir string) (*data, error) {
	d := new(data)
	for name, dst := range map[string]*[][]float64{"x.csv": &d.x, "z.csv": &d.z} {
		rows, err := readCSV(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", dir, ErrNoData)
		}
		if err != nil {
			return nil, err
		}
		*dst = rows
	}
	if len(d.x) != len(d.z) || len(d.x) < trainRows+testRows || len(d.z[0]) != 2 {
		return nil, fmt.Errorf("%s: %d rows of features and %d of velocity; expected the same number, at least %d, and 2 velocities", dir, len(d.x), len(d.z), trainRows+testRows)
	}
	return d, nil
}

func readCSV(path string) ([][]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out [][]float64
	s := bufio.NewScanner(f)
	for s.Scan() {
		var row []float64
		for _, v := range strings.Split(s.Text(), ",") {
			x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", path, len(out)+1, err)
			}
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, fmt.Errorf("%s: line %d: %v is no number", path, len(out)+1, x)
			}
			row = append(row, x)
		}
		if len(out) > 0 && len(row) != len(out[0]) {
			return nil, fmt.Errorf("%s: line %d has %d values, line 1 has %d", path, len(out)+1, len(row), len(out[0]))
		}
		out = append(out, row)
	}
	if len(out) == 0 && s.Err() == nil {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return out, s.Err()
}

// rows selects training examples; groups mark where time jumps.
func (d *data) rows(from, to, without, until int) *decoders.Rows {
	r := &decoders.Rows{Header: stream.Header{Name: "motor cortex", Rate: 10, MaxLen: 1}}
	for i := range d.x[0] {
		r.Header.Channels = append(r.Header.Channels, stream.Channel{Label: fmt.Sprintf("component %d", i+1), Type: "feature"})
	}
	r.Targets = []stream.Channel{{Label: "velocity x"}, {Label: "velocity y"}}
	for t := from; t < to; t++ {
		if t >= without && t < until {
			continue
		}
		g := 0
		if t >= until {
			g = 1
		}
		r.X, r.Target, r.Group = append(r.X, d.x[t]), append(r.Target, d.z[t]), append(r.Group, g)
	}
	return r
}

// score decodes the test rows with a fitted stage.
func (d *data) score(name string, f decoders.Fitter) (l Line, err error) {
	test := d.rows(trainRows, trainRows+testRows, 0, 0)
	var got [][]float64
	l = Line{Decoder: name, StepUS: math.Inf(1)}
	for range 3 {
		var micros float64
		if got, micros, err = decode(f, test); err != nil {
			return l, fmt.Errorf("%s: %w", name, err)
		}
		l.StepUS = min(l.StepUS, micros)
	}
	r := decoders.Correlation(got, test.Target)
	l.NRMSE, l.MAAE, l.RX, l.RY = decoders.NRMSE(got, test.Target), decoders.MAAE(got, test.Target), r[0], r[1]
	return l, nil
}

// decode streams rows through a fitted stage, one column per chunk, and says how
// long a row took.
func decode(f decoders.Fitter, rows *decoders.Rows) (got [][]float64, micros float64, err error) {
	out, err := f.Open(rows.Header)
	if err != nil {
		return nil, 0, err
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	start := time.Now()
	for i, x := range rows.X {
		src.Clear()
		src.Resize(1)
		src.Seq = int64(i)
		src.SetColumn(0, x)
		f.Process(dst, src)
		got = append(got, dst.Column(nil, 0))
	}
	return got, float64(time.Since(start).Nanoseconds()) / 1e3 / float64(len(rows.X)), nil
}

// crossValidate returns the nRMSE over five contiguous blocks of the training rows,
// each decoded by a model of the other four.
func (d *data) crossValidate(ctx context.Context, stage func() decoders.Fitter) (float64, error) {
	var got, want [folds][][]float64
	var errs [folds]error
	var wg sync.WaitGroup
	for k := range folds {
		wg.Go(func() {
			from, to := k*trainRows/folds, (k+1)*trainRows/folds
			f := stage()
			if errs[k] = f.Fit(ctx, d.rows(0, trainRows, from, to), nil); errs[k] != nil {
				return
			}
			held := d.rows(from, to, 0, 0)
			got[k], _, errs[k] = decode(f, held)
			want[k] = held.Target
		})
	}
	wg.Wait()
	return decoders.NRMSE(slices.Concat(got[:]...), slices.Concat(want[:]...)), errors.Join(errs[:]...)
}
