package filters

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"neurostream/stream"
)

// auxiliary are types of channels that lie beside the brain: references and spatial
// filters neither read nor change them.
var auxiliary = map[string]bool{
	"EOG": true, "ECG": true, "EKG": true, "EMG": true, "GSR": true, "EDA": true, "PPG": true, "RESP": true, "TEMP": true,
	"STIM": true, "TRIG": true, "TRIGGER": true, "MARKER": true, "MARKERS": true, "EVENT": true, "STATUS": true,
	"MISC": true, "AUX": true, "ACC": true, "ACCEL": true, "GYRO": true, "BATTERY": true, "COUNTER": true, "QUALITY": true,
}

// brain lists the rows that are not auxiliary.
func brain(in *stream.Header) []int {
	var out []int
	for ch := range in.Channels {
		if !auxiliary[strings.ToUpper(in.Channels[ch].Type)] {
			out = append(out, ch)
		}
	}
	return out
}

// rowMask has the bits of some rows, by tile.
func rowMask(rows []int, of int) []uint8 {
	m := make([]uint8, stream.TilesFor(of))
	for _, ch := range rows {
		m[ch/stream.Lanes] |= 1 << (ch % stream.Lanes)
	}
	return m
}

// find returns the rows of labels.
func find(setting string, labels []string, in *stream.Header) ([]int, error) {
	out := make([]int, 0, len(labels))
	for _, l := range labels {
		ch := in.Index(l)
		if ch < 0 {
			return nil, unknownChannel(setting, l, in)
		}
		if slices.Contains(out, ch) {
			return nil, fmt.Errorf("%s names %q twice", setting, l)
		}
		out = append(out, ch)
	}
	return out, nil
}

// reference subtracts a value that is computed from some channels, column by column,
// from others. It has no memory. Samples that are not numbers become 0, marked bad.
type reference struct {
	from, to []uint8 // by tile: lanes that enter the value, and lanes it is subtracted from
	// strict marks what is put out while no sample can enter; else nothing is subtracted.
	strict bool
	value  func(x []float64) float64 // of at least one good sample
	good   []float64
}

func (r *reference) open(in *stream.Header, from, to []int, strict bool, value func([]float64) float64) {
	*r = reference{from: rowMask(from, in.Rows()), to: rowMask(to, in.Rows()), strict: strict, value: value, good: make([]float64, len(from))}
}

// Process subtracts the reference.
func (r *reference) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	quarantine(dst, src)
	for i := range dst.Len {
		n := 0
		for k, from := range r.from {
			from &^= dst.Bad(k)[i]
			v := &dst.Tile(k)[i]
			for l := range v {
				if from&(1<<l) != 0 {
					r.good[n] = v[l]
					n++
				}
			}
		}
		if n == 0 {
			if r.strict {
				for k, to := range r.to {
					dst.Bad(k)[i] |= to
				}
				dst.Flags |= stream.Bad
			}
			continue
		}
		value := r.value(r.good[:n])
		for k, to := range r.to {
			v := &dst.Tile(k)[i]
			for l := range v {
				if to&(1<<l) != 0 {
					v[l] -= value
				}
			}
		}
	}
}

// Reset does nothing: there is no memory.
func (r *reference) Reset() {}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

func mean(x []float64) float64 { return sum(x) / float64(len(x)) }

func median(x []float64) float64 {
	slices.Sort(x)
	h := len(x) / 2
	if len(x)%2 == 1 {
		return x[h]
	}
	return x[h-1] + (x[h]-x[h-1])/2
}

// CommonAverage subtracts the mean over all good channels from every channel, sample
// by sample. Samples marked bad and excluded channels do not enter the mean but still
// have it subtracted. Where no good sample is left, nothing is subtracted. Channels
// that are not of the brain (EOG, EMG, triggers, ...) neither enter nor change.
//
// The covariance of the output is singular: its rank is one less than the channels,
// unless the recording's own reference, a channel that is 0, counts as well.
type CommonAverage struct {
	Exclude  []string // labels of channels that do not enter the mean
	Implicit bool     // the recording reference enters the mean: divide by one more

	reference
}

// Open finds the channels.
func (c *CommonAverage) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	all := brain(&in)
	out, err := find("exclude", c.Exclude, &in)
	if err != nil {
		return stream.Header{}, err
	}
	from := slices.DeleteFunc(slices.Clone(all), func(ch int) bool { return slices.Contains(out, ch) })
	if len(from) < 2 {
		return stream.Header{}, fmt.Errorf("a common average needs at least two channels, %d are left; exclude fewer", len(from))
	}
	value := mean
	if c.Implicit {
		value = func(x []float64) float64 { return sum(x) / float64(len(x)+1) }
	}
	c.open(&in, from, all, false, value)
	return in, nil
}

// CommonMedian subtracts the median over all good channels from every channel, sample
// by sample: one railed channel does not move it. It is not linear. Channels that are
// not of the brain neither enter nor change.
type CommonMedian struct {
	Exclude []string // labels of channels that do not enter the median

	reference
}

// Open finds the channels.
func (c *CommonMedian) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	all := brain(&in)
	out, err := find("exclude", c.Exclude, &in)
	if err != nil {
		return stream.Header{}, err
	}
	from := slices.DeleteFunc(slices.Clone(all), func(ch int) bool { return slices.Contains(out, ch) })
	if len(from) < 2 {
		return stream.Header{}, fmt.Errorf("a common median needs at least two channels, %d are left; exclude fewer", len(from))
	}
	c.open(&in, from, all, false, median)
	return in, nil
}

// Linked subtracts the mean of some channels, such as both mastoids, from every
// channel of the brain, these among them. Of several, bad ones leave the mean; while
// all are bad, so is everything.
type Linked struct {
	Channels []string // labels of the reference channels

	reference
}

// Open finds the channels.
func (c *Linked) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	if len(c.Channels) == 0 {
		return stream.Header{}, errors.New("channels is empty; name the reference, e.g. [M1, M2]")
	}
	from, err := find("channels", c.Channels, &in)
	if err != nil {
		return stream.Header{}, err
	}
	to := brain(&in)
	for _, ch := range from {
		if !slices.Contains(to, ch) {
			to = append(to, ch)
		}
	}
	c.open(&in, from, to, true, mean)
	return in, nil
}

// quarantine copies samples, with 0 and a bad mark where one is not a number: for
// stages without memory, which have no last good value.
func quarantine(dst, src *stream.Chunk) {
	for k := range src.Tiles() {
		from, to := src.Tile(k), dst.Tile(k)
		for i := range from {
			v := from[i]
			for l := range v {
				if !(math.Abs(v[l]) <= maxValue) {
					v[l] = 0
					dst.MarkBad(k*stream.Lanes+l, i)
				}
			}
			to[i] = v
		}
	}
}

// maxValue is the largest magnitude that is taken for a measurement.
const maxValue = 1e100
