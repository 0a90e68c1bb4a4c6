package earlyexit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"neurostream/bci"
	"neurostream/recordings"
	"neurostream/replay"
	"neurostream/stream"
)

// The recordings of P300 spellers at hand say of every flash whether it lit the attended
// character, but not which row or column it was. So the question is put item by item: is
// this item the attended one? An item flashes once as a row and once as a column in every
// repetition. The attended one's flashes are the targets, in their order; an item in another
// row and column has non-target flashes only, and as these answer alike, one of every
// stretch between two targets is drawn by a fixed seed. A decision is ten flashes of one
// item: five repetitions, a whole letter of OpenBMI's speller.
//
// Recordings are streamed through filters and windows of the newest 0.8 s as they are
// (p300-front.yaml), and cut afterwards: ten steps of 80 ms (and a pause of one) from every flash of
// the item, one behind the other, each with the response so far, what is still to come being 0. The network starts anew at a flash, the stopping rule adds up
// its read-out from flash to flash. Time counts on the clock of the original recording, from
// the first flash to when the data of the answer were there.
const (
	blockCue     = "item"
	blockFlashes = 10
	flashSteps   = 10 // after a flash; one more, without news, ends its label
	flashHop     = 8  // columns at 100 Hz from one to the next
	flashMean    = 4  // columns averaged into one value, as in p300-front.yaml
	blockSeed    = 300
)

// flash is one stimulus.
type flash struct {
	column int     // of the filtered recording
	onset  float64 // s
	target bool
}

func loadP300(ctx context.Context, dir string) ([]run, error) {
	var out []run
	for i, name := range []string{"cnt_p300_off.mat", "cnt_p300_on.mat"} { // the calibration and the online run of a session
		path := filepath.Join("openbmi_samples", name)
		paths, err := files(dir, path, "it comes from github.com/PatternRecognition/OpenBMI (MIT), folder Test_mat")
		if err != nil {
			return nil, err
		}
		blocks, err := itemBlocks(ctx, paths[0], "target", "nontarget", nil, uint64(i))
		if err != nil {
			return nil, err
		}
		for k, b := range blocks {
			out = append(out, run{name: fmt.Sprintf("%s item %d", name, k+1), group: "OpenBMI", rec: b.rec, fold: i, times: b.times})
		}
	}
	for i, name := range []string{"S1.mat", "S2.mat"} {
		paths, err := files(dir, "p300_br41n/"+name, "it comes from the BR41N.IO hackathon of g.tec, 2022")
		if err != nil {
			return nil, err
		}
		blocks, err := itemBlocks(ctx, paths[0], "1", "-1", nil, uint64(10+i))
		if err != nil {
			return nil, err
		}
		for k, b := range blocks { // the first two letters of five, and the others
			f := 0
			if k*5/len(blocks) >= 2 {
				f = 1
			}
			out = append(out, run{name: fmt.Sprintf("BR41N %s item %d", name, k+1), group: "BR41N " + strings.TrimSuffix(name, ".mat"), rec: b.rec, fold: f, times: b.times})
		}
	}
	for i, session := range []string{"session1", "session2"} {
		paths, err := files(dir, "muse/P300/subject1/"+session+"/*.csv.gz", "they come from github.com/NeuroTechX/eeg-notebooks (BSD-3-Clause)")
		if err != nil {
			return nil, err
		}
		for j, path := range paths {
			blocks, err := itemBlocks(ctx, path, "2", "1", []string{"TP9", "AF7", "AF8", "TP10"}, uint64(100+10*i+j))
			if err != nil {
				return nil, err
			}
			for k, b := range blocks {
				out = append(out, run{name: fmt.Sprintf("Muse %s run %d item %d", session, j+1, k+1), group: "Muse", rec: b.rec, fold: i, times: b.times})
			}
		}
	}
	return out, nil
}

type block struct {
	rec   recordings.Recording
	times []float64
}

// itemBlocks filters a recording and cuts it into decisions, attended and ignored in turn.
func itemBlocks(ctx context.Context, path, target, other string, channels []string, number uint64) ([]block, error) {
	open := recordings.Open
	if strings.HasSuffix(path, ".csv.gz") {
		open = func(path string) (recordings.Recording, error) { return recordings.OpenCSV(path) }
	}
	rec, err := open(path)
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	if len(rec.Gaps()) > 0 {
		return nil, fmt.Errorf("%s has gaps", path)
	}
	if rec, err = atNominalRate(rec); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	columns, labels, unit, t0, err := filtered(ctx, rec, channels)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []flash
	for _, a := range rec.Annotations() {
		if a.Label != target && a.Label != other {
			continue
		}
		c := int(math.Ceil((a.Onset-t0)*100 - 1e-6)) // the first column of what comes after
		if c >= 0 && c+flashSteps*flashHop <= len(columns) {
			all = append(all, flash{c, a.Onset, a.Label == target})
		}
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("%s: %d flashes labelled %s or %s", path, len(all), target, other)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].onset < all[j].onset })
	r := rand.New(rand.NewPCG(blockSeed, number))
	var out []block
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].onset-all[to-1].onset < 2 { // a pause ends a letter
			to++
		}
		out = append(out, letterBlocks(all[from:to], columns, labels, unit, r)...)
		from = to
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no letter has %d target flashes", path, blockFlashes)
	}
	return out, nil
}

