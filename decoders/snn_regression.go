package decoders

import (
	"context"
	"encoding/json"
	"errors"
)

type spikingRegression struct {
	net interface{ Save() (json.RawMessage, error) }
}

func (s *spikingRegression) dims() (int, int)         { return 0, 0 }
func (s *spikingRegression) Predict(dst, x []float64) {}
func fitSpikingRegression(ctx context.Context, k *DKF, x, z [][]float64, group []int, progress func(done, total int)) (regression, error) {
	return nil, errors.New("todo")
}
func loadSpikingRegression(raw json.RawMessage) (regression, error) { return nil, errors.New("todo") }
