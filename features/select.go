package features

func sumOf(x []vec) vec { return sumPlain(x) }

func outer(acc *[8]vec, a, b []vec) { outerPlain(acc, a, b) }

func powers(dst, bins []vec) { powersPlain(dst, bins) }

func addRows(a, b []vec) { addRowsPlain(a, b) }

func crossProduct(dst *[16]vec, x, y []vec) { crossProductPlain(dst, x, y) }

func crossMagnitude(dst *[8]vec, x, y []vec, row, lane *vec) {
	crossMagnitudePlain(dst, x, y, row, lane)
}

func lagSums(dst *[32]vec, x, y []vec) { lagSumsPlain(dst, x, y) }

func units(dst, bins []vec) { unitsPlain(dst, bins) }
