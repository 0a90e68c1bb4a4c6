//go:build purego || !amd64

package fir

import "neurostream/stream/kernel"

// Without assembly kernel.Supported is Portable alone, and this is not reached.
func assembly(_ kernel.Set, y, x []Column, h []float64) { portable(y, x[:len(y)+len(h)-1], h) }
