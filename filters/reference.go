package filters

import (
	"fmt"

	"neurostream/stream"
)

// CommonAverage subtracts the mean over all good channels from every channel, sample
// by sample. Samples marked bad and excluded channels do not enter the mean but still
// have it subtracted. Where no good sample is left, nothing is subtracted.
//
// The covariance of the output is singular: its rank is one less than the channels.
type CommonAverage struct {
	Exclude []string // labels of channels that do not enter the mean

	mask []uint8 // by tile: lanes that enter
	n    int
}

// Open finds the channels.
func (c *CommonAverage) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		return stream.Header{}, errNoChannels
	}
	c.mask = make([]uint8, stream.TilesFor(in.Rows()))
	for ch := range in.Channels {
		c.mask[ch/stream.Lanes] |= 1 << (ch % stream.Lanes)
	}
	c.n = in.Rows()
	for _, l := range c.Exclude {
		ch := in.Index(l)
		if ch < 0 {
			return stream.Header{}, unknownChannel("exclude", l, &in)
		}
		if bit := uint8(1) << (ch % stream.Lanes); c.mask[ch/stream.Lanes]&bit != 0 {
			c.mask[ch/stream.Lanes] &^= bit
			c.n--
		}
	}
	if c.n < 2 {
		return stream.Header{}, fmt.Errorf("a common average needs at least two channels, %d are left; exclude fewer", c.n)
	}
	return in, nil
}

// Process subtracts the mean. The sum runs over lanes first, then tiles: one fixed
// order, whatever the chunk.
func (c *CommonAverage) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	quarantine(dst, src)
	for i := range dst.Len {
		sum, n := 0.0, 0
		for k := range c.mask {
			good := c.mask[k] &^ dst.Bad(k)[i]
			v := &dst.Tile(k)[i]
			for l := range v {
				if good&(1<<l) != 0 {
					sum += v[l]
					n++
				}
			}
		}
		if n == 0 {
			continue
		}
		mean := sum / float64(n)
		for ch := range dst.Rows() {
			dst.Tile(ch / stream.Lanes)[i][ch%stream.Lanes] -= mean
		}
	}
}

// Reset does nothing: there is no memory.
func (c *CommonAverage) Reset() {}

// quarantine copies samples, with 0 and a bad mark where one is not a number: for
// stages without memory, which have no last good value.
func quarantine(dst, src *stream.Chunk) {
	for k := range src.Tiles() {
		from, to := src.Tile(k), dst.Tile(k)
		for i := range from {
			v := from[i]
			for l := range v {
				if v[l]-v[l] != 0 {
					v[l] = 0
					dst.MarkBad(k*stream.Lanes+l, i)
				}
			}
			to[i] = v
		}
	}
}
