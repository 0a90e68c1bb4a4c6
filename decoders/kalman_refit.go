package decoders

import (
	"fmt"
	"math"

	"neurostream/decoders/internal/dense"
)

// Labels for closed loops: what a person who watches the cursor wants, guessed from
// where cursor and target are. A decoder trained on them replaces the one that moved
// the cursor. Rows are columns of time; cursor, target and velocity have the same
// length and dimensions; the units of position are free, and radius has them too.

// DirectionLabels returns the unit vector from cursor to target of every row, zero
// within radius of the target.
func DirectionLabels(cursor, target [][]float64, radius float64) ([][]float64, error) {
	return aim(cursor, target, nil, radius)
}

// RefitLabels returns the decoded velocity turned towards the target: its length
// stays, and it is zero within radius of the target, where the person wants to rest
// (ReFIT, Gilja et al., Nature Neuroscience 15:1752, 2012).
func RefitLabels(cursor, target, decoded [][]float64, radius float64) ([][]float64, error) {
	if len(decoded) != len(cursor) {
		return nil, fmt.Errorf("%d velocities for %d positions of the cursor", len(decoded), len(cursor))
	}
	return aim(cursor, target, decoded, radius)
}

func aim(cursor, target, decoded [][]float64, radius float64) ([][]float64, error) {
	if !(radius >= 0) {
		return nil, fmt.Errorf("radius %v: it is 0 or more", radius)
	}
	if len(target) != len(cursor) {
		return nil, fmt.Errorf("%d targets for %d positions of the cursor", len(target), len(cursor))
	}
	out := make([][]float64, len(cursor))
	for t, c := range cursor {
		if len(target[t]) != len(c) || decoded != nil && len(decoded[t]) != len(c) {
			return nil, fmt.Errorf("row %d: the cursor has %d dimensions, target or velocity another number", t+1, len(c))
		}
		u := make([]float64, len(c))
		for i, v := range c {
			u[i] = target[t][i] - v
		}
		distance := math.Sqrt(dense.Dot(u, u))
		scale := 0.0
		if distance > radius {
			scale = 1 / distance
			if decoded != nil {
				scale = math.Sqrt(dense.Dot(decoded[t], decoded[t])) / distance
			}
		}
		for i := range u {
			if u[i] *= scale; scale == 0 {
				u[i] = 0
			}
		}
		out[t] = u
	}
	return out, nil
}

// Assist sets dst to velocity with its part across the way to the target reduced by
// attenuation, 0 = none, 1 = all of it: the error attenuation of calibration blocks
// (Velliste et al. 2008; Hochberg et al. 2012). dst may be velocity. On the target
// itself there is no way to go, and the velocity stays.
func Assist(dst, velocity, cursor, target []float64, attenuation float64) {
	along, square := 0.0, 0.0
	for i, v := range velocity {
		u := target[i] - cursor[i]
		along += float64(v * u)
		square += float64(u * u)
	}
	if square == 0 {
		copy(dst, velocity)
		return
	}
	along /= square
	for i, v := range velocity {
		p := along * (target[i] - cursor[i])
		dst[i] = p + float64((1-attenuation)*(v-p))
	}
}
