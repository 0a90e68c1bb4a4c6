//go:build unix

package lsl

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"neurostream/stream"
)

// The benchmark against liblsl runs when NEUROSTREAM_BENCH_PYTHON names a Python
// with testdata/interop/requirements.txt installed; a C compiler is needed, so that
// liblsl is driven by C. NEUROSTREAM_BENCH_SAMPLES sets the samples per case
// (default 20000), NEUROSTREAM_BENCH_ROUNDS the interleaved rounds (default 4).
// Sender and receiver are processes of their own; ours are this test binary again.

// TestMain makes the test binary an outlet or inlet when it is started as one.
func TestMain(m *testing.M) {
	if role := os.Getenv("NEUROSTREAM_BENCH_ROLE"); role != "" {
		if err := benchRole(strings.Fields(role)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func benchRole(v []string) error {
	if v[0] == "outlet" {
		return benchOutlet(v[1:])
	}
	return benchInlet(v[1:])
}

func benchOutlet(v []string) error {
	channels, _ := strconv.Atoi(v[1])
	rate, _ := strconv.ParseFloat(v[2], 64)
	n, _ := strconv.Atoi(v[3])
	consumers, _ := strconv.Atoi(v[4])
	nominal := rate
	if nominal == 0 {
		nominal = 10000
	}
	o, err := NewOutlet(Info{Name: v[0], Type: "EEG", Channels: channels, Format: Float32, Rate: nominal, SourceID: v[0]}, OutletOptions{})
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
	clock := stream.Wall{}
	timer := clock.Timer(context.Background())
	values := make([]float64, channels)
	begun, cpu := clock.Now(), cpuSeconds()
	for k := range n {
		if rate > 0 {
			if err := timer.Wait(begun + stream.Time(float64(k)/rate*1e9)); err != nil {
				return err
			}
		}
		values[0] = float64(k)
		if err := o.Push(values, LocalClock()); err != nil {
			return err
		}
	}
	took, used := (clock.Now() - begun).Seconds(), cpuSeconds()-cpu
	time.Sleep(200 * time.Millisecond)
	values[0] = -1
	_ = o.Push(values, LocalClock())
	fmt.Printf(`{"n":%d,"seconds":%f,"cpu":%f}`+"\n", n, took, used)
	in.Scan()
	return nil
}

func benchInlet(v []string) error {
	n, _ := strconv.Atoi(v[1])
	limit, _ := strconv.ParseFloat(v[2], 64)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration((limit+15)*float64(time.Second)))
	defer cancel()
	s := &Source{Match: Match{Name: v[0]}, Repair: "none"}
	h, err := s.Open(ctx)
	if err != nil {
		return err
	}
	fmt.Println(`{"ready":true}`)
	dst := stream.NewChunk(&h)
	lat := make([]float64, 0, n+1)
	got, jumps, last := 0, 0, -1
	var cpu, first, final float64
	for done := false; !done; {
		if err := s.Read(dst); err != nil {
			break
		}
		now := LocalClock()
		for i, x := range dst.Tile(0)[:dst.Len] {
			k := int(x[0])
			if done = k < 0; done {
				break
			}
			if got == 0 {
				cpu, first = cpuSeconds(), now
			}
			final = now
			if k != last+1 {
				jumps++
			}
			last = k
			got++
			if len(lat) < n {
				lat = append(lat, now-dst.Stamps[i].Seconds())
			}
		}
	}
	used := cpuSeconds() - cpu
	slices.Sort(lat)
	if len(lat) == 0 {
		return fmt.Errorf("nothing received")
	}
	at := func(q float64) float64 { return 1e6 * lat[min(len(lat)-1, int(q*float64(len(lat))))] }
	fmt.Printf(`{"n":%d,"jumps":%d,"seconds":%f,"cpu":%f,"p50":%.3f,"p90":%.3f,"p99":%.3f,"p999":%.3f,"max":%.3f}`+"\n",
		got, jumps, final-first, used, at(.5), at(.9), at(.99), at(.999), at(1))
	return nil
}

// figures are what a process reports.
type figures struct {
	Ready                     bool
	N, Jumps                  int
	Seconds, CPU              float64
	P50, P90, P99, P999, Max  float64
	inletCPU, perSecond, lost float64
}

type benchProcess struct {
	cmd  *exec.Cmd
	out  *bufio.Scanner
	line func()
}

func startBench(t *testing.T, who string, config string, bench, lib string, role ...string) *benchProcess {
	t.Helper()
	var cmd *exec.Cmd
	if who == "ours" {
		cmd = exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "NEUROSTREAM_BENCH_ROLE="+strings.Join(role, " "))
	} else {
		cmd = exec.Command(bench, append([]string{lib}, role...)...)
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LSLAPICFG="+config)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &benchProcess{cmd, bufio.NewScanner(out), func() { _, _ = in.Write([]byte("go\n")) }}
}

func (p *benchProcess) read(t *testing.T) figures {
	t.Helper()
	var f figures
	for p.out.Scan() {
		if json.Unmarshal(p.out.Bytes(), &f) == nil {
			return f
		}
	}
	t.Fatal("a benchmark process has ended early")
	return f
}

func TestPeers(t *testing.T) {
	python := os.Getenv("NEUROSTREAM_BENCH_PYTHON")
	if python == "" {
		t.Skip("NEUROSTREAM_BENCH_PYTHON is not set (make bench-peers sets it)")
	}
	t.Setenv("NEUROSTREAM_INTEROP_PYTHON", python)
	samples, rounds := 20000, 4
	if v, err := strconv.Atoi(os.Getenv("NEUROSTREAM_BENCH_SAMPLES")); err == nil {
		samples = v
	}
	if v, err := strconv.Atoi(os.Getenv("NEUROSTREAM_BENCH_ROUNDS")); err == nil {
		rounds = v
	}
	only := os.Getenv("NEUROSTREAM_BENCH_CASES") // e.g. "16ch,saturated"
	bench := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("cc", "-O2", "testdata/interop/bench.c", "-ldl", "-lm", "-o", bench).CombinedOutput(); err != nil {
		t.Skipf("no C compiler for the liblsl side: %v %s", err, out)
	}
	lib := liblsls(t)[0]
	pairs := [][2]string{{"ours", "ours"}, {"ours", "liblsl"}, {"liblsl", "ours"}, {"liblsl", "liblsl"}}
	fmt.Printf("\n%s, %d cores, %s; %d samples a case, in %d interleaved rounds; latency in microseconds from push to pull\n\n", libraryName(lib), runtime.NumCPU(), runtime.Version(), samples, rounds)
	fmt.Println("| case | outlet | inlet | received | lost | p50 | p90 | p99 | p99.9 | max | samples/s | outlet CPU s | inlet CPU s |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range []struct {
		name             string
		channels         int
		rate             float64
		samples, inlets  int
		onlySame, nolost bool
	}{
		{"16ch 1 kHz", 16, 1000, samples, 1, false, true},
		{"64ch 1 kHz", 64, 1000, samples, 1, true, true},
		{"256ch 1 kHz", 256, 1000, samples, 1, true, true},
		{"16ch 1 kHz 20 inlets", 16, 1000, samples / 4, 20, true, true},
		{"64ch saturated", 64, 0, 200000, 1, true, false},
	} {
		if only != "" && !slices.ContainsFunc(strings.Split(only, ","), func(s string) bool { return strings.Contains(c.name, s) }) {
			continue
		}
		results := map[[2]string][]figures{}
		for round := range rounds {
			for _, pair := range pairs {
				if c.onlySame && pair[0] != pair[1] {
					continue
				}
				_, config := interopConfig(t, 110)
				n := c.samples / rounds
				name := fmt.Sprintf("bench%d-%s-%s-%d", c.channels, pair[0], pair[1], round)
				out := startBench(t, pair[0], config, bench, lib, "outlet", name, strconv.Itoa(c.channels), fmt.Sprint(c.rate), strconv.Itoa(n), strconv.Itoa(c.inlets))
				out.read(t)
				var ins []*benchProcess
				for range c.inlets {
					in := startBench(t, pair[1], config, bench, lib, "inlet", name, strconv.Itoa(n), fmt.Sprint(30+float64(n)/1000), "-")
					in.read(t)
					ins = append(ins, in)
				}
				time.Sleep(200 * time.Millisecond)
				out.line()
				sent := out.read(t)
				var all figures
				for _, in := range ins {
					f := in.read(t)
					all.N += f.N
					all.lost += float64(n - f.N)
					all.inletCPU += f.CPU
					all.perSecond += float64(f.N) / f.Seconds / float64(c.inlets)
					for _, p := range [][2]*float64{{&all.P50, &f.P50}, {&all.P90, &f.P90}, {&all.P99, &f.P99}, {&all.P999, &f.P999}} {
						*p[0] += *p[1] / float64(c.inlets)
					}
					all.Max = max(all.Max, f.Max)
				}
				all.CPU = sent.CPU
				out.line()
				results[pair] = append(results[pair], all)
			}
		}
		for _, pair := range pairs {
			rs := results[pair]
			if len(rs) == 0 {
				continue
			}
			median := func(get func(f *figures) float64) float64 {
				var v []float64
				for i := range rs {
					v = append(v, get(&rs[i]))
				}
				slices.Sort(v)
				return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
			}
			var got, lost, cpu, inCPU, worst float64
			for _, r := range rs {
				got, lost, cpu, inCPU, worst = got+float64(r.N), lost+r.lost, cpu+r.CPU, inCPU+r.inletCPU, max(worst, r.Max)
			}
			fmt.Printf("| %s | %s | %s | %.0f | %.0f | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f | %.2f | %.2f |\n", c.name, pair[0], pair[1], got, lost,
				median(func(f *figures) float64 { return f.P50 }), median(func(f *figures) float64 { return f.P90 }),
				median(func(f *figures) float64 { return f.P99 }), median(func(f *figures) float64 { return f.P999 }), worst,
				median(func(f *figures) float64 { return f.perSecond }), cpu, inCPU)
			if c.nolost && lost != 0 && pair[0] == "ours" {
				t.Errorf("%s, %v: %v samples lost", c.name, pair, lost)
			}
		}
	}
}
