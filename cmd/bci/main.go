// Command bci decodes brain signals in real time: live over a network, or from a
// recording replayed as if it were live.
//
//	bci demo                                        a brain decoded within a minute
//	bci train pipeline.yaml --from file:a.edf       learn
//	bci run   pipeline.yaml --from lsl://?type=EEG  decode
//	bci --help                                      everything else
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as documented in the README.
const (
	exitOK          = 0
	exitFailure     = 1   // something failed, or an input cannot be used
	exitUsage       = 2   // the command line is wrong
	exitInterrupted = 130 // stopped by Ctrl-C before the work was done
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute runs a command line and returns the exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "bci: interrupted")
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "bci: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "bci: %v\n", err)
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bci",
		Short: "Decode brain signals in real time",
		Long: `bci runs a pipeline of filters, sliding-window features and decoders over a live
stream or a recording replayed as if it were live, and turns the result into
decisions. The same pipeline file gives bit-identical decisions live, in replay
and in a benchmark.

Exit codes: 0 done; 1 something failed or an input cannot be used; 2 the command
line is wrong; 130 interrupted.`,
		Example:       "  bci demo\n  bci run pipeline.yaml --model model.json --from file:s01.edf --to csv:decisions.csv",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownCommand(c, args[0])
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see: %s --help", err, c.CommandPath())}
	})
	root.AddCommand(
		newDemo(), newRun(), newTrain(), newInspect(), newStages(), newStreams(), newRecord(), newPlay(), newCapture(), newSimulate(), newView(), newXDF(), newFlint(), newEarlyExit(), newLSL(), newVersion(),
	)
	return root
}
