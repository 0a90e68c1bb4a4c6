package decoders

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Encoders turn analogue rows into currents or signed spikes.
const (
	EncodeDirect    = "direct"       // the value itself is the current (the default)
	EncodeDelta     = "delta"        // ±1 when neighbouring samples differ by at least the step
	EncodeStep      = "step-forward" // ±1 when the value is a step away from a base, which then follows by one step: reconstructable
	EncodeThreshold = "threshold"    // 1 on every upward crossing of the level
)

// encoder encodes one column after another.
type encoder struct {
	kind    string
	step    float64 // in units of the input
	base    []float64
	started bool
}

func newEncoder(kind string, step float64, n int) (*encoder, error) {
	if kind == "" {
		kind = EncodeDirect
	}
	if kind != EncodeDirect && kind != EncodeDelta && kind != EncodeStep && kind != EncodeThreshold {
		return nil, fmt.Errorf("encoder %q: choose %s, %s, %s or %s", kind, EncodeDirect, EncodeDelta, EncodeStep, EncodeThreshold)
	}
	if step == 0 {
		step = 0.5
	}
	if !(step > 0) || math.IsInf(step, 0) {
		return nil, fmt.Errorf("encoder step %v: give a positive number, 0 for 0.5 standard deviations", step)
	}
	return &encoder{kind: kind, step: step, base: make([]float64, n)}, nil
}

func (e *encoder) reset() { e.started = false; clear(e.base) }

// encode sets out from x; the first column after a start gives no spikes.
func (e *encoder) encode(out, x []float64) {
	if e.kind == EncodeDirect {
		copy(out, x)
		return
	}
	if !e.started {
		copy(e.base, x)
		clear(out[:len(x)])
		e.started = true
		return
	}
	for i, v := range x {
		out[i] = 0
		switch e.kind {
		case EncodeDelta:
			if d := v - e.base[i]; d >= e.step {
				out[i] = 1
			} else if d <= -e.step {
				out[i] = -1
			}
			e.base[i] = v
		case EncodeStep:
			if v >= e.base[i]+e.step {
				e.base[i] += e.step
				out[i] = 1
			} else if v <= e.base[i]-e.step {
				e.base[i] -= e.step
				out[i] = -1
			}
		case EncodeThreshold:
			if v >= e.step && e.base[i] < e.step {
				out[i] = 1
			}
			e.base[i] = v
		}
	}
}

func (e *encoder) snapshot(w *stream.StateWriter) { w.Bool(e.started); w.Floats(e.base) }
func (e *encoder) restore(r *stream.StateReader)  { e.started = r.Bool(); r.Floats(e.base) }
