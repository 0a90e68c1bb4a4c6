// Package taper makes window functions: what a stretch of signal is multiplied by
// before its spectrum is taken, and what cuts an ideal filter's response short.
//
//	taper.Hann(256, taper.Periodic) ─► 256 weights ─► spectra, FIR design
//
// Symmetric windows serve filter design. Periodic ones, which are symmetric windows
// one longer without their last sample, serve spectra; this is SciPy's convention.
// A window of one sample is 1, of none empty; negative lengths panic.
package taper

import (
	"fmt"
	"math"
	"sort"
	"strings"
)

// Form says how a window repeats.
type Form bool

// The two forms of a window.
const (
	Symmetric Form = false // first and last sample are equal
	Periodic  Form = true  // repeats smoothly with period n
)

// cosines returns sum_k (-1)^k a[k] cos(2 pi k i/(m-1)): the generalised cosine windows.
func cosines(n int, f Form, a ...float64) []float64 {
	return sample(n, f, func(i, m float64) float64 {
		x := 2 * math.Pi * i / (m - 1)
		v, sign := 0.0, 1.0
		for k, c := range a {
			v += sign * c * math.Cos(float64(k)*x)
			sign = -sign
		}
		return v
	})
}

// sample evaluates w(i, m) for i = 0..n-1, where m is the length of the symmetric window.
func sample(n int, f Form, w func(i, m float64) float64) []float64 {
	if n < 0 {
		panic(fmt.Sprintf("taper: window of %d samples", n))
	}
	out := make([]float64, n)
	if n == 1 {
		out[0] = 1
		return out
	}
	m := n
	if f == Periodic {
		m++
	}
	for i := range out { // mirrored, so that symmetry is exact
		out[i] = w(float64(min(i, m-1-i)), float64(m))
	}
	return out
}

// Boxcar is 1 everywhere.
func Boxcar(n int, f Form) []float64 {
	return sample(n, f, func(_, _ float64) float64 { return 1 })
}

// Hann is 0.5 − 0.5 cos(2πi/(m−1)); side lobes −31 dB.
func Hann(n int, f Form) []float64 { return cosines(n, f, 0.5, 0.5) }

// Hamming is 0.54 − 0.46 cos(2πi/(m−1)); side lobes −43 dB.
func Hamming(n int, f Form) []float64 { return cosines(n, f, 0.54, 0.46) }

// Blackman has side lobes of −58 dB.
func Blackman(n int, f Form) []float64 { return cosines(n, f, 0.42, 0.5, 0.08) }

// BlackmanHarris is the four-term window with side lobes of −92 dB (Harris 1978).
func BlackmanHarris(n int, f Form) []float64 {
	return cosines(n, f, 0.35875, 0.48829, 0.14128, 0.01168)
}

// Nuttall is the four-term window with a continuous first derivative, −93 dB (Nuttall 1981).
func Nuttall(n int, f Form) []float64 {
	return cosines(n, f, 0.3635819, 0.4891775, 0.1365995, 0.0106411)
}

// FlatTop measures amplitudes: its main lobe is flat within 0.01 dB.
func FlatTop(n int, f Form) []float64 {
	return cosines(n, f, 0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368)
}

// Bartlett is the triangle that is 0 at both ends.
func Bartlett(n int, f Form) []float64 {
	return sample(n, f, func(i, m float64) float64 { return 2 * i / (m - 1) })
}

// Cosine is sin(π(i+1/2)/m).
func Cosine(n int, f Form) []float64 {
	return sample(n, f, func(i, m float64) float64 { return math.Sin(math.Pi / m * (i + 0.5)) })
}

// Tukey is flat but for a share alpha (0 to 1) of cosine slopes.
func Tukey(n int, f Form, alpha float64) []float64 {
	if !(alpha > 0) {
		return Boxcar(n, f)
	}
	if alpha >= 1 {
		return Hann(n, f)
	}
	return sample(n, f, func(i, m float64) float64 {
		if i > math.Floor(alpha*(m-1)/2) {
			return 1
		}
		return 0.5 * (1 + math.Cos(math.Pi*(-1+2*i/alpha/(m-1))))
	})
}

// Kaiser is I0(β√(1−x²))/I0(β), x from −1 to 1; β trades main lobe for side lobes.
func Kaiser(n int, f Form, beta float64) []float64 {
	scale := 1 / besselI0(beta)
	return sample(n, f, func(i, m float64) float64 {
		x := 2*i/(m-1) - 1
		return besselI0(beta*math.Sqrt(max(0, 1-x*x))) * scale
	})
}

// Gaussian has a standard deviation of sd samples.
func Gaussian(n int, f Form, sd float64) []float64 {
	return sample(n, f, func(i, m float64) float64 {
		x := (i - (m-1)/2) / sd
		return math.Exp(-0.5 * x * x)
	})
}

// besselI0 is the modified Bessel function of order 0: sum of ((x/2)^k/k!)², whose
// terms are positive, so it is exact to rounding.
func besselI0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-17; k++ {
		term *= (x / 2 / k) * (x / 2 / k)
		sum += term
	}
	return sum
}

// family is a window by name, with the parameter it wants ("" = none).
type family struct {
	param   string
	initial float64
	make    func(n int, f Form, p float64) []float64
}

func plain(w func(int, Form) []float64) family {
	return family{make: func(n int, f Form, _ float64) []float64 { return w(n, f) }}
}

var families = map[string]family{
	"boxcar": plain(Boxcar), "hann": plain(Hann), "hamming": plain(Hamming), "blackman": plain(Blackman),
	"blackmanharris": plain(BlackmanHarris), "nuttall": plain(Nuttall), "flattop": plain(FlatTop),
	"bartlett": plain(Bartlett), "cosine": plain(Cosine),
	"tukey":    {"the share of slopes", 0.5, Tukey},
	"kaiser":   {"beta", 8.6, Kaiser},
	"gaussian": {"the standard deviation in samples", 0, Gaussian},
}

// Names lists the windows ByName knows, sorted.
func Names() []string {
	out := make([]string, 0, len(families))
	for n := range families {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// ByName returns a window by SciPy's name. tukey takes the share of slopes (default
// 0.5), kaiser beta (8.6), gaussian the standard deviation in samples (n/6).
func ByName(name string, n int, f Form, param ...float64) ([]float64, error) {
	w, ok := families[name]
	if !ok {
		return nil, fmt.Errorf("there is no window %q; known are %s", name, strings.Join(Names(), ", "))
	}
	if n < 0 {
		return nil, fmt.Errorf("a window of %d samples is impossible", n)
	}
	p := w.initial
	if name == "gaussian" {
		p = max(float64(n)/6, 0.5)
	}
	switch {
	case len(param) > 0 && w.param == "":
		return nil, fmt.Errorf("the window %s takes no parameter", name)
	case len(param) > 1:
		return nil, fmt.Errorf("the window %s takes one parameter: %s", name, w.param)
	case len(param) == 1:
		p = param[0]
	}
	if !(p >= 0) || math.IsInf(p, 0) || name == "gaussian" && p == 0 || name == "tukey" && p > 1 || name == "kaiser" && p > 500 {
		return nil, fmt.Errorf("the window %s cannot have %v as %s", name, p, w.param)
	}
	return w.make(n, f, p), nil
}