// letterBlocks makes the decisions of one letter.
func letterBlocks(flashes []flash, columns [][]float64, labels []string, unit string, r *rand.Rand) []block {
	var targets []int
	for i, f := range flashes {
		if f.target {
			targets = append(targets, i)
		}
	}
	var out []block
	for k := 0; k+blockFlashes <= len(targets); k += blockFlashes {
		var attended, ignored []flash
		low := 0
		if k > 0 {
			low = targets[k-1] + 1
		}
		end := len(flashes)
		if k+blockFlashes < len(targets) {
			end = targets[k+blockFlashes]
		}
		for _, t := range targets[k : k+blockFlashes] {
			attended = append(attended, flashes[t])
		}
		// non-targets of the same stretch, one of every tenth of them
		var rest []flash
		for _, f := range flashes[low:end] {
			if !f.target {
				rest = append(rest, f)
			}
		}
		if len(rest) < blockFlashes {
			continue
		}
		for i := range blockFlashes {
			a, b := i*len(rest)/blockFlashes, (i+1)*len(rest)/blockFlashes
			ignored = append(ignored, rest[a+r.IntN(b-a)])
		}
		out = append(out, cut(attended, "target", columns, labels, unit), cut(ignored, "nontarget", columns, labels, unit))
	}
	return out
}

// cut puts the stretches after the flashes of one item one behind the other.
func cut(flashes []flash, label string, columns [][]float64, labels []string, unit string) block {
	var x [][]float64
	var b block
	notes := []recordings.Annotation{{Onset: 0, Label: blockCue}}
	last := 0.0
	const rate = 100.0 / flashHop
	for i, f := range flashes {
		// a pause of a step between labels, so that each flash is an example
		notes = append(notes, recordings.Annotation{Onset: float64(i*(flashSteps+1)) / rate, Duration: flashSteps / rate, Label: label})
		for s := 1; s <= flashSteps+1; s++ {
			x = append(x, soFar(columns[f.column+flashSteps*flashHop-1], s))
			last = max(last, f.onset-flashes[0].onset+float64(min(s, flashSteps))/rate)
			b.times = append(b.times, last)
		}
	}
	rec := memory("item", rate, labels, unit, x)
	rec.Notes = notes
	b.rec = rec
	return b
}

// soFar returns the response to a flash as it is known after s steps: row by row the samples
// since the flash, those still to come being 0. whole is the window when all are there.
func soFar(whole []float64, s int) []float64 {
	const lags = flashSteps * flashHop / flashMean
	out := make([]float64, len(whole))
	for i, v := range whole {
		if (i%lags+1)*flashMean <= s*flashHop {
			out[i] = v
		}
	}
	return out
}

// filtered streams a recording through p300-front.yaml and returns its columns, windows at
// 100 Hz, and the time of the first.
func filtered(ctx context.Context, rec recordings.Recording, channels []string) (columns [][]float64, labels []string, unit string, t0 float64, err error) {
	text, err := pipelines.ReadFile("p300-front.yaml")
	if err != nil {
		return nil, nil, "", 0, err
	}
	s := string(text)
	if channels != nil {
		s = strings.Replace(s, "stages:\n", "stages:\n  - select: {channels: ["+strings.Join(channels, ", ")+"]}\n", 1)
	}
	p, err := bci.ParsePipeline("p300-front.yaml", []byte(s))
	if err != nil {
		return nil, nil, "", 0, err
	}
	out := new(rows)
	e, err := bci.NewEngine(p, nil, &replay.Player{Recordings: []recordings.Recording{rec}}, []bci.Output{{Name: "columns", Sink: out, Lossless: true}}, bci.Options{Slots: 2})
	if err != nil {
		return nil, nil, "", 0, err
	}
	if err := e.Open(ctx); err != nil {
		return nil, nil, "", 0, err
	}
	if err := e.Run(ctx); err != nil {
		return nil, nil, "", 0, err
	}
	if math.Abs(out.rate-100) > 1e-9 || len(out.x) == 0 || slices.Contains(out.bad, true) {
		return nil, nil, "", 0, errors.New("gaps or marked samples: cut it before")
	}
	for _, c := range out.header.Channels {
		labels, unit = append(labels, c.Label), c.Unit
	}
	return out.x, labels, unit, out.at[0], nil
}

// nominal is a recording by the nominal rate of its device: a stamped one comes with the
// measured rate (256.03 Hz), from which no ratio of whole numbers leads to 100 Hz. All times
// are off by the same part in ten thousand.
type nominal struct {
	recordings.Recording
	rate, factor float64
}

func atNominalRate(rec recordings.Recording) (recordings.Recording, error) {
	h := rec.Header()
	n := math.Round(h.Rate)
	if math.Abs(n-h.Rate) > 1e-3*h.Rate {
		return nil, fmt.Errorf("%g Hz is no whole rate", h.Rate)
	}
	return nominal{rec, n, h.Rate / n}, nil
}

func (r nominal) Header() stream.Header {
	h := r.Recording.Header()
	h.Rate = r.rate
	return h
}

func (r nominal) Annotations() []recordings.Annotation {
	out := slices.Clone(r.Recording.Annotations())
	for i := range out {
		out[i].Onset *= r.factor
		out[i].Duration *= r.factor
	}
	return out
}

func (r nominal) Gaps() []recordings.Gap { return nil } // asked before
