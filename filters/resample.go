package filters

import (
	"fmt"
	"math"

	"neurostream/filters/internal/fir"
	"neurostream/stream"
)

// polyphase computes every Down-th sample of a stream filtered at Up times its rate.
// Output m stands at place (m·down + phase·up)/up on the scale of input columns:
//
//	y[m] = Σ_j h[r + j·up] x[i − j],   i, r = quotient, rest of (m·down + phase·up)/up
//
// It is put out when the first column at or after its place is there, so that its
// stamp, the time of its place, lies neither after the newest column read nor before
// one that it depends on.
type polyphase struct {
	up, down, phase int64
	parts           [][]float64 // parts[r] = h[r], h[r+up], ...
	rate            float64     // of the input
	line            line
	started         bool
	next            int64 // column that continues the stream
	first           int64 // no output before this one: its past is not ours
	waiting         waiting
	taint           taint
}

// waiting holds markers until a column comes out that they can stand at.
type waiting []stream.Marker

func (w *waiting) add(src *stream.Chunk) { *w = append(*w, src.Markers...) }

// place moves the markers that lie before column to of the input to column col.
func (w *waiting) place(dst *stream.Chunk, col, to int) {
	n := 0
	for n < len(*w) && (*w)[n].Column < to {
		(*w)[n].Column = col
		n++
	}
	dst.Markers = append(dst.Markers, (*w)[:n]...)
	*w = (*w)[:copy(*w, (*w)[n:])]
}

// keep leaves the rest for the next chunk.
func (w *waiting) keep() {
	for i := range *w {
		(*w)[i].Column = -1
	}
}

func (w waiting) write(s *stream.StateWriter) {
	s.Int(int64(len(w)))
	for _, m := range w {
		s.Int(int64(len(m.Label)))
		s.Bytes([]byte(m.Label))
		s.Int(int64(m.Time))
		s.Float(m.Duration)
	}
}

func (w *waiting) read(r *stream.StateReader) {
	*w = (*w)[:0]
	for n := r.Int(); n > 0 && len(r.Buf) > 0; n-- {
		size := r.Int()
		if size < 0 || size > int64(len(r.Buf)) {
			r.Buf = nil
			r.Int() // fails
			return
		}
		label := make([]byte, size)
		r.Bytes(label)
		*w = append(*w, stream.Marker{Column: -1, Label: string(label), Time: stream.Time(r.Int()), Duration: r.Float()})
	}
}

