package bci_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// arrow says that packages matching from may import packages matching to, and why.
// Patterns are path.Match patterns relative to the module; "..." at the end means
// the package and everything below it. Adding an arrow is an act of design: edit
// this table in the same change and say why.
type arrow struct{ from, to, why string }

var arrows = []arrow{
	{"stream/taper", "", "window functions: standard library only"},
	{"stream/montage", "", "positions of electrodes: standard library only"},
	{"stream/fft", "stream", "transforms tiles"},
	{"stream/fft", "stream/kernel", "choice of kernels"},
	{"stream/fft", "gonum.org/v1/gonum/...", "transforms of odd sizes"},
	{"stream/kernel", "golang.org/x/sys/...", "asks the processor what it can"},
	{"stream", "", "the core imports the standard library only"},
	{"stream/streamtest", "stream", "the contract is about stages"},

	{"stream/lsl/...", "stream", "an inlet is a Source, an outlet a Sink"},
	{"stream/lsl/...", "golang.org/x/...", "socket options and multicast per interface"},
	{"stream/udp/...", "stream", "a device is a Source"},
	{"stream/udp/...", "golang.org/x/...", "kernel stamps, batch receive, BPF"},
	{"stream/udp/...", "github.com/google/gopacket/...", "packet capture files and live capture"},
	{"stream/udp/...", "github.com/goccy/go-yaml/...", "declarative packet descriptions"},
	{"recordings/...", "stream", "recordings fill chunks"},
	{"recordings/...", "stream/montage", "positions of electrodes"},
	{"recordings/...", "recordings/...", "formats share Recording; samples open as recordings"},

	{"replay", "stream", "a player is a Source"},
	{"replay", "recordings", "it plays recordings"},
	{"replay", "gonum.org/v1/gonum/...", "distributions of the statistics"},
	{"filters/...", "stream", "filters are stages"},
	{"filters/...", "stream/taper", "FIR design"},
	{"filters/...", "stream/kernel", "choice of kernels"},
	{"filters/...", "stream/fft", "overlap-save, spectra of the quality checks"},
	{"filters/...", "stream/montage", "Laplacians and splines need positions"},
	{"filters/...", "filters/...", "assembly stands in its own package"},
	{"filters/...", "gonum.org/v1/gonum/...", "linear algebra of the spatial filters"},
	{"features/...", "stream", "features are stages"},
	{"features/...", "stream/taper", "windowed spectra"},
	{"features/...", "stream/kernel", "choice of kernels"},
	{"features/...", "stream/fft", "spectra"},
	{"features/...", "features/...", "assembly stands in its own package"},
	{"features/...", "gonum.org/v1/gonum/...", "transforms of odd sizes, linear algebra"},
	{"decoders/...", "stream", "decoders are stages"},
	{"decoders/...", "decoders/...", "studies and dense algebra stand in their own packages"},
	{"decoders/...", "stream/kernel", "choice of kernels"},
	{"decoders/...", "recordings/npz", "networks trained in Python"},
	{"decoders/...", "recordings/hdf5", "networks in NIR files"},
	{"decoders/...", "gonum.org/v1/gonum/...", "solvers"},

	{"bci", "stream/...", "the engine moves chunks and opens networks"},
	{"bci", "recordings/...", "sources by URL"},
	{"bci", "replay", "replay and scores"},
	{"bci", "filters", "vocabulary"},
	{"bci", "features", "vocabulary"},
	{"bci", "decoders", "vocabulary, training"},
	{"bci", "github.com/goccy/go-yaml/...", "pipeline files with line numbers"},
	{"bci", "github.com/HdrHistogram/hdrhistogram-go", "latency"},
	{"bci", "github.com/mjibson/go-dsp/...", "whole-file spectra of inspect"},
	{"bci", "gonum.org/v1/plot/...", "plots of inspect"},
	{"bci/earlyexit", "bci", "a study trains and streams as bci train and bci run do"},
	{"bci/earlyexit", "recordings/...", "reads the study's data"},
	{"bci/earlyexit", "replay", "players, truth, intervals"},
	{"bci/earlyexit", "decoders", "stopping rules and their bounds"},
	{"bci/earlyexit", "stream", "its sinks"},
	{"bci/server", "decoders", "the names of row types"},
	{"bci/server", "bci", "shows an engine's status"},
	{"bci/server", "bci/web", "serves the page"},
	{"bci/server", "stream", "its feeds are sinks"},
	{"bci/server", "github.com/gorilla/websocket", "browsers"},

	{"cmd/bci", "...", "the command joins everything"},
	{"cmd/bench-classical", "...", "judges whole pipelines"},
	{"cmd/bench-peers", "...", "measures any package against its peers"},
}

