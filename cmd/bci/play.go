package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"neurostream/bci"
	"neurostream/recordings"
)

// playing is one `bci play`.
type playing struct {
	to, streams []string
	speed       float64
	loop, quiet bool
	name        string
	wait        time.Duration
}

func newPlay() *cobra.Command {
	var p playing
	c := &cobra.Command{
		Use:   "play RECORDING",
		Short: "Play a recording as live streams",
		Long: `play sends a recording out as if its devices were there. RECORDING is a file or any
address of a recording.

An XDF file becomes Lab Streaming Layer outlets, one for each of its streams, regular,
irregular or markers, with the name, type, source id, channels and values recorded. All
are on one timeline: what began 1.3 s later starts 1.3 s later, divided by --speed.
--stream chooses some of them. With --to, or from an address with settings
(file:s01.xdf?from=10), one regular stream is sent, its markers beside it.

Any other recording becomes one outlet for its signals and one for its annotations.

Stamps keep the pace of the recording at every --speed, so that rates stay true.

Ctrl-C ends it: what is queued is sent and receivers see the streams end. The exit code
is 130 before the end of the recording, and 0 with --loop, which has no other end.`,
		Example: "  bci play s01.xdf --loop\n  bci play s01.xdf --stream EEG --stream Markers --wait 30s\n  bci play s01.edf\n  bci play sample:S007R12 --loop --speed 2\n" +
			"  bci play s01.xdf --to 'lsl://EEG?source_id=my-amp'",
		Args: exactly("a recording"),
		RunE: func(c *cobra.Command, args []string) error {
			if !(p.speed > 0) || math.IsInf(p.speed, 0) {
				return usageError{fmt.Errorf("--speed %v: give a positive number; 1 is the original pace", p.speed)}
			}
			if p.wait < 0 || p.wait > 0 && len(p.to) > 0 {
				return usageError{fmt.Errorf("--wait %v: it is positive, and not for --to; an LSL address takes it as ?wait=10s", p.wait)}
			}
			a := bci.ParseAddress(args[0])
			kind := ""
			if a.Scheme == "file" {
				kind, _ = recordings.Detect(a.Place) // what is wrong is said when it is opened
			}
			isXDF := kind == recordings.FormatXDF
			switch {
			case len(p.streams) == 0:
			case !isXDF:
				return usageError{fmt.Errorf("--stream chooses streams of an XDF file; %s is none", args[0])}
			case a.Query != "":
				return usageError{fmt.Errorf("--stream does not go with settings in the address; write %s?stream=%s&…", a.Place, url.QueryEscape(p.streams[0]))}
			case len(p.to) > 0 && len(p.streams) > 1:
				return usageError{fmt.Errorf("with --to one stream is sent; give --stream once")}
			}
			if isXDF && a.Query == "" && len(p.to) == 0 {
				return p.all(c, a.Place)
			}
			from := args[0]
			if len(p.streams) == 1 {
				from = "file:" + a.Place + "?stream=" + url.QueryEscape(p.streams[0])
			}
			return p.one(c, from)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&p.to, "to", nil, "where to send it (`address`); default: LSL outlets")
	f.StringArrayVar(&p.streams, "stream", nil, "`name`, number, type or source id of a stream of an XDF file; may be given more than once; default: all")
	f.Float64Var(&p.speed, "speed", 1, "pace; 1 = as recorded")
	f.BoolVar(&p.loop, "loop", false, "start again at the end, all streams together")
	f.DurationVar(&p.wait, "wait", 0, "begin when every stream has a receiver, and fail after this long, e.g. 30s; 0 = begin at once")
	f.StringVar(&p.name, "name", "", "`name` of the outlet, when one recording becomes one; default: that of the file")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "no progress, no events on the screen")
	return c
}

