package replay

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// Binomial returns P(X ≥ k) for n independent trials with chance p each.
func Binomial(k, n int, p float64) float64 {
	if k <= 0 {
		return 1
	}
	var sum float64
	for i := n; i >= k; i-- { // smallest terms first
		sum += binomialTerm(i, n, p)
	}
	return min(sum, 1)
}

func binomialTerm(k, n int, p float64) float64 {
	if p == 0 || p == 1 {
		if k == 0 && p == 0 || k == n && p == 1 {
			return 1
		}
		return 0
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// ChanceBound returns the accuracy that a guesser with chance p exceeds in at most
// alpha of all sessions of n independent trials (Combrisson and Jerbi 2015): the
// binomial quantile at 1−alpha, divided by n. Overlapping windows are not independent:
// n counts trials. NaN when n is 0.
func ChanceBound(n int, p, alpha float64) float64 {
	var cdf float64
	for k := range n {
		cdf += binomialTerm(k, n, p)
		if cdf >= 1-alpha {
			return float64(k) / float64(n)
		}
	}
	return float64(n) / float64(n)
}

// ClopperPearson returns the exact confidence interval of a share, k of n, at level
// 1−alpha (Clopper and Pearson 1934).
func ClopperPearson(k, n int, alpha float64) (lo, hi float64) {
	lo, hi = 0, 1
	if k > 0 {
		lo = mathext.InvRegIncBeta(float64(k), float64(n-k+1), alpha/2)
	}
	if k < n {
		hi = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-alpha/2)
	}
	return lo, hi
}

// PoissonUpper returns the exact one-sided upper bound, at level 1−alpha, of a Poisson
// mean of which k events were seen (Garwood 1936): −ln alpha when k is 0.
func PoissonUpper(k int, alpha float64) float64 {
	return mathext.GammaIncRegInv(float64(k+1), 1-alpha)
}

// PoissonLower is the lower bound; 0 when k is 0.
func PoissonLower(k int, alpha float64) float64 {
	if k == 0 {
		return 0
	}
	return mathext.GammaIncRegInv(float64(k), alpha)
}

// exactFlips is the largest number of pairs of which all sign patterns are tried:
// about a million.
const exactFlips = 20

// SignFlip returns the one-sided p that the mean of paired differences is above 0:
// the share of sign patterns whose sum is at least the observed one, all 2ⁿ of them up
// to 20 pairs, else 100 000 drawn with this seed. It is at most (2ⁿ−1)/2ⁿ, so that
// Stouffer's z stays finite.
func SignFlip(d []float64, seed uint64) float64 {
	n := len(d)
	if n == 0 {
		return math.NaN()
	}
	var observed, scale float64
	for _, v := range d {
		observed += v
		scale += math.Abs(v)
	}
	limit := observed - 1e-12*scale // equal sums differ by rounding
	if n > exactFlips {
		const draws = 100_000
		r := rand.New(rand.NewPCG(seed, 1))
		count := 1 // the observed pattern itself
		for range draws {
			var sum float64
			for i := 0; i < n; i += 64 {
				signs := r.Uint64()
				for j := i; j < min(n, i+64); j++ {
					if signs&1 != 0 {
						sum += d[j]
					} else {
						sum -= d[j]
					}
					signs >>= 1
				}
			}
			if sum >= limit {
				count++
			}
		}
		return min(float64(count)/(draws+1), float64(draws)/(draws+1))
	}
	signs := make([]float64, n)
	for i := range signs {
		signs[i] = -1
	}
	count, total := 0, 1<<n
	for g := range total {
		if g > 0 { // Gray code: one sign changes at a time
			signs[bits.TrailingZeros(uint(g))] *= -1
		}
		var sum float64
		for i, v := range d {
			sum += signs[i] * v
		}
		if sum >= limit {
			count++
		}
	}
	return float64(min(count, total-1)) / float64(total)
}

// Wilcoxon is the signed-rank test of paired differences (Wilcoxon 1945).
type Wilcoxon struct {
	Statistic float64 // the smaller of the rank sums of positive and negative differences
	TwoSided  float64 // p; exact when there are at most 50 differences, none 0 and no ties, else normal
	Normal    float64 // two-sided p of the normal approximation with tie correction
	Greater   float64 // one-sided: half of TwoSided, or its complement when the mean difference is negative
}

// SignedRank returns the test. Differences of 0 are dropped; NaN when none is left.
func SignedRank(d []float64) Wilcoxon {
	var v []float64
	var mean float64
	for _, x := range d {
		mean += x
		if x != 0 {
			v = append(v, math.Abs(x))
		}
	}
	n := len(v)
	if n == 0 {
		return Wilcoxon{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	ranks := averageRanks(v)
	var plus float64
	i := 0
	for _, x := range d {
		if x == 0 {
			continue
		}
		if x > 0 {
			plus += ranks[i]
		}
		i++
	}
	all := float64(n) * float64(n+1) / 2
	w := Wilcoxon{Statistic: min(plus, all-plus)}
	slices.Sort(v)
	var ties float64
	for i := 0; i < n; {
		j := i
		for j < n && v[j] == v[i] {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	sd := math.Sqrt(float64(n)*float64(n+1)*float64(2*n+1)/24 - ties/48)
	w.Normal = min(1, 2*normalUpper(math.Abs(w.Statistic-all/2)/sd))
	if n <= 50 && n == len(d) && ties == 0 {
		w.TwoSided = min(1, 2*rankSumCDF(n, int(w.Statistic)))
	} else {
		w.TwoSided = w.Normal
	}
	w.Greater = w.TwoSided / 2
	if mean < 0 {
		w.Greater = 1 - w.Greater
	}
	return w
}

// rankSumCDF returns P(sum of a random subset of 1..n ≤ w).
func rankSumCDF(n, w int) float64 {
	ways := make([]float64, w+1)
	ways[0] = 1
	for r := 1; r <= n; r++ {
		for s := w; s >= r; s-- {
			ways[s] += ways[s-r]
		}
	}
	var sum float64
	for _, x := range ways {
		sum += x
	}
	return sum / math.Pow(2, float64(n))
}

// SMD is the standardised mean difference, mean/standard deviation (n−1) of paired
// differences: signed; NaN below two.
func SMD(d []float64) float64 {
	mean, sd := meanStd(d)
	return mean / sd
}

func meanStd(v []float64) (mean, sd float64) {
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	for _, x := range v {
		sd += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(sd / float64(len(v)-1))
}

// Stouffer combines one-sided p values: z = Σ w_i z_i / √(Σ w_i²) (Stouffer et al. 1949).
// The usual weights are √(number of subjects).
func Stouffer(p, weights []float64) (z, combined float64) {
	var sum, squares float64
	for i, x := range p {
		sum += weights[i] * normalQuantileUpper(x)
		squares += weights[i] * weights[i]
	}
	z = sum / math.Sqrt(squares)
	return z, normalUpper(z)
}

// normalUpper returns P(Z > z) of the standard normal distribution.
func normalUpper(z float64) float64 { return 0.5 * math.Erfc(z/math.Sqrt2) }

// normalQuantileUpper returns the z with P(Z > z) = p.
func normalQuantileUpper(p float64) float64 { return math.Sqrt2 * math.Erfcinv(2*p) }

// Holm returns p values corrected for testing all of them (Holm 1979).
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return p[order[i]] < p[order[j]] })
	out := make([]float64, len(p))
	var worst float64
	for rank, i := range order {
		worst = max(worst, min(1, float64(len(p)-rank)*p[i]))
		out[i] = worst
	}
	return out
}

// Bootstrap returns the percentile interval at level 1−alpha of a statistic over
// resamples of the values with replacement (Efron 1979), the same for the same seed.
// Values are what is independent: subjects or trials, not windows.
func Bootstrap(values []float64, statistic func([]float64) float64, resamples int, alpha float64, seed uint64) (lo, hi float64) {
	if len(values) == 0 || resamples < 1 {
		return math.NaN(), math.NaN()
	}
	r := rand.New(rand.NewPCG(seed, 2))
	all, sample := make([]float64, resamples), make([]float64, len(values))
	for i := range all {
		for j := range sample {
			sample[j] = values[r.IntN(len(values))]
		}
		all[i] = statistic(sample)
	}
	slices.Sort(all)
	return Quantile(all, alpha/2), Quantile(all, 1-alpha/2)
}

// Mean is the statistic most often bootstrapped.
func Mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// ShiftChance says how good a score is by chance: decisions keep their order, which
// makes neighbours alike, and the truth is turned round against them by random
// amounts of at least minShift places.
type ShiftChance struct {
	Mean, Bound95 float64 // of the score over the shifts
	P             float64 // (1 + shifts that scored at least as much)/(1 + shifts)
	Shifts        int     // different shifts used: all of them when there are fewer than asked for
}

// ErrFewShifts says that there are too few decisions to measure chance by shifting
// the truth.
var ErrFewShifts = errors.New("too few shifts to judge chance: record longer")

// CircularShift measures it for a score of truth against decided.
func CircularShift(truth, decided []int, score func(truth, decided []int) float64, minShift, shifts int, seed uint64) (ShiftChance, error) {
	n := len(truth)
	room := n - 2*minShift + 1 // shifts minShift..n-minShift
	if minShift < 1 || room < 20 {
		return ShiftChance{}, fmt.Errorf("%d decisions, turned by at least %d, leave %w", n, minShift, ErrFewShifts)
	}
	at := make([]int, room)
	for i := range at {
		at[i] = minShift + i
	}
	r := rand.New(rand.NewPCG(seed, 3))
	r.Shuffle(room, func(i, j int) { at[i], at[j] = at[j], at[i] })
	at = at[:min(room, shifts)]
	observed := score(truth, decided)
	all, turned := make([]float64, len(at)), make([]int, n)
	atLeast := 1
	for i, s := range at {
		copy(turned, truth[s:])
		copy(turned[n-s:], truth[:s])
		all[i] = score(turned, decided)
		if all[i] >= observed {
			atLeast++
		}
	}
	slices.Sort(all)
	return ShiftChance{Mean(all), Quantile(all, 0.95), float64(atLeast) / float64(len(at)+1), len(at)}, nil
}

// WeightedMean is Σ w v / Σ w: over data sets, the combined SMD.
func WeightedMean(values, weights []float64) float64 {
	var sum, all float64
	for i, v := range values {
		sum += weights[i] * v
		all += weights[i]
	}
	return sum / all
}
