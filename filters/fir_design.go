package filters

import (
	"errors"
	"fmt"
	"math"
	"math/cmplx"

	"gonum.org/v1/gonum/dsp/fourier"
	"gonum.org/v1/gonum/mat"

	"neurostream/stream/taper"
)

// maxTaps bounds the length of a filter: 2 s at 30 kHz.
const maxTaps = 1 << 16

// WindowMethod designs a linear-phase filter: the impulse response of an ideal filter
// with steps at the cut-off frequencies (Hz, ascending), times a symmetric window,
//
//	h[n] = w[n] Σ over pass bands (f2 sinc(f2 m) − f1 sinc(f1 m)),  m = n − (taps−1)/2
//
// scaled to gain 1 at 0, at half the rate, or at the centre of the first pass band,
// whichever passes. passZero says whether 0 Hz passes. The gain at a cut-off is 1/2
// (-6 dB). This is SciPy's firwin.
func WindowMethod(window []float64, passZero bool, rate float64, cutoff ...float64) ([]float64, error) {
	taps := len(window)
	if err := checkTaps(taps); err != nil {
		return nil, err
	}
	if len(cutoff) == 0 {
		return nil, errors.New("a filter needs at least one cut-off frequency")
	}
	if !(rate > 0) || math.IsInf(rate, 0) {
		return nil, fmt.Errorf("a filter needs a regular sampling rate, not %v Hz", rate)
	}
	edges := make([]float64, 0, len(cutoff)+2) // in units of half the rate
	if passZero {
		edges = append(edges, 0)
	}
	for i, f := range cutoff {
		if err := checkCutoff(LowPass, rate, []float64{f}); err != nil {
			return nil, err
		}
		if i > 0 && f <= cutoff[i-1] {
			return nil, fmt.Errorf("cut-off %v Hz must be above %v Hz", f, cutoff[i-1])
		}
		edges = append(edges, f/(rate/2))
	}
	if len(edges)%2 == 1 {
		edges = append(edges, 1)
		if taps%2 == 0 {
			return nil, fmt.Errorf("%d taps always stop half the rate, which this filter should pass; give an odd number", taps)
		}
	}
	h, gain := make([]float64, taps), 0.0
	at := (edges[0] + edges[1]) / 2
	if edges[0] == 0 {
		at = 0
	} else if edges[1] == 1 {
		at = 1
	}
	for n := range h {
		m := float64(n) - float64(taps-1)/2
		for i := 0; i < len(edges); i += 2 {
			h[n] += edges[i+1]*sinc(edges[i+1]*m) - edges[i]*sinc(edges[i]*m)
		}
		h[n] *= window[n]
		gain += h[n] * math.Cos(math.Pi*m*at)
	}
	for n := range h {
		h[n] /= gain
	}
	return h, nil
}

func checkTaps(taps int) error {
	if taps < 1 || taps > maxTaps {
		return fmt.Errorf("%d taps are impossible; allowed are 1 to %d", taps, maxTaps)
	}
	return nil
}

// sinc is sin(πx)/(πx).
func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// KaiserOrder returns the taps and the beta of a Kaiser window that keeps pass and stop
// band within attenuation dB (8 and more) with a transition of width Hz (Kaiser 1974).
func KaiserOrder(attenuation, width, rate float64) (taps int, beta float64, err error) {
	if !(attenuation >= 8 && attenuation <= 300) {
		return 0, 0, fmt.Errorf("attenuation %v dB is impossible with a Kaiser window; allowed are 8 to 300 dB", attenuation)
	}
	if !(rate > 0) || !(width > 0 && width <= rate/2) {
		return 0, 0, fmt.Errorf("a transition of %v Hz is impossible at %v Hz; allowed is above 0 and up to %v Hz", width, rate, rate/2)
	}
	switch {
	case attenuation > 50:
		beta = 0.1102 * (attenuation - 8.7)
	case attenuation > 21:
		beta = 0.5842*math.Pow(attenuation-21, 0.4) + 0.07886*(attenuation-21)
	}
	n := math.Ceil((attenuation-7.95)/2.285/(math.Pi*width/(rate/2)) + 1)
	if n > maxTaps {
		return 0, 0, fmt.Errorf("a transition of %v Hz at %v Hz needs %.0f taps; the most is %d: widen it, or resample first", width, rate, n, maxTaps)
	}
	return int(n), beta, nil
}

