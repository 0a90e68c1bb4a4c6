package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

// unknownCommand names the nearest command.
func unknownCommand(c *cobra.Command, word string) error {
	var names []string
	for _, s := range c.Commands() {
		names = append(names, s.Name())
	}
	hint := ""
	if n := bci.Nearest(word, names); n != "" {
		hint = fmt.Sprintf("; did you mean %q?", n)
	}
	return usageError{fmt.Errorf("there is no command %q%s (see: %s --help)", word, hint, c.CommandPath())}
}

// exactly makes an argument check that says what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usageError{fmt.Errorf("%s needs %s; see: %s --help", c.CommandPath(), names[len(args)], c.CommandPath())}
		}
		if len(args) > len(names) {
			return usageError{fmt.Errorf("%q is one argument too many; see: %s --help", args[len(names)], c.CommandPath())}
		}
		return nil
	}
}
