package fft

import "neurostream/stream/kernel"

// run splits every block of s.size complex vectors into s.radix blocks
// (decimation in frequency, in place).
func (s *stage) run(level kernel.Set, work []Vec, spare *oddScratch) {
	switch s.radix {
	case 4:
		split4(level, work, s.twiddle, s.size)
	case 2:
		split2(level, work, s.twiddle, s.size)
	default:
		splitOdd(level, work, s.twiddle, s.roots, s.size, s.radix, spare)
	}
}
