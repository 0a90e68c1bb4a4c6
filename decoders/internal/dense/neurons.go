package dense

import (
	"math"

	"neurostream/stream/kernel"
)

// Neurons are leaky integrate-and-fire neurons whose spike lowers the membrane at the
// next step: R = [u > θ]; u = β u + I - R Off; S = [u > θ].
type Neurons struct {
	Decay     []float64 // β
	Threshold float64   // θ
	Off       float64   // what a spike takes off at the next step
	Clear     bool      // a spike sets the membrane to zero before the input comes
}

// Step advances the membranes u by the currents in and sets spikes to 0 or 1. All are as
// long as Decay.
func (n *Neurons) Step(u, spikes, in []float64) { n.stepAt(level, u, spikes, in) }

func (n *Neurons) stepAt(level kernel.Set, u, spikes, in []float64) {
	decay := n.Decay
	u, spikes, in = u[:len(decay)], spikes[:len(decay)], in[:len(decay)]
	if whole := len(decay) / 8 * 8; level != kernel.Portable && whole > 0 {
		c := [4]float64{n.Threshold, n.Off, 1, 0}
		if n.Clear {
			c[3] = math.Float64frombits(math.MaxUint64)
		}
		fireAssembly(u[:whole], spikes, in, decay, &c)
		u, spikes, in, decay = u[whole:], spikes[whole:], in[whole:], decay[whole:]
	}
	for i, v := range u {
		off := 0.0
		fired := v > n.Threshold
		v = float64(decay[i] * v)
		if fired {
			off = n.Off
			if n.Clear {
				v = 0
			}
		}
		v = v + in[i] - off
		u[i], spikes[i] = v, 0
		if v > n.Threshold {
			spikes[i] = 1
		}
	}
}
