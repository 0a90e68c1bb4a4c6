//go:build !purego

package fft

import "neurostream/stream/kernel"

// The assembly does not check: the slices are cut to size here.

func loadWindowAssembly(level kernel.Set, dst, src []Vec, window []float64, offset *Vec) {
	n := len(dst)
	if n == 0 {
		return
	}
	src, window = src[:n], window[:n]
	if level == kernel.AVX512 {
		loadAVX512(&dst[0][0], &src[0][0], n, &window[0], &offset[0])
	} else {
		loadAVX2(&dst[0][0], &src[0][0], n, &window[0], &offset[0])
	}
}

// loadSplit4Assembly is loadWindow and the first stage, of radix 4, together.
func loadSplit4Assembly(level kernel.Set, work, src []Vec, window []float64, offset *Vec, twiddle []float64) {
	n := len(src)
	q := n / 8
	work, window, twiddle = work[:n], window[:n], twiddle[:6*q]
	if level == kernel.AVX512 {
		loadRadix4AVX512(&work[0][0], &src[0][0], q, &window[0], &offset[0], &twiddle[0])
	} else {
		loadRadix4AVX2(&work[0][0], &src[0][0], q, &window[0], &offset[0], &twiddle[0])
	}
}

func split4Assembly(level kernel.Set, work []Vec, twiddle []float64, size int) {
	q := size / 4
	p, blocks, w := &work[0][0], len(work)/2/size, &twiddle[:6*q][0]
	switch wide := level == kernel.AVX512; {
	case size == 4 && wide:
		radix4LastAVX512(p, blocks)
	case size == 4:
		radix4LastAVX2(p, blocks)
	case wide:
		radix4AVX512(p, blocks, q, w)
	default:
		radix4AVX2(p, blocks, q, w)
	}
}

func split2Assembly(level kernel.Set, work []Vec, twiddle []float64, size int) {
	q := size / 2
	p, blocks, w := &work[0][0], len(work)/2/size, &twiddle[:2*q][0]
	switch wide := level == kernel.AVX512; {
	case size == 2 && wide:
		radix2LastAVX512(p, blocks)
	case size == 2:
		radix2LastAVX2(p, blocks)
	case wide:
		radix2AVX512(p, blocks, q, w)
	default:
		radix2AVX2(p, blocks, q, w)
	}
}

func splitOddAssembly(level kernel.Set, work []Vec, twiddle, roots []float64, size, r int) {
	q, h := size/r, (r-1)/2
	p, blocks, w, c := &work[0][0], len(work)/2/size, &twiddle[:2*(r-1)*q][0], &roots[:2*h*h][0]
	switch wide := level == kernel.AVX512; {
	case r == 3 && wide:
		radix3AVX512(p, blocks, q, w, c)
	case r == 3:
		radix3AVX2(p, blocks, q, w, c)
	case wide:
		radix5AVX512(p, blocks, q, w, c)
	default:
		radix5AVX2(p, blocks, q, w, c)
	}
}

func postPairsAssembly(level kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, a int) {
	m := len(rev)
	low, high := &dst[2*(a-lo)][0], &dst[2*(m-a-lo)][0]
	n := (m+1)/2 - a
	if level == kernel.AVX512 {
		postPairsAVX512(low, high, &work[0][0], &rev[a], &rev[m-a], &post[2*a], n)
	} else {
		postPairsAVX2(low, high, &work[0][0], &rev[a], &rev[m-a], &post[2*a], n)
	}
}

func postSinglesAssembly(level kernel.Set, dst, work []Vec, rev []int32, post []float64, lo, k, end int) {
	to := dst[2*(k-lo) : 2*(end-lo)]
	if level == kernel.AVX512 {
		postSinglesAVX512(&to[0][0], &work[0][0], &rev[k], &rev[len(rev)-k], &post[2*k], end-k)
	} else {
		postSinglesAVX2(&to[0][0], &work[0][0], &rev[k], &rev[len(rev)-k], &post[2*k], end-k)
	}
}
