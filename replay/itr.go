package replay

import "math"

// Wolpaw returns the bits per selection of N equally likely choices, picked right with
// probability p, errors spread evenly (Wolpaw et al. 2000):
//
//	B = log2 N + p log2 p + (1−p) log2((1−p)/(N−1))
//
// It is 0 at chance and below, where the formula would rise again; see WolpawRaw.
func Wolpaw(classes int, p float64) float64 {
	if p <= 1/float64(classes) {
		return 0
	}
	return WolpawRaw(classes, p)
}

// WolpawRaw is the formula without the clip.
func WolpawRaw(classes int, p float64) float64 {
	n := float64(classes)
	return math.Log2(n) + xlog2(p, p) + xlog2(1-p, (1-p)/(n-1))
}

// xlog2 returns x log2 y, and 0 when x is 0.
func xlog2(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log2(y)
}

// BitsPerMinute turns bits per selection into a rate. seconds is one whole selection:
// from the cue or the previous selection to the command, plus dead time. The step of
// overlapping windows is not a selection.
func BitsPerMinute(bits, seconds float64) float64 { return 60 * bits / seconds }

// MutualInformation returns what a decision tells about the truth, in bits, with the
// classes as frequent as they were: Σ p_ij log2(p_ij/(p_i. p_.j)). The estimate is high
// by about (K−1)²/(2 n ln 2) for n decisions; see MillerMadow.
func (c Confusion) MutualInformation() float64 {
	s := float64(c.Total())
	joint := make([][]float64, len(c))
	for i, row := range c {
		joint[i] = make([]float64, len(row))
		for j, n := range row {
			joint[i][j] = float64(n) / s
		}
	}
	return mutualInformation(joint)
}

// MutualInformationUniform is the same as if all classes that occurred were equally
// frequent.
func (c Confusion) MutualInformationUniform() float64 {
	channel := c.channel()
	for i := range channel {
		for j := range channel[i] {
			channel[i][j] /= float64(len(channel))
		}
	}
	return mutualInformation(channel)
}

// channel returns p(decision | class), one row per class that occurred.
func (c Confusion) channel() [][]float64 {
	t, _ := c.margins()
	var out [][]float64
	for i, row := range c {
		if t[i] == 0 {
			continue
		}
		q := make([]float64, len(row))
		for j, n := range row {
			q[j] = float64(n) / t[i]
		}
		out = append(out, q)
	}
	return out
}

func mutualInformation(joint [][]float64) float64 {
	if len(joint) == 0 {
		return 0
	}
	in, out := make([]float64, len(joint)), make([]float64, len(joint[0]))
	for i, row := range joint {
		for j, p := range row {
			in[i] += p
			out[j] += p
		}
	}
	var bits float64
	for i, row := range joint {
		for j, p := range row {
			if p > 0 {
				bits += p * math.Log2(p/(in[i]*out[j]))
			}
		}
	}
	return max(0, bits)
}

// MillerMadow returns the bias of the estimated mutual information, to be subtracted:
// (K−1)²/(2 n ln 2) bits (Miller 1955).
func (c Confusion) MillerMadow() float64 {
	k := float64(len(c))
	return (k - 1) * (k - 1) / (2 * float64(c.Total()) * math.Ln2)
}

// Capacity returns the most bits per selection any use of the classes could carry over
// these decisions, and the class frequencies that reach it (Blahut 1972, Arimoto 1972;
// to 1e-12 bits or 100 000 rounds). Classes that never occurred get 0.
func (c Confusion) Capacity() (bits float64, prior []float64) {
	channel := c.channel()
	prior = make([]float64, len(c))
	if len(channel) == 0 {
		return 0, prior
	}
	p := make([]float64, len(channel))
	for i := range p {
		p[i] = 1 / float64(len(p))
	}
	d := make([]float64, len(p))
	for range 100_000 {
		out := make([]float64, len(c))
		for i, row := range channel {
			for j, q := range row {
				out[j] += p[i] * q
			}
		}
		var sum, worst float64
		for i, row := range channel {
			d[i] = 0
			for j, q := range row {
				if q > 0 {
					d[i] += q * math.Log(q/out[j])
				}
			}
			worst = max(worst, d[i])
			sum += p[i] * math.Exp(d[i])
		}
		for i := range p {
			p[i] *= math.Exp(d[i]) / sum
		}
		bits = math.Log2(sum)
		if worst-math.Log(sum) < 1e-12*math.Ln2 {
			break
		}
	}
	k := 0
	t, _ := c.margins()
	for i := range prior {
		if t[i] > 0 {
			prior[i] = p[k]
			k++
		}
	}
	return max(0, bits), prior
}