func (p *polyphase) open(in stream.Header, h []float64, up, down, phase int64) (stream.Header, error) {
	*p = polyphase{up: up, down: down, phase: phase, rate: in.Rate, waiting: make(waiting, 0, 16), taint: make(taint, stream.TilesFor(in.Rows()))}
	length := (len(h) + int(up) - 1) / int(up)
	p.parts = make([][]float64, up)
	for r := range p.parts {
		p.parts[r] = make([]float64, length)
		for j := range p.parts[r] {
			if n := r + j*int(up); n < len(h) {
				p.parts[r][j] = h[n]
			}
		}
	}
	out := in.Clone()
	out.Rate = in.Rate * float64(up) / float64(down)
	out.MaxLen = int((int64(in.MaxLen)*up+down-1)/down) + 1
	out.Delay += float64(len(h)-1) / 2 / float64(up) / in.Rate
	out.Settle += float64(length-1) / in.Rate
	if err := out.Validate(); err != nil {
		return stream.Header{}, err
	}
	p.line.open(&in, length)
	return out, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (p *polyphase) process(dst, src *stream.Chunk) {
	if begin(dst, src, p.started, p.next) {
		p.reset()
	}
	p.waiting.add(src)
	shift := p.phase * p.up
	if src.Len > 0 && !p.started {
		p.started = true
		p.first = -floorDiv(shift-src.Seq*p.up, p.down)
	}
	// The outputs whose places lie after column Seq-1 and up to the newest one.
	m := max(floorDiv((src.Seq-1)*p.up-shift, p.down)+1, p.first)
	end := src.Seq + int64(src.Len)
	count := 0
	if newest := floorDiv((end-1)*p.up-shift, p.down); src.Len > 0 && newest >= m {
		count = int(newest - m + 1)
	}
	dst.Resize(count)
	dst.Seq = m
	if src.Len == 0 {
		p.waiting.keep()
		return
	}
	if count > 0 {
		place := float64(m*p.down+shift-src.Seq*p.up) / float64(p.up)
		dst.T0 = src.T0 + stream.Time(math.Round(place/p.rate*1e9))
	}
	p.line.load(src)
	for k := range src.Tiles() {
		col := 0
		y := dst.Tile(k)
		for a := 0; a < src.Len; {
			b, _ := p.line.segment(k, a)
			for ; col < count; col++ {
				at := (m+int64(col))*p.down + shift
				i := floorDiv(at, p.up) - src.Seq
				if floorDiv(at+p.up-1, p.up)-src.Seq >= int64(b) {
					break // needs a lane that has not started
				}
				h := p.parts[at-floorDiv(at, p.up)*p.up]
				fir.Convolve(y[col:col+1], p.line.upTo(k, int(i), len(h)), h)
			}
			a = b
		}
	}
	from := -1
	for col := range count {
		at := (m+int64(col))*p.down + shift
		to := int(floorDiv(at+p.up-1, p.up)-src.Seq) + 1
		p.waiting.place(dst, col, to)
		p.taint.gather(dst, col, p.line.clean, from, to)
		from = int(floorDiv(at, p.up) - src.Seq)
	}
	p.taint.rest(p.line.clean, from)
	p.waiting.keep()
	p.next = end
}

// begin fills dst with what does not depend on samples and reports whether the stream
// starts anew.
func begin(dst, src *stream.Chunk, started bool, next int64) bool {
	dst.Clear()
	dst.T0, dst.Arrived = src.T0, src.Arrived
	dst.Flags = src.Flags & (stream.Gap | stream.Restart)
	dst.Events = append(dst.Events, src.Events...)
	if src.Len > 0 && started && src.Seq != next {
		dst.Flags |= stream.Gap
	}
	return dst.Flags.Broken()
}

// taint remembers, by tile, what was bad since the newest output.
type taint []uint8

// gather marks column col of dst bad where one of the columns from to to-1 of src is;
// from below 0 means what rest left, too.
func (t taint) gather(dst *stream.Chunk, col int, src *stream.Chunk, from, to int) {
	for k := range t {
		var seen uint8
		if from < 0 {
			seen = t[k]
		}
		if src.Flags&stream.Bad != 0 {
			for _, b := range src.Bad(k)[max(0, from):min(to, src.Len)] {
				seen |= b
			}
		}
		if seen != 0 {
			dst.Bad(k)[col] |= seen
			dst.Flags |= stream.Bad
		}
	}
}

// rest keeps what was bad from column from of src on.
func (t taint) rest(src *stream.Chunk, from int) {
	for k := range t {
		if from >= 0 {
			t[k] = 0
		}
		if src.Flags&stream.Bad != 0 {
			for _, b := range src.Bad(k)[max(0, from):] {
				t[k] |= b
			}
		}
	}
}

func (p *polyphase) reset() {
	p.started, p.next, p.first = false, 0, math.MinInt64
	p.line.reset()
	clear(p.taint)
	p.waiting = p.waiting[:0]
}

func (p *polyphase) snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(p.started)
	w.Int(p.next)
	w.Int(p.first)
	p.line.write(&w)
	w.Bytes(p.taint)
	p.waiting.write(&w)
	return w.Buf
}

func (p *polyphase) restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	p.started, p.next, p.first = r.Bool(), r.Int(), r.Int()
	p.line.read(&r)
	r.Bytes(p.taint)
	p.waiting.read(&r)
	return r.Err()
}

// Resample changes the rate by a ratio of whole numbers, Up/Down, through a low-pass
// at the lower of both half rates: taps from the window method with a Kaiser window
// (beta 5), 20·max(Up, Down)+1 long, as SciPy's resample_poly, but causal. Output: the
// same rows at the new rate; sample m stands at input place m·Down/Up.
//
// Delay: 10·max(Up, Down)/Up input samples. Cost: 20·max(1, Down/Up) multiplications
// an output sample.
type Resample struct {
	Rate     float64 // Hz wanted; 0 = Up and Down are given
	Up, Down int     // after dividing by what they share, at most 4096 each

	polyphase
}

const maxRatio = 4096

