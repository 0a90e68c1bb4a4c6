package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

type stageListing struct {
	Name     string         `json:"name"`
	Doc      string         `json:"doc"`
	Example  string         `json:"example"`
	Settings []paramListing `json:"settings"`
}

type paramListing struct {
	Name     string         `json:"name"`
	Type     string         `json:"type"`
	Unit     string         `json:"unit,omitempty"`
	Default  string         `json:"default"`
	Required bool           `json:"required"`
	Min      *float64       `json:"min,omitempty"`
	Max      *float64       `json:"max,omitempty"`
	Choices  []string       `json:"choices,omitempty"`
	Doc      string         `json:"doc"`
	Parts    []stageListing `json:"parts,omitempty"`
}

func listParams(params []bci.Param) []paramListing {
	out := []paramListing{}
	for i := range params {
		p := &params[i]
		l := paramListing{Name: p.Name, Type: p.Kind.String(), Unit: p.Unit, Default: p.DefaultText(), Required: p.Required, Choices: p.Choices, Doc: p.Doc}
		if p.Min != 0 || p.Max != 0 {
			l.Min, l.Max = &p.Min, &p.Max
		}
		for _, q := range p.Parts {
			l.Parts = append(l.Parts, stageListing{Name: q.Name, Doc: q.Doc, Example: q.Example, Settings: listParams(q.Params)})
		}
		out = append(out, l)
	}
	return out
}

func newStages() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "stages [NAME]",
		Short: "List the stages a pipeline file can use, with settings and units",
		Long: `stages prints the vocabulary of pipeline files, a line for every stage. With the
name of a stage, or of a feature of window, it prints that one with its settings, their units, ranges and defaults;
--all prints them for every stage.

"lane" is not a stage: as an entry of its own it cuts the chain, and what follows
runs on another goroutine. It changes no bit of the result. Nor is "side": it hangs
stages beside the chain, for slow work that must not delay a decision; sinks listen
to it by its name (--to csv:net.csv?tap=NAME).`,
		Example: "  bci stages\n  bci stages bandpass\n  bci stages --json",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("give one stage, or none for all of them")}
			}
			var list []stageListing
			for _, t := range bci.Stages() {
				whole := stageListing{t.Name, t.Doc, t.Example, listParams(t.Params)}
				if len(args) == 0 || args[0] == t.Name {
					list = append(list, whole)
					continue
				}
				for _, p := range whole.Settings {
					for _, part := range p.Parts {
						if part.Name == args[0] {
							part.Doc += " (in " + p.Name + ": of " + t.Name + ")"
							list = append(list, part)
						}
					}
				}
			}
			if len(list) == 0 {
				hint := ""
				if n := bci.Nearest(args[0], bci.StageNames()); n != "" {
					hint = fmt.Sprintf("; did you mean %q?", n)
				}
				return fmt.Errorf("there is no stage %q%s (bci stages lists all)", args[0], hint)
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(list)
			}
			if len(args) == 0 && !all {
				printOverview(c.OutOrStdout())
				return nil
			}
			for i, s := range list {
				if i > 0 {
					fmt.Fprintln(c.OutOrStdout())
				}
				printStage(c.OutOrStdout(), s, "")
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return bci.StageNames(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, settings included")
	c.Flags().BoolVar(&all, "all", false, "print every stage with its settings")
	return c
}

// printOverview prints a line for every stage, in the order of a pipeline; the parts
// a stage computes (the features of a window) follow it.
func printOverview(w io.Writer) {
	for _, g := range bci.StageGroups() {
		if len(g.Stages) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\n", g.Doc)
		for _, t := range g.Stages {
			fmt.Fprintf(w, "  %-22s %s\n", t.Name, t.Doc)
			for _, p := range t.Params {
				for _, q := range p.Parts {
					fmt.Fprintf(w, "    %-20s %s\n", q.Name, q.Doc)
				}
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  %-22s cut the chain here: what follows runs on another goroutine, with the same result\n", "lane")
	fmt.Fprintf(w, "  %-22s stages beside the chain that cannot delay it, as in side: {name: net, stages: [...]}; sinks: ?tap=net\n\nbci stages NAME shows the settings of a stage, their units, ranges and defaults.\n", "side")
}

func printStage(w io.Writer, s stageListing, indent string) {
	fmt.Fprintf(w, "%s%s: %s\n", indent, s.Name, s.Doc)
	if s.Example != "" {
		fmt.Fprintf(w, "%s    - %s\n", indent, s.Example)
	}
	for _, p := range s.Settings {
		unit := ""
		if p.Unit != "" {
			unit = " (" + p.Unit + ")"
		}
		kind := p.Type
		if len(p.Choices) > 0 {
			kind = strings.Join(p.Choices, " | ")
		}
		bounds := ""
		if p.Min != nil {
			bounds = fmt.Sprintf(", %v to %v", *p.Min, *p.Max)
		}
		standard := ", required"
		if !p.Required {
			standard = ", default " + p.Default
		}
		fmt.Fprintf(w, "%s    %-14s %s%s%s%s\n%s                   %s\n", indent, p.Name, kind, unit, standard, bounds, indent, p.Doc)
		for _, q := range p.Parts {
			printStage(w, q, indent+"        ")
		}
	}
}
