package decoders

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
)

// tracker is what differs between decoders of kinematics. Features arrive
// conditioned; the estimate is that of centred targets.
type tracker interface {
	dims() (features, outputs int)
	reset()
	update(x []float64)
	skip()                                       // a column without usable data: predict only
	estimate() []float64                         // valid until the next call
	health() (fallback bool, innovation float64) // of the last update
	snapshot(w *stream.StateWriter)
	restore(r *stream.StateReader)
}

// TypeHealth is the type of rows that say how well a decoder is doing.
const TypeHealth = "health"

// conditioning makes features comparable before any decoder sees them.
type conditioning struct {
	Rows   []string         `json:"rows"`   // labels of the input rows
	Units  []string         `json:"units"`  // their units
	Rate   float64          `json:"rate"`   // columns per second, 0 = irregular
	Mean   []float64        `json:"mean"`   // of each input row; empty = 0
	Scale  []float64        `json:"scale"`  // divisor of each input row; empty = 1
	Offset []float64        `json:"offset"` // added to each output; empty = 0
	Output []stream.Channel `json:"output"`
}

// learnConditioning measures rows; raw leaves values as they are.
func learnConditioning(rows *Rows, raw bool) (c conditioning, err error) {
	if rows.Target == nil {
		return c, errors.New("a decoder of kinematics is trained on target values (Rows.Target), and there are none")
	}
	if err := checkExamples(rows.X, rows.Target); err != nil {
		return c, err
	}
	n, d := len(rows.X[0]), len(rows.Target[0])
	if h := rows.Header.Rows(); h != n {
		return c, fmt.Errorf("the stream has %d rows, the training examples %d", h, n)
	}
	if len(rows.Targets) != d {
		return c, fmt.Errorf("%d targets are described, the training examples have %d", len(rows.Targets), d)
	}
	c.Rate = rows.Header.Rate
	for _, ch := range rows.Header.Channels {
		c.Rows, c.Units = append(c.Rows, ch.Label), append(c.Units, ch.Unit)
	}
	for _, ch := range rows.Targets {
		c.Output = append(c.Output, stream.Channel{Label: ch.Label, Unit: ch.Unit, Type: TypeKinematic})
	}
	if raw {
		return c, nil
	}
	c.Mean, c.Scale, c.Offset = columnMeans(rows.X), make([]float64, n), columnMeans(rows.Target)
	for i := range n {
		s := 0.0
		for t := range rows.X {
			e := rows.X[t][i] - c.Mean[i]
			s += float64(e * e)
		}
		c.Scale[i] = math.Sqrt(s / float64(max(1, len(rows.X)-1)))
		if !(c.Scale[i] > 1e-12*math.Abs(c.Mean[i])) || c.Scale[i] == 0 {
			return c, fmt.Errorf("row %q is constant over the training data; remove it", c.Rows[i])
		}
	}
	return c, nil
}

// apply returns conditioned copies of examples and centred copies of targets.
func (c *conditioning) apply(rows *Rows, saturate float64) (x, z [][]float64) {
	x, z = make([][]float64, len(rows.X)), make([][]float64, len(rows.X))
	for t := range rows.X {
		x[t] = make([]float64, len(rows.X[t]))
		c.features(x[t], rows.X[t], saturate)
		z[t] = append([]float64(nil), rows.Target[t]...)
		for i := range c.Offset {
			z[t][i] -= c.Offset[i]
		}
	}
	return x, z
}

// features conditions one column; limit 0 means none. It reports false, and leaves
// dst undefined, when a value is not a number.
func (c *conditioning) features(dst, src []float64, limit float64) bool {
	if c.Mean != nil {
		if limit <= 0 {
			limit = math.Inf(1)
		}
		return dense.Condition(dst, src, c.Mean, c.Scale, limit)
	}
	copy(dst, src)
	return allFinite(src)
}

