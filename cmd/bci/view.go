package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"neurostream/bci"
	"neurostream/stream"
)

func newView() *cobra.Command {
	var addr string
	var terminal bool
	c := &cobra.Command{
		Use:   "view SOURCE",
		Short: "Look at a live stream or a recording, on a page or in the terminal",
		Long: `view shows the signals of a source and their power on a page, without a pipeline,
until Ctrl-C. A recording is played in real time, over and over, unless its address
says otherwise.

With --terminal it draws them in the terminal instead, ten times a second: of every
channel the last two seconds, mean and spread in its unit; the rate, the age of the
newest data, and what was missing. When the output is no terminal (a file, a pipe), two
seconds are gathered and printed once. A name that is no file is that of an LSL stream.

Sources:
` + bci.ListSources(),
		Example: "  bci view lsl://?type=EEG\n  bci view s01.edf\n  bci view --terminal 'BioSemi'\n  bci view --terminal s01.edf | head",
		Args:    exactly("a source"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := bci.OpenSource(viewed(args[0]))
			if err != nil {
				return err
			}
			if in.Player != nil && in.Player.Speed == 0 {
				in.Player.Speed, in.Player.Loop = 1, true
			}
			if terminal {
				if c.Flags().Changed("addr") {
					return usageError{errors.New("--addr is where the page is served; --terminal has none")}
				}
				return viewInTerminal(c.Context(), in, c.OutOrStdout(), c.ErrOrStderr())
			}
			r := runner{
				to: []string{"ws://" + addr}, quiet: true, out: c.OutOrStdout(), errOut: c.ErrOrStderr(),
				onPage: func(url string) {
					fmt.Fprintf(c.ErrOrStderr(), "open %s  (Ctrl-C ends)\n", url)
				},
			}
			_, err = r.runInput(c.Context(), bci.Passthrough(), nil, in)
			return quietEnd(err)
		},
	}
	f := c.Flags()
	f.StringVar(&addr, "addr", "127.0.0.1:8080", "where to serve the page, `host:port`")
	f.BoolVarP(&terminal, "terminal", "t", false, "draw in the terminal; no page")
	return c
}

// viewed returns the address of what is to be viewed: a bare name that is no file is that
// of an LSL stream.
func viewed(arg string) string {
	a := bci.ParseAddress(arg)
	if a.Scheme != "file" || strings.HasPrefix(arg, "file:") || strings.ContainsAny(arg, "/\\?") || filepath.Ext(arg) != "" {
		return arg
	}
	if _, err := os.Stat(arg); err == nil {
		return arg
	}
	return "lsl://?name=" + url.QueryEscape(arg)
}

const (
	drawEvery  = 100 * time.Millisecond
	printAfter = 30 * time.Second // without a terminal: print what there is, when two seconds of data do not come
)

// viewInTerminal draws a source until ctx ends or it does; once, when out is no terminal.
func viewInTerminal(ctx context.Context, in *bci.Input, out, errOut io.Writer) error {
	s := &scope{cells: scopeCells}
	file, _ := out.(*os.File)
	live := file != nil && isTerminal(file)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := runner{quiet: true, out: out, errOut: errOut}
	done := make(chan error, 1)
	go func() {
		_, _, err := r.runWith(ctx, bci.Passthrough(), nil, in, bci.Output{Name: "terminal", Sink: s})
		done <- err
	}()
	clock := stream.Wall{}
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	limit := time.NewTimer(printAfter)
	defer limit.Stop()
	shown := false
	draw := func() {
		width, height := 100, 1<<20
		if live {
			width, height = terminalSize(file)
		}
		lines := s.draw(clock.Now(), width, height-1)
		switch {
		case lines == nil:
		case live && !shown:
			fmt.Fprint(out, "\x1b[?25l\x1b[2J\x1b[H", strings.Join(lines, "\x1b[K\n"), "\x1b[K\n\x1b[J")
			shown = true
		case live:
			fmt.Fprint(out, "\x1b[H", strings.Join(lines, "\x1b[K\n"), "\x1b[K\n\x1b[J")
		default:
			fmt.Fprintln(out, strings.Join(lines, "\n"))
		}
	}
	for {
		select {
		case err := <-done:
			draw() // what came last
			if shown {
				fmt.Fprint(out, "\x1b[?25h")
			}
			return quietEnd(err)
		case <-limit.C:
			if !live {
				stop()
			}
		case <-tick.C:
			if live {
				draw()
			} else if s.full() {
				stop()
			}
		}
	}
}
