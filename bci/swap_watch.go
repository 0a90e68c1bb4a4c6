package bci

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// ModelWatch swaps a model file in whenever it was replaced: what `bci run --reload`
// looks at twice a second. `bci train` writes whole files only, so a file is never seen
// half-written.
type ModelWatch struct {
	Engine *Engine
	Path   string
	seen   os.FileInfo
}

// Check returns what happened in one line, or "" when the file is still the one that
// was seen last. The first Check only looks. A file that cannot be read or does not fit
// is an error, reported once; the old model goes on.
func (w *ModelWatch) Check(ctx context.Context) (string, error) {
	now, err := os.Stat(w.Path)
	if err != nil {
		return "", nil // between removal and replacement
	}
	last := w.seen
	w.seen = now
	if last == nil || os.SameFile(last, now) && last.Size() == now.Size() && last.ModTime().Equal(now.ModTime()) {
		return "", nil
	}
	m, err := ReadModel(w.Path)
	if err != nil {
		return "", fmt.Errorf("%w; the old model goes on", err)
	}
	column, err := w.Engine.Swap(ctx, m, filepath.Base(w.Path))
	if err != nil {
		return "", fmt.Errorf("%s: %w; the old model goes on", w.Path, err)
	}
	return fmt.Sprintf("%s replaced the model at column %d (%.3f s)", w.Path, column, float64(column)/w.Engine.In().Rate), nil
}
