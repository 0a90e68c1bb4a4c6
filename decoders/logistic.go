package decoders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// Logistic is logistic regression: class probabilities from a linear function of
// the rows. It minimises
//
//	½|W|² + C Σ cᵢ lossᵢ                        "l2"
//	r|W|₁ + (1-r)/2 |W|² + C Σ cᵢ lossᵢ         "elasticnet" with L1Ratio r
//
// over the training examples, the intercept free; loss is the cross-entropy. With
// Idle it has two levels: idle against everything else, then the other classes
// among themselves, each learned from its own examples, so that what tells tasks
// apart need not also tell them from rest:
//
//	p(idle) = 1 - a    p(k) = a q(k)
//
// Cost per column: rows × classes multiplications.
type Logistic struct {
	C        float64 // weight of the data against the penalty; 0 = 1
	Penalty  string  // "l2" (default) or "elasticnet"
	L1Ratio  float64 // r of the elastic net, 0 to 1
	Idle     string  // class split off first; "" = all classes at one level
	IdleC    float64 // C of idle against the rest; 0 = C
	Balanced bool    // cᵢ = examples/(classes × examples of the class) instead of 1
	OneVsAll bool    // one fit per class, normalised, instead of softmax; needs three classes
	NoBias   bool    // no intercept
	Protect  float64 // share of the training rows' power, below 1, that an Update must leave alone; 0 = it cannot be updated

	columnwise
	model *logisticFile
}

type logisticFile struct {
	linearFile             // the only level, or the classes other than Idle
	Idle       string      `json:"idle,omitempty"`
	Gate       []float64   `json:"gate,omitempty"` // weights of "not idle"
	GateBias   float64     `json:"gate_intercept,omitempty"`
	Inner      *linearFile `json:"inner,omitempty"`
	Protected  *protection `json:"protected,omitempty"`
}

var (
	_ Fitter  = (*Logistic)(nil)
	_ Updater = (*Logistic)(nil)
)

func (l *Logistic) settings() (c, idleC float64, err error) {
	c = l.C
	if c == 0 {
		c = 1
	}
	idleC = l.IdleC
	if idleC == 0 {
		idleC = c
	}
	switch {
	case !(c > 0) || math.IsInf(c, 0):
		return 0, 0, fmt.Errorf("c %g: give a positive number, or 0 for 1", l.C)
	case !(idleC > 0) || math.IsInf(idleC, 0):
		return 0, 0, fmt.Errorf("idle c %g: give a positive number, or 0 for the same as c", l.IdleC)
	case l.Penalty != "" && l.Penalty != "l2" && l.Penalty != "elasticnet":
		return 0, 0, fmt.Errorf("penalty %q: choose l2 or elasticnet", l.Penalty)
	case !(l.L1Ratio >= 0 && l.L1Ratio <= 1):
		return 0, 0, fmt.Errorf("l1 ratio %g: give 0 (only squares) to 1 (only absolute values)", l.L1Ratio)
	case !(l.Protect >= 0 && l.Protect < 1):
		return 0, 0, fmt.Errorf("protect %g: give a share below 1 of the power of the rows, 0 for none", l.Protect)
	case l.Protect > 0 && l.Penalty == "elasticnet":
		return 0, 0, errors.New("protect needs penalty l2: a change in a subspace is not sparse")
	case l.L1Ratio > 0 && l.Penalty != "elasticnet":
		return 0, 0, errors.New("an l1 ratio needs penalty elasticnet")
	}
	return c, idleC, nil
}

// Fit learns the weights.
func (l *Logistic) Fit(ctx context.Context, rows *Rows, progress func(done, total int)) error {
	c, idleC, err := l.settings()
	if err != nil {
		return err
	}
	if _, err := checkLabelled(rows); err != nil {
		return err
	}
	m := &logisticFile{linearFile: linearFile{modelHead: head("logistic", rows)}}
	if l.Protect > 0 {
		if m.Protected, err = protect(rows.X, l.Protect); err != nil {
			return err
		}
	}
	if l.Idle == "" {
		if err := l.fit(ctx, &m.linearFile, rows.X, rows.Y, len(rows.Classes), c); err != nil {
			return err
		}
		l.model = m
		return nil
	}
	idle := slices.Index(rows.Classes, l.Idle)
	if idle < 0 {
		return fmt.Errorf("idle class %q is not one of the classes %v", l.Idle, rows.Classes)
	}
	if len(rows.Classes) < 3 {
		return errors.New("two levels need at least two classes besides idle; leave idle away")
	}
	m.Idle, m.Link = l.Idle, linkTwo
	active := make([]int, len(rows.Y))
	var x [][]float64
	var y []int
	for i, k := range rows.Y {
		if k == idle {
			continue
		}
		active[i] = 1
		if k > idle {
			k--
		}
		x, y = append(x, rows.X[i]), append(y, k)
	}
	var gate linearFile
	if err := l.fit(ctx, &gate, rows.X, active, 2, idleC); err != nil {
		return err
	}
	if progress != nil {
		progress(1, 2)
	}
	m.Gate, m.GateBias = gate.Weights[0], gate.Intercept[0]
	m.Inner = &linearFile{modelHead: modelHead{Format: 1, Kind: "logistic", Rows: m.Rows, Classes: slices.Delete(slices.Clone(m.Classes), idle, idle+1)}}
	if err := l.fit(ctx, m.Inner, x, y, len(m.Inner.Classes), c); err != nil {
		return err
	}
	l.model = m
	return nil
}

