package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"neurostream/bci"
	"neurostream/recordings/samples"
	"neurostream/replay"
	"neurostream/stream"
	"neurostream/stream/lsl"
)

// overLSL runs the main job over the network: the recording is sent by one engine
// through a Lab Streaming Layer outlet, received by an inlet and decoded by another
// engine, as from an amplifier. The decisions must be those of the replay, to the
// last bit; the truth comes from the recording.
func overLSL(ctx context.Context, r *runner, p *bci.Pipeline, m *bci.Model, speed float64) (*runReport, error) {
	name := fmt.Sprintf("S007R12-%d", os.Getpid())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() {
		in, err := bci.OpenSource(fmt.Sprintf("sample:S007R12?speed=%g", speed))
		if err != nil {
			sent <- err
			return
		}
		out := runner{to: []string{"lsl://" + name + "?type=EEG&wait=15s&source_id=" + name}, quiet: true, out: r.out, errOut: r.errOut}
		_, err = out.runInput(ctx, bci.Passthrough(), nil, in)
		sent <- err
	}()
	in, err := bci.OpenSource("lsl://" + name + "?timeout=15s&recover=never&chunk=8")
	if err != nil {
		return nil, err
	}
	in.Source = untilLost{in.Source}
	rec, err := samples.Open("S007R12")
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	begin := new(firstStamp)
	judge := new(replay.Collector)
	report, engine, err := r.runWith(ctx, p, m, in,
		bci.Output{Name: "first stamp", Sink: begin, From: "source", Lossless: true},
		bci.Output{Name: "scores", Sink: judge, Lossless: true})
	if err != nil {
		return nil, err
	}
	if err := <-sent; err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	d := judge.Decisions()
	for i := range d.Time { // from the network's timeline to the recording's
		d.Time[i] -= begin.at.Seconds()
		// The receiver smooths stamps; decisions stand on whole samples.
		d.Time[i] = math.Round(d.Time[i]*rec.Header().Rate) / rec.Header().Rate
	}
	score, err := judged(p, rec, engine, d)
	if err != nil {
		return nil, err
	}
	return newReport(report.Status, score), nil
}

// untilLost ends a stream in order when its sender has gone for good: here that is
// the end of the recording.
type untilLost struct{ stream.Source }

func (u untilLost) Read(dst *stream.Chunk) error {
	err := u.Source.Read(dst)
	if errors.Is(err, lsl.ErrLost) {
		return io.EOF
	}
	return err
}

// firstStamp keeps the time of the first column.
type firstStamp struct {
	at  stream.Time
	got bool
}

func (f *firstStamp) Open(context.Context, stream.Header) error { return nil }

func (f *firstStamp) Write(c *stream.Chunk) error {
	if !f.got && c.Len > 0 {
		f.at, f.got = c.T0, true
	}
	return nil
}

func (f *firstStamp) Close() error { return nil }
