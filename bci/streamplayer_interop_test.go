package bci_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neurostream/bci"
	"neurostream/recordings/xdf"
)

// liblslPeer is a Python process with liblsl (stream/lsl/testdata/interop/peer.py): one
// command in, one answer out.
type liblslPeer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func (p *liblslPeer) call(command map[string]any, answer any) {
	p.t.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil || !p.out.Scan() {
		p.t.Fatalf("%s: no answer: %v %v", b, err, p.out.Err())
	}
	var failed struct{ Error string }
	if json.Unmarshal(p.out.Bytes(), &failed) != nil || failed.Error != "" {
		p.t.Fatalf("%s: %s", b, p.out.Bytes())
	}
	if err := json.Unmarshal(p.out.Bytes(), answer); err != nil {
		p.t.Fatalf("%s: %v", b, err)
	}
}

// A liblsl receiver gets every stream that is played from an XDF file: all values, to the
// bit, and stamps as far apart as they were recorded.
func TestInteropPlayedStreams(t *testing.T) {
	python := os.Getenv("NEUROSTREAM_INTEROP_PYTHON")
	if python == "" {
		t.Skip("NEUROSTREAM_INTEROP_PYTHON is not set: no liblsl to talk to (make test-interop sets it)")
	}
	const scripts = "../stream/lsl/testdata/interop/"
	libraries, err := exec.Command(python, scripts+"libraries.py").Output()
	if err != nil || len(strings.Fields(string(libraries))) == 0 {
		t.Fatalf("no liblsl found: %v", err)
	}
	base := 20000 + os.Getpid()%500*40
	config := filepath.Join(t.TempDir(), "lsl_api.cfg")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[ports]\nMulticastPort = %d\nBasePort = %d\nPortRange = 32\nIPv6 = disable\n[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\nAddressesOverride = {127.0.0.1}\n"+
		"[lab]\nKnownPeers = {127.0.0.1}\nSessionID = play-%d\n", base+36, base, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LSLAPICFG", config)
	path := filepath.Join(t.TempDir(), "three.xdf")
	want := writePlayed(t, path)
	for _, library := range strings.Fields(string(libraries)) {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(library))), func(t *testing.T) {
			cmd := exec.Command(python, scripts+"peer.py")
			cmd.Env = append(os.Environ(), "PYLSL_LIB="+library)
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
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			p := &liblslPeer{t, in, bufio.NewScanner(out)}
			p.out.Buffer(nil, 16<<20)
			player, err := bci.OpenStreamPlayer(path)
			if err != nil {
				t.Fatal(err)
			}
			defer player.Close()
			player.Speed, player.Wait, player.Loop = 5, 30*time.Second, true // liblsl gives away what it holds when a stream ends
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			done := make(chan error, 1)
			go func() { done <- player.Run(ctx) }()
			for name, s := range want {
				var opened struct {
					Rate     float64
					Channels int
				}
				p.call(map[string]any{"op": "inlet", "id": name, "pred": "name='" + name + "'", "timeout": 20}, &opened)
				if opened.Rate != s.rate || opened.Channels != s.channels {
					t.Errorf("%s is announced with %d channels at %g Hz", name, opened.Channels, opened.Rate)
				}
			}
			origin := math.NaN()
			for _, name := range []string{"Amp", "Counts", "Cues"} {
				s := want[name]
				var got struct {
					N      int
					Digest string
					Stamps []float64
				}
				p.call(map[string]any{"op": "pull", "id": name, "n": len(s.times), "timeout": 20}, &got)
				if got.N != len(s.times) || got.Digest != hex.EncodeToString(s.values.Sum(nil)) {
					t.Fatalf("%s: %d samples of %d, digest %s", name, got.N, len(s.times), got.Digest)
				}
				if name == "Amp" {
					origin = got.Stamps[0]
				}
				for i, at := range got.Stamps {
					if d := at - origin - s.times[i]; !(math.Abs(d) < 2e-6) {
						t.Fatalf("%s: stamp %d is %g s off", name, i, d)
					}
				}
			}
			stop()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted, the player returns %v", err)
			}
		})
	}
}

// played is what a receiver should get.
type played struct {
	channels int
	rate     float64
	times    []float64 // seconds after the first sample of Amp
	values   hash.Hash // as peer.py digests them
}

// writePlayed writes an XDF file of numbers, integers that no float64 holds, and strings.
func writePlayed(t *testing.T, path string) map[string]*played {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := xdf.Create(path, xdf.WriterOptions{})
	check(err)
	out := map[string]*played{}
	add := func(name string, channels int, f xdf.Format, rate float64) (uint32, *played) {
		id, err := w.AddStream(xdf.Info{Name: name, Type: "T", Format: f, Rate: rate, SourceID: "play " + name, Channels: make([]xdf.Channel, channels)})
		check(err)
		out[name] = &played{channels: channels, rate: rate, values: sha256.New()}
		return id, out[name]
	}
	put := func(p *played, at float64, value any) {
		p.times = append(p.times, at)
		check(binary.Write(p.values, binary.LittleEndian, value))
	}
	id, p := add("Amp", 2, xdf.Float32, 250)
	for i := range 750 {
		v := []float64{float64(i), -float64(i) / 3}
		check(w.Write(id, []float64{100 + float64(i)/250}, v))
		put(p, float64(i)/250, []float32{float32(v[0]), float32(v[1])})
	}
	id, p = add("Counts", 1, xdf.Int64, 100)
	for i := range 150 {
		v := []int64{1<<60 + int64(i)}
		check(w.WriteInts(id, []float64{101.3 + float64(i)/100}, v))
		put(p, 1.3+float64(i)/100, v)
	}
	id, p = add("Cues", 1, xdf.String, 0)
	for i, word := range []string{"left", "größer", "", strings.Repeat("long ", 500)} {
		at := 0.25 + 0.7*float64(i)
		check(w.WriteStrings(id, []float64{100 + at}, []string{word}))
		put(p, at, bytes.Join([][]byte{binary.LittleEndian.AppendUint32(nil, uint32(len(word))), []byte(word)}, nil))
	}
	check(w.Close())
	return out
}
