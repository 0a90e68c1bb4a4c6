package earlyexit

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"neurostream/replay"
)

// Report holds the results of one study.
type Report struct {
	Study    string          `json:"study"`
	About    string          `json:"about"`
	Subjects int             `json:"subjects"`
	Decoders []DecoderReport `json:"decoders"`
}

// DecoderReport is one decoder under every rule, the folds pooled.
type DecoderReport struct {
	Decoder   string       `json:"decoder"`
	Pipeline  string       `json:"pipeline"`
	Spiking   bool         `json:"spiking"`
	Folds     []FoldReport `json:"folds"`
	Decisions int          `json:"decisions"`       // held out
	Chance    float64      `json:"chance"`          // of a guesser that always says the most frequent class
	Seconds   float64      `json:"fixed_length_s"`  // of a full trial, mean
	Full      float64      `json:"fixed_accuracy"`  // answer at full length
	FullCI    [2]float64   `json:"fixed_ci95"`      // Clopper-Pearson
	Shortest  float64      `json:"shortest_s"`      // fixed length within the tolerance, chosen on the calibration trials
	ShortAcc  float64      `json:"shortest_acc"`    // its accuracy on the held-out trials
	Oracle    float64      `json:"oracle_accuracy"` // right at some step
	OracleS   float64      `json:"oracle_s"`        // mean time to the first right step
	Curve     []CurvePoint `json:"curve"`
	Rules     []RuleReport `json:"rules"`
	Computed  int64        `json:"network_steps_computed,omitempty"`
	Saved     int64        `json:"network_steps_saved,omitempty"`
	Met       bool         `json:"goal_met"` // by Dynamic Confidence, of a decoder above chance
}

// FoldReport is what was chosen for a fold, on its training runs alone.
type FoldReport struct {
	Fold      string  `json:"fold"`
	Choice    string  `json:"choice"`
	Tau       float64 `json:"tau_s"`
	Threshold float64 `json:"threshold"`
	Kappa     float64 `json:"kappa"`
	Inner     float64 `json:"inner_accuracy"`
	Trials    int     `json:"calibration_trials"`
	Decisions int     `json:"held_out"`
	Tried     []tried `json:"tried"`
}

// CurvePoint is the accuracy at one share of a trial.
type CurvePoint struct {
	Seconds float64 `json:"s"`      // mean
	Fixed   float64 `json:"fixed"`  // everybody stops here
	Ever    float64 `json:"oracle"` // right by then at least once
}

// RuleReport is one rule on the held-out trials.
type RuleReport struct {
	Rule       string     `json:"rule"`
	Accuracy   float64    `json:"accuracy"`
	CI         [2]float64 `json:"ci95"`        // Clopper-Pearson
	Lost       float64    `json:"points_lost"` // against full length, in points of 100
	LostCI     [2]float64 `json:"points_lost_ci95"`
	Mean       float64    `json:"mean_s"`
	Median     float64    `json:"median_s"`
	P90        float64    `json:"p90_s"`
	Saving     float64    `json:"saving"` // of the time at full length
	Forced     float64    `json:"forced"` // share that ran to the end
	Coverage   float64    `json:"coverage,omitempty"`
	CoverageCI [2]float64 `json:"coverage_ci95,omitzero"`
	SetSize    float64    `json:"mean_set,omitempty"`
}

