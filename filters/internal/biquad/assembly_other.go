//go:build purego || !amd64

package biquad

import "neurostream/stream/kernel"

// Without assembly kernel.Supported is Portable alone, and these are not reached.
func assembly(_ kernel.Set, x []Column, q []Coefficients, s []State) { portable(x, q, s) }

func copyAssembly(to, from []Column) bool { return CopyAt(kernel.Portable, to, from) }
