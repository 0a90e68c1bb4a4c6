package bci

import (
	"context"
	"errors"
	"fmt"
	"math"

	"neurostream/decoders"
	"neurostream/replay"
)

// crossValidate trains every stage that learns anew on part of the training recordings
// and judges it on the rest. A fold is a run of successive labelled stretches; the two
// stretches beside it are neither learned from nor judged, because windows there may
// share samples with those of the fold. Everything is learned inside the fold: means,
// filters, scales and calibrations too. What it returns goes into the model file:
//
//	folds, windows, balanced_accuracy, balanced_accuracy_chance      window by window
//	trials, trial_accuracy, trial_low95, trial_high95, trial_chance  evidence of a stretch
//	                                                                  added up, idle left out
//
// A pipeline of kinematics, or one that ends trials, is not judged here: nil.
func (t *Trainer) crossValidate(ctx context.Context, task replay.Task, m *Model) (map[string]float64, error) {
	p := t.Pipeline
	last := -1
	for i, l := range p.Build() {
		if _, ok := l.Stage.(decoders.Calibrator); ok {
			return nil, nil
		}
		if _, ok := l.Stage.(decoders.Fitter); ok {
			last = i
		}
	}
	if len(p.Targets) > 0 || p.Train.At > 0 || last < 0 {
		return nil, nil
	}
	type stretch struct{ group, class int }
	var all []stretch
	for r, rec := range t.Recordings {
		truth, err := replay.NewTruth(task, rec.Recording.Annotations(), rec.Recording.Header().Rate, rec.Recording.Len())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rec.Name, err)
		}
		for i, c := range truth.Changes {
			if task.Classes[c.Class] != noClass {
				all = append(all, stretch{r<<20 + i + 1, c.Class})
			}
		}
	}
	folds := t.Folds
	if len(all) < 4*folds {
		return nil, fmt.Errorf("%d labelled stretches do not make %d folds; use fewer, or 0 for none", len(all), folds)
	}
	progress := t.Progress
	defer func() { t.Progress, t.held, t.purged = progress, nil, nil }()
	classes := len(m.Classes)
	right, total := make([]int, classes), make([]int, classes)
	trials, hits := 0, 0
	for f := range folds {
		from, to := f*len(all)/folds, (f+1)*len(all)/folds
		t.held, t.purged = map[int]bool{}, map[int]bool{}
		for _, s := range all[from:to] {
			t.held[s.group] = true
		}
		for _, i := range []int{from - 1, to} {
			if i >= 0 && i < len(all) {
				t.purged[all[i].group] = true
			}
		}
		t.Progress = func(what string, done float64) {
			progress(fmt.Sprintf("fold %d of %d: %s", f+1, folds, what), done)
		}
		links := p.Build()
		for i := range links[:last+1] {
			fitter, ok := links[i].Stage.(decoders.Fitter)
			if !ok {
				continue
			}
			rows, err := t.collect(ctx, links[:i], task, m, false, false)
			if err != nil {
				return nil, err
			}
			if err := fitter.Fit(ctx, rows, nil); err != nil {
				return nil, fmt.Errorf("fold %d, %s: %w", f+1, links[i].Name, err)
			}
		}
		rows, err := t.collect(ctx, links[:last+1], task, m, false, true)
		if err != nil {
			return nil, err
		}
		var at []int // rows of the classes' probabilities
		for _, c := range rows.Classes {
			i := rows.Header.Index(c)
			if i < 0 || rows.Header.Channels[i].Type != decoders.TypeProbability {
				return nil, nil // what learns last does not decide
			}
			at = append(at, i)
		}
		idle := indexOf(rows.Classes, p.Idle)
		evidence := map[int][]float64{}
		truth := map[int]int{}
		var order []int
		for i, x := range rows.X {
			best := 0
			for k := range at {
				if x[at[k]] > x[at[best]] {
					best = k
				}
			}
			y := rows.Y[i]
			total[y]++
			if best == y {
				right[y]++
			}
			if y == idle {
				continue
			}
			g := rows.Group[i]
			if evidence[g] == nil {
				evidence[g], truth[g] = make([]float64, classes), y
				order = append(order, g)
			}
			for k := range at {
				evidence[g][k] += math.Log(max(x[at[k]], 1e-12))
			}
		}
		for _, g := range order {
			best := -1
			for k, e := range evidence[g] {
				if k != idle && (best < 0 || e > evidence[g][best]) {
					best = k
				}
			}
			trials++
			if best == truth[g] {
				hits++
			}
		}
	}
	s := map[string]float64{"folds": float64(folds), "trials": float64(trials)}
	seen, windows := 0, 0
	for k, n := range total {
		windows += n
		if n > 0 {
			seen++
			s["balanced_accuracy"] += float64(right[k]) / float64(n)
		}
	}
	if seen == 0 || trials == 0 {
		return nil, errors.New("no window was judged")
	}
	s["balanced_accuracy"] /= float64(seen)
	s["balanced_accuracy_chance"] = 1 / float64(seen)
	s["windows"] = float64(windows)
	tasks := seen
	if idle := indexOf(m.Classes, p.Idle); idle >= 0 && total[idle] > 0 {
		tasks--
	}
	s["trial_accuracy"], s["trial_chance"] = float64(hits)/float64(trials), 1/float64(max(1, tasks))
	s["trial_low95"], s["trial_high95"] = replay.ClopperPearson(hits, trials, 0.05)
	return s, nil
}
