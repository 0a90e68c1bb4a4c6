package bci_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/recordings/xdf"
	"neurostream/stream"
	"neurostream/stream/lsl"
)

// device is a sender of a recording test. Sample k of channel ch has the value
// valueOf(k, ch), and the stamp start + k/rate.
type device struct {
	lsl.Info
	outlet *lsl.Outlet
	start  float64
	step   float64
	pushed int
}

func valueOf(k, ch int) int64 { return int64((k*31+ch*7)%20001 - 10000) }

// kinds are ten devices of different kinds and rates; the first is decoded.
func kinds() []*device {
	var all []*device
	add := func(name, kind string, channels int, f lsl.Format, rate float64) {
		d := &device{Info: lsl.Info{Name: name, Type: kind, Channels: channels, Format: f, Rate: rate, SourceID: name}, step: 0.37}
		if rate > 0 {
			d.step = 1 / rate
		}
		all = append(all, d)
	}
	add("amp", "EEG", 8, lsl.Float32, 250)
	add("grid", "ECoG", 64, lsl.Int16, 1000)
	add("cap", "EEG2", 32, lsl.Double64, 512)
	add("muscle", "EMG", 4, lsl.Float32, 2000)
	add("glove", "MoCap", 22, lsl.Float32, 120)
	add("eyes", "Gaze", 3, lsl.Double64, 60)
	add("counter", "Misc", 1, lsl.Int64, 10)
	add("pulse", "HR", 1, lsl.Int8, 1)
	add("cues", "Markers", 1, lsl.String, 0)
	add("keys", "Markers", 2, lsl.Int32, 0)
	return all
}

// devices opens an outlet for each.
func devices(t testing.TB) []*device {
	t.Helper()
	all := kinds()
	for _, d := range all {
		d.start = lsl.LocalClock()
		var err error
		if d.outlet, err = lsl.NewOutlet(d.Info, lsl.OutletOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.outlet.Close() })
	}
	return all
}

