//go:build purego || !amd64

package fft

import "neurostream/stream/kernel"

// Without assembly the level is Portable, and these are not reached.

func loadWindowAssembly(_ kernel.Set, dst, src []Vec, window []float64, offset *Vec) {
	loadWindowPlain(dst, src, window, offset)
}

func loadSplit4Assembly(kernel.Set, []Vec, []Vec, []float64, *Vec, []float64) {}

func split4Assembly(_ kernel.Set, work []Vec, twiddle []float64, size int) {
	split4(kernel.Portable, work, twiddle, size)
}

func split2Assembly(_ kernel.Set, work []Vec, twiddle []float64, size int) {
	radix2Plain(work, twiddle, size)
}

func splitOddAssembly(_ kernel.Set, work []Vec, twiddle, roots []float64, size, r int) {
	splitOdd(kernel.Portable, work, twiddle, roots, size, r, new(oddScratch))
}

func postPairsAssembly(_ kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, a int) {
	postPairs(kernel.Portable, dst, work, rev, post, lo, a)
}

func postSinglesAssembly(_ kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, k, end int) {
	postSingles(kernel.Portable, dst, work, rev, post, lo, k, end)
}
