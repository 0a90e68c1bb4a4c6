package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"neurostream/stream/lsl"
)

// matchFlags are the flags that choose LSL streams, with the words of LSL users.
type matchFlags struct {
	match lsl.Match
}

func (m *matchFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.match.Name, "name", "", "`name` of the stream")
	f.StringVar(&m.match.Type, "type", "", "content `type`, e.g. EEG")
	f.StringVar(&m.match.SourceID, "source-id", "", "source `id`")
	f.StringVar(&m.match.Hostname, "hostname", "", "sender's `host`")
	f.StringVar(&m.match.SessionID, "session", "", "session `id`; * = all sessions")
	f.StringVar(&m.match.Predicate, "predicate", "", "XPath 1.0 `condition`, e.g. \"starts-with(name,'Bio')\"")
}

type streamListing struct {
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Channels  int     `json:"channels"`
	RateHz    float64 `json:"rate_hz"`
	Format    string  `json:"format"`
	SourceID  string  `json:"source_id"`
	Hostname  string  `json:"hostname"`
	SessionID string  `json:"session_id"`
	UID       string  `json:"uid"`
	Version   float64 `json:"protocol_version"`
}

func listStreams(found []lsl.Stream) []streamListing {
	out := []streamListing{}
	for _, s := range found {
		out = append(out, streamListing{s.Name, s.Type, s.Channels, s.Rate, s.Format.String(), s.SourceID, s.Hostname, s.SessionID, s.UID, float64(s.Version) / 100})
	}
	return out
}

func newStreams() *cobra.Command {
	var m matchFlags
	var wait time.Duration
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "streams",
		Short: "List the Lab Streaming Layer streams on the network",
		Long: `streams asks on every interface for LSL streams and lists those that answer. With
--watch it goes on until Ctrl-C. Nothing found is no error; bci lsl doctor says why.`,
		Example: "  bci streams\n  bci streams --type EEG --json\n  bci streams --watch",
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			if !watch {
				found, err := lsl.Resolve(c.Context(), m.match, lsl.ResolveOptions{Timeout: wait})
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(c.OutOrStdout()).Encode(listStreams(found))
				}
				printStreams(c.OutOrStdout(), found)
				return nil
			}
			r, err := lsl.NewResolver(m.match, lsl.ResolveOptions{})
			if err != nil {
				return err
			}
			defer r.Close()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-c.Context().Done():
					return nil
				case <-tick.C:
				}
				switch {
				case asJSON:
					if err := json.NewEncoder(c.OutOrStdout()).Encode(listStreams(r.Streams())); err != nil {
						return err
					}
				default:
					if isTerminal(os.Stdout) {
						fmt.Fprint(c.OutOrStdout(), "\x1b[H\x1b[2J")
					}
					printStreams(c.OutOrStdout(), r.Streams())
				}
			}
		},
	}
	m.add(c)
	c.Flags().DurationVar(&wait, "wait", 2*time.Second, "how long to listen")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&watch, "watch", false, "go on until Ctrl-C")
	return c
}

func printStreams(w io.Writer, found []lsl.Stream) {
	if len(found) == 0 {
		fmt.Fprintln(w, "no stream answered; is the sender started, and do the firewalls let UDP 16571-16604 and TCP 16572-16604 pass? (bci lsl doctor)")
		return
	}
	fmt.Fprintf(w, "%-24s %-10s %8s %10s %-9s %-24s %s\n", "name", "type", "channels", "rate (Hz)", "format", "source id", "host")
	for _, s := range found {
		rate := "irregular"
		if s.Rate > 0 {
			rate = fmt.Sprintf("%g", s.Rate)
		}
		fmt.Fprintf(w, "%-24s %-10s %8d %10s %-9s %-24s %s\n", s.Name, s.Type, s.Channels, rate, s.Format, s.SourceID, s.Hostname)
	}
}

// quiet turns the end of a context into success: the user has seen enough.
func quietEnd(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
