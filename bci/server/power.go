package server

import (
	"context"
	"math"
	"time"

	"neurostream/stream"
)

// powerInterval is how often the band powers are sent: an eye follows no more.
const powerInterval = 66 * time.Millisecond

// BandPower returns a sink for rows of features, one per electrode and band, labelled
// like "power C3 8-13 Hz", with their unit. Pages get the latest column.
func (s *Server) BandPower() stream.Sink { return &power{s: s} }

type power struct {
	s     *Server
	rate  float64
	block *block
	last  time.Time
}

// Open describes the rows to the pages.
func (p *power) Open(_ context.Context, in stream.Header) error {
	if in.Rows() > math.MaxUint16 {
		return tooManyRows(in)
	}
	h := in.Clone()
	p.rate, p.block = in.Rate, newBlock(kindPower, in.Rows(), 1, 1)
	p.s.hub.open(func(st *streams) { st.power, st.idle = &h, p.s.opts.Idle })
	return nil
}

// Write sends the newest column when it is time.
func (p *power) Write(src *stream.Chunk) error {
	p.s.note(src)
	now := p.s.opts.now()
	if src.Len == 0 || now.Sub(p.last) < powerInterval {
		return nil
	}
	p.last = now
	i := src.Len - 1
	at := src.T0.Seconds()
	if p.rate > 0 {
		at += float64(i) / p.rate
	}
	p.block.reset()
	p.block.add(src.Seq+int64(i), at)
	for r := range p.block.rows {
		p.block.row(0, r)[0] = display(src.At(r, i))
		if src.IsBad(r, i) {
			p.block.markBad(r)
		}
	}
	p.s.send(p.block, 0)
	return nil
}

// Close has nothing left to send.
func (p *power) Close() error { return nil }
