package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"neurostream/bci"
	"neurostream/stream/lsl"
)

func newRecord() *cobra.Command {
	var m matchFlags
	var wait, limit time.Duration
	var asJSON, quiet, onlyNow bool
	var atLeast int
	c := &cobra.Command{
		Use:   "record FILE.xdf",
		Short: "Record Lab Streaming Layer streams to an XDF file",
		Long: `record connects to all streams on the network, or to those that match, and writes
them into one XDF file until Ctrl-C: stamps as the senders made them, clock offsets
from the first second on, every gap, restart and drop as a line of an events stream.
A crash takes at most half a second; bci xdf repair closes a file that was cut off.

Streams that appear later and match are recorded from then on (--only-now: they are
not). A stream that goes away and comes back with its source id goes on as the same
stream of the file, with a gap.

The recorder leaves the processors to others, such as a decoder on the same computer
(Linux: niceness 10): what it has not read yet waits in the senders.`,
		Example: "  bci record today.xdf\n  bci record today.xdf --type EEG --for 10m\n  bci record today.xdf --at-least 0                             # begin now, whatever appears",
		Args:    exactly("a file name"),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := lsl.Resolve(c.Context(), m.match, lsl.ResolveOptions{Timeout: wait})
			if err != nil {
				return err
			}
			if atLeast < 0 || atLeast == 0 && onlyNow {
				return usageError{fmt.Errorf("--at-least %d: it is 1 or more; 0 begins without a stream and needs those that appear later, so not --only-now", atLeast)}
			}
			if len(found) < atLeast {
				return fmt.Errorf("%d streams answered within %v, %d are needed; see bci streams and bci lsl doctor; --at-least 0 begins without and waits for them", len(found), wait, atLeast)
			}
			if _, err := os.Stat(args[0]); err == nil {
				return fmt.Errorf("%s exists already and is not overwritten; choose another name", args[0])
			}
			r, err := bci.NewRecorder(args[0])
			if err != nil {
				return err
			}
			ctx := c.Context()
			for _, s := range found {
				if err := r.Add(ctx, s); err != nil {
					return err
				}
			}
			if !onlyNow {
				r.Follow(m.match)
			}
			if limit > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, limit)
				defer stop()
			}
			recording()
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			started := time.Now()
			watch := watchRecording(r.Streams())
			for {
				select {
				case err := <-done:
					if err != nil {
						return err
					}
					rows := r.Streams()
					if asJSON {
						return json.NewEncoder(c.OutOrStdout()).Encode(recordReport{args[0], time.Since(started).Seconds(), rows})
					}
					printRecording(c.OutOrStdout(), args[0], time.Since(started), rows, r.Size())
					return nil
				case <-tick.C:
					if quiet {
						continue
					}
					rows := r.Streams()
					for _, line := range watch.news(rows) {
						fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", time.Since(started).Round(time.Second), line)
					}
					if !asJSON && isTerminal(os.Stdout) {
						fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J")
						printRecording(c.OutOrStdout(), args[0], time.Since(started), rows, r.Size())
						for _, line := range watch.recent {
							fmt.Fprintln(c.OutOrStdout(), line)
						}
						fmt.Fprintln(c.OutOrStdout(), "Ctrl-C ends the recording")
					}
				}
			}
		},
	}
	m.add(c)
	f := c.Flags()
	f.DurationVar(&wait, "wait", 3*time.Second, "how long to look for streams")
	f.DurationVar(&limit, "for", 0, "how long to record, e.g. 10m; 0 = until Ctrl-C")
	f.IntVar(&atLeast, "at-least", 1, "fail unless this `many` streams are found; 0 = begin without any")
	f.BoolVar(&onlyNow, "only-now", false, "record the streams that are there now, none that appears later")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&quiet, "quiet", "q", false, "no table while recording")
	return c
}

// recording is called when a recording begins; a test, which does other things in the same
// process, replaces it.
var recording = bci.GoLast

// recordingWatch notices what changes from second to second.
type recordingWatch struct {
	states []string // of each stream
	counts []int64  // restarts
	recent []string // the newest lines
}

func watchRecording(rows []bci.RecordedStream) *recordingWatch {
	w := new(recordingWatch)
	for _, s := range rows {
		w.states, w.counts = append(w.states, s.State), append(w.counts, s.Restarts)
	}
	return w
}

// news says which streams have appeared, gone, or come back since the last call.
func (w *recordingWatch) news(rows []bci.RecordedStream) (lines []string) {
	for i, s := range rows {
		name := fmt.Sprintf("%s (%s)", printable(s.Name), printable(s.Type))
		if i == len(w.states) {
			w.states, w.counts = append(w.states, "connected"), append(w.counts, 0)
			lines = append(lines, fmt.Sprintf("%s has appeared and is recorded from here on", name))
		}
		switch was := w.states[i]; {
		case s.Restarts > w.counts[i]:
			lines = append(lines, name+" was gone and is back")
		case s.State == was:
		case s.State == "searching":
			lines = append(lines, name+" is gone; its place is kept until it comes back")
		case s.State == "ended":
			lines = append(lines, name+" has ended: "+printable(s.Error))
		}
		w.states[i], w.counts[i] = s.State, s.Restarts
	}
	w.recent = append(w.recent, lines...)
	w.recent = w.recent[max(0, len(w.recent)-4):]
	return lines
}

type recordReport struct {
	File    string               `json:"file"`
	Seconds float64              `json:"seconds"`
	Streams []bci.RecordedStream `json:"streams"`
}

func printRecording(w io.Writer, path string, elapsed time.Duration, rows []bci.RecordedStream, size int64) {
	left := ""
	if free, ok := diskFree(filepath.Dir(path)); ok && elapsed > 0 && size > 0 {
		rate := float64(size) / elapsed.Seconds()
		left = fmt.Sprintf(", %.1f GB of disk left: %.0f h at this rate", float64(free)/1e9, float64(free)/rate/3600)
	}
	marks, last := int64(0), ""
	for _, s := range rows {
		if marks += s.Markers; s.Marker != "" {
			last = fmt.Sprintf(" (last of %s: %.40q)", s.Name, s.Marker)
		}
	}
	fmt.Fprintf(w, "%s: %v, %.2f MB, %d markers%s%s\n", path, elapsed.Round(time.Second), float64(size)/1e6, marks, last, left)
	fmt.Fprintf(w, "%-22s %-9s %-10s %9s %11s %10s %6s %8s %8s %11s %10s\n", "stream", "type", "state", "nominal", "measured", "samples", "gaps", "missing", "dropped", "offset (ms)", "drift ppm")
	for _, s := range rows {
		nominal := "irregular"
		if s.Nominal > 0 {
			nominal = fmt.Sprintf("%g Hz", s.Nominal)
		}
		state := s.State
		switch {
		case s.State == "searching":
			state = fmt.Sprintf("gone %.0f s", s.QuietS)
		case s.QuietS > 2 && s.Nominal > 0 && s.State == "connected":
			state = fmt.Sprintf("quiet %.0f s", s.QuietS)
		}
		fmt.Fprintf(w, "%-22s %-9s %-10s %9s %8.2f Hz %10d %6d %8d %8d %11.3f %10.1f\n", printable(s.Name), printable(s.Type), state, nominal, s.Measured, s.Samples, s.Gaps, s.Missing, s.Dropped, s.OffsetMS, s.DriftPPM)
		if s.JoinedS > 0 {
			fmt.Fprintf(w, "  appeared %.1f s after the recording began\n", s.JoinedS)
		}
		if s.Error != "" {
			fmt.Fprintf(w, "  %s\n", printable(s.Error))
		}
	}
}
