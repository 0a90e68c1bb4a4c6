package filters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/filters/internal/fir"
	"neurostream/stream"
)

// ASR is artifact subspace reconstruction (Mullen et al. 2015; Chang et al. 2020): what
// is larger than in the clean recording it learned from, seen along the directions of
// the data of the last Window seconds, is rebuilt from the other directions.
//
// It learned the covariance U (the geometric median over windows of the recording),
// its directions, and mean and spread of the amplitude along each of them, which give
// the limit T = diag(mean + Cutoff·spread) Vᵀ. Every Step seconds the covariance of the
// last Window, with eigenvalues d and eigenvectors v, is taken apart: direction i stays
// when d_i < |T v_i|², or when it is among the smallest that Remove does not reach.
// With V the directions that stay,
//
//	y = R x,  R = U V (Vᵀ U V)⁻¹ Vᵀ
//
// which is M (keep·VᵀM)⁺ Vᵀ with M = U^½. Nothing is done while all stay, which a
// Cholesky decomposition of TᵀT − C proves without any eigenvalue.
//
// Decisions are made on a copy of the data shaped to weigh eye and muscle frequencies
// (the curve of clean_rawdata, here as a minimum-phase filter of 0.5 s). They run on a
// goroutine of their own: what is found at a step is needed one Step later and faded
// in over one Step more, so the samples do not wait, and the bits do not depend on how
// fast it is. The data pass Delay seconds later, so that an artifact is seen before it
// is put out; with Delay 0 its first Step to two Steps pass. High-pass at 0.5 Hz before.
//
// Output: as the input, from Delay after the start on. Cost: C²/2 multiplications a
// column; while cleaning C² to 2C² more, and an eigenvalue problem a Step.
type ASR struct {
	Cutoff float64 // spreads above the mean that are still clean; 0 = 20; smaller cleans more
	Window float64 // s; 0 = 0.5
	Step   float64 // s; 0 = 0.1
	Delay  float64 // s that the data wait, 0 to 2
	Remove float64 // largest share of the directions to rebuild; 0 = 0.66

	model      *asrModel
	rows       []int
	step, hold int // columns
	line       line
	h          []float64
	shaped     [][stream.Lanes]float64
	x          []float64
	history    *stream.History
	waiting    waiting
	rate       float64

	started   bool
	next      int64
	parts     []asrPart // sums over steps, the oldest at turn
	turn      int
	whole     int     // complete steps in a row
	now       asrPart // the running step
	before, r []float64
	old, same bool // whether before and r are the identity
	job       asrJob
	label     string
}

// asrPart is what covariances are made of: sums of products and of values.
type asrPart struct {
	products, sums []float64
	n              int
}

// asrModel is what was learned.
type asrModel struct {
	Channels   []string    `json:"channels"`
	Rate       float64     `json:"rate_hz"`
	Covariance [][]float64 `json:"covariance"` // U of the shaped data
	Directions [][]float64 `json:"directions"` // rows: eigenvectors of U
	Means      []float64   `json:"means"`      // amplitude along each
	Spreads    []float64   `json:"spreads"`
}

func (f *ASR) settings() (window, step, cutoff, remove float64, err error) {
	window, step, cutoff, remove = f.Window, f.Step, f.Cutoff, f.Remove
	if window == 0 {
		window = 0.5
	}
	if step == 0 {
		step = 0.1
	}
	if cutoff == 0 {
		cutoff = 20
	}
	if remove == 0 {
		remove = 0.66
	}
	switch {
	case !(window >= 0.1 && window <= 10):
		err = fmt.Errorf("window %v s is impossible; allowed are 0.1 to 10 s", window)
	case !(step >= 0.01 && step <= window):
		err = fmt.Errorf("step %v s is impossible; allowed are 0.01 s to the window of %v s", step, window)
	case !(cutoff >= 1 && cutoff <= 1000):
		err = fmt.Errorf("cutoff %v is impossible; allowed are 1 to 1000", cutoff)
	case !(remove > 0 && remove <= 1):
		err = fmt.Errorf("remove %v is impossible; allowed is above 0 and up to 1", remove)
	case !(f.Delay >= 0 && f.Delay <= 2):
		err = fmt.Errorf("delay %v s is impossible; allowed are 0 to 2 s", f.Delay)
	}
	return
}

