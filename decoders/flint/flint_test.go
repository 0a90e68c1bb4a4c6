package flint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, x, z string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"x.csv": x, "z.csv": z} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRecordingsThatCannotBeUsed(t *testing.T) {
	_, err := Run(context.Background(), t.TempDir(), nil)
	if !errors.Is(err, ErrNoData) || !strings.Contains(err.Error(), "DKF-implementations") || !strings.Contains(err.Error(), "FLINT=") {
		t.Errorf("without data: %v", err)
	}
	for name, c := range map[string]struct{ x, z, want string }{
		"short":  {"1,2\n3,4\n", "1,2\n3,4\n", "2 rows of features and 2 of velocity"},
		"ragged": {"1,2\n3\n", "1,2\n3,4\n", "x.csv: line 2 has 1 values, line 1 has 2"},
		"word":   {"1,2\n3,4\n", "1,2\n3,four\n", "z.csv: line 2"},
		"nan":    {"1,2\n3,NaN\n", "1,2\n3,4\n", "x.csv: line 2: NaN"},
		"empty":  {"", "1,2\n", "x.csv is empty"},
	} {
		if _, err := Run(context.Background(), write(t, c.x, c.z), nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The last line is what scripts read.
func TestSummaryLine(t *testing.T) {
	r := &Report{Chosen: Line{Decoder: "dkf mlp 3 bins", NRMSE: 0.5}, kalman: Line{NRMSE: 0.75, MAAE: 0.875}, nw: Line{NRMSE: 0.625}, gp: Line{NRMSE: 0.5625}}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if got := lines[len(lines)-1]; got != "kalman_nrmse=0.7500 kalman_maae=0.8750 dkf_nw_nrmse=0.6250 dkf_gp_nrmse=0.5625 best_nrmse=0.5000 best=dkf-mlp-3-bins" {
		t.Error(got)
	}
}

// The blocks of cross-validation cover the training rows once, and no decoder is
// fitted on a row it is judged by.
func TestFoldsAreApart(t *testing.T) {
	d := new(data)
	for i := range trainRows + testRows {
		d.x, d.z = append(d.x, []float64{float64(i)}), append(d.z, []float64{float64(i), 0})
	}
	seen := map[float64]bool{}
	for k := range folds {
		from, to := k*trainRows/folds, (k+1)*trainRows/folds
		held := map[float64]bool{}
		for _, x := range d.rows(from, to, 0, 0).X {
			if held[x[0]] = true; seen[x[0]] {
				t.Fatalf("row %v is held out twice", x[0])
			}
			seen[x[0]] = true
		}
		train := d.rows(0, trainRows, from, to)
		for i, x := range train.X {
			if held[x[0]] || x[0] >= trainRows {
				t.Fatalf("fold %d is trained on row %v", k, x[0])
			}
			if i > 0 && x[0] != train.X[i-1][0]+1 && train.Group[i] == train.Group[i-1] {
				t.Fatalf("fold %d: rows %v and %v do not follow each other but are one group", k, train.X[i-1][0], x[0])
			}
		}
		if len(train.X)+len(held) != trainRows {
			t.Fatal(fmt.Sprint("fold ", k, " has ", len(train.X), " rows"))
		}
	}
	if len(seen) != trainRows {
		t.Errorf("%d rows were held out", len(seen))
	}
}