// Open designs the low-pass.
func (f *Resample) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if in.Rate == 0 {
		return stream.Header{}, errIrregular
	}
	up, down := f.Up, f.Down
	if f.Rate != 0 {
		if up != 0 || down != 0 {
			return stream.Header{}, fmt.Errorf("give either the rate, or up and down")
		}
		if !(f.Rate > 0) || math.IsInf(f.Rate, 0) {
			return stream.Header{}, fmt.Errorf("a rate of %v Hz is impossible", f.Rate)
		}
		var ok bool
		if up, down, ok = ratio(f.Rate / in.Rate); !ok {
			return stream.Header{}, fmt.Errorf("%v Hz from %v Hz is no ratio of whole numbers up to %d; give up and down of the nearest one you can live with", f.Rate, in.Rate, maxRatio)
		}
	}
	if up < 1 || down < 1 {
		return stream.Header{}, fmt.Errorf("up %d and down %d are impossible; give whole numbers from 1, or the rate", f.Up, f.Down)
	}
	g := gcd(up, down)
	up, down = up/g, down/g
	if up > maxRatio || down > maxRatio {
		return stream.Header{}, fmt.Errorf("the ratio %d/%d has numbers above %d; resample in two steps", up, down, maxRatio)
	}
	h, err := resampler(up, down)
	if err != nil {
		return stream.Header{}, err
	}
	return f.open(in, h, int64(up), int64(down), 0)
}

var errIrregular = fmt.Errorf("the stream is irregular; this needs a regular rate")

// resampler is SciPy's anti-aliasing low-pass of resample_poly.
func resampler(up, down int) ([]float64, error) {
	most := max(up, down)
	if most == 1 {
		return []float64{1}, nil
	}
	w, err := windowFor("kaiser", 20*most+1, 5)
	if err != nil {
		return nil, err
	}
	h, err := WindowMethod(w, true, 2, 1/float64(most))
	for i := range h {
		h[i] *= float64(up)
	}
	return h, err
}

