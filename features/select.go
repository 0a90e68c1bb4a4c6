package features

func sumOf(x []vec) vec { return sumPlain(x) }

func outer(acc *[8]vec, a, b []vec) { outerPlain(acc, a, b) }

func powers(dst, bins []vec) { powersPlain(dst, bins) }

func addRows(a, b []vec) { addRowsPlain(a, b) }
