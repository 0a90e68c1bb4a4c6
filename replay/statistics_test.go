package replay

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestExactBoundsSolveTheirEquations: the bounds are defined by tail probabilities.
func TestExactBoundsSolveTheirEquations(t *testing.T) {
	for _, n := range []int{1, 15, 45, 200} {
		for k := 0; k <= n; k += max(1, n/9) {
			lo, hi := ClopperPearson(k, n, 0.05)
			if k == 0 && lo != 0 || k == n && hi != 1 {
				t.Errorf("%d of %d: interval %v to %v", k, n, lo, hi)
			}
			if k > 0 && math.Abs(Binomial(k, n, lo)-0.025) > 1e-8 {
				t.Errorf("%d of %d: P(at least %d) at the lower end is %v", k, n, k, Binomial(k, n, lo))
			}
			if k < n && math.Abs(1-Binomial(k+1, n, hi)-0.025) > 1e-8 {
				t.Errorf("%d of %d: P(at most %d) at the upper end is %v", k, n, k, 1-Binomial(k+1, n, hi))
			}
		}
	}
	for _, k := range []int{0, 1, 2, 10, 100} {
		upper, lower := PoissonUpper(k, 0.05), PoissonLower(k, 0.05)
		if p := poissonCDF(k, upper); math.Abs(p-0.05) > 1e-9 {
			t.Errorf("%d events: P(at most %d) at the upper bound %v is %v", k, k, upper, p)
		}
		if k > 0 {
			if p := 1 - poissonCDF(k-1, lower); math.Abs(p-0.05) > 1e-9 {
				t.Errorf("%d events: P(at least %d) at the lower bound %v is %v", k, k, lower, p)
			}
		}
	}
	if u := PoissonUpper(0, 0.05); math.Abs(u+math.Log(0.05)) > 1e-10 {
		t.Errorf("no event: upper bound %v, want -ln 0.05", u)
	}
	if PoissonLower(0, 0.05) != 0 {
		t.Error("no event: lower bound is not 0")
	}
}

func poissonCDF(k int, mean float64) float64 {
	var sum float64
	term := math.Exp(-mean)
	for i := 0; i <= k; i++ {
		sum += term
		term *= mean / float64(i+1)
	}
	return sum
}

func TestChanceBoundIsTheQuantile(t *testing.T) {
	for _, c := range []struct {
		n    int
		p    float64
		want float64
	}{{15, 0.5, 11.0 / 15}, {45, 0.5, 28.0 / 45}, {1, 0.5, 1}} {
		got := ChanceBound(c.n, c.p, 0.05)
		k := int(math.Round(got * float64(c.n)))
		if got != c.want || Binomial(k+1, c.n, c.p) > 0.05 || k > 0 && Binomial(k, c.n, c.p) <= 0.05 {
			t.Errorf("n %d: bound %v (want %v); exceeding it has P %v", c.n, got, c.want, Binomial(k+1, c.n, c.p))
		}
	}
	if !math.IsNaN(ChanceBound(0, 0.5, 0.05)) {
		t.Error("no trial has a chance bound")
	}
}

func TestSignFlipBeyondEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	d := make([]float64, 24)
	for i := range d {
		d[i] = r.NormFloat64() + 0.35
	}
	var sum, squares float64
	for _, v := range d {
		sum, squares = sum+v, squares+v*v
	}
	approx := normalUpper(sum / math.Sqrt(squares)) // the flips' sum is nearly normal
	p := SignFlip(d, 1)
	if math.Abs(p-approx) > 0.02 || p != SignFlip(d, 1) {
		t.Errorf("p %v, normal approximation %v, again %v", p, approx, SignFlip(d, 1))
	}
	if got := SignFlip([]float64{1, 2, 3}, 1); got != 0.125 {
		t.Errorf("three equal signs: p %v, want 1/8", got)
	}
	if got := SignFlip([]float64{-1, -2, -3}, 1); got != 7.0/8 {
		t.Errorf("the worst of all patterns: p %v, want it capped at 7/8", got)
	}
	if !math.IsNaN(SignFlip(nil, 1)) {
		t.Error("no pair has a p")
	}
}

