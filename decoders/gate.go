package decoders

import (
	"fmt"
	"math"

	"neurostream/stream"
)

// Gate turns class probabilities into decisions and commands. At every column the
// most probable class is decided (the first of equals), or idle when its probability
// is below Threshold. A command fires at the Dwell-th equal decision in a row that is
// not idle; for Refractory seconds after it (strictly less) decisions neither count
// nor fire.
//
// Output: the input rows unchanged, then "decision" (index of the decided class among
// the probability rows, -1 without an idle class and below the threshold) and
// "command" (index of the class commanded at this column, else -1). A marked column
// decides idle.
type Gate struct {
	Threshold  float64 // least probability of a decision other than idle, 0 to 1
	Dwell      int     // equal decisions in a row that fire; 0 = 1
	Refractory float64 // seconds after a command in which nothing fires
	Idle       string  // class that never commands; "" = none

	classes []int // rows that are probabilities
	idle    int   // index into classes, or -1
	rate    float64
	in      int // input rows
	x, held []float64

	run, last int   // equal decisions so far, and of which class
	since     int64 // columns since the last command; -1 = none yet
	fired     stream.Time
}

// Open checks the settings and finds the probability rows.
func (g *Gate) Open(in stream.Header) (stream.Header, error) {
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	switch {
	case !(g.Threshold >= 0 && g.Threshold <= 1):
		return stream.Header{}, fmt.Errorf("threshold %g: give a probability, 0 to 1", g.Threshold)
	case g.Dwell < 0:
		return stream.Header{}, fmt.Errorf("dwell %d: give the number of equal decisions in a row, 1 or more (0 = 1)", g.Dwell)
	case !(g.Refractory >= 0) || math.IsInf(g.Refractory, 0):
		return stream.Header{}, fmt.Errorf("refractory %g s: give seconds, 0 or more", g.Refractory)
	}
	g.classes, g.idle = g.classes[:0], -1
	for i, ch := range in.Channels {
		if ch.Type != TypeProbability {
			continue
		}
		if ch.Label == g.Idle {
			g.idle = len(g.classes)
		}
		g.classes = append(g.classes, i)
	}
	if len(g.classes) == 0 {
		return stream.Header{}, fmt.Errorf("no row of type %q to decide by; put a classifier before the gate", TypeProbability)
	}
	if g.Idle != "" && g.idle < 0 {
		return stream.Header{}, fmt.Errorf("idle class %q is not among the probability rows; leave it away if there is none", g.Idle)
	}
	g.rate, g.in = in.Rate, in.Rows()
	g.x, g.held = make([]float64, g.in), make([]float64, g.in)
	g.Reset()
	out := in.Clone()
	out.Channels = append(
		out.Channels,
		stream.Channel{Label: "decision", Unit: "class", Type: TypeDecision},
		stream.Channel{Label: "command", Unit: "class", Type: TypeDecision},
	)
	return out, nil
}

// Reset forgets decisions and the last command.
func (g *Gate) Reset() {
	g.run, g.last, g.since, g.fired = 0, -1, -1, 0
	clear(g.held)
	for _, i := range g.classes {
		g.held[i] = 1 / float64(len(g.classes))
	}
}

// Process decides every column.
func (g *Gate) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	unmark(dst)
	if src.Flags.Broken() {
		g.Reset()
	}
	for i := range src.Len {
		src.Column(g.x, i)
		good := allFinite(g.x)
		if good {
			copy(g.held, g.x)
		}
		good = good && !columnMarked(src, i)
		decision := g.idle
		if good {
			decision = g.decide()
		}
		at := src.T0 // of this column; irregular streams hold one column per chunk
		command := g.step(decision, at)
		for ch, v := range g.held {
			dst.Set(ch, i, v)
		}
		dst.Set(g.in, i, float64(decision))
		dst.Set(g.in+1, i, float64(command))
		if !good {
			markColumn(dst, i)
		}
	}
}

func (g *Gate) decide() int {
	best := 0
	for k, row := range g.classes {
		if g.held[row] > g.held[g.classes[best]] {
			best = k
		}
	}
	if g.held[g.classes[best]] < g.Threshold {
		return g.idle
	}
	return best
}

// step counts one decision and returns the command it fires, or -1.
func (g *Gate) step(decision int, at stream.Time) int {
	if g.since >= 0 {
		g.since++
		// Times are compared in columns, which carry no rounding of stamps; a
		// millionth of a column absorbs that of the product.
		if g.rate > 0 && float64(g.since) < g.Refractory*g.rate-1e-6 || g.rate == 0 && (at-g.fired).Seconds() < g.Refractory-1e-9 {
			g.run, g.last = 0, -1
			return -1
		}
	}
	if decision < 0 || decision == g.idle {
		g.run, g.last = 0, -1
		return -1
	}
	if decision != g.last {
		g.run, g.last = 0, decision
	}
	if g.run++; g.run < max(1, g.Dwell) {
		return -1
	}
	g.run, g.last, g.since, g.fired = 0, -1, 0, at
	return decision
}

// Snapshot appends the counters and the last good probabilities.
func (g *Gate) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Int(int64(g.run))
	w.Int(int64(g.last))
	w.Int(g.since)
	w.Int(int64(g.fired))
	w.Floats(g.held)
	return w.Buf
}

// Restore sets the state of an opened stage.
func (g *Gate) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	g.run, g.last, g.since, g.fired = int(r.Int()), int(r.Int()), r.Int(), stream.Time(r.Int())
	r.Floats(g.held)
	if err := r.Err(); err != nil {
		g.Reset()
		return err
	}
	return nil
}
