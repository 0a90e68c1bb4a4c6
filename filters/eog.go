package filters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"neurostream/stream"
)

// eyes finds the EOG channels, named or by type, and the channels of the brain.
func eyes(named []string, in *stream.Header) (eog, eeg []int, err error) {
	if len(named) == 0 {
		for ch := range in.Channels {
			if strings.EqualFold(in.Channels[ch].Type, "EOG") {
				eog = append(eog, ch)
			}
		}
		if len(eog) == 0 {
			return nil, nil, errors.New("no channel is of type EOG; name the ones beside the eyes: channels: [...]")
		}
	} else if eog, err = find("channels", named, in); err != nil {
		return nil, nil, err
	}
	for _, ch := range brain(in) {
		isEye := false
		for _, e := range eog {
			isEye = isEye || e == ch
		}
		if !isEye {
			eeg = append(eeg, ch)
		}
	}
	if len(eeg) == 0 {
		return nil, nil, errors.New("all channels are EOG; there is nothing to clean")
	}
	if len(eog) > 64 {
		return nil, nil, fmt.Errorf("%d EOG channels are too many; the most is 64", len(eog))
	}
	return eog, eeg, nil
}

// EOGRegression takes out of every channel of the brain what it picks up of the eyes:
//
//	y = x − B (e − ē),  B = X_c E_cᵀ (E_c E_cᵀ)⁻¹
//
// with B and the means ē learned from a recording (Gratton, Coles and Donchin 1983;
// MNE's EOGRegression). High-pass both at 1 Hz before. The EOG channels stay as they
// are. Where one of them is bad, so is what was cleaned with it.
type EOGRegression struct {
	Channels []string // labels of the EOG channels; none = those of type EOG

	model    *eogModel
	eog, eeg []int
	rest     []uint8 // by tile: rows of the brain
	last     [][stream.Lanes]float64
	e        []float64
}

// eogModel is what a regression learned.
type eogModel struct {
	EOG          []string    `json:"eog"`
	EEG          []string    `json:"eeg"`
	Means        []float64   `json:"means"`        // of the EOG channels
	Coefficients [][]float64 `json:"coefficients"` // by channel, by EOG channel
}

