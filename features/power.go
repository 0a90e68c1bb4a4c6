package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Power is the exponentially forgotten power of every channel, sample by sample,
//
//	s <- s + a (x^2 - s), a = 1 - exp(-1/(Tau fs)), starting at 0,
//
// read at the end of each window. The stream should be band-passed; its delay is about
// Tau. The first window after a start feeds all its samples. A power of zero gives the
// floor, marked.
type Power struct {
	Tau   float64 // s, the time constant
	Scale string  // "log" (natural, default), "db" or "linear"

	a     float64
	state []vec
	next  int64 // column that continues, -1 = none
}

// Open implements Extractor.
func (x *Power) Open(p *Plan) ([]Row, error) {
	if !(x.Tau > 0) || math.IsInf(x.Tau, 0) {
		return nil, fmt.Errorf("tau: %v s; a time constant is positive, such as 0.5 s", x.Tau)
	}
	if p.Hop > p.Length {
		return nil, fmt.Errorf("hop: %v s is longer than the window (%v s); a power that forgets needs every sample", p.Seconds(p.Hop), p.Seconds(p.Length))
	}
	x.a = -math.Expm1(-1 / (x.Tau * p.In.Rate))
	x.state = make([]vec, stream.TilesFor(p.In.Rows()))
	x.Reset()
	scale := x.Scale
	if scale == "" {
		scale = "log"
	}
	u, err := scaledUnit(scale, p.squared())
	if err != nil {
		return nil, err
	}
	return p.channelRows("power", u, ""), nil
}

// Extract implements Extractor.
func (x *Power) Extract(out Out, e *Epoch) {
	from := 0
	if x.next >= 0 {
		from = int(x.next - e.Seq)
	}
	x.next = e.Seq + int64(e.Len)
	scale := x.Scale
	if scale == "" {
		scale = "log"
	}
	for k := range e.Tiles() {
		s := x.state[k]
		for _, v := range e.Tile(k)[from:] {
			for l := range s {
				s[l] += float64(x.a * (float64(v[l]*v[l]) - s[l]))
			}
		}
		for l := range s {
			if s[l] < 1e-200 { // silence decays to denormals, which are slow
				s[l] = 0
			}
		}
		x.state[k] = s
		for l := range min(stream.Lanes, e.Rows()-k*stream.Lanes) {
			row := k*stream.Lanes + l
			out.Set(row, scaled(scale, s[l]))
			if !(s[l] > 0) {
				out.Bad[row] = true
			}
		}
	}
}

// Reset implements Keeper.
func (x *Power) Reset() {
	x.next = -1
	clear(x.state)
}

// Save implements Keeper.
func (x *Power) Save(w *stream.StateWriter) {
	w.Int(x.next)
	w.Tiles(x.state)
}

// Load implements Keeper.
func (x *Power) Load(r *stream.StateReader) {
	x.next = r.Int()
	r.Tiles(x.state)
}

// Change is event-related desynchronisation and synchronisation (Pfurtscheller and
// Lopes da Silva 1999): the band power P in per cent of a reference,
//
//	100 (P - R) / R,
//
// negative where the rhythm weakens. R is the mean over the windows of the first
// Baseline seconds after a start ("start"), during which the rows are 0, marked; or an
// exponential average with the time constant Baseline ("slow").
type Change struct {
	Bands     []Band
	Welch     Welch
	Method    string  // as BandPower's
	Baseline  float64 // s; 0 = 10
	Reference string  // "start" (default) or "slow"

	power BandPower
	sum   []float64
	count []float64
	need  float64 // windows of the baseline
	a     float64
}

// Open implements Extractor.
func (x *Change) Open(p *Plan) ([]Row, error) {
	baseline := x.Baseline
	if baseline == 0 {
		baseline = 10
	}
	hop := p.Seconds(p.Hop)
	if !(baseline >= hop) || math.IsInf(baseline, 0) {
		return nil, fmt.Errorf("baseline: %v s; it is at least one hop (%v s)", x.Baseline, hop)
	}
	switch x.Reference {
	case "", "start", "slow":
	default:
		return nil, fmt.Errorf("reference: %q; known are start and slow", x.Reference)
	}
	x.need, x.a = math.Round(baseline/hop), -math.Expm1(-hop/baseline)
	x.power = BandPower{Bands: x.Bands, Welch: x.Welch, Method: x.Method, Scale: "linear"}
	rows, err := x.power.Open(p)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Label, rows[i].Unit = "change "+rows[i].Label, "%"
	}
	x.sum, x.count = make([]float64, len(rows)), make([]float64, len(rows))
	return rows, nil
}

// Extract implements Extractor.
func (x *Change) Extract(out Out, e *Epoch) {
	x.power.Extract(out, e)
	for i, v := range out.Values {
		if out.Bad[i] {
			out.Undefined(i)
			continue
		}
		if x.Reference == "slow" {
			if x.count[i] == 0 {
				x.sum[i], x.count[i] = v, 1
			}
			r := x.sum[i]
			out.Set(i, 100*(v-r)/r)
			x.sum[i] += x.a * (v - r)
			continue
		}
		if x.count[i] < x.need {
			x.sum[i] += v
			x.count[i]++
			out.Undefined(i)
			continue
		}
		r := x.sum[i] / x.count[i]
		out.Set(i, 100*(v-r)/r)
	}
}

// Reset implements Keeper.
func (x *Change) Reset() {
	clear(x.sum)
	clear(x.count)
}

// Save implements Keeper.
func (x *Change) Save(w *stream.StateWriter) {
	w.Floats(x.sum)
	w.Floats(x.count)
}

// Load implements Keeper.
func (x *Change) Load(r *stream.StateReader) {
	r.Floats(x.sum)
	r.Floats(x.count)
}
