package main

import (
	"context"
	"errors"
	"fmt"
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
// the analysis band in each channel, computed beside the pipeline.
func (pg *page) outputs(p *bci.Pipeline) []bci.Output {
	outs := []bci.Output{{Name: "page: signals", Sink: pg.server.Signals(), From: "source"}}
	if p.Decides() {
		outs = append(outs, bci.Output{Name: "page: decisions", Sink: pg.server.Decisions()})
	}
	low, high := 8.0, 30.0
	for _, l := range p.Build() {
		if b, ok := l.Stage.(*filters.Bandpass); ok {
			low, high = b.Low, b.High
		}
	}
	return append(outs, bci.Output{
		Name: "page: band power", From: "source",
		Sink: &bci.Through{
			Links: []stream.Link{
				{Name: "gap-repair", Stage: &filters.GapRepair{}},
				{Name: "bandpass", Stage: &filters.Bandpass{Low: low, High: high, Order: 4}},
				{Name: "window", Stage: &features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{&features.LogVariance{}}}},
			},
			Sink: pg.server.BandPower(),
		},
	})
}

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
