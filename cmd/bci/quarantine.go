package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"neurostream/bci"
	"neurostream/stream/udp"
)

// showQuarantine tells which datagrams of a source could not be used: the first ones on
// w, and all that were kept, with their bytes, in a file if there is to be one.
func showQuarantine(w io.Writer, in *bci.Input, file string) error {
	s, ok := in.Source.(*udp.Source)
	if !ok {
		return nil
	}
	kept := s.Quarantine()
	if len(kept) == 0 {
		return nil
	}
	const first = 3
	fmt.Fprintf(w, "%d datagrams could not be used:\n", s.Counts().Malformed)
	for i := range kept[:min(len(kept), first)] {
		fmt.Fprintln(w, "  "+kept[i].String())
	}
	if file == "" {
		fmt.Fprintf(w, "  --quarantine FILE writes the bytes of %d of them\n", len(kept))
		return nil
	}
	var b bytes.Buffer
	if err := udp.WriteQuarantine(&b, kept); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("--quarantine: %w", err)
	}
	fmt.Fprintf(w, "  %d of them are in %s\n", len(kept), file)
	return nil
}
