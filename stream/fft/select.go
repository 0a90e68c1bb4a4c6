package fft

//go:generate go run -C ../kernel/asmgen . -kernels fft -out ../../fft/kernels_amd64.s -stubs ../../fft/kernels_amd64.go -pkg fft

import "neurostream/stream/kernel"

func loadWindow(level kernel.Set, dst, src []Vec, window []float64, offset *Vec) {
	if level == kernel.Portable {
		loadWindowPlain(dst, src, window, offset)
		return
	}
	loadWindowAssembly(level, dst, src, window, offset)
}

// split4 splits every block of size complex vectors into four.
func split4(level kernel.Set, work []Vec, twiddle []float64, size int) {
	switch {
	case level != kernel.Portable:
		split4Assembly(level, work, twiddle, size)
	case size == 4:
		radix4LastPlain(work)
	default:
		radix4Plain(work, twiddle, size)
	}
}

// split2 splits every block of size complex vectors into two.
func split2(level kernel.Set, work []Vec, twiddle []float64, size int) {
	if level == kernel.Portable {
		radix2Plain(work, twiddle, size)
		return
	}
	split2Assembly(level, work, twiddle, size)
}

// splitOdd splits every block of size complex vectors into r, r odd.
func splitOdd(level kernel.Set, work []Vec, twiddle, roots []float64, size, r int, scratch *oddScratch) {
	if level == kernel.Portable || r > 5 {
		radixOddPlain(work, twiddle, roots, size, r, scratch)
		return
	}
	splitOddAssembly(level, work, twiddle, roots, size, r)
}

// postPass makes bins lo to hi-1 of the spectrum of 2m real points from the transform
// Z of the m complex ones: X[k] = (Z[k] + Z*[m-k])/2 - i W^k (Z[k] - Z*[m-k])/2. When
// both bins k and m-k are wanted, they share their products.
func postPass(level kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, hi int) {
	m := len(rev)
	from, to := max(lo, 1), min(hi, m) // 0 and m need place 0 for both
	// Bins from a to m-a are their own mirror images.
	a := max(from, m-to+1)
	if a >= m-a {
		a = from
		postSingles(level, dst, work, rev, post, lo, from, to)
	} else {
		postSingles(level, dst, work, rev, post, lo, from, a)
		postPairs(level, dst, work, rev, post, lo, a)
		if m%2 == 0 {
			postSingles(level, dst, work, rev, post, lo, m/2, m/2+1)
		}
		postSingles(level, dst, work, rev, post, lo, m-a+1, to)
	}
	if lo == 0 && hi > 0 {
		postBin(&dst[0], &dst[1], work, 0, 0, post)
	}
	if hi == m+1 && lo <= m {
		postBin(&dst[2*(m-lo)], &dst[2*(m-lo)+1], work, 0, 0, post[2*m:])
	}
}

// postPairs makes bins a to m-a but for m/2.
func postPairs(level kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, a int) {
	if level != kernel.Portable {
		postPairsAssembly(level, dst, work, rev, post, lo, a)
		return
	}
	m := len(rev)
	for k := a; k < m-k; k++ {
		low, high := dst[2*(k-lo):], dst[2*(m-k-lo):]
		postPairPlain((*[2]Vec)(low), (*[2]Vec)(high), work, rev[k], rev[m-k], post[2*k:])
	}
}

// postSingles makes bins k to end-1, none of which is 0 or m.
func postSingles(level kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, k, end int) {
	if level != kernel.Portable {
		if k < end {
			postSinglesAssembly(level, dst, work, rev, post, lo, k, end)
		}
		return
	}
	for ; k < end; k++ {
		postBin(&dst[2*(k-lo)], &dst[2*(k-lo)+1], work, rev[k], rev[len(rev)-k], post[2*k:])
	}
}
