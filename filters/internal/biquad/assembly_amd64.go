//go:build !purego

package biquad

import "neurostream/stream/kernel"

// assembly runs one to four sections.
func assembly(level kernel.Set, x []Column, q []Coefficients, s []State) {
	s = s[:len(q)] // the assembly does not check
	if len(x) == 0 || len(q) == 0 {
		return
	}
	px, n, pq, ps := &x[0][0], len(x), &q[0][0], &s[0][0][0]
	switch wide := level == kernel.AVX512; {
	case len(q) == 1 && wide:
		cascade1AVX512(px, n, pq, ps)
	case len(q) == 1:
		cascade1AVX2(px, n, pq, ps)
	case len(q) == 2 && wide:
		cascade2AVX512(px, n, pq, ps)
	case len(q) == 2:
		cascade2AVX2(px, n, pq, ps)
	case len(q) == 3 && wide:
		cascade3AVX512(px, n, pq, ps)
	case len(q) == 3:
		cascade3AVX2(px, n, pq, ps)
	case wide:
		cascade4AVX512(px, n, pq, ps)
	default:
		cascade4AVX2(px, n, pq, ps)
	}
}

func copyAssembly(to, from []Column) bool {
	if len(from) == 0 {
		return true
	}
	to = to[:len(from)]
	return copyAVX2(&to[0][0], &from[0][0], len(from)) == 0
}
