//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"neurostream/stream"
	"neurostream/stream/lsl"
)

// Latency, loss, throughput and processor time of an LSL outlet and inlet against
// liblsl's. Sender and receiver are processes of their own on the loopback; ours are
// this program again (roleVariable), liblsl's are peers/lsl.c, so that no interpreter
// stands between. Both sides pace with clock_nanosleep to absolute times, stamp at the
// push and read the clock when the pull returns.
//
//	outlet process ── 127.0.0.1 ──► inlet process: latency = clock − stamp
//
// Ours push with Outlet.Push and read with Source.Read, which is what a pipeline does.

const roleVariable = "BENCH_PEERS_LSL"

// lslRole runs this process as one side of a measurement, if it was started as one.
func lslRole() bool {
	role := strings.Fields(os.Getenv(roleVariable))
	if len(role) == 0 {
		return false
	}
	run := lslInlet
	if role[0] == "outlet" {
		run = lslOutlet
	}
	if err := run(role[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers: lsl "+role[0]+":", err)
		os.Exit(1)
	}
	return true
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// lslOutlet: NAME CHANNELS RATE SAMPLES CONSUMERS; rate 0 = as fast as it goes.
func lslOutlet(v []string) error {
	channels, _ := strconv.Atoi(v[1])
	rate, _ := strconv.ParseFloat(v[2], 64)
	n, _ := strconv.Atoi(v[3])
	consumers, _ := strconv.Atoi(v[4])
	nominal := rate
	if nominal == 0 {
		nominal = 10000
	}
	o, err := lsl.NewOutlet(lsl.Info{Name: v[0], Type: "EEG", Channels: channels, Format: lsl.Float32, Rate: nominal, SourceID: v[0]}, lsl.OutletOptions{})
	if err != nil {
		return err
	}
	defer o.Close()
	fmt.Println(`{"ready":true}`)
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := o.WaitForConsumers(ctx, consumers); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	values := make([]float64, channels)
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	start := t.Nano()
	begun, cpu := lsl.LocalClock(), cpuSeconds()
	for k := range n {
		if rate > 0 {
			t = unix.NsecToTimespec(start + int64(float64(k)/rate*1e9))
			for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t, nil), unix.EINTR) {
			}
			if k%8 == 0 { // as the inlet does, and why: yieldEvery in stream/lsl/receive.go
				runtime.Gosched()
			}
		}
		values[0] = float64(k)
		if err := o.Push(values, lsl.LocalClock()); err != nil {
			return err
		}
	}
	took, used := lsl.LocalClock()-begun, cpuSeconds()-cpu
	time.Sleep(200 * time.Millisecond)
	values[0] = -1
	_ = o.Push(values, lsl.LocalClock())
	fmt.Printf(`{"n":%d,"seconds":%f,"cpu":%f}`+"\n", n, took, used)
	in.Scan()
	return nil
}

// lslInlet: NAME SAMPLES SECONDS.
func lslInlet(v []string) error {
	n, _ := strconv.Atoi(v[1])
	limit, _ := strconv.ParseFloat(v[2], 64)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration((limit+15)*float64(time.Second)))
	defer cancel()
	s := &lsl.Source{Match: lsl.Match{Name: v[0]}, Repair: "none"}
	h, err := s.Open(ctx)
	if err != nil {
		return err
	}
	fmt.Println(`{"ready":true}`)
	dst := stream.NewChunk(&h)
	lat := make([]float64, 0, n+1)
	got, last := 0, -1
	var cpu, first, final float64
	for done := false; !done; {
		if err := s.Read(dst); err != nil {
			break
		}
		now := lsl.LocalClock()
		for i, x := range dst.Tile(0)[:dst.Len] {
			k := int(x[0])
			if done = k < 0; done {
				break
			}
			if got == 0 {
				cpu, first = cpuSeconds(), now
			}
			if k <= last {
				return fmt.Errorf("sample %d comes after sample %d", k, last)
			}
			final, last = now, k
			got++
			if len(lat) < n {
				lat = append(lat, now-dst.Stamps[i].Seconds())
			}
		}
	}
	used := cpuSeconds() - cpu
	if len(lat) == 0 {
		return errors.New("nothing received")
	}
	slices.Sort(lat)
	at := func(q float64) float64 { return 1e6 * lat[min(len(lat)-1, int(q*float64(len(lat))))] }
	fmt.Printf(`{"n":%d,"seconds":%f,"cpu":%f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"p999":%.3f,"max":%.3f}`+"\n",
		got, final-first, used, at(.5), at(.9), at(.99), at(.999), at(1))
	return nil
}

