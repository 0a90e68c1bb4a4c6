package filters

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
)

// Laplacian subtracts from a channel the weighted mean of its neighbours,
//
//	y_c = x_c − Σ_j w_j x_j,  Σ w_j = 1
//
// with equal weights, or by the inverse of the distance (Hjorth 1975; McFarland et al.
// 1997 compare small and large). A bad neighbour leaves the mean; where all are bad, so
// is the output.
//
// Neighbours come from the montage: of the electrodes in front of, behind, left and
// right of a channel (within 30° of that direction) the nearest within reach: up to 27°
// of the head's arc (3 cm, the next electrode of the 10-10 system) for the small, from
// 27° to 50° (6 cm, the next of the 10-20 system) for the large Laplacian. At the edge
// there are two or three.
type Laplacian struct {
	Large bool // the large Laplacian in place of the small
	// Channels are the centres to put out; none = every channel that has at least two
	// neighbours.
	Channels   []string
	ByDistance bool // weights by the inverse distance in place of equal ones
	// Neighbours, each "C3 = FC3 CP3 C1 C5", take the place of what the montage says.
	Neighbours []string

	centres []int
	around  [][]int
	weights [][]float64
	clean   *stream.Chunk
}

// The reach of small and large Laplacian, as angles on the head, and how far off its
// direction a neighbour may lie.
const (
	smallReach = 27 * math.Pi / 180
	largeReach = 50 * math.Pi / 180
	cone       = 30 * math.Pi / 180
)

// Open finds the neighbours.
func (f *Laplacian) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	given, err := f.given(&in)
	if err != nil {
		return stream.Header{}, err
	}
	rows := brain(&in)
	centres, all := rows, true
	if len(f.Channels) > 0 {
		all = false
		if centres, err = find("channels", f.Channels, &in); err != nil {
			return stream.Header{}, err
		}
	} else if len(given) > 0 {
		centres, all = centres[:0:0], false
		for _, ch := range rows {
			if given[ch] != nil {
				centres = append(centres, ch)
			}
		}
	}
	place := make([]int, in.Rows()) // in positions
	var metres, unit [][3]float64
	for _, c := range centres {
		if given[c] != nil && !f.ByDistance {
			continue
		}
		if metres, err = positions(&in, rows); err == nil {
			unit, err = unitPositions(&in, rows)
		}
		break
	}
	if err != nil {
		return stream.Header{}, err
	}
	for i, ch := range rows {
		place[ch] = i
	}
	out := in.Clone()
	out.Channels = nil
	f.centres, f.around, f.weights = nil, nil, nil
	for _, c := range centres {
		around := given[c]
		if around == nil {
			around = f.neighbours(c, rows, unit, place)
		}
		if len(around) < 2 && given[c] == nil {
			if all {
				continue
			}
			return stream.Header{}, fmt.Errorf("%s has %d neighbours within reach, at least 2 are needed; take the large Laplacian, name the neighbours, or leave it out", in.Channels[c].Label, len(around))
		}
		w := make([]float64, len(around))
		for j, n := range around {
			w[j] = 1
			if f.ByDistance {
				w[j] = 1 / distance(metres[place[c]], metres[place[n]])
			}
		}
		total := sum(w)
		for j := range w {
			w[j] /= total
		}
		f.centres, f.around, f.weights = append(f.centres, c), append(f.around, around), append(f.weights, w)
		out.Channels = append(out.Channels, in.Channels[c])
	}
	if len(f.centres) == 0 {
		return stream.Header{}, errors.New("no channel has two neighbours within reach; take the large Laplacian, or name the neighbours")
	}
	f.clean = stream.NewChunk(&in)
	return out, nil
}

// given reads Neighbours, by centre.
func (f *Laplacian) given(in *stream.Header) (map[int][]int, error) {
	out := map[int][]int{}
	for _, s := range f.Neighbours {
		name, list, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("neighbours %q is not of the form C3 = FC3 CP3 C1 C5", s)
		}
		c := in.Index(strings.TrimSpace(name))
		if c < 0 {
			return nil, unknownChannel("neighbours", strings.TrimSpace(name), in)
		}
		around, err := find("neighbours", strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }), in)
		if err != nil {
			return nil, err
		}
		if len(around) == 0 || slices.Contains(around, c) {
			return nil, fmt.Errorf("neighbours %q: give other channels than the centre, at least one", s)
		}
		out[c] = around
	}
	return out, nil
}

// neighbours finds up to four: front, right, back, left.
func (f *Laplacian) neighbours(centre int, rows []int, p [][3]float64, place []int) []int {
	least, most := 0.0, smallReach
	if f.Large {
		least, most = smallReach, largeReach
	}
	up := p[place[centre]]
	front := [3]float64{0, 1, 0}
	if math.Abs(up[1]) > 0.999 { // nasion, inion: the vertex is in front
		front = [3]float64{0, 0, 1}
	}
	d := dot(front, up)
	for i := range front { // along the head
		front[i] -= d * up[i]
	}
	right := cross(front, up)
	nearest := [4]int{-1, -1, -1, -1}
	var reach [4]float64
	for i, ch := range rows {
		a := angle(up, p[i])
		if ch == centre || a <= least || a > most {
			continue
		}
		x, y := dot(right, p[i]), dot(front, p[i])
		side := 0
		if math.Abs(x) > math.Abs(y) {
			x, y, side = y, x, 1
		}
		if math.Abs(x) > math.Abs(y)*math.Tan(cone) {
			continue // in none of the four directions
		}
		if y < 0 {
			side += 2
		}
		if nearest[side] < 0 || a < reach[side]-1e-9 {
			nearest[side], reach[side] = ch, a
		}
	}
	var out []int
	for _, ch := range nearest {
		if ch >= 0 {
			out = append(out, ch)
		}
	}
	return out
}

// Process subtracts the neighbours.
func (f *Laplacian) Process(dst, src *stream.Chunk) {
	follow(dst, src)
	in := f.clean
	in.Follow(src)
	quarantine(in, src)
	for o, c := range f.centres {
		around, weights := f.around[o], f.weights[o]
		to, x := dst.Tile(o/stream.Lanes), in.Tile(c/stream.Lanes)
		for i := range dst.Len {
			mean, total := 0.0, 0.0
			for j, n := range around {
				if in.Flags&stream.Bad != 0 && in.IsBad(n, i) {
					continue
				}
				mean += float64(weights[j] * in.Tile(n / stream.Lanes)[i][n%stream.Lanes])
				total += weights[j]
			}
			v := x[i][c%stream.Lanes]
			switch {
			case total == 0: // no neighbour is good
				dst.MarkBad(o, i)
				v = 0
			case in.Flags&stream.Bad != 0 && in.IsBad(c, i):
				dst.MarkBad(o, i)
				v -= mean / total
			case in.Flags&stream.Bad != 0:
				v -= mean / total
			default: // the weights add up to one
				v -= mean
			}
			to[i][o%stream.Lanes] = v
		}
	}
}

// Reset does nothing: there is no memory.
func (f *Laplacian) Reset() {}
