package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

func newPlay() *cobra.Command {
	var to []string
	var speed float64
	var loop, quiet bool
	var name string
	c := &cobra.Command{
		Use:   "play RECORDING",
		Short: "Play a recording as live streams",
		Long: `play sends a recording out as if its device were there: its signals as a Lab
Streaming Layer outlet, its annotations as a stream of markers beside it, at the
original pace or another one. RECORDING is a file or any address of a recording.`,
		Example: "  bci play s01.edf\n  bci play sample:S007R12 --loop --speed 2\n  bci play s01.xdf --to 'lsl://EEG?source_id=my-amp'",
		Args:    exactly("a recording"),
		RunE: func(c *cobra.Command, args []string) error {
			if !(speed > 0) {
				return usageError{fmt.Errorf("--speed %v: give a positive number; 1 is the original pace", speed)}
			}
			in, err := bci.OpenSource(args[0])
			if err != nil {
				return err
			}
			if in.Recording == nil {
				return usageError{fmt.Errorf("%s is a live stream already", args[0])}
			}
			in.Player.Speed, in.Player.Loop = speed, loop
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(in.Name), filepath.Ext(in.Name))
			}
			if len(to) == 0 {
				to = []string{"lsl://" + name + "?markers=true&source_id=" + name}
			}
			r := runner{to: to, quiet: quiet, out: c.OutOrStdout(), errOut: c.ErrOrStderr()}
			if !quiet {
				fmt.Fprintf(c.ErrOrStderr(), "playing %s at %g × real time to %s (Ctrl-C ends)\n", in.Name, speed, strings.Join(to, ", "))
			}
			report, err := r.runInput(c.Context(), bci.Passthrough(), nil, in)
			if err != nil {
				return quietEnd(err)
			}
			if report.Dropped > 0 {
				return errors.New("some outputs were too slow; see the events")
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringArrayVar(&to, "to", nil, "where to send it (`address`); default: an LSL outlet named after the recording")
	f.Float64Var(&speed, "speed", 1, "pace; 1 = as recorded")
	f.BoolVar(&loop, "loop", false, "start again at the end")
	f.StringVar(&name, "name", "", "`name` of the stream; default: that of the file")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress, no events on the screen")
	return c
}
