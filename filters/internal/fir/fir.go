// Package fir convolves tiles of eight channels with an impulse response.
//
//	x: taps−1 older columns, then n ─► Σ_j h[j] x[i−j] ─► y: n columns
//
// The sums run from the newest column to the oldest, in one order for all forms, so
// the portable code and the assembly agree bit for bit.
package fir

//go:generate go run -C ../../../stream/kernel/asmgen . -kernels convolutions -out ../../../filters/internal/fir/convolve_amd64.s -stubs ../../../filters/internal/fir/convolve_amd64.go -pkg fir

import (
	"neurostream/stream"
	"neurostream/stream/kernel"
)

// Column is one column of a tile.
type Column = [stream.Lanes]float64

// piece bounds the work of one call of assembly, which cannot be preempted: a few
// microseconds.
const piece = 1 << 13

// Convolve sets y[i] = Σ_j h[j] x[i+len(h)−1−j], j ascending; x holds len(h)−1 columns
// more than y.
func Convolve(y, x []Column, h []float64) { ConvolveAt(kernel.Level(), y, x, h) }

// ConvolveAt is Convolve with the kernels of a level, which the processor must support.
func ConvolveAt(level kernel.Set, y, x []Column, h []float64) {
	x = x[:len(y)+len(h)-1]
	if level == kernel.Portable {
		portable(y, x, h)
		return
	}
	step := max(8, piece/len(h)&^7)
	for len(y) > 0 {
		n := min(step, len(y))
		assembly(level, y[:n], x, h)
		y, x = y[n:], x[n:]
	}
}

func portable(y, x []Column, h []float64) {
	for i := range y {
		var a0, a1, a2, a3, a4, a5, a6, a7 float64
		at := i + len(h) - 1
		for j, c := range h {
			v := &x[at-j]
			a0 += float64(c * v[0])
			a1 += float64(c * v[1])
			a2 += float64(c * v[2])
			a3 += float64(c * v[3])
			a4 += float64(c * v[4])
			a5 += float64(c * v[5])
			a6 += float64(c * v[6])
			a7 += float64(c * v[7])
		}
		y[i] = Column{a0, a1, a2, a3, a4, a5, a6, a7}
	}
}

// Textbook is the definition, lane by lane.
func Textbook(y, x []Column, h []float64) {
	for i := range y {
		for l := range stream.Lanes {
			sum := 0.0
			for j, c := range h {
				sum += float64(c * x[i+len(h)-1-j][l])
			}
			y[i][l] = sum
		}
	}
}
