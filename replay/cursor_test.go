package replay

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// closed_loop_and_metrics.json: difficulty, bit rates. The labels and scores in it
// are checked by TestClosedLoopVectors of package decoders.
func TestCursorVectors(t *testing.T) {
	raw, err := os.ReadFile("../decoders/testdata/decoders/closed_loop_and_metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Tolerance struct{ Abs, Rel float64 }
		Inputs    struct {
			Fitts struct {
				Distance []float64
				Width    []float64 `json:"effective_width"`
				Seconds  []float64 `json:"movement_time"`
			}
			BitRate [][4]float64 `json:"bit_rate_cases"`
			Wolpaw  [][2]float64 `json:"wolpaw_cases"`
		}
		Expected struct {
			Index      []float64                          `json:"fitts_id_bits"`
			Fit        struct{ Slope, Intercept float64 } `json:"fitts_fit"`
			Throughput []float64                          `json:"throughput_bits_per_s"`
			BitRate    []float64                          `json:"bit_rate_bits_per_s"`
			Wolpaw     []float64                          `json:"wolpaw_bits_per_selection"`
		}
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	want := func(what string, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= g.Tolerance.Abs+g.Tolerance.Rel*math.Abs(want)) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	in, ex := g.Inputs, g.Expected
	var index []float64
	for i, d := range in.Fitts.Distance {
		index = append(index, FittsIndex(d, in.Fitts.Width[i]))
		want("index of difficulty", index[i], ex.Index[i])
		want("throughput", index[i]/in.Fitts.Seconds[i], ex.Throughput[i])
	}
	slope, intercept := FittsLine(index, in.Fitts.Seconds)
	want("slope", slope, ex.Fit.Slope)
	want("intercept", intercept, ex.Fit.Intercept)
	for i, c := range in.BitRate {
		want("bit rate", AchievedBitRate(int(c[0]), int(c[1]), int(c[2]), c[3]), ex.BitRate[i])
	}
	for i, c := range in.Wolpaw {
		want("Wolpaw", Wolpaw(int(c[0]), c[1]), ex.Wolpaw[i])
	}
	if len(ex.Index) == 0 || len(ex.BitRate) == 0 || len(ex.Wolpaw) == 0 {
		t.Error("the vector is empty")
	}
}