// openSamples prepares what learning and running share.
func (f *ASR) openSamples(in *stream.Header) (parts int, err error) {
	if err := in.Validate(); err != nil {
		return 0, err
	}
	if in.Rate == 0 {
		return 0, errIrregular
	}
	window, step, _, _, err := f.settings()
	if err != nil {
		return 0, err
	}
	f.rows = brain(in)
	if len(f.rows) < 2 || len(f.rows) > 512 {
		return 0, fmt.Errorf("ASR needs 2 to 512 channels, not %d", len(f.rows))
	}
	f.step = int(math.Round(step * in.Rate))
	if f.step < 1 || window*in.Rate > 1e6 {
		return 0, fmt.Errorf("a step of %v s is less than a sample at %v Hz", step, in.Rate)
	}
	if f.h, err = shaping(in.Rate); err != nil {
		return 0, err
	}
	f.rate = in.Rate
	f.line.open(in, len(f.h)-1)
	f.shaped, f.x = make([][stream.Lanes]float64, stream.TilesFor(in.Rows())*in.MaxLen), make([]float64, len(f.rows))
	f.now = newPart(len(f.rows))
	return max(1, int(math.Round(window/step))), nil
}

func newPart(n int) asrPart { return asrPart{products: make([]float64, n*n), sums: make([]float64, n)} }

// shaping weighs frequencies as clean_rawdata does: the lowest three times, those of
// brain rhythms a third, muscle three times.
func shaping(rate float64) ([]float64, error) {
	half := rate / 2
	if half <= 42 || rate > 4000 {
		return []float64{1}, nil // too little of the curve is left, or too long a filter
	}
	freq := []float64{0, 2, 3, 13, 16, 40, min(80, half-1), half}
	gain := []float64{3, 0.75, 0.33, 0.33, 1, 1, 3, 3}
	w, err := windowFor("hamming", int(rate/2)|1, 0)
	if err != nil {
		return nil, err
	}
	h, err := FrequencySampling(w, freq, gain, rate)
	if err != nil {
		return nil, err
	}
	return MinimumPhase(h), nil
}

// shape filters the chunk; column i of tile k is shaped[k*len+i].
func (f *ASR) shape(src *stream.Chunk) {
	f.line.load(src)
	for k := range src.Tiles() {
		y := f.shaped[k*src.Len : (k+1)*src.Len]
		for a := 0; a < src.Len; {
			b, _ := f.line.segment(k, a)
			fir.Convolve(y[a:b], f.line.upTo(k, b-1, b-a+len(f.h)-1), f.h)
			a = b
		}
	}
}

// add accumulates column i of n shaped ones.
func (f *ASR) add(p *asrPart, i, n int) {
	for j, ch := range f.rows {
		f.x[j] = f.shaped[ch/stream.Lanes*n+i][ch%stream.Lanes]
	}
	c := len(f.x)
	for j, v := range f.x {
		p.sums[j] += v
		row, x := p.products[j*c+j:(j+1)*c], f.x[j:]
		for k := range row {
			row[k] += float64(v * x[k])
		}
	}
	p.n++
}

func (p *asrPart) clear() {
	clear(p.products)
	clear(p.sums)
	p.n = 0
}

// covariance sets c, n × n, from the sums of parts; the mean is taken out.
func covariance(c, means []float64, parts []asrPart) {
	n, columns := len(means), 0
	clear(c)
	clear(means)
	for i := range parts {
		for j, v := range parts[i].products {
			c[j] += v
		}
		for j, v := range parts[i].sums {
			means[j] += v
		}
		columns += parts[i].n
	}
	for j := range n {
		for k := j; k < n; k++ {
			v := (c[j*n+k] - means[j]*means[k]/float64(columns)) / float64(columns)
			c[j*n+k], c[k*n+j] = v, v
		}
	}
}

