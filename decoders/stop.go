package decoders

import (
	"errors"
	"fmt"
	"math"
)

// A Stopper decides when enough evidence has been seen to answer. It works on the
// outputs of any decoder that gives one value per class and step: log-probabilities
// of windows, or the read-out of a spiking network.
type Stopper interface {
	// Reset starts a trial.
	Reset()
	// Push takes the evidence of one step, one value per class, and dt, the seconds it
	// took; nil is a step without usable evidence, which only takes time. It returns
	// the answer so far and whether it is final. After a final answer, Reset first.
	// It does not allocate.
	Push(o []float64, dt float64) (Answer, bool)
	// Probabilities are those behind the last answer; valid until the next call.
	Probabilities() []float64
}

// Answer is what a Stopper would say now.
type Answer struct {
	Class      int     // index; the first of equals
	Confidence float64 // its probability, softmax(a/κ)
	Step       int     // steps since Reset, from 1
	Elapsed    float64 // seconds since Reset
	Forced     bool    // the last step was reached without the rule having been met
}

// Rules of a Stopper. a is the accumulated evidence, p = softmax(a/κ), K the number of
// classes. A stop needs the condition at Dwell successive steps with the same answer.
const (
	StopConfidence = "confidence" // max p > θ: Dynamic Confidence (Li, Jones & Furber, ICCV 2023)
	StopEntropy    = "entropy"    // -Σ p ln p / ln K < θ
	StopMargin     = "margin"     // best p - second p > θ
	StopConformal  = "conformal"  // at a checkpoint, at most SetSize classes conform (SpikeCP; Chen, Park & Simeone 2023)
	StopBayes      = "bayes"      // max a > boundary of the step (Ahmadi, Desain & Thielen 2024)
)

// StopRules lists the rules.
var StopRules = []string{StopConfidence, StopEntropy, StopMargin, StopConformal, StopBayes}

// StopModel is a stopping rule with everything it learned. Steps count from 1.
type StopModel struct {
	Rule      string  `json:"rule"`
	Classes   int     `json:"classes"`
	Kappa     float64 `json:"kappa"`     // temperature of the accumulated evidence
	Threshold float64 `json:"threshold"` // θ of confidence, entropy and margin
	Leak      float64 `json:"leak"`      // a ← leak a + discount o; 1 = perfect memory
	Discount  float64 `json:"discount"`  // of each step's evidence: hop/window for overlapping windows
	Dwell     int     `json:"dwell"`     // successive steps
	First     int     `json:"first"`     // steps at the start that give no evidence and no answer
	Steps     int     `json:"steps"`     // the answer is forced here; 0 = never

	Checkpoints []int     `json:"checkpoints,omitempty"` // conformal: steps
	Limits      []float64 `json:"limits,omitempty"`      // conformal: classes with -ln p up to this conform; negative = all do
	SetSize     int       `json:"set_size,omitempty"`    // conformal: classes left over that end the trial

	Boundary []float64 `json:"boundary,omitempty"` // bayes: of each step
}

// Check says what is impossible about a rule.
func (m *StopModel) Check() error {
	number := func(x float64) bool { return x-x == 0 }
	switch {
	case m.Classes < 2 || m.Classes > 1<<16:
		return fmt.Errorf("a stopping rule for %d classes; it needs at least 2", m.Classes)
	case !(m.Kappa > 0) || !number(m.Kappa):
		return fmt.Errorf("stopping rule: kappa %v; it is a positive number", m.Kappa)
	case !(m.Leak > 0 && m.Leak <= 1):
		return fmt.Errorf("stopping rule: leak %v; it lies above 0 and up to 1", m.Leak)
	case !(m.Discount > 0) || !number(m.Discount):
		return fmt.Errorf("stopping rule: discount %v; it is a positive number", m.Discount)
	case m.Dwell < 1 || m.First < 0 || m.Steps < 0 || m.Steps > maxStopSteps || m.Steps > 0 && m.First >= m.Steps:
		return fmt.Errorf("stopping rule: dwell %d, first %d, %d steps; dwell is at least 1, and first lies before the last of at most %d steps", m.Dwell, m.First, m.Steps, maxStopSteps)
	case !number(m.Threshold):
		return fmt.Errorf("stopping rule: threshold %v", m.Threshold)
	}
	switch m.Rule {
	case StopConfidence, StopEntropy, StopMargin:
	case StopConformal:
		if len(m.Checkpoints) == 0 || len(m.Limits) != len(m.Checkpoints) || m.SetSize < 1 || m.SetSize >= m.Classes || m.Dwell != 1 {
			return fmt.Errorf("conformal stopping: %d checkpoints with %d limits, sets of %d of %d classes, dwell %d; give a limit to each checkpoint, a set smaller than the number of classes, a dwell of 1", len(m.Checkpoints), len(m.Limits), m.SetSize, m.Classes, m.Dwell)
		}
		for i, c := range m.Checkpoints {
			if c < 1 || c > maxStopSteps || i > 0 && c <= m.Checkpoints[i-1] || !number(m.Limits[i]) {
				return fmt.Errorf("conformal stopping: checkpoint %d is step %d with limit %v; steps rise from 1", i+1, c, m.Limits[i])
			}
		}
	case StopBayes:
		if len(m.Boundary) == 0 || len(m.Boundary) > maxStopSteps {
			return errors.New("bayesian stopping without a boundary for every step")
		}
		for i, b := range m.Boundary {
			if !number(b) {
				return fmt.Errorf("bayesian stopping: the boundary of step %d is %v", i+1, b)
			}
		}
	default:
		return fmt.Errorf("stopping rule %q: choose one of %v", m.Rule, StopRules)
	}
	return nil
}

