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

func selectedAssembly(level kernel.Set, dst *Vec, w []Vec, x []float64, columns []int32) {
	x = x[:len(w)]
	if level == kernel.AVX512 {
		selectedAVX512(&dst[0], &w[0][0], &x[0], &columns[0], len(columns))
	} else {
		selectedAVX2(&dst[0], &w[0][0], &x[0], &columns[0], len(columns))
	}
}

func squashAssembly(level kernel.Set, x []float64) {
	c := [2]float64{1, 2}
	n := len(x) / 8
	if n == 0 {
		return
	}
	if level == kernel.AVX512 {
		squashAVX512(&x[0], n, &c[0])
	} else {
		squashAVX2(&x[0], n, &c[0])
	}
}

func conditionAssembly(dst, x, mean, scale []float64, limit float64) bool {
	n := len(x)
	dst, mean, scale = dst[:n], mean[:n], scale[:n]
	return conditionAVX2(&dst[0], &x[0], &mean[0], &scale[0], n/8, limit) == 0
}

func fireAssembly(u, spikes, in, decay []float64, c *[4]float64) {
	n := len(u)
	spikes, in, decay = spikes[:n], in[:n], decay[:n]
	fireAVX2(&u[0], &spikes[0], &in[0], &decay[0], n/8, &c[0])
}
