package main

import (
	"fmt"
	"io"
	"math"

	"neurostream/bci"
	"neurostream/replay"
)

// runReport is what `bci run` and `bci demo` print, and their --json output. The
// first block repeats what people compare; the rest is the detail behind it.
type runReport struct {
	Pipeline  string `json:"pipeline"`
	Source    string `json:"source"`
	TrainedOn string `json:"trained_on,omitempty"`

	*replay.Report // absent when there is no truth to compare with

	Kinematics *replay.KinematicReport `json:"kinematics,omitempty"` // when target values are decoded and known

	Locked *bci.Locked `json:"locked,omitempty"` // windows that belong to markers (train: {at: …})

	DetectionLatency *float64         `json:"detection_latency_s"` // median; null when nothing was detected
	LatencyDetail    *replay.Latency  `json:"detection_latency_detail,omitempty"`
	EngineLatency    bci.Spread       `json:"engine_latency_us"`
	Age              bci.Spread       `json:"age_of_data_us"`
	RealtimeFactor   float64          `json:"realtime_factor"`
	AlgorithmicDelay float64          `json:"algorithmic_delay_s"`
	Chunks           int64            `json:"chunks"`
	Columns          int64            `json:"columns"`
	Decisions        int64            `json:"decisions"`
	Events           map[string]int64 `json:"events"`
	Dropped          int64            `json:"dropped_columns"`
	Digest           string           `json:"digest"`
	Status           bci.Status       `json:"status"`
}

func newReport(s bci.Status, score *replay.Report) *runReport {
	r := &runReport{
		Pipeline: s.Pipeline, Source: s.Source, Report: score, EngineLatency: s.Engine, Age: s.Age,
		RealtimeFactor: s.Realtime, AlgorithmicDelay: s.DelayS, Chunks: s.Chunks, Columns: s.Columns,
		Decisions: s.Decisions, Events: map[string]int64{}, Digest: s.Digest, Status: s,
	}
	for _, e := range s.Events {
		r.Events[e.Kind] = e.N
	}
	for _, ring := range s.Rings {
		r.Dropped += ring.Dropped
	}
	if score != nil {
		if m := float64(score.Latency.Median); !math.IsNaN(m) {
			r.DetectionLatency = &m
		}
		r.LatencyDetail = &score.Latency
	}
	return r
}

