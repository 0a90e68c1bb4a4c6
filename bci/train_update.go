package bci

import (
	"errors"
	"slices"

	"neurostream/decoders"
	"neurostream/filters"
	"neurostream/stream"
)

// begin gives the stages what the base model knows.
func (t *Trainer) begin(links []stream.Link, m *Model) error {
	if t.Base == nil {
		return nil
	}
	p := t.Pipeline
	if t.Folds > 1 {
		return errors.New("cross-validation judges training from nothing; to judge an update, keep a recording back and run it")
	}
	if !slices.ContainsFunc(links, func(l stream.Link) bool {
		u, ok := l.Stage.(decoders.Updater)
		return ok && u.Protects()
	}) {
		return &FileError{Path: p.Path, Msg: "no stage of this pipeline can be updated without forgetting what it knows: give logistic: {protect: 0.9}, or train anew on all recordings"}
	}
	if err := t.Base.install(p, links); err != nil {
		return err
	}
	m.Recordings = slices.Clone(t.Base.Recordings)
	return nil
}

// keeps reports whether a stage stays what the base model made it.
func (t *Trainer) keeps(s stream.Stage) bool {
	if t.Base == nil {
		return false
	}
	if _, ok := s.(filters.Learner); ok {
		return true
	}
	if _, ok := s.(decoders.Fitter); !ok {
		return false
	}
	if _, ok := s.(decoders.Calibrator); ok {
		return false
	}
	u, ok := s.(decoders.Updater)
	return !ok || !u.Protects()
}
