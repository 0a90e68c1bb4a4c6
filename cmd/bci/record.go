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
	var asJSON, quiet bool
	var atLeast int
	c := &cobra.Command{
		Use:   "record FILE.xdf",
		Short: "Record Lab Streaming Layer streams to an XDF file",
		Long: `record connects to all streams on the network, or to those that match, and writes
them into one XDF file until Ctrl-C: stamps as the senders made them, clock offsets
from the first second on, every gap, restart and drop as a line of an events stream.
A crash takes at most half a second; bci xdf repair closes a file that was cut off.`,
		Example: "  bci record today.xdf\n  bci record today.xdf --type EEG --for 10m",
		Args:    exactly("a file name"),
		RunE: func(c *cobra.Command, args []string) error {
			found, err := lsl.Resolve(c.Context(), m.match, lsl.ResolveOptions{Timeout: wait})
			if err != nil {
				return err
			}
			if len(found) < max(1, atLeast) {
				return fmt.Errorf("%d streams answered within %v, %d are needed; see bci streams and bci lsl doctor", len(found), wait, max(1, atLeast))
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
			if limit > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, limit)
				defer stop()
			}
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			started := time.Now()
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
					if !quiet && !asJSON && isTerminal(os.Stdout) {
						fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J")
						printRecording(c.OutOrStdout(), args[0], time.Since(started), r.Streams(), r.Size())
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
	f.IntVar(&atLeast, "at-least", 1, "fail unless this `many` streams are found")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&quiet, "quiet", "q", false, "no table while recording")
	return c
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
		if s.QuietS > 2 && s.Nominal > 0 {
			state = fmt.Sprintf("quiet %.0f s", s.QuietS)
		}
		fmt.Fprintf(w, "%-22s %-9s %-10s %9s %8.2f Hz %10d %6d %8d %8d %11.3f %10.1f\n", s.Name, s.Type, state, nominal, s.Measured, s.Samples, s.Gaps, s.Missing, s.Dropped, s.OffsetMS, s.DriftPPM)
		if s.Error != "" {
			fmt.Fprintf(w, "  %s\n", s.Error)
		}
	}
}
