package filters

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"neurostream/stream"
	"neurostream/stream/montage"
)

// positions returns where channels sit, in metres: the position that came with the
// stream, or else the one that the 10-05 system gives to the label.
func positions(in *stream.Header, rows []int) ([][3]float64, error) {
	out := make([][3]float64, len(rows))
	for i, ch := range rows {
		c := &in.Channels[ch]
		p, ok := c.Position, c.Placed
		if !ok {
			if p, ok = montage.Position(c.Label); !ok {
				return nil, fmt.Errorf("channel %q has no position: it is no label of the 10-05 system and the source gives none; leave it out with select, or rename it", c.Label)
			}
		}
		if !(math.Abs(p[0])+math.Abs(p[1])+math.Abs(p[2]) <= 1e6) {
			return nil, fmt.Errorf("channel %q has the impossible position %v", c.Label, p)
		}
		out[i] = p
	}
	return out, nil
}

// unitPositions returns where channels sit on the unit sphere. Positions on a real head
// are seen from the centre of the sphere that fits them best.
func unitPositions(in *stream.Header, rows []int) ([][3]float64, error) {
	out, err := positions(in, rows)
	if err != nil {
		return nil, err
	}
	centre := sphereCentre(out)
	for i := range out {
		r := 0.0
		for d := range 3 {
			out[i][d] -= centre[d]
			r += out[i][d] * out[i][d]
		}
		if r = math.Sqrt(r); !(r > 1e-9) {
			return nil, fmt.Errorf("channel %q sits in the middle of the head; its position is wrong", in.Channels[rows[i]].Label)
		}
		for d := range 3 {
			out[i][d] /= r
		}
	}
	for i := range out {
		for j := range i {
			if angle(out[i], out[j]) < 1e-6 {
				return nil, fmt.Errorf("channels %q and %q sit at the same place; leave one out with select", in.Channels[rows[j]].Label, in.Channels[rows[i]].Label)
			}
		}
	}
	return out, nil
}

// sphereCentre fits |p|² = 2 c·p + (r² − |c|²) in the least-squares sense. Positions
// that do not define a sphere (too few, in one plane) are seen from the origin.
func sphereCentre(p [][3]float64) (c [3]float64) {
	if len(p) < 8 {
		return c
	}
	a, b := mat.NewDense(len(p), 4, nil), mat.NewVecDense(len(p), nil)
	for i, v := range p {
		a.SetRow(i, []float64{2 * v[0], 2 * v[1], 2 * v[2], 1})
		b.SetVec(i, v[0]*v[0]+v[1]*v[1]+v[2]*v[2])
	}
	var qr mat.QR
	qr.Factorize(a)
	var x mat.VecDense
	if qr.Cond() > 1e6 || qr.SolveVecTo(&x, false, b) != nil {
		return c
	}
	c = [3]float64{x.AtVec(0), x.AtVec(1), x.AtVec(2)}
	if dot(c, c) < 1e-8*dot(p[0], p[0]) { // rounding of the positions
		return [3]float64{}
	}
	near, far := math.Inf(1), 0.0 // a centre outside of the cloud is none
	for _, v := range p {
		r := math.Hypot(math.Hypot(v[0]-c[0], v[1]-c[1]), v[2]-c[2])
		near, far = min(near, r), max(far, r)
	}
	if !(near > far/2) {
		return [3]float64{}
	}
	return c
}

func dot(a, b [3]float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func cross(a, b [3]float64) [3]float64 {
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// angle is between two unit vectors, in radians, exact for small ones.
func angle(a, b [3]float64) float64 {
	c := cross(a, b)
	return math.Atan2(math.Sqrt(dot(c, c)), dot(a, b))
}

// distance is along the straight line between two points.
func distance(a, b [3]float64) float64 {
	return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
}
