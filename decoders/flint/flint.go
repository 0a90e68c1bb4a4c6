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
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"neurostream/decoders"
	"neurostream/stream"
)

const (
	trainRows = 5000
	testRows  = 1000
	published = 0.765 // Kalman nRMSE of this run (Burkhart, thesis, arXiv:1807.06173)
)

// ErrNoData says where the recording can be had.
var ErrNoData = errors.New("the recording is not there: it is run 1 of the Flint 2012 data, files data/x.csv and data/z.csv of the public repository burkh4rt/DKF-implementations; put both in a folder and name it with FLINT=DIR")

// Run fits and scores every decoder on the recording in dir and writes a table. Its
// last line is "kalman_nrmse=… kalman_maae=… dkf_nw_nrmse=… dkf_gp_nrmse=…
// best_nrmse=… best=…". It takes a minute or two.
func Run(ctx context.Context, dir string, w io.Writer) error {
	d, err := load(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Macaque reaching, run 1: %d rows of %d features; trained on rows 1-%d, tested on rows %d-%d\n\n", len(d.x), len(d.x[0]), trainRows, trainRows+1, trainRows+testRows)
	fmt.Fprintf(w, "%-34s %7s %7s %7s %7s   %9s %9s %9s\n", "decoder", "nRMSE", "MAAE", "r x", "r y", "published", "reference", "µs/step")
	var last summary
	train := d.rows(0, trainRows, 0, 0)
	for _, e := range entries {
		f := e.fit()
		if err := f.Fit(ctx, train, nil); err != nil {
			return fmt.Errorf("%s: %w", e.runs[0].name, err)
		}
		model, err := f.SaveModel()
		if err != nil {
			return err
		}
		for _, r := range e.runs {
			f := r.stage()
			if err := f.LoadModel(model); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			s, err := d.score(f)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(w, "%-34s %7.4f %7.4f %7.3f %7.3f   %9s %9s %9.2f\n", r.name, s.nrmse, s.maae, s.corr[0], s.corr[1], r.published, r.reference, s.micros)
			switch r.key {
			case "kalman":
				last.kalman, last.kalmanMAAE = s.nrmse, s.maae
			case "nw":
				last.nw = s.nrmse
			case "gp":
				last.gp = s.nrmse
			}
		}
	}
	fmt.Fprintf(w, "\npublished: thesis table for this run, as change against its Kalman filter (0.765) applied to it; reference: measured\n"+
		"with an independent implementation on the same rows (f on rows i mod 10 < 7).\n\n")
	fmt.Fprintf(w, "Our own choice, by 5-fold cross-validation on contiguous blocks of the training rows alone:\n\n%-34s %7s\n", "candidate", "nRMSE")
	best, at := 0.0, -1
	for i, c := range candidates {
		v, err := d.crossValidate(ctx, c.stage)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Fprintf(w, "%-34s %7.4f\n", c.name, v)
		if at < 0 || v < best {
			best, at = v, i
		}
	}
	f := candidates[at].stage()
	if err := f.Fit(ctx, train, nil); err != nil {
		return err
	}
	s, err := d.score(f)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nchosen: %s; on the test rows nRMSE %.4f, MAAE %.4f, r %.3f and %.3f, %.2f µs/step\n\n", candidates[at].name, s.nrmse, s.maae, s.corr[0], s.corr[1], s.micros)
	_, err = fmt.Fprintf(w, "kalman_nrmse=%.4f kalman_maae=%.4f dkf_nw_nrmse=%.4f dkf_gp_nrmse=%.4f best_nrmse=%.4f best=%s\n",
		last.kalman, last.kalmanMAAE, last.nw, last.gp, s.nrmse, strings.ReplaceAll(candidates[at].name, " ", "-"))
	return err
}

type summary struct{ kalman, kalmanMAAE, nw, gp float64 }

// An entry is one model and the ways to run it: a model fitted with a kernel Q also
// runs with a constant one.
type entry struct {
	fit  func() decoders.Fitter
	runs []run
}

type run struct {
	name, key            string
	published, reference string
	stage                func() decoders.Fitter // loads the model of the entry
}

// change applies a published change in per cent to the published Kalman score.
func change(percent float64) string { return fmt.Sprintf("%.3f", published*(1+percent/100)) }

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
		{"Kalman", "kalman", "0.765", "0.7647", kalman("")},
		{"Kalman, steady state", "", "", "", kalman(decoders.KalmanSteady)},
	}},
	{func() decoders.Fitter { return &decoders.EKF{Raw: true, Seed: 1} }, []run{
		{"EKF", "", change(2), "", func() decoders.Fitter { return &decoders.EKF{Raw: true} }},
		{"UKF", "", change(2), "", func() decoders.Fitter { return &decoders.UKF{Raw: true} }},
	}},
	{dkf(decoders.DKF{F: decoders.DKFNW, Mode: standard, Q: kernel}), []run{
		{"NW unfiltered", "", "", "0.638", alone},
		{"DKF-NW kernel Q, released", "", change(-21), "0.625", filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-NW kernel Q, paper", "", "", "0.674", filter(standard, kernel, "")},
		{"DKF-NW kernel Q, clip", "", "", "0.648", filter(standard, kernel, decoders.FallbackClip)},
		{"DKF-NW kernel Q, robust", "", "", "0.718", filter(decoders.DKFRobust, kernel, "")},
		{"DKF-NW constant Q", "nw", "", "0.603", constantQ},
		{"DKF-NW constant Q, robust", "", "", "0.662", filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFGP, Points: 3500, Mode: standard, Q: kernel}), []run{
		{"GP unfiltered", "", "", "0.588", alone},
		{"DKF-GP kernel Q, released", "", change(-21), "0.595", filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-GP kernel Q, paper", "", "", "0.614", filter(standard, kernel, "")},
		{"DKF-GP constant Q", "gp", "", "0.566", constantQ},
		{"DKF-GP constant Q, robust", "", "", "0.595", filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFGP, Points: 1000}), []run{{"DKF-GP constant Q, 1000 points", "", "", "", constantQ}}},
	{dkf(decoders.DKF{F: decoders.DKFSparseGP}), []run{{"DKF-GP constant Q, sparse 200", "", "", "", constantQ}}},
	{dkf(decoders.DKF{F: decoders.DKFMLP, Mode: standard, Q: kernel}), []run{
		{"NN unfiltered", "", "", "0.615", alone},
		{"DKF-NN kernel Q, released", "", change(-19), "", filter(standard, kernel, decoders.FallbackReleased)},
		{"DKF-NN constant Q", "", "", "0.584", constantQ},
		{"DKF-NN constant Q, robust", "", "", "0.610", filter(decoders.DKFRobust, "constant", "")},
	}},
	{dkf(decoders.DKF{F: decoders.DKFMKGP, Octants: true, Points: 300}), []run{{"DKF multiple kernel, octants", "", "", "0.864", constantQ}}},
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

type score struct {
	nrmse, maae float64
	corr        []float64
	micros      float64
}

// score decodes the test rows with a fitted stage.
func (d *data) score(f decoders.Fitter) (score, error) {
	test := d.rows(trainRows, trainRows+testRows, 0, 0)
	got, micros, err := decode(f, test)
	if err != nil {
		return score{}, err
	}
	return score{decoders.NRMSE(got, test.Target), decoders.MAAE(got, test.Target), decoders.Correlation(got, test.Target), micros}, nil
}

// decode streams rows through a fitted stage, one column per chunk.
func decode(f decoders.Fitter, rows *decoders.Rows) (got [][]float64, micros float64, err error) {
	out, err := f.Open(rows.Header)
	if err != nil {
		return nil, 0, err
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	var spent time.Duration
	for i, x := range rows.X {
		src.Clear()
		src.Resize(1)
		src.Seq = int64(i)
		src.SetColumn(0, x)
		start := time.Now()
		f.Process(dst, src)
		spent += time.Since(start)
		got = append(got, dst.Column(nil, 0))
	}
	return got, float64(spent.Nanoseconds()) / 1e3 / float64(len(rows.X)), nil
}

// crossValidate returns the nRMSE over five contiguous blocks of the training rows,
// each decoded by a model of the other four.
func (d *data) crossValidate(ctx context.Context, stage func() decoders.Fitter) (float64, error) {
	const folds = 5
	var got, want [][]float64
	for k := range folds {
		from, to := k*trainRows/folds, (k+1)*trainRows/folds
		f := stage()
		if err := f.Fit(ctx, d.rows(0, trainRows, from, to), nil); err != nil {
			return 0, err
		}
		held := d.rows(from, to, 0, 0)
		p, _, err := decode(f, held)
		if err != nil {
			return 0, err
		}
		got, want = append(got, p...), append(want, held.Target...)
	}
	return decoders.NRMSE(got, want), nil
}
