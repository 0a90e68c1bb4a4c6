package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"neurostream/stream/lsl"
)

func newLSL() *cobra.Command {
	c := &cobra.Command{
		Use:     "lsl",
		Short:   "Measure and examine Lab Streaming Layer connections",
		Example: "  bci lsl ping ActiChamp\n  bci lsl doctor",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(newLSLPing(), newLSLDoctor())
	return c
}

type pingReport struct {
	Stream        string   `json:"stream"`
	Host          string   `json:"host"`
	Address       string   `json:"address"`
	Sent          int      `json:"sent"`
	Answered      int      `json:"answered"`
	LeastMS       *float64 `json:"round_trip_least_ms"` // null when nothing was answered
	MedianMS      *float64 `json:"round_trip_median_ms"`
	MostMS        *float64 `json:"round_trip_most_ms"`
	JitterMS      *float64 `json:"jitter_ms"`
	OffsetMS      *float64 `json:"clock_offset_ms"` // our clock minus the sender's
	UncertaintyMS *float64 `json:"clock_offset_uncertainty_ms"`
	DriftPPM      float64  `json:"clock_drift_ppm"`
}

func newLSLPing() *cobra.Command {
	var m matchFlags
	var count int
	var interval, wait, timeout time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "ping NAME",
		Short: "Measure round trip, jitter and clock offset to a stream's sender",
		Long: `ping sends clock probes to the sender of a stream, one after the other: how long
they take, how much that varies, and how the sender's clock stands to ours. Nothing
is subscribed to, so the sender does no more than it does for any inlet.

The offset is what is added to the sender's stamps; it is wrong by at most half the
least round trip. It exits with 1 when no probe is answered.`,
		Example: "  bci lsl ping ActiChamp\n  bci lsl ping --type EEG --count 100 --interval 50ms --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				m.match.Name = args[0]
			}
			if count < 1 || interval < time.Millisecond || wait <= 0 {
				return usageError{errors.New("--count is at least 1, --interval at least 1ms and --wait positive")}
			}
			s, err := lsl.FindOne(c.Context(), m.match, lsl.ResolveOptions{Timeout: timeout})
			if err != nil {
				return err
			}
			p, err := lsl.NewPing(s, nil)
			if err != nil {
				return err
			}
			defer p.Close()
			if !asJSON {
				fmt.Fprintf(c.OutOrStdout(), "ping %s at %s\n", s.Describe(), p.Addr())
			}
			if err := pingRounds(c.Context(), p, count, interval, wait, func(i int, r lsl.Pong, err error) {
				switch {
				case asJSON:
				case err != nil:
					fmt.Fprintf(c.OutOrStdout(), "probe %d: %v\n", i+1, err)
				default:
					fmt.Fprintf(c.OutOrStdout(), "probe %d: round trip %.3f ms, clock offset %+.3f ms\n", i+1, r.RTT*1e3, r.Offset*1e3)
				}
			}); err != nil {
				return err
			}
			sum := p.Summary()
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(newPingReport(&s, p, &sum))
			} else {
				printPing(c.OutOrStdout(), &sum)
			}
			if err == nil && sum.Answered == 0 {
				err = fmt.Errorf("none of %d probes to %s was answered; let its UDP port through, or see bci lsl doctor", sum.Sent, p.Addr())
			}
			return err
		},
	}
	m.add(c)
	f := c.Flags()
	f.IntVarP(&count, "count", "n", 10, "probes to send")
	f.DurationVar(&interval, "interval", 200*time.Millisecond, "between two probes")
	f.DurationVar(&wait, "wait", time.Second, "how long to wait for an answer")
	f.DurationVar(&timeout, "timeout", 5*time.Second, "how long to look for the stream")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// pingRounds probes at a steady pace; Ctrl-C ends it in order.
