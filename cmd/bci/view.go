package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

func newView() *cobra.Command {
	var addr string
	c := &cobra.Command{
		Use:   "view SOURCE",
		Short: "Look at a live stream or a recording on a page",
		Long: `view shows the signals of a source and their power on a page, without a pipeline,
until Ctrl-C. A recording is played in real time, over and over, unless its address
says otherwise.

Sources:
` + bci.ListSources(),
		Example: "  bci view lsl://?type=EEG\n  bci view s01.edf",
		Args:    exactly("a source"),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := bci.OpenSource(args[0])
			if err != nil {
				return err
			}
			if in.Player != nil && in.Player.Speed == 0 {
				in.Player.Speed, in.Player.Loop = 1, true
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
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "where to serve the page, `host:port`")
	return c
}
