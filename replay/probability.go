package replay

import (
	"math"
	"slices"
)

// ROCPoint is a point of the receiver operating characteristic.
type ROCPoint struct {
	Threshold float64 // decide positive when the score is at least this
	FPR, TPR  float64 // shares of negatives and of positives that pass
}

// ROC returns the curve from (0, 0) to (1, 1), one point per distinct score, highest
// first. Without positives, or without negatives, its rates are 0/0 = NaN.
func ROC(scores []float64, positive []bool) []ROCPoint {
	order := make([]int, len(scores))
	var pos, neg float64
	for i := range order {
		order[i] = i
		if positive[i] {
			pos++
		} else {
			neg++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	out := []ROCPoint{{Threshold: math.Inf(1), FPR: 0 / neg, TPR: 0 / pos}}
	var tp, fp float64
	for i, k := range order {
		if positive[k] {
			tp++
		} else {
			fp++
		}
		if i+1 == len(order) || scores[order[i+1]] != scores[k] {
			out = append(out, ROCPoint{scores[k], fp / neg, tp / pos})
		}
	}
	return out
}

// AUC is P(score of a positive > score of a negative) + ½ P(equal), from average ranks
// (Mann and Whitney 1947); NaN without positives or without negatives.
func AUC(scores []float64, positive []bool) float64 {
	ranks := averageRanks(scores)
	var sum, n1 float64
	for i, r := range ranks {
		if positive[i] {
			sum += r
			n1++
		}
	}
	n0 := float64(len(scores)) - n1
	return (sum - n1*(n1+1)/2) / (n1 * n0)
}

// averageRanks returns 1 for the smallest value; equal values share the mean of theirs.
func averageRanks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	ranks := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			ranks[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}

// AveragePrecision is Σ (R_n − R_{n−1}) P_n over the thresholds, without interpolation.
func AveragePrecision(scores []float64, positive []bool) float64 {
	var pos, neg float64
	for _, p := range positive {
		if p {
			pos++
		} else {
			neg++
		}
	}
	var sum, before float64
	for _, q := range ROC(scores, positive)[1:] {
		tp, fp := q.TPR*pos, q.FPR*neg
		if neg == 0 {
			fp = 0
		}
		sum += (q.TPR - before) * ratio(tp, tp+fp)
		before = q.TPR
	}
	return sum
}

// AUCOneVersusRest is the unweighted mean over classes of the AUC with that class's
// probability as score.
func AUCOneVersusRest(truth []int, p [][]float64) float64 {
	classes := len(p[0])
	var sum float64
	for k := range classes {
		sum += AUC(column(p, k), equals(truth, k))
	}
	return sum / float64(classes)
}

// AUCOneVersusOne is the mean over pairs of classes of the two directed AUCs on the
// examples of the pair (Hand and Till 2001).
func AUCOneVersusOne(truth []int, p [][]float64) float64 {
	classes := len(p[0])
	var sum, n float64
	for a := range classes {
		for b := a + 1; b < classes; b++ {
			var t []int
			var q [][]float64
			for i, y := range truth {
				if y == a || y == b {
					t, q = append(t, y), append(q, p[i])
				}
			}
			sum += (AUC(column(q, a), equals(t, a)) + AUC(column(q, b), equals(t, b))) / 2
			n++
		}
	}
	return sum / n
}

func column(p [][]float64, k int) []float64 {
	out := make([]float64, len(p))
	for i := range p {
		out[i] = p[i][k]
	}
	return out
}

func equals(v []int, k int) []bool {
	out := make([]bool, len(v))
	for i := range v {
		out[i] = v[i] == k
	}
	return out
}

// LogLoss is −mean ln p(true class), in nats; probabilities below 1e-15 count as 1e-15.
func LogLoss(truth []int, p [][]float64) float64 {
	var sum float64
	for i, y := range truth {
		sum -= math.Log(max(p[i][y], 1e-15))
	}
	return sum / float64(len(truth))
}

// Brier is the mean over examples of Σ_k (p_k − [true class is k])²: 0 to 2 (Brier 1950).
func Brier(truth []int, p [][]float64) float64 {
	var sum float64
	for i, y := range truth {
		for k, v := range p[i] {
			if k == y {
				v--
			}
			sum += v * v
		}
	}
	return sum / float64(len(truth))
}

// ECE is the expected calibration error (Naeini et al. 2015) with bins of equal width:
// Σ n_b/n |accuracy_b − confidence_b|, confidence = largest probability, bin b holds
// (b/bins, (b+1)/bins], and 0 belongs to the first.
func ECE(truth []int, p [][]float64, bins int) float64 {
	hits, confidence := make([]float64, bins), make([]float64, bins)
	for i, y := range truth {
		best := argmax(p[i])
		c := p[i][best]
		b := min(max(int(math.Ceil(c*float64(bins)))-1, 0), bins-1)
		confidence[b] += c
		if best == y {
			hits[b]++
		}
	}
	var sum float64
	for b := range bins {
		sum += math.Abs(hits[b] - confidence[b])
	}
	return sum / float64(len(truth))
}

// argmax returns the index of the largest value, the first of equals.
func argmax(v []float64) int {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return best
}
