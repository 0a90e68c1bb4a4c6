//go:build !purego

package fir

import "neurostream/stream/kernel"

// assembly computes len(y) columns; x is at least len(y)+len(h)-1 long.
func assembly(level kernel.Set, y, x []Column, h []float64) {
	if len(y) == 0 || len(h) == 0 {
		clear(y)
		return
	}
	_ = x[len(y)+len(h)-2] // the assembly does not check
	if level == kernel.AVX512 {
		convolveAVX512(&y[0][0], &x[0][0], len(y), &h[0], len(h))
	} else {
		convolveAVX2(&y[0][0], &x[0][0], len(y), &h[0], len(h))
	}
}
