package xdf

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Report says what is in a file and what is wrong with it.
type Report struct {
	Path      string         `json:"path"`
	Size      int64          `json:"size"` // bytes, unpacked
	Created   time.Time      `json:"created,omitzero"`
	Chunks    map[string]int `json:"chunks"`
	Streams   []StreamReport `json:"streams"`
	Damage    []Span         `json:"damage,omitempty"`
	BytesLost int64          `json:"bytes_lost"`
	Unclosed  bool           `json:"unclosed"` // footers are missing: the recording was cut off
	Notes     []string       `json:"notes,omitempty"`
}

// StreamReport is the part of a Report about one stream.
type StreamReport struct {
	ID        uint32  `json:"id"`
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Format    string  `json:"format"`
	Channels  int     `json:"channels"`
	Rate      float64 `json:"rate"`           // as announced, Hz; 0 = irregular
	Effective float64 `json:"effective_rate"` // as found, without gaps
	Samples   int64   `json:"samples"`
	Seconds   float64 `json:"seconds"` // from first to last stamp, clock corrected
	Gaps      int     `json:"gaps"`
	Missing   int64   `json:"missing"` // samples that the stamps show to be lacking
	Offsets   int     `json:"clock_offsets"`
	Footer    string  `json:"footer"` // "ok", "missing", or what it says wrongly
}

// minGap is the number of lacking samples that counts as a gap.
const minGap = 3

var tagNames = [...]string{tagFileHeader: "file header", tagStreamHeader: "stream header", tagSamples: "samples", tagClockOffset: "clock offset", tagBoundary: "boundary", tagStreamFooter: "stream footer"}

// Whole reports whether nothing is wrong with the file.
func (r *Report) Whole() bool { return len(r.Damage) == 0 && !r.Unclosed }

// Check reads a whole file and reports on it. Files that do not begin like XDF are
// searched for chunks too; none at all is an error.
func Check(path string) (*Report, error) {
	f, err := openFile(path, true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.report()
}

// report makes the report of a file; one without any chunk is no XDF file.
func (f *File) report() (*Report, error) {
	s := &f.scan
	total := s.other
	r := &Report{Path: f.path, Size: s.size, Created: f.Created(), Chunks: make(map[string]int), Damage: s.damage, Notes: f.Notes()}
	for tag := tagFileHeader; tag <= tagStreamFooter; tag++ {
		if s.counts[tag] > 0 {
			r.Chunks[tagNames[tag]] = s.counts[tag]
			total += s.counts[tag]
		}
	}
	if s.other > 0 {
		r.Chunks["unknown"] = s.other
	}
	if total == 0 {
		head, _ := s.slice(0, 4)
		return nil, fmt.Errorf("%s: holds no XDF chunk at all in %d bytes (byte 0 starts %q): it is no XDF file", f.path, s.size, head)
	}
	for _, d := range s.damage {
		r.BytesLost += d.To - d.From
	}
	for _, st := range s.order {
		sr := st.report()
		if sr.Footer == "missing" && sr.Samples > 0 {
			r.Unclosed = true
		}
		r.Streams = append(r.Streams, sr)
	}
	return r, nil
}

func (s *Stream) report() StreamReport {
	r := StreamReport{
		ID: s.ID, Name: s.Info.Name, Type: s.Info.Type, Format: s.Info.Format.String(), Channels: len(s.Info.Channels),
		Rate: s.Info.Rate, Samples: s.Len(), Offsets: len(s.offsets), Footer: "ok",
	}
	if t := s.Times(Timing{ClockSync: true}).Stamps; len(t) > 0 {
		r.Seconds = t[len(t)-1] - t[0]
	}
	if s.Regular() && s.Len() > 0 && !s.Info.CanDropSamples() {
		t := s.Times(Timing{ClockSync: true, Dejitter: true, MinGap: minGap})
		r.Effective = t.Rate
		for _, g := range gapsOf(&t, s.Info.Rate) {
			r.Gaps++
			r.Missing += int64(g.Seconds*s.Info.Rate + 0.5)
		}
	}
	switch {
	case s.Footer == nil:
		r.Footer = "missing"
	case s.closed && s.announced != s.Len():
		r.Footer = fmt.Sprintf("says %d samples", s.announced)
	}
	return r
}

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s: %d bytes", r.Path, r.Size)
	if !r.Created.IsZero() {
		fmt.Fprintf(w, ", recorded %s", r.Created.Format("2006-01-02 15:04:05 -0700"))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "stream\tname\ttype\tformat\trate\tfound\tsamples\tseconds\tgaps\tmissing\toffsets\tfooter")
	for _, s := range r.Streams {
		fmt.Fprintf(t, "%d\t%s\t%s\t%d x %s\t%g\t%.6g\t%d\t%.3f\t%d\t%d\t%d\t%s\n",
			s.ID, s.Name, s.Type, s.Channels, s.Format, s.Rate, s.Effective, s.Samples, s.Seconds, s.Gaps, s.Missing, s.Offsets, s.Footer)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range r.Damage {
		fmt.Fprintf(w, "damaged: bytes %d to %d (%d): %s\n", d.From, d.To-1, d.To-d.From, d.Why)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	switch {
	case r.Whole():
		fmt.Fprintln(w, "whole: nothing is damaged or missing")
	case len(r.Damage) == 0:
		fmt.Fprintln(w, "not closed: the recording ends without footers; everything in it is readable")
	default:
		fmt.Fprintf(w, "damaged: %d bytes, in stretches: %d; every other chunk is readable, and repair writes them to a new file\n", r.BytesLost, len(r.Damage))
	}
	return nil
}