// ratio finds the fraction with the smallest denominator that equals x to 1e-9, by
// continued fractions.
func ratio(x float64) (up, down int, ok bool) {
	p0, q0, p1, q1 := 0.0, 1.0, 1.0, 0.0
	for y := x; ; {
		a := math.Floor(y)
		p0, q0, p1, q1 = p1, q1, a*p1+p0, a*q1+q0
		if !(p1 <= maxRatio && q1 <= maxRatio) {
			return 0, 0, false
		}
		if p1 > 0 && math.Abs(p1/q1-x) <= 1e-9*x {
			return int(p1), int(q1), true
		}
		if y == a {
			return 0, 0, false
		}
		y = 1 / (y - a)
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Process resamples a chunk.
func (f *Resample) Process(dst, src *stream.Chunk) { f.process(dst, src) }

// Reset forgets the past.
func (f *Resample) Reset() { f.reset() }

// Snapshot appends the state.
func (f *Resample) Snapshot(dst []byte) []byte { return f.snapshot(dst) }

// Restore sets it.
func (f *Resample) Restore(state []byte) error { return f.restore(state) }

// Decimate keeps every Factor-th sample behind a low-pass: those whose index, counted
// from the start of the stream, leaves the rest Phase. Output: the same rows at
// rate/Factor; output m is input m·Factor+Phase.
//
// The low-pass is SciPy's for decimate, run causally: "iir" is a Chebyshev I filter of
// order 8 with 0.05 dB ripple up to 0.8 of the new half rate (short delay), "fir" a
// Hamming-windowed one of 20·Factor+1 taps (linear phase, delay 10·Factor samples).
type Decimate struct {
	Factor int    // 2 to 1000; iir up to 13, beyond that in two steps
	Phase  int    // 0 to Factor-1
	Filter string // "iir" (or ""), "fir"

	fir      *polyphase
	cascade  cascade
	clean    *stream.Chunk
	started  bool
	next     int64
	waiting  waiting
	taint    taint
	rate     float64
	sections []Section // for tests: another low-pass
}

// Open designs the low-pass.
func (f *Decimate) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if in.Rate == 0 {
		return stream.Header{}, errIrregular
	}
	if f.Factor < 2 || f.Factor > 1000 {
		return stream.Header{}, fmt.Errorf("factor %d is impossible; allowed are 2 to 1000", f.Factor)
	}
	if f.Phase < 0 || f.Phase >= f.Factor {
		return stream.Header{}, fmt.Errorf("phase %d is impossible with factor %d; allowed are 0 to %d", f.Phase, f.Factor, f.Factor-1)
	}
	f.fir = nil
	switch f.Filter {
	case "fir":
		w, err := windowFor("hamming", 20*f.Factor+1, 0)
		if err != nil {
			return stream.Header{}, err
		}
		h, err := WindowMethod(w, true, 2, 1/float64(f.Factor))
		if err != nil {
			return stream.Header{}, err
		}
		f.fir = new(polyphase)
		return f.fir.open(in, h, 1, int64(f.Factor), int64(f.Phase))
	case "", "iir":
	default:
		return stream.Header{}, fmt.Errorf("there is no filter %q; known are iir and fir", f.Filter)
	}
	if f.Factor > 13 {
		return stream.Header{}, fmt.Errorf("factor %d is too much for one recursive low-pass; decimate twice, or take filter: fir", f.Factor)
	}
	p, err := Chebyshev1(LowPass, 8, 0.05, 2, 0.8/float64(f.Factor))
	if err != nil {
		return stream.Header{}, err
	}
	sections := f.sections
	if sections == nil {
		sections = p.Sections()
	}
	f.cascade.open(in.Rows(), sections)
	f.clean = stream.NewChunk(&in)
	f.waiting, f.taint, f.rate = make(waiting, 0, 16), make(taint, f.clean.Tiles()), in.Rate
	f.Reset()
	out := in.Clone()
	out.Rate = in.Rate / float64(f.Factor)
	out.MaxLen = (in.MaxLen-1)/f.Factor + 1
	out.Delay += max(0, Delay(sections, in.Rate/float64(8*f.Factor), in.Rate)) / in.Rate
	out.Settle += p.Settling() / in.Rate
	return out, out.Validate()
}

// Process filters and decimates a chunk.
func (f *Decimate) Process(dst, src *stream.Chunk) {
	if f.fir != nil {
		f.fir.process(dst, src)
		return
	}
	if begin(dst, src, f.started, f.next) {
		f.Reset()
	}
	f.waiting.add(src)
	q, phase := int64(f.Factor), int64(f.Phase)
	m := -floorDiv(phase-src.Seq, q) // the first with m q + phase >= Seq
	at := m*q + phase - src.Seq
	count := 0
	if at < int64(src.Len) {
		count = int((int64(src.Len)-1-at)/q) + 1
	}
	dst.Resize(count)
	dst.Seq = m
	if count > 0 {
		dst.T0 = src.T0 + stream.Time(math.Round(float64(at)/f.rate*1e9))
	}
	if src.Len > 0 {
		in := f.clean
		in.Follow(src)
		for k := range src.Tiles() {
			clean(in, src, k, &f.cascade.last[k])
			x := in.Tile(k)
			f.cascade.run(k, src.Seq, x, in.Bad(k))
			to := dst.Tile(k)
			for col := range to {
				to[col] = x[int(at)+col*f.Factor]
			}
		}
		from := -1
		for col := range count {
			to := int(at) + col*f.Factor + 1
			f.waiting.place(dst, col, to)
			f.taint.gather(dst, col, in, from, to)
			from = to
		}
		f.taint.rest(in, from)
		f.started, f.next = true, src.Seq+int64(src.Len)
	}
	f.waiting.keep()
}

// Reset forgets the past.
func (f *Decimate) Reset() {
	if f.fir != nil {
		f.fir.reset()
		return
	}
	f.started, f.next = false, 0
	f.cascade.reset()
	clear(f.taint)
	f.waiting = f.waiting[:0]
}

// Snapshot appends the state.
func (f *Decimate) Snapshot(dst []byte) []byte {
	if f.fir != nil {
		return f.fir.snapshot(dst)
	}
	w := stream.StateWriter{Buf: dst}
	w.Bool(f.started)
	w.Int(f.next)
	w.Bytes(f.taint)
	f.waiting.write(&w)
	return f.cascade.snapshot(w.Buf)
}

// Restore sets it.
func (f *Decimate) Restore(state []byte) error {
	if f.fir != nil {
		return f.fir.restore(state)
	}
	r := stream.StateReader{Buf: state}
	f.started, f.next = r.Bool(), r.Int()
	r.Bytes(f.taint)
	f.waiting.read(&r)
	f.cascade.read(&r)
	return r.Err()
}
