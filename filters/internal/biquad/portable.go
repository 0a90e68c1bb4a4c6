package biquad

import "neurostream/stream"

// portable runs every section over four lanes at a time: their eight states and the
// five coefficients just fit the scalar registers, and the four recursions hide each
// other's latency. Measured against the alternatives (all sections of one lane fused;
// two sections of two lanes), this is the fastest form that a compiler without vector
// instructions makes: fused code reads every coefficient from memory for every sample.
// The conversions keep compilers from fusing multiplications and additions.
func portable(x []Column, q []Coefficients, s []State) {
	for k := range q {
		four(x, &q[k], &s[k])
	}
}

func four(x []Column, q *Coefficients, s *State) {
	b0, b1, b2, a1, a2 := q[0], q[1], q[2], q[3], q[4]
	for h := 0; h <= stream.Lanes-4; h += 4 {
		c1, d1, e1, f1 := s[0][h], s[0][h+1], s[0][h+2], s[0][h+3]
		c2, d2, e2, f2 := s[1][h], s[1][h+1], s[1][h+2], s[1][h+3]
		for i := range x {
			w := (*[4]float64)(x[i][h : h+4])

			v := w[0]
			y := float64(b0*v) + c1
			c1 = (float64(b1*v) + c2) - float64(a1*y)
			c2 = float64(b2*v) - float64(a2*y)
			w[0] = y

			v = w[1]
			y = float64(b0*v) + d1
			d1 = (float64(b1*v) + d2) - float64(a1*y)
			d2 = float64(b2*v) - float64(a2*y)
			w[1] = y

			v = w[2]
			y = float64(b0*v) + e1
			e1 = (float64(b1*v) + e2) - float64(a1*y)
			e2 = float64(b2*v) - float64(a2*y)
			w[2] = y

			v = w[3]
			y = float64(b0*v) + f1
			f1 = (float64(b1*v) + f2) - float64(a1*y)
			f2 = float64(b2*v) - float64(a2*y)
			w[3] = y
		}
		s[0][h], s[0][h+1], s[0][h+2], s[0][h+3] = c1, d1, e1, f1
		s[1][h], s[1][h+1], s[1][h+2], s[1][h+3] = c2, d2, e2, f2
	}
}

// Textbook runs one section lane by lane: the definition, and what the faster forms
// are compared with.
func Textbook(x []Column, q *Coefficients, s *State) {
	b0, b1, b2, a1, a2 := q[0], q[1], q[2], q[3], q[4]
	for l := range stream.Lanes {
		s1, s2 := s[0][l], s[1][l]
		for i := range x {
			v := x[i][l]
			y := float64(b0*v) + s1
			s1 = (float64(b1*v) + s2) - float64(a1*y)
			s2 = float64(b2*v) - float64(a2*y)
			x[i][l] = y
		}
		s[0][l], s[1][l] = s1, s2
	}
}