func (a arrow) allows(pkg, imp string) bool { return matches(a.from, pkg) && matches(a.to, imp) }

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "..."); ok {
		return prefix == "" || strings.HasPrefix(name+"/", prefix)
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

const module = "neurostream/"

// forbidden returns the imports of pkg that no arrow allows.
func forbidden(pkg string, imports []string) []string {
	var out []string
	for _, imp := range imports {
		first, _, _ := strings.Cut(imp, "/")
		own := strings.HasPrefix(imp, module)
		if !own && !strings.Contains(first, ".") {
			continue // standard library
		}
		name := strings.TrimPrefix(imp, module)
		allowed := false
		for _, a := range arrows {
			allowed = allowed || a.to != "" && a.allows(pkg, name)
		}
		if !allowed {
			out = append(out, imp)
		}
	}
	return out
}

type listed struct {
	ImportPath string
	Imports    []string
	Doc        string
	GoFiles    []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Doc,GoFiles", "neurostream/...")
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			t.Fatalf("go list: %s", e.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

func TestImportsPointDown(t *testing.T) {
	used := make([]bool, len(arrows))
	for _, l := range listPackages(t) {
		pkg := strings.TrimPrefix(l.ImportPath, module)
		for _, imp := range forbidden(pkg, l.Imports) {
			t.Errorf("%s imports %s: no arrow in arch_test.go allows that", pkg, imp)
		}
		for i, a := range arrows {
			for _, imp := range l.Imports {
				used[i] = used[i] || a.to == "" || a.allows(pkg, strings.TrimPrefix(imp, module))
			}
			used[i] = used[i] || matches(a.from, pkg) && a.to == ""
		}
	}
	for i, a := range arrows {
		if a.why == "" {
			t.Errorf("the arrow %s → %s has no reason", a.from, a.to)
		}
		if !used[i] {
			t.Logf("the arrow %s → %s is not used", a.from, a.to)
		}
	}
}

// The test above can fail: here is what it says to forbidden imports.
func TestForbiddenImportsAreFound(t *testing.T) {
	for _, c := range []struct{ pkg, imp string }{
		{"stream", module + "filters"},
		{"stream", "gonum.org/v1/gonum/mat"},
		{"stream/lsl", module + "stream/udp"},
		{"filters", module + "features"},
		{"features", module + "decoders"},
		{"decoders", module + "bci"},
		{"replay", module + "bci"},
		{"recordings", module + "replay"},
		{"bci", module + "bci/server"},
		{"bci/web", module + "bci/server"},
	} {
		if len(forbidden(c.pkg, []string{c.imp})) != 1 {
			t.Errorf("%s may import %s", c.pkg, c.imp)
		}
	}
	if f := forbidden("filters", []string{"math", module + "stream"}); len(f) != 0 {
		t.Errorf("filters may not import %v", f)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, l := range listPackages(t) {
		if len(l.GoFiles) > 0 && len(strings.Fields(l.Doc)) < 4 {
			t.Errorf("%s has no package comment that says what it is for", l.ImportPath)
		}
	}
}
