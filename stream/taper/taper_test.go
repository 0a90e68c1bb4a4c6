package taper_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"neurostream/stream/taper"
)

func load(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func near(t *testing.T, id string, got, want []float64, abs float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d samples, want %d", id, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= abs) {
			t.Errorf("%s: sample %d is %v, want %v", id, i, got[i], want[i])
			return
		}
	}
}

func TestWindowsAgreeWithSciPy(t *testing.T) {
	var v struct {
		Tolerance struct{ Abs float64 } `json:"default_tolerance"`
		Cases     []struct {
			ID     string
			Params struct {
				Window string
				Args   []float64
				N      int
				Sym    bool
			}
			Expected struct{ W []float64 }
		}
	}
	load(t, "windows.json", &v)
	families := map[string]bool{}
	for _, c := range v.Cases {
		got, err := taper.ByName(c.Params.Window, c.Params.N, taper.Form(!c.Params.Sym), c.Params.Args...)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		near(t, c.ID, got, c.Expected.W, v.Tolerance.Abs)
		families[c.Params.Window] = true
	}
	for _, n := range taper.Names() {
		if !families[n] {
			t.Errorf("no vector checks %s", n)
		}
	}
}

func TestSlepianTapersAgreeWithSciPy(t *testing.T) {
	var v struct {
		Tolerance struct{ Abs float64 } `json:"default_tolerance"`
		Cases     []struct {
			ID     string
			Params struct {
				M   int
				NW  float64
				K   int
				Sym bool
			}
			Expected struct {
				Tapers        [][]float64
				Concentration []float64
			}
		}
	}
	load(t, "dpss.json", &v)
	for _, c := range v.Cases {
		got, share, err := taper.DPSS(c.Params.M, c.Params.NW, c.Params.K, taper.Form(!c.Params.Sym))
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		for k := range got {
			near(t, fmt.Sprintf("%s taper %d", c.ID, k), got[k], c.Expected.Tapers[k], v.Tolerance.Abs)
		}
		near(t, c.ID+" concentration", share, c.Expected.Concentration, v.Tolerance.Abs)
	}
}

func TestImpossibleWindows(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		param []float64
		want  string
	}{
		{"hanning", 8, nil, `there is no window "hanning"; known are bartlett, blackman, blackmanharris, boxcar, cosine, flattop, gaussian, hamming, hann, kaiser, nuttall, tukey`},
		{"hann", -1, nil, "a window of -1 samples is impossible"},
		{"hann", 8, []float64{1}, "the window hann takes no parameter"},
		{"tukey", 8, []float64{2}, "the window tukey cannot have 2 as the share of slopes"},
		{"gaussian", 8, []float64{0}, "the window gaussian cannot have 0 as the standard deviation in samples"},
		{"kaiser", 8, []float64{math.NaN()}, "the window kaiser cannot have NaN as beta"},
	} {
		if _, err := taper.ByName(c.name, c.n, taper.Periodic, c.param...); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if _, _, err := taper.DPSS(8, 4, 2, taper.Symmetric); err == nil {
		t.Error("a half-bandwidth of half the sampling rate is accepted")
	}
}

func ExampleHann() {
	fmt.Printf("%.3f\n", taper.Hann(4, taper.Periodic))
	// Output: [0.000 0.500 1.000 0.500]
}
