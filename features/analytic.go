package features

import (
	"fmt"
	"math"

	"neurostream/stream"
	"neurostream/stream/fft"
)

// analytic is the product of the analytic signals z = x + i H(x) of a finished window,
// by transform: the negative frequencies of the whole window are set to zero. H is
// not causal, but a function of the window's samples alone; near the ends of the
// window it is off, so consumers leave a margin out. The stream should be band-passed.
//
// One forward plan serves both directions. With Y = -i X the spectrum of H(x),
// A = Re Y (even) and B = Im Y (odd), the transform R of the real series A + B gives
//
//	H(x)[m] = (Re R[m] + Im R[m])/n,   H(x)[n-m] = (Re R[m] - Im R[m])/n
type analytic struct {
	tiles, length int
	plan          *fft.Plan
	bins, turned  []vec
	z             []vec // tiles x length x (x, H(x))
	done          bool
	index         int64
}

// analytic returns the product.
func (p *Plan) analytic() *analytic {
	return share(p, func(*analytic) bool { return true }, func() *analytic { return new(analytic) })
}

func (a *analytic) alloc(p *Plan) {
	a.tiles, a.length = stream.TilesFor(p.In.Rows()), p.Length
	a.plan = fft.NewPlan(p.Length)
	a.bins, a.turned = make([]vec, 2*a.plan.Bins()), make([]vec, p.Length)
	a.z = make([]vec, a.tiles*p.Length*2)
	a.done = false
}

func (a *analytic) forget() { a.done = false }

// tile returns columns from to to-1 of eight channels: a real and an imaginary row each.
func (a *analytic) tile(k, from, to int) []vec {
	at := k * a.length * 2
	return a.z[at+2*from : at+2*to]
}

// of computes the analytic signals of a window.
func (a *analytic) of(e *Epoch) {
	if a.done && a.index == e.Index {
		return
	}
	a.done, a.index = true, e.Index
	n, all := a.length, a.plan.Bins()
	scale := 1 / float64(n)
	for k := range a.tiles {
		x, z := e.Tile(k), a.tile(k, 0, n)
		a.plan.Load(x, nil, &vec{}, &vec{})
		a.plan.Transform(a.bins, 0, all)
		a.turned[0] = vec{}
		for b := 1; b < all; b++ {
			re, im := &a.bins[2*b], &a.bins[2*b+1]
			if 2*b == n {
				a.turned[b] = vec{}
				continue
			}
			up, down := &a.turned[b], &a.turned[n-b]
			for l := range re {
				up[l], down[l] = im[l]-re[l], im[l]+re[l]
			}
		}
		a.plan.Load(a.turned, nil, &vec{}, &vec{})
		a.plan.Transform(a.bins, 0, all)
		for m := range all {
			re, im := &a.bins[2*m], &a.bins[2*m+1]
			for l := range re {
				z[2*m+1][l] = (re[l] + im[l]) * scale
			}
			if m > 0 && 2*m != n {
				for l := range re {
					z[2*(n-m)+1][l] = (re[l] - im[l]) * scale
				}
			}
		}
		for i := range x {
			z[2*i] = x[i]
		}
	}
}

// margins converts what is left out at the old and the new end of a window into
// columns; at least two columns remain.
func (p *Plan) margins(oldest, newest float64) (from, to int, err error) {
	cut := func(name string, s float64) int {
		n := math.Round(s * p.In.Rate)
		if !(s >= 0) || n > float64(p.Length) {
			err = fmt.Errorf("margin: %v s at the %s end; a window of %.4g s leaves nothing", s, name, p.Seconds(p.Length))
			return 0
		}
		return int(n)
	}
	from = cut("old", oldest)
	to = p.Length - cut("new", newest)
	if err == nil && to-from < 2 {
		err = fmt.Errorf("margin: %v and %v s leave %d samples of a window of %.4g s; lengthen the window or shorten the margin", oldest, newest, max(0, to-from), p.Seconds(p.Length))
	}
	return from, to, err
}
