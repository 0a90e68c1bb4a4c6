package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

func newInspect() *cobra.Command {
	var asJSON, quiet bool
	var html string
	c := &cobra.Command{
		Use:   "inspect RECORDING",
		Short: "Show what a recording holds: header, channels, events, gaps, spectra",
		Long: `inspect reads a whole recording and prints its header, channels with range and
spectrum, annotations and gaps. RECORDING is a file or any address of a recording
(file:NAME, sample:NAME).

A spectrum is drawn from 0 Hz to half the rate, one character per step, in dB
relative to the channel's own strongest bin: taller is stronger, each step 6 dB.`,
		Example: "  bci inspect sample:S007R12\n  bci inspect s01.edf --html s01.html\n  bci inspect s01.edf --json",
		Args:    exactly("a recording"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := bci.OpenSource(args[0])
			if err != nil {
				return err
			}
			if in.Recording == nil {
				return usageError{fmt.Errorf("%s is a live stream; inspect reads recordings", args[0])}
			}
			defer in.Recording.Close()
			p := newProgress(quiet)
			r, err := bci.Inspect(in.Name, in.Recording, func(done float64) { p.show("reading "+in.Name, done) })
			p.done()
			if err != nil {
				return err
			}
			if html != "" {
				page, err := r.HTML()
				if err != nil {
					return err
				}
				f, err := os.OpenFile(html, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
				if err != nil {
					return fmt.Errorf("%s: %w; choose a name that is free", html, err)
				}
				if _, err := f.Write(page); err != nil {
					return err
				}
				if err := f.Close(); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			printInspection(c.OutOrStdout(), r)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, spectra included")
	c.Flags().StringVar(&html, "html", "", "also write a page with plots to this `file`")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}

func printInspection(w io.Writer, r *bci.Inspection) {
	fmt.Fprintf(w, "%s: %s, %d channels at %g Hz, %.3f s (%d columns)\n", r.Name, r.Format, len(r.Channels), r.RateHz, r.Seconds, r.Columns)
	if r.Start != nil {
		fmt.Fprintf(w, "started %s\n", r.Start.Format("2006-01-02 15:04:05"))
	}
	for _, f := range r.Fields {
		fmt.Fprintf(w, "  %-24s %s\n", clip(f[0], 40), clip(f[1], 120))
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "  left out: %s\n", s)
	}
	fmt.Fprintf(w, "\nannotations\n  %-20s %6s %10s %10s %20s\n", "label", "count", "first (s)", "last (s)", "median duration (s)")
	for _, a := range r.Annotations {
		fmt.Fprintf(w, "  %-20s %6d %10.3f %10.3f %20.3f\n", clip(a.Label, 40), a.Count, a.First, a.Last, a.Duration)
	}
	if len(r.Annotations) == 0 {
		fmt.Fprintln(w, "  none")
	}
	fmt.Fprintln(w, "\ngaps")
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "  %.3f s missing at %.3f s\n", g.Seconds, g.At)
	}
	if len(r.Gaps) == 0 {
		fmt.Fprintln(w, "  none")
	}
	fmt.Fprintf(w, "\nchannels (min, max and SD in the channel's unit, power in its square; flat: longest run without change)\n  %-10s %-6s %-6s %9s %9s %9s %12s %12s %9s  spectrum 0 to %g Hz\n",
		"label", "type", "unit", "min", "max", "SD", "8-13 Hz", "mains (dB)", "flat (s)", r.RateHz/2)
	for i := range r.Channels {
		c := &r.Channels[i]
		mains := "-"
		if c.MainsHz > 0 {
			mains = fmt.Sprintf("%.1f @ %g", c.Mains, c.MainsHz)
		}
		fmt.Fprintf(w, "  %-10s %-6s %-6s %9.1f %9.1f %9.2f %12.3g %12s %9.2f  %s\n",
			c.Label, c.Type, c.Unit, c.Min, c.Max, c.SD, c.Alpha, mains, c.Flat, sparkline(c.Spectrum, 32))
	}
}

// clip shortens a text to n characters; --json has it whole.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// sparkline draws a spectrum in n characters, 6 dB a step below its maximum.
func sparkline(p []float64, n int) string {
	if len(p) < n {
		return ""
	}
	const steps = " ▁▂▃▄▅▆▇█"
	levels := []rune(steps)
	cells := make([]float64, n)
	top := math.Inf(-1)
	for i := range cells {
		for _, v := range p[1+i*(len(p)-1)/n : 1+(i+1)*(len(p)-1)/n] {
			cells[i] = max(cells[i], v)
		}
		if cells[i] > 0 {
			cells[i] = 10 * math.Log10(cells[i])
			top = max(top, cells[i])
		} else {
			cells[i] = math.Inf(-1)
		}
	}
	var b strings.Builder
	for _, v := range cells {
		k := len(levels) - 1 - int((top-v)/6)
		b.WriteRune(levels[min(max(k, 0), len(levels)-1)])
	}
	return b.String()
}