func (c *conditioning) validate() error {
	n, d := len(c.Rows), len(c.Output)
	switch {
	case n == 0 || d == 0:
		return errors.New("the model names no input rows or no outputs")
	case len(c.Units) != n:
		return fmt.Errorf("the model has %d rows but %d units", n, len(c.Units))
	case (c.Mean != nil || c.Scale != nil) && (len(c.Mean) != n || len(c.Scale) != n):
		return fmt.Errorf("the model has %d rows but %d means and %d scales", n, len(c.Mean), len(c.Scale))
	case c.Offset != nil && len(c.Offset) != d:
		return fmt.Errorf("the model has %d outputs but %d offsets", d, len(c.Offset))
	}
	for i := range c.Scale {
		if !(c.Scale[i] > 0) || math.IsInf(c.Scale[i], 0) || c.Mean[i]-c.Mean[i] != 0 {
			return fmt.Errorf("the model scales row %q by %v around %v", c.Rows[i], c.Scale[i], c.Mean[i])
		}
	}
	for i, v := range c.Offset {
		if v-v != 0 {
			return fmt.Errorf("the model offsets output %d by %v", i+1, v)
		}
	}
	return nil
}

// fits says why the model cannot decode a stream with header h.
func (c *conditioning) fits(h *stream.Header) error {
	if len(h.Channels) != len(c.Rows) {
		return fmt.Errorf("the model was trained on %d rows (%s …), this stream has %d; train on this pipeline", len(c.Rows), c.Rows[0], len(h.Channels))
	}
	for i, ch := range h.Channels {
		if ch.Label != c.Rows[i] {
			return fmt.Errorf("row %d is %q, the model was trained with %q there; train on this pipeline", i+1, ch.Label, c.Rows[i])
		}
		if ch.Unit != c.Units[i] {
			return fmt.Errorf("row %q is in %q, the model was trained on %q; train on this pipeline", ch.Label, ch.Unit, c.Units[i])
		}
	}
	if math.Abs(h.Rate-c.Rate) > 0.01*c.Rate {
		return fmt.Errorf("the model was trained at %g columns per second, this stream has %g; the state moves once per column, so train at this rate", c.Rate, h.Rate)
	}
	return nil
}

// track runs a tracker as a stage.
type track struct {
	c       conditioning
	t       tracker
	limit   float64
	rows    bool // publish health rows
	raw, x  []float64
	rate    float64 // running fallbacks per second
	forget  float64
	perStep float64
	period  float64 // seconds of a column; 0 = irregular

	count        Fallbacks
	span, inSpan int64 // columns after which fallbacks are told, and how many have passed
	fell         int64 // fallbacks among them
}

// Fallbacks counts what a decoder of kinematics could not do as it was meant.
type Fallbacks struct {
	Columns   int64 `json:"columns"`   // decoded
	Fallbacks int64 `json:"fallbacks"` // of them with a simpler update than the mode's
	Unusable  int64 `json:"unusable"`  // of them only predicted: a row was bad or no number
}

// Fallbacks returns the counts since Open. The goroutine that calls Process may call it.
func (k *track) Fallbacks() Fallbacks { return k.count }

func (k *track) open(in stream.Header, c conditioning, t tracker, saturate float64, health bool) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if err := c.fits(&in); err != nil {
		return stream.Header{}, err
	}
	n, d := t.dims()
	if n != len(c.Rows) || d != len(c.Output) {
		return stream.Header{}, fmt.Errorf("the model decodes %d features to %d outputs but describes %d and %d", n, d, len(c.Rows), len(c.Output))
	}
	*k = track{c: c, t: t, limit: saturate, rows: health, raw: make([]float64, n), x: make([]float64, n)}
	k.perStep, k.forget, k.span = 1, 0.01, 1000
	if in.Rate > 0 {
		k.perStep, k.forget, k.period = in.Rate, -math.Expm1(-1/(10*in.Rate)), 1/in.Rate
		k.span = max(10, int64(math.Round(10*in.Rate)))
	}
	out := in
	out.Channels = slices.Clone(c.Output)
	if health {
		out.Channels = append(
			out.Channels,
			stream.Channel{Label: "fallbacks", Unit: "1/s", Type: TypeHealth},
			stream.Channel{Label: "innovation", Type: TypeHealth},
		)
	}
	k.Reset()
	return out, nil
}

// Reset returns to the state after Open.
func (k *track) Reset() {
	k.count = Fallbacks{}
	k.restart()
}

