package earlyexit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"neurostream/recordings"
	"neurostream/recordings/npz"
	"neurostream/stream"
)

// missing says where data are to be had.
func missing(pattern, dir, where string) error {
	return fmt.Errorf("no %s in %s; %s", pattern, dir, where)
}

func files(dir, pattern, where string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, missing(pattern, dir, where)
	}
	sort.Strings(found)
	return found, nil
}

// loadSSVEP takes every second run of a subject as one fold. One run stands in the set
// under two subjects; it is used once.
func loadSSVEP(_ context.Context, dir string) ([]run, error) {
	paths, err := files(dir, "ssvep_exo/S*.edf.gz", "they come from github.com/sylvchev/dataset-ssvep-exoskeleton (CC0), as EDF+")
	if err != nil {
		return nil, err
	}
	var out []run
	count := map[string]int{}
	for _, p := range paths {
		name := strings.TrimSuffix(filepath.Base(p), ".edf.gz")
		if name == "S07_2012.07.11-15.33.08" { // identical to a run of S03
			continue
		}
		r, err := recordings.Open(p)
		if err != nil {
			return out, err
		}
		subject := name[:3]
		out = append(out, run{name: name, group: "all", rec: r, fold: count[subject] % 2})
		count[subject]++
	}
	return out, nil
}

// loadImagery takes the three runs of imagined left and right fist as folds.
func loadImagery(_ context.Context, dir string) ([]run, error) {
	var out []run
	for f, r := range []string{"R04", "R08", "R12"} {
		paths, err := files(dir, "eegmmidb/S*/S*"+r+".edf.gz", "they come from physionet.org/content/eegmmidb (ODC-By 1.0)")
		if err != nil {
			return out, err
		}
		for _, p := range paths {
			rec, err := recordings.Open(p)
			if err != nil {
				return out, err
			}
			out = append(out, run{name: strings.TrimSuffix(filepath.Base(p), ".edf.gz"), group: "all", rec: rec, fold: f})
		}
	}
	return out, nil
}

// loadGraz makes a recording of every trial: the two halves of the competition are folds.
func loadGraz(_ context.Context, dir string) ([]run, error) {
	path := filepath.Join(dir, "bci2003_iii", "bci2003_iii.npz")
	if _, err := os.Stat(path); err != nil {
		return nil, missing("bci2003_iii/bci2003_iii.npz", dir, "it is data set III of BCI Competition II (bbci.de/competition/ii)")
	}
	a, err := npz.Open(path)
	if err != nil {
		return nil, err
	}
	var out []run
	for f, part := range []string{"train", "test"} {
		x, y := a[part+"_x"], a[part+"_y"]
		if len(x.Shape) != 3 || x.Shape[2] != 3 || len(y.Data) != x.Shape[0] {
			return nil, fmt.Errorf("%s: %s_x is %v, expected trials × samples × 3", path, part, x.Shape)
		}
		for k := range x.Shape[0] {
			n := x.Shape[1]
			columns := make([][]float64, n)
			for i := range columns {
				at := (k*n + i) * 3
				columns[i] = []float64{x.Data[at] / 2048, x.Data[at+1] / 2048, x.Data[at+2] / 2048}
			}
			label := []string{"left", "right"}[int(y.Data[k])&1]
			rec := memory(fmt.Sprintf("%s %d", part, k+1), 128, []string{"C3", "Cz", "C4"}, "a.u.", columns)
			rec.Notes = []recordings.Annotation{{Onset: 0, Duration: float64(n) / 128, Label: label}}
			out = append(out, run{name: rec.Stream.Name, group: "one subject", rec: rec, fold: f})
		}
	}
	return out, nil
}

// memory makes a recording of columns.
func memory(name string, rate float64, labels []string, unit string, columns [][]float64) *recordings.Memory {
	h := stream.Header{Name: name, Rate: rate, MaxLen: 64}
	for _, l := range labels {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: unit, Type: "EEG"})
	}
	c := new(stream.Chunk)
	c.Alloc(len(labels), max(1, len(columns)))
	c.Resize(len(columns))
	for i, x := range columns {
		c.SetColumn(i, x)
	}
	return &recordings.Memory{Stream: h, Data: c}
}
