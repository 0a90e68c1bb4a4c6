package filters

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Quality marks channels that cannot be used, and says why. Time is cut into blocks of
// a second, counted from the start of the stream; at the end of each every check looks
// at every channel of the brain. A channel is marked from the moment that BadAfter
// blocks in a row were bad, or one for checks that are certain at once, until GoodAfter
// blocks in a row were good. The samples stay as they are.
//
// Events: EventChannelBad with the columns that led to it and the reason,
// EventChannelGood with the columns that were marked, EventBadSamples for a pop, once a
// second and channel.
type Quality struct {
	Checks    []Check // of different types
	BadAfter  int     // blocks; 0 = 3
	GoodAfter int     // blocks; 0 = 10

	rate      float64
	rows      []int
	block     int64
	history   *stream.History
	last      [][stream.Lanes]float64
	clean     *stream.Chunk
	row       []float64
	scratch   []float64
	parts     []asrPart // one: sums over the running block
	shift     []float64 // of the running block: its first column
	cov       []float64
	corr      []float64
	x         []float64
	spectra   *bandPowers
	powers    [][stream.Lanes]float64
	correlate bool

	started  bool
	next     int64
	seen     int64 // columns of the running block
	state    []channelState
	previous [][stream.Lanes]float64 // the column before
	pops     []*Pop
	flats    []*FlatLine
	reasons  [][]string // by check, by channel
	good     []string
	measured [][]float64 // by check, by channel: what was measured in the block
}

// channelState is the hysteresis of one channel.
type channelState struct {
	bad       bool
	badRun    int64 // bad blocks in a row
	goodRun   int64 // good ones
	marked    int64 // columns since it became bad
	flat      int64 // columns without a change
	popUntil  int64 // column up to which a pop marks
	popToldTo int64 // column up to which a pop is no news
}

// Check is one of FlatLine, Saturation, Amplitude, LineNoise, HighFrequency, Deviation,
// Correlation and Pop.
type Check interface {
	// reason completes "C3: ...".
	reason() string
	// valid says what is wrong with the settings, at this rate.
	valid(rate float64) error
	// verdict says whether a measured value is bad, and whether that is certain at once.
	verdict(v float64) (bad, atOnce bool)
}

// FlatLine is bad once successive samples differ by at most Eps for Seconds.
type FlatLine struct {
	Eps     float64 // unit of the channel; 0 = 1e-6
	Seconds float64 // 0 = 5
}

// Saturation is bad when more than Share of a second is at or beyond ±Limit, or, where
// no limit is known, at the extremes of that second.
type Saturation struct {
	Limit float64 // unit of the channel; 0 = the extremes
	Share float64 // 0 = 0.01
}

// Amplitude is bad when the peak-to-peak amplitude of a second exceeds Max.
type Amplitude struct {
	Max float64 // unit of the channel; 0 = 200
}

// LineNoise is bad when the power within 1 Hz of Freq exceeds Ratio times that from 1 to
// 40 Hz.
type LineNoise struct {
	Freq  float64 // Hz; 0 = 50
	Ratio float64 // 0 = 4
}

// HighFrequency is bad when the power from 70 to 110 Hz, as muscle makes it, exceeds
// Ratio times that from 1 to 40 Hz.
type HighFrequency struct {
	Ratio float64 // 0 = 1
}

// Deviation is bad when the logarithm of the standard deviation of a second is Z robust
// standard deviations off those of the other channels.
type Deviation struct {
	Z float64 // 0 = 5
}

// Correlation is bad when the correlation with every other channel stays below Min for a
// second: a channel that sees no brain.
type Correlation struct {
	Min float64 // 0 = 0.4
}

// Pop marks Hold seconds from a sample that differs by more than Max from the one before.
type Pop struct {
	Max  float64 // unit of the channel; 0 = 100
	Hold float64 // s; 0 = 0.1
}

