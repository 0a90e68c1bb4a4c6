package replay

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func drawConfusion(t *rapid.T) Confusion {
	c := NewConfusion(rapid.IntRange(2, 5).Draw(t, "classes"))
	for i := range c {
		for j := range c {
			c[i][j] = rapid.Int64Range(0, 30).Draw(t, "n")
		}
	}
	c[0][0]++ // never empty
	return c
}

func close12(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-12
}

func TestConfusionInvariances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfusion(t)
		k := len(c)
		perm := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Perm(k)
		renamed, scaled, turned := NewConfusion(k), NewConfusion(k), NewConfusion(k)
		for i := range c {
			for j := range c {
				renamed[perm[i]][perm[j]] = c[i][j]
				scaled[i][j] = 7 * c[i][j]
				turned[j][i] = c[i][j]
			}
		}
		for name, f := range map[string]func(Confusion) float64{
			"accuracy": Confusion.Accuracy, "balanced accuracy": Confusion.BalancedAccuracy, "nMCC": Confusion.NMCC,
			"kappa": Confusion.Kappa, "macro F1": Confusion.MacroF1, "information": Confusion.MutualInformation,
		} {
			if a, b := f(c), f(renamed); !close12(a, b) {
				t.Fatalf("%s %v changes to %v when classes are renamed", name, a, b)
			}
			if a, b := f(c), f(scaled); !close12(a, b) {
				t.Fatalf("%s %v changes to %v when everything happens seven times", name, a, b)
			}
		}
		if a, b := c.MCC(), turned.MCC(); !close12(a, b) || math.Abs(a) > 1+1e-12 {
			t.Fatalf("MCC %v, and %v with truth and decision exchanged", a, b)
		}
		if a, b := c.MutualInformation(), turned.MutualInformation(); !close12(a, b) {
			t.Fatalf("information %v, and %v with truth and decision exchanged", a, b)
		}
		bits, prior := c.Capacity()
		if bits < c.MutualInformation()-1e-9 || bits < c.MutualInformationUniform()-1e-9 || bits > math.Log2(float64(k))+1e-9 {
			t.Fatalf("capacity %v below what is reached (%v, %v) or above log2 %d", bits, c.MutualInformation(), c.MutualInformationUniform(), k)
		}
		var sum float64
		for _, p := range prior {
			sum += p
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("capacity's prior sums to %v", sum)
		}
	})
}

// TestMCCIsACorrelation: with two classes it is Pearson's r of the 0/1 series.
func TestMCCIsACorrelation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 60).Draw(t, "n")
		x, y := make([]int, n), make([]int, n)
		var sx, sy, sxy float64
		for i := range n {
			x[i], y[i] = rapid.IntRange(0, 1).Draw(t, "x"), rapid.IntRange(0, 1).Draw(t, "y")
			sx, sy, sxy = sx+float64(x[i]), sy+float64(y[i]), sxy+float64(x[i]*y[i])
		}
		m := float64(n)
		d := math.Sqrt((sx/m - sx*sx/m/m) * (sy/m - sy*sy/m/m))
		want := 0.0
		if d > 1e-12 {
			want = (sxy/m - sx*sy/m/m) / d
		}
		if got := Count(2, x, y).MCC(); math.Abs(got-want) > 1e-9 {
			t.Fatalf("MCC %v, correlation %v", got, want)
		}
	})
}

func TestAUCInvariances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 80).Draw(t, "n")
		s, bent, back := make([]float64, n), make([]float64, n), make([]float64, n)
		positive := make([]bool, n)
		var wins, pairs float64
		for i := range n {
			s[i] = float64(rapid.IntRange(-5, 5).Draw(t, "score"))
			positive[i] = rapid.Bool().Draw(t, "positive")
			bent[i], back[i] = math.Exp(s[i]), -s[i]
		}
		for i := range n {
			for j := range n {
				if positive[i] && !positive[j] {
					pairs++
					if s[i] > s[j] {
						wins++
					} else if s[i] == s[j] {
						wins += 0.5
					}
				}
			}
		}
		got := AUC(s, positive)
		if !close12(got, wins/pairs) || !close12(got, AUC(bent, positive)) || !close12(got, 1-AUC(back, positive)) {
			t.Fatalf("AUC %v, by counting %v, bent %v, reversed %v", got, wins/pairs, AUC(bent, positive), AUC(back, positive))
		}
		roc := ROC(s, positive)
		var area float64 // trapezoids under the curve
		for i := 1; i < len(roc); i++ {
			area += (roc[i].FPR - roc[i-1].FPR) * (roc[i].TPR + roc[i-1].TPR) / 2
		}
		if pairs > 0 && math.Abs(area-got) > 1e-12 {
			t.Fatalf("area under the curve %v, AUC %v", area, got)
		}
	})
}

func TestProbabilityScoresAtTheirEnds(t *testing.T) {
	sure, wrong, guess := [][]float64{{1, 0}, {0, 1}}, [][]float64{{0, 1}, {1, 0}}, [][]float64{{0.5, 0.5}, {0.5, 0.5}}
	truth := []int{0, 1}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"Brier when sure and right", Brier(truth, sure), 0},
		{"Brier when sure and wrong", Brier(truth, wrong), 2},
		{"Brier of a guess", Brier(truth, guess), 0.5},
		{"log loss when right", LogLoss(truth, sure), 0},
		{"log loss when wrong", LogLoss(truth, wrong), -math.Log(1e-15)},
		{"log loss of a guess", LogLoss(truth, guess), math.Ln2},
		{"ECE when sure and right", ECE(truth, sure, 10), 0},
		{"ECE when sure and wrong", ECE(truth, wrong, 10), 1},
		{"ECE of a guess that holds", ECE(truth, guess, 10), 0},
	} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestNoCommandFiresWithoutItsRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := Rule{Idle: rapid.IntRange(0, 2).Draw(t, "idle"), Dwell: rapid.IntRange(0, 5).Draw(t, "dwell"), Refractory: rapid.Float64Range(0, 3).Draw(t, "refractory"), Confidence: rapid.Float64Range(0, 1).Draw(t, "confidence")}
		var d []Decision
		for i := range rapid.IntRange(0, 100).Draw(t, "n") {
			d = append(d, Decision{float64(i) / 4, rapid.IntRange(0, 2).Draw(t, "class"), rapid.Float64Range(0, 1).Draw(t, "p")})
		}
		before := math.Inf(-1)
		for _, c := range rule.Commands(d) {
			i := int(math.Round(c.Time * 4))
			for j := range max(rule.Dwell, 1) {
				if i-j < 0 || d[i-j].Class != c.Class || c.Class == rule.Idle || d[i-j].Confidence < rule.Confidence || d[i-j].Time < before+rule.Refractory {
					t.Fatalf("command %v is not backed by decision %d", c, i-j)
				}
			}
			before = c.Time
		}
	})
}
