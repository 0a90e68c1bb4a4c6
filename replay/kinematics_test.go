package replay

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"neurostream/stream"
)

func kinematicHeader() stream.Header {
	h := stream.Header{Name: "cursor", Rate: 20, MaxLen: 64}
	for _, l := range []string{"vx", "vy"} {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "cm/s", Type: "kinematic"})
	}
	h.Channels = append(h.Channels, stream.Channel{Label: "innovation", Type: "health"})
	return h
}

// gather sends rows through a collector in chunks of n columns.
func gather(t *testing.T, rows [][2]float64, n int) *Kinematics {
	t.Helper()
	h := kinematicHeader()
	c := new(KinematicCollector)
	if err := c.Open(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	chunk := stream.NewChunk(&h)
	for from := 0; from < len(rows); from += n {
		part := rows[from:min(len(rows), from+n)]
		chunk.Clear()
		chunk.Resize(len(part))
		chunk.Seq, chunk.T0 = int64(from), stream.Time(from)*50e6
		for i, v := range part {
			chunk.SetColumn(i, []float64{v[0], v[1], 7})
		}
		if from == 0 {
			chunk.MarkBad(0, 0)
		}
		if err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	return c.Kinematics()
}

func TestScoreKinematics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var truth, got [][2]float64
	var v [2]float64
	for range 4000 {
		for j := range v {
			v[j] = 0.9*v[j] + r.NormFloat64()
		}
		truth = append(truth, v)
		got = append(got, [2]float64{v[0] + r.NormFloat64(), 0.5 * v[1]})
	}
	at := func(dst []float64, seconds float64) bool {
		i := int(math.Round(seconds * 20))
		if i >= len(truth) || i == 17 {
			return false
		}
		copy(dst, truth[i][:])
		return true
	}
	k := gather(t, got, 7)
	if other := gather(t, got, 64); len(other.Time) != len(k.Time) || other.Time[999] != k.Time[999] {
		t.Error("the collector depends on how chunks are cut")
	}
	s, err := ScoreKinematics(k, at, KinematicOptions{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if s.Columns != 3999 || s.NoTruth != 1 || s.Unusable != 1 {
		t.Errorf("columns %d, without truth %d, unusable %d", s.Columns, s.NoTruth, s.Unusable)
	}
	// by hand
	e, w, angle := 0.0, 0.0, 0.0
	for i := range truth {
		if i == 17 {
			continue
		}
		for j := range v {
			e += (got[i][j] - truth[i][j]) * (got[i][j] - truth[i][j])
			w += truth[i][j] * truth[i][j]
		}
		d := math.Mod(math.Abs(math.Atan2(got[i][1], got[i][0])-math.Atan2(truth[i][1], truth[i][0])), 2*math.Pi)
		angle += min(d, 2*math.Pi-d) / 3999
	}
	if d := math.Abs(float64(s.NRMSE) - math.Sqrt(e/w)); d > 1e-12 {
		t.Errorf("nRMSE %v, by hand %v", s.NRMSE, math.Sqrt(e/w))
	}
	if d := math.Abs(float64(s.MAAE) - angle); d > 1e-12 {
		t.Errorf("angular error %v, by hand %v", s.MAAE, angle)
	}
	if !(s.MAAEFast < s.MAAE) {
		t.Errorf("the angle of fast columns is %v, of all %v", s.MAAEFast, s.MAAE)
	}
	y := s.Outputs[1]
	if math.Abs(float64(y.R)-1) > 1e-9 || math.Abs(float64(y.R2)-0.75) > 0.01 || y.Unit != "cm/s" {
		t.Errorf("half the truth: %+v", y)
	}
	x := s.Outputs[0]
	if !(x.RLow95 < x.R && x.R < x.RHigh95 && x.RChance < 0.3 && x.RChance > 0) {
		t.Errorf("interval and chance: %+v", x)
	}
	if !(s.NRMSELow95 < s.NRMSE && s.NRMSE < s.NRMSEHigh95 && s.NRMSEChance > 1) {
		t.Errorf("nRMSE %v, %v to %v, chance %v", s.NRMSE, s.NRMSELow95, s.NRMSEHigh95, s.NRMSEChance)
	}
	again, _ := ScoreKinematics(k, at, KinematicOptions{Seed: 1})
	if again.NRMSEHigh95 != s.NRMSEHigh95 || again.Outputs[0].RChance != x.RChance {
		t.Error("the same seed gives another interval")
	}
}

// What cannot be known is null, not zero.
func TestScoreKinematicsOfLittle(t *testing.T) {
	k := gather(t, [][2]float64{{1, 0}, {1, 0}, {1, 0}}, 2)
	s, err := ScoreKinematics(k, func(dst []float64, _ float64) bool { dst[0], dst[1] = 2, 0; return true }, KinematicOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.NRMSE != 0.5 || !math.IsNaN(float64(s.NRMSELow95)) || !math.IsNaN(float64(s.Outputs[0].R)) || !math.IsNaN(float64(s.Outputs[1].R2)) || !math.IsNaN(float64(s.NRMSEChance)) {
		t.Errorf("%+v", s)
	}
	if _, err := ScoreKinematics(k, func([]float64, float64) bool { return false }, KinematicOptions{}); err == nil {
		t.Error("a score without truth")
	}
	if _, err := ScoreKinematics(k, nil, KinematicOptions{Block: -1}); err == nil {
		t.Error("blocks of negative length are accepted")
	}
	h := kinematicHeader()
	h.Channels = h.Channels[2:]
	if err := new(KinematicCollector).Open(context.Background(), h); err == nil {
		t.Error("a stream without kinematics is accepted")
	}
}