func or0(v, initial float64) float64 {
	if v == 0 {
		return initial
	}
	return v
}

func (c *FlatLine) reason() string      { return "flat line" }
func (c *Saturation) reason() string    { return "saturated" }
func (c *Amplitude) reason() string     { return "amplitude too large" }
func (c *LineNoise) reason() string     { return "line noise" }
func (c *HighFrequency) reason() string { return "high frequencies, as of a muscle" }
func (c *Deviation) reason() string     { return "amplitude unlike the other channels" }
func (c *Correlation) reason() string   { return "correlated with no other channel" }
func (c *Pop) reason() string           { return "popped" }

func (c *FlatLine) verdict(float64) (bool, bool) { return false, false } // judged by the sample
func (c *Pop) verdict(float64) (bool, bool)      { return false, false }
func (c *Saturation) verdict(v float64) (bool, bool) {
	return v > or0(c.Share, 0.01), true
}
func (c *Amplitude) verdict(v float64) (bool, bool)     { return v > or0(c.Max, 200), false }
func (c *LineNoise) verdict(v float64) (bool, bool)     { return v > or0(c.Ratio, 4), false }
func (c *HighFrequency) verdict(v float64) (bool, bool) { return v > or0(c.Ratio, 1), false }
func (c *Deviation) verdict(v float64) (bool, bool)     { return math.Abs(v) > or0(c.Z, 5), false }
func (c *Correlation) verdict(v float64) (bool, bool)   { return v < or0(c.Min, 0.4), false }

// within reports a setting that is neither 0 nor in its range.
func within(check, setting string, v, least, most float64, unit string) error {
	if v != 0 && !(v >= least && v <= most) {
		return fmt.Errorf("%s: %s %v is impossible; allowed are %v to %v%s", check, setting, v, least, most, unit)
	}
	return nil
}

func (c *FlatLine) valid(float64) error {
	return cmp.Or(within("flat", "eps", c.Eps, 0, 1e6, ""), within("flat", "seconds", c.Seconds, 0.01, 3600, " s"))
}

func (c *Saturation) valid(float64) error {
	return cmp.Or(within("saturation", "limit", c.Limit, 1e-12, 1e12, ""), within("saturation", "share", c.Share, 1e-6, 1, ""))
}

func (c *Amplitude) valid(float64) error { return within("amplitude", "max", c.Max, 1e-12, 1e12, "") }

func (c *LineNoise) valid(rate float64) error {
	if f := or0(c.Freq, 50); !(f >= 2 && f+1 < rate/2) {
		return fmt.Errorf("line: %v Hz cannot be seen at %v Hz; allowed are 2 to %v Hz", f, rate, rate/2-1)
	}
	return within("line", "ratio", c.Ratio, 1e-6, 1e6, "")
}

func (c *HighFrequency) valid(rate float64) error {
	if rate < 220 {
		return fmt.Errorf("high-frequency: 110 Hz cannot be seen at %v Hz; leave this check out", rate)
	}
	return within("high-frequency", "ratio", c.Ratio, 1e-6, 1e6, "")
}

func (c *Deviation) valid(float64) error   { return within("deviation", "z", c.Z, 0.1, 1e6, "") }
func (c *Correlation) valid(float64) error { return within("correlation", "min", c.Min, 1e-6, 1, "") }

func (c *Pop) valid(float64) error {
	return cmp.Or(within("pop", "max", c.Max, 1e-12, 1e12, ""), within("pop", "hold", c.Hold, 1e-6, 10, " s"))
}

