package bci

import "neurostream/stream"

// pacingMeter measures how late a paced source's ticks are, on the source's
// goroutine.
type pacingMeter struct{ m *meter }

func newPacingMeter() *pacingMeter { return &pacingMeter{newMeter(1)} }

func (p *pacingMeter) record(late stream.Time) {
	p.m.record(0, late)
	p.m.poll(nil)
}

func (p *pacingMeter) collect()       { p.m.collect() }
func (p *pacingMeter) finish()        { p.m.finish() }
func (p *pacingMeter) spread() Spread { return p.m.spread(0) }
