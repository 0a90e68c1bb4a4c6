package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"neurostream/bci"
	"neurostream/stream"
	"neurostream/stream/udp"
)

func newSimulate() *cobra.Command {
	var s simulation
	var list bool
	c := &cobra.Command{
		Use:   "simulate FORMAT [KEY=VALUE...]",
		Short: "Be a UDP or TCP device, without hardware",
		Long: `simulate sends what a device of this format sends: rhythms and noise by a seed, at the
device's rate, until Ctrl-C. KEY=VALUE sets the format's own parameters. Datagrams go to
--to; formats that travel in TCP are served at --to instead. --drop, --double, --reorder,
--corrupt and --jitter damage the way there, by the same seed: the receiver has to report
what this command says at its end.`,
		Example: `  bci simulate --list
  bci simulate openbci-json --to 127.0.0.1:12345
  bci simulate unicorn --to 127.0.0.1:9000 --drop 0.01 --for 60s`,
		RunE: func(c *cobra.Command, args []string) error {
			if list || len(args) == 0 {
				if !list {
					return usageError{fmt.Errorf("which format? see: bci simulate --list")}
				}
				printFormats(c.OutOrStdout())
				return nil
			}
			s.out, s.errOut = c.OutOrStdout(), c.ErrOrStderr()
			return s.run(c.Context(), args[0], args[1:])
		},
	}
	f := c.Flags()
	f.BoolVar(&list, "list", false, "list the formats, with what their addresses say")
	f.StringVar(&s.to, "to", "", "`host:port` to send to, or to serve at; default the format's usual port on this computer")
	f.StringVar(&s.iface, "interface", "", "by which a multicast group is sent to: `name` or address")
	f.IntVar(&s.channels, "channels", 0, "number of channels; default the device's")
	f.Float64Var(&s.rate, "rate", 0, "columns per second; default the device's")
	f.Float64Var(&s.speed, "speed", 1, "pace; 1 = real time, 0 = as fast as it goes")
	f.Uint64Var(&s.impair.Seed, "seed", 1, "of the signal and the damage")
	f.DurationVar(&s.limit, "for", 0, "seconds of data to send, e.g. 60s; 0 = until Ctrl-C")
	f.Float64Var(&s.impair.Drop, "drop", 0, "probability that a datagram is lost")
	f.Float64Var(&s.impair.Double, "double", 0, "probability that it arrives twice")
	f.Float64Var(&s.impair.Reorder, "reorder", 0, "probability that the next one overtakes it")
	f.Float64Var(&s.impair.Corrupt, "corrupt", 0, "probability that its last byte is missing")
	f.Float64Var(&s.impair.Jitter, "jitter", 0, "mean delay in `seconds`, exponentially distributed")
	f.BoolVar(&s.asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "no line at the start")
	return c
}

// simulation is one run of bci simulate.
type simulation struct {
	to, iface     string
	channels      int
	rate, speed   float64
	limit         time.Duration
	impair        udp.Impairments
	asJSON, quiet bool
	out, errOut   io.Writer
	format        *udp.FormatType
	values        url.Values
}

func (s *simulation) run(ctx context.Context, name string, pairs []string) (err error) {
	if s.format, err = udp.FormatNamed(name); err != nil {
		var names []string
		for _, t := range udp.Formats() {
			names = append(names, t.Name)
		}
		if n := bci.Nearest(name, names); n != "" {
			return usageError{fmt.Errorf("there is no format %q; did you mean %q?", name, n)}
		}
		return usageError{err}
	}
	if s.format.Encoder == nil {
		return usageError{fmt.Errorf("format %s can only be read", name)}
	}
	for what, p := range map[string]float64{"drop": s.impair.Drop, "double": s.impair.Double, "reorder": s.impair.Reorder, "corrupt": s.impair.Corrupt} {
		if !(p >= 0 && p <= 1) {
			return usageError{fmt.Errorf("--%s %v: a probability is 0 to 1", what, p)}
		}
	}
	if s.values, err = url.ParseQuery(s.format.SimulatorURL); err != nil {
		return err
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return usageError{fmt.Errorf("%q is no KEY=VALUE", pair)}
		}
		s.values.Set(key, value)
	}
	if s.to == "" {
		host := "127.0.0.1"
		if s.format.Group != "" {
			host = s.format.Group
		}
		if s.format.Port == 0 {
			return usageError{fmt.Errorf("%s has no usual port: where to? give --to HOST:PORT", name)}
		}
		s.to = net.JoinHostPort(host, strconv.Itoa(s.format.Port))
	}
	if s.format.Carrier&udp.UDP == 0 {
		return s.serve(ctx)
	}
	sim, err := s.simulator()
	if err != nil {
		return err
	}
	conn, err := udp.Dial(ctx, s.to, s.iface)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !s.quiet && !s.asJSON {
		h := &sim.Header
		fmt.Fprintf(s.errOut, "%s: %d channels at %g Hz to %s (Ctrl-C ends)\nreceive it with --from '%s'\n", name, len(h.Channels), h.Rate, s.to, s.address())
	}
	p := s.player(sim)
	err = p.Play(ctx, conn)
	return errors.Join(err, s.report(p.Sent()))
}