// maxStopSteps bounds what a model file can make us allocate.
const maxStopSteps = 1 << 20

// New makes a Stopper that follows the rule. Cost per step: one exponential per class.
func (m *StopModel) New() (Stopper, error) { return m.stopper() }

func (m *StopModel) stopper() (*stopper, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	s := &stopper{m: *m, a: make([]float64, m.Classes), p: make([]float64, m.Classes)}
	s.Reset()
	return s, nil
}

// stopper follows a StopModel.
type stopper struct {
	m       StopModel
	a, p    []float64 // evidence, probabilities
	step    int
	elapsed float64
	run     int // steps in a row that met the rule with the same answer
	last    int
	next    int // checkpoint
	set     int // conformal: size of the set at the last checkpoint passed
}

func (s *stopper) Reset() {
	clear(s.a)
	for k := range s.p {
		s.p[k] = 1 / float64(len(s.p))
	}
	s.step, s.elapsed, s.run, s.last, s.next, s.set = 0, 0, 0, -1, 0, len(s.p)
}

func (s *stopper) Probabilities() []float64 { return s.p }

func (s *stopper) Push(o []float64, dt float64) (Answer, bool) {
	m := &s.m
	s.step++
	s.elapsed += dt
	usable := o != nil && s.step > m.First
	if usable {
		for k := range s.a {
			s.a[k] = float64(m.Leak*s.a[k]) + float64(m.Discount*o[k])
		}
		temper(s.p, s.a, m.Kappa)
	}
	best := argmax(s.a)
	met := usable && s.met(best)
	if m.Rule == StopConformal { // checkpoints pass even without evidence
		met = met && s.conforms() <= m.SetSize
		if s.next < len(m.Checkpoints) && s.step >= m.Checkpoints[s.next] {
			s.next++
		}
	}
	switch {
	case !met:
		s.run = 0
	case s.run > 0 && best == s.last:
		s.run++
	default:
		s.run = 1
	}
	s.last = best
	a := Answer{Class: best, Confidence: s.p[best], Step: s.step, Elapsed: s.elapsed}
	if s.run >= m.Dwell {
		return a, true
	}
	a.Forced = m.Steps > 0 && s.step >= m.Steps
	return a, a.Forced
}

func (s *stopper) met(best int) bool {
	m := &s.m
	switch m.Rule {
	case StopConfidence:
		return s.p[best] > m.Threshold
	case StopEntropy:
		h := 0.0
		for _, p := range s.p {
			if p > 0 {
				h -= float64(p * math.Log(p))
			}
		}
		return h/math.Log(float64(len(s.p))) < m.Threshold
	case StopMargin:
		second := 0.0
		for k, p := range s.p {
			if k != best {
				second = max(second, p)
			}
		}
		return s.p[best]-second > m.Threshold
	case StopConformal:
		return s.next < len(m.Checkpoints) && s.step == m.Checkpoints[s.next]
	case StopBayes:
		return s.step <= len(m.Boundary) && s.a[best] > m.Boundary[s.step-1]
	}
	return false
}

// conforms counts the classes in the conformal set of the current checkpoint.
func (s *stopper) conforms() int {
	n := 0
	for k := range s.p {
		if s.inSet(s.next, k) {
			n++
		}
	}
	s.set = n
	return n
}

// inSet reports whether class k conforms at checkpoint c: -ln p_k ≤ limit.
func (s *stopper) inSet(c, k int) bool {
	return s.m.Limits[c] < 0 || s.nonconformity(k) <= s.m.Limits[c]
}

// nonconformity is -ln p_k, from the evidence so that it stays finite.
func (s *stopper) nonconformity(k int) float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range s.a {
		top = max(top, v)
	}
	for _, v := range s.a {
		sum += math.Exp((v - top) / s.m.Kappa)
	}
	return (top-s.a[k])/s.m.Kappa + math.Log(sum)
}
