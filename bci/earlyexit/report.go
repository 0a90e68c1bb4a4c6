package earlyexit

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the report as tables of Markdown.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %s\n", r.Study, r.About)
	for i := range r.Decoders {
		d := &r.Decoders[i]
		fmt.Fprintf(&b, "\n**%s** (`bci/earlyexit/%s`): %d held-out decisions, calibrated on %v trials per fold, chance %.3f.\n", d.Decoder, d.Pipeline, d.Decisions, d.Held, d.Chance)
		fmt.Fprintf(&b, "Fixed length %.2f s: accuracy **%.3f** [%.3f, %.3f]. ", d.Seconds, d.Full, d.FullCI[0], d.FullCI[1])
		fmt.Fprintf(&b, "Shortest fixed length within 1 point on the calibration trials: %.2f s, %.3f. Oracle: %.3f at %.2f s.\n", d.Shortest, d.ShortAcc, d.Oracle, d.OracleS)
		if d.Computed > 0 {
			fmt.Fprintf(&b, "With the rule inside the network (`exit:`): %d network steps computed in the trials, %d saved (%.0f %%).\n", d.Computed, d.Saved, 100*float64(d.Saved)/float64(d.Computed+d.Saved))
		}
		b.WriteString("\n| rule | accuracy [95 %] | points lost [95 %, paired] | mean, median, 90 % (s) | time saved | ran to the end |\n|---|---|---|---|---|---|\n")
		for _, q := range d.Rules {
			fmt.Fprintf(&b, "| %s | %.3f [%.3f, %.3f] | %+.1f [%+.1f, %+.1f] | %.2f, %.2f, %.2f | %.0f %% | %.0f %% |\n", q.Rule, q.Accuracy, q.CI[0], q.CI[1], q.Lost, q.LostCI[0], q.LostCI[1], q.Mean, q.Median, q.P90, 100*q.Saving, 100*q.Forced)
		}
		for _, q := range d.Rules {
			if q.SetSize > 0 {
				fmt.Fprintf(&b, "\n%s: the set held the true class in %.3f [%.3f, %.3f] of %d decisions, %.2f classes on average.\n", q.Rule, q.Coverage, q.CoverageCI[0], q.CoverageCI[1], d.Decisions, q.SetSize)
			}
		}
		b.WriteString("\n| s after the cue |")
		for _, c := range d.Curve {
			fmt.Fprintf(&b, " %.2f |", c.Seconds)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(d.Curve)) + "\n| all stop here |")
		for _, c := range d.Curve {
			fmt.Fprintf(&b, " %.3f |", c.Fixed)
		}
		b.WriteString("\n| right by then at least once (oracle) |")
		for _, c := range d.Curve {
			fmt.Fprintf(&b, " %.3f |", c.Ever)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
