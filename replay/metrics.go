package replay

import (
	"fmt"
	"math"
)

// Confusion counts decisions: [true class][decided class].
type Confusion [][]int64

// NewConfusion returns a matrix for this many classes.
func NewConfusion(classes int) Confusion {
	c := make(Confusion, classes)
	for i := range c {
		c[i] = make([]int64, classes)
	}
	return c
}

// Count fills a matrix from two lists of classes of equal length.
func Count(classes int, truth, decided []int) Confusion {
	if len(truth) != len(decided) {
		panic(fmt.Sprintf("replay: %d truths for %d decisions", len(truth), len(decided)))
	}
	c := NewConfusion(classes)
	for i := range truth {
		c[truth[i]][decided[i]]++
	}
	return c
}

// Total returns the number of decisions s.
func (c Confusion) Total() int64 {
	var s int64
	for _, row := range c {
		for _, n := range row {
			s += n
		}
	}
	return s
}

func (c Confusion) trace() int64 {
	var s int64
	for i := range c {
		s += c[i][i]
	}
	return s
}

// margins returns row sums t (how often each class was true) and column sums p (how
// often it was decided).
func (c Confusion) margins() (t, p []float64) {
	t, p = make([]float64, len(c)), make([]float64, len(c))
	for i, row := range c {
		for j, n := range row {
			t[i] += float64(n)
			p[j] += float64(n)
		}
	}
	return t, p
}

// Accuracy is the share of right decisions; NaN when there are none at all.
func (c Confusion) Accuracy() float64 { return float64(c.trace()) / float64(c.Total()) }

// Recall is the share of class k that was found; 0 when it never occurred.
func (c Confusion) Recall(k int) float64 {
	t, _ := c.margins()
	return ratio(float64(c[k][k]), t[k])
}

// Precision is the share of decisions for class k that were right; 0 when there were none.
func (c Confusion) Precision(k int) float64 {
	_, p := c.margins()
	return ratio(float64(c[k][k]), p[k])
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// BalancedAccuracy is the mean recall of the classes that occurred; NaN when none did.
func (c Confusion) BalancedAccuracy() float64 {
	t, _ := c.margins()
	var sum, n float64
	for k := range c {
		if t[k] > 0 {
			sum += float64(c[k][k]) / t[k]
			n++
		}
	}
	return sum / n
}

// MCC is the correlation of truth and decision for any number of classes (Gorodkin
// 2004): (c·s − Σ p_k t_k) / √((s² − Σ p_k²)(s² − Σ t_k²)), 0 when the root is 0.
func (c Confusion) MCC() float64 {
	t, p := c.margins()
	var s, pt, pp, tt float64
	for k := range c {
		s += t[k]
		pt += p[k] * t[k]
		pp += p[k] * p[k]
		tt += t[k] * t[k]
	}
	d := math.Sqrt((s*s - pp) * (s*s - tt))
	if !(d > 0) {
		return 0
	}
	return (float64(c.trace())*s - pt) / d
}

// NMCC is (MCC+1)/2: 0.5 at chance and for a constant decision, 1 when all are right.
func (c Confusion) NMCC() float64 { return (c.MCC() + 1) / 2 }

// Kappa is agreement beyond chance (Cohen 1960), (p_o − p_e)/(1 − p_e) with
// p_e = Σ p_k t_k / s²; NaN when p_e is 1, where it is undefined.
func (c Confusion) Kappa() float64 {
	t, p := c.margins()
	var s, pt float64
	for k := range c {
		s += t[k]
		pt += p[k] * t[k]
	}
	pe := pt / (s * s)
	return (c.Accuracy() - pe) / (1 - pe)
}

// MacroF1 is the mean over classes of the harmonic mean of precision and recall;
// a class that neither occurred nor was decided counts 0.
func (c Confusion) MacroF1() float64 {
	t, p := c.margins()
	var sum float64
	for k := range c {
		sum += ratio(2*float64(c[k][k]), t[k]+p[k])
	}
	return sum / float64(len(c))
}