// restart forgets what came before a break; what was counted stays.
func (k *track) restart() {
	k.rate, k.inSpan, k.fell = 0, 0, 0
	if k.t != nil {
		k.t.reset()
	}
}

// Process decodes every column. A column with an unusable row is only predicted,
// and its outputs are marked.
func (k *track) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		k.restart()
	}
	for i := range src.Len {
		src.Column(k.raw, i)
		ok := k.c.features(k.x, k.raw, k.limit) && !columnMarked(src, i)
		if ok {
			k.t.update(k.x)
		} else {
			k.t.skip()
		}
		for o, v := range k.t.estimate() {
			if k.c.Offset != nil {
				v += k.c.Offset[o]
			}
			dst.Set(o, i, v)
		}
		if !ok {
			markColumn(dst, i)
		}
		fell, innovation := k.t.health()
		k.rate -= k.forget * k.rate
		k.count.Columns++
		if !ok {
			k.count.Unusable++
		}
		if fell {
			k.rate += k.forget * k.perStep
			k.count.Fallbacks++
			k.fell++
		}
		if k.inSpan++; k.inSpan == k.span {
			if 5*k.fell > k.span { // the exception has become the rule
				dst.Events = append(dst.Events, stream.Event{
					Kind: stream.EventFallback, Seq: src.Seq + int64(i), Time: src.T0 + stream.Time(math.Round(float64(i)*k.period*1e9)), Count: k.fell,
					Origin: "decoder", Detail: "Q(x) is not smaller than the prior, or no precision was left: train on more data, or use mode robust",
				})
			}
			k.inSpan, k.fell = 0, 0
		}
		if k.rows {
			d := len(k.c.Output)
			dst.Set(d, i, k.rate)
			dst.Set(d+1, i, innovation)
		}
	}
}

// FallbackRate returns how often per second the last columns fell back to a simpler
// update or could not be used as trained, averaged over about ten seconds.
func (k *track) FallbackRate() float64 { return k.rate }

// Snapshot appends the state.
func (k *track) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Float(k.rate)
	for _, v := range []int64{k.inSpan, k.fell, k.count.Columns, k.count.Fallbacks, k.count.Unusable} {
		w.Int(v)
	}
	k.t.snapshot(&w)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (k *track) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	rate := r.Float()
	var v [5]int64
	for i := range v {
		v[i] = r.Int()
	}
	k.t.restore(&r)
	if err := r.Err(); err != nil {
		k.Reset()
		return err
	}
	k.rate, k.inSpan, k.fell, k.count = rate, v[0], v[1], Fallbacks{v[2], v[3], v[4]}
	return nil
}

// saturation maps the setting to a limit: 0 is the default of 3 deviations, a
// negative value is none.
func saturation(s float64) (float64, error) {
	switch {
	case s == 0:
		return 3, nil
	case s < 0:
		return 0, nil
	case s != s || s < 0.5:
		return 0, fmt.Errorf("saturate %v: give at least 0.5 standard deviations, 0 for 3, or -1 for none", s)
	}
	return s, nil
}

// decodeModel reads a model that must be of one kind, without unknown fields.
func decodeModel(raw json.RawMessage, kind string, dst any) error {
	var head struct {
		Format int    `json:"format"`
		Kind   string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	if head.Kind != kind {
		return fmt.Errorf("this is a model of kind %q; the stage needs %q", head.Kind, kind)
	}
	if head.Format != 1 {
		return fmt.Errorf("model format %d; this version reads format 1", head.Format)
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	return nil
}

// kalmanFile is the model of a linear filter.
type kalmanFile struct {
	Format int    `json:"format"`
	Kind   string `json:"kind"`
	conditioning
	Kalman KalmanModel `json:"kalman"`
}

var _ tracker = (*kalman)(nil)

// quantile returns the q-quantile of v, which it sorts.
func quantile(v []float64, q float64) float64 {
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func norms(z [][]float64) []float64 {
	out := make([]float64, len(z))
	for t := range z {
		out[t] = math.Sqrt(dense.Dot(z[t], z[t]))
	}
	return out
}
