package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"neurostream/features"
	"neurostream/filters"
	"neurostream/stream"
	"neurostream/stream/fft"
)

// signalWorker is our side of the signal section in a process of its own, so that it
// can be given one thread and a family of kernels, and that both sides are spoken to
// alike. See peers/signal_peer.py for the other side of every task.
const signalWorker = "signal-worker"

// signalRole serves as our side when the process was started for that.
func signalRole() bool {
	if len(os.Args) != 2 || os.Args[1] != signalWorker {
		return false
	}
	if err := serveSignal(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
	return true
}

// signalTask is a request to either side.
type signalTask struct {
	Do       string  `json:"do"`
	Channels int     `json:"channels,omitempty"`
	Rows     int     `json:"rows,omitempty"`
	Points   int     `json:"points,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	Hop      int     `json:"hop,omitempty"`
	Length   int     `json:"length,omitempty"`
	Segment  int     `json:"segment,omitempty"`
	Stride   int     `json:"stride,omitempty"`
	Lo       int     `json:"lo,omitempty"` // bins lo to hi-1
	Hi       int     `json:"hi,omitempty"`
	PSD      bool    `json:"psd,omitempty"`
	MNE      bool    `json:"mne,omitempty"`
	Repeats  int     `json:"repeats"`
	Check    bool    `json:"check,omitempty"`
}

// signalAnswer is what comes back: the median time of a step, or with Check its values.
type signalAnswer struct {
	Seconds float64   `json:"seconds,omitempty"`
	Values  []float64 `json:"values,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// serveSignal answers tasks until the input ends.
func serveSignal(in io.Reader, out io.Writer) error {
	for s := bufio.NewScanner(in); s.Scan(); {
		var t signalTask
		var a signalAnswer
		if err := json.Unmarshal(s.Bytes(), &t); err != nil {
			return err
		}
		step, err := t.prepare()
		switch {
		case err != nil:
			a.Error = err.Error()
		case t.Check:
			a.Values = step(true)
		default:
			for range t.Repeats/4 + 3 {
				step(false)
			}
			taken := make([]float64, t.Repeats)
			for i := range taken {
				start := time.Now()
				step(false)
				taken[i] = time.Since(start).Seconds()
			}
			slices.Sort(taken)
			a.Seconds = taken[len(taken)/2]
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// sample is the input of both sides.
func sample(c, n int) float64 {
	x, y := float64(n), float64(c)
	return math.Sin(x*(0.05+0.0013*y)) + 0.5*math.Cos(x*x*0.0007+y)
}

func signalHeader(channels int, rate float64, columns int) stream.Header {
	h := stream.Header{Name: "bench", Rate: rate, MaxLen: columns}
	for i := range channels {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprintf("ch%d", i+1), Unit: "uV", Type: "EEG"})
	}
	return h
}

func fillSignal(c *stream.Chunk, from, columns int) {
	c.Clear()
	c.Resize(columns)
	c.Seq = int64(from)
	for ch := range c.Rows() {
		for i := range columns {
			c.Set(ch, i, sample(ch, from+i))
		}
	}
}

// prepare returns one step of the task; with values it returns what the step made.
func (t *signalTask) prepare() (func(values bool) []float64, error) {
	switch t.Do {
	case "iir":
		return t.stage(&filters.Bandpass{Low: 8, High: 30, Order: 4}, t.Hop)
	case "bank":
		f := &filters.FilterBank{Order: 4}
		for b := range 8 {
			f.Bands = append(f.Bands, filters.Band{Name: fmt.Sprint(b), Low: 300 + 600*float64(b), High: 800 + 600*float64(b)})
		}
		return t.stage(f, t.Hop)
	case "welch":
		return t.windows(&features.PSD{Welch: t.welch()})
	case "connectivity":
		width := t.Rate / float64(t.Segment)
		band := []features.Band{{Low: float64(t.Lo) * width, High: float64(t.Hi) * width}}
		x := []features.Extractor{
			&features.Connectivity{Measure: "coherence", Bands: band, Welch: t.welch()},
			&features.Connectivity{Measure: "plv", Bands: band, Welch: t.welch()},
		}
		if t.PSD {
			x = slices.Insert[[]features.Extractor, features.Extractor](x, 0, &features.PSD{Welch: t.welch()})
		}
		return t.windows(x...)
	case "features":
		w := features.Welch{Segment: 1, Step: 0.5}
		bands := []features.Band{{Low: 1, High: 4}, {Low: 4, High: 8}, {Low: 8, High: 13}, {Low: 13, High: 30}, {Low: 30, High: 45}}
		t.Hop = t.Length // every window is new
		return t.windows(
			&features.BandPower{Bands: bands, Welch: w},
			&features.BandPower{Bands: bands, Welch: w, Relative: true, Scale: "linear"},
			&features.SpectralShape{Welch: w, Which: []string{"entropy"}},
			&features.Hjorth{}, &features.TimeStats{})
	case "fft":
		return t.transforms(), nil
	}
	return nil, fmt.Errorf("no task %q", t.Do)
}

func (t *signalTask) welch() features.Welch {
	return features.Welch{Segment: float64(t.Segment) / t.Rate, Step: float64(t.Stride) / t.Rate}
}

// stage steps by whole chunks.
func (t *signalTask) stage(s stream.Stage, columns int) (func(bool) []float64, error) {
	h := signalHeader(t.Channels, t.Rate, columns)
	out, err := s.Open(h)
	if err != nil {
		return nil, err
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	fillSignal(src, 0, columns)
	return func(values bool) []float64 {
		s.Process(dst, src)
		src.Seq += int64(columns)
		if !values {
			return nil
		}
		var v []float64
		for i := range dst.Len {
			v = append(v, dst.Column(nil, i)...)
		}
		return v
	}, nil
}

// windows steps by one hop of new samples; the first step fills the window.
func (t *signalTask) windows(x ...features.Extractor) (func(bool) []float64, error) {
	w := &features.Windows{Length: float64(t.Length) / t.Rate, Hop: float64(t.Hop) / t.Rate, Extractors: x, KeepSettling: true}
	h := signalHeader(t.Channels, t.Rate, t.Hop) // chunks of a hop, as a live stream brings them
	out, err := w.Open(h)
	if err != nil {
		return nil, err
	}
	next, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	for at := 0; at < t.Length; at += t.Hop {
		fillSignal(next, at, t.Hop)
		w.Process(dst, next)
	}
	first := append([]float64(nil), dst.Column(nil, 0)...)
	fillSignal(next, t.Length, t.Hop)
	return func(values bool) []float64 {
		if values {
			return first
		}
		w.Process(dst, next)
		next.Seq += int64(t.Hop)
		if dst.Len != 1 {
			panic("a hop without a window")
		}
		return nil
	}, nil
}

// transforms makes all bins of Rows real rows, eight at a time.
func (t *signalTask) transforms() func(bool) []float64 {
	p := fft.NewPlan(t.Points)
	tiles := make([][]fft.Vec, stream.TilesFor(t.Rows))
	for k := range tiles {
		tiles[k] = make([]fft.Vec, t.Points)
		for i := range tiles[k] {
			for l := range stream.Lanes {
				tiles[k][i][l] = sample(8*k+l, i)
			}
		}
	}
	out := make([][]fft.Vec, len(tiles))
	for k := range out {
		out[k] = make([]fft.Vec, 2*p.Bins())
	}
	var none fft.Vec
	return func(values bool) []float64 {
		for k, x := range tiles {
			p.Load(x, nil, &none, &none)
			p.Transform(out[k], 0, p.Bins())
		}
		if !values {
			return nil
		}
		var v []float64
		for r := range t.Rows {
			for b := range 2 * p.Bins() {
				v = append(v, out[r/8][b][r%8])
			}
		}
		return v
	}
}