// lslFigures are what a process reports: microseconds, seconds.
type lslFigures struct {
	Ready                    bool
	N                        int
	Seconds, CPU             float64
	P50, P90, P99, P999, Max float64
}

// lslProcess is one side of a measurement.
type lslProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// lslLab knows where everything is.
type lslLab struct{ dir, config, liblsl, client string }

func newLSLLab(ctx context.Context, b *bench) (*lslLab, error) {
	dir, err := os.MkdirTemp("", "bench-lsl")
	if err != nil {
		return nil, err
	}
	lab := &lslLab{dir: dir, config: filepath.Join(dir, "lsl_api.cfg"), client: filepath.Join(dir, "client")}
	find := `import importlib.util,glob,os; s=importlib.util.find_spec("pylsl"); print(glob.glob(os.path.join(s.submodule_search_locations[0],"lib/liblsl.so*"))[0])`
	out, err := exec.CommandContext(ctx, b.python, "-c", find).Output()
	if err != nil {
		return nil, fmt.Errorf("no liblsl among the peers: %w", err)
	}
	lab.liblsl = strings.TrimSpace(string(out))
	source, err := scripts.ReadFile("peers/lsl.c")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "lsl.c"), source, 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", filepath.Join(dir, "lsl.c"), "-ldl", "-lm", "-o", lab.client).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("a C compiler drives liblsl: %w: %s", err, out)
	}
	text := "[ports]\nMulticastPort = 17571\nBasePort = 17572\nPortRange = 64\nIPv6 = disable\n[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\nAddressesOverride = {127.0.0.1}\n[lab]\nKnownPeers = {127.0.0.1}\nSessionID = bench-" + strconv.Itoa(os.Getpid()) + "\n[log]\nlevel = -2\n"
	return lab, os.WriteFile(lab.config, []byte(text), 0o600)
}

func (l *lslLab) start(ctx context.Context, who string, role ...string) (*lslProcess, error) {
	p := new(lslProcess)
	if who == "ours" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		p.cmd = exec.CommandContext(ctx, self)
		p.cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "))
	} else {
		p.cmd = exec.CommandContext(ctx, l.client, append([]string{l.liblsl}, role...)...)
		p.cmd.Env = os.Environ()
	}
	p.cmd.Env = append(p.cmd.Env, "LSLAPICFG="+l.config)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	return p, p.cmd.Start()
}

func (p *lslProcess) read() (lslFigures, error) {
	var f lslFigures
	for p.out.Scan() {
		if json.Unmarshal(p.out.Bytes(), &f) == nil {
			return f, nil
		}
	}
	return f, fmt.Errorf("a process has ended early: %w", p.cmd.Wait())
}

