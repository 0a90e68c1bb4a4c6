package bci

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"neurostream/decoders"
)

func TestPipelineSettings(t *testing.T) {
	p, err := ParsePipeline("x.yaml", []byte(`
name: test
description: a test
labels: {T1: left, T2: right, T0: rest, 7: rest}
idle: rest
train: {purity: 0.9, every: 5}
stages:
  - car
  - select: {channels: [C3, 1, Cz]}
  - lane
  - bandpass:
      low: 8
      high: 1.3e1   # Hz
  - bandpass: {low: 1, high: 2, order: 2}
  - window: {length: 1, hop: 0.1, features: [covariance: {estimator: oas}, log-variance]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "test" || p.Idle != "rest" || p.Train.Purity != 0.9 || p.Train.Every != 5 || p.Lanes() != 2 {
		t.Errorf("%+v", p)
	}
	if got := strings.Join(p.Classes(), " "); got != "left right rest" {
		t.Errorf("classes %s", got)
	}
	if p.ClassOf()["7"] != "rest" {
		t.Error("a marker that looks like a number is lost")
	}
	links := p.Build()
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	if got := strings.Join(names, " "); got != "car select bandpass bandpass-2 window" {
		t.Errorf("stages %s", got)
	}
	if got := p.Steps[2].canonical(); got != "bandpass low=8 high=13 order=4" {
		t.Errorf("canonical form %q", got)
	}
	if got := p.Steps[4].canonical(); got != "window length=1 hop=0.1 features=(covariance estimator=oas shrinkage=0 keep-mean=false)(log-variance keep-mean=false) smooth=0 keep-settling=false" {
		t.Errorf("canonical form %q", got)
	}
	a, b := p.Build()[4].Stage, p.Build()[4].Stage
	if a == b {
		t.Error("Build returns the same stage twice")
	}
}

func TestHashIsOfWhatMatters(t *testing.T) {
	hash := func(stages string) string {
		t.Helper()
		p, err := ParsePipeline("x.yaml", []byte("stages:\n"+stages))
		if err != nil {
			t.Fatal(err)
		}
		return p.Hash()
	}
	a := hash("  - bandpass: {low: 8, high: 30}\n  - car\n")
	for _, same := range []string{
		"  - bandpass: {high: 30, low: 8, order: 4} # comment\n  - car:\n",
		"  - bandpass: {low: 8.0, high: 3e1}\n  - lane\n  - car\n",
	} {
		if hash(same) != a {
			t.Errorf("the hash changes with %q", same)
		}
	}
	for _, other := range []string{"  - bandpass: {low: 8, high: 31}\n  - car\n", "  - car\n  - bandpass: {low: 8, high: 30}\n", "  - bandpass: {low: 8, high: 30}\n"} {
		if hash(other) == a {
			t.Errorf("the hash is blind to %q", other)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"bandpass", "bandstop", "car", "csv", "ws", "window"}
	for word, want := range map[string]string{"bandpas": "bandpass", "BANDPASS": "bandpass", "cvs": "csv", "windwo": "window", "xyzzy": "", "cra": "car"} {
		if got := Nearest(word, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]Address{
		"a.edf":                    {Scheme: "file", Place: "a.edf"},
		"file:a b.edf?speed=1":     {Scheme: "file", Place: "a b.edf", Query: "speed=1"},
		"file:/tmp/a?.edf":         {Scheme: "file", Place: "/tmp/a?.edf"},
		"file:///tmp/a.edf":        {Scheme: "file", Place: "/tmp/a.edf"},
		"lsl://?type=EEG":          {Scheme: "lsl", Place: "", Query: "type=EEG"},
		"udp://:12345?format=osc":  {Scheme: "udp", Place: ":12345", Query: "format=osc"},
		"ws://127.0.0.1:8080":      {Scheme: "ws", Place: "127.0.0.1:8080"},
		`C:\data\a.edf`:            {Scheme: "file", Place: `C:\data\a.edf`},
		"./odd:name.edf":           {Scheme: "file", Place: "./odd:name.edf"},
		"sample:S007R12?loop=true": {Scheme: "sample", Place: "S007R12", Query: "loop=true"},
	} {
		got := ParseAddress(text)
		want.Text = text
		if got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// FuzzPipeline: no text may panic, and whatever parses can be built and named.
func FuzzPipeline(f *testing.F) {
	demo, err := os.ReadFile("../cmd/bci/pipelines/motor-imagery.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(demo)
	for _, s := range []string{"stages: [car]", "stages:\n- car: {exclude: [a]}", "a: &x [1]\nb: *x", "stages: !!binary abc", "? - a", "stages:\n - window: {length: .inf, hop: .nan, features: [covariance]}", "<<: {a: 1}", "stages: {a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}", "\"\\u0000\": 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParsePipeline("fuzz.yaml", src)
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !strings.Contains(string(src), "\n") {
				t.Errorf("a message of several lines: %q", err)
			}
			return
		}
		if len(p.Build()) != len(p.Steps) || p.Hash() == "" || p.Lanes() < 1 {
			t.Error("a pipeline that parsed cannot be used")
		}
	})
}

// FuzzModel: no bytes may panic, neither in parsing nor in giving the parts to stages.
func FuzzModel(f *testing.F) {
	f.Add([]byte(`{"format":"neurostream-model","version":1,"steps":["car","logistic"],"stages":[{"name":"logistic","index":1,"params":{}}]}`))
	f.Add([]byte(`{"format":"neurostream-model","version":1,"rate_hz":-1}`))
	src := []byte("stages: [tangent-space, logistic: {idle: rest}]")
	for _, name := range []string{"csp", "mdm", "fgmdm", "svm", "trca", "xdawn", "fbcsp", "lda", "scaler", "logistic"} {
		f.Add(fmt.Appendf(nil, `{"format":"neurostream-model","version":1,"steps":["car","x"],"stages":[{"name":%q,"index":1,"params":{"format":1,"kind":%q,"rows":["a"],"classes":["x","y"],"pairs":[{"of":[9]}],"bands":1,"channels":["a"],"length":1,"filters":[[1]],"from":[7]}}]}`, name, name))
	}
	f.Fuzz(func(tt *testing.T, b []byte) {
		m, err := ParseModel(b)
		if err != nil {
			return
		}
		p, err := ParsePipeline("x.yaml", src)
		if err != nil {
			tt.Fatal(err)
		}
		// Every stage that learns is offered every part.
		for _, part := range m.Stages {
			for _, t := range Stages() {
				if f, ok := t.New(&Settings{params: t.Params}).(decoders.Fitter); ok && f.LoadModel(part.Params) == nil {
					if _, err := f.SaveModel(); err != nil {
						tt.Errorf("%s takes a model it cannot save: %v", t.Name, err)
					}
					_, _ = f.Open(contractInput(t.Input))
				}
			}
		}
		m.Steps = []string{p.Steps[0].canonical(), p.Steps[1].canonical()}
		_ = m.install(p, p.Build())
	})
}

// TestModelsOutliveNewSettings: a canonical line without a setting that came later still
// is the stage, as long as the setting has its default; anything else is another stage.
func TestModelsOutliveNewSettings(t *testing.T) {
	p := parsed(t, "stages:\n  - bandpass: {low: 8, high: 30}\n  - window: {length: 1, hop: 0.1, features: [covariance, band-power: {bands: {alpha: [8, 13]}, scale: db}]}\n")
	band, window := &p.Steps[0], &p.Steps[1]
	full := window.canonical()
	for _, x := range []struct {
		step *Step
		line string
		want bool
	}{
		{band, band.canonical(), true},
		{band, "bandpass low=8 high=30", true},
		{band, "bandpass low=8 high=30 order=5", false},
		{band, "bandpass low=8 high=30 order=40", false},
		{band, "bandpass low=8 high=3", false},
		{band, "bandpass high=30", false},
		{band, "bandpass low=8 high=30 more=1", false},
		{band, "highpass low=8 high=30", false},
		{band, "", false},
		{window, full, true},
		{window, strings.Replace(full, " keep-mean=false", "", 1), true},
		{window, strings.Replace(full, " smooth=0", "", 1), true},
		{window, strings.Replace(full, " scale=db", "", 1), false},
		{window, strings.Replace(full, "(covariance", "(covariance)(covariance", 1), false},
		{window, strings.Replace(full, "(covariance", "(log-variance", 1), false},
	} {
		if got := x.step.is(x.line); got != x.want {
			t.Errorf("[%s] is %s: %v", x.line, x.step.Type.Name, got)
		}
	}
}
