package fft

// run splits every block of s.size complex vectors into s.radix blocks
// (decimation in frequency, in place).
func (s *stage) run(work, spare []Vec) {
	switch s.radix {
	case 4:
		if s.size == 4 {
			radix4Last(work)
		} else {
			radix4(work, s.twiddle, s.size)
		}
	case 2:
		radix2(work, s.twiddle, s.size)
	default:
		s.general(work, spare)
	}
}

// general is a butterfly of any radix r: r^2 products.
func (s *stage) general(work, spare []Vec) {
	r, q := s.radix, s.size/s.radix
	for base := 0; base < len(work)/2; base += s.size {
		for j := range q {
			for a := range r {
				var re, im Vec
				for b := range r {
					x := &work[2*(base+j+b*q)]
					y := &work[2*(base+j+b*q)+1]
					t := a * b % r
					c, d := s.root[2*t], s.root[2*t+1]
					for l := range re {
						re[l] += float64(x[l]*c) - float64(y[l]*d)
						im[l] += float64(x[l]*d) + float64(y[l]*c)
					}
				}
				if a > 0 {
					t := 2 * (j*(r-1) + a - 1)
					c, d := s.twiddle[t], s.twiddle[t+1]
					for l := range re {
						re[l], im[l] = float64(re[l]*c)-float64(im[l]*d), float64(re[l]*d)+float64(im[l]*c)
					}
				}
				spare[2*a], spare[2*a+1] = re, im
			}
			for a := range r {
				work[2*(base+j+a*q)], work[2*(base+j+a*q)+1] = spare[2*a], spare[2*a+1]
			}
		}
	}
}
