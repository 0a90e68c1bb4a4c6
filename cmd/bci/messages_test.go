package main

import (
	"bytes"
	"compress/gzip"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shell runs a command line in a folder of its own.
type shell struct {
	t   *testing.T
	dir string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{t, t.TempDir()}
	t.Chdir(s.dir)
	return s
}

func (s *shell) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shell) run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = execute(args, &out, &err)
	return code, out.String(), err.String()
}

// edf returns the bytes of a sample, unpacked.
func edf(t *testing.T) []byte {
	t.Helper()
	f, err := os.Open("../../recordings/samples/S007R12.edf.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const plain = `name: plain
stages:
  - bandpass: {low: 8, high: 30}
`

// Bad input gets one clear line that says what, where, and what to do; the exit code
// says that it failed; nothing is left behind.
func TestMessages(t *testing.T) {
	whole := edf(t)
	s := newShell(t)
	s.write("good.yaml", plain)
	s.write("text.edf", "this is not a recording\n")
	s.write("empty.edf", "")
	s.write("cut.edf", string(whole[:5000]))
	lying := bytes.Clone(whole)
	copy(lying[236:244], "99999999") // number of records
	s.write("lying.edf", string(lying))
	s.write("stage.yaml", "name: x\nstages:\n  - bandpas: {low: 8, high: 30}\n")
	s.write("key.yaml", "name: x\nstages:\n  - bandpass:\n      low: 8\n      hihg: 30\n")
	s.write("top.yaml", "name: x\nstags:\n  - car\n")
	s.write("missing.yaml", "stages:\n  - bandpass: {low: 8}\n")
	s.write("kind.yaml", "stages:\n  - bandpass: {low: eight, high: 30}\n")
	s.write("range.yaml", "stages:\n  - car\n  - bandpass: {low: 8, high: 300}\n")
	s.write("swapped.yaml", "stages:\n  - bandpass: {low: 30, high: 8}\n")
	s.write("channel.yaml", "stages:\n  - select: {channels: [C3, Zc]}\n")
	s.write("syntax.yaml", "stages:\n  - bandpass: {low: 8\n")
	s.write("twice.yaml", "name: a\nname: b\nstages:\n  - car\n")
	s.write("nostages.yaml", "name: a\n")
	s.write("binary.yaml", "\x00\x01\x02")
	s.write("learns.yaml", string(motorImagery))
	s.write("broken.model", `{"format": "neurostream-model", "version": 9}`)
	s.write("other.model", `{"hello": 1}`)
	s.write("there.csv", "mine\n")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	busyAddr := busy.Addr().String()

	for _, c := range []struct {
		line string
		code int
		want string // DIR stands for the folder, ADDR for the address in use
	}{
		{"run good.yaml --from none.edf", 1, "bci: none.edf: no such file (looked in DIR); check the name and the folder"},
		{"run none.yaml --from sample:S007R12", 1, "bci: none.yaml: no such file (looked in DIR); check the name and the folder"},
		{"run good.yaml", 2, "bci: where do the data come from? give --from; see: bci run --help"},
		{"run good.yaml --from sample:S007R13", 1, `bci: sample:S007R13: there is no such sample; did you mean "S007R12"?`},
		{"run good.yaml --from smaple:S007R12", 1, `bci: smaple:S007R12: there is no source "smaple:"; did you mean "sample"?`},
		{"run good.yaml --from csv:a.csv", 1, `bci: csv:a.csv: there is no source "csv:"; a recording of any format is file:a.csv`},
		{"run good.yaml --from sample:S007R12?sped=1", 1, `bci: sample:S007R12?sped=1: sample: has no setting "sped"; did you mean "speed"?`},
		{"run good.yaml --from sample:S007R12?speed=fast", 1, `bci: sample:S007R12?speed=fast: speed is a number: 1 = real time, 50 = fifty times faster, 0 = as fast as it goes, not "fast"`},
		{"run good.yaml --from sample:S007R12 --to cvs:x", 1, `bci: cvs:x: there is no sink "cvs:"; did you mean "csv"?`},
		{"run good.yaml --from sample:S007R12 --to csv:there.csv", 1, "bci: csv:there.csv: the file exists already and is not overwritten; choose another name or move it away"},
		{"run good.yaml --from sample:S007R12 --to csv:a.csv?tap=bandpas", 1, `bci: csv:a.csv?tap=bandpas wants the output of stage "bandpas"; did you mean "bandpass"?`},
		{"run good.yaml --from sample:S007R12 --to ws://ADDR", 1, "bci: address ADDR is already in use, perhaps by another bci; choose another port, e.g. NEXT, or port 0 for any free one"},
		{"run stage.yaml --from sample:S007R12", 1, `bci: stage.yaml:3: there is no stage "bandpas"; did you mean "bandpass"?`},
		{"run key.yaml --from sample:S007R12", 1, `bci: key.yaml:5: bandpass has no setting "hihg"; did you mean "high"?`},
		{"run top.yaml --from sample:S007R12", 1, `bci: top.yaml:2: there is no key "stags"; did you mean "stages"?`},
		{"run missing.yaml --from sample:S007R12", 1, `bci: missing.yaml:2: bandpass needs the setting "high" (number in Hz: upper cut-off (-3 dB))`},
		{"run kind.yaml --from sample:S007R12", 1, `bci: kind.yaml:2: low is a number in Hz: lower cut-off (-3 dB), not "eight"`},
		{"run range.yaml --from sample:S007R12", 1, "bci: range.yaml:3: bandpass: cut-off 300 Hz is impossible at 160 Hz; allowed is above 0 and below 80 Hz (half the rate)"},
		{"run swapped.yaml --from sample:S007R12", 1, "bci: swapped.yaml:2: bandpass: band 30 to 8 Hz is impossible: the lower edge must be below the upper one"},
		{"run channel.yaml --from sample:S007R12", 1, `bci: channel.yaml:2: select: channels: there is no channel "Zc"; the stream has FC5, FC3, FC1, FCz, FC2, FC4, FC6, C5, ... (64 in all)`},
		{"run syntax.yaml --from sample:S007R12", 1, "bci: syntax.yaml:2: not valid YAML: could not find flow mapping end token '}'"},
		{"run twice.yaml --from sample:S007R12", 1, `bci: twice.yaml:2: not valid YAML: mapping key "name" already defined at [1:1]`},
		{"run nostages.yaml --from sample:S007R12", 1, "bci: nostages.yaml: no stages are listed; add a stages: list (see: bci stages)"},
		{"run binary.yaml --from sample:S007R12", 1, "bci: binary.yaml: this is not a text file; a pipeline is written in YAML (see: bci stages)"},
		{"run learns.yaml --from sample:S007R12", 1, "bci: learns.yaml:26: tangent-space learns from data and has no model yet: run bci train learns.yaml, then give the file with --model"},
		{"run learns.yaml --model none.model --from sample:S007R12", 1, "bci: none.model: no such file (looked in DIR); check the name and the folder"},
		{"run learns.yaml --model other.model --from sample:S007R12", 1, `bci: other.model: not a model file (format is "", expected "neurostream-model"); models are written by bci train`},
		{"run learns.yaml --model broken.model --from sample:S007R12", 1, "bci: broken.model: model file of version 9; this program reads version 1: train again"},
		{"train good.yaml --from sample:S007R04", 2, "bci: give the recordings with --from and the model's file name with --out; see: bci train --help"},
		{"train good.yaml --from sample:S007R04 --out a.model", 1, "bci: good.yaml: no stage of this pipeline learns, so there is nothing to train; bci run needs no model for it"},
		{"train learns.yaml --from sample:S007R04 --out there.csv", 1, "bci: there.csv exists already; choose another name, or give --force to replace it"},
		{"inspect text.edf", 1, `bci: text.edf: is not a recording: byte 0 starts "this is "; the formats read are EDF, BDF, GDF, BrainVision (.vhdr), EEGLAB (.set) and XDF`},
		{"inspect empty.edf", 1, "bci: empty.edf: is empty; expected an EDF, BDF, GDF, BrainVision, EEGLAB or XDF recording"},
		{"inspect cut.edf", 1, "bci: cut.edf: cut off at byte 5000, inside the header of 16896 bytes (65 signals): nothing to read; copy the file again"},
		{"inspect lying.edf", 1, "bci: lying.edf: cut off at byte 2596896: the header announces 99999999 records of 1 s, 125 are whole (125 s); copy the file again, or read these with partial=1"},
		{"inspect", 2, "bci: bci inspect needs a recording; see: bci inspect --help"},
		{"stages bandpss", 1, `bci: there is no stage "bandpss"; did you mean "bandpass"? (bci stages lists all)`},
		{"rnu good.yaml", 2, `bci: there is no command "rnu"; did you mean "run"? (see: bci --help)`},
		{"run --form x good.yaml", 2, "bci: unknown flag: --form; see: bci run --help"},
		{"version extra", 2, `bci: "extra" is one argument too many; see: bci version --help`},
	} {
		t.Run(c.line, func(t *testing.T) {
			expand := strings.NewReplacer("ADDR", busyAddr, "DIR", s.dir, "NEXT", nextPort(t, busyAddr))
			code, out, err := s.run(strings.Fields(expand.Replace(c.line))...)
			err = strings.TrimSuffix(err, "\n")
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if want := expand.Replace(c.want); err != want {
				t.Errorf("says\n  %s\nwant\n  %s", err, want)
			}
			if strings.Contains(err, "\n") || out != "" {
				t.Errorf("more than one line: %q %q", err, out)
			}
		})
	}
	left, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), "a.") || strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s was left behind", f.Name())
		}
	}
	if b, _ := os.ReadFile("there.csv"); string(b) != "mine\n" {
		t.Error("there.csv was overwritten")
	}
}

func nextPort(t *testing.T, addr string) string {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	a.Port++
	return a.String()
}
