//go:build !purego

package dense

import "neurostream/stream/kernel"

// The assembly does not check: the slices are cut to size here.

func productsAssembly(level kernel.Set, dst *Vec, w []Vec, x []float64) {
	n := len(w)
	x = x[:n]
	if level == kernel.AVX512 {
		productsAVX512(&dst[0], &w[0][0], &x[0], n)
	} else {
		productsAVX2(&dst[0], &w[0][0], &x[0], n)
	}
}

func distancesAssembly(level kernel.Set, dst *Vec, w []Vec, x []float64) {
	n := len(w)
	x = x[:n]
	if level == kernel.AVX512 {
		distancesAVX512(&dst[0], &w[0][0], &x[0], n)
	} else {
		distancesAVX2(&dst[0], &w[0][0], &x[0], n)
	}
}

func expAssembly(level kernel.Set, dst, x []float64, c *[20]float64) {
	n := len(x) / 8
	dst = dst[:8*n]
	if level == kernel.AVX512 {
		expAVX512(&dst[0], &x[0], n, &c[0])
	} else {
		expAVX2(&dst[0], &x[0], n, &c[0])
	}
}
