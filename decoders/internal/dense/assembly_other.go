//go:build purego || !amd64

package dense

import "neurostream/stream/kernel"

// Without assembly the level is Portable, and these are not reached.

func productsAssembly(kernel.Set, []float64, []Vec, []float64, bool) {}

func distancesAssembly(kernel.Set, []float64, []Vec, []float64, bool) {}

func nonzeroAssembly([]int32, []float64) int { return 0 }

func expAssembly(_ kernel.Set, dst, x []float64, c *[20]float64) { expPlain(dst, x, c) }

func selectedAssembly(kernel.Set, []float64, []Vec, []float64, []int32) {}

func squashAssembly(kernel.Set, []float64) {}

func conditionAssembly(_, _, _, _ []float64, _ float64) bool { return false }

func fireAssembly(_, _, _, _ []float64, _ *[4]float64) {}