// Learn implements Learner: columns with a bad sample are left out.
func (f *EOGRegression) Learn(ctx context.Context, in stream.Header, next func() (*stream.Chunk, error)) error {
	eog, eeg, err := eyes(f.Channels, &in)
	if err != nil {
		return err
	}
	rows := append(append([]int(nil), eog...), eeg...)
	// Sums of (x − first) and of products with the EOG channels: the shift keeps offsets
	// from swallowing the digits.
	var first []float64
	r := len(eog)
	sums, products, v := make([]float64, len(rows)), make([]float64, len(rows)*r), make([]float64, len(rows))
	n := 0
	err = eachChunk(ctx, next, func(c *stream.Chunk) {
		for i := range c.Len {
			good := true
			for j, ch := range rows {
				v[j] = c.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
				good = good && math.Abs(v[j]) <= maxValue && !c.IsBad(ch, i)
			}
			if !good {
				continue
			}
			if first == nil {
				first = append([]float64(nil), v...)
			}
			n++
			for j := range v {
				v[j] -= first[j]
				sums[j] += v[j]
				for k := range r {
					products[j*r+k] += v[j] * v[k]
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if n < 10*(r+1) {
		return fmt.Errorf("%d good columns are too few to learn from; at least %d are needed", n, 10*(r+1))
	}
	centred := func(j, k int) float64 { return products[j*r+k] - sums[j]*sums[k]/float64(n) }
	see := mat.NewSymDense(r, nil)
	for j := range r {
		if !(centred(j, j) > 0) {
			return fmt.Errorf("EOG channel %q does not move in the recording; leave it out", in.Channels[eog[j]].Label)
		}
		for k := range j + 1 {
			see.SetSym(j, k, centred(j, k))
		}
	}
	var c mat.Cholesky
	if !c.Factorize(see) || c.Cond() > 1e12 {
		return errors.New("the EOG channels say the same thing; name fewer")
	}
	m := &eogModel{EOG: labelsOf(&in, eog), EEG: labelsOf(&in, eeg)}
	for j := range r {
		m.Means = append(m.Means, first[j]+sums[j]/float64(n))
	}
	for j := range eeg {
		b, x := mat.NewVecDense(r, nil), mat.NewVecDense(r, nil)
		for k := range r {
			b.SetVec(k, centred(r+j, k))
		}
		if err := c.SolveVecTo(x, b); err != nil {
			return err
		}
		m.Coefficients = append(m.Coefficients, x.RawVector().Data)
	}
	f.model = m
	return nil
}

// SaveModel implements Learner.
func (f *EOGRegression) SaveModel() (json.RawMessage, error) {
	if f.model == nil {
		return nil, ErrUntrained
	}
	return json.Marshal(f.model)
}

// LoadModel implements Learner.
func (f *EOGRegression) LoadModel(b json.RawMessage) error {
	m := new(eogModel)
	if err := decodeModel(b, m); err != nil {
		return err
	}
	if len(m.EOG) == 0 || len(m.Means) != len(m.EOG) || len(m.Coefficients) != len(m.EEG) {
		return errors.New("the model's sizes do not fit together; train again")
	}
	for _, row := range append(m.Coefficients, m.Means) {
		if len(row) != len(m.EOG) {
			return errors.New("the model's sizes do not fit together; train again")
		}
		for _, v := range row {
			if !(math.Abs(v) <= maxValue) {
				return errors.New("the model holds impossible numbers; train again")
			}
		}
	}
	f.model = m
	return nil
}

// Open compares the stream with the model.
func (f *EOGRegression) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if f.model == nil {
		return stream.Header{}, ErrUntrained
	}
	var err error
	if f.eog, f.eeg, err = eyes(f.Channels, &in); err != nil {
		return stream.Header{}, err
	}
	if err = sameLabels(f.model.EOG, &in, f.eog); err != nil {
		return stream.Header{}, err
	}
	if err = sameLabels(f.model.EEG, &in, f.eeg); err != nil {
		return stream.Header{}, err
	}
	f.rest = rowMask(f.eeg, in.Rows())
	f.last, f.e = make([][stream.Lanes]float64, len(f.rest)), make([]float64, len(f.eog))
	return in, nil
}

// Process subtracts the eyes.
func (f *EOGRegression) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() {
		f.Reset()
	}
	for k := range src.Tiles() {
		clean(dst, src, k, &f.last[k])
	}
	for i := range dst.Len {
		bad := false
		for j, ch := range f.eog {
			f.e[j] = dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes] - f.model.Means[j]
			bad = bad || dst.IsBad(ch, i)
		}
		for c, ch := range f.eeg {
			x := &dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
			for j, w := range f.model.Coefficients[c] {
				*x -= float64(w * f.e[j])
			}
		}
		if bad {
			for k, m := range f.rest {
				dst.Bad(k)[i] |= m
			}
		}
	}
}

// Reset forgets the last good values.
func (f *EOGRegression) Reset() { clear(f.last) }

// Snapshot appends the state.
func (f *EOGRegression) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Tiles(f.last)
	return w.Buf
}

// Restore sets it.
func (f *EOGRegression) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	r.Tiles(f.last)
	return r.Err()
}

// EOGAdaptive is EOG regression that learns while it runs, by recursive least squares
// with forgetting λ, for every column
//
//	k = P e/(λ + eᵀP e);  y = x − W e;  W += y kᵀ;  P = (P − k eᵀP)/λ
//
// y is put out. W and P change only while an eye moves, that is while an EOG channel is
// beyond Threshold times its running median magnitude, so that the brain does not leak
// into W. P is made symmetric after every step and set anew when its trace exceeds 1e6
// or it is not positive. High-pass at 1 Hz before. Cost: C·r + r² multiplications a
// column for r EOG channels.
type EOGAdaptive struct {
	Channels   []string // labels of the EOG channels; none = those of type EOG
	Forgetting float64  // λ per column, 0.9 to 1; 0 = 0.9995
	Threshold  float64  // 0 = 3; negative = learn from every column

	eog, eeg []int
	rest     []uint8
	last     [][stream.Lanes]float64
	w        []float64 // by EEG channel, by EOG channel
	p        []float64
	scale    []float64 // running median of |e|; 0 = not started
	e, k     []float64
	grow     float64
}