// report pools the folds.
func (d *Decoder) report(folds []*fold) *DecoderReport {
	r := &DecoderReport{Decoder: d.Name, Pipeline: d.File, Spiking: d.Spiking}
	var all []decision
	var full, short []bool
	counts := map[int]int{}
	const points = 8
	curve := make([]CurvePoint, points)
	for _, f := range folds {
		r.Folds = append(r.Folds, FoldReport{f.Name, f.Choice, f.Tau, f.Threshold, f.Kappa, f.Inner, f.Trials, len(f.Decisions), f.Tried})
		for i := range f.Decisions {
			q := &f.Decisions[i]
			n := len(q.Times)
			counts[q.Class]++
			last := q.Fixed[len(q.Fixed)-1]
			full = append(full, last)
			r.Seconds += q.Times[n-1]
			at := min(f.Short, n)
			short = append(short, q.Fixed[at-1])
			r.Shortest += q.Times[at-1]
			first := slices.Index(q.Fixed, true)
			if first >= 0 && first < n {
				r.Oracle++
				r.OracleS += q.Times[first]
			} else {
				r.OracleS += q.Times[n-1]
			}
			for k := range curve {
				s := min((k+1)*f.Steps/points, n)
				curve[k].Seconds += q.Times[s-1]
				if q.Fixed[s-1] {
					curve[k].Fixed++
				}
				if first >= 0 && first < s {
					curve[k].Ever++
				}
			}
			if d.Spiking { // an exit inside the network computes these and no others
				r.Computed += int64(q.Rules[0].Steps)
				r.Saved += int64(n - q.Rules[0].Steps)
			}
		}
		all = append(all, f.Decisions...)
	}
	n := float64(len(all))
	r.Decisions = len(all)
	for _, c := range counts {
		r.Chance = max(r.Chance, float64(c)/n)
	}
	r.Seconds, r.Shortest, r.Oracle, r.OracleS = r.Seconds/n, r.Shortest/n, r.Oracle/n, r.OracleS/n
	r.Full, r.FullCI = share(full)
	r.ShortAcc, _ = share(short)
	for k := range curve {
		curve[k] = CurvePoint{curve[k].Seconds / n, curve[k].Fixed / n, curve[k].Ever / n}
	}
	r.Curve = curve
	for k, name := range folds[0].Names {
		r.Rules = append(r.Rules, summary(name, k, all, full, r.Seconds))
	}
	// a decoder that guesses loses nothing by guessing early
	r.Met = r.FullCI[0] > r.Chance && r.Rules[0].Saving >= GoalSaved && r.Rules[0].Lost <= GoalLost+1e-9
	return r
}

func summary(name string, k int, all []decision, full []bool, seconds float64) RuleReport {
	r := RuleReport{Rule: name}
	n := float64(len(all))
	var right, covered []bool
	var times []float64
	b, c := 0.0, 0.0 // only full length right, only the rule right
	for i := range all {
		q := all[i].Rules[k]
		right, covered, times = append(right, q.Right), append(covered, q.Covered), append(times, q.Seconds)
		r.Mean += q.Seconds / n
		r.SetSize += float64(q.Set) / n
		if q.Forced {
			r.Forced += 1 / n
		}
		switch {
		case full[i] && !q.Right:
			b++
		case q.Right && !full[i]:
			c++
		}
	}
	r.Accuracy, r.CI = share(right)
	r.Lost = 100 * (b - c) / n
	ci := pairedInterval(b, c, n)
	r.LostCI = [2]float64{100 * ci[0], 100 * ci[1]}
	sort.Float64s(times)
	r.Median, r.P90 = replay.Quantile(times, 0.5), replay.Quantile(times, 0.9)
	r.Saving = 1 - r.Mean/seconds
	if name == conformalRule {
		r.Coverage, r.CoverageCI = share(covered)
	}
	return r
}