// fit fits one level into m.
func (l *Logistic) fit(ctx context.Context, m *linearFile, x [][]float64, y []int, classes int, c float64) error {
	l1 := 0.0
	if l.Penalty == "elasticnet" {
		l1 = l.L1Ratio
	}
	one := func(y []int, classes int) ([][]float64, []float64, error) {
		p := newLogisticProblem(x, y, classes, c, !l.NoBias)
		if l.Balanced {
			p.balance()
		}
		if l1 > 0 {
			return p.proximal(ctx, l1)
		}
		return p.newton(ctx)
	}
	var err error
	switch {
	case classes == 2:
		m.Link = linkSigmoid
		m.Weights, m.Intercept, err = one(y, 2)
	case !l.OneVsAll:
		m.Link = linkSoftmax
		m.Weights, m.Intercept, err = one(y, classes)
	default:
		m.Link = linkOvR
		for k := range classes {
			is := make([]int, len(y))
			for i, v := range y {
				if v == k {
					is[i] = 1
				}
			}
			w, b, e := one(is, 2)
			if e != nil {
				return e
			}
			m.Weights, m.Intercept = append(m.Weights, w[0]), append(m.Intercept, b[0])
		}
	}
	return err
}

// SaveModel returns the weights.
func (l *Logistic) SaveModel() (json.RawMessage, error) { return saveModel(l.model) }

// LoadModel sets them after checking.
func (l *Logistic) LoadModel(raw json.RawMessage) error {
	return loadModel(raw, "logistic", &l.model, (*logisticFile).validate)
}

func (m *logisticFile) validate() error {
	if m.Protected != nil {
		if err := m.Protected.check(len(m.Rows)); err != nil {
			return err
		}
	}
	if m.Link != linkTwo {
		if m.Inner != nil || m.Idle != "" {
			return errors.New("the model has parts of two levels but is not marked so")
		}
		return m.linearFile.validate()
	}
	if err := m.modelHead.validate(3); err != nil {
		return err
	}
	idle := slices.Index(m.Classes, m.Idle)
	if idle < 0 || m.Inner == nil {
		return fmt.Errorf("the model splits off %q, which is not one of its classes, or lacks the second level", m.Idle)
	}
	if err := checkNumbers("gate", m.Gate, len(m.Rows)); err != nil {
		return err
	}
	if m.GateBias-m.GateBias != 0 {
		return fmt.Errorf("the model's gate intercept is %v", m.GateBias)
	}
	if !slices.Equal(m.Inner.Classes, slices.Delete(slices.Clone(m.Classes), idle, idle+1)) || !slices.Equal(m.Inner.Rows, m.Rows) {
		return errors.New("the model's second level does not have the other classes and the same rows")
	}
	return m.Inner.validate()
}

// Open prepares the classifier for a stream.
func (l *Logistic) Open(in stream.Header) (stream.Header, error) {
	if l.model == nil {
		return stream.Header{}, ErrUntrained
	}
	if _, _, err := l.settings(); err != nil {
		return stream.Header{}, err
	}
	m := l.model
	if m.Link != linkTwo {
		return l.openLinear(in, &m.linearFile)
	}
	idle := slices.Index(m.Classes, m.Idle)
	inner := m.Inner.probabilities()
	q := make([]float64, len(m.Inner.Classes))
	return l.openClasses(in, &m.modelHead, func(p, x []float64) bool {
		s := dense.Dot(m.Gate, x) + m.GateBias
		if !inner(q, x) {
			return false
		}
		active := sigmoid(s)
		j := 0
		for k := range p {
			if k == idle {
				p[k] = sigmoid(-s)
				continue
			}
			p[k] = active * q[j]
			j++
		}
		return true
	})
}
