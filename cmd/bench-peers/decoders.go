package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"neurostream/bci"
	"neurostream/decoders"
	"neurostream/stream"
	"neurostream/stream/kernel"
)

// decoderRow is a decoder of kinematics and its peer in peers/decoders_peer.py.
type decoderRow struct {
	name, peer string
	decoder    decoders.DKF
	limit      float64 // asked of our seconds
	ratio      float64 // asked of theirs/ours; 0 = nothing
}

var decoderRows = []decoderRow{
	{"DKF, network of 10 units, constant Q; NumPy", "mlp", decoders.DKF{F: decoders.DKFMLP, Seed: 1}, 2e-6, 20},
	{"DKF, Gaussian process of 1000 points; NumPy", "gp", decoders.DKF{F: decoders.DKFGP, Points: 1000}, 60e-6, 20},
	{"the same; scikit-learn", "sklearn", decoders.DKF{F: decoders.DKFGP, Points: 1000}, 60e-6, 20},
	{"DKF, 64 recurrent LIF neurons; NumPy", "snn", decoders.DKF{F: decoders.DKFSNN, Hidden: 64, Epochs: 1, Seed: 1}, 5e-6, 20},
}

// decodersBench is the section `decoders`: one step of 96 features to two outputs.
func decodersBench(ctx context.Context, b *bench) (string, error) {
	theirs, err := b.startPeer(ctx, "decoders_peer.py")
	if err != nil {
		return "", err
	}
	defer theirs.close()
	rows, err := reaching(96, 2000)
	if err != nil {
		return "", err
	}
	rounds := 9
	if b.full {
		rounds = 31
	}
	var t strings.Builder
	fmt.Fprintf(&t, "## Decoders of kinematics against NumPy and scikit-learn\n\nOne column of 96 features to two outputs through a whole stage: conditioning, regression, filter. One thread on either side, in turn, %d pairs a row (medians of 2000 steps; the ratio is the median of pairs, quartiles in brackets). Both sides run the same model, and their outputs over 300 columns were compared first. %s/%s, %s; our kernels: %s.\n\n", rounds, runtime.GOOS, runtime.GOARCH, processor(), kernel.Level())
	fmt.Fprintf(&t, "| decoder; peer | ours | asked | B/op | theirs | ratio | asked | |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range decoderRows {
		if !b.wants(r.name) {
			continue
		}
		line, err := r.run(ctx, theirs, rows, rounds)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.name, err)
		}
		b.say("%s", line)
		t.WriteString(line + "\n")
	}
	t.WriteString(decoderNotes)
	return t.String(), nil
}

// decoderNotes say what the profiles of the rows that can be missed show.
const decoderNotes = `
What the profiles show where a row can be missed:

- Gaussian process: NumPy's side is one matrix product too. A step reads 1000 points of 96 features, 768 KB, more than the second-level cache of the machine (512 KB), and takes 24 000 vector
  subtractions and 24 000 additions, 8 µs on two adders, and 2000 exponentials, 3 µs at least; 20× would be 4 to 5 µs in all.
- LIF neurons: the 49 KB of input weights do not fit the first-level cache (32 KB) and take four tenths of a step; going through them back and forth saves a part. Conditioning, which
  divides 96 times, is a tenth. Spikes cost next to nothing.
`

// reaching is a simulated recording as training rows.
func reaching(units, columns int) (*decoders.Rows, error) {
	rec, err := bci.Reach{Seconds: float64(columns) / 20, Units: units, Seed: 1, Brain: 1}.Recording()
	if err != nil {
		return nil, err
	}
	h := rec.Header()
	rows := &decoders.Rows{Header: h.Clone(), Targets: h.Channels[units : units+2]}
	rows.Header.Channels = rows.Header.Channels[:units]
	rows.Header.MaxLen = 1
	for i := range columns {
		c := rec.Data.Column(nil, i)
		rows.X, rows.Target = append(rows.X, c[:units:units]), append(rows.Target, c[units:units+2:units+2])
	}
	return rows, nil
}

func (r *decoderRow) run(ctx context.Context, theirs *peer, rows *decoders.Rows, rounds int) (string, error) {
	d := r.decoder
	if err := d.Fit(ctx, rows, nil); err != nil {
		return "", err
	}
	raw, err := d.SaveModel()
	if err != nil {
		return "", err
	}
	var model json.RawMessage = raw
	const compared = 300
	if err := theirs.call(map[string]any{"do": "load", "model": model, "rows": rows.X[:compared]}, &struct{}{}); err != nil {
		return "", err
	}
	out, err := d.Open(rows.Header)
	if err != nil {
		return "", err
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	src.Resize(1)
	step := func(i int) {
		src.Seq = int64(i)
		src.SetColumn(0, rows.X[i%compared])
		d.Process(dst, src)
	}
	var want struct{ Values [][]float64 }
	if err := theirs.call(map[string]any{"do": "outputs", "peer": r.peer}, &want); err != nil {
		return "", err
	}
	for i := range compared {
		step(i)
		for j, v := range want.Values[i] {
			if math.Abs(dst.At(j, 0)-v) > 1e-6*(1+math.Abs(v)) {
				return "", fmt.Errorf("column %d, output %d: ours %v, theirs %v", i, j, dst.At(j, 0), v)
			}
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 1000 {
		step(i)
	}
	runtime.ReadMemStats(&after)
	p, err := measure(rounds, func() (float64, error) {
		taken := make([]float64, 0, 200)
		for range 200 {
			start := time.Now()
			for i := range 10 { // the clock takes as long as a short step
				step(i)
			}
			taken = append(taken, time.Since(start).Seconds()/10)
		}
		slices.Sort(taken)
		return taken[len(taken)/2], nil
	}, func() (float64, error) {
		var a struct{ Seconds float64 }
		err := theirs.call(map[string]any{"do": "seconds", "peer": r.peer, "repeats": 2000}, &a)
		return a.Seconds, err
	})
	if err != nil {
		return "", err
	}
	median, low, high := p.ratio()
	ours := quantile(p.ours, 0.5)
	return fmt.Sprintf("| %s | %s | ≤ %s (%s) | %d | %s | **%.1f×** (%.1f–%.1f) | ≥ %.0f× | %s |", r.name, seconds(ours), seconds(r.limit), verdict(r.limit/ours, 1), (after.TotalAlloc-before.TotalAlloc)/1000, seconds(quantile(p.theirs, 0.5)), median, low, high, r.ratio, verdict(median, r.ratio)), nil
}
