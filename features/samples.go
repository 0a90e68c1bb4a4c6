package features

import (
	"fmt"

	"neurostream/stream"
)

// TypeSample is the type of the rows of Samples.
const TypeSample = "sample"

// Samples puts the window itself out: channel by channel, the oldest first, every value
// the mean of Every successive samples, labelled "C3 @-0.996 s" by the time of its newest
// sample before the newest of the window. It is what decoders of evoked responses
// (xdawn, lda) and of flicker (cca, trca) take. The mean is a weak
// low-pass: filter below half the reduced rate before. Cost: O(length).
type Samples struct {
	Every int // samples per value; 0 = 1; the window must be a multiple

	every, n int
	row      []float64
}

// Open implements Extractor.
func (x *Samples) Open(p *Plan) ([]Row, error) {
	if x.every = x.Every; x.every == 0 {
		x.every = 1
	}
	if x.every < 1 || p.Length%x.every != 0 {
		return nil, fmt.Errorf("every: %d samples do not divide the window of %d samples (%v s)", x.Every, p.Length, p.Seconds(p.Length))
	}
	x.n = p.Length / x.every
	c := p.In.Rows()
	if c*x.n > stream.MaxChannels {
		return nil, fmt.Errorf("samples of %d channels × %d values are %d rows; the limit is %d: select channels, or raise every", c, x.n, c*x.n, stream.MaxChannels)
	}
	x.row = make([]float64, p.Length)
	var rows []Row
	for i, ch := range p.In.Channels {
		for t := range x.n {
			rows = append(rows, Row{Channel: stream.Channel{Label: fmt.Sprintf("%s @%v s", ch.Label, p.Seconds(-(x.n-1-t)*x.every)), Unit: ch.Unit, Type: TypeSample, Position: ch.Position, Placed: ch.Placed}, From: []int{i}})
		}
	}
	return rows, nil
}

// Extract implements Extractor.
func (x *Samples) Extract(out Out, e *Epoch) {
	for ch := range e.Rows() {
		x.row = e.Row(x.row, ch)
		for t := range x.n {
			v := x.row[t*x.every]
			for _, s := range x.row[t*x.every+1 : (t+1)*x.every] {
				v += s
			}
			out.Set(ch*x.n+t, v/float64(x.every))
		}
	}
}
