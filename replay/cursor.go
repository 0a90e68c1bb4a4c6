package replay

import "math"

// FittsIndex is the index of difficulty in bits, log2(D/W + 1): distance to the
// target over its effective width, which is its diameter plus that of the cursor's
// reach (MacKenzie 1992). Throughput is this over the movement's seconds.
func FittsIndex(distance, width float64) float64 { return math.Log2(distance/width + 1) }

// FittsLine fits seconds = intercept + slope × index by least squares: what a bit of
// difficulty costs, and what every movement costs. NaN when all indices are equal.
func FittsLine(index, seconds []float64) (slope, intercept float64) {
	mi, ms := 0.0, 0.0
	for i := range index {
		mi += index[i] / float64(len(index))
		ms += seconds[i] / float64(len(index))
	}
	sxy, sxx := 0.0, 0.0
	for i := range index {
		d := index[i] - mi
		sxy += float64(d * (seconds[i] - ms))
		sxx += float64(d * d)
	}
	slope = sxy / sxx
	return slope, ms - slope*mi
}

// AchievedBitRate is the bits per second of choosing among n targets, each wrong
// choice undoing a right one (Nuyujukian et al. 2015): log2(n-1) max(right-wrong, 0)/s.
func AchievedBitRate(n, right, wrong int, seconds float64) float64 {
	return math.Log2(float64(n-1)) * float64(max(right-wrong, 0)) / seconds
}
