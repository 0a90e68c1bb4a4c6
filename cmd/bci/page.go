package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"neurostream/bci"
	"neurostream/bci/server"
	"neurostream/features"
	"neurostream/filters"
	"neurostream/stream"
)

// page is the web page as an output of a run.
type page struct {
	server *server.Server
}

func newPage(a bci.Address, p *bci.Pipeline) (*page, error) {
	if a.Query != "" {
		return nil, usageError{fmt.Errorf("%s: a page takes no settings", a.Text)}
	}
	addr := strings.TrimSuffix(a.Place, "/")
	if addr == "" {
		addr = server.DefaultAddr
	}
	if strings.HasPrefix(addr, ":") { // nobody else sees a brain by default
		addr = "127.0.0.1" + addr
	}
	pg := &page{server: server.New(server.Options{Addr: addr, Truth: p.ClassOf(), Idle: p.Idle})}
	return pg, pg.server.Listen()
}

func (pg *page) url() string { return pg.server.URL() }

// outputs are what the page listens to: the source, the decisions, and the power of
// every channel in bands, computed beside the pipeline.
func (pg *page) outputs(p *bci.Pipeline) []bci.Output {
	outs := []bci.Output{{Name: "page: signals", Sink: pg.server.Signals(), From: "source"}}
	if p.Decides() {
		outs = append(outs, bci.Output{Name: "page: decisions", Sink: pg.server.Decisions()})
	}
	power := &headPower{sink: pg.server.BandPower()}
	for _, l := range p.Build() {
		if b, ok := l.Stage.(*filters.Bandpass); ok {
			power.bands = []features.Band{{Name: fmt.Sprintf("pipeline %g-%g Hz", b.Low, b.High), Low: b.Low, High: b.High}}
		}
	}
	return append(outs, bci.Output{Name: "page: band power", From: "source", Sink: power})
}

// headPower shows the power of every channel in bands: that of the pipeline's
// band-pass first, then the usual ones. Streams too slow for a band go without it,
// and without any band nothing is shown.
type headPower struct {
	bands   []features.Band
	sink    stream.Sink
	through *bci.Through
}

// Open builds the chain that fits the stream.
func (h *headPower) Open(ctx context.Context, in stream.Header) error {
	bands := append(slices.Clone(h.bands),
		features.Band{Name: "alpha 8-13 Hz", Low: 8, High: 13}, features.Band{Name: "theta 4-8 Hz", Low: 4, High: 8},
		features.Band{Name: "beta 13-30 Hz", Low: 13, High: 30}, features.Band{Name: "gamma 30-45 Hz", Low: 30, High: 45})
	bands = slices.DeleteFunc(bands, func(b features.Band) bool { return b.High > in.Rate/2 || b.Low < 2 })
	if len(bands) == 0 {
		return nil
	}
	h.through = &bci.Through{
		Links: []stream.Link{
			{Name: "gap-repair", Stage: &filters.GapRepair{}},
			{Name: "window", Stage: &features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{&features.BandPower{Bands: bands, Scale: "db"}}}},
		},
		Sink: h.sink,
	}
	return h.through.Open(ctx, in)
}

// Write runs one chunk through.
func (h *headPower) Write(src *stream.Chunk) error {
	if h.through == nil {
		return nil
	}
	return h.through.Write(src)
}

// Close closes the sink.
func (h *headPower) Close() error { return h.sink.Close() }

// serve starts answering; the returned function stops it and waits.
func (pg *page) serve(e *bci.Engine) (stop func(), err error) {
	pg.server.SetStatus(e.Status)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := pg.server.Serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Println(err)
		}
	}()
	return func() { cancel(); <-done }, nil
}
