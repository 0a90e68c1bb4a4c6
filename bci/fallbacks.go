package bci

import (
	"sync/atomic"

	"neurostream/decoders"
	"neurostream/stream"
)

// falls is a stage that counts what it could not do as it was meant.
type falls interface{ Fallbacks() decoders.Fallbacks }

// fallen holds a stage's counts for readers on other goroutines; its lane stores them.
type fallen struct{ columns, fallbacks, unusable atomic.Int64 }

func (f *fallen) store(s stream.Stage) {
	if s, ok := s.(falls); ok {
		c := s.Fallbacks()
		f.columns.Store(c.Columns)
		f.fallbacks.Store(c.Fallbacks)
		f.unusable.Store(c.Unusable)
	}
}

// load returns the counts; nil when none are kept.
func (f *fallen) load() *decoders.Fallbacks {
	if f == nil {
		return nil
	}
	return &decoders.Fallbacks{Columns: f.columns.Load(), Fallbacks: f.fallbacks.Load(), Unusable: f.unusable.Load()}
}