// Learn implements Learner: a minute of data that are mostly clean, in windows; those
// with a bad sample are left out.
func (f *ASR) Learn(ctx context.Context, in stream.Header, next func() (*stream.Chunk, error)) error {
	parts, err := f.openSamples(&in)
	if err != nil {
		return err
	}
	n, length := len(f.rows), parts*f.step
	most := max(64, min(4096, 1<<26/(n*n))) // covariances kept; every second is dropped when it is reached
	var windows [][]float64
	stride, seen := 1, 0
	means, mask := make([]float64, n), rowMask(f.rows, in.Rows())
	settling := len(f.h) - 1
	wait := settling
	dirty := false
	f.now.clear()
	err = eachChunk(ctx, next, func(c *stream.Chunk) {
		if c.Flags.Broken() {
			f.line.reset()
			f.now.clear()
			wait, dirty = settling, false
		}
		if c.Len == 0 {
			return
		}
		f.shape(c)
		for i := range c.Len {
			if wait > 0 {
				wait--
				continue
			}
			for k, m := range mask {
				dirty = dirty || f.line.clean.Bad(k)[i]&m != 0
			}
			f.add(&f.now, i, c.Len)
			if f.now.n < length {
				continue
			}
			if !dirty && seen%stride == 0 {
				w := make([]float64, n*n)
				covariance(w, means, []asrPart{f.now})
				windows = append(windows, w)
				if len(windows) == most {
					for j := range most / 2 {
						windows[j] = windows[2*j]
					}
					windows, stride = windows[:most/2], 2*stride
				}
			}
			seen++
			f.now.clear()
			dirty = false
		}
	})
	if err != nil {
		return err
	}
	if len(windows) < 20 {
		return fmt.Errorf("%d clean windows of %v s are too few to learn from; at least 20 are needed, better 120", len(windows), float64(length)/in.Rate)
	}
	m, err := learnASR(windows, n)
	if err != nil {
		var flat flatChannel
		if errors.As(err, &flat) {
			return fmt.Errorf("channel %q does not move in the recording; leave it out with select", in.Channels[f.rows[flat]].Label)
		}
		return err
	}
	m.Channels, m.Rate = labelsOf(&in, f.rows), in.Rate
	f.model = m
	return nil
}

type flatChannel int

func (c flatChannel) Error() string { return fmt.Sprintf("channel %d is flat", int(c)+1) }

// learnASR is the calibration from covariances of windows.
func learnASR(windows [][]float64, n int) (*asrModel, error) {
	u := geometricMedian(windows, n)
	trace := 0.0
	for j := range n {
		if !(u[j*n+j] > 0) {
			return nil, flatChannel(j)
		}
		trace += u[j*n+j]
	}
	ridge := 1e-6 * trace / float64(n) // a reference leaves a direction in which nothing moves
	for j := range n {
		u[j*n+j] += ridge
	}
	a, v, d := slices.Clone(u), make([]float64, n*n), make([]float64, n)
	eigen(a, v, d)
	m := &asrModel{Covariance: square(u, n), Directions: square(v, n)}
	amplitude := make([]float64, len(windows))
	for i := range n {
		for w, c := range windows {
			amplitude[w] = math.Sqrt(max(0, quadratic(c, v[i*n:(i+1)*n])) + ridge)
		}
		mu := median(slices.Clone(amplitude))
		for w := range amplitude {
			amplitude[w] = math.Abs(amplitude[w] - mu)
		}
		m.Means, m.Spreads = append(m.Means, mu), append(m.Spreads, max(1.4826*median(amplitude), 1e-3*mu))
	}
	return m, nil
}

func square(a []float64, n int) [][]float64 {
	out := make([][]float64, n)
	for i := range out {
		out[i] = slices.Clone(a[i*n : (i+1)*n])
	}
	return out
}

// quadratic is vᵀ c v.
func quadratic(c, v []float64) float64 {
	s := 0.0
	for i, x := range v {
		t := 0.0
		for j, y := range v {
			t += float64(c[i*len(v)+j] * y)
		}
		s += float64(x * t)
	}
	return s
}

// geometricMedian minimises the sum of distances to matrices (Weiszfeld 1937).
func geometricMedian(x [][]float64, n int) []float64 {
	m, next := make([]float64, n*n), make([]float64, n*n)
	values := make([]float64, len(x))
	for j := range m {
		for i := range x {
			values[i] = x[i][j]
		}
		m[j] = median(values)
	}
	for range 200 {
		clear(next)
		total := 0.0
		for _, c := range x {
			d := 0.0
			for j, v := range c {
				d += (v - m[j]) * (v - m[j])
			}
			w := 1 / math.Sqrt(max(d, 1e-300))
			total += w
			for j, v := range c {
				next[j] += w * v
			}
		}
		move, size := 0.0, 0.0
		for j := range next {
			next[j] /= total
			move += (next[j] - m[j]) * (next[j] - m[j])
			size += next[j] * next[j]
		}
		copy(m, next)
		if move <= 1e-20*size {
			break
		}
	}
	return m
}

// SaveModel implements Learner.
func (f *ASR) SaveModel() (json.RawMessage, error) {
	if f.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(f.model)
}

