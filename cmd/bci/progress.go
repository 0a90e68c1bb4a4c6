package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws one line that is overwritten, on a terminal only and only for
// work that takes longer than a second.
type progress struct {
	w       io.Writer
	on      bool
	started time.Time
	drawn   time.Time
	width   int
}

func newProgress(quiet bool) *progress {
	return &progress{w: os.Stderr, on: !quiet && isTerminal(os.Stderr), started: time.Now()}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show draws what is going on and how far it is, 0 to 1.
func (p *progress) show(what string, done float64) {
	now := time.Now()
	if !p.on || now.Sub(p.started) < time.Second || now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = now
	const cells = 30
	full := int(min(max(done, 0), 1) * cells)
	line := fmt.Sprintf("%s%s %3.0f%% %s", strings.Repeat("█", full), strings.Repeat("░", cells-full), 100*done, what)
	pad := max(0, p.width-len([]rune(line)))
	p.width = len([]rune(line))
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", pad))
}

// done removes the line.
func (p *progress) done() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}
