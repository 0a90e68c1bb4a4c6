// Command bench-peers measures neurostream against the software its users come
// from, and writes the ratios into BENCHMARKS.md.
//
//	bench-peers                    every section
//	bench-peers lsl signal         these sections
//	bench-peers --list             what there is
//
// A section runs both sides alternately, in one process tree on one machine, so
// that what disturbs one disturbs the other. Only ratios are claims; the absolute
// figures beside them tell where they were made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

// section is one part of BENCHMARKS.md: the text between its two marks is
// replaced by what run returns.
type section struct {
	name, doc string
	run       func(context.Context, *bench) (markdown string, err error)
}

// sections in the order of the document. Add a file and a row.
var sections = []section{
	{"lsl", "Lab Streaming Layer over the loopback, against liblsl (B6)", measureLSL},
	{"signal", "filters and features against SciPy, NumPy and MNE", signalBench},
	{"decoders", "decoders of kinematics against NumPy and scikit-learn", decodersBench},
	{"udp", "UDP ingest, a 256-channel system, latency against a bare echo (B3)", measureUDP},
}

// bench is what a section works with.
type bench struct {
	python string // interpreter of the peers' virtual environment
	full   bool   // the long form of measurements that have one
	only   *regexp.Regexp
}

// wants says whether a row is to be measured.
func (b *bench) wants(row string) bool { return b.only == nil || b.only.MatchString(row) }

// say shows what is going on; the document is written at the end of a section.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func main() {
	if lslRole() || signalRole() || udpRole() {
		return
	}
	python := flag.String("python", ".venv/peers/bin/python", "interpreter with the peers of cmd/bench-peers/requirements.txt")
	document := flag.String("write", "BENCHMARKS.md", "document to write the sections into; empty = print only")
	full := flag.Bool("full", false, "the long form of measurements that have one")
	only := flag.String("rows", "", "only rows of the sections signal and decoders whose name matches this expression; nothing is written")
	list := flag.Bool("list", false, "list the sections and end")
	flag.Parse()
	if *list {
		for _, s := range sections {
			fmt.Printf("%-10s %s\n", s.name, s.doc)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{python: *python, full: *full}
	if *only != "" {
		var err error
		if b.only, err = regexp.Compile(*only); err != nil {
			fmt.Fprintln(os.Stderr, "bench-peers: -rows:", err)
			os.Exit(1)
		}
		*document = ""
	}
	if err := run(ctx, b, *document, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, b *bench, document string, names []string) error {
	if _, err := os.Stat(b.python); err != nil {
		return fmt.Errorf("%w; `make bench-peers` makes the peers' environment", err)
	}
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	var failed error
	for _, s := range chosen {
		start := time.Now()
		b.say("== %s: %s", s.name, s.doc)
		text, err := s.run(ctx, b)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		fmt.Println(text)
		if document != "" {
			if err := replaceSection(document, s.name, text); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		b.say("== %s took %.0f s", s.name, time.Since(start).Seconds())
	}
	return failed
}

func choose(names []string) ([]section, error) {
	if len(names) == 0 {
		return sections, nil
	}
	var chosen []section
	for _, n := range names {
		found := false
		for _, s := range sections {
			if s.name == n {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no section %q; see bench-peers --list", n)
		}
	}
	return chosen, nil
}

// replaceSection puts text between the marks of the section in the document, and
// appends the marks at the end when they are not there.
func replaceSection(document, name, text string) error {
	old, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	return os.WriteFile(document, []byte(withSection(string(old), name, text)), 0o644)
}

func withSection(document, name, text string) string {
	begin, end := "<!-- bench-peers "+name+" -->\n", "<!-- end of "+name+" -->\n"
	block := begin + strings.TrimSpace(text) + "\n" + end
	if head, rest, ok := strings.Cut(document, begin); ok {
		if _, tail, ok := strings.Cut(rest, end); ok {
			return head + block + tail
		}
	}
	return strings.TrimRight(document, "\n") + "\n\n" + block
}
