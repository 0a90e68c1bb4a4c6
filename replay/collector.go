package replay

import (
	"context"
	"fmt"

	"neurostream/stream"
)

// Decisions is a decision stream, gathered for judging.
type Decisions struct {
	Classes []string  // names of the probability rows, in order
	Step    float64   // seconds between decisions; 0 when irregular
	Delay   float64   // seconds of algorithmic delay the stream announces
	Settle  float64   // seconds after a start or break in which decisions are not yet to be trusted
	Time    []float64 // stamp of each decision in seconds: that of the newest sample behind it
	P       []float64 // probabilities: Classes values per decision, one decision after the other
	Decided []int     // class decided, -1 = idle; nil when the stream leaves that to its probabilities
	Command []int     // class commanded at each decision, -1 = none; nil when the stream has no commands
	Bad     []bool    // whether a probability was marked bad
	Breaks  []int     // decisions that do not continue their predecessor; the first is not among them
	Skipped int64     // decisions that came after the collector was full
}

// Len returns the number of decisions.
func (d *Decisions) Len() int { return len(d.Time) }

// Row returns the probabilities of decision i.
func (d *Decisions) Row(i int) []float64 {
	k := len(d.Classes)
	return d.P[i*k : (i+1)*k : (i+1)*k]
}

// Collector is a [stream.Sink] that keeps what [Score] needs of a decision stream: the
// rows of type "probability", and those of type "decision" that a gate adds, labelled
// "decision" and "command", which hold the index of a probability row or -1. Its memory
// is bounded by Limit; 10 decisions a second of 3 classes take 2 MB an hour.
type Collector struct {
	Limit int // decisions kept; what comes later is only counted; 0 = 1<<20

	d       Decisions
	rows    []int // probability rows
	decided int   // decision row, or -1
	fires   int   // command row, or -1
	any     bool
}

// Open finds the rows.
func (c *Collector) Open(_ context.Context, in stream.Header) error {
	if c.Limit < 0 {
		return fmt.Errorf("limit %d is impossible: give the number of decisions to keep, or 0 for %d", c.Limit, 1<<20)
	}
	if c.Limit == 0 {
		c.Limit = 1 << 20
	}
	c.rows, c.decided, c.fires, c.any = nil, -1, -1, false
	c.d = Decisions{Delay: in.Delay, Settle: in.Settle}
	if in.Rate > 0 {
		c.d.Step = 1 / in.Rate
	}
	for i, ch := range in.Channels {
		switch {
		case ch.Type == "probability":
			c.rows = append(c.rows, i)
			c.d.Classes = append(c.d.Classes, ch.Label)
		case ch.Type == "decision" && ch.Label == "decision":
			c.decided = i
		case ch.Type == "decision" && ch.Label == "command":
			c.fires = i
		}
	}
	if len(c.rows) < 2 {
		return fmt.Errorf("stream %q has %d rows of type probability; to be judged it needs at least 2, one per class", in.Name, len(c.rows))
	}
	return nil
}

// Write keeps the decisions of a chunk.
func (c *Collector) Write(src *stream.Chunk) error {
	if src.Flags.Broken() && c.any {
		if n := len(c.d.Time); len(c.d.Breaks) == 0 || c.d.Breaks[len(c.d.Breaks)-1] != n {
			c.d.Breaks = append(c.d.Breaks, n)
		}
	}
	for i := range src.Len {
		c.any = true
		if len(c.d.Time) == c.Limit {
			c.d.Skipped += int64(src.Len - i)
			return nil
		}
		t := (src.T0 + nanoseconds(float64(i)*c.d.Step)).Seconds() // whole nanoseconds: the same however chunks are cut
		bad := false
		for _, r := range c.rows {
			c.d.P = append(c.d.P, src.At(r, i))
			bad = bad || src.IsBad(r, i)
		}
		c.d.Time, c.d.Bad = append(c.d.Time, t), append(c.d.Bad, bad)
		if c.decided >= 0 {
			c.d.Decided = append(c.d.Decided, c.index(src.At(c.decided, i)))
		}
		if c.fires >= 0 {
			c.d.Command = append(c.d.Command, c.index(src.At(c.fires, i)))
		}
	}
	return nil
}

// index returns the class a value stands for; -1 when none.
func (c *Collector) index(v float64) int {
	if k := int(v); float64(k) == v && k >= 0 && k < len(c.rows) {
		return k
	}
	return -1
}

// Close does nothing; the decisions stay.
func (c *Collector) Close() error { return nil }

// Decisions returns what was gathered. It shares the collector's memory.
func (c *Collector) Decisions() *Decisions { return &c.d }
