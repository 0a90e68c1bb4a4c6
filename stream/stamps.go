package stream

import "math"

// Repair changes the time stamps of a stream, one after the other: stamps in and
// out are seconds on the same clock. The raw stamp stays with the caller (see
// Chunk.Stamps). The three repairs are those of the Lab Streaming Layer; they
// compose in the order Offset, Dejitter, Monotone:
//
//	sender's stamp ─► Offset ─► Dejitter ─► Monotone ─► time of the column
//	               another clock  jitter      never back
type Repair interface {
	// Repair returns the repaired stamp of the next sample.
	Repair(t float64) float64
	// Skip says that n samples will not come.
	Skip(n int64)
	// Reset forgets everything learnt from earlier stamps.
	Reset()
}

// Repairs applies several repairs in order.
type Repairs []Repair

// Repair applies all repairs.
func (r Repairs) Repair(t float64) float64 {
	for _, x := range r {
		t = x.Repair(t)
	}
	return t
}

// Skip tells all repairs.
func (r Repairs) Skip(n int64) {
	for _, x := range r {
		x.Skip(n)
	}
}

// Reset resets all repairs.
func (r Repairs) Reset() {
	for _, x := range r {
		x.Reset()
	}
}

// Offset moves stamps from the sender's clock to ours. Whoever measures the
// clocks sets its fields; the correction at stamp t is
//
//	Seconds + Slope·(t − At)
type Offset struct {
	Seconds float64 // our clock minus the sender's, at the sender's time At
	Slope   float64 // how much faster our clock runs, in seconds per second (1e-6 = 1 ppm)
	At      float64 // seconds of the sender's clock
}

// Repair adds the correction.
func (o *Offset) Repair(t float64) float64 {
	if o.Slope == 0 {
		return t + o.Seconds
	}
	return t + (o.Seconds + float64(o.Slope*(t-o.At)))
}

// Skip does nothing.
func (*Offset) Skip(int64) {}

// Reset does nothing: the measurement is not learnt from stamps.
func (*Offset) Reset() {}

// Dejitter replaces stamps by a line through them: recursive least squares of stamp
// against sample index, in which old samples count half as much after HalfTime
// (Ljung, System Identification, 2nd ed., §11.2). With u the index, x the stamp
// behind the first one's whole seconds, w the line, P its covariance and λ the
// forgetting factor 2^(−1/(Rate·HalfTime)):
//
//	p0 = P00 + u·P01    p1 = P01 + u·P11    α = x − (w0 + u·w1)    g = 1/(λ + p0 + p1·u)
//	P00 = (P00 − p0²·g)/λ   P01 = (P01 − p0·p1·g)/λ   P11 = (P11 − p1²·g)/λ
//	w0 += α·(P00 + P01·u)   w1 += α·(P01 + P11·u)     result = w0 + u·w1
//
// The digits are those of liblsl's post-processor. Lost samples must be told with
// Skip, else they bend the line. An irregular stream (Rate 0) passes unchanged.
type Dejitter struct {
	Rate     float64 // nominal samples per second; 0 = irregular
	HalfTime float64 // seconds; 0 = 90, liblsl's default

	begun         bool
	t0            float64
	u             float64
	w0, w1        float64
	p00, p01, p11 float64
	lambda, back  float64 // λ and 1/λ
}

// Repair returns the line's value at the sample.
func (d *Dejitter) Repair(t float64) float64 {
	if !(d.Rate > 0) || math.IsNaN(t) || math.IsInf(t, 0) {
		return t
	}
	if !d.begun {
		half := d.HalfTime
		if half <= 0 {
			half = 90
		}
		*d = Dejitter{Rate: d.Rate, HalfTime: d.HalfTime, begun: true, t0: math.Trunc(t)}
		d.w1 = 1 / d.Rate
		d.p00, d.p11 = 1e10, 1e10
		d.lambda = 1 + math.Expm1(-math.Ln2/(d.Rate*half)) // math.Pow is a bit off so near to 1
		d.back = 1 / d.lambda
	}
	u := d.u
	d.u++
	x := t - d.t0
	p0 := d.p00 + float64(u*d.p01)
	p1 := d.p01 + float64(u*d.p11)
	alpha := x - (d.w0 + float64(u*d.w1))
	g := 1 / (d.lambda + p0 + float64(p1*u))
	d.p00 = d.back * (d.p00 - float64(float64(p0*p0)*g))
	d.p01 = d.back * (d.p01 - float64(float64(p0*p1)*g))
	d.p11 = d.back * (d.p11 - float64(float64(p1*p1)*g))
	d.w0 += float64(alpha * (d.p00 + float64(d.p01*u)))
	d.w1 += float64(alpha * (d.p01 + float64(d.p11*u)))
	return d.w0 + float64(u*d.w1) + d.t0
}

// Next returns what the line says of the next sample; ok is false before the first.
func (d *Dejitter) Next() (t float64, ok bool) {
	return d.w0 + float64(d.u*d.w1) + d.t0, d.begun
}

// Interval returns the seconds between two samples as the line has them; 0 before the
// first sample.
func (d *Dejitter) Interval() float64 { return d.w1 }

// Shift moves the line: the clock that stamps are on has stepped by so many seconds,
// the sampling has gone on.
func (d *Dejitter) Shift(seconds float64) { d.w0 += seconds }

// Skip moves the sample index on.
func (d *Dejitter) Skip(n int64) { d.u += float64(n) }

// Reset forgets the line; the next stamp begins a new one.
func (d *Dejitter) Reset() { d.begun = false }

// Period returns the line's seconds per sample: the effective sampling period; 0
// before the first stamp.
func (d *Dejitter) Period() float64 { return d.w1 }

// Monotone never lets a stamp go back: t = max(t, the one before). The zero value
// is ready to use.
type Monotone struct {
	begun bool
	last  float64
}

// Repair returns the stamp, or the one before it when that is later.
func (m *Monotone) Repair(t float64) float64 {
	if m.begun && !(t > m.last) {
		return m.last
	}
	m.begun, m.last = true, t
	return t
}

// Skip does nothing.
func (*Monotone) Skip(int64) {}

// Reset lets the next stamp be anything.
func (m *Monotone) Reset() { m.begun = false }