// Open finds the channels.
func (f *EOGAdaptive) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if in.Rate == 0 {
		return stream.Header{}, errIrregular
	}
	if f.Forgetting != 0 && !(f.Forgetting >= 0.9 && f.Forgetting <= 1) {
		return stream.Header{}, fmt.Errorf("forgetting %v is impossible; allowed are 0.9 to 1", f.Forgetting)
	}
	var err error
	if f.eog, f.eeg, err = eyes(f.Channels, &in); err != nil {
		return stream.Header{}, err
	}
	r := len(f.eog)
	f.rest = rowMask(f.eeg, in.Rows())
	f.last, f.w, f.p = make([][stream.Lanes]float64, len(f.rest)), make([]float64, len(f.eeg)*r), make([]float64, r*r)
	f.e, f.k, f.scale = make([]float64, r), make([]float64, r), make([]float64, r)
	f.grow = 1 + 2/max(in.Rate, 2)
	f.Reset()
	return in, nil
}

// Process subtracts the eyes and learns.
func (f *EOGAdaptive) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() {
		f.Reset()
	}
	for k := range src.Tiles() {
		clean(dst, src, k, &f.last[k])
	}
	threshold := f.Threshold
	if threshold == 0 {
		threshold = 3
	}
	for i := range dst.Len {
		bad, learn := false, threshold < 0
		for j, ch := range f.eog {
			v := dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
			f.e[j] = v
			if dst.Flags&stream.Bad != 0 && dst.IsBad(ch, i) {
				bad = true
				continue
			}
			// The median of |e|, in steps of the rate that are up as often as down.
			switch a := math.Abs(v); {
			case f.scale[j] == 0:
				f.scale[j] = max(a, 1e-9)
			case a > f.scale[j]:
				learn = learn || a > threshold*f.scale[j]
				f.scale[j] = min(f.scale[j]*f.grow, maxValue)
			default:
				f.scale[j] = max(f.scale[j]/f.grow, 1e-9)
			}
		}
		f.step(dst, i, learn && !bad)
		if bad {
			for k, m := range f.rest {
				dst.Bad(k)[i] |= m
			}
		}
	}
}

// step cleans one column and, when learn is set, updates W and P.
func (f *EOGAdaptive) step(dst *stream.Chunk, i int, learn bool) {
	r := len(f.e)
	if learn {
		lambda := f.Forgetting
		if lambda == 0 {
			lambda = 0.9995
		}
		den := lambda
		for a := range r {
			f.k[a] = 0
			for b := range r {
				f.k[a] += float64(f.p[a*r+b] * f.e[b])
			}
			den += float64(f.e[a] * f.k[a])
		}
		for a := range f.k {
			f.k[a] /= den
		}
		f.shrink(den, lambda)
	}
	for c, ch := range f.eeg {
		x := &dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes]
		w := f.w[c*r : (c+1)*r]
		for j := range w {
			*x -= float64(w[j] * f.e[j])
		}
		if learn && (dst.Flags&stream.Bad == 0 || !dst.IsBad(ch, i)) {
			for j := range w {
				w[j] += float64(*x * f.k[j])
			}
		}
	}
}

// shrink is P = (P − k eᵀP)/λ, symmetric: eᵀP is den·k.
func (f *EOGAdaptive) shrink(den, lambda float64) {
	r := len(f.e)
	trace, positive := 0.0, true
	for a := range r {
		for b := a; b < r; b++ {
			v := ((f.p[a*r+b] - float64(f.k[a]*f.k[b])*den) + (f.p[b*r+a] - float64(f.k[b]*f.k[a])*den)) / 2 / lambda
			f.p[a*r+b], f.p[b*r+a] = v, v
		}
		trace += f.p[a*r+a]
		positive = positive && f.p[a*r+a] > 0
	}
	if !(positive && trace <= 1e6) {
		f.prior()
	}
}

// prior is P before anything was learned: the identity over 0.01.
func (f *EOGAdaptive) prior() {
	clear(f.p)
	for j := range f.e {
		f.p[j*len(f.e)+j] = 100
	}
}

// Reset forgets what was learned.
func (f *EOGAdaptive) Reset() {
	clear(f.last)
	clear(f.w)
	clear(f.scale)
	f.prior()
}

// Snapshot appends the state.
func (f *EOGAdaptive) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Tiles(f.last)
	w.Floats(f.w)
	w.Floats(f.p)
	w.Floats(f.scale)
	return w.Buf
}

// Restore sets it.
func (f *EOGAdaptive) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	r.Tiles(f.last)
	r.Floats(f.w)
	r.Floats(f.p)
	r.Floats(f.scale)
	return r.Err()
}
