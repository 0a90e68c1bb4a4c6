package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"neurostream/stream/udp"
)

func newCapture() *cobra.Command {
	var c udp.Capture
	var ports []string
	var limit time.Duration
	var rotate string
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "capture FILE.pcapng",
		Short: "Record the datagrams of UDP devices as they pass the network",
		Long: `capture writes UDP datagrams as they come, with the kernel's receive stamps, into a
pcapng file until Ctrl-C. Programs that receive them are not disturbed. The file is
replayed with --from pcap:FILE through the same decoder, with the same result, and is
read by Wireshark. It needs the right to capture packets (CAP_NET_RAW) and Linux;
elsewhere use Wireshark itself.`,
		Example: `  bci capture today.pcapng --port 12345
  bci capture trace.pcapng --port 51002 --interface eth1 --rotate 500MB --keep 20
  bci run mi.yaml --model me.model --from 'pcap:today.pcapng?format=openbci-json&rate=250'`,
		Args: exactly("a file name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Path = args[0]
			if ext := strings.ToLower(filepath.Ext(c.Path)); ext != ".pcapng" && ext != ".ntar" {
				return usageError{fmt.Errorf("%s: the file is a pcapng file; give it the ending .pcapng", c.Path)}
			}
			for _, p := range ports {
				n, err := strconv.ParseUint(p, 10, 16)
				if err != nil || n == 0 {
					return usageError{fmt.Errorf("--port %s: a port is a number from 1 to 65535", p)}
				}
				c.Ports = append(c.Ports, uint16(n))
			}
			var err error
			if c.MaxBytes, err = bytesOf(rotate); err != nil {
				return usageError{fmt.Errorf("--rotate %s: %w", rotate, err)}
			}
			ctx := cmd.Context()
			if limit > 0 {
				var stop context.CancelFunc
				ctx, stop = context.WithTimeout(ctx, limit)
				defer stop()
			}
			if !quiet && !asJSON {
				what := "every UDP port"
				if len(ports) > 0 {
					what = "UDP port " + strings.Join(ports, ", ")
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "capturing %s into %s (Ctrl-C ends)\n", what, c.Path)
			}
			begun := time.Now()
			if err := c.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			n := c.Counts()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(n)
			}
			if n.Note != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), n.Note)
			}
			if n.Frames == 0 {
				return fmt.Errorf("no datagram passed within %v; nothing was written", time.Since(begun).Round(time.Millisecond))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d frames, %.2f MB, %d dropped by the kernel: %s\n", n.Frames, float64(n.Bytes)/1e6, n.Dropped, strings.Join(n.Files, ", "))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&ports, "port", nil, "UDP `port` at either end, may be given more than once; default all")
	f.StringVar(&c.Interface, "interface", "", "`name` or address of the network interface; default all")
	f.StringVar(&c.Comment, "comment", "", "`text` to keep in the file")
	f.StringVar(&rotate, "rotate", "", "begin a new file after this `size`, e.g. 500MB")
	f.DurationVar(&c.MaxAge, "rotate-every", 0, "begin a new file after this much time, e.g. 10m")
	f.IntVar(&c.KeepFiles, "keep", 0, "of rotated files keep this `many`; 0 = all")
	f.DurationVar(&limit, "for", 0, "how long to capture, e.g. 10m; 0 = until Ctrl-C")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	f.BoolVarP(&quiet, "quiet", "q", false, "no line at the start")
	return cmd
}

// bytesOf reads a size such as 500MB.
func bytesOf(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	unit := int64(1)
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}} {
		if t, ok := strings.CutSuffix(text, u.name); ok {
			text, unit = t, u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(v > 0) || v*float64(unit) > 1e15 {
		return 0, errors.New("write a size such as 500MB")
	}
	return int64(v * float64(unit)), nil
}
