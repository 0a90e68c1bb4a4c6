package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/bci/earlyexit"
)

func newEarlyExit() *cobra.Command {
	var dir string
	var only []string
	var asJSON, quiet bool
	var keep string
	var seed uint64
	var names []string
	for _, s := range earlyexit.Studies {
		names = append(names, s.Name)
	}
	c := &cobra.Command{
		Use:   "early-exit",
		Short: "Measure on real recordings how much time answering early saves, and what it costs",
		Long: `early-exit trains decoders as bci train does, calibrates every stopping rule on trials
the decoder did not learn from, and streams runs that neither has seen. Settings of decoder
and rule are chosen anew for every held-out part, from a small grid, by cross-validation on
the other runs; the choices are listed. It writes, per decoder and rule, accuracy and time
with their intervals, the answer at full length, the oracle that no rule can beat, and the
coverage of conformal sets; at the end, one table of all. The same data and seed give the
same numbers.

Studies: ` + strings.Join(names, ", ") + `. Their recordings are public; a missing one is named with where
it comes from. With --keep an interrupted study goes on where it was: every finished part is
kept there under a name made of settings and data.`,
		Example: "  bci early-exit --data recordings\n  bci early-exit --data recordings --only ssvep --json",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, o := range only {
				if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+o+" ") {
					return usageError{fmt.Errorf("there is no study %q; choose among %s", o, strings.Join(names, ", "))}
				}
			}
			var all []*earlyexit.Report
			for _, s := range earlyexit.Studies {
				if len(only) > 0 && !strings.Contains(" "+strings.Join(only, " ")+" ", " "+s.Name+" ") {
					continue
				}
				bar := newProgress(quiet)
				r, err := s.Run(c.Context(), dir, earlyexit.Options{Seed: seed, Keep: keep, Progress: bar.show})
				bar.done()
				if err != nil {
					return err
				}
				if all = append(all, r); asJSON {
					continue
				}
				if err := r.WriteText(c.OutOrStdout()); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout())
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(all)
			}
			return earlyexit.WriteSummary(c.OutOrStdout(), all)
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "data", ".", "`folder` with the recordings, one folder a data set")
	f.StringArrayVar(&only, "only", nil, "make only this `study`; may be given more than once")
	f.StringVar(&keep, "keep", "", "`folder` for finished parts, so that an interrupted study goes on")
	f.Uint64Var(&seed, "seed", 1, "of the networks")
	f.BoolVar(&asJSON, "json", false, "print one JSON array")
	f.BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return c
}
