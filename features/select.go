package features

//go:generate go run -C ../stream/kernel/asmgen . -kernels features -out ../../../features/kernels_amd64.s -stubs ../../../features/kernels_amd64.go -pkg features

import "neurostream/stream/kernel"

// level is the family of kernels of this process. The functions in this file choose
// among them; plain.go says what each computes.
var level = kernel.Level()

func sumOf(x []vec) (s vec) {
	sumAt(level, &s, x)
	return s
}

func squaresOf(x []vec, m *vec) (s vec) {
	squaresAt(level, &s, x, m)
	return s
}

func subtract(dst, x []vec, m *vec) { subtractAt(level, dst, x, m) }

func outer(acc *[8]vec, a, b []vec) { outerAt(level, acc, a, b) }

func powers(dst, bins []vec) { powersAt(level, dst, bins) }

func addRows(a, b []vec) { addRowsAt(level, a, b) }

func crossProduct(dst *[16]vec, x, y []vec) { crossProductAt(level, dst, x, y) }

func crossMagnitude(dst *[8]vec, x, y []vec, terms, bins, stride int) {
	crossMagnitudeAt(level, dst, x, y, terms, bins, stride)
}

func normalise(power, x []vec, terms int) { normaliseAt(level, power, x, terms) }

func units(dst, bins []vec) { unitsAt(level, dst, bins) }

func lagSums(dst *[32]vec, x, y []vec) { lagSumsAt(level, dst, x, y) }

func sumAt(level kernel.Set, dst *vec, x []vec) {
	if level == kernel.Portable {
		sumPlain(dst, x)
		return
	}
	sumAssembly(level, dst, x)
}

func subtractAt(level kernel.Set, dst, x []vec, m *vec) {
	if level == kernel.Portable {
		subtractPlain(dst, x, m)
		return
	}
	subtractAssembly(level, dst, x, m)
}

func squaresAt(level kernel.Set, dst *vec, x []vec, m *vec) {
	if level == kernel.Portable {
		squaresPlain(dst, x, m)
		return
	}
	squaresAssembly(level, dst, x, m)
}

func outerAt(level kernel.Set, acc *[8]vec, a, b []vec) {
	if level == kernel.Portable {
		outerPlain(acc, a, b)
		return
	}
	outerAssembly(level, acc, a, b)
}

func powersAt(level kernel.Set, dst, bins []vec) {
	if level == kernel.Portable {
		powersPlain(dst, bins)
		return
	}
	powersAssembly(level, dst, bins)
}

func addRowsAt(level kernel.Set, a, b []vec) {
	if level == kernel.Portable {
		addRowsPlain(a, b)
		return
	}
	addRowsAssembly(level, a, b)
}

func crossProductAt(level kernel.Set, dst *[16]vec, x, y []vec) {
	if level == kernel.Portable {
		crossProductPlain(dst, x, y)
		return
	}
	crossProductAssembly(level, dst, x, y)
}

func crossMagnitudeAt(level kernel.Set, dst *[8]vec, x, y []vec, terms, bins, stride int) {
	if level == kernel.Portable {
		crossMagnitudePlain(dst, x, y, terms, bins, stride)
		return
	}
	crossMagnitudeAssembly(level, dst, x, y, terms, bins, stride)
}

func normaliseAt(level kernel.Set, power, x []vec, terms int) {
	if level == kernel.Portable || terms == 0 {
		normalisePlain(power, x, terms)
		return
	}
	normaliseAssembly(level, power, x, terms)
}

func unitsAt(level kernel.Set, dst, bins []vec) {
	if level == kernel.Portable {
		unitsPlain(dst, bins)
		return
	}
	unitsAssembly(level, dst, bins)
}

func lagSumsAt(level kernel.Set, dst *[32]vec, x, y []vec) {
	if level == kernel.Portable {
		lagSumsPlain(dst, x, y)
		return
	}
	lagSumsAssembly(level, dst, x, y)
}
