package lsl

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// The interoperability tests run when NEUROSTREAM_INTEROP_PYTHON names a Python
// with testdata/interop/requirements.txt installed. Everything stays on loopback.

// peer is a Python process with liblsl.
type peer struct {
	t       testing.TB
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan map[string]any
}

func interopPython(t testing.TB) string {
	t.Helper()
	p := os.Getenv("NEUROSTREAM_INTEROP_PYTHON")
	if p == "" {
		t.Skip("NEUROSTREAM_INTEROP_PYTHON is not set: no liblsl to talk to (make test-interop sets it)")
	}
	return p
}

// liblsls lists the libraries to test against.
func liblsls(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command(interopPython(t), "testdata/interop/libraries.py").Output()
	libs := strings.Fields(string(out))
	if err != nil || len(libs) == 0 {
		t.Fatalf("no liblsl found: %v", err)
	}
	return libs
}

func libraryName(path string) string {
	if strings.Contains(path, "mne_lsl") {
		return "liblsl-1.17.7"
	}
	return "liblsl-1.18.0"
}

// interopConfig is a loopback configuration and the same as a file for liblsl.
func interopConfig(t testing.TB, version int) (*Config, string) {
	t.Helper()
	c := loopback(t)
	c.Protocol = version
	c.PortRange = 16
	c.BasePort = min(c.BasePort, 65000)
	c.MulticastPort = c.BasePort + 16
	c.KnownPeers = []string{"127.0.0.1"}
	text := fmt.Sprintf(`[ports]
MulticastPort = %d
BasePort = %d
PortRange = %d
AllowRandomPorts = 1
IPv6 = disable
[multicast]
ResolveScope = machine
ListenAddress = 127.0.0.1
AddressesOverride = {127.0.0.1}
[lab]
KnownPeers = {127.0.0.1}
SessionID = %s
[tuning]
UseProtocolVersion = %d
[log]
level = -2
`, c.MulticastPort, c.BasePort, c.PortRange, c.SessionID, version)
	path := filepath.Join(t.TempDir(), "lsl_api.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseConfig(strings.ReplaceAll(text, "[log]\nlevel = -2\n", ""))
	if err != nil || parsed.SessionID != c.SessionID || len(parsed.Warnings) != 0 {
		t.Fatalf("we read the file differently: %v %v", err, parsed.Warnings)
	}
	return c, path
}

func startPeer(t testing.TB, lib, config string) *peer {
	t.Helper()
	cmd := exec.Command(interopPython(t), "testdata/interop/peer.py")
	cmd.Env = append(os.Environ(), "PYLSL_LIB="+lib, "LSLAPICFG="+config)
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
	p := &peer{t: t, cmd: cmd, in: in, answers: make(chan map[string]any, 16)}
	go func() {
		defer close(p.answers)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 64<<20)
		for s.Scan() {
			var a map[string]any
			if json.Unmarshal(s.Bytes(), &a) == nil {
				p.answers <- a
			}
		}
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *peer) kill() {
	p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

type args map[string]any

func (p *peer) send(c args) {
	p.t.Helper()
	b, err := json.Marshal(c)
	if err == nil {
		_, err = p.in.Write(append(b, '\n'))
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) answer() map[string]any {
	p.t.Helper()
	select {
	case a, ok := <-p.answers:
		if !ok {
			p.t.Fatal("the Python peer has ended")
		}
		if e, bad := a["error"]; bad {
			p.t.Fatalf("Python peer: %v", e)
		}
		return a
	case <-time.After(40 * time.Second):
		p.t.Fatal("the Python peer does not answer")
	}
	return nil
}

func (p *peer) do(c args) map[string]any {
	p.t.Helper()
	p.send(c)
	return p.answer()
}

func (p *peer) floats(a map[string]any, key string) []float64 {
	var out []float64
	list, _ := a[key].([]any)
	for _, v := range list {
		out = append(out, v.(float64))
	}
	return out
}

var modulus = map[Format]int64{Int8: 251, Int16: 65521, Int32: 2147483647, Int64: 9007199254740881, Float32: 65521, Double64: 9007199254740881}

// pattern appends the packed values of sample k, the same as peer.py's value.
func pattern(dst []byte, f Format, k, channels int) []byte {
	for ch := range channels {
		if f == String {
			dst = appendString(dst, fmt.Sprintf("s%d-%d", k, ch)+strings.Repeat("µ", k%5))
			continue
		}
		m := modulus[f]
		v := (int64(k)*1000003+int64(ch)*7919)%m - m/2
		if f.Float() {
			dst = appendValue(dst, f, float64(v)/8)
		} else {
			dst = appendInt(dst, f, v)
		}
	}
	return dst
}

func pushPattern(t testing.TB, o *Outlet, k int, stamp float64) {
	t.Helper()
	p := pattern(nil, o.info.Format, k, o.info.Channels)
	var err error
	switch f := o.info.Format; {
	case f == String:
		var v []string
		for _, b := range Strings(nil, p) {
			v = append(v, string(b))
		}
		err = o.PushStrings(v, stamp)
	case f.Float():
		err = o.Push(Numbers(nil, f, p), stamp)
	default:
		err = o.PushInts(Ints(nil, f, p), stamp)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pushPatternChunk pushes samples k to k+n-1 as one chunk.
func pushPatternChunk(t testing.TB, o *Outlet, k, n int, stamp float64) {
	t.Helper()
	c := new(stream.Chunk)
	c.Alloc(o.info.Channels, n)
	c.Resize(n)
	c.T0 = FromStamp(stamp)
	for i := range n {
		unpackColumn(c, i, o.info.Format, pattern(nil, o.info.Format, k+i, o.info.Channels))
	}
	if err := o.PushChunk(c); err != nil {
		t.Fatal(err)
	}
}

func patternDigest(f Format, channels, from, n int) string {
	h := sha256.New()
	var p []byte
	for k := from; k < from+n; k++ {
		p = pattern(p[:0], f, k, channels)
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// eachLibrary runs a test against every liblsl.
func eachLibrary(t *testing.T, f func(t *testing.T, lib string)) {
	for _, lib := range liblsls(t) {
		t.Run(libraryName(lib), func(t *testing.T) { f(t, lib) })
	}
}

// interopCases are the streams that go both ways.
func interopCases() (out []struct {
	info    Info
	n, size int
	dt      float64
},
) {
	add := func(f Format, channels int, rate float64, n, size int) {
		dt := 1 / rate
		if rate == 0 {
			dt = 0.37
		}
		kind := "EEG"
		if f == String {
			kind = "Markers"
		}
		out = append(out, struct {
			info    Info
			n, size int
			dt      float64
		}{Info{Name: fmt.Sprintf("%v-%d-%g-%d", f, channels, rate, size), Type: kind, Channels: channels, Format: f, Rate: rate, SourceID: fmt.Sprintf("src-%v-%d-%g-%d", f, channels, rate, size)}, n, size, dt})
	}
	for _, f := range []Format{Float32, Double64, Int8, Int16, Int32, Int64, String} {
		add(f, 5, 250, 100, 1)
		add(f, 3, 0, 40, 1)
		add(f, 4, 100, 120, 16)
	}
	add(Float32, 1, 512, 300, 1)
	add(Float32, 512, 512, 600, 1)
	add(Int16, 512, 1000, 1000, 50)
	add(Float32, 8, 0.1, 12, 1)
	add(Float32, 2, 30000, 30000, 300)
	add(String, 1, 0, 60, 1)
	return out
}

// checkStamps compares stamps with base + i·dt. liblsl deduces the stamps inside a
// chunk by repeated addition, so the last digits may differ.
func checkStamps(t testing.TB, stamps []float64, base, dt float64) {
	t.Helper()
	for i, s := range stamps {
		if math.Abs(s-base-float64(i)*dt) > 1e-7 {
			t.Fatalf("stamp %d is %v, not %v", i, s, base+float64(i)*dt)
		}
	}
}

func TestInteropOutletOfLiblsl(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		for _, version := range []int{110, 100} {
			t.Run(fmt.Sprint(version), func(t *testing.T) {
				c, file := interopConfig(t, version)
				p := startPeer(t, lib, file)
				for id, x := range interopCases() {
					i := x.info
					p.do(args{"op": "outlet", "id": id, "name": i.Name, "type": i.Type, "channels": i.Channels, "rate": i.Rate, "format": i.Format.String(), "source_id": i.SourceID})
					in := openInlet(t, c, Match{Name: i.Name}, InletOptions{})
					if got := in.Info(); got.Rate != i.Rate || got.Format != i.Format || got.Channels != i.Channels || got.SourceID != i.SourceID || got.Version != version {
						t.Errorf("%s is announced as %+v", i.Name, got)
					}
					p.do(args{"op": "consumers", "id": id})
					p.send(args{"op": "push", "id": id, "n": x.n, "t0": 5000.5, "dt": x.dt, "size": x.size})
					got := pullN(t, in, x.n)
					p.answer()
					h := sha256.Sum256(got.Values)
					if hex.EncodeToString(h[:]) != patternDigest(i.Format, i.Channels, 0, x.n) {
						t.Errorf("%s: values differ", i.Name)
					}
					// Within a chunk of an irregular stream all stamps are the last one's.
					if i.Rate > 0 || x.size == 1 {
						checkStamps(t, got.Stamps, 5000.5, x.dt)
					}
					if st := in.Stats(); st.Received != int64(x.n) || st.Dropped+st.Queued != 0 {
						t.Errorf("%s: %+v", i.Name, st)
					}
					in.Close()
					p.do(args{"op": "close", "id": id})
				}
			})
		}
	})
}

func TestInteropInletOfLiblsl(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		for _, version := range []int{110, 100} {
			t.Run(fmt.Sprint(version), func(t *testing.T) {
				c, file := interopConfig(t, version)
				p := startPeer(t, lib, file)
				for id, x := range interopCases() {
					i := x.info
					o, err := NewOutlet(i, OutletOptions{Config: c})
					if err != nil {
						t.Fatal(err)
					}
					a := p.do(args{"op": "inlet", "id": id, "pred": fmt.Sprintf("name='%s' and channel_count=%d", i.Name, i.Channels)})
					if a["rate"] != i.Rate || a["channels"] != float64(i.Channels) || a["uid"] != o.Info().UID {
						t.Errorf("%s is seen as %v", i.Name, a)
					}
					p.send(args{"op": "pull", "id": id, "n": x.n})
					for k := 0; k < x.n; k += x.size {
						if x.size > 1 && i.Format != String && i.Rate > 0 {
							pushPatternChunk(t, o, k, min(x.size, x.n-k), 7000.25+float64(k)*x.dt)
							continue
						}
						for l := k; l < min(k+x.size, x.n); l++ {
							pushPattern(t, o, l, 7000.25+float64(l)*x.dt)
						}
					}
					a = p.answer()
					if a["n"] != float64(x.n) || a["digest"] != patternDigest(i.Format, i.Channels, 0, x.n) {
						t.Errorf("%s: %v of %d samples, digest differs: %v", i.Name, a["n"], x.n, a["digest"] != patternDigest(i.Format, i.Channels, 0, x.n))
					}
					checkStamps(t, p.floats(a, "stamps"), 7000.25, x.dt)
					if cs := o.Consumers(); len(cs) != 1 || cs[0].Sent != int64(x.n) || cs[0].Protocol != version {
						t.Errorf("%s: %+v", i.Name, cs)
					}
					p.do(args{"op": "close", "id": id})
					o.Close()
				}
			})
		}
	})
}

// TestInteropDifferential runs one script over liblsl→liblsl, liblsl→ours,
// ours→liblsl and ours→ours: the same values and stamps arrive.
func TestInteropDifferential(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		sender, receiver := startPeer(t, lib, file), startPeer(t, lib, file)
		for id, f := range []Format{Float32, Int64, String} {
			const n, channels = 200, 6
			name := "diff-" + f.String()
			spec := args{"op": "outlet", "id": id, "name": name, "channels": channels, "rate": 200.0, "format": f.String(), "source_id": name}
			results := map[string]args{}
			receive := func(which string, push func()) {
				receiver.do(args{"op": "inlet", "id": id, "pred": "name='" + name + "'"})
				in := openInlet(t, c, Match{Name: name}, InletOptions{})
				sender.do(args{"op": "clock"})
				time.Sleep(60 * time.Millisecond) // liblsl serves a consumer a moment after it counts it
				push()
				theirs := receiver.do(args{"op": "pull", "id": id, "n": n})
				ours := pullN(t, in, n)
				h := sha256.Sum256(ours.Values)
				results[which+" to liblsl"] = args{"digest": theirs["digest"], "stamps": receiver.floats(theirs, "stamps")}
				results[which+" to ours"] = args{"digest": hex.EncodeToString(h[:]), "stamps": ours.Stamps}
				receiver.do(args{"op": "close", "id": id})
				in.Close()
			}
			sender.do(spec)
			receive("liblsl", func() {
				sender.do(args{"op": "push", "id": id, "n": n, "t0": 100.5, "dt": 0.005, "size": 1})
			})
			sender.do(args{"op": "close", "id": id})
			o := newOutlet(t, c, Info{Name: name, Type: "EEG", Channels: channels, Format: f, Rate: 200, SourceID: name})
			receive("ours", func() {
				for k := range n {
					pushPattern(t, o, k, 100.5+0.005*float64(k))
				}
			})
			o.Close()
			want := results["liblsl to liblsl"]
			for which, r := range results {
				if r["digest"] != want["digest"] || fmt.Sprint(r["stamps"]) != fmt.Sprint(want["stamps"]) {
					t.Errorf("%v: %s differs from liblsl to liblsl", f, which)
				}
			}
			if len(results) != 4 || want["digest"] != patternDigest(f, channels, 0, n) {
				t.Errorf("%v: liblsl itself gives %v", f, want["digest"])
			}
		}
	})
}

func TestInteropDiscovery(t *testing.T) {
	host, _ := os.Hostname()
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		p := startPeer(t, lib, file)
		p.do(args{"op": "outlet", "id": 1, "name": "Bio'Semi", "type": "EEG", "channels": 32, "rate": 512.0, "format": "float32", "source_id": "bs-1", "desc": true})
		p.do(args{"op": "outlet", "id": 2, "name": "Stim", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string", "source_id": "st-1"})
		newOutlet(t, c, Info{Name: "Ours", Type: "EEG", Channels: 8, Format: Float32, Rate: 250, SourceID: "o-1", Desc: &Element{Children: []*Element{{Name: "cap", Children: []*Element{{Name: "size", Text: "54"}}}}}})
		newOutlet(t, c, Info{Name: "Intent", Type: "Decision", Channels: 2, Format: Double64, Rate: 10, SourceID: "o-2"})
		all := "Bio'Semi Intent Ours Stim"
		for _, x := range []struct {
			m    Match
			want string
		}{
			{Match{}, all},
			{Match{Type: "EEG"}, "Bio'Semi Ours"},
			{Match{Name: "Bio'Semi"}, "Bio'Semi"},
			{Match{SourceID: "st-1"}, "Stim"},
			{Match{Hostname: host}, all},
			{Match{Hostname: "elsewhere"}, ""},
			{Match{SessionID: "another"}, ""},
			{Match{SessionID: AnySession, Predicate: "starts-with(name,'Bio')"}, "Bio'Semi"},
			{Match{Predicate: "starts-with(name,'Bio') or type='Markers'"}, "Bio'Semi Stim"},
			{Match{Predicate: "type='EEG' and channel_count>16"}, "Bio'Semi"},
			{Match{Predicate: "nominal_srate>=250 and not(contains(name,'Bio'))"}, "Ours"},
			{Match{Predicate: "count(desc/channels/channel)=32"}, "Bio'Semi"},
			{Match{Predicate: "desc/cap/size='54'"}, "Ours"},
			{Match{Predicate: "channel_format='double64'"}, "Intent"},
		} {
			found, err := Resolve(context.Background(), x.m, ResolveOptions{Config: c, Timeout: 400 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range found {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != x.want {
				t.Errorf("ours, %s: %q, not %q", x.m, got, x.want)
			}
			if x.m.SessionID != "" || x.m.Name != "" { // liblsl cannot ask these
				continue
			}
			pred := x.m.Expression()
			if pred == "" {
				pred = "name!=''"
			}
			got := p.do(args{"op": "resolve", "pred": pred, "timeout": 1.3, "min": 0})
			list := strings.Trim(fmt.Sprint(got["found"]), "[]")
			if list != x.want {
				t.Errorf("liblsl, %s: %q, not %q", pred, list, x.want)
			}
		}
		if got := p.do(args{"op": "resolve", "prop": "source_id", "value": "o-2", "timeout": 3}); fmt.Sprint(got["found"]) != "[Intent]" {
			t.Errorf("liblsl by property: %v", got)
		}
		if got := p.do(args{"op": "resolve", "timeout": 1.5}); strings.Trim(fmt.Sprint(got["found"]), "[]") != all {
			t.Errorf("liblsl, all: %v", got)
		}
	})
}

func TestInteropDescription(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		p := startPeer(t, lib, file)
		p.do(args{"op": "outlet", "id": 1, "name": "theirs", "channels": 6, "rate": 100.0, "format": "float32", "source_id": "x", "desc": true})
		src := &Source{Match: Match{Name: "theirs"}, Config: c}
		h, err := src.Open(deadline(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if h.Rows() != 6 || h.Channels[2].Label != "E3" || h.Channels[2].Unit != "uV" || !h.Channels[2].Placed || h.Channels[2].Position[0] != 0.03 {
			t.Errorf("%+v", h.Channels)
		}
		theirs, err := src.Inlet().FullInfo(deadline(t, 5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if got := theirs.Desc.Child("a").Child("b").Child("c").Child("d").Value(); got != `it's "deep"` {
			t.Errorf("deep value %q", got)
		}
		if got := theirs.Desc.Child("manufacturer").Value(); got != "Größe & <Sons>" {
			t.Errorf("manufacturer %q", got)
		}
		sink := &Sink{Name: "ours", Config: c}
		h.Name = "ours"
		if err := sink.Open(context.Background(), h); err != nil {
			t.Fatal(err)
		}
		defer sink.Close()
		p.do(args{"op": "inlet", "id": 2, "pred": "name='ours'"})
		x := p.do(args{"op": "xml", "id": 2})
		if got := strings.Trim(fmt.Sprint(x["labels"]), "[]"); got != "E1 E2 E3 E4 E5 E6" {
			t.Errorf("liblsl reads the labels %q", got)
		}
		if x["manufacturer"] != "neurostream" || !strings.Contains(x["xml"].(string), "<unit>microvolts</unit>") {
			t.Errorf("liblsl reads %v", x["xml"])
		}
	})
}

func TestInteropClock(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		d := DefaultConfig()
		c.TimeUpdateInterval, c.TimeProbeInterval, c.TimeProbeMaxRTT = d.TimeUpdateInterval/4, d.TimeProbeInterval/4, d.TimeProbeMaxRTT
		p := startPeer(t, lib, file)
		a := LocalClock()
		theirs := p.do(args{"op": "clock"})["clock"].(float64)
		if b := LocalClock(); theirs < a-1e-4 || theirs > b+1e-4 {
			t.Errorf("liblsl's clock says %v, ours %v to %v", theirs, a, b)
		}
		p.do(args{"op": "outlet", "id": 1, "name": "theirs", "channels": 1, "rate": 100.0, "format": "float32"})
		o := newOutlet(t, c, Info{Name: "ours", Channels: 1, Format: Float32, Rate: 100})
		in := openInlet(t, c, Match{Name: "theirs"}, InletOptions{})
		begun := time.Now()
		if _, err := in.WaitClock(deadline(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
		t.Logf("first correction after %v", time.Since(begun))
		p.do(args{"op": "inlet", "id": 2, "pred": "name='ours'"})
		ofOurs := p.do(args{"op": "correction", "id": 2, "times": 3})["correction"].(float64)
		p.do(args{"op": "inlet", "id": 3, "pred": "name='theirs'"})
		ofTheirs := p.do(args{"op": "correction", "id": 3, "times": 3})["correction"].(float64)
		time.Sleep(time.Second)
		e := in.Clock()
		now := LocalClock()
		ours := e.Correction(now)
		t.Logf("correction: ours of liblsl %.1f us, liblsl of ours %.1f us, liblsl of liblsl %.1f us; true 0; our uncertainty %.1f us, rtt %.1f us", ours*1e6, ofOurs*1e6, ofTheirs*1e6, e.Uncertainty*1e6, e.RTT*1e6)
		for _, v := range []float64{ours - ofTheirs, ofOurs - ofTheirs, ours} {
			if math.Abs(v) > 0.2e-3 {
				t.Errorf("corrections differ by %.3f ms", v*1e3)
			}
		}
		_ = o
	})
}

// TestInteropManyToMany: three liblsl inlets on one outlet of ours, three inlets of
// ours on one outlet of liblsl's, and three liblsl outlets into one Source.
func TestInteropManyToMany(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		var peers []*peer
		for range 3 {
			peers = append(peers, startPeer(t, lib, file))
		}
		o := newOutlet(t, c, Info{Name: "one", Channels: 4, Format: Int32, Rate: 1000, SourceID: "one"})
		for _, p := range peers {
			p.do(args{"op": "inlet", "id": 1, "pred": "name='one'"})
			p.send(args{"op": "pull", "id": 1, "n": 3000})
		}
		for k := range 3000 {
			pushPattern(t, o, k, 10+float64(k)/1000)
		}
		for i, p := range peers {
			if a := p.answer(); a["n"] != 3000.0 || a["digest"] != patternDigest(Int32, 4, 0, 3000) {
				t.Errorf("inlet %d: %v samples", i, a["n"])
			}
		}
		peers[0].do(args{"op": "outlet", "id": 3, "name": "other", "channels": 4, "rate": 1000.0, "format": "int32", "source_id": "other"})
		var ins []*Inlet
		for range 3 {
			ins = append(ins, openInlet(t, c, Match{Name: "other"}, InletOptions{}))
		}
		peers[0].do(args{"op": "consumers", "id": 3})
		time.Sleep(100 * time.Millisecond) // liblsl serves a consumer a moment after it counts it
		peers[0].send(args{"op": "push", "id": 3, "n": 3000, "t0": 10.0, "dt": 0.001, "size": 1})
		for i, in := range ins {
			got := pullN(t, in, 3000)
			if h := sha256.Sum256(got.Values); hex.EncodeToString(h[:]) != patternDigest(Int32, 4, 0, 3000) {
				t.Errorf("our inlet %d gets other values", i)
			}
			checkStamps(t, got.Stamps, 10, 0.001)
		}
		peers[0].answer()
		base := LocalClock() + 0.3
		peers[0].do(args{"op": "outlet", "id": 2, "name": "data", "channels": 2, "rate": 100.0, "format": "float32", "source_id": "d"})
		peers[1].do(args{"op": "outlet", "id": 2, "name": "cues", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string", "source_id": "c"})
		peers[2].do(args{"op": "outlet", "id": 2, "name": "keys", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string", "source_id": "k"})
		src := &Source{Match: Match{Name: "data"}, Markers: []Match{{Name: "cues"}, {Name: "keys"}}, Config: c, Repair: "clock,monotone"}
		h, err := src.Open(deadline(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		for _, p := range peers {
			p.do(args{"op": "consumers", "id": 2})
		}
		peers[1].do(args{"op": "push", "id": 2, "n": 5, "t0": base + 0.1, "dt": 0.2})
		peers[2].do(args{"op": "push", "id": 2, "n": 4, "t0": base + 0.25, "dt": 0.3})
		time.Sleep(50 * time.Millisecond)
		peers[0].send(args{"op": "push", "id": 2, "n": 150, "t0": base, "dt": 0.01})
		dst := stream.NewChunk(&h)
		columns, markers := 0, map[string]int64{}
		for columns < 150 {
			if err := src.Read(dst); err != nil {
				t.Fatal(err)
			}
			for _, m := range dst.Markers {
				markers[m.Label] = dst.Seq + int64(m.Column)
			}
			columns += dst.Len
		}
		peers[0].answer()
		// Both push "s0-0", "s1-0", ...: the keys come last and overwrite; by place.
		for k, want := range []int64{25, 55, 85, 115} {
			label := fmt.Sprintf("s%d-0", k) + strings.Repeat("µ", k%5)
			if got, ok := markers[label]; !ok || got != want && got != int64(10+20*k) {
				t.Errorf("marker %q at column %d, ok %v", label, got, ok)
			}
		}
		if got := markers["s4-0"+strings.Repeat("µ", 4)]; got != 90 {
			t.Errorf("the fifth cue is at column %d, not 90", got)
		}
	})
}

// TestInteropRecovery: each side finds the other again after a restart, also when
// it was killed in the middle of a sample.
func TestInteropRecovery(t *testing.T) {
	eachLibrary(t, func(t *testing.T, lib string) {
		c, file := interopConfig(t, 110)
		spec := args{"op": "outlet", "id": 1, "name": "phoenix", "channels": 2, "rate": 100.0, "format": "int32", "source_id": "ph"}
		p := startPeer(t, lib, file)
		p.do(spec)
		in := openInlet(t, c, Match{Name: "phoenix"}, InletOptions{})
		p.do(args{"op": "consumers", "id": 1})
		p.do(args{"op": "push", "id": 1, "n": 50, "t0": 100.0, "dt": 0.01})
		pullN(t, in, 50)
		p.send(args{"op": "push", "id": 1, "n": 1000000, "t0": 101.0, "dt": 0.01})
		time.Sleep(100 * time.Millisecond)
		p.kill() // in the middle of whatever it was writing
		waitFor(t, func() bool { return in.Stats().State == "searching" })
		before := in.Stats().Received
		second := startPeer(t, lib, file)
		second.do(spec)
		second.do(args{"op": "consumers", "id": 1})
		waitFor(t, func() bool { return in.Stats().State == "connected" })
		time.Sleep(100 * time.Millisecond)
		second.do(args{"op": "push", "id": 1, "n": 50, "t0": 200.0, "dt": 0.01})
		waitFor(t, func() bool { return in.Stats().Received >= before+50 })
		var b Batch
		var last []int64
		restarts := 0
		for in.Stats().Queued > 0 {
			if err := in.Pull(deadline(t, time.Second), &b, 0); err != nil {
				t.Fatal(err)
			}
			for _, e := range b.Events {
				if e.Kind == stream.EventRestart {
					restarts++
				}
			}
			if b.Len() > 0 {
				last = Ints(nil, Int32, b.Sample(b.Len()-1))
			}
		}
		if want := Ints(nil, Int32, pattern(nil, Int32, 49, 2)); restarts != 1 || fmt.Sprint(last) != fmt.Sprint(want) {
			t.Errorf("%d restarts, last sample %v, not %v", restarts, last, want)
		}
		// The other way: our outlet breaks off in the middle of a sample.
		info := Info{Name: "ember", Type: "EEG", Channels: 64, Format: Double64, Rate: 100, SourceID: "em"}
		first, err := NewOutlet(info, OutletOptions{Config: c})
		if err != nil {
			t.Fatal(err)
		}
		second.do(args{"op": "inlet", "id": 2, "pred": "name='ember'"})
		for k := range 20 {
			pushPattern(t, first, k, 10+float64(k)/100)
		}
		if a := second.do(args{"op": "pull", "id": 2, "n": 20}); a["n"] != 20.0 {
			t.Errorf("%v samples before the break", a["n"])
		}
		for _, x := range *first.consumers.Load() {
			x.writing.Lock()
			_, _ = x.conn.Write([]byte{2, 0, 0, 0})
			x.writing.Unlock()
		}
		first.Close()
		again := newOutlet(t, c, info)
		if err := again.WaitForConsumers(deadline(t, 15*time.Second), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		for k := range 20 {
			pushPattern(t, again, k, 20+float64(k)/100)
		}
		if a := second.do(args{"op": "pull", "id": 2, "n": 20}); a["n"] != 20.0 || a["digest"] != patternDigest(Double64, 64, 0, 20) {
			t.Errorf("%v samples after the break", a["n"])
		}
	})
}
