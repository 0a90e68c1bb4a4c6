package montage

import (
	"math"
	"strings"
	"testing"
)

func TestPosition(t *testing.T) {
	at := func(label string) [3]float64 {
		p, ok := Position(label)
		if !ok {
			t.Fatalf("%s is not known", label)
		}
		return p
	}
	distance := func(a, b [3]float64) float64 {
		return math.Sqrt((a[0]-b[0])*(a[0]-b[0]) + (a[1]-b[1])*(a[1]-b[1]) + (a[2]-b[2])*(a[2]-b[2]))
	}
	// Definitions: the vertex on top, left is negative x, 10-20 names.
	const s = Radius
	polar := func(deg float64) (float64, float64) {
		return s * math.Sin(deg*math.Pi/180), s * math.Cos(deg*math.Pi/180)
	}
	side, up := polar(72)
	half, high := polar(36)
	for label, want := range map[string][3]float64{
		"Cz": {0, 0, s}, "T7": {-side, 0, up}, "T8": {side, 0, up}, "Fpz": {0, side, up}, "Oz": {0, -side, up},
		"C3": {-half, 0, high}, "C4": {half, 0, high}, "Fz": {0, half, high}, "Pz": {0, -half, high}, "Iz": {0, -s, 0},
	} {
		if d := distance(at(label), want); d > 1e-12 {
			t.Errorf("%s at %v, want %v", label, at(label), want)
		}
	}
	for name, p := range sites {
		r := distance(p, [3]float64{})
		if math.Abs(r-s) > 1e-12 {
			t.Errorf("%s is %v m from the centre", name, r)
		}
		if strings.ContainsAny(name, "02468") { // the right half is reached from the left
			continue
		}
		if q := sites[mirrored.Replace(name)]; distance(p, [3]float64{-q[0], q[1], q[2]}) > 1e-12 && q != p {
			t.Errorf("%s and %s are no mirror images", name, mirrored.Replace(name))
		}
	}
	// Within a row, steps are even; the nearest neighbours of C3 are those of the map.
	row := []string{"F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"}
	for i := 2; i < len(row); i++ {
		if a, b := distance(at(row[i-2]), at(row[i-1])), distance(at(row[i-1]), at(row[i])); math.Abs(a-b) > 1e-12 {
			t.Errorf("steps %s-%s-%s: %v, %v", row[i-2], row[i-1], row[i], a, b)
		}
	}
	near := distance(at("C3"), at("C5"))
	for _, n := range []string{"C1", "FC3", "CP3"} {
		if d := distance(at("C3"), at(n)); math.Abs(d-near) > 0.004 {
			t.Errorf("%s is %v m from C3, C5 %v m", n, d, near)
		}
	}
	if len(sites) < 300 || at("t3") != at("T7") {
		t.Errorf("%d positions", len(sites))
	}
	for _, label := range []string{"A1", "X3", "", "EXG1", "h"} {
		if _, ok := Position(label); ok {
			t.Errorf("%q has a position", label)
		}
	}
}
