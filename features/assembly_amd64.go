//go:build !purego

package features

import "neurostream/stream/kernel"

// The assembly does not check: the slices are cut to size here.

func sumAssembly(level kernel.Set, dst *vec, x []vec) {
	n := len(x)
	if n == 0 {
		*dst = vec{}
		return
	}
	if level == kernel.AVX512 {
		sumAVX512(&dst[0], &x[0][0], n)
	} else {
		sumAVX2(&dst[0], &x[0][0], n)
	}
}

func subtractAssembly(level kernel.Set, dst, x []vec, m *vec) {
	n := len(dst)
	if n == 0 {
		return
	}
	x = x[:n]
	if level == kernel.AVX512 {
		subtractAVX512(&dst[0][0], &x[0][0], n, &m[0])
	} else {
		subtractAVX2(&dst[0][0], &x[0][0], n, &m[0])
	}
}

func squaresAssembly(level kernel.Set, dst *vec, x []vec, m *vec) {
	n := len(x)
	if n == 0 {
		*dst = vec{}
		return
	}
	if level == kernel.AVX512 {
		squaresAVX512(&dst[0], &x[0][0], n, &m[0])
	} else {
		squaresAVX2(&dst[0], &x[0][0], n, &m[0])
	}
}

func outerAssembly(level kernel.Set, acc *[8]vec, a, b []vec) {
	n := len(a)
	if n == 0 {
		return
	}
	b = b[:n]
	if level == kernel.AVX512 {
		outerAVX512(&acc[0][0], &a[0][0], &b[0][0], n)
	} else {
		outerAVX2(&acc[0][0], &a[0][0], &b[0][0], n)
	}
}

func powersAssembly(level kernel.Set, dst, bins []vec) {
	n := len(dst)
	if n == 0 {
		return
	}
	bins = bins[:2*n]
	if level == kernel.AVX512 {
		powersAVX512(&dst[0][0], &bins[0][0], n)
	} else {
		powersAVX2(&dst[0][0], &bins[0][0], n)
	}
}

func addRowsAssembly(level kernel.Set, a, b []vec) {
	n := len(a)
	if n == 0 {
		return
	}
	b = b[:n]
	if level == kernel.AVX512 {
		addRowsAVX512(&a[0][0], &b[0][0], n)
	} else {
		addRowsAVX2(&a[0][0], &b[0][0], n)
	}
}

func crossProductAssembly(level kernel.Set, dst *[16]vec, x, y []vec) {
	n := len(x) / 2
	if n == 0 {
		return
	}
	y = y[:2*n]
	if level == kernel.AVX512 {
		crossProductAVX512(&dst[0][0], &x[0][0], &y[0][0], n)
	} else {
		crossProductAVX2(&dst[0][0], &x[0][0], &y[0][0], n)
	}
}

func crossMagnitudeAssembly(level kernel.Set, dst *[8]vec, x, y []vec, terms, bins, stride int) {
	if terms == 0 || bins == 0 {
		return // nothing to add: |0| = 0
	}
	last := (bins - 1) * stride
	_, _ = x[last+2*terms-1], y[last+2*terms-1]
	if level == kernel.AVX512 {
		crossMagnitudeAVX512(&dst[0][0], &x[0][0], &y[0][0], terms, bins, 64*stride)
	} else {
		crossMagnitudeAVX2(&dst[0][0], &x[0][0], &y[0][0], terms, bins, 64*stride)
	}
}

func normaliseAssembly(level kernel.Set, power, x []vec, terms int) {
	n := len(power)
	if n == 0 || terms == 0 {
		return
	}
	x = x[:2*terms*n]
	if level == kernel.AVX512 {
		normaliseAVX512(&power[0][0], &x[0][0], n, terms)
	} else {
		normaliseAVX2(&power[0][0], &x[0][0], n, terms)
	}
}

func unitsAssembly(level kernel.Set, dst, bins []vec) {
	n := len(dst) / 2
	if n == 0 {
		return
	}
	bins = bins[:2*n]
	if level == kernel.AVX512 {
		unitsAVX512(&dst[0][0], &bins[0][0], n)
	} else {
		unitsAVX2(&dst[0][0], &bins[0][0], n)
	}
}

func lagSumsAssembly(_ kernel.Set, dst *[32]vec, x, y []vec) {
	n := len(x) / 2
	if n == 0 {
		return
	}
	y = y[:2*n]
	lagSumsAVX2(&dst[0][0], &x[0][0], &y[0][0], n) // also with AVX-512, whose comparisons make masks
}
