package bci

import (
	"fmt"
	"math"
	"math/rand/v2"

	"neurostream/recordings"
	"neurostream/stream"
)

// Reach describes a simulated recording of somebody who moves a cursor to targets that
// appear one after the other, seen by neurons whose spikes are counted in bins of 50 ms.
// It is for trying decoders of kinematics, and for tests: how well they do on it says
// nothing about a brain.
//
//	v' = 0.8 v + 0.2 aim + noise     aim points at the goal, slower near it, 0 within 1 cm
//	counts of unit k ~ Poisson(exp(b_k + g_k |v| cos(angle of v - angle of k)))
//
// Directions of units are uniform; at rest they spike 1 to 20 times a second. Speeds are
// in cm/s, positions in cm. The same seed gives the same recording.
type Reach struct {
	Seconds float64 // length; 20 columns a second
	Units   int
	Seed    uint64 // of movement and spikes
	Brain   uint64 // of what the units respond to: recordings of one brain can be decoded by one model
}

// reachRate is the number of bins a second.
const reachRate = 20

// Recording simulates it. The channels are the units, then vx, vy, x, y, goal x, goal y.
func (s Reach) Recording() (*recordings.Memory, error) {
	n := int(math.Round(s.Seconds * reachRate))
	if s.Units < 1 || s.Units > 1000 || n < 2 || n > 1<<22/max(1, s.Units/8) {
		return nil, fmt.Errorf("reach: %d units and %v s are impossible: give 1 to 1000 units and at least 0.1 s, at most %d values in all", s.Units, s.Seconds, 1<<25)
	}
	h := stream.Header{Name: "reach", Rate: reachRate, MaxLen: 64}
	for k := range s.Units {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("unit %d", k+1), Unit: "spikes", Type: "spikes"})
	}
	for _, c := range [][2]string{{"vx", "cm/s"}, {"vy", "cm/s"}, {"x", "cm"}, {"y", "cm"}, {"goal x", "cm"}, {"goal y", "cm"}} {
		h.Channels = append(h.Channels, stream.Channel{Label: c[0], Unit: c[1], Type: "kinematic"})
	}
	brain := rand.New(rand.NewPCG(s.Brain, 0x627261696e))
	base, gain, angle := make([]float64, s.Units), make([]float64, s.Units), make([]float64, s.Units)
	for k := range s.Units {
		base[k] = math.Log((1 + 19*brain.Float64()) / reachRate)
		gain[k] = 0.05 * brain.Float64()
		angle[k] = 2 * math.Pi * brain.Float64()
	}
	random := rand.New(rand.NewPCG(s.Seed, 0x7265616368))
	var x, v, goal [2]float64
	goal[0] = 10
	rested := 0
	m := &recordings.Memory{Stream: h, About: recordings.Info{Format: "simulation", Fields: [][2]string{{"seed", fmt.Sprint(s.Seed)}, {"brain", fmt.Sprint(s.Brain)}}}}
	m.Data = new(stream.Chunk)
	m.Data.Alloc(h.Rows(), n)
	m.Data.Resize(n)
	row := make([]float64, h.Rows())
	for t := range n {
		d := [2]float64{goal[0] - x[0], goal[1] - x[1]}
		distance := math.Hypot(d[0], d[1])
		if distance < 1 {
			rested++
		}
		if rested == 8 { // 0.4 s on the target: the next one, 5 to 15 cm away
			rested = 0
			far, to := 5+10*random.Float64(), 2*math.Pi*random.Float64()
			goal = [2]float64{x[0] + far*math.Cos(to), x[1] + far*math.Sin(to)}
			for i := range goal {
				goal[i] = max(-15, min(15, goal[i]))
			}
		}
		for i := range v {
			aim := 0.0
			if distance >= 1 {
				aim = d[i] / distance * min(25, 3*distance)
			}
			v[i] = 0.8*v[i] + 0.2*aim + 0.6*random.NormFloat64()
			x[i] += v[i] / reachRate
		}
		speed, to := math.Hypot(v[0], v[1]), math.Atan2(v[1], v[0])
		for k := range s.Units {
			row[k] = poisson(random, math.Exp(base[k]+gain[k]*speed*math.Cos(to-angle[k])))
		}
		copy(row[s.Units:], []float64{v[0], v[1], x[0], x[1], goal[0], goal[1]})
		m.Data.SetColumn(t, row)
	}
	return m, nil
}

// poisson draws a count by counting uniform draws whose product stays above exp(-mean)
// (Knuth 1969); the mean is small here.
func poisson(r *rand.Rand, mean float64) float64 {
	left, p, k := math.Exp(-min(mean, 500)), 1.0, -1
	for p > left {
		p *= r.Float64()
		k++
	}
	return float64(k)
}

func openReach(a Address, s *Settings) (*Input, error) {
	r, err := Reach{Seconds: s.Float("seconds"), Units: s.Int("units"), Seed: uint64(s.Int("seed")), Brain: uint64(s.Int("brain"))}.Recording()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Text, err)
	}
	return played(r, a.Text, s), nil
}

var reachParams = append([]Param{
	{Name: "seconds", Kind: Number, Unit: "s", Default: 300.0, Min: 0.1, Max: 86400, Doc: "length"},
	{Name: "units", Kind: Integer, Default: 40.0, Min: 1, Max: 1000, Doc: "neurons"},
	{Name: "seed", Kind: Integer, Default: 1.0, Max: 1e15, Doc: "of movement and spikes"},
	{Name: "brain", Kind: Integer, Default: 1.0, Max: 1e15, Doc: "of what the neurons respond to"},
}, playerParams...)