// FrequencySampling designs a linear-phase filter whose gain follows straight lines
// between points (freq in Hz from 0 to half the rate): the inverse transform of the
// gains on a fine grid, times the window. This is SciPy's firwin2.
func FrequencySampling(window []float64, freq, gain []float64, rate float64) ([]float64, error) {
	taps := len(window)
	if err := checkTaps(taps); err != nil {
		return nil, err
	}
	if len(freq) < 2 || len(freq) != len(gain) || freq[0] != 0 || freq[len(freq)-1] != rate/2 {
		return nil, fmt.Errorf("give one gain for every frequency, from 0 to %v Hz (half the rate)", rate/2)
	}
	for i := 1; i < len(freq); i++ {
		if !(freq[i] > freq[i-1]) {
			return nil, fmt.Errorf("frequency %v Hz must be above %v Hz", freq[i], freq[i-1])
		}
	}
	if taps%2 == 0 && gain[len(gain)-1] != 0 {
		return nil, fmt.Errorf("%d taps always stop half the rate, so the last gain must be 0; give an odd number", taps)
	}
	grid := 1
	for grid < taps {
		grid *= 2
	}
	h := make([]float64, taps)
	for k := 0; k <= grid; k++ {
		x := rate / 2 * float64(k) / float64(grid)
		i := 1
		for i < len(freq)-1 && x > freq[i] {
			i++
		}
		g := gain[i-1] + (gain[i]-gain[i-1])*(x-freq[i-1])/(freq[i]-freq[i-1])
		if k > 0 && k < grid {
			g *= 2
		}
		for n := range h {
			h[n] += g * math.Cos(math.Pi*float64(k)/float64(grid)*(float64(n)-float64(taps-1)/2))
		}
	}
	for n := range h {
		h[n] *= window[n] / float64(2*grid)
	}
	return h, nil
}

// LeastSquares designs a linear-phase filter of an odd number of taps whose gain
// differs least, in the mean square over the bands, from straight lines. bands are
// pairs of edges (Hz, ascending), desired the gains at these edges; between bands
// anything goes. This is SciPy's firls with equal weights.
//
// With A(f) = Σ a_n cos(πfn), n = 0..M, the normal equations are
// Σ_j a_j ∫ 2 cos(πfi) cos(πfj) df = ∫ D(f) cos(πfi) df over all bands.
func LeastSquares(taps int, bands, desired []float64, rate float64) ([]float64, error) {
	if err := checkTaps(taps); err != nil {
		return nil, err
	}
	if taps%2 == 0 {
		return nil, fmt.Errorf("least squares takes an odd number of taps, not %d", taps)
	}
	if taps > 4095 {
		return nil, fmt.Errorf("least squares with %d taps takes too long; the most is 4095: use the window method", taps)
	}
	if len(bands) < 2 || len(bands)%2 != 0 || len(bands) != len(desired) {
		return nil, errors.New("bands are pairs of edges with a gain for each edge")
	}
	f := make([]float64, len(bands))
	for i, b := range bands {
		f[i] = b / (rate / 2)
		if !(f[i] >= 0 && f[i] <= 1) || i%2 == 1 && f[i] <= f[i-1] || i > 0 && f[i] < f[i-1] {
			return nil, fmt.Errorf("bands %v Hz must ascend between 0 and %v Hz (half the rate)", bands, rate/2)
		}
	}
	m := (taps - 1) / 2
	q := make([]float64, taps) // ∫ cos(πfn) df
	for n := range q {
		for i := 0; i < len(f); i += 2 {
			q[n] += f[i+1]*sinc(f[i+1]*float64(n)) - f[i]*sinc(f[i]*float64(n))
		}
	}
	a, b := mat.NewSymDense(m+1, nil), mat.NewVecDense(m+1, nil)
	for i := range m + 1 {
		for j := i; j <= m; j++ {
			a.SetSym(i, j, q[j-i]+q[i+j])
		}
		sum := 0.0
		for k := 0; k < len(f); k += 2 {
			slope := (desired[k+1] - desired[k]) / (f[k+1] - f[k])
			at0 := desired[k] - slope*f[k]
			integral := func(x float64) float64 {
				if i == 0 {
					return x*at0 + slope*x*x/2
				}
				n := math.Pi * float64(i)
				return x*(at0+slope*x)*sinc(x*float64(i)) + slope*math.Cos(n*x)/(n*n)
			}
			sum += integral(f[k+1]) - integral(f[k])
		}
		b.SetVec(i, sum)
	}
	var c mat.Cholesky
	var x mat.VecDense
	if !c.Factorize(a) || c.SolveVecTo(&x, b) != nil && c.Cond() > 1e15 {
		return nil, fmt.Errorf("%d taps with these bands have no unique least-squares solution; take fewer taps or narrower gaps between the bands", taps)
	}
	h := make([]float64, taps)
	h[m] = 2 * x.AtVec(0)
	for n := 1; n <= m; n++ {
		h[m-n], h[m+n] = x.AtVec(n), x.AtVec(n)
	}
	return h, nil
}