func pingRounds(ctx context.Context, p *lsl.Ping, count int, interval, wait time.Duration, tell func(int, lsl.Pong, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := range count {
		one, cancel := context.WithTimeout(ctx, wait)
		r, err := p.Probe(one)
		cancel()
		if err != nil && !errors.Is(err, lsl.ErrNoAnswer) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		tell(i, r, err)
		if i == count-1 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func newPingReport(s *lsl.Stream, p *lsl.Ping, sum *lsl.PingSummary) pingReport {
	ms := func(seconds float64) *float64 {
		if math.IsNaN(seconds) {
			return nil
		}
		seconds *= 1e3
		return &seconds
	}
	return pingReport{
		Stream: s.Name, Host: s.Hostname, Address: p.Addr().String(), Sent: sum.Sent, Answered: sum.Answered,
		LeastMS: ms(sum.Least), MedianMS: ms(sum.Median), MostMS: ms(sum.Most), JitterMS: ms(sum.Jitter),
		OffsetMS: ms(sum.Offset), UncertaintyMS: ms(sum.Uncertainty), DriftPPM: sum.Drift * 1e6,
	}
}

func printPing(w io.Writer, sum *lsl.PingSummary) {
	fmt.Fprintf(w, "%d probes sent, %d answered (%.0f %% lost)\n", sum.Sent, sum.Answered, 100*float64(sum.Sent-sum.Answered)/float64(max(1, sum.Sent)))
	if sum.Answered == 0 {
		return
	}
	fmt.Fprintf(w, "round trip    least %.3f ms, median %.3f ms, most %.3f ms", sum.Least*1e3, sum.Median*1e3, sum.Most*1e3)
	if !math.IsNaN(sum.Jitter) {
		fmt.Fprintf(w, ", jitter %.3f ms", sum.Jitter*1e3)
	}
	fmt.Fprintf(w, "\nclock offset  %+.3f ms, within %.3f ms (our clock minus the sender's)\n", sum.Offset*1e3, sum.Uncertainty*1e3)
	if sum.Drift != 0 {
		fmt.Fprintf(w, "clock drift   %+.1f ppm\n", sum.Drift*1e6)
	}
}

func newLSLDoctor() *cobra.Command {
	var m matchFlags
	var wait time.Duration
	var asJSON, quiet bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out which way reaches which stream, and what to change",
		Long: `doctor asks for streams by every single way (multicast, broadcast and unicast on
every interface; TCP for known peers), then tries the data port (TCP) and the service
port (UDP) of every stream that answers. To tell a silent network from a firewall
on this host it opens a test outlet of its own for a few seconds.

It ends with what to change, if anything; --json prints the whole diagnosis. It
exits with 1 when a stream that you named is not found.`,
		Example: "  bci lsl doctor\n  bci lsl doctor --name ActiChamp --json",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if wait <= 0 || wait > time.Minute {
				return usageError{fmt.Errorf("--wait %v: give a time up to 1m", wait)}
			}
			step := func(what string) { fmt.Fprintln(c.ErrOrStderr(), what+" ...") }
			if asJSON {
				step = nil
			}
			d, err := lsl.Diagnose(c.Context(), m.match, lsl.DoctorOptions{Wait: wait, Quiet: quiet, Step: step})
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(d)
			} else {
				err = printDiagnosis(c.OutOrStdout(), d)
			}
			if err == nil && m.match != (lsl.Match{}) && len(d.Streams) == 0 {
				err = fmt.Errorf("no stream with %s answered in any way", m.match)
			}
			return err
		},
	}
	m.add(c)
	f := c.Flags()
	f.DurationVar(&wait, "wait", 2*time.Second, "how long to wait for answers")
	f.BoolVar(&quiet, "no-test-outlet", false, "open no outlet; then a firewall of this host cannot be told from a silent network")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func printDiagnosis(w io.Writer, d *lsl.Diagnosis) error {
	fmt.Fprintf(w, "host %s, session %q, configuration: %s\n\ninterfaces\n", d.Host, d.Session, d.Config)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, i := range d.Interfaces {
		state := "down"
		if i.Up {
			state = "up"
		}
		if i.Loopback {
			state += ", loopback"
		} else if !i.Multicast {
			state += ", no multicast"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", i.Name, state, strings.Join(i.Addresses, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nwhich way reaches what")
	names := map[string]string{}
	for _, s := range d.Streams {
		names[s.UID] = fmt.Sprintf("%s (%s)", s.Name, s.Hostname)
	}
	for i := range d.Ways {
		x := &d.Ways[i]
		var got []string
		for _, uid := range x.Streams {
			got = append(got, names[uid])
		}
		what := strings.Join(got, ", ")
		switch {
		case x.Error != "" && what == "":
			what = "cannot be sent: " + x.Error
		case what == "" && x.Echo:
			what = "no stream, but our own test outlet hears it"
		case what == "":
			what = "no answer"
		default:
			what += fmt.Sprintf(" after %.1f ms", x.FirstMS)
		}
		fmt.Fprintf(t, "  %s\t%s\n", x.Name, what)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nstreams")
	if len(d.Streams) == 0 {
		fmt.Fprintln(w, "  none answered")
	}
	for i := range d.Streams {
		s := &d.Streams[i]
		fmt.Fprintf(t, "  %s\thost %s\t%s\tsource_id %q\tsession %q\n", s.Name, s.Hostname, s.Type, s.SourceID, s.SessionID)
		for _, p := range s.Paths {
			data, clock := fmt.Sprintf("data in %.1f ms", p.DataMS), fmt.Sprintf("clock in %.3f ms", p.ProbeMS)
			if p.DataError != "" {
				data = "data: " + p.DataError
			}
			if p.ProbeErr != "" {
				clock = "clock: " + p.ProbeErr
			}
			fmt.Fprintf(t, "    %s\t%s\t%s\n", p.Data, data, clock)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(d.Advice) == 0 {
		_, err := fmt.Fprintln(w, "\nnothing needs to change")
		return err
	}
	fmt.Fprintln(w, "\nwhat to do")
	for _, a := range d.Advice {
		fmt.Fprintln(w, "  - "+a)
	}
	return nil
}
