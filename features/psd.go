package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// PSD is the one-sided power spectral density of every channel (see Welch), a row per
// channel and bin, labelled "psd C3 10 Hz".
type PSD struct {
	Welch     Welch
	Low, High float64 // Hz, both included; zero High = Nyquist
	Scale     string  // "linear" (default), "log" (natural) or "db" (10 log10)
	Spectrum  bool    // |X|^2/(sum w)^2, in the unit squared: the power of a sine reads its value
	TwoSided  bool    // do not fold negative frequencies in

	d      *density
	lo, hi int
	gain   float64
}

// Open implements Extractor.
func (x *PSD) Open(p *Plan) ([]Row, error) {
	var err error
	if x.d, err = p.density(x.Welch); err != nil {
		return nil, err
	}
	s := x.d.s
	if x.lo, x.hi, err = binRange(s, x.Low, x.High); err != nil {
		return nil, err
	}
	x.d.want(x.lo, x.hi)
	unit := p.squared()
	x.gain = 1
	if x.Spectrum {
		var sum float64
		for _, v := range s.window {
			sum += v
		}
		x.gain = 1 / (s.scale * sum * sum)
	} else {
		unit += "/Hz"
	}
	if unit, err = scaledUnit(x.Scale, unit); err != nil {
		return nil, err
	}
	return p.binRows("psd", unit, s, x.lo, x.hi), nil
}

// scaledUnit returns the unit of a scaled power.
func scaledUnit(scale, unit string) (string, error) {
	switch scale {
	case "", "linear":
		return unit, nil
	case "log":
		return "ln " + unit, nil
	case "db":
		return "dB " + unit, nil
	}
	return "", fmt.Errorf("scale: %q; known are linear, log and db", scale)
}

// scaled applies a scale to a power.
func scaled(scale string, v float64) float64 {
	switch scale {
	case "log":
		return math.Log(max(v, floorPower))
	case "db":
		return 10 * math.Log10(max(v, floorPower))
	}
	return v
}

// binRange returns the bins from low to high Hz, both included.
func binRange(s *spectra, low, high float64) (lo, hi int, err error) {
	if high == 0 {
		high = s.rate / 2
	}
	if !(low >= 0) || !(high >= low) || high > s.rate/2*1.0000001 {
		return 0, 0, fmt.Errorf("range: %v to %v Hz; at %v Hz it lies between 0 and %v Hz", low, high, s.rate, s.rate/2)
	}
	lo = int(math.Ceil(low/s.width() - 1e-9))
	hi = min(int(math.Floor(high/s.width()+1e-9))+1, s.points/2+1)
	if lo >= hi {
		return 0, 0, fmt.Errorf("range: no bin between %v and %v Hz, bins are %.4g Hz apart", low, high, s.width())
	}
	return lo, hi, nil
}

// binRows names a row per channel and bin, channel by channel.
func (p *Plan) binRows(kind, unit string, s *spectra, lo, hi int) []Row {
	rows := make([]Row, 0, p.In.Rows()*(hi-lo))
	for i, c := range p.In.Channels {
		for b := lo; b < hi; b++ {
			rows = append(rows, Row{Channel: stream.Channel{Label: fmt.Sprintf("%s %s %.6g Hz", kind, c.Label, s.hz(b)), Unit: unit, Type: "feature", Position: c.Position, Placed: c.Placed}, From: []int{i}})
		}
	}
	return rows
}

// Extract implements Extractor.
func (x *PSD) Extract(out Out, e *Epoch) {
	x.d.of(e)
	s, n, plain := x.d.s, x.hi-x.lo, x.Scale == "" || x.Scale == "linear"
	for ch := range e.Rows() {
		p, l := x.d.tile(ch / stream.Lanes)[x.lo-x.d.lo:], ch%stream.Lanes
		to := out.Values[ch*n : (ch+1)*n]
		var odd float64 // not 0 when a value overflowed
		for b := range to {
			v := p[b][l] * x.gain
			if x.TwoSided && s.factor(x.lo+b) != s.scale {
				v /= 2
			}
			if !plain {
				v = scaled(x.Scale, v)
			}
			to[b] = v
			odd += v - v
		}
		for b := 0; odd != 0 && b < n; b++ {
			out.Set(ch*n+b, to[b])
		}
	}
}

// Spectrum is the transform of the whole window, a row per channel and bin: the columns
// of a spectrogram are the windows.
//
// Modes: "magnitude" |X|, "phase" arg X in radians, "complex" a row for the real and
// one for the imaginary part. X is divided by sqrt(fs sum w^2) ("density", default) or
// by sum w ("amplitude"). Phase refers to the oldest sample of the window. Powers are
// PSD's with one segment.
type Spectrum struct {
	Low, High float64 // Hz, both included; zero High = Nyquist
	Mode      string  // "magnitude" (default), "phase" or "complex"
	Scaling   string  // "density" (default) or "amplitude"
	Window    string  // "hann" (default) or any name that taper.Names lists
	Detrend   string  // "constant" (default), "linear" or "none"

	s      *spectra
	lo, hi int
	gain   float64
}

// Open implements Extractor.
func (x *Spectrum) Open(p *Plan) ([]Row, error) {
	var err error
	if x.s, err = p.spectra(Welch{Segment: p.Seconds(p.Length), Window: x.Window, Detrend: x.Detrend}); err != nil {
		return nil, err
	}
	if x.lo, x.hi, err = binRange(x.s, x.Low, x.High); err != nil {
		return nil, err
	}
	x.s.wantCross(x.lo, x.hi)
	unit := p.unit()
	switch x.Scaling {
	case "", "density":
		x.gain = math.Sqrt(x.s.scale)
		unit += "/sqrt(Hz)"
	case "amplitude":
		var sum float64
		for _, v := range x.s.window {
			sum += v
		}
		x.gain = 1 / sum
	default:
		return nil, fmt.Errorf("scaling: %q; known are density and amplitude", x.Scaling)
	}
	switch x.Mode {
	case "", "magnitude":
		return p.binRows("magnitude", unit, x.s, x.lo, x.hi), nil
	case "phase":
		return p.binRows("phase", "rad", x.s, x.lo, x.hi), nil
	case "complex":
		return append(p.binRows("real", unit, x.s, x.lo, x.hi), p.binRows("imaginary", unit, x.s, x.lo, x.hi)...), nil
	}
	return nil, fmt.Errorf("mode: %q; known are magnitude, phase and complex", x.Mode)
}

// Extract implements Extractor.
func (x *Spectrum) Extract(out Out, e *Epoch) {
	x.s.of(e)
	n := x.hi - x.lo
	for ch := range e.Rows() {
		bins, l := x.s.spectrum(x.s.slots[0], ch/stream.Lanes)[2*(x.lo-x.s.cLo):], ch%stream.Lanes
		for b := range n {
			re, im := bins[2*b][l]*x.gain, bins[2*b+1][l]*x.gain
			row := ch*n + b
			switch x.Mode {
			case "phase":
				out.Set(row, math.Atan2(im, re))
				if re == 0 && im == 0 {
					out.Bad[row] = true
				}
			case "complex":
				out.Set(row, re)
				out.Set(e.Rows()*n+row, im)
			default:
				out.Set(row, math.Hypot(re, im))
			}
		}
	}
}
