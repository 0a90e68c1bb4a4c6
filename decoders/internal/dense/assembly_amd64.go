//go:build !purego

package dense

import "neurostream/stream/kernel"

// The assembly does not check: the slices are cut to size here.

// way returns where a walk over the panels of w begins, and how many bytes lie between
// the end of one and the beginning of the next.
func way(dst []float64, w []Vec, n int, back bool) (to, from *float64, panels, next int) {
	panels = len(dst) / 8
	w = w[:panels*n]
	if back {
		return &dst[8*panels-8], &w[(panels-1)*n][0], panels, -2 * 64 * n
	}
	return &dst[0], &w[0][0], panels, 0
}

func productsAssembly(level kernel.Set, dst []float64, w []Vec, x []float64, back bool) {
	to, from, panels, next := way(dst, w, len(x), back)
	if level == kernel.AVX512 {
		productsAVX512(to, from, &x[0], len(x), panels, next)
	} else {
		productsAVX2(to, from, &x[0], len(x), panels, next)
	}
}

func distancesAssembly(level kernel.Set, dst []float64, w []Vec, x []float64, back bool) {
	to, from, panels, next := way(dst, w, len(x), back)
	if level == kernel.AVX512 {
		distancesAVX512(to, from, &x[0], len(x), panels, next)
	} else {
		distancesAVX2(to, from, &x[0], len(x), panels, next)
	}
}

func nonzeroAssembly(list []int32, x []float64) int {
	return nonzeroAVX2(&list[0], &x[0], len(x)/4, &ofFour[0][0])
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

func selectedAssembly(level kernel.Set, dst []float64, w []Vec, x []float64, columns []int32) {
	panels := len(dst) / 8
	w = w[:panels*len(x)]
	if level == kernel.AVX512 {
		selectedAVX512(&dst[0], &w[0][0], &x[0], &columns[0], len(columns), panels, 64*len(x))
	} else {
		selectedAVX2(&dst[0], &w[0][0], &x[0], &columns[0], len(columns), panels, 64*len(x))
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
