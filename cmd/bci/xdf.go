package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"neurostream/recordings/xdf"
)

func newXDF() *cobra.Command {
	c := &cobra.Command{
		Use:     "xdf",
		Short:   "Check, repair and convert XDF recordings",
		Example: "  bci xdf check today.xdf",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(newXDFCheck(), newXDFRepair(), newXDFConvert())
	return c
}

func newXDFCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "check FILE",
		Short:   "Report streams, rates, gaps and damage of an XDF file",
		Long:    "check reads a whole file, damaged parts included, and says what is in it and what is\nwrong with it. It exits with 1 when the file is damaged or was cut off.",
		Example: "  bci xdf check today.xdf --json",
		Args:    exactly("a file"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := xdf.Check(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(r)
			} else {
				err = r.WriteText(c.OutOrStdout())
			}
			if err == nil && !r.Whole() {
				err = fmt.Errorf("%s is not whole; bci xdf repair %s writes what can be saved to a new file", args[0], args[0])
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func newXDFRepair() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     "repair FILE",
		Short:   "Save every whole chunk of a damaged or cut-off XDF file",
		Long:    "repair writes every undamaged chunk to a new file that any reader takes. The damaged\nfile is not touched.",
		Example: "  bci xdf repair today.xdf --out today.repaired.xdf",
		Args:    exactly("a file"),
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				ext := filepath.Ext(args[0])
				out = strings.TrimSuffix(args[0], ext) + ".repaired.xdf"
			}
			r, written, err := xdf.Repair(args[0], out)
			if r != nil {
				if e := r.WriteText(c.OutOrStdout()); e != nil {
					return e
				}
			}
			if err != nil {
				return err
			}
			if !written {
				fmt.Fprintf(c.OutOrStdout(), "%s is whole; nothing was written\n", args[0])
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "saved to %s\n", out)
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "`file` to write; default: FILE.repaired.xdf")
	return c
}

func newXDFConvert() *cobra.Command {
	var o xdf.ConvertOptions
	var asJSON bool
	c := &cobra.Command{
		Use:     "convert IN OUT",
		Short:   "Convert between XDF, EDF, BDF and CSV",
		Long:    "convert reads a recording and writes it in the format that the ending of OUT names.\nFrom an XDF file it takes one regular stream with the markers. EDF and BDF quantise;\nthe report says how coarsely.",
		Example: "  bci xdf convert today.xdf today.bdf\n  bci xdf convert s01.edf s01.csv",
		Args:    exactly("the file to read", "the file to write"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := xdf.Convert(args[0], args[1], o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(r)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d channels, %d columns, %d annotations, %d gaps\n", r.Out, r.Channels, r.Columns, r.Annotations, r.Gaps)
			if r.EDF != nil {
				fmt.Fprintf(c.OutOrStdout(), "%s: quantised in steps of %g to %g (each channel's unit); %d values replaced, %d columns of padding at the end\n",
					r.EDF.Format, slices.Min(r.EDF.Steps), slices.Max(r.EDF.Steps), r.EDF.Replaced, r.EDF.Padding)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Stream, "stream", "", "`stream` of an XDF file: number, name or type")
	f.BoolVar(&o.Overwrite, "force", false, "replace OUT")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