// Open finds the channels and prepares the checks.
func (f *Quality) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	if in.Rate == 0 {
		return stream.Header{}, errIrregular
	}
	if len(f.Checks) == 0 {
		return stream.Header{}, errors.New("checks is empty; name at least one, e.g. [flat, saturation, amplitude]")
	}
	f.block = int64(math.Round(in.Rate))
	if f.block < 8 || f.block > 1<<20 {
		return stream.Header{}, fmt.Errorf("the checks look at seconds of 8 to %d samples, not at %v Hz", 1<<20, in.Rate)
	}
	if cells := float64(stream.TilesFor(in.Rows())) * 8 * float64(3*f.block); cells > 1<<27 {
		return stream.Header{}, fmt.Errorf("a second of %d channels at %v Hz is too much to keep; decimate first", in.Rows(), in.Rate)
	}
	f.rate, f.rows = in.Rate, brain(&in)
	n := len(f.rows)
	f.pops, f.flats, f.reasons, f.measured, f.spectra, f.correlate = nil, nil, nil, nil, nil, false
	line, high := 50.0, false
	kinds := map[string]bool{}
	for _, c := range f.Checks {
		if err := c.valid(in.Rate); err != nil {
			return stream.Header{}, err
		}
		kind := fmt.Sprintf("%T", c)
		if kinds[kind] {
			return stream.Header{}, fmt.Errorf("the check for %q is listed twice", c.reason())
		}
		kinds[kind] = true
		switch c := c.(type) {
		case *Pop:
			f.pops = append(f.pops, c)
		case *FlatLine:
			f.flats = append(f.flats, c)
		case *LineNoise:
			line, high = or0(c.Freq, 50), true
		case *HighFrequency:
			high = true
		case *Correlation:
			f.correlate = true
			if n < 2 || n > 1024 {
				return stream.Header{}, fmt.Errorf("correlation: needs 2 to 1024 channels, not %d", n)
			}
		}
		reasons := make([]string, n)
		for i, ch := range f.rows {
			reasons[i] = in.Channels[ch].Label + ": " + c.reason()
		}
		f.reasons, f.measured = append(f.reasons, reasons), append(f.measured, make([]float64, n))
	}
	if high {
		f.spectra = newBandPowers(in.Rate, [][2]float64{{line - 1, line + 1}, {70, 110}, {1, 40}})
		f.powers = make([][stream.Lanes]float64, 3)
	}
	f.good = make([]string, n)
	for i, ch := range f.rows {
		f.good[i] = in.Channels[ch].Label + ": good again"
	}
	f.history = stream.NewHistory(in.Rows(), int(f.block))
	f.clean = stream.NewChunk(&in)
	tiles := stream.TilesFor(in.Rows())
	f.last, f.previous = make([][stream.Lanes]float64, tiles), make([][stream.Lanes]float64, tiles)
	f.row, f.scratch, f.corr, f.x, f.shift = make([]float64, f.block), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	f.parts = []asrPart{{}}
	if f.correlate {
		f.parts[0], f.cov = newPart(n), make([]float64, n*n)
	}
	f.state = make([]channelState, n)
	f.Reset()
	return in, nil
}

// Reset forgets the past.
func (f *Quality) Reset() {
	f.started, f.next, f.seen = false, 0, 0
	f.history.Reset()
	clear(f.last)
	clear(f.previous)
	f.parts[0].clear()
	clear(f.shift)
	for i := range f.state {
		f.state[i] = channelState{popUntil: math.MinInt64, popToldTo: math.MinInt64}
	}
}

// Process looks at a chunk and marks it.
func (f *Quality) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() || src.Len > 0 && f.started && src.Seq != f.next {
		f.Reset()
	}
	if src.Len == 0 {
		return
	}
	f.clean.Follow(src)
	for k := range src.Tiles() {
		clean(f.clean, src, k, &f.last[k])
		copy(dst.Tile(k), f.clean.Tile(k))
		copy(dst.Bad(k), f.clean.Bad(k))
	}
	f.clean.Flags &^= stream.Gap | stream.Restart
	dst.Flags |= f.clean.Flags & stream.Bad
	for a := 0; a < src.Len; {
		seq := src.Seq + int64(a)
		begin := floorDiv(seq, f.block) * f.block
		n := min(src.Len-a, int(begin+f.block-seq))
		f.samples(dst, a, a+n)
		f.history.Push(f.clean, a, a+n)
		f.seen += int64(n)
		a += n
		if end := src.Seq + int64(a); end == begin+f.block {
			if f.seen == f.block {
				f.judge(dst, end, src.T0+stream.Time(math.Round(float64(a)/f.rate*1e9)))
			}
			f.seen = 0
			f.parts[0].clear()
		}
	}
	f.started, f.next = true, src.Seq+int64(src.Len)
}