// WriteText writes the report as tables of Markdown.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %s, subjects: %d\n", r.Study, r.About, r.Subjects)
	for i := range r.Decoders {
		d := &r.Decoders[i]
		fmt.Fprintf(&b, "\n**%s** (`bci/earlyexit/%s`): %d held-out decisions, chance %.3f.\n", d.Decoder, d.Pipeline, d.Decisions, d.Chance)
		fmt.Fprintf(&b, "Fixed length %.2f s: accuracy **%.3f** [%.3f, %.3f]. ", d.Seconds, d.Full, d.FullCI[0], d.FullCI[1])
		fmt.Fprintf(&b, "Shortest fixed length within %g points on the calibration trials: %.2f s, %.3f. Oracle: %.3f at %.2f s.\n", 100*Tolerance, d.Shortest, d.ShortAcc, d.Oracle, d.OracleS)
		if d.Computed > 0 {
			fmt.Fprintf(&b, "With the rule inside the network (`exit:`): %d network steps computed in the trials, %d saved (%.0f %%).\n", d.Computed, d.Saved, 100*float64(d.Saved)/float64(d.Computed+d.Saved))
		}
		b.WriteString("\n| fold | held out | chosen on its training runs | accuracy there, trials | threshold, κ |\n|---|---|---|---|---|\n")
		for _, f := range d.Folds {
			tau := "kept"
			if f.Tau > 0 {
				tau = fmt.Sprintf("fading in %g s", f.Tau)
			}
			fmt.Fprintf(&b, "| %s | %d | %s; evidence %s | %.3f, %d | %.3f, %.3g |\n", f.Fold, f.Decisions, f.Choice, tau, f.Inner, f.Trials, f.Threshold, f.Kappa)
		}
		b.WriteString("\n| rule | accuracy [95 %] | points lost [95 %, paired] | mean, median, 90 % (s) | time saved | ran to the end |\n|---|---|---|---|---|---|\n")
		for _, q := range d.Rules {
			fmt.Fprintf(&b, "| %s | %.3f [%.3f, %.3f] | %+.1f [%+.1f, %+.1f] | %.2f, %.2f, %.2f | %.0f %% | %.0f %% |\n", q.Rule, q.Accuracy, q.CI[0], q.CI[1], q.Lost, q.LostCI[0], q.LostCI[1], q.Mean, q.Median, q.P90, 100*q.Saving, 100*q.Forced)
		}
		if c := d.conformal(); c != nil {
			fmt.Fprintf(&b, "\n%s: the set held the true class in %.3f [%.3f, %.3f] of %d decisions, %.2f classes on average.\n", c.Rule, c.Coverage, c.CoverageCI[0], c.CoverageCI[1], d.Decisions, c.SetSize)
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

func (d *DecoderReport) conformal() *RuleReport {
	for i := range d.Rules {
		if d.Rules[i].Rule == conformalRule {
			return &d.Rules[i]
		}
	}
	return nil
}

// WriteSummary writes one line per decoder of all studies.
func WriteSummary(w io.Writer, all []*Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### summary: Dynamic Confidence against the answer at full length (goal: at least %.0f %% of the time saved, at most %g point lost)\n\n", 100*GoalSaved, GoalLost)
	b.WriteString("| data | subjects | decisions | chance | decoder | full length: s, accuracy [95 %] | early: s, accuracy [95 %] | points lost [95 %, paired] | time saved | goal | conformal 90 %: coverage [95 %] | oracle |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range all {
		for i := range r.Decoders {
			d := &r.Decoders[i]
			q, met, cover := &d.Rules[0], "missed", ""
			if d.Met {
				met = "met"
			}
			if c := d.conformal(); c != nil {
				cover = fmt.Sprintf("%.3f [%.3f, %.3f]", c.Coverage, c.CoverageCI[0], c.CoverageCI[1])
			}
			fmt.Fprintf(&b, "| %s | %d | %d | %.3f | %s | %.2f, %.3f [%.3f, %.3f] | %.2f, %.3f [%.3f, %.3f] | %+.1f [%+.1f, %+.1f] | %.0f %% | %s | %s | %.3f at %.2f s |\n",
				r.Study, r.Subjects, d.Decisions, d.Chance, d.Decoder, d.Seconds, d.Full, d.FullCI[0], d.FullCI[1],
				q.Mean, q.Accuracy, q.CI[0], q.CI[1], q.Lost, q.LostCI[0], q.LostCI[1], 100*q.Saving, met, cover, d.Oracle, d.OracleS)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
