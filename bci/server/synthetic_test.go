package server

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/stream"
)

// electrodes64 are the names of the 64-electrode extended 10-20 montage in the order
// of the EEGMMIDB recordings.
var electrodes64 = []string{
	"FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "C5", "C3", "C1", "Cz", "C2", "C4", "C6",
	"CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz", "AF4", "AF8",
	"F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8", "FT7", "FT8", "T7", "T8", "T9", "T10", "TP7", "TP8",
	"P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "Iz",
}

// synthetic plays the part of an engine: 64 channels with an alpha rhythm behind and
// a mu rhythm over the hand areas that the imagined movements weaken, a decoder that
// follows a little late and sometimes errs, and markers as in the recordings.
type synthetic struct {
	signals, decisions, power stream.Sink
	rate                      float64
	block                     int
	began                     time.Time

	rng                 *rand.Rand
	column              int64 // samples made
	window              int64 // decisions made
	phase               []float64
	noise               []float64
	evidence            float64
	marked              float64 // start of the trial that has its marker
	lastCommand         float64
	raw, rows, features *stream.Chunk
	markers             []stream.Marker // not yet given to the decisions
	events              []stream.Event
}

var testTruth = map[string]string{"T0": "rest", "T1": "left", "T2": "right"}

func newSynthetic(t testing.TB, s *Server, rate float64, block int) *synthetic {
	t.Helper()
	y := &synthetic{
		signals: s.Signals(), decisions: s.Decisions(), power: s.BandPower(), rate: rate, block: block,
		rng: rand.New(rand.NewPCG(1, 2)), phase: make([]float64, 64), noise: make([]float64, 64), began: time.Now(), lastCommand: -100, marked: -1,
	}
	raw := stream.Header{Name: "S007R12", Rate: rate, MaxLen: block}
	features := stream.Header{Name: "power", Rate: 10, MaxLen: 4, Delay: 1}
	for i, label := range electrodes64 {
		raw.Channels = append(raw.Channels, stream.Channel{Label: label, Unit: "uV", Type: "EEG"})
		features.Channels = append(features.Channels, stream.Channel{Label: "logpower " + label + " 8-13 Hz", Unit: "dB(uV^2)", Type: "feature"})
		y.phase[i] = y.rng.Float64() * 7
	}
	decisions := stream.Header{Name: "gate", Rate: 10, MaxLen: 4, Delay: 1.05, Channels: []stream.Channel{
		{Label: "left", Unit: "probability", Type: decoders.TypeProbability},
		{Label: "right", Unit: "probability", Type: decoders.TypeProbability},
		{Label: "decision", Type: decoders.TypeDecision},
		{Label: "command", Type: decoders.TypeDecision},
	}}
	for _, open := range []struct {
		sink   stream.Sink
		header stream.Header
	}{{y.signals, raw}, {y.decisions, decisions}, {y.power, features}} {
		if err := open.sink.Open(context.Background(), open.header); err != nil {
			t.Fatal(err)
		}
	}
	y.raw, y.rows, y.features = stream.NewChunk(&raw), stream.NewChunk(&decisions), stream.NewChunk(&features)
	s.SetStatus(y.status)
	return y
}

// trialAt returns the marker in force at a time: 4.2 s of rest, 4.1 s of a movement.
func trialAt(seconds float64) (label string, class int, start float64) {
	n := math.Floor(seconds / 8.3)
	if seconds-n*8.3 < 4.2 {
		return "T0", -1, n * 8.3
	}
	if int(n)%3 == 1 {
		return "T2", 1, n*8.3 + 4.2
	}
	return "T1", 0, n*8.3 + 4.2
}

// step makes one block of samples and what follows from it.
func (y *synthetic) step(t testing.TB) {
	t.Helper()
	now := float64(y.column) / y.rate
	c := y.raw
	c.Clear()
	c.Resize(y.block)
	c.Seq, c.T0 = y.column, stream.Time(now*1e9)
	c.Arrived = stream.Wall{}.Now()
	c.Events = append(c.Events, y.events...)
	y.events = y.events[:0]
	for i := range y.block {
		at := now + float64(i)/y.rate
		label, class, start := trialAt(at)
		if start != y.marked {
			y.marked = start
			c.Markers = append(c.Markers, stream.Marker{Column: i, Label: label, Time: stream.Time(start * 1e9), Duration: map[bool]float64{true: 4.2, false: 4.1}[class < 0]})
		}
		for ch := range 64 {
			y.noise[ch] = 0.97*y.noise[ch] + 5*y.rng.NormFloat64()
			alpha := 4.0
			switch {
			case ch >= 46:
				alpha = 28 * (1 + 0.5*math.Sin(at*0.7))
			case ch == 8 || ch == 1 || ch == 15:
				alpha = 20 * map[bool]float64{true: 0.25, false: 1}[class == 1]
			case ch == 12 || ch == 5 || ch == 19:
				alpha = 20 * map[bool]float64{true: 0.25, false: 1}[class == 0]
			}
			v := y.noise[ch] + alpha*math.Sin(2*math.Pi*(10.3+0.01*float64(ch))*at+y.phase[ch])
			if ch >= 21 && ch <= 23 && math.Mod(at, 5.5) < 0.25 { // a blink
				v += 140 * math.Sin(math.Pi*math.Mod(at, 5.5)/0.25)
			}
			c.Set(ch, i, v)
		}
	}
	y.column += int64(y.block)
	y.write(t, y.signals, c)
	y.markers = append(y.markers, c.Markers...)
	for float64(y.window)/10 < float64(y.column)/y.rate {
		y.decide(t, float64(y.window)/10)
		y.window++
	}
}