// samples does what is judged sample by sample, in columns a to b-1, and marks them.
func (f *Quality) samples(dst *stream.Chunk, a, b int) {
	for i := a; i < b; i++ {
		seq := dst.Seq + int64(i)
		first := !f.started && i == 0
		for c, ch := range f.rows {
			k, l, s := ch/stream.Lanes, ch%stream.Lanes, &f.state[c]
			v := f.clean.Tile(k)[i][l]
			d := math.Abs(v - f.previous[k][l])
			f.previous[k][l] = v
			if first {
				d = 0
				s.flat = 0
			}
			for _, flat := range f.flats {
				if s.flat++; d > or0(flat.Eps, 1e-6) || first {
					s.flat = 0
				}
				if !s.bad && s.flat >= int64(or0(flat.Seconds, 5)*f.rate) {
					f.turnBad(dst, c, seq, i, s.flat, flat)
				}
			}
			for _, pop := range f.pops {
				if d > or0(pop.Max, 100) {
					hold := max(1, int64(or0(pop.Hold, 0.1)*f.rate))
					if seq >= s.popToldTo {
						dst.Events = append(dst.Events, stream.Event{Kind: stream.EventBadSamples, Seq: seq, Time: f.time(dst, i), Count: hold, Origin: "quality", Detail: f.reasons[f.index(pop)][c]})
					}
					s.popUntil, s.popToldTo = seq+hold, seq+f.block
				}
			}
			if s.bad || seq < s.popUntil {
				dst.Bad(k)[i] |= 1 << l
				dst.Flags |= stream.Bad
			}
			if s.bad {
				s.marked++
			}
			f.x[c] = v
		}
		if !f.correlate {
			continue
		}
		if f.parts[0].n == 0 {
			copy(f.shift, f.x)
		}
		n := len(f.x)
		for j := range f.x {
			f.x[j] -= f.shift[j]
		}
		for j, v := range f.x {
			f.parts[0].sums[j] += v
			row, x := f.parts[0].products[j*n+j:(j+1)*n], f.x[j:]
			for m := range row {
				row[m] += float64(v * x[m])
			}
		}
		f.parts[0].n++
	}
}

func (f *Quality) time(dst *stream.Chunk, i int) stream.Time {
	return dst.T0 + stream.Time(math.Round(float64(i)/f.rate*1e9))
}

func (f *Quality) index(c Check) int {
	for i := range f.Checks {
		if f.Checks[i] == c {
			return i
		}
	}
	return 0
}

func (f *Quality) turnBad(dst *stream.Chunk, c int, seq int64, i int, columns int64, why Check) {
	s := &f.state[c]
	s.bad, s.marked, s.goodRun = true, 0, 0
	dst.Events = append(dst.Events, stream.Event{Kind: stream.EventChannelBad, Seq: seq, Time: f.time(dst, i), Count: columns, Origin: "quality", Detail: f.reasons[f.index(why)][c]})
}

