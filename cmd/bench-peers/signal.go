package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"neurostream/stream/kernel"
)

// startWorker runs our side with one thread and a family of kernels.
func (b *bench) startWorker(ctx context.Context, level kernel.Set) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{name: "neurostream " + level.String(), cmd: exec.CommandContext(ctx, self, signalWorker)}
	p.cmd.Env = append(os.Environ(), kernel.Variable+"="+level.String(), "GOMAXPROCS=1", "GOGC=off")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<20)
	return p, p.cmd.Start()
}

// layout is a number of channels and a rate, with hops of 50 ms (a whole number of
// samples), windows of 20 hops, segments of 10 hops.
type layout struct {
	channels int
	rate     float64
	hop      int
}

func (l layout) String() string { return fmt.Sprintf("%d ch, %g Hz", l.channels, l.rate) }

var layouts = []layout{{8, 250, 12}, {64, 500, 25}, {64, 1000, 50}, {256, 1000, 50}}

// signalRow is a line of the section: a task for both sides and what is asked.
type signalRow struct {
	name    string
	task    signalTask
	level   kernel.Set // of our side
	ratio   float64    // asked of theirs/ours; 0 = nothing
	limit   float64    // asked of our seconds; 0 = nothing
	samples float64    // of one step: the figure is then Msamples/s, and limit asks for as many of them
	check   bool       // compare the values first
}

// signalBench is the section `signal`.
func signalBench(ctx context.Context, b *bench) (string, error) {
	best := kernel.Best()
	workers := map[kernel.Set]*peer{}
	for _, level := range []kernel.Set{kernel.Portable, best} {
		if workers[level] != nil {
			continue
		}
		w, err := b.startWorker(ctx, level)
		if err != nil {
			return "", err
		}
		defer w.close()
		workers[level] = w
	}
	theirs, err := b.startPeer(ctx, "signal_peer.py")
	if err != nil {
		return "", err
	}
	defer theirs.close()
	rows := signalRows(best)
	rounds := 7
	if b.full {
		rounds = 21
	}
	var t strings.Builder
	fmt.Fprintf(&t, "## Signal library against SciPy, NumPy and MNE\n\nOne thread on either side, in turn, %d pairs a row (medians of repeated steps; the ratio is the median of pairs, quartiles in brackets). %s/%s, %s; our kernels: %s and portable Go. Both sides do the work of one hop on the same input, and where both put numbers out these were compared first. Hop 50 ms (48 ms at 250 Hz), window 20 hops, segments 10 hops.\n\n", rounds, runtime.GOOS, runtime.GOARCH, processor(), best)
	fmt.Fprintf(&t, "| work of a hop | kernels | ours | theirs | ratio | asked | |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		if !b.wants(r.name) {
			continue
		}
		line, err := r.run(workers[r.level], theirs, rounds)
		if err != nil {
			return "", fmt.Errorf("%s: %w", r.name, err)
		}
		b.say("%s", line)
		t.WriteString(line + "\n")
	}
	t.WriteString(signalNotes)
	return t.String(), nil
}

// signalNotes say what the profiles of the rows that can be missed show.
const signalNotes = `
What the profiles show where a row can be missed:

- Portable real FFT: pocketfft transforms two rows at once with SSE2, which every amd64 has and Go's compiler does not use; plain Go does one multiplication or addition at a time. Its five
  thousand operations a row of 256 bound it to about the time it takes. Only assembly gets past that.
- Real FFT in assembly: eight rows of 512 points take some 14 000 vector additions, 7000 cycles on two adders, which is 18 of the some 30 µs that 64 rows take (AVX2, Zen 3, 3.1 GHz). The window
  and the first stage go together, which saves about a tenth. The rest is not memory: transforming four lanes after the other four, so that the scratch of 1024 points stays in the first-level
  cache, was built and gave 9 % more time at 256 points, 5 % more at 512, 2 % less at 1024, so it is not used. Every butterfly writes some fifty registers, and the
  processor renames about 128: not quite three butterflies are in flight. AVX-512 has half as many instructions for the same work.
- Coherence + PLV: the peer's side is one batched complex matrix product (OpenBLAS, its own AVX kernels, fused multiply-add) over all pairs, not a loop over pairs, which would be a hundred
  times slower. Sixty percent of our time are the magnitudes of 64 pairs at a bin: with AVX2, without fused multiply-add and with six segments, they take 384 multiplications and as many
  additions of four numbers (192 cycles at best) and 16 square roots (134 cycles of the divider, beside them); it is 330 cycles. AVX-512 halves the products. At 256 channels and 12 bins that
  is 1.4 ms; laying out 590 KB of spectra, which no longer fit the second-level cache, and putting out 65 280 rows take as long again.
  The peer has two speeds at 64 channels: 1.2 ms in a process that has freed large arrays before, as here behind the rows of Welch, and 2.7 to 4.5 ms in a fresh one, where glibc maps and clears
  every temporary array anew (ratio 16 to 21; MALLOC_MMAP_THRESHOLD_=268435456 brings back the 8). The table has the peer at its best.
- Biquad cascade in portable Go: five multiplications and four additions a section and sample, one lane at a time because Go's compiler does not use vector instructions; it reached 202
  Msamples/s as the best of a run and 161 as the median on a busy machine. Only assembly gets past that.
- Welch against MNE: MNE skips the checks and the copies of scipy.signal.welch; what remains on our side is one transform of every channel per hop.
`

