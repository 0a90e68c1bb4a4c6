package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

//go:embed pipelines/motor-imagery.yaml
var motorImagery []byte

func newDemo() *cobra.Command {
	var headless, asJSON, quiet, lsl bool
	var speed float64
	var addr, write string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Decode a real brain within a minute",
		Long: `demo trains a motor-imagery decoder on two recordings of one person (left or right
fist, imagined; 64 channels), replays a third one, which the decoder has not seen,
causally through the live engine, and prints how well left, right and rest were told
apart and how long everything took. Then it serves a page with the third recording
looping in real time, until Ctrl-C.

The recordings come with the program: EEG Motor Movement/Imagery Dataset, subject 7,
ODC-By 1.0; see recordings/samples/README.md.`,
		Example: "  bci demo\n  bci demo --headless --json",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if write != "" {
				f, err := os.OpenFile(write, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
				if err != nil {
					return fmt.Errorf("%s: %w; choose a name that is free", write, err)
				}
				if _, err := f.Write(motorImagery); err != nil {
					return err
				}
				return f.Close()
			}
			p, err := bci.ParsePipeline("motor-imagery.yaml", motorImagery)
			if err != nil {
				return err
			}
			quiet = quiet || asJSON
			say := func(format string, args ...any) {
				if !quiet {
					fmt.Fprintf(c.ErrOrStderr(), format+"\n", args...)
				}
			}
			say("training on S007R04 and S007R08 (imagined left and right fist, 64 channels, 250 s) ...")
			m, err := train(c, p, []string{"sample:S007R04", "sample:S007R08"}, quiet, 0, "")
			if err != nil {
				return err
			}
			say("replaying S007R12, which the decoder has not seen, through the live engine ...")
			r := runner{from: "sample:S007R12", asJSON: asJSON, quiet: quiet, out: c.OutOrStdout(), errOut: c.ErrOrStderr()}
			var report *runReport
			if lsl {
				say("... sent through a Lab Streaming Layer outlet and received by an inlet, at %g × real time ...", speed)
				report, err = overLSL(c.Context(), &r, p, m, speed)
			} else {
				report, err = r.run(c.Context(), p, m)
			}
			if err != nil {
				return err
			}
			report.TrainedOn = "S007R04, S007R08"
			if err := r.print(report); err != nil || headless {
				return err
			}
			page := runner{
				from: "sample:S007R12?speed=1&loop=true", to: []string{"ws://" + addr}, quiet: true,
				out: c.OutOrStdout(), errOut: c.ErrOrStderr(),
				onPage: func(url string) {
					fmt.Fprintf(c.ErrOrStderr(), "\nthe recording now loops in real time; open %s  (Ctrl-C ends)\n", url)
				},
			}
			if _, err = page.run(c.Context(), p, m); errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	f := c.Flags()
	f.BoolVar(&lsl, "lsl", false, "send the third recording through a Lab Streaming Layer outlet and decode what an inlet receives")
	f.Float64Var(&speed, "speed", 1, "pace of the recording with --lsl; 1 = real time, 125 s")
	f.BoolVar(&headless, "headless", false, "no page: print the report and end")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	f.StringVar(&addr, "addr", "127.0.0.1:8080", "where to serve the page, `host:port`")
	f.StringVar(&write, "write-pipeline", "", "write the demo's pipeline to this `file` and end: a start for your own")
	return c
}
