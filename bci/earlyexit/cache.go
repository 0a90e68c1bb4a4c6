package earlyexit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"neurostream/stream"
)

// cacheVersion changes when the same settings give other results.
const cacheVersion = 1

// kept returns the fold as it was finished before with the same settings on the same
// recordings, or makes it and keeps it.
func (j *job) kept(ctx context.Context, dir string) (*fold, error) {
	if dir == "" {
		return j.run(ctx)
	}
	key, err := j.key()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%s.json", j.study.Name, strings.TrimSuffix(j.decoder.File, ".yaml"), key[:16]))
	if b, err := os.ReadFile(path); err == nil {
		k := new(struct {
			Key  string `json:"key"`
			Fold *fold  `json:"fold"`
		})
		if json.Unmarshal(b, k) == nil && k.Key == key && k.Fold != nil && len(k.Fold.Decisions) > 0 {
			return k.Fold, nil
		}
	}
	f, err := j.run(ctx)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]any{"key": key, "fold": f})
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	part := path + ".part"
	if err := os.WriteFile(part, b, 0o644); err != nil {
		return nil, err
	}
	return f, os.Rename(part, path)
}

// key identifies settings and data: pipeline, grid, seed, and of every recording name,
// events and samples (of long ones the first and last thousands).
func (j *job) key() (string, error) {
	h := sha256.New()
	text, err := pipelines.ReadFile(j.decoder.File)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(h, cacheVersion, inner, Tolerance, j.seed, j.study.Name, j.study.Max, j.study.Cue, j.study.Taus, j.decoder.Grid, string(text))
	for part, runs := range [][]run{j.train, j.test} {
		for _, r := range runs {
			n := r.rec.Len()
			fmt.Fprintln(h, part, r.name, r.group, r.rec.Header().Rate, n, r.times)
			for _, a := range r.rec.Annotations() {
				fmt.Fprintln(h, a.Onset, a.Duration, a.Label)
			}
			head := r.rec.Header()
			c := new(stream.Chunk)
			c.Alloc(head.Rows(), 1024)
			for _, at := range []int64{0, max(0, n-1024)} {
				if n == 0 {
					break
				}
				if err := r.rec.ReadAt(c, at); err != nil {
					return "", fmt.Errorf("%s: %w", r.name, err)
				}
				for i := range c.Len {
					for _, v := range c.Column(nil, i) {
						fmt.Fprint(h, math.Float64bits(v), " ")
					}
				}
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
