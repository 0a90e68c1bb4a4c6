package fft

func loadWindow(dst, src []Vec, window []float64, offset *Vec) {
	loadWindowPlain(dst, src, window, offset)
}

func radix4(work []Vec, twiddle []float64, size int) { radix4Plain(work, twiddle, size) }

func radix4Last(work []Vec) { radix4LastPlain(work) }

func radix2(work []Vec, twiddle []float64, size int) { radix2Plain(work, twiddle, size) }

func postPass(dst, work []Vec, rev []int32, post []float64, lo, hi int) {
	postPassPlain(dst, work, rev, post, lo, hi)
}