func (p *lslProcess) end() {
	p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// lslCase is one measurement.
type lslCase struct {
	name           string
	channels       int
	rate           float64 // 0 = as fast as it goes
	samples        int     // of a pair in all rounds; ours with theirs has half as many each way
	inlets         int
	mixed          bool // also ours with theirs
	askP50, askCPU bool
	askFaster      float64 // ratio of samples per second that is asked for; 0 = none
}

// share returns how many samples a pair sends in all rounds.
func (c *lslCase) share(pair [2]string) int {
	if pair[0] != pair[1] {
		return c.samples / 2
	}
	return c.samples
}

// seconds estimates how long a case takes: the samples in real time, and what it takes to
// start processes that find each other.
func (c *lslCase) seconds(rounds int) float64 {
	const starting = 1.6
	pairs, samples := 2, 2*c.samples
	if c.mixed {
		pairs, samples = 4, 3*c.samples
	}
	if c.rate == 0 {
		return float64(rounds*pairs)*starting + float64(samples)/15000 // liblsl's pace
	}
	return float64(rounds*pairs)*starting + float64(samples)/c.rate
}

// lslResult is one pair in one round.
type lslResult struct {
	p50, p90, p99, p999, most float64 // mean over the inlets; the greatest
	sent, got                 int
	perSecond, cpuOut, cpuIn  float64
}

func (l *lslLab) measure(ctx context.Context, c *lslCase, n int, pair [2]string, name string) (r lslResult, err error) {
	out, err := l.start(ctx, pair[0], "outlet", name, strconv.Itoa(c.channels), fmt.Sprint(c.rate), strconv.Itoa(n), strconv.Itoa(c.inlets))
	if err != nil {
		return r, err
	}
	defer out.end()
	if _, err := out.read(); err != nil {
		return r, err
	}
	var ins []*lslProcess
	for range c.inlets {
		in, err := l.start(ctx, pair[1], "inlet", name, strconv.Itoa(n), fmt.Sprint(30+float64(n)/1000), "-")
		if err != nil {
			return r, err
		}
		defer in.end()
		if _, err := in.read(); err != nil {
			return r, err
		}
		ins = append(ins, in)
	}
	time.Sleep(200 * time.Millisecond)
	_, _ = io.WriteString(out.in, "go\n")
	sent, err := out.read()
	if err != nil {
		return r, err
	}
	r.cpuOut = sent.CPU
	k := float64(c.inlets)
	for _, in := range ins {
		f, err := in.read()
		if err != nil {
			return r, err
		}
		r.sent, r.got = r.sent+n, r.got+f.N
		r.cpuIn += f.CPU
		r.perSecond += float64(f.N) / f.Seconds / k
		r.p50, r.p90, r.p99, r.p999 = r.p50+f.P50/k, r.p90+f.P90/k, r.p99+f.P99/k, r.p999+f.P999/k
		r.most = max(r.most, f.Max)
	}
	_, _ = io.WriteString(out.in, "go\n")
	return r, nil
}

// measureLSL is section lsl: benchmark B6.
func measureLSL(ctx context.Context, b *bench) (string, error) {
	lab, err := newLSLLab(ctx, b)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(lab.dir)
	const rounds = 6
	asked, wider := 24000, 24000 // samples
	if b.full {
		// The number asked for where it is asked for; in all it stays below a quarter of an hour.
		asked, wider = 180000, 48000
	}
	cases := []lslCase{
		{name: "16 ch, 1 kHz", channels: 16, rate: 1000, samples: asked, inlets: 1, mixed: true, askP50: true, askCPU: true},
		{name: "64 ch, 1 kHz", channels: 64, rate: 1000, samples: wider, inlets: 1, askP50: true, askCPU: true},
		{name: "256 ch, 1 kHz", channels: 256, rate: 1000, samples: wider, inlets: 1, askP50: true, askCPU: true},
		{name: "16 ch, 1 kHz, 20 inlets", channels: 16, rate: 1000, samples: wider / 4, inlets: 20, askP50: true, askCPU: true},
		{name: "64 ch, saturated", channels: 64, samples: 200000, inlets: 1, askFaster: 5},
	}
	same := [][2]string{{"ours", "ours"}, {"liblsl", "liblsl"}}
	mixed := [][2]string{{"ours", "ours"}, {"ours", "liblsl"}, {"liblsl", "ours"}, {"liblsl", "liblsl"}}
	seconds := 0.0
	for i := range cases {
		seconds += cases[i].seconds(rounds)
	}
	b.say("about %.0f minutes", seconds/60)
	var table, ratios strings.Builder
	for i := range cases {
		c := &cases[i]
		pairs := same
		if c.mixed {
			pairs = mixed
		}
		results := map[[2]string][]lslResult{}
		for round := range rounds {
			b.say("%s, round %d of %d", c.name, round+1, rounds)
			order := slices.Clone(pairs)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for k, pair := range order {
				r, err := lab.measure(ctx, c, c.share(pair)/rounds, pair, fmt.Sprintf("bench-%d-%d-%d", i, round, k))
				if err != nil {
					return "", fmt.Errorf("%s, %s to %s: %w", c.name, pair[0], pair[1], err)
				}
				results[pair] = append(results[pair], r)
			}
		}
		for _, pair := range pairs {
			lslRow(&table, c, pair, results[pair])
		}
		lslRatios(&ratios, c, results[same[0]], results[same[1]])
	}
	version := strings.TrimSpace(lslVersion(ctx, b))
	command := "make bench-peers SECTIONS=lsl"
	if b.full {
		command += " FULL=1"
	}
	return fmt.Sprintf(`## LSL (B6)
%s, driven from C, against ours; sender and receiver are two processes on the loopback; %d cores, %s. The full run, FULL=1, has 180000 samples of 16 channels
(ours with theirs 90000 each way) and 48000 of the wider streams; this one had %d and %d, in %d interleaved rounds; float32, one push per sample. Latency is from the push to the return of the pull, in microseconds: medians over the rounds, max over all.
Processor seconds are those of the whole run; both sides pace alike.

| case | outlet | inlet | samples received | lost | p50 µs | p90 µs | p99 µs | p99.9 µs | max µs | samples/s | outlet CPU s | inlet CPU s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
%s
Ratios are ours to ours over liblsl to liblsl, medians of the rounds' ratios with their quartiles; below 1 we are better. Command: `+"`%s`"+`.

| case | p50 | p99 | CPU | samples/s | asked for |
|---|---|---|---|---|---|
%s`, version, runtime.NumCPU(), runtime.Version(), asked, wider, rounds, table.String(), command, ratios.String()), nil
}

func lslVersion(ctx context.Context, b *bench) string {
	out, err := exec.CommandContext(ctx, b.python, "-c", "import pylsl; v=pylsl.library_version(); print('liblsl %d.%02d' % (v//100, v%100))").Output()
	if err != nil {
		return "liblsl"
	}
	return string(out)
}

func column(rs []lslResult, get func(*lslResult) float64) []float64 {
	out := make([]float64, len(rs))
	for i := range rs {
		out[i] = get(&rs[i])
	}
	return out
}

func lslRow(w io.Writer, c *lslCase, pair [2]string, rs []lslResult) {
	med := func(get func(*lslResult) float64) float64 { return quantile(column(rs, get), 0.5) }
	var sent, got int
	var most, out, in float64
	for _, r := range rs {
		sent, got, most, out, in = sent+r.sent, got+r.got, max(most, r.most), out+r.cpuOut, in+r.cpuIn
	}
	fmt.Fprintf(w, "| %s | %s | %s | %d | %d | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f |\n", c.name, pair[0], pair[1], got, sent-got,
		med(func(r *lslResult) float64 { return r.p50 }), med(func(r *lslResult) float64 { return r.p90 }), med(func(r *lslResult) float64 { return r.p99 }),
		med(func(r *lslResult) float64 { return r.p999 }), most, med(func(r *lslResult) float64 { return r.perSecond }), out, in)
}

// lslRatios writes a row of ratios ours/theirs and what is asked of them.
func lslRatios(w io.Writer, c *lslCase, ours, theirs []lslResult) {
	ratio := func(get func(*lslResult) float64) (string, float64) {
		m, low, high := pairs{column(theirs, get), column(ours, get)}.ratio() // over/under are swapped: ours over theirs
		return fmt.Sprintf("%.2f (%.2f to %.2f)", m, low, high), m
	}
	p50, m50 := ratio(func(r *lslResult) float64 { return r.p50 })
	p99, m99 := ratio(func(r *lslResult) float64 { return r.p99 })
	cpu, mCPU := ratio(func(r *lslResult) float64 { return r.cpuOut + r.cpuIn })
	speed, mSpeed := ratio(func(r *lslResult) float64 { return r.perSecond })
	var asked []string
	say := func(what string, met bool) {
		word := "missed"
		if met {
			word = "met"
		}
		asked = append(asked, what+": "+word)
	}
	lost := 0
	for _, r := range ours {
		lost += r.sent - r.got
	}
	if c.askFaster == 0 {
		say("loss 0", lost == 0)
	}
	if c.askP50 {
		say("p50 ≤ 1", m50 <= 1)
		say("p99 ≤ 1", m99 <= 1)
	}
	if c.askCPU {
		say("CPU ≤ 1", mCPU <= 1)
	}
	if c.askFaster > 0 {
		say(fmt.Sprintf("samples/s ≥ %g", c.askFaster), mSpeed >= c.askFaster)
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", c.name, p50, p99, cpu, speed, strings.Join(asked, ", "))
}
