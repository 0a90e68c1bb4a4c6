//go:build purego || !amd64

package dense

import "neurostream/stream/kernel"

// Without assembly the level is Portable, and these are not reached.

func productsAssembly(_ kernel.Set, dst *Vec, w []Vec, x []float64) { productsPlain(dst, w, x) }

func distancesAssembly(_ kernel.Set, dst *Vec, w []Vec, x []float64) { distancesPlain(dst, w, x) }

func expAssembly(_ kernel.Set, dst, x []float64, c *[20]float64) { expPlain(dst, x, c) }