// TestSignedRankAgainstEnumeration tries all sign patterns of ranks 1..n.
func TestSignedRankAgainstEnumeration(t *testing.T) {
	d := []float64{3.1, -0.4, 2.2, 5, -1.7, 0.9, 4.2, -2.9}
	n := len(d)
	w := SignedRank(d)
	count := 0
	for mask := range 1 << n {
		var plus int
		for i := range n {
			if mask>>i&1 == 1 {
				plus += i + 1
			}
		}
		if float64(min(plus, n*(n+1)/2-plus)) <= w.Statistic {
			count++
		}
	}
	if want := float64(count) / float64(int(1)<<n); math.Abs(w.TwoSided-want) > 1e-12 {
		t.Errorf("two-sided p %v, by enumeration %v", w.TwoSided, want)
	}
	tied := SignedRank([]float64{1, 1, -1, 2, 0, 3})
	if tied.TwoSided != tied.Normal {
		t.Error("with ties and zeros the exact distribution does not hold, but was used")
	}
	if !math.IsNaN(SignedRank([]float64{0, 0}).TwoSided) {
		t.Error("nothing but zeros has a p")
	}
}

func TestHolm(t *testing.T) {
	got := Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-15 {
			t.Errorf("p %d corrected to %v, want %v", i, got[i], want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 20).Draw(t, "p")
		q := Holm(p)
		for i := range p {
			if q[i] < p[i] || q[i] > 1 || q[i] > float64(len(p))*p[i]+1e-15 {
				t.Fatalf("p %v corrected to %v", p[i], q[i])
			}
			for j := range p {
				if p[i] < p[j] && q[i] > q[j] {
					t.Fatalf("order of %v and %v is lost", p[i], p[j])
				}
			}
		}
	})
}

// TestBootstrapCovers: over many samples of 40 the 90 % interval of the mean must hold
// the true mean in about 90 % of them.
func TestBootstrapCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 0))
	held := 0
	const samples = 300
	for s := range uint64(samples) {
		v := make([]float64, 40)
		for i := range v {
			v[i] = 5 + r.NormFloat64()
		}
		lo, hi := Bootstrap(v, Mean, 400, 0.1, s)
		if lo <= 5 && 5 <= hi {
			held++
		}
		if s == 0 {
			if a, b := Bootstrap(v, Mean, 400, 0.1, s); a != lo || b != hi {
				t.Error("the same seed gives another interval")
			}
		}
	}
	if share := float64(held) / samples; share < 0.83 || share > 0.95 {
		t.Errorf("the 90 %% interval holds the mean in %.1f %%", 100*share)
	}
	if lo, _ := Bootstrap(nil, Mean, 10, 0.1, 1); !math.IsNaN(lo) {
		t.Error("no values have an interval")
	}
}

// TestCircularShift: decisions that follow the truth beat every shift; decisions as
// sluggish as the truth, but unrelated, do so in about 5 % of cases at the 5 % level,
// where a permutation of single windows would call most of them significant.
func TestCircularShift(t *testing.T) {
	score := func(a, b []int) float64 { return Count(2, a, b).NMCC() }
	r := rand.New(rand.NewPCG(5, 0))
	sluggish := func() []int {
		v := make([]int, 600)
		for i := 1; i < len(v); i++ {
			v[i] = v[i-1]
			if r.IntN(20) == 0 {
				v[i] = 1 - v[i]
			}
		}
		return v
	}
	truth := sluggish()
	c, err := CircularShift(truth, truth, score, 21, 200, 1)
	if err != nil || c.P > 0.01 || c.Bound95 > 0.8 || c.Shifts != 200 {
		t.Errorf("decisions equal to the truth: %+v, %v", c, err)
	}
	false5 := 0
	for range 200 {
		c, err := CircularShift(sluggish(), sluggish(), score, 21, 100, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c.P <= 0.05 {
			false5++
		}
	}
	if false5 > 20 { // at a true rate of 5 % this happens once in a thousand runs
		t.Errorf("unrelated decisions are significant at 5 %% in %d of 200 cases", false5)
	}
	if _, err := CircularShift(truth[:30], truth[:30], score, 20, 10, 1); err == nil || !strings.Contains(err.Error(), "record longer") {
		t.Errorf("30 decisions: %v", err)
	}
}

func TestQuantileInterpolates(t *testing.T) {
	v := []float64{1, 2, 4, 8}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 1: 8, 0.25: 1.75, 0.95: 7.4} {
		if got := Quantile(v, q); math.Abs(got-want) > 1e-12 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if !slices.IsSorted(v) || !math.IsNaN(Quantile(nil, 0.5)) {
		t.Error("an empty list has a quantile")
	}
}

func TestMillerMadowRemovesTheBias(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 0))
	var biased, corrected float64
	const rounds = 400
	for range rounds {
		c := NewConfusion(4)
		for range 200 {
			c[r.IntN(4)][r.IntN(4)]++ // nothing is known
		}
		biased += c.MutualInformation() / rounds
		corrected += (c.MutualInformation() - c.MillerMadow()) / rounds
	}
	if math.Abs(corrected) > 0.1*biased {
		t.Errorf("information of guesses: %.4f bits, corrected %.4f", biased, corrected)
	}
}