// LoadModel implements Learner.
func (f *ASR) LoadModel(b json.RawMessage) error {
	m := new(asrModel)
	if err := decodeModel(b, m); err != nil {
		return err
	}
	n := len(m.Channels)
	if n < 2 || n > 512 || len(m.Covariance) != n || len(m.Directions) != n || len(m.Means) != n || len(m.Spreads) != n {
		return errors.New("the model's sizes do not fit together; train again")
	}
	for _, rows := range [][][]float64{m.Covariance, m.Directions, {m.Means, m.Spreads}} {
		for _, row := range rows {
			if len(row) != n {
				return errors.New("the model's sizes do not fit together; train again")
			}
			for _, v := range row {
				if !(math.Abs(v) <= maxValue) {
					return errors.New("the model holds impossible numbers; train again")
				}
			}
		}
	}
	for i := range n {
		if !(m.Means[i] > 0 && m.Spreads[i] > 0 && m.Covariance[i][i] > 0) {
			return errors.New("the model holds impossible numbers; train again")
		}
	}
	f.model = m
	return nil
}

// Open compares the stream with the model.
func (f *ASR) Open(in stream.Header) (stream.Header, error) {
	if f.model == nil {
		return stream.Header{}, ErrUntrained
	}
	f.Reset() // a decision may be under way
	parts, err := f.openSamples(&in)
	if err != nil {
		return stream.Header{}, err
	}
	if err := sameLabels(f.model.Channels, &in, f.rows); err != nil {
		return stream.Header{}, err
	}
	if math.Abs(in.Rate-f.model.Rate) > 0.002*f.model.Rate {
		return stream.Header{}, fmt.Errorf("the model was trained at %v Hz, the stream runs at %v Hz; train again", f.model.Rate, in.Rate)
	}
	_, _, cutoff, remove, err := f.settings()
	if err != nil {
		return stream.Header{}, err
	}
	n := len(f.rows)
	f.hold = int(math.Round(f.Delay * in.Rate))
	f.history = stream.NewHistory(in.Rows(), f.hold+in.MaxLen)
	f.waiting = make(waiting, 0, 16)
	f.parts = make([]asrPart, parts)
	for i := range f.parts {
		f.parts[i] = newPart(n)
	}
	f.before, f.r = make([]float64, n*n), make([]float64, n*n)
	f.job.open(f.model, cutoff, remove)
	f.label = "directions of the data are beyond the calibrated range and rebuilt from the others"
	f.Reset()
	in.Delay += float64(f.hold) / in.Rate
	in.Settle += float64(len(f.h)-1+parts*f.step) / in.Rate
	return in, nil
}

// Process cleans a chunk.
func (f *ASR) Process(dst, src *stream.Chunk) {
	if begin(dst, src, f.started, f.next) {
		f.Reset()
	}
	f.waiting.add(src)
	dst.Resize(0)
	dst.Seq = src.Seq
	if src.Len == 0 {
		f.waiting.keep()
		return
	}
	f.started, f.next = true, src.Seq+int64(src.Len)
	f.shape(src)
	in := f.line.clean
	in.Flags &^= stream.Gap | stream.Restart // the history has been emptied already
	f.history.Push(in, 0, in.Len)
	ready := min(f.history.Len()-f.hold, src.Len)
	w := f.history.Last(f.history.Len())
	skip := src.Len - max(0, ready)
	dst.Resize(src.Len - skip)
	dst.Seq += int64(skip)
	if skip > 0 && dst.Len > 0 {
		dst.T0 += stream.Time(math.Round(float64(skip) / f.rate * 1e9))
	}
	for i := range src.Len {
		seq := src.Seq + int64(i)
		at := seq - floorDiv(seq, int64(f.step))*int64(f.step)
		if at == 0 {
			f.boundary(dst, seq, src.T0+stream.Time(math.Round(float64(i)/f.rate*1e9)))
		}
		f.add(&f.now, i, src.Len)
		if i < skip {
			continue
		}
		from, to := w.Len-(src.Len-i)-f.hold, i-skip
		for k := range dst.Tiles() {
			dst.Tile(k)[to] = w.Tile(k)[from]
			if b := w.Bad(k)[from]; b != 0 {
				dst.Bad(k)[to] = b
				dst.Flags |= stream.Bad
			}
		}
		if !f.old || !f.same {
			f.apply(dst, to, (1-math.Cos(math.Pi*float64(at+1)/float64(f.step)))/2)
		}
		f.waiting.place(dst, to, i+1)
	}
	f.waiting.keep()
}

