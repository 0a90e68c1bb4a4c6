//go:build purego || !amd64

package features

import "neurostream/stream/kernel"

// Without assembly the level is Portable, and these are not reached.

func sumAssembly(_ kernel.Set, dst *vec, x []vec) { sumPlain(dst, x) }

func subtractAssembly(_ kernel.Set, dst, x []vec, m *vec) { subtractPlain(dst, x, m) }

func squaresAssembly(_ kernel.Set, dst *vec, x []vec, m *vec) { squaresPlain(dst, x, m) }

func outerAssembly(_ kernel.Set, acc *[8]vec, a, b []vec) { outerPlain(acc, a, b) }

func powersAssembly(_ kernel.Set, dst, bins []vec) { powersPlain(dst, bins) }

func addRowsAssembly(_ kernel.Set, a, b []vec) { addRowsPlain(a, b) }

func crossProductAssembly(_ kernel.Set, dst *[16]vec, x, y []vec) { crossProductPlain(dst, x, y) }

func crossMagnitudeAssembly(_ kernel.Set, dst *[8]vec, x, y []vec, terms, bins, stride int) {
	crossMagnitudePlain(dst, x, y, terms, bins, stride)
}

func unitsAssembly(_ kernel.Set, dst, bins []vec) { unitsPlain(dst, bins) }

func lagSumsAssembly(_ kernel.Set, dst *[32]vec, x, y []vec) { lagSumsPlain(dst, x, y) }

func normaliseAssembly(_ kernel.Set, power, x []vec, terms int) { normalisePlain(power, x, terms) }
