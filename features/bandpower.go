package features

import (
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Band is a range of frequencies, Low <= f < High, in Hz.
type Band struct {
	Name      string // optional; "alpha" makes the row "power C3 alpha"
	Low, High float64
}

func (b Band) label() string {
	if b.Name != "" {
		return b.Name
	}
	return fmt.Sprintf("%g-%g Hz", b.Low, b.High)
}

// bins returns the bins lo to hi-1 of a band, closed at High when closed is set.
func (b Band) bins(s *spectra, closed bool) (lo, hi int, err error) {
	nyquist := s.rate / 2
	switch {
	case !(b.Low >= 0) || !(b.High > b.Low):
		return 0, 0, fmt.Errorf("band %s: %v to %v Hz; the lower edge is 0 or more and below the upper one", b.label(), b.Low, b.High)
	case b.Low >= nyquist || b.High > nyquist*1.0000001:
		return 0, 0, fmt.Errorf("band %s: reaches %v Hz; at %v Hz a band ends at %v Hz or below", b.label(), b.High, s.rate, nyquist)
	}
	width := s.width()
	lo = int(math.Ceil(b.Low/width - 1e-9))
	hi = int(math.Ceil(b.High/width - 1e-9))
	if closed {
		hi = int(math.Floor(b.High/width+1e-9)) + 1
	}
	hi = min(hi, s.points/2+1)
	if lo >= hi {
		return 0, 0, fmt.Errorf("band %s: no bin between %v and %v Hz, bins are %.4g Hz apart; a segment of at least %.3g s has one", b.label(), b.Low, b.High, width, 1/(b.High-b.Low))
	}
	if b.Low > 0 && s.seconds*b.Low < 2-1e-9 {
		return 0, 0, fmt.Errorf("band %s: a window of %.4g s holds less than two periods of %v Hz; it needs at least %.4g s", b.label(), s.seconds, b.Low, 2/b.Low)
	}
	return lo, hi, nil
}

// BandPower is the power of every channel in every band, from Welch's densities.
//
//	sum     df * sum of P(f), Low <= f < High: bands that touch tile the spectrum
//	trapz   trapezoidal rule over Low <= f <= High
//	simpson Simpson's rule over Low <= f <= High (an even number of points: the mean of
//	        the two ways to close with a trapezoid)
//
// Rows are labelled "power C3 8-13 Hz" ("relative-power ..." with Relative), channel by
// channel within a band. A power of zero gives the floor 1e-20, marked. Cost: one
// addition per bin and segment beyond the shared spectra.
type BandPower struct {
	Bands    []Band
	Welch    Welch
	Method   string // "sum" (default), "trapz" or "simpson"
	Scale    string // "log" (natural, default), "db" (10 log10) or "linear"
	Relative bool   // divided by the power in Total, by the same method
	Total    Band   // with Relative; zero = from the lowest to the highest edge of Bands

	d      *density
	ranges [][2]int
	total  [2]int
}

// Open implements Extractor.
func (x *BandPower) Open(p *Plan) ([]Row, error) {
	if len(x.Bands) == 0 {
		return nil, errors.New("bands: none given; name at least one, such as 8 to 13 Hz")
	}
	closed := false
	switch x.Method {
	case "", "sum":
	case "trapz", "simpson":
		closed = true
	default:
		return nil, fmt.Errorf("method: %q; known are sum, trapz and simpson", x.Method)
	}
	unit, kind := p.squared(), "power"
	if x.Relative {
		unit, kind = "", "relative-power"
	}
	switch x.Scale {
	case "", "log":
		unit = "ln " + unit
	case "db":
		unit = "dB " + unit
	case "linear":
	default:
		return nil, fmt.Errorf("scale: %q; known are log, db and linear", x.Scale)
	}
	var err error
	if x.d, err = p.density(x.Welch); err != nil {
		return nil, err
	}
	x.ranges = x.ranges[:0]
	whole := Band{Name: "total", Low: math.Inf(1)}
	var rows []Row
	for _, b := range x.Bands {
		lo, hi, err := b.bins(x.d.s, closed)
		if err != nil {
			return nil, err
		}
		x.d.want(lo, hi)
		x.ranges = append(x.ranges, [2]int{lo, hi})
		whole.Low, whole.High = min(whole.Low, b.Low), max(whole.High, b.High)
		rows = append(rows, p.channelRows(kind, unit, b.label())...)
	}
	if x.Relative {
		if x.Total != (Band{}) {
			whole = x.Total
		}
		lo, hi, err := whole.bins(x.d.s, closed)
		if err != nil {
			return nil, err
		}
		x.total = [2]int{lo, hi}
		x.d.want(lo, hi)
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *BandPower) Extract(out Out, e *Epoch) {
	x.d.of(e)
	c := e.Rows()
	for k := range e.Tiles() {
		p := x.d.tile(k)
		var total vec
		if x.Relative {
			total = integrate(p[x.total[0]-x.d.lo:x.total[1]-x.d.lo], x.d.s.width(), x.Method)
		}
		for b, r := range x.ranges {
			v := integrate(p[r[0]-x.d.lo:r[1]-x.d.lo], x.d.s.width(), x.Method)
			for l := range min(stream.Lanes, c-k*stream.Lanes) {
				row := b*c + k*stream.Lanes + l
				power := v[l]
				if x.Relative {
					if !(total[l] > 0) {
						out.Undefined(row)
						continue
					}
					power /= total[l]
				}
				out.Set(row, x.scale(power))
				if !(power > 0) {
					out.Bad[row] = true
				}
			}
		}
	}
}

func (x *BandPower) scale(power float64) float64 {
	switch x.Scale {
	case "linear":
		return power
	case "db":
		return 10 * math.Log10(max(power, floorPower))
	}
	return math.Log(max(power, floorPower))
}

// integrate returns the integral of successive bins width Hz apart.
func integrate(p []vec, width float64, method string) vec {
	var s vec
	switch {
	case method != "trapz" && method != "simpson":
		s = sumOf(p)
		for l := range s {
			s[l] *= width
		}
	case len(p) < 2:
	case method == "trapz" || len(p) == 2:
		for i := 1; i < len(p); i++ {
			for l := range s {
				s[l] += (p[i-1][l] + p[i][l]) / 2
			}
		}
		for l := range s {
			s[l] *= width
		}
	case len(p)%2 == 1:
		s = simpson(p, width)
	default:
		n := len(p)
		a, b := simpson(p[:n-1], width), simpson(p[1:], width)
		for l := range s {
			a[l] += width * (p[n-2][l] + p[n-1][l]) / 2
			b[l] += width * (p[0][l] + p[1][l]) / 2
			s[l] = (a[l] + b[l]) / 2
		}
	}
	return s
}

// simpson integrates an odd number of points.
func simpson(p []vec, width float64) vec {
	var s vec
	for i := 0; i+2 < len(p); i += 2 {
		for l := range s {
			s[l] += p[i][l] + 4*p[i+1][l] + p[i+2][l]
		}
	}
	for l := range s {
		s[l] *= width / 3
	}
	return s
}