func signalRows(best kernel.Set) []signalRow {
	var rows []signalRow
	for _, l := range layouts {
		rows = append(rows, signalRow{
			name: fmt.Sprintf("IIR, 4 sections, %v", l), task: signalTask{Do: "iir", Channels: l.channels, Rate: l.rate, Hop: l.hop},
			level: best, ratio: 4, check: true,
		})
	}
	for _, l := range layouts {
		w := signalTask{Do: "welch", Channels: l.channels, Rate: l.rate, Hop: l.hop, Length: 20 * l.hop, Segment: 10 * l.hop, Stride: 5 * l.hop}
		rows = append(rows, signalRow{name: fmt.Sprintf("Welch, 1 s, %v", l), task: w, level: best, ratio: 10, check: true})
	}
	w := rows[len(rows)-2]
	w.name, w.task.MNE = "the same against MNE, "+layouts[2].String(), true
	rows = append(rows, w)
	for _, l := range layouts {
		c := connectivityTask(l)
		rows = append(rows, signalRow{name: fmt.Sprintf("coherence + PLV of all pairs, 8 to 30 Hz, %v", l), task: c, level: best, ratio: 20, check: true})
	}
	c := connectivityTask(layouts[2])
	c.PSD = true
	rows = append(rows, signalRow{name: "PSD + coherence + PLV, " + layouts[2].String(), task: c, level: best, limit: 600e-6, check: true})
	for _, level := range []kernel.Set{kernel.Portable, best} {
		asked := 1.0
		if level != kernel.Portable {
			asked = 3
		}
		for _, n := range []int{256, 512, 1024} {
			rows = append(rows, signalRow{name: fmt.Sprintf("real FFT, 64 rows of %d", n), task: signalTask{Do: "fft", Rows: 64, Points: n}, level: level, ratio: asked, check: true})
		}
	}
	for _, level := range []kernel.Set{kernel.Portable, best} {
		asked := 200.0
		if level != kernel.Portable {
			asked = 700
		}
		rows = append(rows, signalRow{name: "biquad cascade, 4 sections, 64 ch × 256", task: signalTask{Do: "iir", Channels: 64, Rate: 1000, Hop: 256}, level: level, samples: 64 * 256, limit: asked})
	}
	rows = append(rows,
		signalRow{name: "8 bands of 4 sections, 1024 ch at 30 kHz, 1 ms of data", task: signalTask{Do: "bank", Channels: 1024, Rate: 30000, Hop: 30}, level: best, limit: 1e-3},
		signalRow{name: "22 features, 16 ch × 500 samples", task: signalTask{Do: "features", Channels: 16, Rate: 250, Length: 500}, level: best, limit: 146e-6, check: true})
	return rows
}

// connectivityTask has six segments in a window and the bins from 8 to 30 Hz.
func connectivityTask(l layout) signalTask {
	t := signalTask{Do: "connectivity", Channels: l.channels, Rate: l.rate, Hop: l.hop, Length: 20 * l.hop, Segment: 10 * l.hop, Stride: 2 * l.hop}
	width := l.rate / float64(t.Segment)
	t.Lo, t.Hi = int(math.Ceil(8/width-1e-9)), int(math.Floor(30/width+1e-9))+1
	return t
}

func (r *signalRow) run(ours, theirs *peer, rounds int) (string, error) {
	if r.check {
		if err := r.compare(ours, theirs); err != nil {
			return "", err
		}
	}
	ask := func(p *peer) func() (float64, error) {
		return func() (float64, error) {
			t, a := r.task, signalAnswer{}
			t.Repeats = repeats(r.task, p == ours)
			err := p.call(t, &a)
			return a.Seconds, err
		}
	}
	m, err := measure(rounds, ask(ours), ask(theirs))
	if err != nil {
		return "", err
	}
	own, other := quantile(m.ours, 0.5), quantile(m.theirs, 0.5)
	ratio, low, high := m.ratio()
	figure, asked, result := seconds(own), "", ""
	switch {
	case r.samples > 0:
		rate := r.samples / own / 1e6
		figure, asked, result = fmt.Sprintf("%.0f Msamples/s", rate), fmt.Sprintf("≥ %.0f Msamples/s", r.limit), verdict(rate, r.limit)
	case r.limit > 0:
		asked, result = "≤ "+seconds(r.limit), verdict(r.limit, own)
	case r.ratio > 0:
		asked, result = fmt.Sprintf("≥ %.3g×", r.ratio), verdict(ratio, r.ratio)
	}
	return fmt.Sprintf("| %s | %v | %s | %s | %.3g× (%.3g to %.3g) | %s | %s |", r.name, r.level, figure, seconds(other), ratio, low, high, asked, result), nil
}

// repeats keeps a figure at roughly 30 ms a side.
func repeats(t signalTask, ours bool) int {
	n := 200
	switch {
	case t.Do == "connectivity" && t.Channels > 64, t.Do == "bank":
		n = 3
	case t.Do == "connectivity" && t.Channels > 8:
		n = 20
	case t.MNE:
		n = 20
	}
	if ours {
		n *= 4
	}
	return n
}

// compare makes sure that both sides compute the same.
func (r *signalRow) compare(ours, theirs *peer) error {
	t := r.task
	t.Check, t.Repeats = true, 1
	var a, b signalAnswer
	if err := errors.Join(ours.call(t, &a), theirs.call(t, &b)); err != nil {
		return err
	}
	if len(a.Values) != len(b.Values) {
		return fmt.Errorf("%d values against %d", len(a.Values), len(b.Values))
	}
	var scale float64
	for _, v := range b.Values {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range a.Values {
		if w := b.Values[i]; !(math.Abs(v-w) <= 1e-9*scale) {
			return fmt.Errorf("value %d is %v, theirs %v", i, v, w)
		}
	}
	return nil
}

// processor names the machine.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for _, line := range strings.Split(string(info), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
