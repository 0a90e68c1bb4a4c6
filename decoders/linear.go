package decoders

import (
	"fmt"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// linearFile is the model of every linear classifier: scores s = W x + b and the
// link that makes probabilities of them.
type linearFile struct {
	modelHead
	Link      string      `json:"link"` // see the constants
	Weights   [][]float64 `json:"weights"`
	Intercept []float64   `json:"intercept"`
}

// Links of linear classifiers.
const (
	linkSigmoid = "sigmoid" // one score: p of the second class
	linkSoftmax = "softmax" // a score per class
	linkOvR     = "ovr"     // a score per class, sigmoids normalised to sum 1
	linkTwo     = "two-level"
)

func (m *linearFile) validate() error {
	if err := m.modelHead.validate(2); err != nil {
		return err
	}
	k, want := len(m.Classes), 0
	switch m.Link {
	case linkSigmoid:
		want = 1
		if k != 2 {
			return fmt.Errorf("the model's link is sigmoid, but it has %d classes", k)
		}
	case linkSoftmax, linkOvR:
		want = k
	default:
		return fmt.Errorf("the model's link %q is unknown", m.Link)
	}
	return m.checkWeights(want)
}

func (m *linearFile) checkWeights(want int) error {
	if len(m.Weights) != want {
		return fmt.Errorf("the model has %d weight vectors; expected %d", len(m.Weights), want)
	}
	for i := range m.Weights {
		if err := checkNumbers(fmt.Sprintf("weight vector %d", i+1), m.Weights[i], len(m.Rows)); err != nil {
			return err
		}
	}
	return checkNumbers("intercept", m.Intercept, want)
}

// scores writes W x + b into s.
func (m *linearFile) scores(s, x []float64) {
	for k, w := range m.Weights {
		s[k] = dense.Dot(w, x) + m.Intercept[k]
	}
}

// probabilities returns the map from features to class probabilities.
func (m *linearFile) probabilities() func(p, x []float64) bool {
	s := make([]float64, len(m.Weights))
	return func(p, x []float64) bool {
		m.scores(s, x)
		if !allFinite(s) {
			return false
		}
		link(m.Link, p, s)
		return true
	}
}

func link(kind string, p, s []float64) {
	switch kind {
	case linkSigmoid:
		p[0], p[1] = sigmoid(-s[0]), sigmoid(s[0])
	case linkSoftmax:
		copy(p, s)
		softmax(p)
	case linkOvR:
		sum := 0.0
		for i, v := range s {
			p[i] = sigmoid(v)
			sum += p[i]
		}
		for i := range p {
			if sum > 0 {
				p[i] /= sum
			} else {
				p[i] = 1 / float64(len(p))
			}
		}
	}
}

// openLinear opens a linear classifier.
func (c *columnwise) openLinear(in stream.Header, m *linearFile) (stream.Header, error) {
	if m == nil {
		return stream.Header{}, ErrUntrained
	}
	return c.openClasses(in, &m.modelHead, m.probabilities())
}
