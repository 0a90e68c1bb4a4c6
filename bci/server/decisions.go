package server

import (
	"context"
	"fmt"
	"math"
	"time"

	"neurostream/decoders"
	"neurostream/stream"
)

// commandLabel tells a gate's two rows of type decision apart: the other holds the
// class decided at every column, this one the class commanded there; -1 is none.
const commandLabel = "command"

// decisionRoom bounds the columns kept between two frames of decisions: a decoder
// puts out one column per window, a hundred a second at most in practice.
const decisionRoom = 1024

// Decisions returns a sink for what a decoder and its gate put out: rows of type
// decoders.TypeProbability labelled with the classes, and the two of type
// decoders.TypeDecision that decoders.Gate adds, which count the probability rows.
// Markers give the truth (Options.Truth).
func (s *Server) Decisions() stream.Sink { return &decisions{s: s} }

type decisions struct {
	s      *Server
	header stream.Header
	block  *block
	pace   pace
	next   int64

	truth   truth
	score   scorer
	command int // row, -1 when there is none
}

// Open describes the rows to the pages.
func (d *decisions) Open(_ context.Context, in stream.Header) error {
	if in.Rows() >= math.MaxUint16 {
		return tooManyRows(in)
	}
	d.header = in.Clone()
	classes := classNames(&in, d.s.opts.Truth)
	d.block = newBlock(kindDecisions, in.Rows()+1, 1, max(decisionRoom, in.MaxLen+1))
	d.pace = pace{now: d.s.opts.now}
	d.truth = newTruth(d.s.opts.Truth, classes)
	d.score = newScorer(classes, d.s.opts.Idle)
	d.command, d.next = -1, 0

	h := &helloDecision{RateHz: in.Rate, DelayS: in.Delay, Classes: classes, Truth: len(d.s.opts.Truth) > 0}
	for i, c := range in.Channels {
		h.Rows = append(h.Rows, describe(c))
		if c.Type == decoders.TypeDecision && c.Label == commandLabel {
			d.command = i
		}
	}
	d.s.hub.open(func(st *streams) { st.decisions, st.idle = h, d.s.opts.Idle })
	d.s.setTally(Tally{})
	return nil
}

// Write adds a chunk of decisions, scores its commands, and sends what has gathered
// when it is time.
func (d *decisions) Write(src *stream.Chunk) error {
	d.s.note(src)
	if src.Flags.Broken() || (src.Len > 0 && src.Seq != d.next) {
		d.flush()
		d.block.flags |= flagGap
		if src.Flags&stream.Restart != 0 {
			d.block.flags |= flagRestart
			d.truth.reset()
			d.score.restart()
		}
	}
	if src.Len > 0 {
		d.next = src.Seq + int64(src.Len)
	}
	var outcomes []outcome
	step := time.Duration(0)
	if d.header.Rate > 0 {
		step = time.Duration(float64(time.Second) / d.header.Rate)
	}
	d.truth.take(src.Markers)
	for i := range src.Len {
		at := src.T0 + stream.Time(i)*stream.Time(step)
		class := d.truth.at(i, at)
		to := d.block.add(src.Seq+int64(i), at.Seconds())
		for r := range d.header.Rows() {
			d.block.row(0, r)[to] = display(src.At(r, i))
		}
		d.block.row(0, d.header.Rows())[to] = float32(class)
		command := -1
		if d.command >= 0 {
			command = classNumber(src.At(d.command, i))
		}
		outcomes = d.score.column(outcomes, src.Seq+int64(i), at, step, class, command)
	}
	d.truth.done()
	if len(outcomes) > 0 {
		d.s.setTally(d.score.Tally)
		d.s.hub.publish(textFrame(struct {
			Type     string    `json:"type"` // "outcomes"
			Session  uint32    `json:"session"`
			Outcomes []outcome `json:"outcomes"`
		}{"outcomes", d.s.hub.sessionNow(), outcomes}), pastNotes, src.T0.Seconds())
	} else {
		d.s.setTally(d.score.Tally)
	}
	if d.pace.due() {
		d.flush()
	}
	return nil
}

func (d *decisions) flush() { d.s.send(d.block, pastDecisions) }

// Close sends what is left.
func (d *decisions) Close() error {
	if d.block != nil {
		d.flush()
	}
	return nil
}

// classNumber reads a class from a row: the nearest integer, -1 for none.
func classNumber(v float64) int {
	if !(v >= -0.5 && v < math.MaxInt16) {
		return -1
	}
	return int(math.Round(v))
}

func tooManyRows(in stream.Header) error {
	return fmt.Errorf("stream %q has %d rows; the page takes up to %d: select some before it", in.Name, in.Rows(), math.MaxUint16)
}