// pushUntil sends all samples due at seconds after the start.
func (d *device) pushUntil(seconds float64) error {
	for ; float64(d.pushed)*d.step <= seconds; d.pushed++ {
		k := d.pushed
		stamp := d.start + float64(k)*d.step
		var err error
		switch d.Format {
		case lsl.String:
			err = d.outlet.PushStrings([]string{"cue " + strconv.Itoa(k)}, stamp)
		default:
			v := make([]int64, d.Channels)
			for ch := range v {
				v[ch] = valueOf(k, ch)
				if d.Format == lsl.Int8 {
					v[ch] %= 100
				}
			}
			err = d.outlet.PushInts(v, stamp)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkRecorded compares a recording with what was sent, sample by sample. One that is
// not complete may begin late and end early, but holds all between.
func checkRecorded(t *testing.T, path string, all []*device, complete bool) {
	t.Helper()
	f, err := xdf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for _, s := range f.Streams() {
		i := slices.IndexFunc(all, func(d *device) bool { return d.Name == s.Info.Name })
		if i < 0 {
			continue
		}
		seen++
		d := all[i]
		if complete && s.Len() != int64(d.pushed) || s.Len() > int64(d.pushed) {
			t.Errorf("%s: %d samples in the file, %d were sent", d.Name, s.Len(), d.pushed)
			continue
		}
		from := 0
		if s.Len() > 0 {
			from = int(math.Round((s.Stamps()[0] - d.start) / d.step))
		}
		if complete && from != 0 {
			t.Errorf("%s: the file begins with sample %d", d.Name, from)
		}
		for k, got := range s.Stamps() {
			if want := d.start + float64(from+k)*d.step; got != want {
				t.Errorf("%s: stamp %d is %v, not %v", d.Name, k, got, want)
				break
			}
		}
		if complete && len(s.Offsets()) == 0 {
			t.Errorf("%s: no clock offset", d.Name)
		}
		checkValues(t, d, s, from)
	}
	if seen != len(all) {
		t.Errorf("%d of %d streams are in the file", seen, len(all))
	}
}

func checkValues(t *testing.T, d *device, s *xdf.Stream, from int) {
	t.Helper()
	if d.Format == lsl.String {
		words := make([]string, s.Len())
		if err := s.ReadStrings(words, 0); err != nil {
			t.Fatal(err)
		}
		for k, w := range words {
			if w != "cue "+strconv.Itoa(from+k) {
				t.Errorf("%s: sample %d is %q", d.Name, k, w)
				return
			}
		}
		return
	}
	values := make([]float64, s.Len()*int64(d.Channels))
	if err := s.ReadFloats(values, 0); err != nil {
		t.Fatal(err)
	}
	for i, got := range values {
		want := valueOf(from+i/d.Channels, i%d.Channels)
		if d.Format == lsl.Int8 {
			want %= 100
		}
		if got != float64(want) {
			t.Errorf("%s: sample %d is %v, not %v", d.Name, i/d.Channels, got, want)
			return
		}
	}
}

const decoding = `name: power
stages:
  - bandpass: {low: 8, high: 30}
  - window: {length: 1, hop: 0.1, features: [covariance]}
`

func decodingPipeline(t testing.TB) *bci.Pipeline {
	t.Helper()
	p, err := bci.ParsePipeline("power.yaml", []byte(decoding))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// privateNetwork keeps discovery on the loopback, in a session of its own.
func privateNetwork(t testing.TB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lsl_api.cfg")
	if err := os.WriteFile(path, fmt.Appendf(nil, "[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n[lab]\nSessionID = test-%d-%d\n", os.Getpid(), time.Now().UnixNano()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LSLAPICFG", path)
}

// recordAll records every device.
func recordAll(ctx context.Context, t testing.TB, path string, all []*device) (*bci.Recorder, chan error) {
	t.Helper()
	found, err := lsl.Resolve(ctx, lsl.Match{}, lsl.ResolveOptions{Min: len(all), Timeout: 20 * time.Second})
	if err != nil || len(found) != len(all) {
		t.Fatalf("%d streams found: %v", len(found), err)
	}
	r, err := bci.NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if err := r.Add(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return r, done
}

// Ten streams are recorded while one of them is decoded: the file holds exactly what
// was sent, and the decisions are those of the file.
func TestRecordWhileDecoding(t *testing.T) {
	if testing.Short() {
		t.Skip("sends half a minute of ten streams")
	}
	privateNetwork(t)
	all := devices(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	path := filepath.Join(t.TempDir(), "ten.xdf")
	recording, stop := context.WithCancel(ctx)
	defer stop()
	r, done := recordAll(recording, t, path, all)

	const seconds = 30.0
	src := &lsl.Source{Match: lsl.Match{Name: "amp"}, Repair: "none", Recover: -1}
	engine, err := bci.NewEngine(decodingPipeline(t), nil, &untilColumns{Source: src, columns: int64(250*seconds) + 1}, nil, bci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Open(ctx); err != nil {
		t.Fatal(err)
	}
	decoded := make(chan error, 1)
	go func() { decoded <- engine.Run(ctx) }()

	var senders sync.WaitGroup
	for _, d := range all {
		senders.Go(func() {
			for at := 0.1; at <= seconds+1e-9; at += 0.1 {
				if err := d.pushUntil(min(at, seconds)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	if err := <-decoded; err != nil {
		t.Fatal(err)
	}
	for complete := false; !complete; { // the last samples are on their way into the recorder
		complete = true
		for _, row := range r.Streams() {
			i := slices.IndexFunc(all, func(d *device) bool { return d.Name == row.Name })
			complete = complete && row.Samples >= int64(all[i].pushed)
		}
		if ctx.Err() != nil {
			t.Fatalf("the recorder has %+v", r.Streams())
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Streams() {
		if row.Dropped != 0 || row.Missing != 0 || row.Restarts != 0 || row.Error != "" {
			t.Errorf("%+v", row)
		}
	}
	checkRecorded(t, path, all, true)

	in, err := bci.OpenSource("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := bci.NewEngine(decodingPipeline(t), nil, in.Source, nil, bci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if err := again.Run(ctx); err != nil {
		t.Fatal(err)
	}
	live, file := engine.Status(), again.Status()
	if live.Digest != file.Digest || live.Decisions != file.Decisions || live.Decisions < 250 {
		t.Errorf("live: %d columns, %d decisions, digest %.12s; from the file: %d, %d, %.12s", live.Columns, live.Decisions, live.Digest, file.Columns, file.Decisions, file.Digest)
	}
}

// untilColumns ends a source after so many columns.
type untilColumns struct {
	*lsl.Source
	columns int64
}

func (u *untilColumns) Read(dst *stream.Chunk) error {
	if u.columns <= 0 {
		return io.EOF
	}
	err := u.Source.Read(dst)
	u.columns -= int64(dst.Len)
	return err
}

const killedRecorder = "NEUROSTREAM_KILLED_RECORDER"

// A recorder that is killed loses a second at most, and the file opens. Times are the
// recorder's own, so that a slow machine does not matter.
func TestKilledRecorder(t *testing.T) {
	if path := os.Getenv(killedRecorder); path != "" {
		recordUntilKilled(t, path)
		return
	}
	if testing.Short() {
		t.Skip("records for three seconds")
	}
	privateNetwork(t)
	all := devices(t)
	path := filepath.Join(t.TempDir(), "killed.xdf")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRecorder$")
	cmd.Env = append(os.Environ(), killedRecorder+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	type progress struct {
		ms      int64
		samples map[string]int64
	}
	var seen []progress
	lines := bufio.NewScanner(out)
	begun := time.Time{}
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || f[0] != "at" {
			continue
		}
		if begun.IsZero() {
			begun = time.Now()
		}
		p := progress{samples: map[string]int64{}}
		p.ms, _ = strconv.ParseInt(f[1], 10, 64)
		for i := 2; i+1 < len(f); i += 2 {
			p.samples[f[i]], _ = strconv.ParseInt(f[i+1], 10, 64)
		}
		if seen = append(seen, p); p.ms > 2500 {
			break
		}
		for _, d := range all {
			if err := d.pushUntil(time.Since(begun).Seconds()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if len(seen) == 0 {
		t.Fatal("the recorder said nothing")
	}
	report, err := xdf.Check(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Damage) > 1 || !report.Unclosed {
		t.Errorf("report %+v", report)
	}
	checkRecorded(t, path, all, false)
	last, checked := seen[len(seen)-1], 0
	for _, p := range seen {
		if p.ms > last.ms-1000 {
			break
		}
		for _, s := range report.Streams {
			if n, ok := p.samples[s.Name]; ok {
				checked++
				if s.Samples < n {
					t.Errorf("%s: %d samples survived, %d were there %d ms before the kill", s.Name, s.Samples, n, last.ms-p.ms)
				}
			}
		}
	}
	if checked == 0 || last.samples["amp"] < 100 {
		t.Errorf("nothing was checked: %+v", last)
	}
}

func recordUntilKilled(t *testing.T, path string) {
	ctx := context.Background()
	found, err := lsl.Resolve(ctx, lsl.Match{}, lsl.ResolveOptions{Min: 10, Timeout: 20 * time.Second})
	if err != nil || len(found) != 10 {
		t.Fatalf("%d streams found: %v", len(found), err)
	}
	r, err := bci.NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		if err := r.Add(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = r.Run(ctx) }()
	begun := time.Now()
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		line := fmt.Sprint("at ", time.Since(begun).Milliseconds())
		for _, s := range r.Streams() {
			line += fmt.Sprint(" ", s.Name, " ", s.Samples)
		}
		fmt.Println(line)
	}
}