// MinimumPhase turns a linear-phase filter into one with the same gain and the least
// delay there is, of the same length: the logarithm of the gain is made causal in the
// cepstrum (Oppenheim and Schafer, Discrete-time signal processing, ch. 13). Phase is
// then no longer linear.
func MinimumPhase(h []float64) []float64 {
	return homomorphic(h, 1, len(h))
}

// HalfMinimumPhase returns the minimum-phase filter with the square root of the gain
// and half the length, as SciPy's minimum_phase(half=True): "homomorphic", or
// "hilbert" (Damera-Venkata and Evans 2000), which suits equiripple prototypes.
func HalfMinimumPhase(h []float64, method string) ([]float64, error) {
	length := len(h)/2 + len(h)%2
	switch method {
	case "homomorphic":
		return homomorphic(h, 0.5, length), nil
	case "hilbert":
		return hilbertPhase(h)[:length], nil
	}
	return nil, fmt.Errorf("there is no method %q; known are homomorphic and hilbert", method)
}

// phaseGrid is the transform length of the minimum-phase methods, SciPy's rule.
func phaseGrid(taps int) int {
	n := 1
	for float64(n) < 2*float64(taps-1)/0.01 || n < 8 {
		n *= 2
	}
	return n
}

func spectrum(h []float64, n int) []complex128 {
	x := make([]complex128, n)
	for i, v := range h {
		x[i] = complex(v, 0)
	}
	return fourier.NewCmplxFFT(n).Coefficients(x, x)
}

// inverse is the real part of the inverse transform.
func inverse(x []complex128) []float64 {
	y := fourier.NewCmplxFFT(len(x)).Sequence(nil, x)
	out := make([]float64, len(y))
	for i := range y {
		out[i] = real(y[i]) / float64(len(y))
	}
	return out
}

func homomorphic(h []float64, power float64, length int) []float64 {
	n := phaseGrid(len(h))
	x := spectrum(h, n)
	least := math.Inf(1)
	for _, v := range x {
		if a := cmplx.Abs(v); a > 0 {
			least = min(least, a)
		}
	}
	for i, v := range x { // the smallest gain keeps the logarithm finite
		x[i] = complex(power*math.Log(cmplx.Abs(v)+1e-7*least), 0)
	}
	cepstrum := inverse(x)
	end := n / 2
	if power < 1 { // SciPy's fold ends at half the prototype
		end = (len(h) + 1) / 2
	}
	for i := 1; i < n; i++ {
		switch {
		case i < end:
			cepstrum[i] *= 2
		case i > end || power < 1 && len(h)%2 == 0:
			cepstrum[i] = 0
		}
	}
	x = spectrum(cepstrum, n)
	for i := range x {
		x[i] = cmplx.Exp(x[i])
	}
	return inverse(x)[:length]
}

func hilbertPhase(h []float64) []float64 {
	n := phaseGrid(len(h))
	x := spectrum(h, n)
	gain := make([]float64, n) // of the filter without its delay: real, with ripple around 1 and 0
	top, bottom := math.Inf(-1), math.Inf(1)
	for i := range x {
		gain[i] = real(x[i] * cmplx.Rect(1, 2*math.Pi/float64(n)*float64(i)*float64(len(h)/2)))
		top, bottom = max(top, gain[i]), min(bottom, gain[i])
	}
	over, under := top-1, -bottom
	scale := math.Sqrt(1+over+under) + math.Sqrt(1-over+under)
	scale = 4 / (scale * scale)
	logs := make([]complex128, n)
	for i := range gain { // lifted to be positive, then the square root of it
		gain[i] = math.Sqrt(max(0, scale*(gain[i]+under))) + 1e-10
		logs[i] = complex(math.Log(gain[i]), 0)
	}
	cepstrum := fourier.NewCmplxFFT(n).Sequence(nil, logs)
	for i := range cepstrum { // the Hilbert transform of the logarithm is the phase
		switch c := cepstrum[i] / complex(float64(n), 0); {
		case i == 0 || i == n/2:
			cepstrum[i] = 0
		case i < n/2:
			cepstrum[i] = c
		default:
			cepstrum[i] = -c
		}
	}
	phase := fourier.NewCmplxFFT(n).Coefficients(nil, cepstrum)
	for i := range phase {
		phase[i] = complex(gain[i], 0) * cmplx.Exp(phase[i])
	}
	return inverse(phase)
}

// windowFor returns a symmetric window by name; beta is Kaiser's.
func windowFor(name string, taps int, beta float64) ([]float64, error) {
	if name == "kaiser" {
		return taper.ByName(name, taps, taper.Symmetric, beta)
	}
	return taper.ByName(name, taps, taper.Symmetric)
}
