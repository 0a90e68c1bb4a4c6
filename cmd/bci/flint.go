package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"neurostream/decoders/flint"
)

func newFlint() *cobra.Command {
	var dir string
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:   "flint",
		Short: "Reproduce a published benchmark of Kalman and Discriminative Kalman filters",
		Long: `flint fits every decoder of kinematics on 5000 rows of a monkey's reaching
movements, decodes the next 1000, and writes the scores beside the published ones.
Our own choice is made by cross-validation on the training rows. It takes two to
three minutes and gives the same scores at every run.

The recording is run 1 of the Flint 2012 data: files data/x.csv and data/z.csv of the
public repository github.com/burkh4rt/DKF-implementations.`,
		Example: "  bci flint --data flint2012-run1",
		Args:    exactly(),
		RunE: func(c *cobra.Command, args []string) error {
			bar := newProgress(quiet)
			r, err := flint.Run(c.Context(), dir, bar.show)
			bar.done()
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			return r.WriteText(c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "data", ".", "`folder` with x.csv and z.csv")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}
