// Package montage knows where electrodes sit on a head.
//
//	"C3" ─► Position ─► metres on a sphere ─► Laplacians, splines, maps
package montage

import (
	"math"
	"strings"
)

// Radius is the radius of the spherical head model in metres.
const Radius = 0.095

// Position returns where an electrode of the 10-20, 10-10 or 10-05 system
// sits on a sphere of Radius around the origin, in metres (x right, y front, z
// up), and whether the label is one of these. Spelling is free in case; T3, T4, T5
// and T6 are the older names of T7, T8, P7 and P8.
//
// The model follows the systems' definition (Jasper 1958; Oostenveld and Praamstra
// 2001) on a sphere: nasion, vertex and inion lie 90° apart, so 10 % of the way is
// 18°. The outer ring Fpz-T7-Oz-T8 lies 72° from the vertex. A row of electrodes
// divides the circle through its two ring points and its midline point evenly.
// Distances on real heads differ by up to 1–2 cm.
func Position(label string) (pos [3]float64, ok bool) {
	name, ok := Canonical(label)
	if !ok {
		return pos, false
	}
	return sites[name], true
}

// sites holds all positions by canonical label.
var sites = makeSites()

// spelling maps an upper-case label to the canonical one.
var spelling = makeSpelling()

// Canonical returns the canonical spelling of a 10-05 label.
func Canonical(label string) (string, bool) {
	name, ok := spelling[strings.ToUpper(strings.TrimSpace(label))]
	return name, ok
}

func makeSpelling() map[string]string {
	m := make(map[string]string, len(sites)+4)
	for name := range sites {
		m[strings.ToUpper(name)] = name
	}
	return m
}

// rows of the 10-05 system between the frontal and the occipital pole, in steps of
// 10 % of the nasion-inion arc; medial and lateral columns may differ in name.
var rows = []struct {
	medial, lateral string
	step            float64
}{
	{"AFp", "AFp", 0.5},
	{"AF", "AF", 1},
	{"AFF", "AFF", 1.5},
	{"F", "F", 2},
	{"FFC", "FFT", 2.5},
	{"FC", "FT", 3},
	{"FCC", "FTT", 3.5},
	{"C", "T", 4},
	{"CCP", "TTP", 4.5},
	{"CP", "TP", 5},
	{"CPP", "TPP", 5.5},
	{"P", "P", 6},
	{"PPO", "PPO", 6.5},
	{"PO", "PO", 7},
	{"POO", "POO", 7.5},
}

// columns of the left half from the midline to the ring, in eighths of that way.
var columns = []string{"", "1h", "1", "3h", "3", "5h", "5", "7h", "7"}

// mirrored names of the right half.
var mirrored = strings.NewReplacer("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")

func makeSites() map[string][3]float64 {
	m := make(map[string][3]float64, 360)
	both := func(name string, left [3]float64) {
		m[name] = left
		m[mirrored.Replace(name)] = [3]float64{-left[0], left[1], left[2]}
	}
	for _, r := range rows {
		ring := onSphere(72, 18+18*r.step)
		mid := onSphere(72-18*r.step, 0)
		m[r.medial+"z"] = mid
		for i := 1; i < len(columns); i++ {
			name := r.medial
			if i >= 7 { // from 7h outwards the lateral name applies
				name = r.lateral
			}
			both(name+columns[i], onCircle(mid, ring, float64(i)/8))
		}
		both(r.lateral+"9h", onSphere(81, 18+18*r.step))
		both(r.lateral+"9", onSphere(90, 18+18*r.step))
	}
	m["Nz"], m["Fpz"], m["Oz"], m["OIz"], m["Iz"] = onSphere(90, 0), onSphere(72, 0), onSphere(72, 180), onSphere(81, 180), onSphere(90, 180)
	both("N1h", onSphere(90, 9))
	both("N1", onSphere(90, 18))
	both("Fp1h", onSphere(72, 9))
	both("Fp1", onSphere(72, 18))
	both("O1h", onSphere(72, 171))
	both("O1", onSphere(72, 162))
	both("OI1h", onSphere(81, 171))
	both("OI1", onSphere(81, 162))
	both("I1h", onSphere(90, 171))
	both("I1", onSphere(90, 162))
	m["T3"], m["T4"], m["T5"], m["T6"] = m["T7"], m["T8"], m["P7"], m["P8"]
	return m
}

// onSphere returns the point at polar degrees from the vertex, azimuth degrees from
// the front towards the left.
func onSphere(polar, azimuth float64) [3]float64 {
	p, a := polar*math.Pi/180, azimuth*math.Pi/180
	return [3]float64{
		-Radius * math.Sin(p) * math.Sin(a),
		Radius * math.Sin(p) * math.Cos(a),
		Radius * math.Cos(p),
	}
}

// onCircle returns the point a fraction of the way from mid to ring, along the
// circle through ring, mid and ring's mirror image: an arc of equal steps. mid lies
// in the mirror plane x = 0, so the circle's centre does too.
func onCircle(mid, ring [3]float64, fraction float64) [3]float64 {
	// In the circle's plane: u from the centre to mid, x to the left.
	half := [3]float64{0, ring[1] - mid[1], ring[2] - mid[2]} // mid to the chord's middle
	depth := math.Hypot(half[1], half[2])
	radius := (ring[0]*ring[0] + depth*depth) / (2 * depth)
	unit := [3]float64{0, half[1] / depth, half[2] / depth}
	sweep := math.Atan2(-ring[0], radius-depth) * fraction
	down := radius * (1 - math.Cos(sweep))
	return [3]float64{-radius * math.Sin(sweep), mid[1] + unit[1]*down, mid[2] + unit[2]*down}
}