// address is what a receiver writes.
func (s *simulation) address() string {
	query := "format=" + s.format.Name
	if s.format.URL != "" {
		query += "&" + s.format.URL
	}
	if s.format.Carrier&udp.UDP == 0 {
		return s.format.Name + "://" + s.to + strings.TrimSuffix("?"+s.format.URL, "?")
	}
	return "udp://" + s.to + "?" + query
}

func (s *simulation) simulator() (*udp.Simulator, error) {
	var h *stream.Header
	if s.channels > 0 || s.rate > 0 {
		d := s.format.Device()
		if s.rate > 0 {
			d.Rate = s.rate
			d.MaxLen = max(1, int(s.rate/25))
		}
		if s.channels > 0 {
			first := d.Channels[0]
			d.Channels = nil
			for i := range s.channels {
				c := first
				c.Label = "ch" + strconv.Itoa(i+1)
				d.Channels = append(d.Channels, c)
			}
		}
		h = &d
	}
	return udp.NewSimulator(s.format.Name, s.values, h, s.impair.Seed, udp.SimulatorStart())
}

func (s *simulation) player(sim *udp.Simulator) *udp.Player {
	return &udp.Player{Simulator: sim, Speed: s.speed, Impair: s.impair, For: s.limit.Seconds()}
}

// serve answers every connection with a device of its own.
func (s *simulation) serve(ctx context.Context) error {
	if s.impair.Drop+s.impair.Double+s.impair.Reorder+s.impair.Corrupt > 0 {
		return usageError{fmt.Errorf("%s travels in TCP, which loses nothing: leave --drop, --double, --reorder and --corrupt out", s.format.Name)}
	}
	if _, err := s.simulator(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.to)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	if !s.quiet && !s.asJSON {
		fmt.Fprintf(s.errOut, "%s is served at %s (Ctrl-C ends)\nreceive it with --from '%s'\n", s.format.Name, s.to, s.address())
	}
	var clients sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			clients.Wait()
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		clients.Go(func() {
			defer conn.Close()
			sim, err := s.simulator()
			if err == nil {
				p := s.player(sim)
				if err = p.Play(ctx, conn); err == nil {
					err = s.report(p.Sent())
				}
			}
			if err != nil && !s.quiet {
				fmt.Fprintf(s.errOut, "%s: %v\n", conn.RemoteAddr(), err)
			}
		})
	}
}

func (s *simulation) report(n udp.Sent) error {
	if s.asJSON {
		return json.NewEncoder(s.out).Encode(n)
	}
	if !s.quiet {
		fmt.Fprintf(s.out, "%d datagrams, %.2f MB; on purpose %d dropped, %d doubled, %d re-ordered, %d corrupted\n",
			n.Datagrams, float64(n.Bytes)/1e6, n.Dropped, n.Doubled, n.Reordered, n.Corrupted)
	}
	return nil
}

func printFormats(w io.Writer) {
	for _, t := range udp.Formats() {
		where := "udp"
		if t.Carrier&udp.UDP == 0 {
			where = "tcp"
		}
		if t.Port != 0 {
			where += " " + strconv.Itoa(t.Port)
		}
		fmt.Fprintf(w, "%-15s %-10s %s\n", t.Name, where, t.Doc)
		fmt.Fprintf(w, "%-26s %s\n", "", t.Example)
		for _, p := range t.Params {
			preset := ""
			if p.Default != "" {
				preset = " (default " + p.Default + ")"
			}
			fmt.Fprintf(w, "%-26s   %-12s %s%s\n", "", p.Name, p.Doc, preset)
		}
	}
}
