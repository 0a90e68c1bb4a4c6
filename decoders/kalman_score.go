package decoders

import "math"

// RMSE is the root mean square difference over all rows and columns.
func RMSE(got, want [][]float64) float64 {
	s, n := 0.0, 0
	for t := range want {
		for i, v := range want[t] {
			e := got[t][i] - v
			s += float64(e * e)
			n++
		}
	}
	return math.Sqrt(s / float64(max(1, n)))
}

// NRMSE is RMSE divided by the root mean square of the truth: always answering zero
// scores 1. It is 0 when the truth is zero everywhere.
func NRMSE(got, want [][]float64) float64 {
	s, n := 0.0, 0
	for t := range want {
		for _, v := range want[t] {
			s += float64(v * v)
			n++
		}
	}
	if s == 0 {
		return 0
	}
	return RMSE(got, want) / math.Sqrt(s/float64(n))
}

// AngularError returns the angle between two planar vectors, 0 to π; the angle of a
// zero vector counts as 0 (atan2), so also look at fast samples alone.
func AngularError(a, b []float64) float64 {
	d := math.Abs(math.Atan2(a[1], a[0]) - math.Atan2(b[1], b[0]))
	return min(d, 2*math.Pi-d)
}

// MAAE is the mean absolute angular error of planar vectors, in radians.
func MAAE(got, want [][]float64) float64 {
	s := 0.0
	for t := range want {
		s += AngularError(got[t], want[t])
	}
	return s / float64(max(1, len(want)))
}

// R2 is the share of variance explained, per column.
func R2(got, want [][]float64) []float64 {
	mean := columnMeans(want)
	out := make([]float64, len(mean))
	for i := range out {
		res, tot := 0.0, 0.0
		for t := range want {
			e, d := want[t][i]-got[t][i], want[t][i]-mean[i]
			res += float64(e * e)
			tot += float64(d * d)
		}
		if tot > 0 {
			out[i] = 1 - res/tot
		}
	}
	return out
}

// Correlation is Pearson's coefficient per column; 0 for a constant column.
func Correlation(got, want [][]float64) []float64 {
	mg, mw := columnMeans(got), columnMeans(want)
	out := make([]float64, len(mw))
	for i := range out {
		var gg, ww, gw float64
		for t := range want {
			g, w := got[t][i]-mg[i], want[t][i]-mw[i]
			gg += float64(g * g)
			ww += float64(w * w)
			gw += float64(g * w)
		}
		if gg > 0 && ww > 0 {
			out[i] = gw / math.Sqrt(gg*ww)
		}
	}
	return out
}
