package decoders

import (
	"context"
	"encoding/json"
	"math"

	"neurostream/stream"
)

// spikingRegression is a spiking network as the f of a DKF: f remembers earlier
// columns by itself.
type spikingRegression struct{ net *Network }

func (s *spikingRegression) dims() (int, int)               { return s.net.Dims() }
func (s *spikingRegression) Predict(dst, x []float64)       { s.net.Step(dst, x) }
func (s *spikingRegression) reset()                         { s.net.Reset() }
func (s *spikingRegression) snapshot(w *stream.StateWriter) { s.net.snapshot(w) }
func (s *spikingRegression) restore(r *stream.StateReader)  { s.net.restore(r) }

// fitSpikingRegression trains on stretches of 100 rows of one group with targets of
// unit variance.
func fitSpikingRegression(ctx context.Context, k *DKF, x, z [][]float64, group []int, progress func(done, total int)) (regression, error) {
	scale := targetScale(z)
	var seqs []sequence
	for t := range x {
		if t == 0 || group != nil && group[t] != group[t-1] || len(seqs[len(seqs)-1].x) == 100 {
			seqs = append(seqs, sequence{})
		}
		q := &seqs[len(seqs)-1]
		target := make([]float64, len(z[t]))
		for i, v := range z[t] {
			target[i] = v / scale
		}
		q.x, q.z = append(q.x, x[t]), append(q.z, target)
	}
	set := Training{Recurrent: true, Epochs: k.Epochs, Seed: k.Seed, Beta: 0.7, ReadBeta: 0.5, Dropout: 0.2}
	if k.Hidden > 0 {
		set.Sizes = []int{k.Hidden}
	}
	f, err := train(ctx, set, seqs, len(x[0]), 0, len(z[0]), progress)
	if err != nil {
		return nil, err
	}
	f.scaleOutput(scale)
	net, err := f.Build()
	if err != nil {
		return nil, err
	}
	return &spikingRegression{net}, nil
}

func loadSpikingRegression(raw json.RawMessage) (regression, error) {
	net, err := ReadNetwork(raw)
	if err != nil {
		return nil, err
	}
	return &spikingRegression{net}, nil
}

// targetScale is the root mean square of target values, 1 where all are zero: networks
// learn targets of unit power.
func targetScale(z [][]float64) float64 {
	power := 0.0
	for _, n := range norms(z) {
		power += float64(n * n)
	}
	if power == 0 {
		return 1
	}
	return math.Sqrt(power / float64(len(z)*len(z[0])))
}

// scaleOutput gives the last linear layer the units of the targets.
func (f *NetworkFile) scaleOutput(scale float64) {
	for k := len(f.Layers) - 1; k >= 0; k-- {
		out := &f.Layers[k]
		if out.Type != "linear" {
			continue
		}
		for o := range out.Weights {
			for i := range out.Weights[o] {
				out.Weights[o][i] *= scale
			}
			out.Bias[o] *= scale
		}
		return
	}
}