func (r *runReport) print(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-24s %s\n", name, fmt.Sprintf(format, args...))
	}
	if s := r.Report; s != nil {
		fmt.Fprintf(w, "\nOnce per trial (the cue is known; evidence averaged over the trial's windows)\n")
		line("trial accuracy", "%d of %d = %.3f   95%% interval %.3f to %.3f; a guesser stays below %.3f in 95%% of sessions",
			s.TrialsCorrect, s.Trials, s.TrialAccuracy, s.TrialLow95, s.TrialHigh95, s.TrialChance95)
		fmt.Fprintf(w, "\nAs a stream (nobody says when a trial is; idle is a class of its own)\n")
		line("nMCC", "%.3f   chance 0.5%s", s.NMCC, shifts(s))
		line("balanced accuracy", "%.3f   chance %.3f", s.BalancedAccuracy, 1/float64(len(s.Classes)))
		line("event true positives", "%d of %d = %.3f   wrong class %d, repeats %d", s.Hits, s.Events, s.EventTPR, s.Wrong, s.Repeats)
		line("false activations", "%.2f per idle minute (%d in %.2f min; true rate below %.2f with 95%% confidence)", s.FAPerMin, s.False, s.IdleMinutes, s.FAUpper95)
		if s.Latency.N > 0 {
			l, p := s.Latency, s.Latency.Parts
			line("detection latency", "median %.2f s (quartiles %.2f to %.2f)", l.Median, l.Q1, l.Q3)
			rest := "the person's response and the evidence"
			if p.Rest < 0 { // the other parts are what the method takes when a window must be half full
				rest = "less than half a window was enough"
			}
			line("  made of", "filters %.3f + half window %.3f + dwell %.3f + computing %.6f + the rest %.3f s (%s)", p.Filter, p.Window, p.Dwell, p.Compute, p.Rest, rest)
		} else {
			line("detection latency", "nothing was detected")
		}
	}
	if k := r.Kinematics; k != nil {
		printKinematics(line, w, k)
	}
	if l := r.Locked; l != nil {
		fmt.Fprintf(w, "\nOnce per marker (the window that ends %g s after it)\n", l.At)
		line("accuracy", "%d of %d = %.3f   95%% interval %.3f to %.3f; always the commonest class: %.3f", l.Correct, l.Events, l.Accuracy, l.Low95, l.High95, l.Majority)
		line("balanced accuracy", "%.3f   chance %.3f", l.Balanced, 1/float64(len(l.Classes)))
		if l.AUC >= 0 {
			line("area under the ROC", "%.3f   95%% interval %.3f to %.3f; chance 0.5", l.AUC, l.AUCLow95, l.AUCHigh95)
		}
		if l.Unjudged > 0 {
			line("markers not judged", "%d: their window is not whole", l.Unjudged)
		}
	}
	fmt.Fprintf(w, "\nEngine\n")
	spread := func(s bci.Spread) string {
		return fmt.Sprintf("p50 %.0f, p99 %.0f, p99.9 %.0f, max %.0f µs (%d decisions)", s.P50, s.P99, s.P999, s.Max, s.N)
	}
	line("engine latency", "%s", spread(r.EngineLatency))
	line("age of data", "%s", spread(r.Age))
	line("algorithmic delay", "%.3f s (group delays and half windows: the method, not the machine)", r.AlgorithmicDelay)
	line("throughput", "%.1f × real time, %d chunks, %d columns, %d decisions, %d columns dropped", r.RealtimeFactor, r.Chunks, r.Columns, r.Decisions, r.Dropped)
	if r.Status.Pacing.N > 0 {
		line("pacing", "late by %s", spread(r.Status.Pacing))
	}
	events := "none"
	if len(r.Status.Events) > 0 {
		events = ""
		for i, e := range r.Status.Events {
			if i > 0 {
				events += ", "
			}
			events += fmt.Sprintf("%s %d", e.Kind, e.N)
		}
	}
	line("events", "%s", events)
	for _, s := range r.Status.Stages {
		if f := s.Fallbacks; f != nil {
			line("health of "+s.Name, "%d of %d columns fell back to a simpler update (%.2f %%), %d were only predicted", f.Fallbacks, f.Columns, 100*float64(f.Fallbacks)/float64(max(1, f.Columns)), f.Unusable)
		}
	}
	line("digest", "%s", r.Digest)
	for _, b := range r.Status.Sides {
		line("side lane "+b.Name, "%d columns, age of data p50 %.0f, p99 %.0f µs, digest %s", b.Columns, b.Age.P50, b.Age.P99, b.Digest)
	}
	fmt.Fprintf(w, "\n  %-24s %10s %10s %10s %10s %12s %6s %9s %5s %10s\n", "stage", "p50 (µs)", "p99 (µs)", "p99.9 (µs)", "max (µs)", "delay (s)", "rows", "rate (Hz)", "lane", "memory (B)")
	for _, s := range r.Status.Stages {
		fmt.Fprintf(w, "  %-24s %10.1f %10.1f %10.1f %10.1f %12.3f %6d %9.4g %5d %10d\n", s.Name, s.Work.P50, s.Work.P99, s.Work.P999, s.Work.Max, s.DelayS, s.Rows, s.RateHz, s.Lane, s.Bytes)
		for _, p := range s.Parts {
			fmt.Fprintf(w, "    %-22s %10.1f %10.1f %10.1f %10.1f %12s %6d %9s %5s %10d\n", p.Name, p.Work.P50, p.Work.P99, p.Work.P999, p.Work.Max, "", p.Rows, "", "", p.Bytes)
		}
	}
}

func printKinematics(line func(name, format string, args ...any), w io.Writer, k *replay.KinematicReport) {
	fmt.Fprintf(w, "\nDecoded kinematics against the recorded ones (%d columns, %d of them only predicted)\n", k.Columns, k.Unusable)
	line("nRMSE", "%.3f   95%% interval %s; always answering zero scores 1, 95%% of time-shifted truths score above %.3f", k.NRMSE, span(k.NRMSELow95, k.NRMSEHigh95), k.NRMSEChance)
	if !math.IsNaN(float64(k.MAAE)) {
		line("angular error", "%.3f rad on average, %.3f rad where the truth is faster than its median; chance 1.571 rad", k.MAAE, k.MAAEFast)
	}
	for _, o := range k.Outputs {
		unit := o.Unit
		if unit == "" {
			unit = "as recorded"
		}
		line(o.Name, "correlation %.3f   95%% interval %s, 95%% of time-shifted truths stay below %.3f; R² %.3f, RMSE %.4g (%s)", o.R, span(o.RLow95, o.RHigh95), o.RChance, o.R2, o.RMSE, unit)
	}
}

// span prints an interval; with too little data there is none.
func span(low, high replay.Measure) string {
	if math.IsNaN(float64(low)) {
		return "unknown (less than 50 s of data)"
	}
	return fmt.Sprintf("%.3f to %.3f", low, high)
}

func shifts(s *replay.Report) string {
	if v := float64(s.NMCCChance95); !math.IsNaN(v) {
		return fmt.Sprintf(" (95%% of time-shifted truths stay below %.3f)", v)
	}
	return " (too short a run to measure it by shifting the truth)"
}