// boundary ends a step: what was decided one step ago begins to fade in, and the next
// decision is started.
func (f *ASR) boundary(dst *stream.Chunk, seq int64, at stream.Time) {
	f.before, f.r = f.r, f.before
	f.old = f.same
	if f.job.busy {
		f.job.wait()
		f.job.busy = false
		f.same = f.job.same
		copy(f.r, f.job.r)
		if f.old && !f.same {
			dst.Events = append(dst.Events, stream.Event{Kind: stream.EventArtifact, Seq: seq, Time: at, Count: int64(f.job.removed), Origin: "asr", Detail: f.label})
		}
	} else {
		copy(f.r, f.before)
	}
	if f.now.n == f.step {
		f.parts[f.turn], f.now = f.now, f.parts[f.turn]
		f.turn = (f.turn + 1) % len(f.parts)
		if f.whole++; f.whole >= len(f.parts) {
			// From the oldest on, so that the sum does not depend on the turn.
			covariance(f.job.c, f.job.means, f.inOrder())
			f.job.start()
		}
	}
	f.now.clear()
}

// inOrder turns parts so that the oldest is the first.
func (f *ASR) inOrder() []asrPart {
	for f.turn > 0 {
		first := f.parts[0]
		copy(f.parts, f.parts[1:])
		f.parts[len(f.parts)-1] = first
		f.turn--
	}
	return f.parts
}

// apply replaces column i by (1−b) before·x + b·r·x.
func (f *ASR) apply(dst *stream.Chunk, i int, b float64) {
	for j, ch := range f.rows {
		f.x[j] = dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
	}
	n := len(f.x)
	for j, ch := range f.rows {
		was, is := f.x[j], f.x[j]
		if !f.old {
			was = product(f.before[j*n:(j+1)*n], f.x)
		}
		if !f.same {
			is = product(f.r[j*n:(j+1)*n], f.x)
		}
		dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes] = was + float64(b*(is-was))
	}
}

func product(a, x []float64) float64 {
	s := 0.0
	for j, v := range x {
		s += float64(a[j] * v)
	}
	return s
}

// Reset forgets the past.
func (f *ASR) Reset() {
	if f.job.busy {
		f.job.wait()
		f.job.busy = false
	}
	if f.history == nil {
		return
	}
	f.started, f.next = false, 0
	f.line.reset()
	f.history.Reset()
	f.waiting = f.waiting[:0]
	f.now.clear()
	f.turn, f.whole = 0, 0
	for i := range f.parts {
		f.parts[i].clear()
	}
	f.old, f.same = true, true
	clear(f.before)
	clear(f.r)
}

// Snapshot appends the state.
func (f *ASR) Snapshot(dst []byte) []byte {
	if f.job.busy {
		f.job.wait()
	}
	f.inOrder()
	w := stream.StateWriter{Buf: dst}
	w.Bool(f.started)
	w.Int(f.next)
	f.line.write(&w)
	f.waiting.write(&w)
	for _, p := range append(f.parts[:len(f.parts):len(f.parts)], f.now) {
		w.Floats(p.products)
		w.Floats(p.sums)
		w.Int(int64(p.n))
	}
	w.Int(int64(f.whole))
	w.Bool(f.old)
	w.Bool(f.same)
	w.Floats(f.before)
	w.Floats(f.r)
	w.Bool(f.job.busy)
	w.Bool(f.job.same)
	w.Int(int64(f.job.removed))
	w.Floats(f.job.r)
	return f.history.Snapshot(w.Buf)
}

// Restore sets it.
func (f *ASR) Restore(state []byte) error {
	f.Reset()
	r := stream.StateReader{Buf: state}
	f.started, f.next = r.Bool(), r.Int()
	f.line.read(&r)
	f.waiting.read(&r)
	part := func(p *asrPart) {
		r.Floats(p.products)
		r.Floats(p.sums)
		p.n = int(r.Int())
	}
	for i := range f.parts {
		part(&f.parts[i])
	}
	part(&f.now)
	f.whole = int(r.Int())
	f.old, f.same = r.Bool(), r.Bool()
	r.Floats(f.before)
	r.Floats(f.r)
	f.job.busy, f.job.same, f.job.removed = r.Bool(), r.Bool(), int(r.Int())
	f.job.done = f.job.busy
	r.Floats(f.job.r)
	f.history.Restore(&r)
	return r.Err()
}