func (y *synthetic) decide(t testing.TB, at float64) {
	t.Helper()
	_, class, _ := trialAt(at - 0.9)
	pull := map[int]float64{-1: 0, 0: -1, 1: 1}[class] * 1.9
	y.evidence += 0.12*(pull-y.evidence) + 0.16*y.rng.NormFloat64()
	right := 1 / (1 + math.Exp(-1.6*y.evidence))
	decision, command := -1.0, -1.0
	if math.Abs(right-0.5) > 0.28 {
		decision = math.Round(right)
		if at-y.lastCommand > 4 {
			command, y.lastCommand = decision, at
		}
	}
	d := y.rows
	d.Clear()
	d.Resize(1)
	d.Seq, d.T0 = y.window, stream.Time(at*1e9)
	for _, m := range y.markers {
		m.Column = 0
		d.Markers = append(d.Markers, m)
	}
	y.markers = y.markers[:0]
	d.SetColumn(0, []float64{1 - right, right, decision, command})
	y.write(t, y.decisions, d)

	f := y.features
	f.Clear()
	f.Resize(1)
	f.Seq, f.T0 = y.window, d.T0
	for ch := range 64 {
		v := 6 + 1.2*math.Sin(float64(ch))
		switch {
		case ch >= 46:
			v = 14 + 3*math.Sin(at*0.7)
		case ch == 8 || ch == 1 || ch == 15:
			v = 13 - 8*right
		case ch == 12 || ch == 5 || ch == 19:
			v = 13 - 8*(1-right)
		}
		f.Set(ch, 0, v+0.3*y.rng.NormFloat64())
	}
	y.write(t, y.power, f)
}

func (y *synthetic) write(t testing.TB, sink stream.Sink, c *stream.Chunk) {
	t.Helper()
	if err := sink.Write(c); err != nil {
		t.Fatal(err)
	}
}

// play runs at the wall's speed until ctx ends.
func (y *synthetic) play(ctx context.Context, t testing.TB) {
	tick := time.NewTicker(time.Duration(float64(y.block) / y.rate * float64(time.Second)))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			y.step(t)
		case <-ctx.Done():
			return
		}
	}
}

func (y *synthetic) status() bci.Status {
	spread := func(p50 float64) bci.Spread {
		return bci.Spread{N: 1000, P50: p50, P99: 2.4 * p50, P999: 5.1 * p50, Max: 11 * p50}
	}
	elapsed := time.Since(y.began).Seconds()
	stage := func(name string, work, delay, rate float64, rows int) bci.Stage {
		return bci.Stage{Name: name, Work: spread(work), DelayS: delay, Rows: rows, RateHz: rate}
	}
	columns := int64(elapsed * y.rate)
	return bci.Status{
		State: "running", Pipeline: "motor-imagery.yaml", Source: "file:S007R12.edf?speed=1&loop=true",
		ElapsedS: elapsed, DataS: elapsed * 0.9998, Realtime: 0.9998, Rate: y.rate, Rows: 64,
		Chunks: columns / int64(y.block), Columns: columns, Decisions: int64(elapsed * 10),
		Digest: "9f2c1ab0d4e75c31866b0f8e2a97dd1c4f0be65a1123c98d7be0a4f6d2c9e811", DelayS: 1.083,
		Stages: []bci.Stage{
			stage("gap-repair", 0.9, 0, y.rate, 64), stage("common-average", 2.1, 0, y.rate, 64), stage("band-pass 8–30 Hz", 6.4, 0.033, y.rate, 64),
			stage("window 2 s / 0.1 s", 3.2, 1, 10, 64), stage("covariance", 118, 0, 10, 2080), stage("tangent space", 61, 0, 10, 136),
			stage("logistic regression", 1.8, 0, 10, 2), stage("gate", 0.2, 0.05, 10, 4),
		},
		Engine: spread(212), Age: spread(486), Pacing: spread(52),
		Rings:  []bci.Ring{{Name: "source", Used: 1, Slots: 64}, {Name: "signals", Slots: 64}, {Name: "decisions", Slots: 64}, {Name: "band power", Used: 2, Slots: 64}},
		Events: []bci.Count{{Kind: "gap", N: 1}, {Kind: "bad-samples", N: 312}}, GCs: 0, HeapBytes: 41 << 20, AllocBytes: 52 << 20,
	}
}