// judge looks at the block that ends before column end.
func (f *Quality) judge(dst *stream.Chunk, end int64, at stream.Time) {
	f.measure()
	badAfter, goodAfter := int64(f.BadAfter), int64(f.GoodAfter)
	if badAfter == 0 {
		badAfter = 3
	}
	if goodAfter == 0 {
		goodAfter = 10
	}
	for c := range f.rows {
		s := &f.state[c]
		why, atOnce := -1, false
		for i, check := range f.Checks {
			if bad, now := check.verdict(f.measured[i][c]); bad && (why < 0 || now && !atOnce) {
				why, atOnce = i, now
			}
		}
		flat := false
		for _, x := range f.flats {
			flat = flat || s.flat >= int64(or0(x.Seconds, 5)*f.rate)
		}
		if why < 0 && !flat {
			s.badRun = 0
			if s.goodRun++; s.bad && s.goodRun >= goodAfter {
				s.bad = false
				dst.Events = append(dst.Events, stream.Event{Kind: stream.EventChannelGood, Seq: end, Time: at, Count: s.marked, Origin: "quality", Detail: f.good[c]})
			}
			continue
		}
		s.goodRun = 0
		s.badRun++
		if !s.bad && why >= 0 && (atOnce || s.badRun >= badAfter) {
			f.turnBad(dst, c, end, int(end-dst.Seq), s.badRun*f.block, f.Checks[why])
		}
	}
}

// measure fills measured for the block that has just ended.
func (f *Quality) measure() {
	w := f.history.Last(int(f.block))
	if f.correlate {
		covariance(f.cov, f.scratch, f.parts)
		maxCorrelation(f.corr, f.cov)
	}
	tile := -1
	for c, ch := range f.rows {
		k, l := ch/stream.Lanes, ch%stream.Lanes
		if f.spectra != nil && k != tile {
			f.spectra.measure(f.powers, w.Tile(k))
			tile = k
		}
		x := w.Row(f.row, ch)
		for i, check := range f.Checks {
			v := &f.measured[i][c]
			switch check := check.(type) {
			case *Saturation:
				*v = 0
				if check.Limit > 0 {
					for _, s := range x {
						if math.Abs(s) >= check.Limit {
							*v++
						}
					}
					*v /= float64(len(x))
				} else if least, most := extremes(x); most > least { // one sample of each is no sign
					*v = atExtremes(x) - 2/float64(len(x))
				}
			case *Amplitude:
				least, most := extremes(x)
				*v = most - least
			case *LineNoise:
				*v = over(f.powers[0][l], f.powers[2][l])
			case *HighFrequency:
				*v = over(f.powers[1][l], f.powers[2][l])
			case *Deviation:
				*v = logDeviation(x)
			case *Correlation:
				*v = f.corr[c]
			}
		}
	}
	for i, check := range f.Checks {
		if _, ok := check.(*Deviation); ok {
			robustZ(f.measured[i], f.scratch)
		}
	}
}

// Snapshot appends the state.
func (f *Quality) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Bool(f.started)
	w.Int(f.next)
	w.Int(f.seen)
	w.Tiles(f.last)
	w.Tiles(f.previous)
	w.Floats(f.parts[0].products)
	w.Floats(f.parts[0].sums)
	w.Int(int64(f.parts[0].n))
	w.Floats(f.shift)
	for i := range f.state {
		s := &f.state[i]
		w.Bool(s.bad)
		for _, v := range []int64{s.badRun, s.goodRun, s.marked, s.flat, s.popUntil, s.popToldTo} {
			w.Int(v)
		}
	}
	return f.history.Snapshot(w.Buf)
}

// Restore sets it.
func (f *Quality) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	f.started, f.next, f.seen = r.Bool(), r.Int(), r.Int()
	r.Tiles(f.last)
	r.Tiles(f.previous)
	r.Floats(f.parts[0].products)
	r.Floats(f.parts[0].sums)
	f.parts[0].n = int(r.Int())
	r.Floats(f.shift)
	for i := range f.state {
		s := &f.state[i]
		s.bad = r.Bool()
		for _, v := range []*int64{&s.badRun, &s.goodRun, &s.marked, &s.flat, &s.popUntil, &s.popToldTo} {
			*v = r.Int()
		}
	}
	f.history.Restore(&r)
	return r.Err()
}
