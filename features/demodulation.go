package features

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Demodulation is the phase and the amplitude of every channel around one frequency,
// by complex demodulation, sample by sample, read at the end of each window:
//
//	z[n] = lowpass(x[n] exp(-2 pi i Freq n/fs)),  n the index in the stream
//
// The low-pass is a second-order Butterworth filter. A sine of amplitude a at Freq has
// |z| = a/2; its phase is that of a cosine at Freq that is 0 at the stream's first
// sample. Causal, and the delay, 1/(sqrt 2 pi Cutoff) s at Freq, is the low-pass's
// alone, which makes it the phase estimate for streaming. Rows are marked until the
// low-pass has settled to 1e-3 after a start. Cost: O(hop).
type Demodulation struct {
	Freq   float64 // Hz, between 0 and Nyquist
	Cutoff float64 // Hz (-3 dB) of the low-pass, below Freq; 0 = Freq/5
	Output string  // "amplitude" 2|z| (default), "phase" in radians, or "complex"

	d demodulator
}

// demodulator keeps z of the newest window.
type demodulator struct {
	freq, rate    float64
	b0, a1, a2    float64
	length, tiles int
	settle        int64 // samples
	state         []vec // tiles x (s1, s2) x (re, im)
	z             []vec // tiles x length x (re, im), oldest first
	turn          [][2]float64
	fed           int64 // samples since the start
	next          int64 // column that continues, -1 = none
}

func (d *demodulator) open(p *Plan, freq, cutoff float64) error {
	nyquist := p.In.Rate / 2
	if !(freq > 0 && freq < nyquist) {
		return fmt.Errorf("freq: %v Hz; at %v Hz it lies between 0 and %v Hz", freq, p.In.Rate, nyquist)
	}
	if cutoff == 0 {
		cutoff = min(freq/5, (nyquist-freq)/2)
	}
	if !(cutoff > 0 && cutoff < freq) || cutoff >= nyquist {
		return fmt.Errorf("cutoff: %v Hz; the low-pass is narrower than freq (%v Hz), such as %.3g Hz", cutoff, freq, freq/5)
	}
	if p.Hop > p.Length {
		return fmt.Errorf("hop: %v s is longer than the window (%v s); a demodulation needs every sample", p.Seconds(p.Hop), p.Seconds(p.Length))
	}
	k := math.Tan(math.Pi * cutoff / p.In.Rate)
	norm := 1 / (1 + math.Sqrt2*k + k*k)
	d.b0, d.a1, d.a2 = k*k*norm, 2*(k*k-1)*norm, (1-math.Sqrt2*k+k*k)*norm
	d.freq, d.rate = freq, p.In.Rate
	d.settle = int64(math.Ceil(math.Log(1e-3) / math.Log(math.Sqrt(d.a2)))) // |pole|^2 = a2
	d.length, d.tiles = p.Length, stream.TilesFor(p.In.Rows())
	d.state, d.z, d.turn = make([]vec, d.tiles*4), make([]vec, d.tiles*d.length*2), make([][2]float64, d.length)
	d.reset()
	return nil
}

func (d *demodulator) reset() {
	d.fed, d.next = 0, -1
	clear(d.state)
	clear(d.z)
}

// feed takes the samples of a window that are new.
func (d *demodulator) feed(e *Epoch) {
	from := 0
	if d.next >= 0 {
		from = int(max(0, min(d.next-e.Seq, int64(e.Len))))
	}
	fresh := e.Len - from
	d.next = e.Seq + int64(e.Len)
	d.fed += int64(fresh)
	turn := d.turn[:fresh]
	for i := range turn {
		turn[i] = complexUnit(d.freq, e.Seq+int64(from+i), d.rate)
	}
	for k := range d.tiles {
		z := d.tile(k, 0)
		copy(z, z[2*fresh:])
		s := (*[4]vec)(d.state[4*k:])
		b1 := 2 * d.b0
		for i, x := range e.Tile(k)[from:] {
			for half, u := range turn[i] {
				s1, s2, y := &s[2*half], &s[2*half+1], &z[2*(from+i)+half]
				for l := range x {
					v := x[l] * u
					o := float64(d.b0*v) + s1[l]
					s1[l] = float64(b1*v) - float64(d.a1*o) + s2[l]
					s2[l] = float64(d.b0*v) - float64(d.a2*o)
					y[l] = o
				}
			}
		}
		for i := range s {
			for l := range s[i] {
				if math.Abs(s[i][l]) < 1e-200 { // silence decays to denormals, which are slow
					s[i][l] = 0
				}
			}
		}
	}
}

// tile returns the columns of a tile, from a column on.
func (d *demodulator) tile(k, from int) []vec {
	at := k * d.length * 2
	return d.z[at+2*from : at+2*d.length]
}

// settled reports whether everything from column from of the window on is free of the
// start of the low-pass.
func (d *demodulator) settled(from int) bool { return d.fed-int64(d.length-from) >= d.settle }

func (d *demodulator) save(w *stream.StateWriter) {
	w.Int(d.fed)
	w.Int(d.next)
	w.Tiles(d.state)
	w.Tiles(d.z)
}

func (d *demodulator) load(r *stream.StateReader) {
	d.fed, d.next = r.Int(), r.Int()
	r.Tiles(d.state)
	r.Tiles(d.z)
}

// Open implements Extractor.
func (x *Demodulation) Open(p *Plan) ([]Row, error) {
	if err := x.d.open(p, x.Freq, x.Cutoff); err != nil {
		return nil, err
	}
	at := fmt.Sprintf("%g Hz", x.Freq)
	switch x.Output {
	case "", "amplitude":
		return p.channelRows("demodulated-amplitude", p.unit(), at), nil
	case "phase":
		return p.channelRows("demodulated-phase", "rad", at), nil
	case "complex":
		return append(p.channelRows("demodulated-real", p.unit(), at), p.channelRows("demodulated-imaginary", p.unit(), at)...), nil
	}
	return nil, fmt.Errorf("output: %q; known are amplitude, phase and complex", x.Output)
}

// Extract implements Extractor.
func (x *Demodulation) Extract(out Out, e *Epoch) {
	x.d.feed(e)
	c := e.Rows()
	for ch := range c {
		z := x.d.tile(ch/stream.Lanes, e.Len-1)
		re, im := z[0][ch%stream.Lanes], z[1][ch%stream.Lanes]
		switch x.Output {
		case "phase":
			out.Set(ch, math.Atan2(im, re))
			if re == 0 && im == 0 {
				out.Bad[ch] = true
			}
		case "complex":
			out.Set(ch, re)
			out.Set(c+ch, im)
		default:
			out.Set(ch, 2*math.Hypot(re, im))
		}
	}
	if !x.d.settled(e.Len - 1) {
		for i := range out.Bad {
			out.Bad[i] = true
		}
	}
}

// Reset implements Keeper.
func (x *Demodulation) Reset() { x.d.reset() }

// Save implements Keeper.
func (x *Demodulation) Save(w *stream.StateWriter) { x.d.save(w) }

// Load implements Keeper.
func (x *Demodulation) Load(r *stream.StateReader) { x.d.load(r) }
