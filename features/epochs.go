package features

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
	"neurostream/stream/fft"
	"neurostream/stream/taper"
)

// EpochConnectivity answers whether the phase relation of channels is constant from
// trial to trial (Connectivity: from segment to segment within one window). Every Add
// contributes one term per pair and bin, so measures can be read at any time and memory
// does not grow with the trials. It is for maps over trials, not for the sample path.
//
//	S = 2 sum_k l_k conj(X_k) X'_k / sum_k l_k over tapers k (not doubled at 0 and Nyquist)
type EpochConnectivity struct {
	channels, samples int
	rate              float64
	t                 tapers
	plan              *fft.Plan
	lo, hi            int
	n                 float64
	terms             []pairTerms // pairs x bins
	power             []float64   // channels x bins
	tile              []vec
	bins              []vec // tiles x tapers x 2 bins
}

// pairTerms are the running sums of one pair at one bin.
type pairTerms struct{ re, im, ure, uim, lag, abs, squares, sign, n float64 }

// NewEpochConnectivity prepares for epochs of samples at rate Hz, for the bins between
// low and high Hz (both included; high 0 = Nyquist). With a bandwidth the spectra are
// multitaper (see Multitaper), with a negative one they use a single periodic Hann window.
func NewEpochConnectivity(channels, samples int, rate, bandwidth, low, high float64) (*EpochConnectivity, error) {
	if channels < 2 || samples < 2 || !(rate > 0) {
		return nil, fmt.Errorf("%d channels of %d samples at %v Hz; connectivity needs at least two of each and a rate", channels, samples, rate)
	}
	x := &EpochConnectivity{channels: channels, samples: samples, rate: rate}
	var err error
	if bandwidth < 0 {
		x.t = tapers{[][]float64{taper.Hann(samples, taper.Periodic)}, []float64{1}}
	} else if x.t, err = slepian(samples, rate, bandwidth, true); err != nil {
		return nil, err
	}
	if x.lo, x.hi, err = binRange(&spectra{rate: rate, points: samples}, low, high); err != nil {
		return nil, err
	}
	n := x.hi - x.lo
	x.plan = fft.NewPlan(samples)
	x.terms = make([]pairTerms, channels*(channels-1)/2*n)
	x.power = make([]float64, channels*n)
	x.tile = make([]vec, samples)
	x.bins = make([]vec, stream.TilesFor(channels)*len(x.t.rows)*2*n)
	return x, nil
}

// Reset forgets all epochs.
func (x *EpochConnectivity) Reset() {
	x.n = 0
	clear(x.terms)
	clear(x.power)
}

// Epochs returns the number of epochs added.
func (x *EpochConnectivity) Epochs() int { return int(x.n) }

// Freqs returns the frequencies of the bins.
func (x *EpochConnectivity) Freqs() []float64 {
	var f []float64
	for b := x.lo; b < x.hi; b++ {
		f = append(f, float64(b)*x.rate/float64(x.samples))
	}
	return f
}

// Add takes one epoch, channel by channel. Its mean is removed.
func (x *EpochConnectivity) Add(epoch [][]float64) error {
	if len(epoch) != x.channels {
		return fmt.Errorf("an epoch of %d channels; %d were announced", len(epoch), x.channels)
	}
	for ch := range epoch {
		if len(epoch[ch]) != x.samples {
			return fmt.Errorf("an epoch of %d samples; %d were announced", len(epoch[ch]), x.samples)
		}
		for i, v := range epoch[ch] {
			if v-v != 0 {
				return fmt.Errorf("sample %d of channel %d is %v", i, ch+1, v)
			}
		}
	}
	n, k := x.hi-x.lo, len(x.t.rows)
	for tile := range stream.TilesFor(x.channels) {
		clear(x.tile)
		for l := range min(stream.Lanes, x.channels-tile*stream.Lanes) {
			for i, v := range epoch[tile*stream.Lanes+l] {
				x.tile[i][l] = v
			}
		}
		mean := meanOf(x.tile)
		for t, w := range x.t.rows {
			x.plan.Load(x.tile, w, &mean, &vec{})
			at := (tile*k + t) * 2 * n
			x.plan.Transform(x.bins[at:at+2*n], x.lo, x.hi)
		}
	}
	x.n++
	var total float64
	for _, v := range x.t.share {
		total += v
	}
	for b := range n {
		gain := 2 / total
		if x.lo+b == 0 || 2*(x.lo+b) == x.samples {
			gain = 1 / total
		}
		pair := 0
		for i := range x.channels {
			for j := i; j < x.channels; j++ {
				var re, im float64
				for t, w := range x.t.share {
					a, c := x.bin(i, t, b)
					d, e := x.bin(j, t, b)
					re += w * (a*d + c*e)
					im += w * (a*e - c*d)
				}
				re, im = re*gain, im*gain
				if i == j {
					x.power[i*n+b] += re
					continue
				}
				x.terms[pair*n+b].add(re, im)
				pair++
			}
		}
	}
	return nil
}

func (x *EpochConnectivity) bin(ch, taper, b int) (re, im float64) {
	at := ((ch/stream.Lanes*len(x.t.rows) + taper) * (x.hi - x.lo) * 2) + 2*b
	return x.bins[at][ch%stream.Lanes], x.bins[at+1][ch%stream.Lanes]
}

// add takes one cross-spectrum; one without magnitude has no phase and is skipped there.
func (t *pairTerms) add(re, im float64) {
	t.re += re
	t.im += im
	t.lag += im
	t.abs += math.Abs(im)
	t.squares += im * im
	if im > 0 {
		t.sign++
	} else if im < 0 {
		t.sign--
	}
	if m := math.Hypot(re, im); m > 0 {
		t.ure += re / m
		t.uim += im / m
	}
	t.n++
}

func (t *pairTerms) value(kind measureKind, power float64) float64 {
	switch {
	case kind <= laggedCoherence:
		return coherencyMeasure(kind, t.re, t.im, power)
	case kind.needsU():
		return phaseMeasure(kind, t.ure, t.uim, t.n)
	}
	return lagMeasure(kind, t.lag, t.abs, t.squares, t.sign, t.n)
}

// Values returns a measure (see Connectivity) of every pair i < j, row by row of the
// upper triangle, at every bin. It needs at least two epochs.
func (x *EpochConnectivity) Values(measure string) ([][]float64, error) {
	kind := slices.Index(measureNames, measure)
	if kind < 0 {
		return nil, fmt.Errorf("measure: %q; known are %s", measure, strings.Join(measureNames, ", "))
	}
	if x.n < 2 {
		return nil, fmt.Errorf("%.0f epochs; a connectivity over epochs needs at least two", x.n)
	}
	n := x.hi - x.lo
	var out [][]float64
	for i := range x.channels {
		for j := i + 1; j < x.channels; j++ {
			row := make([]float64, n)
			for b := range row {
				row[b] = x.terms[len(out)*n+b].value(measureKind(kind), x.power[i*n+b]*x.power[j*n+b])
			}
			out = append(out, row)
		}
	}
	return out, nil
}
