//go:build purego || !amd64

package dense

import "neurostream/stream/kernel"

// Without assembly the level is Portable, and these are not reached.

func productsAssembly(_ kernel.Set, dst *Vec, w []Vec, x []float64) { productsPlain(dst, w, x) }

func distancesAssembly(_ kernel.Set, dst *Vec, w []Vec, x []float64) { distancesPlain(dst, w, x) }

func expAssembly(_ kernel.Set, dst, x []float64, c *[20]float64) { expPlain(dst, x, c) }

func selectedAssembly(_ kernel.Set, dst *Vec, w []Vec, x []float64, columns []int32) {
	selectedPlain(dst, w, x, columns)
}

func squashAssembly(kernel.Set, []float64) {}

func conditionAssembly(_, _, _, _ []float64, _ float64) bool { return false }

func fireAssembly(_, _, _, _ []float64, _ *[4]float64) {}