// one plays a recording of one stream through an engine.
func (p *playing) one(c *cobra.Command, from string) error {
	in, err := bci.OpenSource(from)
	if err != nil {
		return err
	}
	if in.Recording == nil {
		return usageError{fmt.Errorf("%s is a live stream already", from)}
	}
	in.Player.Speed, in.Player.Loop = p.speed, p.loop
	name := p.name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(in.Name), filepath.Ext(in.Name))
	}
	to := p.to
	if len(to) == 0 {
		to = []string{"lsl://" + name + "?markers=true&source_id=" + name}
		if p.wait > 0 {
			to[0] += "&wait=" + p.wait.String()
		}
	}
	r := runner{to: to, quiet: p.quiet, out: c.OutOrStdout(), errOut: c.ErrOrStderr()}
	if !p.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "playing %s at %g × real time to %s (Ctrl-C ends)\n", in.Name, p.speed, strings.Join(to, ", "))
	}
	report, err := r.runInput(c.Context(), bci.Passthrough(), nil, in)
	if err != nil {
		return err
	}
	if err := p.ended(c.Context().Err()); err != nil {
		return err
	}
	if report.Dropped > 0 {
		return errors.New("some outputs were too slow; see the events")
	}
	return nil
}

// all plays the streams of an XDF file.
func (p *playing) all(c *cobra.Command, path string) error {
	if p.name != "" {
		return usageError{fmt.Errorf("--name: the streams of an XDF file keep their names; to rename one, write --stream NAME --to 'lsl://%s?markers=true'", p.name)}
	}
	player, err := bci.OpenStreamPlayer(path, p.streams...)
	if err != nil {
		return err
	}
	defer player.Close()
	player.Speed, player.Loop, player.Wait = p.speed, p.loop, p.wait
	if !p.quiet {
		p.announce(c, path, player)
	}
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- player.Run(ctx) }()
	bar := newProgress(p.quiet)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err = <-done:
			running = false
		case <-tick.C:
			at := player.Position()
			bar.show(fmt.Sprintf("%s  %.1f of %.1f s", path, at, player.Length()), at/player.Length())
		}
	}
	bar.done()
	interrupted := p.ended(err)
	if err = quietEnd(err); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var sent, dropped int64
	for _, s := range player.Streams() {
		sent += s.Sent
		dropped += s.Dropped
	}
	if !p.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "%d samples sent by %d streams, the latest %.1f ms after it was due\n", sent, len(player.Streams()), player.Late().Seconds()*1e3)
	}
	if dropped > 0 {
		return fmt.Errorf("%d samples did not reach a receiver that was too slow", dropped)
	}
	return interrupted
}

// ended is the error of a run that ended with err: Ctrl-C is the way to end a loop, and
// else an interruption.
func (p *playing) ended(err error) error {
	if p.loop {
		return quietEnd(err)
	}
	return err
}

// announce lists what is played and what is not.
func (p *playing) announce(c *cobra.Command, path string, player *bci.StreamPlayer) {
	w := c.ErrOrStderr()
	again := ""
	if p.loop {
		again = ", again and again"
	}
	rows := player.Streams()
	fmt.Fprintf(w, "playing %s at %g × real time: %d LSL streams, %.1f s of recording%s (Ctrl-C ends)\n", path, p.speed, len(rows), player.Length(), again)
	fmt.Fprintf(w, "  %-24s %-12s %8s %-9s %11s %10s %12s\n", "stream", "type", "channels", "format", "rate", "samples", "begins after")
	for _, s := range rows {
		rate, begins := "irregular", "never"
		if s.Rate > 0 {
			rate = fmt.Sprintf("%g Hz", s.Rate)
		}
		if s.Samples > 0 {
			begins = fmt.Sprintf("%.3f s", s.Begins)
		}
		fmt.Fprintf(w, "  %-24s %-12s %8d %-9s %11s %10d %12s\n", printable(s.Name), printable(s.Type), s.Channels, s.Format, rate, s.Samples, begins)
	}
	for _, why := range player.LeftOut() {
		fmt.Fprintf(w, "  left out: %s\n", printable(why))
	}
	if n := player.Damage(); n > 0 {
		fmt.Fprintf(w, "  %d stretches of the file are damaged and missing; see: bci xdf check %s\n", n, path)
	}
}

// printable keeps what a file says from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
